/* bt/choke: whom we let ask. The rules are bt/core/choker's; here are the facts about the peers
 * that take part, those interested in us or unchoked, of all torrents. Others cost nothing. */
#include "bt/priv.h"

#include "base/mem.h"

static void set_choking(struct bt_conn *c, bool choke, bool optimistic, int64_t now_us)
{
    c->was_optimistic = optimistic;
    if (c->am_choking == choke)
        return;
    c->am_choking = choke;
    c->choke_changed_us = now_us;
    c->sent_turn = 0;
    bt_put_plain(bt_conn_out(c), choke ? BT_EV_CHOKE : BT_EV_UNCHOKE);
    if (choke)
        bt_upload_drop_all(c, true);
}

static bool takes_part(const struct bt_conn *c)
{
    return c->is_open && !c->is_dead && bt_torrent_is_running(c->torrent);
}

static struct bt_choke_peer facts(const struct bt_conn *c)
{
    return (struct bt_choke_peer){
        .got_round = c->got_round,
        .got_before = c->got_before,
        .sent_round = c->sent_round,
        .sent_turn = c->sent_turn,
        .changed_at_us = c->choke_changed_us,
        .piece_len = c->torrent->layout.piece_len,
        .is_seeding = c->torrent->state == BT_SEEDING,
        .is_interested = c->is_interested,
        .is_upload_only = c->ext.upload_only || bt_conn_has_all(c),
        .is_unchoked = !c->am_choking,
        .was_optimistic = c->was_optimistic,
    };
}

/* Peers of all torrents in order: collect them (out NULL: only count), or hand their verdicts back.
 */
typedef void (*with_peer)(struct bt_conn *c, struct bt_choke_peer *p, int64_t now_us);

static size_t each_peer(struct bt_session *s, struct bt_choke_peer *peers, with_peer with)
{
    size_t n = 0;
    for (struct tarn_list *l = s->rivals.next, *next; l != &s->rivals; l = next) {
        struct bt_conn *c = TARN_OUTER(l, struct bt_conn, rival);
        next = l->next; /* `with` may take this one out */
        if (!takes_part(c))
            continue;
        if (with != NULL)
            with(c, &peers[n], loop_now_us(s->loop));
        n++;
    }
    return n;
}

static void collect(struct bt_conn *c, struct bt_choke_peer *p, int64_t now_us)
{
    (void)now_us;
    *p = facts(c);
}

static void obey(struct bt_conn *c, struct bt_choke_peer *p, int64_t now_us)
{
    set_choking(c, !p->unchoke, p->optimistic, now_us);
}

/* What was sent and got is counted by rounds. */
static void next_round(struct bt_conn *c, struct bt_choke_peer *p, int64_t now_us)
{
    (void)p;
    (void)now_us;
    c->got_before = c->got_round;
    c->got_round = c->sent_round = 0;
    if (!c->is_interested && c->am_choking)
        tarn_list_remove(&c->rival);
}

static void run(struct bt_session *s, bool is_round)
{
    size_t n = each_peer(s, NULL, NULL);
    struct bt_choke_peer *peers = tarn_calloc(n, sizeof *peers);
    if (n > 0 && peers != NULL) { /* without memory things stay as they are */
        each_peer(s, peers, collect);
        s->choker.now_us = loop_now_us(s->loop);
        s->choker.random = bt_session_chance(s);
        bt_choker_run(&s->choker, peers, n);
        each_peer(s, peers, obey);
        if (is_round)
            each_peer(s, peers, next_round);
    }
    tarn_free(peers);
}

void bt_choke_run_soon(struct loop_idle *i)
{
    run(TARN_OUTER(i, struct bt_session, choke_soon), false);
}

void bt_choke_soon(struct bt_session *s)
{
    if (!tarn_list_empty(&s->rivals))
        loop_idle_set(s->loop, &s->choke_soon);
}

void bt_choke_tick(struct bt_session *s, int64_t now_us)
{
    if (tarn_list_empty(&s->rivals) || now_us - s->choked_at_us < BT_CHOKE_ROUND_US)
        return;
    s->choked_at_us = now_us;
    run(s, true);
}

void bt_choke_interest(struct bt_conn *c, bool is_interested)
{
    if (is_interested == c->is_interested)
        return; /* to say it again and again costs us nothing */
    c->is_interested = is_interested;
    if (!is_interested)
        return;
    if (!tarn_list_is_in(&c->rival)) {
        tarn_list_push_back(&c->session->rivals, &c->rival);
        c->got_round = c->got_before = c->sent_round = 0;
    }
    bt_session_tick_soon(c->session);
    bt_choke_soon(c->session);
}
