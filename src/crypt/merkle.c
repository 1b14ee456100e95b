/* crypt/merkle: trees are folded a level at a time, so that the nodes of a level are hashed
 * abreast. */
#include "crypt/merkle.h"

#include "crypt/sha.h"

#include <pthread.h>

static uint8_t pads[MERKLE_LEVELS][MERKLE_HASH]; /* written once, below */

static void make_pads(void)
{
    for (unsigned level = 1; level < MERKLE_LEVELS; level++) {
        uint8_t pair[2 * MERKLE_HASH];
        memcpy(pair, pads[level - 1], MERKLE_HASH);
        memcpy(pair + MERKLE_HASH, pads[level - 1], MERKLE_HASH);
        crypt_hash(CRYPT_SHA256, tarn_bytes_of(pair, sizeof pair), pads[level]);
    }
}

const uint8_t *merkle_pad(unsigned level)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make_pads); /* fails only for a bad argument */
    return pads[level];
}

/* n whole pairs, side by side in hashes, become n parents in place: a parent is written behind all
 * pairs that were read for its group. */
static void fold_pairs(uint8_t *hashes, uint64_t n)
{
    for (uint64_t at = 0; at < n; at += CRYPT_LANES_MAX) {
        uint8_t parents[CRYPT_LANES_MAX][MERKLE_HASH];
        struct tarn_bytes pairs[CRYPT_LANES_MAX];
        size_t group = n - at < CRYPT_LANES_MAX ? (size_t)(n - at) : CRYPT_LANES_MAX;
        for (size_t i = 0; i < group; i++)
            pairs[i] = tarn_bytes_of(hashes + (at + i) * 2 * MERKLE_HASH, 2 * MERKLE_HASH);
        crypt_hash_many(CRYPT_SHA256, pairs, group, parents[0]);
        memcpy(hashes + at * MERKLE_HASH, parents, group * MERKLE_HASH);
    }
}

uint64_t merkle_parents(uint8_t *hashes, uint64_t n, unsigned level)
{
    uint8_t odd[2 * MERKLE_HASH];
    if (n % 2 != 0) {
        memcpy(odd, hashes + (n - 1) * MERKLE_HASH, MERKLE_HASH);
        memcpy(odd + MERKLE_HASH, merkle_pad(level), MERKLE_HASH);
    }
    fold_pairs(hashes, n / 2);
    if (n % 2 != 0)
        crypt_hash(CRYPT_SHA256, tarn_bytes_of(odd, sizeof odd), hashes + n / 2 * MERKLE_HASH);
    return n / 2 + n % 2;
}

void merkle_root(uint8_t *hashes, uint64_t n, uint64_t width, unsigned level,
                 uint8_t root[MERKLE_HASH])
{
    for (; width > 1; width /= 2, level++)
        n = merkle_parents(hashes, n, level);
    memcpy(root, hashes, MERKLE_HASH);
}

void merkle_fold(const uint8_t node[MERKLE_HASH], uint64_t index, const uint8_t *uncles,
                 size_t n_uncles, uint8_t result[MERKLE_HASH])
{
    uint8_t at[MERKLE_HASH];
    memcpy(at, node, MERKLE_HASH);
    for (size_t i = 0; i < n_uncles; i++, index >>= 1) {
        uint8_t pair[2 * MERKLE_HASH];
        bool is_right = (index & 1) != 0;
        memcpy(pair + (is_right ? MERKLE_HASH : 0), at, MERKLE_HASH);
        memcpy(pair + (is_right ? 0 : MERKLE_HASH), uncles + i * MERKLE_HASH, MERKLE_HASH);
        crypt_hash(CRYPT_SHA256, tarn_bytes_of(pair, sizeof pair), at);
    }
    memcpy(result, at, MERKLE_HASH);
}
