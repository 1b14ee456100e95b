/* store/tree: opening a tree, and reading and writing runs of its address space. How files come to
 * be and get their names is in prepare.c. */
#include "store/tree.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/out.h"
#include "store/priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RUNS = 64,   /* runs of memory in one call */
    PROBES = 64, /* files looked for to tell a payload from the folder that holds it */
};

/* The part of a file's path below the payload's own folder; "" when the payload is the file. */
static const char *below_payload(const char *path)
{
    const char *slash = strchr(path, '/');
    return slash == NULL ? "" : slash + 1;
}

/* Where a file would be when root is the payload, or the folder that holds it. */
static bool join(struct store_path *dst, const char *root, const char *path, bool is_payload)
{
    const char *tail = is_payload ? below_payload(path) : path;
    size_t len = strlen(root);
    const char *between = *tail == '\0' || (len > 0 && root[len - 1] == '/') ? "" : "/";
    return (size_t)snprintf(dst->s, sizeof dst->s, "%s%s%s", root, between, tail) < sizeof dst->s;
}

static unsigned count_present(const struct store_layout *l, const char *root, bool is_payload)
{
    unsigned found = 0;
    struct store_path path;
    struct sys_stat st;
    for (uint32_t i = 0, probes = 0; i < l->n_files && probes < PROBES; i++) {
        if (l->files[i].is_pad || l->files[i].symlink_target != NULL)
            continue;
        probes++;
        if (join(&path, root, l->files[i].path, is_payload) &&
            sys_stat(SYS_CWD, path.s, true, &st, NULL) && st.kind == SYS_REGULAR)
            found++;
    }
    return found;
}

