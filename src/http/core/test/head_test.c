/* http/core/head: what is read, what is refused and how, and that slices do not matter. */
#include "base/test/test.h"
#include "http/core/head.h"

#include "base/mem.h"

enum { STORAGE = HTTP_FIELDS_DEFAULT };

struct outcome {
    enum http_step step;
    struct http_request req;
    struct http_field fields[STORAGE];
    struct tarn_err err;
};

/* A copy that ends where the text does, so that ASan sees a byte read too far. */
static uint8_t *copy_of(struct tarn_bytes text)
{
    uint8_t *p = tarn_calloc(text.len == 0 ? 1 : text.len, 1);
    assert_non_null(p);
    if (text.len > 0)
        memcpy(p, text.p, text.len);
    return p;
}

static enum http_step feed(struct http_scan *scan, const struct http_limits *limits,
                           struct tarn_bytes text, struct outcome *got)
{
    uint8_t *p = copy_of(text);
    memset(&got->req, 0xA5, sizeof got->req); /* nothing may be left from before */
    got->req.fields = got->fields;
    got->step = http_head_next(scan, limits, tarn_bytes_of(p, text.len), &got->req, &got->err);
    got->req.base = text.p; /* the same bytes, that stay */
    tarn_free(p);
    return got->step;
}

static void read_whole(const struct http_limits *limits, struct tarn_bytes text,
                       struct outcome *got)
{
    struct http_scan scan = { 0 };
    (void)feed(&scan, limits, text, got);
}

static void assert_span(struct http_span a, struct http_span b)
{
    assert_int_equal(a.at, b.at);
    assert_int_equal(a.len, b.len);
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->step, b->step);
    if (a->step == HTTP_MORE)
        return;
    assert_int_equal(a->req.status, b->req.status);
    assert_span(a->req.line, b->req.line);
    assert_span(a->req.target, b->req.target);
    assert_span(a->req.path, b->req.path);
    assert_span(a->req.host, b->req.host);
    assert_int_equal(a->req.keeps, b->req.keeps);
    assert_int_equal(a->req.head_len, b->req.head_len);
    assert_int_equal(a->req.n_fields, b->req.n_fields);
    assert_int_equal(a->req.body, b->req.body);
    assert_memory_equal(a->req.known, b->req.known, sizeof a->req.known);
    for (unsigned i = 0; i < a->req.n_fields; i++) {
        assert_span(a->fields[i].name, b->fields[i].name);
        assert_span(a->fields[i].value, b->fields[i].value);
        assert_int_equal(a->fields[i].next, b->fields[i].next);
    }
    if (a->step == HTTP_BAD)
        assert_string_equal(a->err.msg, b->err.msg);
}

