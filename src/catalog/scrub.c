/* catalog/scrub: see the header. The loop's thread chooses the file and the time; the job does one
 * step of the file and touches only `work`. */
#include "catalog/scrub.h"

#include "base/mem.h"
#include "base/num.h"
#include "loop/pool.h"
#include "sys/clock.h"

#include <string.h>

enum {
    BLOCKS = CATALOG_SCRUB_STEP / MERKLE_BLOCK,
    LEAVES_STEP = 32768, /* before the place to begin with, whose blocks are not read: of a job */
};

struct work {
    struct catalog_leaves *leaves; /* borrowed */
    struct catalog_scrub_file file;
    int fd;
    uint64_t n_blocks;
    uint64_t at; /* the next block; its leaf is the next one too */
    struct merkle_sum sum;
    bool has_bad_leaves;
    bool is_over;
    struct catalog_scrub_result result;
    uint8_t *buf; /* owned: CATALOG_SCRUB_STEP */
    uint8_t hashes[BLOCKS][MERKLE_HASH];
};

struct catalog_scrub {
    struct catalog_scrub_settings set;
    struct loop_job job;
    struct loop_timer timer;
    struct loop_idle idle; /* so that nothing is called back from within start */
    bool is_running;
    bool has_file;
    bool is_out;         /* the job */
    int64_t due_us;      /* of the next job, by the rate */
    uint64_t bytes;      /* of files that are told */
    uint64_t step_bytes; /* of the file under way, when its last job ended */
    uint64_t place;
    struct work work;
};

/* The job. */

static void mark_bad(struct work *w, uint64_t block)
{
    struct catalog_scrub_result *r = &w->result;
    struct catalog_bad *last = r->n_bad == 0 ? NULL : &r->bad[r->n_bad - 1];
    r->bad_blocks++;
    if (last != NULL && last->first + last->n == block)
        last->n++;
    else if (r->n_bad < CATALOG_SCRUB_RANGES)
        r->bad[r->n_bad++] = (struct catalog_bad){ block, 1 };
}

static void end(struct work *w, enum catalog_scrubbed what)
{
    w->result.what = what;
    w->is_over = true;
    sys_close(&w->fd);
}

static void end_changed(struct work *w, const struct sys_stat *now, const char *how)
{
    struct tarn_quote q;
    if (now != NULL)
        w->result.stat = *now;
    tarn_fail(&w->result.err, TARN_E_FAILED, "'%s' has changed: %s",
              tarn_quote_str(&q, w->file.path), how);
    end(w, CATALOG_SCRUB_CHANGED);
}

/* Is it, under its name, what was hashed? */
static bool is_same(struct work *w)
{
    struct sys_stat then = w->file.stat, open, named;
    if (!sys_stat_fd(w->fd, &open, NULL) ||
        !sys_stat(w->file.dir, w->file.path, false, &named, NULL)) {
        end_changed(w, NULL, "it is gone");
        return false;
    }
    then.dev = open.dev; /* a number that changes from boot to boot */
    if (sys_stat_same(&open, &then) && sys_stat_same(&named, &open))
        return true;
    end_changed(w, &named, "its length, times or inode are others");
    return false;
}

static bool open_file(struct work *w)
{
    struct catalog_scrub_result *r = &w->result;
    w->fd = sys_open_beneath(w->file.dir, w->file.path, SYS_OPEN_READ, &r->err);
    if (w->fd >= 0) {
        sys_read_in_order(w->fd);
        return is_same(w);
    }
    if (r->err.code == TARN_E_NOT_FOUND)
        end_changed(w, NULL, "it is gone");
    else
        end(w, CATALOG_SCRUB_UNREADABLE);
    return false;
}

/* The next n leaves into hashes, and into the sum. What is wrong with them is known when all are
 * read. */
static void take_leaves(struct work *w, size_t n)
{
    struct tarn_quote q;
    if (w->n_blocks == 1) {
        memcpy(w->hashes[0], w->file.root, MERKLE_HASH);
    } else if (!w->has_bad_leaves && !catalog_leaves_read(w->leaves, w->file.leaves, CATALOG_LEAVES,
                                                          w->at, n, w->hashes[0], &w->result.err)) {
        w->has_bad_leaves = true;
        tarn_fail_in(&w->result.err, "checking '%s'", tarn_quote_str(&q, w->file.path));
    }
    if (!w->has_bad_leaves)
        merkle_sum_add(&w->sum, w->hashes[0], n);
}

