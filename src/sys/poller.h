/* sys/poller: waiting for many descriptors at once: epoll, level-triggered, or poll(2).
 *
 * One thread waits; sys_poller_wake may be called by any. */
#ifndef SYS_POLLER_H
#define SYS_POLLER_H

#include "base/err.h"

enum {
    SYS_READABLE = 1,
    SYS_WRITABLE = 2,
    /* Of several pollers that watch this descriptor so, what happens wakes one: the first in line
     * that waits. Set again after a remove, it stands at the end of the line. To be removed before
     * it is set otherwise. Where the system cannot (poll(2), Linux before 4.5) all wake: who finds
     * nothing goes on waiting. */
    SYS_EXCLUSIVE = 4,
};

struct sys_ready {
    void *tag;       /* as given to sys_poller_set */
    unsigned events; /* of SYS_READABLE and SYS_WRITABLE; errors and hang-ups show as both */
};

/* Each implementation's own struct begins with this, so that a poller outlives a change of table.
 */
struct sys_poller {
    const struct sys_poller_ops *ops;
};

struct sys_poller_ops {
    struct sys_poller *(*make)(struct tarn_err *err);
    void (*free)(struct sys_poller *p);
    bool (*set)(struct sys_poller *p, int fd, unsigned events, void *tag, struct tarn_err *err);
    void (*remove)(struct sys_poller *p, int fd);
    /* at most max, waiting at most until timeout_us from now (-1: for ever); 0 when woken or late
     */
    size_t (*wait)(struct sys_poller *p, struct sys_ready *ready, size_t max, int64_t timeout_us);
    void (*wake)(struct sys_poller *p);
};

struct sys_poller *sys_poller_new(struct tarn_err *err) TARN_MUST;
void sys_poller_free(struct sys_poller *p); /* accepts NULL */
/* Watch fd for these events (0: for errors only) from now on, in place of earlier ones. Only by the
 * thread that waits. */
bool sys_poller_set(struct sys_poller *p, int fd, unsigned events, void *tag, struct tarn_err *err)
    TARN_MUST;
void sys_poller_remove(struct sys_poller *p, int fd); /* before fd is closed */
size_t sys_poller_wait(struct sys_poller *p, struct sys_ready *ready, size_t max,
                       int64_t timeout_us);
/* End the wait under way, or else the next one. What was written before is seen after it. */
void sys_poller_wake(struct sys_poller *p);

#endif
