#include "base/err.h"

#include "base/test/test.h"
#include "base/text.h"

#include <errno.h>

static void test_fail(void **state)
{
    (void)state;
    struct tarn_err err = { 0 };
    assert_false(tarn_fail(&err, TARN_E_POLICY, "piece %d is of %s size", 7, "no"));
    assert_int_equal(err.code, TARN_E_POLICY);
    assert_string_equal(err.msg, "piece 7 is of no size");
}

static void test_fail_in(void **state)
{
    (void)state;
    struct tarn_err err = { 0 };
    tarn_fail(&err, TARN_E_NETWORK, "nobody answers");
    assert_false(tarn_fail_in(&err, "asking port %u", 6881U));
    assert_false(tarn_fail_in(&err, "joining"));
    assert_int_equal(err.code, TARN_E_NETWORK);
    assert_string_equal(err.msg, "joining: asking port 6881: nobody answers");
}

static void test_own_message_as_argument(void **state)
{
    (void)state;
    struct tarn_err err = { 0 };
    tarn_fail(&err, TARN_E_FAILED, "inner");
    tarn_fail(&err, TARN_E_USAGE, "<%s>", err.msg);
    assert_string_equal(err.msg, "<inner>");
    tarn_fail_in(&err, "again %s", err.msg);
    assert_string_equal(err.msg, "again <inner>: <inner>");
}

static void test_fail_sys(void **state)
{
    (void)state;
    static const struct {
        int number;
        enum tarn_code code;
    } cases[] = {
        { ENOSPC, TARN_E_NO_SPACE },      { EDQUOT, TARN_E_NO_SPACE },
        { ENOENT, TARN_E_NOT_FOUND },     { EACCES, TARN_E_POLICY },
        { EROFS, TARN_E_POLICY },         { EPERM, TARN_E_POLICY },
        { ECONNREFUSED, TARN_E_NETWORK }, { ECONNRESET, TARN_E_NETWORK },
        { ETIMEDOUT, TARN_E_NETWORK },    { ENETUNREACH, TARN_E_NETWORK },
        { ENOMEM, TARN_E_NO_MEMORY },     { EIO, TARN_E_FAILED },
        { 0x7FFFFFFF, TARN_E_FAILED },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        struct tarn_err err = { 0 };
        char want[200];
        snprintf(want, sizeof want, "writing 'x': %s", strerror(cases[i].number));
        errno = cases[i].number;
        assert_false(tarn_fail_sys(&err, "writing '%s'", "x"));
        assert_int_equal(err.code, cases[i].code);
        assert_string_equal(err.msg, want);
    }
}

static void test_fail_mem(void **state)
{
    (void)state;
    struct tarn_err err = { 0 };
    assert_false(tarn_fail_mem(&err, "reading the torrent"));
    assert_int_equal(err.code, TARN_E_NO_MEMORY);
    assert_string_equal(err.msg, "out of memory while reading the torrent");
}

static void test_nobody_wants_to_know(void **state)
{
    (void)state;
    assert_false(tarn_fail(NULL, TARN_E_FAILED, "%d", 1));
    assert_false(tarn_fail_in(NULL, "%d", 1));
    assert_false(tarn_fail_sys(NULL, "%d", 1));
    assert_false(tarn_fail_mem(NULL, "x"));
}

static struct tarn_bytes msg_of(const struct tarn_err *err)
{
    assert_non_null(memchr(err->msg, 0, sizeof err->msg));
    return tarn_bytes_str(err->msg);
}

static void assert_cut(const struct tarn_err *err, size_t longest_char)
{
    struct tarn_bytes msg = msg_of(err);
    assert_true(msg.len < sizeof err->msg && msg.len + longest_char >= sizeof err->msg);
    assert_true(tarn_utf8_valid(msg));
    assert_string_equal(err->msg + msg.len - 3, "...");
}

static void test_longest_message(void **state)
{
    (void)state;
    struct tarn_err err = { 0 };
    char text[2000];
    memset(text, 'a', sizeof text);
    tarn_fail(&err, TARN_E_FAILED, "%.1019s", text);
    assert_int_equal(msg_of(&err).len, 1019);
    assert_int_equal(err.msg[1018], 'a');
    tarn_fail(&err, TARN_E_FAILED, "%.1020s", text);
    assert_cut(&err, 1);
    tarn_fail(&err, TARN_E_FAILED, "%.2000s", text);
    assert_cut(&err, 1);
    tarn_fail_in(&err, "%.2000s", text);
    assert_cut(&err, 1);
}

