/* store/abreast: v1, or v1 and v2 together. Sixteen pieces are read side by side, a chunk of each
 * in turn, into a buffer that the second-level cache holds; SHA-1 takes the chunks as sixteen
 * messages, and the 16 KiB leaves of v2 are hashed from the same buffer right after. A chunk that
 * is all padding is not even cleared: its lane reads the one run of zeros. */
#include "base/mem.h"
#include "base/num.h"
#include "store/priv.h"

#include <string.h>

enum {
    CHUNK = 64 << 10, /* of one piece at a time, whole leaves; README has the figures */
    CHUNK_LEAVES = CHUNK / MERKLE_BLOCK,
    LEAVES_MEMORY = 4 << 20, /* of all pieces abreast: very long pieces go fewer abreast */
};

struct lane {
    struct crypt_sha sha;
    struct store_reader reader;
    uint64_t at, end;    /* of the piece, in the address space */
    uint64_t own_end;    /* v2: where the bytes of its own file end */
    const uint8_t *data; /* this turn's chunk */
    size_t len;
    uint8_t *leaves; /* v2: in abreast.leaves */
    uint32_t n_leaves;
    uint32_t piece;
    bool is_over; /* it could not be read and that was told */
};

struct abreast {
    struct store_run *run;
    uint8_t *buf;        /* STORE_ABREAST chunks */
    uint8_t *zeros;      /* a chunk */
    uint8_t *leaves;     /* v2: of all lanes */
    uint8_t *work;       /* v2: of one piece */
    size_t piece_leaves; /* v2: that a piece can have; else 0 */
    size_t max;          /* pieces abreast */
    size_t n;            /* pieces of this batch */
    bool is_cold;        /* this batch comes from the disk */
    struct lane lanes[STORE_ABREAST];
    struct store_fault fault;
};

static uint64_t free_abreast(void *arg)
{
    struct abreast *a = arg;
    uint64_t bytes = 0;
    if (a == NULL)
        return 0;
    for (size_t i = 0; i < STORE_ABREAST; i++) {
        store_reader_release(&a->lanes[i].reader);
        bytes += a->lanes[i].reader.bytes;
    }
    tarn_free(a->buf);
    tarn_free(a->zeros);
    tarn_free(a->leaves);
    tarn_free(a->work);
    tarn_free(a);
    return bytes;
}

static void *make_abreast(struct store_run *run)
{
    const struct store_scan *s = run->scan;
    struct abreast *a = tarn_calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    a->run = run;
    a->max = STORE_ABREAST;
    if (s->want_v2) {
        a->piece_leaves = store_piece_leaves(s->layout);
        while (a->max > 1 && a->max * a->piece_leaves * MERKLE_HASH > LEAVES_MEMORY)
            a->max /= 2;
    }
    a->buf = tarn_calloc(STORE_ABREAST, CHUNK);
    a->zeros = tarn_calloc(1, CHUNK);
    a->leaves = tarn_calloc(a->max * a->piece_leaves, MERKLE_HASH);
    a->work = tarn_calloc(a->piece_leaves, MERKLE_HASH);
    if (a->buf == NULL || a->zeros == NULL || a->leaves == NULL || a->work == NULL) {
        free_abreast(a);
        return NULL;
    }
    for (size_t i = 0; i < a->max; i++) {
        store_reader_init(&a->lanes[i].reader, s->tree);
        a->lanes[i].leaves = a->leaves + i * a->piece_leaves * MERKLE_HASH;
    }
    return a;
}

static void begin(struct abreast *a, const uint32_t *pieces, size_t n)
{
    const struct store_layout *l = a->run->scan->layout;
    a->n = n;
    for (size_t i = 0; i < n; i++) {
        struct lane *lane = &a->lanes[i];
        uint32_t own = 0;
        lane->piece = pieces[i];
        lane->at = (uint64_t)pieces[i] * l->piece_len;
        lane->end = lane->at + store_piece_len(l, pieces[i]);
        lane->is_over = false;
        lane->n_leaves = 0;
        if (a->piece_leaves > 0)
            (void)store_piece_own_file(l, pieces[i], &own); /* the length is what counts */
        lane->own_end = lane->at + own;
        crypt_sha_init(&lane->sha, CRYPT_SHA1);
        lane->reader.hinted = lane->at;
    }
    a->is_cold = !store_reader_is_warm(&a->lanes[0].reader, a->lanes[0].at,
                                       a->lanes[0].end - a->lanes[0].at);
    for (size_t i = 0; i < n && a->is_cold; i++)
        store_reader_hint(&a->lanes[i].reader, a->lanes[i].at, a->lanes[i].end);
}

/* Short pieces that follow each other are read as the one run they are. False: one by one, to learn
 * which of them cannot be read. */
static bool read_as_one(struct abreast *a)
{
    struct lane *first = &a->lanes[0], *last = &a->lanes[a->n - 1];
    size_t piece_len = a->run->scan->layout->piece_len;
    if (piece_len > CHUNK || last->piece - first->piece != a->n - 1)
        return false;
    size_t len = (size_t)(last->end - first->at);
    const uint8_t *p = store_reader_get(&first->reader, first->at, len, a->buf, NULL, &a->fault);
    if (p == NULL)
        return false;
    for (size_t i = 0; i < a->n; i++, p += piece_len) {
        a->lanes[i].data = p;
        a->lanes[i].len = (size_t)(a->lanes[i].end - a->lanes[i].at);
    }
    return true;
}

