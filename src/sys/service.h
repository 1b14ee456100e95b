/* sys/service: being a service: what a manager such as systemd hands to a process, and what it
 * wants to be told. Its protocols are plain (sd_notify(3), sd_listen_fds(3)), so its library is not
 * needed. For programs: all of it goes by the environment. */
#ifndef SYS_SERVICE_H
#define SYS_SERVICE_H

#include "base/err.h"

#include <stdint.h>

/* Sockets that listen already: LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES. From now on they are
 * close-on-exec and non-blocking, and the caller's. */
enum { SYS_INHERITED_MAX = 32, SYS_INHERITED_NAME_MAX = 255 };
struct sys_inherited {
    int fd;
    char name[SYS_INHERITED_NAME_MAX + 1]; /* "unknown" when it has none */
};
/* How many there are for this process; 0 too when somebody asked before. False: the variables make
 * no sense (TARN_E_USAGE), or a descriptor is not open or more than SYS_INHERITED_MAX. */
bool sys_inherited(struct sys_inherited *to, size_t *n, struct tarn_err *err) TARN_MUST;

/* Tell $NOTIFY_SOCKET, when there is one: "READY=1\nSTATUS=...". Never waits. False: it could not
 * be told; without such a socket all is fine. */
bool sys_notify(const char *text, struct tarn_err *err) TARN_MUST;
/* How often the manager wants to hear WATCHDOG=1 ($WATCHDOG_USEC, $WATCHDOG_PID); 0: not at all. */
int64_t sys_watchdog_us(void);

/* Is fd what $JOURNAL_STREAM names: does the journal read it? */
bool sys_is_journal(int fd);

uint64_t sys_pid(void);

#endif
