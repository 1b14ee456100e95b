/* catalog/catalog: the catalog comes and goes; writes; what other threads may say. */
#include "catalog/catalog.h"

#include "base/cur.h"
#include "base/mem.h"
#include "base/num.h"
#include "catalog/priv.h"
#include "sys/clock.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    QUIET_MS = 3000, /* longer than two ticks of the coarsest file times */
    WALK_EVERY_MS = 60 * 1000,
    WALK_ANYWAY_MS = 24 * 3600 * 1000,
    JOURNAL_MAX = 100000, /* 20 to 30 MB */
    VERSIONS_MAX = 1000,
    SCRUB_RATE = 32 << 20,
};

/* --- writes --- */

struct change_write {
    struct kv_write w;
    struct index_write ix;
    index_change *change;
    void *arg;
};

static bool run_change(struct kv_write *kw, struct kv_txn *t, struct tarn_err *err)
{
    struct change_write *w = TARN_OUTER(kw, struct change_write, w);
    return index_begin(&w->ix, t, err) && w->change(&w->ix, w->arg, err) && index_end(&w->ix, err);
}

void catalog_raise_seq(struct catalog *c, uint64_t seq)
{
    uint64_t was = atomic_load(&c->seq);
    while (was < seq && !atomic_compare_exchange_weak(&c->seq, &was, seq))
        ;
}

bool catalog_write(struct catalog *c, index_change *change, void *arg, struct tarn_err *err)
{
    struct change_write w = { .w = { .run = run_change }, .change = change, .arg = arg };
    w.ix.base = c->base;
    w.ix.journal_max = c->journal_max;
    w.ix.versions_max = c->versions_max;
    w.ix.now_ms = sys_wall_ms();
    bool ok = kv_write_now(c->kv, &w.w, err);
    if (ok) {
        for (size_t i = 0; i < w.ix.n_given; i++)
            catalog_leaves_give(c->leaves, w.ix.given[i]);
        catalog_raise_seq(c, w.ix.head.seq);
    }
    index_release(&w.ix);
    return ok;
}

/* --- lines --- */

void lines_add(struct lines *l, bool is_warning, const char *fmt, ...)
{
    va_list args;
    if (l->n == LINES_MAX) {
        l->more++;
        return;
    }
    va_start(args, fmt);
    vsnprintf(l->text[l->n], LINE_MAX, fmt, args);
    va_end(args);
    l->is_warning[l->n++] = is_warning;
}

/* --- coming and going --- */

static int64_t or_else(int64_t value, int64_t usual)
{
    return value != 0 ? value : usual;
}

static void take_settings(struct catalog *c, const struct catalog_settings *set)
{
    c->loop = set->loop;
    c->kv = set->kv;
    c->base = set->first_table;
    c->ops = set->ops;
    c->arg = set->arg;
    c->quiet_ms = or_else(set->quiet_ms, QUIET_MS);
    c->walk_every_us = or_else(set->walk_every_ms, WALK_EVERY_MS) * 1000;
    c->walk_anyway_us = or_else(set->walk_anyway_ms, WALK_ANYWAY_MS) * 1000;
    c->scrub_every_us = set->scrub_every_ms * 1000;
    c->scrub_rate_bps = set->scrub_rate_bps != 0 ? set->scrub_rate_bps : SCRUB_RATE;
    c->journal_max = set->journal_max != 0 ? set->journal_max : JOURNAL_MAX;
    c->versions_max = set->versions_max != 0 ? set->versions_max : VERSIONS_MAX;
    c->has_state =
        set->state_path != NULL && sys_stat(SYS_CWD, set->state_path, true, &c->state_stat, NULL);
}

static bool give_one(void *arg, struct tarn_bytes key, struct tarn_bytes value)
{
    struct catalog *c = arg;
    struct tarn_cur off = tarn_cur_of(key), len = tarn_cur_of(value);
    struct catalog_run run = { .off = tarn_cur_be64(&off) };
    run.len = tarn_cur_be64(&len);
    catalog_leaves_give(c->leaves, run);
    return true;
}

/* --- a sidecar that is gone, under an index that is not --- */

static uint64_t end_of(struct catalog_run run)
{
    uint64_t end;
    return run.len > 0 && tarn_add_u64(run.off, run.len, &end) ? end : 0;
}

static bool see_known(void *arg, struct tarn_bytes key, struct tarn_bytes value)
{
    uint64_t *end = arg;
    struct row_known row;
    (void)key;
    if (row_take_known(value, &row, NULL))
        *end = tarn_max_u64(*end, tarn_max_u64(end_of(row.k.leaves), end_of(row.k.pieces)));
    return true;
}

static bool see_v1(void *arg, struct tarn_bytes key, struct tarn_bytes value)
{
    uint64_t *end = arg;
    struct catalog_known k;
    (void)key;
    if (row_take_v1(value, 0, &k, NULL))
        *end = tarn_max_u64(*end, end_of(k.pieces));
    return true;
}