static void read_chunk(struct abreast *a, size_t i)
{
    struct lane *lane = &a->lanes[i];
    uint8_t *buf = a->buf + i * CHUNK;
    lane->len = (size_t)tarn_min_u64(CHUNK, lane->end - lane->at);
    if (a->is_cold)
        store_reader_hint(&lane->reader, lane->at + lane->len, lane->end);
    lane->data = store_reader_get(&lane->reader, lane->at, lane->len, buf, a->zeros, &a->fault);
    if (lane->data != NULL)
        return;
    lane->is_over = true;
    store_run_done(a->run, lane->end - lane->at);
    store_run_fault(a->run, lane->piece, &a->fault);
}

/* Gather what can be hashed now. */
static size_t live_lanes(struct abreast *a, struct lane *live[STORE_ABREAST])
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        if (!a->lanes[i].is_over && a->lanes[i].at < a->lanes[i].end)
            live[n++] = &a->lanes[i];
    return n;
}

static void hash_v1(struct lane *const live[], size_t n)
{
    struct crypt_sha *messages[STORE_ABREAST];
    struct tarn_bytes data[STORE_ABREAST];
    for (size_t i = 0; i < n; i++) {
        messages[i] = &live[i]->sha;
        data[i] = tarn_bytes_of(live[i]->data, live[i]->len);
    }
    crypt_sha_update_many(messages, data, n);
}

/* The leaves of all chunks in one call, so that every lane is in use. */
static void hash_v2(struct lane *const live[], size_t n)
{
    struct tarn_bytes blocks[STORE_ABREAST * CHUNK_LEAVES];
    uint8_t hashes[STORE_ABREAST * CHUNK_LEAVES][MERKLE_HASH];
    uint8_t *to[STORE_ABREAST * CHUNK_LEAVES];
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct lane *lane = live[i];
        size_t own =
            (size_t)tarn_min_u64(lane->len, lane->own_end - tarn_min_u64(lane->own_end, lane->at));
        for (size_t at = 0; at < own; at += MERKLE_BLOCK) {
            blocks[count] = tarn_bytes_of(lane->data + at, tarn_min_size(MERKLE_BLOCK, own - at));
            to[count++] = lane->leaves + (size_t)lane->n_leaves++ * MERKLE_HASH;
        }
    }
    if (count == 0)
        return;
    crypt_hash_many(CRYPT_SHA256, blocks, count, hashes[0]);
    for (size_t i = 0; i < count; i++)
        memcpy(to[i], hashes[i], MERKLE_HASH);
}

/* One turn: a chunk of each piece. False when all are read. */
static bool turn(struct abreast *a)
{
    struct lane *live[STORE_ABREAST];
    size_t n = live_lanes(a, live);
    if (n == 0)
        return false;
    if (!read_as_one(a))
        for (size_t i = 0; i < n; i++)
            read_chunk(a, (size_t)(live[i] - a->lanes));
    n = live_lanes(a, live);
    if (n > 0)
        hash_v1(live, n);
    if (a->piece_leaves > 0)
        hash_v2(live, n);
    uint64_t done = 0;
    for (size_t i = 0; i < n; i++) {
        live[i]->at += live[i]->len;
        done += live[i]->len;
    }
    store_run_done(a->run, done);
    return true;
}

static void tell(struct abreast *a)
{
    const struct store_scan *s = a->run->scan;
    struct crypt_sha *messages[STORE_ABREAST];
    struct lane *good[STORE_ABREAST];
    uint8_t digests[STORE_ABREAST][CRYPT_SHA1_LEN];
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        if (!a->lanes[i].is_over) {
            good[n] = &a->lanes[i];
            messages[n++] = &a->lanes[i].sha;
        }
    if (n == 0)
        return;
    crypt_sha_final_many(messages, n, digests[0]);
    for (size_t i = 0; i < n; i++) {
        struct store_scanned found = { .piece = good[i]->piece,
                                       .found = STORE_READ,
                                       .sha1 = digests[i] };
        if (a->piece_leaves > 0) {
            memcpy(a->work, good[i]->leaves, (size_t)good[i]->n_leaves * MERKLE_HASH);
            found.leaves = good[i]->leaves;
            found.work = a->work;
            found.n_leaves = good[i]->n_leaves;
        }
        s->on_piece(s->arg, &found);
    }
}

static void batch_abreast(void *arg, const uint32_t *pieces, size_t n)
{
    struct abreast *a = arg;
    for (size_t at = 0; at < n; at += a->n) {
        begin(a, pieces + at, tarn_min_size(n - at, a->max));
        bool more;
        do
            more = turn(a);
        while (more && !store_run_stopped(a->run));
        if (more)
            return;
        tell(a);
    }
}

const struct store_work store_work_abreast = { make_abreast, batch_abreast, free_abreast };
