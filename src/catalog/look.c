/* catalog/look: folders against the index, by stat alone. A job on the pool.
 *
 * A folder's names, sorted, and its entries in the index, which are sorted alike, are merged in
 * windows of LOOK_NAMES; what differs becomes a list of operations, decided here with the disk at
 * hand and written in one go (look_apply.c). A deep look then goes into the folders that the index
 * has, so what it must remember is a name for each level, however many files there are. */
#include "catalog/look.h"

#include "base/cur.h"
#include "base/mem.h"
#include "base/num.h"
#include "sys/clock.h"

#include <stdio.h>

enum { SLICE_US = 50 * 1000 };

struct look *look_new(uint64_t folder, struct tarn_bytes name)
{
    struct look *l = tarn_calloc(1, sizeof *l);
    if (l == NULL || name.len > CATALOG_NAME_MAX) {
        tarn_free(l);
        return NULL;
    }
    l->folder = folder;
    l->name_len = name.len;
    if (name.len > 0)
        memcpy(l->name, name.p, name.len);
    memcpy(l->key, &folder, sizeof folder);
    memcpy(l->key + sizeof folder, l->name, name.len);
    l->key_len = sizeof folder + name.len;
    return l;
}

void look_free(struct look *l)
{
    if (l == NULL)
        return;
    tarn_free(l->stack);
    tarn_free(l->names);
    tarn_free(l);
}

bool look_job_init(struct look_job *j, struct catalog *c, struct tarn_err *err)
{
    j->c = c;
    j->rows = tarn_calloc(LOOK_NAMES, sizeof *j->rows);
    j->ops = tarn_calloc(LOOK_NAMES, sizeof *j->ops);
    return (j->rows != NULL && j->ops != NULL) || tarn_fail_mem(err, "comparing folders");
}

void look_job_release(struct look_job *j)
{
    tarn_free(j->rows);
    tarn_free(j->ops);
    j->rows = NULL;
    j->ops = NULL;
}

/* --- a folder --- */

static bool fail_away(struct look_job *j, const struct look_folder *f, const struct tarn_err *why)
{
    struct tarn_quote q;
    if (f->place.col.c.phase != CATALOG_AWAY)
        lines_add(&j->lines, true,
                  "collection '%s': its folder '%s' is away (%s); nothing of it is served until it "
                  "is back",
                  f->place.col.name, tarn_quote_str(&q, f->place.col.path), why->msg);
    j->is_away = true;
    return false;
}

/* The collection's own folder: there, and the one that it was? */
static bool enter_root(struct look_job *j, struct look_folder *f)
{
    struct tarn_err err;
    if (!disk_open(f->place.col.path, "", false, true, &f->root, &err) ||
        !sys_stat_fd(f->root, &f->root_stat, &err))
        return fail_away(j, f, &err);
    bool is_same = f->root_stat.ino == f->place.col.root_ino;
    if (j->look->is_walk || (is_same && f->place.col.c.phase != CATALOG_AWAY))
        return true;
    j->wants_walk = true;
    return false;
}

/* Find the folder in the index. False: it is none of ours any more, or err. */
static bool load_folder(struct look_job *j, uint64_t id, struct look_folder *f)
{
    struct catalog *c = j->c;
    struct kv_read r = { 0 };
    struct tarn_err *err = &j->err;
    if (!kv_read_begin(c->kv, &r, err)) {
        j->is_failed = true;
        return false;
    }
    enum catalog_found found = index_entry(&r, c->base, id, &f->row, err);
    bool ok = found == CATALOG_FOUND && disk_place(&r, c->base, &f->row.e, &f->place, err);
    kv_read_end(&r);
    if (ok)
        j->collection = f->row.e.collection;
    else if (found != CATALOG_NOT_THERE && err->code != TARN_E_NOT_FOUND)
        j->is_failed = true;
    return ok;
}

/* Before it is listed: nothing may go by between. */
static void watch(struct look_job *j, const struct look_folder *f)
{
    struct tarn_err err;
    if (j->c->notify == NULL || sys_notify_watch(j->c->notify, f->fd, f->row.e.id, &err))
        return;
    if (!atomic_exchange(&j->c->is_deaf, true)) /* said once */
        lines_add(&j->lines, true, "%s; folders are walked from time to time instead", err.msg);
    j->is_deaf = true;
}

