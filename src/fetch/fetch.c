/* fetch/fetch: libcurl's multi interface asks for sockets and one timer; the loop supplies them.
 *
 * A request stands in one of three lists: waiting for its turn, running, finished. Whatever happens
 * inside libcurl only moves it to `finished`; at the end of the turn done() is called from there,
 * where libcurl may be called again. What is canceled from inside a callback of libcurl's is an
 * orphan until then. */
#include "fetch/fetch.h"

#include "base/mem.h"
#include "base/num.h"
#include "fetch/priv.h"
#include "sys/clock.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
    HEADERS_MAX = 256 << 10,
    IDLE_CONNECTIONS = 16, /* kept for the next request to the same host */
    PARTS_BUFFER = 128 << 10,
};

struct fetcher {
    struct loop *loop;
    CURLM *multi; /* owned */
    char *agent;  /* owned */
    bool (*is_local)(const struct sys_addr *a);
    struct tarn_list waiting, running, finished;
    struct tarn_list orphans; /* transfers whose request is gone */
    struct curl_slist *plain; /* owned: the header that asks for no content coding */
    unsigned in_curl;         /* callbacks may be running */
    size_t n_running;
    struct loop_idle settle;
    struct loop_timer timer;
    struct tarn_list watches;
};

/* A socket of libcurl's. */
struct socket_watch {
    struct loop_watch watch;
    struct fetcher *fetcher;
    struct tarn_list node;
};

/* What a request needs while it is under way. */
struct fetch_transfer {
    struct fetch *fetch; /* NULL: an orphan */
    struct fetcher *fetcher;
    struct tarn_list node; /* in orphans */
    CURL *easy;
    bool is_running; /* in the multi */
    bool was_public; /* the last server was */
    bool is_refused; /* by one of our callbacks: fetch->err says why */
    bool is_asked;   /* a request was sent, and no line of its answer has come */
    bool has_query;
    bool is_paused, resumes, is_next; /* to go on, at the end of this turn or in this pass */
    int64_t started_us;
    bool has_head;    /* on_head was called */
    size_t taken;     /* of the bytes that come next: given to on_part before the pause */
    size_t unwanted;  /* bytes of an error's answer */
    int64_t moved_us; /* something came, or it was resumed */
    size_t header_bytes;
    struct tarn_quote host; /* for messages */
    char why[CURL_ERROR_SIZE];
};

/* --- the end of a request --- */

static void leave_multi(struct fetcher *fr, struct fetch_transfer *t)
{
    if (!t->is_running)
        return;
    t->is_running = false;
    fr->n_running--;
    (void)curl_multi_remove_handle(fr->multi, t->easy); /* it is in */
}

static void transfer_free(struct fetch_transfer *t)
{
    leave_multi(t->fetcher, t);
    tarn_list_remove(&t->node);
    curl_easy_cleanup(t->easy);
    tarn_free(t);
}

static void drop_transfer(struct fetch *f)
{
    struct fetch_transfer *t = f->transfer;
    f->transfer = NULL;
    if (t == NULL)
        return;
    t->fetch = NULL;
    if (f->fetcher->in_curl > 0)
        tarn_list_push_back(&f->fetcher->orphans, &t->node);
    else
        transfer_free(t);
}

static void finish(struct fetch *f)
{
    struct fetcher *fr = f->fetcher;
    loop_timer_stop(fr->loop, &f->timer);
    drop_transfer(f);
    if (!f->ok && f->status == 0)
        tarn_out_release(&f->body);
    tarn_list_remove(&f->node);
    tarn_list_push_back(&fr->finished, &f->node);
    loop_idle_set(fr->loop, &fr->settle);
}

static const char *host_of(const struct fetch *f)
{
    return f->transfer->host.s;
}

/* When it is too late, all in all or for want of progress. INT64_MAX: never. */
static int64_t late_at(const struct fetch *f, bool *stalls)
{
    const struct fetch_transfer *t = f->transfer;
    int64_t all = f->timeout_ms == 0 ? INT64_MAX : t->started_us + f->timeout_ms * 1000;
    int64_t from = t->is_paused || !t->is_running ? sys_now_us() : t->moved_us;
    int64_t stall = f->stall_ms == 0 ? INT64_MAX : from + f->stall_ms * 1000;
    *stalls = stall < all;
    return *stalls ? stall : all;
}

