/* kv: whether a file may be given to LMDB, which believes its header (a page size of nought is a
 * division by it) and maps the file: a page that is not there is SIGBUS.
 *
 * The header says how many pages there should be. A shorter file was cut, or its last pages were
 * given back before they were written (writer.c: cover; only a process that was killed in between
 * leaves such a file). Which of the two is told by going through all pages that are in use.
 *
 * The layout is that of LMDB 0.9 (data version 1), in this machine's order and word size, as LMDB
 * itself reads it. */
#include "base/mem.h"
#include "kv/priv.h"
#include "sys/file.h"

#include <inttypes.h>

enum {
    HEADER = 16,      /* bytes before a page's table of nodes */
    PAGE_LEAST = 256, /* LMDB's own */
    PAGE_MOST = 0x10000,
    DEPTH_MOST = 32, /* LMDB's: the height of a tree */
    NODE_HEADER = 8,
    META_TRIES = 8, /* another process may be writing */
    IS_BRANCH = 1,
    IS_LEAF = 2,
    IS_META = 8, /* of pages */
    IS_LONG = 1,
    IS_TABLE = 2, /* of nodes */
    DATA_VERSION = 1,
};
static const uint32_t magic = 0xBEEFC0DE;
/* Ours: what one transaction may have taken and given back. More is a header that is wrong. */
static const uint64_t missing_most = TARN_GIB;
static const size_t no_page = (size_t)-1;

struct page_header {
    size_t number;
    uint16_t pad, flags;
    uint16_t lower, upper;
};
struct tree {
    uint32_t pad; /* of the first one: the page size */
    uint16_t flags, depth;
    size_t branch_pages, leaf_pages, long_pages, entries, root;
};
struct meta {
    struct page_header page;
    uint32_t magic, version;
    void *address;
    size_t map_len;
    struct tree trees[2]; /* of free pages; of tables */
    size_t last_page, commit;
};
struct node {
    uint32_t low;
    uint16_t flags, key_len;
};
_Static_assert(sizeof(struct node) == NODE_HEADER, "as it lies in the file");

struct check {
    const char *path; /* borrowed */
    int fd;
    uint64_t len; /* of the file */
    size_t page_len, n_pages;
    size_t seen; /* pages walked through: more than there are is a circle */
    struct tarn_err *err;
};

static bool damaged(const struct check *c, const char *what)
{
    struct tarn_quote q;
    return tarn_fail(c->err, TARN_E_INTEGRITY,
                     "'%s' is damaged: %s (put a copy in its place, or move it away)",
                     tarn_quote_str(&q, c->path), what);
}

/* --- the header --- */

static bool read_meta(struct check *c, uint64_t off, struct meta *m)
{
    size_t got;
    struct tarn_quote q;
    if (!sys_read_at(c->fd, m, sizeof *m, off, &got, c->err))
        return tarn_fail_in(c->err, "reading '%s'", tarn_quote_str(&q, c->path));
    if (got < sizeof *m)
        return damaged(c, "it ends in its header");
    if (m->magic != magic || (m->page.flags & IS_META) == 0)
        return off == 0
                   ? tarn_fail(c->err, TARN_E_INTEGRITY, "'%s' is no store of ours, or damaged",
                               tarn_quote_str(&q, c->path))
                   : damaged(c, "half of its header is none");
    if (m->version != DATA_VERSION)
        return tarn_fail(c->err, TARN_E_USAGE, "'%s' is of LMDB's format %" PRIu32 ", not %d",
                         tarn_quote_str(&q, c->path), m->version, DATA_VERSION);
    return true;
}

static bool is_page_len(uint32_t len)
{
    return len >= PAGE_LEAST && len <= PAGE_MOST && (len & (len - 1)) == 0;
}

/* The newer of the two. */
static bool read_header(struct check *c, struct meta *m)
{
    struct meta other;
    if (!read_meta(c, 0, m))
        return false;
    if (!is_page_len(m->trees[0].pad))
        return damaged(c, "its header says no size of pages that can be");
    c->page_len = m->trees[0].pad;
    if (!read_meta(c, c->page_len, &other))
        return false;
    if (other.commit > m->commit)
        *m = other;
    if (m->trees[0].pad != c->page_len || m->last_page >= SIZE_MAX / 4 / c->page_len)
        return damaged(c, "its header contradicts itself");
    c->n_pages = m->last_page + 1;
    for (int i = 0; i < 2; i++)
        if (m->trees[i].root != no_page && m->trees[i].root >= c->n_pages)
            return damaged(c, "its header names a page that cannot be");
    return true;
}

