/* sys/ops: which table is in use, and the verbs that are no more than a call through it. */
#include "sys/ops.h"

#include "sys/clock.h"
#include "sys/poller.h"

#include <assert.h>

const struct sys_ops *sys_ops = &sys_ops_native;

int64_t sys_now_us(void)
{
    return sys_ops->now_us();
}

int64_t sys_wall_ms(void)
{
    return sys_ops->wall_ms();
}

int64_t sys_thread_ns(void)
{
    return sys_ops->thread_ns();
}

bool sys_random(void *p, size_t len, struct tarn_err *err)
{
    if (len == 0 || sys_ops->random(p, len) == 0)
        return true;
    return tarn_fail_sys(err, "cannot get %zu random bytes from the system", len);
}

const char *sys_boot_id(struct sys_boot *dst)
{
    if (sys_ops->boot_id(dst->s, sizeof dst->s) != 0)
        dst->s[0] = '\0';
    return dst->s;
}

struct sys_poller *sys_poller_new(struct tarn_err *err)
{
    return sys_ops->poller->make(err);
}

void sys_poller_free(struct sys_poller *p)
{
    if (p != NULL)
        p->ops->free(p);
}

bool sys_poller_set(struct sys_poller *p, int fd, unsigned events, void *tag, struct tarn_err *err)
{
    return p->ops->set(p, fd, events, tag, err);
}

void sys_poller_remove(struct sys_poller *p, int fd)
{
    p->ops->remove(p, fd);
}

size_t sys_poller_wait(struct sys_poller *p, struct sys_ready *ready, size_t max,
                       int64_t timeout_us)
{
    assert(max > 0);
    return p->ops->wait(p, ready, max, timeout_us);
}

void sys_poller_wake(struct sys_poller *p)
{
    p->ops->wake(p);
}
