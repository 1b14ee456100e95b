/* store/places: pieces under way, from the first block lent until they are on disk. Pieces that are
 * too long for the budget are long.c's; what both do is here.
 *
 * A piece is freed at once when nothing of it is under way. Else it is marked as dropped, answers
 * TAKEN, and goes when the last place, job or request has come back; so nobody ever writes into, or
 * hashes, memory that is gone. */
#include "store/places.h"

#include "base/mem.h"
#include "base/num.h"
#include "store/places_priv.h"
#include "sys/clock.h"

#include <assert.h>

/* The budget. */

uint8_t *places_take(struct store_places *p, size_t len, bool *is_full)
{
    *is_full = p->used + len > p->set.budget;
    if (*is_full) {
        p->wants_room = true;
        return NULL;
    }
    uint8_t *buf = tarn_realloc(NULL, len, 1); /* not cleared: it is filled before it is read */
    if (buf != NULL)
        p->used += len;
    return buf;
}

void places_give(struct store_places *p, uint8_t *buf, size_t len)
{
    if (buf == NULL)
        return;
    tarn_free(buf);
    p->used -= len;
    if (p->wants_room && !atomic_load(&p->is_over))
        loop_idle_set(p->set.loop, &p->room);
}

static void on_idle(struct loop_idle *i)
{
    struct store_places *p = TARN_OUTER(i, struct store_places, room);
    p->wants_room = false;
    p->set.ops->on_room(p->set.arg);
}

/* Pieces. */

static size_t buffer_len(const struct place_piece *q)
{
    return (size_t)q->n_blocks * STORE_BLOCK;
}

static struct place_piece *find(struct store_places *p, uint32_t piece)
{
    uint64_t *value = tarn_map_get(&p->map, tarn_bytes_of(&piece, sizeof piece));
    return value == NULL ? NULL : (struct place_piece *)(uintptr_t)*value;
}

static void free_piece(struct place_piece *q)
{
    struct store_places *p = q->places;
    assert(q->n_out == 0);
    tarn_map_remove(&p->map, tarn_bytes_of(&q->index, sizeof q->index));
    tarn_list_remove(&q->node);
    if (places_is_long(q))
        long_release(q);
    else
        places_give(p, q->buf, buffer_len(q));
    tarn_free(q->state);
    tarn_free(q->leaves);
    tarn_free(q);
}

static bool fill_in(struct place_piece *q, uint32_t piece)
{
    const struct store_places_settings *set = &q->places->set;
    q->index = piece;
    (void)store_piece_own_file(set->layout, piece, &q->own_len); /* the length is what counts */
    q->len = set->want_v1 ? store_piece_len(set->layout, piece) : q->own_len;
    if (!set->want_v2)
        q->own_len = 0;
    q->n_blocks = (uint32_t)tarn_div_up_u64(q->len, STORE_BLOCK);
    q->count[BLOCK_FREE] = q->n_blocks;
    q->state = tarn_calloc(q->n_blocks, 1);
    q->leaves = tarn_calloc((size_t)tarn_div_up_u64(q->own_len, MERKLE_BLOCK), MERKLE_HASH);
    return q->state != NULL && q->leaves != NULL;
}

static enum store_place_answer make_piece(struct store_places *p, uint32_t piece,
                                          struct place_piece **made)
{
    bool is_full = false;
    struct place_piece *q = tarn_calloc(1, sizeof *q);
    if (q == NULL)
        return STORE_PLACE_NO_MEMORY;
    q->places = p;
    bool ok = fill_in(q, piece);
    if (ok && buffer_len(q) > p->set.budget / 4) {
        ok = long_init(q);
    } else if (ok) {
        q->buf = places_take(p, buffer_len(q), &is_full);
        ok = q->buf != NULL;
    }
    ok = ok &&
         tarn_map_put(&p->map, tarn_bytes_of(&q->index, sizeof q->index), (uint64_t)(uintptr_t)q);
    if (!ok) {
        free_piece(q);
        return is_full ? STORE_PLACE_FULL : STORE_PLACE_NO_MEMORY;
    }
    tarn_list_push_back(&p->pieces, &q->node);
    *made = q;
    return STORE_PLACE_OK;
}

void places_set_block(struct place_piece *q, uint32_t block, enum block state)
{
    q->count[q->state[block]]--;
    q->count[state]++;
    q->state[block] = (uint8_t)state;
}

bool places_settle(struct place_piece *q)
{
    bool is_empty = q->is_dropped ? q->count[BLOCK_LENT] == 0 : q->count[BLOCK_FREE] == q->n_blocks;
    if (!is_empty || q->n_out > 0)
        return false;
    free_piece(q);
    return true;
}

