/* bt/core/wire: see the header. A message is looked at once its length and number are there, which
 * decides how much of it must be in one run before it is taken: all of it, but for a block the
 * header alone, and for an unknown message nothing. Wrong lengths are refused there, so that a peer
 * cannot make us wait for a megabyte of `have`. */
#include "bt/core/wire.h"

#include <assert.h>

enum {
    LEN_SIZE = 4,
    HEAD_SIZE = LEN_SIZE + 1,
    REQUEST_LEN = 13,   /* of a request, the id included */
    HASH_LEN = 1 + 48,  /* of a hash request, the id included */
    BLOCK_HEAD_LEN = 9, /* of a piece message before its data, the id included */
};

void bt_wire_init(struct bt_wire *w, uint8_t can, bool is_v2, uint32_t n_pieces)
{
    *w = (struct bt_wire){
        .max_block = BT_BLOCK, .n_pieces = n_pieces, .need = LEN_SIZE, .can = can, .is_v2 = is_v2
    };
}

bool bt_request_fits(const struct bt_request *r, const struct bt_metainfo *m)
{
    if (r->piece >= m->n_pieces || r->len == 0 || r->len > BT_REQUEST_MAX)
        return false;
    /* With v2 alone the last piece has its full length too: libtorrent 2.0 asks for its padding. */
    uint32_t piece_len = m->pieces != NULL ? bt_piece_len(m, r->piece) : m->piece_len;
    return r->begin < piece_len && r->len <= piece_len - r->begin;
}

bool bt_hash_request_eq(const struct bt_hash_request *a, const struct bt_hash_request *b)
{
    return a->base == b->base && a->index == b->index && a->count == b->count &&
           a->proofs == b->proofs && memcmp(a->root, b->root, sizeof a->root) == 0;
}

/* Names for sentences; NULL where there is no such message. */
static const char *name_of(uint8_t id)
{
    static const char *const names[] = {
        "choke",   "unchoke", "interested", "not interested", "have",   "bitfield",
        "request", "piece",   "cancel",     "port",           NULL,     NULL,
        NULL,      "suggest", "have all",   "have none",      "reject", "fast",
        NULL,      NULL,      "extended",   "hash request",   "hashes", "hash reject",
    };
    return id < TARN_COUNT_OF(names) ? names[id] : NULL;
}

static enum bt_step bad(struct tarn_err *err, uint8_t id, const char *what)
{
    tarn_fail(err, TARN_E_NETWORK, "the peer sent a '%s' message %s", name_of(id), what);
    return BT_BAD;
}

static bool is_piece_list(uint8_t id)
{
    return id == BT_EV_BITFIELD || id == BT_EV_HAVE_ALL || id == BT_EV_HAVE_NONE;
}

/* May this message come now, on this connection? */
static bool is_welcome(const struct bt_wire *w, uint8_t id, struct tarn_err *err)
{
    bool fast = (w->can & BT_CAN_FAST) != 0;
    const char *why = NULL;
    if (id >= BT_EV_SUGGEST && id <= BT_EV_ALLOWED_FAST && !fast)
        why = "without the fast extension";
    else if (id == BT_EV_EXTENDED && (w->can & BT_CAN_EXTEND) == 0)
        why = "without the extension protocol";
    else if (id >= BT_EV_HASH_REQUEST && !w->is_v2)
        why = "on a v1 connection";
    else if (is_piece_list(id) && id != BT_EV_BITFIELD && w->told_pieces)
        why = "that was not its first";
    else if (fast && !w->told_pieces && !is_piece_list(id) && id != BT_EV_EXTENDED &&
             id != BT_EV_PORT)
        why = "before it said which pieces it has";
    return why == NULL || bad(err, id, why) != BT_BAD;
}

static bool bitfield_len_ok(const struct bt_wire *w, uint32_t body)
{
    if (w->n_pieces == 0)
        return body > 0 && body <= BT_BITFIELD_MAX;
    return body == tarn_bits_size(w->n_pieces);
}

/* Can a message with this number have this length (the number included)? */
static bool len_ok(const struct bt_wire *w, uint8_t id, uint32_t len)
{
    switch (id) {
    case BT_EV_CHOKE:
    case BT_EV_UNCHOKE:
    case BT_EV_INTERESTED:
    case BT_EV_UNINTERESTED:
    case BT_EV_HAVE_ALL:
    case BT_EV_HAVE_NONE:
        return len == 1;
    case BT_EV_HAVE:
    case BT_EV_SUGGEST:
    case BT_EV_ALLOWED_FAST:
        return len == 5;
    case BT_EV_PORT:
        return len == 3;
    case BT_EV_REQUEST:
    case BT_EV_CANCEL:
    case BT_EV_REJECT:
        return len == REQUEST_LEN;
    case BT_EV_BITFIELD:
        return bitfield_len_ok(w, len - 1);
    case BT_EV_BLOCK:
        return len > BLOCK_HEAD_LEN && len - BLOCK_HEAD_LEN <= w->max_block;
    case BT_EV_EXTENDED:
        return len >= 2;
    case BT_EV_HASH_REQUEST:
    case BT_EV_HASH_REJECT:
        return len == HASH_LEN;
    case BT_EV_HASHES:
        return len > HASH_LEN && (len - HASH_LEN) % 32 == 0 &&
               (len - HASH_LEN) / 32 <= BT_HASHES_MAX;
    default:
        return true;
    }
}

