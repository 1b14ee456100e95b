#include "bt/core/ext.h"

#include "base/test/test.h"

/* The body of the one extended message in o, as a peer would read it. */
static struct tarn_bytes body_of(const struct tarn_out *o, uint8_t *sub)
{
    struct bt_wire w;
    struct bt_event ev;
    bt_wire_init(&w, BT_CAN_EXTEND, false, 10);
    struct tarn_cur c = tarn_cur_of(tarn_out_bytes(o));
    assert_true(tarn_out_ok(o));
    assert_int_equal(bt_wire_next(&w, &c, &ev, NULL), BT_EVENT);
    assert_int_equal(ev.kind, BT_EV_EXTENDED);
    assert_true(tarn_cur_done(&c));
    *sub = ev.sub;
    return ev.body;
}

static void test_ours(void **state)
{
    (void)state;
    struct bt_ext_ours ours = { .agent = "tarn 0.1.0",
                                .your_ip = tarn_bytes_of("\1\2\3\4", 4),
                                .metadata_size = 31235,
                                .port = 6881,
                                .has_metadata_exchange = true,
                                .upload_only = true };
    struct tarn_out o;
    tarn_out_init(&o, TARN_KIB);
    bt_put_ext_handshake(&o, &ours);
    uint8_t sub;
    struct tarn_bytes body = body_of(&o, &sub);
    assert_int_equal(sub, BT_EXT_HANDSHAKE);
    assert_true(tarn_bytes_eq_str(body, "d1:md11:lt_donthavei7e11:upload_onlyi3e11:ut_metadatai2ee"
                                        "13:metadata_sizei31235e1:pi6881e4:reqqi2000e"
                                        "11:upload_onlyi1e1:v10:tarn 0.1.0"
                                        "6:yourip4:\1\2\3\4e"));
    struct bt_ext x = { 0 };
    assert_true(bt_ext_read(&x, body, NULL));
    assert_true(x.is_here && x.upload_only);
    assert_int_equal(x.metadata_size, 31235);
    assert_int_equal(x.port, 6881);
    assert_int_equal(x.reqq, 2000);
    assert_int_equal(x.ids[BT_EXT_METADATA], 2);
    assert_int_equal(x.ids[BT_EXT_UPLOAD_ONLY], 3);
    assert_int_equal(x.ids[BT_EXT_DONTHAVE], 7);
    assert_int_equal(x.ids[BT_EXT_PEX], 0);
    assert_int_equal(x.my_ip_len, 4);
    assert_string_equal(x.agent, "tarn 0.1.0");
    tarn_out_clear(&o);

    ours = (struct bt_ext_ours){ .metadata_size = 5 }; /* a private torrent's: no metadata */
    bt_put_ext_handshake(&o, &ours);
    body = body_of(&o, &sub);
    assert_true(tarn_bytes_eq_str(body, "d1:md11:lt_donthavei7e11:upload_onlyi3ee4:reqqi2000ee"));
    tarn_out_release(&o);
}

static void test_theirs(void **state)
{
    (void)state;
    struct bt_ext x = { 0 };
    assert_true(bt_ext_read(&x,
                            tarn_bytes_str("d1:md11:ut_metadatai9e6:ut_pexi1e10:lt_tip_typi4ee"
                                           "13:metadata_sizei77e4:reqqi99999e1:v3:abce"),
                            NULL));
    assert_int_equal(x.ids[BT_EXT_METADATA], 9);
    assert_int_equal(x.ids[BT_EXT_PEX], 1);
    assert_int_equal(x.reqq, 2048);
    assert_false(x.upload_only);
    /* later ones add, replace and turn off; nonsense is as if not said */
    assert_true(
        bt_ext_read(&x,
                    tarn_bytes_str("d1:md6:ut_pexi0e11:upload_onlyi300ee13:metadata_sizei-1e"
                                   "1:pi70000e11:upload_onlyi1e6:yourip3:abce"),
                    NULL));
    assert_int_equal(x.ids[BT_EXT_METADATA], 9);
    assert_int_equal(x.ids[BT_EXT_PEX], 0);
    assert_int_equal(x.ids[BT_EXT_UPLOAD_ONLY], 0);
    assert_int_equal(x.metadata_size, 77);
    assert_int_equal(x.port, 0);
    assert_int_equal(x.my_ip_len, 0);
    assert_true(x.upload_only);
    assert_string_equal(x.agent, "abc");
    struct tarn_err err;
    static const char *const bad[] = { "", "i1e", "le", "d1:m", "d1:mi1e" };
    for (size_t i = 0; i < TARN_COUNT_OF(bad); i++) {
        struct bt_ext before = x;
        assert_false(bt_ext_read(&x, tarn_bytes_str(bad[i]), &err));
        assert_non_null(strstr(err.msg, "the peer's extension handshake"));
        assert_memory_equal(&x, &before, sizeof x);
    }
}

