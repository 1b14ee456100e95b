/* node/singles: see the header. In the table: an info-hash of 20 bytes leads to the number of the
 * collection (be32) and the path below it: a place. What it holds may have changed since: the
 * derived torrent must have the hash that was asked for. */
#include "node/singles.h"

#include "base/cur.h"
#include "base/mem.h"
#include "loop/pool.h"

struct single {
    struct tarn_list node; /* in `live`, the one asked for last at the end */
    struct node_singles *of;
    uint32_t collection;
    uint64_t entry;
    struct bt_metainfo meta;
    char *path; /* owned: on disk */
    struct bt_torrent *bt;
    bool is_bad; /* the session has given it up */
};

struct asked {
    struct loop_job job;
    struct tarn_list node; /* in `asked` */
    struct node_singles *of;
    uint8_t hash[SINGLES_HASH];
    struct single *made; /* out: NULL when there is none */
};

/* A collection was removed: so is what is noted of it. */
enum { GONE_AT_ONCE = 1000 };
struct gone {
    struct loop_job job;
    struct tarn_list node; /* in `gone`; only the first one's job is out */
    struct node_singles *of;
    uint32_t collection;
    struct kv_write write;
    size_t n;
    uint8_t keys[GONE_AT_ONCE][SINGLES_HASH]; /* found, to be deleted next */
};

struct node_singles {
    struct node_singles_settings set;
    struct tarn_list live, asked, gone;
    size_t n_live, n_asked;
    uint64_t seq; /* of the journal: looked at so far */
};

/* ---- the table ---- */

/* What a place leads to. */
enum place {
    PLACE_HELD,   /* a file that may be shared */
    PLACE_CLOSED, /* none now, and perhaps later: it is being read, away, not public */
    PLACE_GONE,   /* nothing of ours any more */
};

static bool is_shared(const struct catalog_collection *c)
{
    return c->policy == CATALOG_PUBLIC && c->bt != CATALOG_BT_OFF && c->phase != CATALOG_AWAY;
}

static enum place look_at(struct catalog_read *r, struct tarn_bytes value,
                          struct catalog_collection *c, struct catalog_entry *e,
                          struct tarn_bytes *path)
{
    struct tarn_err err;
    struct tarn_cur cur = tarn_cur_of(value);
    uint32_t collection = tarn_cur_be32(&cur);
    *path = tarn_cur_rest(&cur);
    enum catalog_found found = catalog_collection_get(r, collection, c, &err);
    if (found == CATALOG_FOUND && !is_shared(c))
        return PLACE_CLOSED;
    if (found == CATALOG_FOUND)
        found = catalog_find(r, c, *path, e, &err);
    if (found != CATALOG_FOUND)
        return found == CATALOG_NOT_THERE ? PLACE_GONE : PLACE_CLOSED;
    if (e->kind != CATALOG_FILE)
        return PLACE_GONE;
    return e->state == CATALOG_HELD ? PLACE_HELD : PLACE_CLOSED;
}

/* Do files in these two places, of which one name is known to be the other's, have one torrent? */
static bool is_same_torrent(struct catalog_read *r, struct tarn_bytes a, struct tarn_bytes b)
{
    struct catalog_collection in_a, in_b;
    struct catalog_entry at_a, at_b;
    struct tarn_bytes path;
    return look_at(r, a, &in_a, &at_a, &path) == PLACE_HELD &&
           look_at(r, b, &in_b, &at_b, &path) == PLACE_HELD && in_a.bt == in_b.bt &&
           in_a.piece_len == in_b.piece_len && at_a.stat.is_executable == at_b.stat.is_executable &&
           at_a.identity.len == at_b.identity.len &&
           memcmp(at_a.identity.root, at_b.identity.root, sizeof at_a.identity.root) == 0;
}

struct note {
    struct kv_write write;
    unsigned table;
    const struct bt_hashes *hashes;
    struct tarn_bytes value;
};

static bool run_note(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    const struct note *n = TARN_OUTER(w, struct note, write);
    const struct bt_hashes *h = n->hashes;
    return (!h->has_v1 ||
            kv_txn_put(t, n->table, tarn_bytes_of(h->v1, SINGLES_HASH), n->value, err)) &&
           (!h->has_v2 ||
            kv_txn_put(t, n->table, tarn_bytes_of(h->v2, SINGLES_HASH), n->value, err));
}

