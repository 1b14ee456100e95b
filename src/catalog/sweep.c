/* catalog/sweep: the space of the sidecar that nothing refers to is found again.
 *
 * It is lost when the process ends in the middle of hashing, and when more runs are free than are
 * kept in mind. A sweep reads through the index, so it comes behind a check of all, which has read
 * far more. Only feed.c refers to new runs, and it waits meanwhile. */
#include "base/mem.h"
#include "catalog/priv.h"
#include "catalog/row.h"

enum { RUNS_MAX = 4 << 20 }; /* 64 MiB of memory. With more, nothing is swept */

typedef bool sweep_row(struct catalog_sweep *s, struct tarn_bytes value, struct tarn_err *err);

static bool use(struct catalog_sweep *s, struct catalog_run run, struct tarn_err *err)
{
    if (s->n == RUNS_MAX)
        return tarn_fail(err, TARN_E_NO_MEMORY, "more than %d files have hashes", RUNS_MAX);
    return catalog_sweep_used(s, run) || tarn_fail_mem(err, "looking for free space");
}

static bool see_known(struct catalog_sweep *s, struct tarn_bytes value, struct tarn_err *err)
{
    struct row_known row;
    return row_take_known(value, &row, err) && use(s, row.k.leaves, err) &&
           use(s, row.k.pieces, err);
}

static bool see_v1(struct catalog_sweep *s, struct tarn_bytes value, struct tarn_err *err)
{
    struct catalog_known k;
    return row_take_v1(value, 0, &k, err) && use(s, k.pieces, err);
}

static bool see_table(struct catalog *c, const struct kv_read *r, unsigned table, sweep_row *see,
                      struct catalog_sweep *s, struct tarn_err *err)
{
    KV_AUTO_CURSOR at = { 0 };
    if (!kv_cursor_open(r, c->base + table, &at, err))
        return false;
    enum kv_got got = kv_first(&at, err);
    while (got == KV_FOUND) {
        if (atomic_load(&c->is_ending))
            return tarn_fail(err, TARN_E_CANCELED, "stopped");
        if (!see(s, at.value, err))
            return false;
        got = kv_next(&at, err);
    }
    return got == KV_NONE;
}

/* One moment of the index: pieces go from one table to the other. */
bool sweep_run(struct catalog *c, struct tarn_err *err)
{
    struct catalog_sweep s = { 0 };
    struct kv_read r = { 0 };
    if (!kv_read_begin(c->kv, &r, err))
        return false;
    bool ok = see_table(c, &r, T_IDENTITIES, see_known, &s, err) &&
              see_table(c, &r, T_V1, see_v1, &s, err);
    kv_read_end(&r);
    ok = ok && catalog_sweep_end(&s, c->leaves, err);
    catalog_sweep_release(&s);
    return ok;
}
