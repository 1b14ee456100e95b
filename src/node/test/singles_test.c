/* Single files as torrents of their own: noted, looked for, made live, forgotten; and what other
 * threads want. */
#include "node/singles.h"

#include "bt/core/handshake.h"
#include "catalog/test/world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { TABLE_SINGLE = CATALOG_TABLES, LIVE_MAX = 2 };

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
                                                                .kv = w.kv,
                                                                .table = TABLE_SINGLE,
                                                                .catalog = w.catalog,
                                                                .bt = bt,
                                                                .max = LIVE_MAX,
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
    struct sys_addr at;
    (void)state;
    assert_true(sys_addr_parse(tarn_bytes_str("127.0.0.1:0"), 1, &at));
    world_make(&w);
    world_open_below(&w, tables, TARN_COUNT_OF(tables), &ops);
    bt = bt_session_new(
        &(struct bt_session_settings){
            .loop = w.loop, .agent = "test", .listen = &at, .n_listen = 1 },
        &err);
    assert_non_null(bt);
    new_singles();
    world_text(&w, "one", "what is in it");
    world_text(&w, "two", "something else");
    world_text(&w, "three", "and one more");
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
static struct bt_hashes note_in(uint32_t collection, const char *path)
{
    struct catalog_read r;
    struct catalog_collection c;
    struct catalog_entry e;
    struct tarn_out torrent;
    struct bt_hashes h;
    tarn_out_init(&torrent, 1 << 20);
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    assert_int_equal(catalog_collection_get(&r, collection, &c, NULL), CATALOG_FOUND);
    assert_int_equal(catalog_find(&r, &c, tarn_bytes_str(path), &e, NULL), CATALOG_FOUND);
    assert_true(derived_file(&r, &c, &e, tarn_bytes_str(path), &from, &torrent, &h, NULL));
    catalog_read_end(&r);
    tarn_out_release(&torrent);
    assert_true(h.has_v1 && h.has_v2);
    assert_true(node_singles_note(w.kv, TABLE_SINGLE, w.catalog, &h, collection,
                                  tarn_bytes_str(path), NULL));
    return h;
}

static struct bt_hashes note(const char *path)
{
    return note_in(w.collection, path);
}

/* Other bytes, read and held. */
static void rewrite(const char *path, const char *text)
{
    struct catalog_identity now, before = world_identity(&w, path);
    world_text(&w, path, text);
    do {
        assert_true(loop_turn(w.loop, 20 * 1000, NULL));
        now = world_identity(&w, path);
    } while (memcmp(&now, &before, sizeof now) == 0 || !world_is(&w, path, CATALOG_HELD));
    world_settle(&w);
}

/* Records in the table: two for each torrent. */
static uint64_t noted(void)
{
    uint64_t n;
    KV_AUTO_READ r = { 0 };
    assert_true(kv_read_begin(w.kv, &r, NULL));
    assert_true(kv_count(&r, TABLE_SINGLE, &n, NULL));
    return n;
}

static bool leads_to(const uint8_t *hash, const char *path)
{
    struct tarn_bytes value;
    KV_AUTO_READ r = { 0 };
    assert_true(kv_read_begin(w.kv, &r, NULL));
    enum kv_got got = kv_get(&r, TABLE_SINGLE, tarn_bytes_of(hash, SINGLES_HASH), &value, NULL);
    assert_int_not_equal(got, KV_FAILED);
    return got == KV_FOUND && tarn_bytes_eq_str(tarn_bytes_of(value.p + 4, value.len - 4), path);
}

static bool torrents_are(const struct bt_hashes *h, const char *path)
{
    return leads_to(h->v1, path) && leads_to(h->v2, path);
}

static void want(const uint8_t *hash)
{
    assert_true(node_singles_want(singles, hash));
    assert_true(node_singles_is_wanted(singles, hash));
    WORLD_UNTIL(&w, !node_singles_is_wanted(singles, hash));
}

/* Is it there when it is wanted, and is nothing derived for that? It moves to the end. */
static bool is_live(const struct bt_hashes *h)
{
    size_t n = node_singles_count(singles);
    assert_true(node_singles_want(singles, h->v1));
    bool is = !node_singles_is_wanted(singles, h->v1);
    WORLD_UNTIL(&w, !node_singles_is_wanted(singles, h->v1));
    assert_int_equal(node_singles_count(singles), is ? n : LIVE_MAX);
    return is;
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
    assert_true(node_singles_want(singles, one.v1)); /* it is here: it is not derived again */
    assert_false(node_singles_is_wanted(singles, one.v1));
    assert_true(node_singles_want(singles, one.v2));
    assert_false(node_singles_is_wanted(singles, one.v2));
    assert_int_equal(node_singles_count(singles), 1);
    want(two.v2);
    assert_int_equal(node_singles_count(singles), 2);
    world_text(&w, "one", "what is there now");
    WORLD_UNTIL(&w, node_singles_count(singles) == 1);
    world_settle(&w);
    want(one.v1); /* what the path holds now has another hash */
    assert_int_equal(node_singles_count(singles), 1);
}

