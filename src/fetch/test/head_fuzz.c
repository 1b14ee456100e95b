/* Any bytes as the head of a web server's answer, line by line: what was understood makes sense,
 * and line ends do not matter. */
#include "fetch/head.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct fetch_head *h)
{
    if (h->has_range && (h->is_range_bad || h->first > h->last || h->last > INT64_MAX ||
                         (h->has_total && h->last >= h->total)))
        abort();
    if (memchr(h->server, 0, sizeof h->server) == NULL)
        abort();
    for (const char *s = h->server; *s != 0; s++)
        if (*s < 0x20 || *s > 0x7E)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fetch_head with = { 0 }, without = { 0 };
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end == NULL ? size : (size_t)(end - data) + 1;
        fetch_head_line(&with, tarn_bytes_of(data, len));
        fetch_head_line(&without, tarn_bytes_of(data, len - (end != NULL)));
        check(&with);
        if (with.has_range != without.has_range || with.is_range_bad != without.is_range_bad ||
            with.is_coded != without.is_coded || strcmp(with.server, without.server) != 0)
            abort();
        data += len;
        size -= len;
    }
    return 0;
}
