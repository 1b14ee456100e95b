/* node/sockets: the sockets that a node's doors listen on: handed over by systemd (named http,
 * admin or control), else made here. All are bound before anything else is opened, so that a port
 * that is taken is said at once. */
#ifndef NODE_SOCKETS_H
#define NODE_SOCKETS_H

#include "node/config.h"
#include "sys/service.h"

enum node_door { NODE_DOOR_HTTP, NODE_DOOR_ADMIN, NODE_DOOR_CONTROL, NODE_DOORS };

struct node_socket {
    int fd; /* -1: given away */
    enum node_door door;
    bool is_inherited;
};
struct node_sockets {
    struct node_socket all[2 * NODE_CONFIG_ADDRS_MAX + SYS_INHERITED_MAX];
    size_t n;
};

/* A door that systemd has sockets for takes those alone, whatever is configured. takes_inherited:
 * the process is a service. admin_usual: where the admin door listens when admin.listen is built
 * in; NULL: nowhere. TARN_E_USAGE, with who to ask when a port is taken. */
bool node_sockets_open(struct node_sockets *s, const struct node_config *c, bool takes_inherited,
                       const struct sys_addr *admin_usual, struct tarn_err *err) TARN_MUST;
void node_sockets_release(struct node_sockets *s); /* accepts a zeroed one */

#endif
