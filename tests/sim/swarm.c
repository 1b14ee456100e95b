/* sim/swarm: see the header. */
#include "swarm.h"

#include "base/mem.h"
#include "bt/core/picker_priv.h"
#include "bt/priv.h"
#include "bt/resume.h"
#include "descr.h"
#include "net.h"
#include "os.h"

#include <stdio.h>

enum {
    PORT = 6881,
    TRACKER_PEERS = 20, /* of one answer */
    TRACKER_EVERY_US = 120 * SIM_S,
    LOOK_EVERY_US = 1 * SIM_S,
    /* Ours, from bt/conn.c: what waits for a peer before it is not read any more, and what one turn
     * may add. */
    QUEUED_MAX = 4 << 20,
};

static struct swarm *the_swarm; /* addresses of the net are its peers' */

static const char *end_name(enum node_end how)
{
    return how == NODE_EXITS ? "exits" : how == NODE_KILLED ? "is killed" : "loses its power";
}

bool peer_wants_file(const struct peer *p, size_t file)
{
    return !p->plan.wants_half || file % 2 == 0;
}

static const char *folder_of(const struct peer *p)
{
    return p->plan.is_seed ? "/seed" : p->swarm->folder;
}

/* --- what the engine tells --- */

static bool wants(void *arg, const struct bt_file *f)
{
    const struct peer *p = arg;
    size_t file = content_file_of(&p->swarm->content, f->path);
    return file < CONTENT_FILES && peer_wants_file(p, file);
}

static void on_metadata(void *arg, const struct bt_metainfo *m)
{
    const struct peer *p = arg;
    world_trace("node %u: knows %u pieces", p->node.no, m->n_pieces);
}

static void on_complete(void *arg)
{
    struct peer *p = arg;
    world_trace("node %u: complete", p->node.no);
    if (p->is_complete)
        return;
    p->is_complete = true;
    p->completed_us = world_now_us();
    if (!p->plan.is_seed)
        p->swarm->n_missing--;
}

/* Nothing will come of it, and nothing need. */
static void give_up(struct peer *p, const struct tarn_err *err)
{
    if (p->plan.may_fail && !p->is_complete && !p->plan.is_seed && !p->has_failed)
        p->swarm->n_missing--;
    p->has_failed = true;
    p->why = *err;
    if (!p->plan.may_fail && !p->node.is_dying)
        world_broken("node %u stops: %s", p->node.no, err->msg);
}

static void on_failed(void *arg, const struct tarn_err *err)
{
    struct peer *p = arg;
    world_trace("node %u: stops: %s", p->node.no, err->msg);
    give_up(p, err);
}

static const struct bt_torrent_ops ops = { on_metadata, on_complete, on_failed };

static void on_note(void *arg, struct bt_torrent *t, const char *text)
{
    const struct peer *p = arg;
    (void)t;
    world_trace("node %u: %s", p->node.no, text);
}

/* --- invariants --- */

static void on_rename(struct node *n, struct inode *i, const char *to)
{
    struct swarm *s = the_swarm;
    size_t file = content_file_of(&s->content, to);
    world_trace("node %u: a file is now called %s", n->no, to);
    if (file < CONTENT_FILES && i != NULL && !content_is_right(&s->content, i, file))
        world_broken("node %u gives '%s' its name, and it is not right", n->no, to);
}

static void look_at_conn(struct peer *p, const struct bt_conn *c)
{
    if (c->stream.queued > p->swarm->most_queued)
        p->swarm->most_queued = c->stream.queued;
    if (c->stream.queued > QUEUED_MAX)
        world_broken("node %u has %zu bytes queued for one peer", p->node.no, c->stream.queued);
    if (c->uploads.n > BT_EXT_REQQ)
        world_broken("node %u keeps %u requests of one peer", p->node.no, c->uploads.n);
}

