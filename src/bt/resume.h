/* bt/resume: where a session keeps what it will want to know at its next start.
 *
 * An interface, so that a program of its own keeps files (below) and a node its index. Per torrent
 * and place on disk there is a slot with one record (bt/core/resume) and notes in generations
 * (bt/core/journal); per torrent its metainfo, once a magnet link has led to it.
 *
 * Calls block: a session makes them on its pool, for one slot one at a time. */
#ifndef BT_RESUME_H
#define BT_RESUME_H

#include "base/attr.h"
#include "base/err.h"

enum { BT_RESUME_GENERATIONS = 8 }; /* of notes: a record has its own and at most so many more */

struct bt_resume_ops {
    /* The slot of this name, for this process alone until close. NULL with TARN_E_POLICY when
     * another has it. Names are of letters, digits, '-' and '.', at most 100 bytes. */
    void *(*open)(void *arg, const char *name, struct tarn_err *err);
    void (*close)(void *slot);
    /* The record, and the notes of one generation; both tarn_free. *len is 0 when there is none. */
    bool (*load)(void *slot, uint8_t **record, size_t *len, struct tarn_err *err);
    bool (*load_notes)(void *slot, uint64_t generation, uint8_t **notes, size_t *len,
                       struct tarn_err *err);
    /* Append; also while a record is being saved. It outlives this process from the moment that the
     * call returns, and the machine perhaps. */
    bool (*note)(void *slot, uint64_t generation, struct tarn_bytes note, struct tarn_err *err);
    /* Replace the record: it is on the disk when the call returns. Then older notes go. */
    bool (*save)(void *slot, uint64_t generation, struct tarn_bytes record, struct tarn_err *err);
    void (*forget)(void *slot); /* all of it; the slot is empty and stays open */

    /* A torrent file by its info-hash. */
    bool (*load_torrent)(void *arg, const char *name, uint8_t **torrent, size_t *len,
                         struct tarn_err *err);
    bool (*save_torrent)(void *arg, const char *name, struct tarn_bytes torrent,
                         struct tarn_err *err);
};

/* Files in a folder, which is made when missing and is the user's alone (mode 0700):
 *
 *     NAME.resume        the record, replaced as a whole
 *     NAME.N.journal     notes of generation N
 *     locks              a byte of it is held by the process that has a slot
 *     HASH.torrent       what a magnet link led to */
struct bt_resume_files;
struct bt_resume_files *bt_resume_files_new(const char *folder, struct tarn_err *err) TARN_MUST;
/* Before the first slot: the folder is for this process alone, with one lock for all of it. False:
 * another process is using it, and each slot is locked by itself, which costs time with the square
 * of their number. */
bool bt_resume_files_hold_all(struct bt_resume_files *f);
void bt_resume_files_free(struct bt_resume_files *f);  /* no slot may be open; accepts NULL */
extern const struct bt_resume_ops bt_resume_files_ops; /* arg: the struct */

#endif
