/* What the tests of streams over TLS share: a stream that takes and remembers, a client of
 * OpenSSL's at the other end of its connection, and the carrying of bytes between that client and
 * its socket in any slices. */
#ifndef LOOP_TEST_TLS_SCENE_H
#define LOOP_TEST_TLS_SCENE_H

#include "base/num.h"
#include "crypt/test/certs.h"
#include "loop/stream.h"
#include "loop/test/turns.h"
#include "loop/tls.h"

#include <sys/socket.h>

enum { FILE_LEN = 3 << 20 };

/* Takes what comes, at random into places, and remembers it. */
struct taker {
    struct loop_stream stream;
    struct tarn_out got;
    uint64_t *seed;
    unsigned pause_in; /* one delivery in so many pauses; 0: none */
    bool uses_places, is_open, has_ended;
    bool goes_on, has_finished; /* when the client sends no more; it does not */
    bool *released;
    int drains, runs_left; /* queued in on_drain */
    struct sys_file *file;
    struct tarn_out want; /* what the client is to get */
    struct tarn_err end;
    uint8_t place[40000];
    struct sys_buf places[3];
    enum { NEVER, IN_PLACES, IN_BYTES, IN_OPEN, IN_DRAIN, IN_END } release;
};

static uint8_t *pattern;

static inline void taker_free(struct taker *t)
{
    loop_stream_release(&t->stream);
    tarn_out_release(&t->got);
    tarn_out_release(&t->want);
    tarn_free(t);
}

static inline bool release_now(struct taker *t, int when)
{
    if ((int)t->release != when)
        return false;
    *t->released = true;
    taker_free(t);
    return true;
}

static inline size_t on_places(struct loop_stream *s, struct sys_buf *places)
{
    struct taker *t = TARN_OUTER(s, struct taker, stream);
    if (release_now(t, IN_PLACES))
        return 0;
    size_t at = 0, n = 0;
    while (t->uses_places && n < TARN_COUNT_OF(t->places)) {
        size_t len = (size_t)test_rand_below(t->seed, sizeof t->place / 3);
        t->places[n] = places[n] = (struct sys_buf){ t->place + at, len };
        at += len;
        n++;
    }
    return n;
}

static inline void on_bytes(struct loop_stream *s, size_t placed, struct tarn_cur *in)
{
    struct taker *t = TARN_OUTER(s, struct taker, stream);
    for (size_t i = 0, left = placed; left > 0; i++) {
        size_t len = tarn_min_size(left, t->places[i].len);
        tarn_out_put(&t->got, tarn_bytes_of(t->places[i].p, len));
        left -= len;
    }
    if (release_now(t, IN_BYTES))
        return;
    size_t n = tarn_cur_left(in);
    if (t->pause_in > 0 && test_rand_below(t->seed, t->pause_in) == 0) {
        loop_stream_pause(s);
        n = (size_t)test_rand_below(t->seed, n + 1);
    } else if (test_rand_below(t->seed, 3) == 0 && n > 0) {
        n--; /* the last byte is left, as of an unfinished message */
    }
    struct tarn_bytes part = tarn_cur_take(in, n);
    tarn_out_put(&t->got, part);
}

static inline void on_open(struct loop_stream *s)
{
    struct taker *t = TARN_OUTER(s, struct taker, stream);
    assert_false(t->is_open);
    t->is_open = true;
    (void)release_now(t, IN_OPEN);
}

static inline void put_head(struct taker *t, const void *p, size_t len)
{
    tarn_out_put(loop_stream_out(&t->stream), tarn_bytes_of(p, len));
    tarn_out_put(&t->want, tarn_bytes_of(p, len));
}

static inline void put_run(struct taker *t, uint64_t off, size_t len)
{
    assert_true(loop_stream_send_file(&t->stream, t->file, off, len));
    tarn_out_put(&t->want, tarn_bytes_of(pattern + off, len));
}

static inline void on_drain(struct loop_stream *s)
{
    struct taker *t = TARN_OUTER(s, struct taker, stream);
    assert_true(s->queued < LOOP_STREAM_LOW);
    t->drains++;
    if (release_now(t, IN_DRAIN))
        return;
    if (t->runs_left > 0) {
        t->runs_left--;
        put_head(t, "a run follows", 13);
        put_run(t, (uint64_t)t->runs_left, 300000);
    }
}

static inline void on_end(struct loop_stream *s, const struct tarn_err *err)
{
    struct taker *t = TARN_OUTER(s, struct taker, stream);
    assert_false(t->has_ended);
    t->has_ended = true;
    t->end = *err;
    (void)release_now(t, IN_END);
}

static inline bool on_finish(struct loop_stream *s)
{
    struct taker *t = TARN_OUTER(s, struct taker, stream);
    assert_false(t->has_finished);
    t->has_finished = true;
    return t->goes_on;
}

static const struct loop_stream_ops ops = { .places = on_places,
                                            .on_bytes = on_bytes,
                                            .on_open = on_open,
                                            .on_drain = on_drain,
                                            .on_finish = on_finish,
                                            .on_end = on_end };

