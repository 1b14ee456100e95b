/* What holds for every torrent that was accepted, whatever its bytes: for unit tests, vectors and
 * the fuzz target. Each check returns NULL or the name of what does not hold. */
#ifndef BT_CORE_TEST_INVARIANTS_H
#define BT_CORE_TEST_INVARIANTS_H

#include "base/num.h"
#include "base/text.h"
#include "bt/core/create.h"
#include "bt/core/metainfo.h"

#include <stdlib.h>

static inline const char *path_fault(const char *path, const char *name, bool is_single)
{
    struct tarn_bytes left = tarn_bytes_str(path);
    size_t n_name = strlen(name);
    if (!tarn_utf8_valid(left))
        return "a path is not UTF-8";
    if (is_single ? strcmp(path, name) != 0
                  : strncmp(path, name, n_name) != 0 || path[n_name] != '/')
        return "a path does not begin with the name";
    for (const char *p = path; *p != '\0'; p++)
        if ((uint8_t)*p < 0x20 || *p == 0x7F || *p == '\\')
            return "a path has a character that it may not have";
    for (const char *e = path;;) {
        size_t n = strcspn(e, "/");
        if (n == 0 || n > 255 || (n == 1 && e[0] == '.') || (n == 2 && e[0] == '.' && e[1] == '.'))
            return "an element of a path is empty, too long, '.' or '..'";
        if (e[n] == '\0')
            return NULL;
        e += n + 1;
    }
}

static int invariants_by_path(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return bt_create_order(tarn_bytes_str(*x), tarn_bytes_str(*y));
}

/* No two files share a path, and none stands where a folder has to. */
static inline const char *clash_fault(const struct bt_metainfo *m)
{
    const char *fault = NULL;
    size_t n = 0;
    const char **paths = calloc((size_t)m->n_files + 1, sizeof *paths);
    if (paths == NULL)
        abort();
    for (uint32_t i = 0; i < m->n_files; i++)
        if (!m->files[i].is_pad)
            paths[n++] = m->files[i].path;
    qsort(paths, n, sizeof *paths, invariants_by_path);
    for (size_t i = 1; i < n; i++) {
        size_t len = strlen(paths[i - 1]);
        if (strncmp(paths[i - 1], paths[i], len) == 0 &&
            (paths[i][len] == '\0' || paths[i][len] == '/'))
            fault = "two files have one path";
    }
    free(paths);
    return fault;
}

static inline const char *space_fault(const struct bt_metainfo *m)
{
    uint64_t end = 0, payload = 0;
    uint32_t n_real = 0;
    for (uint32_t i = 0; i < m->n_files; i++) {
        const struct bt_file *f = &m->files[i];
        uint64_t gap = f->off - end;
        if (f->off < end || (gap > 0 && (m->hashes.has_v1 || f->off % m->piece_len != 0 ||
                                         gap >= m->piece_len || f->len == 0)))
            return "a file does not stand where the one before ends";
        if (!m->hashes.has_v1 && f->len > 0 && f->off % m->piece_len != 0)
            return "a v2 file does not begin with a piece";
        if (f->is_symlink && f->len != 0)
            return "a symlink has a length";
        end = f->off + f->len;
        payload += f->is_pad ? 0 : f->len;
        n_real += !f->is_pad;
    }
    if (end != m->total || payload != m->payload || n_real != m->n_real_files || n_real == 0)
        return "totals differ from the list of files";
    if (m->total == 0 || m->n_pieces != tarn_div_up_u64(m->total, m->piece_len) ||
        m->n_pieces > BT_PIECES_MAX)
        return "the number of pieces is wrong";
    return NULL;
}