static void look_at_places(struct peer *p, const struct bt_torrent *t)
{
    uint64_t budget = p->plan.memory == 0 ? STORE_BUDGET_DEFAULT : p->plan.memory;
    if (t->places != NULL && store_places_used(t->places) > budget)
        world_broken("node %u uses %llu bytes of a budget of %llu", p->node.no,
                     (unsigned long long)store_places_used(t->places), (unsigned long long)budget);
}

/* Whatever the torrent says it has must be on the disk. */
static void look_at_pieces(struct peer *p, const struct bt_torrent *t)
{
    const struct swarm *s = p->swarm;
    for (uint32_t i = 0; i < t->have.n; i++)
        if (tarn_bits_has(&t->have, i) &&
            !content_has_piece(&s->content, &p->node, folder_of(p), i))
            world_broken("node %u believes in piece %u, which is not on its disk", p->node.no, i);
}

static void look(struct peer *p)
{
    const struct bt_torrent *t = p->torrent;
    if (t == NULL)
        return;
    look_at_places(p, t);
    for (size_t i = 0; i < t->n_numbers; i++)
        if (t->conns[i] != NULL)
            look_at_conn(p, t->conns[i]);
    if (p->session->n_conns > p->session->max_peers)
        world_broken("node %u has %u connections", p->node.no, p->session->n_conns);
    if (p->is_new && bt_torrent_is_running(t) && !p->plan.is_liar) {
        p->is_new = false;
        look_at_pieces(p, t);
    }
}

static void after_turn(struct node *n)
{
    struct peer *p = n->owner;
    if (n->is_dying) {
        peer_end(p, p->dies_by);
        return;
    }
    if (world_now_us() - p->looked_us >= LOOK_EVERY_US) {
        p->looked_us = world_now_us();
        look(p);
    }
}

/* --- the tracker that everybody knows --- */

static void ask_tracker(struct sim_event *e)
{
    struct peer *p = TARN_OUTER(e, struct peer, asks_tracker);
    struct swarm *s = p->swarm;
    if (!p->runs || p->torrent == NULL)
        return;
    struct node *before = node_enter(&p->node);
    for (size_t told = 0, tries = 0; told < TRACKER_PEERS && tries < 4 * TRACKER_PEERS; tries++) {
        const struct peer *other = &s->peers[chance_below(&p->node.chance, s->n)];
        if (s->n <= TRACKER_PEERS) { /* all of them */
            if (tries >= s->n)
                break;
            other = &s->peers[tries];
        }
        if (other == p || !other->runs || (other->plan.is_seed && p->is_complete))
            continue;
        struct sys_addr at = { .port = PORT };
        for (int b = 0; b < 4; b++)
            at.ip[b] = (uint8_t)(other->node.ip >> (24 - 8 * b));
        bt_torrent_add_peer(p->torrent, &at);
        told++;
    }
    node_leave(before);
    node_reckon(&p->node);
    world_at(e, world_now_us() + TRACKER_EVERY_US);
}

/* --- processes --- */

static bool start_session(struct peer *p, struct tarn_err *err)
{
    struct loop_settings loop = {
        .threads = 2, .no_threads = true, .job_took_us = os_job_took_us, .arg = &p->node
    };
    p->node.loop = loop_new(&loop, err);
    if (p->node.loop == NULL)
        return false;
    p->state = bt_resume_files_new("/state", err);
    if (p->state == NULL)
        return false;
    struct sys_addr at = { .port = PORT };
    struct bt_session_settings set = {
        .loop = p->node.loop,
        .listen = &at,
        .n_listen = 1,
        .memory = p->plan.memory,
        .rate_up = p->plan.rate_up,
        .max_peers = p->plan.max_peers,
        .resume = &bt_resume_files_ops,
        .resume_arg = p->state,
        .agent = "sim",
        .on_note = on_note,
        .arg = p,
    };
    p->session = bt_session_new(&set, err);
    return p->session != NULL;
}

