/* bt/core/uplink: see the header. The trick: while a queue stands the line is never idle, so that
 * what arrives at the peers in that time is exactly what the line carries. */
#include "bt/core/uplink.h"

#include "base/num.h"
#include "bt/core/wire.h"

#include <string.h>

enum {
    SECOND_US = 1000 * 1000,
    TRUST_US = 2 * SECOND_US, /* by then a newcomer has seen the queue empty, as a rule */
    GAP_US = 2 * SECOND_US,   /* without a round: what was measured before is of another time */
    RATE_ROUNDS = 4,          /* over so many rounds a rate is measured, and longer ... */
    RATE_BYTES = 128 << 10,   /* ... until it holds so many bytes: blocks come in lumps */
    HELD_PARTS = 8,           /* of a second of the line: what may wait in connections */
    RECUT_US = 1500 * 1000,   /* a cut drains the queue in a second, and is seen a little later */
    PARTS = 1024,             /* of which the shares below are so many */
    CUT_MIN = 51,             /* 5 %: the least cut */
    CUT_MAX = PARTS / 2,
    RESTART = PARTS - 51, /* the share of the capacity at which a drained line starts again */
    RISE_MIN = 5,         /* half a percent a round: 25 ms of queue in the second after it fills */
    RISE_MAX = PARTS / 8,
    RISE_ROUNDS = 10, /* far from the known capacity the step doubles each second */
    KNOWN = PARTS + 51,
};

void bt_uplink_init(struct bt_uplink *u)
{
    *u = (struct bt_uplink){ 0 };
}

static uint64_t share(uint64_t of, uint32_t parts)
{
    return of / PARTS * parts + of % PARTS * parts / PARTS;
}

/* The shortest round trip of this connection, or 0. */
static uint32_t base_of(const struct bt_uplink_peer *p)
{
    uint32_t least = 0;
    for (size_t i = 0; i < BT_UPLINK_SLOTS; i++)
        if (p->base_us[i] != 0 && (least == 0 || p->base_us[i] < least))
            least = p->base_us[i];
    return least;
}

bool bt_uplink_is_near(const struct bt_uplink_peer *p)
{
    uint32_t base = base_of(p);
    return base != 0 && base < BT_UPLINK_NEAR_US;
}

static void turn_slots(struct bt_uplink_peer *p, int64_t now_us)
{
    int64_t passed = (now_us - p->slot_at_us) / BT_UPLINK_SLOT_US;
    size_t n = passed < BT_UPLINK_SLOTS ? (size_t)passed : BT_UPLINK_SLOTS;
    if (n == 0)
        return;
    memmove(p->base_us + n, p->base_us, (BT_UPLINK_SLOTS - n) * sizeof p->base_us[0]);
    memset(p->base_us, 0, n * sizeof p->base_us[0]);
    p->slot_at_us = now_us;
}

/* Bytes that arrived since its last sample. The system's minimum is news only when it has changed:
 * it may be older than our slots. */
static uint64_t take(struct bt_uplink_peer *p, const struct bt_uplink_sample *s, int64_t now_us)
{
    bool is_first = p->at_us == 0;
    uint32_t least = s->rtt_us;
    if (is_first)
        p->since_us = p->slot_at_us = now_us;
    turn_slots(p, now_us);
    if (s->least_us != 0 && s->least_us < least && (is_first || s->least_us != p->least_us))
        least = s->least_us;
    if (p->base_us[0] == 0 || least < p->base_us[0])
        p->base_us[0] = least > 0 ? least : 1;
    uint64_t arrived = is_first || s->acked < p->acked ? 0 : s->acked - p->acked;
    p->acked = s->acked;
    p->least_us = s->least_us;
    p->at_us = now_us;
    return arrived;
}

struct seen {
    uint32_t delays[BT_UPLINK_SAMPLES_MAX]; /* sorted */
    size_t n;
    uint64_t bytes, waiting;
};

