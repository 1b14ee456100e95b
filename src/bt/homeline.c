/* bt/homeline: the upload limit that keeps the home line's queue short: who uploads is sampled ten
 * times a second, bt/core/uplink says how much may go. When nobody uploads there is no timer, and
 * peers near by are let alone after one look at them. */
#include "bt/priv.h"

#include "base/num.h"

enum {
    /* Ours. What waits in front of a socket is sent whatever the limit says later; this is enough
     * for every wake-up to find something, at any rate (on_drain comes when less than
     * LOOP_STREAM_LOW waits). */
    AHEAD = LOOP_STREAM_LOW,
    BURST_US = 25 * 1000, /* what a pause may save up lands in the queue at once */
};

static void go_on(struct bt_homeline *h)
{
    struct tarn_list now, *node;
    tarn_list_init(&now);
    while ((node = tarn_list_pop_front(&h->held)) != NULL)
        tarn_list_push_back(&now, node);
    while ((node = tarn_list_pop_front(&now)) != NULL)
        bt_upload_go_on(node);
}

/* Nothing waits here, in the socket or on the way. */
static bool is_done(const struct bt_conn *c, const struct sys_tcp_info *info)
{
    return c->uploads.n == 0 && c->stream.queued == 0 && info->unsent == 0 && info->in_flight == 0;
}

/* Each uploading connection in turn; those that have done leave. */
static size_t sample(struct bt_homeline *h, struct bt_uplink_sample *samples)
{
    struct tarn_list looked, *node;
    size_t n = 0;
    tarn_list_init(&looked);
    while (n < BT_UPLINK_SAMPLES_MAX && (node = tarn_list_pop_front(&h->uploading)) != NULL) {
        struct bt_conn *c = TARN_OUTER(node, struct bt_conn, homeline_node);
        struct sys_tcp_info info;
        if (!sys_tcp_info(c->stream.watch.fd, &info))
            continue;
        samples[n++] = (struct bt_uplink_sample){
            .peer = &c->uplink,
            .acked = info.acked,
            .waiting = c->stream.queued + info.unsent,
            .rtt_us = info.rtt_us,
            .least_us = info.min_rtt_us,
        };
        if (!is_done(c, &info))
            tarn_list_push_back(&looked, node);
    }
    while ((node = tarn_list_pop_front(&looked)) != NULL)
        tarn_list_push_back(&h->uploading, node);
    return n;
}

static void drop_near(struct bt_homeline *h)
{
    for (struct tarn_list *node = h->uploading.next, *next; node != &h->uploading; node = next) {
        next = node->next;
        if (bt_uplink_is_near(&TARN_OUTER(node, struct bt_conn, homeline_node)->uplink))
            tarn_list_remove(node);
    }
}

static void next_round(struct bt_homeline *h, int64_t now_us)
{
    h->is_timed = !tarn_list_empty(&h->uploading) &&
                  loop_timer_set(h->limit.loop, &h->round, now_us + BT_UPLINK_ROUND_US);
}

static void on_round(struct loop_timer *timer)
{
    struct bt_homeline *h = TARN_OUTER(timer, struct bt_homeline, round);
    struct bt_uplink_sample samples[BT_UPLINK_SAMPLES_MAX];
    int64_t now = loop_now_us(h->limit.loop);
    size_t n = sample(h, samples);
    bt_uplink_round(&h->uplink, samples, n, now);
    drop_near(h);
    next_round(h, now);
    if (!h->is_timed && h->uplink.is_held) /* nobody is left to wait for */
        bt_uplink_round(&h->uplink, NULL, 0, now);
    bt_limit_set(&h->limit, h->uplink.limit_bps);
    if (!h->uplink.is_held)
        go_on(h);
}

void bt_homeline_init(struct bt_homeline *h, struct loop *loop, bool is_on)
{
    *h = (struct bt_homeline){ .is_on = is_on, .round = { .on_time = on_round } };
    bt_uplink_init(&h->uplink);
    bt_limit_init(&h->limit, loop, 0, bt_upload_go_on);
    h->limit.rate.burst_us = BURST_US;
    tarn_list_init(&h->uploading);
    tarn_list_init(&h->held);
}

void bt_homeline_release(struct bt_homeline *h)
{
    if (h->limit.loop != NULL)
        loop_timer_stop(h->limit.loop, &h->round);
    bt_limit_release(&h->limit);
}

static bool concerns(const struct bt_homeline *h, const struct bt_conn *c)
{
    return h->is_on && !bt_uplink_is_near(&c->uplink);
}

size_t bt_homeline_ahead(const struct bt_conn *c, size_t most)
{
    return concerns(&c->session->homeline, c) ? tarn_min_size(most, AHEAD) : most;
}

bool bt_homeline_may(struct bt_conn *c)
{
    struct bt_homeline *h = &c->session->homeline;
    if (!concerns(h, c))
        return true;
    if (!h->uplink.is_held)
        return bt_limit_may(&h->limit, &c->up_line);
    tarn_list_remove(&c->up_line);
    tarn_list_push_back(&h->held, &c->up_line);
    return false;
}

void bt_homeline_take(struct bt_conn *c, uint64_t bytes)
{
    struct bt_homeline *h = &c->session->homeline;
    if (!concerns(h, c))
        return;
    bt_limit_take(&h->limit, bytes);
    if (!tarn_list_is_in(&c->homeline_node))
        tarn_list_push_back(&h->uploading, &c->homeline_node);
    if (!h->is_timed)
        next_round(h, loop_now_us(h->limit.loop));
}
