/* sim/disk: see the header. */
#include "disk.h"

#include "base/mem.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>

enum { PAGE = 16 << 10, BUCKETS = 1 << 16, SECTOR = 512, TICK_MS = 4, NAME_LEN = 255 };

/* Bytes that several files may share. */
struct page {
    uint32_t refs;
    bool is_shared; /* it stands in the table, and must not change */
    uint64_t hash;
    struct page *next;
    uint8_t bytes[PAGE];
};

struct version {
    struct page **pages; /* owned array, counted pages; NULL: zeros */
    size_t n_pages;
    uint64_t size;
    int64_t mtime_ns;
};

struct name {
    char *text;          /* owned */
    struct inode *inode; /* counted */
};

/* A change to the names of a folder that has not been synced. */
struct change {
    char *gone;          /* owned, or NULL */
    char *text;          /* owned, or NULL */
    struct inode *inode; /* counted; of text */
};

struct names {
    struct name *items; /* owned */
    size_t n, cap;
};

struct inode {
    struct fs *fs;
    uint64_t number;
    unsigned refs;
    bool is_folder;
    unsigned mode;
    /* files */
    struct version now, safe;
    uint8_t *warm; /* owned; a byte a page */
    size_t n_warm;
    uint64_t reserved, n_full; /* bytes, pages */
    /* folders */
    struct names names, safe_names;
    struct change *changes; /* owned */
    size_t n_changes, cap_changes;
};

struct fs {
    struct node *node;
    struct inode *root;
    uint64_t used, next_number;
};

static struct page *buckets[BUCKETS];

/* --- pages --- */

static uint64_t hash_of(const uint8_t *p)
{
    uint64_t a = 1, b = 2;
    for (size_t i = 0; i < PAGE; i += 16) {
        uint64_t x, y;
        memcpy(&x, p + i, 8);
        memcpy(&y, p + i + 8, 8);
        a = (a ^ x) * 0x9E3779B97F4A7C15;
        b = (b ^ y) * 0xD6E8FEB86659FD93;
        a ^= a >> 32;
        b ^= b >> 32;
    }
    return a ^ b * 31;
}

static void page_unref(struct page *p)
{
    if (p == NULL || --p->refs > 0)
        return;
    if (p->is_shared) {
        struct page **at = &buckets[p->hash % BUCKETS];
        while (*at != p)
            at = &(*at)->next;
        *at = p->next;
    }
    tarn_free(p);
}

static struct page *page_ref(struct page *p)
{
    if (p != NULL)
        p->refs++;
    return p;
}

/* The one page of these bytes. */
static struct page *page_of(const uint8_t *bytes)
{
    uint64_t hash = hash_of(bytes);
    for (struct page *p = buckets[hash % BUCKETS]; p != NULL; p = p->next)
        if (p->hash == hash && memcmp(p->bytes, bytes, PAGE) == 0)
            return page_ref(p);
    struct page *p = sim_alloc(1, sizeof *p);
    p->refs = 1;
    p->is_shared = true;
    p->hash = hash;
    memcpy(p->bytes, bytes, PAGE);
    p->next = buckets[hash % BUCKETS];
    buckets[hash % BUCKETS] = p;
    return p;
}

static void version_clear(struct version *v)
{
    for (size_t i = 0; i < v->n_pages; i++)
        page_unref(v->pages[i]);
    tarn_free(v->pages);
    *v = (struct version){ 0 };
}

static void version_room(struct version *v, size_t n_pages)
{
    if (n_pages <= v->n_pages)
        return;
    v->pages = sim_grow(v->pages, n_pages, sizeof(struct page *));
    for (size_t i = v->n_pages; i < n_pages; i++)
        v->pages[i] = NULL;
    v->n_pages = n_pages;
}

static void version_copy(struct version *to, const struct version *from)
{
    version_clear(to);
    version_room(to, from->n_pages);
    for (size_t i = 0; i < from->n_pages; i++)
        to->pages[i] = page_ref(from->pages[i]);
    to->size = from->size;
    to->mtime_ns = from->mtime_ns;
}

/* --- inodes and names --- */