/* By two peers that have either hash of it, before it is live: the session takes it once. */
static void test_asked_for_by_both_hashes(void **state)
{
    (void)state;
    struct bt_hashes one = note("one");
    assert_true(node_singles_want(singles, one.v1));
    assert_true(node_singles_want(singles, one.v2));
    assert_true(node_singles_is_wanted(singles, one.v1));
    assert_true(node_singles_is_wanted(singles, one.v2));
    WORLD_UNTIL(&w, !node_singles_is_wanted(singles, one.v1) &&
                        !node_singles_is_wanted(singles, one.v2));
    assert_int_equal(node_singles_count(singles), 1);
}

/* ---- more than may be live ---- */

static void test_the_longest_unasked_goes(void **state)
{
    (void)state;
    struct bt_hashes one = note("one"), two = note("two"), three = note("three");
    want(one.v1);
    want(two.v1);
    assert_true(is_live(&one)); /* so two is now the one that nobody has asked for lately */
    want(three.v1);
    assert_int_equal(node_singles_count(singles), LIVE_MAX);
    assert_true(is_live(&one));
    assert_true(is_live(&three));
    assert_false(is_live(&two)); /* and comes again, in the place of one */
    assert_true(is_live(&two));
    assert_true(is_live(&three));
    assert_false(is_live(&one));
}

/* A peer that has greeted, and says no more. */
static int connect_peer(const uint8_t *hash)
{
    struct bt_handshake h = { .peer_id = "-XX0000-0123456789a" };
    struct tarn_out o;
    struct bt_session_stats stats;
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(bt_session_addr(bt, 0).port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    bt_session_stats(bt, &stats);
    uint32_t before = stats.conns;
    memcpy(h.hash, hash, SINGLES_HASH);
    tarn_out_init(&o, 100);
    bt_handshake_put(&o, &h);
    assert_true(tarn_out_ok(&o));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, o.p, o.len, MSG_NOSIGNAL), o.len);
    tarn_out_release(&o);
    WORLD_UNTIL(&w,
                (bt_session_stats(bt, &stats), stats.conns == before + 1 && stats.greeting == 0));
    return fd;
}

static uint32_t peers(void)
{
    struct bt_session_stats stats;
    bt_session_stats(bt, &stats);
    return stats.conns;
}

static void test_those_with_peers_stay(void **state)
{
    (void)state;
    struct bt_hashes one = note("one"), two = note("two"), three = note("three");
    want(one.v1);
    int first = connect_peer(one.v1);
    want(two.v1);
    want(three.v1);
    assert_int_equal(peers(), 1); /* two has gone, which was asked for later but has none */
    assert_true(is_live(&one));
    assert_true(is_live(&three));
    int second = connect_peer(three.v2);
    want(two.v1); /* all that live have peers: the longest unasked goes with them */
    WORLD_UNTIL(&w, peers() == 1);
    assert_true(is_live(&two));
    assert_true(is_live(&three));
    assert_false(is_live(&one));
    close(first);
    close(second);
}

/* ---- what is noted ---- */

static void test_one_of_many_places_is_noted(void **state)
{
    (void)state;
    world_run("mkdir '%s/a' '%s/b'", w.tree, w.tree);
    world_text(&w, "a/LICENSE", "do what you like");
    world_text(&w, "b/LICENSE", "do what you like");
    WORLD_UNTIL(&w, world_has(&w, "a/LICENSE") && world_has(&w, "b/LICENSE"));
    world_settle(&w);
    struct bt_hashes a = note("a/LICENSE"), b = note("b/LICENSE");
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(torrents_are(&a, "a/LICENSE")); /* nothing was written for the second */
    assert_int_equal(noted(), 2);
    rewrite("a/LICENSE", "do what you hate");
    (void)note("b/LICENSE"); /* the one that was noted is no longer it */
    assert_true(torrents_are(&a, "b/LICENSE"));
    assert_int_equal(noted(), 2);
    want(b.v1);
    assert_int_equal(node_singles_count(singles), 1);
}

/* One of the two records has gone: it is written again. */
static void test_half_noted(void **state)
{
    (void)state;
    struct bt_hashes one = note("one"), half = one;
    rewrite("one", "something new");
    want(half.v2);
    assert_int_equal(noted(), 1);
    rewrite("one", "what is in it");
    one = note("one");
    assert_memory_equal(&one, &half, sizeof one);
    assert_true(torrents_are(&one, "one"));
}

