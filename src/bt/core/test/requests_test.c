#include "bt/core/requests.h"

#include "base/test/test.h"

enum { SECOND = 1000 * 1000 };

static struct bt_request block(uint32_t i)
{
    return (struct bt_request){ i / 4, i % 4 * BT_BLOCK, BT_BLOCK };
}

/* The same rules, as plainly as they can be said. */
struct model {
    struct {
        enum { NO, OPEN, LATE, CANCELED, VOID } state;
        bool untold;
        int64_t at;
    } v[256];
    uint32_t n_open, unasked, rejects;
    bool has_fast, is_choked;
};

static void check(const struct bt_requests *q, const struct model *m)
{
    uint32_t n = 0, open = 0;
    for (uint32_t i = 0; i < TARN_COUNT_OF(m->v); i++) {
        n += m->v[i].state != NO;
        open += m->v[i].state == OPEN;
    }
    assert_int_equal(q->n, n);
    assert_int_equal(q->n_open, open);
    assert_true((q->asked == NULL) == (n == 0));
    assert_int_equal(q->unasked, m->unasked);
}

static void tell(struct bt_requests *q, struct model *m, int64_t now)
{
    struct bt_request r;
    if (q->n_open > 0 && now >= bt_requests_wake(q))
        for (uint32_t i = 0; i < TARN_COUNT_OF(m->v); i++)
            if (m->v[i].state == OPEN) {
                m->v[i].state = LATE;
                m->v[i].untold = true;
                m->v[i].at = now;
            }
    while (bt_requests_next_lost(q, now, &r)) {
        uint32_t i = r.piece * 4 + r.begin / BT_BLOCK;
        assert_true(m->v[i].untold);
        m->v[i].untold = false;
        if (m->v[i].state == VOID)
            m->v[i].state = NO;
    }
    for (uint32_t i = 0; i < TARN_COUNT_OF(m->v); i++) {
        assert_false(m->v[i].untold);
        if (m->v[i].state != NO && m->v[i].state != OPEN && now - m->v[i].at >= BT_LATE_US)
            m->v[i].state = NO;
    }
}

static void void_model(struct model *m)
{
    for (uint32_t i = 0; i < TARN_COUNT_OF(m->v); i++) {
        if (m->v[i].state == OPEN)
            m->v[i].untold = true;
        m->v[i].state = m->v[i].untold ? VOID : NO;
    }
}

static void cancel(struct bt_requests *q, struct model *m, uint32_t i, int64_t now)
{
    struct bt_request r = block(i);
    bool sent = m->v[i].state == OPEN || m->v[i].state == LATE;
    assert_int_equal(bt_requests_cancel(q, &r, now), sent);
    if (sent) {
        m->v[i].state = CANCELED;
        m->v[i].at = now;
    }
}

static void reject(struct bt_requests *q, struct model *m, uint32_t i)
{
    struct bt_request r = block(i);
    enum bt_rejection want = m->v[i].state == NO     ? BT_REJECT_UNASKED
                             : m->v[i].state == OPEN ? BT_REJECT_LOST
                                                     : BT_REJECT_CANCELED;
    if (want == BT_REJECT_LOST && !m->is_choked && ++m->rejects > BT_REJECTS_MAX)
        want = BT_REJECT_TOO_MANY;
    assert_int_equal(bt_requests_rejected(q, &r), want);
    m->v[i].state = NO;
}

static void arrive(struct bt_requests *q, struct model *m, uint32_t i, int64_t now)
{
    struct bt_request r = block(i);
    enum bt_arrival want = m->v[i].state == NO         ? BT_UNASKED
                           : m->v[i].state == CANCELED ? BT_CANCELED
                                                       : BT_ASKED;
    if (want == BT_UNASKED && m->unasked >= BT_UNASKED_MAX)
        want = BT_TOO_MANY;
    m->unasked += want == BT_UNASKED;
    assert_int_equal(bt_requests_arrive(q, &r, now), want);
    m->v[i].state = NO;
}

static void act(struct bt_requests *q, struct model *m, uint64_t *seed, int64_t now)
{
    uint32_t i = (uint32_t)test_rand_below(seed, TARN_COUNT_OF(m->v));
    struct bt_request r = block(i);
    switch (test_rand_below(seed, 40)) {
    case 0:
        m->is_choked = true;
        bt_requests_choked(q);
        if (!m->has_fast)
            void_model(m);
        break;
    case 1:
    case 2:
        m->is_choked = false;
        bt_requests_unchoked(q, now);
        break;
    case 3:
        bt_requests_drop_piece(q, r.piece);
        for (uint32_t k = r.piece * 4; k < r.piece * 4 + 4 && !m->has_fast; k++)
            if (m->v[k].state == OPEN) {
                m->v[k].state = VOID;
                m->v[k].untold = true;
            }
        break;
    case 4:
    case 5:
    case 6:
        cancel(q, m, i, now);
        break;
    case 7:
    case 8:
    case 9:
        reject(q, m, i);
        break;
    case 10:
    case 11:
    case 12:
    case 13:
        arrive(q, m, i, now);
        break;
    default:
        if (m->v[i].state == NO && bt_requests_room(q) > 0) {
            assert_true(bt_requests_add(q, &r, now));
            m->v[i].state = OPEN;
        }
        break;
    }
}

