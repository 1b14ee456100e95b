/* sys/priv: what the common files of this room and its systems' folders share. */
#ifndef SYS_PRIV_H
#define SYS_PRIV_H

#include "sys/file.h"
#include "sys/net.h"

#include <sys/socket.h>

/* As tarn_fail_sys, and a limit on open files says what it is and how to raise it (TARN_E_POLICY).
 */
bool sys_fail(struct tarn_err *err, const char *fmt, ...) TARN_PRINTF(2, 3);
/* As sys_fail, and what the code cannot place is TARN_E_NETWORK: for peers. */
bool sys_fail_net(struct tarn_err *err, const char *fmt, ...) TARN_PRINTF(2, 3);

struct sys_sockaddr {
    struct sockaddr_storage s;
    unsigned len;
};
void sys_to_sockaddr(struct sys_sockaddr *to, const struct sys_addr *from);
bool sys_from_sockaddr(struct sys_addr *to, const struct sys_sockaddr *from);

/* Each system's own: */

uint32_t sys_scope_of(const char *interface); /* 0: no such interface */

/* Options that every socket of ours has; what the system refuses we do without. */
void sys_tune_tcp(int fd);
void sys_tune_listener(int fd, bool is_v6);

#endif
