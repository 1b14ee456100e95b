/* sys/linux: files. Each call that is newer than the kernels still in use falls back by itself. */
#include "sys/file.h"
#include "base/num.h"
#include "sys/clock.h"
#include "sys/linux/priv.h"
#include "sys/posix/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

/* Linux 6.5; newer than Debian 12's headers. The number is the same on all architectures (Alpha
 * apart). */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

/* What the running kernel turned out not to have: facts about the machine, not state. */
static atomic_bool lacks_openat2, lacks_cachestat, lacks_statx;

int linux_open_beneath(int dir, const char *path, int flags, unsigned mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = (flags & O_CREAT) != 0 ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    };
    if (!atomic_load_explicit(&lacks_openat2, memory_order_relaxed)) { /* Linux 5.6 */
        long fd = syscall(SYS_openat2, posix_dir(dir), path, &how, sizeof how);
        if (fd >= 0)
            return (int)fd;
        if (errno == ENOSYS)
            atomic_store_explicit(&lacks_openat2, true, memory_order_relaxed);
        /* EPERM: a sandbox that knows no such call, or a true refusal that the walk meets again.
         * EAGAIN: someone renames folders in this moment. */
        else if (errno != EPERM && errno != EAGAIN)
            return -1;
    }
    return posix_open_beneath(dir, path, flags, mode);
}

static int64_t ns_of(struct statx_timestamp t)
{
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

/* As fstatat, and when the inode was made. False: the caller has to do without (kernels
 * before 4.11, sandboxes that do not know the call: those answer ENOSYS or EPERM). */
static bool by_statx(int dir, const char *path, int flags, struct sys_stat *st, int *result)
{
    struct statx raw;
    if (atomic_load_explicit(&lacks_statx, memory_order_relaxed))
        return false;
    *result = statx(dir, path, flags, STATX_BASIC_STATS | STATX_BTIME, &raw);
    if (*result != 0 && (errno == ENOSYS || errno == EPERM)) {
        atomic_store_explicit(&lacks_statx, true, memory_order_relaxed);
        return false;
    }
    if (*result != 0)
        return true;
    *st = (struct sys_stat){
        .size = raw.stx_size,
        .mtime_ns = ns_of(raw.stx_mtime),
        .ctime_ns = ns_of(raw.stx_ctime),
        .dev = (uint64_t)makedev(raw.stx_dev_major, raw.stx_dev_minor),
        .ino = raw.stx_ino,
        .born_ns = (raw.stx_mask & STATX_BTIME) != 0 ? ns_of(raw.stx_btime) : 0,
        .links = raw.stx_nlink,
        .kind = S_ISREG(raw.stx_mode)   ? SYS_REGULAR
                : S_ISDIR(raw.stx_mode) ? SYS_FOLDER
                : S_ISLNK(raw.stx_mode) ? SYS_SYMLINK
                                        : SYS_OTHER,
        .owner = raw.stx_uid,
        .group = raw.stx_gid,
        .mode = raw.stx_mode & 07777U,
        .is_executable = (raw.stx_mode & S_IXUSR) != 0,
    };
    return true;
}

int linux_stat_at(int dir, const char *path, bool follow, struct sys_stat *st)
{
    int result;
    if (by_statx(posix_dir(dir), path, follow ? 0 : AT_SYMLINK_NOFOLLOW, st, &result))
        return result;
    return posix_stat_at(dir, path, follow, st);
}

int linux_stat_fd(int fd, struct sys_stat *st)
{
    int result;
    if (by_statx(fd, "", AT_EMPTY_PATH, st, &result))
        return result;
    return posix_stat_fd(fd, st);
}

int linux_reserve(int fd, int64_t len)
{
    if (len == 0 || fallocate(fd, 0, 0, (off_t)len) == 0)
        return 0;
    return errno == EOPNOTSUPP || errno == ENOSYS ? posix_reserve(fd, len) : -1;
}

/* One flush for each file system, whatever else it holds back for others, in place of one for each
 * file: fdatasync of a small new file waits for the disk even when all of it is there already.
 * Before Linux 5.8 syncfs told of no failures, so each file is asked at the end. */
int linux_sync_many(const int *fds, size_t n)
{
    struct stat st;
    dev_t last = 0;
    for (size_t i = 0; i < n; i++)
        (void)sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WRITE); /* advice */
    for (size_t i = 0; i < n; i++) {
        if (fstat(fds[i], &st) != 0)
            return -1;
        if ((i == 0 || st.st_dev != last) && syncfs(fds[i]) != 0)
            return -1;
        last = st.st_dev;
    }
    for (size_t i = 0; i < n; i++)
        if (sync_file_range(fds[i], 0, 0,
                            SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                SYNC_FILE_RANGE_WAIT_AFTER) != 0 &&
            (errno == EIO || errno == ENOSPC || errno == EDQUOT))
            return -1;
    return 0;
}

