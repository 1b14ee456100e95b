/* store/long: pieces that are too long to be held. Each block has a buffer of its own; runs of
 * neighbours are written as soon as they are worth a write, to files that are not under their final
 * names, and the piece is read back to be hashed when the last has been written. */
#include "base/mem.h"
#include "base/num.h"
#include "store/places_priv.h"

enum {
    READ_BACK = 256 << 10, /* bytes at a time */
    READ_BLOCKS = READ_BACK / MERKLE_BLOCK,
};

bool long_init(struct place_piece *q)
{
    q->bufs = tarn_calloc(q->n_blocks, sizeof *q->bufs);
    q->writers = tarn_calloc(PLACES_WRITERS, sizeof *q->writers);
    return q->bufs != NULL && q->writers != NULL;
}

static void free_block(struct place_piece *q, uint32_t block)
{
    store_share_give(&q->places->share, q->bufs[block], STORE_BLOCK);
    q->bufs[block] = NULL;
}

void long_release(struct place_piece *q)
{
    for (size_t i = 0; q->writers != NULL && i < PLACES_WRITERS; i++)
        loop_pool_cancel(q->places->set.loop, &q->writers[i].job);
    for (uint32_t i = 0; q->bufs != NULL && i < q->n_blocks; i++)
        free_block(q, i);
    tarn_free(q->bufs);
    tarn_free(q->writers);
}

enum store_place_answer long_place(struct place_piece *q, uint32_t block, uint8_t **at)
{
    bool is_full;
    q->bufs[block] = store_share_take(&q->places->share, STORE_BLOCK, &is_full);
    *at = q->bufs[block];
    if (*at != NULL)
        return STORE_PLACE_OK;
    return is_full ? STORE_PLACE_FULL : STORE_PLACE_NO_MEMORY;
}

void long_forget_block(struct place_piece *q, uint32_t block)
{
    free_block(q, block);
}

/* Writing runs. */

static void run_writer(struct loop_job *job)
{
    struct place_writer *w = TARN_OUTER(job, struct place_writer, job);
    const struct store_places_settings *set = &w->piece->places->set;
    uint64_t at = (uint64_t)w->piece->index * set->layout->piece_len;
    places_before_write(w->piece);
    w->ok = store_tree_write_early(set->tree, at + (uint64_t)w->first * STORE_BLOCK, w->runs, w->n,
                                   &w->err);
    places_after_write(w->piece);
}

static void go_on(struct place_piece *q);

static void on_writer_done(struct loop_job *job)
{
    struct place_writer *w = TARN_OUTER(job, struct place_writer, job);
    struct place_piece *q = w->piece;
    for (uint32_t i = w->first; i < w->first + w->n; i++) {
        places_set_block(q, i, w->ok ? BLOCK_WRITTEN : BLOCK_FREE);
        free_block(q, i);
    }
    w->n = 0;
    if (!w->ok && !q->has_failed) {
        q->has_failed = true;
        q->err = w->err;
    }
    if (!places_came_back(q))
        return;
    if (!q->has_failed)
        go_on(q);
    else if (q->n_out == 0)
        places_tell_written(q, &q->err);
}

static void write_run(struct place_piece *q, struct place_writer *w, uint32_t first, uint32_t n)
{
    w->piece = q;
    w->first = first;
    w->n = n;
    w->job.run = run_writer;
    w->job.done = on_writer_done;
    for (uint32_t i = 0; i < n; i++) {
        w->runs[i] = tarn_bytes_of(q->bufs[first + i], places_block_len(q, first + i));
        places_set_block(q, first + i, BLOCK_WRITING);
    }
    places_submit(q, &w->job);
}

static struct place_writer *spare_writer(struct place_piece *q)
{
    for (size_t i = 0; i < PLACES_WRITERS; i++)
        if (q->writers[i].n == 0)
            return &q->writers[i];
    return NULL;
}

/* Start writing runs of at least min blocks, as long as there are writers. */
static void write_runs(struct place_piece *q, uint32_t min)
{
    struct place_writer *w = spare_writer(q);
    for (uint32_t i = 0; i < q->n_blocks && w != NULL && q->count[BLOCK_HERE] > 0;) {
        uint32_t n = 0;
        while (n < PLACES_RUN_MAX && i + n < q->n_blocks && q->state[i + n] == BLOCK_HERE)
            n++;
        if (n > 0 && n >= min) {
            write_run(q, w, i, n);
            w = spare_writer(q);
        }
        i += n > 0 ? n : 1;
    }
}

void long_press(struct store_places *p)
{
    for (struct tarn_list *node = p->pieces.next; node != &p->pieces; node = node->next) {
        struct place_piece *q = TARN_OUTER(node, struct place_piece, node);
        if (places_is_long(q) && q->stage == STAGE_FILLING && !q->is_dropped && !q->has_failed)
            write_runs(q, 1);
    }
}

/* Reading back. */

