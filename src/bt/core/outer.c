/* bt/core/outer: what stands around info in a torrent file: read, and written again.
 *
 * Nothing here can make a torrent unusable: what we cannot use (an address of a scheme we do not
 * speak, a node without a port) is left out. */
#include "bt/core/reading.h"

#include "base/mem.h"
#include "base/num.h"
#include "bt/core/texts.h"

#include <stdio.h>
#include <stdlib.h>

/* Keys that have a place in struct bt_metainfo. */
static const char *const known[] = {
    "announce",         "announce-list", "comment",   "comment.utf-8", "created by",
    "created by.utf-8", "creation date", "httpseeds", "info",          "nodes",
    "piece layers",     "url-list",
};

static bool is_known(struct tarn_bytes key)
{
    for (size_t i = 0; i < TARN_COUNT_OF(known); i++)
        if (tarn_bytes_eq_str(key, known[i]))
            return true;
    return false;
}

/* Add a tracker if it is one and new. *tiers grows with the list; tier is where it belongs. */
static bool add_tracker(struct bt_reading *r, struct bt_texts *urls, uint16_t *tiers, benc_val url,
                        uint16_t tier)
{
    struct tarn_bytes clean = bt_url_clean(benc_str(r->b, url), bt_tracker_schemes);
    uint32_t before = urls->n;
    if (clean.len == 0)
        return true;
    if (!bt_texts_add(urls, clean))
        return false;
    if (urls->n > before)
        tiers[before] = tier;
    return true;
}

/* announce-list if it names any tracker, else announce (BEP 12). Tiers are counted without those of
 * which nothing is left. Some write a list of strings: each is then a tier. */
static bool list_trackers(struct bt_reading *r, struct bt_texts *urls, uint16_t *tiers)
{
    const struct benc *b = r->b;
    benc_val list = benc_get_of(b, BENC_ROOT, "announce-list", BENC_LIST);
    uint16_t tier = 0;
    for (benc_val t = benc_first(b, list); t != BENC_NONE; t = benc_next(b, list, t)) {
        uint32_t before = urls->n;
        if (!add_tracker(r, urls, tiers, t, tier))
            return false;
        if (benc_is(b, t, BENC_LIST))
            for (benc_val u = benc_first(b, t); u != BENC_NONE; u = benc_next(b, t, u))
                if (!add_tracker(r, urls, tiers, u, tier))
                    return false;
        tier = (uint16_t)(tier + (urls->n > before));
    }
    return urls->n > 0 || add_tracker(r, urls, tiers, benc_get(b, BENC_ROOT, "announce"), 0);
}

static bool read_trackers(struct bt_reading *r)
{
    struct bt_metainfo *m = r->m;
    uint16_t tiers[BT_TRACKERS_MAX];
    struct bt_texts urls;
    bt_texts_init(&urls, &m->arena, BT_TRACKERS_MAX, r->seed);
    bool ok = list_trackers(r, &urls, tiers);
    if (ok)
        m->trackers = tarn_arena_alloc(&m->arena, urls.n, sizeof *m->trackers);
    ok = ok && m->trackers != NULL;
    for (uint32_t i = 0; ok && i < urls.n; i++)
        m->trackers[i] = (struct bt_tracker){ urls.items[i], tiers[i] };
    m->n_trackers = ok ? urls.n : 0;
    bt_texts_release(&urls);
    return ok;
}

/* A string, or a list of strings, of URLs. */
static bool read_urls(struct bt_reading *r, const char *key, const char ***items, uint32_t *n)
{
    struct bt_texts urls;
    benc_val v = benc_get(r->b, BENC_ROOT, key);
    bt_texts_init(&urls, &r->m->arena, BT_WEB_SEEDS_MAX, r->seed);
    struct tarn_bytes clean = bt_url_clean(benc_str(r->b, v), bt_web_seed_schemes);
    bool ok = clean.len == 0 || bt_texts_add(&urls, clean);
    if (!benc_is(r->b, v, BENC_LIST))
        v = BENC_NONE;
    for (benc_val u = benc_first(r->b, v); ok && u != BENC_NONE; u = benc_next(r->b, v, u)) {
        clean = bt_url_clean(benc_str(r->b, u), bt_web_seed_schemes);
        ok = clean.len == 0 || bt_texts_add(&urls, clean);
    }
    ok = ok && bt_texts_keep(&urls, items, n);
    bt_texts_release(&urls);
    return ok;
}

/* A host name, or an address; with a ':' only what an IPv6 address has. */
static bool is_host(struct tarn_bytes host, bool *is_v6)
{
    *is_v6 = host.len > 0 && memchr(host.p, ':', host.len) != NULL;
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.p[i];
        bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        bool is_name =
            is_hex || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
        if (c != '.' && !(*is_v6 ? is_hex || c == ':' : is_name))
            return false;
    }
    return host.len > 0 && host.len <= 253; /* the longest DNS name */
}

