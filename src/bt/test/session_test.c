/* Whole sessions on one loop, over loopback: what one seeds the other fetches, byte for byte. */
#include "bt/session.h"

#include "base/mem.h"
#include "base/test/test.h"
#include "bt/core/create.h"
#include "crypt/merkle.h"
#include "crypt/sha.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 32768, FILES = 4, PATIENCE_US = 20 * 1000000 };

static const char *const names[FILES] = { "a", "b/empty", "b/long", "c" };
static const uint64_t lengths[FILES] = { 50000, 0, 300001, 32768 };

struct world {
    char folder[64];
    struct loop *loop;
    struct bt_metainfo meta;
    struct tarn_out torrent, magnet_text;
    struct bt_magnet magnet;
    uint8_t *bytes[FILES];
};

/* --- a payload and its torrent --- */

static void write_file(const char *root, const char *name, struct tarn_bytes data)
{
    char path[256];
    snprintf(path, sizeof path, "%s/pay/%s", root, name);
    char *slash = strrchr(path, '/');
    *slash = 0;
    assert_true(sys_make_folders(path, NULL));
    *slash = '/';
    assert_true(sys_write_whole(path, data, NULL));
}

static void hash_v2(struct bt_new_file *f, struct tarn_bytes data, uint8_t *root, uint8_t *layer)
{
    size_t n_leaves = (data.len + BT_BLOCK - 1) / BT_BLOCK, per_piece = PIECE / BT_BLOCK;
    uint8_t leaves[64 * MERKLE_HASH];
    if (n_leaves == 0)
        return;
    for (size_t i = 0; i < n_leaves; i++) {
        size_t at = i * BT_BLOCK, len = data.len - at < BT_BLOCK ? data.len - at : BT_BLOCK;
        crypt_hash(CRYPT_SHA256, tarn_bytes_of(data.p + at, len), leaves + i * MERKLE_HASH);
    }
    size_t n_pieces = (n_leaves + per_piece - 1) / per_piece;
    for (size_t p = 0; p < n_pieces; p++) {
        uint8_t work[2 * MERKLE_HASH];
        size_t n = n_leaves - p * per_piece < per_piece ? n_leaves - p * per_piece : per_piece;
        memcpy(work, leaves + p * per_piece * MERKLE_HASH, n * MERKLE_HASH);
        merkle_root(work, n, per_piece, 0, layer + p * MERKLE_HASH);
    }
    uint64_t width = 1;
    while (width < n_leaves)
        width *= 2;
    merkle_root(leaves, n_leaves, width, 0, root);
    f->root = root;
    f->layer = n_pieces > 1 ? layer : NULL;
}

static void make_torrent(struct world *w, enum bt_format format)
{
    static uint8_t roots[FILES][MERKLE_HASH], layers[FILES][32 * MERKLE_HASH], pieces[64 * 20];
    static uint8_t space[1 << 20];
    struct bt_new_file files[FILES];
    uint64_t total = 0;
    memset(space, 0, sizeof space);
    for (int i = 0; i < FILES; i++) {
        files[i] = (struct bt_new_file){ .path = tarn_bytes_str(names[i]), .len = lengths[i] };
        memcpy(space + total, w->bytes[i], lengths[i]);
        total += lengths[i] + bt_create_pad(format, lengths[i], PIECE, false);
        if (format != BT_V1)
            hash_v2(&files[i], tarn_bytes_of(w->bytes[i], lengths[i]), roots[i], layers[i]);
    }
    uint32_t n_pieces = (uint32_t)((total + PIECE - 1) / PIECE);
    for (uint32_t p = 0; p < n_pieces; p++) {
        uint64_t at = (uint64_t)p * PIECE;
        size_t len = total - at < PIECE ? (size_t)(total - at) : PIECE;
        crypt_hash(CRYPT_SHA1, tarn_bytes_of(space + at, len), pieces + 20 * p);
    }
    struct bt_new t = {
        .format = format,
        .name = tarn_bytes_str("pay"),
        .files = files,
        .n_files = FILES,
        .piece_len = PIECE,
        .pieces = format == BT_V2 ? NULL : pieces,
        .n_pieces = n_pieces,
        .created_at = -1,
    };
    tarn_out_init(&w->torrent, TARN_MIB);
    bt_create_write(&t, &w->torrent);
}

