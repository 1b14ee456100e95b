/* base/attr: what compilers are told about functions, and the sizes used everywhere. */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#include <stddef.h>

#define TARN_MUST __attribute__((warn_unused_result))
#define TARN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

#define TARN_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The struct around a member: for intrusive lists, heaps and timers. */
#define TARN_OUTER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define TARN_KIB ((size_t)1024)
#define TARN_MIB (1024 * TARN_KIB)
#define TARN_GIB (1024 * TARN_MIB)

#endif
