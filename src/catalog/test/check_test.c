/* Held files are read again: how far it has come, and that it goes on after a restart. */
#include "catalog/test/world.h"

enum {
    SMALL = 20, /* more than are taken at a time */
    SMALL_LEN = 1000,
    BIG_LEN = 4 << 20,
    ALL_LEN = SMALL * SMALL_LEN + BIG_LEN,
};

static struct world w;

/* Small files, and behind them one that takes about a second at the rate of the check. */
static void begin(void)
{
    world_make(&w);
    w.set.scrub_rate_bps = BIG_LEN;
    for (int i = 0; i < SMALL; i++)
        world_run("head -c %d /dev/urandom > %s/f%02d", SMALL_LEN, w.tree, i);
    world_run("head -c %d /dev/urandom > %s/z", BIG_LEN, w.tree);
    world_open(&w);
    world_publish(&w, CATALOG_BT_V2);
    world_agree(&w);
}

static struct catalog_check_progress now(void)
{
    struct catalog_check_progress p;
    catalog_check_progress(w.catalog, &p);
    return p;
}

static bool is_within(const char *path)
{
    struct catalog_check_progress p = now();
    return p.path != NULL && strcmp(p.path, path) == 0 && p.file_done > 0 &&
           p.file_done < p.file_bytes;
}

static void test_it_tells_how_far_it_is(void **state)
{
    (void)state;
    begin();
    struct catalog_check_progress p = now(), before;
    assert_false(p.is_running);
    assert_int_equal(p.ended_ms, 0);
    int64_t began_ms = sys_wall_ms();
    catalog_check(w.catalog, 0);
    before = now();
    assert_true(before.is_running);
    assert_null(before.path);
    while ((p = now()).is_running) {
        assert_true(p.files_done >= before.files_done && p.bytes_done >= before.bytes_done);
        assert_true(p.files_done <= p.files && p.bytes_done <= p.bytes);
        assert_true(p.started_ms >= began_ms && p.started_ms == before.started_ms);
        assert_int_equal(p.collection, 0);
        if (p.path != NULL) {
            assert_int_equal(p.files, SMALL + 1);
            assert_int_equal(p.bytes, ALL_LEN);
            assert_int_equal(p.path_collection, w.collection);
            assert_true(world_is(&w, p.path, CATALOG_HELD));
        }
        before = p;
        assert_true(loop_turn(w.loop, 20 * 1000, NULL));
    }
    assert_int_equal(before.files_done, SMALL + 1);
    assert_int_equal(before.bytes_done, ALL_LEN);
    assert_int_equal(before.bad, 0);
    assert_true(p.ended_ms >= began_ms);
    assert_int_equal(p.bytes, 0);
    world_end(&w);
}

static void test_it_tells_of_the_file_under_way(void **state)
{
    (void)state;
    begin();
    catalog_check(w.catalog, 0);
    WORLD_UNTIL(&w, is_within("z"));
    struct catalog_check_progress p = now();
    assert_int_equal(p.file_bytes, BIG_LEN);
    assert_int_equal(p.files_done, SMALL);
    assert_int_equal(p.bytes_done, SMALL * SMALL_LEN + p.file_done);
    struct catalog_read r;
    struct catalog_entry e;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_get(&r, p.entry, &e, NULL), CATALOG_FOUND);
    assert_true(tarn_bytes_eq_str(e.name, "z"));
    catalog_read_end(&r);
    world_end(&w);
}

static void test_it_goes_on_after_a_restart(void **state)
{
    (void)state;
    begin();
    catalog_check(w.catalog, 0);
    WORLD_UNTIL(&w, is_within("z"));
    struct catalog_check_progress before = now(), p;
    world_close(&w);
    world_open(&w);
    p = now();
    assert_true(p.is_running);
    assert_int_equal(p.started_ms, before.started_ms);
    assert_true(p.files_done > 0 && p.files_done <= SMALL);
    assert_int_equal(p.bytes_done, p.files_done * SMALL_LEN);
    while ((p = now()).is_running) {
        before = p;
        assert_true(loop_turn(w.loop, 20 * 1000, NULL));
    }
    assert_int_equal(before.files_done, SMALL + 1);
    assert_int_equal(before.bytes_done, ALL_LEN);
    world_end(&w);
}

/* One of a collection is no check of all: not after a restart, and not for the calendar. */
static void test_a_check_of_one_collection(void **state)
{
    (void)state;
    char path[128];
    struct catalog_ask a;
    begin();
    snprintf(path, sizeof path, "%s/other", w.folder);
    world_run("mkdir %s; cp %s/f00 %s/f01", path, w.tree, path);
    struct catalog_spec spec = { .path = path };
    assert_true(world_try_publish(&w, &spec, &a));
    world_settle(&w);
    catalog_check(w.catalog, w.collection);
    WORLD_UNTIL(&w, is_within("z"));
    assert_int_equal(now().collection, w.collection);
    world_close(&w);
    world_open(&w);
    struct catalog_check_progress before = now(), p;
    assert_true(before.is_running);
    assert_int_equal(before.collection, w.collection);
    catalog_check(w.catalog, a.collection); /* after it */
    while ((p = now()).is_running && p.collection == w.collection) {
        before = p;
        assert_true(loop_turn(w.loop, 20 * 1000, NULL));
    }
    assert_int_equal(before.files_done, SMALL + 1);
    while ((p = now()).is_running) {
        assert_int_equal(p.collection, a.collection);
        before = p;
        assert_true(loop_turn(w.loop, 20 * 1000, NULL));
    }
    assert_int_equal(before.files_done, 1);
    assert_int_equal(p.ended_ms, 0);
    world_end(&w);
}

/* What a process that was killed had put into the sidecar is free again behind a check of all, and
 * what is referred to stays. */
static void test_lost_space_is_found_again(void **state)
{
    (void)state;
    enum { LOST = 1000 };
    static uint8_t hashes[LOST * 32];
    struct catalog_leaves_stat before, after;
    struct catalog_put put = { 0 };
    begin();
    struct catalog_leaves *l = catalog_hashes(w.catalog);
    before = catalog_leaves_stat(l);
    assert_true(catalog_leaves_begin(l, &put, CATALOG_LEAVES, LOST, NULL));
    assert_true(catalog_leaves_put(l, &put, hashes, LOST, NULL));
    assert_true(catalog_leaves_end(l, &put, NULL, NULL));
    after = catalog_leaves_stat(l);
    assert_int_equal((after.file - after.free) - (before.file - before.free), sizeof hashes);
    catalog_check(w.catalog, w.collection); /* of one: nothing is searched */
    WORLD_UNTIL(&w, !now().is_running);
    world_agree(&w);
    assert_int_equal(catalog_leaves_stat(l).free, after.free);
    catalog_check(w.catalog, 0);
    WORLD_UNTIL(&w, !now().is_running);
    world_agree(&w);
    after = catalog_leaves_stat(l);
    assert_int_equal(after.file - after.free, before.file - before.free);
    catalog_check(w.catalog, 0); /* with the leaves that are there */
    WORLD_UNTIL(&w, !now().is_running);
    world_agree(&w);
    world_end(&w);
}

TEST_MAIN(cmocka_unit_test(test_it_tells_how_far_it_is),
          cmocka_unit_test(test_it_tells_of_the_file_under_way),
          cmocka_unit_test(test_it_goes_on_after_a_restart),
          cmocka_unit_test(test_a_check_of_one_collection),
          cmocka_unit_test(test_lost_space_is_found_again))
