/* bt/core/fastset: see the header. */
#include "bt/core/fastset.h"

#include "crypt/sha.h"

static bool is_new(const uint32_t *v, size_t n, uint32_t piece)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] == piece)
            return false;
    return true;
}

size_t bt_fastset(const struct bt_addr *peer, const uint8_t hash[BT_HASH_LEN], uint32_t n_pieces,
                  size_t k, uint32_t *out)
{
    size_t n = 0;
    if (n_pieces <= k) {
        for (; n < n_pieces; n++)
            out[n] = (uint32_t)n;
        return n;
    }
    uint8_t seed[8 + BT_HASH_LEN] = { 0 }, x[CRYPT_SHA1_LEN];
    size_t net = peer->is_v6 ? 6 : 3, addr = peer->is_v6 ? 8 : 4; /* the rest of it is zeros */
    memcpy(seed, peer->ip, net);
    memcpy(seed + addr, hash, BT_HASH_LEN);
    crypt_hash(CRYPT_SHA1, tarn_bytes_of(seed, addr + BT_HASH_LEN), x);
    for (;;) {
        struct tarn_cur c = tarn_cur_of(tarn_bytes_of(x, sizeof x));
        while (tarn_cur_left(&c) > 0) {
            uint32_t piece = tarn_cur_be32(&c) % n_pieces;
            if (is_new(out, n, piece))
                out[n++] = piece;
            if (n == k)
                return n;
        }
        uint8_t next[CRYPT_SHA1_LEN];
        crypt_hash(CRYPT_SHA1, tarn_bytes_of(x, sizeof x), next);
        memcpy(x, next, sizeof x);
    }
}
