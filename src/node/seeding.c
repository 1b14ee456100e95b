/* node/seeding: see the header. In the table, by the collection's number (be32) and a letter:
 *
 *     'T'   u8 3, u64 version of the collection, 32 bytes that stand for what else goes into a
 *           torrent (derived_from), u64 how many files are not in it, u8 1, then the torrent; or
 *           u8 0, then a sentence: why this version has none
 *     'P'   nothing: it is paused
 *
 * So neither a start nor anybody who asks makes a torrent anew, or finds out again that there can
 * be none. One is made at a time: it may take much memory. */
#include "node/seeding.h"

#include "base/cur.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/pool.h"
#include "sys/clock.h"

enum {
    FORM = 3, /* goes up with every change of what can be in a torrent: a refusal is kept */
    LEFT_OUT_AT = 1 + 8 + 32,
    HAS_TORRENT_AT = LEFT_OUT_AT + 8,
    HEAD = HAS_TORRENT_AT + 1,
    AGAIN_US = 5 * 1000 * 1000, /* between two tries with hashes that were read again: each try
                                   goes through all hashes of its collection */
};

struct seed {
    struct node_seed seen;
    struct tarn_list node; /* in `all` */
    struct tarn_list turn; /* in `waiting`: its torrent has to be made, or made anew */
    struct node_seeding *of;
    struct bt_metainfo meta;
    char *failure, *note; /* owned */
    bool lacks_hashes;    /* its torrent could not be made, for want of them perhaps */
    char *path;           /* owned */
};

struct making {
    struct loop_job job;
    struct node_seeding *seeding;
    struct node_write write;
    uint32_t collection;
    uint64_t restored; /* as it was at the beginning */
    /* out */
    enum { MADE, NOT_YET, GONE, FAILED } end;
    bool is_removed; /* GONE, and the collection with it: what is stored of it goes too */
    uint64_t version;
    uint8_t mark[32];        /* of all that goes into the torrent besides the files */
    uint64_t left_out;       /* files that are in no torrent */
    bool is_refused;         /* FAILED, and will be for this version */
    bool is_stored;          /* it was in the table as it is */
    struct tarn_out torrent; /* with HEAD in front; is_refused: a sentence */
    struct bt_metainfo meta;
    char *path;
    struct tarn_err err;
};

struct node_seeding {
    struct node_seeding_settings set;
    uint8_t mark[32]; /* of set.from */
    struct tarn_list all, waiting;
    size_t n;
    struct tarn_map by_hash;
    uint64_t seq; /* of the journal: looked at so far */
    struct making making;
    bool is_making;
    struct loop_timer again; /* hashes are there that may have been wanting */
    int64_t again_us;        /* not before this */
    uint64_t restored;       /* times that we were told so */
};

/* ---- the table ---- */

static struct tarn_bytes key_of(uint8_t key[5], uint32_t collection, char letter)
{
    for (unsigned i = 0; i < 4; i++)
        key[i] = (uint8_t)(collection >> (24 - 8 * i));
    key[4] = (uint8_t)letter;
    return tarn_bytes_of(key, 5);
}

static bool read_paused(const struct kv_read *r, unsigned table, uint32_t collection)
{
    uint8_t key[5];
    struct tarn_bytes value;
    struct tarn_err err;
    return kv_get(r, table, key_of(key, collection, 'P'), &value, &err) == KV_FOUND;
}

/* What is stored, with its head. */
static enum kv_got read_stored(const struct kv_read *r, unsigned table, uint32_t collection,
                               struct tarn_bytes *value, struct tarn_err *err)
{
    uint8_t key[5];
    enum kv_got got = kv_get(r, table, key_of(key, collection, 'T'), value, err);
    return got == KV_FOUND && (value->len <= HEAD || value->p[0] != FORM) ? KV_NONE : got;
}

static bool refuse(struct tarn_bytes sentence, struct tarn_err *err)
{
    return tarn_fail(err, TARN_E_POLICY, "%.*s", (int)sentence.len, (const char *)sentence.p);
}

static uint64_t version_of(struct tarn_bytes stored)
{
    struct tarn_cur c = tarn_cur_of(stored);
    (void)tarn_cur_u8(&c);
    return tarn_cur_be64(&c);
}

