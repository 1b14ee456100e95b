#include "store/places.h"

#include "crypt/sha.h"
#include "store/test/room.h"

/* An owner that keeps what it was told. */
struct owner {
    struct room *r;
    struct loop *loop;
    struct store_tree *tree;
    struct store_places *places;
    struct store_budget shared;
    uint64_t budget;
    bool want_v1, want_v2;
    bool judges;   /* write good pieces, drop bad ones, in on_hashed; else keep them */
    uint8_t *good; /* per piece: on disk */
    uint32_t hashed, written, failed, rooms;
    uint32_t last;            /* piece told last */
    enum tarn_code last_code; /* of on_hashed or on_written */
    bool last_good;
    uint64_t bad_leaves; /* bit i: leaf i of the last hashed piece is wrong */
};

static bool judge(struct owner *o, uint32_t piece, const struct store_hashes *h)
{
    const struct store_layout *l = &o->r->layout;
    const uint8_t *bytes = o->r->bytes + (uint64_t)piece * l->piece_len;
    uint8_t hash[32];
    bool good = true;
    uint32_t own;
    o->bad_leaves = 0;
    if (o->want_v1) {
        crypt_hash(CRYPT_SHA1, tarn_bytes_of(bytes, store_piece_len(l, piece)), hash);
        good &= memcmp(hash, h->sha1, 20) == 0;
    }
    if (!o->want_v2)
        return good;
    store_piece_own_file(l, piece, &own);
    assert_int_equal(h->n_leaves, tarn_div_up_u64(own, MERKLE_BLOCK));
    for (uint32_t i = 0; i < h->n_leaves; i++) {
        crypt_hash(CRYPT_SHA256,
                   tarn_bytes_of(bytes + i * MERKLE_BLOCK,
                                 tarn_min_size(MERKLE_BLOCK, own - i * MERKLE_BLOCK)),
                   hash);
        if (memcmp(hash, h->leaves + 32 * (size_t)i, 32) != 0) {
            o->bad_leaves |= (uint64_t)1 << (i % 64);
            good = false;
        }
    }
    return good;
}

static void on_hashed(void *arg, uint32_t piece, const struct store_hashes *h,
                      const struct tarn_err *err)
{
    struct owner *o = arg;
    o->hashed++;
    o->last = piece;
    o->last_code = err == NULL ? TARN_OK : err->code;
    assert_true((h == NULL) == (err != NULL));
    o->last_good = h != NULL && judge(o, piece, h);
    if (!o->judges)
        return;
    if (o->last_good)
        store_piece_write(o->places, piece);
    else
        store_piece_drop(o->places, piece);
}

static void on_written(void *arg, uint32_t piece, const struct tarn_err *err)
{
    struct owner *o = arg;
    o->last = piece;
    o->last_code = err == NULL ? TARN_OK : err->code;
    if (err == NULL) {
        assert_false(o->good[piece]);
        o->good[piece] = 1;
        o->written++;
    } else {
        o->failed++;
    }
}

static void on_room(void *arg)
{
    struct owner *o = arg;
    o->rooms++;
}

static void begin(struct owner *o, struct room *r, unsigned kind, uint64_t budget)
{
    static const struct store_places_ops ops = { .on_hashed = on_hashed,
                                                 .on_written = on_written,
                                                 .on_room = on_room };
    static const struct loop_settings settings = { .threads = 2 };
    *o = (struct owner){ .r = r,
                         .budget = budget,
                         .want_v1 = (kind & 1) != 0,
                         .want_v2 = (kind & 2) != 0,
                         .judges = true };
    o->good = tarn_calloc(r->layout.n_pieces, 1);
    o->loop = loop_new(&settings, NULL);
    o->tree = store_tree_create(&r->layout, ".", NULL);
    store_budget_init(&o->shared, o->loop, budget);
    struct store_places_settings set = { .loop = o->loop,
                                         .tree = o->tree,
                                         .layout = &r->layout,
                                         .budget = &o->shared,
                                         .want_v1 = o->want_v1,
                                         .want_v2 = o->want_v2,
                                         .ops = &ops,
                                         .arg = o };
    o->places = store_places_new(&set, NULL);
    assert_non_null(o->loop);
    assert_non_null(o->tree);
    assert_non_null(o->places);
}

