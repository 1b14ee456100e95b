/* Single files as torrents of their own: looked for, made live, forgotten; and what other threads
 * want. */
#include "node/singles.h"

#include "catalog/test/world.h"

enum { TABLE_SINGLE = CATALOG_TABLES };

static struct world w;
static struct bt_session *bt;
static struct node_singles *singles;
static struct derived_from from = { .public_url = "", .version = "test" };

static void on_changes(void *arg, uint64_t seq)
{
    (void)arg, (void)seq;
    if (singles != NULL)
        node_singles_look(singles);
}

static void new_singles(void)
{
    struct tarn_err err;
    singles = node_singles_new(&(struct node_singles_settings){ .loop = w.loop,
                                                                .table = TABLE_SINGLE,
                                                                .catalog = w.catalog,
                                                                .bt = bt,
                                                                .no_trackers = true,
                                                                .from = from },
                               &err);
    assert_non_null(singles);
}

static int enter(void **state)
{
    static const char *const tables[] = { NODE_SINGLES_TABLE };
    const struct catalog_ops ops = { .on_changes = on_changes };
    struct tarn_err err = { 0 };
    (void)state;
    world_make(&w);
    world_open_below(&w, tables, TARN_COUNT_OF(tables), &ops);
    bt = bt_session_new(&(struct bt_session_settings){ .loop = w.loop, .agent = "test" }, &err);
    assert_non_null(bt);
    new_singles();
    world_text(&w, "one", "what is in it");
    world_text(&w, "two", "something else");
    world_publish(&w, CATALOG_BT_HYBRID);
    world_settle(&w);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    node_singles_free(singles);
    singles = NULL;
    bt_session_free(bt);
    world_end(&w);
    return 0;
}

/* As the web door does when it hands a file's torrent out. */
static struct bt_hashes note(const char *path)
{
    struct catalog_read r;
    struct catalog_collection c;
    struct catalog_entry e;
    struct tarn_out torrent;
    struct bt_hashes h;
    tarn_out_init(&torrent, 1 << 20);
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_collection_get(&r, w.collection, &c, NULL), CATALOG_FOUND);
    assert_int_equal(catalog_find(&r, &c, tarn_bytes_str(path), &e, NULL), CATALOG_FOUND);
    assert_true(derived_file(&r, &c, &e, tarn_bytes_str(path), &from, &torrent, &h, NULL));
    catalog_read_end(&r);
    tarn_out_release(&torrent);
    assert_true(h.has_v1 && h.has_v2);
    assert_true(
        node_singles_note(w.kv, TABLE_SINGLE, &h, w.collection, tarn_bytes_str(path), NULL));
    return h;
}

static void want(const uint8_t *hash)
{
    assert_true(node_singles_want(singles, hash));
    assert_true(node_singles_is_wanted(singles, hash));
    WORLD_UNTIL(&w, !node_singles_is_wanted(singles, hash));
}

static void test_live_while_they_are_what_they_were(void **state)
{
    (void)state;
    static const uint8_t unknown[SINGLES_HASH] = { 1 };
    struct bt_hashes one = note("one"), two = note("two");
    want(unknown);
    assert_int_equal(node_singles_count(singles), 0);
    want(one.v1);
    assert_int_equal(node_singles_count(singles), 1);
    want(one.v2); /* the same torrent: the session has it */
    assert_int_equal(node_singles_count(singles), 1);
    want(two.v2);
    assert_int_equal(node_singles_count(singles), 2);
    world_text(&w, "one", "what is there now");
    WORLD_UNTIL(&w, node_singles_count(singles) == 1);
    world_settle(&w);
    want(one.v1); /* what the path holds now has another hash */
    assert_int_equal(node_singles_count(singles), 1);
}

