/* http/core/head: see the header. A head is read line by line; each line is checked when it is
 * whole, and what the lines say together when the empty one has come. Of an unfinished head only
 * places are remembered, not fields: when the last line of a head that came in slices is there,
 * all of it is read once more from its start. So bytes are looked at twice at most, and a waiting
 * connection needs 16 bytes. */
#include "http/core/priv.h"

#include <assert.h>

const struct http_limits http_limits_default = {
    .line = HTTP_LINE_DEFAULT,
    .block = HTTP_BLOCK_DEFAULT,
    .fields = HTTP_FIELDS_DEFAULT,
    .chunk_ext = HTTP_CHUNK_EXT_DEFAULT,
};

struct reader {
    struct http_scan *scan;
    const struct http_limits *limits;
    struct tarn_bytes in;
    struct http_request *req;
    struct tarn_err *err;
};

static enum http_step refuse(struct reader *r, uint16_t status, const char *why)
{
    r->req->status = status;
    (void)tarn_fail(r->err, TARN_E_POLICY, "reading a request: %s", why); /* the step says it too */
    return HTTP_BAD;
}

/* Does a line that reaches to at (without its line end) pass its limit? */
static enum http_step check_limits(struct reader *r, size_t at)
{
    const struct http_scan *scan = r->scan;
    const struct http_limits *limits = r->limits;
    if (scan->block == 0) {
        if (at - scan->line <= limits->line)
            return HTTP_MORE;
        r->req->status = 414;
        (void)tarn_fail(r->err, TARN_E_POLICY,
                        "reading a request: its first line has more than %u bytes "
                        "(http.line_max)",
                        limits->line);
        return HTTP_BAD;
    }
    if (at == scan->line || at - scan->block + 2 <= limits->block)
        return HTTP_MORE;
    r->req->status = 431;
    (void)tarn_fail(r->err, TARN_E_POLICY,
                    "reading a request: its fields have more than %u bytes (http.head_max)",
                    limits->block);
    return HTTP_BAD;
}

/* The place of the first byte that is below 0x20 or DEL. Eight at a time: a byte b of w has its top
 * bit set in (w - 0x20..) & ~w when b < 0x20, and in ((w ^ 0x7F..) - 1..) & ~(w ^ 0x7F..) when it
 * is 0x7F. A borrow may mark a byte above the first true one, never one below it. */
static size_t find_control(struct tarn_bytes in, size_t at)
{
    const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    while (in.len - at >= 8) {
        uint64_t w;
        memcpy(&w, in.p + at, 8);
        uint64_t del = w ^ (0x7F * ones);
        if (((((w - 0x20 * ones) & ~w) | ((del - ones) & ~del)) & tops) != 0)
            break;
        at += 8;
    }
    while (at < in.len && in.p[at] >= 0x20 && in.p[at] != 0x7F)
        at++;
    return at;
}

/* Find the end of the unfinished line. HTTP_DONE: *end is where its content ends, *next where the
 * next line begins. */
static enum http_step find_line(struct reader *r, size_t *end, size_t *next)
{
    struct http_scan *scan = r->scan;
    size_t at = scan->seen;
    for (;; at++) {
        at = find_control(r->in, at);
        if (check_limits(r, at) == HTTP_BAD)
            return HTTP_BAD;
        scan->seen = (uint32_t)at;
        if (at == r->in.len)
            return HTTP_MORE;
        uint8_t c = r->in.p[at];
        if (c == '\t' && scan->block > 0)
            continue;
        if (c == '\n' && !r->limits->is_lf_allowed)
            return refuse(r, 400, "a line ends with LF alone");
        if (c != '\n' && c != '\r')
            return refuse(r, 400,
                          at == 0 ? "it begins with a control byte (is it TLS, on a plain port?)"
                                  : "it holds a control byte");
        if (c == '\r' && at + 1 == r->in.len)
            return HTTP_MORE;
        if (c == '\r' && r->in.p[at + 1] != '\n')
            return refuse(r, 400, "a CR without LF");
        *end = at;
        *next = c == '\n' ? at + 1 : at + 2;
        return HTTP_DONE;
    }
}

