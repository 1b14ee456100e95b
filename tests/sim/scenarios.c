/* sim/scenarios: what is simulated, and what must come of it. */
#include "net.h"
#include "sim.h"
#include "villain.h"

#include <stdio.h>

static void flash_crowd(struct report *r, size_t n, uint32_t piece_len, uint64_t total,
                        double bound)
{
    struct swarm s;
    swarm_begin(&s, n + 1);
    a_content(&s, BT_V1, piece_len, total);
    struct node_line home = a_line(64 * KIB, 1 * MIB, 20);
    swarm_add(&s, &a_seed, &home, world_now_us());
    for (size_t i = 0; i < n; i++)
        swarm_add(&s, &a_leech, &home, world_now_us() + (int64_t)i * SIM_MS);
    double ideal_s = swarm_ideal_s(&s);
    must_be_done(&s, swarm_run(&s, (int64_t)(ideal_s * 20) * SIM_S));
    double took_s = last_s(&s);
    snprintf(r->text, sizeof r->text, "%zu peers in %.1f s, ideal %.1f, ratio %.2f; wasted %.2f %%",
             n, took_s, ideal_s, took_s / ideal_s,
             100.0 * (double)all_wasted(&s) / (double)(n * s.content.total));
    if (took_s > bound * ideal_s)
        world_broken("%.1f s are more than %.1f times the ideal of %.1f s", took_s, bound, ideal_s);
    swarm_end(&s);
}

static void run_few(struct report *r)
{
    flash_crowd(r, 20, 128 * KIB, 8 * MIB, 3);
}

static void run_crowd(struct report *r)
{
    flash_crowd(r, 200, 64 * KIB, 4 * MIB, 3);
}

/* Mean time from coming to completion, of peers [first, end). */
static double mean_s(const struct swarm *s, size_t first, size_t end)
{
    double sum = 0;
    for (size_t i = first; i < end; i++)
        sum += (double)(s->peers[i].completed_us - s->peers[i].came_us) / SIM_S;
    return sum / (double)(end - first);
}

static const struct plan liar = { .is_seed = true, .trusts = true, .is_liar = true };

static void run_liars(struct report *r)
{
    enum { HONEST = 31, LIARS = 3, STALLERS = 2 };
    struct swarm s;
    swarm_begin(&s, 48);
    a_content(&s, BT_V1, 64 * KIB, 4 * MIB);
    struct node_line home = a_line(64 * KIB, 1 * MIB, 20);
    swarm_add(&s, &a_seed, &home, world_now_us());
    for (size_t i = 1; i < HONEST; i++)
        swarm_add(&s, &a_leech, &home, world_now_us() + (int64_t)i * 100 * SIM_MS);
    for (size_t i = 0; i < LIARS; i++)
        swarm_add(&s, &liar, &home, world_now_us())->node.lies_one_in = i == 0 ? 1 : 6;
    for (size_t i = 0; i < STALLERS; i++)
        swarm_add(&s, &liar, &home, world_now_us())->node.stalls_after = 40000;
    for (int kind = VILLAIN_SILENT; kind <= VILLAIN_BABBLES; kind++)
        villain_add(&s, (enum villain_kind)kind, &home);
    must_be_done(&s, swarm_run(&s, 3600 * (int64_t)SIM_S));
    unsigned bans = 0;
    for (size_t i = 0; i < HONEST; i++)
        for (size_t k = 0; k < s.n; k++) {
            bool is_banned = peer_bans(&s.peers[i], &s.peers[k]);
            bans += is_banned;
            if (is_banned && k < HONEST)
                world_broken("node %zu bans node %zu, which is honest", i, k);
        }
    for (size_t k = HONEST; k < HONEST + LIARS; k++) {
        bool is_banned = false;
        for (size_t i = 0; i < HONEST; i++)
            is_banned = is_banned || peer_bans(&s.peers[i], &s.peers[k]);
        if (!is_banned)
            world_broken("node %zu lies, and nobody bans it", k);
    }
    snprintf(r->text, sizeof r->text, "30 honest peers in %.1f s; %u bans; wasted %.1f %%",
             last_s(&s), bans, 100.0 * (double)all_wasted(&s) / (30.0 * (double)s.content.total));
    swarm_end(&s);
}

