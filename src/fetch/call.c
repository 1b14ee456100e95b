/* fetch/call: see the header. */
#include "fetch/call.h"

#include <curl/curl.h>
#include <stdio.h>
#include <strings.h>

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct fetch_call *c = arg;
    if (c->on_bytes == NULL || c->on_bytes(c->arg, c, tarn_bytes_of(p, size * n)))
        return size * n;
    c->has_stopped = true;
    return CURL_WRITEFUNC_ERROR;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    static const char problem[] = "content-type: application/problem+json";
    struct fetch_call *c = arg;
    int status;
    if (size * n > 9 && memcmp(p, "HTTP/1.", 7) == 0 && sscanf(p + 8, "%d", &status) == 1)
        c->status = status;
    if (size * n >= sizeof problem - 1 && strncasecmp(p, problem, sizeof problem - 1) == 0)
        c->is_problem = true;
    return size * n;
}

static int on_time(void *arg, curl_off_t to_come, curl_off_t came, curl_off_t to_go,
                   curl_off_t went)
{
    const struct fetch_call *c = arg;
    (void)to_come, (void)came, (void)to_go, (void)went;
    return c->goes_on != NULL && !c->goes_on(c->arg);
}

/* What curl refuses here it would refuse always: options that this build of it lacks. */
static bool set_up(CURL *curl, struct fetch_call *c, struct curl_slist *fields, const char *url,
                   char *why)
{
    unsigned silence = c->silence_s == 0 ? FETCH_CALL_SILENCE_S : c->silence_s;
    bool ok =
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->socket) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_USERAGENT, c->agent) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)FETCH_CALL_CONNECT_MS) ==
            CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)silence) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, c) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_HEADERDATA, c) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_time) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, c) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields) == CURLE_OK;
    if (c->body.len > 0)
        ok = ok && curl_easy_setopt(curl, CURLOPT_POSTFIELDS, c->body.p) == CURLE_OK &&
             curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.len) ==
                 CURLE_OK;
    else if (strcmp(c->method, "POST") == 0)
        ok = ok && curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK &&
             curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L) == CURLE_OK;
    return ok && curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, c->method) == CURLE_OK;
}

static bool fail(const struct fetch_call *c, CURLcode code, const char *why, struct tarn_err *err)
{
    struct tarn_quote q, words;
    tarn_quote_str(&q, c->socket);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return tarn_fail(err, TARN_E_DAEMON, "the node at %s does not answer", q.s);
    if (code == CURLE_COULDNT_CONNECT)
        return tarn_fail(err, TARN_E_DAEMON, "no node answers at %s", q.s);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return tarn_fail(err, TARN_E_CANCELED, "stopped before the node at %s had answered", q.s);
    if (code == CURLE_PARTIAL_FILE || (c->status != 0 && code == CURLE_RECV_ERROR))
        return tarn_fail(err, TARN_E_DAEMON, "the node at %s went away in the middle of its answer",
                         q.s);
    if (code == CURLE_OUT_OF_MEMORY)
        return tarn_fail_mem(err, "asking the node");
    return tarn_fail(err, TARN_E_DAEMON, "asking the node at %s: %s", q.s,
                     tarn_quote_str(&words, *why != '\0' ? why : curl_easy_strerror(code)));
}

static bool perform(CURL *curl, struct fetch_call *c, struct curl_slist *fields,
                    struct tarn_err *err)
{
    char why[CURL_ERROR_SIZE] = "";
    char url[FETCH_CALL_TARGET_MAX + 16];
    if (strlen(c->target) > FETCH_CALL_TARGET_MAX)
        return tarn_fail(err, TARN_E_USAGE, "asking the node: that is too long (%zu bytes)",
                         strlen(c->target));
    snprintf(url, sizeof url, "http://tarn%s", c->target);
    if (!set_up(curl, c, fields, url, why))
        return tarn_fail(err, TARN_E_FAILED, "asking the node: libcurl cannot do it");
    CURLcode code = curl_easy_perform(curl);
    return code == CURLE_OK || c->has_stopped || fail(c, code, why, err);
}

bool fetch_call(struct fetch_call *c, struct tarn_err *err)
{
    CURL *curl = curl_easy_init();
    struct curl_slist *fields = curl_slist_append(NULL, "Content-Type: application/json");
    c->status = 0;
    c->is_problem = c->has_stopped = false;
    bool ok = curl != NULL && fields != NULL ? perform(curl, c, fields, err)
                                             : tarn_fail_mem(err, "asking the node");
    curl_slist_free_all(fields);
    curl_easy_cleanup(curl);
    return ok;
}
