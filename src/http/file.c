/* http/file: answers out of files: conditions, ranges, and how the bytes leave.
 *
 * A short body is copied, or read straight, into the queue behind its head, by one call that does
 * not wait for a disk, and is_same is asked after that: what leaves is what it said yes to. All
 * others stand in the queue as runs of the file; the stream reads cold ones on other threads, and
 * asks (may_leave) before each batch. */
#include "http/priv.h"

#include "base/num.h"
#include "http/core/cond.h"
#include "sys/clock.h"

#include <stdio.h>

enum {
    /* A time of last change is a strong validator when the file could have changed twice in that
     * second no more (RFC 9110 section 8.8.2.2); a second more for clocks of file systems. */
    STRONG_AFTER_S = 2,
};

struct plan {
    const struct http_file *f; /* borrowed */
    unsigned status;           /* 200 or 206 */
    struct http_ranges ranges; /* one of them for 200 too; none when f is empty */
    uint64_t len;              /* of the body */
    struct tarn_bytes boundary;
    char boundary_text[33];
};

static bool is_same(struct exchange *x)
{
    struct sys_stat now;
    if (x->is_same != NULL)
        return x->is_same(x->is_same_arg, x->file);
    return sys_stat_fd(x->file->fd, &now, NULL) && sys_stat_same(&now, &x->file->at_open);
}

/* The first batch leaves in the turn in which the answer was made, when that has just been asked.
 */
static bool may_leave(struct loop_guard *g, struct tarn_err *err)
{
    struct exchange *x = TARN_OUTER(g, struct exchange, guard);
    bool was_asked = x->asked_us == loop_now_us(x->conn->server->loop);
    x->asked_us = INT64_MIN;
    conn_count(x->conn); /* a long body is seen while it leaves */
    return was_asked || is_same(x) ||
           tarn_fail(err, TARN_E_INTEGRITY, "a file changed while it was sent");
}

static struct http_validators validators(const struct exchange *x, const struct http_file *f)
{
    int64_t now_s = server_wall_s(x->conn->server);
    return (struct http_validators){
        .etag = f->etag == NULL ? tarn_bytes_of(NULL, 0) : tarn_bytes_str(f->etag),
        .modified_s = f->modified_s == 0 ? HTTP_NO_TIME : f->modified_s,
        .is_modified_strong = f->modified_s != 0 && f->modified_s + STRONG_AFTER_S <= now_s,
        .exists = true,
    };
}

static bool raw_field(struct tarn_out *o, const char *name, const char *value)
{
    return value == NULL || http_reply_field(o, tarn_bytes_str(name), tarn_bytes_str(value), NULL);
}

/* What 200, 206 and 304 say alike. A time that lies in the future (another machine's clock, a
 * touch) is said as now: nobody could revalidate with it (RFC 9110 section 8.8.2.1). */
static bool put_fields(struct exchange *x, struct tarn_out *o, const struct http_file *f,
                       const char *type)
{
    struct http_answer a = { .type = type,
                             .cache = f->cache,
                             .vary = f->vary,
                             .etag = f->etag,
                             .extras = f->extras,
                             .n_extras = f->n_extras };
    if (!answer_fields(o, &a))
        return false;
    char date[HTTP_DATE_LEN + 1];
    int64_t modified_s = tarn_min_i64(f->modified_s, server_wall_s(x->conn->server));
    return f->modified_s == 0 || raw_field(o, "Last-Modified", http_date(date, modified_s));
}

static void answer_unchanged(struct exchange *x, const struct http_file *f)
{
    struct tarn_out *o = answer_begin(x, 304);
    if (!put_fields(x, o, f, NULL)) {
        answer_broken(x, o);
        return;
    }
    answer_end_head(x, o, false, 0, false);
    answer_done(x);
}

static void answer_no_range(struct exchange *x, const struct http_file *f)
{
    char value[HTTP_CONTENT_RANGE_MAX];
    size_t len = http_content_range_none(value, f->len);
    struct http_extra range = { "Content-Range", tarn_bytes_of(value, len) };
    char detail[100];
    snprintf(detail, sizeof detail, "No part of that range is there: the file has %llu bytes.",
             (unsigned long long)f->len);
    answer_error(x, 416, detail, &range, 1, false);
}

static void answer_changed(struct exchange *x)
{
    struct http_extra again = { "Retry-After", tarn_bytes_str("5") };
    answer_error(x, 503, "The file has changed, and is being read anew. Try again soon.", &again, 1,
                 false);
}

static bool plan_parts(struct plan *p)
{
    uint8_t raw[16];
    if (!sys_random(raw, sizeof raw, NULL))
        return false;
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(p->boundary_text + 2 * i, 3, "%02x", raw[i]);
    p->boundary = tarn_bytes_of(p->boundary_text, 32);
    struct tarn_bytes type = tarn_bytes_str(p->f->type == NULL ? "" : p->f->type);
    return http_parts_len(&p->ranges, p->boundary, type, p->f->len, &p->len);
}

static void plan_whole(struct plan *p)
{
    p->status = 200;
    p->len = p->f->len;
    p->ranges.n = p->len > 0 ? 1 : 0;
    p->ranges.r[0] = (struct http_range){ 0, p->len };
}

