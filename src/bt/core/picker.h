/* bt/core/picker: which blocks to ask of which peer, for one torrent.
 *
 * Order: pieces begun first, then the highest priority, then the rarest, at random among equally
 * rare ones; the very first pieces at random; in sequential mode from a cursor on. When every
 * wanted block is asked for (end game), a block is asked of up to BT_COPIES_MAX peers.
 *
 * A begun piece belongs to the peers of the speed that began it: a slow peer's block would hold up
 * the piece of fast ones, and its memory. Slower peers begin few pieces and share them; others help
 * only with a piece that nobody works on, or when there is nothing else.
 *
 * Memory: 11.25 bytes a piece while the torrent is incomplete (2 million pieces: 24 MB), 1.8 KiB of
 * buckets, 16 bytes a run of padding; pieces begun add 8 bytes a block. A complete torrent needs no
 * picker: release it, and init again when a piece is lost. A pick looks at no more than a few
 * thousand pieces, or at the peer's bits once; a `have` costs O(1); a peer's coming and going costs
 * a pass over its bits, and one sort before the next pick, however many came.
 *
 * Pure; randomness comes from the seed. Peers are called by small numbers that the caller gives. A
 * number may be given again once bt_picker_mentions says no. One thread. */
#ifndef BT_CORE_PICKER_H
#define BT_CORE_PICKER_H

#include "base/bits.h"
#include "bt/core/metadata.h"

enum {
    BT_COPIES_MAX = 3,    /* of one block under way, in end game */
    BT_RANDOM_FIRST = 4,  /* so many pieces come at random: libtorrent's threshold */
    BT_ENDGAME_DEPTH = 2, /* a peer with fewer requests may take a busy block */
    BT_PRIORITY_SKIP = 0,
    BT_PRIORITY_NORMAL = 4,
    BT_PRIORITY_TOP = 7, /* first in sequential mode too */
};

/* How fast a peer is beside the fastest. */
enum bt_speed { BT_SPEED_FAST, BT_SPEED_MEDIUM, BT_SPEED_SLOW, BT_SPEEDS };

struct bt_partial;
struct bt_pad_run;

struct bt_picker {
    const struct bt_metainfo *m;  /* borrowed */
    struct tarn_bits *have;       /* borrowed: pieces verified; written by _good and _lost */
    struct tarn_bits need;        /* wanted (or begun) and not had: what interests us in a peer */
    uint32_t *order;              /* owned: all pieces, by bucket */
    uint32_t *place;              /* owned: of each piece in order */
    uint16_t *avail;              /* owned: peers that have it, those with all not counted */
    uint8_t *priority;            /* owned: 0 to 7 */
    uint32_t *starts;             /* owned: where each bucket begins in order */
    struct bt_partial **partials; /* owned: partials[i] is of the piece order[i] */
    size_t n_partials, cap_partials;
    size_t max_partials; /* no piece is begun beyond; SIZE_MAX at first */
    uint32_t hold_max;   /* pieces of more blocks are not counted in held; UINT32_MAX at first */
    uint64_t held;       /* blocks of begun pieces, padding counted where v1 hashes it */
    struct bt_pad_run *pads; /* owned; sorted */
    size_t n_pads;
    uint64_t n_free;  /* blocks of begun pieces that nobody is asked for */
    uint64_t random;  /* state */
    uint32_t n_seeds; /* peers that have all */
    uint32_t cursor;  /* sequential mode starts here */
    bool is_sequential;
    bool is_stale; /* order must be sorted before it is used */
};

/* All pieces that hold more than padding are wanted with BT_PRIORITY_NORMAL; pieces of padding
 * alone are never asked for. m and have outlive the picker. */
bool bt_picker_init(struct bt_picker *p, const struct bt_metainfo *m, struct tarn_bits *have,
                    uint64_t seed, struct tarn_err *err) TARN_MUST;
void bt_picker_release(struct bt_picker *p); /* accepts a zeroed one */

/* Priorities, one for each of m->files, 0 to 7. A piece has the highest of the files in it. Peers'
 * interest must be counted anew. Pieces that are begun and no longer wanted are finished. */
void bt_picker_set_files(struct bt_picker *p, const uint8_t *file_priority);
void bt_picker_set_piece(struct bt_picker *p, uint32_t piece, uint8_t priority);
void bt_picker_set_sequential(struct bt_picker *p, bool on, uint32_t cursor);

static inline bool bt_picker_done(const struct bt_picker *p)
{
    return p->need.count == 0;
}

/* Interest. A caller that keeps a count for each peer adds to it when the peer gets a piece that is
 * needed, and takes one from the peers that have a piece when it turns good. */
static inline bool bt_picker_needs(const struct bt_picker *p, uint32_t piece)
{
    return tarn_bits_has(&p->need, piece);
}
uint32_t bt_picker_count(const struct bt_picker *p, const struct tarn_bits *has); /* NULL: all */

