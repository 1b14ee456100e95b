/* catalog/look_apply: what a look has found becomes records. Runs within a write; each entry is
 * read again, and when it is not the one that was judged, nothing is done to it and the folder is
 * compared again. */
#include "base/num.h"
#include "catalog/look.h"
#include "sys/clock.h"

struct batch {
    struct look_job *j;
    const struct look_folder *f;
};

/* --- identities that move --- */

/* The entry whose bytes a file is known to hold; CATALOG_NOT_THERE: it is not what it was when it
 * was found. */
static enum catalog_found match_row(struct index_write *w, const struct disk_match *m,
                                    struct row_entry *q, struct tarn_err *err)
{
    enum catalog_found found = index_get(w, m->id, q, err);
    if (found != CATALOG_FOUND)
        return found;
    bool is_same = q->e.has_identity && row_same_identity(&q->e.identity, &m->identity) &&
                   catalog_stat_same(&q->e.stat, &m->stat) &&
                   (q->e.state == CATALOG_HELD || q->e.state == CATALOG_MISSING);
    return is_same ? CATALOG_FOUND : CATALOG_NOT_THERE;
}

bool index_take_over(struct index_write *w, const struct row_entry *old, struct row_entry *fresh,
                     const struct disk_match *m, bool *is_done, struct tarn_err *err)
{
    struct row_entry q;
    uint32_t ours = w->col.c.id;
    uint8_t text[CATALOG_PATH_MAX + 1];
    struct tarn_out was;
    enum catalog_found found = match_row(w, m, &q, err);
    *is_done = found == CATALOG_FOUND;
    if (found != CATALOG_FOUND)
        return found == CATALOG_NOT_THERE;
    tarn_out_fixed(&was, text, sizeof text);
    bool is_here = q.e.collection == ours;
    if (q.e.parent == INDEX_LIMBO)
        tarn_out_put(&was, q.e.reason);
    else if (!index_path(&w->t->read, w->base, q.e.parent, q.e.name, &was, err))
        return false;
    if (old != NULL && old->e.stat.ino != fresh->e.stat.ino && !index_keep_lost(w, old, err))
        return false;
    bool had = old != NULL && old->e.has_identity;
    fresh->e.state = CATALOG_HELD;
    fresh->e.has_identity = true;
    fresh->e.identity = q.e.identity;
    fresh->is_closed = false;
    if (had && !m->is_moved && old->e.state == CATALOG_HELD &&
        row_same_identity(&old->e.identity, &fresh->e.identity))
        return index_put(w, old, fresh, NULL, err); /* what it held all the while */
    enum catalog_event event = m->is_moved && is_here ? CATALOG_E_MOVED
                               : had                  ? CATALOG_E_REPLACED
                                                      : CATALOG_E_ADDED;
    if (event == CATALOG_E_MOVED && had &&
        !index_note(w, CATALOG_E_REMOVED, old, tarn_bytes_of(NULL, 0), 0, err))
        return false;
    if (!index_put(w, old, fresh, NULL, err) ||
        !index_note(w, event, fresh,
                    event == CATALOG_E_MOVED ? tarn_out_bytes(&was) : tarn_bytes_of(NULL, 0), 0,
                    err))
        return false;
    if (!m->is_moved)
        return true;
    if (is_here)
        return index_put(w, &q, NULL, NULL, err);
    return index_collection(w, q.e.collection, err) == CATALOG_FOUND && index_forget(w, &q, err) &&
           index_collection(w, ours, err) == CATALOG_FOUND;
}

/* --- operations --- */

static void make_fresh(const struct look_op *op, const struct row_entry *row,
                       const struct look_folder *f, int64_t now_ms, struct row_entry *fresh)
{
    if (row != NULL)
        row_copy_entry(fresh, row);
    else
        *fresh = (struct row_entry){ .e = { .parent = f->row.e.id,
                                            .collection = f->row.e.collection,
                                            .kind = CATALOG_FILE,
                                            .state = CATALOG_WAITING } };
    memcpy(fresh->name, op->name, op->name_len);
    fresh->e.name = tarn_bytes_of(fresh->name, op->name_len);
    fresh->e.stat = op->st;
    fresh->e.is_link = op->is_link;
    fresh->is_closed = op->is_closed;
    fresh->wants_v1 = fresh->has_lost = false;
    fresh->seen_ms = now_ms;
}

