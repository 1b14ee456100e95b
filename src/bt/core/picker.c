/* bt/core/picker: see the header, and picker_priv.h for the buckets. `order` is always a
 * permutation of all pieces with the begun ones in front, so that a piece's place tells at once
 * whether it is begun and which partial is its own. */
#include "bt/core/picker.h"

#include "base/mem.h"
#include "base/num.h"
#include "bt/core/picker_priv.h"

#include <assert.h>

struct bt_pad_run {
    uint64_t start, end;
};

uint64_t picker_random(struct bt_picker *p)
{
    uint64_t z = p->random += 0x9E3779B97F4A7C15; /* splitmix64 */
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

/* Padding: what no real file covers. */
static bool find_pads(struct bt_picker *p)
{
    const struct bt_metainfo *m = p->m;
    size_t cap = 0;
    uint64_t at = 0;
    for (uint32_t i = 0; i <= m->n_files; i++) {
        bool is_end = i == m->n_files;
        if (!is_end && (m->files[i].is_pad || m->files[i].len == 0))
            continue;
        uint64_t start = is_end ? m->total : m->files[i].off;
        if (start > at) {
            if (!TARN_GROW(p->pads, p->n_pads, cap))
                return false;
            p->pads[p->n_pads++] = (struct bt_pad_run){ at, start };
        }
        at = is_end ? at : start + m->files[i].len;
    }
    return true;
}

uint32_t bt_picker_blocks(const struct bt_picker *p, uint32_t piece)
{
    return (uint32_t)tarn_div_up_u64(bt_piece_len(p->m, piece), BT_BLOCK);
}

uint32_t bt_picker_block_len(const struct bt_picker *p, uint32_t piece, uint32_t block)
{
    uint64_t piece_at = (uint64_t)piece * p->m->piece_len;
    uint64_t start = piece_at + (uint64_t)block * BT_BLOCK;
    uint64_t end = tarn_min_u64(start + BT_BLOCK, piece_at + bt_piece_len(p->m, piece));
    size_t low = 0, high = p->n_pads; /* the last run that begins before end */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (p->pads[mid].start < end)
            low = mid + 1;
        else
            high = mid;
    }
    if (low > 0 && p->pads[low - 1].end >= end)
        end = tarn_max_u64(start, p->pads[low - 1].start);
    return (uint32_t)(end - start);
}

static unsigned bucket_of(const struct bt_picker *p, uint32_t piece)
{
    if (picker_is_begun(p, piece))
        return BUCKET_BEGUN;
    if (!tarn_bits_has(&p->need, piece))
        return BUCKET_CLOSED;
    unsigned level = LEVELS - p->priority[piece];
    unsigned avail = p->avail[piece] < AVAIL_CAP ? p->avail[piece] : AVAIL_CAP - 1;
    return BUCKET_OPEN + level * AVAIL_CAP + avail;
}

static void swap_places(struct bt_picker *p, uint32_t i, uint32_t k)
{
    uint32_t a = p->order[i], b = p->order[k];
    p->order[i] = b;
    p->order[k] = a;
    p->place[a] = k;
    p->place[b] = i;
}

/* Sort by bucket in place: each piece goes to the head of its bucket, whose occupant is next. */
void picker_sort(struct bt_picker *p)
{
    if (!p->is_stale)
        return;
    uint32_t heads[BUCKETS], sum = 0, counts[BUCKETS] = { 0 };
    for (uint32_t i = 0; i < p->m->n_pieces; i++)
        counts[bucket_of(p, i)]++;
    for (unsigned b = 0; b < BUCKETS; b++) {
        heads[b] = p->starts[b] = sum;
        sum += counts[b];
    }
    p->starts[BUCKETS] = sum;
    for (unsigned b = 0; b < BUCKETS; b++) {
        while (heads[b] < p->starts[b + 1]) {
            uint32_t piece = p->order[heads[b]];
            unsigned to = bucket_of(p, piece);
            if (to == b) {
                heads[b]++;
                continue;
            }
            p->order[heads[b]] = p->order[heads[to]];
            p->order[heads[to]++] = piece;
        }
        if (b == BUCKET_BEGUN) /* those are in front already: bucket_of goes by place */
            assert(heads[b] == p->n_partials);
    }
    for (uint32_t i = 0; i < p->m->n_pieces; i++)
        p->place[p->order[i]] = i;
    p->is_stale = false;
}

