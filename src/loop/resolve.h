/* loop/resolve: host names to addresses without stopping the loop.
 *
 * A look-up can take the system many seconds, so it runs on threads of its own, started with the
 * first one: the pool goes on reading and hashing. */
#ifndef LOOP_RESOLVE_H
#define LOOP_RESOLVE_H

#include "loop/pool.h"
#include "sys/net.h"

enum { LOOP_RESOLVE_MAX = 16 };

struct loop_lookup;

struct loop_resolve {
    void (*done)(struct loop_resolve *r);    /* may free or reuse r */
    void *arg;                               /* the caller's */
    struct sys_addr addrs[LOOP_RESOLVE_MAX]; /* out */
    size_t n;                                /* out: at least 1 when ok */
    bool ok;                                 /* out */
    struct tarn_err err;                     /* out: when not ok */
    /* private */
    struct loop_lookup *lookup; /* under way; outlives a cancelled request */
    bool is_refused;            /* msg is posted */
    struct loop_msg msg;
};

/* host is a name or a numeric address; longer than 255 bytes is an error given to done, which is
 * always called later, from the loop. */
void loop_resolve_start(struct loop *l, struct loop_resolve *r, struct tarn_bytes host,
                        uint16_t port);
/* Take it back: done is not called any more. Does not wait; harmless when not started. */
void loop_resolve_cancel(struct loop *l, struct loop_resolve *r);

#endif
