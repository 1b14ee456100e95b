/* node/admin_do: what changes something: publish, add, pause, remove, scrub, reload. The body of a
 * request is one JSON object; what comes of it is answered when it is in the index. */
#include "node/admin_priv.h"

#include "base/mem.h"
#include "base/near.h"
#include "base/text.h"

#include <jansson.h>
#include <stdio.h>

/* ---- bodies ---- */

static const char *nearest(const char *key, const char *const *keys)
{
    const char *near = NULL;
    unsigned best = TARN_NEAR_MAX;
    for (; *keys != NULL; keys++)
        if (tarn_is_near(key, *keys, &best))
            near = *keys;
    return near;
}

/* An object with no other keys than these (NULL behind the last). NULL: answered. */
static json_t *read_object(struct admin_call *c, struct tarn_bytes body, const char *const *keys)
{
    json_error_t fault;
    struct tarn_err err;
    struct tarn_quote q;
    const char *key;
    json_t *value, *o = json_loadb((const char *)body.p, body.len, JSON_REJECT_DUPLICATES, &fault);
    if (!json_is_object(o)) {
        (void)tarn_fail(&err, TARN_E_USAGE, "the body is no JSON object: %s",
                        o == NULL ? tarn_quote_str(&q, fault.text) : "it is something else");
        json_decref(o);
        admin_fail(c, &err);
        return NULL;
    }
    json_object_foreach(o, key, value)
    {
        size_t i = 0;
        while (keys[i] != NULL && strcmp(keys[i], key) != 0)
            i++;
        if (keys[i] != NULL)
            continue;
        const char *near = nearest(key, keys);
        (void)tarn_fail(&err, TARN_E_USAGE, "'%s' is no key of this request%s%s%s",
                        tarn_quote_str(&q, key),
                        near == NULL ? ": see docs/api.md" : "; did you mean '",
                        near == NULL ? "" : near, near == NULL ? "" : "'?");
        admin_fail(c, &err);
        json_decref(o);
        return NULL;
    }
    return o;
}

/* A text that is kept with the call; *text is NULL when there is no such key. False: answered. */
static bool read_text(struct admin_call *c, const json_t *o, const char *key, const char **text)
{
    const json_t *value = json_object_get(o, key);
    char detail[80];
    *text = NULL;
    if (value == NULL)
        return true;
    const char *s = json_string_value(value);
    if (s != NULL && strlen(s) == json_string_length(value)) {
        *text = admin_keep(c, s);
        if (*text != NULL)
            return true;
    }
    (void)snprintf(detail, sizeof detail, "'%s' must be a text without a NUL", key);
    admin_refuse(c, 400, TARN_E_USAGE, detail);
    return false;
}

static bool read_bool(struct admin_call *c, const json_t *o, const char *key, bool *is)
{
    const json_t *value = json_object_get(o, key);
    char detail[80];
    if (value == NULL)
        return true;
    *is = json_is_true(value);
    if (json_is_boolean(value))
        return true;
    (void)snprintf(detail, sizeof detail, "'%s' must be true or false", key);
    admin_refuse(c, 400, TARN_E_USAGE, detail);
    return false;
}

/* One of a few words; *choice stays as it is when the key is not there. */
static bool read_word(struct admin_call *c, const json_t *o, const char *key,
                      const char *const *words, unsigned n, unsigned *choice)
{
    const json_t *value = json_object_get(o, key);
    const char *s = json_string_value(value);
    char detail[160];
    if (value == NULL)
        return true;
    for (unsigned i = 0; s != NULL && i < n; i++)
        if (strcmp(s, words[i]) == 0) {
            *choice = i;
            return true;
        }
    (void)snprintf(detail, sizeof detail, "'%s' must be one of %s, %s, %s%s%s", key, words[0],
                   words[1], words[2], n > 3 ? ", " : "", n > 3 ? words[3] : "");
    admin_refuse(c, 400, TARN_E_USAGE, detail);
    return false;
}

/* ---- answers ---- */

static void say_where(struct admin_call *c, uint64_t id)
{
    (void)snprintf(c->location, sizeof c->location, "/v1/items?ref=%llu", (unsigned long long)id);
}

