/* base/num: arithmetic on numbers from outside, and numbers as text.
 *
 * The checked operations return false, leaving *out alone, when the true result does not fit. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/attr.h"
#include "base/bytes.h"

static inline TARN_MUST bool tarn_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *out = sum;
    return true;
}

static inline TARN_MUST bool tarn_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

static inline uint64_t tarn_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t tarn_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline int64_t tarn_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline size_t tarn_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ceil(a / b); b > 0. */
static inline uint64_t tarn_div_up_u64(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

static inline bool tarn_is_pow2_u64(uint64_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}

/* floor(log2(v)); v > 0. */
static inline unsigned tarn_log2_u64(uint64_t v)
{
    return 63U - (unsigned)__builtin_clzll(v);
}

/* The smallest power of two that is at least v; 1 <= v <= 2^63. */
static inline uint64_t tarn_pow2_up_u64(uint64_t v)
{
    return v <= 1 ? 1 : (uint64_t)1 << (tarn_log2_u64(v - 1) + 1);
}

/* Decimal digits only, no sign, at least one, at most max. */
bool tarn_parse_u64(struct tarn_bytes text, uint64_t max, uint64_t *out) TARN_MUST;

/* A size as people write it: digits, then nothing, K, M, G, T (powers of 1024; "KiB" and so on are
 * taken too). */
bool tarn_parse_size(struct tarn_bytes text, uint64_t *out) TARN_MUST;

/* A duration as people write it: digits, then s, m, h or d; no unit means seconds. */
bool tarn_parse_seconds(struct tarn_bytes text, uint64_t *out) TARN_MUST;

/* 1536 -> "1.5 KiB", 16384 -> "16 KiB": rounded down, at most four digits and a unit. */
struct tarn_size_text {
    char s[24];
};
const char *tarn_size_text(struct tarn_size_text *dst, uint64_t bytes);

#endif
