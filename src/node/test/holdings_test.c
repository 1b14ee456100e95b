/* What a node holds, without its doors: torrents that were added, collections that are seeded, and
 * what people call them by. */
#include "base/text.h"
#include "catalog/test/world.h"
#include "node/ref.h"

enum { TABLE_TORRENT = CATALOG_TABLES, TABLE_SEEDING };

static struct world w;
static struct bt_session *bt;
static struct node_torrents *torrents;
static struct node_seeding *seeding;
static char last_event[32];

static void on_event(void *arg, const struct node_torrent *t, enum node_torrent_event e)
{
    static const char *const words[] = { "added",  "known",   "complete", "failed",
                                         "paused", "resumed", "removed" };
    (void)arg;
    snprintf(last_event, sizeof last_event, "%u %s", t->id, words[e]);
}

static bool new_torrents(void)
{
    struct tarn_err err;
    torrents = node_torrents_new(&(struct node_torrents_settings){ .loop = w.loop,
                                                                   .kv = w.kv,
                                                                   .table = TABLE_TORRENT,
                                                                   .bt = bt,
                                                                   .no_trackers = true,
                                                                   .downloads = w.folder,
                                                                   .on_event = on_event },
                                 &err);
    return torrents != NULL;
}

static struct tarn_err told; /* the last trouble */

static void on_trouble(void *arg, struct tarn_bytes collection, const struct tarn_err *err)
{
    (void)arg, (void)collection;
    told = *err;
}

static bool is_deaf;       /* nobody is told of trouble */
static size_t torrent_max; /* bytes */

static bool new_seeding(const char *public_url)
{
    struct tarn_err err;
    seeding = node_seeding_new(
        &(struct node_seeding_settings){ .loop = w.loop,
                                         .kv = w.kv,
                                         .table = TABLE_SEEDING,
                                         .catalog = w.catalog,
                                         .bt = bt,
                                         .no_trackers = true,
                                         .torrent_max = torrent_max,
                                         .from = { .public_url = public_url, .version = "test" },
                                         .on_trouble = is_deaf ? NULL : on_trouble },
        &err);
    return seeding != NULL;
}

static void on_changes(void *arg, uint64_t seq)
{
    (void)arg, (void)seq;
    if (seeding != NULL)
        node_seeding_look(seeding);
}

static void on_hashes(void *arg)
{
    (void)arg;
    if (seeding != NULL)
        node_seeding_again(seeding);
}

static void open_all(void)
{
    static const char *const tables[] = { [TABLE_TORRENT - CATALOG_TABLES] = NODE_TORRENTS_TABLE,
                                          [TABLE_SEEDING - CATALOG_TABLES] = NODE_SEEDING_TABLE };
    const struct catalog_ops ops = { .on_changes = on_changes, .on_hashes = on_hashes };
    struct tarn_err err = { 0 };
    struct sys_addr at;
    world_open_below(&w, tables, TARN_COUNT_OF(tables), &ops);
    assert_true(sys_addr_parse(tarn_bytes_str("127.0.0.1:0"), 0, &at));
    bt = bt_session_new(
        &(struct bt_session_settings){
            .loop = w.loop, .listen = &at, .n_listen = 1, .agent = "test" },
        &err);
    assert_non_null(bt);
    assert_true(new_torrents());
    assert_true(new_seeding(""));
}

static void close_all(void)
{
    node_seeding_free(seeding);
    node_torrents_free(torrents);
    seeding = NULL;
    torrents = NULL;
    bt_session_free(bt);
    world_close(&w);
}

static int enter(void **state)
{
    (void)state;
    world_make(&w);
    open_all();
    return 0;
}

static int leave(void **state)
{
    (void)state;
    close_all();
    test_folder_remove(w.folder);
    torrent_max = 0;
    return 0;
}

/* ---- asking ---- */

struct torrent_ask {
    struct node_torrent_ask ask;
    bool is_done;
};

static void on_torrent(struct node_torrent_ask *a)
{
    TARN_OUTER(a, struct torrent_ask, ask)->is_done = true;
}

static struct node_torrent_ask add(const char *magnet)
{
    struct torrent_ask a = { .ask = { .done = on_torrent, .magnet = magnet } };
    node_torrents_add(torrents, &a.ask);
    assert_false(a.is_done);
    WORLD_UNTIL(&w, a.is_done);
    return a.ask;
}