static size_t block_len(const struct work *w, uint64_t block)
{
    return (size_t)tarn_min_u64(MERKLE_BLOCK, w->file.stat.size - block * MERKLE_BLOCK);
}

/* Some of a run cannot be read: which blocks? The others are hashed. */
static void read_singly(struct work *w, size_t n, bool is_read[BLOCKS])
{
    for (size_t i = 0; i < n; i++) {
        size_t got = 0, len = block_len(w, w->at + i);
        struct tarn_err err;
        bool ok = sys_read_at(w->fd, w->buf + i * MERKLE_BLOCK, len, (w->at + i) * MERKLE_BLOCK,
                              &got, &err);
        w->result.bytes_read += got;
        is_read[i] = ok && got == len;
        if (!ok && w->result.err.code == TARN_OK)
            w->result.err = err;
    }
}

static void read_blocks(struct work *w, size_t n, bool is_read[BLOCKS])
{
    uint64_t off = w->at * MERKLE_BLOCK;
    size_t len = (n - 1) * MERKLE_BLOCK + block_len(w, w->at + n - 1), got = 0;
    bool is_cold = sys_resident(w->fd, off, len) == SYS_COLD;
    if (sys_read_at(w->fd, w->buf, len, off, &got, NULL) && got == len) {
        w->result.bytes_read += len;
        memset(is_read, true, n * sizeof *is_read);
    } else {
        read_singly(w, n, is_read);
    }
    if (is_cold)
        sys_wont_need(w->fd, off, len);
}

static void check_blocks(struct work *w)
{
    struct tarn_bytes data[BLOCKS];
    uint8_t is[BLOCKS][MERKLE_HASH];
    bool is_read[BLOCKS];
    size_t n = (size_t)tarn_min_u64(BLOCKS, w->n_blocks - w->at);
    take_leaves(w, n);
    if (w->has_bad_leaves)
        return;
    read_blocks(w, n, is_read);
    for (size_t i = 0; i < n; i++)
        data[i] = tarn_bytes_of(w->buf + i * MERKLE_BLOCK, block_len(w, w->at + i));
    crypt_hash_many(CRYPT_SHA256, data, n, is[0]);
    for (size_t i = 0; i < n; i++)
        if (!is_read[i] || memcmp(is[i], w->hashes[i], MERKLE_HASH) != 0)
            mark_bad(w, w->at + i);
    w->at += n;
}

/* The leaves of what was checked in an earlier run. */
static void pass_leaves(struct work *w)
{
    uint64_t stop = tarn_min_u64(w->file.place, w->at + LEAVES_STEP);
    while (w->at < stop && !w->has_bad_leaves) {
        size_t n = (size_t)tarn_min_u64(BLOCKS, stop - w->at);
        take_leaves(w, n);
        w->at += n;
    }
}

static void finish(struct work *w)
{
    uint8_t root[MERKLE_HASH];
    struct tarn_quote q;
    if (!is_same(w))
        return;
    if (!w->has_bad_leaves && w->n_blocks > 0) {
        merkle_sum_root(&w->sum, 0, merkle_levels(w->n_blocks), root);
        w->has_bad_leaves = memcmp(root, w->file.root, MERKLE_HASH) != 0;
        if (w->has_bad_leaves)
            tarn_fail(&w->result.err, TARN_E_INTEGRITY,
                      "the leaf hashes of '%s' are damaged: it must be read again",
                      tarn_quote_str(&q, w->file.path));
    }
    if (w->has_bad_leaves) {
        w->result.n_bad = 0;
        w->result.bad_blocks = 0;
        end(w, CATALOG_SCRUB_LEAVES);
    } else {
        end(w, w->result.bad_blocks > 0 ? CATALOG_SCRUB_DAMAGED : CATALOG_SCRUB_GOOD);
    }
}

static void step(struct loop_job *j)
{
    struct work *w = &TARN_OUTER(j, struct catalog_scrub, job)->work;
    if (w->fd < 0 && !open_file(w))
        return;
    if (w->at < w->file.place)
        pass_leaves(w);
    else if (w->at < w->n_blocks)
        check_blocks(w);
    if (w->at >= w->n_blocks || w->has_bad_leaves)
        finish(w);
}

/* The loop's thread. */

static void go_on(struct catalog_scrub *s);

static void submit(struct catalog_scrub *s)
{
    s->is_out = true;
    loop_pool_submit(s->set.loop, &s->job);
}

