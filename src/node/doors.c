/* node/doors: see the header. What goes between the main loop and a web loop goes by loop_post,
 * each message in the struct node_web that it is about. */
#include "node/doors.h"

#include "base/mem.h"
#include "loop/tls.h"
#include "node/parts.h"

#include <stdio.h>

enum {
    DRAIN_MS = 4000, /* of NODE_STOP_MS: the rest is for closing */
    URL_MAX = 300,
};

/* ---- messages ---- */

static void on_take(struct loop_msg *m)
{
    struct node_web *w = TARN_OUTER(m, struct node_web, take);
    w->config = w->next;
    if (w->next_tls != NULL) {
        http_server_set_tls(w->server, w->next_tls);
        crypt_tls_unref(w->tls); /* connections hold their own */
        w->tls = w->next_tls;
        w->next_tls = NULL;
    }
    loop_post(w->node->loop, &w->taken);
}

static void on_taken(struct loop_msg *m)
{
    struct node *n = TARN_OUTER(m, struct node_web, taken)->node;
    struct tarn_err err;
    if (--n->doors.old_left > 0)
        return;
    node_config_free(n->doors.old);
    n->doors.old = NULL;
    bool again = n->reloads_again && n->state == NODE_RUNNING;
    n->reloads_again = false;
    if (again && !node_reload(n, &err))
        node_log_err(n->log, NODE_ERROR, "config", &err);
}

static void on_server_drained(void *arg)
{
    struct node_web *w = arg;
    loop_post(w->node->loop, &w->drained);
}

static void on_drain(struct loop_msg *m)
{
    struct node_web *w = TARN_OUTER(m, struct node_web, drain);
    http_server_drain(w->server, on_server_drained, w);
}

static void part_drained(struct node *n)
{
    if (--n->doors.drains_left == 0)
        node_part_stopped(n);
}

static void on_drained(struct loop_msg *m)
{
    part_drained(TARN_OUTER(m, struct node_web, drained)->node);
}

static void on_admin_drained(void *arg)
{
    part_drained(arg);
}

static void on_end(struct loop_msg *m)
{
    loop_stop(TARN_OUTER(m, struct node_web, end)->loop);
}

static void run_web(void *arg)
{
    struct node_web *w = arg;
    struct tarn_err err;
    if (!loop_run(w->loop, &err))
        node_log_err(w->node->log, NODE_ERROR, "http", &err);
}

/* ---- opening ---- */

static int64_t ms_of(const struct node *n, enum node_key key)
{
    return (int64_t)node_config_number(n->config, key) * 1000;
}

static struct http_settings settings_of(const struct node *n, const struct http_ops *ops, void *arg,
                                        unsigned servers)
{
    struct http_settings set = {
        .ops = ops,
        .arg = arg,
        .log = n->doors.access_log,
        .name = "tarn",
        .head = http_limits_default,
        .max_connections =
            (uint32_t)node_config_number(n->config, NODE_HTTP_CONNECTIONS) / servers + 1,
        .head_ms = ms_of(n, NODE_HTTP_HEAD_TIMEOUT),
        .body_ms = ms_of(n, NODE_HTTP_BODY_TIMEOUT),
        .write_ms = ms_of(n, NODE_HTTP_SEND_TIMEOUT),
        .idle_ms = ms_of(n, NODE_HTTP_IDLE_TIMEOUT),
        .drain_ms = DRAIN_MS,
    };
    set.head.line = (uint32_t)node_config_number(n->config, NODE_HTTP_LINE_MAX);
    set.head.block = (uint32_t)node_config_number(n->config, NODE_HTTP_HEAD_MAX);
    set.head.fields = (uint16_t)node_config_number(n->config, NODE_HTTP_FIELDS_MAX);
    return set;
}

static unsigned choose_loops(const struct node *n)
{
    unsigned asked = (unsigned)node_config_number(n->config, NODE_HTTP_LOOPS);
    unsigned cpus = sys_cpu_count();
    if (asked > 0)
        return asked;
    return cpus < 2 ? 1 : cpus - 1 < NODE_WEBS_MAX ? cpus - 1 : NODE_WEBS_MAX;
}

