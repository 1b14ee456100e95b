/* catalog/index: see the header. index_put is the heart: the tables beside the entries are
 * functions of the entries, and it is the only place that says which. */
#include "catalog/index.h"

#include "base/cur.h"
#include "base/mem.h"

enum {
    RECORD_MAX = 8192, /* the longest record: a change with two paths */
};

enum catalog_found index_found(enum kv_got got)
{
    switch (got) {
    case KV_FAILED:
        return CATALOG_FAILED;
    case KV_NONE:
        return CATALOG_NOT_THERE;
    case KV_FOUND:
        break;
    }
    return CATALOG_FOUND;
}

enum catalog_found index_value(const struct kv_read *r, unsigned table, struct tarn_bytes key,
                               struct tarn_bytes *value, struct tarn_err *err)
{
    return index_found(kv_get(r, table, key, value, err));
}

static enum catalog_found entry_by_key(const struct kv_read *r, unsigned base,
                                       struct tarn_bytes key, struct row_entry *out,
                                       struct tarn_err *err)
{
    struct tarn_bytes value;
    enum catalog_found found = index_value(r, base + T_ENTRIES, key, &value, err);
    if (found != CATALOG_FOUND)
        return found;
    return row_take_entry(key, value, out, err) ? CATALOG_FOUND : CATALOG_FAILED;
}

enum catalog_found index_entry(const struct kv_read *r, unsigned base, uint64_t id,
                               struct row_entry *out, struct tarn_err *err)
{
    struct kv_key k = { 0 };
    struct tarn_bytes key;
    kv_key_be64(&k, id);
    enum catalog_found found = index_value(r, base + T_PARENTS, kv_key_bytes(&k), &key, err);
    return found == CATALOG_FOUND ? entry_by_key(r, base, key, out, err) : found;
}

enum catalog_found index_row(const struct kv_read *r, unsigned base, uint32_t collection,
                             struct row_collection *out, struct tarn_err *err)
{
    struct kv_key k = { 0 };
    struct tarn_bytes value;
    kv_key_be32(&k, collection);
    enum catalog_found found = index_value(r, base + T_COLLECTIONS, kv_key_bytes(&k), &value, err);
    if (found != CATALOG_FOUND)
        return found;
    return row_take_collection(value, collection, out, err) ? CATALOG_FOUND : CATALOG_FAILED;
}

static struct tarn_bytes head_key(void)
{
    return tarn_bytes_str("head");
}

enum catalog_found index_head(const struct kv_read *r, unsigned base, struct row_head *h,
                              struct tarn_err *err)
{
    struct tarn_bytes value;
    enum kv_got got = kv_get(r, base + T_FIXED, head_key(), &value, err);
    if (got == KV_FAILED || (got == KV_FOUND && !row_take_head(value, h, err)))
        return CATALOG_FAILED;
    if (got == KV_FOUND)
        return CATALOG_FOUND;
    *h = (struct row_head){ .next_entry = 1, .next_collection = 1, .oldest = 1 };
    return CATALOG_NOT_THERE;
}

bool index_begin(struct index_write *w, struct kv_txn *t, struct tarn_err *err)
{
    w->t = t;
    w->has_col = false;
    w->n_given = 0;
    if (w->out.limit == 0)
        tarn_out_init(&w->out, RECORD_MAX + CATALOG_PATH_MAX);
    return index_head(&t->read, w->base, &w->head, err) != CATALOG_FAILED;
}

void index_release(struct index_write *w)
{
    tarn_out_release(&w->out);
    tarn_free(w->given);
    w->given = NULL;
    w->n_given = w->cap_given = 0;
}

/* What was written to w->out as the value of key. */
static bool put(struct index_write *w, unsigned table, struct tarn_bytes key, struct tarn_err *err)
{
    if (!tarn_out_ok(&w->out))
        return tarn_fail_mem(err, "writing a record of the index");
    return kv_txn_put(w->t, w->base + table, key, tarn_out_bytes(&w->out), err);
}

