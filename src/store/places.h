/* store/places: where arriving blocks are put, and how whole pieces reach the disk.
 *
 * A block that is about to arrive is lent a place in its piece's write-back buffer, so that it can
 * be received straight into it; committed, or abandoned when its sender stops. When every block of
 * a piece is there, the piece is hashed (loop/hashing), its owner judges the hashes, and it is
 * written in one large run or dropped. Nothing unverified is ever written under a final name, and
 * with pieces that fit the budget nothing unverified is written at all.
 *
 * Budget (store/budget.h): memory of all buffers of all places together. Ask store_places_may_begin
 * before blocks of one more piece are asked for, and say with store_places_begun what has been
 * begun: then there is a buffer when they come. When there is none after all, store_place says
 * FULL: the caller stops reading that connection until on_room. A piece longer than a quarter of
 * the budget is not held: its blocks are written as they come (to the .part file) and read back to
 * be hashed. A piece whose blocks have stopped coming becomes such a one when others need the room.
 *
 * Pieces that are verified are written one after the other, as many as wait in one job: two writers
 * of one file would only wait for each other.
 *
 * Lives on one loop; hashing and disk work go to its pool. */
#ifndef STORE_PLACES_H
#define STORE_PLACES_H

#include "crypt/merkle.h"
#include "loop/loop.h"
#include "store/budget.h"
#include "store/tree.h"

enum {
    STORE_BLOCK = 16384,
    STORE_LONG_BEGUN_MAX = 16, /* long pieces under way: each is read back, which costs */
};

struct store_places;

struct store_hashes {
    uint8_t sha1[20];
    const uint8_t *leaves; /* v2: n_leaves of 32 bytes, only during the call */
    uint32_t n_leaves;
};

struct store_places_ops {
    /* A full piece has been hashed (h), or reading it back failed (err; h is NULL). The owner
     * answers, now or later, with store_piece_write, store_block_drop (of some blocks) or
     * store_piece_drop; after an error, with that. */
    void (*on_hashed)(void *arg, uint32_t piece, const struct store_hashes *h,
                      const struct tarn_err *err);
    /* The piece is on disk (err NULL), or writing failed. Its buffer is gone. */
    void (*on_written)(void *arg, uint32_t piece, const struct tarn_err *err);
    /* There is room again after STORE_PLACE_FULL or store_places_await. */
    void (*on_room)(void *arg);
    /* What store_piece_blocks asked for: the SHA-256 of each block that came; tag as it was given
     * there. The owner answers as after on_hashed. May be NULL. */
    void (*on_blocks)(void *arg, uint32_t piece, bool tag, const uint8_t *leaves, uint32_t n);
    /* Bytes of this piece are about to be written to the files, verified or not; they were, or it
     * failed. On a thread of the pool, and while others write. May be NULL. */
    void (*before_write)(void *arg, uint32_t piece);
    void (*after_write)(void *arg, uint32_t piece);
};

struct store_places_settings {
    struct loop *loop;
    struct store_tree *tree; /* borrowed */
    const struct store_layout *layout;
    struct store_budget *budget; /* borrowed */
    bool want_v1, want_v2;
    const struct store_places_ops *ops;
    void *arg;
};

struct store_places *store_places_new(const struct store_places_settings *set, struct tarn_err *err)
    TARN_MUST;
/* What is being hashed or written is waited for, so that the tree may go next; nothing is called
 * back. All places must have been given back. Before loop_free. Accepts NULL. */
void store_places_free(struct store_places *p);

enum store_place_answer {
    STORE_PLACE_OK,
    STORE_PLACE_FULL,  /* no room now: stop reading until on_room */
    STORE_PLACE_TAKEN, /* that block is there already, or is arriving, or its piece is being hashed:
                          read it into nothing */
    STORE_PLACE_NO_MEMORY,
};

/* begin is a multiple of STORE_BLOCK, len is STORE_BLOCK or what the piece's last block has. With
 * v2 alone a piece ends where its file does (store_piece_own_file), else with its padding. */
enum store_place_answer store_place(struct store_places *p, uint32_t piece, uint32_t begin,
                                    uint32_t len, uint8_t **at);
/* The place is full. When it was the piece's last one, hashing begins. */
void store_commit(struct store_places *p, uint32_t piece, uint32_t begin, uint32_t len);
void store_abandon(struct store_places *p, uint32_t piece, uint32_t begin, uint32_t len);
/* A block that is padding alone, of a piece of which another block is lent now: it is zeros. Needs
 * no place, so it cannot fail; harmless for a block that is not free. */
void store_pad(struct store_places *p, uint32_t piece, uint32_t begin);

void store_piece_write(struct store_places *p, uint32_t piece);
/* In place of an answer to on_hashed, where v2 hashes were not wanted: hash the blocks of it, and
 * ask again. False: its blocks are not in memory any more, or there is no memory. */
bool store_piece_blocks(struct store_places *p, uint32_t piece, bool tag) TARN_MUST;
/* Also a partial one: it goes when the places lent of it have been given back, and until then
 * answers STORE_PLACE_TAKEN. While it is being hashed or written, nothing more is heard of it.
 * Harmless for a piece that is not here. */
void store_piece_drop(struct store_places *p, uint32_t piece);

/* One bad block of a hashed piece (v2 leaves told which), or of a partial one: it is free again,
 * the others stay. */
void store_block_drop(struct store_places *p, uint32_t piece, uint32_t begin);

/* How many more pieces may be begun now. */
size_t store_places_may_begin(const struct store_places *p);
/* None may, but one is wanted: on_room when there is room. */
void store_places_await(struct store_places *p);
/* Blocks of all pieces that are begun and not longer than store_places_hold_max: asked for, here,
 * or being judged and written. Say so whenever it changes. */
void store_places_begun(struct store_places *p, uint64_t blocks);
uint32_t store_places_hold_max(const struct store_places *p); /* blocks */

uint64_t store_places_used(const struct store_places *p); /* bytes of budget in use */
bool store_places_busy(const struct store_places *p);     /* hashing or writing anything */

#endif