static struct inode *inode_new(struct fs *f, bool is_folder)
{
    struct inode *i = sim_alloc(1, sizeof *i);
    *i = (struct inode){ .fs = f, .number = ++f->next_number, .refs = 1, .is_folder = is_folder };
    i->mode = is_folder ? 0755 : 0644;
    return i;
}

static uint64_t used_by(const struct inode *i)
{
    return tarn_max_u64(i->reserved, i->n_full * PAGE);
}

static void names_clear(struct names *names)
{
    for (size_t k = 0; k < names->n; k++) {
        tarn_free(names->items[k].text);
        inode_unref(names->items[k].inode);
    }
    tarn_free(names->items);
    *names = (struct names){ 0 };
}

static void changes_clear(struct inode *i)
{
    for (size_t k = 0; k < i->n_changes; k++) {
        tarn_free(i->changes[k].gone);
        tarn_free(i->changes[k].text);
        inode_unref(i->changes[k].inode);
    }
    tarn_free(i->changes);
    i->changes = NULL;
    i->n_changes = i->cap_changes = 0;
}

void inode_unref(struct inode *i)
{
    if (i == NULL || --i->refs > 0)
        return;
    i->fs->used -= used_by(i);
    version_clear(&i->now);
    version_clear(&i->safe);
    names_clear(&i->names);
    names_clear(&i->safe_names);
    changes_clear(i);
    tarn_free(i->warm);
    tarn_free(i);
}

static struct name *find(const struct names *names, const char *text)
{
    for (size_t k = 0; k < names->n; k++)
        if (strcmp(names->items[k].text, text) == 0)
            return &names->items[k];
    return NULL;
}

static char *text_of(const char *text)
{
    size_t len = strlen(text) + 1;
    char *copy = sim_alloc(len, 1);
    memcpy(copy, text, len);
    return copy;
}

static void names_remove(struct names *names, const char *text)
{
    struct name *at = find(names, text);
    if (at == NULL)
        return;
    tarn_free(at->text);
    inode_unref(at->inode);
    *at = names->items[--names->n];
}

static void names_put(struct names *names, const char *text, struct inode *i)
{
    i->refs++;
    names_remove(names, text);
    if (names->n == names->cap) {
        names->cap = names->cap == 0 ? 4 : 2 * names->cap;
        names->items = sim_grow(names->items, names->cap, sizeof *names->items);
    }
    names->items[names->n++] = (struct name){ text_of(text), i };
}

static void apply(struct names *names, const struct change *c)
{
    if (c->gone != NULL)
        names_remove(names, c->gone);
    if (c->text != NULL)
        names_put(names, c->text, c->inode);
}

/* Change the names of a folder now; later, once synced, for good. */
static void change(struct inode *folder, const char *gone, const char *text, struct inode *i)
{
    if (folder->n_changes == folder->cap_changes) {
        folder->cap_changes = folder->cap_changes == 0 ? 4 : 2 * folder->cap_changes;
        folder->changes = sim_grow(folder->changes, folder->cap_changes, sizeof(struct change));
    }
    struct change *c = &folder->changes[folder->n_changes++];
    *c = (struct change){ .gone = gone == NULL ? NULL : text_of(gone) };
    if (text != NULL) {
        c->text = text_of(text);
        c->inode = i;
        i->refs++;
    }
    apply(&folder->names, c);
}

/* --- paths --- */

static struct inode *start_of(struct node *n, struct inode *dir, const char *path)
{
    return dir == NULL || path[0] == '/' ? n->fs->root : dir;
}

/* The folder that holds the last part of a path, and that part. */
static struct inode *walk(struct node *n, struct inode *dir, const char *path,
                          char last[NAME_LEN + 1])
{
    struct inode *at = start_of(n, dir, path);
    last[0] = 0;
    for (;;) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (len > NAME_LEN) {
            errno = ENAMETOOLONG;
            return NULL;
        }
        if (len == 0)
            return at;
        if (last[0] != 0) {
            const struct name *next = strcmp(last, ".") == 0 ? NULL : find(&at->names, last);
            if (next == NULL && strcmp(last, ".") != 0) {
                errno = ENOENT;
                return NULL;
            }
            if (next != NULL && !next->inode->is_folder) {
                errno = ENOTDIR;
                return NULL;
            }
            at = next == NULL ? at : next->inode;
        }
        memcpy(last, path, len);
        last[len] = 0;
        path += len;
    }
}

