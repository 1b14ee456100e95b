/* bt/resume: what is believed of a torrent's files at its start, and notes of what is written to
 * them from then on. What must stay true is in bt/keep.h. */
#include "bt/keep.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "crypt/sha.h"

#include <stdio.h>

enum { NAME_LEN = 100 };

/* Looking at files. */

static bool look(struct bt_keep *k, uint32_t file, struct bt_seen *seen, struct tarn_err *err)
{
    struct sys_stat st;
    enum store_where where;
    *seen = (struct bt_seen){ 0 };
    if (!store_tree_look(k->tree, file, &st, &where, err))
        return false;
    if (st.kind != SYS_REGULAR)
        return tarn_fail(err, TARN_E_POLICY, "it is no regular file");
    *seen = (struct bt_seen){
        .size = st.size,
        .ino = st.ino,
        .mtime_ns = st.mtime_ns,
        .ctime_ns = st.ctime_ns,
        .where = where == STORE_WHERE_PART ? BT_AT_PART : BT_AT_FINAL,
    };
    return true;
}

static bool has_bytes(const struct bt_keep *k, uint32_t file)
{
    const struct store_file *f = &k->torrent->layout.files[file];
    return !f->is_pad && f->symlink_target == NULL && f->len > 0;
}

static void walk_piece(const struct bt_keep *k, uint32_t piece, struct store_walk *w)
{
    const struct store_layout *l = &k->torrent->layout;
    store_walk_begin(w, l, (uint64_t)piece * l->piece_len, store_piece_len(l, piece));
}

/* Opening. */

/* One slot for each torrent and place. */
static const char *make_name(const struct bt_keep *k, char name[NAME_LEN])
{
    const struct bt_hashes *h = &k->torrent->meta->hashes;
    uint8_t digest[CRYPT_SHA256_LEN];
    char hash[65], place[17];
    crypt_hash(CRYPT_SHA256, tarn_bytes_str(k->place), digest);
    tarn_hex(hash,
             h->has_v1 ? tarn_bytes_of(h->v1, sizeof h->v1) : tarn_bytes_of(h->v2, sizeof h->v2));
    tarn_hex(place, tarn_bytes_of(digest, 8));
    snprintf(name, NAME_LEN, "%s-%s", hash, place);
    return name;
}

static bool open_slot(struct bt_keep *k, bool *is_taken, struct tarn_err *err)
{
    char name[NAME_LEN];
    *is_taken = false;
    k->place = store_tree_place(k->tree, err);
    if (k->place == NULL)
        return false;
    k->slot = k->ops->open(k->torrent->session->set.resume_arg, make_name(k, name), err);
    *is_taken = k->slot == NULL && err->code == TARN_E_POLICY;
    return k->slot != NULL;
}

static bool read_record(struct bt_keep *k, struct tarn_err *err)
{
    size_t len;
    if (!k->ops->load(k->slot, &k->past->old_bytes, &len, err))
        return false;
    if (len == 0)
        return true;
    if (!bt_record_read(&k->past->old, tarn_bytes_of(k->past->old_bytes, len), err))
        return false;
    if (bt_record_fits(&k->past->old, k->torrent->meta, tarn_bytes_str(k->place), err))
        return true;
    bt_record_release(&k->past->old);
    return false;
}

/* Files that look as the record or a note says. Which generations have notes tells where ours go
 * on: a new one, beyond them all. */
static bool read_notes(struct bt_keep *k, const struct bt_seen *now, struct tarn_err *err)
{
    struct bt_journal j = { .now = now,
                            .n_files = k->torrent->layout.n_files,
                            .known = k->past->known,
                            .named = &k->past->named };
    for (uint32_t i = 0; i < j.n_files; i++)
        k->past->known[i] = bt_seen_same(&k->past->old.files[i], &now[i]);
    k->generation = k->past->old.generation;
    for (uint64_t i = 0; i <= BT_RESUME_GENERATIONS; i++) {
        uint64_t generation = k->past->old.generation + i;
        uint8_t *notes;
        size_t len;
        if (!k->ops->load_notes(k->slot, generation, &notes, &len, err))
            return false;
        if (len > 0) {
            (void)bt_journal_read(&j, tarn_bytes_of(notes, len), generation);
            k->past->had_notes = true;
            k->generation = generation;
        }
        tarn_free(notes);
    }
    k->generation++;
    return true;
}

