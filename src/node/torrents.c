/* node/torrents: a table of the index, and for each record a torrent of the session.
 *
 * A record: u8 1 (its form), u8 flags, u64 when it was added (ms), u16 and the folder, then the
 * torrent file or the magnet link. Key: the id, big-endian. The id that comes next stands under the
 * key 0, so that an id is never given twice. */
#include "node/torrents.h"

#include "base/cur.h"
#include "base/map.h"
#include "base/mem.h"
#include "sys/clock.h"

enum {
    FORM = 1,
    IS_PAUSED = 1,
    IS_MAGNET = 2,
    URL_MS = 60 * 1000,
    SOURCE_MAX = KV_VALUE_MAX - NODE_FOLDER_MAX - 16,
};

struct torrent {
    struct node_torrent seen; /* what others see */
    struct node_torrents *of;
    struct bt_metainfo meta;
    struct bt_magnet magnet;
    bool is_magnet;
    char *folder, *failure; /* owned */
};

struct node_torrents {
    struct loop *loop;
    struct kv *kv;
    unsigned table;
    struct bt_session *bt;
    struct fetcher *fetcher;
    bool no_trackers;
    char *downloads; /* owned */
    void (*on_event)(void *arg, const struct node_torrent *t, enum node_torrent_event e);
    void *arg;
    struct torrent **all;    /* owned, as what it points to; in order of ids */
    struct tarn_list adding; /* asks on their way into the index */
    size_t n, cap;
    struct tarn_map by_hash; /* keys lie in the torrents */
    uint32_t next_id;
};

static void tell(struct torrent *t, enum node_torrent_event e)
{
    if (t->of->on_event != NULL)
        t->of->on_event(t->of->arg, &t->seen, e);
}

/* ---- records ---- */

static struct tarn_bytes key_of(uint32_t id, uint8_t key[4])
{
    for (unsigned i = 0; i < 4; i++)
        key[i] = (uint8_t)(id >> (24 - 8 * i));
    return tarn_bytes_of(key, 4);
}

static void put_record(struct tarn_out *o, unsigned flags, int64_t added_ms, const char *folder,
                       struct tarn_bytes source)
{
    struct tarn_bytes f = tarn_bytes_str(folder);
    tarn_out_u8(o, FORM);
    tarn_out_u8(o, (uint8_t)flags);
    tarn_out_be64(o, (uint64_t)added_ms);
    tarn_out_be16(o, (uint16_t)f.len);
    tarn_out_put(o, f);
    tarn_out_put(o, source);
}

struct record {
    unsigned flags;
    int64_t added_ms;
    struct tarn_bytes folder, source;
};

static bool read_record(struct tarn_bytes value, struct record *r, struct tarn_err *err)
{
    struct tarn_cur c = tarn_cur_of(value);
    unsigned form = tarn_cur_u8(&c);
    r->flags = tarn_cur_u8(&c);
    r->added_ms = (int64_t)tarn_cur_be64(&c);
    size_t n = tarn_cur_be16(&c);
    r->folder = tarn_cur_take(&c, n);
    r->source = tarn_cur_take(&c, tarn_cur_left(&c));
    return (tarn_cur_done(&c) && form == FORM) ||
           tarn_fail(err, TARN_E_INTEGRITY,
                     "the index has a torrent's record of a form that this tarn does not know");
}

/* ---- torrents ---- */

static void fail(struct torrent *t, const struct tarn_err *err)
{
    tarn_free(t->failure);
    t->failure = tarn_strndup(err->msg, strlen(err->msg));
    t->seen.failure =
        t->failure != NULL ? t->failure : "it failed, and there is no memory to say why";
}

static void on_metadata(void *arg, const struct bt_metainfo *m)
{
    struct torrent *t = arg;
    t->seen.name = m->name;
    tell(t, NODE_TORRENT_KNOWN);
}

