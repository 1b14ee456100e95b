#include "bt/core/wire.h"

#include "base/test/test.h"

enum { ALL = BT_CAN_EXTEND | BT_CAN_FAST | BT_CAN_DHT };

/* One event, or the end: what two readers of the same bytes must agree on. */
struct seen {
    struct bt_event ev;
    uint8_t body[256];
    uint32_t payload_sum;
};

struct log {
    struct seen *v;
    size_t n, cap;
    enum bt_step last;
};

static void note(struct log *l, const struct bt_event *ev)
{
    assert_true(TARN_GROW(l->v, l->n, l->cap));
    struct seen *s = &l->v[l->n++];
    *s = (struct seen){ .ev = *ev };
    assert_true(ev->body.len <= sizeof s->body);
    if (ev->body.len > 0)
        memcpy(s->body, ev->body.p, ev->body.len);
    s->ev.body.p = NULL;
}

/* Read `all` in slices: random ones up to max_slice bytes; 0 for all at once. */
static struct log read_all(struct bt_wire w, struct tarn_bytes all, size_t max_slice,
                           uint64_t *seed)
{
    struct log l = { 0 };
    size_t from = 0, to = max_slice == 0 ? all.len : 0;
    for (;;) {
        /* a copy of just these bytes, so that ASan sees a step over their end */
        size_t n = to - from;
        uint8_t *slice = malloc(n == 0 ? 1 : n);
        memcpy(slice, all.p + from, n);
        struct tarn_cur c = tarn_cur_of(tarn_bytes_of(slice, n));
        struct bt_event ev;
        for (;;) {
            if (w.payload_left > 0) {
                size_t left = tarn_cur_left(&c);
                uint32_t take = left < w.payload_left ? (uint32_t)left : w.payload_left;
                struct tarn_bytes b = tarn_cur_take(&c, take);
                assert_true(l.n > 0); /* the message that the payload belongs to */
                for (size_t i = 0; i < b.len; i++)
                    l.v[l.n - 1].payload_sum += b.p[i];
                bt_wire_payload(&w, take);
                if (w.payload_left > 0)
                    break;
            }
            struct tarn_err err = { 0 };
            l.last = bt_wire_next(&w, &c, &ev, &err);
            assert_true((l.last == BT_BAD) == (err.code != TARN_OK));
            if (l.last == BT_MORE)
                assert_true(w.need > tarn_cur_left(&c) && w.need <= 4 + BT_MSG_MAX);
            if (l.last != BT_EVENT)
                break;
            note(&l, &ev);
        }
        from += n - tarn_cur_left(&c);
        free(slice);
        if (l.last == BT_BAD || to == all.len)
            return l;
        size_t more = 1 + (size_t)test_rand_below(seed, max_slice);
        to = all.len - to < more ? all.len : to + more;
    }
}

static void assert_same(const struct log *a, const struct log *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->last, b->last);
    for (size_t i = 0; i < a->n; i++)
        assert_memory_equal(&a->v[i], &b->v[i], sizeof a->v[i]);
}

static struct bt_request random_request(uint64_t *seed)
{
    return (struct bt_request){ (uint32_t)test_rand_below(seed, 100),
                                (uint32_t)test_rand_below(seed, 64) * BT_BLOCK,
                                1 + (uint32_t)test_rand_below(seed, 200) };
}

static struct bt_hash_request random_hash(uint64_t *seed)
{
    struct bt_hash_request r = { .base = (uint32_t)test_rand_below(seed, 9),
                                 .index = (uint32_t)test_rand_below(seed, 99) * 2,
                                 .count = 2,
                                 .proofs = (uint32_t)test_rand_below(seed, 4) };
    for (size_t i = 0; i < sizeof r.root; i++)
        r.root[i] = (uint8_t)test_rand(seed);
    return r;
}

static void put_bytes(struct tarn_out *o, size_t n, uint64_t *seed)
{
    while (n-- > 0)
        tarn_out_u8(o, (uint8_t)test_rand(seed));
}

