/* sys/posix: a poller over poll(2). Its cost grows with the number of descriptors watched; it is
 * for systems that we have nothing better for, and for tests. The first entry is a pipe that wakes.
 */
#include "base/mem.h"
#include "sys/posix/priv.h"
#include "sys/priv.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct plain_poller {
    struct sys_poller base;
    struct pollfd *fds; /* owned; fds[0] is the pipe */
    void **tags;        /* owned; of the same length */
    size_t n, fds_cap, tags_cap;
    size_t *place; /* owned; of descriptor i in fds, 0 for none */
    size_t place_cap;
    size_t start; /* where the next answer begins, so that no descriptor starves */
    int wake_end; /* owned; written to */
    atomic_bool is_woken;
};

static struct plain_poller *of(struct sys_poller *p)
{
    return TARN_OUTER(p, struct plain_poller, base);
}

static void plain_free(struct sys_poller *base)
{
    struct plain_poller *p = of(base);
    if (p->n > 0) {
        close(p->fds[0].fd);
        close(p->wake_end);
    }
    tarn_free(p->fds);
    tarn_free(p->tags);
    tarn_free(p->place);
    tarn_free(p);
}

static bool grow(struct plain_poller *p)
{
    return TARN_GROW(p->fds, p->n, p->fds_cap) && TARN_GROW(p->tags, p->n, p->tags_cap);
}

static struct sys_poller *plain_make(struct tarn_err *err)
{
    struct plain_poller *p = tarn_calloc(1, sizeof *p);
    if (p == NULL || !grow(p)) {
        tarn_fail_mem(err, "making a poller");
        if (p != NULL)
            plain_free(&p->base);
        return NULL;
    }
    int ends[2];
    if (!posix_pipe(ends)) {
        sys_fail(err, "cannot make the pipe that wakes a poller");
        plain_free(&p->base);
        return NULL;
    }
    p->base.ops = &posix_poller;
    p->fds[0] = (struct pollfd){ .fd = ends[0], .events = POLLIN };
    p->tags[0] = NULL;
    p->n = 1;
    p->wake_end = ends[1];
    return &p->base;
}

static bool grow_places(struct plain_poller *p, size_t fd)
{
    if (fd < p->place_cap)
        return true;
    size_t cap = 2 * fd + 16;
    size_t *place = tarn_realloc(p->place, cap, sizeof *place);
    if (place == NULL)
        return false;
    memset(place + p->place_cap, 0, (cap - p->place_cap) * sizeof *place);
    p->place = place;
    p->place_cap = cap;
    return true;
}

static bool plain_set(struct sys_poller *base, int fd, unsigned events, void *tag,
                      struct tarn_err *err)
{
    struct plain_poller *p = of(base);
    if (fd < 0)
        return tarn_fail(err, TARN_E_USAGE, "cannot watch a descriptor that is not open");
    if (!grow_places(p, (size_t)fd) || !grow(p))
        return tarn_fail_mem(err, "watching a descriptor");
    size_t at = p->place[fd];
    if (at == 0)
        at = p->place[fd] = p->n++;
    int wanted =
        ((events & SYS_READABLE) != 0 ? POLLIN : 0) | ((events & SYS_WRITABLE) != 0 ? POLLOUT : 0);
    p->fds[at] = (struct pollfd){ .fd = fd, .events = (short)wanted };
    p->tags[at] = tag;
    return true;
}

static void plain_remove(struct sys_poller *base, int fd)
{
    struct plain_poller *p = of(base);
    if (fd < 0 || (size_t)fd >= p->place_cap || p->place[fd] == 0)
        return;
    size_t at = p->place[fd], last = --p->n;
    p->fds[at] = p->fds[last];
    p->tags[at] = p->tags[last];
    p->place[p->fds[at].fd] = at;
    p->place[fd] = 0;
}

/* First the pipe, then the flag: a wake between the two is seen by the caller when we return. */
static void drain(struct plain_poller *p)
{
    char sink[64];
    while (read(p->fds[0].fd, sink, sizeof sink) > 0)
        ;
    atomic_exchange(&p->is_woken, false);
}

static unsigned events_of(short revents)
{
    unsigned events = 0;
    if ((revents & POLLIN) != 0)
        events |= SYS_READABLE;
    if ((revents & POLLOUT) != 0)
        events |= SYS_WRITABLE;
    if ((revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
        events |= SYS_READABLE | SYS_WRITABLE;
    return events;
}

static size_t collect(struct plain_poller *p, struct sys_ready *ready, size_t max)
{
    size_t n = 0, watched = p->n - 1;
    for (size_t i = 0; i < watched && n < max; i++) {
        size_t at = 1 + (p->start + i) % watched;
        unsigned events = events_of(p->fds[at].revents);
        if (events == 0)
            continue;
        ready[n++] = (struct sys_ready){ p->tags[at], events };
        if (n == max)
            p->start = at % watched; /* the one behind this */
    }
    return n;
}

/* Rounded up: to wake before the time is to wake twice. */
static int to_ms(int64_t timeout_us)
{
    if (timeout_us < 0)
        return -1;
    int64_t ms = timeout_us / 1000 + (timeout_us % 1000 != 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static size_t plain_wait(struct sys_poller *base, struct sys_ready *ready, size_t max,
                         int64_t timeout_us)
{
    struct plain_poller *p = of(base);
    /* a failure (EINTR, ENOMEM) is a wake without a cause: the caller's loop comes back */
    if (poll(p->fds, (nfds_t)p->n, to_ms(timeout_us)) <= 0)
        return 0;
    if (p->fds[0].revents != 0)
        drain(p);
    return collect(p, ready, max);
}

static void plain_wake(struct sys_poller *base)
{
    struct plain_poller *p = of(base);
    if (!atomic_exchange(&p->is_woken, true))
        (void)!write(p->wake_end, "", 1); /* a full pipe wakes too */
}

const struct sys_poller_ops posix_poller = {
    .make = plain_make,
    .free = plain_free,
    .set = plain_set,
    .remove = plain_remove,
    .wait = plain_wait,
    .wake = plain_wake,
};
