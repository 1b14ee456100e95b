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

/* With the metadata known: how content lies, and what of it is wanted. */
static bool init_content(struct bt_torrent *t, struct tarn_err *err)
{
    const struct bt_metainfo *m = t->meta;
    if (!bt_layout_make(&t->layout, m, err) || !tarn_bits_init(&t->have, m->n_pieces))
        return tarn_fail_in(err, "preparing '%s'", m->name);
    t->wanted = tarn_calloc(m->n_files, 1);
    t->file_left = tarn_calloc(m->n_files, sizeof *t->file_left);
    if (t->wanted == NULL || t->file_left == NULL)
        return tarn_fail_mem(err, "preparing a torrent");
    for (uint32_t i = 0; i < m->n_files; i++) {
        const struct bt_file *f = &m->files[i];
        bool wanted =
            !f->is_pad && !f->is_symlink && (t->add.wants == NULL || t->add.wants(t->add.arg, f));
        t->wanted[i] = wanted;
        t->total += wanted ? f->len : 0;
    }
    if (t->total == 0)
        for (uint32_t i = 0; i < m->n_files; i++)
            if (t->wanted[i] != 0)
                return true; /* only empty files are wanted */
    return t->total > 0 ||
           tarn_fail(err, TARN_E_NOT_FOUND, "no file of '%s' is wanted: see its list", m->name);
}

static void start_content(struct bt_torrent *t)
{
    struct tarn_err err;
    t->state = BT_PREPARING;
    if (!init_content(t, &err) || !bt_work_start(t, BT_WORK_PREPARE, &err))
        bt_torrent_fail(t, &err);
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
    tarn_list_push_back(&s->torrents, &t->node);
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

void bt_session_remove(struct bt_session *s, struct bt_torrent *t)
{
    if (t->gone != NULL)
        *t->gone = true;
    loop_idle_stop(&t->tell);
    for (size_t i = 0; i < t->n_numbers; i++)
        if (t->conns[i] != NULL)
            bt_conn_free(t->conns[i]);
    bt_work_stop(t);
    bt_recall_stop(t);
    bt_leaves_release(t);
    bt_dial_release(t);
    bt_announce_release(t);
    bt_session_forget(s, t);
    store_places_free(t->places);
    bt_keep_free(t->keep);
    store_tree_free(t->tree);
    store_layout_release(&t->layout);
    if (t->has_picker)
        bt_picker_release(&t->picker);
    if (t->has_layers_job)
        bt_layers_release(&t->layers);
    bt_metadata_release(&t->metadata);
    bt_hash_cache_release(&t->hash_cache);
    tarn_bits_release(&t->have);
    bt_metainfo_release(&t->own);
    tarn_free(t->found_layers);
    tarn_free(t->wanted);
    tarn_free(t->file_left);
    tarn_free(t->to_finish);
    tarn_free(t->conns);
    tarn_list_remove(&t->node);
    tarn_free(t);
}

bool bt_torrent_is_running(const struct bt_torrent *t)
{
    return t->state == BT_FETCHING || t->state == BT_SEEDING;
}

void bt_torrent_fail(struct bt_torrent *t, const struct tarn_err *err)
{
    if (t->state == BT_STOPPED)
        return;
    t->state = BT_STOPPED;
    for (size_t i = 0; i < t->n_numbers; i++)
        if (t->conns[i] != NULL)
            bt_conn_close(t->conns[i], "%s", "the torrent has stopped");
    t->failure = *err;
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
        struct tarn_err failure = t->failure; /* outlives the torrent */
        t->tells_failed = false;
        ops->on_failed(t->add.arg, &failure);
        if (gone)
            return;
    }
    t->gone = NULL;
}

/* A wanted file's share of a piece, in bytes. */
static uint64_t wanted_bytes(const struct bt_torrent *t, uint32_t piece)
{
    struct store_walk walk;
    struct store_part part;
    uint64_t bytes = 0;
    store_walk_begin(&walk, &t->layout, (uint64_t)piece * t->layout.piece_len,
                     store_piece_len(&t->layout, piece));
    while (store_walk_next(&walk, &part))
        if (part.file != STORE_NO_FILE && t->wanted[part.file] != 0)
            bytes += part.len;
    return bytes;
}

