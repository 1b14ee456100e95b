/* sys/net: TCP sockets, through the table. */
#include "sys/net.h"

#include "base/num.h"
#include "sys/ops.h"
#include "sys/priv.h"

#include <assert.h>
#include <errno.h>
#include <sys/uio.h>

static int open_socket(bool is_v6)
{
    int fd = sys_ops->socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM);
    if (fd >= 0)
        sys_tune_tcp(fd);
    return fd;
}

static const char *listen_hint(int number)
{
    switch (number) {
    case EADDRINUSE:
        return " (another program uses this port: stop it, or choose another port)";
    case EACCES:
        return " (ports below 1024 need a privilege: choose a higher one)";
    case EADDRNOTAVAIL:
        return " (no interface of this machine has this address)";
    case EAFNOSUPPORT:
        return " (this system has that kind of address switched off)";
    default:
        return "";
    }
}

int sys_tcp_listen(const struct sys_addr *at, struct tarn_err *err)
{
    struct sys_sockaddr raw;
    sys_to_sockaddr(&raw, at);
    SYS_AUTO_FD fd = open_socket(at->is_v6);
    if (fd >= 0)
        sys_tune_listener(fd, at->is_v6);
    if (fd >= 0 && sys_ops->bind(fd, (struct sockaddr *)&raw.s, raw.len) == 0 &&
        sys_ops->listen(fd, SOMAXCONN) == 0)
        return sys_take_fd(&fd);
    int number = errno;
    struct sys_addr_text text;
    sys_addr_text(&text, at);
    errno = number;
    sys_fail(err, "cannot listen on %s%s", text.s, listen_hint(number));
    return -1;
}

int sys_tcp_connect(const struct sys_addr *to, struct tarn_err *err)
{
    struct sys_sockaddr raw;
    sys_to_sockaddr(&raw, to);
    SYS_AUTO_FD fd = open_socket(to->is_v6);
    if (fd >= 0) {
        /* interrupted, it goes on all the same */
        if (sys_ops->connect(fd, (struct sockaddr *)&raw.s, raw.len) == 0 || errno == EINPROGRESS ||
            errno == EINTR)
            return sys_take_fd(&fd);
    }
    int number = errno;
    struct sys_addr_text text;
    sys_addr_text(&text, to);
    errno = number;
    sys_fail_net(err, "cannot connect to %s", text.s);
    return -1;
}

bool sys_connect_done(int fd, struct tarn_err *err)
{
    int number = sys_ops->socket_error(fd);
    if (number == 0)
        return true;
    errno = number;
    return sys_fail_net(err, "cannot connect");
}

/* A connection that ended before we took it, or an error of the network that Linux reports here
 * (accept(2)): nothing is wrong with the listener, and the next one may be waiting already. */
static bool is_of_one_connection(int number)
{
    switch (number) {
    case ECONNABORTED:
    case EPROTO:
    case EPERM: /* a firewall's word */
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ETIMEDOUT:
#ifdef ENONET
    case ENONET:
#endif
        return true;
    default:
        return false;
    }
}

static bool is_again(int number)
{
#if EAGAIN != EWOULDBLOCK
    if (number == EWOULDBLOCK)
        return true;
#endif
    return number == EAGAIN;
}

enum sys_io sys_tcp_accept(int listener, int *fd, struct sys_addr *from, struct tarn_err *err)
{
    struct sys_sockaddr raw = { 0 };
    int made;
    do {
        raw.len = sizeof raw.s;
        made = sys_ops->accept(listener, (struct sockaddr *)&raw.s, &raw.len);
    } while (made < 0 && errno == EINTR);
    if (made < 0 && (is_again(errno) || is_of_one_connection(errno)))
        return SYS_IO_AGAIN;
    if (made < 0) {
        sys_fail_net(err, "cannot take a connection");
        return SYS_IO_FAIL;
    }
    struct sys_addr addr;
    if (!sys_from_sockaddr(&addr, &raw)) { /* BSD: gone already */
        sys_close(&made);
        return SYS_IO_AGAIN;
    }
    sys_tune_tcp(made);
    *fd = made;
    *from = addr;
    return SYS_IO_DONE;
}

bool sys_local_addr(int fd, struct sys_addr *addr, struct tarn_err *err)
{
    struct sys_sockaddr raw = { 0 };
    raw.len = sizeof raw.s;
    if (sys_ops->local_addr(fd, (struct sockaddr *)&raw.s, &raw.len) != 0)
        return tarn_fail_sys(err, "cannot tell a socket's own address");
    return sys_from_sockaddr(addr, &raw) ||
           tarn_fail(err, TARN_E_FAILED, "a socket's own address is neither IPv4 nor IPv6");
}

enum sys_io sys_recv(int fd, const struct sys_buf *bufs, size_t n, size_t *got,
                     struct tarn_err *err)
{
    struct iovec iov[16]; /* a loop's few buffers; more are filled by the next call */
    int count = 0;
    for (size_t i = 0; i < n && count < (int)TARN_COUNT_OF(iov); i++)
        if (bufs[i].len > 0)
            iov[count++] = (struct iovec){ bufs[i].p, bufs[i].len };
    assert(count > 0); /* or else no bytes would look like the end */
    ssize_t len;
    do
        len = sys_ops->recvv(fd, iov, count);
    while (len < 0 && errno == EINTR);
    if (len < 0 && is_again(errno))
        return SYS_IO_AGAIN;
    if (len < 0) {
        sys_fail_net(err, "cannot receive");
        return SYS_IO_FAIL;
    }
    if (len == 0)
        return SYS_IO_END;
    *got = (size_t)len;
    return SYS_IO_DONE;
}

bool sys_tcp_info(int fd, struct sys_tcp_info *out)
{
    struct sys_tcp_info info;
    if (sys_ops->tcp_info(fd, &info) != 0)
        return false;
    *out = info;
    return true;
}

bool sys_offload_tls(int fd)
{
    return sys_ops->offload_tls(fd) == 0;
}
