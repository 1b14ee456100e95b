/* bt/core/choker: see the header. There are few slots, so each is given by one look through all
 * peers for the best that has none. */
#include "bt/core/choker.h"

#include "base/num.h"

enum {
    RATE_FIRST_BPS = 1024, /* libtorrent's rate_choker_initial_threshold */
    RATE_STEP_BPS = 2048,
    OPTIMISTIC_SHARE = 5, /* one slot of so many: libtorrent */
    ROUND_S = BT_CHOKE_ROUND_US / 1000000,
};

/* Who comes first for a regular slot. */
enum rank {
    RANK_NONE,  /* our torrent is incomplete and it sent nothing */
    RANK_DONE,  /* we seed, and its turn is over */
    RANK_WAITS, /* we seed, and it has waited */
    RANK_TURN,  /* we seed, and its turn goes on */
    RANK_GIVES, /* it sent us something */
};

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9; /* the end of splitmix64 */
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

static bool may_have_slot(const struct bt_choke_peer *p)
{
    return p->is_interested && !p->is_upload_only;
}

/* Since its last change; very long when there was none. */
static int64_t since_change(const struct bt_choker *c, const struct bt_choke_peer *p)
{
    return p->changed_at_us == INT64_MIN ? INT64_MAX : c->now_us - p->changed_at_us;
}

static bool is_fresh(const struct bt_choker *c, const struct bt_choke_peer *p)
{
    return since_change(c, p) < BT_CHOKE_STAY_US;
}

static enum rank rank_of(const struct bt_choker *c, const struct bt_choke_peer *p)
{
    if (!p->is_seeding)
        return p->got_round + p->got_before > 0 ? RANK_GIVES : RANK_NONE;
    if (!p->is_unchoked)
        return RANK_WAITS;
    uint64_t quota = (uint64_t)BT_CHOKE_TURN_PIECES * p->piece_len;
    bool is_over = p->sent_turn >= quota || since_change(c, p) >= BT_CHOKE_TURN_US;
    return is_over ? RANK_DONE : RANK_TURN;
}

/* Two rounds, the last one twice: one stall does not flip the order. */
static uint64_t given(const struct bt_choke_peer *p)
{
    return p->got_round * 2 + p->got_before;
}

static bool is_tie_won(const struct bt_choker *c, size_t a, size_t b)
{
    return mix(c->random ^ a) < mix(c->random ^ b);
}

/* Does a come before b for a regular slot? */
static bool deserves_more(const struct bt_choker *c, const struct bt_choke_peer *peers, size_t a,
                          size_t b)
{
    const struct bt_choke_peer *p = &peers[a], *q = &peers[b];
    enum rank rp = rank_of(c, p), rq = rank_of(c, q);
    if (rp != rq)
        return rp > rq;
    if (rp == RANK_GIVES && given(p) != given(q))
        return given(p) > given(q);
    if (rp == RANK_WAITS && p->changed_at_us != q->changed_at_us)
        return p->changed_at_us < q->changed_at_us;
    if (p->is_unchoked != q->is_unchoked)
        return p->is_unchoked;
    return is_tie_won(c, a, b);
}

/* Does a come before b for an optimistic slot? */
static bool waits_longer(const struct bt_choker *c, const struct bt_choke_peer *peers, size_t a,
                         size_t b)
{
    const struct bt_choke_peer *p = &peers[a], *q = &peers[b];
    if (p->is_unchoked != q->is_unchoked)
        return q->is_unchoked;
    if (p->changed_at_us != q->changed_at_us)
        return p->changed_at_us < q->changed_at_us;
    return is_tie_won(c, a, b);
}

typedef bool (*before)(const struct bt_choker *c, const struct bt_choke_peer *peers, size_t a,
                       size_t b);

/* Give up to n slots to those who come first and have none. Returns how many are left. */
static uint32_t give(const struct bt_choker *c, struct bt_choke_peer *peers, size_t n_peers,
                     uint32_t n, bool optimistic, before is_before)
{
    for (; n > 0; n--) {
        size_t best = n_peers;
        for (size_t i = 0; i < n_peers; i++) {
            const struct bt_choke_peer *p = &peers[i];
            if (p->unchoke || !may_have_slot(p) || (!p->is_unchoked && is_fresh(c, p)))
                continue;
            if (best == n_peers || is_before(c, peers, i, best))
                best = i;
        }
        if (best == n_peers)
            return n;
        peers[best].unchoke = true;
        peers[best].optimistic = optimistic;
    }
    return 0;
}

static bool keeps_optimistic(const struct bt_choker *c, const struct bt_choke_peer *p)
{
    return may_have_slot(p) && p->is_unchoked && p->was_optimistic &&
           since_change(c, p) < BT_CHOKE_OPTIMISTIC_US;
}

void bt_choker_run(struct bt_choker *c, struct bt_choke_peer *peers, size_t n)
{
    uint32_t slots = c->slots != 0 ? c->slots : bt_choker_slots(peers, n);
    uint32_t n_optimistic = slots / OPTIMISTIC_SHARE > 0 ? slots / OPTIMISTIC_SHARE : 1;
    uint32_t n_regular = slots - n_optimistic;
    c->random = mix(c->random + 0x9E3779B97F4A7C15);
    for (size_t i = 0; i < n; i++) {
        struct bt_choke_peer *p = &peers[i];
        p->optimistic = false;
        p->unchoke = p->is_unchoked && is_fresh(c, p) && !p->is_upload_only;
        if (!p->unchoke || !p->is_interested)
            continue; /* one that lost interest stays a while, but takes no slot */
        uint32_t *left = p->was_optimistic ? &n_optimistic : &n_regular;
        p->optimistic = p->was_optimistic;
        *left -= *left > 0;
    }
    n_regular = give(c, peers, n, n_regular, false, deserves_more);
    for (size_t i = 0; i < n && n_optimistic > 0; i++)
        if (!peers[i].unchoke && keeps_optimistic(c, &peers[i])) {
            peers[i].unchoke = peers[i].optimistic = true;
            n_optimistic--;
        }
    (void)give(c, peers, n, n_regular + n_optimistic, true, waits_longer);
}

uint32_t bt_choker_slots(struct bt_choke_peer *peers, size_t n)
{
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++)
        peers[i].unchoke = false;
    for (;;) {
        size_t best = n;
        for (size_t i = 0; i < n; i++)
            if (!peers[i].unchoke && (best == n || peers[i].sent_round > peers[best].sent_round))
                best = i;
        uint64_t threshold = RATE_FIRST_BPS + (uint64_t)RATE_STEP_BPS * count;
        if (best == n || peers[best].sent_round / ROUND_S <= threshold)
            break;
        peers[best].unchoke = true;
        count++;
    }
    for (size_t i = 0; i < n; i++)
        peers[i].unchoke = false;
    return (uint32_t)tarn_max_u64(BT_SLOTS_MIN, (uint64_t)count + 1);
}
