/* bt/core/create: see the header. Keys are written in sorted order by hand, dictionary by
 * dictionary; the file tree grows from sorted paths by closing the folders that a path leaves and
 * opening those it enters. */
#include "bt/core/create.h"

#include "base/mem.h"
#include "base/num.h"
#include "bt/core/reading.h"
#include "crypt/merkle.h"
#include "crypt/sha.h"

#include <stdio.h>

enum {
    PIECE_LEN_MIN = 16 * 1024,
    PIECE_LEN_USUAL_MAX = 16 * 1024 * 1024,
};

uint32_t bt_create_piece_len(uint64_t total)
{
    uint32_t len = PIECE_LEN_MIN;
    /* total / len hashes of 20 bytes are 2 * sqrt(total) bytes when total is (len / 10) squared */
    while (len < PIECE_LEN_USUAL_MAX && total > (uint64_t)len * len / 100)
        len *= 2;
    return len;
}

bool bt_create_piece_len_ok(enum bt_format format, uint64_t piece_len, uint64_t total,
                            struct tarn_err *err)
{
    struct tarn_size_text size;
    if (piece_len < 1 || piece_len > BT_PIECE_LEN_MAX)
        return tarn_fail(err, TARN_E_USAGE, "a piece length of %llu bytes is not from 1 to %d",
                         (unsigned long long)piece_len, BT_PIECE_LEN_MAX);
    if ((format & BT_V2) != 0 && (piece_len < BT_BLOCK || !tarn_is_pow2_u64(piece_len)))
        return tarn_fail(
            err, TARN_E_USAGE,
            "a piece length of %llu bytes is not a power of two from 16 KiB, as v2 and "
            "hybrid torrents need",
            (unsigned long long)piece_len);
    if (bt_pieces_of(total, (uint32_t)piece_len) > BT_PIECES_MAX)
        return tarn_fail(err, TARN_E_USAGE,
                         "%s in pieces of %llu bytes are more than %d pieces: take longer ones",
                         tarn_size_text(&size, total), (unsigned long long)piece_len,
                         BT_PIECES_MAX);
    return true;
}