/* --- the pages --- */

static bool is_there(const struct check *c, size_t first, size_t n)
{
    size_t whole = (size_t)(c->len / c->page_len);
    size_t end = whole < c->n_pages ? whole : c->n_pages;
    return n <= end && first <= end - n;
}

static bool walk(struct check *c, size_t number, int depth);

static bool walk_tree(struct check *c, const struct tree *t, int depth)
{
    return t->root == no_page || walk(c, t->root, depth);
}

static bool walk_leaf_node(struct check *c, struct tarn_bytes page, size_t at, const struct node *n,
                           int depth)
{
    struct tree inner;
    size_t first;
    at += NODE_HEADER + n->key_len;
    if ((n->flags & IS_LONG) != 0) {
        if (at + sizeof first > page.len)
            return damaged(c, "a page contradicts itself");
        memcpy(&first, page.p + at, sizeof first);
        return is_there(c, first, (HEADER - 1 + (size_t)n->low) / c->page_len + 1) ||
               damaged(c, "it was cut short");
    }
    if ((n->flags & IS_TABLE) == 0)
        return true;
    if (at + sizeof inner > page.len)
        return damaged(c, "a page contradicts itself");
    memcpy(&inner, page.p + at, sizeof inner);
    return walk_tree(c, &inner, depth + 1);
}

static bool walk_nodes(struct check *c, struct tarn_bytes page, int depth)
{
    struct page_header h;
    memcpy(&h, page.p, sizeof h);
    if (h.lower < HEADER || h.lower > page.len || (h.flags & (IS_BRANCH | IS_LEAF)) == 0)
        return damaged(c, "a page contradicts itself");
    for (size_t i = HEADER; i + 2 <= h.lower; i += 2) {
        uint16_t at;
        struct node n;
        memcpy(&at, page.p + i, sizeof at);
        if ((size_t)at + NODE_HEADER > page.len)
            return damaged(c, "a page contradicts itself");
        memcpy(&n, page.p + at, sizeof n);
        uint64_t below = n.low | (uint64_t)n.flags << 32;
        bool ok = (h.flags & IS_BRANCH) != 0 ? walk(c, (size_t)below, depth + 1)
                                             : walk_leaf_node(c, page, at, &n, depth);
        if (!ok)
            return false;
    }
    return true;
}

static bool walk(struct check *c, size_t number, int depth)
{
    size_t got;
    if (!is_there(c, number, 1))
        return damaged(c, "it was cut short");
    if (depth > 2 * DEPTH_MOST || c->seen++ > c->n_pages)
        return damaged(c, "its pages go round in circles");
    uint8_t *page = tarn_calloc(c->page_len, 1);
    if (page == NULL)
        return tarn_fail_mem(c->err, "checking a store");
    bool ok = sys_read_at(c->fd, page, c->page_len, (uint64_t)number * c->page_len, &got, c->err);
    if (ok)
        ok = got == c->page_len ? walk_nodes(c, tarn_bytes_of(page, c->page_len), depth)
                                : damaged(c, "it was cut short");
    tarn_free(page);
    return ok;
}

static bool check(struct check *c, struct meta *m)
{
    struct sys_stat st;
    if (!sys_stat_fd(c->fd, &st, c->err))
        return false;
    c->len = st.size;
    c->seen = 0;
    if (c->len == 0)
        return true;
    if (!read_header(c, m))
        return false;
    if (c->len / c->page_len >= c->n_pages)
        return true;
    if ((uint64_t)c->n_pages * c->page_len - c->len > missing_most)
        return damaged(c, "it was cut short");
    return walk_tree(c, &m->trees[0], 0) && walk_tree(c, &m->trees[1], 0);
}

bool kv_check_file(const char *path, struct tarn_err *err)
{
    SYS_AUTO_FD fd = sys_open(path, SYS_OPEN_READ, err);
    struct check c = { .path = path, .fd = fd, .err = err };
    struct meta m = { 0 };
    if (fd < 0)
        return false;
    for (int i = 0; i < META_TRIES; i++) {
        size_t commit = m.commit;
        if (check(&c, &m))
            return true;
        if (i > 0 && m.commit == commit)
            return false; /* nobody is writing: so it is */
    }
    return false;
}
