#include "bt/core/picker.h"

#include "base/test/test.h"

enum { PEERS = 12, BLOCKS_MAX = 8, PIECES_MAX = 300 };

/* A torrent without pads: n pieces of n_blocks blocks, the last one short. */
static struct bt_file one_file;
static struct bt_metainfo plain(uint32_t n, uint32_t n_blocks)
{
    uint64_t total = (uint64_t)n * n_blocks * BT_BLOCK - 100;
    one_file = (struct bt_file){ .path = "f", .len = total };
    return (struct bt_metainfo){ .files = &one_file,
                                 .n_files = 1,
                                 .piece_len = n_blocks * BT_BLOCK,
                                 .n_pieces = n,
                                 .total = total };
}

static bool all_here(const struct bt_metainfo *m, struct tarn_bits *have, struct bt_picker *p)
{
    (void)m;
    return have->count == have->n && bt_picker_done(p) && p->n_partials == 0 && p->n_free == 0;
}

/* What the test knows of a swarm, kept apart from the picker. */
struct swarm {
    struct bt_metainfo m;
    struct tarn_bits have;
    struct bt_picker p;
    struct {
        struct tarn_bits has;
        bool is_here, is_seed;
        struct bt_request asked[64];
        size_t n;
    } peers[PEERS];
    uint8_t asked[PIECES_MAX][BLOCKS_MAX]; /* copies under way */
    bool here[PIECES_MAX][BLOCKS_MAX];
    uint64_t seed;
    uint32_t n_copies, n_picks;
};

static void join(struct swarm *s, bt_peer_no i)
{
    s->peers[i].is_here = true;
    s->peers[i].is_seed = test_rand_below(&s->seed, 8) == 0;
    tarn_bits_set_none(&s->peers[i].has);
    uint64_t share = test_rand_below(&s->seed, 10);
    for (uint32_t k = 0; k < s->m.n_pieces; k++)
        if (test_rand_below(&s->seed, 10) < share)
            (void)tarn_bits_set(&s->peers[i].has, k);
    bt_picker_joins(&s->p, s->peers[i].is_seed ? NULL : &s->peers[i].has);
}

static const struct tarn_bits *bits_of(const struct swarm *s, bt_peer_no i)
{
    return s->peers[i].is_seed ? NULL : &s->peers[i].has;
}

static void leave(struct swarm *s, bt_peer_no i)
{
    for (size_t k = 0; k < s->peers[i].n; k++) {
        const struct bt_request *r = &s->peers[i].asked[k];
        s->asked[r->piece][r->begin / BT_BLOCK]--;
        if (s->seed & 1)
            bt_picker_release_block(&s->p, r, i);
    }
    bt_picker_release_peer(&s->p, i);
    s->peers[i].n = 0;
    bt_picker_leaves(&s->p, bits_of(s, i));
    s->peers[i].is_here = false;
}

/* Is any wanted block neither here nor under way? Then copies are a fault. */
static bool is_any_free(const struct swarm *s)
{
    for (uint32_t i = 0; i < s->m.n_pieces; i++)
        for (uint32_t b = 0; b < bt_picker_blocks(&s->p, i); b++)
            if (!tarn_bits_has(&s->have, i) && !s->here[i][b] && s->asked[i][b] == 0)
                return true;
    return false;
}

static void pick(struct swarm *s, bt_peer_no i)
{
    struct bt_request out[16];
    size_t max = 1 + (size_t)test_rand_below(&s->seed, TARN_COUNT_OF(out));
    if (s->peers[i].n + max > 64)
        return;
    struct bt_pick who = { .peer = i,
                           .has = bits_of(s, i),
                           .n_asked = (uint32_t)s->peers[i].n,
                           .speed = (enum bt_speed)test_rand_below(&s->seed, BT_SPEEDS),
                           .is_slow = test_rand_below(&s->seed, 5) == 0 };
    size_t n = bt_picker_pick(&s->p, &who, max, out);
    assert_true(n <= max);
    for (size_t k = 0; k < n; k++) {
        uint32_t piece = out[k].piece, block = out[k].begin / BT_BLOCK;
        assert_true(s->peers[i].is_seed || tarn_bits_has(&s->peers[i].has, piece));
        assert_false(tarn_bits_has(&s->have, piece) || s->here[piece][block]);
        assert_true(bt_request_fits(&out[k], &s->m));
        assert_int_equal(out[k].len, bt_picker_block_len(&s->p, piece, block));
        for (size_t j = 0; j < s->peers[i].n; j++)
            assert_false(bt_request_eq(&s->peers[i].asked[j], &out[k]));
        if (s->asked[piece][block]++ > 0) {
            assert_false(is_any_free(s));
            assert_true(s->asked[piece][block] <= BT_COPIES_MAX);
            s->n_copies++;
        }
        s->peers[i].asked[s->peers[i].n++] = out[k];
        s->n_picks++;
    }
}

