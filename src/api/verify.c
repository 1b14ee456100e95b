/* api/verify: tarn_verify: one scan with a comparison at the end. Workers note the state of each
 * piece in an array of bytes, and the blocks that leaf hashes prove bad in a list; when all are
 * done, one walk over the files turns that into ranges of damage, in order. */
#include "api/damage.h"
#include "api/priv.h"
#include "api/walk.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/num.h"
#include "bt/layout.h"
#include "sys/clock.h"

#include <stdio.h>

static void fail_once(struct api_check *k, const struct tarn_err *err)
{
    sys_lock_take(&k->lock);
    if (!k->failed) {
        k->failed = true;
        k->err = *err;
    }
    sys_lock_give(&k->lock);
}

/* Note a stretch of a file that is known to be bad, or why it cannot be read. */
static void note(struct api_check *k, const struct api_stretch *s)
{
    sys_lock_take(&k->lock);
    bool fits = TARN_GROW(k->stretches, k->n_stretches, k->cap_stretches);
    if (fits)
        k->stretches[k->n_stretches++] = *s;
    sys_lock_give(&k->lock);
    struct tarn_err err;
    if (!fits) {
        tarn_fail_mem(&err, "noting damage");
        fail_once(k, &err);
    }
}

/* The leaf hashes of a piece as the side file says, proved by the torrent. */
static bool proved_leaves(const struct api_check *k, uint32_t piece, uint8_t *leaves, uint8_t *work,
                          struct tarn_err *err)
{
    struct api_leaves_run run = api_leaves_of(&k->leaves, piece);
    const uint8_t *root;
    uint32_t width;
    uint8_t found[MERKLE_HASH];
    struct tarn_quote q;
    if (run.n == 0)
        return true;
    if (!api_leaves_get(&k->leaves, piece, leaves, err))
        return false;
    memcpy(work, leaves, (size_t)run.n * MERKLE_HASH);
    if (bt_piece_v2(k->meta, piece, &root, &width)) {
        merkle_root(work, run.n, width, 0, found);
        if (memcmp(found, root, MERKLE_HASH) == 0)
            return true;
    }
    return tarn_fail(err, TARN_E_FAILED,
                     "the leaf hashes in '%s' are not those of this torrent (piece %u)",
                     tarn_quote_str(&q, k->leaves.path), piece);
}

static size_t leaves_room(const struct api_check *k)
{
    return (size_t)tarn_div_up_u64(k->meta->piece_len, MERKLE_BLOCK) * MERKLE_HASH;
}

static bool check_leaves(const struct api_check *k, struct tarn_err *err)
{
    uint8_t *room = tarn_calloc(2, leaves_room(k));
    if (room == NULL)
        return tarn_fail_mem(err, "checking leaf hashes");
    bool ok = true;
    for (uint32_t i = 0; i < k->meta->n_pieces && ok; i++)
        ok = proved_leaves(k, i, room, room + leaves_room(k), err);
    tarn_free(room);
    return ok;
}

/* Which blocks of a bad piece are bad? False when the leaves do not tell. */
static bool note_blocks(struct api_check *k, const struct store_scanned *s, struct tarn_err *err)
{
    uint32_t len, found = 0;
    uint32_t file = store_piece_own_file(&k->layout, s->piece, &len);
    uint64_t at = (uint64_t)s->piece * k->meta->piece_len - k->layout.files[file].off;
    uint8_t *room = tarn_calloc(2, leaves_room(k));
    if (room == NULL)
        return tarn_fail_mem(err, "checking leaf hashes");
    bool ok = proved_leaves(k, s->piece, room, room + leaves_room(k), err);
    for (uint32_t i = 0; ok && i < s->n_leaves; i++) {
        uint32_t off = i * MERKLE_BLOCK;
        if (memcmp(room + (size_t)i * MERKLE_HASH, s->leaves + (size_t)i * MERKLE_HASH,
                   MERKLE_HASH) == 0)
            continue;
        found++;
        note(k,
             &(struct api_stretch){ .file = file,
                                    .piece = s->piece,
                                    .off = at + off,
                                    .len = len - off < MERKLE_BLOCK ? len - off : MERKLE_BLOCK });
    }
    tarn_free(room);
    return found > 0;
}

