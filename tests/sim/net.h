/* sim/net: TCP between the nodes.
 *
 * Each node has a line with a rate up and a rate down and a way to the middle of the net; every
 * connection is two flows of bytes. A node's flows take turns on its line in segments of at most 5
 * ms (so that they share it as TCP's do in the long run); a segment arrives after the latency of
 * both ends, when the receiver's line is free, and never before the one in front of it. A lost one
 * comes a retransmission later, and holds up what is behind it. What the receiver has not read is
 * limited by a window. There is no congestion control besides: lines are shared fairly and at once.
 *
 * A node that is not reached (off, suspended, on another island) is tried again after 1, 2, 4, ...
 * 60 s, as TCP does, and given up after fifteen minutes. A process that ends closes its
 * connections; a machine that loses its power says nothing, and answers with a reset when it is
 * back. */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "descr.h"
#include "sys/net.h"

#include <sys/socket.h>

struct iovec;

void net_init_line(struct node *n);

/* As the calls of POSIX: -1 and errno. */
int net_bind(struct descr *d, const struct sockaddr *addr);
int net_listen(struct descr *d);
struct descr *net_accept(struct descr *d, struct sockaddr *from, unsigned *len);
int net_connect(struct descr *d, const struct sockaddr *to);
int net_local_addr(const struct descr *d, struct sockaddr *addr, unsigned *len);
int net_take_error(struct descr *d);
ssize_t net_recv(struct sock *s, const struct iovec *iov, int n);
ssize_t net_send(struct sock *s, const struct iovec *iov, int n);
/* Room for at most len bytes of a socket's flow; write fills them. Returns as net_send. */
ssize_t net_send_by(struct sock *s, size_t len, void (*write)(void *arg, uint8_t *to, size_t len),
                    void *arg);

void net_close(struct sock *s);
void net_close_listener(struct descr *d);
unsigned net_ready(const struct sock *s);
void net_tell(const struct sock *s, struct sys_tcp_info *out);
bool net_has_ended(const struct sock *s); /* by an error: pollers tell that unasked */
unsigned net_listener_ready(const struct descr *d);

/* Its machine loses its power: nobody is told. Else sockets are closed one by one. */
void net_vanish(struct node *n);
/* Cut a connection of this node by chance, as a line of a provider does: both ends see a reset.
 * False when it has none. */
bool net_cut_one(struct node *n);
bool net_reaches(const struct node *a, const struct node *b);
/* Who has this address; given by whoever makes the nodes. */
extern struct node *(*net_node_of)(uint32_t ip);

#endif
