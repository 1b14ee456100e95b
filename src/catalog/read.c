/* catalog/read: what doors ask, within a snapshot. Any thread. */
#include "base/cur.h"
#include "base/mem.h"
#include "catalog/disk.h"

bool catalog_read_begin(struct catalog *c, struct catalog_read *r, struct tarn_err *err)
{
    r->c = c;
    r->kv = (struct kv_read){ 0 };
    return kv_read_begin(c->kv, &r->kv, err);
}

void catalog_read_end(struct catalog_read *r)
{
    kv_read_end(&r->kv);
}

static enum catalog_found get(struct catalog_read *r, unsigned table, const struct kv_key *k,
                              struct tarn_bytes *value, struct tarn_err *err)
{
    return index_value(&r->kv, r->c->base + table, kv_key_bytes(k), value, err);
}

/* The first record whose key is not below k. */
static enum catalog_found from(struct catalog_read *r, unsigned table, const struct kv_key *k,
                               struct tarn_bytes *key, struct tarn_bytes *value,
                               struct tarn_err *err)
{
    KV_AUTO_CURSOR c = { 0 };
    if (!kv_cursor_open(&r->kv, r->c->base + table, &c, err))
        return CATALOG_FAILED;
    enum catalog_found found = index_found(kv_seek(&c, kv_key_bytes(k), err));
    *key = c.key;
    *value = c.value;
    return found;
}

/* --- collections --- */

/* Name and path as they lie in the map, which lives as long as the read. */
static enum catalog_found view(struct tarn_bytes value, uint32_t id, struct catalog_collection *out,
                               struct tarn_err *err)
{
    struct row_collection row;
    if (!row_take_collection(value, id, &row, err))
        return CATALOG_FAILED;
    *out = row.c;
    out->path.p = value.p + value.len - row.c.path.len;
    out->name.p = out->path.p - 2 - row.c.name.len;
    return CATALOG_FOUND;
}

enum catalog_found catalog_collection_get(struct catalog_read *r, uint32_t id,
                                          struct catalog_collection *out, struct tarn_err *err)
{
    struct kv_key k = { 0 };
    struct tarn_bytes value;
    kv_key_be32(&k, id);
    enum catalog_found found = get(r, T_COLLECTIONS, &k, &value, err);
    return found == CATALOG_FOUND ? view(value, id, out, err) : found;
}

enum catalog_found catalog_collection_named(struct catalog_read *r, struct tarn_bytes name,
                                            struct catalog_collection *out, struct tarn_err *err)
{
    struct kv_key k = { 0 };
    struct tarn_bytes value;
    if (name.len == 0 || name.len > CATALOG_NAME_MAX)
        return CATALOG_NOT_THERE;
    kv_key_put(&k, name);
    enum catalog_found found = get(r, T_NAMES, &k, &value, err);
    if (found != CATALOG_FOUND)
        return found;
    struct tarn_cur c = tarn_cur_of(value);
    return catalog_collection_get(r, tarn_cur_be32(&c), out, err);
}

enum catalog_found catalog_collection_next(struct catalog_read *r, uint32_t after,
                                           struct catalog_collection *out, struct tarn_err *err)
{
    struct kv_key k = { 0 };
    struct tarn_bytes key, value;
    if (after == UINT32_MAX)
        return CATALOG_NOT_THERE;
    kv_key_be32(&k, after + 1);
    enum catalog_found found = from(r, T_COLLECTIONS, &k, &key, &value, err);
    if (found != CATALOG_FOUND)
        return found;
    struct tarn_cur c = tarn_cur_of(key);
    return view(value, tarn_cur_be32(&c), out, err);
}

/* --- entries --- */

static enum catalog_found entry_at(struct catalog_read *r, struct tarn_bytes key,
                                   struct catalog_entry *out, struct tarn_err *err)
{
    KV_AUTO_CURSOR c = { 0 };
    if (!kv_cursor_open(&r->kv, r->c->base + T_ENTRIES, &c, err))
        return CATALOG_FAILED;
    enum kv_got got = kv_seek(&c, key, err); /* for the key as it lies in the map */
    if (got == KV_FAILED)
        return CATALOG_FAILED;
    if (got == KV_NONE || !tarn_bytes_eq(c.key, key))
        return CATALOG_NOT_THERE;
    return row_view_entry(c.key, c.value, out, err) ? CATALOG_FOUND : CATALOG_FAILED;
}

enum catalog_found catalog_get(struct catalog_read *r, uint64_t id, struct catalog_entry *out,
                               struct tarn_err *err)
{
    struct kv_key k = { 0 };
    struct tarn_bytes key;
    kv_key_be64(&k, id);
    enum catalog_found found = get(r, T_PARENTS, &k, &key, err);
    return found == CATALOG_FOUND ? entry_at(r, key, out, err) : found;
}

