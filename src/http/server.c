/* http/server: making, listening, accepting, the one timer, draining. */
#include "http/priv.h"

#include "base/mem.h"
#include "base/num.h"
#include "sys/clock.h"

#include <assert.h>

enum {
    ACCEPT_MAX = 16, /* in one turn: others have their turn too */
    /* At the end: the longest line that Linux keeps before a listener, unless it is told otherwise
     * (net.core.somaxconn). Who comes while these are taken may go on for ever. */
    ACCEPT_LAST_MAX = 4096,
    ACCEPT_REST_US = 100 * 1000,   /* after running out of descriptors */
    TROUBLE_US = 10 * 1000 * 1000, /* each subject once in so long */
};

#define DEFAULT(field, value) \
    do { \
        if ((field) == 0) \
            (field) = (value); \
    } while (0)

static void fill_in(struct http_settings *set)
{
    if (set->head.line == 0 && set->head.block == 0 && set->head.fields == 0)
        set->head = http_limits_default;
    DEFAULT(set->max_connections, HTTP_CONNECTIONS_DEFAULT);
    DEFAULT(set->max_ahead, HTTP_AHEAD_DEFAULT);
    DEFAULT(set->max_ahead_bytes, HTTP_AHEAD_BYTES_DEFAULT);
    DEFAULT(set->max_unread, HTTP_UNREAD_DEFAULT);
    DEFAULT(set->max_held, HTTP_HELD_DEFAULT);
    DEFAULT(set->head_ms, HTTP_HEAD_MS);
    DEFAULT(set->slow_head_ms, HTTP_SLOW_HEAD_MS);
    DEFAULT(set->body_ms, HTTP_BODY_MS);
    DEFAULT(set->min_body_rate, HTTP_BODY_RATE);
    DEFAULT(set->write_ms, HTTP_WRITE_MS);
    DEFAULT(set->idle_ms, HTTP_IDLE_MS);
    DEFAULT(set->linger_ms, HTTP_LINGER_MS);
    DEFAULT(set->drain_ms, HTTP_DRAIN_MS);
    DEFAULT(set->drain_idle_ms, HTTP_DRAIN_IDLE_MS);
}

void server_trouble(struct http_server *s, enum trouble subject, const struct tarn_err *err)
{
    int64_t now = loop_now_us(s->loop);
    int64_t *last = &s->troubled_us[subject];
    if (s->ops->on_trouble == NULL || (*last != 0 && now - *last < TROUBLE_US))
        return;
    *last = now;
    s->ops->on_trouble(s->arg, err);
}

static void look_at_clock(struct http_server *s)
{
    int64_t now = loop_now_us(s->loop);
    if (now < s->date_until_us)
        return;
    int64_t wall_ms = sys_wall_ms();
    s->wall_s = wall_ms / 1000;
    s->date_until_us = now + (1000 - wall_ms % 1000) * 1000;
    http_date(s->date, s->wall_s);
}

const char *server_date(struct http_server *s)
{
    look_at_clock(s);
    return s->date;
}

int64_t server_wall_s(struct http_server *s)
{
    look_at_clock(s);
    return s->wall_s;
}

/* Listening. */

static unsigned wanted(const struct http_server *s)
{
    return SYS_READABLE | (s->share != NULL ? SYS_EXCLUSIVE : 0U);
}

static void watch_listeners(struct http_server *s, bool on)
{
    s->is_accepting = on;
    for (size_t i = 0; i < s->n_listeners; i++) {
        struct tarn_err err;
        struct listener *l = &s->listeners[i];
        if (!on)
            loop_watch_remove(s->loop, &l->watch);
        else if (!loop_watch_set(s->loop, &l->watch, wanted(s), &err))
            server_trouble(s, TROUBLE_ACCEPT, &err);
    }
}

/* Until a connection goes, or a while has passed. */
static void rest(struct http_server *s)
{
    watch_listeners(s, false);
    share_pass_on(s);
    s->accept_again_us = loop_now_us(s->loop) + ACCEPT_REST_US;
    server_wake_at(s, s->accept_again_us);
}

/* Whom a full server can do without: who has been idle the longest; else who has not sent a whole
 * head for the longest, from slow_head_ms on. NULL: all are at work. */
