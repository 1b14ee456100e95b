/* catalog/configure: all that a configuration wants published, in one job and one write. */
#include "base/cur.h"
#include "base/mem.h"
#include "base/text.h"
#include "catalog/priv.h"
#include "catalog/publish.h"

#include <stdio.h>

struct wanted {
    struct publish of;
    bool is_missing;     /* its folder cannot be found, or is none */
    bool is_twin;        /* another section has the same folder */
    bool is_put;         /* it was recorded */
    struct tarn_err err; /* else */
};

struct configure {
    struct loop_job job;
    struct tarn_list node; /* in the catalog's list */
    struct catalog *c;
    struct catalog_configure_ask *ask; /* borrowed until done */
    uint64_t number;
    struct wanted *wanted; /* owned */
    size_t n;
    bool is_one_missing, is_overtaken, is_ok;
    uint32_t *gone; /* owned: collections that were removed */
    size_t n_gone, cap_gone;
    struct tarn_err err;
};

static void configure_free(struct configure *k)
{
    tarn_list_remove(&k->node);
    for (size_t i = 0; i < k->n; i++)
        publish_release(&k->wanted[i].of);
    tarn_free(k->wanted);
    tarn_free(k->gone);
    tarn_free(k);
}

/* --- before the write --- */

static bool is_to_be_put(const struct wanted *x)
{
    return !x->is_missing && !x->is_twin;
}

static struct wanted *wanted_at(struct configure *k, struct tarn_bytes path, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_to_be_put(&k->wanted[i]) && tarn_bytes_eq_str(path, k->wanted[i].of.path))
            return &k->wanted[i];
    return NULL;
}

static void find_folders(struct configure *k)
{
    struct tarn_quote a, b;
    for (size_t i = 0; i < k->n; i++) {
        struct wanted *x = &k->wanted[i], *twin;
        if (!publish_resolve(&x->of, &x->err)) {
            x->is_missing = k->is_one_missing = true;
            continue;
        }
        twin = wanted_at(k, tarn_bytes_str(x->of.path), i);
        x->is_twin = twin != NULL;
        if (twin != NULL)
            (void)tarn_fail(&x->err, TARN_E_USAGE,
                            "cannot publish '%s' as '%s': it is configured as '%s' already",
                            tarn_quote_str(&a, x->of.path), tarn_quote_str(&b, x->of.name),
                            twin->of.name);
    }
}

/* --- the write --- */

/* May it be of a section whose folder cannot be found just now? */
static bool is_in_doubt(const struct configure *k, const struct catalog_collection *c)
{
    if (!k->is_one_missing)
        return false;
    for (size_t i = 0; i < k->n; i++) {
        const struct publish *p = &k->wanted[i].of;
        if (k->wanted[i].is_missing && (tarn_bytes_eq_str(c->path, p->path) ||
                                        (p->name != NULL && tarn_bytes_eq_str(c->name, p->name))))
            return true;
    }
    return c->phase == CATALOG_AWAY;
}

static bool take_gone(struct configure *k, uint32_t id, struct tarn_err *err)
{
    if (!TARN_GROW(k->gone, k->n_gone, k->cap_gone))
        return tarn_fail_mem(err, "publishing what is configured");
    k->gone[k->n_gone++] = id;
    return true;
}

/* What is there already: of which section it is, or of none any more. */
static bool sort_present(struct index_write *w, struct configure *k, struct tarn_err *err)
{
    KV_AUTO_CURSOR cur = { 0 };
    if (!kv_cursor_open(&w->t->read, w->base + T_COLLECTIONS, &cur, err))
        return false;
    enum kv_got got = kv_first(&cur, err);
    for (; got == KV_FOUND; got = kv_next(&cur, err)) {
        struct row_collection row;
        struct tarn_cur id = tarn_cur_of(cur.key);
        if (!row_take_collection(cur.value, tarn_cur_be32(&id), &row, err))
            return false;
        struct wanted *x = wanted_at(k, row.c.path, k->n);
        if (x != NULL) {
            x->of.collection = row.c.id;
            if (strcmp(row.name, x->of.name) != 0)
                memcpy(x->of.was, row.name, sizeof x->of.was);
        } else if (row.c.origin == CATALOG_CONFIGURED && !is_in_doubt(k, &row.c) &&
                   !take_gone(k, row.c.id, err)) {
            return false;
        }
    }
    return got != KV_FAILED;
}

static bool remove_gone(struct index_write *w, struct configure *k, struct tarn_err *err)
{
    for (size_t i = 0; i < k->n_gone; i++)
        if (!publish_remove(w, k->gone[i], CATALOG_CONFIGURED, err))
            return false;
    return true;
}

/* What is to be renamed gives its name up first, so that another may have it: names are exchanged.
 * Until then it has one that nothing else can have, and nobody sees. */
static bool give_names_up(struct index_write *w, struct configure *k, struct tarn_err *err)
{
    for (size_t i = 0; i < k->n; i++) {
        struct publish *p = &k->wanted[i].of;
        if (p->was[0] == '\0')
            continue;
        if (index_collection(w, p->collection, err) != CATALOG_FOUND ||
            !publish_name_del(w, tarn_bytes_str(p->was), p->collection, err))
            return false;
        (void)snprintf(w->col.name, sizeof w->col.name, "./%u", p->collection);
        w->col.c.name = tarn_bytes_str(w->col.name);
    }
    return index_end(w, err);
}

