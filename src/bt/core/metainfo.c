/* bt/core/metainfo: reading a torrent, from its bytes to the description in the header; reading.h
 * tells which file does which part.
 *
 * Hash tables are keyed with the SHA-256 of the input. Whoever wants keys that collide would have
 * to choose them before the hash that depends on them is known. */
#include "bt/core/metainfo.h"

#include "base/mem.h"
#include "base/num.h"
#include "bt/core/reading.h"
#include "bt/core/texts.h"
#include "crypt/sha.h"

#include <stdio.h>

/* Ours: what a description may take, for so many bytes of input. Torrents from the world take 2 to
 * 5 times their size; 8 and what the smallest ones need leaves room, and stops a tree of long names
 * from multiplying. */
static size_t arena_limit(size_t len)
{
    return 64 * TARN_MIB + 8 * len;
}

bool bt_fail_arena(const struct tarn_arena *a, size_t wanted, struct tarn_err *err)
{
    if (wanted <= a->limit && a->used <= a->limit - wanted)
        return tarn_fail_mem(err, "describing a torrent");
    return tarn_fail(err, TARN_E_FAILED,
                     "its files and paths need more than %zu bytes of memory, the most that a "
                     "torrent of its size gets",
                     a->limit);
}

const uint8_t *bt_kept(const struct bt_reading *r, struct tarn_bytes part)
{
    const uint8_t *info = r->b->in.p + r->b->toks[r->info].off;
    return r->m->info.p + (part.p - info);
}

static const char *type_name(const struct benc *b, benc_val v)
{
    static const char *const names[] = {
        [BENC_INT] = "a number",
        [BENC_STR] = "a string",
        [BENC_LIST] = "a list",
        [BENC_DICT] = "a dictionary",
    };
    return v == BENC_NONE ? "missing" : names[b->toks[v].type];
}

bool bt_read_entry(struct bt_reading *r, benc_val dict, const char *where, struct bt_entry *e)
{
    struct bt_entry made = { .dict = dict };
    struct tarn_bytes attr = benc_str(r->b, benc_get(r->b, dict, "attr"));
    for (size_t i = 0; i < attr.len; i++) {
        made.is_pad |= attr.p[i] == 'p' && dict != r->info; /* a single file is itself */
        made.is_symlink |= attr.p[i] == 'l' && dict != r->info;
        made.is_executable |= attr.p[i] == 'x';
        made.is_hidden |= attr.p[i] == 'h';
    }
    made.is_pad &= !made.is_symlink; /* a name that leads nowhere is better than none */
    benc_val v = benc_get(r->b, dict, "length");
    int64_t len = 0;
    if (!made.is_symlink) { /* whose length, if any, says nothing: BEP 47 */
        if (!benc_int(r->b, v, &len))
            return tarn_fail(r->err, TARN_E_FAILED,
                             "%s.length is %s, not a file length (a number from 0 to %llu)", where,
                             type_name(r->b, v), (unsigned long long)BT_FILE_MAX - 1);
        if (len < 0 || (uint64_t)len >= BT_FILE_MAX)
            return tarn_fail(r->err, TARN_E_FAILED,
                             "%s.length: %lld is not a file length (0 to %llu)", where,
                             (long long)len, (unsigned long long)BT_FILE_MAX - 1);
    }
    made.len = (uint64_t)len;
    *e = made;
    return true;
}

/* The piece space may grow by len bytes. */
static bool check_space(const struct bt_reading *r, uint64_t len)
{
    uint64_t end = r->end + len; /* 2^48 and 2^44 at most */
    if (bt_pieces_of(end, r->m->piece_len) > BT_PIECES_MAX)
        return tarn_fail(r->err, TARN_E_FAILED, "the files make more than %d pieces of %u bytes",
                         BT_PIECES_MAX, r->m->piece_len);
    if (end > BT_TOTAL_MAX)
        return tarn_fail(r->err, TARN_E_FAILED, "the files have more than %llu bytes together",
                         (unsigned long long)BT_TOTAL_MAX);
    return true;
}

/* What a pad is called does not matter, since nobody creates it. */
static bool name_pad(struct bt_reading *r, uint64_t len)
{
    char number[24];
    int n = snprintf(number, sizeof number, "%llu", (unsigned long long)len);
    bt_path_root(&r->path, r->m->name);
    return bt_path_push(&r->path, tarn_bytes_str(".pad")) &&
           bt_path_push(&r->path, tarn_bytes_of(number, (size_t)n));
}

