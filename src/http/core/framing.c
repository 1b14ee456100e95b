/* What the fields of a request say together: which host, where the body ends, whether the
 * connection stays (RFC 9112 sections 3.2, 6 and 9). Where two readings are possible, the request
 * is refused: another program on its way may have read it the other way. */
#include "base/num.h"
#include "http/core/priv.h"
#include "http/core/target.h"

static bool refuse(struct http_request *req, struct tarn_err *err, uint16_t status, const char *why)
{
    req->status = status;
    return tarn_fail(err, TARN_E_POLICY, "reading a request: %s", why);
}

/* Fields that can have but one value; two of them are two opinions about the same thing. */
static const uint8_t singles[] = {
    HTTP_HOST,
    HTTP_CONTENT_LENGTH,
    HTTP_CONTENT_TYPE,
    HTTP_AUTHORIZATION,
    HTTP_RANGE,
    HTTP_IF_RANGE,
    HTTP_IF_MODIFIED_SINCE,
    HTTP_IF_UNMODIFIED_SINCE,
    HTTP_REFERER,
    HTTP_USER_AGENT,
    HTTP_ORIGIN,
    HTTP_EXPECT,
};

static bool index_fields(struct http_request *req, struct tarn_err *err)
{
    for (uint16_t i = req->n_fields; i-- > 0;) {
        struct http_field *f = &req->fields[i];
        f->next = req->known[f->known];
        req->known[f->known] = (uint16_t)(i + 1);
    }
    req->known[HTTP_OTHER] = 0;
    for (size_t i = 0; i < TARN_COUNT_OF(singles); i++) {
        uint16_t first = req->known[singles[i]];
        if (first != 0 && req->fields[first - 1].next != 0) {
            struct tarn_quote q;
            req->status = 400;
            return tarn_fail(err, TARN_E_POLICY, "reading a request: two fields '%s'",
                             tarn_quote(&q, http_text(req, req->fields[first - 1].name)));
        }
    }
    return true;
}

static bool judge_host(struct http_request *req, struct tarn_err *err)
{
    if (!http_has(req, HTTP_HOST))
        return req->minor == 0 || refuse(req, err, 400, "no Host");
    struct tarn_bytes value = http_value(req, HTTP_HOST);
    uint32_t host_len;
    uint16_t port;
    if (!http_authority_parse(value, &host_len, &port))
        return refuse(req, err, 400, "Host is not host[:port]");
    if (req->form == HTTP_FORM_ABSOLUTE || req->form == HTTP_FORM_AUTHORITY)
        return true; /* the target says it */
    req->authority = req->fields[req->known[HTTP_HOST] - 1].value;
    req->host = (struct http_span){ req->authority.at, host_len };
    req->port = port;
    return true;
}

/* The codings of all lines. `chunked` must be the last, and only once; we know no other. */
static bool judge_codings(struct http_request *req, struct tarn_err *err)
{
    unsigned n_chunked = 0, n_others = 0;
    bool is_last = false;
    struct http_values lines = http_values_of(req, HTTP_TRANSFER_ENCODING);
    struct tarn_bytes list, coding;
    while (http_values_next(&lines, &list)) {
        while (http_list_next(&list, &coding)) {
            is_last = http_is(coding, "chunked");
            n_chunked += is_last;
            n_others += !is_last;
            struct tarn_bytes params = coding;
            if (!http_is_token(http_trim(http_split(&params, ';'))) || http_is(coding, "identity"))
                return refuse(req, err, 400, "Transfer-Encoding is no list of codings");
        }
    }
    if (!is_last || n_chunked > 1)
        return refuse(req, err, 400, "Transfer-Encoding does not end with one chunked");
    if (n_others > 0)
        return refuse(req, err, 501, "Transfer-Encoding names another coding than chunked");
    req->body = HTTP_BODY_CHUNKED;
    return true;
}

static bool judge_body(struct http_request *req, struct tarn_err *err)
{
    bool has_length = http_has(req, HTTP_CONTENT_LENGTH);
    if (http_has(req, HTTP_TRANSFER_ENCODING)) {
        if (req->minor == 0)
            return refuse(req, err, 400, "Transfer-Encoding in HTTP/1.0");
        if (has_length)
            return refuse(req, err, 400, "Transfer-Encoding and Content-Length");
        return judge_codings(req, err);
    }
    if (!has_length)
        return true;
    if (!tarn_parse_u64(http_value(req, HTTP_CONTENT_LENGTH), INT64_MAX, &req->body_len))
        return refuse(req, err, 400, "Content-Length is no number below 2^63");
    req->body = req->body_len > 0 ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
    return true;
}

static void judge_connection(struct http_request *req)
{
    bool is_close = false, is_keep = false;
    struct http_values lines = http_values_of(req, HTTP_CONNECTION);
    struct tarn_bytes list, option;
    while (http_values_next(&lines, &list)) {
        while (http_list_next(&list, &option)) {
            is_close |= http_is(option, "close");
            is_keep |= http_is(option, "keep-alive");
        }
    }
    req->keeps = !is_close && (req->minor > 0 || is_keep);
}

static bool judge_expect(struct http_request *req, struct tarn_err *err)
{
    if (!http_has(req, HTTP_EXPECT) || req->minor == 0)
        return true;
    if (!http_is(http_value(req, HTTP_EXPECT), "100-continue"))
        return refuse(req, err, 417, "Expect asks for something else than 100-continue");
    req->is_continue_wanted = req->body != HTTP_BODY_NONE;
    return true;
}

bool http_fields_judge(struct http_request *req, struct tarn_err *err)
{
    if (!index_fields(req, err) || !judge_host(req, err) || !judge_body(req, err) ||
        !judge_expect(req, err))
        return false;
    judge_connection(req);
    return true;
}
