/* sim/net: see the header. A flow is a ring of bytes with four marks: what was written by the
 * sender's process, what has gone onto the line, what has arrived, and what was read. */
#include "net.h"

#include "base/mem.h"
#include "base/num.h"
#include "os.h"
#include "sys/poller.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/uio.h>

enum {
    WINDOW = 256 << 10, /* most that a receiver keeps unread */
    UNSENT_MAX =
        256 << 10, /* most that a sender's system keeps, when TCP_NOTSENT_LOWAT says none */
    SEGMENT_MIN = 4380,
    SEGMENT_MAX = 16 << 10,
    RING_MIN = 1 << 10,
    BACKLOG_MAX = 128,
    RETRANSMIT_US = 200 * SIM_MS, /* Linux's least timeout, on top of the round trip */
    RETRY_FIRST_US = 1 * SIM_S,
    RETRY_MAX_US = 60 * SIM_S,
    SEGMENT_S = 20, /* parts of a second that a segment takes at most */
};
#define GIVE_UP_US (900 * (int64_t)SIM_S)         /* tcp_retries2 */
#define CONNECT_GIVE_UP_US (127 * (int64_t)SIM_S) /* tcp_syn_retries */

struct segment {
    uint64_t end;
    int64_t at_us;             /* arrives */
    bool has_fin, is_received; /* it has passed the receiver's line */
};

struct flow {
    struct sock *from, *to;
    uint8_t *ring; /* owned; cap a power of two */
    uint64_t cap;
    uint64_t written, sent, arrived, read;
    uint64_t stops_at; /* never sends more; 0: no such thing */
    bool fin_written, fin_sent, fin_arrived;
    bool is_dead;             /* nothing of it will arrive any more */
    struct segment *segments; /* owned; on their way, a ring of n_cap */
    size_t first, n, n_cap;
    int64_t last_us; /* the latest of them arrives */
    int64_t retry_us, unreached_since_us;
    struct sim_event arrive;
    struct tarn_list in_line; /* of the sender's node */
};

struct sock {
    struct link *link;
    struct descr *d; /* NULL: closed */
    struct node *node;
    struct flow *in, *out;
    uint32_t ip;
    uint16_t port;
    int error;
    bool is_open, is_reset, is_vanished;
    struct tarn_list in_backlog;
};

/* A connection. */
struct link {
    struct sock socks[2]; /* 0 connects */
    struct flow flows[2]; /* 0 from 0 to 1 */
    enum { LINK_CALLS, LINK_ANSWERS, LINK_REFUSED, LINK_STANDS } state;
    int64_t since_us, retry_us;
    struct sim_event opens, resets[2]; /* resets[i]: one arrives at socks[i] */
};

struct node *(*net_node_of)(uint32_t ip);

bool net_reaches(const struct node *a, const struct node *b)
{
    return !a->is_off && !b->is_off && !a->is_suspended && !b->is_suspended &&
           a->island == b->island;
}

static int64_t latency(struct node *from, const struct node *to)
{
    int64_t jitter = from->line.jitter_us + to->line.jitter_us;
    int64_t late = (int64_t)chance_below(&from->chance, (uint64_t)jitter + 1);
    return from->line.latency_us + to->line.latency_us + late;
}

/* --- readiness --- */

unsigned net_ready(const struct sock *s)
{
    unsigned ready = 0;
    if (s->error != 0 || s->is_reset)
        return SYS_READABLE | SYS_WRITABLE;
    if (!s->is_open)
        return 0;
    if (s->in->arrived > s->in->read || s->in->fin_arrived)
        ready |= SYS_READABLE;
    if ((s->out->written - s->out->sent) * 2 < s->d->unsent_low) /* as tcp_stream_memory_free */
        ready |= SYS_WRITABLE;
    return ready;
}

bool net_has_ended(const struct sock *s)
{
    return s->error != 0 || s->is_reset;
}

/* What waits for its turn on the line is in the socket, as behind a good modem: no queue shows in
 * the round trip. */
