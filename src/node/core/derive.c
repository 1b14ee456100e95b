/* node/core/derive: see the header. Leaves are folded to the layer of pieces as they come, and the
 * layer to the root, which proves them. */
#include "node/core/derive.h"

#include "base/mem.h"
#include "base/num.h"
#include "bt/core/magnet.h"
#include "bt/core/paths.h"
#include "crypt/merkle.h"
#include "crypt/sha.h"

#include <assert.h>

/* What a torrent writes for a file at least, besides its path or name. */
enum {
    V1_TEXT = sizeof "d6:lengthi0e4:pathlee" - 1,
    V2_TEXT = sizeof "1:d0:d6:lengthi0eee" - 1,
    ROOT_TEXT = sizeof "11:pieces root32:" - 1 + MERKLE_HASH,
};

struct derive {
    struct derive_settings set;
    struct tarn_arena arena;   /* paths, roots and layers */
    struct bt_new_file *files; /* owned */
    size_t n, cap;
    struct tarn_out pieces; /* v1, of all files */
    uint64_t size;          /* what the torrent will have at least */
    uint64_t n_pieces;      /* of the piece space */

    /* the file that is being fed */
    bool is_open;
    struct derive_file now; /* its path and hashes are in the arena, or below */
    uint8_t tail[CRYPT_SHA1_LEN], tail_padded[CRYPT_SHA1_LEN];
    uint8_t *layer; /* in the arena; NULL: none is wanted */
    uint64_t leaves_left, pieces_left;
    uint64_t layer_len;      /* hashes in it */
    struct merkle_sum piece; /* of its leaves */
};

static bool is_v1(const struct derive *d)
{
    return (d->set.format & BT_V1) != 0;
}

static bool is_v2(const struct derive *d)
{
    return (d->set.format & BT_V2) != 0;
}

static unsigned piece_level(const struct derive *d)
{
    return tarn_log2_u64(d->set.piece_len / MERKLE_BLOCK);
}

/* Names. */

static bool can_be_element(struct tarn_bytes element)
{
    uint8_t room[BT_ELEMENT_MAX + 8];
    struct tarn_out o;
    tarn_out_fixed(&o, room, sizeof room);
    bt_safe_element(&o, element);
    return tarn_out_ok(&o) && tarn_bytes_eq(tarn_out_bytes(&o), element);
}

bool derive_can_name(struct tarn_bytes path)
{
    unsigned depth = 1;
    for (size_t from = 0, at = 0; at <= path.len; at++) {
        if (at < path.len && path.p[at] != '/')
            continue;
        if (at == from || at - from > BT_ELEMENT_MAX || depth++ > DERIVE_DEPTH_MAX ||
            !can_be_element(tarn_bytes_of(path.p + from, at - from)))
            return false;
        from = at + 1;
    }
    return true;
}

/* Making one. */

struct derive *derive_new(const struct derive_settings *set, struct tarn_err *err)
{
    struct tarn_quote q;
    if (set->n_trackers > BT_TRACKERS_MAX || set->n_web_seeds > BT_WEB_SEEDS_MAX) {
        tarn_fail(err, TARN_E_USAGE, "a torrent has at most %d trackers and %d web seeds",
                  BT_TRACKERS_MAX, BT_WEB_SEEDS_MAX);
        return NULL;
    }
    if (!bt_create_piece_len_ok(BT_HYBRID, set->piece_len, 0, err))
        return NULL;
    if (!derive_can_name(set->name) || memchr(set->name.p, '/', set->name.len) != NULL) {
        tarn_fail(err, TARN_E_POLICY, "a torrent cannot be called '%s'; give it another name",
                  tarn_quote(&q, set->name));
        return NULL;
    }
    struct derive *d = tarn_calloc(1, sizeof *d);
    if (d == NULL) {
        tarn_fail_mem(err, "making a torrent");
        return NULL;
    }
    d->set = *set;
    if (set->most == 0)
        d->set.most = BT_TORRENT_MAX;
    d->size = set->name.len + set->n_trackers + set->n_web_seeds;
    tarn_arena_init(&d->arena, 2 * (size_t)BT_TORRENT_MAX);
    tarn_out_init(&d->pieces, BT_TORRENT_MAX);
    return d;
}

void derive_free(struct derive *d)
{
    if (d == NULL)
        return;
    tarn_arena_release(&d->arena);
    tarn_out_release(&d->pieces);
    tarn_free(d->files);
    tarn_free(d);
}

bool derive_wants_leaves(const struct derive *d, uint64_t len)
{
    return is_v2(d) && len > d->set.piece_len;
}

bool derive_wants_pieces(const struct derive *d, uint64_t len)
{
    return is_v1(d) && len >= d->set.piece_len;
}

static bool fail_large(size_t most, struct tarn_err *err)
{
    return tarn_fail(err, TARN_E_POLICY,
                     "the torrent would be larger than %zu MiB: publish parts of it as collections "
                     "of their own",
                     (most + TARN_MIB - 1) / TARN_MIB);
}

