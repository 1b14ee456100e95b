#include "base/bits.h"

#include "base/test/test.h"

static uint32_t count_slowly(const struct tarn_bits *b)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < b->n; i++)
        count += tarn_bits_has(b, i);
    return count;
}

static void assert_spare_bits_are_0(const struct tarn_bits *b)
{
    for (size_t i = b->n; i < 8 * tarn_bits_size(b->n); i++)
        assert_int_equal(b->p[i / 8] >> (7 - i % 8) & 1, 0);
}

static void test_most_significant_first(void **state)
{
    (void)state;
    struct tarn_bits b;
    assert_true(tarn_bits_init(&b, 12));
    assert_true(tarn_bits_set(&b, 0));
    assert_true(tarn_bits_set(&b, 11));
    assert_false(tarn_bits_set(&b, 11));
    assert_true(tarn_bytes_eq(tarn_bits_bytes(&b), tarn_bytes_of("\x80\x10", 2)));
    assert_true(tarn_bits_unset(&b, 0));
    assert_false(tarn_bits_unset(&b, 0));
    assert_int_equal(b.count, 1);
    tarn_bits_release(&b);
}

static void test_all_and_none(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 40; n++) {
        struct tarn_bits b;
        assert_true(tarn_bits_init(&b, n));
        assert_true(tarn_bits_all(&b) == (n == 0));
        tarn_bits_set_all(&b);
        assert_true(tarn_bits_all(&b));
        assert_int_equal(count_slowly(&b), n);
        assert_spare_bits_are_0(&b);
        tarn_bits_set_none(&b);
        assert_int_equal(b.count, 0);
        assert_int_equal(count_slowly(&b), 0);
        tarn_bits_release(&b);
    }
}

static void test_load(void **state)
{
    (void)state;
    struct tarn_bits b;
    assert_true(tarn_bits_init(&b, 10));
    assert_true(tarn_bits_load(&b, tarn_bytes_of("\xA5\xC0", 2)));
    assert_int_equal(b.count, 6);
    static const char *const bad[] = { "", "\xFF", "\xFF\xC0\x01" };
    for (size_t i = 0; i < TARN_COUNT_OF(bad); i++)
        assert_false(tarn_bits_load(&b, tarn_bytes_str(bad[i])));
    assert_false(tarn_bits_load(&b, tarn_bytes_str("\xFF\xE0"))); /* a spare bit */
    assert_int_equal(b.count, 6);
    assert_true(tarn_bytes_eq(tarn_bits_bytes(&b), tarn_bytes_of("\xA5\xC0", 2)));
    tarn_bits_release(&b);
}

static void test_load_nothing(void **state)
{
    (void)state;
    struct tarn_bits b;
    assert_true(tarn_bits_init(&b, 0));
    assert_true(tarn_bits_load(&b, tarn_bytes_of(NULL, 0)));
    assert_false(tarn_bits_load(&b, tarn_bytes_of("\0", 1)));
    tarn_bits_release(&b);
}

static void test_size_does_not_overflow(void **state)
{
    (void)state;
    assert_int_equal(tarn_bits_size(0), 0);
    assert_int_equal(tarn_bits_size(8), 1);
    assert_int_equal(tarn_bits_size(9), 2);
    assert_int_equal(tarn_bits_size(UINT32_MAX), 0x20000000);
}

/* Whatever is done, count is the number of set bits, and loading what was sent gives it back. */
static void test_count_holds(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct tarn_bits b, copy;
    assert_true(tarn_bits_init(&b, 77));
    assert_true(tarn_bits_init(&copy, 77));
    for (int turn = 0; turn < 20000; turn++) {
        uint32_t i = (uint32_t)test_rand_below(&seed, 77);
        bool had = tarn_bits_has(&b, i);
        if (test_rand_below(&seed, 2) == 0)
            assert_true(tarn_bits_set(&b, i) == !had);
        else
            assert_true(tarn_bits_unset(&b, i) == had);
        assert_int_equal(b.count, count_slowly(&b));
        assert_spare_bits_are_0(&b);
        assert_true(tarn_bits_load(&copy, tarn_bits_bytes(&b)));
        assert_int_equal(copy.count, b.count);
    }
    tarn_bits_release(&b);
    tarn_bits_release(&copy);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct tarn_bits b = { 0 };
    test_mem_fail_after(0);
    assert_false(tarn_bits_init(&b, 8));
    test_mem_normal();
    assert_null(b.p);
    tarn_bits_release(&b);
}

TEST_MAIN(cmocka_unit_test(test_most_significant_first), cmocka_unit_test(test_all_and_none),
          cmocka_unit_test(test_load), cmocka_unit_test(test_load_nothing),
          cmocka_unit_test(test_size_does_not_overflow), cmocka_unit_test(test_count_holds),
          cmocka_unit_test(test_no_memory))
