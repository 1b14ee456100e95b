#include "loop/loop.h"

#include "loop/pool.h"
#include "loop/test/turns.h"
#include "sys/thread.h"

/* --- timers --- */

enum { TIMERS = 200 };

struct timed {
    struct loop_timer timer;
    struct loop *loop;
    struct timed *victim; /* stopped when this one's time comes */
    int64_t at_us;
    int fired;
};

static int64_t last_at_us;
static int n_fired;

static void on_time(struct loop_timer *timer)
{
    struct timed *t = TARN_OUTER(timer, struct timed, timer);
    assert_true(t->at_us >= last_at_us);
    assert_true(loop_now_us(t->loop) >= t->at_us);
    last_at_us = t->at_us;
    t->fired++;
    n_fired++;
    if (t->victim != NULL)
        loop_timer_stop(t->loop, &t->victim->timer);
}

static void test_timers_in_order(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct loop *l = turns_loop(1);
    static struct timed t[TIMERS];
    memset(t, 0, sizeof t);
    last_at_us = 0;
    n_fired = 0;
    int expected = TIMERS;
    for (int i = 0; i < TIMERS; i++) {
        t[i].loop = l;
        t[i].at_us = loop_now_us(l) + (int64_t)test_rand_below(&seed, 30000);
        t[i].timer.on_time = on_time;
        assert_true(loop_timer_set(l, &t[i].timer, t[i].at_us));
    }
    for (int i = 0; i + 1 < TIMERS; i += 2) /* the earlier of two stops the later */
        if (t[i].at_us != t[i + 1].at_us) {
            bool first = t[i].at_us < t[i + 1].at_us;
            t[first ? i : i + 1].victim = &t[first ? i + 1 : i];
            expected--;
        }
    TURN_UNTIL(l, n_fired == expected);
    loop_timer_stop(l, &t[0].timer);
    turns_settle(l);
    assert_int_equal(n_fired, expected);
    loop_free(l);
}

static void on_time_again(struct loop_timer *timer)
{
    struct timed *t = TARN_OUTER(timer, struct timed, timer);
    t->fired++;
    assert_true(loop_timer_set(t->loop, timer, loop_now_us(t->loop)));
}

static void test_timer_that_sets_itself(void **state)
{
    (void)state;
    struct loop *l = turns_loop(1);
    struct timed t = { .loop = l, .timer = { .on_time = on_time_again } };
    assert_true(loop_timer_set(l, &t.timer, 0));
    for (int i = 1; i <= 5; i++) { /* once a turn */
        assert_true(loop_turn(l, -1, NULL));
        assert_int_equal(t.fired, i);
    }
    loop_timer_stop(l, &t.timer);
    loop_free(l);
}

/* --- messages --- */

enum { POSTERS = 4, POSTS = 5000 };

struct poster {
    struct sys_thread thread;
    struct loop *loop;
    struct posted {
        struct loop_msg msg;
        struct poster *from;
        int no;
    } posts[POSTS];
    int next; /* on the loop: the one expected */
};

static int n_arrived;

static void on_loop(struct loop_msg *m)
{
    struct posted *p = TARN_OUTER(m, struct posted, msg);
    assert_int_equal(p->no, p->from->next++);
    if (++n_arrived == POSTERS * POSTS)
        loop_stop(p->from->loop);
}

static void post_all(void *arg)
{
    struct poster *p = arg;
    for (int i = 0; i < POSTS; i++)
        loop_post(p->loop, &p->posts[i].msg);
}

static void test_messages_from_threads(void **state)
{
    (void)state;
    struct loop *l = turns_loop(1);
    struct poster *p = tarn_calloc(POSTERS, sizeof *p);
    assert_non_null(p);
    n_arrived = 0;
    for (int i = 0; i < POSTERS; i++) {
        p[i].loop = l;
        for (int k = 0; k < POSTS; k++)
            p[i].posts[k] = (struct posted){ { .on_loop = on_loop }, &p[i], k };
        assert_true(sys_thread_start(&p[i].thread, "poster", post_all, &p[i], NULL));
    }
    assert_true(loop_run(l, NULL)); /* waits for ever: no wake-up may be lost */
    assert_int_equal(n_arrived, POSTERS * POSTS);
    for (int i = 0; i < POSTERS; i++)
        sys_thread_join(&p[i].thread);
    tarn_free(p);
    loop_free(l);
}

static void count_message(struct loop_msg *m)
{
    (void)m;
    n_arrived++;
}

/* Sockets get their turn between the ends of very many jobs; and no turn waits while some are left.
 */
