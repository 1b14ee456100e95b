/* bt/core/handshake: see the header. The reserved bits are a table, so that reading and writing
 * cannot disagree. */
#include "bt/core/handshake.h"

static const char protocol[] = "\x13"
                               "BitTorrent protocol";

enum {
    PROTOCOL_LEN = sizeof protocol - 1,
    RESERVED_LEN = 8,
};

static const struct {
    uint8_t can, byte, mask;
} reserved_bits[] = {
    { BT_CAN_EXTEND, 5, 0x10 },
    { BT_CAN_FAST, 7, 0x04 },
    { BT_CAN_V2, 7, 0x10 },
    { BT_CAN_DHT, 7, 0x01 },
};

void bt_handshake_put(struct tarn_out *o, const struct bt_handshake *h)
{
    uint8_t reserved[RESERVED_LEN] = { 0 };
    for (size_t i = 0; i < TARN_COUNT_OF(reserved_bits); i++)
        if (h->can & reserved_bits[i].can)
            reserved[reserved_bits[i].byte] |= reserved_bits[i].mask;
    tarn_out_put(o, tarn_bytes_of(protocol, PROTOCOL_LEN));
    tarn_out_put(o, tarn_bytes_of(reserved, sizeof reserved));
    tarn_out_put(o, tarn_bytes_of(h->hash, sizeof h->hash));
    tarn_out_put(o, tarn_bytes_of(h->peer_id, sizeof h->peer_id));
}

static enum bt_step read_head(struct bt_handshake_reader *r, struct tarn_cur *in,
                              struct bt_handshake *h, struct tarn_err *err)
{
    struct tarn_bytes there = tarn_cur_rest(in);
    size_t n = there.len < PROTOCOL_LEN ? there.len : PROTOCOL_LEN;
    if (n > 0 && memcmp(there.p, protocol, n) != 0) {
        tarn_fail(err, TARN_E_NETWORK, "the peer does not begin with a BitTorrent handshake");
        return BT_BAD;
    }
    if (there.len < BT_HANDSHAKE_HEAD)
        return BT_MORE;
    struct tarn_bytes head = tarn_cur_take(in, BT_HANDSHAKE_HEAD);
    if (head.len == 0) /* a cursor that was bad already */
        return BT_MORE;
    const uint8_t *reserved = head.p + PROTOCOL_LEN;
    h->can = 0;
    for (size_t i = 0; i < TARN_COUNT_OF(reserved_bits); i++)
        if (reserved[reserved_bits[i].byte] & reserved_bits[i].mask)
            h->can |= reserved_bits[i].can;
    memcpy(h->hash, reserved + RESERVED_LEN, BT_HASH_LEN);
    r->stage = 1;
    return BT_EVENT;
}

enum bt_step bt_handshake_next(struct bt_handshake_reader *r, struct tarn_cur *in,
                               struct bt_handshake *h, struct tarn_err *err)
{
    if (r->stage == 0)
        return read_head(r, in, h, err);
    if (r->stage > 1 || tarn_cur_left(in) < BT_PEER_ID_LEN)
        return BT_MORE;
    struct tarn_bytes id = tarn_cur_take(in, BT_PEER_ID_LEN);
    if (id.len == 0)
        return BT_MORE;
    memcpy(h->peer_id, id.p, BT_PEER_ID_LEN);
    r->stage = 2;
    return BT_EVENT;
}

void bt_peer_id_make(uint8_t id[BT_PEER_ID_LEN], const uint8_t random[12])
{
    static const uint8_t client[8] = { '-', 'T', 'A', '0', '1', '0', '0', '-' };
    memcpy(id, client, sizeof client);
    memcpy(id + sizeof client, random, 12);
}

bool bt_peer_id_keeps_ours(const uint8_t ours[BT_PEER_ID_LEN], const uint8_t theirs[BT_PEER_ID_LEN])
{
    return memcmp(ours, theirs, BT_PEER_ID_LEN) < 0;
}

const uint8_t *bt_swarm_hash(const struct bt_hashes *h)
{
    return h->has_v1 ? h->v1 : h->v2;
}

bool bt_handshake_is_for(const struct bt_hashes *h, const uint8_t hash[BT_HASH_LEN], bool *is_v2)
{
    bool v1 = h->has_v1 && memcmp(hash, h->v1, BT_HASH_LEN) == 0;
    bool v2 = !v1 && h->has_v2 && memcmp(hash, h->v2, BT_HASH_LEN) == 0;
    if (v1 || v2)
        *is_v2 = v2;
    return v1 || v2;
}

const uint8_t *bt_handshake_answer(const struct bt_hashes *h, const struct bt_handshake *theirs,
                                   bool *is_v2)
{
    bool upgrade = (theirs->can & BT_CAN_V2) != 0 && h->has_v2;
    bool v1 = h->has_v1 && memcmp(theirs->hash, h->v1, BT_HASH_LEN) == 0;
    *is_v2 = upgrade || !v1;
    return *is_v2 ? h->v2 : h->v1;
}

bool bt_handshake_fits(const struct bt_hashes *h, const struct bt_handshake *ours,
                       const struct bt_handshake *theirs, bool *is_v2)
{
    bool v2;
    if (!bt_handshake_is_for(h, theirs->hash, &v2))
        return false;
    bool same = memcmp(ours->hash, theirs->hash, BT_HASH_LEN) == 0;
    if (!same && (!v2 || (ours->can & BT_CAN_V2) == 0))
        return false;
    *is_v2 = v2;
    return true;
}
