/* What goes wrong: lost news, too few watches, files that cannot be read, bytes that rot, a disk
 * that is full, a process that is killed, settings that make no sense. */
#include "catalog/priv.h"
#include "catalog/test/world.h"
#include "sys/notify.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

static struct world w;

/* --- a table of calls that fails on demand --- */

static struct sys_ops table;
static struct sys_notify_ops notify;
static const struct sys_ops *usual;
static atomic_bool is_deaf, loses, refuses;
static atomic_int watches_left;
static _Atomic uint64_t rotten_size; /* files of this size give a wrong byte at 20000 */

static ssize_t deaf_read(int fd, void *p, size_t size)
{
    uint8_t thrown[4096];
    if (!atomic_load(&is_deaf))
        return usual->notify->read(fd, p, size);
    while (usual->notify->read(fd, thrown, sizeof thrown) > 0)
        ;
    errno = EAGAIN;
    return -1;
}

static bool lossy_next(struct tarn_bytes *raw, int *watch, unsigned *what, struct tarn_bytes *name,
                       bool *gone)
{
    if (!usual->notify->next(raw, watch, what, name, gone))
        return false;
    if (atomic_load(&loses)) { /* the last words of a full queue */
        *what = SYS_NOTIFY_LOST;
        *gone = false;
        raw->len = 0;
    }
    return true;
}

static int few_watches(int fd, int folder)
{
    if (atomic_fetch_sub(&watches_left, 1) <= 0) {
        errno = ENOSPC;
        return -1;
    }
    return usual->notify->watch(fd, folder);
}

static int refusing_open(int dir, const char *path, int flags, unsigned mode)
{
    const char *slash = strrchr(path, '/');
    if (atomic_load(&refuses) && strcmp(slash == NULL ? path : slash + 1, "secret") == 0) {
        errno = EACCES;
        return -1;
    }
    return usual->open_beneath(dir, path, flags, mode);
}

static ssize_t rotten_read(int fd, const struct iovec *iov, int n, int64_t off)
{
    struct stat st;
    ssize_t got = usual->preadv(fd, iov, n, off);
    if (atomic_load(&rotten_size) == 0 || fstat(fd, &st) != 0 ||
        (uint64_t)st.st_size != atomic_load(&rotten_size))
        return got;
    int64_t at = off;
    for (int i = 0; i < n && at < off + got; at += (int64_t)iov[i].iov_len, i++)
        if (at <= 20000 && 20000 < at + (int64_t)iov[i].iov_len && 20000 < off + got)
            ((uint8_t *)iov[i].iov_base)[20000 - at] ^= 1;
    return got;
}

static int install(void **state)
{
    (void)state;
    usual = sys_ops;
    table = *sys_ops;
    notify = *sys_ops->notify;
    notify.read = deaf_read;
    notify.next = lossy_next;
    notify.watch = few_watches;
    table.notify = &notify;
    table.open_beneath = refusing_open;
    table.preadv = rotten_read;
    is_deaf = loses = refuses = false;
    rotten_size = 0;
    watches_left = 1 << 20;
    sys_ops = &table;
    return 0;
}

static int restore(void **state)
{
    (void)state;
    sys_ops = usual;
    return 0;
}

static void begin(void)
{
    world_begin(&w);
    world_run("mkdir -p %s/a/b %s/c", w.tree, w.tree);
    world_text(&w, "one", "first");
    world_text(&w, "a/two", "second");
    world_run("head -c 50000 /dev/urandom > %s/a/b/long", w.tree);
    world_publish(&w, CATALOG_BT_V2);
    world_agree(&w);
}

/* --- tests --- */

static void test_news_that_are_lost(void **state)
{
    (void)state;
    begin();
    atomic_store(&loses, true);
    world_text(&w, "c/new", "x");
    world_text(&w, "a/b/deep", "y");
    WORLD_UNTIL(&w, world_said(&w, "max_queued_events"));
    atomic_store(&loses, false);
    world_agree(&w);
    world_end(&w);
}

static void test_a_system_that_does_not_tell(void **state)
{
    (void)state;
    table.notify = NULL;
    begin();
    assert_true(world_said(&w, "walked every"));
    struct catalog_progress p;
    catalog_progress(w.catalog, &p);
    assert_false(p.hears_changes);
    world_text(&w, "c/new", "x");
    world_run("mv %s/a/b/long %s/elsewhere; rm %s/one", w.tree, w.tree, w.tree);
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w), 5 + 6 + 50000 + 1);
    world_end(&w);
}

