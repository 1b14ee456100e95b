/* bt/core/ext: the extension protocol (BEP 10): its handshake, and the small messages that ride on
 * it: ut_metadata (BEP 9), upload_only (BEP 21), lt_donthave (BEP 54).
 *
 * Numbers of messages are per direction: a peer tells which number each name has when sent to it.
 * Ours are enum bt_ext_kind. Reading ignores names, keys and types that it does not know. Pure. */
#ifndef BT_CORE_EXT_H
#define BT_CORE_EXT_H

#include "bt/core/wire.h"

/* Our numbers: what arrives with this sub number is that message. Those advertised are the ones
 * that exist: 1 ut_pex and 4 ut_holepunch keep their place. */
enum bt_ext_kind {
    BT_EXT_HANDSHAKE = 0,
    BT_EXT_PEX = 1,
    BT_EXT_METADATA = 2,
    BT_EXT_UPLOAD_ONLY = 3,
    BT_EXT_HOLEPUNCH = 4,
    BT_EXT_DONTHAVE = 7,
    BT_EXT_KINDS = 8,
};

enum {
    BT_EXT_AGENT = 64,  /* bytes of a peer's name that we keep */
    BT_EXT_REQQ = 2000, /* requests that we queue for a peer: libtorrent, Transmission */
};

/* What a peer said, over all its handshakes: later ones add and replace. Zeroed at first. */
struct bt_ext {
    uint32_t metadata_size;    /* 0: not said */
    uint16_t reqq;             /* 1 to 2048; 0: not said */
    uint16_t port;             /* where it listens; 0: not said */
    uint8_t ids[BT_EXT_KINDS]; /* its numbers, by our kind; 0: off */
    uint8_t my_ip[16];         /* our address as it sees it */
    uint8_t my_ip_len;         /* 0, 4 or 16 */
    bool upload_only;
    bool is_here;                 /* a handshake has come */
    char agent[BT_EXT_AGENT + 1]; /* printable UTF-8, cut at a character; "" when not said */
};

/* Read a handshake's body. On failure x is as before. */
bool bt_ext_read(struct bt_ext *x, struct tarn_bytes body, struct tarn_err *err) TARN_MUST;

struct bt_ext_ours {
    const char *agent;          /* NULL: not said */
    struct tarn_bytes your_ip;  /* the peer's address, 4 or 16 bytes, or empty */
    uint32_t metadata_size;     /* 0: not known yet */
    uint16_t port;              /* 0: not said */
    bool has_metadata_exchange; /* false for private torrents */
    bool upload_only;           /* never without metadata, never while super-seeding */
};

/* Our handshake as a whole message. */
void bt_put_ext_handshake(struct tarn_out *o, const struct bt_ext_ours *x);

/* ut_metadata. */
enum bt_meta_kind {
    BT_META_REQUEST = 0,
    BT_META_DATA = 1,
    BT_META_REJECT = 2,
    BT_META_UNKNOWN = 3, /* a later version's: BEP 9 wants it ignored */
};

struct bt_meta_msg {
    enum bt_meta_kind kind;
    uint32_t block;         /* number of the block of BT_BLOCK bytes */
    uint32_t total;         /* data: size of all of it */
    struct tarn_bytes data; /* data: borrowed from body */
};
bool bt_meta_read(struct bt_meta_msg *m, struct tarn_bytes body, struct tarn_err *err) TARN_MUST;
/* A whole message; id is the receiver's number for ut_metadata. */
void bt_put_meta(struct tarn_out *o, uint8_t id, const struct bt_meta_msg *m);

/* upload_only and lt_donthave: whole messages, and bodies. */
void bt_put_upload_only(struct tarn_out *o, uint8_t id, bool upload_only);
void bt_put_donthave(struct tarn_out *o, uint8_t id, uint32_t piece);
bool bt_upload_only_read(struct tarn_bytes body, bool *upload_only) TARN_MUST;
bool bt_donthave_read(struct tarn_bytes body, uint32_t n_pieces, uint32_t *piece) TARN_MUST;

#endif
