/* node/admin: who may, what is asked for, and how answers are framed. What the answers say is in
 * admin_items.c, admin_status.c, admin_do.c and admin_changes.c. */
#include "node/admin_priv.h"

#include "base/mem.h"
#include "base/text.h"
#include "codec/url.h"
#include "http/core/reply.h"

#include <stdio.h>
#include <strings.h>

enum {
    OUT_MAX = 16 << 20,
    QUERY_MAX = 96 << 10, /* a path of 4095 bytes, each escaped, and more */
    PART = 64 << 10,      /* of a stream: then it is the client's turn */
};

/* ---- answers ---- */

static void free_call(struct admin_call *c)
{
    if (c->is_fetching)
        tarn_out_release(&c->ask.torrent.fetch.body);
    char *const texts[] = { c->ref,   c->prefix, c->state, c->after,
                            c->since, c->wait,   c->limit, c->below };
    admin_forget_watcher(c);
    node_path_release(&c->path);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        tarn_free(texts[i]);
    for (size_t i = 0; i < c->n_texts; i++)
        tarn_free(c->texts[i]);
    tarn_free(c->bytes);
    tarn_out_release(&c->out);
    tarn_free(c);
}

bool admin_asked(struct admin_call *c)
{
    c->is_asking = false;
    if (c->x != NULL)
        return true;
    tarn_list_remove(&c->node);
    free_call(c);
    return false;
}

const char *admin_keep(struct admin_call *c, const char *text)
{
    if (c->n_texts == sizeof c->texts / sizeof *c->texts)
        return NULL;
    char *kept = tarn_strndup(text, strlen(text));
    if (kept != NULL)
        c->texts[c->n_texts++] = kept;
    return kept;
}

/* docs/api.md, Errors. */
static unsigned status_of(enum tarn_code code)
{
    switch (code) {
    case TARN_E_USAGE:
        return 400;
    case TARN_E_NOT_FOUND:
        return 404;
    case TARN_E_POLICY:
        return 409;
    case TARN_E_INTEGRITY:
        return 422;
    case TARN_E_NETWORK:
        return 502;
    case TARN_E_NO_SPACE:
        return 507;
    case TARN_E_DAEMON:
        return 503;
    default:
        return 500;
    }
}

void admin_refuse(struct admin_call *c, unsigned status, enum tarn_code code, const char *detail)
{
    struct http_extra extras[] = {
        { "X-Content-Type-Options", tarn_bytes_str("nosniff") },
        { "Cross-Origin-Resource-Policy", tarn_bytes_str("same-origin") },
        { "Retry-After", tarn_bytes_str("1") },
    };
    if (status == 401)
        extras[2] =
            (struct http_extra){ "WWW-Authenticate", tarn_bytes_str("Basic realm=\"tarn\"") };
    else if (status == 405)
        extras[2] = (struct http_extra){ "Allow", c->allow };
    tarn_out_clear(&c->out);
    http_problem(&c->out, status, code, detail);
    const struct http_answer a = {
        .status = status,
        .type = HTTP_PROBLEM_TYPE,
        .cache = "no-store",
        .extras = extras,
        .n_extras = status == 401 || status == 405 || status == 503 ? 3 : 2,
    };
    http_answer_bytes(c->x, &a, tarn_out_bytes(&c->out));
}

void admin_fail(struct admin_call *c, const struct tarn_err *err)
{
    admin_refuse(c, status_of(err->code), err->code, err->msg);
}

struct json *admin_object(struct admin_call *c, const char *type)
{
    return admin_line(c, type);
}

