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

/* Pieces that the owner has begun may not be here yet, and some that are here it may have given up.
 */
static void update_promise(struct store_places *p)
{
    uint64_t begun = p->begun > p->spilled ? p->begun - p->spilled : 0;
    store_share_promise(&p->share, tarn_max_u64(begun, p->held));
}

static void on_room(struct store_share *s)
{
    struct store_places *p = TARN_OUTER(s, struct store_places, share);
    p->set.ops->on_room(p->set.arg);
}

void places_give_whole(struct place_piece *q)
{
    struct store_places *p = q->places;
    size_t len = places_buffer_len(q);
    if (q->buf == NULL)
        return;
    store_share_give(&p->share, q->buf, len);
    q->buf = NULL;
    p->held -= len;
    if (q->bufs != NULL)
        p->spilled += len;
    update_promise(p);
}

static bool take_whole(struct place_piece *q, bool *is_full)
{
    struct store_places *p = q->places;
    size_t len = places_buffer_len(q);
    q->buf = store_share_take(&p->share, len, is_full);
    if (q->buf == NULL)
        return false;
    p->held += len;
    update_promise(p);
    return true;
}

/* Of the pieces that could be spilled, the one that has waited longest for a block; or NULL. */
static struct place_piece *most_stalled(const struct store_places *p)
{
    struct place_piece *found = NULL;
    for (struct tarn_list *node = p->pieces.next; node != &p->pieces; node = node->next) {
        struct place_piece *q = TARN_OUTER(node, struct place_piece, node);
        if (q->buf != NULL && q->stage == STAGE_FILLING && q->n_out == 0 && !q->is_dropped &&
            q->count[BLOCK_LENT] == 0 && (found == NULL || q->came_us < found->came_us))
            found = q;
    }
    return found;
}

static int64_t waits_since(struct store_share *s)
{
    const struct place_piece *q = most_stalled(TARN_OUTER(s, struct store_places, share));
    return q == NULL ? INT64_MAX : q->came_us;
}

static void spill(struct store_share *s)
{
    struct place_piece *q = most_stalled(TARN_OUTER(s, struct store_places, share));
    if (q != NULL)
        (void)long_spill(q); /* without memory it is tried again at the next tick */
}

size_t store_places_may_begin(const struct store_places *p)
{
    uint64_t len = tarn_div_up_u64(p->set.layout->piece_len, STORE_BLOCK) * STORE_BLOCK;
    uint64_t most = store_budget_piece_max(p->set.budget);
    size_t room = store_share_may_begin(&p->share, (size_t)tarn_min_u64(len, most));
    return len <= most ? room : tarn_min_size(room, STORE_LONG_BEGUN_MAX);
}

void store_places_await(struct store_places *p)
{
    uint64_t len = tarn_div_up_u64(p->set.layout->piece_len, STORE_BLOCK) * STORE_BLOCK;
    store_share_await(&p->share, (size_t)tarn_min_u64(len, store_budget_piece_max(p->set.budget)));
}

void store_places_begun(struct store_places *p, uint64_t blocks)
{
    if (p->begun == blocks * STORE_BLOCK)
        return;
    p->begun = blocks * STORE_BLOCK;
    update_promise(p);
}

uint32_t store_places_hold_max(const struct store_places *p)
{
    return (uint32_t)tarn_min_u64(store_budget_piece_max(p->set.budget) / STORE_BLOCK, UINT32_MAX);
}

/* Pieces. */

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
    if (q->bufs != NULL && q->was_held)
        p->spilled -= q->buf == NULL ? places_buffer_len(q) : 0;
    long_release(q);
    q->bufs = NULL;
    places_give_whole(q);
    update_promise(p);
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
    q->came_us = loop_now_us(p->set.loop);
    bool ok = fill_in(q, piece);
    if (ok && places_buffer_len(q) > store_budget_piece_max(p->set.budget)) {
        ok = long_init(q);
    } else if (ok) {
        q->was_held = true;
        ok = take_whole(q, &is_full);
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

void places_sent_out(struct place_piece *q)
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
    places_sent_out(q);
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
    if (q->n_out == 1)
        q->places->hashing -= q->len;
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
    q->places->hashing += q->len;
    if (set->want_v1) {
        crypt_sha_init(&q->message, CRYPT_SHA1);
        q->v1 = (struct loop_hash){ .message = &q->message,
                                    .digest = q->sha1,
                                    .data = tarn_bytes_of(q->buf, q->len),
                                    .done = on_v1 };
        places_sent_out(q);
        loop_hash_submit(set->loop, &q->v1);
    }
    if (q->own_len > 0) {
        q->v2 = (struct loop_hash){ .leaves = q->leaves,
                                    .data = tarn_bytes_of(q->buf, q->own_len),
                                    .done = on_v2 };
        places_sent_out(q);
        loop_hash_submit(set->loop, &q->v2);
    }
    /* Half of the memory waits for company: the other half fills meanwhile. */
    if (q->places->hashing >= set->budget->limit / 2)
        loop_hash_flush(set->loop);
}

