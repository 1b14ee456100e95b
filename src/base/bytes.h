/* base/bytes: a run of bytes that somebody else owns. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct tarn_bytes {
    const uint8_t *p; /* borrowed; may be NULL when len is 0 */
    size_t len;
};

/* The same, to be written to. */
struct tarn_bytes_mut {
    uint8_t *p;
    size_t len;
};

static inline struct tarn_bytes tarn_bytes_of(const void *p, size_t len)
{
    return (struct tarn_bytes){ (const uint8_t *)p, len };
}

static inline struct tarn_bytes tarn_bytes_str(const char *s)
{
    return tarn_bytes_of(s, strlen(s));
}

static inline bool tarn_bytes_eq(struct tarn_bytes a, struct tarn_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool tarn_bytes_eq_str(struct tarn_bytes a, const char *s)
{
    return tarn_bytes_eq(a, tarn_bytes_str(s));
}

/* Order of raw bytes, the shorter first when one begins the other: that of bencoded keys. */
static inline int tarn_bytes_cmp(struct tarn_bytes a, struct tarn_bytes b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n == 0 ? 0 : memcmp(a.p, b.p, n);
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

#endif