void admin_send(struct admin_call *c, unsigned status)
{
    const struct http_extra extras[] = {
        { "X-Content-Type-Options", tarn_bytes_str("nosniff") },
        { "Cross-Origin-Resource-Policy", tarn_bytes_str("same-origin") },
        { "Location", tarn_bytes_str(c->location) },
    };
    const struct http_answer a = { .status = status,
                                   .type = "application/json",
                                   .cache = "no-store",
                                   .extras = extras,
                                   .n_extras = status == 201 ? 3 : 2 };
    admin_line_end(c);
    if (!tarn_out_ok(&c->out))
        admin_refuse(c, 500, TARN_E_NO_MEMORY, "there is no memory for the answer");
    else
        http_answer_bytes(c->x, &a, tarn_out_bytes(&c->out));
}

/* ---- streams ---- */

static void on_drain(struct http_exchange *x)
{
    struct admin_call *c = x->arg;
    if (c->more != NULL && !c->is_watching)
        c->more(c);
}

void admin_stream(struct admin_call *c, void (*more)(struct admin_call *c))
{
    static const struct http_stream stream = { .on_drain = on_drain };
    const struct http_extra extras[] = {
        { "X-Content-Type-Options", tarn_bytes_str("nosniff") },
        { "Cross-Origin-Resource-Policy", tarn_bytes_str("same-origin") },
    };
    const struct http_answer a = {
        .status = 200,
        .type = c->is_sse ? "text/event-stream" : "application/jsonl",
        .cache = "no-store",
        .extras = extras,
        .n_extras = 2,
    };
    http_answer_stream(c->x, &a, &stream);
    if (c->x->request->method == HTTP_HEAD) { /* nothing leaves, so nobody would ask for more */
        http_stream_end(c->x);
        return;
    }
    c->more = more;
    more(c);
}

struct json *admin_line(struct admin_call *c, const char *type)
{
    json_init(&c->json, &c->out);
    json_open_object(&c->json);
    json_put_u64(&c->json, "v", 1);
    json_put_str(&c->json, "type", type);
    return &c->json;
}

void admin_line_end(struct admin_call *c)
{
    json_close_object(&c->json);
    tarn_out_u8(&c->out, '\n');
}

void admin_flush(struct admin_call *c)
{
    if (tarn_out_ok(&c->out))
        http_stream_put(c->x, tarn_out_bytes(&c->out));
    else
        http_stream_cut(c->x);
    tarn_out_clear(&c->out);
}

void admin_stream_end(struct admin_call *c)
{
    admin_flush(c);
    c->more = NULL;
    http_stream_end(c->x);
}

/* ---- what a request is about ---- */

bool admin_read(struct admin_call *c, struct catalog_read *r)
{
    struct tarn_err err;
    if (catalog_read_begin(c->admin->node->catalog, r, &err))
        return true;
    admin_fail(c, &err);
    return false;
}

bool admin_ref(struct admin_call *c, struct catalog_read *r, struct node_ref *ref)
{
    struct tarn_err err;
    const struct node_ref_in in = { .read = r,
                                    .torrents = c->admin->node->torrents,
                                    .seeding = c->admin->node->seeding,
                                    .public_url = c->admin->node->public_url,
                                    .path = c->path };
    if (c->ref == NULL)
        (void)tarn_fail(&err, TARN_E_USAGE, "say which: ?ref=");
    else if (node_ref_find(&in, tarn_bytes_str(c->ref), ref, &err))
        return true;
    admin_fail(c, &err);
    return false;
}

static char *unescaped(struct tarn_bytes value)
{
    struct tarn_out o;
    tarn_out_init(&o, QUERY_MAX);
    url_unescape(&o, value, true);
    if (o.len > 0 && memchr(o.p, 0, o.len) != NULL)
        o.failed = true;
    return tarn_out_take_str(&o);
}

