/* sys/ops: what tarn asks of the operating system, as a table of functions chosen at run time.
 *
 * The room's other headers offer the verbs that we wish the system had; underneath, each goes
 * through this table. The usual one (sys_ops_native) is made at start-up of the best calls that
 * this system has; sys_ops_plain is the same with only what every POSIX system has (poll, read and
 * write in place of sendfile, no residency, no fallocate), so the fallbacks are run by the same
 * tests on every machine. A test or a simulation puts its own in place: sys/fake.h.
 *
 * Each function behaves as the POSIX call of its name: -1 and errno on failure. Flags are POSIX's
 * own; systems that lack them translate in their own folder. */
#ifndef SYS_OPS_H
#define SYS_OPS_H

#include "base/attr.h"
#include "base/bytes.h"

#include <sys/types.h>

/* For open_at and its fellows: from the current folder. The tables turn it into the system's own
 * number (AT_FDCWD is -100 on Linux and FreeBSD, -2 on macOS). */
enum { SYS_CWD = -100 };

struct iovec;
struct sockaddr;
struct sys_notify_ops;
struct sys_poller_ops;
struct sys_stat;
struct sys_tcp_info;

#define SYS_LOCK_ALL UINT64_MAX

struct sys_ops {
    /* files */
    int (*open_at)(int dir, const char *path, int flags, unsigned mode);
    /* as open_at, and no component of path may be a symlink or lead out of dir (ELOOP, EXDEV) */
    int (*open_beneath)(int dir, const char *path, int flags, unsigned mode);
    int (*close)(int fd);
    /* off -1: from where the descriptor stands (pipes, standard input and output) */
    ssize_t (*preadv)(int fd, const struct iovec *iov, int n, int64_t off);
    /* only what is in memory: fewer bytes or EAGAIN where a disk would be waited for; ENOSYS where
     * the system or the file system cannot tell */
    ssize_t (*preadv_now)(int fd, const struct iovec *iov, int n, int64_t off);
    ssize_t (*pwritev)(int fd, const struct iovec *iov, int n, int64_t off);
    int (*stat_at)(int dir, const char *path, bool follow, struct sys_stat *st);
    int (*stat_fd)(int fd, struct sys_stat *st);
    int (*set_blocking)(int fd); /* reads wait from now on: after an open with O_NONBLOCK */
    int (*set_mode)(int fd, unsigned mode);
    int (*free_space)(int fd, uint64_t *bytes);         /* for us, where fd lies */
    void (*will_need)(int fd, int64_t off, size_t len); /* advice */
    void (*wont_need)(int fd, int64_t off, size_t len); /* the opposite */
    /* Of one byte, or SYS_LOCK_ALL, for this open file. */
    int (*set_lock)(int fd, bool on, uint64_t off);
    int (*real_path)(const char *path, char *to, size_t size);
    /* disk space for the first len bytes; a shorter file is given that size, none is cut */
    int (*reserve)(int fd, int64_t len);
    int (*truncate)(int fd, int64_t len);
    int (*sync_data)(int fd);
    /* of many files, with fewer waits for the disk; ENOSYS where there is no such call */
    int (*sync_many)(const int *fds, size_t n);
    /* fsync: ext4's fdatasync of a folder does not wait for new names in it */
    int (*sync_folder)(int fd);
    int (*rename_at)(int from_dir, const char *from, int to_dir, const char *to);
    int (*unlink_at)(int dir, const char *path, int flags);
    int (*mkdir_at)(int dir, const char *path, unsigned mode);
    /* 1 all of the run is in memory, 0 some of it is not, -1 (ENOSYS) cannot tell */
    int (*resident)(int fd, int64_t off, size_t len);
    /* the whole of a file, for system calls to read from, and to write to when fd is open for
     * that; NULL: no */
    void *(*map)(int fd, size_t len);
    void (*unmap)(void *p, size_t len);
    /* copy into a mapping as a system call does: EFAULT where we would get SIGBUS; ENOSYS where
     * there is none. What it returns may be less than all. */
    ssize_t (*copy_into)(void *to, const struct iovec *from, int n, size_t len);

    /* sockets; all non-blocking and close-on-exec */
    int (*socket)(int family, int type);
    int (*bind)(int fd, const struct sockaddr *addr, unsigned len);
    int (*listen)(int fd, int backlog);
    int (*accept)(int fd, struct sockaddr *addr, unsigned *len);
    int (*connect)(int fd, const struct sockaddr *addr, unsigned len);
    int (*local_addr)(int fd, struct sockaddr *addr, unsigned *len); /* getsockname */
    void (*set_option)(int fd, int level, int name, int value);      /* what is refused is lost */
    int (*socket_error)(int fd); /* that a connection under way ended with; 0 for none */
    ssize_t (*recvv)(int fd, const struct iovec *iov, int n);
    ssize_t (*sendv)(int fd, const struct iovec *iov, int n, bool more); /* more follows at once */
    /* bytes of a file into a socket without passing through us; ENOSYS where there is no such call
     */
    bool has_sendfile;
    ssize_t (*sendfile)(int sock, int fd, int64_t off, size_t len);
    int (*tcp_info)(int fd, struct sys_tcp_info *out); /* ENOSYS where the system does not tell */
    int (*offload_tls)(int fd); /* get ready for the keys; ENOSYS where the kernel cannot encrypt */

    /* time and chance */
    int64_t (*now_us)(void);    /* monotonic */
    int64_t (*wall_ms)(void);   /* since 1970, UTC */
    int64_t (*thread_ns)(void); /* processor time that the calling thread has used */
    int (*random)(void *p, size_t len);
    int (*boot_id)(char *to, size_t size); /* of this start of the machine */

    const struct sys_poller_ops *poller;
    const struct sys_notify_ops *notify; /* NULL: this system does not tell of changes */
};

extern const struct sys_ops sys_ops_native;
extern const struct sys_ops sys_ops_plain;

/* The table in use. Change it only while nothing else runs. */
extern const struct sys_ops *sys_ops;

#endif