static bool add_torrent(struct peer *p, struct tarn_err *err)
{
    struct swarm *s = p->swarm;
    if (!bt_metainfo_parse(&p->meta, tarn_out_bytes(&s->content.torrent), err))
        return false;
    struct bt_add add = {
        .meta = p->plan.by_magnet ? NULL : &p->meta,
        .magnet = p->plan.by_magnet ? &s->content.magnet : NULL,
        .path = folder_of(p),
        .seed_only = p->plan.is_seed,
        .trust = p->plan.trusts,
        .sequential = p->plan.sequential,
        .no_trackers = true,
        .wants = wants,
        .ops = &ops,
        .arg = p,
    };
    p->torrent = bt_session_add(p->session, &add, err);
    return p->torrent != NULL;
}

void peer_start(struct peer *p)
{
    struct tarn_err err;
    world_trace("node %u: starts", p->node.no);
    p->node.is_off = false;
    p->starts++;
    p->is_new = true;
    if (p->came_us == 0)
        p->came_us = world_now_us();
    struct node *before = node_enter(&p->node);
    if (!start_session(p, &err) || !add_torrent(p, &err))
        give_up(p, &err);
    else
        p->runs = true;
    node_leave(before);
    node_reckon(&p->node);
    if (p->runs && p->swarm->with_tracker)
        world_at(&p->asks_tracker, world_now_us() + 1);
}

static void count(struct peer *p)
{
    struct bt_stats st;
    if (p->torrent == NULL)
        return;
    bt_torrent_stats(p->torrent, &st);
    p->downloaded += st.downloaded;
    p->uploaded += st.uploaded;
    p->wasted += st.wasted;
    p->pieces_failed += st.pieces_failed;
}

void peer_add_again(struct peer *p, bool forgets)
{
    struct tarn_err err;
    struct node *before = node_enter(&p->node);
    count(p);
    if (forgets)
        bt_torrent_forget(p->torrent);
    bt_session_remove(p->session, p->torrent);
    bt_metainfo_release(&p->meta);
    p->torrent = NULL;
    p->is_new = true;
    if (!add_torrent(p, &err))
        give_up(p, &err);
    node_leave(before);
    node_reckon(&p->node);
    if (p->swarm->with_tracker)
        world_at(&p->asks_tracker, world_now_us() + 1);
}

/* What a system does with what a process had open. */
static void close_all(struct node *n)
{
    while (!tarn_list_empty(&n->descrs))
        (void)descr_close(TARN_OUTER(n->descrs.next, struct descr, in_node));
}

static void check_names(const struct peer *p)
{
    const struct swarm *s = p->swarm;
    char path[96];
    for (size_t i = 0; i < s->content.n_files && !p->plan.is_liar; i++) {
        snprintf(path, sizeof path, "%s/pay/%s", folder_of(p), s->content.names[i]);
        const struct inode *at = fs_look((struct node *)(uintptr_t)&p->node, path);
        if (at != NULL && !content_is_right(&s->content, at, i))
            world_broken("node %u has '%s' under its name, and it is not right", p->node.no, path);
    }
}

void peer_end(struct peer *p, enum node_end how)
{
    struct node *n = &p->node;
    if (!p->runs && n->loop == NULL)
        return;
    world_trace("node %u: %s", n->no, end_name(how));
    struct node *before = node_enter(n);
    p->runs = false;
    n->is_dying = how != NODE_EXITS;
    count(p);
    if (how == NODE_POWER_CUT)
        net_vanish(n);
    else if (how == NODE_KILLED)
        close_all(n);
    if (p->on_over != NULL)
        p->on_over(p);
    bt_session_free(p->session);
    bt_resume_files_free(p->state);
    bt_metainfo_release(&p->meta);
    loop_free(n->loop);
    close_all(n);
    node_leave(before);
    p->session = NULL;
    p->state = NULL;
    p->torrent = NULL;
    p->meta = (struct bt_metainfo){ 0 };
    n->loop = NULL;
    n->is_dying = false;
    n->dies_after = -1;
    n->job_us = 0;
    world_stop(&n->wake);
    world_stop(&p->asks_tracker);
    if (how == NODE_POWER_CUT) {
        fs_power_cut(n->fs);
        n->is_off = true;
        n->boots++;
    }
    check_names(p);
    if (p->away_us >= 0)
        world_at(&p->comes, world_now_us() + p->away_us);
}

