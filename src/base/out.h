/* base/out: bytes on their way out, in a buffer that grows up to a limit.
 *
 * Failure (no memory, limit reached) is sticky: write a message in straight lines and ask
 * tarn_out_ok once, at the end. A tarn_out over the caller's storage never allocates. */
#ifndef BASE_OUT_H
#define BASE_OUT_H

#include "base/attr.h"
#include "base/bytes.h"

struct tarn_out {
    uint8_t *p; /* owned unless is_fixed */
    size_t len; /* bytes written */
    size_t cap;
    size_t limit; /* cap never passes this */
    bool is_fixed;
    bool failed;
    bool is_full; /* it has failed because of its limit, not for want of memory */
};

void tarn_out_init(struct tarn_out *o, size_t limit);
void tarn_out_fixed(struct tarn_out *o, void *storage, size_t size);
void tarn_out_release(struct tarn_out *o); /* accepts a zeroed one */
void tarn_out_clear(struct tarn_out *o);   /* empty and not failed; keeps the memory */

static inline bool tarn_out_ok(const struct tarn_out *o)
{
    return !o->failed;
}

static inline struct tarn_bytes tarn_out_bytes(const struct tarn_out *o)
{
    return tarn_bytes_of(o->p, o->len);
}

/* Room for n more bytes that the caller fills at once; NULL when failed. Counts as written. */
uint8_t *tarn_out_room(struct tarn_out *o, size_t n);

void tarn_out_put(struct tarn_out *o, struct tarn_bytes b);
void tarn_out_str(struct tarn_out *o, const char *s);
void tarn_out_u8(struct tarn_out *o, uint8_t v);
void tarn_out_be16(struct tarn_out *o, uint16_t v);
void tarn_out_be32(struct tarn_out *o, uint32_t v);
void tarn_out_be64(struct tarn_out *o, uint64_t v);

/* In a fixed one it needs one byte more than it writes, for the NUL of printf. */
void tarn_out_fmt(struct tarn_out *o, const char *fmt, ...) TARN_PRINTF(2, 3);

/* Drop the first n bytes, moving the rest down. */
void tarn_out_drop(struct tarn_out *o, size_t n);

/* The buffer with a NUL behind it, now the caller's (tarn_free); NULL when failed. Either way
 * the tarn_out is left empty and not failed. Not for a fixed one. */
char *tarn_out_take_str(struct tarn_out *o) TARN_MUST;

#endif
