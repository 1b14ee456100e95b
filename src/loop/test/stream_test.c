/* Receiving, and the ends of streams. What is sent here is a small protocol: a type, a length, and
 * that many bytes. A MESSAGE is taken whole, a BLOCK goes to places as it comes. */
#include "loop/stream.h"

#include "base/num.h"
#include "loop/test/heap.h"
#include "loop/test/turns.h"

#include <sys/socket.h>

enum { MESSAGE = 1, BLOCK = 2, HEAD = 5 };

struct taker {
    struct loop_stream stream;
    uint64_t *seed;
    struct tarn_out got; /* all payload, in order */
    size_t block_left;
    size_t block_at;   /* in got */
    unsigned pause_in; /* one message in so many pauses; 0: none */
    bool is_open, has_ended;
    bool *released; /* set when it has freed itself */
    int drains;
    struct tarn_err end;
    enum { NEVER, IN_PLACES, IN_BYTES, IN_OPEN, IN_DRAIN, IN_END } release;
};

/* Free all of it, so that a look at it afterwards is seen by ASan. */
static bool release_now(struct taker *t, int when)
{
    if ((int)t->release != when)
        return false;
    *t->released = true;
    loop_stream_release(&t->stream);
    tarn_out_release(&t->got);
    tarn_free(t);
    return true;
}

static struct taker *taker_new(uint64_t *seed, bool *released)
{
    struct taker *t = tarn_calloc(1, sizeof *t);
    assert_non_null(t);
    t->seed = seed;
    t->released = released;
    tarn_out_init(&t->got, 64 << 20);
    return t;
}

static void taker_free(struct taker *t)
{
    loop_stream_release(&t->stream);
    loop_stream_release(&t->stream);
    tarn_out_release(&t->got);
    tarn_free(t);
}

static size_t on_places(struct loop_stream *s, struct sys_buf *places)
{
    struct taker *t = TARN_OUTER(s, struct taker, stream);
    if (release_now(t, IN_PLACES))
        return 0;
    size_t n = 0, left = t->block_left;
    uint8_t *at = left == 0 ? NULL : t->got.p + t->block_at;
    while (left > 0 && n < LOOP_STREAM_PLACES) {
        size_t len = (size_t)test_rand_below(t->seed, left) + 1;
        places[n++] = (struct sys_buf){ at, len };
        at += len;
        left -= len;
    }
    return n;
}

static void take_block(struct taker *t, size_t n)
{
    assert_true(n <= t->block_left);
    t->block_at += n;
    t->block_left -= n;
}

static void on_bytes(struct loop_stream *s, size_t placed, struct tarn_cur *in)
{
    struct taker *t = TARN_OUTER(s, struct taker, stream);
    take_block(t, placed);
    if (release_now(t, IN_BYTES)) {
        while (tarn_cur_left(in) > 0) /* the bytes are still there */
            (void)tarn_cur_u8(in);
        return;
    }
    while (tarn_cur_left(in) > 0) {
        if (t->pause_in > 0 && test_rand_below(t->seed, t->pause_in) == 0) {
            loop_stream_pause(s);
            return;
        }
        if (t->block_left > 0) {
            struct tarn_bytes part =
                tarn_cur_take(in, tarn_min_size(t->block_left, tarn_cur_left(in)));
            if (part.p != NULL)
                memcpy(t->got.p + t->block_at, part.p, part.len);
            take_block(t, part.len);
            continue;
        }
        struct tarn_cur c = *in;
        uint8_t type = tarn_cur_u8(&c);
        uint32_t len = tarn_cur_be32(&c);
        if (c.bad)
            return;
        if (type == MESSAGE) {
            struct tarn_bytes body = tarn_cur_take(&c, len);
            if (c.bad)
                return;
            tarn_out_put(&t->got, body);
        } else {
            assert_int_equal(type, BLOCK);
            t->block_at = t->got.len;
            t->block_left = len;
            assert_non_null(tarn_out_room(&t->got, len));
        }
        *in = c;
    }
}

static void on_open(struct loop_stream *s)
{
    struct taker *t = TARN_OUTER(s, struct taker, stream);
    t->is_open = true;
    (void)release_now(t, IN_OPEN);
}