/* What the last run left. When it cannot be used everything is checked, and that is said. */
static void recall(struct bt_keep *k)
{
    struct tarn_err err;
    uint32_t n = k->torrent->layout.n_files;
    k->generation = (uint64_t)sys_wall_ms(); /* without a record: beyond any that was lost */
    if (!read_record(k, &err)) {
        k->past->trouble = err;
        return;
    }
    if (k->past->old.files == NULL)
        return;
    for (uint32_t i = 0; i < n; i++) {
        struct tarn_err why;
        if (!has_bytes(k, i) || look(k, i, &k->seen[i], &why))
            continue;
        k->past->fresh[i] = why.code == TARN_E_NOT_FOUND;
    }
    k->base_downloaded = k->past->old.downloaded;
    k->base_uploaded = k->past->old.uploaded;
    if (read_notes(k, k->seen, &err))
        return;
    k->past->trouble = err;
    memset(k->past->known, 0, n);
}

static bool init(struct bt_keep *k, struct tarn_err *err)
{
    uint32_t n_files = k->torrent->layout.n_files, n_pieces = k->torrent->layout.n_pieces;
    sys_lock_init(&k->lock);
    tarn_out_init(&k->note, BT_NOTE_MAX);
    k->past = tarn_calloc(1, sizeof *k->past);
    if (k->past == NULL)
        return tarn_fail_mem(err, "reading saved state");
    k->past->known = tarn_calloc(n_files, 1);
    k->past->fresh = tarn_calloc(n_files, 1);
    k->seen = tarn_calloc(n_files, sizeof *k->seen);
    if (k->past->known == NULL || k->past->fresh == NULL || k->seen == NULL ||
        !tarn_bits_init(&k->past->named, n_pieces) || !tarn_bits_init(&k->noted, n_pieces))
        return tarn_fail_mem(err, "reading saved state");
    return true;
}

struct bt_keep *bt_keep_open(struct bt_torrent *t, struct store_tree *tree, struct tarn_err *err)
{
    struct tarn_err why;
    bool is_taken;
    struct bt_keep *k = tarn_calloc(1, sizeof *k);
    if (k == NULL) {
        tarn_fail_mem(err, "reading saved state");
        return NULL;
    }
    k->torrent = t;
    k->tree = tree;
    k->ops = t->add.trust ? NULL : t->session->set.resume; /* what is not checked is not recorded */
    if (!init(k, err)) {
        bt_keep_free(k);
        return NULL;
    }
    sys_boot_id(&k->boot);
    if (k->ops == NULL)
        return k;
    if (open_slot(k, &is_taken, &why)) {
        recall(k);
        return k;
    }
    if (is_taken && !t->add.seed_only) {
        struct tarn_quote q;
        tarn_fail(err, TARN_E_POLICY,
                  "another process is at this torrent in '%s' (its saved state is taken): stop it, "
                  "or choose another folder",
                  tarn_quote_str(&q, t->add.path));
        bt_keep_free(k);
        return NULL;
    }
    k->past->trouble = why;
    return k;
}

void bt_keep_forget_past(struct bt_keep *k)
{
    struct bt_keep_past *p = k->past;
    if (p == NULL)
        return;
    bt_record_release(&p->old);
    tarn_bits_release(&p->named);
    tarn_free(p->old_bytes);
    tarn_free(p->known);
    tarn_free(p->fresh);
    tarn_free(p);
    k->past = NULL;
}

void bt_keep_free(struct bt_keep *k)
{
    if (k == NULL)
        return;
    if (k->save != NULL)
        loop_pool_cancel(k->torrent->session->loop, &k->save->job);
    if (k->slot != NULL && k->forgets)
        k->ops->forget(k->slot);
    if (k->slot != NULL)
        k->ops->close(k->slot);
    bt_keep_forget_past(k);
    tarn_bits_release(&k->noted);
    bt_save_free(k);
    tarn_out_release(&k->note);
    sys_lock_release(&k->lock);
    tarn_free(k->seen);
    tarn_free(k->place);
    tarn_free(k);
}

/* Notes. */

void bt_keep_put_note(struct bt_keep *k)
{
    k->is_changed = true;
    if (tarn_out_ok(&k->note) &&
        k->ops->note(k->slot, k->generation, tarn_out_bytes(&k->note), NULL))
        k->note_bytes += k->note.len;
    else
        k->lost_notes = true; /* the files are not known then, and checked */
}

static void note_file(struct bt_keep *k, struct bt_note_writer *w, uint32_t file)
{
    struct bt_seen now;
    if (k->seen[file].is_tainted)
        return;
    (void)!look(k, file, &now, NULL); /* nowhere then, and nothing is said of it */
    k->seen[file] = now;
    if (now.where != BT_NOWHERE)
        bt_note_file(w, file, &now);
}

