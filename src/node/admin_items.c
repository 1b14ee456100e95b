/* node/admin_items: lists: items, files, peers; and the objects in them, as docs/api.md has them.
 */
#include "node/admin_priv.h"

#include "base/num.h"
#include "base/text.h"
#include "codec/html.h"
#include "codec/url.h"
#include "node/html.h"

#include <stdio.h>
#include <stdlib.h>

enum { PART = 64 << 10, ROWS_AT_ONCE = 256 };

/* ---- small ones ---- */

void admin_put_identity(struct json *j, const char *key, const struct catalog_identity *id)
{
    char text[64 + 1 + 20 + 1], hex[65];
    if (id->len == 0) {
        json_put_str(j, key, "empty");
        return;
    }
    (void)snprintf(text, sizeof text, "%s-%llu", tarn_hex(hex, tarn_bytes_of(id->root, 32)),
                   (unsigned long long)id->len);
    json_put_str(j, key, text);
}

void admin_put_url(struct admin_call *c, const char *key, struct tarn_bytes collection,
                   struct tarn_bytes path, const char *tail)
{
    struct tarn_out o;
    json_key(&c->json, key);
    if (c->admin->node->public_url == NULL) {
        json_none(&c->json);
        return;
    }
    tarn_out_init(&o, 3 * CATALOG_PATH_MAX + 4096);
    tarn_out_str(&o, c->admin->node->public_url);
    tarn_out_str(&o, "c/");
    url_escape(&o, collection);
    if (path.len > 0) {
        tarn_out_u8(&o, '/');
        html_path(&o, path);
    }
    tarn_out_str(&o, tail);
    json_str(&c->json, tarn_out_bytes(&o));
    tarn_out_release(&o);
}

static void put_hashes(struct json *j, const struct bt_hashes *h)
{
    if (h->has_v1)
        json_put_hex(j, "v1", tarn_bytes_of(h->v1, sizeof h->v1));
    if (h->has_v2)
        json_put_hex(j, "v2", tarn_bytes_of(h->v2, sizeof h->v2));
}

static void put_magnet(struct json *j, const struct bt_metainfo *m)
{
    struct tarn_out o;
    tarn_out_init(&o, 1 << 20);
    bt_magnet_write(m, &o);
    json_key(j, "magnet");
    json_str(j, tarn_out_bytes(&o));
    tarn_out_release(&o);
}

/* ---- collections ---- */

static const char *phase_word(const struct catalog_collection *k)
{
    switch (k->phase) {
    case CATALOG_LISTING:
        return "scanning";
    case CATALOG_READING:
        return "hashing";
    case CATALOG_COMPLETE:
        return "ok";
    case CATALOG_AWAY:
        break;
    }
    return "missing";
}

static void put_seed(struct admin_call *c, const struct catalog_collection *k)
{
    struct json *j = &c->json;
    const struct node_seed *s =
        c->admin->node->seeding == NULL ? NULL : node_seeding_get(c->admin->node->seeding, k->id);
    json_put_bool(j, "is_paused", s != NULL && s->is_paused);
    if (s == NULL)
        return;
    if (s->meta != NULL) {
        put_hashes(j, &s->meta->hashes);
        put_magnet(j, s->meta);
        admin_put_url(c, "torrent_url", k->name, tarn_bytes_of(NULL, 0), "?as=torrent");
    }
    if (s->bt != NULL) {
        struct bt_stats stats;
        bt_torrent_stats(s->bt, &stats);
        json_put_u64(j, "peers", stats.peers);
        json_put_u64(j, "rate_up", stats.rate_up);
        json_put_u64(j, "uploaded", stats.ever_uploaded);
    }
    if (s->failure != NULL)
        json_put_str(j, "error", s->failure);
    else if (s->note != NULL)
        json_put_str(j, "error", s->note);
}

/* Of what is not held yet, what is not even read. */
static uint64_t hashing_bytes(const struct admin_call *c, const struct catalog_collection *k)
{
    uint64_t left = k->bytes - tarn_min_u64(k->bytes, k->held_bytes);
    return left - tarn_min_u64(left, catalog_read_so_far(c->admin->node->catalog, k->id));
}