static void on_late(struct loop_timer *timer)
{
    struct fetch *f = TARN_OUTER(timer, struct fetch, timer);
    bool stalls;
    int64_t at = late_at(f, &stalls);
    if (at > sys_now_us()) {
        bool ticks = loop_timer_set(f->fetcher->loop, timer, at);
        (void)ticks; /* it was in just now, so there is memory for it */
        return;
    }
    if (stalls)
        (void)tarn_fail(&f->err, TARN_E_NETWORK, "nothing came from '%s' for %lld ms", host_of(f),
                        (long long)f->stall_ms);
    else
        (void)tarn_fail(&f->err, TARN_E_NETWORK, "no whole answer from '%s' within %lld ms",
                        host_of(f), (long long)f->timeout_ms);
    f->status = 0;
    finish(f);
}

static void note_status(struct fetch *f)
{
    long status = 0;
    curl_off_t length = -1, wait_s = 0;
    CURL *e = f->transfer->easy;
    (void)curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(e, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    (void)curl_easy_getinfo(e, CURLINFO_RETRY_AFTER, &wait_s);
    f->status = (int)status;
    f->head.has_length = length >= 0;
    f->head.length = length >= 0 ? (uint64_t)length : 0;
    f->head.retry_after_s = wait_s < 0 ? 0 : wait_s > UINT32_MAX ? UINT32_MAX : (uint32_t)wait_s;
}

static bool is_content(const struct fetch *f)
{
    return f->status == 200 || (f->has_range && f->status == 206);
}

static bool judge_status(struct fetch *f)
{
    long status = f->status;
    if (is_content(f))
        return true;
    return tarn_fail(&f->err, status == 404 || status == 410 ? TARN_E_NOT_FOUND : TARN_E_NETWORK,
                     "'%s' answered with HTTP status %ld", host_of(f), status);
}

static bool judge(struct fetch *f, CURLcode result)
{
    struct fetch_transfer *t = f->transfer;
    if (result == CURLE_OK)
        return judge_status(f);
    if (t->is_refused)
        return false;
    switch (result) {
    case CURLE_UNSUPPORTED_PROTOCOL:
        if (t->is_asked)
            return tarn_fail(&f->err, TARN_E_NETWORK,
                             "'%s' answered with something that is no HTTP", t->host.s);
        return tarn_fail(&f->err, TARN_E_POLICY, "'%s' led to a URL that is neither http nor https",
                         t->host.s);
    case CURLE_URL_MALFORMAT:
        return tarn_fail(&f->err, TARN_E_USAGE, "this is no URL: %s",
                         t->why[0] != 0 ? t->why : curl_easy_strerror(result));
    case CURLE_TOO_MANY_REDIRECTS:
        return tarn_fail(&f->err, TARN_E_POLICY, "'%s' redirects more than %d times", t->host.s,
                         FETCH_REDIRECTS);
    case CURLE_OUT_OF_MEMORY:
        return tarn_fail_mem(&f->err, "fetching a URL");
    default:
        break;
    }
    struct tarn_quote quote;
    return tarn_fail(&f->err, TARN_E_NETWORK, "cannot fetch from '%s': %s", t->host.s,
                     tarn_quote_str(&quote, t->why[0] != 0 ? t->why : curl_easy_strerror(result)));
}

static void collect(struct fetcher *fr)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(fr->multi, &left)) != NULL) {
        if (m->msg != CURLMSG_DONE)
            continue;
        struct fetch_transfer *t = NULL;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        struct fetch *f = t->fetch;
        if (f == NULL) /* canceled from inside */
            continue;
        note_status(f);
        f->ok = judge(f, m->data.result);
        if (m->data.result != CURLE_OK && f->on_part == NULL)
            f->status = 0;
        finish(f);
    }
}

/* --- libcurl's sockets and its timer --- */