int bt_create_order(struct tarn_bytes a, struct tarn_bytes b)
{
    size_t n = tarn_min_size(a.len, b.len);
    for (size_t i = 0; i < n; i++) {
        if (a.p[i] == b.p[i])
            continue;
        if (a.p[i] == '/' || b.p[i] == '/') /* an element that ends is less than one that goes on */
            return a.p[i] == '/' ? -1 : 1;
        return a.p[i] < b.p[i] ? -1 : 1;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

uint64_t bt_create_pad(enum bt_format format, uint64_t len, uint32_t piece_len, bool is_single_file)
{
    uint64_t over = len % piece_len;
    return format != BT_HYBRID || is_single_file || over == 0 ? 0 : piece_len - over;
}

/* Take the first element off a path. */
static struct tarn_bytes take_element(struct tarn_bytes *path)
{
    const uint8_t *slash = path->len == 0 ? NULL : memchr(path->p, '/', path->len);
    struct tarn_bytes element = *path;
    if (slash == NULL) {
        *path = tarn_bytes_of(NULL, 0);
    } else {
        element.len = (size_t)(slash - path->p);
        *path = tarn_bytes_of(slash + 1, path->len - element.len - 1);
    }
    return element;
}

static void put_path(struct tarn_out *o, struct tarn_bytes path)
{
    benc_open_list(o);
    do
        benc_put_str(o, take_element(&path));
    while (path.len > 0);
    benc_close(o);
}

static void put_pad(struct tarn_out *o, uint64_t len)
{
    char path[32];
    snprintf(path, sizeof path, ".pad/%llu", (unsigned long long)len);
    benc_open_dict(o);
    benc_put_key(o, "attr");
    benc_put_key(o, "p");
    benc_put_key(o, "length");
    benc_put_int(o, (int64_t)len);
    benc_put_key(o, "path");
    put_path(o, tarn_bytes_str(path));
    benc_close(o);
}

static void put_attr(struct tarn_out *o, const struct bt_new_file *f)
{
    if (!f->is_executable)
        return;
    benc_put_key(o, "attr");
    benc_put_key(o, "x");
}

static void put_list(const struct bt_new *t, struct tarn_out *o)
{
    benc_open_list(o);
    for (uint32_t i = 0; i < t->n_files; i++) {
        const struct bt_new_file *f = &t->files[i];
        enum bt_format as = t->is_padded ? BT_HYBRID : t->format;
        uint64_t pad = bt_create_pad(as, f->len, t->piece_len, t->is_single_file);
        benc_open_dict(o);
        put_attr(o, f);
        benc_put_key(o, "length");
        benc_put_int(o, (int64_t)f->len);
        benc_put_key(o, "path");
        put_path(o, f->path);
        benc_close(o);
        if (pad > 0)
            put_pad(o, pad);
    }
    benc_close(o);
}

/* "name": {"": {length, pieces root}} */
static void put_leaf(struct tarn_out *o, struct tarn_bytes name, const struct bt_new_file *f)
{
    benc_put_str(o, name);
    benc_open_dict(o);
    benc_put_key(o, "");
    benc_open_dict(o);
    put_attr(o, f);
    benc_put_key(o, "length");
    benc_put_int(o, (int64_t)f->len);
    if (f->len > 0) {
        benc_put_key(o, "pieces root");
        benc_put_str(o, tarn_bytes_of(f->root, MERKLE_HASH));
    }
    benc_close(o);
    benc_close(o);
}

/* Folders of a path. */
static size_t depth_of(struct tarn_bytes path)
{
    size_t n = 0;
    for (size_t i = 0; i < path.len; i++)
        n += path.p[i] == '/';
    return n;
}

/* Bytes of the folders that two paths have in common, the last '/' included. */
static size_t common_folders(struct tarn_bytes a, struct tarn_bytes b)
{
    size_t n = 0;
    for (size_t i = 0; i < a.len && i < b.len && a.p[i] == b.p[i]; i++)
        if (a.p[i] == '/')
            n = i + 1;
    return n;
}

static void put_tree(const struct bt_new *t, struct tarn_out *o)
{
    struct tarn_bytes before = tarn_bytes_of(NULL, 0);
    benc_open_dict(o);
    for (uint32_t i = 0; i < t->n_files; i++) {
        const struct bt_new_file *f = &t->files[i];
        struct tarn_bytes path = t->is_single_file ? t->name : f->path;
        size_t common = t->is_single_file ? 0 : common_folders(before, path);
        size_t left = depth_of(before) - depth_of(tarn_bytes_of(path.p, common));
        for (; left > 0; left--)
            benc_close(o);
        if (!t->is_single_file)
            before = path;
        struct tarn_bytes rest = tarn_bytes_of(path.p + common, path.len - common);
        size_t enter = t->is_single_file ? 0 : depth_of(rest);
        for (; enter > 0; enter--) {
            benc_put_str(o, take_element(&rest));
            benc_open_dict(o);
        }
        put_leaf(o, rest, f);
    }
    for (size_t left = depth_of(before); left > 0; left--)
        benc_close(o);
    benc_close(o);
}

static void put_info(const struct bt_new *t, struct tarn_out *o)
{
    bool is_v1 = (t->format & BT_V1) != 0, is_v2 = (t->format & BT_V2) != 0;
    benc_open_dict(o);
    if (is_v1 && t->is_single_file)
        put_attr(o, &t->files[0]);
    if (is_v2) {
        benc_put_key(o, "file tree");
        put_tree(t, o);
    }
    if (is_v1 && !t->is_single_file) {
        benc_put_key(o, "files");
        put_list(t, o);
    }
    if (is_v1 && t->is_single_file) {
        benc_put_key(o, "length");
        benc_put_int(o, (int64_t)t->files[0].len);
    }
    if (is_v2) {
        benc_put_key(o, "meta version");
        benc_put_int(o, 2);
    }
    benc_put_key(o, "name");
    benc_put_str(o, t->name);
    benc_put_key(o, "piece length");
    benc_put_int(o, t->piece_len);
    if (is_v1) {
        benc_put_key(o, "pieces");
        benc_put_str(o, tarn_bytes_of(t->pieces, (size_t)t->n_pieces * CRYPT_SHA1_LEN));
    }
    if (t->is_private) {
        benc_put_key(o, "private");
        benc_put_int(o, 1);
    }
    if (t->source != NULL) {
        benc_put_key(o, "source");
        benc_put_key(o, t->source);
    }
    benc_close(o);
}

static void put_layers(const struct bt_new *t, struct tarn_out *o)
{
    struct bt_layer_ref *refs = tarn_calloc(t->n_files, sizeof *refs);
    size_t n = 0;
    if (refs == NULL) {
        o->failed = true; /* as if the buffer could not grow */
        return;
    }
    for (uint32_t i = 0; i < t->n_files; i++) {
        const struct bt_new_file *f = &t->files[i];
        size_t len = (size_t)bt_pieces_of(f->len, t->piece_len) * MERKLE_HASH;
        if (f->len > t->piece_len)
            refs[n++] = (struct bt_layer_ref){ f->root, tarn_bytes_of(f->layer, len) };
    }
    benc_put_key(o, "piece layers");
    bt_put_layers(o, refs, n);
    tarn_free(refs);
}

static void put_text(struct tarn_out *o, const char *key, const char *text)
{
    if (text == NULL)
        return;
    benc_put_key(o, key);
    benc_put_key(o, text);
}

void bt_create_write(const struct bt_new *t, struct tarn_out *o)
{
    size_t info, info_len;
    bt_create_write_at(t, o, &info, &info_len);
}

void bt_create_write_at(const struct bt_new *t, struct tarn_out *o, size_t *info, size_t *info_len)
{
    benc_open_dict(o);
    if (t->n_trackers > 0)
        put_text(o, "announce", t->trackers[0]);
    if (t->n_trackers > 1) {
        benc_put_key(o, "announce-list");
        benc_open_list(o);
        for (uint32_t i = 0; i < t->n_trackers; i++) {
            benc_open_list(o);
            benc_put_key(o, t->trackers[i]);
            benc_close(o);
        }
        benc_close(o);
    }
    put_text(o, "comment", t->comment);
    put_text(o, "created by", t->created_by);
    if (t->created_at >= 0) {
        benc_put_key(o, "creation date");
        benc_put_int(o, t->created_at);
    }
    benc_put_key(o, "info");
    *info = o->len;
    put_info(t, o);
    *info_len = o->len - *info;
    if ((t->format & BT_V2) != 0)
        put_layers(t, o);
    if (t->n_web_seeds > 0) {
        benc_put_key(o, "url-list");
        benc_open_list(o);
        for (uint32_t i = 0; i < t->n_web_seeds; i++)
            benc_put_key(o, t->web_seeds[i]);
        benc_close(o);
    }
    benc_close(o);
}