static void judge(struct api_check *k, const struct store_scanned *s)
{
    struct tarn_err err = { 0 };
    enum bt_match match =
        bt_piece_match(k->meta, s->piece, s->sha1, s->n_leaves == 0 ? NULL : s->work, s->n_leaves);
    k->pieces[s->piece] = match == BT_MATCH ? API_PIECE_GOOD : API_PIECE_BAD;
    if (match == BT_MATCH)
        return;
    if (match == BT_SPLIT) {
        sys_lock_take(&k->lock);
        if (!k->is_split || s->piece < k->split_piece)
            k->split_piece = s->piece;
        k->is_split = true;
        sys_lock_give(&k->lock);
    }
    if (k->has_leaves && s->n_leaves > 0 && note_blocks(k, s, &err))
        k->pieces[s->piece] = API_PIECE_BLOCKS;
    if (err.code != TARN_OK)
        fail_once(k, &err);
}

static void on_piece(void *arg, const struct store_scanned *s)
{
    struct api_check *k = arg;
    switch (s->found) {
    case STORE_READ:
        judge(k, s);
        break;
    case STORE_MISSING:
    case STORE_SHORT:
        k->pieces[s->piece] = API_PIECE_GONE;
        break;
    case STORE_FAILED:
        k->pieces[s->piece] = API_PIECE_UNREAD;
        note(k, &(struct api_stretch){ .file = s->file,
                                       .piece = s->piece,
                                       .why = tarn_strndup(s->err->msg, strlen(s->err->msg)) });
        break;
    }
}

static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct api_check *k = arg;
    struct tarn_progress p = { done, total };
    sys_lock_take(&k->lock);
    bool failed = k->failed;
    sys_lock_give(&k->lock);
    return !failed && (k->v->on_progress == NULL || k->v->on_progress(k->v->arg, &p));
}

static bool scan(struct api_check *k, struct tarn_err *err)
{
    struct store_scan s = {
        .tree = k->tree,
        .layout = &k->layout,
        .want_v1 = k->meta->pieces != NULL,
        .want_v2 = k->meta->hashes.has_v2,
        .jobs = k->v->jobs,
        .on_piece = on_piece,
        .on_progress = on_progress,
        .arg = k,
    };
    bool ok = store_scan_run(&s, err);
    if (k->failed && err != NULL)
        *err = k->err;
    return ok && !k->failed;
}

static bool prepare(struct api_check *k, struct tarn_err *err)
{
    const struct tarn_torrent *t = k->v->torrent;
    if (t->info.is_magnet)
        return tarn_fail(err, TARN_E_USAGE,
                         "a magnet link does not say the hashes of the data: fetch the torrent "
                         "first (--save-torrent)");
    k->meta = &t->meta;
    if (k->meta->pieces == NULL && !k->meta->has_all_layers)
        return tarn_fail(err, TARN_E_FAILED,
                         "the torrent lacks piece layers, so its data cannot be checked: fetch it "
                         "again from peers (--save-torrent)");
    if (k->v->leaves != NULL && !k->meta->hashes.has_v2)
        return tarn_fail(err, TARN_E_USAGE, "a v1 torrent has no leaf hashes");
    k->pieces = tarn_calloc(k->meta->n_pieces, 1);
    if (k->pieces == NULL)
        return tarn_fail_mem(err, "checking data");
    if (!bt_layout_make(&k->layout, k->meta, err))
        return false;
    if (k->v->leaves != NULL &&
        (!api_leaves_open(&k->leaves, k->v->leaves, &k->layout, err) || !check_leaves(k, err)))
        return false;
    k->has_leaves = k->v->leaves != NULL;
    return true;
}

/* Nothing of it is there: then all is bad. */
static bool open_tree(struct api_check *k, struct tarn_verified *result, struct tarn_err *err)
{
    struct tarn_err why;
    k->tree = store_tree_open(&k->layout, k->v->path, &why);
    if (k->tree != NULL)
        return true;
    if (why.code == TARN_E_NOT_FOUND)
        *result = (struct tarn_verified){ .pieces_bad = k->meta->n_pieces,
                                          .files_bad = k->meta->n_real_files };
    if (err != NULL)
        *err = why;
    return false;
}

/* Files that the torrent does not know. */

struct extras {
    const struct tarn_verify *v;
    struct tarn_map known;
    struct tarn_out path; /* the torrent's name, '/', and what follows */
    size_t name_len;
};

