/* For tests: two ends of a TCP connection over loopback. */
#ifndef SYS_TEST_WIRE_H
#define SYS_TEST_WIRE_H

#include "sys/net.h"
#include "sys/test/room.h"

#include <poll.h>

struct wire {
    int a, b;
};

static inline void wire_wait(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    assert_int_equal(poll(&p, 1, 10000), 1);
}

static inline struct wire wire_open(bool is_v6)
{
    struct wire w;
    struct sys_addr at = sys_addr_any(is_v6, 0), from;
    at.ip[is_v6 ? 15 : 3] = 1;
    if (!is_v6)
        at.ip[0] = 127;
    int listener = sys_tcp_listen(&at, NULL);
    assert_true(listener >= 0);
    assert_true(sys_local_addr(listener, &at, NULL));
    assert_int_equal(sys_tcp_accept(listener, &w.b, &from, NULL), SYS_IO_AGAIN);
    w.a = sys_tcp_connect(&at, NULL);
    assert_true(w.a >= 0);
    wire_wait(w.a, POLLOUT);
    assert_true(sys_connect_done(w.a, NULL));
    wire_wait(listener, POLLIN);
    assert_int_equal(sys_tcp_accept(listener, &w.b, &from, NULL), SYS_IO_DONE);
    sys_close(&listener);
    struct sys_addr mine;
    assert_true(sys_local_addr(w.a, &mine, NULL));
    assert_true(sys_addr_eq(&mine, &from));
    return w;
}

static inline void wire_close(struct wire *w)
{
    sys_close(&w->a);
    sys_close(&w->b);
}

#endif
