/* bt/upload: what peers ask of us.
 *
 * A request waits in its connection's ring until there is room in the send queue and the rate limit
 * allows; all that fit are queued in one turn and leave together. */
#include "bt/priv.h"

#include "base/mem.h"
#include "base/num.h"

enum {
    UPLOADS_MAX = BT_EXT_REQQ,
    /* Ours. Enough queued to keep a fast line busy between two wake-ups, little enough that a choke
     * or a cancel still means something: 64 blocks. */
    SEND_QUEUE_MAX = 1 << 20,
    ASKED_MAX = 64, /* ours: peers that are looked at for one who has a piece too */
};

static void reject(struct bt_conn *c, const struct bt_request *r)
{
    if ((c->wire.can & BT_CAN_FAST) != 0)
        bt_put_request(bt_conn_out(c), BT_EV_REJECT, r);
}

static bool grow(struct bt_session *s, struct bt_uploads *u)
{
    uint32_t cap = u->cap == 0 ? 16 : u->cap * 2;
    uint64_t more = (cap - u->cap) * sizeof(struct bt_request);
    if (!bt_charge(s, more, NULL))
        return false;
    struct bt_request *queue = tarn_calloc(cap, sizeof *queue);
    if (queue == NULL) {
        bt_uncharge(s, more);
        return false;
    }
    for (uint32_t i = 0; i < u->n; i++)
        queue[i] = u->queue[(u->first + i) % u->cap];
    tarn_free(u->queue);
    *u = (struct bt_uploads){ queue, 0, u->n, cap };
    return true;
}

/* Has another peer this piece too? What we alone have goes out through slots: given to every
 * beginner of a crowd it would be sent over and over, and all would wait for the rest. */
static bool is_elsewhere(const struct bt_conn *c, uint32_t piece)
{
    const struct bt_torrent *t = c->torrent;
    size_t asked = 0;
    for (size_t i = 0; i < t->n_numbers && asked < ASKED_MAX; i++) {
        const struct bt_conn *other = t->conns[i];
        if (other == NULL || other == c || !other->is_open || other->has.p == NULL)
            continue;
        if (tarn_bits_has(&other->has, piece))
            return true;
        asked++;
    }
    return false;
}

void bt_upload_allow(struct bt_conn *c)
{
    struct bt_torrent *t = c->torrent;
    const struct sys_addr *from = &c->stream.peer;
    struct bt_addr peer = { .port = from->port, .is_v6 = from->is_v6 };
    uint32_t set[BT_FASTSET];
    if (c->is_dead || (c->wire.can & BT_CAN_FAST) == 0 || !bt_torrent_is_running(t) ||
        c->has.p == NULL || c->has.count >= BT_FASTSET || c->n_given > 0)
        return;
    memcpy(peer.ip, from->ip, sizeof peer.ip);
    size_t n = bt_fastset(&peer, c->ours.hash, t->have.n, BT_FASTSET, set);
    for (size_t i = 0; i < n; i++) {
        if (!tarn_bits_has(&t->have, set[i]) || tarn_bits_has(&c->has, set[i]) ||
            !is_elsewhere(c, set[i]))
            continue;
        c->given[c->n_given] = set[i];
        c->given_left[c->n_given++] = bt_piece_len(t->meta, set[i]);
        bt_put_index(bt_conn_out(c), BT_EV_ALLOWED_FAST, set[i]);
    }
}

/* May it have this while choked? Each piece once. */
static bool take_allowance(struct bt_conn *c, const struct bt_request *r)
{
    for (unsigned i = 0; i < c->n_given; i++) {
        if (c->given[i] != r->piece || c->given_left[i] < r->len)
            continue;
        c->given_left[i] -= r->len;
        return true;
    }
    return false;
}

void bt_upload_request(struct bt_conn *c, const struct bt_request *r)
{
    struct bt_torrent *t = c->torrent;
    struct bt_uploads *u = &c->uploads;
    bool ok = bt_torrent_is_running(t) && bt_request_fits(r, t->meta) &&
              tarn_bits_has(&t->have, r->piece) && u->n < UPLOADS_MAX &&
              (!c->am_choking || take_allowance(c, r));
    if (!ok || (u->n == u->cap && !grow(c->session, u))) {
        reject(c, r);
        return;
    }
    u->queue[(u->first + u->n++) % u->cap] = *r;
}

