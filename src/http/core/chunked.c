/* http/core/chunked: see the header. The framing is read byte by byte (it is short), content in
 * runs. What a line of framing may hold is what RFC 9112 section 7.1 lets it hold and nothing else:
 * a proxy in front of us may forgive something, and then the two of us would see different
 * requests. */
#include "http/core/chunked.h"

#include "base/num.h"
#include "http/core/priv.h"

#include <assert.h>

enum state {
    OVER,       /* the body is complete */
    LENGTH,     /* content up to the length */
    SIZE,       /* the first digit of a chunk's size */
    SIZE_MORE,  /* its other digits */
    AFTER,      /* white space behind a size or an extension: a ';' must follow */
    NAME_GAP,   /* behind that */
    NAME,       /* in the name of an extension */
    NAME_AFTER, /* white space behind it: '=' or ';' must follow */
    VALUE_GAP,  /* behind '=' */
    VALUE,
    QUOTED,     /* a value in quotes */
    ESCAPED,    /* behind its backslash */
    QUOTED_END, /* behind its last quote */
    SIZE_LF,    /* behind the CR of the size line */
    DATA,       /* content of a chunk */
    DATA_CR,    /* behind it */
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

/* Go on in that state. */
static bool go(struct http_body *b, enum state state)
{
    b->state = (uint8_t)state;
    return true;
}

/* Zeros in front cost nothing of the size, so they are counted as if they were extensions. */
static bool take_digit(struct http_body *b, uint8_t c, struct tarn_err *err)
{
    if (b->left == 0 && c == '0') {
        b->ext += b->state == SIZE_MORE;
        return go(b, SIZE_MORE);
    }
    if (b->left >> (4 * (DIGITS_MAX - 1)) != 0)
        return refuse(b, err, "a chunk of 2^60 bytes or more");
    b->left = b->left << 4 | (uint64_t)http_hex(c);
    return go(b, SIZE_MORE);
}

/* The byte behind a size, a name or a value. */
static bool take_end(struct http_body *b, uint8_t c, struct tarn_err *err)
{
    if (c == '\r')
        return go(b, SIZE_LF);
    if (c == ';')
        return go(b, NAME_GAP);
    if (http_is_blank(c))
        return go(b, AFTER);
    return refuse(b, err, "something else than extensions behind a chunk size");
}

static bool take_quoted(struct http_body *b, uint8_t c, struct tarn_err *err)
{
    if (!http_is_value_byte(c))
        return refuse(b, err, "a control byte in a chunk extension");
    if (b->state == ESCAPED)
        return go(b, QUOTED);
    if (c == '"')
        return go(b, QUOTED_END);
    return go(b, c == '\\' ? ESCAPED : QUOTED);
}

static bool take_extension(struct http_body *b, uint8_t c, struct tarn_err *err)
{
    bool is_token = http_is_token_byte(c), is_blank = http_is_blank(c);
    switch ((enum state)b->state) {
    case NAME_GAP:
        if (is_token || is_blank)
            return go(b, is_token ? NAME : NAME_GAP);
        return refuse(b, err, "a chunk extension without a name");
    case NAME:
        if (is_token)
            return true;
        if (c == '=' || is_blank)
            return go(b, c == '=' ? VALUE_GAP : NAME_AFTER);
        return take_end(b, c, err);
    case VALUE_GAP:
        if (is_token || is_blank || c == '"')
            return go(b, is_token ? VALUE : is_blank ? VALUE_GAP : QUOTED);
        return refuse(b, err, "a chunk extension without a value behind '='");
    case VALUE:
        return is_token || take_end(b, c, err);
    case QUOTED:
    case ESCAPED:
        return take_quoted(b, c, err);
    case QUOTED_END:
        return take_end(b, c, err);
    default: /* AFTER, NAME_AFTER */
        if (is_blank)
            return true;
        if (c == ';' || (c == '=' && b->state == NAME_AFTER))
            return go(b, c == ';' ? NAME_GAP : VALUE_GAP);
        return refuse(b, err, "white space behind a chunk size that no extension follows");
    }
}

/* A byte of a size line, from the size to its CR. */
static bool take_size(struct http_body *b, const struct http_limits *limits, uint8_t c,
                      struct tarn_err *err)
{
    bool is_size = b->state <= SIZE_MORE;
    bool is_digit = is_size && http_hex(c) >= 0;
    if (!is_digit && c != '\r')
        b->ext++;
    if (b->ext > limits->chunk_ext) {
        b->status = 400;
        return tarn_fail(err, TARN_E_POLICY,
                         "reading a chunked body: its chunk extensions have more than %u bytes",
                         limits->chunk_ext);
    }
    if (!is_size)
        return take_extension(b, c, err);
    if (is_digit)
        return take_digit(b, c, err);
    if (b->state == SIZE)
        return refuse(b, err, "a chunk size that is no hex number");
    return take_end(b, c, err);
}

/* Fields with a number of ours all say how a message is framed, routed, permitted or chosen. */
static void keep_trailer(struct http_body *b)
{
    struct tarn_out *o = b->trailer;
    if (o == NULL || !tarn_out_ok(o))
        return;
    struct http_field f;
    const char *why;
    struct tarn_bytes line = tarn_bytes_of(o->p + b->trailer_line, o->len - b->trailer_line);
    if (http_field_read(line, &f, &why) && f.known == HTTP_OTHER)
        tarn_out_str(o, "\r\n");
    else
        o->len = b->trailer_line;
}

static bool begin_trailer(struct http_body *b, const struct http_limits *limits, uint8_t c,
                          struct tarn_err *err)
{
    if (c == '\r')
        return go(b, LAST_LF);
    if (!http_is_token_byte(c))
        return refuse(b, err, "a trailer line without a name");
    if (b->n_trailers >= limits->fields) {
        b->status = 431;
        return tarn_fail(err, TARN_E_POLICY,
                         "reading a chunked body: it has more than %u trailers (http.fields_max)",
                         (unsigned)limits->fields);
    }
    b->n_trailers++;
    if (b->trailer != NULL)
        b->trailer_line = b->trailer->len;
    return go(b, TRAILER_NAME);
}

/* A byte of the trailers, from the last chunk to the CR of the empty line. */
static bool take_trailer(struct http_body *b, const struct http_limits *limits, uint8_t c,
                         struct tarn_err *err)
{
    b->block += b->state != TRAILER || c != '\r'; /* the empty line is not counted */
    if (c != '\r' && b->block + 2 > limits->block) {
        b->status = 431;
        return tarn_fail(err, TARN_E_POLICY,
                         "reading a chunked body: its trailers have more than %u bytes "
                         "(http.head_max)",
                         limits->block);
    }
    bool is_good = true;
    if (b->state == TRAILER)
        is_good = begin_trailer(b, limits, c, err);
    else if (b->state == TRAILER_NAME && !http_is_token_byte(c))
        is_good =
            c == ':' ? go(b, TRAILER_VALUE) : refuse(b, err, "the name of a trailer is no token");
    else if (b->state == TRAILER_VALUE && c == '\r')
        is_good = go(b, TRAILER_LF);
    else if (b->state == TRAILER_VALUE && !http_is_value_byte(c))
        is_good = refuse(b, err, "a control byte in a trailer");
    if (is_good && b->trailer != NULL && b->state != TRAILER_LF && b->state != LAST_LF)
        tarn_out_u8(b->trailer, c);
    return is_good;
}

/* The LF behind a CR, or the CR behind content. */
static bool take_line_end(struct http_body *b, uint8_t c, struct tarn_err *err)
{
    if (c != (b->state == DATA_CR ? '\r' : '\n'))
        return refuse(b, err,
                      b->state == DATA_CR || b->state == DATA_LF
                          ? "a chunk is longer than its size says"
                          : "a CR without LF");
    switch ((enum state)b->state) {
    case SIZE_LF:
        return go(b, b->left > 0 ? DATA : TRAILER);
    case DATA_CR:
        return go(b, DATA_LF);
    case DATA_LF:
        return go(b, SIZE);
    case TRAILER_LF:
        b->block++;
        keep_trailer(b);
        return go(b, TRAILER);
    default: /* LAST_LF */
        return go(b, OVER);
    }
}

static bool take_byte(struct http_body *b, const struct http_limits *limits, uint8_t c,
                      struct tarn_err *err)
{
    switch ((enum state)b->state) {
    case SIZE_LF:
    case DATA_CR:
    case DATA_LF:
    case TRAILER_LF:
    case LAST_LF:
        return take_line_end(b, c, err);
    case TRAILER:
    case TRAILER_NAME:
    case TRAILER_VALUE:
        return take_trailer(b, limits, c, err);
    default:
        return take_size(b, limits, c, err);
    }
}

enum http_step http_body_next(struct http_body *b, const struct http_limits *limits,
                              struct tarn_cur *in, struct tarn_bytes *data, struct tarn_err *err)
{
    while (b->state != OVER) {
        if (tarn_cur_left(in) == 0)
            return HTTP_MORE;
        uint64_t direct = http_body_direct(b);
        if (direct > 0) {
            *data = tarn_cur_take(in, (size_t)tarn_min_u64(direct, tarn_cur_left(in)));
            http_body_took(b, data->len);
            return HTTP_DATA;
        }
        if (!take_byte(b, limits, tarn_cur_u8(in), err))
            return HTTP_BAD;
    }
    return HTTP_DONE;
}
