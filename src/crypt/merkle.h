/* crypt/merkle: the hash trees of BitTorrent v2 (BEP 52).
 *
 * A leaf is the SHA-256 of 16 KiB of a file (the last one of what is left, not filled up). The
 * leaves are filled up to a power of two with 32 zero bytes; a parent is the SHA-256 of its two
 * children. A layer is an array of 32-byte hashes, level 0 the leaves. Pure; nodes of one level are
 * hashed in lanes. */
#ifndef CRYPT_MERKLE_H
#define CRYPT_MERKLE_H

#include "base/attr.h"
#include "base/bytes.h"

enum {
    MERKLE_HASH = 32,
    MERKLE_BLOCK = 16384,
    MERKLE_LEVELS = 40, /* more than any file needs */
};

/* The hash that stands for a whole missing subtree of 2^level leaves: 32 zero bytes at level 0. */
const uint8_t *merkle_pad(unsigned level); /* level < MERKLE_LEVELS */

/* The root over n hashes of one level (n >= 1), filled up to `width` of them (a power of two, at
 * least n) with merkle_pad(level). `hashes` is used as working space and overwritten. */
void merkle_root(uint8_t *hashes, uint64_t n, uint64_t width, unsigned level,
                 uint8_t root[MERKLE_HASH]);

/* One level up: n hashes at `level` become (n + 1) / 2 parents, in place; a missing right child is
 * merkle_pad(level). Returns the number of parents. */
uint64_t merkle_parents(uint8_t *hashes, uint64_t n, unsigned level);

/* Fold a node with its uncles, nearest first: index is the node's place in its level, and is
 * shifted on the way. Writes the hash that results `n_uncles` levels above. */
void merkle_fold(const uint8_t node[MERKLE_HASH], uint64_t index, const uint8_t *uncles,
                 size_t n_uncles, uint8_t result[MERKLE_HASH]);

/* The same of leaves (or nodes of any level) that come one after the other and are not kept: the
 * roots of the whole subtrees so far, one a level at most. Zeroed: nothing yet. */
struct merkle_sum {
    uint64_t n; /* hashes so far */
    uint8_t nodes[MERKLE_LEVELS][MERKLE_HASH];
};
void merkle_sum_add(struct merkle_sum *s, const uint8_t *hashes, uint64_t n);
/* The root over all of them (n >= 1), `levels` above them (2^levels >= n), filled up with
 * merkle_pad(level) where they are of `level`. */
void merkle_sum_root(const struct merkle_sum *s, unsigned level, unsigned levels,
                     uint8_t root[MERKLE_HASH]);
/* Levels between n hashes (n >= 1) and their root: 0 for one, 1 for two, 2 for three. */
unsigned merkle_levels(uint64_t n);

#endif