/* Until nothing is under way. */
static void settle(struct owner *o)
{
    while (store_places_busy(o->places))
        assert_true(loop_turn(o->loop, 10000, NULL));
    assert_true(loop_turn(o->loop, 0, NULL));
}

static void end(struct owner *o)
{
    store_places_free(o->places);
    store_tree_free(o->tree);
    assert_int_equal(o->shared.used, 0);
    store_budget_release(&o->shared);
    loop_free(o->loop);
    tarn_free(o->good);
}

/* Bytes that come for a piece. */
static uint32_t piece_bytes(const struct owner *o, uint32_t piece)
{
    uint32_t own;
    store_piece_own_file(&o->r->layout, piece, &own);
    return o->want_v1 ? store_piece_len(&o->r->layout, piece) : own;
}

static uint32_t block_bytes(const struct owner *o, uint32_t piece, uint32_t begin)
{
    return (uint32_t)tarn_min_u64(STORE_BLOCK, piece_bytes(o, piece) - begin);
}

static enum store_place_answer place(struct owner *o, uint32_t piece, uint32_t begin, uint8_t **at)
{
    enum store_place_answer a =
        store_place(o->places, piece, begin, block_bytes(o, piece, begin), at);
    assert_true(store_places_used(o->places) <= tarn_max_u64(o->budget, 65536));
    return a;
}

static void fill(struct owner *o, uint32_t piece, uint32_t begin, uint8_t *at)
{
    memcpy(at, o->r->bytes + (uint64_t)piece * o->r->layout.piece_len + begin,
           block_bytes(o, piece, begin));
}

static void commit(struct owner *o, uint32_t piece, uint32_t begin)
{
    store_commit(o->places, piece, begin, block_bytes(o, piece, begin));
}

/* Place, fill and commit one block. */
static void bring(struct owner *o, uint32_t piece, uint32_t begin)
{
    uint8_t *at;
    while (place(o, piece, begin, &at) == STORE_PLACE_FULL)
        assert_true(loop_turn(o->loop, 10000, NULL));
    fill(o, piece, begin, at);
    commit(o, piece, begin);
}

static void bring_piece(struct owner *o, uint32_t piece)
{
    for (uint32_t begin = 0; begin < piece_bytes(o, piece); begin += STORE_BLOCK)
        bring(o, piece, begin);
}

static void finish_all(struct owner *o)
{
    for (uint32_t i = 0; i < o->r->layout.n_files; i++)
        assert_true(finish(o->tree, i, NULL));
}

static const struct room_file two[] = { { .len = 100000 }, { .len = 200000 } };

static void test_a_piece_arrives(void **state)
{
    (void)state;
    for (unsigned kind = 1; kind <= 3; kind += 2) {
        struct room r;
        struct owner o;
        uint8_t *at, *other;
        room_make(&r, 65536, two, 2);
        begin(&o, &r, kind, 1 << 20);
        assert_int_equal(place(&o, 1, 16384, &at), STORE_PLACE_OK);
        assert_int_equal(store_places_used(o.places), 65536);
        assert_int_equal(place(&o, 1, 16384, &other), STORE_PLACE_TAKEN);
        store_abandon(o.places, 1, 16384, 16384);
        assert_int_equal(store_places_used(o.places), 0);
        bring_piece(&o, 1);
        assert_int_equal(o.hashed, 0); /* never from inside a call */
        assert_true(store_places_busy(o.places));
        assert_int_equal(place(&o, 1, 16384, &other), STORE_PLACE_TAKEN);
        settle(&o);
        assert_int_equal(o.hashed, 1);
        assert_int_equal(o.written, 1);
        assert_int_equal(store_places_used(o.places), 0);
        end(&o);
        test_folder_empty(AT_FDCWD);
        room_release(&r);
    }
}

