/* loop/stream: receiving, and when what happens. The send queue is in send.c.
 *
 * What is received lies behind the rest of last time, so that a message is always in one run:
 *
 *     recv:  [ rest, at most LOOP_REST_SMALL | received, at most recv_len ]
 *
 * A longer rest (a message of many segments) is not carried to and fro: it keeps its buffer, and is
 * received into. Both are handed to the owner as a cursor; only what he leaves is copied.
 *
 * A callback may release the stream. Whoever calls one holds a flag on the stack, s->gone points at
 * it, and release sets it; after each callback the flag is asked before s is touched. */
#include "loop/stream.h"

#include "base/num.h"
#include "loop/priv.h"

#include <assert.h>

enum { ROOM = 64 << 10 }; /* received at a time behind a long rest */

void loop_stream_end(struct loop_stream *s, const struct tarn_err *err)
{
    s->is_ended = true;
    if (s->tls != NULL && err->code != TARN_OK)
        s->tls->is_bad = true;
    loop_watch_remove(s->loop, &s->watch);
    loop_idle_stop(&s->idle);
    s->ops->on_end(s, err);
}

/* Ask the poller for what we now want. After a hang-up while paused the watch is out, and goes back
 * in when something is wanted. */
static void watch(struct loop_stream *s)
{
    bool reads = !s->is_paused && !s->has_finished;
    unsigned events = (reads ? SYS_READABLE : 0U) | (s->wants_write ? SYS_WRITABLE : 0U);
    if (s->is_connecting)
        events = SYS_WRITABLE;
    if (events == 0 && !s->watch.is_in)
        return;
    struct tarn_err err;
    if (!loop_watch_set(s->loop, &s->watch, events, &err))
        loop_stream_end(s, &err);
}

static void end_without_memory(struct loop_stream *s)
{
    struct tarn_err err;
    (void)tarn_fail_mem(&err, "receiving from a peer");
    loop_stream_end(s, &err);
}

/* Keep what the owner left; rest is the buffer it is in, or a spare. False: the stream has ended.
 */
static bool keep(struct loop_stream *s, struct tarn_bytes left, struct tarn_out *rest)
{
    if (left.len > LOOP_STREAM_REST_MAX) {
        struct tarn_err err;
        (void)tarn_fail(&err, TARN_E_POLICY, "a message is longer than %d bytes, the most we take",
                        LOOP_STREAM_REST_MAX);
        tarn_out_release(rest);
        loop_stream_end(s, &err);
        return false;
    }
    if (left.len > 0 && left.p == rest->p && left.len == rest->len) {
        s->rest = *rest; /* nothing was taken */
        return true;
    }
    tarn_out_init(&s->rest, LOOP_STREAM_REST_MAX + ROOM);
    tarn_out_put(&s->rest, left);
    tarn_out_release(rest);
    if (tarn_out_ok(&s->rest))
        return true;
    end_without_memory(s);
    return false;
}

/* Hand data to the owner, unless he has paused. rest is ours meanwhile, so that the bytes stay
 * though he releases the stream. False: the stream has ended or is gone. */
static bool deliver(struct loop_stream *s, size_t placed, struct tarn_bytes data,
                    struct tarn_out *rest, const bool *gone)
{
    struct tarn_cur in = tarn_cur_of(data);
    if (!s->is_paused)
        s->ops->on_bytes(s, placed, &in);
    if (*gone) {
        tarn_out_release(rest);
        return false;
    }
    s->has_unread = s->is_paused && tarn_cur_left(&in) > 0;
    return keep(s, tarn_cur_rest(&in), rest);
}

static bool deliver_unread(struct loop_stream *s, const bool *gone)
{
    struct tarn_out rest = s->rest;
    s->rest = (struct tarn_out){ 0 };
    return deliver(s, 0, tarn_out_bytes(&rest), &rest, gone);
}

/* What was received: `placed` bytes in the owner's places, and some behind the rest at `front`. */
static bool deliver_received(struct loop_stream *s, const uint8_t *front, size_t placed,
                             size_t behind, const bool *gone)
{
    struct tarn_out rest = s->rest;
    s->rest = (struct tarn_out){ 0 };
    struct tarn_bytes data = tarn_bytes_of(front, rest.len + behind);
    if (front == rest.p)
        rest.len = data.len;
    return deliver(s, placed, data, &rest, gone);
}

