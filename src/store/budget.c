/* store/budget: see the header. Buffers that are kept hold their own list. */
#include "store/budget.h"

#include "base/mem.h"
#include "base/num.h"

#include <assert.h>

enum {
    SLICE_MIN = 16 << 10, /* one block of a long piece */
    SLICE_MAX = 4 << 20,
    PIECES_MIN = 4, /* the limit holds at least so many whole pieces */
};

struct store_kept {
    struct store_kept *next;
    size_t len;
};

static uint64_t slice(const struct store_budget *b)
{
    return tarn_min_u64(tarn_max_u64(b->limit / 8, SLICE_MIN), SLICE_MAX);
}

uint64_t store_budget_piece_max(const struct store_budget *b)
{
    return b->limit / PIECES_MIN;
}

static void free_spare(struct store_budget *b, uint64_t bytes)
{
    while (b->spare != NULL && bytes > 0) {
        struct store_kept *k = b->spare;
        b->spare = k->next;
        b->kept -= k->len;
        bytes -= tarn_min_u64(bytes, k->len);
        tarn_free(k);
    }
    b->kept_low = tarn_min_u64(b->kept_low, b->kept);
}

static uint8_t *take_spare(struct store_budget *b, size_t len)
{
    for (struct store_kept **at = &b->spare; *at != NULL; at = &(*at)->next)
        if ((*at)->len == len) {
            struct store_kept *k = *at;
            *at = k->next;
            b->kept -= len;
            b->kept_low = tarn_min_u64(b->kept_low, b->kept);
            return (uint8_t *)k;
        }
    return NULL;
}

static bool has_buffer(const struct store_budget *b, size_t len)
{
    return len <= b->limit - b->used;
}

static uint64_t unpromised(const struct store_budget *b)
{
    uint64_t most = b->limit - slice(b);
    return b->promised < most ? most - b->promised : 0;
}

/* The lines. */

static bool somebody_waits(const struct store_budget *b)
{
    return !tarn_list_empty(&b->for_buffer) || !tarn_list_empty(&b->for_piece);
}

static void stand_in(struct tarn_list *line, struct tarn_list *node)
{
    if (!tarn_list_is_in(node))
        tarn_list_push_back(line, node);
}

static void came_free(struct store_budget *b)
{
    b->has_moved = true;
    if (somebody_waits(b))
        loop_idle_set(b->loop, &b->room);
}

static void give_turn(struct store_budget *b, struct store_share *s)
{
    b->turn = s;
    b->turn_used = false;
    s->on_room(s);
    b->turn = NULL;
}

static size_t count(const struct tarn_list *line)
{
    size_t n = 0;
    for (const struct tarn_list *node = line->next; node != line; node = node->next)
        n++;
    return n;
}

/* Pieces are begun already: whoever can go on does, in order. Each is asked once, and who is
 * refused again stands behind the others. */
static void serve_buffers(struct store_budget *b)
{
    for (size_t n = count(&b->for_buffer); n > 0 && !tarn_list_empty(&b->for_buffer); n--) {
        struct tarn_list *node = tarn_list_pop_front(&b->for_buffer);
        struct store_share *s = TARN_OUTER(node, struct store_share, awaits_buffer);
        if (has_buffer(b, s->buffer_len))
            give_turn(b, s);
        else
            tarn_list_push_back(&b->for_buffer, node);
    }
}

/* Who is first is waited for, however much it wants. */
static void serve_pieces(struct store_budget *b)
{
    for (size_t n = count(&b->for_piece); n > 0 && !tarn_list_empty(&b->for_piece); n--) {
        struct store_share *s = TARN_OUTER(b->for_piece.next, struct store_share, awaits_piece);
        if (unpromised(b) < s->piece_len)
            return;
        tarn_list_remove(&s->awaits_piece);
        give_turn(b, s);
    }
}

/* When nobody took anything, they wait until something comes free. */
static void on_idle(struct loop_idle *i)
{
    struct store_budget *b = TARN_OUTER(i, struct store_budget, room);
    uint64_t used = b->used, promised = b->promised;
    serve_buffers(b);
    serve_pieces(b);
    if ((b->used != used || b->promised != promised) && somebody_waits(b))
        loop_idle_set(b->loop, &b->room);
}

/* The door. */

void store_budget_init(struct store_budget *b, struct loop *l, uint64_t limit)
{
    limit = limit == 0 ? STORE_BUDGET_DEFAULT : tarn_max_u64(limit, STORE_BUDGET_MIN);
    *b = (struct store_budget){ .loop = l, .limit = limit };
    b->room.on_idle = on_idle;
    tarn_list_init(&b->shares);
    tarn_list_init(&b->for_buffer);
    tarn_list_init(&b->for_piece);
}

