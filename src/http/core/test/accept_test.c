/* http/core/accept: qualities by specificity, codings, and which of ours is chosen. */
#include "base/test/test.h"
#include "http/core/accept.h"
#include "http/core/test/request.h"

static unsigned q_of(const char *accept, const char *type)
{
    struct test_request t;
    char lines[600];
    snprintf(lines, sizeof lines, "Accept: %s\r\n", accept);
    return http_accept_q(test_request(&t, "GET", lines), type);
}

#define RFC "text/*;q=0.3, text/html;q=0.7, text/html;level=1, text/html;level=2;q=0.4, */*;q=0.5"

static void test_quality(void **state)
{
    (void)state;
    static const struct {
        const char *accept, *type;
        unsigned q;
    } rows[] = {
        { RFC, "text/html;level=1", 1000 }, /* RFC 9110 section 12.5.1 */
        { RFC, "text/html", 700 },
        { RFC, "text/plain", 300 },
        { RFC, "image/jpeg", 500 },
        { RFC, "text/html;level=2", 400 },
        { RFC, "text/html;level=3", 700 },
        { "application/json;q=0, */*", "application/json", 0 },
        { "application/json;q=0, */*", "application/yaml", 1000 },
        { "*/*, application/json;q=0", "application/json", 0 },
        { "text/*, text/html;q=0", "text/html", 0 },
        { "text/html", "application/json", 0 },
        { "text/html", "text/html; charset=utf-8", 1000 },
        { "TEXT/Html;Charset=UTF-8;Q=0.5", "text/html; charset=utf-8", 500 },
        { "text/html;charset=\"utf-8\"", "text/html; charset=utf-8", 1000 },
        { "text/html;charset=latin1", "text/html; charset=utf-8", 0 },
        { "text/html; q=0.25 ; ext=1", "text/html", 250 },
        { "text/html;q=1.000", "text/html", 1000 },
        { "text/html;q=0.", "text/html", 0 },
        { "text/html;q=0.12345", "text/html", 123 },
        { "text/html;", "text/html", 1000 },
        { "", "text/html", 1000 },
        { ",,", "text/html", 1000 },
        /* commas in quotes are no ends */
        { "text/html;a=\"x,y\\\",z\";q=0.5, image/png;q=0.2", "image/png", 200 },
        { "text/html;a=\"x,y\";q=0.5", "text/html;a=\"x,y\"", 500 },
        /* what is malformed says nothing */
        { "text/html;q=1.001", "text/html", 0 },
        { "text/html;q=2, text/*;q=0.5", "text/html", 500 },
        { "text/html;q=a, text/*;q=0.5", "text/html", 500 },
        { "text/html;q=-1, text/*;q=0.5", "text/html", 500 },
        { "text/html;q=, text/*;q=0.5", "text/html", 500 },
        { "text, text/*;q=0.5", "text/html", 500 },
        { "text/, text/*;q=0.5", "text/html", 500 },
        { "/html, text/*;q=0.5", "text/html", 500 },
        { "text/html x, text/*;q=0.5", "text/html", 500 },
        { "text/html;=b, text/*;q=0.5", "text/html", 500 },
        { "text/html;a=\"b, text/*;q=0.5", "text/html", 0 },
        { "*/html, text/*;q=0.5", "text/html", 500 },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        unsigned q = q_of(rows[i].accept, rows[i].type);
        if (q != rows[i].q)
            fail_msg("%s for %s: %u", rows[i].accept, rows[i].type, q);
    }
}

static void test_types(void **state)
{
    (void)state;
    static const char *const ours[] = { "text/html", "application/json", "text/html;level=1" };
    static const struct {
        const char *lines;
        int want;
    } rows[] = {
        { "", 0 },
        { "Accept: */*\r\n", 0 },
        { "Accept: application/json, text/html\r\n", 0 }, /* ties: our order */
        { "Accept: application/json, */*;q=0.1\r\n", 1 },
        { "Accept: text/html;q=0.5\r\nAccept: application/json\r\n", 1 },
        { "Accept: " RFC "\r\n", 2 },
        { "Accept: application/*\r\n", 1 },
        { "Accept: image/png\r\n", -1 },
        { "Accept: */*;q=0\r\n", -1 },
        { "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n", 0 },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct test_request t;
        int got =
            http_accept_type(test_request(&t, "GET", rows[i].lines), ours, TARN_COUNT_OF(ours));
        if (got != rows[i].want)
            fail_msg("%s: %d", rows[i].lines, got);
    }
}

