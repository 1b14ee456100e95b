/* node/singles: published files as torrents of their own.
 *
 * Each file's sibling torrent (<file>.torrent) has an info-hash of its own. Whoever got one from
 * the web door may look for it here at any time later, so the door notes the hash in the index when
 * it hands one out. A peer that comes with such a hash waits while its torrent is derived and added
 * to the session. At most SINGLES_MAX are live at a time: those that have peers or were asked for
 * last, by the door or by a peer; what is forgotten so comes again with the next peer.
 *
 * What is noted stays until it leads nowhere: it is deleted when somebody looks for it and its file
 * has gone or is another, and with its collection (one that is removed while no node_singles is
 * there leaves it until it is looked for). */
#ifndef NODE_SINGLES_H
#define NODE_SINGLES_H

#include "bt/session.h"
#include "catalog/catalog.h"
#include "node/derived.h"
#include "sys/thread.h"

enum { SINGLES_MAX = 1000, SINGLES_ASKED_MAX = 16, SINGLES_HASH = 20 };

struct node_singles;

struct node_singles_settings {
    struct loop *loop;
    struct kv *kv;  /* the catalog's index */
    unsigned table; /* of ours in it: NODE_SINGLES_TABLE */
    struct catalog *catalog;
    struct bt_session *bt;
    size_t max; /* live at a time; 0: SINGLES_MAX */
    bool no_trackers;
    struct derived_from from; /* borrowed */
};
#define NODE_SINGLES_TABLE "single"

struct node_singles *node_singles_new(const struct node_singles_settings *set, struct tarn_err *err)
    TARN_MUST;
/* Waits for jobs. Accepts NULL. */
void node_singles_free(struct node_singles *s);

/* Any thread that may wait for a disk, without a read open: note the torrent of a file. Nothing is
 * written when a file with the same torrent is noted and still there. */
bool node_singles_note(struct kv *kv, unsigned table, struct catalog *catalog,
                       const struct bt_hashes *hashes, uint32_t collection, struct tarn_bytes path,
                       struct tarn_err *err) TARN_MUST;

/* The loop's thread: somebody asks for this info-hash (v2: its first 20 bytes). When it was noted,
 * it is made live soon. True: it is live, or being looked for. Calls nothing of the session. */
bool node_singles_want(struct node_singles *s, const uint8_t hash[SINGLES_HASH]);
/* Is it being looked for now? */
bool node_singles_is_wanted(const struct node_singles *s, const uint8_t hash[SINGLES_HASH]);
/* The catalog's journal has grown: what is of a file that has changed goes. */
void node_singles_look(struct node_singles *s);
size_t node_singles_count(const struct node_singles *s);

/* What other threads want to be looked for, on its way to the loop. No more than can be asked for
 * at a time: what finds no room is wanted again by the first peer. */
struct node_wants {
    struct loop *loop;
    void (*on_want)(struct node_wants *w, const uint8_t hash[SINGLES_HASH]); /* on the loop */
    struct sys_lock lock;                                                    /* of what follows */
    struct loop_msg msg; /* out when n is not 0 */
    size_t n;
    uint8_t hashes[SINGLES_ASKED_MAX][SINGLES_HASH];
};
void node_wants_init(struct node_wants *w, struct loop *loop,
                     void (*on_want)(struct node_wants *w, const uint8_t hash[SINGLES_HASH]));
/* When no thread can put any more, and the loop has gone or does not run again. Accepts a zeroed
 * one. */
void node_wants_release(struct node_wants *w);
void node_wants_put(struct node_wants *w, const uint8_t hash[SINGLES_HASH]); /* any thread */

#endif
