/* A home line in a variable: one drop-tail queue that several TCP-like flows share, stepped a
 * millisecond at a time, with the upload limiter in front of some of them. TCP here is slow start,
 * one packet more each round trip, half the window on loss: what fills queues. */
#ifndef BT_CORE_TEST_LINE_H
#define BT_CORE_TEST_LINE_H

#include "base/mem.h"
#include "base/num.h"
#include "bt/core/uplink.h"
#include "bt/core/wire.h"

enum {
    MS = 1000,
    SECOND = 1000 * MS,
    PACKET = 1500,
    FLOWS_MAX = 40,
    RING = 1 << 14,      /* packets under way, of a flow or in the queue */
    BACKLOG = 192 << 10, /* queued ahead for each, in the kernel and before it */
    BURST_US = 25 * MS,
};

struct flow {
    struct bt_uplink_peer peer;
    int64_t base_us;
    uint64_t far_bps;   /* the peer's own line; 0: as fast as you like */
    uint64_t wants_bps; /* asks for no more than that; 0: all it can get */
    bool is_house;      /* somebody else's: no limit, not sampled */
    bool is_on;
    double cwnd, threshold;
    uint32_t in_flight;
    uint64_t backlog, acked;
    double srtt_us, asked;
    uint32_t least_us;
    int64_t halved_us, far_free_us;
    struct {
        int64_t at_us, sent_us;
    } acks[RING];
    uint32_t first, n;
};

struct line {
    struct bt_uplink u;
    bool has_limiter;
    uint64_t bps, queue_max;
    int64_t now_us;
    struct {
        uint32_t flow;
        int64_t sent_us;
    } queue[RING];
    uint32_t first, n;
    double credit, tokens;
    struct flow flows[FLOWS_MAX];
    uint32_t n_flows, turn;
    /* measured since line_measure */
    int64_t since_us;
    uint64_t ours, theirs; /* bytes that left */
    double queue_sum_us;
    int64_t queue_worst_us;
};

static inline struct line *line_new(uint64_t bps, uint64_t queue_max, bool has_limiter)
{
    struct line *l = tarn_calloc(1, sizeof *l);
    l->bps = bps;
    l->queue_max = queue_max;
    l->has_limiter = has_limiter;
    l->now_us = SECOND;
    bt_uplink_init(&l->u);
    return l;
}

static inline int64_t line_queue_us(const struct line *l)
{
    return (int64_t)((double)l->n * PACKET * SECOND / (double)l->bps);
}

static inline struct flow *line_add(struct line *l, int64_t base_us)
{
    struct flow *f = &l->flows[l->n_flows++];
    *f = (struct flow){ .base_us = base_us, .is_on = true, .cwnd = 10, .threshold = 1e9 };
    f->least_us = (uint32_t)(base_us + line_queue_us(l)); /* what connecting took */
    return f;
}

static inline void flow_lost(struct flow *f, int64_t now_us)
{
    if (now_us - f->halved_us < (int64_t)f->srtt_us)
        return; /* once a round trip */
    f->halved_us = now_us;
    f->threshold = f->cwnd / 2 > 2 ? f->cwnd / 2 : 2;
    f->cwnd = f->threshold;
}

static inline void flow_send(struct line *l, uint32_t i)
{
    struct flow *f = &l->flows[i];
    while (f->is_on && f->in_flight < f->cwnd && f->backlog >= PACKET && f->in_flight < RING - 1) {
        if ((uint64_t)(l->n + 1) * PACKET > l->queue_max || l->n == RING) {
            flow_lost(f, l->now_us);
            return;
        }
        uint32_t at = (l->first + l->n++) % RING;
        l->queue[at].flow = i;
        l->queue[at].sent_us = l->now_us;
        f->in_flight++;
        f->backlog -= PACKET;
    }
}

/* A packet has left the line: when its acknowledgement comes. */
static inline void flow_left(struct line *l, struct flow *f, int64_t sent_us)
{
    int64_t at = l->now_us;
    if (f->far_bps != 0) {
        at = f->far_free_us > at ? f->far_free_us : at;
        at += (int64_t)((double)PACKET * SECOND / (double)f->far_bps);
        f->far_free_us = at;
        if (at - l->now_us > SECOND / 2)
            flow_lost(f, l->now_us);
    }
    uint32_t k = (f->first + f->n++) % RING;
    f->acks[k].at_us = at + f->base_us;
    f->acks[k].sent_us = sent_us;
}

