/* bt/session: the ports, the table of torrents, and the one timer of a session.
 *
 * There is one tick for everything that has to do with time (timeouts, rates, choking, dialling,
 * announces): at most once a second, and only when a torrent, a greeting or a choking round has
 * something to do then. So an idle peer costs no timer, and an idle torrent nothing at all. */
#include "bt/session.h"

#include "base/mem.h"
#include "base/num.h"
#include "bt/priv.h"
#include "sys/clock.h"
#include "sys/descriptors.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum { METADATA_DEFAULT = 256 << 20 };
enum {
    TICK_US = 1000000,
    PEERS_DEFAULT = 500,
    DIALS_A_TICK = 30, /* peer digest, section 10 */
    ACCEPTS_A_TURN = 32,
    GREETING_MAX = 128,
    FILES_AND_MORE = 512, /* descriptors for open files, those who greet, and ourselves */
};
#define REST_US ((int64_t)3600 * 1000000) /* with nothing to do, as good as never */

static void on_acceptable(struct loop_watch *w, unsigned events)
{
    (void)events;
    struct bt_port *port = TARN_OUTER(w, struct bt_port, watch);
    struct bt_session *s = port->session;
    /* Not all at once: those who have sent their handshake are heard before more come in, or the
     * first of a crowd would lose their places among the silent ones. */
    for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
        int fd;
        struct sys_addr from;
        struct tarn_err why;
        switch (sys_tcp_accept(w->fd, &fd, &from, &why)) {
        case SYS_IO_DONE:
            bt_conn_incoming(s, fd, &from);
            break;
        case SYS_IO_FAIL: /* out of descriptors: stop accepting until the next tick */
            bt_note(s, NULL, "%s", why.msg);
            loop_watch_remove(s->loop, w);
            s->is_deaf = true;
            bt_session_tick_soon(s);
            return;
        case SYS_IO_AGAIN:
        case SYS_IO_END:
            return;
        }
    }
}

static bool listen_at(struct bt_session *s, const struct sys_addr *at, struct tarn_err *err)
{
    struct bt_port *port = &s->ports[s->n_ports];
    int fd = sys_tcp_listen(at, err);
    if (fd < 0)
        return false;
    *port = (struct bt_port){ .session = s, .watch = { .on_ready = on_acceptable, .fd = fd } };
    s->n_ports++;
    return sys_local_addr(fd, &port->at, err) &&
           loop_watch_set(s->loop, &port->watch, SYS_READABLE, err);
}

static void listen_again(struct bt_session *s)
{
    s->is_deaf = false;
    for (size_t i = 0; i < s->n_ports; i++) {
        struct loop_watch *w = &s->ports[i].watch;
        if (!w->is_in && !loop_watch_set(s->loop, w, SYS_READABLE, NULL))
            s->is_deaf = true; /* it is tried again next tick */
    }
}

static struct bt_torrent *first_to_wake(const struct bt_session *s)
{
    struct tarn_heap_node *first = tarn_heap_first(&s->wakes);
    return first == NULL ? NULL : TARN_OUTER(first, struct bt_torrent, wake);
}

/* A torrent's node is in the heap from its beginning to its end, so moving it needs no memory. */
static void set_wake(struct bt_session *s, struct bt_torrent *t, int64_t at_us)
{
    bool moved = tarn_heap_set(&s->wakes, &t->wake, at_us);
    assert(moved);
    (void)moved;
}

static void set_tick(struct bt_session *s, int64_t at_us)
{
    bool ticks = loop_timer_set(s->loop, &s->tick, at_us);
    (void)ticks; /* its place in the heap of timers was made with the session */
}

