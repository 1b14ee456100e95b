/* bt/evict: when all connections are taken, the useless ones make room: for those who were refused
 * since the last tick, and for new faces now and then. The rules are bt/core/turnover's. */
#include "bt/core/turnover.h"
#include "bt/priv.h"

enum {
    FACES_US = 300 * 1000 * 1000, /* libtorrent: every five minutes 4 % go */
    FACES_SHARE = 25,
};

static uint64_t score(const struct bt_conn *c, int64_t now_us)
{
    const struct bt_torrent *t = c->torrent;
    struct bt_tenure tenure = {
        .age_us = now_us - c->born_us,
        .idle_us = now_us - (c->moved_us > c->born_us ? c->moved_us : c->born_us),
        .has_interest = c->am_interested || c->is_interested,
        .is_given = c->candidate != UINT32_MAX && t->candidates[c->candidate].is_given,
    };
    return bt_turnover_score(&tenure);
}

static void drop_worst(struct bt_session *s, uint64_t most, int64_t now_us)
{
    struct bt_turnover worst;
    bt_turnover_begin(&worst, most);
    for (struct tarn_list *l = s->torrents.next; l != &s->torrents; l = l->next) {
        const struct bt_torrent *t = TARN_OUTER(l, struct bt_torrent, node);
        for (size_t i = 0; i < t->n_numbers; i++)
            if (t->conns[i] != NULL && t->conns[i]->is_open)
                bt_turnover_offer(&worst, t->conns[i], score(t->conns[i], now_us));
    }
    for (unsigned i = 0; i < worst.n; i++)
        bt_conn_close(worst.worst[i].who, "%s", "");
}

void bt_evict_tick(struct bt_session *s, int64_t now_us)
{
    uint64_t refused = s->refused - s->refused_before;
    bool is_time = now_us - s->evicted_us >= FACES_US;
    s->refused_before = s->refused;
    if (!bt_session_is_full(s) || (refused == 0 && !is_time))
        return;
    s->evicted_us = now_us;
    drop_worst(s, refused > 0 ? refused : s->max_peers / FACES_SHARE + 1, now_us);
}
