/* bt/judge: pieces that fail their hash, and who is to blame. The rules are bt/core/blame's.
 *
 * Who sent all of a bad piece is banned. Else, where the torrent has v2 hashes, a peer is asked for
 * the true leaves of the piece (an inquest): they tell which blocks are bad, those alone are
 * fetched again, and exactly their senders are banned. Where nobody answers, or with v1 alone, the
 * piece is given up, what each sent is remembered, and all of them go on parole, where each gets
 * pieces for himself; when the piece is good one day, who had sent something else is banned.
 *
 * A piece waits for its verdict in its place in the store, so nothing of it is read or sent again.
 * Senders that have left are banned by the address they had. */
#include "bt/priv.h"

#include "base/mem.h"
#include "crypt/merkle.h"

enum {
    SENDERS_MAX = 256,            /* of one piece; more are not looked at */
    TRIES_MAX = 3,                /* peers asked for the leaves of one piece */
    INQUESTS_MAX = 8,             /* of one torrent at a time; further pieces are judged without */
    PAROLE_US = 60 * 1000 * 1000, /* ours: for a piece of one's own */
};

struct bt_inquest {
    struct tarn_list node;
    struct bt_torrent *torrent;
    uint32_t piece;
    struct bt_hash_request request;
    bt_peer_no peer; /* asked now; BT_NO_PEER: he has left or refused */
    int64_t asked_us;
    bt_peer_no tried[TRIES_MAX];
    unsigned n_tried;
    uint32_t n; /* leaves of what came */
    uint8_t leaves[];
};

/* What the rules call a host by: bans ask in the same way. */
static struct bt_addr host_of(const struct sys_addr *from)
{
    struct bt_addr a = { .is_v6 = from->is_v6 };
    memcpy(a.ip, from->ip, sizeof a.ip);
    if (sys_addr_is_local(from))
        a.port = from->port;
    return a;
}

static void ban(struct bt_torrent *t, const struct sys_addr *addr, uint32_t piece)
{
    struct bt_addr liar = host_of(addr);
    if (bt_webseed_blame(t, addr, piece))
        return;
    if (bt_is_banned(t->session, addr))
        return; /* for another block of this piece */
    bt_ban(t->session, addr);
    for (size_t i = 0; i < t->n_numbers; i++) {
        struct bt_conn *c = t->conns[i];
        if (c == NULL)
            continue;
        struct bt_addr host = host_of(&c->stream.peer);
        if (bt_addr_eq(&host, &liar))
            bt_conn_close(c, "it sent piece %u with data that fails its hash: banned", piece);
    }
}

static void ban_number(struct bt_torrent *t, bt_peer_no no, uint32_t piece)
{
    if (no < t->n_numbers)
        ban(t, &t->addrs[no], piece);
}

static void ban_host(struct bt_torrent *t, const struct bt_addr *host, uint32_t piece)
{
    struct sys_addr addr = { .port = host->port, .is_v6 = host->is_v6 };
    memcpy(addr.ip, host->ip, sizeof addr.ip);
    ban(t, &addr, piece);
}

static void go_on(struct bt_torrent *t)
{
    bt_pieces_after_pick(t);
    for (size_t i = 0; t->has_picker && i < t->n_numbers; i++)
        if (t->conns[i] != NULL)
            bt_conn_fill(t->conns[i]);
}

static void give_up(struct bt_torrent *t, uint32_t piece)
{
    t->totals.corrupt += store_piece_len(&t->layout, piece);
    store_piece_drop(t->places, piece);
    bt_picker_bad(&t->picker, piece);
    go_on(t);
}

/* Remember what each sent; who contradicts himself is banned at once. */
static void remember(struct bt_torrent *t, uint32_t piece, const uint8_t *leaves, uint32_t n)
{
    for (uint32_t block = 0; block < n; block++) {
        bt_peer_no no = bt_picker_sender(&t->picker, piece, block);
        if (no == BT_NO_PEER || no >= t->n_numbers)
            continue;
        struct bt_addr host = host_of(&t->addrs[no]);
        if (bt_blame_remember(&t->blame, piece, block, leaves + (size_t)block * MERKLE_HASH, &host))
            ban_number(t, no, piece);
    }
}

/* Nobody can say which block it was. leaves may be NULL. */
static void suspect_all(struct bt_torrent *t, uint32_t piece, const uint8_t *leaves, uint32_t n)
{
    bt_peer_no senders[SENDERS_MAX];
    size_t n_senders = bt_picker_senders(&t->picker, piece, senders, SENDERS_MAX);
    if (leaves != NULL)
        remember(t, piece, leaves, n);
    for (size_t i = 0; i < n_senders; i++) {
        if (senders[i] >= t->n_numbers)
            continue;
        struct bt_addr host = host_of(&t->addrs[senders[i]]);
        struct bt_conn *c = t->conns[senders[i]];
        if (bt_blame_strike(&t->blame, &host))
            ban_number(t, senders[i], piece);
        else if (c != NULL)
            bt_judge_parole(c);
    }
    give_up(t, piece);
}

/* Inquests. */

