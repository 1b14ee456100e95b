/* sim/chaos: everything at once, drawn by chance: contents, lines, disks, plans, liars, villains,
 * crashes, cuts, partings, sleeps, clocks, owners. Then calm, and all must come right. */
#include "net.h"
#include "sim.h"
#include "villain.h"

#include <stdio.h>

static struct node_line some_line(uint64_t *chance)
{
    struct node_line l =
        a_line((uint64_t)chance_between(chance, 16, 512) * KIB,
               (uint64_t)chance_between(chance, 128, 2048) * KIB, chance_between(chance, 1, 150));
    if (chance_one_in(chance, 4))
        l.lost_one_in = (uint32_t)chance_between(chance, 20, 1000);
    if (chance_one_in(chance, 8))
        l.up = l.down = 0;
    return l;
}

static struct node_disk some_disk(uint64_t *chance)
{
    struct node_disk d = { .access_us = chance_between(chance, 0, 20 * SIM_MS) };
    if (chance_one_in(chance, 3))
        d.bps = (uint64_t)chance_between(chance, 100, 5000) * KIB;
    d.forgets = chance_one_in(chance, 4);
    if (chance_one_in(chance, 10))
        d.fails_one_in = (uint32_t)chance_between(chance, 20, 2000);
    return d;
}

static void some_content(struct swarm *s, uint64_t *chance)
{
    uint64_t lens[CONTENT_FILES];
    size_t n = (size_t)chance_between(chance, 1, CONTENT_FILES);
    if (n < 2)
        n = 2; /* one alone would be the torrent's root */
    for (size_t i = 0; i < n; i++)
        lens[i] =
            chance_one_in(chance, 5) ? chance_below(chance, 20) : chance_below(chance, 4 * MIB / n);
    lens[0] += 1;
    content_make(&s->content, (enum bt_format)chance_between(chance, BT_V1, BT_HYBRID),
                 (uint32_t)(16 * KIB) << chance_below(chance, 5), lens, n, chance);
}

static void add_peer(struct swarm *s, uint64_t *chance, enum node_end how)
{
    struct plan plan = { .by_magnet = chance_one_in(chance, 4),
                         .sequential = chance_one_in(chance, 4),
                         .memory = chance_one_in(chance, 4) ? 256 * KIB : 0,
                         .may_fail = true };
    struct node_line line = some_line(chance);
    int64_t at_us = world_now_us() + chance_between(chance, 0, 30 * SIM_S);
    struct peer *p = swarm_add(s, &plan, &line, at_us);
    p->node.disk = some_disk(chance);
    p->away_us = chance_between(chance, 1, 20 * SIM_S);
    if (chance_one_in(chance, 2))
        return;
    p->crashes_left = (unsigned)chance_between(chance, 1, 20);
    p->goes_again_us = chance_between(chance, 5, 60) * SIM_S;
    peer_goes_at(p, at_us + chance_between(chance, 0, p->goes_again_us), how, p->away_us);
}

static void add_trouble(struct swarm *s, uint64_t *chance)
{
    static const struct plan liar = { .is_seed = true, .trusts = true, .is_liar = true };
    struct node_line line = some_line(chance);
    uint64_t what = chance_below(chance, 6);
    if (what < 4)
        villain_add(s, (enum villain_kind)what, &line);
    else if (what == 4)
        swarm_add(s, &liar, &line, world_now_us())->node.lies_one_in =
            (uint32_t)chance_between(chance, 1, 20);
    else
        swarm_add(s, &liar, &line, world_now_us())->node.stalls_after =
            (uint64_t)chance_between(chance, 1000, 200000);
}

/* One thing that goes wrong. */
static void disturb(struct swarm *s, uint64_t *chance)
{
    struct peer *p = &s->peers[chance_below(chance, s->n)];
    switch (chance_below(chance, 7)) {
    case 0:
        (void)net_cut_one(&p->node);
        break;
    case 1:
        p->node.island = (unsigned)chance_below(chance, 2);
        break;
    case 2:
        p->node.wall_ms += chance_between(chance, -86400, 86400) * 1000;
        break;
    case 3:
        if (p->node.is_suspended)
            node_resume(&p->node);
        else if (chance_one_in(chance, 3))
            node_suspend(&p->node);
        break;
    case 4:
        if (p->runs && p->torrent != NULL && !p->plan.is_seed && !p->node.is_suspended)
            peer_meddle(p, chance);
        break;
    default:
        p->node.island = 0;
        break;
    }
}

static void calm(struct swarm *s)
{
    world_trace("now all is calm");
    for (size_t i = 0; i < s->n; i++) {
        struct peer *p = &s->peers[i];
        p->node.island = 0;
        p->node.disk.fails_one_in = 0;
        p->goes_again_us = 0;
        p->crashes_left = 0;
        p->node.dies_after = -1;
        world_stop(&p->goes);
        if (p->node.is_suspended)
            node_resume(&p->node);
        if (p->torrent == NULL || p->plan.is_seed || p->plan.is_liar)
            continue;
        p->away_us = SIM_S;
        if (p->has_failed) { /* its owner has seen to it */
            s->n_missing += !p->is_complete;
            p->has_failed = false;
            peer_end(p, NODE_EXITS);
        } else if (p->runs) {
            peer_calm_down(p);
        }
    }
}

void run_chaos(struct report *r)
{
    struct swarm s;
    uint64_t *chance = world_chance();
    size_t n = (size_t)chance_between(chance, 2, 24), trouble = (size_t)chance_below(chance, 5);
    swarm_begin(&s, n + trouble + 1);
    some_content(&s, chance);
    struct node_line office = a_line(256 * KIB, 0, 10);
    swarm_add(&s, &a_seed, &office, world_now_us());
    enum node_end how = (enum node_end)chance_between(chance, NODE_EXITS, NODE_POWER_CUT);
    for (size_t i = 0; i < n; i++)
        add_peer(&s, chance, how);
    for (size_t i = 0; i < trouble; i++)
        add_trouble(&s, chance);
    int64_t every_us = chance_between(chance, 10 * SIM_MS, 5 * SIM_S);
    int64_t calm_us = world_now_us() + chance_between(chance, 1, 300) * SIM_S;
    while (world_now_us() < calm_us) {
        swarm_pass(&s, every_us);
        disturb(&s, chance);
    }
    calm(&s);
    int64_t begin = world_now_us();
    for (int i = 0; i < 7200 && (s.n_missing > 0 || !all_are_right(&s)); i++)
        swarm_pass(&s, SIM_S);
    must_be_done(&s, s.n_missing == 0);
    if (!all_are_right(&s))
        world_broken("not all files are there, though all are wanted now");
    for (size_t i = 0; i < s.n && !all_are_right(&s); i++)
        if (s.peers[i].session != NULL)
            peer_tell(&s.peers[i]);
    unsigned starts = 0;
    for (size_t i = 0; i < s.n; i++)
        starts += s.peers[i].starts;
    snprintf(r->text, sizeof r->text,
             "%zu peers, %zu troubles, %u starts; %.1f s after it was calm", n, trouble, starts,
             (double)(world_now_us() - begin) / SIM_S);
    swarm_end(&s);
}
