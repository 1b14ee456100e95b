/* Trees against a naive recursion that knows only the definition. */
#include "crypt/merkle.h"

#include "base/test/test.h"
#include "base/text.h"
#include "crypt/sha.h"

static uint64_t chance = 1; /* a fixed tree each time */

enum { MOST = 70 };

/* The node at `level` above leaves [first, first + 2^level), those from n on being pads. */
static void naive(const uint8_t *leaves, uint64_t n, uint64_t first, unsigned level, uint8_t *node)
{
    uint8_t pair[2 * MERKLE_HASH];
    if (level == 0) {
        if (first < n)
            memcpy(node, leaves + first * MERKLE_HASH, MERKLE_HASH);
        else
            memset(node, 0, MERKLE_HASH);
        return;
    }
    naive(leaves, n, first, level - 1, pair);
    naive(leaves, n, first + ((uint64_t)1 << (level - 1)), level - 1, pair + MERKLE_HASH);
    crypt_hash(CRYPT_SHA256, tarn_bytes_of(pair, sizeof pair), node);
}

static void fill(uint8_t *leaves, size_t n)
{
    for (size_t i = 0; i < n * MERKLE_HASH; i++)
        leaves[i] = (uint8_t)test_rand(&chance);
}

static void pads(void **state)
{
    (void)state;
    static const char *const want[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b",
        "db56114e00fdd4c1f85c892bf35ac9a89289aaecb1ebd0a96cde606a748b5d71",
        "c78009fdf07fc56a11f122370658a353aaa542ed63e44c4bc15ff4cd105ab33c",
        "536d98837f2dd165a55d5eeae91485954472d56f246df256bf3cae19352a123c",
    };
    for (unsigned level = 0; level < 5; level++) {
        char hex[2 * MERKLE_HASH + 1];
        assert_string_equal(tarn_hex(hex, tarn_bytes_of(merkle_pad(level), MERKLE_HASH)),
                            want[level]);
    }
}

static void roots(void **state)
{
    (void)state;
    uint8_t leaves[MOST * MERKLE_HASH], work[MOST * MERKLE_HASH];
    for (uint64_t n = 1; n <= MOST; n++) {
        fill(leaves, n);
        for (unsigned height = 0; height <= 8; height++) {
            uint8_t root[MERKLE_HASH], want[MERKLE_HASH];
            if ((uint64_t)1 << height < n)
                continue;
            memcpy(work, leaves, sizeof work);
            merkle_root(work, n, (uint64_t)1 << height, 0, root);
            naive(leaves, n, 0, height, want);
            assert_memory_equal(root, want, MERKLE_HASH);
        }
    }
}

static void folded_with_uncles(void **state)
{
    (void)state;
    enum { HEIGHT = 4, WIDTH = 1 << HEIGHT };
    uint8_t leaves[WIDTH * MERKLE_HASH], root[MERKLE_HASH];
    fill(leaves, WIDTH);
    naive(leaves, WIDTH, 0, HEIGHT, root);
    for (uint64_t i = 0; i < WIDTH; i++) {
        uint8_t uncles[HEIGHT * MERKLE_HASH], got[MERKLE_HASH];
        for (unsigned level = 0; level < HEIGHT; level++)
            naive(leaves, WIDTH, ((i >> level) ^ 1) << level, level, uncles + level * MERKLE_HASH);
        merkle_fold(leaves + i * MERKLE_HASH, i, uncles, HEIGHT, got);
        assert_memory_equal(got, root, MERKLE_HASH);
        uncles[5] ^= 1;
        merkle_fold(leaves + i * MERKLE_HASH, i, uncles, HEIGHT, got);
        assert_memory_not_equal(got, root, MERKLE_HASH);
    }
}

TEST_MAIN(cmocka_unit_test(pads), cmocka_unit_test(roots), cmocka_unit_test(folded_with_uncles))
