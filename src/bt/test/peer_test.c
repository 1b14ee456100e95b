/* A session against peers made by hand: what strangers may send, leave out, or stop in the middle
 * of. */
#include "bt/priv.h"
#include "bt/test/world.h"

#include "sys/net.h"

/* --- a peer by hand --- */

struct raw {
    struct world *w;
    int fd;
    struct bt_wire wire;
    uint8_t in[1 << 20];
    size_t n_in;
    bool is_over;
};

static void raw_turn(struct raw *p)
{
    size_t got = 0;
    struct tarn_err err;
    struct sys_buf room = { p->in + p->n_in, sizeof p->in - p->n_in };
    assert_true(loop_turn(p->w->loop, 1000, NULL));
    if (p->is_over || room.len == 0)
        return;
    switch (sys_recv(p->fd, &room, 1, &got, &err)) {
    case SYS_IO_DONE:
        p->n_in += got;
        break;
    case SYS_IO_AGAIN:
        break;
    case SYS_IO_END:
    case SYS_IO_FAIL:
        p->is_over = true;
    }
}

static void raw_send(struct raw *p, const void *data, size_t len)
{
    uint8_t scratch[65536];
    for (size_t at = 0; at < len && !p->is_over;) {
        size_t sent = 0;
        struct tarn_err err;
        struct sys_span span = { .p = (const uint8_t *)data + at, .len = len - at };
        struct sys_sender by = { .scratch = { scratch, sizeof scratch } };
        if (sys_send_spans(p->fd, &span, 1, span.len, &by, &sent, &err) == SYS_IO_FAIL)
            p->is_over = true;
        at += sent;
        if (at < len)
            raw_turn(p);
    }
}

static void raw_put(struct raw *p, struct tarn_out *o)
{
    assert_true(tarn_out_ok(o));
    raw_send(p, o->p, o->len);
    tarn_out_release(o);
}

/* Connected, and hands shaken. */
static void raw_open(struct raw *p, struct world *w, const struct side *to, const uint8_t *hash,
                     uint8_t can)
{
    static uint8_t number;
    struct tarn_err err;
    struct sys_addr at = bt_session_addr(to->session, 0);
    struct bt_handshake h = { .can = can }, theirs;
    struct tarn_out o;
    memset(p, 0, sizeof *p);
    p->w = w;
    p->fd = sys_tcp_connect(&at, &err);
    assert_true(p->fd >= 0);
    memcpy(h.hash, hash, BT_HASH_LEN);
    memset(h.peer_id, 0xC0, BT_PEER_ID_LEN);
    h.peer_id[0] = ++number;
    tarn_out_init(&o, TARN_MIB);
    bt_handshake_put(&o, &h);
    raw_turn(p);
    raw_put(p, &o);
    int64_t end = sys_now_us() + PATIENCE_US;
    while (p->n_in < BT_HANDSHAKE_LEN && !p->is_over && sys_now_us() < end)
        raw_turn(p);
    assert_true(p->n_in >= BT_HANDSHAKE_LEN);
    struct bt_handshake_reader reader = { 0 };
    struct tarn_cur in = tarn_cur_of(tarn_bytes_of(p->in, p->n_in));
    bool is_v2;
    while (reader.stage < 2)
        assert_int_equal(bt_handshake_next(&reader, &in, &theirs, &err), BT_EVENT);
    assert_true(bt_handshake_is_for(&w->meta.hashes, theirs.hash, &is_v2));
    bt_wire_init(&p->wire, can & theirs.can, is_v2, w->meta.n_pieces);
    p->n_in = tarn_cur_left(&in);
    memmove(p->in, in.p, p->n_in);
}

static void raw_close(struct raw *p)
{
    sys_close(&p->fd);
}

static void drop_front(struct raw *p, size_t n)
{
    p->n_in -= n;
    memmove(p->in, p->in + n, p->n_in);
}

