/* http/answer: heads of answers, bodies from memory, and bodies that come bit by bit. All is
 * written into the queue of the connection's stream, which leaves in one write at the end of the
 * turn. */
#include "http/priv.h"

#include "base/num.h"
#include "http/core/cond.h"

#include <assert.h>

struct tarn_out *answer_begin(struct exchange *x, unsigned status)
{
    struct conn *c = x->conn;
    assert(x->answer == ANSWER_NONE);
    struct tarn_out *o = loop_stream_out(&c->stream);
    x->from = c->stream.sent + c->stream.queued;
    x->mark = o->len;
    x->answer = ANSWER_STREAM;
    x->pub.is_answered = true;
    x->status = (uint16_t)status;
    http_reply_begin(o, status, server_date(c->server));
    if (c->server->server_field != NULL)
        http_reply_raw(o, c->server->server_field);
    return o;
}

static bool field(struct tarn_out *o, const char *name, const char *value)
{
    return value == NULL || http_reply_field(o, tarn_bytes_str(name), tarn_bytes_str(value), NULL);
}

static bool extras(struct tarn_out *o, const struct http_extra *extras, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!http_reply_field(o, tarn_bytes_str(extras[i].name), extras[i].value, NULL))
            return false;
    return true;
}

bool answer_fields(struct tarn_out *o, const struct http_answer *a)
{
    return field(o, "Content-Type", a->type) && field(o, "Cache-Control", a->cache) &&
           field(o, "Vary", a->vary) && field(o, "ETag", a->etag) &&
           extras(o, a->extras, a->n_extras);
}

void answer_end_head(struct exchange *x, struct tarn_out *o, bool is_len_known, uint64_t len,
                     bool closes)
{
    struct conn *c = x->conn;
    enum http_framing framing = http_reply_framing(&x->req, x->status, is_len_known);
    bool tells = framing == HTTP_FRAME_LENGTH ||
                 (framing == HTTP_FRAME_SILENT && is_len_known && x->status != 304);
    if (tells)
        http_reply_length(o, len);
    x->keeps = x->req.keeps && !closes && !c->is_closing && !c->server->is_draining &&
               framing != HTTP_FRAME_CLOSE && body_can_be_dropped(x);
    x->is_silent = framing == HTTP_FRAME_NONE || framing == HTTP_FRAME_SILENT;
    x->is_chunked = framing == HTTP_FRAME_CHUNKED;
    http_reply_end(o, &x->req, framing, x->keeps);
}

void answer_done(struct exchange *x)
{
    struct conn *c = x->conn;
    x->answer = ANSWER_DONE;
    x->to = c->stream.sent + loop_stream_queued(&c->stream);
    if (x->body_state != BODY_OVER)
        x->body_state = x->keeps ? BODY_DROPPED : BODY_OVER;
    c->ahead++;
    count(&c->server->n.requests[x->status / 100], 1);
    if (!x->is_guarded && !exchange_is_short(x))
        server_hold(c->server, x); /* from now on, whatever of the request is yet to come */
    conn_kick(c);
}

void answer_instead(struct exchange *x, struct tarn_out *o, unsigned status, const char *detail)
{
    o->len = tarn_min_size(o->len, x->mark);
    x->answer = ANSWER_NONE;
    answer_error(x, status, detail, NULL, 0, false);
}

void answer_broken(struct exchange *x, struct tarn_out *o)
{
    answer_instead(x, o, 500, "The server made an answer that cannot be sent.");
}

void answer_error(struct exchange *x, unsigned status, const char *detail,
                  const struct http_extra *more, size_t n_more, bool closes)
{
    struct http_answer a = { .cache = "no-store", .extras = more, .n_extras = n_more };
    struct tarn_out page;
    bool is_json = x->conn->server->set.has_json_errors;
    tarn_out_init(&page, PAGE_MAX);
    page_error(&x->req, is_json, status, detail, &page, &a.type);
    a.vary = is_json ? NULL : "Accept";
    struct tarn_out *o = answer_begin(x, status);
    if (!answer_fields(o, &a)) {
        assert(status != 500 || n_more > 0); /* an error of ours needs no fields that can fail */
        answer_broken(x, o);
    } else {
        answer_end_head(x, o, true, page.len, closes);
        if (!x->is_silent)
            tarn_out_put(o, tarn_out_bytes(&page));
        answer_done(x);
    }
    tarn_out_release(&page);
}

void http_answer_error(struct http_exchange *pub, unsigned status, const char *detail,
                       const struct http_extra *more, size_t n_more)
{
    answer_error(exchange_of(pub), status, detail, more, n_more, false);
}

