/* Waiting over both pollers: readiness, time, being woken by another thread. */
#include "sys/poller.h"

#include "sys/clock.h"
#include "sys/test/wire.h"
#include "sys/thread.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

static int tags[64];

static struct sys_poller *open_poller(void)
{
    struct sys_poller *p = sys_poller_new(NULL);
    assert_non_null(p);
    return p;
}

static void readiness(void **state)
{
    (void)state;
    struct sys_poller *p = open_poller();
    struct sys_ready r[8];
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(sys_poller_wait(p, r, 8, 0), 0);
    assert_true(sys_poller_set(p, ends[0], SYS_READABLE, &tags[1], NULL));
    assert_int_equal(sys_poller_wait(p, r, 8, 0), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 2; i++) { /* level-triggered: again and again */
        assert_int_equal(sys_poller_wait(p, r, 8, -1), 1);
        assert_ptr_equal(r[0].tag, &tags[1]);
        assert_int_equal(r[0].events, SYS_READABLE);
    }
    assert_true(sys_poller_set(p, ends[0], SYS_READABLE | SYS_WRITABLE, &tags[2], NULL));
    assert_int_equal(sys_poller_wait(p, r, 8, -1), 1);
    assert_ptr_equal(r[0].tag, &tags[2]);
    assert_int_equal(r[0].events, SYS_READABLE | SYS_WRITABLE);
    assert_true(sys_poller_set(p, ends[0], SYS_WRITABLE, &tags[2], NULL));
    assert_int_equal(sys_poller_wait(p, r, 8, -1), 1);
    assert_int_equal(r[0].events, SYS_WRITABLE);
    assert_true(sys_poller_set(p, ends[0], 0, &tags[3], NULL));
    assert_int_equal(sys_poller_wait(p, r, 8, 0), 0);
    close(ends[1]); /* hung up: shown though nothing was asked for */
    assert_int_equal(sys_poller_wait(p, r, 8, -1), 1);
    assert_ptr_equal(r[0].tag, &tags[3]);
    assert_int_equal(r[0].events, SYS_READABLE | SYS_WRITABLE);
    sys_poller_remove(p, ends[0]);
    assert_int_equal(sys_poller_wait(p, r, 8, 0), 0);
    sys_poller_remove(p, ends[0]);
    sys_poller_remove(p, 1000);
    close(ends[0]);
    struct tarn_err err;
    assert_false(sys_poller_set(p, -1, SYS_READABLE, NULL, &err));
    sys_poller_free(p);
    sys_poller_free(NULL);
}

static void many_descriptors_a_few_at_a_time(void **state)
{
    (void)state;
    enum { N = 40 };
    struct sys_poller *p = open_poller();
    int ends[N][2];
    for (int i = 0; i < N; i++) {
        assert_int_equal(pipe(ends[i]), 0);
        assert_true(sys_poller_set(p, ends[i][0], SYS_READABLE, &tags[i], NULL));
        assert_int_equal(write(ends[i][1], "x", 1), 1);
    }
    for (int i = 0; i < N; i += 3)
        sys_poller_remove(p, ends[i][0]);
    unsigned seen[N] = { 0 };
    for (int i = 0; i < N; i++) { /* nobody starves */
        struct sys_ready r[4];
        size_t n = sys_poller_wait(p, r, 4, -1);
        assert_int_equal(n, 4);
        for (size_t k = 0; k < n; k++)
            seen[(int *)r[k].tag - tags]++;
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(seen[i] > 0, i % 3 != 0);
    for (int i = 0; i < N; i++) {
        sys_poller_remove(p, ends[i][0]);
        close(ends[i][0]);
        close(ends[i][1]);
    }
    sys_poller_free(p);
}

static void time_passes(void **state)
{
    (void)state;
    struct sys_poller *p = open_poller();
    struct sys_ready r[4];
    static const int64_t times[] = { 0, 1, 1500, 20000 };
    for (size_t i = 0; i < TARN_COUNT_OF(times); i++) {
        int64_t start = sys_now_us();
        assert_int_equal(sys_poller_wait(p, r, 4, times[i]), 0);
        int64_t took = sys_now_us() - start;
        assert_true(took >= times[i]);
        assert_true(took < times[i] + 5000000); /* a busy machine */
    }
    sys_poller_free(p);
}

static void a_wake_before_the_wait(void **state)
{
    (void)state;
    struct sys_poller *p = open_poller();
    struct sys_ready r[4];
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k <= i; k++)
            sys_poller_wake(p);
        assert_int_equal(sys_poller_wait(p, r, 4, -1), 0);
        int64_t start = sys_now_us();
        assert_int_equal(sys_poller_wait(p, r, 4, 10000), 0); /* the wakes are used up */
        assert_true(sys_now_us() - start >= 10000);
    }
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_true(sys_poller_set(p, ends[0], SYS_READABLE, &tags[0], NULL));
    assert_int_equal(write(ends[1], "x", 1), 1);
    sys_poller_wake(p); /* a wake hides nothing that is ready */
    assert_int_equal(sys_poller_wait(p, r, 4, -1), 1);
    sys_poller_remove(p, ends[0]);
    close(ends[0]);
    close(ends[1]);
    sys_poller_free(p);
}

enum { NOTES = 20000 };
struct mailbox {
    struct sys_poller *p;
    struct sys_lock lock;
    unsigned notes; /* under lock */
};

static void post(void *arg)
{
    struct mailbox *m = arg;
    for (unsigned i = 0; i < NOTES; i++) {
        sys_lock_take(&m->lock);
        m->notes++;
        sys_lock_give(&m->lock);
        sys_poller_wake(m->p);
    }
}

