/* The send queue: whatever is queued arrives in order, from memory and from files, and the loop's
 * thread never waits for a disk. */
#include "base/num.h"
#include "loop/pool.h"
#include "loop/stream.h"
#include "loop/test/turns.h"
#include "sys/signals.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

enum { FILE_LEN = 3 << 20, BLOCK = 16384 };

struct giver {
    struct loop_stream stream;
    struct tarn_out want;
    bool has_ended, releases;
    struct tarn_err end;
    int drains;
    int blocks_left; /* queued in on_drain */
    struct sys_file *file;
};

static uint8_t *pattern;

static void on_bytes(struct loop_stream *s, size_t placed, struct tarn_cur *in)
{
    (void)s, (void)placed;
    (void)tarn_cur_take(in, tarn_cur_left(in));
}

static void on_end(struct loop_stream *s, const struct tarn_err *err)
{
    struct giver *g = TARN_OUTER(s, struct giver, stream);
    assert_false(g->has_ended);
    g->has_ended = true;
    g->end = *err;
    if (g->releases)
        loop_stream_release(s);
}

static void queue_head(struct giver *g, const void *p, size_t len)
{
    tarn_out_put(loop_stream_out(&g->stream), tarn_bytes_of(p, len));
    tarn_out_put(&g->want, tarn_bytes_of(p, len));
}

static void queue_run(struct giver *g, uint64_t off, size_t len)
{
    assert_true(loop_stream_send_file(&g->stream, g->file, off, len));
    tarn_out_put(&g->want, tarn_bytes_of(pattern + off, len));
}

static void on_drain(struct loop_stream *s)
{
    struct giver *g = TARN_OUTER(s, struct giver, stream);
    assert_true(s->queued < LOOP_STREAM_LOW);
    g->drains++;
    for (int i = 0; i < 16 && g->blocks_left > 0; i++) {
        g->blocks_left--;
        queue_head(g, "a block follows", 13);
        queue_run(g, (uint64_t)(g->blocks_left % (FILE_LEN / BLOCK)) * BLOCK, BLOCK);
    }
}

static const struct loop_stream_ops ops = { .on_bytes = on_bytes,
                                            .on_drain = on_drain,
                                            .on_end = on_end };

struct scene {
    struct loop *loop;
    struct giver giver;
    int far;
    size_t arrived;
    uint64_t seed;
};

static void scene_begin(struct scene *x, unsigned threads)
{
    memset(x, 0, sizeof *x);
    x->seed = test_seed();
    x->loop = turns_loop(threads);
    struct wire w = wire_open(false);
    struct sys_addr peer = { .port = 1 };
    x->far = w.b;
    tarn_out_init(&x->giver.want, 256 << 20);
    assert_true(loop_stream_accept(&x->giver.stream, x->loop, &ops, w.a, &peer, NULL));
    room_put("content", pattern, FILE_LEN);
    x->giver.file = sys_file_new(sys_open("content", SYS_OPEN_READ, NULL));
    assert_non_null(x->giver.file);
}

static void scene_end(struct scene *x)
{
    loop_stream_release(&x->giver.stream);
    tarn_out_release(&x->giver.want);
    sys_close(&x->far);
    loop_free(x->loop);
    assert_int_equal(x->giver.file->refs, 1); /* every span has let go */
    sys_file_unref(x->giver.file);
}

/* Take what has come, at most max bytes, and compare it. False when there is nothing. */
static bool take(struct scene *x, size_t max)
{
    static uint8_t buf[1 << 20];
    ssize_t n = recv(x->far, buf, tarn_min_size(max, sizeof buf), MSG_DONTWAIT);
    if (n <= 0)
        return false;
    assert_true(x->arrived + (size_t)n <= x->giver.want.len);
    assert_memory_equal(buf, x->giver.want.p + x->arrived, (size_t)n);
    x->arrived += (size_t)n;
    return true;
}

#define TAKE_ALL(x, max) \
    TURN_WHILE_DOING((x)->loop, (take((x), (max)) || true) && (x)->arrived == (x)->giver.want.len)

