/* store/prepare: how files of a written tree come to be and get their names. Whatever was there
 * before is kept or refused, never overwritten by name: a rename only goes to a name that is free,
 * and only of the very file that we have open. */
#include "base/num.h"
#include "store/priv.h"

#include <string.h>

bool store_fail_space(struct store_tree *t, uint32_t file, const char *doing, uint64_t asked,
                      struct tarn_err *err)
{
    if (err == NULL)
        return false;
    struct tarn_quote q;
    tarn_quote_str(&q, t->layout->files[file].path);
    uint64_t free_bytes;
    struct sys_file *root = err->code == TARN_E_NO_SPACE ? store_root(t, NULL) : NULL;
    bool is_known = root != NULL && sys_free_space(root->fd, &free_bytes, NULL);
    sys_file_unref(root);
    if (!is_known)
        return tarn_fail_in(err, "%s '%s'", doing, q.s);
    struct tarn_size_text a, f;
    tarn_size_text(&a, asked);
    tarn_size_text(&f, free_bytes);
    return tarn_fail(err, TARN_E_NO_SPACE,
                     "no room for '%s': %s (%llu bytes) asked, %s free (remove something, or "
                     "choose a folder on another disk)",
                     q.s, a.s, (unsigned long long)asked, f.s);
}

static bool fail_file(struct store_tree *t, uint32_t file, struct tarn_err *err, const char *why)
{
    struct tarn_quote q;
    return tarn_fail(err, TARN_E_POLICY, "'%s' %s", tarn_quote_str(&q, t->layout->files[file].path),
                     why);
}

/* Is name in the folder the file that is open as fd? */
static bool is_same_file(int folder, const char *name, int fd)
{
    struct sys_stat named, opened;
    return sys_stat(folder, name, false, &named, NULL) && sys_stat_fd(fd, &opened, NULL) &&
           named.kind == SYS_REGULAR && named.dev == opened.dev && named.ino == opened.ino;
}

/* Move an open file between its two names. */
static bool rename_file(struct store_tree *t, uint32_t file, int fd, enum store_where to,
                        struct tarn_err *err)
{
    struct store_path from_path, to_path;
    struct sys_stat st;
    const char *name;
    enum store_where from = to == STORE_WHERE_FINAL ? STORE_WHERE_PART : STORE_WHERE_FINAL;
    if (!store_path_at(t, file, from, &from_path, err) ||
        !store_path_at(t, file, to, &to_path, err))
        return false;
    SYS_AUTO_FD folder = store_open_parent(t, from_path.s, &name, err);
    if (folder < 0)
        return false;
    const char *to_name = strrchr(to_path.s, '/');
    to_name = to_name == NULL ? to_path.s : to_name + 1;
    if (!is_same_file(folder, name, fd))
        return fail_file(t, file, err,
                         "was moved or replaced while it was being written: its name will not be "
                         "touched");
    if (sys_stat(folder, to_name, false, &st, NULL))
        return fail_file(
            t, file, err,
            to == STORE_WHERE_FINAL
                ? "is there already, beside its unfinished .part: move one of them away"
                : "cannot be set aside: there is a .part of it already");
    if (!sys_rename(folder, name, folder, to_name, err))
        return false;
    store_set_where(t, file, to);
    return true;
}

/* A file under the final name that is not the size it should be. */
static bool settle_odd_size(struct store_tree *t, uint32_t file, uint64_t size, int fd,
                            struct tarn_err *err)
{
    if (size > t->layout->files[file].len)
        return fail_file(t, file, err,
                         "is there already and is longer than it should be, so it is some other "
                         "file: move it away, or choose another folder");
    return rename_file(t, file, fd, STORE_WHERE_PART, err);
}

