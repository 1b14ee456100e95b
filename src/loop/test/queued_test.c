/* What waits in a send queue and what guards it; messages that are taken back; the services that a
 * loop has. */
#include "loop/hashing.h"
#include "loop/pool.h"
#include "loop/stream.h"
#include "loop/test/turns.h"

enum { FILE_LEN = 100000 };

struct keeper {
    struct loop_stream stream;
    bool has_ended;
    struct tarn_err end;
};

static void on_bytes(struct loop_stream *s, size_t placed, struct tarn_cur *in)
{
    (void)s, (void)placed;
    (void)tarn_cur_take(in, tarn_cur_left(in));
}

static void on_end(struct loop_stream *s, const struct tarn_err *err)
{
    struct keeper *k = TARN_OUTER(s, struct keeper, stream);
    assert_false(k->has_ended);
    k->has_ended = true;
    k->end = *err;
}

static const struct loop_stream_ops ops = { .on_bytes = on_bytes, .on_end = on_end };

struct scene {
    struct loop *loop;
    struct keeper keeper;
    struct sys_file *file;
    uint8_t *data;
    struct tarn_out got;
    int far;
};

static void begin(struct scene *x)
{
    *x = (struct scene){ .loop = turns_loop(1), .data = room_pattern(FILE_LEN) };
    struct wire w = wire_open(false);
    struct sys_addr peer = { 0 };
    x->far = w.b;
    tarn_out_init(&x->got, 4 * FILE_LEN);
    room_put("file", x->data, FILE_LEN);
    x->file = sys_file_new(sys_open("file", SYS_OPEN_READ, NULL));
    assert_non_null(x->file);
    assert_true(loop_stream_accept(&x->keeper.stream, x->loop, &ops, w.a, &peer, NULL));
}

static void end(struct scene *x)
{
    loop_stream_release(&x->keeper.stream);
    assert_int_equal(x->file->refs, 1); /* the queue has given its own back */
    sys_file_unref(x->file);
    loop_free(x->loop);
    sys_close(&x->far);
    tarn_out_release(&x->got);
    tarn_free(x->data);
}

/* Take what has arrived; true when it is len bytes in all. */
static bool has_got(struct scene *x, size_t len)
{
    uint8_t room[4096];
    struct sys_buf buf = { room, sizeof room };
    size_t got = 0;
    while (sys_recv(x->far, &buf, 1, &got, NULL) == SYS_IO_DONE)
        tarn_out_put(&x->got, tarn_bytes_of(room, got));
    assert_true(x->got.len <= len);
    return x->got.len == len;
}

static void queued_bytes_are_counted(void **state)
{
    (void)state;
    struct scene x;
    begin(&x);
    struct loop_stream *s = &x.keeper.stream;
    assert_int_equal(loop_stream_queued(s), 0);
    tarn_out_put(loop_stream_out(s), tarn_bytes_str("head"));
    assert_int_equal(loop_stream_queued(s), 4); /* at once, also what was written to the buffer */
    assert_int_equal(s->queued, 4);
    assert_true(loop_stream_send_file(s, x.file, 10, 500));
    assert_true(loop_stream_send_file(s, x.file, 510, 90)); /* goes on where the last one ends */
    assert_true(loop_stream_send_file(s, x.file, 0, 0));
    assert_int_equal(loop_stream_queued(s), 594);
    TURN_UNTIL(x.loop, has_got(&x, 594));
    assert_int_equal(loop_stream_queued(s), 0);
    assert_int_equal(s->sent, 594);
    assert_memory_equal(x.got.p, "head", 4);
    assert_memory_equal(x.got.p + 4, x.data + 10, 590);
    end(&x);
}

struct watchman {
    struct loop_guard guard;
    unsigned asked, yes; /* so often, then no */
};

static bool may_leave(struct loop_guard *g, struct tarn_err *err)
{
    struct watchman *w = TARN_OUTER(g, struct watchman, guard);
    return w->asked++ < w->yes || tarn_fail(err, TARN_E_INTEGRITY, "the file is another one");
}

static void a_guard_lets_pass(void **state)
{
    (void)state;
    struct scene x;
    struct watchman w = { .guard.may_leave = may_leave, .yes = UINT32_MAX };
    begin(&x);
    struct loop_stream *s = &x.keeper.stream;
    for (unsigned i = 0; i < 4; i++) /* neighbours: one question for all that leave together */
        assert_true(loop_stream_send_guarded(s, x.file, i * 1000, 1000, &w.guard));
    assert_int_equal(w.asked, 0);
    TURN_UNTIL(x.loop, has_got(&x, 4000));
    assert_int_equal(w.asked, 1);
    assert_memory_equal(x.got.p, x.data, 4000);
    assert_true(loop_stream_send_guarded(s, x.file, 0, 0, &w.guard));
    turns_settle(x.loop);
    assert_int_equal(w.asked, 1); /* nothing leaves, so nobody asks */
    end(&x);
}

