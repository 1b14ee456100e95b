/* http/core/chunked: content, refusals, limits and trailers, in any slicing. */
#include "base/test/test.h"
#include "http/core/chunked.h"

#include "base/mem.h"

struct outcome {
    enum http_step step;
    unsigned status;
    char content[300];
    size_t len, taken;
    char trailer[300];
    struct tarn_err err;
};

/* Feed text in pieces that end at cut, then at each of step_len bytes. */
static void run(const struct http_limits *limits, enum http_body_kind kind, uint64_t body_len,
                struct tarn_bytes text, size_t cut, size_t step_len, struct outcome *got)
{
    struct http_body b;
    struct tarn_out trailer;
    http_body_init_kind(&b, kind, body_len);
    tarn_out_init(&trailer, sizeof got->trailer - 1);
    b.trailer = &trailer;
    *got = (struct outcome){ .step = HTTP_MORE };
    for (size_t at = 0, end = cut; got->step == HTTP_MORE;) {
        struct tarn_cur in = tarn_cur_of(tarn_bytes_of(text.p + at, end - at));
        struct tarn_bytes data;
        while ((got->step = http_body_next(&b, limits, &in, &data, &got->err)) == HTTP_DATA) {
            assert_true(data.len > 0 && got->len + data.len <= sizeof got->content);
            memcpy(got->content + got->len, data.p, data.len);
            got->len += data.len;
        }
        at = end - tarn_cur_left(&in);
        got->taken = at;
        if (end == text.len)
            break;
        end = text.len - end < step_len ? text.len : end + step_len;
    }
    assert_int_equal(b.content, got->len);
    assert_int_equal(http_body_is_done(&b), got->step == HTTP_DONE);
    got->status = b.status;
    memcpy(got->trailer, trailer.p == NULL ? (const uint8_t *)"" : trailer.p, trailer.len);
    tarn_out_release(&trailer);
}

