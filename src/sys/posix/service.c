/* sys/posix: services: see sys/service.h. */
#include "sys/service.h"

#include "base/bytes.h"
#include "base/num.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_FD = 3 }; /* sd_listen_fds(3) */

static bool number_of(const char *variable, uint64_t max, uint64_t *n)
{
    const char *text = getenv(variable);
    return text != NULL && tarn_parse_u64(tarn_bytes_str(text), max, n);
}

uint64_t sys_pid(void)
{
    return (uint64_t)getpid();
}

static bool take_over(int fd, struct tarn_err *err)
{
    int flags = fcntl(fd, F_GETFD), status = fcntl(fd, F_GETFL);
    if (flags < 0 || status < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) != 0 ||
        fcntl(fd, F_SETFL, status | O_NONBLOCK) != 0)
        return tarn_fail(
            err, TARN_E_USAGE,
            "LISTEN_FDS says that descriptor %d is a socket for us, and it is not open", fd);
    return true;
}

static void take_name(struct sys_inherited *one, const char **names)
{
    size_t len = *names == NULL ? 0 : strcspn(*names, ":");
    bool fits = len > 0 && len <= SYS_INHERITED_NAME_MAX;
    snprintf(one->name, sizeof one->name, "%.*s", fits ? (int)len : 7, fits ? *names : "unknown");
    if (*names != NULL)
        *names += len + ((*names)[len] == ':');
}

bool sys_inherited(struct sys_inherited *to, size_t *n, struct tarn_err *err)
{
    uint64_t pid, count;
    const char *names = getenv("LISTEN_FDNAMES");
    *n = 0;
    if (getenv("LISTEN_FDS") == NULL || !number_of("LISTEN_PID", UINT64_MAX, &pid) ||
        pid != sys_pid())
        return true; /* meant for another process, says the manual */
    if (!number_of("LISTEN_FDS", SYS_INHERITED_MAX, &count))
        return tarn_fail(err, TARN_E_USAGE, "LISTEN_FDS wants a number from 0 to %d",
                         SYS_INHERITED_MAX);
    for (size_t i = 0; i < count; i++) {
        to[i].fd = FIRST_FD + (int)i;
        take_name(&to[i], &names);
        if (!take_over(to[i].fd, err))
            return false;
    }
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    *n = (size_t)count;
    return true;
}

bool sys_notify(const char *text, struct tarn_err *err)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path == NULL ? 0 : strlen(path);
    if (len == 0)
        return true;
    if ((path[0] != '/' && path[0] != '@') || len >= sizeof to.sun_path)
        return tarn_fail(err, TARN_E_USAGE, "NOTIFY_SOCKET is no address of a Unix socket");
    memcpy(to.sun_path, path, len);
    if (path[0] == '@')
        to.sun_path[0] = 0;
    SYS_AUTO_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, size) < 0)
        return tarn_fail_sys(err, "cannot tell the service manager how things are");
    return true;
}

int64_t sys_watchdog_us(void)
{
    uint64_t us, pid;
    if (!number_of("WATCHDOG_USEC", INT64_MAX, &us))
        return 0;
    return number_of("WATCHDOG_PID", UINT64_MAX, &pid) && pid != sys_pid() ? 0 : (int64_t)us;
}

bool sys_is_journal(int fd)
{
    const char *text = getenv("JOURNAL_STREAM");
    struct sys_stat st;
    char is[64];
    if (text == NULL || !sys_stat_fd(fd, &st, NULL))
        return false;
    snprintf(is, sizeof is, "%llu:%llu", (unsigned long long)st.dev, (unsigned long long)st.ino);
    return strcmp(text, is) == 0;
}
