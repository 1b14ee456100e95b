/* sys/posix: signals through a pipe. The same on every system: Linux's signalfd would need the
 * signals blocked, and every program started by ours would inherit that. */
#include "sys/signals.h"

#include "sys/posix/priv.h"
#include "sys/priv.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1 };

/* A handler is given nothing but a number, so what it needs is static: set before it is installed,
 * left alone until after it is gone. */
static volatile sig_atomic_t handler_end = -1;
static struct sigaction before[TARN_COUNT_OF(caught)];

static void on_signal(int number)
{
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    (void)!write(handler_end, &byte, 1); /* a full pipe has signals enough in it */
    errno = saved;
}

void sys_ignore_sigpipe(void)
{
    signal(SIGPIPE, SIG_IGN);
}

bool sys_signals_open(int *fd, struct tarn_err *err)
{
    int ends[2];
    if (handler_end >= 0)
        return tarn_fail(err, TARN_E_USAGE, "signals are caught already");
    if (!posix_pipe(ends))
        return sys_fail(err, "cannot make the pipe that signals arrive by");
    handler_end = ends[1];
    struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < TARN_COUNT_OF(caught); i++)
        sigaction(caught[i], &act, &before[i]);
    *fd = ends[0];
    return true;
}

int sys_signals_read(int fd)
{
    unsigned char number;
    ssize_t n;
    do
        n = read(fd, &number, 1);
    while (n < 0 && errno == EINTR);
    return n == 1 ? number : 0;
}

void sys_signals_close(int *fd)
{
    if (*fd < 0)
        return;
    for (size_t i = 0; i < TARN_COUNT_OF(caught); i++)
        sigaction(caught[i], &before[i], NULL);
    close(handler_end);
    handler_end = -1;
    close(*fd);
    *fd = -1;
}