/* Where bytes go that have no other place: behind the rest. front is where it begins. */
static struct sys_buf room_behind(struct loop *l, struct tarn_out *rest, const uint8_t **front)
{
    if (rest->len <= LOOP_REST_SMALL) {
        if (rest->len > 0)
            memcpy(l->recv, rest->p, rest->len);
        *front = l->recv;
        return (struct sys_buf){ l->recv + rest->len, l->recv_len };
    }
    uint8_t *room = tarn_out_room(rest, ROOM);
    if (room != NULL)
        rest->len -= ROOM;
    *front = rest->p;
    return (struct sys_buf){ room, room != NULL ? ROOM : 0 };
}

static size_t ask_places(struct loop_stream *s, struct sys_buf *bufs, size_t *placeable)
{
    *placeable = 0;
    if (s->ops->places == NULL || s->rest.len > 0)
        return 0;
    size_t n = s->ops->places(s, bufs);
    for (size_t i = 0; i < n; i++)
        *placeable += bufs[i].len;
    return n;
}

/* The other side sends no more. False: the stream has ended or is gone. */
static bool finish(struct loop_stream *s, const bool *gone)
{
    struct tarn_err none = { .code = TARN_OK };
    bool goes_on = s->ops->on_finish != NULL && s->ops->on_finish(s);
    if (*gone)
        return false;
    s->has_finished = goes_on;
    if (!goes_on)
        loop_stream_end(s, &none);
    return goes_on;
}

/* One receive. *received is how much came, 0 when that was all for now. False: the stream has ended
 * or is gone. */
static bool receive_once(struct loop_stream *s, size_t *received, bool *is_short, const bool *gone)
{
    struct sys_buf bufs[LOOP_STREAM_PLACES + 1];
    size_t placeable;
    *received = 0;
    size_t n = ask_places(s, bufs, &placeable);
    if (*gone)
        return false;
    if (s->is_paused)
        return true;

    const uint8_t *front;
    struct sys_buf room = room_behind(s->loop, &s->rest, &front);
    if (room.p == NULL) {
        end_without_memory(s);
        return false;
    }
    bufs[n++] = room;

    size_t got = 0;
    struct tarn_err err = { .code = TARN_OK };
    switch (sys_recv(s->watch.fd, bufs, n, &got, &err)) {
    case SYS_IO_AGAIN:
        return true;
    case SYS_IO_END:
        return finish(s, gone);
    case SYS_IO_FAIL:
        loop_stream_end(s, &err);
        return false;
    case SYS_IO_DONE:
        break;
    }
    s->received += got;
    *received = got;
    *is_short = got < placeable + room.len;

    size_t placed = tarn_min_size(got, placeable);
    return deliver_received(s, front, placed, got - placed, gone);
}

/* The handshake. *is_open: it is over. False: the stream has ended or is gone. */
static bool shake(struct loop_stream *s, struct tarn_cur *in, bool *is_open, const bool *gone)
{
    uint8_t none;
    const struct sys_buf nowhere = { &none, sizeof none };
    size_t got;
    struct tarn_err err;
    enum crypt_tls_step step = loop_tls_read(s, in, &nowhere, 1, &got, &err);
    *is_open = step == CRYPT_TLS_OPENED;
    if (step == CRYPT_TLS_MORE)
        return true;
    if (*is_open && s->ops->on_open != NULL)
        s->ops->on_open(s);
    else if (!*is_open)
        loop_stream_end(s, &err);
    return *is_open && !*gone;
}