static void begin_file(struct catalog_scrub *s)
{
    struct work *w = &s->work;
    w->result = (struct catalog_scrub_result){ .file = &w->file };
    w->n_blocks = tarn_div_up_u64(w->file.stat.size, MERKLE_BLOCK);
    w->file.place = tarn_min_u64(w->file.place, w->n_blocks);
    w->at = 0;
    w->sum.n = 0;
    w->has_bad_leaves = w->is_over = false;
    s->place = w->file.place;
    s->step_bytes = 0;
    s->has_file = true;
}

static void go_on(struct catalog_scrub *s)
{
    if (!s->has_file) {
        s->work.file = (struct catalog_scrub_file){ 0 };
        if (!s->set.next(s->set.arg, &s->work.file)) {
            s->is_running = false;
            s->set.over(s->set.arg);
            return;
        }
        begin_file(s);
    }
    int64_t now_us = sys_now_us();
    s->due_us = s->due_us < now_us ? now_us : s->due_us;
    /* without memory for a timer the rate is passed, this once */
    if (s->due_us == now_us || !loop_timer_set(s->set.loop, &s->timer, s->due_us))
        submit(s);
}

static void on_time(struct loop_timer *t)
{
    submit(TARN_OUTER(t, struct catalog_scrub, timer));
}

static void on_idle(struct loop_idle *i)
{
    go_on(TARN_OUTER(i, struct catalog_scrub, idle));
}

static void pay(struct catalog_scrub *s, uint64_t bytes)
{
    if (s->set.rate_bps > 0)
        s->due_us += (int64_t)((double)bytes * 1e6 / (double)s->set.rate_bps);
}

static void on_step(struct loop_job *j)
{
    struct catalog_scrub *s = TARN_OUTER(j, struct catalog_scrub, job);
    struct work *w = &s->work;
    s->is_out = false;
    pay(s, w->result.bytes_read - s->step_bytes);
    s->step_bytes = w->result.bytes_read;
    s->place = w->result.n_bad > 0 ? w->result.bad[0].first : tarn_max_u64(w->at, s->place);
    if (w->is_over) {
        s->bytes += s->step_bytes;
        s->step_bytes = 0;
        s->has_file = false;
        s->set.told(s->set.arg, &w->result);
    }
    if (s->is_running && !s->is_out)
        loop_idle_set(s->set.loop, &s->idle);
}

struct catalog_scrub *catalog_scrub_new(const struct catalog_scrub_settings *set,
                                        struct tarn_err *err)
{
    struct catalog_scrub *s = tarn_calloc(1, sizeof *s);
    if (s != NULL)
        s->work.buf = tarn_calloc(1, CATALOG_SCRUB_STEP);
    if (s == NULL || s->work.buf == NULL) {
        tarn_free(s);
        tarn_fail_mem(err, "starting to check files");
        return NULL;
    }
    s->set = *set;
    s->work.leaves = set->leaves;
    s->work.fd = -1;
    s->job.run = step;
    s->job.done = on_step;
    s->timer.on_time = on_time;
    s->idle.on_idle = on_idle;
    return s;
}

void catalog_scrub_start(struct catalog_scrub *s)
{
    if (s->is_running)
        return;
    s->is_running = true;
    loop_idle_set(s->set.loop, &s->idle);
}

void catalog_scrub_stop(struct catalog_scrub *s)
{
    s->is_running = false;
    loop_idle_stop(&s->idle);
    loop_timer_stop(s->set.loop, &s->timer);
    loop_pool_cancel(s->set.loop, &s->job);
    sys_close(&s->work.fd);
    s->is_out = s->has_file = false;
    s->bytes += s->step_bytes;
    s->step_bytes = 0;
}

void catalog_scrub_free(struct catalog_scrub *s)
{
    if (s == NULL)
        return;
    catalog_scrub_stop(s);
    tarn_free(s->work.buf);
    tarn_free(s);
}

void catalog_scrub_set_rate(struct catalog_scrub *s, uint64_t rate_bps)
{
    s->set.rate_bps = rate_bps;
}

const struct catalog_scrub_file *catalog_scrub_now(const struct catalog_scrub *s)
{
    return s->has_file ? &s->work.file : NULL;
}

uint64_t catalog_scrub_place(const struct catalog_scrub *s)
{
    return s->has_file ? s->place : 0;
}

uint64_t catalog_scrub_bytes(const struct catalog_scrub *s)
{
    return s->bytes + s->step_bytes;
}
