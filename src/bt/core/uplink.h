/* bt/core/uplink: how fast to upload so that the home line's queue stays short.
 *
 * A home router holds a second and more of what it cannot send at once; loss-based TCP fills it,
 * and everybody in the house waits behind. The queue shows in the round trips of our own
 * connections: what they take beyond the shortest seen is time spent in queues, and the queue that
 * all share shows on all of them. While that time is short there is no limit. When it grows, the
 * line is full and what arrives at the peers is its rate: the limit is set a little below until the
 * queue has drained, and then creeps up until it shows again. So the queue is empty every few
 * seconds, which keeps the shortest round trips true. Other traffic in the queue makes the limit
 * fall further, as LEDBAT (RFC 6817) does.
 *
 * Pure: times and measurements in, a limit out; nothing is allocated. One thread. */
#ifndef BT_CORE_UPLINK_H
#define BT_CORE_UPLINK_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BT_UPLINK_ROUND_US = 100 * 1000, /* between two calls while somebody is served */
    /* Queueing that is left alone: less than people hear in a call (LEDBAT allows 100 ms). The time
     * that the line needs for one block comes on top. */
    BT_UPLINK_TARGET_US = 25 * 1000,
    /* Round trips shorter than this stay in the house or the data centre: such a peer tells nothing
     * about the line, and is not to be held back for it. */
    BT_UPLINK_NEAR_US = 1000,
    BT_UPLINK_FLOOR_BPS = 16 << 10, /* no limit is lower, whatever fills the queue */
    BT_UPLINK_SAMPLES_MAX = 32,     /* connections looked at in one round */
    /* The shortest round trip is of the last four minutes: a new route may be longer. */
    BT_UPLINK_SLOTS = 4,
    BT_UPLINK_SLOT_US = 60 * 1000 * 1000,
    BT_UPLINK_FORGET_US = 600 * 1000 * 1000, /* a limit that nothing has asked for so long goes */
};

/* What is kept for one connection; zeroed when it begins. */
struct bt_uplink_peer {
    uint64_t acked;                    /* as last told */
    int64_t since_us, at_us;           /* first and last sample; at_us 0: none yet */
    int64_t slot_at_us;                /* when base_us[0] began */
    uint32_t least_us;                 /* the system's own minimum, as last told */
    uint32_t base_us[BT_UPLINK_SLOTS]; /* shortest round trip of each slot, newest first; 0: none */
};

struct bt_uplink_sample {
    struct bt_uplink_peer *peer;
    uint64_t acked;    /* bytes that have arrived there since the connection began */
    uint64_t waiting;  /* bytes given to the connection that have not yet left here */
    uint32_t rtt_us;   /* smoothed by the system over the last few */
    uint32_t least_us; /* the shortest that the system remembers; 0: it does not say */
};

enum { BT_UPLINK_RATES = 16, BT_UPLINK_DELAYS = 3 };

struct bt_uplink {
    uint64_t limit_bps;    /* the answer: bytes a second; 0: no limit */
    uint64_t capacity_bps; /* what the line carried when it was last full; 0: never seen */
    uint32_t delay_us;     /* queueing as last seen */
    /* The limit has just begun, and what was queued before it is still on its way: queue nothing
     * more for now, whatever limit_bps says. */
    bool is_held;
    /* private */
    int64_t at_us, fresh_us, cut_at_us; /* the last round; the last that told anything; cut */
    uint32_t cut_delay_us;              /* queueing at the last cut */
    uint32_t n_rising;                  /* rounds since the limit last began to rise */
    bool is_draining;
    struct {
        uint64_t bytes;
        int64_t us;
    } rates[BT_UPLINK_RATES]; /* what arrived in the last rounds; a ring */
    uint32_t delays[BT_UPLINK_DELAYS];
    uint32_t n_rates, n_delays; /* ever put into the rings */
};

void bt_uplink_init(struct bt_uplink *u);

/* One round: at most BT_UPLINK_SAMPLES_MAX of the connections that upload now; when there are more,
 * others each time. None, when the last one has ended. */
void bt_uplink_round(struct bt_uplink *u, const struct bt_uplink_sample *samples, size_t n,
                     int64_t now_us);

/* Is this peer too near to be behind the line? False until it was sampled. */
bool bt_uplink_is_near(const struct bt_uplink_peer *p);

#endif