bool http_field_read(struct tarn_bytes line, struct http_field *f, const char **why)
{
    size_t n = 0;
    while (n < line.len && http_is_token_byte(line.p[n]))
        n++;
    if (n == line.len || line.p[n] != ':' || n == 0) {
        uint8_t c = n < line.len ? line.p[n] : 0;
        if (n == 0 && http_is_blank(c))
            *why = "a field line begins with white space";
        else if (http_is_blank(c) && memchr(line.p, ':', line.len) != NULL)
            *why = "white space before a colon";
        else if (n == line.len || memchr(line.p, ':', line.len) == NULL)
            *why = "a field line without a colon";
        else
            *why = "the name of a field is no token";
        return false;
    }
    size_t from = n + 1, to = line.len;
    while (from < to && http_is_blank(line.p[from]))
        from++;
    while (to > from && http_is_blank(line.p[to - 1]))
        to--;
    f->name = (struct http_span){ 0, (uint32_t)n };
    f->value = (struct http_span){ (uint32_t)from, (uint32_t)(to - from) };
    f->known = (uint16_t)http_known_find(tarn_bytes_of(line.p, n));
    f->next = 0;
    return true;
}

static enum http_step take_field(struct reader *r, size_t end)
{
    struct http_scan *scan = r->scan;
    if (scan->n_fields >= r->limits->fields) {
        r->req->status = 431;
        (void)tarn_fail(r->err, TARN_E_POLICY,
                        "reading a request: it has more than %u fields (http.fields_max)",
                        (unsigned)r->limits->fields);
        return HTTP_BAD;
    }
    struct http_field *f = &r->req->fields[scan->n_fields];
    const char *why;
    if (!http_field_read(tarn_bytes_of(r->in.p + scan->line, end - scan->line), f, &why))
        return refuse(r, 400, why);
    f->name.at += scan->line;
    f->value.at += scan->line;
    scan->n_fields++;
    return HTTP_MORE;
}

/* One whole line. HTTP_DONE: it was the empty one at the end. */
static enum http_step take_line(struct reader *r, size_t end, size_t next)
{
    struct http_scan *scan = r->scan;
    bool is_empty = end == scan->line;
    enum http_step step = HTTP_MORE;
    if (scan->block > 0) {
        step = is_empty ? HTTP_DONE : take_field(r, end);
    } else if (!is_empty) {
        r->req->line = (struct http_span){ scan->line, (uint32_t)end - scan->line };
        if (!http_line_read(r->req, r->err))
            step = HTTP_BAD;
        scan->block = (uint32_t)next;
    } else if (scan->line > 0) {
        step = refuse(r, 400, "empty lines in front of it");
    }
    scan->line = scan->seen = (uint32_t)next;
    return step;
}

static enum http_step take_lines(struct reader *r)
{
    enum http_step step;
    do {
        size_t end, next;
        step = find_line(r, &end, &next);
        if (step != HTTP_DONE)
            return step;
        step = take_line(r, end, next);
    } while (step == HTTP_MORE);
    return step;
}

static void request_clear(struct http_request *req, const uint8_t *base)
{
    struct http_field *fields = req->fields;
    *req = (struct http_request){ .base = base, .fields = fields };
}

enum http_step http_head_next(struct http_scan *scan, const struct http_limits *limits,
                              struct tarn_bytes in, struct http_request *req, struct tarn_err *err)
{
    assert(limits->line <= HTTP_LINE_MAX && limits->block <= HTTP_BLOCK_MAX &&
           limits->fields <= HTTP_FIELDS_MAX);
    /* More is never needed, and so offsets fit. Line ends and one empty line are 8 bytes. */
    in.len = in.len < (size_t)limits->line + limits->block + 16
                 ? in.len
                 : (size_t)limits->line + limits->block + 16;
    struct reader r = { scan, limits, in, req, err };
    bool is_first = scan->line == 0;
    request_clear(req, in.p);
    enum http_step step = take_lines(&r);
    if (step == HTTP_MORE)
        return step;
    if (!is_first) { /* again, now with all its lines: what they say is in req afterwards */
        *scan = (struct http_scan){ 0 };
        request_clear(req, in.p);
        step = take_lines(&r);
    }
    req->n_fields = scan->n_fields;
    req->head_len = scan->line;
    if (step == HTTP_DONE && !http_fields_judge(req, err))
        step = HTTP_BAD;
    if (step == HTTP_BAD)
        req->keeps = false;
    *scan = (struct http_scan){ 0 };
    return step;
}