static void note_finished(struct bt_torrent *t, uint32_t file)
{
    if (TARN_GROW(t->to_finish, t->n_to_finish, t->cap_to_finish)) {
        t->to_finish[t->n_to_finish++] = file;
    } else {
        struct tarn_err err;
        (void)tarn_fail_mem(&err, "finishing a file");
        bt_torrent_fail(t, &err);
    }
}

/* One piece more is verified: its bytes count, and files may be whole now. */
static void count_piece(struct bt_torrent *t, uint32_t piece)
{
    struct store_walk walk;
    struct store_part part;
    t->done += wanted_bytes(t, piece);
    store_walk_begin(&walk, &t->layout, (uint64_t)piece * t->layout.piece_len,
                     store_piece_len(&t->layout, piece));
    while (store_walk_next(&walk, &part))
        if (part.file != STORE_NO_FILE && t->wanted[part.file] != 0 &&
            --t->file_left[part.file] == 0 && !t->add.seed_only)
            note_finished(t, part.file);
}

static void count_all(struct bt_torrent *t)
{
    for (uint32_t i = 0; i < t->layout.n_files; i++) {
        uint32_t first, last;
        if (t->wanted[i] == 0)
            continue;
        if (store_file_pieces(&t->layout, i, &first, &last))
            t->file_left[i] = last - first + 1;
        else if (!t->add.seed_only)
            note_finished(t, i);
    }
    for (uint32_t piece = 0; piece < t->layout.n_pieces; piece++)
        if (tarn_bits_has(&t->have, piece))
            count_piece(t, piece);
}

void bt_piece_had(struct bt_torrent *t, uint32_t piece)
{
    bt_picker_good(&t->picker, piece);
    count_piece(t, piece);
    for (size_t i = 0; i < t->n_numbers; i++) {
        struct bt_conn *c = t->conns[i];
        if (c == NULL || !c->is_open)
            continue;
        bool theirs = c->has.p != NULL && tarn_bits_has(&c->has, piece);
        if (theirs && c->n_needed > 0)
            c->n_needed--;
        if (!bt_conn_has_all(c))
            bt_put_index(bt_conn_out(c), BT_EV_HAVE, piece);
        bt_conn_update_interest(c);
    }
    bt_torrent_settle(t);
}

static bool start_picker(struct bt_torrent *t, struct tarn_err *err)
{
    if (!bt_picker_init(&t->picker, t->meta, &t->have, bt_session_chance(t->session), err))
        return false;
    t->has_picker = true;
    for (uint32_t i = 0; i < t->layout.n_files; i++)
        t->wanted[i] = t->wanted[i] != 0 ? BT_PRIORITY_NORMAL : BT_PRIORITY_SKIP;
    bt_picker_set_files(&t->picker, t->wanted);
    bt_picker_set_sequential(&t->picker, t->add.sequential, 0);
    uint64_t budget = t->session->set.memory == 0 ? STORE_BUDGET_DEFAULT : t->session->set.memory;
    /* Blocks are only asked for when their piece fits the budget, so that none arrives for which
     * there is no place. */
    t->picker.max_partials = (size_t)tarn_max_u64(2, budget / t->layout.piece_len);
    struct store_places_settings set = {
        .loop = t->session->loop,
        .tree = t->tree,
        .layout = &t->layout,
        .budget = budget,
        .want_v1 = t->hashes.has_v1,
        .want_v2 = t->hashes.has_v2,
        .ops = &bt_places_ops,
        .arg = t,
    };
    t->places = store_places_new(&set, err);
    return t->places != NULL;
}

static void run(struct bt_torrent *t)
{
    struct tarn_err err;
    count_all(t);
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
    if (t->state != BT_STOPPED)
        bt_torrent_tick(t, loop_now_us(t->session->loop));
}