void admin_put_collection(struct admin_call *c, struct catalog_read *r,
                          const struct catalog_collection *k)
{
    static const char *const policies[] = { "public", "partners", "mine" };
    static const char *const bts[] = { "off", "v1", "v2", "hybrid" };
    struct json *j = &c->json;
    (void)r;
    json_put_u64(j, "id", node_id_of_collection(k->id));
    json_put_bytes(j, "name", k->name);
    json_put_bytes(j, "path", k->path);
    json_put_str(j, "policy", policies[k->policy]);
    json_put_str(j, "bt", bts[k->bt]);
    json_put_bool(j, "http", k->http);
    json_put_str(j, "from", k->origin == CATALOG_CONFIGURED ? "config" : "index");
    json_put_str(j, "state", phase_word(k));
    json_put_u64(j, "files", k->files);
    json_put_u64(j, "bytes", k->bytes);
    json_put_u64(j, "hashing_files", k->files - tarn_min_u64(k->files, k->held_files + k->refused));
    json_put_u64(j, "hashing_bytes", hashing_bytes(c, k));
    json_put_u64(j, "refused", k->refused);
    json_put_u64(j, "skipped", k->skipped_links + k->skipped_special + k->skipped_hidden);
    json_put_u64(j, "piece_length", k->piece_len);
    json_put_u64(j, "version", k->version);
    if (k->http && k->policy == CATALOG_PUBLIC)
        admin_put_url(c, "url", k->name, tarn_bytes_of(NULL, 0), "/");
    put_seed(c, k);
}

/* ---- torrents ---- */

static const char *torrent_word(const struct node_torrent *t, const struct bt_stats *s)
{
    static const char *const words[] = {
        [BT_METADATA] = "metadata", [BT_PREPARING] = "preparing", [BT_CHECKING] = "checking",
        [BT_FETCHING] = "fetching", [BT_SEEDING] = "seeding",     [BT_STOPPED] = "failed",
    };
    return t->bt == NULL || t->failure != NULL ? "failed" : words[s->state];
}

static void put_torrent_stats(struct json *j, const struct bt_stats *s)
{
    json_put_bool(j, "is_paused", s->is_paused);
    json_put_u64(j, "done", s->done);
    json_put_u64(j, "total", s->total);
    json_put_u64(j, "peers", s->peers);
    json_put_u64(j, "seeds", s->seeds);
    json_put_u64(j, "known", s->known);
    json_put_u64(j, "rate_down", s->rate_down);
    json_put_u64(j, "rate_up", s->rate_up);
    json_put_u64(j, "downloaded", s->ever_downloaded);
    json_put_u64(j, "uploaded", s->ever_uploaded);
    json_key(j, "ratio");
    if (s->ever_downloaded > 0)
        json_double(j, (double)s->ever_uploaded / (double)s->ever_downloaded);
    else
        json_none(j);
}

void admin_put_torrent(struct admin_call *c, const struct node_torrent *t)
{
    struct json *j = &c->json;
    struct bt_stats s = { .is_paused = t->is_paused };
    const struct bt_metainfo *m = NULL;
    if (t->bt != NULL) {
        bt_torrent_stats(t->bt, &s);
        m = bt_torrent_meta(t->bt);
    }
    json_put_u64(j, "id", node_id_of_torrent(t->id));
    json_put_bytes(j, "name", tarn_bytes_str(t->name));
    json_put_bytes(j, "path", tarn_bytes_str(t->folder));
    put_hashes(j, t->hashes);
    if (m != NULL) {
        put_magnet(j, m);
        json_put_u64(j, "files", m->n_real_files);
    }
    json_put_str(j, "state", torrent_word(t, &s));
    put_torrent_stats(j, &s);
    if (t->failure != NULL)
        json_put_str(j, "error", t->failure);
    else if (s.tracker_error != NULL)
        json_put_str(j, "tracker_error", s.tracker_error);
}

/* ---- /v1/items ---- */

/* Is there room for one line more in this list, and in this part of it? */
static bool is_full(const struct admin_call *c)
{
    return c->out.len > PART;
}

/* As many lines as were wanted: the last one says from where on there are more. */
static void end_items(struct admin_call *c, uint64_t after)
{
    json_put_u64(admin_line(c, "more"), "after", after);
    admin_line_end(c);
    admin_stream_end(c);
}

/* The same where the place is a path. */
static void end_files(struct admin_call *c, struct tarn_bytes after)
{
    json_put_bytes(admin_line(c, "more"), "after", after);
    admin_line_end(c);
    admin_stream_end(c);
}

/* False: no collection is left. */
static bool put_collections(struct admin_call *c, struct catalog_read *r)
{
    struct catalog_collection k;
    struct tarn_err err;
    while (!is_full(c)) {
        if (catalog_collection_next(r, (uint32_t)c->at, &k, &err) != CATALOG_FOUND)
            return false;
        if (c->left == 0)
            return true;
        c->at = k.id;
        c->left--;
        (void)admin_line(c, "collection");
        admin_put_collection(c, r, &k);
        admin_line_end(c);
    }
    return true;
}

