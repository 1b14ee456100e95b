/* bt/core/pickrun: runs of blocks for sources that send long stretches at once; see picker.h. */
#include "base/num.h"
#include "bt/core/picker_priv.h"

struct running {
    struct bt_picker *p;
    const struct bt_pick_run *who;
    uint64_t from, to;
    size_t n_begun;
};

static uint64_t block_at(const struct running *k, uint32_t piece, uint32_t block)
{
    return (uint64_t)piece * k->p->m->piece_len + (uint64_t)block * BT_BLOCK;
}

static uint64_t end_of(const struct running *k, uint32_t piece)
{
    return (uint64_t)piece * k->p->m->piece_len + bt_piece_len(k->p->m, piece);
}

static bool has(const struct running *k, uint32_t piece)
{
    return k->who->has == NULL || tarn_bits_has(k->who->has, piece);
}

static bool may_share(const struct running *k, const struct bt_partial *part)
{
    if (part->owner != BT_NO_PEER || k->who->on_parole)
        return part->owner == k->who->peer;
    return true;
}

static bool is_pad(const struct running *k, const struct bt_partial *part, uint32_t block)
{
    return bt_picker_block_len(k->p, part->piece, block) == 0;
}

static void ask(struct running *k, struct bt_partial *part, uint32_t block)
{
    struct bt_block_state *b = &part->blocks[block];
    if (b->n_asked == 0) {
        part->n_free--;
        k->p->n_free--;
    }
    b->who[b->n_asked++] = k->who->peer;
    part->n_asked++;
}

static bool is_free(const struct bt_partial *part, uint32_t block)
{
    return !part->blocks[block].is_here && part->blocks[block].n_asked == 0;
}

/* The first stretch of free blocks of a begun piece. Returns whether it reaches the piece's end. */
static bool take_free(struct running *k, struct bt_partial *part)
{
    uint32_t i = 0;
    if (part->n_asked == 0)
        part->speed = (uint8_t)k->who->speed;
    while (!is_free(part, i))
        i++;
    k->from = block_at(k, part->piece, i);
    for (; i < part->n_blocks && (is_free(part, i) || is_pad(k, part, i)); i++) {
        if (is_free(part, i))
            ask(k, part, i);
        k->to = tarn_min_u64(block_at(k, part->piece, i + 1), end_of(k, part->piece));
    }
    if (part->n_free == 0)
        part->first_free = part->n_blocks;
    return i == part->n_blocks;
}

static bool begin(struct running *k, uint32_t piece)
{
    if (k->n_begun == k->who->max_pieces)
        return false;
    struct bt_partial *part = picker_begin(k->p, piece, k->who->speed);
    if (part == NULL)
        return false;
    k->n_begun++;
    if (k->who->on_parole)
        part->owner = k->who->peer;
    for (uint32_t i = 0; i < part->n_blocks; i++)
        if (is_free(part, i))
            ask(k, part, i);
    part->first_free = part->n_blocks;
    k->to = end_of(k, piece);
    return true;
}

/* More pieces behind the run, of the same priority. */
static void extend(struct running *k, uint32_t piece, uint8_t priority)
{
    const struct bt_picker *p = k->p;
    for (; piece < p->m->n_pieces && picker_is_open(p, piece) && has(k, piece) &&
           p->priority[piece] == priority && end_of(k, piece) - k->from <= k->who->max_bytes;
         piece++)
        if (!begin(k, piece))
            return;
}

/* A begun piece with free blocks; idle: nobody works on it. */
static bool from_begun(struct running *k, bool idle)
{
    struct bt_picker *p = k->p;
    struct bt_partial *best = NULL;
    for (size_t i = 0; p->n_free > 0 && i < p->n_partials; i++) {
        struct bt_partial *part = p->partials[i];
        if (part->n_free == 0 || (part->n_asked == 0) != idle || !has(k, part->piece) ||
            !may_share(k, part))
            continue;
        if (best == NULL || p->priority[part->piece] > p->priority[best->piece] ||
            (p->priority[part->piece] == p->priority[best->piece] && part->piece < best->piece))
            best = part;
    }
    if (best == NULL)
        return false;
    uint32_t piece = best->piece;
    if (take_free(k, best))
        extend(k, piece + 1, p->priority[piece]);
    return true;
}

static bool is_candidate(const struct running *k, uint32_t piece, uint8_t priority)
{
    return picker_is_open(k->p, piece) && has(k, piece) && k->p->priority[piece] == priority;
}

/* The highest priority of open pieces that it has; 0: none. In sequential mode all but the top one
 * count alike. */
