/* sim/content: see the header. */
#include "content.h"

#include "base/mem.h"
#include "base/num.h"
#include "crypt/merkle.h"
#include "crypt/sha.h"

#include <stdio.h>
#include <stdlib.h>

static const char name[] = "pay";

static void hash_v2(const struct content *c, struct bt_new_file *f, const uint8_t *data,
                    uint8_t **root, uint8_t **layer)
{
    size_t n_leaves = (size_t)tarn_div_up_u64(f->len, BT_BLOCK), per = c->piece_len / BT_BLOCK;
    size_t n_pieces = (size_t)tarn_div_up_u64(f->len, c->piece_len);
    uint8_t *leaves = sim_alloc(n_leaves + 1, MERKLE_HASH), *work = sim_alloc(per, MERKLE_HASH);
    *root = sim_alloc(1, MERKLE_HASH);
    *layer = sim_alloc(n_pieces + 1, MERKLE_HASH);
    for (size_t i = 0; i < n_leaves; i++) {
        size_t at = i * BT_BLOCK, len = (size_t)tarn_min_u64(BT_BLOCK, f->len - at);
        crypt_hash(CRYPT_SHA256, tarn_bytes_of(data + at, len), leaves + i * MERKLE_HASH);
    }
    for (size_t p = 0; p < n_pieces; p++) {
        size_t n = tarn_min_size(per, n_leaves - p * per);
        memcpy(work, leaves + p * per * MERKLE_HASH, n * MERKLE_HASH);
        merkle_root(work, n, per, 0, *layer + p * MERKLE_HASH);
    }
    if (n_leaves > 0)
        merkle_root(leaves, n_leaves, tarn_pow2_up_u64(n_leaves), 0, *root);
    f->root = n_leaves > 0 ? *root : NULL;
    f->layer = n_pieces > 1 ? *layer : NULL;
    tarn_free(leaves);
    tarn_free(work);
}

static uint8_t *hash_v1(const struct content *c, uint32_t *n_pieces)
{
    uint64_t total = 0;
    for (size_t i = 0; i < c->n_files; i++)
        total += c->lens[i] + bt_create_pad(c->format, c->lens[i], c->piece_len, false);
    uint8_t *space = sim_alloc(total + 1, 1);
    for (uint64_t at = 0, i = 0; i < c->n_files; i++) {
        memcpy(space + at, c->bytes + c->offs[i], c->lens[i]);
        at += c->lens[i] + bt_create_pad(c->format, c->lens[i], c->piece_len, false);
    }
    *n_pieces = (uint32_t)tarn_div_up_u64(total, c->piece_len);
    uint8_t *pieces = sim_alloc(*n_pieces, CRYPT_SHA1_LEN);
    for (uint32_t p = 0; p < *n_pieces; p++) {
        uint64_t at = (uint64_t)p * c->piece_len;
        size_t len = (size_t)tarn_min_u64(c->piece_len, total - at);
        crypt_hash(CRYPT_SHA1, tarn_bytes_of(space + at, len), pieces + (size_t)p * CRYPT_SHA1_LEN);
    }
    tarn_free(space);
    return pieces;
}

static void write_torrent(struct content *c)
{
    struct bt_new_file files[CONTENT_FILES];
    uint8_t *roots[CONTENT_FILES] = { 0 }, *layers[CONTENT_FILES] = { 0 };
    for (size_t i = 0; i < c->n_files; i++) {
        files[i] = (struct bt_new_file){ .path = tarn_bytes_str(c->names[i]), .len = c->lens[i] };
        if (c->format != BT_V1)
            hash_v2(c, &files[i], c->bytes + c->offs[i], &roots[i], &layers[i]);
    }
    uint32_t n_pieces;
    uint8_t *pieces = hash_v1(c, &n_pieces);
    struct bt_new t = {
        .format = c->format,
        .name = tarn_bytes_str(name),
        .files = files,
        .n_files = (uint32_t)c->n_files,
        .piece_len = c->piece_len,
        .pieces = c->format == BT_V2 ? NULL : pieces,
        .n_pieces = n_pieces,
        .created_at = -1,
    };
    tarn_out_init(&c->torrent, 16 * TARN_MIB);
    bt_create_write(&t, &c->torrent);
    tarn_free(pieces);
    for (size_t i = 0; i < c->n_files; i++) {
        tarn_free(roots[i]);
        tarn_free(layers[i]);
    }
}

