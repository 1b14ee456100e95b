/* codec/url: see the header. Nothing is decoded while a URL is taken apart, so what an escape hides
 * cannot change where its parts end. */
#include "codec/url.h"

#include "base/num.h"

#include <strings.h>

static bool is_alpha(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_unreserved(uint8_t c)
{
    return is_alpha(c) || is_digit(c) || c == '-' || c == '_' || c == '.' || c == '~';
}

void url_escape(struct tarn_out *o, struct tarn_bytes b)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < b.len; i++) {
        if (is_unreserved(b.p[i])) {
            tarn_out_u8(o, b.p[i]);
        } else {
            uint8_t *p = tarn_out_room(o, 3);
            if (p == NULL)
                return;
            p[0] = '%';
            p[1] = (uint8_t)digits[b.p[i] >> 4];
            p[2] = (uint8_t)digits[b.p[i] & 15];
        }
    }
}

/* Value of a hex digit, or -1. */
static int hex_value(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

void url_unescape(struct tarn_out *o, struct tarn_bytes b, bool plus)
{
    for (size_t i = 0; i < b.len; i++) {
        uint8_t c = b.p[i];
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%' && b.len - i > 2) {
            int high = hex_value(b.p[i + 1]), low = hex_value(b.p[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (uint8_t)(high << 4 | low);
                i += 2;
            }
        }
        tarn_out_u8(o, c);
    }
}

/* Split b at the first byte of that value: the part before it, and in *rest the part after it.
 * Without one all is before it, and *rest is empty. Returns whether there was one. */
static bool split(struct tarn_bytes b, uint8_t at, struct tarn_bytes *before,
                  struct tarn_bytes *rest)
{
    const uint8_t *found = b.len == 0 ? NULL : memchr(b.p, at, b.len);
    if (found == NULL) {
        *before = b;
        *rest = tarn_bytes_of(NULL, 0);
        return false;
    }
    size_t n = (size_t)(found - b.p);
    *before = tarn_bytes_of(b.p, n);
    *rest = tarn_bytes_of(found + 1, b.len - n - 1);
    return true;
}

bool url_query_next(struct tarn_bytes *query, struct tarn_bytes *key, struct tarn_bytes *value)
{
    while (query->len > 0) {
        struct tarn_bytes pair;
        (void)split(*query, '&', &pair, query); /* whether another follows shows next time */
        if (pair.len > 0) {
            (void)split(pair, '=', key, value); /* a key alone has an empty value */
            return true;
        }
    }
    return false;
}

static bool fail(struct tarn_err *err, struct tarn_bytes text, const char *why)
{
    struct tarn_quote q;
    return tarn_fail(err, TARN_E_FAILED, "'%s' is not a URL: %s", tarn_quote(&q, text), why);
}

static bool take_scheme(struct tarn_bytes *text, struct tarn_bytes *scheme)
{
    struct tarn_bytes name, rest;
    if (!split(*text, ':', &name, &rest) || name.len == 0 || !is_alpha(name.p[0]))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.p[i];
        if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.')
            return false;
    }
    if (rest.len < 2 || rest.p[0] != '/' || rest.p[1] != '/')
        return false;
    *scheme = name;
    *text = tarn_bytes_of(rest.p + 2, rest.len - 2);
    return true;
}

/* [user@]host[:port], the host perhaps an IPv6 address in brackets. */
static const char *read_authority(struct tarn_bytes text, struct url *u)
{
    struct tarn_bytes rest = text;
    for (size_t i = 0; i < text.len; i++) /* the last '@': a user's name may hold one by mistake */
        if (text.p[i] == '@')
            rest = tarn_bytes_of(text.p + i + 1, text.len - i - 1);
    struct tarn_bytes port;
    bool has_port;
    if (rest.len > 0 && rest.p[0] == '[') {
        struct tarn_bytes after;
        if (!split(tarn_bytes_of(rest.p + 1, rest.len - 1), ']', &u->host, &after))
            return "'[' without ']'";
        struct tarn_bytes between;
        has_port = split(after, ':', &between, &port);
        if (between.len > 0)
            return "something stands between ']' and the port";
    } else {
        has_port = split(rest, ':', &u->host, &port);
    }
    if (u->host.len == 0)
        return "it names no host";
    uint64_t number = 0;
    if (has_port && port.len > 0 && (!tarn_parse_u64(port, UINT16_MAX, &number) || number == 0))
        return "its port is not a number from 1 to 65535";
    u->port = (uint16_t)number;
    return NULL;
}

bool url_parse(struct tarn_bytes text, struct url *u, struct tarn_err *err)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] <= ' ' || text.p[i] == 0x7F)
            return fail(err, text, "it holds a space or a control character");
    struct url made = { .port = 0 };
    struct tarn_bytes rest = text;
    if (!take_scheme(&rest, &made.scheme))
        return fail(err, text, "it does not begin with a scheme and '://'");
    struct tarn_bytes fragment;
    (void)split(rest, '#', &rest, &fragment); /* a fragment is the reader's business: dropped */
    made.has_query = split(rest, '?', &rest, &made.query);
    struct tarn_bytes authority, path;
    if (split(rest, '/', &authority, &path))
        made.path = tarn_bytes_of(path.p - 1, path.len + 1); /* with its '/' */
    const char *why = read_authority(authority, &made);
    if (why != NULL)
        return fail(err, text, why);
    *u = made;
    return true;
}

bool url_scheme_is(const struct url *u, const char *scheme)
{
    return u->scheme.len == strlen(scheme) &&
           strncasecmp((const char *)u->scheme.p, scheme, u->scheme.len) == 0;
}