bool node_seeding_torrent(const struct kv_read *r, unsigned table,
                          const struct catalog_collection *of, struct tarn_out *o,
                          struct tarn_err *err)
{
    struct tarn_bytes value;
    enum kv_got got = read_stored(r, table, of->id, &value, err);
    if (got == KV_FAILED)
        return false;
    bool is_refusal = got == KV_FOUND && value.p[HAS_TORRENT_AT] == 0;
    if (got == KV_NONE || (is_refusal && version_of(value) != of->version))
        return tarn_fail(err, TARN_E_DAEMON,
                         "its torrent is not made yet: all of it has to be read first");
    struct tarn_bytes body = tarn_bytes_of(value.p + HEAD, value.len - HEAD);
    if (is_refusal)
        return refuse(body, err);
    tarn_out_put(o, body);
    return true;
}

/* ---- making a torrent: on a thread of the pool ---- */

static void put_head(struct making *m)
{
    tarn_out_u8(&m->torrent, FORM);
    tarn_out_be64(&m->torrent, m->version);
    tarn_out_put(&m->torrent, tarn_bytes_of(m->mark, sizeof m->mark));
    tarn_out_be64(&m->torrent, 0); /* put_left_out */
    tarn_out_u8(&m->torrent, !m->is_refused);
}

/* Known when all files have been looked at. */
static void put_left_out(struct making *m)
{
    for (unsigned i = 0; i < 8; i++)
        m->torrent.p[LEFT_OUT_AT + i] = (uint8_t)(m->left_out >> (56 - 8 * i));
}

/* That this version has no torrent is kept like a torrent; but not of one whose files are not all
 * in it: they may be again, and the version stays the same. */
static void put_refusal(struct making *m)
{
    if (m->err.code != TARN_E_POLICY || m->left_out > 0)
        return;
    m->is_refused = true;
    tarn_out_clear(&m->torrent);
    put_head(m);
    tarn_out_str(&m->torrent, m->err.msg);
}

/* Is what is stored of this version, and made from the same settings? */
static bool take_stored(struct making *m, struct catalog_read *r)
{
    struct tarn_bytes value;
    struct tarn_err err;
    if (read_stored(&r->kv, m->seeding->set.table, m->collection, &value, &err) != KV_FOUND)
        return false;
    struct tarn_cur c = tarn_cur_of(value);
    (void)tarn_cur_u8(&c);
    uint64_t version = tarn_cur_be64(&c);
    struct tarn_bytes mark = tarn_cur_take(&c, 32);
    m->left_out = tarn_cur_be64(&c);
    if (version != m->version || !tarn_bytes_eq(mark, tarn_bytes_of(m->mark, sizeof m->mark)))
        return false;
    bool has_torrent = tarn_cur_u8(&c) != 0;
    tarn_out_put(&m->torrent, value);
    m->is_stored = tarn_out_ok(&m->torrent);
    m->is_refused = m->is_stored && !has_torrent;
    return m->is_stored;
}

static bool make(struct making *m, struct catalog_read *r, const struct catalog_collection *c)
{
    if (take_stored(m, r))
        return !m->is_refused ||
               refuse(tarn_bytes_of(m->torrent.p + HEAD, m->torrent.len - HEAD), &m->err);
    tarn_out_clear(&m->torrent);
    put_head(m);
    if (!derived_collection(r, c, &m->seeding->set.from, &m->torrent, &m->left_out, &m->err)) {
        put_refusal(m);
        return false;
    }
    put_left_out(m);
    return true;
}

static void mark_collection(struct making *m, const struct catalog_collection *c)
{
    struct crypt_sha sha;
    const uint8_t bt = (uint8_t)c->bt;
    crypt_sha_init(&sha, CRYPT_SHA256);
    crypt_sha_update(&sha, tarn_bytes_of(m->seeding->mark, sizeof m->seeding->mark));
    crypt_sha_update(&sha, tarn_bytes_of(&bt, 1));
    crypt_sha_update(&sha, c->name);
    crypt_sha_final(&sha, m->mark);
}

