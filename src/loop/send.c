/* loop/send: the send queue of a stream: one run of header bytes, and the runs of files that stand
 * between them.
 *
 *     bytes:  [ gone already | head | head | head | message | head ]
 *     runs:                         ^ 16 KiB of a file        ^ another
 *
 * A run remembers how many bytes stand before it. So a block costs no allocation of its own, and
 * the queue is freed when it is empty.
 *
 * Before files are sent we ask whether they are in memory, neighbours together. What is not (or
 * where the system cannot tell) is read by a job of the pool, together with what is queued behind
 * it, and sent when the job is done; what stands before it goes out meanwhile. What a job has read
 * is not asked about again for a while: that gives progress on systems that cannot tell, or whose
 * answer is always no. */
#include "base/mem.h"
#include "base/num.h"
#include "loop/priv.h"
#include "sys/file.h"

#include <assert.h>

enum {
    SPANS = 64, /* a call: 32 blocks with their headers, 512 KiB */
    COMPACT = 4 << 10,
    /* Ours: 1 MiB is what a peer with a full pipeline of 64 requests has queued; read in one job,
     * it keeps a disk busy at depth and a slow peer from pinning more. */
    COLD_BYTES = 1 << 20,
    COLD_EXTENTS = 64,
    COLD_BUFFER = 128 << 10,
    WARM_US = 1000 * 1000, /* the page cache does not forget faster, unless the machine is ill */
};

struct run {
    uint64_t after; /* header bytes that stand before it, counted from the queue's beginning */
    struct sys_file *file; /* counted */
    uint64_t off;
    size_t len;
};

struct loop_send {
    struct tarn_out bytes;
    size_t pos;       /* in bytes: what is before has been sent */
    uint64_t dropped; /* bytes that stood before bytes.p[0] */
    struct run *runs; /* owned; from first to n they wait */
    size_t first, n, cap;
    uint64_t in_runs;       /* bytes of files that wait */
    int64_t woken_us;       /* when the socket was ready for more; 0: not yet */
    uint64_t warm_to;       /* s->sent up to which files have been read by a job ... */
    int64_t warm_until_us;  /* ... not long ago */
    struct loop_cold *cold; /* the job under way */
};

struct extent {
    struct sys_file *file; /* counted */
    uint64_t off;
    size_t len;
};

/* A job that brings runs into memory. Outlives its stream. */
struct loop_cold {
    struct loop_job job;
    struct tarn_list node;
    struct loop_stream *stream; /* NULL: released meanwhile */
    uint64_t to;                /* s->sent where the extents end */
    struct extent extents[COLD_EXTENTS];
    size_t n;
    struct extent ahead; /* of a long run: the kernel is told that this comes next; file borrowed */
    bool ok;
    struct tarn_err err;
};

static void cold_free(struct loop_cold *c)
{
    for (size_t i = 0; i < c->n; i++)
        sys_file_unref(c->extents[i].file);
    tarn_list_remove(&c->node);
    tarn_free(c);
}

/* Reading copies into a buffer that nobody looks at: what counts is that the pages are there. */
static bool read_extent(const struct extent *e, uint8_t *buffer, struct tarn_err *err)
{
    for (size_t at = 0; at < e->len;) {
        size_t got = 0;
        if (!sys_read_at(e->file->fd, buffer, tarn_min_size(e->len - at, COLD_BUFFER), e->off + at,
                         &got, err))
            return tarn_fail_in(err, "reading what a peer asked for");
        if (got == 0)
            return true; /* the file has shrunk: sending it will say so */
        at += got;
    }
    return true;
}

static void cold_run(struct loop_job *j)
{
    struct loop_cold *c = TARN_OUTER(j, struct loop_cold, job);
    uint8_t *buffer = tarn_realloc(NULL, COLD_BUFFER, 1);
    if (buffer == NULL) {
        c->ok = tarn_fail_mem(&c->err, "reading what a peer asked for");
        return;
    }
    /* First tell the kernel all of it: it reads them side by side. */
    for (size_t i = 0; i < c->n; i++)
        sys_will_need(c->extents[i].file->fd, c->extents[i].off, c->extents[i].len);
    c->ok = true;
    for (size_t i = 0; i < c->n && c->ok; i++)
        c->ok = read_extent(&c->extents[i], buffer, &c->err);
    if (c->ahead.len > 0)
        sys_will_need(c->ahead.file->fd, c->ahead.off, c->ahead.len);
    tarn_free(buffer);
}