static bool add_node(struct bt_reading *r, struct bt_texts *nodes, benc_val node)
{
    char text[300];
    bool is_v6;
    int64_t port = 0;
    if (!benc_is(r->b, node, BENC_LIST))
        return true;
    benc_val first = benc_first(r->b, node);
    struct tarn_bytes host = benc_str(r->b, first);
    if (!is_host(host, &is_v6) || !benc_int(r->b, benc_next(r->b, node, first), &port) ||
        port < 1 || port > UINT16_MAX)
        return true;
    int n = snprintf(text, sizeof text, is_v6 ? "[%.*s]:%d" : "%.*s:%d", (int)host.len,
                     (const char *)host.p, (int)port);
    return bt_texts_add(nodes, tarn_bytes_of(text, (size_t)n));
}

/* A private torrent's peers come from its trackers alone (BEP 27). */
static bool read_nodes(struct bt_reading *r)
{
    struct bt_texts nodes;
    benc_val list = benc_get_of(r->b, BENC_ROOT, "nodes", BENC_LIST);
    bool ok = true;
    if (r->m->is_private)
        return true;
    bt_texts_init(&nodes, &r->m->arena, BT_NODES_MAX, r->seed);
    for (benc_val v = benc_first(r->b, list); ok && v != BENC_NONE; v = benc_next(r->b, list, v))
        ok = add_node(r, &nodes, v);
    ok = ok && bt_texts_keep(&nodes, &r->m->nodes, &r->m->n_nodes);
    bt_texts_release(&nodes);
    return ok;
}

/* Text of a key, or of the key that says which encoding it has. NULL when there is none. */
static bool read_text(struct bt_reading *r, const char *utf8_key, const char *key,
                      const char **text)
{
    benc_val v = benc_get_of(r->b, BENC_ROOT, utf8_key, BENC_STR);
    if (v == BENC_NONE)
        v = benc_get_of(r->b, BENC_ROOT, key, BENC_STR);
    *text = v == BENC_NONE ? NULL : bt_text(&r->m->arena, benc_str(r->b, v));
    return v == BENC_NONE || *text != NULL;
}

static int by_key(const void *a, const void *b)
{
    const struct bt_extra *x = a, *y = b;
    int order = tarn_bytes_cmp(x->key, y->key);
    if (order == 0)
        order = x->key.p < y->key.p ? -1 : x->key.p > y->key.p; /* the first one in the file */
    return order;
}

/* Everything else, copied and sorted; of equal keys the first. */
static bool read_extras(struct bt_reading *r)
{
    const struct benc *b = r->b;
    struct bt_metainfo *m = r->m;
    struct bt_extra *found = NULL;
    size_t n = 0, cap = 0;
    bool ok = true;
    for (benc_val k = benc_first(b, BENC_ROOT); ok && k != BENC_NONE;
         k = benc_next(b, BENC_ROOT, k)) {
        if (is_known(benc_str(b, k)))
            continue;
        ok = TARN_GROW(found, n, cap);
        if (ok)
            found[n++] = (struct bt_extra){ benc_str(b, k), benc_raw(b, benc_value(b, k)) };
    }
    if (n > 1)
        qsort(found, n, sizeof *found, by_key);
    if (ok)
        m->extras = tarn_arena_alloc(&m->arena, n, sizeof *m->extras);
    ok = ok && m->extras != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        if (i > 0 && tarn_bytes_eq(found[i - 1].key, found[i].key))
            continue;
        struct bt_extra *e = &m->extras[m->n_extras];
        e->key = tarn_bytes_of(tarn_arena_strndup(&m->arena, found[i].key), found[i].key.len);
        e->value = tarn_bytes_of(tarn_arena_strndup(&m->arena, found[i].value), found[i].value.len);
        ok = e->key.p != NULL && e->value.p != NULL;
        m->n_extras += ok;
    }
    tarn_free(found);
    return ok;
}

bool bt_read_outer(struct bt_reading *r)
{
    struct bt_metainfo *m = r->m;
    int64_t created;
    if (benc_int(r->b, benc_get(r->b, BENC_ROOT, "creation date"), &created) && created >= 0)
        m->created_at = created;
    if (read_trackers(r) && read_urls(r, "url-list", &m->web_seeds, &m->n_web_seeds) &&
        read_urls(r, "httpseeds", &m->http_seeds, &m->n_http_seeds) && read_nodes(r) &&
        read_text(r, "comment.utf-8", "comment", &m->comment) &&
        read_text(r, "created by.utf-8", "created by", &m->created_by) && read_extras(r))
        return true;
    return bt_fail_arena(&m->arena, 3 * r->b->in.len, r->err);
}

