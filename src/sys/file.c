/* sys/file: opening, reading, writing and counting files, through the table. The trick is in
 * sys_open_beneath: the path is judged as text first, so that the tables need only mind symlinks.
 */
#include "sys/file.h"

#include "base/mem.h"
#include "base/num.h"
#include "sys/ops.h"
#include "sys/priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>

enum {
    RUNS_A_CALL = 64, /* POSIX promises 16, all we know take 1024; more would only use stack */
};

static int flags_of(enum sys_open_how how)
{
    switch (how) {
    case SYS_OPEN_READ:
        return O_RDONLY | O_CLOEXEC | O_NOCTTY;
    case SYS_OPEN_WRITE:
        return O_RDWR | O_CLOEXEC | O_NOCTTY;
    case SYS_OPEN_CREATE:
        return O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY;
    case SYS_OPEN_CREATE_NEW:
        return O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY;
    case SYS_OPEN_APPEND:
        return O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY;
    case SYS_OPEN_FOLDER:
        return O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    }
    assert(false);
    return O_RDONLY | O_CLOEXEC;
}

static const char *verb_of(enum sys_open_how how)
{
    switch (how) {
    case SYS_OPEN_READ:
        return "open";
    case SYS_OPEN_WRITE:
        return "open for writing";
    case SYS_OPEN_CREATE:
    case SYS_OPEN_CREATE_NEW:
        return "create";
    case SYS_OPEN_APPEND:
        return "open for appending";
    case SYS_OPEN_FOLDER:
        return "open the folder";
    }
    return "open";
}

int sys_open(const char *path, enum sys_open_how how, struct tarn_err *err)
{
    struct tarn_quote q;
    int fd;
    do
        fd = sys_ops->open_at(SYS_CWD, path, flags_of(how), how == SYS_OPEN_APPEND ? 0640 : 0666);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        sys_fail(err, "cannot %s '%s'", verb_of(how), tarn_quote_str(&q, path));
    return fd;
}

static size_t part_len(const char *path)
{
    return strcspn(path, "/");
}

/* No empty part, "." or "..": so it can only lead down. */
static bool is_downward(const char *path)
{
    for (;;) {
        size_t len = part_len(path);
        if (len == 0 || (len <= 2 && memcmp(path, "..", len) == 0))
            return false;
        if (path[len] == '\0')
            return true;
        path += len + 1;
    }
}