void places_drop(struct place_piece *q)
{
    q->is_dropped = true;
    (void)places_settle(q); /* else when all has come back */
}

/* What is under way. */

static void sent_out(struct place_piece *q)
{
    q->n_out++;
    q->places->n_out++;
}

bool places_came_back(struct place_piece *q)
{
    bool is_wanted = !q->is_dropped;
    q->n_out--;
    q->places->n_out--;
    if (!is_wanted)
        (void)places_settle(q); /* unless more is to come back */
    return is_wanted;
}

void places_submit(struct place_piece *q, struct loop_job *job)
{
    sent_out(q);
    loop_pool_submit(q->places->set.loop, job);
}

/* Hashing. */

void places_tell_hashed(struct place_piece *q)
{
    const struct store_places *p = q->places;
    struct store_hashes h = { .leaves = q->leaves,
                              .n_leaves = (uint32_t)tarn_div_up_u64(q->own_len, MERKLE_BLOCK) };
    memcpy(h.sha1, q->sha1, sizeof h.sha1);
    q->stage = STAGE_JUDGING;
    p->set.ops->on_hashed(p->set.arg, q->index, q->has_failed ? NULL : &h,
                          q->has_failed ? &q->err : NULL);
}

static void hash_came_back(struct place_piece *q)
{
    if (places_came_back(q) && q->n_out == 0)
        places_tell_hashed(q);
}

static void on_v1(struct loop_hash *h)
{
    hash_came_back(TARN_OUTER(h, struct place_piece, v1));
}

static void on_v2(struct loop_hash *h)
{
    hash_came_back(TARN_OUTER(h, struct place_piece, v2));
}

static void start_hashing(struct place_piece *q)
{
    const struct store_places_settings *set = &q->places->set;
    q->stage = STAGE_HASHING;
    if (set->want_v1) {
        crypt_sha_init(&q->message, CRYPT_SHA1);
        q->v1 = (struct loop_hash){ .message = &q->message,
                                    .digest = q->sha1,
                                    .data = tarn_bytes_of(q->buf, q->len),
                                    .done = on_v1 };
        sent_out(q);
        loop_hash_submit(set->loop, &q->v1);
    }
    if (q->own_len > 0) {
        q->v2 = (struct loop_hash){ .leaves = q->leaves,
                                    .data = tarn_bytes_of(q->buf, q->own_len),
                                    .done = on_v2 };
        sent_out(q);
        loop_hash_submit(set->loop, &q->v2);
    }
}

/* Writing. */

void places_before_write(const struct place_piece *q)
{
    const struct store_places_settings *set = &q->places->set;
    if (set->ops->before_write != NULL)
        set->ops->before_write(set->arg, q->index);
}

void places_after_write(const struct place_piece *q)
{
    const struct store_places_settings *set = &q->places->set;
    if (set->ops->after_write != NULL)
        set->ops->after_write(set->arg, q->index);
}

static void run_write(struct loop_job *job)
{
    struct place_piece *q = TARN_OUTER(job, struct place_piece, job);
    const struct store_places_settings *set = &q->places->set;
    struct tarn_bytes run = tarn_bytes_of(q->buf, q->len);
    places_before_write(q);
    q->has_failed =
        !store_tree_write(set->tree, (uint64_t)q->index * set->layout->piece_len, &run, 1, &q->err);
    places_after_write(q);
}

void places_tell_written(struct place_piece *q, const struct tarn_err *err)
{
    const struct store_places *p = q->places;
    struct tarn_err why = { 0 };
    uint32_t piece = q->index;
    if (err != NULL)
        why = *err;
    places_drop(q);
    p->set.ops->on_written(p->set.arg, piece, err == NULL ? NULL : &why);
}

static void on_write_done(struct loop_job *job)
{
    struct place_piece *q = TARN_OUTER(job, struct place_piece, job);
    if (places_came_back(q))
        places_tell_written(q, q->has_failed ? &q->err : NULL);
}

/* The door. */

struct store_places *store_places_new(const struct store_places_settings *set, struct tarn_err *err)
{
    uint8_t seed[16];
    if (!sys_random(seed, sizeof seed, err))
        return NULL;
    struct store_places *p = tarn_calloc(1, sizeof *p);
    if (p == NULL) {
        tarn_fail_mem(err, "making room for arriving pieces");
        return NULL;
    }
    p->set = *set;
    if (p->set.budget == 0)
        p->set.budget = STORE_BUDGET_DEFAULT;
    p->set.budget = tarn_max_u64(p->set.budget, PLACES_BUDGET_MIN);
    tarn_map_init(&p->map, seed);
    tarn_list_init(&p->pieces);
    p->room.on_idle = on_idle;
    atomic_init(&p->is_over, false);
    return p;
}