void net_tell(const struct sock *s, struct sys_tcp_info *out)
{
    const struct node *other = s->out->to->node;
    uint32_t rtt_us = (uint32_t)(2 * (s->node->line.latency_us + other->line.latency_us));
    *out = (struct sys_tcp_info){
        .rtt_us = rtt_us,
        .min_rtt_us = rtt_us,
        .acked = s->out->arrived,
        .unsent = (uint32_t)(s->out->written - s->out->sent),
        .in_flight = (uint32_t)s->out->n,
    };
}

unsigned net_listener_ready(const struct descr *d)
{
    return tarn_list_empty(&d->backlog) ? 0 : SYS_READABLE;
}

static void changed(struct sock *s)
{
    if (s->d != NULL)
        descr_changed(s->d);
}

/* --- the sending line --- */

static uint64_t sendable(const struct flow *f)
{
    uint64_t end = f->written;
    if (f->stops_at != 0)
        end = tarn_min_u64(end, f->stops_at);
    end = tarn_min_u64(end, f->read + WINDOW);
    return end > f->sent ? end - f->sent : 0;
}

static bool has_to_send(const struct flow *f)
{
    return sendable(f) > 0 || (f->fin_written && !f->fin_sent && f->sent == f->written);
}

static uint64_t segment_of(const struct node *n)
{
    uint64_t len = n->line.up / SEGMENT_S;
    return n->line.up == 0 || len > SEGMENT_MAX ? SEGMENT_MAX
           : len < SEGMENT_MIN                  ? SEGMENT_MIN
                                                : len;
}

static void next_on_line(struct node *n)
{
    while (n->sending_now == NULL && !tarn_list_empty(&n->sending)) {
        struct flow *f = TARN_OUTER(tarn_list_pop_front(&n->sending), struct flow, in_line);
        if (!has_to_send(f))
            continue;
        n->sending_now = f;
        n->sending_len = tarn_min_u64(sendable(f), segment_of(n));
        uint64_t us = n->line.up == 0 ? 0 : n->sending_len * SIM_S / n->line.up;
        world_at(&n->sent, world_now_us() + (int64_t)us);
    }
}

static void want_line(struct flow *f)
{
    struct node *n = f->from->node;
    if (f->is_dead || f->from->link->state != LINK_STANDS || !has_to_send(f) ||
        n->sending_now == f || tarn_list_is_in(&f->in_line))
        return;
    tarn_list_push_back(&n->sending, &f->in_line);
    next_on_line(n);
}

static void push_segment(struct flow *f, struct segment s)
{
    if (f->n == f->n_cap) {
        size_t cap = f->n_cap == 0 ? 4 : 2 * f->n_cap;
        struct segment *grown = sim_alloc(cap, sizeof *grown);
        for (size_t i = 0; i < f->n; i++)
            grown[i] = f->segments[(f->first + i) % f->n_cap];
        tarn_free(f->segments);
        f->segments = grown;
        f->first = 0;
        f->n_cap = cap;
    }
    f->segments[(f->first + f->n++) % f->n_cap] = s;
    if (f->n == 1)
        world_at(&f->arrive, s.at_us);
}

/* A segment has left the node's line. */
static void on_sent(struct sim_event *e)
{
    struct node *n = TARN_OUTER(e, struct node, sent);
    struct flow *f = n->sending_now;
    n->sending_now = NULL;
    if (f != NULL) {
        f->sent += n->sending_len;
        n->n_up += n->sending_len;
        bool fin = f->fin_written && f->sent == f->written;
        f->fin_sent |= fin;
        int64_t at_us = world_now_us() + latency(n, f->to->node);
        if (chance_one_in(&n->chance, n->line.lost_one_in))
            at_us += RETRANSMIT_US + 2 * (at_us - world_now_us());
        if (at_us < f->last_us)
            at_us = f->last_us;
        f->last_us = at_us;
        push_segment(f, (struct segment){ .end = f->sent, .at_us = at_us, .has_fin = fin });
        changed(f->from);
        want_line(f);
    }
    next_on_line(n);
}

void net_init_line(struct node *n)
{
    n->sent.run = on_sent;
}

/* --- ends --- */

static void flow_stop(struct flow *f)
{
    struct node *n = f->from->node;
    f->is_dead = true;
    if (n->sending_now == f) { /* what is on the line stays there, and is nobody's */
        n->sending_now = NULL;
        world_stop(&n->sent);
    }
    tarn_list_remove(&f->in_line);
    world_stop(&f->arrive);
    f->n = 0;
    next_on_line(n);
}

