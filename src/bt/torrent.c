/* bt/torrent: one torrent's life.
 *
 * BT_METADATA -> BT_PREPARING -> BT_CHECKING -> BT_FETCHING -> BT_SEEDING, or BT_STOPPED from
 * anywhere. A v2 magnet stays in BT_METADATA until its piece layers are here too: without them no
 * piece could be verified. A hybrid goes on with its v1 hashes. */
#include "bt/priv.h"

#include "base/mem.h"
#include "base/num.h"
#include "sys/clock.h"

static bool init_identity(struct bt_torrent *t, struct tarn_err *err)
{
    t->hashes = t->add.meta != NULL ? t->add.meta->hashes : t->add.magnet->hashes;
    if (t->hashes.has_v1)
        memcpy(t->swarms[t->n_swarms++].hash, t->hashes.v1, BT_HASH_LEN);
    if (t->hashes.has_v2)
        memcpy(t->swarms[t->n_swarms++].hash, t->hashes.v2, BT_HASH_LEN);
    uint8_t random[12];
    if (!sys_random(random, sizeof random, err) || !sys_random(&t->key, sizeof t->key, err))
        return false;
    bt_peer_id_make(t->peer_id, random);
    return true;
}

static bool charge(struct bt_torrent *t, uint64_t bytes, struct tarn_err *err)
{
    if (!bt_charge(t->session, bytes, err))
        return tarn_fail_in(err, "cannot hold '%s'", t->meta->name);
    t->charged += bytes;
    return true;
}

/* What is kept of a torrent: what it says, where its files lie, what is here of them. */
static bool charge_content(struct bt_torrent *t, struct tarn_err *err)
{
    enum { A_FILE = sizeof(struct store_file) + 64 }; /* 64: its place in the tree, its counts */
    const struct bt_metainfo *m = t->meta;
    return charge(t, m->arena.used + (uint64_t)m->n_files * A_FILE + tarn_bits_size(m->n_pieces),
                  err);
}

/* Of 100,000 torrents a few at a time are prepared and checked: each that is between the two holds
 * what it was, its descriptors and a place in the pool's line, where others' jobs stand too. */
enum { STARTING_MAX = 16 };

static void begin_content(struct bt_torrent *t)
{
    struct tarn_err err;
    t->is_starting = true;
    t->session->n_starting++;
    if (!bt_work_start(t, BT_WORK_PREPARE, &err))
        bt_torrent_fail(t, &err);
}

static void start_content(struct bt_torrent *t)
{
    struct bt_session *s = t->session;
    struct tarn_err err;
    t->state = BT_PREPARING;
    if (!charge_content(t, &err) || !bt_progress_init(t, &err))
        bt_torrent_fail(t, &err);
    else if (s->n_starting < STARTING_MAX && tarn_list_empty(&s->starting))
        begin_content(t);
    else
        tarn_list_push_back(&s->starting, &t->starting);
}

void bt_torrent_start_next(struct loop_idle *i)
{
    struct bt_session *s = TARN_OUTER(i, struct bt_session, start_soon);
    struct tarn_list *node;
    while (s->n_starting < STARTING_MAX && (node = tarn_list_pop_front(&s->starting)) != NULL)
        begin_content(TARN_OUTER(node, struct bt_torrent, starting));
}

/* It has been looked at, has failed, or goes. */
static void has_started(struct bt_torrent *t)
{
    struct bt_session *s = t->session;
    tarn_list_remove(&t->starting);
    if (!t->is_starting)
        return;
    t->is_starting = false;
    s->n_starting--;
    if (!tarn_list_empty(&s->starting))
        loop_idle_set(s->loop, &s->start_soon);
}

static void on_tell(struct loop_idle *i);
static void after_metadata(struct bt_torrent *t);