static void make_from(struct making *m, struct catalog_read *r)
{
    struct catalog_collection c;
    enum catalog_found found = catalog_collection_get(r, m->collection, &c, &m->err);
    m->end = FAILED;
    if (found == CATALOG_FAILED)
        return;
    if (found == CATALOG_NOT_THERE || c.bt == CATALOG_BT_OFF || c.policy != CATALOG_PUBLIC) {
        m->end = GONE;
        m->is_removed = found == CATALOG_NOT_THERE;
        return;
    }
    if (c.phase != CATALOG_COMPLETE || c.files == 0) {
        m->end = c.phase == CATALOG_AWAY ? GONE : NOT_YET;
        return;
    }
    m->version = c.version;
    mark_collection(m, &c);
    m->path = tarn_strndup(c.path.p, c.path.len);
    if (m->path == NULL)
        (void)tarn_fail_mem(&m->err, "making a torrent");
    else if (make(m, r, &c) &&
             bt_metainfo_parse(&m->meta, tarn_bytes_of(m->torrent.p + HEAD, m->torrent.len - HEAD),
                               &m->err))
        m->end = MADE;
}

static void run_making(struct loop_job *job)
{
    struct making *m = TARN_OUTER(job, struct making, job);
    struct catalog_read r;
    m->end = FAILED;
    if (!catalog_read_begin(m->seeding->set.catalog, &r, &m->err))
        return;
    make_from(m, &r);
    catalog_read_end(&r);
}

/* ---- seeds ---- */

static struct seed *find(const struct node_seeding *s, uint32_t collection)
{
    for (struct tarn_list *at = s->all.next; at != &s->all; at = at->next) {
        struct seed *seed = TARN_OUTER(at, struct seed, node);
        if (seed->seen.collection == collection)
            return seed;
    }
    return NULL;
}

/* Out of the session, with what it was made of. */
static void drop_torrent(struct seed *seed)
{
    const struct bt_hashes *h = &seed->meta.hashes;
    struct node_seeding *s = seed->of;
    if (seed->seen.meta != NULL && h->has_v1)
        (void)tarn_map_remove(&s->by_hash, tarn_bytes_of(h->v1, sizeof h->v1));
    if (seed->seen.meta != NULL && h->has_v2)
        (void)tarn_map_remove(&s->by_hash, tarn_bytes_of(h->v2, sizeof h->v2));
    if (seed->seen.bt != NULL)
        bt_session_remove(s->set.bt, seed->seen.bt);
    bt_metainfo_release(&seed->meta);
    seed->meta = (struct bt_metainfo){ 0 };
    tarn_free(seed->failure);
    seed->failure = NULL;
    tarn_free(seed->note);
    seed->note = NULL;
    seed->seen.note = NULL;
    seed->seen.bt = NULL;
    seed->seen.meta = NULL;
    seed->seen.failure = NULL;
    seed->seen.version = 0;
}

static void free_seed(struct seed *seed)
{
    drop_torrent(seed);
    tarn_list_remove(&seed->node);
    tarn_list_remove(&seed->turn);
    seed->of->n--;
    tarn_free(seed->path);
    tarn_free(seed);
}

static void tell(struct seed *seed, const struct tarn_err *err)
{
    struct node_seeding *s = seed->of;
    struct catalog_read r;
    struct catalog_collection c;
    struct tarn_err why;
    if (s->set.on_trouble == NULL || !catalog_read_begin(s->set.catalog, &r, &why))
        return;
    if (catalog_collection_get(&r, seed->seen.collection, &c, &why) == CATALOG_FOUND)
        s->set.on_trouble(s->set.arg, c.name, err);
    catalog_read_end(&r);
}

static void fail(struct seed *seed, const struct tarn_err *err)
{
    tarn_free(seed->failure);
    seed->failure = tarn_strndup(err->msg, strlen(err->msg));
    seed->seen.failure = seed->failure;
    tell(seed, err);
}

static void on_failed(void *arg, const struct tarn_err *err)
{
    fail(arg, err);
}

static void on_nothing(void *arg)
{
    (void)arg;
}