/* The collection or torrent as it is now. */
static void answer_collection(struct admin_call *c)
{
    struct catalog_read r;
    struct catalog_collection k;
    struct tarn_err err;
    if (!admin_read(c, &r))
        return;
    switch (catalog_collection_get(&r, c->collection, &k, &err)) {
    case CATALOG_FOUND:
        say_where(c, node_id_of_collection(k.id));
        (void)admin_object(c, "collection");
        admin_put_collection(c, &r, &k);
        admin_send(c, c->status);
        break;
    case CATALOG_NOT_THERE:
        admin_refuse(c, 404, TARN_E_NOT_FOUND, "somebody has removed the collection meanwhile");
        break;
    case CATALOG_FAILED:
        admin_fail(c, &err);
        break;
    }
    catalog_read_end(&r);
}

static void answer_torrent(struct admin_call *c)
{
    const struct node_torrent *t = c->ask.torrent.result;
    if (t == NULL) {
        admin_refuse(c, 404, TARN_E_NOT_FOUND, "somebody has removed the torrent meanwhile");
        return;
    }
    say_where(c, node_id_of_torrent(t->id));
    (void)admin_object(c, "torrent");
    admin_put_torrent(c, t);
    admin_send(c, c->status);
}

/* What an ask came to, for a client that is still there. */
static void answer_asked(struct admin_call *c, bool is_ok, const struct tarn_err *err,
                         void (*answer)(struct admin_call *c))
{
    if (!admin_asked(c))
        return;
    if (is_ok)
        answer(c);
    else
        admin_fail(c, err);
}

static void refuse_without_bt(struct admin_call *c)
{
    admin_refuse(c, 409, TARN_E_POLICY, "BitTorrent is off on this node: see bt.listen");
}

/* ---- publish ---- */

static void on_published(struct catalog_ask *ask)
{
    struct admin_call *c = TARN_OUTER(ask, struct admin_call, ask.catalog);
    c->status = ask->collection > c->collection ? 201 : 200; /* c->collection: the newest before */
    c->collection = ask->collection;
    answer_asked(c, ask->is_ok, &ask->err, answer_collection);
}

/* Of a folder that is published already, what is not said again stays. */
static unsigned what_stays(const json_t *o)
{
    static const struct {
        const char *key;
        enum catalog_keep keep;
    } settings[] = {
        { "name", CATALOG_KEEP_NAME },     { "policy", CATALOG_KEEP_POLICY },
        { "bt", CATALOG_KEEP_BT },         { "http", CATALOG_KEEP_HTTP },
        { "hidden", CATALOG_KEEP_HIDDEN }, { "links", CATALOG_KEEP_LINKS },
    };
    unsigned keep = 0;
    for (size_t i = 0; i < TARN_COUNT_OF(settings); i++)
        if (json_object_get(o, settings[i].key) == NULL)
            keep |= settings[i].keep;
    return keep;
}

/* False: answered. */
static bool read_spec(struct admin_call *c, const json_t *o, struct catalog_spec *s)
{
    static const char *const policies[] = { "public", "partners", "mine" };
    static const char *const bts[] = { "off", "v1", "v2", "hybrid" };
    *s = (struct catalog_spec){ .policy = CATALOG_PUBLIC,
                                .bt = CATALOG_BT_HYBRID,
                                .http = true,
                                .origin = CATALOG_COMMANDED,
                                .keep = what_stays(o) };
    if (!read_text(c, o, "path", &s->path))
        return false;
    if (s->path == NULL || s->path[0] != '/') {
        admin_refuse(c, 400, TARN_E_USAGE, "'path' must be the absolute path of a folder");
        return false;
    }
    unsigned policy = s->policy, bt = s->bt;
    if (!read_text(c, o, "name", &s->name) || !read_word(c, o, "policy", policies, 3, &policy) ||
        !read_word(c, o, "bt", bts, 4, &bt) || !read_bool(c, o, "http", &s->http) ||
        !read_bool(c, o, "hidden", &s->hidden) || !read_bool(c, o, "links", &s->links))
        return false;
    s->policy = (enum catalog_policy)policy;
    s->bt = (enum catalog_bt)bt;
    return true;
}

/* Numbers grow: what is made from now on has a greater one. */
static uint32_t newest_collection(struct catalog *catalog)
{
    struct catalog_read r;
    struct catalog_collection k = { 0 };
    struct tarn_err err;
    uint32_t newest = 0;
    if (!catalog_read_begin(catalog, &r, &err))
        return UINT32_MAX;
    while (catalog_collection_next(&r, newest, &k, &err) == CATALOG_FOUND)
        newest = k.id;
    catalog_read_end(&r);
    return newest;
}