/* 304 and 412 by the etag of an answer that is made each time anew. True: answered. */
static bool answer_condition(struct exchange *x, const struct http_answer *a)
{
    if (a->etag == NULL || a->status != 200)
        return false;
    struct http_validators v = { .etag = tarn_bytes_str(a->etag),
                                 .modified_s = HTTP_NO_TIME,
                                 .exists = true };
    enum http_cond cond = http_cond_check(&x->req, &v, server_wall_s(x->conn->server));
    if (cond == HTTP_COND_FAILED)
        answer_error(x, 412, "What is there is not what the request was made for.", NULL, 0, false);
    if (cond != HTTP_COND_UNCHANGED)
        return cond == HTTP_COND_FAILED;
    struct http_answer same = { .cache = a->cache, .vary = a->vary, .etag = a->etag };
    struct tarn_out *o = answer_begin(x, 304);
    if (!answer_fields(o, &same)) {
        answer_broken(x, o);
        return true;
    }
    answer_end_head(x, o, false, 0, a->closes);
    answer_done(x);
    return true;
}

void http_answer_bytes(struct http_exchange *pub, const struct http_answer *a,
                       struct tarn_bytes body)
{
    struct exchange *x = exchange_of(pub);
    if (answer_condition(x, a))
        return;
    struct tarn_out *o = answer_begin(x, a->status);
    if (!answer_fields(o, a) || body.len > HTTP_BYTES_MAX) {
        answer_broken(x, o);
        return;
    }
    answer_end_head(x, o, true, body.len, a->closes);
    if (!x->is_silent)
        tarn_out_put(o, body);
    answer_done(x);
}

bool http_refuse_method(struct http_exchange *pub, unsigned allowed)
{
    struct exchange *x = exchange_of(pub);
    unsigned refusal = http_method_refusal((enum http_method)x->req.method, allowed);
    if (refusal == 0 && x->req.method != HTTP_OPTIONS)
        return false;
    struct tarn_out *o;
    if (refusal == 0) {
        o = answer_begin(x, 204);
        http_reply_allow(o, allowed);
        answer_end_head(x, o, true, 0, false);
        answer_done(x);
        return true;
    }
    struct tarn_out list;
    char room[128];
    tarn_out_fixed(&list, room, sizeof room);
    for (enum http_method m = HTTP_GET; m < HTTP_METHOD_COUNT; m++)
        if ((allowed & HTTP_ALLOW(m)) != 0)
            tarn_out_fmt(&list, "%s%s", list.len > 0 ? ", " : "", http_method_name(m));
    struct http_extra allow = { "Allow", tarn_out_bytes(&list) };
    answer_error(x, refusal,
                 refusal == 501 ? "This server knows no such method."
                                : "This method is not for what is there.",
                 &allow, 1, false);
    return true;
}

void http_answer_stream(struct http_exchange *pub, const struct http_answer *a,
                        const struct http_stream *st)
{
    struct exchange *x = exchange_of(pub);
    if (answer_condition(x, a))
        return;
    struct tarn_out *o = answer_begin(x, a->status);
    if (!answer_fields(o, a)) {
        answer_broken(x, o);
        return;
    }
    answer_end_head(x, o, false, 0, a->closes);
    x->on_drain = st->on_drain;
    if (!x->conn->is_working)
        conn_kick(x->conn);
}

void http_stream_put(struct http_exchange *pub, struct tarn_bytes bytes)
{
    struct exchange *x = exchange_of(pub);
    if (x->answer != ANSWER_STREAM || x->is_silent || bytes.len == 0)
        return;
    struct tarn_out *o = loop_stream_out(&x->conn->stream);
    if (x->is_chunked)
        http_chunk_begin(o, bytes.len);
    tarn_out_put(o, bytes);
    if (x->is_chunked)
        http_chunk_end(o);
    if (x->conn->waits == WAITS_OWNER)
        conn_kick(x->conn); /* now it waits for the client */
}

size_t http_stream_waits(const struct http_exchange *pub)
{
    struct conn *c = ((const struct exchange *)(const void *)pub)->conn;
    return loop_stream_queued(&c->stream);
}

void http_stream_end(struct http_exchange *pub)
{
    struct exchange *x = exchange_of(pub);
    if (x->answer != ANSWER_STREAM)
        return;
    if (x->is_chunked)
        http_chunk_last(loop_stream_out(&x->conn->stream));
    answer_done(x);
}

void http_stream_cut(struct http_exchange *pub)
{
    struct exchange *x = exchange_of(pub);
    count(&x->conn->server->n.cut, 1);
    conn_doom(x->conn);
}
