/* loop/tls: what streams do differently over TLS; when it happens is stream.c's and send.c's.
 *
 * Both ways pass through the loop's scratch, which nobody else uses meanwhile: what is received
 * lies there until it is decrypted into the owner's places; what is sent is read into its first
 * half and encrypted into the second, seven records at a time, which stay in the second cache on
 * their way:
 *
 *     scratch:  [ head | run of a file | head | ...  ][ record | record | ...  ]
 *
 * So a stream has memory of its own (pending) only for what the socket did not take. */
#include "loop/tls.h"

#include "base/mem.h"
#include "base/num.h"
#include "loop/priv.h"

#include <assert.h>

enum { HALF = LOOP_SCRATCH / 2 };
static_assert(LOOP_TLS_BATCH + (LOOP_TLS_BATCH / CRYPT_TLS_RECORD + 1) * CRYPT_TLS_OVER <= HALF,
              "a batch and what TLS adds to it fit into one half");

bool loop_tls_begin(struct loop_stream *s, struct crypt_tls *tls, struct tarn_err *err)
{
    if (s->loop->recv_len < LOOP_TLS_RECV_MIN)
        return tarn_fail(err, TARN_E_USAGE, "TLS needs a receive buffer of %d bytes (recv_len)",
                         LOOP_TLS_RECV_MIN);
    struct loop_tls *t = tarn_calloc(1, sizeof *t);
    if (t == NULL)
        return tarn_fail_mem(err, "beginning a TLS connection");
    tarn_out_init(&t->pending, LOOP_TLS_PENDING_MAX);
    t->conn = crypt_tls_accept(tls, sys_offload_tls(s->watch.fd) ? s->watch.fd : -1, err);
    s->tls = t;
    if (t->conn != NULL)
        return true;
    loop_tls_release(s);
    return false;
}

/* All that was queued has left, and the other side shall know that it has all of it: it goes
 * behind that, however much of it the kernel still has. */
static enum sys_io say_goodbye(struct loop_stream *s)
{
    struct tarn_err lost; /* what the socket does not take: as a FIN may be */
    sys_set_unsent_low(s->watch.fd, UINT32_MAX);
    crypt_tls_end(s->tls->conn, &s->tls->pending);
    return loop_tls_flush(s, &lost);
}

void loop_tls_finish(struct loop_stream *s)
{
    struct loop_tls *t = s->tls;
    if (t->is_bad || t->finishes)
        return;
    t->finishes = true;
    if (say_goodbye(s) == SYS_IO_AGAIN) /* the rest, when the socket takes it */
        loop_idle_set(s->loop, &s->idle);
}

void loop_tls_release(struct loop_stream *s)
{
    struct loop_tls *t = s->tls;
    if (t == NULL)
        return;
    loop_send_count(s);
    if (t->conn != NULL && !t->is_bad && !t->finishes && s->queued == 0 && !s->is_starving)
        (void)say_goodbye(s);
    crypt_tls_free(t->conn);
    tarn_out_release(&t->pending);
    tarn_free(t);
    s->tls = NULL;
}

bool loop_tls_is_open(const struct loop_stream *s)
{
    return s->tls == NULL || crypt_tls_is_open(s->tls->conn);
}

bool loop_tls_is_plain(const struct loop_stream *s)
{
    return s->tls == NULL || crypt_tls_is_kernel(s->tls->conn);
}

const struct crypt_tls_conn *loop_stream_tls(const struct loop_stream *s)
{
    return s->tls == NULL ? NULL : s->tls->conn;
}

enum sys_io loop_tls_recv(struct loop_stream *s, size_t max, struct tarn_cur *in,
                          struct tarn_err *err)
{
    struct sys_buf to = { s->loop->sender.scratch.p, tarn_min_size(max, LOOP_SCRATCH) };
    size_t got = 0;
    enum sys_io io = sys_recv(s->watch.fd, &to, 1, &got, err);
    *in = tarn_cur_of(tarn_bytes_of(to.p, got));
    if (io != SYS_IO_END)
        return io;
    tarn_fail(err, TARN_E_NETWORK,
              loop_tls_is_open(s) ? "the connection was cut: it ended without TLS's close_notify"
                                  : "the connection ended in the TLS handshake");
    return SYS_IO_FAIL;
}

