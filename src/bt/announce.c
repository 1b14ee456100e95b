/* bt/announce: HTTP trackers of one torrent. When and whom is bt/core/tracker's; here are the
 * requests themselves. */
#include "bt/priv.h"

#include "base/mem.h"
#include "codec/url.h"

#include <stdio.h>

/* One request under way. */
struct announcing {
    struct tarn_list node; /* in torrent->announcing */
    struct fetch fetch;
    struct bt_torrent *torrent;
    unsigned swarm;
    uint32_t id;
};

bool bt_announce_init(struct bt_torrent *t, unsigned from, struct tarn_err *err)
{
    if (t->announcing.next == NULL)
        tarn_list_init(&t->announcing);
    const struct bt_tracker *list = NULL;
    uint32_t n = 0;
    struct bt_tracker *of_magnet = NULL;
    if (t->add.no_trackers || t->session->set.fetcher == NULL) {
        n = 0;
    } else if (t->add.meta != NULL) {
        list = t->add.meta->trackers;
        n = t->add.meta->n_trackers;
    } else {
        n = t->add.magnet->n_trackers;
        of_magnet = tarn_calloc(n, sizeof *of_magnet);
        if (of_magnet == NULL)
            return tarn_fail_mem(err, "listing trackers");
        for (uint32_t i = 0; i < n; i++)
            of_magnet[i] = (struct bt_tracker){ t->add.magnet->trackers[i], (uint16_t)i };
        list = of_magnet;
    }
    bool ok = true;
    for (unsigned i = from; ok && i < t->n_swarms; i++)
        ok = bt_trackers_init(&t->swarms[i].trackers, list, n, false, bt_session_chance(t->session),
                              err);
    tarn_free(of_magnet);
    return ok;
}

static void announcing_free(struct announcing *a)
{
    fetch_cancel(&a->fetch);
    tarn_out_release(&a->fetch.body);
    tarn_list_remove(&a->node);
    tarn_free(a);
}

static void take_peers(struct bt_torrent *t, const struct bt_answer *answer)
{
    for (size_t i = 0; i < answer->n_peers; i++) {
        struct sys_addr addr = { .port = answer->peers[i].port, .is_v6 = answer->peers[i].is_v6 };
        memcpy(addr.ip, answer->peers[i].ip, sizeof addr.ip);
        bt_dial_add(t, &addr, false);
    }
}

static void told(struct bt_torrent *t, const char *text)
{
    tarn_free(t->tracker_error);
    t->tracker_error = tarn_strndup(text, strlen(text));
    bt_note(t->session, t, "tracker: %s", text);
}

static void on_answer(struct fetch *f)
{
    struct announcing *a = TARN_OUTER(f, struct announcing, fetch);
    struct bt_torrent *t = a->torrent;
    struct bt_session *s = t->session;
    struct bt_trackers *trackers = &t->swarms[a->swarm].trackers;
    int64_t now = loop_now_us(s->loop);
    struct bt_answer answer = { 0 };
    struct tarn_err err = f->err;

    /* Some trackers put a reason into a body with an error status: it says more than the status. */
    bool parsed = (f->ok || f->status != 0) &&
                  bt_answer_parse(&answer, tarn_out_bytes(&f->body), f->ok ? &err : NULL);
    if (parsed && (f->ok || answer.failed)) {
        bt_trackers_answered(trackers, a->id, &answer, now);
        if (answer.failed) {
            told(t, answer.failure);
        } else {
            tarn_free(t->tracker_error);
            t->tracker_error = NULL;
            take_peers(t, &answer);
            bt_note(s, t, "tracker: %zu peers%s%s", answer.n_peers,
                    answer.warning[0] != 0 ? "; it warns: " : "", answer.warning);
        }
    } else {
        bt_trackers_failed(trackers, a->id, false, now);
        told(t, err.msg);
    }
    bt_answer_release(&answer);
    announcing_free(a);
    bt_session_rouse(s, t);
    if (s->on_goodbye != NULL || t->is_paused)
        bt_announce_tick(t, now); /* a tracker that knows us only now is told too */
    bt_session_announce_ended(s);
}

