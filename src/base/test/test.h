/* What every unit test starts from: cmocka and what it needs, a main, repeatable randomness, and
 * allocations that fail on demand. For tests of all rooms. */
#ifndef BASE_TEST_TEST_H
#define BASE_TEST_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef __clang_analyzer__ /* which cannot know that an assertion that fails jumps away */
#define _fail(...) abort()
#define _assert_true(is, ...) ((is) ? (void)0 : abort())
#define _assert_int_equal(a, b, ...) ((a) == (b) ? (void)0 : abort())
#endif

/* The last line of a test file: TEST_MAIN(cmocka_unit_test(this), cmocka_unit_test(that)) */
#define TEST_MAIN(...) \
    int main(void) \
    { \
        const struct CMUnitTest tests[] = { __VA_ARGS__ }; \
        cmocka_set_message_output(CM_OUTPUT_TAP); \
        return cmocka_run_group_tests(tests, NULL, NULL); \
    }

/* The state of a random source: always the same, or what TARN_TEST_SEED says. Printed, so that the
 * log of a failure tells how to repeat it. */
static inline uint64_t test_seed(void)
{
    const char *given = getenv("TARN_TEST_SEED");
    uint64_t seed = given == NULL ? 1 : strtoull(given, NULL, 0);
    printf("# TARN_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* The next number: splitmix64. */
static inline uint64_t test_rand(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

static inline uint64_t test_rand_below(uint64_t *state, uint64_t bound)
{
    return test_rand(state) % bound;
}

/* What a test must leave out on this machine, and why: it returns then. (cmocka's skip() writes
 * "not ok", which counts as a failure.) */
static inline void test_left_out(const char *why)
{
    printf("# left out here: %s\n", why);
}

/* Until the clock that file times are taken from has moved on, so that what is written now bears
 * another time than what was written before. */
static inline void test_wait_tick(void)
{
    struct timespec from, now;
    clock_gettime(CLOCK_REALTIME_COARSE, &from);
    do
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
    while (now.tv_sec == from.tv_sec && now.tv_nsec == from.tv_nsec);
}

static size_t test_mem_left;

static inline bool test_mem_may(size_t bytes)
{
    (void)bytes;
    if (test_mem_left == 0)
        return false;
    test_mem_left--;
    return true;
}

/* Let n more allocations succeed and every later one fail, until test_mem_normal. */
static inline void test_mem_fail_after(size_t n)
{
    test_mem_left = n;
    tarn_mem_may = test_mem_may;
}

static inline void test_mem_normal(void)
{
    tarn_mem_may = NULL;
}

#endif
