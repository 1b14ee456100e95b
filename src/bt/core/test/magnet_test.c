#include "bt/core/magnet.h"

#include "base/test/test.h"

#define HEX40 "c12fe1c06bba254a9dc9f519b335aa7c1367a88a"
#define HEX64 "95e04d0c4bad94ab206efa884666fd89777dbe4f7bd9945af1829037a85c6192"
#define BTIH "magnet:?xt=urn:btih:" HEX40

static void test_is_magnet(void **state)
{
    (void)state;
    assert_true(bt_is_magnet(tarn_bytes_str("magnet:")));
    assert_true(bt_is_magnet(tarn_bytes_str("MagNet:?x")));
    assert_false(bt_is_magnet(tarn_bytes_str("magnet")));
    assert_false(bt_is_magnet(tarn_bytes_str("a.torrent")));
    assert_false(bt_is_magnet(tarn_bytes_of(NULL, 0)));
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *msg;
    } rows[] = {
        { "", "'' is not a magnet link" },
        { "http://a/", "'http://a/' is not a magnet link" },
        { "magnet:", "the magnet link has no '?' after 'magnet:'" },
        { "magnet:xt=urn:btih:" HEX40, "the magnet link has no '?' after 'magnet:'" },
        { "magnet:?", "the magnet link names no torrent (no xt=urn:btih: or urn:btmh:)" },
        { "magnet:?dn=x&xt=urn:sha1:ABC",
          "the magnet link names no torrent (no xt=urn:btih: or urn:btmh:)" },
        { "magnet:?xt=urn:btih:", "'urn:btih:' in the magnet link is not an info-hash of 40 hex or "
                                  "32 base32 digits" },
        { "magnet:?xt=urn:btih:12\x1b", "'urn:btih:12\\x1b' in the magnet link is not an info-hash "
                                        "of 40 hex or 32 base32 digits" },
        { "magnet:?xt=urn:btmh:1220abcd", "'urn:btmh:1220abcd' in the magnet link is not a SHA-256 "
                                          "multihash (1220 and 64 hex digits)" },
        { "magnet:?xt=urn:btmh:1120" HEX64,
          "'urn:btmh:1120" HEX64 "' in the magnet link is not a SHA-256 multihash (1220 "
          "and 64 hex digits)" },
        { BTIH "&xt=urn:btih:0000000000000000000000000000000000000000",
          "'urn:btih:0000000000000000000000000000000000000000' in the magnet link is not the only "
          "torrent that it names" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct bt_magnet m = { .n_only = 77 };
        struct tarn_err err;
        assert_false(bt_magnet_parse(&m, tarn_bytes_str(rows[i].uri), &err));
        assert_int_equal(err.code, TARN_E_FAILED);
        assert_string_equal(err.msg, rows[i].msg);
        assert_int_equal(m.n_only, 77);
        assert_false(bt_magnet_parse(&m, tarn_bytes_str(rows[i].uri), NULL));
    }
    struct tarn_out o;
    struct bt_magnet m;
    struct tarn_err err;
    tarn_out_init(&o, 2 * TARN_MIB);
    tarn_out_str(&o, BTIH "&dn=");
    memset(tarn_out_room(&o, TARN_MIB), 'a', TARN_MIB);
    assert_false(bt_magnet_parse(&m, tarn_out_bytes(&o), &err));
    assert_string_equal(err.msg, "a magnet link of 1048640 bytes is longer than 1048576");
    tarn_out_release(&o);
}

static struct bt_magnet parse(const char *uri)
{
    struct bt_magnet m = { .n_only = 0 };
    struct tarn_err err;
    if (!bt_magnet_parse(&m, tarn_bytes_str(uri), &err))
        fail_msg("'%s': %s", uri, err.msg);
    return m;
}

static void test_hints(void **state)
{
    (void)state;
    struct bt_magnet m =
        parse("magnet:?XT.1=urn%3ABTIH%3a" HEX40 "&xt.2=URN:BTMH:1220" HEX64
              "&dn=a%00%ff+b&dn=second&tr.1=%20http://t/a+b%20&tr=udp://u:1&tr=ftp://no&tr=nothing"
              "&tr=http://t/a+b&ws=https://w/&ws=udp://no&dht=x:1&foo&x.pe=h-1.example:65535"
              "&x.pe=[::1]:1&x.pe=1.2.3.4:0&x.pe=h:65536&x.pe=a/b:1&x.pe=:5&x.pe=[x]:1&x.pe=h:"
              "&x.pe=h-1.example:65535");
    assert_true(m.hashes.has_v1 && m.hashes.has_v2);
    assert_string_equal(m.name, "a\xef\xbf\xbd\xef\xbf\xbd b");
    assert_int_equal(m.n_trackers, 2);
    assert_string_equal(m.trackers[0], "http://t/a+b");
    assert_string_equal(m.trackers[1], "udp://u:1");
    assert_int_equal(m.n_web_seeds, 1);
    assert_string_equal(m.web_seeds[0], "https://w/");
    assert_int_equal(m.n_peers, 2);
    assert_string_equal(m.peers[0], "h-1.example:65535");
    assert_string_equal(m.peers[1], "[::1]:1");
    assert_int_equal(m.n_only, 0);
    bt_magnet_release(&m);
    bt_magnet_release(&m);

    m = parse(BTIH "&xt=urn:btih:" HEX40);
    assert_null(m.name);
    bt_magnet_release(&m);
}