static bool pause_torrent(uint32_t id, bool is_paused)
{
    struct torrent_ask a = { .ask = { .done = on_torrent } };
    node_torrents_pause(torrents, id, is_paused, &a.ask);
    WORLD_UNTIL(&w, a.is_done);
    return a.ask.is_ok;
}

static bool remove_torrent(uint32_t id)
{
    struct torrent_ask a = { .ask = { .done = on_torrent } };
    node_torrents_remove(torrents, id, &a.ask);
    WORLD_UNTIL(&w, a.is_done);
    return a.ask.is_ok;
}

struct seed_ask {
    struct node_seeding_ask ask;
    bool is_done;
};

static void on_seed(struct node_seeding_ask *a)
{
    TARN_OUTER(a, struct seed_ask, ask)->is_done = true;
}

static void pause_seed(uint32_t collection, bool is_paused)
{
    struct seed_ask a = { .ask = { .done = on_seed } };
    node_seeding_pause(seeding, collection, is_paused, &a.ask);
    WORLD_UNTIL(&w, a.is_done);
    assert_true(a.ask.is_ok);
}

static uint64_t records(unsigned table)
{
    struct kv_read r = { 0 };
    uint64_t n = 0;
    assert_true(kv_read_begin(w.kv, &r, NULL));
    assert_true(kv_count(&r, table, &n, NULL));
    kv_read_end(&r);
    return n;
}

#define A "magnet:?xt=urn:btih:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "magnet:?xt=urn:btih:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* ---- torrents ---- */

static void test_torrents(void **state)
{
    (void)state;
    struct node_torrent_ask a = add(A "&dn=first");
    assert_true(a.is_ok && a.is_new);
    assert_int_equal(a.result->id, 1);
    assert_string_equal(a.result->name, "first");
    assert_string_equal(a.result->folder, w.folder);
    assert_string_equal(last_event, "1 added");
    struct node_torrent_ask again = add(A);
    assert_true(again.is_ok && !again.is_new && again.result == a.result);
    a = add("nonsense");
    assert_true(!a.is_ok && a.is_malformed && a.result == NULL);
    assert_true(pause_torrent(1, true) && node_torrents_get(torrents, 1)->is_paused);
    assert_false(pause_torrent(7, true));
    assert_int_equal(add(B).result->id, 2);
    assert_true(remove_torrent(2));
    assert_string_equal(last_event, "2 removed");
    assert_false(remove_torrent(2));
    close_all();
    open_all();
    assert_int_equal(node_torrents_count(torrents), 1);
    assert_true(node_torrents_get(torrents, 1)->is_paused);
    assert_null(node_torrents_next(torrents, 1));
    assert_int_equal(add(B).result->id, 3); /* a number is given once */
}

static void test_the_same_twice_at_once(void **state)
{
    (void)state;
    struct torrent_ask a = { .ask = { .done = on_torrent, .magnet = B } }, b = a;
    node_torrents_add(torrents, &a.ask);
    node_torrents_add(torrents, &b.ask);
    WORLD_UNTIL(&w, a.is_done && b.is_done);
    assert_true(a.ask.is_ok && !b.ask.is_ok);
    assert_int_equal(b.ask.err.code, TARN_E_POLICY);
    assert_int_equal(node_torrents_count(torrents), 1);
}

/* What is here when it is asked for may be gone when that is told. */
static void test_gone_before_it_is_told(void **state)
{
    (void)state;
    struct torrent_ask add_again = { .ask = { .done = on_torrent, .magnet = A } };
    struct torrent_ask remove = { .ask = { .done = on_torrent } };
    uint32_t id = add(A).result->id;
    node_torrents_remove(torrents, id, &remove.ask);
    node_torrents_add(torrents, &add_again.ask);
    WORLD_UNTIL(&w, add_again.is_done && remove.is_done);
    assert_true(remove.ask.is_ok);
    assert_null(add_again.ask.result);
}

static void test_torrents_without_memory(void **state)
{
    (void)state;
    assert_true(add(A).is_ok && add(B).is_ok);
    assert_true(pause_torrent(1, true) && pause_torrent(2, true));
    for (size_t n = 0; n < 1000; n++) {
        node_torrents_free(torrents);
        test_mem_fail_after(n);
        bool is = new_torrents();
        bool was_short = test_mem_left == 0;
        test_mem_normal();
        if (is && !was_short)
            return;
    }
    fail_msg("it never had enough");
}

/* ---- seeding ---- */