static void cold_done(struct loop_job *j)
{
    struct loop_cold *c = TARN_OUTER(j, struct loop_cold, job);
    struct loop_stream *s = c->stream;
    if (s == NULL || s->is_ended) {
        if (s != NULL)
            s->send->cold = NULL;
        cold_free(c);
        return;
    }
    s->send->cold = NULL;
    s->send->warm_to = c->to;
    s->send->warm_until_us = loop_now_us(s->loop) + WARM_US;
    bool ok = c->ok;
    struct tarn_err err = c->err;
    cold_free(c);
    if (ok)
        loop_idle_set(s->loop, &s->idle);
    else
        loop_stream_end(s, &err);
}

static bool add_extent(struct loop_cold *c, struct sys_file *file, uint64_t off, size_t len)
{
    struct extent *last = c->n == 0 ? NULL : &c->extents[c->n - 1];
    if (last != NULL && last->file == file && last->off + last->len == off) {
        last->len += len;
        return true;
    }
    if (c->n == COLD_EXTENTS)
        return false;
    c->extents[c->n++] = (struct extent){ sys_file_ref(file), off, len };
    return true;
}

/* Read run i, whose first byte stands at `at` of all that the stream sends, and those behind it. */
static bool start_cold(struct loop_stream *s, size_t i, uint64_t at, struct tarn_err *err)
{
    struct loop_send *q = s->send;
    struct loop_cold *c = tarn_calloc(1, sizeof *c);
    if (c == NULL)
        return tarn_fail_mem(err, "reading what a peer asked for");
    c->stream = s;
    c->to = at;
    uint64_t heads_to = q->runs[i].after;
    size_t room = COLD_BYTES;
    for (; i < q->n && room > 0; i++) {
        const struct run *r = &q->runs[i];
        size_t len = tarn_min_size(r->len, room);
        if (!add_extent(c, r->file, r->off, len))
            break;
        c->to += r->after - heads_to + len;
        heads_to = r->after;
        room -= len;
        size_t behind = tarn_min_size(r->len - len, COLD_BYTES);
        if (behind > 0)
            c->ahead = (struct extent){ r->file, r->off + len, behind };
    }
    c->job.run = cold_run;
    c->job.done = cold_done;
    q->cold = c;
    tarn_list_push_back(&s->loop->colds, &c->node);
    loop_pool_submit(s->loop, &c->job);
    return true;
}

void loop_send_free_colds(struct loop *l)
{
    struct tarn_list *node;
    while ((node = tarn_list_pop_front(&l->colds)) != NULL)
        cold_free(TARN_OUTER(node, struct loop_cold, node));
}

/* What goes out with one call. */
struct batch {
    struct sys_span spans[SPANS];
    size_t n;
    size_t len;
    size_t asked_to; /* runs before this one are in memory */
    bool is_cold;    /* stopped before run `stop`, which is not in memory */
    size_t stop;
};

static bool follows(const struct run *r, const struct sys_file *file, uint64_t off)
{
    return r->file == file && r->off == off;
}

/* Is this much of run i in memory? Runs that follow it in the file are asked about with it. */
static bool is_in_memory(const struct loop_send *q, struct batch *b, size_t i, size_t len)
{
    if (i < b->asked_to)
        return true;
    const struct run *r = &q->runs[i];
    size_t sum = len, next = i + 1;
    while (len == r->len && next < q->n && follows(&q->runs[next], r->file, r->off + sum) &&
           sum + q->runs[next].len <= COLD_BYTES)
        sum += q->runs[next++].len;
    if (next > i + 1 && sys_resident(r->file->fd, r->off, sum) == SYS_RESIDENT) {
        b->asked_to = next;
        return true;
    }
    return sys_resident(r->file->fd, r->off, len) == SYS_RESIDENT;
}

