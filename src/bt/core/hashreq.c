/* bt/core/hashreq: shapes of trees, checking and answering requests, and what answers prove; what
 * is fetched is in hashfetch.c. See hashreq.h.
 *
 * The trick for proofs: a node above the piece layer is folded from the piece hashes below it, of
 * which a large file has millions. So the roots of each 512 pieces are kept for the file asked for
 * last, and higher nodes are folded from those. */
#include "bt/core/hashreq.h"

#include "base/mem.h"
#include "base/num.h"
#include "crypt/merkle.h"

#include <assert.h>

enum { TOP_LEVELS = 9 }; /* 2^9 = 512 pieces under each top */

/* Where the hashes of an answer come from. */
struct source {
    const struct bt_tree *t;
    const uint8_t *layer; /* NULL: none needed */
    const uint8_t *tops;  /* NULL: none needed */
    uint32_t n_tops;
    const uint8_t *leaves; /* of piece `piece` of the file; NULL: none needed */
    uint32_t n_leaves;
    uint32_t piece;
    uint8_t *work; /* room for what one node is folded from */
};

bool bt_tree_of(const struct bt_metainfo *m, uint32_t file, struct bt_tree *t)
{
    const struct bt_file *f = &m->files[file];
    if (f->root == NULL || f->len == 0)
        return false;
    uint64_t n_leaves = tarn_div_up_u64(f->len, MERKLE_BLOCK);
    *t = (struct bt_tree){ .file = file,
                           .height = (uint8_t)tarn_log2_u64(tarn_pow2_up_u64(n_leaves)),
                           .level = (uint8_t)tarn_log2_u64(m->piece_len / MERKLE_BLOCK),
                           .n_leaves = (uint32_t)n_leaves,
                           .n_pieces = (uint32_t)tarn_div_up_u64(f->len, m->piece_len) };
    return true;
}

static bool find_tree(const struct bt_metainfo *m, const uint8_t root[32], struct bt_tree *t)
{
    for (uint32_t i = 0; i < m->n_files; i++)
        if (m->files[i].root != NULL && memcmp(m->files[i].root, root, MERKLE_HASH) == 0)
            return bt_tree_of(m, i, t);
    return false;
}

uint32_t bt_hashes_uncles(const struct bt_hash_request *r)
{
    uint32_t own = tarn_log2_u64(r->count); /* levels that the hashes themselves climb */
    return r->proofs + 1 > own ? r->proofs + 1 - own : 0;
}

/* The rules of BEP 52 and libtorrent's limit. */
static bool is_sound(const struct bt_tree *t, const struct bt_hash_request *r)
{
    if (r->base >= t->height || r->proofs >= t->height - r->base)
        return false;
    if (r->count < 2 || r->count > BT_HASHES_COUNT_MAX || !tarn_is_pow2_u64(r->count) ||
        r->index % r->count != 0)
        return false;
    uint64_t width = (uint64_t)1 << (t->height - r->base);
    return (uint64_t)r->index + r->count <= width && (uint64_t)r->index << r->base < t->n_leaves;
}

enum bt_hash_answer bt_hash_request_check(const struct bt_metainfo *m,
                                          const struct bt_hash_request *r, uint32_t *piece)
{
    struct bt_tree t;
    if (!find_tree(m, r->root, &t) || !is_sound(&t, r))
        return BT_HASH_REFUSE;
    const struct bt_file *f = &m->files[t.file];
    bool needs_layer = t.level < t.height && r->base + r->proofs >= t.level;
    if (needs_layer && f->layer == NULL)
        return BT_HASH_REFUSE;
    if (r->base >= t.level)
        return BT_HASH_FROM_LAYER;
    if ((uint64_t)r->count << r->base > (uint64_t)1 << t.level)
        return BT_HASH_REFUSE; /* leaves of more than one piece */
    *piece = (uint32_t)(f->off / m->piece_len + ((uint64_t)r->index << r->base >> t.level));
    return BT_HASH_FROM_LEAVES;
}

void bt_hash_cache_release(struct bt_hash_cache *c)
{
    tarn_free(c->tops);
    *c = (struct bt_hash_cache){ 0 };
}

/* `out` = the node over hashes [from, from + width) of a level, of which n are there in all. */
static void fold_run(uint8_t *work, const uint8_t *hashes, uint64_t n, uint64_t from,
                     uint64_t width, unsigned level, uint8_t out[MERKLE_HASH])
{
    if (from >= n) {
        memcpy(out, merkle_pad(level + tarn_log2_u64(width)), MERKLE_HASH);
        return;
    }
    uint64_t there = tarn_min_u64(width, n - from);
    memcpy(work, hashes + from * MERKLE_HASH, (size_t)there * MERKLE_HASH);
    merkle_root(work, there, width, level, out);
}

static bool make_tops(struct bt_hash_cache *c, const struct bt_tree *t, const uint8_t *layer)
{
    if (c->tops != NULL && c->file == t->file)
        return true;
    bt_hash_cache_release(c);
    uint8_t work[BT_HASHES_CHUNK * MERKLE_HASH];
    uint32_t n = (uint32_t)tarn_div_up_u64(t->n_pieces, BT_HASHES_CHUNK);
    uint8_t *tops = tarn_calloc(n, MERKLE_HASH);
    if (tops == NULL)
        return false;
    for (uint32_t i = 0; i < n; i++)
        fold_run(work, layer, t->n_pieces, (uint64_t)i * BT_HASHES_CHUNK, BT_HASHES_CHUNK, t->level,
                 tops + (size_t)i * MERKLE_HASH);
    *c = (struct bt_hash_cache){ .tops = tops, .n = n, .file = t->file };
    return true;
}