static void on_comes(struct sim_event *e)
{
    struct peer *p = TARN_OUTER(e, struct peer, comes);
    if (p->runs)
        return;
    peer_start(p);
    if (p->goes_again_us == 0 || p->starts < 2)
        return;
    if (p->crashes_left > 0) {
        p->crashes_left--;
        if (chance_one_in(&p->node.chance, 2))
            p->node.dies_after = chance_between(&p->node.chance, 0, 60);
    }
    if (p->crashes_left > 0 || !p->is_complete)
        world_at(&p->goes, world_now_us() + chance_between(&p->node.chance, 0, p->goes_again_us));
}

static void on_goes(struct sim_event *e)
{
    struct peer *p = TARN_OUTER(e, struct peer, goes);
    if (p->runs)
        peer_end(p, p->dies_by);
}

void peer_goes_at(struct peer *p, int64_t at_us, enum node_end how, int64_t away_us)
{
    p->dies_by = how;
    p->away_us = away_us;
    world_at(&p->goes, at_us);
}

bool peer_bans(const struct peer *p, const struct peer *other)
{
    struct bt_addr at = { .port = PORT };
    for (int b = 0; b < 4; b++)
        at.ip[b] = (uint8_t)(other->node.ip >> (24 - 8 * b));
    return p->session != NULL && bt_bans_has(&p->session->bans, &at, false);
}

/* --- for who looks for the cause --- */

static void tell_conn(const struct peer *p, const struct bt_conn *c)
{
    struct sys_addr_text addr;
    world_trace("node %u: peer %s has %u pieces, %u of them needed; %s%s%s%s%s; %u requests of %u, "
                "rate %llu; it %s%s; %u of its own wait, %zu bytes queued; %s%s%s%s",
                p->node.no, sys_addr_text(&addr, &c->stream.peer), c->has.count, c->n_needed,
                c->is_open ? "open" : "not open", c->am_interested ? ", interested" : "",
                c->requests.is_choked ? ", choked" : "", c->requests.is_snubbed ? ", snubbed" : "",
                c->on_parole ? ", on parole" : "", c->requests.n_open, c->requests.depth,
                (unsigned long long)c->requests.rate_bps,
                c->is_interested ? "is interested" : "wants nothing",
                c->am_choking ? ", choked" : "", c->uploads.n, c->stream.queued,
                c->in_block ? "in a block" : "", c->is_rate_paused ? ", paused by a limit" : "",
                c->is_clogged ? ", clogged" : "", c->waits_room ? ", waits for room" : "");
}

void peer_tell(const struct peer *p)
{
    const struct bt_torrent *t = p->torrent;
    if (t == NULL) {
        world_trace("node %u: %s", p->node.no, p->runs ? "no torrent" : "does not run");
        return;
    }
    world_trace("node %u: state %d%s, %u of %u pieces, %llu of %llu bytes%s; work %s, %zu files to "
                "finish",
                p->node.no, (int)t->state, t->is_paused ? ", paused" : "", t->have.count, t->have.n,
                (unsigned long long)t->done, (unsigned long long)t->total,
                t->has_picker ? "" : ", no picker", t->work != NULL ? "under way" : "none",
                t->n_to_finish);
    for (size_t i = 0; t->has_picker && i < t->picker.n_partials; i++) {
        const struct bt_partial *part = t->picker.partials[i];
        world_trace("node %u: piece %u is begun: %u of %u blocks here, %u asked for, %u free%s",
                    p->node.no, part->piece, part->n_here, part->n_blocks, part->n_asked,
                    part->n_free, part->owner != BT_NO_PEER ? ", for one peer alone" : "");
    }
    for (uint32_t i = 0; t->has_picker && i < t->have.n; i++)
        if (bt_picker_needs(&t->picker, i))
            world_trace("node %u: needs piece %u", p->node.no, i);
    for (size_t i = 0; i < t->n_numbers; i++)
        if (t->conns[i] != NULL)
            tell_conn(p, t->conns[i]);
}

