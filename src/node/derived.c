/* node/derived: feeds the pure makers of core/ with the catalog's records, file by file. */
#include "node/derived.h"

#include "base/mem.h"
#include "codec/html.h"
#include "codec/url.h"
#include "node/core/derive.h"
#include "node/core/meta4.h"
#include "node/html.h"

#include <stdio.h>

enum { URL_MAX = 3 * CATALOG_PATH_MAX + 1024 };

void derived_url(struct tarn_out *o, const char *public_url, struct tarn_bytes collection,
                 struct tarn_bytes path)
{
    tarn_out_str(o, public_url);
    tarn_out_str(o, "c/");
    url_escape(o, collection);
    tarn_out_u8(o, '/');
    html_path(o, path);
}

static enum bt_format format_of(const struct catalog_collection *c)
{
    switch (c->bt) {
    case CATALOG_BT_V1:
        return BT_V1;
    case CATALOG_BT_V2:
        return BT_V2;
    case CATALOG_BT_HYBRID:
    case CATALOG_BT_OFF:
        break;
    }
    return BT_HYBRID;
}

static bool not_held(struct tarn_err *err)
{
    return tarn_fail(err, TARN_E_DAEMON,
                     "some of it is new or has changed and is being read: try again soon");
}

/* piece_len: of the v1 pieces that are wanted; 0: of those that are there. */
static bool read_known(struct catalog_read *r, const struct catalog_entry *e, uint32_t piece_len,
                       struct catalog_known *known, struct tarn_err *err)
{
    if (e->kind != CATALOG_FILE || e->state != CATALOG_HELD)
        return not_held(err);
    switch (catalog_known_v1(r, &e->identity, piece_len, known, err)) {
    case CATALOG_FOUND:
        return true;
    case CATALOG_NOT_THERE:
        return not_held(err);
    case CATALOG_FAILED:
        break;
    }
    return false;
}

/* ---- torrents ---- */

static bool feed_leaves(void *arg, uint64_t first, const uint8_t *hashes, size_t n,
                        struct tarn_err *err)
{
    (void)first;
    return derive_leaves(arg, hashes, n, err);
}

static bool feed_pieces(void *arg, uint64_t first, const uint8_t *hashes, size_t n,
                        struct tarn_err *err)
{
    (void)first;
    return derive_pieces(arg, hashes, n, err);
}

/* Hashes that are not of their root: they are wanted, so the file is read again for them. */
static bool tell_lost(struct catalog_read *r, const struct catalog_entry *e, struct tarn_err *err)
{
    if (err->code != TARN_E_INTEGRITY)
        return false;
    catalog_report_lost(r->c, e->id);
    return tarn_fail(err, TARN_E_DAEMON,
                     "the hashes of a file were lost, and it is being read again for them: try "
                     "again soon");
}

static bool has_v1(const struct catalog_collection *c, const struct catalog_known *known,
                   struct tarn_err *err)
{
    return format_of(c) == BT_V2 || known->v1_piece_len == c->piece_len ||
           tarn_fail(err, TARN_E_INTEGRITY, "v1 pieces of %u bytes are not known", c->piece_len);
}

static bool add_file(struct derive *d, struct catalog_read *r, const struct catalog_collection *c,
                     const struct catalog_entry *e, struct tarn_bytes path, bool *has_lost,
                     struct tarn_err *err)
{
    struct catalog_known known;
    struct catalog_leaves *hashes = catalog_hashes(r->c);
    uint64_t len = e->identity.len;
    if (!read_known(r, e, c->piece_len, &known, err))
        return false;
    const struct derive_file f = {
        .path = path,
        .len = len,
        .is_executable = e->stat.is_executable,
        .root = e->identity.root,
        .tail = known.has_tail ? known.tail : NULL,
        .tail_padded = known.has_tail ? known.tail_padded : NULL,
    };
    bool ok = has_v1(c, &known, err) && derive_begin(d, &f, err) &&
              (!derive_wants_leaves(d, len) ||
               catalog_leaves_walk(hashes, known.leaves, CATALOG_LEAVES, e->identity.root,
                                   feed_leaves, d, err)) &&
              (!derive_wants_pieces(d, len) || known.pieces.len == 0 ||
               catalog_leaves_walk(hashes, known.pieces, CATALOG_PIECES, e->identity.root,
                                   feed_pieces, d, err)) &&
              derive_end(d, err);
    *has_lost = !ok && err->code == TARN_E_INTEGRITY;
    return ok || tell_lost(r, e, err);
}

