/* bt/work: what a torrent does that may take long: making room, hashing what is there, syncing and
 * renaming finished files. One job at a time for a torrent, on a thread of the pool. */
#include "bt/priv.h"

#include "base/mem.h"

struct bt_work {
    struct loop_job job;
    struct bt_torrent *torrent;
    enum bt_work_kind kind;
    struct store_tree *tree; /* made by BT_WORK_PREPARE; the torrent's afterwards */
    struct bt_keep *keep;    /* the same */
    uint8_t *found;          /* BT_WORK_CHECK: for each piece, 1 when it is good */
    struct tarn_bits check;  /* pieces that were hashed */
    uint32_t *files;         /* BT_WORK_FINISH: taken from the torrent; BT_WORK_LOOK: to look at */
    size_t n_files;
    struct tarn_bits told; /* BT_WORK_LOOK: taken from the torrent */
    atomic_bool is_canceled;
    bool ok;
    struct tarn_err err;
};

static bool open_tree(struct bt_work *w)
{
    struct bt_torrent *t = w->torrent;
    w->tree = t->add.seed_only ? store_tree_open(&t->layout, t->add.path, &w->err)
                               : store_tree_create(&t->layout, t->add.path, &w->err);
    if (w->tree != NULL)
        store_tree_set_way(w->tree, t->session->set.io);
    if (w->tree != NULL)
        w->keep = bt_keep_open(t, w->tree, &w->err);
    return w->keep != NULL;
}

static bool prepare(struct bt_work *w)
{
    struct bt_torrent *t = w->torrent;
    if (t->tree == NULL && !open_tree(w))
        return false;
    /* They are there already when only the choice of files is new. */
    struct store_tree *tree = t->tree != NULL ? t->tree : w->tree;
    struct bt_keep *keep = t->tree != NULL ? t->keep : w->keep;
    for (uint32_t i = 0; !t->add.seed_only && i < t->layout.n_files; i++) {
        bool had;
        if (atomic_load(&w->is_canceled))
            return tarn_fail(&w->err, TARN_E_CANCELED, "stopped while making room");
        if (t->wanted[i] == 0 || t->layout.files[i].len == 0 || bt_keep_takes(keep, i))
            continue;
        if (!store_tree_prepare(tree, i, &had, &w->err))
            return false;
        bt_keep_prepared(keep, i, had);
    }
    if (t->tree == NULL) /* of many torrents at a start each may wait long for its check */
        store_tree_rest(tree);
    return true;
}

static void on_scanned(void *arg, const struct store_scanned *s)
{
    struct bt_work *w = arg;
    const struct bt_metainfo *m = w->torrent->meta;
    if (s->found == STORE_READ)
        w->found[s->piece] = bt_piece_match(m, s->piece, s->sha1, s->work, s->n_leaves) == BT_MATCH;
}

static bool on_scan_progress(void *arg, uint64_t done, uint64_t total)
{
    (void)total;
    struct bt_work *w = arg;
    atomic_store(&w->torrent->checked, done);
    return !atomic_load(&w->is_canceled);
}

/* The pieces of `check`. */
static bool hash(struct bt_work *w)
{
    struct bt_torrent *t = w->torrent;
    struct store_scan scan = {
        .tree = t->tree,
        .only = &w->check,
        .layout = &t->layout,
        .want_v1 = t->hashes.has_v1,
        .want_v2 = t->hashes.has_v2,
        .no_threads = !loop_has_threads(t->session->loop),
        .on_piece = on_scanned,
        .on_progress = on_scan_progress,
        .arg = w,
    };
    return store_scan_run(&scan, &w->err);
}

static bool check(struct bt_work *w)
{
    struct bt_torrent *t = w->torrent;
    w->found = tarn_calloc(t->layout.n_pieces, 1);
    if (w->found == NULL)
        return tarn_fail_mem(&w->err, "checking what is there");
    if (t->add.seed_only && t->add.trust) {
        memset(w->found, 1, t->layout.n_pieces);
        return true;
    }
    if (!bt_keep_plan(t->keep, w->found, &w->check, &w->err) || !hash(w))
        return false;
    bt_keep_checked(t->keep, &w->check);
    return true;
}