/* Opened: is it the folder that the index means? If not, all of it has to be compared: by a deep
 * look that begins with it, which tells the index which one it is, and has its name looked at again
 * from above, to see what it is by then. */
static bool begin_folder(struct look_job *j, struct look_folder *f)
{
    struct sys_stat st;
    watch(j, f);
    if (f->row.e.parent == 0 || !sys_stat_fd(f->fd, &st, NULL) || st.ino == f->row.e.stat.ino)
        return true;
    if (!j->is_fresh) {
        j->deep[j->n_deep++] = f->row.e.id;
        return false;
    }
    row_copy_entry(&j->replaced, &f->row);
    f->row.e.stat = st;
    return look_note_folder(j, f);
}

/* Some part of the folder's path is no folder any more. */
static bool is_path_broken(struct look_folder *f)
{
    struct sys_stat st;
    bool is_broken = false;
    for (char *p = f->place.path; *p != 0 && !is_broken; p++) {
        if (p[1] != '/' && p[1] != 0)
            continue;
        char was = p[1];
        p[1] = 0;
        is_broken = sys_stat(f->root, f->place.path, false, &st, NULL) && st.kind != SYS_FOLDER;
        p[1] = was;
    }
    return is_broken;
}

static bool enter(struct look_job *j, uint64_t id, struct look_folder *f)
{
    f->root = f->fd = -1;
    f->is_gone = false;
    if (!load_folder(j, id, f) || !enter_root(j, f))
        return false;
    if (f->row.e.state == CATALOG_MISSING) {
        f->is_gone = true;
        return true;
    }
    struct tarn_err err;
    if (f->place.path[0] == 0) {
        f->fd = sys_take_fd(&f->root);
        return begin_folder(j, f);
    }
    f->fd = sys_open_beneath(f->root, f->place.path, SYS_OPEN_FOLDER, &err);
    if (f->fd >= 0)
        return begin_folder(j, f);
    if (err.code == TARN_E_NOT_FOUND || is_path_broken(f)) {
        /* Or only for a moment, and whoever renames it back tells nothing of what is in it. So its
         * name decides, from above: either this folder is missing then, or it is there. */
        report_name(j->c, f->row.e.parent, f->row.e.name);
        j->deep[j->n_deep++] = id;
        return false;
    }
    struct tarn_quote q;
    lines_add(&j->lines, true, "collection '%s': '%s' is left as it was: %s", f->place.col.name,
              tarn_quote_str(&q, f->place.path), err.msg);
    return false;
}

static void leave(struct look_folder *f)
{
    sys_close(&f->fd);
    sys_close(&f->root);
}

/* --- one name --- */

static struct look_op *add_op(struct look_job *j, enum look_what what, struct tarn_bytes name,
                              const struct row_entry *row, const struct sys_stat *st)
{
    struct look_op *op = &j->ops[j->n_ops++];
    *op = (struct look_op){ .what = what, .name_len = (uint16_t)name.len };
    memcpy(op->name, name.p, name.len);
    op->is_closed = j->look->is_closed;
    if (st != NULL)
        op->st = *st;
    if (row != NULL) {
        op->row_id = row->e.id;
        op->row_state = row->e.state;
        op->row_stat = row->e.stat;
    }
    return op;
}

static void skip(struct look_job *j, uint64_t *counter, struct tarn_bytes name)
{
    if (j->look->sample[0] == 0)
        memcpy(j->look->sample, name.p, name.len);
    ++*counter;
}

/* A path below the collection; false: too long. */
static bool path_in(const struct look_folder *f, struct tarn_bytes name, char *to, size_t size)
{
    int n = snprintf(to, size, "%s%s%.*s", f->place.path, f->place.path[0] != 0 ? "/" : "",
                     (int)name.len, (const char *)name.p);
    return n >= 0 && (size_t)n < size;
}

