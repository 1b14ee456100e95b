/* bt/core/layers: the piece layers of v2 files: one hash for each piece of a file that is larger
 * than a piece. Files with equal content share a root, and so a layer. */
#include "bt/core/reading.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "crypt/merkle.h"

#include <stdlib.h>

/* Level of the piece layer above the leaves. */
static unsigned piece_level(uint32_t piece_len)
{
    return tarn_log2_u64(piece_len / BT_BLOCK);
}

/* n hashes, filled up, have this root. False with *no_memory when that cannot be known. */
static bool hashes_to(const uint8_t *layer, uint64_t n, uint32_t piece_len, const uint8_t *root,
                      bool *no_memory)
{
    uint8_t found[MERKLE_HASH];
    uint8_t *work = tarn_calloc((size_t)n, MERKLE_HASH);
    *no_memory = work == NULL;
    if (work == NULL)
        return false;
    memcpy(work, layer, (size_t)n * MERKLE_HASH);
    merkle_root(work, n, tarn_pow2_up_u64(n), piece_level(piece_len), found);
    tarn_free(work);
    return memcmp(found, root, MERKLE_HASH) == 0;
}

/* One entry of `piece layers`. */
struct layer {
    struct tarn_bytes root, hashes; /* as found */
    const uint8_t *kept;            /* checked, and copied to the arena; NULL before */
};

struct layers {
    struct bt_reading *r;
    struct layer *list; /* owned */
    size_t n;
    struct tarn_map by_root; /* root -> index in list */
};

static bool fail_root(struct bt_reading *r, struct tarn_bytes root, const char *why)
{
    char hex[2 * MERKLE_HASH + 1];
    root.len = tarn_min_size(root.len, MERKLE_HASH);
    return tarn_fail(r->err, TARN_E_FAILED, "piece layers: the layer of root %s %s",
                     tarn_hex(hex, root), why);
}

static bool list_layers(struct layers *l, benc_val dict)
{
    const struct benc *b = l->r->b;
    size_t n = 0;
    for (benc_val k = benc_first(b, dict); k != BENC_NONE; k = benc_next(b, dict, k))
        n++;
    l->list = tarn_calloc(n, sizeof *l->list);
    if (l->list == NULL)
        return tarn_fail_mem(l->r->err, "reading piece layers");
    for (benc_val k = benc_first(b, dict); k != BENC_NONE; k = benc_next(b, dict, k)) {
        struct tarn_bytes root = benc_str(b, k);
        benc_val hashes = benc_value(b, k);
        if (tarn_map_get(&l->by_root, root) != NULL)
            return fail_root(l->r, root, "stands twice");
        if (!benc_is(b, hashes, BENC_STR))
            return fail_root(l->r, root, "has a wrong size: it is not a string");
        if (!tarn_map_put(&l->by_root, root, l->n))
            return tarn_fail_mem(l->r->err, "reading piece layers");
        l->list[l->n++] = (struct layer){ root, benc_str(b, hashes), NULL };
    }
    return true;
}

static bool keep_layer(struct layers *l, struct layer *layer, uint64_t n, const uint8_t *root)
{
    struct bt_metainfo *m = l->r->m;
    bool no_memory;
    if (!hashes_to(layer->hashes.p, n, m->piece_len, root, &no_memory)) {
        if (no_memory)
            return tarn_fail_mem(l->r->err, "checking piece layers");
        return fail_root(l->r, tarn_bytes_of(root, MERKLE_HASH), "does not hash to that root");
    }
    uint8_t *kept = tarn_arena_alloc(&m->arena, layer->hashes.len, 1);
    if (kept == NULL)
        return bt_fail_arena(&m->arena, layer->hashes.len, l->r->err);
    memcpy(kept, layer->hashes.p, layer->hashes.len);
    layer->kept = kept;
    return true;
}

static bool give_layer(struct layers *l, struct bt_file *f)
{
    struct bt_metainfo *m = l->r->m;
    struct tarn_bytes root = tarn_bytes_of(f->root, MERKLE_HASH);
    const uint64_t *found = tarn_map_get(&l->by_root, root);
    if (found == NULL) {
        m->n_layers_wanted++; /* peers have it */
        return true;
    }
    struct layer *layer = &l->list[*found];
    uint64_t n = bt_pieces_of(f->len, m->piece_len);
    if (layer->hashes.len != n * MERKLE_HASH)
        return fail_root(l->r, root, "has a wrong size for the file it is of");
    if (layer->kept == NULL && !keep_layer(l, layer, n, f->root))
        return false;
    f->layer = layer->kept;
    return true;
}