/* The next part of a path; false: it is no path of ours. */
static bool take_part(struct tarn_bytes *path, struct tarn_bytes *part)
{
    const uint8_t *slash = memchr(path->p, '/', path->len);
    *part = tarn_bytes_of(path->p, slash == NULL ? path->len : (size_t)(slash - path->p));
    size_t used = slash == NULL ? path->len : part->len + 1;
    *path = tarn_bytes_of(path->p + used, path->len - used);
    if (slash != NULL && path->len == 0) /* "a/" */
        return false;
    return part->len > 0 && part->len <= CATALOG_NAME_MAX && !tarn_bytes_eq_str(*part, ".") &&
           !tarn_bytes_eq_str(*part, "..");
}

enum catalog_found catalog_find(struct catalog_read *r, const struct catalog_collection *in,
                                struct tarn_bytes path, struct catalog_entry *out,
                                struct tarn_err *err)
{
    if (path.len == 0)
        return catalog_get(r, in->folder, out, err);
    uint64_t folder = in->folder;
    for (unsigned depth = 0; depth <= CATALOG_DEPTH_MAX; depth++) {
        struct tarn_bytes part;
        struct kv_key k;
        if (!take_part(&path, &part))
            return CATALOG_NOT_THERE;
        row_key_entry(&k, folder, part);
        enum catalog_found found = entry_at(r, kv_key_bytes(&k), out, err);
        if (found != CATALOG_FOUND || path.len == 0)
            return found;
        if (out->kind != CATALOG_FOLDER)
            return CATALOG_NOT_THERE;
        folder = out->id;
    }
    return CATALOG_NOT_THERE;
}

enum catalog_found catalog_next(struct catalog_read *r, uint64_t folder, struct tarn_bytes after,
                                struct catalog_entry *out, struct tarn_err *err)
{
    struct kv_key k, prefix = { 0 };
    struct tarn_bytes key, value;
    kv_key_be64(&prefix, folder);
    row_key_entry(&k, folder, after);
    if (after.len > 0)
        kv_key_u8(&k, 0); /* the first that is greater */
    enum catalog_found found = from(r, T_ENTRIES, &k, &key, &value, err);
    if (found != CATALOG_FOUND)
        return found;
    if (!kv_has_prefix(key, kv_key_bytes(&prefix)))
        return CATALOG_NOT_THERE;
    return row_view_entry(key, value, out, err) ? CATALOG_FOUND : CATALOG_FAILED;
}

static enum catalog_found walk_begin(struct catalog_read *r, struct catalog_walk *w,
                                     struct tarn_err *err)
{
    struct catalog_collection c;
    enum catalog_found found = catalog_collection_get(r, w->collection, &c, err);
    if (found != CATALOG_FOUND)
        return found;
    w->stack[0].folder = c.folder;
    w->stack[0].at = 0;
    w->depth = 1;
    w->len = 0;
    w->is_begun = true;
    return CATALOG_FOUND;
}

enum catalog_found catalog_walk_behind(struct catalog_read *r, struct catalog_walk *w,
                                       struct tarn_bytes path, struct tarn_err *err)
{
    struct catalog_entry e;
    enum catalog_found found = walk_begin(r, w, err);
    struct tarn_bytes part;
    while (found == CATALOG_FOUND && path.len > 0) {
        if (!take_part(&path, &part) || w->len + part.len + 1 > CATALOG_PATH_MAX)
            break; /* behind what was taken so far */
        memcpy(w->text + w->len, part.p, part.len);
        w->len += part.len;
        struct kv_key k;
        row_key_entry(&k, w->stack[w->depth - 1].folder, part);
        found = path.len == 0 ? CATALOG_NOT_THERE : entry_at(r, kv_key_bytes(&k), &e, err);
        if (found == CATALOG_FAILED)
            return found;
        if (found == CATALOG_NOT_THERE || e.kind != CATALOG_FOLDER || w->depth > CATALOG_DEPTH_MAX)
            return CATALOG_FOUND; /* behind this name of the folder that we are in */
        w->text[w->len++] = '/';
        w->stack[w->depth].folder = e.id;
        w->stack[w->depth].at = (uint16_t)w->len;
        w->depth++;
    }
    return found;
}