static bool load_known(struct look_job *j, const struct row_entry *row, uint32_t v1_len,
                       struct catalog_known *known)
{
    struct kv_read r = { 0 };
    bool ok = row->e.has_identity && kv_read_begin(j->c->kv, &r, NULL) &&
              index_known(&r, j->c->base, &row->e.identity, v1_len, known, NULL) == CATALOG_FOUND;
    kv_read_end(&r);
    return ok;
}

/* Explained by mode, owner or names, and the bytes look as they did. */
static bool is_believed(struct look_job *j, const struct row_entry *row, const struct sys_stat *st,
                        const struct look_folder *f, const char *path)
{
    struct catalog_known known;
    SYS_AUTO_FD fd = -1;
    return disk_is_explained(&row->e.stat, st) && load_known(j, row, 0, &known) &&
           disk_open(f->place.col.path, path, row->e.is_link, false, &fd, NULL) &&
           disk_spot_check(j->c, fd, &row->e.identity, &known);
}

/* The collection is to have v1 pieces since a while ago, and this file was read before. */
static bool lacks_v1(struct look_job *j, const struct look_folder *f, const struct row_entry *row)
{
    struct catalog_known known;
    uint32_t len = disk_v1_len(&f->place.col);
    return j->look->is_asked && len != 0 && !row->wants_v1 && load_known(j, row, len, &known) &&
           known.v1_piece_len != len;
}

static void see_file(struct look_job *j, const struct look_folder *f, struct tarn_bytes name,
                     const struct row_entry *row, const struct sys_stat *st, bool is_link)
{
    char path[CATALOG_PATH_MAX + 1];
    if (!path_in(f, name, path, sizeof path)) {
        lines_add(&j->lines, true, "collection '%s': a path longer than %d bytes is skipped",
                  f->place.col.name, CATALOG_PATH_MAX);
        return;
    }
    if (row != NULL && row->e.kind == CATALOG_FOLDER) { /* what was in it goes first */
        add_op(j, LOOK_LOST, name, row, NULL);
        return;
    }
    if (row == NULL || !catalog_stat_same(&row->e.stat, st))
        disk_report_links(j->c, st, row == NULL ? 0 : row->e.id);
    if (row != NULL) {
        bool is_same = catalog_stat_same(&row->e.stat, st);
        bool is_held = row->e.state == CATALOG_HELD || row->e.state == CATALOG_MISSING;
        if (is_same && row->e.state == CATALOG_HELD) {
            if (lacks_v1(j, f, row))
                add_op(j, LOOK_NO_V1, name, row, st);
            return;
        }
        if (is_held && (is_same || is_believed(j, row, st, f, path))) {
            add_op(j, LOOK_BELIEVED, name, row, st);
            return;
        }
        if (is_same && row->e.state == CATALOG_REFUSED && !j->look->is_asked)
            return;
        if (is_same && row->e.state == CATALOG_DAMAGED)
            return;
        bool is_waiting = row->e.state == CATALOG_WAITING || row->e.state == CATALOG_CHANGED;
        if (is_waiting && row->e.stat.ino == st->ino && !j->look->is_closed)
            return; /* how it looks is seen again when its turn comes */
    }
    struct look_op *op = add_op(j, LOOK_FILE, name, row, st);
    op->is_link = is_link;
    op->has_match =
        disk_find_match(j->c, st, f->place.col.path, path, is_link, row != NULL ? row->e.id : 0,
                        disk_v1_len(&f->place.col), &op->match);
}

static void see_folder(struct look_job *j, struct tarn_bytes name, const struct row_entry *row,
                       const struct sys_stat *st)
{
    if (row != NULL && row->e.kind == CATALOG_FILE) {
        add_op(j, LOOK_REPLACED, name, row, NULL);
        return;
    }
    j->saw_folder = true;
    if (row == NULL || row->e.state == CATALOG_MISSING || row->e.stat.ino != st->ino)
        add_op(j, LOOK_FOLDER, name, row, st);
}

static bool is_state_folder(const struct catalog *c, const struct sys_stat *st)
{
    return c->has_state && st->ino == c->state_stat.ino && st->dev == c->state_stat.dev;
}

enum there { NOTHING, SOMETHING, CANNOT_TELL };

