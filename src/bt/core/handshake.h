/* bt/core/handshake: the first 68 bytes of a connection (BEP 3; reserved bits of BEP 5, 6, 10, 52).
 *
 * Pure: bytes in, answers out. Nothing here allocates, waits or asks the time. */
#ifndef BT_CORE_HANDSHAKE_H
#define BT_CORE_HANDSHAKE_H

#include "base/cur.h"
#include "base/err.h"
#include "base/out.h"
#include "bt/core/metainfo.h"

/* What every reader of this folder answers that takes bytes as they come. */
enum bt_step {
    BT_MORE,  /* nothing was taken: read more, call again with the same bytes in front */
    BT_EVENT, /* something was taken and told */
    BT_BAD,   /* err says why: close the connection */
};

enum {
    BT_HASH_LEN = 20, /* by which swarms know a torrent; v2 hashes are cut to it */
    BT_PEER_ID_LEN = 20,
    BT_HANDSHAKE_LEN = 68,
    BT_HANDSHAKE_HEAD = 48, /* up to the info-hash: an acceptor can answer after these */
};

/* What the reserved bytes say. Bits that we do not know are ignored. */
enum bt_can {
    BT_CAN_EXTEND = 1, /* BEP 10: message 20 */
    BT_CAN_FAST = 2,   /* BEP 6: messages 13 to 17 */
    BT_CAN_V2 = 4,     /* BEP 52: came with the v1 hash of a hybrid, could do v2 */
    BT_CAN_DHT = 8,    /* BEP 5: message 9 */
};

struct bt_handshake {
    uint8_t can; /* enum bt_can, or-ed */
    uint8_t hash[BT_HASH_LEN];
    uint8_t peer_id[BT_PEER_ID_LEN];
};

void bt_handshake_put(struct tarn_out *o, const struct bt_handshake *h);

/* Reading has two stages, for peers that send 48 bytes and wait: start with stage 0. */
struct bt_handshake_reader {
    uint8_t stage; /* 0: nothing read; 1: h->can and h->hash are set; 2: done */
};

/* Take the next stage. BT_EVENT: r->stage went up. A byte that no handshake could have is BT_BAD as
 * soon as it is there, so 1 to 20 bytes tell a plain handshake from an encrypted one. */
enum bt_step bt_handshake_next(struct bt_handshake_reader *r, struct tarn_cur *in,
                               struct bt_handshake *h, struct tarn_err *err) TARN_MUST;

/* "-TA0100-" and 12 random bytes. TN, our first thought, is Torrent.NET. */
void bt_peer_id_make(uint8_t id[BT_PEER_ID_LEN], const uint8_t random[12]);

/* Two connections with one peer: both sides keep the one that the lower peer id opened. True: the
 * one we opened stays. The ids differ (the same id is ourselves: close). */
bool bt_peer_id_keeps_ours(const uint8_t ours[BT_PEER_ID_LEN],
                           const uint8_t theirs[BT_PEER_ID_LEN]);

/* The hash to begin with: v1's when there is one (every client knows it), else v2's cut. */
const uint8_t *bt_swarm_hash(const struct bt_hashes *h);

/* Is `hash` one of this torrent's? *is_v2: the connection speaks v2 (messages 21 to 23). */
bool bt_handshake_is_for(const struct bt_hashes *h, const uint8_t hash[BT_HASH_LEN], bool *is_v2);

/* The acceptor's answer to a handshake for this torrent: the same hash, or the v2 one when the
 * other side offered to upgrade and we know both. *is_v2 as above. */
const uint8_t *bt_handshake_answer(const struct bt_hashes *h, const struct bt_handshake *theirs,
                                   bool *is_v2);

/* The initiator's check: is the answer for what we asked? Another hash is right only when it is the
 * v2 one of the same torrent and we sent the v1 one with BT_CAN_V2. */
bool bt_handshake_fits(const struct bt_hashes *h, const struct bt_handshake *ours,
                       const struct bt_handshake *theirs, bool *is_v2);

#endif