static bool index_ok(const struct bt_wire *w, uint32_t index)
{
    return index < (w->n_pieces != 0 ? w->n_pieces : (uint32_t)BT_PIECES_MAX);
}

static bool spare_bits_ok(const struct bt_wire *w, struct tarn_bytes field)
{
    uint32_t used = w->n_pieces % 8;
    return used == 0 || (field.p[field.len - 1] & (0xFF >> used)) == 0;
}

static enum bt_step read_request(const struct bt_wire *w, uint8_t id, struct tarn_cur *c,
                                 struct bt_event *ev, struct tarn_err *err)
{
    ev->request.piece = tarn_cur_be32(c);
    ev->request.begin = tarn_cur_be32(c);
    ev->request.len = tarn_cur_be32(c);
    if (!index_ok(w, ev->request.piece))
        return bad(err, id, "for a piece that the torrent does not have");
    if (ev->request.len == 0)
        return bad(err, id, "for no bytes");
    if (ev->request.len > BT_REQUEST_MAX && (w->can & BT_CAN_FAST) == 0)
        return bad(err, id, "for more than 128 KiB");
    return BT_EVENT;
}

static enum bt_step read_hash(uint8_t id, struct tarn_cur *c, struct bt_event *ev,
                              struct tarn_err *err)
{
    memcpy(ev->hash.root, tarn_cur_take(c, sizeof ev->hash.root).p, sizeof ev->hash.root);
    ev->hash.base = tarn_cur_be32(c);
    ev->hash.index = tarn_cur_be32(c);
    ev->hash.count = tarn_cur_be32(c);
    ev->hash.proofs = tarn_cur_be32(c);
    if (id == BT_EV_HASHES) {
        ev->body = tarn_cur_rest(c);
        if (ev->hash.count > ev->body.len / 32)
            return bad(err, id, "with fewer hashes than it says");
    }
    return BT_EVENT;
}

/* c holds what follows the message's number; of a block, its piece and place. */
static enum bt_step read_body(struct bt_wire *w, uint8_t id, struct tarn_cur *c,
                              struct bt_event *ev, struct tarn_err *err)
{
    switch (id) {
    case BT_EV_HAVE:
    case BT_EV_SUGGEST:
    case BT_EV_ALLOWED_FAST:
        ev->index = tarn_cur_be32(c);
        if (!index_ok(w, ev->index))
            return bad(err, id, "for a piece that the torrent does not have");
        return BT_EVENT;
    case BT_EV_BITFIELD:
        ev->body = tarn_cur_rest(c);
        if (!spare_bits_ok(w, ev->body))
            return bad(err, id, "with bits for pieces that the torrent does not have");
        return BT_EVENT;
    case BT_EV_REQUEST:
    case BT_EV_CANCEL:
    case BT_EV_REJECT:
        return read_request(w, id, c, ev, err);
    case BT_EV_PORT:
        ev->port = tarn_cur_be16(c);
        return BT_EVENT;
    case BT_EV_EXTENDED:
        ev->sub = tarn_cur_u8(c);
        ev->body = tarn_cur_rest(c);
        return BT_EVENT;
    case BT_EV_HASH_REQUEST:
    case BT_EV_HASHES:
    case BT_EV_HASH_REJECT:
        return read_hash(id, c, ev, err);
    default:
        return BT_EVENT;
    }
}

static enum bt_step read_block(struct bt_wire *w, uint32_t len, struct tarn_cur *c,
                               struct bt_event *ev, struct tarn_err *err)
{
    ev->request.piece = tarn_cur_be32(c);
    ev->request.begin = tarn_cur_be32(c);
    ev->request.len = len - BLOCK_HEAD_LEN;
    if (!index_ok(w, ev->request.piece))
        return bad(err, BT_EV_BLOCK, "for a piece that the torrent does not have");
    w->payload_left = ev->request.len;
    return BT_EVENT;
}

/* Drop what is there of a message that we do not know. */
static void skip(struct bt_wire *w, struct tarn_cur *in)
{
    size_t left = tarn_cur_left(in);
    uint32_t n = left < w->skip_left ? (uint32_t)left : w->skip_left;
    (void)tarn_cur_take(in, n);
    w->skip_left -= n;
}

static enum bt_step need(struct bt_wire *w, size_t n)
{
    w->need = (uint32_t)n;
    return BT_MORE;
}

/* A whole message, or a block's header, of `size` bytes lies in front. */
static enum bt_step take(struct bt_wire *w, struct tarn_cur *in, uint32_t len, uint32_t size,
                         struct bt_event *ev, struct tarn_err *err)
{
    struct tarn_cur c = tarn_cur_of(tarn_cur_take(in, size));
    (void)tarn_cur_be32(&c);
    uint8_t id = tarn_cur_u8(&c);
    *ev = (struct bt_event){ .kind = (enum bt_ev_kind)id };
    if (id == BT_EV_BLOCK)
        return read_block(w, len, &c, ev, err);
    return read_body(w, id, &c, ev, err);
}