void admin_publish(struct admin_call *c, struct tarn_bytes body)
{
    static const char *const keys[] = { "path", "name",   "policy", "bt",
                                        "http", "hidden", "links",  NULL };
    struct catalog_spec spec;
    json_t *o = read_object(c, body, keys);
    if (o == NULL)
        return;
    bool ok = read_spec(c, o, &spec);
    json_decref(o);
    if (!ok)
        return;
    c->collection = newest_collection(c->admin->node->catalog);
    c->is_asking = true;
    c->ask.catalog = (struct catalog_ask){ .done = on_published };
    catalog_publish(c->admin->node->catalog, &spec, &c->ask.catalog);
}

/* ---- add ---- */

static void on_torrent(struct node_torrent_ask *ask)
{
    struct admin_call *c = TARN_OUTER(ask, struct admin_call, ask.torrent);
    answer_asked(c, ask->is_ok, &ask->err, answer_torrent);
}

static void refuse_malformed(struct admin_call *c)
{
    const struct tarn_err *err = &c->ask.torrent.err;
    admin_refuse(c, 422, err->code, err->msg);
}

static void on_added(struct node_torrent_ask *ask)
{
    struct admin_call *c = TARN_OUTER(ask, struct admin_call, ask.torrent);
    c->status = ask->is_new ? 201 : 200;
    answer_asked(c, ask->is_ok || ask->is_malformed, &ask->err,
                 ask->is_ok ? answer_torrent : refuse_malformed);
}

static bool read_base64(struct admin_call *c, const json_t *o, struct node_torrent_ask *ask)
{
    const json_t *value = json_object_get(o, "torrent_b64");
    size_t n = json_string_length(value);
    if (value == NULL)
        return true;
    c->bytes = tarn_calloc(n / 4 * 3 + 3, 1);
    if (c->bytes != NULL && json_is_string(value) &&
        tarn_unbase64(tarn_bytes_of(json_string_value(value), n), c->bytes, n / 4 * 3 + 3,
                      &ask->torrent.len)) {
        ask->torrent.p = c->bytes;
        return true;
    }
    admin_refuse(c, 400, TARN_E_USAGE, "'torrent_b64' must be a torrent file in base64");
    return false;
}

static bool read_add(struct admin_call *c, const json_t *o, struct node_torrent_ask *ask)
{
    *ask = (struct node_torrent_ask){ .done = on_added };
    if (!read_text(c, o, "magnet", &ask->magnet) || !read_text(c, o, "url", &ask->url) ||
        !read_text(c, o, "folder", &ask->folder) || !read_bool(c, o, "paused", &ask->is_paused) ||
        !read_base64(c, o, ask))
        return false;
    if ((ask->magnet != NULL) + (ask->url != NULL) + (ask->torrent.p != NULL) != 1)
        admin_refuse(c, 400, TARN_E_USAGE, "say exactly one of magnet, url and torrent_b64");
    else if (ask->folder != NULL && ask->folder[0] != '/')
        admin_refuse(c, 400, TARN_E_USAGE, "'folder' must be an absolute path");
    else
        return true;
    return false;
}

void admin_add(struct admin_call *c, struct tarn_bytes body)
{
    static const char *const keys[] = { "magnet", "url", "torrent_b64", "folder", "paused", NULL };
    struct tarn_err err;
    if (!node_bt_need(c->admin->node, &err)) {
        admin_fail(c, &err);
        return;
    }
    json_t *o = read_object(c, body, keys);
    if (o == NULL)
        return;
    bool ok = read_add(c, o, &c->ask.torrent);
    json_decref(o);
    if (!ok)
        return;
    c->is_asking = true;
    c->is_fetching = true;
    node_torrents_add(c->admin->node->torrents, &c->ask.torrent);
}

/* ---- pause, resume ---- */

static void on_seeding(struct node_seeding_ask *ask)
{
    struct admin_call *c = TARN_OUTER(ask, struct admin_call, ask.seeding);
    answer_asked(c, ask->is_ok, &ask->err, answer_collection);
}

/* The item of ?ref=: a collection or a torrent, not something in one. False: answered. */
static bool read_item(struct admin_call *c, struct node_ref *ref)
{
    struct catalog_read r;
    if (!admin_read(c, &r))
        return false;
    bool ok = admin_ref(c, &r, ref);
    catalog_read_end(&r);
    if (ok && ref->kind == NODE_REF_ENTRY) {
        admin_refuse(c, 400, TARN_E_USAGE,
                     "this is one of a collection's files: name the collection");
        return false;
    }
    if (ok) {
        c->collection = ref->kind == NODE_REF_TORRENT ? 0 : ref->collection.id;
        c->torrent = ref->kind == NODE_REF_TORRENT ? ref->torrent->id : 0;
    }
    return ok;
}