/* A name and a mode change neither size nor mtime; whoever does is not us. */
static void taint_if_edited(struct bt_keep *k, uint32_t file)
{
    struct bt_seen now, *seen = &k->seen[file];
    if (seen->where == BT_NOWHERE || !look(k, file, &now, NULL))
        return;
    if (now.size != seen->size || now.mtime_ns != seen->mtime_ns || now.ino != seen->ino)
        *seen = (struct bt_seen){ .is_tainted = true };
}

/* What we did to files otherwise than by writing. */
static void note_files(struct bt_keep *k, const uint32_t *files, size_t n, bool only_named)
{
    enum { A_NOTE = 4096 };
    struct bt_note_writer w;
    if (k == NULL || k->slot == NULL)
        return;
    for (size_t at = 0; at < n; at += A_NOTE) {
        sys_lock_take(&k->lock);
        tarn_out_clear(&k->note);
        bt_note_begin(&w, &k->note);
        size_t empty = k->note.len;
        for (size_t i = at; i < n && i < at + A_NOTE; i++) {
            if (!has_bytes(k, files[i]))
                continue;
            if (only_named)
                taint_if_edited(k, files[i]);
            struct bt_seen before = k->seen[files[i]];
            size_t len = k->note.len;
            note_file(k, &w, files[i]);
            if (bt_seen_same(&before, &k->seen[files[i]]) && tarn_out_ok(&k->note))
                k->note.len = len; /* it has its name from an earlier run */
        }
        if (k->note.len > empty) {
            bt_note_end(&w, k->generation);
            bt_keep_put_note(k);
        }
        sys_lock_give(&k->lock);
    }
}

/* Preparing and planning. */

bool bt_keep_takes(struct bt_keep *k, uint32_t file)
{
    const struct bt_seen *s = &k->seen[file];
    if (k->past == NULL || k->past->known[file] == 0 ||
        s->size != k->torrent->layout.files[file].len)
        return false;
    store_tree_take(k->tree, file, s->where == BT_AT_PART ? STORE_WHERE_PART : STORE_WHERE_FINAL);
    return true;
}

void bt_keep_prepared(struct bt_keep *k, uint32_t file, bool had)
{
    if (k->past != NULL)
        k->past->fresh[file] = !had;
    else /* the choice of files is new: making room has changed its times */
        note_files(k, &file, 1, false);
}

/* Look at what preparing has left, and at files that nobody prepared. */
static void look_again(struct bt_keep *k)
{
    for (uint32_t i = 0; i < k->torrent->layout.n_files; i++) {
        struct bt_seen now;
        struct tarn_err why = { 0 };
        if (!has_bytes(k, i))
            continue;
        if (!look(k, i, &now, &why))
            k->past->fresh[i] = why.code == TARN_E_NOT_FOUND;
        if (!bt_seen_same(&now, &k->seen[i]))
            k->past->known[i] = 0; /* prepared anew, or changed in this moment */
        k->seen[i] = now;
    }
}

/* Notes from now on must not be read together with the old record. */
static void leave_record(struct bt_keep *k)
{
    k->generation += BT_RESUME_GENERATIONS + 1;
}

/* All files are as the old record and its notes say, so more notes may follow them. Where the
 * record says nothing, and nothing is, is nothing to be wrong about. */
static bool goes_on(const struct bt_keep *k)
{
    const struct bt_keep_past *p = k->past;
    if (p->old.files == NULL)
        return false;
    for (uint32_t i = 0; i < k->torrent->layout.n_files; i++) {
        bool is_absent = p->old.files[i].where == BT_NOWHERE && k->seen[i].where == BT_NOWHERE;
        if (has_bytes(k, i) && p->known[i] == 0 && !is_absent)
            return false;
    }
    return true;
}

static enum bt_belief judge(const struct bt_keep *k, uint32_t piece, bool same_boot)
{
    struct bt_evidence e = {
        .files_known = true,
        .in_record = k->past->old.have.p != NULL && tarn_bits_has(&k->past->old.have, piece),
        .in_journal = tarn_bits_has(&k->past->named, piece),
        .same_boot = same_boot,
        .clean_stop = k->past->old.is_clean && !k->past->had_notes,
    };
    struct store_walk w;
    struct store_part part;
    unsigned n = 0;
    walk_piece(k, piece, &w);
    while (store_walk_next(&w, &part)) {
        if (part.file == STORE_NO_FILE)
            continue;
        n++;
        if (k->past->fresh[part.file] != 0)
            return BT_MISSING;
        e.files_known = e.files_known && k->past->known[part.file] != 0;
    }
    return n == 0 ? BT_CHECK : bt_believe(&e); /* padding alone costs nothing to check */
}