static bool keep_clear(struct catalog *c, const char *path, struct tarn_err *err)
{
    const struct kv_range known = { .table = c->base + T_IDENTITIES },
                          v1 = { .table = c->base + T_V1 };
    struct lines l = { 0 };
    struct tarn_quote q;
    uint64_t end = 0;
    if (!catalog_leaves_is_new(c->leaves))
        return true;
    if (!kv_scan(c->kv, &known, see_known, &end, err) || !kv_scan(c->kv, &v1, see_v1, &end, err))
        return false;
    if (end == 0)
        return true;
    lines_add(&l, true,
              "the file of hashes '%s' was missing: files are read again when their hashes are "
              "needed, or by a scrub",
              tarn_quote_str(&q, path));
    actor_say(c, &l);
    return catalog_leaves_keep_clear(c->leaves, end, err);
}

/* What nothing refers to is free again; from where on the journal goes. */
static bool take_up(struct catalog *c, struct tarn_err *err)
{
    struct kv_range given = { .table = c->base + T_GIVEN };
    struct kv_read r = { 0 };
    struct row_head head;
    if (!kv_scan(c->kv, &given, give_one, c, err) || !kv_read_begin(c->kv, &r, err))
        return false;
    bool ok = index_head(&r, c->base, &head, err) != CATALOG_FAILED;
    kv_read_end(&r);
    if (ok)
        atomic_store(&c->seq, head.seq);
    return ok;
}

static bool make_parts(struct catalog *c, const struct catalog_settings *set, struct tarn_err *err)
{
    struct store_intake_settings intake = { .loop = set->loop };
    struct lines l = { 0 };
    struct tarn_err why;
    c->leaves = catalog_leaves_open(set->leaves_path, false, err);
    if (c->leaves == NULL || !keep_clear(c, set->leaves_path, err) || !take_up(c, err))
        return false;
    c->lost = lost_new(c, err);
    c->intake = c->lost == NULL ? NULL : store_intake_new(&intake, err);
    c->feed = c->intake == NULL ? NULL : feed_new(c, err);
    if (c->feed == NULL)
        return false;
    c->notify = sys_notify_new(&why);
    if (c->notify == NULL) {
        lines_add(&l, true, "%s: folders are walked every %lld seconds instead", why.msg,
                  (long long)(c->walk_every_us / 1000000));
        actor_say(c, &l);
    }
    c->actor = actor_new(c, err);
    c->check = c->actor == NULL ? NULL : check_new(c, err);
    return c->check != NULL;
}

static void on_reports(struct loop_msg *m)
{
    actor_reports(TARN_OUTER(m, struct catalog, report_msg));
}

struct catalog *catalog_new(const struct catalog_settings *set, struct tarn_err *err)
{
    struct catalog *c = tarn_calloc(1, sizeof *c);
    if (c == NULL) {
        tarn_fail_mem(err, "opening the catalog");
        return NULL;
    }
    sys_lock_init(&c->lock);
    c->report_msg.on_loop = on_reports;
    tarn_list_init(&c->asks);
    tarn_list_init(&c->configures);
    tarn_list_init(&c->notes);
    take_settings(c, set);
    if (make_parts(c, set, err))
        return c;
    catalog_free(c);
    return NULL;
}

void catalog_free(struct catalog *c)
{
    if (c == NULL)
        return;
    atomic_store(&c->is_ending, true);
    publish_cancel(c);
    configure_cancel(c);
    note_cancel(c);
    check_free(c->check);
    actor_free(c->actor);
    store_intake_free(c->intake);
    feed_free(c->feed);
    lost_free(c->lost);
    loop_unpost(c->loop, &c->report_msg);
    sys_notify_free(c->notify);
    catalog_leaves_close(c->leaves);
    sys_lock_release(&c->lock);
    tarn_free(c);
}

/* --- from any thread --- */

uint64_t catalog_seq(const struct catalog *c)
{
    return atomic_load(&c->seq);
}

void catalog_report_changed(struct catalog *c, uint64_t entry)
{
    report(c, entry, true);
}

static bool is_same_report(const struct report *a, const struct report *b)
{
    return a->entry == b->entry && (a->is_doubted || !b->is_doubted) &&
           tarn_bytes_eq(tarn_bytes_of(a->name, a->name_len), tarn_bytes_of(b->name, b->name_len));
}

static void take_report(struct catalog *c, const struct report *r)
{
    sys_lock_take(&c->lock);
    bool is_there = c->n_reports > 0 && is_same_report(&c->reports[c->n_reports - 1], r);
    if (!is_there && c->n_reports < REPORTS_MAX)
        c->reports[c->n_reports++] = *r;
    else if (!is_there)
        c->too_many_reports = true;
    bool must_post = !c->is_report_out;
    c->is_report_out = true;
    sys_lock_give(&c->lock);
    if (must_post)
        loop_post(c->loop, &c->report_msg);
}

void report(struct catalog *c, uint64_t entry, bool is_doubted)
{
    take_report(c, &(struct report){ .entry = entry, .is_doubted = is_doubted });
}

void report_name(struct catalog *c, uint64_t folder, struct tarn_bytes name)
{
    struct report r = { .entry = folder, .name_len = (uint8_t)name.len };
    memcpy(r.name, name.p, name.len);
    take_report(c, &r);
}
