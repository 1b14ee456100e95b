/* http/core/accept: which of several representations a client likes best (RFC 9110 section 12).
 *
 * The most specific range that fits a representation says its quality, wherever it stands in the
 * field; the greatest quality wins; among equals our own order does. Pure. */
#ifndef HTTP_CORE_ACCEPT_H
#define HTTP_CORE_ACCEPT_H

#include "http/core/head.h"

enum { HTTP_Q_MAX = 1000 }; /* quality is counted in thousandths */

enum http_coding {
    HTTP_IDENTITY,
    HTTP_GZIP, /* x-gzip too */
    HTTP_BROTLI,
    HTTP_ZSTD,
    HTTP_DEFLATE,
    HTTP_CODING_COUNT,
};

/* The token of Content-Encoding: "gzip", "br", "zstd", "deflate"; "identity" must not be sent. */
const char *http_coding_name(enum http_coding coding);

/* What Accept-Encoding says of each coding, in thousandths. No field: all are welcome; an empty
 * one: identity alone. */
void http_accept_codings(const struct http_request *req, uint16_t q[HTTP_CODING_COUNT]);

/* The best of have, in our order of preference. HTTP_IDENTITY when none of them is welcome, even if
 * identity is refused too: it is what everybody can read. An answer that was chosen so says
 * Vary: Accept-Encoding. */
enum http_coding http_accept_coding(const struct http_request *req, const enum http_coding *have,
                                    size_t n);

/* The quality of a media type such as "text/html" or "text/html;level=1" for this request, in
 * thousandths; 0: not acceptable. No Accept: HTTP_Q_MAX. */
unsigned http_accept_q(const struct http_request *req, const char *type);

/* The index of the best of types, in our order of preference; -1: none is acceptable. An answer
 * that was chosen so says Vary: Accept. */
int http_accept_type(const struct http_request *req, const char *const *types, size_t n);

#endif