static void note_delay(struct seen *s, uint32_t delay_us)
{
    size_t i = s->n++;
    for (; i > 0 && s->delays[i - 1] > delay_us; i--)
        s->delays[i] = s->delays[i - 1];
    s->delays[i] = delay_us;
}

/* The queueing of all whose round trip is fresh; of newcomers only when there is nobody else: a
 * connection that began while the queue stood takes it for distance. */
static void look(struct seen *seen, const struct bt_uplink_sample *samples, size_t n,
                 int64_t now_us)
{
    struct seen young = { .n = 0 };
    *seen = (struct seen){ .n = 0 };
    for (size_t i = 0; i < n && i < BT_UPLINK_SAMPLES_MAX; i++) {
        struct bt_uplink_peer *p = samples[i].peer;
        uint64_t arrived = take(p, &samples[i], now_us);
        if (bt_uplink_is_near(p))
            continue;
        seen->waiting += samples[i].waiting;
        if (arrived == 0)
            continue;
        uint32_t base = base_of(p), rtt = samples[i].rtt_us;
        seen->bytes += arrived;
        note_delay(now_us - p->since_us >= TRUST_US ? seen : &young, rtt > base ? rtt - base : 0);
    }
    if (seen->n > 0)
        return;
    memcpy(seen->delays, young.delays, sizeof young.delays);
    seen->n = young.n;
}

static void note_rate(struct bt_uplink *u, uint64_t bytes, int64_t us)
{
    uint32_t at = u->n_rates++ % BT_UPLINK_RATES;
    u->rates[at].bytes = bytes;
    u->rates[at].us = us;
}

/* What arrived a second, lately. */
static uint64_t rate_of(const struct bt_uplink *u)
{
    uint64_t bytes = 0;
    int64_t us = 0;
    for (uint32_t k = 0; k < BT_UPLINK_RATES && k < u->n_rates; k++) {
        uint32_t at = (u->n_rates - 1 - k) % BT_UPLINK_RATES;
        bytes += u->rates[at].bytes;
        us += u->rates[at].us;
        if (k + 1 >= RATE_ROUNDS && bytes >= RATE_BYTES)
            break;
    }
    return us <= 0 ? 0 : (uint64_t)((double)bytes * SECOND_US / (double)us);
}

/* A moment's jitter is no queue: the least of the last rounds counts. */
static uint32_t standing(const struct bt_uplink *u)
{
    uint32_t least = UINT32_MAX;
    if (u->n_delays < BT_UPLINK_DELAYS)
        return 0;
    for (size_t i = 0; i < BT_UPLINK_DELAYS; i++)
        least = u->delays[i] < least ? u->delays[i] : least;
    return least;
}

/* A block leaves in one burst: the end of it waits for its beginning. */
static uint32_t target_for(uint64_t rate_bps)
{
    uint64_t block_us =
        (uint64_t)BT_BLOCK * SECOND_US / tarn_max_u64(rate_bps, BT_UPLINK_FLOOR_BPS);
    return BT_UPLINK_TARGET_US + (uint32_t)block_us;
}

/* The queue stands: down to what drains it in about a second. */
static void cut(struct bt_uplink *u, uint64_t rate_bps, uint32_t delay_us, int64_t now_us)
{
    uint64_t less = (uint64_t)delay_us * PARTS / SECOND_US;
    less = tarn_min_u64(tarn_max_u64(less, CUT_MIN), CUT_MAX);
    /* What arrives is much less than allowed: the queue is not ours, and tells nothing about what
     * the line can do. */
    rate_bps = tarn_max_u64(rate_bps, u->limit_bps / 2);
    bool is_alike =
        rate_bps > share(u->capacity_bps, RESTART) && rate_bps < share(u->capacity_bps, KNOWN);
    u->capacity_bps = is_alike ? (u->capacity_bps * 3 + rate_bps) / 4 : rate_bps;
    u->is_held = u->limit_bps == 0;
    u->limit_bps =
        tarn_max_u64(share(u->capacity_bps, PARTS - (uint32_t)less), BT_UPLINK_FLOOR_BPS);
    u->cut_at_us = now_us;
    u->cut_delay_us = delay_us;
    u->is_draining = true;
    u->n_rising = 0;
    u->n_delays = 0;
}

