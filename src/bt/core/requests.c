/* bt/core/requests: see the header. The list is an array with a moving front: answers come mostly
 * in the order of the requests, so that finding and removing one touches the front alone. */
#include "bt/core/requests.h"

#include "base/mem.h"
#include "base/num.h"

#include <assert.h>

enum {
    TICK_US = 16,        /* unit of bt_asked.at, which wraps after 19 hours */
    LIST_MAX = 2 * 2048, /* with those canceled and late */
    LIST_MIN = 8,
    BATCH = 8, /* an eighth of the depth goes out at once: fewer calls and wake-ups on both sides */
    WINDOW_US = 50 * 1000, /* shortest time over which a rate is measured */
    WINDOW_MAX_US = 2000 * 1000,
    WEIGHTS = 1000 * 1000, /* a window counts for a quarter, and from a second on alone */
    GROWS = 5,             /* slow start goes on while the rate grows by a quarter: times 5 / 4 */
};

enum asked_state {
    OPEN,
    LATE,     /* went back to the picker; may still come */
    CANCELED, /* the same, at our wish */
    VOID,     /* will not come */
};

struct bt_asked {
    struct bt_request r;
    uint32_t at; /* ticks: when asked, or when it became late or canceled */
    uint8_t state;
    bool is_lost; /* to be told by bt_requests_next_lost */
};

static uint32_t tick(int64_t now_us)
{
    return (uint32_t)(now_us / TICK_US);
}

static int64_t age_us(const struct bt_asked *a, int64_t now_us)
{
    return (int64_t)(tick(now_us) - a->at) * TICK_US;
}

void bt_requests_init(struct bt_requests *q, bool has_fast)
{
    *q = (struct bt_requests){ .has_fast = has_fast,
                               .is_choked = true,
                               .is_starting = true,
                               .depth = BT_DEPTH_MIN,
                               .reqq = BT_REQQ_SILENT,
                               .most = BT_DEPTH_MAX };
}

void bt_requests_release(struct bt_requests *q)
{
    tarn_free(q->asked);
    *q = (struct bt_requests){ 0 };
}

void bt_requests_set_reqq(struct bt_requests *q, uint16_t reqq)
{
    if (reqq == 0)
        reqq = BT_REQQ_SILENT;
    q->reqq = reqq < BT_DEPTH_MAX ? reqq : BT_DEPTH_MAX;
}

void bt_requests_set_most(struct bt_requests *q, uint32_t most)
{
    q->most = (uint16_t)(most == 0 || most > BT_DEPTH_MAX ? BT_DEPTH_MAX : most);
}

uint32_t bt_requests_room(const struct bt_requests *q)
{
    uint32_t depth = q->is_snubbed ? 1 : q->depth < q->most ? q->depth : q->most;
    if (q->n_open >= depth || q->n >= q->reqq)
        return 0;
    uint64_t room = tarn_min_u64(depth - q->n_open, (uint32_t)(q->reqq - q->n));
    uint64_t most = tarn_min_u64(depth, q->reqq);
    return room * BATCH >= most || q->n_open == 0 ? (uint32_t)room : 0;
}

static bool make_room(struct bt_requests *q)
{
    if (q->first + q->n < q->cap)
        return true;
    bool is_sparse = q->n <= q->cap / 2; /* then moving costs O(1) a request in the long run */
    if (q->first > 0 && (is_sparse || q->cap >= LIST_MAX)) {
        memmove(q->asked, q->asked + q->first, q->n * sizeof *q->asked);
        q->first = 0;
        return true;
    }
    if (q->cap >= LIST_MAX)
        return false;
    uint16_t cap = q->cap == 0 ? LIST_MIN : (uint16_t)(q->cap * 2);
    struct bt_asked *asked = tarn_realloc(q->asked, cap, sizeof *asked);
    if (asked == NULL)
        return false;
    q->asked = asked;
    q->cap = cap;
    return true;
}

bool bt_requests_add(struct bt_requests *q, const struct bt_request *r, int64_t now_us)
{
    if (!make_room(q))
        return false;
    if (q->n_open == 0) { /* nothing was under way: that time does not count */
        q->window_at_us =
            q->window_bytes == 0 ? now_us : q->window_at_us + now_us - q->progress_at_us;
        q->progress_at_us = now_us;
    }
    q->asked[q->first + q->n++] = (struct bt_asked){ .r = *r, .at = tick(now_us), .state = OPEN };
    q->n_open++;
    return true;
}

/* Its index in asked, or -1. */
static int find(const struct bt_requests *q, const struct bt_request *r)
{
    for (int i = q->first; i < q->first + q->n; i++)
        if (q->asked[i].state != VOID && bt_request_eq(&q->asked[i].r, r))
            return i;
    return -1;
}

