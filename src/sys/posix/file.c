/* sys/posix: what to know about files, folders and memory, for which the tables have no entry
 * because tests have no use for a failing one. */
#include "sys/file.h"

#include "base/mem.h"
#include "base/out.h"
#include "sys/descriptors.h"
#include "sys/posix/priv.h"
#include "sys/priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#ifdef __APPLE__ /* names of before POSIX 2008 */
#define st_mtim st_mtimespec
#define st_ctim st_ctimespec
#endif

enum {
    NAMES_LIMIT = 256 << 20, /* of one folder; at 20 bytes each, thirteen million files */
};

uint64_t sys_fd_limit(void)
{
    struct rlimit r;
    return getrlimit(RLIMIT_NOFILE, &r) == 0 ? (uint64_t)r.rlim_cur : 0;
}

uint64_t sys_fd_limit_raise(uint64_t want)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return 0;
    if (want > r.rlim_cur) {
        rlim_t before = r.rlim_cur;
        r.rlim_cur = want < r.rlim_max ? (rlim_t)want : r.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &r) != 0)
            r.rlim_cur = before;
    }
    return (uint64_t)r.rlim_cur;
}

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static enum sys_kind kind_of(mode_t mode)
{
    if (S_ISREG(mode))
        return SYS_REGULAR;
    if (S_ISDIR(mode))
        return SYS_FOLDER;
    return S_ISLNK(mode) ? SYS_SYMLINK : SYS_OTHER;
}

static void take_stat(struct sys_stat *to, const struct stat *from)
{
    *to = (struct sys_stat){
        .size = (uint64_t)from->st_size,
        .mtime_ns = ns_of(from->st_mtim),
        .ctime_ns = ns_of(from->st_ctim),
        .dev = (uint64_t)from->st_dev,
        .ino = (uint64_t)from->st_ino,
        .links = (uint64_t)from->st_nlink,
        .owner = (uint32_t)from->st_uid,
        .group = (uint32_t)from->st_gid,
        .kind = kind_of(from->st_mode),
        .mode = from->st_mode & 07777,
        .is_executable = (from->st_mode & S_IXUSR) != 0,
    };
}

/* "<what> '<path>'", errno being that of the call just made. */
static bool fail_path(struct tarn_err *err, const char *what, const char *path)
{
    int number = errno;
    struct tarn_quote q;
    tarn_quote_str(&q, path);
    errno = number;
    return tarn_fail_sys(err, "%s '%s'", what, q.s);
}

