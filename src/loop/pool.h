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
    struct loop_msg msg;              /* private */
    struct loop_job *next;            /* private */
    struct loop *loop;                /* private */
};

void loop_pool_submit(struct loop *l, struct loop_job *j);

/* Take a job back: it is dropped if it has not begun, else this waits for run() to return. done() is not
 * called any more. Harmless for a job that is not out. */
void loop_pool_cancel(struct loop *l, struct loop_job *j);

/* Jobs submitted whose done() has not been called yet. */
size_t loop_pool_pending(const struct loop *l);

#endif
