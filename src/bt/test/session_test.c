/* Whole sessions on one loop, over loopback: what one seeds the other fetches, byte for byte. */
#include "bt/test/world.h"

#include <fcntl.h>

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

static uint32_t file_named(const struct side *s, const char *path)
{
    for (uint32_t i = 0; i < s->meta.n_files; i++)
        if (strcmp(s->meta.files[i].path, path) == 0)
            return i;
    fail_msg("no '%s'", path);
    return 0;
}

/* One byte, behind everybody's back: length, inode and times stay as they were. */
static void edit_unseen(const struct world *w, const char *name, off_t at)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/seed/pay/%s", w->folder, name);
    int fd = open(path, O_RDWR);
    uint8_t byte;
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    struct timespec times[2] = { st.st_atim, st.st_mtim };
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static uint64_t missing(const struct side *s)
{
    struct bt_stats stats;
    bt_torrent_stats(s->torrent, &stats);
    return stats.total - stats.done;
}

/* The owner tells of an edit that nothing else shows: exactly what is not as it was is lost, also
 * where the data was trusted. */
static void told_of_an_edit(void **state)
{
    (void)state;
    for (int trust = 0; trust < 2; trust++) {
        struct world w;
        struct side seed;
        world_init(&w, BT_HYBRID);
        side_seed(&seed, &w, "seed", trust != 0);
        assert_true(run_until(&w, &seed.is_complete));
        uint32_t longest = file_named(&seed, "pay/b/long"), other = file_named(&seed, "pay/a");
        edit_unseen(&w, "b/long", 100000);
        bt_torrent_suspect(seed.torrent, other); /* there is nothing wrong with that one */
        bt_torrent_suspect(seed.torrent, seed.meta.n_files);
        for (int i = 0; i < 30; i++)
            assert_true(loop_turn(w.loop, 10000, NULL));
        assert_int_equal(missing(&seed), 0);
        bt_torrent_suspect(seed.torrent, longest);
        int64_t end = sys_now_us() + PATIENCE_US;
        while (missing(&seed) == 0 && sys_now_us() < end)
            assert_true(loop_turn(w.loop, 100000, NULL));
        assert_int_equal(missing(&seed), PIECE);
        assert_int_equal(seed.err.code, TARN_OK);
        edit_unseen(&w, "a", 1);
        bt_torrent_suspect(seed.torrent, longest); /* again, and one more while that runs */
        bt_torrent_suspect(seed.torrent, BT_ALL_FILES);
        while (missing(&seed) == PIECE && sys_now_us() < end)
            assert_true(loop_turn(w.loop, 100000, NULL));
        assert_int_equal(missing(&seed), 2 * PIECE);
        side_close(&seed);
        world_release(&w);
    }
}

/* A v1 and a v2 link of one hybrid: whichever learns last that they are the same says so; they
 * never write the same files together. */
static void both_links_of_a_hybrid(void **state)
{
    (void)state;
    struct world w;
    struct side seed, one, two;
    struct bt_magnet links[2];
    world_init(&w, BT_HYBRID);
    side_seed(&seed, &w, "seed", false);
    assert_true(run_until(&w, &seed.is_complete));
    links[0] = links[1] = w.magnet;
    links[0].hashes.has_v2 = false;
    links[1].hashes.has_v1 = false;
    side_open(&one, &w, "got");
    two = one;
    struct sys_addr_text text;
    struct sys_addr at = bt_session_addr(seed.session, 0);
    struct side *sides[2] = { &one, &two };
    for (int i = 0; i < 2; i++) {
        snprintf(sides[i]->peer, sizeof sides[i]->peer, "%s", sys_addr_text(&text, &at));
        sides[i]->peers[0] = sides[i]->peer;
        struct bt_add add = { .magnet = &links[i],
                              .path = one.path,
                              .peers = sides[i]->peers,
                              .n_peers = 1,
                              .ops = &ops,
                              .arg = sides[i] };
        sides[i]->torrent = bt_session_add(one.session, &add, NULL);
        assert_non_null(sides[i]->torrent);
    }
    int64_t end = sys_now_us() + PATIENCE_US;
    while (((!one.is_complete && !two.is_complete) ||
            (one.err.code == TARN_OK && two.err.code == TARN_OK)) &&
           sys_now_us() < end)
        assert_true(loop_turn(w.loop, 100000, NULL));
    assert_true(one.is_complete != two.is_complete);
    const struct side *refused = one.is_complete ? &two : &one;
    assert_int_equal(refused->err.code, TARN_E_FAILED);
    assert_non_null(strstr(refused->err.msg, "the same torrent as another one here"));
    assert_same_files(&w, &one);
    side_close(&one);
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
          cmocka_unit_test(goes_on_where_it_was), cmocka_unit_test(told_of_an_edit),
          cmocka_unit_test(both_links_of_a_hybrid), cmocka_unit_test(leaving_in_the_middle))