/* Move a piece that stands in bucket `from`, over the edges of the buckets between. */
static void move(struct bt_picker *p, uint32_t piece, unsigned from, unsigned to)
{
    for (unsigned b = from; b < to; b++)
        swap_places(p, p->place[piece], --p->starts[b + 1]);
    for (unsigned b = from; b > to; b--)
        swap_places(p, p->place[piece], p->starts[b]++);
    if (from == to || to == BUCKET_BEGUN || to == BUCKET_CLOSED)
        return;
    uint32_t n = p->starts[to + 1] - p->starts[to];
    swap_places(p, p->place[piece], p->starts[to] + (uint32_t)(picker_random(p) % n));
}

bool bt_picker_init(struct bt_picker *p, const struct bt_metainfo *m, struct tarn_bits *have,
                    uint64_t seed, struct tarn_err *err)
{
    uint32_t n = m->n_pieces;
    assert(have->n == n);
    *p = (struct bt_picker){
        .m = m, .have = have, .max_partials = SIZE_MAX, .hold_max = UINT32_MAX, .random = seed
    };
    p->order = tarn_calloc(n, sizeof *p->order);
    p->place = tarn_calloc(n, sizeof *p->place);
    p->avail = tarn_calloc(n, sizeof *p->avail);
    p->priority = tarn_calloc(n, sizeof *p->priority);
    p->starts = tarn_calloc(BUCKETS + 1, sizeof *p->starts);
    if (p->order == NULL || p->place == NULL || p->avail == NULL || p->priority == NULL ||
        p->starts == NULL || !tarn_bits_init(&p->need, n) || !find_pads(p)) {
        bt_picker_release(p);
        return tarn_fail_mem(err, "choosing which pieces to ask for");
    }
    for (uint32_t i = 0; i < n; i++) { /* shuffle from the inside out */
        uint32_t k = (uint32_t)(picker_random(p) % ((uint64_t)i + 1));
        p->order[i] = p->order[k];
        p->order[k] = i;
    }
    for (uint32_t i = 0; i < n; i++)
        p->place[p->order[i]] = i;
    bt_picker_set_files(p, NULL);
    return true;
}

void bt_picker_release(struct bt_picker *p)
{
    for (size_t i = 0; i < p->n_partials; i++)
        tarn_free(p->partials[i]);
    tarn_free(p->partials);
    tarn_free(p->order);
    tarn_free(p->place);
    tarn_free(p->avail);
    tarn_free(p->priority);
    tarn_free(p->starts);
    tarn_free(p->pads);
    tarn_bits_release(&p->need);
    *p = (struct bt_picker){ 0 };
}

/* need as priority, have and being begun say. */
static void set_need(struct bt_picker *p, uint32_t piece)
{
    bool wanted = p->priority[piece] != BT_PRIORITY_SKIP || picker_is_begun(p, piece);
    if (wanted && !tarn_bits_has(p->have, piece))
        (void)tarn_bits_set(&p->need, piece);
    else
        (void)tarn_bits_unset(&p->need, piece);
}