/* Does the hash lead to this file already, or to one that is as good? Many files have one name and
 * the same bytes: none of them takes the record from another, or each request would be a write. */
static bool leads_to(struct catalog_read *r, const struct note *n, const uint8_t *hash)
{
    struct tarn_bytes value;
    struct tarn_err err;
    return kv_get(&r->kv, n->table, tarn_bytes_of(hash, SINGLES_HASH), &value, &err) == KV_FOUND &&
           (tarn_bytes_eq(value, n->value) || is_same_torrent(r, value, n->value));
}

static bool is_noted(struct catalog *catalog, const struct note *n)
{
    struct tarn_err err;
    struct catalog_read r;
    const struct bt_hashes *h = n->hashes;
    if (!catalog_read_begin(catalog, &r, &err))
        return false;
    bool is = (!h->has_v1 || leads_to(&r, n, h->v1)) && (!h->has_v2 || leads_to(&r, n, h->v2));
    catalog_read_end(&r);
    return is;
}

bool node_singles_note(struct kv *kv, unsigned table, struct catalog *catalog,
                       const struct bt_hashes *hashes, uint32_t collection, struct tarn_bytes path,
                       struct tarn_err *err)
{
    struct note n = { .write = { .run = run_note }, .table = table, .hashes = hashes };
    struct tarn_out value;
    tarn_out_init(&value, 4 + CATALOG_PATH_MAX);
    tarn_out_be32(&value, collection);
    tarn_out_put(&value, path);
    n.value = tarn_out_bytes(&value);
    bool ok = tarn_out_ok(&value) ? is_noted(catalog, &n) || kv_write_now(kv, &n.write, err)
                                  : tarn_fail_mem(err, "noting a torrent");
    tarn_out_release(&value);
    return ok;
}

struct unnote {
    struct kv_write write;
    unsigned table;
    struct tarn_bytes hash, value;
};

static bool run_unnote(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    const struct unnote *u = TARN_OUTER(w, struct unnote, write);
    struct tarn_bytes value;
    enum kv_got got = kv_get(&t->read, u->table, u->hash, &value, err);
    if (got == KV_FOUND && tarn_bytes_eq(value, u->value))
        got = kv_txn_del(t, u->table, u->hash, err);
    return got != KV_FAILED;
}

/* What is noted of it leads nowhere, unless it has been noted anew meanwhile. */
static void unnote(const struct node_singles *s, struct tarn_bytes hash,
                   const struct tarn_out *value)
{
    struct tarn_err err;
    struct unnote u = {
        .write = { .run = run_unnote },
        .table = s->set.table,
        .hash = hash,
        .value = tarn_out_bytes(value),
    };
    bool is_written = tarn_out_ok(value) && kv_write_now(s->set.kv, &u.write, &err);
    (void)is_written; /* else it goes when it is looked for again */
}

/* ---- making one live: on a thread of the pool ---- */

static void free_single(struct single *s)
{
    if (s == NULL)
        return;
    if (s->bt != NULL)
        bt_session_remove(s->of->set.bt, s->bt);
    bt_metainfo_release(&s->meta);
    tarn_free(s->path);
    tarn_free(s);
}

static bool has_hash(const struct bt_hashes *h, const uint8_t hash[SINGLES_HASH])
{
    return (h->has_v1 && memcmp(h->v1, hash, SINGLES_HASH) == 0) ||
           (h->has_v2 && memcmp(h->v2, hash, SINGLES_HASH) == 0);
}

static bool fill(struct single *s, struct asked *a, struct catalog_read *r,
                 const struct catalog_collection *c, const struct catalog_entry *e,
                 struct tarn_bytes path)
{
    struct tarn_out torrent;
    struct tarn_err err;
    tarn_out_init(&torrent, BT_TORRENT_MAX);
    s->of = a->of;
    s->collection = c->id;
    s->entry = e->id;
    s->path = catalog_disk_path(r, e, &err);
    bool ok = s->path != NULL &&
              derived_file(r, c, e, path, &a->of->set.from, &torrent, NULL, &err) &&
              tarn_out_ok(&torrent) && bt_metainfo_parse(&s->meta, tarn_out_bytes(&torrent), &err);
    tarn_out_release(&torrent);
    return ok;
}