/* Byte by byte, and in each two pieces. */
static void assert_slices(const struct http_limits *limits, struct tarn_bytes text,
                          const struct outcome *whole)
{
    struct outcome got;
    struct http_scan scan = { 0 };
    enum http_step step = HTTP_MORE;
    for (size_t n = 0; n <= text.len && step == HTTP_MORE; n++)
        step = feed(&scan, limits, tarn_bytes_of(text.p, n), &got);
    assert_same(whole, &got);
    for (size_t n = 0; n <= text.len; n++) {
        scan = (struct http_scan){ 0 };
        if (feed(&scan, limits, tarn_bytes_of(text.p, n), &got) == HTTP_MORE)
            (void)feed(&scan, limits, text, &got);
        assert_same(whole, &got);
    }
}

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define HEAD LINE HOST
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned status;
        const char *why;
    } rows[] = {
        /* the request line */
        { "\x16\x03\x01", 400, "is it TLS" },
        { "GET\r\n", 400, "method, target, version" },
        { "GET /\r\n", 400, "does not end with a version" },
        { "GET  / HTTP/1.1\r\n", 400, "does not end with a version" },
        { "GET  HTTP/1.1\r\n", 400, "no target" },
        { "GET /  HTTP/1.1\r\n", 400, "does not end with a version" },
        { "GET / HTTP/1.1 \r\n", 400, "does not end with a version" },
        { " GET / HTTP/1.1\r\n", 400, "method, target, version" },
        { "G(T / HTTP/1.1\r\n", 400, "method, target, version" },
        { "GET\t/ HTTP/1.1\r\n", 400, "control byte" },
        { "GET /\x7f HTTP/1.1\r\n", 400, "control byte" },
        { "GET /a b HTTP/1.1\r\n", 400, "does not end with a version" },
        { "GET / HTTP/1.10\r\n", 400, "does not end with a version" },
        { "GET / HTTP/11\r\n", 400, "does not end with a version" },
        { "GET / HTTP/1,1\r\n", 400, "does not end with a version" },
        { "GET / http/1.1\r\n", 400, "does not end with a version" },
        { "GET / HTTP/x.1\r\n", 400, "does not end with a version" },
        { "GET / HTTP/2.0\r\n", 505, "not 1.0 or 1.1" },
        { "GET / HTTP/0.9\r\n", 505, "not 1.0 or 1.1" },
        { "PRI * HTTP/2.0\r\n", 505, "not 1.0 or 1.1" },
        { "GET /a#b HTTP/1.1\r\n", 400, "fragment" },
        { "GET a HTTP/1.1\r\n", 400, "no path and no http URL" },
        { "GET * HTTP/1.1\r\n", 400, "no path and no http URL" },
        { "GET ftp://a/ HTTP/1.1\r\n", 400, "no path and no http URL" },
        { "GET http:// HTTP/1.1\r\n", 400, "no good host" },
        { "GET http:///a HTTP/1.1\r\n", 400, "no good host" },
        { "GET http://u@a/ HTTP/1.1\r\n", 400, "no good host" },
        { "GET http://a:99999/ HTTP/1.1\r\n", 400, "no good host" },
        { "GET a:80 HTTP/1.1\r\n", 400, "no path and no http URL" },
        { "CONNECT / HTTP/1.1\r\n", 400, "host:port" },
        { "CONNECT a HTTP/1.1\r\n", 400, "host:port" },
        { "CONNECT a:0 HTTP/1.1\r\n", 400, "host:port" },
        { "\r\n\r\nGET / HTTP/1.1\r\n", 400, "empty lines" },
        /* lines */
        { "GET / HTTP/1.1\n", 400, "LF alone" },
        { LINE "Host: a\n", 400, "LF alone" },
        { HEAD "\n", 400, "LF alone" },
        { "GET / HTTP/1.1\rHost: a\r\r", 400, "CR without LF" },
        { LINE "A: b\rc\r\n", 400, "CR without LF" },
        { LINE "A: b\r\r\n", 400, "CR without LF" },
        { HEAD "A: b\x01\r\n", 400, "control byte" },
        { HEAD "A: \x1f\r\n", 400, "control byte" },
        { HEAD "A: \x7f\r\n", 400, "control byte" },
        /* fields */
        { LINE " A: b\r\n", 400, "begins with white space" },
        { LINE "A: b\r\n c\r\n", 400, "begins with white space" },
        { LINE "A: b\r\n\tc\r\n", 400, "begins with white space" },
        { LINE "A : b\r\n", 400, "white space before a colon" },
        { LINE "A\t: b\r\n", 400, "white space before a colon" },
        { LINE "A b: c\r\n", 400, "white space before a colon" },
        { LINE "A\r\n", 400, "without a colon" },
        { LINE ": b\r\n", 400, "no token" },
        { LINE "A(: b\r\n", 400, "no token" },
        { LINE "\xc3\xa4: b\r\n", 400, "no token" },
        /* Host */
        { LINE "\r\n", 400, "no Host" },
        { "GET http://a/ HTTP/1.1\r\n\r\n", 400, "no Host" },
        { LINE HOST HOST "\r\n", 400, "two fields 'Host'" },
        { "GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400, "two fields" },
        { LINE "Host: a b\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: a,b\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: a/b\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: u@a\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: http://a\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: a:x\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: a:80:80\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: a:65536\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: :80\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: [::1\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: [1]\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: [::g]\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: [::1]x\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: a%2\r\n\r\n", 400, "not host[:port]" },
        { LINE "Host: \xff\r\n\r\n", 400, "not host[:port]" },
        { "GET http://a/ HTTP/1.1\r\nHost: b/c\r\n\r\n", 400, "not host[:port]" },
        /* the body */
        { POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, "two fields" },
        { POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "two fields" },
        { POST "Content-Length: 1, 1\r\n\r\n", 400, "no number" },
        { POST "Content-Length: +1\r\n\r\n", 400, "no number" },
        { POST "Content-Length: -1\r\n\r\n", 400, "no number" },
        { POST "Content-Length: 1_0\r\n\r\n", 400, "no number" },
        { POST "Content-Length: 1 0\r\n\r\n", 400, "no number" },
        { POST "Content-Length: 0x1\r\n\r\n", 400, "no number" },
        { POST "Content-Length: 1\xa0\r\n\r\n", 400, "no number" },
        { POST "Content-Length: \xd9\xa1\r\n\r\n", 400, "no number" },
        { POST "Content-Length:\r\n\r\n", 400, "no number" },
        { POST "Content-Length: 9223372036854775808\r\n\r\n", 400, "no number" },
        { POST "Content-Length: 18446744073709551617\r\n\r\n", 400, "no number" },
        { POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "and Content-L" },
        { POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400, "and Content-L" },
        { "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "in HTTP/1.0" },
        { POST "Transfer-Encoding:\r\n\r\n", 400, "does not end" },
        { POST "Transfer-Encoding: , chunked\r\n\r\n", 400, "no list" },
        { POST "Transfer-Encoding: gzip\r\n\r\n", 400, "does not end with one chunked" },
        { POST "Transfer-Encoding: chunked, gzip\r\n\r\n", 400, "does not end" },
        { POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 400, "does not end" },
        { POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "not end" },
        { POST "Transfer-Encoding: identity\r\n\r\n", 400, "no list" },
        { POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 400,
          "no list" },
        { POST "Transfer-Encoding: xchunked\r\n\r\n", 400, "does not end" },
        { POST "Transfer-Encoding: chunkedx\r\n\r\n", 400, "does not end" },
        { POST "Transfer-Encoding: \"chunked\"\r\n\r\n", 400, "no list" },
        { POST "Transfer-Encoding: chunked;a=b\r\n\r\n", 400, "does not end" },
        { POST "Transfer-Encoding: chunked\xa0\r\n\r\n", 400, "no list" },
        { POST "Transfer-Encoding: \x0b"
               "chunked\r\n\r\n",
          400, "control byte" },
        { POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "another coding" },
        { POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", 501, "another" },
        /* others */
        { HEAD "Range: bytes=0-0\r\nrange: bytes=1-1\r\n\r\n", 400, "two fields 'Range'" },
        { HEAD "Expect: 200-maybe\r\n\r\n", 417, "Expect" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct outcome got;
        struct tarn_bytes text = tarn_bytes_str(rows[i].text);
        read_whole(&http_limits_default, text, &got);
        if (got.step != HTTP_BAD || got.req.status != rows[i].status ||
            strstr(got.err.msg, rows[i].why) == NULL)
            fail_msg("%s: step %d, status %d: %s", rows[i].text, (int)got.step, got.req.status,
                     got.step == HTTP_BAD ? got.err.msg : "");
        assert_false(got.req.keeps);
        assert_slices(&http_limits_default, text, &got);
    }
}

/* A control byte anywhere in a line, however long the line. */
static void test_controls(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        bool is_control = (c < 0x20 && c != '\t') || c == 0x7F;
        for (size_t at = 0; at < 24; at++) {
            char text[] = HEAD "A: 012345678901234567890123\r\n\r\n";
            text[sizeof HEAD - 1 + 3 + at] = (char)c;
            struct outcome got;
            read_whole(&http_limits_default, tarn_bytes_of(text, sizeof text - 1), &got);
            assert_int_equal(got.step, is_control ? HTTP_BAD : HTTP_DONE);
        }
    }
}

static void test_singles(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "Content-Type: a/b\r\n",    "Authorization: a\r\n",     "Range: bytes=0-0\r\n",
        "If-Range: \"a\"\r\n",      "If-Modified-Since: a\r\n", "If-Unmodified-Since: a\r\n",
        "Referer: a\r\n",           "User-Agent: a\r\n",        "Origin: a\r\n",
        "Expect: 100-continue\r\n",
    };
    for (size_t i = 0; i < TARN_COUNT_OF(lines); i++) {
        char text[200];
        struct outcome got;
        snprintf(text, sizeof text, HEAD "%s\r\n", lines[i]);
        read_whole(&http_limits_default, tarn_bytes_str(text), &got);
        assert_int_equal(got.step, HTTP_DONE);
        snprintf(text, sizeof text, HEAD "%s%s\r\n", lines[i], lines[i]);
        read_whole(&http_limits_default, tarn_bytes_str(text), &got);
        assert_int_equal(got.step, HTTP_BAD);
        assert_non_null(strstr(got.err.msg, "two fields"));
    }
}

static void test_nul(void **state)
{
    (void)state;
    static const char *const heads[] = { "GET /|a HTTP/1.1\r\n", LINE "Host: a|b\r\n",
                                         LINE "Ho|st: a\r\n",
                                         POST "Transfer-Encoding: chunked|\r\n" };
    for (size_t i = 0; i < TARN_COUNT_OF(heads); i++) {
        char text[100];
        size_t len = strlen(heads[i]);
        memcpy(text, heads[i], len);
        *(char *)memchr(text, '|', len) = '\0';
        struct outcome got;
        read_whole(&http_limits_default, tarn_bytes_of(text, len), &got);
        assert_int_equal(got.step, HTTP_BAD);
        assert_int_equal(got.req.status, 400);
        assert_slices(&http_limits_default, tarn_bytes_of(text, len), &got);
    }
}

struct good {
    const char *text;
    enum http_method method;
    enum http_form form;
    const char *host, *path, *query;
    unsigned port, minor;
    enum http_body_kind body;
    uint64_t body_len;
    bool keeps, has_query, is_continue_wanted;
};

static const struct good goods[] = {
    { HEAD "\r\n", HTTP_GET, HTTP_FORM_ORIGIN, "a", "/", "", 0, 1, 0, 0, true, false, false },
    { "\r\n" HEAD "\r\n", HTTP_GET, 0, "a", "/", "", 0, 1, 0, 0, true, false, false },
    { "GET / HTTP/1.0\r\n\r\n", HTTP_GET, 0, "", "/", "", 0, 0, 0, 0, false, false, false },
    { "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", HTTP_GET, 0, "", "/", "", 0, 0, 0, 0,
      true, false, false },
    { "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", HTTP_GET, 0, "", "/", "", 0, 0, 0,
      0, false, false, false },
    { "GET / HTTP/1.9\r\nHost:\r\n\r\n", HTTP_GET, 0, "", "/", "", 0, 1, 0, 0, true, false, false },
    { HEAD "Connection: x, CLOSE ,y\r\n\r\n", HTTP_GET, 0, "a", "/", "", 0, 1, 0, 0, false, false,
      false },
    { HEAD "Connection: x\r\nConnection:\tclose\t\r\n\r\n", HTTP_GET, 0, "a", "/", "", 0, 1, 0, 0,
      false, false, false },
    { HEAD "Connection: closed, xclose, keep-alive\r\n\r\n", HTTP_GET, 0, "a", "/", "", 0, 1, 0, 0,
      true, false, false },
    { "HEAD /a%20b?c=d?e HTTP/1.1\r\nHost: a.b-c_d:8080\r\n\r\n", HTTP_HEAD, 0, "a.b-c_d", "/a%20b",
      "c=d?e", 8080, 1, 0, 0, true, true, false },
    { "GET /? HTTP/1.1\r\nHost: a:\r\n\r\n", HTTP_GET, 0, "a", "/", "", 0, 1, 0, 0, true, true,
      false },
    { "GET //x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", HTTP_GET, 0, "[::1]", "//x", "", 80, 1, 0, 0,
      true, false, false },
    { "GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_GET, HTTP_FORM_ABSOLUTE, "b", "/x",
      "y", 81, 1, 0, 0, true, true, false },
    { "GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_GET, HTTP_FORM_ABSOLUTE, "b", "", "", 0, 1,
      0, 0, true, false, false },
    { "GET http://b?y HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_GET, HTTP_FORM_ABSOLUTE, "b", "", "y", 0,
      1, 0, 0, true, true, false },
    { "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_OPTIONS, HTTP_FORM_ASTERISK, "a", "", "", 0, 1,
      0, 0, true, false, false },
    { "CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_CONNECT, HTTP_FORM_AUTHORITY, "b", "", "",
      443, 1, 0, 0, true, false, false },
    { "get / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_UNKNOWN, 0, "a", "/", "", 0, 1, 0, 0, true, false,
      false },
    { POST "Content-Length: 12\r\n\r\n", HTTP_POST, 0, "a", "/", "", 0, 1, HTTP_BODY_LENGTH, 12,
      true, false, false },
    { POST "Content-Length:\t012 \r\n\r\n", HTTP_POST, 0, "a", "/", "", 0, 1, HTTP_BODY_LENGTH, 12,
      true, false, false },
    { POST "Content-Length: 9223372036854775807\r\n\r\n", HTTP_POST, 0, "a", "/", "", 0, 1,
      HTTP_BODY_LENGTH, INT64_MAX, true, false, false },
    { POST "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n", HTTP_POST, 0, "a", "/", "", 0, 1, 0,
      0, true, false, false },
    { POST "Transfer-Encoding:ChunKed\r\nExpect: 100-Continue\r\n\r\n", HTTP_POST, 0, "a", "/", "",
      0, 1, HTTP_BODY_CHUNKED, 0, true, false, true },
    { "PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", HTTP_PUT, 0, "", "/",
      "", 0, 0, HTTP_BODY_LENGTH, 1, false, false, false },
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < TARN_COUNT_OF(goods); i++) {
        const struct good *g = &goods[i];
        struct tarn_bytes text = tarn_bytes_str(g->text);
        struct outcome got;
        read_whole(&http_limits_default, text, &got);
        const struct http_request *req = &got.req;
        if (got.step != HTTP_DONE)
            fail_msg("%s: %d %s", g->text, (int)got.step, got.step == HTTP_BAD ? got.err.msg : "");
        assert_int_equal(req->head_len, text.len);
        assert_int_equal(req->method, g->method);
        assert_int_equal(req->form, g->form);
        assert_int_equal(req->minor, g->minor);
        assert_int_equal(req->port, g->port);
        assert_int_equal(req->body, g->body);
        assert_true(req->body_len == g->body_len);
        assert_int_equal(req->keeps, g->keeps);
        assert_int_equal(req->has_query, g->has_query);
        assert_int_equal(req->is_continue_wanted, g->is_continue_wanted);
        assert_true(tarn_bytes_eq_str(http_text(req, req->host), g->host));
        assert_true(tarn_bytes_eq_str(http_text(req, req->path), g->path));
        assert_true(tarn_bytes_eq_str(http_text(req, req->query), g->query));
        assert_slices(&http_limits_default, text, &got);
    }
}