static bool is_http(const char *url)
{
    struct url parts;
    return url_parse(tarn_bytes_str(url), &parts, NULL) &&
           (url_scheme_is(&parts, "http") || url_scheme_is(&parts, "https"));
}

/* Of the whole torrent: who wants a part of it only and has that is no seed to others. */
static uint64_t left(const struct bt_torrent *t)
{
    if (t->have.p == NULL) /* before its content is laid out */
        return BT_LEFT_UNKNOWN;
    if (t->total == t->meta->payload)
        return t->total - t->done;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < t->have.n; i++)
        sum += tarn_bits_has(&t->have, i) ? 0 : store_piece_len(&t->layout, i);
    return sum;
}

static void ask(struct bt_torrent *t, unsigned swarm, const struct bt_due *due)
{
    struct bt_session *s = t->session;
    struct bt_announce what = {
        .uploaded = t->totals.uploaded,
        .downloaded = t->totals.downloaded,
        .left = left(t),
        .corrupt = t->totals.corrupt,
        .redundant = t->totals.wasted,
        .key = t->key,
        .numwant = BT_NUMWANT,
        .port = bt_session_port(s),
        .event = due->event,
        .tracker_id = due->tracker_id,
    };
    memcpy(what.hash, t->swarms[swarm].hash, BT_HASH_LEN);
    memcpy(what.peer_id, t->peer_id, BT_PEER_ID_LEN);
    struct tarn_out url;
    tarn_out_init(&url, 64 * TARN_KIB);
    bt_announce_url(&url, due->url, &what);
    tarn_out_u8(&url, 0);

    struct announcing *a = tarn_calloc(1, sizeof *a);
    if (a == NULL || !tarn_out_ok(&url) || !is_http(due->url)) {
        bool unknown = !is_http(due->url);
        if (unknown)
            told(t, "only http and https trackers are spoken so far");
        bt_trackers_failed(&t->swarms[swarm].trackers, due->id, unknown, loop_now_us(s->loop));
        tarn_free(a);
        tarn_out_release(&url);
        return;
    }
    bool stops = due->event == BT_ANNOUNCE_STOPPED;
    *a = (struct announcing){
        .torrent = t,
        .swarm = swarm,
        .id = due->id,
        .fetch = { .max_body = BT_ANSWER_MAX,
                   .timeout_ms = stops ? BT_TRACKER_STOP_TIMEOUT_MS : BT_TRACKER_TIMEOUT_MS,
                   .done = on_answer },
    };
    tarn_list_push_back(&t->announcing, &a->node);
    fetch_start(s->set.fetcher, &a->fetch, (const char *)url.p);
    tarn_out_release(&url);
}

void bt_announce_tick(struct bt_torrent *t, int64_t now_us)
{
    for (unsigned i = 0; i < t->n_swarms; i++) {
        struct bt_due due;
        while (bt_trackers_due(&t->swarms[i].trackers, now_us, &due))
            ask(t, i, &due);
    }
}

void bt_announce_stop(struct bt_torrent *t)
{
    for (unsigned i = 0; i < t->n_swarms; i++)
        bt_trackers_stop(&t->swarms[i].trackers);
    bt_announce_tick(t, loop_now_us(t->session->loop));
}

void bt_announce_restart(struct bt_torrent *t)
{
    for (unsigned i = 0; i < t->n_swarms; i++)
        bt_trackers_restart(&t->swarms[i].trackers);
}

bool bt_announce_is_busy(const struct bt_torrent *t)
{
    return !tarn_list_empty(&t->announcing);
}

void bt_announce_release(struct bt_torrent *t)
{
    while (t->announcing.next != NULL && !tarn_list_empty(&t->announcing))
        announcing_free(TARN_OUTER(t->announcing.next, struct announcing, node));
    for (unsigned i = 0; i < t->n_swarms; i++)
        bt_trackers_release(&t->swarms[i].trackers);
}
