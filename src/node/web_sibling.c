/* node/web_sibling: what derives from a file or a collection: its torrent, magnet link, metalink,
 * checksums; and the proof of a range. On a thread of the pool. */
#include "node/web_priv.h"

#include "bt/core/magnet.h"
#include "codec/url.h"
#include "node/derived.h"
#include "node/seeding.h"

#include <stdio.h>

/* Names are of strangers, and a header field is ASCII: RFC 6266 has a place for the rest. */
static void name_download(struct web_job *j, struct tarn_bytes name, const char *ending)
{
    tarn_out_str(&j->disposition, "attachment; filename*=UTF-8''");
    url_escape(&j->disposition, name);
    tarn_out_str(&j->disposition, ending);
    if (!tarn_out_ok(&j->disposition))
        tarn_out_clear(&j->disposition); /* the browser names it by the URL then */
}

static void finish(struct web_job *j, const char *type, bool ok, const struct tarn_err *err)
{
    j->found = WEB_BYTES;
    j->type = type;
    j->cache = "no-cache";
    if (!ok)
        web_refuse_err(j, err);
    else if (!tarn_out_ok(&j->body))
        web_refuse(j, 503, "The answer is longer than 16 MiB, or the server is out of memory.");
}

/* A torrent's bytes in the body become its magnet link. */
static bool to_magnet(struct web_job *j, struct tarn_err *err)
{
    struct bt_metainfo meta = { 0 };
    bool ok = bt_metainfo_parse(&meta, tarn_out_bytes(&j->body), err);
    tarn_out_clear(&j->body);
    if (ok)
        bt_magnet_write(&meta, &j->body);
    tarn_out_u8(&j->body, '\n');
    bt_metainfo_release(&meta);
    return ok;
}

static const char *const types[] = {
    [NODE_TORRENT] = "application/x-bittorrent",
    [NODE_MAGNET] = "text/plain; charset=utf-8",
    [NODE_META4] = "application/metalink4+xml",
    [NODE_SHA256] = "text/plain; charset=utf-8",
};

static bool is_without_bt(struct web_job *j, const struct catalog_collection *c,
                          enum node_sibling kind)
{
    if (c->bt != CATALOG_BT_OFF || (kind != NODE_TORRENT && kind != NODE_MAGNET))
        return false;
    web_refuse(j, 404, "This collection is not shared by BitTorrent.");
    return true;
}

static bool has_turn(struct web_job *j)
{
    if (!j->is_heavy)
        j->found = WEB_HEAVY;
    return j->is_heavy;
}

void web_sibling_of_file(struct web_job *j, struct catalog_read *r,
                         const struct catalog_collection *in, const struct catalog_entry *e,
                         struct tarn_bytes path, enum node_sibling kind)
{
    struct tarn_err err;
    const struct derived_from *from = &j->door->web->node->from;
    bool ok = false;
    if (is_without_bt(j, in, kind) || !has_turn(j))
        return;
    switch (kind) {
    case NODE_NO_SIBLING:
        break;
    case NODE_TORRENT:
        ok = derived_file(r, in, e, path, from, &j->body, &j->hashes, &err);
        name_download(j, e->name, ".torrent");
        break;
    case NODE_MAGNET:
        ok = derived_file(r, in, e, path, from, &j->body, &j->hashes, &err) && to_magnet(j, &err);
        break;
    case NODE_META4:
        ok = derived_meta4(r, in, e, path, from, &j->body, &err);
        name_download(j, e->name, ".meta4");
        break;
    case NODE_SHA256:
        ok = derived_sha256(r, in, e, path, &j->body, &err);
        break;
    }
    j->collection = in->id;
    j->handed = path;
    if (!ok)
        j->hashes = (struct bt_hashes){ 0 };
    finish(j, types[kind], ok, &err);
}

/* Whoever has the torrent of a file may come for it: let him be served. */
void web_note_torrent(struct web_job *j)
{
    struct node *n = j->door->web->node;
    const struct bt_hashes *h = &j->hashes;
    struct tarn_err err;
    if (!h->has_v1 && !h->has_v2)
        return;
    if (!node_singles_note(n->kv, NODE_TABLE_SINGLE, n->catalog, h, j->collection, j->handed, &err))
        node_log_err(n->log, NODE_WARNING, "http", &err);
    else
        node_want_single(n, h->has_v1 ? h->v1 : h->v2);
}

/* The torrent of a collection is the one that is seeded: made once for each version, and kept, as
 * is why there can be none. When there is neither yet, making it says why not. */
static bool read_torrent(struct web_job *j, struct catalog_read *r,
                         const struct catalog_collection *c, struct tarn_err *err)
{
    const struct node *n = j->door->web->node;
    uint64_t left_out;
    if (atomic_load(&n->is_seeding)) {
        bool is = node_seeding_torrent(&r->kv, NODE_TABLE_SEEDING, c, &j->body, err);
        if (is || err->code != TARN_E_DAEMON)
            return is;
    }
    return derived_collection(r, c, &n->from, &j->body, &left_out, err);
}

void web_sibling_of_collection(struct web_job *j, struct catalog_read *r,
                               const struct catalog_collection *c, enum node_sibling kind)
{
    struct tarn_err err;
    const struct derived_from *from = &j->door->web->node->from;
    bool ok = false;
    if (is_without_bt(j, c, kind) || !has_turn(j))
        return;
    switch (kind) {
    case NODE_NO_SIBLING:
        break;
    case NODE_TORRENT:
        ok = read_torrent(j, r, c, &err);
        name_download(j, c->name, ".torrent");
        break;
    case NODE_MAGNET:
        ok = read_torrent(j, r, c, &err) && to_magnet(j, &err);
        break;
    case NODE_META4:
        ok = derived_meta4(r, c, NULL, tarn_bytes_of(NULL, 0), from, &j->body, &err);
        name_download(j, c->name, ".meta4");
        break;
    case NODE_SHA256:
        ok = derived_sha256(r, c, NULL, tarn_bytes_of(NULL, 0), &j->body, &err);
        break;
    }
    finish(j, types[kind], ok, &err);
}

void web_proof(struct web_job *j, struct catalog_read *r, const struct catalog_entry *e)
{
    struct tarn_err err;
    if (!has_turn(j))
        return;
    bool ok = derived_proof(r, e, j->part.at, j->part.len, &j->body, &err);
    finish(j, "application/json", ok, &err);
    if (j->found == WEB_BYTES) { /* it is of this identity, for ever; and of the range asked for */
        j->vary = "Range";
        j->cache = "public, max-age=31536000, immutable";
    }
}