enum catalog_found catalog_walk_next(struct catalog_read *r, struct catalog_walk *w,
                                     struct catalog_entry *out, struct tarn_err *err)
{
    if (!w->is_begun) {
        enum catalog_found found = walk_begin(r, w, err);
        if (found != CATALOG_FOUND)
            return found;
    }
    /* text is the path of the last entry; in the folder on top of the stack its name begins at
     * `at`. */
    while (w->depth > 0) {
        size_t at = w->stack[w->depth - 1].at;
        struct tarn_bytes after = tarn_bytes_of(w->text + at, w->len - at);
        enum catalog_found found = catalog_next(r, w->stack[w->depth - 1].folder, after, out, err);
        if (found == CATALOG_FAILED)
            return found;
        if (found == CATALOG_NOT_THERE) { /* back to the name of this folder in the one above */
            w->depth--;
            w->len = at == 0 ? 0 : at - 1;
            continue;
        }
        if (at + out->name.len + 1 > CATALOG_PATH_MAX)
            return tarn_fail(err, TARN_E_POLICY, "a path is longer than %d bytes", CATALOG_PATH_MAX)
                       ? CATALOG_FOUND
                       : CATALOG_FAILED;
        memcpy(w->text + at, out->name.p, out->name.len);
        w->len = at + out->name.len;
        if (out->kind == CATALOG_FOLDER) {
            if (w->depth > CATALOG_DEPTH_MAX)
                continue;
            w->text[w->len++] = '/';
            w->stack[w->depth].folder = out->id;
            w->stack[w->depth].at = (uint16_t)w->len;
            w->depth++;
            continue;
        }
        w->path = tarn_bytes_of(w->text, w->len);
        return CATALOG_FOUND;
    }
    return CATALOG_NOT_THERE;
}

/* --- identities --- */

enum catalog_found catalog_place_next(struct catalog_read *r, const struct catalog_identity *id,
                                      uint64_t after, struct catalog_entry *out,
                                      struct tarn_err *err)
{
    struct kv_key k, prefix;
    struct tarn_bytes key, value;
    if (after == UINT64_MAX)
        return CATALOG_NOT_THERE;
    row_key_identity(&prefix, id);
    row_key_identity(&k, id);
    kv_key_be64(&k, after + 1);
    enum catalog_found found = from(r, T_PLACES, &k, &key, &value, err);
    if (found != CATALOG_FOUND)
        return found;
    if (!kv_has_prefix(key, kv_key_bytes(&prefix)) || key.len != CATALOG_KEY_LEN + 8)
        return CATALOG_NOT_THERE;
    struct tarn_cur c = tarn_cur_of(tarn_bytes_of(key.p + CATALOG_KEY_LEN, 8));
    return catalog_get(r, tarn_cur_be64(&c), out, err);
}

enum catalog_found catalog_find_identity(struct catalog_read *r, const struct catalog_identity *id,
                                         enum catalog_policy most, struct catalog_entry *out,
                                         struct tarn_err *err)
{
    uint64_t after = 0;
    for (;;) {
        struct catalog_collection c;
        enum catalog_found found = catalog_place_next(r, id, after, out, err);
        if (found != CATALOG_FOUND)
            return found;
        after = out->id;
        if (out->state != CATALOG_HELD)
            continue;
        found = catalog_collection_get(r, out->collection, &c, err);
        if (found == CATALOG_FAILED)
            return found;
        if (found == CATALOG_FOUND && c.policy <= most && c.phase != CATALOG_AWAY)
            return CATALOG_FOUND;
    }
}

enum catalog_found catalog_known(struct catalog_read *r, const struct catalog_identity *id,
                                 struct catalog_known *out, struct tarn_err *err)
{
    return index_known(&r->kv, r->c->base, id, 0, out, err);
}

enum catalog_found catalog_known_v1(struct catalog_read *r, const struct catalog_identity *id,
                                    uint32_t piece_len, struct catalog_known *out,
                                    struct tarn_err *err)
{
    return index_known(&r->kv, r->c->base, id, piece_len, out, err);
}

/* --- paths and files --- */

bool catalog_path(struct catalog_read *r, const struct catalog_entry *e, struct tarn_out *o,
                  struct tarn_err *err)
{
    return index_path(&r->kv, r->c->base, e->parent, e->name, o, err);
}

char *catalog_disk_path(struct catalog_read *r, const struct catalog_entry *e, struct tarn_err *err)
{
    struct disk_place at;
    struct tarn_out o;
    if (!disk_place(&r->kv, r->c->base, e, &at, err))
        return NULL;
    tarn_out_init(&o, (size_t)2 * CATALOG_PATH_MAX + 2);
    tarn_out_put(&o, at.col.c.path);
    if (at.path[0] != 0)
        tarn_out_fmt(&o, "/%s", at.path);
    char *path = tarn_out_take_str(&o);
    if (path == NULL)
        tarn_fail_mem(err, "naming a file");
    return path;
}

bool catalog_stat_same(const struct sys_stat *a, const struct sys_stat *b)
{
    return a->size == b->size && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns &&
           a->ino == b->ino && a->kind == b->kind;
}