/* Two threads post and wake; the third must never sleep on a full box. */
static void no_wake_is_lost(void **state)
{
    (void)state;
    struct mailbox m = { .p = open_poller() };
    sys_lock_init(&m.lock);
    struct sys_thread posters[2];
    for (size_t i = 0; i < TARN_COUNT_OF(posters); i++)
        assert_true(sys_thread_start(&posters[i], "poster", post, &m, NULL));
    unsigned got = 0;
    while (got < 2 * NOTES) {
        struct sys_ready r[4];
        int64_t start = sys_now_us();
        assert_int_equal(sys_poller_wait(m.p, r, 4, 30 * 1000000), 0);
        assert_true(sys_now_us() - start < 25 * 1000000);
        sys_lock_take(&m.lock);
        got += m.notes;
        m.notes = 0;
        sys_lock_give(&m.lock);
    }
    for (size_t i = 0; i < TARN_COUNT_OF(posters); i++)
        sys_thread_join(&posters[i]);
    sys_lock_release(&m.lock);
    sys_poller_free(m.p);
}

/* A thread that waits once. */
struct waiter {
    struct sys_poller *p;
    struct sys_thread thread;
    atomic_int tid; /* 0: not there yet */
    atomic_int got; /* -1: it waits */
};

static void wait_once(void *arg)
{
    struct waiter *w = arg;
    struct sys_ready r[4];
    atomic_store(&w->tid, gettid());
    size_t n = sys_poller_wait(w->p, r, 4, -1);
    atomic_store(&w->got, (int)n);
}

static bool is_asleep(struct waiter *w)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", atomic_load(&w->tid));
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n < 0 ? 0 : n] = '\0';
    const char *behind = strrchr(text, ')'); /* "tid (name) S ..." */
    return atomic_load(&w->tid) != 0 && behind != NULL && strncmp(behind, ") S", 3) == 0;
}

/* Returns when it sleeps in its wait; where there is no /proc to tell, at once. */
static void begin_waiting(struct waiter *w)
{
    atomic_store(&w->tid, 0);
    atomic_store(&w->got, -1);
    assert_true(sys_thread_start(&w->thread, "waiter", wait_once, w, NULL));
    while (access("/proc/self/stat", R_OK) == 0 && !is_asleep(w))
        sched_yield();
}

static void end_waiting(struct waiter *w, int got)
{
    sys_thread_join(&w->thread);
    assert_int_equal(atomic_load(&w->got), got);
}

static int call_at(const struct sys_addr *at)
{
    int fd = sys_tcp_connect(at, NULL);
    assert_true(fd >= 0);
    wire_wait(fd, POLLOUT);
    return fd;
}

/* Two pollers on one listener: one is woken, in turn; over poll(2) both are. */
static void one_of_several_is_woken(void **state)
{
    (void)state;
    bool is_one = sys_ops->poller != sys_ops_plain.poller && access("/proc/self/stat", R_OK) == 0;
    struct waiter w[2] = { { .p = open_poller() }, { .p = open_poller() } };
    struct sys_addr at = sys_addr_any(false, 0), from;
    int call[4], taken[4];
    at.ip[0] = 127;
    at.ip[3] = 1;
    int listener = sys_tcp_listen(&at, NULL);
    assert_true(listener >= 0 && sys_local_addr(listener, &at, NULL));
    for (int i = 0; i < 2; i++)
        assert_true(sys_poller_set(w[i].p, listener, SYS_READABLE | SYS_EXCLUSIVE, &tags[i], NULL));
    for (int i = 0; i < 4; i++) {
        struct waiter *first = &w[i % 2], *second = &w[1 - i % 2];
        begin_waiting(first);
        begin_waiting(second);
        call[i] = call_at(&at);
        end_waiting(first, 1);
        if (is_one) {
            assert_true(is_asleep(second));
            assert_int_equal(atomic_load(&second->got), -1);
        }
        assert_int_equal(sys_tcp_accept(listener, &taken[i], &from, NULL), SYS_IO_DONE);
        sys_poller_remove(first->p, listener); /* to the end of the line */
        assert_true(
            sys_poller_set(first->p, listener, SYS_READABLE | SYS_EXCLUSIVE, &tags[0], NULL));
        sys_poller_wake(second->p);
        sys_thread_join(&second->thread);
        struct sys_ready r[4];
        (void)sys_poller_wait(second->p, r, 4, 0); /* the wake, should it be left */
        if (is_one)
            assert_int_equal(atomic_load(&second->got), 0);
    }
    for (int i = 0; i < 4; i++) {
        close(call[i]);
        close(taken[i]);
    }
    close(listener);
    sys_poller_free(w[0].p);
    sys_poller_free(w[1].p);
}

static void no_memory(void **state)
{
    (void)state;
    struct tarn_err err;
    struct sys_poller *p = NULL;
    for (size_t left = 0; p == NULL; left++) {
        test_mem_fail_after(left);
        p = sys_poller_new(&err);
        test_mem_normal();
        if (p == NULL)
            assert_int_equal(err.code, TARN_E_NO_MEMORY);
        assert_true(left < 10);
    }
    test_mem_fail_after(0);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    bool ok = sys_poller_set(p, ends[0], SYS_READABLE, NULL, &err);
    test_mem_normal();
    if (!ok)
        assert_int_equal(err.code, TARN_E_NO_MEMORY);
    close(ends[0]);
    close(ends[1]);
    sys_poller_free(p);
}

TEST_MAIN(ON_BOTH(readiness), ON_BOTH(many_descriptors_a_few_at_a_time), ON_BOTH(time_passes),
          ON_BOTH(a_wake_before_the_wait), ON_BOTH(no_wake_is_lost),
          ON_BOTH(one_of_several_is_woken), ON_BOTH(no_memory))