static void remove_at(struct bt_requests *q, int i)
{
    if (q->asked[i].is_lost)
        q->n_lost--;
    if (q->asked[i].state == OPEN)
        q->n_open--;
    q->n--;
    if (q->n == 0) {
        tarn_free(q->asked);
        q->asked = NULL;
        q->cap = q->first = 0;
    } else if (i == q->first) {
        q->first++;
    } else {
        size_t behind = (size_t)(q->first + q->n - i);
        memmove(q->asked + i, q->asked + i + 1, behind * sizeof *q->asked);
    }
}

/* Not open any more. lost: the picker is to be told. */
static void close_one(struct bt_requests *q, struct bt_asked *a, enum asked_state state, bool lost,
                      int64_t now_us)
{
    assert(a->state == OPEN);
    q->n_open--;
    a->state = (uint8_t)state;
    a->at = tick(now_us);
    a->is_lost = lost;
    q->n_lost = (uint16_t)(q->n_lost + lost);
}

static void is_alive(struct bt_requests *q, int64_t now_us)
{
    q->progress_at_us = now_us;
    if (!q->is_snubbed)
        return;
    q->is_snubbed = false;
    q->is_starting = true;
    q->depth = BT_DEPTH_MIN;
    q->rate_bps = 0;
    q->window_at_us = now_us;
    q->window_bytes = 0;
}

enum bt_arrival bt_requests_arrive(struct bt_requests *q, const struct bt_request *r,
                                   int64_t now_us)
{
    int i = find(q, r);
    if (i < 0) {
        if (q->unasked >= BT_UNASKED_MAX)
            return BT_TOO_MANY;
        q->unasked++;
        return BT_UNASKED;
    }
    const struct bt_asked *a = &q->asked[i];
    enum bt_arrival arrival = a->state == CANCELED ? BT_CANCELED : BT_ASKED;
    if (a->state == OPEN) {
        uint64_t rtt = tarn_max_u64(1, (uint64_t)age_us(a, now_us));
        if (q->min_rtt_us == 0 || rtt < q->min_rtt_us)
            q->min_rtt_us = (uint32_t)tarn_min_u64(rtt, UINT32_MAX);
    }
    remove_at(q, i);
    is_alive(q, now_us);
    return arrival;
}

static uint16_t depth_for(const struct bt_requests *q)
{
    uint64_t span_us = (uint64_t)q->min_rtt_us + BT_QUEUE_TARGET_US;
    uint64_t bytes = tarn_min_u64(q->rate_bps, UINT32_MAX) * span_us / 1000000;
    uint64_t depth = tarn_div_up_u64(bytes, BT_BLOCK) + BT_DEPTH_SPARE;
    return (uint16_t)tarn_min_u64(tarn_max_u64(depth, BT_DEPTH_MIN), BT_DEPTH_MAX);
}

static void end_window(struct bt_requests *q, int64_t now_us)
{
    uint64_t now_bps = (uint64_t)q->window_bytes * 1000000 / (uint64_t)(now_us - q->window_at_us);
    uint64_t doubled = tarn_min_u64((uint64_t)q->depth * 2, BT_DEPTH_MAX);
    if (q->is_starting && now_bps * (GROWS - 1) < q->rate_bps * GROWS)
        q->is_starting = false;
    uint64_t weight = tarn_max_u64(WEIGHTS / 4, (uint64_t)(now_us - q->window_at_us));
    if (q->is_starting || weight >= WEIGHTS) /* a long window needs no smoothing */
        q->rate_bps = now_bps;
    else
        q->rate_bps = (q->rate_bps * (WEIGHTS - weight) + now_bps * weight) / WEIGHTS;
    q->depth = depth_for(q);
    if (q->is_starting && q->depth < doubled)
        q->depth = (uint16_t)doubled;
    q->window_at_us = now_us;
    q->window_bytes = 0;
}

void bt_requests_progress(struct bt_requests *q, uint32_t bytes, int64_t now_us)
{
    is_alive(q, now_us);
    q->window_bytes += bytes;
    int64_t window = q->min_rtt_us < WINDOW_US ? WINDOW_US : q->min_rtt_us;
    if (now_us - q->window_at_us >= (window < WINDOW_MAX_US ? window : WINDOW_MAX_US))
        end_window(q, now_us);
}