/* --- who comes and goes --- */

static void run_churn(struct report *r)
{
    enum { PEERS = 40 };
    struct swarm s;
    swarm_begin(&s, PEERS + 1);
    a_content(&s, BT_V1, 64 * KIB, 6 * MIB);
    struct node_line home = a_line(64 * KIB, 1 * MIB, 30);
    swarm_add(&s, &a_seed, &home, world_now_us());
    uint64_t *chance = world_chance();
    unsigned starts = 0;
    for (size_t i = 0; i < PEERS; i++) {
        int64_t at_us = world_now_us() + chance_between(chance, 0, 60 * SIM_S);
        struct peer *p = swarm_add(&s, &a_leech, &home, at_us);
        peer_goes_at(p, at_us + chance_between(chance, 5 * SIM_S, 100 * SIM_S), NODE_EXITS,
                     chance_between(chance, 1 * SIM_S, 60 * SIM_S));
        p->goes_again_us = chance_between(chance, 20 * SIM_S, 120 * SIM_S);
    }
    must_be_done(&s, swarm_run(&s, 3600 * (int64_t)SIM_S));
    for (size_t i = 0; i < s.n; i++)
        starts += s.peers[i].starts;
    snprintf(r->text, sizeof r->text, "%d peers, %u starts, last one after %.1f s", PEERS, starts,
             last_s(&s));
    swarm_end(&s);
}

enum { VICTIMS = 10, CRASHES = 12 };

struct crashes {
    enum node_end how;
    uint64_t up;           /* of lines: whether a download sees many crashes */
    int64_t every_us;      /* at most so long between two */
    uint32_t lost_a_crash; /* pieces that may be fetched again for each; 0: any number */
};

static uint64_t fetched(const struct peer *p)
{
    struct bt_stats st = { 0 };
    if (p->torrent != NULL)
        bt_torrent_stats(p->torrent, &st);
    return p->downloaded + st.downloaded;
}

/* What was verified before a process was killed is not fetched again: only what was on its way. */
static void check_fetched(const struct swarm *s, const struct crashes *c)
{
    for (size_t i = 1; i < s->n && c->lost_a_crash > 0; i++) {
        const struct peer *p = &s->peers[i];
        uint64_t most =
            s->content.total + (uint64_t)p->starts * c->lost_a_crash * s->content.piece_len;
        if (fetched(p) > most)
            world_broken("node %u fetched %llu bytes in %u starts, more than %llu", p->node.no,
                         (unsigned long long)fetched(p), p->starts, (unsigned long long)most);
    }
}

/* Killed or cut off from power at any moment, in the middle of a call too, over and over; and the
 * wall clock is never to be relied on. */
