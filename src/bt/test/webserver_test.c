/* A web server on the same loop as the only source of a torrent: what is shown of it, pausing, and
 * that it is left alone when it is to be. (Its misbehaviour is tests/system's.) */
#include "bt/test/world.h"

static struct {
    struct loop *loop;
    const struct world *world;
    struct loop_watch listener;
    struct sys_addr at;
    struct tarn_list visitors;
    unsigned asked;
} server;

struct visitor {
    struct loop_stream stream;
    struct tarn_list node;
};

static void serve(struct tarn_out *o, const char *path, uint64_t first, uint64_t last)
{
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
        tarn_out_put(o, tarn_bytes_of(server.world->bytes[i] + first, last - first + 1));
        return;
    }
    tarn_out_str(o, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

static void bid_farewell(struct visitor *v)
{
    loop_stream_release(&v->stream);
    tarn_list_remove(&v->node);
    tarn_free(v);
}

static void on_bytes(struct loop_stream *s, size_t placed, struct tarn_cur *in)
{
    (void)placed;
    struct tarn_bytes b = tarn_cur_rest(in);
    char request[4000], path[300];
    unsigned long long first, last;
    const char *end = b.len == 0 ? NULL : memmem(b.p, b.len, "\r\n\r\n", 4);
    if (end == NULL || b.len >= sizeof request)
        return;
    b = tarn_cur_take(in, (size_t)(end + 4 - (const char *)b.p));
    if (b.p != NULL)
        memcpy(request, b.p, b.len);
    request[b.len] = 0;
    const char *range = strstr(request, "Range: bytes=");
    assert_int_equal(sscanf(request, "GET %299s HTTP/1.1", path), 1);
    assert_non_null(range);
    assert_int_equal(sscanf(range, "Range: bytes=%llu-%llu", &first, &last), 2);
    server.asked++;
    serve(loop_stream_out(s), path, first, last);
}

static void on_end(struct loop_stream *s, const struct tarn_err *err)
{
    (void)err;
    bid_farewell(TARN_OUTER(s, struct visitor, stream));
}

static const struct loop_stream_ops server_ops = { .on_bytes = on_bytes, .on_end = on_end };

static void on_visitor(struct loop_watch *w, unsigned events)
{
    (void)events;
    int fd;
    struct sys_addr from;
    while (sys_tcp_accept(w->fd, &fd, &from, NULL) == SYS_IO_DONE) {
        struct visitor *v = tarn_calloc(1, sizeof *v);
        assert_non_null(v);
        tarn_list_push_back(&server.visitors, &v->node);
        assert_true(loop_stream_accept(&v->stream, server.loop, &server_ops, fd, &from, NULL));
    }
}

static void server_begin(const struct world *w)
{
    memset(&server, 0, sizeof server);
    server.loop = w->loop;
    server.world = w;
    tarn_list_init(&server.visitors);
    assert_true(sys_addr_parse(tarn_bytes_str("127.0.0.1:0"), 1, &server.at));
    server.listener.fd = sys_tcp_listen(&server.at, NULL);
    assert_true(server.listener.fd >= 0);
    assert_true(sys_local_addr(server.listener.fd, &server.at, NULL));
    server.listener.on_ready = on_visitor;
    assert_true(loop_watch_set(w->loop, &server.listener, SYS_READABLE, NULL));
}

static void server_end(void)
{
    while (!tarn_list_empty(&server.visitors))
        bid_farewell(TARN_OUTER(server.visitors.next, struct visitor, node));
    loop_watch_remove(server.loop, &server.listener);
    sys_close(&server.listener.fd);
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
    server_begin(&g->world);
    setenv("no_proxy", "*", 1);
    g->fetcher = fetcher_new(g->world.loop, "tarn/test", &err);
    assert_non_null(g->fetcher);
    struct side *s = &g->side;
    snprintf(s->path, sizeof s->path, "%s/got", g->world.folder);
    assert_true(sys_addr_parse(tarn_bytes_str("127.0.0.1:0"), 1, &at));
    assert_true(bt_metainfo_parse(&s->meta, tarn_out_bytes(&g->world.torrent), &err));
    snprintf(g->url_text, sizeof g->url_text, "http://127.0.0.1:%u/", server.at.port);
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
    server_end();
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
