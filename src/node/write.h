/* node/write: one change of the index, asked for on a loop and told there when it is on the disk.
 */
#ifndef NODE_WRITE_H
#define NODE_WRITE_H

#include "kv/kv.h"
#include "loop/loop.h"

/* The caller's storage from node_write until done. */
struct node_write {
    /* On the index's own thread, perhaps more than once: as kv_write's run. */
    bool (*run)(struct node_write *w, struct kv_txn *t, struct tarn_err *err);
    void (*done)(struct node_write *w); /* on the loop's thread; may free w */
    bool is_ok;                         /* out */
    struct tarn_err err;                /* out, when not */
    /* private */
    struct kv_write write;
    struct loop_msg msg;
    struct loop *loop; /* NULL: not out */
    struct kv *kv;
};

void node_write(struct loop *l, struct kv *kv, struct node_write *w);
/* For an owner that goes away: waits until it is written, or is not, and done() is not called.
 * Harmless for one that is not out (or zeroed). The loop's thread. */
void node_write_cancel(struct node_write *w);

#endif
