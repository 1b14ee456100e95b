/* The limiter on lines of all kinds, in simulated time. Each figure is a bound, and is printed. */
#include "bt/core/uplink.h"

#include "base/test/test.h"
#include "bt/core/test/line.h"

enum { MBIT = 1000 * 1000 / 8 };

static void tell(const struct line *l, const char *what)
{
    printf("# %s: %.1f %% of %.1f Mbit/s, queue %.1f ms mean, %.0f worst, limit %.2f\n", what,
           line_use(l), (double)l->bps / MBIT, line_mean_ms(l), (double)l->queue_worst_us / MS,
           (double)l->u.limit_bps / MBIT);
}

static struct line *home(bool has_limiter, uint32_t n_flows)
{
    struct line *l = line_new(20 * MBIT, 1 << 20, has_limiter);
    for (uint32_t i = 0; i < n_flows; i++)
        line_add(l, 20 * MS + (int64_t)i * 7 * MS);
    return l;
}

static void keeps_a_home_line_free(void **state)
{
    (void)state;
    static const uint32_t flows[] = { 1, 2, 5, 30 };
    for (size_t i = 0; i < TARN_COUNT_OF(flows); i++) {
        double with = 0, without = 0;
        for (int limiter = 0; limiter < 2; limiter++) {
            struct line *l = home(limiter == 1, flows[i]);
            line_run(l, 10 * SECOND);
            line_measure(l);
            line_run(l, 60 * SECOND);
            tell(l, limiter == 1 ? "home, limited" : "home, open");
            *(limiter == 1 ? &with : &without) = line_mean_ms(l);
            assert_true(line_use(l) > 94);
            if (limiter == 1)
                assert_true(l->queue_worst_us < 120 * MS);
            tarn_free(l);
        }
        assert_true(without > 150 && with < 30);
    }
}

/* TCP's own window ends before the line is full: nothing waits, and nothing is limited. */
static void leaves_a_free_line_alone(void **state)
{
    (void)state;
    struct line *l = line_new(100 * MBIT, 1 << 20, true);
    for (uint32_t i = 0; i < 4; i++)
        line_add(l, 5 * MS + i * 30 * MS)->far_bps = 20 * MBIT;
    l->flows[3].is_on = false; /* three of them take 60 */
    line_run(l, 5 * SECOND);
    l->flows[0].far_bps = 0;
    l->flows[0].wants_bps = 10 * MBIT; /* one that has no queue of its own */
    line_measure(l);
    line_run(l, 60 * SECOND);
    tell(l, "not full");
    assert_true(line_use(l) > 48);
    tarn_free(l);
}

/* Round trips below a millisecond do not cross the line, however long they become. */
static void near_peers_are_no_sign(void **state)
{
    (void)state;
    struct bt_uplink u;
    struct bt_uplink_peer p = { 0 };
    bt_uplink_init(&u);
    for (int64_t i = 1; i <= 100; i++) {
        struct bt_uplink_sample s = { &p, (uint64_t)i << 24, 0, i < 5 ? 300 : 80 * MS, 100 };
        bt_uplink_round(&u, &s, 1, SECOND + i * BT_UPLINK_ROUND_US);
        assert_true(bt_uplink_is_near(&p));
        assert_int_equal(u.limit_bps, 0);
    }
}

static void follows_the_lines_rate(void **state)
{
    (void)state;
    static const uint64_t mbits[] = { 20, 5, 20, 2, 40, 10 };
    struct line *l = home(true, 4);
    for (size_t i = 0; i < TARN_COUNT_OF(mbits); i++) {
        l->bps = mbits[i] * MBIT;
        line_run(l, 30 * SECOND); /* a full queue is four seconds of the slowest */
        line_measure(l);
        line_run(l, 30 * SECOND);
        tell(l, "changing");
        assert_true(line_use(l) > 90 && line_mean_ms(l) < 80);
    }
    tarn_free(l);
}

/* Somebody in the house fills the queue: we make room, and take it back afterwards. */
static void makes_room(void **state)
{
    (void)state;
    struct line *l = home(true, 4);
    line_run(l, 20 * SECOND);
    struct flow *house = line_add(l, 30 * MS);
    house->is_house = true;
    line_run(l, 15 * SECOND);
    line_measure(l);
    line_run(l, 40 * SECOND);
    tell(l, "while the house sends");
    uint64_t all = l->ours + l->theirs;
    assert_true(l->theirs > all / 100 * 85);
    assert_true(l->ours / 40 > BT_UPLINK_FLOOR_BPS);
    house->is_on = false;
    line_run(l, 30 * SECOND);
    line_measure(l);
    line_run(l, 20 * SECOND);
    tell(l, "and when it has done");
    assert_true(line_use(l) > 92);
    tarn_free(l);
}

