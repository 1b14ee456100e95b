#include "store/budget.h"

#include "crypt/sha.h"
#include "store/places.h"
#include "store/test/room.h"

static int64_t stopped_us;

static int64_t stopped_clock(void)
{
    return stopped_us;
}

static struct sys_ops stopped_ops;

static struct loop *stopped_loop(void)
{
    struct loop_settings settings = { .threads = 2 };
    stopped_us = 1000 * 1000;
    stopped_ops = sys_ops_native;
    stopped_ops.now_us = stopped_clock;
    sys_ops = &stopped_ops;
    struct loop *l = loop_new(&settings, NULL);
    assert_non_null(l);
    return l;
}

/* A share whose owner begins pieces of one length as it is told to. */
struct asker {
    struct store_share share;
    size_t len;
    unsigned begun, wanted, turns;
};

static void begin(struct asker *a)
{
    while (a->begun < a->wanted) {
        if (store_share_may_begin(&a->share, a->len) == 0) {
            store_share_await(&a->share, a->len);
            return;
        }
        a->begun++;
        store_share_promise(&a->share, a->begun * (uint64_t)a->len);
    }
}

static void on_room(struct store_share *s)
{
    struct asker *a = TARN_OUTER(s, struct asker, share);
    a->turns++;
    begin(a);
}

static int64_t never(struct store_share *s)
{
    (void)s;
    return INT64_MAX;
}

static void join(struct asker *a, struct store_budget *b, size_t len, unsigned wanted)
{
    *a = (struct asker){ .len = len, .wanted = wanted };
    a->share.on_room = on_room;
    a->share.waits_since = never;
    store_share_join(&a->share, b);
}

static void end_some(struct asker *a, unsigned n)
{
    assert_true(n <= a->begun);
    a->wanted -= n;
    a->begun -= n;
    store_share_promise(&a->share, a->begun * (uint64_t)a->len);
}

static void test_buffers_are_kept_within_the_limit(void **state)
{
    (void)state;
    struct store_budget b;
    struct asker a;
    bool is_full;
    struct loop *l = stopped_loop();
    store_budget_init(&b, l, 1 << 20);
    join(&a, &b, 1 << 18, 0);
    uint8_t *four[4], *at;
    for (int i = 0; i < 4; i++)
        assert_non_null(four[i] = store_share_take(&a.share, 1 << 18, &is_full));
    assert_null(store_share_take(&a.share, 16384, &is_full));
    assert_true(is_full);
    for (int i = 0; i < 4; i++)
        store_share_give(&a.share, four[i], 1 << 18);
    assert_int_equal(b.used, 0);
    assert_int_equal(b.kept, 1 << 20);
    assert_ptr_equal(at = store_share_take(&a.share, 1 << 18, &is_full), four[3]); /* the hot one */
    store_share_give(&a.share, at, 1 << 18);
    at =
        store_share_take(&a.share, 1 << 17, &is_full); /* another length: what is kept makes room */
    assert_non_null(at);
    assert_true(b.used + b.kept <= b.limit);
    store_budget_tick(&b, stopped_us); /* three were not needed since the beginning */
    store_budget_tick(&b, stopped_us);
    assert_int_equal(b.kept, 0);
    assert_int_equal(b.most, 1 << 20);
    store_share_give(&a.share, at, 1 << 17);
    store_share_leave(&a.share);
    store_budget_release(&b);
    loop_free(l);
}

static void test_turns(void **state)
{
    (void)state;
    struct store_budget b;
    struct asker greedy, small, large;
    struct loop *l = stopped_loop();
    store_budget_init(&b, l, 1 << 20); /* 128 KiB of it are not promised */
    join(&greedy, &b, 1 << 16, 100);
    begin(&greedy);
    assert_int_equal(greedy.begun, 14);
    join(&large, &b, 1 << 18, 1);
    join(&small, &b, 1 << 14, 1);
    begin(&large);
    begin(&small);
    assert_true(large.begun == 0 && small.begun == 0);
    end_some(&greedy,
             1); /* enough for two small ones, but the greedy one and the large come first */
    assert_true(loop_turn(l, 0, NULL));
    assert_int_equal(greedy.begun, 14); /* it stood in line before them */
    end_some(&greedy, 3);
    assert_true(loop_turn(l, 0, NULL));
    assert_true(greedy.begun == 11 && large.begun == 0 &&
                small.begun == 0); /* large is waited for */
    end_some(&greedy, 2);
    for (int i = 0; i < 5; i++)
        assert_true(loop_turn(l, 0, NULL));
    assert_true(large.begun == 1 && small.begun == 1);
    assert_int_equal(b.promised, (1 << 18) + (1 << 14) + greedy.begun * (1 << 16));
    assert_true(b.promised <= (1 << 20) - (1 << 17));
    store_share_leave(&greedy.share);
    store_share_leave(&large.share);
    store_share_leave(&small.share);
    assert_int_equal(b.promised, 0);
    store_budget_release(&b);
    loop_free(l);
}

