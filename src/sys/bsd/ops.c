/* sys/bsd: the native table of FreeBSD, NetBSD, OpenBSD and macOS: the plain one, and what differs.
 * Not compiled by anybody yet. To do then: kqueue for the poller; sendfile, whose arguments differ
 * on FreeBSD and macOS, with the header in its own struct, for there is no MSG_MORE. */
#include "sys/posix/priv.h"

#include <stdlib.h>

static int bsd_random(void *p, size_t len)
{
    arc4random_buf(p, len);
    return 0;
}

/* On macOS fsync and fdatasync leave the data in the disk's own memory. */
static int bsd_sync(int fd)
{
#ifdef F_FULLFSYNC
    if (fcntl(fd, F_FULLFSYNC) == 0)
        return 0; /* network file systems refuse it */
#endif
    return posix_sync_folder(fd);
}

const struct sys_ops sys_ops_native = {
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
    .sync_data = bsd_sync,
    .sync_many = posix_sync_many,
    .sync_folder = bsd_sync,
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
    .random = bsd_random,
    .boot_id = posix_boot_id,
    .poller = &posix_poller,
};
