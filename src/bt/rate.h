/* bt/rate: a limit in bytes a second, as a bucket that fills with time. Pure. */
#ifndef BT_RATE_H
#define BT_RATE_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

struct bt_rate {
    uint64_t limit_bps; /* 0: no limit */
    int64_t tokens;     /* bytes that may go now; below 0 after a whole block went */
    int64_t at_us;      /* when tokens was right */
    int64_t burst_us;   /* how long the bucket can save up; may be set after bt_rate_init */
};

enum { BT_RATE_BURST_US = 200 * 1000 };

void bt_rate_init(struct bt_rate *r, uint64_t limit_bps, int64_t now_us);

/* Another limit from now on; what was used beyond the old one still counts. */
void bt_rate_change(struct bt_rate *r, uint64_t limit_bps, int64_t now_us);

/* May anything go now? What goes is told by bt_rate_take, and may be more than was there. */
bool bt_rate_may(struct bt_rate *r, int64_t now_us);
void bt_rate_take(struct bt_rate *r, uint64_t bytes);

/* When something may go again. */
int64_t bt_rate_ready_at(const struct bt_rate *r);

/* A moving average over a few seconds: what people are shown. */
struct bt_meter {
    uint64_t last_total;
    int64_t at_us; /* 0: nothing measured yet */
    double bps;
};
void bt_meter_update(struct bt_meter *m, uint64_t total, int64_t now_us);

#endif
