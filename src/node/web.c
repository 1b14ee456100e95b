/* node/web: see web_priv.h: requests to answers on the loop's thread. A path that was looked up
 * lately is answered at once from the open file; all else goes to the pool (web_find) and comes
 * back as a web_job. */
#include "node/web_priv.h"

#include "base/mem.h"
#include "http/core/range.h"
#include "http/core/target.h"
#include "node/html.h"
#include "sys/clock.h"

#include <assert.h>
#include <stdio.h>

#define LISTING_CACHE "no-cache" /* ask again each time; the ETag makes that cheap */
#define BY_ID_CACHE "public, max-age=31536000, immutable"

enum {
    METHODS = HTTP_ALLOW(HTTP_GET) | HTTP_ALLOW(HTTP_HEAD) | HTTP_ALLOW(HTTP_OPTIONS),
    BODY_MAX = HTTP_BYTES_MAX,
    QUERY_MAX = 8 << 10, /* RFC 9112 asks for 8,000 in the whole line */
    DISPOSITION_MAX = 4 << 10,
};

/* ---- pages ---- */

void web_page_unref(struct web_page *p)
{
    if (p == NULL || --p->refs > 0)
        return;
    for (unsigned i = 0; i < p->n; i++) {
        sys_file_unref(p->files[i].file);
        tarn_free(p->files[i].bytes);
    }
    tarn_free(p->path);
    tarn_free(p);
}

static struct tarn_bytes page_key(const struct web_page *p)
{
    return tarn_bytes_str(p->path); /* a path has no NUL */
}

static void drop_page(struct web_door *d, struct web_page *p)
{
    (void)tarn_map_remove(&d->pages, page_key(p));
    tarn_list_remove(&p->node);
    p->is_kept = false;
    d->n_pages--;
    web_page_unref(p);
}

static struct web_page *oldest(struct web_door *d)
{
    return TARN_OUTER(d->latest.next, struct web_page, node);
}

/* The page of this path, when what it says is still so: nothing has changed in the index since. */
static struct web_page *find_page(struct web_door *d, struct tarn_bytes path)
{
    uint64_t *at = tarn_map_get(&d->pages, path);
    if (at == NULL)
        return NULL;
    struct web_page *p = (struct web_page *)(uintptr_t)*at;
    if (p->seq != catalog_seq(d->catalog)) {
        drop_page(d, p);
        return NULL;
    }
    tarn_list_remove(&p->node);
    tarn_list_push_back(&d->latest, &p->node);
    return p;
}

static void keep_page(struct web_door *d, struct web_page *p)
{
    uint64_t *at = tarn_map_get(&d->pages, page_key(p));
    if (at != NULL)
        drop_page(d, (struct web_page *)(uintptr_t)*at);
    if (d->n_pages == WEB_PAGES)
        drop_page(d, oldest(d));
    if (!tarn_map_put(&d->pages, page_key(p), (uintptr_t)p))
        return; /* it serves this one request */
    tarn_list_push_back(&d->latest, &p->node);
    p->is_kept = true;
    p->refs++;
    d->n_pages++;
}

/* ---- bodies ---- */

/* Is the entry still held with this identity, in a collection that is shown? */
static bool is_held(struct web_page *p, const struct web_file *f)
{
    struct catalog_read r;
    struct catalog_entry e;
    struct catalog_collection c;
    struct tarn_err err;
    if (!catalog_read_begin(p->catalog, &r, &err))
        return false;
    bool is = catalog_get(&r, f->entry, &e, &err) == CATALOG_FOUND && e.state == CATALOG_HELD &&
              e.identity.len == f->id.len &&
              memcmp(e.identity.root, f->id.root, sizeof f->id.root) == 0 &&
              catalog_collection_get(&r, e.collection, &c, &err) == CATALOG_FOUND &&
              web_is_shown(&c) && c.phase != CATALOG_AWAY;
    catalog_read_end(&r);
    return is;
}

/* Both witnesses: the file's own stat, and the catalog, which may know more (another file has taken
 * its name, somebody has unpublished it). */
static bool is_same(void *arg, struct sys_file *file)
{
    struct web_page *p = arg;
    struct sys_stat now;
    unsigned i = 0;
    while (i < p->n && p->files[i].file != file)
        i++;
    if (i == p->n)
        return false;
    const struct web_file *f = &p->files[i];
    uint64_t seq = catalog_seq(p->catalog);
    if (!sys_stat_fd(file->fd, &now, NULL) || !catalog_stat_same(&now, &file->at_open)) {
        catalog_report_changed(p->catalog, f->entry);
        return false;
    }
    return p->seq == seq || is_held(p, f);
}