/* The node at a place of the tree. */
static void node_at(const struct source *s, unsigned level, uint64_t index,
                    uint8_t out[MERKLE_HASH])
{
    const struct bt_tree *t = s->t;
    if (level < t->level) {
        uint64_t first = (index << level) - ((uint64_t)s->piece << t->level);
        fold_run(s->work, s->leaves, s->n_leaves, first, (uint64_t)1 << level, 0, out);
        return;
    }
    unsigned up = level - t->level;
    if (up >= TOP_LEVELS)
        fold_run(s->work, s->tops, s->n_tops, index << (up - TOP_LEVELS),
                 (uint64_t)1 << (up - TOP_LEVELS), t->level + TOP_LEVELS, out);
    else
        fold_run(s->work, s->layer, t->n_pieces, index << up, (uint64_t)1 << up, t->level, out);
}

static void put_nodes(struct tarn_out *o, const struct source *s, const struct bt_hash_request *r)
{
    uint32_t n_uncles = bt_hashes_uncles(r);
    uint8_t node[MERKLE_HASH];
    bt_put_hashes_head(o, r, r->count + n_uncles);
    for (uint32_t i = 0; i < r->count; i++) {
        node_at(s, r->base, (uint64_t)r->index + i, node);
        tarn_out_put(o, tarn_bytes_of(node, sizeof node));
    }
    for (uint32_t i = 0; i < n_uncles; i++) {
        unsigned up = r->proofs - n_uncles + 1 + i;
        node_at(s, r->base + up, ((uint64_t)r->index >> up) ^ 1, node);
        tarn_out_put(o, tarn_bytes_of(node, sizeof node));
    }
}

bool bt_put_hashes(struct tarn_out *o, const struct bt_metainfo *m, struct bt_hash_cache *c,
                   const struct bt_hash_request *r, const uint8_t *leaves, uint32_t n_leaves)
{
    struct bt_tree t;
    bool is_found = find_tree(m, r->root, &t);
    assert(is_found && is_sound(&t, r) && (leaves != NULL || r->base >= t.level));
    if (!is_found)
        return false;
    struct source s = { .t = &t,
                        .layer = m->files[t.file].layer,
                        .leaves = leaves,
                        .n_leaves = n_leaves,
                        .piece = (uint32_t)((uint64_t)r->index << r->base >> t.level) };
    if (t.height >= t.level + TOP_LEVELS && r->base + r->proofs >= t.level) {
        if (!make_tops(c, &t, s.layer))
            return false;
        s.tops = c->tops;
        s.n_tops = c->n;
    }
    uint32_t room = n_leaves > s.n_tops ? n_leaves : s.n_tops;
    s.work = tarn_calloc(room > BT_HASHES_CHUNK ? room : BT_HASHES_CHUNK, MERKLE_HASH);
    if (s.work == NULL)
        return false;
    put_nodes(o, &s, r);
    tarn_free(s.work);
    return true;
}

bool bt_hashes_lead_to(const struct bt_hash_request *r, struct tarn_bytes hashes,
                       const uint8_t want[32], uint8_t *work)
{
    uint32_t n_uncles = bt_hashes_uncles(r);
    if (hashes.len != ((size_t)r->count + n_uncles) * MERKLE_HASH)
        return false;
    uint8_t node[MERKLE_HASH], result[MERKLE_HASH];
    memcpy(work, hashes.p, (size_t)r->count * MERKLE_HASH);
    merkle_root(work, r->count, r->count, r->base, node);
    merkle_fold(node, r->index / r->count, hashes.p + (size_t)r->count * MERKLE_HASH, n_uncles,
                result);
    return memcmp(result, want, MERKLE_HASH) == 0;
}

bool bt_leaves_request(const struct bt_metainfo *m, uint32_t piece, struct bt_hash_request *r)
{
    const uint8_t *node;
    uint32_t width, len;
    const struct bt_file *f = bt_piece_file(m, piece, &len);
    if (f == NULL || f->root == NULL || !bt_piece_v2(m, piece, &node, &width) || width < 2 ||
        width > BT_HASHES_COUNT_MAX)
        return false;
    uint32_t in_file = piece - (uint32_t)(f->off / m->piece_len);
    *r = (struct bt_hash_request){ .index = in_file * width, .count = width };
    memcpy(r->root, f->root, sizeof r->root);
    return true;
}

bool bt_leaves_check(const struct bt_metainfo *m, uint32_t piece, const struct bt_hash_request *r,
                     struct tarn_bytes hashes, uint8_t *work)
{
    struct bt_hash_request want;
    const uint8_t *node;
    uint32_t width;
    return bt_leaves_request(m, piece, &want) && bt_hash_request_eq(r, &want) &&
           bt_piece_v2(m, piece, &node, &width) && bt_hashes_lead_to(r, hashes, node, work);
}
