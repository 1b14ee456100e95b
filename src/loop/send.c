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
 * where the system cannot tell) is read by jobs, several of which are under way for one stream:
 * each covers a stretch of the queue, and the stretches follow each other. What stands before the
 * first goes out meanwhile; when the first is done its stretch is sent, and new jobs begin behind
 * the last. What a job has read, or what was found in memory, is not asked about again for a while:
 * that gives progress on systems that cannot tell, or whose answer is always no.
 *
 * Positions are counted in bytes of all that the stream sends, as s->sent is. */
#include "base/mem.h"
#include "base/num.h"
#include "loop/priv.h"
#include "sys/file.h"

#include <assert.h>

enum {
    SPANS = 64, /* a call: 32 blocks with their headers, 512 KiB */
    COMPACT = 4 << 10,
    ASKED = 1 << 20, /* of neighbours asked about together at most so much */
    /* Ours: a job reads at most this much in so many extents, which the kernel is told of first, so
     * that it reads them side by side; and a stream has so many jobs: a pipeline of 64 requests,
     * half of which is read while the other half is sent. */
    COLD_BYTES = 128 << 10,
    COLD_EXTENTS = 8,
    COLD_JOBS = 8,
    WARM_US = 1000 * 1000, /* the page cache does not forget faster, unless the machine is ill */
};

struct run {
    uint64_t after; /* header bytes that stand before it, counted from the queue's beginning */
    struct sys_file *file; /* counted */
    uint64_t off;
    size_t len;
    struct loop_guard *guard; /* borrowed; NULL: none */
};

struct loop_send {
    struct tarn_out bytes;
    size_t pos;       /* in bytes: what is before has been sent */
    uint64_t dropped; /* bytes that stood before bytes.p[0] */
    struct run *runs; /* owned; from first to n they wait */
    size_t first, n, cap;
    uint64_t in_runs;       /* bytes of files that wait */
    int64_t woken_us;       /* when the socket was ready for more; 0: not yet */
    uint64_t warm_to;       /* position: files before it have been read or asked about ... */
    int64_t warm_until_us;  /* ... not long ago */
    struct tarn_list colds; /* jobs under way (struct loop_cold), by position */
    unsigned n_colds;
    uint64_t cold_to, cold_len; /* of those that are over: position of the last, bytes in all */
};

struct extent {
    struct sys_file *file; /* counted */
    uint64_t off;
    size_t len;
};

/* A job that brings a stretch of the queue into memory. Outlives its stream. */
struct loop_cold {
    struct loop_job job;
    struct tarn_list node;      /* of the stream's, or when that is gone of the loop's */
    struct loop_stream *stream; /* NULL: released meanwhile */
    uint64_t from, to;          /* positions: what lies between is in extents, or was warm */
    struct extent extents[COLD_EXTENTS];
    size_t n, len; /* of extents; bytes in them */
    bool is_done, ok;
    struct tarn_err err;
};

static void cold_free(struct loop_cold *c)
{
    for (size_t i = 0; i < c->n; i++)
        sys_file_unref(c->extents[i].file);
    tarn_list_remove(&c->node);
    tarn_free(c);
}

static void cold_run(struct loop_job *j)
{
    struct loop_cold *c = TARN_OUTER(j, struct loop_cold, job);
    for (size_t i = 0; i < c->n && c->n > 1; i++)
        sys_will_need(c->extents[i].file->fd, c->extents[i].off, c->extents[i].len);
    c->ok = true;
    for (size_t i = 0; i < c->n && c->ok; i++) {
        const struct extent *e = &c->extents[i];
        size_t got; /* less when the file has shrunk: sending it will say so */
        c->ok = sys_bring_in(e->file->fd, e->off, e->len, &got, &c->err) ||
                tarn_fail_in(&c->err, "reading what a peer asked for");
    }
}

/* The first ones that are done make way for what they have read. False: one of them failed. */
static bool take_done(struct loop_stream *s, struct tarn_err *err)
{
    struct loop_send *q = s->send;
    bool ok = true;
    while (ok && !tarn_list_empty(&q->colds)) {
        struct loop_cold *c = TARN_OUTER(q->colds.next, struct loop_cold, node);
        if (!c->is_done)
            break;
        ok = c->ok;
        *err = c->err;
        q->warm_to = tarn_max_u64(q->warm_to, c->to);
        q->warm_until_us = loop_now_us(s->loop) + WARM_US;
        q->n_colds--;
        q->cold_to = c->to;
        q->cold_len += c->len;
        cold_free(c);
    }
    return ok;
}

