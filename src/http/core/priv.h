/* http/core/priv: bytes and lists as HTTP writes them; for the files of this room. */
#ifndef HTTP_CORE_PRIV_H
#define HTTP_CORE_PRIV_H

#include "base/err.h"
#include "http/core/head.h"

/* RFC 9110 section 5.6.2: letters, digits and !#$%&'*+-.^_`|~ */
static inline bool http_is_token_byte(uint8_t c)
{
    static const uint64_t set[2] = { 0x03FF6CFA00000000, 0x57FFFFFFC7FFFFFE };
    return c < 128 && (set[c >> 6] >> (c & 63) & 1) != 0;
}

static inline bool http_is_token(struct tarn_bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (!http_is_token_byte(b.p[i]))
            return false;
    return b.len > 0;
}

static inline bool http_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static inline uint8_t http_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* Value of a hex digit, or -1. */
static inline int http_hex(uint8_t c)
{
    if (http_is_digit(c))
        return c - '0';
    uint8_t low = http_lower(c);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* May stand in a field value: HTAB, and all but control bytes. */
static inline bool http_is_value_byte(uint8_t c)
{
    return (c >= 0x20 && c != 0x7F) || c == '\t';
}

static inline bool http_is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static inline struct tarn_bytes http_from(struct tarn_bytes b, size_t n)
{
    return n == 0 ? b : tarn_bytes_of(b.p + n, b.len - n);
}

static inline struct tarn_bytes http_trim(struct tarn_bytes b)
{
    size_t from = 0, to = b.len;
    while (from < to && http_is_blank(b.p[from]))
        from++;
    while (to > from && http_is_blank(b.p[to - 1]))
        to--;
    return tarn_bytes_of(from == 0 ? b.p : b.p + from, to - from);
}

/* Equal to a text in lower case, whatever the case of b's letters. */
static inline bool http_is(struct tarn_bytes b, const char *lower)
{
    size_t i = 0;
    while (i < b.len && lower[i] != '\0' && http_lower(b.p[i]) == (uint8_t)lower[i])
        i++;
    return i == b.len && lower[i] == '\0';
}

/* Take the part before the next `at` (or all) from the front of rest. */
static inline struct tarn_bytes http_split(struct tarn_bytes *rest, uint8_t at)
{
    const uint8_t *found = rest->len == 0 ? NULL : memchr(rest->p, at, rest->len);
    size_t n = found == NULL ? rest->len : (size_t)(found - rest->p);
    struct tarn_bytes part = tarn_bytes_of(rest->p, n);
    *rest = found == NULL ? tarn_bytes_of(NULL, 0) : http_from(*rest, n + 1);
    return part;
}

/* Take the next element from a list without quoted strings; false: none is left. It may be empty.
 */
static inline bool http_list_next(struct tarn_bytes *list, struct tarn_bytes *element)
{
    if (list->p == NULL)
        return false;
    *element = http_trim(http_split(list, ','));
    return true;
}

/* line.c: the request line of req->line, which holds no control byte. False: refused. */
bool http_line_read(struct http_request *req, struct tarn_err *err) TARN_MUST;

/* framing.c: what the fields say together: Host, the body's framing, the connection, Expect. */
bool http_fields_judge(struct http_request *req, struct tarn_err *err) TARN_MUST;

/* head.c: split a field line, without its line end, at the colon; offsets from line.p. False: why
 * says what is wrong with it. */
bool http_field_read(struct tarn_bytes line, struct http_field *f, const char **why) TARN_MUST;

/* known.c */
enum http_method http_method_find(struct tarn_bytes name);

#endif