/* One web seed, when this node knows its URL: the file at path, or where all collections are (an
 * empty name), to which clients add the torrent's name and their path (BEP 19). *seed: the
 * caller's. */
static bool add_web_seed(struct derive_settings *set, const struct derived_from *from,
                         struct tarn_bytes collection, struct tarn_bytes path, char **seed,
                         struct tarn_err *err)
{
    struct tarn_out o;
    if (from->public_url[0] == '\0')
        return true;
    tarn_out_init(&o, URL_MAX);
    if (collection.len > 0)
        derived_url(&o, from->public_url, collection, path);
    else
        tarn_out_fmt(&o, "%sc/", from->public_url);
    *seed = tarn_out_take_str(&o);
    if (*seed == NULL)
        return tarn_fail_mem(err, "making a torrent");
    set->web_seeds = (const char *const *)seed;
    set->n_web_seeds = 1;
    return true;
}

static struct derive_settings settings_of(const struct catalog_collection *c,
                                          const struct derived_from *from, char created_by[64])
{
    (void)snprintf(created_by, 64, "tarn %s", from->version);
    return (struct derive_settings){ .format = format_of(c),
                                     .name = c->name,
                                     .piece_len = c->piece_len,
                                     .trackers = from->trackers,
                                     .n_trackers = from->n_trackers,
                                     .created_by = created_by };
}

/* Behind a file whose hashes were lost there may be more of that: so that it is not one at each
 * try, the catalog is told of them all, and looks for itself which it is true of. */
static void doubt_rest(struct catalog_read *r, struct catalog_walk *w)
{
    enum { DOUBTED_MAX = 4000 }; /* as many as the catalog takes at once, about */
    struct catalog_entry e;
    struct tarn_err err;
    for (int n = 0; n < DOUBTED_MAX && catalog_walk_next(r, w, &e, &err) == CATALOG_FOUND; n++)
        if (e.kind == CATALOG_FILE && e.state == CATALOG_HELD)
            catalog_report_lost(r->c, e.id);
}

static bool add_all(struct derive *d, struct catalog_read *r, const struct catalog_collection *c,
                    uint64_t *left_out, struct tarn_err *err)
{
    struct catalog_entry e;
    struct catalog_walk *w = tarn_calloc(1, sizeof *w);
    enum catalog_found found = CATALOG_FAILED;
    bool has_lost = false;
    if (w == NULL)
        return tarn_fail_mem(err, "making a torrent");
    w->collection = c->id;
    while ((found = catalog_walk_next(r, w, &e, err)) == CATALOG_FOUND) {
        if (e.state == CATALOG_REFUSED || e.state == CATALOG_DAMAGED || !derive_can_name(w->path)) {
            (*left_out)++;
            continue;
        }
        if (!add_file(d, r, c, &e, w->path, &has_lost, err)) {
            found = CATALOG_FAILED;
            break;
        }
    }
    if (has_lost)
        doubt_rest(r, w);
    tarn_free(w);
    return found == CATALOG_NOT_THERE;
}

bool derived_collection(struct catalog_read *r, const struct catalog_collection *c,
                        const struct derived_from *from, struct tarn_out *torrent,
                        uint64_t *left_out, struct tarn_err *err)
{
    char created_by[64], *seed = NULL;
    struct bt_hashes unused;
    *left_out = 0;
    struct derive_settings set = settings_of(c, from, created_by);
    if (c->piece_len == 0)
        return not_held(err);
    if (!add_web_seed(&set, from, tarn_bytes_of(NULL, 0), tarn_bytes_of(NULL, 0), &seed, err))
        return false;
    set.most = torrent->limit - torrent->len;
    struct derive *d = derive_new(&set, err);
    bool ok =
        d != NULL && add_all(d, r, c, left_out, err) && derive_torrent(d, torrent, &unused, err);
    derive_free(d);
    tarn_free(seed);
    return ok;
}