static void cold_done(struct loop_job *j)
{
    struct loop_cold *c = TARN_OUTER(j, struct loop_cold, job);
    struct loop_stream *s = c->stream;
    struct tarn_err err;
    c->is_done = true;
    if (s == NULL)
        cold_free(c);
    else if (s->is_ended)
        return; /* goes with its stream */
    else if (take_done(s, &err))
        loop_idle_set(s->loop, &s->idle);
    else
        loop_stream_end(s, &err);
}

void loop_send_free_colds(struct loop *l)
{
    struct tarn_list *node;
    while ((node = tarn_list_pop_front(&l->colds)) != NULL)
        cold_free(TARN_OUTER(node, struct loop_cold, node));
}

/* False when the job is full. */
static bool add_extent(struct loop_cold *c, struct sys_file *file, uint64_t off, size_t len)
{
    struct extent *last = c->n == 0 ? NULL : &c->extents[c->n - 1];
    bool continues = last != NULL && last->file == file && last->off + last->len == off;
    if (!continues && c->n == COLD_EXTENTS)
        return false;
    if (continues)
        last->len += len;
    else
        c->extents[c->n++] = (struct extent){ sys_file_ref(file), off, len };
    c->len += len;
    return true;
}

/* A place in the queue: the at-th byte of run i. */
struct place {
    size_t i, at;
    uint64_t position;
};

/* Where the queue's run i begins to wait, at position `at`, moved on to position `to`. */
static struct place move_to(const struct loop_send *q, size_t i, uint64_t at, uint64_t to)
{
    struct place p = { i, 0, at };
    for (; p.i < q->n; p.i++) {
        const struct run *r = &q->runs[p.i];
        if (to < p.position + r->len) {
            p.at = to > p.position ? (size_t)(to - p.position) : 0;
            p.position += p.at;
            break;
        }
        p.position += r->len;
        if (p.i + 1 < q->n)
            p.position += q->runs[p.i + 1].after - r->after;
    }
    return p;
}

static enum sys_residency ask(struct loop_stream *s, const struct sys_file *file, uint64_t off,
                              size_t len)
{
    s->loop->io.asked++;
    return sys_resident(file->fd, off, len);
}

/* Take what is cold from p on, up to a position, into the job, until it is full or the queue ends;
 * p moves behind it. */
static void fill_cold(struct loop_stream *s, struct loop_cold *c, struct place *p, uint64_t until)
{
    const struct loop_send *q = s->send;
    while (p->i < q->n && c->len < COLD_BYTES && p->position < until) {
        const struct run *r = &q->runs[p->i];
        size_t len = tarn_min_size(r->len - p->at, COLD_BYTES - c->len);
        if (ask(s, r->file, r->off + p->at, len) != SYS_RESIDENT &&
            !add_extent(c, r->file, r->off + p->at, len))
            break;
        p->at += len;
        p->position += len;
        c->to = p->position;
        if (p->at < r->len)
            continue;
        p->i++;
        p->at = 0;
        if (p->i < q->n)
            p->position += q->runs[p->i].after - r->after;
    }
}

/* A job for what is cold from p on, or NULL when there is nothing; err says whether it failed. */
static struct loop_cold *make_cold(struct loop_stream *s, struct place *p, uint64_t until,
                                   struct tarn_err *err)
{
    struct loop_cold *c = tarn_calloc(1, sizeof *c);
    err->code = TARN_OK;
    if (c == NULL) {
        (void)tarn_fail_mem(err, "reading what a peer asked for");
        return NULL;
    }
    *c = (struct loop_cold){ .stream = s, .from = p->position, .to = p->position };
    c->job.run = cold_run;
    c->job.done = cold_done;
    fill_cold(s, c, p, until);
    if (c->n > 0)
        return c;
    tarn_free(c);
    return NULL;
}

static void submit_cold(struct loop_stream *s, struct loop_cold *c)
{
    s->send->n_colds++;
    s->loop->io.cold_jobs++;
    s->loop->io.cold_read += c->len;
    loop_pool_give(&s->loop->cold, &c->job);
}

/* Run i, whose first byte stands at position `at`, is not in memory: see that it and what is cold
 * behind it is being read. */
static bool start_colds(struct loop_stream *s, size_t i, uint64_t at, struct tarn_err *err)
{
    struct loop_send *q = s->send;
    struct loop *l = s->loop;
    struct loop_cold *c;
    if (!l->cold.is_started && !loop_pool_start(&l->cold, l, "tarn-cold", LOOP_COLD_THREADS, err))
        return false;
    struct place p = { i, 0, at };
    err->code = TARN_OK;
    if (!tarn_list_empty(&q->colds)) {
        /* what was in memory before the first job, and was thrown out meanwhile */
        uint64_t from = TARN_OUTER(q->colds.next, struct loop_cold, node)->from;
        if (at < from && (c = make_cold(s, &p, from, err)) != NULL) {
            tarn_list_push_back(q->colds.next, &c->node); /* before the first */
            submit_cold(s, c);
        }
        p = move_to(q, i, at, TARN_OUTER(q->colds.prev, struct loop_cold, node)->to);
    }
    while (err->code == TARN_OK && q->n_colds < COLD_JOBS && p.i < q->n &&
           (c = make_cold(s, &p, UINT64_MAX, err)) != NULL) {
        tarn_list_push_back(&q->colds, &c->node);
        submit_cold(s, c);
    }
    if (tarn_list_empty(&q->colds) && err->code == TARN_OK)
        loop_idle_set(l, &s->idle); /* it came into memory by itself meanwhile */
    return err->code == TARN_OK;
}