/* Is there anything by this name that we would publish? *st and *is_link say what. */
static enum there what_is(struct look_job *j, const struct look_folder *f, struct tarn_bytes name,
                          struct sys_stat *st, bool *is_link)
{
    struct look *l = j->look;
    struct tarn_err err;
    char text[CATALOG_NAME_MAX + 1], path[CATALOG_PATH_MAX + 1];
    if (f->is_gone || name.len > CATALOG_NAME_MAX)
        return NOTHING;
    memcpy(text, name.p, name.len);
    text[name.len] = 0;
    *is_link = false;
    if (text[0] == '.' && !f->place.col.c.hidden) {
        skip(j, &l->hidden, name);
        return NOTHING;
    }
    if (!sys_stat(f->fd, text, false, st, &err))
        return err.code == TARN_E_NOT_FOUND ? NOTHING : CANNOT_TELL;
    switch (st->kind) {
    case SYS_REGULAR:
        return SOMETHING;
    case SYS_FOLDER:
        return is_state_folder(j->c, st) ? NOTHING : SOMETHING;
    case SYS_OTHER:
        skip(j, &l->special, name);
        return NOTHING;
    case SYS_SYMLINK:
        break;
    }
    char *real = NULL;
    if (f->place.col.c.links && path_in(f, name, path, sizeof path) &&
        sys_stat(f->fd, text, true, st, &err) && st->kind == SYS_REGULAR)
        real = disk_resolve(f->place.col.path, path, &err);
    if (real == NULL)
        skip(j, &l->links, name);
    *is_link = real != NULL;
    tarn_free(real);
    return *is_link ? SOMETHING : NOTHING;
}

static void see(struct look_job *j, const struct look_folder *f, struct tarn_bytes name,
                const struct row_entry *row)
{
    struct sys_stat st;
    bool is_link;
    if (row != NULL && row->e.kind == CATALOG_FOLDER)
        j->saw_folder = true;
    switch (what_is(j, f, name, &st, &is_link)) {
    case CANNOT_TELL:
        return; /* a disk that fails forgets nothing */
    case NOTHING:
        if (row != NULL &&
            row->e.kind == CATALOG_FILE) /* written to by this name, and then unlinked? */
            disk_report_links(j->c, &(struct sys_stat){ .ino = row->e.stat.ino }, row->e.id);
        if (row != NULL && row->e.state != CATALOG_MISSING)
            add_op(j, j->look->is_doubted ? LOOK_DOUBTED : LOOK_LOST, name, row, NULL);
        return;
    case SOMETHING:
        if (st.kind == SYS_FOLDER)
            see_folder(j, name, row, &st);
        else
            see_file(j, f, name, row, &st, is_link);
    }
}

/* --- windows --- */

/* Entries of a folder behind `after`, at most LOOK_NAMES. */
static bool take_rows(struct look_job *j, uint64_t folder, struct tarn_bytes after)
{
    KV_AUTO_READ r = { 0 };
    KV_AUTO_CURSOR cur = { 0 };
    struct kv_key k, prefix = { 0 };
    kv_key_be64(&prefix, folder);
    row_key_entry(&k, folder, after);
    kv_key_u8(&k, 0);
    if (after.len == 0)
        k.len = prefix.len;
    j->n_rows = 0;
    if (!kv_read_begin(j->c->kv, &r, &j->err) ||
        !kv_cursor_open(&r, j->c->base + T_ENTRIES, &cur, &j->err))
        return false;
    enum kv_got got = kv_seek(&cur, kv_key_bytes(&k), &j->err);
    for (;
         got == KV_FOUND && kv_has_prefix(cur.key, kv_key_bytes(&prefix)) && j->n_rows < LOOK_NAMES;
         got = kv_next(&cur, &j->err))
        if (!row_take_entry(cur.key, cur.value, &j->rows[j->n_rows++], &j->err))
            return false;
    kv_cursor_close(&cur); /* before its read */
    return got != KV_FAILED;
}

