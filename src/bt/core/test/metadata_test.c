#include "bt/core/metadata.h"

#include "base/test/test.h"
#include "crypt/sha.h"

enum { SECOND = 1000 * 1000 };

static uint8_t info[5 * BT_BLOCK - 100];

static void fill_info(void)
{
    uint64_t seed = 5;
    for (size_t i = 0; i < sizeof info; i++)
        info[i] = (uint8_t)test_rand(&seed);
}

static struct tarn_bytes all_info(void)
{
    return tarn_bytes_of(info, sizeof info);
}

static struct bt_meta_msg data_msg(uint32_t block, struct tarn_bytes all)
{
    return (struct bt_meta_msg){ .kind = BT_META_DATA,
                                 .block = block,
                                 .total = (uint32_t)all.len,
                                 .data = bt_metadata_block(all, block) };
}

static void ask_all(struct bt_metadata *md, bt_peer_no peer, uint32_t n, int64_t now)
{
    uint32_t block;
    for (uint32_t i = 0; i < n; i++)
        assert_true(bt_metadata_ask(md, peer, now, &block));
}

static void test_two_peers(void **state)
{
    (void)state;
    struct bt_metadata md;
    bt_metadata_init(&md);
    assert_true(bt_metadata_peer(&md, 1, sizeof info, NULL));
    assert_true(bt_metadata_peer(&md, 2, sizeof info, NULL));
    uint32_t block;
    for (uint32_t i = 0; i < BT_META_DEPTH; i++) {
        assert_true(bt_metadata_ask(&md, 1, 0, &block));
        assert_int_equal(block, i);
    }
    assert_false(bt_metadata_ask(&md, 1, 0, &block));
    assert_true(bt_metadata_ask(&md, 2, 0, &block));
    assert_int_equal(block, 4);
    assert_false(bt_metadata_ask(&md, 2, 0, &block));
    assert_int_equal(bt_metadata_wake(&md, 0), BT_META_TIMEOUT_US);
    for (uint32_t i = 0; i < 4; i++) {
        struct bt_meta_msg m = data_msg(i, all_info());
        assert_int_equal(bt_metadata_got(&md, 1, &m, 1), BT_META_TAKEN);
    }
    struct bt_meta_msg more = data_msg(4, all_info()); /* as many as were asked for came */
    assert_int_equal(bt_metadata_got(&md, 1, &more, 1), BT_META_IGNORED);
    assert_int_equal(bt_metadata_join(&md, 1).len, 0);
    struct bt_meta_msg m = data_msg(4, all_info());
    assert_int_equal(bt_metadata_got(&md, 2, &m, 1), BT_META_FULL);
    assert_true(tarn_bytes_eq(bt_metadata_join(&md, 2), all_info()));
    bt_metadata_release(&md);
}

/* Wrong bytes from several: nobody is blamed, one peer alone is asked next, and caught. */
static void test_blame(void **state)
{
    (void)state;
    struct bt_metadata md;
    bt_metadata_init(&md);
    uint32_t block;
    assert_true(bt_metadata_peer(&md, 1, sizeof info, NULL));
    assert_true(bt_metadata_peer(&md, 2, sizeof info, NULL));
    ask_all(&md, 1, 4, 0);
    ask_all(&md, 2, 1, 0);
    for (uint32_t i = 0; i < 5; i++) {
        struct bt_meta_msg m = data_msg(i, all_info());
        (void)bt_metadata_got(&md, i < 4 ? 1 : 2, &m, 1);
    }
    assert_int_equal(bt_metadata_join(&md, 1).len, sizeof info);
    assert_int_equal(bt_metadata_failed(&md, 2), BT_NO_PEER);
    assert_int_equal(md.stored, 0);
    ask_all(&md, 2, 4, 10);
    assert_false(bt_metadata_ask(&md, 1, 10, &block));
    for (uint32_t i = 0; i < 4; i++) {
        struct bt_meta_msg m = data_msg(i, all_info());
        assert_int_equal(bt_metadata_got(&md, 2, &m, 11), BT_META_TAKEN);
    }
    ask_all(&md, 2, 1, 12);
    struct bt_meta_msg m = data_msg(4, all_info());
    assert_int_equal(bt_metadata_got(&md, 2, &m, 13), BT_META_FULL);
    assert_int_equal(bt_metadata_failed(&md, 2), 2);
    bt_metadata_gone(&md, 2);
    /* the other one, alone, leaves half done: what it sent is not mixed with another's */
    ask_all(&md, 1, 4, 20);
    m = data_msg(0, all_info());
    assert_int_equal(bt_metadata_got(&md, 1, &m, 21), BT_META_TAKEN);
    assert_true(bt_metadata_peer(&md, 3, sizeof info, NULL));
    assert_false(bt_metadata_ask(&md, 3, 22, &block));
    bt_metadata_gone(&md, 1);
    assert_int_equal(md.stored, 0);
    assert_true(bt_metadata_ask(&md, 3, 23, &block));
    assert_int_equal(block, 0);
    bt_metadata_release(&md);
}

