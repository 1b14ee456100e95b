/* bt/core/tiers: whom to announce to, and when; see tracker.h. Everything follows from one
 * question, asked of each tracker: when is it due? The answer does not depend on the time now, so
 * the same walk finds what is due and when to wake. */
#include "base/mem.h"
#include "base/num.h"
#include "bt/core/tracker.h"

#include <assert.h>

enum { SECOND_US = 1000 * 1000 };

struct bt_tracker_at {
    const char *url; /* borrowed */
    char *known_as;  /* owned: its tracker id; NULL: none */
    uint32_t id;
    uint16_t tier;
    uint16_t fails;      /* in a row */
    int64_t next_us;     /* the regular announce, or the next try; INT64_MIN: never tried */
    int64_t earliest_us; /* not before, when we are in a hurry */
    bool is_busy;        /* an announce is under way: `event` */
    bool is_off;         /* never again */
    bool knows_us;       /* answered a started, and no stopped since */
    bool has_completed;  /* answered a completed, or needs none */
    enum bt_announce_event event;
};

static uint64_t next_random(struct bt_trackers *t)
{
    uint64_t z = t->random += 0x9E3779B97F4A7C15; /* splitmix64 */
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

static void swap(struct bt_tracker_at *a, struct bt_tracker_at *b)
{
    struct bt_tracker_at c = *a;
    *a = *b;
    *b = c;
}

/* By tier, and at random within one. */
static void shuffle(struct bt_trackers *t)
{
    for (uint32_t i = t->n; i-- > 1;)
        swap(&t->at[i], &t->at[next_random(t) % ((uint64_t)i + 1)]);
    for (uint32_t i = 1; i < t->n; i++) /* few, and mostly sorted already */
        for (uint32_t k = i; k > 0 && t->at[k].tier < t->at[k - 1].tier; k--)
            swap(&t->at[k], &t->at[k - 1]);
}

bool bt_trackers_init(struct bt_trackers *t, const struct bt_tracker *list, uint32_t n,
                      bool all_tiers, uint64_t seed, struct tarn_err *err)
{
    struct bt_tracker_at *at = tarn_calloc(n, sizeof *at);
    if (at == NULL)
        return tarn_fail_mem(err, "listing trackers");
    for (uint32_t i = 0; i < n; i++)
        at[i] = (struct bt_tracker_at){
            .url = list[i].url, .tier = list[i].tier, .id = i, .next_us = INT64_MIN
        };
    *t = (struct bt_trackers){ .at = at, .n = n, .all_tiers = all_tiers, .random = seed };
    shuffle(t);
    return true;
}

void bt_trackers_release(struct bt_trackers *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        tarn_free(t->at[i].known_as);
    tarn_free(t->at);
    *t = (struct bt_trackers){ 0 };
}

static bool is_working(const struct bt_tracker_at *at)
{
    return at->fails == 0 && at->next_us != INT64_MIN;
}

static bool owes_completed(const struct bt_trackers *t, const struct bt_tracker_at *at)
{
    return t->wants_completed && at->knows_us && !at->has_completed;
}

/* When this tracker is due, leaving aside its place in the tiers. */
static int64_t due_at(const struct bt_trackers *t, const struct bt_tracker_at *at)
{
    if (!is_working(at))
        return at->next_us;
    if (owes_completed(t, at))
        return INT64_MIN;
    return t->wants_peers && at->earliest_us < at->next_us ? at->earliest_us : at->next_us;
}

static void consider(struct bt_tracker_at *at, int64_t due, struct bt_tracker_at **best,
                     int64_t *best_due)
{
    if (*best == NULL || due < *best_due) {
        *best = at;
        *best_due = due;
    }
}

/* Stopped goes to all that know us, at once. */
static struct bt_tracker_at *first_to_stop(const struct bt_trackers *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->at[i].knows_us && !t->at[i].is_busy && !t->at[i].is_off)
            return &t->at[i];
    return NULL;
}

/* The tracker to ask next, and when; NULL: nobody before an answer or a call. */
static struct bt_tracker_at *first_due(const struct bt_trackers *t, int64_t *due)
{
    struct bt_tracker_at *best = NULL;
    bool tier_served = false;
    *due = INT64_MIN;
    if (t->is_stopped)
        return first_to_stop(t);
    for (uint32_t i = 0; i < t->n; i++) {
        struct bt_tracker_at *at = &t->at[i];
        if (i > 0 && t->all_tiers && at->tier != t->at[i - 1].tier)
            tier_served = false;
        if (at->is_off)
            continue;
        /* completed also goes to those that another has replaced since */
        if (!at->is_busy && (!tier_served || owes_completed(t, at)))
            consider(at, due_at(t, at), &best, due);
        /* those behind one that works, is being asked or was never tried wait for its failure */
        if (at->fails == 0)
            tier_served = true;
    }
    return best;
}

bool bt_trackers_due(struct bt_trackers *t, int64_t now_us, struct bt_due *due)
{
    int64_t when;
    struct bt_tracker_at *at = first_due(t, &when);
    if (at == NULL || when > now_us)
        return false;
    at->is_busy = true;
    at->event = BT_ANNOUNCE_NONE;
    if (t->is_stopped)
        at->event = BT_ANNOUNCE_STOPPED;
    else if (!at->knows_us)
        at->event = BT_ANNOUNCE_STARTED;
    else if (owes_completed(t, at))
        at->event = BT_ANNOUNCE_COMPLETED;
    t->wants_peers = false;
    *due = (struct bt_due){ at->id, at->url, at->known_as, at->event };
    return true;
}