static void test_too_few_watches(void **state)
{
    (void)state;
    atomic_store(&watches_left, 2);
    begin();
    assert_true(world_said(&w, "fs.inotify.max_user_watches"));
    struct catalog_progress p;
    catalog_progress(w.catalog, &p);
    assert_false(p.hears_changes);
    world_text(&w, "a/b/unheard", "x");
    world_agree(&w);
    world_end(&w);
}

static void test_a_file_that_cannot_be_read(void **state)
{
    (void)state;
    begin();
    atomic_store(&refuses, true);
    world_text(&w, "a/secret", "s");
    WORLD_UNTIL(&w, world_is(&w, "a/secret", CATALOG_REFUSED));
    world_settle(&w);
    struct catalog_collection c = world_collection(&w);
    assert_int_equal(c.refused, 1);
    assert_int_equal(c.phase, CATALOG_COMPLETE); /* of what can be read */
    struct catalog_read r;
    struct catalog_entry e;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_collection_get(&r, w.collection, &c, NULL), CATALOG_FOUND);
    assert_int_equal(catalog_find(&r, &c, tarn_bytes_str("a/secret"), &e, NULL), CATALOG_FOUND);
    assert_non_null(memmem(e.reason.p, e.reason.len, "Permission denied", 17));
    catalog_read_end(&r);
    atomic_store(&refuses, false);
    catalog_look(w.catalog, w.collection);
    world_agree(&w);
    world_end(&w);
}

static void test_bytes_that_rot(void **state)
{
    (void)state;
    begin();
    struct catalog_identity id = world_identity(&w, "a/b/long");
    catalog_check(w.catalog, 0);
    WORLD_UNTIL(&w, world_said(&w, "read again: 0"));
    world_agree(&w);
    atomic_store(&rotten_size, 50000);
    catalog_check(w.catalog, 0);
    WORLD_UNTIL(&w, world_is(&w, "a/b/long", CATALOG_DAMAGED));
    assert_true(world_said(&w, "1-1"));
    struct catalog_read r;
    struct catalog_entry e;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_find_identity(&r, &id, CATALOG_MINE, &e, NULL), CATALOG_NOT_THERE);
    catalog_read_end(&r);
    /* It stays so over a restart, until somebody puts the file right. */
    atomic_store(&rotten_size, 0);
    world_close(&w);
    world_open(&w);
    world_settle(&w);
    assert_true(world_is(&w, "a/b/long", CATALOG_DAMAGED));
    world_run("touch %s/a/b/long", w.tree);
    world_agree(&w);
    assert_memory_equal(world_identity(&w, "a/b/long").root, id.root, 32);
    world_end(&w);
}

static void test_leaves_that_rot(void **state)
{
    (void)state;
    begin();
    uint64_t before = world_bytes_read(&w);
    struct catalog_read r;
    struct catalog_known k;
    struct catalog_identity id = world_identity(&w, "a/b/long");
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_known(&r, &id, &k, NULL), CATALOG_FOUND);
    catalog_read_end(&r);
    int fd = open(w.leaves, O_RDWR | O_CLOEXEC);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)k.leaves.off + 40), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)k.leaves.off + 40), 1);
    close(fd);
    catalog_check(w.catalog, 0);
    WORLD_UNTIL(&w, world_bytes_read(&w) == before + 50000); /* hashed anew */
    world_agree(&w);
    unsigned lines = w.n_lines;
    catalog_check(w.catalog, 0);
    WORLD_UNTIL(&w, w.n_lines > lines);
    assert_true(world_said(&w, "read again: 0"));
    world_end(&w);
}

/* --- an index that cannot be written: its counters are no record --- */

static uint8_t head[256];
static size_t head_len;

struct break_write {
    struct kv_write w;
    bool is_broken;
};

static bool run_break(struct kv_write *kw, struct kv_txn *t, struct tarn_err *err)
{
    bool is_broken = TARN_OUTER(kw, struct break_write, w)->is_broken;
    struct tarn_bytes key = tarn_bytes_str("head"), value;
    if (is_broken) {
        assert_int_equal(kv_get(&t->read, 0, key, &value, err), KV_FOUND);
        assert_true(value.len <= sizeof head);
        memcpy(head, value.p, value.len);
        head_len = value.len;
    }
    return kv_txn_put(t, 0, key, tarn_bytes_of(head, is_broken ? 1 : head_len), err);
}

