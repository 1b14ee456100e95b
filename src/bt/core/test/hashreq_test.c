#include "bt/core/hashreq.h"

#include "base/test/test.h"
#include "bt/core/test/tree.h"

/* A torrent of one file behind another of one piece, so that its offset is not 0. */
struct torrent {
    struct tree tree;
    struct bt_file files[2];
    struct bt_metainfo m;
    unsigned level;
};

static const uint8_t no_root[32];

static void make(struct torrent *t, uint64_t n_leaves, unsigned level)
{
    uint32_t piece_len = (uint32_t)MERKLE_BLOCK << level;
    uint64_t len = n_leaves * MERKLE_BLOCK - 7;
    tree_make(&t->tree, n_leaves, level);
    t->level = level;
    t->files[0] = (struct bt_file){ .path = "a", .len = 5, .root = no_root };
    t->files[1] = (struct bt_file){ .path = "b",
                                    .len = len,
                                    .off = piece_len,
                                    .root = tree_root(&t->tree),
                                    .layer = tree_layer(&t->tree, level) };
    t->m = (struct bt_metainfo){ .hashes = { .has_v2 = true },
                                 .files = t->files,
                                 .n_files = 2,
                                 .piece_len = piece_len,
                                 .total = piece_len + len };
    t->m.n_pieces = (uint32_t)((t->m.total + piece_len - 1) / piece_len);
}

/* What the whole tree says to a request. */
static struct tarn_bytes naive(const struct tree *t, const struct bt_hash_request *r, uint8_t *out)
{
    memcpy(out, t->levels[r->base] + (size_t)r->index * 32, (size_t)r->count * 32);
    size_t n = r->count;
    uint32_t own = 0;
    while (1u << own < r->count)
        own++;
    for (uint32_t p = own; p <= r->proofs; p++)
        memcpy(out + n++ * 32, t->levels[r->base + p] + (size_t)((r->index >> p) ^ 1) * 32, 32);
    return tarn_bytes_of(out, n * 32);
}

static void check_one(struct torrent *t, struct bt_hash_cache *c, const struct bt_hash_request *r)
{
    static uint8_t want_buf[(BT_HASHES_MAX)*32], work[BT_HASHES_COUNT_MAX * 32];
    uint32_t piece = UINT32_MAX;
    enum bt_hash_answer answer = bt_hash_request_check(&t->m, r, &piece);
    bool is_pad = (uint64_t)r->index << r->base >= t->tree.n_leaves;
    bool over = r->base < t->level && (uint64_t)r->count << r->base > 1u << t->level;
    if (is_pad || over) {
        assert_int_equal(answer, BT_HASH_REFUSE);
        return;
    }
    assert_int_equal(answer, r->base < t->level ? BT_HASH_FROM_LEAVES : BT_HASH_FROM_LAYER);
    const uint8_t *leaves = NULL;
    uint32_t n_leaves = 0;
    if (answer == BT_HASH_FROM_LEAVES) {
        uint64_t first = (uint64_t)(piece - 1) << t->level;
        assert_true(piece >= 1 && piece < t->m.n_pieces && first < t->tree.n_leaves);
        leaves = t->tree.levels[0] + first * 32;
        n_leaves = (uint32_t)(t->tree.n_leaves - first);
        n_leaves = n_leaves < 1u << t->level ? n_leaves : 1u << t->level;
    }
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    assert_true(bt_put_hashes(&o, &t->m, c, r, leaves, n_leaves));
    struct bt_wire w;
    struct bt_event ev;
    bt_wire_init(&w, 0, true, t->m.n_pieces);
    struct tarn_cur cur = tarn_cur_of(tarn_out_bytes(&o));
    assert_int_equal(bt_wire_next(&w, &cur, &ev, NULL), BT_EVENT);
    assert_true(ev.kind == BT_EV_HASHES && bt_hash_request_eq(&ev.hash, r));
    struct tarn_bytes want = naive(&t->tree, r, want_buf);
    assert_int_equal(ev.body.len, want.len);
    assert_memory_equal(ev.body.p, want.p, want.len);
    if (r->base + r->proofs + 1 == t->tree.height) {
        assert_true(bt_hashes_lead_to(r, ev.body, tree_root(&t->tree), work));
        want_buf[(r->index * 7 + r->proofs * 13) % want.len] ^= 1;
        assert_false(bt_hashes_lead_to(r, want, tree_root(&t->tree), work));
        assert_false(bt_hashes_lead_to(r, tarn_bytes_of(ev.body.p, ev.body.len - 32),
                                       tree_root(&t->tree), work));
    }
    tarn_out_release(&o);
}

