/* bt/core/pick: choosing blocks for one peer; see picker.h. A pick looks at the order only so far;
 * when a peer has too little of it for that, its bits are gone through once, and the best of what
 * it has are taken by their places in the order. */
#include "base/num.h"
#include "bt/core/picker_priv.h"

enum {
    LOOK_MAX = 4096, /* pieces of the order that one pick looks at */
    BEST_MAX = 32,   /* pieces found by one pass over the peer's bits */
    /* Ours: each of the two slower speeds may begin so large a part of all pieces. */
    SLOWER_PART = 4,
    FAST_PART = 8, /* of the fastest peer's rate, and of that again for medium */
};

struct picking {
    struct bt_picker *p;
    const struct bt_pick *who;
    struct bt_request *out;
    size_t n, max;
};

static bool peer_has(const struct picking *k, uint32_t piece)
{
    return k->who->has == NULL || tarn_bits_has(k->who->has, piece);
}

static bool is_full(const struct picking *k)
{
    return k->n == k->max;
}

static void put(struct picking *k, struct bt_partial *part, uint32_t block)
{
    struct bt_block_state *b = &part->blocks[block];
    b->who[b->n_asked++] = k->who->peer;
    part->n_asked++;
    k->out[k->n++] = (struct bt_request){ part->piece, block * BT_BLOCK,
                                          bt_picker_block_len(k->p, part->piece, block) };
}

static void take_blocks(struct picking *k, struct bt_partial *part)
{
    if (part->n_asked == 0)
        part->speed = (uint8_t)k->who->speed;
    uint32_t i = part->first_free;
    for (; i < part->n_blocks && part->n_free > 0 && !is_full(k); i++) {
        const struct bt_block_state *b = &part->blocks[i];
        if (b->is_here || b->n_asked > 0)
            continue;
        put(k, part, i);
        part->n_free--;
        k->p->n_free--;
    }
    part->first_free = i;
}

/* Is this begun piece open to this peer? On parole only what is its own. */
static bool may_share(const struct picking *k, const struct bt_partial *part)
{
    if (part->owner != BT_NO_PEER || k->who->on_parole)
        return part->owner == k->who->peer;
    return true;
}

enum bt_speed bt_speed_of(uint64_t rate_bps, uint64_t fastest_bps)
{
    if (rate_bps >= fastest_bps / FAST_PART || rate_bps == 0)
        return BT_SPEED_FAST;
    return rate_bps >= fastest_bps / FAST_PART / FAST_PART ? BT_SPEED_MEDIUM : BT_SPEED_SLOW;
}

/* Does it go with this peer's own speed, or does nobody work on it? In sequential mode order is
 * all. */
static bool is_akin(const struct picking *k, const struct bt_partial *part)
{
    return part->speed == k->who->speed || part->n_asked == 0 || k->p->is_sequential;
}

/* Pieces that wait for peers who are not here take nothing from the others of their speed. */
static bool may_begin(const struct picking *k)
{
    const struct bt_picker *p = k->p;
    size_t n = 0;
    if (k->who->speed == BT_SPEED_FAST || p->is_sequential)
        return true;
    for (size_t i = 0; i < p->n_partials; i++)
        n += p->partials[i]->speed == k->who->speed && p->partials[i]->n_asked > 0;
    return n < tarn_max_u64(1, p->max_partials / SLOWER_PART);
}

static bool begin(struct picking *k, uint32_t piece)
{
    struct bt_partial *part = may_begin(k) ? picker_begin(k->p, piece, k->who->speed) : NULL;
    if (part == NULL)
        return false;
    if (k->who->on_parole)
        part->owner = k->who->peer;
    take_blocks(k, part);
    return true;
}

static void from_list(struct picking *k, const uint32_t *pieces, size_t n)
{
    for (size_t i = 0; i < n && !is_full(k); i++) {
        uint32_t piece = pieces[i];
        if (piece >= k->p->m->n_pieces || !peer_has(k, piece))
            continue;
        struct bt_partial *part = picker_partial(k->p, piece);
        if (part != NULL && may_share(k, part))
            take_blocks(k, part);
        else if (part == NULL && picker_is_open(k->p, piece) && !begin(k, piece))
            return;
    }
}

