/* bt/greet: how a connection begins: the handshake of both sides, which torrent it is for, whether
 * we have met this peer already, and what is said before anything else. */
#include "bt/priv.h"

/* --- what we say first --- */

static void say_hello(struct bt_conn *c, const uint8_t *hash)
{
    const struct bt_torrent *t = c->torrent;
    bool is_v1 = t->hashes.has_v1 && memcmp(hash, t->hashes.v1, BT_HASH_LEN) == 0;
    c->ours.can = BT_CAN_EXTEND | BT_CAN_FAST;
    if (is_v1 && t->hashes.has_v2)
        c->ours.can |= BT_CAN_V2;
    memcpy(c->ours.hash, hash, BT_HASH_LEN);
    memcpy(c->ours.peer_id, t->peer_id, BT_PEER_ID_LEN);
    bt_handshake_put(bt_conn_out(c), &c->ours);
}

void bt_greet_first(struct bt_conn *c)
{
    say_hello(c, bt_swarm_hash(&c->torrent->hashes));
}

static void say_pieces(struct bt_conn *c)
{
    const struct bt_torrent *t = c->torrent;
    bool has_fast = (c->wire.can & BT_CAN_FAST) != 0;
    bool any = bt_torrent_is_running(t) && t->have.count > 0;
    if (has_fast && !any)
        bt_put_plain(bt_conn_out(c), BT_EV_HAVE_NONE);
    else if (has_fast && tarn_bits_all(&t->have))
        bt_put_plain(bt_conn_out(c), BT_EV_HAVE_ALL);
    else if (any)
        bt_put_bitfield(bt_conn_out(c), &t->have);
}

static void say_extensions(struct bt_conn *c)
{
    const struct bt_torrent *t = c->torrent;
    const struct sys_addr *peer = &c->stream.peer;
    struct bt_ext_ours ours = {
        .agent = c->session->set.agent,
        .your_ip = tarn_bytes_of(peer->ip, peer->is_v6 ? 16 : 4),
        .port = bt_session_port(c->session),
        .has_metadata_exchange = t->meta == NULL || !t->meta->is_private,
        .metadata_size = t->meta != NULL ? (uint32_t)t->meta->info.len : 0,
        .upload_only = t->state == BT_SEEDING,
    };
    bt_put_ext_handshake(bt_conn_out(c), &ours);
}

static void opened(struct bt_conn *c, bool is_v2)
{
    c->is_open = true;
    c->am_choking = true;
    bt_judge_meet(c);
    uint8_t both = c->ours.can & c->theirs.can;
    bt_wire_init(&c->wire, both, is_v2, 0);
    bt_requests_init(&c->requests, (both & BT_CAN_FAST) != 0);
    bt_requests_set_most(&c->requests, c->session->set.max_requests);
    if (c->torrent->meta != NULL && !bt_conn_init_pieces(c)) {
        bt_conn_close(c, "%s", "no memory for its pieces");
        return;
    }
    say_pieces(c);
    if ((both & BT_CAN_EXTEND) != 0)
        say_extensions(c);
    bt_conn_ask_layers(c);
}

/* --- the handshake --- */

static bool is_double(struct bt_conn *c)
{
    struct bt_conn *other;
    if (bt_known_add(c, &other))
        return false;
    if (other == NULL)
        return true; /* no memory to know it */
    bool ours_stays = bt_peer_id_keeps_ours(c->torrent->peer_id, c->theirs.peer_id);
    if (c->is_outgoing == other->is_outgoing || c->is_outgoing != ours_stays)
        return true;
    bt_conn_close(other, "%s", "");
    return !bt_known_add(c, &other);
}

/* The info-hash has come: an incoming connection finds its torrent. */
static bool greet(struct bt_conn *c)
{
    if (c->is_outgoing)
        return true;
    struct bt_session *s = c->session;
    struct bt_torrent *t = bt_session_find(s, c->theirs.hash);
    bool has_room =
        !bt_session_is_full(s) && (t == NULL || t->max_peers == 0 || t->n_conns < t->max_peers);
    if (t == NULL || t->state == BT_STOPPED || t->is_paused || !has_room ||
        bt_is_banned(s, &c->stream.peer)) {
        if (t == NULL && has_room && !c->is_waiting && s->set.on_unknown != NULL &&
            s->set.on_unknown(s->set.arg, c->theirs.hash, false)) {
            c->is_waiting = true;
            loop_stream_pause(&c->stream);
            return false;
        }
        s->refused++;
        bt_conn_close(c, "%s", t == NULL ? "it asked for a torrent that is not here" : "");
        return false;
    }
    tarn_list_remove(&c->node);
    s->n_greeting--;
    if (!bt_conn_attach(c, t)) {
        s->n_greeting++; /* as bt_conn_close() expects of one without a torrent */
        bt_conn_close(c, "%s", "no memory for one more peer");
        return false;
    }
    bool is_v2;
    say_hello(c, bt_handshake_answer(&t->hashes, &c->theirs, &is_v2));
    return true;
}

static bool met(struct bt_conn *c)
{
    struct bt_torrent *t = c->torrent;
    bool is_v2;
    if (memcmp(c->theirs.peer_id, t->peer_id, BT_PEER_ID_LEN) == 0) {
        if (c->is_outgoing)
            c->torrent->candidates[c->candidate].is_self = true;
        bt_conn_close(c, "%s", "");
        return false;
    }
    if (c->is_outgoing) {
        if (!bt_handshake_fits(&t->hashes, &c->ours, &c->theirs, &is_v2)) {
            bt_conn_close(c, "%s", "it answered for another torrent");
            return false;
        }
    } else if (!bt_handshake_is_for(&t->hashes, c->ours.hash, &is_v2)) {
        bt_conn_close(c, "%s", "");
        return false;
    }
    if (is_double(c)) {
        bt_conn_close(c, "%s", "");
        return false;
    }
    opened(c, is_v2);
    return !c->is_dead;
}

bool bt_greet_read(struct bt_conn *c, struct tarn_cur *in)
{
    while (c->reader.stage < 2) {
        struct tarn_err err;
        switch (bt_handshake_next(&c->reader, in, &c->theirs, &err)) {
        case BT_MORE:
            return false;
        case BT_BAD:
            bt_conn_close(c, "%s", err.msg);
            return false;
        case BT_EVENT:
            if (!(c->reader.stage == 1 ? greet(c) : met(c)))
                return false;
        }
    }
    return true;
}

/* --- those whose torrent is not known yet --- */

/* The torrent that it waited for is here: greet, and read on where it stopped. Or it will not
 * come: greet refuses it. */
static void look_again(struct bt_conn *c)
{
    struct bt_session *s = c->session;
    if (!c->is_waiting || (bt_session_find(s, c->theirs.hash) == NULL &&
                           s->set.on_unknown(s->set.arg, c->theirs.hash, true)))
        return;
    if (greet(c)) {
        c->is_waiting = false;
        loop_stream_resume(&c->stream);
    }
}

void bt_greet_tick(struct tarn_list *greeting, int64_t now_us)
{
    for (struct tarn_list *n = greeting->next, *next; n != greeting; n = next) {
        struct bt_conn *c = TARN_OUTER(n, struct bt_conn, node);
        next = n->next;
        bt_conn_tick(c, now_us);
        if (!c->is_dead)
            look_again(c);
    }
}