/* An empty folder where there were files, and it is another folder: a disk that is not mounted. */
static bool is_unmounted(const struct look_job *j, const struct look_folder *f)
{
    return f->row.e.parent == 0 && j->look->n_names == 0 && f->place.col.c.files > 0 &&
           f->root_stat.ino != f->place.col.root_ino;
}

static bool list(struct look_job *j, struct look_folder *f)
{
    struct look *l = j->look;
    struct tarn_err err;
    if (l->names != NULL || f->is_gone)
        return true;
    l->at = 0;
    if (!sys_list_folder(f->fd, &l->names, &l->n_names, &err)) {
        struct tarn_quote q;
        lines_add(&j->lines, true, "collection '%s': '%s' is left as it was: %s", f->place.col.name,
                  tarn_quote_str(&q, f->place.path), err.msg);
        return false;
    }
    if (!is_unmounted(j, f))
        return true;
    tarn_fail(&err, TARN_E_NOT_FOUND, "it is empty, and not the folder that it was");
    return fail_away(j, f, &err);
}

/* Compare the names up to the last one that both sides are known for. *is_last: that was all. */
static void merge(struct look_job *j, const struct look_folder *f, struct look_level *level,
                  bool *is_last)
{
    struct look *l = j->look;
    size_t n_names = f->is_gone ? 0 : l->n_names, row = 0, done = 0;
    bool all_rows = j->n_rows < LOOK_NAMES;
    j->n_ops = 0;
    for (; done < LOOK_NAMES; done++) {
        bool has_name = l->at < n_names && !f->is_gone, has_row = row < j->n_rows;
        if (!has_row && !all_rows)
            break; /* entries behind these are not known yet */
        if (!has_name && !has_row) {
            *is_last = true;
            return;
        }
        struct tarn_bytes name = has_name ? tarn_bytes_str(l->names[l->at]) : j->rows[row].e.name;
        int order = !has_name ? 1 : !has_row ? -1 : tarn_bytes_cmp(name, j->rows[row].e.name);
        if (order > 0)
            name = j->rows[row].e.name;
        see(j, f, name, order >= 0 ? &j->rows[row] : NULL);
        if (order <= 0)
            l->at++;
        if (order >= 0)
            row++;
        level->len = (uint16_t)tarn_min_size(name.len, sizeof level->after);
        memcpy(level->after, name.p, level->len);
    }
    *is_last = false;
}

/* The next window of the folder on top. False: leave this folder. */
static bool compare(struct look_job *j, struct look_level *level)
{
    struct look_folder f;
    bool is_last = false;
    j->is_fresh = j->look->is_deep && level->len == 0 && j->look->names == NULL;
    bool ok = enter(j, level->folder, &f);
    if (ok && j->look->is_walk && f.row.e.parent == 0)
        ok = list(j, &f) && look_begin_walk(j, &f); /* lists first: it may be an unmounted disk */
    if (ok && list(j, &f)) {
        j->saw_folder = false;
        ok = take_rows(j, level->folder, tarn_bytes_of(level->after, level->len));
        if (ok)
            merge(j, &f, level, &is_last);
        ok = ok && look_apply(j, &f);
        j->is_failed = !ok;
        level->has_folders |= j->saw_folder;
    } else {
        ok = false;
    }
    if (ok && is_last) {
        level->is_compared = true;
        level->len = 0;
    }
    if (!ok || is_last) {
        tarn_free(j->look->names);
        j->look->names = NULL;
        j->look->n_names = 0;
    }
    leave(&f);
    return ok;
}

/* The next folder in the one on top, behind level->after. */
static bool next_folder(struct look_job *j, struct look_level *level, uint64_t *child)
{
    *child = 0;
    while (level->has_folders) {
        if (!take_rows(j, level->folder, tarn_bytes_of(level->after, level->len))) {
            j->is_failed = true;
            return false;
        }
        for (size_t i = 0; i < j->n_rows; i++) {
            const struct catalog_entry *e = &j->rows[i].e;
            level->len = (uint16_t)e->name.len;
            memcpy(level->after, e->name.p, e->name.len);
            if (e->kind == CATALOG_FOLDER) {
                *child = e->id;
                return true;
            }
        }
        if (j->n_rows < LOOK_NAMES)
            return true;
    }
    return true;
}

