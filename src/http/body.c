/* http/body: bodies of requests: read whole for who asks, else dropped, up to a limit. */
#include "http/priv.h"

#include "base/num.h"

#include <stdio.h>

bool body_wants(const struct exchange *x)
{
    return x->body_state == BODY_READING || x->body_state == BODY_DROPPED;
}

/* A client that waits for our 100 may send the body or not: nobody could tell what follows. */
bool body_can_be_dropped(const struct exchange *x)
{
    if (x->body_state == BODY_OVER)
        return true;
    if (x->req.is_continue_wanted && !x->is_continued && !x->is_body_there)
        return false;
    uint64_t most = x->conn->server->set.max_unread;
    return x->req.body != HTTP_BODY_LENGTH || x->body.left <= most;
}

static void refuse(struct exchange *x, unsigned status, const char *detail)
{
    x->body_state = BODY_OVER;
    x->conn->is_closing = true;
    count(&x->conn->server->n.refused, 1);
    if (x->answer == ANSWER_NONE)
        answer_error(x, status, detail, NULL, 0, true);
    else if (x->answer == ANSWER_STREAM)
        conn_doom(x->conn);
}

static void refuse_length(struct exchange *x)
{
    char detail[120];
    snprintf(detail, sizeof detail, "The request's body is longer than the %zu bytes taken here.",
             x->content_limit);
    refuse(x, 413, detail);
}

static void take(struct exchange *x, struct tarn_bytes data)
{
    const struct http_settings *set = &x->conn->server->set;
    if (x->body_state == BODY_DROPPED) {
        if (x->body.content > set->max_unread)
            refuse(x, 413, NULL); /* answered already: the connection ends */
        return;
    }
    if (x->body.content > x->content_limit) {
        refuse_length(x);
        return;
    }
    tarn_out_put(&x->content, data);
    if (!tarn_out_ok(&x->content))
        refuse(x, 503, "The server has no memory for the request's body now.");
}

static void complete(struct exchange *x)
{
    bool is_awaited = x->body_state == BODY_READING;
    x->body_state = BODY_OVER;
    if (is_awaited && x->answer == ANSWER_NONE)
        x->content_done(&x->pub, tarn_out_bytes(&x->content));
}

void body_take(struct exchange *x, struct tarn_cur *in)
{
    while (body_wants(x)) {
        struct tarn_bytes data;
        struct tarn_err err;
        switch (http_body_next(&x->body, &x->conn->server->limits, in, &data, &err)) {
        case HTTP_MORE:
            return;
        case HTTP_DATA:
            take(x, data);
            break;
        case HTTP_DONE:
            complete(x);
            return;
        case HTTP_BAD:
            refuse(x, x->body.status, err.msg);
            return;
        }
    }
}

void http_body_read(struct http_exchange *pub, size_t limit,
                    void (*done)(struct http_exchange *x, struct tarn_bytes body))
{
    struct exchange *x = exchange_of(pub);
    if (x->answer != ANSWER_NONE || x->content_done != NULL)
        return;
    x->content_limit = limit;
    x->content_done = done;
    tarn_out_init(&x->content, limit);
    if (x->req.body == HTTP_BODY_LENGTH && x->req.body_len > limit) {
        refuse_length(x);
        return;
    }
    x->body_state = BODY_READING;
    if (x->req.is_continue_wanted && !x->is_body_there) {
        http_reply_continue(loop_stream_out(&x->conn->stream));
        x->is_continued = true;
    }
    conn_kick(x->conn);
}
