/* catalog/disk: see the header. */
#include "catalog/disk.h"

#include "base/cur.h"
#include "base/mem.h"
#include "base/num.h"
#include "sys/clock.h"

enum {
    SPOTS = 4,       /* leaves that are looked at: the first, the last, and others by chance */
    CANDIDATES = 64, /* names of one inode that are considered */
};

char *disk_resolve(const char *root, const char *path, struct tarn_err *err)
{
    struct tarn_out o;
    tarn_out_init(&o, (size_t)2 * CATALOG_PATH_MAX + 2);
    tarn_out_str(&o, root);
    tarn_out_u8(&o, '/');
    tarn_out_str(&o, path);
    char *whole = tarn_out_take_str(&o);
    if (whole == NULL) {
        tarn_fail_mem(err, "following a symbolic link");
        return NULL;
    }
    char *real = sys_real_path(whole, err);
    tarn_free(whole);
    if (real == NULL)
        return NULL;
    size_t len = strlen(root);
    bool is_inside = strncmp(real, root, len) == 0 && (real[len] == '/' || strcmp(root, "/") == 0);
    char *rest = NULL;
    if (!is_inside)
        tarn_fail(err, TARN_E_POLICY, "a symbolic link leads out of the collection");
    else if ((rest = tarn_strndup(real + len + (real[len] == '/'), strlen(real + len))) == NULL)
        tarn_fail_mem(err, "following a symbolic link");
    tarn_free(real);
    return rest;
}

bool disk_open(const char *root, const char *path, bool is_link, bool is_folder, int *fd,
               struct tarn_err *err)
{
    SYS_AUTO_FD dir = sys_open(root, SYS_OPEN_FOLDER, err);
    if (dir < 0)
        return false;
    if (path[0] == 0) {
        *fd = sys_take_fd(&dir);
        return true;
    }
    char *real = is_link ? disk_resolve(root, path, err) : NULL;
    if (is_link && real == NULL)
        return false;
    *fd = sys_open_beneath(dir, is_link ? real : path, is_folder ? SYS_OPEN_FOLDER : SYS_OPEN_READ,
                           err);
    tarn_free(real);
    return *fd >= 0;
}

bool disk_place(const struct kv_read *r, unsigned base, const struct catalog_entry *e,
                struct disk_place *to, struct tarn_err *err)
{
    struct tarn_out path;
    enum catalog_found found = index_row(r, base, e->collection, &to->col, err);
    if (found == CATALOG_NOT_THERE)
        return tarn_fail(err, TARN_E_NOT_FOUND, "there is no collection %u any more",
                         e->collection);
    if (found == CATALOG_FAILED)
        return false;
    tarn_out_fixed(&path, to->path, sizeof to->path);
    if (e->parent != 0 && !index_path(r, base, e->parent, e->name, &path, err))
        return false;
    tarn_out_u8(&path, 0);
    return tarn_out_ok(&path) ||
           tarn_fail(err, TARN_E_POLICY, "a path is longer than %d bytes", CATALOG_PATH_MAX);
}

uint32_t disk_v1_len(const struct row_collection *col)
{
    bool is_wanted = col->c.bt == CATALOG_BT_V1 || col->c.bt == CATALOG_BT_HYBRID;
    return is_wanted ? col->c.piece_len : 0;
}

/* --- belief --- */

/* The same inode (and not another that got its number), the same size and mtime. */
static bool is_same_inode(const struct sys_stat *then, const struct sys_stat *now)
{
    return then->kind == now->kind && then->ino == now->ino && then->size == now->size &&
           then->mtime_ns == now->mtime_ns && then->born_ns == now->born_ns && now->born_ns != 0;
}

bool disk_is_explained(const struct sys_stat *then, const struct sys_stat *now)
{
    return is_same_inode(then, now) && (then->links != now->links || then->mode != now->mode ||
                                        then->owner != now->owner || then->group != now->group);
}