static void test_a_single_sender_is_blamed(void **state)
{
    (void)state;
    struct bt_metadata md;
    bt_metadata_init(&md);
    assert_true(bt_metadata_peer(&md, 8, 10, NULL));
    ask_all(&md, 8, 1, 0);
    struct bt_meta_msg m = data_msg(0, tarn_bytes_of(info, 10));
    assert_int_equal(bt_metadata_got(&md, 8, &m, 1), BT_META_FULL);
    assert_int_equal(bt_metadata_failed(&md, 8), 8);
    /* one that is gone by then is not: its number may be another's by now */
    ask_all(&md, 8, 1, 0);
    assert_int_equal(bt_metadata_got(&md, 8, &m, 1), BT_META_FULL);
    assert_true(bt_metadata_peer(&md, 9, 10, NULL));
    bt_metadata_gone(&md, 8);
    assert_int_equal(bt_metadata_failed(&md, 9), BT_NO_PEER);
    bt_metadata_release(&md);
}

static void test_timeouts_and_rejects(void **state)
{
    (void)state;
    struct bt_metadata md;
    bt_metadata_init(&md);
    uint32_t block;
    assert_true(bt_metadata_peer(&md, 1, 100, NULL));
    assert_true(bt_metadata_peer(&md, 2, 100, NULL));
    ask_all(&md, 1, 1, 0);
    assert_false(bt_metadata_ask(&md, 2, BT_META_TIMEOUT_US - 1, &block));
    assert_true(bt_metadata_ask(&md, 2, BT_META_TIMEOUT_US, &block));
    struct bt_meta_msg no = { .kind = BT_META_REJECT };
    assert_int_equal(bt_metadata_got(&md, 2, &no, 3 * SECOND), BT_META_IGNORED);
    assert_false(bt_metadata_ask(&md, 2, 3 * SECOND, &block));
    assert_false(bt_metadata_ask(&md, 1, 3 * SECOND, &block)); /* it rests as well, shorter */
    assert_int_equal(bt_metadata_wake(&md, 3 * SECOND), 6 * SECOND);
    assert_true(bt_metadata_ask(&md, 1, 6 * SECOND, &block));
    /* late, but it is what we need */
    struct bt_meta_msg m = data_msg(0, tarn_bytes_of(info, 100));
    assert_int_equal(bt_metadata_got(&md, 1, &m, 7 * SECOND), BT_META_FULL);
    bt_metadata_release(&md);
}

