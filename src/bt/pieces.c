/* bt/pieces: blocks become pieces, pieces are judged and written.
 *
 * The places of store take whole blocks, and the last block of a file in a padded torrent is
 * followed by padding that nobody sends: what is missing is filled with zeros here. */
#include "bt/priv.h"

#include "base/mem.h"
#include "base/num.h"
#include "crypt/merkle.h"

/* The whole of a block's place: what was asked for, and padding up to the block's end. With v2
 * alone a piece ends where its file does; 0: the block lies behind that. */
static uint32_t place_len(const struct bt_torrent *t, uint32_t piece, uint32_t begin)
{
    uint32_t len = store_piece_len(&t->layout, piece);
    if (!t->hashes.has_v1)
        (void)store_piece_own_file(&t->layout, piece, &len);
    return begin < len ? (uint32_t)tarn_min_u64(STORE_BLOCK, len - begin) : 0;
}

void bt_pieces_before_pick(struct bt_torrent *t)
{
    t->picker.max_partials = t->picker.n_partials + store_places_may_begin(t->places);
}

void bt_pieces_after_pick(struct bt_torrent *t)
{
    if (t->has_picker && t->places != NULL)
        store_places_begun(t->places, t->picker.held);
}

void bt_pieces_await(struct bt_torrent *t)
{
    const struct bt_picker *p = &t->picker;
    if (p->n_partials >= p->max_partials && p->need.count > p->n_partials)
        store_places_await(t->places);
}

enum { SLOW_BLOCK_US = 1000 * 1000 };

/* In end game the same block may come from two peers. The first has the place; when he is slow
 * about it he loses it, or he could keep a piece from ever becoming whole. */
static bool take_over(struct bt_conn *c, const struct bt_request *r)
{
    struct bt_torrent *t = c->torrent;
    int64_t now = loop_now_us(t->session->loop);
    for (size_t i = 0; i < t->n_numbers; i++) {
        struct bt_conn *other = t->conns[i];
        if (other == NULL || other == c || !other->takes_block ||
            !bt_request_eq(&other->block, r) || now - other->block_since_us < SLOW_BLOCK_US)
            continue;
        bt_conn_drop_block(other);
        return true;
    }
    return false;
}

bool bt_piece_place(struct bt_conn *c, const struct bt_request *r)
{
    struct bt_torrent *t = c->torrent;
    if (!t->has_picker || !bt_picker_wants(&t->picker, r))
        return false;
    uint32_t len = place_len(t, r->piece, r->begin);
    enum store_place_answer answer = store_place(t->places, r->piece, r->begin, len, &c->block_at);
    if (answer == STORE_PLACE_TAKEN && take_over(c, r))
        answer = store_place(t->places, r->piece, r->begin, len, &c->block_at);
    switch (answer) {
    case STORE_PLACE_OK:
        memset(c->block_at + r->len, 0, len - r->len);
        return true;
    case STORE_PLACE_TAKEN: /* in end game another peer is sending it now */
        return false;
    case STORE_PLACE_FULL: /* until on_room */
        c->waits_room = true;
        loop_stream_pause(&c->stream);
        return false;
    case STORE_PLACE_NO_MEMORY:
        bt_picker_release_block(&t->picker, r, c->no);
        return false;
    }
    return false;
}

void bt_piece_abandon(struct bt_conn *c)
{
    struct bt_torrent *t = c->torrent;
    if (c->takes_block)
        t->totals.wasted += c->block_got;
    if (c->takes_block && t->places != NULL)
        store_abandon(t->places, c->block.piece, c->block.begin,
                      place_len(t, c->block.piece, c->block.begin));
    c->takes_block = c->in_block = false;
}

/* Blocks that are padding alone are zeros, and nobody is asked for them. */
static void place_padding(struct bt_torrent *t, uint32_t piece)
{
    uint32_t n = bt_picker_blocks(&t->picker, piece);
    for (uint32_t block = 0; block < n; block++) {
        uint32_t begin = block * STORE_BLOCK;
        if (place_len(t, piece, begin) > 0 && bt_picker_block_len(&t->picker, piece, block) == 0)
            store_pad(t->places, piece, begin);
    }
}

void bt_piece_block(struct bt_conn *c, const struct bt_request *r)
{
    struct bt_torrent *t = c->torrent;
    struct bt_block_got got = bt_picker_got(&t->picker, r, c->no);
    int64_t now = loop_now_us(t->session->loop);
    for (unsigned i = 0; i < got.n_cancel; i++) {
        struct bt_conn *other = t->conns[got.cancel[i]];
        if (other != NULL && bt_requests_cancel(&other->requests, r, now))
            bt_put_request(bt_conn_out(other), BT_EV_CANCEL, r);
    }
    if (!got.is_new) { /* its piece was given up meanwhile: it is asked for again from the start */
        t->totals.wasted += r->len;
        store_abandon(t->places, r->piece, r->begin, place_len(t, r->piece, r->begin));
        return;
    }
    if (got.piece_full)
        place_padding(t, r->piece);
    store_commit(t->places, r->piece, r->begin, place_len(t, r->piece, r->begin));
}

