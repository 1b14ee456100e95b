/* crypt/sha: SHA-1 and SHA-256, one message or many abreast.
 *
 * A message in progress is plain data (struct crypt_sha): copy it, keep thousands, feed each a
 * chunk at a time. Nothing here allocates or fails. Any thread may use any message, one thread at a
 * time.
 *
 * Many messages that wait together are hashed side by side, one in each lane of a vector register:
 * 16 lanes with AVX-512, 8 with AVX2. A wide kernel always pays for all its lanes, so below a
 * measured number of waiting messages each goes alone, through OpenSSL's one-stream code (SHA
 * instructions where the processor has them). Which kernels run is chosen once, from the processor
 * and from TARN_LANES in the environment (auto, avx512, avx2, off: for measuring and for tests). */
#ifndef CRYPT_SHA_H
#define CRYPT_SHA_H

#include "base/attr.h"
#include "base/bytes.h"

enum crypt_kind { CRYPT_SHA1, CRYPT_SHA256 };

enum {
    CRYPT_SHA1_LEN = 20,
    CRYPT_SHA256_LEN = 32,
    CRYPT_SHA_BLOCK = 64, /* both work on blocks of 64 bytes */
    CRYPT_LANES_MAX = 16, /* more messages than this at once gain nothing */
};

struct crypt_sha {
    uint32_t h[8];                 /* chaining state; SHA-1 uses five */
    uint64_t len;                  /* bytes fed so far */
    uint8_t tail[CRYPT_SHA_BLOCK]; /* the last len % 64 bytes */
    enum crypt_kind kind;
};

static inline size_t crypt_digest_len(enum crypt_kind kind)
{
    return kind == CRYPT_SHA1 ? CRYPT_SHA1_LEN : CRYPT_SHA256_LEN;
}

/* One message. */
void crypt_sha_init(struct crypt_sha *m, enum crypt_kind kind);
void crypt_sha_update(struct crypt_sha *m, struct tarn_bytes data);
void crypt_sha_final(struct crypt_sha *m, uint8_t *digest); /* m must be init again before reuse */

/* Many messages of one kind, no two the same: feed data[i] to m[i]; the pieces of data need not be
 * equally long. Best with 16 messages, chunks of equal length and a multiple of 64. */
void crypt_sha_update_many(struct crypt_sha *const m[], const struct tarn_bytes data[], size_t n);
/* digests: n digests, one after the other, not where data lies. */
void crypt_sha_final_many(struct crypt_sha *const m[], size_t n, uint8_t *digests);

/* Whole messages at once. digests as above. */
void crypt_hash(enum crypt_kind kind, struct tarn_bytes data, uint8_t *digest);
void crypt_hash_many(enum crypt_kind kind, const struct tarn_bytes data[], size_t n,
                     uint8_t *digests);

/* The widths that this processor offers, widest first, and the one in use. Switching is for tests
 * and benches, while no other thread hashes. */
enum crypt_lanes { CRYPT_LANES_OFF, CRYPT_LANES_AVX2, CRYPT_LANES_AVX512 };
bool crypt_lanes_can(enum crypt_lanes lanes);
void crypt_lanes_use(enum crypt_lanes lanes);
enum crypt_lanes crypt_lanes_now(void);
const char *crypt_lanes_name(enum crypt_lanes lanes); /* "off", "avx2", "avx512" */

#endif