/* False: the place that was noted does not hold what was asked for, and will not again. */
static bool make(struct asked *a, struct catalog_read *r, struct tarn_bytes value)
{
    struct catalog_collection c;
    struct catalog_entry e;
    struct tarn_bytes path;
    enum place place = look_at(r, value, &c, &e, &path);
    struct single *s = place == PLACE_HELD ? tarn_calloc(1, sizeof *s) : NULL;
    if (s != NULL && fill(s, a, r, &c, &e, path)) {
        if (has_hash(&s->meta.hashes, a->hash))
            a->made = s;
        else
            place = PLACE_GONE;
    }
    if (a->made == NULL)
        free_single(s);
    return place != PLACE_GONE;
}

static void run_asked(struct loop_job *job)
{
    struct asked *a = TARN_OUTER(job, struct asked, job);
    struct tarn_bytes value, hash = tarn_bytes_of(a->hash, SINGLES_HASH);
    struct tarn_out gone;
    struct catalog_read r;
    struct tarn_err err;
    if (!catalog_read_begin(a->of->set.catalog, &r, &err))
        return;
    bool is_gone =
        kv_get(&r.kv, a->of->set.table, hash, &value, &err) == KV_FOUND && !make(a, &r, value);
    tarn_out_init(&gone, 4 + CATALOG_PATH_MAX);
    if (is_gone)
        tarn_out_put(&gone, value);
    catalog_read_end(&r);
    if (is_gone)
        unnote(a->of, hash, &gone);
    tarn_out_release(&gone);
}

/* ---- those that live ---- */

static void drop(struct single *s)
{
    tarn_list_remove(&s->node);
    s->of->n_live--;
    free_single(s);
}

static struct single *oldest(struct node_singles *s)
{
    return TARN_OUTER(s->live.next, struct single, node);
}

static struct single *find_live(const struct node_singles *s, const uint8_t hash[SINGLES_HASH])
{
    for (struct tarn_list *at = s->live.next; at != &s->live; at = at->next) {
        struct single *one = TARN_OUTER(at, struct single, node);
        if (has_hash(&one->meta.hashes, hash))
            return one;
    }
    return NULL;
}

static void move_to_end(struct single *s)
{
    tarn_list_remove(&s->node);
    tarn_list_push_back(&s->of->live, &s->node);
}

/* Of those without peers the one that was not asked for the longest. Who has peers is asked for
 * now; when all have, it is the first of them all the same. */
static struct single *least_wanted(struct node_singles *s)
{
    for (size_t i = 0; i < s->n_live; i++) {
        struct bt_stats stats;
        bt_torrent_stats(oldest(s)->bt, &stats);
        if (stats.peers == 0)
            break;
        move_to_end(oldest(s));
    }
    return oldest(s);
}

static void on_failed(void *arg, const struct tarn_err *err)
{
    (void)err;
    ((struct single *)arg)->is_bad = true; /* it goes with the next look */
}

static void on_complete(void *arg)
{
    (void)arg;
}

static void go_live(struct single *s)
{
    static const struct bt_torrent_ops ops = { .on_complete = on_complete, .on_failed = on_failed };
    struct node_singles *all = s->of;
    struct tarn_err err;
    const struct bt_add add = { .meta = &s->meta,
                                .path = s->path,
                                .seed_only = true,
                                .trust = true, /* the catalog has read it, and watches it */
                                .no_web_seeds = true,
                                .no_trackers = all->set.no_trackers,
                                .ops = &ops,
                                .arg = s };
    s->bt = bt_session_add(all->set.bt, &add, &err);
    if (s->bt == NULL) { /* it is here meanwhile, or nothing more fits: with the next peer */
        free_single(s);
        return;
    }
    if (all->n_live == all->set.max)
        drop(least_wanted(all));
    tarn_list_push_back(&all->live, &s->node);
    all->n_live++;
}

static void forget_asked(struct asked *a)
{
    tarn_list_remove(&a->node);
    a->of->n_asked--;
    tarn_free(a);
}

static void on_made(struct loop_job *job)
{
    struct asked *a = TARN_OUTER(job, struct asked, job);
    if (a->made != NULL)
        go_live(a->made);
    forget_asked(a);
}

