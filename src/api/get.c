/* api/get: tarn_torrent_get: one URL on a loop of its own. */
#include "api/priv.h"
#include "api/stop.h"
#include "base/mem.h"
#include "fetch/fetch.h"

enum { TIMEOUT_MS = 120 * 1000 };

struct getter {
    struct fetch fetch; /* first: done() finds the rest by it */
    struct loop_timer timer;
    struct loop *loop;
    unsigned stops; /* api_stops() at the beginning */
    bool is_stopped;
};

static void on_done(struct fetch *f)
{
    struct getter *g = TARN_OUTER(f, struct getter, fetch);
    loop_stop(g->loop);
}

static void on_tick(struct loop_timer *t)
{
    struct getter *g = TARN_OUTER(t, struct getter, timer);
    g->is_stopped = api_stops() != g->stops;
    if (g->is_stopped || !loop_timer_set(g->loop, t, loop_now_us(g->loop) + API_TICK_US))
        loop_stop(g->loop);
}

static bool get(struct getter *g, const char *url, struct tarn_err *err)
{
    struct fetcher *fetcher = fetcher_new(g->loop, "tarn/" TARN_VERSION, err);
    if (fetcher == NULL)
        return false;
    g->fetch.max_body = BT_TORRENT_MAX;
    g->fetch.timeout_ms = TIMEOUT_MS;
    g->fetch.done = on_done;
    fetch_start(fetcher, &g->fetch, url);
    on_tick(&g->timer);
    bool ok = loop_run(g->loop, err);
    loop_timer_stop(g->loop, &g->timer);
    fetch_cancel(&g->fetch);
    fetcher_free(fetcher);
    if (!ok)
        return false;
    if (g->is_stopped)
        return tarn_fail(err, TARN_E_CANCELED, "stopped");
    if (!g->fetch.ok && err != NULL)
        *err = g->fetch.err;
    return g->fetch.ok;
}

static struct tarn_torrent *read_body(struct getter *g, struct tarn_err *err)
{
    size_t len = g->fetch.body.len;
    uint8_t *bytes = (uint8_t *)tarn_out_take_str(&g->fetch.body);
    if (bytes == NULL) {
        tarn_fail_mem(err, "reading it");
        return NULL;
    }
    return api_torrent_take(bytes, len, err);
}

struct tarn_torrent *tarn_torrent_get(const char *url, struct tarn_err *err)
{
    struct getter g = { .stops = api_stops(), .timer = { .on_time = on_tick } };
    struct tarn_torrent *t = NULL;
    struct tarn_quote q;
    g.loop = loop_new(&(struct loop_settings){ .threads = 1 }, err);
    if (g.loop != NULL && get(&g, url, err))
        t = read_body(&g, err);
    if (t == NULL)
        tarn_fail_in(err, "cannot get the torrent from '%s'", tarn_quote_str(&q, url));
    tarn_out_release(&g.fetch.body);
    loop_free(g.loop);
    return t;
}