static bool push(struct look_job *j, uint64_t folder)
{
    struct look *l = j->look;
    if (!TARN_GROW(l->stack, l->depth, l->cap)) {
        j->is_failed = true;
        return tarn_fail_mem(&j->err, "walking a folder");
    }
    l->stack[l->depth++] = (struct look_level){ .folder = folder };
    return true;
}

/* One step; sets is_over at the end. */
static void step(struct look_job *j)
{
    struct look *l = j->look;
    struct look_level *level = &l->stack[l->depth - 1];
    uint64_t child;
    if (!level->is_compared) {
        bool ok = compare(j, level);
        if (j->is_failed || j->is_away || j->wants_walk || (ok && !level->is_compared))
            return;
        if (!ok)
            l->depth--;
        else if (!l->is_deep)
            l->depth = 0;
    } else if (next_folder(j, level, &child)) {
        if (child == 0)
            l->depth--;
        else if (l->depth > CATALOG_DEPTH_MAX)
            lines_add(&j->lines, true, "folders below %d others are skipped", CATALOG_DEPTH_MAX);
        else if (!push(j, child))
            return;
    }
    if (l->depth == 0 && !j->is_failed) {
        j->is_over = true;
        if (l->is_walk)
            look_end_walk(j);
    }
}

/* One name in a folder. */
static void one_name(struct look_job *j)
{
    struct look *l = j->look;
    struct look_folder f;
    j->is_over = true;
    j->is_fresh = false;
    if (enter(j, l->folder, &f)) {
        struct kv_read r = { 0 };
        struct kv_key k;
        struct tarn_bytes value, name = tarn_bytes_of(l->name, l->name_len);
        row_key_entry(&k, l->folder, name);
        enum kv_got got = KV_FAILED;
        bool ok = kv_read_begin(j->c->kv, &r, &j->err) &&
                  (got = kv_get(&r, j->c->base + T_ENTRIES, kv_key_bytes(&k), &value, &j->err)) !=
                      KV_FAILED;
        ok =
            ok && (got == KV_NONE || row_take_entry(kv_key_bytes(&k), value, &j->rows[0], &j->err));
        kv_read_end(&r);
        j->n_ops = 0;
        if (ok)
            see(j, &f, name, got == KV_FOUND ? &j->rows[0] : NULL);
        j->is_failed = !ok || !look_apply(j, &f);
    }
    leave(&f);
}

/* A walk begins at the collection's own folder. */
static bool find_root(struct look_job *j)
{
    struct look *l = j->look;
    struct kv_read r = { 0 };
    struct row_collection col;
    if (!kv_read_begin(j->c->kv, &r, &j->err)) {
        j->is_failed = true;
        return false;
    }
    enum catalog_found found = index_row(&r, j->c->base, l->collection, &col, &j->err);
    if (found == CATALOG_FOUND)
        l->folder = col.c.folder;
    kv_read_end(&r);
    j->is_failed = found == CATALOG_FAILED;
    j->is_over = found == CATALOG_NOT_THERE;
    return l->folder != 0;
}

static void go(struct look_job *j)
{
    struct look *l = j->look;
    int64_t until_us = sys_now_us() + SLICE_US;
    if (l->folder == 0 && !find_root(j))
        return;
    if (l->name_len > 0) {
        one_name(j);
        return;
    }
    if (l->stack == NULL && !push(j, l->folder))
        return;
    while (!j->is_over && !j->is_failed && !j->is_away && !j->wants_walk && j->n_deep == 0 &&
           !atomic_load(&j->c->is_ending)) {
        step(j);
        if (sys_now_us() >= until_us)
            return;
    }
}

void look_job_run(struct loop_job *job)
{
    struct look_job *j = TARN_OUTER(job, struct look_job, job);
    j->is_over = j->is_failed = j->is_away = j->is_deaf = j->is_again = j->wants_walk = false;
    j->n_deep = 0;
    j->replaced.e.id = 0;
    j->lines.n = j->lines.more = 0;
    j->collection = j->look->collection;
    go(j);
    if (j->is_away)
        look_away(j);
}