/* False: answered. */
static bool read_query(struct admin_call *c)
{
    const struct {
        const char *key;
        char **to;
    } keys[] = {
        { "ref", &c->ref },     { "prefix", &c->prefix }, { "state", &c->state },
        { "after", &c->after }, { "since", &c->since },   { "wait", &c->wait },
        { "limit", &c->limit },
    };
    struct tarn_bytes query = http_text(c->x->request, c->x->request->query), key, value;
    while (url_query_next(&query, &key, &value)) {
        size_t i = 0;
        while (i < sizeof keys / sizeof *keys && !tarn_bytes_eq_str(key, keys[i].key))
            i++;
        if (i == sizeof keys / sizeof *keys)
            continue; /* what is not known is passed over, as in objects */
        tarn_free(*keys[i].to);
        *keys[i].to = unescaped(value);
        if (*keys[i].to == NULL) {
            admin_refuse(c, 400, TARN_E_USAGE, "a value of the query is too long or holds a NUL");
            return false;
        }
    }
    return true;
}

/* ---- routes ---- */

enum { GET = HTTP_ALLOW(HTTP_GET) | HTTP_ALLOW(HTTP_HEAD), POST = HTTP_ALLOW(HTTP_POST) };

static void all_items(struct admin_call *c)
{
    admin_items(c, 3);
}

static void all_collections(struct admin_call *c)
{
    admin_items(c, 1);
}

static void all_torrents(struct admin_call *c)
{
    admin_items(c, 2);
}

static void pause(struct admin_call *c)
{
    admin_pause(c, true);
}

static void resume(struct admin_call *c)
{
    admin_pause(c, false);
}

static const struct route {
    const char *path;
    unsigned method;
    void (*answer)(struct admin_call *c);
    void (*with_body)(struct admin_call *c, struct tarn_bytes body); /* in place of answer */
} routes[] = {
    { "/v1/status", GET, admin_status, NULL },
    { "/v1/items", GET, all_items, NULL },
    { "/v1/items", HTTP_ALLOW(HTTP_DELETE), admin_remove, NULL },
    { "/v1/collections", GET, all_collections, NULL },
    { "/v1/collections", POST, NULL, admin_publish },
    { "/v1/torrents", GET, all_torrents, NULL },
    { "/v1/torrents", POST, NULL, admin_add },
    { "/v1/files", GET, admin_files, NULL },
    { "/v1/peers", GET, admin_peers, NULL },
    { "/v1/changes", GET, admin_changes, NULL },
    { "/v1/config", GET, admin_config, NULL },
    { "/v1/pause", POST, pause, NULL },
    { "/v1/resume", POST, resume, NULL },
    { "/v1/scrub", GET, admin_scrub_look, NULL },
    { "/v1/scrub", POST, admin_scrub, NULL },
    { "/v1/reload", POST, admin_reload, NULL },
    { "/metrics", GET, admin_metrics, NULL },
};

static bool is_json(const struct http_request *req)
{
    static const char type[] = "application/json";
    struct tarn_bytes t = http_value(req, HTTP_CONTENT_TYPE);
    size_t n = sizeof type - 1;
    return t.len >= n && strncasecmp((const char *)t.p, type, n) == 0 &&
           (t.len == n || t.p[n] == ';' || t.p[n] == ' ');
}

static const struct route *find_route(struct tarn_bytes path, enum http_method method,
                                      unsigned *allowed)
{
    const struct route *found = NULL;
    *allowed = 0;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (!tarn_bytes_eq_str(path, routes[i].path))
            continue;
        *allowed |= routes[i].method;
        if (routes[i].method & HTTP_ALLOW(method))
            found = &routes[i];
    }
    return found;
}

static void on_body(struct http_exchange *x, struct tarn_bytes body)
{
    struct admin_call *c = x->arg;
    unsigned allowed;
    struct tarn_bytes path = http_text(x->request, x->request->path);
    find_route(path, (enum http_method)x->request->method, &allowed)->with_body(c, body);
}

static void run_resolve(struct loop_job *job)
{
    struct admin_call *c = TARN_OUTER(job, struct admin_call, ask.resolve);
    node_path_resolve(&c->path, c->ref);
}

static void on_resolved(struct loop_job *job)
{
    struct admin_call *c = TARN_OUTER(job, struct admin_call, ask.resolve);
    if (admin_asked(c))
        c->answer(c);
}