/* What the path is called by whoever has the files, when that differs. */
static bool keep_web_path(struct bt_reading *r, const char **kept)
{
    bool is_odd =
        r->path.n_odd > 0 || (r->path.has_root && !tarn_bytes_eq_str(r->name, r->m->name));
    struct tarn_out o;
    *kept = NULL;
    if (!is_odd)
        return true;
    tarn_out_init(&o, 4 * BT_WEB_PATH_MAX);
    *kept = bt_path_put_web(&r->path, r->name, &o)
                ? tarn_arena_strndup(&r->m->arena, tarn_out_bytes(&o))
                : "";
    bool ok = tarn_out_ok(&o) && *kept != NULL;
    tarn_out_release(&o);
    return ok || tarn_fail_mem(r->err, "listing the torrent's files");
}

bool bt_add_file(struct bt_reading *r, const struct bt_entry *e)
{
    const char *web_path = NULL;
    if (!check_space(r, e->len))
        return false;
    if ((e->is_pad && !name_pad(r, e->len)) || !tarn_out_ok(&r->path.text) ||
        !TARN_GROW(r->files, r->n_files, r->cap_files) ||
        !TARN_GROW(r->links, r->n_links, r->cap_links))
        return tarn_fail_mem(r->err, "listing the torrent's files");
    struct tarn_bytes path = tarn_out_bytes(&r->path.text);
    const char *kept = tarn_arena_strndup(&r->m->arena, path);
    if (kept == NULL)
        return bt_fail_arena(&r->m->arena, path.len + 1, r->err);
    if (e->is_symlink)
        r->links[r->n_links++] = (struct bt_link){
            .file = (uint32_t)r->n_files,
            .target = benc_get_of(r->b, e->dict, "symlink path", BENC_LIST),
        };
    if (!e->is_pad && !keep_web_path(r, &web_path))
        return false;
    r->files[r->n_files++] = (struct bt_file){
        .path = kept,
        .web_path = web_path,
        .len = e->len,
        .off = r->end,
        .is_pad = e->is_pad,
        .is_executable = e->is_executable,
        .is_hidden = e->is_hidden,
        .is_symlink = e->is_symlink,
    };
    r->end += e->len;
    return true;
}

static bool read_piece_len(struct bt_reading *r)
{
    benc_val v = benc_get(r->b, r->info, "piece length");
    int64_t len;
    if (!benc_int(r->b, v, &len))
        return tarn_fail(r->err, TARN_E_FAILED, "info.piece length is %s, not a number",
                         type_name(r->b, v));
    bool fits = len >= 1 && len <= BT_PIECE_LEN_MAX; /* before it is made narrower */
    if (r->is_v2 && (!fits || len < BT_BLOCK || !tarn_is_pow2_u64((uint64_t)len)))
        return tarn_fail(
            r->err, TARN_E_FAILED,
            "info.piece length: %lld is not a power of two from %d to 268435456, as v2 "
            "needs",
            (long long)len, BT_BLOCK);
    if (!fits)
        return tarn_fail(r->err, TARN_E_FAILED, "info.piece length: %lld is not from 1 to %d",
                         (long long)len, BT_PIECE_LEN_MAX);
    r->m->piece_len = (uint32_t)len;
    return true;
}

static bool read_name(struct bt_reading *r)
{
    benc_val v = benc_get_of(r->b, r->info, "name.utf-8", BENC_STR);
    if (v == BENC_NONE)
        v = benc_get(r->b, r->info, "name");
    if (!benc_is(r->b, v, BENC_STR))
        return tarn_fail(r->err, TARN_E_FAILED, "info.name is %s, not a string",
                         type_name(r->b, v));
    r->name = benc_str(r->b, v);
    r->m->name = bt_safe_name(&r->m->arena, r->name, &r->m->hashes);
    return r->m->name != NULL || tarn_fail_mem(r->err, "reading the torrent's name");
}

/* Which sides there are. The version comes first: what a newer one means by the rest, we cannot
 * know. */