/* Which of two begun pieces to finish first. */
static bool is_better(const struct bt_picker *p, const struct bt_partial *a,
                      const struct bt_partial *b)
{
    uint8_t pa = p->priority[a->piece], pb = p->priority[b->piece];
    if (pa != pb)
        return pa > pb;
    if (p->is_sequential)
        return a->piece < b->piece;
    if (p->avail[a->piece] != p->avail[b->piece])
        return p->avail[a->piece] < p->avail[b->piece];
    return a->n_free < b->n_free;
}

static void from_partials(struct picking *k, bool akin)
{
    struct bt_picker *p = k->p;
    while (!is_full(k) && p->n_free > 0) {
        struct bt_partial *best = NULL;
        for (size_t i = 0; i < p->n_partials; i++) {
            struct bt_partial *part = p->partials[i];
            if (part->n_free > 0 && is_akin(k, part) == akin && peer_has(k, part->piece) &&
                may_share(k, part) && (best == NULL || is_better(p, part, best)))
                best = part;
        }
        if (best == NULL)
            return;
        take_blocks(k, best);
    }
}

/* 64 bits from piece 64 * i on, of those that are needed and that the peer has. */
static uint64_t word_at(const struct picking *k, uint32_t i)
{
    const struct tarn_bits *need = &k->p->need, *has = k->who->has;
    size_t size = tarn_bits_size(need->n), at = (size_t)i * 8;
    uint64_t word = 0;
    for (size_t j = 0; j < 8; j++) {
        uint8_t byte = at + j < size ? need->p[at + j] : 0;
        if (byte != 0 && has != NULL)
            byte &= has->p[at + j];
        word = word << 8 | byte;
    }
    return word;
}

/* The first piece from `from` on that is open and that the peer has; n_pieces: none. */
static uint32_t next_open(const struct picking *k, uint32_t from)
{
    uint32_t n = k->p->m->n_pieces;
    for (uint32_t i = from / 64; i <= (n - 1) / 64; i++) {
        uint64_t word = word_at(k, i);
        if (i == from / 64)
            word &= UINT64_MAX >> from % 64;
        for (; word != 0; word &= ~((uint64_t)1 << (63 - __builtin_clzll(word)))) {
            uint32_t piece = i * 64 + (uint32_t)__builtin_clzll(word);
            if (!picker_is_begun(k->p, piece))
                return piece;
        }
    }
    return n;
}

/* In order of number, from `from` to the end and then from the front. once: one piece only. */
static void from_numbers(struct picking *k, uint32_t from, bool once)
{
    uint32_t n = k->p->m->n_pieces, ends[2] = { n, from }, starts[2] = { from, 0 };
    for (int part = 0; part < 2; part++) {
        uint32_t at = starts[part];
        while (!is_full(k) && at < ends[part]) {
            at = next_open(k, at);
            if (at >= ends[part])
                break;
            if (!begin(k, at) || once)
                return;
            at++;
        }
    }
}

/* Look through the pieces of one priority in the order, from the rare end, or from the other for
 * slow peers. Returns false when nothing more may be begun. */
static bool from_level(struct picking *k, unsigned level, uint32_t *looks)
{
    struct bt_picker *p = k->p;
    unsigned first = BUCKET_OPEN + level * AVAIL_CAP;
    uint32_t low = p->starts[first], high = p->starts[first + AVAIL_CAP];
    while (!is_full(k) && low<high && * looks> 0) {
        uint32_t piece = p->order[k->who->is_slow ? --high : low++];
        --*looks;
        if (!peer_has(k, piece))
            continue;
        if (!begin(k, piece))
            return false;
        if (low < p->starts[first]) /* beginning it moved the level's edge */
            low = p->starts[first];
    }
    return true;
}

struct best {
    uint32_t rank[BEST_MAX];
    uint32_t piece[BEST_MAX];
    size_t n;
};

/* Keep the lowest ranks, sorted. */
static void keep_best(struct best *b, uint32_t rank, uint32_t piece)
{
    if (b->n == BEST_MAX && rank >= b->rank[BEST_MAX - 1])
        return;
    size_t i = b->n < BEST_MAX ? b->n++ : BEST_MAX - 1;
    for (; i > 0 && b->rank[i - 1] > rank; i--) {
        b->rank[i] = b->rank[i - 1];
        b->piece[i] = b->piece[i - 1];
    }
    b->rank[i] = rank;
    b->piece[i] = piece;
}

