/* http/conn: a connection: requests out of bytes, one after the other, and its end.
 *
 * All that happens to a connection ends in conn_look or on_bytes: both work off what can be (step),
 * then see what it waits for now (settle), and put it at the end of that list. So every list is in
 * the order of time, and one timer serves all connections.
 *
 * The end: when the last answer has left we say so (shutdown), and read what still comes until the
 * client closes too: close() with unread bytes would send a reset, which destroys what the client
 * has not read yet (RFC 9112 section 9.6). */
#include "http/priv.h"

#include "base/mem.h"
#include "base/num.h"

#include <assert.h>

static void unlist(struct conn *c)
{
    tarn_list_remove(&c->node);
    if (c->waits == WAITS_IDLE || c->waits == WAITS_FIRST)
        count(&c->server->n.idle, (uint64_t)-1);
}

static void stand(struct conn *c, enum waits waits)
{
    struct http_server *s = c->server;
    bool is_again = c->waits == (uint8_t)waits && !c->is_anew;
    unlist(c);
    c->waits = (uint8_t)waits;
    c->since_us = loop_now_us(s->loop);
    if (waits == WAITS_BODY) /* what came with the head counts too */
        c->mark = is_again ? c->current->body.content : 0;
    else
        c->mark = c->stream.sent;
    c->is_anew = false;
    tarn_list_push_back(&s->lists[waits], &c->node);
    if (waits == WAITS_IDLE || waits == WAITS_FIRST)
        count(&s->n.idle, 1);
    if (waits < WAITS_OWNER)
        server_wake_at(s, c->since_us + conn_patience_us(s, waits));
}

void conn_doom(struct conn *c)
{
    if (c->waits == WAITS_DOOM)
        return;
    stand(c, WAITS_DOOM);
    loop_idle_set(c->server->loop, &c->server->idle);
}

void conn_kick(struct conn *c)
{
    if (!c->is_working && !tarn_list_is_in(&c->kick))
        tarn_list_push_back(&c->server->kicked, &c->kick);
    loop_idle_set(c->server->loop, &c->server->idle);
}

void conn_count(struct conn *c)
{
    struct http_server *s = c->server;
    count(&s->n.received, c->stream.received - c->told_received);
    count(&s->n.sent, c->stream.sent - c->told_sent);
    c->told_received = c->stream.received;
    c->told_sent = c->stream.sent;
}

void conn_free(struct conn *c)
{
    struct http_server *s = c->server;
    conn_count(c);
    struct exchange *x;
    while ((x = c->leaving) != NULL) {
        c->leaving = x->next;
        exchange_over(x);
    }
    if (c->current != NULL)
        exchange_over(c->current);
    loop_stream_release(&c->stream);
    unlist(c);
    tarn_list_remove(&c->kick);
    tarn_free(c);
    server_conn_gone(s);
}

static bool is_late_by_bytes(const struct http_server *s, const struct conn *c)
{
    uint64_t least = (uint64_t)s->set.min_body_rate * (uint64_t)s->set.body_ms / 1000;
    return c->current->body.content - c->mark < least;
}

int64_t conn_patience_us(const struct http_server *s, enum waits waits)
{
    int64_t idle =
        s->is_draining ? tarn_min_i64(s->set.idle_ms, s->set.drain_idle_ms) : s->set.idle_ms;
    switch (waits) {
    case WAITS_FIRST:
        return tarn_min_i64(s->set.head_ms, idle) * 1000;
    case WAITS_HEAD:
        return s->set.head_ms * 1000;
    case WAITS_IDLE:
        return idle * 1000;
    case WAITS_BODY:
        return s->set.body_ms * 1000;
    case WAITS_WRITE:
        return s->set.write_ms * 1000;
    case WAITS_LINGER:
        return s->set.linger_ms * 1000;
    case WAITS_OWNER:
    case WAITS_DOOM:
    case WAITS_COUNT:
        break;
    }
    return INT64_MAX / 2;
}

/* Its answer is queued and its body is out of the way. Bytes of a file are its own until they have
 * left; a long answer is told of, and logged, when it has left too. */
static void finish_current(struct conn *c)
{
    struct exchange *x = c->current;
    c->current = NULL;
    c->is_closing = c->is_closing || !x->keeps;
    c->is_anew = true;
    if (exchange_is_short(x) || c->stream.sent >= x->to) {
        exchange_over(x);
        return;
    }
    if (c->leaving == NULL)
        c->leaving = x;
    else
        c->leaving_last->next = x;
    c->leaving_last = x;
}