enum catalog_found catalog_open(struct catalog_read *r, const struct catalog_entry *e,
                                struct sys_file **out, struct tarn_err *err)
{
    struct disk_place at;
    if (e->state != CATALOG_HELD || e->kind != CATALOG_FILE)
        return CATALOG_NOT_THERE;
    if (!disk_place(&r->kv, r->c->base, e, &at, err))
        return CATALOG_FAILED;
    if (at.col.c.phase == CATALOG_AWAY)
        return CATALOG_NOT_THERE;
    SYS_AUTO_FD fd = -1;
    struct tarn_err why;
    if (!disk_open(at.col.path, at.path, e->is_link, false, &fd, &why)) {
        if (why.code != TARN_E_NOT_FOUND) {
            tarn_fail(err, why.code, "%s", why.msg);
            return CATALOG_FAILED;
        }
        catalog_report_changed(r->c, e->id);
        return CATALOG_NOT_THERE;
    }
    struct sys_file *f = sys_file_new(sys_take_fd(&fd));
    if (f == NULL) {
        tarn_fail_mem(err, "opening a file");
        return CATALOG_FAILED;
    }
    if (!catalog_stat_same(&f->at_open, &e->stat)) {
        sys_file_unref(f);
        catalog_report_changed(r->c, e->id);
        return CATALOG_NOT_THERE;
    }
    *out = f;
    return CATALOG_FOUND;
}

/* --- the journal, versions, totals --- */

bool catalog_journal_span(struct catalog_read *r, uint64_t *oldest, uint64_t *newest,
                          struct tarn_err *err)
{
    struct row_head h;
    if (index_head(&r->kv, r->c->base, &h, err) == CATALOG_FAILED)
        return false;
    *oldest = h.oldest;
    *newest = h.seq;
    return true;
}

enum catalog_found catalog_change_next(struct catalog_read *r, uint64_t since,
                                       struct catalog_change *out, struct tarn_err *err)
{
    uint64_t oldest, newest;
    if (!catalog_journal_span(r, &oldest, &newest, err))
        return CATALOG_FAILED;
    if (since == newest)
        return CATALOG_NOT_THERE;
    if (since > newest) {
        tarn_fail(
            err, TARN_E_NOT_FOUND,
            "there is no change %llu yet, the newest is %llu: list again and go on from there",
            (unsigned long long)since, (unsigned long long)newest);
        return CATALOG_FAILED;
    }
    if (since + 1 < oldest) {
        tarn_fail(err, TARN_E_NOT_FOUND,
                  "changes are kept from %llu on: list again and go on from %llu",
                  (unsigned long long)oldest, (unsigned long long)newest);
        return CATALOG_FAILED;
    }
    struct kv_key k = { 0 };
    struct tarn_bytes value;
    kv_key_be64(&k, since + 1);
    enum catalog_found found = get(r, T_JOURNAL, &k, &value, err);
    if (found == CATALOG_FOUND && !row_take_change(since + 1, value, out, err))
        return CATALOG_FAILED;
    if (found == CATALOG_NOT_THERE) {
        tarn_fail(err, TARN_E_INTEGRITY, "the index has lost change %llu",
                  (unsigned long long)since + 1);
        return CATALOG_FAILED;
    }
    return found;
}

enum catalog_found catalog_version_before(struct catalog_read *r, uint32_t collection,
                                          uint64_t before, struct catalog_version *out,
                                          struct tarn_err *err)
{
    KV_AUTO_CURSOR c = { 0 };
    struct kv_key k = { 0 }, prefix = { 0 };
    kv_key_be32(&prefix, collection);
    kv_key_be32(&k, collection);
    kv_key_be64(&k, before);
    if (!kv_cursor_open(&r->kv, r->c->base + T_VERSIONS, &c, err))
        return CATALOG_FAILED;
    enum kv_got got = kv_seek_before(&c, kv_key_bytes(&k), err);
    if (got == KV_FAILED)
        return CATALOG_FAILED;
    if (got == KV_NONE || !kv_has_prefix(c.key, kv_key_bytes(&prefix)) || c.key.len != 12)
        return CATALOG_NOT_THERE;
    struct tarn_cur number = tarn_cur_of(tarn_bytes_of(c.key.p + 4, 8));
    return row_take_version(tarn_cur_be64(&number), c.value, out, err) ? CATALOG_FOUND
                                                                       : CATALOG_FAILED;
}

bool catalog_totals(struct catalog_read *r, struct catalog_totals *out, struct tarn_err *err)
{
    struct row_head h;
    if (index_head(&r->kv, r->c->base, &h, err) == CATALOG_FAILED)
        return false;
    *out = h.totals;
    return true;
}

struct catalog_leaves *catalog_hashes(struct catalog *c)
{
    return c->leaves;
}