enum crypt_tls_step loop_tls_read(struct loop_stream *s, struct tarn_cur *in,
                                  const struct sys_buf *bufs, size_t n, size_t *got,
                                  struct tarn_err *err)
{
    struct loop_tls *t = s->tls;
    enum crypt_tls_step step = CRYPT_TLS_BYTES;
    size_t at = 0;
    *got = 0;
    for (size_t i = 0; i < n && step == CRYPT_TLS_BYTES;) {
        if (at == bufs[i].len) {
            i++;
            at = 0;
            continue;
        }
        size_t part = 0;
        step =
            crypt_tls_read(t->conn, in, &t->pending, bufs[i].p + at, bufs[i].len - at, &part, err);
        at += part;
        *got += part;
    }
    if (step == CRYPT_TLS_BAD) {
        struct tarn_err lost;
        t->is_bad = true;
        (void)loop_tls_flush(s, &lost); /* the alert that says so, if it can */
    }
    if (t->pending.len > 0)
        loop_idle_set(s->loop, &s->idle);
    return step;
}

/* So much of pending has left. */
static void drop_pending(struct loop_tls *t, size_t n)
{
    t->flushed += n;
    if (n < t->pending.len)
        tarn_out_drop(&t->pending, n);
    else
        tarn_out_release(&t->pending);
    t->pending.limit = LOOP_TLS_PENDING_MAX;
}

enum sys_io loop_tls_flush(struct loop_stream *s, struct tarn_err *err)
{
    struct loop_tls *t = s->tls;
    size_t sent = 0;
    if (!tarn_out_ok(&t->pending)) {
        (void)tarn_fail_mem(err, "sending over TLS");
        return SYS_IO_FAIL;
    }
    enum sys_io io = SYS_IO_DONE;
    if (t->pending.len > 0) {
        struct sys_span span = { .p = t->pending.p, .len = t->pending.len };
        io = sys_send_spans(s->watch.fd, &span, 1, span.len, &s->loop->sender, &sent, err);
        drop_pending(t, sent);
    }
    if (io == SYS_IO_DONE && t->finishes)
        sys_shutdown_write(s->watch.fd);
    return io;
}

/* The spans, one behind the other, as much as makes a batch. */
static bool copy_spans(struct loop_stream *s, const struct sys_span *spans, size_t n, uint8_t *to,
                       size_t *len, struct tarn_err *err)
{
    *len = 0;
    for (size_t i = 0; i < n && *len < LOOP_TLS_BATCH; i++) {
        struct sys_span span = spans[i];
        span.len = tarn_min_size(span.len, LOOP_TLS_BATCH - *len);
        if (span.file == NULL)
            memcpy(to + *len, span.p, span.len);
        else if (sys_read_span(&span, to + *len, err))
            s->loop->sender.copied += span.len;
        else
            return false;
        *len += span.len;
    }
    return true;
}

enum sys_io loop_tls_send(struct loop_stream *s, const struct sys_span *spans, size_t n,
                          size_t *sent, struct tarn_err *err)
{
    struct loop_tls *t = s->tls;
    uint8_t *scratch = s->loop->sender.scratch.p;
    struct tarn_out out;
    size_t len, gone = 0;
    tarn_out_fixed(&out, scratch + HALF, HALF);
    if (!copy_spans(s, spans, n, scratch, &len, err) ||
        !crypt_tls_write(t->conn, tarn_bytes_of(scratch, len), &out, err))
        return SYS_IO_FAIL;
    struct sys_span both[] = { { .p = t->pending.p, .len = t->pending.len },
                               { .p = out.p, .len = out.len } };
    enum sys_io io = sys_send_spans(s->watch.fd, both, 2, both[0].len + both[1].len,
                                    &s->loop->sender, &gone, err);
    size_t of_pending = tarn_min_size(gone, t->pending.len);
    drop_pending(t, of_pending);
    gone -= of_pending;
    tarn_out_put(&t->pending, tarn_bytes_of(out.p + gone, out.len - gone));
    *sent = len;
    if (io != SYS_IO_FAIL && !tarn_out_ok(&t->pending)) {
        (void)tarn_fail_mem(err, "sending over TLS");
        return SYS_IO_FAIL;
    }
    return io;
}
