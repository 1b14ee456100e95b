/* catalog/leaves: the file, and which of its space is free.
 *
 * The file begins with 64 bytes that name it; runs follow wherever there was room. What is free is
 * a list in the order of the file, and all that is behind `end` is. The list is in memory alone:
 * who must not lose it is the caller, whose index says what is in use. */
#include "catalog/leaves.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/out.h"
#include "sys/thread.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEAD = 64,
    AT_ONCE = 512, /* hashes that a walk reads */
};

static const char magic[] = "tarn hashes ";
static const char version[] = "1\r\n";

struct catalog_leaves {
    int fd;
    bool is_read_only, is_new;
    char *path;               /* owned; for messages */
    struct sys_lock lock;     /* of all below */
    uint64_t end;             /* no run is behind this */
    struct catalog_run *free; /* owned; by off, no two touching */
    size_t n_free, cap_free;
};

static uint64_t hash_len(enum catalog_hashes kind)
{
    return kind == CATALOG_LEAVES ? MERKLE_HASH : CRYPT_SHA1_LEN;
}

static uint64_t sum_len(enum catalog_hashes kind)
{
    return kind == CATALOG_LEAVES ? 0 : CATALOG_PIECES_SUM;
}

uint64_t catalog_run_len(enum catalog_hashes kind, uint64_t n)
{
    return n == 0 ? 0 : n * hash_len(kind) + sum_len(kind);
}

uint64_t catalog_run_count(enum catalog_hashes kind, struct catalog_run run)
{
    return run.len < sum_len(kind) ? 0 : (run.len - sum_len(kind)) / hash_len(kind);
}

/* Opening. */

static void make_head(uint8_t head[HEAD])
{
    struct tarn_out o;
    memset(head, 0, HEAD);
    tarn_out_fixed(&o, head, HEAD);
    tarn_out_str(&o, magic);
    tarn_out_str(&o, version);
}

static bool sync_folder_of(const char *path, struct tarn_err *err)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    char *folder = tarn_strndup(slash == NULL ? "." : path, len);
    if (folder == NULL)
        return tarn_fail_mem(err, "making the file of hashes");
    SYS_AUTO_FD fd = sys_open(folder, SYS_OPEN_FOLDER, err);
    tarn_free(folder);
    return fd >= 0 && sys_sync_folder(fd, err);
}

/* A new file, or one whose making was cut short. */
static bool begin_file(struct catalog_leaves *l, const uint8_t head[HEAD], struct tarn_err *err)
{
    l->is_new = true;
    return sys_write_at(l->fd, tarn_bytes_of(head, HEAD), 0, err) && sys_sync(l->fd, err) &&
           sync_folder_of(l->path, err);
}

static bool check_head(struct catalog_leaves *l, struct tarn_err *err)
{
    uint8_t ours[HEAD], head[HEAD];
    size_t got;
    struct tarn_quote q;
    make_head(ours);
    if (!sys_read_at(l->fd, head, sizeof head, 0, &got, err))
        return false;
    if (got == HEAD && memcmp(head, ours, HEAD) == 0)
        return true;
    if (got < HEAD && !l->is_read_only && memcmp(head, ours, got) == 0)
        return begin_file(l, ours, err);
    tarn_quote_str(&q, l->path);
    if (got == HEAD && memcmp(head, magic, sizeof magic - 1) == 0)
        return tarn_fail(err, TARN_E_USAGE,
                         "'%s' was written by a newer tarn: use that, or start with another folder",
                         q.s);
    return tarn_fail(err, TARN_E_USAGE,
                     "'%s' is no file of hashes of tarn: it is in the way; move it elsewhere", q.s);
}

static bool open_file(struct catalog_leaves *l, struct tarn_err *err)
{
    struct sys_stat st;
    l->fd = sys_open(l->path, l->is_read_only ? SYS_OPEN_READ : SYS_OPEN_CREATE, err);
    if (l->fd < 0 || !check_head(l, err) || !sys_stat_fd(l->fd, &st, err))
        return false;
    l->end = tarn_max_u64(st.size, HEAD);
    return true;
}