/* Every request that is sound, for trees of every shape. */
static void test_all_answers(void **state)
{
    (void)state;
    struct bt_hash_cache cache = { 0 };
    for (uint64_t n_leaves = 1; n_leaves <= 35; n_leaves++)
        for (unsigned level = 0; level <= 4; level++) {
            struct torrent t;
            make(&t, n_leaves, level);
            for (unsigned base = 0; base < t.tree.height; base++)
                for (unsigned k = 1; k <= t.tree.height - base; k++)
                    for (uint32_t i = 0; (uint64_t)(i + 1) << (base + k) <= 1u << t.tree.height;
                         i++)
                        for (uint32_t proofs = 0; proofs < t.tree.height - base; proofs++) {
                            struct bt_hash_request r = {
                                .base = base, .index = i << k, .count = 1u << k, .proofs = proofs
                            };
                            memcpy(r.root, tree_root(&t.tree), 32);
                            check_one(&t, &cache, &r);
                        }
            tree_release(&t.tree);
        }
    bt_hash_cache_release(&cache);
}

/* With more pieces than one top covers; some of all requests. */
static void test_large_tree(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct bt_hash_cache cache = { 0 };
    for (unsigned level = 0; level < 3; level++) {
        struct torrent t;
        make(&t, 5000 << level, level);
        for (int i = 0; i < 500; i++) {
            unsigned base = (unsigned)test_rand_below(&seed, t.tree.height);
            unsigned k = 1 + (unsigned)test_rand_below(&seed, t.tree.height - base);
            uint64_t n = (uint64_t)1 << (t.tree.height - base - k);
            struct bt_hash_request r = {
                .base = base,
                .index = (uint32_t)test_rand_below(&seed, n) << k,
                .count = 1u << k,
                .proofs = (uint32_t)test_rand_below(&seed, t.tree.height - base),
            };
            memcpy(r.root, tree_root(&t.tree), 32);
            if (r.count <= BT_HASHES_COUNT_MAX)
                check_one(&t, &cache, &r);
        }
        bt_hash_cache_release(&cache);
        tree_release(&t.tree);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    struct torrent t;
    make(&t, 32, 2); /* height 5, 8 pieces */
    static const struct bt_hash_request bad[] = {
        { .base = 5, .count = 2 },
        { .base = 2, .count = 1 },
        { .base = 2, .count = 3 },
        { .base = 2, .count = 0 },
        { .base = 2, .count = 16 },
        { .base = 2, .index = 8, .count = 8 },
        { .base = 2, .index = 1, .count = 2 },
        { .base = 2, .count = 2, .proofs = 3 },
        { .base = 2, .count = 2, .proofs = UINT32_MAX },
        { .base = UINT32_MAX, .count = 2 },
        { .base = 2, .index = UINT32_MAX - 1, .count = 2 },
        { .base = 0, .count = 8 },
        { .base = 2, .count = BT_HASHES_COUNT_MAX * 2 },
    };
    uint32_t piece;
    for (size_t i = 0; i < TARN_COUNT_OF(bad); i++) {
        struct bt_hash_request r = bad[i];
        memcpy(r.root, tree_root(&t.tree), 32);
        assert_int_equal(bt_hash_request_check(&t.m, &r, &piece), BT_HASH_REFUSE);
    }
    struct bt_hash_request r = { .base = 2, .count = 2, .proofs = 2 };
    assert_int_equal(bt_hash_request_check(&t.m, &r, &piece), BT_HASH_REFUSE); /* no such root */
    memcpy(r.root, tree_root(&t.tree), 32);
    assert_int_equal(bt_hash_request_check(&t.m, &r, &piece), BT_HASH_FROM_LAYER);
    t.files[1].layer = NULL; /* not known yet */
    assert_int_equal(bt_hash_request_check(&t.m, &r, &piece), BT_HASH_REFUSE);
    r = (struct bt_hash_request){ .base = 0, .index = 4, .count = 4, .proofs = 1 };
    memcpy(r.root, tree_root(&t.tree), 32);
    assert_int_equal(bt_hash_request_check(&t.m, &r, &piece), BT_HASH_FROM_LEAVES);
    assert_int_equal(piece, 2);
    r.proofs = 4;
    assert_int_equal(bt_hash_request_check(&t.m, &r, &piece), BT_HASH_REFUSE);
    tree_release(&t.tree);
}

static void test_leaves(void **state)
{
    (void)state;
    static uint8_t work[64 * 32];
    for (uint64_t n_leaves = 1; n_leaves < 40; n_leaves++) {
        struct torrent t;
        make(&t, n_leaves, 3);
        for (uint32_t piece = 1; piece < t.m.n_pieces; piece++) {
            struct bt_hash_request r;
            if (n_leaves == 1) {
                assert_false(bt_leaves_request(&t.m, piece, &r));
                continue;
            }
            assert_true(bt_leaves_request(&t.m, piece, &r));
            uint32_t p;
            assert_int_equal(bt_hash_request_check(&t.m, &r, &p), BT_HASH_FROM_LEAVES);
            assert_int_equal(p, piece);
            struct tarn_bytes leaves =
                tarn_bytes_of(t.tree.levels[0] + (size_t)r.index * 32, (size_t)r.count * 32);
            assert_true(bt_leaves_check(&t.m, piece, &r, leaves, work));
            if (piece + 1 < t.m.n_pieces)
                assert_false(bt_leaves_check(&t.m, piece + 1, &r, leaves, work));
            t.tree.levels[0][(size_t)r.index * 32] ^= 1;
            assert_false(bt_leaves_check(&t.m, piece, &r, leaves, work));
            t.tree.levels[0][(size_t)r.index * 32] ^= 1;
        }
        tree_release(&t.tree);
    }
}

/* A torrent that came by magnet link: files of many sizes, two alike, no layers. */
enum { FILES = 6, SECOND = 1000 * 1000 };

struct fetching {
    struct tree trees[FILES];
    struct bt_file files[FILES];
    struct bt_metainfo m;     /* without layers */
    struct bt_metainfo whole; /* with them: what peers have */
    struct bt_file whole_files[FILES];
    struct bt_layers l;
};

static void make_fetching(struct fetching *f)
{
    static const uint64_t n_leaves[FILES] = { 3, 1300, 513, 1300, 1, 2 };
    uint64_t off = 0;
    for (uint32_t i = 0; i < FILES; i++) {
        tree_make(&f->trees[i], n_leaves[i], (uint32_t)n_leaves[i]);
        f->files[i] = (struct bt_file){ .path = "f",
                                        .len = n_leaves[i] * MERKLE_BLOCK,
                                        .off = off,
                                        .root = tree_root(&f->trees[i]) };
        f->whole_files[i] = f->files[i];
        f->whole_files[i].layer = tree_layer(&f->trees[i], 0);
        off += f->files[i].len;
    }
    f->m = (struct bt_metainfo){ .hashes = { .has_v2 = true },
                                 .files = f->files,
                                 .n_files = FILES,
                                 .piece_len = MERKLE_BLOCK,
                                 .n_pieces = (uint32_t)(off / MERKLE_BLOCK),
                                 .total = off };
    f->whole = f->m;
    f->whole.files = f->whole_files;
    assert_true(bt_layers_init(&f->l, &f->m, NULL));
}

static void free_fetching(struct fetching *f)
{
    bt_layers_release(&f->l);
    for (uint32_t i = 0; i < FILES; i++)
        tree_release(&f->trees[i]);
}

static void take(struct fetching *f, uint32_t *n_files)
{
    uint32_t cursor = 0, file;
    const uint8_t *layer;
    while (bt_layers_next(&f->l, &cursor, &file, &layer)) {
        assert_null(f->files[file].layer);
        assert_memory_equal(layer, f->trees[file].levels[0],
                            f->files[file].len / MERKLE_BLOCK * 32);
        f->files[file].layer = layer;
        ++*n_files;
    }
}

/* Peers that answer, lie, refuse or say nothing. */
static void test_fetch_layers(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int round = 0; round < 20; round++) {
        struct fetching f;
        make_fetching(&f);
        struct bt_hash_cache cache = { 0 };
        struct tarn_bits some;
        assert_true(tarn_bits_init(&some, f.m.n_pieces));
        for (uint32_t i = 0; i < 600; i++)
            (void)tarn_bits_set(&some, i);
        int64_t now = 0;
        uint32_t n_files = 0;
        for (int step = 0; step < 2000 && !bt_layers_done(&f.l); step++) {
            now += SECOND;
            bt_peer_no peer = (bt_peer_no)test_rand_below(&seed, 5);
            struct bt_hash_request r;
            if (!bt_layers_ask(&f.l, peer, peer < 2 ? &some : NULL, now, &r))
                continue;
            uint64_t what = test_rand_below(&seed, 6);
            if (what == 0) {
                bt_layers_rejected(&f.l, peer, &r);
            } else if (what == 1) {
                bt_layers_gone(&f.l, peer);
            } else if (what > 2) {
                struct tarn_out o;
                uint32_t piece;
                tarn_out_init(&o, TARN_MIB);
                assert_int_equal(bt_hash_request_check(&f.whole, &r, &piece), BT_HASH_FROM_LAYER);
                assert_true(bt_put_hashes(&o, &f.whole, &cache, &r, NULL, 0));
                struct tarn_bytes hashes =
                    tarn_bytes_of(o.p + BT_HASH_REQUEST_LEN, o.len - BT_HASH_REQUEST_LEN);
                assert_int_equal(bt_layers_got(&f.l, 9, &r, hashes), BT_HASHES_IGNORED);
                if (what == 3) {
                    o.p[BT_HASH_REQUEST_LEN + test_rand_below(&seed, hashes.len)] ^= 1;
                    assert_int_equal(bt_layers_got(&f.l, peer, &r, hashes), BT_HASHES_WRONG);
                } else {
                    enum bt_hash_got got = bt_layers_got(&f.l, peer, &r, hashes);
                    assert_true(got == BT_HASHES_TAKEN || got == BT_HASHES_LAYER);
                    assert_int_equal(bt_layers_got(&f.l, peer, &r, hashes), BT_HASHES_IGNORED);
                    if (got == BT_HASHES_LAYER)
                        take(&f, &n_files);
                }
                tarn_out_release(&o);
            }
        }
        assert_true(bt_layers_done(&f.l));
        assert_int_equal(n_files, 5); /* all but the one of one piece */
        assert_int_equal(f.l.n_jobs, 4);
        assert_int_equal(bt_layers_wake(&f.l, now), INT64_MAX);
        struct bt_hash_request r;
        assert_false(bt_layers_ask(&f.l, 1, NULL, now, &r));
        tarn_bits_release(&some);
        bt_hash_cache_release(&cache);
        free_fetching(&f);
    }
}