/* Arrivals while the queue stands are the line's rate; at the first cut they were still growing. */
static void hold(struct bt_uplink *u, const struct seen *seen, uint64_t rate_bps)
{
    u->capacity_bps = tarn_max_u64(u->capacity_bps, rate_bps);
    u->is_held = seen->waiting > u->capacity_bps / HELD_PARTS;
}

static void drain(struct bt_uplink *u, const struct seen *seen, uint64_t rate_bps, int64_t now_us)
{
    if (u->is_held)
        hold(u, seen, rate_bps);
    if (u->delay_us <= target_for(u->limit_bps) / 2) {
        uint64_t restart = share(u->capacity_bps, RESTART);
        u->limit_bps = tarn_max_u64(u->limit_bps, restart);
        u->is_draining = u->is_held = false;
        u->n_delays = 0;
    } else if (now_us - u->cut_at_us >= RECUT_US + u->delay_us) {
        /* More arrives than is allowed: what was queued before the cut is still on its way. */
        bool is_early = rate_bps > share(u->limit_bps, KNOWN);
        if (is_early || u->delay_us < u->cut_delay_us / 4 * 3) {
            u->cut_at_us = now_us;
            u->cut_delay_us = u->delay_us;
        } else {
            cut(u, tarn_min_u64(rate_bps, u->limit_bps), u->delay_us, now_us);
        }
    }
}

static void rise(struct bt_uplink *u, uint64_t rate_bps)
{
    if (rate_bps < share(u->limit_bps, PARTS * 3 / 4))
        return; /* nobody wants more */
    uint32_t step = RISE_MIN;
    if (u->limit_bps >= share(u->capacity_bps, KNOWN)) {
        uint32_t doubled = u->n_rising++ / RISE_ROUNDS;
        step = doubled < 8 ? (uint32_t)RISE_MIN << doubled : RISE_MAX;
        step = step < RISE_MAX ? step : RISE_MAX;
    }
    u->limit_bps += share(u->limit_bps, step) + 1;
}

void bt_uplink_round(struct bt_uplink *u, const struct bt_uplink_sample *samples, size_t n,
                     int64_t now_us)
{
    struct seen seen;
    int64_t passed = now_us - u->at_us;
    u->at_us = now_us;
    if (u->limit_bps != 0 && now_us - u->cut_at_us > BT_UPLINK_FORGET_US) {
        bt_uplink_init(u);
        u->at_us = now_us;
    }
    look(&seen, samples, n, now_us);
    if (passed > GAP_US) /* nobody was served */
        u->n_rates = u->n_delays = 0;
    else
        note_rate(u, seen.bytes, passed);
    if (n == 0 || now_us - u->fresh_us > GAP_US)
        u->is_held = false; /* nothing is on its way any more, or it stalls */
    if (seen.n == 0)
        return;
    u->fresh_us = now_us;
    if (passed > GAP_US)
        return;
    u->delay_us = seen.delays[seen.n / 4]; /* one peer's own slow line is not ours */
    u->delays[u->n_delays++ % BT_UPLINK_DELAYS] = u->delay_us;
    uint64_t rate_bps = rate_of(u);
    uint32_t stands = standing(u);
    if (u->limit_bps != 0 && u->is_draining)
        drain(u, &seen, rate_bps, now_us);
    else if (stands > target_for(u->limit_bps != 0 ? u->limit_bps : rate_bps))
        cut(u, rate_bps, u->delay_us, now_us);
    else if (u->limit_bps != 0)
        rise(u, rate_bps);
}