static void crash(struct report *r, const struct crashes *c)
{
    struct swarm s;
    swarm_begin(&s, VICTIMS + 1);
    uint64_t *chance = world_chance();
    a_content(&s, (enum bt_format)chance_between(chance, BT_V1, BT_HYBRID), 64 * KIB, 4 * MIB);
    struct node_line home = a_line(c->up, 1 * MIB, 10);
    swarm_add(&s, &a_seed, &home, world_now_us());
    for (size_t i = 0; i < VICTIMS; i++) {
        struct plan plan = { .by_magnet = chance_one_in(chance, 4),
                             .sequential = chance_one_in(chance, 4),
                             .wants_half = chance_one_in(chance, 8),
                             .memory = chance_one_in(chance, 4) ? 256 * KIB : 0 };
        struct peer *p = swarm_add(&s, &plan, &home, world_now_us());
        p->node.disk.access_us = 5 * SIM_MS;
        p->crashes_left = CRASHES;
        peer_goes_at(p, world_now_us() + chance_between(chance, 1, c->every_us), c->how,
                     chance_between(chance, 1, 5 * SIM_S));
        p->goes_again_us = c->every_us;
    }
    for (int i = 0; i < 3600 && s.n_missing > 0; i++) {
        swarm_pass(&s, 2 * SIM_S);
        s.peers[chance_below(chance, s.n)].node.wall_ms +=
            chance_between(chance, -3600, 3600) * 1000;
    }
    must_be_done(&s, s.n_missing == 0);
    swarm_pass(&s, 2 * c->every_us); /* those that are complete are not spared */
    check_fetched(&s, c);
    uint64_t sum = 0, ends = 0;
    for (size_t i = 1; i < s.n; i++) {
        sum += fetched(&s.peers[i]);
        ends += s.peers[i].starts - 1;
    }
    snprintf(r->text, sizeof r->text, "%d peers crashed %llu times; fetched %.2f times the content",
             VICTIMS, (unsigned long long)ends,
             (double)sum / (double)VICTIMS / (double)s.content.total);
    swarm_end(&s);
}

static void run_kill(struct report *r)
{
    crash(r, &(struct crashes){ NODE_KILLED, 128 * KIB, 20 * SIM_S, 16 });
}

/* So often that nothing is saved in between. */
static void run_power(struct report *r)
{
    crash(r, &(struct crashes){ NODE_POWER_CUT, 256 * KIB, 20 * SIM_S, 0 });
}

/* Seldom enough for state to be saved: how far that is believed. */
static void run_outages(struct report *r)
{
    crash(r, &(struct crashes){ NODE_POWER_CUT, 32 * KIB, 120 * SIM_S, 0 });
}

/* --- disks --- */

static void run_disks(struct report *r)
{
    struct swarm s;
    swarm_begin(&s, 16);
    a_content(&s, BT_V1, 128 * KIB, 6 * MIB);
    struct node_line fast = a_line(256 * KIB, 1 * MIB, 10);
    struct plan may_fail = { .may_fail = true }, small = { .memory = 512 * KIB };
    swarm_add(&s, &a_seed, &fast, world_now_us())->node.disk =
        (struct node_disk){ .access_us = 12 * SIM_MS, .bps = 4 * MIB, .forgets = true };
    for (size_t i = 0; i < 4; i++) /* a worn card, and little memory */
        swarm_add(&s, i < 2 ? &a_leech : &small, &fast, world_now_us())->node.disk =
            (struct node_disk){ .access_us = 50 * SIM_MS, .bps = 150 * KIB, .forgets = i % 2 == 0 };
    for (size_t i = 0; i < 4; i++) /* full, at once or later */
        swarm_add(&s, &may_fail, &fast, world_now_us())->node.disk.size = (1 + 2 * i) * MIB;
    for (size_t i = 0; i < 4; i++)
        swarm_add(&s, &may_fail, &fast, world_now_us())->node.disk.fails_one_in =
            i == 0 ? 3 : (uint32_t)i * 60;
    must_be_done(&s, swarm_run(&s, 3600 * (int64_t)SIM_S));
    unsigned full = 0, broken = 0;
    for (size_t i = 5; i < s.n; i++) {
        const struct peer *p = &s.peers[i];
        bool is_small = i < 9;
        full += p->has_failed && is_small;
        broken += p->has_failed && !is_small;
        if (is_small && p->node.disk.size < s.content.total &&
            (!p->has_failed || p->why.code != TARN_E_NO_SPACE))
            world_broken("node %zu has a full disk, and does not say so: %s", i,
                         p->has_failed ? p->why.msg : "it goes on");
    }
    snprintf(r->text, sizeof r->text, "%u full disks and %u bad ones said so; slow ones in %.1f s",
             full, broken, last_s(&s));
    swarm_end(&s);
}