struct bt_torrent *bt_session_add(struct bt_session *s, const struct bt_add *add,
                                  struct tarn_err *err)
{
    struct bt_torrent *t = tarn_calloc(1, sizeof *t);
    if (t == NULL) {
        (void)tarn_fail_mem(err, "adding a torrent");
        return NULL;
    }
    t->session = s;
    t->tell.on_idle = on_tell;
    t->add = *add;
    t->meta = add->meta;
    t->state = BT_METADATA;
    bt_metadata_init(&t->metadata);
    tarn_list_init(&t->leaf_jobs);
    tarn_list_init(&t->inquests);
    tarn_list_init(&t->openings);
    tarn_list_init(&t->active);
    tarn_list_push_back(&s->torrents, &t->node);
    s->n_torrents++;
    t->is_paused = add->paused;
    if (!tarn_heap_set(&s->wakes, &t->wake, loop_now_us(s->loop))) {
        (void)tarn_fail_mem(err, "adding a torrent");
        bt_session_remove(s, t);
        return NULL;
    }
    bt_session_tick_soon(s);
    if (!bt_charge(s, sizeof *t, err)) {
        bt_session_remove(s, t);
        return NULL;
    }
    t->charged = sizeof *t;
    if (!init_identity(t, err) || !bt_announce_init(t, 0, err) || !bt_session_know(s, t, err)) {
        bt_session_remove(s, t);
        return NULL;
    }
    bt_dial_given(t);
    bt_recall_start(t);
    if (t->meta != NULL)
        after_metadata(t);
    if (t->state == BT_METADATA)
        bt_torrent_tick(t, loop_now_us(s->loop));
    return t;
}

static void free_limit(struct bt_limit *l)
{
    if (l != NULL)
        bt_limit_release(l);
    tarn_free(l);
}

void bt_session_remove(struct bt_session *s, struct bt_torrent *t)
{
    if (t->gone != NULL)
        *t->gone = true;
    loop_idle_stop(&t->tell);
    has_started(t);
    for (size_t i = 0; i < t->n_numbers; i++)
        if (t->conns[i] != NULL)
            bt_conn_free(t->conns[i]);
    bt_judge_release(t);
    bt_work_stop(t);
    bt_recall_stop(t);
    bt_leaves_release(t);
    bt_opening_release(t);
    bt_dial_release(t);
    bt_webseeds_release(t);
    bt_announce_release(t);
    bt_session_forget(s, t);
    store_places_free(t->places);
    bt_keep_free(t->keep);
    store_tree_free(t->tree);
    if (t->has_picker)
        bt_picker_release(&t->picker);
    if (t->has_layers_job)
        bt_layers_release(&t->layers);
    bt_metadata_release(&t->metadata);
    bt_hash_cache_release(&t->hash_cache);
    bt_progress_release(t);
    bt_metainfo_release(&t->own);
    bt_totals_add(&s->past, &t->totals);
    bt_uncharge(s, t->charged);
    free_limit(t->limit_up);
    free_limit(t->limit_down);
    tarn_free(t->found_layers);
    tarn_free(t->tracker_error);
    tarn_free(t->failure);
    tarn_free(t->conns);
    tarn_heap_remove(&s->wakes, &t->wake);
    tarn_list_remove(&t->node);
    s->n_torrents--;
    tarn_free(t);
    bt_session_one_left(s);
}

bool bt_torrent_set_priorities(struct bt_torrent *t, const uint8_t *priorities,
                               struct tarn_err *err)
{
    bool any = false;
    if (t->meta == NULL || t->add.seed_only)
        return tarn_fail(err, TARN_E_USAGE, "%s",
                         t->meta == NULL ? "its files are not known yet"
                                         : "a torrent that is only seeded has no priorities");
    for (uint32_t i = 0; i < t->meta->n_files; i++) {
        if (priorities[i] > BT_PRIORITY_TOP)
            return tarn_fail(err, TARN_E_USAGE, "priority %u: they are 0 to %u", priorities[i],
                             BT_PRIORITY_TOP);
        any = any || priorities[i] != BT_PRIORITY_SKIP;
    }
    if (!any)
        return tarn_fail(err, TARN_E_USAGE,
                         "no file would be wanted: pause the torrent, or remove it");
    uint8_t *copy = (uint8_t *)tarn_strndup(priorities, t->meta->n_files);
    if (copy == NULL)
        return tarn_fail_mem(err, "setting priorities");
    tarn_free(t->chosen);
    t->chosen = copy;
    bt_torrent_settle(t); /* in force now, or when what is under way allows */
    return true;
}

