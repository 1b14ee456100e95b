/* bt/learn: what peers teach us of the torrent itself: the metadata of a magnet link and the piece
 * layers of v2; and serving metadata. The rules are bt/core/metadata's and bt/core/hashreq's. */
#include "bt/priv.h"

void bt_conn_ask_metadata(struct bt_conn *c)
{
    struct bt_torrent *t = c->torrent;
    uint8_t id = c->ext.ids[BT_EXT_METADATA];
    uint32_t block;
    if (t->meta != NULL || id == 0 || !c->is_open || c->is_dead)
        return;
    while (bt_metadata_ask(&t->metadata, c->no, loop_now_us(c->session->loop), &block)) {
        struct bt_meta_msg msg = { .kind = BT_META_REQUEST, .block = block };
        bt_put_meta(bt_conn_out(c), id, &msg);
    }
}

static void metadata_full(struct bt_conn *c)
{
    struct bt_torrent *t = c->torrent;
    struct tarn_bytes info = bt_metadata_join(&t->metadata, c->no);
    if (info.len > 0 && bt_hashes_match(&t->hashes, info)) {
        bt_torrent_got_metadata(t, info);
        return;
    }
    bt_note(t->session, t, "metadata from peers do not match the magnet's hash: asking again");
    bt_peer_no liar = bt_metadata_failed(&t->metadata, c->no);
    if (liar != BT_NO_PEER && t->conns[liar] != NULL) {
        bt_ban(t->session, &t->conns[liar]->stream.peer);
        bt_conn_close(t->conns[liar], "%s", "it sent wrong metadata: banned");
    }
}

static void on_metadata_request(struct bt_conn *c, uint32_t block)
{
    const struct bt_metainfo *m = c->torrent->meta;
    bool may = m != NULL && !m->is_private;
    struct tarn_bytes info = may ? m->info : tarn_bytes_of(NULL, 0);
    uint32_t size = (uint32_t)info.len;
    uint8_t id = c->ext.ids[BT_EXT_METADATA];
    struct bt_meta_msg msg = { .kind = BT_META_REJECT, .block = block, .total = size };
    if (id == 0)
        return;
    switch (bt_metadata_answer(size, block, &c->meta_answered)) {
    case BT_META_SEND:
        msg.kind = BT_META_DATA;
        msg.data = bt_metadata_block(info, block);
        bt_put_meta(bt_conn_out(c), id, &msg);
        break;
    case BT_META_REFUSE:
        bt_put_meta(bt_conn_out(c), id, &msg);
        break;
    case BT_META_SILENT:
        break;
    }
}

void bt_learn_metadata(struct bt_conn *c, struct tarn_bytes body)
{
    struct bt_torrent *t = c->torrent;
    struct bt_meta_msg msg;
    struct tarn_err err;
    if (!bt_meta_read(&msg, body, &err)) {
        bt_conn_close(c, "%s", err.msg);
        return;
    }
    if (msg.kind == BT_META_REQUEST) {
        on_metadata_request(c, msg.block);
        return;
    }
    if (t->meta != NULL || msg.kind == BT_META_UNKNOWN)
        return;
    switch (bt_metadata_got(&t->metadata, c->no, &msg, loop_now_us(c->session->loop))) {
    case BT_META_TAKEN:
        bt_conn_ask_metadata(c);
        break;
    case BT_META_IGNORED:
        break;
    case BT_META_WRONG:
        bt_conn_close(c, "%s", "its metadata are not as long as it said");
        break;
    case BT_META_FULL:
        metadata_full(c);
        break;
    }
}

void bt_conn_ask_layers(struct bt_conn *c)
{
    struct bt_torrent *t = c->torrent;
    struct bt_hash_request r;
    if (!t->has_layers_job || !c->is_open || c->is_dead || !c->wire.is_v2 || c->has.p == NULL)
        return;
    if (t->state != BT_METADATA && !bt_torrent_is_running(t))
        return; /* the threads that check what is there read the layers */
    while (bt_layers_ask(&t->layers, c->no, &c->has, loop_now_us(c->session->loop), &r))
        bt_put_hash_request(bt_conn_out(c), BT_EV_HASH_REQUEST, &r);
}

static void take_layers(struct bt_torrent *t)
{
    uint32_t cursor = 0, file;
    const uint8_t *layer;
    struct tarn_err err;
    while (bt_layers_next(&t->layers, &cursor, &file, &layer))
        if (t->meta->files[file].layer == NULL &&
            !bt_metainfo_set_layer(t->meta, file, layer, &err))
            bt_torrent_fail(t, &err);
    bt_torrent_settle(t);
}

void bt_learn_hashes(struct bt_conn *c, const struct bt_event *ev)
{
    struct bt_torrent *t = c->torrent;
    if (bt_judge_hashes(c, ev) || !t->has_layers_job)
        return;
    switch (bt_layers_got(&t->layers, c->no, &ev->hash, ev->body)) {
    case BT_HASHES_LAYER:
        take_layers(t);
        bt_conn_ask_layers(c);
        break;
    case BT_HASHES_TAKEN:
        bt_conn_ask_layers(c);
        break;
    case BT_HASHES_WRONG:
        if (++c->bad_hashes >= BT_HASHES_BAD_MAX) {
            bt_ban(c->session, &c->stream.peer);
            bt_conn_close(c, "%s", "its hashes do not lead to the torrent's: banned");
        }
        break;
    case BT_HASHES_IGNORED:
    case BT_HASHES_NO_MEMORY:
        break;
    }
}