static bool put_empty(struct index_write *w, unsigned table, const struct kv_key *k,
                      struct tarn_err *err)
{
    return kv_txn_put(w->t, w->base + table, kv_key_bytes(k), tarn_bytes_of(NULL, 0), err);
}

/* Whether it was there does not matter. */
static bool del(struct index_write *w, unsigned table, const struct kv_key *k, struct tarn_err *err)
{
    return kv_txn_del(w->t, w->base + table, kv_key_bytes(k), err) != KV_FAILED;
}

static bool store_collection(struct index_write *w, struct tarn_err *err)
{
    if (!w->has_col)
        return true;
    struct kv_key k = { 0 };
    kv_key_be32(&k, w->col.c.id);
    tarn_out_clear(&w->out);
    row_put_collection(&w->out, &w->col);
    return put(w, T_COLLECTIONS, kv_key_bytes(&k), err);
}

bool index_end(struct index_write *w, struct tarn_err *err)
{
    if (!store_collection(w, err))
        return false;
    tarn_out_clear(&w->out);
    row_put_head(&w->out, &w->head);
    return put(w, T_FIXED, head_key(), err);
}

enum catalog_found index_collection(struct index_write *w, uint32_t id, struct tarn_err *err)
{
    if (w->has_col && w->col.c.id == id)
        return CATALOG_FOUND;
    if (!store_collection(w, err))
        return CATALOG_FAILED;
    w->has_col = false;
    enum catalog_found found = index_row(&w->t->read, w->base, id, &w->col, err);
    w->has_col = found == CATALOG_FOUND;
    return found;
}

enum catalog_found index_find(struct index_write *w, uint64_t parent, struct tarn_bytes name,
                              struct row_entry *out, struct tarn_err *err)
{
    struct kv_key k;
    row_key_entry(&k, parent, name);
    return entry_by_key(&w->t->read, w->base, kv_key_bytes(&k), out, err);
}

enum catalog_found index_get(struct index_write *w, uint64_t id, struct row_entry *out,
                             struct tarn_err *err)
{
    return index_entry(&w->t->read, w->base, id, out, err);
}

uint64_t index_new_id(struct index_write *w)
{
    return w->head.next_entry++;
}

/* --- runs of the sidecar --- */

/* Nothing refers to the run from now on; the record of that stays until its space is used again. */
static bool give(struct index_write *w, struct catalog_run run, struct tarn_err *err)
{
    if (run.len == 0)
        return true;
    if (!TARN_GROW(w->given, w->n_given, w->cap_given))
        return tarn_fail_mem(err, "freeing hashes of a file");
    w->given[w->n_given++] = run;
    struct kv_key k = { 0 };
    kv_key_be64(&k, run.off);
    tarn_out_clear(&w->out);
    tarn_out_be64(&w->out, run.len);
    return put(w, T_GIVEN, kv_key_bytes(&k), err);
}

static bool record_given(struct index_write *w, uint64_t off, uint64_t end, struct tarn_err *err)
{
    if (off >= end)
        return true;
    struct kv_key k = { 0 };
    kv_key_be64(&k, off);
    tarn_out_clear(&w->out);
    tarn_out_be64(&w->out, end - off);
    return put(w, T_GIVEN, kv_key_bytes(&k), err);
}