bool node_singles_is_wanted(const struct node_singles *s, const uint8_t hash[SINGLES_HASH])
{
    for (struct tarn_list *at = s->asked.next; at != &s->asked; at = at->next)
        if (memcmp(TARN_OUTER(at, struct asked, node)->hash, hash, SINGLES_HASH) == 0)
            return true;
    return false;
}

bool node_singles_want(struct node_singles *s, const uint8_t hash[SINGLES_HASH])
{
    struct single *live = find_live(s, hash);
    if (live != NULL)
        move_to_end(live);
    if (live != NULL || node_singles_is_wanted(s, hash))
        return true;
    struct asked *a = s->n_asked < SINGLES_ASKED_MAX ? tarn_calloc(1, sizeof *a) : NULL;
    if (a == NULL)
        return false;
    *a = (struct asked){ .job = { .run = run_asked, .done = on_made }, .of = s };
    memcpy(a->hash, hash, SINGLES_HASH);
    tarn_list_push_back(&s->asked, &a->node);
    s->n_asked++;
    loop_pool_submit(s->set.loop, &a->job);
    return true;
}

/* ---- what is noted of a collection that was removed ---- */

/* Is this of it? */
static bool is_of(const struct gone *g, struct tarn_bytes value)
{
    struct tarn_cur cur = tarn_cur_of(value);
    return tarn_cur_be32(&cur) == g->collection;
}

static bool gather(void *arg, struct tarn_bytes key, struct tarn_bytes value)
{
    struct gone *g = arg;
    if (key.len == SINGLES_HASH && is_of(g, value))
        memcpy(g->keys[g->n++], key.p, SINGLES_HASH);
    return g->n < GONE_AT_ONCE;
}

static bool run_forget(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    const struct gone *g = TARN_OUTER(w, struct gone, write);
    const unsigned table = g->of->set.table;
    for (size_t i = 0; i < g->n; i++) {
        struct tarn_bytes value, key = tarn_bytes_of(g->keys[i], SINGLES_HASH);
        enum kv_got got = kv_get(&t->read, table, key, &value, err);
        if (got == KV_FOUND && is_of(g, value)) /* not noted for another place meanwhile */
            got = kv_txn_del(t, table, key, err);
        if (got == KV_FAILED)
            return false;
    }
    return true;
}

static void run_gone(struct loop_job *job)
{
    struct gone *g = TARN_OUTER(job, struct gone, job);
    struct kv *kv = g->of->set.kv;
    uint8_t last[SINGLES_HASH];
    struct kv_range range = { .table = g->of->set.table };
    struct tarn_err err;
    do {
        g->n = 0;
        g->write = (struct kv_write){ .run = run_forget };
        if (!kv_scan(kv, &range, gather, g, &err) || g->n == 0 ||
            !kv_write_now(kv, &g->write, &err))
            return; /* what is left goes one by one, when it is looked for */
        memcpy(last, g->keys[g->n - 1], SINGLES_HASH);
        range.from = tarn_bytes_of(last, SINGLES_HASH);
    } while (g->n == GONE_AT_ONCE);
}

static void next_gone(struct node_singles *s)
{
    if (!tarn_list_empty(&s->gone))
        loop_pool_submit(s->set.loop, &TARN_OUTER(s->gone.next, struct gone, node)->job);
}

static void on_gone(struct loop_job *job)
{
    struct gone *g = TARN_OUTER(job, struct gone, job);
    struct node_singles *s = g->of;
    tarn_list_remove(&g->node);
    tarn_free(g);
    next_gone(s);
}

static void forget_collection(struct node_singles *s, uint32_t collection)
{
    struct gone *g = tarn_calloc(1, sizeof *g);
    if (g == NULL)
        return; /* as above */
    bool is_first = tarn_list_empty(&s->gone);
    g->job = (struct loop_job){ .run = run_gone, .done = on_gone };
    g->of = s;
    g->collection = collection;
    tarn_list_push_back(&s->gone, &g->node);
    if (is_first)
        next_gone(s);
}

/* ---- the journal ---- */

static void drop_those(struct node_singles *s, uint32_t collection, uint64_t entry)
{
    for (struct tarn_list *at = s->live.next, *next; at != &s->live; at = next) {
        struct single *one = TARN_OUTER(at, struct single, node);
        next = at->next;
        if (one->is_bad || (one->collection == collection && (entry == 0 || one->entry == entry)))
            drop(one);
    }
}

