#include "node/core/proof.h"

#include "base/num.h"
#include "base/test/test.h"
#include "base/text.h"
#include "crypt/sha.h"

enum { N_MAX = 41 };

/* Whoever has only the range, the length, the uncles and the root, as docs/proof.md tells it: a
 * level at a time, hashes [left, right] are known. True when they lead to the root. */
static bool leads(const uint8_t *range, const struct proof *p, const uint8_t *root)
{
    uint8_t level[N_MAX + 2][32];
    uint64_t n = tarn_div_up_u64(p->len, MERKLE_BLOCK), left = p->first,
             right = p->first + p->count - 1;
    size_t used = 0, have = (size_t)p->count;
    memcpy(level, range, have * 32);
    for (unsigned l = 0; (uint64_t)1 << l < n; l++, left /= 2, right /= 2) {
        if (left % 2 == 1) {
            if (used == p->n)
                return false;
            memmove(level[1], level[0], have++ * 32);
            memcpy(level[0], p->uncles[used++], 32);
            left--;
        }
        if (right % 2 == 0) {
            bool goes_on = (right + 1) << l < n;
            if (goes_on && used == p->n)
                return false;
            memcpy(level[have++], goes_on ? p->uncles[used++] : merkle_pad(l), 32);
        }
        for (size_t i = 0; i < have / 2; i++)
            crypt_hash(CRYPT_SHA256, tarn_bytes_of(level[2 * i], 64), level[i]);
        have /= 2;
    }
    return have == 1 && used == p->n && memcmp(level[0], root, 32) == 0;
}

static void make(uint8_t *leaves, size_t n, uint8_t *root, uint64_t *seed)
{
    uint8_t work[N_MAX * 32];
    for (size_t i = 0; i < n * 32; i++)
        leaves[i] = (uint8_t)test_rand(seed);
    memcpy(work, leaves, n * 32);
    merkle_root(work, n, tarn_pow2_up_u64(n), 0, root);
}

static void feed(struct proof *p, const uint8_t *leaves, size_t n, uint64_t *seed)
{
    for (size_t at = 0, take; at < n; at += take) {
        take = tarn_min_size(n - at, 1 + test_rand_below(seed, 5));
        proof_leaves(p, leaves + at * 32, take);
    }
}

/* Every range of every small file; and no proof stands for anything else. */
static void test_all_ranges(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    uint8_t leaves[N_MAX * 32], root[32];
    for (size_t n = 1; n <= N_MAX; n++) {
        make(leaves, n, root, &seed);
        uint64_t len = (n - 1) * MERKLE_BLOCK + 1 + test_rand_below(&seed, MERKLE_BLOCK);
        for (size_t first = 0; first < n; first++)
            for (size_t count = 1; count <= n - first; count++) {
                struct proof p;
                struct tarn_err err = { 0 };
                assert_true(proof_begin(&p, len, first, count, &err));
                feed(&p, leaves, n, &seed);
                assert_true(proof_end(&p, root, &err));
                assert_true(p.n <= 2 * merkle_levels(n));
                assert_true(leads(leaves + first * 32, &p, root));
                size_t bit = test_rand_below(&seed, count * 256);
                leaves[first * 32 + bit / 8] ^= (uint8_t)(1 << bit % 8);
                assert_false(leads(leaves + first * 32, &p, root));
                leaves[first * 32 + bit / 8] ^= (uint8_t)(1 << bit % 8);
                if (p.n > 0) {
                    p.uncles[test_rand_below(&seed, p.n)][7] ^= 1;
                    assert_false(leads(leaves + first * 32, &p, root));
                }
            }
    }
}

static void test_refused(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    uint8_t leaves[5 * 32], root[32];
    struct proof p;
    struct tarn_err err = { 0 };
    static const struct {
        uint64_t len, first, count;
        enum tarn_code code;
    } rows[] = {
        { 0, 0, 1, TARN_E_USAGE },           { 1, 0, 0, TARN_E_USAGE },
        { 16384, 1, 1, TARN_E_USAGE },       { 16385, 0, 3, TARN_E_USAGE },
        { 16385, 1, 2, TARN_E_USAGE },       { 16385, 1, UINT64_MAX, TARN_E_USAGE },
        { UINT64_MAX, 0, 1, TARN_E_POLICY },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        assert_false(proof_begin(&p, rows[i].len, rows[i].first, rows[i].count, &err));
        assert_int_equal(err.code, rows[i].code);
    }
    make(leaves, 5, root, &seed);
    assert_true(proof_begin(&p, 5 * MERKLE_BLOCK, 2, 1, &err));
    feed(&p, leaves, 4, &seed);
    assert_false(proof_end(&p, root, &err)); /* one is missing */
    assert_int_equal(err.code, TARN_E_INTEGRITY);
    feed(&p, leaves + 4 * 32, 1, &seed);
    assert_true(proof_end(&p, root, &err));
    proof_leaves(&p, leaves, 5); /* too many */
    assert_true(proof_end(&p, root, &err));
    root[3] ^= 1;
    assert_false(proof_end(&p, root, &err));
}

static void test_text(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), first, count;
    uint8_t leaves[3 * 32], root[32];
    char hex[3][65], expected[512];
    struct proof p;
    struct tarn_out o;
    make(leaves, 3, root, &seed);
    proof_blocks(40000, 1, &first, &count);
    assert_int_equal(first, 2);
    assert_int_equal(count, 1);
    assert_true(proof_begin(&p, 40001, first, count, NULL));
    proof_leaves(&p, leaves, 3);
    assert_true(proof_end(&p, root, NULL));
    tarn_out_init(&o, 4096);
    proof_write(&p, root, &o);
    tarn_out_u8(&o, 0);
    uint8_t pair[32];
    crypt_hash(CRYPT_SHA256, tarn_bytes_of(leaves, 64), pair);
    snprintf(expected, sizeof expected,
             "{\"v\":1,\"root\":\"%s\",\"length\":40001,\"first\":2,\"count\":1,\"uncles\":"
             "[\"%s\"]}\n",
             tarn_hex(hex[0], tarn_bytes_of(root, 32)), tarn_hex(hex[1], tarn_bytes_of(pair, 32)));
    assert_string_equal((char *)o.p, expected);
    tarn_out_release(&o);
    static const struct {
        uint64_t off, len, first, count;
    } rows[] = { { 0, 1, 0, 1 },         { 0, 16384, 0, 1 },    { 0, 16385, 0, 2 },
                 { 16383, 2, 0, 2 },     { 16384, 1, 1, 1 },    { 16384, 32768, 1, 2 },
                 { 100000, 1000, 6, 1 }, { 32767, 16386, 1, 3 } };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        proof_blocks(rows[i].off, rows[i].len, &first, &count);
        assert_int_equal(first, rows[i].first);
        assert_int_equal(count, rows[i].count);
    }
}

TEST_MAIN(cmocka_unit_test(test_all_ranges), cmocka_unit_test(test_refused),
          cmocka_unit_test(test_text))
