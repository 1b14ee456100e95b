#include "base/cur.h"

#include "base/test/test.h"

static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static void test_straight_lines(void **state)
{
    (void)state;
    struct tarn_cur c = tarn_cur_of(tarn_bytes_of(bytes, 15));
    assert_int_equal(tarn_cur_u8(&c), 0x01);
    assert_int_equal(tarn_cur_be16(&c), 0x0203);
    assert_int_equal(tarn_cur_be32(&c), 0x04050607);
    assert_false(tarn_cur_done(&c));
    assert_int_equal(tarn_cur_left(&c), 8);
    assert_true(tarn_cur_be64(&c) == 0x08090A0B0C0D0E0F);
    assert_true(tarn_cur_done(&c));
}

static void test_high_bits(void **state)
{
    (void)state;
    uint8_t ones[15];
    memset(ones, 0xFF, sizeof ones);
    struct tarn_cur c = tarn_cur_of(tarn_bytes_of(ones, 15));
    assert_int_equal(tarn_cur_u8(&c), UINT8_MAX);
    assert_int_equal(tarn_cur_be16(&c), UINT16_MAX);
    assert_true(tarn_cur_be32(&c) == UINT32_MAX);
    assert_true(tarn_cur_be64(&c) == UINT64_MAX);
}

/* A number that is only partly there is 0, and stays the last thing that could be read. */
static void test_cut_short(void **state)
{
    (void)state;
    for (size_t len = 0; len < 8; len++) {
        struct tarn_cur c = tarn_cur_of(tarn_bytes_of(bytes, len));
        assert_true(tarn_cur_be64(&c) == 0);
        assert_true(c.bad);
        assert_int_equal(tarn_cur_u8(&c), 0);
        assert_false(tarn_cur_done(&c));
    }
    struct tarn_cur c = tarn_cur_of(tarn_bytes_of(bytes, 3));
    assert_int_equal(tarn_cur_be32(&c), 0);
    c = tarn_cur_of(tarn_bytes_of(bytes, 1));
    assert_int_equal(tarn_cur_be16(&c), 0);
}

static void test_take(void **state)
{
    (void)state;
    struct tarn_cur c = tarn_cur_of(tarn_bytes_of(bytes, 10));
    struct tarn_bytes run = tarn_cur_take(&c, 4);
    assert_ptr_equal(run.p, bytes);
    assert_int_equal(run.len, 4);
    assert_ptr_equal(tarn_cur_rest(&c).p, bytes + 4);
    assert_int_equal(tarn_cur_rest(&c).len, 6);
    assert_int_equal(tarn_cur_take(&c, 0).len, 0);
    assert_false(c.bad);
    run = tarn_cur_take(&c, SIZE_MAX);
    assert_int_equal(run.len, 0);
    assert_true(c.bad);
    assert_int_equal(tarn_cur_take(&c, 1).len, 0);
}

static void test_nothing(void **state)
{
    (void)state;
    struct tarn_cur c = tarn_cur_of(tarn_bytes_of(NULL, 0));
    assert_true(tarn_cur_done(&c));
    assert_int_equal(tarn_cur_take(&c, 0).len, 0);
    assert_true(tarn_cur_done(&c));
    assert_int_equal(tarn_cur_u8(&c), 0);
    assert_false(tarn_cur_done(&c));
}

static void test_order_of_bytes(void **state)
{
    (void)state;
    struct tarn_bytes none = tarn_bytes_of(NULL, 0);
    assert_int_equal(tarn_bytes_cmp(none, none), 0);
    assert_true(tarn_bytes_eq(none, tarn_bytes_str("")));
    assert_true(tarn_bytes_eq_str(tarn_bytes_of("name", 4), "name"));
    assert_false(tarn_bytes_eq_str(tarn_bytes_of("name", 4), "names"));
    assert_true(tarn_bytes_cmp(none, tarn_bytes_str("a")) < 0);
    assert_true(tarn_bytes_cmp(tarn_bytes_str("ab"), tarn_bytes_str("a")) > 0);
    assert_true(tarn_bytes_cmp(tarn_bytes_str("a\x7F"), tarn_bytes_str("a\x80")) < 0);
    assert_true(tarn_bytes_cmp(tarn_bytes_str("b"), tarn_bytes_str("aa")) > 0);
}

TEST_MAIN(cmocka_unit_test(test_straight_lines), cmocka_unit_test(test_high_bits),
          cmocka_unit_test(test_cut_short), cmocka_unit_test(test_take),
          cmocka_unit_test(test_nothing), cmocka_unit_test(test_order_of_bytes))