static bool is_leaf_good(struct catalog *c, int fd, const struct catalog_identity *id,
                         const struct catalog_known *known, uint64_t n, uint8_t *block)
{
    uint64_t off = n * MERKLE_BLOCK;
    size_t len = (size_t)tarn_min_u64(MERKLE_BLOCK, id->len - off), got;
    uint8_t want[MERKLE_HASH], is[MERKLE_HASH];
    if (!sys_read_at(fd, block, len, off, &got, NULL) || got != len)
        return false;
    crypt_hash(CRYPT_SHA256, tarn_bytes_of(block, len), is);
    if (known->leaves.len == 0)
        memcpy(want, id->root, sizeof want); /* one leaf, which is the root */
    else if (!catalog_leaves_read(c->leaves, known->leaves, CATALOG_LEAVES, n, 1, want, NULL))
        return false;
    return memcmp(want, is, sizeof is) == 0;
}

bool disk_spot_check(struct catalog *c, int fd, const struct catalog_identity *id,
                     const struct catalog_known *known)
{
    uint64_t n = tarn_div_up_u64(id->len, MERKLE_BLOCK), at[SPOTS];
    if (n == 0)
        return true;
    if (n > 1 && known->leaves.len == 0)
        return false;
    uint8_t *block = tarn_calloc(1, MERKLE_BLOCK);
    bool is_good = block != NULL && sys_random(at, sizeof at, NULL);
    at[0] = 0;
    at[1] = n - 1;
    for (int i = 0; i < SPOTS && is_good; i++)
        is_good = is_leaf_good(c, fd, id, known, at[i] % n, block);
    tarn_free(block);
    return is_good;
}

/* Entries that had the inode when they were last looked at. */
static size_t names_of_inode(struct catalog *c, const struct kv_read *r, uint64_t ino,
                             struct row_entry *rows, size_t max)
{
    KV_AUTO_CURSOR cur = { 0 };
    struct kv_key prefix = { 0 };
    size_t n = 0;
    kv_key_be64(&prefix, ino);
    if (!kv_cursor_open(r, c->base + T_INODES, &cur, NULL))
        return 0;
    enum kv_got got = kv_seek(&cur, kv_key_bytes(&prefix), NULL);
    for (; got == KV_FOUND && n < max && kv_has_prefix(cur.key, kv_key_bytes(&prefix));
         got = kv_next(&cur, NULL)) {
        struct tarn_cur id = tarn_cur_of(tarn_bytes_of(cur.key.p + 8, cur.key.len - 8));
        n += index_entry(r, c->base, tarn_cur_be64(&id), &rows[n], NULL) == CATALOG_FOUND;
    }
    return n;
}

/* One of them, and what is needed to judge it. */
struct candidate {
    struct row_entry *row;
    struct disk_place place;
    struct catalog_known known;
    bool is_lost; /* its name is another file's already */
};

static bool load(struct catalog *c, const struct kv_read *r, struct row_entry *row, uint32_t v1_len,
                 struct candidate *to)
{
    to->is_lost = row->e.parent == INDEX_LIMBO;
    if (index_known(r, c->base, &row->e.identity, v1_len, &to->known, NULL) != CATALOG_FOUND ||
        (!to->is_lost && !disk_place(r, c->base, &row->e, &to->place, NULL)))
        return false;
    to->row = row;
    return true;
}

/* Only the ctime moved: a move or another name is the reason, and the bytes look as they did. */
static bool is_believed(struct catalog *c, const struct candidate *q, const struct sys_stat *st,
                        bool is_gone, const struct sys_stat *there, const char *root,
                        const char *path, bool is_link)
{
    const struct sys_stat *then = &q->row->e.stat;
    if (!is_same_inode(then, st))
        return false;
    bool is_other_name = !is_gone && there->ino == st->ino && there->dev == st->dev &&
                         there->ctime_ns == st->ctime_ns && there->links != then->links;
    if (!is_gone && !is_other_name)
        return false;
    SYS_AUTO_FD fd = -1;
    return disk_open(root, path, is_link, false, &fd, NULL) &&
           disk_spot_check(c, fd, &q->row->e.identity, &q->known);
}

