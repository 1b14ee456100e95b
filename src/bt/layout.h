/* bt/layout: a torrent's files as store lays them out. */
#ifndef BT_LAYOUT_H
#define BT_LAYOUT_H

#include "bt/core/metainfo.h"
#include "store/layout.h"

/* The layout borrows names from m, which must live longer. Index i is m->files[i]. */
bool bt_layout_make(struct store_layout *l, const struct bt_metainfo *m, struct tarn_err *err)
    TARN_MUST;

/* Does piece i match what the torrent says? Compares every kind of hash that the torrent has and
 * that was computed (a digest that was not is NULL). work: the n_leaves leaf hashes, overwritten.
 * BT_SPLIT: v1 and v2 disagree about the same bytes, so the torrent itself is wrong. */
enum bt_match { BT_MATCH, BT_NO_MATCH, BT_SPLIT };
enum bt_match bt_piece_match(const struct bt_metainfo *m, uint32_t piece, const uint8_t *sha1,
                             uint8_t *work, uint32_t n_leaves);

#endif