/* A record of free space that overlaps the run, the lowest; false in *is_any: none. */
static bool overlapping(struct index_write *w, struct catalog_run run, uint64_t *off, uint64_t *end,
                        bool *is_any, struct tarn_err *err)
{
    KV_AUTO_CURSOR c = { 0 };
    struct kv_key k = { 0 };
    *is_any = false;
    kv_key_be64(&k, run.off);
    if (!kv_cursor_open(&w->t->read, w->base + T_GIVEN, &c, err))
        return false;
    enum kv_got got = kv_seek_before(&c, kv_key_bytes(&k), err);
    for (int i = 0; i < 2; i++) { /* the one in front of it, else the first within */
        if (got == KV_FOUND && c.key.len == 8 && c.value.len == 8) {
            struct tarn_cur at = tarn_cur_of(c.key), len = tarn_cur_of(c.value);
            *off = tarn_cur_be64(&at);
            *end = *off + tarn_cur_be64(&len);
            if (*off<run.off + run.len && * end> run.off) {
                *is_any = true;
                return true;
            }
        }
        if (got == KV_FAILED)
            return false;
        if (i == 0)
            got = kv_seek(&c, kv_key_bytes(&k), err);
    }
    return got != KV_FAILED;
}

/* The run is in use again: what is recorded as free must not hold it. */
static bool take(struct index_write *w, struct catalog_run run, struct tarn_err *err)
{
    if (run.len == 0)
        return true;
    for (;;) {
        uint64_t off, end;
        bool is_any;
        if (!overlapping(w, run, &off, &end, &is_any, err))
            return false;
        if (!is_any)
            return true;
        struct kv_key k = { 0 };
        kv_key_be64(&k, off);
        if (!del(w, T_GIVEN, &k, err) || !record_given(w, off, run.off, err) ||
            !record_given(w, run.off + run.len, end, err))
            return false;
    }
}

/* --- identities --- */

static enum catalog_found known_of(const struct kv_read *r, unsigned base, const struct kv_key *k,
                                   struct row_known *out, struct tarn_err *err)
{
    struct tarn_bytes value;
    enum catalog_found found = index_value(r, base + T_IDENTITIES, kv_key_bytes(k), &value, err);
    if (found != CATALOG_FOUND)
        return found;
    return row_take_known(value, out, err) ? CATALOG_FOUND : CATALOG_FAILED;
}

static void key_v1(struct kv_key *to, const struct kv_key *identity, uint32_t piece_len)
{
    *to = *identity;
    kv_key_be32(to, piece_len);
}

/* v1 pieces of another length than those in the record of the identity. */
static enum catalog_found other_v1(const struct kv_read *r, unsigned base,
                                   const struct kv_key *identity, uint32_t piece_len,
                                   struct catalog_known *out, struct tarn_err *err)
{
    struct kv_key k;
    struct tarn_bytes value;
    key_v1(&k, identity, piece_len);
    enum catalog_found found = index_value(r, base + T_V1, kv_key_bytes(&k), &value, err);
    if (found != CATALOG_FOUND)
        return found;
    return row_take_v1(value, piece_len, out, err) ? CATALOG_FOUND : CATALOG_FAILED;
}

enum catalog_found index_known(const struct kv_read *r, unsigned base,
                               const struct catalog_identity *id, uint32_t v1_len,
                               struct catalog_known *out, struct tarn_err *err)
{
    static const struct catalog_known nothing;
    struct kv_key k;
    struct row_known row;
    row_key_identity(&k, id);
    enum catalog_found found = known_of(r, base, &k, &row, err);
    if (found == CATALOG_FOUND && v1_len != 0 && row.k.v1_piece_len != v1_len) {
        row_copy_v1(&row.k, &nothing);
        if (other_v1(r, base, &k, v1_len, &row.k, err) == CATALOG_FAILED)
            return CATALOG_FAILED;
    }
    if (found == CATALOG_FOUND)
        *out = row.k;
    return found;
}

static bool put_known(struct index_write *w, const struct kv_key *k, const struct row_known *known,
                      struct tarn_err *err)
{
    tarn_out_clear(&w->out);
    row_put_known(&w->out, known);
    return put(w, T_IDENTITIES, kv_key_bytes(k), err);
}