static void test_who_is_asked(void **state)
{
    (void)state;
    struct fetching f;
    make_fetching(&f);
    struct tarn_bits none;
    struct bt_hash_request r, s;
    assert_true(tarn_bits_init(&none, f.m.n_pieces));
    assert_false(bt_layers_ask(&f.l, 1, &none, 0, &r));
    (void)tarn_bits_set(&none, 0); /* of the first file, which has 3 pieces */
    assert_true(bt_layers_ask(&f.l, 1, &none, 0, &r));
    assert_memory_equal(r.root, tree_root(&f.trees[0]), 32);
    assert_int_equal(r.count, 4);
    assert_int_equal(r.proofs, 1);
    assert_false(bt_layers_ask(&f.l, 1, &none, 0, &s));
    assert_int_equal(bt_layers_wake(&f.l, 0), BT_HASHES_TIMEOUT_US);
    /* too late: another is asked, the first one only later again */
    assert_false(bt_layers_ask(&f.l, 1, &none, BT_HASHES_TIMEOUT_US, &s));
    assert_true(bt_layers_ask(&f.l, 2, &none, BT_HASHES_TIMEOUT_US, &s));
    assert_true(bt_hash_request_eq(&r, &s));
    bt_layers_rejected(&f.l, 2, &s);
    assert_true(bt_layers_ask(&f.l, 1, &none, 2 * BT_HASHES_TIMEOUT_US, &s));
    bt_layers_gone(&f.l, 1);
    /* gone, and here again under the same number: nothing is held against it */
    assert_true(bt_layers_ask(&f.l, 1, &none, 2 * BT_HASHES_TIMEOUT_US, &s));
    assert_int_equal(f.l.n_asked, 1);
    /* no more than so many at one peer */
    bt_layers_gone(&f.l, 1);
    for (int i = 0; i < BT_HASHES_DEPTH; i++)
        assert_true(bt_layers_ask(&f.l, 3, NULL, 0, &s));
    assert_false(bt_layers_ask(&f.l, 3, NULL, 0, &s));
    tarn_bits_release(&none);
    free_fetching(&f);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct fetching f;
    make_fetching(&f);
    bt_layers_release(&f.l);
    for (size_t n = 0; n < 8; n++) {
        struct tarn_err err = { 0 };
        test_mem_fail_after(n);
        bool ok = bt_layers_init(&f.l, &f.m, &err);
        test_mem_normal();
        assert_true(ok == (n >= 5));
        assert_true(ok || err.code == TARN_E_NO_MEMORY);
        bt_layers_release(&f.l);
    }
    free_fetching(&f);
}

TEST_MAIN(cmocka_unit_test(test_all_answers), cmocka_unit_test(test_large_tree),
          cmocka_unit_test(test_refusals), cmocka_unit_test(test_leaves),
          cmocka_unit_test(test_fetch_layers), cmocka_unit_test(test_who_is_asked),
          cmocka_unit_test(test_no_memory))