void store_places_free(struct store_places *p)
{
    if (p == NULL)
        return;
    struct tarn_list *node;
    atomic_store(&p->is_over, true);
    loop_idle_stop(&p->room);
    while ((node = tarn_list_pop_front(&p->pieces)) != NULL) {
        struct place_piece *q = TARN_OUTER(node, struct place_piece, node);
        loop_hash_cancel(p->set.loop, &q->v1);
        loop_hash_cancel(p->set.loop, &q->v2);
        loop_pool_cancel(p->set.loop, &q->job);
        q->n_out = 0;
        free_piece(q);
    }
    tarn_map_release(&p->map);
    tarn_free(p);
}

enum store_place_answer store_place(struct store_places *p, uint32_t piece, uint32_t begin,
                                    uint32_t len, uint8_t **at)
{
    struct place_piece *q = find(p, piece);
    enum store_place_answer answer = STORE_PLACE_OK;
    uint32_t block = begin / STORE_BLOCK;
    (void)len;
    if (q == NULL)
        answer = make_piece(p, piece, &q);
    else if (q->stage != STAGE_FILLING || q->is_dropped || q->has_failed ||
             q->state[block] != BLOCK_FREE)
        answer = STORE_PLACE_TAKEN;
    if (answer == STORE_PLACE_OK) {
        assert(begin % STORE_BLOCK == 0 && block < q->n_blocks);
        assert(len == places_block_len(q, block));
        if (places_is_long(q))
            answer = long_place(q, block, at);
        else
            *at = q->buf + begin;
    }
    if (answer == STORE_PLACE_OK)
        places_set_block(q, block, BLOCK_LENT);
    else if (q != NULL)
        (void)places_settle(q); /* a new one that could not lend its first place */
    if (answer == STORE_PLACE_FULL)
        long_press(p);
    return answer;
}

/* A place that somebody has: its piece, and the block's number. */
static struct place_piece *lent(struct store_places *p, uint32_t piece, uint32_t begin,
                                uint32_t *block)
{
    struct place_piece *q = find(p, piece);
    *block = begin / STORE_BLOCK;
    assert(q != NULL && *block < q->n_blocks && q->state[*block] == BLOCK_LENT);
    return q;
}

static void take_back(struct place_piece *q, uint32_t block)
{
    places_set_block(q, block, BLOCK_FREE);
    if (places_is_long(q))
        long_forget_block(q, block);
    (void)places_settle(q); /* it stays when it has more blocks */
}

void store_commit(struct store_places *p, uint32_t piece, uint32_t begin, uint32_t len)
{
    uint32_t block;
    struct place_piece *q = lent(p, piece, begin, &block);
    (void)len;
    if (q->is_dropped || q->has_failed) {
        take_back(q, block);
        return;
    }
    places_set_block(q, block, BLOCK_HERE);
    if (places_is_long(q))
        long_commit(q, block);
    else if (q->count[BLOCK_HERE] == q->n_blocks)
        start_hashing(q);
}

void store_abandon(struct store_places *p, uint32_t piece, uint32_t begin, uint32_t len)
{
    uint32_t block;
    struct place_piece *q = lent(p, piece, begin, &block);
    (void)len;
    take_back(q, block);
}

void store_piece_write(struct store_places *p, uint32_t piece)
{
    struct place_piece *q = find(p, piece);
    assert(q != NULL && q->stage == STAGE_JUDGING);
    q->stage = STAGE_WRITING;
    if (places_is_long(q)) {
        long_tell_written(q);
        return;
    }
    q->job.run = run_write;
    q->job.done = on_write_done;
    places_submit(q, &q->job);
}

void store_piece_drop(struct store_places *p, uint32_t piece)
{
    struct place_piece *q = find(p, piece);
    if (q != NULL)
        places_drop(q);
}

void store_block_drop(struct store_places *p, uint32_t piece, uint32_t begin)
{
    struct place_piece *q = find(p, piece);
    uint32_t block = begin / STORE_BLOCK;
    assert(q != NULL && block < q->n_blocks);
    assert(q->stage == STAGE_JUDGING || q->stage == STAGE_FILLING);
    if (q->state[block] != BLOCK_HERE && q->state[block] != BLOCK_WRITTEN)
        return;
    q->stage = STAGE_FILLING;
    take_back(q, block);
}

uint64_t store_places_used(const struct store_places *p)
{
    return p->used;
}

bool store_places_busy(const struct store_places *p)
{
    return p->n_out > 0;
}