static void on_complete(void *arg)
{
    struct torrent *t = arg;
    t->seen.is_complete = true;
    tell(t, NODE_TORRENT_COMPLETE);
}

static void on_failed(void *arg, const struct tarn_err *err)
{
    struct torrent *t = arg;
    fail(t, err);
    tell(t, NODE_TORRENT_FAILED);
}

static void free_torrent(struct torrent *t)
{
    const struct bt_hashes *h = t->seen.hashes;
    if (t->seen.bt != NULL)
        bt_session_remove(t->of->bt, t->seen.bt);
    if (h != NULL && h->has_v1)
        (void)tarn_map_remove(&t->of->by_hash, tarn_bytes_of(h->v1, sizeof h->v1));
    if (h != NULL && h->has_v2)
        (void)tarn_map_remove(&t->of->by_hash, tarn_bytes_of(h->v2, sizeof h->v2));
    bt_metainfo_release(&t->meta);
    bt_magnet_release(&t->magnet);
    tarn_free(t->folder);
    tarn_free(t->failure);
    tarn_free(t);
}

static bool parse(struct torrent *t, struct tarn_bytes source, struct tarn_err *err)
{
    if (t->is_magnet) {
        if (!bt_magnet_parse(&t->magnet, source, err))
            return false;
        t->seen.hashes = &t->magnet.hashes;
        t->seen.name = t->magnet.name != NULL ? t->magnet.name : "";
        return true;
    }
    if (!bt_metainfo_parse(&t->meta, source, err))
        return false;
    t->seen.hashes = &t->meta.hashes;
    t->seen.name = t->meta.name;
    return true;
}

static bool index_hashes(struct torrent *t)
{
    const struct bt_hashes *h = t->seen.hashes;
    struct tarn_map *m = &t->of->by_hash;
    return (!h->has_v1 || tarn_map_put(m, tarn_bytes_of(h->v1, sizeof h->v1), (uintptr_t)t)) &&
           (!h->has_v2 || tarn_map_put(m, tarn_bytes_of(h->v2, sizeof h->v2), (uintptr_t)t));
}

/* Into the session. What it refuses stays here with the reason: the owner may put it right. */
static void start(struct torrent *t)
{
    static const struct bt_torrent_ops ops = { on_metadata, on_complete, on_failed };
    struct tarn_err err;
    const struct bt_add add = {
        .meta = t->is_magnet ? NULL : &t->meta,
        .magnet = t->is_magnet ? &t->magnet : NULL,
        .path = t->folder,
        .paused = t->seen.is_paused,
        .no_trackers = t->of->no_trackers,
        .ops = &ops,
        .arg = t,
    };
    t->seen.bt = bt_session_add(t->of->bt, &add, &err);
    if (t->seen.bt == NULL)
        fail(t, &err);
}

static struct torrent *new_torrent(struct node_torrents *ts, uint32_t id, const struct record *r,
                                   struct tarn_err *err)
{
    struct torrent *t = tarn_calloc(1, sizeof *t);
    if (t == NULL)
        return tarn_fail_mem(err, "adding a torrent"), NULL;
    t->of = ts;
    t->is_magnet = (r->flags & IS_MAGNET) != 0;
    t->folder = tarn_strndup(r->folder.p, r->folder.len);
    t->seen = (struct node_torrent){ .id = id,
                                     .is_paused = (r->flags & IS_PAUSED) != 0,
                                     .added_ms = r->added_ms,
                                     .folder = t->folder,
                                     .name = "" };
    bool ok = (t->folder != NULL && TARN_GROW(ts->all, ts->n, ts->cap)) ||
              tarn_fail_mem(err, "adding a torrent");
    if (!ok || !parse(t, r->source, err) ||
        (!index_hashes(t) && !tarn_fail_mem(err, "adding a torrent"))) {
        free_torrent(t);
        return NULL;
    }
    ts->all[ts->n++] = t;
    return t;
}

/* ---- all of them ---- */

