/* loop/pool: plain jobs on other threads: disk reads and writes, name look-ups, encoding.
 *
 * A job is the caller's storage; run() is called on a pool thread, then done() on the loop's. Jobs
 * start in the order given. The queue has no bound of its own: whoever submits bounds what it has
 * out (the write-back budget, one look-up a tracker, ...). */
#ifndef LOOP_POOL_H
#define LOOP_POOL_H

#include "loop/loop.h"

struct loop_job {
    void (*run)(struct loop_job *j);  /* any thread; touches only what the job owns */
    void (*done)(struct loop_job *j); /* the loop's thread; may free or reuse j */
    /* private */
    struct loop_msg msg;
    struct loop_job *next, *before; /* in line */
    struct loop_pool *pool;         /* NULL when not submitted */
    int64_t ends_us;                /* without threads: when done() is due */
    enum { LOOP_JOB_WAITS, LOOP_JOB_RUNS, LOOP_JOB_LASTS, LOOP_JOB_RAN } state;
};

void loop_pool_submit(struct loop *l, struct loop_job *j);

/* Take a job back: done() will not be called. One that runs is waited for, so only for an owner
 * that goes away and whose jobs are short. Harmless for one that is not out (or zeroed). */
void loop_pool_cancel(struct loop *l, struct loop_job *j);

/* Jobs submitted whose done() has not been called yet. */
size_t loop_pool_pending(const struct loop *l);

#endif