static inline const char *pieces_fault(const struct bt_metainfo *m)
{
    uint32_t step = m->n_pieces / 1000 + 1;
    for (uint32_t i = 0; i < m->n_pieces; i += step) {
        uint64_t at = (uint64_t)i * m->piece_len;
        const uint8_t *root;
        uint32_t len = 0, width;
        const struct bt_file *f = bt_piece_file(m, i, &len);
        if (bt_piece_len(m, i) == 0 || bt_piece_len(m, i) > m->piece_len)
            return "a piece has no bytes, or too many";
        if ((f != NULL) != m->hashes.has_v2)
            return "a piece has a file without v2, or none with it";
        if (f == NULL)
            continue;
        if (f->off > at || at - f->off >= f->len || f->is_pad || len == 0 || f->root == NULL)
            return "a piece does not begin in its file";
        if (bt_piece_v2(m, i, &root, &width) &&
            (!tarn_is_pow2_u64(width) || (uint64_t)width * BT_BLOCK < len || root == NULL))
            return "a piece's tree is too small";
        if (f->layer == NULL && f->len > m->piece_len && m->has_all_layers)
            return "a layer is missing";
    }
    uint32_t len;
    return bt_piece_file(m, m->n_pieces, &len) == NULL ? NULL : "a piece past the last has a file";
}

static inline const char *metainfo_fault(const struct bt_metainfo *m)
{
    const char *fault = path_fault(m->name, m->name, true);
    if (fault == NULL && strchr(m->name, '/') != NULL)
        fault = "the name is a path";
    for (uint32_t i = 0; i < m->n_files && fault == NULL; i++) {
        const struct bt_file *f = &m->files[i];
        fault = path_fault(f->path, m->name, m->is_single_file);
        if (fault == NULL && f->symlink_target != NULL)
            fault = path_fault(f->symlink_target, m->name, false);
        if (fault == NULL && f->symlink_target != NULL && !f->is_symlink)
            fault = "a target without a symlink";
    }
    if (fault == NULL)
        fault = clash_fault(m);
    if (fault == NULL)
        fault = space_fault(m);
    if (fault == NULL)
        fault = pieces_fault(m);
    if (fault == NULL && m->hashes.has_v1 != (m->pieces != NULL))
        fault = "v1 without pieces";
    return fault;
}

static inline bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static inline bool same_texts(const char *const *a, uint32_t n, const char *const *b, uint32_t n_b)
{
    if (n != n_b)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

/* What was read, written and read again says the same. */
static inline const char *differs(const struct bt_metainfo *a, const struct bt_metainfo *b)
{
    if (memcmp(&a->hashes, &b->hashes, sizeof a->hashes) != 0 || !tarn_bytes_eq(a->info, b->info))
        return "hashes or info";
    if (a->n_files != b->n_files || a->n_layers_wanted != b->n_layers_wanted)
        return "files";
    for (uint32_t i = 0; i < a->n_files; i++) {
        const struct bt_file *f = &a->files[i], *g = &b->files[i];
        if (strcmp(f->path, g->path) != 0 || f->len != g->len || f->off != g->off ||
            (f->layer == NULL) != (g->layer == NULL) ||
            !same_text(f->symlink_target, g->symlink_target))
            return "a file";
    }
    if (a->n_trackers != b->n_trackers)
        return "number of trackers";
    for (uint32_t i = 0; i < a->n_trackers; i++)
        if (strcmp(a->trackers[i].url, b->trackers[i].url) != 0 ||
            a->trackers[i].tier != b->trackers[i].tier)
            return "trackers";
    if (!same_texts(a->web_seeds, a->n_web_seeds, b->web_seeds, b->n_web_seeds) ||
        !same_texts(a->http_seeds, a->n_http_seeds, b->http_seeds, b->n_http_seeds) ||
        !same_texts(a->nodes, a->n_nodes, b->nodes, b->n_nodes))
        return "web seeds or nodes";
    if (!same_text(a->comment, b->comment) || !same_text(a->created_by, b->created_by) ||
        !same_text(a->source, b->source) || a->created_at != b->created_at)
        return "texts";
    return a->n_extras == b->n_extras ? NULL : "extras";
}

#endif
