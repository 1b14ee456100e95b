/* crypt/avx2: eight messages abreast, one in each 32-bit lane of a 256-bit register (FIPS 180-4).
 *
 * As crypt/avx512, with rotations of two shifts and Boolean functions of two or three instructions.
 * Built with -mavx2; called only where the processor has it. */
#include "crypt/priv.h"

#include <immintrin.h>

enum { LANES = 8 };

#define INLINE static inline __attribute__((always_inline))

INLINE __m256i add(__m256i a, __m256i b)
{
    return _mm256_add_epi32(a, b);
}

INLINE __m256i xor3(__m256i a, __m256i b, __m256i c)
{
    return _mm256_xor_si256(a, _mm256_xor_si256(b, c));
}

INLINE __m256i rol(__m256i x, int n)
{
    return _mm256_or_si256(_mm256_slli_epi32(x, n), _mm256_srli_epi32(x, 32 - n));
}

INLINE __m256i ror(__m256i x, int n)
{
    return rol(x, 32 - n);
}

INLINE __m256i choose(__m256i x, __m256i y, __m256i z)
{
    return _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z)));
}

INLINE __m256i majority(__m256i x, __m256i y, __m256i z)
{
    return _mm256_or_si256(_mm256_and_si256(x, y), _mm256_and_si256(z, _mm256_or_si256(x, y)));
}

INLINE __m256i load_row(const uint8_t *p)
{
    const __m256i big_endian = _mm256_broadcastsi128_si256(
        _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    return _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i *)(const void *)p), big_endian);
}

INLINE void transpose_words(__m256i *out, __m256i r0, __m256i r1, __m256i r2, __m256i r3)
{
    __m256i low01 = _mm256_unpacklo_epi32(r0, r1), high01 = _mm256_unpackhi_epi32(r0, r1);
    __m256i low23 = _mm256_unpacklo_epi32(r2, r3), high23 = _mm256_unpackhi_epi32(r2, r3);
    out[0] = _mm256_unpacklo_epi64(low01, low23);
    out[1] = _mm256_unpackhi_epi64(low01, low23);
    out[2] = _mm256_unpacklo_epi64(high01, high23);
    out[3] = _mm256_unpackhi_epi64(high01, high23);
}

/* Half a block: eight words of eight messages. */
INLINE void load_half(__m256i w[8], const uint8_t *const data[], size_t at)
{
    __m256i a[4], b[4];
    transpose_words(a, load_row(data[0] + at), load_row(data[1] + at), load_row(data[2] + at),
                    load_row(data[3] + at));
    transpose_words(b, load_row(data[4] + at), load_row(data[5] + at), load_row(data[6] + at),
                    load_row(data[7] + at));
    for (int j = 0; j < 4; j++) {
        w[j] = _mm256_permute2x128_si256(a[j], b[j], 0x20);
        w[4 + j] = _mm256_permute2x128_si256(a[j], b[j], 0x31);
    }
}

static void load_states(__m256i *s, uint32_t *const h[], int words)
{
    for (int k = 0; k < words; k++)
        s[k] = _mm256_set_epi32((int)h[7][k], (int)h[6][k], (int)h[5][k], (int)h[4][k],
                                (int)h[3][k], (int)h[2][k], (int)h[1][k], (int)h[0][k]);
}

static void store_states(const __m256i *s, uint32_t *const h[], int words)
{
    uint32_t row[LANES] __attribute__((aligned(32)));
    for (int k = 0; k < words; k++) {
        _mm256_store_si256((__m256i *)(void *)row, s[k]);
        for (int i = 0; i < LANES; i++)
            h[i][k] = row[i];
    }
}

/* --- SHA-1 --- */

INLINE void sha1_round(__m256i s[5], __m256i w[16], int t, __m256i f, __m256i k)
{
    if (t >= 16) {
        __m256i x = xor3(w[(t - 3) & 15], w[(t - 8) & 15], w[(t - 14) & 15]);
        w[t & 15] = rol(_mm256_xor_si256(x, w[t & 15]), 1);
    }
    __m256i next = add(add(add(s[4], k), w[t & 15]), add(rol(s[0], 5), f));
    s[4] = s[3];
    s[3] = s[2];
    s[2] = rol(s[1], 30);
    s[1] = s[0];
    s[0] = next;
}

