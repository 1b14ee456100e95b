/* crypt/rounds: SHA-1 and SHA-256 (FIPS 180-4, sections 6.1.2 and 6.2.2) over vectors, written once
 * for every width. A vector holds the same word of as many messages as it has lanes.
 *
 * Included by each lanes_*.c after it has said what its vectors are:
 *
 *   vec, V_LANES              the vector; how many words of 32 bits it holds
 *   V_ADD, V_XOR, V_XOR3      a + b; a ^ b; a ^ b ^ c
 *   V_CH, V_MAJ               a ? b : c, bit by bit; what two or three of a, b, c say
 *   V_ROL, V_ROR, V_SHR       by a constant number of bits
 *   V_ALL                     one word in every lane
 *   V_LOAD, V_STORE           words of the state, aligned
 *   load_words(w, data, at)   words 0 to 15 of the blocks at data[lane] + at, in host order
 *   KERNEL_SHA1, KERNEL_SHA256  the names to give
 *
 * Steps are macros so that every place in w is a constant: the schedule then lives in registers
 * where there are enough. Sums are bracketed so that what arrives last is added last. */
#ifndef CRYPT_ROUNDS_H
#define CRYPT_ROUNDS_H

/* w is a ring of the last 16 words of the schedule. */
#define W(t) w[(t)&15]

#define SHA1_WORD(t) \
    ((t) < 16 ? W(t) : (W(t) = V_ROL(V_XOR(V_XOR3(W((t)-3), W((t)-8), W((t)-14)), W((t)-16)), 1)))

/* The five words change names in place of moving. */
#define SHA1_STEP(a, b, c, d, e, f, k, t) \
    (e) = V_ADD(V_ADD(V_ADD(e, V_ADD(SHA1_WORD(t), k)), f(b, c, d)), V_ROL(a, 5)); \
    (b) = V_ROL(b, 30)

#define SHA1_5_STEPS(f, k, t) \
    SHA1_STEP(a, b, c, d, e, f, k, (t)); \
    SHA1_STEP(e, a, b, c, d, f, k, (t) + 1); \
    SHA1_STEP(d, e, a, b, c, f, k, (t) + 2); \
    SHA1_STEP(c, d, e, a, b, f, k, (t) + 3); \
    SHA1_STEP(b, c, d, e, a, f, k, (t) + 4)

#define SHA1_20_STEPS(f, k, t) \
    SHA1_5_STEPS(f, k, (t)); \
    SHA1_5_STEPS(f, k, (t) + 5); \
    SHA1_5_STEPS(f, k, (t) + 10); \
    SHA1_5_STEPS(f, k, (t) + 15)

void KERNEL_SHA1(uint32_t *state, const uint8_t *const data[], size_t blocks)
{
    const vec k0 = V_ALL(0x5a827999), k1 = V_ALL(0x6ed9eba1);
    const vec k2 = V_ALL(0x8f1bbcdc), k3 = V_ALL(0xca62c1d6);
    vec h[5];
    for (size_t i = 0; i < 5; i++)
        h[i] = V_LOAD(state + i * V_LANES);
    for (size_t at = 0; at < blocks * CRYPT_SHA_BLOCK; at += CRYPT_SHA_BLOCK) {
        vec w[16];
        load_words(w, data, at);
        vec a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        SHA1_20_STEPS(V_CH, k0, 0);
        SHA1_20_STEPS(V_XOR3, k1, 20);
        SHA1_20_STEPS(V_MAJ, k2, 40);
        SHA1_20_STEPS(V_XOR3, k3, 60);
        h[0] = V_ADD(h[0], a);
        h[1] = V_ADD(h[1], b);
        h[2] = V_ADD(h[2], c);
        h[3] = V_ADD(h[3], d);
        h[4] = V_ADD(h[4], e);
    }
    for (size_t i = 0; i < 5; i++)
        V_STORE(state + i * V_LANES, h[i]);
}

static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

#define SHA256_SUM0(x) V_XOR3(V_ROR(x, 2), V_ROR(x, 13), V_ROR(x, 22))
#define SHA256_SUM1(x) V_XOR3(V_ROR(x, 6), V_ROR(x, 11), V_ROR(x, 25))
#define SHA256_MIX0(x) V_XOR3(V_ROR(x, 7), V_ROR(x, 18), V_SHR(x, 3))
#define SHA256_MIX1(x) V_XOR3(V_ROR(x, 17), V_ROR(x, 19), V_SHR(x, 10))

#define SHA256_WORD(t) \
    ((t) < 16 ? W(t) \
              : (W(t) = V_ADD(V_ADD(W((t)-16), SHA256_MIX0(W((t)-15))), \
                              V_ADD(W((t)-7), SHA256_MIX1(W((t)-2))))))

#define SHA256_STEP(a, b, c, d, e, f, g, h, t) \
    (h) = V_ADD(V_ADD(h, V_ADD(SHA256_WORD(t), V_ALL(sha256_k[t]))), V_CH(e, f, g)); \
    (h) = V_ADD(h, SHA256_SUM1(e)); \
    (d) = V_ADD(d, h); \
    (h) = V_ADD(h, V_ADD(SHA256_SUM0(a), V_MAJ(a, b, c)))

#define SHA256_8_STEPS(t) \
    SHA256_STEP(a, b, c, d, e, f, g, h, (t)); \
    SHA256_STEP(h, a, b, c, d, e, f, g, (t) + 1); \
    SHA256_STEP(g, h, a, b, c, d, e, f, (t) + 2); \
    SHA256_STEP(f, g, h, a, b, c, d, e, (t) + 3); \
    SHA256_STEP(e, f, g, h, a, b, c, d, (t) + 4); \
    SHA256_STEP(d, e, f, g, h, a, b, c, (t) + 5); \
    SHA256_STEP(c, d, e, f, g, h, a, b, (t) + 6); \
    SHA256_STEP(b, c, d, e, f, g, h, a, (t) + 7)

void KERNEL_SHA256(uint32_t *state, const uint8_t *const data[], size_t blocks)
{
    vec s[8];
    for (size_t i = 0; i < 8; i++)
        s[i] = V_LOAD(state + i * V_LANES);
    for (size_t at = 0; at < blocks * CRYPT_SHA_BLOCK; at += CRYPT_SHA_BLOCK) {
        vec w[16];
        load_words(w, data, at);
        vec a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
        SHA256_8_STEPS(0);
        SHA256_8_STEPS(8);
        SHA256_8_STEPS(16);
        SHA256_8_STEPS(24);
        SHA256_8_STEPS(32);
        SHA256_8_STEPS(40);
        SHA256_8_STEPS(48);
        SHA256_8_STEPS(56);
        s[0] = V_ADD(s[0], a);
        s[1] = V_ADD(s[1], b);
        s[2] = V_ADD(s[2], c);
        s[3] = V_ADD(s[3], d);
        s[4] = V_ADD(s[4], e);
        s[5] = V_ADD(s[5], f);
        s[6] = V_ADD(s[6], g);
        s[7] = V_ADD(s[7], h);
    }
    for (size_t i = 0; i < 8; i++)
        V_STORE(state + i * V_LANES, s[i]);
}

#endif
