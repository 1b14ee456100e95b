/* api/walk: see the header. A folder is listed and closed before those in it are entered, so depth
 * costs no descriptors. Names come sorted as bytes and folders are entered in place: which is the
 * order of the v2 tree. */
#include "api/walk.h"

#include "base/mem.h"
#include "base/out.h"
#include "bt/core/metainfo.h"

enum { PATH_LIMIT = 64 << 10 }; /* bytes of a path; systems take far less */

struct walker {
    const struct api_walk *w;
    struct tarn_out path; /* root and what follows, a NUL behind it */
    size_t root_len;      /* with the '/' behind it */
    unsigned depth;
};

/* Append and end an element; *len is what was there before. */
static bool push(struct walker *k, const char *name, size_t *len, struct tarn_err *err)
{
    *len = k->path.len;
    k->path.len--; /* the NUL */
    tarn_out_u8(&k->path, '/');
    tarn_out_str(&k->path, name);
    tarn_out_u8(&k->path, '\0');
    return tarn_out_ok(&k->path) || tarn_fail_mem(err, "listing a folder");
}

static void pop(struct walker *k, size_t len)
{
    k->path.len = len;
    k->path.p[len - 1] = '\0';
}

static bool list(const char *path, const char ***names, size_t *n, struct tarn_err *err)
{
    SYS_AUTO_FD fd = sys_open(path, SYS_OPEN_FOLDER, err);
    return fd >= 0 && sys_list_folder(fd, names, n, err);
}

static bool enter(struct walker *k, struct tarn_err *err);

static bool visit(struct walker *k, const char *name, struct tarn_err *err)
{
    const struct api_walk *w = k->w;
    const char *full = (const char *)k->path.p;
    const char *path = full + k->root_len;
    bool take = true;
    struct sys_stat st;
    if (w->on_name != NULL && !w->on_name(w->arg, path, tarn_bytes_str(name), &take, err))
        return false;
    if (!take)
        return true;
    if (!sys_stat(SYS_CWD, full, false, &st, err))
        return false;
    if (st.kind == SYS_FOLDER)
        return enter(k, err);
    if (st.kind == SYS_REGULAR)
        return w->on_file(w->arg, path, &st, err);
    return w->on_other(w->arg, path, st.kind, err);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the folders, and that has a limit */
static bool enter(struct walker *k, struct tarn_err *err)
{
    const char **names;
    size_t n;
    struct tarn_quote q;
    if (k->depth == BT_PATH_DEPTH_MAX)
        return tarn_fail(err, TARN_E_POLICY,
                         "'%s' lies deeper than %d folders, which no torrent "
                         "can hold",
                         tarn_quote_str(&q, (const char *)k->path.p), BT_PATH_DEPTH_MAX);
    if (!list((const char *)k->path.p, &names, &n, err))
        return false;
    bool ok = true;
    k->depth++;
    for (size_t i = 0; i < n && ok; i++) {
        size_t len;
        ok = push(k, names[i], &len, err) && visit(k, names[i], err);
        pop(k, len);
    }
    k->depth--;
    tarn_free(names);
    return ok;
}

bool api_walk(const struct api_walk *w, const char *root, struct tarn_err *err)
{
    struct walker k = { .w = w };
    size_t len = strlen(root);
    while (len > 0 && root[len - 1] == '/')
        len--;
    tarn_out_init(&k.path, PATH_LIMIT);
    tarn_out_put(&k.path, tarn_bytes_of(root, len));
    tarn_out_u8(&k.path, '\0');
    k.root_len = len + 1;
    bool ok = tarn_out_ok(&k.path) ? enter(&k, err) : tarn_fail_mem(err, "listing a folder");
    tarn_out_release(&k.path);
    return ok;
}
