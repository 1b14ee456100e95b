/* node/singles: see the header. In the table: an info-hash of 20 bytes leads to the number of the
 * collection (be32) and the path below it. What a path holds may have changed since: the derived
 * torrent must have the hash that was asked for. */
#include "node/singles.h"

#include "base/cur.h"
#include "base/mem.h"
#include "loop/pool.h"

struct single {
    struct tarn_list node; /* in `live`, the latest at the end */
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

struct node_singles {
    struct node_singles_settings set;
    struct tarn_list live, asked;
    size_t n_live, n_asked;
    uint64_t seq; /* of the journal: looked at so far */
};

/* ---- the table ---- */

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

/* Is it there as it would be written? */
static bool is_noted(struct kv *kv, const struct note *n)
{
    struct tarn_bytes value;
    struct tarn_err err;
    KV_AUTO_READ r = { 0 };
    const uint8_t *hash = n->hashes->has_v1 ? n->hashes->v1 : n->hashes->v2;
    return kv_read_begin(kv, &r, &err) &&
           kv_get(&r, n->table, tarn_bytes_of(hash, SINGLES_HASH), &value, &err) == KV_FOUND &&
           tarn_bytes_eq(value, n->value);
}

bool node_singles_note(struct kv *kv, unsigned table, const struct bt_hashes *hashes,
                       uint32_t collection, struct tarn_bytes path, struct tarn_err *err)
{
    struct note n = { .write = { .run = run_note }, .table = table, .hashes = hashes };
    struct tarn_out value;
    tarn_out_init(&value, 4 + CATALOG_PATH_MAX);
    tarn_out_be32(&value, collection);
    tarn_out_put(&value, path);
    n.value = tarn_out_bytes(&value);
    bool ok = tarn_out_ok(&value) ? is_noted(kv, &n) || kv_write_now(kv, &n.write, err)
                                  : tarn_fail_mem(err, "noting a torrent");
    tarn_out_release(&value);
    return ok;
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

/* The file that was noted, when it may be shared and is what it was. */
static bool find_file(struct asked *a, struct catalog_read *r, struct catalog_collection *c,
                      struct catalog_entry *e, struct tarn_bytes *path)
{
    struct tarn_bytes value;
    struct tarn_err err;
    if (kv_get(&r->kv, a->of->set.table, tarn_bytes_of(a->hash, SINGLES_HASH), &value, &err) !=
        KV_FOUND)
        return false;
    struct tarn_cur cur = tarn_cur_of(value);
    uint32_t collection = tarn_cur_be32(&cur);
    *path = tarn_cur_rest(&cur);
    return catalog_collection_get(r, collection, c, &err) == CATALOG_FOUND &&
           c->policy == CATALOG_PUBLIC && c->bt != CATALOG_BT_OFF && c->phase != CATALOG_AWAY &&
           catalog_find(r, c, *path, e, &err) == CATALOG_FOUND && e->kind == CATALOG_FILE &&
           e->state == CATALOG_HELD;
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
    bool ok =
        s->path != NULL && derived_file(r, c, e, path, &a->of->set.from, &torrent, NULL, &err) &&
        tarn_out_ok(&torrent) && bt_metainfo_parse(&s->meta, tarn_out_bytes(&torrent), &err) &&
        has_hash(&s->meta.hashes, a->hash);
    tarn_out_release(&torrent);
    return ok;
}

static void run_asked(struct loop_job *job)
{
    struct asked *a = TARN_OUTER(job, struct asked, job);
    struct catalog_read r;
    struct catalog_collection c;
    struct catalog_entry e;
    struct tarn_bytes path;
    struct tarn_err err;
    if (!catalog_read_begin(a->of->set.catalog, &r, &err))
        return;
    if (find_file(a, &r, &c, &e, &path)) {
        struct single *s = tarn_calloc(1, sizeof *s);
        if (s != NULL && fill(s, a, &r, &c, &e, path))
            a->made = s;
        else
            free_single(s);
    }
    catalog_read_end(&r);
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
    if (all->n_live == SINGLES_MAX)
        drop(oldest(all));
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
    if (node_singles_is_wanted(s, hash))
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
    case CATALOG_E_COLLECTION_CHANGED:
    case CATALOG_E_COLLECTION_REMOVED:
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
    if (s->n_live == 0) {
        s->seq = newest;
        return;
    }
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
    s->seq = catalog_seq(set->catalog);
    tarn_list_init(&s->live);
    tarn_list_init(&s->asked);
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