/* False: answered by 416. */
static bool plan(struct exchange *x, const struct http_validators *v, struct plan *p)
{
    plan_whole(p);
    if (!http_cond_range(&x->req, v, server_wall_s(x->conn->server)))
        return true;
    struct tarn_bytes value = http_value(&x->req, HTTP_RANGE);
    switch (http_range_parse(value, p->f->len, &p->ranges)) {
    case HTTP_RANGE_NONE:
        answer_no_range(x, p->f);
        return false;
    case HTTP_RANGE_PARTS:
        p->status = 206;
        p->len = p->ranges.r[0].len;
        if (p->ranges.n == 1 || plan_parts(p))
            return true;
        break;
    case HTTP_RANGE_WHOLE:
        break;
    }
    plan_whole(p);
    return true;
}

static bool put_head(struct exchange *x, struct tarn_out *o, const struct plan *p)
{
    const struct http_file *f = p->f;
    char type[32 + HTTP_BOUNDARY_MAX], range[HTTP_CONTENT_RANGE_MAX];
    bool is_parts = p->status == 206 && p->ranges.n > 1;
    if (is_parts)
        snprintf(type, sizeof type, "multipart/byteranges; boundary=%s", p->boundary_text);
    http_reply_raw(o, "Accept-Ranges: bytes\r\n");
    if (!put_fields(x, o, f, is_parts ? type : f->type) ||
        !raw_field(o, "Content-Encoding", f->encoding))
        return false;
    if (p->status == 206 && !is_parts) {
        http_content_range(range, &p->ranges.r[0], f->len);
        if (!raw_field(o, "Content-Range", range))
            return false;
    }
    answer_end_head(x, o, true, p->len, false);
    return true;
}

/* Short, and in memory. *is_read: its bytes stand behind the head. False: it has changed, and was
 * answered otherwise. */
static bool put_small(struct exchange *x, struct tarn_out *o, const struct plan *p, bool *is_read)
{
    const struct http_range *r = &p->ranges.r[0];
    *is_read = false;
    if (p->ranges.n != 1 || r->len > SMALL_BODY)
        return true;
    uint8_t *room = tarn_out_room(o, (size_t)r->len);
    if (room != NULL && p->f->bytes != NULL)
        memcpy(room, p->f->bytes + r->at, (size_t)r->len);
    *is_read = room != NULL && (p->f->bytes != NULL ||
                                sys_read_now(x->file->fd, room, (size_t)r->len, p->f->off + r->at));
    if (room != NULL && !*is_read)
        o->len -= (size_t)r->len;
    x->asked_us = loop_now_us(x->conn->server->loop);
    if (is_same(x))
        return true;
    o->len = x->mark;
    x->answer = ANSWER_NONE;
    answer_changed(x);
    return false;
}

static void put_runs(struct exchange *x, const struct plan *p)
{
    struct loop_stream *s = &x->conn->stream;
    struct tarn_bytes type = tarn_bytes_str(p->f->type == NULL ? "" : p->f->type);
    bool ok = true;
    x->is_guarded = true;
    for (unsigned i = 0; i < p->ranges.n && ok; i++) {
        const struct http_range *r = &p->ranges.r[i];
        if (p->ranges.n > 1)
            http_part_head(loop_stream_out(s), p->boundary, type, r, p->f->len, i == 0);
        ok = loop_stream_send_guarded(s, x->file, p->f->off + r->at, (size_t)r->len, &x->guard);
    }
    if (p->ranges.n > 1)
        http_parts_end(loop_stream_out(s), p->boundary);
    if (!ok)
        conn_doom(x->conn);
}

static void answer(struct exchange *x, const struct plan *p)
{
    struct tarn_out *o = answer_begin(x, p->status);
    if (!put_head(x, o, p)) {
        answer_broken(x, o);
        return;
    }
    bool is_read = x->is_silent || p->ranges.n == 0;
    if (!is_read && !put_small(x, o, p, &is_read))
        return;
    if (!is_read)
        put_runs(x, p);
    answer_done(x);
}

void http_answer_file(struct http_exchange *pub, const struct http_file *f)
{
    struct exchange *x = exchange_of(pub);
    if (http_refuse_method(pub, HTTP_ALLOW(HTTP_GET) | HTTP_ALLOW(HTTP_HEAD)))
        return;
    x->file = sys_file_ref(f->file);
    x->is_same = f->is_same;
    x->is_same_arg = f->arg;
    x->guard.may_leave = may_leave;
    struct http_validators v = validators(x, f);
    struct plan p = { .f = f };
    switch (http_cond_check(&x->req, &v, server_wall_s(x->conn->server))) {
    case HTTP_COND_UNCHANGED: /* says as much as all the bytes would */
        if (is_same(x))
            answer_unchanged(x, f);
        else
            answer_changed(x);
        return;
    case HTTP_COND_FAILED:
        answer_error(x, 412, "The file is not the one that the request was made for.", NULL, 0,
                     false);
        return;
    case HTTP_COND_GO:
        break;
    }
    if (!plan(x, &v, &p))
        return;
    /* what is short is asked about when it has been read */
    bool is_small = x->req.method == HTTP_GET && p.ranges.n == 1 && p.len <= SMALL_BODY;
    if (!is_small && !is_same(x)) {
        answer_changed(x);
        return;
    }
    x->asked_us = is_small ? INT64_MIN : loop_now_us(x->conn->server->loop);
    answer(x, &p);
}