/* The next message; false when none comes within the time. A body stays until the next call. */
static bool raw_next(struct raw *p, struct bt_event *ev, int64_t wait_us)
{
    static uint8_t body[1 << 20];
    int64_t end = sys_now_us() + wait_us;
    for (;;) {
        struct tarn_err err;
        struct tarn_cur in = tarn_cur_of(tarn_bytes_of(p->in, p->n_in));
        if (p->wire.payload_left > 0) {
            size_t n = p->n_in < p->wire.payload_left ? p->n_in : p->wire.payload_left;
            bt_wire_payload(&p->wire, (uint32_t)n);
            drop_front(p, n);
        } else {
            enum bt_step step = bt_wire_next(&p->wire, &in, ev, &err);
            if (step == BT_BAD)
                fail_msg("%s", err.msg);
            if (step == BT_EVENT && ev->body.len > 0) {
                memcpy(body, ev->body.p, ev->body.len);
                ev->body.p = body;
            }
            drop_front(p, p->n_in - tarn_cur_left(&in));
            if (step == BT_EVENT)
                return true;
        }
        if (p->is_over || sys_now_us() > end)
            return false;
        raw_turn(p);
    }
}

static bool raw_await(struct raw *p, enum bt_ev_kind kind, struct bt_event *ev)
{
    while (raw_next(p, ev, PATIENCE_US))
        if (ev->kind == kind)
            return true;
    return false;
}

static void raw_plain(struct raw *p, enum bt_ev_kind kind)
{
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    bt_put_plain(&o, kind);
    raw_put(p, &o);
}

static void raw_index(struct raw *p, enum bt_ev_kind kind, uint32_t index)
{
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    bt_put_index(&o, kind, index);
    raw_put(p, &o);
}

static void raw_request(struct raw *p, enum bt_ev_kind kind, const struct bt_request *r)
{
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    bt_put_request(&o, kind, r);
    raw_put(p, &o);
}

/* The true bytes of a block. */
static void block_bytes(const struct world *w, const struct bt_request *r, uint8_t *out)
{
    uint64_t at = (uint64_t)r->piece * PIECE + r->begin;
    memset(out, 0, r->len);
    for (uint32_t f = 0; f < w->meta.n_files; f++) {
        const struct bt_file *file = &w->meta.files[f];
        for (int i = 0; i < FILES && !file->is_pad; i++) {
            size_t n = strlen(names[i]), len = strlen(file->path);
            if (len < n || strcmp(file->path + len - n, names[i]) != 0)
                continue;
            for (uint64_t b = at; b < at + r->len; b++)
                if (b >= file->off && b < file->off + file->len)
                    out[b - at] = w->bytes[i][b - file->off];
        }
    }
}

/* A block, or only its first bytes. */
static void raw_block(struct raw *p, const struct bt_request *r, size_t most, bool is_bad)
{
    static uint8_t data[BT_BLOCK];
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    bt_put_piece_head(&o, r);
    block_bytes(p->w, r, data);
    data[0] ^= is_bad;
    tarn_out_put(&o, tarn_bytes_of(data, most < r->len ? most : r->len));
    raw_put(p, &o);
}

/* One side that has nothing and knows nobody. */
static void side_wait(struct side *s, struct world *w, const char *folder)
{
    struct tarn_err err;
    side_open(s, w, folder);
    struct bt_add add = { .meta = &s->meta, .path = s->path, .ops = &ops, .arg = s };
    s->torrent = bt_session_add(s->session, &add, &err);
    assert_non_null(s->torrent);
    struct bt_stats stats = { 0 };
    while (stats.state != BT_FETCHING) {
        assert_true(loop_turn(w->loop, 10000, NULL));
        bt_torrent_stats(s->torrent, &stats);
    }
}

/* --- tests --- */

/* Owners that take the torrent away from inside a callback. */
struct remover {
    struct side side;
    char when; /* 'm', 'c' or 'f' */
    bool is_removed;
};

static void remove_now(struct remover *r, char when)
{
    if (r->when != when)
        return;
    r->is_removed = true;
    bt_session_remove(r->side.session, r->side.torrent);
}