static bool read_version(struct bt_reading *r)
{
    int64_t version = 0;
    if (benc_int(r->b, benc_get(r->b, r->info, "meta version"), &version) && version > 2)
        return tarn_fail(r->err, TARN_E_FAILED,
                         "info.meta version is %lld, a newer format than this program reads (2)",
                         (long long)version);
    if (version > 0 && r->b->toks[r->info].soft != 0)
        return tarn_fail(r->err, TARN_E_FAILED,
                         "info is not canonical bencoding (%s), which meta version %d needs",
                         (r->b->toks[r->info].soft & BENC_SOFT_ORDER) != 0
                             ? "keys are not sorted"
                             : "a number has leading zeros",
                         (int)version);
    r->is_v2 = version == 2;
    if (!r->is_v2 && benc_get(r->b, r->info, "file tree") != BENC_NONE)
        return tarn_fail(r->err, TARN_E_FAILED,
                         "info has a file tree, but its meta version is not 2");
    r->is_v1 = !r->is_v2 || benc_get(r->b, r->info, "files") != BENC_NONE ||
               benc_get(r->b, r->info, "length") != BENC_NONE ||
               benc_get(r->b, r->info, "pieces") != BENC_NONE;
    return true;
}

static void compute_hashes(struct bt_reading *r)
{
    struct bt_hashes *h = &r->m->hashes;
    h->has_v1 = r->is_v1;
    h->has_v2 = r->is_v2;
    if (h->has_v1)
        crypt_hash(CRYPT_SHA1, r->m->info, h->v1);
    if (h->has_v2)
        crypt_hash(CRYPT_SHA256, r->m->info, h->v2);
}

static bool keep_info(struct bt_reading *r)
{
    struct bt_metainfo *m = r->m;
    struct tarn_bytes found = benc_raw(r->b, r->info);
    uint8_t digest[CRYPT_SHA256_LEN];
    tarn_arena_init(&m->arena, arena_limit(r->b->in.len));
    m->info.p = (const uint8_t *)tarn_arena_strndup(&m->arena, found);
    m->info.len = found.len;
    if (m->info.p == NULL)
        return tarn_fail_mem(r->err, "keeping the info dictionary");
    crypt_hash(CRYPT_SHA256, r->b->in, digest);
    memcpy(r->seed, digest, sizeof r->seed);
    return true;
}

/* Move the list of files to the arena, and count. */
static bool finish_files(struct bt_reading *r)
{
    struct bt_metainfo *m = r->m;
    m->total = r->end;
    m->n_pieces = (uint32_t)bt_pieces_of(r->end, m->piece_len);
    m->n_files = (uint32_t)r->n_files;
    m->files = tarn_arena_alloc(&m->arena, r->n_files, sizeof *m->files);
    if (m->files == NULL)
        return bt_fail_arena(&m->arena, r->n_files * sizeof *m->files, r->err);
    if (r->n_files > 0)
        memcpy(m->files, r->files, r->n_files * sizeof *m->files);
    for (size_t i = 0; i < r->n_files; i++) {
        m->n_real_files += !m->files[i].is_pad;
        m->payload += m->files[i].is_pad ? 0 : m->files[i].len;
    }
    if (m->n_real_files == 0)
        return tarn_fail(r->err, TARN_E_FAILED, "info.%s holds no files",
                         r->is_v1 ? "files" : "file tree");
    if (m->total == 0)
        return tarn_fail(r->err, TARN_E_FAILED,
                         "all its files are empty: there is nothing to share");
    if (m->is_single_file)
        m->name = m->files[0].path;
    /* layers that peers send later */
    m->arena.limit += r->is_v2 ? (size_t)m->n_pieces * 32 + r->n_files * 16 : 0;
    return true;
}

static bool read_files(struct bt_reading *r)
{
    if (r->is_v1 && !bt_read_v1(r))
        return false;
    if (r->is_v2 && !bt_read_v2(r))
        return false;
    return finish_files(r) && (!r->is_v1 || bt_read_v1_pieces(r));
}

static bool read_info(struct bt_reading *r)
{
    struct bt_metainfo *m = r->m;
    int64_t private = 0;
    m->lax = r->b->toks[r->info].soft;
    m->has_trailing = r->b->used < r->b->in.len;
    m->created_at = -1;
    if (!benc_unique(r->b, r->info, r->err))
        return tarn_fail_in(r->err, "info means two things");
    if (!keep_info(r) || !read_version(r))
        return false;
    compute_hashes(r);
    if (!read_name(r) || !read_piece_len(r) || !read_files(r) ||
        !bt_paths_settle(m, r->b, r->links, r->n_links, r->seed, r->err))
        return false;
    m->is_private = benc_int(r->b, benc_get(r->b, r->info, "private"), &private) && private != 0;
    benc_val source = benc_get_of(r->b, r->info, "source", BENC_STR);
    return source == BENC_NONE ||
           (m->source = bt_text(&m->arena, benc_str(r->b, source))) != NULL ||
           tarn_fail_mem(r->err, "reading info.source");
}

