/* catalog/publish: collections come, are changed, and go. Jobs: they look at disks and wait for
 * writes. */
#include "catalog/publish.h"
#include "base/cur.h"
#include "base/mem.h"
#include "base/text.h"
#include "catalog/priv.h"
#include "sys/clock.h"

enum { DROP_ROWS = 512 };

enum wish { PUBLISH, UNPUBLISH };

struct asked {
    struct loop_job job;
    struct tarn_list node; /* in the catalog's list */
    struct catalog *c;
    struct catalog_ask *ask; /* borrowed until done */
    enum wish wish;
    struct publish of; /* PUBLISH */
    uint32_t collection;
    enum catalog_origin by; /* UNPUBLISH */
    bool is_ok;
    struct tarn_err err;
};

/* --- what is asked --- */

static bool is_control(struct tarn_bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.p[i] < 0x20 || name.p[i] == 0x7F || name.p[i] == '/')
            return true;
    return false;
}

static bool check_name(struct tarn_bytes name, struct tarn_err *err)
{
    struct tarn_quote q;
    if (name.len > 0 && name.len <= CATALOG_NAME_MAX && name.p[0] != '.' && !is_control(name) &&
        tarn_utf8_valid(name))
        return true;
    return tarn_fail(
        err, TARN_E_USAGE,
        "'%s' cannot be the name of a collection: it must be UTF-8, 1 to %d bytes, "
        "without '/' and control characters, and not begin with '.' (give another with "
        "--as)",
        tarn_quote(&q, name), CATALOG_NAME_MAX);
}

bool publish_init(struct publish *p, const struct catalog_spec *spec)
{
    p->spec = *spec;
    p->path = tarn_strndup(spec->path, strlen(spec->path));
    p->name = spec->name == NULL ? NULL : tarn_strndup(spec->name, strlen(spec->name));
    p->spec.path = p->spec.name = NULL; /* the caller's */
    return p->path != NULL && (spec->name == NULL || p->name != NULL);
}

void publish_release(struct publish *p)
{
    tarn_free(p->path);
    tarn_free(p->name);
}

bool publish_resolve(struct publish *p, struct tarn_err *err)
{
    struct sys_stat st;
    char *real = sys_real_path(p->path, err);
    if (real == NULL)
        return tarn_fail_in(err, "cannot publish");
    tarn_free(p->path);
    p->path = real;
    struct tarn_quote q;
    if (!sys_stat(SYS_CWD, real, true, &st, err))
        return false;
    if (st.kind != SYS_FOLDER)
        return tarn_fail(err, TARN_E_USAGE, "cannot publish '%s': it is no folder",
                         tarn_quote_str(&q, real));
    if (strlen(real) > CATALOG_PATH_MAX)
        return tarn_fail(err, TARN_E_POLICY, "a path is longer than %d bytes", CATALOG_PATH_MAX);
    p->ino = st.ino;
    if (p->name == NULL) {
        const char *slash = strrchr(real, '/');
        const char *own = slash == NULL ? real : slash + 1;
        p->name = tarn_strndup(own, strlen(own));
    }
    return p->name != NULL || tarn_fail_mem(err, "publishing a folder");
}

static bool is_inside(struct tarn_bytes inner, struct tarn_bytes outer)
{
    if (outer.len == 1) /* "/" */
        return true;
    return inner.len > outer.len && inner.p[outer.len] == '/' &&
           memcmp(inner.p, outer.p, outer.len) == 0;
}