/* How much of the first len bytes of run i may be sent now. */
static size_t sendable(const struct loop_stream *s, struct batch *b, size_t i, size_t len)
{
    const struct loop_send *q = s->send;
    uint64_t at = s->sent + b->len;
    if (at < q->warm_to && loop_now_us(s->loop) < q->warm_until_us)
        return (size_t)tarn_min_u64(len, q->warm_to - at);
    return is_in_memory(q, b, i, len) ? len : 0;
}

/* From the front of the queue, about max bytes, up to the first that is not in memory. */
static void gather(const struct loop_stream *s, struct batch *b, size_t max)
{
    const struct loop_send *q = s->send;
    size_t at = q->pos;
    for (size_t i = q->first; b->n + 2 <= SPANS && b->len < max; i++) {
        size_t heads_to = i < q->n ? (size_t)(q->runs[i].after - q->dropped) : q->bytes.len;
        if (heads_to > at) {
            b->spans[b->n++] = (struct sys_span){ .p = q->bytes.p + at, .len = heads_to - at };
            b->len += heads_to - at;
            at = heads_to;
        }
        if (i == q->n || b->len >= max)
            return;
        const struct run *r = &q->runs[i];
        size_t len = sendable(s, b, i, tarn_min_size(r->len, max - b->len));
        b->is_cold = len == 0;
        if (b->is_cold) {
            b->stop = i;
            return;
        }
        b->spans[b->n++] = (struct sys_span){ .file = r->file, .off = r->off, .len = len };
        b->len += len;
        if (len < r->len)
            return;
    }
}

static void free_queue(struct loop_stream *s)
{
    struct loop_send *q = s->send;
    if (q == NULL)
        return;
    if (q->cold != NULL)
        q->cold->stream = NULL;
    for (size_t i = q->first; i < q->n; i++)
        sys_file_unref(q->runs[i].file);
    tarn_free(q->runs);
    tarn_out_release(&q->bytes);
    tarn_free(q);
    s->send = NULL;
}

static void compact(struct loop_send *q)
{
    if (q->pos > COMPACT && q->pos > q->bytes.len / 2) {
        tarn_out_drop(&q->bytes, q->pos);
        q->dropped += q->pos;
        q->pos = 0;
    }
    if (q->first > q->n / 2) {
        q->n -= q->first;
        memmove(q->runs, q->runs + q->first, q->n * sizeof *q->runs);
        q->first = 0;
    }
}

/* This many bytes have left. */
static void consume(struct loop_stream *s, size_t sent)
{
    struct loop_send *q = s->send;
    s->sent += sent;
    while (sent > 0) {
        bool has_run = q->first < q->n;
        struct run *r = has_run ? &q->runs[q->first] : NULL;
        size_t heads_to = has_run ? (size_t)(r->after - q->dropped) : q->bytes.len;
        size_t heads = tarn_min_size(sent, heads_to - q->pos);
        q->pos += heads;
        sent -= heads;
        if (sent == 0 || !has_run)
            break;
        size_t part = tarn_min_size(sent, r->len);
        r->off += part;
        r->len -= part;
        q->in_runs -= part;
        sent -= part;
        if (r->len > 0)
            break;
        sys_file_unref(r->file);
        q->first++;
    }
    compact(q);
}

void loop_send_count(struct loop_stream *s)
{
    const struct loop_send *q = s->send;
    s->queued = q == NULL ? 0 : (size_t)q->in_runs + (q->bytes.len - q->pos);
}

static bool is_whole(const struct loop_stream *s, struct tarn_err *err)
{
    if (s->is_starving)
        return tarn_fail_mem(err, "sending to a peer");
    if (s->send == NULL || tarn_out_ok(&s->send->bytes))
        return true;
    if (s->send->bytes.len < LOOP_STREAM_OUT_MAX / 2)
        return tarn_fail_mem(err, "sending to a peer");
    return tarn_fail(err, TARN_E_POLICY,
                     "more than %d bytes of messages wait for a peer that does not read them",
                     LOOP_STREAM_OUT_MAX);
}

