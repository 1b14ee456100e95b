/* sys/linux: inotify. */
#include "sys/notify.h"

#include "sys/linux/priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
    NAMES = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO,
    CONTENT = IN_MODIFY | IN_ATTRIB,
    SELF = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT,
};

static int notify_open(void)
{
    return inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

/* By way of /proc, so that it is the folder that was opened, whoever renames what meanwhile. */
static int notify_watch(int fd, int folder)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", folder);
    return inotify_add_watch(
        fd, path,
        (uint32_t)(NAMES | CONTENT | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF) | IN_ONLYDIR |
            IN_DONT_FOLLOW | IN_EXCL_UNLINK);
}

static void notify_forget(int fd, int watch)
{
    (void)inotify_rm_watch(fd, watch); /* gone already */
}

static ssize_t notify_read(int fd, void *p, size_t size)
{
    ssize_t got;
    do
        got = read(fd, p, size);
    while (got < 0 && errno == EINTR);
    return got;
}

static bool notify_next(struct tarn_bytes *raw, int *watch, unsigned *what, struct tarn_bytes *name,
                        bool *gone)
{
    struct inotify_event e;
    if (raw->len < sizeof e)
        return false;
    memcpy(&e, raw->p, sizeof e);
    if (raw->len - sizeof e < e.len)
        return false;
    const uint8_t *text = raw->p + sizeof e;
    *name = tarn_bytes_of(text, strnlen((const char *)text, e.len));
    *raw = tarn_bytes_of(text + e.len, raw->len - sizeof e - e.len);
    *watch = e.wd;
    *gone = (e.mask & IN_IGNORED) != 0;
    *what = ((e.mask & NAMES) != 0 ? SYS_NOTIFY_NAME : 0U) |
            ((e.mask & CONTENT) != 0 ? SYS_NOTIFY_CONTENT : 0U) |
            ((e.mask & IN_CLOSE_WRITE) != 0 ? SYS_NOTIFY_CLOSED : 0U) |
            ((e.mask & SELF) != 0 ? SYS_NOTIFY_SELF : 0U) |
            ((e.mask & IN_Q_OVERFLOW) != 0 ? SYS_NOTIFY_LOST : 0U);
    if (*what != 0 && (e.mask & IN_ISDIR) != 0)
        *what |= SYS_NOTIFY_FOLDER;
    return true;
}

const struct sys_notify_ops linux_notify = {
    .open = notify_open,
    .watch = notify_watch,
    .forget = notify_forget,
    .read = notify_read,
    .next = notify_next,
};
