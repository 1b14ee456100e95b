/* bt/core/turnover: see the header. */
#include "bt/core/turnover.h"

#include "base/num.h"

uint64_t bt_turnover_score(const struct bt_tenure *t)
{
    const uint64_t first = (uint64_t)1 << 62; /* beyond any time */
    if (t->is_given || t->age_us < BT_TENURE_US || t->idle_us < BT_TENURE_US)
        return 0;
    return (uint64_t)t->idle_us + (t->has_interest ? 0 : first);
}

void bt_turnover_begin(struct bt_turnover *t, uint64_t most)
{
    t->n = 0;
    t->most = (unsigned)tarn_min_u64(most, BT_TURNOVER_MAX);
}

void bt_turnover_offer(struct bt_turnover *t, void *who, uint64_t score)
{
    bool is_full = t->n == t->most;
    if (score == 0 || t->most == 0 || (is_full && t->worst[t->n - 1].score >= score))
        return;
    unsigned i = is_full ? t->n - 1 : t->n++;
    for (; i > 0 && t->worst[i - 1].score < score; i--)
        t->worst[i] = t->worst[i - 1];
    t->worst[i].score = score;
    t->worst[i].who = who;
}