static struct bt_request forget(struct swarm *s, bt_peer_no i, size_t k)
{
    struct bt_request r = s->peers[i].asked[k];
    s->peers[i].asked[k] = s->peers[i].asked[--s->peers[i].n];
    s->asked[r.piece][r.begin / BT_BLOCK]--;
    return r;
}

static void judge(struct swarm *s, uint32_t piece)
{
    bt_peer_no senders[PEERS];
    assert_true(bt_picker_senders(&s->p, piece, senders, PEERS) >= 1);
    uint64_t verdict = test_rand_below(&s->seed, 12);
    if (verdict == 0) {
        bt_picker_bad(&s->p, piece);
        memset(s->here[piece], 0, sizeof s->here[piece]);
    } else if (verdict == 1) {
        uint32_t b = (uint32_t)test_rand_below(&s->seed, bt_picker_blocks(&s->p, piece));
        bt_picker_bad_block(&s->p, piece, b);
        s->here[piece][b] = false;
    } else {
        bt_picker_good(&s->p, piece);
        memset(s->here[piece], 0, sizeof s->here[piece]);
    }
}

static void arrive(struct swarm *s, bt_peer_no i)
{
    size_t k = (size_t)test_rand_below(&s->seed, s->peers[i].n);
    struct bt_request r = forget(s, i, k);
    uint32_t block = r.begin / BT_BLOCK;
    assert_true(bt_picker_wants(&s->p, &r));
    struct bt_block_got got = bt_picker_got(&s->p, &r, i);
    assert_true(got.is_new);
    assert_int_equal(got.n_cancel, s->asked[r.piece][block]);
    for (uint8_t c = 0; c < got.n_cancel; c++)
        for (size_t j = 0; j < s->peers[got.cancel[c]].n; j++)
            if (bt_request_eq(&s->peers[got.cancel[c]].asked[j], &r)) {
                (void)forget(s, got.cancel[c], j);
                break;
            }
    assert_int_equal(s->asked[r.piece][block], 0);
    assert_int_equal(bt_picker_sender(&s->p, r.piece, block), i);
    assert_true(bt_picker_mentions(&s->p, i));
    assert_false(bt_picker_got(&s->p, &r, i).is_new);
    s->here[r.piece][block] = true;
    if (got.piece_full)
        judge(s, r.piece);
}

static void act(struct swarm *s)
{
    bt_peer_no i = (bt_peer_no)test_rand_below(&s->seed, PEERS);
    if (!s->peers[i].is_here) {
        join(s, i);
        return;
    }
    uint64_t what = test_rand_below(&s->seed, 100);
    if (what < 1) {
        leave(s, i);
    } else if (what < 5 && !s->peers[i].is_seed) {
        uint32_t piece = (uint32_t)test_rand_below(&s->seed, s->m.n_pieces);
        if (tarn_bits_set(&s->peers[i].has, piece))
            bt_picker_peer_got(&s->p, piece);
    } else if (what < 40) {
        pick(s, i);
    } else if (what < 44 && s->peers[i].n > 0) {
        struct bt_request r = forget(s, i, (size_t)test_rand_below(&s->seed, s->peers[i].n));
        bt_picker_release_block(&s->p, &r, i);
    } else if (s->peers[i].n > 0) {
        arrive(s, i);
    }
}

