/* Streams over TLS: what test/stream_test.c and test/send_test.c ask of plain ones, with a client
 * of OpenSSL's at the other end whose bytes come in any slices, and what only TLS can get wrong. */
#include "loop/tls.h"

#include "base/num.h"
#include "crypt/test/certs.h"
#include "loop/pool.h"
#include "loop/stream.h"
#include "loop/test/turns.h"

#include <malloc.h>
#include <sys/socket.h>
#include <sys/stat.h>

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

static void taker_free(struct taker *t)
{
    loop_stream_release(&t->stream);
    tarn_out_release(&t->got);
    tarn_out_release(&t->want);
    tarn_free(t);
}

static bool release_now(struct taker *t, int when)
{
    if ((int)t->release != when)
        return false;
    *t->released = true;
    taker_free(t);
    return true;
}

static size_t on_places(struct loop_stream *s, struct sys_buf *places)
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

static void on_bytes(struct loop_stream *s, size_t placed, struct tarn_cur *in)
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

static void on_open(struct loop_stream *s)
{
    struct taker *t = TARN_OUTER(s, struct taker, stream);
    assert_false(t->is_open);
    t->is_open = true;
    (void)release_now(t, IN_OPEN);
}

static void put_head(struct taker *t, const void *p, size_t len)
{
    tarn_out_put(loop_stream_out(&t->stream), tarn_bytes_of(p, len));
    tarn_out_put(&t->want, tarn_bytes_of(p, len));
}

static void put_run(struct taker *t, uint64_t off, size_t len)
{
    assert_true(loop_stream_send_file(&t->stream, t->file, off, len));
    tarn_out_put(&t->want, tarn_bytes_of(pattern + off, len));
}

static void on_drain(struct loop_stream *s)
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

static void on_end(struct loop_stream *s, const struct tarn_err *err)
{
    struct taker *t = TARN_OUTER(s, struct taker, stream);
    assert_false(t->has_ended);
    t->has_ended = true;
    t->end = *err;
    (void)release_now(t, IN_END);
}

static bool on_finish(struct loop_stream *s)
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

static void scene_begin_with(struct scene *x, int version, struct crypt_tls *tls)
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

static void scene_begin(struct scene *x, int version)
{
    struct crypt_tls *tls = certs_tls("here");
    scene_begin_with(x, version, tls);
    crypt_tls_unref(tls);
}

static void scene_end(struct scene *x)
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

static size_t slice(struct scene *x, size_t all)
{
    return x->slice_max == 0
               ? all
               : tarn_min_size(all, (size_t)test_rand_below(&x->seed, x->slice_max) + 1);
}

/* Bytes between the client and its socket. */
static void carry(struct scene *x)
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

static bool shaken(struct scene *x)
{
    ERR_clear_error();
    return SSL_do_handshake(x->client.ssl) == 1;
}

static void shake(struct scene *x)
{
    CARRY_UNTIL(x, shaken(x) && x->taker->is_open);
}

/* Take what the client has, and compare it. What SSL_read answered at last is returned. */
static int take(struct scene *x, size_t max)
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

static void say(struct scene *x, const void *p, size_t len)
{
    assert_int_equal(SSL_write(x->client.ssl, p, (int)len), (int)len);
}

static void test_hello(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct scene x;
        scene_begin(&x, version);
        put_head(x.taker, "queued before", 13); /* goes when it is open */
        shake(&x);
        assert_int_equal(x.taker->stream.received, 0);
        TAKE_ALL(&x);
        say(&x, "a question", 10);
        CARRY_UNTIL(&x, x.taker->stream.received == 10);
        put_head(x.taker, "an answer", 9);
        TAKE_ALL(&x);
        turns_settle(x.loop);
        assert_int_equal(x.taker->stream.sent, 22);
        assert_int_equal(x.taker->stream.queued, 0);
        assert_null(x.taker->stream.send);
        const struct crypt_tls_conn *c = loop_stream_tls(&x.taker->stream);
        assert_string_equal(crypt_tls_version(c),
                            version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2");
        assert_false(crypt_tls_is_kernel(c)); /* nobody who runs this test has one yet */
        SSL_shutdown(x.client.ssl);
        CARRY_UNTIL(&x, x.taker->has_ended);
        assert_int_equal(x.taker->end.code, TARN_OK);
        scene_end(&x);
    }
}