/* Characters of every length, met by the cut at every byte. */
static void test_cut_at_a_character(void **state)
{
    (void)state;
    static const char *const chars[] = { "\u00e9", "\u20ac", "\U0001F409" };
    for (size_t c = 0; c < TARN_COUNT_OF(chars); c++) {
        for (size_t shift = 0; shift < 4; shift++) {
            char text[1600];
            size_t len = shift;
            memset(text, 'x', shift);
            for (; len + 5 < sizeof text; len += strlen(chars[c]))
                memcpy(text + len, chars[c], strlen(chars[c]));
            struct tarn_err err = { 0 };
            tarn_fail(&err, TARN_E_FAILED, "%.*s", (int)len, text);
            assert_cut(&err, 4);
            tarn_fail(&err, TARN_E_FAILED, "reason");
            tarn_fail_in(&err, "%.*s", (int)len, text);
            assert_cut(&err, 4);
        }
    }
}

static void test_codes(void **state)
{
    (void)state;
    static const char *const names[] = {
        "ok",      "failed",   "usage",  "partial", "integrity", "not-found",
        "network", "no-space", "daemon", "policy",  "no-memory", "canceled",
    };
    for (int code = 0; code <= TARN_E_CANCELED; code++) {
        assert_string_equal(tarn_code_name((enum tarn_code)code), names[code]);
        assert_int_equal(tarn_code_exit((enum tarn_code)code), code <= 9 ? code : 1);
    }
    assert_string_equal(tarn_code_name((enum tarn_code)12), "failed");
    assert_int_equal(tarn_code_exit((enum tarn_code)12), 1);
}

static void test_quote(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "", "" },
        { "plain name.iso", "plain name.iso" },
        { "d\u00e9j\u00e0 \u6f22 \U0001F409", "d\u00e9j\u00e0 \u6f22 \U0001F409" },
        { "\x1b[31m\r\n\t", "\\x1b[31m\\x0d\\x0a\\x09" },
        { "\x7f\xc2\x85|\xc2\xa0", "\\x7f\\xc2\\x85|\xc2\xa0" },
        { "\xff|\xc3|\xe2\x82|\xed\xa0\x80", "\\xff|\\xc3|\\xe2\\x82|\\xed\\xa0\\x80" },
        { "\u061c", "\\xd8\\x9c" },
        { "\u200a\u200b\u200f\u2010", "\u200a\\xe2\\x80\\x8b\\xe2\\x80\\x8f\u2010" },
        { "\u2028\u202e\u202f", "\\xe2\\x80\\xa8\\xe2\\x80\\xae\u202f" },
        { "\u2060\u2064\u2066\u2069\u206a",
          "\\xe2\\x81\\xa0\\xe2\\x81\\xa4\\xe2\\x81\\xa6\\xe2\\x81\\xa9\u206a" },
        { "\ufeff", "\\xef\\xbb\\xbf" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        struct tarn_quote q;
        assert_string_equal(tarn_quote_str(&q, cases[i].in), cases[i].out);
    }
    struct tarn_quote q;
    assert_string_equal(tarn_quote(&q, tarn_bytes_of("a\0b", 3)), "a\\x00b");
    assert_string_equal(tarn_quote(&q, tarn_bytes_of(NULL, 0)), "");
}

static void test_quote_longest(void **state)
{
    (void)state;
    struct tarn_quote q;
    char text[300];
    memset(text, 'a', sizeof text);
    assert_int_equal(strlen(tarn_quote(&q, tarn_bytes_of(text, 259))), 259);
    assert_int_equal(q.s[258], 'a');
    assert_int_equal(strlen(tarn_quote(&q, tarn_bytes_of(text, 260))), 259);
    assert_string_equal(q.s + 255, "a...");
}

/* Whatever goes in, what comes out is short, UTF-8, and harmless. */
static void test_quote_anything(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int turn = 0; turn < 20000; turn++) {
        uint8_t text[300];
        size_t len = test_rand_below(&seed, sizeof text + 1);
        uint64_t mask = test_rand_below(&seed, 4) == 0 ? 0x1F : 0xFF;
        for (size_t i = 0; i < len; i++)
            text[i] = (uint8_t)(test_rand(&seed) & mask);
        struct tarn_quote q;
        struct tarn_bytes out = tarn_bytes_str(tarn_quote(&q, tarn_bytes_of(text, len)));
        assert_true(out.len < sizeof q.s);
        while (out.len > 0) {
            uint32_t cp = tarn_utf8_take(&out);
            assert_true(cp != TARN_UTF8_BAD && cp >= 0x20 && (cp < 0x7F || cp > 0x9F));
        }
    }
}

TEST_MAIN(cmocka_unit_test(test_fail), cmocka_unit_test(test_fail_in),
          cmocka_unit_test(test_own_message_as_argument), cmocka_unit_test(test_fail_sys),
          cmocka_unit_test(test_fail_mem), cmocka_unit_test(test_nobody_wants_to_know),
          cmocka_unit_test(test_longest_message), cmocka_unit_test(test_cut_at_a_character),
          cmocka_unit_test(test_codes), cmocka_unit_test(test_quote),
          cmocka_unit_test(test_quote_longest), cmocka_unit_test(test_quote_anything))