static void test_more_than_is_looked_for(void **state)
{
    (void)state;
    uint8_t hash[SINGLES_HASH] = { 0 };
    for (unsigned i = 0; i < SINGLES_ASKED_MAX; i++) {
        hash[0] = (uint8_t)i;
        assert_true(node_singles_want(singles, hash));
        assert_true(node_singles_want(singles, hash)); /* is no second one */
    }
    hash[0] = SINGLES_ASKED_MAX;
    assert_false(node_singles_want(singles, hash));
    assert_false(node_singles_is_wanted(singles, hash));
    hash[0] = SINGLES_ASKED_MAX - 1;
    WORLD_UNTIL(&w, !node_singles_is_wanted(singles, hash));
}

/* With jobs in line, running and over, whose ends nobody hears. */
static void test_gone_while_it_is_looked_for(void **state)
{
    (void)state;
    struct bt_hashes one = note("one"), two = note("two");
    for (unsigned turns = 0; turns < 3; turns++) {
        uint8_t hash[SINGLES_HASH] = { 7 };
        assert_true(node_singles_want(singles, one.v1));
        assert_true(node_singles_want(singles, two.v1));
        for (hash[1] = 0; hash[1] < 8; hash[1]++)
            assert_true(node_singles_want(singles, hash));
        for (unsigned i = 0; i < turns; i++)
            assert_true(loop_turn(w.loop, 1000, NULL));
        node_singles_free(singles);
        singles = NULL;
        new_singles();
    }
    want(one.v1);
    assert_int_equal(node_singles_count(singles), 1);
}

/* ---- from other threads ---- */

static struct {
    struct node_wants wants;
    unsigned calls;
    uint8_t last;
} others;

static void on_want(struct node_wants *wants, const uint8_t hash[SINGLES_HASH])
{
    assert_ptr_equal(wants, &others.wants);
    assert_int_equal(hash[SINGLES_HASH - 1], 9);
    others.calls++;
    others.last = hash[0];
}

static void put(uint8_t first)
{
    uint8_t hash[SINGLES_HASH] = { first };
    hash[SINGLES_HASH - 1] = 9;
    node_wants_put(&others.wants, hash);
}

static void put_many(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 1000; i++)
        put((uint8_t)i);
}

static void test_wants_of_other_threads(void **state)
{
    (void)state;
    struct sys_thread threads[3] = { 0 };
    node_wants_init(&others.wants, w.loop, on_want);
    put(1);
    put(2);
    assert_int_equal(others.calls, 0); /* on the loop alone */
    WORLD_UNTIL(&w, others.calls == 2);
    assert_int_equal(others.last, 2);
    for (unsigned i = 0; i < TARN_COUNT_OF(threads); i++)
        assert_true(sys_thread_start(&threads[i], "wants", put_many, NULL, NULL));
    for (unsigned i = 0; i < 20; i++)
        assert_true(loop_turn(w.loop, 1000, NULL));
    for (unsigned i = 0; i < TARN_COUNT_OF(threads); i++)
        sys_thread_join(&threads[i]);
    WORLD_UNTIL(&w, others.wants.n == 0);
    assert_true(others.calls > 2 && others.calls <= 3002);
    others.calls = 0;
    for (unsigned i = 0; i < 100; i++)
        put((uint8_t)i);
    WORLD_UNTIL(&w, others.calls > 0);
    assert_int_equal(others.calls, SINGLES_ASKED_MAX);
    assert_int_equal(others.last, SINGLES_ASKED_MAX - 1);
    put(3);
    put(4); /* on their way when the loop goes: nothing of them is left (a leak checker sees) */
    loop_unpost(w.loop, &others.wants.msg);
    node_wants_release(&others.wants);
    node_wants_release(&others.wants);
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, enter, leave)
TEST_MAIN(IN_A_WORLD(test_live_while_they_are_what_they_were),
          IN_A_WORLD(test_more_than_is_looked_for), IN_A_WORLD(test_gone_while_it_is_looked_for),
          IN_A_WORLD(test_wants_of_other_threads))
