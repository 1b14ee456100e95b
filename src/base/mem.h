/* base/mem: every allocation of tarn, behind one hook that a test can make fail.
 *
 * All return NULL when there is no memory (or the size overflows). Thread-safe. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

/* count objects of size bytes each, zeroed. A count of 0 gives a pointer that can be freed. */
void *tarn_calloc(size_t count, size_t size) TARN_MUST;

/* p grown or shrunk to count objects of size bytes; new bytes are not set. p stays valid on NULL.
 */
void *tarn_realloc(void *p, size_t count, size_t size) TARN_MUST;

/* A copy of len bytes with a NUL behind it. */
char *tarn_strndup(const void *p, size_t len) TARN_MUST;

/* Accepts NULL. */
void tarn_free(void *p);

/* For tests: called before each allocation; false makes it fail. NULL (the default) never fails.
 * Set it while no other thread allocates. */
extern bool (*tarn_mem_may)(size_t bytes);

/* An array that grows by doubling: makes room for one more of n used. items is a pointer variable,
 * cap a size_t: its capacity in items. False when there is no memory. (Where there is capacity
 * there are items: asked again for clang's analyzer, which cannot know.) */
#define TARN_GROW(items, n, cap) \
    (((n) < (cap) && (items) != NULL) || \
     tarn_grow((void **)&(items), TARN_ITEM_SIZE(items), &(cap)))
/* NOLINTNEXTLINE(bugprone-sizeof-expression): items that are pointers are meant, not a slip */
#define TARN_ITEM_SIZE(items) (sizeof *(items))
bool tarn_grow(void **items, size_t size, size_t *cap) TARN_MUST;

#endif
