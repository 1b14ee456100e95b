/* crypt/one: one message at a time, by OpenSSL's code for this processor (SHA instructions where it
 * has them).
 *
 * OpenSSL's newer interface keeps the state behind a pointer that it allocates, and may fail. Ours
 * is plain data that moves between this and the lanes, so the older calls are used: they take a
 * struct that can be filled from our state and read back. They are deprecated, not going: every 3.x
 * has them. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypt/priv.h"

#include <openssl/sha.h>

static void one_sha1(uint32_t *h, const uint8_t *data, size_t len)
{
    SHA_CTX c = { .h0 = h[0], .h1 = h[1], .h2 = h[2], .h3 = h[3], .h4 = h[4] };
    SHA1_Update(&c, data, len);
    h[0] = c.h0;
    h[1] = c.h1;
    h[2] = c.h2;
    h[3] = c.h3;
    h[4] = c.h4;
}

static void one_sha256(uint32_t *h, const uint8_t *data, size_t len)
{
    SHA256_CTX c = { .md_len = SHA256_DIGEST_LENGTH };
    memcpy(c.h, h, sizeof c.h);
    SHA256_Update(&c, data, len);
    memcpy(h, c.h, sizeof c.h);
}

void crypt_one(enum crypt_kind kind, uint32_t *h, const uint8_t *data, size_t blocks)
{
    if (kind == CRYPT_SHA1)
        one_sha1(h, data, blocks * CRYPT_SHA_BLOCK);
    else
        one_sha256(h, data, blocks * CRYPT_SHA_BLOCK);
}
