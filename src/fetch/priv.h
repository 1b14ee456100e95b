/* fetch/priv: what the files of this room share. */
#ifndef FETCH_PRIV_H
#define FETCH_PRIV_H

#include "fetch/fetch.h"
#include "sys/net.h"

/* For tests, which have local addresses only: what counts as local. Before the first fetch_start.
 */
void fetcher_set_local(struct fetcher *f, bool (*is_local)(const struct sys_addr *a));

#endif