void bt_torrent_set_sequential(struct bt_torrent *t, bool on)
{
    t->add.sequential = on;
    if (t->has_picker)
        bt_picker_set_sequential(&t->picker, on, 0);
}

void *bt_torrent_arg(const struct bt_torrent *t)
{
    return t->add.arg;
}

void bt_torrent_pause(struct bt_torrent *t)
{
    if (t->is_paused)
        return;
    t->is_paused = true;
    for (size_t i = 0; i < t->n_numbers; i++)
        if (t->conns[i] != NULL)
            bt_conn_close(t->conns[i], "%s", "");
    bt_announce_stop(t);
    bt_keep_save(t, true);
}

void bt_torrent_resume(struct bt_torrent *t)
{
    if (!t->is_paused)
        return;
    t->is_paused = false;
    bt_announce_restart(t);
    bt_torrent_settle(t);
    bt_session_rouse(t->session, t);
}

/* A limit of the torrent's own; 0 stays without one, or lifts it. */
static bool set_limit(struct bt_torrent *t, struct bt_limit **limit, uint64_t bps,
                      void (*go_on)(struct tarn_list *))
{
    if (*limit == NULL && bps != 0) {
        *limit = tarn_calloc(1, sizeof **limit);
        if (*limit == NULL)
            return false;
        bt_limit_init(*limit, t->session->loop, bps, go_on);
    } else if (*limit != NULL) {
        bt_limit_set(*limit, bps);
    }
    return true;
}

bool bt_torrent_set_limits(struct bt_torrent *t, const struct bt_torrent_limits *l,
                           struct tarn_err *err)
{
    t->max_peers = l->max_peers;
    return (set_limit(t, &t->limit_up, l->rate_up, bt_upload_go_on) &&
            set_limit(t, &t->limit_down, l->rate_down, bt_conn_go_on)) ||
           tarn_fail_mem(err, "limiting a torrent");
}

void bt_torrent_add_peer(struct bt_torrent *t, const struct sys_addr *addr)
{
    bt_dial_add(t, addr, false);
}

bool bt_torrent_is_running(const struct bt_torrent *t)
{
    return (t->state == BT_FETCHING || t->state == BT_SEEDING) && !t->is_paused;
}

void bt_torrent_fail(struct bt_torrent *t, const struct tarn_err *err)
{
    if (t->state == BT_STOPPED)
        return;
    t->state = BT_STOPPED;
    has_started(t);
    for (size_t i = 0; i < t->n_numbers; i++)
        if (t->conns[i] != NULL)
            bt_conn_close(t->conns[i], "%s", "the torrent has stopped");
    t->failure_code = err->code;
    t->failure = tarn_strndup(err->msg, strlen(err->msg));
    t->tells_failed = true;
    loop_idle_set(t->session->loop, &t->tell);
}

/* v2: all layers must be here before anything can be verified. */
static bool needs_layers(const struct bt_torrent *t)
{
    return t->hashes.has_v2 && !t->meta->has_all_layers;
}

static void after_metadata(struct bt_torrent *t)
{
    struct tarn_err err;
    if (needs_layers(t) && !t->has_layers_job) {
        if (!bt_layers_init(&t->layers, t->meta, &err)) {
            bt_torrent_fail(t, &err);
            return;
        }
        t->has_layers_job = true;
    }
    if (needs_layers(t) && !t->hashes.has_v1) {
        for (size_t i = 0; i < t->n_numbers; i++)
            if (t->conns[i] != NULL)
                bt_conn_ask_layers(t->conns[i]);
        return; /* bt_torrent_settle goes on when they are here */
    }
    start_content(t);
}

/* A magnet may name one hash of a hybrid; from now on we are in both swarms. If we cannot be, one
 * will do. */
