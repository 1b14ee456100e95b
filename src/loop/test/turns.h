/* For tests: a loop, and turning it until something has happened. */
#ifndef LOOP_TEST_TURNS_H
#define LOOP_TEST_TURNS_H

#include "loop/loop.h"
#include "sys/clock.h"
#include "sys/test/wire.h"

/* Fails when it takes longer than any machine should need. */
#define TURN_UNTIL_WAITING(l, wait_us, condition) \
    do { \
        int64_t turn_late = sys_now_us() + 60 * 1000 * 1000; \
        while (!(condition)) { \
            assert_true(sys_now_us() < turn_late); \
            assert_true(loop_turn((l), (wait_us), NULL)); \
        } \
    } while (0)

#define TURN_UNTIL(l, condition) TURN_UNTIL_WAITING(l, 50 * 1000, condition)
/* For a condition that itself does something for which the loop waits. */
#define TURN_WHILE_DOING(l, condition) TURN_UNTIL_WAITING(l, 500, condition)

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
