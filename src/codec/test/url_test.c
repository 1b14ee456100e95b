#include "codec/url.h"

#include "base/test/test.h"

static void test_escape(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *escaped;
    } rows[] = {
        { "", "" },           { "AZaz09-_.~", "AZaz09-_.~" },  { "a b/c+d", "a%20b%2Fc%2Bd" },
        { "100%", "100%25" }, { "\xc3\xa9\xff", "%C3%A9%FF" },
    };
    struct tarn_out o;
    tarn_out_init(&o, TARN_KIB);
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        tarn_out_clear(&o);
        url_escape(&o, tarn_bytes_str(rows[i].plain));
        assert_true(tarn_bytes_eq_str(tarn_out_bytes(&o), rows[i].escaped));
        tarn_out_clear(&o);
        url_unescape(&o, tarn_bytes_str(rows[i].escaped), true);
        assert_true(tarn_bytes_eq_str(tarn_out_bytes(&o), rows[i].plain));
    }
    tarn_out_release(&o);
}

static void test_unescape(void **state)
{
    (void)state;
    static const struct {
        const char *escaped;
        bool plus;
        const char *plain;
    } rows[] = {
        { "a+b", true, "a b" },  { "a+b", false, "a+b" }, { "%4a%4B", false, "JK" },
        { "%", false, "%" },     { "%4", false, "%4" },   { "%4g%g4", false, "%4g%g4" },
        { "%%41", false, "%A" }, { "a%2", false, "a%2" },
    };
    struct tarn_out o;
    tarn_out_init(&o, TARN_KIB);
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        tarn_out_clear(&o);
        url_unescape(&o, tarn_bytes_str(rows[i].escaped), rows[i].plus);
        assert_true(tarn_bytes_eq_str(tarn_out_bytes(&o), rows[i].plain));
    }
    tarn_out_release(&o);

    char small[2];
    tarn_out_fixed(&o, small, sizeof small);
    url_escape(&o, tarn_bytes_str("a/"));
    assert_false(tarn_out_ok(&o));
}

static void test_query(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value;
    } want[] = { { "a", "1" }, { "b", "" }, { "c", "" }, { "", "v" }, { "d", "x=y" } };
    struct tarn_bytes query = tarn_bytes_str("&a=1&&b&c=&=v&d=x=y&");
    struct tarn_bytes key, value;
    for (size_t i = 0; i < TARN_COUNT_OF(want); i++) {
        assert_true(url_query_next(&query, &key, &value));
        assert_true(tarn_bytes_eq_str(key, want[i].key));
        assert_true(tarn_bytes_eq_str(value, want[i].value));
    }
    assert_false(url_query_next(&query, &key, &value));
    assert_false(url_query_next(&query, &key, &value));
}

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text, *scheme, *host, *path, *query;
        uint16_t port;
        bool has_query;
    } rows[] = {
        { "http://a", "http", "a", "", "", 0, false },
        { "http://a/", "http", "a", "/", "", 0, false },
        { "HTTP://A:80/b?c", "http", "A", "/b", "c", 80, true },
        { "udp://t.example:6969/announce", "udp", "t.example", "/announce", "", 6969, false },
        { "https://u:p@h/x@y?z@:1", "https", "h", "/x@y", "z@:1", 0, true },
        { "http://a?b/c", "http", "a", "", "b/c", 0, true },
        { "http://a?", "http", "a", "", "", 0, true },
        { "http://a#f?g", "http", "a", "", "", 0, false },
        { "http://[2001:db8::1]:81/x", "http", "2001:db8::1", "/x", "", 81, false },
        { "http://[::1]", "http", "::1", "", "", 0, false },
        { "http://a:/x", "http", "a", "/x", "", 0, false },
        { "http://a/%20?q=%26#x", "http", "a", "/%20", "q=%26", 0, true },
        { "svn+ssh://a", "svn+ssh", "a", "", "", 0, false },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct url u;
        struct tarn_err err;
        if (!url_parse(tarn_bytes_str(rows[i].text), &u, &err))
            fail_msg("%s", err.msg);
        assert_true(url_scheme_is(&u, rows[i].scheme));
        assert_false(url_scheme_is(&u, "htt"));
        assert_true(tarn_bytes_eq_str(u.host, rows[i].host));
        assert_true(tarn_bytes_eq_str(u.path, rows[i].path));
        assert_true(tarn_bytes_eq_str(u.query, rows[i].query));
        assert_int_equal(u.port, rows[i].port);
        assert_int_equal(u.has_query, rows[i].has_query);
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } rows[] = {
        { "", "'' is not a URL: it does not begin with a scheme and '://'" },
        { "http", "'http' is not a URL: it does not begin with a scheme and '://'" },
        { "http:/a", "'http:/a' is not a URL: it does not begin with a scheme and '://'" },
        { "://a", "'://a' is not a URL: it does not begin with a scheme and '://'" },
        { "1http://a", "'1http://a' is not a URL: it does not begin with a scheme and '://'" },
        { "h~tp://a", "'h~tp://a' is not a URL: it does not begin with a scheme and '://'" },
        { "http://", "'http://' is not a URL: it names no host" },
        { "http:///x", "'http:///x' is not a URL: it names no host" },
        { "http://u@/x", "'http://u@/x' is not a URL: it names no host" },
        { "http://:80", "'http://:80' is not a URL: it names no host" },
        { "http://[]", "'http://[]' is not a URL: it names no host" },
        { "http://[::1", "'http://[::1' is not a URL: '[' without ']'" },
        { "http://[::1]x:1", "'http://[::1]x:1' is not a URL: something stands between ']' and the "
                             "port" },
        { "http://a:0", "'http://a:0' is not a URL: its port is not a number from 1 to 65535" },
        { "http://a:65536", "'http://a:65536' is not a URL: its port is not a number from 1 to "
                            "65535" },
        { "http://a:b", "'http://a:b' is not a URL: its port is not a number from 1 to 65535" },
        { "http://a b", "'http://a b' is not a URL: it holds a space or a control character" },
        { " http://a", "' http://a' is not a URL: it holds a space or a control character" },
        { "http://a\n", "'http://a\\x0a' is not a URL: it holds a space or a control character" },
        { "http://a\x7f", "'http://a\\x7f' is not a URL: it holds a space or a control character" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct url u = { .port = 7 };
        struct tarn_err err;
        assert_false(url_parse(tarn_bytes_str(rows[i].text), &u, &err));
        assert_int_equal(err.code, TARN_E_FAILED);
        assert_string_equal(err.msg, rows[i].msg);
        assert_int_equal(u.port, 7);
    }
    struct url u;
    assert_false(url_parse(tarn_bytes_of("http://a\0b", 10), &u, NULL));
}

TEST_MAIN(cmocka_unit_test(test_escape), cmocka_unit_test(test_unescape),
          cmocka_unit_test(test_query), cmocka_unit_test(test_good), cmocka_unit_test(test_bad))
