/* tools/shim: preloaded into a program, makes its disk fail and its clock jump.
 *
 * SHIM_FAIL names calls that fail: CALL:FIRST:COUNT:ERROR, separated by commas. CALL is write,
 * read, sync, rename or reserve; FIRST counts from 1 over the calls of that kind that concern a
 * file whose path holds SHIM_PATH (unset: any regular file); COUNT 0 is for ever; ERROR is a
 * number. SHIM_CLOCK names a file of two numbers of 64 bits in this machine's byte order:
 * microseconds by which the monotonic clock and the time of day are ahead. It may be written while
 * the program runs.
 *
 * Linux with the GNU C library, 64 bits. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* What stands behind us in the line of libraries. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

enum call { WRITE, READ, SYNC, RENAME, RESERVE, N_CALLS };
static const char *const names[N_CALLS] = { "write", "read", "sync", "rename", "reserve" };

static struct rule {
    long first, count;
    int error;
} rules[N_CALLS];
static atomic_long seen[N_CALLS];
static const char *path_part;
static const _Atomic int64_t *ahead_us; /* two */

static void read_rules(const char *text)
{
    for (; text != NULL; text = strchr(text, ',') == NULL ? NULL : strchr(text, ',') + 1) {
        char call[16];
        struct rule r;
        if (sscanf(text, "%15[a-z]:%ld:%ld:%d", call, &r.first, &r.count, &r.error) != 4)
            abort(); /* a test that asks for nothing must not pass */
        for (int i = 0; i < N_CALLS; i++)
            if (strcmp(call, names[i]) == 0)
                rules[i] = r;
    }
}

static void open_clock(const char *path)
{
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    void *at = mmap(NULL, 2 * sizeof *ahead_us, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        abort();
    ahead_us = at;
}

__attribute__((constructor)) static void begin(void)
{
    path_part = getenv("SHIM_PATH");
    open_clock(getenv("SHIM_CLOCK"));
    read_rules(getenv("SHIM_FAIL"));
}

static bool is_meant(const char *path)
{
    return path_part == NULL || strstr(path, path_part) != NULL;
}

/* The path of an open file or folder; "" when it has none. */
static size_t path_of(int fd, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n < 0 ? 0 : n] = '\0';
    return strlen(path);
}

static bool is_meant_fd(int fd)
{
    char path[PATH_MAX];
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && path_of(fd, path) > 0 && is_meant(path);
}

static bool is_meant_in(int dir, const char *name)
{
    char path[PATH_MAX];
    size_t len = dir == AT_FDCWD || name[0] == '/' ? 0 : path_of(dir, path);
    snprintf(path + len, sizeof path - len, "/%s", name);
    return is_meant(path);
}

/* Counts it. */
static bool fails_now(enum call c)
{
    const struct rule *r = &rules[c];
    long n = atomic_fetch_add(&seen[c], 1) + 1;
    if (n < r->first || (r->count > 0 && n >= r->first + r->count))
        return false;
    errno = r->error;
    return true;
}

static bool fails(enum call c, int fd)
{
    return rules[c].error != 0 && is_meant_fd(fd) && fails_now(c);
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t off)
{
    return fails(WRITE, fd) ? -1 : NEXT(pwritev64)(fd, v, n, off);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t off)
{
    return fails(WRITE, fd) ? -1 : NEXT(pwrite64)(fd, p, n, off);
}

ssize_t write(int fd, const void *p, size_t n)
{
    return fails(WRITE, fd) ? -1 : NEXT(write)(fd, p, n);
}

ssize_t preadv64(int fd, const struct iovec *v, int n, off64_t off)
{
    return fails(READ, fd) ? -1 : NEXT(preadv64)(fd, v, n, off);
}

ssize_t preadv64v2(int fd, const struct iovec *v, int n, off64_t off, int flags)
{
    return fails(READ, fd) ? -1 : NEXT(preadv64v2)(fd, v, n, off, flags);
}

ssize_t pread64(int fd, void *p, size_t n, off64_t off)
{
    return fails(READ, fd) ? -1 : NEXT(pread64)(fd, p, n, off);
}

ssize_t sendfile64(int to, int fd, off64_t *off, size_t n)
{
    return fails(READ, fd) ? -1 : NEXT(sendfile64)(to, fd, off, n);
}

int fsync(int fd)
{
    return fails(SYNC, fd) ? -1 : NEXT(fsync)(fd);
}

int fdatasync(int fd)
{
    return fails(SYNC, fd) ? -1 : NEXT(fdatasync)(fd);
}

int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
    return fails(RESERVE, fd) ? -1 : NEXT(fallocate64)(fd, mode, off, len);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    bool fails_here = rules[RENAME].error != 0 && is_meant_in(from_dir, from) && fails_now(RENAME);
    return fails_here ? -1 : NEXT(renameat)(from_dir, from, to_dir, to);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    int result = NEXT(clock_gettime)(id, t);
    bool is_shifted = id == CLOCK_MONOTONIC || id == CLOCK_REALTIME || id == CLOCK_BOOTTIME;
    if (result == 0 && ahead_us != NULL && is_shifted) {
        int64_t ahead = atomic_load(&ahead_us[id == CLOCK_REALTIME]);
        int64_t ns = t->tv_nsec + ahead % 1000000 * 1000;
        t->tv_sec += ahead / 1000000 + (ns >= 1000000000 ? 1 : ns < 0 ? -1 : 0);
        t->tv_nsec = (ns + 1000000000) % 1000000000;
    }
    return result;
}
