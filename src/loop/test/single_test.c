/* A loop without threads: jobs in its own turns, one each, in order; and jobs that are taken to
 * last, as simulations want them. */
#include "base/test/test.h"
#include "loop/hashing.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "loop/resolve.h"
#include "sys/clock.h"
#include "sys/fake.h"

#include <pthread.h>
#include <string.h>

enum { JOBS = 5 };

struct job {
    struct loop_job job;
    int no;
};

static pthread_t loop_thread;
static int ran[JOBS], done[JOBS], n_ran, n_done;

static void run(struct loop_job *j)
{
    assert_true(pthread_equal(pthread_self(), loop_thread));
    ran[n_ran++] = TARN_OUTER(j, struct job, job)->no;
}

static void on_done(struct loop_job *j)
{
    done[n_done++] = TARN_OUTER(j, struct job, job)->no;
}

static struct loop *single(struct job *jobs, struct loop_settings set)
{
    set.no_threads = true;
    struct loop *l = loop_new(&set, NULL);
    assert_non_null(l);
    assert_false(loop_has_threads(l));
    loop_thread = pthread_self();
    n_ran = n_done = 0;
    for (int i = 0; i < JOBS; i++)
        jobs[i] = (struct job){ .job = { .run = run, .done = on_done }, .no = i };
    return l;
}

static void test_one_job_a_turn(void **state)
{
    (void)state;
    struct job jobs[JOBS];
    struct loop *l = single(jobs, (struct loop_settings){ .threads = 4 });
    assert_true(loop_wakes_at_us(l) == INT64_MAX);
    for (int i = 0; i < JOBS; i++)
        loop_pool_submit(l, &jobs[i].job);
    assert_int_equal(n_ran, 0); /* not inside the call */
    for (int i = 0; i < JOBS; i++) {
        assert_true(loop_wakes_at_us(l) <= loop_now_us(l));
        assert_true(loop_turn(l, -1, NULL)); /* does not wait either */
        assert_int_equal(n_ran, i + 1);
        assert_int_equal(n_done, i + 1);
        assert_int_equal(done[i], i);
    }
    assert_int_equal(loop_pool_pending(l), 0);
    assert_true(loop_wakes_at_us(l) == INT64_MAX);
    loop_free(l);
}

static int64_t next_took_us;

static int64_t took_us(void *arg)
{
    assert_ptr_equal(arg, &next_took_us);
    return next_took_us;
}

/* The fake clock stands at the real one; what is added passes. */
static void pass(struct sys_fake *f, struct loop *l, int64_t us)
{
    atomic_fetch_add(&f->clock_offset_us, us);
    assert_true(loop_turn(l, 0, NULL));
}

static int64_t still_us;
static int64_t standing_clock(void)
{
    return still_us;
}

static void test_jobs_that_last(void **state)
{
    (void)state;
    struct sys_ops under = sys_ops_native;
    under.now_us = standing_clock;
    still_us = 1000 * 1000;
    struct sys_fake f;
    sys_fake_install(&f, &under);
    struct job jobs[JOBS];
    struct loop_settings set = { .threads = 2, .job_took_us = took_us, .arg = &next_took_us };
    struct loop *l = single(jobs, set);
    for (int i = 0; i < JOBS; i++)
        loop_pool_submit(l, &jobs[i].job);
    next_took_us = 500;
    pass(&f, l, 0);
    next_took_us = 100;
    pass(&f, l, 0);
    pass(&f, l, 0); /* two are under way: the third waits */
    assert_int_equal(n_ran, 2);
    assert_int_equal(n_done, 0);
    assert_true(loop_wakes_at_us(l) == loop_now_us(l) + 100);
    pass(&f, l, 99);
    assert_int_equal(n_done, 0);
    pass(&f, l, 1); /* the second is through, and the third begins */
    assert_int_equal(n_done, 1);
    assert_int_equal(done[0], 1);
    assert_int_equal(n_ran, 3);
    loop_pool_cancel(l, &jobs[2].job); /* run() is over, done() never comes */
    loop_pool_cancel(l, &jobs[4].job); /* in line */
    pass(&f, l, 400);
    pass(&f, l, 1000);
    assert_int_equal(n_ran, 4);
    assert_int_equal(n_done, 3);
    assert_int_equal(done[1], 0);
    assert_int_equal(done[2], 3);
    assert_int_equal(loop_pool_pending(l), 0);
    loop_pool_submit(l, &jobs[0].job);
    pass(&f, l, 0);
    assert_int_equal(n_ran, 5);
    loop_free(l); /* while one lasts */
    assert_int_equal(n_done, 3);
    sys_fake_remove(&f);
    sys_ops = &sys_ops_native;
}

static int n_hashed, n_resolved;
static void on_hashed(struct loop_hash *h)
{
    (void)h;
    n_hashed++;
}
static void on_resolved(struct loop_resolve *r)
{
    assert_true(r->ok);
    n_resolved++;
}

static void test_what_stands_on_the_pool(void **state)
{
    (void)state;
    struct job jobs[JOBS];
    struct loop *l = single(jobs, (struct loop_settings){ 0 });
    static const uint8_t data[40000];
    struct crypt_sha sha;
    uint8_t got[CRYPT_SHA1_LEN], want[CRYPT_SHA1_LEN];
    crypt_hash(CRYPT_SHA1, tarn_bytes_of(data, sizeof data), want);
    crypt_sha_init(&sha, CRYPT_SHA1);
    struct loop_hash h = {
        .message = &sha, .data = tarn_bytes_of(data, sizeof data), .digest = got, .done = on_hashed
    };
    struct loop_resolve r = { .done = on_resolved };
    loop_hash_submit(l, &h);
    loop_hash_flush(l);
    loop_resolve_start(l, &r, tarn_bytes_str("localhost"), 80);
    while (n_hashed == 0 || n_resolved == 0)
        assert_true(loop_turn(l, -1, NULL));
    assert_memory_equal(got, want, sizeof got);
    crypt_sha_init(&sha, CRYPT_SHA1);
    loop_hash_submit(l, &h);
    loop_hash_flush(l); /* in line */
    loop_hash_cancel(l, &h);
    while (loop_pool_pending(l) > 0)
        assert_true(loop_turn(l, 0, NULL));
    assert_int_equal(n_hashed, 1);
    loop_free(l);
}

TEST_MAIN(cmocka_unit_test(test_one_job_a_turn), cmocka_unit_test(test_jobs_that_last),
          cmocka_unit_test(test_what_stands_on_the_pool))
