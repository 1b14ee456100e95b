/* loop/pool: a line of jobs behind a lock, and threads that take from its front; without threads,
 * turns of the loop do.
 *
 * A job that ran is posted to the loop while the pool's lock is held, so that loop_pool_cancel sees
 * it in one place at a time: in line, running, or posted. */
#include "loop/pool.h"

#include "base/mem.h"
#include "base/num.h"
#include "loop/priv.h"

#include <assert.h>

static void on_ran(struct loop_msg *m)
{
    struct loop_job *j = TARN_OUTER(m, struct loop_job, msg);
    j->pool->pending--;
    j->pool = NULL;
    j->done(j);
}

/* With the lock. */
static void finish(struct loop_pool *p, struct loop_job *j)
{
    j->state = LOOP_JOB_RAN;
    loop_post(p->loop, &j->msg);
    if (p->is_awaited)
        sys_cond_broadcast(&p->ran);
}

static struct loop_job *take_first(struct loop_pool *p)
{
    struct loop_job *j = p->first;
    p->first = j->next;
    if (p->first == NULL)
        p->last = NULL;
    else
        p->first->before = NULL;
    return j;
}

static void work(void *arg)
{
    struct loop_pool *p = arg;
    sys_lock_take(&p->lock);
    while (!p->is_closing) {
        if (p->first == NULL) {
            sys_cond_wait(&p->work, &p->lock);
            continue;
        }
        struct loop_job *j = take_first(p);
        j->state = LOOP_JOB_RUNS;
        sys_lock_give(&p->lock);
        j->run(j);
        sys_lock_take(&p->lock);
        finish(p, j);
    }
    sys_lock_give(&p->lock);
}

/* Without threads: those whose time has come are finished, and the timer waits for the next. */
static void finish_lasting(struct loop_pool *p)
{
    int64_t next_us = INT64_MAX;
    for (struct loop_job **at = &p->lasting; *at != NULL;) {
        struct loop_job *j = *at;
        if (j->ends_us <= loop_now_us(p->loop)) {
            *at = j->next;
            p->n_lasting--;
            finish(p, j);
        } else {
            next_us = j->ends_us < next_us ? j->ends_us : next_us;
            at = &j->next;
        }
    }
    if (next_us != INT64_MAX && !loop_timer_set(p->loop, &p->lasts, next_us))
        while (p->lasting != NULL) { /* no memory for a timer: better early than never */
            struct loop_job *j = p->lasting;
            p->lasting = j->next;
            p->n_lasting--;
            finish(p, j);
        }
}

static void on_lasted(struct loop_timer *t)
{
    finish_lasting(TARN_OUTER(t, struct loop_pool, lasts));
}

/* In the order in which they began. */
static void let_last(struct loop_pool *p, struct loop_job *j, int64_t us)
{
    j->state = LOOP_JOB_LASTS;
    j->ends_us = loop_now_us(p->loop) + us;
    j->next = NULL;
    struct loop_job **at = &p->lasting;
    while (*at != NULL)
        at = &(*at)->next;
    *at = j;
    p->n_lasting++;
    finish_lasting(p);
}

bool loop_pool_has_turn(const struct loop_pool *p)
{
    return p->is_started && p->threads == NULL && p->first != NULL && p->n_lasting < p->n;
}

void loop_pool_turn(struct loop_pool *p)
{
    if (!loop_pool_has_turn(p))
        return;
    const struct loop *l = p->loop;
    struct loop_job *j = take_first(p);
    j->state = LOOP_JOB_RUNS;
    j->run(j);
    int64_t us = l->job_took_us == NULL ? 0 : l->job_took_us(l->job_took_arg);
    if (us > 0)
        let_last(p, j, us);
    else
        finish(p, j);
}

