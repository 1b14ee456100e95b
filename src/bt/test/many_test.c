/* Several torrents in one session: pausing, limits, choosing files, what they may keep in memory,
 * and what they cost when nothing happens. */
#include "bt/core/picker.h"
#include "bt/test/world.h"
#include "sys/fake.h"

static void turn_for(struct world *w, int64_t us)
{
    int64_t end = sys_now_us() + us;
    while (sys_now_us() < end)
        assert_true(loop_turn(w->loop, 10000, NULL));
}

static struct bt_stats stats_of(const struct side *s)
{
    struct bt_stats stats;
    bt_torrent_stats(s->torrent, &stats);
    return stats;
}

static bool run_until_peers(struct world *w, const struct side *s, uint32_t n)
{
    int64_t end = sys_now_us() + PATIENCE_US;
    while (stats_of(s).peers != n && sys_now_us() < end)
        assert_true(loop_turn(w->loop, 100000, NULL));
    return stats_of(s).peers == n;
}

static void pausing(void **state)
{
    (void)state;
    struct world w;
    struct side seed, fetch;
    world_init(&w, BT_HYBRID);
    side_seed(&seed, &w, "seed", true);
    assert_true(run_until(&w, &seed.is_complete));
    bt_torrent_pause(seed.torrent);
    bt_torrent_pause(seed.torrent); /* twice is once */
    assert_true(stats_of(&seed).is_paused);
    side_fetch(&fetch, &w, "got", &seed, false);
    turn_for(&w, 300000);
    assert_false(fetch.is_complete);
    assert_int_equal(stats_of(&seed).peers, 0); /* a paused one takes nobody */

    bt_torrent_resume(seed.torrent);
    assert_true(run_until(&w, &fetch.is_complete)); /* the given peer is tried again */
    bt_torrent_pause(fetch.torrent);
    turn_for(&w, 10000);
    assert_int_equal(stats_of(&fetch).peers, 0);
    assert_int_equal(stats_of(&fetch).state, BT_SEEDING);
    side_close(&fetch);
    side_close(&seed);
    world_release(&w);
}

/* Paused from the start: it is made ready and checked, and asks nobody. */
static void pausing_while_fetching(void **state)
{
    (void)state;
    struct world w;
    struct side seed, fetch;
    world_init(&w, BT_V1);
    side_seed(&seed, &w, "seed", true);
    assert_true(run_until(&w, &seed.is_complete));
    side_fetch(&fetch, &w, "got", &seed, false);
    struct bt_torrent_limits slow = { .rate_down = 100000 };
    assert_true(bt_torrent_set_limits(fetch.torrent, &slow, NULL));
    for (int i = 0; i < 20 && !fetch.is_complete; i++) {
        bt_torrent_pause(fetch.torrent);
        turn_for(&w, 5000);
        bt_torrent_resume(fetch.torrent);
        turn_for(&w, 50000);
    }
    struct bt_torrent_limits none = { 0 };
    assert_true(bt_torrent_set_limits(fetch.torrent, &none, NULL));
    assert_true(run_until(&w, &fetch.is_complete));
    assert_same_files(&w, &fetch);
    side_close(&fetch);
    side_close(&seed);
    world_release(&w);
}

static void its_own_limit(void **state)
{
    (void)state;
    struct world w;
    struct side seed, fetch;
    world_init(&w, BT_V1);
    side_seed(&seed, &w, "seed", true);
    assert_true(run_until(&w, &seed.is_complete));
    struct bt_torrent_limits slow = { .rate_up = 50000 };
    assert_true(bt_torrent_set_limits(seed.torrent, &slow, NULL));
    side_fetch(&fetch, &w, "got", &seed, false);
    int64_t from = sys_now_us();
    turn_for(&w, 2000000);
    double seconds = (double)(sys_now_us() - from) / 1e6;
    /* what fits in the time, the burst that had been saved up, and one block too much */
    assert_true((double)stats_of(&seed).uploaded < 50000 * (seconds + 0.2) + BT_BLOCK);
    assert_true(stats_of(&seed).uploaded > 0);
    bt_session_set_rates(seed.session, 0, 1000000);
    slow.rate_up = 0;
    assert_true(bt_torrent_set_limits(seed.torrent, &slow, NULL));
    assert_true(run_until(&w, &fetch.is_complete));
    side_close(&fetch);
    side_close(&seed);
    world_release(&w);
}

static void its_own_number_of_peers(void **state)
{
    (void)state;
    struct world w;
    struct side seed, first, second;
    world_init(&w, BT_V2);
    side_seed(&seed, &w, "seed", true);
    assert_true(run_until(&w, &seed.is_complete));
    struct bt_torrent_limits one = { .max_peers = 1, .rate_up = 1 };
    assert_true(bt_torrent_set_limits(seed.torrent, &one, NULL));
    side_fetch(&first, &w, "first", &seed, false);
    assert_true(run_until_peers(&w, &seed, 1));
    side_fetch(&second, &w, "second", &seed, false);
    turn_for(&w, 300000);
    assert_int_equal(stats_of(&seed).peers, 1);
    side_close(&second);
    side_close(&first);
    side_close(&seed);
    world_release(&w);
}