static void queue_something(struct scene *x)
{
    struct giver *g = &x->giver;
    uint64_t off = test_rand_below(&x->seed, FILE_LEN);
    switch (test_rand_below(&x->seed, 4)) {
    case 0:
        queue_head(g, pattern + off, (size_t)test_rand_below(&x->seed, FILE_LEN - off) % 3000);
        break;
    case 1:
        queue_run(g, off, (size_t)test_rand_below(&x->seed, FILE_LEN - off) % 3000);
        break;
    case 2: /* neighbours, as a peer asks for them */
        off = off / BLOCK * BLOCK;
        for (int i = 0; i < 20 && off + BLOCK <= FILE_LEN; i++, off += BLOCK) {
            queue_head(g, "thirteen byte", 13);
            queue_run(g, off, BLOCK);
        }
        break;
    default: /* in one run, in two parts */
        queue_run(g, off, (size_t)(FILE_LEN - off) / 2);
        queue_run(g, off + (FILE_LEN - off) / 2,
                  (size_t)test_rand_below(&x->seed, 1000) % (size_t)((FILE_LEN - off + 1) / 2 + 1) /
                      2);
    }
}

/* What is in memory changes from one question to the next. */
static uint64_t moods;

static int moody_resident(int fd, int64_t off, size_t len)
{
    (void)fd, (void)off, (void)len;
    errno = ENOSYS;
    return (int)test_rand_below(&moods, 3) - 1;
}

enum { MOODY = 2 };

static void random_queue(int resident, bool is_short, enum sys_file_way way)
{
    struct sys_fake f;
    struct sys_ops moody = *room_ops;
    moody.resident = moody_resident;
    sys_fake_install(&f, resident == MOODY ? &moody : room_ops);
    f.resident = resident == MOODY ? -2 : resident;
    struct scene x;
    scene_begin(&x, 2);
    x.giver.file->way = way;
    for (int i = 0; i < (is_short ? 12 : 60); i++) {
        queue_something(&x);
        if (is_short)
            f.short_io = (size_t)test_rand_below(&x.seed, 20000) + 1000;
        if (resident == MOODY && test_rand_below(&x.seed, 4) == 0)
            f.clock_offset_us += 700 * 1000; /* what was in memory is asked about again */
        if (test_rand_below(&x.seed, 3) == 0)
            assert_true(loop_turn(x.loop, 0, NULL));
        if (test_rand_below(&x.seed, 3) == 0)
            take(&x, (size_t)test_rand_below(&x.seed, 300000));
    }
    TAKE_ALL(&x, SIZE_MAX);
    turns_settle(x.loop);
    assert_int_equal(x.giver.stream.sent, x.giver.want.len);
    assert_int_equal(x.giver.stream.queued, 0);
    assert_null(x.giver.stream.send);
    assert_true(x.giver.drains > 0);
    assert_false(x.giver.has_ended);
    scene_end(&x);
    sys_fake_remove(&f);
}

static void test_random_queues(void **state)
{
    (void)state;
    for (int resident = -2; resident <= MOODY; resident++) {
        random_queue(resident, false, SYS_FILE_AUTO);
        random_queue(resident, true, SYS_FILE_AUTO);
    }
    for (enum sys_file_way way = SYS_FILE_MMAP; way <= SYS_FILE_PREAD; way++) {
        random_queue(-2, false, way);
        random_queue(MOODY, true, way);
    }
}

/* More than the sockets hold, to a peer who reads a little at a time; the owner refills. */
static void test_slow_reader(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x, 1);
    for (int i = 0; i < 20; i++)
        queue_run(&x.giver, 0, FILE_LEN);
    assert_int_equal(x.giver.stream.queued, 20 * FILE_LEN);
    turns_settle(x.loop);
    assert_true(x.giver.stream.queued > LOOP_STREAM_LOW);
    assert_int_equal(x.giver.drains, 0);
    x.giver.blocks_left = 1000;
    TURN_WHILE_DOING(x.loop, (take(&x, 100000) || true) && x.arrived == x.giver.want.len &&
                                 x.giver.blocks_left == 0);
    assert_true(x.giver.drains >= 1000 / 16);
    scene_end(&x);
}

static void test_too_many_messages(void **state)
{
    (void)state;
    struct scene x;
    scene_begin(&x, 1);
    static uint8_t some[1 << 20];
    for (int i = 0; i < 17; i++)
        tarn_out_put(loop_stream_out(&x.giver.stream), tarn_bytes_of(some, sizeof some));
    TURN_UNTIL(x.loop, x.giver.has_ended);
    assert_int_equal(x.giver.end.code, TARN_E_POLICY);
    scene_end(&x);
}