static void a_guard_stops_what_is_not_the_same(void **state)
{
    (void)state;
    struct scene x;
    struct watchman good = { .guard.may_leave = may_leave, .yes = 1 };
    struct watchman bad = { .guard.may_leave = may_leave };
    begin(&x);
    struct loop_stream *s = &x.keeper.stream;
    tarn_out_put(loop_stream_out(s), tarn_bytes_str("head"));
    assert_true(loop_stream_send_guarded(s, x.file, 0, 1000, &good.guard));
    assert_true(loop_stream_send_guarded(s, x.file, 1000, 1000, &bad.guard));
    TURN_UNTIL(x.loop, x.keeper.has_ended);
    assert_int_equal(x.keeper.end.code, TARN_E_INTEGRITY);
    assert_non_null(strstr(x.keeper.end.msg, "the file is another one"));
    assert_int_equal(bad.asked, 1);
    (void)has_got(&x, 2004);
    assert_true(x.got.len <= 1004); /* of the second run nothing has left */
    /* what is queued behind the end is taken and goes nowhere */
    assert_true(loop_stream_send_guarded(s, x.file, 0, 1000, &bad.guard));
    turns_settle(x.loop);
    assert_int_equal(bad.asked, 1);
    end(&x);
}

/* It is said, and nothing of it is queued; without a queue at all the stream ends. */
static void a_queue_without_memory(void **state)
{
    (void)state;
    bool ok = false;
    for (size_t n = 0; !ok; n++) {
        struct scene x;
        assert_true(n < 100);
        begin(&x);
        test_mem_fail_after(n);
        ok = loop_stream_send_guarded(&x.keeper.stream, x.file, 0, 100, NULL);
        bool was_short = test_mem_left == 0;
        test_mem_normal();
        assert_true(ok || was_short);
        if (ok)
            TURN_UNTIL(x.loop, has_got(&x, 100));
        else
            turns_settle(x.loop);
        assert_int_equal(loop_stream_queued(&x.keeper.stream), 0);
        assert_int_equal(x.keeper.has_ended, n == 0);
        assert_true(!x.keeper.has_ended || x.keeper.end.code == TARN_E_NO_MEMORY);
        end(&x);
    }
}

/* ---- messages ---- */

struct letter {
    struct loop_msg msg;
    unsigned *order;
    unsigned number, read_as; /* 0: not read */
    struct letter *takes_back;
    struct loop *loop;
};

static void on_letter(struct loop_msg *m)
{
    struct letter *l = TARN_OUTER(m, struct letter, msg);
    l->read_as = ++*l->order;
    if (l->takes_back != NULL)
        loop_unpost(l->loop, &l->takes_back->msg);
}

static void messages_are_taken_back(void **state)
{
    (void)state;
    enum { N = 6 };
    struct loop *l = turns_loop(1);
    struct letter all[N];
    unsigned order = 0;
    for (unsigned i = 0; i < N; i++)
        all[i] = (struct letter){ .msg.on_loop = on_letter, .order = &order, .loop = l };
    loop_unpost(l, &all[0].msg); /* not there: no harm */
    for (unsigned i = 0; i < N; i++)
        loop_post(l, &all[i].msg);
    loop_unpost(l, &all[0].msg); /* the first, one in the middle, the last */
    loop_unpost(l, &all[2].msg);
    loop_unpost(l, &all[5].msg);
    loop_unpost(l, &all[5].msg);
    TURN_UNTIL(l, order == 3);
    turns_settle(l);
    assert_int_equal(order, 3);
    assert_int_equal(all[1].read_as, 1);
    assert_int_equal(all[3].read_as, 2);
    assert_int_equal(all[4].read_as, 3);
    loop_post(l, &all[5].msg); /* the list is whole: what comes next is read */
    loop_post(l, &all[0].msg);
    TURN_UNTIL(l, order == 5);
    assert_int_equal(all[5].read_as, 4);
    assert_int_equal(all[0].read_as, 5);
    loop_free(l);
}

/* By a message of the same turn, as an owner does that goes while it is told something. */
static void a_message_takes_the_next_back(void **state)
{
    (void)state;
    struct loop *l = turns_loop(1);
    unsigned order = 0;
    struct letter third = { .msg.on_loop = on_letter, .order = &order, .loop = l };
    struct letter second = { .msg.on_loop = on_letter, .order = &order, .loop = l };
    struct letter first = {
        .msg.on_loop = on_letter, .order = &order, .loop = l, .takes_back = &second
    };
    loop_post(l, &first.msg);
    loop_post(l, &second.msg);
    loop_post(l, &third.msg);
    TURN_UNTIL(l, third.read_as != 0);
    turns_settle(l);
    assert_int_equal(second.read_as, 0);
    assert_int_equal(order, 2);
    loop_post(l, &second.msg); /* on its way when the loop goes: dropped */
    loop_free(l);
    assert_int_equal(order, 2);
}

static void a_loop_has_services(void **state)
{
    (void)state;
    struct loop *a = turns_loop(1), *b = turns_loop(1);
    assert_non_null(loop_pool_of(a));
    assert_non_null(loop_hashing_of(a));
    assert_ptr_equal(loop_pool_of(a), loop_pool_of(a)); /* one for all who ask */
    assert_ptr_equal(loop_hashing_of(a), loop_hashing_of(a));
    assert_ptr_not_equal(loop_pool_of(a), loop_pool_of(b));
    assert_ptr_not_equal(loop_hashing_of(a), loop_hashing_of(b));
    loop_free(a);
    loop_free(b);
}

TEST_MAIN(ON_BOTH(queued_bytes_are_counted), ON_BOTH(a_guard_lets_pass),
          ON_BOTH(a_guard_stops_what_is_not_the_same), ON_BOTH(a_queue_without_memory),
          ON_BOTH(messages_are_taken_back), ON_BOTH(a_message_takes_the_next_back),
          ON_BOTH(a_loop_has_services))