static void take_change(struct node_singles *s, const struct catalog_change *ch)
{
    switch (ch->event) {
    case CATALOG_E_CHANGED:
    case CATALOG_E_MOVED:
    case CATALOG_E_REMOVED:
    case CATALOG_E_DAMAGED:
        drop_those(s, ch->collection, ch->entry);
        break;
    case CATALOG_E_COLLECTION_REMOVED:
        drop_those(s, ch->collection, 0);
        forget_collection(s, ch->collection);
        break;
    case CATALOG_E_COLLECTION_CHANGED:
    case CATALOG_E_COLLECTION_AWAY:
        drop_those(s, ch->collection, 0);
        break;
    default:
        break;
    }
}

void node_singles_look(struct node_singles *s)
{
    struct catalog_read r;
    struct catalog_change ch;
    struct tarn_err err;
    enum catalog_found found = CATALOG_FAILED;
    uint64_t newest = catalog_seq(s->set.catalog);
    if (catalog_read_begin(s->set.catalog, &r, &err)) {
        while ((found = catalog_change_next(&r, s->seq, &ch, &err)) == CATALOG_FOUND) {
            s->seq = ch.seq;
            take_change(s, &ch);
        }
        catalog_read_end(&r);
    }
    if (found == CATALOG_NOT_THERE)
        return;
    while (s->n_live > 0) /* what has changed is not known: nothing is believed */
        drop(oldest(s));
    s->seq = newest;
}

/* ---- all of it ---- */

struct node_singles *node_singles_new(const struct node_singles_settings *set, struct tarn_err *err)
{
    struct node_singles *s = tarn_calloc(1, sizeof *s);
    if (s == NULL)
        return tarn_fail_mem(err, "sharing single files"), NULL;
    s->set = *set;
    if (s->set.max == 0)
        s->set.max = SINGLES_MAX;
    s->seq = catalog_seq(set->catalog);
    tarn_list_init(&s->live);
    tarn_list_init(&s->asked);
    tarn_list_init(&s->gone);
    return s;
}

void node_singles_free(struct node_singles *s)
{
    if (s == NULL)
        return;
    while (!tarn_list_empty(&s->asked)) {
        struct asked *a = TARN_OUTER(s->asked.next, struct asked, node);
        loop_pool_cancel(s->set.loop, &a->job);
        free_single(a->made);
        forget_asked(a);
    }
    while (!tarn_list_empty(&s->gone)) {
        struct gone *g = TARN_OUTER(tarn_list_pop_front(&s->gone), struct gone, node);
        loop_pool_cancel(s->set.loop, &g->job);
        tarn_free(g);
    }
    while (s->n_live > 0)
        drop(oldest(s));
    tarn_free(s);
}

size_t node_singles_count(const struct node_singles *s)
{
    return s->n_live;
}

/* ---- from other threads ---- */

static void on_wants(struct loop_msg *msg)
{
    struct node_wants *w = TARN_OUTER(msg, struct node_wants, msg);
    uint8_t hashes[SINGLES_ASKED_MAX][SINGLES_HASH];
    sys_lock_take(&w->lock);
    size_t n = w->n;
    memcpy(hashes, w->hashes, n * sizeof *hashes);
    w->n = 0;
    sys_lock_give(&w->lock);
    for (size_t i = 0; i < n; i++)
        w->on_want(w, hashes[i]);
}

void node_wants_init(struct node_wants *w, struct loop *loop,
                     void (*on_want)(struct node_wants *w, const uint8_t hash[SINGLES_HASH]))
{
    *w = (struct node_wants){ .loop = loop, .on_want = on_want, .msg.on_loop = on_wants };
    sys_lock_init(&w->lock);
}

void node_wants_release(struct node_wants *w)
{
    if (w->loop != NULL)
        sys_lock_release(&w->lock);
    *w = (struct node_wants){ 0 };
}

void node_wants_put(struct node_wants *w, const uint8_t hash[SINGLES_HASH])
{
    bool is_first = false;
    sys_lock_take(&w->lock);
    if (w->n < SINGLES_ASKED_MAX) {
        memcpy(w->hashes[w->n], hash, SINGLES_HASH);
        is_first = w->n++ == 0;
    }
    sys_lock_give(&w->lock);
    if (is_first)
        loop_post(w->loop, &w->msg);
}
