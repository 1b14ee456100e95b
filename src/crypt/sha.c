/* crypt/sha: messages, their padding, and which lanes they run in.
 *
 * All work comes down to runs of whole blocks. `run_all` keeps the lanes of a kernel full: a lane
 * whose run has ended takes the next; when fewer runs are left than it pays to run abreast, they
 * are finished one by one. */
#include "crypt/sha.h"

#include "crypt/priv.h"

#include <stdatomic.h>
#include <stdlib.h>

const uint32_t crypt_sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* --- the kernel in use --- */

static const struct crypt_kernels kernels_off = { .lanes = CRYPT_LANES_OFF, .width = 1 };
static _Atomic(const struct crypt_kernels *) kernels_now;

bool crypt_lanes_can(enum crypt_lanes lanes)
{
    switch (lanes) {
    case CRYPT_LANES_OFF:
        return true;
#if defined(__x86_64__)
    case CRYPT_LANES_AVX2:
        return __builtin_cpu_supports("avx2") != 0;
    case CRYPT_LANES_AVX512:
        return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0;
#else
    case CRYPT_LANES_AVX2:
    case CRYPT_LANES_AVX512:
        return false;
#endif
    }
    return false;
}

const char *crypt_lanes_name(enum crypt_lanes lanes)
{
    static const char *const names[] = { "off", "avx2", "avx512" };
    return names[lanes];
}

void crypt_lanes_use(enum crypt_lanes lanes)
{
    const struct crypt_kernels *k = &kernels_off;
#if defined(__x86_64__)
    if (lanes == CRYPT_LANES_AVX512 && crypt_lanes_can(lanes))
        k = &crypt_kernels_avx512;
    else if (lanes == CRYPT_LANES_AVX2 && crypt_lanes_can(lanes))
        k = &crypt_kernels_avx2;
#else
    (void)lanes;
#endif
    atomic_store(&kernels_now, k);
}

static enum crypt_lanes wanted_lanes(void)
{
    const char *asked = getenv("TARN_LANES");
    for (int l = CRYPT_LANES_OFF; asked != NULL && l <= CRYPT_LANES_AVX512; l++)
        if (strcmp(asked, crypt_lanes_name((enum crypt_lanes)l)) == 0)
            return (enum crypt_lanes)l;
    for (int l = CRYPT_LANES_AVX512; l > CRYPT_LANES_OFF; l--)
        if (crypt_lanes_can((enum crypt_lanes)l))
            return (enum crypt_lanes)l;
    return CRYPT_LANES_OFF;
}

/* Two threads that come first both choose, and choose the same. */
static const struct crypt_kernels *kernels(void)
{
    const struct crypt_kernels *k = atomic_load_explicit(&kernels_now, memory_order_acquire);
    if (k == NULL) {
        crypt_lanes_use(wanted_lanes());
        k = atomic_load(&kernels_now);
    }
    return k;
}

enum crypt_lanes crypt_lanes_now(void)
{
    return kernels()->lanes;
}

/* --- runs of whole blocks --- */

struct run {
    uint32_t *h;
    const uint8_t *data;
    size_t blocks;
};

static size_t shortest(const struct run *lane, size_t n)
{
    size_t blocks = lane[0].blocks;
    for (size_t i = 1; i < n; i++)
        blocks = lane[i].blocks < blocks ? lane[i].blocks : blocks;
    return blocks;
}

static void run_abreast(const struct crypt_kernels *k, enum crypt_kind kind, struct run *lane,
                        size_t n, size_t blocks)
{
    uint32_t *h[CRYPT_LANES_MAX];
    const uint8_t *data[CRYPT_LANES_MAX];
    uint32_t spoil[8] = { 0 };
    for (size_t i = 0; i < k->width; i++) {
        h[i] = i < n ? lane[i].h : spoil;
        data[i] = i < n ? lane[i].data : lane[0].data;
    }
    k->run[kind](h, data, blocks);
    for (size_t i = 0; i < n; i++) {
        lane[i].data += blocks * CRYPT_SHA_BLOCK;
        lane[i].blocks -= blocks;
    }
}

static void run_all(enum crypt_kind kind, struct run *runs, size_t n_runs)
{
    const struct crypt_kernels *k = kernels();
    struct run lane[CRYPT_LANES_MAX];
    size_t n = 0, next = 0;
    for (;;) {
        for (size_t i = 0; i < n;)
            if (lane[i].blocks == 0)
                lane[i] = lane[--n];
            else
                i++;
        for (; n < k->width && next < n_runs; next++)
            if (runs[next].blocks > 0)
                lane[n++] = runs[next];
        if (n == 0)
            return;
        if (k->width > 1 && n >= k->at_least[kind]) {
            run_abreast(k, kind, lane, n, shortest(lane, n));
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            crypt_one(kind, lane[i].h, lane[i].data, lane[i].blocks);
            lane[i].blocks = 0;
        }
    }
}

/* --- messages --- */

