/* http/pages: what a person reads when a request fails: HTML, JSON for programs that ask for it, or
 * plain text. */
#include "http/priv.h"

#include "codec/html.h"
#include "codec/json.h"
#include "http/core/accept.h"

static void put_text(struct tarn_out *page, unsigned status, const char *title, const char *detail)
{
    tarn_out_fmt(page, "%u %s\n", status, title);
    if (detail != NULL)
        tarn_out_fmt(page, "%s\n", detail);
}

static void put_html(struct tarn_out *page, unsigned status, const char *title, const char *detail)
{
    tarn_out_fmt(page,
                 "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
                 "<meta name=\"viewport\" content=\"width=device-width\">"
                 "<title>%u %s</title>\n"
                 "<style>:root{color-scheme:light dark}" /* of the whole page: its ground too */
                 "body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;"
                 "margin:15vh auto;padding:0 1rem}</style>\n"
                 "<h1>%u %s</h1>\n",
                 status, title, status, title);
    if (detail == NULL)
        return;
    tarn_out_str(page, "<p>");
    html_text(page, tarn_bytes_str(detail));
    tarn_out_str(page, "</p>\n");
}

/* Which code of tarn/err.h says the same as a status of an error: docs/api.md. */
static enum tarn_code code_of(unsigned status)
{
    switch (status) {
    case 401:
    case 403:
    case 409:
    case 412:
    case 429:
        return TARN_E_POLICY;
    case 404:
    case 410:
        return TARN_E_NOT_FOUND;
    case 408:
    case 502:
    case 504:
        return TARN_E_NETWORK;
    case 422:
        return TARN_E_INTEGRITY;
    case 503:
        return TARN_E_DAEMON;
    case 507:
        return TARN_E_NO_SPACE;
    default:
        return status < 500 || status == 501 || status == 505 ? TARN_E_USAGE : TARN_E_FAILED;
    }
}

void http_problem(struct tarn_out *page, unsigned status, enum tarn_code code, const char *detail)
{
    struct json j;
    json_init(&j, page);
    json_open_object(&j);
    json_put_str(&j, "type", "about:blank");
    json_put_str(&j, "title", http_status_text(status));
    json_put_u64(&j, "status", status);
    if (detail != NULL)
        json_put_str(&j, "detail", detail);
    if (status >= 400) {
        json_put_str(&j, "code", tarn_code_name(code));
        json_put_u64(&j, "exit", (uint64_t)tarn_code_exit(code));
    }
    json_close_object(&j);
    tarn_out_u8(page, '\n');
}

void page_error(const struct http_request *req, bool is_json, unsigned status, const char *detail,
                struct tarn_out *page, const char **type)
{
    /* In our order: for who takes anything (curl) plain text is best. Browsers name HTML. */
    static const char *const names[] = { "text/plain", "text/html", HTTP_PROBLEM_TYPE,
                                         "application/json" };
    static const char *const types[] = { "text/plain; charset=utf-8", "text/html; charset=utf-8",
                                         HTTP_PROBLEM_TYPE, HTTP_PROBLEM_TYPE };
    const char *title = http_status_text(status);
    int best = is_json ? 2 : http_accept_type(req, names, TARN_COUNT_OF(names));
    *type = types[best < 0 ? 0 : best];
    if (best == 1)
        put_html(page, status, title, detail);
    else if (best >= 2)
        http_problem(page, status, code_of(status), detail);
    else
        put_text(page, status, title, detail);
}