/* Each socket of one door goes to the server s. */
static bool adopt(struct node *n, enum node_door door, struct http_server *s, struct crypt_tls *tls,
                  struct tarn_err *err)
{
    for (size_t i = 0; i < n->sockets.n; i++) {
        struct node_socket *from = &n->sockets.all[i];
        if (from->door == door && !http_server_adopt(s, sys_take_fd(&from->fd), tls, err))
            return tarn_fail_in(err, "a socket of the %s door",
                                door == NODE_DOOR_HTTP ? "web" : "admin");
    }
    return true;
}

static bool has_sockets(const struct node *n, enum node_door door)
{
    for (size_t i = 0; i < n->sockets.n; i++)
        if (n->sockets.all[i].door == door)
            return true;
    return false;
}

static bool open_web(struct node *n, struct node_web *w, struct tarn_err *err)
{
    struct loop_settings loop_set = { .threads = 2 }; /* cold files, and the log */
    *w = (struct node_web){ .node = n,
                            .config = n->config,
                            .take.on_loop = on_take,
                            .taken.on_loop = on_taken,
                            .drain.on_loop = on_drain,
                            .drained.on_loop = on_drained,
                            .end.on_loop = on_end };
    struct http_settings set = settings_of(n, &node_web_ops, w, n->doors.n_webs);
    w->tls = n->doors.tls == NULL ? NULL : crypt_tls_ref(n->doors.tls);
    w->loop = loop_new(&loop_set, err);
    w->server = w->loop == NULL ? NULL : http_server_new(w->loop, &set, err);
    return w->server != NULL && node_web_open(w, err) &&
           (w == n->doors.webs ? adopt(n, NODE_DOOR_HTTP, w->server, w->tls, err)
                               : http_server_share(w->server, n->doors.webs[0].server, err));
}

/* A file that is one hole: it takes no room. Without it, padding is not there to be fetched. */
static void open_zeros(struct node *n)
{
    struct tarn_err err;
    int fd = -1;
    char *path = node_home_path(&n->home, "zeros");
    bool ok = path != NULL ? (fd = sys_open(path, SYS_OPEN_CREATE, &err)) >= 0 &&
                                 sys_truncate(fd, 0, &err) && sys_truncate(fd, NODE_ZEROS, &err)
                           : tarn_fail_mem(&err, "opening the web door");
    tarn_free(path);
    if (ok)
        n->doors.zeros = sys_file_new(fd); /* has taken it over */
    else
        sys_close(&fd);
    if (!ok)
        node_log_err(n->log, NODE_WARNING, "http", &err);
}

static bool open_webs(struct node *n, struct tarn_err *err)
{
    struct node_doors *d = &n->doors;
    if (!has_sockets(n, NODE_DOOR_HTTP))
        return true;
    unsigned loops = choose_loops(n);
    open_zeros(n);
    d->webs = tarn_calloc(loops, sizeof *d->webs);
    if (d->webs == NULL)
        return tarn_fail_mem(err, "opening the web door");
    d->n_webs = loops;
    for (unsigned i = 0; i < loops; i++)
        if (!open_web(n, &d->webs[i], err))
            return false;
    for (unsigned i = 0; i < loops; i++)
        if (!sys_thread_start(&d->webs[i].thread, "tarn-web", run_web, &d->webs[i], err))
            return false;
    return true;
}

static bool open_log(struct node *n, struct tarn_err *err)
{
    const char *path = node_config_text(n->config, NODE_HTTP_ACCESS_LOG);
    if (*path == '\0')
        return true;
    enum http_log_format format =
        (enum http_log_format)node_config_number(n->config, NODE_HTTP_ACCESS_LOG_FORMAT);
    n->doors.access_log = http_log_open(path, format, err);
    if (n->doors.access_log != NULL)
        return true;
    tarn_fail_in(err, "http.access_log");
    if (err != NULL)
        err->code = TARN_E_USAGE;
    return false;
}