static const struct node_seed *seed(void)
{
    return node_seeding_get(seeding, w.collection);
}

static bool is_seeded(uint64_t version)
{
    const struct node_seed *s = seed();
    return s != NULL && s->bt != NULL && s->version == version && !s->is_making;
}

static void publish(void)
{
    world_text(&w, "one", "first");
    world_text(&w, "two", "second");
    world_publish(&w, CATALOG_BT_HYBRID);
    WORLD_UNTIL(&w, is_seeded(1) && records(TABLE_SEEDING) == 1);
}

static void test_seeding(void **state)
{
    (void)state;
    struct bt_metainfo m = { 0 };
    struct tarn_err err;
    struct kv_read r = { 0 };
    struct tarn_out o;
    publish();
    tarn_out_init(&o, KV_VALUE_MAX);
    assert_true(kv_read_begin(w.kv, &r, &err));
    struct catalog_collection c = { .id = w.collection, .version = 1 };
    assert_true(node_seeding_torrent(&r, TABLE_SEEDING, &c, &o, &err));
    c.id++;
    assert_false(node_seeding_torrent(&r, TABLE_SEEDING, &c, &o, &err));
    assert_int_equal(err.code, TARN_E_DAEMON);
    kv_read_end(&r);
    assert_true(bt_metainfo_parse(&m, tarn_out_bytes(&o), &err));
    assert_string_equal(m.name, "tree");
    assert_memory_equal(m.hashes.v2, seed()->meta->hashes.v2, 32);
    assert_ptr_equal(node_seeding_hashed(seeding, tarn_bytes_of(m.hashes.v2, 32)), seed());
    assert_ptr_equal(node_seeding_hashed(seeding, tarn_bytes_of(m.hashes.v1, 20)), seed());

    world_text(&w, "three", "third");
    WORLD_UNTIL(&w, is_seeded(2));
    assert_null(node_seeding_hashed(seeding, tarn_bytes_of(m.hashes.v2, 32)));
    bt_metainfo_release(&m);
    tarn_out_release(&o);
}

/* Of each run of hashes in the sidecar the first byte. */
static void spoil_hashes(const char *const *paths, size_t n)
{
    int fd = open(w.leaves, O_RDWR | O_CLOEXEC);
    struct catalog_read r;
    struct catalog_known k;
    for (size_t i = 0; i < n; i++) {
        struct catalog_identity id = world_identity(&w, paths[i]);
        uint8_t byte;
        assert_true(catalog_read_begin(w.catalog, &r, NULL));
        assert_int_equal(catalog_known(&r, &id, &k, NULL), CATALOG_FOUND);
        catalog_read_end(&r);
        assert_int_equal(pread(fd, &byte, 1, (off_t)k.leaves.off), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)k.leaves.off), 1);
    }
    close(fd);
}

/* Nothing but the loop goes on: no file changes, nobody asks. */
static void test_a_torrent_whose_hashes_were_lost(void **state)
{
    enum { LEN = 600000 }; /* more than a piece: its torrent has hashes of its pieces */
    static const char *const paths[] = { "a", "b" };
    (void)state;
    world_run("head -c %d /dev/urandom > %s/a; head -c %d /dev/urandom > %s/b", LEN, w.tree, LEN,
              w.tree);
    world_publish(&w, CATALOG_BT_V2);
    WORLD_UNTIL(&w, is_seeded(1) && records(TABLE_SEEDING) == 1);
    uint64_t before = world_bytes_read(&w);
    node_seeding_free(seeding);
    spoil_hashes(paths, 2);
    told = (struct tarn_err){ 0 };
    assert_true(new_seeding("http://elsewhere/")); /* which is in its torrents: made anew */
    WORLD_UNTIL(&w, told.code != TARN_OK);
    assert_int_equal(told.code, TARN_E_DAEMON);
    assert_non_null(strstr(told.msg, "read again"));
    WORLD_UNTIL(&w, is_seeded(1));
    assert_int_equal(seed()->meta->n_web_seeds, 1);
    assert_null(seed()->failure);
    assert_int_equal(world_bytes_read(&w), before + 2 * LEN);
}

