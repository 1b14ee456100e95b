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
    PLACES_WRITERS = 4,  /* writes of one long piece under way */
    PLACES_RUN_MIN = 8,  /* blocks, 128 KiB: from here a run is worth a write */
    PLACES_RUN_MAX = 64, /* blocks in one write */
    PLACES_BATCH = 32,   /* whole pieces written by one job */
};

enum block {
    BLOCK_FREE,
    BLOCK_LENT,
    BLOCK_HERE,
    BLOCK_WRITING, /* of long and spilled pieces only */
    BLOCK_WRITTEN, /* of long and spilled pieces only */
    BLOCK_STATES,
};

enum stage {
    STAGE_FILLING,  /* blocks come; of a long piece they are written too */
    STAGE_SPILLING, /* of a piece that is held: it becomes a long one */
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
    bool leaves_tag;              /* of store_piece_blocks */
    uint8_t *buf;                 /* owned; NULL of a long or spilled piece */
    uint8_t **bufs;               /* owned, of a long piece: of each block that is here */
    int64_t came_us;              /* when it was begun, or a block of it came last */
    bool was_held;                /* it had a buffer for the whole of it once */
    enum stage stage;
    unsigned n_out;  /* jobs and requests that will still come back to us */
    bool is_dropped; /* not wanted any more: goes when all has come back */
    bool has_failed; /* writing or reading back: err */
    struct tarn_err err;

    uint8_t sha1[CRYPT_SHA1_LEN];
    struct crypt_sha message;
    struct loop_hash v1, v2;
    struct loop_job job;       /* spilling; reading it back; nothing, to be told of it */
    struct tarn_list to_write; /* in places->to_write */
    struct place_writer {
        struct loop_job job;
        struct place_piece *piece;
        uint32_t first, n; /* blocks; 0: not under way */
        bool ok;
        struct tarn_bytes runs[PLACES_RUN_MAX];
        struct tarn_err err;
    } * writers; /* owned, of a long piece: PLACES_WRITERS */
};

/* Verified pieces on their way to the disk. */
struct place_batch {
    struct loop_job job;
    struct place_piece *pieces[PLACES_BATCH]; /* by number; none when not under way */
    size_t n;
};

struct store_places {
    struct store_places_settings set;
    struct store_share share;
    uint64_t begun;   /* bytes: of what the owner has begun and we would hold */
    uint64_t held;    /* bytes: of the whole buffers that are out */
    uint64_t spilled; /* bytes: of begun pieces that were held once */
    uint64_t hashing; /* bytes: of held pieces that wait to be hashed, or are */
    struct tarn_list to_write;
    struct place_batch batch;
    struct tarn_map map; /* index of a piece -> struct place_piece */
    struct tarn_list pieces;
    unsigned n_out;      /* of all pieces */
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
static inline size_t places_buffer_len(const struct place_piece *q)
{
    return (size_t)q->n_blocks * STORE_BLOCK;
}
/* The buffer of a whole piece goes back. */
void places_give_whole(struct place_piece *q);

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
void places_sent_out(struct place_piece *q); /* one more will come back */

/* batch.c */

void batch_init(struct store_places *p);
void batch_add(struct place_piece *q); /* write it */
void batch_stop(struct store_places *p);

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
/* The piece is held and no place of it is lent: write what is here, and let its buffer go. False:
 * no memory. */
bool long_spill(struct place_piece *q);

#endif