/* v1 has the whole path of each file, v2 a tree of names. */
static uint64_t text_len(const struct derive *d, const struct derive_file *f)
{
    size_t name = 0;
    while (name < f->path.len && f->path.p[f->path.len - 1 - name] != '/')
        name++;
    if (d->set.is_single_file)
        return 0;
    return (is_v1(d) ? V1_TEXT + f->path.len : 0) +
           (is_v2(d) ? V2_TEXT + name + (f->len > 0 ? ROOT_TEXT : 0) : 0);
}

/* Counts a file against the limits, before anything is kept of it. */
static bool fits(struct derive *d, const struct derive_file *f, struct tarn_err *err)
{
    uint64_t pieces = tarn_div_up_u64(f->len, d->set.piece_len);
    if (pieces > BT_PIECES_MAX || d->n_pieces + pieces > BT_PIECES_MAX)
        return tarn_fail(err, TARN_E_POLICY,
                         "%s pieces are more than the %d that a torrent can have: publish large "
                         "files as a collection of their own, which gets longer pieces",
                         pieces > BT_PIECES_MAX ? "so many" : "these", BT_PIECES_MAX);
    uint64_t size = d->size + text_len(d, f);
    size += is_v1(d) ? pieces * CRYPT_SHA1_LEN : 0;
    size += derive_wants_leaves(d, f->len) ? pieces * MERKLE_HASH : 0;
    if (size > d->set.most)
        return fail_large(d->set.most, err);
    d->size = size;
    d->n_pieces += pieces;
    return true;
}

static bool check_place(const struct derive *d, const struct derive_file *f, struct tarn_err *err)
{
    struct tarn_quote q;
    tarn_quote(&q, f->path);
    if (d->set.is_single_file)
        return (f->path.len == 0 && d->n == 0) ||
               tarn_fail(err, TARN_E_USAGE, "a torrent of one file has no '%s'", q.s);
    if (!derive_can_name(f->path))
        return tarn_fail(err, TARN_E_POLICY, "'%s' cannot be in a torrent under this name", q.s);
    return d->n == 0 || bt_create_order(d->files[d->n - 1].path, f->path) < 0 ||
           tarn_fail(err, TARN_E_USAGE, "'%s' is not behind the file before it", q.s);
}

/* What lives as long as the derivation. */
static bool keep(struct derive *d, const struct derive_file *f, struct bt_new_file *to)
{
    uint64_t pieces = tarn_div_up_u64(f->len, d->set.piece_len);
    char *path = tarn_arena_strndup(&d->arena, f->path);
    uint8_t *root = NULL;
    d->layer = NULL;
    if (is_v2(d) && f->len > 0) {
        root = tarn_arena_alloc(&d->arena, 1, MERKLE_HASH);
        if (root != NULL)
            memcpy(root, f->root, MERKLE_HASH);
    }
    if (derive_wants_leaves(d, f->len))
        d->layer = tarn_arena_alloc(&d->arena, (size_t)pieces, MERKLE_HASH);
    *to = (struct bt_new_file){
        .path = tarn_bytes_of(path, f->path.len),
        .len = f->len,
        .is_executable = f->is_executable,
        .root = root,
        .layer = d->layer,
    };
    return path != NULL && (root != NULL || !is_v2(d) || f->len == 0) &&
           (d->layer != NULL || !derive_wants_leaves(d, f->len));
}

bool derive_begin(struct derive *d, const struct derive_file *f, struct tarn_err *err)
{
    assert(!d->is_open);
    if (!check_place(d, f, err) || !fits(d, f, err))
        return false;
    if (!TARN_GROW(d->files, d->n, d->cap) || !keep(d, f, &d->files[d->n]))
        return tarn_fail_mem(err, "making a torrent");
    d->n++;
    d->now = *f;
    if (f->tail != NULL) {
        memcpy(d->tail, f->tail, sizeof d->tail);
        memcpy(d->tail_padded, f->tail_padded, sizeof d->tail_padded);
    }
    d->leaves_left = d->layer == NULL ? 0 : tarn_div_up_u64(f->len, MERKLE_BLOCK);
    d->pieces_left = is_v1(d) ? f->len / d->set.piece_len : 0;
    d->layer_len = 0;
    d->piece.n = 0;
    d->is_open = true;
    return true;
}

static bool fail_hashes(struct derive *d, struct tarn_err *err)
{
    struct tarn_quote q;
    return tarn_fail(err, TARN_E_INTEGRITY, "the hashes of '%s' are not those of the file",
                     tarn_quote(&q, d->set.is_single_file ? d->set.name : d->files[d->n - 1].path));
}

static void end_piece(struct derive *d)
{
    merkle_sum_root(&d->piece, 0, piece_level(d), d->layer + d->layer_len++ * MERKLE_HASH);
    d->piece.n = 0;
}

bool derive_leaves(struct derive *d, const uint8_t *leaves, size_t n, struct tarn_err *err)
{
    uint64_t of_piece = d->set.piece_len / MERKLE_BLOCK;
    assert(d->is_open);
    if (n > d->leaves_left)
        return fail_hashes(d, err);
    d->leaves_left -= n;
    for (size_t at = 0; at < n;) {
        size_t take = (size_t)tarn_min_u64(n - at, of_piece - d->piece.n);
        merkle_sum_add(&d->piece, leaves + at * MERKLE_HASH, take);
        at += take;
        if (d->piece.n == of_piece)
            end_piece(d);
    }
    return true;
}