/* Many torrents, one budget. Each begins pieces in order and brings their blocks at random; some
 * pieces stall when a few of their blocks have come, and stay so until nothing else is left. The
 * budget is never passed, and all others finish without them. */

enum { TORRENTS = 5, PIECES_MAX = 40, SECOND_US = 1000 * 1000 };

struct model {
    struct room room;
    struct store_tree *tree;
    struct store_places *places;
    struct store_budget *budget;
    uint32_t next; /* the first piece that is not begun */
    uint32_t n_written;
    bool is_paused; /* FULL was said: the connection is not read */
    struct progress {
        bool is_begun, stalls, is_written;
        uint32_t n_blocks, n_here;
    } of[PIECES_MAX];
};

static void tell_begun(struct model *m)
{
    uint64_t blocks = 0;
    for (uint32_t i = 0; i < m->next; i++)
        if (m->of[i].is_begun && !m->of[i].is_written &&
            m->of[i].n_blocks <= store_places_hold_max(m->places))
            blocks += m->of[i].n_blocks;
    store_places_begun(m->places, blocks);
}

static void model_hashed(void *arg, uint32_t piece, const struct store_hashes *h,
                         const struct tarn_err *err)
{
    struct model *m = arg;
    uint8_t sha1[20];
    const struct store_layout *l = &m->room.layout;
    assert_null(err);
    crypt_hash(
        CRYPT_SHA1,
        tarn_bytes_of(m->room.bytes + (uint64_t)piece * l->piece_len, store_piece_len(l, piece)),
        sha1);
    assert_memory_equal(h->sha1, sha1, 20);
    store_piece_write(m->places, piece);
}

static void model_written(void *arg, uint32_t piece, const struct tarn_err *err)
{
    struct model *m = arg;
    assert_null(err);
    assert_false(m->of[piece].is_written);
    m->of[piece].is_written = true;
    m->n_written++;
    tell_begun(m);
}

static void begin_more(struct model *m, uint64_t *seed)
{
    uint32_t n_under_way = m->next - m->n_written;
    while (m->next < m->room.layout.n_pieces && n_under_way < 12) {
        if (store_places_may_begin(m->places) == 0) {
            store_places_await(m->places);
            return;
        }
        struct progress *q = &m->of[m->next];
        q->is_begun = true;
        q->stalls = test_rand_below(seed, 4) == 0;
        q->n_blocks =
            (uint32_t)tarn_div_up_u64(store_piece_len(&m->room.layout, m->next), STORE_BLOCK);
        m->next++;
        n_under_way++;
        tell_begun(m);
    }
}

static void model_room(void *arg)
{
    struct model *m = arg;
    m->is_paused = false;
    uint64_t seed = m->next;
    begin_more(m, &seed);
}

/* Returns whether a block came. */
static bool bring_one(struct model *m, uint32_t piece, bool may_stall)
{
    struct progress *q = &m->of[piece];
    const struct store_layout *l = &m->room.layout;
    uint32_t begin = q->n_here * STORE_BLOCK;
    if (m->is_paused || !q->is_begun || q->n_here == q->n_blocks ||
        (may_stall && q->stalls && q->n_here > piece % q->n_blocks))
        return false;
    uint32_t len = (uint32_t)tarn_min_u64(STORE_BLOCK, store_piece_len(l, piece) - begin);
    uint8_t *at;
    enum store_place_answer answer = store_place(m->places, piece, begin, len, &at);
    assert_true(m->budget->used + m->budget->kept <= m->budget->limit);
    m->is_paused = answer == STORE_PLACE_FULL;
    if (m->is_paused)
        return false;
    assert_int_equal(answer, STORE_PLACE_OK);
    memcpy(at, m->room.bytes + (uint64_t)piece * l->piece_len + begin, len);
    store_commit(m->places, piece, begin, len);
    q->n_here++;
    return true;
}