/* --- who reads --- */

static pthread_t loop_thread;
static atomic_uint pool_reads, loop_reads, loop_sendfiles;
static atomic_bool was_read[FILE_LEN / BLOCK]; /* by a thread that is not the loop's */
static atomic_bool is_late;

static bool were_read(int64_t off, size_t len)
{
    for (int64_t i = off / BLOCK; i * BLOCK < off + (int64_t)len; i++)
        if (!was_read[i])
            return false;
    return true;
}

static ssize_t watched_preadv(int fd, const struct iovec *iov, int n, int64_t off)
{
    ssize_t got = room_ops->preadv(fd, iov, n, off);
    if (pthread_equal(pthread_self(), loop_thread)) {
        loop_reads++;
        if (got > 0 && !were_read(off, (size_t)got))
            is_late = true;
        return got;
    }
    pool_reads++;
    for (int64_t i = off / BLOCK; i * BLOCK < off + got; i++)
        was_read[i] = true;
    return got;
}

static ssize_t watched_sendfile(int sock, int fd, int64_t off, size_t len)
{
    loop_sendfiles++;
    if (!were_read(off, len))
        is_late = true;
    return room_ops->sendfile(sock, fd, off, len);
}

static int resident_answer;

static int watched_resident(int fd, int64_t off, size_t len)
{
    (void)fd, (void)off, (void)len;
    if (resident_answer < 0)
        errno = ENOSYS;
    return resident_answer;
}

/* Every byte of a cold file has been read by the pool before the loop's thread asks for it, in few
 * jobs though the peer asks in blocks. */
static void test_cold_runs_go_through_the_pool(void **state)
{
    (void)state;
    struct sys_ops watched = *room_ops;
    watched.preadv = watched_preadv;
    watched.sendfile = watched_sendfile;
    watched.resident = watched_resident;
    for (resident_answer = -1; resident_answer <= 0; resident_answer++) {
        loop_thread = pthread_self();
        pool_reads = loop_reads = loop_sendfiles = 0;
        memset(was_read, 0, sizeof was_read);
        is_late = false;
        sys_ops = &watched;
        struct scene x;
        scene_begin(&x, 1);
        for (uint64_t off = 0; off < FILE_LEN; off += BLOCK) {
            queue_head(&x.giver, "thirteen byte", 13);
            queue_run(&x.giver, off, BLOCK);
        }
        TAKE_ALL(&x, SIZE_MAX);
        assert_false(is_late);
        assert_true(were_read(0, FILE_LEN));
        assert_int_equal(pool_reads, FILE_LEN / (128 << 10)); /* none twice, none short */
        assert_true(loop_reads + loop_sendfiles > 0);
        struct loop_io_stats io;
        loop_io_stats(x.loop, &io);
        assert_int_equal(io.cold_jobs, FILE_LEN / (128 << 10));
        assert_int_equal(io.cold_read, FILE_LEN);
        assert_int_equal(io.cold_unused, 0);
        assert_true(io.asked > 0);
        scene_end(&x);
        sys_ops = room_ops;
    }
}

/* What is in memory goes straight out. */
static void test_warm_runs_do_not(void **state)
{
    (void)state;
    struct sys_ops watched = *room_ops;
    watched.preadv = watched_preadv;
    watched.resident = watched_resident;
    loop_thread = pthread_self();
    pool_reads = 0;
    resident_answer = 1;
    sys_ops = &watched;
    struct scene x;
    scene_begin(&x, 1);
    queue_run(&x.giver, 0, FILE_LEN);
    TAKE_ALL(&x, SIZE_MAX);
    assert_int_equal(pool_reads, 0);
    scene_end(&x);
    sys_ops = room_ops;
}

/* --- how much waits in the kernel --- */

static int64_t told_us;
static int last_unsent;

static int64_t told_now(void)
{
    return told_us;
}

static void watched_option(int fd, int level, int name, int value)
{
    if (level == IPPROTO_TCP && value >= LOOP_STREAM_UNSENT)
        last_unsent = value;
    room_ops->set_option(fd, level, name, value);
}

