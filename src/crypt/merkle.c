/* Trees of SHA-256. Parents are hashed as many abreast as there are lanes, into a buffer of their
 * own, because the level they come from is also where they go. */
#include "crypt/merkle.h"

#include "base/num.h"
#include "crypt/sha.h"

#include <assert.h>
#include <pthread.h>

static uint8_t pads[MERKLE_LEVELS][MERKLE_HASH];

/* SHA-256(left || right). result may be one of them. */
static void hash_pair(const uint8_t *left, const uint8_t *right, uint8_t *result)
{
    uint8_t pair[2 * MERKLE_HASH];
    memcpy(pair, left, MERKLE_HASH);
    memcpy(pair + MERKLE_HASH, right, MERKLE_HASH);
    crypt_hash(CRYPT_SHA256, tarn_bytes_of(pair, sizeof pair), result);
}

static void make_pads(void)
{
    for (size_t i = 1; i < MERKLE_LEVELS; i++)
        hash_pair(pads[i - 1], pads[i - 1], pads[i]);
}

const uint8_t *merkle_pad(unsigned level)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    assert(level < MERKLE_LEVELS);
    (void)pthread_once(&once, make_pads); /* fails only for a bad once */
    return pads[level];
}

uint64_t merkle_parents(uint8_t *hashes, uint64_t n, unsigned level)
{
    uint64_t pairs = n / 2;
    for (uint64_t i = 0; i < pairs;) {
        struct tarn_bytes data[CRYPT_LANES_MAX];
        uint8_t parents[CRYPT_LANES_MAX][MERKLE_HASH];
        size_t count = 0;
        for (; count < CRYPT_LANES_MAX && i + count < pairs; count++)
            data[count] = tarn_bytes_of(hashes + (i + count) * 2 * MERKLE_HASH, 2 * MERKLE_HASH);
        crypt_hash_many(CRYPT_SHA256, data, count, parents[0]);
        memcpy(hashes + i * MERKLE_HASH, parents, count * MERKLE_HASH);
        i += count;
    }
    if (n % 2 != 0)
        hash_pair(hashes + (n - 1) * MERKLE_HASH, merkle_pad(level), hashes + pairs * MERKLE_HASH);
    return pairs + n % 2;
}

void merkle_root(uint8_t *hashes, uint64_t n, uint64_t width, unsigned level,
                 uint8_t root[MERKLE_HASH])
{
    assert(n >= 1 && n <= width && (width & (width - 1)) == 0);
    for (; width > 1; width /= 2)
        n = merkle_parents(hashes, n, level++);
    memcpy(root, hashes, MERKLE_HASH);
}

void merkle_fold(const uint8_t node[MERKLE_HASH], uint64_t index, const uint8_t *uncles,
                 size_t n_uncles, uint8_t result[MERKLE_HASH])
{
    uint8_t hash[MERKLE_HASH];
    memcpy(hash, node, sizeof hash);
    for (size_t i = 0; i < n_uncles; i++, index /= 2) {
        const uint8_t *uncle = uncles + i * MERKLE_HASH;
        if (index % 2 == 0)
            hash_pair(hash, uncle, hash);
        else
            hash_pair(uncle, hash, hash);
    }
    memcpy(result, hash, sizeof hash);
}

unsigned merkle_levels(uint64_t n)
{
    return tarn_log2_u64(tarn_pow2_up_u64(n));
}

void merkle_sum_add(struct merkle_sum *s, const uint8_t *hashes, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++, s->n++) {
        uint8_t node[MERKLE_HASH];
        unsigned level = 0;
        memcpy(node, hashes + i * MERKLE_HASH, sizeof node);
        for (; (s->n >> level & 1) != 0; level++) /* a whole subtree to the left, of equal size */
            hash_pair(s->nodes[level], node, node);
        memcpy(s->nodes[level], node, sizeof node);
    }
}

void merkle_sum_root(const struct merkle_sum *s, unsigned level, unsigned levels,
                     uint8_t root[MERKLE_HASH])
{
    assert(s->n >= 1 && levels < MERKLE_LEVELS && s->n <= (uint64_t)1 << levels);
    unsigned lowest = 0;
    uint8_t node[MERKLE_HASH];
    while ((s->n >> lowest & 1) == 0)
        lowest++;
    memcpy(node, s->nodes[lowest], sizeof node); /* the last of the whole subtrees: a left child */
    for (unsigned at = lowest; at < levels; at++) {
        if (at > lowest && (s->n >> at & 1) != 0)
            hash_pair(s->nodes[at], node, node);
        else
            hash_pair(node, merkle_pad(level + at), node);
    }
    memcpy(root, node, sizeof node);
}
