/* Any bytes as a request head: slices do not matter, and parts lie inside the head. The first byte
 * chooses settings and where the bytes are cut. */
#include "base/mem.h"
#include "http/core/head.h"
#include "http/core/target.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STORAGE = 8 };

static void check_inside(const struct http_request *req, struct http_span s)
{
    if (s.at > req->head_len || s.len > req->head_len - s.at)
        abort();
}

static void check_path(const struct http_request *req)
{
    struct tarn_bytes path = http_text(req, req->path);
    struct tarn_out o;
    tarn_out_init(&o, path.len + 1);
    struct tarn_err err;
    if (req->form <= HTTP_FORM_ABSOLUTE && http_path_plain(&o, path, &err)) {
        struct tarn_bytes plain = tarn_out_bytes(&o);
        if (plain.len == 0 || plain.p[0] != '/' || memchr(plain.p, 0, plain.len) != NULL)
            abort();
        for (size_t i = 1; i < plain.len; i++)
            if (plain.p[i] == '/' && plain.p[i - 1] == '/')
                abort();
        if (plain.len >= 3 && memcmp(plain.p + plain.len - 3, "/..", 3) == 0)
            abort();
    }
    tarn_out_release(&o);
}

static void check(const struct http_request *req)
{
    check_inside(req, req->line);
    check_inside(req, req->target);
    check_inside(req, req->authority);
    check_inside(req, req->host);
    check_inside(req, req->path);
    check_inside(req, req->query);
    for (unsigned i = 0; i < req->n_fields; i++) {
        check_inside(req, req->fields[i].name);
        check_inside(req, req->fields[i].value);
        struct tarn_bytes value = http_text(req, req->fields[i].value);
        if (value.len > 0 &&
            (memchr(value.p, '\r', value.len) != NULL || memchr(value.p, '\n', value.len) != NULL ||
             memchr(value.p, 0, value.len) != NULL))
            abort();
    }
    if (req->body == HTTP_BODY_CHUNKED && (http_has(req, HTTP_CONTENT_LENGTH) || req->minor == 0))
        abort();
    check_path(req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct http_limits limits = { .line = 64, .block = 200, .fields = STORAGE };
    limits.is_lf_allowed = data[0] & 1;
    size_t step_len = 1 + (data[0] >> 1) % 32;
    struct tarn_bytes in = tarn_bytes_of(data + 1, size - 1);
    struct http_field whole_fields[STORAGE], fields[STORAGE];
    struct http_request whole = { .fields = whole_fields }, req = { .fields = fields };
    struct http_scan scan = { 0 };
    struct tarn_err err;
    enum http_step want = http_head_next(&scan, &limits, in, &whole, &err), got = HTTP_MORE;
    if (want == HTTP_DONE)
        check(&whole);
    scan = (struct http_scan){ 0 };
    for (size_t n = 0; got == HTTP_MORE; n += step_len) {
        n = n < in.len ? n : in.len;
        got = http_head_next(&scan, &limits, tarn_bytes_of(in.p, n), &req, &err);
        if (n == in.len)
            break;
    }
    if (got != want ||
        (got != HTTP_MORE && (req.status != whole.status || req.head_len != whole.head_len ||
                              req.n_fields != whole.n_fields)))
        abort();
    return 0;
}