/* One that cannot have the new name keeps its old one, unless that has been given away: then there
 * is no name that it may have. */
static bool take_name_back(struct index_write *w, struct configure *k, struct publish *p,
                           struct tarn_err *err)
{
    uint32_t has;
    if (index_collection(w, p->collection, err) != CATALOG_FOUND ||
        !publish_name_find(w, tarn_bytes_str(p->was), &has, err))
        return false;
    memcpy(w->col.name, p->was, sizeof w->col.name);
    w->col.c.name = tarn_bytes_str(w->col.name);
    if (has == 0)
        return publish_name_put(w, w->col.c.name, p->collection, err);
    return publish_remove(w, p->collection, CATALOG_CONFIGURED, err) &&
           take_gone(k, p->collection, err);
}

static bool put_each(struct index_write *w, struct configure *k, struct tarn_err *err)
{
    for (size_t i = 0; i < k->n; i++) {
        struct wanted *x = &k->wanted[i];
        if (!is_to_be_put(x))
            continue;
        x->of.as = x->of.name;
        x->is_put = publish_put(w, &x->of, x->of.collection, &x->err);
        if (!x->is_put && !x->of.is_refused) {
            *err = x->err;
            return false;
        }
        if (!index_end(w, err)) /* the next one looks at it */
            return false;
    }
    for (size_t i = 0; i < k->n; i++) {
        struct wanted *x = &k->wanted[i];
        if (is_to_be_put(x) && !x->is_put && x->of.was[0] != '\0' &&
            !take_name_back(w, k, &x->of, err))
            return false;
    }
    return true;
}

static bool put_all(struct index_write *w, void *arg, struct tarn_err *err)
{
    struct configure *k = arg;
    for (size_t i = 0; i < k->n; i++) { /* it may be run again */
        k->wanted[i].of.collection = 0;
        k->wanted[i].of.was[0] = '\0';
        k->wanted[i].is_put = false;
    }
    k->n_gone = 0;
    k->is_overtaken = k->number < k->c->configured;
    if (k->is_overtaken)
        return true;
    k->c->configured = k->number;
    return sort_present(w, k, err) && remove_gone(w, k, err) && give_names_up(w, k, err) &&
           put_each(w, k, err);
}

/* --- the job --- */

static void configure_run(struct loop_job *job)
{
    struct configure *k = TARN_OUTER(job, struct configure, job);
    find_folders(k);
    k->is_ok = catalog_write(k->c, put_all, k, &k->err);
}

static void tell(struct configure *k)
{
    struct catalog_configure_ask *ask = k->ask;
    if (!k->is_ok)
        ask->refused(ask, &k->err);
    else if (!k->is_overtaken)
        for (size_t i = 0; i < k->n; i++)
            if (!k->wanted[i].is_put)
                ask->refused(ask, &k->wanted[i].err);
}

static void configure_done(struct loop_job *job)
{
    struct configure *k = TARN_OUTER(job, struct configure, job);
    struct catalog *c = k->c;
    struct catalog_configure_ask *ask = k->ask;
    for (size_t i = 0; k->is_ok && i < k->n; i++)
        if (k->wanted[i].is_put)
            actor_walk(c, k->wanted[i].of.collection, true);
    for (size_t i = 0; k->is_ok && i < k->n_gone; i++)
        actor_forget(c, k->gone[i]);
    if (k->is_ok && k->n_gone > 0)
        actor_drop(c);
    tell(k);
    configure_free(k);
    actor_kick(c);
    ask->done(ask);
}

static struct configure *configure_new(struct catalog *c, const struct catalog_spec *specs,
                                       size_t n)
{
    struct configure *k = tarn_calloc(1, sizeof *k);
    if (k == NULL)
        return NULL;
    tarn_list_push_back(&c->configures, &k->node);
    k->c = c;
    k->number = ++c->configures_asked;
    k->job.run = configure_run;
    k->job.done = configure_done;
    k->wanted = tarn_calloc(n > 0 ? n : 1, sizeof *k->wanted);
    bool ok = k->wanted != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        ok = publish_init(&k->wanted[i].of, &specs[i]);
        k->wanted[i].of.spec.origin = CATALOG_CONFIGURED;
        k->n = i + 1;
    }
    if (ok)
        return k;
    configure_free(k);
    return NULL;
}

/* No memory for the job: the answer comes all the same, and not from within the call. */
static void on_refused(struct loop_msg *m)
{
    struct catalog_configure_ask *ask = TARN_OUTER(m, struct catalog_configure_ask, later);
    struct tarn_err err;
    (void)tarn_fail_mem(&err, "publishing what is configured");
    ask->refused(ask, &err);
    ask->done(ask);
}

void catalog_configure(struct catalog *c, const struct catalog_spec *specs, size_t n,
                       struct catalog_configure_ask *ask)
{
    struct configure *k = configure_new(c, specs, n);
    if (k == NULL) {
        ask->later = (struct loop_msg){ .on_loop = on_refused };
        loop_post(c->loop, &ask->later);
        return;
    }
    k->ask = ask;
    loop_pool_submit(c->loop, &k->job);
}

void configure_cancel(struct catalog *c)
{
    while (!tarn_list_empty(&c->configures)) {
        struct configure *k = TARN_OUTER(c->configures.next, struct configure, node);
        loop_pool_cancel(c->loop, &k->job);
        configure_free(k);
    }
}
