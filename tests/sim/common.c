/* sim/common: what scenarios share. */
#include "sim.h"

const struct plan a_seed = { .is_seed = true }, a_leech = { .is_seed = false };

struct node_line a_line(uint64_t up, uint64_t down, int64_t latency_ms)
{
    return (struct node_line){ .up = up,
                               .down = down,
                               .latency_us = latency_ms * SIM_MS,
                               .jitter_us = latency_ms * SIM_MS / 4 };
}

void a_content(struct swarm *s, enum bt_format format, uint32_t piece_len, uint64_t total)
{
    uint64_t lens[] = { total / 2, total / 8, total - total / 2 - total / 8 - 1, 0, 1 };
    content_make(&s->content, format, piece_len, lens, 5, world_chance());
}

void must_be_done(const struct swarm *s, bool done)
{
    for (size_t i = 0; i < s->n && !done; i++) {
        const struct peer *p = &s->peers[i];
        struct bt_stats st = { 0 };
        if (p->is_complete || p->plan.is_seed || p->starts == 0 ||
            (p->plan.may_fail && p->has_failed))
            continue;
        if (p->torrent != NULL)
            bt_torrent_stats(p->torrent, &st);
        world_broken("node %u is not complete: %llu of %llu bytes, %u peers, state %d", p->node.no,
                     (unsigned long long)st.done, (unsigned long long)st.total, st.peers,
                     (int)st.state);
        peer_tell(p);
    }
}

double last_s(const struct swarm *s)
{
    int64_t last = 0;
    for (size_t i = 0; i < s->n; i++) {
        int64_t us = s->peers[i].completed_us - s->peers[i].came_us;
        last = s->peers[i].plan.is_seed || us < last ? last : us;
    }
    return (double)last / SIM_S;
}

uint64_t all_wasted(const struct swarm *s)
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

bool all_are_right(const struct swarm *s)
{
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < s->content.n_files; k++)
            if (!s->peers[i].plan.is_seed && !s->peers[i].plan.is_liar &&
                !content_file_is_right(&s->content, &s->peers[i].node, s->folder, k))
                return false;
    return true;
}