/* Decrypt all of `in` and deliver what is in it. */
static bool take_tls(struct loop_stream *s, struct tarn_cur *in, const bool *gone)
{
    struct sys_buf bufs[LOOP_STREAM_PLACES + 1];
    size_t placeable = 0, n = 0, got;
    bool is_open = loop_tls_is_open(s);
    if (!is_open && !shake(s, in, &is_open, gone))
        return false;
    if (!is_open)
        return true;
    if (!s->is_paused)
        n = ask_places(s, bufs, &placeable);
    if (*gone)
        return false;
    if (s->is_paused) /* what has come is kept for him */
        n = placeable = 0;
    const uint8_t *front;
    bufs[n] = room_behind(s->loop, &s->rest, &front);
    if (bufs[n++].p == NULL) {
        end_without_memory(s);
        return false;
    }
    struct tarn_err err = { .code = TARN_OK };
    enum crypt_tls_step step = loop_tls_read(s, in, bufs, n, &got, &err);
    assert(step != CRYPT_TLS_BYTES); /* it all fits: receive_tls */
    s->received += got;
    size_t placed = tarn_min_size(got, placeable);
    if (got > 0 && !deliver_received(s, front, placed, got - placed, gone))
        return false;
    if (step == CRYPT_TLS_MORE)
        return true;
    if (step == CRYPT_TLS_END && s->has_unread) {
        s->tls->is_over = true; /* told when he has read that */
        return true;
    }
    if (step == CRYPT_TLS_END)
        return finish(s, gone);
    loop_stream_end(s, &err);
    return false;
}

/* As receive_once. No more is received than fits behind the rest when it is decrypted, with the
 * record that OpenSSL may have most of. */
static bool receive_tls(struct loop_stream *s, size_t *received, bool *is_short, const bool *gone)
{
    size_t room = s->rest.len <= LOOP_REST_SMALL ? s->loop->recv_len : ROOM;
    size_t max = tarn_min_size(room, LOOP_SCRATCH) - 2 * CRYPT_TLS_RECORD;
    struct tarn_cur in;
    struct tarn_err err;
    *received = 0;
    if (s->tls->is_over) /* the end of this turn sees to that */
        return true;
    switch (loop_tls_recv(s, max, &in, &err)) {
    case SYS_IO_AGAIN:
        return true;
    case SYS_IO_END:
    case SYS_IO_FAIL:
        loop_stream_end(s, &err);
        return false;
    case SYS_IO_DONE:
        break;
    }
    *received = tarn_cur_left(&in);
    *is_short = *received < max;
    return take_tls(s, &in, gone);
}

/* Until the socket is empty, or others should have their turn: the poller tells again. A short
 * receive means empty, which saves the call that would say so. */
static bool receive(struct loop_stream *s, const bool *gone)
{
    bool is_short = false;
    for (size_t sum = 0;
         sum < LOOP_STREAM_TURN_MAX && !is_short && !s->is_paused && !s->has_finished;) {
        size_t received;
        if (s->tls != NULL ? !receive_tls(s, &received, &is_short, gone)
                           : !receive_once(s, &received, &is_short, gone))
            return false;
        if (received == 0)
            break;
        sum += received;
    }
    return true;
}

static bool open(struct loop_stream *s, const bool *gone)
{
    struct tarn_err err;
    if (!sys_connect_done(s->watch.fd, &err)) {
        loop_stream_end(s, &err);
        return false;
    }
    s->is_connecting = false;
    if (s->ops->on_open != NULL)
        s->ops->on_open(s);
    return !*gone;
}

static uint64_t has_left(const struct loop_stream *s)
{
    return s->sent + (s->tls != NULL ? s->tls->flushed : 0);
}

/* Send what is queued. False: the stream has ended or is gone. */
static bool send(struct loop_stream *s, const bool *gone)
{
    uint64_t before = has_left(s);
    struct tarn_err err;
    if (!loop_send_some(s, &err)) {
        loop_stream_end(s, &err);
        return false;
    }
    if (has_left(s) == before || s->queued >= LOOP_STREAM_LOW || s->ops->on_drain == NULL)
        return true;
    s->ops->on_drain(s);
    return !*gone;
}

/* Paused, we asked for nothing to read, so this is an error or a hang-up. It is told when the owner
 * reads on, or now if there is something to send. */
static bool hung_up(struct loop_stream *s, const bool *gone)
{
    if (s->wants_write)
        return send(s, gone);
    loop_watch_remove(s->loop, &s->watch);
    return true;
}

static bool serve(struct loop_stream *s, unsigned events, const bool *gone)
{
    if (s->is_connecting)
        return open(s, gone);
    if ((s->is_paused || s->has_finished) && (s->watch.events & SYS_READABLE) == 0 &&
        (events & SYS_READABLE) != 0)
        return hung_up(s, gone);
    if ((events & SYS_READABLE) != 0 && !receive(s, gone))
        return false;
    if ((events & SYS_WRITABLE) != 0 && s->wants_write) {
        loop_send_woken(s);
        return send(s, gone);
    }
    return true;
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    struct loop_stream *s = TARN_OUTER(w, struct loop_stream, watch);
    bool gone = false;
    s->gone = &gone;
    bool goes_on = serve(s, events, &gone);
    if (gone)
        return;
    s->gone = NULL;
    if (goes_on)
        watch(s);
}

