/* catalog/leaves: the hashes of files, 16 KiB leaves and v1 pieces, in one flat file beside the
 * index.
 *
 * A run is the hashes of one file, one after the other; the index refers to it by where it lies.
 * The order that makes this safe:
 *   new run:   begin, put, end; catalog_leaves_sync; then the index commits the reference;
 *   old run:   the index commits that nothing refers to it; then catalog_leaves_give.
 * So a crash between the two leaves space that nothing refers to and never a reference to what is
 * not there. The caller keeps what it gave back in the index too (in the commit that drops the
 * reference) and gives it again at start; space lost by a crash is found by a sweep (below;
 * sweep.c).
 *
 * Nothing that is read is believed: the leaves of a file fold to its root, and a run of v1 hashes
 * ends with a checksum that includes the root. So a run that was overwritten, cut or rotted is
 * noticed (TARN_E_INTEGRITY: hash the file again).
 *
 * Any thread may call anything, but for a put, which is one thread's at a time. Calls block for the
 * disk. */
#ifndef CATALOG_LEAVES_H
#define CATALOG_LEAVES_H

#include "crypt/merkle.h"
#include "crypt/sha.h"
#include "sys/file.h"

enum catalog_hashes {
    CATALOG_LEAVES, /* 32 bytes each */
    CATALOG_PIECES, /* v1: 20 bytes each, and 8 bytes of checksum behind the last */
};

enum {
    CATALOG_PIECES_SUM = 8, /* the first bytes of a SHA-256 */
    /* Free runs that are kept in mind; of more, the smallest are forgotten until the next sweep. */
    CATALOG_FREE_MAX = 65536,
};

/* Where a run lies. len is 0 when there is none (an empty file, a file of one leaf). */
struct catalog_run {
    uint64_t off;
    uint64_t len; /* bytes */
};

/* Bytes of a run of n hashes; and how many hashes a run has. */
uint64_t catalog_run_len(enum catalog_hashes kind, uint64_t n);
uint64_t catalog_run_count(enum catalog_hashes kind, struct catalog_run run);

struct catalog_leaves;

/* Open the file, or make it. TARN_E_USAGE when it is another file, or of a newer tarn. */
struct catalog_leaves *catalog_leaves_open(const char *path, bool is_read_only,
                                           struct tarn_err *err) TARN_MUST;
void catalog_leaves_close(struct catalog_leaves *l); /* accepts NULL */

/* It was made by this opening: what an index refers to is not in it. */
bool catalog_leaves_is_new(const struct catalog_leaves *l);
/* For such a one: no run is put in front of `end`, now or after another opening. What an index says
 * of the old file would else be given back while something new is there. */
bool catalog_leaves_keep_clear(struct catalog_leaves *l, uint64_t end, struct tarn_err *err)
    TARN_MUST;

/* A new run, written in parts. */
struct catalog_put {
    struct catalog_run run;
    /* private */
    enum catalog_hashes kind;
    uint64_t done; /* bytes */
    struct crypt_sha sum;
};
/* Room for n hashes (n > 0): freed space where it fits, else the end of the file. */
bool catalog_leaves_begin(struct catalog_leaves *l, struct catalog_put *p, enum catalog_hashes kind,
                          uint64_t n, struct tarn_err *err) TARN_MUST;
/* The next n of them. */
bool catalog_leaves_put(struct catalog_leaves *l, struct catalog_put *p, const uint8_t *hashes,
                        uint64_t n, struct tarn_err *err) TARN_MUST;
/* All are there. After this and a sync p->run may be referred to. root: of the file, to which the
 * checksum binds a run of pieces; NULL for leaves, which fold to it. */
bool catalog_leaves_end(struct catalog_leaves *l, struct catalog_put *p, const uint8_t *root,
                        struct tarn_err *err) TARN_MUST;
/* Its space is free again; also after catalog_leaves_end, as long as nothing refers to it. Harmless
 * for one that is zeroed. */
void catalog_leaves_drop(struct catalog_leaves *l, struct catalog_put *p);

/* What was put outlives a power cut. */
bool catalog_leaves_sync(struct catalog_leaves *l, struct tarn_err *err) TARN_MUST;

/* Nothing refers to these bytes any more: they will be written over. Runs that are next to each
 * other become one. Outside the file, or free already: ignored. */
void catalog_leaves_give(struct catalog_leaves *l, struct catalog_run run);

/* Find the space that nothing refers to: every run that is in use, in any order, then `end`, which
 * sets what is free to the gaps between them. No put may be under way. Memory: 16 bytes a run. */
struct catalog_sweep {
    struct catalog_run *runs; /* owned */
    size_t n, cap;
};
bool catalog_sweep_used(struct catalog_sweep *s, struct catalog_run run) TARN_MUST; /* no memory */
/* False (TARN_E_INTEGRITY) when two runs overlap: nothing is changed then. */
bool catalog_sweep_end(struct catalog_sweep *s, struct catalog_leaves *l, struct tarn_err *err)
    TARN_MUST;
void catalog_sweep_release(struct catalog_sweep *s); /* accepts a zeroed one */

/* Hashes [first, first + n) of a run, unchecked: for one who checks what he makes of them. */
bool catalog_leaves_read(struct catalog_leaves *l, struct catalog_run run, enum catalog_hashes kind,
                         uint64_t first, uint64_t n, uint8_t *hashes, struct tarn_err *err)
    TARN_MUST;

/* Read a run from its first hash to its last, some hundreds at a time, and check that it is that of
 * the file with this root: leaves fold to it, the checksum of pieces is made with it. each may be
 * NULL; it sees hashes before they are checked, so what it makes of them counts only when this
 * returns true. each false: stop, with its err. */
bool catalog_leaves_walk(struct catalog_leaves *l, struct catalog_run run, enum catalog_hashes kind,
                         const uint8_t *root,
                         bool (*each)(void *arg, uint64_t first, const uint8_t *hashes, size_t n,
                                      struct tarn_err *err),
                         void *arg, struct tarn_err *err) TARN_MUST;

struct catalog_leaves_stat {
    uint64_t file, free; /* bytes */
    size_t free_runs;
};
struct catalog_leaves_stat catalog_leaves_stat(struct catalog_leaves *l);

#endif