static void test_against_model(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int round = 0; round < 40; round++) {
        struct bt_requests q;
        struct model m = { .has_fast = round % 2 == 0, .is_choked = true };
        bt_requests_init(&q, m.has_fast);
        int64_t now = 1;
        for (int step = 0; step < 3000; step++) {
            bool slow = test_rand_below(&seed, 100) == 0;
            now += (int64_t)test_rand_below(&seed, slow ? 30 * SECOND : SECOND / 20);
            act(&q, &m, &seed, now / 16 * 16);
            tell(&q, &m, now / 16 * 16);
            check(&q, &m);
        }
        bt_requests_close(&q);
        void_model(&m);
        tell(&q, &m, now);
        check(&q, &m);
        assert_null(q.asked);
        bt_requests_release(&q);
    }
}

/* A peer at the end of a line: so many bytes a second, so long a round trip. */
static uint64_t run_line(struct bt_requests *q, uint64_t bps, int64_t rtt_us, int64_t span_us)
{
    static int64_t due[BT_DEPTH_MAX + 1];
    uint32_t asked = 0, answered = 0;
    int64_t now = 1000, line_free = 0, end = now + span_us;
    uint64_t bytes = 0;
    bt_requests_unchoked(q, now);
    for (;;) {
        while (bt_requests_room(q) > 0) {
            struct bt_request r = { asked, 0, BT_BLOCK };
            assert_true(bt_requests_add(q, &r, now));
            int64_t start = now + rtt_us > line_free ? now + rtt_us : line_free;
            line_free = start + (int64_t)(BT_BLOCK * (uint64_t)SECOND / bps);
            due[asked++ % TARN_COUNT_OF(due)] = line_free;
        }
        now = due[answered % TARN_COUNT_OF(due)];
        if (now > end)
            return bytes;
        struct bt_request r = { answered++, 0, BT_BLOCK };
        assert_int_equal(bt_requests_arrive(q, &r, now), BT_ASKED);
        bt_requests_progress(q, BT_BLOCK, now);
        bytes += BT_BLOCK;
        struct bt_request lost;
        assert_false(bt_requests_next_lost(q, now, &lost));
    }
}

static void test_depth_fills_the_line(void **state)
{
    (void)state;
    static const struct {
        uint64_t bps;
        int64_t rtt_ms;
        uint32_t least, most; /* depth at the end */
    } lines[] = {
        { 20 * 1000, 50, BT_DEPTH_MIN, 10 },   { 1000 * 1000, 20, 60, 80 },
        { 10 * 1000 * 1000, 100, 600, 760 },   { 20 * 1000 * 1000, 300, 1300, 2048 },
        { 1000 * 1000 * 1000, 1, 1000, 2048 },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(lines); i++) {
        struct bt_requests q;
        bt_requests_init(&q, true);
        bt_requests_set_reqq(&q, 2048);
        (void)run_line(&q, lines[i].bps, lines[i].rtt_ms * 1000, 10 * SECOND);
        if (q.depth < lines[i].least || q.depth > lines[i].most)
            fail_msg("line %zu: depth %u", i, q.depth);
        struct bt_requests again;
        bt_requests_init(&again, true);
        bt_requests_set_reqq(&again, 2048);
        uint64_t bytes = run_line(&again, lines[i].bps, lines[i].rtt_ms * 1000, 10 * SECOND);
        if (bytes < lines[i].bps * 8) /* of 10 s, with the slow start */
            fail_msg("line %zu: %llu bytes", i, (unsigned long long)bytes);
        bt_requests_release(&q);
        bt_requests_release(&again);
    }
}

static void test_snub(void **state)
{
    (void)state;
    struct bt_requests q;
    bt_requests_init(&q, false);
    bt_requests_unchoked(&q, 0);
    assert_int_equal(bt_requests_wake(&q), INT64_MAX);
    for (uint32_t i = 0; i < BT_DEPTH_MIN; i++) {
        struct bt_request r = block(i);
        assert_true(bt_requests_add(&q, &r, 1000));
    }
    assert_int_equal(bt_requests_room(&q), 0);
    assert_int_equal(bt_requests_wake(&q), 1000 + BT_SNUB_US);
    struct bt_request r;
    assert_false(bt_requests_next_lost(&q, 1000 + BT_SNUB_US - 1, &r));
    int64_t now = 1000 + BT_SNUB_US;
    for (uint32_t i = 0; i < BT_DEPTH_MIN; i++) {
        struct bt_request want = block(i);
        assert_true(bt_requests_next_lost(&q, now, &r));
        assert_true(bt_request_eq(&r, &want));
    }
    assert_false(bt_requests_next_lost(&q, now, &r));
    assert_true(q.is_snubbed);
    assert_int_equal(bt_requests_room(&q), 1);
    r = block(100);
    assert_true(bt_requests_add(&q, &r, now));
    assert_int_equal(bt_requests_room(&q), 0);
    /* a late block is one that we asked for, and ends the snub */
    r = block(3);
    assert_int_equal(bt_requests_arrive(&q, &r, now + 5), BT_ASKED);
    assert_false(q.is_snubbed);
    assert_int_equal(bt_requests_room(&q), BT_DEPTH_MIN - 1);
    /* the others are forgotten in the end */
    bt_requests_choked(&q);
    assert_true(bt_requests_next_lost(&q, now, &r));
    assert_false(bt_requests_next_lost(&q, now, &r));
    assert_null(q.asked);
    bt_requests_release(&q);
}

