/* http/core/reply: see the header. Status lines are ready-made: an answer's head is mostly copies.
 */
#include "http/core/reply.h"

#include "http/core/priv.h"

#define STATUS(number, text) \
    { \
        number, sizeof "HTTP/1.1 " #number " " text "\r\n" - 1, \
            "HTTP/1.1 " #number " " text "\r\n", text \
    }

static const struct status {
    uint16_t number;
    uint16_t len;
    const char *line;
    const char *text;
} statuses[] = {
    STATUS(100, "Continue"),
    STATUS(101, "Switching Protocols"),
    STATUS(103, "Early Hints"),
    STATUS(200, "OK"),
    STATUS(201, "Created"),
    STATUS(202, "Accepted"),
    STATUS(204, "No Content"),
    STATUS(206, "Partial Content"),
    STATUS(300, "Multiple Choices"),
    STATUS(301, "Moved Permanently"),
    STATUS(302, "Found"),
    STATUS(303, "See Other"),
    STATUS(304, "Not Modified"),
    STATUS(307, "Temporary Redirect"),
    STATUS(308, "Permanent Redirect"),
    STATUS(400, "Bad Request"),
    STATUS(401, "Unauthorized"),
    STATUS(403, "Forbidden"),
    STATUS(404, "Not Found"),
    STATUS(405, "Method Not Allowed"),
    STATUS(406, "Not Acceptable"),
    STATUS(408, "Request Timeout"),
    STATUS(409, "Conflict"),
    STATUS(410, "Gone"),
    STATUS(411, "Length Required"),
    STATUS(412, "Precondition Failed"),
    STATUS(413, "Content Too Large"),
    STATUS(414, "URI Too Long"),
    STATUS(415, "Unsupported Media Type"),
    STATUS(416, "Range Not Satisfiable"),
    STATUS(417, "Expectation Failed"),
    STATUS(421, "Misdirected Request"),
    STATUS(422, "Unprocessable Content"),
    STATUS(426, "Upgrade Required"),
    STATUS(428, "Precondition Required"),
    STATUS(429, "Too Many Requests"),
    STATUS(431, "Request Header Fields Too Large"),
    STATUS(500, "Internal Server Error"),
    STATUS(501, "Not Implemented"),
    STATUS(502, "Bad Gateway"),
    STATUS(503, "Service Unavailable"),
    STATUS(504, "Gateway Timeout"),
    STATUS(505, "HTTP Version Not Supported"),
    STATUS(507, "Insufficient Storage"),
};

static const struct status *find_status(unsigned number)
{
    size_t low = 0, high = TARN_COUNT_OF(statuses);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (statuses[middle].number == number)
            return &statuses[middle];
        if (statuses[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *http_status_text(unsigned status)
{
    const struct status *s = find_status(status);
    return s == NULL ? "Unknown" : s->text;
}

static void put_number(struct tarn_out *o, uint64_t n, unsigned base)
{
    char digits[20]; /* of 2^64 - 1 */
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n > 0);
    tarn_out_put(o, tarn_bytes_of(digits + at, sizeof digits - at));
}

void http_reply_begin(struct tarn_out *o, unsigned status, const char *date)
{
    const struct status *s = find_status(status);
    if (s != NULL)
        tarn_out_put(o, tarn_bytes_of(s->line, s->len));
    else
        tarn_out_fmt(o, "HTTP/1.1 %03u Unknown\r\n", status % 1000);
    if (date != NULL) {
        tarn_out_str(o, "Date: ");
        tarn_out_str(o, date);
        tarn_out_str(o, "\r\n");
    }
}

void http_reply_raw(struct tarn_out *o, const char *lines)
{
    tarn_out_str(o, lines);
}

/* Why a field is not written, or NULL. */
static const char *fault(struct tarn_bytes name, struct tarn_bytes value)
{
    if (!http_is_token(name))
        return "its name is no token";
    for (size_t i = 0; i < value.len; i++)
        if (!http_is_value_byte(value.p[i]))
            return "its value holds a line end or another control byte";
    enum http_known known = http_known_find(name);
    if (http_known_is_hop(known) || known == HTTP_CONTENT_LENGTH || known == HTTP_DATE)
        return "the server sets it";
    return NULL;
}

bool http_reply_field(struct tarn_out *o, struct tarn_bytes name, struct tarn_bytes value,
                      struct tarn_err *err)
{
    const char *why = fault(name, value);
    if (why != NULL) {
        struct tarn_quote q;
        return tarn_fail(err, TARN_E_POLICY, "answering with the field '%s': %s",
                         tarn_quote(&q, name), why);
    }
    tarn_out_put(o, name);
    tarn_out_str(o, ": ");
    tarn_out_put(o, value);
    tarn_out_str(o, "\r\n");
    return true;
}

void http_reply_length(struct tarn_out *o, uint64_t len)
{
    tarn_out_str(o, "Content-Length: ");
    put_number(o, len, 10);
    tarn_out_str(o, "\r\n");
}

enum http_framing http_reply_framing(const struct http_request *req, unsigned status,
                                     bool is_len_known)
{
    if (status < 200 || status == 204)
        return HTTP_FRAME_NONE;
    if (status == 304 || req->method == HTTP_HEAD)
        return HTTP_FRAME_SILENT;
    if (is_len_known)
        return HTTP_FRAME_LENGTH;
    return req->minor > 0 ? HTTP_FRAME_CHUNKED : HTTP_FRAME_CLOSE;
}

void http_reply_end(struct tarn_out *o, const struct http_request *req, enum http_framing framing,
                    bool keeps)
{
    if (framing == HTTP_FRAME_CHUNKED)
        tarn_out_str(o, "Transfer-Encoding: chunked\r\n");
    if (!keeps)
        tarn_out_str(o, "Connection: close\r\n\r\n");
    else if (req->minor == 0)
        tarn_out_str(o, "Connection: keep-alive\r\n\r\n");
    else
        tarn_out_str(o, "\r\n");
}

void http_reply_continue(struct tarn_out *o)
{
    tarn_out_str(o, "HTTP/1.1 100 Continue\r\n\r\n");
}

void http_reply_allow(struct tarn_out *o, unsigned allowed)
{
    const char *between = "";
    tarn_out_str(o, "Allow: "); /* nothing is allowed: an empty list says so */
    for (unsigned m = HTTP_GET; m < HTTP_METHOD_COUNT; m++) {
        if ((allowed & HTTP_ALLOW(m)) == 0)
            continue;
        tarn_out_str(o, between);
        tarn_out_str(o, http_method_name(m));
        between = ", ";
    }
    tarn_out_str(o, "\r\n");
}

void http_chunk_begin(struct tarn_out *o, uint64_t len)
{
    put_number(o, len, 16);
    tarn_out_str(o, "\r\n");
}

void http_chunk_end(struct tarn_out *o)
{
    tarn_out_str(o, "\r\n");
}

void http_chunk_last(struct tarn_out *o)
{
    tarn_out_str(o, "0\r\n\r\n");
}