static void put_random(struct tarn_out *o, uint64_t *seed)
{
    static const enum bt_ev_kind plain[] = { BT_EV_CHOKE, BT_EV_UNCHOKE, BT_EV_INTERESTED,
                                             BT_EV_UNINTERESTED };
    static const enum bt_ev_kind index[] = { BT_EV_HAVE, BT_EV_SUGGEST, BT_EV_ALLOWED_FAST };
    static const enum bt_ev_kind request[] = { BT_EV_REQUEST, BT_EV_CANCEL, BT_EV_REJECT };
    struct bt_request r = random_request(seed);
    struct bt_hash_request h = random_hash(seed);
    size_t n = (size_t)test_rand_below(seed, 100);
    switch (test_rand_below(seed, 10)) {
    case 0:
        bt_put_keepalive(o);
        break;
    case 1:
        bt_put_plain(o, plain[test_rand_below(seed, TARN_COUNT_OF(plain))]);
        break;
    case 2:
        bt_put_index(o, index[test_rand_below(seed, TARN_COUNT_OF(index))],
                     (uint32_t)test_rand_below(seed, 100));
        break;
    case 3:
        bt_put_request(o, request[test_rand_below(seed, TARN_COUNT_OF(request))], &r);
        break;
    case 4:
        bt_put_piece_head(o, &r);
        put_bytes(o, r.len, seed);
        break;
    case 5:
        bt_put_port(o, (uint16_t)test_rand(seed));
        break;
    case 6:
        bt_put_extended_head(o, (uint8_t)test_rand(seed), n);
        put_bytes(o, n, seed);
        break;
    case 7:
        bt_put_hash_request(o, test_rand(seed) & 1 ? BT_EV_HASH_REQUEST : BT_EV_HASH_REJECT, &h);
        break;
    case 8:
        bt_put_hashes_head(o, &h, 4);
        put_bytes(o, (size_t)4 * 32, seed);
        break;
    default: /* of a number that nobody knows */
        tarn_out_be32(o, 1 + (uint32_t)n);
        tarn_out_u8(o, 77);
        put_bytes(o, n, seed);
        break;
    }
}

static void test_slices(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int round = 0; round < 60; round++) {
        struct tarn_out o;
        tarn_out_init(&o, TARN_MIB);
        bt_put_plain(&o, BT_EV_HAVE_NONE);
        for (int i = 0; i < 100; i++)
            put_random(&o, &seed);
        if (round % 2 == 0) /* then rubbish */
            put_bytes(&o, 200, &seed);
        struct bt_wire w;
        bt_wire_init(&w, ALL, true, 100);
        struct log whole = read_all(w, tarn_out_bytes(&o), 0, &seed);
        assert_true(whole.n >= 50);
        static const size_t slices[] = { 1, 3, 20, 300 };
        for (size_t i = 0; i < TARN_COUNT_OF(slices); i++) {
            struct log cut = read_all(w, tarn_out_bytes(&o), slices[i], &seed);
            assert_same(&whole, &cut);
            tarn_free(cut.v);
        }
        tarn_free(whole.v);
        tarn_out_release(&o);
    }
}

/* Write an event's message again: encode, decode, encode must come to the same bytes. */
static void put_event(struct tarn_out *o, const struct bt_event *ev)
{
    switch (ev->kind) {
    case BT_EV_KEEPALIVE:
        bt_put_keepalive(o);
        break;
    case BT_EV_HAVE:
    case BT_EV_SUGGEST:
    case BT_EV_ALLOWED_FAST:
        bt_put_index(o, ev->kind, ev->index);
        break;
    case BT_EV_REQUEST:
    case BT_EV_CANCEL:
    case BT_EV_REJECT:
        bt_put_request(o, ev->kind, &ev->request);
        break;
    case BT_EV_BLOCK:
        bt_put_piece_head(o, &ev->request);
        break;
    case BT_EV_PORT:
        bt_put_port(o, ev->port);
        break;
    case BT_EV_EXTENDED:
        bt_put_extended_head(o, ev->sub, ev->body.len);
        tarn_out_put(o, ev->body);
        break;
    case BT_EV_HASH_REQUEST:
    case BT_EV_HASH_REJECT:
        bt_put_hash_request(o, ev->kind, &ev->hash);
        break;
    case BT_EV_HASHES:
        bt_put_hashes_head(o, &ev->hash, (uint32_t)ev->body.len / 32);
        tarn_out_put(o, ev->body);
        break;
    default:
        bt_put_plain(o, ev->kind);
        break;
    }
}

static void test_decode_encode(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct bt_wire w;
    bt_wire_init(&w, ALL, true, 100);
    w.told_pieces = true;
    for (int i = 0; i < 5000; i++) {
        struct tarn_out in, out;
        tarn_out_init(&in, TARN_MIB);
        tarn_out_init(&out, TARN_MIB);
        put_random(&in, &seed);
        struct tarn_cur c = tarn_cur_of(tarn_out_bytes(&in));
        struct bt_event ev;
        if (bt_wire_next(&w, &c, &ev, NULL) == BT_EVENT) {
            put_event(&out, &ev);
            if (ev.kind == BT_EV_BLOCK) {
                assert_int_equal(w.payload_left, ev.request.len);
                tarn_out_put(&out, tarn_cur_rest(&c));
                bt_wire_payload(&w, w.payload_left);
            }
            assert_true(tarn_bytes_eq(tarn_out_bytes(&in), tarn_out_bytes(&out)));
        }
        tarn_out_release(&in);
        tarn_out_release(&out);
    }
}

