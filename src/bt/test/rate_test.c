/* Limits hold over time, and after a long wait they do not let a flood through. */
#include "bt/rate.h"

#include "base/test/test.h"

enum { SECOND = 1000000, BLOCK = 16384 };

/* Bytes that go in `seconds` when somebody always wants to send blocks and is woken when told. */
static uint64_t sent_in(struct bt_rate *r, int64_t from_us, int64_t seconds)
{
    uint64_t sent = 0;
    int64_t now = from_us;
    while (now < from_us + seconds * SECOND) {
        while (bt_rate_may(r, now)) {
            bt_rate_take(r, BLOCK);
            sent += BLOCK;
        }
        int64_t next = bt_rate_ready_at(r);
        assert_true(next > now);
        now = next;
    }
    return sent;
}

static void keeps_the_limit(void **state)
{
    (void)state;
    static const uint64_t limits[] = { 5000, 100000, 1000000, 500000000 };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct bt_rate r;
        bt_rate_init(&r, limits[i], 7 * SECOND);
        uint64_t want = limits[i] * 20;
        uint64_t got = sent_in(&r, 7 * SECOND, 20);
        assert_true(got <= want + want / 50 + 2 * BLOCK);
        assert_true(got + want / 50 + 2 * BLOCK >= want);
    }
}

static void a_pause_saves_little(void **state)
{
    (void)state;
    struct bt_rate r;
    bt_rate_init(&r, 1000000, 0);
    (void)sent_in(&r, 0, 1);
    uint64_t after = sent_in(&r, 3600LL * SECOND, 1);
    assert_true(after <= 1000000 + (uint64_t)BT_RATE_BURST_US + 2 * BLOCK);
}

static void no_limit(void **state)
{
    (void)state;
    struct bt_rate r;
    bt_rate_init(&r, 0, 0);
    bt_rate_take(&r, UINT64_MAX / 2);
    assert_true(bt_rate_may(&r, 0));
}

static void meter_settles(void **state)
{
    (void)state;
    struct bt_meter m = { 0 };
    for (int s = 1; s <= 30; s++)
        bt_meter_update(&m, (uint64_t)s * 1000000, (int64_t)s * SECOND);
    assert_true(m.bps > 980000 && m.bps < 1020000);
    for (int s = 31; s <= 60; s++)
        bt_meter_update(&m, 30000000, (int64_t)s * SECOND);
    assert_true(m.bps < 1000);
}

TEST_MAIN(cmocka_unit_test(keeps_the_limit), cmocka_unit_test(a_pause_saves_little),
          cmocka_unit_test(no_limit), cmocka_unit_test(meter_settles))