/* What cannot be read as a request. Nothing behind it is looked at. */
static void refuse(struct conn *c, const struct tarn_cur *in, const struct tarn_err *err)
{
    struct http_server *s = c->server;
    struct http_request *req = &s->spare->req;
    unsigned status = req->status;
    memset(req->known, 0, sizeof req->known);
    req->n_fields = 0;
    struct tarn_bytes seen = tarn_cur_rest(in);
    size_t len = tarn_min_size(seen.len, (size_t)req->line.at + req->line.len);
    struct exchange *x = exchange_begin(c, seen.p, len);
    if (x == NULL) {
        conn_doom(c);
        return;
    }
    count(&s->n.refused, 1);
    x->is_internal = true;
    answer_error(x, status, err->msg, NULL, 0, true);
}

static void ask(struct conn *c, struct exchange *x)
{
    struct http_server *s = c->server;
    c->has_asked = true;
    s->ops->on_request(s->arg, &x->pub);
}

/* False: nothing more can be made of what is there. */
static bool next_request(struct conn *c, struct tarn_cur *in)
{
    struct http_server *s = c->server;
    struct exchange *x = exchange_spare(s);
    if (x == NULL) {
        conn_doom(c);
        return false;
    }
    struct tarn_err err;
    struct tarn_bytes all = tarn_cur_rest(in);
    switch (http_head_next(&c->scan, &s->limits, all, &x->req, &err)) {
    case HTTP_MORE:
        return false;
    case HTTP_BAD:
        refuse(c, in, &err);
        return true;
    case HTTP_DATA: /* not of heads */
    case HTTP_DONE:
        break;
    }
    x = exchange_begin(c, all.p, x->req.head_len);
    if (x == NULL) {
        conn_doom(c);
        return false;
    }
    (void)tarn_cur_take(in, x->req.head_len);
    x->is_body_there = tarn_cur_left(in) > 0;
    ask(c, x);
    return true;
}

static bool has_enough_queued(struct conn *c)
{
    const struct http_settings *set = &c->server->set;
    return c->ahead >= set->max_ahead || loop_stream_queued(&c->stream) >= set->max_ahead_bytes;
}

static bool drop(struct tarn_cur *in)
{
    in->p = in->end;
    return false;
}

/* One thing that can be done with the bytes that are there. False: there is none. */
static bool step(struct conn *c, struct tarn_cur *in)
{
    struct exchange *x = c->current;
    if (c->waits == WAITS_DOOM || c->waits == WAITS_LINGER)
        return drop(in);
    if (x != NULL) {
        body_take(x, in);
        if (x->answer != ANSWER_DONE || x->body_state != BODY_OVER)
            return false;
        finish_current(c);
        return true;
    }
    if (c->is_closing)
        return drop(in);
    return tarn_cur_left(in) > 0 && !has_enough_queued(c) && next_request(c, in);
}

static void work(struct conn *c, struct tarn_cur *in)
{
    c->is_working = true;
    while (step(c, in))
        ;
    c->is_working = false;
}

static bool wants_bytes(struct conn *c)
{
    if (c->current != NULL)
        return body_wants(c->current);
    return !has_enough_queued(c);
}

static enum waits waits_now(struct conn *c)
{
    bool is_queued = loop_stream_queued(&c->stream) > 0;
    if (c->current != NULL && body_wants(c->current))
        return WAITS_BODY;
    if (is_queued || c->leaving != NULL)
        return WAITS_WRITE;
    if (c->current != NULL)
        return WAITS_OWNER;
    if (http_scan_begun(&c->scan))
        return WAITS_HEAD;
    return c->has_asked ? WAITS_IDLE : WAITS_FIRST;
}

/* All has left: wait for the client to close, so that he gets it. */
static void linger(struct conn *c)
{
    loop_stream_finish(&c->stream);
    if (c->stream.has_finished)
        conn_doom(c);
    else
        stand(c, WAITS_LINGER);
}

/* What does it wait for now? */
static void settle(struct conn *c)
{
    if (c->waits == WAITS_DOOM || c->waits == WAITS_LINGER)
        return;
    enum waits now = waits_now(c);
    if (c->is_closing && c->current == NULL && now != WAITS_WRITE)
        linger(c);
    else if (now != c->waits || c->is_anew)
        stand(c, now);
}

static void resume(struct conn *c)
{
    if (!c->is_paused || c->waits == WAITS_DOOM)
        return;
    if (!c->is_closing && !wants_bytes(c))
        return;
    c->is_paused = false;
    loop_stream_resume(&c->stream);
}

void conn_look(struct conn *c)
{
    struct tarn_cur none = tarn_cur_of(tarn_bytes_of("", 0));
    work(c, &none);
    settle(c);
    resume(c);
}

/* Bytes that cannot be used yet stay with the stream, and no more are received. */
static void on_bytes(struct loop_stream *stream, size_t placed, struct tarn_cur *in)
{
    struct conn *c = TARN_OUTER(stream, struct conn, stream);
    (void)placed;
    work(c, in);
    settle(c);
    if (tarn_cur_left(in) > 0 && !wants_bytes(c)) {
        c->is_paused = true;
        loop_stream_pause(stream);
    }
}