static void on_tick(struct loop_timer *timer)
{
    struct bt_session *s = TARN_OUTER(timer, struct bt_session, tick);
    int64_t now = loop_now_us(s->loop);
    s->dials_left = DIALS_A_TICK;
    if (s->is_deaf)
        listen_again(s);
    bt_greet_tick(&s->greeting, now);
    store_budget_tick(&s->budget, now);
    for (struct bt_torrent *t; (t = first_to_wake(s)) != NULL && t->wake.key <= now;) {
        bt_torrent_tick(t, now);
        int64_t at = bt_torrent_wake_at(t, now);
        set_wake(s, t, at < now + TICK_US ? now + TICK_US : at);
    }
    bt_choke_tick(s, now);
    bt_evict_tick(s, now);
    bool is_busy = !store_budget_is_idle(&s->budget) || s->is_deaf || s->n_greeting > 0 ||
                   !tarn_list_empty(&s->rivals);
    const struct bt_torrent *first = first_to_wake(s);
    int64_t at = first == NULL || first->wake.key > now + REST_US ? now + REST_US : first->wake.key;
    set_tick(s, is_busy || at < now + TICK_US ? now + TICK_US : at);
}

void bt_session_tick_soon(struct bt_session *s)
{
    int64_t at = loop_now_us(s->loop) + TICK_US;
    if (s->tick.node.place == 0 || s->tick.node.key > at)
        set_tick(s, at);
}

void bt_session_rouse(struct bt_session *s, struct bt_torrent *t)
{
    int64_t now = loop_now_us(s->loop);
    if (t->wake.key > now)
        set_wake(s, t, now);
    bt_session_tick_soon(s);
}

static void on_bury(struct loop_idle *i)
{
    struct bt_session *s = TARN_OUTER(i, struct bt_session, bury);
    while (!tarn_list_empty(&s->dead))
        bt_conn_free(TARN_OUTER(s->dead.next, struct bt_conn, node));
}

/* Strangers must not use up the descriptors that our files need: what the process may have, less a
 * part for those, is for connections. */
static void keep_to_descriptors(struct bt_session *s)
{
    uint64_t limit = sys_fd_limit();
    if (limit == 0) /* the system does not tell */
        return;
    uint64_t rest = limit - tarn_min_u64(limit / 4 * 3, FILES_AND_MORE);
    s->max_peers = (uint32_t)tarn_min_u64(s->max_peers, tarn_max_u64(rest, 1));
    s->max_greeting = (uint32_t)tarn_min_u64(GREETING_MAX, tarn_max_u64(limit / 8, 1));
}

struct bt_session *bt_session_new(const struct bt_session_settings *set, struct tarn_err *err)
{
    struct bt_session *s = tarn_calloc(1, sizeof *s);
    if (s == NULL) {
        (void)tarn_fail_mem(err, "starting a BitTorrent session");
        return NULL;
    }
    s->set = *set;
    s->loop = set->loop;
    s->max_peers = set->max_peers == 0 ? PEERS_DEFAULT : set->max_peers;
    s->max_greeting = GREETING_MAX;
    keep_to_descriptors(s);
    s->metadata_max = set->metadata == 0 ? METADATA_DEFAULT : set->metadata;
    s->choker.slots = set->slots;
    store_budget_init(&s->budget, s->loop, set->memory);
    tarn_list_init(&s->torrents);
    tarn_list_init(&s->greeting);
    tarn_list_init(&s->dead);
    s->bury.on_idle = on_bury;
    tarn_list_init(&s->web_running);
    tarn_list_init(&s->web_line);
    s->web_soon.on_idle = bt_webseeds_go_on;
    tarn_list_init(&s->rivals);
    s->choke_soon.on_idle = bt_choke_run_soon;
    s->start_soon.on_idle = bt_torrent_start_next;
    tarn_list_init(&s->starting);
    bt_limit_init(&s->up, s->loop, set->rate_up, bt_upload_go_on);
    bt_limit_init(&s->down, s->loop, set->rate_down, bt_conn_go_on);
    bt_homeline_init(&s->homeline, s->loop, !set->uplink_off);
    s->dials_left = DIALS_A_TICK;
    s->tick.on_time = on_tick;