static void act(struct fetcher *fr, curl_socket_t fd, int events)
{
    int running;
    fr->in_curl++;
    (void)curl_multi_socket_action(fr->multi, fd, events, &running); /* told by each transfer */
    fr->in_curl--;
    collect(fr);
    if (!tarn_list_empty(&fr->orphans))
        loop_idle_set(fr->loop, &fr->settle);
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    const struct socket_watch *s = TARN_OUTER(w, struct socket_watch, watch);
    act(s->fetcher, w->fd,
        ((events & SYS_READABLE) != 0 ? CURL_CSELECT_IN : 0) |
            ((events & SYS_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0));
}

static void drop_watch(struct socket_watch *s)
{
    loop_watch_remove(s->fetcher->loop, &s->watch);
    tarn_list_remove(&s->node);
    tarn_free(s);
}

static struct socket_watch *watch_new(struct fetcher *fr, curl_socket_t fd)
{
    struct socket_watch *s = tarn_calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->watch.fd = fd;
    s->watch.on_ready = on_ready;
    s->fetcher = fr;
    tarn_list_push_back(&fr->watches, &s->node);
    (void)curl_multi_assign(fr->multi, fd, s); /* it is libcurl's own */
    return s;
}

/* A socket that cannot be watched, or a time that cannot be told, is a request that ends when its
 * time is over. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    (void)easy;
    struct fetcher *fr = arg;
    struct socket_watch *s = known;
    if (what == CURL_POLL_REMOVE) {
        if (s != NULL)
            drop_watch(s);
        return 0;
    }
    if (s == NULL)
        s = watch_new(fr, fd);
    unsigned events = ((what & CURL_POLL_IN) != 0 ? SYS_READABLE : 0U) |
                      ((what & CURL_POLL_OUT) != 0 ? SYS_WRITABLE : 0U);
    if (s != NULL)
        (void)!loop_watch_set(fr->loop, &s->watch, events, NULL);
    return 0;
}

static void on_curl_time(struct loop_timer *timer)
{
    act(TARN_OUTER(timer, struct fetcher, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    (void)multi;
    struct fetcher *fr = arg;
    loop_timer_stop(fr->loop, &fr->timer);
    if (timeout_ms >= 0)
        (void)!loop_timer_set(fr->loop, &fr->timer, loop_now_us(fr->loop) + timeout_ms * 1000LL);
    return 0;
}

/* --- what a request's own callbacks refuse --- */

static bool refuse(struct fetch_transfer *t)
{
    t->is_refused = true;
    return false;
}

/* A page that says what went wrong: read, so that the connection can be used again, not kept. */
static size_t skip_unwanted(struct fetch_transfer *t, size_t len)
{
    t->unwanted += len;
    if (t->unwanted <= t->fetch->max_body)
        return len;
    (void)judge_status(t->fetch);
    return refuse(t);
}

/* After a pause libcurl brings the same bytes again, from the first that it had then. */
static size_t give_part(struct fetch_transfer *t, struct tarn_bytes part)
{
    struct fetch *f = t->fetch;
    if (!t->has_head) {
        note_status(f);
        if (is_content(f) && f->on_head != NULL && !f->on_head(f))
            return refuse(t);
        if (t->fetch == NULL)
            return 0;
        t->has_head = true;
    }
    if (!is_content(f))
        return skip_unwanted(t, part.len);
    size_t again = tarn_min_size(t->taken, part.len);
    t->taken -= again;
    if (again == part.len)
        return part.len;
    size_t taken = f->on_part(f, tarn_bytes_of(part.p + again, part.len - again));
    if (t->fetch == NULL)
        return 0;
    if (taken == FETCH_STOP)
        return refuse(t);
    if (again + taken == part.len)
        return part.len;
    t->taken = again + taken;
    t->is_paused = true;
    return CURL_WRITEFUNC_PAUSE;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct fetch_transfer *t = arg;
    struct fetch *f = t->fetch;
    size_t len = size * n;
    if (f == NULL)
        return 0;
    t->moved_us = loop_now_us(t->fetcher->loop);
    if (f->on_part != NULL)
        return give_part(t, tarn_bytes_of(p, len));
    if (len > f->max_body - f->body.len) {
        (void)tarn_fail(&f->err, TARN_E_POLICY, "the answer of '%s' is longer than %zu bytes",
                        t->host.s, f->max_body);
        return refuse(t);
    }
    tarn_out_put(&f->body, tarn_bytes_of(p, len));
    if (tarn_out_ok(&f->body))
        return len;
    (void)tarn_fail_mem(&f->err, "fetching a URL");
    return refuse(t);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct fetch_transfer *t = arg;
    if (t->fetch == NULL)
        return 0;
    fetch_head_line(&t->fetch->head, tarn_bytes_of(p, size * n));
    t->moved_us = loop_now_us(t->fetcher->loop);
    t->is_asked = false;
    t->header_bytes += size * n;
    if (t->header_bytes <= HEADERS_MAX)
        return size * n;
    (void)tarn_fail(&t->fetch->err, TARN_E_POLICY, "'%s' sends more than %d bytes of headers",
                    t->host.s, HEADERS_MAX);
    return refuse(t);
}

/* May this request go there? A public server must not send us to what only we can reach. */
static bool may_reach(struct fetch_transfer *t, const struct sys_addr *a)
{
    struct sys_addr_text text;
    long redirects = 0;
    if (t->fetch == NULL)
        return false;
    (void)curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_COUNT, &redirects);
    bool is_local = t->fetcher->is_local(a), is_first = redirects == 0;
    if (is_local && is_first && t->fetch->no_local_query && t->has_query) {
        (void)tarn_fail(&t->fetch->err, TARN_E_POLICY,
                        "a URL with a query must not lead to the local address %s",
                        sys_addr_text(&text, a));
        return refuse(t);
    }
    if (!is_local || (is_first ? !t->fetch->never_local : !t->was_public))
        return true;
    (void)tarn_fail(&t->fetch->err, TARN_E_POLICY,
                    "'%s' redirects to the local address %s, which a public server may not",
                    t->host.s, sys_addr_text(&text, a));
    return refuse(t);
}

