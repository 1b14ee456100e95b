/* catalog/check: held files are read again from time to time (catalog/scrub), in order of their
 * numbers.
 *
 * A job takes the next CHECK_BATCH of them and notes where we are, so that a check goes on after a
 * restart; what was found wrong in the batch before is recorded by the same job. */
#include "base/cur.h"
#include "base/mem.h"
#include "catalog/look.h"
#include "catalog/scrub.h"
#include "sys/clock.h"

#include <stdio.h>

enum {
    CHECK_BATCH = 16,
    AFTER_FAULT_US = 60 * 1000000,
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
    int dir;    /* owned */
    char *path; /* owned */
    struct sys_stat stat;
    struct catalog_identity identity;
    struct catalog_run leaves;
};

struct check {
    struct catalog *c;
    struct catalog_scrub *scrub; /* owned */
    struct loop_job job;
    struct loop_timer timer;
    uint32_t only;                        /* of this collection; 0: of all */
    bool is_running, is_in_job, is_asked; /* asked: once more, when this one is over */
    struct one ones[CHECK_BATCH];
    size_t n_ones, at;
    struct found found[CHECK_BATCH];
    size_t n_found;
    /* of the job */
    uint64_t after; /* the last one taken */
    bool is_begin, is_end, is_failed;
    int64_t ended_ms; /* the last one that was over; 0: none */
    uint64_t bad;     /* files, in this check */
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
    uint8_t text[24];
    for (size_t i = 0; i < k->n_found; i++)
        if (!put_found(w, &k->found[i], err))
            return false;
    tarn_out_fixed(&o, text, sizeof text);
    tarn_out_be64(&o, k->is_end ? 0 : k->after); /* 0: none is under way */
    tarn_out_be64(&o, (uint64_t)k->ended_ms);
    return kv_txn_put(w->t, w->base + T_FIXED, place_key(), tarn_out_bytes(&o), err);
}

/* A held file, ready to be read. */
static bool make_one(struct check *k, const struct kv_read *r, const struct row_entry *row,
                     struct one *o)
{
    struct disk_place at;
    struct kv_key key;
    struct tarn_bytes value;
    struct row_known known;
    row_key_identity(&key, &row->e.identity);
    if (row->e.kind != CATALOG_FILE || row->e.state != CATALOG_HELD ||
        !disk_place(r, k->c->base, &row->e, &at, NULL) || at.col.c.phase == CATALOG_AWAY ||
        kv_get(r, k->c->base + T_IDENTITIES, kv_key_bytes(&key), &value, NULL) != KV_FOUND ||
        !row_take_known(value, &known, NULL))
        return false;
    *o = (struct one){
        .id = row->e.id, .stat = row->e.stat, .identity = row->e.identity, .leaves = known.k.leaves
    };
    o->path = row->e.is_link ? disk_resolve(at.col.path, at.path, NULL)
                             : tarn_strndup(at.path, strlen(at.path));
    o->dir = o->path == NULL ? -1 : sys_open(at.col.path, SYS_OPEN_FOLDER, NULL);
    if (o->dir >= 0)
        return true;
    tarn_free(o->path);
    return false;
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
            k->n_ones += make_one(k, &r, &row, &k->ones[k->n_ones]);
        got = kv_next(&cur, &k->err);
    }
    k->is_end = got == KV_NONE && k->n_ones == 0;
    kv_cursor_close(&cur); /* before its read */
    return got != KV_FAILED;
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
    }
    kv_read_end(&r);
    if (got != KV_NONE || k->c->scrub_every_us == 0)
        return got != KV_FAILED;
    k->is_end = true; /* the time of the first one counts from here: what is new was just read */
    k->ended_ms = sys_wall_ms();
    return catalog_write(k->c, record, k, &k->err);
}

static void check_run(struct loop_job *job)
{
    struct check *k = TARN_OUTER(job, struct check, job);
    uint64_t before = k->after;
    k->lines.n = k->lines.more = 0;
    for (size_t i = 0; i < k->n_found; i++)
        if (k->found[i].what != CATALOG_SCRUB_CHANGED)
            lines_add(&k->lines, true, "%s", k->found[i].text);
    k->is_failed = !take_batch(k);
    if (k->is_end) {
        k->ended_ms = sys_wall_ms();
        lines_add(&k->lines, k->bad > 0, "held files were read again: %llu are not what they were",
                  (unsigned long long)k->bad);
    }
    uint64_t taken = k->after;
    k->after = before; /* what is in the batch has yet to be read */
    if (!k->is_failed && (k->n_found > 0 || k->is_end || before > 0))
        k->is_failed = !catalog_write(k->c, record, k, &k->err);
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

static void begin(struct check *k, uint32_t only)
{
    k->only = only;
    k->is_running = true;
    k->bad = 0;
    start_job(k);
}

static void check_done(struct loop_job *job)
{
    struct check *k = TARN_OUTER(job, struct check, job);
    k->is_in_job = false;
    actor_say(k->c, &k->lines);
    k->n_found = 0;
    if (k->is_failed) {
        struct lines l = { 0 };
        lines_add(&l, true, "%s; held files are read again in a minute", k->err.msg);
        actor_say(k->c, &l);
        release_ones(k);
        k->is_running = false;
        if (!loop_timer_set(k->c->loop, &k->timer, loop_now_us(k->c->loop) + AFTER_FAULT_US))
            return;
    } else if (k->is_end) {
        k->after = 0;
        k->is_running = false;
        if (k->is_asked) {
            k->is_asked = false;
            begin(k, 0);
        } else {
            plan(k);
        }
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
    if (r->what == CATALOG_SCRUB_GOOD)
        return;
    if (r->what == CATALOG_SCRUB_CHANGED) {
        catalog_report_changed(k->c, o->id);
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
    if (!k->is_running)
        begin(k, 0);
}

void catalog_check(struct catalog *c, uint32_t collection)
{
    struct check *k = c->check;
    loop_timer_stop(c->loop, &k->timer);
    if (k->is_running)
        k->is_asked = true;
    else
        begin(k, collection);
}

bool check_is_running(const struct check *k)
{
    return k->is_running;
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
        begin(k, 0); /* one that did not come to its end */
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
