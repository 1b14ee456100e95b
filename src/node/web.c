/* node/web: what the web door answers. Only GET, HEAD and OPTIONS; nothing of the node's inside. */
#include "http/core/target.h"
#include "node/doors.h"
#include "node/parts.h"

enum { PATH_LEN_MAX = 8 << 10 };

static void answer_health(struct http_exchange *x)
{
    struct http_answer a = { .status = 200, .type = "text/plain", .cache = "no-store" };
    http_answer_bytes(x, &a, tarn_bytes_str("ok\n"));
}

static void on_request(void *arg, struct http_exchange *x)
{
    struct tarn_err err;
    struct tarn_out path;
    (void)arg;
    if (http_refuse_method(x,
                           HTTP_ALLOW(HTTP_GET) | HTTP_ALLOW(HTTP_HEAD) | HTTP_ALLOW(HTTP_OPTIONS)))
        return;
    tarn_out_init(&path, PATH_LEN_MAX);
    if (!http_path_plain(&path, http_text(x->request, x->request->path), &err))
        http_answer_error(x, 400, err.msg, NULL, 0);
    else if (tarn_bytes_eq_str(tarn_out_bytes(&path), "/healthz"))
        answer_health(x);
    else
        http_answer_error(x, 404, "nothing is published here", NULL, 0);
    tarn_out_release(&path);
}

static void on_trouble(void *arg, const struct tarn_err *err)
{
    struct node_web *w = arg;
    node_log_err(w->node->log, NODE_WARNING, "http", err);
}

const struct http_ops node_web_ops = { .on_request = on_request, .on_trouble = on_trouble };

bool node_web_open(struct node_web *w, struct tarn_err *err)
{
    (void)w, (void)err; /* nothing of its own is needed so far */
    return true;
}

void node_web_close(struct node_web *w)
{
    (void)w;
}
