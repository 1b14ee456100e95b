/* bt/conn: one peer: its coming and going, its bytes and messages in, its clock. How it begins is
 * bt/greet; what we ask of it, bt/ask; what it asks of us, bt/upload.
 *
 * A connection is closed in two steps: bt_conn_close takes it out of everything at once, and its
 * memory is freed at the end of the turn, because the call may come from inside one of its own
 * handlers. */
#include "bt/core/webseed.h"
#include "bt/priv.h"

#include "base/mem.h"
#include "base/num.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    SECOND_US = 1000000,
    CONNECT_US = 10 * SECOND_US, /* peer digest, section 1 */
    GREET_US = 20 * SECOND_US,
    SILENCE_US = 150 * SECOND_US,   /* section 10 */
    KEEPALIVE_US = 100 * SECOND_US, /* section 10 */
    /* Ours: what waits for a peer that does not read, before we stop reading it. Well above what
     * blocks may take (SEND_QUEUE_MAX), so that two of us never wait for each other. */
    QUEUE_MAX = 2 << 20,
};

static uint8_t trash[STORE_BLOCK]; /* where blocks go that nobody wants; never read */

bool bt_conn_has_all(const struct bt_conn *c)
{
    return c->has.p != NULL ? c->has.n > 0 && tarn_bits_all(&c->has) : c->has_early_all;
}

/* --- coming and going --- */

bool bt_conn_attach(struct bt_conn *c, struct bt_torrent *t)
{
    size_t no = 0;
    if (t->n_conns == t->n_numbers)
        no = t->n_numbers; /* none is free: thousands of peers are not looked through in vain */
    while (no < t->n_numbers && (t->conns[no] != NULL ||
                                 (t->has_picker && bt_picker_mentions(&t->picker, (bt_peer_no)no))))
        no++;
    if (no >= BT_NO_PEER)
        return false;
    if (no == t->n_numbers) {
        if (!TARN_GROW(t->conns, t->n_numbers, t->cap_numbers) ||
            !TARN_GROW(t->addrs, t->n_numbers, t->cap_addrs))
            return false;
        t->n_numbers++;
    }
    t->conns[no] = c;
    c->no = (bt_peer_no)no;
    c->torrent = t;
    t->n_conns++;
    c->session->n_conns++;
    tarn_list_push_back(&t->active, &c->node);
    bt_session_rouse(c->session, t);
    return true;
}

/* Everything this peer had promised goes back. */
static void detach(struct bt_conn *c)
{
    struct bt_torrent *t = c->torrent;
    if (c->web != NULL)
        bt_webseed_left(c->web);
    if (c->in_block)
        bt_piece_abandon(c);
    if (t->has_picker) {
        bt_picker_release_peer(&t->picker, c->no);
        bt_pieces_after_pick(t);
        if (c->is_counted)
            bt_picker_leaves(&t->picker, c->has_early_all ? NULL : &c->has);
    }
    bt_leaves_gone(c);
    bt_judge_gone(c);
    bt_opening_gone(c);
    bt_metadata_gone(&t->metadata, c->no);
    if (t->has_layers_job)
        bt_layers_gone(&t->layers, c->no);
    bt_dial_closed(c, loop_now_us(c->session->loop));
    bt_known_remove(c);
    t->n_seeds -= c->is_seed;
    c->is_seed = false;
    t->conns[c->no] = NULL;
    t->n_conns--;
    c->session->n_conns--;
    if (t->n_conns == 0 && t->tree != NULL)
        store_tree_rest(
            t->tree); /* thousands of torrents that nobody asks for hold no descriptor */
}

static void leave(struct bt_conn *c)
{
    if (c->torrent != NULL)
        detach(c);
    else
        c->session->n_greeting--;
    tarn_list_remove(&c->node);
    tarn_list_remove(&c->rival);
    tarn_list_remove(&c->up_line);
    tarn_list_remove(&c->homeline_node);
    tarn_list_remove(&c->down_line);
    c->is_dead = true;
}

void bt_conn_free(struct bt_conn *c)
{
    if (!c->is_dead)
        leave(c);
    tarn_list_remove(&c->node);
    loop_stream_release(&c->stream);
    bt_upload_drop_all(c, false);
    bt_uncharge(c->session, c->charged);
    bt_requests_release(&c->requests);
    tarn_bits_release(&c->has);
    tarn_out_release(&c->early);
    tarn_free(c);
}