/* *same is the collection of this path, 0 for none; and p->as what it is to be called. */
static bool find_same(struct index_write *w, struct publish *p, uint32_t *same,
                      struct tarn_err *err)
{
    KV_AUTO_CURSOR cur = { 0 };
    *same = 0;
    p->as = p->name;
    if (!kv_cursor_open(&w->t->read, w->base + T_COLLECTIONS, &cur, err))
        return false;
    enum kv_got got = kv_first(&cur, err);
    for (; got == KV_FOUND; got = kv_next(&cur, err)) {
        struct row_collection col;
        struct tarn_cur id = tarn_cur_of(cur.key);
        if (!row_take_collection(cur.value, tarn_cur_be32(&id), &col, err))
            return false;
        if (!tarn_bytes_eq_str(col.c.path, p->path))
            continue;
        *same = col.c.id;
        if ((p->spec.keep & CATALOG_KEEP_NAME) != 0) {
            memcpy(p->kept, col.name, sizeof p->kept);
            p->as = p->kept;
        }
        return true;
    }
    return got != KV_FAILED;
}

/* Does one of the others stand in the way? */
static bool check_others(struct index_write *w, struct publish *p, uint32_t same,
                         struct tarn_err *err)
{
    KV_AUTO_CURSOR cur = { 0 };
    struct tarn_bytes ours = tarn_bytes_str(p->path);
    if (!kv_cursor_open(&w->t->read, w->base + T_COLLECTIONS, &cur, err))
        return false;
    enum kv_got got = kv_first(&cur, err);
    for (; got == KV_FOUND; got = kv_next(&cur, err)) {
        struct row_collection other;
        struct tarn_cur id = tarn_cur_of(cur.key);
        struct tarn_quote a, b;
        if (!row_take_collection(cur.value, tarn_cur_be32(&id), &other, err))
            return false;
        if (other.c.id == same)
            continue;
        p->is_refused = true; /* unless neither is the case */
        if (tarn_bytes_eq_str(other.c.name, p->as))
            return tarn_fail(err, TARN_E_USAGE,
                             "the name '%s' belongs to the collection of '%s' (give another with "
                             "--as)",
                             tarn_quote_str(&a, p->as), tarn_quote(&b, other.c.path));
        if (is_inside(ours, other.c.path) || is_inside(other.c.path, ours))
            return tarn_fail(err, TARN_E_USAGE,
                             "cannot publish '%s': it lies %s '%s', which is published as '%s'",
                             tarn_quote_str(&a, p->path),
                             is_inside(ours, other.c.path) ? "inside" : "around",
                             tarn_quote(&b, other.c.path), other.name);
        p->is_refused = false;
    }
    return got != KV_FAILED;
}

/* --- writing --- */

bool publish_name_find(struct index_write *w, struct tarn_bytes name, uint32_t *id,
                       struct tarn_err *err)
{
    struct tarn_bytes value;
    enum kv_got got = kv_get(&w->t->read, w->base + T_NAMES, name, &value, err);
    *id = 0;
    if (got != KV_FOUND)
        return got == KV_NONE;
    struct tarn_cur cur = tarn_cur_of(value);
    *id = tarn_cur_be32(&cur);
    return true;
}

bool publish_name_put(struct index_write *w, struct tarn_bytes name, uint32_t id,
                      struct tarn_err *err)
{
    struct kv_key value = { 0 };
    kv_key_be32(&value, id);
    return kv_txn_put(w->t, w->base + T_NAMES, name, kv_key_bytes(&value), err);
}

bool publish_name_del(struct index_write *w, struct tarn_bytes name, uint32_t id,
                      struct tarn_err *err)
{
    uint32_t has;
    return publish_name_find(w, name, &has, err) &&
           (has != id || kv_txn_del(w->t, w->base + T_NAMES, name, err) != KV_FAILED);
}

/* keep: what stays as it is; of a new collection nothing does. */
static void take_wishes(struct row_collection *col, const struct catalog_spec *s, unsigned keep)
{
    if ((keep & CATALOG_KEEP_POLICY) == 0)
        col->c.policy = s->policy;
    if ((keep & CATALOG_KEEP_BT) == 0)
        col->c.bt = s->bt;
    if ((keep & CATALOG_KEEP_HTTP) == 0)
        col->c.http = s->http;
    if ((keep & CATALOG_KEEP_HIDDEN) == 0)
        col->c.hidden = s->hidden;
    if ((keep & CATALOG_KEEP_LINKS) == 0)
        col->c.links = s->links;
    col->c.origin = s->origin;
    if (s->piece_len != 0 && col->c.piece_len == 0)
        col->c.piece_len = s->piece_len;
}

