/* bt/core/hashreq: hash trees over the wire (BEP 52): answering hash requests, fetching the piece
 * layers that a magnet link lacks, and leaf hashes that pin a bad block on its sender.
 *
 * A file's tree has its leaves (16 KiB each, filled up to a power of two) at level 0 and its root
 * at level `height`. Piece layer: the level whose nodes cover one piece each. A message carries
 * `count` hashes of one level, then the uncles that climb from their common ancestor, nearest
 * first.
 *
 * Pure. Memory is bounded by the torrent: the layers still missing, 32 bytes a piece, taken a file
 * at a time when its first hashes arrive. */
#ifndef BT_CORE_HASHREQ_H
#define BT_CORE_HASHREQ_H

#include "bt/core/metadata.h"

enum {
    BT_HASHES_CHUNK = 512, /* hashes that we ask for in one message: BEP 52's advice */
    BT_HASHES_TIMEOUT_US = 3 * 1000 * 1000, /* then another peer is asked: libtorrent */
    BT_HASHES_BAD_MAX = 2,                  /* wrong answers after which a peer is closed */
    BT_HASHES_DEPTH = 2,                    /* requests at one peer at a time */
    BT_HASHES_ASKED = 64,                   /* and at all peers */
    BT_HASHES_REST_US = 60 * 1000 * 1000,   /* a peer that refused a part is not asked for it */
};

/* Shape of a file's tree. */
struct bt_tree {
    uint32_t file;
    uint8_t height;              /* level of the root */
    uint8_t level;               /* of the piece layer; above height when the file fits one piece */
    uint32_t n_leaves, n_pieces; /* those that cover data */
};
/* False: no v2 side, a pad, or empty. */
bool bt_tree_of(const struct bt_metainfo *m, uint32_t file, struct bt_tree *t);

/* Serving. What a request takes: */
enum bt_hash_answer {
    BT_HASH_REFUSE,      /* send a hash reject */
    BT_HASH_FROM_LAYER,  /* bt_put_hashes with leaves NULL */
    BT_HASH_FROM_LEAVES, /* the leaf hashes of the piece *piece first: the caller reads the piece */
};
enum bt_hash_answer bt_hash_request_check(const struct bt_metainfo *m,
                                          const struct bt_hash_request *r, uint32_t *piece);

/* Kept between answers, since proofs over millions of pieces take long: the roots of each 512
 * pieces of the last file asked for. Zeroed at first; one a torrent. 32 bytes per 512 pieces. */
struct bt_hash_cache {
    uint8_t *tops; /* owned */
    uint32_t n;
    uint32_t file;
};
void bt_hash_cache_release(struct bt_hash_cache *c); /* accepts a zeroed one */

/* The whole hashes message. r has passed the check. leaves: of the piece that it named, all that
 * cover data, n_leaves of them; NULL for BT_HASH_FROM_LAYER. False: no memory. */
bool bt_put_hashes(struct tarn_out *o, const struct bt_metainfo *m, struct bt_hash_cache *c,
                   const struct bt_hash_request *r, const uint8_t *leaves, uint32_t n_leaves)
    TARN_MUST;

/* Do these hashes and uncles, as a peer sent them for r, lead to `want`? `work` has r->count * 32
 * bytes and is overwritten. */
bool bt_hashes_lead_to(const struct bt_hash_request *r, struct tarn_bytes hashes,
                       const uint8_t want[32], uint8_t *work);
/* How many uncles a right answer carries. */
uint32_t bt_hashes_uncles(const struct bt_hash_request *r);

/* Fetching all missing piece layers. */
struct bt_layer_asked;
struct bt_layer_part;
struct bt_layer_job;

struct bt_layers {
    const struct bt_metainfo *m;  /* borrowed */
    uint32_t *files;              /* owned: those whose layer is missing, sorted by root */
    struct bt_layer_job *jobs;    /* owned; one for each different root, sorted */
    struct bt_layer_part *parts;  /* owned; one for each message to fetch */
    struct bt_layer_asked *asked; /* owned; requests under way */
    uint32_t n_files, n_jobs, n_parts;
    uint32_t n_done;   /* parts that are here */
    uint32_t first;    /* all parts before it are here */
    uint32_t last_job; /* the one that the last BT_HASHES_LAYER was about */
    uint32_t n_asked;
};
bool bt_layers_init(struct bt_layers *l, const struct bt_metainfo *m, struct tarn_err *err)
    TARN_MUST;
void bt_layers_release(struct bt_layers *l); /* accepts a zeroed one */

static inline bool bt_layers_done(const struct bt_layers *l)
{
    return l->n_done == l->n_parts;
}

/* The next request for this peer (has: its pieces, NULL for all); call until false. A peer is asked
 * only for hashes of pieces of which it has at least one. */
bool bt_layers_ask(struct bt_layers *l, bt_peer_no peer, const struct tarn_bits *has,
                   int64_t now_us, struct bt_hash_request *r) TARN_MUST;

enum bt_hash_got {
    BT_HASHES_TAKEN,
    BT_HASHES_IGNORED, /* not asked of this peer, or too late */
    BT_HASHES_WRONG,   /* does not lead to the root: the caller counts, see BT_HASHES_BAD_MAX */
    BT_HASHES_LAYER,   /* taken, and a layer is whole: see bt_layers_next */
    BT_HASHES_NO_MEMORY,
};
enum bt_hash_got bt_layers_got(struct bt_layers *l, bt_peer_no peer,
                               const struct bt_hash_request *r, struct tarn_bytes hashes);
void bt_layers_rejected(struct bt_layers *l, bt_peer_no peer, const struct bt_hash_request *r);
void bt_layers_gone(struct bt_layers *l, bt_peer_no peer);
/* When bt_layers_ask may give more than now; INT64_MAX: nothing waits. */
int64_t bt_layers_wake(const struct bt_layers *l, int64_t now_us);

/* After BT_HASHES_LAYER, before the next message is taken: a file whose layer is whole, for
 * bt_metainfo_set_layer; call until false. *cursor starts at 0; files that share the root all come.
 * The layer stays until release. */
bool bt_layers_next(struct bt_layers *l, uint32_t *cursor, uint32_t *file, const uint8_t **layer);

/* After a piece failed its hash: the request for its leaves. False: it has one leaf only, or its
 * own node is not known; blame by piece. */
bool bt_leaves_request(const struct bt_metainfo *m, uint32_t piece, struct bt_hash_request *r)
    TARN_MUST;
/* The answer to that request. True: hashes.p holds the true leaves, one a block, to compare with
 * those of the blocks that came. work: as above. */
bool bt_leaves_check(const struct bt_metainfo *m, uint32_t piece, const struct bt_hash_request *r,
                     struct tarn_bytes hashes, uint8_t *work) TARN_MUST;

#endif