static void test_lies(void **state)
{
    (void)state;
    struct bt_metadata md;
    struct tarn_err err;
    bt_metadata_init(&md);
    assert_false(bt_metadata_peer(&md, 1, 0, &err));
    assert_false(bt_metadata_peer(&md, 1, BT_INFO_MAX + 1, &err));
    assert_non_null(strstr(err.msg, "33554433 bytes (the limit is 33554432)"));
    struct bt_meta_msg m = data_msg(0, all_info());
    assert_int_equal(bt_metadata_got(&md, 1, &m, 0), BT_META_IGNORED);
    for (bt_peer_no i = 0; i < BT_META_SIZES; i++)
        assert_true(bt_metadata_peer(&md, i, 1000u + i, &err));
    assert_false(bt_metadata_peer(&md, 9, sizeof info, &err));
    bt_metadata_gone(&md, 2);
    assert_true(bt_metadata_peer(&md, 9, sizeof info, &err));
    assert_int_equal(bt_metadata_got(&md, 9, &m, 0), BT_META_IGNORED); /* nothing was asked */
    ask_all(&md, 9, 2, 0);
    m.total++;
    assert_int_equal(bt_metadata_got(&md, 9, &m, 0), BT_META_WRONG);
    m = data_msg(0, all_info());
    m.data.len--;
    assert_int_equal(bt_metadata_got(&md, 9, &m, 0), BT_META_WRONG);
    m = data_msg(0, all_info());
    m.block = 5;
    assert_int_equal(bt_metadata_got(&md, 9, &m, 0), BT_META_WRONG);
    /* another size now */
    assert_true(bt_metadata_peer(&md, 9, 1000, &err));
    m = data_msg(0, all_info());
    assert_int_equal(bt_metadata_got(&md, 9, &m, 0), BT_META_IGNORED);
    bt_metadata_release(&md);
}

/* However many lie, memory stays below the bound. */
static void test_memory_is_bounded(void **state)
{
    (void)state;
    struct bt_metadata md;
    bt_metadata_init(&md);
    static uint8_t block_of[BT_BLOCK];
    uint32_t block;
    for (bt_peer_no i = 0; i < BT_META_SIZES; i++) {
        uint32_t size = BT_INFO_MAX - (uint32_t)i * BT_BLOCK;
        assert_true(bt_metadata_peer(&md, i, size, NULL));
        while (bt_metadata_ask(&md, i, 0, &block)) {
            struct bt_meta_msg m = { .kind = BT_META_DATA,
                                     .block = block,
                                     .total = size,
                                     .data = { block_of, sizeof block_of } };
            if (bt_metadata_got(&md, i, &m, 0) == BT_META_IGNORED)
                break;
        }
        assert_true(md.stored <= BT_META_MEMORY);
    }
    assert_true(md.stored > BT_META_MEMORY - BT_BLOCK);
    bt_metadata_release(&md);
    for (bt_peer_no i = 0; i < BT_META_PEERS; i++)
        assert_true(bt_metadata_peer(&md, i, 5, NULL));
    assert_false(bt_metadata_peer(&md, BT_META_PEERS, 5, NULL));
    bt_metadata_release(&md);
}

static void test_hashes(void **state)
{
    (void)state;
    struct bt_hashes h = { 0 };
    assert_false(bt_hashes_match(&h, all_info()));
    crypt_hash(CRYPT_SHA1, all_info(), h.v1);
    crypt_hash(CRYPT_SHA256, all_info(), h.v2);
    for (int i = 1; i < 4; i++) {
        h.has_v1 = i & 1;
        h.has_v2 = i & 2;
        assert_true(bt_hashes_match(&h, all_info()));
        assert_false(bt_hashes_match(&h, tarn_bytes_of(info, 5)));
    }
    h.v2[31] ^= 1;
    assert_false(bt_hashes_match(&h, all_info()));
}

static void test_serving(void **state)
{
    (void)state;
    uint32_t n = 0;
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 5; i++)
            assert_int_equal(bt_metadata_answer(sizeof info, i, &n), BT_META_SEND);
    for (int i = 0; i < 10; i++)
        assert_int_equal(bt_metadata_answer(sizeof info, 0, &n), BT_META_REFUSE);
    assert_int_equal(bt_metadata_answer(sizeof info, 0, &n), BT_META_SILENT);
    n = 0;
    assert_int_equal(bt_metadata_answer(sizeof info, 5, &n), BT_META_REFUSE);
    n = 0;
    assert_int_equal(bt_metadata_answer(0, 0, &n), BT_META_REFUSE);
    assert_int_equal(bt_metadata_block(all_info(), 4).len, BT_BLOCK - 100);
    assert_int_equal(bt_metadata_block(all_info(), 5).len, 0);
}

int main(void)
{
    fill_info();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_peers),
        cmocka_unit_test(test_blame),
        cmocka_unit_test(test_a_single_sender_is_blamed),
        cmocka_unit_test(test_timeouts_and_rejects),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_serving),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
