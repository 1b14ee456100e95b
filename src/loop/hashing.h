/* loop/hashing: "hash this run, tell me".
 *
 * Requests from all pieces, torrents and doors of one loop are gathered and hashed abreast in the
 * lanes of crypt/sha on the pool's threads. A batch leaves when LOOP_HASH_BATCH messages (or
 * blocks) of its kind wait, when the oldest has waited for LOOP_HASH_WAIT_US (longer if long), or
 * when somebody flushes because he has nothing else to wait for. Answers come on the loop's thread.
 *
 * Nothing here fails or allocates: batches are made with the loop, and while all of them are out,
 * requests wait in line (and fill the next batch better). Who submits bounds what he has out. */
#ifndef LOOP_HASHING_H
#define LOOP_HASHING_H

#include "crypt/sha.h"
#include "loop/loop.h"

enum {
    LOOP_HASH_BATCH = CRYPT_LANES_MAX,
    /* Ours, for each MiB of the oldest, at least this and at most six of it: at 1 GB/s ten pieces
     * of 1 MiB come in 10 ms, and ten abreast take a quarter of the time of ten alone. Nobody waits
     * for a piece so closely. */
    LOOP_HASH_WAIT_US = 10000,
    LOOP_HASH_WAIT_MAX_US = 60000,
};

struct loop_hash {
    /* One of two kinds of work over data, which the caller keeps until done:
     * a message in progress, fed with data, and finished into digest when it is not NULL (one
     * request a message at a time: batches run side by side); */
    struct crypt_sha *message;
    uint8_t *digest;
    /* or, when message is NULL, the SHA-256 of each 16 KiB block of data (the last may be short)
     * into leaves, 32 bytes each. */
    uint8_t *leaves;
    struct tarn_bytes data;
    void (*done)(struct loop_hash *h); /* may free, reuse or submit h */
    struct tarn_list node;             /* private */
};

void loop_hash_submit(struct loop *l, struct loop_hash *h);
void loop_hash_flush(struct loop *l);
/* Take a request back: done() will not be called, and data and message are nobody else's when this
 * returns (it waits for a thread that is at them). Harmless for one that is not out. */
void loop_hash_cancel(struct loop *l, struct loop_hash *h);

#endif
