/* bt/progress: what of a torrent is wanted, what is here, and which files are whole. */
#include "bt/priv.h"

#include "base/mem.h"

static void choose_files(struct bt_torrent *t)
{
    for (uint32_t i = 0; i < t->meta->n_files; i++) {
        const struct bt_file *f = &t->meta->files[i];
        bool wanted =
            !f->is_pad && !f->is_symlink && (t->add.wants == NULL || t->add.wants(t->add.arg, f));
        t->wanted[i] = wanted ? BT_PRIORITY_NORMAL : BT_PRIORITY_SKIP;
    }
}

bool bt_progress_init(struct bt_torrent *t, struct tarn_err *err)
{
    const struct bt_metainfo *m = t->meta;
    if (!bt_layout_make(&t->layout, m, err) || !tarn_bits_init(&t->have, m->n_pieces) ||
        !tarn_bits_init(&t->finished, m->n_files))
        return tarn_fail_in(err, "preparing '%s'", m->name);
    t->wanted = tarn_calloc(m->n_files, 1);
    t->file_left = tarn_calloc(m->n_files, sizeof *t->file_left);
    if (t->wanted == NULL || t->file_left == NULL)
        return tarn_fail_mem(err, "preparing a torrent");
    if (t->chosen != NULL)
        (void)bt_progress_choose(t);
    else
        choose_files(t);
    bool any = false; /* also when only empty files are wanted */
    for (uint32_t i = 0; i < m->n_files; i++) {
        t->total += t->wanted[i] != 0 ? m->files[i].len : 0;
        any = any || t->wanted[i] != 0;
    }
    return any ||
           tarn_fail(err, TARN_E_NOT_FOUND, "no file of '%s' is wanted: see its list", m->name);
}

void bt_progress_release(struct bt_torrent *t)
{
    store_layout_release(&t->layout);
    tarn_bits_release(&t->have);
    tarn_bits_release(&t->finished);
    tarn_bits_release(&t->told);
    tarn_free(t->chosen);
    tarn_free(t->wanted);
    tarn_free(t->file_left);
    tarn_free(t->to_finish);
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
    if (!tarn_bits_set(&t->finished, file))
        return; /* it has its name since an earlier choice of files */
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

void bt_progress_count(struct bt_torrent *t)
{
    t->done = t->total = 0;
    for (uint32_t i = 0; i < t->layout.n_files; i++) {
        uint32_t first, last;
        if (t->wanted[i] == 0)
            continue;
        t->total += t->layout.files[i].len;
        if (store_file_pieces(&t->layout, i, &first, &last))
            t->file_left[i] = last - first + 1;
        else if (!t->add.seed_only)
            note_finished(t, i);
    }
    for (uint32_t piece = 0; piece < t->layout.n_pieces; piece++)
        if (tarn_bits_has(&t->have, piece))
            count_piece(t, piece);
}

bool bt_progress_choose(struct bt_torrent *t)
{
    bool any = false;
    for (uint32_t i = 0; i < t->meta->n_files; i++) {
        const struct bt_file *f = &t->meta->files[i];
        uint8_t priority = f->is_pad || f->is_symlink ? BT_PRIORITY_SKIP : t->chosen[i];
        any = any || (priority != BT_PRIORITY_SKIP && t->wanted[i] == BT_PRIORITY_SKIP);
        t->wanted[i] = priority;
    }
    tarn_free(t->chosen);
    t->chosen = NULL;
    return any;
}

void bt_piece_had(struct bt_torrent *t, uint32_t piece)
{
    bt_picker_good(&t->picker, piece);
    bt_pieces_after_pick(t);
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
