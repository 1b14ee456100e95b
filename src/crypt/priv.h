/* crypt/priv: what the files of this room share. */
#ifndef CRYPT_PRIV_H
#define CRYPT_PRIV_H

#include "crypt/sha.h"

enum {
    SHA_WORDS = 8,                    /* of chaining state; SHA-1 leaves three unused */
    SHA_PAD_MAX = 2 * CRYPT_SHA_BLOCK /* a tail, 0x80, zeros and the length: one block or two */
};

/* Run `blocks` blocks of 64 bytes of each lane's message. state is 64-byte aligned and holds word w
 * of lane l at state[w * lanes + l]; data[l] points to lane l's blocks, wherever they lie. */
typedef void crypt_kernel(uint32_t *state, const uint8_t *const data[], size_t blocks);

extern crypt_kernel crypt_sha1_avx512, crypt_sha256_avx512;
extern crypt_kernel crypt_sha1_avx2, crypt_sha256_avx2;

/* For kernels: fetch what they will read soon. The processor's own prefetching loses its way among
 * sixteen messages. Measured: data in the third level of cache 6.0 -> 8.9 GB/s, in memory 3.5
 * -> 5.1 (SHA-1, AVX-512); data in the first level loses 4 %. Past the end of the data it is
 * harmless, but no place for pointer arithmetic. */
static inline void crypt_prefetch(const uint8_t *const data[], size_t lanes, size_t at)
{
    enum { AHEAD = 256 };
    for (size_t l = 0; l < lanes; l++)
        __builtin_prefetch((const void *)((uintptr_t)data[l] + at + AHEAD));
}

/* How messages of one kind are hashed abreast. */
struct crypt_way {
    crypt_kernel *kernel; /* NULL when there are no lanes: each message goes alone */
    size_t lanes;
    size_t least; /* with fewer messages waiting than this, each goes alone */
};

/* The way in use. */
struct crypt_way crypt_way_of(enum crypt_kind kind);

/* For tests: as crypt_lanes_use, but even one message goes into lanes. */
void crypt_lanes_use_always(enum crypt_lanes lanes);

/* One message alone: h is its state. */
void crypt_blocks(enum crypt_kind kind, uint32_t h[SHA_WORDS], const uint8_t *p, size_t blocks);

/* What a lane is given: a message's state and up to two runs of whole blocks, one after the other.
 */
struct crypt_job {
    uint32_t h[SHA_WORDS];
    struct crypt_run {
        const uint8_t *p;
        size_t blocks;
    } run[2];
    size_t index;             /* for the source: which message this is */
    uint8_t pad[SHA_PAD_MAX]; /* for the source: the run that ends a message lies here */
};

/* Where jobs come from and go to. */
struct crypt_source {
    enum crypt_kind kind;
    size_t n; /* how many there are */
    /* Fill in the next job; it stays where it is until done. False when there are no more. */
    bool (*next)(struct crypt_source *s, struct crypt_job *job);
    void (*done)(struct crypt_source *s, struct crypt_job *job);
};

/* Run all jobs of a source, as many abreast as there are lanes. */
void crypt_run_all(struct crypt_source *s);

#endif
