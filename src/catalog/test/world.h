/* For tests of the catalog: a temporary folder with an index, a tree to publish, a loop; and what a
 * naive program makes of the tree. */
#ifndef CATALOG_TEST_WORLD_H
#define CATALOG_TEST_WORLD_H

#include "base/num.h"
#include "base/test/folder.h"
#include "catalog/catalog.h"
#include "crypt/merkle.h"
#include "crypt/sha.h"
#include "store/intake.h"
#include "sys/clock.h"
#include "sys/fake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORLD_PATIENCE_US = 120 * 1000 * 1000, WORLD_LINES = 64 };

struct world {
    char folder[64], tree[96], index[96], leaves[96], state[128];
    struct loop *loop;
    struct kv *kv;
    struct catalog *catalog;
    struct catalog_settings set;
    unsigned changes; /* calls of on_changes */
    unsigned n_lines;
    char lines[WORLD_LINES][512];
    uint32_t collection;
    bool is_shown;
};

static inline void world_on_changes(void *arg, uint64_t seq)
{
    (void)seq;
    ((struct world *)arg)->changes++;
}

static inline void world_on_line(void *arg, bool is_warning, const char *line)
{
    struct world *w = arg;
    snprintf(w->lines[w->n_lines++ % WORLD_LINES], sizeof w->lines[0], "%s%s",
             is_warning ? "! " : "", line);
    if (w->is_shown)
        printf("# %s\n", line);
}

static inline bool world_said(const struct world *w, const char *what)
{
    for (unsigned i = 0; i < w->n_lines && i < WORLD_LINES; i++)
        if (strstr(w->lines[i], what) != NULL)
            return true;
    return false;
}