static void link_free(struct link *l)
{
    for (int i = 0; i < 2; i++) {
        flow_stop(&l->flows[i]);
        world_stop(&l->resets[i]);
        tarn_free(l->flows[i].ring);
        tarn_free(l->flows[i].segments);
    }
    world_stop(&l->opens);
    tarn_free(l);
}

static void free_if_over(struct link *l)
{
    if (l->socks[0].d == NULL && l->socks[1].d == NULL && !tarn_list_is_in(&l->socks[1].in_backlog))
        link_free(l);
}

static void end_with(struct sock *s, int error)
{
    if (s->is_reset)
        return;
    s->is_reset = true;
    s->error = error;
    s->in->read = s->in->arrived; /* what was not read is lost */
    flow_stop(s->out);
    changed(s);
}

static void on_reset(struct sim_event *e, int side)
{
    struct link *l = TARN_OUTER(e, struct link, resets[0]);
    if (side == 1)
        l = TARN_OUTER(e, struct link, resets[1]);
    end_with(&l->socks[side], ECONNRESET);
}
static void on_reset_0(struct sim_event *e)
{
    on_reset(e, 0);
}
static void on_reset_1(struct sim_event *e)
{
    on_reset(e, 1);
}

/* A reset from s to the other side; lost when that is not reached now. */
static void send_reset(struct sock *s)
{
    struct link *l = s->link;
    int other = s == &l->socks[0];
    struct sock *to = &l->socks[other];
    flow_stop(s->out);
    if (to->node != NULL && net_reaches(s->node, to->node) && !world_is_set(&l->resets[other]))
        world_at(&l->resets[other], world_now_us() + latency(s->node, to->node));
}

/* --- arriving --- */

static struct segment *head(struct flow *f)
{
    return &f->segments[f->first];
}

static void pop_segment(struct flow *f)
{
    f->first = (f->first + 1) % f->n_cap;
    if (--f->n > 0)
        world_at(&f->arrive, head(f)->at_us);
}

/* Not reached: later again, for a while. */
static void retry(struct flow *f)
{
    int64_t now = world_now_us();
    if (f->retry_us == 0)
        f->unreached_since_us = now;
    f->retry_us = f->retry_us == 0 ? RETRY_FIRST_US : 2 * f->retry_us;
    if (f->retry_us > RETRY_MAX_US)
        f->retry_us = RETRY_MAX_US;
    if (now - f->unreached_since_us > GIVE_UP_US)
        end_with(f->from, ETIMEDOUT);
    else
        world_at(&f->arrive, now + f->retry_us);
}

/* The receiver's line is shared in the order of arrival. */
static bool waits_for_line(struct flow *f)
{
    struct node *n = f->to->node;
    struct segment *s = head(f);
    int64_t now = world_now_us();
    if (n->line.down == 0 || s->is_received)
        return false;
    s->is_received = true;
    int64_t start = n->down_free_us > now ? n->down_free_us : now;
    n->down_free_us = start + (int64_t)((s->end - f->arrived) * SIM_S / n->line.down);
    world_at(&f->arrive, n->down_free_us);
    return true;
}

static void on_arrive(struct sim_event *e)
{
    struct flow *f = TARN_OUTER(e, struct flow, arrive);
    struct sock *to = f->to;
    if (!net_reaches(f->from->node, to->node)) {
        retry(f);
        return;
    }
    f->retry_us = 0;
    if (waits_for_line(f))
        return;
    struct segment s = *head(f);
    world_mix(1, to->node->no, s.end);
    to->node->n_down += s.end - f->arrived;
    f->arrived = s.end;
    f->fin_arrived |= s.has_fin;
    pop_segment(f);
    if (to->d != NULL || tarn_list_is_in(&to->in_backlog)) {
        changed(to);
        return;
    }
    bool has_data = f->arrived > f->read;
    f->read = f->arrived;
    if (has_data)
        send_reset(to); /* nobody is there any more */
}

/* --- opening --- */

static void flow_init(struct flow *f, struct sock *from, struct sock *to)
{
    f->from = from;
    f->to = to;
    f->arrive.run = on_arrive;
    from->out = f;
    to->in = f;
}