/* --- lines --- */

static void run_lines(struct report *r)
{
    enum { PEERS = 24 };
    struct swarm s;
    swarm_begin(&s, PEERS + 1);
    a_content(&s, BT_V1, 64 * KIB, 4 * MIB);
    uint64_t *chance = world_chance();
    struct node_line far = a_line(128 * KIB, 1 * MIB, 150);
    far.lost_one_in = 100;
    swarm_add(&s, &a_seed, &far, world_now_us());
    for (size_t i = 0; i < PEERS; i++)
        swarm_add(&s, &a_leech, &far, world_now_us() + (int64_t)i * SIM_S);
    unsigned cuts = 0, partings = 0;
    for (int minute = 0; minute < 120 && s.n_missing > 0; minute++) {
        for (int i = 0; i < 60 && s.n_missing > 0; i++) {
            cuts += net_cut_one(&s.peers[chance_below(chance, s.n)].node);
            swarm_pass(&s, SIM_S);
        }
        if (minute % 3 == 0) {
            partings++;
            world_trace("the net falls apart");
            for (size_t i = 0; i < s.n; i++)
                s.peers[i].node.island = (unsigned)chance_below(chance, 3);
        } else if (minute % 3 == 2 || minute > 30) {
            world_trace("the net is whole");
            for (size_t i = 0; i < s.n; i++)
                s.peers[i].node.island = 0;
        }
    }
    must_be_done(&s, s.n_missing == 0);
    snprintf(r->text, sizeof r->text,
             "%d peers at 300 ms, %u connections cut, the net apart %u times: %.1f s", PEERS, cuts,
             partings, last_s(&s));
    swarm_end(&s);
}

/* --- clocks --- */

static void run_clocks(struct report *r)
{
    enum { PEERS = 16 };
    struct swarm s;
    swarm_begin(&s, PEERS + 1);
    a_content(&s, BT_V1, 64 * KIB, 4 * MIB);
    uint64_t *chance = world_chance();
    struct node_line home = a_line(64 * KIB, 1 * MIB, 20);
    swarm_add(&s, &a_seed, &home, world_now_us());
    for (size_t i = 0; i < PEERS; i++)
        swarm_add(&s, &a_leech, &home, world_now_us() + (int64_t)i * SIM_S);
    unsigned jumps = 0, sleeps = 0;
    for (int i = 0; i < 400 && s.n_missing > 0; i++) {
        struct node *n = &s.peers[chance_below(chance, s.n)].node;
        n->wall_ms += chance_between(chance, -10, 10) * 3600 * 1000;
        jumps++;
        n = &s.peers[chance_below(chance, s.n)].node;
        if (n->is_suspended) {
            node_resume(n);
        } else if (chance_one_in(chance, 3)) {
            node_suspend(n);
            sleeps++;
        }
        swarm_pass(&s, chance_between(chance, 1, SIM_S));
        if (chance_one_in(chance, 20)) /* a lunch, a night: most of it nothing happens */
            swarm_pass(&s, chance_between(chance, 60, 3600) * SIM_S);
    }
    for (size_t k = 0; k < s.n; k++)
        if (s.peers[k].node.is_suspended)
            node_resume(&s.peers[k].node);
    must_be_done(&s, swarm_run(&s, 3600 * (int64_t)SIM_S));
    snprintf(r->text, sizeof r->text, "%d peers, %u jumps of clocks, %u sleeps", PEERS, jumps,
             sleeps);
    swarm_end(&s);
}

/* --- kinds of torrents, and of wishes --- */