/* It grows while the socket wants more at once, and shrinks when it takes its time. */
static void test_what_waits_unsent(void **state)
{
    (void)state;
    struct sys_ops told = *room_ops;
    told.now_us = told_now;
    told.set_option = watched_option;
    told_us = 1;
    last_unsent = 0;
    sys_ops = &told;
    struct scene x;
    scene_begin(&x, 1);
    struct giver *g = &x.giver;
    for (int i = 0; i < 20; i++)
        queue_run(g, 0, FILE_LEN);
    TURN_WHILE_DOING(
        x.loop, (take(&x, SIZE_MAX) || true) &&
                    (g->stream.doubled == LOOP_STREAM_DOUBLED_MAX || x.arrived == g->want.len));
    assert_int_equal(g->stream.doubled, LOOP_STREAM_DOUBLED_MAX);
    for (int i = 0; i < 20; i++)
        queue_run(g, 0, FILE_LEN);
    do {
        told_us += LOOP_STREAM_LATE_US + 1;
        take(&x, SIZE_MAX);
        assert_true(loop_turn(x.loop, 500, NULL));
    } while (g->stream.doubled > 0 && x.arrived < g->want.len);
    assert_int_equal(g->stream.doubled, 0);
#ifdef TCP_NOTSENT_LOWAT
    assert_int_equal(last_unsent, LOOP_STREAM_UNSENT);
#endif
    scene_end(&x);
    sys_ops = room_ops;
}

/* --- several at a time --- */

enum { AT_ONCE = 4 };
static atomic_uint inside, most_inside;
static atomic_bool may_go;

static ssize_t slow_preadv(int fd, const struct iovec *iov, int n, int64_t off)
{
    if (!pthread_equal(pthread_self(), loop_thread)) {
        unsigned now = ++inside;
        if (now > most_inside)
            most_inside = now;
        while (!may_go)
            usleep(100);
        inside--;
    }
    return room_ops->preadv(fd, iov, n, off);
}

/* A peer's scattered requests are read side by side, and what it asks for meanwhile joins them; the
 * loop goes on turning. When it goes away half way, what was read for nothing is counted. */
static void test_cold_reads_side_by_side(void **state)
{
    (void)state;
    struct sys_ops slow = *room_ops;
    slow.preadv = slow_preadv;
    slow.resident = watched_resident;
    resident_answer = 0;
    loop_thread = pthread_self();
    for (int leaves = 0; leaves < 2; leaves++) {
        inside = most_inside = 0;
        may_go = false;
        sys_ops = &slow;
        struct scene x;
        struct loop_io_stats io;
        scene_begin(&x, 1);
        for (int i = 0; i < 64; i++) {
            queue_head(&x.giver, "thirteen byte", 13);
            queue_run(&x.giver, (uint64_t)(i * 37 % (FILE_LEN / BLOCK)) * BLOCK, BLOCK);
        }
        TURN_UNTIL(x.loop, inside == AT_ONCE);
        loop_io_stats(x.loop, &io);
        assert_int_equal(io.cold_jobs, 8); /* of eight blocks each */
        queue_run(&x.giver, 5 * BLOCK, 2 * BLOCK);
        turns_settle(x.loop); /* as many as may be: no more for now */
        loop_io_stats(x.loop, &io);
        assert_int_equal(io.cold_read, 64 * BLOCK);
        if (leaves)
            loop_stream_release(&x.giver.stream);
        may_go = true;
        if (leaves)
            TURN_UNTIL(x.loop, x.giver.file->refs == 1);
        else
            TAKE_ALL(&x, SIZE_MAX);
        loop_io_stats(x.loop, &io);
        assert_int_equal(most_inside, AT_ONCE);
        assert_int_equal(io.cold_read, (leaves ? 64 : 66) * BLOCK);
        assert_int_equal(io.cold_unused, leaves ? 64 * BLOCK : 0);
        scene_end(&x);
        sys_ops = room_ops;
    }
}

static void test_disk_fails(void **state)
{
    (void)state;
    for (int releases = 0; releases < 2; releases++) {
        struct sys_fake f;
        sys_fake_install(&f, room_ops);
        f.resident = 0;
        struct scene x;
        scene_begin(&x, 1);
        x.giver.releases = releases;
        f.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .error = EIO, .forever = true };
        queue_run(&x.giver, 0, 1000);
        TURN_UNTIL(x.loop, x.giver.has_ended);
        assert_int_not_equal(x.giver.end.code, TARN_OK);
        assert_non_null(strstr(x.giver.end.msg, "reading what a peer asked for"));
        scene_end(&x);
        sys_fake_remove(&f);
    }
}

