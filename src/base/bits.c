/* base/bits: see the header. count is kept beside the bits, because "how many pieces has this peer"
 * is asked far more often than a bit changes. */
#include "base/bits.h"

#include "base/mem.h"

#include <assert.h>

/* The bits of the last byte that belong to no member; 0 when there are none. */
static uint8_t spare_mask(uint32_t n)
{
    if (n % 8 == 0)
        return 0;
    return (uint8_t)(0xFF >> n % 8);
}

static uint8_t mask_of(uint32_t i)
{
    return (uint8_t)(0x80 >> i % 8);
}

bool tarn_bits_init(struct tarn_bits *b, uint32_t n)
{
    uint8_t *p = tarn_calloc(tarn_bits_size(n), 1);
    if (p == NULL)
        return false;
    *b = (struct tarn_bits){ .p = p, .n = n };
    return true;
}

void tarn_bits_release(struct tarn_bits *b)
{
    tarn_free(b->p);
    *b = (struct tarn_bits){ 0 };
}

bool tarn_bits_set(struct tarn_bits *b, uint32_t i)
{
    assert(i < b->n);
    if (tarn_bits_has(b, i))
        return false;
    b->p[i / 8] |= mask_of(i);
    b->count++;
    return true;
}

bool tarn_bits_unset(struct tarn_bits *b, uint32_t i)
{
    assert(i < b->n);
    if (!tarn_bits_has(b, i))
        return false;
    b->p[i / 8] &= (uint8_t)~mask_of(i);
    b->count--;
    return true;
}

void tarn_bits_set_all(struct tarn_bits *b)
{
    size_t size = tarn_bits_size(b->n);
    if (size == 0)
        return;
    memset(b->p, 0xFF, size);
    b->p[size - 1] &= (uint8_t)~spare_mask(b->n);
    b->count = b->n;
}

void tarn_bits_set_none(struct tarn_bits *b)
{
    size_t size = tarn_bits_size(b->n);
    if (size > 0)
        memset(b->p, 0, size);
    b->count = 0;
}

static uint32_t count_ones(struct tarn_bytes b)
{
    uint32_t count = 0;
    for (size_t i = 0; i < b.len; i++)
        count += (uint32_t)__builtin_popcount(b.p[i]);
    return count;
}

bool tarn_bits_load(struct tarn_bits *b, struct tarn_bytes wire)
{
    if (wire.len != tarn_bits_size(b->n))
        return false;
    if (wire.len == 0)
        return true;
    if ((wire.p[wire.len - 1] & spare_mask(b->n)) != 0)
        return false;
    memcpy(b->p, wire.p, wire.len);
    b->count = count_ones(wire);
    return true;
}
