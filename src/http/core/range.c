/* http/core/range: see the header. */
#include "http/core/range.h"

#include "base/num.h"
#include "http/core/priv.h"

#include <inttypes.h>
#include <stdio.h>

/* What was asked for, before the representation's size is known to matter. */
struct spec {
    uint64_t first, last; /* both included; UINT64_MAX: to the end, or a number larger than that */
    bool is_suffix;       /* the last `last` bytes */
};

/* Digits; a number that does not fit is UINT64_MAX, which is behind the end of everything. */
static bool number(struct tarn_bytes text, uint64_t *n)
{
    for (size_t i = 0; i < text.len; i++)
        if (!http_is_digit(text.p[i]))
            return false;
    if (text.len > 0 && !tarn_parse_u64(text, UINT64_MAX, n))
        *n = UINT64_MAX;
    return text.len > 0;
}

/* first-last, first-, -suffix */
static bool read_spec(struct tarn_bytes text, struct spec *s)
{
    struct tarn_bytes rest = text;
    struct tarn_bytes first = http_split(&rest, '-');
    if (first.len == text.len) /* no '-' */
        return false;
    *s = (struct spec){ .last = UINT64_MAX, .is_suffix = first.len == 0 };
    if (s->is_suffix)
        return number(rest, &s->last);
    return number(first, &s->first) && (rest.len == 0 || number(rest, &s->last)) &&
           s->first <= s->last;
}

/* The bytes of a representation that a spec names; false: none. size > 0. */
static bool fit(const struct spec *s, uint64_t size, struct http_range *r)
{
    if (s->is_suffix) {
        r->len = tarn_min_u64(s->last, size);
        r->at = size - r->len;
        return r->len > 0;
    }
    if (s->first >= size)
        return false;
    r->at = s->first;
    r->len = tarn_min_u64(s->last, size - 1) - s->first + 1;
    return true;
}

static bool overlap(const struct http_range *a, const struct http_range *b)
{
    return a->at < b->at + b->len && b->at < a->at + a->len;
}

static bool is_overlapping_much(const struct http_ranges *all)
{
    unsigned n = 0;
    for (unsigned i = 0; i < all->n; i++) {
        bool is_one = false;
        for (unsigned k = 0; k < all->n; k++)
            is_one |= k != i && overlap(&all->r[i], &all->r[k]);
        n += is_one;
    }
    return n > HTTP_RANGES_OVERLAPPING_MAX;
}

/* Take r[other] into r[one] when they overlap or touch. */
static bool join(struct http_ranges *all, unsigned one, unsigned other)
{
    struct http_range *a = &all->r[one];
    const struct http_range *b = &all->r[other];
    uint64_t end_a = a->at + a->len, end_b = b->at + b->len;
    if (a->at > end_b || b->at > end_a)
        return false;
    a->at = tarn_min_u64(a->at, b->at);
    a->len = tarn_max_u64(end_a, end_b) - a->at;
    memmove(&all->r[other], &all->r[other + 1], (--all->n - other) * sizeof all->r[0]);
    return true;
}

/* One that grew may now touch those between that it did not touch before: look at them again. */
static void coalesce(struct http_ranges *all)
{
    for (unsigned i = 0; i < all->n; i++)
        for (unsigned k = i + 1; k < all->n; k++)
            if (join(all, i, k))
                k = i;
}

enum http_range_step http_range_parse(struct tarn_bytes value, uint64_t size,
                                      struct http_ranges *out)
{
    struct tarn_bytes list = value, text;
    struct tarn_bytes unit = http_split(&list, '=');
    if (!http_is(unit, "bytes") || list.p == NULL || size == 0)
        return HTTP_RANGE_WHOLE;
    struct http_ranges all = { 0 };
    unsigned n_specs = 0;
    while (http_list_next(&list, &text)) {
        struct spec s;
        if (text.len == 0) /* empty elements of lists mean nothing (RFC 9110 section 5.6.1) */
            continue;
        if (!read_spec(text, &s) || ++n_specs > HTTP_RANGES_MAX)
            return HTTP_RANGE_WHOLE;
        all.n += fit(&s, size, &all.r[all.n]);
    }
    if (n_specs == 0 || is_overlapping_much(&all))
        return HTTP_RANGE_WHOLE;
    if (all.n == 0)
        return HTTP_RANGE_NONE;
    coalesce(&all);
    *out = all;
    return HTTP_RANGE_PARTS;
}

size_t http_content_range(char dst[HTTP_CONTENT_RANGE_MAX], const struct http_range *r,
                          uint64_t size)
{
    return (size_t)snprintf(dst, HTTP_CONTENT_RANGE_MAX, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                            r->at, r->at + r->len - 1, size);
}

size_t http_content_range_none(char dst[HTTP_CONTENT_RANGE_MAX], uint64_t size)
{
    return (size_t)snprintf(dst, HTTP_CONTENT_RANGE_MAX, "bytes */%" PRIu64, size);
}

/* The texts around a part; http_parts_len adds their lengths. */
static const char between[] = "\r\n--";
static const char type_name[] = "\r\nContent-Type: ";
static const char range_name[] = "\r\nContent-Range: ";
static const char part_end[] = "\r\n\r\n";
static const char parts_end[] = "--\r\n";
#define LEN(text) (sizeof(text) - 1)

void http_part_head(struct tarn_out *o, struct tarn_bytes boundary, struct tarn_bytes type,
                    const struct http_range *r, uint64_t size, bool is_first)
{
    char value[HTTP_CONTENT_RANGE_MAX];
    size_t value_len = http_content_range(value, r, size);
    tarn_out_str(o, is_first ? between + 2 : between);
    tarn_out_put(o, boundary);
    if (type.len > 0) {
        tarn_out_str(o, type_name);
        tarn_out_put(o, type);
    }
    tarn_out_str(o, range_name);
    tarn_out_put(o, tarn_bytes_of(value, value_len));
    tarn_out_str(o, part_end);
}

void http_parts_end(struct tarn_out *o, struct tarn_bytes boundary)
{
    tarn_out_str(o, between);
    tarn_out_put(o, boundary);
    tarn_out_str(o, parts_end);
}

bool http_parts_len(const struct http_ranges *ranges, struct tarn_bytes boundary,
                    struct tarn_bytes type, uint64_t size, uint64_t *len)
{
    uint64_t fixed = LEN(between) + boundary.len + LEN(range_name) + LEN(part_end) +
                     (type.len > 0 ? LEN(type_name) + type.len : 0);
    uint64_t sum = LEN(between) + boundary.len + LEN(parts_end) - 2; /* the first has no CRLF */
    char value[HTTP_CONTENT_RANGE_MAX];
    for (unsigned i = 0; i < ranges->n; i++)
        if (!tarn_add_u64(sum, fixed + http_content_range(value, &ranges->r[i], size), &sum) ||
            !tarn_add_u64(sum, ranges->r[i].len, &sum))
            return false;
    if (sum > INT64_MAX)
        return false;
    *len = sum;
    return true;
}
