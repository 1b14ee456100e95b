/* For tests: a loop, and turning it until something has happened. */
#ifndef LOOP_TEST_TURNS_H
#define LOOP_TEST_TURNS_H

#include "loop/loop.h"
#include "sys/clock.h"
#include "sys/test/wire.h"

/* Fails when it takes longer than any machine should need. */
#define TURN_UNTIL(l, condition) \
    do { \
        int64_t turn_late = sys_now_us() + 60 * 1000 * 1000; \
        while (!(condition)) { \
            assert_true(sys_now_us() < turn_late); \
            assert_true(loop_turn((l), 50 * 1000, NULL)); \
        } \
    } while (0)

static inline struct loop *turns_loop(unsigned threads)
{
    struct loop_settings set = { .threads = threads };
    struct loop *l = loop_new(&set, NULL);
    assert_non_null(l);
    return l;
}

/* Let pass what is under way, and nothing more. */
static inline void turns_settle(struct loop *l)
{
    for (int i = 0; i < 20; i++)
        assert_true(loop_turn(l, 0, NULL));
}

#endif