static void on_drain(struct loop_stream *s)
{
    struct taker *t = TARN_OUTER(s, struct taker, stream);
    t->drains++;
    (void)release_now(t, IN_DRAIN);
}

static void on_end(struct loop_stream *s, const struct tarn_err *err)
{
    struct taker *t = TARN_OUTER(s, struct taker, stream);
    assert_false(t->has_ended);
    t->has_ended = true;
    t->end = *err;
    (void)release_now(t, IN_END);
}

static const struct loop_stream_ops ops = { .places = on_places,
                                            .on_bytes = on_bytes,
                                            .on_open = on_open,
                                            .on_drain = on_drain,
                                            .on_end = on_end };

/* A loop, a stream on it, and the other end of its connection as a plain socket. */
struct scene {
    struct loop *loop;
    struct taker *taker;
    bool is_released;
    int far;
    uint64_t seed;
};

static void scene_begin(struct scene *x)
{
    memset(x, 0, sizeof *x);
    x->seed = test_seed();
    x->loop = turns_loop(1);
    struct wire w = wire_open(false);
    struct sys_addr peer = { .port = 1 };
    x->far = w.b;
    x->taker = taker_new(&x->seed, &x->is_released);
    assert_true(loop_stream_accept(&x->taker->stream, x->loop, &ops, w.a, &peer, NULL));
}

static void scene_end(struct scene *x)
{
    if (!x->is_released)
        taker_free(x->taker);
    sys_close(&x->far);
    loop_free(x->loop);
}

static void put_message(struct tarn_out *wire, struct tarn_out *want, uint8_t type, size_t len,
                        uint64_t *seed)
{
    tarn_out_u8(wire, type);
    tarn_out_be32(wire, (uint32_t)len);
    uint8_t *body = tarn_out_room(wire, len);
    assert_non_null(body);
    for (size_t i = 0; i < len; i++)
        body[i] = (uint8_t)test_rand(seed);
    tarn_out_put(want, tarn_bytes_of(body, len));
}

/* Write all of it in random parts, turning the loop between. */
static void feed(struct scene *x, struct tarn_bytes b, size_t part_max, struct sys_fake *f)
{
    while (b.len > 0) {
        size_t len = tarn_min_size(b.len, (size_t)test_rand_below(&x->seed, part_max) + 1);
        ssize_t n = send(x->far, b.p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            b.p += n;
            b.len -= (size_t)n;
        }
        f->short_io = (size_t)test_rand_below(&x->seed, part_max) + 1;
        if (test_rand_below(&x->seed, 3) == 0)
            f->short_io = 0;
        assert_true(loop_turn(x->loop, 0, NULL));
        if (x->taker->stream.is_paused && test_rand_below(&x->seed, 2) == 0)
            loop_stream_resume(&x->taker->stream);
    }
}

static void random_slices(size_t part_max, size_t len_max, int messages, unsigned pause_in)
{
    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    struct scene x;
    scene_begin(&x);
    x.taker->pause_in = pause_in;
    struct tarn_out wire, want;
    tarn_out_init(&wire, 64 << 20);
    tarn_out_init(&want, 64 << 20);
    for (int i = 0; i < messages; i++)
        put_message(&wire, &want, test_rand_below(&x.seed, 2) == 0 ? MESSAGE : BLOCK,
                    (size_t)test_rand_below(&x.seed, len_max), &x.seed);
    feed(&x, tarn_out_bytes(&wire), part_max, &f);
    f.short_io = 0;
    x.taker->pause_in = 0;
    loop_stream_resume(&x.taker->stream);
    TURN_UNTIL(x.loop, x.taker->stream.received == wire.len);
    turns_settle(x.loop);
    assert_int_equal(x.taker->got.len, want.len);
    assert_memory_equal(x.taker->got.p, want.p, want.len);
    assert_int_equal(x.taker->block_left, 0);
    assert_null(x.taker->stream.rest.p); /* an idle stream keeps nothing */
    assert_null(x.taker->stream.send);
    assert_false(x.taker->has_ended);
    tarn_out_release(&wire);
    tarn_out_release(&want);
    scene_end(&x);
    sys_fake_remove(&f);
}