static void test_index(void **state)
{
    (void)state;
    struct tarn_bytes text =
        tarn_bytes_str(HEAD "X: 1\r\nACCEPT: a/b \r\nx:  2\r\naccept:\r\n"
                            "Accept: c/d\r\nIf-None-Match: \"\xe4\"\r\n\r\nrest");
    struct outcome got;
    read_whole(&http_limits_default, text, &got);
    const struct http_request *req = &got.req;
    assert_int_equal(got.step, HTTP_DONE);
    assert_int_equal(req->head_len, text.len - 4);
    assert_int_equal(req->n_fields, 7);
    assert_true(http_has(req, HTTP_IF_NONE_MATCH));
    assert_false(http_has(req, HTTP_RANGE));
    assert_true(tarn_bytes_eq_str(http_value(req, HTTP_IF_NONE_MATCH), "\"\xe4\""));
    assert_int_equal(http_value(req, HTTP_RANGE).len, 0);
    static const char *const want[] = { "a/b", "", "c/d" };
    struct http_values it = http_values_of(req, HTTP_ACCEPT);
    struct tarn_bytes value;
    for (size_t i = 0; i < TARN_COUNT_OF(want); i++) {
        assert_true(http_values_next(&it, &value));
        assert_true(tarn_bytes_eq_str(value, want[i]));
    }
    assert_false(http_values_next(&it, &value));
    assert_true(http_find(req, "X", &value) && tarn_bytes_eq_str(value, "1"));
    assert_false(http_find(req, "Y", &value));
    assert_false(http_find(req, "Hos", &value));
    assert_slices(&http_limits_default, text, &got);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Expect",
        "Upgrade",
        "TE",
        "Trailer",
        "Keep-Alive",
        "Range",
        "If-Range",
        "If-Match",
        "If-None-Match",
        "If-Modified-Since",
        "If-Unmodified-Since",
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "Content-Type",
        "Content-Encoding",
        "Content-Range",
        "Cache-Control",
        "Authorization",
        "Cookie",
        "Origin",
        "Referer",
        "User-Agent",
        "Last-Event-ID",
        "X-Forwarded-For",
        "X-Transmission-Session-Id",
        "Set-Cookie",
        "Date",
        "Proxy-Connection",
        "Proxy-Authenticate",
        "Proxy-Authorization",
    };
    assert_int_equal(TARN_COUNT_OF(names), HTTP_KNOWN_COUNT - 1);
    for (size_t i = 0; i < TARN_COUNT_OF(names); i++)
        assert_int_equal(http_known_find(tarn_bytes_str(names[i])), HTTP_HOST + i);
    static const char *const others[] = { "",
                                          "Hos",
                                          "Hosts",
                                          "Ranges",
                                          "X-Transmission-Session-Idx",
                                          "Content_Length",
                                          "Content\rLength" };
    for (size_t i = 0; i < TARN_COUNT_OF(others); i++)
        assert_int_equal(http_known_find(tarn_bytes_str(others[i])), HTTP_OTHER);
    assert_true(http_known_is_hop(HTTP_KEEP_ALIVE));
    assert_false(http_known_is_hop(HTTP_HOST));
    assert_false(http_known_is_hop(HTTP_OTHER));
}