/* Both ways at once, in slices of the wire and of our own calls. */
static void random_talk(int version, size_t slice_max, size_t len_max, int times, unsigned pause_in)
{
    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    struct scene x;
    scene_begin(&x, version);
    struct tarn_out said;
    tarn_out_init(&said, 64 << 20);
    x.slice_max = slice_max;
    x.taker->pause_in = pause_in;
    x.taker->uses_places = true;
    shake(&x);
    for (int i = 0; i < times; i++) {
        uint64_t off = test_rand_below(&x.seed, FILE_LEN - len_max);
        size_t len = (size_t)test_rand_below(&x.seed, len_max) + 1;
        switch (test_rand_below(&x.seed, 3)) {
        case 0:
            say(&x, pattern + off, len);
            tarn_out_put(&said, tarn_bytes_of(pattern + off, len));
            break;
        case 1:
            put_head(x.taker, pattern + off, tarn_min_size(len, 3000));
            break;
        default:
            put_run(x.taker, off, len);
        }
        for (int k = 0; k < 3; k++) {
            carry(&x);
            take(&x, (size_t)test_rand_below(&x.seed, len_max * 2) + 1);
            f.short_io = test_rand_below(&x.seed, 3) == 0
                             ? 0
                             : (size_t)test_rand_below(&x.seed, slice_max * 4) + 1;
            assert_true(loop_turn(x.loop, 0, NULL));
            if (x.taker->stream.is_paused && test_rand_below(&x.seed, 2) == 0)
                loop_stream_resume(&x.taker->stream);
        }
    }
    f.short_io = 0;
    x.slice_max = 0;
    x.taker->pause_in = 0;
    loop_stream_resume(&x.taker->stream);
    TAKE_ALL(&x);
    CARRY_UNTIL(&x, x.taker->stream.received == said.len);
    turns_settle(x.loop);
    /* one byte may have been left as unfinished, here as in any protocol */
    assert_true(x.taker->got.len + x.taker->stream.rest.len == said.len);
    assert_memory_equal(x.taker->got.p, said.p, x.taker->got.len);
    assert_false(x.taker->has_ended);
    assert_int_equal(x.taker->stream.sent, x.taker->want.len);
    assert_int_equal(x.taker->stream.queued, 0);
    assert_null(x.taker->stream.send);
    tarn_out_release(&said);
    scene_end(&x);
    sys_fake_remove(&f);
}

static void test_random_talks(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        random_talk(version, 7, 30, 200, 0);
        random_talk(version, 3000, 20000, 200, 0);
        random_talk(version, 100000, 400000, 40, 0);
        random_talk(version, 50, 200, 200, 3);
        random_talk(version, 30000, 60000, 100, 3);
    }
}

/* Uploads: the client says more at once than anything here holds. */
static void test_large_bodies(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x, TLS1_3_VERSION);
    shake(&x);
    for (int i = 0; i < 4; i++)
        say(&x, pattern, FILE_LEN);
    CARRY_UNTIL(&x, x.taker->stream.received == (uint64_t)4 * FILE_LEN);
    turns_settle(x.loop);
    assert_int_equal(x.taker->got.len + x.taker->stream.rest.len, 4 * FILE_LEN);
    for (size_t i = 0; i < 4; i++)
        assert_memory_equal(x.taker->got.p + i * FILE_LEN, pattern, FILE_LEN - 1);
    scene_end(&x);
}

/* Is all of it in memory? By mood. */
static uint64_t moods;
static int moody_resident(int fd, int64_t off, size_t len)
{
    (void)fd, (void)off, (void)len;
    errno = ENOSYS;
    return (int)test_rand_below(&moods, 3) - 1;
}

/* More than the sockets hold, to a client who reads a little at a time, refilled by on_drain; and
 * the same from files that are partly cold. */