void bt_picker_set_files(struct bt_picker *p, const uint8_t *file_priority)
{
    const struct bt_metainfo *m = p->m;
    memset(p->priority, BT_PRIORITY_SKIP, m->n_pieces);
    for (uint32_t f = 0; f < m->n_files; f++) {
        const struct bt_file *file = &m->files[f];
        if (file->is_pad || file->len == 0)
            continue;
        uint8_t priority = file_priority == NULL ? BT_PRIORITY_NORMAL : file_priority[f];
        assert(priority <= BT_PRIORITY_TOP);
        uint64_t last = (file->off + file->len - 1) / m->piece_len;
        for (uint64_t i = file->off / m->piece_len; i <= last; i++)
            if (p->priority[i] < priority)
                p->priority[i] = priority;
    }
    for (uint32_t i = 0; i < m->n_pieces; i++)
        set_need(p, i);
    p->is_stale = true;
}

void bt_picker_set_piece(struct bt_picker *p, uint32_t piece, uint8_t priority)
{
    assert(piece < p->m->n_pieces && priority <= BT_PRIORITY_TOP);
    picker_sort(p);
    unsigned from = bucket_of(p, piece);
    p->priority[piece] = priority;
    set_need(p, piece);
    move(p, piece, from, bucket_of(p, piece));
}

void bt_picker_set_sequential(struct bt_picker *p, bool on, uint32_t cursor)
{
    p->is_sequential = on;
    p->cursor = cursor < p->m->n_pieces ? cursor : 0;
}

uint32_t bt_picker_count(const struct bt_picker *p, const struct tarn_bits *has)
{
    if (has == NULL)
        return p->need.count;
    uint32_t count = 0;
    for (size_t i = 0; i < tarn_bits_size(p->need.n); i++)
        count += (uint32_t)__builtin_popcount(p->need.p[i] & has->p[i]);
    return count;
}

static void change_avail(struct bt_picker *p, const struct tarn_bits *has, int by)
{
    if (has->count == 0)
        return;
    for (uint32_t i = 0; i < has->n; i++)
        if (tarn_bits_has(has, i))
            p->avail[i] = (uint16_t)(p->avail[i] + by);
    p->is_stale = true;
}

void bt_picker_joins(struct bt_picker *p, const struct tarn_bits *has)
{
    if (has == NULL)
        p->n_seeds++;
    else
        change_avail(p, has, 1);
}

void bt_picker_leaves(struct bt_picker *p, const struct tarn_bits *has)
{
    if (has == NULL)
        p->n_seeds--;
    else
        change_avail(p, has, -1);
}

static void change_one(struct bt_picker *p, uint32_t piece, int by)
{
    unsigned from = bucket_of(p, piece);
    p->avail[piece] = (uint16_t)(p->avail[piece] + by);
    if (!p->is_stale)
        move(p, piece, from, bucket_of(p, piece));
}

void bt_picker_peer_got(struct bt_picker *p, uint32_t piece)
{
    change_one(p, piece, 1);
}

void bt_picker_peer_lost(struct bt_picker *p, uint32_t piece)
{
    change_one(p, piece, -1);
}

struct bt_partial *picker_partial(const struct bt_picker *p, uint32_t piece)
{
    if (piece >= p->m->n_pieces || !picker_is_begun(p, piece))
        return NULL;
    return p->partials[p->place[piece]];
}

static struct bt_partial *new_partial(const struct bt_picker *p, uint32_t piece)
{
    uint32_t n = bt_picker_blocks(p, piece);
    struct bt_partial *part =
        tarn_calloc(1, sizeof *part + (size_t)n * sizeof(struct bt_block_state));
    if (part == NULL)
        return NULL;
    part->piece = piece;
    part->n_blocks = n;
    part->owner = BT_NO_PEER;
    for (uint32_t i = 0; i < n; i++) {
        struct bt_block_state *b = &part->blocks[i];
        b->is_here = bt_picker_block_len(p, piece, i) == 0;
        b->who[0] = BT_NO_PEER;
        part->n_pads += b->is_here;
    }
    part->n_here = part->n_pads;
    part->n_free = n - part->n_pads;
    return part;
}

/* What the memory for it must hold. */
static uint32_t blocks_held(const struct bt_picker *p, const struct bt_partial *part)
{
    uint32_t n = p->m->hashes.has_v1 ? part->n_blocks : part->n_blocks - part->n_pads;
    return n <= p->hold_max ? n : 0;
}