static void test_only(void **state)
{
    (void)state;
    static const struct {
        const char *so;
        uint32_t n, first, last; /* of the last range */
    } rows[] = {
        { "0", 1, 0, 0 },       { "0,2,4,6-8", 4, 6, 8 },
        { "1-1", 1, 1, 1 },     { "2-1", 0, 0, 0 },
        { "1-2-3,5", 1, 5, 5 }, { "-1,3", 1, 3, 3 },
        { ",,7,", 1, 7, 7 },    { "1,x", 0, 0, 0 },
        { "1 2", 0, 0, 0 },     { "999999", 1, 999999, 999999 },
        { "1000000", 0, 0, 0 }, { "0-99999999999999999999", 0, 0, 0 },
        { "", 0, 0, 0 },        { "%31%2c2", 2, 2, 2 },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        char uri[256];
        snprintf(uri, sizeof uri, BTIH "&so=%s", rows[i].so);
        struct bt_magnet m = parse(uri);
        assert_int_equal(m.n_only, rows[i].n);
        if (m.n_only > 0) {
            assert_int_equal(m.only[m.n_only - 1].first, rows[i].first);
            assert_int_equal(m.only[m.n_only - 1].last, rows[i].last);
        }
        bt_magnet_release(&m);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct tarn_out o;
    struct bt_magnet m;
    tarn_out_init(&o, TARN_MIB);
    tarn_out_str(&o, BTIH);
    for (int i = 0; i < 1500; i++)
        tarn_out_fmt(&o, "&tr=http://t%d/&ws=http://w%d/&x.pe=p:%d", i, i, i + 1);
    assert_true(bt_magnet_parse(&m, tarn_out_bytes(&o), NULL));
    assert_int_equal(m.n_trackers, BT_TRACKERS_MAX);
    assert_int_equal(m.n_web_seeds, BT_WEB_SEEDS_MAX);
    assert_int_equal(m.n_peers, 200);
    bt_magnet_release(&m);
    tarn_out_release(&o);
}

static void test_write(void **state)
{
    (void)state;
    struct bt_tracker trackers[] = { { "http://t/a?b=c&d", 0 }, { "udp://u:1", 1 } };
    const char *seeds[] = { "http://w/x y" };
    struct bt_metainfo meta = {
        .name = "a b&c\xc3\xa9",
        .trackers = trackers,
        .n_trackers = 2,
        .web_seeds = seeds,
        .n_web_seeds = 1,
        .hashes = { .has_v2 = true },
    };
    memset(meta.hashes.v1, 0xAB, sizeof meta.hashes.v1);
    memset(meta.hashes.v2, 0xCD, sizeof meta.hashes.v2);
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    bt_magnet_write(&meta, &o);
    assert_true(tarn_bytes_eq_str(
        tarn_out_bytes(&o),
        "magnet:?xt=urn:btmh:1220cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd&"
        "dn="
        "a%20b%26c%C3%A9&tr=http%3A%2F%2Ft%2Fa%3Fb%3Dc%26d&tr=udp%3A%2F%2Fu%3A1&ws=http%3A%2F%2Fw%"
        "2Fx%20y"));
    meta.hashes.has_v1 = true;
    tarn_out_clear(&o);
    bt_magnet_write(&meta, &o);
    struct bt_magnet m;
    assert_true(bt_magnet_parse(&m, tarn_out_bytes(&o), NULL));
    assert_memory_equal(&m.hashes, &meta.hashes, sizeof m.hashes);
    assert_string_equal(m.name, meta.name);
    assert_int_equal(m.n_trackers, 2);
    assert_string_equal(m.trackers[0], trackers[0].url);
    bt_magnet_release(&m);
    tarn_out_release(&o);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char uri[] = BTIH "&dn=a&tr=http://a&ws=http://b&so=1,2-3&x.pe=a:1";
    bool done = false;
    for (size_t n = 0; !done; n++) {
        struct bt_magnet m = { .n_only = 0 };
        struct tarn_err err = { .code = TARN_OK };
        test_mem_fail_after(n);
        done = bt_magnet_parse(&m, tarn_bytes_str(uri), &err);
        test_mem_normal();
        assert_int_equal(err.code, done ? TARN_OK : TARN_E_NO_MEMORY);
        bt_magnet_release(&m);
    }
}

TEST_MAIN(cmocka_unit_test(test_is_magnet), cmocka_unit_test(test_refused),
          cmocka_unit_test(test_hints), cmocka_unit_test(test_only), cmocka_unit_test(test_limits),
          cmocka_unit_test(test_write), cmocka_unit_test(test_no_memory))
