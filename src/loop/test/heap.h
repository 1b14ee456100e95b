/* For tests that say what an idle connection costs: the bytes of heap in use, by malloc's own book;
 * 0 where malloc keeps none. */
#ifndef LOOP_TEST_HEAP_H
#define LOOP_TEST_HEAP_H

#include <malloc.h>
#include <stddef.h>

static inline size_t heap_in_use(void)
{
#if defined __GLIBC__
    return mallinfo2().uordblks;
#else
    return 0;
#endif
}

#endif
