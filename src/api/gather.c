/* api/gather: see the header. A name is refused when a reader of the torrent would change it: the
 * data that was hashed could then not be found again under the torrent's names. */
#include "api/gather.h"

#include "api/walk.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "bt/core/paths.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAMES_MAX = 512 << 20 }; /* bytes of all paths: a torrent of BT_TORRENT_MAX has far less */

struct gatherer {
    struct api_gathered *g;
    const struct tarn_create *c;
};

/* Why no torrent can hold this name; NULL: it can. */
static const char *why_bad(struct tarn_bytes name)
{
    uint8_t room[2 * BT_ELEMENT_MAX];
    struct tarn_out safe;
    static const char pad[] = "_____padding_file_";
    if (!tarn_utf8_valid(name))
        return "its name is not UTF-8";
    if (memmem(name.p, name.len, pad, sizeof pad - 1) != NULL)
        return "other programs take files of such a name for padding";
    tarn_out_fixed(&safe, room, sizeof room);
    bt_safe_element(&safe, name);
    if (!tarn_out_ok(&safe) || !tarn_bytes_eq(tarn_out_bytes(&safe), name))
        return name.len > BT_ELEMENT_CUT ? "its name is too long for a torrent"
                                         : "its name holds characters that a torrent cannot";
    return NULL;
}

static const char *quote_path(const struct api_gathered *g, const char *path, struct tarn_quote *q)
{
    char full[1024];
    size_t len = strlen(g->root);
    bool ends = len > 0 && g->root[len - 1] == '/';
    snprintf(full, sizeof full, "%s%s%s", g->root, *path == '\0' || ends ? "" : "/", path);
    return tarn_quote_str(q, full);
}

const char *api_source_quote(const struct api_gathered *g, size_t i, struct tarn_quote *q)
{
    return quote_path(g, g->files[i].path, q);
}

static void skip(struct gatherer *k, const char *path, const char *why)
{
    if (k->c->on_skipped != NULL)
        k->c->on_skipped(k->c->arg, path, why);
}

static bool on_name(void *arg, const char *path, struct tarn_bytes name, bool *take,
                    struct tarn_err *err)
{
    struct gatherer *k = arg;
    struct tarn_quote q;
    const char *why = why_bad(name);
    if (why == NULL)
        return true;
    if (!k->c->skip_bad_names)
        return tarn_fail(err, TARN_E_FAILED,
                         "'%s' cannot be in a torrent: %s; rename it or use --skip-bad-names",
                         quote_path(k->g, path, &q), why);
    skip(k, path, why);
    *take = false;
    return true;
}

static bool on_other(void *arg, const char *path, enum sys_kind kind, struct tarn_err *err)
{
    (void)err;
    skip(arg, path, kind == SYS_SYMLINK ? "a symbolic link" : "not a regular file");
    return true;
}

static bool on_file(void *arg, const char *path, const struct sys_stat *st, struct tarn_err *err)
{
    struct gatherer *k = arg;
    struct api_gathered *g = k->g;
    struct tarn_quote q;
    size_t len = strlen(path);
    char *on_disk = tarn_arena_alloc(&g->arena, len + 3, 1);
    if (on_disk == NULL || !TARN_GROW(g->files, g->n, g->cap))
        return tarn_fail_mem(err, "listing a folder");
    snprintf(on_disk, len + 3, "./%s", path);
    if (!tarn_add_u64(g->total, st->size, &g->total))
        return tarn_fail(err, TARN_E_FAILED, "'%s' makes the sum of all sizes too large",
                         quote_path(g, path, &q));
    g->files[g->n++] = (struct api_source){ on_disk + 2, on_disk, *st };
    return true;
}

