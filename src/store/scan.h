/* store/scan: read all content once and hash it, with all processors: what create and verify do.
 *
 * Each worker takes sixteen pieces at a time and reads them abreast, a chunk of each in turn, so
 * that v1's long messages fill the lanes (crypt/sha) from a buffer that stays in the cache; v2's 16
 * KiB leaves are hashed from the same buffer while it is hot. Every byte is read once. A worker
 * takes little over 1 MiB of memory for any content, and with v2 the hashes of the pieces that it
 * reads: 4 MiB where pieces are longest. Blocks until done. */
#ifndef STORE_SCAN_H
#define STORE_SCAN_H

#include "base/bits.h"
#include "crypt/merkle.h"
#include "crypt/sha.h"
#include "store/tree.h"

enum store_found {
    STORE_READ,    /* all bytes were there; the hashes are of them */
    STORE_MISSING, /* a file that the piece needs is not there */
    STORE_SHORT,   /* a file ends before the piece does */
    STORE_FAILED,  /* reading failed: err of the piece says why */
};

struct store_scanned {
    uint32_t piece;
    enum store_found found;
    uint32_t file;              /* STORE_MISSING, STORE_SHORT, STORE_FAILED: where */
    const struct tarn_err *err; /* STORE_FAILED */
    const uint8_t *sha1;        /* 20 bytes, when v1 was asked for */
    const uint8_t *leaves;      /* v2: n_leaves of 32 bytes, of the bytes of the piece's own file */
    uint8_t *work;              /* the same leaves again, to be overwritten (merkle_root) */
    uint32_t n_leaves;
};

struct store_scan {
    struct store_tree *tree; /* borrowed */
    const struct store_layout *layout;
    bool want_v1, want_v2;        /* v2: every file starts at a piece */
    unsigned jobs;                /* worker threads; 0: as many as processors */
    bool no_threads;              /* work on the calling thread alone */
    const struct tarn_bits *only; /* pieces to scan; NULL: all */

    /* Called for every piece, from any worker, pieces in no order, never two calls for one piece.
     */
    void (*on_piece)(void *arg, const struct store_scanned *s);
    /* Called from the thread that called store_scan_run, about ten times a second and at the end.
     * False: stop (TARN_E_CANCELED). May be NULL. */
    bool (*on_progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;

    uint64_t bytes_read; /* out: from files */
};

/* False only when it could not be done (no memory, no thread, canceled): what is wrong with a piece
 * is told with the piece. */
bool store_scan_run(struct store_scan *s, struct tarn_err *err) TARN_MUST;

#endif