static const char *last_element(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static bool is_kind(const char *path, enum sys_kind kind)
{
    struct sys_stat st;
    return sys_stat(SYS_CWD, path, true, &st, NULL) && st.kind == kind;
}

/* Which of the two is root? The reading in which more files are there (equally many: a payload with
 * its namesake inside); when none is in either, the one in which the folder is. */
static bool judge_root(struct store_tree *t, struct tarn_err *err)
{
    const struct store_layout *l = t->layout;
    struct tarn_quote q;
    struct sys_stat st;
    if (!sys_stat(SYS_CWD, t->root, true, &st, err))
        return false;
    unsigned as_payload = count_present(l, t->root, true);
    unsigned as_holder = count_present(l, t->root, false);
    t->is_payload = as_payload >= as_holder;
    if (as_payload + as_holder > 0)
        return true;
    struct store_path inner;
    bool is_held =
        snprintf(inner.s, sizeof inner.s, "%s/%s", t->root, l->name) < (int)sizeof inner.s &&
        is_kind(inner.s, SYS_FOLDER);
    t->is_payload = !is_held;
    if (!l->is_single_file && st.kind == SYS_FOLDER &&
        (is_held || strcmp(last_element(t->root), l->name) == 0))
        return true;
    struct tarn_quote asked;
    return tarn_fail(err, TARN_E_NOT_FOUND, "'%s' neither is nor holds '%s'",
                     tarn_quote_str(&asked, t->root), tarn_quote_str(&q, l->name));
}

static struct store_tree *new_tree(const struct store_layout *l, const char *path,
                                   struct tarn_err *err)
{
    struct store_tree *t = tarn_calloc(1, sizeof *t);
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    char *root = t == NULL ? NULL : tarn_strndup(path, len);
    if (root == NULL) {
        tarn_free(t);
        tarn_fail_mem(err, "opening a tree of files");
        return NULL;
    }
    t->layout = l;
    t->root = root;
    sys_lock_init(&t->making);
    store_table_init(&t->table);
    return t;
}

struct store_tree *store_tree_open(const struct store_layout *l, const char *path,
                                   struct tarn_err *err)
{
    struct store_tree *t = new_tree(l, path, err);
    if (t == NULL)
        return NULL;
    t->seen = tarn_calloc(l->n_files, sizeof *t->seen);
    if (t->seen == NULL)
        tarn_fail_mem(err, "opening a tree of files");
    else if (judge_root(t, err))
        return t;
    store_tree_free(t);
    return NULL;
}

struct store_tree *store_tree_create(const struct store_layout *l, const char *dir,
                                     struct tarn_err *err)
{
    struct store_tree *t = new_tree(l, dir, err);
    struct sys_file *root = NULL;
    if (t == NULL)
        return NULL;
    t->is_writable = true;
    t->where = tarn_calloc(l->n_files, 1);
    t->dirty = tarn_calloc(l->n_files, 1);
    if (t->where == NULL || t->dirty == NULL)
        tarn_fail_mem(err, "opening a tree of files");
    else if (sys_make_folders(t->root, err))
        root = store_root(t, err);
    bool ok = root != NULL && store_names_init(&t->names, l, err);
    sys_file_unref(root);
    if (ok)
        return t;
    store_tree_free(t);
    return NULL;
}

void store_tree_free(struct store_tree *t)
{
    if (t == NULL)
        return;
    store_table_release(&t->table);
    sys_lock_release(&t->making);
    sys_file_unref(t->dir);
    store_names_release(&t->names);
    tarn_free(t->where);
    tarn_free(t->dirty);
    tarn_free(t->seen);
    tarn_free(t->root);
    tarn_free(t);
}

struct sys_file *store_root(struct store_tree *t, struct tarn_err *err)
{
    sys_lock_take(&t->table.lock);
    struct sys_file *root = t->dir == NULL ? NULL : sys_file_ref(t->dir);
    sys_lock_give(&t->table.lock);
    if (root != NULL)
        return root;
    int fd = sys_open(t->root, SYS_OPEN_FOLDER, err);
    if (fd < 0)
        return NULL;
    root = sys_file_new(fd);
    if (root == NULL) {
        tarn_fail_mem(err, "opening a folder");
        return NULL;
    }
    struct sys_file *late = NULL; /* another thread was quicker: the folder is one for all */
    sys_lock_take(&t->table.lock);
    if (t->dir == NULL) {
        t->dir = sys_file_ref(root);
    } else {
        late = root;
        root = sys_file_ref(t->dir);
    }
    sys_lock_give(&t->table.lock);
    sys_file_unref(late);
    return root;
}

int store_open_below(struct store_tree *t, const char *path, enum sys_open_how how,
                     struct tarn_err *err)
{
    struct sys_file *root = store_root(t, err);
    int fd = root == NULL ? -1 : sys_open_beneath(root->fd, path, how, err);
    sys_file_unref(root);
    return fd;
}

void store_tree_set_way(struct store_tree *t, enum sys_file_way way)
{
    t->way = way;
}

/* Where files are. */

enum store_where store_where_of(struct store_tree *t, uint32_t file)
{
    sys_lock_take(&t->table.lock);
    enum store_where where = (enum store_where)t->where[file];
    sys_lock_give(&t->table.lock);
    return where;
}

void store_set_where(struct store_tree *t, uint32_t file, enum store_where where)
{
    sys_lock_take(&t->table.lock);
    t->where[file] = (uint8_t)where;
    sys_lock_give(&t->table.lock);
}

/* Returns what it was. */
static bool set_dirty(struct store_tree *t, uint32_t file, bool is_dirty)
{
    sys_lock_take(&t->table.lock);
    bool was = t->dirty[file] != 0;
    if (was != is_dirty)
        t->n_dirty += is_dirty ? 1 : UINT32_MAX;
    t->dirty[file] = is_dirty;
    sys_lock_give(&t->table.lock);
    return was;
}

static bool fail_long(struct tarn_err *err, const char *path)
{
    struct tarn_quote q;
    return tarn_fail(err, TARN_E_POLICY, "the path of '%s' is longer than %zu bytes",
                     tarn_quote_str(&q, last_element(path)), sizeof(struct store_path) - 1);
}

bool store_path_at(struct store_tree *t, uint32_t file, enum store_where where,
                   struct store_path *path, struct tarn_err *err)
{
    const char *own = t->layout->files[file].path;
    bool fits = where == STORE_WHERE_PART
                    ? store_names_part(&t->names, t->layout, file, path)
                    : (size_t)snprintf(path->s, sizeof path->s, "%s", own) < sizeof path->s;
    return fits || fail_long(err, own);
}

const char *store_tree_path(const struct store_tree *t, uint32_t file, char *dst, size_t size)
{
    struct store_path path;
    (void)join(&path, t->root, t->layout->files[file].path, t->is_payload); /* cut is fine */
    snprintf(dst, size, "%s", path.s);
    return dst;
}

int store_open_parent(struct store_tree *t, const char *path, const char **name,
                      struct tarn_err *err)
{
    struct store_path folder;
    const char *last = last_element(path);
    if (last == path) {
        *name = last;
        return sys_open(t->root, SYS_OPEN_FOLDER, err);
    }
    snprintf(folder.s, sizeof folder.s, "%.*s", (int)(last - path - 1), path);
    *name = last;
    return store_open_below(t, folder.s, SYS_OPEN_FOLDER, err);
}

/* Opening. */

static int open_for_reading(struct store_tree *t, uint32_t file, struct tarn_err *err)
{
    struct store_path path;
    const char *own = t->layout->files[file].path;
    if (!join(&path, t->root, own, t->is_payload)) {
        fail_long(err, own);
        return -1;
    }
    struct sys_stat st;
    struct tarn_quote q;
    if (!sys_stat(SYS_CWD, path.s, true, &st, err))
        return -1;
    if (st.kind == SYS_REGULAR)
        return sys_open(path.s, SYS_OPEN_READ, err);
    /* Not even opened: a pipe would make us wait for its other end. */
    tarn_fail(err, TARN_E_FAILED, "'%s' is not a regular file", tarn_quote_str(&q, path.s));
    return -1;
}

/* A file that only we read may have been closed meanwhile, as others were read. Is what is opened
 * now what was there at first? */
static bool is_as_first_seen(struct store_tree *t, uint32_t file, const struct sys_stat *st,
                             struct tarn_err *err)
{
    struct tarn_quote q;
    if (t->seen == NULL)
        return true;
    sys_lock_take(&t->table.lock);
    struct store_seen *seen = &t->seen[file];
    if (seen->ino == 0)
        *seen = (struct store_seen){ st->ino, st->mtime_ns };
    bool same = seen->ino == st->ino && seen->mtime_ns == st->mtime_ns;
    sys_lock_give(&t->table.lock);
    return same || tarn_fail(err, TARN_E_INTEGRITY,
                             "'%s' was changed or replaced by something else since it was opened "
                             "first: check the data again",
                             tarn_quote_str(&q, t->layout->files[file].path));
}

/* Of a tree that we write: whatever is there, under either name. */
static int open_written(struct store_tree *t, uint32_t file, bool *can_write, struct tarn_err *err)
{
    struct store_path path;
    struct tarn_err why = { 0 };
    enum store_where where = store_where_of(t, file);
    *can_write = where == STORE_WHERE_PART;
    if (!store_path_at(t, file, where, &path, err))
        return -1;
    int fd = store_open_below(t, path.s, *can_write ? SYS_OPEN_WRITE : SYS_OPEN_READ, &why);
    if (fd < 0 && where == STORE_WHERE_UNKNOWN && why.code == TARN_E_NOT_FOUND &&
        store_path_at(t, file, STORE_WHERE_PART, &path, NULL))
        fd = store_open_below(t, path.s, SYS_OPEN_READ, NULL);
    if (fd < 0 && err != NULL)
        *err = why;
    return fd;
}

static int open_to_write(struct store_tree *t, uint32_t file, struct tarn_err *err)
{
    struct store_path path;
    sys_lock_take(&t->making);
    struct store_settled s = { .fd = -1, .where = store_where_of(t, file) };
    if (s.where == STORE_WHERE_UNKNOWN && !store_settle(t, file, true, &s, err)) {
        sys_lock_give(&t->making);
        return -1;
    }
    if (s.where == STORE_WHERE_FINAL || s.fd < 0) {
        sys_close(&s.fd);
        if (store_path_at(t, file, s.where, &path, err))
            s.fd = store_open_below(t, path.s, SYS_OPEN_WRITE, err);
    }
    sys_lock_give(&t->making);
    return s.fd;
}

static struct sys_file *open_file(struct store_tree *t, uint32_t file, bool to_write,
                                  struct tarn_err *err)
{
    struct sys_file *f = store_table_get(&t->table, file, to_write);
    if (f != NULL)
        return f;
    bool can_write = to_write;
    int fd = to_write         ? open_to_write(t, file, err)
             : t->is_writable ? open_written(t, file, &can_write, err)
                              : open_for_reading(t, file, err);
    if (fd < 0)
        return NULL;
    f = sys_file_new(fd);
    struct tarn_quote q;
    if (f != NULL)
        f->way = t->way;
    if (f == NULL)
        tarn_fail_mem(err, "opening a file");
    else if (f->at_open.kind == SYS_REGULAR) {
        if (is_as_first_seen(t, file, &f->at_open, err))
            return store_table_put(&t->table, file, can_write, f);
    } else {
        tarn_fail(err, TARN_E_FAILED, "'%s' is not a regular file",
                  tarn_quote_str(&q, t->layout->files[file].path));
    }
    sys_file_unref(f);
    return NULL;
}

struct sys_file *store_tree_file(struct store_tree *t, uint32_t file, struct tarn_err *err)
{
    return open_file(t, file, false, err);
}

struct sys_file *store_tree_file_open(struct store_tree *t, uint32_t file)
{
    return store_table_get(&t->table, file, false);
}

bool store_tree_file_is_same(struct store_tree *t, uint32_t file, struct sys_file *f)
{
    struct sys_stat now;
    const struct sys_stat *then = &f->at_open;
    if (t->is_writable || (sys_stat_fd(f->fd, &now, NULL) && now.size == then->size &&
                           now.mtime_ns == then->mtime_ns))
        return true;
    store_table_drop(&t->table, file);
    return false;
}

static bool stat_named(struct store_tree *t, uint32_t file, enum store_where where,
                       struct sys_stat *st, struct tarn_err *err)
{
    struct store_path path;
    const char *name;
    if (!store_path_at(t, file, where, &path, err))
        return false;
    SYS_AUTO_FD folder = store_open_parent(t, path.s, &name, err);
    return folder >= 0 && sys_stat(folder, name, false, st, err);
}

static bool stat_written(struct store_tree *t, uint32_t file, struct sys_stat *st,
                         enum store_where *where, struct tarn_err *err)
{
    struct tarn_err why = { 0 };
    *where = store_where_of(t, file);
    if (*where != STORE_WHERE_UNKNOWN)
        return stat_named(t, file, *where, st, err);
    *where = STORE_WHERE_FINAL;
    if (stat_named(t, file, *where, st, &why))
        return true;
    *where = STORE_WHERE_PART;
    if (why.code == TARN_E_NOT_FOUND && stat_named(t, file, *where, st, NULL))
        return true;
    if (err != NULL)
        *err = why;
    return false;
}

static bool stat_read(const struct store_tree *t, uint32_t file, struct sys_stat *st,
                      struct tarn_err *err)
{
    struct store_path path;
    const char *own = t->layout->files[file].path;
    return join(&path, t->root, own, t->is_payload) ? sys_stat(SYS_CWD, path.s, true, st, err)
                                                    : fail_long(err, own);
}

bool store_tree_stat(struct store_tree *t, uint32_t file, struct sys_stat *st, struct tarn_err *err)
{
    enum store_where where;
    return t->is_writable ? stat_written(t, file, st, &where, err) : stat_read(t, file, st, err);
}

bool store_tree_look(struct store_tree *t, uint32_t file, struct sys_stat *st,
                     enum store_where *where, struct tarn_err *err)
{
    *where = STORE_WHERE_FINAL;
    if (!t->is_writable)
        return stat_read(t, file, st, err);
    *where = store_where_of(t, file);
    struct sys_file *f =
        *where == STORE_WHERE_UNKNOWN ? NULL : store_table_get(&t->table, file, false);
    if (f == NULL)
        return stat_written(t, file, st, where, err);
    bool ok = sys_stat_fd(f->fd, st, err);
    sys_file_unref(f);
    return ok;
}

void store_tree_rest(struct store_tree *t)
{
    sys_lock_take(&t->table.lock);
    struct sys_file *root = t->dir;
    t->dir = NULL;
    sys_lock_give(&t->table.lock);
    sys_file_unref(root);
    store_table_clear(&t->table);
}

/* Before the first open there is nothing to compare with. */
static bool is_first_seen(struct store_tree *t, uint32_t file, const struct sys_stat *st)
{
    if (t->seen == NULL)
        return true;
    sys_lock_take(&t->table.lock);
    const struct store_seen *seen = &t->seen[file];
    bool same = seen->ino == 0 || (seen->ino == st->ino && seen->mtime_ns == st->mtime_ns);
    sys_lock_give(&t->table.lock);
    return same;
}

bool store_tree_changed(struct store_tree *t, uint32_t file)
{
    struct sys_stat st;
    if (store_tree_stat(t, file, &st, NULL) && st.kind == SYS_REGULAR &&
        st.size == t->layout->files[file].len && is_first_seen(t, file, &st))
        return false;
    store_table_drop(&t->table, file);
    if (t->seen != NULL) {
        sys_lock_take(&t->table.lock);
        t->seen[file] = (struct store_seen){ 0 };
        sys_lock_give(&t->table.lock);
    }
    return true;
}

char *store_tree_place(const struct store_tree *t, struct tarn_err *err)
{
    char *root = sys_real_path(t->root, err);
    if (root == NULL || t->is_payload)
        return root;
    struct tarn_out o;
    tarn_out_init(&o, 2 * sizeof(struct store_path));
    tarn_out_fmt(&o, "%s%s%s", root, strcmp(root, "/") == 0 ? "" : "/", t->layout->name);
    tarn_free(root);
    char *place = tarn_out_take_str(&o);
    if (place == NULL)
        tarn_fail_mem(err, "finding a path");
    return place;
}

/* Reading and writing. */

static bool read_part(struct store_tree *t, const struct store_part *part, uint8_t *into,
                      struct tarn_err *err)
{
    struct sys_file *f = open_file(t, part->file, false, err);
    if (f == NULL)
        return false;
    size_t got = 0;
    struct tarn_quote q;
    const char *path = t->layout->files[part->file].path;
    bool ok = sys_read_at(f->fd, into, (size_t)part->len, part->off, &got, err);
    sys_file_unref(f);
    if (!ok)
        return tarn_fail_in(err, "reading '%s'", tarn_quote_str(&q, path));
    uint64_t end = part->off + got;
    if (got < part->len)
        return tarn_fail(err, TARN_E_INTEGRITY, "'%s' ends at byte %llu and should have %llu",
                         tarn_quote_str(&q, path), (unsigned long long)end,
                         (unsigned long long)t->layout->files[part->file].len);
    return true;
}

bool store_tree_read(struct store_tree *t, uint64_t off, struct tarn_bytes_mut into,
                     struct tarn_err *err)
{
    struct store_walk w;
    struct store_part part;
    store_walk_begin(&w, t->layout, off, into.len);
    while (store_walk_next(&w, &part)) {
        if (part.file == STORE_NO_FILE)
            memset(into.p, 0, (size_t)part.len);
        else if (!read_part(t, &part, into.p, err))
            return false;
        into.p += part.len;
    }
    return true;
}

/* What is left of the runs that the caller gave. */
struct supply {
    const struct tarn_bytes *runs;
    size_t n;
    size_t used; /* of the first */
};

/* Take runs of len bytes in all, or as many as fit; returns how many bytes they have. */
static uint64_t take_runs(struct supply *s, uint64_t len, struct tarn_bytes taken[RUNS], size_t *n)
{
    uint64_t sum = 0;
    for (*n = 0; *n < RUNS && sum < len && s->n > 0;) {
        size_t take = (size_t)tarn_min_u64(s->runs->len - s->used, len - sum);
        if (take > 0)
            taken[(*n)++] = tarn_bytes_of(s->runs->p + s->used, take);
        sum += take;
        s->used += take;
        if (s->used == s->runs->len) {
            s->runs++;
            s->n--;
            s->used = 0;
        }
    }
    return sum;
}

/* What was cut off had been verified; writing on would leave a hole in a file of the right size. */
static bool is_uncut(const struct store_tree *t, uint32_t file, const struct sys_file *f,
                     struct tarn_err *err)
{
    struct sys_stat st;
    struct tarn_quote q;
    if (!sys_stat_fd(f->fd, &st, err))
        return false;
    return st.size >= f->at_open.size ||
           tarn_fail(err, TARN_E_POLICY,
                     "'%s' was cut short by somebody while it was being written: the same command "
                     "checks what is left of it",
                     tarn_quote_str(&q, t->layout->files[file].path));
}

static bool write_part(struct store_tree *t, const struct store_part *part, struct supply *s,
                       struct tarn_err *err)
{
    struct sys_file *f = open_file(t, part->file, true, err);
    if (f == NULL)
        return false;
    bool ok = is_uncut(t, part->file, f, err);
    set_dirty(t, part->file, true);
    for (uint64_t at = 0; at < part->len && ok;) {
        struct tarn_bytes runs[RUNS];
        size_t n;
        uint64_t len = take_runs(s, part->len - at, runs, &n);
        ok = sys_file_write(f, runs, n, part->off + at, err);
        at += len;
    }
    set_dirty(t, part->file, true); /* again: a sync may have come between */
    sys_file_unref(f);
    return ok || store_fail_space(t, part->file, "writing", part->len, err);
}

bool store_tree_write(struct store_tree *t, uint64_t off, const struct tarn_bytes *runs, size_t n,
                      struct tarn_err *err)
{
    struct supply s = { .runs = runs, .n = n };
    struct store_walk w;
    struct store_part part;
    uint64_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += runs[i].len;
    store_walk_begin(&w, t->layout, off, len);
    while (store_walk_next(&w, &part)) {
        if (part.file != STORE_NO_FILE) {
            if (!write_part(t, &part, &s, err))
                return false;
            continue;
        }
        struct tarn_bytes dropped[RUNS];
        for (uint64_t at = 0; at < part.len;)
            at += take_runs(&s, part.len - at, dropped, &n);
    }
    return true;
}

/* Dirty files on their way to the disk. */
struct syncing {
    uint32_t files[STORE_SYNC_MAX];
    int fds[STORE_SYNC_MAX];
    struct sys_file *held[STORE_SYNC_MAX]; /* counted; NULL: the fd is somebody else's */
    size_t n;
};

static bool add_dirty(struct store_tree *t, struct syncing *s, uint32_t file, int fd,
                      struct tarn_err *err)
{
    /* Clean first: what is written meanwhile makes it dirty again. */
    if (!set_dirty(t, file, false))
        return true;
    struct sys_file *f = fd < 0 ? open_file(t, file, false, err) : NULL;
    if (fd < 0 && f == NULL) {
        set_dirty(t, file, true);
        return false;
    }
    s->files[s->n] = file;
    s->fds[s->n] = fd < 0 ? f->fd : fd;
    s->held[s->n++] = f;
    return true;
}

bool store_sync_files(struct store_tree *t, const uint32_t *files, const int *fds, size_t n,
                      struct tarn_err *err)
{
    struct syncing s = { .n = 0 };
    bool ok = true;
    if (n == 0)
        return true;
    for (size_t i = 0; ok && i < n; i++)
        ok = add_dirty(t, &s, files[i], fds == NULL ? -1 : fds[i], err);
    ok = ok && sys_sync_many(s.fds, s.n, err);
    for (size_t i = 0; i < s.n; i++) {
        if (!ok)
            set_dirty(t, s.files[i], true);
        sys_file_unref(s.held[i]);
    }
    struct tarn_quote q;
    return ok || tarn_fail_in(err, "bringing '%s' to the disk",
                              tarn_quote_str(&q, t->layout->files[files[0]].path));
}

static bool is_dirty(struct store_tree *t, uint32_t file)
{
    sys_lock_take(&t->table.lock);
    bool is = t->dirty[file] != 0;
    sys_lock_give(&t->table.lock);
    return is;
}

bool store_tree_sync(struct store_tree *t, struct tarn_err *err)
{
    uint32_t files[STORE_SYNC_MAX];
    size_t n = 0, most = store_may_open(STORE_SYNC_MAX, 16);
    if (!t->is_writable)
        return true;
    sys_lock_take(&t->table.lock);
    bool none = t->n_dirty == 0;
    sys_lock_give(&t->table.lock);
    for (uint32_t i = 0; !none && i < t->layout->n_files; i++) {
        if (is_dirty(t, i))
            files[n++] = i;
        if (n == most) {
            if (!store_sync_files(t, files, NULL, n, err))
                return false;
            n = 0;
        }
    }
    return n == 0 || store_sync_files(t, files, NULL, n, err);
}
