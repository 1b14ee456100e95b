/* bt/core/v2: the file tree of BEP 52, walked depth first with a stack of its own: bencode's limit
 * of nesting bounds it. */
#include "bt/core/reading.h"

#include "base/num.h"
#include "crypt/merkle.h"

enum {
    DEPTH_MAX = BT_PATH_DEPTH_MAX + 2,
};

/* A folder of the tree, and how far we are in it. */
struct folder {
    benc_val dict;
    benc_val key; /* the one being looked at; BENC_NONE before the first */
};

struct walk {
    struct folder stack[DEPTH_MAX];
    uint32_t depth;
};

/* The path in r->path, for sentences. */
static const char *where(const struct bt_reading *r, struct tarn_quote *q)
{
    return tarn_quote(q, tarn_out_bytes(&r->path.text));
}

static bool all_zero(struct tarn_bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (b.p[i] != 0)
            return false;
    return true;
}

/* The tree's next file: its dictionary, its path in r->path. */
static bool read_leaf(struct bt_reading *r, benc_val dict, uint64_t *end)
{
    struct tarn_quote q;
    struct bt_entry e;
    const uint8_t *root = NULL;
    if (!benc_is(r->b, dict, BENC_DICT))
        return tarn_fail(r->err, TARN_E_FAILED, "info.file tree: '%s' is not a dictionary",
                         where(r, &q));
    if (!bt_read_entry(r, dict, where(r, &q), &e))
        return tarn_fail_in(r->err, "info.file tree");
    if (e.is_pad)
        return tarn_fail(r->err, TARN_E_FAILED,
                         "info.file tree: '%s' is a padding file, which a tree does not have",
                         where(r, &q));
    if (e.len > 0) {
        struct tarn_bytes found = benc_str(r->b, benc_get(r->b, dict, "pieces root"));
        if (found.len != MERKLE_HASH || all_zero(found))
            return tarn_fail(r->err, TARN_E_FAILED,
                             "info.file tree: '%s' has no pieces root (32 bytes, not all zero)",
                             where(r, &q));
        root = bt_kept(r, found);
        uint64_t gap = *end % r->m->piece_len;
        *end += gap == 0 ? 0 : r->m->piece_len - gap;
    }
    if (r->is_v1) {
        if (!bt_hybrid_match(r, &e, *end, root))
            return false;
    } else {
        r->end = *end;
        if (!bt_add_file(r, &e))
            return false;
        r->files[r->n_files - 1].root = root;
    }
    *end += e.len; /* v1's list has been checked, so this is within the limits too */
    return true;
}

/* A node below a folder: a file, or another folder to go into. */
static bool read_node(struct bt_reading *r, struct walk *w, struct tarn_bytes name, benc_val node,
                      uint64_t *end)
{
    struct tarn_quote q;
    if (name.len == 0)
        return tarn_fail(r->err, TARN_E_FAILED, "info.file tree: an empty name %s",
                         w->depth == 1 ? "at the root" : "beside others in a folder");
    if (!bt_path_push(&r->path, name) || w->depth == DEPTH_MAX)
        return tarn_fail(r->err, TARN_E_FAILED, "info.file tree is deeper than %d elements",
                         BT_PATH_DEPTH_MAX);
    if (!benc_is(r->b, node, BENC_DICT))
        return tarn_fail(r->err, TARN_E_FAILED, "info.file tree: '%s' is not a dictionary",
                         where(r, &q));
    benc_val first = benc_first(r->b, node);
    if (first == BENC_NONE || benc_str(r->b, first).len > 0) {
        w->stack[w->depth++] = (struct folder){ .dict = node, .key = BENC_NONE };
        return true;
    }
    if (benc_next(r->b, node, first) != BENC_NONE)
        return tarn_fail(r->err, TARN_E_FAILED,
                         "info.file tree: an empty name beside others makes '%s' both a file and a "
                         "folder",
                         where(r, &q));
    if (!read_leaf(r, benc_value(r->b, first), end))
        return false;
    bt_path_pop(&r->path);
    return true;
}

/* One file at the root and no list in v1: then its name is the path, and the torrent's name is not
 * a folder around it. */
static bool is_single(const struct bt_reading *r, benc_val tree)
{
    benc_val key = benc_first(r->b, tree);
    if (r->has_list || key == BENC_NONE || benc_next(r->b, tree, key) != BENC_NONE)
        return false;
    benc_val inside = benc_first(r->b, benc_value(r->b, key));
    return inside != BENC_NONE && benc_str(r->b, inside).len == 0;
}

bool bt_read_v2(struct bt_reading *r)
{
    benc_val tree = benc_get_of(r->b, r->info, "file tree", BENC_DICT);
    if (tree == BENC_NONE)
        return tarn_fail(r->err, TARN_E_FAILED,
                         "info has no file tree, which meta version 2 needs");
    bool single = is_single(r, tree);
    if (!r->is_v1)
        r->m->is_single_file = single;
    bt_path_root(&r->path, single ? "" : r->m->name);

    struct walk w = { .depth = 1, .stack[0] = { .dict = tree, .key = BENC_NONE } };
    uint64_t end = 0;
    while (w.depth > 0) {
        struct folder *f = &w.stack[w.depth - 1];
        f->key = f->key == BENC_NONE ? benc_first(r->b, f->dict) : benc_next(r->b, f->dict, f->key);
        if (f->key == BENC_NONE) {
            if (--w.depth > 0)
                bt_path_pop(&r->path);
        } else if (!read_node(r, &w, benc_str(r->b, f->key), benc_value(r->b, f->key), &end)) {
            return false;
        }
    }
    return !r->is_v1 || bt_hybrid_finish(r, end);
}
