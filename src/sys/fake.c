/* sys/fake: see the header. */
#include "sys/fake.h"

#include "base/num.h"
#include "sys/net.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum {
    RUNS_MAX = 1024, /* no caller of ours gathers more */
};

static struct sys_fake *fake; /* the one installed; borrowed */
static struct sys_ops table;

/* Count a call; true with errno when it is to fail. */
static bool fails(enum sys_fake_call call)
{
    unsigned before = atomic_fetch_add(&fake->calls[call], 1);
    const struct sys_fault *f = &fake->fail[call];
    if (f->error == 0 || before < f->after || (before > f->after && !f->forever))
        return false;
    errno = f->error;
    return true;
}

/* The runs up to max bytes (0: all). */
struct runs {
    struct iovec iov[RUNS_MAX];
    int n;
    size_t len;
};
static void cut(struct runs *to, const struct iovec *iov, int n, size_t max)
{
    to->n = 0;
    to->len = 0;
    for (int i = 0; i < n && i < RUNS_MAX; i++) {
        size_t len = max == 0 ? iov[i].iov_len : tarn_min_size(iov[i].iov_len, max - to->len);
        to->iov[to->n++] = (struct iovec){ iov[i].iov_base, len };
        to->len += len;
        if (max != 0 && to->len == max)
            break;
    }
}

/* How many of the bytes up to end the disk has room for, of those beyond the end of the file. */
static uint64_t room_until(int fd, uint64_t end, uint64_t *file_end)
{
    struct stat st;
    *file_end = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    if (end <= *file_end || fake->disk_limit == 0)
        return UINT64_MAX;
    uint64_t used = atomic_load(&fake->disk_used);
    return used >= fake->disk_limit ? 0 : fake->disk_limit - used;
}

static int fake_open_at(int dir, const char *path, int flags, unsigned mode)
{
    return fails(SYS_FAKE_OPEN) ? -1 : fake->under->open_at(dir, path, flags, mode);
}

static int fake_open_beneath(int dir, const char *path, int flags, unsigned mode)
{
    return fails(SYS_FAKE_OPEN) ? -1 : fake->under->open_beneath(dir, path, flags, mode);
}

static ssize_t fake_preadv(int fd, const struct iovec *iov, int n, int64_t off)
{
    if (fails(SYS_FAKE_PREADV))
        return -1;
    struct runs r;
    cut(&r, iov, n, fake->short_io);
    ssize_t got = fake->under->preadv(fd, r.iov, r.n, off);
    if (got > 0)
        atomic_fetch_add(&fake->bytes_read, (unsigned long long)got);
    return got;
}

static ssize_t fake_preadv_now(int fd, const struct iovec *iov, int n, int64_t off)
{
    if (fails(SYS_FAKE_PREADV_NOW))
        return -1;
    ssize_t got = fake->under->preadv_now(fd, iov, n, off);
    if (got > 0)
        atomic_fetch_add(&fake->bytes_read, (unsigned long long)got);
    return got;
}

static ssize_t fake_pwritev(int fd, const struct iovec *iov, int n, int64_t off)
{
    if (fails(SYS_FAKE_PWRITEV))
        return -1;
    struct runs r;
    cut(&r, iov, n, fake->short_io);
    uint64_t file_end = 0;
    if (off >= 0) {
        uint64_t room = room_until(fd, (uint64_t)off + r.len, &file_end);
        uint64_t start = tarn_max_u64((uint64_t)off, file_end);
        if (room != UINT64_MAX && (uint64_t)off + r.len - start > room) {
            size_t fits = (size_t)(start - (uint64_t)off + room);
            if (fits == 0) {
                errno = ENOSPC;
                return -1;
            }
            struct runs all = r;
            cut(&r, all.iov, all.n, fits);
        }
    }
    ssize_t done = fake->under->pwritev(fd, r.iov, r.n, off);
    if (done > 0) {
        atomic_fetch_add(&fake->bytes_written, (unsigned long long)done);
        uint64_t end = off < 0 ? 0 : (uint64_t)off + (uint64_t)done;
        if (end > file_end)
            atomic_fetch_add(&fake->disk_used, end - file_end);
    }
    return done;
}

static void fake_wont_need(int fd, int64_t off, size_t len)
{
    atomic_fetch_add(&fake->bytes_unneeded, len);
    fake->under->wont_need(fd, off, len);
}

static int fake_reserve(int fd, int64_t len)
{
    if (fails(SYS_FAKE_RESERVE))
        return -1;
    uint64_t file_end;
    uint64_t room = room_until(fd, (uint64_t)len, &file_end);
    uint64_t growth = (uint64_t)len > file_end ? (uint64_t)len - file_end : 0;
    if (growth > room) {
        errno = ENOSPC;
        return -1;
    }
    int rc = fake->under->reserve(fd, len);
    if (rc == 0)
        atomic_fetch_add(&fake->disk_used, growth);
    return rc;
}

static int fake_sync_data(int fd)
{
    return fails(SYS_FAKE_SYNC) ? -1 : fake->under->sync_data(fd);
}

static int fake_sync_many(const int *fds, size_t n)
{
    return fails(SYS_FAKE_SYNC) ? -1 : fake->under->sync_many(fds, n);
}

static int fake_sync_folder(int fd)
{
    return fails(SYS_FAKE_SYNC) ? -1 : fake->under->sync_folder(fd);
}

