/* catalog/check: held files are read again from time to time (catalog/scrub), in order of their
 * numbers.
 *
 * A job takes the next CHECK_BATCH of them and notes where we are, so that a check goes on after a
 * restart; what was found wrong in the batch before is recorded by the same job. */
#include "base/cur.h"
#include "base/mem.h"
#include "base/num.h"
#include "catalog/look.h"
#include "catalog/scrub.h"
#include "sys/clock.h"

#include <stdio.h>

enum {
    CHECK_BATCH = 16,
    AFTER_FAULT_US = 60 * 1000000,
    COUNT_EVERY_US = 1000000, /* what is to be checked: a look at each collection */
    RATE_AFTER_US = 1000000,  /* a rate of less time says little */
};

/* Files and bytes: so many. */
struct amount {
    uint64_t files, bytes;
};

struct found {
    uint64_t id;
    enum catalog_scrubbed what;
    struct sys_stat stat; /* that the file had */
    uint64_t bad_blocks;
    char text[ROW_REASON_MAX];
};

struct one {
    uint64_t id;
    uint32_t collection;
    int dir;    /* owned */
    char *path; /* owned */
    struct sys_stat stat;
    struct catalog_identity identity;
    struct catalog_run leaves;
};

/* Where a check is, in the index: seven numbers (README.md). */
enum { PLACE_MAX = 7 * 8 };

struct check {
    struct catalog *c;
    struct catalog_scrub *scrub; /* owned */
    struct loop_job job;
    struct loop_timer timer;
    uint32_t only; /* of this collection; 0: of all */
    bool is_running, is_in_job;
    bool is_pausing; /* what was found could not be recorded; it is kept, and tried again */
    bool is_asked;   /* for another one when this one is over, ... */
    uint32_t asked;  /* ... of this collection; 0: of all */
    struct one ones[CHECK_BATCH];
    size_t n_ones, at;
    struct found found[CHECK_BATCH];
    size_t n_found;
    uint64_t bad;          /* files, in this check */
    struct amount done;    /* in this check */
    struct amount to_do;   /* all that there is for it, the done included */
    int64_t started_ms;    /* wall clock */
    int64_t went_on_us;    /* since when, and ... */
    uint64_t went_on_done; /* ... from how many bytes on its rate is measured */
    uint64_t file_began;   /* catalog_scrub_bytes when the file under way began */
    int64_t ended_ms;      /* the last one that was over; 0: none */
    /* of the job */
    uint64_t after; /* the last one taken */
    bool is_end, is_failed;
    int64_t now_ms;
    struct amount passed;  /* held, and could not be opened */
    struct amount counted; /* to_do, once it is over */
    int64_t counted_us;    /* when; 0: not yet */
    struct tarn_err err;
    struct lines lines;
};

static struct tarn_bytes place_key(void)
{
    return tarn_bytes_str("check");
}

/* --- the job --- */

static bool put_found(struct index_write *w, const struct found *f, struct tarn_err *err)
{
    struct row_entry row, fresh;
    enum catalog_found there = index_get(w, f->id, &row, err);
    if (there == CATALOG_FOUND)
        there = index_collection(w, row.e.collection, err);
    if (there != CATALOG_FOUND || row.e.state != CATALOG_HELD ||
        !catalog_stat_same(&row.e.stat, &f->stat))
        return there != CATALOG_FAILED; /* it is known otherwise by now */
    row_copy_entry(&fresh, &row);
    fresh.e.state = f->what == CATALOG_SCRUB_DAMAGED ? CATALOG_DAMAGED : CATALOG_CHANGED;
    if (f->what == CATALOG_SCRUB_DAMAGED)
        fresh.e.reason = index_reason(fresh.reason, f->text);
    return index_put(w, &row, &fresh, NULL, err) &&
           index_note(w, f->what == CATALOG_SCRUB_DAMAGED ? CATALOG_E_DAMAGED : CATALOG_E_CHANGED,
                      &fresh, fresh.e.reason, f->bad_blocks, err);
}

