/* bt/ask: what we ask of a peer: whether it has what we want, which blocks, how many at a time, and
 * what becomes of requests that it refuses, forgets or is too slow for. */
#include "bt/priv.h"

#include "base/num.h"

enum {
    SECOND_US = 1000000,
    PICK_MAX = 64, /* requests written at once */
};

void bt_conn_update_interest(struct bt_conn *c)
{
    bool interested = c->torrent->has_picker && c->n_needed > 0;
    if (!c->is_open || c->is_dead || interested == c->am_interested)
        return;
    c->am_interested = interested;
    bt_put_plain(bt_conn_out(c), interested ? BT_EV_INTERESTED : BT_EV_UNINTERESTED);
}

/* On parole a peer gets pieces for itself alone, so that it is known who sent a bad one. When there
 * are none left it shares: else pieces that several had begun might wait for ever. */
static size_t pick(struct bt_conn *c, size_t most, struct bt_request *picked)
{
    struct bt_pick who = {
        .peer = c->no,
        .has = &c->has,
        .only = c->requests.is_choked ? c->allowed : NULL,
        .n_only = c->n_allowed,
        .n_asked = c->requests.n_open,
        .speed = c->requests.is_snubbed
                     ? BT_SPEED_SLOW
                     : bt_speed_of(c->requests.rate_bps, c->torrent->fastest_bps),
        .is_slow = c->requests.is_snubbed,
        .on_parole = c->on_parole,
    };
    size_t n = bt_picker_pick(&c->torrent->picker, &who, most, picked);
    if (n > 0 || !who.on_parole || who.n_asked > 0)
        return n;
    who.on_parole = false;
    return bt_picker_pick(&c->torrent->picker, &who, most, picked);
}

void bt_conn_fill(struct bt_conn *c)
{
    struct bt_torrent *t = c->torrent;
    if (c->web != NULL && !c->is_dead)
        bt_webseed_fill(c->web);
    bool may = !c->requests.is_choked || c->n_allowed > 0;
    if (!c->is_open || c->is_dead || !t->has_picker || t->state != BT_FETCHING || !may ||
        c->n_needed == 0)
        return;
    int64_t now = loop_now_us(c->session->loop);
    if (now < c->ask_from_us)
        return;
    for (size_t room = bt_requests_room(&c->requests); room > 0;) {
        struct bt_request picked[PICK_MAX];
        size_t most = tarn_min_size(room, PICK_MAX);
        bt_pieces_before_pick(t);
        size_t n = pick(c, most, picked);
        bt_pieces_after_pick(t);
        for (size_t i = 0; i < n; i++) {
            if (bt_requests_add(&c->requests, &picked[i], now))
                bt_put_request(bt_conn_out(c), BT_EV_REQUEST, &picked[i]);
            else
                bt_picker_release_block(&t->picker, &picked[i], c->no);
        }
        c->spoke_us = n > 0 ? now : c->spoke_us;
        if (n > 0)
            bt_conn_rouse(c);
        if (n < most) {
            bt_pieces_await(t);
            return;
        }
        room -= n;
    }
}

void bt_conn_give_back(struct bt_conn *c, int64_t now_us)
{
    struct bt_request r;
    while (bt_requests_next_lost(&c->requests, now_us, &r))
        if (c->torrent->has_picker)
            bt_picker_release_block(&c->torrent->picker, &r, c->no);
    bt_pieces_after_pick(c->torrent);
}

/* What was asked of a peer that is slow now is asked of others. */
void bt_ask_less(struct bt_conn *c, int64_t now_us)
{
    struct bt_request r;
    while (bt_requests_next_surplus(&c->requests, now_us, &r)) {
        bt_put_request(bt_conn_out(c), BT_EV_CANCEL, &r);
        if (c->torrent->has_picker)
            bt_picker_release_block(&c->torrent->picker, &r, c->no);
    }
}

void bt_ask_allowed(struct bt_conn *c, uint32_t piece)
{
    if (c->n_allowed < BT_FASTSET_MAX)
        c->allowed[c->n_allowed++] = piece;
}

/* Refused while choked: it is not allowed any more, and asking again would go on for ever. */
static void forget_allowed(struct bt_conn *c, uint32_t piece)
{
    for (uint8_t i = c->n_allowed; i-- > 0;)
        if (c->allowed[i] == piece)
            c->allowed[i] = c->allowed[--c->n_allowed];
}

void bt_ask_rejected(struct bt_conn *c, const struct bt_request *r)
{
    switch (bt_requests_rejected(&c->requests, r)) {
    case BT_REJECT_LOST:
        if (c->requests.is_choked)
            forget_allowed(c, r->piece);
        if (c->torrent->has_picker)
            bt_picker_release_block(&c->torrent->picker, r, c->no);
        break;
    case BT_REJECT_CANCELED:
    case BT_REJECT_UNASKED:
        break;
    case BT_REJECT_TOO_MANY:
        bt_conn_close(c, "%s", "it refuses what it says it has");
        break;
    }
}

/* It chokes us. When it was asked and sent nothing it is left alone for a while, longer each time:
 * else a few who only choke and unchoke could hold the last blocks for ever. */
static void note_turn(struct bt_conn *c, int64_t now_us)
{
    enum { TURNS_MAX = 6 };
    if (c->requests.is_choked || c->requests.n_open == 0)
        return;
    if (c->got != c->got_before_turn) {
        c->empty_turns = 0;
        return;
    }
    if (c->empty_turns < TURNS_MAX)
        c->empty_turns++;
    c->ask_from_us = now_us + ((int64_t)SECOND_US << c->empty_turns);
}

void bt_ask_choked(struct bt_conn *c)
{
    int64_t now = loop_now_us(c->session->loop);
    note_turn(c, now);
    bt_requests_choked(&c->requests);
    bt_conn_give_back(c, now);
}

void bt_ask_unchoked(struct bt_conn *c)
{
    c->got_before_turn = c->got;
    bt_requests_unchoked(&c->requests, loop_now_us(c->session->loop));
}
