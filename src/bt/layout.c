/* bt/layout: between what a torrent says and what store does. */
#include "bt/layout.h"

#include "base/mem.h"
#include "crypt/merkle.h"
#include "crypt/sha.h"

bool bt_layout_make(struct store_layout *l, const struct bt_metainfo *m, struct tarn_err *err)
{
    struct store_file *files = tarn_calloc(m->n_files, sizeof *files);
    if (files == NULL)
        return tarn_fail_mem(err, "laying out the torrent's files");
    for (uint32_t i = 0; i < m->n_files; i++) {
        const struct bt_file *f = &m->files[i];
        files[i] = (struct store_file){
            .path = f->path,
            .symlink_target = f->symlink_target,
            .off = f->off,
            .len = f->len,
            .is_pad = f->is_pad,
            .is_executable = f->is_executable,
        };
    }
    *l = (struct store_layout){
        .files = files,
        .n_files = m->n_files,
        .piece_len = m->piece_len,
        .n_pieces = m->n_pieces,
        .total = m->total,
        .is_single_file = m->is_single_file,
        .name = m->name,
    };
    return true;
}

enum bt_match bt_piece_match(const struct bt_metainfo *m, uint32_t piece, const uint8_t *sha1,
                             uint8_t *work, uint32_t n_leaves)
{
    const uint8_t *root;
    uint32_t width;
    bool asks_v1 = m->pieces != NULL && sha1 != NULL;
    bool asks_v2 = work != NULL && n_leaves > 0 && bt_piece_v2(m, piece, &root, &width);
    bool v1_good = false, v2_good = false;
    if (asks_v1)
        v1_good = memcmp(sha1, m->pieces + (size_t)piece * CRYPT_SHA1_LEN, CRYPT_SHA1_LEN) == 0;
    if (asks_v2) {
        uint8_t found[MERKLE_HASH];
        merkle_root(work, n_leaves, width, 0, found);
        v2_good = memcmp(found, root, MERKLE_HASH) == 0;
    }
    if (asks_v1 && asks_v2 && v1_good != v2_good)
        return BT_SPLIT;
    return v1_good || v2_good ? BT_MATCH : BT_NO_MATCH;
}
