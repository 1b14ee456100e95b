/* base/map: open addressing with linear probing, at most three quarters full.
 *
 * A removed key leaves its slot marked "was used", since a search for another key may have to pass
 * it. Such slots are taken again by later keys, and all vanish when the table is next rebuilt,
 * which also picks the size anew: a table that has become empty shrinks.
 *
 * The hash is SipHash-1-3 (Aumasson and Bernstein), the variant that the tables of Rust and Python
 * use: one round a word is enough where an attacker never sees a hash. */
#include "base/map.h"

#include "base/mem.h"
#include "base/num.h"

enum {
    SLOT_FREE = 0,
    SLOT_USED = 1,
    SLOT_WAS_USED = 2,

    CAP_MIN = 16,
};

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

/* Up to 8 bytes, the first in the lowest place. */
static uint64_t le_word(const uint8_t *p, size_t n)
{
    uint64_t word = 0;
    for (size_t i = 0; i < n; i++)
        word |= (uint64_t)p[i] << (8 * i);
    return word;
}

static uint32_t hash_of(const struct tarn_map *m, struct tarn_bytes key)
{
    /* "somepseudorandomlygeneratedbytes", from the paper */
    struct sip s = {
        m->seed[0] ^ 0x736f6d6570736575,
        m->seed[1] ^ 0x646f72616e646f6d,
        m->seed[0] ^ 0x6c7967656e657261,
        m->seed[1] ^ 0x7465646279746573,
    };
    size_t i = 0;
    for (; key.len - i >= 8; i += 8)
        sip_word(&s, le_word(key.p + i, 8));
    uint64_t tail = key.len == i ? 0 : le_word(key.p + i, key.len - i);
    sip_word(&s, tail | (uint64_t)key.len << 56);
    s.v2 ^= 0xFF;
    for (int round = 0; round < 3; round++)
        sip_round(&s);
    return (uint32_t)(s.v0 ^ s.v1 ^ s.v2 ^ s.v3);
}

void tarn_map_init(struct tarn_map *m, const uint8_t seed[16])
{
    *m = (struct tarn_map){ .seed = { le_word(seed, 8), le_word(seed + 8, 8) } };
}

void tarn_map_release(struct tarn_map *m)
{
    tarn_free(m->slots);
    m->slots = NULL;
    m->n = m->filled = m->cap = 0;
}

/* The slot of key, or else the slot it should be put into. There is always a free slot, so the
 * search ends. cap must not be 0. */
static struct tarn_map_slot *find(const struct tarn_map *m, struct tarn_bytes key, uint32_t hash)
{
    struct tarn_map_slot *reuse = NULL;
    for (size_t i = hash;; i++) {
        struct tarn_map_slot *slot = &m->slots[i & (m->cap - 1)];
        if (slot->state == SLOT_FREE)
            return reuse != NULL ? reuse : slot;
        if (slot->state == SLOT_WAS_USED) {
            if (reuse == NULL)
                reuse = slot;
        } else if (slot->hash == hash && tarn_bytes_eq(slot->key, key)) {
            return slot;
        }
    }
}

static struct tarn_map_slot *find_used(const struct tarn_map *m, struct tarn_bytes key)
{
    if (m->n == 0)
        return NULL;
    struct tarn_map_slot *slot = find(m, key, hash_of(m, key));
    return slot->state == SLOT_USED ? slot : NULL;
}

uint64_t *tarn_map_get(const struct tarn_map *m, struct tarn_bytes key)
{
    struct tarn_map_slot *slot = find_used(m, key);
    return slot == NULL ? NULL : &slot->value;
}

/* Move all keys into a fresh table, at most half full once one more key is in. Half, so that a
 * quarter of the table's size in new keys must come before the next rebuild. */
static bool rebuild(struct tarn_map *m)
{
    size_t cap = tarn_pow2_up_u64(2 * (m->n + 1));
    if (cap < CAP_MIN)
        cap = CAP_MIN;
    struct tarn_map next = *m;
    next.slots = tarn_calloc(cap, sizeof *next.slots);
    if (next.slots == NULL)
        return false;
    next.cap = cap;
    next.filled = m->n;
    for (size_t i = 0; i < m->cap; i++) {
        const struct tarn_map_slot *old = &m->slots[i];
        if (old->state == SLOT_USED)
            *find(&next, old->key, old->hash) = *old;
    }
    tarn_free(m->slots);
    *m = next;
    return true;
}

bool tarn_map_put(struct tarn_map *m, struct tarn_bytes key, uint64_t value)
{
    uint32_t hash = hash_of(m, key);
    struct tarn_map_slot *slot = m->cap == 0 ? NULL : find(m, key, hash);
    bool is_new = slot == NULL || slot->state != SLOT_USED;
    if (slot == NULL || (is_new && m->filled >= m->cap / 4 * 3)) {
        if (!rebuild(m))
            return false;
        slot = find(m, key, hash);
    }
    m->filled += slot->state == SLOT_FREE;
    m->n += is_new;
    *slot = (struct tarn_map_slot){ key, value, hash, SLOT_USED };
    return true;
}

bool tarn_map_remove(struct tarn_map *m, struct tarn_bytes key)
{
    struct tarn_map_slot *slot = find_used(m, key);
    if (slot == NULL)
        return false;
    *slot = (struct tarn_map_slot){ .state = SLOT_WAS_USED };
    m->n--;
    return true;
}
