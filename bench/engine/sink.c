/* The sink: keeps a number of requests outstanding, counts what arrives and throws it away.
 *
 * It asks for the torrent in order, over and over until enough has come. New requests go out when a
 * quarter of the depth is missing, all in one send: so the other side is woken as seldom as a peer
 * with a deep queue wakes it. Every block must be one that was asked for and not yet got. */
#include "base/num.h"
#include "peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { REQUEST_SIZE = 17, LATENCIES_MAX = 1 << 22 };

struct asked {
    struct bt_request r;
    bool refused; /* by a reject, or by a choke of a peer that sends no rejects */
};

struct sink {
    const struct options *o;
    const struct bt_metainfo *m;
    struct line line;
    struct check check;
    struct asked *asked; /* a ring: outstanding, oldest first */
    uint32_t head, n_asked;
    struct tarn_out out;
    struct bt_request next, current; /* to ask for; arriving */
    bool is_unchoked;
    uint32_t depth;
    uint64_t to_ask, got; /* bytes of this run */
    uint64_t slot;        /* of the block asked for at random last */
    double *latencies;    /* seconds; with one request at a time */
    size_t n_latencies;
    double asked_at;
};

static struct asked *asked_at(struct sink *s, uint32_t i)
{
    return &s->asked[(s->head + i) % DEPTH_MAX];
}

/* Blocks in an order that no read-ahead foresees: a full cycle through all numbers below a power of
 * two, without those that are no block. So none is asked for twice in one round. */
static void move_at_random(struct sink *s)
{
    const struct bt_metainfo *m = s->m;
    uint32_t per_piece = (m->piece_len + BT_BLOCK - 1) / BT_BLOCK;
    uint64_t slots = (uint64_t)per_piece * m->n_pieces, mask = tarn_pow2_up_u64(slots) - 1;
    do {
        s->slot = (s->slot * 5 + 0x9E3779B9) & mask; /* Hull and Dobell: full period */
        s->next.piece = (uint32_t)(s->slot / per_piece);
        s->next.begin = (uint32_t)(s->slot % per_piece) * BT_BLOCK;
    } while (s->slot >= slots || s->next.begin >= bt_piece_len(m, s->next.piece));
}

/* Where to ask next. */
static void move_on(struct sink *s)
{
    struct bt_request *r = &s->next;
    if (s->o->is_random)
        move_at_random(s);
    else if ((r->begin += BT_BLOCK) >= bt_piece_len(s->m, r->piece)) {
        r->begin = 0;
        r->piece = (r->piece + 1) % s->m->n_pieces;
    }
    uint32_t left = bt_piece_len(s->m, r->piece) - r->begin;
    r->len = left < BT_BLOCK ? left : BT_BLOCK;
}

static void ask_more(struct sink *s)
{
    uint32_t refill = s->o->refill != 0 ? s->o->refill : s->depth / 4;
    if (refill > s->depth)
        refill = s->depth;
    if (!s->is_unchoked || s->to_ask == 0 || s->n_asked + refill > s->depth)
        return;
    tarn_out_clear(&s->out);
    while (s->n_asked < s->depth && s->to_ask > 0) {
        *asked_at(s, s->n_asked++) = (struct asked){ .r = s->next };
        bt_put_request(&s->out, BT_EV_REQUEST, &s->next);
        s->to_ask -= s->to_ask < s->next.len ? s->to_ask : s->next.len;
        move_on(s);
    }
    s->asked_at = s->latencies != NULL ? wall_s() : 0;
    line_send(s->line.fd, tarn_out_bytes(&s->out));
}

/* What was refused once more. */
static void ask_again(struct sink *s)
{
    tarn_out_clear(&s->out);
    for (uint32_t i = 0; i < s->n_asked; i++) {
        struct asked *a = asked_at(s, i);
        if (a->refused)
            bt_put_request(&s->out, BT_EV_REQUEST, &a->r);
        a->refused = false;
    }
    line_send(s->line.fd, tarn_out_bytes(&s->out));
}

/* One request, or NULL for all. */
static void refuse(struct sink *s, const struct bt_request *r)
{
    for (uint32_t i = 0; i < s->n_asked; i++)
        if (r == NULL || bt_request_eq(r, &asked_at(s, i)->r))
            asked_at(s, i)->refused = true;
}

/* Most answer in order, so the oldest is looked at first. */
static void take_off(struct sink *s, const struct bt_request *r)
{
    uint32_t i = 0;
    while (i < s->n_asked && !bt_request_eq(r, &asked_at(s, i)->r))
        i++;
    if (i == s->n_asked)
        die("a block came that was not asked for: piece %u, %u bytes at %u", r->piece, r->len,
            r->begin);
    for (; i > 0; i--)
        *asked_at(s, i) = *asked_at(s, i - 1);
    s->head = (s->head + 1) % DEPTH_MAX;
    s->n_asked--;
}

static void block_done(struct sink *s)
{
    s->got += s->current.len;
    if (s->o->checks)
        check_block(&s->check, &s->current);
    if (s->latencies != NULL && s->n_latencies < LATENCIES_MAX)
        s->latencies[s->n_latencies++] = wall_s() - s->asked_at;
}

static void payload(struct sink *s, uint32_t n)
{
    bt_wire_payload(&s->line.wire, n);
    if (s->line.wire.payload_left == 0)
        block_done(s);
}

