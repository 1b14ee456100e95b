/* bt/core/hybrid: a hybrid torrent describes one storage twice, and both must agree, or the two
 * swarms would share different files under one name.
 *
 * v1's list is what we keep: it has the padding. The tree must list the same files that have bytes,
 * in the same order, at the same places. Empty files may stand anywhere in either, as libtorrent
 * writes them, and are taken from v1's list. After the last file v1 may have padding to the end of
 * its piece (libtorrent since 2.0) or none (before). */
#include "bt/core/reading.h"

static struct bt_file *next_with_bytes(struct bt_reading *r)
{
    while (r->next_in_v1 < r->n_files) {
        struct bt_file *f = &r->files[r->next_in_v1];
        if (!f->is_pad && f->len > 0)
            return f;
        r->next_in_v1++;
    }
    return NULL;
}

/* In the single-file form v1's path is the torrent's name as it could be made safe, which for a
 * name of which nothing is left differs from the tree's element; so compare what the names became
 * as elements. */
static bool same_path(struct bt_reading *r, const struct bt_file *f)
{
    struct tarn_bytes in_tree = tarn_out_bytes(&r->path.text);
    if (r->has_list)
        return tarn_bytes_eq_str(in_tree, f->path);
    struct tarn_out name;
    tarn_out_init(&name, r->name.len + 1);
    bt_safe_element(&name, r->name);
    bool same = tarn_out_ok(&name) && tarn_bytes_eq(tarn_out_bytes(&name), in_tree);
    tarn_out_release(&name);
    return same;
}

static bool fail_differs(struct bt_reading *r, const struct bt_file *f, uint64_t len, uint64_t at)
{
    struct tarn_quote a, b;
    return tarn_fail(
        r->err, TARN_E_FAILED,
        "the v1 and v2 files of this hybrid torrent differ: v1 has '%s' (%llu bytes at "
        "%llu) where v2 has '%s' (%llu bytes at %llu)",
        tarn_quote_str(&a, f->path), (unsigned long long)f->len, (unsigned long long)f->off,
        tarn_quote(&b, tarn_out_bytes(&r->path.text)), (unsigned long long)len,
        (unsigned long long)at);
}

bool bt_hybrid_match(struct bt_reading *r, const struct bt_entry *e, uint64_t tree_end,
                     const uint8_t *root)
{
    struct tarn_quote q;
    if (e->len == 0)
        return true;
    struct bt_file *f = next_with_bytes(r);
    if (f == NULL)
        return tarn_fail(r->err, TARN_E_FAILED,
                         "the v1 and v2 files of this hybrid torrent differ: only v2 has '%s'",
                         tarn_quote(&q, tarn_out_bytes(&r->path.text)));
    if (f->len != e->len || f->off != tree_end || !same_path(r, f))
        return fail_differs(r, f, e->len, tree_end);
    f->root = root;
    r->next_in_v1++;
    return true;
}

bool bt_hybrid_finish(struct bt_reading *r, uint64_t tree_end)
{
    struct tarn_quote q;
    const struct bt_file *f = next_with_bytes(r);
    if (f != NULL)
        return tarn_fail(r->err, TARN_E_FAILED,
                         "the v1 and v2 files of this hybrid torrent differ: only v1 has '%s'",
                         tarn_quote_str(&q, f->path));
    uint64_t padded = bt_pieces_of(tree_end, r->m->piece_len) * r->m->piece_len;
    if (r->end != tree_end && r->end != padded)
        return tarn_fail(
            r->err, TARN_E_FAILED,
            "the v1 and v2 files of this hybrid torrent differ: v1 ends at %llu, v2 at "
            "%llu",
            (unsigned long long)r->end, (unsigned long long)tree_end);
    return true;
}