static void remove_on_metadata(void *arg, const struct bt_metainfo *m)
{
    (void)m;
    remove_now(arg, 'm');
}

static void remove_on_complete(void *arg)
{
    remove_now(arg, 'c');
}

static void remove_on_failed(void *arg, const struct tarn_err *err)
{
    remove_now(arg, 'f');
    assert_true(err->msg[0] != 0);
}

static void owner_removes(char when, bool by_magnet)
{
    static const struct bt_torrent_ops removers = { remove_on_metadata, remove_on_complete,
                                                    remove_on_failed };
    struct world w;
    struct side seed;
    struct remover r = { .when = when };
    struct tarn_err err;
    world_init(&w, BT_HYBRID);
    side_seed(&seed, &w, "seed", true);
    assert_true(run_until(&w, &seed.is_complete));
    side_fetch(&r.side, &w, "got", &seed, by_magnet);
    bt_session_remove(r.side.session, r.side.torrent);
    struct bt_add add = { .meta = by_magnet ? NULL : &r.side.meta,
                          .magnet = by_magnet ? &w.magnet : NULL,
                          .path = when == 'f' ? "/dev/null/no" : r.side.path,
                          .peers = r.side.peers,
                          .n_peers = 1,
                          .ops = &removers,
                          .arg = &r };
    r.side.torrent = bt_session_add(r.side.session, &add, &err);
    assert_non_null(r.side.torrent);
    assert_true(run_until(&w, &r.is_removed));
    for (int i = 0; i < 5; i++)
        assert_true(loop_turn(w.loop, 1000, NULL));
    side_close(&r.side);
    side_close(&seed);
    world_release(&w);
}

static void removed_in_callbacks(void **state)
{
    (void)state;
    owner_removes('m', true);
    owner_removes('c', false);
    owner_removes('c', true);
    owner_removes('f', true);
    owner_removes('f', false);
}

/* A torrent file that lacks its piece layers: peers have them. */
static void layers_from_peers(void **state)
{
    (void)state;
    static const enum bt_format formats[] = { BT_V2, BT_HYBRID };
    for (int i = 0; i < 2; i++) {
        struct world w;
        struct side seed, fetch;
        struct tarn_err err;
        world_init(&w, formats[i]);
        side_seed(&seed, &w, "seed", true);
        assert_true(run_until(&w, &seed.is_complete));
        side_fetch(&fetch, &w, "got", &seed, false);
        bt_session_remove(fetch.session, fetch.torrent);
        bt_metainfo_release(&fetch.meta);
        assert_true(bt_metainfo_parse_info(&fetch.meta, w.meta.info, &err));
        assert_false(fetch.meta.has_all_layers);
        struct bt_add add = { .meta = &fetch.meta,
                              .path = fetch.path,
                              .peers = fetch.peers,
                              .n_peers = 1,
                              .ops = &ops,
                              .arg = &fetch };
        fetch.torrent = bt_session_add(fetch.session, &add, &err);
        assert_non_null(fetch.torrent);
        assert_true(run_until(&w, &fetch.is_complete));
        assert_same_files(&w, &fetch);
        assert_true(fetch.meta.has_all_layers);
        side_close(&fetch);
        side_close(&seed);
        world_release(&w);
    }
}

/* One that stops in the middle of a block holds up nobody: another one's copy is taken. */
static void stalled_in_a_block(void **state)
{
    (void)state;
    static struct raw a;
    struct world w;
    struct side seed, fetch;
    struct bt_event ev;
    world_init(&w, BT_V1);
    side_wait(&fetch, &w, "got");
    raw_open(&a, &w, &fetch, w.meta.hashes.v1, BT_CAN_FAST);
    raw_plain(&a, BT_EV_HAVE_ALL);
    raw_plain(&a, BT_EV_UNCHOKE);
    assert_true(raw_await(&a, BT_EV_REQUEST, &ev));
    raw_block(&a, &ev.request, 100, false);
    side_fetch(&seed, &w, "seed", &fetch, false); /* has all of it already */
    assert_true(run_until(&w, &seed.is_complete));
    assert_true(run_until(&w, &fetch.is_complete));
    assert_same_files(&w, &fetch);
    raw_close(&a);
    side_close(&fetch);
    side_close(&seed);
    world_release(&w);
}