/* v1 pieces beside those in the record of the identity. */
static bool put_other_v1(struct index_write *w, const struct kv_key *identity,
                         const struct catalog_known *fresh, struct tarn_err *err)
{
    struct kv_key k;
    struct catalog_known old = { 0 };
    if (other_v1(&w->t->read, w->base, identity, fresh->v1_piece_len, &old, err) ==
            CATALOG_FAILED ||
        !take(w, fresh->pieces, err) || !give(w, old.pieces, err))
        return false;
    key_v1(&k, identity, fresh->v1_piece_len);
    tarn_out_clear(&w->out);
    row_put_v1(&w->out, fresh);
    return put(w, T_V1, kv_key_bytes(&k), err);
}

static bool drop_other_v1(struct index_write *w, const struct kv_key *identity,
                          struct tarn_err *err)
{
    for (;;) {
        struct kv_key k = { 0 };
        struct catalog_known old;
        {
            KV_AUTO_CURSOR c = { 0 };
            if (!kv_cursor_open(&w->t->read, w->base + T_V1, &c, err))
                return false;
            enum kv_got got = kv_seek(&c, kv_key_bytes(identity), err);
            if (got == KV_FAILED)
                return false;
            if (got == KV_NONE || !kv_has_prefix(c.key, kv_key_bytes(identity)))
                return true;
            if (!row_take_v1(c.value, 0, &old, err))
                return false;
            kv_key_put(&k, c.key);
        }
        if (!del(w, T_V1, &k, err) || !give(w, old.pieces, err))
            return false;
    }
}

/* Runs of a file that was read although its identity is known: what was there is given back, for
 * the new ones are known to be good. */
static bool merge_known(struct index_write *w, const struct kv_key *k, struct row_known *old,
                        const struct catalog_known *fresh, struct tarn_err *err)
{
    if (old->k.leaves.off != fresh->leaves.off || old->k.leaves.len != fresh->leaves.len) {
        if (!take(w, fresh->leaves, err) || !give(w, old->k.leaves, err))
            return false;
        old->k.leaves = fresh->leaves;
    }
    if (fresh->v1_piece_len == 0)
        return true;
    if (old->k.v1_piece_len != 0 && old->k.v1_piece_len != fresh->v1_piece_len)
        return put_other_v1(w, k, fresh, err);
    if (!take(w, fresh->pieces, err) || !give(w, old->k.pieces, err))
        return false;
    row_copy_v1(&old->k, fresh);
    return true;
}

static bool add_place(struct index_write *w, const struct row_entry *e,
                      const struct catalog_known *known, struct tarn_err *err)
{
    struct kv_key k;
    struct row_known row;
    row_key_identity(&k, &e->e.identity);
    switch (known_of(&w->t->read, w->base, &k, &row, err)) {
    case CATALOG_FAILED:
        return false;
    case CATALOG_NOT_THERE:
        if (known == NULL)
            return tarn_fail(err, TARN_E_INTEGRITY, "the index has lost an identity");
        row = (struct row_known){ .k = *known };
        w->head.totals.identities++;
        if (!take(w, known->leaves, err) || !take(w, known->pieces, err))
            return false;
        break;
    case CATALOG_FOUND:
        if (known != NULL && !merge_known(w, &k, &row, known, err))
            return false;
        break;
    }
    row.places++;
    if (!put_known(w, &k, &row, err))
        return false;
    kv_key_be64(&k, e->e.id);
    return put_empty(w, T_PLACES, &k, err);
}

static bool drop_place(struct index_write *w, const struct row_entry *e, struct tarn_err *err)
{
    struct kv_key k;
    struct row_known row;
    row_key_identity(&k, &e->e.identity);
    enum catalog_found found = known_of(&w->t->read, w->base, &k, &row, err);
    if (found == CATALOG_FAILED)
        return false;
    if (found == CATALOG_FOUND && row.places > 1) {
        row.places--;
        if (!put_known(w, &k, &row, err))
            return false;
    } else if (found == CATALOG_FOUND) {
        w->head.totals.identities--;
        if (!del(w, T_IDENTITIES, &k, err) || !give(w, row.k.leaves, err) ||
            !give(w, row.k.pieces, err) || !drop_other_v1(w, &k, err))
            return false;
    }
    kv_key_be64(&k, e->e.id);
    return del(w, T_PLACES, &k, err);
}