static void join_other_swarm(struct bt_torrent *t)
{
    struct tarn_err err;
    bool had_v1 = t->hashes.has_v1, had_v2 = t->hashes.has_v2;
    t->hashes = t->own.hashes;
    if (t->n_swarms != 1 || (had_v1 == t->hashes.has_v1 && had_v2 == t->hashes.has_v2))
        return;
    struct bt_swarm *s = &t->swarms[t->n_swarms++];
    memcpy(s->hash, had_v1 ? t->hashes.v2 : t->hashes.v1, BT_HASH_LEN);
    const struct bt_torrent *same = bt_session_same(t->session, t);
    if (same != NULL && same->meta != NULL) { /* else that one finds out when it learns its own */
        (void)tarn_fail(&err, TARN_E_FAILED,
                        "it is the same torrent as another one here, known by its other hash: "
                        "remove one of the two");
        t->n_swarms--;
        *s = (struct bt_swarm){ 0 };
        bt_torrent_fail(t, &err);
        return;
    }
    if (bt_announce_init(t, 1, &err) && bt_session_know(t->session, t, &err))
        return;
    bt_note(t->session, t, "one of its two swarms is left out: %s", err.msg);
    bt_session_forget_swarm(t->session, t, 1);
    bt_trackers_release(&s->trackers);
    *s = (struct bt_swarm){ 0 };
    t->n_swarms--;
}

static void learnt(struct bt_torrent *t)
{
    t->meta = &t->own;
    bt_metadata_release(&t->metadata);
    join_other_swarm(t);
    for (size_t i = 0; i < t->n_numbers; i++)
        if (t->conns[i] != NULL)
            bt_conn_learn_pieces(t->conns[i]);
    t->tells_metadata = true; /* after_metadata follows */
    loop_idle_set(t->session->loop, &t->tell);
}

void bt_torrent_got_metadata(struct bt_torrent *t, struct tarn_bytes info)
{
    struct tarn_err err;
    if (!bt_metainfo_parse_info(&t->own, info, &err)) {
        (void)tarn_fail_in(&err, "the metadata that peers sent have the right hash, but");
        bt_torrent_fail(t, &err);
        return;
    }
    learnt(t);
}

void bt_torrent_recalled(struct bt_torrent *t, const struct bt_metainfo *m)
{
    t->own = *m;
    learnt(t);
}

enum { PICKER_A_PIECE = 12 }; /* bytes: bt/core/picker.h */

static void release_picker(struct bt_torrent *t)
{
    uint64_t cost = (uint64_t)PICKER_A_PIECE * t->meta->n_pieces;
    bt_picker_release(&t->picker);
    t->has_picker = false;
    bt_uncharge(t->session, cost);
    t->charged -= cost;
    store_places_free(t->places);
    t->places = NULL;
}

static void on_tell(struct loop_idle *i)
{
    struct bt_torrent *t = TARN_OUTER(i, struct bt_torrent, tell);
    const struct bt_torrent_ops *ops = t->add.ops;
    bool gone = false;
    t->gone = &gone;
    if (t->tells_metadata) {
        t->tells_metadata = false;
        ops->on_metadata(t->add.arg, t->meta);
        if (gone)
            return;
        if (t->state == BT_METADATA)
            after_metadata(t);
    }
    if (t->tells_complete) {
        t->tells_complete = false;
        ops->on_complete(t->add.arg);
        if (gone)
            return;
    }
    if (t->tells_failed) {
        struct tarn_err failure; /* outlives the torrent */
        if (t->has_picker)
            release_picker(t); /* what was arriving holds memory that others need */
        (void)tarn_fail(&failure, t->failure_code, "%s",
                        t->failure != NULL ? t->failure : "no memory to say what failed");
        t->tells_failed = false;
        ops->on_failed(t->add.arg, &failure);
        if (gone)
            return;
    }
    t->gone = NULL;
}

static bool start_picker(struct bt_torrent *t, struct tarn_err *err)
{
    if (!charge(t, (uint64_t)PICKER_A_PIECE * t->meta->n_pieces, err))
        return false;
    if (!bt_picker_init(&t->picker, t->meta, &t->have, bt_session_chance(t->session), err))
        return false;
    t->has_picker = true;
    bt_picker_set_files(&t->picker, t->wanted);
    bt_picker_set_sequential(&t->picker, t->add.sequential, 0);
    struct store_places_settings set = {
        .loop = t->session->loop,
        .tree = t->tree,
        .layout = &t->layout,
        .budget = &t->session->budget,
        .want_v1 = t->hashes.has_v1,
        .want_v2 = t->hashes.has_v2,
        .ops = &bt_places_ops,
        .arg = t,
    };
    t->places = store_places_new(&set, err);
    if (t->places == NULL)
        return false;
    t->picker.hold_max = store_places_hold_max(t->places);
    return true;
}