static const struct web_file *choose(const struct http_exchange *x, const struct web_page *p)
{
    enum http_coding have[WEB_CODINGS];
    /* Whoever says nothing gets the file itself: what was published, and what its checksum is of.
     */
    if (p->n == 1 || !http_has(x->request, HTTP_ACCEPT_ENCODING))
        return &p->files[0];
    for (unsigned i = 1; i < p->n; i++)
        have[i - 1] = p->files[i].coding;
    enum http_coding best = http_accept_coding(x->request, have, p->n - 1);
    for (unsigned i = 1; i < p->n; i++)
        if (p->files[i].coding == best)
            return &p->files[i];
    return &p->files[0];
}

static void answer_page(struct http_exchange *x, struct web_page *p)
{
    static const struct http_extra nosniff = { "X-Content-Type-Options",
                                               { (const uint8_t *)"nosniff", 7 } };
    const struct web_file *f = choose(x, p);
    x->arg = p;
    p->refs++;
    http_answer_file(
        x, &(struct http_file){
               .file = f->file,
               .len = f->id.len,
               .bytes = f->bytes,
               .etag = f->etag,
               .modified_s = f->modified_s,
               .type = p->type,
               .cache = p->is_by_id ? BY_ID_CACHE : LISTING_CACHE,
               .vary = p->n > 1 ? "Accept-Encoding" : NULL,
               .encoding = f->coding == HTTP_IDENTITY ? NULL : http_coding_name(f->coding),
               .extras = &nosniff,
               .n_extras = 1,
               .is_same = is_same,
               .arg = p,
           });
}

/* ---- jobs ---- */

static const char too_many[] =
    "Too many torrents, checksums and proofs are asked for at this moment.";

static void free_job(struct web_job *j)
{
    tarn_list_remove(&j->node);
    j->door->n_jobs--;
    j->door->n_heavy -= j->is_heavy;
    j->door->n_maybe -= j->is_maybe;
    web_page_unref(j->page);
    tarn_out_release(&j->path);
    tarn_out_release(&j->query_text);
    tarn_out_release(&j->body);
    tarn_out_release(&j->disposition);
    tarn_free(j);
}

static void answer_refusal(struct http_exchange *x, unsigned status, const char *detail)
{
    static const struct http_extra again = { "Retry-After", { (const uint8_t *)"5", 1 } };
    http_answer_error(x, status, detail, &again, status == 503);
}

static void answer_bytes(struct web_job *j)
{
    const struct http_extra extras[] = {
        { "X-Content-Type-Options", tarn_bytes_str("nosniff") },
        { "Content-Security-Policy", tarn_bytes_str(j->door->policy) },
        { "Referrer-Policy", tarn_bytes_str("no-referrer") },
        { "Content-Disposition", tarn_out_bytes(&j->disposition) },
    };
    const struct http_answer a = {
        .status = 200,
        .type = j->type,
        .cache = j->cache,
        .vary = j->vary,
        .etag = j->etag[0] == '\0' ? NULL : j->etag,
        .extras = extras,
        .n_extras = j->disposition.len > 0 ? 4 : 3,
    };
    http_answer_bytes(j->x, &a, tarn_out_bytes(&j->body));
}

static void answer_zeros(struct web_job *j)
{
    char etag[40];
    (void)snprintf(etag, sizeof etag, "\"zeros-%llu\"", (unsigned long long)j->zeros);
    http_answer_file(j->x, &(struct http_file){ .file = j->door->web->node->doors.zeros,
                                                .len = j->zeros,
                                                .etag = etag,
                                                .type = "application/octet-stream",
                                                .cache = BY_ID_CACHE });
}

static void answer_redirect(struct web_job *j)
{
    const struct http_extra to = { "Location", tarn_out_bytes(&j->body) };
    http_answer_error(j->x, 301, NULL, &to, 1);
}

static void next_heavy(struct web_door *d);
static void submit(struct web_door *d, struct web_job *j);

/* It will be looked for once more, when it is its turn. */
static void line_up(struct web_job *j)
{
    struct web_door *d = j->door;
    if (d->n_heavy == WEB_LINE) {
        answer_refusal(j->x, 503, too_many);
        free_job(j);
        return;
    }
    j->is_heavy = true;
    d->n_heavy++;
    d->n_maybe -= j->is_maybe;
    j->is_maybe = false;
    tarn_list_remove(&j->node);
    tarn_list_push_back(&d->line, &j->node);
    submit(d, j);
}