/* --- counters --- */

static bool is_waiting(const struct row_entry *e)
{
    return e != NULL && e->e.kind == CATALOG_FILE &&
           (e->e.state == CATALOG_WAITING || e->e.state == CATALOG_CHANGED ||
            (e->e.state == CATALOG_HELD && (e->wants_v1 || e->has_lost)));
}

static bool is_missing(const struct row_entry *e)
{
    return e != NULL && e->e.state == CATALOG_MISSING;
}

static bool is_held(const struct row_entry *e)
{
    return e != NULL && e->e.kind == CATALOG_FILE && e->e.state == CATALOG_HELD;
}

/* Is another name of the same inode held with the same identity? */
static bool has_twin(struct index_write *w, const struct row_entry *e, bool *has,
                     struct tarn_err *err)
{
    KV_AUTO_CURSOR c = { 0 };
    struct kv_key prefix = { 0 };
    kv_key_be64(&prefix, e->e.stat.ino);
    *has = false;
    if (!kv_cursor_open(&w->t->read, w->base + T_INODES, &c, err))
        return false;
    enum kv_got got = kv_seek(&c, kv_key_bytes(&prefix), err);
    for (; got == KV_FOUND && kv_has_prefix(c.key, kv_key_bytes(&prefix)); got = kv_next(&c, err)) {
        struct tarn_cur id = tarn_cur_of(tarn_bytes_of(c.key.p + 8, c.key.len - 8));
        uint64_t number = tarn_cur_be64(&id);
        struct row_entry other;
        if (number == e->e.id)
            continue;
        enum catalog_found found = index_get(w, number, &other, err);
        if (found == CATALOG_FAILED)
            return false;
        if (found == CATALOG_FOUND && is_held(&other) &&
            row_same_identity(&other.e.identity, &e->e.identity)) {
            *has = true;
            return true;
        }
    }
    return got != KV_FAILED;
}

static void add(uint64_t *to, uint64_t n, bool more)
{
    *to = more ? *to + n : *to - n;
}

static bool count(struct index_write *w, const struct row_entry *e, bool more, struct tarn_err *err)
{
    if (e == NULL)
        return true;
    struct catalog_collection *c = &w->col.c;
    struct catalog_totals *t = &w->head.totals;
    uint64_t size = e->e.stat.size;
    if (is_missing(e)) {
        add(&w->col.missing, 1, more);
        return true;
    }
    if (e->e.state == CATALOG_REFUSED)
        add(&c->refused, 1, more);
    if (e->e.kind == CATALOG_FOLDER)
        return true;
    add(&c->files, 1, more);
    add(&c->bytes, size, more);
    if (is_waiting(e)) {
        add(&w->col.waiting, 1, more);
        add(&t->waiting, 1, more);
        add(&t->waiting_bytes, size, more);
    }
    if (!is_held(e))
        return true;
    bool has;
    if (!has_twin(w, e, &has, err))
        return false;
    add(&c->held_files, 1, more);
    add(&c->held_bytes, size, more);
    add(&t->files, 1, more);
    add(&t->bytes_published, size, more);
    if (!has)
        add(&t->bytes_stored, size, more);
    return true;
}

/* --- entries --- */

/* A table of entry numbers that holds those for which is() is true. */
static bool keep_set(struct index_write *w, unsigned table, const struct row_entry *old,
                     const struct row_entry *fresh, bool (*is)(const struct row_entry *e),
                     struct tarn_err *err)
{
    if (is(old) == is(fresh))
        return true;
    struct kv_key k = { 0 };
    kv_key_be64(&k, fresh != NULL ? fresh->e.id : old->e.id);
    return is(fresh) ? put_empty(w, table, &k, err) : del(w, table, &k, err);
}