static struct bt_tracker_at *by_id(const struct bt_trackers *t, uint32_t id)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->at[i].id == id)
            return &t->at[i];
    return NULL;
}

/* One that answered comes first in its tier. */
static void move_to_front(struct bt_trackers *t, uint32_t id)
{
    uint32_t i = (uint32_t)(by_id(t, id) - t->at);
    for (; i > 0 && t->at[i - 1].tier == t->at[i].tier; i--)
        swap(&t->at[i - 1], &t->at[i]);
}

static void keep_id(struct bt_tracker_at *at, const char *id)
{
    char *copy = id[0] == '\0' ? NULL : tarn_strndup(id, strlen(id));
    if (copy == NULL) /* not said again, or no memory: the old one stays */
        return;
    tarn_free(at->known_as);
    at->known_as = copy;
}

static void note_event(struct bt_tracker_at *at)
{
    if (at->event == BT_ANNOUNCE_STOPPED)
        at->knows_us = false;
    if (at->event == BT_ANNOUNCE_STARTED)
        at->knows_us = true;
    if (at->event == BT_ANNOUNCE_COMPLETED)
        at->has_completed = true;
}

static void fail(struct bt_tracker_at *at, int64_t delay_us, int64_t now_us)
{
    at->is_busy = false;
    if (at->fails < UINT16_MAX)
        at->fails++;
    if (at->event == BT_ANNOUNCE_STOPPED) /* it is not asked twice */
        at->knows_us = false;
    if (delay_us < 0) {
        int64_t delay_s = (int64_t)BT_TRACKER_DELAY_S + (int64_t)at->fails * at->fails * 25 / 2;
        delay_us = (delay_s < BT_TRACKER_DELAY_MAX_S ? delay_s : BT_TRACKER_DELAY_MAX_S) *
                   (int64_t)SECOND_US;
    }
    at->next_us = now_us + delay_us;
}

/* It has heard that we stop: after a restart it is as one that was never asked. */
static void forget_stopped(struct bt_tracker_at *at)
{
    if (at->event == BT_ANNOUNCE_STOPPED)
        at->next_us = INT64_MIN;
}

void bt_trackers_answered(struct bt_trackers *t, uint32_t id, const struct bt_answer *a,
                          int64_t now_us)
{
    struct bt_tracker_at *at = by_id(t, id);
    assert(at != NULL && at->is_busy);
    if (a->failed) {
        at->is_off = at->is_off || a->retry_s == BT_RETRY_NEVER;
        fail(at, a->retry_s > 0 && !at->is_off ? a->retry_s * SECOND_US : -1, now_us);
        forget_stopped(at);
        return;
    }
    uint64_t interval = a->interval_s == 0 ? BT_INTERVAL_S : a->interval_s;
    uint64_t least = a->min_interval_s == 0 ? BT_MIN_INTERVAL_S : a->min_interval_s;
    interval = tarn_max_u64(tarn_max_u64(interval, least), BT_INTERVAL_MIN_S);
    int64_t jitter_us = (int64_t)(next_random(t) % (interval * SECOND_US / 10 + 1));
    note_event(at);
    keep_id(at, a->tracker_id);
    at->is_busy = false;
    at->fails = 0;
    at->next_us = now_us + (int64_t)interval * SECOND_US + jitter_us;
    at->earliest_us = now_us + (int64_t)least * SECOND_US;
    forget_stopped(at);
    move_to_front(t, id);
}

void bt_trackers_failed(struct bt_trackers *t, uint32_t id, bool for_good, int64_t now_us)
{
    struct bt_tracker_at *at = by_id(t, id);
    assert(at != NULL && at->is_busy);
    at->is_off = at->is_off || for_good;
    fail(at, -1, now_us);
    forget_stopped(at);
}

int64_t bt_trackers_wake(const struct bt_trackers *t)
{
    int64_t when;
    return first_due(t, &when) == NULL ? INT64_MAX : when;
}

void bt_trackers_completed(struct bt_trackers *t)
{
    if (t->wants_completed)
        return;
    t->wants_completed = true;
    for (uint32_t i = 0; i < t->n; i++) {
        struct bt_tracker_at *at = &t->at[i];
        bool is_starting = at->is_busy && at->event == BT_ANNOUNCE_STARTED;
        if (!at->knows_us && !is_starting) /* it will hear that nothing is left, in started */
            at->has_completed = true;
    }
}

void bt_trackers_hurry(struct bt_trackers *t)
{
    t->wants_peers = true;
}

void bt_trackers_stop(struct bt_trackers *t)
{
    t->is_stopped = true;
}

void bt_trackers_restart(struct bt_trackers *t)
{
    t->is_stopped = false;
}

bool bt_trackers_all_failed(const struct bt_trackers *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->at[i].is_busy || (!t->at[i].is_off && t->at[i].fails == 0))
            return false;
    return true;
}
