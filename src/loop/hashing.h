/* loop/hashing: "hash this run, tell me".
 *
 * Requests from all pieces, torrents and doors of one loop are gathered and hashed abreast in the
 * lanes of crypt/sha on the pool's threads. A batch leaves when LOOP_HASH_BATCH messages (or
 * blocks) of its kind wait, when the oldest has waited for LOOP_HASH_WAIT_US, or when somebody
 * flushes because he has nothing else to wait for. Answers come on the loop's thread.
 *
 * Nothing here fails or allocates: batches are made with the loop, and while all of them are out,
 * requests wait in line (and fill the next batch better). Who submits bounds what he has out. */
#ifndef LOOP_HASHING_H
#define LOOP_HASHING_H

#include "crypt/sha.h"
#include "loop/loop.h"

enum {
    LOOP_HASH_BATCH = CRYPT_LANES_MAX,
    /* Ours: a block of 16 KiB takes some 8 us alone; waiting for company longer than it takes to
     * receive a few of them costs more than it gains. */
    LOOP_HASH_WAIT_US = 10000,
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