static bool settle_final(struct store_tree *t, uint32_t file, struct store_settled *s,
                         struct tarn_err *err)
{
    struct sys_stat st;
    if (!sys_stat_fd(s->fd, &st, err))
        return false;
    s->had = st.size > 0;
    s->where = STORE_WHERE_FINAL;
    if (st.size == t->layout->files[file].len)
        return true;
    s->where = STORE_WHERE_PART;
    return settle_odd_size(t, file, st.size, s->fd, err);
}

static bool open_part(struct store_tree *t, uint32_t file, bool may_make, struct store_settled *s,
                      struct tarn_err *err)
{
    struct store_path path;
    struct sys_stat st;
    struct tarn_err why = { 0 };
    s->where = STORE_WHERE_PART;
    if (!store_path_at(t, file, STORE_WHERE_PART, &path, err))
        return false;
    s->fd = store_open_below(t, path.s, SYS_OPEN_WRITE, &why);
    if (s->fd >= 0) {
        s->had = sys_stat_fd(s->fd, &st, NULL) && st.size > 0;
        return true;
    }
    if (why.code == TARN_E_NOT_FOUND && may_make) {
        s->is_new = true;
        s->fd = store_open_below(t, path.s, SYS_OPEN_CREATE_NEW, err);
        return s->fd >= 0;
    }
    if (err != NULL)
        *err = why;
    return false;
}

/* Look under the final name. True with where still unknown when nothing is there. */
static bool open_final(struct store_tree *t, uint32_t file, struct store_settled *s,
                       struct tarn_err *err)
{
    struct store_path path;
    struct tarn_err why = { 0 };
    if (!store_path_at(t, file, STORE_WHERE_FINAL, &path, err))
        return false;
    s->fd = store_open_below(t, path.s, SYS_OPEN_READ, &why);
    if (s->fd >= 0)
        return settle_final(t, file, s, err);
    if (why.code == TARN_E_NOT_FOUND)
        return true;
    if (err != NULL)
        *err = why;
    return false;
}

bool store_settle(struct store_tree *t, uint32_t file, bool may_make, struct store_settled *s,
                  struct tarn_err *err)
{
    *s = (struct store_settled){ .fd = -1 };
    bool ok = store_where_of(t, file) == STORE_WHERE_PART || open_final(t, file, s, err);
    if (ok && s->where != STORE_WHERE_FINAL) {
        bool had = s->had;
        sys_close(&s->fd);
        ok = open_part(t, file, may_make, s, err);
        s->had |= had;
    }
    if (!ok) {
        sys_close(&s->fd);
        return false;
    }
    store_set_where(t, file, s->where);
    return true;
}

/* Take back what store_settle made. */
static void unmake(struct store_tree *t, uint32_t file)
{
    struct store_path path;
    const char *name;
    store_set_where(t, file, STORE_WHERE_UNKNOWN);
    if (!store_path_at(t, file, STORE_WHERE_PART, &path, NULL))
        return;
    SYS_AUTO_FD folder = store_open_parent(t, path.s, &name, NULL);
    if (folder >= 0)
        (void)!sys_remove(folder, name, NULL); /* at worst an empty .part stays */
}

/* Room and the right size for a .part. */
static bool make_room(struct store_tree *t, uint32_t file, int fd, struct tarn_err *err)
{
    struct sys_stat st;
    uint64_t len = t->layout->files[file].len;
    if (!sys_reserve(fd, len, err))
        return store_fail_space(t, file, "making room for", len, err);
    if (!sys_stat_fd(fd, &st, err))
        return false;
    return st.size == len || sys_truncate(fd, len, err);
}

static bool prepare_locked(struct store_tree *t, uint32_t file, bool *had, struct tarn_err *err)
{
    struct store_settled s;
    if (!store_settle(t, file, true, &s, err))
        return false;
    if (s.where == STORE_WHERE_PART && !make_room(t, file, s.fd, err)) {
        sys_close(&s.fd);
        if (s.is_new)
            unmake(t, file);
        return false;
    }
    *had = s.had;
    struct sys_file *f = sys_file_new(s.fd);
    if (f == NULL)
        return tarn_fail_mem(err, "preparing a file");
    f->way = t->way;
    sys_file_unref(store_table_put(&t->table, file, s.where == STORE_WHERE_PART, f));
    return true;
}