static int open_beneath(int dir, const char *path, int flags)
{
    int fd;
    do
        fd = sys_ops->open_beneath(dir, path, flags, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int make_folder_beneath(int dir, const char *name)
{
    int fd = open_beneath(dir, name, flags_of(SYS_OPEN_FOLDER));
    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (sys_ops->mkdir_at(dir, name, 0777) != 0 && errno != EEXIST) /* another was quicker */
        return -1;
    return open_beneath(dir, name, flags_of(SYS_OPEN_FOLDER));
}

/* Each folder above the last part of path. On failure errno says why. */
static bool make_folders_beneath(int dir, const char *path)
{
    SYS_AUTO_FD above = -1; /* the folder reached, when it is not dir itself */
    for (size_t len = part_len(path); path[len] == '/'; path += len + 1, len = part_len(path)) {
        char *name = tarn_strndup(path, len);
        if (name == NULL) {
            errno = ENOMEM;
            return false;
        }
        int next = make_folder_beneath(above < 0 ? dir : above, name);
        int number = errno;
        tarn_free(name);
        sys_close(&above);
        errno = number;
        if (next < 0)
            return false;
        above = next;
    }
    return true;
}

static bool fail_beneath(struct tarn_err *err, const char *path, enum sys_open_how how)
{
    int number = errno;
    struct tarn_quote q;
    tarn_quote_str(&q, path);
    if (number == ELOOP || number == EXDEV)
        return tarn_fail(err, TARN_E_POLICY,
                         "will not %s '%s': a part of this path is a symbolic link, which may lead "
                         "out of the folder (remove the link, or choose another folder)",
                         verb_of(how), q.s);
    errno = number;
    return sys_fail(err, "cannot %s '%s'", verb_of(how), q.s);
}

/* After an open that did not block: is it a regular file (or, when asked for, a folder)? From now
 * on reads block. Closes nothing. */
static bool settle(int fd, bool is_folder)
{
    struct sys_stat st;
    return sys_stat_fd(fd, &st, NULL) && st.kind == (is_folder ? SYS_FOLDER : SYS_REGULAR) &&
           sys_ops->set_blocking(fd) == 0;
}

int sys_open_beneath(int dir, const char *path, enum sys_open_how how, struct tarn_err *err)
{
    struct tarn_quote q;
    if (!is_downward(path)) {
        tarn_fail(err, TARN_E_POLICY,
                  "will not %s '%s': this path has an empty part, '.' or '..', and may lead out of "
                  "the folder",
                  verb_of(how), tarn_quote_str(&q, path));
        return -1;
    }
    bool may_make = how == SYS_OPEN_CREATE || how == SYS_OPEN_CREATE_NEW;
    /* Someone may have put a pipe there: opening it must not wait for a writer. */
    int flags = flags_of(how) | O_NONBLOCK;
    int fd = open_beneath(dir, path, flags);
    if (fd < 0 && errno == ENOENT && may_make && make_folders_beneath(dir, path))
        fd = open_beneath(dir, path, flags);
    if (fd < 0) {
        fail_beneath(err, path, how);
        return -1;
    }
    if (!settle(fd, how == SYS_OPEN_FOLDER)) {
        tarn_fail(
            err, TARN_E_POLICY,
            "will not %s '%s': it is not a regular file (remove it, or choose another folder)",
            verb_of(how), tarn_quote_str(&q, path));
        sys_close(&fd);
    }
    return fd;
}

void sys_close(int *fd)
{
    if (*fd >= 0)
        (void)sys_ops->close(
            *fd); /* data that matters has been synced; the number is free anyway */
    *fd = -1;
}

int sys_take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* Numbers of the caller's that the system's signed offsets cannot hold. */
static bool fits_offset(uint64_t off, size_t len)
{
    return off <= INT64_MAX && len <= (uint64_t)INT64_MAX - off;
}

bool sys_read_at(int fd, void *buf, size_t len, uint64_t off, size_t *got, struct tarn_err *err)
{
    if (!fits_offset(off, len))
        return tarn_fail(err, TARN_E_USAGE, "cannot read at %llu: beyond any file",
                         (unsigned long long)off);
    size_t done = 0;
    while (done < len) {
        struct iovec iov = { (uint8_t *)buf + done, len - done };
        uint64_t at = off + done;
        ssize_t n = sys_ops->preadv(fd, &iov, 1, (int64_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tarn_fail_sys(err, "cannot read %zu bytes at %llu of a file", len - done,
                                 (unsigned long long)at);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *got = done;
    return true;
}

bool sys_read_now(int fd, void *buf, size_t len, uint64_t off)
{
    if (!fits_offset(off, len))
        return false;
    struct iovec iov = { buf, len };
    ssize_t n;
    do
        n = sys_ops->preadv_now(fd, &iov, 1, (int64_t)off);
    while (n < 0 && errno == EINTR);
    return n >= 0 && (size_t)n == len;
}

bool sys_append(int fd, struct tarn_bytes data, struct tarn_err *err)
{
    while (data.len > 0) {
        struct iovec iov = { (void *)(uintptr_t)data.p, data.len }; /* not changed, as above */
        ssize_t n = sys_ops->pwritev(fd, &iov, 1, -1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return tarn_fail_sys(err, "cannot write %zu bytes", data.len);
        data = tarn_bytes_of(data.p + n, data.len - (size_t)n);
    }
    return true;
}

bool sys_write_at(int fd, struct tarn_bytes data, uint64_t off, struct tarn_err *err)
{
    return sys_write_runs_at(fd, &data, 1, off, err);
}

/* The runs from the skip-th byte on, as many as fit a call. */
static int gather(struct iovec iov[RUNS_A_CALL], const struct tarn_bytes *runs, size_t n,
                  size_t skip)
{
    int count = 0;
    for (size_t i = 0; i < n && count < RUNS_A_CALL; i++) {
        size_t pass = tarn_min_size(skip, runs[i].len);
        skip -= pass;
        if (pass == runs[i].len)
            continue;
        /* writing does not change it, but struct iovec serves reading too */
        iov[count].iov_base = (void *)(uintptr_t)(runs[i].p + pass);
        iov[count].iov_len = runs[i].len - pass;
        count++;
    }
    return count;
}

/* The runs without their first skip bytes, which are written already. */
static bool write_from(int fd, const struct tarn_bytes *runs, size_t n, size_t skip, uint64_t off,
                       struct tarn_err *err)
{
    off += skip;
    for (;;) {
        while (n > 0 && skip >= runs->len) {
            skip -= runs->len;
            runs++;
            n--;
        }
        if (n == 0)
            return true;
        struct iovec iov[RUNS_A_CALL];
        int count = gather(iov, runs, n, skip);
        size_t len = 0;
        for (int i = 0; i < count; i++)
            len += iov[i].iov_len;
        if (!fits_offset(off, len))
            return tarn_fail(err, TARN_E_USAGE, "cannot write at %llu: beyond any file",
                             (unsigned long long)off);
        ssize_t done = sys_ops->pwritev(fd, iov, count, (int64_t)off);
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = EIO; /* no system we know does this; to go on would be to hang */
        if (done <= 0)
            return tarn_fail_sys(err, "cannot write %zu bytes at %llu of a file", len,
                                 (unsigned long long)off);
        skip += (size_t)done;
        off += (size_t)done;
    }
}

bool sys_write_runs_at(int fd, const struct tarn_bytes *runs, size_t n, uint64_t off,
                       struct tarn_err *err)
{
    return write_from(fd, runs, n, 0, off, err);
}

static bool fail_size(struct tarn_err *err, const char *what, uint64_t size)
{
    int number = errno;
    struct tarn_size_text text;
    tarn_size_text(&text, size);
    errno = number;
    return tarn_fail_sys(err, "cannot %s %s", what, text.s);
}

bool sys_reserve(int fd, uint64_t size, struct tarn_err *err)
{
    if (!fits_offset(size, 0))
        return tarn_fail(err, TARN_E_USAGE, "cannot reserve %llu bytes: more than any file holds",
                         (unsigned long long)size);
    int rc;
    do
        rc = sys_ops->reserve(fd, (int64_t)size);
    while (rc != 0 && errno == EINTR);
    return rc == 0 || fail_size(err, "reserve disk space: the file needs", size);
}

bool sys_truncate(int fd, uint64_t size, struct tarn_err *err)
{
    if (!fits_offset(size, 0))
        return tarn_fail(err, TARN_E_USAGE, "cannot set a file to %llu bytes: more than any holds",
                         (unsigned long long)size);
    int rc;
    do
        rc = sys_ops->truncate(fd, (int64_t)size);
    while (rc != 0 && errno == EINTR);
    return rc == 0 || fail_size(err, "set the size of a file to", size);
}

bool sys_sync(int fd, struct tarn_err *err)
{
    int rc;
    do
        rc = sys_ops->sync_data(fd);
    while (rc != 0 && errno == EINTR);
    return rc == 0 || tarn_fail_sys(err, "cannot bring a file's data to the disk");
}

bool sys_sync_many(const int *fds, size_t n, struct tarn_err *err)
{
    enum { MANY = 8 }; /* from here it pays: store/README.md has figures */
    int rc = -1;
    errno = ENOSYS;
    while (n >= MANY && (rc = sys_ops->sync_many(fds, n)) != 0 && errno == EINTR)
        ;
    if (rc != 0 && errno != ENOSYS)
        return tarn_fail_sys(err, "cannot bring the data of %zu files to the disk", n);
    for (size_t i = 0; rc != 0 && i < n; i++)
        if (!sys_sync(fds[i], err))
            return false;
    return true;
}

bool sys_stat(int dir, const char *path, bool follow, struct sys_stat *st, struct tarn_err *err)
{
    if (sys_ops->stat_at(dir, path, follow, st) == 0)
        return true;
    int number = errno;
    struct tarn_quote q;
    tarn_quote_str(&q, path);
    errno = number;
    return tarn_fail_sys(err, "cannot look at '%s'", q.s);
}

bool sys_stat_fd(int fd, struct sys_stat *st, struct tarn_err *err)
{
    return sys_ops->stat_fd(fd, st) == 0 || tarn_fail_sys(err, "cannot look at an open file");
}

bool sys_make_executable(int fd, struct tarn_err *err)
{
    struct sys_stat st;
    enum { READERS = 0444 };
    if (sys_ops->stat_fd(fd, &st) == 0 &&
        sys_ops->set_mode(fd, st.mode | (st.mode & READERS) >> 2) == 0)
        return true;
    return tarn_fail_sys(err, "cannot make a file executable");
}

bool sys_free_space(int fd, uint64_t *bytes, struct tarn_err *err)
{
    int rc;
    do
        rc = sys_ops->free_space(fd, bytes);
    while (rc != 0 && errno == EINTR);
    return rc == 0 || tarn_fail_sys(err, "cannot ask a file system for its free space");
}

void sys_will_need(int fd, uint64_t off, size_t len)
{
    if (fits_offset(off, len))
        sys_ops->will_need(fd, (int64_t)off, len);
}

void sys_wont_need(int fd, uint64_t off, size_t len)
{
    if (fits_offset(off, len))
        sys_ops->wont_need(fd, (int64_t)off, len);
}

bool sys_sync_folder(int fd, struct tarn_err *err)
{
    int rc;
    do
        rc = sys_ops->sync_folder(fd);
    while (rc != 0 && errno == EINTR);
    /* Some network file systems know no such thing. */
    return rc == 0 || errno == EINVAL ||
           tarn_fail_sys(err, "cannot bring a folder's names to the disk");
}

bool sys_stat_same(const struct sys_stat *a, const struct sys_stat *b)
{
    return a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
           a->dev == b->dev && a->ino == b->ino;
}

bool sys_rename(int from_dir, const char *from, int to_dir, const char *to, struct tarn_err *err)
{
    if (sys_ops->rename_at(from_dir, from, to_dir, to) == 0)
        return true;
    int number = errno;
    struct tarn_quote a, b;
    tarn_quote_str(&a, from);
    tarn_quote_str(&b, to);
    errno = number;
    return tarn_fail_sys(err, "cannot rename '%s' to '%s'", a.s, b.s);
}

bool sys_remove(int dir, const char *path, struct tarn_err *err)
{
    struct tarn_quote q;
    if (sys_ops->unlink_at(dir, path, 0) == 0)
        return true;
    /* A folder: Linux says EISDIR, POSIX EPERM. */
    int number = errno;
    if (number == EISDIR || number == EPERM) {
        if (sys_ops->unlink_at(dir, path, AT_REMOVEDIR) == 0)
            return true;
        if (errno != ENOTDIR)
            number = errno;
    }
    tarn_quote_str(&q, path);
    errno = number;
    return tarn_fail_sys(err, "cannot remove '%s'", q.s);
}

/* One folder; fine when it is there. */
static bool make_folder(const char *path, unsigned mode, struct tarn_err *err)
{
    if (sys_ops->mkdir_at(SYS_CWD, path, mode) == 0)
        return true;
    /* Some systems say EROFS or EACCES of a folder that is there. */
    int number = errno;
    struct sys_stat st;
    struct tarn_quote q;
    if (sys_stat(SYS_CWD, path, true, &st, NULL) && st.kind == SYS_FOLDER)
        return true;
    tarn_quote_str(&q, path);
    errno = number == EEXIST ? ENOTDIR : number;
    return tarn_fail_sys(err, "cannot make the folder '%s'", q.s);
}

static bool make_folders(const char *path, unsigned last_mode, struct tarn_err *err)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    char *part = tarn_strndup(path, len);
    if (part == NULL)
        return tarn_fail_mem(err, "making folders");
    bool ok = true;
    for (size_t i = 1; ok && i <= len; i++) {
        if ((i < len && path[i] != '/') || path[i - 1] == '/')
            continue;
        part[i] = '\0';
        ok = make_folder(part, i == len ? last_mode : 0777, err);
        if (i < len)
            part[i] = path[i];
    }
    tarn_free(part);
    return ok;
}

bool sys_make_folders(const char *path, struct tarn_err *err)
{
    return make_folders(path, 0777, err);
}

bool sys_make_private_folder(const char *path, struct tarn_err *err)
{
    return make_folders(path, 0700, err);
}

static int set_lock(int fd, bool on, uint64_t off)
{
    int rc;
    do
        rc = sys_ops->set_lock(fd, on, off);
    while (rc != 0 && errno == EINTR);
    return rc;
}

bool sys_lock_at(int fd, uint64_t off, struct tarn_err *err)
{
    if (set_lock(fd, true, off) == 0 || errno == ENOLCK || errno == EOPNOTSUPP || errno == EINVAL ||
        errno == ENOSYS)
        return true;
    return errno == EAGAIN || errno == EACCES
               ? tarn_fail(err, TARN_E_POLICY, "another process holds it")
               : tarn_fail_sys(err, "cannot lock a file");
}

bool sys_lock_all(int fd, struct tarn_err *err)
{
    return sys_lock_at(fd, SYS_LOCK_ALL, err);
}

void sys_unlock_at(int fd, uint64_t off)
{
    (void)!set_lock(fd, false, off); /* closing does it too */
}

char *sys_real_path(const char *path, struct tarn_err *err)
{
    enum { LONGEST = 64 << 10 }; /* ours: PATH_MAX is no limit on what a path may become */
    char *to = tarn_calloc(LONGEST, 1);
    if (to == NULL) {
        tarn_fail_mem(err, "finding a path");
        return NULL;
    }
    if (sys_ops->real_path(path, to, LONGEST) != 0) {
        int number = errno;
        struct tarn_quote q;
        tarn_quote_str(&q, path);
        errno = number;
        tarn_fail_sys(err, "cannot find '%s'", q.s);
        tarn_free(to);
        return NULL;
    }
    char *copy = tarn_strndup(to, strlen(to));
    tarn_free(to);
    if (copy == NULL)
        tarn_fail_mem(err, "finding a path");
    return copy;
}

enum sys_residency sys_resident(int fd, uint64_t off, size_t len)
{
    if (!fits_offset(off, len))
        return SYS_COLD;
    if (len == 0)
        return SYS_RESIDENT;
    switch (sys_ops->resident(fd, (int64_t)off, len)) {
    case 0:
        return SYS_COLD;
    case 1:
        return SYS_RESIDENT;
    default:
        return SYS_UNKNOWN;
    }
}

bool sys_bring_in(int fd, uint64_t off, size_t len, size_t *got, struct tarn_err *err)
{
    enum { PAGE = 4096 };
    uint8_t page[PAGE]; /* what is read goes over and over here, which stays in the first cache */
    struct iovec iov[RUNS_A_CALL];
    size_t done = 0;
    if (!fits_offset(off, len))
        return tarn_fail(err, TARN_E_USAGE, "cannot read at %llu: beyond any file",
                         (unsigned long long)off);
    while (done < len) {
        int count = 0;
        for (size_t left = len - done; left > 0 && count < RUNS_A_CALL;
             left -= iov[count++].iov_len)
            iov[count] = (struct iovec){ page, tarn_min_size(left, PAGE) };
        ssize_t n = sys_ops->preadv(fd, iov, count, (int64_t)(off + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tarn_fail_sys(err, "cannot read %zu bytes at %llu of a file", len - done,
                                 (unsigned long long)(off + done));
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *got = done;
    return true;
}

struct sys_file *sys_file_new(int fd)
{
    struct sys_file *f = tarn_calloc(1, sizeof *f);
    if (f == NULL || !sys_stat_fd(fd, &f->at_open, NULL)) {
        tarn_free(f);
        sys_close(&fd);
        return NULL;
    }
    f->fd = fd;
    atomic_init(&f->refs, 1);
    return f;
}

struct sys_file *sys_file_ref(struct sys_file *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void sys_file_unref(struct sys_file *f)
{
    if (f == NULL || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    uint8_t *map = atomic_load_explicit(&f->map, memory_order_relaxed);
    if (map != NULL)
        sys_ops->unmap(map, (size_t)f->at_open.size);
    sys_close(&f->fd);
    tarn_free(f);
}

static uint8_t *map_whole(struct sys_file *f)
{
    size_t len = (size_t)f->at_open.size;
    uint8_t *none = NULL, *made = NULL;
    if (len == f->at_open.size)
        made = sys_ops->map(f->fd, len);
    if (made == NULL || atomic_compare_exchange_strong(&f->map, &none, made))
        return made;
    sys_ops->unmap(made, len); /* another was quicker */
    return none;
}

uint8_t *sys_file_mapped(struct sys_file *f, uint64_t off, size_t len)
{
    if (len == 0 || off > f->at_open.size || len > f->at_open.size - off)
        return NULL;
    uint8_t *map = atomic_load_explicit(&f->map, memory_order_acquire);
    if (map == NULL)
        map = map_whole(f);
    return map == NULL ? NULL : map + off;
}

/* As much as goes; the rest is somebody else's. What is written behind the end of a file that was
 * cut short in a page would be lost with nobody told, so its length is asked for. */
static size_t write_mapped(struct sys_file *f, const struct tarn_bytes *runs, size_t n, size_t len,
                           uint64_t off)
{
    struct sys_stat st;
    uint8_t *to = sys_file_mapped(f, off, len);
    size_t done = 0;
    if (!sys_stat_fd(f->fd, &st, NULL) || st.size < off + len)
        return 0;
    while (to != NULL && done < len) {
        struct iovec iov[RUNS_A_CALL];
        ssize_t some = sys_ops->copy_into(to + done, iov, gather(iov, runs, n, done), len - done);
        if (some < 0 && errno == EINTR)
            continue;
        if (some <= 0)
            break;
        done += (size_t)some;
    }
    return done;
}

bool sys_file_write(struct sys_file *f, const struct tarn_bytes *runs, size_t n, uint64_t off,
                    struct tarn_err *err)
{
    size_t len = 0, done = 0;
    for (size_t i = 0; i < n; i++)
        len += runs[i].len;
    if (f->way == SYS_FILE_MMAP)
        done = write_mapped(f, runs, n, len, off);
    return done == len || write_from(f->fd, runs, n, done, off, err);
}