static bool give_layers(struct layers *l)
{
    struct bt_metainfo *m = l->r->m;
    for (uint32_t i = 0; i < m->n_files; i++)
        if (m->files[i].root != NULL && m->files[i].len > m->piece_len &&
            !give_layer(l, &m->files[i]))
            return false;
    for (size_t i = 0; i < l->n; i++)
        if (l->list[i].kept == NULL)
            return fail_root(l->r, l->list[i].root, "is of no file larger than a piece");
    return true;
}

bool bt_read_layers(struct bt_reading *r, benc_val dict)
{
    if (dict != BENC_NONE && !benc_is(r->b, dict, BENC_DICT))
        return tarn_fail(r->err, TARN_E_FAILED, "piece layers is not a dictionary");
    struct layers l = { .r = r };
    tarn_map_init(&l.by_root, r->seed);
    bool ok = list_layers(&l, dict) && give_layers(&l);
    tarn_map_release(&l.by_root);
    tarn_free(l.list);
    return ok;
}

bool bt_metainfo_set_layer(struct bt_metainfo *m, uint32_t file, const uint8_t *layer,
                           struct tarn_err *err)
{
    struct bt_file *f = &m->files[file];
    struct tarn_quote q;
    bool no_memory;
    if (f->root == NULL || f->len <= m->piece_len)
        return tarn_fail(err, TARN_E_FAILED, "'%s' has no piece layer",
                         tarn_quote_str(&q, f->path));
    if (f->layer != NULL)
        return true;
    uint64_t n = bt_pieces_of(f->len, m->piece_len);
    if (!hashes_to(layer, n, m->piece_len, f->root, &no_memory)) {
        if (no_memory)
            return tarn_fail_mem(err, "checking a piece layer");
        return tarn_fail(err, TARN_E_INTEGRITY, "the piece layer of '%s' does not hash to its root",
                         tarn_quote_str(&q, f->path));
    }
    uint8_t *kept = tarn_arena_alloc(&m->arena, (size_t)n, MERKLE_HASH);
    if (kept == NULL)
        return bt_fail_arena(&m->arena, (size_t)n * MERKLE_HASH, err);
    memcpy(kept, layer, (size_t)n * MERKLE_HASH);
    f->layer = kept;
    m->n_layers_wanted--;
    m->has_all_layers = m->n_layers_wanted == 0;
    return true;
}

static int by_root(const void *a, const void *b)
{
    const struct bt_layer_ref *x = a, *y = b;
    return memcmp(x->root, y->root, MERKLE_HASH);
}

void bt_put_layers(struct tarn_out *o, struct bt_layer_ref *refs, size_t n)
{
    if (n > 1)
        qsort(refs, n, sizeof *refs, by_root);
    benc_open_dict(o);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && memcmp(refs[i - 1].root, refs[i].root, MERKLE_HASH) == 0)
            continue;
        benc_put_str(o, tarn_bytes_of(refs[i].root, MERKLE_HASH));
        benc_put_str(o, refs[i].hashes);
    }
    benc_close(o);
}

/* Every piece of a v2 side begins in a file, since files begin at pieces and padding fills them up.
 * The last file that begins at or before a piece is the one: empty files and padding of no length
 * stand before the file that begins at the same place. */
const struct bt_file *bt_piece_file(const struct bt_metainfo *m, uint32_t i, uint32_t *len)
{
    if (!m->hashes.has_v2 || i >= m->n_pieces)
        return NULL;
    uint64_t at = (uint64_t)i * m->piece_len;
    const struct bt_file *f = &m->files[bt_files_until(m, at) - 1];
    *len = (uint32_t)tarn_min_u64(m->piece_len, f->off + f->len - at);
    return f;
}

bool bt_piece_v2(const struct bt_metainfo *m, uint32_t i, const uint8_t **root, uint32_t *width)
{
    uint32_t len;
    const struct bt_file *f = bt_piece_file(m, i, &len);
    if (f == NULL)
        return false;
    if (f->len <= m->piece_len) {
        *root = f->root;
        *width = (uint32_t)tarn_pow2_up_u64(tarn_div_up_u64(f->len, BT_BLOCK));
        return true;
    }
    if (f->layer == NULL)
        return false;
    uint64_t in_file = ((uint64_t)i * m->piece_len - f->off) / m->piece_len;
    *root = f->layer + in_file * MERKLE_HASH;
    *width = m->piece_len / BT_BLOCK;
    return true;
}