static void test_nothing_is_written_before_it_is_judged(void **state)
{
    (void)state;
    struct room r;
    struct owner o;
    room_make(&r, 65536, two, 2);
    begin(&o, &r, 1, 1 << 20);
    o.judges = false;
    bring_piece(&o, 0);
    settle(&o);
    assert_true(o.hashed == 1 && o.last_good);
    assert_false(room_has("c/f0.part"));
    assert_int_equal(store_places_used(o.places), 65536);
    store_piece_drop(o.places, 0);
    assert_int_equal(store_places_used(o.places), 0);
    bring_piece(&o, 0);
    settle(&o);
    store_piece_write(o.places, 0);
    settle(&o);
    assert_int_equal(o.written, 1);
    assert_true(room_has("c/f0.part"));
    end(&o);
    room_release(&r);
}

static void test_full(void **state)
{
    (void)state;
    struct room r;
    struct owner o;
    uint8_t *at;
    const struct room_file files[] = { { .len = 65536 * 8 } };
    room_make(&r, 65536, files, 1);
    begin(&o, &r, 1, 65536 * 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(place(&o, i, 0, &at), STORE_PLACE_OK);
    assert_int_equal(place(&o, 4, 0, &at), STORE_PLACE_FULL);
    assert_int_equal(place(&o, 3, 16384, &at), STORE_PLACE_OK); /* pieces begun go on */
    assert_true(loop_turn(o.loop, 0, NULL));
    assert_int_equal(o.rooms, 0);
    store_abandon(o.places, 0, 0, STORE_BLOCK);
    assert_int_equal(o.rooms, 0);
    assert_true(loop_turn(o.loop, 0, NULL));
    assert_int_equal(o.rooms, 1);
    assert_int_equal(place(&o, 4, 0, &at), STORE_PLACE_OK);
    store_abandon(o.places, 4, 0, STORE_BLOCK);
    assert_true(loop_turn(o.loop, 0, NULL));
    assert_int_equal(o.rooms, 1); /* nobody was refused since */
    store_abandon(o.places, 1, 0, STORE_BLOCK);
    store_abandon(o.places, 2, 0, STORE_BLOCK);
    store_abandon(o.places, 3, 0, STORE_BLOCK);
    assert_int_equal(store_places_used(o.places), 65536);
    store_abandon(o.places, 3, 16384, STORE_BLOCK);
    assert_int_equal(store_places_used(o.places), 0);
    end(&o);
    room_release(&r);
}

static void test_drop_with_places_lent(void **state)
{
    (void)state;
    struct room r;
    struct owner o;
    uint8_t *at, *other;
    room_make(&r, 65536, two, 2);
    for (int turn = 0; turn < 2; turn++) {
        begin(&o, &r, 1, turn == 0 ? 1 << 20 : 65536); /* held, and long */
        assert_int_equal(place(&o, 0, 0, &at), STORE_PLACE_OK);
        bring(&o, 0, 16384);
        store_piece_drop(o.places, 0);
        assert_int_equal(place(&o, 0, 32768, &other), STORE_PLACE_TAKEN);
        fill(&o, 0, 0, at); /* still good memory */
        commit(&o, 0, 0);
        assert_int_equal(store_places_used(o.places), 0);
        assert_int_equal(o.hashed, 0);
        bring_piece(&o, 0);
        store_piece_drop(o.places, 0); /* while it is hashed */
        settle(&o);
        assert_int_equal(o.hashed, 0);
        assert_int_equal(store_places_used(o.places), 0);
        store_piece_drop(o.places, 0); /* not there: harmless */
        end(&o);
        test_folder_empty(AT_FDCWD);
    }
    room_release(&r);
}

/* v2 tells which block was bad; only that one comes again. */
static void test_block_drop(void **state)
{
    (void)state;
    struct room r;
    struct owner o;
    uint8_t *at;
    const struct room_file files[] = { { .len = 65536 * 3 } };
    room_make(&r, 65536, files, 1);
    for (int turn = 0; turn < 2; turn++) {
        begin(&o, &r, 3, turn == 0 ? 1 << 20 : 65536);
        o.judges = false;
        for (uint32_t i = 0; i < 4; i++) {
            assert_int_equal(place(&o, 1, i * STORE_BLOCK, &at), STORE_PLACE_OK);
            fill(&o, 1, i * STORE_BLOCK, at);
            at[5] ^= i == 2;
            commit(&o, 1, i * STORE_BLOCK);
        }
        settle(&o);
        assert_int_equal(o.hashed, 1);
        assert_false(o.last_good);
        assert_int_equal(o.bad_leaves, 4);
        store_block_drop(o.places, 1, 32768);
        assert_int_equal(place(&o, 1, 0, &at), STORE_PLACE_TAKEN);
        bring(&o, 1, 32768);
        settle(&o);
        assert_int_equal(o.hashed, 2);
        assert_true(o.last_good);
        for (uint32_t i = 0; i < 4; i++)
            store_block_drop(o.places, 1, i * STORE_BLOCK); /* all of them: it is gone */
        assert_int_equal(store_places_used(o.places), 0);
        o.judges = true;
        bring_piece(&o, 1);
        settle(&o);
        assert_int_equal(o.written, 1);
        end(&o);
        test_folder_empty(AT_FDCWD);
    }
    room_release(&r);
}

/* A long piece is written as it comes, under another name even where the file was there. */
static void test_long_piece(void **state)
{
    (void)state;
    struct room r;
    struct owner o;
    bool had;
    const struct room_file files[] = { { .len = (1 << 20) + 777 } };
    room_make(&r, 1 << 20, files, 1);
    uint8_t *wrong = tarn_calloc(files[0].len, 1);
    room_put("c/f0", wrong, files[0].len);
    tarn_free(wrong);
    begin(&o, &r, 3, 256 << 10);
    assert_true(store_tree_prepare(o.tree, 0, &had, NULL));
    assert_true(had);
    for (uint32_t i = 0; i < 10; i++)
        bring(&o, 0, i * STORE_BLOCK);
    settle(&o);
    assert_true(room_has("c/f0.part") && !room_has("c/f0"));
    assert_int_equal(store_places_used(o.places), 2 * STORE_BLOCK); /* 8 make a run */
    bring_piece(&o, 1); /* short: held, written when good */
    for (uint32_t i = 10; i < 64; i++)
        bring(&o, 0, i * STORE_BLOCK);
    settle(&o);
    assert_int_equal(o.written, 2);
    finish_all(&o);
    end(&o);
    room_expect_all(&r);
    room_release(&r);
}

struct lent {
    uint32_t piece, begin;
    uint8_t *at;
};

/* Blocks of many pieces in random order, some abandoned, some bad, with a budget that is hardly
 * enough: all arrives in the end, and the budget holds. */
static void random_arrival(uint64_t *seed, unsigned kind, uint32_t piece_len, uint64_t budget)
{
    struct room r;
    struct owner o;
    room_random(&r, seed, piece_len, kind != 1);
    begin(&o, &r, kind, budget);
    for (uint32_t i = 0; i < r.layout.n_files; i++) {
        bool had;
        if (test_rand_below(seed, 2) == 0)
            assert_true(store_tree_prepare(o.tree, i, &had, NULL));
    }
    struct lent lent[6];
    size_t n_lent = 0;
    uint32_t n_left = 0;
    for (uint32_t i = 0; i < r.layout.n_pieces; i++) {
        o.good[i] = piece_bytes(&o, i) == 0; /* nothing of it to come */
        n_left += !o.good[i];
    }
    uint32_t window = 0; /* pieces are begun in order, a few at a time */
    while (o.written < n_left) {
        uint32_t first = 0;
        while (first < r.layout.n_pieces && o.good[first])
            first++;
        window = (uint32_t)test_rand_below(seed, 3);
        uint32_t piece = (uint32_t)tarn_min_u64(first + window, r.layout.n_pieces - 1);
        bool full = false;
        if (n_lent < TARN_COUNT_OF(lent) && !o.good[piece]) {
            uint32_t n_blocks = (uint32_t)tarn_div_up_u64(piece_bytes(&o, piece), STORE_BLOCK);
            struct lent *b = &lent[n_lent];
            b->piece = piece;
            b->begin = (uint32_t)test_rand_below(seed, n_blocks) * STORE_BLOCK;
            enum store_place_answer a = place(&o, piece, b->begin, &b->at);
            full = a == STORE_PLACE_FULL;
            n_lent += a == STORE_PLACE_OK;
        }
        if (n_lent > 0 && (full || test_rand_below(seed, 2) == 0)) {
            size_t i = test_rand_below(seed, n_lent);
            struct lent b = lent[i];
            lent[i] = lent[--n_lent];
            fill(&o, b.piece, b.begin, b.at);
            if (test_rand_below(seed, 50) == 0)
                b.at[0] ^= 1;
            if (test_rand_below(seed, 20) == 0)
                store_abandon(o.places, b.piece, b.begin, block_bytes(&o, b.piece, b.begin));
            else
                commit(&o, b.piece, b.begin);
        }
        if (full || test_rand_below(seed, 8) == 0)
            assert_true(loop_turn(o.loop, store_places_busy(o.places) ? 1000 : 0, NULL));
        if (full && test_rand_below(seed, 4) == 0) /* a picker would give up the slowest one */
            store_piece_drop(o.places, piece + 1 < r.layout.n_pieces ? piece + 1 : 0);
    }
    for (size_t i = 0; i < n_lent; i++)
        store_abandon(o.places, lent[i].piece, lent[i].begin,
                      block_bytes(&o, lent[i].piece, lent[i].begin));
    settle(&o);
    assert_int_equal(o.failed, 0);
    finish_all(&o);
    end(&o);
    room_expect_all(&r);
    test_folder_empty(AT_FDCWD);
    room_release(&r);
}

static void test_random_arrival(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (unsigned turn = 0; turn < 30; turn++) {
        unsigned kind = turn % 3 + 1;
        uint32_t piece_len =
            kind == 1 && turn % 2 == 0 ? 50000 : 16384U << test_rand_below(&seed, 5);
        uint64_t budget = (uint64_t)STORE_BLOCK << (test_rand_below(&seed, 6) + 2);
        random_arrival(&seed, kind, piece_len, budget);
    }
}

static void test_full_disk(void **state)
{
    (void)state;
    struct room r;
    struct owner o;
    const struct room_file files[] = { { .len = 1 << 20 } };
    room_make(&r, 1 << 18, files, 1);
    for (int turn = 0; turn < 2; turn++) {
        struct sys_fake fake;
        uint8_t *at;
        begin(&o, &r, 1, turn == 0 ? 4 << 20 : 512 << 10);
        sys_fake_install(&fake, &sys_ops_native);
        fake.fail[SYS_FAKE_PWRITEV] = (struct sys_fault){ .error = ENOSPC, .forever = true };
        bool is_long = turn == 1;
        if (!is_long)
            bring_piece(&o, 2);
        else
            for (uint32_t i = 0; i < 8; i++)
                bring(&o, 2, i * STORE_BLOCK);
        if (is_long)
            assert_int_equal(place(&o, 2, 8 * STORE_BLOCK, &at), STORE_PLACE_OK);
        settle(&o);
        assert_int_equal(o.failed, 1);
        assert_int_equal(o.last, 2);
        assert_int_equal(o.last_code, TARN_E_NO_SPACE);
        if (is_long) {
            uint8_t *other;
            assert_int_equal(place(&o, 2, 0, &other), STORE_PLACE_TAKEN);
            store_abandon(o.places, 2, 8 * STORE_BLOCK, STORE_BLOCK);
        }
        assert_int_equal(store_places_used(o.places), 0);
        sys_fake_remove(&fake);
        bring_piece(&o, 2);
        settle(&o);
        assert_int_equal(o.written, 1);
        end(&o);
        test_folder_empty(AT_FDCWD);
    }
    room_release(&r);
}

static void test_read_back_fails(void **state)
{
    (void)state;
    struct room r;
    struct owner o;
    struct sys_fake fake;
    const struct room_file files[] = { { .len = 1 << 20 } };
    room_make(&r, 1 << 18, files, 1);
    begin(&o, &r, 1, 512 << 10);
    sys_fake_install(&fake, &sys_ops_native);
    fake.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .error = EIO, .forever = true };
    bring_piece(&o, 0);
    settle(&o);
    assert_int_equal(o.hashed, 1);
    assert_int_equal(o.last_code, TARN_E_FAILED);
    assert_int_equal(store_places_used(o.places), 0);
    sys_fake_remove(&fake);
    end(&o);
    room_release(&r);
}