static bool keep_inode(struct index_write *w, const struct row_entry *old,
                       const struct row_entry *fresh, struct tarn_err *err)
{
    bool had = old != NULL && old->e.kind == CATALOG_FILE;
    bool has = fresh != NULL && fresh->e.kind == CATALOG_FILE;
    if (had && has && old->e.stat.ino == fresh->e.stat.ino)
        return true;
    for (int i = 0; i < 2; i++) {
        const struct row_entry *e = i == 0 ? old : fresh;
        if (!(i == 0 ? had : has))
            continue;
        struct kv_key k = { 0 };
        kv_key_be64(&k, e->e.stat.ino);
        kv_key_be64(&k, e->e.id);
        if (!(i == 0 ? del(w, T_INODES, &k, err) : put_empty(w, T_INODES, &k, err)))
            return false;
    }
    return true;
}

static bool keep_place(struct index_write *w, const struct row_entry *old,
                       const struct row_entry *fresh, const struct catalog_known *known,
                       struct tarn_err *err)
{
    bool had = old != NULL && old->e.has_identity, has = fresh != NULL && fresh->e.has_identity;
    bool is_same = had && has && row_same_identity(&old->e.identity, &fresh->e.identity);
    if (is_same && known == NULL)
        return true;
    /* The new one first: an identity must not go and come back between. */
    if (has && !add_place(w, fresh, known, err))
        return false;
    if (!had)
        return true;
    if (!is_same)
        return drop_place(w, old, err);
    struct kv_key k; /* counted twice now */
    struct row_known row;
    row_key_identity(&k, &fresh->e.identity);
    if (known_of(&w->t->read, w->base, &k, &row, err) != CATALOG_FOUND)
        return false;
    row.places--;
    return put_known(w, &k, &row, err);
}

bool index_put(struct index_write *w, const struct row_entry *old, const struct row_entry *fresh,
               const struct catalog_known *known, struct tarn_err *err)
{
    const struct row_entry *any = fresh != NULL ? fresh : old;
    struct kv_key key, id = { 0 };
    row_key_entry(&key, any->e.parent, any->e.name);
    kv_key_be64(&id, any->e.id);
    if (!count(w, old, false, err) || !keep_inode(w, old, fresh, err) ||
        !keep_place(w, old, fresh, known, err) ||
        !keep_set(w, T_WAITING, old, fresh, is_waiting, err) ||
        !keep_set(w, T_GONE, old, fresh, is_missing, err))
        return false;
    if (fresh == NULL)
        return del(w, T_ENTRIES, &key, err) && del(w, T_PARENTS, &id, err);
    tarn_out_clear(&w->out);
    row_put_entry(&w->out, fresh);
    if (!put(w, T_ENTRIES, kv_key_bytes(&key), err) ||
        (old == NULL &&
         !kv_txn_put(w->t, w->base + T_PARENTS, kv_key_bytes(&id), kv_key_bytes(&key), err)))
        return false;
    return count(w, fresh, true, err);
}

bool index_lose(struct index_write *w, const struct row_entry *e, struct tarn_err *err)
{
    if (is_missing(e))
        return true;
    if (e->e.kind == CATALOG_FILE && e->e.state != CATALOG_HELD)
        return index_forget(w, e, err);
    struct row_entry fresh;
    row_copy_entry(&fresh, e);
    fresh.e.state = CATALOG_MISSING;
    return index_put(w, e, &fresh, NULL, err);
}