struct bt_partial *picker_begin(struct bt_picker *p, uint32_t piece, enum bt_speed speed)
{
    assert(!p->is_stale && picker_is_open(p, piece));
    if (p->n_partials >= p->max_partials || !TARN_GROW(p->partials, p->n_partials, p->cap_partials))
        return NULL;
    struct bt_partial *part = new_partial(p, piece);
    if (part == NULL)
        return NULL;
    move(p, piece, bucket_of(p, piece), BUCKET_BEGUN);
    assert(p->place[piece] == p->n_partials);
    p->partials[p->n_partials++] = part;
    part->speed = (uint8_t)speed;
    p->n_free += part->n_free;
    p->held += blocks_held(p, part);
    return part;
}

/* Forget a begun piece's blocks. It goes where have and priority say. */
static void end_partial(struct bt_picker *p, struct bt_partial *part)
{
    picker_sort(p);
    uint32_t piece = part->piece, at = p->place[piece];
    uint32_t last = (uint32_t)p->n_partials - 1;
    p->partials[at] = p->partials[last];
    swap_places(p, at, last);
    p->n_partials--;
    p->n_free -= part->n_free;
    p->held -= blocks_held(p, part);
    tarn_free(part);
    set_need(p, piece);
    move(p, piece, BUCKET_BEGUN, bucket_of(p, piece));
}

static void free_block(struct bt_picker *p, struct bt_partial *part, uint32_t block)
{
    part->n_free++;
    p->n_free++;
    if (block < part->first_free)
        part->first_free = block;
}

/* Nothing of it is here and nothing is under way: as if it had not been begun. */
static void end_if_idle(struct bt_picker *p, struct bt_partial *part)
{
    if (part->n_asked == 0 && part->n_here == part->n_pads)
        end_partial(p, part);
}

/* Returns whether it was asked of this peer. */
static bool forget_asked(struct bt_picker *p, struct bt_partial *part, uint32_t block,
                         bt_peer_no peer)
{
    struct bt_block_state *b = &part->blocks[block];
    for (unsigned i = 0; i < b->n_asked; i++) {
        if (b->who[i] != peer)
            continue;
        b->who[i] = b->who[--b->n_asked];
        part->n_asked--;
        if (b->n_asked == 0)
            free_block(p, part, block);
        return true;
    }
    return false;
}

/* The begun piece that r names a block of, the whole block; or NULL. */
static struct bt_partial *find_block(const struct bt_picker *p, const struct bt_request *r)
{
    struct bt_partial *part = picker_partial(p, r->piece);
    uint32_t block = r->begin / BT_BLOCK;
    if (part == NULL || r->begin % BT_BLOCK != 0 || block >= part->n_blocks || r->len == 0 ||
        r->len != bt_picker_block_len(p, r->piece, block))
        return NULL;
    return part;
}

void bt_picker_release_block(struct bt_picker *p, const struct bt_request *r, bt_peer_no peer)
{
    struct bt_partial *part = find_block(p, r);
    if (part != NULL && forget_asked(p, part, r->begin / BT_BLOCK, peer))
        end_if_idle(p, part);
}

void bt_picker_release_peer(struct bt_picker *p, bt_peer_no peer)
{
    for (size_t i = p->n_partials; i-- > 0;) { /* backwards: the last takes an ended one's place */
        struct bt_partial *part = p->partials[i];
        if (part->owner == peer)
            part->owner = BT_NO_PEER;
        for (uint32_t b = 0; part->n_asked > 0 && b < part->n_blocks; b++)
            (void)forget_asked(p, part, b, peer);
        end_if_idle(p, part);
    }
}

bool bt_picker_wants(const struct bt_picker *p, const struct bt_request *r)
{
    const struct bt_partial *part = find_block(p, r);
    return part != NULL && !part->blocks[r->begin / BT_BLOCK].is_here;
}