static void run(struct bt_torrent *t)
{
    struct tarn_err err;
    has_started(t);
    bt_progress_count(t);
    if (t->state == BT_STOPPED)
        return;
    if (t->add.seed_only && t->have.count < t->have.n) {
        (void)tarn_fail(&err, TARN_E_INTEGRITY,
                        "%u of %u pieces in '%s' do not match the torrent: see tarn verify",
                        t->have.n - t->have.count, t->have.n, t->add.path);
        bt_torrent_fail(t, &err);
        return;
    }
    t->state = BT_FETCHING;
    if (t->done < t->total && !start_picker(t, &err)) {
        bt_torrent_fail(t, &err);
        return;
    }
    bt_keep_begin(t);
    for (size_t i = 0; i < t->n_numbers; i++)
        if (t->conns[i] != NULL)
            bt_conn_go(t->conns[i]);
    bt_torrent_settle(t);
    if (t->n_conns == 0)
        store_tree_rest(t->tree); /* what checking has opened */
    if (t->state != BT_STOPPED)
        bt_torrent_tick(t, loop_now_us(t->session->loop));
    bt_session_rouse(t->session, t);
}

/* Whether we still want anything (BEP 21): who does not is no use to seeds, and may have a part of
 * the files only. */
static void tell_upload_only(struct bt_torrent *t)
{
    for (size_t i = 0; i < t->n_numbers; i++) {
        struct bt_conn *c = t->conns[i];
        if (c != NULL && c->is_open && !c->is_dead && c->ext.ids[BT_EXT_UPLOAD_ONLY] != 0)
            bt_put_upload_only(bt_conn_out(c), c->ext.ids[BT_EXT_UPLOAD_ONLY],
                               t->state == BT_SEEDING);
    }
}

static void become_seed(struct bt_torrent *t)
{
    bool fetched = t->has_picker;
    t->state = BT_SEEDING;
    if (fetched)
        tell_upload_only(t);
    if (t->has_picker) {
        for (size_t i = 0; i < t->n_numbers; i++) {
            struct bt_conn *c = t->conns[i];
            if (c != NULL && c->is_open)
                bt_requests_close(&c->requests);
            if (c != NULL && c->web != NULL)
                bt_conn_close(c, "%s", "");
            else if (c != NULL && c->takes_block)
                bt_conn_drop_block(c); /* into a place that goes now */
        }
        release_picker(t);
        for (size_t i = 0; i < t->n_numbers; i++)
            if (t->conns[i] != NULL) /* a new picker would count it anew */
                t->conns[i]->is_counted = false;
    }
    bool is_whole = t->have.count == t->have.n; /* a part is nothing that trackers count */
    for (unsigned i = 0; fetched && is_whole && i < t->n_swarms; i++)
        bt_trackers_completed(&t->swarms[i].trackers);
    bt_session_rouse(t->session, t);
    for (size_t i = 0; i < t->n_numbers; i++) {
        struct bt_conn *c = t->conns[i];
        if (c != NULL && c->waits_room) {
            c->waits_room = false;
            bt_conn_read_on(c);
        }
        if (c != NULL && c->is_open && t->have.count == t->have.n && bt_conn_has_all(c))
            bt_conn_close(c, "%s", ""); /* two seeds have nothing to say to each other */
    }
}

/* What is wanted has changed, and there is room for it: what is missing, and who has it? */
static void count_anew(struct bt_torrent *t)
{
    struct tarn_err err;
    bt_progress_count(t);
    if (t->done < t->total) {
        bool was_seed = t->state == BT_SEEDING;
        t->state = BT_FETCHING;
        t->is_complete_told = false;
        if (was_seed)
            tell_upload_only(t);
    } else if (t->n_to_finish >
               0) { /* all of a file is here that nobody wanted: it gets its name */
        t->state = BT_FETCHING;
        t->is_complete_told = false;
    }
    if (t->has_picker) {
        bt_picker_set_files(&t->picker, t->wanted);
    } else if (t->done < t->total && !start_picker(t, &err)) {
        bt_torrent_fail(t, &err);
        return;
    }
    for (size_t i = 0; t->has_picker && i < t->n_numbers; i++)
        if (t->conns[i] != NULL)
            bt_conn_count_needed(t->conns[i]);
    bt_session_rouse(t->session, t);
}