static struct descr *listener_of(struct node *n, uint16_t port)
{
    for (struct tarn_list *l = n->listeners.next; l != &n->listeners; l = l->next) {
        struct descr *d = TARN_OUTER(l, struct descr, in_listeners);
        if (d->port == port)
            return d;
    }
    return NULL;
}

static void link_stands(struct link *l)
{
    struct sock *caller = &l->socks[0];
    l->state = LINK_STANDS;
    caller->is_open = true;
    changed(caller);
    want_line(caller->out);
    want_line(l->socks[1].out);
}

static void call_arrives(struct link *l)
{
    struct sock *caller = &l->socks[0], *called = &l->socks[1];
    int64_t now = world_now_us();
    if (!net_reaches(caller->node, called->node)) {
        l->retry_us = l->retry_us == 0 ? RETRY_FIRST_US : 2 * l->retry_us;
        if (now - l->since_us > CONNECT_GIVE_UP_US)
            end_with(caller, ETIMEDOUT);
        else
            world_at(&l->opens, now + l->retry_us);
        return;
    }
    struct descr *d = listener_of(called->node, called->port);
    unsigned waiting = 0;
    for (struct tarn_list *b = d == NULL ? NULL : d->backlog.next; b != NULL && b != &d->backlog;
         b = b->next)
        waiting++;
    l->state = d == NULL ? LINK_REFUSED : LINK_ANSWERS;
    if (waiting >= BACKLOG_MAX) { /* as Linux: the call is lost, and comes again */
        l->state = LINK_CALLS;
        world_at(&l->opens, now + RETRY_FIRST_US);
        return;
    }
    world_at(&l->opens, now + latency(called->node, caller->node));
    if (d == NULL)
        return;
    called->is_open = true;
    tarn_list_push_back(&d->backlog, &called->in_backlog);
    descr_changed(d);
}

static void on_opens(struct sim_event *e)
{
    struct link *l = TARN_OUTER(e, struct link, opens);
    world_mix(2, l->socks[0].node->no, (uint64_t)l->state);
    switch (l->state) {
    case LINK_CALLS:
        call_arrives(l);
        break;
    case LINK_REFUSED:
        end_with(&l->socks[0], ECONNREFUSED);
        break;
    case LINK_ANSWERS:
        if (l->socks[0].is_vanished || l->socks[0].d == NULL) {
            send_reset(&l->socks[0]); /* it gave up meanwhile */
            break;
        }
        link_stands(l);
        break;
    case LINK_STANDS:
        break;
    }
}

static const struct sockaddr_in *ipv4(const struct sockaddr *a)
{
    return (const struct sockaddr_in *)(const void *)a;
}

static void put_addr(struct sockaddr *to, unsigned *len, uint32_t ip, uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
    a.sin_addr.s_addr = htonl(ip);
    memcpy(to, &a, sizeof a);
    *len = sizeof a;
}

int net_bind(struct descr *d, const struct sockaddr *addr)
{
    uint16_t port = ntohs(ipv4(addr)->sin_port);
    if (addr->sa_family != AF_INET) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    while (port == 0 || listener_of(d->node, port) != NULL) {
        if (port != 0 && ntohs(ipv4(addr)->sin_port) == port) {
            errno = EADDRINUSE;
            return -1;
        }
        port = ++d->node->next_port;
    }
    d->port = port;
    return 0;
}

int net_listen(struct descr *d)
{
    d->kind = DESCR_LISTENER;
    tarn_list_push_back(&d->node->listeners, &d->in_listeners);
    return 0;
}

void net_close_listener(struct descr *d)
{
    struct tarn_list *b;
    tarn_list_remove(&d->in_listeners);
    while ((b = tarn_list_pop_front(&d->backlog)) != NULL) {
        struct sock *s = TARN_OUTER(b, struct sock, in_backlog);
        send_reset(s);
        free_if_over(s->link);
    }
}

static void take_descr(struct sock *s, struct descr *d)
{
    s->d = d;
    d->sock = s;
    if (d->unsent_low == 0)
        d->unsent_low = UNSENT_MAX;
    if (d->node->stalls_after != 0)
        s->out->stops_at = d->node->stalls_after + chance_below(&d->node->chance, 16384);
}