/* Slow peers: by priority, then from the common end. */
static uint32_t rank_of(const struct picking *k, uint32_t piece)
{
    const struct bt_picker *p = k->p;
    if (!k->who->is_slow)
        return p->place[piece];
    unsigned level = LEVELS - p->priority[piece];
    uint32_t low = p->starts[BUCKET_OPEN + level * AVAIL_CAP];
    uint32_t high = p->starts[BUCKET_OPEN + (level + 1) * AVAIL_CAP];
    return low + (high - 1 - p->place[piece]);
}

static void from_bits(struct picking *k)
{
    uint32_t n = k->p->m->n_pieces;
    while (!is_full(k)) {
        struct best best = { .n = 0 };
        for (uint32_t at = 0; at < n && (at = next_open(k, at)) < n; at++)
            keep_best(&best, rank_of(k, at), at);
        if (best.n == 0)
            return;
        for (size_t i = 0; i < best.n && !is_full(k); i++)
            if (!begin(k, best.piece[i]))
                return;
    }
}

static void from_order(struct picking *k)
{
    uint32_t looks = LOOK_MAX;
    for (unsigned level = 0; level < LEVELS; level++)
        if (!from_level(k, level, &looks))
            return;
    if (looks == 0)
        from_bits(k);
}

static uint32_t n_top(const struct bt_picker *p)
{
    return p->starts[BUCKET_OPEN + AVAIL_CAP] - p->starts[BUCKET_OPEN];
}

static uint32_t n_open(const struct bt_picker *p)
{
    return p->starts[BUCKET_CLOSED] - p->starts[BUCKET_OPEN];
}

static void from_open(struct picking *k)
{
    struct bt_picker *p = k->p;
    if (is_full(k) || n_open(p) == 0)
        return;
    uint32_t looks = LOOK_MAX;
    bool is_first = p->have->count + p->n_partials < BT_RANDOM_FIRST;
    if (n_top(p) > 0 && !from_level(k, 0, &looks))
        return;
    if (p->is_sequential) {
        from_numbers(k, p->cursor, false);
        return;
    }
    if (is_first && n_top(p) == 0)
        from_numbers(k, (uint32_t)(picker_random(p) % p->m->n_pieces), true);
    if (!is_full(k))
        from_order(k);
}

static bool is_asked_of(const struct bt_block_state *b, bt_peer_no peer)
{
    for (unsigned i = 0; i < b->n_asked; i++)
        if (b->who[i] == peer)
            return true;
    return false;
}

/* End game: the block under way that the fewest peers were asked for. */
static bool take_busy(struct picking *k)
{
    struct bt_partial *best = NULL;
    uint32_t best_block = 0;
    unsigned best_asked = BT_COPIES_MAX;
    for (size_t i = 0; i < k->p->n_partials; i++) {
        struct bt_partial *part = k->p->partials[i];
        if (part->n_asked == 0 || !peer_has(k, part->piece) || !may_share(k, part))
            continue;
        for (uint32_t j = 0; j < part->n_blocks; j++) {
            const struct bt_block_state *b = &part->blocks[j];
            if (b->n_asked > 0 && b->n_asked < best_asked && !is_asked_of(b, k->who->peer)) {
                best = part;
                best_block = j;
                best_asked = b->n_asked;
            }
        }
    }
    if (best == NULL)
        return false;
    put(k, best, best_block);
    return true;
}

size_t bt_picker_pick(struct bt_picker *p, const struct bt_pick *who, size_t n,
                      struct bt_request *out)
{
    struct picking k = { .p = p, .who = who, .out = out, .max = n };
    if (p->need.count == 0)
        return 0;
    picker_sort(p);
    if (who->only != NULL) {
        from_list(&k, who->only, who->n_only);
        return k.n;
    }
    from_partials(&k, true);
    from_list(&k, who->suggested, who->n_suggested);
    from_open(&k);
    if (who->speed == BT_SPEED_FAST || n_open(p) == 0)
        from_partials(&k, false);
    if (p->n_free == 0 && n_open(p) == 0)
        while (!is_full(&k) && who->n_asked + k.n < BT_ENDGAME_DEPTH && take_busy(&k))
            ;
    return k.n;
}
