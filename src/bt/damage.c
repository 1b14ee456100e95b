/* bt/damage: files that something else changed while they are shared.
 *
 * tarn promises to notice, not to prevent: a file opened for reading only is looked at before what
 * a wake-up sends of it (upload); when that or a read goes wrong, and once a minute while something
 * is sent, the files that we do not write are looked at by name; those that are gone, of another
 * length or another inode are hashed anew. Pieces that are lost are offered no more, and peers are
 * told (lt_donthave, BEP 54). A torrent that is only seeded goes on with what is left; another
 * fetches again what it lost. */
#include "bt/priv.h"

enum {
    LOOK_US = 60 * 1000 * 1000,
    PAUSE_US = 10 * 1000 * 1000, /* at least between two looks, whatever peers ask for */
};

static bool may_look(const struct bt_torrent *t)
{
    if (!bt_torrent_is_running(t) || t->tree == NULL || t->work != NULL ||
        (t->add.trust && !t->is_told))
        return false;
    /* hashing reads the layers, which must not be set meanwhile */
    return !t->hashes.has_v2 || t->meta->has_all_layers;
}

static void look(struct bt_torrent *t, int64_t now_us)
{
    struct tarn_err err;
    t->is_suspect = t->is_told = false; /* the job takes `told` */
    t->looked_us = now_us;
    t->looked_uploaded = t->totals.uploaded;
    if (!bt_work_start(t, BT_WORK_LOOK, &err))
        bt_note(t->session, t, "%s", err.msg);
}

void bt_damage_suspect(struct bt_torrent *t)
{
    if (t->add.trust)
        return; /* its owner answers for it */
    t->is_suspect = true;
    bt_session_rouse(t->session, t);
}

/* What was told before the torrent's content is laid out is checked anyway. */
void bt_torrent_suspect(struct bt_torrent *t, uint32_t file)
{
    if (t->layout.files == NULL || t->state == BT_STOPPED ||
        (file != BT_ALL_FILES && file >= t->layout.n_files))
        return;
    bool has_room = t->told.p != NULL || tarn_bits_init(&t->told, t->layout.n_files);
    if (has_room && file != BT_ALL_FILES)
        (void)tarn_bits_set(&t->told, file);
    else if (has_room)
        tarn_bits_set_all(&t->told);
    t->is_suspect = t->is_told = true; /* without memory they are looked at by name */
    bt_damage_tick(t, loop_now_us(t->session->loop));
    bt_session_rouse(t->session, t);
}

void bt_damage_tick(struct bt_torrent *t, int64_t now_us)
{
    bool is_shared = t->totals.uploaded != t->looked_uploaded;
    int64_t since = now_us - t->looked_us;
    bool is_due = t->is_told || (t->is_suspect && since >= PAUSE_US);
    if (may_look(t) && (is_due || (is_shared && since >= LOOK_US)))
        look(t, now_us);
}

bool bt_damage_look(struct bt_torrent *t, const uint32_t *files, size_t n,
                    const struct tarn_bits *told, struct tarn_bits *changed, struct tarn_err *err)
{
    if (!tarn_bits_init(changed, t->layout.n_pieces))
        return tarn_fail_mem(err, "looking at files");
    for (size_t i = 0; i < n; i++) {
        uint32_t first, last;
        bool has_changed = store_tree_changed(t->tree, files[i]);
        has_changed = has_changed || (told->p != NULL && tarn_bits_has(told, files[i]));
        if (!has_changed || !store_file_pieces(&t->layout, files[i], &first, &last))
            continue;
        for (uint32_t piece = first; piece <= last; piece++)
            tarn_bits_set(changed, piece);
    }
    return true;
}

static void tell_peers(struct bt_torrent *t, uint32_t piece)
{
    for (size_t i = 0; i < t->n_numbers; i++) {
        struct bt_conn *c = t->conns[i];
        if (c != NULL && c->is_open && !c->is_dead && c->ext.ids[BT_EXT_DONTHAVE] != 0)
            bt_put_donthave(bt_conn_out(c), c->ext.ids[BT_EXT_DONTHAVE], piece);
    }
}

static void lose(struct bt_torrent *t, uint32_t piece)
{
    struct store_walk walk;
    struct store_part part;
    if (t->has_picker)
        bt_picker_lost(&t->picker, piece);
    else
        tarn_bits_unset(&t->have, piece);
    store_walk_begin(&walk, &t->layout, (uint64_t)piece * t->layout.piece_len,
                     store_piece_len(&t->layout, piece));
    while (store_walk_next(&walk, &part))
        if (part.file != STORE_NO_FILE)
            tarn_bits_unset(&t->finished, part.file);
    tell_peers(t, piece);
}

void bt_damage_found(struct bt_torrent *t, const struct tarn_bits *changed, const uint8_t *found)
{
    uint32_t lost = 0;
    for (uint32_t i = 0; i < changed->n; i++) {
        if (!tarn_bits_has(changed, i) || found[i] != 0 || !tarn_bits_has(&t->have, i))
            continue;
        lose(t, i);
        lost++;
    }
    if (lost == 0)
        return;
    bt_note(t->session, t,
            "%u of %u pieces of '%s' are not what they were: something else changed its files; %s",
            lost, t->have.n, t->meta->name,
            t->add.seed_only ? "they are served no more" : "they are fetched again");
    bt_torrent_lost(t);
}
