/* http/core/cond: which condition decides, and what it decides. */
#include "base/test/test.h"
#include "http/core/cond.h"
#include "http/core/test/request.h"

#define NOW ((int64_t)784111777 + 1000)
#define EARLIER "Sun, 06 Nov 1994 08:49:36 GMT"
#define THEN "Sun, 06 Nov 1994 08:49:37 GMT" /* when it was modified */
#define LATER "Sun, 06 Nov 1994 08:49:38 GMT"
#define FUTURE "Sun, 06 Nov 2094 08:49:38 GMT"

enum { GO = HTTP_COND_GO, UNCHANGED = HTTP_COND_UNCHANGED, FAILED = HTTP_COND_FAILED };

static struct http_validators validators(const char *etag)
{
    return (struct http_validators){ .etag = tarn_bytes_str(etag),
                                     .modified_s = 784111777,
                                     .exists = true };
}

static void test_order(void **state)
{
    (void)state;
    static const struct {
        const char *method, *lines;
        int want;
    } rows[] = {
        { "GET", "", GO },
        { "GET", "If-Match: \"a\"\r\n", GO },
        { "GET", "If-Match: \"b\"\r\n", FAILED },
        { "GET", "If-Match: *\r\n", GO },
        { "GET", "If-Match: \"b\", \"a\"\r\n", GO },
        { "GET", "If-Match: \"b\"\r\nIf-Match: \"a\"\r\n", GO },
        { "GET", "If-Match: W/\"a\"\r\n", FAILED },
        { "GET", "If-Match: a\r\n", FAILED },
        { "GET", "If-Match:\r\n", FAILED },
        /* If-Match hides the date */
        { "GET", "If-Match: \"a\"\r\nIf-Unmodified-Since: " EARLIER "\r\n", GO },
        { "GET", "If-Unmodified-Since: " EARLIER "\r\n", FAILED },
        { "GET", "If-Unmodified-Since: " THEN "\r\n", GO },
        { "GET", "If-Unmodified-Since: " FUTURE "\r\n", GO },
        { "GET", "If-Unmodified-Since: yesterday\r\n", GO },
        { "GET", "If-None-Match: \"a\"\r\n", UNCHANGED },
        { "HEAD", "If-None-Match: \"a\"\r\n", UNCHANGED },
        { "PUT", "If-None-Match: \"a\"\r\n", FAILED },
        { "PUT", "If-None-Match: *\r\n", FAILED },
        { "GET", "If-None-Match: *\r\n", UNCHANGED },
        { "GET", "If-None-Match: W/\"a\"\r\n", UNCHANGED },
        { "GET", "If-None-Match: \"b\"\r\n", GO },
        { "GET", "If-None-Match: \"b\" , ,W/\"c\",\"a\"\r\n", UNCHANGED },
        { "GET", "If-None-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n", UNCHANGED },
        /* If-None-Match hides the date */
        { "GET", "If-None-Match: \"b\"\r\nIf-Modified-Since: " LATER "\r\n", GO },
        { "GET", "If-Modified-Since: " THEN "\r\n", UNCHANGED },
        { "HEAD", "If-Modified-Since: " LATER "\r\n", UNCHANGED },
        { "GET", "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n", UNCHANGED },
        { "GET", "If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n", UNCHANGED },
        { "GET", "If-Modified-Since: " EARLIER "\r\n", GO },
        { "GET", "If-Modified-Since: " FUTURE "\r\n", GO },
        { "GET", "If-Modified-Since: 784111777\r\n", GO },
        { "POST", "If-Modified-Since: " LATER "\r\n", GO },
        /* both kinds */
        { "GET", "If-Match: \"a\"\r\nIf-None-Match: \"a\"\r\n", UNCHANGED },
        { "GET", "If-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n", FAILED },
        { "GET", "If-Unmodified-Since: " EARLIER "\r\nIf-Modified-Since: " LATER "\r\n", FAILED },
    };
    struct http_validators v = validators("\"a\"");
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct test_request t;
        if ((int)http_cond_check(test_request(&t, rows[i].method, rows[i].lines), &v, NOW) !=
            rows[i].want)
            fail_msg("%s %s", rows[i].method, rows[i].lines);
    }
}