static void test_random_slices(void **state)
{
    (void)state;
    random_slices(7, 30, 300, 0);
    random_slices(3000, 20000, 100, 0);
    random_slices(300000, 20000, 300, 0);
    random_slices(100000, 500000, 12, 0); /* longer than the small rest */
    random_slices(400000, LOOP_STREAM_REST_MAX - HEAD, 4, 0);
}

static void test_random_slices_and_pauses(void **state)
{
    (void)state;
    random_slices(50, 100, 300, 3);
    random_slices(30000, 20000, 100, 3);
    random_slices(100000, 300000, 20, 4);
}

static void test_message_too_long(void **state)
{
    (void)state;
    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    struct scene x;
    scene_begin(&x);
    struct tarn_out wire, want;
    tarn_out_init(&wire, 64 << 20);
    tarn_out_init(&want, 64 << 20);
    put_message(&wire, &want, MESSAGE, LOOP_STREAM_REST_MAX, &x.seed);
    size_t most = LOOP_STREAM_REST_MAX;
    feed(&x, tarn_bytes_of(wire.p, most), 300000, &f);
    TURN_UNTIL(x.loop, x.taker->stream.received == most);
    assert_false(x.taker->has_ended);
    feed(&x, tarn_bytes_of(wire.p + most, 1), 300000, &f);
    TURN_UNTIL(x.loop, x.taker->has_ended);
    assert_int_equal(x.taker->end.code, TARN_E_POLICY);
    assert_string_equal(x.taker->end.msg,
                        "a message is longer than 2097152 bytes, the most we take");
    tarn_out_release(&wire);
    tarn_out_release(&want);
    scene_end(&x);
    sys_fake_remove(&f);
}

/* The other side closes in the middle of a message; what it sent before arrives first. */
static void test_closed_mid_message(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x);
    struct tarn_out wire, want;
    tarn_out_init(&wire, 1 << 20);
    tarn_out_init(&want, 1 << 20);
    put_message(&wire, &want, BLOCK, 1000, &x.seed);
    put_message(&wire, &want, MESSAGE, 1000, &x.seed);
    assert_int_equal(write(x.far, wire.p, 1500), 1500);
    sys_close(&x.far);
    TURN_UNTIL(x.loop, x.taker->has_ended);
    assert_int_equal(x.taker->end.code, TARN_OK);
    assert_int_equal(x.taker->got.len, 1000);
    assert_memory_equal(x.taker->got.p, want.p, 1000);
    loop_stream_pause(&x.taker->stream); /* harmless now */
    loop_stream_resume(&x.taker->stream);
    tarn_out_str(loop_stream_out(&x.taker->stream), "nobody listens");
    turns_settle(x.loop);
    tarn_out_release(&wire);
    tarn_out_release(&want);
    scene_end(&x);
}

static void reset(int *fd)
{
    struct linger l = { .l_onoff = 1, .l_linger = 0 };
    assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
    sys_close(fd);
}

static void test_reset(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x);
    reset(&x.far);
    TURN_UNTIL(x.loop, x.taker->has_ended);
    assert_int_equal(x.taker->end.code, TARN_E_NETWORK);
    scene_end(&x);
}

/* A paused stream does not read, does not spin on a hang-up, and hears of it when it goes on. */
static void test_reset_while_paused(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x);
    loop_stream_pause(&x.taker->stream);
    turns_settle(x.loop);
    reset(&x.far);
    assert_true(loop_turn(x.loop, 20000, NULL));
    assert_true(loop_turn(x.loop, 0, NULL));
    assert_false(x.taker->has_ended);
    int64_t before = sys_now_us();
    assert_true(loop_turn(x.loop, 20000, NULL)); /* nothing is ready */
    assert_true(sys_now_us() - before >= 15000);
    loop_stream_resume(&x.taker->stream);
    TURN_UNTIL(x.loop, x.taker->has_ended);
    scene_end(&x);
}