enum bt_rejection bt_requests_rejected(struct bt_requests *q, const struct bt_request *r)
{
    int i = find(q, r);
    if (i < 0)
        return BT_REJECT_UNASKED;
    bool was_open = q->asked[i].state == OPEN, was_lost = q->asked[i].is_lost;
    remove_at(q, i);
    if (!was_open)
        return was_lost ? BT_REJECT_LOST : BT_REJECT_CANCELED;
    if (!q->is_choked && ++q->rejects > BT_REJECTS_MAX)
        return BT_REJECT_TOO_MANY;
    return BT_REJECT_LOST;
}

bool bt_requests_cancel(struct bt_requests *q, const struct bt_request *r, int64_t now_us)
{
    int i = find(q, r);
    if (i < 0 || q->asked[i].state == CANCELED)
        return false;
    struct bt_asked *a = &q->asked[i];
    if (a->state == OPEN) {
        close_one(q, a, CANCELED, false, now_us);
    } else {
        a->state = CANCELED;
        a->at = tick(now_us);
    }
    return true;
}

void bt_requests_unchoked(struct bt_requests *q, int64_t now_us)
{
    q->is_choked = false;
    q->progress_at_us = now_us;
}

/* Late and canceled ones go at once, open ones when they were told. */
static void void_all(struct bt_requests *q)
{
    for (int i = q->first + q->n - 1; i >= q->first && q->n > 0; i--) {
        struct bt_asked *a = &q->asked[i];
        if (a->state == OPEN)
            close_one(q, a, VOID, true, 0);
        else if (a->is_lost)
            a->state = VOID;
        else
            remove_at(q, i);
    }
}

void bt_requests_choked(struct bt_requests *q)
{
    q->is_choked = true;
    if (!q->has_fast)
        void_all(q);
}

void bt_requests_drop_piece(struct bt_requests *q, uint32_t piece)
{
    for (int i = q->first; i < q->first + q->n && !q->has_fast; i++)
        if (q->asked[i].r.piece == piece && q->asked[i].state == OPEN)
            close_one(q, &q->asked[i], VOID, true, 0);
}

void bt_requests_close(struct bt_requests *q)
{
    void_all(q);
}

/* How long a peer may send nothing while we wait. */
static int64_t patience_us(const struct bt_requests *q)
{
    if (q->rate_bps == 0)
        return BT_SNUB_US;
    uint64_t expected = q->min_rtt_us + (uint64_t)q->n_open * BT_BLOCK * 1000000 / q->rate_bps;
    return (int64_t)tarn_min_u64(tarn_max_u64(4 * expected, BT_SNUB_MIN_US), BT_SNUB_US);
}

void bt_requests_snub(struct bt_requests *q, int64_t now_us)
{
    q->is_snubbed = true;
    for (int i = q->first; i < q->first + q->n; i++)
        if (q->asked[i].state == OPEN)
            close_one(q, &q->asked[i], LATE, true, now_us);
}

static void forget_old(struct bt_requests *q, int64_t now_us)
{
    for (int i = q->first + q->n - 1; i >= q->first && q->n > q->n_open; i--) {
        const struct bt_asked *a = &q->asked[i];
        if (a->state != OPEN && !a->is_lost && age_us(a, now_us) >= BT_LATE_US)
            remove_at(q, i);
    }
}

/* The newest that is open. */
static struct bt_asked *newest(const struct bt_requests *q)
{
    int i = q->first + q->n - 1;
    while (q->asked[i].state != OPEN)
        i--;
    return &q->asked[i];
}

bool bt_requests_next_surplus(struct bt_requests *q, int64_t now_us, struct bt_request *r)
{
    uint32_t kept = 2u * q->depth;
    if (q->n_open > 2 * kept)
        q->is_trimming = true;
    if (q->n_open <= kept || q->is_starting)
        q->is_trimming = false;
    if (!q->is_trimming)
        return false;
    struct bt_asked *a = newest(q);
    *r = a->r;
    close_one(q, a, CANCELED, false, now_us);
    return true;
}

bool bt_requests_next_lost(struct bt_requests *q, int64_t now_us, struct bt_request *r)
{
    if (q->n_open > 0 && now_us - q->progress_at_us >= patience_us(q))
        bt_requests_snub(q, now_us);
    if (q->n_lost == 0) {
        forget_old(q, now_us);
        return false;
    }
    int i = q->first;
    while (!q->asked[i].is_lost)
        i++;
    *r = q->asked[i].r;
    if (q->asked[i].state == VOID) {
        remove_at(q, i);
    } else {
        q->asked[i].is_lost = false;
        q->n_lost--;
    }
    return true;
}

int64_t bt_requests_wake(const struct bt_requests *q)
{
    return q->n_open > 0 ? q->progress_at_us + patience_us(q) : INT64_MAX;
}