/* The last element of the path; of "." and the like that of the folder they stand for. */
static bool find_name(struct api_gathered *g, struct tarn_err *err)
{
    const char *path = g->root;
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    struct tarn_bytes last = tarn_bytes_of(path + start, end - start);
    struct tarn_quote q;
    if (last.len == 0 || tarn_bytes_eq_str(last, ".") || tarn_bytes_eq_str(last, "..")) {
        char *real = realpath(path, NULL);
        if (real == NULL)
            return tarn_fail_sys(err, "cannot find '%s'", tarn_quote_str(&q, path));
        const char *slash = strrchr(real, '/');
        g->name = tarn_arena_strndup(&g->arena, tarn_bytes_str(slash == NULL ? real : slash + 1));
        free(real); /* NOLINT: realpath's own */
    } else {
        g->name = tarn_arena_strndup(&g->arena, last);
    }
    if (g->name == NULL)
        return tarn_fail_mem(err, "listing a folder");
    if (*g->name == '\0')
        return tarn_fail(err, TARN_E_USAGE, "'%s' has no name that a torrent could bear",
                         tarn_quote_str(&q, path));
    const char *why = why_bad(tarn_bytes_str(g->name));
    return why == NULL || tarn_fail(err, TARN_E_FAILED, "'%s' cannot name a torrent: %s",
                                    tarn_quote_str(&q, g->name), why);
}

static bool list(struct gatherer *k, struct tarn_err *err)
{
    struct api_gathered *g = k->g;
    struct sys_stat st;
    struct tarn_quote q;
    if (!sys_stat(SYS_CWD, g->root, true, &st, err) || !find_name(g, err))
        return false;
    tarn_quote_str(&q, g->root);
    if (st.kind == SYS_REGULAR) {
        g->is_single_file = true;
        return (st.size > 0 || tarn_fail(err, TARN_E_FAILED,
                                         "'%s' is empty: a torrent needs at "
                                         "least one byte",
                                         q.s)) &&
               on_file(k, "", &st, err);
    }
    if (st.kind != SYS_FOLDER)
        return tarn_fail(err, TARN_E_FAILED, "'%s' is neither a file nor a folder", q.s);
    struct api_walk walk = { on_name, on_file, on_other, k };
    if (!api_walk(&walk, g->root, err))
        return false;
    if (g->n == 0)
        return tarn_fail(err, TARN_E_FAILED, "there is no file in '%s'", q.s);
    return g->total > 0 || tarn_fail(err, TARN_E_FAILED,
                                     "all files in '%s' are empty: a torrent "
                                     "needs at least one byte",
                                     q.s);
}

bool api_gather(struct api_gathered *g, const struct tarn_create *c, struct tarn_err *err)
{
    struct gatherer k = { g, c };
    *g = (struct api_gathered){ .root = c->path };
    tarn_arena_init(&g->arena, NAMES_MAX);
    return list(&k, err);
}

void api_gathered_release(struct api_gathered *g)
{
    tarn_arena_release(&g->arena);
    tarn_free(g->files);
    *g = (struct api_gathered){ 0 };
}

bool api_gathered_same(const struct api_gathered *g, struct tarn_err *err)
{
    struct tarn_out path;
    bool ok = true;
    tarn_out_init(&path, 64 << 10);
    for (size_t i = 0; i < g->n && ok; i++) {
        struct sys_stat st;
        struct tarn_quote q;
        tarn_out_clear(&path);
        tarn_out_str(&path, g->root);
        if (!g->is_single_file) {
            tarn_out_u8(&path, '/');
            tarn_out_str(&path, g->files[i].path);
        }
        tarn_out_u8(&path, '\0');
        if (!tarn_out_ok(&path))
            ok = tarn_fail_mem(err, "looking for changed files");
        else if (!sys_stat(SYS_CWD, (const char *)path.p, g->is_single_file, &st, NULL) ||
                 !sys_stat_same(&st, &g->files[i].st))
            ok = tarn_fail(err, TARN_E_FAILED,
                           "'%s' changed while it was read; try again when it is at rest",
                           api_source_quote(g, i, &q));
    }
    tarn_out_release(&path);
    return ok;
}
