/* Hashes that are lost: their files are read again by themselves, and the owner is told. */
#include "catalog/test/world.h"

#include <stdatomic.h>

enum { LONG = 50000 }; /* four leaves */

static struct world w;
static unsigned told; /* calls of on_hashes */

/* --- a disk whose files of one size give a wrong byte --- */

static struct sys_ops table;
static const struct sys_ops *usual;
static _Atomic uint64_t rotten_size;

static ssize_t rotten_read(int fd, const struct iovec *iov, int n, int64_t off)
{
    struct stat st;
    ssize_t got = usual->preadv(fd, iov, n, off);
    uint64_t size = atomic_load(&rotten_size);
    if (size != 0 && got > 0 && off == 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_size == size)
        *(uint8_t *)iov[0].iov_base ^= 1;
    return got;
}

static int enter(void **state)
{
    (void)state;
    usual = sys_ops;
    table = *sys_ops;
    table.preadv = rotten_read;
    rotten_size = 0;
    told = 0;
    sys_ops = &table;
    return 0;
}

static int leave(void **state)
{
    (void)state;
    sys_ops = usual;
    return 0;
}

static void on_hashes(void *arg)
{
    (void)arg;
    told++;
}

static void begin(enum catalog_bt bt)
{
    world_make(&w);
    w.set.ops.on_hashes = on_hashes;
    world_run("head -c %d /dev/urandom > %s/long", LONG, w.tree);
    world_text(&w, "short", "short");
    world_open(&w);
    world_publish(&w, bt);
    world_agree(&w);
}

static struct catalog_known known(const char *path)
{
    struct catalog_read r;
    struct catalog_known k;
    struct catalog_identity id = world_identity(&w, path);
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_known(&r, &id, &k, NULL), CATALOG_FOUND);
    catalog_read_end(&r);
    return k;
}

static uint64_t number(const char *path)
{
    struct catalog_read r;
    struct catalog_collection c;
    struct catalog_entry e;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_collection_get(&r, w.collection, &c, NULL), CATALOG_FOUND);
    assert_int_equal(catalog_find(&r, &c, tarn_bytes_str(path), &e, NULL), CATALOG_FOUND);
    catalog_read_end(&r);
    return e.id;
}

static void spoil(struct catalog_run run)
{
    uint8_t byte;
    int fd = open(w.leaves, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, (off_t)run.off), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)run.off), 1);
    close(fd);
}

static bool is_good(const char *path)
{
    struct catalog_known k = known(path);
    struct catalog_identity id = world_identity(&w, path);
    return catalog_leaves_walk(catalog_hashes(w.catalog), k.leaves, CATALOG_LEAVES, id.root, NULL,
                               NULL, NULL);
}

static void report(const char *path)
{
    catalog_report_lost(w.catalog, number(path));
}

/* --- tests --- */

static void test_lost_leaves(void **state)
{
    (void)state;
    begin(CATALOG_BT_V2);
    uint64_t before = world_bytes_read(&w), seq = catalog_seq(w.catalog);
    spoil(known("long").leaves);
    assert_false(is_good("long"));
    report("long");
    report("long"); /* twice is once */
    assert_false(catalog_is_settled(w.catalog));
    WORLD_UNTIL(&w, told > 0);
    assert_true(is_good("long"));
    assert_true(world_is(&w, "long", CATALOG_HELD));
    world_agree(&w);
    assert_int_equal(told, 1);
    assert_int_equal(world_bytes_read(&w), before + LONG);
    assert_int_equal(catalog_seq(w.catalog), seq); /* no file has changed */
    world_end(&w);
}

static void test_lost_v1_pieces(void **state)
{
    (void)state;
    begin(CATALOG_BT_OFF);
    world_run("head -c 600000 /dev/urandom > %s/pieces", w.tree);
    world_publish(&w, CATALOG_BT_HYBRID);
    world_agree(&w);
    struct catalog_known k = known("pieces");
    assert_int_equal(catalog_run_count(CATALOG_PIECES, k.pieces), 2);
    spoil(k.pieces);
    told = 0;
    report("pieces");
    WORLD_UNTIL(&w, told > 0);
    struct catalog_identity id = world_identity(&w, "pieces");
    k = known("pieces");
    assert_true(catalog_leaves_walk(catalog_hashes(w.catalog), k.pieces, CATALOG_PIECES, id.root,
                                    NULL, NULL, NULL));
    world_end(&w);
}

/* Another name of the file would give its identity without a reading: and the hashes stay lost. */
static void test_lost_leaves_of_a_file_with_two_names(void **state)
{
    (void)state;
    begin(CATALOG_BT_V2);
    world_run("ln %s/long %s/other", w.tree, w.tree);
    world_agree(&w);
    uint64_t before = world_bytes_read(&w), seq = catalog_seq(w.catalog);
    spoil(known("long").leaves);
    report("long");
    WORLD_UNTIL(&w, told > 0);
    assert_true(is_good("long") && is_good("other"));
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w), before + LONG);
    assert_int_equal(catalog_seq(w.catalog), seq);
    world_end(&w);
}

