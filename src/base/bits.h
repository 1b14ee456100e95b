/* base/bits: sets of small numbers as BitTorrent sends them, most significant bit first.
 *
 * Bits past the last are always 0, so that the bytes can be sent and compared as they are. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include "base/attr.h"
#include "base/bytes.h"

struct tarn_bits {
    uint8_t *p;     /* owned; (n + 7) / 8 bytes */
    uint32_t n;     /* bits */
    uint32_t count; /* of them set */
};

bool tarn_bits_init(struct tarn_bits *b, uint32_t n) TARN_MUST; /* all 0; false: no memory */
void tarn_bits_release(struct tarn_bits *b);                    /* accepts a zeroed one */

static inline bool tarn_bits_has(const struct tarn_bits *b, uint32_t i)
{
    return (b->p[i / 8] >> (7 - i % 8) & 1) != 0;
}

/* Both return whether the bit changed. */
bool tarn_bits_set(struct tarn_bits *b, uint32_t i);
bool tarn_bits_unset(struct tarn_bits *b, uint32_t i);

void tarn_bits_set_all(struct tarn_bits *b);
void tarn_bits_set_none(struct tarn_bits *b);

static inline bool tarn_bits_all(const struct tarn_bits *b)
{
    return b->count == b->n;
}

static inline size_t tarn_bits_size(uint32_t n)
{
    return n / 8 + (n % 8 != 0);
}

/* Take all bits from the wire. False, leaving b alone, when the size is wrong or a spare bit is
 * set. */
bool tarn_bits_load(struct tarn_bits *b, struct tarn_bytes wire) TARN_MUST;

static inline struct tarn_bytes tarn_bits_bytes(const struct tarn_bits *b)
{
    return tarn_bytes_of(b->p, tarn_bits_size(b->n));
}

#endif