static void test_what_leads_nowhere_is_forgotten(void **state)
{
    (void)state;
    struct bt_hashes one = note("one"), two = note("two"), three = note("three");
    assert_int_equal(noted(), 6);
    rewrite("one", "what is there now");
    world_run("rm '%s/two'", w.tree);
    WORLD_UNTIL(&w, !world_has(&w, "two"));
    world_settle(&w);
    want(one.v1);
    want(one.v2);
    assert_int_equal(noted(), 4);
    want(two.v1);
    want(two.v2);
    assert_int_equal(noted(), 2);
    want(three.v1);
    assert_int_equal(noted(), 2);
    assert_int_equal(node_singles_count(singles), 1);
}

/* A disk that is not there now may come back. */
static void test_what_is_away_is_not_forgotten(void **state)
{
    (void)state;
    struct bt_hashes one = note("one");
    world_run("mv '%s' '%s/elsewhere'", w.tree, w.folder);
    WORLD_UNTIL(&w, world_collection(&w).phase == CATALOG_AWAY);
    want(one.v1);
    want(one.v2);
    assert_int_equal(node_singles_count(singles), 0);
    assert_int_equal(noted(), 2);
    world_run("mv '%s/elsewhere' '%s'", w.folder, w.tree);
    WORLD_UNTIL(&w, world_collection(&w).phase == CATALOG_COMPLETE);
    want(one.v1);
    assert_int_equal(node_singles_count(singles), 1);
}

/* ---- collections that are removed ---- */

enum { MANY = 2500 }; /* more than are forgotten in one write */

static bool run_many(struct kv_write *write, struct kv_txn *t, struct tarn_err *err)
{
    struct tarn_out value;
    bool ok = true;
    (void)write;
    tarn_out_init(&value, 100);
    tarn_out_be32(&value, w.collection);
    tarn_out_str(&value, "one");
    for (unsigned i = 0; i < MANY && ok; i++) {
        uint8_t hash[SINGLES_HASH] = { (uint8_t)(i * 7), (uint8_t)(i >> 8), (uint8_t)i, 1 };
        ok = kv_txn_put(t, TABLE_SINGLE, tarn_bytes_of(hash, SINGLES_HASH), tarn_out_bytes(&value),
                        err);
    }
    tarn_out_release(&value);
    return ok;
}

static void remove_collection(uint32_t collection)
{
    struct world_ask a = { .ask = { .done = world_answered } };
    catalog_unpublish(w.catalog, collection, CATALOG_COMMANDED, &a.ask);
    WORLD_UNTIL(&w, a.is_done);
    assert_true(a.ask.is_ok);
}

static uint32_t publish_other(const char *name)
{
    char path[128];
    struct catalog_ask a;
    snprintf(path, sizeof path, "%s/%s", w.folder, name);
    world_run("mkdir '%s' && echo %s > '%s/file'", path, name, path);
    assert_true(world_try_publish(
        &w, &(struct catalog_spec){ .path = path, .bt = CATALOG_BT_HYBRID, .http = true }, &a));
    world_settle(&w);
    return a.collection;
}

static void test_removed_with_their_collection(void **state)
{
    (void)state;
    uint32_t stays = publish_other("stays"), goes = publish_other("goes");
    struct kv_write many = { .run = run_many };
    struct bt_hashes kept = note_in(stays, "file");
    (void)note_in(goes, "file");
    struct bt_hashes one = note("one");
    assert_true(kv_write_now(w.kv, &many, NULL));
    assert_int_equal(noted(), 6 + MANY);
    want(one.v1);
    assert_int_equal(node_singles_count(singles), 1);
    remove_collection(w.collection);
    remove_collection(goes); /* while the first one's may be under way */
    WORLD_UNTIL(&w, noted() == 2);
    assert_true(torrents_are(&kept, "file"));
    assert_int_equal(node_singles_count(singles), 0);
    want(kept.v1);
    assert_int_equal(node_singles_count(singles), 1);
}

static void test_gone_while_a_collection_is_forgotten(void **state)
{
    (void)state;
    uint32_t other = publish_other("other");
    struct kv_write many = { .run = run_many };
    assert_true(kv_write_now(w.kv, &many, NULL));
    remove_collection(w.collection);
    remove_collection(other);
    node_singles_free(singles); /* a leak checker sees */
    singles = NULL;
    new_singles();
    assert_true(noted() <= MANY);
}

/* ---- asked for ---- */

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
          IN_A_WORLD(test_asked_for_by_both_hashes), IN_A_WORLD(test_the_longest_unasked_goes),
          IN_A_WORLD(test_those_with_peers_stay), IN_A_WORLD(test_one_of_many_places_is_noted),
          IN_A_WORLD(test_half_noted), IN_A_WORLD(test_what_leads_nowhere_is_forgotten),
          IN_A_WORLD(test_what_is_away_is_not_forgotten),
          IN_A_WORLD(test_removed_with_their_collection),
          IN_A_WORLD(test_gone_while_a_collection_is_forgotten),
          IN_A_WORLD(test_more_than_is_looked_for), IN_A_WORLD(test_gone_while_it_is_looked_for),
          IN_A_WORLD(test_wants_of_other_threads))
