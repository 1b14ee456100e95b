/* http/core/reply: the bytes of answers, and fields that must not be written. */
#include "base/test/test.h"
#include "http/core/reply.h"

static char storage[1000];

static struct tarn_out fresh(void)
{
    struct tarn_out o;
    tarn_out_fixed(&o, storage, sizeof storage);
    return o;
}

static void assert_text(const struct tarn_out *o, const char *want)
{
    assert_true(tarn_out_ok(o));
    if (!tarn_bytes_eq_str(tarn_out_bytes(o), want))
        fail_msg("%.*s", (int)o->len, (const char *)o->p);
}

static void test_answers(void **state)
{
    (void)state;
    struct http_request req = { .method = HTTP_GET, .minor = 1 };
    const char *date = "Sun, 06 Nov 1994 08:49:37 GMT";
    struct tarn_out o = fresh();
    http_reply_begin(&o, 200, date);
    http_reply_raw(&o, "Accept-Ranges: bytes\r\n");
    assert_true(http_reply_field(&o, tarn_bytes_str("ETag"), tarn_bytes_str("\"\xe4\t\""), NULL));
    http_reply_length(&o, UINT64_MAX);
    http_reply_end(&o, &req, HTTP_FRAME_LENGTH, true);
    assert_text(&o, "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                    "Accept-Ranges: bytes\r\nETag: \"\xe4\t\"\r\n"
                    "Content-Length: 18446744073709551615\r\n\r\n");

    o = fresh();
    http_reply_begin(&o, 299, NULL);
    http_reply_length(&o, 0);
    http_reply_end(&o, &req, HTTP_FRAME_LENGTH, false);
    assert_text(&o, "HTTP/1.1 299 Unknown\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");

    o = fresh();
    http_reply_begin(&o, 206, NULL);
    http_reply_end(&o, &req, HTTP_FRAME_CHUNKED, true);
    http_chunk_begin(&o, 0xabcdef0123456789);
    http_chunk_end(&o);
    http_chunk_begin(&o, 1);
    http_chunk_last(&o);
    assert_text(&o, "HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "abcdef0123456789\r\n\r\n1\r\n0\r\n\r\n");

    req.minor = 0;
    o = fresh();
    http_reply_begin(&o, 405, NULL);
    http_reply_allow(&o, HTTP_ALLOW(HTTP_GET) | HTTP_ALLOW(HTTP_HEAD) | HTTP_ALLOW(HTTP_OPTIONS));
    http_reply_allow(&o, 0);
    http_reply_end(&o, &req, HTTP_FRAME_LENGTH, true);
    assert_text(&o, "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD, OPTIONS\r\nAllow: \r\n"
                    "Connection: keep-alive\r\n\r\n");

    o = fresh();
    http_reply_continue(&o);
    assert_text(&o, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_string_equal(http_status_text(431), "Request Header Fields Too Large");
    assert_string_equal(http_status_text(100), "Continue");
    assert_string_equal(http_status_text(507), "Insufficient Storage");
    assert_string_equal(http_status_text(599), "Unknown");
}

static void test_fields(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *value;
        size_t len;
        const char *why;
    } rows[] = {
        { "A", "b\rc", 3, "control byte" },
        { "A", "b\nc", 3, "control byte" },
        { "A", "b\r\nSet-Cookie: x", 16, "control byte" },
        { "A", "b\0c", 3, "control byte" },
        { "A", "\x7f", 1, "control byte" },
        { "", "b", 1, "no token" },
        { "A b", "c", 1, "no token" },
        { "A:", "c", 1, "no token" },
        { "A\r\n", "c", 1, "no token" },
        { "connection", "close", 5, "the server sets it" },
        { "Keep-Alive", "a", 1, "the server sets it" },
        { "Transfer-Encoding", "chunked", 7, "the server sets it" },
        { "Content-Length", "1", 1, "the server sets it" },
        { "Upgrade", "x", 1, "the server sets it" },
        { "Trailer", "x", 1, "the server sets it" },
        { "DATE", "x", 1, "the server sets it" },
    };
    struct tarn_out o = fresh();
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct tarn_err err;
        assert_false(http_reply_field(&o, tarn_bytes_str(rows[i].name),
                                      tarn_bytes_of(rows[i].value, rows[i].len), &err));
        assert_non_null(strstr(err.msg, rows[i].why));
        assert_int_equal(o.len, 0);
    }
    assert_true(http_reply_field(&o, tarn_bytes_str("Set-Cookie"), tarn_bytes_str(""), NULL));
    assert_text(&o, "Set-Cookie: \r\n");
}

static void test_framing(void **state)
{
    (void)state;
    static const struct {
        enum http_method method;
        uint8_t minor;
        unsigned status;
        bool is_len_known;
        enum http_framing framing;
    } rows[] = {
        { HTTP_GET, 1, 200, true, HTTP_FRAME_LENGTH },
        { HTTP_GET, 1, 200, false, HTTP_FRAME_CHUNKED },
        { HTTP_GET, 0, 200, false, HTTP_FRAME_CLOSE },
        { HTTP_GET, 0, 404, true, HTTP_FRAME_LENGTH },
        { HTTP_GET, 1, 304, true, HTTP_FRAME_SILENT },
        { HTTP_GET, 1, 204, true, HTTP_FRAME_NONE },
        { HTTP_GET, 1, 101, false, HTTP_FRAME_NONE },
        { HTTP_HEAD, 1, 200, true, HTTP_FRAME_SILENT },
        { HTTP_HEAD, 0, 200, false, HTTP_FRAME_SILENT },
        { HTTP_HEAD, 1, 204, true, HTTP_FRAME_NONE },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct http_request req = { .method = (uint8_t)rows[i].method, .minor = rows[i].minor };
        assert_int_equal(http_reply_framing(&req, rows[i].status, rows[i].is_len_known),
                         rows[i].framing);
    }
}

TEST_MAIN(cmocka_unit_test(test_answers), cmocka_unit_test(test_fields),
          cmocka_unit_test(test_framing))