void bt_upload_cancel(struct bt_conn *c, const struct bt_request *r)
{
    struct bt_uploads *u = &c->uploads;
    for (uint32_t i = 0; i < u->n; i++) {
        if (!bt_request_eq(&u->queue[(u->first + i) % u->cap], r))
            continue;
        for (; i + 1 < u->n; i++)
            u->queue[(u->first + i) % u->cap] = u->queue[(u->first + i + 1) % u->cap];
        u->n--;
        reject(c, r); /* with the fast extension every request gets one answer */
        return;
    }
}

void bt_upload_drop_all(struct bt_conn *c, bool with_rejects)
{
    struct bt_uploads *u = &c->uploads;
    for (uint32_t i = 0; with_rejects && i < u->n; i++)
        reject(c, &u->queue[(u->first + i) % u->cap]);
    bt_uncharge(c->session, u->cap * sizeof *u->queue);
    tarn_free(u->queue);
    *u = (struct bt_uploads){ 0 };
}

uint64_t bt_request_walk(const struct bt_torrent *t, const struct bt_request *r,
                         struct store_walk *walk)
{
    uint64_t off = (uint64_t)r->piece * t->layout.piece_len + r->begin;
    uint64_t inside = off < t->layout.total ? tarn_min_u64(r->len, t->layout.total - off) : 0;
    store_walk_begin(walk, &t->layout, inside > 0 ? off : 0, inside);
    return inside;
}

static bool queue_zeros(struct bt_conn *c, size_t len, struct tarn_err *err)
{
    uint8_t *zeros = tarn_out_room(bt_conn_out(c), len);
    if (zeros == NULL)
        return tarn_fail_mem(err, "sending a block");
    memset(zeros, 0, len);
    return true;
}

/* A block as it lies in files. Peers ask for what lies in one or two; of files of a few bytes each
 * a block may have hundreds, and is read as a whole instead: a span each would hold as many files
 * open until it is sent. */
enum { PARTS_MAX = 4 };
struct block {
    struct store_part parts[PARTS_MAX];
    struct sys_file *files[PARTS_MAX]; /* counted; NULL for padding */
    size_t n;
    uint64_t inside; /* bytes before the content ends: behind it there are zeros */
};
enum block_state {
    BLOCK_READY,
    BLOCK_CLOSED,    /* a file is not open */
    BLOCK_SCATTERED, /* more than PARTS_MAX parts */
};

static void block_release(struct block *b)
{
    for (size_t i = 0; i < b->n; i++)
        sys_file_unref(b->files[i]);
}

/* An open file, unless something else has changed it: looked at once in a wake-up, not for each
 * block. `seen` is the last one that was. */
static struct sys_file *open_and_same(const struct bt_torrent *t, uint32_t file,
                                      const struct sys_file **seen)
{
    struct sys_file *f = store_tree_file_open(t->tree, file);
    if (f == NULL || f == *seen)
        return f;
    if (!store_tree_file_is_same(t->tree, file, f)) {
        sys_file_unref(f);
        return NULL;
    }
    *seen = f;
    return f;
}

/* With files only when it is ready. */
static enum block_state find_block(const struct bt_torrent *t, const struct bt_request *r,
                                   struct block *b, const struct sys_file **seen)
{
    struct store_walk walk;
    struct store_part part;
    *b = (struct block){ .inside = bt_request_walk(t, r, &walk) };
    while (store_walk_next(&walk, &part)) {
        if (b->n == PARTS_MAX)
            return BLOCK_SCATTERED;
        b->parts[b->n++] = part;
    }
    for (size_t i = 0; i < b->n; i++) {
        if (b->parts[i].file == STORE_NO_FILE)
            continue;
        b->files[i] = open_and_same(t, b->parts[i].file, seen);
        if (b->files[i] != NULL)
            continue;
        block_release(b);
        return BLOCK_CLOSED;
    }
    return BLOCK_READY;
}