int posix_stat_at(int dir, const char *path, bool follow, struct sys_stat *st)
{
    struct stat raw;
    if (fstatat(posix_dir(dir), path, &raw, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    take_stat(st, &raw);
    return 0;
}

int posix_stat_fd(int fd, struct sys_stat *st)
{
    struct stat raw;
    if (fstat(fd, &raw) != 0)
        return -1;
    take_stat(st, &raw);
    return 0;
}

int posix_set_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

int posix_set_mode(int fd, unsigned mode)
{
    return fchmod(fd, (mode_t)mode);
}

bool sys_make_symlink(int dir, const char *path, const char *target, struct tarn_err *err)
{
    return symlinkat(target, posix_dir(dir), path) == 0 ||
           fail_path(err, "cannot make the symbolic link", path);
}

/* All names behind one another, each with its NUL. */
static bool read_names(DIR *folder, struct tarn_out *text, size_t *n, struct tarn_err *err)
{
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(folder);
        if (e == NULL)
            return errno == 0 || tarn_fail_sys(err, "cannot list a folder");
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        tarn_out_put(text, tarn_bytes_of(e->d_name, strlen(e->d_name) + 1));
        if (!tarn_out_ok(text))
            return tarn_fail(err, TARN_E_NO_MEMORY,
                             "cannot list a folder: no memory left after %zu names (all may take "
                             "%d MiB; split the folder)",
                             *n, NAMES_LIMIT >> 20);
        ++*n;
    }
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **sort_names(struct tarn_bytes text, size_t n)
{
    size_t table = n * sizeof(char *);
    char *block = tarn_calloc(1, table + text.len);
    if (block == NULL)
        return NULL;
    char *p = block + table;
    if (text.len > 0)
        memcpy(p, text.p, text.len);
    const char **names = (const char **)(void *)block;
    for (size_t i = 0; i < n; i++, p += strlen(p) + 1)
        names[i] = p;
    if (n > 1)
        qsort(names, n, sizeof *names, by_bytes);
    return names;
}

bool sys_list_folder(int dir, const char ***names, size_t *n, struct tarn_err *err)
{
    /* its own place in the folder, whoever else reads dir */
    int fd = openat(posix_dir(dir), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL) {
        sys_fail(err, "cannot list a folder");
        if (fd >= 0)
            close(fd);
        return false;
    }
    struct tarn_out text;
    tarn_out_init(&text, NAMES_LIMIT);
    size_t count = 0;
    bool ok = read_names(folder, &text, &count, err);
    closedir(folder);
    const char **sorted = ok ? sort_names(tarn_out_bytes(&text), count) : NULL;
    tarn_out_release(&text);
    if (ok && sorted == NULL)
        return tarn_fail_mem(err, "listing a folder");
    if (ok) {
        *names = sorted;
        *n = count;
    }
    return ok;
}

int posix_free_space(int fd, uint64_t *bytes)
{
    struct statvfs v;
    if (fstatvfs(fd, &v) != 0)
        return -1;
    /* some network file systems say "no limit" by absurd numbers */
    if (__builtin_mul_overflow((uint64_t)v.f_bavail, (uint64_t)v.f_frsize, bytes))
        *bytes = UINT64_MAX;
    return 0;
}

/* Of the open file where the system can, so that two of one process keep each other out too. */
int posix_set_lock(int fd, bool on, uint64_t off)
{
#ifdef F_OFD_SETLK
    const int set = F_OFD_SETLK;
#else
    const int set = F_SETLK;
#endif
    bool is_all = off == SYS_LOCK_ALL;
    struct flock byte = { .l_type = on ? F_WRLCK : F_UNLCK,
                          .l_whence = SEEK_SET,
                          .l_start = is_all ? 0 : (off_t)off,
                          .l_len = is_all ? 0 : 1 }; /* 0: to the end, wherever that is */
    return fcntl(fd, set, &byte);
}

int posix_real_path(const char *path, char *to, size_t size)
{
    char *real = realpath(path, NULL);
    if (real == NULL)
        return -1;
    bool fits = (size_t)snprintf(to, size, "%s", real) < size;
    free(real); /* the C library's, not ours */
    errno = ENAMETOOLONG;
    return fits ? 0 : -1;
}

void posix_will_need(int fd, int64_t off, size_t len)
{
#if defined(POSIX_FADV_WILLNEED)
    (void)posix_fadvise(fd, (off_t)off, (off_t)len, POSIX_FADV_WILLNEED); /* advice */
#elif defined(F_RDADVISE)
    struct radvisory advice = { .ra_offset = (off_t)off,
                                .ra_count = len > INT_MAX ? INT_MAX : (int)len };
    (void)fcntl(fd, F_RDADVISE, &advice);
#else
    (void)fd, (void)off, (void)len;
#endif
}

void posix_wont_need(int fd, int64_t off, size_t len)
{
#if defined(POSIX_FADV_DONTNEED)
    (void)posix_fadvise(fd, (off_t)off, (off_t)len, POSIX_FADV_DONTNEED); /* advice */
#else
    (void)fd, (void)off, (void)len;
#endif
}

void sys_read_in_order(int fd)
{
#if defined(POSIX_FADV_SEQUENTIAL)
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* advice */
#elif defined(F_RDAHEAD)
    (void)fcntl(fd, F_RDAHEAD, 1);
#else
    (void)fd;
#endif
}
