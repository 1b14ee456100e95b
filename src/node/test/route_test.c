/* What paths and queries of the public door ask for. */
#include "base/test/test.h"

#include "node/route.h"

#include <string.h>

static struct node_route route(const char *path)
{
    struct node_route r;
    node_route(&r, tarn_bytes_str(path));
    return r;
}

#define assert_bytes(b, text) \
    do { \
        assert_int_equal((b).len, strlen(text)); \
        assert_memory_equal((b).len == 0 ? (const void *)"" : (b).p, text, (b).len); \
    } while (0)

static void places(void **state)
{
    static const struct {
        const char *path;
        enum node_route_kind kind;
        const char *collection, *below;
        bool is_folder;
    } cases[] = {
        { "/", NODE_ROUTE_INDEX, "", "", false },
        { "/healthz", NODE_ROUTE_HEALTH, "", "", false },
        { "/healthz/", NODE_ROUTE_NONE, "", "", false },
        { "/c/", NODE_ROUTE_NONE, "", "", false },
        { "/c", NODE_ROUTE_NONE, "", "", false },
        { "/c/www", NODE_ROUTE_COLLECTION, "www", "", false },
        { "/c/www/", NODE_ROUTE_PATH, "www", "", true },
        { "/c/www/a", NODE_ROUTE_PATH, "www", "a", false },
        { "/c/www/a/b.iso", NODE_ROUTE_PATH, "www", "a/b.iso", false },
        { "/c/www/a/b/", NODE_ROUTE_PATH, "www", "a/b", true },
        { "/v1/status", NODE_ROUTE_NONE, "", "", false },
        { "/metrics", NODE_ROUTE_NONE, "", "", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct node_route r = route(cases[i].path);
        assert_int_equal(r.kind, cases[i].kind);
        assert_bytes(r.collection, cases[i].collection);
        assert_bytes(r.path, cases[i].below);
        assert_int_equal(r.is_folder, cases[i].is_folder);
    }
}

#define HEX64 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff"

static void identities(void **state)
{
    (void)state;
    struct node_route r = route("/root/" HEX64 "-12345678901");
    assert_int_equal(r.kind, NODE_ROUTE_ROOT);
    assert_int_equal(r.len, 12345678901);
    assert_int_equal(r.root[0], 0);
    assert_int_equal(r.root[31], 0xff);
    static const char *const bad[] = {
        "/root/",
        "/root/" HEX64,
        "/root/" HEX64 "-",
        "/root/" HEX64 "-0",
        "/root/" HEX64 "-01",
        "/root/" HEX64 "--1",
        "/root/" HEX64 "-+1",
        "/root/" HEX64 "-1x",
        "/root/" HEX64 "-9223372036854775808",
        "/root/x" HEX64 "-1",
        "/root/" HEX64 "-1/",
        "/root/g" HEX64 "-1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(route(bad[i]).kind, NODE_ROUTE_NONE);
}

static void siblings(void **state)
{
    static const struct {
        const char *name;
        enum node_sibling kind;
        const char *stem;
    } cases[] = {
        { "a.iso.torrent", NODE_TORRENT, "a.iso" },
        { "a.magnet", NODE_MAGNET, "a" },
        { "d/a.meta4", NODE_META4, "d/a" },
        { "a.sha256", NODE_SHA256, "a" },
        { "a.torrent.sha256", NODE_SHA256, "a.torrent" },
        { ".torrent", NODE_NO_SIBLING, "" },
        { "d/.torrent", NODE_NO_SIBLING, "" },
        { "a.Torrent", NODE_NO_SIBLING, "" },
        { "torrent", NODE_NO_SIBLING, "" },
        { "", NODE_NO_SIBLING, "" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tarn_bytes stem = { 0 };
        assert_int_equal(node_sibling_of(tarn_bytes_str(cases[i].name), &stem), cases[i].kind);
        assert_bytes(stem, cases[i].stem);
    }
}

static void paddings(void **state)
{
    static const char *const bad[] = {
        "",        ".pad",    ".pad/",    ".pad/0",  ".pad/01", ".pad/x",
        ".pad/+1", ".pad/-1", "x/.pad/1", ".pad/1/", ".pad/1x", ".pad/9223372036854775808"
    };
    uint64_t len = 0;
    (void)state;
    assert_true(node_padding(tarn_bytes_str(".pad/262143"), &len));
    assert_int_equal(len, 262143);
    for (size_t i = 0; i < TARN_COUNT_OF(bad); i++)
        assert_false(node_padding(tarn_bytes_str(bad[i]), &len));
}

static void queries(void **state)
{
    struct node_query q;
    (void)state;
    node_query(&q, tarn_bytes_str(""));
    assert_int_equal(q.as, NODE_NO_SIBLING);
    assert_false(q.is_bad || q.as_json || q.as_list || q.wants_proof);
    node_query(&q, tarn_bytes_str("as=magnet&x=y"));
    assert_int_equal(q.as, NODE_MAGNET);
    node_query(&q, tarn_bytes_str("as=json&after=a%20b"));
    assert_true(q.as_json);
    assert_bytes(q.after, "a%20b");
    node_query(&q, tarn_bytes_str("proof"));
    assert_true(q.wants_proof);
    node_query(&q, tarn_bytes_str("as=exe"));
    assert_true(q.is_bad);
}

TEST_MAIN(cmocka_unit_test(places), cmocka_unit_test(identities), cmocka_unit_test(siblings),
          cmocka_unit_test(paddings), cmocka_unit_test(queries))
