/* sys/notify: being told what changes in folders: inotify. Where the system has nothing of the
 * kind, sys_notify_new says so (TARN_E_POLICY), and the caller looks for himself from time to time.
 *
 * What is told is a hint where to look, never the truth: by the time it is read, more may have
 * happened. Nothing is told of what other machines do on a network file system, nor of what is
 * written through a mapping; what was lost because too much happened shows as SYS_NOTIFY_LOST.
 *
 * A watch is of one folder (not of those below it), stays with it when it is renamed, and goes with
 * it. sys_notify_fd is readable when there is something to read; one thread reads, any may watch.
 */
#ifndef SYS_NOTIFY_H
#define SYS_NOTIFY_H

#include "base/err.h"

#include <sys/types.h>

struct sys_notify;

enum sys_notify_what {
    SYS_NOTIFY_NAME = 1,    /* a name was made, removed, or renamed from or to */
    SYS_NOTIFY_CONTENT = 2, /* written to, cut, or its times, mode, owner or links changed */
    SYS_NOTIFY_CLOSED = 4,  /* who had it open for writing closed it */
    SYS_NOTIFY_SELF = 8,    /* the folder itself was removed, renamed, or its file system went */
    SYS_NOTIFY_LOST = 16,   /* the queue was full: anything may have happened anywhere; tag is 0 */
    SYS_NOTIFY_FOLDER = 32, /* besides: the name is of a folder */
};

struct sys_notify_event {
    uint64_t tag;           /* of the watched folder */
    unsigned what;          /* of the above */
    struct tarn_bytes name; /* in the folder; empty for SELF and LOST. Valid until the next read */
};

/* NULL when the system cannot, or refuses (err names the limit and what raises it). */
struct sys_notify *sys_notify_new(struct tarn_err *err) TARN_MUST;
void sys_notify_free(struct sys_notify *n); /* accepts NULL */
int sys_notify_fd(const struct sys_notify *n);

/* Watch the folder that is open as fd (it may be closed then), calling it by tag (not 0). Again for
 * the same folder: the new tag counts; for another folder: the tag is its own from now on.
 * TARN_E_POLICY: no more watches are allowed (err names the limit). */
bool sys_notify_watch(struct sys_notify *n, int fd, uint64_t tag, struct tarn_err *err) TARN_MUST;
/* Stop; harmless when there is no such tag. */
void sys_notify_forget(struct sys_notify *n, uint64_t tag);
size_t sys_notify_watches(struct sys_notify *n);

/* What is there, at most max; 0: nothing more for now. Never waits. */
size_t sys_notify_read(struct sys_notify *n, struct sys_notify_event *events, size_t max,
                       struct tarn_err *err) TARN_MUST;

/* What a system supplies (sys/ops.h); a test puts its own in place. */
struct sys_notify_ops {
    int (*open)(void);                             /* a descriptor, or -1 with errno */
    int (*watch)(int fd, int folder);              /* the number of the watch, or -1 with errno */
    void (*forget)(int fd, int watch);             /* what is refused is lost */
    ssize_t (*read)(int fd, void *p, size_t size); /* raw events; -1 EAGAIN: none */
    /* The event at the front of raw, taken from it. what 0: of no interest. gone: the watch ended.
     */
    bool (*next)(struct tarn_bytes *raw, int *watch, unsigned *what, struct tarn_bytes *name,
                 bool *gone);
};

#endif
