/* sys/clock: time and chance. */
#ifndef SYS_CLOCK_H
#define SYS_CLOCK_H

#include "base/err.h"

int64_t sys_now_us(void);  /* monotonic */
int64_t sys_wall_ms(void); /* since 1970, UTC */
/* Processor time, ours and the system's, that the calling thread has used. */
int64_t sys_thread_ns(void);

/* Which start of this machine it is: a text that no other start has, or "" where the system cannot
 * tell. Returns dst. */
struct sys_boot {
    char s[64];
};
const char *sys_boot_id(struct sys_boot *dst);

/* Bytes nobody can guess. */
bool sys_random(void *p, size_t len, struct tarn_err *err) TARN_MUST;

#endif
