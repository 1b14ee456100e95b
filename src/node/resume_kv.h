/* node/resume_kv: bt/resume.h's interface over a table of the node's index: what the torrents of a
 * node remember, in the one file that it keeps.
 *
 *     'r' name 0 be32        the record, in runs of at most 256 KiB
 *     'n' name 0 be64 be64   notes: generation, place within it
 *     't' name 0 be32        a torrent file, in runs
 *
 * Every call waits for the commit that holds what it wrote, so a note too is on the disk when it
 * returns: more than the interface asks for, at the price of a sync, which all that write at the
 * same time share. A record and the end of its older notes are one write, all or nothing.
 *
 * Slots are kept from being opened twice within the process; that no other process has them is what
 * the lock of the node's state folder is for. */
#ifndef NODE_RESUME_KV_H
#define NODE_RESUME_KV_H

#include "bt/resume.h"
#include "kv/kv.h"

/* kv is borrowed, table is its place in the store's list. The table is for this alone. */
struct node_resume_kv;
struct node_resume_kv *node_resume_kv_new(struct kv *kv, unsigned table, struct tarn_err *err)
    TARN_MUST;
void node_resume_kv_free(struct node_resume_kv *r);   /* no slot may be open; accepts NULL */
extern const struct bt_resume_ops node_resume_kv_ops; /* arg: the struct */

#endif