static struct inode *look(struct node *n, struct inode *dir, const char *path)
{
    char last[NAME_LEN + 1];
    struct inode *folder = walk(n, dir, path, last);
    if (folder == NULL || last[0] == 0 || strcmp(last, ".") == 0)
        return folder;
    const struct name *found = find(&folder->names, last);
    if (found == NULL)
        errno = ENOENT;
    return found == NULL ? NULL : found->inode;
}

struct descr *fs_open(struct node *n, struct inode *dir, const char *path, int flags)
{
    char last[NAME_LEN + 1];
    struct inode *i = look(n, dir, path);
    if (i != NULL && (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) {
        errno = EEXIST;
        return NULL;
    }
    if (i == NULL && (errno != ENOENT || (flags & O_CREAT) == 0))
        return NULL;
    if (i != NULL && i->is_folder != ((flags & O_DIRECTORY) != 0) &&
        (!i->is_folder || (flags & O_ACCMODE) != O_RDONLY)) {
        errno = i->is_folder ? EISDIR : ENOTDIR;
        return NULL;
    }
    struct descr *d = descr_new(n, DESCR_FILE);
    if (d == NULL)
        return NULL;
    if (i == NULL) {
        struct inode *folder = walk(n, dir, path, last);
        if (folder == NULL) {
            descr_close(d);
            errno = ENOENT;
            return NULL;
        }
        i = inode_new(n->fs, false);
        i->now.mtime_ns = node_wall_ms(n) / TICK_MS * TICK_MS * 1000000;
        change(folder, NULL, last, i);
        world_trace("node %u: makes inode %llu, %s", n->no, (unsigned long long)i->number, last);
    } else {
        i->refs++;
    }
    d->kind = i->is_folder ? DESCR_FOLDER : DESCR_FILE;
    d->inode = i;
    d->can_write = (flags & O_ACCMODE) != O_RDONLY;
    return d;
}

void inode_stat(const struct inode *i, struct sys_stat *st)
{
    *st = (struct sys_stat){
        .size = i->now.size,
        .mtime_ns = i->now.mtime_ns,
        .ctime_ns = i->now.mtime_ns,
        .dev = i->fs->node->no + 1,
        .ino = i->number,
        .kind = i->is_folder ? SYS_FOLDER : SYS_REGULAR,
        .is_executable = (i->mode & 0100) != 0,
        .mode = i->mode,
    };
}

int fs_stat(struct inode *dir, struct node *n, const char *path, struct sys_stat *st)
{
    const struct inode *i = look(n, dir, path);
    if (i == NULL)
        return -1;
    inode_stat(i, st);
    return 0;
}

int fs_rename(struct node *n, struct inode *from_dir, const char *from, struct inode *to_dir,
              const char *to)
{
    char from_last[NAME_LEN + 1], to_last[NAME_LEN + 1];
    struct inode *a = walk(n, from_dir, from, from_last), *b = walk(n, to_dir, to, to_last);
    const struct name *name = a == NULL ? NULL : find(&a->names, from_last);
    if (name == NULL || b == NULL) {
        errno = ENOENT;
        return -1;
    }
    struct inode *i = name->inode;
    i->refs++;
    if (a == b) {
        change(a, from_last, to_last, i);
    } else {
        change(b, NULL, to_last, i);
        change(a, from_last, NULL, NULL);
    }
    inode_unref(i);
    return 0;
}

int fs_unlink(struct node *n, struct inode *dir, const char *path, bool is_folder)
{
    char last[NAME_LEN + 1];
    struct inode *folder = walk(n, dir, path, last);
    const struct name *name = folder == NULL ? NULL : find(&folder->names, last);
    if (name == NULL) {
        errno = ENOENT;
        return -1;
    }
    if (name->inode->is_folder != is_folder || name->inode->names.n > 0) {
        errno = !is_folder ? EISDIR : name->inode->is_folder ? ENOTEMPTY : ENOTDIR;
        return -1;
    }
    change(folder, last, NULL, NULL);
    return 0;
}

int fs_mkdir(struct node *n, struct inode *dir, const char *path)
{
    char last[NAME_LEN + 1];
    struct inode *folder = walk(n, dir, path, last);
    if (folder == NULL)
        return -1;
    if (last[0] == 0 || strcmp(last, ".") == 0 || find(&folder->names, last) != NULL) {
        errno = EEXIST;
        return -1;
    }
    struct inode *i = inode_new(n->fs, true);
    change(folder, NULL, last, i);
    inode_unref(i);
    return 0;
}

/* --- bytes --- */

uint64_t inode_size(const struct inode *i)
{
    return i->now.size;
}

void inode_set_mode(struct inode *i, unsigned mode)
{
    i->mode = mode;
}

bool inode_is_folder(const struct inode *i)
{
    return i->is_folder;
}

uint64_t fs_free_bytes(const struct fs *f)
{
    uint64_t size = f->node->disk.size;
    return size == 0 ? (uint64_t)1 << 40 : size > f->used ? size - f->used : 0;
}

void inode_copy(const struct inode *i, uint64_t off, uint8_t *to, size_t len)
{
    while (len > 0) {
        size_t page = (size_t)(off / PAGE), in = (size_t)(off % PAGE);
        size_t run = tarn_min_size(len, PAGE - in);
        if (page < i->now.n_pages && i->now.pages[page] != NULL)
            memcpy(to, i->now.pages[page]->bytes + in, run);
        else
            memset(to, 0, run);
        off += run;
        to += run;
        len -= run;
    }
}

static void warm(struct inode *i, uint64_t off, size_t len)
{
    if (len == 0)
        return;
    size_t last = (size_t)((off + len - 1) / PAGE);
    if (last >= i->n_warm) {
        i->warm = sim_grow(i->warm, last + 1, 1);
        memset(i->warm + i->n_warm, 0, last + 1 - i->n_warm);
        i->n_warm = last + 1;
    }
    for (size_t p = (size_t)(off / PAGE); p <= last; p++)
        i->warm[p] = 1;
}

bool inode_is_warm(const struct inode *i, uint64_t off, size_t len)
{
    for (uint64_t p = off / PAGE; len > 0 && p <= (off + len - 1) / PAGE; p++)
        if (p >= i->n_warm || i->warm[p] == 0)
            return false;
    return true;
}

static void costs(struct node *n, uint64_t len)
{
    n->job_us += n->disk.access_us;
    if (n->disk.bps > 0)
        n->job_us += (int64_t)(len * SIM_S / n->disk.bps);
}

static bool fails(struct node *n)
{
    if (!chance_one_in(&n->chance, n->disk.fails_one_in))
        return false;
    world_trace("node %u: its disk fails", n->no);
    errno = EIO;
    return true;
}

ssize_t inode_read(struct node *n, struct inode *i, const struct iovec *iov, int n_iov,
                   uint64_t off)
{
    size_t done = 0;
    if (fails(n))
        return -1;
    for (int k = 0; k < n_iov && off + done < i->now.size; k++) {
        size_t len = (size_t)tarn_min_u64(iov[k].iov_len, i->now.size - off - done);
        inode_copy(i, off + done, iov[k].iov_base, len);
        done += len;
    }
    if (!inode_is_warm(i, off, done))
        costs(n, done);
    if (n->disk.forgets && i->n_warm > 0)
        memset(i->warm, 0, i->n_warm);
    warm(i, off, done);
    return (ssize_t)done;
}

/* The run of one page. False: the disk is full. */
static bool write_page(struct inode *i, uint64_t off, const uint8_t *from, size_t len)
{
    size_t at = (size_t)(off / PAGE), in = (size_t)(off % PAGE);
    version_room(&i->now, at + 1);
    struct page *old = i->now.pages[at];
    if (old == NULL) {
        uint64_t before = used_by(i);
        i->n_full++;
        uint64_t more = used_by(i) - before;
        if (more > fs_free_bytes(i->fs)) {
            i->n_full--;
            return false;
        }
        i->fs->used += more;
    }
    if (len == PAGE) {
        i->now.pages[at] = page_of(from);
        page_unref(old);
        return true;
    }
    struct page *p = old;
    if (old == NULL || old->refs > 1 || old->is_shared) {
        p = sim_alloc(1, sizeof *p);
        p->refs = 1;
        if (old != NULL)
            memcpy(p->bytes, old->bytes, PAGE);
        page_unref(old);
        i->now.pages[at] = p;
    }
    memcpy(p->bytes + in, from, len);
    return true;
}

static void touch(struct node *n, struct inode *i)
{
    i->now.mtime_ns = node_wall_ms(n) / TICK_MS * TICK_MS * 1000000;
}

ssize_t inode_write(struct node *n, struct inode *i, const struct iovec *iov, int n_iov,
                    uint64_t off)
{
    size_t done = 0;
    if (fails(n))
        return -1;
    /* gathered, so that pages that runs share are written whole */
    size_t len = 0;
    for (int k = 0; k < n_iov; k++)
        len += iov[k].iov_len;
    uint8_t *all = sim_alloc(len + 1, 1);
    for (int k = 0; k < n_iov; done += iov[k++].iov_len)
        memcpy(all + done, iov[k].iov_base, iov[k].iov_len);
    done = 0;
    while (done < len) {
        size_t run = tarn_min_size(len - done, PAGE - (size_t)((off + done) % PAGE));
        if (!write_page(i, off + done, all + done, run))
            break;
        done += run;
    }
    tarn_free(all);
    if (done == 0 && len > 0) {
        errno = ENOSPC;
        return -1;
    }
    i->now.size = tarn_max_u64(i->now.size, off + done);
    touch(n, i);
    warm(i, off, done);
    if (n->disk.bps > 0)
        n->job_us += (int64_t)(done * SIM_S / n->disk.bps);
    world_trace("node %u: writes %zu bytes at %llu of inode %llu", n->no, done,
                (unsigned long long)off, (unsigned long long)i->number);
    return (ssize_t)done;
}

int inode_reserve(struct node *n, struct inode *i, uint64_t len)
{
    uint64_t before = used_by(i), was = i->reserved;
    i->reserved = tarn_max_u64(was, len);
    if (used_by(i) - before > fs_free_bytes(i->fs)) {
        i->reserved = was;
        errno = ENOSPC;
        return -1;
    }
    i->fs->used += used_by(i) - before;
    i->now.size = tarn_max_u64(i->now.size, len);
    touch(n, i);
    return 0;
}

static void zero_behind(struct inode *i, uint64_t len)
{
    size_t first = (size_t)(len / PAGE), in = (size_t)(len % PAGE);
    for (size_t p = first; p < i->now.n_pages; p++) {
        if (i->now.pages[p] == NULL)
            continue;
        if (p == first && in > 0) {
            static const uint8_t zeros[PAGE];
            (void)write_page(i, len, zeros, PAGE - in);
            continue;
        }
        page_unref(i->now.pages[p]);
        i->now.pages[p] = NULL;
        i->n_full--;
    }
}

int inode_truncate(struct node *n, struct inode *i, uint64_t len)
{
    uint64_t before = used_by(i);
    if (len < i->now.size) {
        zero_behind(i, len);
        i->reserved = tarn_min_u64(i->reserved, len);
    }
    i->fs->used = i->fs->used - before + used_by(i);
    i->now.size = len;
    touch(n, i);
    return 0;
}

/* Partly written pages are shared from now on, too. */
static void share_pages(struct version *v)
{
    for (size_t p = 0; p < v->n_pages; p++) {
        struct page *old = v->pages[p];
        if (old == NULL || old->is_shared)
            continue;
        v->pages[p] = page_of(old->bytes);
        page_unref(old);
    }
}

static uint64_t dirty_bytes(const struct inode *i)
{
    uint64_t n = 0;
    for (size_t p = 0; p < i->now.n_pages; p++)
        n += p >= i->safe.n_pages || i->now.pages[p] != i->safe.pages[p] ? PAGE : 0;
    return n;
}

static void sync_names(struct inode *folder)
{
    for (size_t k = 0; k < folder->n_changes; k++)
        apply(&folder->safe_names, &folder->changes[k]);
    changes_clear(folder);
}

int inode_sync(struct node *n, struct inode *i)
{
    if (fails(n))
        return -1;
    if (i->is_folder) {
        world_trace("node %u: syncs folder %llu", n->no, (unsigned long long)i->number);
        sync_names(i);
        costs(n, 0);
        return 0;
    }
    world_trace("node %u: syncs inode %llu", n->no, (unsigned long long)i->number);
    share_pages(&i->now);
    costs(n, dirty_bytes(i));
    version_copy(&i->safe, &i->now);
    return 0;
}

/* --- power cuts --- */

/* A page of which some sectors were written. */
static struct page *torn(uint64_t *chance, const struct page *old, const struct page *new)
{
    static const uint8_t zeros[PAGE];
    uint8_t bytes[PAGE];
    memcpy(bytes, old == NULL ? zeros : old->bytes, PAGE);
    for (size_t at = 0; at < PAGE; at += SECTOR)
        if (chance_one_in(chance, 2))
            memcpy(bytes + at, (new == NULL ? zeros : new->bytes) + at, SECTOR);
    return page_of(bytes);
}

static void count_full(struct inode *i)
{
    i->n_full = 0;
    for (size_t p = 0; p < i->now.n_pages; p++)
        i->n_full += i->now.pages[p] != NULL;
}

static void cut_file(struct inode *i, uint64_t *chance)
{
    share_pages(&i->now);
    version_room(&i->safe, i->now.n_pages);
    for (size_t p = 0; p < i->now.n_pages; p++) {
        struct page *old = i->safe.pages[p], *new = i->now.pages[p];
        if (old == new)
            continue;
        switch (chance_below(chance, 3)) {
        case 0:
            break;
        case 1:
            i->safe.pages[p] = page_ref(new);
            page_unref(old);
            break;
        default:
            i->safe.pages[p] = torn(chance, old, new);
            page_unref(old);
            break;
        }
    }
    if (chance_one_in(chance, 2))
        i->safe.size = i->now.size;
    if (chance_one_in(chance, 2))
        i->safe.mtime_ns = i->now.mtime_ns;
    version_copy(&i->now, &i->safe);
    count_full(i);
    zero_behind(i, i->now.size);
    share_pages(&i->now);
    version_copy(&i->safe, &i->now);
}

static void cut(struct inode *i, uint64_t *chance)
{
    if (!i->is_folder) {
        i->fs->used -= used_by(i);
        cut_file(i, chance);
        i->fs->used += used_by(i);
        tarn_free(i->warm);
        i->warm = NULL;
        i->n_warm = 0;
        return;
    }
    size_t kept = (size_t)chance_below(chance, i->n_changes + 1);
    for (size_t k = 0; k < kept; k++)
        apply(&i->safe_names, &i->changes[k]);
    changes_clear(i);
    names_clear(&i->names);
    for (size_t k = 0; k < i->safe_names.n; k++)
        names_put(&i->names, i->safe_names.items[k].text, i->safe_names.items[k].inode);
    for (size_t k = 0; k < i->names.n; k++)
        cut(i->names.items[k].inode, chance);
}

void fs_power_cut(struct fs *f)
{
    cut(f->root, &f->node->chance);
}

/* --- the whole --- */

struct fs *fs_new(struct node *n)
{
    struct fs *f = sim_alloc(1, sizeof *f);
    f->node = n;
    f->root = inode_new(f, true);
    return f;
}

void fs_free(struct fs *f)
{
    if (f == NULL)
        return;
    inode_unref(f->root);
    tarn_free(f);
}

struct inode *fs_look_in(struct node *n, struct inode *dir, const char *path)
{
    return look(n, dir, path);
}

struct inode *fs_look(struct node *n, const char *path)
{
    return look(n, NULL, path);
}

void fs_put(struct node *n, const char *path, struct tarn_bytes data)
{
    char part[512];
    struct inode *folder = n->fs->root;
    for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        if (fs_look(n, part) == NULL)
            (void)fs_mkdir(n, NULL, part);
        sync_names(folder);
        folder = fs_look(n, part);
    }
    struct inode *i = inode_new(n->fs, false);
    change(folder, NULL, strrchr(path, '/') + 1, i);
    for (size_t at = 0; at < data.len; at += PAGE)
        (void)write_page(i, at, data.p + at, tarn_min_size(PAGE, data.len - at));
    i->now.size = data.len;
    touch(n, i);
    share_pages(&i->now);
    version_copy(&i->safe, &i->now);
    sync_names(folder);
    warm(i, 0, data.len);
    inode_unref(i);
}