static bool wants_c(void *arg, const struct bt_file *f)
{
    (void)arg;
    return strcmp(f->path, "pay/c") == 0;
}

static bool is_there(const struct side *s, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/pay/%s", s->path, name);
    return access(path, F_OK) == 0;
}

/* One file at first; when it is here, the others too. */
static void choosing_files_later(void **state)
{
    (void)state;
    for (int format = BT_V1; format <= BT_HYBRID; format++) {
        struct world w;
        struct side seed, fetch;
        struct tarn_err err;
        world_init(&w, (enum bt_format)format);
        side_seed(&seed, &w, "seed", true);
        assert_true(run_until(&w, &seed.is_complete));
        side_open(&fetch, &w, "got");
        struct bt_add add = {
            .meta = &fetch.meta, .path = fetch.path, .wants = wants_c, .ops = &ops, .arg = &fetch
        };
        fetch.torrent = bt_session_add(fetch.session, &add, &err);
        assert_non_null(fetch.torrent);
        struct sys_addr at = bt_session_addr(seed.session, 0);
        bt_torrent_add_peer(fetch.torrent, &at);
        assert_true(run_until(&w, &fetch.is_complete));
        assert_true(is_there(&fetch, "c"));
        assert_false(is_there(&fetch, "b/long"));
        assert_int_equal(stats_of(&fetch).total, lengths[3]);

        uint8_t all[16];
        uint32_t n = fetch.meta.n_files;
        memset(all, BT_PRIORITY_SKIP, sizeof all);
        assert_false(bt_torrent_set_priorities(fetch.torrent, all, &err)); /* nothing at all */
        memset(all, BT_PRIORITY_TOP + 1, sizeof all);
        assert_false(bt_torrent_set_priorities(fetch.torrent, all, &err));
        memset(all, BT_PRIORITY_NORMAL, sizeof all);
        assert_true(n <= sizeof all);
        fetch.is_complete = false;
        assert_true(bt_torrent_set_priorities(fetch.torrent, all, &err));
        assert_true(run_until(&w, &fetch.is_complete));
        assert_same_files(&w, &fetch);
        assert_int_equal(stats_of(&fetch).done, fetch.meta.payload);
        side_close(&fetch);
        side_close(&seed);
        world_release(&w);
    }
}

static void seeds_have_no_priorities(void **state)
{
    (void)state;
    struct world w;
    struct side seed;
    uint8_t all[16] = { 4, 4, 4, 4 };
    world_init(&w, BT_V1);
    side_seed(&seed, &w, "seed", true);
    assert_true(run_until(&w, &seed.is_complete));
    assert_false(bt_torrent_set_priorities(seed.torrent, all, NULL));
    side_close(&seed);
    world_release(&w);
}

/* What a torrent needs is refused when it is more than may be kept. */
static void memory_for_metadata(void **state)
{
    (void)state;
    struct world w;
    struct side s;
    struct tarn_err err;
    struct bt_session_stats stats;
    world_init(&w, BT_HYBRID);
    side_open(&s, &w, "seed");
    bt_session_stats(s.session, &stats);
    assert_int_equal(stats.metadata_used, 0);
    bt_session_free(s.session);
    struct sys_addr at;
    assert_true(sys_addr_parse(tarn_bytes_str("127.0.0.1:0"), 1, &at));
    struct bt_session_settings set = {
        .loop = w.loop, .listen = &at, .n_listen = 1, .agent = "test", .metadata = 2500
    };
    s.session = bt_session_new(&set, &err);
    assert_non_null(s.session);
    struct bt_add add = {
        .meta = &s.meta, .path = s.path, .seed_only = true, .ops = &ops, .arg = &s
    };
    s.torrent = bt_session_add(s.session, &add, &err);
    if (s.torrent != NULL) { /* it is told when it turns out */
        turn_for(&w, 1000);
        err = s.err;
    }
    assert_int_equal(err.code, TARN_E_POLICY);
    assert_non_null(strstr(err.msg, "--metadata"));
    side_close(&s);
    world_release(&w);
}