static void world_init(struct world *w, enum bt_format format)
{
    struct tarn_err err;
    memset(w, 0, sizeof *w);
    snprintf(w->folder, sizeof w->folder, "/tmp/tarn-session-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    uint64_t chance = test_seed();
    for (int i = 0; i < FILES; i++) {
        char root[96];
        w->bytes[i] = tarn_calloc(lengths[i] + 1, 1);
        for (uint64_t b = 0; b < lengths[i]; b++)
            w->bytes[i][b] = (uint8_t)test_rand(&chance);
        snprintf(root, sizeof root, "%s/seed", w->folder);
        write_file(root, names[i], tarn_bytes_of(w->bytes[i], lengths[i]));
    }
    make_torrent(w, format);
    if (!bt_metainfo_parse(&w->meta, tarn_out_bytes(&w->torrent), &err))
        fail_msg("%s", err.msg);
    tarn_out_init(&w->magnet_text, TARN_MIB);
    bt_magnet_write(&w->meta, &w->magnet_text);
    if (!bt_magnet_parse(&w->magnet, tarn_out_bytes(&w->magnet_text), &err))
        fail_msg("%s", err.msg);
    w->loop = loop_new(&(struct loop_settings){ .threads = 2 }, &err);
    assert_non_null(w->loop);
}

static void world_release(struct world *w)
{
    char command[128];
    loop_free(w->loop);
    bt_metainfo_release(&w->meta);
    bt_magnet_release(&w->magnet);
    tarn_out_release(&w->torrent);
    tarn_out_release(&w->magnet_text);
    for (int i = 0; i < FILES; i++)
        tarn_free(w->bytes[i]);
    snprintf(command, sizeof command, "rm -rf '%s'", w->folder);
    assert_int_equal(system(command), 0);
}

/* --- one side of a transfer --- */

struct side {
    struct bt_session *session;
    struct bt_torrent *torrent;
    struct bt_metainfo meta; /* a copy of its own: what it learns it writes there */
    char path[96], peer[64];
    const char *peers[1];
    bool is_complete, has_metadata;
    struct tarn_err err;
};

static void on_metadata(void *arg, const struct bt_metainfo *m)
{
    struct side *s = arg;
    assert_non_null(m->name);
    s->has_metadata = true;
}

static void on_complete(void *arg)
{
    ((struct side *)arg)->is_complete = true;
}

static void on_failed(void *arg, const struct tarn_err *err)
{
    ((struct side *)arg)->err = *err;
}

static const struct bt_torrent_ops ops = { on_metadata, on_complete, on_failed };

static void note(void *arg, struct bt_torrent *t, const char *text)
{
    (void)t;
    printf("# %s: %s\n", ((struct side *)arg)->path, text);
}

static void side_open(struct side *s, struct world *w, const char *folder)
{
    struct tarn_err err;
    struct sys_addr at;
    memset(s, 0, sizeof *s);
    assert_true(sys_addr_parse(tarn_bytes_str("127.0.0.1:0"), 1, &at));
    snprintf(s->path, sizeof s->path, "%s/%s", w->folder, folder);
    struct bt_session_settings set = {
        .loop = w->loop, .listen = &at, .n_listen = 1, .agent = "test", .on_note = note, .arg = s
    };
    s->session = bt_session_new(&set, &err);
    if (s->session == NULL)
        fail_msg("%s", err.msg);
    if (!bt_metainfo_parse(&s->meta, tarn_out_bytes(&w->torrent), &err))
        fail_msg("%s", err.msg);
}

static void side_close(struct side *s)
{
    bt_session_free(s->session);
    bt_metainfo_release(&s->meta);
}

static void side_seed(struct side *s, struct world *w, const char *folder, bool trust)
{
    struct tarn_err err;
    side_open(s, w, folder);
    struct bt_add add = {
        .meta = &s->meta, .path = s->path, .seed_only = true, .trust = trust, .ops = &ops, .arg = s
    };
    s->torrent = bt_session_add(s->session, &add, &err);
    assert_non_null(s->torrent);
}

static void side_fetch(struct side *s, struct world *w, const char *folder, const struct side *from,
                       bool by_magnet)
{
    struct tarn_err err;
    struct sys_addr_text text;
    struct sys_addr at = bt_session_addr(from->session, 0);
    side_open(s, w, folder);
    snprintf(s->peer, sizeof s->peer, "%s", sys_addr_text(&text, &at));
    s->peers[0] = s->peer;
    struct bt_add add = { .meta = by_magnet ? NULL : &s->meta,
                          .magnet = by_magnet ? &w->magnet : NULL,
                          .path = s->path,
                          .peers = s->peers,
                          .n_peers = 1,
                          .ops = &ops,
                          .arg = s };
    s->torrent = bt_session_add(s->session, &add, &err);
    if (s->torrent == NULL)
        fail_msg("%s", err.msg);
}

static bool run_until(struct world *w, const bool *flag)
{
    int64_t end = sys_now_us() + PATIENCE_US;
    while (!*flag && sys_now_us() < end)
        assert_true(loop_turn(w->loop, 100000, NULL));
    return *flag;
}

static void assert_same_files(const struct world *w, const struct side *s)
{
    for (int i = 0; i < FILES; i++) {
        char path[256];
        uint8_t *got;
        size_t len;
        snprintf(path, sizeof path, "%s/pay/%s", s->path, names[i]);
        assert_true(sys_read_whole(path, TARN_MIB, &got, &len, NULL));
        assert_int_equal(len, lengths[i]);
        assert_memory_equal(got, w->bytes[i], len);
        tarn_free(got);
    }
}

/* --- tests --- */

static void transfers(enum bt_format format, bool by_magnet)
{
    struct world w;
    struct side seed, fetch;
    world_init(&w, format);
    side_seed(&seed, &w, "seed", false);
    assert_true(run_until(&w, &seed.is_complete));
    side_fetch(&fetch, &w, "got", &seed, by_magnet);
    assert_true(run_until(&w, &fetch.is_complete));
    assert_int_equal(fetch.has_metadata, by_magnet);
    assert_same_files(&w, &fetch);
    struct bt_stats stats;
    bt_torrent_stats(fetch.torrent, &stats);
    assert_int_equal(stats.state, BT_SEEDING);
    assert_int_equal(stats.done, stats.total);
    assert_int_equal(stats.pieces_failed, 0);
    assert_int_equal(stats.downloaded, stats.total);
    side_close(&fetch);
    side_close(&seed);
    world_release(&w);
}

static void v1(void **state)
{
    (void)state;
    transfers(BT_V1, false);
}

static void v2(void **state)
{
    (void)state;
    transfers(BT_V2, false);
}

static void hybrid(void **state)
{
    (void)state;
    transfers(BT_HYBRID, false);
}

static void v1_magnet(void **state)
{
    (void)state;
    transfers(BT_V1, true);
}

static void v2_magnet(void **state)
{
    (void)state;
    transfers(BT_V2, true);
}

static void hybrid_magnet(void **state)
{
    (void)state;
    transfers(BT_HYBRID, true);
}

/* A seed that trusts data which is bad: nothing of it is believed, and the bad seed is banned. */
static void bad_seed(void **state)
{
    (void)state;
    struct world w;
    struct side bad, good, fetch;
    char root[96];
    world_init(&w, BT_V1);
    snprintf(root, sizeof root, "%s/bad", w.folder);
    for (int i = 0; i < FILES; i++) {
        uint8_t kept = w.bytes[i][0];
        w.bytes[i][0] ^= 1;
        write_file(root, names[i], tarn_bytes_of(w.bytes[i], lengths[i]));
        w.bytes[i][0] = kept;
    }
    side_seed(&bad, &w, "bad", true);
    assert_true(run_until(&w, &bad.is_complete));
    side_fetch(&fetch, &w, "got", &bad, false);
    struct bt_stats stats = { 0 };
    int64_t end = sys_now_us() + PATIENCE_US;
    while (stats.pieces_failed == 0 && sys_now_us() < end) {
        assert_true(loop_turn(w.loop, 100000, NULL));
        bt_torrent_stats(fetch.torrent, &stats);
    }
    assert_true(stats.pieces_failed > 0);
    assert_false(fetch.is_complete);

    struct sys_addr_text text;
    side_seed(&good, &w, "seed", false);
    assert_true(run_until(&w, &good.is_complete));
    struct sys_addr at = bt_session_addr(fetch.session, 0);
    snprintf(good.peer, sizeof good.peer, "%s", sys_addr_text(&text, &at));
    good.peers[0] = good.peer;
    bt_session_remove(good.session, good.torrent);
    struct bt_add add = { .meta = &good.meta,
                          .path = good.path,
                          .seed_only = true,
                          .peers = good.peers,
                          .n_peers = 1,
                          .ops = &ops,
                          .arg = &good };
    good.torrent = bt_session_add(good.session, &add, NULL);
    assert_non_null(good.torrent);
    assert_true(run_until(&w, &fetch.is_complete));
    assert_same_files(&w, &fetch);
    side_close(&fetch);
    side_close(&bad);
    side_close(&good);
    world_release(&w);
}

static void seeding_damaged_data_refuses(void **state)
{
    (void)state;
    struct world w;
    struct side seed;
    world_init(&w, BT_HYBRID);
    char root[96];
    snprintf(root, sizeof root, "%s/seed", w.folder);
    w.bytes[2][100000] ^= 1;
    write_file(root, names[2], tarn_bytes_of(w.bytes[2], lengths[2]));
    side_seed(&seed, &w, "seed", false);
    int64_t end = sys_now_us() + PATIENCE_US;
    while (seed.err.code == TARN_OK && sys_now_us() < end)
        assert_true(loop_turn(w.loop, 100000, NULL));
    assert_int_equal(seed.err.code, TARN_E_INTEGRITY);
    side_close(&seed);
    world_release(&w);
}

/* What was there before is not fetched again. */
static void goes_on_where_it_was(void **state)
{
    (void)state;
    struct world w;
    struct side seed, fetch;
    char root[96];
    world_init(&w, BT_HYBRID);
    snprintf(root, sizeof root, "%s/got", w.folder);
    write_file(root, names[2], tarn_bytes_of(w.bytes[2], lengths[2]));
    side_seed(&seed, &w, "seed", false);
    assert_true(run_until(&w, &seed.is_complete));
    side_fetch(&fetch, &w, "got", &seed, false);
    assert_true(run_until(&w, &fetch.is_complete));
    assert_same_files(&w, &fetch);
    struct bt_stats stats;
    bt_torrent_stats(fetch.torrent, &stats);
    assert_int_equal(stats.downloaded, stats.total - lengths[2]);
    side_close(&fetch);
    side_close(&seed);
    world_release(&w);
}

static void leaving_in_the_middle(void **state)
{
    (void)state;
    for (int turns = 0; turns < 40; turns++) {
        struct world w;
        struct side seed, fetch;
        world_init(&w, BT_HYBRID);
        side_seed(&seed, &w, "seed", true);
        side_fetch(&fetch, &w, "got", &seed, turns % 2 == 0);
        for (int i = 0; i < turns; i++)
            assert_true(loop_turn(w.loop, 1000, NULL));
        side_close(turns % 3 == 0 ? &seed : &fetch);
        for (int i = 0; i < 3; i++)
            assert_true(loop_turn(w.loop, 1000, NULL));
        side_close(turns % 3 == 0 ? &fetch : &seed);
        world_release(&w);
    }
}

TEST_MAIN(cmocka_unit_test(v1), cmocka_unit_test(v2), cmocka_unit_test(hybrid),
          cmocka_unit_test(v1_magnet), cmocka_unit_test(v2_magnet), cmocka_unit_test(hybrid_magnet),
          cmocka_unit_test(bad_seed), cmocka_unit_test(seeding_damaged_data_refuses),
          cmocka_unit_test(goes_on_where_it_was), cmocka_unit_test(leaving_in_the_middle))
