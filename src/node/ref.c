/* node/ref: one way after the other, in the order of docs/api.md. */
#include "node/ref.h"

#include "base/num.h"
#include "base/text.h"
#include "bt/core/magnet.h"
#include "codec/url.h"
#include "node/route.h"

#include <stdio.h>

/* What one way of reading the text came to. */
enum way { NOT_SO, FOUND, FAILED };

static bool is_nothing(struct tarn_bytes ref, struct tarn_err *err)
{
    struct tarn_quote q;
    return tarn_fail(err, TARN_E_NOT_FOUND, "there is nothing called '%s' here: see `tarn ls`",
                     tarn_quote(&q, ref));
}

static enum way collection_by_id(const struct node_ref_in *in, uint32_t id, struct node_ref *out,
                                 struct tarn_err *err)
{
    out->kind = NODE_REF_COLLECTION;
    switch (catalog_collection_get(in->read, id, &out->collection, err)) {
    case CATALOG_FOUND:
        return FOUND;
    case CATALOG_NOT_THERE:
        return NOT_SO;
    case CATALOG_FAILED:
        break;
    }
    return FAILED;
}

static enum way torrent(const struct node_torrent *t, struct node_ref *out)
{
    out->kind = NODE_REF_TORRENT;
    out->torrent = t;
    return t == NULL ? NOT_SO : FOUND;
}

static enum way by_number(const struct node_ref_in *in, struct tarn_bytes ref, struct node_ref *out,
                          struct tarn_err *err)
{
    uint64_t id;
    if (!tarn_parse_u64(ref, 2 * (uint64_t)UINT32_MAX, &id) || id == 0)
        return NOT_SO;
    if (id % 2 == 1)
        return collection_by_id(in, (uint32_t)((id + 1) / 2), out, err);
    return in->torrents == NULL ? NOT_SO
                                : torrent(node_torrents_get(in->torrents, (uint32_t)(id / 2)), out);
}

static enum way by_hash(const struct node_ref_in *in, struct tarn_bytes hash, struct node_ref *out,
                        struct tarn_err *err)
{
    const struct node_seed *s = in->seeding == NULL ? NULL : node_seeding_hashed(in->seeding, hash);
    if (s != NULL)
        return collection_by_id(in, s->collection, out, err);
    return in->torrents == NULL ? NOT_SO : torrent(node_torrents_hashed(in->torrents, hash), out);
}

static enum way by_hex(const struct node_ref_in *in, struct tarn_bytes ref, struct node_ref *out,
                       struct tarn_err *err)
{
    uint8_t hash[32];
    if ((ref.len == 40 && tarn_unhex(ref, hash, 20)) ||
        (ref.len == 64 && tarn_unhex(ref, hash, 32)))
        return by_hash(in, tarn_bytes_of(hash, ref.len / 2), out, err);
    return NOT_SO;
}

static enum way entry(const struct node_ref_in *in, enum catalog_found found, struct node_ref *out,
                      struct tarn_err *err)
{
    out->kind = NODE_REF_ENTRY;
    if (found == CATALOG_FOUND)
        found = catalog_collection_get(in->read, out->entry.collection, &out->collection, err);
    return found == CATALOG_FOUND ? FOUND : found == CATALOG_NOT_THERE ? NOT_SO : FAILED;
}

/* "<64 hex>-<length>", as the path /root/ has it. */
static enum way by_identity(const struct node_ref_in *in, struct tarn_bytes ref,
                            struct node_ref *out, struct tarn_err *err)
{
    char path[128];
    struct node_route r;
    struct catalog_identity id;
    int n = snprintf(path, sizeof path, "/root/%.*s", (int)tarn_min_size(ref.len, 100),
                     (const char *)ref.p);
    node_route(&r, tarn_bytes_of(path, (size_t)n));
    if (r.kind != NODE_ROUTE_ROOT || ref.len > 100)
        return NOT_SO;
    memcpy(id.root, r.root, sizeof id.root);
    id.len = r.len;
    return entry(in, catalog_find_identity(in->read, &id, CATALOG_MINE, &out->entry, err), out,
                 err);
}

/* Below a collection: its own folder is the collection. */
static enum way below(const struct node_ref_in *in, struct tarn_bytes path, struct node_ref *out,
                      struct tarn_err *err)
{
    while (path.len > 0 && path.p[path.len - 1] == '/')
        path.len--;
    if (path.len == 0) {
        out->kind = NODE_REF_COLLECTION;
        return FOUND;
    }
    return entry(in, catalog_find(in->read, &out->collection, path, &out->entry, err), out, err);
}

static enum way by_place(const struct node_ref_in *in, struct tarn_bytes ref, struct node_ref *out,
                         struct tarn_err *err)
{
    enum catalog_found found;
    out->collection.id = 0;
    while ((found = catalog_collection_next(in->read, out->collection.id, &out->collection, err)) ==
           CATALOG_FOUND) {
        struct tarn_bytes root = out->collection.path;
        if (ref.len < root.len || memcmp(ref.p, root.p, root.len) != 0 ||
            (ref.len > root.len && ref.p[root.len] != '/'))
            continue;
        size_t skip = tarn_min_size(root.len + 1, ref.len);
        return below(in, tarn_bytes_of(ref.p + skip, ref.len - skip), out, err);
    }
    return found == CATALOG_FAILED ? FAILED : NOT_SO;
}