/* The disk is asked on the pool, because a file system may hang. */
static void resolve(struct admin_call *c)
{
    c->is_asking = true;
    c->ask.resolve = (struct loop_job){ .run = run_resolve, .done = on_resolved };
    loop_pool_submit(c->admin->node->loop, &c->ask.resolve);
}

static void take_route(struct admin_call *c, const struct route *r)
{
    if (!read_query(c))
        return;
    c->answer = r->answer;
    if (r->with_body == NULL && c->ref != NULL && c->ref[0] == '/')
        resolve(c);
    else if (r->with_body == NULL)
        r->answer(c);
    else if (!is_json(c->x->request))
        admin_refuse(c, 415, TARN_E_USAGE, "the body must be application/json");
    else
        http_body_read(c->x, node_config_number(c->admin->node->config, NODE_HTTP_BODY_MAX),
                       on_body);
}

static void answer_health(struct http_exchange *x)
{
    const struct http_answer a = { .status = 200, .type = "text/plain", .cache = "no-store" };
    http_answer_bytes(x, &a, tarn_bytes_str("ok\n"));
}

static void answer_asset(struct http_exchange *x, const struct admin_asset *asset)
{
    static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; "
                                 "img-src 'self'; connect-src 'self'; base-uri 'none'; "
                                 "form-action 'none'; frame-ancestors 'none'";
    const struct http_extra extras[] = {
        { "Content-Security-Policy", tarn_bytes_str(policy) },
        { "X-Content-Type-Options", tarn_bytes_str("nosniff") },
        { "Referrer-Policy", tarn_bytes_str("no-referrer") },
    };
    const struct http_answer a = {
        .status = 200, .type = asset->type, .cache = "no-cache", .extras = extras, .n_extras = 3
    };
    http_answer_bytes(x, &a, tarn_bytes_of(asset->bytes, asset->len));
}

static const struct admin_asset *find_asset(struct tarn_bytes path)
{
    if (tarn_bytes_eq_str(path, "/"))
        return &admin_assets[0]; /* index.html */
    for (size_t i = 1; i < admin_assets_n; i++)
        if (tarn_bytes_eq_str(path, admin_assets[i].path))
            return &admin_assets[i];
    return NULL;
}

/* ---- who may ---- */

static bool is_equal(struct tarn_bytes a, const char *secret)
{
    size_t n = strlen(secret);
    uint8_t differs = a.len != n;
    for (size_t i = 0; i < n; i++) /* as long for a good guess as for a bad one */
        differs |= (uint8_t)(secret[i] ^ (a.len == n ? a.p[i] : 0));
    return differs == 0;
}

static bool has_bearer(const struct node_admin *a, struct tarn_bytes auth)
{
    static const char bearer[] = "Bearer ";
    size_t n = sizeof bearer - 1;
    return auth.len > n && strncasecmp((const char *)auth.p, bearer, n) == 0 &&
           is_equal(tarn_bytes_of(auth.p + n, auth.len - n), a->node->home.token);
}

/* Basic: any name, the token as password. */
static bool has_basic(const struct node_admin *a, struct tarn_bytes auth)
{
    static const char basic[] = "Basic ";
    uint8_t plain[256];
    size_t n = sizeof basic - 1, len;
    if (auth.len <= n || strncasecmp((const char *)auth.p, basic, n) != 0 ||
        !tarn_unbase64(tarn_bytes_of(auth.p + n, auth.len - n), plain, sizeof plain, &len))
        return false;
    const uint8_t *colon = memchr(plain, ':', len);
    return colon != NULL && is_equal(tarn_bytes_of(colon + 1, len - (size_t)(colon + 1 - plain)),
                                     a->node->home.token);
}

