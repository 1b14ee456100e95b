/* Any bytes as a chunked body: the content lies in what went in, and slices do not matter. The
 * first byte says where it is cut. */
#include "http/core/chunked.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum http_step step;
    uint64_t sum, len;
    uint16_t status;
    size_t trailer;
};

static void run(struct tarn_bytes text, size_t step_len, struct outcome *got)
{
    static const struct http_limits limits = { .block = 200, .fields = 5, .chunk_ext = 100 };
    struct http_body b;
    struct tarn_out trailer;
    http_body_init_kind(&b, HTTP_BODY_CHUNKED, 0);
    tarn_out_init(&trailer, 400);
    b.trailer = &trailer;
    *got = (struct outcome){ .step = HTTP_MORE };
    for (size_t at = 0; at < text.len && got->step == HTTP_MORE; at += step_len) {
        size_t n = text.len - at < step_len ? text.len - at : step_len;
        struct tarn_bytes piece = tarn_bytes_of(text.p + at, n), run;
        struct tarn_cur in = tarn_cur_of(piece);
        while ((got->step = http_body_next(&b, &limits, &in, &run, NULL)) == HTTP_DATA) {
            if (run.len == 0 || run.p < piece.p || run.p + run.len > piece.p + piece.len)
                abort();
            for (size_t i = 0; i < run.len; i++)
                got->sum = got->sum * 31 + run.p[i];
            got->len += run.len;
        }
    }
    if (got->len != b.content || !tarn_out_ok(&trailer))
        abort();
    got->status = b.status;
    got->trailer = got->step == HTTP_DONE ? trailer.len : 0;
    tarn_out_release(&trailer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct tarn_bytes text = tarn_bytes_of(data + 1, size - 1);
    struct outcome whole, sliced;
    run(text, text.len, &whole);
    run(text, 1 + data[0] % 16, &sliced);
    if (whole.step != sliced.step || whole.sum != sliced.sum || whole.len != sliced.len ||
        whole.status != sliced.status || whole.trailer != sliced.trailer)
        abort();
    return 0;
}