/* As it is written first: that is right even when the disk is away. */
static enum way by_disk_path(const struct node_ref_in *in, struct tarn_bytes ref,
                             struct node_ref *out, struct tarn_err *err)
{
    const char *const others[] = { in->path.named, in->path.real };
    if (ref.len == 0 || ref.p[0] != '/')
        return NOT_SO;
    enum way way = by_place(in, ref, out, err);
    for (size_t i = 0; way == NOT_SO && i < TARN_COUNT_OF(others); i++)
        if (others[i] != NULL)
            way = by_place(in, tarn_bytes_str(others[i]), out, err);
    return way;
}

static enum way by_magnet(const struct node_ref_in *in, struct tarn_bytes ref, struct node_ref *out,
                          struct tarn_err *err)
{
    struct bt_magnet m = { 0 };
    enum way way = FAILED;
    if (!bt_is_magnet(ref))
        return NOT_SO;
    if (bt_magnet_parse(&m, ref, err)) {
        way = m.hashes.has_v1 ? by_hash(in, tarn_bytes_of(m.hashes.v1, 20), out, err) : NOT_SO;
        if (way == NOT_SO && m.hashes.has_v2)
            way = by_hash(in, tarn_bytes_of(m.hashes.v2, 32), out, err);
    }
    bt_magnet_release(&m);
    return way;
}

/* NAME or NAME/path, unescaped. */
static enum way by_collection(const struct node_ref_in *in, struct tarn_bytes ref,
                              struct node_ref *out, struct tarn_err *err)
{
    const uint8_t *slash = ref.len == 0 ? NULL : memchr(ref.p, '/', ref.len);
    size_t n = slash == NULL ? ref.len : (size_t)(slash - ref.p);
    switch (catalog_collection_named(in->read, tarn_bytes_of(ref.p, n), &out->collection, err)) {
    case CATALOG_FAILED:
        return FAILED;
    case CATALOG_NOT_THERE:
        return NOT_SO;
    case CATALOG_FOUND:
        break;
    }
    return below(in,
                 tarn_bytes_of(ref.p + n, ref.len - n).len > 0
                     ? tarn_bytes_of(ref.p + n + 1, ref.len - n - 1)
                     : tarn_bytes_of(NULL, 0),
                 out, err);
}

/* What this node itself serves under that URL: another node's may have the same names. */
static enum way by_url(const struct node_ref_in *in, struct tarn_bytes ref, struct node_ref *out,
                       struct tarn_err *err)
{
    size_t n = in->public_url == NULL ? 0 : strlen(in->public_url);
    if (n == 0 || ref.len < n || memcmp(ref.p, in->public_url, n) != 0)
        return NOT_SO;
    struct tarn_bytes path = tarn_bytes_of(ref.p + n, ref.len - n);
    for (size_t i = 0; i < path.len; i++)
        if (path.p[i] == '?' || path.p[i] == '#')
            path.len = i;
    struct tarn_out plain;
    tarn_out_init(&plain, CATALOG_PATH_MAX + 512);
    url_unescape(&plain, path, false);
    path = tarn_out_bytes(&plain);
    enum way way = NOT_SO;
    if (path.len > 5 && memcmp(path.p, "root/", 5) == 0)
        way = by_identity(in, tarn_bytes_of(path.p + 5, path.len - 5), out, err);
    else if (path.len > 2 && memcmp(path.p, "c/", 2) == 0)
        way = by_collection(in, tarn_bytes_of(path.p + 2, path.len - 2), out, err);
    tarn_out_release(&plain);
    return way;
}

static enum way by_torrent_name(const struct node_ref_in *in, struct tarn_bytes ref,
                                struct node_ref *out, struct tarn_err *err)
{
    const struct node_torrent *t = NULL, *found = NULL;
    uint32_t at = 0;
    if (in->torrents == NULL)
        return NOT_SO;
    while ((t = node_torrents_next(in->torrents, at)) != NULL) {
        at = t->id;
        if (!tarn_bytes_eq_str(ref, t->name))
            continue;
        if (found != NULL) {
            (void)tarn_fail(err, TARN_E_USAGE,
                            "several torrents have this name: say which by its number (%llu, %llu)",
                            (unsigned long long)node_id_of_torrent(found->id),
                            (unsigned long long)node_id_of_torrent(t->id));
            return FAILED;
        }
        found = t;
    }
    return torrent(found, out);
}

bool node_ref_find(const struct node_ref_in *in, struct tarn_bytes ref, struct node_ref *out,
                   struct tarn_err *err)
{
    static enum way (*const ways[])(const struct node_ref_in *in, struct tarn_bytes ref,
                                    struct node_ref *out, struct tarn_err *err) = {
        by_number, by_hex,    by_identity,   by_disk_path,
        by_url,    by_magnet, by_collection, by_torrent_name,
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        switch (ways[i](in, ref, out, err)) {
        case FOUND:
            return true;
        case FAILED:
            return false;
        case NOT_SO:
            break;
        }
    return is_nothing(ref, err);
}
