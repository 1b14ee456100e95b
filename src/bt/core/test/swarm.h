/* Peers in a variable that send what they are asked for, each at its own rate and distance, with
 * the true picker and the true lists of requests on our side. Stepped a millisecond at a time. */
#ifndef BT_CORE_TEST_SWARM_H
#define BT_CORE_TEST_SWARM_H

#include "base/mem.h"
#include "base/num.h"
#include "bt/core/picker.h"
#include "bt/core/requests.h"

enum {
    MS = 1000,
    SECOND = 1000 * MS,
    SOURCES_MAX = 64,
    UNDER_WAY = 4096, /* requests at a peer and blocks from it */
};

struct under_way {
    struct bt_request r;
    int64_t at_us;     /* when it is there: a request at the peer, a block here */
    int64_t cancel_us; /* when our cancel is there */
};

struct source {
    uint64_t bps;
    int64_t rtt_us;
    struct bt_requests q;
    struct under_way asked[UNDER_WAY], sent[UNDER_WAY]; /* rings */
    uint32_t asked_first, n_asked, sent_first, n_sent;
    double credit;
    uint64_t got;
    bool is_on;
};

struct swarm {
    struct bt_file file;
    struct bt_metainfo m;
    struct tarn_bits have;
    struct bt_picker p;
    struct source *sources; /* SOURCES_MAX */
    uint32_t n;
    int64_t now_us;
    uint64_t got, wasted; /* bytes */
    size_t most_partials;
    uint64_t fastest_bps; /* of the last second */
};

static inline struct swarm *swarm_new(uint32_t n_pieces, uint32_t piece_len, uint64_t seed)
{
    struct swarm *s = tarn_calloc(1, sizeof *s);
    uint64_t total = (uint64_t)n_pieces * piece_len;
    s->file = (struct bt_file){ .path = "f", .len = total };
    s->m = (struct bt_metainfo){
        .files = &s->file,
        .n_files = 1,
        .piece_len = piece_len,
        .n_pieces = n_pieces,
        .total = total,
    };
    s->sources = tarn_calloc(SOURCES_MAX, sizeof *s->sources);
    assert_true(tarn_bits_init(&s->have, n_pieces));
    assert_true(bt_picker_init(&s->p, &s->m, &s->have, seed, NULL));
    s->now_us = SECOND;
    return s;
}

static inline void swarm_free(struct swarm *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        bt_requests_release(&s->sources[i].q);
    bt_picker_release(&s->p);
    tarn_bits_release(&s->have);
    tarn_free(s->sources);
    tarn_free(s);
}

/* Everybody has everything. */
static inline struct source *swarm_add(struct swarm *s, uint64_t bps, int64_t rtt_us)
{
    struct source *c = &s->sources[s->n++];
    *c = (struct source){ .bps = bps, .rtt_us = rtt_us, .is_on = true };
    bt_requests_init(&c->q, true);
    bt_requests_set_reqq(&c->q, 2000);
    bt_requests_unchoked(&c->q, s->now_us);
    bt_picker_joins(&s->p, NULL);
    return c;
}

static inline void source_fill(struct swarm *s, struct source *c)
{
    for (uint32_t room; c->is_on && (room = bt_requests_room(&c->q)) > 0;) {
        struct bt_request picked[64];
        size_t most = tarn_min_size(room, TARN_COUNT_OF(picked));
        struct bt_pick who = { .peer = (bt_peer_no)(c - s->sources),
                               .n_asked = c->q.n_open,
                               .speed = c->q.is_snubbed
                                            ? BT_SPEED_SLOW
                                            : bt_speed_of(c->q.rate_bps, s->fastest_bps),
                               .is_slow = c->q.is_snubbed };
        size_t n = bt_picker_pick(&s->p, &who, most, picked);
        for (size_t i = 0; i < n; i++) {
            assert_true(bt_requests_add(&c->q, &picked[i], s->now_us));
            assert_true(c->n_asked < UNDER_WAY);
            c->asked[(c->asked_first + c->n_asked++) % UNDER_WAY] =
                (struct under_way){ picked[i], s->now_us + c->rtt_us / 2, INT64_MAX };
        }
        if (n < most)
            return;
    }
}

