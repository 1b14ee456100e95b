#include "base/mem.h"

#include "base/test/test.h"

#include <string.h>

static void test_calloc_zeroes(void **state)
{
    (void)state;
    uint8_t *p = tarn_calloc(100, 3);
    assert_non_null(p);
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(p[i], 0);
    tarn_free(p);
}

static void test_nothing_can_be_freed(void **state)
{
    (void)state;
    void *p = tarn_calloc(0, 8);
    assert_non_null(p);
    p = tarn_realloc(p, 0, 8);
    assert_non_null(p);
    tarn_free(p);
    tarn_free(NULL);
}

static void test_sizes_that_overflow(void **state)
{
    (void)state;
    assert_null(tarn_calloc(SIZE_MAX, 2));
    assert_null(tarn_calloc(1, SIZE_MAX));
    assert_null(tarn_strndup("x", SIZE_MAX));
    char *p = tarn_strndup("kept", 4);
    assert_null(tarn_realloc(p, SIZE_MAX / 2, 3));
    assert_string_equal(p, "kept");
    tarn_free(p);
}

static void test_strndup(void **state)
{
    (void)state;
    char *p = tarn_strndup("a\0b", 3);
    assert_memory_equal(p, "a\0b", 4);
    tarn_free(p);
    p = tarn_strndup(NULL, 0);
    assert_string_equal(p, "");
    tarn_free(p);
}

static void test_grow(void **state)
{
    (void)state;
    uint32_t *items = NULL;
    size_t cap = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(TARN_GROW(items, (size_t)i, cap));
        items[i] = i;
    }
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(items[i], i);
    assert_true(cap < 2000);
    tarn_free(items);
}

static void test_grow_too_far(void **state)
{
    (void)state;
    uint32_t item, *items = &item;
    size_t cap = SIZE_MAX / 2 + 1;
    assert_false(tarn_grow((void **)(void *)&items, sizeof *items, &cap));
    cap = SIZE_MAX / 8;
    assert_false(tarn_grow((void **)(void *)&items, sizeof *items, &cap));
    assert_ptr_equal(items, &item);
}

static void test_failing_on_demand(void **state)
{
    (void)state;
    test_mem_fail_after(1);
    void *p = tarn_calloc(1, 1);
    assert_non_null(p);
    assert_null(tarn_calloc(1, 1));
    assert_null(tarn_realloc(p, 2, 1));
    assert_null(tarn_strndup("", 0));
    test_mem_normal();
    tarn_free(p);
}

TEST_MAIN(cmocka_unit_test(test_calloc_zeroes), cmocka_unit_test(test_nothing_can_be_freed),
          cmocka_unit_test(test_sizes_that_overflow), cmocka_unit_test(test_strndup),
          cmocka_unit_test(test_grow), cmocka_unit_test(test_grow_too_far),
          cmocka_unit_test(test_failing_on_demand))