struct loading {
    struct node_torrents *torrents;
    struct tarn_err *err;
    bool ok;
};

static bool load_one(void *arg, struct tarn_bytes key, struct tarn_bytes value)
{
    struct loading *l = arg;
    struct record r;
    struct tarn_cur c = tarn_cur_of(key);
    uint32_t id = tarn_cur_be32(&c);
    if (id == 0) {
        struct tarn_cur v = tarn_cur_of(value);
        l->torrents->next_id = tarn_cur_be32(&v);
        return true;
    }
    l->ok = read_record(value, &r, l->err) && new_torrent(l->torrents, id, &r, l->err) != NULL;
    return l->ok;
}

static bool load(struct node_torrents *ts, struct tarn_err *err)
{
    struct loading l = { ts, err, true };
    const struct kv_range all = { .table = ts->table };
    if (!kv_scan(ts->kv, &all, load_one, &l, err) || !l.ok)
        return tarn_fail_in(err, "reading the torrents of the index");
    for (size_t i = 0; i < ts->n; i++)
        start(ts->all[i]);
    return true;
}

struct node_torrents *node_torrents_new(const struct node_torrents_settings *set,
                                        struct tarn_err *err)
{
    uint8_t seed[16];
    struct node_torrents *ts = tarn_calloc(1, sizeof *ts);
    if (ts == NULL || !sys_random(seed, sizeof seed, err)) {
        tarn_free(ts);
        return tarn_fail_mem(err, "reading the torrents of the index"), NULL;
    }
    *ts = (struct node_torrents){ .loop = set->loop,
                                  .kv = set->kv,
                                  .table = set->table,
                                  .bt = set->bt,
                                  .fetcher = set->fetcher,
                                  .no_trackers = set->no_trackers,
                                  .on_event = set->on_event,
                                  .arg = set->arg,
                                  .next_id = 1 };
    tarn_list_init(&ts->adding);
    tarn_map_init(&ts->by_hash, seed);
    ts->downloads = tarn_strndup(set->downloads, strlen(set->downloads));
    if (ts->downloads == NULL ? tarn_fail_mem(err, "reading the torrents") : load(ts, err))
        return ts;
    node_torrents_free(ts);
    return NULL;
}

void node_torrents_free(struct node_torrents *ts)
{
    if (ts == NULL)
        return;
    for (size_t i = 0; i < ts->n; i++)
        free_torrent(ts->all[i]);
    tarn_free(ts->all);
    tarn_map_release(&ts->by_hash);
    tarn_free(ts->downloads);
    tarn_free(ts);
}

