/* sim/scenarios: what is simulated, and what must come of it. */
#include "sim.h"

#include <stdio.h>

enum { KIB = 1 << 10, MIB = 1 << 20 };

static const struct plan seed = { .is_seed = true }, leech = { .is_seed = false };

static struct node_line line(uint64_t up, uint64_t down, int64_t latency_ms)
{
    return (struct node_line){ .up = up,
                               .down = down,
                               .latency_us = latency_ms * SIM_MS,
                               .jitter_us = latency_ms * SIM_MS / 4 };
}

static void content(struct swarm *s, enum bt_format format, uint32_t piece_len, uint64_t total)
{
    uint64_t lens[] = { total / 2, total / 8, total - total / 2 - total / 8 - 1, 0, 1 };
    content_make(&s->content, format, piece_len, lens, 5, world_chance());
}

static void check_done(const struct swarm *s, bool done)
{
    for (size_t i = 0; i < s->n && !done; i++) {
        const struct peer *p = &s->peers[i];
        struct bt_stats st = { 0 };
        if (p->is_complete || p->plan.is_seed || p->starts == 0)
            continue;
        if (p->torrent != NULL)
            bt_torrent_stats(p->torrent, &st);
        world_broken("node %u is not complete: %llu of %llu bytes, %u peers, state %d", p->node.no,
                     (unsigned long long)st.done, (unsigned long long)st.total, st.peers,
                     (int)st.state);
    }
}

static double last_s(const struct swarm *s)
{
    int64_t last = 0;
    for (size_t i = 0; i < s->n; i++) {
        int64_t us = s->peers[i].completed_us - s->peers[i].came_us;
        last = s->peers[i].plan.is_seed || us < last ? last : us;
    }
    return (double)last / SIM_S;
}

static uint64_t wasted(const struct swarm *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct bt_stats st = { 0 };
        if (s->peers[i].torrent != NULL)
            bt_torrent_stats(s->peers[i].torrent, &st);
        sum += s->peers[i].wasted + st.wasted;
    }
    return sum;
}

static void flash_crowd(struct report *r, size_t n, uint64_t total, double bound)
{
    struct swarm s;
    swarm_begin(&s, n + 1);
    content(&s, BT_V1, 32 * KIB, total);
    struct node_line home = line(64 * KIB, 1 * MIB, 20);
    swarm_add(&s, &seed, &home, world_now_us());
    for (size_t i = 0; i < n; i++)
        swarm_add(&s, &leech, &home, world_now_us() + (int64_t)i * SIM_MS);
    double ideal_s = swarm_ideal_s(&s);
    check_done(&s, swarm_run(&s, (int64_t)(ideal_s * 20) * SIM_S));
    double took_s = last_s(&s);
    snprintf(r->text, sizeof r->text, "%zu peers in %.1f s, ideal %.1f, ratio %.2f; wasted %.2f %%",
             n, took_s, ideal_s, took_s / ideal_s,
             100.0 * (double)wasted(&s) / (double)(n * s.content.total));
    if (took_s > bound * ideal_s)
        world_broken("%.1f s are more than %.1f times the ideal of %.1f s", took_s, bound, ideal_s);
    swarm_end(&s);
}

static void run_few(struct report *r)
{
    flash_crowd(r, 20, 4 * MIB, 3);
}

const struct scenario scenarios[] = {
    { "few", "one seed and 20 peers that come at once", 3, run_few },
};
const size_t n_scenarios = sizeof scenarios / sizeof *scenarios;
