/* node/torrents: what was added: torrents that this node fetches and then seeds. They are kept in
 * the index, and are there again after a restart; so is whether they are paused.
 *
 * All calls belong to the thread of the loop. A change is told when it is on the disk. */
#ifndef NODE_TORRENTS_H
#define NODE_TORRENTS_H

#include "bt/session.h"
#include "kv/kv.h"
#include "node/write.h"

enum {
    NODE_TORRENTS_MAX = 1000000,
    NODE_FOLDER_MAX = 4095,
};

struct node_torrents;

struct node_torrent {
    uint32_t id; /* given once, never again */
    bool is_paused;
    int64_t added_ms;      /* since 1970 */
    const char *folder;    /* what it is fetched into */
    struct bt_torrent *bt; /* NULL: the session refused it, failure says why */
    const struct bt_hashes *hashes;
    const char *name; /* of the torrent, or what the magnet link calls it; "" when not known */
    bool is_complete;
    const char *failure; /* why it cannot go on; NULL: it goes on */
};

enum node_torrent_event {
    NODE_TORRENT_ADDED,
    NODE_TORRENT_KNOWN, /* its metadata are here */
    NODE_TORRENT_COMPLETE,
    NODE_TORRENT_FAILED,
    NODE_TORRENT_PAUSED,
    NODE_TORRENT_RESUMED,
    NODE_TORRENT_REMOVED, /* told before it goes */
};

struct node_torrents_settings {
    struct loop *loop;
    struct kv *kv;
    unsigned table; /* of ours in it: see NODE_TORRENTS_TABLE */
    struct bt_session *bt;
    bool no_trackers;        /* none is asked */
    struct fetcher *fetcher; /* for URLs; NULL: they are refused */
    const char *downloads;   /* the folder where none is said; copied */
    void (*on_event)(void *arg, const struct node_torrent *t, enum node_torrent_event e);
    void *arg;
};
#define NODE_TORRENTS_TABLE "torrent"

/* Reads all of them and adds them to the session. One that the session refuses is there with its
 * failure. */
struct node_torrents *node_torrents_new(const struct node_torrents_settings *set,
                                        struct tarn_err *err) TARN_MUST;
/* Takes them out of the session. No ask may be under way. Accepts NULL. */
void node_torrents_free(struct node_torrents *ts);

/* The one with the smallest id above after (0: the first). NULL: no more. */
const struct node_torrent *node_torrents_next(const struct node_torrents *ts, uint32_t after);
const struct node_torrent *node_torrents_get(const struct node_torrents *ts, uint32_t id);
/* By v1 (20 bytes) or v2 (32 bytes) info-hash. */
const struct node_torrent *node_torrents_hashed(const struct node_torrents *ts,
                                                struct tarn_bytes hash);
size_t node_torrents_count(const struct node_torrents *ts);
/* Of bt_torrent_arg of a torrent of ours. */
const struct node_torrent *node_torrent_of(void *arg);

/* Something asked of them: the caller's storage until done, which is called later, on the loop. */
struct node_torrent_ask {
    void (*done)(struct node_torrent_ask *a);
    /* of node_torrents_add: exactly one of these three; borrowed until done */
    const char *magnet, *url;
    struct tarn_bytes torrent;
    const char *folder; /* absolute; NULL: the usual one. Borrowed until done */
    bool is_paused;
    /* out */
    bool is_ok;
    struct tarn_err err;
    const struct node_torrent *result; /* NULL after a removal */
    bool is_new;                       /* false: it was here already */
    bool is_malformed;                 /* not is_ok: what was given is no torrent, or no link */
    /* private */
    struct node_torrents *torrents;
    struct tarn_list node;
    struct node_write write;
    struct fetch fetch;
    uint32_t id;
    struct tarn_bytes source; /* of the record: torrent or magnet */
    bool is_magnet;
    int64_t added_ms;
    struct bt_hashes hashes;
};
void node_torrents_add(struct node_torrents *ts, struct node_torrent_ask *a);
void node_torrents_pause(struct node_torrents *ts, uint32_t id, bool is_paused,
                         struct node_torrent_ask *a);
/* Forget it; files stay. */
void node_torrents_remove(struct node_torrents *ts, uint32_t id, struct node_torrent_ask *a);

#endif