/* Of a v2 torrent of one file the folder's URL is given, to which clients add the file's name (BEP
 * 19): libtorrent (2.0.8) takes a v2 torrent of one file for a folder and would look for the file
 * below the file. */
static struct tarn_bytes web_seed_path(enum bt_format format, struct tarn_bytes path)
{
    while (format == BT_V2 && path.len > 0 && path.p[path.len - 1] != '/')
        path.len--;
    return path;
}

bool derived_file(struct catalog_read *r, const struct catalog_collection *c,
                  const struct catalog_entry *e, struct tarn_bytes path,
                  const struct derived_from *from, struct tarn_out *torrent,
                  struct bt_hashes *hashes, struct tarn_err *err)
{
    char created_by[64], *seed = NULL;
    struct bt_hashes unused;
    struct derive_settings set = settings_of(c, from, created_by);
    if (c->piece_len == 0)
        return not_held(err);
    if (!add_web_seed(&set, from, c->name, web_seed_path(set.format, path), &seed, err))
        return false;
    set.name = e->name;
    set.is_single_file = true;
    bool has_lost;
    struct derive *d = derive_new(&set, err);
    bool ok = d != NULL && add_file(d, r, c, e, tarn_bytes_of(NULL, 0), &has_lost, err) &&
              derive_torrent(d, torrent, hashes != NULL ? hashes : &unused, err);
    derive_free(d);
    tarn_free(seed);
    return ok;
}

/* ---- metalinks and checksums ---- */

static bool feed_meta4(void *arg, uint64_t first, const uint8_t *hashes, size_t n,
                       struct tarn_err *err)
{
    (void)first, (void)err;
    meta4_pieces(arg, hashes, n);
    return true;
}

static bool put_meta4(struct catalog_read *r, const struct catalog_collection *c,
                      const struct catalog_entry *e, struct tarn_bytes path, struct tarn_bytes as,
                      const struct derived_from *from, struct tarn_out *o, struct tarn_err *err)
{
    struct catalog_known known;
    struct tarn_out url;
    char *text = NULL, *torrent = NULL;
    if (!meta4_can_name(as))
        return true;
    if (!read_known(r, e, 0, &known, err))
        return false;
    struct meta4_file f = {
        .path = as, .len = e->identity.len, .sha256 = known.sha256, .piece_len = known.v1_piece_len
    };
    if (from->public_url[0] != '\0') {
        tarn_out_init(&url, URL_MAX);
        derived_url(&url, from->public_url, c->name, path);
        text = tarn_out_take_str(&url);
        derived_url(&url, from->public_url, c->name, path);
        tarn_out_str(&url, "?as=torrent");
        torrent = tarn_out_take_str(&url);
        f.urls = (const char *const *)&text;
        f.n_urls = text != NULL;
        f.torrent = c->bt != CATALOG_BT_OFF ? torrent : NULL;
    }
    meta4_file_begin(o, &f);
    bool ok = true;
    if (meta4_wants_pieces(&f)) {
        ok = known.pieces.len == 0 ||
             catalog_leaves_walk(catalog_hashes(r->c), known.pieces, CATALOG_PIECES,
                                 e->identity.root, feed_meta4, o, err);
        if (known.has_tail)
            meta4_pieces(o, known.tail, 1);
    }
    meta4_file_end(o, &f);
    tarn_free(text);
    tarn_free(torrent);
    return ok || tell_lost(r, e, err);
}

/* Calls put for each held file of a collection. */
static bool each_held(struct catalog_read *r, const struct catalog_collection *c,
                      bool (*put)(void *arg, const struct catalog_entry *e, struct tarn_bytes path,
                                  struct tarn_err *err),
                      void *arg, struct tarn_err *err)
{
    struct catalog_entry e;
    struct catalog_walk *w = tarn_calloc(1, sizeof *w);
    enum catalog_found found;
    if (w == NULL)
        return tarn_fail_mem(err, "listing a collection");
    w->collection = c->id;
    while ((found = catalog_walk_next(r, w, &e, err)) == CATALOG_FOUND)
        if (e.state == CATALOG_HELD && !put(arg, &e, w->path, err)) {
            found = CATALOG_FAILED;
            break;
        }
    tarn_free(w);
    return found == CATALOG_NOT_THERE;
}