static bool put_file(struct index_write *w, const struct batch *b, const struct look_op *op,
                     const struct row_entry *row, struct tarn_err *err)
{
    struct row_entry fresh;
    make_fresh(op, row, b->f, w->now_ms, &fresh);
    if (row == NULL)
        fresh.e.id = index_new_id(w);
    if (op->has_match) {
        bool is_done;
        if (!index_take_over(w, row, &fresh, &op->match, &is_done, err))
            return false;
        if (is_done)
            return true;
        b->j->is_again = true;
        return true;
    }
    fresh.e.reason.len = 0;
    if (row == NULL || !row->e.has_identity) {
        fresh.e.state = CATALOG_WAITING;
        return index_put(w, row, &fresh, NULL, err);
    }
    fresh.e.state = CATALOG_CHANGED;
    if (row->e.stat.ino != op->st.ino && !index_keep_lost(w, row, err))
        return false;
    if (row->e.state != CATALOG_CHANGED &&
        !index_note(w, CATALOG_E_CHANGED, row, tarn_bytes_of(NULL, 0), 0, err))
        return false;
    return index_put(w, row, &fresh, NULL, err);
}

static bool put_folder(struct index_write *w, const struct batch *b, const struct look_op *op,
                       const struct row_entry *row, struct tarn_err *err)
{
    struct row_entry fresh;
    make_fresh(op, row, b->f, w->now_ms, &fresh);
    if (row == NULL)
        fresh.e.id = index_new_id(w);
    fresh.e.kind = CATALOG_FOLDER;
    fresh.e.state = CATALOG_HELD;
    if (!b->j->look->is_deep)
        b->j->deep[b->j->n_deep++] = fresh.e.id;
    return index_put(w, row, &fresh, NULL, err);
}

static bool lose(struct index_write *w, const struct batch *b, const struct look_op *op,
                 const struct row_entry *row, struct tarn_err *err)
{
    if (row == NULL)
        return true;
    if (row->e.kind == CATALOG_FOLDER) {
        if (!b->j->look->is_deep)
            b->j->deep[b->j->n_deep++] = row->e.id;
        return index_lose(w, row, err);
    }
    if (op->what == LOOK_LOST)
        return index_lose(w, row, err);
    b->j->is_again |= op->what == LOOK_REPLACED;
    return index_forget(w, row, err);
}

static bool believe(struct index_write *w, const struct look_op *op, const struct row_entry *row,
                    struct tarn_err *err)
{
    struct row_entry fresh;
    if (row == NULL)
        return true;
    row_copy_entry(&fresh, row);
    fresh.e.stat = op->st;
    fresh.e.state = CATALOG_HELD;
    fresh.wants_v1 |= op->what == LOOK_NO_V1;
    return index_put(w, row, &fresh, NULL, err);
}

/* Is the entry the one that was judged? */
static bool is_expected(const struct look_op *op, enum catalog_found found,
                        const struct row_entry *row)
{
    if (found == CATALOG_NOT_THERE)
        return op->row_id == 0;
    return row->e.id == op->row_id && row->e.state == op->row_state &&
           catalog_stat_same(&row->e.stat, &op->row_stat);
}

static bool apply_one(struct index_write *w, const struct batch *b, const struct look_op *op,
                      struct tarn_err *err)
{
    struct row_entry row;
    enum catalog_found found =
        index_find(w, b->f->row.e.id, tarn_bytes_of(op->name, op->name_len), &row, err);
    if (found == CATALOG_FAILED)
        return false;
    if (!is_expected(op, found, &row)) {
        b->j->is_again = true;
        return true;
    }
    const struct row_entry *was = found == CATALOG_FOUND ? &row : NULL;
    switch (op->what) {
    case LOOK_FILE:
        return put_file(w, b, op, was, err);
    case LOOK_FOLDER:
        return put_folder(w, b, op, was, err);
    case LOOK_NO_V1:
    case LOOK_BELIEVED:
        return believe(w, op, was, err);
    case LOOK_LOST:
    case LOOK_DOUBTED:
    case LOOK_REPLACED:
        break;
    }
    return lose(w, b, op, was, err);
}

static bool apply(struct index_write *w, void *arg, struct tarn_err *err)
{
    const struct batch *b = arg;
    struct row_entry folder;
    b->j->n_deep = 0;
    enum catalog_found found = index_get(w, b->f->row.e.id, &folder, err);
    if (found == CATALOG_FOUND)
        found = index_collection(w, folder.e.collection, err);
    if (found != CATALOG_FOUND) /* forgotten meanwhile */
        return found == CATALOG_NOT_THERE;
    for (size_t i = 0; i < b->j->n_ops; i++)
        if (!apply_one(w, b, &b->j->ops[i], err))
            return false;
    return true;
}

