/* sys/signals: signals, for programs only. The library changes nothing of its process.
 *
 * (Not signal.h: on BSD and macOS <signal.h> includes <sys/signal.h>, and would find this one.)
 * Call these from the main thread before others start. */
#ifndef SYS_SIGNALS_H
#define SYS_SIGNALS_H

#include "base/err.h"

/* A peer that has gone shall be an error (EPIPE), not the end of the program. sendfile has no flag
 * for that as send has. */
void sys_ignore_sigpipe(void);

/* *fd becomes readable when SIGINT, SIGTERM, SIGHUP or SIGUSR1 has arrived. Once per process at a
 * time. */
bool sys_signals_open(int *fd, struct tarn_err *err) TARN_MUST;
/* The number of the signal that arrived first, or 0 when there is none. Does not block. */
int sys_signals_read(int fd);
/* The signals do again what they did before; closes *fd and sets it to -1; accepts -1. */
void sys_signals_close(int *fd);

#endif