static bool put_torrents(struct admin_call *c)
{
    while (!is_full(c)) {
        const struct node_torrent *t =
            c->admin->node->torrents == NULL
                ? NULL
                : node_torrents_next(c->admin->node->torrents, c->at_torrent);
        if (t == NULL)
            return false;
        if (c->left == 0)
            return true;
        c->at_torrent = t->id;
        c->left--;
        (void)admin_line(c, "torrent");
        admin_put_torrent(c, t);
        admin_line_end(c);
    }
    return true;
}

static void more_items(struct admin_call *c)
{
    struct catalog_read r;
    struct tarn_err err;
    if (!catalog_read_begin(c->admin->node->catalog, &r, &err)) {
        http_stream_cut(c->x);
        return;
    }
    if ((c->kinds & 1) != 0 && !put_collections(c, &r))
        c->kinds &= ~1U;
    if ((c->kinds & 1) == 0 && (c->kinds & 2) != 0 && !put_torrents(c))
        c->kinds = 0;
    catalog_read_end(&r);
    if (c->kinds == 0)
        admin_stream_end(c);
    else if (c->left == 0 && !is_full(c))
        end_items(c, c->at_torrent == 0 ? node_id_of_collection((uint32_t)c->at)
                                        : node_id_of_torrent(c->at_torrent));
    else
        admin_flush(c);
}

static void one_item(struct admin_call *c)
{
    struct catalog_read r;
    struct node_ref ref;
    if (!admin_read(c, &r))
        return;
    if (admin_ref(c, &r, &ref)) {
        switch (ref.kind) {
        case NODE_REF_COLLECTION:
            (void)admin_object(c, "collection");
            admin_put_collection(c, &r, &ref.collection);
            break;
        case NODE_REF_TORRENT:
            (void)admin_object(c, "torrent");
            admin_put_torrent(c, ref.torrent);
            break;
        case NODE_REF_ENTRY:
            (void)admin_object(c, ref.entry.kind == CATALOG_FILE ? "file" : "folder");
            admin_put_entry(c, &r, &ref.collection, &ref.entry, tarn_bytes_of(NULL, 0));
            break;
        }
        admin_send(c, 200);
    }
    catalog_read_end(&r);
}

/* Where a list begins (after may be NULL: the caller reads it) and how long it may be. False:
 * answered. */
static bool read_span(struct admin_call *c, uint64_t *after)
{
    if (after != NULL)
        *after = 0;
    c->left = UINT64_MAX;
    if (c->limit != NULL &&
        !(tarn_parse_u64(tarn_bytes_str(c->limit), UINT32_MAX, &c->left) && c->left > 0)) {
        admin_refuse(c, 400, TARN_E_USAGE, "limit= is a number from 1");
        return false;
    }
    if (after == NULL || c->after == NULL ||
        tarn_parse_u64(tarn_bytes_str(c->after), 2 * (uint64_t)UINT32_MAX, after))
        return true;
    admin_refuse(c, 400, TARN_E_USAGE, "after= is the number of an item");
    return false;
}

void admin_items(struct admin_call *c, uint32_t kinds)
{
    uint64_t after;
    if (c->ref != NULL) {
        one_item(c);
        return;
    }
    if (!read_span(c, &after))
        return;
    c->kinds = kinds;
    if (after % 2 == 1)
        c->at = (after + 1) / 2;
    else if (after > 0) {
        c->at_torrent = (uint32_t)(after / 2);
        c->kinds &= 2; /* collections come before torrents */
    }
    admin_stream(c, more_items);
}

/* ---- /v1/files ---- */

static const char *entry_word(const struct catalog_entry *e)
{
    switch (e->state) {
    case CATALOG_HELD:
        return "held";
    case CATALOG_WAITING:
        return "hashing";
    case CATALOG_CHANGED:
        return "changed";
    case CATALOG_MISSING:
        return "missing";
    case CATALOG_REFUSED:
        return "refused";
    case CATALOG_DAMAGED:
        break;
    }
    return "damaged";
}

