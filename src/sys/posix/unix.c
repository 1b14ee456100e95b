/* sys/posix: Unix sockets, and sockets that somebody else made. */
#include "base/num.h"
#include "sys/net.h"
#include "sys/ops.h"
#include "sys/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Does nobody listen there? Its file is left over from a program that was killed. */
static bool is_left_over(const struct sockaddr_un *at)
{
    struct stat st;
    if (lstat(at->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    SYS_AUTO_FD fd = sys_ops->socket(AF_UNIX, SOCK_STREAM);
    return fd >= 0 && sys_ops->connect(fd, (const struct sockaddr *)at, sizeof *at) != 0 &&
           errno == ECONNREFUSED;
}

/* The mode is set before it listens: until then nobody can connect, whatever the umask left. */
static bool bind_and_listen(int fd, const struct sockaddr_un *at, unsigned mode)
{
    return sys_ops->bind(fd, (const struct sockaddr *)at, sizeof *at) == 0 &&
           chmod(at->sun_path, (mode_t)mode) == 0 && sys_ops->listen(fd, SOMAXCONN) == 0;
}

int sys_unix_listen(const char *path, unsigned mode, struct tarn_err *err)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    struct tarn_quote q;
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof at.sun_path) {
        (void)tarn_fail(err, TARN_E_USAGE,
                        "cannot listen on the Unix socket '%s': a path of a socket has 1 to %zu "
                        "bytes (choose a shorter folder)",
                        tarn_quote_str(&q, path), sizeof at.sun_path - 1);
        return -1;
    }
    memcpy(at.sun_path, path, len);
    SYS_AUTO_FD fd = sys_ops->socket(AF_UNIX, SOCK_STREAM);
    if (fd >= 0 && bind_and_listen(fd, &at, mode))
        return sys_take_fd(&fd);
    if (fd >= 0 && errno == EADDRINUSE) {
        if (is_left_over(&at) && unlink(path) == 0 && bind_and_listen(fd, &at, mode))
            return sys_take_fd(&fd);
        errno = EADDRINUSE;
    }
    int number = errno;
    tarn_quote_str(&q, path);
    errno = number;
    sys_fail(err, "cannot listen on the Unix socket '%s'%s", q.s,
             number == EADDRINUSE ? " (another program listens there, or it is no socket)" : "");
    return -1;
}

bool sys_adopt_listener(int fd, struct tarn_err *err)
{
    int listens = 0, type = 0;
    socklen_t len = sizeof listens;
    struct sys_sockaddr raw = { .len = sizeof raw.s };
    int flags = fcntl(fd, F_GETFL), kept = fcntl(fd, F_GETFD);
    if (flags < 0 || kept < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0)
        return tarn_fail_sys(err, "descriptor %d that was handed to us is no socket", fd);
    len = sizeof type;
    bool is_stream = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
    struct sys_addr at;
    bool is_ours = sys_ops->local_addr(fd, (struct sockaddr *)&raw.s, &raw.len) == 0 &&
                   sys_from_sockaddr(&at, &raw);
    if (listens == 0 || !is_stream || !is_ours)
        return tarn_fail(err, TARN_E_USAGE,
                         "descriptor %d that was handed to us is no TCP or Unix socket that "
                         "listens (ListenStream= in a socket unit makes one)",
                         fd);
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, kept | FD_CLOEXEC) != 0)
        return tarn_fail_sys(err, "cannot take descriptor %d over", fd);
    return true;
}

int sys_dup(int fd, struct tarn_err *err)
{
    int made = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (made < 0)
        sys_fail(err, "cannot share a socket");
    return made;
}

bool sys_peer_user(int fd, unsigned *uid, unsigned *gid)
{
    struct sys_sockaddr raw = { .len = sizeof raw.s };
    if (sys_ops->local_addr(fd, (struct sockaddr *)&raw.s, &raw.len) != 0 ||
        raw.s.ss_family != AF_UNIX)
        return false;
#ifdef SO_PEERCRED
    struct ucred who;
    socklen_t len = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
        return false;
    *uid = who.uid;
    *gid = who.gid;
#else
    uid_t u;
    gid_t g;
    if (getpeereid(fd, &u, &g) != 0)
        return false;
    *uid = u;
    *gid = g;
#endif
    return true;
}

void sys_shutdown_write(int fd)
{
    (void)shutdown(fd, SHUT_WR); /* ENOTCONN: it has ended by itself */
}
