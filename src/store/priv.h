/* store/priv: what the files of this room share: the insides of tree and scan. */
#ifndef STORE_PRIV_H
#define STORE_PRIV_H

#include "store/scan.h"
#include "store/tree.h"
#include "sys/thread.h"

#include <stdatomic.h>

/* A path as the system takes it. Longer ones cannot be opened in one call, so they are refused. */
struct store_path {
    char s[4096];
};

/* table.c: the open files of one tree: of all trees at most STORE_OPEN_FILES, and a few for each;
 * the longest unused goes first. */
struct store_table {
    struct sys_lock lock;
    struct store_slot {
        struct sys_file *file; /* counted */
        uint64_t used;         /* turn of the last use */
        uint32_t index;        /* of the file in the layout */
        bool can_write;
    } * slots; /* owned; as many as were open at once: a torrent that nobody asks for has none */
    size_t n, cap, max;
    uint64_t turn;
};

/* How many files may be open at a time for one purpose: `most`, and no more than this part (a
 * fourth, a sixteenth) of what the process may have open. */
size_t store_may_open(size_t most, unsigned part);

void store_table_init(struct store_table *t);
void store_table_release(struct store_table *t);
void store_table_clear(struct store_table *t); /* close all */
/* A new reference, or NULL when it is not open (for writing, when that is asked for). */
struct sys_file *store_table_get(struct store_table *t, uint32_t index, bool to_write);
/* Keep a reference of its own. When another thread was quicker, its file is returned in place of
 * f, which is unreferenced: both see the same bytes. */
struct sys_file *store_table_put(struct store_table *t, uint32_t index, bool can_write,
                                 struct sys_file *f);
void store_table_drop(struct store_table *t, uint32_t index);

/* names.c: what a file is called until it is finished: `<path>.part`.
 *
 * When that name is longer than 255 bytes, or is itself the path of a file or folder in the layout,
 * it is `<path, cut at a character to fit>.<index>-<k>.part` with the file's index in the layout
 * and the least k from 1 that is free. The same layout always gives the same names. */
struct store_names {
    uint8_t *k; /* owned; one for each file, 0 for the usual name; NULL when all are */
};

bool store_names_init(struct store_names *n, const struct store_layout *l, struct tarn_err *err)
    TARN_MUST;
void store_names_release(struct store_names *n);
/* False when it is longer than a path can be. */
bool store_names_part(const struct store_names *n, const struct store_layout *l, uint32_t file,
                      struct store_path *path) TARN_MUST;

/* tree.c */

/* What a file was when it was opened first. */
struct store_seen {
    uint64_t ino; /* 0: not yet */
    int64_t mtime_ns;
};

struct store_tree {
    const struct store_layout *layout; /* borrowed */
    char *root;       /* owned: reading: the payload or its folder; writing: the folder */
    bool is_writable; /* made by store_tree_create */
    bool is_payload;  /* reading: root is what the paths' first element names */
    enum sys_file_way way;
    struct sys_file *dir; /* writing: root; counted; NULL until it is needed; under table.lock */
    struct store_names names;
    struct sys_lock making; /* held while a file is looked for, made or renamed */
    uint8_t *where;         /* writing: enum store_where; under table.lock */
    uint8_t *dirty;         /* writing: 1 when written since the last sync; under table.lock */
    uint32_t n_dirty;
    struct store_seen *seen; /* reading: owned, one for each file; under table.lock */
    struct store_table table;
};

/* A file with bytes of its own on disk: no padding, no symlink, not empty. */
static inline bool store_has_bytes(const struct store_file *f)
{
    return !f->is_pad && f->symlink_target == NULL && f->len > 0;
}

enum store_where store_where_of(struct store_tree *t, uint32_t file);
void store_set_where(struct store_tree *t, uint32_t file, enum store_where where);

/* What is below the folder that is written into, as sys_open_beneath. The folder stays open until
 * the tree rests. */
int store_open_below(struct store_tree *t, const char *path, enum sys_open_how how,
                     struct tarn_err *err) TARN_MUST;
/* The folder itself, counted: the caller unrefs. */
struct sys_file *store_root(struct store_tree *t, struct tarn_err *err) TARN_MUST;

/* The folder that holds a path below the tree's, opened without following symlinks, and the path's
 * last element. -1 on failure. */
int store_open_parent(struct store_tree *t, const char *path, const char **name,
                      struct tarn_err *err) TARN_MUST;
/* The path a file has below the tree's folder in this state; false (TARN_E_POLICY) when too long.
 */
bool store_path_at(struct store_tree *t, uint32_t file, enum store_where where,
                   struct store_path *path, struct tarn_err *err) TARN_MUST;

/* Sync those of n files, at most STORE_SYNC_MAX, that were written to since the last sync: through
 * fds, or (NULL) as they are found. */
enum { STORE_SYNC_MAX = 128 };
bool store_sync_files(struct store_tree *t, const uint32_t *files, const int *fds, size_t n,
                      struct tarn_err *err) TARN_MUST;