void admin_put_entry(struct admin_call *c, struct catalog_read *r,
                     const struct catalog_collection *in, const struct catalog_entry *e,
                     struct tarn_bytes path)
{
    struct json *j = &c->json;
    struct catalog_known known;
    struct tarn_err err;
    struct tarn_out text;
    tarn_out_init(&text, CATALOG_PATH_MAX + 1);
    if (path.len == 0 && catalog_path(r, e, &text, &err))
        path = tarn_out_bytes(&text);
    json_put_bytes(j, "path", path);
    json_put_bytes(j, "collection", in->name);
    if (e->kind == CATALOG_FILE) {
        json_put_u64(j, "length", e->state == CATALOG_HELD ? e->identity.len : e->stat.size);
        json_key(j, "mtime_ms");
        json_i64(j, e->stat.mtime_ns / 1000000);
        json_put_str(j, "state", entry_word(e));
    }
    if (e->kind == CATALOG_FILE && e->state == CATALOG_HELD) {
        admin_put_identity(j, "id", &e->identity);
        if (e->identity.len > 0 && catalog_known(r, &e->identity, &known, &err) == CATALOG_FOUND)
            json_put_hex(j, "sha256", tarn_bytes_of(known.sha256, sizeof known.sha256));
        if (in->http && in->policy == CATALOG_PUBLIC)
            admin_put_url(c, "url", in->name, path, "");
    }
    if (e->reason.len > 0)
        json_put_bytes(j, "why", e->reason);
    tarn_out_release(&text);
}

static bool begins(struct tarn_bytes b, const char *with)
{
    size_t n = strlen(with);
    return b.len >= n && memcmp(b.p, with, n) == 0;
}

/* Is this file below what was asked about, and of the kind that is wanted? */
static bool is_wanted(const struct admin_call *c, struct tarn_bytes path, const char *state)
{
    return (c->is_one ? tarn_bytes_eq_str(path, c->below)
                      : c->below == NULL || begins(path, c->below)) &&
           (c->prefix == NULL || begins(path, c->prefix)) &&
           (c->state == NULL || state == NULL || strcmp(c->state, state) == 0);
}

/* A part of the walk: some hundreds of entries are looked at, even when few of them are wanted. */
static void more_files(struct admin_call *c)
{
    struct catalog_read r;
    struct catalog_collection in;
    struct catalog_entry e;
    struct tarn_err err;
    bool is_over = false;
    enum catalog_found found = CATALOG_FAILED;
    if (!catalog_read_begin(c->admin->node->catalog, &r, &err)) {
        http_stream_cut(c->x);
        return;
    }
    if (catalog_collection_get(&r, c->collection, &in, &err) == CATALOG_FOUND)
        for (unsigned n = 0; n < ROWS_AT_ONCE && !is_full(c); n++) {
            found = catalog_walk_next(&r, &c->walk, &e, &err);
            if (found != CATALOG_FOUND)
                break;
            if (!is_wanted(c, c->walk.path, entry_word(&e)))
                continue;
            is_over = c->left == 0; /* and there is one more */
            if (is_over)
                break;
            c->left--;
            (void)admin_line(c, "file");
            admin_put_entry(c, &r, &in, &e, c->walk.path);
            admin_line_end(c);
            c->last_len = c->walk.path.len;
            memcpy(c->last, c->walk.path.p, c->last_len);
        }
    catalog_read_end(&r);
    if (found == CATALOG_FAILED)
        http_stream_cut(c->x);
    else if (is_over)
        end_files(c, tarn_bytes_of(c->last, c->last_len));
    else if (found == CATALOG_NOT_THERE)
        admin_stream_end(c);
    else {
        if (c->out.len == 0)
            tarn_out_u8(&c->out,
                        '\n'); /* nothing of this part was wanted: it goes on all the same */
        admin_flush(c);
    }
}

static void more_files_of_torrent(struct admin_call *c)
{
    const struct node_torrent *t = node_torrents_get(c->admin->node->torrents, c->torrent);
    const struct bt_metainfo *m = t == NULL || t->bt == NULL ? NULL : bt_torrent_meta(t->bt);
    uint64_t n = m == NULL ? 0 : m->n_files;
    for (; c->at < n && !is_full(c); c->at++) {
        const struct bt_file *f = &m->files[c->at];
        struct tarn_bytes path = tarn_bytes_str(f->path);
        if (f->is_pad || f->symlink_target != NULL || !is_wanted(c, path, NULL) ||
            (c->after != NULL && !c->is_behind)) {
            c->is_behind |= c->after != NULL && tarn_bytes_eq_str(path, c->after);
            continue;
        }
        if (c->left == 0) {
            end_files(c, tarn_bytes_of(c->last, c->last_len));
            return;
        }
        c->left--;
        c->last_len = tarn_min_size(path.len, sizeof c->last);
        memcpy(c->last, path.p, c->last_len);
        struct json *j = admin_line(c, "file");
        json_put_bytes(j, "path", path);
        json_put_u64(j, "length", f->len);
        admin_line_end(c);
    }
    if (c->at >= n)
        admin_stream_end(c);
    else
        admin_flush(c);
}

