#include "base/out.h"

#include "base/mem.h"
#include "base/test/test.h"

static void test_a_message(void **state)
{
    (void)state;
    struct tarn_out o;
    tarn_out_init(&o, TARN_KIB);
    tarn_out_u8(&o, 0xFE);
    tarn_out_be16(&o, 0x0102);
    tarn_out_be32(&o, 0x03040506);
    tarn_out_be64(&o, 0x0708090A0B0C0D0E);
    tarn_out_str(&o, "str");
    tarn_out_put(&o, tarn_bytes_of("p\0t", 3));
    tarn_out_put(&o, tarn_bytes_of(NULL, 0));
    tarn_out_fmt(&o, "%d-%s", 42, "fmt");
    static const char want[] = "\xFE\1\2\3\4\5\6\7\x08\x09\x0A\x0B\x0C\x0D\x0E"
                               "strp\0t42-fmt";
    assert_true(tarn_out_ok(&o));
    assert_true(tarn_bytes_eq(tarn_out_bytes(&o), tarn_bytes_of(want, sizeof want - 1)));
    tarn_out_release(&o);
}

static void test_limit_is_exact_and_sticky(void **state)
{
    (void)state;
    for (size_t limit = 0; limit < 200; limit += 7) {
        struct tarn_out o;
        tarn_out_init(&o, limit);
        for (size_t i = 0; i < limit; i++)
            tarn_out_u8(&o, 'x');
        assert_true(tarn_out_ok(&o));
        assert_true(o.cap <= limit);
        tarn_out_u8(&o, 'x');
        assert_false(tarn_out_ok(&o));
        assert_true(o.is_full);
        assert_null(tarn_out_room(&o, 0));
        tarn_out_fmt(&o, "%d", 1);
        assert_int_equal(o.len, limit);
        tarn_out_clear(&o);
        assert_true(tarn_out_ok(&o) && !o.is_full);
        assert_int_equal(o.len, 0);
        tarn_out_release(&o);
    }
    struct tarn_out short_of;
    tarn_out_init(&short_of, 100);
    test_mem_fail_after(0);
    tarn_out_u8(&short_of, 'x');
    test_mem_normal();
    assert_true(!tarn_out_ok(&short_of) && !short_of.is_full);
    tarn_out_release(&short_of);
}

static void test_fmt_up_to_the_limit(void **state)
{
    (void)state;
    struct tarn_out o;
    tarn_out_init(&o, 10);
    tarn_out_fmt(&o, "%s", "0123456789");
    assert_true(tarn_out_ok(&o));
    tarn_out_fmt(&o, "%s", "");
    assert_true(tarn_out_ok(&o));
    tarn_out_fmt(&o, "%s", "x");
    assert_false(tarn_out_ok(&o));
    tarn_out_release(&o);
}

static void test_fixed(void **state)
{
    (void)state;
    char storage[9] = "--------!";
    struct tarn_out o;
    test_mem_fail_after(0);
    tarn_out_fixed(&o, storage, 8);
    tarn_out_be32(&o, 0x41424344);
    tarn_out_fmt(&o, "%s", "123");
    assert_true(tarn_out_ok(&o));
    tarn_out_fmt(&o, "%s", "4"); /* the NUL has no place */
    assert_false(tarn_out_ok(&o));
    assert_memory_equal(storage, "ABCD123\0!", 9);
    tarn_out_clear(&o);
    tarn_out_str(&o, "01234567");
    assert_true(tarn_out_ok(&o));
    tarn_out_u8(&o, 'x');
    assert_false(tarn_out_ok(&o));
    assert_memory_equal(storage, "01234567!", 9);
    tarn_out_release(&o);
    test_mem_normal();
}

static void test_room_that_overflows(void **state)
{
    (void)state;
    struct tarn_out o;
    tarn_out_init(&o, SIZE_MAX);
    tarn_out_str(&o, "x");
    assert_null(tarn_out_room(&o, SIZE_MAX));
    tarn_out_clear(&o);
    assert_null(tarn_out_room(&o, SIZE_MAX));
    tarn_out_clear(&o);
    tarn_out_str(&o, "still good");
    assert_true(tarn_out_ok(&o));
    tarn_out_release(&o);
}

static void test_room_for_nothing(void **state)
{
    (void)state;
    struct tarn_out o;
    tarn_out_init(&o, 0);
    assert_non_null(tarn_out_room(&o, 0));
    assert_true(tarn_out_ok(&o));
    tarn_out_release(&o);
}

static void test_drop(void **state)
{
    (void)state;
    struct tarn_out o;
    tarn_out_init(&o, TARN_KIB);
    tarn_out_drop(&o, 0);
    tarn_out_str(&o, "abcdef");
    tarn_out_drop(&o, 2);
    assert_true(tarn_bytes_eq_str(tarn_out_bytes(&o), "cdef"));
    tarn_out_drop(&o, 4);
    assert_int_equal(o.len, 0);
    tarn_out_release(&o);
}

static void test_take_str(void **state)
{
    (void)state;
    struct tarn_out o;
    tarn_out_init(&o, 64);
    char *s = tarn_out_take_str(&o);
    assert_string_equal(s, "");
    tarn_free(s);
    for (int i = 0; i < 64; i++)
        tarn_out_u8(&o, 'a');
    s = tarn_out_take_str(&o);
    assert_int_equal(strlen(s), 64);
    tarn_free(s);
    assert_int_equal(o.len, 0);
    tarn_out_str(&o, "again");
    s = tarn_out_take_str(&o);
    assert_string_equal(s, "again");
    tarn_free(s);
}

static void test_take_str_when_failed(void **state)
{
    (void)state;
    struct tarn_out o;
    tarn_out_init(&o, 4);
    tarn_out_str(&o, "abc");
    tarn_out_str(&o, "def");
    assert_null(tarn_out_take_str(&o));
    assert_true(tarn_out_ok(&o));
    assert_null(o.p);
    tarn_out_release(&o);
}

static void write_some(struct tarn_out *o)
{
    for (uint32_t i = 0; i < 100; i++) {
        tarn_out_be32(o, i);
        tarn_out_fmt(o, "%u,", i);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    struct tarn_out o;
    size_t n = 0;
    bool ok = false;
    for (; !ok; n++) {
        tarn_out_init(&o, TARN_MIB);
        test_mem_fail_after(n);
        write_some(&o);
        ok = tarn_out_ok(&o);
        test_mem_normal();
        tarn_out_clear(&o);
        write_some(&o); /* with memory back, it serves again */
        assert_true(tarn_out_ok(&o));
        assert_int_equal(o.len, 100 * 4 + 10 * 2 + 90 * 3);
        tarn_out_release(&o);
    }
    assert_in_range(n, 3, 10); /* it doubles: few allocations, but more than one */
}

static void test_release_accepts_zeroed(void **state)
{
    (void)state;
    struct tarn_out o = { 0 };
    tarn_out_release(&o);
}

TEST_MAIN(cmocka_unit_test(test_a_message), cmocka_unit_test(test_limit_is_exact_and_sticky),
          cmocka_unit_test(test_fmt_up_to_the_limit), cmocka_unit_test(test_fixed),
          cmocka_unit_test(test_room_that_overflows), cmocka_unit_test(test_room_for_nothing),
          cmocka_unit_test(test_drop), cmocka_unit_test(test_take_str),
          cmocka_unit_test(test_take_str_when_failed), cmocka_unit_test(test_no_memory),
          cmocka_unit_test(test_release_accepts_zeroed))