static bool record(struct index_write *w, void *arg, struct tarn_err *err)
{
    struct check *k = arg;
    struct tarn_out o = { 0 };
    uint8_t text[PLACE_MAX];
    for (size_t i = 0; i < k->n_found; i++)
        if (!put_found(w, &k->found[i], err))
            return false;
    tarn_out_fixed(&o, text, sizeof text);
    tarn_out_be64(&o, k->is_end ? 0 : k->after); /* 0: none is under way */
    tarn_out_be64(&o, (uint64_t)(k->is_end && k->only == 0 ? k->now_ms : k->ended_ms));
    if (!k->is_end) {
        tarn_out_be64(&o, (uint64_t)k->started_ms);
        tarn_out_be64(&o, k->done.files);
        tarn_out_be64(&o, k->done.bytes);
        tarn_out_be64(&o, k->bad);
        tarn_out_be64(&o, k->only);
    }
    return kv_txn_put(w->t, w->base + T_FIXED, place_key(), tarn_out_bytes(&o), err);
}

/* A held file, ready to be read. */
static bool make_one(struct check *k, const struct kv_read *r, const struct row_entry *row,
                     struct one *o)
{
    struct disk_place at;
    struct catalog_known known;
    if (row->e.kind != CATALOG_FILE || row->e.state != CATALOG_HELD ||
        !disk_place(r, k->c->base, &row->e, &at, NULL) || at.col.c.phase == CATALOG_AWAY ||
        index_known(r, k->c->base, &row->e.identity, 0, &known, NULL) != CATALOG_FOUND)
        return false;
    *o = (struct one){ .id = row->e.id,
                       .collection = row->e.collection,
                       .stat = row->e.stat,
                       .identity = row->e.identity,
                       .leaves = known.leaves };
    o->path = row->e.is_link ? disk_resolve(at.col.path, at.path, NULL)
                             : tarn_strndup(at.path, strlen(at.path));
    o->dir = o->path == NULL ? -1 : sys_open(at.col.path, SYS_OPEN_FOLDER, NULL);
    if (o->dir >= 0)
        return true;
    tarn_free(o->path);
    return false;
}

static void add(struct amount *to, uint64_t files, uint64_t bytes)
{
    to->files += files;
    to->bytes += bytes;
}

/* A held file that cannot be opened now is passed: whoever asks for it, or a walk, says why. */
static void take_one(struct check *k, const struct kv_read *r, const struct row_entry *row)
{
    if (make_one(k, r, row, &k->ones[k->n_ones]))
        k->n_ones++;
    else if (row->e.kind == CATALOG_FILE && row->e.state == CATALOG_HELD)
        add(&k->passed, 1, row->e.stat.size);
}

static bool take_batch(struct check *k)
{
    KV_AUTO_READ r = { 0 };
    KV_AUTO_CURSOR cur = { 0 };
    struct kv_key from = { 0 };
    k->n_ones = k->at = 0;
    kv_key_be64(&from, k->after + 1);
    if (!kv_read_begin(k->c->kv, &r, &k->err) ||
        !kv_cursor_open(&r, k->c->base + T_PARENTS, &cur, &k->err))
        return false;
    enum kv_got got = kv_seek(&cur, kv_key_bytes(&from), &k->err);
    for (unsigned seen = 0; got == KV_FOUND && k->n_ones < CHECK_BATCH && seen < KV_SCAN_RECORDS;
         seen++) {
        struct tarn_cur id = tarn_cur_of(cur.key);
        struct tarn_bytes value;
        struct row_entry row;
        k->after = tarn_cur_be64(&id);
        if (kv_get(&r, k->c->base + T_ENTRIES, cur.value, &value, NULL) == KV_FOUND &&
            row_take_entry(cur.value, value, &row, NULL) &&
            (k->only == 0 || row.e.collection == k->only))
            take_one(k, &r, &row);
        got = kv_next(&cur, &k->err);
    }
    k->is_end = got == KV_NONE && k->n_ones == 0;
    kv_cursor_close(&cur); /* before its read */
    return got != KV_FAILED;
}