static void nothing_stays_charged(void **state)
{
    (void)state;
    struct world w;
    struct side seed, fetch;
    struct bt_session_stats stats;
    world_init(&w, BT_HYBRID);
    side_seed(&seed, &w, "seed", false);
    side_fetch(&fetch, &w, "got", &seed, true);
    assert_true(run_until(&w, &fetch.is_complete));
    bt_session_stats(fetch.session, &stats);
    assert_int_equal(stats.torrents, 1);
    assert_true(stats.metadata_used > 0);
    assert_int_equal(stats.downloaded, fetch.meta.payload);
    assert_int_equal(stats.pieces_failed, 0);
    assert_int_equal(stats.dialled, 1);
    bt_session_remove(fetch.session, fetch.torrent);
    bt_session_remove(seed.session, seed.torrent);
    turn_for(&w, 10000);
    bt_session_stats(fetch.session, &stats);
    assert_int_equal(stats.metadata_used, 0);
    assert_int_equal(stats.conns, 0);
    assert_int_equal(stats.downloaded, fetch.meta.payload); /* what was counted stays */
    bt_session_stats(seed.session, &stats);
    assert_int_equal(stats.metadata_used, 0);
    assert_int_equal(stats.uploaded, fetch.meta.payload);
    assert_int_equal(stats.accepted, 1);
    side_close(&fetch);
    side_close(&seed);
    world_release(&w);
}

static void count_peer(void *arg, const struct bt_peer *p)
{
    unsigned *n = arg;
    assert_true(p->is_seed);
    assert_string_equal(p->agent, "test");
    assert_false(p->is_incoming);
    ++*n;
}

static void peers_are_listed(void **state)
{
    (void)state;
    struct world w;
    struct side seed, fetch;
    unsigned n = 0;
    world_init(&w, BT_V2);
    side_seed(&seed, &w, "seed", true);
    side_fetch(&fetch, &w, "got", &seed, false);
    struct bt_torrent_limits slow = { .rate_down = 20000 };
    assert_true(bt_torrent_set_limits(fetch.torrent, &slow, NULL));
    int64_t end = sys_now_us() + PATIENCE_US;
    while (stats_of(&fetch).downloaded == 0 && sys_now_us() < end)
        assert_true(loop_turn(w.loop, 100000, NULL));
    bt_torrent_peers(fetch.torrent, count_peer, &n);
    assert_int_equal(n, 1);
    assert_int_equal(stats_of(&fetch).seeds, 1);
    side_close(&fetch);
    side_close(&seed);
    world_release(&w);
}

static void cut(const struct side *s, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/pay/%s", s->path, name);
    assert_int_equal(truncate(path, 20000), 0);
}

static bool run_until_less(struct world *w, const struct side *s)
{
    int64_t end = sys_now_us() + PATIENCE_US;
    struct bt_stats stats;
    do {
        assert_true(loop_turn(w->loop, 100000, NULL));
        stats = stats_of(s);
    } while (stats.done == stats.total && sys_now_us() < end);
    return stats.done < stats.total;
}

/* A seeded file is cut short: what it lost is offered no more, the rest goes on. */
static void a_seeded_file_is_cut(void **state)
{
    (void)state;
    for (int format = BT_V1; format <= BT_HYBRID; format++) {
        struct world w;
        struct side seed, fetch, other;
        world_init(&w, (enum bt_format)format);
        side_seed(&seed, &w, "seed", false);
        assert_true(run_until(&w, &seed.is_complete));
        cut(&seed, "b/long");
        side_fetch(&fetch, &w, "got", &seed, false);
        assert_true(run_until_less(&w, &seed));
        assert_int_equal(stats_of(&seed).state, BT_SEEDING);
        side_open(&other, &w, "other"); /* what is whole can still be had */
        struct bt_add add = {
            .meta = &other.meta, .path = other.path, .wants = wants_c, .ops = &ops, .arg = &other
        };
        other.torrent = bt_session_add(other.session, &add, NULL);
        assert_non_null(other.torrent);
        struct sys_addr at = bt_session_addr(seed.session, 0);
        bt_torrent_add_peer(other.torrent, &at);
        bool is_own_piece = format != BT_V1; /* without padding files share their pieces */
        assert_true(!is_own_piece || run_until(&w, &other.is_complete));
        assert_false(fetch.is_complete);
        side_close(&other);
        side_close(&fetch);
        side_close(&seed);
        world_release(&w);
    }
}

/* One that may write fetches again what it lost. */
static void a_fetched_file_is_cut(void **state)
{
    (void)state;
    struct world w;
    struct side seed, middle, last;
    world_init(&w, BT_HYBRID);
    side_seed(&seed, &w, "seed", false);
    side_fetch(&middle, &w, "middle", &seed, false);
    assert_true(run_until(&w, &middle.is_complete));
    bt_torrent_pause(seed.torrent);
    turn_for(&w, 10000);
    cut(&middle, "b/long");
    middle.is_complete = false;
    side_fetch(&last, &w, "last", &middle, false);
    assert_true(run_until_less(&w, &middle));
    assert_int_equal(stats_of(&middle).state, BT_FETCHING);
    bt_torrent_resume(seed.torrent);
    assert_true(run_until(&w, &middle.is_complete));
    assert_same_files(&w, &middle);
    assert_true(run_until(&w, &last.is_complete));
    assert_same_files(&w, &last);
    side_close(&last);
    side_close(&middle);
    side_close(&seed);
    world_release(&w);
}