static void set_text(struct row_collection *col, const struct publish *p)
{
    memcpy(col->name, p->as, strlen(p->as) + 1);
    memcpy(col->path, p->path, strlen(p->path) + 1);
    col->c.name = tarn_bytes_str(col->name);
    col->c.path = tarn_bytes_str(col->path);
}

static bool add(struct index_write *w, struct publish *p, struct tarn_err *err)
{
    uint32_t id = w->head.next_collection++;
    struct kv_key own = { 0 };
    struct row_entry root = { .e = { .id = index_new_id(w),
                                     .collection = id,
                                     .kind = CATALOG_FOLDER,
                                     .state = CATALOG_HELD } };
    kv_key_be32(&own, id);
    memcpy(root.name, own.p, own.len);
    root.e.name = tarn_bytes_of(root.name, own.len);
    root.e.stat.ino = p->ino;
    root.e.stat.kind = SYS_FOLDER;
    w->col =
        (struct row_collection){ .c = { .id = id, .folder = root.e.id, .added_ms = w->now_ms } };
    w->has_col = true;
    set_text(&w->col, p);
    take_wishes(&w->col, &p->spec, 0);
    w->head.totals.collections++;
    p->collection = id;
    p->is_new = true;
    return index_put(w, NULL, &root, NULL, err) && publish_name_put(w, w->col.c.name, id, err) &&
           index_note(w, CATALOG_E_COLLECTION_ADDED, NULL, tarn_bytes_of(NULL, 0), 0, err);
}

static bool change(struct index_write *w, struct publish *p, uint32_t id, struct tarn_err *err)
{
    if (index_collection(w, id, err) != CATALOG_FOUND)
        return false;
    struct row_collection before = w->col;
    p->collection = id;
    p->is_refused = before.c.origin == CATALOG_CONFIGURED && p->spec.origin == CATALOG_COMMANDED;
    if (p->is_refused)
        return tarn_fail(err, TARN_E_POLICY,
                         "collection '%s' is in the configuration: change it there", before.name);
    bool is_renamed = strcmp(before.name, p->as) != 0;
    take_wishes(&w->col, &p->spec, p->spec.keep);
    set_text(&w->col, p);
    struct tarn_bytes old = tarn_bytes_str(p->was[0] != '\0' ? p->was : before.name);
    if (is_renamed &&
        (!publish_name_del(w, old, id, err) || !publish_name_put(w, w->col.c.name, id, err)))
        return false;
    bool is_same = !is_renamed && before.c.policy == w->col.c.policy &&
                   before.c.bt == w->col.c.bt && before.c.http == w->col.c.http &&
                   before.c.hidden == w->col.c.hidden && before.c.links == w->col.c.links;
    return is_same || index_note(w, CATALOG_E_COLLECTION_CHANGED, NULL,
                                 is_renamed ? old : tarn_bytes_of(NULL, 0), 0, err);
}

bool publish_put(struct index_write *w, struct publish *p, uint32_t same, struct tarn_err *err)
{
    p->is_new = p->is_refused = false;
    if (!check_name(tarn_bytes_str(p->as), err))
        p->is_refused = true;
    else if (check_others(w, p, same, err))
        return same == 0 ? add(w, p, err) : change(w, p, same, err);
    return false;
}

static bool put_collection(struct index_write *w, void *arg, struct tarn_err *err)
{
    struct asked *a = arg;
    uint32_t same;
    return find_same(w, &a->of, &same, err) && publish_put(w, &a->of, same, err);
}