static void break_index(bool is_broken)
{
    struct break_write b = { .w = { .run = run_break }, .is_broken = is_broken };
    assert_true(kv_write_now(w.kv, &b.w, NULL));
}

/* What a check has found is not forgotten when it cannot be written down. */
static void test_damage_that_cannot_be_recorded(void **state)
{
    (void)state;
    begin();
    atomic_store(&rotten_size, 50000);
    break_index(true);
    catalog_check(w.catalog, 0);
    WORLD_UNTIL(&w, world_said(&w, "read again in a minute"));
    break_index(false);
    atomic_store(&rotten_size, 0); /* it is not found a second time */
    assert_true(world_is(&w, "a/b/long", CATALOG_HELD));
    struct catalog_check_progress p;
    catalog_check_progress(w.catalog, &p);
    assert_true(p.is_running);
    assert_int_equal(p.bad, 1);
    catalog_check(w.catalog, 0);
    WORLD_UNTIL(&w, world_is(&w, "a/b/long", CATALOG_DAMAGED));
    world_end(&w);
}

static void test_the_journal_is_bounded(void **state)
{
    (void)state;
    world_make(&w);
    w.set.journal_max = 10;
    world_open(&w);
    for (int i = 0; i < 30; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        world_text(&w, name, name);
    }
    world_publish(&w, CATALOG_BT_OFF);
    world_agree(&w);
    struct catalog_read r;
    struct catalog_change ch;
    struct tarn_err err;
    uint64_t oldest, newest, n = 0;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_true(catalog_journal_span(&r, &oldest, &newest, NULL));
    assert_int_equal(newest, catalog_seq(w.catalog));
    assert_int_equal(newest - oldest + 1, 10);
    assert_int_equal(catalog_change_next(&r, 0, &ch, &err), CATALOG_FAILED);
    assert_int_equal(err.code, TARN_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "kept from"));
    assert_int_equal(catalog_change_next(&r, newest + 1, &ch, &err), CATALOG_FAILED);
    for (uint64_t at = oldest - 1; catalog_change_next(&r, at, &ch, NULL) == CATALOG_FOUND; at++)
        n++;
    assert_int_equal(n, 10);
    catalog_read_end(&r);
    world_end(&w);
}

static void expect_refused(const char *path, const char *name, enum tarn_code code, const char *why)
{
    struct catalog_ask a;
    struct catalog_spec spec = { .path = path, .name = name };
    assert_false(world_try_publish(&w, &spec, &a));
    if (a.err.code != code || strstr(a.err.msg, why) == NULL)
        fail_msg("'%s' as '%s': %d, %s", path, name == NULL ? "" : name, a.err.code, a.err.msg);
}

static void test_what_cannot_be_published(void **state)
{
    (void)state;
    char inside[128], file[128], other[128], around[128];
    begin();
    snprintf(inside, sizeof inside, "%s/a", w.tree);
    snprintf(file, sizeof file, "%s/one", w.tree);
    snprintf(other, sizeof other, "%s/other", w.folder);
    snprintf(around, sizeof around, "%s", w.folder);
    assert_int_equal(mkdir(other, 0755), 0);
    expect_refused("/nonexistent/folder", NULL, TARN_E_NOT_FOUND, "No such file");
    expect_refused(file, NULL, TARN_E_USAGE, "no folder");
    expect_refused(inside, NULL, TARN_E_USAGE, "inside");
    expect_refused(around, NULL, TARN_E_USAGE, "around");
    expect_refused(other, "tree", TARN_E_USAGE, "belongs to");
    expect_refused(other, "", TARN_E_USAGE, "name of a collection");
    expect_refused(other, "a/b", TARN_E_USAGE, "name of a collection");
    expect_refused(other, ".hidden", TARN_E_USAGE, "name of a collection");
    expect_refused(other, "\xff", TARN_E_USAGE, "UTF-8");
    struct catalog_spec spec = { .path = other, .origin = CATALOG_CONFIGURED };
    struct catalog_ask a;
    assert_true(world_try_publish(&w, &spec, &a));
    expect_refused(other, "else", TARN_E_POLICY, "in the configuration");
    struct world_ask gone = { .ask = { .done = world_answered } };
    catalog_unpublish(w.catalog, a.collection, CATALOG_COMMANDED, &gone.ask);
    WORLD_UNTIL(&w, gone.is_done);
    assert_int_equal(gone.ask.err.code, TARN_E_POLICY);
    world_end(&w);
}