/* v1 pieces of files that are held are read when they are asked for: of that no version tells. */
static void test_a_torrent_that_is_to_have_v1(void **state)
{
    (void)state;
    world_run("head -c 600000 /dev/urandom > %s/a", w.tree);
    world_text(&w, "b", "b"); /* a v2 torrent of a folder has two files */
    world_publish(&w, CATALOG_BT_V2);
    WORLD_UNTIL(&w, is_seeded(1) && records(TABLE_SEEDING) == 1);
    assert_false(seed()->meta->hashes.has_v1);
    world_publish(&w, CATALOG_BT_HYBRID);
    WORLD_UNTIL(&w, is_seeded(1) && seed()->meta->hashes.has_v1);
    assert_true(seed()->meta->hashes.has_v2);
}

static void test_seeding_is_kept(void **state)
{
    (void)state;
    publish();
    pause_seed(w.collection, true);
    close_all();
    open_all();
    WORLD_UNTIL(&w, is_seeded(1));
    assert_true(seed()->is_paused);
    pause_seed(w.collection, false);
    assert_false(seed()->is_paused);
    node_seeding_free(seeding);
    assert_true(new_seeding("http://elsewhere/")); /* other torrents, from the same hashes */
    WORLD_UNTIL(&w, is_seeded(1));
    assert_int_equal(seed()->meta->n_web_seeds, 1);
}

static bool reads_torrent(uint64_t version, struct tarn_err *err)
{
    const struct catalog_collection c = { .id = w.collection, .version = version };
    struct kv_read r = { 0 };
    struct tarn_out o;
    tarn_out_init(&o, KV_VALUE_MAX);
    assert_true(kv_read_begin(w.kv, &r, err));
    bool is = node_seeding_torrent(&r, TABLE_SEEDING, &c, &o, err);
    kv_read_end(&r);
    tarn_out_release(&o);
    return is;
}

static bool is_refused(uint64_t version)
{
    struct tarn_err err = { 0 };
    return !reads_torrent(version, &err) && err.code == TARN_E_POLICY &&
           strstr(err.msg, "torrent would be larger") != NULL;
}

static void assert_none_is_seeded(void)
{
    assert_non_null(strstr(seed()->failure, "torrent would be larger"));
    assert_null(seed()->bt);
    assert_null(seed()->meta);
    assert_int_equal(seed()->version, 0);
}

/* The one of the version before is given out no more. */
static void test_a_version_that_can_have_no_torrent(void **state)
{
    struct tarn_err err;
    (void)state;
    node_seeding_free(seeding);
    torrent_max = 1000;
    assert_true(new_seeding(""));
    publish();
    assert_true(reads_torrent(1, &err));
    world_run("cd '%s' && touch $(seq 20)", w.tree);
    WORLD_UNTIL(&w, is_refused(2));
    assert_none_is_seeded();
    assert_false(reads_torrent(3, &err)); /* of the next one nothing is known yet */
    assert_int_equal(err.code, TARN_E_DAEMON);

    close_all();
    torrent_max = 0; /* one could be made now; but it is kept that there is none */
    open_all();
    WORLD_UNTIL(&w, seed() != NULL && seed()->failure != NULL);
    assert_none_is_seeded();
    assert_true(is_refused(2));

    world_run("cd '%s' && rm $(seq 20)", w.tree);
    WORLD_UNTIL(&w, is_seeded(3) && reads_torrent(3, &err));
    assert_null(seed()->failure);
}

/* It may be for the lack of a file that comes back, which makes no new version. */
static void test_no_refusal_is_kept_while_files_are_left_out(void **state)
{
    struct tarn_err err;
    (void)state;
    world_text(&w, "back\\slash", "x");
    world_text(&w, "alone", "x"); /* of which there is no v2 torrent as of a folder */
    world_publish(&w, CATALOG_BT_V2);
    WORLD_UNTIL(&w, seed() != NULL && seed()->failure != NULL);
    assert_non_null(strstr(seed()->failure, "one file in it"));
    assert_false(reads_torrent(1, &err));
    assert_int_equal(err.code, TARN_E_DAEMON);
}

static void test_nothing_is_left_of_what_is_removed(void **state)
{
    (void)state;
    struct world_ask a = { .ask = { .done = world_answered } };
    publish();
    pause_seed(w.collection, true);
    assert_int_equal(records(TABLE_SEEDING), 2);
    catalog_unpublish(w.catalog, w.collection, CATALOG_COMMANDED, &a.ask);
    WORLD_UNTIL(&w, a.is_done && seed() == NULL && records(TABLE_SEEDING) == 0);
    assert_int_equal(node_seeding_count(seeding), 0);
}

