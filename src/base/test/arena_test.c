#include "base/arena.h"

#include "base/test/test.h"

static void test_zeroed_and_aligned(void **state)
{
    (void)state;
    struct tarn_arena a;
    tarn_arena_init(&a, TARN_MIB);
    for (size_t size = 0; size < 300; size++) {
        uint8_t *p = tarn_arena_alloc(&a, 1, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(p[i], 0);
            p[i] = 0xAA; /* a later run that overlaps this one would not be zero */
        }
    }
    tarn_arena_release(&a);
}

static void test_limit(void **state)
{
    (void)state;
    struct tarn_arena a;
    tarn_arena_init(&a, 100);
    assert_null(tarn_arena_alloc(&a, 1, 101));
    assert_int_equal(a.used, 0);
    assert_non_null(tarn_arena_alloc(&a, 4, 16));
    assert_non_null(tarn_arena_alloc(&a, 2, 16));
    assert_int_equal(a.used, 96);
    assert_null(tarn_arena_alloc(&a, 1, 4)); /* would be padded past the limit */
    tarn_arena_release(&a);
    assert_int_equal(a.used, 0);
    assert_non_null(tarn_arena_alloc(&a, 6, 16)); /* released, it can serve again */
    tarn_arena_release(&a);

    tarn_arena_init(&a, 0);
    assert_null(tarn_arena_alloc(&a, 0, 0));
    tarn_arena_release(&a);
}

static void test_sizes_that_overflow(void **state)
{
    (void)state;
    struct tarn_arena a;
    tarn_arena_init(&a, SIZE_MAX);
    assert_null(tarn_arena_alloc(&a, SIZE_MAX, 2));
    assert_null(tarn_arena_alloc(&a, 1, SIZE_MAX));
    assert_null(tarn_arena_alloc(&a, 1, SIZE_MAX - 8));
    assert_null(tarn_arena_strndup(&a, tarn_bytes_of("", SIZE_MAX)));
    assert_int_equal(a.used, 0);
    tarn_arena_release(&a);
}

static void test_strndup(void **state)
{
    (void)state;
    struct tarn_arena a;
    tarn_arena_init(&a, TARN_KIB);
    assert_string_equal(tarn_arena_strndup(&a, tarn_bytes_of("tarnish", 4)), "tarn");
    assert_string_equal(tarn_arena_strndup(&a, tarn_bytes_of(NULL, 0)), "");
    tarn_arena_release(&a);
}

/* A big object must not end the chunk that small ones come from. */
static void test_big_among_small(void **state)
{
    (void)state;
    struct tarn_arena a;
    tarn_arena_init(&a, TARN_MIB);
    uint8_t *first = tarn_arena_alloc(&a, 1, 16);
    assert_non_null(tarn_arena_alloc(&a, 1, 10000));
    uint8_t *second = tarn_arena_alloc(&a, 1, 16);
    assert_ptr_equal(second, first + 16);
    tarn_arena_release(&a);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct tarn_arena a;
    tarn_arena_init(&a, TARN_MIB);
    test_mem_fail_after(1);
    assert_non_null(tarn_arena_alloc(&a, 1, 1000));
    assert_null(tarn_arena_alloc(&a, 1, 1000));
    assert_int_equal(a.used, 1008);
    test_mem_normal();
    assert_non_null(tarn_arena_alloc(&a, 1, 1000));
    tarn_arena_release(&a);
}

static void test_release_accepts_zeroed(void **state)
{
    (void)state;
    struct tarn_arena a = { 0 };
    tarn_arena_release(&a);
}

TEST_MAIN(cmocka_unit_test(test_zeroed_and_aligned), cmocka_unit_test(test_limit),
          cmocka_unit_test(test_sizes_that_overflow), cmocka_unit_test(test_strndup),
          cmocka_unit_test(test_big_among_small), cmocka_unit_test(test_no_memory),
          cmocka_unit_test(test_release_accepts_zeroed))