static void unpublish(uint32_t id)
{
    struct world_ask gone = { .ask = { .done = world_answered } };
    catalog_unpublish(w.catalog, id, CATALOG_COMMANDED, &gone.ask);
    WORLD_UNTIL(&w, gone.is_done);
    assert_true(gone.ask.is_ok);
}

static void test_a_collection_is_renamed_and_removed(void **state)
{
    (void)state;
    begin();
    struct catalog_spec spec = { .path = w.tree, .name = "www", .policy = CATALOG_MINE };
    struct catalog_ask a;
    assert_true(world_try_publish(&w, &spec, &a));
    assert_int_equal(a.collection, w.collection);
    world_agree(&w);
    struct catalog_identity id = world_identity(&w, "one");
    struct catalog_read r;
    struct catalog_collection c;
    struct catalog_entry e;
    struct catalog_totals t;
    struct catalog_version v;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_collection_named(&r, tarn_bytes_str("tree"), &c, NULL),
                     CATALOG_NOT_THERE);
    assert_int_equal(catalog_collection_named(&r, tarn_bytes_str("www"), &c, NULL), CATALOG_FOUND);
    assert_int_equal(catalog_find_identity(&r, &id, CATALOG_PUBLIC, &e, NULL), CATALOG_NOT_THERE);
    assert_int_equal(catalog_find_identity(&r, &id, CATALOG_MINE, &e, NULL), CATALOG_FOUND);
    assert_int_equal(catalog_version_before(&r, c.id, UINT64_MAX, &v, NULL), CATALOG_FOUND);
    assert_int_equal(v.number, 1);
    assert_int_equal(v.files, 3);
    assert_int_equal(catalog_version_before(&r, c.id, 1, &v, NULL), CATALOG_NOT_THERE);
    catalog_read_end(&r);
    uint32_t old = w.collection;
    unpublish(old);
    world_settle(&w);
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_true(catalog_totals(&r, &t, NULL));
    assert_int_equal(
        t.collections + t.files + t.bytes_published + t.bytes_stored + t.identities + t.waiting, 0);
    assert_int_equal(catalog_find_identity(&r, &id, CATALOG_MINE, &e, NULL), CATALOG_NOT_THERE);
    catalog_read_end(&r);
    world_publish(&w, CATALOG_BT_V2); /* it may come again, under another number */
    assert_int_not_equal(w.collection, old);
    world_agree(&w);
    world_end(&w);
}

static struct catalog_collection publish_keeping(const char *path, unsigned keep)
{
    /* As of a new one that is public. */
    struct catalog_spec spec = {
        .path = path, .policy = CATALOG_PUBLIC, .bt = CATALOG_BT_HYBRID, .http = true, .keep = keep
    };
    struct catalog_ask a;
    if (!world_try_publish(&w, &spec, &a))
        fail_msg("%s: %s", path, a.err.msg);
    assert_int_equal(a.collection, w.collection);
    return world_collection(&w);
}

/* Whatever way its path is written: which folder is meant shows when the path is followed. */
static void test_what_is_not_said_stays(void **state)
{
    (void)state;
    char slash[128], dots[128], link[128];
    begin();
    snprintf(slash, sizeof slash, "%s/", w.tree);
    snprintf(dots, sizeof dots, "%s/a/..", w.tree);
    snprintf(link, sizeof link, "%s/link", w.folder);
    assert_int_equal(symlink(w.tree, link), 0);
    struct catalog_spec own = { .path = w.tree,
                                .name = "own",
                                .policy = CATALOG_MINE,
                                .bt = CATALOG_BT_V2,
                                .hidden = true,
                                .links = true };
    assert_true(world_try_publish(&w, &own, NULL));
    uint64_t seq = catalog_seq(w.catalog);
    const char *const paths[] = { w.tree, slash, dots, link };
    for (size_t i = 0; i < TARN_COUNT_OF(paths); i++) {
        struct catalog_collection c = publish_keeping(paths[i], CATALOG_KEEP_ALL);
        assert_true(tarn_bytes_eq_str(c.name, "own") && tarn_bytes_eq_str(c.path, w.tree));
        assert_int_equal(c.policy, CATALOG_MINE);
        assert_int_equal(c.bt, CATALOG_BT_V2);
        assert_true(!c.http && c.hidden && c.links);
    }
    assert_int_equal(catalog_seq(w.catalog), seq); /* no change to tell of */

    struct catalog_collection c =
        publish_keeping(link, CATALOG_KEEP_ALL & ~(unsigned)CATALOG_KEEP_HIDDEN);
    assert_true(!c.hidden && c.links && c.policy == CATALOG_MINE);
    c = publish_keeping(link, CATALOG_KEEP_NAME | CATALOG_KEEP_POLICY);
    assert_true(!c.links && c.http && c.bt == CATALOG_BT_HYBRID && c.policy == CATALOG_MINE);
    c = publish_keeping(link, 0);
    assert_true(c.policy == CATALOG_PUBLIC && tarn_bytes_eq_str(c.name, "tree"));
    world_end(&w);
}

