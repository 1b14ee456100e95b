/* loop/resolve: host names to addresses without stopping the loop. */
#ifndef LOOP_RESOLVE_H
#define LOOP_RESOLVE_H

#include "loop/pool.h"
#include "sys/net.h"

enum { LOOP_RESOLVE_MAX = 16 };

struct loop_resolve {
    struct loop_job job; /* private */
    char host[256];
    uint16_t port;
    struct sys_addr addrs[LOOP_RESOLVE_MAX];
    size_t n;
    bool ok;
    struct tarn_err err;
    void (*done)(struct loop_resolve *r);
    void *arg; /* the caller's */
};

/* host is a name or a numeric address; longer than 255 bytes is an error given to done. */
void loop_resolve_start(struct loop *l, struct loop_resolve *r, struct tarn_bytes host,
                        uint16_t port);

/* Take it back: done is not called any more. */
void loop_resolve_cancel(struct loop *l, struct loop_resolve *r);

#endif