struct descr *net_accept(struct descr *d, struct sockaddr *from, unsigned *len)
{
    if (tarn_list_empty(&d->backlog)) {
        errno = EAGAIN;
        return NULL;
    }
    struct descr *made = descr_new(d->node, DESCR_SOCKET);
    if (made == NULL)
        return NULL;
    struct tarn_list *first = tarn_list_pop_front(&d->backlog);
    struct sock *s = TARN_OUTER(first, struct sock, in_backlog);
    take_descr(s, made);
    put_addr(from, len, s->link->socks[0].ip, s->link->socks[0].port);
    return made;
}

int net_connect(struct descr *d, const struct sockaddr *to)
{
    uint32_t ip = ntohl(ipv4(to)->sin_addr.s_addr);
    struct node *called = to->sa_family == AF_INET ? net_node_of(ip) : NULL;
    if (called == NULL) {
        errno = ENETUNREACH;
        return -1;
    }
    struct link *l = sim_alloc(1, sizeof *l);
    l->socks[0] = (struct sock){ .link = l, .node = d->node, .ip = d->node->ip };
    l->socks[1] = (struct sock){ .link = l, .node = called, .ip = ip };
    l->socks[0].port = ++d->node->next_port;
    l->socks[1].port = ntohs(ipv4(to)->sin_port);
    flow_init(&l->flows[0], &l->socks[0], &l->socks[1]);
    flow_init(&l->flows[1], &l->socks[1], &l->socks[0]);
    l->opens.run = on_opens;
    l->resets[0].run = on_reset_0;
    l->resets[1].run = on_reset_1;
    l->since_us = world_now_us();
    take_descr(&l->socks[0], d);
    world_at(&l->opens, world_now_us() + latency(d->node, called));
    errno = EINPROGRESS;
    return -1;
}

int net_local_addr(const struct descr *d, struct sockaddr *addr, unsigned *len)
{
    put_addr(addr, len, d->node->ip, d->port);
    return 0;
}

int net_take_error(struct descr *d)
{
    int error = d->sock == NULL ? 0 : d->sock->error;
    if (d->sock != NULL)
        d->sock->error = 0;
    return error;
}

/* --- reading and writing --- */

/* Room for more bytes than are in the ring now. */
static void make_room(struct flow *f, uint64_t more)
{
    uint64_t need = f->written - f->read + more;
    if (need <= f->cap)
        return;
    uint64_t cap = f->cap == 0 ? RING_MIN : f->cap;
    while (cap < need)
        cap *= 2;
    uint8_t *ring = sim_alloc(cap, 1);
    for (uint64_t at = f->read; at < f->written;) {
        uint64_t run = tarn_min_u64(f->written - at, f->cap - (at & (f->cap - 1)));
        run = tarn_min_u64(run, cap - (at & (cap - 1)));
        memcpy(ring + (at & (cap - 1)), f->ring + (at & (f->cap - 1)), run);
        at += run;
    }
    tarn_free(f->ring);
    f->ring = ring;
    f->cap = cap;
}

static void drop_ring(struct flow *f)
{
    tarn_free(f->ring);
    f->ring = NULL;
    f->cap = 0;
}

static bool may_send(const struct sock *s, uint64_t *room)
{
    uint64_t unsent = s->out->written - s->out->sent;
    errno = s->error != 0 ? s->error : s->is_reset || s->out->fin_written ? EPIPE : EAGAIN;
    *room = s->is_open && unsent < s->d->unsent_low ? s->d->unsent_low - unsent : 0;
    return errno == EAGAIN && *room > 0;
}

ssize_t net_send_by(struct sock *s, size_t len, void (*write)(void *arg, uint8_t *to, size_t len),
                    void *arg)
{
    uint64_t room;
    if (!may_send(s, &room))
        return -1;
    struct flow *f = s->out;
    len = (size_t)tarn_min_u64(len, room);
    make_room(f, len);
    for (size_t done = 0; done < len;) {
        uint64_t at = (f->written + done) & (f->cap - 1);
        size_t run = (size_t)tarn_min_u64(len - done, f->cap - at);
        write(arg, f->ring + at, run);
        done += run;
    }
    f->written += len;
    want_line(f);
    return (ssize_t)len;
}