/* All that there is to be checked. What cannot be counted is not: it is a figure for people. */
static void count(struct check *k)
{
    struct catalog_read r;
    struct catalog_collection c = { 0 };
    int64_t now_us = sys_now_us();
    if ((k->counted_us != 0 && now_us - k->counted_us < COUNT_EVERY_US) ||
        !catalog_read_begin(k->c, &r, NULL))
        return;
    k->counted_us = now_us;
    k->counted = (struct amount){ 0 };
    while (catalog_collection_next(&r, c.id, &c, NULL) == CATALOG_FOUND)
        if (c.phase != CATALOG_AWAY && (k->only == 0 || c.id == k->only))
            add(&k->counted, c.held_files, c.held_bytes);
    catalog_read_end(&r);
}

static bool load_place(struct check *k)
{
    struct kv_read r = { 0 };
    struct tarn_bytes value;
    if (!kv_read_begin(k->c->kv, &r, &k->err))
        return false;
    enum kv_got got = kv_get(&r, k->c->base + T_FIXED, place_key(), &value, &k->err);
    if (got == KV_FOUND) {
        struct tarn_cur c = tarn_cur_of(value);
        k->after = tarn_cur_be64(&c);
        k->ended_ms = (int64_t)tarn_cur_be64(&c);
        k->started_ms = (int64_t)tarn_cur_be64(&c); /* these are 0 in a record of the first tarns */
        k->done.files = tarn_cur_be64(&c);
        k->done.bytes = tarn_cur_be64(&c);
        k->bad = tarn_cur_be64(&c);
        k->only = (uint32_t)tarn_cur_be64(&c);
    }
    kv_read_end(&r);
    if (got != KV_NONE || k->c->scrub_every_us == 0)
        return got != KV_FAILED;
    k->is_end = true; /* the time of the first one counts from here: what is new was just read */
    k->ended_ms = k->now_ms = sys_wall_ms();
    return catalog_write(k->c, record, k, &k->err);
}

static void check_run(struct loop_job *job)
{
    struct check *k = TARN_OUTER(job, struct check, job);
    uint64_t before = k->after;
    k->lines.n = k->lines.more = 0;
    k->is_end = false;
    k->passed = (struct amount){ 0 };
    k->now_ms = sys_wall_ms();
    for (size_t i = 0; i < k->n_found; i++)
        if (k->found[i].what != CATALOG_SCRUB_CHANGED)
            lines_add(&k->lines, true, "%s", k->found[i].text);
    k->is_failed = !take_batch(k);
    count(k);
    if (k->is_end)
        lines_add(&k->lines, k->bad > 0, "held files were read again: %llu are not what they were",
                  (unsigned long long)k->bad);
    uint64_t taken = k->after;
    k->after = before; /* what is in the batch has yet to be read */
    if (!k->is_failed && (k->n_found > 0 || k->is_end || before > 0))
        k->is_failed = !catalog_write(k->c, record, k, &k->err);
    if (!k->is_failed)
        k->after = taken;
}

/* --- the loop's thread --- */

static void release_ones(struct check *k)
{
    for (size_t i = 0; i < k->n_ones; i++) {
        sys_close(&k->ones[i].dir);
        tarn_free(k->ones[i].path);
    }
    k->n_ones = k->at = 0;
}

static void start_job(struct check *k)
{
    if (k->is_in_job)
        return;
    k->is_in_job = true;
    loop_pool_submit(k->c->loop, &k->job);
}

static void plan(struct check *k)
{
    if (k->c->scrub_every_us == 0)
        return;
    int64_t since_us = (sys_wall_ms() - k->ended_ms) * 1000;
    int64_t wait_us =
        since_us < 0 || since_us > k->c->scrub_every_us ? 0 : k->c->scrub_every_us - since_us;
    if (!loop_timer_set(k->c->loop, &k->timer, loop_now_us(k->c->loop) + wait_us))
        k->is_failed = true;
}

static void go_on(struct check *k)
{
    k->is_running = true;
    k->is_pausing = false;
    k->went_on_us = loop_now_us(k->c->loop);
    k->went_on_done = k->done.bytes;
    k->to_do = k->done;
    k->counted_us = 0;
    start_job(k);
}