static bool read_back(struct place_piece *q)
{
    const struct store_places_settings *set = &q->places->set;
    uint64_t start = (uint64_t)q->index * set->layout->piece_len;
    uint8_t *buf = tarn_realloc(NULL, READ_BACK, 1);
    if (buf == NULL)
        return tarn_fail_mem(&q->err, "reading a piece back");
    bool ok = true;
    crypt_sha_init(&q->message, CRYPT_SHA1);
    for (uint32_t at = 0; at < q->len && ok && !atomic_load(&q->places->is_over); at += READ_BACK) {
        size_t len = tarn_min_size(READ_BACK, q->len - at);
        ok = store_tree_read(set->tree, start + at, (struct tarn_bytes_mut){ buf, len }, &q->err);
        if (ok && set->want_v1)
            crypt_sha_update(&q->message, tarn_bytes_of(buf, len));
        struct tarn_bytes blocks[READ_BLOCKS];
        size_t n = 0, own = at < q->own_len ? tarn_min_size(len, q->own_len - at) : 0;
        for (size_t i = 0; i < own && ok; i += MERKLE_BLOCK)
            blocks[n++] = tarn_bytes_of(buf + i, tarn_min_size(MERKLE_BLOCK, own - i));
        if (n > 0)
            crypt_hash_many(CRYPT_SHA256, blocks, n,
                            q->leaves + (size_t)at / MERKLE_BLOCK * MERKLE_HASH);
    }
    if (ok && set->want_v1)
        crypt_sha_final(&q->message, q->sha1);
    tarn_free(buf);
    return ok;
}

static void run_read_back(struct loop_job *job)
{
    struct place_piece *q = TARN_OUTER(job, struct place_piece, job);
    q->has_failed = !read_back(q);
}

static void on_read_back_done(struct loop_job *job)
{
    struct place_piece *q = TARN_OUTER(job, struct place_piece, job);
    if (places_came_back(q))
        places_tell_hashed(q);
}

/* Some of it has been written, or all of it has come. */
static void go_on(struct place_piece *q)
{
    bool is_all_here = q->count[BLOCK_FREE] == 0 && q->count[BLOCK_LENT] == 0;
    write_runs(q, is_all_here ? 1 : PLACES_RUN_MIN);
    if (q->count[BLOCK_WRITTEN] < q->n_blocks)
        return;
    q->stage = STAGE_HASHING;
    q->job.run = run_read_back;
    q->job.done = on_read_back_done;
    places_submit(q, &q->job);
}

/* The usual case must not look through all blocks: there may be 32768. */
void long_commit(struct place_piece *q, uint32_t block)
{
    if (q->count[BLOCK_FREE] == 0 && q->count[BLOCK_LENT] == 0) {
        go_on(q);
        return;
    }
    uint32_t first = block, end = block + 1;
    while (first > 0 && q->state[first - 1] == BLOCK_HERE && end - first < PLACES_RUN_MAX)
        first--;
    while (end < q->n_blocks && q->state[end] == BLOCK_HERE && end - first < PLACES_RUN_MAX)
        end++;
    struct place_writer *w = spare_writer(q);
    if (w != NULL && end - first >= PLACES_RUN_MIN)
        write_run(q, w, first, end - first);
}

/* Spilling. */

static void run_spill(struct loop_job *job)
{
    struct place_piece *q = TARN_OUTER(job, struct place_piece, job);
    const struct store_places_settings *set = &q->places->set;
    uint64_t start = (uint64_t)q->index * set->layout->piece_len;
    bool ok = true;
    places_before_write(q);
    for (uint32_t i = 0, n; i < q->n_blocks && ok; i += n + 1) {
        size_t len = 0;
        for (n = 0; i + n < q->n_blocks && q->state[i + n] == BLOCK_WRITING; n++)
            len += places_block_len(q, i + n);
        size_t at = (size_t)i * STORE_BLOCK;
        struct tarn_bytes run = tarn_bytes_of(q->buf + at, len);
        ok = len == 0 || store_tree_write_early(set->tree, start + at, &run, 1, &q->err);
    }
    places_after_write(q);
    q->has_failed = !ok;
}

static void on_spilled(struct loop_job *job)
{
    struct place_piece *q = TARN_OUTER(job, struct place_piece, job);
    for (uint32_t i = 0; i < q->n_blocks; i++)
        if (q->state[i] == BLOCK_WRITING)
            places_set_block(q, i, BLOCK_WRITTEN);
    q->stage = STAGE_FILLING;
    places_give_whole(q);
    if (places_came_back(q) && q->has_failed)
        places_tell_written(q, &q->err);
}

bool long_spill(struct place_piece *q)
{
    if (!long_init(q)) {
        long_release(q);
        q->bufs = NULL;
        q->writers = NULL;
        return false;
    }
    for (uint32_t i = 0; i < q->n_blocks; i++)
        if (q->state[i] == BLOCK_HERE)
            places_set_block(q, i, BLOCK_WRITING);
    q->stage = STAGE_SPILLING;
    q->job.run = run_spill;
    q->job.done = on_spilled;
    places_submit(q, &q->job);
    return true;
}

/* It is on disk already; its owner is told from the loop. */

static void run_nothing(struct loop_job *job)
{
    (void)job;
}

static void on_told(struct loop_job *job)
{
    struct place_piece *q = TARN_OUTER(job, struct place_piece, job);
    if (places_came_back(q))
        places_tell_written(q, NULL);
}

void long_tell_written(struct place_piece *q)
{
    q->job.run = run_nothing;
    q->job.done = on_told;
    places_submit(q, &q->job);
}