static bool has_cookie(const struct node_admin *a, struct tarn_bytes cookies)
{
    while (cookies.len > 0) {
        const uint8_t *end = memchr(cookies.p, ';', cookies.len);
        size_t n = end == NULL ? cookies.len : (size_t)(end - cookies.p);
        struct tarn_bytes one = tarn_bytes_of(cookies.p, n);
        while (one.len > 0 && one.p[0] == ' ')
            one = tarn_bytes_of(one.p + 1, one.len - 1);
        if (one.len > 5 && memcmp(one.p, "tarn=", 5) == 0 &&
            is_equal(tarn_bytes_of(one.p + 5, one.len - 5), a->node->home.token))
            return true;
        cookies =
            end == NULL ? tarn_bytes_of(NULL, 0) : tarn_bytes_of(end + 1, cookies.len - n - 1);
    }
    return false;
}

static bool is_known_host(const struct node_admin *a, struct tarn_bytes host)
{
    struct sys_addr addr;
    if (sys_addr_parse(host, 1, &addr) ||
        (host.len == 9 && strncasecmp((const char *)host.p, "localhost", 9) == 0))
        return true;
    for (const char *name = node_config_text(a->node->config, NODE_ADMIN_HOSTS); *name != '\0';) {
        size_t n = strcspn(name, ", ");
        if (n == host.len && n > 0 && strncasecmp(name, (const char *)host.p, n) == 0)
            return true;
        name += n + (name[n] != '\0');
    }
    return false;
}

/* An Origin is of a page: it must be one of ours, at this very address. */
static bool is_own_origin(const struct http_exchange *x)
{
    struct tarn_bytes origin = http_value(x->request, HTTP_ORIGIN);
    struct tarn_bytes at = http_text(x->request, x->request->authority);
    const char *scheme = x->is_tls ? "https://" : "http://";
    size_t n = strlen(scheme);
    return !http_has(x->request, HTTP_ORIGIN) ||
           (at.len > 0 && origin.len == n + at.len &&
            strncasecmp((const char *)origin.p, scheme, n) == 0 &&
            strncasecmp((const char *)origin.p + n, (const char *)at.p, at.len) == 0);
}

/* GET /?token=...: the first visit, or the same link once more. From then on the cookie says it,
 * and the address bar does not. */
static bool is_first_visit(struct node_admin *a, struct http_exchange *x)
{
    struct tarn_bytes query = http_text(x->request, x->request->query), key, value;
    char cookie[512];
    if (!tarn_bytes_eq_str(http_text(x->request, x->request->path), "/") ||
        x->request->method != HTTP_GET)
        return false;
    while (url_query_next(&query, &key, &value))
        if (tarn_bytes_eq_str(key, "token") && is_equal(value, a->node->home.token)) {
            (void)snprintf(cookie, sizeof cookie,
                           "tarn=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000",
                           a->node->home.token);
            const struct http_extra extras[] = { { "Set-Cookie", tarn_bytes_str(cookie) },
                                                 { "Location", tarn_bytes_str("/") },
                                                 { "Referrer-Policy",
                                                   tarn_bytes_str("no-referrer") } };
            http_log_as(x, NULL, NULL, "/?token=...");
            http_answer_error(x, 303, NULL, extras, 3);
            return true;
        }
    return false;
}

/* False: answered. */
static bool is_welcome(struct node_admin *a, struct admin_call *c)
{
    struct http_exchange *x = c->x;
    const struct http_request *req = x->request;
    struct tarn_bytes auth = http_value(req, HTTP_AUTHORIZATION);
    if (x->peer->is_unix)
        return true;
    if (!is_known_host(a, http_text(req, req->host)))
        admin_refuse(c, 421, TARN_E_USAGE,
                     "this name is not one of this door's: use its address, or set admin.hosts");
    else if (!is_own_origin(x))
        admin_refuse(c, 403, TARN_E_POLICY, "a page of another site may not control this node");
    else if (is_first_visit(a, x))
        return false;
    else if (has_bearer(a, auth) || has_basic(a, auth) ||
             has_cookie(a, http_value(req, HTTP_COOKIE)))
        return true;
    else
        admin_refuse(
            c, 401, TARN_E_POLICY,
            "this door needs the node's token: `tarn status --json` has the page's address");
    return false;
}

