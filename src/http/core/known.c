/* Names with numbers: fields, methods. A field's candidates are found by the length of its name: at
 * most a few have the same. */
#include "http/core/priv.h"

enum {
    NAME_MAX = 25,   /* the longest known name */
    SAME_LEN_MAX = 6 /* known names of one length, and one for the end */
};

static const char *const names[HTTP_KNOWN_COUNT] = {
    [HTTP_HOST] = "host",
    [HTTP_CONTENT_LENGTH] = "content-length",
    [HTTP_TRANSFER_ENCODING] = "transfer-encoding",
    [HTTP_CONNECTION] = "connection",
    [HTTP_EXPECT] = "expect",
    [HTTP_UPGRADE] = "upgrade",
    [HTTP_TE] = "te",
    [HTTP_TRAILER] = "trailer",
    [HTTP_KEEP_ALIVE] = "keep-alive",
    [HTTP_RANGE] = "range",
    [HTTP_IF_RANGE] = "if-range",
    [HTTP_IF_MATCH] = "if-match",
    [HTTP_IF_NONE_MATCH] = "if-none-match",
    [HTTP_IF_MODIFIED_SINCE] = "if-modified-since",
    [HTTP_IF_UNMODIFIED_SINCE] = "if-unmodified-since",
    [HTTP_ACCEPT] = "accept",
    [HTTP_ACCEPT_ENCODING] = "accept-encoding",
    [HTTP_ACCEPT_LANGUAGE] = "accept-language",
    [HTTP_CONTENT_TYPE] = "content-type",
    [HTTP_CONTENT_ENCODING] = "content-encoding",
    [HTTP_CONTENT_RANGE] = "content-range",
    [HTTP_CACHE_CONTROL] = "cache-control",
    [HTTP_AUTHORIZATION] = "authorization",
    [HTTP_COOKIE] = "cookie",
    [HTTP_ORIGIN] = "origin",
    [HTTP_REFERER] = "referer",
    [HTTP_USER_AGENT] = "user-agent",
    [HTTP_LAST_EVENT_ID] = "last-event-id",
    [HTTP_X_FORWARDED_FOR] = "x-forwarded-for",
    [HTTP_X_TRANSMISSION_SESSION_ID] = "x-transmission-session-id",
    [HTTP_SET_COOKIE] = "set-cookie",
    [HTTP_DATE] = "date",
    [HTTP_PROXY_CONNECTION] = "proxy-connection",
    [HTTP_PROXY_AUTHENTICATE] = "proxy-authenticate",
    [HTTP_PROXY_AUTHORIZATION] = "proxy-authorization",
};

/* A zero ends each row. */
static const uint8_t by_len[NAME_MAX + 1][SAME_LEN_MAX] = {
    [2] = { HTTP_TE },
    [4] = { HTTP_HOST, HTTP_DATE },
    [5] = { HTTP_RANGE },
    [6] = { HTTP_ACCEPT, HTTP_COOKIE, HTTP_ORIGIN, HTTP_EXPECT },
    [7] = { HTTP_REFERER, HTTP_UPGRADE, HTTP_TRAILER },
    [8] = { HTTP_IF_RANGE, HTTP_IF_MATCH },
    [10] = { HTTP_CONNECTION, HTTP_USER_AGENT, HTTP_KEEP_ALIVE, HTTP_SET_COOKIE },
    [12] = { HTTP_CONTENT_TYPE },
    [13] = { HTTP_CACHE_CONTROL, HTTP_IF_NONE_MATCH, HTTP_AUTHORIZATION, HTTP_LAST_EVENT_ID,
             HTTP_CONTENT_RANGE },
    [14] = { HTTP_CONTENT_LENGTH },
    [15] = { HTTP_ACCEPT_ENCODING, HTTP_ACCEPT_LANGUAGE, HTTP_X_FORWARDED_FOR },
    [16] = { HTTP_CONTENT_ENCODING, HTTP_PROXY_CONNECTION },
    [17] = { HTTP_IF_MODIFIED_SINCE, HTTP_TRANSFER_ENCODING },
    [18] = { HTTP_PROXY_AUTHENTICATE },
    [19] = { HTTP_IF_UNMODIFIED_SINCE, HTTP_PROXY_AUTHORIZATION },
    [25] = { HTTP_X_TRANSMISSION_SESSION_ID },
};

enum http_known http_known_find(struct tarn_bytes name)
{
    if (name.len > NAME_MAX)
        return HTTP_OTHER;
    for (const uint8_t *k = by_len[name.len]; *k != HTTP_OTHER; k++)
        if (http_is(name, names[*k]))
            return *k;
    return HTTP_OTHER;
}

bool http_known_is_hop(enum http_known known)
{
    switch (known) {
    case HTTP_CONNECTION:
    case HTTP_KEEP_ALIVE:
    case HTTP_PROXY_CONNECTION:
    case HTTP_TE:
    case HTTP_TRAILER:
    case HTTP_TRANSFER_ENCODING:
    case HTTP_UPGRADE:
        return true;
    default:
        return false;
    }
}

static const char *const methods[HTTP_METHOD_COUNT] = {
    [HTTP_UNKNOWN] = "",        [HTTP_GET] = "GET",     [HTTP_HEAD] = "HEAD",
    [HTTP_OPTIONS] = "OPTIONS", [HTTP_POST] = "POST",   [HTTP_PUT] = "PUT",
    [HTTP_DELETE] = "DELETE",   [HTTP_PATCH] = "PATCH", [HTTP_TRACE] = "TRACE",
    [HTTP_CONNECT] = "CONNECT",
};

enum http_method http_method_find(struct tarn_bytes name)
{
    for (unsigned m = HTTP_GET; m < HTTP_METHOD_COUNT; m++)
        if (tarn_bytes_eq_str(name, methods[m]))
            return m;
    return HTTP_UNKNOWN;
}

const char *http_method_name(enum http_method method)
{
    return methods[method];
}

unsigned http_method_refusal(enum http_method method, unsigned allowed)
{
    if (method == HTTP_UNKNOWN)
        return 501;
    return (allowed & HTTP_ALLOW(method)) != 0 ? 0 : 405;
}

bool http_find(const struct http_request *req, const char *name, struct tarn_bytes *value)
{
    struct tarn_bytes wanted = tarn_bytes_str(name);
    for (uint16_t i = 0; i < req->n_fields; i++) {
        struct tarn_bytes found = http_text(req, req->fields[i].name);
        size_t k = 0;
        while (found.len == wanted.len && k < found.len &&
               http_lower(found.p[k]) == http_lower(wanted.p[k]))
            k++;
        if (k == wanted.len && found.len == wanted.len) {
            *value = http_text(req, req->fields[i].value);
            return true;
        }
    }
    return false;
}
