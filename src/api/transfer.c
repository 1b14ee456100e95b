/* api/transfer: tarn_fetch and tarn_seed: a loop, a session and one torrent in it. A tick five
 * times a second tells the caller how it stands, asks whether to stop, and counts patience and the
 * time of seeding. When it is over, trackers are told, and only then the loop ends. */
#include "api/listen.h"
#include "api/priv.h"
#include "api/stop.h"
#include "base/mem.h"
#include "base/num.h"
#include "bt/session.h"
#include "sys/descriptors.h"
#include "sys/file.h"

#include <fnmatch.h>
#include <stdatomic.h>

enum { PATIENCE_S = 60, US = 1000 * 1000 };

static atomic_uint stops;

unsigned api_stops(void)
{
    return atomic_load(&stops);
}

void tarn_transfer_stop(void)
{
    atomic_fetch_add(&stops, 1); /* lock-free, so a signal handler may */
}

struct transfer {
    const struct tarn_transfer *t;
    bool is_seed;
    struct loop *loop;
    struct fetcher *fetcher;
    struct bt_resume_files *state; /* NULL: none is kept */
    struct bt_session *session;
    struct bt_torrent *torrent;
    struct bt_metainfo meta; /* our own: the session fills layers in */
    struct loop_timer tick;
    unsigned stops;      /* api_stops() at the beginning */
    int64_t alone_at;    /* since when there is nobody to ask; 0: there is */
    int64_t complete_at; /* when is_complete */
    bool is_complete;
    bool is_leaving; /* saying goodbye */
    bool failed;
    struct tarn_err err;
};

static void tell(const struct transfer *x, enum tarn_event e, const char *text)
{
    if (x->t->on_event != NULL)
        x->t->on_event(x->t->arg, e, text);
}

/* Ending. */

static void on_goodbye(void *arg)
{
    struct transfer *x = arg;
    loop_stop(x->loop);
}

static void tell_last_status(const struct transfer *x);

static void leave(struct transfer *x)
{
    if (x->is_leaving) {
        loop_stop(x->loop); /* asked twice: in a hurry */
        return;
    }
    x->is_leaving = true;
    tell_last_status(x);
    bt_session_goodbye(x->session, on_goodbye, x);
}

static void fail(struct transfer *x, const struct tarn_err *err)
{
    if (!x->failed)
        x->err = *err;
    x->failed = true;
    leave(x);
}

static bool wants_more_seeding(const struct transfer *x, int64_t now_us)
{
    return x->is_seed || x->t->stay || now_us - x->complete_at < (int64_t)x->t->seed_seconds * US;
}

/* The session's calls. */

static bool matches(const char *glob, const char *path)
{
    const char *below = strchr(path, '/');
    return fnmatch(glob, path, 0) == 0 || (below != NULL && fnmatch(glob, below + 1, 0) == 0);
}

static bool wants(void *arg, const struct bt_file *f)
{
    const struct transfer *x = arg;
    for (size_t i = 0; i < x->t->n_only; i++)
        if (matches(x->t->only[i], f->path))
            return true;
    return x->t->n_only == 0;
}

/* A pattern that matches nothing is a slip of the pen. */
static bool check_only(const struct transfer *x, const struct bt_metainfo *m, struct tarn_err *err)
{
    for (size_t i = 0; i < x->t->n_only; i++) {
        bool found = false;
        for (uint32_t k = 0; k < m->n_files && !found; k++)
            found = !m->files[k].is_pad && matches(x->t->only[i], m->files[k].path);
        struct tarn_quote q;
        if (!found)
            return tarn_fail(err, TARN_E_NOT_FOUND, "no file of the torrent matches '%s'",
                             tarn_quote_str(&q, x->t->only[i]));
    }
    return true;
}

static bool save_torrent(const struct bt_metainfo *m, const char *path, struct tarn_err *err)
{
    struct tarn_out o;
    tarn_out_init(&o, BT_TORRENT_MAX);
    bt_metainfo_write(m, &o);
    bool ok = tarn_out_ok(&o) ? sys_write_whole(path, tarn_out_bytes(&o), err)
                              : tarn_fail_mem(err, "writing the torrent");
    tarn_out_release(&o);
    return ok;
}

static void on_metadata(void *arg, const struct bt_metainfo *m)
{
    struct transfer *x = arg;
    struct tarn_err err;
    if (!check_only(x, m, &err))
        fail(x, &err);
    else
        tell(x, TARN_EVENT_METADATA, m->name);
}

static void on_complete(void *arg)
{
    struct transfer *x = arg;
    if (x->is_complete)
        return;
    x->is_complete = true;
    x->complete_at = loop_now_us(x->loop);
    tell(x, TARN_EVENT_COMPLETE, bt_torrent_meta(x->torrent)->name);
    if (!wants_more_seeding(x, x->complete_at))
        leave(x);
}