bool derive_pieces(struct derive *d, const uint8_t *hashes, size_t n, struct tarn_err *err)
{
    assert(d->is_open);
    if (n > d->pieces_left)
        return fail_hashes(d, err);
    d->pieces_left -= n;
    tarn_out_put(&d->pieces, tarn_bytes_of(hashes, n * CRYPT_SHA1_LEN));
    return tarn_out_ok(&d->pieces) || tarn_fail_mem(err, "making a torrent");
}

static bool layer_is_right(struct derive *d)
{
    struct merkle_sum sum = { 0 };
    uint8_t root[MERKLE_HASH];
    if (d->piece.n > 0)
        end_piece(d);
    merkle_sum_add(&sum, d->layer, d->layer_len);
    merkle_sum_root(&sum, piece_level(d), merkle_levels(d->layer_len), root);
    return memcmp(root, d->files[d->n - 1].root, MERKLE_HASH) == 0;
}

bool derive_end(struct derive *d, struct tarn_err *err)
{
    assert(d->is_open);
    d->is_open = false;
    if (d->leaves_left > 0 || d->pieces_left > 0 || (d->layer != NULL && !layer_is_right(d)))
        return fail_hashes(d, err);
    if (!is_v1(d) || d->now.len % d->set.piece_len == 0)
        return true;
    if (d->now.tail == NULL)
        return fail_hashes(d, err);
    tarn_out_put(&d->pieces,
                 tarn_bytes_of(d->set.is_single_file ? d->tail : d->tail_padded, CRYPT_SHA1_LEN));
    return tarn_out_ok(&d->pieces) || tarn_fail_mem(err, "making a torrent");
}

/* What comes of it. */

bool derive_torrent(struct derive *d, struct tarn_out *o, struct bt_hashes *hashes,
                    struct tarn_err *err)
{
    size_t info = 0, info_len = 0;
    assert(!d->is_open);
    if (d->n == 0)
        return tarn_fail(err, TARN_E_USAGE, "a torrent needs at least one file");
    if (d->set.format == BT_V2 && !d->set.is_single_file && d->n == 1 &&
        memchr(d->files[0].path.p, '/', d->files[0].path.len) == NULL)
        return tarn_fail(err, TARN_E_POLICY,
                         "a v2 torrent of a folder with one file in it would be read as that file "
                         "alone: make it hybrid, or a torrent of the file");
    bt_create_write_at(
        &(struct bt_new){
            .format = d->set.format,
            .name = d->set.name,
            .is_single_file = d->set.is_single_file,
            .files = d->files,
            .n_files = (uint32_t)d->n,
            .piece_len = d->set.piece_len,
            .pieces = d->pieces.p,
            .n_pieces = (uint32_t)(d->pieces.len / CRYPT_SHA1_LEN),
            .trackers = d->set.trackers,
            .n_trackers = d->set.n_trackers,
            .web_seeds = d->set.web_seeds,
            .n_web_seeds = d->set.n_web_seeds,
            .comment = d->set.comment,
            .created_by = d->set.created_by,
            .created_at = -1,
            .is_padded = d->set.format == BT_V1,
        },
        o, &info, &info_len);
    if (!tarn_out_ok(o))
        return o->is_full ? fail_large(o->limit, err) : tarn_fail_mem(err, "making a torrent");
    struct tarn_bytes bytes = tarn_bytes_of(o->p + info, info_len);
    *hashes = (struct bt_hashes){ .has_v1 = is_v1(d), .has_v2 = is_v2(d) };
    if (hashes->has_v1)
        crypt_hash(CRYPT_SHA1, bytes, hashes->v1);
    if (hashes->has_v2)
        crypt_hash(CRYPT_SHA256, bytes, hashes->v2);
    return true;
}

void derive_magnet(const struct derive_settings *set, const struct bt_hashes *hashes,
                   struct tarn_out *o)
{
    struct bt_tracker trackers[BT_TRACKERS_MAX];
    const char *web_seeds[BT_WEB_SEEDS_MAX];
    char name[BT_ELEMENT_MAX + 1];
    struct bt_metainfo m = {
        .hashes = *hashes, .name = name, .trackers = trackers, .web_seeds = web_seeds
    };
    size_t len = tarn_min_size(set->name.len, BT_ELEMENT_MAX); /* it is no longer: derive_new */
    memcpy(name, set->name.p, len);
    name[len] = 0;
    for (; m.n_trackers < set->n_trackers && m.n_trackers < BT_TRACKERS_MAX; m.n_trackers++)
        trackers[m.n_trackers] = (struct bt_tracker){ .url = set->trackers[m.n_trackers] };
    for (; m.n_web_seeds < set->n_web_seeds && m.n_web_seeds < BT_WEB_SEEDS_MAX; m.n_web_seeds++)
        web_seeds[m.n_web_seeds] = set->web_seeds[m.n_web_seeds];
    bt_magnet_write(&m, o);
}