static void become_seed(struct bt_torrent *t)
{
    bool fetched = t->has_picker;
    t->state = BT_SEEDING;
    if (t->has_picker) {
        for (size_t i = 0; i < t->n_numbers; i++)
            if (t->conns[i] != NULL && t->conns[i]->is_open)
                bt_requests_close(&t->conns[i]->requests);
        bt_picker_release(&t->picker);
        t->has_picker = false;
        store_places_free(t->places);
        t->places = NULL;
    }
    bool is_whole = t->have.count == t->have.n; /* a part is nothing that trackers count */
    for (unsigned i = 0; fetched && is_whole && i < t->n_swarms; i++)
        bt_trackers_completed(&t->swarms[i].trackers);
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

void bt_torrent_settle(struct bt_torrent *t)
{
    struct tarn_err err;
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
    if (err != NULL) {
        bt_torrent_fail(t, err);
        return;
    }
    switch (kind) {
    case BT_WORK_PREPARE:
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
        bt_torrent_settle(t);
        break;
    }
}

void bt_torrent_rate_opened(struct bt_torrent *t, const struct bt_limit *limit)
{
    size_t first = t->up_turn;
    for (size_t k = 0; k < t->n_numbers; k++) {
        size_t i = (first + k) % t->n_numbers;
        struct bt_conn *c = t->conns[i];
        if (c == NULL || c->is_dead)
            continue;
        if (limit == &t->session->up) {
            if (limit->is_waiting)
                return;
            t->up_turn = i + 1; /* the next one is first when this one uses it up */
            bt_upload_serve(c);
        } else if (c->is_rate_paused) {
            c->is_rate_paused = false;
            bt_conn_read_on(c);
        }
    }
}

void bt_torrent_tick(struct bt_torrent *t, int64_t now_us)
{
    if (t->state == BT_STOPPED)
        return;
    bt_keep_tick(t, now_us);
    bt_meter_update(&t->down, t->downloaded, now_us);
    bt_meter_update(&t->up, t->uploaded, now_us);
    for (size_t i = 0; i < t->n_numbers; i++)
        if (t->conns[i] != NULL)
            bt_conn_tick(t->conns[i], now_us);
    if (t->state == BT_METADATA || bt_torrent_is_running(t)) {
        bt_announce_tick(t, now_us);
        bt_dial_tick(t, now_us);
    }
}

void bt_torrent_stats(const struct bt_torrent *t, struct bt_stats *out)
{
    uint32_t seeds = 0;
    for (size_t i = 0; i < t->n_numbers; i++)
        if (t->conns[i] != NULL && t->conns[i]->is_open && bt_conn_has_all(t->conns[i]))
            seeds++;
    bool checking = t->state == BT_CHECKING;
    *out = (struct bt_stats){
        .state = t->state,
        .done = checking ? atomic_load(&t->checked) : t->done,
        .total = checking ? t->layout.total : t->total,
        .downloaded = t->downloaded,
        .uploaded = t->uploaded,
        .wasted = t->wasted,
        .ever_downloaded = bt_keep_ever(t, true),
        .ever_uploaded = bt_keep_ever(t, false),
        .rate_down = (uint64_t)t->down.bps,
        .rate_up = (uint64_t)t->up.bps,
        .pieces_failed = t->pieces_failed,
        .peers = t->n_conns,
        .seeds = seeds,
        .tracker_error = t->tracker_error[0] != 0 ? t->tracker_error : NULL,
    };
}

const struct bt_metainfo *bt_torrent_meta(const struct bt_torrent *t)
{
    return t->meta;
}

bool bt_torrent_is_alone(const struct bt_torrent *t)
{
    if (!bt_dial_is_hopeless(t))
        return false;
    for (unsigned i = 0; i < t->n_swarms; i++)
        if (t->swarms[i].trackers.n > 0 && !bt_trackers_all_failed(&t->swarms[i].trackers))
            return false;
    return true;
}