/* What goes out with one call. */
struct batch {
    struct sys_span spans[SPANS];
    size_t n;
    size_t len;
    bool is_cold; /* stopped before run `stop`, which is not in memory */
    size_t stop;
};

static bool follows(const struct run *r, const struct sys_file *file, uint64_t off)
{
    return r->file == file && r->off == off;
}

/* How much of run i, which stands at position `at` and of which len bytes could go, is in memory?
 * Runs that follow it in the file are asked about with it, and remembered. */
static size_t in_memory(struct loop_stream *s, size_t i, size_t len, uint64_t at)
{
    struct loop_send *q = s->send;
    const struct run *r = &q->runs[i];
    size_t sum = tarn_min_size(r->len, ASKED), next = i + 1;
    uint64_t to = at + sum;
    while (sum == r->len && next < q->n && follows(&q->runs[next], r->file, r->off + sum) &&
           sum + q->runs[next].len <= ASKED) {
        sum += q->runs[next].len;
        to += q->runs[next].len + (q->runs[next].after - q->runs[next - 1].after);
        next++;
    }
    if (ask(s, r->file, r->off, sum) == SYS_RESIDENT) {
        q->warm_to = to;
        q->warm_until_us = loop_now_us(s->loop) + WARM_US;
        return len;
    }
    return sum > len && ask(s, r->file, r->off, len) == SYS_RESIDENT ? len : 0;
}

/* How much of the first len bytes of run i, at position `at`, may be sent now. */
static size_t sendable(struct loop_stream *s, size_t i, size_t len, uint64_t at)
{
    const struct loop_send *q = s->send;
    if (at < q->warm_to && loop_now_us(s->loop) < q->warm_until_us)
        return (size_t)tarn_min_u64(len, q->warm_to - at);
    if (!tarn_list_empty(&q->colds) &&
        at >= TARN_OUTER(q->colds.next, struct loop_cold, node)->from)
        return 0;
    return in_memory(s, i, len, at);
}

/* From the front of the queue, about max bytes, up to the first that is not in memory. False: some
 * of it may not leave. */
static bool gather(struct loop_stream *s, struct batch *b, size_t max, struct tarn_err *err)
{
    const struct loop_send *q = s->send;
    const struct loop_guard *asked = NULL;
    size_t at = q->pos;
    for (size_t i = q->first; b->n + 2 <= SPANS && b->len < max; i++) {
        size_t heads_to = i < q->n ? (size_t)(q->runs[i].after - q->dropped) : q->bytes.len;
        if (heads_to > at) {
            b->spans[b->n++] = (struct sys_span){ .p = q->bytes.p + at, .len = heads_to - at };
            b->len += heads_to - at;
            at = heads_to;
        }
        if (i == q->n || b->len >= max)
            return true;
        const struct run *r = &q->runs[i];
        size_t len = sendable(s, i, tarn_min_size(r->len, max - b->len), s->sent + b->len);
        b->is_cold = len == 0;
        if (b->is_cold) {
            b->stop = i;
            return true;
        }
        if (r->guard != NULL && r->guard != asked && !r->guard->may_leave(r->guard, err))
            return false;
        asked = r->guard;
        b->spans[b->n++] = (struct sys_span){ .file = r->file, .off = r->off, .len = len };
        b->len += len;
        if (len < r->len)
            return true;
    }
    return true;
}