void content_make(struct content *c, enum bt_format format, uint32_t piece_len,
                  const uint64_t *lens, size_t n, uint64_t *chance)
{
    struct tarn_err err;
    *c = (struct content){ .format = format, .piece_len = piece_len, .n_files = n };
    for (size_t i = 0; i < n; i++) {
        snprintf(c->names[i], sizeof c->names[i], i % 2 == 0 ? "f%zu" : "sub/f%zu", i);
        c->lens[i] = lens[i];
    }
    /* in the order of bt_create_order: f0, f2, ... before sub/ */
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++)
            if (bt_create_order(tarn_bytes_str(c->names[k]), tarn_bytes_str(c->names[i])) < 0) {
                char other[sizeof c->names[i]];
                memcpy(other, c->names[i], sizeof other);
                memcpy(c->names[i], c->names[k], sizeof other);
                memcpy(c->names[k], other, sizeof other);
            }
    for (size_t i = 0; i < n; i++) {
        c->offs[i] = c->total;
        c->total += c->lens[i];
    }
    c->bytes = sim_alloc(c->total + 8, 1);
    for (uint64_t at = 0; at < c->total; at += 8) {
        uint64_t word = chance_next(chance);
        memcpy(c->bytes + at, &word, sizeof word);
    }
    write_torrent(c);
    if (!bt_metainfo_parse(&c->meta, tarn_out_bytes(&c->torrent), &err))
        world_broken("the torrent of the simulation itself: %s", err.msg);
    tarn_out_init(&c->magnet_text, TARN_MIB);
    bt_magnet_write(&c->meta, &c->magnet_text);
    if (!bt_magnet_parse(&c->magnet, tarn_out_bytes(&c->magnet_text), &err))
        world_broken("the magnet link of the simulation itself: %s", err.msg);
}

void content_release(struct content *c)
{
    tarn_free(c->bytes);
    tarn_out_release(&c->torrent);
    tarn_out_release(&c->magnet_text);
    bt_magnet_release(&c->magnet);
    bt_metainfo_release(&c->meta);
}

void content_put(const struct content *c, struct node *n)
{
    char path[64];
    for (size_t i = 0; i < c->n_files; i++) {
        snprintf(path, sizeof path, "/seed/%s/%s", name, c->names[i]);
        fs_put(n, path, tarn_bytes_of(c->bytes + c->offs[i], (size_t)c->lens[i]));
    }
}

static bool same(const struct content *c, const struct inode *i, size_t file, uint64_t off,
                 uint64_t len)
{
    uint8_t part[4096];
    for (uint64_t at = off; at < off + len; at += sizeof part) {
        size_t run = (size_t)tarn_min_u64(sizeof part, off + len - at);
        inode_copy(i, at, part, run);
        if (memcmp(part, c->bytes + c->offs[file] + at, run) != 0)
            return false;
    }
    return true;
}

bool content_is_right(const struct content *c, const struct inode *i, size_t file)
{
    return !inode_is_folder(i) && inode_size(i) == c->lens[file] &&
           same(c, i, file, 0, c->lens[file]);
}

bool content_file_is_right(const struct content *c, struct node *n, const char *folder, size_t i)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s/%s", folder, name, c->names[i]);
    const struct inode *at = fs_look(n, path);
    return at != NULL && content_is_right(c, at, i);
}

size_t content_file_of(const struct content *c, const char *path)
{
    for (size_t i = 0; i < c->n_files; i++) {
        const char *last = strrchr(c->names[i], '/');
        last = last == NULL ? c->names[i] : last + 1;
        const char *theirs = strrchr(path, '/');
        theirs = theirs == NULL ? path : theirs + 1;
        if (strcmp(last, theirs) == 0)
            return i;
    }
    return CONTENT_FILES;
}

bool content_has_piece(const struct content *c, struct node *n, const char *folder, uint32_t piece)
{
    char path[96];
    uint64_t first = (uint64_t)piece * c->piece_len;
    for (uint32_t k = 0; k < c->meta.n_files; k++) {
        const struct bt_file *f = &c->meta.files[k];
        uint64_t from = tarn_max_u64(first, f->off);
        uint64_t to = tarn_min_u64(first + c->piece_len, f->off + f->len);
        if (f->is_pad || from >= to)
            continue;
        size_t file = content_file_of(c, f->path);
        snprintf(path, sizeof path, "%s/%s", folder, f->path);
        const struct inode *at = fs_look(n, path);
        if (at == NULL) {
            snprintf(path, sizeof path, "%s/%s.part", folder, f->path);
            at = fs_look(n, path);
        }
        if (at == NULL || inode_size(at) < to - f->off ||
            !same(c, at, file, from - f->off, to - from))
            return false;
    }
    return true;
}