static void assert_counts(const struct swarm *s)
{
    for (uint32_t k = 0; k < s->m.n_pieces; k++) {
        uint32_t n = 0;
        for (bt_peer_no i = 0; i < PEERS; i++)
            n += s->peers[i].is_here && !s->peers[i].is_seed && tarn_bits_has(&s->peers[i].has, k);
        assert_int_equal(s->p.avail[k], n);
        assert_int_equal(s->p.order[s->p.place[k]], k);
    }
    for (bt_peer_no i = 0; i < PEERS; i++) {
        uint32_t n = 0;
        for (uint32_t k = 0; k < s->m.n_pieces; k++)
            n += bt_picker_needs(&s->p, k) && tarn_bits_has(&s->peers[i].has, k);
        assert_int_equal(bt_picker_count(&s->p, &s->peers[i].has), n);
    }
}

static void run_swarm(uint64_t seed, uint32_t n_pieces, uint32_t n_blocks, bool sequential)
{
    struct swarm *s = calloc(1, sizeof *s);
    s->seed = seed;
    s->m = plain(n_pieces, n_blocks);
    assert_true(tarn_bits_init(&s->have, n_pieces));
    assert_true(bt_picker_init(&s->p, &s->m, &s->have, seed, NULL));
    bt_picker_set_sequential(&s->p, sequential, 0);
    for (bt_peer_no i = 0; i < PEERS; i++)
        assert_true(tarn_bits_init(&s->peers[i].has, n_pieces));
    uint32_t step = 0;
    for (; !bt_picker_done(&s->p) && step < 1000000; step++) {
        act(s);
        if (step % 97 == 0)
            assert_counts(s);
    }
    assert_true(all_here(&s->m, &s->have, &s->p));
    for (bt_peer_no i = 0; i < PEERS; i++)
        tarn_bits_release(&s->peers[i].has);
    bt_picker_release(&s->p);
    tarn_bits_release(&s->have);
    free(s);
}

static void test_swarms(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int round = 0; round < 40; round++)
        run_swarm(test_rand(&seed), 1 + (uint32_t)test_rand_below(&seed, PIECES_MAX),
                  1 + (uint32_t)test_rand_below(&seed, BLOCKS_MAX), round % 4 == 0);
}

struct fixture {
    struct bt_metainfo m;
    struct tarn_bits have;
    struct bt_picker p;
};

static void set_up(struct fixture *f, struct bt_metainfo m)
{
    f->m = m;
    assert_true(tarn_bits_init(&f->have, m.n_pieces));
    assert_true(bt_picker_init(&f->p, &f->m, &f->have, 7, NULL));
}

static void tear_down(struct fixture *f)
{
    bt_picker_release(&f->p);
    tarn_bits_release(&f->have);
}

/* Pick one whole piece of a torrent with one block a piece. */
static uint32_t pick_piece(struct fixture *f, const struct bt_pick *who)
{
    struct bt_request r;
    return bt_picker_pick(&f->p, who, 1, &r) == 1 ? r.piece : UINT32_MAX;
}

static void have_first(struct fixture *f, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        bt_picker_good(&f->p, i);
}

static void test_rarest_first(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, plain(100, 1));
    have_first(&f, 10);
    struct tarn_bits has;
    assert_true(tarn_bits_init(&has, 100));
    for (uint32_t i = 10; i < 100; i++) /* piece i is at i / 10 peers and one more */
        for (uint32_t k = 0; k < i / 10; k++)
            bt_picker_peer_got(&f.p, i);
    tarn_bits_set_all(&has);
    bt_picker_joins(&f.p, &has);
    struct bt_pick who = { .peer = 1, .has = &has }, slow = { .peer = 2, .is_slow = true };
    uint32_t last = 0, unsorted = 0, before = 0;
    for (uint32_t i = 0; i < 45; i++) {
        uint32_t piece = pick_piece(&f, &who);
        assert_true(piece / 10 >= last);
        unsorted += piece < before;
        last = piece / 10;
        before = piece;
    }
    assert_true(unsorted > 5); /* at random among equals */
    uint32_t top = 9;
    for (uint32_t i = 0; i < 45; i++) {
        uint32_t piece = pick_piece(&f, &slow);
        assert_true(piece / 10 <= top);
        top = piece / 10;
    }
    assert_int_equal(top, 5);
    tarn_bits_release(&has);
    tear_down(&f);
}

