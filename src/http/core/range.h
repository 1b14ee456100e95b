/* http/core/range: parts of a representation (RFC 9110 section 14), and multipart/byteranges. Pure.
 */
#ifndef HTTP_CORE_RANGE_H
#define HTTP_CORE_RANGE_H

#include "base/attr.h"
#include "base/bytes.h"
#include "base/out.h"

enum {
    /* Ours. Each range costs a part; more are a way to make a server work. */
    HTTP_RANGES_MAX = 16,
    HTTP_RANGES_OVERLAPPING_MAX = 2,
    HTTP_BOUNDARY_MAX = 70,      /* RFC 2046 section 5.1.1 */
    HTTP_CONTENT_RANGE_MAX = 80, /* bytes of a value of Content-Range, with a NUL */
};

struct http_range {
    uint64_t at, len; /* len > 0; inside the representation */
};

struct http_ranges {
    unsigned n; /* 1: Content-Range in the head; more: multipart/byteranges */
    struct http_range r[HTTP_RANGES_MAX];
};

enum http_range_step {
    HTTP_RANGE_WHOLE, /* answer 200 with everything: another unit, bad syntax, too many ranges, an
                         empty representation */
    HTTP_RANGE_PARTS, /* 206 with those of *out */
    HTTP_RANGE_NONE,  /* 416: no range lies inside; say http_content_range_none */
};

/* Read a value of Range for a representation of size bytes. Those that begin behind the end are
 * left out; a last byte behind the end is cut. Ranges that overlap or touch become one, in the
 * place of the first of them; more than HTTP_RANGES_MAX ranges, or more than
 * HTTP_RANGES_OVERLAPPING_MAX that overlap others: the whole. Only for GET, and only when If-Range
 * (cond.h) lets it. */
enum http_range_step http_range_parse(struct tarn_bytes value, uint64_t size,
                                      struct http_ranges *out);

/* The value of Content-Range, NUL-terminated: "bytes 0-9/100", and for 416 "bytes * /100" without
 * the space. Returns its length. */
size_t http_content_range(char dst[HTTP_CONTENT_RANGE_MAX], const struct http_range *r,
                          uint64_t size);
size_t http_content_range_none(char dst[HTTP_CONTENT_RANGE_MAX], uint64_t size);

/* multipart/byteranges: for each range a head, then its bytes; then the end. boundary: 1 to
 * HTTP_BOUNDARY_MAX letters and digits, best random ones; type: the Content-Type of the whole,
 * empty for none. */
void http_part_head(struct tarn_out *o, struct tarn_bytes boundary, struct tarn_bytes type,
                    const struct http_range *r, uint64_t size, bool is_first);
void http_parts_end(struct tarn_out *o, struct tarn_bytes boundary);

/* The Content-Length of all that, exactly, without writing it. False when it passes 2^63 - 1. */
bool http_parts_len(const struct http_ranges *ranges, struct tarn_bytes boundary,
                    struct tarn_bytes type, uint64_t size, uint64_t *len) TARN_MUST;

#endif
