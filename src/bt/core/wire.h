/* bt/core/wire: the peer wire protocol without sockets (BEP 3, 6, 10, 52), after the handshake.
 *
 * Bytes go in, events come out, in whatever slices the bytes come. The caller owns every buffer,
 * the clock and the socket; nothing here allocates, blocks, logs or asks the time.
 *
 * Lengths are bytes, numbers host order. One bt_wire per connection, one thread at a time.
 *
 * The data of a `piece` message is no part of an event: BT_EV_BLOCK comes as soon as its 13 bytes
 * of header are there, and then w.payload_left bytes of data follow, which the caller takes from
 * wherever it reads them and counts down with bt_wire_payload. */
#ifndef BT_CORE_WIRE_H
#define BT_CORE_WIRE_H

#include "base/bits.h"
#include "bt/core/handshake.h"

enum {
    BT_MSG_MAX = (1 << 20) + 13,     /* longest message of any kind, id included */
    BT_EXTENDED_MAX = 64 << 10,      /* body of an extended message; a longer one is skipped */
    BT_BITFIELD_MAX = 256 << 10,     /* bytes: BT_PIECES_MAX / 8 */
    BT_REQUEST_MAX = 128 << 10,      /* longest block that we serve or take: libtorrent's limit */
    BT_HASHES_COUNT_MAX = 8192,      /* hashes of the base layer in one message (libtorrent) */
    BT_HASHES_MAX = 8192 + 32,       /* and with its uncles */
    BT_PIECE_HEAD = 13,              /* bytes of a piece message before its data */
    BT_HASH_REQUEST_LEN = 4 + 1 + 48 /* bytes of a hash request or hash reject message */
};

struct bt_request {
    uint32_t piece;
    uint32_t begin; /* byte in the piece */
    uint32_t len;
};

static inline bool bt_request_eq(const struct bt_request *a, const struct bt_request *b)
{
    return a->piece == b->piece && a->begin == b->begin && a->len == b->len;
}

/* Does it lie inside its piece, with a length from 1 to BT_REQUEST_MAX? Peers may ask for padding,
 * and with v2 alone for that behind the last file: it is zeros. */
bool bt_request_fits(const struct bt_request *r, const struct bt_metainfo *m);

struct bt_hash_request {
    uint8_t root[32];
    uint32_t base;   /* level of the hashes, 0 the leaves */
    uint32_t index;  /* of the first hash in its level */
    uint32_t count;  /* hashes */
    uint32_t proofs; /* levels above base that the proof climbs */
};

bool bt_hash_request_eq(const struct bt_hash_request *a, const struct bt_hash_request *b);

/* Events are called by the number of their message. */
enum bt_ev_kind {
    BT_EV_CHOKE = 0,
    BT_EV_UNCHOKE = 1,
    BT_EV_INTERESTED = 2,
    BT_EV_UNINTERESTED = 3,
    BT_EV_HAVE = 4,     /* index */
    BT_EV_BITFIELD = 5, /* body: of the right size, no spare bit set, when n_pieces is known */
    BT_EV_REQUEST = 6,  /* request; see bt_request_fits */
    BT_EV_BLOCK = 7,    /* request: what the data is; the data follows */
    BT_EV_CANCEL = 8,   /* request */
    BT_EV_PORT = 9,     /* port */
    BT_EV_SUGGEST = 13, /* index */
    BT_EV_HAVE_ALL = 14,
    BT_EV_HAVE_NONE = 15,
    BT_EV_REJECT = 16,       /* request */
    BT_EV_ALLOWED_FAST = 17, /* index */
    BT_EV_EXTENDED = 20,     /* sub, body: see bt/core/ext.h */
    BT_EV_HASH_REQUEST = 21, /* hash */
    BT_EV_HASHES = 22,       /* hash, body: 32 bytes each */
    BT_EV_HASH_REJECT = 23,  /* hash */
    BT_EV_KEEPALIVE = 256,
};