static void test_first_pieces_are_random(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, plain(1000, 1));
    bt_picker_peer_got(&f.p, 1); /* piece 0 is the rarest */
    for (uint32_t i = 1; i < 1000; i++)
        bt_picker_peer_got(&f.p, i);
    struct bt_pick who = { .peer = 1 };
    uint32_t first = pick_piece(&f, &who), second = pick_piece(&f, &who);
    assert_true(first != 0 && second != first);
    (void)pick_piece(&f, &who);
    (void)pick_piece(&f, &who);
    assert_int_equal(pick_piece(&f, &who), 0);
    tear_down(&f);
}

static void test_sequential(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, plain(200, 1));
    bt_picker_set_sequential(&f.p, true, 190);
    bt_picker_set_piece(&f.p, 77, BT_PRIORITY_TOP);
    struct tarn_bits has;
    assert_true(tarn_bits_init(&has, 200));
    tarn_bits_set_all(&has);
    (void)tarn_bits_unset(&has, 191);
    struct bt_pick who = { .peer = 1, .has = &has };
    assert_int_equal(pick_piece(&f, &who), 77);
    assert_int_equal(pick_piece(&f, &who), 190);
    for (uint32_t want = 192; want < 200; want++)
        assert_int_equal(pick_piece(&f, &who), want);
    for (uint32_t want = 0; want < 77; want++)
        assert_int_equal(pick_piece(&f, &who), want);
    assert_int_equal(pick_piece(&f, &who), 78);
    tarn_bits_release(&has);
    tear_down(&f);
}

static void test_begun_pieces_first(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, plain(50, 4));
    struct bt_request a[3], b[3];
    struct bt_pick one = { .peer = 1 }, two = { .peer = 2 };
    assert_int_equal(bt_picker_pick(&f.p, &one, 3, a), 3);
    assert_int_equal(bt_picker_pick(&f.p, &two, 3, b), 3);
    assert_int_equal(b[0].piece, a[0].piece);
    assert_int_equal(b[0].begin, 3 * BT_BLOCK);
    assert_true(b[1].piece != a[0].piece);
    assert_int_equal(f.p.n_partials, 2);
    f.p.max_partials = 2;
    struct bt_request c[8];
    assert_int_equal(bt_picker_pick(&f.p, &one, 8, c), 2);
    assert_int_equal(bt_picker_pick(&f.p, &one, 8, c), 0);
    bt_picker_release_peer(&f.p, 1);
    assert_int_equal(f.p.n_free, 5);
    bt_picker_release_peer(&f.p, 2);
    assert_int_equal(f.p.n_partials, 0);
    tear_down(&f);
}

static void test_choked_and_suggested(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, plain(1000, 2));
    static const uint32_t list[] = { 999, 5000, 17, 3 };
    struct tarn_bits has;
    assert_true(tarn_bits_init(&has, 1000));
    tarn_bits_set_all(&has);
    (void)tarn_bits_unset(&has, 17);
    struct bt_request out[9];
    struct bt_pick choked = { .peer = 1, .has = &has, .only = list, .n_only = 4 };
    assert_int_equal(bt_picker_pick(&f.p, &choked, 9, out), 4);
    assert_int_equal(out[0].piece, 999);
    assert_int_equal(out[3].piece, 3);
    choked.n_only = 0;
    assert_int_equal(bt_picker_pick(&f.p, &choked, 9, out), 0);
    struct bt_pick told = { .peer = 2, .suggested = list, .n_suggested = 4 };
    assert_int_equal(bt_picker_pick(&f.p, &told, 3, out), 3);
    assert_int_equal(out[0].piece, 17);
    assert_true(out[2].piece != 17);
    tarn_bits_release(&has);
    tear_down(&f);
}