static void begin(struct check *k, uint32_t only)
{
    k->only = only;
    k->after = 0;
    k->bad = 0;
    k->done = (struct amount){ 0 };
    k->started_ms = sys_wall_ms();
    go_on(k);
}

/* What the job has found out is taken by the loop's thread, so that it may be asked at any time. */
static void take_amounts(struct check *k)
{
    add(&k->done, k->passed.files, k->passed.bytes);
    k->to_do.files = tarn_max_u64(k->counted.files, k->done.files);
    k->to_do.bytes = tarn_max_u64(k->counted.bytes, k->done.bytes);
}

/* The files of the batch that could not be begun are taken again; what was found waits with it. */
static void pause_check(struct check *k)
{
    struct lines l = { 0 };
    lines_add(&l, true, "%s; held files are read again in a minute", k->err.msg);
    actor_say(k->c, &l);
    release_ones(k);
    k->is_pausing = true;
    if (!loop_timer_set(k->c->loop, &k->timer, loop_now_us(k->c->loop) + AFTER_FAULT_US))
        k->is_running = k->is_pausing = false; /* until somebody asks */
}

static void end(struct check *k)
{
    k->after = 0;
    if (k->only == 0) {
        k->ended_ms = k->now_ms;
        feed_sweep(k->c->feed);
    }
    k->is_running = false;
    if (k->is_asked) {
        k->is_asked = false;
        begin(k, k->asked);
    } else {
        plan(k);
    }
}

static void check_done(struct loop_job *job)
{
    struct check *k = TARN_OUTER(job, struct check, job);
    k->is_in_job = false;
    if (k->is_failed) {
        pause_check(k);
        return;
    }
    actor_say(k->c, &k->lines);
    take_amounts(k);
    k->n_found = 0;
    if (k->is_end) {
        end(k);
    } else if (k->n_ones == 0) {
        start_job(k); /* a long run of what is not held */
    } else {
        catalog_scrub_start(k->scrub);
    }
    actor_kick(k->c);
}

static bool next(void *arg, struct catalog_scrub_file *f)
{
    struct check *k = arg;
    if (k->at == k->n_ones)
        return false;
    struct one *o = &k->ones[k->at++];
    *f = (struct catalog_scrub_file){
        .dir = o->dir, .path = o->path, .stat = o->stat, .leaves = o->leaves, .tag = o
    };
    memcpy(f->root, o->identity.root, sizeof f->root);
    k->file_began = catalog_scrub_bytes(k->scrub);
    return true;
}

static void describe(const struct catalog_scrub_result *r, const struct one *o, struct found *f)
{
    struct tarn_quote q;
    struct tarn_out out;
    tarn_out_fixed(&out, f->text, sizeof f->text - 1);
    tarn_out_str(&out, "damaged blocks of 16 KiB:");
    for (size_t i = 0; i < r->n_bad && out.len + 60 < sizeof f->text; i++)
        tarn_out_fmt(&out, " %llu-%llu", (unsigned long long)r->bad[i].first,
                     (unsigned long long)(r->bad[i].first + r->bad[i].n - 1));
    size_t len = out.len;
    int left = (int)(sizeof f->text - len);
    snprintf(f->text + len, (size_t)left, " of '%s'", tarn_quote_str(&q, o->path));
}

static void told(void *arg, const struct catalog_scrub_result *r)
{
    struct check *k = arg;
    const struct one *o = r->file->tag;
    add(&k->done, 1, o->stat.size);
    if (r->what == CATALOG_SCRUB_GOOD)
        return;
    if (r->what == CATALOG_SCRUB_CHANGED) {
        catalog_report_changed(k->c, o->id);
        return;
    }
    if (r->what == CATALOG_SCRUB_LEAVES) { /* of the file nothing is known, so it stays held */
        struct lines l = { 0 };
        lines_add(&l, true, "%s", r->err.msg);
        actor_say(k->c, &l);
        catalog_report_lost(k->c, o->id);
        return;
    }
    struct found *f = &k->found[k->n_found++];
    *f = (struct found){
        .id = o->id, .what = r->what, .stat = o->stat, .bad_blocks = r->bad_blocks
    };
    k->bad += r->what == CATALOG_SCRUB_DAMAGED;
    if (r->what == CATALOG_SCRUB_DAMAGED)
        describe(r, o, f);
    else
        snprintf(f->text, sizeof f->text, "%.*s", (int)sizeof f->text - 1, r->err.msg);
}

