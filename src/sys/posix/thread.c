/* sys/posix: threads, locks and conditions by pthreads. */
#include "sys/thread.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

struct start {
    void (*run)(void *arg);
    void *arg;
    char name[16];
};

static void set_name(const char *name)
{
#if defined(__linux__)
    (void)pthread_setname_np(pthread_self(), name); /* for debuggers only */
#elif defined(__APPLE__)
    (void)pthread_setname_np(name);
#else
    (void)name;
#endif
}

static void *begin(void *p)
{
    struct start s = *(struct start *)p;
    tarn_free(p);
    set_name(s.name);
    s.run(s.arg);
    return NULL;
}

/* All but those that a thread's own faults raise: blocking them would turn a report into a sudden
 * end. */
static void signals_to_block(sigset_t *set)
{
    static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };
    sigfillset(set);
    for (size_t i = 0; i < TARN_COUNT_OF(own); i++)
        sigdelset(set, own[i]);
}

bool sys_thread_start(struct sys_thread *t, const char *name, void (*run)(void *arg), void *arg,
                      struct tarn_err *err)
{
    t->is_running = false;
    struct start *s = tarn_calloc(1, sizeof *s);
    if (s == NULL)
        return tarn_fail_mem(err, "starting a thread");
    s->run = run;
    s->arg = arg;
    snprintf(s->name, sizeof s->name, "%s", name);
    sigset_t block, before;
    signals_to_block(&block);
    pthread_sigmask(SIG_SETMASK, &block, &before); /* a thread is born with its maker's mask */
    int number = pthread_create(&t->id, NULL, begin, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    t->is_running = number == 0;
    if (number == 0)
        return true;
    tarn_free(s);
    errno = number;
    return tarn_fail_sys(
        err, "cannot start the thread '%s' (is there a limit on threads: `ulimit -u`?)", name);
}

/* These fail only when misused. */
static void must(int number)
{
    assert(number == 0);
    (void)number;
}

void sys_thread_join(struct sys_thread *t)
{
    if (!t->is_running)
        return;
    must(pthread_join(t->id, NULL));
    t->is_running = false;
}

void sys_lock_init(struct sys_lock *l)
{
    must(pthread_mutex_init(&l->m, NULL));
}

void sys_lock_release(struct sys_lock *l)
{
    must(pthread_mutex_destroy(&l->m));
}

void sys_lock_take(struct sys_lock *l)
{
    must(pthread_mutex_lock(&l->m));
}

void sys_lock_give(struct sys_lock *l)
{
    must(pthread_mutex_unlock(&l->m));
}

void sys_cond_init(struct sys_cond *c)
{
#ifdef __APPLE__ /* has no choice of clock; waits are relative instead */
    must(pthread_cond_init(&c->c, NULL));
#else
    pthread_condattr_t attr;
    must(pthread_condattr_init(&attr));
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
    must(pthread_cond_init(&c->c, &attr));
    must(pthread_condattr_destroy(&attr));
#endif
}

void sys_cond_release(struct sys_cond *c)
{
    must(pthread_cond_destroy(&c->c));
}

void sys_cond_wait(struct sys_cond *c, struct sys_lock *l)
{
    must(pthread_cond_wait(&c->c, &l->m));
}

bool sys_cond_wait_for(struct sys_cond *c, struct sys_lock *l, int64_t timeout_us)
{
    if (timeout_us < 0)
        timeout_us = 0;
    struct timespec t = { .tv_sec = (time_t)(timeout_us / 1000000),
                          .tv_nsec = (long)(timeout_us % 1000000) * 1000 };
#ifdef __APPLE__
    int number = pthread_cond_timedwait_relative_np(&c->c, &l->m, &t);
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    t.tv_sec += now.tv_sec;
    t.tv_nsec += now.tv_nsec;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    int number = pthread_cond_timedwait(&c->c, &l->m, &t);
#endif
    assert(number == 0 || number == ETIMEDOUT);
    return number == 0;
}

void sys_cond_signal(struct sys_cond *c)
{
    must(pthread_cond_signal(&c->c));
}

void sys_cond_broadcast(struct sys_cond *c)
{
    must(pthread_cond_broadcast(&c->c));
}

unsigned sys_cpu_count(void)
{
#ifdef __linux__ /* taskset and containers allow fewer than there are */
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (unsigned)n;
}
