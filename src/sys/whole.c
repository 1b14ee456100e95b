/* sys/whole: a file read or replaced as a whole. */
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/ops.h"
#include "sys/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

enum { STDIN = 0, STDOUT = 1 };

static bool is_dash(const char *path)
{
    return strcmp(path, "-") == 0;
}

static bool fail_too_big(struct tarn_err *err, size_t max)
{
    struct tarn_size_text text;
    return tarn_fail(err, TARN_E_POLICY, "it is larger than the %s allowed here",
                     tarn_size_text(&text, max));
}

/* Until the end, in a buffer that grows up to one byte more than max: that byte tells. */
static bool read_on(int fd, size_t max, uint8_t **data, size_t *len, struct tarn_err *err)
{
    struct sys_stat st;
    size_t limit = max == SIZE_MAX ? max : max + 1;
    size_t cap = tarn_min_size(limit, 64 * TARN_KIB);
    if (sys_stat_fd(fd, &st, NULL) && st.kind == SYS_REGULAR && st.size >= cap)
        cap = (size_t)tarn_min_u64(limit, st.size + 1); /* the one call more sees the end */
    uint8_t *p = NULL;
    for (size_t used = 0, room = 0;;) {
        if (used == room) {
            room = room == 0 ? cap : room > limit / 2 ? limit : 2 * room;
            uint8_t *grown = tarn_realloc(p, room, 1);
            if (grown == NULL) {
                tarn_free(p);
                return tarn_fail_mem(err, "reading it");
            }
            p = grown;
        }
        struct iovec iov = { p + used, room - used };
        ssize_t n = sys_ops->preadv(fd, &iov, 1, -1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            tarn_fail_sys(err, "reading failed after %zu bytes", used);
            tarn_free(p);
            return false;
        }
        if (n == 0) {
            *data = p;
            *len = used;
            return true;
        }
        used += (size_t)n;
        if (used > max || used == SIZE_MAX) {
            tarn_free(p);
            return fail_too_big(err, max);
        }
    }
}

bool sys_read_whole(const char *path, size_t max, uint8_t **data, size_t *len, struct tarn_err *err)
{
    if (is_dash(path))
        return read_on(STDIN, max, data, len, err) ||
               tarn_fail_in(err, "cannot read standard input");
    SYS_AUTO_FD fd = sys_open(path, SYS_OPEN_READ, err);
    struct tarn_quote q;
    if (fd < 0)
        return false;
    return read_on(fd, max, data, len, err) ||
           tarn_fail_in(err, "cannot read '%s'", tarn_quote_str(&q, path));
}

/* To where the descriptor stands: pipes and terminals have no offsets. */
static bool write_on(int fd, struct tarn_bytes data, struct tarn_err *err)
{
    while (data.len > 0) {
        struct iovec iov = { (void *)(uintptr_t)data.p, data.len };
        ssize_t n = sys_ops->pwritev(fd, &iov, 1, -1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return tarn_fail_sys(err, "writing failed");
        data = tarn_bytes_of(data.p + n, data.len - (size_t)n);
    }
    return true;
}

/* A new file in the folder of its own random name, which does not depend on the final one: that may
 * already be as long as names can be. */
static int open_temp(int folder, unsigned mode, char name[40], struct tarn_err *err)
{
    for (int tries = 0; tries < 8; tries++) {
        uint8_t salt[8];
        char hex[2 * sizeof salt + 1];
        if (!sys_random(salt, sizeof salt, err))
            return -1;
        snprintf(name, 40, ".tarn-%s.tmp", tarn_hex(hex, tarn_bytes_of(salt, sizeof salt)));
        int fd = sys_ops->open_at(folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd >= 0)
            return fd;
        if (errno != EEXIST && errno != EINTR)
            break;
    }
    sys_fail(err, "cannot create a file in its folder");
    return -1;
}

static bool fill_temp(int fd, struct tarn_bytes data, const unsigned *mode, struct tarn_err *err)
{
    if (mode != NULL)
        (void)sys_ops->set_mode(fd, *mode); /* some file systems have no modes */
    return sys_write_at(fd, data, 0, err) && sys_sync(fd, err);
}

static bool replace(int folder, const char *name, const unsigned *mode, struct tarn_bytes data,
                    struct tarn_err *err)
{
    char temp[40];
    SYS_AUTO_FD fd = open_temp(folder, mode == NULL ? 0666 : *mode & 0777, temp, err);
    if (fd < 0)
        return false;
    if (!fill_temp(fd, data, mode, err) || !sys_rename(folder, temp, folder, name, err)) {
        (void)sys_ops->unlink_at(folder, temp, 0); /* the first failure is the one to tell */
        return false;
    }
    return sys_sync_folder(folder, err) ||
           tarn_fail_in(err, "it is written, but may not outlive a power cut");
}

/* The folder that a path is in, opened before anything is changed. */
static int open_parent(const char *path, struct tarn_err *err)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return sys_open(".", SYS_OPEN_FOLDER, err);
    char *folder = tarn_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (folder == NULL) {
        tarn_fail_mem(err, "opening its folder");
        return -1;
    }
    int fd = sys_open(folder, SYS_OPEN_FOLDER, err);
    tarn_free(folder);
    return fd;
}

static bool write_straight(const char *path, struct tarn_bytes data, struct tarn_err *err)
{
    SYS_AUTO_FD fd = sys_ops->open_at(SYS_CWD, path, O_WRONLY | O_CLOEXEC | O_NOCTTY, 0);
    if (fd < 0)
        return sys_fail(err, "opening failed");
    return write_on(fd, data, err);
}

static bool write_path(const char *path, struct tarn_bytes data, struct tarn_err *err)
{
    struct sys_stat st;
    bool is_there = sys_stat(SYS_CWD, path, true, &st, NULL);
    if (is_there && st.kind == SYS_OTHER)
        return write_straight(path, data, err);
    SYS_AUTO_FD folder = open_parent(path, err);
    if (folder < 0)
        return false;
    const char *slash = strrchr(path, '/');
    return replace(folder, slash == NULL ? path : slash + 1, is_there ? &st.mode : NULL, data, err);
}

bool sys_write_whole(const char *path, struct tarn_bytes data, struct tarn_err *err)
{
    if (is_dash(path))
        return write_on(STDOUT, data, err) || tarn_fail_in(err, "cannot write to standard output");
    struct tarn_quote q;
    return write_path(path, data, err) ||
           tarn_fail_in(err, "cannot write '%s'", tarn_quote_str(&q, path));
}
