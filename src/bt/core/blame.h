/* bt/core/blame: whose fault a bad piece is.
 *
 * A piece that fails its hash has a liar among those who sent it. Who sent all of it is that one.
 * Of several, each has a strike, and what each sent is remembered (a digest a block): when the
 * piece is good at last, who sent anything else is known (smart ban, as libtorrent's). The same
 * sender with two different blocks for one place lied at least once. BT_BLAME_STRIKES of them are
 * enough by themselves (Transmission's rule); a good piece takes one back.
 *
 * Senders are known by address, since they may have left: the caller gives addresses of which equal
 * ones are the same host (the port is 0 where it says nothing).
 *
 * Pure. Memory is taken with the first bad piece, and bounded: when there is more to remember, the
 * oldest goes. */
#ifndef BT_CORE_BLAME_H
#define BT_CORE_BLAME_H

#include "bt/core/addr.h"

enum {
    BT_BLAME_STRIKES = 5,
    BT_BLAME_SENDERS = 256, /* remembered; more send bad pieces only in an attack */
    BT_BLAME_BLOCKS = 4096, /* remembered: 64 MiB of bad pieces, in 180 KiB */
    BT_BLAME_DIGEST = 32,
};

struct bt_blame_sender;
struct bt_blame_block;

struct bt_blame {
    struct bt_blame_sender *senders; /* owned */
    struct bt_blame_block *blocks;   /* owned; a ring, with holes */
    uint32_t n_senders, n_blocks, next_sender, next_block;
};

void bt_blame_release(struct bt_blame *b); /* accepts a zeroed one */

/* He sent some of a bad piece. True: that was once too often. */
bool bt_blame_strike(struct bt_blame *b, const struct bt_addr *who) TARN_MUST;
/* Has he any strikes? */
bool bt_blame_suspects(const struct bt_blame *b, const struct bt_addr *who);
/* All of a good piece is his. */
void bt_blame_pardon(struct bt_blame *b, const struct bt_addr *who);

/* What he sent for a block of a bad piece. True: it is not what he had sent before. */
bool bt_blame_remember(struct bt_blame *b, uint32_t piece, uint32_t block, const uint8_t *digest,
                       const struct bt_addr *who) TARN_MUST;
/* Is anything remembered of this piece? */
bool bt_blame_knows(const struct bt_blame *b, uint32_t piece);
/* The piece is good, with these digests of its n blocks, one after the other: it is forgotten, and
 * everybody who had sent something else is told, once each, at most max. */
size_t bt_blame_compare(struct bt_blame *b, uint32_t piece, const uint8_t *digests, uint32_t n,
                        struct bt_addr *liars, size_t max);

#endif
