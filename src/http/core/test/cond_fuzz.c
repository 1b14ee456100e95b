/* Any bytes as the field lines of a request that has conditions: each answer is one that this
 * method may get, and the strong comparison never takes what the weak one does not. */
#include "base/out.h"
#include "http/core/cond.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIELDS = 8, NOW_S = 784111777 + 1000 };

static void check(const struct http_request *req)
{
    static const char *const etags[] = { "", "\"a\"", "W/\"a\"", "\"a,\\\"" };
    for (size_t i = 0; i < 2 * TARN_COUNT_OF(etags); i++) {
        struct http_validators v = { .etag = tarn_bytes_str(etags[i / 2]),
                                     .modified_s = i % 2 == 0 ? HTTP_NO_TIME : 784111777,
                                     .is_modified_strong = i % 4 < 2,
                                     .exists = i > 0 };
        enum http_cond c = http_cond_check(req, &v, NOW_S);
        bool reads = req->method == HTTP_GET || req->method == HTTP_HEAD;
        if (c == HTTP_COND_UNCHANGED && !reads)
            abort();
        if (http_cond_range(req, &v, NOW_S) && req->method != HTTP_GET)
            abort();
        for (unsigned k = 0; k < req->n_fields; k++) {
            struct tarn_bytes list = http_text(req, req->fields[k].value);
            if (http_etag_in(list, v.etag, true) && !http_etag_in(list, v.etag, false))
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = { "GET", "HEAD", "PUT", "POST" };
    if (size < 1)
        return 0;
    struct tarn_out o;
    tarn_out_init(&o, size + 100);
    tarn_out_fmt(&o, "%s / HTTP/1.1\r\nHost: a\r\n", methods[data[0] % 4]);
    tarn_out_put(&o, tarn_bytes_of(data + 1, size - 1));
    tarn_out_str(&o, "\r\n\r\n");
    struct http_limits limits = { .line = 64, .block = 4000, .fields = FIELDS };
    struct http_field fields[FIELDS];
    struct http_request req = { .fields = fields };
    struct http_scan scan = { 0 };
    struct tarn_err err;
    if (http_head_next(&scan, &limits, tarn_out_bytes(&o), &req, &err) == HTTP_DONE)
        check(&req);
    tarn_out_release(&o);
    return 0;
}