/* ---- requests ---- */

/* Another method than those that the resource knows. False: it is one of them. */
static bool refuse_method(struct admin_call *c, unsigned allowed)
{
    enum http_method method = (enum http_method)c->x->request->method;
    if (allowed & HTTP_ALLOW(method))
        return false;
    if (method == HTTP_OPTIONS) {
        (void)http_refuse_method(c->x, allowed | HTTP_ALLOW(HTTP_OPTIONS));
        return true;
    }
    struct tarn_out list;
    char room[128];
    tarn_out_fixed(&list, room, sizeof room);
    for (enum http_method m = HTTP_GET; m < HTTP_METHOD_COUNT; m++)
        if (allowed & HTTP_ALLOW(m))
            tarn_out_fmt(&list, "%s%s", list.len > 0 ? ", " : "", http_method_name(m));
    c->allow = tarn_out_bytes(&list);
    admin_refuse(c, 405, TARN_E_USAGE, "this is not done with this method: see Allow");
    return true;
}

static void answer(struct node_admin *a, struct admin_call *c)
{
    struct http_exchange *x = c->x;
    struct tarn_bytes path = http_text(x->request, x->request->path);
    unsigned allowed;
    const struct route *r = find_route(path, (enum http_method)x->request->method, &allowed);
    const struct admin_asset *asset = find_asset(path);
    if (tarn_bytes_eq_str(path, "/healthz"))
        answer_health(x);
    else if (!is_welcome(a, c))
        return;
    else if (r != NULL)
        take_route(c, r);
    else if (allowed != 0 || asset != NULL) {
        if (!refuse_method(c, allowed != 0 ? allowed : (unsigned)GET))
            answer_asset(x, asset);
    } else
        admin_refuse(c, 404, TARN_E_NOT_FOUND, "there is no such resource: see docs/api.md");
}

static void on_request(void *arg, struct http_exchange *x)
{
    struct admin_call *c = tarn_calloc(1, sizeof *c);
    struct node *n = arg;
    x->arg = c;
    if (c == NULL) {
        http_answer_error(x, 503, "The server is out of memory.", NULL, 0);
        return;
    }
    c->admin = n->doors.admin_door;
    c->x = x;
    tarn_out_init(&c->out, OUT_MAX);
    answer(c->admin, c);
}

static void on_over(void *arg, struct http_exchange *x)
{
    struct admin_call *c = x->arg;
    (void)arg;
    if (c == NULL)
        return;
    c->x = NULL;
    c->more = NULL;
    admin_forget_watcher(c);
    if (c->is_asking)
        tarn_list_push_back(&c->admin->node->left_calls, &c->node);
    else
        free_call(c);
}

static void on_trouble(void *arg, const struct tarn_err *err)
{
    node_log_err(((struct node *)arg)->log, NODE_WARNING, "admin", err);
}

const struct http_ops node_admin_ops = {
    .on_request = on_request,
    .on_over = on_over,
    .on_trouble = on_trouble,
};

/* ---- the door ---- */

bool node_admin_open(struct node *n, struct tarn_err *err)
{
    struct node_admin *a = tarn_calloc(1, sizeof *a);
    if (a == NULL)
        return tarn_fail_mem(err, "opening the admin door");
    a->node = n;
    a->beat.on_time = admin_beat;
    tarn_list_init(&a->watchers);
    n->doors.admin_door = a;
    return true;
}

void node_admin_close(struct node *n)
{
    struct node_admin *a = n->doors.admin_door;
    if (a == NULL)
        return;
    loop_timer_stop(n->loop, &a->beat);
    tarn_free(a);
    n->doors.admin_door = NULL;
}

void node_admin_forget(struct node *n)
{
    struct tarn_list *left;
    while ((left = tarn_list_pop_front(&n->left_calls)) != NULL)
        free_call(TARN_OUTER(left, struct admin_call, node));
}
