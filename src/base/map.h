/* base/map: a hash table from runs of bytes to a 64-bit value.
 *
 * Keys are borrowed: they must live and stay as long as they are in the table. The hash is SipHash
 * with a key given at init, so that keys chosen by a stranger do not all fall into one place. Not
 * thread-safe. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/attr.h"
#include "base/bytes.h"

struct tarn_map_slot {
    struct tarn_bytes key; /* borrowed */
    uint64_t value;
    uint32_t hash;
    uint8_t state; /* 0 free, 1 used, 2 was used */
};

struct tarn_map {
    struct tarn_map_slot *slots; /* owned; a power of two of them */
    size_t n;                    /* keys in the table */
    size_t filled;               /* slots not free */
    size_t cap;
    uint64_t seed[2];
};

/* seed: 16 random bytes (fixed ones in tests). Allocates nothing. */
void tarn_map_init(struct tarn_map *m, const uint8_t seed[16]);
void tarn_map_release(struct tarn_map *m); /* accepts a zeroed one */

/* The value's place, valid until the next put; NULL when the key is not there. */
uint64_t *tarn_map_get(const struct tarn_map *m, struct tarn_bytes key);

/* Put, or replace both key and value: an equal key put earlier is no longer borrowed. False,
 * leaving the table as it was, when there is no memory. */
bool tarn_map_put(struct tarn_map *m, struct tarn_bytes key, uint64_t value) TARN_MUST;

/* True when it was there. */
bool tarn_map_remove(struct tarn_map *m, struct tarn_bytes key);

#endif
