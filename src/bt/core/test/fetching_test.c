/* Requests and picker together, with simulated peers: how near to the sum of their rates a torrent
 * comes, and what is fetched twice. */
#include "base/test/test.h"
#include "bt/core/test/swarm.h"

enum { MIB = 1 << 20 };

/* Everything, in at most this share of the time that the peers' rates allow. */
static void run(struct swarm *s, const char *what, double ideal_s, double most)
{
    double took = (double)swarm_run(s, 1000 * SECOND) / SECOND;
    double wasted = (double)s->wasted * 100 / (double)(s->got + s->wasted);
    printf("# %s: %.2f s, %.3f of the ideal; wasted %.2f %%; %zu pieces begun at most\n", what,
           took, took / ideal_s, wasted, s->most_partials);
    assert_true(bt_picker_done(&s->p));
    assert_true(took < ideal_s * most + 0.5);
    assert_true(wasted < 1);
}

static double rates(const struct swarm *s)
{
    double sum = 0;
    for (uint32_t i = 0; i < s->n; i++)
        sum += (double)s->sources[i].bps;
    return sum;
}

static void one_peer_is_used_fully(void **state)
{
    (void)state;
    static const struct {
        uint64_t bps;
        int64_t rtt_us;
    } lines[] = {
        { 100 * 1000, 30 * MS },        { 10 * 1000 * 1000, MS },
        { 10 * 1000 * 1000, 100 * MS }, { 20 * 1000 * 1000, 300 * MS },
        { 60 * 1000 * 1000, 50 * MS },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(lines); i++) {
        uint32_t n = lines[i].bps < 1000 * 1000 ? 8 : 256;
        struct swarm *s = swarm_new(n, MIB, i);
        swarm_add(s, lines[i].bps, lines[i].rtt_us);
        /* the slow start takes some ten round trips */
        double start = 10.0 * (double)lines[i].rtt_us / SECOND;
        run(s, "one peer", (double)s->m.total / rates(s) + start, 1.02);
        swarm_free(s);
    }
}

/* A long way and few requests: all answers come in one burst, and then nothing for a round trip. */
static void bursts_do_not_hide_the_rate(void **state)
{
    (void)state;
    struct swarm *s = swarm_new(64, MIB, 1);
    struct source *c = swarm_add(s, 10 * 1000 * 1000, 100 * MS);
    for (int i = 0; i < 1500; i++)
        swarm_step(s);
    assert_true(c->q.rate_bps > 8 * 1000 * 1000);
    assert_true(c->q.depth > 600);
    swarm_free(s);
}

static void unequal_peers(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct swarm *s = swarm_new(256, MIB, seed);
        for (int64_t i = 0; i < 10; i++)
            swarm_add(s, (uint64_t)50000 << (i * 7 / 10), 20 * MS + i * 20 * MS);
        run(s, "ten peers, 50 KB/s to 3 MB/s", (double)s->m.total / rates(s), 1.05);
        swarm_free(s);
    }
    for (uint32_t blocks = 64; blocks <= 256; blocks *= 2) {
        struct swarm *s = swarm_new(256 * 64 / blocks, blocks * BT_BLOCK, 7);
        for (uint32_t i = 0; i < 40; i++)
            swarm_add(s, i < 4 ? 2000 * 1000 : 10 * 1000 + i * 500, 20 * MS + i * 5 * MS);
        run(s, "four fast and many slow ones", (double)s->m.total / rates(s), 1.06);
        swarm_free(s);
    }
}

/* What a peer can no longer send soon is asked of others, and its depth follows. */
static void a_peer_that_becomes_slow(void **state)
{
    (void)state;
    struct swarm *s = swarm_new(256, MIB, 3);
    struct source *slow = swarm_add(s, 5000 * 1000, 50 * MS);
    swarm_add(s, 5000 * 1000, 50 * MS);
    for (int i = 0; i < 10 * 1000; i++)
        swarm_step(s);
    assert_true(slow->q.n_open > 200);
    slow->bps = 20 * 1000;
    for (int i = 0; i < 15 * 1000; i++)
        swarm_step(s);
    assert_in_range(slow->q.n_open, 1, 2 * BT_DEPTH_MIN);
    run(s, "one of two became slow", (double)(s->m.total - s->got) / rates(s), 1.03);
    swarm_free(s);
}

/* A peer that stops altogether holds nothing up for long. */
static void a_peer_that_stops(void **state)
{
    (void)state;
    struct swarm *s = swarm_new(64, MIB, 4);
    struct source *gone = swarm_add(s, 2000 * 1000, 50 * MS);
    swarm_add(s, 2000 * 1000, 50 * MS);
    for (int i = 0; i < 5 * 1000; i++)
        swarm_step(s);
    gone->bps = 0;
    run(s, "one of two stopped", (double)(s->m.total - s->got) / rates(s), 1.1);
    swarm_free(s);
}

/* Little memory, and many who need half a minute for what they were asked: they share a few pieces,
 * and the others are free for those who fill them. */
static void slow_peers_hold_little(void **state)
{
    (void)state;
    for (uint32_t mib = 1; mib <= 16; mib *= 2) {
        struct swarm *s = swarm_new(256 / mib, mib * MIB, mib);
        s->p.max_partials = 64 / mib; /* the usual 64 MiB */
        for (uint32_t i = 0; i < 38; i++)
            swarm_add(s, i < 4 ? 2000 * 1000 : 3000 + i * 500, 20 * MS + i * 5 * MS);
        run(s, "little memory", (double)s->m.total / rates(s), mib < 16 ? 1.1 : 1.25);
        swarm_free(s);
    }
}

TEST_MAIN(cmocka_unit_test(one_peer_is_used_fully), cmocka_unit_test(bursts_do_not_hide_the_rate),
          cmocka_unit_test(unequal_peers), cmocka_unit_test(a_peer_that_becomes_slow),
          cmocka_unit_test(a_peer_that_stops), cmocka_unit_test(slow_peers_hold_little))
