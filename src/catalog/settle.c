/* catalog/settle: when nothing is left to be looked at, what is gone is gone: it is forgotten, and
 * collections of which everything is known get a version. A job on the pool. */
#include "base/cur.h"
#include "base/mem.h"
#include "base/num.h"
#include "catalog/priv.h"
#include "crypt/sha.h"

/* --- forgetting --- */

/* Missing entries with numbers below `before`, greatest first: what lies in a folder mostly came
 * after it. */
static bool take_gone(struct settle_job *s, uint64_t before)
{
    KV_AUTO_READ r = { 0 };
    KV_AUTO_CURSOR cur = { 0 };
    struct kv_key k = { 0 };
    kv_key_be64(&k, before);
    s->n_ids = 0;
    if (!kv_read_begin(s->c->kv, &r, &s->err) ||
        !kv_cursor_open(&r, s->c->base + T_GONE, &cur, &s->err))
        return false;
    enum kv_got got = kv_seek_before(&cur, kv_key_bytes(&k), &s->err);
    for (; got == KV_FOUND && s->n_ids < SETTLE_ROWS; got = kv_prev(&cur, &s->err)) {
        struct tarn_cur id = tarn_cur_of(cur.key);
        s->ids[s->n_ids++] = tarn_cur_be64(&id);
    }
    kv_cursor_close(&cur); /* before its read */
    return got != KV_FAILED;
}

static bool forget_one(struct index_write *w, struct settle_job *s, uint64_t id,
                       struct tarn_err *err)
{
    struct row_entry row;
    bool has_children = false;
    enum catalog_found found = index_get(w, id, &row, err);
    if (found == CATALOG_FOUND && row.e.state == CATALOG_MISSING)
        found = index_collection(w, row.e.collection, err);
    else
        return found != CATALOG_FAILED;
    if (found == CATALOG_NOT_THERE && row.e.parent == INDEX_LIMBO) {
        w->col = (struct row_collection){ 0 }; /* counters of nobody, never stored */
        return index_put(w, &row, NULL, NULL, err);
    }
    if (found != CATALOG_FOUND)
        return found != CATALOG_FAILED;
    if (w->col.c.phase == CATALOG_AWAY)
        return true; /* nobody can tell now */
    if (row.e.kind == CATALOG_FOLDER && !index_has_children(w, id, &has_children, err))
        return false;
    if (has_children)
        return true;
    s->n_forgotten++;
    if (row.e.kind == CATALOG_FOLDER)
        s->folders[s->n_folders++] = id;
    if (row.e.kind == CATALOG_FOLDER && s->n_names < TARN_COUNT_OF(s->names))
        s->names[s->n_names++] = row.e.parent;
    return index_forget(w, &row, err);
}

static bool forget(struct index_write *w, void *arg, struct tarn_err *err)
{
    struct settle_job *s = arg;
    s->n_forgotten = s->n_names = s->n_folders = 0;
    for (size_t i = 0; i < s->n_ids; i++)
        if (!forget_one(w, s, s->ids[i], err))
            return false;
    return true;
}

/* Until a whole pass finds nothing that can go. */
static bool forget_all(struct settle_job *s)
{
    uint64_t before = UINT64_MAX;
    bool is_moving = false;
    while (!atomic_load(&s->c->is_ending)) {
        if (!take_gone(s, before))
            return false;
        if (s->n_ids > 0 && !catalog_write(s->c, forget, s, &s->err))
            return false;
        for (size_t i = 0; s->n_ids > 0 && s->c->notify != NULL && i < s->n_folders; i++)
            sys_notify_forget(s->c->notify, s->folders[i]);
        is_moving |= s->n_ids > 0 && s->n_forgotten > 0;
        if (s->n_ids > 0 && s->n_names > 0)
            return true; /* their names are looked at, then we come again */
        if (s->n_ids == SETTLE_ROWS) {
            before = s->ids[SETTLE_ROWS - 1];
        } else if (is_moving) {
            is_moving = false;
            before = UINT64_MAX;
        } else {
            return true;
        }
    }
    return true;
}

/* --- versions --- */

struct version {
    uint32_t collection;
    uint64_t edits; /* that the digest is of */
    uint8_t digest[CRYPT_SHA256_LEN];
    bool is_new;
    uint64_t number, files, bytes;
    char name[CATALOG_NAME_MAX + 1];
};