static uint8_t top_priority(const struct running *k)
{
    const struct bt_picker *p = k->p;
    uint8_t top = 0;
    for (uint32_t i = 0; i < p->m->n_pieces && top < BT_PRIORITY_TOP; i++) {
        if (i % 8 == 0 && p->need.p[i / 8] == 0) {
            i += 7; /* eight that are not needed */
            continue;
        }
        if (p->priority[i] > top && picker_is_open(p, i) && has(k, i))
            top = p->priority[i];
    }
    return top;
}

/* The first open piece from the cursor on, round to the front; n_pieces: none. */
static uint32_t first_from_cursor(const struct running *k, uint8_t top)
{
    const struct bt_picker *p = k->p;
    uint32_t n = p->m->n_pieces;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t piece = (uint32_t)(((uint64_t)p->cursor + i) % n);
        bool is_in = top == BT_PRIORITY_TOP ? is_candidate(k, piece, top)
                                            : picker_is_open(p, piece) && has(k, piece);
        if (is_in)
            return piece;
    }
    return n;
}

static bool is_worked_on(const struct bt_picker *p, uint32_t piece)
{
    const struct bt_partial *part = picker_partial(p, piece);
    return part != NULL && part->n_asked > 0;
}

/* Where in the longest gap to begin. */
static uint32_t in_longest_gap(const struct running *k, uint8_t top)
{
    const struct bt_picker *p = k->p;
    uint32_t best = 0, best_len = 0, start = 0, len = 0, n = p->m->n_pieces;
    for (uint32_t i = 0; i <= n; i++) {
        if (i < n && is_candidate(k, i, top)) {
            start = len++ == 0 ? i : start;
            continue;
        }
        if (len > best_len) {
            best = start;
            best_len = len;
        }
        len = 0;
    }
    bool is_long = (uint64_t)best_len * p->m->piece_len > 2 * k->who->max_bytes;
    return is_long && best > 0 && is_worked_on(p, best - 1) ? best + best_len / 2 : best;
}

static bool from_open(struct running *k)
{
    const struct bt_picker *p = k->p;
    uint8_t top = top_priority(k);
    if (top == 0)
        return false;
    uint32_t piece;
    if (p->is_sequential)
        piece = first_from_cursor(k, top);
    else if (k->who->near < p->m->n_pieces && is_candidate(k, k->who->near, top))
        piece = k->who->near;
    else
        piece = in_longest_gap(k, top);
    k->from = block_at(k, piece, 0);
    uint8_t priority = p->priority[piece];
    if (!begin(k, piece))
        return false;
    extend(k, piece + 1, priority);
    return true;
}

static bool is_asked_of(const struct bt_block_state *b, bt_peer_no peer)
{
    for (unsigned i = 0; i < b->n_asked; i++)
        if (b->who[i] == peer)
            return true;
    return false;
}

static bool may_copy(const struct running *k, const struct bt_partial *part, uint32_t block)
{
    const struct bt_block_state *b = &part->blocks[block];
    return !b->is_here && b->n_asked > 0 && b->n_asked < BT_COPIES_MAX &&
           !is_asked_of(b, k->who->peer);
}

/* End game: the first stretch of blocks of a piece that slower ones work on. */
static bool from_busy(struct running *k)
{
    struct bt_picker *p = k->p;
    for (size_t i = 0; i < p->n_partials; i++) {
        struct bt_partial *part = p->partials[i];
        if (part->n_asked == 0 || part->speed <= (uint8_t)k->who->speed || !has(k, part->piece) ||
            !may_share(k, part))
            continue;
        uint32_t b = 0, n = 0;
        while (b < part->n_blocks && !may_copy(k, part, b))
            b++;
        k->from = block_at(k, part->piece, b);
        for (; b < part->n_blocks && n < BT_RUN_ENDGAME && may_copy(k, part, b); b++, n++) {
            ask(k, part, b);
            k->to = tarn_min_u64(block_at(k, part->piece, b + 1), end_of(k, part->piece));
        }
        if (n > 0)
            return true;
    }
    return false;
}

bool bt_picker_pick_run(struct bt_picker *p, const struct bt_pick_run *who, uint64_t *from,
                        uint64_t *to)
{
    struct running k = { .p = p, .who = who };
    if (p->need.count == 0)
        return false;
    picker_sort(p);
    bool is_open_left = p->starts[BUCKET_CLOSED] > p->starts[BUCKET_OPEN];
    bool found = from_begun(&k, true) || from_open(&k) || from_begun(&k, false) ||
                 (p->n_free == 0 && !is_open_left && from_busy(&k));
    *from = k.from;
    *to = k.to;
    return found;
}
