/* Whole hash trees of small invented files, every node kept: what fast answers are compared with.
 */
#ifndef BT_CORE_TEST_TREE_H
#define BT_CORE_TEST_TREE_H

#include "base/mem.h"
#include "bt/core/hashreq.h"
#include "crypt/merkle.h"
#include "crypt/sha.h"

struct tree {
    unsigned height;
    uint64_t n_leaves;
    uint8_t *levels[24]; /* levels[0]: the leaves, filled up */
};

/* Leaves are made up: the hash of nothing but their number. */
static inline void tree_make(struct tree *t, uint64_t n_leaves, uint32_t salt)
{
    *t = (struct tree){ .n_leaves = n_leaves };
    uint64_t width = 1;
    while (width < n_leaves) {
        width *= 2;
        t->height++;
    }
    for (unsigned level = 0; level <= t->height; level++)
        t->levels[level] = tarn_calloc((size_t)(width >> level), 32);
    for (uint64_t i = 0; i < n_leaves; i++) {
        uint32_t seed[2] = { salt, (uint32_t)i };
        crypt_hash(CRYPT_SHA256, tarn_bytes_of(seed, sizeof seed), t->levels[0] + i * 32);
    }
    for (unsigned level = 0; level < t->height; level++)
        for (uint64_t i = 0; i < width >> (level + 1); i++)
            crypt_hash(CRYPT_SHA256, tarn_bytes_of(t->levels[level] + i * 64, 64),
                       t->levels[level + 1] + i * 32);
}

static inline void tree_release(struct tree *t)
{
    for (unsigned level = 0; level <= t->height; level++)
        tarn_free(t->levels[level]);
}

static inline const uint8_t *tree_root(const struct tree *t)
{
    return t->levels[t->height];
}

/* The layer that a torrent with this piece length would have; NULL: the file fits one piece. */
static inline const uint8_t *tree_layer(const struct tree *t, unsigned level)
{
    return level < t->height ? t->levels[level] : NULL;
}

#endif
