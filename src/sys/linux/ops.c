/* sys/linux: the native table. */
#include "sys/linux/priv.h"
#include "sys/net.h"
#include "sys/posix/priv.h"

#include <errno.h>
#include <linux/tcp.h> /* glibc's netinet/tcp.h knows only the first half of tcp_info */
#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
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

/* Kernels before 4.6 tell less. */
static int linux_tcp_info(int fd, struct sys_tcp_info *out)
{
    struct tcp_info info = { 0 };
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return -1;
    if (len < offsetof(struct tcp_info, tcpi_min_rtt) + sizeof info.tcpi_min_rtt) {
        errno = ENOSYS;
        return -1;
    }
    bool is_known = info.tcpi_min_rtt != UINT32_MAX;
    *out = (struct sys_tcp_info){ .rtt_us = info.tcpi_rtt,
                                  .min_rtt_us = is_known ? info.tcpi_min_rtt : 0,
                                  .acked = info.tcpi_bytes_acked,
                                  .unsent = info.tcpi_notsent_bytes,
                                  .in_flight = info.tcpi_unacked };
    return 0;
}

/* Linux 4.13, when it was built with TLS: without keys the socket goes on as it is. A kernel
 * without would look for a module each time. */
static int linux_offload_tls(int fd)
{
    static atomic_bool lacks_tls; /* a fact about the machine */
    if (atomic_load_explicit(&lacks_tls, memory_order_relaxed)) {
        errno = ENOSYS;
        return -1;
    }
    int rc = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls");
    if (rc != 0 && (errno == ENOENT || errno == ENOPROTOOPT))
        atomic_store_explicit(&lacks_tls, true, memory_order_relaxed);
    return rc;
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
    .preadv_now = linux_preadv_now,
    .pwritev = posix_pwritev,
    .stat_at = linux_stat_at,
    .stat_fd = linux_stat_fd,
    .set_blocking = posix_set_blocking,
    .set_mode = posix_set_mode,
    .free_space = posix_free_space,
    .will_need = posix_will_need,
    .wont_need = posix_wont_need,
    .set_lock = posix_set_lock,
    .real_path = posix_real_path,
    .reserve = linux_reserve,
    .truncate = posix_truncate,
    .sync_data = posix_sync_data,
    .sync_many = linux_sync_many,
    .sync_folder = posix_sync_folder,
    .rename_at = posix_rename_at,
    .unlink_at = posix_unlink_at,
    .mkdir_at = posix_mkdir_at,
    .resident = linux_resident,
    .map = posix_map,
    .unmap = posix_unmap,
    .copy_into = linux_copy_into,
    .socket = linux_socket,
    .bind = posix_bind,
    .listen = posix_listen,
    .accept = linux_accept,
    .connect = posix_connect,
    .local_addr = posix_local_addr,
    .set_option = posix_set_option,
    .socket_error = posix_socket_error,
    .recvv = posix_recvv,
    .sendv = posix_sendv,
    .has_sendfile = true,
    .sendfile = linux_sendfile,
    .tcp_info = linux_tcp_info,
    .offload_tls = linux_offload_tls,
    .now_us = posix_now_us,
    .wall_ms = posix_wall_ms,
    .thread_ns = posix_thread_ns,
    .random = linux_random,
    .boot_id = linux_boot_id,
    .poller = &linux_poller,
    .notify = &linux_notify,
};
