/* catalog/lost: hashes in the sidecar that are not those of their file any more, or are none of the
 * length that its collection needs.
 *
 * Whoever finds some so says it (catalog_report_lost). Nothing of that is believed: a job looks for
 * itself, because who has an old snapshot may have read a run whose space is another's by now. What
 * is lost indeed is marked in the index, so that it is read again however often we are started
 * between; it waits like what is new (feed.c), but is held meanwhile. */
#include "base/mem.h"
#include "base/num.h"
#include "catalog/look.h"

enum {
    LOST_MAX = 4096, /* told of and not looked at yet; who finds more tells again */
    AFTER_FAULT_US = 10 * 1000000,
};

struct lost {
    struct catalog *c;
    struct loop_msg msg;
    uint64_t told[LOST_MAX]; /* entries; with the catalog's lock, like the next two */
    size_t n_told;
    bool is_posted;
    /* the loop's thread */
    struct loop_job job;
    struct loop_timer timer;
    bool is_in_job, is_timed;
    /* of the job */
    uint64_t ids[LOST_MAX];
    size_t n_ids;
    size_t n_good; /* that have all of their hashes */
    bool is_failed;
    struct tarn_err err;
};

/* --- the job --- */

static bool is_whole(struct catalog *c, struct catalog_run run, enum catalog_hashes kind,
                     uint64_t count, const uint8_t *root)
{
    return catalog_run_count(kind, run) == count &&
           (count == 0 || catalog_leaves_walk(c->leaves, run, kind, root, NULL, NULL, NULL));
}

/* What a held file must have besides its identity. */
struct need {
    struct catalog_identity identity;
    struct catalog_known known;
    uint32_t v1_len; /* 0: no v1 pieces are needed */
};

static bool has_all(struct catalog *c, const struct need *n)
{
    uint64_t leaves = tarn_div_up_u64(n->identity.len, MERKLE_BLOCK);
    const uint8_t *root = n->identity.root;
    if (!is_whole(c, n->known.leaves, CATALOG_LEAVES, leaves > 1 ? leaves : 0, root))
        return false;
    return n->v1_len == 0 ||
           (n->known.v1_piece_len == n->v1_len &&
            is_whole(c, n->known.pieces, CATALOG_PIECES, n->identity.len / n->v1_len, root));
}

/* False: it is not held, or is to be read again already. */
static bool load(struct catalog *c, uint64_t id, struct need *n)
{
    struct catalog_read r;
    struct catalog_entry e;
    struct disk_place at;
    if (!catalog_read_begin(c, &r, NULL))
        return false;
    bool ok = catalog_get(&r, id, &e, NULL) == CATALOG_FOUND && e.kind == CATALOG_FILE &&
              e.state == CATALOG_HELD && disk_place(&r.kv, c->base, &e, &at, NULL);
    if (ok) {
        n->identity = e.identity;
        n->v1_len = disk_v1_len(&at.col);
        ok = index_known(&r.kv, c->base, &e.identity, n->v1_len, &n->known, NULL) == CATALOG_FOUND;
    }
    catalog_read_end(&r);
    return ok;
}

static bool mark(struct index_write *w, void *arg, struct tarn_err *err)
{
    const struct lost *l = arg;
    for (size_t i = 0; i < l->n_ids; i++) {
        struct row_entry row, fresh;
        enum catalog_found found = index_get(w, l->ids[i], &row, err);
        if (found == CATALOG_FOUND)
            found = index_collection(w, row.e.collection, err);
        if (found == CATALOG_FAILED)
            return false;
        if (found == CATALOG_NOT_THERE || row.e.state != CATALOG_HELD || row.has_lost)
            continue;
        row_copy_entry(&fresh, &row);
        fresh.has_lost = true;
        if (!index_put(w, &row, &fresh, NULL, err))
            return false;
    }
    return true;
}

static void run(struct loop_job *job)
{
    struct lost *l = TARN_OUTER(job, struct lost, job);
    size_t n = 0;
    l->n_good = 0;
    for (size_t i = 0; i < l->n_ids && !atomic_load(&l->c->is_ending); i++) {
        struct need need;
        if (!load(l->c, l->ids[i], &need))
            continue;
        if (has_all(l->c, &need))
            l->n_good++;
        else
            l->ids[n++] = l->ids[i];
    }
    l->n_ids = n;
    l->is_failed = n > 0 && !catalog_write(l->c, mark, l, &l->err);
}

/* --- the loop's thread --- */

static void submit(struct lost *l)
{
    l->is_in_job = true;
    loop_pool_submit(l->c->loop, &l->job);
}

static void go_on(struct lost *l)
{
    if (l->is_in_job || l->is_timed)
        return;
    sys_lock_take(&l->c->lock);
    l->n_ids = l->n_told;
    memcpy(l->ids, l->told, l->n_told * sizeof *l->told);
    l->n_told = 0;
    l->is_posted = false;
    sys_lock_give(&l->c->lock);
    if (l->n_ids > 0)
        submit(l);
}

static void done(struct loop_job *job)
{
    struct lost *l = TARN_OUTER(job, struct lost, job);
    struct catalog *c = l->c;
    l->is_in_job = false;
    if (l->is_failed) {
        actor_fault(c, "hashes that are lost cannot be noted; it is tried again in 10 seconds",
                    &l->err);
        l->is_timed = loop_timer_set(c->loop, &l->timer, loop_now_us(c->loop) + AFTER_FAULT_US);
    }
    if (l->n_good > 0 && c->ops.on_hashes != NULL)
        c->ops.on_hashes(c->arg);
    go_on(l);
    actor_kick(c);
}

static void on_time(struct loop_timer *t)
{
    struct lost *l = TARN_OUTER(t, struct lost, timer);
    l->is_timed = false;
    submit(l); /* those that could not be marked */
}

static void on_told(struct loop_msg *m)
{
    go_on(TARN_OUTER(m, struct lost, msg));
}

bool lost_is_idle(struct lost *l)
{
    sys_lock_take(&l->c->lock);
    bool is_told = l->n_told > 0;
    sys_lock_give(&l->c->lock);
    return !is_told && !l->is_in_job && !l->is_timed;
}

struct lost *lost_new(struct catalog *c, struct tarn_err *err)
{
    struct lost *l = tarn_calloc(1, sizeof *l);
    if (l == NULL) {
        tarn_fail_mem(err, "opening the catalog");
        return NULL;
    }
    l->c = c;
    l->msg.on_loop = on_told;
    l->job.run = run;
    l->job.done = done;
    l->timer.on_time = on_time;
    return l;
}

void lost_free(struct lost *l)
{
    if (l == NULL)
        return;
    loop_pool_cancel(l->c->loop, &l->job);
    loop_timer_stop(l->c->loop, &l->timer);
    loop_unpost(l->c->loop, &l->msg);
    tarn_free(l);
}

/* --- any thread --- */

static bool is_told(const struct lost *l, uint64_t entry)
{
    for (size_t i = l->n_told; i > 0; i--)
        if (l->told[i - 1] == entry)
            return true;
    return false;
}

void catalog_report_lost(struct catalog *c, uint64_t entry)
{
    struct lost *l = c->lost;
    sys_lock_take(&c->lock);
    if (l->n_told < LOST_MAX && !is_told(l, entry))
        l->told[l->n_told++] = entry;
    bool must_post = !l->is_posted;
    l->is_posted = true;
    sys_lock_give(&c->lock);
    if (must_post)
        loop_post(c->loop, &l->msg);
}