/* The block's header and its runs. Padding is zeros, behind the last file too. */
static bool queue_block(struct bt_conn *c, const struct bt_request *r, const struct block *b,
                        struct tarn_err *err)
{
    bt_put_piece_head(bt_conn_out(c), r);
    for (size_t i = 0; i < b->n; i++) {
        size_t len = (size_t)b->parts[i].len;
        if (b->files[i] == NULL) {
            if (!queue_zeros(c, len, err))
                return false;
        } else if (!loop_stream_send_file(&c->stream, b->files[i], b->parts[i].off, len)) {
            return tarn_fail_mem(err, "sending a block");
        }
    }
    return b->inside == r->len || queue_zeros(c, (size_t)(r->len - b->inside), err);
}

/* The torrent's own limit, the session's, and what the line carries. */
static bool may_send(struct bt_conn *c)
{
    struct bt_limit *own = c->torrent->limit_up;
    return (own == NULL || bt_limit_may(own, &c->up_line)) &&
           bt_limit_may(&c->session->up, &c->up_line) && bt_homeline_may(c);
}

static void take_limits(struct bt_conn *c, uint64_t bytes)
{
    if (c->torrent->limit_up != NULL)
        bt_limit_take(c->torrent->limit_up, bytes);
    bt_limit_take(&c->session->up, bytes);
    bt_homeline_take(c, bytes);
}

void bt_upload_go_on(struct tarn_list *up_line)
{
    bt_upload_serve(TARN_OUTER(up_line, struct bt_conn, up_line));
}

static void drop_first(struct bt_uploads *u)
{
    u->first = (u->first + 1) % u->cap;
    u->n--;
}

static void count(struct bt_conn *c, uint32_t len)
{
    take_limits(c, len + BT_PIECE_HEAD); /* or blocks of one byte would be free */
    c->torrent->totals.uploaded += len;
    c->sent += len;
    c->sent_round += len;
    c->sent_turn += len;
    c->spoke_us = c->moved_us = loop_now_us(c->session->loop);
}

void bt_upload_fail(struct bt_conn *c, const struct tarn_err *err)
{
    bt_note(c->session, c->torrent, "%s", err->msg);
    bt_damage_suspect(c->torrent);
    bt_conn_close(c, "%s", "its block could not be read");
}

/* The first request of the ring. False: it has to wait. */
static bool serve_first(struct bt_conn *c, const struct sys_file **seen)
{
    struct bt_uploads *u = &c->uploads;
    struct bt_request r = u->queue[u->first];
    struct tarn_err err;
    struct block b;
    if (!tarn_bits_has(&c->torrent->have, r.piece)) { /* lost since it was asked for */
        drop_first(u);
        reject(c, &r);
        return true;
    }
    enum block_state state = find_block(c->torrent, &r, &b, seen);
    bool ok = true;
    switch (state) {
    case BLOCK_READY:
        drop_first(u);
        ok = queue_block(c, &r, &b, &err);
        block_release(&b);
        if (ok)
            count(c, r.len);
        break;
    case BLOCK_CLOSED:
    case BLOCK_SCATTERED:
        ok = bt_opening_start(c, state == BLOCK_SCATTERED, &err);
        break;
    }
    if (!ok)
        bt_upload_fail(c, &err);
    return ok && state == BLOCK_READY;
}

void bt_upload_was_read(struct bt_conn *c, const struct bt_request *r, struct tarn_bytes bytes)
{
    struct bt_uploads *u = &c->uploads;
    if (u->n == 0 || !bt_request_eq(&u->queue[u->first], r))
        return; /* taken back meanwhile */
    drop_first(u);
    bt_put_piece_head(bt_conn_out(c), r);
    tarn_out_put(bt_conn_out(c), bytes);
    count(c, r->len);
}

void bt_upload_serve(struct bt_conn *c)
{
    struct bt_uploads *u = &c->uploads;
    const struct sys_file *seen = NULL;
    size_t most = bt_homeline_ahead(c, SEND_QUEUE_MAX);
    while (u->n > 0 && !c->is_dead && c->opening == NULL && c->stream.queued < most && may_send(c))
        if (!serve_first(c, &seen))
            break;
    if (u->n == 0 && u->queue != NULL)
        bt_upload_drop_all(c, false); /* an idle peer keeps no ring */
}