void crypt_sha_init(struct crypt_sha *m, enum crypt_kind kind)
{
    static const uint32_t sha1[8] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
    static const uint32_t sha256[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    memcpy(m->h, kind == CRYPT_SHA1 ? sha1 : sha256, sizeof m->h);
    m->len = 0;
    m->kind = kind;
}

/* Bring the unfinished block up to 64 bytes as far as data reaches; what is left of data is
 * returned. *full: the tail is a whole block now. */
static struct tarn_bytes fill_tail(struct crypt_sha *m, struct tarn_bytes data, bool *full)
{
    size_t have = m->len % CRYPT_SHA_BLOCK;
    *full = false;
    if (have == 0 || data.len == 0)
        return data;
    size_t n = CRYPT_SHA_BLOCK - have < data.len ? CRYPT_SHA_BLOCK - have : data.len;
    memcpy(m->tail + have, data.p, n);
    m->len += n;
    *full = have + n == CRYPT_SHA_BLOCK;
    return tarn_bytes_of(data.p + n, data.len - n);
}

/* At most CRYPT_LANES_MAX messages of one kind. */
static void update_group(struct crypt_sha *const m[], const struct tarn_bytes data[], size_t n)
{
    struct run runs[CRYPT_LANES_MAX];
    struct tarn_bytes rest[CRYPT_LANES_MAX];
    size_t n_tails = 0;
    for (size_t i = 0; i < n; i++) {
        bool full;
        rest[i] = fill_tail(m[i], data[i], &full);
        if (full)
            runs[n_tails++] = (struct run){ m[i]->h, m[i]->tail, 1 };
    }
    if (n_tails > 0)
        run_all(m[0]->kind, runs, n_tails);
    for (size_t i = 0; i < n; i++)
        runs[i] = (struct run){ m[i]->h, rest[i].p, rest[i].len / CRYPT_SHA_BLOCK };
    run_all(m[0]->kind, runs, n);
    for (size_t i = 0; i < n; i++) {
        size_t over = rest[i].len % CRYPT_SHA_BLOCK;
        if (over > 0)
            memcpy(m[i]->tail, rest[i].p + rest[i].len - over, over);
        m[i]->len += rest[i].len;
    }
}

static size_t group_of(size_t left)
{
    return left < CRYPT_LANES_MAX ? left : CRYPT_LANES_MAX;
}

void crypt_sha_update_many(struct crypt_sha *const m[], const struct tarn_bytes data[], size_t n)
{
    for (size_t at = 0; at < n; at += group_of(n - at))
        update_group(m + at, data + at, group_of(n - at));
}

/* The last one or two blocks: a 1 bit, zeros, the length in bits (FIPS 180-4, 5.1.1). */
static size_t pad(const struct crypt_sha *m, uint8_t block[2 * CRYPT_SHA_BLOCK])
{
    size_t have = m->len % CRYPT_SHA_BLOCK;
    size_t len = have < CRYPT_SHA_BLOCK - 8 ? CRYPT_SHA_BLOCK : 2 * CRYPT_SHA_BLOCK;
    memcpy(block, m->tail, have);
    block[have] = 0x80;
    memset(block + have + 1, 0, len - have - 1);
    uint64_t bits = m->len * 8;
    for (size_t i = 0; i < 8; i++)
        block[len - 1 - i] = (uint8_t)(bits >> 8 * i);
    return len / CRYPT_SHA_BLOCK;
}

static void final_group(struct crypt_sha *const m[], size_t n, uint8_t *digests)
{
    uint8_t last[CRYPT_LANES_MAX][2 * CRYPT_SHA_BLOCK];
    struct run runs[CRYPT_LANES_MAX];
    for (size_t i = 0; i < n; i++)
        runs[i] = (struct run){ m[i]->h, last[i], pad(m[i], last[i]) };
    run_all(m[0]->kind, runs, n);
    size_t len = crypt_digest_len(m[0]->kind);
    for (size_t i = 0; i < n; i++)
        for (size_t b = 0; b < len; b++)
            digests[i * len + b] = (uint8_t)(m[i]->h[b / 4] >> (24 - 8 * (b % 4)));
}

void crypt_sha_final_many(struct crypt_sha *const m[], size_t n, uint8_t *digests)
{
    for (size_t at = 0; at < n; at += group_of(n - at))
        final_group(m + at, group_of(n - at), digests + at * crypt_digest_len(m[0]->kind));
}

void crypt_sha_update(struct crypt_sha *m, struct tarn_bytes data)
{
    update_group(&m, &data, 1);
}

void crypt_sha_final(struct crypt_sha *m, uint8_t *digest)
{
    final_group(&m, 1, digest);
}

void crypt_hash_many(enum crypt_kind kind, const struct tarn_bytes data[], size_t n,
                     uint8_t *digests)
{
    struct crypt_sha m[CRYPT_LANES_MAX];
    struct crypt_sha *at_m[CRYPT_LANES_MAX];
    for (size_t at = 0; at < n; at += group_of(n - at)) {
        size_t group = group_of(n - at);
        for (size_t i = 0; i < group; i++) {
            crypt_sha_init(&m[i], kind);
            at_m[i] = &m[i];
        }
        update_group(at_m, data + at, group);
        final_group(at_m, group, digests + at * crypt_digest_len(kind));
    }
}

void crypt_hash(enum crypt_kind kind, struct tarn_bytes data, uint8_t *digest)
{
    crypt_hash_many(kind, &data, 1, digest);
}