void bt_conn_close(struct bt_conn *c, const char *fmt, ...)
{
    if (c->is_dead)
        return;
    char why[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    struct sys_addr_text addr;
    char shown[BT_WEBSEED_SHOWN];
    if (why[0] != 0 && c->web != NULL)
        bt_note(c->session, c->torrent, "web seed %s: %s",
                bt_webseed_show(shown, bt_webseed_url_of(c->web)), why);
    else if (why[0] != 0)
        bt_note(c->session, c->torrent, "peer %s: %s", sys_addr_text(&addr, &c->stream.peer), why);
    leave(c);
    loop_stream_pause(&c->stream);
    tarn_list_push_back(&c->session->dead, &c->node);
    loop_idle_set(c->session->loop, &c->session->bury);
}

bool bt_conn_charge(struct bt_conn *c, uint32_t bytes)
{
    if (!bt_charge(c->session, bytes, NULL))
        return false;
    c->charged += bytes;
    return true;
}

/* Pieces that it may ask for are told by the choker; what we know of its pieces begins empty. */
bool bt_conn_init_pieces(struct bt_conn *c)
{
    uint32_t n = c->torrent->meta->n_pieces;
    bt_wire_set_pieces(&c->wire, n);
    return bt_conn_charge(c, (uint32_t)tarn_bits_size(n)) && tarn_bits_init(&c->has, n);
}

/* --- messages --- */

static void on_ext_handshake(struct bt_conn *c, struct tarn_bytes body)
{
    struct bt_torrent *t = c->torrent;
    struct tarn_err err;
    if (!bt_ext_read(&c->ext, body, &err)) {
        bt_conn_close(c, "%s", err.msg);
        return;
    }
    bt_requests_set_reqq(&c->requests, c->ext.reqq);
    if (t->meta != NULL || c->ext.ids[BT_EXT_METADATA] == 0 || c->ext.metadata_size == 0)
        return;
    if (bt_metadata_peer(&t->metadata, c->no, c->ext.metadata_size, &err))
        bt_conn_ask_metadata(c);
    else
        bt_note(c->session, t, "%s", err.msg);
}

static void on_extended(struct bt_conn *c, uint8_t sub, struct tarn_bytes body)
{
    uint32_t piece;
    bool upload_only;
    switch (sub) {
    case BT_EXT_HANDSHAKE:
        on_ext_handshake(c, body);
        break;
    case BT_EXT_METADATA:
        bt_learn_metadata(c, body);
        break;
    case BT_EXT_UPLOAD_ONLY:
        if (bt_upload_only_read(body, &upload_only))
            c->ext.upload_only = upload_only;
        break;
    case BT_EXT_DONTHAVE:
        if (c->torrent->meta != NULL && bt_donthave_read(body, c->torrent->meta->n_pieces, &piece))
            bt_theirs_lost(c, piece);
        break;
    default: /* a number that we never gave */
        break;
    }
}

void bt_conn_drop_block(struct bt_conn *c)
{
    bt_piece_abandon(c);
    c->in_block = true;
    if (c->torrent->has_picker)
        bt_picker_release_block(&c->torrent->picker, &c->block, c->no);
    c->block.len = 0; /* it may be asked for again before its rest has come */
}

void bt_conn_read_on(struct bt_conn *c)
{
    if (c->is_dead || c->is_rate_paused || c->is_clogged || c->waits_room)
        return;
    if (c->web != NULL)
        bt_webseed_read_on(c->web);
    else
        loop_stream_resume(&c->stream);
}

static void on_block_begins(struct bt_conn *c, const struct bt_request *r)
{
    int64_t now = loop_now_us(c->session->loop);
    c->in_block = true;
    c->takes_block = false;
    c->block = *r;
    c->block_got = 0;
    c->block_since_us = c->payload_us = now;
    switch (bt_requests_arrive(&c->requests, r, now)) {
    case BT_ASKED:
    case BT_CANCELED:
        c->takes_block = bt_torrent_is_running(c->torrent) && bt_piece_place(c, r);
        break;
    case BT_UNASKED:
        break;
    case BT_TOO_MANY:
        bt_conn_close(c, "%s", "it sends blocks that nobody asked for");
        return;
    }
}

static void on_event(struct bt_conn *c, const struct bt_event *ev)
{
    switch (ev->kind) {
    case BT_EV_CHOKE:
        bt_ask_choked(c);
        break;
    case BT_EV_UNCHOKE:
        bt_ask_unchoked(c);
        break;
    case BT_EV_INTERESTED:
        bt_choke_interest(c, true);
        break;
    case BT_EV_UNINTERESTED:
        bt_choke_interest(c, false);
        break;
    case BT_EV_HAVE:
        bt_theirs_have(c, ev->index);
        break;
    case BT_EV_BITFIELD:
        bt_theirs_bitfield(c, ev->body);
        break;
    case BT_EV_REQUEST:
        bt_upload_request(c, &ev->request);
        break;
    case BT_EV_BLOCK:
        on_block_begins(c, &ev->request);
        break;
    case BT_EV_CANCEL:
        bt_upload_cancel(c, &ev->request);
        break;
    case BT_EV_HAVE_ALL:
        bt_theirs_have_all(c);
        break;
    case BT_EV_REJECT:
        bt_ask_rejected(c, &ev->request);
        break;
    case BT_EV_ALLOWED_FAST:
        bt_ask_allowed(c, ev->index);
        break;
    case BT_EV_EXTENDED:
        on_extended(c, ev->sub, ev->body);
        break;
    case BT_EV_HASH_REQUEST:
        bt_hash_request_answer(c, &ev->hash);
        break;
    case BT_EV_HASHES:
        bt_learn_hashes(c, ev);
        break;
    case BT_EV_HASH_REJECT:
        bt_judge_rejected(c, &ev->hash);
        if (c->torrent->has_layers_job)
            bt_layers_rejected(&c->torrent->layers, c->no, &ev->hash);
        break;
    case BT_EV_HAVE_NONE: /* as it was */
        bt_upload_allow(c);
        break;
    case BT_EV_SUGGEST:
    case BT_EV_PORT:
    case BT_EV_KEEPALIVE:
        break;
    }
}

/* --- bytes --- */

static void took_payload(struct bt_conn *c, uint32_t n)
{
    struct bt_torrent *t = c->torrent;
    assert(t != NULL); /* blocks come on open connections alone */
    bt_wire_payload(&c->wire, n);
    bt_requests_progress(&c->requests, n, loop_now_us(c->session->loop));
    c->block_got += n;
    c->payload_us = c->moved_us = loop_now_us(c->session->loop);
    c->got_round += n;
    c->got += n;
    t->totals.downloaded += n;
    t->totals.wasted += c->takes_block ? 0 : n;
    if (c->wire.payload_left > 0)
        return;
    bool takes = c->takes_block;
    c->in_block = c->takes_block = false;
    if (takes && t->has_picker)
        bt_piece_block(c, &c->block);
    else if (!takes && t->has_picker)
        bt_picker_release_block(&t->picker, &c->block, c->no);
}

static size_t on_places(struct loop_stream *s, struct sys_buf *places)
{
    struct bt_conn *c = TARN_OUTER(s, struct bt_conn, stream);
    uint32_t left = c->is_open ? c->wire.payload_left : 0;
    if (left == 0 || c->is_dead || c->waits_room)
        return 0;
    if (c->takes_block)
        places[0] = (struct sys_buf){ c->block_at + c->block_got, left };
    else
        places[0] = (struct sys_buf){ trash, tarn_min_size(left, sizeof trash) };
    return 1;
}

static void copy_payload(struct bt_conn *c, struct tarn_cur *in)
{
    size_t n = tarn_min_size(c->wire.payload_left, tarn_cur_left(in));
    struct tarn_bytes run = tarn_cur_take(in, n);
    assert(run.p != NULL && run.len == n); /* bt_wire_next never leaves a bad cursor */
    if (c->takes_block)
        memcpy(c->block_at + c->block_got, run.p, run.len);
    took_payload(c, (uint32_t)n);
}

static void read_messages(struct bt_conn *c, struct tarn_cur *in)
{
    while (!c->is_dead) {
        struct bt_event ev;
        struct tarn_err err;
        if (c->waits_room)
            return;
        if (c->stream.queued > QUEUE_MAX) {
            c->is_clogged = true;
            loop_stream_pause(&c->stream);
            return;
        }
        if (c->wire.payload_left > 0) {
            if (tarn_cur_left(in) == 0)
                return;
            copy_payload(c, in);
            continue;
        }
        switch (bt_wire_next(&c->wire, in, &ev, &err)) {
        case BT_MORE:
            return;
        case BT_BAD:
            bt_conn_close(c, "%s", err.msg);
            return;
        case BT_EVENT:
            on_event(c, &ev);
            break;
        }
    }
}

void bt_conn_go_on(struct tarn_list *down_line)
{
    struct bt_conn *c = TARN_OUTER(down_line, struct bt_conn, down_line);
    c->is_rate_paused = false;
    bt_conn_read_on(c);
}

/* What came counts against the limit; when it is used up, nobody is read until it fills again. */
void bt_conn_count_received(struct bt_conn *c, size_t n)
{
    struct bt_limit *own = c->torrent == NULL ? NULL : c->torrent->limit_down;
    struct bt_limit *all = &c->session->down;
    bt_limit_take(all, n);
    if (own != NULL)
        bt_limit_take(own, n);
    if ((own != NULL && !bt_limit_may(own, &c->down_line)) ||
        (c->torrent != NULL && !bt_limit_may(all, &c->down_line))) {
        c->is_rate_paused = true;
        loop_stream_pause(&c->stream);
    }
}

static void on_bytes(struct loop_stream *s, size_t placed, struct tarn_cur *in)
{
    struct bt_conn *c = TARN_OUTER(s, struct bt_conn, stream);
    size_t n = placed + tarn_cur_left(in);
    c->heard_us = loop_now_us(c->session->loop);
    if (c->torrent != NULL && !c->is_dead)
        bt_conn_rouse(c);
    if (placed > 0 && !c->is_dead)
        took_payload(c, (uint32_t)placed);
    if (!c->is_dead && (c->is_open || bt_greet_read(c, in)))
        read_messages(c, in);
    if (c->is_dead) {
        (void)tarn_cur_take(in, tarn_cur_left(in)); /* nothing of it will be read */
        return;
    }
    bt_conn_count_received(c, n);
    if (c->is_open) {
        bt_conn_fill(c);
        bt_upload_serve(c);
    }
}

static void on_open(struct loop_stream *s)
{
    struct bt_conn *c = TARN_OUTER(s, struct bt_conn, stream);
    c->born_us = loop_now_us(c->session->loop);
    bt_greet_first(c);
}

static void on_drain(struct loop_stream *s)
{
    struct bt_conn *c = TARN_OUTER(s, struct bt_conn, stream);
    if (c->is_clogged) {
        c->is_clogged = false;
        bt_conn_read_on(c);
    }
    if (c->is_open && !c->is_dead)
        bt_upload_serve(c);
}

static void on_end(struct loop_stream *s, const struct tarn_err *err)
{
    struct bt_conn *c = TARN_OUTER(s, struct bt_conn, stream);
    /* Peers go all the time; what is told is why one was never met, and what fails on our side. */
    bool expected = err->code == TARN_OK || (c->is_open && err->code == TARN_E_NETWORK);
    if (c->is_dead)
        return; /* what it was about may be gone already */
    if (c->is_open && err->code == TARN_E_INTEGRITY)
        bt_damage_suspect(c->torrent);
    bt_conn_close(c, "%s", expected ? "" : err->msg);
}

static const struct loop_stream_ops stream_ops = {
    .places = on_places,
    .on_bytes = on_bytes,
    .on_open = on_open,
    .on_drain = on_drain,
    .on_end = on_end,
};

static struct bt_conn *conn_new(struct bt_session *s)
{
    struct bt_conn *c = tarn_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    int64_t now = loop_now_us(s->loop);
    c->session = s;
    if (!bt_conn_charge(c, sizeof *c)) {
        tarn_free(c);
        return NULL;
    }
    c->no = BT_NO_PEER;
    c->candidate = UINT32_MAX;
    c->choke_changed_us = INT64_MIN;
    c->born_us = c->heard_us = c->spoke_us = now;
    return c;
}

/* Whoever says nothing makes room for a new one: many silent callers must not keep others out. */
static void drop_oldest_greeting(struct bt_session *s)
{
    if (s->n_greeting >= s->max_greeting)
        bt_conn_close(TARN_OUTER(s->greeting.next, struct bt_conn, node), "%s", "");
}

void bt_conn_incoming(struct bt_session *s, int fd, const struct sys_addr *from)
{
    drop_oldest_greeting(s);
    struct bt_conn *c = bt_session_is_full(s) ? NULL : conn_new(s);
    if (c == NULL) {
        s->refused++;
        bt_session_tick_soon(s);
        sys_close(&fd);
        return;
    }
    s->accepted++;
    tarn_list_push_back(&s->greeting, &c->node);
    s->n_greeting++;
    bt_session_tick_soon(s);
    struct tarn_err err;
    if (!loop_stream_accept(&c->stream, s->loop, &stream_ops, fd, from, &err))
        bt_conn_free(c);
}

bool bt_conn_outgoing(struct bt_torrent *t, uint32_t candidate)
{
    struct bt_candidate *k = &t->candidates[candidate];
    struct bt_conn *c = conn_new(t->session);
    struct tarn_err err;
    if (c == NULL)
        return false;
    c->session->n_greeting++; /* until it has a torrent, as leave() expects */
    if (!bt_conn_attach(c, t)) {
        bt_conn_free(c);
        return false;
    }
    c->session->n_greeting--;
    c->session->dialled++;
    c->is_outgoing = true;
    c->candidate = candidate;
    k->no = c->no;
    if (!loop_stream_connect(&c->stream, t->session->loop, &stream_ops, &k->addr, &err)) {
        c->stream.peer = k->addr;
        bt_conn_close(c, "%s", err.msg);
        return false;
    }
    return true;
}

struct bt_conn *bt_conn_web(struct bt_torrent *t, struct bt_webseed *w, const struct sys_addr *addr)
{
    struct bt_conn *c = conn_new(t->session);
    if (c == NULL)
        return NULL;
    c->session->n_greeting++; /* until it has a torrent, as leave() expects */
    if (!bt_conn_attach(c, t)) {
        bt_conn_free(c);
        return NULL;
    }
    c->session->n_greeting--;
    c->web = w;
    c->stream.peer = t->addrs[c->no] = *addr;
    c->is_outgoing = c->is_seed = true;
    t->n_seeds++;
    return c;
}

/* Nothing is awaited of it, so nothing has to be looked at each second. */
static bool is_quiet(const struct bt_conn *c)
{
    const struct bt_torrent *t = c->torrent;
    bool learns = t->meta == NULL || t->has_layers_job;
    bool gives = t->has_picker && c->n_needed > 0 && (!c->requests.is_choked || c->n_allowed > 0);
    bool waits = c->is_rate_paused || c->is_clogged || c->waits_room;
    return !learns && !gives && !waits && !c->in_block && c->requests.n == 0 && c->uploads.n == 0;
}

void bt_conn_rouse(struct bt_conn *c)
{
    if (!tarn_list_is_in(&c->node))
        tarn_list_push_back(&c->torrent->active, &c->node);
}

void bt_conn_tick(struct bt_conn *c, int64_t now_us)
{
    if (c->is_dead)
        return;
    if (c->web != NULL) {
        bt_webseed_tick(c->web, now_us);
        return;
    }
    if (!c->is_open) {
        int64_t limit = c->is_outgoing && c->stream.received == 0 ? CONNECT_US : GREET_US;
        if (now_us - c->born_us > limit)
            bt_conn_close(c, "%s", "no handshake in time");
        return;
    }
    bool is_paused = c->is_rate_paused || c->waits_room;
    if (now_us - c->heard_us > SILENCE_US && !is_paused) {
        bt_conn_close(c, "%s", "");
        return;
    }
    if (now_us - c->spoke_us > KEEPALIVE_US) {
        c->spoke_us = now_us;
        bt_put_keepalive(bt_conn_out(c));
    }
    bt_conn_give_back(c, now_us);
    bt_ask_less(c, now_us);
    /* A sender that stalls in the middle of a block holds up its piece: the place is taken back,
     * and the rest, should it come, is thrown away. */
    bool stalls = c->requests.is_snubbed || (now_us - c->payload_us > BT_SNUB_US && !is_paused);
    if (c->in_block && c->takes_block && stalls)
        bt_conn_drop_block(c);
    bt_judge_tick_conn(c, now_us);
    bt_conn_fill(c);
    bt_conn_ask_metadata(c);
    bt_conn_ask_layers(c);
    if (!c->is_dead && is_quiet(c))
        tarn_list_remove(&c->node);
}