static struct conn *dispensable(struct http_server *s)
{
    static const enum waits headless[] = { WAITS_FIRST, WAITS_HEAD };
    struct tarn_list *idle = &s->lists[WAITS_IDLE];
    if (!tarn_list_empty(idle))
        return TARN_OUTER(idle->next, struct conn, node);
    struct conn *slowest = NULL;
    for (size_t i = 0; i < TARN_COUNT_OF(headless); i++) {
        struct tarn_list *list = &s->lists[headless[i]];
        struct conn *c = TARN_OUTER(list->next, struct conn, node);
        if (!tarn_list_empty(list) && (slowest == NULL || c->since_us < slowest->since_us))
            slowest = c;
    }
    int64_t before_us = loop_now_us(s->loop) - s->set.slow_head_ms * 1000;
    return slowest != NULL && slowest->since_us <= before_us ? slowest : NULL;
}

static bool evict(struct http_server *s)
{
    struct conn *c = dispensable(s);
    if (c == NULL)
        return false;
    count(&s->n.evicted, 1);
    conn_free(c);
    return true;
}

/* False: no more now. */
static bool accept_one(struct http_server *s, struct listener *l)
{
    int fd = -1;
    struct sys_addr from;
    struct tarn_err err;
    bool is_full = s->n_conns >= s->set.max_connections;
    if (is_full && dispensable(s) == NULL) {
        (void)tarn_fail(&err, TARN_E_POLICY,
                        "%zu connections are busy, the most this server takes: new ones wait",
                        s->n_conns);
        server_trouble(s, TROUBLE_ACCEPT, &err);
        rest(s);
        return false;
    }
    switch (sys_tcp_accept(l->watch.fd, &fd, &from, &err)) {
    case SYS_IO_DONE:
        if (is_full)
            (void)evict(s); /* there is one: dispensable has said so */
        if (!conn_new(s, fd, &from, l->tls, &err))
            server_trouble(s, TROUBLE_ACCEPT, &err);
        return true;
    case SYS_IO_AGAIN:
    case SYS_IO_END:
        return false;
    case SYS_IO_FAIL:
        break;
    }
    server_trouble(s, TROUBLE_ACCEPT, &err);
    if (err.code == TARN_E_POLICY && evict(s))
        return true;
    rest(s);
    return false;
}

static void accept_some(struct listener *l)
{
    struct http_server *s = l->server;
    struct tarn_err err;
    int n = 0;
    while (n < ACCEPT_MAX && accept_one(s, l))
        n++;
    if (n == 0 || s->share == NULL || !s->is_accepting)
        return;
    loop_watch_remove(s->loop, &l->watch); /* to the end of the line */
    if (!loop_watch_set(s->loop, &l->watch, wanted(s), &err)) {
        server_trouble(s, TROUBLE_ACCEPT, &err);
        rest(s);
    }
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    (void)events;
    accept_some(TARN_OUTER(w, struct listener, watch));
}

void server_accept(struct http_server *s)
{
    for (size_t i = 0; i < s->n_listeners && s->is_accepting; i++)
        accept_some(&s->listeners[i]);
}

static bool add_listener(struct http_server *s, int fd, struct crypt_tls *tls, struct tarn_err *err)
{
    if (s->n_listeners == HTTP_LISTENERS_MAX) {
        sys_close(&fd);
        return tarn_fail(err, TARN_E_POLICY, "a server listens on at most %d sockets",
                         HTTP_LISTENERS_MAX);
    }
    struct listener *l = &s->listeners[s->n_listeners];
    *l = (struct listener){ .server = s, .watch = { .fd = fd, .on_ready = on_ready } };
    if (!loop_watch_set(s->loop, &l->watch, wanted(s), err)) {
        sys_close(&l->watch.fd);
        return false;
    }
    l->tls = tls == NULL ? NULL : crypt_tls_ref(tls);
    s->n_listeners++;
    return true;
}

bool http_server_listen(struct http_server *s, const struct sys_addr *at, struct crypt_tls *tls,
                        struct tarn_err *err)
{
    int fd = sys_tcp_listen(at, err);
    return fd >= 0 && add_listener(s, fd, tls, err);
}

bool http_server_listen_unix(struct http_server *s, const char *path, unsigned mode,
                             struct tarn_err *err)
{
    int fd = sys_unix_listen(path, mode, err);
    return fd >= 0 && add_listener(s, fd, NULL, err);
}

bool http_server_adopt(struct http_server *s, int fd, struct crypt_tls *tls, struct tarn_err *err)
{
    if (sys_adopt_listener(fd, err))
        return add_listener(s, fd, tls, err);
    sys_close(&fd);
    return false;
}

bool http_server_share(struct http_server *s, struct http_server *with, struct tarn_err *err)
{
    if (!share_join(s, with, err))
        return false;
    watch_listeners(with, false); /* and in again, now as one of several */
    watch_listeners(with, true);
    for (size_t i = 0; i < with->n_listeners; i++) {
        int fd = sys_dup(with->listeners[i].watch.fd, err);
        if (fd < 0 || !add_listener(s, fd, with->listeners[i].tls, err))
            return false;
    }
    return true;
}