static void test_pause_stops_reading(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x);
    loop_stream_pause(&x.taker->stream);
    assert_int_equal(write(x.far, "\x01\0\0\0\1x", 6), 6);
    turns_settle(x.loop);
    assert_int_equal(x.taker->stream.received, 0);
    loop_stream_resume(&x.taker->stream);
    loop_stream_pause(&x.taker->stream);
    turns_settle(x.loop);
    assert_int_equal(x.taker->stream.received, 0);
    loop_stream_resume(&x.taker->stream);
    TURN_UNTIL(x.loop, x.taker->got.len == 1);

    x.taker->pause_in = 1; /* before the first of two that have come: offered again by itself */
    assert_int_equal(write(x.far, "\x01\0\0\0\1y\x01\0\0\0\1z", 12), 12);
    TURN_UNTIL(x.loop, x.taker->stream.received == 18);
    turns_settle(x.loop);
    assert_int_equal(x.taker->got.len, 1);
    x.taker->pause_in = 0;
    loop_stream_resume(&x.taker->stream);
    turns_settle(x.loop);
    assert_int_equal(x.taker->got.len, 3);
    assert_memory_equal(x.taker->got.p, "xyz", 3);
    scene_end(&x);
}

static void test_released_in_callbacks(void **state)
{
    (void)state;
    for (int when = IN_PLACES; when <= IN_END; when++) {
        if (when == IN_OPEN)
            continue; /* test_connect */
        for (int is_long = 0; is_long < 2; is_long++) {
            struct scene x;
            scene_begin(&x);
            if (is_long) { /* with a rest that has its own buffer */
                uint8_t head[HEAD] = { MESSAGE, 0, 0, 0xFF, 0xFF };
                assert_int_equal(write(x.far, head, sizeof head), HEAD);
                static uint8_t body[40000];
                assert_int_equal(write(x.far, body, sizeof body), sizeof body);
                TURN_UNTIL(x.loop, x.taker->stream.received == HEAD + sizeof body);
            }
            x.taker->release = (unsigned)when;
            if (when == IN_DRAIN) {
                tarn_out_str(loop_stream_out(&x.taker->stream), "hello");
            } else if (when == IN_END) {
                sys_close(&x.far);
            } else {
                assert_int_equal(write(x.far, "\x02\0\0\0\x09xyz", 8), 8);
                if (is_long && when == IN_PLACES) { /* not asked before the message is whole */
                    scene_end(&x);
                    continue;
                }
            }
            TURN_UNTIL(x.loop, x.is_released);
            turns_settle(x.loop);
            scene_end(&x);
        }
    }
}

static int listen_here(struct sys_addr *at)
{
    *at = sys_addr_any(false, 0);
    at->ip[0] = 127;
    at->ip[3] = 1;
    int fd = sys_tcp_listen(at, NULL);
    assert_true(fd >= 0);
    assert_true(sys_local_addr(fd, at, NULL));
    return fd;
}

static void test_connect(void **state)
{
    (void)state;
    struct loop *l = turns_loop(1);
    uint64_t seed = 1;
    struct sys_addr at;
    int listener = listen_here(&at);
    for (int release = 0; release < 2; release++) {
        bool is_released = false;
        struct taker *t = taker_new(&seed, &is_released);
        t->release = release ? IN_OPEN : NEVER;
        assert_true(loop_stream_connect(&t->stream, l, &ops, &at, NULL));
        tarn_out_str(loop_stream_out(&t->stream), "queued before"); /* goes when it is open */
        TURN_UNTIL(l, is_released || t->is_open);
        if (is_released)
            continue;
        wire_wait(listener, POLLIN);
        int fd;
        struct sys_addr from;
        assert_int_equal(sys_tcp_accept(listener, &fd, &from, NULL), SYS_IO_DONE);
        TURN_UNTIL(l, t->drains > 0);
        char got[32];
        assert_int_equal(read(fd, got, sizeof got), 13);
        assert_memory_equal(got, "queued before", 13);
        sys_close(&fd);
        TURN_UNTIL(l, t->has_ended);
        assert_int_equal(t->end.code, TARN_OK);
        taker_free(t);
    }
    sys_close(&listener);

    struct taker t = { .seed = &seed }; /* nobody listens any more */
    struct tarn_err err = { .code = TARN_OK };
    if (loop_stream_connect(&t.stream, l, &ops, &at, &err)) {
        TURN_UNTIL(l, t.has_ended);
        assert_false(t.is_open);
        err = t.end;
    }
    assert_int_equal(err.code, TARN_E_NETWORK);
    loop_stream_release(&t.stream);
    loop_free(l);
}