/* prepare.c */

/* Find a file for writing, or (may_make) make it, sparse; sets where it is. Called with `making`
 * held. is_new: made here. had: there was content. */
struct store_settled {
    int fd; /* the caller's to close; read only when where is STORE_WHERE_FINAL */
    enum store_where where;
    bool is_new, had;
};
bool store_settle(struct store_tree *t, uint32_t file, bool may_make, struct store_settled *s,
                  struct tarn_err *err) TARN_MUST;

/* The three steps of finishing a file: make an empty one; find one that is written, as it was
 * written and whole (s->fd is the caller's to close, also on failure); and, when it is synced, give
 * it its mode and name. */
bool store_make_empty(struct store_tree *t, uint32_t file, struct tarn_err *err) TARN_MUST;
bool store_find_whole(struct store_tree *t, uint32_t file, struct store_settled *s,
                      struct tarn_err *err) TARN_MUST;
bool store_name_whole(struct store_tree *t, uint32_t file, const struct store_settled *s,
                      struct tarn_err *err) TARN_MUST;

/* Give a file that is under its final name the temporary one again, because something that is not
 * verified will be written to it. */
bool store_tree_withdraw(struct store_tree *t, uint32_t file, struct tarn_err *err) TARN_MUST;

/* As store_tree_write, for what is not verified yet: files are withdrawn first. */
bool store_tree_write_early(struct store_tree *t, uint64_t off, const struct tarn_bytes *runs,
                            size_t n, struct tarn_err *err) TARN_MUST;

/* Says how much was asked and how much is free, when err is about that; else what was being done
 * with which file. Returns false. */
bool store_fail_space(struct store_tree *t, uint32_t file, const char *doing, uint64_t asked,
                      struct tarn_err *err);

/* read.c: reading runs of the address space for scan, one file kept open between calls. */
struct store_reader {
    struct store_tree *tree; /* borrowed */
    struct sys_file *file;   /* counted; NULL: none yet */
    uint32_t index;          /* of file */
    uint64_t bytes;          /* read so far, from files */
    uint64_t hinted;         /* the kernel was told up to here */
};

void store_reader_init(struct store_reader *r, struct store_tree *tree);
void store_reader_release(struct store_reader *r);

/* Why a run could not be read. */
struct store_fault {
    enum store_found found;
    uint32_t file;
    struct tarn_err err; /* STORE_FAILED */
};

/* The bytes of [off, off + len): in buf, or in zeros when all of them are padding. NULL when a file
 * fails. */
const uint8_t *store_reader_get(struct store_reader *r, uint64_t off, size_t len, uint8_t *buf,
                                const uint8_t *zeros, struct store_fault *fault);

/* Is the beginning of this run in memory already? True when nobody can tell. */
bool store_reader_is_warm(struct store_reader *r, uint64_t off, uint64_t len);
/* Cold content: tell the kernel what comes after `at`, up to end. */
void store_reader_hint(struct store_reader *r, uint64_t at, uint64_t end);

/* scan.c: what the workers of one scan share. */
enum {
    STORE_ABREAST = CRYPT_LANES_MAX, /* pieces that v1 reads side by side */
    STORE_BATCH_MAX = 64,            /* pieces that a worker takes at a time */
};

struct store_run {
    const struct store_scan *scan; /* borrowed */
    struct sys_lock lock;          /* of what follows, up to the atomics */
    struct sys_cond ended;         /* a worker has ended */
    unsigned running;              /* workers */
    uint32_t n_pieces;             /* to be scanned in all */
    uint32_t n_batches, batch;     /* in all, taken */
    uint32_t next;                 /* the piece to look at next */
    atomic_ullong done;            /* bytes of the address space */
    atomic_bool stop;
};

/* The next pieces, ascending; 0 when there are none or the scan is stopped. */
size_t store_run_take(struct store_run *run, uint32_t pieces[STORE_BATCH_MAX]);
static inline bool store_run_stopped(const struct store_run *run)
{
    return atomic_load_explicit(&run->stop, memory_order_relaxed);
}
static inline void store_run_done(struct store_run *run, uint64_t bytes)
{
    atomic_fetch_add_explicit(&run->done, bytes, memory_order_relaxed);
}
/* Tell the caller of the scan that a piece cannot be read. */
void store_run_fault(struct store_run *run, uint32_t piece, const struct store_fault *fault);

/* How one worker works: abreast.c for v1 and for both, leaves.c for v2 alone. */
struct store_work {
    void *(*make)(struct store_run *run); /* NULL: no memory */
    void (*batch)(void *w, const uint32_t *pieces, size_t n);
    /* Returns the bytes read. Accepts NULL. */
    uint64_t (*free)(void *w);
};
extern const struct store_work store_work_abreast, store_work_leaves;

/* Leaves of a whole piece. */
static inline size_t store_piece_leaves(const struct store_layout *l)
{
    return l->piece_len / MERKLE_BLOCK + (l->piece_len % MERKLE_BLOCK != 0);
}

#endif