static inline void flow_acks(struct line *l, struct flow *f)
{
    while (f->n > 0 && f->acks[f->first].at_us <= l->now_us) {
        double rtt = (double)(f->acks[f->first].at_us - f->acks[f->first].sent_us);
        f->srtt_us += f->srtt_us == 0 ? rtt : (rtt - f->srtt_us) / 8;
        if (rtt < f->least_us)
            f->least_us = (uint32_t)rtt;
        bool is_full = f->in_flight >= f->cwnd - 1;
        f->first = (f->first + 1) % RING;
        f->n--;
        f->in_flight--;
        f->acked += PACKET;
        if (is_full && f->cwnd < RING / 2)
            f->cwnd += f->cwnd < f->threshold ? 1 : 1 / f->cwnd;
    }
}

static inline bool flow_takes(const struct flow *f)
{
    bool wants = f->wants_bps == 0 || f->asked >= BT_BLOCK;
    return f->is_on && wants && f->backlog + BT_BLOCK <= BACKLOG;
}

/* The limit is a bucket; those who want take turns, a block each. */
static inline void line_feed(struct line *l)
{
    uint64_t limit = l->has_limiter ? l->u.limit_bps : 0;
    bool held = l->has_limiter && l->u.is_held;
    l->tokens += (double)limit * MS / SECOND;
    double burst = (double)limit * BURST_US / SECOND + 1;
    l->tokens = l->tokens > burst ? burst : l->tokens;
    for (uint32_t i = 0; i < l->n_flows; i++) {
        struct flow *f = &l->flows[i];
        f->asked += (double)f->wants_bps * MS / SECOND;
        f->asked = f->asked > 2 * BT_BLOCK ? 2 * BT_BLOCK : f->asked;
        if (f->is_house && f->wants_bps == 0)
            f->backlog = BACKLOG;
        else if (f->is_house)
            f->backlog = (uint64_t)f->asked;
        if (f->is_house && f->asked > PACKET)
            f->asked -= PACKET;
    }
    for (uint32_t idle = 0; idle < l->n_flows && !held && (limit == 0 || l->tokens > 0);) {
        struct flow *f = &l->flows[l->turn++ % l->n_flows];
        idle++;
        if (f->is_house || !flow_takes(f))
            continue;
        f->backlog += BT_BLOCK;
        f->asked -= f->wants_bps == 0 ? 0 : BT_BLOCK;
        l->tokens -= limit == 0 ? 0 : BT_BLOCK;
        idle = 0;
    }
}

static inline void line_round(struct line *l)
{
    struct bt_uplink_sample samples[BT_UPLINK_SAMPLES_MAX];
    size_t n = 0;
    for (uint32_t i = 0; i < l->n_flows && n < BT_UPLINK_SAMPLES_MAX; i++) {
        struct flow *f = &l->flows[i];
        if (!f->is_house && f->is_on && f->srtt_us > 0)
            samples[n++] = (struct bt_uplink_sample){ &f->peer, f->acked, f->backlog,
                                                      (uint32_t)f->srtt_us, f->least_us };
    }
    if (n > 0)
        bt_uplink_round(&l->u, samples, n, l->now_us);
}

static inline void line_step(struct line *l)
{
    l->now_us += MS;
    line_feed(l);
    for (uint32_t i = 0; i < l->n_flows; i++)
        flow_send(l, (i + l->turn) % l->n_flows);
    l->credit += (double)l->bps * MS / SECOND;
    while (l->n > 0 && l->credit >= PACKET) {
        struct flow *f = &l->flows[l->queue[l->first].flow];
        flow_left(l, f, l->queue[l->first].sent_us);
        *(f->is_house ? &l->theirs : &l->ours) += PACKET;
        l->first = (l->first + 1) % RING;
        l->n--;
        l->credit -= PACKET;
    }
    if (l->n == 0 && l->credit > PACKET)
        l->credit = PACKET;
    for (uint32_t i = 0; i < l->n_flows; i++)
        flow_acks(l, &l->flows[i]);
    if (l->now_us % BT_UPLINK_ROUND_US == 0)
        line_round(l);
    int64_t queue = line_queue_us(l);
    l->queue_sum_us += (double)queue;
    l->queue_worst_us = queue > l->queue_worst_us ? queue : l->queue_worst_us;
}

static inline void line_measure(struct line *l)
{
    l->since_us = l->now_us;
    l->ours = l->theirs = 0;
    l->queue_sum_us = 0;
    l->queue_worst_us = 0;
}

static inline void line_run(struct line *l, int64_t us)
{
    for (int64_t end = l->now_us + us; l->now_us < end;)
        line_step(l);
}

/* Since line_measure: the share of the line that was ours, in percent; the queue's mean. */
static inline double line_use(const struct line *l)
{
    double could = (double)l->bps * (double)(l->now_us - l->since_us) / SECOND;
    return (double)l->ours * 100 / could;
}

static inline double line_mean_ms(const struct line *l)
{
    return l->queue_sum_us * MS / (double)(l->now_us - l->since_us) / MS;
}

#endif