/* A new torrent in place of the old one. */
static void take(struct seed *seed, struct making *m)
{
    static const struct bt_torrent_ops ops = { .on_complete = on_nothing, .on_failed = on_failed };
    struct node_seeding *s = seed->of;
    struct tarn_err err;
    drop_torrent(seed);
    seed->meta = m->meta;
    m->meta = (struct bt_metainfo){ 0 };
    tarn_free(seed->path);
    seed->path = m->path;
    m->path = NULL;
    seed->seen.meta = &seed->meta;
    seed->seen.version = m->version;
    const struct bt_hashes *h = &seed->meta.hashes;
    if ((h->has_v1 &&
         !tarn_map_put(&s->by_hash, tarn_bytes_of(h->v1, sizeof h->v1), (uintptr_t)seed)) ||
        (h->has_v2 &&
         !tarn_map_put(&s->by_hash, tarn_bytes_of(h->v2, sizeof h->v2), (uintptr_t)seed))) {
        (void)tarn_fail_mem(&err, "seeding a collection");
        fail(seed, &err);
        return;
    }
    const struct bt_add add = {
        .meta = &seed->meta,
        .path = seed->path,
        .seed_only = true,
        .trust = true,        /* the catalog has read it, and watches it */
        .no_web_seeds = true, /* they are ourselves */
        .paused = seed->seen.is_paused,
        .no_trackers = s->set.no_trackers,
        .ops = &ops,
        .arg = seed,
    };
    seed->seen.bt = bt_session_add(s->set.bt, &add, &err);
    if (seed->seen.bt == NULL)
        fail(seed, &err);
}

static void tell_left_out(struct seed *seed, uint64_t n)
{
    struct tarn_err why;
    if (n == 0)
        return;
    (void)tarn_fail(
        &why, TARN_E_PARTIAL,
        "%llu of its files are not in its torrent: they cannot be read, are damaged, or no "
        "torrent can hold their names (over 240 bytes, not UTF-8)",
        (unsigned long long)n);
    seed->note = tarn_strndup(why.msg, strlen(why.msg));
    seed->seen.note = seed->note;
    tell(seed, &why);
}

/* ---- one after the other ---- */

static void next(struct node_seeding *s);
static void again(struct node_seeding *s);

static void done_making(struct making *m)
{
    struct node_seeding *s = m->seeding;
    tarn_out_release(&m->torrent);
    bt_metainfo_release(&m->meta);
    tarn_free(m->path);
    m->path = NULL;
    s->is_making = false;
    next(s);
}

static bool run_store(struct node_write *w, struct kv_txn *t, struct tarn_err *err)
{
    struct making *m = TARN_OUTER(w, struct making, write);
    uint8_t key[5];
    return kv_txn_put(t, m->seeding->set.table, key_of(key, m->collection, 'T'),
                      tarn_out_bytes(&m->torrent), err);
}

static void on_stored(struct node_write *w)
{
    struct making *m = TARN_OUTER(w, struct making, write);
    struct seed *seed = find(m->seeding, m->collection);
    if (seed != NULL && !w->is_ok && m->is_refused)
        tell(seed, &w->err); /* what failed first is said of it */
    else if (seed != NULL && !w->is_ok)
        fail(seed, &w->err); /* it is seeded all the same, and made again at the next start */
    done_making(m);
}

static bool run_forget(struct node_write *w, struct kv_txn *t, struct tarn_err *err)
{
    struct making *m = TARN_OUTER(w, struct making, write);
    uint8_t key[5];
    return kv_txn_del_prefix(t, m->seeding->set.table,
                             tarn_bytes_of(key_of(key, m->collection, 'T').p, 4), err);
}

static void on_forgotten(struct node_write *w)
{
    done_making(TARN_OUTER(w, struct making, write));
}

static void write_down(struct making *m, struct node_write how)
{
    m->write = how;
    node_write(m->seeding->set.loop, m->seeding->set.kv, &m->write);
}

/* It may be for want of hashes, and those may have come while it was tried. */
static void lack(struct seed *seed, const struct making *m)
{
    seed->lacks_hashes = true;
    if (m->restored != m->seeding->restored)
        again(m->seeding);
}