static void test_methods(void **state)
{
    (void)state;
    unsigned allowed = HTTP_ALLOW(HTTP_GET) | HTTP_ALLOW(HTTP_HEAD);
    assert_int_equal(http_method_refusal(HTTP_GET, allowed), 0);
    assert_int_equal(http_method_refusal(HTTP_POST, allowed), 405);
    assert_int_equal(http_method_refusal(HTTP_UNKNOWN, allowed), 501);
    static const char *const names[] = { "",    "GET",    "HEAD",  "OPTIONS", "POST",
                                         "PUT", "DELETE", "PATCH", "TRACE",   "CONNECT" };
    for (unsigned m = 0; m < HTTP_METHOD_COUNT; m++)
        assert_string_equal(http_method_name(m), names[m]);
}

/* A head with a first line of that many bytes, then fields of that many bytes, n of them. */
static struct tarn_bytes head_of(size_t line, size_t fields, unsigned n)
{
    static char text[4096];
    size_t len = 0, want = line;
    len += (size_t)sprintf(text, "GET /");
    while (len < want - 9)
        text[len++] = 'a';
    len += (size_t)sprintf(text + len, " HTTP/1.1\r\n");
    size_t begin = len;
    len += (size_t)sprintf(text + len, "Host: a\r\n");
    for (unsigned i = 2; i < n; i++)
        len += (size_t)sprintf(text + len, "A:\r\n");
    len += (size_t)sprintf(text + len, "B: ");
    while (len - begin < fields - 2)
        text[len++] = 'b';
    len += (size_t)sprintf(text + len, "\r\n\r\n");
    return tarn_bytes_of(text, len);
}