static void test_bitfield(void **state)
{
    (void)state;
    struct tarn_bits have;
    assert_true(tarn_bits_init(&have, 10));
    tarn_bits_set(&have, 0);
    tarn_bits_set(&have, 9);
    uint8_t buf[16];
    struct tarn_out o;
    tarn_out_fixed(&o, buf, sizeof buf);
    bt_put_bitfield(&o, &have);
    assert_true(tarn_bytes_eq(tarn_out_bytes(&o), tarn_bytes_of("\0\0\0\3\5\x80\x40", 7)));
    struct bt_wire w;
    struct bt_event ev;
    bt_wire_init(&w, 0, false, 10);
    struct tarn_cur c = tarn_cur_of(tarn_out_bytes(&o));
    assert_int_equal(bt_wire_next(&w, &c, &ev, NULL), BT_EVENT);
    assert_int_equal(ev.kind, BT_EV_BITFIELD);
    assert_true(tarn_bytes_eq(ev.body, tarn_bits_bytes(&have)));
    tarn_bits_release(&have);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        uint8_t can;
        bool is_v2;
        uint32_t n_pieces;
        const char *bytes;
        size_t len;
        const char *why; /* NULL: no refusal */
    } cases[] = {
#define B(s) s, sizeof(s) - 1
        { 0, 0, 10, B("\0\0\0\2\0x"), "'choke' message of a wrong length" },
        { 0, 0, 10, B("\0\0\0\5\4\0\0\0\x09"), NULL },
        { 0, 0, 10, B("\0\0\0\5\4\0\0\0\x0A"), "'have' message for a piece that" },
        { 0, 0, 0, B("\0\0\0\5\4\0\0\0\x0A"), NULL },
        { 0, 0, 0, B("\0\0\0\5\4\x00\x20\0\0"), "for a piece that" },
        { 0, 0, 10, B("\0\0\0\4\5\0\0\0"), "'bitfield' message of a wrong length" },
        { 0, 0, 10, B("\0\0\0\3\5\0\x20"), "with bits for pieces" },
        { 0, 0, 0, B("\0\0\0\3\5\0\x20"), NULL },
        { 0, 0, 0, B("\0\x04\0\x02\5"), "of a wrong length" },
        { 0, 0, 10, B("\0\0\0\1\1\0\0\0\3\5\0\0"), NULL }, /* aria2, in place of haves */
        { ALL, 0, 10, B("\0\0\0\0\0\0\0\2\x14\0\0\0\0\3\x09\1\1\0\0\0\1\x0E"), NULL },
        { ALL, 0, 10, B("\0\0\0\1\x0E\0\0\0\1\x0F"), "'have none' message that was not its first" },
        { ALL, 0, 10, B("\0\0\0\1\1"), "before it said which pieces" },
        { 0, 0, 10, B("\0\0\0\1\x0E"), "without the fast extension" },
        { 0, 0, 10, B("\0\0\0\2\x14\0"), "without the extension protocol" },
        { ALL, 0, 10, B("\0\0\0\1\x14"), "'extended' message of a wrong length" },
        { ALL, 0, 10, B("\0\0\0\1\x0E\0\0\0\x31\x15"), "on a v1 connection" },
        { 0, 0, 10, B("\0\0\0\x0D\6\0\0\0\0\0\0\0\0\0\0\0\0"), "for no bytes" },
        { 0, 0, 10, B("\0\0\0\x0D\6\0\0\0\0\0\0\0\0\0\2\0\0"), NULL },
        { 0, 0, 10, B("\0\0\0\x0D\6\0\0\0\0\0\0\0\0\0\2\0\1"), "more than 128 KiB" },
        { ALL, 0, 10, B("\0\0\0\1\x0F\0\0\0\x0D\6\0\0\0\0\0\0\0\0\0\2\0\1"), NULL },
        { 0, 0, 10, B("\0\0\x40\x0A\7"), "'piece' message of a wrong length" },
        { 0, 0, 10, B("\0\0\0\x09\7"), "'piece' message of a wrong length" },
        { 0, 0, 10, B("\0\0\x40\x09\7\0\0\0\x0A\0\0\0\0"), "'piece' message for a piece that" },
        { 0, 0, 10, B("\0\x10\0\x0E\x30"), "of 1048590 bytes (the limit is 1048589)" },
        { 0, 0, 10, B("\0\x10\0\x0D\x30"), NULL },
        { 0, 0, 10, B("\0\0\0\1\7"), "of a wrong length" },
#undef B
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        struct bt_wire w;
        struct bt_event ev;
        struct tarn_err err = { 0 };
        bt_wire_init(&w, cases[i].can, cases[i].is_v2, cases[i].n_pieces);
        struct tarn_cur c = tarn_cur_of(tarn_bytes_of(cases[i].bytes, cases[i].len));
        enum bt_step step;
        while ((step = bt_wire_next(&w, &c, &ev, &err)) == BT_EVENT && w.payload_left == 0)
            ;
        if ((step == BT_BAD) != (cases[i].why != NULL))
            fail_msg("case %zu: step %d, %s", i, (int)step, err.msg);
        if (cases[i].why != NULL && strstr(err.msg, cases[i].why) == NULL)
            fail_msg("case %zu: '%s' lacks '%s'", i, err.msg, cases[i].why);
    }
}

