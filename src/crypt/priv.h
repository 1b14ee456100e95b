/* crypt/priv: the kernels of crypt/sha. */
#ifndef CRYPT_PRIV_H
#define CRYPT_PRIV_H

#include "crypt/sha.h"

/* Advance `width` messages by `blocks` blocks each: h[i] is the state of message i, data[i] its
 * next byte. All must be there: an idle lane gets a state to spoil and any readable data. */
typedef void (*crypt_kernel)(uint32_t *const h[], const uint8_t *const data[], size_t blocks);

struct crypt_kernels {
    enum crypt_lanes lanes;
    unsigned width;       /* 1: there is no wide kernel */
    crypt_kernel run[2];  /* by enum crypt_kind */
    unsigned at_least[2]; /* below so many waiting messages one stream is faster */
};

extern const struct crypt_kernels crypt_kernels_avx512, crypt_kernels_avx2;

/* One message alone, through OpenSSL. */
void crypt_one(enum crypt_kind kind, uint32_t *h, const uint8_t *data, size_t blocks);

extern const uint32_t crypt_sha256_k[64];

#endif
