/* The request line: method, target in one of four forms, version (RFC 9112 section 3). */
#include "http/core/priv.h"
#include "http/core/target.h"

static bool refuse(struct http_request *req, struct tarn_err *err, uint16_t status, const char *why)
{
    req->status = status;
    return tarn_fail(err, TARN_E_POLICY, "reading a request: %s", why);
}

/* A part of the head as a span. */
static struct http_span span_of(const struct http_request *req, const uint8_t *p, size_t len)
{
    return (struct http_span){ len == 0 ? 0 : (uint32_t)(p - req->base), (uint32_t)len };
}

static bool read_authority(struct http_request *req, struct tarn_bytes text)
{
    uint32_t host_len;
    if (!http_authority_parse(text, &host_len, &req->port))
        return false;
    req->authority = span_of(req, text.p, text.len);
    req->host = span_of(req, text.p, host_len);
    return host_len > 0;
}

static void read_path(struct http_request *req, struct tarn_bytes text)
{
    struct tarn_bytes rest = text;
    struct tarn_bytes path = http_split(&rest, '?');
    req->path = span_of(req, path.p, path.len);
    req->has_query = path.len < text.len;
    req->query = span_of(req, rest.p, rest.len);
}

/* How much of text is "http://" or "https://". */
static size_t scheme_len(struct tarn_bytes text)
{
    if (text.len >= 7 && http_is(tarn_bytes_of(text.p, 7), "http://"))
        return 7;
    if (text.len >= 8 && http_is(tarn_bytes_of(text.p, 8), "https://"))
        return 8;
    return 0;
}

static bool read_absolute(struct http_request *req, struct tarn_bytes text)
{
    size_t n = 0;
    while (n < text.len && text.p[n] != '/' && text.p[n] != '?')
        n++;
    req->form = HTTP_FORM_ABSOLUTE;
    read_path(req, http_from(text, n));
    return read_authority(req, tarn_bytes_of(text.p, n));
}

static bool read_target(struct http_request *req, struct tarn_bytes t, struct tarn_err *err)
{
    if (t.len == 0)
        return refuse(req, err, 400, "no target between two spaces");
    if (memchr(t.p, '#', t.len) != NULL)
        return refuse(req, err, 400, "a fragment in its target");
    if (req->method == HTTP_CONNECT) {
        req->form = HTTP_FORM_AUTHORITY;
        if (!read_authority(req, t) || req->port == 0)
            return refuse(req, err, 400, "CONNECT needs host:port");
        return true;
    }
    if (t.p[0] == '/') {
        req->form = HTTP_FORM_ORIGIN;
        read_path(req, t);
        return true;
    }
    if (t.len == 1 && t.p[0] == '*' && req->method == HTTP_OPTIONS) {
        req->form = HTTP_FORM_ASTERISK;
        return true;
    }
    size_t scheme = scheme_len(t);
    if (scheme == 0)
        return refuse(req, err, 400, "its target is no path and no http URL");
    if (!read_absolute(req, http_from(t, scheme)))
        return refuse(req, err, 400, "the URL of its target has no good host");
    return true;
}

/* HTTP/D.D, upper case. */
static bool read_version(struct http_request *req, struct tarn_bytes v, struct tarn_err *err)
{
    if (v.len != 8 || memcmp(v.p, "HTTP/", 5) != 0 || !http_is_digit(v.p[5]) || v.p[6] != '.' ||
        !http_is_digit(v.p[7]))
        return refuse(req, err, 400, "its first line does not end with a version, HTTP/1.1");
    if (v.p[5] != '1')
        return refuse(req, err, 505, "its version is not 1.0 or 1.1");
    req->minor = v.p[7] > '0';
    return true;
}

bool http_line_read(struct http_request *req, struct tarn_err *err)
{
    struct tarn_bytes rest = http_text(req, req->line);
    struct tarn_bytes name = http_split(&rest, ' ');
    if (!http_is_token(name) || rest.p == NULL)
        return refuse(req, err, 400, "its first line is not: method, target, version");
    struct tarn_bytes target = http_split(&rest, ' ');
    req->name = span_of(req, name.p, name.len);
    req->target = span_of(req, target.p, target.len);
    req->method = (uint8_t)http_method_find(name);
    if (rest.p == NULL)
        return refuse(req, err, 400, "its first line does not end with a version, HTTP/1.1");
    return read_version(req, rest, err) && read_target(req, target, err);
}