/* What has changed is hashed anew. */
static bool look(struct bt_work *w)
{
    struct bt_torrent *t = w->torrent;
    w->found = tarn_calloc(t->layout.n_pieces, 1);
    if (w->found == NULL)
        return tarn_fail_mem(&w->err, "looking at files");
    return bt_damage_look(t, w->files, w->n_files, &w->told, &w->check, &w->err) &&
           (w->check.count == 0 || hash(w));
}
static bool finish(struct bt_work *w)
{
    struct bt_torrent *t = w->torrent;
    bool ok = store_tree_finish(t->tree, w->files, w->n_files, &w->err);
    bt_keep_finished(t->keep, w->files, w->n_files);
    return ok;
}

static void on_run(struct loop_job *j)
{
    struct bt_work *w = TARN_OUTER(j, struct bt_work, job);
    switch (w->kind) {
    case BT_WORK_PREPARE:
        w->ok = prepare(w);
        break;
    case BT_WORK_CHECK:
        w->ok = check(w);
        break;
    case BT_WORK_FINISH:
        w->ok = finish(w);
        break;
    case BT_WORK_LOOK:
        w->ok = look(w);
        break;
    }
}

static void work_free(struct bt_work *w)
{
    bt_keep_free(w->keep);
    store_tree_free(w->tree);
    tarn_free(w->found);
    tarn_free(w->files);
    tarn_bits_release(&w->check);
    tarn_bits_release(&w->told);
    tarn_free(w);
}

static void on_done(struct loop_job *j)
{
    struct bt_work *w = TARN_OUTER(j, struct bt_work, job);
    struct bt_torrent *t = w->torrent;
    t->work = NULL;
    if (w->kind == BT_WORK_PREPARE && w->ok && w->tree != NULL) {
        t->tree = w->tree;
        t->keep = w->keep;
        w->tree = NULL;
        w->keep = NULL;
        if (t->forgets)
            bt_torrent_forget(t);
    }
    if (w->kind == BT_WORK_LOOK && w->ok)
        bt_damage_found(t, &w->check, w->found);
    bt_torrent_work_done(t, w->kind, w->found, w->ok ? NULL : &w->err);
    work_free(w);
}

/* Files that nobody writes: of a seed all, else those that have their final names. */
static bool list_settled(struct bt_work *w, struct tarn_err *err)
{
    const struct bt_torrent *t = w->torrent;
    w->files = tarn_calloc(t->layout.n_files, sizeof *w->files);
    if (w->files == NULL)
        return tarn_fail_mem(err, "looking at files");
    for (uint32_t i = 0; i < t->layout.n_files; i++) {
        const struct store_file *f = &t->layout.files[i];
        if (!f->is_pad && f->symlink_target == NULL && f->len > 0 && t->wanted[i] != 0 &&
            (t->add.seed_only || tarn_bits_has(&t->finished, i)))
            w->files[w->n_files++] = i;
    }
    return true;
}

bool bt_work_start(struct bt_torrent *t, enum bt_work_kind kind, struct tarn_err *err)
{
    struct bt_work *w = tarn_calloc(1, sizeof *w);
    if (w == NULL)
        return tarn_fail_mem(err, "starting a job");
    *w = (struct bt_work){ .torrent = t, .kind = kind, .job = { .run = on_run, .done = on_done } };
    if (kind == BT_WORK_FINISH) {
        w->files = t->to_finish;
        w->n_files = t->n_to_finish;
        t->to_finish = NULL;
        t->n_to_finish = t->cap_to_finish = 0;
    }
    if (kind == BT_WORK_LOOK && !list_settled(w, err)) {
        work_free(w);
        return false;
    }
    if (kind == BT_WORK_LOOK) {
        w->told = t->told;
        t->told = (struct tarn_bits){ 0 };
    }
    t->work = w;
    loop_pool_submit(t->session->loop, &w->job);
    return true;
}

void bt_work_stop(struct bt_torrent *t)
{
    if (t->work == NULL)
        return;
    atomic_store(&t->work->is_canceled, true);
    loop_pool_cancel(t->session->loop, &t->work->job);
    work_free(t->work);
    t->work = NULL;
}