/* Where the walk begins, and what of it is wanted. False: answered. */
static bool begin_files(struct admin_call *c, struct catalog_read *r, const struct node_ref *ref)
{
    struct tarn_err err;
    if (ref->kind == NODE_REF_ENTRY) {
        struct tarn_out path;
        tarn_out_init(&path, CATALOG_PATH_MAX + 2);
        bool ok = catalog_path(r, &ref->entry, &path, &err);
        c->is_one = ref->entry.kind == CATALOG_FILE;
        if (!c->is_one)
            tarn_out_u8(&path, '/');
        c->below = tarn_out_take_str(&path);
        if (ok && c->below == NULL)
            ok = tarn_fail_mem(&err, "listing files");
        if (!ok) {
            admin_fail(c, &err);
            return false;
        }
    }
    if (c->after == NULL ||
        catalog_walk_behind(r, &c->walk, tarn_bytes_str(c->after), &err) != CATALOG_FAILED)
        return true;
    admin_fail(c, &err);
    return false;
}

void admin_files(struct admin_call *c)
{
    struct catalog_read r;
    struct node_ref ref;
    if (!read_span(c, NULL) || !admin_read(c, &r))
        return;
    bool ok = admin_ref(c, &r, &ref);
    if (ok) {
        c->collection = c->walk.collection = ref.kind == NODE_REF_TORRENT ? 0 : ref.collection.id;
        ok = ref.kind == NODE_REF_TORRENT || begin_files(c, &r, &ref);
    }
    catalog_read_end(&r);
    if (!ok)
        return;
    if (ref.kind == NODE_REF_TORRENT) {
        c->torrent = ref.torrent->id;
        admin_stream(c, more_files_of_torrent);
    } else {
        admin_stream(c, more_files);
    }
}

/* ---- /v1/peers ---- */

static void put_peer(void *arg, const struct bt_peer *p)
{
    struct admin_call *c = arg;
    struct sys_addr_text text;
    struct json *j = admin_line(c, "peer");
    json_put_str(j, "address", p->host != NULL ? p->host : sys_addr_text(&text, &p->addr));
    json_put_bool(j, "is_web_seed", p->host != NULL);
    json_put_bytes(j, "agent", tarn_bytes_str(p->agent));
    json_put_bool(j, "is_incoming", p->is_incoming);
    json_put_bool(j, "is_seed", p->is_seed);
    json_put_u64(j, "downloaded", p->downloaded);
    json_put_u64(j, "uploaded", p->uploaded);
    json_put_u64(j, "pieces", p->pieces);
    json_put_u64(j, "requests_out", p->requests_out);
    json_put_u64(j, "requests_in", p->requests_in);
    json_put_bool(j, "am_interested", p->am_interested);
    json_put_bool(j, "am_choking", p->am_choking);
    json_put_bool(j, "is_interested", p->is_interested);
    json_put_bool(j, "is_choking", p->is_choking);
    json_put_bool(j, "is_snubbed", p->is_snubbed);
    admin_line_end(c);
}

static void all_peers(struct admin_call *c)
{
    const struct node_torrent *t =
        c->torrent == 0 ? NULL : node_torrents_get(c->admin->node->torrents, c->torrent);
    const struct node_seed *s = c->collection == 0 || c->admin->node->seeding == NULL
                                    ? NULL
                                    : node_seeding_get(c->admin->node->seeding, c->collection);
    const struct bt_torrent *bt = t != NULL ? t->bt : s != NULL ? s->bt : NULL;
    if (bt != NULL)
        bt_torrent_peers(bt, put_peer, c); /* bounded by bt.peers */
    admin_stream_end(c);
}

void admin_peers(struct admin_call *c)
{
    struct catalog_read r;
    struct node_ref ref;
    if (!admin_read(c, &r))
        return;
    if (admin_ref(c, &r, &ref)) {
        c->torrent = ref.kind == NODE_REF_TORRENT ? ref.torrent->id : 0;
        c->collection = ref.kind == NODE_REF_TORRENT ? 0 : ref.collection.id;
        admin_stream(c, all_peers);
    }
    catalog_read_end(&r);
}