/* A hybrid whose layers nobody gave: they follow from the data as its pieces pass their v1 hashes.
 * When a file is whole its layer must lead to its root; if not, the two sides of the torrent
 * disagree. */
static bool note_layer(struct bt_torrent *t, uint32_t piece, const struct store_hashes *h,
                       struct tarn_err *err)
{
    uint32_t len;
    const struct bt_file *f = bt_piece_file(t->meta, piece, &len);
    if (t->meta->has_all_layers || f == NULL || f->layer != NULL || f->len <= t->meta->piece_len)
        return true;
    if (t->found_layers == NULL)
        t->found_layers = tarn_calloc(t->meta->n_pieces, MERKLE_HASH);
    uint8_t *leaves = tarn_calloc(h->n_leaves, MERKLE_HASH);
    if (t->found_layers == NULL || leaves == NULL) {
        tarn_free(leaves);
        return tarn_fail_mem(err, "collecting v2 hashes");
    }
    memcpy(leaves, h->leaves, (size_t)h->n_leaves * MERKLE_HASH);
    merkle_root(leaves, h->n_leaves, t->meta->piece_len / BT_BLOCK, 0,
                t->found_layers + (size_t)piece * MERKLE_HASH);
    tarn_free(leaves);

    uint32_t first = (uint32_t)(f->off / t->meta->piece_len);
    uint32_t last = (uint32_t)((f->off + f->len - 1) / t->meta->piece_len);
    for (uint32_t i = first; i <= last; i++) {
        static const uint8_t unknown[MERKLE_HASH];
        if (memcmp(t->found_layers + (size_t)i * MERKLE_HASH, unknown, MERKLE_HASH) == 0)
            return true; /* it is to come, or was there before: its leaves were not seen */
    }
    return bt_metainfo_set_layer(t->meta, (uint32_t)(f - t->meta->files),
                                 t->found_layers + (size_t)first * MERKLE_HASH, err);
}

static void on_hashed(void *arg, uint32_t piece, const struct store_hashes *h,
                      const struct tarn_err *failed)
{
    struct bt_torrent *t = arg;
    struct tarn_err err;
    if (failed != NULL) {
        bt_torrent_fail(t, failed);
        return;
    }
    uint8_t *work = NULL;
    if (h->n_leaves > 0) {
        work = tarn_calloc(h->n_leaves, MERKLE_HASH);
        if (work == NULL) {
            (void)tarn_fail_mem(&err, "checking a piece");
            bt_torrent_fail(t, &err);
            return;
        }
        memcpy(work, h->leaves, (size_t)h->n_leaves * MERKLE_HASH);
    }
    enum bt_match match =
        bt_piece_match(t->meta, piece, t->hashes.has_v1 ? h->sha1 : NULL, work, h->n_leaves);
    tarn_free(work);
    switch (match) {
    case BT_NO_MATCH:
        bt_judge_bad(t, piece, h);
        break;
    case BT_SPLIT:
        (void)tarn_fail(
            &err, TARN_E_INTEGRITY,
            "piece %u fits one of the torrent's v1 and v2 hashes but not the other: the "
            "torrent contradicts itself and cannot be completed",
            piece);
        bt_torrent_fail(t, &err);
        break;
    case BT_MATCH:
        if (note_layer(t, piece, h, &err)) {
            bt_judge_good(t, piece, h);
        } else {
            (void)tarn_fail_in(&err, "the torrent's v1 and v2 hashes contradict each other");
            bt_torrent_fail(t, &err);
        }
        break;
    }
}

static void on_written(void *arg, uint32_t piece, const struct tarn_err *err)
{
    struct bt_torrent *t = arg;
    if (err != NULL) {
        bt_torrent_fail(t, err);
        return;
    }
    bt_judge_written(t, piece);
    t->totals.pieces_passed++;
    bt_piece_had(t, piece);
    if (t->n_conns == 0)
        bt_session_rouse(t->session, t); /* its state has changed, and nobody else wakes it */
    for (size_t i = 0; t->has_picker && i < t->n_numbers; i++)
        if (t->conns[i] != NULL && t->conns[i]->requests.n_open == 0)
            bt_conn_fill(t->conns[i]); /* there is room for a new piece now */
}

static void on_room(void *arg)
{
    struct bt_torrent *t = arg;
    for (size_t i = 0; i < t->n_numbers; i++) {
        struct bt_conn *c = t->conns[i];
        if (c == NULL)
            continue;
        if (c->waits_room) {
            c->waits_room = false;
            c->takes_block = bt_piece_place(c, &c->block);
            bt_conn_read_on(c);
        }
        bt_conn_fill(c);
    }
}

static void on_blocks(void *arg, uint32_t piece, bool tag, const uint8_t *leaves, uint32_t n)
{
    bt_judge_leaves(arg, piece, tag, leaves, n);
}

static void before_write(void *arg, uint32_t piece)
{
    const struct bt_torrent *t = arg;
    bt_keep_before_write(t->keep, piece);
}

static void after_write(void *arg, uint32_t piece)
{
    const struct bt_torrent *t = arg;
    bt_keep_after_write(t->keep, piece);
}

const struct store_places_ops bt_places_ops = { on_hashed, on_written,   on_room,
                                                on_blocks, before_write, after_write };
