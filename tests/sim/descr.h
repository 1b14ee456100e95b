/* sim/descr: descriptors of all nodes, and which poller watches them. Their numbers are none that
 * the real system gives, so a call that goes past the table fails instead of doing harm. */
#ifndef SIM_DESCR_H
#define SIM_DESCR_H

#include "node.h"

struct inode;
struct sock;

enum descr_kind { DESCR_FILE, DESCR_FOLDER, DESCR_LISTENER, DESCR_SOCKET };

struct descr {
    enum descr_kind kind;
    int fd;
    struct node *node;
    struct tarn_list in_node;

    struct inode *inode; /* files and folders; counted */
    bool can_write;
    uint64_t pos;

    struct sock *sock; /* sockets; owned until closed */
    uint16_t port;     /* listeners, and sockets that were bound */
    struct tarn_list backlog, in_listeners;
    uint32_t unsent_low;

    /* as its poller wants it */
    struct sim_poller *poller; /* NULL: not watched */
    unsigned wanted;
    void *tag;
    struct tarn_list in_ready;
};

/* NULL with EMFILE when the node has no more. */
struct descr *descr_new(struct node *n, enum descr_kind kind);
/* NULL with EBADF when there is none or it is another node's. */
struct descr *descr_of(int fd);
int descr_close(struct descr *d);

/* What it is ready for has changed, or may have: tells its poller. */
void descr_changed(struct descr *d);
unsigned descr_ready(const struct descr *d); /* SYS_READABLE, SYS_WRITABLE */

#endif