static void on_failed(void *arg, const struct tarn_err *err)
{
    fail(arg, err);
}

/* What trackers say, and what is about saved state, begins so. */
static void on_note(void *arg, struct bt_torrent *t, const char *text)
{
    static const char tracker[] = "tracker: ", state[] = "state: ";
    (void)t;
    if (strncmp(text, tracker, sizeof tracker - 1) == 0)
        tell(arg, TARN_EVENT_TRACKER, text + sizeof tracker - 1);
    else if (strncmp(text, state, sizeof state - 1) == 0)
        tell(arg, TARN_EVENT_STATE, text + sizeof state - 1);
    else
        tell(arg, TARN_EVENT_PEER, text);
}

/* The tick. */

static bool tell_status(const struct transfer *x, const struct bt_stats *s)
{
    static const enum tarn_transfer_state states[] = {
        [BT_METADATA] = TARN_GETTING_METADATA, [BT_PREPARING] = TARN_PREPARING,
        [BT_CHECKING] = TARN_CHECKING,         [BT_FETCHING] = TARN_FETCHING,
        [BT_SEEDING] = TARN_SEEDING,           [BT_STOPPED] = TARN_FETCHING,
    };
    struct tarn_transfer_status status = {
        .state = states[s->state],
        .done = s->done,
        .total = s->total,
        .downloaded = s->downloaded,
        .uploaded = s->uploaded,
        .wasted = s->wasted,
        .rate_down = s->rate_down,
        .rate_up = s->rate_up,
        .pieces_failed = s->pieces_failed,
        .peers = s->peers,
        .seeds = s->seeds,
        .tracker_error = s->tracker_error,
    };
    return x->t->on_status == NULL || x->t->on_status(x->t->arg, &status);
}

/* A transfer that is over between two ticks is told as it ended. */
static void tell_last_status(const struct transfer *x)
{
    struct bt_stats s;
    if (x->torrent == NULL)
        return;
    bt_torrent_stats(x->torrent, &s);
    (void)tell_status(x, &s); /* it is over in any case */
}

static void lose_patience(struct transfer *x, int64_t now_us)
{
    struct tarn_err err;
    if (x->is_complete || x->is_seed || !bt_torrent_is_alone(x->torrent)) {
        x->alone_at = 0;
        return;
    }
    if (x->alone_at == 0)
        x->alone_at = now_us;
    uint32_t patience = x->t->patience_seconds == 0 ? PATIENCE_S : x->t->patience_seconds;
    if (now_us - x->alone_at < (int64_t)patience * US)
        return;
    tarn_fail(&err, TARN_E_NETWORK,
              "nobody to ask: no peer could be reached and no tracker knew one for %u s; try "
              "--peer, or later again",
              patience);
    fail(x, &err);
}

static void on_tick(struct loop_timer *timer)
{
    struct transfer *x = TARN_OUTER(timer, struct transfer, tick);
    int64_t now_us = loop_now_us(x->loop);
    struct bt_stats s;
    bt_torrent_stats(x->torrent, &s);
    bool go_on = tell_status(x, &s) && api_stops() == x->stops;
    x->stops = api_stops();
    if (!go_on) {
        leave(x);
    } else if (!x->is_leaving) {
        lose_patience(x, now_us);
        if (x->is_complete && !x->is_leaving && !wants_more_seeding(x, now_us))
            leave(x);
    }
    struct tarn_err err;
    if (!loop_timer_set(x->loop, timer, now_us + API_TICK_US)) {
        tarn_fail_mem(&err, "waiting for peers");
        fail(x, &err);
    }
}

/* Setting up. */

static bool try_session(struct transfer *x, struct tarn_err *err)
{
    struct api_listen listen;
    bool ok = api_listen_choose(&listen, x->t, err);
    struct bt_session_settings set = {
        .loop = x->loop,
        .fetcher = x->fetcher,
        .listen = listen.addrs,
        .n_listen = listen.n,
        .memory = x->t->memory,
        .rate_down = x->t->rate_down,
        .rate_up = x->t->rate_up,
        .max_peers = x->t->max_peers,
        .slots = x->t->slots,
        .agent = "tarn " TARN_VERSION,
        .resume = x->state == NULL ? NULL : &bt_resume_files_ops,
        .resume_arg = x->state,
        .on_note = on_note,
        .arg = x,
    };
    if (ok)
        x->session = bt_session_new(&set, err);
    for (size_t i = 0; x->session != NULL && i < listen.n; i++) {
        struct sys_addr_text text;
        struct sys_addr at = bt_session_addr(x->session, i);
        tell(x, TARN_EVENT_LISTENING, sys_addr_text(&text, &at));
    }
    api_listen_release(&listen);
    return x->session != NULL;
}