/* A folder whose own name cannot be a collection's is published under another, and that stays. */
static void test_a_name_stays_where_its_own_cannot_be(void **state)
{
    (void)state;
    char dotted[128];
    struct catalog_ask a;
    world_begin(&w);
    snprintf(dotted, sizeof dotted, "%s/.dotted", w.folder);
    assert_int_equal(mkdir(dotted, 0755), 0);
    struct catalog_spec spec = { .path = dotted, .keep = CATALOG_KEEP_ALL };
    assert_false(world_try_publish(&w, &spec, &a));
    assert_non_null(strstr(a.err.msg, "name of a collection"));
    spec.name = "plain";
    spec.keep = 0;
    assert_true(world_try_publish(&w, &spec, &a));
    w.collection = a.collection;
    assert_true(tarn_bytes_eq_str(publish_keeping(dotted, CATALOG_KEEP_ALL).name, "plain"));
    world_end(&w);
}

static void test_v1_is_wanted_later(void **state)
{
    (void)state;
    begin();
    uint64_t before = world_bytes_read(&w), seq = catalog_seq(w.catalog);
    world_publish(&w, CATALOG_BT_HYBRID);
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w) - before, 50011);
    struct catalog_read r;
    struct catalog_known k;
    struct catalog_identity id = world_identity(&w, "a/b/long");
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_known(&r, &id, &k, NULL), CATALOG_FOUND);
    catalog_read_end(&r);
    assert_int_equal(k.v1_piece_len, 256 * 1024);
    assert_true(k.has_tail);
    assert_int_equal(catalog_seq(w.catalog), seq + 1); /* the collection changed, no file did */
    world_end(&w);
}

static void test_v1_is_wanted_later_of_a_file_with_two_names(void **state)
{
    (void)state;
    begin();
    world_run("ln %s/a/b/long %s/c/other", w.tree, w.tree);
    world_agree(&w);
    uint64_t before = world_bytes_read(&w), seq = catalog_seq(w.catalog);
    uint64_t version = world_collection(&w).version;
    world_publish(&w, CATALOG_BT_HYBRID);
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w) - before, 50011); /* once, though it has two names */
    assert_int_equal(catalog_seq(w.catalog), seq + 1); /* and neither of them is another file */
    assert_int_equal(world_collection(&w).version, version);
    world_end(&w);
}

/* --- kill -9 --- */

static _Atomic uint64_t
    *told; /* shared with the child: the newest change that its owner heard of */

static void tell_parent(void *arg, uint64_t seq)
{
    (void)arg;
    atomic_store(told, seq);
}

/* The child publishes and runs until it is killed; the parent edits meanwhile. */
static void child(void)
{
    world_open(&w);
    w.catalog->ops.on_changes = tell_parent;
    struct catalog_spec spec = { .path = w.tree, .bt = CATALOG_BT_HYBRID };
    if (!world_try_publish(&w, &spec, NULL))
        _exit(1);
    for (;;)
        if (!loop_turn(w.loop, -1, NULL))
            _exit(1);
}