static void test_hashes_must_be_there(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct bt_hash_request r = random_hash(&seed);
    r.count = 4;
    uint8_t buf[256];
    struct tarn_out o;
    tarn_out_fixed(&o, buf, sizeof buf);
    bt_put_hashes_head(&o, &r, 3);
    put_bytes(&o, 96, &seed);
    struct bt_wire w;
    struct bt_event ev;
    bt_wire_init(&w, 0, true, 10);
    struct tarn_cur c = tarn_cur_of(tarn_out_bytes(&o));
    assert_int_equal(bt_wire_next(&w, &c, &ev, NULL), BT_BAD);
}

/* A long extended message is dropped as it comes, however little of it is kept. */
static void test_long_extended_is_skipped(void **state)
{
    (void)state;
    struct bt_wire w;
    struct bt_event ev;
    bt_wire_init(&w, BT_CAN_EXTEND, false, 10);
    struct tarn_cur c = tarn_cur_of(tarn_bytes_of("\0\1\0\3\x14", 5));
    assert_int_equal(bt_wire_next(&w, &c, &ev, NULL), BT_MORE);
    assert_true(tarn_cur_done(&c));
    assert_int_equal(w.skip_left, 0x10002);
    uint8_t *rest = calloc(0x10002 + 5, 1);
    rest[0x10002 + 3] = 1;
    c = tarn_cur_of(tarn_bytes_of(rest, 0x10002 + 5));
    assert_int_equal(bt_wire_next(&w, &c, &ev, NULL), BT_EVENT);
    assert_int_equal(ev.kind, BT_EV_CHOKE);
    free(rest);
}

static void test_request_fits(void **state)
{
    (void)state;
    static const uint8_t pieces[60];
    struct bt_metainfo m = {
        .n_pieces = 3, .piece_len = 32768, .total = 2 * 32768 + 100, .pieces = pieces
    };
    static const struct {
        struct bt_request r;
        bool fits;
    } cases[] = {
        { { 0, 0, BT_BLOCK }, true },
        { { 1, BT_BLOCK, BT_BLOCK }, true },
        { { 1, BT_BLOCK + 1, BT_BLOCK }, false },
        { { 2, 0, 100 }, true },
        { { 2, 0, 101 }, false },
        { { 2, 100, 1 }, false },
        { { 2, 99, 1 }, true },
        { { 3, 0, 1 }, false },
        { { 0, 0, 0 }, false },
        { { 0, UINT32_MAX, 2 }, false },
        { { 0, 2, UINT32_MAX }, false },
        { { 0, 0, BT_REQUEST_MAX + 1 }, false },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++)
        assert_int_equal(bt_request_fits(&cases[i].r, &m), cases[i].fits);

    m.pieces = NULL; /* v2 alone: the last piece is padded to its full length */
    struct bt_request padding = { 2, BT_BLOCK, BT_BLOCK };
    assert_true(bt_request_fits(&padding, &m));
    padding.len++;
    assert_false(bt_request_fits(&padding, &m));
}

TEST_MAIN(cmocka_unit_test(test_slices), cmocka_unit_test(test_decode_encode),
          cmocka_unit_test(test_bitfield), cmocka_unit_test(test_refusals),
          cmocka_unit_test(test_hashes_must_be_there),
          cmocka_unit_test(test_long_extended_is_skipped), cmocka_unit_test(test_request_fits))
