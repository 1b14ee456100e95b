/* Who is banned stays so under another port, neighbours do not suffer, and the list has an end. */
#include "bt/core/bans.h"

#include "base/test/test.h"

static struct bt_addr v4(uint32_t ip, uint16_t port)
{
    return (struct bt_addr){
        .ip = { (uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip },
        .port = port,
    };
}

static const uint8_t seed[16] = { 1 };

static void far_ones_by_address(void **state)
{
    (void)state;
    struct bt_bans b;
    struct bt_addr bad = v4(0x01020304, 1), other_port = v4(0x01020304, 2),
                   other = v4(0x01020305, 1);
    bt_bans_init(&b, seed);
    assert_false(bt_bans_has(&b, &bad, false));
    bt_bans_add(&b, &bad, false);
    bt_bans_add(&b, &other_port, false); /* the same */
    assert_int_equal(b.n, 1);
    assert_true(bt_bans_has(&b, &other_port, false));
    assert_false(bt_bans_has(&b, &other, false));

    struct bt_addr v6 = { .ip = { 0x20, 1, 2, 3, 4, 5, 6, 7, 8 }, .port = 5, .is_v6 = true };
    struct bt_addr same_net = v6, other_net = v6;
    same_net.ip[15] = 9;
    other_net.ip[7] = 8;
    bt_bans_add(&b, &v6, false);
    assert_true(bt_bans_has(&b, &same_net, false));
    assert_false(bt_bans_has(&b, &other_net, false));
    bt_bans_release(&b);
}

static void near_ones_by_port(void **state)
{
    (void)state;
    struct bt_bans b;
    struct bt_addr bad = v4(0x7F000001, 1), other = v4(0x7F000001, 2);
    bt_bans_init(&b, seed);
    bt_bans_add(&b, &bad, true);
    assert_true(bt_bans_has(&b, &bad, true));
    assert_false(bt_bans_has(&b, &other, true));
    bt_bans_release(&b);
}

static void the_oldest_goes(void **state)
{
    (void)state;
    struct bt_bans b;
    bt_bans_init(&b, seed);
    for (uint32_t i = 0; i < BT_BANS_MAX + 10; i++) {
        struct bt_addr a = v4(0x08000000 + i, 1);
        bt_bans_add(&b, &a, false);
    }
    assert_int_equal(b.n, BT_BANS_MAX);
    assert_int_equal(b.by_addr.n, BT_BANS_MAX); /* nor does the table keep it */
    for (uint32_t i = 0; i < BT_BANS_MAX + 10; i++) {
        struct bt_addr a = v4(0x08000000 + i, 7);
        assert_int_equal(bt_bans_has(&b, &a, false), i >= 10);
    }
    bt_bans_release(&b);
}

static void without_memory(void **state)
{
    (void)state;
    struct bt_addr a = v4(0x08080808, 1);
    for (size_t n = 0; n < 3; n++) {
        struct bt_bans b;
        bt_bans_init(&b, seed);
        test_mem_fail_after(n);
        bt_bans_add(&b, &a, false);
        test_mem_normal();
        bt_bans_add(&b, &a, false);
        assert_true(bt_bans_has(&b, &a, false));
        assert_int_equal(b.n, 1);
        bt_bans_release(&b);
    }
}

TEST_MAIN(cmocka_unit_test(far_ones_by_address), cmocka_unit_test(near_ones_by_port),
          cmocka_unit_test(the_oldest_goes), cmocka_unit_test(without_memory))