/* Files that have lost pieces are made ready for writing first, which may have to make them anew.
 */
void bt_torrent_lost(struct bt_torrent *t)
{
    struct tarn_err err;
    if (t->add.seed_only)
        bt_progress_count(t);
    else if (!bt_work_start(t, BT_WORK_PREPARE, &err))
        bt_torrent_fail(t, &err);
}

/* New priorities, as soon as no job reads the old ones. */
static void put_in_force(struct bt_torrent *t)
{
    struct tarn_err err;
    if (!bt_progress_choose(t))
        count_anew(t);
    else if (!bt_work_start(t, BT_WORK_PREPARE, &err))
        bt_torrent_fail(t, &err);
}

void bt_torrent_settle(struct bt_torrent *t)
{
    struct tarn_err err;
    bool runs = t->state == BT_FETCHING || t->state == BT_SEEDING;
    if (runs && t->chosen != NULL && t->work == NULL)
        put_in_force(t);
    if (t->state == BT_METADATA && t->meta != NULL && t->meta->has_all_layers &&
        t->layout.files == NULL)
        start_content(t);
    if (t->state != BT_FETCHING)
        return;
    if (t->n_to_finish > 0 && t->work == NULL && !bt_work_start(t, BT_WORK_FINISH, &err))
        bt_torrent_fail(t, &err);
    bool all_here = !t->has_picker || bt_picker_done(&t->picker);
    if (all_here && t->work == NULL && t->n_to_finish == 0 &&
        (t->places == NULL || !store_places_busy(t->places))) {
        become_seed(t);
        bt_keep_save(t, false);
        if (!t->is_complete_told) {
            t->is_complete_told = true;
            t->tells_complete = true;
            loop_idle_set(t->session->loop, &t->tell);
        }
    }
}

void bt_torrent_work_done(struct bt_torrent *t, enum bt_work_kind kind, uint8_t *found,
                          const struct tarn_err *err)
{
    struct tarn_err why;
    if (t->state == BT_STOPPED)
        return;
    if (err != NULL && kind == BT_WORK_LOOK) { /* it is tried again */
        bt_note(t->session, t, "%s", err->msg);
        bt_torrent_settle(t); /* what has waited for it goes on */
        return;
    }
    if (err != NULL) {
        bt_torrent_fail(t, err);
        return;
    }
    switch (kind) {
    case BT_WORK_PREPARE:
        if (t->state != BT_PREPARING) { /* for files that are wanted now */
            count_anew(t);
            bt_torrent_settle(t);
            break;
        }
        t->state = BT_CHECKING;
        if (!bt_work_start(t, BT_WORK_CHECK, &why))
            bt_torrent_fail(t, &why);
        break;
    case BT_WORK_CHECK:
        for (uint32_t i = 0; i < t->have.n; i++)
            if (found[i] != 0)
                tarn_bits_set(&t->have, i);
        run(t);
        break;
    case BT_WORK_FINISH:
    case BT_WORK_LOOK:
        bt_torrent_settle(t);
        if (t->n_conns == 0 && t->tree != NULL)
            store_tree_rest(t->tree);
        break;
    }
}

/* Connections on which nothing is under way need to be looked at only now and then. */
static void sweep(struct bt_torrent *t, int64_t now_us)
{
    enum { TICKS = 16 }; /* for all of them: well below what keep-alives and silence allow */
    size_t n = t->n_numbers / TICKS + 1;
    for (size_t i = 0; i < n && i < t->n_numbers; i++) {
        t->sweep = t->sweep + 1 < t->n_numbers ? t->sweep + 1 : 0;
        struct bt_conn *c = t->conns[t->sweep];
        if (c != NULL && !tarn_list_is_in(&c->node))
            bt_conn_tick(c, now_us);
    }
}