/* What its own name says now. False: nothing that could be believed. */
static bool look_there(const struct candidate *q, const struct sys_stat *st, struct sys_stat *there,
                       bool *is_gone)
{
    struct tarn_err err;
    SYS_AUTO_FD dir = sys_open(q->place.col.path, SYS_OPEN_FOLDER, NULL);
    if (dir < 0)
        return false; /* away */
    bool is_there = sys_stat(dir, q->place.path, q->row->e.is_link, there, &err);
    *is_gone = is_there ? there->ino != st->ino : err.code == TARN_E_NOT_FOUND;
    return *is_gone || (is_there && there->dev == st->dev);
}

static bool judge(struct catalog *c, const struct candidate *q, const struct sys_stat *st,
                  const char *root, const char *path, bool is_link, struct disk_match *out)
{
    struct sys_stat there = { 0 };
    bool is_gone = q->is_lost;
    if (!is_gone && !look_there(q, st, &there, &is_gone))
        return false;
    if (!catalog_stat_same(&q->row->e.stat, st) &&
        !is_believed(c, q, st, is_gone, &there, root, path, is_link))
        return false;
    *out = (struct disk_match){ .id = q->row->e.id,
                                .identity = q->row->e.identity,
                                .stat = q->row->e.stat,
                                .is_moved = is_gone,
                                .folder = q->row->e.parent,
                                .name_len = (uint8_t)q->row->e.name.len };
    memcpy(out->name, q->row->e.name.p, q->row->e.name.len);
    return true;
}

bool disk_find_match(struct catalog *c, const struct sys_stat *st, const char *root,
                     const char *path, bool is_link, uint64_t skip, uint32_t piece_len,
                     struct disk_match *out)
{
    struct row_entry rows[CANDIDATES];
    struct kv_read r = { 0 };
    if (!kv_read_begin(c->kv, &r, NULL))
        return false;
    size_t n = names_of_inode(c, &r, st->ino, rows, CANDIDATES);
    kv_read_end(&r);
    bool found = false;
    for (size_t i = 0; i < n && !found; i++) {
        struct row_entry *row = &rows[i];
        struct candidate q;
        if (row->e.id == skip || !row->e.has_identity || row->e.stat.size != st->size ||
            row->e.stat.mtime_ns != st->mtime_ns ||
            (row->e.state != CATALOG_HELD && row->e.state != CATALOG_MISSING))
            continue;
        bool is_loaded = kv_read_begin(c->kv, &r, NULL) && load(c, &r, row, piece_len, &q);
        kv_read_end(&r);
        if (is_loaded && (piece_len == 0 || q.known.v1_piece_len == piece_len))
            found = judge(c, &q, st, root, path, is_link, out);
    }
    return found;
}

void disk_report_links(struct catalog *c, const struct sys_stat *st, uint64_t skip)
{
    struct row_entry rows[CANDIDATES];
    struct kv_read r = { 0 };
    if (!kv_read_begin(c->kv, &r, NULL))
        return;
    size_t n = names_of_inode(c, &r, st->ino, rows, CANDIDATES);
    kv_read_end(&r);
    for (size_t i = 0; i < n; i++)
        if (rows[i].e.id != skip && rows[i].e.state == CATALOG_HELD &&
            !catalog_stat_same(&rows[i].e.stat, st))
            report(c, rows[i].e.id, false);
}

void disk_report_moved(struct catalog *c, const struct disk_match *m)
{
    if (m->is_moved && m->folder != INDEX_LIMBO)
        report_name(c, m->folder, tarn_bytes_of(m->name, m->name_len));
}