static void assert_slices(const struct http_limits *limits, enum http_body_kind kind, uint64_t len,
                          struct tarn_bytes text, struct outcome *whole)
{
    run(limits, kind, len, text, text.len, text.len, whole);
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct outcome got;
        run(limits, kind, len, text, cut, cut == 0 ? 1 : text.len, &got);
        assert_int_equal(got.step, whole->step);
        assert_int_equal(got.status, whole->status);
        assert_int_equal(got.len, whole->len);
        assert_memory_equal(got.content, whole->content, whole->len);
        assert_string_equal(got.trailer, whole->trailer);
        assert_string_equal(got.err.msg, whole->err.msg);
        if (got.step == HTTP_DONE)
            assert_int_equal(got.taken, whole->taken);
    }
}

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text, *content, *trailer, *rest;
    } rows[] = {
        { "0\r\n\r\n", "", "", "" },
        { "000\r\n\r\nGET /", "", "", "GET /" },
        { "5\r\nhello\r\n0\r\n\r\n", "hello", "", "" },
        { "005\r\nhello\r\n1\r\n!\r\n0\r\n\r\nx", "hello!", "", "x" },
        { "A\r\n0123456789\r\n0\r\n\r\n", "0123456789", "", "" },
        { "a\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n\r\n\r\n\r\n", "", "" },
        { "1;a\r\nx\r\n0\r\n\r\n", "x", "", "" },
        { "1;a=b;c=\"d\\\";\xe4\t\";e\r\nx\r\n0;last\r\n\r\n", "x", "", "" },
        { "1 ; a = b ; c = \"\" ;d\r\nx\r\n0\r\n\r\n", "x", "", "" },
        { "0\r\nA: b\r\nC:\td e\t\r\n\r\n", "", "A: b\r\nC:\td e\t\r\n", "" },
        /* what frames, routes or permits is dropped */
        { "0\r\nHost: x\r\nA: b\r\nContent-Length: 9\r\ntransfer-encoding: chunked\r\n"
          "Cookie: c\r\nAuthorization: d\r\nB:\r\nConnection: close\r\n\r\n",
          "", "A: b\r\nB:\r\n", "" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct outcome got;
        struct tarn_bytes text = tarn_bytes_str(rows[i].text);
        assert_slices(&http_limits_default, HTTP_BODY_CHUNKED, 0, text, &got);
        if (got.step != HTTP_DONE)
            fail_msg("%s: %s", rows[i].text, got.err.msg);
        assert_true(tarn_bytes_eq_str(tarn_bytes_of(got.content, got.len), rows[i].content));
        assert_string_equal(got.trailer, rows[i].trailer);
        assert_int_equal(text.len - got.taken, strlen(rows[i].rest));
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *why;
    } rows[] = {
        { "\r\n", "no hex number" },
        { "x\r\n", "no hex number" },
        { "-1\r\n", "no hex number" },
        { "+1\r\n", "no hex number" },
        { " 1\r\n", "no hex number" },
        { ";a\r\n", "no hex number" },
        { "0x1\r\n", "something else" },
        { "1_0\r\n", "something else" },
        { "1g\r\n", "something else" },
        { "1\n", "something else" },
        { "1\r\r", "CR without LF" },
        { "1\rx\n", "CR without LF" },
        { "1 \r\n", "no extension follows" },
        { "1 a\r\n", "no extension follows" },
        { "1000000000000000\r\n", "2^60" },
        { "10000000000000001\r\n", "2^60" },
        { "1;\r\n", "without a name" },
        { "1;=b\r\n", "without a name" },
        { "1;;\r\n", "without a name" },
        { "1;a=\r\n", "without a value" },
        { "1;a=;b\r\n", "without a value" },
        { "1;a b\r\n", "no extension follows" },
        { "1;a\nb\r\n", "something else" },
        { "1;a=b\n\r\n", "something else" },
        { "1;a=b=c\r\n", "something else" },
        { "1;a=b\"\r\n", "something else" },
        { "1;a=\"b\n\"\r\n", "control byte in a chunk" },
        { "1;a=\"b\r\n\"\r\n", "control byte in a chunk" },
        { "1;a=\"\\\n\"\r\n", "control byte in a chunk" },
        { "1;a=\"b\"c\r\n", "something else" },
        { "1;a=\"b\"=c\r\n", "something else" },
        { "1\r\nxx\r\n", "longer than its size" },
        { "1\r\nx\n", "longer than its size" },
        { "1\r\nx\rx", "longer than its size" },
        { "2\r\nx\r\n0\r\n\r\n", "longer than its size" },
        { "0\r\n\n", "without a name" },
        { "0\r\n\rx", "CR without LF" },
        { "0\r\n: b\r\n", "without a name" },
        { "0\r\n a: b\r\n", "without a name" },
        { "0\r\na: b\r\n c\r\n", "without a name" },
        { "0\r\na\r\n", "no token" },
        { "0\r\na : b\r\n", "no token" },
        { "0\r\na: b\n", "control byte in a trailer" },
        { "0\r\na: b\x01\r\n", "control byte in a trailer" },
        { "0\r\na: b\rc\r\n", "CR without LF" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct outcome got;
        assert_slices(&http_limits_default, HTTP_BODY_CHUNKED, 0, tarn_bytes_str(rows[i].text),
                      &got);
        if (got.step != HTTP_BAD || strstr(got.err.msg, rows[i].why) == NULL)
            fail_msg("%s: %d: %s", rows[i].text, (int)got.step, got.err.msg);
        assert_int_equal(got.status, 400);
    }
}

static void test_limits(void **state)
{
    (void)state;
    static const struct http_limits limits = { .block = 12, .fields = 2, .chunk_ext = 6 };
    static const struct {
        const char *text;
        unsigned status;
        const char *why;
    } rows[] = {
        { "1;ab\r\nx\r\n1;bc\r\nx\r\n0\r\n\r\n", 0, "" },
        { "1;ab\r\nx\r\n1;bcd\r\nx\r\n0\r\n\r\n", 400, "6 bytes" },
        { "0000000\r\n\r\n", 0, "" },
        { "00000000\r\n\r\n", 400, "6 bytes" },
        { "0\r\na:\r\nb:   c\r\n\r\n", 0, "" },
        { "0\r\na:\r\nb:    c\r\n\r\n", 431, "12 bytes (http.head_max)" },
        { "0\r\na:\r\nb:   cdef\r\n\r\n", 431, "12 bytes (http.head_max)" },
        { "0\r\na:\r\nb:\r\nc:\r\n\r\n", 431, "2 trailers (http.fields_max)" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct outcome got;
        assert_slices(&limits, HTTP_BODY_CHUNKED, 0, tarn_bytes_str(rows[i].text), &got);
        assert_int_equal(got.step, rows[i].status == 0 ? HTTP_DONE : HTTP_BAD);
        assert_int_equal(got.status, rows[i].status);
        assert_non_null(strstr(got.err.msg, rows[i].why));
    }
}

static void test_length(void **state)
{
    (void)state;
    struct outcome got;
    assert_slices(&http_limits_default, HTTP_BODY_LENGTH, 5, tarn_bytes_str("helloGET"), &got);
    assert_int_equal(got.step, HTTP_DONE);
    assert_int_equal(got.taken, 5);
    assert_slices(&http_limits_default, HTTP_BODY_LENGTH, 5, tarn_bytes_str("hell"), &got);
    assert_int_equal(got.step, HTTP_MORE);
    assert_slices(&http_limits_default, HTTP_BODY_LENGTH, 0, tarn_bytes_str("GET"), &got);
    assert_int_equal(got.step, HTTP_DONE);
    assert_slices(&http_limits_default, HTTP_BODY_NONE, 0, tarn_bytes_str("GET"), &got);
    assert_int_equal(got.taken, 0);
}

static void test_direct(void **state)
{
    (void)state;
    struct http_body b;
    http_body_init_kind(&b, HTTP_BODY_LENGTH, 7);
    assert_int_equal(http_body_direct(&b), 7);
    http_body_took(&b, 4);
    assert_false(http_body_is_done(&b));
    http_body_took(&b, 3);
    assert_true(http_body_is_done(&b));
    assert_int_equal(b.content, 7);

    http_body_init_kind(&b, HTTP_BODY_CHUNKED, 0);
    struct tarn_cur in = tarn_cur_of(tarn_bytes_str("fffffffffffffff\r\n"));
    struct tarn_bytes data;
    assert_int_equal(http_body_direct(&b), 0);
    assert_int_equal(http_body_next(&b, &http_limits_default, &in, &data, NULL), HTTP_MORE);
    assert_true(http_body_direct(&b) == ((uint64_t)1 << 60) - 1);
    http_body_took(&b, ((uint64_t)1 << 60) - 1);
    assert_int_equal(http_body_direct(&b), 0);
    in = tarn_cur_of(tarn_bytes_str("\r\n0\r\n\r\n"));
    assert_int_equal(http_body_next(&b, &http_limits_default, &in, &data, NULL), HTTP_DONE);
}

TEST_MAIN(cmocka_unit_test(test_good), cmocka_unit_test(test_refused),
          cmocka_unit_test(test_limits), cmocka_unit_test(test_length),
          cmocka_unit_test(test_direct))