static void run_kinds(struct report *r)
{
    static const struct plan plans[] = {
        { .by_magnet = true },   { .sequential = true },
        { .wants_half = true },  { .by_magnet = true, .wants_half = true, .sequential = true },
        { .rate_up = 16 * KIB }, { .memory = 256 * KIB },
    };
    static const enum bt_format formats[] = { BT_V1, BT_V2, BT_HYBRID };
    double took_s[3];
    for (size_t f = 0; f < 3; f++) {
        struct swarm s;
        swarm_begin(&s, 32);
        a_content(&s, formats[f], 64 * KIB, 3 * MIB);
        struct node_line home = a_line(64 * KIB, 1 * MIB, 20);
        swarm_add(&s, &a_seed, &home, world_now_us());
        for (size_t i = 0; i < 18; i++)
            swarm_add(&s, &plans[i % 6], &home, world_now_us() + (int64_t)i * 100 * SIM_MS);
        must_be_done(&s, swarm_run(&s, 3600 * (int64_t)SIM_S));
        took_s[f] = last_s(&s);
        swarm_end(&s);
    }
    snprintf(r->text, sizeof r->text,
             "magnets, halves, in order: v1 %.1f s, v2 %.1f s, both %.1f s", took_s[0], took_s[1],
             took_s[2]);
}

/* --- fairness --- */

static void run_fair(struct report *r)
{
    enum { EACH = 10 };
    static const struct plan takes = { .rate_up = 1 * KIB };
    struct swarm s;
    swarm_begin(&s, 3 * EACH + 1);
    a_content(&s, BT_V1, 64 * KIB, 12 * MIB);
    struct node_line much = a_line(128 * KIB, 1 * MIB, 20), some = a_line(48 * KIB, 1 * MIB, 20);
    struct node_line office = a_line(512 * KIB, 1 * MIB, 20); /* or all would wait for its pieces */
    swarm_add(&s, &a_seed, &office, world_now_us());
    for (size_t i = 0; i < EACH; i++) {
        swarm_add(&s, &a_leech, &much, world_now_us());
        swarm_add(&s, &a_leech, &some, world_now_us());
        swarm_add(&s, &takes, &some, world_now_us());
    }
    must_be_done(&s, swarm_run(&s, 7200 * (int64_t)SIM_S));
    double sums[3] = { 0 };
    for (size_t i = 1; i < s.n; i++)
        sums[(i - 1) % 3] += mean_s(&s, i, i + 1) / EACH;
    snprintf(r->text, sizeof r->text,
             "mean of those who give 128 KiB/s %.1f s, 48 KiB/s %.1f s, 1 KiB/s %.1f s", sums[0],
             sums[1], sums[2]);
    /* Ten of a kind: their means differ by chance by a few percent. */
    if (sums[0] > sums[1] || sums[0] > sums[2] || sums[1] > sums[2] * 1.1)
        world_broken("who gives more is not served sooner");
    swarm_end(&s);
}

const struct scenario scenarios[] = {
    { "few", "one seed and 20 peers that come at once", 3, run_few },
    { "crowd", "one seed and 200 peers that come at once", 1, run_crowd },
    { "liars", "peers that send wrong data, stall, say nothing, flood, babble", 2, run_liars },
    { "churn", "peers that leave and come back with their disks", 2, run_churn },
    { "kill", "processes killed at any moment", 3, run_kill },
    { "power", "machines that lose their power at any moment", 3, run_power },
    { "outages", "the same, now and then", 2, run_outages },
    { "disks", "disks that are slow, full or broken", 2, run_disks },
    { "lines", "long lines that lose data, connections cut, nets apart", 2, run_lines },
    { "clocks", "wall clocks that jump, machines that sleep", 2, run_clocks },
    { "kinds", "v1, v2, hybrid; magnets, parts, in order", 2, run_kinds },
    { "monkey", "an owner who changes his mind all the time", 3, run_monkey },
    { "limits", "few descriptors, little memory for payload, few peers", 2, run_limits },
    { "memory", "allocations that fail", 3, run_memory },
    { "chaos", "everything at once, drawn by chance", 10, run_chaos },
    { "fair", "who gives more is served sooner", 2, run_fair },
};
const size_t n_scenarios = sizeof scenarios / sizeof *scenarios;
