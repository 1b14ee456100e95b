/* http/core/target: see the header. The plain path is built in place: a ".." takes back what its
 * folder had put. */
#include "http/core/target.h"

#include "base/num.h"
#include "http/core/priv.h"

static bool refuse(struct tarn_err *err, struct tarn_bytes path, const char *why)
{
    struct tarn_quote q;
    return tarn_fail(err, TARN_E_POLICY, "the path '%s' %s", tarn_quote(&q, path), why);
}

/* Unescape one part to the end of o. Says what is wrong, or NULL. */
static const char *put_part(struct tarn_out *o, struct tarn_bytes part)
{
    for (size_t i = 0; i < part.len; i++) {
        uint8_t c = part.p[i];
        if (c == '%') {
            bool is_whole = part.len - i > 2;
            int high = is_whole ? http_hex(part.p[i + 1]) : -1;
            int low = is_whole ? http_hex(part.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return "has a '%' without two hex digits";
            c = (uint8_t)(high << 4 | low);
            i += 2;
            if (c == 0 || c == '/')
                return "hides a NUL or a slash, which no file name has";
        }
        tarn_out_u8(o, c);
    }
    return NULL;
}

/* Drop the last part and its slash; from: where the path begins in o. False: there is none. */
static bool climb(struct tarn_out *o, size_t from)
{
    if (o->len == from + 1)
        return false;
    o->len--; /* the slash behind the part */
    while (o->p[o->len - 1] != '/')
        o->len--;
    return true;
}

/* Append one part to what ends with a slash. Says what is wrong, or NULL. */
static const char *take_part(struct tarn_out *o, size_t from, struct tarn_bytes part, bool is_last)
{
    size_t begin = o->len;
    const char *why = put_part(o, part);
    if (why != NULL || !tarn_out_ok(o))
        return why;
    struct tarn_bytes plain = tarn_bytes_of(o->p + begin, o->len - begin);
    if (tarn_bytes_eq_str(plain, "..")) {
        o->len = begin;
        return climb(o, from) ? NULL : "climbs above the root";
    }
    if (plain.len == 0 || tarn_bytes_eq_str(plain, "."))
        o->len = begin;
    else if (!is_last)
        tarn_out_u8(o, '/');
    return NULL;
}

bool http_path_plain(struct tarn_out *o, struct tarn_bytes path, struct tarn_err *err)
{
    size_t from = o->len;
    if (path.len > 0 && path.p[0] != '/')
        return refuse(err, path, "does not begin with a slash");
    tarn_out_u8(o, '/');
    struct tarn_bytes rest = path.len > 0 ? http_from(path, 1) : path;
    const char *why = NULL;
    while (rest.len > 0 && why == NULL && tarn_out_ok(o)) {
        struct tarn_bytes part = http_split(&rest, '/');
        why = take_part(o, from, part, rest.p == NULL);
    }
    if (why == NULL && tarn_out_ok(o))
        return true;
    o->len = from;
    return refuse(err, path, why != NULL ? why : "does not fit in its buffer");
}

/* Letters, digits, -._~ and the signs that RFC 3986 lets into names, but for the comma, which would
 * make a list of it. They are the bytes of tokens, but for four each way. */
static bool is_name_byte(uint8_t c)
{
    switch (c) {
    case '#':
    case '^':
    case '`':
    case '|':
        return false;
    case '(':
    case ')':
    case ';':
    case '=':
        return true;
    default:
        return http_is_token_byte(c);
    }
}

/* A name or an IPv4 address. */
static bool is_name(struct tarn_bytes host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (!is_name_byte(host.p[i]))
            return false;
        if (host.p[i] != '%')
            continue;
        if (host.len - i < 3 || http_hex(host.p[i + 1]) < 0 || http_hex(host.p[i + 2]) < 0)
            return false;
        i += 2;
    }
    return true;
}

/* How long an IPv6 address in brackets in front of text is; 0: there is none, or it is bad. */
static size_t bracket_len(struct tarn_bytes text)
{
    bool has_colon = false;
    for (size_t i = 1; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c == ']')
            return has_colon ? i + 1 : 0;
        if (http_hex(c) < 0 && c != ':' && c != '.')
            return 0;
        has_colon |= c == ':';
    }
    return 0;
}

bool http_authority_parse(struct tarn_bytes text, uint32_t *host_len, uint16_t *port)
{
    size_t n;
    if (text.len > 0 && text.p[0] == '[') {
        n = bracket_len(text);
        if (n == 0)
            return false;
    } else {
        const uint8_t *colon = text.len == 0 ? NULL : memchr(text.p, ':', text.len);
        n = colon == NULL ? text.len : (size_t)(colon - text.p);
        if (!is_name(tarn_bytes_of(text.p, n)) || (n == 0 && text.len > 0))
            return false;
    }
    uint64_t number = 0;
    if (n < text.len) {
        struct tarn_bytes digits = http_from(text, n + 1);
        if (text.p[n] != ':' || (digits.len > 0 && !tarn_parse_u64(digits, UINT16_MAX, &number)))
            return false;
    }
    *host_len = (uint32_t)n;
    *port = (uint16_t)number;
    return true;
}