static void on_made(struct loop_job *job)
{
    struct making *m = TARN_OUTER(job, struct making, job);
    struct seed *seed = find(m->seeding, m->collection);
    if (seed != NULL) {
        seed->seen.is_making = tarn_list_is_in(&seed->turn);
        switch (m->end) {
        case MADE:
            seed->lacks_hashes = false;
            take(seed, m);
            tell_left_out(seed, m->left_out);
            if (!m->is_stored) {
                write_down(m, (struct node_write){ .run = run_store, .done = on_stored });
                return;
            }
            break;
        case NOT_YET: /* what was seeded goes on with what is left of it */
            lack(seed, m);
            break;
        case GONE:
            free_seed(seed);
            if (m->is_removed) {
                write_down(m, (struct node_write){ .run = run_forget, .done = on_forgotten });
                return;
            }
            break;
        case FAILED:
            seed->lacks_hashes = false;
            if (m->err.code == TARN_E_DAEMON)
                lack(seed, m);
            if (m->is_refused)
                drop_torrent(seed); /* it is of a version that has gone */
            fail(seed, &m->err);
            if (m->is_refused && !m->is_stored && tarn_out_ok(&m->torrent)) {
                write_down(m, (struct node_write){ .run = run_store, .done = on_stored });
                return;
            }
            break;
        }
    }
    done_making(m);
}

static void next(struct node_seeding *s)
{
    struct tarn_list *first = s->is_making ? NULL : tarn_list_pop_front(&s->waiting);
    if (first == NULL)
        return;
    struct seed *seed = TARN_OUTER(first, struct seed, turn);
    struct making *m = &s->making;
    *m = (struct making){ .job = { .run = run_making, .done = on_made },
                          .seeding = s,
                          .collection = seed->seen.collection,
                          .restored = s->restored };
    tarn_out_init(&m->torrent, s->set.torrent_max > 0 ? HEAD + s->set.torrent_max : KV_VALUE_MAX);
    s->is_making = true;
    seed->seen.is_making = true;
    loop_pool_submit(s->set.loop, &m->job);
}

static void wait_turn(struct seed *seed)
{
    if (!tarn_list_is_in(&seed->turn))
        tarn_list_push_back(&seed->of->waiting, &seed->turn);
}

/* Something is new about this collection: look what it is, in its turn. */
static void consider(struct node_seeding *s, struct catalog_read *r, uint32_t collection)
{
    struct seed *seed = find(s, collection);
    if (seed == NULL) {
        seed = tarn_calloc(1, sizeof *seed);
        if (seed == NULL)
            return; /* at its next change */
        seed->of = s;
        seed->seen.collection = collection;
        seed->seen.is_paused = read_paused(&r->kv, s->set.table, collection);
        tarn_list_push_back(&s->all, &seed->node);
        s->n++;
    }
    wait_turn(seed);
}

/* ---- the journal ---- */

/* A file is no longer what it was: its pieces are not offered any more. Of many that changed at
 * once, all of the torrent is looked at: that is a stat each. */
static void suspect(struct node_seeding *s, const struct catalog_change *ch, bool is_one_of_many)
{
    struct seed *seed = find(s, ch->collection);
    if (seed == NULL || seed->seen.bt == NULL)
        return;
    if (is_one_of_many) {
        bt_torrent_suspect(seed->seen.bt, BT_ALL_FILES);
        return;
    }
    size_t skip = strlen(seed->meta.name) + 1; /* paths begin with the torrent's name */
    for (uint32_t i = 0; i < seed->meta.n_files; i++) {
        const char *path = seed->meta.files[i].path;
        if (strlen(path) > skip && tarn_bytes_eq_str(ch->path, path + skip)) {
            bt_torrent_suspect(seed->seen.bt, i);
            return;
        }
    }
    bt_torrent_suspect(seed->seen.bt, BT_ALL_FILES);
}