static struct sys_addr addr_of(const struct curl_sockaddr *from)
{
    struct sys_addr a = { .is_v6 = from->family == AF_INET6 };
    if (a.is_v6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, &from->addr, sizeof v6);
        memcpy(a.ip, &v6.sin6_addr, 16);
        a.port = ntohs(v6.sin6_port);
    } else {
        struct sockaddr_in v4;
        memcpy(&v4, &from->addr, sizeof v4);
        memcpy(a.ip, &v4.sin_addr, 4);
        a.port = ntohs(v4.sin_port);
    }
    return a;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    (void)purpose;
    struct sys_addr a = addr_of(to);
    if (!may_reach(arg, &a))
        return CURL_SOCKET_BAD;
#ifdef SOCK_CLOEXEC
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
#else
    return socket(to->family, to->socktype, to->protocol);
#endif
}

/* Before each request, also on a connection that was there already. */
static int on_request(void *arg, char *ip, char *own_ip, int port, int own_port)
{
    (void)own_ip, (void)own_port;
    struct fetch_transfer *t = arg;
    struct sys_addr a;
    t->is_asked = true;
    if (!sys_addr_parse(tarn_bytes_str(ip), (uint16_t)port, &a))
        return CURL_PREREQFUNC_OK; /* no IP: a proxy behind a Unix socket */
    if (!may_reach(t, &a))
        return CURL_PREREQFUNC_ABORT;
    t->was_public = !t->fetcher->is_local(&a); /* and stays: it may not go back */
    return CURL_PREREQFUNC_OK;
}

/* --- starting --- */

/* The host of a URL as it is written, without the user's name and password. */
static struct tarn_bytes find_host(const char *url)
{
    const char *from = strstr(url, "://");
    from = from == NULL ? url : from + 3;
    size_t len = strcspn(from, "/?#");
    for (size_t i = len; i > 0; i--)
        if (from[i - 1] == '@')
            return tarn_bytes_of(from + i, len - i);
    return tarn_bytes_of(from, len);
}

static bool set_options(CURL *e, const struct fetcher *fr, struct fetch_transfer *t,
                        const char *url)
{
#define SET(option, value) (curl_easy_setopt(e, CURLOPT_##option, (value)) == CURLE_OK)
    return SET(URL, url) && SET(PRIVATE, t) && SET(ERRORBUFFER, t->why) &&
           SET(USERAGENT, fr->agent) && SET(NOSIGNAL, 1L) && SET(HTTPGET, 1L) &&
           SET(PROTOCOLS_STR, "http,https") && SET(REDIR_PROTOCOLS_STR, "http,https") &&
           SET(FOLLOWLOCATION, 1L) && SET(MAXREDIRS, (long)FETCH_REDIRECTS) &&
           SET(NETRC, (long)CURL_NETRC_IGNORED) && SET(CONNECTTIMEOUT_MS, (long)FETCH_CONNECT_MS) &&
           /* libcurl without zlib refuses; then nothing is unpacked */
           (SET(ACCEPT_ENCODING, "gzip") || SET(ACCEPT_ENCODING, NULL)) &&
           SET(WRITEFUNCTION, on_body) && SET(WRITEDATA, t) && SET(HEADERFUNCTION, on_header) &&
           SET(HEADERDATA, t) && SET(OPENSOCKETFUNCTION, on_open) && SET(OPENSOCKETDATA, t) &&
           SET(PREREQFUNCTION, on_request) && SET(PREREQDATA, t);
}

