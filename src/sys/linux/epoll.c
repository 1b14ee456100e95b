/* sys/linux: a poller over epoll, level-triggered, with an eventfd to wake it. (Edge-triggering and
 * io_uring were measured at 10 000 connections and were not cheaper.) */
#include "base/mem.h"
#include "base/num.h"
#include "sys/linux/priv.h"
#include "sys/priv.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    EVENTS_A_CALL = 256, /* 3 KiB of stack */
};

struct epoll_poller {
    struct sys_poller base;
    int fd;      /* owned: the epoll */
    int wake_fd; /* owned: the eventfd; its tag in the epoll is the poller itself */
    atomic_bool is_woken;
};

static struct epoll_poller *of(struct sys_poller *p)
{
    return TARN_OUTER(p, struct epoll_poller, base);
}

static void poller_free(struct sys_poller *base)
{
    struct epoll_poller *p = of(base);
    if (p->fd >= 0)
        close(p->fd);
    if (p->wake_fd >= 0)
        close(p->wake_fd);
    tarn_free(p);
}

static struct sys_poller *poller_make(struct tarn_err *err)
{
    struct epoll_poller *p = tarn_calloc(1, sizeof *p);
    if (p == NULL) {
        tarn_fail_mem(err, "making a poller");
        return NULL;
    }
    p->base.ops = &linux_poller;
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    p->wake_fd = p->fd < 0 ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = p };
    if (p->wake_fd < 0 || epoll_ctl(p->fd, EPOLL_CTL_ADD, p->wake_fd, &e) != 0) {
        sys_fail(err, "cannot make a poller");
        poller_free(&p->base);
        return NULL;
    }
    return &p->base;
}

/* Only when it is added may a descriptor be marked so. */
static bool add_exclusive(int epoll, int fd, struct epoll_event e)
{
    e.events |= EPOLLEXCLUSIVE;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0)
        return true;
    e.events &= ~(uint32_t)EPOLLEXCLUSIVE;
    return errno == EINVAL && epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

static bool poller_set(struct sys_poller *base, int fd, unsigned events, void *tag,
                       struct tarn_err *err)
{
    struct epoll_poller *p = of(base);
    struct epoll_event e = {
        .events = ((events & SYS_READABLE) != 0 ? (uint32_t)EPOLLIN : 0) |
                  ((events & SYS_WRITABLE) != 0 ? (uint32_t)EPOLLOUT : 0),
        .data.ptr = tag,
    };
    /* A descriptor is added once and changed often, so that is tried first. */
    bool is_exclusive = (events & SYS_EXCLUSIVE) != 0;
    if (!is_exclusive && epoll_ctl(p->fd, EPOLL_CTL_MOD, fd, &e) == 0)
        return true;
    if (is_exclusive ? add_exclusive(p->fd, fd, e)
                     : errno == ENOENT && epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &e) == 0)
        return true;
    if (errno == ENOSPC)
        return tarn_fail(err, TARN_E_POLICY,
                         "cannot watch a descriptor: this user watches as many as the system "
                         "allows (raise fs.epoll.max_user_watches)");
    return sys_fail(err, "cannot watch a descriptor");
}

static void poller_remove(struct sys_poller *base, int fd)
{
    (void)epoll_ctl(of(base)->fd, EPOLL_CTL_DEL, fd, NULL); /* not watched is what we want */
}

static int wait_ms(int fd, struct epoll_event *events, int max, int64_t timeout_us)
{
    /* rounded up: to wake before the time is to wake twice */
    int64_t ms = timeout_us < 0 ? -1 : timeout_us / 1000 + (timeout_us % 1000 != 0);
    return epoll_wait(fd, events, max, ms > INT_MAX ? INT_MAX : (int)ms);
}

/* epoll_wait counts milliseconds; epoll_pwait2 (Linux 5.11) takes the time as it is. */
static int wait_exactly(int fd, struct epoll_event *events, int max, int64_t timeout_us)
{
#ifdef SYS_epoll_pwait2
    static atomic_bool is_lacking; /* a fact about the machine */
    if (timeout_us > 0 && !atomic_load_explicit(&is_lacking, memory_order_relaxed)) {
        struct {
            int64_t s, ns; /* the kernel's own form, 64 bits wide everywhere */
        } t = { timeout_us / 1000000, timeout_us % 1000000 * 1000 };
        long n = syscall(SYS_epoll_pwait2, fd, events, max, &t, NULL, (size_t)0);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return (int)n;
        atomic_store_explicit(&is_lacking, true, memory_order_relaxed);
    }
#endif
    return wait_ms(fd, events, max, timeout_us);
}

/* First the eventfd, then the flag: a wake between the two is seen by the caller when we return. */
static void drain(struct epoll_poller *p)
{
    uint64_t count;
    (void)!read(p->wake_fd, &count, sizeof count);
    atomic_exchange(&p->is_woken, false);
}

static unsigned events_of(uint32_t raw)
{
    unsigned events = 0;
    if ((raw & EPOLLIN) != 0)
        events |= SYS_READABLE;
    if ((raw & EPOLLOUT) != 0)
        events |= SYS_WRITABLE;
    if ((raw & (EPOLLERR | EPOLLHUP)) != 0)
        events |= SYS_READABLE | SYS_WRITABLE;
    return events;
}

static size_t poller_wait(struct sys_poller *base, struct sys_ready *ready, size_t max,
                          int64_t timeout_us)
{
    struct epoll_poller *p = of(base);
    struct epoll_event got[EVENTS_A_CALL];
    int n = wait_exactly(p->fd, got, (int)tarn_min_size(max, EVENTS_A_CALL), timeout_us);
    size_t count = 0;
    for (int i = 0; i < n; i++) { /* n < 0 (EINTR) is a wake without a cause */
        if (got[i].data.ptr == p)
            drain(p);
        else
            ready[count++] = (struct sys_ready){ got[i].data.ptr, events_of(got[i].events) };
    }
    return count;
}

static void poller_wake(struct sys_poller *base)
{
    struct epoll_poller *p = of(base);
    uint64_t one = 1;
    if (!atomic_exchange(&p->is_woken, true))
        (void)!write(p->wake_fd, &one, sizeof one); /* cannot fail: it is never near full */
}

const struct sys_poller_ops linux_poller = {
    .make = poller_make,
    .free = poller_free,
    .set = poller_set,
    .remove = poller_remove,
    .wait = poller_wait,
    .wake = poller_wake,
};
