/* crypt/avx512: sixteen messages abreast, one in each 32-bit lane of a 512-bit register (FIPS
 * 180-4).
 *
 * A block of each message is loaded as a row of sixteen words; transposing the sixteen rows gives
 * the words w[0] to w[15] of all messages at once. Boolean functions are one instruction each, and
 * so are rotations. Built with -mavx512f -mavx512bw; called only where the processor has them. */
#include "crypt/priv.h"

#include <immintrin.h>

enum { LANES = 16 };

#define INLINE static inline __attribute__((always_inline))

/* Truth tables of vpternlog. */
enum { CHOOSE = 0xca, PARITY = 0x96, MAJORITY = 0xe8 };

INLINE __m512i add(__m512i a, __m512i b)
{
    return _mm512_add_epi32(a, b);
}

INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
    return _mm512_ternarylogic_epi32(a, b, c, PARITY);
}

/* Four rows of 128-bit lanes, transposed into w[0], w[4], w[8], w[12]. */
INLINE void transpose_lanes(__m512i *w, __m512i r0, __m512i r1, __m512i r2, __m512i r3)
{
    __m512i even01 = _mm512_shuffle_i32x4(r0, r1, 0x88);
    __m512i even23 = _mm512_shuffle_i32x4(r2, r3, 0x88);
    __m512i odd01 = _mm512_shuffle_i32x4(r0, r1, 0xdd);
    __m512i odd23 = _mm512_shuffle_i32x4(r2, r3, 0xdd);
    w[0] = _mm512_shuffle_i32x4(even01, even23, 0x88);
    w[4] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
    w[8] = _mm512_shuffle_i32x4(even01, even23, 0xdd);
    w[12] = _mm512_shuffle_i32x4(odd01, odd23, 0xdd);
}

/* Words of four messages, transposed within each 128-bit lane. */
INLINE void transpose_words(__m512i *out, __m512i r0, __m512i r1, __m512i r2, __m512i r3)
{
    __m512i low01 = _mm512_unpacklo_epi32(r0, r1), high01 = _mm512_unpackhi_epi32(r0, r1);
    __m512i low23 = _mm512_unpacklo_epi32(r2, r3), high23 = _mm512_unpackhi_epi32(r2, r3);
    out[0] = _mm512_unpacklo_epi64(low01, low23);
    out[1] = _mm512_unpackhi_epi64(low01, low23);
    out[2] = _mm512_unpacklo_epi64(high01, high23);
    out[3] = _mm512_unpackhi_epi64(high01, high23);
}

INLINE __m512i load_row(const uint8_t *p)
{
    const __m512i big_endian =
        _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    return _mm512_shuffle_epi8(_mm512_loadu_si512(p), big_endian);
}

INLINE void load_block(__m512i w[16], const uint8_t *const data[], size_t at)
{
    __m512i part[16];
#pragma GCC unroll 4
    for (int g = 0; g < 4; g++)
        transpose_words(&part[4 * g], load_row(data[4 * g] + at), load_row(data[4 * g + 1] + at),
                        load_row(data[4 * g + 2] + at), load_row(data[4 * g + 3] + at));
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        transpose_lanes(&w[j], part[j], part[4 + j], part[8 + j], part[12 + j]);
}

static void load_states(__m512i *s, uint32_t *const h[], int words)
{
    uint32_t row[LANES] __attribute__((aligned(64)));
    for (int k = 0; k < words; k++) {
        for (int i = 0; i < LANES; i++)
            row[i] = h[i][k];
        s[k] = _mm512_load_si512(row);
    }
}

static void store_states(const __m512i *s, uint32_t *const h[], int words)
{
    uint32_t row[LANES] __attribute__((aligned(64)));
    for (int k = 0; k < words; k++) {
        _mm512_store_si512(row, s[k]);
        for (int i = 0; i < LANES; i++)
            h[i][k] = row[i];
    }
}

/* --- SHA-1 --- */

/* Round t of a stage: t is a constant after unrolling, so the state is renamed, not moved. */
INLINE void sha1_round(__m512i s[5], __m512i w[16], int t, __m512i f, __m512i k)
{
    if (t >= 16) {
        __m512i x = xor3(w[(t - 3) & 15], w[(t - 8) & 15], w[(t - 14) & 15]);
        w[t & 15] = _mm512_rol_epi32(_mm512_xor_si512(x, w[t & 15]), 1);
    }
    __m512i next = add(add(add(s[4], k), w[t & 15]), add(_mm512_rol_epi32(s[0], 5), f));
    s[4] = s[3];
    s[3] = s[2];
    s[2] = _mm512_rol_epi32(s[1], 30);
    s[1] = s[0];
    s[0] = next;
}