static void test_failing_starts_are_harmless(void **state)
{
    (void)state;
    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    struct loop *l = turns_loop(1);
    struct sys_addr at = sys_addr_any(false, 9);
    struct taker t = { 0 };
    f.fail[SYS_FAKE_SOCKET] = (struct sys_fault){ .error = EMFILE, .forever = true };
    struct tarn_err err;
    assert_false(loop_stream_connect(&t.stream, l, &ops, &at, &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    loop_stream_pause(&t.stream);
    tarn_out_str(loop_stream_out(&t.stream), "x");
    turns_settle(l);
    loop_stream_release(&t.stream);
    loop_free(l);
    sys_fake_remove(&f);
}

/* Without memory for a rest, or for what is to be sent, the stream ends; it does not lie. */
static void test_no_memory(void **state)
{
    (void)state;
    for (int sends = 0; sends < 2; sends++) {
        struct scene x;
        scene_begin(&x);
        test_mem_fail_after(0);
        if (sends)
            tarn_out_str(loop_stream_out(&x.taker->stream), "x");
        else
            assert_int_equal(write(x.far, "\x01\0", 2), 2);
        TURN_UNTIL(x.loop, x.taker->has_ended);
        test_mem_normal();
        assert_int_equal(x.taker->end.code, TARN_E_NO_MEMORY);
        scene_end(&x);
    }
}

/* What an idle connection costs us (not the kernel): a TAP comment for the figures in the docs. */
static void test_idle_connections(void **state)
{
    (void)state;
    enum { MANY = 2000 };
    struct loop *l = turns_loop(1);
    static int far[MANY];
    uint64_t seed = 1;
    struct taker *takers = tarn_calloc(MANY, sizeof *takers);
    assert_non_null(takers);
    struct sys_addr at, from;
    int listener = listen_here(&at);
    size_t before = heap_in_use(), n = 0;
    for (; n < MANY; n++) {
        struct taker *t = &takers[n];
        struct tarn_err err;
        t->seed = &seed;
        tarn_out_init(&t->got, 1 << 20);
        if (!loop_stream_connect(&t->stream, l, &ops, &at, &err))
            break; /* out of descriptors: fewer will do */
        wire_wait(listener, POLLIN);
        if (sys_tcp_accept(listener, &far[n], &from, NULL) != SYS_IO_DONE) {
            loop_stream_release(&t->stream);
            break;
        }
        TURN_UNTIL(l, t->is_open);
    }
    for (size_t i = 0; i < n; i++) { /* each says and hears something, then falls silent */
        assert_int_equal(write(far[i], "\x01\0\0\0\3abc", 8), 8);
        tarn_out_str(loop_stream_out(&takers[i].stream), "hello");
    }
    for (size_t i = 0; i < n; i++)
        TURN_UNTIL(l, takers[i].got.len == 3 && takers[i].drains == 1);
    for (size_t i = 0; i < n; i++)
        tarn_out_release(&takers[i].got);
    size_t after = heap_in_use();
    printf("# %zu idle streams: %zu bytes each, and %zu of heap together\n", n,
           sizeof(struct loop_stream), after > before ? after - before : 0);
    assert_true(sizeof(struct loop_stream) <= 320);
    for (size_t i = 0; i < n; i++) {
        assert_null(takers[i].stream.rest.p);
        assert_null(takers[i].stream.send);
        loop_stream_release(&takers[i].stream);
        sys_close(&far[i]);
    }
    sys_close(&listener);
    tarn_free(takers);
    loop_free(l);
}

TEST_MAIN(ON_BOTH(test_random_slices), ON_BOTH(test_random_slices_and_pauses),
          ON_BOTH(test_message_too_long), ON_BOTH(test_closed_mid_message), ON_BOTH(test_reset),
          ON_BOTH(test_reset_while_paused), ON_BOTH(test_pause_stops_reading),
          ON_BOTH(test_released_in_callbacks), ON_BOTH(test_connect),
          ON_BOTH(test_failing_starts_are_harmless), ON_BOTH(test_no_memory),
          ON_BOTH(test_idle_connections))
