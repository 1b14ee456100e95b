/* http/core/chunked: see the header. The framing is read byte by byte (it is short), content in runs.
 * What a line of framing may hold is what RFC 9112 section 7.1 lets it hold and nothing else: a proxy
 * in front of us may forgive something, and then the two of us would see different requests. */
#include "http/core/chunked.h"

#include "http/core/priv.h"

#include <assert.h>

enum state {
    OVER,        /* the body is complete */
    LENGTH,      /* content up to the length */
    SIZE,        /* before or in the digits of a chunk's size */
    EXT_BLANK,   /* white space behind the size or an extension: ';' or CR */
    EXT_NAME,    /* white space behind ';', then in the name */
    EXT_EQUALS,  /* white space behind a name: '=', ';' or CR */
    EXT_VALUE,   /* white space behind '=', then the first byte of the value */
    EXT_TOKEN,   /* in a value */
    EXT_QUOTED,  /* in a quoted value */
    EXT_ESCAPED, /* behind its backslash */
    SIZE_LF,     /* behind the CR of the size line */
    DATA,        /* content of a chunk */
    DATA_CR,     /* behind it */
    DATA_LF,
    TRAILER,       /* the first byte of a trailer line, or the CR of the empty one */
    TRAILER_NAME,  /* in its name */
    TRAILER_VALUE, /* behind the colon */
    TRAILER_LF,    /* behind its CR */
    LAST_LF,       /* behind the CR of the empty line */
};

enum {
    DIGITS_MAX = 15, /* ours: sizes stay below 2^60, so that no sum overflows */
};

void http_body_init_kind(struct http_body *b, enum http_body_kind kind, uint64_t len)
{
    *b = (struct http_body){ .state = OVER };
    if (kind == HTTP_BODY_CHUNKED) {
        b->state = SIZE;
    } else if (kind == HTTP_BODY_LENGTH && len > 0) {
        b->state = LENGTH;
        b->left = len;
    }
}

void http_body_init(struct http_body *b, const struct http_request *req)
{
    http_body_init_kind(b, req->body, req->body_len);
}

uint64_t http_body_direct(const struct http_body *b)
{
    return b->state == LENGTH || b->state == DATA ? b->left : 0;
}

void http_body_took(struct http_body *b, uint64_t n)
{
    assert(n <= http_body_direct(b));
    b->left -= n;
    b->content += n;
    if (b->left == 0)
        b->state = b->state == LENGTH ? OVER : DATA_CR;
}

static bool refuse(struct http_body *b, struct tarn_err *err, const char *why)
{
    b->status = 400;
    return tarn_fail(err, TARN_E_POLICY, "reading a chunked body: %s", why);
}

static bool digit(struct http_body *b, uint8_t c, struct tarn_err *err)
{
    b->has_digit = true;
    if (b->left == 0 && c == '0')
        return true;
    if (++b->digits > DIGITS_MAX)
        return refuse(b, err, "a chunk of 2^60 bytes or more");
    b->left = b->left << 4 | (uint64_t)http_hex(c);
    return true;
}

/* A byte of a size line, from the size to its CR. */
static bool size_line(struct http_body *b, uint8_t c, struct tarn_err *err)
{
    bool may_end = false;
    switch ((enum state)b->state) {
    case SIZE:
        if (http_hex(c) >= 0)
            return digit(b, c, err);
        if (!b->has_digit)
            return refuse(b, err, "a chunk size that is no hex number");
        may_end = true;
        break;
    case EXT_BLANK:
    case EXT_EQUALS:
        may_end = true;
        break;
    case EXT_NAME:
        if (http_is_token_byte(c)) {
            b->has_name = true;
            return true;
        }
        if (http_is_blank(c) && !b->has_name)
            return true;
        if (!b->has_name)
            return refuse(b, err, "a chunk extension without a name");
        may_end = true;
        break;
    case EXT_VALUE:
        if (http_is_blank(c))
            return true;
        b->state = c == '"' ? EXT_QUOTED : EXT_TOKEN;
        return c == '"' || http_is_token_byte(c) ||
               refuse(b, err, "a chunk extension without a value behind '='");
    case EXT_TOKEN:
        if (http_is_token_byte(c))
            return true;
        may_end = true;
        break;
    case EXT_QUOTED:
        if (c == '"')
            b->state = EXT_BLANK;
        else if (c == '\\')
            b->state = EXT_ESCAPED;
        return http_is_value_byte(c) || refuse(b, err, "a control byte in a chunk extension");
    case EXT_ESCAPED:
        b->state = EXT_QUOTED;
        return http_is_value_byte(c) || refuse(b, err, "a control byte in a chunk extension");
    default:
        break;
    }
    assert(may_end);
    if (c == '=' && (b->state == EXT_NAME || b->state == EXT_EQUALS)) {
        b->state = EXT_VALUE;
    } else if (c == ';') {
        b->state = EXT_NAME;
        b->has_name = false;
    } else if (c == '\r') {
        b->state = SIZE_LF;
    } else if (http_is_blank(c)) {
        b->state = b->state == EXT_NAME || b->state == EXT_EQUALS ? EXT_EQUALS : EXT_BLANK;
    } else {
        return refuse(b, err, "something else than extensions behind a chunk size");
    }
    return true;
}