static void test_large_files(void **state)
{
    (void)state;
    for (int is_moody = 0; is_moody < 2; is_moody++) {
        struct sys_ops moody = *room_ops;
        moody.resident = moody_resident;
        if (is_moody)
            sys_ops = &moody;
        struct scene x;
        scene_begin(&x, TLS1_3_VERSION);
        shake(&x);
        turns_settle(x.loop);
        x.taker->drains = 0;
        for (int i = 0; i < 6; i++)
            put_run(x.taker, 0, FILE_LEN);
        if (!is_moody) {
            turns_settle(x.loop);
            assert_true(x.taker->stream.queued > LOOP_STREAM_LOW);
            assert_int_equal(x.taker->drains, 0);
        }
        x.taker->runs_left = 50;
        CARRY_UNTIL(&x,
                    (take(&x, 100000), x.arrived == x.taker->want.len && x.taker->runs_left == 0));
        assert_true(x.taker->drains >= 50);
        struct loop_io_stats io;
        loop_io_stats(x.loop, &io);
        assert_int_equal(io.by_sendfile, 0);
        assert_int_equal(io.copied, 6 * FILE_LEN + 50 * 300000);
        assert_true(is_moody || io.cold_jobs == 0 || room_ops == &sys_ops_plain);
        scene_end(&x);
        sys_ops = room_ops;
    }
}

/* A head and a small file leave in one record and one call, with the rest of the handshake. */
static void test_small_answers(void **state)
{
    (void)state;
    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    struct scene x;
    scene_begin(&x, TLS1_3_VERSION);
    shake(&x);
    turns_settle(x.loop);
    f.resident = 1;
    unsigned before = f.calls[SYS_FAKE_SENDV];
    char *p;
    (void)take(&x, SIZE_MAX);
    assert_int_equal(BIO_get_mem_data(x.client.in, &p), 0);
    put_head(x.taker, "HTTP/1.1 200 OK\r\n\r\n", 19);
    put_run(x.taker, 0, 1024);
    CARRY_UNTIL(&x, BIO_get_mem_data(x.client.in, &p) > 0);
    assert_int_equal(f.calls[SYS_FAKE_SENDV], before + 1);
    assert_in_range(BIO_get_mem_data(x.client.in, &p), 5 + 19 + 1024, 5 + 19 + 1024 + 17);
    TAKE_ALL(&x);
    scene_end(&x);
    sys_fake_remove(&f);
}

/* Without a word: seen as such; also in the handshake. */
static void test_cut(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x, TLS1_3_VERSION);
    shake(&x);
    say(&x, "half", 4);
    CARRY_UNTIL(&x, x.taker->stream.received == 4);
    sys_close(&x.far);
    TURN_UNTIL(x.loop, x.taker->has_ended);
    assert_int_equal(x.taker->end.code, TARN_E_NETWORK);
    assert_string_equal(x.taker->end.msg,
                        "the connection was cut: it ended without TLS's close_notify");
    scene_end(&x);

    scene_begin(&x, TLS1_3_VERSION);
    assert_int_equal(write(x.far, "\x16\x03\x01", 3), 3);
    sys_close(&x.far);
    TURN_UNTIL(x.loop, x.taker->has_ended);
    assert_string_equal(x.taker->end.msg, "the connection ended in the TLS handshake");
    assert_false(x.taker->is_open);
    scene_end(&x);
}

/* The end comes with bytes that the owner does not want yet: he gets them first. */
static void test_end_while_paused(void **state)
{
    (void)state;
    for (int stays = 0; stays < 2; stays++) {
        struct scene x;
        scene_begin(&x, TLS1_3_VERSION);
        shake(&x);
        turns_settle(x.loop);
        x.taker->pause_in = 1;
        say(&x, "the last words", 14);
        SSL_shutdown(x.client.ssl);
        CARRY_UNTIL(&x, x.taker->stream.received == 14);
        if (!stays)
            sys_close(&x.far);
        turns_settle(x.loop);
        assert_false(x.taker->has_ended);
        x.taker->pause_in = 0;
        loop_stream_resume(&x.taker->stream);
        TURN_UNTIL(x.loop, x.taker->has_ended);
        assert_int_equal(x.taker->end.code, TARN_OK);
        assert_in_range(x.taker->got.len, 13, 14);
        assert_memory_equal(x.taker->got.p, "the last words", x.taker->got.len);
        scene_end(&x);
    }
}

/* A client that has asked and says that it will say no more is answered all the same, and then told
 * that this was all: behind what the kernel still has, when it takes nothing more for now. */