/* As it is sent, over a protocol where a pause stops the sender. */
static bool set_parts(CURL *e, const struct fetcher *fr, const struct fetch *f)
{
    char range[48];
    snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)f->from,
             (unsigned long long)(f->from + f->len - 1));
    return SET(ACCEPT_ENCODING, NULL) && SET(HTTPHEADER, fr->plain) &&
           SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) && SET(BUFFERSIZE, (long)PARTS_BUFFER) &&
           (!f->has_range || SET(RANGE, range));
#undef SET
}

static bool make_transfer(struct fetcher *fr, struct fetch *f, const char *url)
{
    struct fetch_transfer *t = tarn_calloc(1, sizeof *t);
    if (t == NULL)
        return tarn_fail_mem(&f->err, "fetching a URL");
    f->transfer = t;
    t->fetch = f;
    t->fetcher = fr;
    t->easy = curl_easy_init();
    t->has_query = strchr(url, '?') != NULL;
    t->started_us = t->moved_us = sys_now_us();
    tarn_quote(&t->host, find_host(url));
    bool stalls;
    int64_t at = late_at(f, &stalls);
    if (t->easy == NULL || !set_options(t->easy, fr, t, url) ||
        (f->on_part != NULL && !set_parts(t->easy, fr, f)) ||
        (at != INT64_MAX && !loop_timer_set(fr->loop, &f->timer, at)))
        return tarn_fail_mem(&f->err, "fetching a URL");
    return true;
}

static void run(struct fetcher *fr, struct fetch *f)
{
    struct fetch_transfer *t = f->transfer;
    tarn_list_remove(&f->node);
    tarn_list_push_back(&fr->running, &f->node);
    t->moved_us = sys_now_us();
    CURLMcode code = curl_multi_add_handle(fr->multi, t->easy);
    t->is_running = code == CURLM_OK;
    if (t->is_running) {
        fr->n_running++;
        return;
    }
    (void)tarn_fail(&f->err, TARN_E_FAILED, "cannot fetch from '%s': %s", t->host.s,
                    curl_multi_strerror(code));
    finish(f);
}

static struct fetch_transfer *next_to_resume(struct fetcher *fr)
{
    for (struct tarn_list *n = fr->running.next; n != &fr->running; n = n->next) {
        struct fetch_transfer *t = TARN_OUTER(n, struct fetch, node)->transfer;
        if (t->is_next)
            return t;
    }
    return NULL;
}

/* Each once: who pauses and resumes again waits for the next turn. The body goes on inside the
 * call, where others may be canceled. */
static void resume_all(struct fetcher *fr)
{
    struct fetch_transfer *t;
    for (struct tarn_list *n = fr->running.next; n != &fr->running; n = n->next) {
        t = TARN_OUTER(n, struct fetch, node)->transfer;
        t->is_next = t->resumes;
        t->resumes = false;
    }
    fr->in_curl++;
    while ((t = next_to_resume(fr)) != NULL) {
        t->is_next = t->is_paused = false;
        t->moved_us = sys_now_us();
        (void)curl_easy_pause(t->easy, CURLPAUSE_CONT); /* what fails ends the transfer */
    }
    fr->in_curl--;
    collect(fr);
}

static void on_settle(struct loop_idle *i)
{
    struct fetcher *fr = TARN_OUTER(i, struct fetcher, settle);
    while (!tarn_list_empty(&fr->orphans))
        transfer_free(TARN_OUTER(fr->orphans.next, struct fetch_transfer, node));
    resume_all(fr);
    /* What finishes meanwhile waits for the next turn. */
    struct tarn_list now, *node;
    tarn_list_init(&now);
    while ((node = tarn_list_pop_front(&fr->finished)) != NULL)
        tarn_list_push_back(&now, node);
    while ((node = tarn_list_pop_front(&now)) != NULL) {
        struct fetch *f = TARN_OUTER(node, struct fetch, node);
        f->fetcher = NULL;
        f->done(f);
    }
    while (fr->n_running < FETCH_AT_ONCE && !tarn_list_empty(&fr->waiting))
        run(fr, TARN_OUTER(fr->waiting.next, struct fetch, node));
}

