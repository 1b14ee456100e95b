/* sim/abuse: scenarios in which the engine's owner and its machine are the trouble. */
#include "sim.h"

#include "base/mem.h"
#include "bt/core/picker.h"

#include <stdio.h>

/* --- an owner who changes his mind --- */

static void take_out(struct peer *p)
{
    bt_torrent_save(p->torrent);
    peer_end(p, NODE_EXITS);
}

static void choose_files(struct peer *p, uint64_t *chance)
{
    struct tarn_err err;
    uint8_t priorities[CONTENT_FILES * 2 + 2];
    const struct bt_metainfo *m = bt_torrent_meta(p->torrent);
    if (m == NULL || m->n_files > sizeof priorities)
        return;
    for (uint32_t i = 0; i < m->n_files; i++)
        priorities[i] = (uint8_t)chance_below(chance, BT_PRIORITY_TOP + 1);
    if (!bt_torrent_set_priorities(p->torrent, priorities, &err))
        world_trace("node %u: priorities are refused: %s", p->node.no, err.msg);
}

void peer_meddle(struct peer *p, uint64_t *chance)
{
    struct tarn_err err;
    struct bt_torrent_limits limits = { .rate_down = chance_below(chance, 100 * KIB),
                                        .rate_up = chance_below(chance, 100 * KIB),
                                        .max_peers = (uint32_t)chance_below(chance, 20) };
    uint64_t what = chance_below(chance, 9);
    world_trace("node %u: its owner does %u", p->node.no, (unsigned)what);
    struct node *before = node_enter(&p->node);
    switch (what) {
    case 0:
    case 1:
        bt_torrent_pause(p->torrent);
        break;
    case 2:
    case 3:
        bt_torrent_resume(p->torrent);
        break;
    case 4:
        if (!bt_torrent_set_limits(p->torrent, &limits, &err))
            world_trace("node %u: limits are refused: %s", p->node.no, err.msg);
        break;
    case 5:
        bt_session_set_rates(p->session, limits.rate_down, limits.rate_up);
        break;
    case 6:
        bt_torrent_set_sequential(p->torrent, chance_one_in(chance, 2));
        break;
    case 7:
        choose_files(p, chance);
        break;
    default:
        bt_torrent_save(p->torrent);
        break;
    }
    node_leave(before);
    node_reckon(&p->node);
}

/* All that was asked for is taken back. */
void peer_calm_down(struct peer *p)
{
    struct tarn_err err;
    uint8_t priorities[CONTENT_FILES * 2 + 2];
    const struct bt_metainfo *m = bt_torrent_meta(p->torrent);
    struct node *before = node_enter(&p->node);
    bt_torrent_resume(p->torrent);
    bt_session_set_rates(p->session, 0, 0);
    memset(priorities, BT_PRIORITY_NORMAL, sizeof priorities);
    if (!bt_torrent_set_limits(p->torrent, &(struct bt_torrent_limits){ 0 }, &err) ||
        (m != NULL && !bt_torrent_set_priorities(p->torrent, priorities, &err)))
        world_broken("node %u: the end of limits is refused: %s", p->node.no, err.msg);
    node_leave(before);
    node_reckon(&p->node);
}