/* A call needs little, and should hear no queue. */
static void a_call_has_room(void **state)
{
    (void)state;
    struct line *l = home(true, 4);
    line_run(l, 10 * SECOND);
    struct flow *call = line_add(l, 30 * MS);
    call->is_house = true;
    call->wants_bps = 1 * MBIT;
    line_measure(l);
    line_run(l, 30 * SECOND);
    tell(l, "beside a call");
    assert_true(l->theirs > 30 * 100 * 1000 && line_mean_ms(l) < 35 && line_use(l) > 80);
    tarn_free(l);
}

/* One peer's own line is slow and full: that is not ours. */
static void a_slow_peer_slows_nobody(void **state)
{
    (void)state;
    struct line *l = home(true, 6);
    l->flows[2].far_bps = MBIT / 4;
    line_run(l, 15 * SECOND);
    line_measure(l);
    line_run(l, 40 * SECOND);
    tell(l, "one slow peer of six");
    assert_true(line_use(l) > 93 && line_mean_ms(l) < 40);

    /* Alone it is taken for the line; when others come that is soon seen. */
    for (uint32_t i = 0; i < 6; i++)
        l->flows[i].is_on = i == 2;
    line_run(l, 60 * SECOND);
    for (uint32_t i = 0; i < 6; i++)
        l->flows[i].is_on = true;
    line_run(l, 20 * SECOND);
    line_measure(l);
    line_run(l, 40 * SECOND);
    tell(l, "and after it was alone");
    assert_true(line_use(l) > 93 && line_mean_ms(l) < 40);
    tarn_free(l);
}

/* The way becomes longer for all: after some minutes that is known to be no queue. */
static void a_new_route_is_learnt(void **state)
{
    (void)state;
    struct line *l = home(true, 3);
    line_run(l, 60 * SECOND);
    for (uint32_t i = 0; i < 3; i++)
        l->flows[i].base_us += 60 * MS;
    line_measure(l);
    line_run(l, 60 * SECOND);
    tell(l, "a longer way, at first");
    assert_true(line_use(l) > 2);
    line_run(l, 240 * SECOND);
    line_measure(l);
    line_run(l, 60 * SECOND);
    tell(l, "five minutes later");
    assert_true(line_use(l) > 93 && line_mean_ms(l) < 40);
    tarn_free(l);
}

/* What was learnt holds over a pause: the queue does not fill again first. */
static void wakes_gently(void **state)
{
    (void)state;
    struct line *l = home(true, 3);
    line_run(l, 20 * SECOND);
    for (uint32_t i = 0; i < 3; i++)
        l->flows[i].is_on = false;
    line_run(l, 120 * SECOND);
    for (uint32_t i = 0; i < 3; i++)
        l->flows[i].is_on = true;
    line_measure(l);
    line_run(l, 5 * SECOND);
    tell(l, "after a pause");
    assert_true(l->queue_worst_us < 120 * MS && line_use(l) > 85);
    tarn_free(l);
}

static void holds_on_any_line(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int round = 0; round < 60; round++) {
        /* half a megabit to a hundred, evenly over the scale; a tenth of a second to one of queue
         */
        uint64_t bps = MBIT / 2;
        for (uint64_t k = test_rand_below(&seed, 8); k > 0; k--)
            bps *= 2;
        bps += test_rand_below(&seed, bps);
        uint64_t queue = tarn_max_u64(bps / 10 + test_rand_below(&seed, bps), 64 << 10);
        struct line *l = line_new(bps, queue, true);
        uint64_t slots = 4 + bps / MBIT; /* slow lines have few */
        for (uint64_t k = 1 + test_rand_below(&seed, slots < 20 ? slots : 20); k > 0; k--)
            line_add(l, 5 * MS + (int64_t)test_rand_below(&seed, 200) * MS);
        line_run(l, 60 * SECOND);
        line_measure(l);
        line_run(l, 60 * SECOND);
        tell(l, "any");
        double block_ms = 1000.0 * BT_BLOCK / (double)bps;
        assert_true(line_use(l) > 85);
        assert_true(line_mean_ms(l) < 100 + 2 * block_ms);
        tarn_free(l);
    }
}

TEST_MAIN(cmocka_unit_test(keeps_a_home_line_free), cmocka_unit_test(leaves_a_free_line_alone),
          cmocka_unit_test(near_peers_are_no_sign), cmocka_unit_test(follows_the_lines_rate),
          cmocka_unit_test(makes_room), cmocka_unit_test(a_call_has_room),
          cmocka_unit_test(a_slow_peer_slows_nobody), cmocka_unit_test(a_new_route_is_learnt),
          cmocka_unit_test(wakes_gently), cmocka_unit_test(holds_on_any_line))
