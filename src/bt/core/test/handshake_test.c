#include "bt/core/handshake.h"

#include "base/test/test.h"

static void fill(uint8_t *p, size_t n, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)test_rand(seed);
}

static void test_bytes(void **state)
{
    (void)state;
    struct bt_handshake h = { .can = BT_CAN_EXTEND | BT_CAN_FAST | BT_CAN_V2 | BT_CAN_DHT };
    memset(h.hash, 'h', sizeof h.hash);
    memset(h.peer_id, 'p', sizeof h.peer_id);
    uint8_t buf[BT_HANDSHAKE_LEN];
    struct tarn_out o;
    tarn_out_fixed(&o, buf, sizeof buf);
    bt_handshake_put(&o, &h);
    assert_true(
        tarn_bytes_eq(tarn_out_bytes(&o), tarn_bytes_of("\x13"
                                                        "BitTorrent protocol"
                                                        "\0\0\0\0\0\x10\0\x15"
                                                        "hhhhhhhhhhhhhhhhhhhhpppppppppppppppppppp",
                                                        BT_HANDSHAKE_LEN)));
}

/* In any slices: the head after 48 bytes, all after 68, and nothing taken of what follows. */
static void test_slices(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int round = 0; round < 500; round++) {
        struct bt_handshake in = { .can = (uint8_t)(test_rand(&seed) & 15) }, h;
        fill(in.hash, sizeof in.hash, &seed);
        fill(in.peer_id, sizeof in.peer_id, &seed);
        uint8_t buf[BT_HANDSHAKE_LEN + 3] = { 0 };
        struct tarn_out o;
        tarn_out_fixed(&o, buf, sizeof buf);
        bt_handshake_put(&o, &in);
        struct bt_handshake_reader r = { 0 };
        memset(&h, 0, sizeof h);
        size_t at = 0, end = 0;
        while (r.stage < 2) {
            end += (size_t)test_rand_below(&seed, 30);
            end = end > sizeof buf ? sizeof buf : end;
            struct tarn_cur c = tarn_cur_of(tarn_bytes_of(buf + at, end - at));
            while (bt_handshake_next(&r, &c, &h, NULL) == BT_EVENT)
                assert_memory_equal(h.hash, in.hash, sizeof h.hash);
            at = end - tarn_cur_left(&c);
            assert_int_equal(r.stage, end >= 68 ? 2 : end >= 48 ? 1 : 0);
            assert_int_equal(at, r.stage == 2 ? 68 : r.stage == 1 ? 48 : 0);
        }
        assert_memory_equal(&h, &in, sizeof h);
    }
}

/* Every wrong byte of the protocol's name is seen when it comes. */
static void test_other_protocols(void **state)
{
    (void)state;
    uint8_t buf[BT_HANDSHAKE_LEN];
    struct tarn_out o;
    tarn_out_fixed(&o, buf, sizeof buf);
    bt_handshake_put(&o, &(struct bt_handshake){ 0 });
    for (size_t i = 0; i < 20; i++) {
        buf[i] ^= 0x20;
        for (size_t n = 0; n <= sizeof buf; n++) {
            struct bt_handshake_reader r = { 0 };
            struct bt_handshake h;
            struct tarn_err err = { 0 };
            struct tarn_cur c = tarn_cur_of(tarn_bytes_of(buf, n));
            enum bt_step want = n > i ? BT_BAD : BT_MORE;
            assert_int_equal(bt_handshake_next(&r, &c, &h, &err), want);
        }
        buf[i] ^= 0x20;
    }
}

static void test_peer_ids(void **state)
{
    (void)state;
    uint8_t a[BT_PEER_ID_LEN], b[BT_PEER_ID_LEN];
    bt_peer_id_make(a, (const uint8_t *)"abcdefghijkl");
    assert_memory_equal(a, "-TA0100-abcdefghijkl", sizeof a);
    bt_peer_id_make(b, (const uint8_t *)"abcdefghijkm");
    assert_true(bt_peer_id_keeps_ours(a, b));
    assert_false(bt_peer_id_keeps_ours(b, a));
}

static void test_which_torrent(void **state)
{
    (void)state;
    struct bt_hashes hybrid = { .has_v1 = true, .has_v2 = true };
    memset(hybrid.v1, 1, sizeof hybrid.v1);
    memset(hybrid.v2, 2, sizeof hybrid.v2);
    struct bt_hashes v1 = hybrid, v2 = hybrid;
    v1.has_v2 = false;
    v2.has_v1 = false;
    assert_ptr_equal(bt_swarm_hash(&hybrid), hybrid.v1);
    assert_ptr_equal(bt_swarm_hash(&v2), v2.v2);

    bool is_v2;
    assert_true(bt_handshake_is_for(&hybrid, hybrid.v1, &is_v2) && !is_v2);
    assert_true(bt_handshake_is_for(&hybrid, hybrid.v2, &is_v2) && is_v2);
    assert_false(bt_handshake_is_for(&v1, hybrid.v2, &is_v2));
    assert_false(bt_handshake_is_for(&v2, hybrid.v1, &is_v2));

    struct bt_handshake plain = { 0 }, upgrade = { .can = BT_CAN_V2 }, on_v2 = { 0 };
    memcpy(plain.hash, hybrid.v1, BT_HASH_LEN);
    memcpy(upgrade.hash, hybrid.v1, BT_HASH_LEN);
    memcpy(on_v2.hash, hybrid.v2, BT_HASH_LEN);
    assert_true(bt_handshake_answer(&hybrid, &plain, &is_v2) == hybrid.v1 && !is_v2);
    assert_true(bt_handshake_answer(&hybrid, &upgrade, &is_v2) == hybrid.v2 && is_v2);
    assert_true(bt_handshake_answer(&hybrid, &on_v2, &is_v2) == hybrid.v2 && is_v2);
    assert_true(bt_handshake_answer(&v1, &upgrade, &is_v2) == v1.v1 && !is_v2);

    assert_true(bt_handshake_fits(&hybrid, &upgrade, &on_v2, &is_v2) && is_v2);
    assert_true(bt_handshake_fits(&hybrid, &upgrade, &plain, &is_v2) && !is_v2);
    assert_false(bt_handshake_fits(&hybrid, &plain, &on_v2, &is_v2));
    assert_false(bt_handshake_fits(&hybrid, &on_v2, &plain, &is_v2));
    struct bt_handshake other = { .can = BT_CAN_V2 };
    assert_false(bt_handshake_fits(&hybrid, &upgrade, &other, &is_v2));
}

TEST_MAIN(cmocka_unit_test(test_bytes), cmocka_unit_test(test_slices),
          cmocka_unit_test(test_other_protocols), cmocka_unit_test(test_peer_ids),
          cmocka_unit_test(test_which_torrent))