/* The end of a turn in which the owner did something: send all that he queued in one go. */
static void on_idle(struct loop_idle *i)
{
    struct loop_stream *s = TARN_OUTER(i, struct loop_stream, idle);
    bool gone = false;
    bool goes_on = true;
    s->gone = &gone;
    if (s->has_unread && !s->is_paused)
        goes_on = deliver_unread(s, &gone);
    if (goes_on && s->tls != NULL && s->tls->is_over && !s->has_unread) {
        s->tls->is_over = false;
        goes_on = finish(s, &gone);
    }
    if (goes_on && !s->is_connecting && !s->wants_write)
        goes_on = send(s, &gone);
    if (gone)
        return;
    s->gone = NULL;
    if (goes_on)
        watch(s);
}

static void begin(struct loop_stream *s, struct loop *l, const struct loop_stream_ops *ops,
                  const struct sys_addr *peer)
{
    *s = (struct loop_stream){ .ops = ops, .loop = l, .peer = *peer };
    s->watch.on_ready = on_ready;
    s->watch.fd = -1;
    s->idle.on_idle = on_idle;
}

static bool take(struct loop_stream *s, int fd, struct tarn_err *err)
{
    s->watch.fd = fd;
    sys_set_unsent_low(fd, LOOP_STREAM_UNSENT);
    if (loop_watch_set(s->loop, &s->watch, s->is_connecting ? SYS_WRITABLE : SYS_READABLE, err))
        return true;
    s->is_ended = true;
    sys_close(&s->watch.fd);
    return false;
}

bool loop_stream_accept(struct loop_stream *s, struct loop *l, const struct loop_stream_ops *ops,
                        int fd, const struct sys_addr *peer, struct tarn_err *err)
{
    begin(s, l, ops, peer);
    return take(s, fd, err);
}

bool loop_stream_accept_tls(struct loop_stream *s, struct loop *l,
                            const struct loop_stream_ops *ops, int fd, const struct sys_addr *peer,
                            struct crypt_tls *tls, struct tarn_err *err)
{
    begin(s, l, ops, peer);
    s->watch.fd = fd;
    if (!loop_tls_begin(s, tls, err)) {
        s->is_ended = true;
        sys_close(&s->watch.fd);
        return false;
    }
    if (take(s, fd, err))
        return true;
    s->tls->is_bad = true;
    loop_tls_release(s);
    return false;
}

bool loop_stream_connect(struct loop_stream *s, struct loop *l, const struct loop_stream_ops *ops,
                         const struct sys_addr *to, struct tarn_err *err)
{
    begin(s, l, ops, to);
    s->is_connecting = true;
    int fd = sys_tcp_connect(to, err);
    if (fd >= 0)
        return take(s, fd, err);
    s->is_ended = true;
    return false;
}

void loop_stream_release(struct loop_stream *s)
{
    if (s->loop == NULL)
        return;
    if (s->gone != NULL)
        *s->gone = true;
    loop_watch_remove(s->loop, &s->watch);
    loop_idle_stop(&s->idle);
    loop_tls_release(s);
    loop_send_drop(s);
    tarn_out_release(&s->rest);
    sys_close(&s->watch.fd);
    *s = (struct loop_stream){ 0 };
}

void loop_stream_finish(struct loop_stream *s)
{
    if (s->loop == NULL || s->is_ended)
        return;
    assert(s->queued == 0);
    if (s->tls != NULL)
        loop_tls_finish(s);
    else
        sys_shutdown_write(s->watch.fd);
}

/* Both take effect on the poller at the end of the turn, so that going to and fro costs nothing. */
void loop_stream_pause(struct loop_stream *s)
{
    if (s->loop == NULL || s->is_ended)
        return;
    s->is_paused = true;
    loop_idle_set(s->loop, &s->idle);
}

void loop_stream_resume(struct loop_stream *s)
{
    if (s->loop == NULL || s->is_ended)
        return;
    s->is_paused = false;
    loop_idle_set(s->loop, &s->idle);
}