static void test_messages_a_turn(void **state)
{
    (void)state;
    enum { N = 1000, MOST = 256 };
    static struct loop_msg messages[N];
    struct loop *l = turns_loop(1);
    n_arrived = 0;
    for (size_t i = 0; i < N; i++) {
        messages[i].on_loop = count_message;
        loop_post(l, &messages[i]);
    }
    for (int turns = 1; n_arrived < N; turns++) {
        int before = n_arrived;
        assert_true(loop_turn(l, -1, NULL)); /* may wait for ever */
        assert_in_range(n_arrived - before, 1, MOST);
        assert_true(turns <= N / MOST + 1);
    }
    loop_free(l);
}

static void test_stop_before_run(void **state)
{
    (void)state;
    struct loop *l = turns_loop(1);
    loop_stop(l);
    assert_true(loop_run(l, NULL));
    loop_free(l);
}

/* --- descriptors and idle functions --- */

struct watched {
    struct loop_watch watch;
    struct loop *loop;
    struct watched *other;
    int calls;
};

static void on_ready(struct loop_watch *w, unsigned events)
{
    struct watched *x = TARN_OUTER(w, struct watched, watch);
    assert_int_equal(events & SYS_READABLE, SYS_READABLE);
    x->calls++;
    loop_watch_remove(x->loop, &x->other->watch);
}

static void test_removed_watch_is_not_served(void **state)
{
    (void)state;
    struct loop *l = turns_loop(1);
    struct wire w = wire_open(false);
    struct watched a = { .loop = l, .watch = { .on_ready = on_ready, .fd = w.a } };
    struct watched b = { .loop = l, .watch = { .on_ready = on_ready, .fd = w.b } };
    a.other = &b;
    b.other = &a;
    assert_int_equal(write(w.a, "x", 1), 1);
    assert_int_equal(write(w.b, "x", 1), 1);
    wire_wait(w.a, POLLIN);
    wire_wait(w.b, POLLIN);
    assert_true(loop_watch_set(l, &a.watch, SYS_READABLE, NULL));
    assert_true(loop_watch_set(l, &b.watch, SYS_READABLE, NULL));
    assert_true(loop_turn(l, -1, NULL));
    assert_int_equal(a.calls + b.calls, 1); /* both were ready */
    loop_watch_remove(l, &a.watch);
    loop_watch_remove(l, &b.watch);
    wire_close(&w);
    loop_free(l);
}

struct idler {
    struct loop_idle idle;
    struct loop *loop;
    struct idler *victim;
    int left, calls;
};

static void on_idle(struct loop_idle *i)
{
    struct idler *x = TARN_OUTER(i, struct idler, idle);
    x->calls++;
    if (x->victim != NULL)
        loop_idle_stop(&x->victim->idle);
    if (--x->left > 0)
        loop_idle_set(x->loop, i);
}

static void test_idle(void **state)
{
    (void)state;
    struct loop *l = turns_loop(1);
    struct idler b = { .idle = { .on_idle = on_idle }, .loop = l, .left = 1 };
    struct idler a = { .idle = { .on_idle = on_idle }, .loop = l, .left = 3, .victim = &b };
    loop_idle_set(l, &a.idle);
    loop_idle_set(l, &a.idle);
    loop_idle_set(l, &b.idle);
    assert_true(loop_turn(l, -1, NULL));
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 0); /* stopped by a, of the same ring */
    assert_true(loop_turn(l, -1, NULL));
    assert_true(loop_turn(l, -1, NULL));
    assert_int_equal(a.calls, 3);
    loop_idle_stop(&a.idle);
    loop_free(l);
}

/* --- pool --- */

enum { JOBS = 300 };

struct counted {
    struct loop_job job;
    int no;
    bool has_run, is_done;
    struct counted *victim;
    struct loop *loop;
};

static int next_run, n_done;
static struct sys_lock gate_lock;
static struct sys_cond gate_opens;
static bool gate_is_open, gate_is_reached;

static void run_job(struct loop_job *j)
{
    struct counted *c = TARN_OUTER(j, struct counted, job);
    assert_int_equal(c->no, next_run++); /* one thread: no lock needed */
    c->has_run = true;
}

static void job_done(struct loop_job *j)
{
    struct counted *c = TARN_OUTER(j, struct counted, job);
    assert_true(c->has_run);
    c->is_done = true;
    n_done++;
    if (c->victim != NULL)
        loop_pool_cancel(c->loop, &c->victim->job);
}

static void test_pool_order(void **state)
{
    (void)state;
    struct loop *l = turns_loop(1);
    static struct counted c[JOBS];
    memset(c, 0, sizeof c);
    next_run = n_done = 0;
    for (int i = 0; i < JOBS; i++) {
        c[i].job.run = run_job;
        c[i].job.done = job_done;
        c[i].no = i;
        loop_pool_submit(l, &c[i].job);
    }
    assert_int_equal(loop_pool_pending(l), JOBS);
    TURN_UNTIL(l, n_done == JOBS);
    assert_int_equal(loop_pool_pending(l), 0);
    loop_free(l);
}