/* --- the swarm --- */

struct node *swarm_node(uint32_t ip)
{
    unsigned no = node_no(ip);
    return no < the_swarm->n ? &the_swarm->peers[no].node : NULL;
}

void swarm_begin(struct swarm *s, size_t most_peers)
{
    *s = (struct swarm){ .with_tracker = true, .folder = "/get" };
    s->peers = sim_alloc(most_peers, sizeof *s->peers);
    s->cap = most_peers;
    the_swarm = s;
    net_node_of = swarm_node;
    os_on_rename = on_rename;
    os_install();
}

struct peer *swarm_add_bare(struct swarm *s, const struct node_line *line)
{
    if (s->n == s->cap)
        world_broken("the scenario has more than %zu peers", s->cap--);
    struct peer *p = &s->peers[s->n];
    p->swarm = s;
    p->away_us = -1;
    node_init(&p->node, (unsigned)s->n++);
    p->node.line = *line;
    p->node.owner = p;
    p->comes.run = on_comes;
    p->goes.run = on_goes;
    p->asks_tracker.run = ask_tracker;
    return p;
}

struct peer *swarm_add(struct swarm *s, const struct plan *plan, const struct node_line *line,
                       int64_t at_us)
{
    struct peer *p = swarm_add_bare(s, line);
    p->plan = *plan;
    p->node.after_turn = after_turn;
    if (plan->is_seed)
        content_put(&s->content, &p->node);
    else
        s->n_missing++;
    world_at(&p->comes, at_us);
    return p;
}

bool swarm_run(struct swarm *s, int64_t for_us)
{
    int64_t until_us = world_now_us() + for_us;
    while (s->n_missing > 0 && world_step(until_us))
        ;
    return s->n_missing == 0;
}

void swarm_pass(struct swarm *s, int64_t for_us)
{
    (void)s;
    world_pass(world_now_us() + for_us);
}

double swarm_ideal_s(const struct swarm *s)
{
    double all_up = 0, seeds_up = 0, least_down = 0, n = 0;
    double len = (double)s->content.total;
    for (size_t i = 0; i < s->n; i++) {
        const struct peer *p = &s->peers[i];
        double down = (double)p->node.line.down;
        all_up += (double)p->node.line.up;
        if (p->plan.is_seed)
            seeds_up += (double)p->node.line.up;
        else
            n++;
        if (!p->plan.is_seed && down > 0 && (least_down == 0 || down < least_down))
            least_down = down;
    }
    double s1 = len / seeds_up, s2 = least_down > 0 ? len / least_down : 0, s3 = n * len / all_up;
    return s1 > s2 ? (s1 > s3 ? s1 : s3) : (s2 > s3 ? s2 : s3);
}

static void check_at_end(const struct peer *p)
{
    const struct swarm *s = p->swarm;
    check_names(p);
    for (size_t i = 0; i < s->content.n_files && p->is_complete && !p->plan.is_liar; i++)
        if (peer_wants_file(p, i) &&
            !content_file_is_right(&s->content, (struct node *)(uintptr_t)&p->node, folder_of(p),
                                   i))
            world_broken("node %u is complete, but '%s' is not there or not right", p->node.no,
                         s->content.names[i]);
}

void swarm_end(struct swarm *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct peer *p = &s->peers[i];
        if (p->runs)
            look(p);
        check_at_end(p);
        p->away_us = -1;
        peer_end(p, NODE_EXITS);
        world_stop(&p->comes);
        world_stop(&p->goes);
        close_all(&p->node);
    }
    for (size_t i = 0; i < s->n; i++)
        node_release(&s->peers[i].node);
    content_release(&s->content);
    tarn_free(s->peers);
    os_remove();
}
