/* sys/fake: a table for tests that passes calls on to another, and fails the ones it is told to.
 *
 *     struct sys_fake f;
 *     sys_fake_install(&f, &sys_ops_native);
 *     f.fail[SYS_FAKE_PWRITEV] = (struct sys_fault){ .after = 3, .error = ENOSPC };
 *     ...
 *     sys_fake_remove(&f);
 *
 * One fake at a time (the table is global). sys_fake_install clears *f; counts start there, and
 * `after` counts from there too (set calls[] to 0 to start over). */
#ifndef SYS_FAKE_H
#define SYS_FAKE_H

#include "sys/ops.h"

#include <stdatomic.h>

enum sys_fake_call {
    SYS_FAKE_OPEN, /* open_at and open_beneath */
    SYS_FAKE_PREADV,
    SYS_FAKE_PREADV_NOW,
    SYS_FAKE_PWRITEV,
    SYS_FAKE_MAP,
    SYS_FAKE_COPY_INTO,
    SYS_FAKE_RESERVE,
    SYS_FAKE_SYNC,
    SYS_FAKE_RENAME,
    SYS_FAKE_MKDIR,
    SYS_FAKE_SOCKET,
    SYS_FAKE_ACCEPT,
    SYS_FAKE_CONNECT,
    SYS_FAKE_RECVV,
    SYS_FAKE_SENDV,
    SYS_FAKE_SENDFILE,
    SYS_FAKE_TCP_INFO,
    SYS_FAKE_OFFLOAD_TLS,
    SYS_FAKE_RANDOM,
    SYS_FAKE_CALLS,
};

struct sys_fault {
    unsigned after; /* this many calls go well first */
    int error;      /* then this errno; 0: no fault */
    bool forever;   /* all later ones too, else only one */
};

struct sys_fake {
    struct sys_fault fail[SYS_FAKE_CALLS];
    atomic_uint calls[SYS_FAKE_CALLS];       /* made so far */
    atomic_ullong bytes_read, bytes_written; /* of files, sendfile included */
    atomic_ullong bytes_unneeded;            /* that wont_need was told of */
    /* not 0: no read, write, send or receive moves more; may change while threads work */
    atomic_size_t short_io;
    /* not 0: when files have grown by this many bytes in all, growing further by reserve or write
     * is ENOSPC; a write that fits in part is made in part. Holes count as if they were full. */
    uint64_t disk_limit;
    atomic_ullong disk_used;
    int64_t thread_step_ns; /* not 0: each thread_ns is so much more than the last */
    int64_t thread_ns;
    int resident; /* what `resident` answers: -2 as the real one, else -1, 0, 1 */
    const struct sys_tcp_info *tcp_info; /* what it answers; NULL: as the real one */
    bool offers_tls;                     /* offload_tls says yes, whatever the kernel can */
    _Atomic int64_t clock_offset_us;     /* added to now_us */
    const struct sys_ops *under;
};

void sys_fake_install(struct sys_fake *f, const struct sys_ops *under);
void sys_fake_remove(struct sys_fake *f);

#endif