static void test_parole(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, plain(3, 4));
    struct bt_request out[20];
    struct bt_pick bad = { .peer = 1, .on_parole = true }, good = { .peer = 2 };
    assert_int_equal(bt_picker_pick(&f.p, &good, 2, out), 2);
    uint32_t shared = out[0].piece;
    assert_int_equal(bt_picker_pick(&f.p, &bad, 2, out), 2);
    uint32_t own = out[0].piece;
    assert_true(own != shared);
    assert_int_equal(bt_picker_pick(&f.p, &good, 20, out), 2 + 4);
    for (size_t i = 0; i < 6; i++)
        assert_true(out[i].piece != own);
    assert_int_equal(bt_picker_pick(&f.p, &bad, 20, out), 2);
    assert_int_equal(out[0].piece, own);
    /* end game: its piece stays its own until it is gone */
    struct bt_pick third = { .peer = 3 };
    assert_int_equal(bt_picker_pick(&f.p, &third, 20, out), BT_ENDGAME_DEPTH);
    assert_true(out[0].piece != own && out[1].piece != own);
    bt_picker_release_peer(&f.p, 1);
    assert_int_equal(bt_picker_pick(&f.p, &third, 20, out), 4);
    assert_int_equal(out[0].piece, own);
    tear_down(&f);
}

static void test_end_game(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, plain(1, 2));
    struct bt_request out[9];
    for (bt_peer_no i = 0; i < 3; i++) {
        struct bt_pick who = { .peer = i };
        assert_int_equal(bt_picker_pick(&f.p, &who, 9, out), 2);
        who.n_asked = 2;
        assert_int_equal(bt_picker_pick(&f.p, &who, 9, out + 2), 0);
    }
    struct bt_pick fourth = { .peer = 3 };
    assert_int_equal(bt_picker_pick(&f.p, &fourth, 9, out), 0);
    struct bt_request r = { 0, 0, BT_BLOCK };
    struct bt_block_got got = bt_picker_got(&f.p, &r, 1);
    assert_true(got.is_new && !got.piece_full);
    assert_int_equal(got.n_cancel, 2);
    /* one that was never asked may bring it too */
    r = (struct bt_request){ 0, BT_BLOCK, BT_BLOCK - 100 };
    got = bt_picker_got(&f.p, &r, 9);
    assert_true(got.is_new && got.piece_full);
    assert_int_equal(got.n_cancel, 3);
    bt_peer_no senders[4];
    assert_int_equal(bt_picker_senders(&f.p, 0, senders, 4), 2);
    assert_int_equal(bt_picker_senders(&f.p, 0, senders, 1), 1);
    bt_picker_bad(&f.p, 0);
    assert_false(bt_picker_mentions(&f.p, 1));
    assert_int_equal(bt_picker_pick(&f.p, &fourth, 9, out), 2);
    tear_down(&f);
}

/* Files of 1.5 pieces and of 100 bytes, each aligned to a piece: v1 with pad files, v2 with gaps.
 */
static void test_padding(void **state)
{
    (void)state;
    enum { PIECE = 4 * BT_BLOCK };
    static struct bt_file with_pads[] = {
        { .path = "a", .len = PIECE + PIECE / 2 + 5, .off = 0 },
        { .path = "pad", .len = PIECE / 2 - 5, .off = PIECE + PIECE / 2 + 5, .is_pad = true },
        { .path = "empty", .len = 0, .off = 2 * PIECE },
        { .path = "b", .len = 100, .off = 2 * PIECE },
        { .path = "pad", .len = PIECE - 100, .off = 2 * PIECE + 100, .is_pad = true },
        { .path = "c", .len = PIECE, .off = 3 * PIECE },
        { .path = "pad", .len = PIECE, .off = 4 * PIECE, .is_pad = true },
    };
    static struct bt_file with_gaps[] = {
        { .path = "a", .len = PIECE + PIECE / 2 + 5, .off = 0 },
        { .path = "b", .len = 100, .off = 2 * PIECE },
        { .path = "c", .len = PIECE, .off = 3 * PIECE },
    };
    for (int round = 0; round < 2; round++) {
        struct fixture f;
        set_up(&f, (struct bt_metainfo){ .files = round ? with_gaps : with_pads,
                                         .n_files = round ? 3 : 7,
                                         .piece_len = PIECE,
                                         .n_pieces = 5,
                                         .total = 5 * PIECE });
        assert_int_equal(f.p.need.count, 4);
        static const uint32_t want[5][4] = { { BT_BLOCK, BT_BLOCK, BT_BLOCK, BT_BLOCK },
                                             { BT_BLOCK, BT_BLOCK, 5, 0 },
                                             { 100, 0, 0, 0 },
                                             { BT_BLOCK, BT_BLOCK, BT_BLOCK, BT_BLOCK },
                                             { 0, 0, 0, 0 } };
        for (uint32_t i = 0; i < 5; i++)
            for (uint32_t b = 0; b < 4; b++)
                assert_int_equal(bt_picker_block_len(&f.p, i, b), want[i][b]);
        struct bt_request out[20];
        struct bt_pick who = { .peer = 1 };
        assert_int_equal(bt_picker_pick(&f.p, &who, 20, out), 4 + 3 + 1 + 4);
        for (size_t i = 0; i < 12; i++) {
            struct bt_block_got got = bt_picker_got(&f.p, &out[i], 1);
            assert_true(got.is_new);
            if (got.piece_full)
                bt_picker_good(&f.p, out[i].piece);
        }
        assert_true(bt_picker_done(&f.p));
        tear_down(&f);
    }
}