static inline void source_cancel(struct source *c, const struct bt_request *r, int64_t now_us)
{
    for (uint32_t i = 0; i < c->n_asked; i++) {
        struct under_way *u = &c->asked[(c->asked_first + i) % UNDER_WAY];
        if (bt_request_eq(&u->r, r))
            u->cancel_us = now_us + c->rtt_us / 2;
    }
}

static inline void source_serve(struct swarm *s, struct source *c)
{
    c->credit += (double)c->bps * MS / SECOND;
    while (c->n_asked > 0) {
        struct under_way *u = &c->asked[c->asked_first];
        if (u->at_us > s->now_us)
            break;
        bool is_canceled = u->cancel_us <= s->now_us;
        if (!is_canceled && c->credit < u->r.len)
            return;
        if (!is_canceled) {
            c->credit -= u->r.len;
            c->sent[(c->sent_first + c->n_sent++) % UNDER_WAY] =
                (struct under_way){ u->r, s->now_us + c->rtt_us / 2, INT64_MAX };
        } else { /* with the fast extension each request has an answer */
            (void)bt_requests_rejected(&c->q, &u->r);
        }
        c->asked_first = (c->asked_first + 1) % UNDER_WAY;
        c->n_asked--;
    }
    if (c->n_asked == 0 && c->credit > BT_BLOCK)
        c->credit = BT_BLOCK; /* an idle line saves nothing up */
}

static inline void source_arrivals(struct swarm *s, struct source *c)
{
    while (c->n_sent > 0 && c->sent[c->sent_first].at_us <= s->now_us) {
        struct bt_request r = c->sent[c->sent_first].r;
        c->sent_first = (c->sent_first + 1) % UNDER_WAY;
        c->n_sent--;
        enum bt_arrival arrival = bt_requests_arrive(&c->q, &r, s->now_us);
        assert_true(arrival == BT_ASKED || arrival == BT_CANCELED);
        bt_requests_progress(&c->q, r.len, s->now_us);
        c->got += r.len;
        struct bt_block_got got = bt_picker_got(&s->p, &r, (bt_peer_no)(c - s->sources));
        *(got.is_new ? &s->got : &s->wasted) += r.len;
        for (unsigned i = 0; i < got.n_cancel; i++)
            if (bt_requests_cancel(&s->sources[got.cancel[i]].q, &r, s->now_us))
                source_cancel(&s->sources[got.cancel[i]], &r, s->now_us);
        if (got.piece_full)
            bt_picker_good(&s->p, r.piece);
    }
}

static inline void source_tick(struct swarm *s, struct source *c)
{
    struct bt_request r;
    while (bt_requests_next_lost(&c->q, s->now_us, &r))
        bt_picker_release_block(&s->p, &r, (bt_peer_no)(c - s->sources));
    while (bt_requests_next_surplus(&c->q, s->now_us, &r)) {
        source_cancel(c, &r, s->now_us);
        bt_picker_release_block(&s->p, &r, (bt_peer_no)(c - s->sources));
    }
}

static inline void swarm_step(struct swarm *s)
{
    s->now_us += MS;
    if (s->now_us % SECOND == 0) {
        s->fastest_bps = 0;
        for (uint32_t i = 0; i < s->n; i++)
            if (s->sources[i].q.n_open > 0)
                s->fastest_bps = tarn_max_u64(s->fastest_bps, s->sources[i].q.rate_bps);
    }
    for (uint32_t i = 0; i < s->n; i++) {
        struct source *c = &s->sources[i];
        source_serve(s, c);
        source_arrivals(s, c);
        if (s->now_us % SECOND == 0)
            source_tick(s, c);
        source_fill(s, c);
    }
    if (s->p.n_partials > s->most_partials)
        s->most_partials = s->p.n_partials;
}

/* Until all is here, or so much time has passed; how long it took. */
static inline int64_t swarm_run(struct swarm *s, int64_t most_us)
{
    int64_t from = s->now_us;
    while (!bt_picker_done(&s->p) && s->now_us - from < most_us)
        swarm_step(s);
    return s->now_us - from;
}

#endif