bool store_tree_prepare(struct store_tree *t, uint32_t file, bool *had, struct tarn_err *err)
{
    if (!store_has_bytes(&t->layout->files[file])) {
        *had = false;
        return true;
    }
    sys_lock_take(&t->making);
    bool ok = prepare_locked(t, file, had, err);
    sys_lock_give(&t->making);
    return ok;
}

/* Finishing: finish.c does it for many at once. */

bool store_make_empty(struct store_tree *t, uint32_t file, struct tarn_err *err)
{
    struct store_path path;
    struct sys_stat st;
    if (!store_path_at(t, file, STORE_WHERE_FINAL, &path, err))
        return false;
    SYS_AUTO_FD fd = store_open_below(t, path.s, SYS_OPEN_CREATE, err);
    if (fd < 0 || !sys_stat_fd(fd, &st, err))
        return false;
    if (st.size > 0)
        return fail_file(t, file, err,
                         "is there already and should be empty, so it is some other file: move it "
                         "away, or choose another folder");
    return !t->layout->files[file].is_executable || sys_make_executable(fd, err);
}

bool store_find_whole(struct store_tree *t, uint32_t file, struct store_settled *s,
                      struct tarn_err *err)
{
    struct sys_stat st;
    sys_lock_take(&t->making);
    bool ok = store_settle(t, file, false, s, err);
    sys_lock_give(&t->making);
    if (!ok || !sys_stat_fd(s->fd, &st, err))
        return false;
    struct sys_file *written = store_table_get(&t->table, file, false);
    bool is_other =
        written != NULL && (written->at_open.ino != st.ino || written->at_open.dev != st.dev);
    sys_file_unref(written);
    return (!is_other && st.size == t->layout->files[file].len) ||
           fail_file(t, file, err, "was replaced, or its size changed, while it was being written");
}

bool store_name_whole(struct store_tree *t, uint32_t file, const struct store_settled *s,
                      struct tarn_err *err)
{
    struct sys_stat st;
    if (t->layout->files[file].is_executable &&
        (!sys_stat_fd(s->fd, &st, err) || (!st.is_executable && !sys_make_executable(s->fd, err))))
        return false;
    if (s->where == STORE_WHERE_FINAL)
        return true;
    sys_lock_take(&t->making);
    bool ok = rename_file(t, file, s->fd, STORE_WHERE_FINAL, err);
    sys_lock_give(&t->making);
    return ok;
}

void store_tree_take(struct store_tree *t, uint32_t file, enum store_where where)
{
    store_set_where(t, file, where);
}

bool store_tree_withdraw(struct store_tree *t, uint32_t file, struct tarn_err *err)
{
    struct store_settled s = { .fd = -1 };
    sys_lock_take(&t->making);
    bool ok = store_settle(t, file, true, &s, err) &&
              (s.where == STORE_WHERE_PART || rename_file(t, file, s.fd, STORE_WHERE_PART, err));
    sys_lock_give(&t->making);
    sys_close(&s.fd);
    return ok;
}

bool store_tree_write_early(struct store_tree *t, uint64_t off, const struct tarn_bytes *runs,
                            size_t n, struct tarn_err *err)
{
    struct store_walk w;
    struct store_part part;
    uint64_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += runs[i].len;
    store_walk_begin(&w, t->layout, off, len);
    while (store_walk_next(&w, &part))
        if (part.file != STORE_NO_FILE && store_where_of(t, part.file) != STORE_WHERE_PART &&
            !store_tree_withdraw(t, part.file, err))
            return false;
    return store_tree_write(t, off, runs, n, err);
}