/* All connections are taken; who is of no use makes room for who wants something. */
static void the_useless_make_room(void **state)
{
    (void)state;
    struct world w;
    struct side seed, idle, busy;
    struct sys_fake fake;
    world_init(&w, BT_HYBRID);
    sys_fake_install(&fake, sys_ops);
    side_open(&seed, &w, "seed");
    bt_session_free(seed.session);
    struct sys_addr at;
    assert_true(sys_addr_parse(tarn_bytes_str("127.0.0.1:0"), 1, &at));
    struct bt_session_settings set = {
        .loop = w.loop, .listen = &at, .n_listen = 1, .agent = "test", .max_peers = 1
    };
    seed.session = bt_session_new(&set, NULL);
    assert_non_null(seed.session);
    struct bt_add add = {
        .meta = &seed.meta, .path = seed.path, .seed_only = true, .ops = &ops, .arg = &seed
    };
    seed.torrent = bt_session_add(seed.session, &add, NULL);
    assert_true(run_until(&w, &seed.is_complete));

    side_open(&idle, &w, "idle"); /* has all that it wants, and stays */
    struct bt_add part = {
        .meta = &idle.meta, .path = idle.path, .wants = wants_c, .ops = &ops, .arg = &idle
    };
    idle.torrent = bt_session_add(idle.session, &part, NULL);
    at = bt_session_addr(seed.session, 0);
    bt_torrent_add_peer(idle.torrent, &at);
    assert_true(run_until(&w, &idle.is_complete));
    side_fetch(&busy, &w, "busy", &seed, false);
    turn_for(&w, 300000);
    assert_false(busy.is_complete);
    for (int i = 0; i < 40 && !busy.is_complete; i++) {
        atomic_fetch_add(&fake.clock_offset_us, 5 * 1000000);
        turn_for(&w, 50000);
    }
    assert_true(run_until(&w, &busy.is_complete));
    side_close(&busy);
    side_close(&idle);
    side_close(&seed);
    sys_fake_remove(&fake);
    world_release(&w);
}

/* Three torrents of the same files in one session; they do not disturb each other. */
static void three_at_once(void **state)
{
    (void)state;
    struct world w;
    struct tarn_out torrents[3];
    struct side seed, also[3], fetch[3];
    world_init(&w, BT_V1);
    side_open(&seed, &w, "seed");
    tarn_out_release(&w.torrent);
    for (int i = 0; i < 3; i++) {
        make_torrent(&w, (enum bt_format)(i + 1));
        torrents[i] = w.torrent;
        also[i] = (struct side){ 0 };
        struct tarn_err err;
        if (!bt_metainfo_parse(&also[i].meta, tarn_out_bytes(&w.torrent), &err))
            fail_msg("%s", err.msg);
        struct bt_add add = { .meta = &also[i].meta,
                              .path = seed.path,
                              .seed_only = true,
                              .ops = &ops,
                              .arg = &also[i] };
        assert_non_null(bt_session_add(seed.session, &add, NULL));
        assert_null(bt_session_add(seed.session, &add, NULL)); /* not twice */
        static const char *const folders[] = { "one", "two", "three" };
        side_fetch(&fetch[i], &w, folders[i], &seed, false);
    }
    for (int i = 0; i < 3; i++) {
        assert_true(run_until(&w, &fetch[i].is_complete));
        assert_same_files(&w, &fetch[i]);
    }
    struct bt_session_stats stats;
    bt_session_stats(seed.session, &stats);
    assert_int_equal(stats.torrents, 3);
    side_close(&seed);
    for (int i = 0; i < 3; i++) {
        side_close(&fetch[i]);
        bt_metainfo_release(&also[i].meta);
        if (i < 2)
            tarn_out_release(&torrents[i]);
    }
    world_release(&w);
}

TEST_MAIN(cmocka_unit_test(pausing), cmocka_unit_test(pausing_while_fetching),
          cmocka_unit_test(its_own_limit), cmocka_unit_test(its_own_number_of_peers),
          cmocka_unit_test(choosing_files_later), cmocka_unit_test(seeds_have_no_priorities),
          cmocka_unit_test(memory_for_metadata), cmocka_unit_test(nothing_stays_charged),
          cmocka_unit_test(peers_are_listed), cmocka_unit_test(a_seeded_file_is_cut),
          cmocka_unit_test(a_fetched_file_is_cut), cmocka_unit_test(the_useless_make_room),
          cmocka_unit_test(three_at_once))