bool index_keep_lost(struct index_write *w, const struct row_entry *e, struct tarn_err *err)
{
    struct row_entry lost;
    uint8_t text[CATALOG_PATH_MAX + 1];
    struct tarn_out path;
    struct kv_key own = { 0 };
    if (!e->e.has_identity || (e->e.state != CATALOG_HELD && e->e.state != CATALOG_MISSING))
        return true;
    tarn_out_fixed(&path, text, sizeof text);
    if (!index_path(&w->t->read, w->base, e->e.parent, e->e.name, &path, err))
        return false;
    row_copy_entry(&lost, e);
    lost.e.id = index_new_id(w);
    lost.e.parent = INDEX_LIMBO;
    lost.e.state = CATALOG_MISSING;
    kv_key_be64(&own, lost.e.id);
    memcpy(lost.name, own.p, own.len);
    lost.e.name = tarn_bytes_of(lost.name, own.len);
    lost.e.reason = tarn_bytes_of(lost.reason, 0);
    if (path.len <= sizeof lost.reason) {
        memcpy(lost.reason, text, path.len);
        lost.e.reason.len = path.len;
    }
    return index_put(w, NULL, &lost, NULL, err);
}

bool index_forget(struct index_write *w, const struct row_entry *e, struct tarn_err *err)
{
    if (e->e.kind == CATALOG_FILE && e->e.has_identity && e->e.parent != INDEX_LIMBO &&
        !index_note(w, CATALOG_E_REMOVED, e, tarn_bytes_of(NULL, 0), 0, err))
        return false;
    return index_put(w, e, NULL, NULL, err);
}

bool index_has_children(struct index_write *w, uint64_t folder, bool *has, struct tarn_err *err)
{
    KV_AUTO_CURSOR c = { 0 };
    struct kv_key prefix = { 0 };
    kv_key_be64(&prefix, folder);
    if (!kv_cursor_open(&w->t->read, w->base + T_ENTRIES, &c, err))
        return false;
    enum kv_got got = kv_seek(&c, kv_key_bytes(&prefix), err);
    *has = got == KV_FOUND && kv_has_prefix(c.key, kv_key_bytes(&prefix));
    return got != KV_FAILED;
}

/* --- paths, the journal, versions --- */

bool index_path(const struct kv_read *r, unsigned base, uint64_t parent, struct tarn_bytes name,
                struct tarn_out *o, struct tarn_err *err)
{
    struct tarn_bytes parts[CATALOG_DEPTH_MAX + 2];
    size_t n = 0;
    while (parent != 0) {
        struct kv_key k = { 0 };
        struct tarn_bytes key;
        if (n == TARN_COUNT_OF(parts))
            return tarn_fail(err, TARN_E_INTEGRITY, "the index has a folder inside itself");
        parts[n++] = name;
        kv_key_be64(&k, parent);
        enum kv_got got = kv_get(r, base + T_PARENTS, kv_key_bytes(&k), &key, err);
        if (got == KV_FAILED)
            return false;
        if (got == KV_NONE || key.len < 8)
            return tarn_fail(err, TARN_E_NOT_FOUND, "a folder of the catalog is gone");
        struct tarn_cur at = tarn_cur_of(key);
        parent = tarn_cur_be64(&at);
        name = tarn_cur_rest(&at);
    }
    while (n > 0) {
        tarn_out_put(o, parts[--n]);
        if (n > 0)
            tarn_out_u8(o, '/');
    }
    return tarn_out_ok(o) ||
           tarn_fail(err, TARN_E_POLICY, "a path is longer than %d bytes", CATALOG_PATH_MAX);
}

static void tally(struct row_collection *c, enum catalog_event event)
{
    switch (event) {
    case CATALOG_E_ADDED:
        c->added++;
        break;
    case CATALOG_E_REMOVED:
        c->removed++;
        break;
    case CATALOG_E_REPLACED:
        c->replaced++;
        break;
    case CATALOG_E_MOVED:
        c->moved++;
        break;
    default:
        return;
    }
    c->edits++;
}

/* Keep no more than journal_max. Two for each new one, so that a smaller setting is soon obeyed. */
static bool drop_oldest(struct index_write *w, struct tarn_err *err)
{
    for (int i = 0; i < 2; i++) {
        if (w->head.seq + 1 - w->head.oldest <= w->journal_max)
            return true;
        struct kv_key k = { 0 };
        kv_key_be64(&k, w->head.oldest);
        if (!del(w, T_JOURNAL, &k, err))
            return false;
        w->head.oldest++;
    }
    return true;
}