static void inquest_free(struct bt_inquest *q)
{
    tarn_list_remove(&q->node);
    q->torrent->n_inquests--;
    tarn_free(q);
}

static bool was_tried(const struct bt_inquest *q, bt_peer_no no)
{
    for (unsigned i = 0; i < q->n_tried; i++)
        if (q->tried[i] == no)
            return true;
    return false;
}

static bool is_sender(const bt_peer_no *senders, size_t n, bt_peer_no no)
{
    for (size_t i = 0; i < n; i++)
        if (senders[i] == no)
            return true;
    return false;
}

/* Somebody who speaks v2 and has the piece; one who sent none of it rather than a suspect. */
static struct bt_conn *witness(const struct bt_inquest *q)
{
    struct bt_torrent *t = q->torrent;
    bt_peer_no senders[SENDERS_MAX];
    size_t n = bt_picker_senders(&t->picker, q->piece, senders, SENDERS_MAX);
    struct bt_conn *found = NULL;
    for (size_t i = 0; i < t->n_numbers; i++) {
        struct bt_conn *c = t->conns[i];
        if (c == NULL || !c->is_open || c->is_dead || !c->wire.is_v2 || c->has.p == NULL ||
            !tarn_bits_has(&c->has, q->piece) || was_tried(q, c->no))
            continue;
        if (!is_sender(senders, n, c->no))
            return c;
        if (found == NULL)
            found = c;
    }
    return found;
}

static bool ask(struct bt_inquest *q)
{
    struct bt_conn *c = q->n_tried < TRIES_MAX ? witness(q) : NULL;
    if (c == NULL)
        return false;
    q->peer = c->no;
    q->tried[q->n_tried++] = c->no;
    q->asked_us = loop_now_us(c->session->loop);
    bt_put_hash_request(bt_conn_out(c), BT_EV_HASH_REQUEST, &q->request);
    return true;
}

static bool open_inquest(struct bt_torrent *t, uint32_t piece, const uint8_t *leaves, uint32_t n)
{
    struct bt_hash_request r;
    if (n == 0 || t->n_inquests >= INQUESTS_MAX || !bt_leaves_request(t->meta, piece, &r))
        return false;
    struct bt_inquest *q = tarn_calloc(1, sizeof *q + (size_t)n * MERKLE_HASH);
    if (q == NULL)
        return false;
    q->torrent = t;
    q->piece = piece;
    q->request = r;
    q->n = n;
    memcpy(q->leaves, leaves, (size_t)n * MERKLE_HASH);
    tarn_list_push_back(&t->inquests, &q->node);
    t->n_inquests++;
    if (ask(q))
        return true;
    inquest_free(q);
    return false;
}

static void close_without(struct bt_inquest *q)
{
    tarn_list_remove(&q->node);
    suspect_all(q->torrent, q->piece, q->leaves, q->n);
    inquest_free(q);
}

/* The true leaves are here. */
static void blame_blocks(struct bt_inquest *q, const uint8_t *truth)
{
    struct bt_torrent *t = q->torrent;
    uint32_t piece = q->piece, n_bad = 0;
    for (uint32_t block = 0; block < q->n; block++) {
        size_t at = (size_t)block * MERKLE_HASH;
        if (memcmp(truth + at, q->leaves + at, MERKLE_HASH) == 0)
            continue;
        uint32_t len = bt_picker_block_len(&t->picker, piece, block);
        ban_number(t, bt_picker_sender(&t->picker, piece, block), piece);
        store_block_drop(t->places, piece, block * STORE_BLOCK);
        bt_picker_bad_block(&t->picker, piece, block);
        t->totals.corrupt += len;
        n_bad++;
    }
    if (n_bad == 0) { /* what is wrong is no leaf: padding of a hybrid, or v1's hash */
        close_without(q);
        return;
    }
    inquest_free(q);
    go_on(t);
}

static struct bt_inquest *asked_of(const struct bt_conn *c, const struct bt_hash_request *r)
{
    const struct bt_torrent *t = c->torrent;
    for (struct tarn_list *node = t->inquests.next; node != &t->inquests; node = node->next) {
        struct bt_inquest *q = TARN_OUTER(node, struct bt_inquest, node);
        if (q->peer == c->no && bt_hash_request_eq(&q->request, r))
            return q;
    }
    return NULL;
}

bool bt_judge_hashes(struct bt_conn *c, const struct bt_event *ev)
{
    struct bt_inquest *q = asked_of(c, &ev->hash);
    if (q == NULL)
        return false;
    uint8_t *work = tarn_calloc(ev->hash.count, MERKLE_HASH);
    bool is_true =
        work != NULL && bt_leaves_check(c->torrent->meta, q->piece, &ev->hash, ev->body, work);
    bool is_wrong = work != NULL && !is_true;
    tarn_free(work);
    if (is_true) {
        blame_blocks(q, ev->body.p);
        return true;
    }
    q->peer = BT_NO_PEER; /* the next is asked at the tick */
    if (is_wrong && ++c->bad_hashes >= BT_HASHES_BAD_MAX) {
        bt_ban(c->session, &c->stream.peer);
        bt_conn_close(c, "%s", "its hashes do not lead to the torrent's: banned");
    }
    return true;
}