static bool open_admin(struct node *n, struct tarn_err *err)
{
    struct http_settings set = settings_of(n, &node_admin_ops, n, 1);
    set.log = NULL; /* its targets hold what is nobody's business */
    set.has_json_errors = true;
    n->doors.admin = http_server_new(n->loop, &set, err);
    return n->doors.admin != NULL && node_admin_open(n, err) &&
           (has_sockets(n, NODE_DOOR_CONTROL)
                ? adopt(n, NODE_DOOR_CONTROL, n->doors.admin, NULL, err)
                : http_server_listen_unix(n->doors.admin, n->home.socket,
                                          n->set.is_system ? 0660 : 0600, err)) &&
           adopt(n, NODE_DOOR_ADMIN, n->doors.admin, NULL, err);
}

/* ---- where it is ---- */

/* An address that another program on this machine can connect to. */
static void put_url(struct tarn_out *o, const char *scheme, const struct http_server *s, size_t i)
{
    struct sys_addr at;
    struct sys_addr_text text;
    if (s == NULL || !http_server_addr(s, i, &at))
        return;
    struct sys_addr any = sys_addr_any(at.is_v6, at.port);
    if (sys_addr_eq(&at, &any)) {
        at = (struct sys_addr){ .port = at.port, .is_v6 = at.is_v6 };
        at.ip[0] = at.is_v6 ? 0 : 127;
        at.ip[at.is_v6 ? 15 : 3] = 1;
    }
    tarn_out_fmt(o, "%s://%s/", scheme, sys_addr_text(&text, &at));
}

static bool make_urls(struct node *n, struct tarn_err *err)
{
    const char *public_url = n->from.public_url; /* of the start: a new one waits for the next */
    struct tarn_out web, page;
    struct sys_addr at;
    tarn_out_init(&web, URL_MAX * 10);
    tarn_out_init(&page, URL_MAX * 10);
    if (*public_url != '\0')
        tarn_out_str(&web, public_url);
    else if (n->doors.n_webs > 0)
        put_url(&web, n->doors.tls == NULL ? "http" : "https", n->doors.webs[0].server, 0);
    size_t i = 0; /* the control socket is a listener without an address */
    while (i < HTTP_LISTENERS_MAX && !http_server_addr(n->doors.admin, i, &at))
        i++;
    put_url(&page, "http", n->doors.admin, i);
    if (page.len > 0)
        tarn_out_fmt(&page, "?token=%s", n->home.token);
    bool has_web = web.len > 0, has_page = page.len > 0;
    tarn_free(n->public_url);
    tarn_free(n->page_url);
    n->public_url = tarn_out_take_str(&web);
    n->page_url = tarn_out_take_str(&page);
    if (n->public_url == NULL || n->page_url == NULL)
        return tarn_fail_mem(err, "opening the doors");
    if (!has_web) {
        tarn_free(n->public_url);
        n->public_url = NULL;
    }
    if (!has_page) {
        tarn_free(n->page_url);
        n->page_url = NULL;
    }
    return true;
}

bool node_doors_load_tls(const struct node_config *c, struct crypt_tls **tls, struct tarn_err *err)
{
    const char *cert = node_config_text(c, NODE_HTTP_TLS_CERT);
    *tls = NULL;
    if (*cert == '\0')
        return true;
    *tls = loop_tls_load(cert, node_config_text(c, NODE_HTTP_TLS_KEY), err);
    if (*tls != NULL)
        return true;
    tarn_fail_in(err, "http.tls_cert and http.tls_key");
    if (err != NULL)
        err->code = TARN_E_USAGE;
    return false;
}

bool node_doors_open(struct node *n, struct tarn_err *err)
{
    return node_doors_load_tls(n->config, &n->doors.tls, err) && open_log(n, err) &&
           open_admin(n, err) && open_webs(n, err) && make_urls(n, err);
}

/* ---- reloading ---- */