    uint8_t seed[16];
    bool ok = sys_random(seed, sizeof seed, err) && sys_random(&s->chance, sizeof s->chance, err);
    tarn_map_init(&s->by_hash, seed);
    tarn_map_init(&s->by_peer, seed);
    bt_bans_init(&s->bans, seed);
    s->ports = ok ? tarn_calloc(set->n_listen, sizeof *s->ports) : NULL;
    if (ok && s->ports == NULL)
        ok = tarn_fail_mem(err, "starting a BitTorrent session");
    for (size_t i = 0; ok && i < set->n_listen; i++)
        ok = listen_at(s, &set->listen[i], err);
    if (ok && !loop_timer_set(s->loop, &s->tick, sys_now_us() + TICK_US))
        ok = tarn_fail_mem(err, "starting a BitTorrent session");
    if (!ok) {
        bt_session_free(s);
        return NULL;
    }
    return s;
}

void bt_session_free(struct bt_session *s)
{
    if (s == NULL)
        return;
    while (!tarn_list_empty(&s->torrents))
        bt_session_remove(s, TARN_OUTER(s->torrents.next, struct bt_torrent, node));
    while (!tarn_list_empty(&s->greeting))
        bt_conn_free(TARN_OUTER(s->greeting.next, struct bt_conn, node));
    on_bury(&s->bury);
    loop_idle_stop(&s->bury);
    loop_idle_stop(&s->choke_soon);
    loop_idle_stop(&s->start_soon);
    loop_idle_stop(&s->web_soon);
    for (size_t i = 0; i < s->n_ports; i++) {
        loop_watch_remove(s->loop, &s->ports[i].watch);
        sys_close(&s->ports[i].watch.fd);
    }
    loop_timer_stop(s->loop, &s->tick);
    bt_limit_release(&s->up);
    bt_limit_release(&s->down);
    bt_homeline_release(&s->homeline);
    loop_timer_stop(s->loop, &s->goodbye);
    store_budget_release(&s->budget);
    tarn_map_release(&s->by_hash);
    tarn_map_release(&s->by_peer);
    tarn_heap_release(&s->wakes);
    bt_bans_release(&s->bans);
    tarn_free(s->ports);
    tarn_free(s);
}

void bt_session_set_rates(struct bt_session *s, uint64_t rate_down, uint64_t rate_up)
{
    bt_limit_set(&s->down, rate_down);
    bt_limit_set(&s->up, rate_up);
}

struct sys_addr bt_session_addr(const struct bt_session *s, size_t i)
{
    return s->ports[i].at;
}

uint16_t bt_session_port(const struct bt_session *s)
{
    return s->n_ports == 0 ? 0 : s->ports[0].at.port;
}

bool bt_session_is_full(const struct bt_session *s)
{
    return s->n_conns >= s->max_peers;
}

/* The table holds both 20-byte forms of each torrent's hashes. */
bool bt_session_know(struct bt_session *s, struct bt_torrent *t, struct tarn_err *err)
{
    for (unsigned i = 0; i < t->n_swarms; i++) {
        struct tarn_bytes key = tarn_bytes_of(t->swarms[i].hash, 20);
        uint64_t *there = tarn_map_get(&s->by_hash, key);
        if (there != NULL && (struct bt_torrent *)(uintptr_t)*there != t)
            return tarn_fail(err, TARN_E_FAILED, "this torrent is here already");
        if (!tarn_map_put(&s->by_hash, key, (uint64_t)(uintptr_t)t))
            return tarn_fail_mem(err, "adding a torrent");
    }
    return true;
}

struct bt_torrent *bt_session_same(struct bt_session *s, const struct bt_torrent *t)
{
    for (unsigned i = 0; i < t->n_swarms; i++) {
        struct bt_torrent *there = bt_session_find(s, t->swarms[i].hash);
        if (there != NULL && there != t)
            return there;
    }
    return NULL;
}