static void test_half_closed(void **state)
{
    (void)state;
    for (int is_paused = 0; is_paused < 2; is_paused++) {
        struct sys_fake f;
        sys_fake_install(&f, room_ops);
        struct scene x;
        scene_begin(&x, TLS1_3_VERSION);
        x.taker->goes_on = true;
        shake(&x);
        turns_settle(x.loop);
        x.taker->pause_in = (unsigned)is_paused;
        say(&x, "a question", 10);
        SSL_shutdown(x.client.ssl);
        CARRY_UNTIL(&x, x.taker->stream.received == 10);
        turns_settle(x.loop);
        assert_int_equal(x.taker->has_finished, !is_paused);
        x.taker->pause_in = 0;
        loop_stream_resume(&x.taker->stream);
        TURN_UNTIL(x.loop, x.taker->has_finished);
        turns_settle(x.loop); /* and it is not told twice */
        assert_int_equal(shutdown(x.far, SHUT_WR), 0);
        put_run(x.taker, 0, FILE_LEN);
        CARRY_UNTIL(&x, (take(&x, 100000),
                         x.taker->stream.queued == 0 && x.taker->stream.sent == FILE_LEN));
        f.fail[SYS_FAKE_SENDV] = (struct sys_fault){ .error = EAGAIN }; /* the next call */
        f.calls[SYS_FAKE_SENDV] = 0;
        loop_stream_finish(&x.taker->stream);
        loop_stream_finish(&x.taker->stream); /* harmless */
        TAKE_ALL(&x);
        int said = SSL_ERROR_WANT_READ;
        CARRY_UNTIL(&x, (said = take(&x, SIZE_MAX), x.far_ended));
        assert_int_equal(said, SSL_ERROR_ZERO_RETURN);
        assert_true(f.calls[SYS_FAKE_SENDV] >= 2);
        assert_false(x.taker->has_ended);
        scene_end(&x);
        sys_fake_remove(&f);
    }
}

/* Released: with close_notify when all has left, without when not. */
static void test_release(void **state)
{
    (void)state;
    for (int is_cut = 0; is_cut < 3; is_cut++) {
        struct scene x;
        scene_begin(&x, TLS1_3_VERSION);
        shake(&x);
        put_head(x.taker, "an answer", 9);
        TAKE_ALL(&x);
        turns_settle(x.loop);
        if (is_cut == 1)
            tarn_out_str(loop_stream_out(&x.taker->stream), "more");
        for (int i = 0; is_cut == 2 && i < 4; i++) { /* encrypted, and not taken by the socket */
            assert_true(loop_stream_send_file(&x.taker->stream, x.file, 0, FILE_LEN));
            turns_settle(x.loop);
        }
        tarn_out_release(&x.taker->want);
        tarn_out_init(&x.taker->want, 256 << 20);
        for (int i = 0; is_cut == 2 && i < 4; i++)
            tarn_out_put(&x.taker->want, tarn_bytes_of(pattern, FILE_LEN));
        x.arrived = 0;
        x.is_released = true;
        struct taker *t = x.taker;
        loop_stream_release(&t->stream);
        int said = SSL_ERROR_WANT_READ;
        CARRY_UNTIL(&x, (said = take(&x, SIZE_MAX), x.far_ended));
        said = take(&x, SIZE_MAX);
        assert_int_equal(said, is_cut ? SSL_ERROR_WANT_READ : SSL_ERROR_ZERO_RETURN);
        taker_free(t);
        scene_end(&x);
    }
}