struct catalog_leaves *catalog_leaves_open(const char *path, bool is_read_only,
                                           struct tarn_err *err)
{
    struct catalog_leaves *l = tarn_calloc(1, sizeof *l);
    struct tarn_quote q;
    if (l != NULL) {
        sys_lock_init(&l->lock);
        l->fd = -1;
        l->is_read_only = is_read_only;
        l->path = tarn_strndup(path, strlen(path));
    }
    if (l == NULL || l->path == NULL) {
        tarn_fail_mem(err, "opening the file of hashes");
    } else if (open_file(l, err)) {
        return l;
    } else {
        tarn_fail_in(err, "opening the file of hashes '%s'", tarn_quote_str(&q, path));
    }
    catalog_leaves_close(l);
    return NULL;
}

void catalog_leaves_close(struct catalog_leaves *l)
{
    if (l == NULL)
        return;
    sys_close(&l->fd);
    sys_lock_release(&l->lock);
    tarn_free(l->free);
    tarn_free(l->path);
    tarn_free(l);
}

static bool fail_file(struct catalog_leaves *l, const char *doing, struct tarn_err *err)
{
    struct tarn_quote q;
    return tarn_fail_in(err, "%s '%s'", doing, tarn_quote_str(&q, l->path));
}

bool catalog_leaves_is_new(const struct catalog_leaves *l)
{
    return l->is_new;
}

/* The length of the file remembers it; what was never written takes no room on the disk. */
bool catalog_leaves_keep_clear(struct catalog_leaves *l, uint64_t end, struct tarn_err *err)
{
    sys_lock_take(&l->lock);
    bool ok = end <= l->end || (sys_truncate(l->fd, end, err) && sys_sync(l->fd, err));
    if (ok)
        l->end = tarn_max_u64(end, l->end);
    sys_lock_give(&l->lock);
    return ok || fail_file(l, "making room in", err);
}

/* Space. All with the lock. */

/* The first free run that ends behind off. */
static size_t find_free(const struct catalog_leaves *l, uint64_t off)
{
    size_t low = 0, high = l->n_free;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->free[middle].off + l->free[middle].len <= off)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void remove_free(struct catalog_leaves *l, size_t i)
{
    l->n_free--;
    memmove(&l->free[i], &l->free[i + 1], (l->n_free - i) * sizeof *l->free);
}

static void forget_smallest(struct catalog_leaves *l)
{
    size_t smallest = 0;
    for (size_t i = 1; i < l->n_free; i++)
        if (l->free[i].len < l->free[smallest].len)
            smallest = i;
    remove_free(l, smallest);
}

/* What cannot be kept in mind is lost until the next sweep, and nothing worse. */
static void insert_free(struct catalog_leaves *l, struct catalog_run run)
{
    if (l->n_free == CATALOG_FREE_MAX)
        forget_smallest(l);
    if (!TARN_GROW(l->free, l->n_free, l->cap_free))
        return;
    size_t i = find_free(l, run.off);
    memmove(&l->free[i + 1], &l->free[i], (l->n_free - i) * sizeof *l->free);
    l->free[i] = run;
    l->n_free++;
}

/* The end of the file goes back to the disk. */
static void give_end(struct catalog_leaves *l, uint64_t end)
{
    l->end = end;
    (void)!sys_truncate(l->fd, end, NULL); /* else it stays larger than it need be */
}

static void give(struct catalog_leaves *l, struct catalog_run run)
{
    uint64_t stop;
    if (run.len == 0 || run.off < HEAD || !tarn_add_u64(run.off, run.len, &stop) || stop > l->end)
        return;
    size_t i = find_free(l, run.off);
    if (i < l->n_free && l->free[i].off < stop)
        return; /* free already */
    if (i < l->n_free && l->free[i].off == stop) {
        run.len += l->free[i].len;
        remove_free(l, i);
    }
    if (i > 0 && l->free[i - 1].off + l->free[i - 1].len == run.off) {
        run.off = l->free[i - 1].off;
        run.len += l->free[i - 1].len;
        remove_free(l, i - 1);
    }
    if (run.off + run.len == l->end)
        give_end(l, run.off);
    else
        insert_free(l, run);
}

static bool take(struct catalog_leaves *l, uint64_t len, struct catalog_run *run)
{
    for (size_t i = 0; i < l->n_free; i++) {
        if (l->free[i].len < len)
            continue;
        *run = (struct catalog_run){ l->free[i].off, len };
        l->free[i].off += len;
        l->free[i].len -= len;
        if (l->free[i].len == 0)
            remove_free(l, i);
        return true;
    }
    *run = (struct catalog_run){ l->end, len };
    return tarn_add_u64(l->end, len, &l->end);
}