static void run_at_gate(struct loop_job *j)
{
    TARN_OUTER(j, struct counted, job)->has_run = true;
    sys_lock_take(&gate_lock);
    gate_is_reached = true;
    sys_cond_broadcast(&gate_opens);
    while (!gate_is_open)
        sys_cond_wait(&gate_opens, &gate_lock);
    sys_lock_give(&gate_lock);
}

static void open_gate(void *arg)
{
    (void)arg;
    sys_lock_take(&gate_lock);
    gate_is_open = true;
    sys_cond_broadcast(&gate_opens);
    sys_lock_give(&gate_lock);
}

static void close_gate(void)
{
    sys_lock_init(&gate_lock);
    sys_cond_init(&gate_opens);
    gate_is_open = gate_is_reached = false;
}

static void wait_at_gate(void)
{
    sys_lock_take(&gate_lock);
    while (!gate_is_reached)
        sys_cond_wait(&gate_opens, &gate_lock);
    sys_lock_give(&gate_lock);
}

static void remove_gate(void)
{
    sys_cond_release(&gate_opens);
    sys_lock_release(&gate_lock);
}

/* A job is taken back while it waits in line, while it runs, and when its done() is under way. */
static void test_pool_cancel(void **state)
{
    (void)state;
    struct loop *l = turns_loop(1);
    close_gate();
    next_run = n_done = 0;
    struct counted runs = { .job = { .run = run_at_gate, .done = job_done } };
    struct counted waits = { .job = { .run = run_job, .done = job_done } };
    struct counted last = { .job = { .run = run_job, .done = job_done } };
    loop_pool_cancel(l, &runs.job); /* not out: harmless */
    loop_pool_submit(l, &runs.job);
    loop_pool_submit(l, &waits.job);
    loop_pool_submit(l, &last.job);
    wait_at_gate();
    loop_pool_cancel(l, &waits.job);
    struct sys_thread opener = { 0 };
    assert_true(sys_thread_start(&opener, "opener", open_gate, NULL, NULL));
    loop_pool_cancel(l, &runs.job); /* waits */
    assert_true(runs.has_run);
    sys_thread_join(&opener);
    TURN_UNTIL(l, last.is_done);
    assert_false(waits.has_run);
    assert_int_equal(n_done, 1);
    assert_int_equal(loop_pool_pending(l), 0);

    /* Both have run and are posted; the first one's done() takes the second back. */
    struct counted second = { .job = { .run = run_job, .done = job_done }, .no = 2 };
    struct counted first = {
        .job = { .run = run_job, .done = job_done }, .no = 1, .victim = &second, .loop = l
    };
    close_gate();
    struct counted gate = { .job = { .run = run_at_gate, .done = job_done } };
    loop_pool_submit(l, &first.job);
    loop_pool_submit(l, &second.job);
    loop_pool_submit(l, &gate.job);
    wait_at_gate();
    open_gate(NULL);
    turns_settle(l);
    TURN_UNTIL(l, gate.is_done);
    assert_true(first.is_done);
    assert_true(second.has_run);
    assert_false(second.is_done);
    assert_int_equal(loop_pool_pending(l), 0);
    remove_gate();
    loop_free(l);
}

static void test_free_with_jobs_in_line(void **state)
{
    (void)state;
    struct loop *l = turns_loop(1);
    static struct counted c[JOBS];
    memset(c, 0, sizeof c);
    close_gate();
    n_done = 0;
    next_run = 1;
    for (int i = 0; i < JOBS; i++) {
        c[i].job.run = i == 0 ? run_at_gate : run_job;
        c[i].job.done = job_done;
        c[i].no = i;
        loop_pool_submit(l, &c[i].job);
    }
    wait_at_gate();
    struct sys_thread opener = { 0 };
    assert_true(sys_thread_start(&opener, "opener", open_gate, NULL, NULL));
    loop_free(l);
    sys_thread_join(&opener);
    assert_int_equal(n_done, 0);
    remove_gate();
}

static void test_no_memory(void **state)
{
    (void)state;
    for (size_t n = 0;; n++) {
        struct tarn_err err = { .code = TARN_OK };
        struct loop_settings set = { .threads = 2 };
        test_mem_fail_after(n);
        struct loop *l = loop_new(&set, &err);
        test_mem_normal();
        if (l != NULL) {
            loop_free(l);
            assert_true(n > 3);
            return;
        }
        assert_int_equal(err.code, TARN_E_NO_MEMORY);
    }
}

TEST_MAIN(ON_BOTH(test_timers_in_order), ON_BOTH(test_timer_that_sets_itself),
          ON_BOTH(test_messages_from_threads), ON_BOTH(test_messages_a_turn),
          ON_BOTH(test_stop_before_run), ON_BOTH(test_removed_watch_is_not_served),
          ON_BOTH(test_idle), ON_BOTH(test_pool_order), ON_BOTH(test_pool_cancel),
          ON_BOTH(test_free_with_jobs_in_line), ON_BOTH(test_no_memory))