struct scene {
    struct loop *loop;
    struct crypt_tls *tls;
    struct taker *taker;
    struct sys_file *file;
    bool is_released;
    struct client client;
    int far;
    bool far_ended;
    size_t slice_max; /* of the wire, both ways; 0: as much as there is */
    size_t arrived;   /* at the client */
    uint64_t seed;
};

static inline void scene_begin_with(struct scene *x, int version, struct crypt_tls *tls)
{
    memset(x, 0, sizeof *x);
    x->seed = test_seed();
    x->loop = turns_loop(2);
    x->tls = crypt_tls_ref(tls);
    struct wire w = wire_open(false);
    struct sys_addr peer = { .port = 1 };
    x->far = w.b;
    x->taker = tarn_calloc(1, sizeof *x->taker);
    assert_non_null(x->taker);
    x->taker->seed = &x->seed;
    x->taker->released = &x->is_released;
    tarn_out_init(&x->taker->got, 256 << 20);
    tarn_out_init(&x->taker->want, 256 << 20);
    room_put("content", pattern, FILE_LEN);
    x->file = x->taker->file = sys_file_new(sys_open("content", SYS_OPEN_READ, NULL));
    assert_true(loop_stream_accept_tls(&x->taker->stream, x->loop, &ops, w.a, &peer, tls, NULL));
    assert_non_null(loop_stream_tls(&x->taker->stream));
    client_begin(&x->client, version, NULL);
}

static inline void scene_begin(struct scene *x, int version)
{
    struct crypt_tls *tls = certs_tls("here");
    scene_begin_with(x, version, tls);
    crypt_tls_unref(tls);
}

static inline void scene_end(struct scene *x)
{
    client_end(&x->client);
    if (!x->is_released)
        taker_free(x->taker);
    sys_close(&x->far);
    loop_free(x->loop);
    assert_int_equal(x->file->refs, 1);
    sys_file_unref(x->file);
    crypt_tls_unref(x->tls);
}

static inline size_t slice(struct scene *x, size_t all)
{
    return x->slice_max == 0
               ? all
               : tarn_min_size(all, (size_t)test_rand_below(&x->seed, x->slice_max) + 1);
}

/* Bytes between the client and its socket. */
static inline void carry(struct scene *x)
{
    static uint8_t buf[1 << 18];
    ssize_t n = recv(x->far, buf, slice(x, sizeof buf), MSG_DONTWAIT);
    if (n > 0)
        assert_int_equal(BIO_write(x->client.in, buf, (int)n), n);
    x->far_ended = x->far_ended || n == 0 || (n < 0 && errno == ECONNRESET);
    char *p;
    long waiting = BIO_get_mem_data(x->client.out, &p);
    if (waiting <= 0)
        return;
    size_t len = slice(x, tarn_min_size((size_t)waiting, sizeof buf));
    n = send(x->far, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) /* take so much out */
        assert_int_equal(BIO_read(x->client.out, buf, (int)n), n);
}

/* Turn the loop and carry until it is so; done as a loop's condition. */
#define CARRY_UNTIL(x, condition) TURN_WHILE_DOING((x)->loop, (carry(x), (condition)))

static inline bool shaken(struct scene *x)
{
    ERR_clear_error();
    return SSL_do_handshake(x->client.ssl) == 1;
}

static inline void shake(struct scene *x)
{
    CARRY_UNTIL(x, shaken(x) && x->taker->is_open);
}

/* Take what the client has, and compare it. What SSL_read answered at last is returned. */
static inline int take(struct scene *x, size_t max)
{
    static uint8_t buf[1 << 16];
    int n = 1;
    ERR_clear_error();
    for (size_t sum = 0; sum < max && n > 0; sum += (size_t)n) {
        n = SSL_read(x->client.ssl, buf, (int)tarn_min_size(sizeof buf, max - sum));
        if (n <= 0)
            break;
        assert_true(x->arrived + (size_t)n <= x->taker->want.len);
        assert_memory_equal(buf, x->taker->want.p + x->arrived, (size_t)n);
        x->arrived += (size_t)n;
    }
    return SSL_get_error(x->client.ssl, n);
}

#define TAKE_ALL(x) CARRY_UNTIL(x, (take((x), SIZE_MAX), (x)->arrived == (x)->taker->want.len))

static inline void say(struct scene *x, const void *p, size_t len)
{
    assert_int_equal(SSL_write(x->client.ssl, p, (int)len), (int)len);
}

static inline int make_pattern(void **state)
{
    (void)state;
    pattern = room_pattern(FILE_LEN);
    return 0;
}

static inline int free_pattern(void **state)
{
    (void)state;
    tarn_free(pattern);
    return 0;
}

#define TLS_TEST_MAIN(...) \
    int main(void) \
    { \
        const struct CMUnitTest tests[] = { __VA_ARGS__ }; \
        cmocka_set_message_output(CM_OUTPUT_TAP); \
        return cmocka_run_group_tests(tests, make_pattern, free_pattern); \
    }

#endif
