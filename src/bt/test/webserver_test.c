/* A web server on the same loop as the only source of a torrent: what is shown of it, pausing, and
 * that it is left alone when it is to be. (Its misbehaviour is tests/system's.) */
#include "bt/test/world.h"
#include "fetch/test/webserver.h"

static struct webserver server;
static const struct world *shown; /* whose payload it has */

static bool serve(struct webserver *s, struct tarn_out *o, const char *path)
{
    uint64_t first = 0, last = 0;
    assert_true(webserver_range(s, &first, &last));
    for (int i = 0; i < FILES; i++) {
        char own[64];
        snprintf(own, sizeof own, "/pay/%s", names[i]);
        if (strcmp(path, own) != 0 || first > last || last >= lengths[i])
            continue;
        tarn_out_fmt(o,
                     "HTTP/1.1 206 Partial Content\r\nContent-Length: %llu\r\nServer: nearby/1\r\n"
                     "Content-Range: bytes %llu-%llu/%llu\r\n\r\n",
                     (unsigned long long)last - first + 1, (unsigned long long)first,
                     (unsigned long long)last, (unsigned long long)lengths[i]);
        tarn_out_put(o, tarn_bytes_of(shown->bytes[i] + first, last - first + 1));
        return true;
    }
    webserver_answer(o, "404 Not Found", "", "");
    return true;
}

/* --- who fetches --- */

struct guest {
    struct world world;
    struct fetcher *fetcher;
    struct side side;
    const char *url;
    char url_text[64];
};

static void guest_open(struct guest *g, enum bt_format format, bool no_web_seeds, uint64_t rate)
{
    struct tarn_err err;
    struct sys_addr at;
    memset(g, 0, sizeof *g);
    world_init(&g->world, format);
    shown = &g->world;
    webserver_begin(&server, g->world.loop, serve);
    setenv("no_proxy", "*", 1);
    g->fetcher = fetcher_new(g->world.loop, "tarn/test", &err);
    assert_non_null(g->fetcher);
    struct side *s = &g->side;
    snprintf(s->path, sizeof s->path, "%s/got", g->world.folder);
    assert_true(sys_addr_parse(tarn_bytes_str("127.0.0.1:0"), 1, &at));
    assert_true(bt_metainfo_parse(&s->meta, tarn_out_bytes(&g->world.torrent), &err));
    webserver_url(&server, g->url_text, sizeof g->url_text, "127.0.0.1", "/");
    g->url = g->url_text;
    s->meta.web_seeds = &g->url;
    s->meta.n_web_seeds = 1;
    struct bt_session_settings set = { .loop = g->world.loop,
                                       .fetcher = g->fetcher,
                                       .listen = &at,
                                       .n_listen = 1,
                                       .rate_down = rate,
                                       .agent = "test",
                                       .on_note = note,
                                       .arg = s };
    s->session = bt_session_new(&set, &err);
    assert_non_null(s->session);
    struct bt_add add = {
        .meta = &s->meta, .path = s->path, .no_web_seeds = no_web_seeds, .ops = &ops, .arg = s
    };
    s->torrent = bt_session_add(s->session, &add, &err);
    assert_non_null(s->torrent);
}

static void guest_close(struct guest *g)
{
    side_close(&g->side);
    fetcher_free(g->fetcher);
    webserver_end(&server);
    world_release(&g->world);
}

static struct bt_stats stats_of(const struct guest *g)
{
    struct bt_stats stats;
    bt_torrent_stats(g->side.torrent, &stats);
    return stats;
}

static void turn(struct guest *g)
{
    assert_true(loop_turn(g->world.loop, 20000, NULL));
}

static void test_nobody_else(void **state)
{
    (void)state;
    static const enum bt_format formats[] = { BT_V1, BT_V2, BT_HYBRID };
    for (size_t i = 0; i < TARN_COUNT_OF(formats); i++) {
        struct guest g;
        guest_open(&g, formats[i], false, 0);
        assert_true(run_until(&g.world, &g.side.is_complete));
        assert_same_files(&g.world, &g.side);
        struct bt_stats stats = stats_of(&g);
        assert_int_equal(stats.downloaded, lengths[0] + lengths[2] + lengths[3]); /* no padding */
        assert_int_equal(stats.wasted, 0);
        assert_int_equal(stats.peers, 0); /* it has gone: there is nothing more to ask for */
        assert_int_equal(server.asked, 3);
        guest_close(&g);
    }
}

static void see_peer(void *arg, const struct bt_peer *p)
{
    const struct guest *g = arg;
    char host[64];
    snprintf(host, sizeof host, "127.0.0.1:%u", server.at.port);
    assert_string_equal(p->host, host);
    assert_string_equal(p->agent, "nearby/1");
    assert_true(p->is_seed);
    assert_true(p->downloaded > 0);
    assert_int_equal(p->pieces, g->side.meta.n_pieces);
}

static void test_shown_and_paused(void **state)
{
    (void)state;
    struct guest g;
    guest_open(&g, BT_HYBRID, false, 100000); /* slow enough to be met in the middle */
    int64_t end = sys_now_us() + PATIENCE_US;
    while (stats_of(&g).downloaded == 0 && sys_now_us() < end)
        turn(&g);
    struct bt_stats stats = stats_of(&g);
    assert_true(stats.downloaded > 0 && !g.side.is_complete);
    assert_int_equal(stats.peers, 1);
    assert_int_equal(stats.seeds, 1);
    assert_false(bt_torrent_is_alone(g.side.torrent));
    bt_torrent_peers(g.side.torrent, see_peer, &g);
    bt_torrent_pause(g.side.torrent);
    uint64_t before = stats_of(&g).downloaded;
    unsigned asked = server.asked;
    bt_session_set_rates(g.side.session, 0, 0);
    for (int i = 0; i < 100; i++)
        turn(&g);
    stats = stats_of(&g);
    assert_int_equal(stats.downloaded, before);
    assert_int_equal(stats.peers, 0);
    assert_int_equal(stats.seeds, 0);
    assert_int_equal(server.asked, asked);
    bt_torrent_resume(g.side.torrent);
    assert_true(run_until(&g.world, &g.side.is_complete));
    assert_same_files(&g.world, &g.side);
    guest_close(&g);
}

static void test_not_wanted(void **state)
{
    (void)state;
    struct guest g;
    guest_open(&g, BT_V1, true, 0);
    for (int i = 0; i < 100 && !bt_torrent_is_alone(g.side.torrent); i++)
        turn(&g);
    for (int i = 0; i < 60; i++)
        turn(&g);
    assert_int_equal(server.asked, 0);
    assert_true(bt_torrent_is_alone(g.side.torrent));
    guest_close(&g);
}

/* Removed in the middle, at different times; under way or in a pause of the limit's. */
static void test_leaving(void **state)
{
    (void)state;
    for (int turns = 0; turns < 30; turns++) {
        struct guest g;
        guest_open(&g, BT_V2, false, turns % 2 == 0 ? 0 : 50000);
        for (int i = 0; i < turns; i++)
            assert_true(loop_turn(g.world.loop, 3000, NULL));
        guest_close(&g);
    }
}

TEST_MAIN(cmocka_unit_test(test_nobody_else), cmocka_unit_test(test_shown_and_paused),
          cmocka_unit_test(test_not_wanted), cmocka_unit_test(test_leaving))
