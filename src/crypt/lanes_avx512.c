/* Sixteen messages abreast: one lane of a 512-bit register each (AVX-512 F and BW).
 *
 * Rotation is one instruction here and so is any boolean function of three words, named by its
 * truth table. A block of each message is one load; sixteen of them are turned from a row per
 * message to a row per word without leaving registers. */
#include "crypt/priv.h"

#include <immintrin.h>

#define KERNEL_SHA1 crypt_sha1_avx512
#define KERNEL_SHA256 crypt_sha256_avx512

typedef __m512i vec;
#define V_LANES 16
#define V_ADD(a, b) _mm512_add_epi32(a, b)
#define V_XOR(a, b) _mm512_xor_si512(a, b)
#define V_XOR3(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0x96)
#define V_CH(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0xca)
#define V_MAJ(a, b, c) _mm512_ternarylogic_epi32(a, b, c, 0xe8)
#define V_ROL(a, n) _mm512_rol_epi32(a, n)
#define V_ROR(a, n) _mm512_ror_epi32(a, n)
#define V_SHR(a, n) _mm512_srli_epi32(a, n)
#define V_ALL(word) _mm512_set1_epi32((int)(word))
#define V_LOAD(p) _mm512_load_si512((const void *)(p))
#define V_STORE(p, v) _mm512_store_si512((void *)(p), v)

static inline void load_words(vec w[16], const uint8_t *const data[], size_t at)
{
    /* Within each word, last byte first. */
    const vec swap = _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203);
    vec r[16], s[16];
    crypt_prefetch(data, V_LANES, at);
    for (int l = 0; l < 16; l++)
        r[l] = _mm512_shuffle_epi8(_mm512_loadu_si512((const void *)(data[l] + at)), swap);
    /* Four lanes at a time, to rows that hold words k, 4 + k, 8 + k and 12 + k of those four. */
    for (int l = 0; l < 16; l += 4) {
        vec low01 = _mm512_unpacklo_epi32(r[l], r[l + 1]);
        vec low23 = _mm512_unpacklo_epi32(r[l + 2], r[l + 3]);
        vec high01 = _mm512_unpackhi_epi32(r[l], r[l + 1]);
        vec high23 = _mm512_unpackhi_epi32(r[l + 2], r[l + 3]);
        s[l] = _mm512_unpacklo_epi64(low01, low23);
        s[l + 1] = _mm512_unpackhi_epi64(low01, low23);
        s[l + 2] = _mm512_unpacklo_epi64(high01, high23);
        s[l + 3] = _mm512_unpackhi_epi64(high01, high23);
    }
    /* Then the quarters of those rows to their places. */
    for (int k = 0; k < 4; k++) {
        vec low07 = _mm512_shuffle_i32x4(s[k], s[4 + k], 0x44);
        vec high07 = _mm512_shuffle_i32x4(s[k], s[4 + k], 0xee);
        vec low8f = _mm512_shuffle_i32x4(s[8 + k], s[12 + k], 0x44);
        vec high8f = _mm512_shuffle_i32x4(s[8 + k], s[12 + k], 0xee);
        w[k] = _mm512_shuffle_i32x4(low07, low8f, 0x88);
        w[4 + k] = _mm512_shuffle_i32x4(low07, low8f, 0xdd);
        w[8 + k] = _mm512_shuffle_i32x4(high07, high8f, 0x88);
        w[12 + k] = _mm512_shuffle_i32x4(high07, high8f, 0xdd);
    }
}

#include "crypt/rounds.h"