static bool is_due(const struct row_collection *col)
{
    return col->c.phase == CATALOG_COMPLETE &&
           (col->edits != col->edits_versioned || col->c.version == 0);
}

/* SHA-256 over the files in order: be16 length of the path, path, root, be64 length. */
static bool digest(struct settle_job *s, struct catalog_read *r, struct version *v)
{
    struct crypt_sha m;
    struct catalog_entry e;
    struct catalog_walk *w = tarn_calloc(1, sizeof *w);
    enum catalog_found found;
    if (w == NULL)
        return tarn_fail_mem(&s->err, "making a version");
    w->collection = v->collection;
    crypt_sha_init(&m, CRYPT_SHA256);
    while ((found = catalog_walk_next(r, w, &e, &s->err)) == CATALOG_FOUND) {
        struct kv_key k;
        uint8_t len[2] = { (uint8_t)(w->path.len >> 8), (uint8_t)w->path.len };
        if (e.state != CATALOG_HELD)
            continue;
        row_key_identity(&k, &e.identity);
        crypt_sha_update(&m, tarn_bytes_of(len, sizeof len));
        crypt_sha_update(&m, w->path);
        crypt_sha_update(&m, kv_key_bytes(&k));
    }
    crypt_sha_final(&m, v->digest);
    tarn_free(w);
    return found != CATALOG_FAILED;
}

static bool put_version(struct index_write *w, void *arg, struct tarn_err *err)
{
    struct version *v = arg;
    enum catalog_found found = index_collection(w, v->collection, err);
    v->is_new = false;
    if (found != CATALOG_FOUND || !is_due(&w->col) || w->col.edits != v->edits)
        return found != CATALOG_FAILED;
    uint64_t before = w->col.c.version;
    if (!index_version(w, v->digest, err))
        return false;
    v->number = w->col.c.version;
    v->is_new = v->number != before;
    v->files = w->col.c.held_files;
    v->bytes = w->col.c.held_bytes;
    memcpy(v->name, w->col.name, sizeof v->name);
    return true;
}

static bool version(struct settle_job *s, uint32_t collection)
{
    struct catalog_read r;
    struct version v = { .collection = collection };
    struct row_collection col;
    if (!catalog_read_begin(s->c, &r, &s->err))
        return false;
    enum catalog_found found = index_row(&r.kv, s->c->base, collection, &col, &s->err);
    bool ok = found != CATALOG_FAILED, is_wanted = found == CATALOG_FOUND && is_due(&col);
    if (is_wanted) {
        v.edits = col.edits;
        ok = digest(s, &r, &v);
    }
    catalog_read_end(&r);
    if (!ok || !is_wanted)
        return ok;
    if (!catalog_write(s->c, put_version, &v, &s->err))
        return false;
    struct tarn_quote q;
    struct tarn_size_text size;
    if (v.is_new)
        lines_add(&s->lines, false, "collection '%s' is complete: version %llu, %llu files, %s",
                  tarn_quote_str(&q, v.name), (unsigned long long)v.number,
                  (unsigned long long)v.files, tarn_size_text(&size, v.bytes));
    return true;
}

static bool next_collection(struct settle_job *s, uint32_t after, uint32_t *id)
{
    struct catalog_read r;
    struct catalog_collection c;
    *id = 0;
    if (!catalog_read_begin(s->c, &r, &s->err))
        return false;
    enum catalog_found found = catalog_collection_next(&r, after, &c, &s->err);
    if (found == CATALOG_FOUND)
        *id = c.id;
    catalog_read_end(&r);
    return found != CATALOG_FAILED;
}

void settle_run(struct loop_job *job)
{
    struct settle_job *s = TARN_OUTER(job, struct settle_job, job);
    uint32_t id = 0;
    s->lines.n = s->lines.more = 0;
    s->n_names = 0;
    s->is_failed = !forget_all(s);
    while (!s->is_failed && s->n_names == 0 && !atomic_load(&s->c->is_ending)) {
        s->is_failed = !next_collection(s, id, &id);
        if (s->is_failed || id == 0)
            return;
        s->is_failed = !version(s, id);
    }
}