/* One of the usual ports that was free a moment ago may be somebody else's now: look again. */
static bool make_session(struct transfer *x, struct tarn_err *err)
{
    bool is_usual = x->t->n_listen == 0;
    for (uint16_t port = API_PORT_FIRST; is_usual && port < API_PORT_LAST; port++)
        if (try_session(x, NULL))
            return true;
    return try_session(x, err);
}

static bool add(struct transfer *x, struct tarn_err *err)
{
    static const struct bt_torrent_ops ops = { on_metadata, on_complete, on_failed };
    const struct tarn_transfer *t = x->t;
    bool is_magnet = t->torrent->info.is_magnet;
    if (!is_magnet &&
        (!bt_metainfo_parse(&x->meta, tarn_bytes_of(t->torrent->bytes, t->torrent->len), err) ||
         !check_only(x, &x->meta, err)))
        return false;
    x->torrent = bt_session_add(x->session,
                                &(struct bt_add){
                                    .meta = is_magnet ? NULL : &x->meta,
                                    .magnet = is_magnet ? &t->torrent->magnet : NULL,
                                    .path = t->path,
                                    .seed_only = x->is_seed,
                                    .trust = x->is_seed && t->trust,
                                    .sequential = t->sequential,
                                    .no_trackers = t->no_trackers,
                                    .wants = t->n_only > 0 ? wants : NULL,
                                    .peers = t->peers,
                                    .n_peers = t->n_peers,
                                    .ops = &ops,
                                    .arg = x,
                                },
                                err);
    return x->torrent != NULL;
}

/* HTTP trackers are one way among others: without libcurl the rest still works. */
static void make_fetcher(struct transfer *x)
{
    struct tarn_err err;
    if (x->t->no_trackers)
        return;
    x->fetcher = fetcher_new(x->loop, "tarn/" TARN_VERSION, &err);
    if (x->fetcher == NULL)
        tell(x, TARN_EVENT_TRACKER, err.msg);
}

static void make_state(struct transfer *x)
{
    struct tarn_err err;
    if (x->t->state == NULL)
        return;
    x->state = bt_resume_files_new(x->t->state, &err);
    if (x->state == NULL)
        tell(x, TARN_EVENT_STATE, err.msg);
}

static bool conclude(struct transfer *x, struct tarn_err *err)
{
    struct bt_stats s;
    bt_torrent_stats(x->torrent, &s);
    (void)tell_status(x, &s); /* the last word; there is nothing left to stop */
    if (x->failed) {
        if (err != NULL)
            *err = x->err;
        return false;
    }
    const struct bt_metainfo *m = bt_torrent_meta(x->torrent);
    if (x->is_complete && x->t->save_torrent != NULL && !x->is_seed)
        return save_torrent(m, x->t->save_torrent, err);
    if (x->is_complete || x->is_seed)
        return true;
    struct tarn_size_text done, total;
    if (m == NULL)
        return tarn_fail(err, TARN_E_CANCELED, "stopped before the torrent was known");
    return tarn_fail(err, TARN_E_CANCELED,
                     "stopped with %s of %s; the same command goes on from "
                     "there",
                     tarn_size_text(&done, s.done), tarn_size_text(&total, s.total));
}

static bool run(struct transfer *x, struct tarn_err *err)
{
    x->loop = loop_new(&(struct loop_settings){ 0 }, err);
    if (x->loop == NULL)
        return false;
    make_fetcher(x);
    make_state(x);
    if (!make_session(x, err) || !add(x, err))
        return false;
    if (!loop_timer_set(x->loop, &x->tick, loop_now_us(x->loop)))
        return tarn_fail_mem(err, "beginning a transfer");
    return loop_run(x->loop, err) && conclude(x, err);
}

static bool transfer(const struct tarn_transfer *t, bool is_seed, struct tarn_err *err)
{
    struct transfer x = {
        .t = t,
        .is_seed = is_seed,
        .stops = api_stops(),
        .tick = { .on_time = on_tick },
    };
    bool ok = run(&x, err);
    if (x.torrent != NULL) {
        loop_timer_stop(x.loop, &x.tick);
        bt_session_remove(x.session, x.torrent);
    }
    bt_session_free(x.session);
    bt_resume_files_free(x.state);
    fetcher_free(x.fetcher);
    loop_free(x.loop);
    bt_metainfo_release(&x.meta);
    return ok;
}

bool tarn_fetch(const struct tarn_transfer *t, struct tarn_err *err)
{
    return transfer(t, false, err);
}

uint64_t tarn_raise_open_files(uint64_t want)
{
    return sys_fd_limit_raise(want);
}

bool tarn_seed(const struct tarn_transfer *t, struct tarn_err *err)
{
    if (t->torrent->info.is_magnet)
        return tarn_fail(err, TARN_E_USAGE,
                         "a magnet link does not say enough to seed from: give the torrent file");
    return transfer(t, true, err);
}
