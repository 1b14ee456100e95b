/* store/finish: whole files get their names, many in one go.
 *
 * One after the other each small file costs the disk a flush of its own. So a batch is opened,
 * synced together, and renamed; and the folders are synced at the very end, each once. */
#include "base/mem.h"
#include "store/priv.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = STORE_SYNC_MAX }; /* files open at a time */

/* The path of a folder: the first len bytes of a file's. */
struct folder {
    const char *path; /* borrowed from the layout */
    size_t len;
};

static int by_path(const void *a, const void *b)
{
    const struct folder *x = a, *y = b;
    return tarn_bytes_cmp(tarn_bytes_of(x->path, x->len), tarn_bytes_of(y->path, y->len));
}

struct folders {
    struct folder *at; /* owned */
    size_t n, cap;
};

static size_t parent_len(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] != '/')
        len--;
    return len > 0 ? len - 1 : 0;
}

/* The file's folder and those above it, unless the file before was in the same one. */
static bool add_folders(struct folders *f, const char *path)
{
    size_t len = parent_len(path, strlen(path));
    if (f->n > 0) {
        const struct folder *last = &f->at[f->n - 1];
        if (last->len == len && memcmp(last->path, path, len) == 0)
            return true;
    }
    for (size_t i = 0;; i++) { /* from the outside in, so that the last one is the file's own */
        if (i < len && (i == 0 || path[i] != '/'))
            continue;
        if (!TARN_GROW(f->at, f->n, f->cap))
            return false;
        f->at[f->n++] = (struct folder){ path, i < len ? i : len };
        if (i >= len)
            return true;
    }
}

static bool sync_folder(struct store_tree *t, const struct folder *f, struct tarn_err *err)
{
    struct store_path path;
    memcpy(path.s, f->path, f->len); /* it is shorter than a path that was opened */
    path.s[f->len] = '\0';
    SYS_AUTO_FD fd = f->len == 0 ? sys_open(t->root, SYS_OPEN_FOLDER, err)
                                 : store_open_below(t, path.s, SYS_OPEN_FOLDER, err);
    return fd >= 0 && sys_sync_folder(fd, err);
}

/* From the inside out: a name that is there leads to something. */
static bool sync_folders(struct store_tree *t, struct folders *f, struct tarn_err *err)
{
    struct folder root = { "", 0 };
    if (f->n == 0)
        return true;
    qsort(f->at, f->n, sizeof *f->at, by_path);
    for (size_t i = f->n; i-- > 0;)
        if (f->at[i].len > 0 && (i == 0 || by_path(&f->at[i], &f->at[i - 1]) != 0) &&
            !sync_folder(t, &f->at[i], err))
            return false;
    return sync_folder(t, &root, err);
}

/* Files that are open on their way. */
struct batch {
    struct store_settled settled[BATCH];
    uint32_t files[BATCH];
    size_t n;
};

static void close_batch(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        sys_close(&b->settled[i].fd);
    b->n = 0;
}

static bool open_batch(struct store_tree *t, struct batch *b, struct tarn_err *err)
{
    for (size_t i = 0; i < b->n; i++)
        b->settled[i].fd = -1;
    for (size_t i = 0; i < b->n; i++)
        if (!store_find_whole(t, b->files[i], &b->settled[i], err))
            return false;
    return true;
}

static bool finish_batch(struct store_tree *t, struct batch *b, struct tarn_err *err)
{
    int fds[BATCH];
    if (!open_batch(t, b, err))
        return false;
    for (size_t i = 0; i < b->n; i++)
        fds[i] = b->settled[i].fd;
    if (!store_sync_files(t, b->files, fds, b->n, err))
        return false;
    for (size_t i = 0; i < b->n; i++)
        if (!store_name_whole(t, b->files[i], &b->settled[i], err))
            return false;
    return true;
}

static bool finish_all(struct store_tree *t, const uint32_t *files, size_t n, struct folders *f,
                       struct tarn_err *err)
{
    struct batch b = { .n = 0 };
    size_t most = store_may_open(BATCH, 16);
    for (size_t i = 0; i <= n; i++) {
        const struct store_file *file = i < n ? &t->layout->files[files[i]] : NULL;
        if (file != NULL && (file->is_pad || file->symlink_target != NULL))
            continue;
        if (file != NULL && !add_folders(f, file->path))
            return tarn_fail_mem(err, "finishing files");
        if (file != NULL && file->len == 0 && !store_make_empty(t, files[i], err))
            return false;
        if (file != NULL && file->len > 0)
            b.files[b.n++] = files[i];
        if (b.n == most || file == NULL) {
            bool ok = finish_batch(t, &b, err);
            close_batch(&b);
            if (!ok)
                return false;
        }
    }
    return true;
}

bool store_tree_finish(struct store_tree *t, const uint32_t *files, size_t n, struct tarn_err *err)
{
    struct folders f = { 0 };
    bool ok = finish_all(t, files, n, &f, err) && sync_folders(t, &f, err);
    tarn_free(f.at);
    return ok;
}
