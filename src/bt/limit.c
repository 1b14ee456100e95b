/* bt/limit: see the header. */
#include "bt/limit.h"

static void call_all(struct bt_limit *l)
{
    struct tarn_list now, *node;
    tarn_list_init(&now);
    while ((node = tarn_list_pop_front(&l->waiting)) != NULL)
        tarn_list_push_back(&now, node);
    while ((node = tarn_list_pop_front(&now)) != NULL) {
        l->go_on(node);
        if (!bt_rate_may(&l->rate, loop_now_us(l->loop)))
            break;
    }
    if (tarn_list_empty(&now))
        return;
    while ((node = tarn_list_pop_front(&l->waiting)) != NULL)
        tarn_list_push_back(&now, node); /* behind those whose turn has not come */
    while ((node = tarn_list_pop_front(&now)) != NULL)
        tarn_list_push_back(&l->waiting, node);
    bool waits = loop_timer_set(l->loop, &l->timer, bt_rate_ready_at(&l->rate));
    (void)waits; /* it was in just now, so there is memory for it */
}

static void on_filled(struct loop_timer *timer)
{
    call_all(TARN_OUTER(timer, struct bt_limit, timer));
}

void bt_limit_init(struct bt_limit *l, struct loop *loop, uint64_t bps,
                   void (*go_on)(struct tarn_list *node))
{
    *l = (struct bt_limit){ .loop = loop, .timer.on_time = on_filled, .go_on = go_on };
    tarn_list_init(&l->waiting);
    bt_rate_init(&l->rate, bps, loop_now_us(loop));
}

void bt_limit_set(struct bt_limit *l, uint64_t bps)
{
    if (bps == l->rate.limit_bps)
        return;
    bt_rate_change(&l->rate, bps, loop_now_us(l->loop));
    if (!tarn_list_empty(&l->waiting)) /* those in line go by the new rate */
        loop_timer_stop(l->loop, &l->timer);
    call_all(l);
}

void bt_limit_release(struct bt_limit *l)
{
    if (l->loop != NULL)
        loop_timer_stop(l->loop, &l->timer);
}

bool bt_limit_may(struct bt_limit *l, struct tarn_list *node)
{
    if (bt_rate_may(&l->rate, loop_now_us(l->loop)))
        return true;
    bool is_first = tarn_list_empty(&l->waiting);
    if (is_first && !loop_timer_set(l->loop, &l->timer, bt_rate_ready_at(&l->rate)))
        return true; /* without memory for the timer a limit is better broken than for ever */
    tarn_list_remove(node);
    tarn_list_push_back(&l->waiting, node);
    return false;
}
