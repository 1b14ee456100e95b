/* http/exchange: exchanges begin and end. A few are kept for the next requests: their memory is the
 * server's, not a connection's, and an idle connection has none. */
#include "http/priv.h"

#include "base/mem.h"
#include "base/num.h"

struct exchange *exchange_spare(struct http_server *s)
{
    if (s->spare == NULL) {
        size_t len = sizeof(struct exchange) + s->limits.fields * sizeof(struct http_field);
        s->spare = tarn_realloc(NULL, len, 1);
        if (s->spare == NULL)
            return NULL;
        s->spare->next = NULL;
        s->n_spare = 1;
    }
    s->spare->req.fields = s->spare->fields;
    return s->spare;
}

struct exchange *exchange_begin(struct conn *c, const uint8_t *head, size_t len)
{
    struct http_server *s = c->server;
    struct exchange *x = s->spare;
    uint8_t *to = len <= sizeof x->head_room ? x->head_room : tarn_realloc(NULL, len, 1);
    if (to == NULL)
        return NULL;
    s->spare = x->next;
    s->n_spare--;
    memset(x, 0, offsetof(struct exchange, req));
    if (len > 0)
        memcpy(to, head, len);
    x->head = to;
    x->req.base = to;
    x->pub = (struct http_exchange){
        .server = s, .request = &x->req, .peer = &c->stream.peer, .is_tls = c->is_tls
    };
    x->conn = c;
    x->begun_us = loop_now_us(s->loop);
    x->body_state = x->req.body == HTTP_BODY_NONE ? BODY_OVER : BODY_UNREAD;
    http_body_init(&x->body, &x->req);
    c->current = x;
    return x;
}

bool exchange_is_short(const struct exchange *x)
{
    return x->answer == ANSWER_DONE && !x->is_guarded &&
           x->to - x->from <= x->conn->server->set.max_ahead_bytes;
}

/* Of the answer, what has gone. */
static uint64_t sent_of(const struct exchange *x)
{
    if (x->answer == ANSWER_NONE)
        return 0;
    if (exchange_is_short(x))
        return x->to - x->from; /* told of when it is queued */
    uint64_t to = x->conn->stream.sent;
    if (x->answer == ANSWER_DONE)
        to = tarn_min_u64(to, x->to);
    return to > x->from ? to - x->from : 0;
}

static void give_back(struct http_server *s, struct exchange *x)
{
    if (s->n_spare >= SPARES) {
        tarn_free(x);
        return;
    }
    x->next = s->spare;
    s->spare = x;
    s->n_spare++;
}

void exchange_over(struct exchange *x)
{
    struct http_server *s = x->conn->server;
    conn_count(x->conn);
    if (x->answer == ANSWER_NONE)
        count(&s->n.requests[0], 1);
    if (s->log != NULL)
        log_writer_add(s->log, x, sent_of(x));
    if (!x->is_internal && s->ops->on_over != NULL)
        s->ops->on_over(s->arg, &x->pub);
    server_let_go(s, x);
    if (x->head != x->head_room)
        tarn_free(x->head);
    tarn_out_release(&x->content);
    sys_file_unref(x->file);
    tarn_free(x->log_peer);
    tarn_free(x->log_user);
    tarn_free(x->log_target);
    give_back(s, x);
}

static void log_as(char **to, const char *text)
{
    tarn_free(*to);
    *to = text == NULL ? NULL : tarn_strndup(text, strnlen(text, LOG_TEXT_MAX));
}

void http_log_as(struct http_exchange *pub, const char *peer, const char *user, const char *target)
{
    struct exchange *x = exchange_of(pub);
    log_as(&x->log_peer, peer);
    log_as(&x->log_user, user);
    log_as(&x->log_target, target);
}

bool http_peer_user(const struct http_exchange *x, unsigned *uid, unsigned *gid)
{
    const struct conn *c = ((const struct exchange *)(const void *)x)->conn;
    return x->peer->is_unix && sys_peer_user(c->stream.watch.fd, uid, gid);
}