static void on_found(struct loop_job *job)
{
    struct web_job *j = TARN_OUTER(job, struct web_job, job);
    struct web_door *d = j->door;
    bool was_heavy = j->is_heavy;
    if (j->page != NULL)
        keep_page(j->door, j->page);
    if (j->x != NULL) {
        j->x->arg = NULL;
        switch (j->found) {
        case WEB_REFUSE:
            answer_refusal(j->x, j->status, j->detail);
            break;
        case WEB_PAGE:
            assert(j->page != NULL);
            answer_page(j->x, j->page);
            break;
        case WEB_BYTES:
            answer_bytes(j);
            break;
        case WEB_REDIRECT:
            answer_redirect(j);
            break;
        case WEB_ZEROS:
            answer_zeros(j);
            break;
        case WEB_HEAVY:
            line_up(j);
            return;
        }
    }
    free_job(j);
    if (was_heavy)
        next_heavy(d);
}

static void run_find(struct loop_job *job)
{
    web_find(TARN_OUTER(job, struct web_job, job));
}

/* On the pool, unless it is a heavy one and another one is there. So strangers who ask for the
 * torrents of the largest files keep one thread busy, and the rest is served by the others. */
static void submit(struct web_door *d, struct web_job *j)
{
    if (j->is_heavy && d->is_heavy_out)
        return; /* it stands in line */
    tarn_list_remove(&j->node);
    tarn_list_push_back(&d->jobs, &j->node);
    d->is_heavy_out |= j->is_heavy;
    loop_pool_submit(d->web->loop, &j->job);
}

static void next_heavy(struct web_door *d)
{
    d->is_heavy_out = false;
    if (!tarn_list_empty(&d->line))
        submit(d, TARN_OUTER(d->line.next, struct web_job, node));
}

/* Which part of the file a proof is wanted for: a Range of one part, else all of it. */
static void take_range(struct web_job *j, const struct http_request *req)
{
    struct http_ranges ranges;
    struct tarn_bytes value = http_value(req, HTTP_RANGE);
    j->part = (struct http_range){ .at = 0, .len = j->route.len };
    if (value.len > 0 && http_range_parse(value, j->route.len, &ranges) == HTTP_RANGE_PARTS &&
        ranges.n == 1)
        j->part = ranges.r[0];
}

static void take_accept(struct web_job *j, const struct http_request *req)
{
    static const char *const types[] = { "text/html", "application/json" };
    j->was_told = j->query.as_json || j->query.as_list;
    j->wants_json = j->query.as_json || (!j->was_told && http_accept_type(req, types, 2) == 1);
    j->is_maybe = j->query.wants_proof || j->query.as != NODE_NO_SIBLING ||
                  node_sibling_of(j->route.path.len > 0 ? j->route.path : j->route.collection,
                                  &(struct tarn_bytes){ 0 }) != NODE_NO_SIBLING;
}

static struct web_job *new_job(struct web_door *d, struct http_exchange *x, struct tarn_bytes path,
                               struct tarn_bytes query)
{
    struct web_job *j = tarn_calloc(1, sizeof *j);
    if (j == NULL)
        return NULL;
    *j = (struct web_job){ .job = { .run = run_find, .done = on_found }, .door = d, .x = x };
    tarn_out_init(&j->path, WEB_PATH_MAX + 1);
    tarn_out_init(&j->query_text, QUERY_MAX);
    tarn_out_init(&j->body, BODY_MAX);
    tarn_out_init(&j->disposition, DISPOSITION_MAX);
    tarn_out_put(&j->path, path);
    tarn_out_put(&j->query_text, query);
    j->shows_folders = node_config_on(d->web->config, NODE_HTTP_INDEX);
    tarn_list_push_back(&d->line, &j->node);
    d->n_jobs++;
    if (!tarn_out_ok(&j->path) || !tarn_out_ok(&j->query_text)) {
        free_job(j);
        return NULL;
    }
    node_query(&j->query, tarn_out_bytes(&j->query_text));
    node_route(&j->route, tarn_out_bytes(&j->path));
    take_accept(j, x->request);
    take_range(j, x->request);
    d->n_maybe += j->is_maybe;
    return j;
}

static void look_up(struct web_door *d, struct http_exchange *x, struct tarn_bytes path,
                    struct tarn_bytes query)
{
    struct web_job *j = NULL;
    if (d->n_jobs < WEB_JOBS)
        j = new_job(d, x, path, query);
    if (j == NULL) {
        answer_refusal(x, 503, "Too many files are being looked for at this moment.");
        return;
    }
    if (d->n_maybe > WEB_MAYBE) {
        free_job(j);
        answer_refusal(x, 503, too_many);
        return;
    }
    if (j->query.is_bad) {
        free_job(j);
        http_answer_error(x, 400, "as= is one of torrent, magnet, meta4, sha256, json, list.", NULL,
                          0);
        return;
    }
    x->arg = NULL;
    submit(d, j);
}