static void sha1(uint32_t *const h[], const uint8_t *const data[], size_t blocks)
{
    const __m256i k0 = _mm256_set1_epi32(0x5a827999), k1 = _mm256_set1_epi32(0x6ed9eba1);
    const __m256i k2 = _mm256_set1_epi32((int)0x8f1bbcdc), k3 = _mm256_set1_epi32((int)0xca62c1d6);
    __m256i sum[5];
    load_states(sum, h, 5);
    for (size_t b = 0; b < blocks; b++) {
        __m256i w[16], s[5] = { sum[0], sum[1], sum[2], sum[3], sum[4] };
        load_half(w, data, b * CRYPT_SHA_BLOCK);
        load_half(w + 8, data, b * CRYPT_SHA_BLOCK + 32);
#pragma GCC unroll 20
        for (int t = 0; t < 20; t++)
            sha1_round(s, w, t, choose(s[1], s[2], s[3]), k0);
#pragma GCC unroll 20
        for (int t = 20; t < 40; t++)
            sha1_round(s, w, t, xor3(s[1], s[2], s[3]), k1);
#pragma GCC unroll 20
        for (int t = 40; t < 60; t++)
            sha1_round(s, w, t, majority(s[1], s[2], s[3]), k2);
#pragma GCC unroll 20
        for (int t = 60; t < 80; t++)
            sha1_round(s, w, t, xor3(s[1], s[2], s[3]), k3);
        for (int i = 0; i < 5; i++)
            sum[i] = add(sum[i], s[i]);
    }
    store_states(sum, h, 5);
}

/* --- SHA-256 --- */

INLINE void sha256_round(__m256i s[8], __m256i w, uint32_t k)
{
    __m256i sigma1 = xor3(ror(s[4], 6), ror(s[4], 11), ror(s[4], 25));
    __m256i sigma0 = xor3(ror(s[0], 2), ror(s[0], 13), ror(s[0], 22));
    __m256i t1 =
        add(add(add(s[7], _mm256_set1_epi32((int)k)), w), add(sigma1, choose(s[4], s[5], s[6])));
    __m256i t2 = add(sigma0, majority(s[0], s[1], s[2]));
    s[7] = s[6];
    s[6] = s[5];
    s[5] = s[4];
    s[4] = add(s[3], t1);
    s[3] = s[2];
    s[2] = s[1];
    s[1] = s[0];
    s[0] = add(t1, t2);
}

INLINE __m256i small_sigma0(__m256i x)
{
    return xor3(ror(x, 7), ror(x, 18), _mm256_srli_epi32(x, 3));
}

INLINE __m256i small_sigma1(__m256i x)
{
    return xor3(ror(x, 17), ror(x, 19), _mm256_srli_epi32(x, 10));
}

static void sha256(uint32_t *const h[], const uint8_t *const data[], size_t blocks)
{
    __m256i sum[8];
    load_states(sum, h, 8);
    for (size_t b = 0; b < blocks; b++) {
        __m256i w[16], s[8];
        for (int i = 0; i < 8; i++)
            s[i] = sum[i];
        load_half(w, data, b * CRYPT_SHA_BLOCK);
        load_half(w + 8, data, b * CRYPT_SHA_BLOCK + 32);
#pragma GCC unroll 16
        for (int t = 0; t < 16; t++)
            sha256_round(s, w[t], crypt_sha256_k[t]);
        for (int base = 16; base < 64; base += 16) {
#pragma GCC unroll 16
            for (int t = 0; t < 16; t++) {
                __m256i x = add(small_sigma1(w[(t + 14) & 15]), small_sigma0(w[(t + 1) & 15]));
                w[t] = add(add(w[t], w[(t + 9) & 15]), x);
                sha256_round(s, w[t], crypt_sha256_k[base + t]);
            }
        }
        for (int i = 0; i < 8; i++)
            sum[i] = add(sum[i], s[i]);
    }
    store_states(sum, h, 8);
}

const struct crypt_kernels crypt_kernels_avx2 = {
    .lanes = CRYPT_LANES_AVX2,
    .width = LANES,
    .run = { sha1, sha256 },
    .at_least = { 5, 8 },
};
