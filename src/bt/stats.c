/* bt/stats: what is counted, and memory for metadata: what is kept about torrents and peers. */
#include "bt/priv.h"

#include "base/num.h"

void bt_totals_add(struct bt_totals *sum, const struct bt_totals *more)
{
    sum->downloaded += more->downloaded;
    sum->uploaded += more->uploaded;
    sum->wasted += more->wasted;
    sum->corrupt += more->corrupt;
    sum->pieces_passed += more->pieces_passed;
    sum->pieces_failed += more->pieces_failed;
}

bool bt_charge(struct bt_session *s, uint64_t bytes, struct tarn_err *err)
{
    struct tarn_size_text more, used, max;
    if (bytes > s->metadata_max - s->metadata_used)
        return tarn_fail(err, TARN_E_POLICY,
                         "it needs %s of memory for metadata, and %s of %s are in use: raise the "
                         "limit (--metadata), or hold fewer torrents and peers",
                         tarn_size_text(&more, bytes), tarn_size_text(&used, s->metadata_used),
                         tarn_size_text(&max, s->metadata_max));
    s->metadata_used += bytes;
    return true;
}

void bt_uncharge(struct bt_session *s, uint64_t bytes)
{
    s->metadata_used -= bytes;
}

void bt_session_stats(const struct bt_session *s, struct bt_session_stats *out)
{
    struct bt_totals all = s->past;
    uint32_t interested = 0, unchoked = 0;
    for (struct tarn_list *n = s->torrents.next; n != &s->torrents; n = n->next) {
        const struct bt_torrent *t = TARN_OUTER(n, struct bt_torrent, node);
        bt_totals_add(&all, &t->totals);
    }
    for (struct tarn_list *n = s->rivals.next; n != &s->rivals; n = n->next) {
        const struct bt_conn *c = TARN_OUTER(n, struct bt_conn, rival);
        interested += c->is_interested;
        unchoked += !c->am_choking;
    }
    *out = (struct bt_session_stats){
        .torrents = (uint32_t)s->n_torrents,
        .conns = s->n_conns,
        .greeting = s->n_greeting,
        .interested = interested,
        .unchoked = unchoked,
        .memory = s->budget.limit,
        .memory_used = s->budget.used,
        .memory_peak = s->budget.most,
        .metadata = s->metadata_max,
        .metadata_used = s->metadata_used,
        .accepted = s->accepted,
        .refused = s->refused,
        .dialled = s->dialled,
        .banned = s->banned,
        .uplink_bps = s->homeline.uplink.limit_bps,
        .uplink_delay_us = s->homeline.uplink.delay_us,
        .downloaded = all.downloaded,
        .uploaded = all.uploaded,
        .wasted = all.wasted,
        .corrupt = all.corrupt,
        .pieces_passed = all.pieces_passed,
        .pieces_failed = all.pieces_failed,
    };
    loop_io_stats(s->loop, &out->io);
}

void bt_torrent_peers(const struct bt_torrent *t, void (*each)(void *arg, const struct bt_peer *p),
                      void *arg)
{
    for (size_t i = 0; i < t->n_numbers; i++) {
        const struct bt_conn *c = t->conns[i];
        struct bt_peer p;
        if (c != NULL && c->web != NULL && !c->is_dead) {
            bt_webseed_peer(c->web, &p);
            each(arg, &p);
        }
        if (c == NULL || !c->is_open)
            continue;
        p = (struct bt_peer){
            .addr = c->stream.peer,
            .agent = c->ext.agent,
            .downloaded = c->got,
            .uploaded = c->sent,
            .pieces = c->has.count,
            .requests_out = c->requests.n_open,
            .requests_in = c->uploads.n,
            .is_incoming = !c->is_outgoing,
            .is_seed = c->is_seed,
            .is_snubbed = c->requests.is_snubbed,
            .on_parole = c->on_parole,
            .am_interested = c->am_interested,
            .am_choking = c->am_choking,
            .is_interested = c->is_interested,
            .is_choking = c->requests.is_choked,
        };
        each(arg, &p);
    }
}