void fetch_start(struct fetcher *fr, struct fetch *f, const char *url)
{
    tarn_out_release(&f->body);
    tarn_out_init(&f->body, f->max_body);
    f->status = 0;
    f->ok = false;
    f->head = (struct fetch_head){ 0 };
    f->err = (struct tarn_err){ .code = TARN_OK };
    f->fetcher = fr;
    f->transfer = NULL;
    f->timer = (struct loop_timer){ .on_time = on_late };
    tarn_list_push_back(&fr->waiting, &f->node);
    loop_idle_set(fr->loop, &fr->settle);
    if (!make_transfer(fr, f, url))
        finish(f);
}

void fetch_cancel(struct fetch *f)
{
    struct fetcher *fr = f->fetcher;
    if (fr == NULL)
        return;
    loop_timer_stop(fr->loop, &f->timer);
    drop_transfer(f);
    tarn_list_remove(&f->node);
    f->fetcher = NULL;
    loop_idle_set(fr->loop, &fr->settle); /* another may begin */
}

void fetch_resume(struct fetch *f)
{
    if (f->fetcher == NULL || f->transfer == NULL || !f->transfer->is_paused)
        return;
    f->transfer->resumes = true;
    loop_idle_set(f->fetcher->loop, &f->fetcher->settle);
}

const char *fetch_url(const struct fetch *f)
{
    char *url = NULL;
    (void)curl_easy_getinfo(f->transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
    return url;
}

bool fetch_met_public(const struct fetch *f)
{
    return f->transfer->was_public;
}

struct fetcher *fetcher_new(struct loop *l, const char *user_agent, struct tarn_err *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        (void)tarn_fail(err, TARN_E_FAILED, "libcurl does not start");
        return NULL;
    }
    struct fetcher *fr = tarn_calloc(1, sizeof *fr);
    if (fr == NULL) {
        curl_global_cleanup();
        (void)tarn_fail_mem(err, "preparing to fetch URLs");
        return NULL;
    }
    fr->loop = l;
    fr->is_local = sys_addr_is_local;
    fr->settle.on_idle = on_settle;
    fr->timer.on_time = on_curl_time;
    tarn_list_init(&fr->waiting);
    tarn_list_init(&fr->running);
    tarn_list_init(&fr->finished);
    tarn_list_init(&fr->watches);
    tarn_list_init(&fr->orphans);
    fr->agent = tarn_strndup(user_agent, strlen(user_agent));
    fr->plain = curl_slist_append(NULL, "Accept-Encoding: identity");
    fr->multi = curl_multi_init();
    if (fr->agent == NULL || fr->plain == NULL || fr->multi == NULL ||
        curl_multi_setopt(fr->multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
        curl_multi_setopt(fr->multi, CURLMOPT_SOCKETDATA, fr) != CURLM_OK ||
        curl_multi_setopt(fr->multi, CURLMOPT_TIMERFUNCTION, on_timer) != CURLM_OK ||
        curl_multi_setopt(fr->multi, CURLMOPT_TIMERDATA, fr) != CURLM_OK ||
        curl_multi_setopt(fr->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS) != CURLM_OK) {
        fetcher_free(fr);
        (void)tarn_fail_mem(err, "preparing to fetch URLs");
        return NULL;
    }
    return fr;
}

static void cancel_all(struct tarn_list *list)
{
    while (!tarn_list_empty(list))
        fetch_cancel(TARN_OUTER(list->next, struct fetch, node));
}

void fetcher_free(struct fetcher *fr)
{
    if (fr == NULL)
        return;
    cancel_all(&fr->waiting);
    cancel_all(&fr->running);
    cancel_all(&fr->finished);
    while (!tarn_list_empty(&fr->orphans))
        transfer_free(TARN_OUTER(fr->orphans.next, struct fetch_transfer, node));
    if (fr->multi != NULL)
        (void)curl_multi_cleanup(fr->multi); /* it is a multi */
    while (!tarn_list_empty(&fr->watches))
        drop_watch(TARN_OUTER(fr->watches.next, struct socket_watch, node));
    loop_idle_stop(&fr->settle);
    loop_timer_stop(fr->loop, &fr->timer);
    curl_slist_free_all(fr->plain);
    tarn_free(fr->agent);
    tarn_free(fr);
    curl_global_cleanup();
}

void fetcher_set_local(struct fetcher *fr, bool (*is_local)(const struct sys_addr *a))
{
    fr->is_local = is_local;
}