void catalog_leaves_give(struct catalog_leaves *l, struct catalog_run run)
{
    sys_lock_take(&l->lock);
    give(l, run);
    sys_lock_give(&l->lock);
}

struct catalog_leaves_stat catalog_leaves_stat(struct catalog_leaves *l)
{
    struct catalog_leaves_stat st = { 0 };
    sys_lock_take(&l->lock);
    st.file = l->end;
    st.free_runs = l->n_free;
    for (size_t i = 0; i < l->n_free; i++)
        st.free += l->free[i].len;
    sys_lock_give(&l->lock);
    return st;
}

/* Writing. */

bool catalog_leaves_begin(struct catalog_leaves *l, struct catalog_put *p, enum catalog_hashes kind,
                          uint64_t n, struct tarn_err *err)
{
    assert(n > 0);
    *p = (struct catalog_put){ .kind = kind };
    if (l->is_read_only)
        return tarn_fail(err, TARN_E_POLICY, "the index is opened only for reading");
    uint64_t len;
    sys_lock_take(&l->lock);
    bool ok = tarn_mul_u64(n, hash_len(kind), &len) && tarn_add_u64(len, sum_len(kind), &len) &&
              take(l, len, &p->run);
    sys_lock_give(&l->lock);
    crypt_sha_init(&p->sum, CRYPT_SHA256);
    return ok || tarn_fail(err, TARN_E_POLICY, "%llu hashes of one file are too many",
                           (unsigned long long)n);
}

bool catalog_leaves_put(struct catalog_leaves *l, struct catalog_put *p, const uint8_t *hashes,
                        uint64_t n, struct tarn_err *err)
{
    uint64_t len = n * hash_len(p->kind);
    assert(len <= p->run.len - sum_len(p->kind) - p->done);
    struct tarn_bytes bytes = tarn_bytes_of(hashes, (size_t)len);
    if (!sys_write_at(l->fd, bytes, p->run.off + p->done, err))
        return fail_file(l, "writing hashes to", err);
    if (p->kind == CATALOG_PIECES)
        crypt_sha_update(&p->sum, bytes);
    p->done += len;
    return true;
}

/* Of the hashes and the root of their file, so that the run of another file is not taken for it. */
static void end_sum(struct crypt_sha *sum, const uint8_t *root, uint8_t to[CATALOG_PIECES_SUM])
{
    uint8_t digest[CRYPT_SHA256_LEN];
    crypt_sha_update(sum, tarn_bytes_of(root, MERKLE_HASH));
    crypt_sha_final(sum, digest);
    memcpy(to, digest, CATALOG_PIECES_SUM);
}

bool catalog_leaves_end(struct catalog_leaves *l, struct catalog_put *p, const uint8_t *root,
                        struct tarn_err *err)
{
    uint8_t sum[CATALOG_PIECES_SUM];
    assert(p->done == p->run.len - sum_len(p->kind));
    if (p->kind == CATALOG_LEAVES)
        return true;
    end_sum(&p->sum, root, sum);
    return sys_write_at(l->fd, tarn_bytes_of(sum, sizeof sum), p->run.off + p->done, err) ||
           fail_file(l, "writing hashes to", err);
}

void catalog_leaves_drop(struct catalog_leaves *l, struct catalog_put *p)
{
    catalog_leaves_give(l, p->run);
    *p = (struct catalog_put){ 0 };
}

bool catalog_leaves_sync(struct catalog_leaves *l, struct tarn_err *err)
{
    return sys_sync(l->fd, err) || fail_file(l, "syncing", err);
}

/* Reading. */

static bool fail_bad(struct catalog_leaves *l, struct catalog_run run, struct tarn_err *err)
{
    struct tarn_quote q;
    return tarn_fail(err, TARN_E_INTEGRITY,
                     "the hashes at %llu in '%s' are not those of the file: it must be read again",
                     (unsigned long long)run.off, tarn_quote_str(&q, l->path));
}

static bool read_bytes(struct catalog_leaves *l, struct catalog_run run, uint64_t off, size_t len,
                       uint8_t *to, struct tarn_err *err)
{
    size_t got;
    if (!sys_read_at(l->fd, to, len, run.off + off, &got, err))
        return fail_file(l, "reading hashes from", err);
    return got == len || fail_bad(l, run, err);
}