/* The dictionaries that may not stand twice, wherever they stand. */
static bool check_root(const struct benc *b, struct tarn_err *err)
{
    unsigned infos = 0, layers = 0;
    if (!benc_is(b, BENC_ROOT, BENC_DICT))
        return tarn_fail(err, TARN_E_FAILED, "not a torrent: %s instead of a dictionary",
                         type_name(b, BENC_ROOT));
    for (benc_val k = benc_first(b, BENC_ROOT); k != BENC_NONE; k = benc_next(b, BENC_ROOT, k)) {
        infos += tarn_bytes_eq_str(benc_str(b, k), "info");
        layers += tarn_bytes_eq_str(benc_str(b, k), "piece layers");
    }
    if (infos > 1 || layers > 1)
        return tarn_fail(err, TARN_E_FAILED, "%s stands twice: it is not clear which one is meant",
                         infos > 1 ? "info" : "piece layers");
    benc_val info = benc_get(b, BENC_ROOT, "info");
    if (!benc_is(b, info, BENC_DICT))
        return tarn_fail(err, TARN_E_FAILED, "there is no info dictionary (info is %s)",
                         type_name(b, info));
    return true;
}

static bool read_torrent(struct bt_reading *r)
{
    if (!read_info(r))
        return false;
    if (r->is_v2 && !bt_read_layers(r, benc_get(r->b, BENC_ROOT, "piece layers")))
        return false;
    r->m->has_all_layers = r->m->n_layers_wanted == 0;
    return bt_read_outer(r);
}

static void release_reading(struct bt_reading *r)
{
    bt_path_release(&r->path);
    tarn_free(r->files);
    tarn_free(r->links);
}

bool bt_metainfo_parse(struct bt_metainfo *m, struct tarn_bytes torrent, struct tarn_err *err)
{
    if (torrent.len > BT_TORRENT_MAX)
        return tarn_fail(err, TARN_E_FAILED, "a torrent of %zu bytes is larger than %d",
                         torrent.len, BT_TORRENT_MAX);
    struct benc b;
    if (!benc_parse(&b, torrent, &benc_limits_file, err))
        return tarn_fail_in(err, "not a torrent, or a damaged one");
    struct bt_metainfo made = { .n_files = 0 };
    struct bt_reading r = { .b = &b, .m = &made, .err = err };
    bt_path_init(&r.path);
    bool ok = check_root(&b, err);
    if (ok) {
        r.info = benc_get(&b, BENC_ROOT, "info");
        ok = read_torrent(&r);
    }
    release_reading(&r);
    benc_release(&b);
    if (ok)
        *m = made;
    else
        tarn_arena_release(&made.arena);
    return ok;
}

bool bt_metainfo_parse_info(struct bt_metainfo *m, struct tarn_bytes info, struct tarn_err *err)
{
    if (info.len > BT_INFO_MAX)
        return tarn_fail(err, TARN_E_FAILED, "an info dictionary of %zu bytes is larger than %d",
                         info.len, BT_INFO_MAX);
    struct benc b;
    if (!benc_parse(&b, info, &benc_limits_file, err))
        return tarn_fail_in(err, "not an info dictionary");
    struct bt_metainfo made = { .n_files = 0 };
    struct bt_reading r = { .b = &b, .m = &made, .err = err, .info = BENC_ROOT };
    bt_path_init(&r.path);
    bool ok;
    if (!benc_is(&b, BENC_ROOT, BENC_DICT))
        ok = tarn_fail(err, TARN_E_FAILED, "not an info dictionary: %s", type_name(&b, BENC_ROOT));
    else if (b.used < info.len)
        ok = tarn_fail(err, TARN_E_FAILED, "%zu bytes follow the info dictionary",
                       info.len - b.used);
    else
        ok = read_info(&r) && (!r.is_v2 || bt_read_layers(&r, BENC_NONE));
    made.has_all_layers = made.n_layers_wanted == 0;
    release_reading(&r);
    benc_release(&b);
    if (ok)
        *m = made;
    else
        tarn_arena_release(&made.arena);
    return ok;
}

void bt_metainfo_release(struct bt_metainfo *m)
{
    tarn_arena_release(&m->arena);
    *m = (struct bt_metainfo){ .n_files = 0 };
}

uint32_t bt_files_until(const struct bt_metainfo *m, uint64_t at)
{
    uint32_t low = 0, high = m->n_files; /* the first file that begins after `at` is in here */
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (m->files[mid].off <= at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}
