/* sys/thread: threads, locks and conditions; and how many processors there are. */
#ifndef SYS_THREAD_H
#define SYS_THREAD_H

#include "base/err.h"

#include <pthread.h>

struct sys_thread {
    pthread_t id;
    bool is_running;
};
struct sys_lock {
    pthread_mutex_t m;
};
struct sys_cond {
    pthread_cond_t c;
};

/* The thread blocks all signals but those of its own faults, so that they reach the program's. name
 * is for debuggers and cut at 15 bytes. */
bool sys_thread_start(struct sys_thread *t, const char *name, void (*run)(void *arg), void *arg,
                      struct tarn_err *err) TARN_MUST;
void sys_thread_join(struct sys_thread *t); /* accepts one that never started */

void sys_lock_init(struct sys_lock *l);
void sys_lock_release(struct sys_lock *l);
void sys_lock_take(struct sys_lock *l);
void sys_lock_give(struct sys_lock *l);

void sys_cond_init(struct sys_cond *c);
void sys_cond_release(struct sys_cond *c);
void sys_cond_wait(struct sys_cond *c, struct sys_lock *l);
/* False when timeout_us passed. */
bool sys_cond_wait_for(struct sys_cond *c, struct sys_lock *l, int64_t timeout_us);
void sys_cond_signal(struct sys_cond *c);
void sys_cond_broadcast(struct sys_cond *c);

/* Processors this process may run on; at least 1. */
unsigned sys_cpu_count(void);

#endif
