/* sim/os: the table of system calls (sys/ops.h) over the simulated nodes, and their pollers. */
#ifndef SIM_OS_H
#define SIM_OS_H

#include "descr.h"

void os_install(void);
void os_remove(void);

/* For descriptors: ready for something that a poller may want; not watched any more. */
void os_offer(struct descr *d);
void os_forget(struct descr *d);
bool os_poller_has(const struct sim_poller *p); /* something to tell; accepts NULL */

/* How long the job that ran just now was, for loop_settings; arg is the node. */
int64_t os_job_took_us(void *arg);

/* Called when a file is given a name: for who wants to see what stands behind it. May be NULL. */
extern void (*os_on_rename)(struct node *n, struct inode *i, const char *to);

#endif