/* The outer dictionary on its way out: extras find their place between the keys we know. */
struct writer {
    const struct bt_metainfo *m;
    struct tarn_out *o;
    uint32_t next_extra;
};

/* The extras before this key; NULL: all that are left. */
static void put_extras(struct writer *w, const char *before)
{
    for (; w->next_extra < w->m->n_extras; w->next_extra++) {
        const struct bt_extra *e = &w->m->extras[w->next_extra];
        if (before != NULL && tarn_bytes_cmp(e->key, tarn_bytes_str(before)) > 0)
            return;
        benc_put_str(w->o, e->key);
        tarn_out_put(w->o, e->value);
    }
}

static void put_key(struct writer *w, const char *key)
{
    put_extras(w, key);
    benc_put_key(w->o, key);
}

static void put_text(struct writer *w, const char *key, const char *text)
{
    if (text == NULL)
        return;
    put_key(w, key);
    benc_put_key(w->o, text);
}

static void put_strings(struct writer *w, const char *key, const char *const *items, uint32_t n)
{
    if (n == 0)
        return;
    put_key(w, key);
    benc_open_list(w->o);
    for (uint32_t i = 0; i < n; i++)
        benc_put_key(w->o, items[i]);
    benc_close(w->o);
}

static void put_trackers(struct writer *w)
{
    const struct bt_metainfo *m = w->m;
    if (m->n_trackers == 0)
        return;
    put_text(w, "announce", m->trackers[0].url);
    if (m->n_trackers == 1)
        return;
    put_key(w, "announce-list");
    benc_open_list(w->o);
    for (uint32_t i = 0; i < m->n_trackers; i++) {
        bool is_first = i == 0 || m->trackers[i].tier != m->trackers[i - 1].tier;
        if (is_first && i > 0)
            benc_close(w->o);
        if (is_first)
            benc_open_list(w->o);
        benc_put_key(w->o, m->trackers[i].url);
    }
    benc_close(w->o);
    benc_close(w->o);
}

/* "host:port" or "[v6]:port" as a list of two. */
static void put_node(struct tarn_out *o, const char *node)
{
    const char *colon = strrchr(node, ':');
    struct tarn_bytes host = tarn_bytes_of(node, (size_t)(colon - node));
    uint64_t port;
    if (host.p[0] == '[')
        host = tarn_bytes_of(host.p + 1, host.len - 2);
    if (!tarn_parse_u64(tarn_bytes_str(colon + 1), UINT16_MAX, &port))
        return; /* never: is_host and the port's range made it */
    benc_open_list(o);
    benc_put_str(o, host);
    benc_put_int(o, (int64_t)port);
    benc_close(o);
}

static void put_nodes(struct writer *w)
{
    if (w->m->n_nodes == 0)
        return;
    put_key(w, "nodes");
    benc_open_list(w->o);
    for (uint32_t i = 0; i < w->m->n_nodes; i++)
        put_node(w->o, w->m->nodes[i]);
    benc_close(w->o);
}

/* The layers that are known; none at all and some wanted: no key, as in metadata from peers. */
static void put_layers(struct writer *w)
{
    const struct bt_metainfo *m = w->m;
    struct bt_layer_ref *refs = tarn_calloc(m->n_files, sizeof *refs);
    size_t n = 0;
    if (refs == NULL) {
        w->o->failed = true;
        return;
    }
    for (uint32_t i = 0; i < m->n_files; i++) {
        const struct bt_file *f = &m->files[i];
        if (f->layer != NULL)
            refs[n++] = (struct bt_layer_ref){
                f->root, tarn_bytes_of(f->layer, bt_pieces_of(f->len, m->piece_len) * 32)
            };
    }
    if (n > 0 || m->has_all_layers) {
        put_key(w, "piece layers");
        bt_put_layers(w->o, refs, n);
    }
    tarn_free(refs);
}

void bt_metainfo_write(const struct bt_metainfo *m, struct tarn_out *o)
{
    struct writer w = { .m = m, .o = o };
    benc_open_dict(o);
    put_trackers(&w);
    put_text(&w, "comment", m->comment);
    put_text(&w, "created by", m->created_by);
    if (m->created_at >= 0) {
        put_key(&w, "creation date");
        benc_put_int(o, m->created_at);
    }
    put_strings(&w, "httpseeds", m->http_seeds, m->n_http_seeds);
    put_key(&w, "info");
    tarn_out_put(o, m->info);
    put_nodes(&w);
    if (m->hashes.has_v2)
        put_layers(&w);
    put_strings(&w, "url-list", m->web_seeds, m->n_web_seeds);
    put_extras(&w, NULL);
    benc_close(o);
}