static void test_no_tls_at_all(void **state)
{
    (void)state;
    static const char *const says[] = {
        "GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        "a plain HTTP request where TLS is spoken (the address begins with https://)",
        "\023BitTorrent protocol",
        "what came is no TLS, or older than TLS 1.2",
    };
    for (size_t i = 0; i < TARN_COUNT_OF(says); i += 2) {
        struct scene x;
        scene_begin(&x, TLS1_3_VERSION);
        tarn_out_str(loop_stream_out(&x.taker->stream), "a secret");
        assert_true(write(x.far, says[i], strlen(says[i])) > 0);
        TURN_UNTIL(x.loop, x.taker->has_ended);
        assert_string_equal(x.taker->end.msg, says[i + 1]);
        loop_stream_release(&x.taker->stream);
        char buf[100];
        ssize_t n = recv(x.far, buf, sizeof buf, 0);
        assert_true(n <= 0 || memmem(buf, (size_t)n, "secret", 6) == NULL);
        scene_end(&x);
    }
}

/* The client learns why: the alert leaves before the end. */
static void test_refused(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x, TLS1_1_VERSION);
    CARRY_UNTIL(&x, !shaken(&x) && ERR_peek_error() != 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
    TURN_UNTIL(x.loop, x.taker->has_ended);
    assert_int_equal(x.taker->end.code, TARN_E_NETWORK);
    scene_end(&x);
}

static void test_renegotiation(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x, TLS1_2_VERSION);
    shake(&x);
    assert_int_equal(SSL_renegotiate(x.client.ssl), 1);
    CARRY_UNTIL(&x, !shaken(&x) && ERR_peek_error() != 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    CARRY_UNTIL(&x, x.taker->has_ended); /* the client has given up */
    scene_end(&x);
}

static void test_damaged(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x, TLS1_3_VERSION);
    shake(&x);
    turns_settle(x.loop);
    say(&x, "good", 4);
    say(&x, "damaged", 7);
    char *p;
    long n = BIO_get_mem_data(x.client.out, &p);
    p[n - 1] ^= 1;
    CARRY_UNTIL(&x, x.taker->has_ended);
    assert_int_equal(x.taker->stream.received, 4); /* what was good has come */
    assert_string_equal(x.taker->end.msg,
                        "the TLS connection failed: decryption failed or bad record mac");
    scene_end(&x);
}

/* A file that has become shorter ends the connection without close_notify. */
static void test_shrunk_file(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x, TLS1_3_VERSION);
    shake(&x);
    put_run(x.taker, 0, FILE_LEN);
    assert_int_equal(truncate("content", 1000000), 0);
    CARRY_UNTIL(&x, (take(&x, SIZE_MAX), x.taker->has_ended));
    assert_int_equal(x.taker->end.code, TARN_E_INTEGRITY);
    loop_stream_release(&x.taker->stream);
    CARRY_UNTIL(&x, (take(&x, SIZE_MAX), x.far_ended));
    assert_int_equal(take(&x, SIZE_MAX), SSL_ERROR_WANT_READ);
    assert_true(x.arrived <= 1000000);
    scene_end(&x);
}

/* The server has a new certificate; connections that began with the old one go on. */
static void test_reload(void **state)
{
    (void)state;
    struct crypt_tls *before = certs_tls("old"), *after = certs_tls("new");
    struct scene x, y;
    scene_begin_with(&x, TLS1_3_VERSION, before);
    crypt_tls_unref(before);
    scene_begin_with(&y, TLS1_3_VERSION, after);
    crypt_tls_unref(after);
    shake(&x);
    shake(&y);
    client_expect_name(&x.client, "old");
    client_expect_name(&y.client, "new");
    put_run(x.taker, 0, 100000);
    put_run(y.taker, 0, 100000);
    TAKE_ALL(&x);
    TAKE_ALL(&y);
    scene_end(&x);
    scene_end(&y);
}

/* A kernel that offers to encrypt, and then does not take the keys: all goes on as without. */
static void test_kernel_refuses(void **state)
{
    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct sys_fake f;
        sys_fake_install(&f, room_ops);
        f.offers_tls = true;
        struct scene x;
        scene_begin(&x, version);
        assert_int_equal(f.calls[SYS_FAKE_OFFLOAD_TLS], 1);
        x.slice_max = 100;
        shake(&x);
        if (crypt_tls_is_kernel(loop_stream_tls(&x.taker->stream)))
            printf("# this kernel encrypts\n");
        x.slice_max = 0;
        say(&x, "a question", 10);
        put_head(x.taker, "an answer", 9);
        put_run(x.taker, 0, FILE_LEN);
        TAKE_ALL(&x);
        CARRY_UNTIL(&x, x.taker->stream.received == 10);
        scene_end(&x);
        sys_fake_remove(&f);
    }
}

