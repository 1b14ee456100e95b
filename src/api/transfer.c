/* api/transfer: tarn_fetch and tarn_seed: a session with one item. Five times a second, once when
 * no bytes move, the caller is told how it stands and asked whether to stop, and patience and the
 * time of seeding are counted. When it is over, trackers are told. */
#include "api/priv.h"
#include "api/stop.h"
#include "base/num.h"
#include "sys/clock.h"
#include "sys/descriptors.h"

#include <stdatomic.h>

enum {
    PATIENCE_S = 60,
    US = 1000 * 1000,
    REST_US =
        US, /* between looks at a seed whose peers ask for nothing: a wake-up is all it costs */
};

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
    struct tarn_session *session;
    struct tarn_item *item;
    unsigned stops;      /* api_stops() when last looked at */
    int64_t alone_at;    /* since when there is nobody to ask; 0: there is */
    int64_t complete_at; /* when is_complete */
    uint64_t moved;      /* bytes either way, when last looked at */
    bool is_complete, has_failed, was_stopped;
};

static void on_event(void *arg, struct tarn_item *item, enum tarn_event e, const char *text)
{
    struct transfer *x = arg;
    (void)item;
    if (e == TARN_EVENT_COMPLETE) {
        x->is_complete = true;
        x->complete_at = sys_now_us();
    }
    if (e == TARN_EVENT_FAILED) /* that is the answer of the call */
        x->has_failed = true;
    else if (x->t->on_event != NULL)
        x->t->on_event(x->t->arg, e, text);
}

static bool open_session(struct transfer *x, struct tarn_err *err)
{
    const struct tarn_transfer *t = x->t;
    x->session = tarn_session_open(
        &(struct tarn_session_settings){
            .listen = t->listen,
            .n_listen = t->n_listen,
            .memory = t->memory,
            .metadata = t->metadata,
            .rate_down = t->rate_down,
            .rate_up = t->rate_up,
            .uplink_off = t->uplink_off,
            .io = t->io,
            .max_requests = t->max_requests,
            .max_peers = t->max_peers,
            .slots = t->slots,
            .no_trackers = t->no_trackers,
            .no_web_seeds = t->no_web_seeds,
            .state = t->state,
            .on_event = on_event,
            .arg = x,
        },
        err);
    return x->session != NULL;
}

static bool add_item(struct transfer *x, struct tarn_err *err)
{
    const struct tarn_transfer *t = x->t;
    x->item = tarn_session_add(x->session,
                               &(struct tarn_item_settings){
                                   .torrent = t->torrent,
                                   .path = t->path,
                                   .seed = x->is_seed,
                                   .trust = t->trust,
                                   .sequential = t->sequential,
                                   .only = t->only,
                                   .n_only = t->n_only,
                                   .peers = t->peers,
                                   .n_peers = t->n_peers,
                               },
                               err);
    return x->item != NULL;
}

static bool tell_status(const struct transfer *x, struct tarn_transfer_status *status)
{
    tarn_item_status(x->item, status);
    return x->t->on_status == NULL || x->t->on_status(x->t->arg, status);
}

static bool wants_more_seeding(const struct transfer *x, int64_t now_us)
{
    return x->is_seed || x->t->stay || now_us - x->complete_at < (int64_t)x->t->seed_seconds * US;
}

/* False when nobody could be asked for long enough. */
static bool is_patient(struct transfer *x, int64_t now_us, struct tarn_err *err)
{
    if (x->is_complete || x->is_seed || !api_item_is_alone(x->item)) {
        x->alone_at = 0;
        return true;
    }
    if (x->alone_at == 0)
        x->alone_at = now_us;
    uint32_t patience = x->t->patience_seconds == 0 ? PATIENCE_S : x->t->patience_seconds;
    return now_us - x->alone_at < (int64_t)patience * US ||
           tarn_fail(
               err, TARN_E_NETWORK,
               "nobody to ask: no peer could be reached and no tracker knew one for %u s; try "
               "--peer, or later again",
               patience);
}

/* Rates fade slowly, so they do not tell. */
static int64_t until_next_look(struct transfer *x, const struct tarn_transfer_status *s)
{
    uint64_t moved = s->downloaded + s->uploaded;
    bool rests = s->state == TARN_SEEDING && moved == x->moved;
    x->moved = moved;
    return rests ? REST_US : API_TICK_US;
}

/* Work until the next time to look, until it is complete, or until a signal or another thread of
 * the caller's asks to stop: a signal ends a step early. */
static bool work(struct transfer *x, int64_t until_us, struct tarn_err *err)
{
    bool was_complete = x->is_complete, ok = true;
    for (int64_t now; ok && (now = sys_now_us()) < until_us;) {
        ok = tarn_session_step(x->session, (int)((until_us - now) / 1000 + 1), err);
        if (x->has_failed || x->is_complete != was_complete || api_stops() != x->stops)
            break;
    }
    return ok;
}

/* Until done, stopped, failed or out of patience. */
static bool go(struct transfer *x, struct tarn_err *err)
{
    for (;;) {
        struct tarn_transfer_status s;
        bool go_on = tell_status(x, &s);
        int64_t now = sys_now_us();
        if (s.state == TARN_FAILED) {
            tarn_item_error(x->item, err);
            return false;
        }
        x->was_stopped = !go_on || api_stops() != x->stops;
        x->stops = api_stops();
        if (x->was_stopped || (x->is_complete && !wants_more_seeding(x, now)))
            return true;
        if (!is_patient(x, now, err) || !work(x, now + until_next_look(x, &s), err))
            return false;
    }
}

/* Trackers are told, unless somebody asks once more to stop. */
static void leave(struct transfer *x)
{
    struct tarn_transfer_status s;
    tarn_session_leave(x->session);
    while (!tarn_session_has_left(x->session)) {
        bool go_on = tell_status(x, &s) || x->was_stopped;
        int64_t until = sys_now_us() + API_TICK_US;
        if (!go_on || api_stops() != x->stops)
            return;
        while (!tarn_session_has_left(x->session) && sys_now_us() < until)
            if (!tarn_session_step(x->session, API_TICK_US / 1000, NULL))
                return;
    }
}

static bool conclude(struct transfer *x, struct tarn_err *err)
{
    struct tarn_transfer_status s;
    (void)tell_status(x, &s); /* the last word; there is nothing left to stop */
    if (x->is_complete && x->t->save_torrent != NULL && !x->is_seed)
        return tarn_item_save_torrent(x->item, x->t->save_torrent, err);
    if (x->is_complete || x->is_seed)
        return true;
    struct tarn_size_text done, total;
    if (tarn_item_name(x->item) == NULL)
        return tarn_fail(err, TARN_E_CANCELED, "stopped before the torrent was known");
    return tarn_fail(err, TARN_E_CANCELED,
                     "stopped with %s of %s; the same command goes on from "
                     "there",
                     tarn_size_text(&done, s.done), tarn_size_text(&total, s.total));
}

static bool transfer(const struct tarn_transfer *t, bool is_seed, struct tarn_err *err)
{
    struct transfer x = { .t = t, .is_seed = is_seed, .stops = api_stops() };
    bool ok = open_session(&x, err) && add_item(&x, err);
    if (ok) {
        ok = go(&x, err);
        leave(&x);
        ok = ok && conclude(&x, err);
    }
    tarn_session_close(x.session);
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
    return transfer(t, true, err);
}