/* A peer that gives pieces away to the choked, and then refuses them, is not asked for ever. */
static void refused_while_choked(void **state)
{
    (void)state;
    static struct raw a;
    struct world w;
    struct side fetch;
    struct bt_event ev;
    struct tarn_out o;
    unsigned n = 0;
    world_init(&w, BT_V1);
    side_wait(&fetch, &w, "got");
    raw_open(&a, &w, &fetch, w.meta.hashes.v1, BT_CAN_FAST);
    raw_plain(&a, BT_EV_HAVE_ALL);
    tarn_out_init(&o, TARN_MIB);
    bt_put_index(&o, BT_EV_ALLOWED_FAST, 3);
    raw_put(&a, &o);
    while (n < 100 && raw_next(&a, &ev, 500000)) {
        if (ev.kind != BT_EV_REQUEST)
            continue;
        assert_int_equal(ev.request.piece, 3);
        raw_request(&a, BT_EV_REJECT, &ev.request);
        n++;
    }
    assert_in_range(n, 1, 4);
    raw_close(&a);
    side_close(&fetch);
    world_release(&w);
}

/* As a peer without the fast extension that has every piece. */
static void raw_offer_all(struct raw *r, uint32_t n_pieces)
{
    struct tarn_bits all;
    struct tarn_out o;
    assert_true(tarn_bits_init(&all, n_pieces));
    tarn_bits_set_all(&all);
    tarn_out_init(&o, TARN_MIB);
    bt_put_bitfield(&o, &all);
    raw_put(r, &o);
    raw_plain(r, BT_EV_UNCHOKE);
    tarn_bits_release(&all);
}

/* Two peers on parole, and one of them sits on what it has for itself: the other still goes on with
 * pieces that several had begun. */
static void parole_starves_nobody(void **state)
{
    (void)state;
    static struct raw a, b;
    struct world w;
    struct side fetch;
    struct bt_event ev;
    struct bt_request held[2];
    unsigned n_held = 0;
    world_init(&w, BT_V1);
    side_wait(&fetch, &w, "got");
    raw_open(&a, &w, &fetch, w.meta.hashes.v1, 0);
    raw_offer_all(&a, w.meta.n_pieces);
    /* a brings all but the second halves of two pieces; the first half of one of them is bad. */
    while (raw_next(&a, &ev, 500000)) {
        if (ev.kind != BT_EV_REQUEST)
            continue;
        if (ev.request.begin > 0 && n_held < 2)
            held[n_held++] = ev.request;
        else
            raw_block(&a, &ev.request, BT_BLOCK, ev.request.begin == 0 && n_held == 0);
    }
    assert_int_equal(n_held, 2);
    struct bt_stats stats;
    bt_torrent_stats(fetch.torrent, &stats);
    assert_int_equal(stats.pieces_failed, 0);
    raw_plain(&a, BT_EV_CHOKE);
    for (int i = 0; i < 20; i++)
        raw_turn(&a);
    /* b brings the other half of the bad one. */
    raw_open(&b, &w, &fetch, w.meta.hashes.v1, 0);
    raw_offer_all(&b, w.meta.n_pieces);
    bool both = false;
    for (unsigned n = 0; !both && raw_await(&b, BT_EV_REQUEST, &ev); n++)
        both = bt_request_eq(&ev.request, &held[0]);
    raw_block(&b, &held[0], BT_BLOCK, false);
    raw_plain(&b, BT_EV_CHOKE);
    for (int i = 0; i < 1000 && stats.pieces_failed == 0; i++) {
        raw_turn(&b);
        bt_torrent_stats(fetch.torrent, &stats);
    }
    assert_int_equal(stats.pieces_failed, 1);
    raw_plain(&a, BT_EV_UNCHOKE);
    for (int i = 0; i < 50; i++)
        raw_turn(&a);
    b.n_in = 0;
    raw_plain(&b, BT_EV_UNCHOKE);
    bool is_asked = false;
    while (!is_asked && raw_next(&b, &ev, 3000000))
        is_asked = ev.kind == BT_EV_REQUEST;
    assert_true(is_asked);
    raw_close(&a);
    raw_close(&b);
    side_close(&fetch);
    world_release(&w);
}

