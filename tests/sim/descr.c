/* sim/descr: see the header. The table lives as long as the program; a number is used again only
 * long after it was closed, so that a late use of one shows. */
#include "descr.h"

#include "base/mem.h"
#include "disk.h"
#include "net.h"
#include "os.h"

#include <errno.h>

enum { FIRST_FD = 1 << 24, SLOTS = 1 << 20 };

static struct descr *table[SLOTS];
static unsigned next_slot;

static unsigned free_slot(void)
{
    while (table[next_slot % SLOTS] != NULL)
        next_slot++;
    return next_slot++ % SLOTS;
}

struct descr *descr_new(struct node *n, enum descr_kind kind)
{
    if (n->n_descrs >= n->descr_limit) {
        errno = EMFILE;
        return NULL;
    }
    unsigned slot = free_slot();
    struct descr *d = sim_alloc(1, sizeof *d);
    *d = (struct descr){ .kind = kind, .fd = FIRST_FD + (int)slot, .node = n };
    tarn_list_init(&d->backlog);
    tarn_list_push_back(&n->descrs, &d->in_node);
    n->n_descrs++;
    table[slot] = d;
    return d;
}

struct descr *descr_of(int fd)
{
    struct descr *d = fd < FIRST_FD || fd >= FIRST_FD + SLOTS ? NULL : table[fd - FIRST_FD];
    if (d == NULL || d->node != node_now()) {
        errno = EBADF;
        return NULL;
    }
    return d;
}

int descr_close(struct descr *d)
{
    switch (d->kind) {
    case DESCR_FILE:
    case DESCR_FOLDER:
        inode_unref(d->inode);
        break;
    case DESCR_LISTENER:
        net_close_listener(d);
        break;
    case DESCR_SOCKET:
        if (d->sock != NULL)
            net_close(d->sock);
        break;
    }
    os_forget(d);
    tarn_list_remove(&d->in_node);
    d->node->n_descrs--;
    table[d->fd - FIRST_FD] = NULL;
    tarn_free(d);
    return 0;
}

unsigned descr_ready(const struct descr *d)
{
    switch (d->kind) {
    case DESCR_LISTENER:
        return net_listener_ready(d);
    case DESCR_SOCKET:
        return d->sock == NULL ? 0 : net_ready(d->sock);
    case DESCR_FILE:
    case DESCR_FOLDER:
        break;
    }
    return 0;
}

void descr_changed(struct descr *d)
{
    if (d->poller != NULL)
        os_offer(d);
}
