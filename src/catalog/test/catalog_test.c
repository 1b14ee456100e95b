#include "catalog/catalog.h"

#include "catalog/test/world.h"

static struct world w;

/* A write costs a sync: many small files share one. */
static void test_many_files_are_recorded_in_few_writes(void **state)
{
    (void)state;
    enum { N = 1500 };
    struct kv_stat stat;
    char name[32], text[32];
    world_begin(&w);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "file-%d", i);
        snprintf(text, sizeof text, "the bytes of %d", i);
        world_text(&w, name, text);
    }
    world_publish(&w, CATALOG_BT_HYBRID);
    world_agree(&w);
    assert_true(kv_stat(w.kv, &stat, NULL));
    assert_in_range(stat.commits, 1, 40); /* 17, where nothing is in the way */
    world_end(&w);
}

static void test_a_folder_is_walked_hashed_and_found(void **state)
{
    (void)state;
    world_begin(&w);
    world_run("mkdir -p %s/a/b", w.tree);
    world_text(&w, "one", "first");
    world_text(&w, "a/two", "second");
    world_text(&w, "a/b/empty", "");
    world_run("head -c 100000 /dev/urandom > %s/a/b/long", w.tree);
    world_publish(&w, CATALOG_BT_HYBRID);
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w), 5 + 6 + 100000);

    struct catalog_read r;
    struct catalog_collection c;
    struct catalog_entry e;
    struct catalog_known k;
    struct catalog_totals t;
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_collection_named(&r, tarn_bytes_str("tree"), &c, NULL), CATALOG_FOUND);
    assert_int_equal(c.phase, CATALOG_COMPLETE);
    assert_int_equal(c.version, 1);
    assert_int_equal(c.files, 4);
    assert_int_equal(c.piece_len, 256 * 1024);
    assert_int_equal(catalog_find(&r, &c, tarn_bytes_str("a/b/long"), &e, NULL), CATALOG_FOUND);
    struct catalog_identity id = e.identity;
    assert_int_equal(catalog_find_identity(&r, &id, CATALOG_PUBLIC, &e, NULL), CATALOG_FOUND);
    struct sys_file *f;
    assert_int_equal(catalog_open(&r, &e, &f, NULL), CATALOG_FOUND);
    assert_int_equal(f->at_open.size, 100000);
    sys_file_unref(f);
    assert_int_equal(catalog_known(&r, &id, &k, NULL), CATALOG_FOUND);
    assert_int_equal(k.leaves.len, 7 * 32);
    assert_int_equal(k.v1_piece_len, 256 * 1024);
    assert_true(k.has_tail);
    id.len++;
    assert_int_equal(catalog_find_identity(&r, &id, CATALOG_MINE, &e, NULL), CATALOG_NOT_THERE);
    assert_int_equal(catalog_find(&r, &c, tarn_bytes_str("a/b/nothing"), &e, NULL),
                     CATALOG_NOT_THERE);
    static const char *const odd[] = { "/one", "a//two", "a/./two", "a/../one", "one/",
                                       "a/b/", ".",      "..",      "one/two" };
    for (size_t i = 0; i < TARN_COUNT_OF(odd); i++)
        assert_int_equal(catalog_find(&r, &c, tarn_bytes_str(odd[i]), &e, NULL), CATALOG_NOT_THERE);
    assert_true(catalog_totals(&r, &t, NULL));
    assert_int_equal(t.files, 4);
    assert_int_equal(t.bytes_published, 100011);
    assert_int_equal(t.bytes_stored, 100011);
    assert_int_equal(t.waiting, 0);

    static struct catalog_walk walk;
    static const char *const order[] = { "a/b/empty", "a/b/long", "a/two", "one" };
    walk = (struct catalog_walk){ .collection = c.id };
    for (size_t i = 0; i < TARN_COUNT_OF(order); i++) {
        assert_int_equal(catalog_walk_next(&r, &walk, &e, NULL), CATALOG_FOUND);
        assert_true(tarn_bytes_eq_str(walk.path, order[i]));
    }
    assert_int_equal(catalog_walk_next(&r, &walk, &e, NULL), CATALOG_NOT_THERE);

    struct catalog_change ch;
    uint64_t seq = 0;
    unsigned added = 0, complete = 0;
    while (catalog_change_next(&r, seq, &ch, NULL) == CATALOG_FOUND) {
        assert_int_equal(ch.seq, seq + 1);
        seq = ch.seq;
        added += ch.event == CATALOG_E_ADDED;
        complete += ch.event == CATALOG_E_COLLECTION_COMPLETE;
    }
    assert_int_equal(seq, catalog_seq(w.catalog));
    assert_int_equal(added, 4);
    assert_int_equal(complete, 1);
    catalog_read_end(&r);
    assert_true(w.changes > 0);
    world_end(&w);
}

TEST_MAIN(cmocka_unit_test(test_a_folder_is_walked_hashed_and_found),
          cmocka_unit_test(test_many_files_are_recorded_in_few_writes))