static bool is_stuck(const struct model *m)
{
    for (uint32_t i = 0; i < m->room.layout.n_pieces; i++)
        if (!m->of[i].is_written && (!m->of[i].is_begun || !m->of[i].stalls))
            return false;
    return true;
}

static bool all_stuck(const struct model *m)
{
    for (int i = 0; i < TORRENTS; i++)
        if (!is_stuck(&m[i]))
            return false;
    return true;
}

static bool all_written(const struct model *m)
{
    for (int i = 0; i < TORRENTS; i++)
        if (m[i].n_written < m[i].room.layout.n_pieces)
            return false;
    return true;
}

static void second(struct loop *l, struct store_budget *b, struct model *m, uint64_t *seed,
                   bool may_stall)
{
    for (int i = 0; i < TORRENTS * 20; i++) {
        struct model *one = &m[test_rand_below(seed, TORRENTS)];
        begin_more(one, seed);
        uint32_t first = (uint32_t)test_rand_below(seed, one->room.layout.n_pieces);
        for (uint32_t k = 0; k < one->next; k++)
            if (bring_one(one, (first + k) % one->next, may_stall))
                break;
        assert_true(loop_turn(l, 0, NULL));
    }
    stopped_us += SECOND_US;
    for (int i = 0; i < TORRENTS; i++)
        while (store_places_busy(m[i].places))
            assert_true(loop_turn(l, 1000, NULL));
    store_budget_tick(b, stopped_us);
}

static void share_one_budget(uint64_t *seed, uint64_t limit)
{
    static const struct store_places_ops ops = { .on_hashed = model_hashed,
                                                 .on_written = model_written,
                                                 .on_room = model_room };
    struct store_budget b;
    static struct model m[TORRENTS];
    struct loop *l = stopped_loop();
    store_budget_init(&b, l, limit);
    memset(m, 0, sizeof m);
    for (int i = 0; i < TORRENTS; i++) {
        char folder[8];
        struct room_file file = { .len = test_rand_below(seed, 1 << 20) + 1 };
        uint32_t piece_len = (uint32_t)(32768U << test_rand_below(seed, 4));
        room_make(&m[i].room, piece_len, &file, 1);
        assert_true(m[i].room.layout.n_pieces <= PIECES_MAX);
        snprintf(folder, sizeof folder, "t%d", i);
        m[i].tree = store_tree_create(&m[i].room.layout, folder, NULL);
        m[i].budget = &b;
        struct store_places_settings set = { .loop = l,
                                             .tree = m[i].tree,
                                             .layout = &m[i].room.layout,
                                             .budget = &b,
                                             .want_v1 = true,
                                             .ops = &ops,
                                             .arg = &m[i] };
        m[i].places = store_places_new(&set, NULL);
        assert_true(m[i].tree != NULL && m[i].places != NULL);
    }
    /* Each block needs a second at the most, and each piece that stalls the time of a spill. */
    const int64_t late_us = stopped_us + (int64_t)TORRENTS * 200 * STORE_STALL_US;
    while (!all_stuck(m)) {
        assert_true(stopped_us < late_us);
        second(l, &b, m, seed, true);
    }
    while (!all_written(m)) {
        assert_true(stopped_us < late_us);
        second(l, &b, m, seed, false);
    }
    assert_true(b.most <= b.limit);
    for (int i = 0; i < TORRENTS; i++) {
        const struct store_layout *layout = &m[i].room.layout;
        uint8_t *got = tarn_calloc(layout->total, 1);
        assert_true(store_tree_read(m[i].tree, 0,
                                    (struct tarn_bytes_mut){ got, (size_t)layout->total }, NULL));
        assert_memory_equal(got, m[i].room.bytes, layout->total);
        tarn_free(got);
        store_places_free(m[i].places);
        store_tree_free(m[i].tree);
        room_release(&m[i].room);
    }
    assert_true(b.used == 0 && b.promised == 0);
    store_budget_release(&b);
    loop_free(l);
    test_folder_empty(AT_FDCWD);
}

static void test_stalled_pieces_hold_nobody_up(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (unsigned turn = 0; turn < 12; turn++)
        share_one_budget(&seed, (uint64_t)(64 << 10) << turn % 5);
}

TEST_MAIN(IN_ROOM(test_buffers_are_kept_within_the_limit), IN_ROOM(test_turns),
          IN_ROOM(test_stalled_pieces_hold_nobody_up))