/* The record speaks of pieces that are not what they were: their file was lost, or is another now.
 * Notes to come will vouch for the new file, and must not be read beside that record: one without
 * those pieces takes its place first. No boot: what it does not say is checked, as it would have
 * been. If it cannot be written, better no record than that one. */
static bool retract(struct bt_keep *k, const uint8_t *found, struct tarn_err *err)
{
    const struct tarn_bits *old = &k->past->old.have;
    bool is_stale = false;
    for (uint32_t i = 0; old->p != NULL && i < old->n; i++)
        is_stale = is_stale || (tarn_bits_has(old, i) && found[i] == 0);
    if (!is_stale || k->slot == NULL)
        return true;
    struct bt_save s = { .keep = k,
                         .is_interim = true,
                         .downloaded = k->base_downloaded,
                         .uploaded = k->base_uploaded };
    if (!tarn_bits_init(&s.have, old->n))
        return tarn_fail_mem(err, "reading saved state");
    for (uint32_t i = 0; i < old->n; i++)
        if (found[i] != 0)
            tarn_bits_set(&s.have, i);
    if (!bt_save_write(k, &s))
        k->ops->forget(k->slot);
    k->is_changed = true;
    tarn_bits_release(&s.have);
    return true;
}

bool bt_keep_plan(struct bt_keep *k, uint8_t *found, struct tarn_bits *check, struct tarn_err *err)
{
    uint32_t n = k->torrent->layout.n_pieces;
    bool same_boot = k->boot.s[0] != '\0' && tarn_bytes_eq_str(k->past->old.boot, k->boot.s);
    if (!tarn_bits_init(check, n))
        return tarn_fail_mem(err, "reading saved state");
    look_again(k);
    if (!goes_on(k))
        leave_record(k);
    for (uint32_t i = 0; i < n; i++) {
        enum bt_belief b = judge(k, i, same_boot);
        found[i] = b == BT_GOOD;
        if (b == BT_CHECK)
            tarn_bits_set(check, i);
    }
    k->is_changed = check->count > 0 || k->past->had_notes || k->past->old.have.p == NULL;
    return retract(k, found, err);
}

void bt_keep_checked(struct bt_keep *k, const struct tarn_bits *checked)
{
    struct bt_seen now;
    uint32_t last = STORE_NO_FILE;
    for (uint32_t i = 0; checked->count > 0 && i < checked->n; i++) {
        struct store_walk w;
        struct store_part part;
        if (!tarn_bits_has(checked, i))
            continue;
        walk_piece(k, i, &w);
        while (store_walk_next(&w, &part)) {
            if (part.file == STORE_NO_FILE || part.file == last)
                continue;
            last = part.file;
            (void)!look(k, last, &now, NULL); /* nowhere then */
            if (!bt_seen_same(&now, &k->seen[last])) {
                k->seen[last] = (struct bt_seen){ .is_tainted = true };
                leave_record(k);
            }
        }
    }
}

/* Writes. */

void bt_keep_before_write(struct bt_keep *k, uint32_t piece)
{
    struct bt_note_writer w;
    if (k == NULL || k->slot == NULL)
        return;
    sys_lock_take(&k->lock);
    tarn_bits_set(&k->noted, piece);
    tarn_out_clear(&k->note);
    bt_note_begin(&w, &k->note);
    bt_note_piece(&w, piece);
    bt_note_end(&w, k->generation);
    bt_keep_put_note(k);
    sys_lock_give(&k->lock);
}

void bt_keep_after_write(struct bt_keep *k, uint32_t piece)
{
    struct bt_note_writer w;
    struct store_walk walk;
    struct store_part part;
    if (k == NULL || k->slot == NULL)
        return;
    sys_lock_take(&k->lock);
    tarn_out_clear(&k->note);
    bt_note_begin(&w, &k->note);
    bt_note_piece(&w, piece);
    walk_piece(k, piece, &walk);
    while (store_walk_next(&walk, &part))
        if (part.file != STORE_NO_FILE)
            note_file(k, &w, part.file);
    bt_note_end(&w, k->generation);
    bt_keep_put_note(k);
    sys_lock_give(&k->lock);
}

void bt_keep_finished(struct bt_keep *k, const uint32_t *files, size_t n)
{
    note_files(k, files, n, true);
}