/* Who sends and does not read gets no memory for it. */
static void flooding_without_reading(void **state)
{
    (void)state;
    static struct raw a;
    static uint8_t run[17 * 1024];
    struct world w;
    struct side seed;
    struct tarn_out o;
    world_init(&w, BT_V1);
    side_seed(&seed, &w, "seed", true);
    assert_true(run_until(&w, &seed.is_complete));
    raw_open(&a, &w, &seed, w.meta.hashes.v1, BT_CAN_FAST);
    raw_plain(&a, BT_EV_HAVE_NONE);
    tarn_out_fixed(&o, run, sizeof run);
    for (int i = 0; i < 1024; i++)
        bt_put_request(&o, BT_EV_REQUEST, &(struct bt_request){ 9, 0, BT_BLOCK });
    size_t at = 0, most = 0;
    for (int idle = 0, turns = 0; idle < 50 && turns < 20000 && !a.is_over; turns++) {
        uint8_t scratch[65536];
        struct sys_span span = { .p = run + at, .len = sizeof run - at };
        struct sys_sender by = { .scratch = { scratch, sizeof scratch } };
        struct tarn_err err;
        size_t sent = 0;
        if (sys_send_spans(a.fd, &span, 1, span.len, &by, &sent, &err) == SYS_IO_FAIL)
            a.is_over = true;
        at = (at + sent) % sizeof run;
        idle = sent == 0 ? idle + 1 : 0;
        assert_true(loop_turn(w.loop, 1000, NULL));
        struct bt_conn *c = seed.torrent->n_numbers > 0 ? seed.torrent->conns[0] : NULL;
        if (c != NULL && c->stream.queued > most)
            most = c->stream.queued;
    }
    assert_false(a.is_over);
    assert_in_range(most, 1, 4 << 20);
    /* When it reads at last all its requests are answered. */
    struct bt_event ev;
    for (int i = 0; i < 1000; i++)
        assert_true(raw_await(&a, BT_EV_REJECT, &ev));
    raw_close(&a);
    side_close(&seed);
    world_release(&w);
}

/* Leaf hashes, read from the disk, prove the blocks of a piece. */
static void leaf_hashes(void **state)
{
    (void)state;
    static struct raw a;
    struct world w;
    struct side seed;
    struct bt_event ev;
    struct bt_hash_request want;
    uint8_t work[PIECE / BT_BLOCK * MERKLE_HASH];
    world_init(&w, BT_V2);
    side_seed(&seed, &w, "seed", true);
    assert_true(run_until(&w, &seed.is_complete));
    raw_open(&a, &w, &seed, w.meta.hashes.v2, BT_CAN_FAST);
    raw_plain(&a, BT_EV_HAVE_NONE);
    unsigned n = 0;
    for (uint32_t piece = 0; piece < w.meta.n_pieces; piece++) {
        if (!bt_leaves_request(&w.meta, piece, &want))
            continue;
        struct tarn_out o;
        tarn_out_init(&o, TARN_MIB);
        bt_put_hash_request(&o, BT_EV_HASH_REQUEST, &want);
        raw_put(&a, &o);
        assert_true(raw_await(&a, BT_EV_HASHES, &ev));
        assert_true(bt_leaves_check(&w.meta, piece, &ev.hash, ev.body, work));
        n++;
    }
    assert_true(n > 5);
    /* Many at once: each is answered, by hashes or by a reject. */
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    assert_true(bt_leaves_request(&w.meta, 0, &want));
    for (int i = 0; i < 50; i++)
        bt_put_hash_request(&o, BT_EV_HASH_REQUEST, &want);
    raw_put(&a, &o);
    unsigned good = 0, refused = 0;
    while (good + refused < 50 && raw_next(&a, &ev, PATIENCE_US)) {
        good += ev.kind == BT_EV_HASHES;
        refused += ev.kind == BT_EV_HASH_REJECT;
    }
    assert_int_equal(good + refused, 50);
    assert_true(good >= 4);
    /* The peer goes, and then the session, while pieces are being read. */
    for (int last = 0; last < 2; last++) {
        tarn_out_init(&o, TARN_MIB);
        for (int i = 0; i < 4; i++)
            bt_put_hash_request(&o, BT_EV_HASH_REQUEST, &want);
        raw_put(&a, &o);
        if (last == 0) {
            raw_close(&a);
            for (int i = 0; i < 5; i++)
                assert_true(loop_turn(w.loop, 1000, NULL));
            raw_open(&a, &w, &seed, w.meta.hashes.v2, BT_CAN_FAST);
            raw_plain(&a, BT_EV_HAVE_NONE);
        } else {
            assert_true(loop_turn(w.loop, 1000, NULL));
        }
    }
    side_close(&seed);
    raw_close(&a);
    world_release(&w);
}

