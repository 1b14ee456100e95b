/* bt/dial: whom a torrent connects to: addresses the user gave and those that trackers know. */
#include "bt/priv.h"

#include "base/mem.h"
#include "base/num.h"

#include <assert.h>

enum {
    CANDIDATES_MAX = 3000, /* libtorrent's peer list size */
    GIVEN_WAIT_MAX_S = 8,
    WAIT_MAX_S = 30 * 60,
    FULL_US = 10 * 1000 * 1000, /* while all connections are taken */
};

static struct bt_candidate *find(const struct bt_torrent *t, const struct sys_addr *addr)
{
    for (size_t i = 0; i < t->n_candidates; i++)
        if (sys_addr_eq(&t->candidates[i].addr, addr))
            return &t->candidates[i];
    return NULL;
}

/* Whose place another one may have when the list is full: who failed most often. */
static struct bt_candidate *worst(const struct bt_torrent *t)
{
    struct bt_candidate *found = NULL;
    assert(t->candidates != NULL); /* it is full */
    for (size_t i = 0; i < t->n_candidates; i++) {
        struct bt_candidate *k = &t->candidates[i];
        bool may_go = k->no == BT_NO_PEER && !k->is_given && !k->is_self;
        if (may_go && k->fails > 0 && (found == NULL || k->fails > found->fails))
            found = k;
    }
    return found;
}

/* The candidate of this address, new or known; NULL when there is no place for it. */
static struct bt_candidate *add(struct bt_torrent *t, const struct sys_addr *addr, bool is_given)
{
    struct bt_candidate *k = find(t, addr);
    if (k != NULL) {
        k->is_given = k->is_given || is_given;
        return k;
    }
    if (addr->port == 0)
        return NULL;
    if (t->n_candidates >= CANDIDATES_MAX)
        k = worst(t);
    else if (TARN_GROW(t->candidates, t->n_candidates, t->cap_candidates))
        k = &t->candidates[t->n_candidates++];
    else
        return NULL; /* one address less: trackers tell more */
    if (k != NULL)
        *k = (struct bt_candidate){ .addr = *addr, .no = BT_NO_PEER, .is_given = is_given };
    return k;
}

void bt_dial_add(struct bt_torrent *t, const struct sys_addr *addr, bool is_given)
{
    if (add(t, addr, is_given) != NULL)
        bt_session_rouse(t->session, t);
}

static void on_resolved(struct loop_resolve *r)
{
    struct bt_torrent *t = r->arg;
    t->n_unresolved--;
    if (!r->ok)
        bt_note(t->session, t, "%s", r->err.msg);
    for (size_t i = 0; i < r->n; i++)
        bt_dial_add(t, &r->addrs[i], true);
    bt_dial_tick(t, loop_now_us(t->session->loop));
}

/* "host:port" and "[v6]:port": the host without its brackets. */
static bool split(const char *text, struct tarn_bytes *host, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    uint64_t number;
    if (colon == NULL || !tarn_parse_u64(tarn_bytes_str(colon + 1), UINT16_MAX, &number) ||
        number == 0)
        return false;
    *port = (uint16_t)number;
    *host = tarn_bytes_of(text, (size_t)(colon - text));
    if (host->len >= 2 && host->p[0] == '[' && host->p[host->len - 1] == ']')
        *host = tarn_bytes_of(host->p + 1, host->len - 2);
    return host->len > 0;
}

static void resolve_all(struct bt_torrent *t, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct sys_addr addr;
        struct tarn_bytes host;
        uint16_t port;
        if (sys_addr_parse(tarn_bytes_str(names[i]), 0, &addr)) {
            bt_dial_add(t, &addr, true);
        } else if (split(names[i], &host, &port)) {
            struct loop_resolve *r = &t->resolving[t->n_resolving++];
            r->done = on_resolved;
            r->arg = t;
            t->n_unresolved++;
            loop_resolve_start(t->session->loop, r, host, port);
        } else {
            struct tarn_quote quote;
            bt_note(t->session, t, "'%s' is no peer address: host:port is needed",
                    tarn_quote_str(&quote, names[i]));
        }
    }
}

void bt_dial_given(struct bt_torrent *t)
{
    size_t of_magnet = t->add.magnet != NULL ? t->add.magnet->n_peers : 0;
    t->resolving = tarn_calloc(t->add.n_peers + of_magnet, sizeof *t->resolving);
    if (t->resolving == NULL)
        return;
    resolve_all(t, t->add.peers, t->add.n_peers);
    if (t->add.magnet != NULL)
        resolve_all(t, t->add.magnet->peers, of_magnet);
}

void bt_dial_release(struct bt_torrent *t)
{
    for (size_t i = 0; i < t->n_resolving; i++)
        loop_resolve_cancel(t->session->loop, &t->resolving[i]);
    tarn_free(t->resolving);
    tarn_free(t->candidates);
}

static bool is_full(const struct bt_torrent *t)
{
    return bt_session_is_full(t->session) || (t->max_peers != 0 && t->n_conns >= t->max_peers);
}

static bool may_dial(const struct bt_torrent *t, const struct bt_candidate *k)
{
    return k->no == BT_NO_PEER && !k->is_self && !bt_is_banned(t->session, &k->addr);
}

void bt_dial_tick(struct bt_torrent *t, int64_t now_us)
{
    struct bt_session *s = t->session;
    if (t->is_paused || (t->state != BT_METADATA && !bt_torrent_is_running(t)))
        return;
    for (size_t i = 0; i < t->n_candidates && s->dials_left > 0 && !is_full(t); i++) {
        struct bt_candidate *k = &t->candidates[i];
        if (k->next_us > now_us || !may_dial(t, k))
            continue;
        s->dials_left--; /* one that fails at once has been tried too */
        (void)!bt_conn_outgoing(t, (uint32_t)i);
    }
}

/* A connection that we had opened is over: when may it be tried again? */
void bt_dial_closed(struct bt_conn *c, int64_t now_us)
{
    if (c->candidate == UINT32_MAX)
        return;
    struct bt_candidate *k = &c->torrent->candidates[c->candidate];
    k->no = BT_NO_PEER;
    k->fails = c->is_open && c->got > 0 ? 0 : k->fails;
    int64_t wait_s = (int64_t)1 << (k->fails < 20 ? k->fails : 20);
    int64_t most_s = k->is_given ? GIVEN_WAIT_MAX_S : WAIT_MAX_S;
    k->next_us = now_us + (wait_s < most_s ? wait_s : most_s) * 1000000;
    if (k->fails < UINT8_MAX)
        k->fails++;
}

int64_t bt_dial_wake(const struct bt_torrent *t)
{
    int64_t at = INT64_MAX;
    for (size_t i = 0; i < t->n_candidates; i++) {
        const struct bt_candidate *k = &t->candidates[i];
        if (may_dial(t, k) && k->next_us < at)
            at = k->next_us;
    }
    /* Without a free connection a look each second would find nothing. */
    int64_t soonest = is_full(t) ? loop_now_us(t->session->loop) + FULL_US : 0;
    return at < soonest ? soonest : at;
}

bool bt_dial_is_hopeless(const struct bt_torrent *t)
{
    if (t->n_unresolved > 0 || t->n_conns > 0)
        return false;
    for (size_t i = 0; i < t->n_candidates; i++)
        if (t->candidates[i].fails < 2 && !t->candidates[i].is_self &&
            !bt_is_banned(t->session, &t->candidates[i].addr))
            return false;
    return true;
}