/* One message or a part of an unknown one. *again: nothing to tell, look at what follows. */
static enum bt_step next(struct bt_wire *w, struct tarn_cur *in, struct bt_event *ev, bool *again,
                         struct tarn_err *err)
{
    struct tarn_cur c = *in;
    uint32_t len = tarn_cur_be32(&c);
    if (c.bad)
        return need(w, LEN_SIZE);
    if (len == 0) {
        *in = c;
        *ev = (struct bt_event){ .kind = BT_EV_KEEPALIVE };
        return BT_EVENT;
    }
    if (len > BT_MSG_MAX) {
        tarn_fail(err, TARN_E_NETWORK, "the peer sent a message of %u bytes (the limit is %d)", len,
                  BT_MSG_MAX);
        return BT_BAD;
    }
    uint8_t id = tarn_cur_u8(&c);
    if (c.bad)
        return need(w, HEAD_SIZE);
    if (name_of(id) != NULL && !is_welcome(w, id, err))
        return BT_BAD;
    if (name_of(id) == NULL || (id == BT_EV_EXTENDED && len > BT_EXTENDED_MAX + 2)) {
        *in = c;
        w->skip_left = len - 1;
        *again = true;
        return BT_MORE;
    }
    if (!len_ok(w, id, len))
        return bad(err, id, "of a wrong length");
    uint32_t size = id == BT_EV_BLOCK ? (uint32_t)BT_PIECE_HEAD : LEN_SIZE + len;
    if (tarn_cur_left(in) < size)
        return need(w, size);
    if (id != BT_EV_EXTENDED && id != BT_EV_PORT)
        w->told_pieces = true;
    return take(w, in, len, size, ev, err);
}

enum bt_step bt_wire_next(struct bt_wire *w, struct tarn_cur *in, struct bt_event *ev,
                          struct tarn_err *err)
{
    assert(w->payload_left == 0);
    enum bt_step step;
    bool again;
    do {
        skip(w, in);
        if (w->skip_left > 0)
            return need(w, 1);
        again = false;
        step = next(w, in, ev, &again, err);
    } while (again);
    return step;
}

static void put_head(struct tarn_out *o, uint32_t len, enum bt_ev_kind kind)
{
    tarn_out_be32(o, len);
    tarn_out_u8(o, (uint8_t)kind);
}

void bt_put_keepalive(struct tarn_out *o)
{
    tarn_out_be32(o, 0);
}

void bt_put_plain(struct tarn_out *o, enum bt_ev_kind kind)
{
    put_head(o, 1, kind);
}

void bt_put_index(struct tarn_out *o, enum bt_ev_kind kind, uint32_t index)
{
    put_head(o, 5, kind);
    tarn_out_be32(o, index);
}

void bt_put_request(struct tarn_out *o, enum bt_ev_kind kind, const struct bt_request *r)
{
    put_head(o, REQUEST_LEN, kind);
    tarn_out_be32(o, r->piece);
    tarn_out_be32(o, r->begin);
    tarn_out_be32(o, r->len);
}

void bt_put_bitfield(struct tarn_out *o, const struct tarn_bits *have)
{
    struct tarn_bytes bits = tarn_bits_bytes(have);
    put_head(o, (uint32_t)bits.len + 1, BT_EV_BITFIELD);
    tarn_out_put(o, bits);
}

void bt_put_piece_head(struct tarn_out *o, const struct bt_request *r)
{
    put_head(o, BLOCK_HEAD_LEN + r->len, BT_EV_BLOCK);
    tarn_out_be32(o, r->piece);
    tarn_out_be32(o, r->begin);
}

void bt_put_port(struct tarn_out *o, uint16_t port)
{
    put_head(o, 3, BT_EV_PORT);
    tarn_out_be16(o, port);
}

void bt_put_extended_head(struct tarn_out *o, uint8_t sub, size_t body_len)
{
    put_head(o, (uint32_t)body_len + 2, BT_EV_EXTENDED);
    tarn_out_u8(o, sub);
}

static void put_hash(struct tarn_out *o, const struct bt_hash_request *r)
{
    tarn_out_put(o, tarn_bytes_of(r->root, sizeof r->root));
    tarn_out_be32(o, r->base);
    tarn_out_be32(o, r->index);
    tarn_out_be32(o, r->count);
    tarn_out_be32(o, r->proofs);
}

void bt_put_hash_request(struct tarn_out *o, enum bt_ev_kind kind, const struct bt_hash_request *r)
{
    put_head(o, HASH_LEN, kind);
    put_hash(o, r);
}

void bt_put_hashes_head(struct tarn_out *o, const struct bt_hash_request *r, uint32_t n_hashes)
{
    put_head(o, HASH_LEN + n_hashes * 32, BT_EV_HASHES);
    put_hash(o, r);
}
