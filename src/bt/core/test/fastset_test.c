#include "bt/core/fastset.h"

#include "base/test/test.h"

/* BEP 6's own example. */
static void test_vector(void **state)
{
    (void)state;
    static const uint32_t want[] = { 1059, 431, 808, 1217, 287, 376, 1188, 353, 508 };
    struct bt_addr peer = { .ip = { 80, 4, 4, 200 } };
    uint8_t hash[BT_HASH_LEN];
    uint32_t got[BT_FASTSET_MAX];
    memset(hash, 0xAA, sizeof hash);
    for (size_t k = 0; k <= 9; k++) {
        assert_int_equal(bt_fastset(&peer, hash, 1313, k, got), k);
        assert_memory_equal(got, want, k * sizeof *got);
    }
    peer.ip[3] = 1; /* the same network, the same set */
    assert_int_equal(bt_fastset(&peer, hash, 1313, 9, got), 9);
    assert_memory_equal(got, want, sizeof want);
}

static void test_always_ends(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (uint32_t n = 0; n < 60; n++) {
        struct bt_addr peer = { .is_v6 = n % 2 == 1 };
        uint8_t hash[BT_HASH_LEN];
        uint32_t got[BT_FASTSET_MAX];
        for (size_t i = 0; i < 16; i++)
            peer.ip[i] = hash[i] = hash[16 + i % 4] = (uint8_t)test_rand(&seed);
        size_t want = n < BT_FASTSET_MAX ? n : BT_FASTSET_MAX;
        assert_int_equal(bt_fastset(&peer, hash, n, BT_FASTSET_MAX, got), want);
        for (size_t i = 0; i < want; i++) {
            assert_true(got[i] < n);
            for (size_t k = 0; k < i; k++)
                assert_true(got[i] != got[k]);
        }
    }
}

TEST_MAIN(cmocka_unit_test(test_vector), cmocka_unit_test(test_always_ends))