static void free_queue(struct loop_stream *s)
{
    struct loop_send *q = s->send;
    if (q == NULL)
        return;
    struct tarn_list *node;
    while ((node = tarn_list_pop_front(&q->colds)) != NULL) {
        struct loop_cold *c = TARN_OUTER(node, struct loop_cold, node);
        s->loop->io.cold_unused += c->len;
        c->stream = NULL;
        tarn_list_push_back(&s->loop->colds, &c->node);
        if (c->is_done)
            cold_free(c);
    }
    if (q->cold_to > s->sent)
        s->loop->io.cold_unused += tarn_min_u64(q->cold_to - s->sent, q->cold_len);
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
    if (s->tls != NULL)
        s->queued += s->tls->pending.len;
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
    bool is_plain = loop_tls_is_plain(s);
    *goes_on = false;
    *sent = 0;
    if (!gather(s, &b, is_plain ? max : tarn_min_size(max, LOOP_TLS_BATCH), err))
        return false;
    if (b.is_cold && !start_colds(s, b.stop, s->sent + b.len, err))
        return false;
    enum sys_io io = SYS_IO_DONE;
    if (b.n == 0 && !is_plain)
        io = loop_tls_flush(s, err);
    else if (b.n > 0 && !is_plain)
        io = loop_tls_send(s, b.spans, b.n, sent, err);
    else if (b.n > 0)
        io = sys_send_spans(s->watch.fd, b.spans, b.n, b.len, &s->loop->sender, sent, err);
    consume(s, *sent);
    if (io == SYS_IO_FAIL)
        return false;
    s->wants_write = io == SYS_IO_AGAIN;
    *goes_on = io == SYS_IO_DONE && b.n > 0 && !b.is_cold;
    return true;
}

/* What TLS has to say first. A little waits for what is encrypted behind it, so that both leave in
 * one call. *goes_on: the queue may follow. */
static bool send_pending(struct loop_stream *s, bool *goes_on, struct tarn_err *err)
{
    *goes_on = s->send != NULL && loop_tls_is_open(s);
    if (s->tls == NULL ||
        (*goes_on && !loop_tls_is_plain(s) && s->tls->pending.len <= LOOP_TLS_TOGETHER &&
         tarn_out_ok(&s->tls->pending)))
        return true;
    enum sys_io io = loop_tls_flush(s, err);
    s->wants_write = io == SYS_IO_AGAIN;
    *goes_on = *goes_on && io == SYS_IO_DONE;
    return io != SYS_IO_FAIL;
}

/* Send until the socket is full, a disk must be read, nothing is left, or it is another's turn. */
bool loop_send_some(struct loop_stream *s, struct tarn_err *err)
{
    s->wants_write = false;
    if (!is_whole(s, err))
        return false;
    size_t left = LOOP_STREAM_TURN_MAX;
    bool goes_on;
    if (!send_pending(s, &goes_on, err))
        return false;
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
    if (q == NULL)
        return;
    int64_t before = q->woken_us, since = loop_now_us(s->loop) - before;
    q->woken_us = loop_now_us(s->loop);
    if (before == 0)
        return;
    uint8_t was = s->doubled;
    int64_t soon_us = s->ops->is_bulk ? LOOP_STREAM_SOON_BULK_US : LOOP_STREAM_SOON_US;
    int most = s->ops->is_bulk ? LOOP_STREAM_DOUBLED_BULK_MAX : LOOP_STREAM_DOUBLED_MAX;
    if (since < soon_us && was < most)
        s->doubled++;
    else if (since > LOOP_STREAM_LATE_US && was > 0)
        s->doubled--;
    if (s->doubled != was)
        sys_set_unsent_low(s->watch.fd, (uint32_t)LOOP_STREAM_UNSENT << s->doubled);
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
        if (s->send != NULL) {
            tarn_out_init(&s->send->bytes, LOOP_STREAM_OUT_MAX);
            tarn_list_init(&s->send->colds);
        }
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
                           uint64_t off, const struct loop_guard *guard)
{
    if (q->first == q->n)
        return false;
    const struct run *last = &q->runs[q->n - 1];
    return last->after == after && last->file == file && last->guard == guard &&
           last->off + last->len == off;
}

bool loop_stream_send_file(struct loop_stream *s, struct sys_file *file, uint64_t off, size_t len)
{
    return loop_stream_send_guarded(s, file, off, len, NULL);
}

bool loop_stream_send_guarded(struct loop_stream *s, struct sys_file *file, uint64_t off,
                              size_t len, struct loop_guard *guard)
{
    struct loop_send *q = queue_of(s);
    if (q == NULL)
        return s->is_ended;
    if (len == 0)
        return true;
    uint64_t after = q->dropped + q->bytes.len;
    if (continues_last(q, after, file, off, guard))
        q->runs[q->n - 1].len += len;
    else if (TARN_GROW(q->runs, q->n, q->cap))
        q->runs[q->n++] = (struct run){ after, sys_file_ref(file), off, len, guard };
    else
        return false;
    q->in_runs += len;
    loop_send_count(s);
    return true;
}

size_t loop_stream_queued(struct loop_stream *s)
{
    loop_send_count(s);
    return s->queued;
}

void loop_io_stats(const struct loop *l, struct loop_io_stats *stats)
{
    *stats = l->io;
    stats->by_sendfile = l->sender.by_sendfile;
    stats->copied = l->sender.copied;
    stats->mapped = l->sender.mapped;
}