bool look_apply(struct look_job *j, const struct look_folder *f)
{
    struct batch b = { j, f };
    if (j->n_ops > 0 && !catalog_write(j->c, apply, &b, &j->err))
        return false;
    for (size_t i = 0; i < j->n_ops; i++)
        if (j->ops[i].has_match)
            disk_report_moved(j->c, &j->ops[i].match);
    return true;
}

static bool note_folder(struct index_write *w, void *arg, struct tarn_err *err)
{
    const struct look_folder *f = arg;
    struct row_entry row, fresh;
    enum catalog_found found = index_get(w, f->row.e.id, &row, err);
    if (found == CATALOG_FOUND)
        found = index_collection(w, row.e.collection, err);
    if (found != CATALOG_FOUND)
        return found == CATALOG_NOT_THERE;
    row_copy_entry(&fresh, &row);
    fresh.e.stat = f->row.e.stat;
    return index_put(w, &row, &fresh, NULL, err);
}

bool look_note_folder(struct look_job *j, struct look_folder *f)
{
    j->is_failed = !catalog_write(j->c, note_folder, f, &j->err);
    return !j->is_failed;
}

/* --- walks --- */

static bool begin_walk(struct index_write *w, void *arg, struct tarn_err *err)
{
    const struct look_folder *f = arg;
    enum catalog_found found = index_collection(w, f->row.e.collection, err);
    if (found != CATALOG_FOUND)
        return found == CATALOG_NOT_THERE;
    w->col.root_ino = f->root_stat.ino;
    if (w->col.c.phase != CATALOG_AWAY)
        return true;
    w->col.c.phase = CATALOG_LISTING;
    return index_note(w, CATALOG_E_COLLECTION_BACK, NULL, tarn_bytes_of(NULL, 0), 0, err);
}

bool look_begin_walk(struct look_job *j, const struct look_folder *f)
{
    struct look_folder copy = *f;
    if (f->place.col.c.phase != CATALOG_AWAY && f->place.col.root_ino == f->root_stat.ino)
        return true;
    if (f->place.col.c.phase == CATALOG_AWAY)
        lines_add(&j->lines, false, "collection '%s': its folder is back", f->place.col.name);
    if (catalog_write(j->c, begin_walk, &copy, &j->err))
        return true;
    j->is_failed = true;
    return false;
}

enum {
    PIECE_MIN = 256 << 10, /* ours: hashes of 256 KiB pieces are 0.01 % of the content */
    PIECE_MAX = 16 << 20,  /* ours: longer ones make the first piece of a peer slow */
    PIECES_WANTED = 1024,  /* at the first listing: collections grow, and the length is kept */
};

static uint32_t choose_piece_len(uint64_t bytes)
{
    uint64_t len = PIECE_MIN;
    while (len < PIECE_MAX && tarn_div_up_u64(bytes, len) > PIECES_WANTED)
        len *= 2;
    return (uint32_t)len;
}

static bool end_walk(struct index_write *w, void *arg, struct tarn_err *err)
{
    const struct look *l = arg;
    enum catalog_found found = index_collection(w, l->collection, err);
    if (found != CATALOG_FOUND)
        return found == CATALOG_NOT_THERE;
    struct catalog_collection *c = &w->col.c;
    w->col.is_listed = true;
    c->skipped_links = l->links;
    c->skipped_special = l->special;
    c->skipped_hidden = l->hidden;
    if (c->piece_len == 0)
        c->piece_len = choose_piece_len(c->bytes);
    return true;
}

void look_end_walk(struct look_job *j)
{
    struct look *l = j->look;
    struct tarn_quote q;
    if (l->links + l->special + l->hidden > 0)
        lines_add(&j->lines, false,
                  "collection %u: skipped %llu symbolic links, %llu special files and %llu hidden "
                  "names (the first: '%s')",
                  l->collection, (unsigned long long)l->links, (unsigned long long)l->special,
                  (unsigned long long)l->hidden, tarn_quote_str(&q, l->sample));
    j->is_failed = !catalog_write(j->c, end_walk, l, &j->err);
}

static bool away(struct index_write *w, void *arg, struct tarn_err *err)
{
    const uint32_t *id = arg;
    enum catalog_found found = index_collection(w, *id, err);
    if (found != CATALOG_FOUND)
        return found == CATALOG_NOT_THERE;
    if (w->col.c.phase == CATALOG_AWAY)
        return true;
    w->col.c.phase = CATALOG_AWAY;
    return index_note(w, CATALOG_E_COLLECTION_AWAY, NULL, tarn_bytes_of(NULL, 0), 0, err);
}

void look_away(struct look_job *j)
{
    if (!catalog_write(j->c, away, &j->collection, &j->err))
        j->is_failed = true;
}