static void test_codings(void **state)
{
    (void)state;
    static const enum http_coding all[] = { HTTP_ZSTD, HTTP_BROTLI, HTTP_GZIP };
    static const struct {
        const char *lines;
        enum http_coding want;       /* of all */
        uint16_t gzip, br, identity; /* what is said */
    } rows[] = {
        { "", HTTP_ZSTD, 1000, 1000, 1000 },
        { "Accept-Encoding:\r\n", HTTP_IDENTITY, 0, 0, 1 },
        { "Accept-Encoding: gzip\r\n", HTTP_GZIP, 1000, 0, 1 },
        { "Accept-Encoding: x-gzip\r\n", HTTP_GZIP, 1000, 0, 1 },
        { "Accept-Encoding: GZIP, deflate, br, zstd\r\n", HTTP_ZSTD, 1000, 1000, 1 },
        { "Accept-Encoding: gzip;q=1.0, br;q=0.5\r\n", HTTP_GZIP, 1000, 500, 1 },
        { "Accept-Encoding: gzip;q=0.5, identity\r\n", HTTP_IDENTITY, 500, 0, 1000 },
        { "Accept-Encoding: gzip;q=0\r\n", HTTP_IDENTITY, 0, 0, 1 },
        { "Accept-Encoding: *\r\n", HTTP_ZSTD, 1000, 1000, 1000 },
        { "Accept-Encoding: *;q=0.5, br\r\n", HTTP_BROTLI, 500, 1000, 500 },
        { "Accept-Encoding: *;q=0\r\n", HTTP_IDENTITY, 0, 0, 0 },
        { "Accept-Encoding: *;q=0, br;q=0.1\r\n", HTTP_BROTLI, 0, 100, 0 },
        { "Accept-Encoding: identity;q=0\r\n", HTTP_IDENTITY, 0, 0, 0 },
        { "Accept-Encoding: identity;q=0, gzip;q=0.1\r\n", HTTP_GZIP, 100, 0, 0 },
        { "Accept-Encoding: gzip\r\nAccept-Encoding: br\r\n", HTTP_BROTLI, 1000, 1000, 1 },
        { "Accept-Encoding: gzip;q=7, br;q=0.001\r\n", HTTP_BROTLI, 0, 1, 1 },
        { "Accept-Encoding: compress, , \"gzip\"\r\n", HTTP_IDENTITY, 0, 0, 1 },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct test_request t;
        const struct http_request *req = test_request(&t, "GET", rows[i].lines);
        uint16_t q[HTTP_CODING_COUNT];
        http_accept_codings(req, q);
        enum http_coding got = http_accept_coding(req, all, TARN_COUNT_OF(all));
        if (got != rows[i].want || q[HTTP_GZIP] != rows[i].gzip || q[HTTP_BROTLI] != rows[i].br ||
            q[HTTP_IDENTITY] != rows[i].identity)
            fail_msg("%s: %s, gzip %d, br %d, identity %d", rows[i].lines, http_coding_name(got),
                     q[HTTP_GZIP], q[HTTP_BROTLI], q[HTTP_IDENTITY]);
    }
    struct test_request t;
    assert_int_equal(http_accept_coding(test_request(&t, "GET", ""), NULL, 0), HTTP_IDENTITY);
    static const enum http_coding gzip[] = { HTTP_GZIP };
    assert_int_equal(
        http_accept_coding(test_request(&t, "GET", "Accept-Encoding: br\r\n"), gzip, 1),
        HTTP_IDENTITY);
}

TEST_MAIN(cmocka_unit_test(test_quality), cmocka_unit_test(test_types),
          cmocka_unit_test(test_codings))