static void test_file_priorities(void **state)
{
    (void)state;
    enum { PIECE = 2 * BT_BLOCK };
    static struct bt_file files[] = {
        { .path = "a", .len = 3 * PIECE + 1, .off = 0 },
        { .path = "b", .len = 2 * PIECE, .off = 3 * PIECE + 1 },
        { .path = "c", .len = 4 * PIECE - 1, .off = 5 * PIECE + 1 },
    };
    struct fixture f;
    set_up(
        &f,
        (struct bt_metainfo){
            .files = files, .n_files = 3, .piece_len = PIECE, .n_pieces = 9, .total = 9 * PIECE });
    static const uint8_t some[] = { 0, 7, 2 };
    bt_picker_set_files(&f.p, some);
    static const uint8_t want[] = { 0, 0, 0, 7, 7, 7, 2, 2, 2 };
    assert_memory_equal(f.p.priority, want, sizeof want);
    assert_int_equal(f.p.need.count, 6);
    struct bt_request out[40];
    struct bt_pick who = { .peer = 1 };
    assert_int_equal(bt_picker_pick(&f.p, &who, 40, out), 12);
    for (size_t i = 0; i < 12; i++)
        assert_true(i < 6 ? out[i].piece >= 3 && out[i].piece <= 5 : out[i].piece >= 6);
    /* begun and no longer wanted: finished; then not asked again */
    static const uint8_t none[] = { 0, 0, 0 };
    bt_picker_set_files(&f.p, none);
    assert_int_equal(f.p.need.count, 6);
    for (size_t i = 0; i < 10; i++)
        (void)bt_picker_got(&f.p, &out[i], 1);
    for (size_t i = 0; i < 10; i += 2)
        bt_picker_good(&f.p, out[i].piece);
    bt_picker_release_peer(&f.p, 1);
    assert_true(bt_picker_done(&f.p));
    assert_int_equal(f.have.count, 5);
    /* a piece is lost; nobody wants it until its file is wanted again */
    uint32_t lost = out[0].piece;
    bt_picker_lost(&f.p, lost);
    assert_true(bt_picker_done(&f.p));
    bt_picker_set_files(&f.p, some);
    assert_true(bt_picker_needs(&f.p, lost));
    tear_down(&f);
}

/* As large as a torrent can be, and a peer with few of its pieces. */
static void test_two_million_pieces(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, plain(BT_PIECES_MAX, 1));
    struct tarn_bits has;
    assert_true(tarn_bits_init(&has, BT_PIECES_MAX));
    for (uint32_t i = 0; i < 100; i++)
        (void)tarn_bits_set(&has, i * 20011 + 5);
    bt_picker_joins(&f.p, NULL);
    have_first(&f, 4);
    struct bt_pick few = { .peer = 1, .has = &has }, seed = { .peer = 2 };
    struct bt_request out[200];
    bt_picker_joins(&f.p, &has);
    assert_int_equal(bt_picker_pick(&f.p, &few, 200, out), 100);
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(bt_picker_pick(&f.p, &seed, 10, out), 10);
    assert_int_equal(bt_picker_count(&f.p, NULL), BT_PIECES_MAX - 4);
    bt_picker_leaves(&f.p, &has);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(f.p.avail[i * 20011 + 5], 0);
    tarn_bits_release(&has);
    tear_down(&f);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct bt_metainfo m = plain(10, 2);
    struct tarn_bits have;
    assert_true(tarn_bits_init(&have, 10));
    for (size_t n = 0; n < 12; n++) {
        struct bt_picker p;
        struct tarn_err err = { 0 };
        struct bt_request out[4];
        struct bt_pick who = { .peer = 1 };
        test_mem_fail_after(n);
        bool ok = bt_picker_init(&p, &m, &have, 1, &err);
        size_t got = ok ? bt_picker_pick(&p, &who, 4, out) : 0;
        test_mem_normal();
        assert_true(ok == (n >= 6));
        assert_true(ok || err.code == TARN_E_NO_MEMORY);
        if (ok) {
            assert_int_equal(got, n < 8 ? 0 : n == 8 ? 2 : 4);
            assert_int_equal(bt_picker_pick(&p, &who, 4, out), 4);
        }
        bt_picker_release(&p);
    }
    tarn_bits_release(&have);
}