static void test_killed_and_opened_again(void **state)
{
    (void)state;
    uint64_t rng = test_seed(), last_seq = 0;
    world_make(&w);
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(told != MAP_FAILED);
    for (int round = 0; round < 12; round++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            child();
        for (int i = 0; i < 40; i++) {
            char name[32];
            snprintf(name, sizeof name, "f%u", (unsigned)test_rand_below(&rng, 30));
            uint8_t bytes[3000];
            memset(bytes, (int)test_rand(&rng), sizeof bytes);
            if (test_rand_below(&rng, 5) == 0)
                world_run("rm -f %s/%s", w.tree, name);
            else
                world_write(&w, name, bytes, test_rand_below(&rng, sizeof bytes));
            usleep((useconds_t)test_rand_below(&rng, 9000)); /* when the blow falls: anywhere */
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        if (round % 3 != 2)
            continue;
        world_open(&w);
        assert_true(catalog_seq(w.catalog) >= atomic_load(told));
        world_publish(&w, CATALOG_BT_HYBRID);
        world_agree(&w);
        /* What was told is still told: the journal has no gaps and does not go back. */
        struct catalog_read r;
        struct catalog_change ch;
        uint64_t seq = 0;
        assert_true(catalog_read_begin(w.catalog, &r, NULL));
        while (catalog_change_next(&r, seq, &ch, NULL) == CATALOG_FOUND)
            seq = ch.seq;
        catalog_read_end(&r);
        assert_true(seq >= last_seq);
        last_seq = seq;
        catalog_check(w.catalog, 0); /* leaves are what they should be */
        WORLD_UNTIL(&w, world_said(&w, "read again: 0"));
        w.n_lines = 0;
        memset(w.lines, 0, sizeof w.lines);
        world_close(&w);
    }
    assert_true(atomic_load(told) > 0);
    munmap((void *)(uintptr_t)told, sizeof *told);
    world_end(&w);
}

/* --- disks --- */

static void test_a_full_disk(void **state)
{
    (void)state;
    char small[128];
    if (geteuid() != 0 || getenv("TARN_NO_MOUNT") != NULL) {
        test_left_out("only root may mount a small disk");
        return;
    }
    world_make(&w);
    snprintf(small, sizeof small, "%s/small", w.folder);
    assert_int_equal(mkdir(small, 0755), 0);
    if (mount("tmpfs", small, "tmpfs", 0, "size=512k") != 0) {
        test_left_out(strerror(errno));
        world_end(&w);
        return;
    }
    snprintf(w.leaves, sizeof w.leaves, "%s/small/LEAVES", w.folder);
    world_run("head -c 500000 /dev/zero > %s/ballast; head -c 20000000 /dev/urandom > %s/big",
              small, w.tree);
    world_open(&w);
    world_publish(&w, CATALOG_BT_V2);
    WORLD_UNTIL(&w, world_said(&w, "hashing goes on in") || world_is(&w, "big", CATALOG_HELD));
    bool has_said_why = world_said(&w, "No space left");
    bool is_there = world_is(&w, "big", CATALOG_WAITING);
    world_run("rm %s/ballast", small);
    world_close(&w);
    world_open(&w);
    world_agree(&w);
    world_close(&w);
    umount(small);
    world_end(&w);
    assert_true(has_said_why);
    assert_true(is_there);
}

static void test_a_state_folder_that_cannot_be_written(void **state)
{
    (void)state;
    struct tarn_err err = { 0 };
    world_make(&w);
    snprintf(w.leaves, sizeof w.leaves, "/proc/nothing/LEAVES");
    assert_false(world_try_open(&w, &err));
    assert_non_null(strstr(err.msg, "/proc/nothing/LEAVES"));
    world_end(&w);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, install, restore)

TEST_MAIN(WITH(test_news_that_are_lost), WITH(test_a_system_that_does_not_tell),
          WITH(test_too_few_watches), WITH(test_a_file_that_cannot_be_read),
          WITH(test_bytes_that_rot), WITH(test_leaves_that_rot),
          WITH(test_damage_that_cannot_be_recorded), WITH(test_the_journal_is_bounded),
          WITH(test_what_cannot_be_published), WITH(test_a_collection_is_renamed_and_removed),
          WITH(test_what_is_not_said_stays), WITH(test_a_name_stays_where_its_own_cannot_be),
          WITH(test_v1_is_wanted_later), WITH(test_v1_is_wanted_later_of_a_file_with_two_names),
          WITH(test_killed_and_opened_again), WITH(test_a_full_disk),
          WITH(test_a_state_folder_that_cannot_be_written))