void run_monkey(struct report *r)
{
    enum { PEERS = 12, ACTS = 600 };
    struct swarm s;
    swarm_begin(&s, PEERS + 1);
    uint64_t *chance = world_chance();
    a_content(&s, (enum bt_format)chance_between(chance, BT_V1, BT_HYBRID), 64 * KIB, 4 * MIB);
    struct node_line home = a_line(64 * KIB, 1 * MIB, 20);
    swarm_add(&s, &a_seed, &home, world_now_us());
    for (size_t i = 0; i < PEERS; i++) {
        struct plan plan = { .by_magnet = i % 3 == 0 };
        swarm_add(&s, &plan, &home, world_now_us())->away_us = 500 * SIM_MS;
    }
    swarm_pass(&s, SIM_S);
    unsigned acts = 0;
    for (; acts < ACTS; acts++) {
        struct peer *p = &s.peers[1 + chance_below(chance, PEERS)];
        if (p->runs && chance_one_in(chance, 40))
            take_out(p);
        else if (p->runs && chance_one_in(chance, 40))
            peer_add_again(p, chance_one_in(chance, 2));
        else if (p->runs)
            peer_meddle(p, chance);
        swarm_pass(&s, chance_between(chance, 1, 400 * SIM_MS));
    }
    swarm_pass(&s, SIM_S);
    for (size_t i = 1; i < s.n; i++)
        peer_calm_down(&s.peers[i]);
    int64_t begin = world_now_us();
    for (int i = 0; i < 3600 && !all_are_right(&s); i++)
        swarm_pass(&s, SIM_S);
    must_be_done(&s, s.n_missing == 0);
    if (!all_are_right(&s))
        world_broken("not all files are there, though all are wanted now");
    snprintf(r->text, sizeof r->text, "%u changes of mind, and %.1f s to complete after them", acts,
             (double)(world_now_us() - begin) / SIM_S);
    swarm_end(&s);
}

/* --- limits --- */

void run_limits(struct report *r)
{
    enum { PEERS = 40 };
    struct swarm s;
    swarm_begin(&s, PEERS + 1);
    a_content(&s, BT_V1, 64 * KIB, 3 * MIB);
    struct node_line home = a_line(96 * KIB, 1 * MIB, 20);
    struct plan narrow_seed = { .is_seed = true, .max_peers = 10 };
    swarm_add(&s, &narrow_seed, &home, world_now_us())->node.descr_limit = 24;
    for (size_t i = 0; i < PEERS; i++) {
        struct plan plan = { .memory = i % 2 == 0 ? 128 * KIB : 0,
                             .max_peers = i % 3 == 0 ? 6 : 0 };
        struct peer *p = swarm_add(&s, &plan, &home, world_now_us() + (int64_t)i * 50 * SIM_MS);
        p->node.descr_limit = i % 3 == 0 ? 26 : 4096;
    }
    must_be_done(&s, swarm_run(&s, 7200 * (int64_t)SIM_S));
    snprintf(r->text, sizeof r->text, "%d peers in %.1f s", PEERS, last_s(&s));
    swarm_end(&s);
}

/* --- no memory --- */

static uint64_t fails_one_in; /* of allocations of nodes that may fail */
static unsigned n_failed;

static bool mem_may(size_t bytes)
{
    struct node *n = node_now();
    (void)bytes;
    if (sim_allocates || n == NULL || n->owner == NULL ||
        !((struct peer *)n->owner)->plan.may_fail || !chance_one_in(&n->chance, fails_one_in))
        return true;
    n_failed++;
    return false;
}

/* Whoever gets no memory may give up, and says so; nobody else is harmed. */
void run_memory(struct report *r)
{
    enum { PEERS = 16 };
    struct swarm s;
    struct plan victim = { .may_fail = true };
    swarm_begin(&s, PEERS + 1);
    a_content(&s, BT_HYBRID, 64 * KIB, 3 * MIB);
    struct node_line home = a_line(96 * KIB, 1 * MIB, 20);
    swarm_add(&s, &a_seed, &home, world_now_us());
    for (size_t i = 0; i < PEERS; i++) {
        victim.by_magnet = i % 4 == 1;
        swarm_add(&s, i % 2 == 0 ? &a_leech : &victim, &home,
                  world_now_us() + (int64_t)i * 50 * SIM_MS);
    }
    fails_one_in = (uint64_t)chance_between(world_chance(), 5, 500);
    n_failed = 0;
    tarn_mem_may = mem_may;
    must_be_done(&s, swarm_run(&s, 7200 * (int64_t)SIM_S));
    unsigned gave_up = 0;
    for (size_t i = 0; i < s.n; i++)
        gave_up += s.peers[i].has_failed;
    snprintf(r->text, sizeof r->text,
             "1 of %llu allocations of 8 peers failed, %u in all; %u gave up",
             (unsigned long long)fails_one_in, n_failed, gave_up);
    swarm_end(&s);
    tarn_mem_may = NULL;
}