static void test_agents(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "5:a\033[0m", "a?[0m" },
        { "3:\xFF\xC3\xA9", "?\xC3\xA9" },
        { "70:0123456789012345678901234567890123456789012345678901234567890123456789",
          "0123456789012345678901234567890123456789012345678901234567890123" },
        { "66:012345678901234567890123456789012345678901234567890123456789012\xC3\xA9!",
          "012345678901234567890123456789012345678901234567890123456789012" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        char body[128];
        (void)snprintf(body, sizeof body, "d1:v%se", cases[i].in);
        struct bt_ext x = { 0 };
        assert_true(bt_ext_read(&x, tarn_bytes_str(body), NULL));
        assert_string_equal(x.agent, cases[i].out);
    }
}

static void test_metadata_messages(void **state)
{
    (void)state;
    uint8_t data[BT_BLOCK], sub;
    memset(data, 'x', sizeof data);
    const struct bt_meta_msg msgs[] = {
        { .kind = BT_META_REQUEST, .block = 3 },
        { .kind = BT_META_REJECT, .block = 2047 },
        { .kind = BT_META_DATA, .block = 1, .total = 40000, .data = { data, sizeof data } },
        { .kind = BT_META_DATA, .block = 0, .total = 1, .data = { data, 1 } },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(msgs); i++) {
        struct tarn_out o;
        struct bt_meta_msg got;
        tarn_out_init(&o, 2 * BT_BLOCK);
        bt_put_meta(&o, 42, &msgs[i]);
        assert_true(bt_meta_read(&got, body_of(&o, &sub), NULL));
        assert_int_equal(sub, 42);
        assert_int_equal(got.kind, msgs[i].kind);
        assert_int_equal(got.block, msgs[i].block);
        assert_int_equal(got.total, msgs[i].total);
        assert_true(tarn_bytes_eq(got.data, msgs[i].data));
        tarn_out_release(&o);
    }
    static const struct {
        const char *body;
        bool ok;
    } cases[] = {
        { "d8:msg_typei0e5:piecei0ee", true },
        { "d8:msg_typei7ee", true }, /* a later version's */
        { "d8:msg_typei-1ee", true },
        { "d5:piecei0ee", false },
        { "d8:msg_typei0ee", false },
        { "d8:msg_typei0e5:piecei-1ee", false },
        { "d8:msg_typei1e5:piecei0e10:total_sizei5ee", false },
        { "d8:msg_typei1e5:piecei0eeabc", false },
        { "d8:msg_typei1e5:piecei0e10:total_sizei33554433eeabc", false },
        { "d8:msg_typei1e5:piecei0e10:total_sizei33554432eeabc", true },
        { "le", false },
        { "", false },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        struct bt_meta_msg got;
        assert_int_equal(bt_meta_read(&got, tarn_bytes_str(cases[i].body), NULL), cases[i].ok);
    }
}

static void test_small_messages(void **state)
{
    (void)state;
    struct tarn_out o;
    uint8_t sub;
    bool on = true;
    uint32_t piece;
    tarn_out_init(&o, TARN_KIB);
    bt_put_upload_only(&o, 3, false);
    assert_true(bt_upload_only_read(body_of(&o, &sub), &on) && !on && sub == 3);
    tarn_out_clear(&o);
    bt_put_donthave(&o, 7, 9);
    assert_true(bt_donthave_read(body_of(&o, &sub), 10, &piece) && piece == 9 && sub == 7);
    assert_false(bt_donthave_read(body_of(&o, &sub), 9, &piece));
    assert_false(bt_donthave_read(tarn_bytes_str("abc"), 10, &piece));
    assert_false(bt_upload_only_read(tarn_bytes_str("11"), &on));
    tarn_out_release(&o);
}

TEST_MAIN(cmocka_unit_test(test_ours), cmocka_unit_test(test_theirs), cmocka_unit_test(test_agents),
          cmocka_unit_test(test_metadata_messages), cmocka_unit_test(test_small_messages))
