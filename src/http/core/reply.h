/* http/core/reply: the head of an answer, and chunks, written into a tarn_out.
 *
 *     http_reply_begin(o, 200, date);
 *     http_reply_raw(o, "Content-Type: text/plain\r\n");
 *     http_reply_length(o, 14);
 *     http_reply_end(o, req, HTTP_FRAME_LENGTH, req->keeps);
 *
 * Failure of the memory is sticky in o, as ever. Pure: the date is given by the caller (http_date
 * in date.h, once a second). */
#ifndef HTTP_CORE_REPLY_H
#define HTTP_CORE_REPLY_H

#include "base/out.h"
#include "http/core/head.h"

/* "Not Found"; "Unknown" for a number that has no name of ours. */
const char *http_status_text(unsigned status);

/* The status line, and Date when date is not NULL (never for 1xx). Status 100 to 599. */
void http_reply_begin(struct tarn_out *o, unsigned status, const char *date);

/* A field of ours: a literal that needs no check. "Accept-Ranges: bytes\r\n" and the like. */
void http_reply_raw(struct tarn_out *o, const char *lines);

/* A field whose value may be anybody's. False, and nothing is written: the name is no token, the
 * value holds CR, LF, NUL or another control byte, or the field is not the application's to set
 * (Connection and other fields of one hop, Content-Length, Transfer-Encoding, Date). */
bool http_reply_field(struct tarn_out *o, struct tarn_bytes name, struct tarn_bytes value,
                      struct tarn_err *err) TARN_MUST;

void http_reply_length(struct tarn_out *o, uint64_t len); /* Content-Length */

/* How the body of an answer is framed. */
enum http_framing {
    HTTP_FRAME_NONE,    /* 1xx, 204: no body and no length */
    HTTP_FRAME_SILENT,  /* HEAD, 304: no body, but the length a GET would have had may be told */
    HTTP_FRAME_LENGTH,  /* Content-Length */
    HTTP_FRAME_CHUNKED, /* a length that is not known, to a client of 1.1 */
    HTTP_FRAME_CLOSE,   /* not known, to one of 1.0: the body ends when the connection does */
};
enum http_framing http_reply_framing(const struct http_request *req, unsigned status,
                                     bool is_len_known);

/* Transfer-Encoding (when the framing is chunked), Connection (close, or keep-alive to a client of
 * 1.0) and the empty line. keeps: whether the connection is kept after this answer; say false with
 * HTTP_FRAME_CLOSE. */
void http_reply_end(struct tarn_out *o, const struct http_request *req, enum http_framing framing,
                    bool keeps);

/* "HTTP/1.1 100 Continue" and its empty line. */
void http_reply_continue(struct tarn_out *o);

/* "Allow: GET, HEAD" of a set of HTTP_ALLOW. */
void http_reply_allow(struct tarn_out *o, unsigned allowed);

/* The line in front of len bytes of a chunk, and the CRLF behind them; len > 0. */
void http_chunk_begin(struct tarn_out *o, uint64_t len);
void http_chunk_end(struct tarn_out *o);
/* The last chunk: "0", without trailers. */
void http_chunk_last(struct tarn_out *o);

#endif