static int fake_rename_at(int from_dir, const char *from, int to_dir, const char *to)
{
    return fails(SYS_FAKE_RENAME) ? -1 : fake->under->rename_at(from_dir, from, to_dir, to);
}

static int fake_mkdir_at(int dir, const char *path, unsigned mode)
{
    return fails(SYS_FAKE_MKDIR) ? -1 : fake->under->mkdir_at(dir, path, mode);
}

static int fake_resident(int fd, int64_t off, size_t len)
{
    if (fake->resident == -2)
        return fake->under->resident(fd, off, len);
    errno = ENOSYS; /* of -1 */
    return fake->resident;
}

static void *fake_map(int fd, size_t len)
{
    return fails(SYS_FAKE_MAP) ? NULL : fake->under->map(fd, len);
}

static ssize_t fake_copy_into(void *to, const struct iovec *from, int n, size_t len)
{
    if (fails(SYS_FAKE_COPY_INTO))
        return -1;
    struct runs r;
    cut(&r, from, n, fake->short_io);
    ssize_t done = fake->under->copy_into(to, r.iov, r.n, tarn_min_size(len, r.len));
    if (done > 0)
        atomic_fetch_add(&fake->bytes_written, (unsigned long long)done);
    return done;
}

static int fake_socket(int family, int type)
{
    return fails(SYS_FAKE_SOCKET) ? -1 : fake->under->socket(family, type);
}

static int fake_accept(int fd, struct sockaddr *addr, unsigned *len)
{
    return fails(SYS_FAKE_ACCEPT) ? -1 : fake->under->accept(fd, addr, len);
}

static int fake_connect(int fd, const struct sockaddr *addr, unsigned len)
{
    return fails(SYS_FAKE_CONNECT) ? -1 : fake->under->connect(fd, addr, len);
}

static ssize_t fake_recvv(int fd, const struct iovec *iov, int n)
{
    if (fails(SYS_FAKE_RECVV))
        return -1;
    struct runs r;
    cut(&r, iov, n, fake->short_io);
    return fake->under->recvv(fd, r.iov, r.n);
}

static ssize_t fake_sendv(int fd, const struct iovec *iov, int n, bool more)
{
    if (fails(SYS_FAKE_SENDV))
        return -1;
    struct runs r;
    cut(&r, iov, n, fake->short_io);
    return fake->under->sendv(fd, r.iov, r.n, more);
}

static ssize_t fake_sendfile(int sock, int fd, int64_t off, size_t len)
{
    if (fails(SYS_FAKE_SENDFILE))
        return -1;
    if (fake->short_io != 0)
        len = tarn_min_size(len, fake->short_io);
    ssize_t done = fake->under->sendfile(sock, fd, off, len);
    if (done > 0)
        atomic_fetch_add(&fake->bytes_read, (unsigned long long)done);
    return done;
}

static int fake_tcp_info(int fd, struct sys_tcp_info *out)
{
    if (fails(SYS_FAKE_TCP_INFO))
        return -1;
    if (fake->tcp_info == NULL)
        return fake->under->tcp_info(fd, out);
    *out = *fake->tcp_info;
    return 0;
}

static int fake_offload_tls(int fd)
{
    if (fails(SYS_FAKE_OFFLOAD_TLS))
        return -1;
    return fake->offers_tls ? 0 : fake->under->offload_tls(fd);
}

static int64_t fake_now_us(void)
{
    return fake->under->now_us() + atomic_load(&fake->clock_offset_us);
}

static int64_t fake_thread_ns(void)
{
    if (fake->thread_step_ns == 0)
        return fake->under->thread_ns();
    return fake->thread_ns += fake->thread_step_ns;
}

static int fake_random(void *p, size_t len)
{
    return fails(SYS_FAKE_RANDOM) ? -1 : fake->under->random(p, len);
}

void sys_fake_install(struct sys_fake *f, const struct sys_ops *under)
{
    memset(f, 0, sizeof *f);
    f->resident = -2;
    f->under = under;
    fake = f;
    table = *under; /* what is not listed below goes straight through */
    table.open_at = fake_open_at;
    table.open_beneath = fake_open_beneath;
    table.preadv = fake_preadv;
    table.preadv_now = fake_preadv_now;
    table.pwritev = fake_pwritev;
    table.reserve = fake_reserve;
    table.sync_data = fake_sync_data;
    table.sync_many = fake_sync_many;
    table.wont_need = fake_wont_need;
    table.sync_folder = fake_sync_folder;
    table.rename_at = fake_rename_at;
    table.mkdir_at = fake_mkdir_at;
    table.resident = fake_resident;
    table.map = fake_map;
    table.copy_into = fake_copy_into;
    table.socket = fake_socket;
    table.accept = fake_accept;
    table.connect = fake_connect;
    table.recvv = fake_recvv;
    table.sendv = fake_sendv;
    table.sendfile = fake_sendfile;
    table.tcp_info = fake_tcp_info;
    table.offload_tls = fake_offload_tls;
    table.now_us = fake_now_us;
    table.thread_ns = fake_thread_ns;
    table.random = fake_random;
    sys_ops = &table;
}

void sys_fake_remove(struct sys_fake *f)
{
    sys_ops = f->under;
    fake = NULL;
}