bool loop_pool_start(struct loop_pool *p, struct loop *l, const char *name, unsigned n,
                     struct tarn_err *err)
{
    *p = (struct loop_pool){ .loop = l, .lasts = { .on_time = on_lasted } };
    p->threads = l->no_threads ? NULL : tarn_calloc(n, sizeof *p->threads);
    if (p->threads == NULL && !l->no_threads)
        return tarn_fail_mem(err, "starting worker threads");
    p->n = n;
    p->is_started = true;
    sys_lock_init(&p->lock);
    sys_cond_init(&p->work);
    sys_cond_init(&p->ran);
    if (l->no_threads)
        return true;
    for (unsigned i = 0; i < n; i++)
        if (!sys_thread_start(&p->threads[i], name, work, p, err)) {
            loop_pool_stop(p);
            return tarn_fail_in(err, "starting %u worker threads", n);
        }
    return true;
}

void loop_pool_stop(struct loop_pool *p)
{
    if (!p->is_started)
        return;
    p->is_started = false;
    sys_lock_take(&p->lock);
    p->is_closing = true;
    sys_cond_broadcast(&p->work);
    sys_lock_give(&p->lock);
    for (unsigned i = 0; p->threads != NULL && i < p->n; i++)
        sys_thread_join(&p->threads[i]);
    sys_cond_release(&p->work);
    sys_cond_release(&p->ran);
    sys_lock_release(&p->lock);
    tarn_free(p->threads);
    p->threads = NULL;
}

void loop_pool_give(struct loop_pool *p, struct loop_job *j)
{
    assert(j->pool == NULL); /* not out already */
    j->pool = p;
    j->msg.on_loop = on_ran;
    j->next = NULL;
    j->state = LOOP_JOB_WAITS;
    p->pending++;
    sys_lock_take(&p->lock);
    j->before = p->last;
    if (p->last == NULL)
        p->first = j;
    else
        p->last->next = j;
    p->last = j;
    sys_cond_signal(&p->work);
    sys_lock_give(&p->lock);
}

void loop_pool_submit(struct loop *l, struct loop_job *j)
{
    loop_pool_give(&l->pool, j);
}

size_t loop_pool_pending(const struct loop *l)
{
    return l->pool.pending;
}

/* With the lock. Many thousand may stand there when their owner goes away. */
static void leave_line(struct loop_pool *p, struct loop_job *j)
{
    if (j->before == NULL)
        p->first = j->next;
    else
        j->before->next = j->next;
    if (p->last == j)
        p->last = j->before;
    else
        j->next->before = j->before;
}

static void stop_lasting(struct loop_pool *p, const struct loop_job *j)
{
    struct loop_job **at = &p->lasting;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    p->n_lasting--;
}

/* With the lock. */
static void wait_for(struct loop_pool *p, const struct loop_job *j)
{
    p->is_awaited = true;
    while (j->state == LOOP_JOB_RUNS)
        sys_cond_wait(&p->ran, &p->lock);
    p->is_awaited = false;
}

void loop_pool_cancel(struct loop *l, struct loop_job *j)
{
    (void)l; /* the job knows where it is */
    struct loop_pool *p = j->pool;
    if (p == NULL)
        return;
    sys_lock_take(&p->lock);
    if (j->state == LOOP_JOB_WAITS)
        leave_line(p, j);
    if (j->state == LOOP_JOB_LASTS)
        stop_lasting(p, j);
    wait_for(p, j);
    bool is_posted = j->state == LOOP_JOB_RAN;
    sys_lock_give(&p->lock);
    if (is_posted)
        loop_unpost(p->loop, &j->msg);
    p->pending--;
    j->pool = NULL;
}

void loop_pool_settle(struct loop_job *j)
{
    struct loop_pool *p = j->pool;
    if (p == NULL)
        return;
    sys_lock_take(&p->lock);
    if (j->state == LOOP_JOB_WAITS) {
        leave_line(p, j);
        j->state = LOOP_JOB_RUNS;
        sys_lock_give(&p->lock);
        j->run(j);
        sys_lock_take(&p->lock);
        finish(p, j);
    }
    wait_for(p, j);
    sys_lock_give(&p->lock);
}