/* The next record of the journal. */
static bool append(struct index_write *w, const struct catalog_change *c, struct tarn_err *err)
{
    struct kv_key k = { 0 };
    kv_key_be64(&k, ++w->head.seq);
    tarn_out_clear(&w->out);
    row_put_change(&w->out, c);
    if (!tarn_out_ok(&w->out))
        return tarn_fail_mem(err, "noting a change");
    return kv_txn_append(w->t, w->base + T_JOURNAL, kv_key_bytes(&k), tarn_out_bytes(&w->out),
                         err) &&
           drop_oldest(w, err);
}

bool index_note(struct index_write *w, enum catalog_event event, const struct row_entry *of,
                struct tarn_bytes other, uint64_t number, struct tarn_err *err)
{
    uint8_t text[CATALOG_PATH_MAX + 1];
    struct tarn_out path;
    tarn_out_fixed(&path, text, sizeof text);
    if (of != NULL && !index_path(&w->t->read, w->base, of->e.parent, of->e.name, &path, err))
        return false;
    struct catalog_change c = {
        .at_ms = w->now_ms,
        .event = event,
        .collection = w->col.c.id,
        .number = number,
        .name = w->col.c.name,
        .path = tarn_out_bytes(&path),
        .other = other,
    };
    if (of != NULL) {
        c.entry = of->e.id;
        c.has_identity = of->e.has_identity;
        if (c.has_identity)
            c.identity = of->e.identity;
    }
    tally(&w->col, event);
    return append(w, &c, err);
}

bool index_note_own(struct index_write *w, uint64_t number, struct tarn_bytes name,
                    struct tarn_bytes word, struct tarn_bytes other, struct tarn_err *err)
{
    const struct catalog_change c = { .at_ms = w->now_ms,
                                      .event = CATALOG_E_NOTE,
                                      .number = number,
                                      .name = name,
                                      .path = word,
                                      .other = other };
    return append(w, &c, err);
}

bool index_version(struct index_write *w, const uint8_t digest[32], struct tarn_err *err)
{
    struct row_collection *c = &w->col;
    c->edits_versioned = c->edits;
    if (c->c.version != 0 && memcmp(c->c.digest, digest, sizeof c->c.digest) == 0)
        return true; /* changed and changed back */
    struct catalog_version v = {
        .number = ++c->c.version,
        .at_ms = w->now_ms,
        .files = c->c.held_files,
        .bytes = c->c.held_bytes,
        .added = c->added,
        .removed = c->removed,
        .replaced = c->replaced,
        .moved = c->moved,
    };
    memcpy(v.digest, digest, sizeof v.digest);
    memcpy(c->c.digest, digest, sizeof v.digest);
    c->added = c->removed = c->replaced = c->moved = 0;
    struct kv_key k = { 0 };
    kv_key_be32(&k, c->c.id);
    kv_key_be64(&k, v.number);
    tarn_out_clear(&w->out);
    row_put_version(&w->out, &v);
    if (!put(w, T_VERSIONS, kv_key_bytes(&k), err))
        return false;
    if (v.number > w->versions_max) {
        k.len = 0;
        kv_key_be32(&k, c->c.id);
        kv_key_be64(&k, v.number - w->versions_max);
        if (!del(w, T_VERSIONS, &k, err))
            return false;
    }
    return index_note(w, CATALOG_E_COLLECTION_COMPLETE, NULL, tarn_bytes_of(NULL, 0), v.number,
                      err);
}

struct tarn_bytes index_reason(char to[ROW_REASON_MAX], const char *text)
{
    size_t len = strnlen(text, ROW_REASON_MAX);
    memcpy(to, text, len);
    return tarn_bytes_of(to, len);
}
