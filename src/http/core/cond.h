/* http/core/cond: conditional requests (RFC 9110 section 13). Pure. */
#ifndef HTTP_CORE_COND_H
#define HTTP_CORE_COND_H

#include "http/core/head.h"

/* What a request's conditions are compared with: the representation that a GET would get now. */
struct http_validators {
    struct tarn_bytes etag;  /* with its quotes, and W/ in front when weak; empty: it has none */
    int64_t modified_s;      /* Unix time; HTTP_NO_TIME: not known */
    bool is_modified_strong; /* it cannot have changed twice in that second: old enough */
    bool exists;             /* false: there is nothing yet ("*" does not match) */
};
#define HTTP_NO_TIME INT64_MIN

enum http_cond {
    HTTP_COND_GO,        /* do what was asked */
    HTTP_COND_UNCHANGED, /* 304 */
    HTTP_COND_FAILED,    /* 412 */
};

/* If-Match, else If-Unmodified-Since; then If-None-Match, else (GET, HEAD) If-Modified-Since. Ask
 * only when the answer would be 2xx without them. now_s: Unix time, for dates that lie in the
 * future. */
enum http_cond http_cond_check(const struct http_request *req, const struct http_validators *v,
                               int64_t now_s);

/* Does a Range of this request count? It is a GET with a Range, and If-Range is not there or names
 * exactly the present representation (strong comparison; a date must be a strong validator). */
bool http_cond_range(const struct http_request *req, const struct http_validators *v,
                     int64_t now_s);

/* Is etag in one value of If-Match or If-None-Match? Strong: both strong and equal; weak: equal but
 * for W/. "*" matches. What is malformed, and all behind it, matches nothing. */
bool http_etag_in(struct tarn_bytes list, struct tarn_bytes etag, bool is_strong);

#endif
