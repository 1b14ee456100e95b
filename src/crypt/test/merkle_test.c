#include "crypt/merkle.h"

#include "base/num.h"
#include "base/test/test.h"
#include "base/text.h"
#include "crypt/sha.h"

enum { N_MAX = 70, WIDTH_MAX = 256 };

/* The definition, read aloud: the root over hashes[0..n) of `level`, filled up to width. */
static void naive_root(const uint8_t *hashes, uint64_t n, uint64_t width, unsigned level,
                       uint8_t *root)
{
    if (width == 1) {
        memcpy(root, n == 0 ? merkle_pad(level) : hashes, MERKLE_HASH);
        return;
    }
    uint8_t pair[2 * MERKLE_HASH];
    uint64_t half = width / 2;
    uint64_t left = tarn_min_u64(n, half);
    naive_root(hashes, left, half, level, pair);
    naive_root(hashes + left * MERKLE_HASH, n - left, half, level, pair + MERKLE_HASH);
    crypt_hash(CRYPT_SHA256, tarn_bytes_of(pair, sizeof pair), root);
}

static void fill(uint8_t *hashes, size_t n, uint64_t *seed)
{
    for (size_t i = 0; i < n * MERKLE_HASH; i++)
        hashes[i] = (uint8_t)test_rand(seed);
}

/* BEP 52 leaves them to be computed; these are what libtorrent and others compute. */
static void test_pads(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b",
        "db56114e00fdd4c1f85c892bf35ac9a89289aaecb1ebd0a96cde606a748b5d71",
        "c78009fdf07fc56a11f122370658a353aaa542ed63e44c4bc15ff4cd105ab33c",
        "536d98837f2dd165a55d5eeae91485954472d56f246df256bf3cae19352a123c",
    };
    for (unsigned i = 0; i < TARN_COUNT_OF(expected); i++) {
        char hex[2 * MERKLE_HASH + 1];
        tarn_hex(hex, tarn_bytes_of(merkle_pad(i), MERKLE_HASH));
        assert_string_equal(hex, expected[i]);
    }
    uint8_t pair[2 * MERKLE_HASH], parent[MERKLE_HASH];
    for (unsigned i = 1; i < MERKLE_LEVELS; i++) {
        memcpy(pair, merkle_pad(i - 1), MERKLE_HASH);
        memcpy(pair + MERKLE_HASH, merkle_pad(i - 1), MERKLE_HASH);
        crypt_hash(CRYPT_SHA256, tarn_bytes_of(pair, sizeof pair), parent);
        assert_memory_equal(merkle_pad(i), parent, MERKLE_HASH);
    }
}

static void test_root(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (uint64_t n = 1; n <= N_MAX; n++)
        for (uint64_t width = tarn_pow2_up_u64(n); width <= WIDTH_MAX; width *= 2)
            for (unsigned level = 0; level <= 6; level += 3) {
                uint8_t hashes[N_MAX * MERKLE_HASH];
                uint8_t root[MERKLE_HASH], expected[MERKLE_HASH];
                fill(hashes, n, &seed);
                naive_root(hashes, n, width, level, expected);
                merkle_root(hashes, n, width, level, root);
                assert_memory_equal(root, expected, MERKLE_HASH);
            }
}

/* One leaf is its own root; a root may be written over the leaves it comes from. */
static void test_root_in_place(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    uint8_t hashes[3 * MERKLE_HASH], expected[MERKLE_HASH];
    fill(hashes, 3, &seed);
    memcpy(expected, hashes, MERKLE_HASH);
    merkle_root(hashes, 1, 1, 0, hashes);
    assert_memory_equal(hashes, expected, MERKLE_HASH);
    naive_root(hashes, 3, 4, 0, expected);
    merkle_root(hashes, 3, 4, 0, hashes);
    assert_memory_equal(hashes, expected, MERKLE_HASH);
}

static void test_parents(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (uint64_t n = 0; n <= N_MAX; n++) {
        uint8_t hashes[N_MAX * MERKLE_HASH], before[N_MAX * MERKLE_HASH];
        fill(hashes, N_MAX, &seed);
        memcpy(before, hashes, sizeof before);
        assert_int_equal(merkle_parents(hashes, n, 5), (n + 1) / 2);
        for (uint64_t i = 0; i < (n + 1) / 2; i++) {
            uint8_t expected[MERKLE_HASH];
            naive_root(before + 2 * i * MERKLE_HASH, tarn_min_u64(2, n - 2 * i), 2, 5, expected);
            assert_memory_equal(hashes + i * MERKLE_HASH, expected, MERKLE_HASH);
        }
    }
}

/* Every leaf of a tree, with the uncles taken from the tree, folds to the root. */
static void test_fold(void **state)
{
    (void)state;
    enum { LEVELS = 6, LEAVES = 1 << (LEVELS - 1) };
    uint64_t seed = test_seed();
    static uint8_t level[LEVELS][LEAVES * MERKLE_HASH];
    uint64_t n = LEAVES;
    fill(level[0], LEAVES, &seed);
    for (unsigned i = 1; i < LEVELS; i++) {
        memcpy(level[i], level[i - 1], sizeof level[i]);
        n = merkle_parents(level[i], n, i - 1);
    }
    assert_int_equal(n, 1);
    for (size_t leaf = 0; leaf < LEAVES; leaf++) {
        uint8_t uncles[LEVELS - 1][MERKLE_HASH], result[MERKLE_HASH];
        for (size_t i = 0; i < LEVELS - 1; i++)
            memcpy(uncles[i], level[i] + ((leaf >> i) ^ 1) * MERKLE_HASH, MERKLE_HASH);
        for (size_t count = 0; count < LEVELS; count++) {
            merkle_fold(level[0] + leaf * MERKLE_HASH, leaf, uncles[0], count, result);
            assert_memory_equal(result, level[count] + (leaf >> count) * MERKLE_HASH, MERKLE_HASH);
        }
    }
}

/* Fed in any portions, the sum is the root of the definition, at its own height and above. */
static void test_sum(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    uint8_t hashes[N_MAX * MERKLE_HASH], naive[MERKLE_HASH], root[MERKLE_HASH];
    for (unsigned level = 0; level < 3; level++)
        for (uint64_t n = 1; n <= N_MAX; n++) {
            struct merkle_sum sum = { 0 };
            fill(hashes, n, &seed);
            for (uint64_t at = 0, take; at < n; at += take) {
                take = tarn_min_u64(n - at, test_rand_below(&seed, 9));
                merkle_sum_add(&sum, hashes + at * MERKLE_HASH, take);
            }
            assert_int_equal(sum.n, n);
            for (unsigned levels = merkle_levels(n); levels < 9; levels++) {
                naive_root(hashes, n, (uint64_t)1 << levels, level, naive);
                merkle_sum_root(&sum, level, levels, root);
                assert_memory_equal(root, naive, MERKLE_HASH);
            }
        }
    assert_int_equal(merkle_levels(1), 0);
    assert_int_equal(merkle_levels(2), 1);
    assert_int_equal(merkle_levels(3), 2);
    assert_int_equal(merkle_levels(4), 2);
}

TEST_MAIN(cmocka_unit_test(test_sum), cmocka_unit_test(test_pads), cmocka_unit_test(test_root),
          cmocka_unit_test(test_root_in_place), cmocka_unit_test(test_parents),
          cmocka_unit_test(test_fold))