static void sha1(uint32_t *const h[], const uint8_t *const data[], size_t blocks)
{
    const __m512i k0 = _mm512_set1_epi32(0x5a827999), k1 = _mm512_set1_epi32(0x6ed9eba1);
    const __m512i k2 = _mm512_set1_epi32((int)0x8f1bbcdc), k3 = _mm512_set1_epi32((int)0xca62c1d6);
    __m512i sum[5];
    load_states(sum, h, 5);
    for (size_t b = 0; b < blocks; b++) {
        __m512i w[16], s[5] = { sum[0], sum[1], sum[2], sum[3], sum[4] };
        load_block(w, data, b * CRYPT_SHA_BLOCK);
#pragma GCC unroll 20
        for (int t = 0; t < 20; t++)
            sha1_round(s, w, t, _mm512_ternarylogic_epi32(s[1], s[2], s[3], CHOOSE), k0);
#pragma GCC unroll 20
        for (int t = 20; t < 40; t++)
            sha1_round(s, w, t, xor3(s[1], s[2], s[3]), k1);
#pragma GCC unroll 20
        for (int t = 40; t < 60; t++)
            sha1_round(s, w, t, _mm512_ternarylogic_epi32(s[1], s[2], s[3], MAJORITY), k2);
#pragma GCC unroll 20
        for (int t = 60; t < 80; t++)
            sha1_round(s, w, t, xor3(s[1], s[2], s[3]), k3);
        for (int i = 0; i < 5; i++)
            sum[i] = add(sum[i], s[i]);
    }
    store_states(sum, h, 5);
}

/* --- SHA-256 --- */

INLINE __m512i big_sigma0(__m512i x)
{
    return xor3(_mm512_ror_epi32(x, 2), _mm512_ror_epi32(x, 13), _mm512_ror_epi32(x, 22));
}

INLINE __m512i big_sigma1(__m512i x)
{
    return xor3(_mm512_ror_epi32(x, 6), _mm512_ror_epi32(x, 11), _mm512_ror_epi32(x, 25));
}

INLINE __m512i small_sigma0(__m512i x)
{
    return xor3(_mm512_ror_epi32(x, 7), _mm512_ror_epi32(x, 18), _mm512_srli_epi32(x, 3));
}

INLINE __m512i small_sigma1(__m512i x)
{
    return xor3(_mm512_ror_epi32(x, 17), _mm512_ror_epi32(x, 19), _mm512_srli_epi32(x, 10));
}

INLINE void sha256_round(__m512i s[8], __m512i w, uint32_t k)
{
    __m512i choose = _mm512_ternarylogic_epi32(s[4], s[5], s[6], CHOOSE);
    __m512i majority = _mm512_ternarylogic_epi32(s[0], s[1], s[2], MAJORITY);
    __m512i t1 = add(add(add(s[7], _mm512_set1_epi32((int)k)), w), add(big_sigma1(s[4]), choose));
    __m512i t2 = add(big_sigma0(s[0]), majority);
    s[7] = s[6];
    s[6] = s[5];
    s[5] = s[4];
    s[4] = add(s[3], t1);
    s[3] = s[2];
    s[2] = s[1];
    s[1] = s[0];
    s[0] = add(t1, t2);
}

static void sha256(uint32_t *const h[], const uint8_t *const data[], size_t blocks)
{
    __m512i sum[8];
    load_states(sum, h, 8);
    for (size_t b = 0; b < blocks; b++) {
        __m512i w[16], s[8];
        for (int i = 0; i < 8; i++)
            s[i] = sum[i];
        load_block(w, data, b * CRYPT_SHA_BLOCK);
#pragma GCC unroll 16
        for (int t = 0; t < 16; t++)
            sha256_round(s, w[t], crypt_sha256_k[t]);
        for (int base = 16; base < 64; base += 16) {
#pragma GCC unroll 16
            for (int t = 0; t < 16; t++) {
                __m512i x = add(small_sigma1(w[(t + 14) & 15]), small_sigma0(w[(t + 1) & 15]));
                w[t] = add(add(w[t], w[(t + 9) & 15]), x);
                sha256_round(s, w[t], crypt_sha256_k[base + t]);
            }
        }
        for (int i = 0; i < 8; i++)
            sum[i] = add(sum[i], s[i]);
    }
    store_states(sum, h, 8);
}

const struct crypt_kernels crypt_kernels_avx512 = {
    .lanes = CRYPT_LANES_AVX512,
    .width = LANES,
    .run = { sha1, sha256 },
    /* Measured on a processor with SHA instructions: below so many, one stream after the other is
     * faster than sixteen lanes of which most are idle. */
    .at_least = { 4, 7 },
};