/* A slow peer neither works on the pieces of fast ones nor begins many; what nobody works on is for
 * everybody, and counts for nobody. */
static void test_speeds(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, plain(50, 4));
    f.p.max_partials = 4;
    struct bt_pick fast = { .peer = 1 }, slow = { .peer = 2, .speed = BT_SPEED_SLOW };
    struct bt_pick late = { .peer = 3, .speed = BT_SPEED_SLOW };
    struct bt_request a[8], b[8], c[8];
    assert_int_equal(bt_picker_pick(&f.p, &fast, 1, a), 1);
    assert_int_equal(bt_picker_pick(&f.p, &slow, 3, b), 3);
    assert_true(b[0].piece != a[0].piece);
    assert_int_equal(bt_picker_pick(&f.p, &late, 8, c), 1); /* the rest of that one, no more */
    assert_int_equal(c[0].piece, b[0].piece);
    assert_int_equal(bt_picker_pick(&f.p, &fast, 3, a), 3); /* its own first */
    assert_true(a[0].piece == a[2].piece && a[0].piece != b[0].piece);

    /* a piece that has only come in part, and whose peers have gone */
    assert_true(bt_picker_got(&f.p, &b[0], 2).is_new);
    bt_picker_release_peer(&f.p, 2);
    bt_picker_release_peer(&f.p, 3);
    uint8_t bits[7] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc0 };
    bits[b[0].piece / 8] &= (uint8_t) ~(0x80 >> b[0].piece % 8);
    bits[a[0].piece / 8] &= (uint8_t) ~(0x80 >> a[0].piece % 8);
    struct tarn_bits has = { .p = bits, .n = 50, .count = 48 };
    late.has = &has;
    assert_int_equal(bt_picker_pick(&f.p, &late, 2, c), 2);
    assert_true(c[0].piece != b[0].piece && c[0].piece != a[0].piece);
    assert_int_equal(bt_picker_pick(&f.p, &fast, 4, a), 4);
    assert_int_equal(a[0].piece, b[0].piece); /* taken over */

    static const struct {
        uint64_t rate, fastest;
        enum bt_speed speed;
    } speeds[] = {
        { 0, 0, BT_SPEED_FAST },        { 0, 1000, BT_SPEED_FAST },    { 125, 1000, BT_SPEED_FAST },
        { 124, 1000, BT_SPEED_MEDIUM }, { 15, 1000, BT_SPEED_MEDIUM }, { 14, 1000, BT_SPEED_SLOW },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(speeds); i++)
        assert_int_equal(bt_speed_of(speeds[i].rate, speeds[i].fastest), speeds[i].speed);
    tear_down(&f);
}

TEST_MAIN(cmocka_unit_test(test_swarms), cmocka_unit_test(test_rarest_first),
          cmocka_unit_test(test_first_pieces_are_random), cmocka_unit_test(test_sequential),
          cmocka_unit_test(test_begun_pieces_first), cmocka_unit_test(test_speeds),
          cmocka_unit_test(test_choked_and_suggested), cmocka_unit_test(test_parole),
          cmocka_unit_test(test_end_game), cmocka_unit_test(test_padding),
          cmocka_unit_test(test_file_priorities), cmocka_unit_test(test_two_million_pieces),
          cmocka_unit_test(test_no_memory))
