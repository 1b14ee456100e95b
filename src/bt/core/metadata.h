/* bt/core/metadata: the info dictionary from peers (BEP 9): who to ask for which block, what
 * arrived, and whom to blame; and the rule for serving it.
 *
 * Peers may lie about the size, so blocks are collected for each announced size apart, at most
 * BT_META_SIZES of them, and memory is taken block by block as data arrive, up to BT_META_MEMORY.
 * When all blocks of a size are here the caller hashes them (bt_hashes_match) and says whether they
 * were right. After wrong ones that came from several peers, the next try asks one peer alone.
 *
 * Pure: the caller has the clock and sends the messages. Peers are called by small numbers that the
 * caller gives and does not reuse before bt_metadata_gone. */
#ifndef BT_CORE_METADATA_H
#define BT_CORE_METADATA_H

#include "bt/core/ext.h"

enum {
    BT_META_SIZES = 4,
    BT_META_PEERS = 64,                   /* peers that are asked; more wait until one is gone */
    BT_META_DEPTH = 4,                    /* requests at one peer at a time */
    BT_META_MEMORY = 2 * BT_INFO_MAX,     /* blocks of all sizes; joining one takes its size more */
    BT_META_TIMEOUT_US = 3 * 1000 * 1000, /* libtorrent's spacing of requests for a block */
    BT_META_REST_US = 60 * 1000 * 1000,   /* a peer that refused is not asked for so long */
    BT_META_SOLO_MISSES = 3, /* requests in a row that a peer asked alone may leave unanswered */
    BT_META_FLOOD = 2,       /* we answer so many times the number of blocks */
};

typedef uint16_t bt_peer_no;
#define BT_NO_PEER ((bt_peer_no)UINT16_MAX)

struct bt_meta_size;
struct bt_meta_peer;

struct bt_metadata {
    struct bt_meta_size *sizes[BT_META_SIZES]; /* owned; NULL when unused */
    struct bt_meta_peer *peers;                /* owned; BT_META_PEERS of them */
    uint64_t stored;                           /* bytes of blocks now held */
};

/* Allocates nothing. */
void bt_metadata_init(struct bt_metadata *md);
void bt_metadata_release(struct bt_metadata *md); /* accepts a zeroed one */

/* A peer has told the size. False: it is useless to us (size 0 or above BT_INFO_MAX: err says so;
 * or no place for it now). A peer that tells another size later is moved. */
bool bt_metadata_peer(struct bt_metadata *md, bt_peer_no peer, uint32_t size, struct tarn_err *err)
    TARN_MUST;
void bt_metadata_gone(struct bt_metadata *md, bt_peer_no peer);

/* The next block to ask of this peer now; call until false. True: send the request. */
bool bt_metadata_ask(struct bt_metadata *md, bt_peer_no peer, int64_t now_us, uint32_t *block)
    TARN_MUST;

enum bt_meta_got {
    BT_META_TAKEN,
    BT_META_IGNORED, /* not asked for, or here already: no harm */
    BT_META_WRONG,   /* asked for, but its size or length is not what was announced: close */
    BT_META_FULL,    /* taken, and all blocks of this size are here: see bt_metadata_join */
};
/* A data or reject message came. */
enum bt_meta_got bt_metadata_got(struct bt_metadata *md, bt_peer_no peer,
                                 const struct bt_meta_msg *msg, int64_t now_us);

/* When bt_metadata_ask may give more than now (a request or a rest runs out); INT64_MAX: never. */
int64_t bt_metadata_wake(const struct bt_metadata *md, int64_t now_us);

/* After BT_META_FULL: the blocks that this peer's message completed, in one run, owned by md until
 * bt_metadata_failed or release. Empty when there is no memory. */
struct tarn_bytes bt_metadata_join(struct bt_metadata *md, bt_peer_no peer);

/* They were wrong: forget them. Returns the peer that sent all of them and should be banned, or
 * BT_NO_PEER when several share the blame. */
bt_peer_no bt_metadata_failed(struct bt_metadata *md, bt_peer_no peer);

/* Is this the info dictionary of that torrent? Every hash that is known must fit. */
bool bt_hashes_match(const struct bt_hashes *h, struct tarn_bytes info);

/* Serving: what to answer to a request. *n_answered counts this peer's, from 0. size: of our
 * verified metadata, 0 when we have none. */
enum bt_meta_answer { BT_META_SEND, BT_META_REFUSE, BT_META_SILENT };
enum bt_meta_answer bt_metadata_answer(uint32_t size, uint32_t block, uint32_t *n_answered);
/* The run of info that is that block. */
struct tarn_bytes bt_metadata_block(struct tarn_bytes info, uint32_t block);

#endif