static void on_drain(struct loop_stream *stream)
{
    struct conn *c = TARN_OUTER(stream, struct conn, stream);
    struct exchange *x;
    while ((x = c->leaving) != NULL && stream->sent >= x->to) {
        c->leaving = x->next;
        exchange_over(x);
    }
    if (stream->queued == 0)
        c->ahead = 0;
    x = c->current;
    if (x != NULL && x->answer == ANSWER_DONE && stream->sent >= x->to)
        server_let_go(c->server, x); /* its body is still to come */
    if (x != NULL && x->answer == ANSWER_STREAM && x->on_drain != NULL)
        x->on_drain(&x->pub);
    conn_look(c);
}

/* The client has sent all that he will, and may still read. */
static bool on_finish(struct loop_stream *stream)
{
    struct conn *c = TARN_OUTER(stream, struct conn, stream);
    bool is_body_cut = c->current != NULL && body_wants(c->current);
    bool has_more = c->current != NULL || loop_stream_queued(stream) > 0;
    if (is_body_cut || !has_more || c->waits == WAITS_DOOM)
        return false;
    c->is_closing = true;
    return true;
}

static void on_end(struct loop_stream *stream, const struct tarn_err *err)
{
    struct conn *c = TARN_OUTER(stream, struct conn, stream);
    if (err->code == TARN_E_INTEGRITY)
        count(&c->server->n.cut, 1);
    const struct crypt_tls_conn *tls = loop_stream_tls(stream);
    if (tls != NULL && !crypt_tls_is_open(tls))
        count(&c->server->n.tls_failed, 1);
    conn_free(c);
}

static const struct loop_stream_ops stream_ops = {
    .is_bulk = true,
    .on_bytes = on_bytes,
    .on_drain = on_drain,
    .on_finish = on_finish,
    .on_end = on_end,
};

bool conn_new(struct http_server *s, int fd, const struct sys_addr *peer, struct crypt_tls *tls,
              struct tarn_err *err)
{
    struct conn *c = tarn_calloc(1, sizeof *c);
    if (c == NULL) {
        sys_close(&fd);
        return tarn_fail_mem(err, "taking a connection");
    }
    bool ok = tls == NULL
                  ? loop_stream_accept(&c->stream, s->loop, &stream_ops, fd, peer, err)
                  : loop_stream_accept_tls(&c->stream, s->loop, &stream_ops, fd, peer, tls, err);
    if (!ok) {
        tarn_free(c);
        return false;
    }
    c->server = s;
    c->is_tls = tls != NULL;
    c->waits = WAITS_OWNER;
    s->n_conns++;
    count(&s->n.connections, 1);
    count(&s->n.accepted, 1);
    stand(c, WAITS_FIRST);
    return true;
}

/* Answer for the owner, or for what was never asked. */
static void late_answer(struct conn *c, const char *detail)
{
    struct exchange *x = c->current;
    if (x == NULL) {
        x = exchange_spare(c->server);
        if (x == NULL) {
            conn_doom(c);
            return;
        }
        x->req = (struct http_request){ .fields = x->fields };
        x = exchange_begin(c, NULL, 0); /* a head of no bytes: it cannot fail */
        x->is_internal = true;
        c->scan = (struct http_scan){ 0 };
    }
    if (x->answer == ANSWER_NONE)
        answer_error(x, 408, detail, NULL, 0, true);
    else
        conn_doom(c);
    conn_look(c);
}

void conn_late(struct conn *c)
{
    struct http_server *s = c->server;
    switch ((enum waits)c->waits) {
    case WAITS_HEAD:
        count(&s->n.timed_out[HTTP_LATE_HEAD], 1);
        late_answer(c, "The request's head took too long to arrive.");
        return;
    case WAITS_BODY:
        if (!is_late_by_bytes(s, c)) {
            stand(c, WAITS_BODY);
            return;
        }
        count(&s->n.timed_out[HTTP_LATE_BODY], 1);
        late_answer(c, "The request's body arrives too slowly.");
        return;
    case WAITS_WRITE:
        if (c->stream.sent != c->mark) {
            stand(c, WAITS_WRITE);
            return;
        }
        count(&s->n.timed_out[HTTP_LATE_WRITE], 1);
        break;
    case WAITS_FIRST:
    case WAITS_IDLE:
        count(&s->n.timed_out[HTTP_LATE_IDLE], 1);
        break;
    case WAITS_LINGER:
    case WAITS_OWNER:
    case WAITS_DOOM:
    case WAITS_COUNT:
        break;
    }
    conn_doom(c);
}
