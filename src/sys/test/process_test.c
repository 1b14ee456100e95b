/* Threads, signals, time and chance. */
#include "sys/clock.h"
#include "sys/signals.h"
#include "sys/test/room.h"
#include "sys/thread.h"

#include <poll.h>
#include <signal.h>

struct box {
    struct sys_lock lock;
    struct sys_cond counted, closed;
    unsigned count;
    bool is_closed;
    sigset_t mask;
};

static void count_up(void *arg)
{
    struct box *b = arg;
    sys_lock_take(&b->lock);
    pthread_sigmask(SIG_SETMASK, NULL, &b->mask);
    b->count++;
    sys_cond_signal(&b->counted);
    while (!b->is_closed)
        sys_cond_wait(&b->closed, &b->lock);
    sys_lock_give(&b->lock);
}

static void threads(void **state)
{
    (void)state;
    struct box b = { 0 };
    sys_lock_init(&b.lock);
    sys_cond_init(&b.counted);
    sys_cond_init(&b.closed);
    struct sys_thread t[4];
    for (size_t i = 0; i < TARN_COUNT_OF(t); i++)
        assert_true(sys_thread_start(&t[i], "a name that is too long", count_up, &b, NULL));
    sys_lock_take(&b.lock);
    while (b.count < TARN_COUNT_OF(t))
        sys_cond_wait(&b.counted, &b.lock);
    int64_t start = sys_now_us();
    while (sys_cond_wait_for(&b.counted, &b.lock, 3000)) /* woken without a cause */
        start = sys_now_us();
    assert_true(sys_now_us() - start >= 3000);
    assert_false(sys_cond_wait_for(&b.counted, &b.lock, -1));
    b.is_closed = true;
    sys_cond_broadcast(&b.closed);
    assert_int_equal(sigismember(&b.mask, SIGPIPE), 1);
    assert_int_equal(sigismember(&b.mask, SIGTERM), 1);
    assert_int_equal(sigismember(&b.mask, SIGSEGV), 0);
    sys_lock_give(&b.lock);
    for (size_t i = 0; i < TARN_COUNT_OF(t); i++)
        sys_thread_join(&t[i]);
    sys_thread_join(&t[0]); /* has ended already */
    sys_cond_release(&b.counted);
    sys_cond_release(&b.closed);
    sys_lock_release(&b.lock);
    sigset_t mine;
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    assert_int_equal(sigismember(&mine, SIGPIPE), 0);
    assert_true(sys_cpu_count() >= 1);

    struct tarn_err err;
    test_mem_fail_after(0);
    assert_false(sys_thread_start(&t[0], "none", count_up, &b, &err));
    test_mem_normal();
    assert_int_equal(err.code, TARN_E_NO_MEMORY);
    sys_thread_join(&t[0]);
}

static void signals(void **state)
{
    (void)state;
    int fd = -1, other = -1;
    struct tarn_err err;
    sys_signals_close(&fd);
    for (int round = 0; round < 2; round++) {
        assert_true(sys_signals_open(&fd, NULL));
        assert_false(sys_signals_open(&other, &err));
        assert_int_equal(sys_signals_read(fd), 0);
        raise(SIGTERM);
        raise(SIGHUP);
        struct pollfd p = { .fd = fd, .events = POLLIN };
        assert_int_equal(poll(&p, 1, 10000), 1);
        assert_int_equal(sys_signals_read(fd), SIGTERM);
        assert_int_equal(sys_signals_read(fd), SIGHUP);
        assert_int_equal(sys_signals_read(fd), 0);
        sys_signals_close(&fd);
        assert_int_equal(fd, -1);
    }
    struct sigaction now;
    assert_int_equal(sigaction(SIGTERM, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL);
    sys_ignore_sigpipe();
    raise(SIGPIPE);
}

static void time_and_chance(void **state)
{
    (void)state;
    int64_t a = sys_now_us(), wall = sys_wall_ms();
    assert_true(sys_now_us() >= a);
    assert_true(wall > INT64_C(1700000000000));
    uint8_t x[1000] = { 0 }, y[1000] = { 0 };
    assert_true(sys_random(x, sizeof x, NULL));
    assert_true(sys_random(y, sizeof y, NULL));
    assert_memory_not_equal(x, y, sizeof x);
    assert_true(sys_random(NULL, 0, NULL));
    struct sys_fake f;
    struct tarn_err err;
    sys_fake_install(&f, room_ops);
    atomic_store(&f.clock_offset_us, INT64_C(3600) * 1000000);
    assert_true(sys_now_us() - a >= INT64_C(3600) * 1000000);
    f.fail[SYS_FAKE_RANDOM] = (struct sys_fault){ .error = EIO };
    assert_false(sys_random(x, sizeof x, &err));
    assert_string_equal(err.msg,
                        "cannot get 1000 random bytes from the system: Input/output error");
    sys_fake_remove(&f);
}

TEST_MAIN(ON_BOTH(threads), ON_BOTH(signals), ON_BOTH(time_and_chance))