/* One call. *goes_on: there is more to send, and the socket may take it. */
static bool send_batch(struct loop_stream *s, size_t max, size_t *sent, bool *goes_on,
                       struct tarn_err *err)
{
    struct batch b = { .n = 0 };
    gather(s, &b, max);
    *goes_on = false;
    *sent = 0;
    if (b.is_cold && s->send->cold == NULL && !start_cold(s, b.stop, s->sent + b.len, err))
        return false;
    if (b.n == 0)
        return true;
    enum sys_io io = sys_send_spans(s->watch.fd, b.spans, b.n, b.len, &s->loop->sender, sent, err);
    consume(s, *sent);
    if (io == SYS_IO_FAIL)
        return false;
    s->wants_write = io == SYS_IO_AGAIN;
    *goes_on = io == SYS_IO_DONE && !b.is_cold;
    return true;
}

/* Send until the socket is full, a disk must be read, nothing is left, or it is another's turn. */
bool loop_send_some(struct loop_stream *s, struct tarn_err *err)
{
    s->wants_write = false;
    if (!is_whole(s, err))
        return false;
    size_t left = LOOP_STREAM_TURN_MAX;
    bool goes_on = s->send != NULL;
    while (goes_on && left > 0) {
        size_t sent;
        if (!send_batch(s, left, &sent, &goes_on, err))
            return false;
        left -= tarn_min_size(left, sent);
        loop_send_count(s);
        goes_on = goes_on && s->queued > 0;
    }
    if (goes_on)
        s->wants_write = true; /* its turn comes again */
    loop_send_count(s);
    if (s->queued == 0)
        free_queue(s);
    return true;
}

void loop_send_woken(struct loop_stream *s)
{
    struct loop_send *q = s->send;
    int64_t now = loop_now_us(s->loop), since = q == NULL ? 0 : q->woken_us;
    uint32_t unsent = s->unsent;
    if (q == NULL)
        return;
    q->woken_us = now;
    if (since == 0)
        return;
    if (now - since < LOOP_STREAM_SOON_US && unsent < LOOP_STREAM_UNSENT_MAX)
        unsent *= 2;
    else if (now - since > LOOP_STREAM_LATE_US && unsent > LOOP_STREAM_UNSENT)
        unsent /= 2;
    if (unsent == s->unsent)
        return;
    s->unsent = unsent;
    sys_set_unsent_low(s->watch.fd, unsent);
}

void loop_send_drop(struct loop_stream *s)
{
    free_queue(s);
    loop_send_count(s);
}

/* NULL when there is no memory, or nothing can be sent any more. */
static struct loop_send *queue_of(struct loop_stream *s)
{
    assert(s->loop != NULL);
    if (s->is_ended)
        return NULL;
    if (s->send == NULL) {
        s->send = tarn_calloc(1, sizeof *s->send);
        if (s->send != NULL)
            tarn_out_init(&s->send->bytes, LOOP_STREAM_OUT_MAX);
    }
    loop_idle_set(s->loop, &s->idle);
    if (s->send == NULL)
        s->is_starving = true;
    return s->send;
}

struct tarn_out *loop_stream_out(struct loop_stream *s)
{
    struct loop_send *q = queue_of(s);
    loop_send_count(s);
    if (q != NULL)
        return &q->bytes;
    tarn_out_clear(&s->loop->nowhere);
    return &s->loop->nowhere;
}

static bool continues_last(const struct loop_send *q, uint64_t after, const struct sys_file *file,
                           uint64_t off)
{
    if (q->first == q->n)
        return false;
    const struct run *last = &q->runs[q->n - 1];
    return last->after == after && last->file == file && last->off + last->len == off;
}

bool loop_stream_send_file(struct loop_stream *s, struct sys_file *file, uint64_t off, size_t len)
{
    struct loop_send *q = queue_of(s);
    if (q == NULL)
        return s->is_ended;
    if (len == 0)
        return true;
    uint64_t after = q->dropped + q->bytes.len;
    if (continues_last(q, after, file, off))
        q->runs[q->n - 1].len += len;
    else if (TARN_GROW(q->runs, q->n, q->cap))
        q->runs[q->n++] = (struct run){ after, sys_file_ref(file), off, len };
    else
        return false;
    q->in_runs += len;
    loop_send_count(s);
    return true;
}
