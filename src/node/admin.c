/* node/admin: what the admin door answers: the control API (docs/api.md). */
#include "codec/json.h"
#include "http/core/target.h"
#include "node/parts.h"
#include "sys/clock.h"

enum { PATH_LEN_MAX = 8 << 10, ANSWER_MAX = 1 << 20 };

/* ---- errors: problem details (RFC 9457) with our code ---- */

static unsigned status_of(enum tarn_code code)
{
    switch (code) {
    case TARN_E_USAGE:
        return 400;
    case TARN_E_NOT_FOUND:
        return 404;
    case TARN_E_POLICY:
        return 403;
    case TARN_E_INTEGRITY:
        return 422;
    case TARN_E_NETWORK:
        return 502;
    case TARN_E_NO_SPACE:
        return 507;
    case TARN_E_DAEMON:
        return 503;
    default:
        return 500;
    }
}

static void answer_problem(struct http_exchange *x, const struct tarn_err *err)
{
    struct json j;
    struct tarn_out o;
    struct http_answer a = { .status = status_of(err->code),
                             .type = "application/problem+json",
                             .cache = "no-store" };
    tarn_out_init(&o, ANSWER_MAX);
    json_init(&j, &o);
    json_open_object(&j);
    json_put_str(&j, "type", "about:blank");
    json_put_u64(&j, "status", a.status);
    json_put_str(&j, "detail", err->msg);
    json_put_str(&j, "code", tarn_code_name(err->code));
    json_put_u64(&j, "exit", (uint64_t)tarn_code_exit(err->code));
    json_close_object(&j);
    tarn_out_u8(&o, '\n');
    http_answer_bytes(x, &a, tarn_out_bytes(&o));
    tarn_out_release(&o);
}

/* ---- GET /v1/status ---- */

static void put_http(struct json *j, const struct node *n)
{
    struct http_counters web, admin;
    uint64_t requests = 0;
    node_doors_counters(n, &web, &admin);
    for (size_t i = 1; i < TARN_COUNT_OF(web.requests); i++)
        requests += web.requests[i];
    json_key(j, "http");
    json_open_object(j);
    json_key(j, "urls");
    json_open_array(j);
    if (n->public_url != NULL)
        json_str(j, tarn_bytes_str(n->public_url));
    json_close_array(j);
    json_put_u64(j, "loops", n->doors.n_webs);
    json_put_u64(j, "connections", web.connections);
    json_put_u64(j, "requests", requests);
    json_put_u64(j, "bytes_sent", web.sent);
    json_close_object(j);
}

static void put_faults(struct json *j, const struct node *n)
{
    json_key(j, "faults");
    json_open_array(j);
    for (size_t i = 0; i < n->n_faults; i++) {
        json_open_object(j);
        json_put_str(j, "about", n->faults[i].about);
        json_put_str(j, "message", n->faults[i].text);
        json_key(j, "since_ms");
        json_i64(j, n->faults[i].since_ms);
        json_close_object(j);
    }
    json_close_array(j);
}

static void answer_status(struct http_exchange *x, const struct node *n)
{
    static const char *const states[] = { "starting", "running", "stopping", "stopped" };
    struct json j;
    struct tarn_out o;
    struct http_answer a = { .status = 200, .type = "application/json", .cache = "no-store" };
    tarn_out_init(&o, ANSWER_MAX);
    json_init(&j, &o);
    json_open_object(&j);
    json_put_u64(&j, "v", 1);
    json_put_str(&j, "type", "status");
    json_put_str(&j, "version", n->set.version);
    json_put_u64(&j, "pid", sys_pid());
    json_put_str(&j, "state", states[n->state]);
    json_key(&j, "started_ms");
    json_i64(&j, n->started_ms);
    json_key(&j, "now_ms");
    json_i64(&j, sys_wall_ms());
    put_http(&j, n);
    put_faults(&j, n);
    json_close_object(&j);
    tarn_out_u8(&o, '\n');
    http_answer_bytes(x, &a, tarn_out_bytes(&o));
    tarn_out_release(&o);
}

/* ---- the door ---- */

static void on_request(void *arg, struct http_exchange *x)
{
    struct node *n = arg;
    struct tarn_err err;
    struct tarn_out path;
    tarn_out_init(&path, PATH_LEN_MAX);
    if (!x->peer->is_unix)
        http_answer_error(x, 401, "only the control socket is served", NULL, 0);
    else if (!http_path_plain(&path, http_text(x->request, x->request->path), &err))
        answer_problem(x, &err);
    else if (!tarn_bytes_eq_str(tarn_out_bytes(&path), "/v1/status")) {
        tarn_fail(&err, TARN_E_NOT_FOUND, "there is no such resource");
        answer_problem(x, &err);
    } else if (!http_refuse_method(x, HTTP_ALLOW(HTTP_GET) | HTTP_ALLOW(HTTP_HEAD)))
        answer_status(x, n);
    tarn_out_release(&path);
}

static void on_trouble(void *arg, const struct tarn_err *err)
{
    struct node *n = arg;
    node_log_err(n->log, NODE_WARNING, "admin", err);
}

const struct http_ops node_admin_ops = { .on_request = on_request, .on_trouble = on_trouble };

bool node_admin_open(struct node *n, struct tarn_err *err)
{
    (void)n, (void)err; /* nothing of its own is needed so far */
    return true;
}

void node_admin_close(struct node *n)
{
    (void)n;
}
