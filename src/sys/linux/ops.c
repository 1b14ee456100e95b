/* sys/linux: the native table. */
#include "sys/linux/priv.h"
#include "sys/posix/priv.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

static int linux_socket(int family, int type)
{
    return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int linux_accept(int fd, struct sockaddr *addr, unsigned *len)
{
    return accept4(fd, addr, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static ssize_t linux_sendfile(int sock, int fd, int64_t off, size_t len)
{
    off_t at = (off_t)off;
    return sendfile(sock, fd, &at, len);
}

static int linux_random(void *p, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = getrandom((char *)p + done, len - done, 0);
        if (n < 0 && errno == ENOSYS) /* sandboxes */
            return posix_random(p, len);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

const struct sys_ops sys_ops_native = {
    .open_at = posix_open_at,
    .open_beneath = linux_open_beneath,
    .close = posix_close,
    .preadv = posix_preadv,
    .pwritev = posix_pwritev,
    .reserve = linux_reserve,
    .truncate = posix_truncate,
    .sync_data = posix_sync_data,
    .sync_many = linux_sync_many,
    .sync_folder = posix_sync_folder,
    .rename_at = posix_rename_at,
    .unlink_at = posix_unlink_at,
    .mkdir_at = posix_mkdir_at,
    .resident = linux_resident,
    .socket = linux_socket,
    .bind = posix_bind,
    .listen = posix_listen,
    .accept = linux_accept,
    .connect = posix_connect,
    .recvv = posix_recvv,
    .sendv = posix_sendv,
    .has_sendfile = true,
    .sendfile = linux_sendfile,
    .now_us = posix_now_us,
    .wall_ms = posix_wall_ms,
    .random = linux_random,
    .poller = &linux_poller,
};