static void over(void *arg)
{
    struct check *k = arg;
    release_ones(k);
    start_job(k);
}

static void on_time(struct loop_timer *t)
{
    struct check *k = TARN_OUTER(t, struct check, timer);
    if (k->is_pausing)
        go_on(k);
    else if (!k->is_running)
        begin(k, 0);
}

void catalog_check(struct catalog *c, uint32_t collection)
{
    struct check *k = c->check;
    loop_timer_stop(c->loop, &k->timer);
    if (!k->is_running) {
        begin(k, collection);
        return;
    }
    k->asked = k->is_asked && k->asked != collection ? 0 : collection;
    k->is_asked = true;
    if (k->is_pausing)
        go_on(k);
}

bool check_is_running(const struct check *k)
{
    return k->is_running;
}

static uint64_t rate_of(const struct check *k, uint64_t bytes_done)
{
    int64_t took_us = loop_now_us(k->c->loop) - k->went_on_us;
    if (took_us < RATE_AFTER_US || bytes_done < k->went_on_done)
        return 0;
    return (uint64_t)((double)(bytes_done - k->went_on_done) * 1e6 / (double)took_us);
}

void catalog_check_progress(const struct catalog *c, struct catalog_check_progress *out)
{
    const struct check *k = c->check;
    *out = (struct catalog_check_progress){ .ended_ms = k->ended_ms };
    if (!k->is_running)
        return;
    out->is_running = true;
    out->collection = k->only;
    out->started_ms = k->started_ms;
    out->bad = k->bad;
    out->files_done = k->done.files;
    out->bytes_done = k->done.bytes;
    const struct catalog_scrub_file *f = catalog_scrub_now(k->scrub);
    if (f != NULL) {
        const struct one *o = f->tag;
        out->path = o->path;
        out->path_collection = o->collection;
        out->entry = o->id;
        out->file_bytes = o->stat.size;
        out->file_done =
            tarn_min_u64(catalog_scrub_bytes(k->scrub) - k->file_began, out->file_bytes);
        out->bytes_done += out->file_done;
    }
    out->files = tarn_max_u64(k->to_do.files, out->files_done);
    out->bytes = tarn_max_u64(k->to_do.bytes, out->bytes_done);
    out->rate = rate_of(k, out->bytes_done);
}

struct check *check_new(struct catalog *c, struct tarn_err *err)
{
    struct check *k = tarn_calloc(1, sizeof *k);
    if (k == NULL) {
        tarn_fail_mem(err, "reading held files again");
        return NULL;
    }
    struct catalog_scrub_settings set = { .loop = c->loop,
                                          .leaves = c->leaves,
                                          .rate_bps = c->scrub_rate_bps,
                                          .next = next,
                                          .told = told,
                                          .over = over,
                                          .arg = k };
    k->c = c;
    k->job.run = check_run;
    k->job.done = check_done;
    k->timer.on_time = on_time;
    k->scrub = catalog_scrub_new(&set, err);
    if (k->scrub == NULL || !load_place(k)) {
        if (k->scrub != NULL && err != NULL)
            *err = k->err;
        check_free(k);
        return NULL;
    }
    if (k->after > 0)
        go_on(k); /* one that did not come to its end */
    else
        plan(k);
    return k;
}

void check_free(struct check *k)
{
    if (k == NULL)
        return;
    loop_pool_cancel(k->c->loop, &k->job);
    loop_timer_stop(k->c->loop, &k->timer);
    catalog_scrub_free(k->scrub);
    release_ones(k);
    tarn_free(k);
}
