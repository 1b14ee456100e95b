/* store/places_priv: a piece under way, as places.c and long.c see it. */
#ifndef STORE_PLACES_PRIV_H
#define STORE_PLACES_PRIV_H

#include "base/list.h"
#include "base/map.h"
#include "loop/hashing.h"
#include "loop/pool.h"
#include "store/places.h"
#include "store/priv.h"

enum {
    PLACES_BUDGET_MIN = 4 * STORE_BLOCK, /* a smaller budget is taken as this */
    PLACES_WRITERS = 4,                  /* writes of one long piece under way */
    PLACES_RUN_MIN = 8,                  /* blocks, 128 KiB: from here a run is worth a write */
    PLACES_RUN_MAX = 64,                 /* blocks in one write */
};

enum block {
    BLOCK_FREE,
    BLOCK_LENT,
    BLOCK_HERE,
    BLOCK_WRITING, /* of long pieces only */
    BLOCK_WRITTEN, /* of long pieces only */
    BLOCK_STATES,
};

enum stage {
    STAGE_FILLING, /* blocks come; of a long piece they are written too */
    STAGE_HASHING,
    STAGE_JUDGING, /* its owner has been told the hashes */
    STAGE_WRITING, /* of a long piece: it is there already, and its owner will be told so */
};

struct place_piece {
    struct store_places *places;
    struct tarn_list node; /* in places->pieces */
    uint32_t index;        /* also its key in places->map */
    uint32_t len;          /* bytes that come: all with v1, those of its own file with v2 alone */
    uint32_t own_len;      /* bytes of its own file: what has leaves */
    uint32_t n_blocks;
    uint32_t count[BLOCK_STATES]; /* blocks in each state */
    uint8_t *state;               /* owned; enum block of each */
    uint8_t *leaves;              /* owned */
    uint8_t *buf;                 /* owned; NULL of a long piece */
    uint8_t **bufs;               /* owned, of a long piece: of each block that is here */
    enum stage stage;
    unsigned n_out;  /* jobs and requests that will still come back to us */
    bool is_dropped; /* not wanted any more: goes when all has come back */
    bool has_failed; /* writing or reading back: err */
    struct tarn_err err;

    uint8_t sha1[CRYPT_SHA1_LEN];
    struct crypt_sha message;
    struct loop_hash v1, v2;
    struct loop_job job; /* writing it whole; reading it back; nothing, to be told of it */
    struct place_writer {
        struct loop_job job;
        struct place_piece *piece;
        uint32_t first, n; /* blocks; 0: not under way */
        bool ok;
        struct tarn_bytes runs[PLACES_RUN_MAX];
        struct tarn_err err;
    } * writers; /* owned, of a long piece: PLACES_WRITERS */
};

struct store_places {
    struct store_places_settings set;
    struct tarn_map map; /* index of a piece -> struct place_piece */
    struct tarn_list pieces;
    uint64_t used;
    unsigned n_out;  /* of all pieces */
    bool wants_room; /* FULL was said */
    struct loop_idle room;
    atomic_bool is_over; /* store_places_free was called: jobs need not begin */
    struct sys_lock lock;
    struct sys_cond idle;
    unsigned running; /* under lock: jobs that may use the tree */
};

static inline bool places_is_long(const struct place_piece *q)
{
    return q->buf == NULL;
}

/* Bytes of the block; the last one of a piece may be short. */
static inline size_t places_block_len(const struct place_piece *q, uint32_t block)
{
    uint32_t at = block * STORE_BLOCK;
    return q->len - at < STORE_BLOCK ? q->len - at : STORE_BLOCK;
}

/* places.c */

void places_set_block(struct place_piece *q, uint32_t block, enum block state);
/* Memory of the budget, counted. NULL when there is no memory; is_full when there is no room. */
uint8_t *places_take(struct store_places *p, size_t len, bool *is_full);
void places_give(struct store_places *p, uint8_t *buf, size_t len);

/* Give the pool a job of the piece. Every done function begins with places_came_back; it is false
 * when nobody is interested any more, and then the piece may be gone. */
void places_submit(struct place_piece *q, struct loop_job *job);
bool places_came_back(struct place_piece *q);

/* Nothing of it is here, lent or under way any more, or it was dropped and all has come back: free
 * it. True when it is gone. */
bool places_settle(struct place_piece *q);
void places_drop(struct place_piece *q);
/* Tell its owner the hashes, or that reading it back failed. */
void places_tell_hashed(struct place_piece *q);
/* Forget it and tell its owner that it is written (err NULL) or not. */
void places_tell_written(struct place_piece *q, const struct tarn_err *err);

/* Around every write of bytes of the piece, on the thread that writes. */
void places_before_write(const struct place_piece *q);
void places_after_write(const struct place_piece *q);

/* long.c */

bool long_init(struct place_piece *q);    /* false: no memory */
void long_release(struct place_piece *q); /* takes its jobs back */
enum store_place_answer long_place(struct place_piece *q, uint32_t block, uint8_t **at);
/* A block has come: write what is worth a write, and read the piece back when all is written. */
void long_commit(struct place_piece *q, uint32_t block);
/* Write what is there, however little: the budget is full. */
void long_press(struct store_places *p);
void long_forget_block(struct place_piece *q, uint32_t block);
void long_tell_written(struct place_piece *q);

#endif