/* Asks for a block while choked. What it may have is noted before the answer comes. */
static enum bt_ev_kind ask_choked(struct raw *p, const struct bt_request *r, uint32_t *given,
                                  size_t *n_given)
{
    struct bt_event ev;
    raw_request(p, BT_EV_REQUEST, r);
    do {
        assert_true(raw_next(p, &ev, PATIENCE_US));
        if (ev.kind == BT_EV_ALLOWED_FAST) {
            assert_true(*n_given < BT_FASTSET);
            given[(*n_given)++] = ev.index;
        }
    } while (ev.kind != BT_EV_BLOCK && ev.kind != BT_EV_REJECT);
    return ev.kind;
}

/* A beginner may have a few pieces while choked, each of them once, of those that others have. */
static void allowed_fast(void **state)
{
    (void)state;
    static struct raw a, other;
    struct world w;
    struct side seed;
    world_init(&w, BT_V1);
    side_seed(&seed, &w, "seed", true);
    assert_true(run_until(&w, &seed.is_complete));
    const struct bt_request first = { 0, 0, BT_BLOCK };
    uint32_t given[BT_FASTSET];
    size_t n = 0;
    raw_open(&other, &w, &seed, w.meta.hashes.v1, BT_CAN_FAST);
    raw_plain(&other, BT_EV_HAVE_NONE);
    assert_int_equal(ask_choked(&other, &first, given, &n), BT_EV_REJECT);
    assert_int_equal(n, 0); /* the seed alone has them */

    for (uint32_t piece = 1; piece < w.meta.n_pieces; piece++) /* all but the first */
        raw_index(&other, BT_EV_HAVE, piece);
    assert_int_equal(ask_choked(&other, &first, given, &n), BT_EV_REJECT);
    raw_open(&a, &w, &seed, w.meta.hashes.v1, BT_CAN_FAST);
    raw_plain(&a, BT_EV_HAVE_NONE);
    assert_int_equal(ask_choked(&a, &first, given, &n), BT_EV_REJECT);
    assert_true(n >= BT_FASTSET - 1);
    for (size_t i = 0; i < n; i++)
        assert_int_not_equal(given[i], 0);
    for (int round = 0; round < 2; round++)
        for (uint32_t begin = 0; begin < bt_piece_len(&w.meta, given[0]); begin += BT_BLOCK) {
            uint32_t left = bt_piece_len(&w.meta, given[0]) - begin;
            struct bt_request r = { given[0], begin, left < BT_BLOCK ? left : BT_BLOCK };
            assert_int_equal(ask_choked(&a, &r, given, &n),
                             round == 0 ? BT_EV_BLOCK : BT_EV_REJECT);
        }
    raw_close(&a);
    raw_close(&other);
    side_close(&seed);
    world_release(&w);
}

