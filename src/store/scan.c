/* store/scan: workers, their batches, and the thread that waits for them. The work itself is in
 * abreast.c (v1, and v1 with v2) and leaves.c (v2 alone). */
#include "store/scan.h"

#include "base/mem.h"
#include "base/num.h"
#include "store/priv.h"

enum {
    PROGRESS_US = 100 * 1000, /* how often the caller hears of progress */
    LEAVES_BATCH = 4 << 20,   /* v2: bytes that a worker takes at a time */
};

size_t store_run_take(struct store_run *run, uint32_t pieces[STORE_BATCH_MAX])
{
    const struct tarn_bits *only = run->scan->only;
    size_t n = 0;
    sys_lock_take(&run->lock);
    if (run->batch < run->n_batches && !store_run_stopped(run)) {
        /* Batches of equal size, to one piece. */
        uint64_t from = (uint64_t)run->n_pieces * run->batch / run->n_batches;
        uint64_t to = (uint64_t)run->n_pieces * ++run->batch / run->n_batches;
        while (n < to - from) {
            uint32_t piece = run->next++;
            if (only == NULL || tarn_bits_has(only, piece))
                pieces[n++] = piece;
        }
    }
    sys_lock_give(&run->lock);
    return n;
}

void store_run_fault(struct store_run *run, uint32_t piece, const struct store_fault *fault)
{
    struct store_scanned s = { .piece = piece, .found = fault->found, .file = fault->file };
    if (fault->found == STORE_FAILED)
        s.err = &fault->err;
    run->scan->on_piece(run->scan->arg, &s);
}

struct worker {
    struct store_run *run;
    const struct store_work *work;
    void *w; /* the work's own */
    struct sys_thread thread;
};

static void work(void *arg)
{
    struct worker *w = arg;
    uint32_t pieces[STORE_BATCH_MAX];
    for (size_t n; (n = store_run_take(w->run, pieces)) > 0;)
        w->work->batch(w->w, pieces, n);
    sys_lock_take(&w->run->lock);
    w->run->running--;
    sys_cond_signal(&w->run->ended);
    sys_lock_give(&w->run->lock);
}

/* Ours: hashed in less time than threads take to start, when there are a thousand such torrents. */
enum { SMALL_BYTES = 1 << 20 };

/* How many batches: each has at most max pieces, and all workers get equally many. */
static uint32_t count_batches(uint32_t n_pieces, uint32_t max, unsigned workers)
{
    uint64_t n = tarn_div_up_u64(n_pieces, max);
    n = tarn_div_up_u64(n, workers) * workers;
    return (uint32_t)tarn_min_u64(n, n_pieces);
}

static uint32_t batch_max(const struct store_scan *s)
{
    if (s->want_v1)
        return STORE_ABREAST;
    uint32_t fit = (uint32_t)(LEAVES_BATCH / s->layout->piece_len);
    return fit == 0 ? 1 : fit > STORE_BATCH_MAX ? STORE_BATCH_MAX : fit;
}

/* Waits for all workers. False when the caller asked to stop. */
static bool wait_for_workers(struct store_run *run, uint64_t total)
{
    const struct store_scan *s = run->scan;
    bool go_on = true;
    sys_lock_take(&run->lock);
    while (run->running > 0) {
        if (sys_cond_wait_for(&run->ended, &run->lock, PROGRESS_US) || s->on_progress == NULL ||
            !go_on)
            continue;
        sys_lock_give(&run->lock);
        go_on = s->on_progress(s->arg, atomic_load(&run->done), total);
        sys_lock_take(&run->lock);
        if (!go_on)
            atomic_store(&run->stop, true);
    }
    sys_lock_give(&run->lock);
    if (go_on && s->on_progress != NULL)
        go_on = s->on_progress(s->arg, atomic_load(&run->done), total);
    return go_on;
}

static uint64_t total_of(const struct store_scan *s, uint32_t n_pieces)
{
    const struct store_layout *l = s->layout;
    uint64_t total = (uint64_t)n_pieces * l->piece_len;
    uint32_t last = l->n_pieces - 1;
    if (n_pieces > 0 && (s->only == NULL || tarn_bits_has(s->only, last)))
        total -= l->piece_len - store_piece_len(l, last);
    return total;
}

/* Without threads: batch after batch, with a word to the caller behind each. */
static bool work_here(struct store_run *run, struct worker *w, uint64_t total)
{
    const struct store_scan *s = run->scan;
    uint32_t pieces[STORE_BATCH_MAX];
    for (size_t n; (n = store_run_take(run, pieces)) > 0;) {
        w->work->batch(w->w, pieces, n);
        if (s->on_progress != NULL && !s->on_progress(s->arg, atomic_load(&run->done), total))
            return false;
    }
    return true;
}

/* Start as many as can be; one is enough. */
static bool start(struct store_run *run, struct worker *workers, unsigned n, struct tarn_err *err)
{
    for (unsigned i = 0; i < n; i++) {
        struct worker *w = &workers[i];
        sys_lock_take(&run->lock);
        run->running++;
        sys_lock_give(&run->lock);
        if (sys_thread_start(&w->thread, "scan", work, w, i == 0 ? err : NULL))
            continue;
        sys_lock_take(&run->lock);
        run->running--;
        sys_lock_give(&run->lock);
        return i > 0;
    }
    return true;
}

static bool make_workers(struct store_run *run, struct worker *workers, unsigned n,
                         struct tarn_err *err)
{
    for (unsigned i = 0; i < n; i++) {
        struct worker *w = &workers[i];
        w->run = run;
        w->work = run->scan->want_v1 ? &store_work_abreast : &store_work_leaves;
        w->w = w->work->make(run);
        if (w->w == NULL)
            return tarn_fail_mem(err, "scanning content");
    }
    return true;
}

bool store_scan_run(struct store_scan *s, struct tarn_err *err)
{
    struct store_run run = { .scan = s };
    run.n_pieces = s->only == NULL ? s->layout->n_pieces : s->only->count;
    s->bytes_read = 0;
    uint64_t total = total_of(s, run.n_pieces);
    if (run.n_pieces == 0)
        return s->on_progress == NULL || s->on_progress(s->arg, 0, 0) ||
               tarn_fail(err, TARN_E_CANCELED, "stopped");
    bool is_here = s->no_threads || total <= SMALL_BYTES;
    unsigned n = is_here ? 1 : s->jobs == 0 ? sys_cpu_count() : s->jobs;
    run.n_batches = count_batches(run.n_pieces, batch_max(s), n);
    n = (unsigned)tarn_min_u64(n, run.n_batches);
    struct worker *workers = tarn_calloc(n, sizeof *workers);
    if (workers == NULL)
        return tarn_fail_mem(err, "scanning content");
    sys_lock_init(&run.lock);
    sys_cond_init(&run.ended);
    bool ok = make_workers(&run, workers, n, err);
    bool went_on = true;
    if (ok && is_here) {
        went_on = work_here(&run, workers, total);
    } else if (ok) {
        ok = start(&run, workers, n, err);
        went_on = !ok || wait_for_workers(&run, total);
    }
    for (unsigned i = 0; i < n; i++) {
        sys_thread_join(&workers[i].thread);
        if (workers[i].work != NULL)
            s->bytes_read += workers[i].work->free(workers[i].w);
    }
    sys_cond_release(&run.ended);
    sys_lock_release(&run.lock);
    tarn_free(workers);
    return ok && (went_on || tarn_fail(err, TARN_E_CANCELED, "stopped"));
}