bool http_server_take(struct http_server *s, int fd, const struct sys_addr *peer,
                      struct crypt_tls *tls, struct tarn_err *err)
{
    return conn_new(s, fd, peer, tls, err);
}

bool http_server_addr(const struct http_server *s, size_t i, struct sys_addr *at)
{
    struct sys_addr found;
    if (i >= s->n_listeners || !sys_local_addr(s->listeners[i].watch.fd, &found, NULL) ||
        found.is_unix)
        return false;
    *at = found;
    return true;
}

void http_server_set_tls(struct http_server *s, struct crypt_tls *tls)
{
    for (size_t i = 0; i < s->n_listeners; i++) {
        struct crypt_tls *old = s->listeners[i].tls;
        if (old == NULL)
            continue;
        s->listeners[i].tls = crypt_tls_ref(tls);
        crypt_tls_unref(old);
    }
}

static void close_listeners(struct http_server *s)
{
    for (size_t i = 0; i < s->n_listeners; i++) {
        loop_watch_remove(s->loop, &s->listeners[i].watch);
        sys_close(&s->listeners[i].watch.fd);
        crypt_tls_unref(s->listeners[i].tls);
    }
    s->n_listeners = 0;
}

void server_conn_gone(struct http_server *s)
{
    s->n_conns--;
    count(&s->n.connections, (uint64_t)-1);
    if (!s->is_accepting && s->n_listeners > 0)
        watch_listeners(s, true);
    if (s->is_draining && s->n_conns == 0)
        loop_idle_set(s->loop, &s->idle);
}

/* Memory. Many who ask for long answers and do not read them would have all of it: who has been at
 * it the longest makes room for the others. */

static void cut_the_oldest(struct http_server *s, const struct conn *but)
{
    uint64_t left = s->held;
    for (struct tarn_list *at = s->holding.next; at != &s->holding && left > s->set.max_held;
         at = at->next) {
        struct exchange *x = TARN_OUTER(at, struct exchange, holding);
        if (x->conn == but)
            continue;
        left -= x->held;
        if (x->conn->waits == WAITS_DOOM)
            continue;
        count(&s->n.evicted, 1);
        conn_doom(x->conn);
    }
}

void server_hold(struct http_server *s, struct exchange *x)
{
    x->held = x->to - tarn_max_u64(x->from, x->conn->stream.sent);
    s->held += x->held;
    tarn_list_push_back(&s->holding, &x->holding);
    cut_the_oldest(s, x->conn);
}

void server_let_go(struct http_server *s, struct exchange *x)
{
    tarn_list_remove(&x->holding);
    s->held -= x->held;
    x->held = 0;
}

/* Time. */

void server_wake_at(struct http_server *s, int64_t at_us)
{
    if (at_us < s->ticked_us + TICK_US)
        at_us = s->ticked_us + TICK_US;
    if (at_us >= s->timer_at_us)
        return;
    if (loop_timer_set(s->loop, &s->timer, at_us))
        s->timer_at_us = at_us;
}

static void look_at_list(struct http_server *s, enum waits waits, int64_t now)
{
    struct tarn_list *list = &s->lists[waits];
    int64_t patience = conn_patience_us(s, waits);
    while (!tarn_list_empty(list)) {
        struct conn *c = TARN_OUTER(list->next, struct conn, node);
        if (c->since_us + patience > now) {
            server_wake_at(s, c->since_us + patience);
            return;
        }
        conn_late(c);
        assert(list->next != &c->node || c->since_us == now);
    }
}

static void doom_all(struct http_server *s)
{
    for (enum waits w = WAITS_FIRST; w < WAITS_DOOM; w++)
        while (!tarn_list_empty(&s->lists[w]))
            conn_doom(TARN_OUTER(s->lists[w].next, struct conn, node));
}

static void on_time(struct loop_timer *t)
{
    struct http_server *s = TARN_OUTER(t, struct http_server, timer);
    int64_t now = loop_now_us(s->loop);
    s->timer_at_us = INT64_MAX;
    s->ticked_us = now;
    for (enum waits w = WAITS_FIRST; w < WAITS_OWNER; w++)
        look_at_list(s, w, now);
    if (!s->is_accepting && s->n_listeners > 0) {
        if (now >= s->accept_again_us)
            watch_listeners(s, true);
        else
            server_wake_at(s, s->accept_again_us);
    }
    if (s->is_draining && now >= s->drain_until_us)
        doom_all(s);
    else if (s->is_draining)
        server_wake_at(s, s->drain_until_us);
}