/* What an index says of a run may be as wrong as the run. */
static bool check_run(struct catalog_leaves *l, struct catalog_run run, enum catalog_hashes kind,
                      struct tarn_err *err)
{
    uint64_t stop, n = catalog_run_count(kind, run);
    if (n == 0 || run.len != catalog_run_len(kind, n) || run.off < HEAD ||
        !tarn_add_u64(run.off, run.len, &stop) || stop > INT64_MAX)
        return fail_bad(l, run, err);
    return true;
}

bool catalog_leaves_read(struct catalog_leaves *l, struct catalog_run run, enum catalog_hashes kind,
                         uint64_t first, uint64_t n, uint8_t *hashes, struct tarn_err *err)
{
    if (!check_run(l, run, kind, err))
        return false;
    uint64_t count = catalog_run_count(kind, run);
    if (first > count || n > count - first)
        return fail_bad(l, run, err);
    return read_bytes(l, run, first * hash_len(kind), (size_t)(n * hash_len(kind)), hashes, err);
}

bool catalog_leaves_walk(struct catalog_leaves *l, struct catalog_run run, enum catalog_hashes kind,
                         const uint8_t *root,
                         bool (*each)(void *arg, uint64_t first, const uint8_t *hashes, size_t n,
                                      struct tarn_err *err),
                         void *arg, struct tarn_err *err)
{
    if (!check_run(l, run, kind, err))
        return false;
    uint8_t hashes[AT_ONCE * MERKLE_HASH], is[MERKLE_HASH], should[CATALOG_PIECES_SUM];
    uint64_t count = catalog_run_count(kind, run);
    struct merkle_sum tree = { 0 };
    struct crypt_sha sum;
    crypt_sha_init(&sum, CRYPT_SHA256);
    for (uint64_t at = 0; at < count; at += AT_ONCE) {
        size_t n = (size_t)tarn_min_u64(AT_ONCE, count - at);
        size_t len = n * hash_len(kind);
        if (!read_bytes(l, run, at * hash_len(kind), len, hashes, err))
            return false;
        if (kind == CATALOG_LEAVES)
            merkle_sum_add(&tree, hashes, n);
        else
            crypt_sha_update(&sum, tarn_bytes_of(hashes, len));
        if (each != NULL && !each(arg, at, hashes, n, err))
            return false;
    }
    if (kind == CATALOG_LEAVES) {
        merkle_sum_root(&tree, 0, merkle_levels(count), is);
        return memcmp(is, root, MERKLE_HASH) == 0 || fail_bad(l, run, err);
    }
    end_sum(&sum, root, is);
    return read_bytes(l, run, count * CRYPT_SHA1_LEN, sizeof should, should, err) &&
           (memcmp(is, should, sizeof should) == 0 || fail_bad(l, run, err));
}

/* Sweeping. */

bool catalog_sweep_used(struct catalog_sweep *s, struct catalog_run run)
{
    if (run.len == 0)
        return true;
    if (!TARN_GROW(s->runs, s->n, s->cap))
        return false;
    s->runs[s->n++] = run;
    return true;
}

static int by_off(const void *a, const void *b)
{
    uint64_t x = ((const struct catalog_run *)a)->off, y = ((const struct catalog_run *)b)->off;
    return x < y ? -1 : x > y;
}

bool catalog_sweep_end(struct catalog_sweep *s, struct catalog_leaves *l, struct tarn_err *err)
{
    uint64_t at = HEAD;
    if (s->n > 0)
        qsort(s->runs, s->n, sizeof *s->runs, by_off);
    sys_lock_take(&l->lock);
    for (size_t i = 0; i < s->n; i++) {
        struct catalog_run run = s->runs[i];
        uint64_t stop;
        if (run.off < at || !tarn_add_u64(run.off, run.len, &stop) || stop > l->end) {
            sys_lock_give(&l->lock);
            return fail_bad(l, run, err);
        }
        at = stop;
    }
    l->n_free = 0;
    if (at < l->end)
        give_end(l, at);
    at = HEAD;
    for (size_t i = 0; i < s->n; i++) {
        give(l, (struct catalog_run){ at, s->runs[i].off - at });
        at = s->runs[i].off + s->runs[i].len;
    }
    sys_lock_give(&l->lock);
    return true;
}

void catalog_sweep_release(struct catalog_sweep *s)
{
    tarn_free(s->runs);
    *s = (struct catalog_sweep){ 0 };
}
