/* store/leaves: v2 alone. The messages are blocks of 16 KiB, so nothing need go abreast: files are
 * read in order into one buffer, piece after piece packed without the padding between them, and
 * when it is full all its blocks are hashed in one call. So pieces of tiny files fill the lanes
 * too. */
#include "base/mem.h"
#include "base/num.h"
#include "store/priv.h"

#include <string.h>

enum {
    BUFFER = 256 << 10,                 /* sixteen blocks; README has the figures */
    BLOCKS = 2 * BUFFER / MERKLE_BLOCK, /* in the buffer at most: short ones are counted as half */
};

/* A piece whose leaves are not all known yet, or not told. */
struct pending {
    uint8_t *leaves; /* in leaves.hashes */
    uint32_t piece;
    uint32_t n_leaves;
};

struct leaves {
    struct store_run *run;
    struct store_reader reader;
    uint8_t *buf;
    uint8_t *hashes; /* leaves of the pending pieces, one piece after the other */
    uint8_t *work;   /* of one piece */
    size_t cap;      /* leaves that hashes has room for */
    size_t n_hashes; /* in use, hashed or to be */
    size_t n_hashed; /* the first of them that are hashed */
    size_t used;     /* bytes of buf */
    size_t n_blocks;
    size_t n_pending;
    bool is_cold;                     /* this batch comes from the disk */
    struct tarn_bytes blocks[BLOCKS]; /* in buf, to be hashed */
    struct pending pending[STORE_BATCH_MAX];
    struct store_fault fault;
};

static uint64_t free_leaves(void *arg)
{
    struct leaves *v = arg;
    if (v == NULL)
        return 0;
    uint64_t bytes = v->reader.bytes;
    store_reader_release(&v->reader);
    tarn_free(v->buf);
    tarn_free(v->hashes);
    tarn_free(v->work);
    tarn_free(v);
    return bytes;
}

static void *make_leaves(struct store_run *run)
{
    struct leaves *v = tarn_calloc(1, sizeof *v);
    if (v == NULL)
        return NULL;
    size_t piece_leaves = store_piece_leaves(run->scan->layout);
    v->run = run;
    v->cap = piece_leaves + BLOCKS;
    v->buf = tarn_calloc(1, BUFFER);
    v->hashes = tarn_calloc(v->cap, MERKLE_HASH);
    v->work = tarn_calloc(piece_leaves, MERKLE_HASH);
    store_reader_init(&v->reader, run->scan->tree);
    if (v->buf == NULL || v->hashes == NULL || v->work == NULL) {
        free_leaves(v);
        return NULL;
    }
    return v;
}

static void hash(struct leaves *v)
{
    crypt_hash_many(CRYPT_SHA256, v->blocks, v->n_blocks, v->hashes + v->n_hashed * MERKLE_HASH);
    v->n_hashed += v->n_blocks;
    v->n_blocks = 0;
    v->used = 0;
}

static void tell(struct leaves *v)
{
    const struct store_scan *s = v->run->scan;
    hash(v);
    for (size_t i = 0; i < v->n_pending; i++) {
        const struct pending *p = &v->pending[i];
        struct store_scanned found = {
            .piece = p->piece, .leaves = p->leaves, .work = v->work, .n_leaves = p->n_leaves
        };
        memcpy(v->work, p->leaves, (size_t)p->n_leaves * MERKLE_HASH);
        s->on_piece(s->arg, &found);
    }
    v->n_pending = 0;
    v->n_hashes = v->n_hashed = 0;
}

/* Room in the buffer for whole blocks; hashes what is there when there is too little. */
static size_t make_room(struct leaves *v)
{
    size_t room = (BUFFER - v->used) / MERKLE_BLOCK * MERKLE_BLOCK;
    if (room > 0 && v->n_blocks + room / MERKLE_BLOCK <= BLOCKS)
        return room;
    hash(v);
    return BUFFER;
}

/* Read from *at to the end of the piece's own bytes. False when a file fails. Stops short, and
 * nobody is told of the piece, when the scan is stopped. */
static bool read_piece(struct leaves *v, uint64_t *at, uint64_t end)
{
    while (*at < end && !store_run_stopped(v->run)) {
        size_t len = (size_t)tarn_min_u64(make_room(v), end - *at);
        uint8_t *to = v->buf + v->used;
        if (v->is_cold)
            store_reader_hint(&v->reader, *at + len, end);
        if (store_reader_get(&v->reader, *at, len, to, NULL, &v->fault) == NULL)
            return false;
        for (size_t i = 0; i < len; i += MERKLE_BLOCK)
            v->blocks[v->n_blocks++] = tarn_bytes_of(to + i, tarn_min_size(MERKLE_BLOCK, len - i));
        v->used += len;
        *at += len;
        store_run_done(v->run, len);
    }
    return true;
}

/* Forget the piece begun last, whose leaves would stand from `first` on. */
static void forget_last(struct leaves *v, size_t first)
{
    v->n_pending--;
    v->n_hashes = first;
    v->n_hashed = tarn_min_size(v->n_hashed, first);
    v->n_blocks = tarn_min_size(v->n_blocks, first - v->n_hashed);
}

static void scan_piece(struct leaves *v, uint32_t piece)
{
    const struct store_layout *l = v->run->scan->layout;
    uint32_t own;
    (void)store_piece_own_file(l, piece, &own); /* the length is what counts */
    uint32_t n = (uint32_t)tarn_div_up_u64(own, MERKLE_BLOCK);
    if (v->n_pending == STORE_BATCH_MAX || v->n_hashes + n > v->cap)
        tell(v);
    size_t first = v->n_hashes;
    v->pending[v->n_pending++] = (struct pending){ .leaves = v->hashes + first * MERKLE_HASH,
                                                   .piece = piece,
                                                   .n_leaves = n };
    v->n_hashes += n;
    uint64_t at = (uint64_t)piece * l->piece_len, end = at + store_piece_len(l, piece);
    v->reader.hinted = at;
    bool ok = read_piece(v, &at, at + own);
    store_run_done(v->run, end - at);
    if (!ok) {
        forget_last(v, first);
        store_run_fault(v->run, piece, &v->fault);
    }
}

static void batch_leaves(void *arg, const uint32_t *pieces, size_t n)
{
    struct leaves *v = arg;
    const struct store_layout *l = v->run->scan->layout;
    v->is_cold = !store_reader_is_warm(&v->reader, (uint64_t)pieces[0] * l->piece_len,
                                       store_piece_len(l, pieces[0]));
    for (size_t i = 0; i < n && !store_run_stopped(v->run); i++)
        scan_piece(v, pieces[i]);
    if (!store_run_stopped(v->run))
        tell(v);
}

const struct store_work store_work_leaves = { make_leaves, batch_leaves, free_leaves };
