#include "bt/core/blame.h"

#include "base/test/test.h"

static struct bt_addr host(unsigned n)
{
    return (struct bt_addr){ .ip = { 10, 0, (uint8_t)(n >> 8), (uint8_t)n } };
}

static void put_digest(uint8_t *to, uint32_t piece, uint32_t block, unsigned version)
{
    uint32_t parts[3] = { piece, block, version };
    memset(to, 0, BT_BLAME_DIGEST);
    memcpy(to, parts, sizeof parts);
}

static bool remember(struct bt_blame *b, uint32_t piece, uint32_t block, unsigned version,
                     unsigned who)
{
    uint8_t digest[BT_BLAME_DIGEST];
    struct bt_addr addr = host(who);
    put_digest(digest, piece, block, version);
    return bt_blame_remember(b, piece, block, digest, &addr);
}

static bool strike(struct bt_blame *b, unsigned who)
{
    struct bt_addr addr = host(who);
    return bt_blame_strike(b, &addr);
}

static void test_strikes(void **state)
{
    (void)state;
    struct bt_blame b = { 0 };
    struct bt_addr one = host(1), two = host(2);
    bt_blame_pardon(&b, &one); /* not known: nothing */
    for (int i = 1; i < BT_BLAME_STRIKES; i++)
        assert_false(strike(&b, 1));
    assert_true(bt_blame_suspects(&b, &one) && !bt_blame_suspects(&b, &two));
    bt_blame_pardon(&b, &one);
    bt_blame_pardon(&b, &two);
    assert_false(strike(&b, 1));
    assert_false(strike(&b, 2));
    bt_blame_pardon(&b, &two);
    assert_false(bt_blame_suspects(&b, &two));
    assert_true(strike(&b, 1));
    one.port = 80; /* near hosts differ by their ports, and by families */
    assert_false(bt_blame_strike(&b, &one));
    one.port = 0;
    one.is_v6 = true;
    assert_false(bt_blame_strike(&b, &one));
    bt_blame_release(&b);
}

/* A piece failed twice with blocks of several; when it is good, exactly the liars are told. */
static void test_smart_ban(void **state)
{
    (void)state;
    struct bt_blame b = { 0 };
    struct bt_addr liars[4];
    uint8_t good[4 * BT_BLAME_DIGEST];
    for (uint32_t i = 0; i < 4; i++)
        put_digest(good + i * BT_BLAME_DIGEST, 7, i, 0);
    assert_false(bt_blame_knows(&b, 7));
    assert_false(remember(&b, 7, 0, 0, 1)); /* good, of 1 */
    assert_false(remember(&b, 7, 1, 5, 2)); /* bad, of 2 */
    assert_false(remember(&b, 7, 2, 6, 2)); /* and once more */
    assert_false(remember(&b, 7, 3, 5, 3)); /* bad, of 3 */
    assert_false(remember(&b, 8, 0, 9, 4)); /* another piece */
    assert_false(remember(&b, 7, 0, 0, 1)); /* the same again */
    assert_true(bt_blame_knows(&b, 7));
    size_t n = bt_blame_compare(&b, 7, good, 4, liars, 4);
    assert_int_equal(n, 2);
    assert_int_equal(liars[0].ip[3], 2);
    assert_int_equal(liars[1].ip[3], 3);
    assert_false(bt_blame_knows(&b, 7));
    assert_true(bt_blame_knows(&b, 8));
    assert_int_equal(bt_blame_compare(&b, 7, good, 4, liars, 4), 0);
    bt_blame_release(&b);
}

static void test_two_different_blocks_are_a_lie(void **state)
{
    (void)state;
    struct bt_blame b = { 0 };
    assert_false(remember(&b, 1, 5, 0, 9));
    assert_false(remember(&b, 1, 5, 1, 8)); /* of another: one of them lied, who is not known */
    assert_false(remember(&b, 2, 5, 1, 9)); /* another piece */
    assert_true(remember(&b, 1, 5, 1, 9));
    bt_blame_release(&b);
}

/* More than fits: the oldest goes, and a sender whose place was taken is not blamed for what
 * another sent. */
static void test_bounded(void **state)
{
    (void)state;
    struct bt_blame b = { 0 };
    struct bt_addr liars[4];
    uint8_t good[BT_BLAME_DIGEST];
    assert_false(remember(&b, 0, 0, 1, 0));
    for (uint32_t i = 1; i <= BT_BLAME_BLOCKS; i++)
        assert_false(remember(&b, i, 0, 1, 1));
    assert_false(bt_blame_knows(&b, 0));
    assert_true(bt_blame_knows(&b, 1));
    for (unsigned who = 1000; who < 1000 + BT_BLAME_SENDERS; who++)
        assert_false(strike(&b, who));
    put_digest(good, 1, 0, 0);
    assert_false(bt_blame_knows(&b, 1));
    assert_int_equal(bt_blame_compare(&b, 1, good, 1, liars, 4), 0);
    assert_int_equal(b.n_blocks, BT_BLAME_BLOCKS);
    assert_int_equal(b.n_senders, BT_BLAME_SENDERS);
    bt_blame_release(&b);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct bt_blame b = { 0 };
    test_mem_fail_after(0);
    bool banned = strike(&b, 1), lied = remember(&b, 1, 1, 1, 1);
    test_mem_normal();
    assert_true(!banned && !lied);
    test_mem_fail_after(1);
    lied = remember(&b, 1, 1, 1, 1);
    test_mem_normal();
    assert_false(lied);
    assert_false(bt_blame_knows(&b, 1));
    bt_blame_release(&b);
}

TEST_MAIN(cmocka_unit_test(test_strikes), cmocka_unit_test(test_smart_ban),
          cmocka_unit_test(test_two_different_blocks_are_a_lie), cmocka_unit_test(test_bounded),
          cmocka_unit_test(test_no_memory))
