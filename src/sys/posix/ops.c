/* sys/posix: the table of what every POSIX system has. */
#include "sys/posix/priv.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Not everywhere: a SIGPIPE refused per call (macOS has an option per socket instead), and joining
 * with what follows (elsewhere a segment more). */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
#ifndef MSG_MORE
#define MSG_MORE 0
#endif

int posix_open_at(int dir, const char *path, int flags, unsigned mode)
{
    return openat(posix_dir(dir), path, flags, (mode_t)mode);
}

int posix_close(int fd)
{
    return close(fd);
}

ssize_t posix_preadv(int fd, const struct iovec *iov, int n, int64_t off)
{
    return off < 0 ? readv(fd, iov, n) : preadv(fd, iov, n, (off_t)off);
}

ssize_t posix_preadv_now(int fd, const struct iovec *iov, int n, int64_t off)
{
    (void)fd, (void)iov, (void)n, (void)off;
    errno = ENOSYS;
    return -1;
}

ssize_t posix_pwritev(int fd, const struct iovec *iov, int n, int64_t off)
{
    return off < 0 ? writev(fd, iov, n) : pwritev(fd, iov, n, (off_t)off);
}

/* Not posix_fallocate: where the file system cannot, C libraries write zeros, for minutes. */
int posix_reserve(int fd, int64_t len)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    return st.st_size >= len ? 0 : ftruncate(fd, (off_t)len);
}

int posix_truncate(int fd, int64_t len)
{
    return ftruncate(fd, (off_t)len);
}

int posix_sync_many(const int *fds, size_t n)
{
    (void)fds, (void)n;
    errno = ENOSYS;
    return -1;
}

int posix_sync_data(int fd)
{
    return fdatasync(fd);
}

int posix_sync_folder(int fd)
{
    return fsync(fd);
}

int posix_rename_at(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameat(posix_dir(from_dir), from, posix_dir(to_dir), to);
}

int posix_unlink_at(int dir, const char *path, int flags)
{
    return unlinkat(posix_dir(dir), path, flags);
}

int posix_mkdir_at(int dir, const char *path, unsigned mode)
{
    return mkdirat(posix_dir(dir), path, (mode_t)mode);
}

int posix_resident(int fd, int64_t off, size_t len)
{
    (void)fd, (void)off, (void)len;
    errno = ENOSYS;
    return -1;
}

/* Faults read the page that was asked for and not a window of readahead: what is cold has been read
 * before, by the page. */
void *posix_map(int fd, size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return NULL;
    (void)posix_madvise(p, len, POSIX_MADV_RANDOM); /* advice */
    return p;
}

void posix_unmap(void *p, size_t len)
{
    munmap(p, len);
}

ssize_t posix_copy_into(void *to, const struct iovec *from, int n, size_t len)
{
    (void)to, (void)from, (void)n, (void)len;
    errno = ENOSYS;
    return -1;
}

/* Make a descriptor what all ours are. False with errno; then it is still the caller's. */
static bool tame(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return false;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static void close_keeping_errno(int fd)
{
    int number = errno;
    close(fd);
    errno = number;
}

static int tame_or_close(int fd)
{
    if (fd < 0 || tame(fd))
        return fd;
    close_keeping_errno(fd);
    return -1;
}

bool posix_pipe(int ends[2])
{
    int made[2];
    if (pipe(made) != 0)
        return false;
    if (tame(made[0]) && tame(made[1])) {
        ends[0] = made[0];
        ends[1] = made[1];
        return true;
    }
    close_keeping_errno(made[0]);
    close_keeping_errno(made[1]);
    return false;
}

static int quiet(int fd)
{
#ifdef SO_NOSIGPIPE
    int on = 1;
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on); /* as good as it gets */
#endif
    return fd;
}

int posix_socket(int family, int type)
{
    return quiet(tame_or_close(socket(family, type, 0)));
}

int posix_bind(int fd, const struct sockaddr *addr, unsigned len)
{
    return bind(fd, addr, (socklen_t)len);
}