static void test_missing(void **state)
{
    (void)state;
    struct test_request t;
    struct http_validators none = { .modified_s = HTTP_NO_TIME };
    assert_int_equal(http_cond_check(test_request(&t, "PUT", "If-Match: *\r\n"), &none, NOW),
                     FAILED);
    assert_int_equal(http_cond_check(test_request(&t, "PUT", "If-None-Match: *\r\n"), &none, NOW),
                     GO);
    struct http_validators bare = { .modified_s = HTTP_NO_TIME, .exists = true };
    assert_int_equal(
        http_cond_check(test_request(&t, "GET", "If-None-Match: \"a\"\r\n"), &bare, NOW), GO);
    assert_int_equal(
        http_cond_check(test_request(&t, "GET", "If-Modified-Since: " LATER "\r\n"), &bare, NOW),
        GO);
    struct http_validators weak = validators("W/\"a\"");
    assert_int_equal(
        http_cond_check(test_request(&t, "GET", "If-None-Match: \"a\"\r\n"), &weak, NOW),
        UNCHANGED);
    assert_int_equal(http_cond_check(test_request(&t, "GET", "If-Match: W/\"a\"\r\n"), &weak, NOW),
                     FAILED);
}

static void test_range(void **state)
{
    (void)state;
#define RANGE "Range: bytes=0-1\r\n"
    static const struct {
        const char *method, *lines, *etag;
        bool is_strong, want;
    } rows[] = {
        { "GET", "", "\"a\"", true, false },
        { "GET", RANGE, "\"a\"", true, true },
        { "HEAD", RANGE, "\"a\"", true, false },
        { "POST", RANGE, "\"a\"", true, false },
        { "GET", RANGE "If-Range: \"a\"\r\n", "\"a\"", true, true },
        { "GET", RANGE "If-Range: \"b\"\r\n", "\"a\"", true, false },
        { "GET", RANGE "If-Range: W/\"a\"\r\n", "\"a\"", true, false },
        { "GET", RANGE "If-Range: \"a\"\r\n", "W/\"a\"", true, false },
        { "GET", RANGE "If-Range: \"a\", \"b\"\r\n", "\"a\"", true, false },
        { "GET", RANGE "If-Range: *\r\n", "\"a\"", true, false },
        { "GET", RANGE "If-Range: \r\n", "\"a\"", true, false },
        { "GET", RANGE "If-Range: " THEN "\r\n", "\"a\"", true, true },
        { "GET", RANGE "If-Range: " THEN "\r\n", "\"a\"", false, false },
        { "GET", RANGE "If-Range: " LATER "\r\n", "\"a\"", true, false },
        { "GET", RANGE "If-Range: " EARLIER "\r\n", "\"a\"", true, false },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct test_request t;
        struct http_validators v = validators(rows[i].etag);
        v.is_modified_strong = rows[i].is_strong;
        if (http_cond_range(test_request(&t, rows[i].method, rows[i].lines), &v, NOW) !=
            rows[i].want)
            fail_msg("%s %s", rows[i].method, rows[i].lines);
    }
}

static void test_lists(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool strong, weak; /* is "x" in it? */
    } rows[] = {
        { "\"x\"", true, true },
        { " \t\"x\" ", true, true },
        { "W/\"x\"", false, true },
        { "w/\"x\"", false, false },
        { "\"X\"", false, false },
        { "*", true, true },
        { "*, \"y\"", false, false },
        { "\"y\",\"x\"", true, true },
        { ",,\"x\",", true, true },
        { "\"y\" \"x\"", false, false },
        { "\"y\"; \"x\"", false, false },
        { "\"y, \"x\"", false, false }, /* no space in a tag */
        { "\"y,\"x\"", false, false },
        { "x", false, false },
        { "\"x", false, false },
        { "\"", false, false },
        { "", false, false },
        { "W/", false, false },
        { "\"a,b\", \"x\"", true, true },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct tarn_bytes list = tarn_bytes_str(rows[i].list), tag = tarn_bytes_str("\"x\"");
        if (http_etag_in(list, tag, true) != rows[i].strong ||
            http_etag_in(list, tag, false) != rows[i].weak)
            fail_msg("%s", rows[i].list);
    }
}

TEST_MAIN(cmocka_unit_test(test_order), cmocka_unit_test(test_missing),
          cmocka_unit_test(test_range), cmocka_unit_test(test_lists))
