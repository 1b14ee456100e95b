/* Any bytes as a URL and as a query: parts lie inside the text, and escaping can be undone. */
#include "codec/url.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct tarn_bytes text, struct tarn_bytes part)
{
    if (part.len > 0 &&
        (part.p < text.p || part.len > text.len || (size_t)(part.p - text.p) > text.len - part.len))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tarn_bytes text = tarn_bytes_of(data, size);
    struct url u;
    struct tarn_err err;
    if (url_parse(text, &u, &err)) {
        check_inside(text, u.scheme);
        check_inside(text, u.host);
        check_inside(text, u.path);
        check_inside(text, u.query);
        if (u.scheme.len == 0 || u.host.len == 0)
            abort();
    }
    struct tarn_bytes query = text, key, value;
    while (url_query_next(&query, &key, &value)) {
        check_inside(text, key);
        check_inside(text, value);
    }
    struct tarn_out escaped, back;
    tarn_out_init(&escaped, 3 * size + 1);
    tarn_out_init(&back, 3 * size + 1);
    url_unescape(&back, text, true);
    tarn_out_clear(&back);
    url_escape(&escaped, text);
    url_unescape(&back, tarn_out_bytes(&escaped), true);
    if (!tarn_bytes_eq(text, tarn_out_bytes(&back)))
        abort();
    tarn_out_release(&escaped);
    tarn_out_release(&back);
    return 0;
}