/* Who has what. has NULL: all pieces. A peer leaves with what it joined with and what it got since.
 */
void bt_picker_joins(struct bt_picker *p, const struct tarn_bits *has);
void bt_picker_leaves(struct bt_picker *p, const struct tarn_bits *has);
void bt_picker_peer_got(struct bt_picker *p, uint32_t piece);
void bt_picker_peer_lost(struct bt_picker *p, uint32_t piece);

/* An eighth of the fastest peer's rate is fast, a 64th medium. Who was not measured yet (0) counts
 * as fast: it is asked for little. */
enum bt_speed bt_speed_of(uint64_t rate_bps, uint64_t fastest_bps);

struct bt_pick {
    bt_peer_no peer;
    const struct tarn_bits *has; /* NULL: all */
    const uint32_t *only;        /* choked: the pieces allowed fast; NULL: no restriction */
    size_t n_only;
    const uint32_t *suggested; /* tried after begun pieces; may be NULL */
    size_t n_suggested;
    uint32_t n_asked; /* requests under way at this peer */
    enum bt_speed speed;
    bool is_slow;   /* snubbed: the most common pieces first */
    bool on_parole; /* gets pieces for itself alone */
};
/* Up to n blocks to ask of this peer, now noted as asked of it. Returns how many; 0 also when
 * there is no memory to begin a piece. */
size_t bt_picker_pick(struct bt_picker *p, const struct bt_pick *who, size_t n,
                      struct bt_request *out);

/* For a source that sends long runs and no single blocks (a web seed). */
struct bt_pick_run {
    bt_peer_no peer;
    const struct tarn_bits *has; /* NULL: all */
    uint64_t max_bytes;          /* of whole pieces; one is always taken, however long */
    size_t max_pieces;           /* that it may begin */
    uint32_t near;               /* where its last run ended: a run goes on there when it can */
    enum bt_speed speed;
    bool on_parole;
};
/* A run of blocks next to each other in the piece space, now noted as asked of it; padding in it
 * is asked of nobody. Pieces that were begun and that nobody works on come first, then pieces not
 * begun, of the highest priority there is, in order in sequential mode and else from the longest
 * gap (its middle, when somebody works at its front), then what is free of pieces that others work
 * on, and in end game at most BT_RUN_ENDGAME blocks of a piece that slower ones work on. What a
 * fast peer is about to finish is left to it. False: nothing for it. */
enum { BT_RUN_ENDGAME = 16 };
bool bt_picker_pick_run(struct bt_picker *p, const struct bt_pick_run *who, uint64_t *from,
                        uint64_t *to);

/* The peer will not deliver: reject, choke, timeout, close. Harmless when it was not asked. */
void bt_picker_release_block(struct bt_picker *p, const struct bt_request *r, bt_peer_no peer);
/* The same for all that it was asked for, and for pieces it had for itself. */
void bt_picker_release_peer(struct bt_picker *p, bt_peer_no peer);

/* Is the block still missing? Ask before its data are taken; end game may have brought it. */
bool bt_picker_wants(const struct bt_picker *p, const struct bt_request *r);

struct bt_block_got {
    bt_peer_no cancel[BT_COPIES_MAX]; /* others that were asked for it: send cancels */
    uint8_t n_cancel;
    bool is_new;     /* false: it was here already, or is not one of our blocks */
    bool piece_full; /* all blocks are here: hash the piece */
};
/* The block's data are here, all of it. */
struct bt_block_got bt_picker_got(struct bt_picker *p, const struct bt_request *r, bt_peer_no peer);

/* Who sent this block of a begun piece; BT_NO_PEER: not here, or padding. */
bt_peer_no bt_picker_sender(const struct bt_picker *p, uint32_t piece, uint32_t block);
/* All different senders of a begun piece. Returns how many; at most max are written. */
size_t bt_picker_senders(const struct bt_picker *p, uint32_t piece, bt_peer_no *out, size_t max);
/* Is this number still noted anywhere? */
bool bt_picker_mentions(const struct bt_picker *p, bt_peer_no peer);

/* Verdicts on a piece. Ask for senders first. */
void bt_picker_good(struct bt_picker *p, uint32_t piece); /* verified: we have it */
void bt_picker_bad(struct bt_picker *p, uint32_t piece);  /* all its blocks are missing again */
void bt_picker_bad_block(struct bt_picker *p, uint32_t piece, uint32_t block); /* only this one */
void bt_picker_lost(struct bt_picker *p, uint32_t piece); /* we had it, and have it no longer */

/* Blocks of a piece, and what to ask for: padding at the end of a block is not asked for; 0: a
 * block of padding alone, which counts as here from the start and is zeros. */
uint32_t bt_picker_blocks(const struct bt_picker *p, uint32_t piece);
uint32_t bt_picker_block_len(const struct bt_picker *p, uint32_t piece, uint32_t block);

#endif
