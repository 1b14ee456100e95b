/* bt/save: records of a torrent's state: when one is due, and the order in which it is made. Why
 * that order is in bt/keep.h. */
#include "bt/keep.h"

#include "base/mem.h"
#include "base/num.h"

enum {
    SAVE_EVERY_US = 30 * 1000 * 1000,
    NOTES_LIMIT = 16 << 20, /* bytes; then a record is due */
};
/* Bytes received; then a record is due: what a start after a blow reads again, in a few seconds. */
#define SAVE_BYTES (4 * (uint64_t)TARN_GIB)

/* Notes go to a new generation, which begins with what the record will not say. */
static void turn(struct bt_keep *k, const struct tarn_bits *have)
{
    struct bt_note_writer w;
    if (!k->last_failed)
        k->generation++;
    k->is_changed = k->lost_notes = false;
    k->note_bytes = 0;
    tarn_out_clear(&k->note);
    bt_note_begin(&w, &k->note);
    for (uint32_t i = 0; i < k->noted.n && k->noted.count > 0; i++) {
        if (!tarn_bits_has(&k->noted, i))
            continue;
        if (tarn_bits_has(have, i))
            tarn_bits_unset(&k->noted, i);
        else
            bt_note_piece(&w, i);
    }
    if (k->noted.count == 0)
        return;
    bt_note_end(&w, k->generation);
    bt_keep_put_note(k);
}

bool bt_save_write(struct bt_keep *k, struct bt_save *s)
{
    const struct bt_metainfo *m = k->torrent->meta;
    struct bt_record r = {
        .hashes = m->hashes,
        .piece_len = m->piece_len,
        .n_pieces = m->n_pieces,
        .n_files = m->n_files,
        .total = m->total,
        .place = tarn_bytes_str(k->place),
        .boot = tarn_bytes_str(s->is_interim ? "" : k->boot.s),
        .is_clean = s->is_clean,
        .downloaded = s->downloaded,
        .uploaded = s->uploaded,
        .have = s->have,
    };
    struct tarn_out o;
    r.files = tarn_calloc(r.n_files, sizeof *r.files);
    if (r.files == NULL)
        return tarn_fail_mem(&s->err, "saving state");
    sys_lock_take(&k->lock);
    memcpy(r.files, k->seen, (size_t)r.n_files * sizeof *r.files);
    r.generation = k->generation;
    sys_lock_give(&k->lock);
    tarn_out_init(&o, BT_RECORD_MAX);
    bt_record_write(&r, &o);
    bool ok = tarn_out_ok(&o) ? k->ops->save(k->slot, r.generation, tarn_out_bytes(&o), &s->err)
                              : tarn_fail_mem(&s->err, "saving state");
    tarn_out_release(&o);
    tarn_free(r.files);
    return ok;
}

static void run_save(struct loop_job *job)
{
    struct bt_save *s = TARN_OUTER(job, struct bt_save, job);
    struct bt_keep *k = s->keep;
    char name[BT_RECALL_NAME];
    sys_lock_take(&k->lock);
    turn(k, &s->have);
    sys_lock_give(&k->lock);
    s->synced = store_tree_sync(k->tree, &s->err);
    s->ok = s->synced && bt_save_write(k, s);
    if (s->ok && s->has_torrent)
        s->ok = k->ops->save_torrent(k->torrent->session->set.resume_arg,
                                     bt_recall_name(k->torrent, name), tarn_out_bytes(&s->torrent),
                                     &s->err);
}

/* False: the disk refused to say that it has the data. It is not asked again: what it says then
 * means nothing. */
static bool take_result(struct bt_keep *k, const struct bt_save *s)
{
    struct bt_torrent *t = k->torrent;
    k->last_failed = !s->ok;
    if (s->ok) {
        if (s->has_torrent) {
            k->torrent_kept = true;
            k->layers_kept = s->has_layers;
        }
        k->saved_downloaded = s->downloaded;
        k->saved_uploaded = s->uploaded;
        return true;
    }
    sys_lock_take(&k->lock);
    k->is_changed = true;
    sys_lock_give(&k->lock);
    bt_note(t->session, t, "state: it could not be saved: %s", s->err.msg);
    if (!s->synced)
        bt_torrent_fail(t, &s->err);
    return s->synced;
}

void bt_save_free(struct bt_keep *k)
{
    if (k->save == NULL)
        return;
    tarn_bits_release(&k->save->have);
    tarn_out_release(&k->save->torrent);
    tarn_free(k->save);
    k->save = NULL;
}

static void on_saved(struct loop_job *job)
{
    struct bt_save *s = TARN_OUTER(job, struct bt_save, job);
    struct bt_keep *k = s->keep;
    struct bt_torrent *t = k->torrent;
    bool goes_on = take_result(k, s);
    bt_save_free(k);
    if (k->save_again && goes_on)
        bt_keep_save(t, k->again_is_last);
    if (k->save == NULL)
        bt_session_announce_ended(t->session);
}

/* What the notes ask for. */
struct wishes {
    bool is_changed, is_due, lost_notes;
};

