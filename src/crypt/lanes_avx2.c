/* Eight messages abreast: one lane of a 256-bit register each (AVX2).
 *
 * A row for the transposition takes 16 bytes of one message and 16 of its fourth neighbour, so that
 * the two halves of a register never have to mix. With sixteen registers the schedule lives in the
 * first level of cache. */
#include "crypt/priv.h"

#include <immintrin.h>

#define KERNEL_SHA1 crypt_sha1_avx2
#define KERNEL_SHA256 crypt_sha256_avx2

typedef __m256i vec;
#define V_LANES 8
#define V_ADD(a, b) _mm256_add_epi32(a, b)
#define V_XOR(a, b) _mm256_xor_si256(a, b)
#define V_XOR3(a, b, c) V_XOR(V_XOR(b, c), a)
#define V_CH(a, b, c) V_XOR(c, _mm256_and_si256(a, V_XOR(b, c)))
#define V_MAJ(a, b, c) \
    _mm256_or_si256(_mm256_and_si256(a, _mm256_or_si256(b, c)), _mm256_and_si256(b, c))
#define V_ROL(a, n) _mm256_or_si256(_mm256_slli_epi32(a, n), _mm256_srli_epi32(a, 32 - (n)))
#define V_ROR(a, n) V_ROL(a, 32 - (n))
#define V_SHR(a, n) _mm256_srli_epi32(a, n)
#define V_ALL(word) _mm256_set1_epi32((int)(word))
#define V_LOAD(p) _mm256_load_si256((const __m256i *)(const void *)(p))
#define V_STORE(p, v) _mm256_store_si256((__m256i *)(void *)(p), v)

static inline __m128i load_half(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline void load_words(vec w[16], const uint8_t *const data[], size_t at)
{
    /* Within each word, last byte first. */
    const vec swap =
        _mm256_broadcastsi128_si256(_mm_set_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203));
    crypt_prefetch(data, V_LANES, at);
    for (size_t k = 0; k < 16; k += 4) {
        vec r[4];
        for (int l = 0; l < 4; l++) {
            __m128i low = load_half(data[l] + at + 4 * k);
            __m128i high = load_half(data[l + 4] + at + 4 * k);
            r[l] = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
            r[l] = _mm256_shuffle_epi8(r[l], swap);
        }
        vec low01 = _mm256_unpacklo_epi32(r[0], r[1]);
        vec low23 = _mm256_unpacklo_epi32(r[2], r[3]);
        vec high01 = _mm256_unpackhi_epi32(r[0], r[1]);
        vec high23 = _mm256_unpackhi_epi32(r[2], r[3]);
        w[k] = _mm256_unpacklo_epi64(low01, low23);
        w[k + 1] = _mm256_unpackhi_epi64(low01, low23);
        w[k + 2] = _mm256_unpacklo_epi64(high01, high23);
        w[k + 3] = _mm256_unpackhi_epi64(high01, high23);
    }
}

#include "crypt/rounds.h"