/* What is left of a collection is dropped bit by bit, also after a restart. */
bool publish_remove(struct index_write *w, uint32_t collection, enum catalog_origin by,
                    struct tarn_err *err)
{
    struct kv_key k = { 0 }, drop = { 0 };
    enum catalog_found found = index_collection(w, collection, err);
    if (found == CATALOG_FAILED)
        return false;
    if (found == CATALOG_NOT_THERE)
        return tarn_fail(err, TARN_E_NOT_FOUND, "there is no such collection");
    if (w->col.c.origin == CATALOG_CONFIGURED && by == CATALOG_COMMANDED)
        return tarn_fail(err, TARN_E_POLICY,
                         "collection '%s' is in the configuration: remove it there", w->col.name);
    kv_key_be32(&k, collection);
    kv_key_put(&drop, tarn_bytes_str("drop"));
    kv_key_be64(&drop, w->col.c.folder);
    w->head.totals.collections--;
    bool ok = index_note(w, CATALOG_E_COLLECTION_REMOVED, NULL, tarn_bytes_of(NULL, 0), 0, err) &&
              publish_name_del(w, w->col.c.name, collection, err) &&
              kv_txn_del(w->t, w->base + T_COLLECTIONS, kv_key_bytes(&k), err) != KV_FAILED &&
              kv_txn_del_prefix(w->t, w->base + T_VERSIONS, kv_key_bytes(&k), err) &&
              kv_txn_put(w->t, w->base + T_FIXED, kv_key_bytes(&drop), kv_key_bytes(&k), err);
    w->has_col = false; /* it is not stored again */
    return ok;
}

static bool remove_collection(struct index_write *w, void *arg, struct tarn_err *err)
{
    struct asked *a = arg;
    return publish_remove(w, a->collection, a->by, err);
}

/* --- the job --- */

static void asked_free(struct asked *a)
{
    tarn_list_remove(&a->node);
    publish_release(&a->of);
    tarn_free(a);
}

static void asked_run(struct loop_job *job)
{
    struct asked *a = TARN_OUTER(job, struct asked, job);
    if (a->wish == PUBLISH) {
        a->is_ok =
            publish_resolve(&a->of, &a->err) && catalog_write(a->c, put_collection, a, &a->err);
        a->collection = a->of.collection;
    } else {
        a->is_ok = catalog_write(a->c, remove_collection, a, &a->err);
    }
}

static void asked_done(struct loop_job *job)
{
    struct asked *a = TARN_OUTER(job, struct asked, job);
    struct catalog *c = a->c;
    struct catalog_ask *ask = a->ask;
    ask->is_ok = a->is_ok;
    ask->err = a->err;
    ask->collection = a->collection;
    if (a->is_ok && a->wish == PUBLISH)
        actor_walk(c, a->collection, true);
    if (a->is_ok && a->wish == UNPUBLISH) {
        actor_forget(c, a->collection);
        actor_drop(c);
    }
    asked_free(a);
    actor_kick(c);
    ask->done(ask);
}

static struct asked *asked_new(struct catalog *c, enum wish wish, struct catalog_ask *ask)
{
    struct asked *a = tarn_calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    a->c = c;
    a->ask = ask;
    a->wish = wish;
    a->job.run = asked_run;
    a->job.done = asked_done;
    tarn_list_push_back(&c->asks, &a->node);
    return a;
}

static void on_refused(struct loop_msg *m)
{
    struct catalog_ask *ask = TARN_OUTER(m, struct catalog_ask, later);
    ask->done(ask);
}

/* No memory for the job: the answer comes all the same, and not from within the call. */
static void refuse(struct catalog *c, struct catalog_ask *ask)
{
    ask->is_ok = false;
    tarn_fail_mem(&ask->err, "publishing a folder");
    ask->later = (struct loop_msg){ .on_loop = on_refused };
    loop_post(c->loop, &ask->later);
}