static struct wishes wishes_of(struct bt_keep *k)
{
    sys_lock_take(&k->lock);
    struct wishes w = { k->is_changed, k->note_bytes >= NOTES_LIMIT, k->lost_notes };
    sys_lock_give(&k->lock);
    return w;
}

/* A magnet link's torrent: what a restart need not ask peers for. */
static void take_torrent(struct bt_torrent *t, struct bt_save *s)
{
    s->has_torrent = false;
    const struct bt_keep *k = t->keep;
    if (t->add.meta != NULL || (k->torrent_kept && k->layers_kept == t->meta->has_all_layers))
        return;
    tarn_out_init(&s->torrent, BT_TORRENT_MAX);
    bt_metainfo_write(t->meta, &s->torrent);
    s->has_torrent = tarn_out_ok(&s->torrent);
    s->has_layers = t->meta->has_all_layers;
}

void bt_keep_save(struct bt_torrent *t, bool is_last)
{
    struct bt_keep *k = t->keep;
    if (k == NULL || k->slot == NULL || !k->is_begun)
        return;
    if (t->state == BT_STOPPED)
        return; /* it may have stopped because the disk lost data: nothing more is vouched for */
    if (k->save != NULL) {
        k->again_is_last = is_last || (k->save_again && k->again_is_last);
        k->save_again = true;
        return;
    }
    k->save_again = false;
    uint64_t downloaded = k->base_downloaded + t->totals.downloaded;
    uint64_t uploaded = k->base_uploaded + t->totals.uploaded;
    bool counts = downloaded != k->saved_downloaded || uploaded != k->saved_uploaded;
    if (!wishes_of(k).is_changed && !(is_last && counts))
        return;
    struct bt_save *s = tarn_calloc(1, sizeof *s);
    if (s == NULL || !tarn_bits_init(&s->have, t->have.n)) {
        tarn_free(s);
        return; /* the next tick tries again */
    }
    memcpy(s->have.p, t->have.p, tarn_bits_size(t->have.n));
    s->have.count = t->have.count;
    s->job = (struct loop_job){ .run = run_save, .done = on_saved };
    s->keep = k;
    s->is_clean = is_last && (t->places == NULL || !store_places_busy(t->places));
    s->downloaded = downloaded;
    s->uploaded = uploaded;
    take_torrent(t, s);
    k->save = s;
    k->saved_us = loop_now_us(t->session->loop);
    loop_pool_submit(t->session->loop, &s->job);
}

bool bt_keep_is_busy(const struct bt_torrent *t)
{
    return t->keep != NULL && t->keep->save != NULL;
}

void bt_keep_begin(struct bt_torrent *t)
{
    struct bt_keep *k = t->keep;
    if (k->past->trouble.code != TARN_OK)
        bt_note(t->session, t, "state: %s: %s",
                k->slot == NULL ? "none is kept of it" : "everything is checked",
                k->past->trouble.msg);
    bt_keep_forget_past(k);
    k->is_begun = true;
    k->saved_downloaded = k->base_downloaded;
    k->saved_uploaded = k->base_uploaded;
    k->saved_us = loop_now_us(t->session->loop);
    bt_keep_save(t, false);
}

void bt_keep_tick(struct bt_torrent *t, int64_t now_us)
{
    struct bt_keep *k = t->keep;
    if (k == NULL || k->slot == NULL || !k->is_begun || k->save != NULL)
        return;
    struct wishes w = wishes_of(k);
    if (w.lost_notes && !k->told_lost) {
        k->told_lost = true;
        bt_note(t->session, t, "%s",
                "state: its folder cannot be written: after a crash more is checked again");
    }
    bool is_due = w.is_due || now_us - k->saved_us >= SAVE_EVERY_US ||
                  k->base_downloaded + t->totals.downloaded - k->saved_downloaded >= SAVE_BYTES;
    if (w.is_changed && is_due)
        bt_keep_save(t, false);
}

int64_t bt_keep_wake(const struct bt_torrent *t)
{
    struct bt_keep *k = t->keep;
    if (k == NULL || k->slot == NULL || !k->is_begun || k->save != NULL || !wishes_of(k).is_changed)
        return INT64_MAX;
    return k->saved_us + SAVE_EVERY_US;
}

uint64_t bt_keep_ever(const struct bt_torrent *t, bool is_down)
{
    const struct bt_keep *k = t->keep;
    return is_down ? t->totals.downloaded + (k == NULL ? 0 : k->base_downloaded)
                   : t->totals.uploaded + (k == NULL ? 0 : k->base_uploaded);
}

void bt_torrent_save(struct bt_torrent *t)
{
    bt_keep_save(t, true);
}

bool bt_torrent_is_saving(const struct bt_torrent *t)
{
    return bt_keep_is_busy(t);
}

void bt_torrent_forget(struct bt_torrent *t)
{
    t->forgets = true; /* for a state that is still being read */
    if (t->keep != NULL)
        t->keep->forgets = true; /* when nothing is written any more */
}