static void test_released_in_callbacks(void **state)
{
    (void)state;
    for (int when = IN_PLACES; when <= IN_END; when++) {
        struct scene x;
        scene_begin(&x, TLS1_3_VERSION);
        x.taker->release = (unsigned)when;
        if (when == IN_OPEN || when == IN_DRAIN || when == IN_PLACES) {
            if (when == IN_DRAIN)
                tarn_out_str(loop_stream_out(&x.taker->stream), "hello");
            CARRY_UNTIL(&x, (shaken(&x), x.is_released));
        } else {
            shake(&x);
            say(&x, "bye", 3);
            SSL_shutdown(x.client.ssl);
            CARRY_UNTIL(&x, x.is_released);
        }
        turns_settle(x.loop);
        scene_end(&x);
    }
}

static bool is_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, 0) == 1;
}

/* The nth allocation of ours fails: the stream does not begin, or ends and says why, until there
 * is enough to answer a hello. */
static void test_no_memory(void **state)
{
    (void)state;
    struct crypt_tls *tls = certs_tls("here");
    int refused = 0, ended = 0;
    for (size_t n = 0, answered = 0; answered == 0; n++) {
        struct loop *l = turns_loop(1);
        struct wire w = wire_open(false);
        struct sys_addr peer = { .port = 1 };
        struct taker *t = tarn_calloc(1, sizeof *t);
        struct tarn_err err = { .code = TARN_OK };
        struct client c;
        client_begin(&c, TLS1_3_VERSION, NULL);
        (void)SSL_do_handshake(c.ssl);
        char *p;
        long len = BIO_get_mem_data(c.out, &p);
        assert_int_equal(write(w.b, p, (size_t)len), len);
        test_mem_fail_after(n);
        if (loop_stream_accept_tls(&t->stream, l, &ops, w.a, &peer, tls, &err)) {
            TURN_UNTIL(l, t->has_ended || is_readable(w.b));
            answered += !t->has_ended;
            ended += t->has_ended;
            err = t->end;
        } else {
            refused++;
        }
        test_mem_normal();
        assert_int_equal(err.code, answered ? TARN_OK : TARN_E_NO_MEMORY);
        loop_stream_release(&t->stream);
        tarn_free(t);
        client_end(&c);
        sys_close(&w.b);
        loop_free(l);
    }
    assert_true(refused >= 2);
    assert_true(ended >= 1);
    crypt_tls_unref(tls);
}

static void test_little_receive_buffer(void **state)
{
    (void)state;
    struct crypt_tls *tls = certs_tls("here");
    struct loop_settings set = { .threads = 1, .recv_len = 4096 };
    struct loop *l = loop_new(&set, NULL);
    struct wire w = wire_open(false);
    struct sys_addr peer = { .port = 1 };
    struct loop_stream s;
    struct tarn_err err;
    assert_false(loop_stream_accept_tls(&s, l, &ops, w.a, &peer, tls, &err));
    assert_string_equal(err.msg, "TLS needs a receive buffer of 65536 bytes (recv_len)");
    loop_stream_release(&s);
    sys_close(&w.b);
    loop_free(l);
    crypt_tls_unref(tls);
}

static void put_text(const char *path, const struct certs_text *t, unsigned mode)
{
    room_put(path, t->s, t->len);
    assert_int_equal(chmod(path, mode), 0);
}

static void expect_refused(const char *chain, const char *key, const char *message)
{
    struct tarn_err err;
    assert_null(loop_tls_load(chain, key, &err));
    if (strstr(err.msg, message) == NULL)
        fail_msg("'%s' is not in '%s'", message, err.msg);
}

