/* bt/theirs: which pieces a peer has, and so whether it interests us. Before the number of pieces
 * is known (a magnet link), what it tells is kept, bounded, and read later. */
#include "bt/priv.h"

/* Keep the torrent's count of seeds. */
static void note_seed(struct bt_conn *c)
{
    bool is_seed = !c->is_dead && bt_conn_has_all(c);
    if (is_seed == c->is_seed)
        return;
    c->is_seed = is_seed;
    if (is_seed)
        c->torrent->n_seeds++;
    else
        c->torrent->n_seeds--;
}

static void join(struct bt_conn *c)
{
    struct bt_torrent *t = c->torrent;
    if (!t->has_picker)
        return;
    bt_picker_joins(&t->picker, c->has_early_all ? NULL : &c->has);
    c->is_counted = true;
    c->n_needed = bt_picker_count(&t->picker, &c->has);
    bt_conn_update_interest(c);
}

void bt_conn_count_needed(struct bt_conn *c)
{
    if (!c->is_open || c->is_dead || c->has.p == NULL)
        return;
    if (!c->is_counted) {
        join(c);
    } else {
        c->n_needed = bt_picker_count(&c->torrent->picker, &c->has);
        bt_conn_update_interest(c);
    }
    bt_conn_fill(c);
}

static bool are_both_seeds(const struct bt_conn *c)
{
    const struct bt_torrent *t = c->torrent;
    return t->state == BT_SEEDING && tarn_bits_all(&t->have) && bt_conn_has_all(c);
}

static void after_pieces(struct bt_conn *c)
{
    note_seed(c);
    join(c);
    if (are_both_seeds(c))
        bt_conn_close(c, "%s", "");
    else
        bt_conn_ask_layers(c);
}

void bt_theirs_have_all(struct bt_conn *c)
{
    c->has_early_all = true;
    if (c->has.p == NULL) {
        note_seed(c);
        return;
    }
    tarn_bits_set_all(&c->has);
    after_pieces(c);
}

/* Before metadata are known: a bit in a run that grows, up to the largest bitfield there is. */
static void note_early_have(struct bt_conn *c, uint32_t piece)
{
    if (c->early.limit == 0)
        tarn_out_init(&c->early, BT_BITFIELD_MAX);
    size_t need = piece / 8 + 1;
    if (need > c->early.len) {
        size_t more = need - c->early.len;
        uint8_t *room = bt_conn_charge(c, (uint32_t)more) ? tarn_out_room(&c->early, more) : NULL;
        if (room == NULL)
            return;
        memset(room, 0, more);
    }
    c->early.p[piece / 8] |= (uint8_t)(0x80 >> piece % 8);
}

void bt_theirs_have(struct bt_conn *c, uint32_t piece)
{
    struct bt_torrent *t = c->torrent;
    if (c->has.p == NULL) {
        note_early_have(c, piece);
        return;
    }
    if (!tarn_bits_set(&c->has, piece))
        return;
    note_seed(c);
    if (t->has_picker) {
        bt_picker_peer_got(&t->picker, piece);
        c->is_counted = true;
        if (bt_picker_needs(&t->picker, piece)) {
            c->n_needed++;
            bt_conn_update_interest(c);
        }
    }
    if (are_both_seeds(c))
        bt_conn_close(c, "%s", "");
}

/* A bitfield in place of many haves: what is new in it counts. */
static void on_more_pieces(struct bt_conn *c, struct tarn_bytes body)
{
    for (uint32_t i = 0; i < c->has.n && !c->is_dead; i++)
        if ((body.p[i / 8] >> (7 - i % 8) & 1) != 0)
            bt_theirs_have(c, i);
}

void bt_theirs_bitfield(struct bt_conn *c, struct tarn_bytes body)
{
    if (c->has.p == NULL) { /* the number of pieces is not known yet: kept as it is */
        bt_uncharge(c->session, c->early.len); /* another one in place of the last */
        c->charged -= (uint32_t)c->early.len;
        tarn_out_release(&c->early);
        tarn_out_init(&c->early, BT_BITFIELD_MAX);
        if (bt_conn_charge(c, (uint32_t)body.len))
            tarn_out_put(&c->early, body);
        else
            bt_conn_close(c, "%s", "no memory for its pieces");
    } else if (c->has.count > 0 || c->has_early_all) {
        on_more_pieces(c, body);
    } else if (!tarn_bits_load(&c->has, body)) {
        bt_conn_close(c, "%s", "its bitfield does not fit the torrent");
    } else {
        after_pieces(c);
        bt_upload_allow(c);
    }
}

void bt_theirs_lost(struct bt_conn *c, uint32_t piece)
{
    struct bt_torrent *t = c->torrent;
    if (c->has.p == NULL || !tarn_bits_has(&c->has, piece))
        return;
    if (t->has_picker) {
        if (c->has_early_all) { /* it joined as one that has all: count it piece by piece from now
                                   on */
            bt_picker_leaves(&t->picker, NULL);
            bt_picker_joins(&t->picker, &c->has);
        }
        bt_picker_peer_lost(&t->picker, piece);
        if (bt_picker_needs(&t->picker, piece) && c->n_needed > 0)
            c->n_needed--;
    }
    c->has_early_all = false;
    tarn_bits_unset(&c->has, piece);
    note_seed(c);
    bt_requests_drop_piece(&c->requests, piece);
    bt_conn_give_back(c, loop_now_us(c->session->loop));
    bt_conn_update_interest(c);
}

void bt_conn_learn_pieces(struct bt_conn *c)
{
    if (!c->is_open || c->is_dead)
        return;
    if (!bt_conn_init_pieces(c)) {
        bt_conn_close(c, "%s", "no memory for its pieces");
        return;
    }
    size_t size = tarn_bits_size(c->has.n);
    if (c->has_early_all) {
        tarn_bits_set_all(&c->has);
    } else if (c->early.len > 0) {
        while (c->early.len < size && tarn_out_ok(&c->early))
            tarn_out_u8(&c->early, 0);
        if (!tarn_bits_load(&c->has, tarn_out_bytes(&c->early)))
            bt_conn_close(c, "%s", "it has pieces that the torrent does not have");
    }
    tarn_out_release(&c->early);
    note_seed(c);
}

void bt_conn_go(struct bt_conn *c)
{
    struct bt_torrent *t = c->torrent;
    if (!c->is_open || c->is_dead)
        return;
    for (uint32_t i = 0; i < t->have.n; i++)
        if (tarn_bits_has(&t->have, i))
            bt_put_index(bt_conn_out(c), BT_EV_HAVE, i);
    join(c);
    bt_conn_fill(c);
}