/* ---- requests ---- */

static void answer_health(struct http_exchange *x)
{
    const struct http_answer a = { .status = 200, .type = "text/plain", .cache = "no-store" };
    http_answer_bytes(x, &a, tarn_bytes_str("ok\n"));
}

/* A file may have been looked up before. A query that asks for something of ours asks for something
 * else; another one ("?v=2") does not. */
static void answer_path(struct web_door *d, struct http_exchange *x, struct tarn_bytes path)
{
    const struct http_request *req = x->request;
    struct tarn_bytes query = http_text(req, req->query);
    struct node_query asks;
    if (query.len > QUERY_MAX) {
        http_answer_error(x, 414, "The query is longer than 8 KiB.", NULL, 0);
        return;
    }
    node_query(&asks, query);
    struct web_page *p = asks.is_plain ? find_page(d, path) : NULL;
    if (p != NULL)
        answer_page(x, p);
    else if (tarn_bytes_eq_str(path, "/healthz"))
        answer_health(x);
    else
        look_up(d, x, path, query);
}

static void on_request(void *arg, struct http_exchange *x)
{
    uint8_t storage[WEB_PATH_MAX + 1];
    struct tarn_out path;
    struct tarn_err err;
    if (http_refuse_method(x, METHODS))
        return;
    tarn_out_fixed(&path, storage, sizeof storage);
    if (http_path_plain(&path, http_text(x->request, x->request->path), &err))
        answer_path(((struct node_web *)arg)->door, x, tarn_out_bytes(&path));
    else if (tarn_out_ok(&path))
        http_answer_error(x, 400, err.msg, NULL, 0);
    else
        http_answer_error(x, 414, "The path is longer than 8 KiB.", NULL, 0);
}

static struct web_job *job_of(struct tarn_list *list, const struct http_exchange *x)
{
    for (struct tarn_list *at = list->next; at != list; at = at->next) {
        struct web_job *j = TARN_OUTER(at, struct web_job, node);
        if (j->x == x)
            return j;
    }
    return NULL;
}

/* Its client has gone: what is in line is not begun, what is on the pool ends unseen. */
static void forget_exchange(struct web_door *d, const struct http_exchange *x)
{
    struct web_job *waiting = job_of(&d->line, x), *begun = job_of(&d->jobs, x);
    if (waiting != NULL)
        free_job(waiting);
    if (begun != NULL)
        begun->x = NULL;
}

static void on_over(void *arg, struct http_exchange *x)
{
    if (x->arg != NULL)
        web_page_unref(x->arg);
    else if (!x->is_answered)
        forget_exchange(((struct node_web *)arg)->door, x);
}

static void on_trouble(void *arg, const struct tarn_err *err)
{
    struct node_web *w = arg;
    node_log_err(w->node->log, NODE_WARNING, "http", err);
}

const struct http_ops node_web_ops = {
    .on_request = on_request,
    .on_over = on_over,
    .on_trouble = on_trouble,
};

/* ---- the door ---- */

static char *policy_text(void)
{
    struct tarn_out o;
    tarn_out_init(&o, 1 << 10);
    html_policy(&o);
    return tarn_out_take_str(&o);
}

bool node_web_open(struct node_web *w, struct tarn_err *err)
{
    uint8_t seed[16];
    struct web_door *d = tarn_calloc(1, sizeof *d);
    if (d == NULL || !sys_random(seed, sizeof seed, err)) {
        tarn_free(d);
        return tarn_fail_mem(err, "opening the public door");
    }
    w->door = d;
    d->web = w;
    d->catalog = w->node->catalog;
    tarn_map_init(&d->pages, seed);
    tarn_list_init(&d->latest);
    tarn_list_init(&d->jobs);
    tarn_list_init(&d->line);
    d->policy = policy_text();
    return d->policy != NULL || tarn_fail_mem(err, "opening the public door");
}

static void free_jobs(struct web_door *d, struct tarn_list *list)
{
    while (!tarn_list_empty(list)) {
        struct web_job *j = TARN_OUTER(list->next, struct web_job, node);
        loop_pool_cancel(d->web->loop, &j->job); /* harmless for those in line */
        free_job(j);
    }
}

void node_web_close(struct node_web *w)
{
    struct web_door *d = w->door;
    if (d == NULL)
        return;
    free_jobs(d, &d->jobs);
    free_jobs(d, &d->line);
    while (d->n_pages > 0)
        drop_page(d, oldest(d));
    tarn_map_release(&d->pages);
    tarn_free(d->policy);
    tarn_free(d);
    w->door = NULL;
}
