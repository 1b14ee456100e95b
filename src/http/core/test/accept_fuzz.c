/* Any bytes as Accept, Accept-Encoding and a list of tags: qualities stay in their bounds, and what
 * is chosen is among what was offered. A request is made by hand, so that any byte may stand in it.
 */
#include "http/core/accept.h"
#include "http/core/cond.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > UINT16_MAX)
        return 0;
    struct http_field fields[2] = {
        { .value = { 0, (uint32_t)size }, .known = HTTP_ACCEPT },
        { .value = { 0, (uint32_t)size }, .known = HTTP_ACCEPT_ENCODING },
    };
    struct http_request req = { .base = data, .fields = fields, .n_fields = 2 };
    req.known[HTTP_ACCEPT] = 1;
    req.known[HTTP_ACCEPT_ENCODING] = 2;
    static const char *const types[] = { "text/html", "text/html;level=1", "application/json" };
    int best = http_accept_type(&req, types, TARN_COUNT_OF(types));
    if (best >= (int)TARN_COUNT_OF(types))
        abort();
    unsigned best_q = best < 0 ? 0 : http_accept_q(&req, types[best]);
    for (size_t i = 0; i < TARN_COUNT_OF(types); i++)
        if (http_accept_q(&req, types[i]) > best_q || best_q > HTTP_Q_MAX)
            abort();
    uint16_t q[HTTP_CODING_COUNT];
    http_accept_codings(&req, q);
    static const enum http_coding have[] = { HTTP_BROTLI, HTTP_GZIP };
    enum http_coding coding = http_accept_coding(&req, have, TARN_COUNT_OF(have));
    if (coding != HTTP_IDENTITY && (q[coding] == 0 || q[coding] < q[HTTP_IDENTITY]))
        abort();
    struct tarn_bytes list = tarn_bytes_of(data, size), tag = tarn_bytes_str("\"x\"");
    if (http_etag_in(list, tag, true) && !http_etag_in(list, tag, false))
        abort();
    return 0;
}