struct copying {
    const struct iovec *iov;
    size_t used;
};

static void copy_out(void *arg, uint8_t *to, size_t len)
{
    struct copying *c = arg;
    while (len > 0) {
        size_t run = tarn_min_size(len, c->iov->iov_len - c->used);
        memcpy(to, (const uint8_t *)c->iov->iov_base + c->used, run);
        to += run;
        len -= run;
        c->used += run;
        if (c->used == c->iov->iov_len) {
            c->iov++;
            c->used = 0;
        }
    }
}

ssize_t net_send(struct sock *s, const struct iovec *iov, int n)
{
    size_t len = 0;
    for (int i = 0; i < n; i++)
        len += iov[i].iov_len;
    struct copying c = { iov, 0 };
    while (c.iov < iov + n && c.iov->iov_len == 0)
        c.iov++;
    return net_send_by(s, len, copy_out, &c);
}

ssize_t net_recv(struct sock *s, const struct iovec *iov, int n)
{
    struct flow *f = s->in;
    if (s->error != 0 || s->is_reset) {
        errno = s->error != 0 ? s->error : ECONNRESET;
        return -1;
    }
    if (!s->is_open || f->arrived == f->read) {
        errno = EAGAIN;
        return s->is_open && f->fin_arrived ? 0 : -1;
    }
    uint64_t before = f->read;
    for (int i = 0; i < n; i++) {
        uint8_t *to = iov[i].iov_base;
        for (size_t left = iov[i].iov_len; left > 0 && f->read < f->arrived;) {
            uint64_t at = f->read & (f->cap - 1);
            uint64_t run = tarn_min_u64(f->arrived - f->read, f->cap - at);
            run = tarn_min_u64(run, left);
            memcpy(to, f->ring + at, run);
            to += run;
            left -= run;
            f->read += run;
        }
    }
    if (f->read == f->written)
        drop_ring(f);
    want_line(f); /* the window has opened */
    return (ssize_t)(f->read - before);
}

/* --- closing --- */

void net_close(struct sock *s)
{
    struct link *l = s->link;
    s->d = NULL;
    s->out->fin_written = true;
    if (l->state == LINK_CALLS || l->state == LINK_REFUSED) {
        link_free(l);
        return;
    }
    if (s->in->arrived > s->in->read) {
        s->in->read = s->in->arrived;
        send_reset(s);
    } else if (!s->is_reset) {
        want_line(s->out);
    }
    free_if_over(l);
}

void net_vanish(struct node *n)
{
    for (struct tarn_list *i = n->descrs.next; i != &n->descrs; i = i->next) {
        struct descr *d = TARN_OUTER(i, struct descr, in_node);
        struct tarn_list *b;
        if (d->kind == DESCR_LISTENER) {
            tarn_list_remove(&d->in_listeners);
            while ((b = tarn_list_pop_front(&d->backlog)) != NULL) {
                struct sock *s = TARN_OUTER(b, struct sock, in_backlog);
                s->is_vanished = true;
                free_if_over(s->link);
            }
        }
        if (d->kind != DESCR_SOCKET || d->sock == NULL)
            continue;
        struct sock *s = d->sock;
        d->sock = NULL;
        s->d = NULL;
        s->is_vanished = true;
        s->in->read = s->in->arrived;
        flow_stop(s->out);
        if (s->link->state == LINK_CALLS || s->link->state == LINK_REFUSED)
            link_free(s->link);
        else
            free_if_over(s->link);
    }
}

bool net_cut_one(struct node *n)
{
    struct sock *found = NULL;
    uint64_t seen = 0;
    for (struct tarn_list *i = n->descrs.next; i != &n->descrs; i = i->next) {
        const struct descr *d = TARN_OUTER(i, struct descr, in_node);
        if (d->kind == DESCR_SOCKET && d->sock != NULL && d->sock->link->state == LINK_STANDS &&
            chance_below(world_chance(), ++seen) == 0)
            found = d->sock;
    }
    if (found == NULL)
        return false;
    struct link *l = found->link;
    end_with(&l->socks[0], ECONNRESET);
    end_with(&l->socks[1], ECONNRESET);
    return true;
}
