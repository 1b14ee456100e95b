/* http/core/chunked: the body of a request: Content-Length or chunked (RFC 9112 section 7).
 *
 * Bytes go in, runs of content come out, pointing into what went in: nothing is copied. Any slicing
 * gives the same content. Strict, as head.h says why: a chunk size is hex digits, each line of the
 * framing ends with CRLF, chunk extensions are read through and dropped. */
#ifndef HTTP_CORE_CHUNKED_H
#define HTTP_CORE_CHUNKED_H

#include "base/cur.h"
#include "base/out.h"
#include "http/core/head.h"

struct http_body {
    uint64_t left;            /* of the body, or of the chunk, content bytes to come */
    uint64_t content;         /* content bytes so far */
    struct tarn_out *trailer; /* borrowed: where trailers go as "name: value" CRLF lines; NULL: they
                                 are checked and dropped. Never one that frames, routes or permits:
                                 those are dropped (RFC 9110 section 6.5.1) */
    size_t trailer_line;      /* where the unfinished line begins in *trailer */
    uint32_t ext;             /* bytes of chunk extensions so far, and of zeros before sizes */
    uint32_t block;           /* bytes of trailers so far */
    uint16_t n_trailers;
    uint16_t status; /* after HTTP_BAD: 400 or 431 */
    uint8_t state;   /* private */
};

/* For a request that http_head_next gave. */
void http_body_init(struct http_body *b, const struct http_request *req);
/* For a body whose framing is known otherwise. */
void http_body_init_kind(struct http_body *b, enum http_body_kind kind, uint64_t len);

/* Take from in.
 * HTTP_MORE  all of in was taken.
 * HTTP_DATA  *data is the next run of content, in in's buffer; call again.
 * HTTP_DONE  the body is over; what is left in in is the next request.
 * HTTP_BAD   b->status and err say why; close.
 * A limit on the content is the caller's: compare b->content (and b->left, before any content has
 * come, for HTTP_BODY_LENGTH). */
enum http_step http_body_next(struct http_body *b, const struct http_limits *limits,
                              struct tarn_cur *in, struct tarn_bytes *data, struct tarn_err *err)
    TARN_MUST;

static inline bool http_body_is_done(const struct http_body *b)
{
    return b->state == 0;
}

/* When that many bytes may be received straight into the caller's storage (the rest of a body or
 * chunk), which http_body_took then counts; 0: give the bytes to http_body_next. */
uint64_t http_body_direct(const struct http_body *b);
void http_body_took(struct http_body *b, uint64_t n);

#endif