struct bt_block_got bt_picker_got(struct bt_picker *p, const struct bt_request *r, bt_peer_no peer)
{
    struct bt_block_got got = { 0 };
    struct bt_partial *part = find_block(p, r);
    uint32_t block = r->begin / BT_BLOCK;
    if (part == NULL || part->blocks[block].is_here)
        return got;
    struct bt_block_state *b = &part->blocks[block];
    for (unsigned i = 0; i < b->n_asked; i++)
        if (b->who[i] != peer)
            got.cancel[got.n_cancel++] = b->who[i];
    if (b->n_asked == 0) {
        part->n_free--;
        p->n_free--;
    }
    part->n_asked -= b->n_asked;
    part->n_here++;
    *b = (struct bt_block_state){ .who = { peer }, .is_here = true };
    got.is_new = true;
    got.piece_full = part->n_here == part->n_blocks;
    return got;
}

bt_peer_no bt_picker_sender(const struct bt_picker *p, uint32_t piece, uint32_t block)
{
    const struct bt_partial *part = picker_partial(p, piece);
    if (part == NULL || block >= part->n_blocks || !part->blocks[block].is_here)
        return BT_NO_PEER;
    return part->blocks[block].who[0];
}

static bool is_among(const bt_peer_no *v, size_t n, bt_peer_no peer)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] == peer)
            return true;
    return false;
}

size_t bt_picker_senders(const struct bt_picker *p, uint32_t piece, bt_peer_no *out, size_t max)
{
    const struct bt_partial *part = picker_partial(p, piece);
    size_t n = 0;
    for (uint32_t i = 0; part != NULL && i < part->n_blocks && n < max; i++) {
        const struct bt_block_state *b = &part->blocks[i];
        if (b->is_here && b->who[0] != BT_NO_PEER && !is_among(out, n, b->who[0]))
            out[n++] = b->who[0];
    }
    return n;
}

bool bt_picker_mentions(const struct bt_picker *p, bt_peer_no peer)
{
    for (size_t i = 0; i < p->n_partials; i++) {
        const struct bt_partial *part = p->partials[i];
        if (part->owner == peer)
            return true;
        for (uint32_t k = 0; k < part->n_blocks; k++) {
            const struct bt_block_state *b = &part->blocks[k];
            if (is_among(b->who, b->is_here ? 1 : b->n_asked, peer))
                return true;
        }
    }
    return false;
}

void bt_picker_good(struct bt_picker *p, uint32_t piece)
{
    picker_sort(p);
    struct bt_partial *part = picker_partial(p, piece);
    unsigned from = bucket_of(p, piece);
    (void)tarn_bits_set(p->have, piece);
    if (part != NULL) {
        end_partial(p, part);
        return;
    }
    set_need(p, piece);
    move(p, piece, from, bucket_of(p, piece));
}

void bt_picker_bad(struct bt_picker *p, uint32_t piece)
{
    struct bt_partial *part = picker_partial(p, piece);
    if (part != NULL)
        end_partial(p, part);
}

void bt_picker_bad_block(struct bt_picker *p, uint32_t piece, uint32_t block)
{
    struct bt_partial *part = picker_partial(p, piece);
    if (part == NULL || block >= part->n_blocks || bt_picker_block_len(p, piece, block) == 0 ||
        !part->blocks[block].is_here)
        return;
    part->blocks[block] = (struct bt_block_state){ .who = { BT_NO_PEER } };
    part->n_here--;
    free_block(p, part, block);
    end_if_idle(p, part);
}

void bt_picker_lost(struct bt_picker *p, uint32_t piece)
{
    if (!tarn_bits_has(p->have, piece))
        return;
    picker_sort(p);
    (void)tarn_bits_unset(p->have, piece);
    set_need(p, piece);
    move(p, piece, BUCKET_CLOSED, bucket_of(p, piece));
}