static void test_a_name_that_no_torrent_can_have(void **state)
{
    (void)state;
    world_text(&w, "back\\slash", "x");
    world_text(&w, "good", "x");
    world_publish(&w, CATALOG_BT_HYBRID);
    WORLD_UNTIL(&w, is_seeded(1));
    assert_non_null(strstr(seed()->note, "1 of its files are not in its torrent"));
    assert_string_equal(told.msg, seed()->note);
    world_run("rm '%s/back\\slash'", w.tree);
    WORLD_UNTIL(&w, is_seeded(2));
    assert_null(seed()->note);
}

/* The note is for the listing: whether somebody hears of trouble or not. */
static void test_a_note_that_nobody_is_told(void **state)
{
    (void)state;
    close_all();
    told = (struct tarn_err){ 0 };
    is_deaf = true;
    open_all();
    world_text(&w, "back\\slash", "x");
    world_text(&w, "good", "x");
    world_publish(&w, CATALOG_BT_HYBRID);
    WORLD_UNTIL(&w, is_seeded(1));
    assert_non_null(strstr(seed()->note, "1 of its files are not in its torrent"));
    assert_int_equal(told.code, TARN_OK);
    is_deaf = false;
}

/* ---- notes in the journal ---- */

static void test_notes(void **state)
{
    (void)state;
    struct catalog_read r;
    struct catalog_change ch;
    for (unsigned i = 1; i <= 50; i++)
        catalog_note(w.catalog, i, tarn_bytes_str("name"), "word", tarn_bytes_str("other"));
    WORLD_UNTIL(&w, catalog_seq(w.catalog) == 50);
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    for (uint64_t seq = 0; seq < 50; seq++) {
        assert_int_equal(catalog_change_next(&r, seq, &ch, NULL), CATALOG_FOUND);
        assert_int_equal(ch.event, CATALOG_E_NOTE);
        assert_int_equal(ch.number, seq + 1); /* in the order in which they were given */
        assert_true(tarn_bytes_eq_str(ch.name, "name") && tarn_bytes_eq_str(ch.path, "word") &&
                    tarn_bytes_eq_str(ch.other, "other"));
    }
    catalog_read_end(&r);
    catalog_note(w.catalog, 51, tarn_bytes_str("left behind"), "word", tarn_bytes_str(""));
    close_all(); /* with one on its way */
    open_all();
    assert_int_equal(catalog_seq(w.catalog), 51);
}

/* ---- REFs ---- */

static enum tarn_code find_by(const char *ref, struct node_path path, struct node_ref *out)
{
    struct catalog_read r;
    struct tarn_err err = { 0 };
    assert_true(catalog_read_begin(w.catalog, &r, NULL));
    const struct node_ref_in in = { .read = &r,
                                    .torrents = torrents,
                                    .seeding = seeding,
                                    .public_url = "http://here:1/x/",
                                    .path = path };
    bool is = node_ref_find(&in, tarn_bytes_str(ref), out, &err);
    catalog_read_end(&r);
    assert_true(is == (err.code == TARN_OK) || is);
    return is ? TARN_OK : err.code;
}

static enum tarn_code find(const char *ref, struct node_ref *out)
{
    return find_by(ref, (struct node_path){ 0 }, out);
}

static void assert_collection(const char *head, const char *rest)
{
    char ref[4200];
    struct node_ref out = { 0 };
    snprintf(ref, sizeof ref, "%s%s", head, rest);
    assert_int_equal(find(ref, &out), TARN_OK);
    assert_int_equal(out.kind, NODE_REF_COLLECTION);
    assert_int_equal(out.collection.id, w.collection);
}

static void assert_file(const char *head, const char *rest)
{
    char ref[4200];
    struct node_ref out = { 0 };
    snprintf(ref, sizeof ref, "%s%s", head, rest);
    assert_int_equal(find(ref, &out), TARN_OK);
    assert_int_equal(out.kind, NODE_REF_ENTRY);
    assert_int_equal(out.entry.identity.len, 5);
}