static void test_load(void **state)
{
    (void)state;
    struct certs_text chain, key, other, other_key;
    certs_pair(&chain, &key, "here", 30);
    certs_pair(&other, &other_key, "there", 30);
    put_text("chain.pem", &chain, 0644);
    put_text("key.pem", &key, 0640);
    put_text("open.pem", &key, 0644);
    put_text("other.pem", &other_key, 0600);
    struct crypt_tls *t = loop_tls_load("chain.pem", "key.pem", NULL);
    assert_non_null(t);
    crypt_tls_unref(t);
    expect_refused("chain.pem", "open.pem",
                   "the TLS key 'open.pem' can be read by everybody on this machine");
    expect_refused("chain.pem", "other.pem", "the key in 'other.pem' is not that of");
    expect_refused("nothing.pem", "key.pem", "the TLS certificate: ");
    expect_refused("nothing.pem", "key.pem", "'nothing.pem'");
    expect_refused("chain.pem", "nothing.pem", "the TLS key: ");
    expect_refused("key.pem", "chain.pem", "the TLS key 'chain.pem' can be read by everybody");
    expect_refused("key.pem", "key.pem", "'key.pem' holds no certificate");
    assert_int_equal(truncate("key.pem", LOOP_TLS_FILE_MAX + 1), 0);
    expect_refused("chain.pem", "key.pem", "the TLS key: ");
    if (geteuid() != 0) { /* who is root may read all */
        assert_int_equal(chmod("chain.pem", 0), 0);
        expect_refused("chain.pem", "key.pem", "Permission denied");
    }
}

static size_t heap_in_use(void)
{
#if defined __GLIBC__
    return mallinfo2().uordblks;
#else
    return 0;
#endif
}

/* What an idle TLS connection costs: a TAP comment for the figures in the docs. Not asserted: it is
 * OpenSSL's to say. That nothing of ours is kept is. */
static void test_idle_connections(void **state)
{
    (void)state;
    enum { MANY = 100 };
    struct crypt_tls *tls = certs_tls("here");
    struct loop *l = turns_loop(1);
    uint64_t seed = 1;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        static struct taker takers[MANY];
        static struct scene far[MANY];
        memset(takers, 0, sizeof takers);
        memset(far, 0, sizeof far);
        for (int i = 0; i < MANY; i++) {
            struct taker *t = &takers[i];
            struct wire w = wire_open(false);
            struct sys_addr peer = { .port = 1 };
            t->seed = &seed;
            tarn_out_init(&t->got, 1 << 20);
            assert_true(loop_stream_accept_tls(&t->stream, l, &ops, w.a, &peer, tls, NULL));
            far[i] = (struct scene){ .far = w.b, .loop = l, .taker = t };
            client_begin(&far[i].client, version, NULL);
            shake(&far[i]);
            say(&far[i], "hello", 5);
            CARRY_UNTIL(&far[i], t->stream.received == 5);
            tarn_out_str(loop_stream_out(&t->stream), "hello");
            TURN_UNTIL(l, t->stream.sent == 5);
            turns_settle(l);
            assert_null(t->stream.send);
            tarn_out_release(&t->stream.rest);
            tarn_out_release(&t->got);
        }
        size_t with_all = heap_in_use();
        for (int i = 0; i < MANY; i++)
            loop_stream_release(&takers[i].stream);
        printf("# %s: %zu bytes of heap for each idle stream\n",
               version == TLS1_3_VERSION ? "TLS 1.3" : "TLS 1.2",
               (with_all - heap_in_use()) / MANY);
        for (int i = 0; i < MANY; i++) {
            client_end(&far[i].client);
            sys_close(&far[i].far);
        }
    }
    loop_free(l);
    crypt_tls_unref(tls);
}

static int make_pattern(void **state)
{
    (void)state;
    pattern = room_pattern(FILE_LEN);
    return 0;
}

static int free_pattern(void **state)
{
    (void)state;
    tarn_free(pattern);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(test_hello),
        ON_BOTH(test_random_talks),
        ON_BOTH(test_large_bodies),
        ON_BOTH(test_large_files),
        ON_BOTH(test_small_answers),
        ON_BOTH(test_cut),
        ON_BOTH(test_end_while_paused),
        ON_BOTH(test_half_closed),
        ON_BOTH(test_release),
        ON_BOTH(test_no_tls_at_all),
        ON_BOTH(test_refused),
        ON_BOTH(test_renegotiation),
        ON_BOTH(test_damaged),
        ON_BOTH(test_shrunk_file),
        ON_BOTH(test_reload),
        ON_BOTH(test_kernel_refuses),
        ON_BOTH(test_released_in_callbacks),
        ON_BOTH(test_no_memory),
        ON_BOTH(test_little_receive_buffer),
        ON_BOTH(test_load),
        ON_BOTH(test_idle_connections),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, make_pattern, free_pattern);
}