/* Writing to one's own memory as to another process's: the kernel walks the pages, and what would
 * be SIGBUS in our hands is EFAULT in its own. */
ssize_t linux_copy_into(void *to, const struct iovec *from, int n, size_t len)
{
    struct iovec there = { to, len };
    return process_vm_writev(getpid(), from, (unsigned long)n, &there, 1, 0);
}

/* As the kernel's own. */
struct cache_range {
    uint64_t off, len;
};
struct cache_counts {
    uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

/* 1, 0, or -1 when this call cannot tell. */
static int by_cachestat(int fd, int64_t off, size_t len)
{
    if (atomic_load_explicit(&lacks_cachestat, memory_order_relaxed))
        return -1;
    struct cache_range range = { (uint64_t)off, len };
    struct cache_counts counts;
    if (syscall(SYS_cachestat, fd, &range, &counts, 0) != 0) {
        if (errno == ENOSYS)
            atomic_store_explicit(&lacks_cachestat, true, memory_order_relaxed);
        return -1; /* EPERM: not our file to ask about; EOPNOTSUPP: odd file systems */
    }
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t first = (uint64_t)off / page, last = ((uint64_t)off + len - 1) / page;
    return counts.cached >= last - first + 1;
}

enum {
    PAGE = 4096,           /* the smallest there is; where pages are larger it is right too */
    ALL_OF_IT = 64 * 1024, /* up to here every byte is asked for */
    STRIDE = 16 * 1024,    /* beyond, one in each block as peers ask for them */
};

/* Read without waiting, and judge: 1 when all could be had, 0 when not (the kernel then begins to
 * read), -1 when it cannot tell. */
static int peek(int fd, const struct iovec *iov, int n, int64_t off, size_t len)
{
    ssize_t got;
    do
        got = preadv2(fd, iov, n, (off_t)off, RWF_NOWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? 0 : -1;
    return (size_t)got == len;
}

/* All bytes, into the same page over and over, which stays in the first cache: as exact as
 * cachestat, 2 us for 16 KiB. */
static int by_reading(int fd, int64_t off, size_t len)
{
    char page[PAGE];
    struct iovec iov[ALL_OF_IT / PAGE];
    int n = 0;
    for (size_t left = len; left > 0; left -= iov[n++].iov_len)
        iov[n] = (struct iovec){ page, tarn_min_size(left, PAGE) };
    return peek(fd, iov, n, off, len);
}

/* A byte of each block, and the last. An eviction of less than a block can escape it; then the
 * sender waits for a disk, as it would had nobody asked. */
static int by_sampling(int fd, int64_t off, size_t len)
{
    char byte;
    struct iovec iov = { &byte, 1 };
    int answer = 1;
    for (size_t at = 0; at < len && answer == 1; at += STRIDE)
        answer = peek(fd, &iov, 1, off + (int64_t)at, 1);
    return answer == 1 ? peek(fd, &iov, 1, off + (int64_t)len - 1, 1) : answer;
}

int linux_resident_by_reading(int fd, int64_t off, size_t len)
{
    if (len == 0)
        return 1;
    int answer = len <= ALL_OF_IT ? by_reading(fd, off, len) : by_sampling(fd, off, len);
    if (answer < 0)
        errno = ENOSYS; /* this file system cannot read without waiting */
    return answer;
}

ssize_t linux_preadv_now(int fd, const struct iovec *iov, int n, int64_t off)
{
    ssize_t got = preadv2(fd, iov, n, (off_t)off, RWF_NOWAIT);
    if (got < 0 && errno == EOPNOTSUPP)
        errno = ENOSYS;
    return got;
}

int linux_resident(int fd, int64_t off, size_t len)
{
    int answer = len == 0 ? 1 : by_cachestat(fd, off, len);
    return answer < 0 ? linux_resident_by_reading(fd, off, len) : answer;
}

int linux_boot_id(char *to, size_t size)
{
    size_t len = 0;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got = read(fd, to, size - 1);
    while (got > 0 && len < (size_t)got && to[len] != '\n')
        len++;
    to[len] = '\0';
    close(fd);
    return len > 0 ? 0 : -1;
}