static void take_change(struct node_seeding *s, struct catalog_read *r,
                        const struct catalog_change *ch, bool is_one_of_many)
{
    switch (ch->event) {
    case CATALOG_E_CHANGED:
    case CATALOG_E_REMOVED:
    case CATALOG_E_DAMAGED:
    case CATALOG_E_MOVED:
        suspect(s, ch, is_one_of_many);
        break;
    case CATALOG_E_COLLECTION_ADDED:
    case CATALOG_E_COLLECTION_CHANGED:
    case CATALOG_E_COLLECTION_REMOVED:
    case CATALOG_E_COLLECTION_COMPLETE:
    case CATALOG_E_COLLECTION_AWAY:
    case CATALOG_E_COLLECTION_BACK:
        consider(s, r, ch->collection);
        break;
    case CATALOG_E_ADDED:
    case CATALOG_E_REPLACED:
    case CATALOG_E_REFUSED:
    case CATALOG_E_NOTE:
        break;
    }
}

static void consider_all(struct node_seeding *s, struct catalog_read *r)
{
    struct catalog_collection c = { 0 };
    struct tarn_err err;
    while (catalog_collection_next(r, c.id, &c, &err) == CATALOG_FOUND)
        if (c.bt != CATALOG_BT_OFF && c.policy == CATALOG_PUBLIC)
            consider(s, r, c.id);
}

void node_seeding_look(struct node_seeding *s)
{
    enum {
        CHANGES_MAX = 10000, /* looked at one by one; of more, everything is looked at */
        SEARCHED_MAX = 100,  /* a torrent's files are searched for so many */
    };
    struct catalog_read r;
    struct catalog_change ch;
    struct tarn_err err;
    unsigned n = 0;
    enum catalog_found found = CATALOG_FAILED;
    if (!catalog_read_begin(s->set.catalog, &r, &err))
        return; /* at the next change */
    while (n++ < CHANGES_MAX &&
           (found = catalog_change_next(&r, s->seq, &ch, &err)) == CATALOG_FOUND) {
        s->seq = ch.seq;
        take_change(s, &r, &ch, n > SEARCHED_MAX);
    }
    if (found != CATALOG_NOT_THERE) {
        uint64_t oldest;
        for (struct tarn_list *at = s->all.next; at != &s->all; at = at->next) {
            struct seed *seed = TARN_OUTER(at, struct seed, node);
            if (seed->seen.bt != NULL)
                bt_torrent_suspect(seed->seen.bt, BT_ALL_FILES);
        }
        consider_all(s, &r);
        if (!catalog_journal_span(&r, &oldest, &s->seq, &err))
            s->seq = catalog_seq(s->set.catalog); /* what came meanwhile was looked at, too */
    }
    catalog_read_end(&r);
    next(s);
}

/* ---- hashes that come later than the files ---- */

static void try_again(struct node_seeding *s)
{
    s->again_us = loop_now_us(s->set.loop) + AGAIN_US;
    for (struct tarn_list *at = s->all.next; at != &s->all; at = at->next) {
        struct seed *seed = TARN_OUTER(at, struct seed, node);
        if (seed->lacks_hashes)
            wait_turn(seed);
    }
    next(s);
}

static void on_again(struct loop_timer *t)
{
    try_again(TARN_OUTER(t, struct node_seeding, again));
}

/* Of many files that are read one after the other the first may be told of alone. */
static void again(struct node_seeding *s)
{
    if (loop_now_us(s->set.loop) >= s->again_us ||
        !loop_timer_set(s->set.loop, &s->again, s->again_us))
        try_again(s);
}

void node_seeding_again(struct node_seeding *s)
{
    s->restored++;
    again(s);
}

/* ---- all of it ---- */

static void make_mark(struct node_seeding *s)
{
    struct crypt_sha sha;
    const struct derived_from *from = &s->set.from;
    crypt_sha_init(&sha, CRYPT_SHA256);
    crypt_sha_update(&sha, tarn_bytes_of(from->public_url, strlen(from->public_url) + 1));
    for (uint32_t i = 0; i < from->n_trackers; i++)
        crypt_sha_update(&sha, tarn_bytes_of(from->trackers[i], strlen(from->trackers[i]) + 1));
    crypt_sha_final(&sha, s->mark);
}

