/* sys/notify: watches by tag, over what the table of calls offers.
 *
 * The system numbers watches by itself and gives the same number again for the same folder, so a
 * watch is found by its number (for events) and by its tag (to forget it). */
#include "sys/notify.h"

#include "base/map.h"
#include "base/mem.h"
#include "sys/clock.h"
#include "sys/ops.h"
#include "sys/priv.h"
#include "sys/thread.h"

#include <errno.h>
#include <unistd.h>

enum {
    RAW = 64 * 1024, /* bytes of events a read: some two thousand */
};

struct watch {
    uint64_t tag;
    int number;
};

struct sys_notify {
    const struct sys_notify_ops *ops;
    int fd;                            /* owned */
    struct sys_lock lock;              /* of the two maps */
    struct tarn_map by_tag, by_number; /* to struct watch, each owned once */
    struct tarn_bytes left;            /* events read and not told; in raw */
    uint8_t raw[RAW];
};

static struct watch *found(uint64_t *value)
{
    return value == NULL ? NULL : (struct watch *)(uintptr_t)*value;
}

static struct tarn_bytes number_key(const int *number)
{
    return tarn_bytes_of(number, sizeof *number);
}

static struct tarn_bytes tag_key(const uint64_t *tag)
{
    return tarn_bytes_of(tag, sizeof *tag);
}

struct sys_notify *sys_notify_new(struct tarn_err *err)
{
    const struct sys_notify_ops *ops = sys_ops->notify;
    if (ops == NULL) {
        tarn_fail(err, TARN_E_POLICY, "this system does not tell of changes in folders");
        return NULL;
    }
    uint8_t seed[16];
    if (!sys_random(seed, sizeof seed, err))
        return NULL;
    struct sys_notify *n = tarn_calloc(1, sizeof *n);
    if (n == NULL) {
        tarn_fail_mem(err, "listening for changes in folders");
        return NULL;
    }
    n->ops = ops;
    n->fd = ops->open();
    if (n->fd < 0) {
        if (errno == EMFILE)
            tarn_fail(err, TARN_E_POLICY,
                      "cannot listen for changes in folders: too many programs of this user do "
                      "(raise fs.inotify.max_user_instances), or too many files are open");
        else
            sys_fail(err, "cannot listen for changes in folders");
        tarn_free(n);
        return NULL;
    }
    sys_lock_init(&n->lock);
    tarn_map_init(&n->by_tag, seed);
    tarn_map_init(&n->by_number, seed);
    return n;
}

void sys_notify_free(struct sys_notify *n)
{
    if (n == NULL)
        return;
    for (size_t i = 0; i < n->by_tag.cap; i++)
        if (n->by_tag.slots[i].state == 1)
            tarn_free((void *)(uintptr_t)n->by_tag.slots[i].value);
    tarn_map_release(&n->by_tag);
    tarn_map_release(&n->by_number);
    sys_lock_release(&n->lock);
    close(n->fd);
    tarn_free(n);
}

int sys_notify_fd(const struct sys_notify *n)
{
    return n->fd;
}

size_t sys_notify_watches(struct sys_notify *n)
{
    sys_lock_take(&n->lock);
    size_t count = n->by_tag.n;
    sys_lock_give(&n->lock);
    return count;
}

static void drop(struct sys_notify *n, struct watch *w)
{
    tarn_map_remove(&n->by_tag, tag_key(&w->tag));
    tarn_map_remove(&n->by_number, number_key(&w->number));
    tarn_free(w);
}

/* Under the lock. */
static bool note(struct sys_notify *n, int number, uint64_t tag)
{
    struct watch *w = found(tarn_map_get(&n->by_number, number_key(&number)));
    if (w != NULL && w->tag == tag)
        return true;
    if (w != NULL) /* the folder has another tag now */
        drop(n, w);
    w = found(tarn_map_get(&n->by_tag, tag_key(&tag)));
    if (w != NULL) { /* the tag has another folder now */
        n->ops->forget(n->fd, w->number);
        drop(n, w);
    }
    w = tarn_calloc(1, sizeof *w);
    if (w == NULL)
        return false;
    *w = (struct watch){ tag, number };
    if (!tarn_map_put(&n->by_tag, tag_key(&w->tag), (uintptr_t)w)) {
        tarn_free(w);
        return false;
    }
    if (!tarn_map_put(&n->by_number, number_key(&w->number), (uintptr_t)w)) {
        drop(n, w);
        return false;
    }
    return true;
}

bool sys_notify_watch(struct sys_notify *n, int fd, uint64_t tag, struct tarn_err *err)
{
    sys_lock_take(&n->lock); /* the number must not be told of before it is noted */
    int number = n->ops->watch(n->fd, fd);
    int why = errno;
    bool is_noted = number >= 0 && note(n, number, tag);
    if (number >= 0 && !is_noted)
        n->ops->forget(n->fd, number);
    size_t count = n->by_tag.n;
    sys_lock_give(&n->lock);
    if (is_noted)
        return true;
    if (number >= 0)
        return tarn_fail_mem(err, "watching a folder");
    if (why == ENOSPC)
        return tarn_fail(err, TARN_E_POLICY,
                         "cannot watch more folders than the %zu that are (raise "
                         "fs.inotify.max_user_watches)",
                         count);
    errno = why;
    return tarn_fail_sys(err, "cannot watch a folder");
}

void sys_notify_forget(struct sys_notify *n, uint64_t tag)
{
    sys_lock_take(&n->lock);
    struct watch *w = found(tarn_map_get(&n->by_tag, tag_key(&tag)));
    if (w != NULL) {
        n->ops->forget(n->fd, w->number);
        drop(n, w);
    }
    sys_lock_give(&n->lock);
}

/* The tag of a watch, 0 when it was forgotten; one that ended is. */
static uint64_t tag_of(struct sys_notify *n, int number, bool is_gone)
{
    sys_lock_take(&n->lock);
    struct watch *w = found(tarn_map_get(&n->by_number, number_key(&number)));
    uint64_t tag = w == NULL ? 0 : w->tag;
    if (w != NULL && is_gone)
        drop(n, w);
    sys_lock_give(&n->lock);
    return tag;
}

size_t sys_notify_read(struct sys_notify *n, struct sys_notify_event *events, size_t max,
                       struct tarn_err *err)
{
    size_t count = 0;
    err->code = TARN_OK;
    if (n->left.len == 0) {
        ssize_t got = n->ops->read(n->fd, n->raw, sizeof n->raw);
        if (got < 0 && errno != EAGAIN)
            sys_fail(err, "cannot hear of changes in folders");
        if (got <= 0)
            return 0;
        n->left = tarn_bytes_of(n->raw, (size_t)got);
    }
    while (count < max) {
        struct sys_notify_event *e = &events[count];
        int number;
        bool is_gone;
        if (!n->ops->next(&n->left, &number, &e->what, &e->name, &is_gone)) {
            n->left.len = 0;
            break;
        }
        bool is_lost = (e->what & SYS_NOTIFY_LOST) != 0;
        e->tag = is_lost ? 0 : tag_of(n, number, is_gone);
        if (e->what != 0 && (e->tag != 0 || is_lost))
            count++;
    }
    return count;
}
