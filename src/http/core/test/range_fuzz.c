/* Any bytes as a Range, of a size that the first eight say: what comes out lies inside and apart,
 * and the length of a multipart body is the one that would be written. */
#include "http/core/range.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct http_ranges *r, uint64_t size)
{
    if (r->n < 1 || r->n > HTTP_RANGES_MAX)
        abort();
    static uint8_t storage[8000];
    struct tarn_bytes boundary = tarn_bytes_str("boundary"), type = tarn_bytes_str("a/b");
    struct tarn_out o;
    uint64_t content = 0, len;
    tarn_out_fixed(&o, storage, sizeof storage);
    for (unsigned i = 0; i < r->n; i++) {
        const struct http_range *a = &r->r[i];
        if (a->len == 0 || a->at >= size || a->len > size - a->at)
            abort();
        for (unsigned k = 0; k < i; k++)
            if (a->at <= r->r[k].at + r->r[k].len && r->r[k].at <= a->at + a->len)
                abort();
        content += a->len;
        http_part_head(&o, boundary, type, a, size, i == 0);
    }
    http_parts_end(&o, boundary);
    if (!tarn_out_ok(&o) ||
        (http_parts_len(r, boundary, type, size, &len) && len != o.len + content))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t total;
    if (size < sizeof total)
        return 0;
    memcpy(&total, data, sizeof total);
    struct http_ranges r;
    struct tarn_bytes value = tarn_bytes_of(data + sizeof total, size - sizeof total);
    if (http_range_parse(value, total, &r) == HTTP_RANGE_PARTS)
        check(&r, total);
    return 0;
}