struct node_seeding *node_seeding_new(const struct node_seeding_settings *set, struct tarn_err *err)
{
    uint8_t seed[16];
    struct catalog_read r;
    uint64_t oldest;
    struct node_seeding *s = tarn_calloc(1, sizeof *s);
    if (s == NULL || !sys_random(seed, sizeof seed, err)) {
        tarn_free(s);
        return tarn_fail_mem(err, "seeding collections"), NULL;
    }
    s->set = *set;
    tarn_list_init(&s->all);
    tarn_list_init(&s->waiting);
    tarn_map_init(&s->by_hash, seed);
    s->again.on_time = on_again;
    make_mark(s);
    if (!catalog_read_begin(set->catalog, &r, err)) {
        node_seeding_free(s);
        return NULL;
    }
    consider_all(s, &r);
    bool ok = catalog_journal_span(&r, &oldest, &s->seq, err);
    catalog_read_end(&r);
    if (!ok) {
        node_seeding_free(s);
        return NULL;
    }
    next(s);
    return s;
}

void node_seeding_free(struct node_seeding *s)
{
    if (s == NULL)
        return;
    loop_timer_stop(s->set.loop, &s->again);
    if (s->is_making) {
        loop_pool_cancel(s->set.loop, &s->making.job);
        node_write_cancel(&s->making.write);
        tarn_out_release(&s->making.torrent);
        bt_metainfo_release(&s->making.meta);
        tarn_free(s->making.path);
    }
    while (!tarn_list_empty(&s->all))
        free_seed(TARN_OUTER(s->all.next, struct seed, node));
    tarn_map_release(&s->by_hash);
    tarn_free(s);
}

const struct node_seed *node_seeding_get(const struct node_seeding *s, uint32_t collection)
{
    struct seed *seed = find(s, collection);
    return seed == NULL ? NULL : &seed->seen;
}

uint64_t node_seeding_rate_up(const struct node_seeding *s)
{
    uint64_t sum = 0;
    for (struct tarn_list *at = s->all.next; at != &s->all; at = at->next) {
        struct seed *seed = TARN_OUTER(at, struct seed, node);
        struct bt_stats stats;
        if (seed->seen.bt == NULL)
            continue;
        bt_torrent_stats(seed->seen.bt, &stats);
        sum += stats.rate_up;
    }
    return sum;
}

const struct node_seed *node_seeding_hashed(const struct node_seeding *s, struct tarn_bytes hash)
{
    uint64_t *at = tarn_map_get(&s->by_hash, hash);
    return at == NULL ? NULL : &((struct seed *)(uintptr_t)*at)->seen;
}

size_t node_seeding_count(const struct node_seeding *s)
{
    return s->n;
}

/* ---- pausing ---- */

static bool run_pause(struct node_write *w, struct kv_txn *t, struct tarn_err *err)
{
    struct node_seeding_ask *a = TARN_OUTER(w, struct node_seeding_ask, write);
    uint8_t key[5];
    struct tarn_bytes k = key_of(key, a->collection, 'P');
    if (a->is_paused)
        return kv_txn_put(t, a->seeding->set.table, k, tarn_bytes_of("", 0), err);
    return kv_txn_del(t, a->seeding->set.table, k, err) != KV_FAILED;
}

static void on_pause(struct node_write *w)
{
    struct node_seeding_ask *a = TARN_OUTER(w, struct node_seeding_ask, write);
    struct seed *seed = find(a->seeding, a->collection);
    a->is_ok = w->is_ok;
    if (!w->is_ok)
        a->err = w->err;
    if (w->is_ok && seed != NULL) {
        seed->seen.is_paused = a->is_paused;
        if (seed->seen.bt != NULL && a->is_paused)
            bt_torrent_pause(seed->seen.bt);
        else if (seed->seen.bt != NULL && seed->failure == NULL)
            bt_torrent_resume(seed->seen.bt);
    }
    a->done(a);
}

void node_seeding_pause(struct node_seeding *s, uint32_t collection, bool is_paused,
                        struct node_seeding_ask *a)
{
    a->seeding = s;
    a->collection = collection;
    a->is_paused = is_paused;
    a->write = (struct node_write){ .run = run_pause, .done = on_pause };
    node_write(s->set.loop, s->set.kv, &a->write);
}