void bt_torrent_tick(struct bt_torrent *t, int64_t now_us)
{
    if (t->state == BT_STOPPED)
        return;
    bt_keep_tick(t, now_us);
    bt_damage_tick(t, now_us);
    bt_judge_tick(t, now_us);
    bt_meter_update(&t->down, t->totals.downloaded, now_us);
    bt_meter_update(&t->up, t->totals.uploaded, now_us);
    t->fastest_bps = 0;
    for (struct tarn_list *n = t->active.next; n != &t->active; n = n->next) {
        const struct bt_conn *c = TARN_OUTER(n, struct bt_conn, node);
        if (c->requests.n_open > 0)
            t->fastest_bps = tarn_max_u64(t->fastest_bps, c->requests.rate_bps);
        if (c->web != NULL)
            t->fastest_bps = tarn_max_u64(t->fastest_bps, bt_webseed_rate(c->web));
    }
    for (struct tarn_list *n = t->active.next, *next; n != &t->active; n = next) {
        next = n->next; /* this one may leave the list */
        bt_conn_tick(TARN_OUTER(n, struct bt_conn, node), now_us);
    }
    sweep(t, now_us);
    if (t->is_paused)
        return;
    if (t->state == BT_METADATA || bt_torrent_is_running(t)) {
        bt_announce_tick(t, now_us);
        bt_dial_tick(t, now_us);
        bt_webseeds_tick(t, now_us);
    }
}

int64_t bt_torrent_wake_at(const struct bt_torrent *t, int64_t now_us)
{
    bool is_live = t->state == BT_METADATA || t->state == BT_FETCHING || t->state == BT_SEEDING;
    bool looks = t->is_suspect && !t->is_paused;
    if ((t->n_conns > 0 || t->n_inquests > 0 || looks) && t->state != BT_STOPPED)
        return now_us;
    int64_t at = is_live ? bt_keep_wake(t) : INT64_MAX;
    if (!is_live || t->is_paused)
        return at; /* or until bt_session_rouse */
    int64_t dial = bt_dial_wake(t);
    at = dial < at ? dial : at;
    int64_t web = bt_webseeds_wake(t);
    at = web < at ? web : at;
    for (unsigned i = 0; i < t->n_swarms; i++) {
        int64_t due = bt_trackers_wake(&t->swarms[i].trackers);
        at = due < at ? due : at;
    }
    return at;
}

void bt_torrent_stats(const struct bt_torrent *t, struct bt_stats *out)
{
    bool checking = t->state == BT_CHECKING;
    *out = (struct bt_stats){
        .state = t->state,
        .done = checking ? atomic_load(&t->checked) : t->done,
        .total = checking ? t->layout.total : t->total,
        .downloaded = t->totals.downloaded,
        .uploaded = t->totals.uploaded,
        .wasted = t->totals.wasted,
        .corrupt = t->totals.corrupt,
        .ever_downloaded = bt_keep_ever(t, true),
        .ever_uploaded = bt_keep_ever(t, false),
        .rate_down = t->n_conns > 0 ? (uint64_t)t->down.bps : 0,
        .rate_up = t->n_conns > 0 ? (uint64_t)t->up.bps : 0,
        .pieces_passed = (uint32_t)t->totals.pieces_passed,
        .pieces_failed = (uint32_t)t->totals.pieces_failed,
        .uplink_bps = t->session->homeline.uplink.limit_bps,
        .uplink_delay_us = t->session->homeline.uplink.delay_us,
        .peers = t->n_conns,
        .seeds = t->n_seeds,
        .known = (uint32_t)t->n_candidates,
        .is_paused = t->is_paused,
        .tracker_error = t->tracker_error,
    };
}

const struct bt_metainfo *bt_torrent_meta(const struct bt_torrent *t)
{
    return t->meta;
}

bool bt_torrent_is_alone(const struct bt_torrent *t)
{
    if (!bt_dial_is_hopeless(t) || !bt_webseeds_are_hopeless(t))
        return false;
    for (unsigned i = 0; i < t->n_swarms; i++)
        if (t->swarms[i].trackers.n > 0 && !bt_trackers_all_failed(&t->swarms[i].trackers))
            return false;
    return true;
}
