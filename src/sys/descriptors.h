/* sys/descriptors: how many files and sockets this process may have open at once. */
#ifndef SYS_DESCRIPTORS_H
#define SYS_DESCRIPTORS_H

#include <stdint.h>

uint64_t sys_fd_limit(void);
/* Raise the limit to `want`, as far as the administrator's own limit allows; never lowers it. For
 * programs: the library changes nothing of its process. Returns the limit as it is now. */
uint64_t sys_fd_limit_raise(uint64_t want);

#endif
