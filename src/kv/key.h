/* kv/key: composing keys whose order as bytes is the order that is meant.
 *
 *     struct kv_key k = { 0 };
 *     kv_key_be64(&k, parent);
 *     kv_key_put(&k, name);
 *     kv_txn_put(t, ENTRY, kv_key_bytes(&k), value, err)
 *
 * Numbers are big-endian, so that they sort as numbers; bytes of any length belong at the end, or
 * behind their length where the order between lengths does not matter. Read a key with base/cur.
 *
 * What does not fit makes the key longer than any may be (it stays within its storage): the store
 * refuses it with the limit in its message, so there is nothing to ask here. */
#ifndef KV_KEY_H
#define KV_KEY_H

#include "base/bytes.h"
#include "kv/kv.h"

struct kv_key {
    size_t len; /* more than KV_KEY_MAX: too long */
    uint8_t p[KV_KEY_MAX + 1];
};

static inline void kv_key_put(struct kv_key *k, struct tarn_bytes b)
{
    if (b.len > KV_KEY_MAX || k->len + b.len > KV_KEY_MAX) {
        k->len = KV_KEY_MAX + 1;
        return;
    }
    if (b.len > 0)
        memcpy(k->p + k->len, b.p, b.len);
    k->len += b.len;
}

static inline void kv_key_u8(struct kv_key *k, uint8_t v)
{
    kv_key_put(k, tarn_bytes_of(&v, 1));
}

static inline void kv_key_be32(struct kv_key *k, uint32_t v)
{
    uint8_t b[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };
    kv_key_put(k, tarn_bytes_of(b, sizeof b));
}

static inline void kv_key_be64(struct kv_key *k, uint64_t v)
{
    kv_key_be32(k, (uint32_t)(v >> 32));
    kv_key_be32(k, (uint32_t)v);
}

static inline struct tarn_bytes kv_key_bytes(const struct kv_key *k)
{
    return tarn_bytes_of(k->p, k->len);
}

#endif