bool node_doors_can_reload(const struct node *n)
{
    return n->doors.old_left == 0;
}

/* Listeners that speak TLS go on so, and plain ones plain: the port stays what clients know. */
static void take_tls(struct node *n, struct crypt_tls *tls)
{
    struct node_doors *d = &n->doors;
    if ((tls == NULL) != (d->tls == NULL)) {
        node_log(n->log, NODE_WARNING, "config", "turning TLS on or off waits for the next start");
        crypt_tls_unref(tls);
        return;
    }
    crypt_tls_unref(d->tls);
    d->tls = tls;
    for (unsigned i = 0; tls != NULL && i < d->n_webs; i++)
        d->webs[i].next_tls = crypt_tls_ref(tls);
}

void node_doors_reload(struct node *n, struct node_config *old, struct crypt_tls *tls)
{
    struct node_doors *d = &n->doors;
    struct tarn_err err;
    take_tls(n, tls);
    if (!make_urls(n, &err))
        node_fault_add(n, "http", err.msg);
    d->old = old;
    d->old_left = d->n_webs;
    for (unsigned i = 0; i < d->n_webs; i++) {
        d->webs[i].next = n->config;
        loop_post(d->webs[i].loop, &d->webs[i].take);
    }
    if (d->n_webs == 0) {
        node_config_free(old);
        d->old = NULL;
    }
}

/* ---- ending ---- */

void node_doors_drain(struct node *n)
{
    struct node_doors *d = &n->doors;
    d->drains_left = d->n_webs + 1;
    for (unsigned i = 0; i < d->n_webs; i++)
        loop_post(d->webs[i].loop, &d->webs[i].drain);
    node_admin_drain(n);
    http_server_drain(d->admin, on_admin_drained, n);
}

void node_doors_close(struct node *n)
{
    struct node_doors *d = &n->doors;
    for (unsigned i = 0; i < d->n_webs; i++)
        if (d->webs[i].thread.is_running)
            loop_post(d->webs[i].loop, &d->webs[i].end);
    for (unsigned i = 0; i < d->n_webs; i++) {
        struct node_web *w = &d->webs[i];
        sys_thread_join(&w->thread);
        loop_unpost(n->loop, &w->taken); /* what it has said lies in this very struct */
        loop_unpost(n->loop, &w->drained);
        http_server_free(w->server);
        node_web_close(w);
        crypt_tls_unref(w->tls);
        crypt_tls_unref(w->next_tls);
    }
    /* Not before all have ended: they share listeners, and post to the main loop. */
    for (unsigned i = 0; i < d->n_webs; i++)
        loop_free(d->webs[i].loop);
    http_server_free(d->admin);
    node_admin_close(n);
    http_log_unref(d->access_log);
    sys_file_unref(d->zeros);
    crypt_tls_unref(d->tls);
    node_config_free(d->old);
    tarn_free(d->webs);
    *d = (struct node_doors){ 0 };
}

static void add_counters(struct http_counters *to, const struct http_server *s)
{
    struct http_counters c;
    if (s == NULL)
        return;
    http_server_counters(s, &c);
    to->connections += c.connections;
    to->idle += c.idle;
    to->accepted += c.accepted;
    to->tls_failed += c.tls_failed;
    to->received += c.received;
    to->sent += c.sent;
    to->refused += c.refused;
    to->evicted += c.evicted;
    to->cut += c.cut;
    to->log_dropped += c.log_dropped;
    for (size_t i = 0; i < TARN_COUNT_OF(c.requests); i++)
        to->requests[i] += c.requests[i];
    for (size_t i = 0; i < TARN_COUNT_OF(c.timed_out); i++)
        to->timed_out[i] += c.timed_out[i];
}

void node_doors_counters(const struct node *n, struct http_counters *web,
                         struct http_counters *admin)
{
    *web = *admin = (struct http_counters){ 0 };
    for (unsigned i = 0; i < n->doors.n_webs; i++)
        add_counters(web, n->doors.webs[i].server);
    add_counters(admin, n->doors.admin);
}
