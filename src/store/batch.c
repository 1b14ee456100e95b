/* store/batch: verified pieces on their way to the disk.
 *
 * One job at a time for all pieces of one tree, with as many as wait: writers of one file exclude
 * each other in the kernel, and those that wait there burn a processor (measured: 17 % of all that
 * a download cost). Neighbours go out in one write. */
#include "store/places_priv.h"

#include "base/mem.h"

#include <assert.h>

static uint64_t start_of(const struct place_piece *q)
{
    return (uint64_t)q->index * q->places->set.layout->piece_len;
}

/* Neighbours, whose bytes follow each other. */
static void write_some(struct place_piece **pieces, size_t n)
{
    const struct store_places_settings *set = &pieces[0]->places->set;
    struct tarn_bytes runs[PLACES_BATCH];
    struct tarn_err err;
    assert(n > 0 && n <= PLACES_BATCH);
    size_t i = 0;
    do
        runs[i] = tarn_bytes_of(pieces[i]->buf, pieces[i]->len);
    while (++i < n);
    for (i = 0; i < n; i++)
        places_before_write(pieces[i]);
    bool ok = store_tree_write(set->tree, start_of(pieces[0]), runs, n, &err);
    for (i = 0; i < n; i++) {
        places_after_write(pieces[i]);
        pieces[i]->has_failed = !ok;
        if (!ok)
            pieces[i]->err = err;
    }
}

static void run(struct loop_job *job)
{
    struct place_batch *b = TARN_OUTER(job, struct place_batch, job);
    for (size_t first = 0, end; first < b->n; first = end) {
        end = first + 1;
        while (end < b->n &&
               start_of(b->pieces[end - 1]) + b->pieces[end - 1]->len == start_of(b->pieces[end]))
            end++;
        write_some(b->pieces + first, end - first);
    }
}

static void go(struct store_places *p)
{
    struct place_batch *b = &p->batch;
    struct tarn_list *node;
    if (b->n > 0)
        return;
    while (b->n < PLACES_BATCH && (node = tarn_list_pop_front(&p->to_write)) != NULL) {
        struct place_piece *q = TARN_OUTER(node, struct place_piece, to_write);
        size_t i = b->n++;
        for (; i > 0 && b->pieces[i - 1]->index > q->index; i--)
            b->pieces[i] = b->pieces[i - 1];
        b->pieces[i] = q;
    }
    if (b->n > 0)
        loop_pool_submit(p->set.loop, &b->job);
}

static void on_done(struct loop_job *job)
{
    struct place_batch *b = TARN_OUTER(job, struct place_batch, job);
    struct store_places *p = TARN_OUTER(b, struct store_places, batch);
    struct place_piece *pieces[PLACES_BATCH];
    size_t n = b->n;
    memcpy(pieces, b->pieces, n * TARN_ITEM_SIZE(pieces));
    b->n = 0;
    go(p); /* the disk first */
    for (size_t i = 0; i < n; i++)
        if (places_came_back(pieces[i]))
            places_tell_written(pieces[i], pieces[i]->has_failed ? &pieces[i]->err : NULL);
}

void batch_init(struct store_places *p)
{
    tarn_list_init(&p->to_write);
    p->batch.job.run = run;
    p->batch.job.done = on_done;
}

void batch_add(struct place_piece *q)
{
    places_sent_out(q);
    tarn_list_push_back(&q->places->to_write, &q->to_write);
    go(q->places);
}

void batch_stop(struct store_places *p)
{
    loop_pool_cancel(p->set.loop, &p->batch.job);
    p->batch.n = 0;
    while (tarn_list_pop_front(&p->to_write) != NULL)
        ;
}