static void test_limits(void **state)
{
    (void)state;
    static const struct http_limits limits = { .line = 30, .block = 100, .fields = 4 };
    static const struct {
        size_t line, fields;
        unsigned n, status;
        const char *why;
    } rows[] = {
        { 30, 100, 4, 0, "" },
        { 31, 100, 4, 414, "more than 30 bytes (http.line_max)" },
        { 500, 100, 4, 414, "more than 30 bytes (http.line_max)" },
        { 30, 101, 4, 431, "more than 100 bytes (http.head_max)" },
        { 30, 700, 4, 431, "more than 100 bytes (http.head_max)" },
        { 30, 100, 5, 431, "more than 4 fields (http.fields_max)" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct outcome got;
        struct tarn_bytes text = head_of(rows[i].line, rows[i].fields, rows[i].n);
        read_whole(&limits, text, &got);
        assert_int_equal(got.step, rows[i].status == 0 ? HTTP_DONE : HTTP_BAD);
        assert_int_equal(got.req.status, rows[i].status);
        if (got.step == HTTP_BAD)
            assert_non_null(strstr(got.err.msg, rows[i].why));
        assert_slices(&limits, text, &got);
    }
}

/* The longest head there is, behind an empty line and before the next request: no byte of it lies
 * behind what is looked at. */
static void test_longest(void **state)
{
    (void)state;
    static const struct http_limits limits = { .line = 30, .block = 100, .fields = 4 };
    char text[300] = "\r\n";
    struct outcome got;
    struct tarn_bytes head = head_of(30, 100, 4);
    memcpy(text + 2, head.p, head.len);
    memset(text + 2 + head.len, 'x', 100);
    struct tarn_bytes all = tarn_bytes_of(text, 2 + head.len + 100);
    read_whole(&limits, all, &got);
    assert_int_equal(got.step, HTTP_DONE);
    assert_int_equal(got.req.head_len, 2 + head.len);
    assert_slices(&limits, all, &got);
}

static void test_lenient(void **state)
{
    (void)state;
    struct http_limits limits = http_limits_default;
    limits.is_lf_allowed = true;
    struct tarn_bytes text = tarn_bytes_str("\nGET / HTTP/1.1\nHost: a\r\nB: c\n\nrest");
    struct outcome got;
    read_whole(&limits, text, &got);
    assert_int_equal(got.step, HTTP_DONE);
    assert_int_equal(got.req.head_len, text.len - 4);
    assert_slices(&limits, text, &got);
}

/* Bytes that were looked at are not looked at again before the head is whole: spoiled ones go
 * unnoticed. Of an unfinished line they are read once more when it ends. */
static void test_linear(void **state)
{
    (void)state;
    static char good[20000], spoiled[sizeof good];
    size_t len =
        (size_t)sprintf(good, "GET /%0*d HTTP/1.1\r\nHost: a\r\nB: %0*d\r\n", 8000, 0, 11000, 0);
    len += (size_t)sprintf(good + len, "C: d\r\n\r\n");
    struct http_scan scan = { 0 };
    struct outcome got = { 0 };
    for (size_t n = 1; n <= len; n++) {
        bool is_line = good[n - 1] == '\n';
        memcpy(spoiled, good, n);
        memset(spoiled, 1, n == len ? 0 : is_line ? scan.line : scan.seen);
        got.req.fields = got.fields;
        got.step = http_head_next(&scan, &http_limits_default, tarn_bytes_of(spoiled, n), &got.req,
                                  &got.err);
        assert_int_equal(got.step, n == len ? HTTP_DONE : HTTP_MORE);
        assert_true(n == len || scan.seen + 1 >= n); /* a CR is looked at with what follows it */
    }
    assert_int_equal(got.req.n_fields, 3);
}

/* Random damage to good heads: whatever comes of it, it comes of it in any slicing. */
static void test_damaged(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    static const char bytes[] = "\r\n\t :,/?*aA1\x7f\x80;\"%[]";
    for (unsigned round = 0; round < 300; round++) {
        char text[200];
        const char *from = goods[test_rand_below(&seed, TARN_COUNT_OF(goods))].text;
        size_t len = strlen(from);
        memcpy(text, from, len + 1);
        for (uint64_t n = 1 + test_rand_below(&seed, 3); n > 0; n--)
            text[test_rand_below(&seed, len)] = bytes[test_rand_below(&seed, sizeof bytes)];
        struct outcome got;
        read_whole(&http_limits_default, tarn_bytes_of(text, len), &got);
        assert_slices(&http_limits_default, tarn_bytes_of(text, len), &got);
    }
}

TEST_MAIN(cmocka_unit_test(test_refused), cmocka_unit_test(test_controls),
          cmocka_unit_test(test_singles), cmocka_unit_test(test_nul), cmocka_unit_test(test_good),
          cmocka_unit_test(test_index), cmocka_unit_test(test_names),
          cmocka_unit_test(test_methods), cmocka_unit_test(test_limits),
          cmocka_unit_test(test_longest), cmocka_unit_test(test_lenient),
          cmocka_unit_test(test_linear), cmocka_unit_test(test_damaged))