static void on_block_hashes(struct loop_hash *h)
{
    struct place_piece *q = TARN_OUTER(h, struct place_piece, v2);
    const struct store_places *p = q->places;
    if (places_came_back(q))
        p->set.ops->on_blocks(p->set.arg, q->index, q->leaves_tag, q->leaves, q->n_blocks);
}

bool store_piece_blocks(struct store_places *p, uint32_t piece, bool tag)
{
    struct place_piece *q = find(p, piece);
    assert(q != NULL && q->stage == STAGE_JUDGING && q->own_len == 0);
    uint8_t *leaves = q->buf == NULL ? NULL : tarn_calloc(q->n_blocks, MERKLE_HASH);
    if (leaves == NULL)
        return false;
    tarn_free(q->leaves);
    q->leaves = leaves;
    q->leaves_tag = tag;
    q->v2 = (struct loop_hash){ .leaves = leaves,
                                .data = tarn_bytes_of(q->buf, q->len),
                                .done = on_block_hashes };
    places_sent_out(q);
    loop_hash_submit(p->set.loop, &q->v2);
    loop_hash_flush(p->set.loop);
    return true;
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
    p->share.on_room = on_room;
    p->share.waits_since = waits_since;
    p->share.spill = spill;
    store_share_join(&p->share, set->budget);
    batch_init(p);
    tarn_map_init(&p->map, seed);
    tarn_list_init(&p->pieces);
    atomic_init(&p->is_over, false);
    return p;
}

void store_places_free(struct store_places *p)
{
    if (p == NULL)
        return;
    struct tarn_list *node;
    atomic_store(&p->is_over, true);
    batch_stop(p);
    while ((node = tarn_list_pop_front(&p->pieces)) != NULL) {
        struct place_piece *q = TARN_OUTER(node, struct place_piece, node);
        loop_hash_cancel(p->set.loop, &q->v1);
        loop_hash_cancel(p->set.loop, &q->v2);
        loop_pool_cancel(p->set.loop, &q->job);
        q->n_out = 0;
        free_piece(q);
    }
    store_share_leave(&p->share);
    tarn_map_release(&p->map);
    tarn_free(p);
}

static enum store_place_answer wait_for_spill(struct place_piece *q)
{
    store_share_await_any(&q->places->share); /* its buffer comes free when it is written */
    return STORE_PLACE_FULL;
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
    else if (q->stage == STAGE_SPILLING && !q->is_dropped)
        answer = wait_for_spill(q);
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
    q->came_us = loop_now_us(p->set.loop);
    if (places_is_long(q))
        long_commit(q, block);
    else if (q->count[BLOCK_HERE] == q->n_blocks)
        start_hashing(q);
}

/* Padding is on no disk, and reads as zeros: in a long piece it is as good as written. */
void store_pad(struct store_places *p, uint32_t piece, uint32_t begin)
{
    struct place_piece *q = find(p, piece);
    uint32_t block = begin / STORE_BLOCK;
    if (q == NULL || q->stage != STAGE_FILLING || q->is_dropped || q->has_failed ||
        q->state[block] != BLOCK_FREE)
        return;
    assert(q->count[BLOCK_LENT] > 0);
    if (!places_is_long(q))
        memset(q->buf + begin, 0, places_block_len(q, block));
    places_set_block(q, block, places_is_long(q) ? BLOCK_WRITTEN : BLOCK_HERE);
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
    batch_add(q);
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
    return p->share.used;
}

bool store_places_busy(const struct store_places *p)
{
    return p->n_out > 0;
}
