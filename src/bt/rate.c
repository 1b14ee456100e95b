/* bt/rate: token buckets and meters. */
#include "bt/rate.h"

enum { SECOND_US = 1000000 };

void bt_rate_init(struct bt_rate *r, uint64_t limit_bps, int64_t now_us)
{
    *r = (struct bt_rate){ .limit_bps = limit_bps, .at_us = now_us, .burst_us = BT_RATE_BURST_US };
}

static int64_t burst(const struct bt_rate *r)
{
    return (int64_t)(r->limit_bps * (uint64_t)r->burst_us / SECOND_US) + 1;
}

bool bt_rate_may(struct bt_rate *r, int64_t now_us)
{
    if (r->limit_bps == 0)
        return true;
    int64_t passed_us = now_us - r->at_us;
    if (passed_us > r->burst_us)
        passed_us = r->burst_us + (r->tokens < 0 ? passed_us - r->burst_us : 0);
    r->tokens += (int64_t)((double)passed_us * (double)r->limit_bps / SECOND_US);
    if (r->tokens > burst(r))
        r->tokens = burst(r);
    r->at_us = now_us;
    return r->tokens > 0;
}

void bt_rate_change(struct bt_rate *r, uint64_t limit_bps, int64_t now_us)
{
    (void)bt_rate_may(r, now_us); /* the time so far goes by the old limit */
    bool is_new = r->limit_bps == 0;
    r->limit_bps = limit_bps;
    if (is_new)
        r->tokens = 0;
    else if (r->tokens > burst(r))
        r->tokens = burst(r);
    r->at_us = now_us;
}

void bt_rate_take(struct bt_rate *r, uint64_t bytes)
{
    if (r->limit_bps != 0)
        r->tokens -= (int64_t)bytes;
}

int64_t bt_rate_ready_at(const struct bt_rate *r)
{
    if (r->limit_bps == 0 || r->tokens > 0)
        return r->at_us;
    return r->at_us + (int64_t)((double)(1 - r->tokens) * SECOND_US / (double)r->limit_bps) + 1;
}

void bt_meter_update(struct bt_meter *m, uint64_t total, int64_t now_us)
{
    if (m->at_us != 0 && now_us > m->at_us) {
        double seconds = (double)(now_us - m->at_us) / SECOND_US;
        double now_bps = (double)(total - m->last_total) / seconds;
        double weight = seconds / (seconds + 3.0); /* old measurements fade within some 3 s */
        m->bps += (now_bps - m->bps) * weight;
    }
    m->last_total = total;
    m->at_us = now_us;
}