/* How many have ids up to this one. */
static size_t place_behind(const struct node_torrents *ts, uint32_t id)
{
    size_t low = 0, high = ts->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (ts->all[mid]->seen.id <= id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct node_torrent *node_torrents_next(const struct node_torrents *ts, uint32_t after)
{
    size_t i = place_behind(ts, after);
    return i < ts->n ? &ts->all[i]->seen : NULL;
}

static struct torrent *get(const struct node_torrents *ts, uint32_t id)
{
    size_t i = place_behind(ts, id);
    return i > 0 && ts->all[i - 1]->seen.id == id ? ts->all[i - 1] : NULL;
}

static void take_out(struct torrent *t)
{
    struct node_torrents *ts = t->of;
    size_t i = place_behind(ts, t->seen.id);
    memmove(ts->all + i - 1, ts->all + i, (ts->n - i) * TARN_ITEM_SIZE(ts->all));
    ts->n--;
}

const struct node_torrent *node_torrents_get(const struct node_torrents *ts, uint32_t id)
{
    struct torrent *t = get(ts, id);
    return t == NULL ? NULL : &t->seen;
}

const struct node_torrent *node_torrents_hashed(const struct node_torrents *ts,
                                                struct tarn_bytes hash)
{
    uint64_t *at = tarn_map_get(&ts->by_hash, hash);
    return at == NULL ? NULL : &((struct torrent *)(uintptr_t)*at)->seen;
}

size_t node_torrents_count(const struct node_torrents *ts)
{
    return ts->n;
}

const struct node_torrent *node_torrent_of(void *arg)
{
    return &((struct torrent *)arg)->seen;
}

/* ---- asks ---- */

static void finish(struct node_torrent_ask *a, const struct tarn_err *err)
{
    a->is_ok = err == NULL;
    if (err != NULL)
        a->err = *err;
    tarn_out_release(&a->fetch.body);
    a->done(a);
}

/* Answers that are known at once are told from the loop too: an empty write is the way there. */
static bool run_nothing(struct node_write *w, struct kv_txn *t, struct tarn_err *err)
{
    struct node_torrent_ask *a = TARN_OUTER(w, struct node_torrent_ask, write);
    (void)t;
    if (a->err.code != TARN_OK)
        *err = a->err;
    return a->err.code == TARN_OK;
}

static void on_nothing(struct node_write *w)
{
    struct node_torrent_ask *a = TARN_OUTER(w, struct node_torrent_ask, write);
    a->result = a->id == 0 ? NULL : node_torrents_get(a->torrents, a->id);
    finish(a, w->is_ok ? NULL : &w->err);
}

static void answer_later(struct node_torrent_ask *a)
{
    a->write = (struct node_write){ .run = run_nothing, .done = on_nothing };
    node_write(a->torrents->loop, a->torrents->kv, &a->write);
}

static bool run_add(struct node_write *w, struct kv_txn *t, struct tarn_err *err)
{
    struct node_torrent_ask *a = TARN_OUTER(w, struct node_torrent_ask, write);
    uint8_t key[4], zero[4], next[4];
    struct tarn_out o;
    tarn_out_init(&o, KV_VALUE_MAX);
    put_record(&o, (a->is_paused ? IS_PAUSED : 0U) | (a->is_magnet ? IS_MAGNET : 0U), a->added_ms,
               a->folder, a->source);
    bool ok = tarn_out_ok(&o) ? true : tarn_fail_mem(err, "adding a torrent");
    ok = ok && kv_txn_put(t, a->torrents->table, key_of(a->id, key), tarn_out_bytes(&o), err) &&
         kv_txn_put(t, a->torrents->table, key_of(0, zero), key_of(a->id + 1, next), err);
    tarn_out_release(&o);
    return ok;
}

static void on_added(struct node_write *w)
{
    struct node_torrent_ask *a = TARN_OUTER(w, struct node_torrent_ask, write);
    tarn_list_remove(&a->node);
    const struct record r = { .flags =
                                  (a->is_paused ? IS_PAUSED : 0U) | (a->is_magnet ? IS_MAGNET : 0U),
                              .added_ms = a->added_ms,
                              .folder = tarn_bytes_str(a->folder),
                              .source = a->source };
    struct tarn_err err = w->err;
    struct torrent *t = w->is_ok ? new_torrent(a->torrents, a->id, &r, &err) : NULL;
    if (t != NULL) {
        start(t);
        a->result = &t->seen;
        a->is_new = true;
        tell(t, NODE_TORRENT_ADDED);
    }
    finish(a, t == NULL ? &err : NULL);
}

/* What the source says of its hashes. */
static bool read_hashes(struct node_torrent_ask *a)
{
    struct bt_metainfo meta = { 0 };
    struct bt_magnet magnet = { 0 };
    bool ok = a->is_magnet ? bt_magnet_parse(&magnet, a->source, &a->err)
                           : bt_metainfo_parse(&meta, a->source, &a->err);
    if (ok)
        a->hashes = a->is_magnet ? magnet.hashes : meta.hashes;
    bt_magnet_release(&magnet);
    bt_metainfo_release(&meta);
    return ok;
}

static bool is_one(const struct bt_hashes *a, const struct bt_hashes *b)
{
    return (a->has_v1 && b->has_v1 && memcmp(a->v1, b->v1, sizeof a->v1) == 0) ||
           (a->has_v2 && b->has_v2 && memcmp(a->v2, b->v2, sizeof a->v2) == 0);
}

static const struct node_torrent *find_here(const struct node_torrents *ts,
                                            const struct bt_hashes *h)
{
    const struct node_torrent *t = NULL;
    if (h->has_v1)
        t = node_torrents_hashed(ts, tarn_bytes_of(h->v1, sizeof h->v1));
    if (h->has_v2 && t == NULL)
        t = node_torrents_hashed(ts, tarn_bytes_of(h->v2, sizeof h->v2));
    return t;
}

static bool is_being_added(const struct node_torrent_ask *a)
{
    const struct tarn_list *adding = &a->torrents->adding;
    for (struct tarn_list *at = adding->next; at != adding; at = at->next)
        if (is_one(&TARN_OUTER(at, struct node_torrent_ask, node)->hashes, &a->hashes))
            return true;
    return false;
}

/* It may be added: it is a torrent, fits, and is not here yet. False: a says why not, or what is
 * here. */
static bool is_wanted(struct node_torrent_ask *a)
{
    struct node_torrents *ts = a->torrents;
    a->is_malformed = !read_hashes(a);
    if (a->is_malformed)
        return false;
    const struct node_torrent *here = find_here(ts, &a->hashes);
    a->id = here == NULL ? 0 : here->id;
    if (here != NULL)
        return false;
    if (is_being_added(a))
        return tarn_fail(&a->err, TARN_E_POLICY, "this torrent is being added at this moment");
    if (ts->n >= NODE_TORRENTS_MAX)
        return tarn_fail(&a->err, TARN_E_POLICY, "there are %d torrents, and a node has no more",
                         NODE_TORRENTS_MAX);
    if (strlen(a->folder) > NODE_FOLDER_MAX)
        return tarn_fail(&a->err, TARN_E_USAGE, "the folder's path is longer than %d bytes",
                         NODE_FOLDER_MAX);
    if (a->source.len > SOURCE_MAX)
        return tarn_fail(&a->err, TARN_E_POLICY,
                         "the torrent file has %zu bytes, and the index of a node takes %d",
                         a->source.len, SOURCE_MAX);
    return true;
}

static void add_source(struct node_torrent_ask *a)
{
    struct node_torrents *ts = a->torrents;
    a->err.code = TARN_OK;
    if (!is_wanted(a)) {
        answer_later(a);
        return;
    }
    a->id = ts->next_id++;
    a->added_ms = sys_wall_ms();
    tarn_list_push_back(&ts->adding, &a->node);
    a->write = (struct node_write){ .run = run_add, .done = on_added };
    node_write(ts->loop, ts->kv, &a->write);
}

static void on_fetched(struct fetch *f)
{
    struct node_torrent_ask *a = TARN_OUTER(f, struct node_torrent_ask, fetch);
    if (!f->ok) {
        (void)tarn_fail_in(&f->err, "cannot fetch the torrent");
        finish(a, &f->err);
        return;
    }
    a->source = tarn_out_bytes(&f->body);
    add_source(a);
}

static void fetch_source(struct node_torrent_ask *a)
{
    if (a->torrents->fetcher == NULL) {
        (void)tarn_fail(&a->err, TARN_E_USAGE,
                        "this tarn was built without libcurl and cannot fetch URLs: download the "
                        "torrent and add the file");
        answer_later(a);
        return;
    }
    a->fetch =
        (struct fetch){ .max_body = BT_TORRENT_MAX, .timeout_ms = URL_MS, .done = on_fetched };
    fetch_start(a->torrents->fetcher, &a->fetch, a->url);
}

void node_torrents_add(struct node_torrents *ts, struct node_torrent_ask *a)
{
    a->torrents = ts;
    a->err.code = TARN_OK;
    a->result = NULL;
    a->id = 0;
    a->is_new = false;
    if (a->folder == NULL)
        a->folder = ts->downloads;
    a->is_magnet = a->magnet != NULL;
    a->source = a->is_magnet ? tarn_bytes_str(a->magnet) : a->torrent;
    if (a->url != NULL)
        fetch_source(a);
    else
        add_source(a);
}

/* Another flag in a record that is there. */
static bool run_pause(struct node_write *w, struct kv_txn *t, struct tarn_err *err)
{
    struct node_torrent_ask *a = TARN_OUTER(w, struct node_torrent_ask, write);
    uint8_t key[4];
    struct tarn_bytes value;
    struct tarn_out o;
    if (kv_get(&t->read, a->torrents->table, key_of(a->id, key), &value, err) != KV_FOUND)
        return tarn_fail(err, TARN_E_NOT_FOUND, "there is no torrent %u", a->id);
    tarn_out_init(&o, KV_VALUE_MAX);
    tarn_out_put(&o, value);
    bool ok = tarn_out_ok(&o) && o.len > 2 ? true : tarn_fail_mem(err, "pausing a torrent");
    if (ok)
        o.p[1] = (uint8_t)((o.p[1] & ~IS_PAUSED) | (a->is_paused ? IS_PAUSED : 0));
    ok = ok && kv_txn_put(t, a->torrents->table, key_of(a->id, key), tarn_out_bytes(&o), err);
    tarn_out_release(&o);
    return ok;
}

static void on_paused(struct node_write *w)
{
    struct node_torrent_ask *a = TARN_OUTER(w, struct node_torrent_ask, write);
    struct torrent *t = get(a->torrents, a->id);
    if (w->is_ok && t != NULL) {
        t->seen.is_paused = a->is_paused;
        a->result = &t->seen;
        if (t->seen.bt != NULL && a->is_paused)
            bt_torrent_pause(t->seen.bt);
        else if (t->seen.bt != NULL && t->failure == NULL)
            bt_torrent_resume(t->seen.bt);
        tell(t, a->is_paused ? NODE_TORRENT_PAUSED : NODE_TORRENT_RESUMED);
    }
    finish(a, w->is_ok ? NULL : &w->err);
}

void node_torrents_pause(struct node_torrents *ts, uint32_t id, bool is_paused,
                         struct node_torrent_ask *a)
{
    a->torrents = ts;
    a->id = id;
    a->is_paused = is_paused;
    a->result = NULL;
    a->write = (struct node_write){ .run = run_pause, .done = on_paused };
    node_write(ts->loop, ts->kv, &a->write);
}

static bool run_remove(struct node_write *w, struct kv_txn *t, struct tarn_err *err)
{
    struct node_torrent_ask *a = TARN_OUTER(w, struct node_torrent_ask, write);
    uint8_t key[4];
    enum kv_got got = kv_txn_del(t, a->torrents->table, key_of(a->id, key), err);
    if (got == KV_NONE)
        return tarn_fail(err, TARN_E_NOT_FOUND, "there is no torrent %u", a->id);
    return got == KV_FOUND;
}

static void on_removed(struct node_write *w)
{
    struct node_torrent_ask *a = TARN_OUTER(w, struct node_torrent_ask, write);
    struct torrent *t = get(a->torrents, a->id);
    if (w->is_ok && t != NULL) {
        tell(t, NODE_TORRENT_REMOVED);
        if (t->seen.bt != NULL)
            bt_torrent_forget(t->seen.bt);
        take_out(t);
        free_torrent(t);
    }
    finish(a, w->is_ok ? NULL : &w->err);
}

void node_torrents_remove(struct node_torrents *ts, uint32_t id, struct node_torrent_ask *a)
{
    a->torrents = ts;
    a->id = id;
    a->result = NULL;
    a->write = (struct node_write){ .run = run_remove, .done = on_removed };
    node_write(ts->loop, ts->kv, &a->write);
}
