/* node/core/proof: the hashes that lead from a range of a file to its root, so that whoever has the
 * range and the root can tell that it is that range of that file (docs/proof.md).
 *
 * A range is blocks of 16 KiB. Going up the tree of BEP 52 from the leaves of the range, a level at
 * a time, the hash left of the interval is needed where the interval begins with a right child, and
 * the hash right of it where it ends with a left child and the file goes on there: those are the
 * uncles, in this order, at most two a level. Where the file does not go on, the hash is that of
 * empty leaves, which everybody can make.
 *
 * All leaves of the file are fed once, in order; memory is constant. Pure. */
#ifndef NODE_CORE_PROOF_H
#define NODE_CORE_PROOF_H

#include "base/err.h"
#include "base/out.h"
#include "crypt/merkle.h"

enum { PROOF_UNCLES_MAX = 2 * MERKLE_LEVELS };

struct proof {
    uint64_t len;          /* of the file */
    uint64_t first, count; /* blocks of the range */
    size_t n;              /* uncles */
    uint8_t uncles[PROOF_UNCLES_MAX][MERKLE_HASH];
    /* private */
    struct proof_node {
        uint64_t first; /* leaf */
        unsigned level;
    } nodes[PROOF_UNCLES_MAX];          /* in the order of uncles */
    uint8_t by_place[PROOF_UNCLES_MAX]; /* the same, from left to right */
    size_t at;                          /* of by_place: under way */
    uint64_t done;                      /* leaves */
    struct merkle_sum sum;              /* of that node */
    struct merkle_sum all;
};

/* The blocks that hold bytes [off, off + len) of a file of file_len bytes: len > 0, inside it. */
void proof_blocks(uint64_t off, uint64_t len, uint64_t *first, uint64_t *count);

/* TARN_E_USAGE when the range is empty or not inside the file. */
bool proof_begin(struct proof *p, uint64_t len, uint64_t first, uint64_t count,
                 struct tarn_err *err) TARN_MUST;
/* The next n leaves; too many are ignored. A file of one leaf may be fed its root. */
void proof_leaves(struct proof *p, const uint8_t *leaves, size_t n);
/* All are there, and fold to this root? TARN_E_INTEGRITY when not. */
bool proof_end(struct proof *p, const uint8_t root[MERKLE_HASH], struct tarn_err *err) TARN_MUST;
/* As JSON: docs/proof.md. After proof_end. */
void proof_write(const struct proof *p, const uint8_t root[MERKLE_HASH], struct tarn_out *o);

#endif
