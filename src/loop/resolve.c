/* loop/resolve: the look-up has a struct of its own that outlives a cancelled request. */
#include "loop/resolve.h"

#include "base/mem.h"
#include "loop/priv.h"

enum { HOST_MAX = 255 };

struct loop_lookup {
    struct loop_job job;
    struct tarn_list node;
    struct loop_resolve *asker; /* NULL: nobody waits any more */
    struct sys_addr addrs[LOOP_RESOLVE_MAX];
    size_t n;
    bool ok;
    struct tarn_err err;
    uint16_t port;
    char host[HOST_MAX + 1];
};

static void run(struct loop_job *j)
{
    struct loop_lookup *k = TARN_OUTER(j, struct loop_lookup, job);
    k->ok = sys_resolve(k->host, k->port, k->addrs, LOOP_RESOLVE_MAX, &k->n, &k->err);
}

static void on_done(struct loop_job *j)
{
    struct loop_lookup *k = TARN_OUTER(j, struct loop_lookup, job);
    struct loop_resolve *r = k->asker;
    tarn_list_remove(&k->node);
    if (r != NULL) {
        memcpy(r->addrs, k->addrs, sizeof r->addrs);
        r->n = k->ok ? k->n : 0;
        r->ok = k->ok;
        r->err = k->err;
        r->lookup = NULL;
    }
    tarn_free(k);
    if (r != NULL)
        r->done(r);
}

static void on_refused(struct loop_msg *m)
{
    struct loop_resolve *r = TARN_OUTER(m, struct loop_resolve, msg);
    r->is_refused = false;
    r->done(r);
}

static bool start(struct loop *l, struct loop_resolve *r, struct tarn_bytes host, uint16_t port)
{
    struct tarn_quote q;
    if (host.len == 0 || host.len > HOST_MAX || memchr(host.p, '\0', host.len) != NULL)
        return tarn_fail(&r->err, TARN_E_USAGE, "'%s' is no host name (1 to %d bytes)",
                         tarn_quote(&q, host), HOST_MAX);
    if (!l->names.is_started &&
        !loop_pool_start(&l->names, l, "tarn-names", LOOP_NAME_THREADS, &r->err))
        return false;
    struct loop_lookup *k = tarn_calloc(1, sizeof *k);
    if (k == NULL)
        return tarn_fail_mem(&r->err, "looking up a host name");
    k->asker = r;
    k->port = port;
    memcpy(k->host, host.p, host.len);
    k->job.run = run;
    k->job.done = on_done;
    tarn_list_push_back(&l->lookups, &k->node);
    r->lookup = k;
    loop_pool_give(&l->names, &k->job);
    return true;
}

void loop_resolve_start(struct loop *l, struct loop_resolve *r, struct tarn_bytes host,
                        uint16_t port)
{
    r->lookup = NULL;
    r->n = 0;
    r->ok = false;
    r->err = (struct tarn_err){ .code = TARN_OK };
    r->is_refused = !start(l, r, host, port);
    if (r->is_refused) {
        r->msg.on_loop = on_refused;
        loop_post(l, &r->msg);
    }
}

void loop_resolve_cancel(struct loop *l, struct loop_resolve *r)
{
    if (r->lookup != NULL)
        r->lookup->asker = NULL;
    if (r->is_refused)
        loop_unpost(l, &r->msg);
    r->lookup = NULL;
    r->is_refused = false;
}

void loop_resolve_free_all(struct loop *l)
{
    struct tarn_list *node;
    while ((node = tarn_list_pop_front(&l->lookups)) != NULL)
        tarn_free(TARN_OUTER(node, struct loop_lookup, node));
}