/* Freed while pieces are hashed and written: nothing is called, nothing is lost. */
static void test_free_while_busy(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (unsigned turn = 0; turn < 30; turn++) {
        struct room r;
        struct owner o;
        const struct room_file files[] = { { .len = 2 << 20 } };
        room_make(&r, 1 << 17, files, 1);
        begin(&o, &r, 3, turn % 2 == 0 ? 8 << 20 : 256 << 10);
        unsigned n = (unsigned)test_rand_below(&seed, 10);
        for (uint32_t i = 0; i < n; i++)
            bring_piece(&o, i);
        bring(&o, 12, 0);
        for (uint64_t i = test_rand_below(&seed, 4); i > 0; i--)
            assert_true(loop_turn(o.loop, 100, NULL));
        uint32_t before = o.hashed + o.written;
        end(&o);
        assert_int_equal(o.hashed + o.written, before);
        test_folder_empty(AT_FDCWD);
        room_release(&r);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    struct room r;
    struct owner o;
    room_make(&r, 65536, two, 2);
    for (int turn = 0; turn < 2; turn++) {
        begin(&o, &r, 1, turn == 0 ? 1 << 20 : 65536);
        enum store_place_answer a = STORE_PLACE_NO_MEMORY;
        for (size_t n = 0; a != STORE_PLACE_OK; n++) {
            uint8_t *at;
            test_mem_fail_after(n);
            a = place(&o, 1, 0, &at);
            test_mem_normal();
            assert_true(a == STORE_PLACE_OK || a == STORE_PLACE_NO_MEMORY);
            assert_true(a == STORE_PLACE_OK || store_places_used(o.places) == 0);
        }
        store_abandon(o.places, 1, 0, STORE_BLOCK);
        assert_int_equal(store_places_used(o.places), 0);
        end(&o);
    }
    room_release(&r);
}

TEST_MAIN(IN_ROOM(test_a_piece_arrives), IN_ROOM(test_nothing_is_written_before_it_is_judged),
          IN_ROOM(test_full), IN_ROOM(test_drop_with_places_lent), IN_ROOM(test_block_drop),
          IN_ROOM(test_long_piece), IN_ROOM(test_random_arrival), IN_ROOM(test_full_disk),
          IN_ROOM(test_read_back_fails), IN_ROOM(test_free_while_busy), IN_ROOM(test_no_memory))