static void test_reqq(void **state)
{
    (void)state;
    struct bt_requests q;
    bt_requests_init(&q, true);
    bt_requests_set_reqq(&q, 3);
    assert_int_equal(bt_requests_room(&q), 3);
    bt_requests_set_reqq(&q, 0);
    assert_int_equal(bt_requests_room(&q), BT_DEPTH_MIN);
    q.depth = BT_DEPTH_MAX;
    assert_int_equal(bt_requests_room(&q), BT_REQQ_SILENT);
    bt_requests_set_reqq(&q, UINT16_MAX);
    assert_int_equal(bt_requests_room(&q), BT_DEPTH_MAX);
    for (uint32_t i = 0, room = bt_requests_room(&q); i < room; i++) {
        struct bt_request r = block(i);
        assert_true(bt_requests_add(&q, &r, 1));
    }
    assert_int_equal(q.n, BT_DEPTH_MAX);
    for (uint32_t i = 0; i < BT_DEPTH_MAX / 8; i++) { /* an eighth goes out at once */
        struct bt_request r = block(i);
        assert_int_equal(bt_requests_room(&q), 0);
        assert_int_equal(bt_requests_arrive(&q, &r, 2), BT_ASKED);
    }
    assert_int_equal(bt_requests_room(&q), BT_DEPTH_MAX / 8);
    bt_requests_release(&q);
}

/* As many refusals as may be; while choked they do not count. */
static void test_too_many_rejects(void **state)
{
    (void)state;
    struct bt_requests q;
    struct bt_request r = block(1);
    bt_requests_init(&q, true);
    for (int i = 0; i < 2 * BT_REJECTS_MAX; i++) {
        assert_true(bt_requests_add(&q, &r, 1));
        assert_int_equal(bt_requests_rejected(&q, &r), BT_REJECT_LOST);
    }
    bt_requests_unchoked(&q, 1);
    for (int i = 0; i <= BT_REJECTS_MAX; i++) {
        assert_true(bt_requests_add(&q, &r, 1));
        assert_int_equal(bt_requests_rejected(&q, &r),
                         i < BT_REJECTS_MAX ? BT_REJECT_LOST : BT_REJECT_TOO_MANY);
    }
    bt_requests_release(&q);
}

/* Taking back begins beyond four times the depth, with the newest, and goes on down to twice. */
static void test_surplus(void **state)
{
    (void)state;
    struct bt_requests q;
    struct bt_request r;
    uint32_t n = 0;
    bt_requests_init(&q, true);
    bt_requests_unchoked(&q, 1);
    q.is_starting = false; /* in the slow start the depth is a guess */
    for (int round = 0; round < 2; round++) {
        while (q.n_open < 4 * BT_DEPTH_MIN) {
            r = block(n++);
            assert_true(bt_requests_add(&q, &r, 1));
        }
        assert_false(bt_requests_next_surplus(&q, 1, &r));
        r = block(n++);
        assert_true(bt_requests_add(&q, &r, 1));
        for (uint32_t i = 1; q.n_open > 2 * BT_DEPTH_MIN; i++) {
            struct bt_request want = block(n - i);
            assert_true(bt_requests_next_surplus(&q, 1, &r));
            assert_true(bt_request_eq(&r, &want));
        }
        assert_false(bt_requests_next_surplus(&q, 1, &r));
    }
    bt_requests_release(&q);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct bt_requests q;
    struct bt_request r = block(1);
    bt_requests_init(&q, true);
    test_mem_fail_after(0);
    bool ok = bt_requests_add(&q, &r, 1);
    test_mem_normal();
    assert_false(ok);
    assert_int_equal(q.n, 0);
    assert_true(bt_requests_add(&q, &r, 1));
    bt_requests_release(&q);
}

TEST_MAIN(cmocka_unit_test(test_against_model), cmocka_unit_test(test_depth_fills_the_line),
          cmocka_unit_test(test_snub), cmocka_unit_test(test_reqq),
          cmocka_unit_test(test_too_many_rejects), cmocka_unit_test(test_surplus),
          cmocka_unit_test(test_no_memory))
