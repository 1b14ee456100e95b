/* catalog/scrub: held files are read again and compared with their leaves, at leisure.
 *
 * The owner says which file is next, and is told of each what was found, with the blocks of 16 KiB
 * that are bad. A file whose stat is another is changed, not damaged: somebody wrote it anew.
 * Leaves are read beside the file and must fold to its root, so that bad leaves are not taken for a
 * bad file.
 *
 * One file at a time, one short job (CATALOG_SCRUB_STEP) at a time on the loop's pool, and no more
 * bytes a second than the rate. What had to come from the disk is dropped from the page cache
 * again: a check of the whole store must not push out what is being served. (Intake does not,
 * because what is new will be asked for.) What is in memory already is checked as it is in memory:
 * the kernel would give the same bytes to everybody who asks.
 *
 * Everything belongs to the loop's thread. */
#ifndef CATALOG_SCRUB_H
#define CATALOG_SCRUB_H

#include "catalog/leaves.h"
#include "loop/loop.h"

enum {
    CATALOG_SCRUB_STEP = 1 << 20, /* bytes of a job */
    CATALOG_SCRUB_RANGES = 64,    /* told of one file; of more, only the number of blocks */
};

/* A held file. */
struct catalog_scrub_file {
    int dir;              /* opened below it, as sys_open_beneath does */
    const char *path;     /* borrowed until the file is told, or the scrub stopped */
    struct sys_stat stat; /* when it was hashed: the length is its */
    uint8_t root[MERKLE_HASH];
    struct catalog_run leaves; /* none where there is one leaf, or no byte */
    uint64_t place;            /* block to begin with, as catalog_scrub_place said; 0: the first */
    void *tag;                 /* the owner's */
};

enum catalog_scrubbed {
    CATALOG_SCRUB_GOOD,
    CATALOG_SCRUB_CHANGED,    /* stat says who it is now; err that it is gone, or how it differs */
    CATALOG_SCRUB_DAMAGED,    /* blocks differ, or cannot be read (err has the first reason) */
    CATALOG_SCRUB_LEAVES,     /* the leaves are damaged: hash the file again, nothing is known */
    CATALOG_SCRUB_UNREADABLE, /* it cannot be opened: err */
};

struct catalog_bad {
    uint64_t first, n; /* blocks of 16 KiB */
};

struct catalog_scrub_result {
    const struct catalog_scrub_file *file;
    enum catalog_scrubbed what;
    struct sys_stat stat; /* CHANGED: now; all 0 when it is gone */
    struct catalog_bad bad[CATALOG_SCRUB_RANGES];
    size_t n_bad;        /* ranges */
    uint64_t bad_blocks; /* in all */
    uint64_t bytes_read;
    struct tarn_err err;
};

struct catalog_scrub_settings {
    struct loop *loop;
    struct catalog_leaves *leaves; /* borrowed */
    uint64_t rate_bps;             /* bytes a second; 0: no limit */
    /* The next file; false: there is none, the scrub is over. */
    bool (*next)(void *arg, struct catalog_scrub_file *f);
    void (*told)(void *arg, const struct catalog_scrub_result *r);
    void (*over)(void *arg); /* may start again, later */
    void *arg;
};

struct catalog_scrub;
struct catalog_scrub *catalog_scrub_new(const struct catalog_scrub_settings *set,
                                        struct tarn_err *err) TARN_MUST;
void catalog_scrub_free(struct catalog_scrub *s); /* stops it; accepts NULL; not from a callback */

/* Begin, or go on after a stop, with what next() says. Harmless while it runs. */
void catalog_scrub_start(struct catalog_scrub *s);
/* At once (a job that runs is waited for, about a millisecond); nothing is told of the file under
 * way. */
void catalog_scrub_stop(struct catalog_scrub *s);
void catalog_scrub_set_rate(struct catalog_scrub *s, uint64_t rate_bps);

/* The file under way, and the block to begin with if it is taken up again: all before it are good.
 * NULL: none. Cheap: ask it when you store it. */
const struct catalog_scrub_file *catalog_scrub_now(const struct catalog_scrub *s);
uint64_t catalog_scrub_place(const struct catalog_scrub *s);
uint64_t catalog_scrub_bytes(const struct catalog_scrub *s); /* read so far, of all files */

#endif
