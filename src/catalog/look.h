/* catalog/look: what the two halves of a look share: look.c compares, look_apply.c writes. */
#ifndef CATALOG_LOOK_H
#define CATALOG_LOOK_H

#include "catalog/disk.h"
#include "catalog/priv.h"

enum look_what {
    LOOK_FILE,     /* new, or other than it was */
    LOOK_BELIEVED, /* holds the bytes that it held: its stat is noted */
    LOOK_NO_V1,    /* unchanged, but v1 pieces are wanted that are not known */
    LOOK_FOLDER,   /* new, back, or another one of this name */
    LOOK_LOST,     /* gone */
    LOOK_DOUBTED,  /* gone, and changed before */
    LOOK_REPLACED, /* a file whose name a folder has now */
};

struct look_op {
    enum look_what what;
    bool is_link, is_closed, has_match;
    uint16_t name_len;
    uint8_t name[CATALOG_NAME_MAX];
    struct sys_stat st;
    struct disk_match match;
    /* The entry that this was decided by; row_id 0: there was none. When it is another by the time
     * of the write, the folder is compared again. */
    uint64_t row_id;
    enum catalog_state row_state;
    struct sys_stat row_stat;
};

/* A folder that is looked at. */
struct look_folder {
    struct row_entry row;
    struct disk_place place;
    int root, fd; /* owned */
    struct sys_stat root_stat;
    bool is_gone; /* not there: all of its entries are lost */
};

/* fresh (a file that replaces old, or NULL) holds the bytes of another entry: it gets the identity,
 * and that entry is forgotten when its name is gone. *is_done false: the other is not what it was.
 */
bool index_take_over(struct index_write *w, const struct row_entry *old, struct row_entry *fresh,
                     const struct disk_match *m, bool *is_done, struct tarn_err *err) TARN_MUST;
/* Write what was found, if anything. */
bool look_apply(struct look_job *j, const struct look_folder *f) TARN_MUST;
/* The folder is another one than it was: how it looks is noted. */
bool look_note_folder(struct look_job *j, struct look_folder *f) TARN_MUST;
/* The collection's folder is there. */
bool look_begin_walk(struct look_job *j, const struct look_folder *f) TARN_MUST;
/* All of it was seen. */
void look_end_walk(struct look_job *j);
/* It is not: nothing of it is served. */
void look_away(struct look_job *j);

#endif
