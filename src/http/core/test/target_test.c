/* http/core/target: what paths mean, and which are refused. */
#include "base/test/test.h"
#include "http/core/target.h"

static void test_plain(void **state)
{
    (void)state;
    static const struct {
        const char *path, *plain;
    } rows[] = {
        { "", "/" },
        { "/", "/" },
        { "//", "/" },
        { "/a", "/a" },
        { "/a/", "/a/" },
        { "/a//b", "/a/b" },
        { "/a/.", "/a/" },
        { "/./a", "/a" },
        { "/a/..", "/" },
        { "/a/../", "/" },
        { "/a/b/../c", "/a/c" },
        { "/a/b/%2e%2E/c", "/a/c" },
        { "/a/.%2e", "/" },
        { "/a//../b", "/b" },
        { "/%41%62", "/Ab" },
        { "/a+b", "/a+b" },
        { "/%2541", "/%41" }, /* once */
        { "/%252e%252e/a", "/%2e%2e/a" },
        { "/a%20b%0a%ff", "/a b\n\xff" },
        { "/a%5c..%5cb", "/a\\..\\b" }, /* no slash to us */
        { "/...", "/..." },
        { "/..a/.b", "/..a/.b" },
        { "/\xc3\xa4", "/\xc3\xa4" },
        { "/a/b/c/../../d/./../e/", "/a/e/" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct tarn_bytes path = tarn_bytes_str(rows[i].path);
        struct tarn_err err;
        char storage[100] = "x:";
        struct tarn_out o;
        tarn_out_fixed(&o, storage, 2 + path.len + 1); /* what the header promises */
        tarn_out_str(&o, "x:");
        if (!http_path_plain(&o, path, &err))
            fail_msg("%s: %s", rows[i].path, err.msg);
        struct tarn_bytes got = tarn_bytes_of(o.p + 2, o.len - 2);
        if (!tarn_bytes_eq_str(got, rows[i].plain))
            fail_msg("%s: %.*s", rows[i].path, (int)got.len, (const char *)got.p);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path, *why;
    } rows[] = {
        { "a", "does not begin with a slash" },
        { "*", "does not begin with a slash" },
        { "/..", "climbs above the root" },
        { "/../a", "climbs above the root" },
        { "/a/../..", "climbs above the root" },
        { "/a/../../a", "climbs above the root" },
        { "/./..", "climbs above the root" },
        { "//..", "climbs above the root" },
        { "/%2e%2e/etc/passwd", "climbs above the root" },
        { "/%", "without two hex digits" },
        { "/%4", "without two hex digits" },
        { "/%4g", "without two hex digits" },
        { "/%u0041", "without two hex digits" },
        { "/a%/b", "without two hex digits" },
        { "/a%4/1", "without two hex digits" },
        { "/a%00", "hides a NUL or a slash" },
        { "/a%2fb", "hides a NUL or a slash" },
        { "/..%2F..%2fa", "hides a NUL or a slash" },
    };
    char storage[100];
    struct tarn_out o;
    tarn_out_fixed(&o, storage, sizeof storage);
    tarn_out_str(&o, "x:");
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct tarn_err err;
        assert_false(http_path_plain(&o, tarn_bytes_str(rows[i].path), &err));
        if (strstr(err.msg, rows[i].why) == NULL)
            fail_msg("%s: %s", rows[i].path, err.msg);
        assert_true(tarn_bytes_eq_str(tarn_out_bytes(&o), "x:"));
    }
    struct tarn_err err;
    assert_false(
        http_path_plain(&o, tarn_bytes_of("/%41", 3), &err)); /* the next byte is not ours */
    tarn_out_fixed(&o, storage, 3);
    assert_false(http_path_plain(&o, tarn_bytes_str("/abc"), &err));
    assert_non_null(strstr(err.msg, "does not fit"));
}

static void test_authority(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t host_len;
        uint16_t port;
    } good[] = {
        { "", 0, 0 },
        { "a", 1, 0 },
        { "a.b.", 4, 0 },
        { "a:", 1, 0 },
        { "a:1", 1, 1 },
        { "a:65535", 1, 65535 },
        { "a:00080", 1, 80 },
        { "1.2.3.4:5", 7, 5 },
        { "[::1]", 5, 0 },
        { "[::1]:6881", 5, 6881 },
        { "[::ffff:1.2.3.4]", 16, 0 },
        { "a%20b", 5, 0 },
        { "a_b-c~d!$&'()*+;=", 17, 0 },
    };
    static const char *const bad[] = {
        ":",           ":1",   "a:65536", "a:b",  "a:1:2", "a b",  "a,b",  "a/b",    "a?b",
        "a#b",         "u@a",  "u:p@a",   "a\\b", "a\"b",  "<a>",  "a^b",  "a|b",    "a`b",
        "{a}",         "a\tb", "[",       "[]",   "[1]",   "[::1", "::1",  "[::1]a", "[::1]]",
        "[::%25eth0]", "a%",   "a%4",     "a%4x", "\x80",  "a:-1", "a: 1", "a:1 ",
    };
    uint32_t host_len;
    uint16_t port;
    for (size_t i = 0; i < TARN_COUNT_OF(good); i++) {
        if (!http_authority_parse(tarn_bytes_str(good[i].text), &host_len, &port))
            fail_msg("%s", good[i].text);
        assert_int_equal(host_len, good[i].host_len);
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < TARN_COUNT_OF(bad); i++)
        if (http_authority_parse(tarn_bytes_str(bad[i]), &host_len, &port))
            fail_msg("%s", bad[i]);
    assert_false(http_authority_parse(tarn_bytes_of("a\0b", 3), &host_len, &port));
}

TEST_MAIN(cmocka_unit_test(test_plain), cmocka_unit_test(test_refused),
          cmocka_unit_test(test_authority))
