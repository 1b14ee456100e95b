/* The useful stay; of the others the most useless go, and no more than were asked for. */
#include "bt/core/turnover.h"

#include "base/test/test.h"

enum { SECOND = 1000000 };

static uint64_t score(int64_t age_s, int64_t idle_s, bool has_interest, bool is_given)
{
    struct bt_tenure t = { age_s * SECOND, idle_s * SECOND, has_interest, is_given };
    return bt_turnover_score(&t);
}

static void who_stays(void **state)
{
    (void)state;
    assert_int_equal(score(10, 10, false, false), 0);    /* came just now */
    assert_int_equal(score(5000, 30, false, false), 0);  /* was of use just now */
    assert_int_equal(score(5000, 5000, false, true), 0); /* the user wants it */
    assert_true(score(5000, 61, true, false) > 0);
}

static void who_goes_first(void **state)
{
    (void)state;
    assert_true(score(5000, 4000, true, false) > score(5000, 3000, true, false));
    assert_true(score(5000, 61, false, false) > score(1000000, 1000000, true, false));
    assert_true(score(5000, 4000, false, false) > score(5000, 3000, false, false));
}

static void the_worst_few(void **state)
{
    (void)state;
    uint64_t chance = test_seed();
    for (unsigned round = 0; round < 500; round++) {
        enum { N = 200 };
        uint64_t scores[N];
        struct bt_turnover t;
        unsigned most = (unsigned)(test_rand(&chance) % (BT_TURNOVER_MAX + 10));
        bt_turnover_begin(&t, most);
        for (size_t i = 0; i < N; i++) {
            scores[i] = test_rand(&chance) % 50;
            bt_turnover_offer(&t, &scores[i], scores[i]);
        }
        assert_true(t.n <= most && t.n <= BT_TURNOVER_MAX);
        for (unsigned i = 0; i < t.n; i++) {
            assert_int_equal(*(uint64_t *)t.worst[i].who, t.worst[i].score);
            assert_true(i == 0 || t.worst[i - 1].score >= t.worst[i].score);
        }
        unsigned above = 0, any = 0;
        for (size_t i = 0; i < N; i++) {
            above += t.n > 0 && scores[i] > t.worst[t.n - 1].score;
            any += scores[i] > 0;
        }
        assert_true(above < t.n || t.n == 0); /* nobody worse was left out */
        assert_true(t.n == most || t.n == BT_TURNOVER_MAX || t.n == any);
    }
}

TEST_MAIN(cmocka_unit_test(who_stays), cmocka_unit_test(who_goes_first),
          cmocka_unit_test(the_worst_few))