struct listing {
    struct catalog_read *read;
    const struct catalog_collection *collection;
    const struct derived_from *from;
    struct tarn_out *out;
};

static bool put_meta4_of(void *arg, const struct catalog_entry *e, struct tarn_bytes path,
                         struct tarn_err *err)
{
    const struct listing *l = arg;
    char as[2 * CATALOG_PATH_MAX];
    int n = snprintf(as, sizeof as, "%.*s/%.*s", (int)l->collection->name.len,
                     (const char *)l->collection->name.p, (int)path.len, (const char *)path.p);
    return put_meta4(l->read, l->collection, e, path, tarn_bytes_of(as, (size_t)n), l->from, l->out,
                     err) &&
           (tarn_out_ok(l->out) ||
            tarn_fail(err, TARN_E_POLICY,
                      "a list of so many files is longer than 16 MiB: each of "
                      "the files has its own"));
}

bool derived_meta4(struct catalog_read *r, const struct catalog_collection *c,
                   const struct catalog_entry *e, struct tarn_bytes path,
                   const struct derived_from *from, struct tarn_out *o, struct tarn_err *err)
{
    char generator[64];
    struct listing l = { r, c, from, o };
    (void)snprintf(generator, sizeof generator, "tarn/%s", from->version);
    meta4_begin(o, generator);
    bool ok = e != NULL ? put_meta4(r, c, e, path, e->name, from, o, err)
                        : each_held(r, c, put_meta4_of, &l, err);
    meta4_end(o);
    return ok;
}

static bool put_sha256(struct catalog_read *r, const struct catalog_entry *e, struct tarn_bytes as,
                       struct tarn_out *o, struct tarn_err *err)
{
    struct catalog_known known;
    if (!read_known(r, e, 0, &known, err))
        return false;
    sha256_line(o, as, known.sha256);
    return tarn_out_ok(o) ||
           tarn_fail(
               err, TARN_E_POLICY,
               "a list of so many files is longer than 16 MiB: each of the files has its own");
}

static bool put_sha256_of(void *arg, const struct catalog_entry *e, struct tarn_bytes path,
                          struct tarn_err *err)
{
    const struct listing *l = arg;
    return put_sha256(l->read, e, path, l->out, err);
}

bool derived_sha256(struct catalog_read *r, const struct catalog_collection *c,
                    const struct catalog_entry *e, struct tarn_bytes path, struct tarn_out *o,
                    struct tarn_err *err)
{
    struct listing l = { r, c, NULL, o };
    (void)path;
    return e != NULL ? put_sha256(r, e, e->name, o, err) : each_held(r, c, put_sha256_of, &l, err);
}

/* ---- proofs ---- */

static bool feed_proof(void *arg, uint64_t first, const uint8_t *hashes, size_t n,
                       struct tarn_err *err)
{
    (void)first, (void)err;
    proof_leaves(arg, hashes, n);
    return true;
}

bool derived_proof(struct catalog_read *r, const struct catalog_entry *e, uint64_t off,
                   uint64_t len, struct tarn_out *o, struct tarn_err *err)
{
    const struct catalog_identity *id = &e->identity;
    struct catalog_known known;
    uint64_t first, count;
    if (!read_known(r, e, 0, &known, err))
        return false;
    struct proof *p = tarn_calloc(1, sizeof *p);
    if (p == NULL)
        return tarn_fail_mem(err, "proving a range");
    proof_blocks(off, len, &first, &count);
    bool ok = proof_begin(p, id->len, first, count, err);
    if (ok && known.leaves.len == 0)
        proof_leaves(p, id->root, 1);
    else
        ok = ok && catalog_leaves_walk(catalog_hashes(r->c), known.leaves, CATALOG_LEAVES, id->root,
                                       feed_proof, p, err);
    ok = ok && proof_end(p, id->root, err);
    if (ok)
        proof_write(p, id->root, o);
    tarn_free(p);
    return ok || tell_lost(r, e, err);
}