static void test_file_cut_short(void **state)
{
    (void)state;
    for (int turn = 0; turn < 12; turn++) {
        int resident = turn % 4 - 2;
        struct sys_fake f;
        sys_fake_install(&f, room_ops);
        f.resident = resident;
        struct scene x;
        scene_begin(&x, 1);
        x.giver.file->way = (enum sys_file_way)(turn / 4);
        x.giver.releases = resident == 0;
        queue_head(&x.giver, "head", 4);
        queue_run(&x.giver, FILE_LEN - 100000, 100000);
        assert_int_equal(truncate("content", FILE_LEN - 50000), 0);
        TURN_WHILE_DOING(x.loop, (take(&x, SIZE_MAX) || true) && x.giver.has_ended);
        assert_int_equal(x.giver.end.code, TARN_E_INTEGRITY);
        scene_end(&x);
        sys_fake_remove(&f);
    }
}

/* The stream goes while the pool reads for it. */
static void test_released_while_cold(void **state)
{
    (void)state;
    for (int turns = 0; turns < 4; turns++) {
        struct sys_fake f;
        sys_fake_install(&f, room_ops);
        f.resident = 0;
        struct scene x;
        scene_begin(&x, 1);
        queue_run(&x.giver, 0, FILE_LEN);
        assert_true(loop_turn(x.loop, 0, NULL));
        loop_stream_release(&x.giver.stream);
        if (turns > 0)
            TURN_UNTIL(x.loop, x.giver.file->refs == 1);
        scene_end(&x); /* else the loop drops the job */
        sys_fake_remove(&f);
    }
}

static void test_peer_gone_while_sending(void **state)
{
    (void)state;
    for (int resident = 0; resident <= 1; resident++) {
        struct sys_fake f;
        sys_fake_install(&f, room_ops);
        f.resident = resident;
        struct scene x;
        scene_begin(&x, 1);
        for (int i = 0; i < 20; i++)
            queue_run(&x.giver, 0, FILE_LEN);
        TURN_WHILE_DOING(x.loop, take(&x, 200000));
        struct linger hard = { .l_onoff = 1, .l_linger = 0 };
        assert_int_equal(setsockopt(x.far, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
        sys_close(&x.far);
        TURN_UNTIL(x.loop, x.giver.has_ended);
        assert_int_equal(x.giver.end.code, TARN_E_NETWORK);
        scene_end(&x);
        sys_fake_remove(&f);
    }
}

/* No lie is told when memory runs out in the middle of a queue. */
static void test_no_memory(void **state)
{
    (void)state;
    for (size_t n = 0; n < 6; n++) {
        struct sys_fake f;
        sys_fake_install(&f, room_ops);
        f.resident = 0;
        struct scene x;
        scene_begin(&x, 1);
        test_mem_fail_after(n);
        tarn_out_str(loop_stream_out(&x.giver.stream), "head");
        bool ok = loop_stream_send_file(&x.giver.stream, x.giver.file, 0, 1000);
        if (n < 4)
            TURN_UNTIL(x.loop, x.giver.has_ended || !ok);
        test_mem_normal();
        if (x.giver.has_ended)
            assert_int_equal(x.giver.end.code, TARN_E_NO_MEMORY);
        scene_end(&x);
        sys_fake_remove(&f);
    }
}

static int enter(void **state)
{
    sys_ignore_sigpipe();
    pattern = room_pattern(FILE_LEN);
    return room_enter(state);
}

static int leave(void **state)
{
    tarn_free(pattern);
    return room_leave(state);
}

#define HERE(test) \
    { #test " (native)", test, enter, leave, &room_native }, \
    { \
#test " (plain)", test, enter, leave, &room_plain \
    }

TEST_MAIN(HERE(test_random_queues), HERE(test_slow_reader), HERE(test_too_many_messages),
          HERE(test_cold_runs_go_through_the_pool), HERE(test_warm_runs_do_not),
          HERE(test_cold_reads_side_by_side), HERE(test_what_waits_unsent), HERE(test_disk_fails),
          HERE(test_file_cut_short), HERE(test_released_while_cold),
          HERE(test_peer_gone_while_sending), HERE(test_no_memory))
