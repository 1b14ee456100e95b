/* bt/core/v1: the files of a v1 info dictionary (BEP 3, attributes of BEP 47), and its hashes. */
#include "bt/core/reading.h"

#include "base/num.h"
#include "crypt/sha.h"

#include <stdio.h>

/* BitComet's way to say "padding", from before BEP 47; libtorrent knows it too. */
static const char bitcomet_pad[] = "_____padding_file_";

/* Where in info.files we are, for sentences. */
struct where {
    char s[40];
};

static const char *where(struct where *w, size_t i)
{
    snprintf(w->s, sizeof w->s, "info.files[%zu]", i);
    return w->s;
}

/* Take the elements of a path list to r->path. *is_pad is set when one tells of padding. */
static bool read_path(struct bt_reading *r, size_t i, benc_val list, bool *is_pad)
{
    struct where w;
    size_t at = 0;
    bt_path_root(&r->path, r->m->name);
    for (benc_val e = benc_first(r->b, list); e != BENC_NONE; e = benc_next(r->b, list, e), at++) {
        struct tarn_bytes element = benc_str(r->b, e);
        if (!benc_is(r->b, e, BENC_STR))
            return tarn_fail(r->err, TARN_E_FAILED, "%s.path[%zu] is not a string", where(&w, i),
                             at);
        if (!bt_path_push(&r->path, element))
            return tarn_fail(r->err, TARN_E_FAILED, "%s.path is deeper than %d elements",
                             where(&w, i), BT_PATH_DEPTH_MAX);
        if (element.len >= sizeof bitcomet_pad - 1 &&
            memmem(element.p, element.len, bitcomet_pad, sizeof bitcomet_pad - 1) != NULL)
            *is_pad = true;
    }
    return true;
}

static bool read_file(struct bt_reading *r, size_t i, benc_val dict)
{
    struct where w;
    struct bt_entry e;
    if (!benc_is(r->b, dict, BENC_DICT))
        return tarn_fail(r->err, TARN_E_FAILED, "%s is not a dictionary", where(&w, i));
    if (!bt_read_entry(r, dict, where(&w, i), &e))
        return false;
    benc_val path = benc_get_of(r->b, dict, "path.utf-8", BENC_LIST);
    if (benc_first(r->b, path) == BENC_NONE)
        path = benc_get_of(r->b, dict, "path", BENC_LIST);
    if (benc_first(r->b, path) == BENC_NONE && !e.is_pad)
        return tarn_fail(r->err, TARN_E_FAILED, "%s has no path (a list of names)", where(&w, i));
    if (!read_path(r, i, path, &e.is_pad))
        return false;
    if (e.is_symlink)
        e.is_pad = false;
    return bt_add_file(r, &e);
}

static bool read_list(struct bt_reading *r, benc_val list)
{
    size_t i = 0;
    if (!benc_is(r->b, list, BENC_LIST))
        return tarn_fail(r->err, TARN_E_FAILED, "info.files is not a list");
    for (benc_val v = benc_first(r->b, list); v != BENC_NONE; v = benc_next(r->b, list, v), i++)
        if (!read_file(r, i, v))
            return false;
    return true;
}

static bool read_single(struct bt_reading *r)
{
    struct bt_entry e;
    if (benc_get(r->b, r->info, "length") == BENC_NONE)
        return tarn_fail(r->err, TARN_E_FAILED, "info has neither length nor files");
    if (!bt_read_entry(r, r->info, "info", &e))
        return false;
    bt_path_root(&r->path, r->m->name);
    r->m->is_single_file = true;
    return bt_add_file(r, &e);
}

bool bt_read_v1(struct bt_reading *r)
{
    benc_val list = benc_get(r->b, r->info, "files");
    r->has_list = list != BENC_NONE; /* which wins when there is a length too */
    return r->has_list ? read_list(r, list) : read_single(r);
}

bool bt_read_v1_pieces(struct bt_reading *r)
{
    benc_val v = benc_get_of(r->b, r->info, "pieces", BENC_STR);
    if (v == BENC_NONE)
        return tarn_fail(r->err, TARN_E_FAILED, "info has no pieces (a string of SHA-1 hashes)");
    struct tarn_bytes pieces = benc_str(r->b, v);
    uint64_t wanted = (uint64_t)r->m->n_pieces * CRYPT_SHA1_LEN;
    if (pieces.len != wanted)
        return tarn_fail(r->err, TARN_E_FAILED,
                         "info.pieces has %zu bytes instead of %llu (hashes of pieces of %u bytes)",
                         pieces.len, (unsigned long long)wanted, r->m->piece_len);
    r->m->pieces = bt_kept(r, pieces);
    return true;
}
