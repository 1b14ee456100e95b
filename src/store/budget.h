/* store/budget: memory for arriving data, one budget for all who share it.
 *
 * Buffers: taken and given back through a share; what is given back is kept for the next of its
 * length, so that a busy session asks the system for no memory and faults no page. What is out and
 * what is kept never pass the limit together.
 *
 * Promises: whoever begins to ask strangers for a piece must know that there will be a buffer when
 * its blocks come. Each share says how many bytes of whole pieces it has promised; nobody begins
 * one more than fits. A slice of the limit is never promised: it is for pieces too long to be held,
 * whose blocks take little and are soon written, so that they always get on.
 *
 * Turns: who is refused stands in line, and is called (on_room) in the order of asking when there
 * is room. While others stand in line, one piece may be begun in a turn. So no share starves. There
 * are two lines, because pieces that are begun must get on whoever wants to begin one.
 *
 * Stalls: when somebody stands in line and nothing has come free for a while, store_budget_tick
 * has the share whose piece has waited longest give that up (spill).
 *
 * Everything belongs to the loop's thread. */
#ifndef STORE_BUDGET_H
#define STORE_BUDGET_H

#include "base/list.h"
#include "loop/loop.h"

enum {
    STORE_BUDGET_DEFAULT = 64 << 20,
    STORE_BUDGET_MIN = 64 << 10, /* a smaller one is taken as this */
    /* Ours: a piece that nobody has brought a block of for so long may be spilled for others. */
    STORE_STALL_US = 5 * 1000 * 1000,
};

struct store_budget {
    struct loop *loop;
    uint64_t limit;    /* bytes */
    uint64_t used;     /* bytes of buffers that are out */
    uint64_t most;     /* the highest that `used` has been */
    uint64_t promised; /* bytes, of all shares */
    /* private */
    uint64_t kept, kept_low;  /* bytes given back and kept; the lowest of it since the last tick */
    struct store_kept *spare; /* owned; those kept, the last given back first */
    struct tarn_list shares;
    struct tarn_list for_buffer, for_piece; /* the lines */
    struct store_share *turn;               /* whose turn it is, in a call of its on_room */
    bool turn_used;
    bool has_moved; /* since the last tick: something came free */
    struct loop_idle room;
};

struct store_share {
    struct store_budget *budget; /* NULL: not joined */
    /* There may be room now: take, or begin, what was refused. */
    void (*on_room)(struct store_share *s);
    /* Of the pieces in memory that wait for blocks: since when nothing has come for the one that
     * has waited longest; INT64_MAX: there is none. */
    int64_t (*waits_since)(struct store_share *s);
    void (*spill)(struct store_share *s); /* write that piece out, and give its buffer back */
    uint64_t used, promised;              /* bytes of this share */
    /* private */
    struct tarn_list node;
    struct tarn_list awaits_buffer, awaits_piece; /* in line, for so many bytes: */
    size_t buffer_len, piece_len;
};

/* limit: bytes; 0: STORE_BUDGET_DEFAULT. */
void store_budget_init(struct store_budget *b, struct loop *l, uint64_t limit);
void store_budget_release(struct store_budget *b); /* all shares have left; accepts a zeroed one */
/* Now and then, about once a second: gives back to the system what was kept and not needed since
 * the last call, and resolves stalls. */
void store_budget_tick(struct store_budget *b, int64_t now_us);

/* Nothing for store_budget_tick to do, until a buffer is taken. */
bool store_budget_is_idle(const struct store_budget *b);

/* Pieces longer than this are not held: they are written as they come. */
uint64_t store_budget_piece_max(const struct store_budget *b);

void store_share_join(struct store_share *s, struct store_budget *b);
void store_share_leave(
    struct store_share *s); /* its buffers are given back; accepts a zeroed one */

/* A buffer of at least 16 KiB, not cleared. NULL: with is_full there is no room, and the share
 * stands in line; else there is no memory. */
uint8_t *store_share_take(struct store_share *s, size_t len, bool *is_full);
void store_share_give(struct store_share *s, uint8_t *buf, size_t len); /* accepts NULL */

/* How many pieces of len bytes may be begun now. */
size_t store_share_may_begin(const struct store_share *s, size_t len);
/* Stand in line for a piece of len bytes. */
void store_share_await(struct store_share *s, size_t len);
/* Stand in line for whatever comes free next. */
void store_share_await_any(struct store_share *s);
/* What the share has promised now, pieces that are here included. */
void store_share_promise(struct store_share *s, uint64_t bytes);

#endif