/* Who reads an old snapshot finds other hashes where a run was. */
static void test_what_is_not_lost_is_not_read(void **state)
{
    (void)state;
    begin(CATALOG_BT_HYBRID);
    uint64_t before = world_bytes_read(&w);
    report("long");
    WORLD_UNTIL(&w, told == 1);
    report("short"); /* one leaf, which is its root; and a tail */
    WORLD_UNTIL(&w, told == 2);
    catalog_report_lost(w.catalog, 999999); /* no such entry */
    world_settle(&w);
    assert_int_equal(told, 2);
    assert_int_equal(world_bytes_read(&w), before);
    world_end(&w);
}

static void test_all_of_the_sidecar_is_lost(void **state)
{
    (void)state;
    begin(CATALOG_BT_V2);
    uint64_t before;
    world_close(&w);
    assert_int_equal(unlink(w.leaves), 0);
    world_open(&w);
    world_agree(&w);
    before = world_bytes_read(&w);
    assert_true(world_is(&w, "long", CATALOG_HELD));
    report("long");
    WORLD_UNTIL(&w, told > 0);
    assert_true(is_good("long"));
    assert_int_equal(world_bytes_read(&w), before + LONG);
    world_end(&w);
}

/* The index still refers to where hashes were: what is written now must lie elsewhere, or one
 * file's old place, given back, is another's new one. */
static void test_a_new_sidecar_under_an_old_index(void **state)
{
    enum { FILES = 30 };
    (void)state;
    char name[16];
    begin(CATALOG_BT_HYBRID);
    for (int i = 0; i < FILES; i++)
        world_run("head -c %d /dev/urandom > %s/f%d", 300000 + 20000 * i, w.tree, i);
    world_agree(&w);
    world_close(&w);
    assert_int_equal(unlink(w.leaves), 0);
    world_open(&w);
    world_agree(&w);
    assert_true(world_said(&w, "was missing"));
    world_close(&w);
    world_open(&w); /* what was learnt is not forgotten */
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "f%d", i);
        report(name);
        world_settle(&w); /* one after the other: each gives its old place back */
    }
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "f%d", i);
        if (!is_good(name))
            fail_msg("the hashes of %s were written over", name);
    }
    world_end(&w);
}

/* What is to be read again is remembered when it cannot be read now. */
static void test_lost_while_it_is_away(void **state)
{
    (void)state;
    begin(CATALOG_BT_V2);
    world_run("mv %s %s.away", w.tree, w.tree);
    WORLD_UNTIL(&w, world_collection(&w).phase == CATALOG_AWAY);
    spoil(known("long").leaves);
    report("long");
    world_settle(&w);
    assert_int_equal(told, 0);
    world_close(&w);
    world_open(&w);
    world_run("mv %s.away %s", w.tree, w.tree);
    WORLD_UNTIL(&w, told > 0);
    assert_true(is_good("long"));
    world_agree(&w);
    world_end(&w);
}

static void test_other_bytes_under_the_same_times(void **state)
{
    (void)state;
    begin(CATALOG_BT_V2);
    struct catalog_identity id = world_identity(&w, "long");
    spoil(known("long").leaves);
    atomic_store(&rotten_size, LONG);
    report("long");
    WORLD_UNTIL(&w, world_is(&w, "long", CATALOG_DAMAGED));
    assert_memory_equal(world_identity(&w, "long").root, id.root, 32);
    WORLD_UNTIL(&w, world_said(&w, "is damaged"));
    assert_int_equal(told, 0);
    world_settle(&w);
    atomic_store(&rotten_size, 0);
    world_run("touch %s/long", w.tree);
    world_agree(&w);
    assert_true(is_good("long"));
    world_end(&w);
}

/* A scrub that finds them leaves the file in service. */
static void test_a_scrub_finds_lost_leaves(void **state)
{
    (void)state;
    begin(CATALOG_BT_V2);
    uint64_t seq = catalog_seq(w.catalog);
    spoil(known("long").leaves);
    catalog_check(w.catalog, 0);
    WORLD_UNTIL(&w, told > 0);
    assert_true(is_good("long"));
    WORLD_UNTIL(&w, world_said(&w, "read again: 0"));
    assert_int_equal(catalog_seq(w.catalog), seq);
    world_end(&w);
}

static void test_closed_with_reports_on_the_way(void **state)
{
    (void)state;
    begin(CATALOG_BT_V2);
    report("long");
    catalog_report_changed(w.catalog, number("short"));
    catalog_free(w.catalog);
    w.catalog = NULL;
    assert_true(loop_turn(w.loop, 0, NULL)); /* nothing is called back */
    world_end(&w);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, enter, leave)

TEST_MAIN(WITH(test_lost_leaves), WITH(test_lost_v1_pieces),
          WITH(test_lost_leaves_of_a_file_with_two_names), WITH(test_what_is_not_lost_is_not_read),
          WITH(test_all_of_the_sidecar_is_lost), WITH(test_a_new_sidecar_under_an_old_index),
          WITH(test_lost_while_it_is_away), WITH(test_other_bytes_under_the_same_times),
          WITH(test_a_scrub_finds_lost_leaves), WITH(test_closed_with_reports_on_the_way))