void bt_session_forget_swarm(struct bt_session *s, struct bt_torrent *t, unsigned i)
{
    struct tarn_bytes key = tarn_bytes_of(t->swarms[i].hash, 20);
    uint64_t *there = tarn_map_get(&s->by_hash, key);
    if (there != NULL && (struct bt_torrent *)(uintptr_t)*there == t)
        tarn_map_remove(&s->by_hash, key);
}

void bt_session_forget(struct bt_session *s, struct bt_torrent *t)
{
    for (unsigned i = 0; i < t->n_swarms; i++)
        bt_session_forget_swarm(s, t, i);
}

struct bt_torrent *bt_session_find(struct bt_session *s, const uint8_t hash[20])
{
    uint64_t *there = tarn_map_get(&s->by_hash, tarn_bytes_of(hash, 20));
    return there == NULL ? NULL : (struct bt_torrent *)(uintptr_t)*there;
}

uint64_t bt_session_chance(struct bt_session *s)
{
    /* xorshift64*: good enough to choose among peers and pieces; not for secrets */
    uint64_t x = s->chance | 1;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    s->chance = x;
    return x * 0x2545F4914F6CDD1DULL;
}

void bt_note(struct bt_session *s, struct bt_torrent *t, const char *fmt, ...)
{
    if (s->set.on_note == NULL)
        return;
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    s->set.on_note(s->set.arg, t, text);
}

static void goodbye_over(struct bt_session *s)
{
    loop_timer_stop(s->loop, &s->goodbye);
    void (*done)(void *) = s->on_goodbye;
    s->on_goodbye = NULL;
    if (done != NULL)
        done(s->goodbye_arg);
}

static void on_goodbye_late(struct loop_timer *timer)
{
    goodbye_over(TARN_OUTER(timer, struct bt_session, goodbye));
}

static bool is_leaving(const struct bt_torrent *t)
{
    return bt_announce_is_busy(t) || bt_keep_is_busy(t);
}

/* Those that have left go to the end, so that asking again and again costs each of them once. */
static bool is_any_leaving(struct bt_session *s)
{
    for (size_t i = 0; i < s->n_torrents && !s->all_left; i++) {
        struct tarn_list *first = s->torrents.next;
        if (is_leaving(TARN_OUTER(first, struct bt_torrent, node)))
            return true;
        tarn_list_remove(first);
        tarn_list_push_back(&s->torrents, first);
    }
    s->all_left = true;
    return false;
}

void bt_session_announce_ended(struct bt_session *s)
{
    if (s->on_goodbye == NULL)
        return;
    if (is_any_leaving(s))
        return;
    goodbye_over(s);
}

/* Nobody may be left to wait for. Told in the next turn: this is inside a call. */
void bt_session_one_left(struct bt_session *s)
{
    if (s->on_goodbye == NULL)
        return;
    if (is_any_leaving(s))
        return;
    bool is_set = loop_timer_set(s->loop, &s->goodbye, loop_now_us(s->loop));
    (void)is_set; /* it is in since the goodbye began, so there is memory for it */
}

void bt_session_goodbye(struct bt_session *s, void (*done)(void *arg), void *arg)
{
    enum { PATIENCE_US = 5 * 1000000 }; /* discovery digest: 5 s for `stopped` */
    for (struct tarn_list *n = s->torrents.next; n != &s->torrents; n = n->next) {
        bt_announce_stop(TARN_OUTER(n, struct bt_torrent, node));
        bt_keep_save(TARN_OUTER(n, struct bt_torrent, node), true);
    }
    s->on_goodbye = done; /* not before: who has left already would look for others in this list */
    s->all_left = false;
    s->goodbye_arg = arg;
    s->goodbye.on_time = on_goodbye_late;
    /* At the soonest in the next turn, so that done is never called from inside this call. */
    bool any = false;
    for (struct tarn_list *n = s->torrents.next; n != &s->torrents; n = n->next)
        any = any || is_leaving(TARN_OUTER(n, struct bt_torrent, node));
    if (!loop_timer_set(s->loop, &s->goodbye, loop_now_us(s->loop) + (any ? PATIENCE_US : 0)))
        goodbye_over(s);
}