void catalog_publish(struct catalog *c, const struct catalog_spec *spec, struct catalog_ask *ask)
{
    struct asked *a = asked_new(c, PUBLISH, ask);
    if (a != NULL && publish_init(&a->of, spec)) {
        loop_pool_submit(c->loop, &a->job);
        return;
    }
    if (a != NULL)
        asked_free(a);
    refuse(c, ask);
}

void catalog_unpublish(struct catalog *c, uint32_t collection, enum catalog_origin by,
                       struct catalog_ask *ask)
{
    struct asked *a = asked_new(c, UNPUBLISH, ask);
    if (a == NULL) {
        refuse(c, ask);
        return;
    }
    a->collection = collection;
    a->by = by;
    loop_pool_submit(c->loop, &a->job);
}

void publish_cancel(struct catalog *c)
{
    while (!tarn_list_empty(&c->asks)) {
        struct asked *a = TARN_OUTER(c->asks.next, struct asked, node);
        loop_pool_cancel(c->loop, &a->job);
        asked_free(a);
    }
}

/* --- dropping what is left of collections --- */

/* An entry below a folder that has none below itself; the folder itself when it is empty. */
static enum catalog_found lowest(struct index_write *w, uint64_t folder, struct row_entry *out,
                                 struct tarn_err *err)
{
    enum catalog_found found = index_get(w, folder, out, err);
    while (found == CATALOG_FOUND && out->e.kind == CATALOG_FOLDER) {
        KV_AUTO_CURSOR cur = { 0 };
        struct kv_key prefix = { 0 };
        kv_key_be64(&prefix, out->e.id);
        if (!kv_cursor_open(&w->t->read, w->base + T_ENTRIES, &cur, err))
            return CATALOG_FAILED;
        enum kv_got got = kv_seek(&cur, kv_key_bytes(&prefix), err);
        if (got == KV_FAILED)
            return CATALOG_FAILED;
        if (got == KV_NONE || !kv_has_prefix(cur.key, kv_key_bytes(&prefix)))
            return CATALOG_FOUND;
        if (!row_take_entry(cur.key, cur.value, out, err))
            return CATALOG_FAILED;
    }
    return found;
}

static bool drop_some(struct index_write *w, void *arg, struct tarn_err *err)
{
    struct drop_job *d = arg;
    struct kv_key prefix = { 0 }, key = { 0 };
    uint64_t folder;
    kv_key_put(&prefix, tarn_bytes_str("drop"));
    {
        KV_AUTO_CURSOR cur = { 0 };
        if (!kv_cursor_open(&w->t->read, w->base + T_FIXED, &cur, err))
            return false;
        enum kv_got got = kv_seek(&cur, kv_key_bytes(&prefix), err);
        d->is_over =
            got == KV_NONE || (got == KV_FOUND && !kv_has_prefix(cur.key, kv_key_bytes(&prefix)));
        if (got == KV_FAILED || d->is_over)
            return got != KV_FAILED;
        kv_key_put(&key, cur.key);
        struct tarn_cur at = tarn_cur_of(cur.key);
        tarn_cur_take(&at, prefix.len);
        folder = tarn_cur_be64(&at);
    }
    w->col = (struct row_collection){ 0 }; /* counters of nobody, never stored */
    for (int i = 0; i < DROP_ROWS; i++) {
        struct row_entry row;
        switch (lowest(w, folder, &row, err)) {
        case CATALOG_FAILED:
            return false;
        case CATALOG_NOT_THERE:
            return kv_txn_del(w->t, w->base + T_FIXED, kv_key_bytes(&key), err) != KV_FAILED;
        case CATALOG_FOUND:
            break;
        }
        if (!index_put(w, &row, NULL, NULL, err))
            return false;
    }
    return true;
}

void drop_run(struct loop_job *job)
{
    struct drop_job *d = TARN_OUTER(job, struct drop_job, job);
    d->is_failed = !catalog_write(d->c, drop_some, d, &d->err);
}