int posix_listen(int fd, int backlog)
{
    return listen(fd, backlog);
}

int posix_accept(int fd, struct sockaddr *addr, unsigned *len)
{
    socklen_t got = (socklen_t)*len;
    int made = quiet(tame_or_close(accept(fd, addr, &got)));
    *len = (unsigned)got;
    return made;
}

int posix_connect(int fd, const struct sockaddr *addr, unsigned len)
{
    return connect(fd, addr, (socklen_t)len);
}

/* The system will not change the runs, but its struct says that it may. The type of msg_iovlen
 * differs from system to system. */
static struct msghdr message(const struct iovec *iov, int n)
{
    struct msghdr m = { 0 };
    m.msg_iov = (struct iovec *)(uintptr_t)iov;
    m.msg_iovlen = (__typeof__(m.msg_iovlen))n;
    return m;
}

ssize_t posix_recvv(int fd, const struct iovec *iov, int n)
{
    struct msghdr m = message(iov, n);
    return recvmsg(fd, &m, 0);
}

ssize_t posix_sendv(int fd, const struct iovec *iov, int n, bool more)
{
    struct msghdr m = message(iov, n);
    return sendmsg(fd, &m, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
}

ssize_t posix_sendfile(int sock, int fd, int64_t off, size_t len)
{
    (void)sock, (void)fd, (void)off, (void)len;
    errno = ENOSYS;
    return -1;
}

int posix_tcp_info(int fd, struct sys_tcp_info *out)
{
    (void)fd, (void)out;
    errno = ENOSYS;
    return -1;
}

int posix_offload_tls(int fd)
{
    (void)fd;
    errno = ENOSYS;
    return -1;
}

int64_t posix_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t posix_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t posix_thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int posix_random(void *p, size_t len)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t done = 0;
    while (done < len) {
        ssize_t n = read(fd, (char *)p + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    close_keeping_errno(fd);
    return done == len ? 0 : -1;
}

/* BSD's kern.boottime would not do: it moves when the clock is set. */
int posix_boot_id(char *to, size_t size)
{
    (void)to, (void)size;
    errno = ENOSYS;
    return -1;
}

const struct sys_ops sys_ops_plain = {
    .open_at = posix_open_at,
    .open_beneath = posix_open_beneath,
    .close = posix_close,
    .preadv = posix_preadv,
    .preadv_now = posix_preadv_now,
    .pwritev = posix_pwritev,
    .stat_at = posix_stat_at,
    .stat_fd = posix_stat_fd,
    .set_blocking = posix_set_blocking,
    .set_mode = posix_set_mode,
    .free_space = posix_free_space,
    .will_need = posix_will_need,
    .wont_need = posix_wont_need,
    .set_lock = posix_set_lock,
    .real_path = posix_real_path,
    .reserve = posix_reserve,
    .truncate = posix_truncate,
    .sync_data = posix_sync_data,
    .sync_many = posix_sync_many,
    .sync_folder = posix_sync_folder,
    .rename_at = posix_rename_at,
    .unlink_at = posix_unlink_at,
    .mkdir_at = posix_mkdir_at,
    .resident = posix_resident,
    .map = posix_map,
    .unmap = posix_unmap,
    .copy_into = posix_copy_into,
    .socket = posix_socket,
    .bind = posix_bind,
    .listen = posix_listen,
    .accept = posix_accept,
    .connect = posix_connect,
    .local_addr = posix_local_addr,
    .set_option = posix_set_option,
    .socket_error = posix_socket_error,
    .recvv = posix_recvv,
    .sendv = posix_sendv,
    .has_sendfile = false,
    .sendfile = posix_sendfile,
    .tcp_info = posix_tcp_info,
    .offload_tls = posix_offload_tls,
    .now_us = posix_now_us,
    .wall_ms = posix_wall_ms,
    .thread_ns = posix_thread_ns,
    .random = posix_random,
    .boot_id = posix_boot_id,
    .poller = &posix_poller,
};