void bt_judge_rejected(struct bt_conn *c, const struct bt_hash_request *r)
{
    struct bt_inquest *q = asked_of(c, r);
    if (q != NULL)
        q->peer = BT_NO_PEER;
}

void bt_judge_gone(struct bt_conn *c)
{
    const struct bt_torrent *t = c->torrent;
    for (struct tarn_list *node = t->inquests.next; node != &t->inquests; node = node->next) {
        struct bt_inquest *q = TARN_OUTER(node, struct bt_inquest, node);
        if (q->peer == c->no)
            q->peer = BT_NO_PEER;
        for (unsigned i = 0; i < q->n_tried; i++)
            if (q->tried[i] == c->no)
                q->tried[i] = BT_NO_PEER; /* the number may be another's soon */
    }
}

void bt_judge_tick(struct bt_torrent *t, int64_t now_us)
{
    for (struct tarn_list *node = t->inquests.next, *next; node != &t->inquests; node = next) {
        next = node->next;
        struct bt_inquest *q = TARN_OUTER(node, struct bt_inquest, node);
        bool is_late = now_us - q->asked_us >= BT_HASHES_TIMEOUT_US;
        if ((q->peer == BT_NO_PEER || is_late) && !ask(q)) {
            close_without(q);
            return; /* others may be gone with it: they wait for the next tick */
        }
    }
}

void bt_judge_release(struct bt_torrent *t)
{
    while (!tarn_list_empty(&t->inquests))
        inquest_free(TARN_OUTER(t->inquests.next, struct bt_inquest, node));
    bt_blame_release(&t->blame);
    tarn_free(t->addrs);
}

/* Verdicts. */

void bt_judge_parole(struct bt_conn *c)
{
    if (!c->on_parole)
        c->parole_us = loop_now_us(c->session->loop);
    c->on_parole = true;
}

/* Who is on parole and trickles keeps what is his from everybody: it is open to all again. */
void bt_judge_tick_conn(struct bt_conn *c, int64_t now_us)
{
    if (!c->on_parole || !c->torrent->has_picker)
        return;
    bool is_late = now_us - c->parole_us >= PAROLE_US;
    if (is_late) {
        c->parole_us = now_us;
        bt_requests_snub(&c->requests, now_us);
        bt_conn_give_back(c, now_us);
    }
    if (is_late || c->requests.is_snubbed)
        bt_picker_release_peer(&c->torrent->picker, c->no);
}

void bt_judge_meet(struct bt_conn *c)
{
    struct bt_addr host = host_of(&c->stream.peer);
    c->torrent->addrs[c->no] = c->stream.peer;
    if (bt_blame_suspects(&c->torrent->blame, &host))
        bt_judge_parole(c);
}

void bt_judge_bad(struct bt_torrent *t, uint32_t piece, const struct store_hashes *h)
{
    bt_peer_no senders[SENDERS_MAX];
    t->totals.pieces_failed++;
    if (bt_picker_senders(&t->picker, piece, senders, SENDERS_MAX) == 1) {
        ban_number(t, senders[0], piece);
        give_up(t, piece);
    } else if (h->n_leaves == 0) {
        if (!store_piece_blocks(t->places, piece, false))
            suspect_all(t, piece, NULL, 0);
    } else if (!open_inquest(t, piece, h->leaves, h->n_leaves)) {
        suspect_all(t, piece, h->leaves, h->n_leaves);
    }
}

static void compare(struct bt_torrent *t, uint32_t piece, const uint8_t *leaves, uint32_t n)
{
    struct bt_addr liars[SENDERS_MAX];
    size_t n_liars = bt_blame_compare(&t->blame, piece, leaves, n, liars, SENDERS_MAX);
    for (size_t i = 0; i < n_liars; i++)
        ban_host(t, &liars[i], piece);
}

void bt_judge_good(struct bt_torrent *t, uint32_t piece, const struct store_hashes *h)
{
    bool is_known = bt_blame_knows(&t->blame, piece);
    if (is_known && h->n_leaves == 0 && store_piece_blocks(t->places, piece, true))
        return; /* it is written when they are here */
    if (is_known)
        compare(t, piece, h->leaves, h->n_leaves);
    store_piece_write(t->places, piece);
}

void bt_judge_leaves(struct bt_torrent *t, uint32_t piece, bool is_good, const uint8_t *leaves,
                     uint32_t n)
{
    if (!is_good) {
        suspect_all(t, piece, leaves, n);
        return;
    }
    compare(t, piece, leaves, n);
    store_piece_write(t->places, piece);
}

void bt_judge_written(struct bt_torrent *t, uint32_t piece)
{
    bt_peer_no senders[SENDERS_MAX];
    size_t n = bt_picker_senders(&t->picker, piece, senders, SENDERS_MAX);
    if (n != 1 || senders[0] >= t->n_numbers)
        return;
    struct bt_addr host = host_of(&t->addrs[senders[0]]);
    bt_blame_pardon(&t->blame, &host);
    if (t->conns[senders[0]] != NULL)
        t->conns[senders[0]]->on_parole = false; /* a whole good piece of his own clears him */
}