static inline void world_run(const char *fmt, ...) TARN_PRINTF(1, 2);
static inline void world_run(const char *fmt, ...)
{
    char command[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(command, sizeof command, fmt, args);
    va_end(args);
    if (system(command) != 0) /* NOLINT(cert-env33-c): rm and the like, in a test */
        fail_msg("failed: %s", command);
}

/* Open the index and the catalog; the settings are w->set's. */
static inline bool world_try_open(struct world *w, struct tarn_err *err)
{
    struct kv_settings kv = { .path = w->index,
                              .kind = "tarn index",
                              .tables = catalog_tables,
                              .n_tables = CATALOG_TABLES,
                              .schema = CATALOG_SCHEMA };
    struct loop_settings loop = { .threads = 3 };
    w->loop = loop_new(&loop, err);
    assert_non_null(w->loop);
    w->kv = kv_open(&kv, err);
    if (w->kv != NULL) {
        w->set.loop = w->loop;
        w->set.kv = w->kv;
        w->set.leaves_path = w->leaves;
        w->set.ops.on_changes = world_on_changes;
        w->set.ops.on_line = world_on_line;
        w->set.arg = w;
        w->catalog = catalog_new(&w->set, err);
    }
    if (w->catalog != NULL)
        return true;
    kv_close(w->kv);
    loop_free(w->loop);
    w->kv = NULL;
    w->loop = NULL;
    return false;
}

static inline void world_open(struct world *w)
{
    struct tarn_err err = { 0 };
    if (!world_try_open(w, &err))
        fail_msg("%s", err.msg);
}

/* As a room above the catalog does it: with tables of its own behind those of the catalog, and with
 * its own ops. */
static inline void world_open_below(struct world *w, const char *const *tables, size_t n,
                                    const struct catalog_ops *ops)
{
    enum { MORE_MAX = 4 };
    const char *names[CATALOG_TABLES + MORE_MAX];
    struct tarn_err err = { 0 };
    assert_in_range(n, 0, MORE_MAX);
    for (size_t i = 0; i < CATALOG_TABLES + n; i++)
        names[i] = i < CATALOG_TABLES ? catalog_tables[i] : tables[i - CATALOG_TABLES];
    w->loop = loop_new(&(struct loop_settings){ .threads = 2 }, &err);
    assert_non_null(w->loop);
    w->kv = kv_open(&(struct kv_settings){ .path = w->index,
                                           .kind = "tarn index",
                                           .tables = names,
                                           .n_tables = CATALOG_TABLES + (unsigned)n,
                                           .schema = CATALOG_SCHEMA },
                    &err);
    if (w->kv == NULL)
        fail_msg("%s", err.msg);
    w->set.loop = w->loop;
    w->set.kv = w->kv;
    w->set.leaves_path = w->leaves;
    w->set.ops = *ops;
    w->catalog = catalog_new(&w->set, &err);
    assert_non_null(w->catalog);
}

static inline void world_close(struct world *w)
{
    catalog_free(w->catalog);
    kv_close(w->kv);
    loop_free(w->loop);
    w->catalog = NULL;
    w->kv = NULL;
    w->loop = NULL;
}

static inline void world_make(struct world *w)
{
    *w = (struct world){ .set = { .quiet_ms = 1, .walk_every_ms = 300 } };
    w->is_shown = getenv("TARN_TEST_SHOW") != NULL;
    strcpy(w->folder, "/tmp/tarn-catalog-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->tree, sizeof w->tree, "%s/tree", w->folder);
    snprintf(w->index, sizeof w->index, "%s/INDEX.mdb", w->folder);
    snprintf(w->leaves, sizeof w->leaves, "%s/LEAVES", w->folder);
    assert_int_equal(mkdir(w->tree, 0755), 0);
}

static inline void world_begin(struct world *w)
{
    world_make(w);
    world_open(w);
}

static inline void world_end(struct world *w)
{
    world_close(w);
    world_run("chmod -R u+rwX '%s'", w->folder); /* some are closed to us */
    test_folder_remove(w->folder);
}

/* --- waiting --- */

#define WORLD_UNTIL(w, condition) \
    do { \
        int64_t world_late = sys_now_us() + WORLD_PATIENCE_US; \
        while (!(condition)) { \
            if (sys_now_us() > world_late) \
                fail_msg("waited too long for %s", #condition); \
            assert_true(loop_turn((w)->loop, 20 * 1000, NULL)); \
        } \
    } while (0)

struct world_ask {
    struct catalog_ask ask;
    bool is_done;
};

static inline void world_answered(struct catalog_ask *a)
{
    TARN_OUTER(a, struct world_ask, ask)->is_done = true;
}

static inline bool world_try_publish(struct world *w, const struct catalog_spec *spec,
                                     struct catalog_ask *out)
{
    struct world_ask a = { .ask = { .done = world_answered } };
    catalog_publish(w->catalog, spec, &a.ask);
    assert_false(a.is_done);
    WORLD_UNTIL(w, a.is_done);
    if (out != NULL)
        *out = a.ask;
    return a.ask.is_ok;
}

static inline void world_publish(struct world *w, enum catalog_bt bt)
{
    struct catalog_spec spec = { .path = w->tree, .bt = bt, .http = true };
    struct catalog_ask a;
    if (!world_try_publish(w, &spec, &a))
        fail_msg("%s", a.err.msg);
    w->collection = a.collection;
}

static inline void world_settle(struct world *w)
{
    WORLD_UNTIL(w, catalog_is_settled(w->catalog));
}

static inline struct catalog_collection world_collection(struct world *w)
{
    static char name[256], path[4096];
    struct catalog_read r;
    struct catalog_collection c;
    assert_true(catalog_read_begin(w->catalog, &r, NULL));
    assert_int_equal(catalog_collection_get(&r, w->collection, &c, NULL), CATALOG_FOUND);
    memcpy(name, c.name.p, c.name.len);
    memcpy(path, c.path.p, c.path.len);
    c.name.p = (const uint8_t *)name;
    c.path.p = (const uint8_t *)path;
    catalog_read_end(&r);
    return c;
}

/* Is there such an entry, in this state? */
static inline bool world_is(struct world *w, const char *path, enum catalog_state state)
{
    struct catalog_read r;
    struct catalog_collection c;
    struct catalog_entry e;
    assert_true(catalog_read_begin(w->catalog, &r, NULL));
    assert_int_equal(catalog_collection_get(&r, w->collection, &c, NULL), CATALOG_FOUND);
    enum catalog_found found = catalog_find(&r, &c, tarn_bytes_str(path), &e, NULL);
    assert_int_not_equal(found, CATALOG_FAILED);
    bool is = found == CATALOG_FOUND && e.state == state;
    catalog_read_end(&r);
    return is;
}

static inline bool world_has(struct world *w, const char *path)
{
    struct catalog_read r;
    struct catalog_collection c;
    struct catalog_entry e;
    assert_true(catalog_read_begin(w->catalog, &r, NULL));
    assert_int_equal(catalog_collection_get(&r, w->collection, &c, NULL), CATALOG_FOUND);
    bool is = catalog_find(&r, &c, tarn_bytes_str(path), &e, NULL) == CATALOG_FOUND;
    catalog_read_end(&r);
    return is;
}

static inline struct catalog_identity world_identity(struct world *w, const char *path)
{
    struct catalog_read r;
    struct catalog_collection c;
    struct catalog_entry e;
    assert_true(catalog_read_begin(w->catalog, &r, NULL));
    assert_int_equal(catalog_collection_get(&r, w->collection, &c, NULL), CATALOG_FOUND);
    if (catalog_find(&r, &c, tarn_bytes_str(path), &e, NULL) != CATALOG_FOUND || !e.has_identity)
        fail_msg("'%s' has no identity", path);
    catalog_read_end(&r);
    return e.identity;
}

static inline uint64_t world_bytes_read(struct world *w)
{
    struct catalog_progress p;
    catalog_progress(w->catalog, &p);
    return p.bytes_done;
}

/* --- files --- */

static inline void world_write(struct world *w, const char *path, const void *data, size_t len)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", w->tree, path);
    int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        fail_msg("open %s: %s", whole, strerror(errno));
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    close(fd);
}

static inline void world_text(struct world *w, const char *path, const char *text)
{
    world_write(w, path, text, strlen(text));
}

/* --- the truth --- */

static inline void naive_identity(const uint8_t *p, size_t len, struct catalog_identity *id)
{
    memset(id, 0, sizeof *id);
    id->len = len;
    if (len == 0)
        return;
    size_t n = (len + MERKLE_BLOCK - 1) / MERKLE_BLOCK, width = 1;
    uint8_t *leaves = tarn_calloc(n, MERKLE_HASH);
    assert_non_null(leaves);
    for (size_t i = 0; i < n; i++)
        crypt_hash(CRYPT_SHA256,
                   tarn_bytes_of(p + i * MERKLE_BLOCK,
                                 tarn_min_size(MERKLE_BLOCK, len - i * MERKLE_BLOCK)),
                   leaves + i * MERKLE_HASH);
    while (width < n)
        width *= 2;
    merkle_root(leaves, n, width, 0, id->root);
    tarn_free(leaves);
}

static inline uint8_t *naive_read(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        fail_msg("open %s: %s", path, strerror(errno));
    fseek(f, 0, SEEK_END);
    *len = (size_t)ftell(f);
    rewind(f);
    uint8_t *p = tarn_calloc(*len + 1, 1);
    assert_non_null(p);
    assert_int_equal(fread(p, 1, *len, f), *len);
    fclose(f);
    return p;
}

struct naive {
    struct catalog_read *r;
    const struct catalog_collection *c;
    uint64_t files;
    char wrong[600]; /* the first difference */
};

static inline void naive_file(struct naive *n, const char *disk, const char *path)
{
    size_t len;
    struct catalog_entry e;
    struct catalog_identity want;
    struct catalog_known known;
    uint8_t sha[32];
    uint8_t *data = naive_read(disk, &len);
    naive_identity(data, len, &want);
    crypt_hash(CRYPT_SHA256, tarn_bytes_of(data, len), sha);
    tarn_free(data);
    n->files++;
    if (catalog_find(n->r, n->c, tarn_bytes_str(path), &e, NULL) != CATALOG_FOUND)
        snprintf(n->wrong, sizeof n->wrong, "'%s' is not there", path);
    else if (e.state != CATALOG_HELD)
        snprintf(n->wrong, sizeof n->wrong, "'%s' is in state %d", path, e.state);
    else if (e.identity.len != want.len || memcmp(e.identity.root, want.root, 32) != 0)
        snprintf(n->wrong, sizeof n->wrong, "'%s' has the identity of other bytes", path);
    else if (catalog_known(n->r, &want, &known, NULL) != CATALOG_FOUND ||
             memcmp(known.sha256, sha, 32) != 0)
        snprintf(n->wrong, sizeof n->wrong, "'%s' has another SHA-256", path);
}

static inline void naive_folder(struct naive *n, const char *disk, const char *path)
{
    DIR *d = opendir(disk);
    struct dirent *e;
    assert_non_null(d);
    while ((e = readdir(d)) != NULL && n->wrong[0] == 0) {
        char below[2048], name[2048];
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        int n1 = snprintf(below, sizeof below, "%s/%s", disk, e->d_name);
        int n2 = snprintf(name, sizeof name, "%s%s%s", path, path[0] != 0 ? "/" : "", e->d_name);
        assert_true(n1 < (int)sizeof below && n2 < (int)sizeof name);
        assert_int_equal(lstat(below, &st), 0);
        if (S_ISDIR(st.st_mode))
            naive_folder(n, below, name);
        else if (S_ISREG(st.st_mode))
            naive_file(n, below, name);
    }
    closedir(d);
}

/* The first difference between the tree and the catalog; "" when there is none. */
static inline const char *world_difference(struct world *w)
{
    static struct naive n;
    struct catalog_read r;
    struct catalog_collection c;
    assert_true(catalog_read_begin(w->catalog, &r, NULL));
    assert_int_equal(catalog_collection_get(&r, w->collection, &c, NULL), CATALOG_FOUND);
    n = (struct naive){ .r = &r, .c = &c };
    naive_folder(&n, w->tree, "");
    if (n.wrong[0] == 0 && (n.files != c.files || n.files != c.held_files))
        snprintf(n.wrong, sizeof n.wrong, "%llu files are there, %llu listed, %llu held",
                 (unsigned long long)n.files, (unsigned long long)c.files,
                 (unsigned long long)c.held_files);
    if (n.wrong[0] == 0 && c.phase != CATALOG_COMPLETE)
        snprintf(n.wrong, sizeof n.wrong, "the phase is %d", c.phase);
    catalog_read_end(&r);
    return n.wrong;
}

/* Until the catalog is settled and equal to the tree. */
static inline void world_agree(struct world *w)
{
    int64_t late = sys_now_us() + WORLD_PATIENCE_US;
    for (;;) {
        if (catalog_is_settled(w->catalog) && world_difference(w)[0] == 0)
            return;
        if (sys_now_us() > late) {
            fail_msg("not settled (%d), or: %s", catalog_is_settled(w->catalog),
                     world_difference(w));
        }
        for (int i = 0; i < 10; i++)
            assert_true(loop_turn(w->loop, 5 * 1000, NULL));
    }
}

#endif