void store_budget_release(struct store_budget *b)
{
    if (b->loop == NULL)
        return;
    assert(tarn_list_empty(&b->shares));
    loop_idle_stop(&b->room);
    free_spare(b, UINT64_MAX);
    *b = (struct store_budget){ 0 };
}

static void resolve_stall(struct store_budget *b, int64_t now_us)
{
    struct store_share *oldest = NULL;
    int64_t since = INT64_MAX;
    for (struct tarn_list *node = b->shares.next; node != &b->shares; node = node->next) {
        struct store_share *s = TARN_OUTER(node, struct store_share, node);
        int64_t waits = s->waits_since(s);
        if (waits < since) {
            since = waits;
            oldest = s;
        }
    }
    if (oldest != NULL && now_us - since >= STORE_STALL_US)
        oldest->spill(oldest);
}

void store_budget_tick(struct store_budget *b, int64_t now_us)
{
    free_spare(b, b->kept_low);
    b->kept_low = b->kept;
    if (somebody_waits(b) && !b->has_moved)
        resolve_stall(b, now_us);
    b->has_moved = false;
}

bool store_budget_is_idle(const struct store_budget *b)
{
    return b->used == 0 && b->kept == 0 && !somebody_waits(b);
}

void store_share_join(struct store_share *s, struct store_budget *b)
{
    s->budget = b;
    tarn_list_push_back(&b->shares, &s->node);
}

void store_share_leave(struct store_share *s)
{
    struct store_budget *b = s->budget;
    if (b == NULL)
        return;
    assert(s->used == 0);
    store_share_promise(s, 0);
    tarn_list_remove(&s->node);
    tarn_list_remove(&s->awaits_buffer);
    tarn_list_remove(&s->awaits_piece);
    if (b->turn == s)
        b->turn = NULL;
    came_free(b); /* who stood behind it */
    s->budget = NULL;
}

uint8_t *store_share_take(struct store_share *s, size_t len, bool *is_full)
{
    struct store_budget *b = s->budget;
    assert(len >= sizeof(struct store_kept));
    *is_full = !has_buffer(b, len);
    if (*is_full) {
        s->buffer_len = len;
        stand_in(&b->for_buffer, &s->awaits_buffer);
        return NULL;
    }
    uint8_t *buf = take_spare(b, len);
    if (buf == NULL) {
        uint64_t after = b->used + b->kept + len;
        if (after > b->limit)
            free_spare(b, after - b->limit);
        buf = tarn_realloc(NULL, len, 1); /* not cleared: it is filled before it is read */
    }
    if (buf == NULL)
        return NULL;
    s->used += len;
    b->used += len;
    b->most = tarn_max_u64(b->most, b->used);
    return buf;
}

void store_share_give(struct store_share *s, uint8_t *buf, size_t len)
{
    struct store_budget *b = s->budget;
    if (buf == NULL)
        return;
    struct store_kept *k = (struct store_kept *)(void *)buf;
    *k = (struct store_kept){ .next = b->spare, .len = len };
    b->spare = k;
    b->kept += len;
    b->used -= len;
    s->used -= len;
    came_free(b);
}

size_t store_share_may_begin(const struct store_share *s, size_t len)
{
    const struct store_budget *b = s->budget;
    size_t room = (size_t)(unpromised(b) / len);
    bool is_my_turn = b->turn == s && !b->turn_used;
    const struct tarn_list *line = &b->for_piece;
    bool others_wait = !tarn_list_empty(line) &&
                       (line->next != &s->awaits_piece || line->prev != &s->awaits_piece);
    if (!others_wait)
        return room;
    return is_my_turn ? tarn_min_size(room, 1) : 0;
}

void store_share_await(struct store_share *s, size_t len)
{
    s->piece_len = len;
    stand_in(&s->budget->for_piece, &s->awaits_piece);
    if (unpromised(s->budget) >= len) /* it came too early in somebody's turn */
        loop_idle_set(s->budget->loop, &s->budget->room);
}

void store_share_await_any(struct store_share *s)
{
    if (!tarn_list_is_in(&s->awaits_buffer))
        s->buffer_len = 0;
    stand_in(&s->budget->for_buffer, &s->awaits_buffer);
}

void store_share_promise(struct store_share *s, uint64_t bytes)
{
    struct store_budget *b = s->budget;
    if (bytes > s->promised && b->turn == s)
        b->turn_used = true;
    bool less = bytes < s->promised;
    b->promised += bytes - s->promised; /* modulo 2^64, as it should be */
    s->promised = bytes;
    if (less)
        came_free(b);
}