static bool on_extra(void *arg, const char *path, const struct sys_stat *st, struct tarn_err *err)
{
    struct extras *x = arg;
    (void)st;
    if (tarn_map_get(&x->known, tarn_bytes_str(path)) != NULL)
        return true;
    x->path.len = x->name_len;
    tarn_out_str(&x->path, path);
    tarn_out_u8(&x->path, '\0');
    if (!tarn_out_ok(&x->path))
        return tarn_fail_mem(err, "listing files");
    x->v->on_extra(x->v->arg, (const char *)x->path.p);
    return true;
}

static bool on_extra_other(void *arg, const char *path, enum sys_kind kind, struct tarn_err *err)
{
    (void)kind;
    return on_extra(arg, path, NULL, err);
}

static bool tell_extras(struct api_check *k, struct extras *x, struct tarn_err *err)
{
    const struct tarn_torrent *t = k->v->torrent;
    const size_t below = strlen(t->info.name) + 1;
    for (uint32_t i = 0; i < t->info.n_files; i++) {
        const char *path = k->meta->files[t->real[i]].path;
        if (!tarn_map_put(&x->known, tarn_bytes_str(path + below), 0))
            return tarn_fail_mem(err, "listing files");
    }
    char root[4096];
    store_tree_path(k->tree, t->real[0], root, sizeof root);
    size_t tail = strlen(k->meta->files[t->real[0]].path) - below;
    if (strlen(root) <= tail)
        return tarn_fail(err, TARN_E_FAILED, "cannot list the folder of '%s'", t->info.name);
    root[strlen(root) - tail] = '\0';
    tarn_out_str(&x->path, t->info.name);
    tarn_out_u8(&x->path, '/');
    x->name_len = x->path.len;
    struct api_walk walk = { NULL, on_extra, on_extra_other, x };
    return api_walk(&walk, root, err);
}

static bool list_extras(struct api_check *k, struct tarn_err *err)
{
    struct extras x = { .v = k->v };
    uint8_t seed[16];
    if (k->v->on_extra == NULL || k->meta->is_single_file)
        return true;
    if (!sys_random(seed, sizeof seed, err))
        return false;
    tarn_map_init(&x.known, seed);
    tarn_out_init(&x.path, 64 << 10);
    bool ok = tell_extras(k, &x, err);
    tarn_map_release(&x.known);
    tarn_out_release(&x.path);
    return ok;
}

static bool conclude(const struct api_check *k, const struct tarn_verified *r, struct tarn_err *err)
{
    const struct bt_metainfo *m = k->meta;
    struct tarn_quote q;
    uint32_t n_files = r->files_good + r->files_bad;
    tarn_quote_str(&q, m->name);
    if (k->is_split)
        return tarn_fail(err, TARN_E_INTEGRITY,
                         "the torrent itself is wrong: its v1 and v2 hashes disagree about piece "
                         "%u of '%s'",
                         k->split_piece, q.s);
    if (k->n_missing > 0 && k->n_missing == k->n_with_bytes)
        return tarn_fail(err, TARN_E_NOT_FOUND, "nothing of '%s' is there", q.s);
    if (r->files_bad > 0)
        return tarn_fail(err, TARN_E_INTEGRITY, "'%s' is damaged: %u of %u files, %u of %u pieces",
                         q.s, r->files_bad, n_files, r->pieces_bad, m->n_pieces);
    return true;
}

bool tarn_verify(const struct tarn_verify *v, struct tarn_verified *result, struct tarn_err *err)
{
    struct api_check k = { .v = v };
    struct tarn_verified r = { 0 };
    sys_lock_init(&k.lock);
    bool ok = prepare(&k, err) && open_tree(&k, result, err) && scan(&k, err);
    if (ok) {
        api_damage_tell(&k, &r);
        ok = list_extras(&k, err);
    }
    if (ok) {
        *result = r;
        ok = conclude(&k, &r, err);
    }
    sys_lock_release(&k.lock);
    for (size_t i = 0; i < k.n_stretches; i++)
        tarn_free(k.stretches[i].why);
    tarn_free(k.stretches);
    tarn_free(k.pieces);
    api_leaves_release(&k.leaves);
    store_tree_free(k.tree);
    store_layout_release(&k.layout);
    return ok;
}
