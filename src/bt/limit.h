/* bt/limit: a rate limit with a line of those who wait for it.
 *
 * A session has two, up and down; a torrent has its own when it is given one. Who may not send or
 * read now stands in line and is called when the bucket fills again, in order: whoever used it up
 * stands at the end. Lives on one loop. */
#ifndef BT_LIMIT_H
#define BT_LIMIT_H

#include "base/list.h"
#include "bt/rate.h"
#include "loop/loop.h"

struct bt_limit {
    struct loop *loop;
    struct bt_rate rate;
    struct loop_timer timer;
    struct tarn_list waiting;
    void (*go_on)(struct tarn_list *node); /* its turn: it asks bt_limit_may again */
};

/* bps: bytes a second; 0: no limit. */
void bt_limit_init(struct bt_limit *l, struct loop *loop, uint64_t bps,
                   void (*go_on)(struct tarn_list *node));
void bt_limit_set(struct bt_limit *l, uint64_t bps); /* from now on */
void bt_limit_release(struct bt_limit *l);           /* accepts a zeroed one */

/* May bytes go now? If not, node stands in line. It must be taken out (tarn_list_remove) before its
 * owner goes. */
bool bt_limit_may(struct bt_limit *l, struct tarn_list *node);

static inline void bt_limit_take(struct bt_limit *l, uint64_t bytes)
{
    bt_rate_take(&l->rate, bytes);
}

#endif