/* A magnet with one hash of a hybrid: once the metadata are here, both swarms find us. */
static void half_a_magnet(void **state)
{
    (void)state;
    static struct raw a;
    struct world w;
    struct side seed, fetch;
    struct tarn_err err;
    char text[128] = "magnet:?xt=urn:btih:";
    world_init(&w, BT_HYBRID);
    for (size_t i = 0; i < BT_HASH_LEN; i++)
        snprintf(text + strlen(text), 3, "%02x", w.meta.hashes.v1[i]);
    bt_magnet_release(&w.magnet);
    assert_true(bt_magnet_parse(&w.magnet, tarn_bytes_str(text), &err));
    side_seed(&seed, &w, "seed", true);
    assert_true(run_until(&w, &seed.is_complete));
    side_fetch(&fetch, &w, "got", &seed, true);
    assert_true(run_until(&w, &fetch.is_complete));
    assert_same_files(&w, &fetch);
    raw_open(&a, &w, &fetch, w.meta.hashes.v2, BT_CAN_FAST);
    raw_close(&a);
    side_close(&fetch);
    side_close(&seed);
    world_release(&w);
}

/* Under a limit of the upload all get their turns. */
static void limit_is_shared(void **state)
{
    (void)state;
    enum { PEERS = 3, BPS = 160000 };
    static struct raw peers[PEERS];
    struct world w;
    struct side seed;
    struct tarn_err err;
    uint64_t got[PEERS] = { 0 };
    world_init(&w, BT_V1);
    side_seed(&seed, &w, "seed", true);
    bt_session_free(seed.session);
    struct sys_addr at;
    assert_true(sys_addr_parse(tarn_bytes_str("127.0.0.1:0"), 1, &at));
    struct bt_session_settings set = {
        .loop = w.loop, .listen = &at, .n_listen = 1, .agent = "test", .rate_up = BPS
    };
    seed.session = bt_session_new(&set, &err);
    assert_non_null(seed.session);
    struct bt_add add = { .meta = &seed.meta,
                          .path = seed.path,
                          .seed_only = true,
                          .trust = true,
                          .ops = &ops,
                          .arg = &seed };
    seed.torrent = bt_session_add(seed.session, &add, &err);
    assert_non_null(seed.torrent);
    assert_true(run_until(&w, &seed.is_complete));
    for (int i = 0; i < PEERS; i++) {
        struct bt_event ev;
        raw_open(&peers[i], &w, &seed, w.meta.hashes.v1, 0);
        raw_plain(&peers[i], BT_EV_INTERESTED);
        assert_true(raw_await(&peers[i], BT_EV_UNCHOKE, &ev));
    }
    for (int i = 0; i < PEERS; i++)
        for (uint32_t n = 0; n < 64; n++)
            raw_request(&peers[i], BT_EV_REQUEST, &(struct bt_request){ n % 10, 0, BT_BLOCK });
    int64_t end = sys_now_us() + 2000000;
    while (sys_now_us() < end)
        for (int i = 0; i < PEERS; i++) {
            raw_turn(&peers[i]);
            got[i] += peers[i].n_in;
            peers[i].n_in = 0;
        }
    for (int i = 0; i < PEERS; i++) {
        printf("# peer %d got %llu\n", i, (unsigned long long)got[i]);
        assert_true(got[i] >= BT_BLOCK);
        raw_close(&peers[i]);
    }
    side_close(&seed);
    world_release(&w);
}

TEST_MAIN(cmocka_unit_test(removed_in_callbacks), cmocka_unit_test(layers_from_peers),
          cmocka_unit_test(stalled_in_a_block), cmocka_unit_test(refused_while_choked),
          cmocka_unit_test(parole_starves_nobody), cmocka_unit_test(flooding_without_reading),
          cmocka_unit_test(leaf_hashes), cmocka_unit_test(allowed_fast),
          cmocka_unit_test(half_a_magnet), cmocka_unit_test(limit_is_shared))