/* What the owner's calls have left to do. */
static void on_idle(struct loop_idle *i)
{
    struct http_server *s = TARN_OUTER(i, struct http_server, idle);
    struct tarn_list *node;
    while ((node = tarn_list_pop_front(&s->kicked)) != NULL)
        conn_look(TARN_OUTER(node, struct conn, kick));
    struct tarn_list *doomed = &s->lists[WAITS_DOOM];
    while (!tarn_list_empty(doomed))
        conn_free(TARN_OUTER(doomed->next, struct conn, node));
    if (!s->is_draining || s->n_conns > 0 || s->drained == NULL)
        return;
    void (*drained)(void *arg) = s->drained;
    s->drained = NULL;
    drained(s->drained_arg);
}

void http_server_drain(struct http_server *s, void (*done)(void *arg), void *arg)
{
    s->drained = done;
    s->drained_arg = arg;
    if (!s->is_draining) {
        for (size_t i = 0; i < s->n_listeners; i++)
            for (int k = 0; k < ACCEPT_LAST_MAX && accept_one(s, &s->listeners[i]); k++)
                ;
        close_listeners(s);
        s->is_draining = true;
        s->drain_until_us = loop_now_us(s->loop) + s->set.drain_ms * 1000;
        server_wake_at(s, loop_now_us(s->loop) + s->set.drain_idle_ms * 1000);
        server_wake_at(s, s->drain_until_us);
    }
    loop_idle_set(s->loop, &s->idle);
}

/* Beginning and end. */

static char *server_field(const char *name)
{
    struct tarn_out o;
    tarn_out_init(&o, 256);
    tarn_out_str(&o, "Server: ");
    tarn_out_str(&o, name);
    tarn_out_str(&o, "\r\n");
    return tarn_out_take_str(&o);
}

struct http_server *http_server_new(struct loop *l, const struct http_settings *set,
                                    struct tarn_err *err)
{
    struct http_server *s = tarn_calloc(1, sizeof *s);
    if (s == NULL) {
        (void)tarn_fail_mem(err, "making a server");
        return NULL;
    }
    s->loop = l;
    s->ops = set->ops;
    s->arg = set->arg;
    s->set = *set;
    fill_in(&s->set);
    s->limits = s->set.head;
    s->idle.on_idle = on_idle;
    s->timer.on_time = on_time;
    s->timer_at_us = INT64_MAX;
    s->is_accepting = true;
    for (size_t i = 0; i < WAITS_COUNT; i++)
        tarn_list_init(&s->lists[i]);
    tarn_list_init(&s->kicked);
    tarn_list_init(&s->holding);
    if (set->name != NULL && (s->server_field = server_field(set->name)) == NULL) {
        (void)tarn_fail_mem(err, "making a server");
        http_server_free(s);
        return NULL;
    }
    if (set->log != NULL && (s->log = log_writer_new(s, set->log, err)) == NULL) {
        http_server_free(s);
        return NULL;
    }
    return s;
}

void http_server_free(struct http_server *s)
{
    if (s == NULL)
        return;
    close_listeners(s);
    share_leave(s);
    for (size_t i = 0; i < WAITS_COUNT; i++)
        while (!tarn_list_empty(&s->lists[i]))
            conn_free(TARN_OUTER(s->lists[i].next, struct conn, node));
    log_writer_free(s->log);
    loop_idle_stop(&s->idle);
    loop_timer_stop(s->loop, &s->timer);
    struct exchange *x;
    while ((x = s->spare) != NULL) {
        s->spare = x->next;
        tarn_free(x);
    }
    tarn_free(s->server_field);
    tarn_free(s);
}

static uint64_t value(const atomic_uint_fast64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

void http_server_counters(const struct http_server *s, struct http_counters *to)
{
    const struct counts *n = &s->n;
    *to = (struct http_counters){ .connections = value(&n->connections),
                                  .idle = value(&n->idle),
                                  .accepted = value(&n->accepted),
                                  .tls_failed = value(&n->tls_failed),
                                  .received = value(&n->received),
                                  .sent = value(&n->sent),
                                  .refused = value(&n->refused),
                                  .evicted = value(&n->evicted),
                                  .cut = value(&n->cut),
                                  .log_dropped = value(&n->log_dropped) };
    for (size_t i = 0; i < TARN_COUNT_OF(to->requests); i++)
        to->requests[i] = value(&n->requests[i]);
    for (size_t i = 0; i < TARN_COUNT_OF(to->timed_out); i++)
        to->timed_out[i] = value(&n->timed_out[i]);
}
