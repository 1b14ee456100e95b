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

/* Nothing in it is something to know: it is complete, and that has a version. */
static void test_an_empty_folder_has_a_version(void **state)
{
    (void)state;
    world_begin(&w);
    world_publish(&w, CATALOG_BT_HYBRID);
    world_settle(&w);
    struct catalog_collection c = world_collection(&w);
    assert_int_equal(c.phase, CATALOG_COMPLETE);
    assert_int_equal(c.files, 0);
    assert_int_equal(c.version, 1);
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

/* --- collections that share a file, and have pieces of other lengths --- */

enum { SHARED_LEN = 700000, TABLE_V1 = CATALOG_TABLES - 1 };

static uint32_t publish(const char *path, uint32_t piece_len)
{
    struct catalog_spec spec = { .path = path, .bt = CATALOG_BT_HYBRID, .piece_len = piece_len };
    struct catalog_ask a;
    if (!world_try_publish(&w, &spec, &a))
        fail_msg("%s", a.err.msg);
    return a.collection;
}

static void unpublish(uint32_t collection)
{
    struct world_ask a = { .ask = { .done = world_answered } };
    catalog_unpublish(w.catalog, collection, CATALOG_COMMANDED, &a.ask);
    WORLD_UNTIL(&w, a.is_done);
    assert_true(a.ask.is_ok);
    world_settle(&w);
}

/* The pieces of the file, and what is behind the last whole one with zeros up to its length. */
static void expect_pieces(const uint8_t *data, uint32_t piece_len)
{
    struct catalog_identity id;
    struct catalog_known k;
    struct catalog_read r;
    struct crypt_sha sum;
    uint8_t is[4][20], should[20];
    size_t n = SHARED_LEN / piece_len, tail = SHARED_LEN % piece_len;
    uint8_t *zeros = tarn_calloc(piece_len, 1);
    naive_identity(data, SHARED_LEN, &id);
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_known_v1(&r, &id, piece_len, &k, NULL), CATALOG_FOUND);
    catalog_read_end(&r);
    assert_int_equal(k.v1_piece_len, piece_len);
    assert_int_equal(catalog_run_count(CATALOG_PIECES, k.pieces), n);
    assert_true(k.has_tail);
    assert_true(n == 0 || catalog_leaves_read(catalog_hashes(w.catalog), k.pieces, CATALOG_PIECES,
                                              0, n, is[0], NULL));
    for (size_t i = 0; i < n; i++) {
        crypt_hash(CRYPT_SHA1, tarn_bytes_of(data + i * piece_len, piece_len), should);
        assert_memory_equal(is[i], should, sizeof should);
    }
    crypt_sha_init(&sum, CRYPT_SHA1);
    crypt_sha_update(&sum, tarn_bytes_of(data + n * piece_len, tail));
    crypt_sha_update(&sum, tarn_bytes_of(zeros, piece_len - tail));
    crypt_sha_final(&sum, should);
    assert_memory_equal(k.tail_padded, should, sizeof should);
    tarn_free(zeros);
}

static uint64_t other_pieces(void)
{
    struct kv_read r = { 0 };
    uint64_t n = 0;
    assert_true(kv_read_begin(w.kv, &r, NULL));
    assert_true(kv_count(&r, TABLE_V1, &n, NULL));
    kv_read_end(&r);
    return n;
}

static void test_a_file_in_collections_of_other_piece_lengths(void **state)
{
    (void)state;
    static const uint32_t lengths[] = { 256 << 10, 1 << 20, 512 << 10 };
    char path[128];
    uint32_t ids[3];
    uint64_t seed = test_seed();
    static uint8_t data[SHARED_LEN];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)test_rand(&seed);
    world_begin(&w);
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(path, sizeof path, "%s/c%d", w.tree, i);
        assert_int_equal(mkdir(path, 0755), 0);
        snprintf(name, sizeof name, "c%d/file", i);
        world_write(&w, name, data, sizeof data);
        ids[i] = publish(path, lengths[i]);
        world_settle(&w);
    }
    for (int i = 0; i < 3; i++)
        expect_pieces(data, lengths[i]);
    assert_int_equal(other_pieces(), 2);
    world_close(&w); /* a start looks whether all that is wanted is known */
    world_open(&w);
    world_settle(&w);
    assert_int_equal(world_bytes_read(&w), 0);
    for (int i = 0; i < 3; i++)
        expect_pieces(data, lengths[i]);
    assert_true(catalog_leaves_stat(catalog_hashes(w.catalog)).file > 64);
    for (int i = 0; i < 3; i++)
        unpublish(ids[i]);
    assert_int_equal(other_pieces(), 0);
    struct catalog_leaves_stat st = catalog_leaves_stat(catalog_hashes(w.catalog));
    assert_int_equal(st.file - st.free, 64); /* but for its head all of the sidecar is free */
    world_end(&w);
}

/* One long file: how far it is shows before it is held. */
static void test_how_far_a_file_is_read(void **state)
{
    (void)state;
    enum { LEN = 48 << 20, OTHER = 999999 };
    uint64_t last = 0;
    unsigned steps = 0;
    uint8_t *data = tarn_calloc(LEN, 1);
    assert_non_null(data);
    world_begin(&w);
    world_write(&w, "long", data, LEN);
    tarn_free(data);
    assert_int_equal(catalog_read_so_far(w.catalog, 0), 0);
    world_publish(&w, CATALOG_BT_HYBRID);
    while (!world_is(&w, "long", CATALOG_HELD)) {
        uint64_t now = catalog_read_so_far(w.catalog, w.collection);
        assert_int_equal(now, catalog_read_so_far(w.catalog, 0));
        assert_int_equal(catalog_read_so_far(w.catalog, OTHER), 0);
        assert_true(now <= LEN && now >= last);
        steps += now > last && now < LEN;
        last = now;
        assert_true(loop_turn(w.loop, 20 * 1000, NULL));
    }
    assert_true(steps > 1);
    world_settle(&w);
    assert_int_equal(catalog_read_so_far(w.catalog, 0), 0); /* it is held: nothing waits */
    world_end(&w);
}

TEST_MAIN(cmocka_unit_test(test_an_empty_folder_has_a_version),
          cmocka_unit_test(test_a_folder_is_walked_hashed_and_found),
          cmocka_unit_test(test_many_files_are_recorded_in_few_writes),
          cmocka_unit_test(test_a_file_in_collections_of_other_piece_lengths),
          cmocka_unit_test(test_how_far_a_file_is_read))