static void on_event(struct sink *s, const struct bt_event *ev)
{
    switch (ev->kind) {
    case BT_EV_CHOKE:
        s->is_unchoked = false;
        if ((s->line.wire.can & BT_CAN_FAST) == 0)
            refuse(s, NULL);
        break;
    case BT_EV_UNCHOKE:
        s->is_unchoked = true;
        ask_again(s);
        break;
    case BT_EV_REJECT:
        refuse(s, &ev->request);
        if (s->is_unchoked)
            ask_again(s);
        break;
    case BT_EV_BLOCK:
        s->current = ev->request;
        take_off(s, &ev->request);
        break;
    default: /* haves, keep-alives: nothing to us */
        break;
    }
}

/* Everything that is in the buffer. */
static void take(struct sink *s)
{
    struct line *l = &s->line;
    struct bt_event ev;
    while (l->from < l->to) {
        uint32_t left = l->wire.payload_left;
        if (left > 0) {
            uint32_t n = l->to - l->from < left ? (uint32_t)(l->to - l->from) : left;
            if (s->o->checks)
                check_take(&s->check, &s->current, s->current.len - left,
                           tarn_bytes_of(l->buf + l->from, n));
            l->from += n;
            payload(s, n);
        } else if (!line_next(l, &ev))
            return;
        else
            on_event(s, &ev);
    }
}

/* The kernel drops the data itself: only heads are received, each in a call of its own. */
static ssize_t recv_head_or_drop(struct sink *s)
{
    struct line *l = &s->line;
    if (l->wire.payload_left == 0) {
        size_t there = l->to - l->from;
        size_t want = there < BT_PIECE_HEAD ? BT_PIECE_HEAD - there : l->wire.need - there;
        return line_recv(l, want);
    }
    ssize_t n = recv(l->fd, NULL, l->wire.payload_left, MSG_TRUNC);
    if (n < 0 && errno != EAGAIN)
        die_sys("receiving");
    if (n > 0)
        payload(s, (uint32_t)n);
    return n;
}

static void step(struct sink *s)
{
    ask_more(s);
    ssize_t n = s->o->truncates ? recv_head_or_drop(s) : line_recv(&s->line, RECV_MAX);
    if (n < 0)
        die("nothing came for %d s (%s, %u requests outstanding)", PATIENCE_S,
            s->is_unchoked ? "unchoked" : "choked", s->n_asked);
    if (n == 0)
        die("the other side closed the connection");
    take(s);
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void print_latencies(struct sink *s)
{
    if (s->n_latencies == 0)
        return;
    double *t = s->latencies;
    size_t n = s->n_latencies;
    qsort(t, n, sizeof *t, by_size);
    printf(", \"p50_us\": %.2f, \"p90_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f",
           t[n / 2] * 1e6, t[n * 9 / 10] * 1e6, t[n * 99 / 100] * 1e6, t[n - 1] * 1e6);
}

/* One depth: what comes after the warm-up is measured, until the last block is there. */
static void run_depth(struct sink *s, uint32_t depth)
{
    const struct options *o = s->o;
    s->depth = depth;
    s->got = 0;
    s->to_ask = o->warm + o->bytes;
    s->n_latencies = 0;
    s->latencies = depth == 1 ? must_alloc(LATENCIES_MAX, sizeof *s->latencies) : NULL;
    while (s->got < o->warm || !s->is_unchoked)
        step(s);
    uint64_t before = s->got;
    s->n_latencies = 0;
    double wall = wall_s(), own = cpu_s(0), theirs = o->watched != 0 ? cpu_s(o->watched) : 0;
    while (s->to_ask > 0 || s->n_asked > 0 || s->line.wire.payload_left > 0) {
        step(s);
        if (o->seconds > 0 && wall_s() - wall > o->seconds)
            s->to_ask = 0; /* what is outstanding still comes */
    }
    wall = wall_s() - wall;
    own = cpu_s(0) - own;
    uint64_t bytes = s->got - before;
    printf("{\"mode\": \"sink\", \"depth\": %u, \"bytes\": %llu, \"seconds\": %.6f, "
           "\"mb_s\": %.3f, \"cpu_s\": %.6f",
           depth, (unsigned long long)bytes, wall, (double)bytes / wall / 1e6, own);
    if (o->watched != 0)
        printf(", \"watched_cpu_s\": %.6f", cpu_s(o->watched) - theirs);
    if (o->checks)
        printf(", \"pieces_good\": %llu", (unsigned long long)s->check.pieces_good);
    print_latencies(s);
    printf("}\n");
    fflush(stdout);
    free(s->latencies);
    s->latencies = NULL;
}

void run_sink(const struct options *o)
{
    struct bt_metainfo m = { 0 };
    struct sink s = { .o = o, .m = &m };
    torrent_read(o->torrent, &m);
    if (o->checks)
        check_init(&s.check, &m);
    s.asked = must_alloc(DEPTH_MAX, sizeof *s.asked);
    tarn_out_init(&s.out, DEPTH_MAX * REQUEST_SIZE);
    int fd = o->is_listener ? net_accept(net_listen(o), o) : net_connect(o);
    line_open(&s.line, fd, o, &m, false);
    s.next.len = bt_piece_len(&m, 0) < BT_BLOCK ? bt_piece_len(&m, 0) : BT_BLOCK;
    tarn_out_clear(&s.out);
    bt_put_plain(&s.out, BT_EV_INTERESTED);
    line_send(fd, tarn_out_bytes(&s.out));
    for (size_t i = 0; i < o->n_depths; i++)
        run_depth(&s, o->depths[i]);
    line_close(&s.line);
    tarn_out_release(&s.out);
    free(s.asked);
    check_release(&s.check);
    bt_metainfo_release(&m);
}
