/* bt/core/picker_priv: what picker.c (who has what, order, verdicts) and pick.c (choosing) share.
 *
 * Buckets: 0 holds the pieces begun; then, for each priority from 7 to 1, one for each availability
 * up to a cap; the last holds what is not to be begun: had, or not wanted. A piece moves to the
 * next bucket by one swap with the bucket's edge, so a `have` costs one swap. */
#ifndef BT_CORE_PICKER_PRIV_H
#define BT_CORE_PICKER_PRIV_H

#include "bt/core/picker.h"

enum {
    AVAIL_CAP = 64, /* buckets of one priority: beyond this, rare is not rare */
    LEVELS = 7,     /* priorities that are wanted */
    BUCKET_BEGUN = 0,
    BUCKET_OPEN = 1,
    BUCKET_CLOSED = BUCKET_OPEN + LEVELS * AVAIL_CAP,
    BUCKETS = BUCKET_CLOSED + 1,
};

struct bt_block_state {
    bt_peer_no who[BT_COPIES_MAX]; /* asked of these; when here, who[0] sent it */
    uint8_t n_asked;
    bool is_here;
};

struct bt_partial {
    uint32_t piece;
    uint32_t n_blocks;
    uint32_t n_free;     /* neither here nor asked for */
    uint32_t n_here;     /* padding counts */
    uint32_t n_pads;     /* blocks of padding alone */
    uint32_t n_asked;    /* requests under way, copies counted */
    uint32_t first_free; /* no block before this one is free */
    bt_peer_no owner;    /* on parole: nobody else is asked; or BT_NO_PEER */
    uint8_t speed;       /* enum bt_speed: of who works on it */
    struct bt_block_state blocks[];
};

uint64_t picker_random(struct bt_picker *p);
void picker_sort(struct bt_picker *p); /* only when stale */

static inline bool picker_is_begun(const struct bt_picker *p, uint32_t piece)
{
    return p->place[piece] < p->n_partials;
}

static inline bool picker_is_open(const struct bt_picker *p, uint32_t piece)
{
    return tarn_bits_has(&p->need, piece) && !picker_is_begun(p, piece);
}

struct bt_partial *picker_partial(const struct bt_picker *p, uint32_t piece); /* or NULL */

/* Begin an open piece; the order is sorted. NULL: no memory, or too many. */
struct bt_partial *picker_begin(struct bt_picker *p, uint32_t piece, enum bt_speed speed);

#endif