struct bt_event {
    enum bt_ev_kind kind;
    union {
        uint32_t index; /* below n_pieces, or below BT_PIECES_MAX while that is not known */
        uint16_t port;
        uint8_t sub;
        struct bt_request request;
        struct bt_hash_request hash;
    };
    struct tarn_bytes body; /* borrowed from the cursor's bytes */
};

struct bt_wire {
    uint32_t max_block;    /* longest block we ever ask for; a longer one is an error */
    uint32_t n_pieces;     /* 0: metadata is not known yet */
    uint32_t payload_left; /* of the block now arriving; 0 between messages */
    uint32_t need;         /* after BT_MORE: the bytes that the next call needs from the same start
                              (at most 4 + BT_MSG_MAX; small messages: 4, then all) */
    uint32_t skip_left;    /* of a message that we do not know */
    uint8_t can;           /* enum bt_can that both sides said */
    bool is_v2;            /* the handshake's hash was v2's */
    bool told_pieces;      /* have all or have none is no longer welcome */
};

/* can: what both handshakes said. */
void bt_wire_init(struct bt_wire *w, uint8_t can, bool is_v2, uint32_t n_pieces);

/* The metadata have become known. The caller checks what was taken before: haves with an index,
 * a bitfield with tarn_bits_load. */
static inline void bt_wire_set_pieces(struct bt_wire *w, uint32_t n_pieces)
{
    w->n_pieces = n_pieces;
}

/* Take at most one message from in. Not while payload_left is more than 0.
 * BT_MORE   read more, at least until w->need bytes are there; of a message with an unknown number
 *           bytes may have been taken, else none were.
 * BT_EVENT  *ev is set; its body, if any, points into in's buffer.
 * BT_BAD    err says why. Close the connection.
 *
 * Which message may come when: 13 to 17 need BT_CAN_FAST, 20 BT_CAN_EXTEND, 21 to 23 is_v2.
 * Have all and have none only before all others but keep-alive, port and extended; with BT_CAN_FAST
 * exactly one of them or a bitfield must come there. BEP 3 has the bitfield first too, but aria2
 * sends one later in place of many haves: it is an event at any time, and adds to what was told.
 * Requests longer than BT_REQUEST_MAX are an error without BT_CAN_FAST and an event with it (answer
 * with a reject). */
enum bt_step bt_wire_next(struct bt_wire *w, struct tarn_cur *in, struct bt_event *ev,
                          struct tarn_err *err) TARN_MUST;

/* n bytes of the block's data have arrived; n is at most w->payload_left. */
static inline void bt_wire_payload(struct bt_wire *w, uint32_t n)
{
    w->payload_left -= n;
}

/* Messages out, each whole, behind what o holds. */
void bt_put_keepalive(struct tarn_out *o);
/* One of those without a body: choke to uninterested, have all, have none. */
void bt_put_plain(struct tarn_out *o, enum bt_ev_kind kind);
/* One of those with a piece number: have, suggest, allowed fast. */
void bt_put_index(struct tarn_out *o, enum bt_ev_kind kind, uint32_t index);
/* One of those with a request: request, cancel, reject. */
void bt_put_request(struct tarn_out *o, enum bt_ev_kind kind, const struct bt_request *r);
void bt_put_bitfield(struct tarn_out *o, const struct tarn_bits *have);
/* The 13 bytes in front of r->len bytes of data. */
void bt_put_piece_head(struct tarn_out *o, const struct bt_request *r);
void bt_put_port(struct tarn_out *o, uint16_t port);
/* The 6 bytes in front of body_len bytes of an extended message; sub is the receiver's number. */
void bt_put_extended_head(struct tarn_out *o, uint8_t sub, size_t body_len);
/* Hash request and hash reject. */
void bt_put_hash_request(struct tarn_out *o, enum bt_ev_kind kind, const struct bt_hash_request *r);
/* The message in front of n_hashes * 32 bytes. */
void bt_put_hashes_head(struct tarn_out *o, const struct bt_hash_request *r, uint32_t n_hashes);

#endif