static void test_refs(void **state)
{
    (void)state;
    char hex[65];
    struct node_ref out;
    publish();
    assert_true(add(A "&dn=tree2").is_ok);
    assert_collection("tree", "");
    assert_collection("tree", "/");
    assert_collection(w.tree, "");
    assert_collection(w.tree, "//");
    assert_collection("1", "");
    assert_collection("", tarn_hex(hex, tarn_bytes_of(seed()->meta->hashes.v1, 20)));
    assert_collection("magnet:?xt=urn:btih:", hex);
    assert_collection("", tarn_hex(hex, tarn_bytes_of(seed()->meta->hashes.v2, 32)));
    assert_collection("http://here:1/x/c/", "tree?as=torrent");
    assert_file("tree", "/one");
    assert_file(w.tree, "/one");
    assert_file("http://here:1/x/c/tree/", "one#part");
    assert_file("http://here:1/x/c/tree/%6fn", "e");
    assert_int_equal(find("2", &out), TARN_OK);
    assert_int_equal(out.kind, NODE_REF_TORRENT);
    assert_int_equal(find("tree2", &out), TARN_OK);
    assert_ptr_equal(out.torrent, node_torrents_get(torrents, 1));
    static const char *const none[] = {
        "",
        "0",
        "3",
        "4",
        "tre",
        "tree/x",
        "tree/one/",
        "tree/one/x",
        "/",
        "//tree",
        "tree/../tree",
        "http://there:1/x/c/tree",
        "http://here:1/c/tree",
        "magnet:?xt=urn:btih:0000000000000000000000000000000000000000"
    };
    for (size_t i = 0; i < TARN_COUNT_OF(none); i++)
        if (strcmp(none[i], "tree/one/") != 0) /* a '/' more is no harm */
            assert_int_equal(find(none[i], &out), TARN_E_NOT_FOUND);
    assert_true(add(B "&dn=tree2").is_ok);
    assert_int_equal(find("tree2", &out), TARN_E_USAGE);
}

/* A path that leads elsewhere is what it leads to, but first what it is written as. */
static void test_refs_by_other_paths(void **state)
{
    (void)state;
    char one[4200], none[4200];
    struct node_ref out;
    publish();
    snprintf(one, sizeof one, "%s/one", w.tree);
    snprintf(none, sizeof none, "%s/none", w.tree);
    assert_int_equal(find_by("/link", (struct node_path){ .named = w.tree }, &out), TARN_OK);
    assert_int_equal(out.kind, NODE_REF_COLLECTION);
    assert_int_equal(find_by("/link/x", (struct node_path){ none, one }, &out), TARN_OK);
    assert_int_equal(out.entry.identity.len, 5);
    assert_int_equal(find_by("/link/x", (struct node_path){ one, w.tree }, &out), TARN_OK);
    assert_int_equal(out.kind, NODE_REF_ENTRY);
    assert_int_equal(find_by(w.tree, (struct node_path){ one, one }, &out), TARN_OK);
    assert_int_equal(out.kind, NODE_REF_COLLECTION);
    assert_int_equal(find_by("tree2", (struct node_path){ w.tree, one }, &out), TARN_E_NOT_FOUND);
    assert_int_equal(find_by("/x", (struct node_path){ none, NULL }, &out), TARN_E_NOT_FOUND);
}

static void test_refs_without_memory(void **state)
{
    (void)state;
    struct node_ref out;
    publish();
    static const char *const refs[] = { "tree", "tree/one", "http://here:1/x/c/tree/one", A,
                                        "none" };
    for (size_t i = 0; i < TARN_COUNT_OF(refs); i++)
        for (size_t n = 0;; n++) {
            assert_true(n < 100);
            test_mem_fail_after(n);
            (void)find(refs[i], &out);
            bool was_short = test_mem_left == 0;
            test_mem_normal();
            if (!was_short)
                break;
        }
}

#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, enter, leave)
TEST_MAIN(IN_A_WORLD(test_torrents), IN_A_WORLD(test_the_same_twice_at_once),
          IN_A_WORLD(test_gone_before_it_is_told), IN_A_WORLD(test_torrents_without_memory),
          IN_A_WORLD(test_seeding), IN_A_WORLD(test_a_torrent_whose_hashes_were_lost),
          IN_A_WORLD(test_a_torrent_that_is_to_have_v1), IN_A_WORLD(test_seeding_is_kept),
          IN_A_WORLD(test_a_version_that_can_have_no_torrent),
          IN_A_WORLD(test_no_refusal_is_kept_while_files_are_left_out),
          IN_A_WORLD(test_nothing_is_left_of_what_is_removed),
          IN_A_WORLD(test_a_name_that_no_torrent_can_have),
          IN_A_WORLD(test_a_note_that_nobody_is_told), IN_A_WORLD(test_notes),
          IN_A_WORLD(test_refs), IN_A_WORLD(test_refs_by_other_paths),
          IN_A_WORLD(test_refs_without_memory))