void admin_pause(struct admin_call *c, bool is_paused)
{
    struct node_ref ref;
    if (!read_item(c, &ref))
        return;
    c->status = 200;
    if (c->torrent != 0) {
        c->is_asking = true;
        c->ask.torrent = (struct node_torrent_ask){ .done = on_torrent };
        node_torrents_pause(c->admin->node->torrents, c->torrent, is_paused, &c->ask.torrent);
    } else if (c->admin->node->seeding == NULL) {
        refuse_without_bt(c);
    } else if (node_seeding_get(c->admin->node->seeding, c->collection) == NULL) {
        admin_refuse(c, 409, TARN_E_POLICY, "this collection is not shared by BitTorrent");
    } else {
        c->is_asking = true;
        c->ask.seeding = (struct node_seeding_ask){ .done = on_seeding };
        node_seeding_pause(c->admin->node->seeding, c->collection, is_paused, &c->ask.seeding);
    }
}

/* ---- remove ---- */

static void answer_removed(struct admin_call *c)
{
    struct json *j = admin_object(c, "removed");
    json_put_u64(j, "id",
                 c->torrent != 0 ? node_id_of_torrent(c->torrent)
                                 : node_id_of_collection(c->collection));
    json_put_bytes(j, "name", tarn_bytes_str(c->texts[0]));
    admin_send(c, 200);
}

static void on_unpublished(struct catalog_ask *ask)
{
    struct admin_call *c = TARN_OUTER(ask, struct admin_call, ask.catalog);
    answer_asked(c, ask->is_ok, &ask->err, answer_removed);
}

static void on_removed(struct node_torrent_ask *ask)
{
    struct admin_call *c = TARN_OUTER(ask, struct admin_call, ask.torrent);
    answer_asked(c, ask->is_ok, &ask->err, answer_removed);
}

/* The name outlives what it is of. */
static bool keep_name(struct admin_call *c, const struct node_ref *ref)
{
    struct tarn_bytes name =
        ref->kind == NODE_REF_TORRENT ? tarn_bytes_str(ref->torrent->name) : ref->collection.name;
    char text[CATALOG_NAME_MAX * 3 + 1];
    (void)snprintf(text, sizeof text, "%.*s", (int)name.len, (const char *)name.p);
    if (admin_keep(c, text) != NULL)
        return true;
    admin_refuse(c, 500, TARN_E_NO_MEMORY, "there is no memory to remove it");
    return false;
}

void admin_remove(struct admin_call *c)
{
    struct catalog_read r;
    struct node_ref ref;
    if (!read_item(c, &ref) || !admin_read(c, &r))
        return;
    /* what is borrowed of the read before has gone with it */
    bool ok = admin_ref(c, &r, &ref) && keep_name(c, &ref);
    catalog_read_end(&r);
    if (!ok)
        return;
    c->is_asking = true;
    if (c->torrent != 0) {
        c->ask.torrent = (struct node_torrent_ask){ .done = on_removed };
        node_torrents_remove(c->admin->node->torrents, c->torrent, &c->ask.torrent);
    } else {
        c->ask.catalog = (struct catalog_ask){ .done = on_unpublished };
        catalog_unpublish(c->admin->node->catalog, c->collection, CATALOG_COMMANDED,
                          &c->ask.catalog);
    }
}

/* ---- scrub, reload ---- */

void admin_scrub(struct admin_call *c)
{
    struct node_ref ref;
    if (c->ref != NULL && !read_item(c, &ref))
        return;
    if (c->torrent != 0) {
        admin_refuse(c, 400, TARN_E_USAGE,
                     "a scrub is of collections; a torrent checks what it sends");
        return;
    }
    catalog_check(c->admin->node->catalog, c->collection);
    (void)admin_object(c, "scrub");
    admin_put_scrub(c);
    admin_send(c, 202);
}

void admin_scrub_look(struct admin_call *c)
{
    (void)admin_object(c, "scrub");
    admin_put_scrub(c);
    admin_send(c, 200);
}

void admin_reload(struct admin_call *c)
{
    struct tarn_err err;
    if (!node_reload(c->admin->node, &err)) {
        admin_fail(c, &err);
        return;
    }
    (void)admin_object(c, "reloaded");
    admin_send(c, 200);
}
