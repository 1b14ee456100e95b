/* The source: has everything and answers everything queued at once, from a mapping by writev, 64
 * blocks a call, or each head with MSG_MORE and its data by sendfile. Serves as many connections as
 * come, and ends when the last has gone, or stays until it is ended. */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BATCH = 64, CONNS_MAX = 64 };

struct conn {
    struct line line;
    struct bt_request *queue; /* a ring, oldest first */
    uint32_t head, n;
    uint32_t sent; /* of the oldest answer, its head included */
};

struct source {
    const struct options *o;
    const struct bt_metainfo *m;
    int file;
    const uint8_t *data; /* the mapping */
    struct conn conns[CONNS_MAX];
    size_t n_conns;
    uint64_t served;
    uint64_t haves; /* told by the other sides: pieces that they have verified */
    bool began;
    double from, until, own, theirs; /* wall at first request and last news; CPU at the first */
    double own_until, theirs_until;
};

static struct bt_request *queued(struct conn *c, uint32_t i)
{
    return &c->queue[(c->head + i) % DEPTH_MAX];
}

static void put_head(uint8_t head[BT_PIECE_HEAD], const struct bt_request *r)
{
    struct tarn_out o;
    tarn_out_fixed(&o, head, BT_PIECE_HEAD);
    bt_put_piece_head(&o, r);
}

static void set_blocking(int fd, bool blocks)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, blocks ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) != 0)
        die_sys("fcntl");
}

static void open_data(struct source *s)
{
    const struct bt_metainfo *m = s->m;
    struct stat st;
    if (m->n_real_files != 1)
        die("the source serves torrents of one file; this one has %u", m->n_real_files);
    s->file = open(s->o->data, O_RDONLY);
    if (s->file < 0 || fstat(s->file, &st) != 0)
        die_sys(s->o->data);
    if ((uint64_t)st.st_size != m->payload)
        die("%s has %llu bytes, the torrent says %llu", s->o->data, (unsigned long long)st.st_size,
            (unsigned long long)m->payload);
    void *map = mmap(NULL, m->payload, PROT_READ, MAP_SHARED | MAP_POPULATE, s->file, 0);
    if (map == MAP_FAILED)
        die_sys("mapping the data");
    s->data = map;
}

static void begin(struct source *s)
{
    s->began = true;
    s->from = wall_s();
    s->own = cpu_s(0);
    s->theirs = s->o->watched != 0 ? cpu_s(s->o->watched) : 0;
}

/* The last sign of life counts: what the other side does after it is its own affair. */
static void note_news(struct source *s)
{
    double theirs = s->o->watched != 0 ? cpu_s(s->o->watched) : 0;
    s->until = wall_s();
    s->own_until = cpu_s(0);
    if (theirs >= 0) /* it may have ended */
        s->theirs_until = theirs;
}

static void on_event(struct source *s, struct conn *c, const struct bt_event *ev)
{
    uint8_t bytes[BT_HASH_REQUEST_LEN + 1];
    struct tarn_out out;
    tarn_out_fixed(&out, bytes, sizeof bytes);
    switch (ev->kind) {
    case BT_EV_INTERESTED:
        bt_put_plain(&out, BT_EV_UNCHOKE);
        break;
    case BT_EV_HASH_REQUEST:
        bt_put_hash_request(&out, BT_EV_HASH_REJECT, &ev->hash);
        break;
    case BT_EV_REQUEST:
        if (!s->began)
            begin(s);
        if (!bt_request_fits(&ev->request, s->m) || c->n == DEPTH_MAX)
            die("a request that cannot be served: piece %u, %u bytes at %u, %u queued",
                ev->request.piece, ev->request.len, ev->request.begin, c->n);
        *queued(c, c->n++) = ev->request;
        return;
    case BT_EV_HAVE:
        s->haves++;
        if (s->haves >= s->m->n_pieces)
            note_news(s);
        return;
    case BT_EV_UNINTERESTED:
        note_news(s);
        return;
    default:
        return;
    }
    if (c->sent > 0) /* we are in the middle of a block: only a fresh connection asks for these */
        die("a message that needs an answer in the middle of a block");
    line_send(c->line.fd, tarn_out_bytes(&out));
}

/* n more bytes of the oldest answers have left. */
static void sent(struct source *s, struct conn *c, size_t n)
{
    s->served += n;
    n += c->sent;
    while (c->n > 0 && n >= BT_PIECE_HEAD + queued(c, 0)->len) {
        n -= BT_PIECE_HEAD + queued(c, 0)->len;
        s->served -= BT_PIECE_HEAD;
        c->head = (c->head + 1) % DEPTH_MAX;
        c->n--;
    }
    c->sent = (uint32_t)n;
}

static const uint8_t *data_of(const struct source *s, const struct bt_request *r)
{
    return s->data + (uint64_t)r->piece * s->m->piece_len + r->begin;
}

/* Drop from the front what has left already. */
static size_t without(struct iovec *iov, size_t n, size_t gone)
{
    size_t first = 0;
    while (first < n && gone >= iov[first].iov_len)
        gone -= iov[first++].iov_len;
    if (first < n) {
        iov[first].iov_base = (uint8_t *)iov[first].iov_base + gone;
        iov[first].iov_len -= gone;
    }
    return first;
}

static ssize_t send_by_writev(struct source *s, struct conn *c)
{
    uint8_t heads[BATCH][BT_PIECE_HEAD];
    struct iovec iov[2 * BATCH];
    size_t n = 0;
    for (uint32_t i = 0; i < c->n && i < BATCH; i++) {
        const struct bt_request *r = queued(c, i);
        put_head(heads[i], r);
        iov[n++] = (struct iovec){ heads[i], BT_PIECE_HEAD };
        iov[n++] = (struct iovec){ (void *)(uintptr_t)data_of(s, r), r->len };
    }
    size_t first = without(iov, n, c->sent);
    struct msghdr msg = { .msg_iov = iov + first, .msg_iovlen = n - first };
    return sendmsg(c->line.fd, &msg, MSG_NOSIGNAL);
}

static ssize_t send_by_sendfile(struct source *s, struct conn *c)
{
    const struct bt_request *r = queued(c, 0);
    if (c->sent < BT_PIECE_HEAD) {
        uint8_t head[BT_PIECE_HEAD];
        put_head(head, r);
        return send(c->line.fd, head + c->sent, BT_PIECE_HEAD - c->sent, MSG_MORE | MSG_NOSIGNAL);
    }
    uint32_t done = c->sent - BT_PIECE_HEAD;
    off_t at = (off_t)((uint64_t)r->piece * s->m->piece_len + r->begin + done);
    return sendfile(c->line.fd, s->file, &at, r->len - done);
}

/* All that is queued, as far as the socket takes it. */
static bool send_queued(struct source *s, struct conn *c)
{
    while (c->n > 0) {
        ssize_t n = s->o->io == IO_SENDFILE ? send_by_sendfile(s, c) : send_by_writev(s, c);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return false;
        if (n < 0 && errno != EAGAIN)
            die_sys("sending");
        if (n < 0)
            break;
        sent(s, c, (size_t)n);
    }
    return true;
}

/* False when the other side has gone. */
static bool serve(struct source *s, struct conn *c, short events)
{
    struct bt_event ev;
    if (events & ~POLLOUT) {
        if (line_recv(&c->line, RECV_MAX) == 0)
            return false;
        while (c->line.from < c->line.to && line_next(&c->line, &ev)) {
            if (ev.kind == BT_EV_BLOCK)
                die("the other side sends data");
            on_event(s, c, &ev);
        }
    }
    return send_queued(s, c);
}

static void add_conn(struct source *s, int fd)
{
    if (s->n_conns == CONNS_MAX)
        die("more than %d connections", CONNS_MAX);
    struct conn *c = &s->conns[s->n_conns++];
    *c = (struct conn){ .queue = must_alloc(DEPTH_MAX, sizeof *c->queue) };
    set_blocking(fd, true);
    line_open(&c->line, fd, s->o, s->m, true);
    set_blocking(fd, false);
}

static void drop_conn(struct source *s, size_t i)
{
    line_close(&s->conns[i].line);
    free(s->conns[i].queue);
    s->conns[i] = s->conns[--s->n_conns];
    note_news(s);
}

static void turn(struct source *s, int listener)
{
    struct pollfd fds[CONNS_MAX + 1];
    for (size_t i = 0; i < s->n_conns; i++)
        fds[i] = (struct pollfd){ .fd = s->conns[i].line.fd,
                                  .events = s->conns[i].n > 0 ? POLLIN | POLLOUT : POLLIN };
    fds[s->n_conns] = (struct pollfd){ .fd = listener, .events = POLLIN };
    size_t n = s->n_conns;
    int ready = poll(fds, (nfds_t)n + 1, s->o->stays ? -1 : PATIENCE_S * 1000);
    if (ready < 0)
        die_sys("poll");
    if (ready == 0)
        die("nobody did anything for %d s", PATIENCE_S);
    for (size_t i = n; i-- > 0;) /* from the end: dropping one moves the last into its place */
        if (fds[i].revents != 0 && !serve(s, &s->conns[i], fds[i].revents))
            drop_conn(s, i);
    if (fds[n].revents != 0)
        add_conn(s, net_accept(listener, s->o));
}

static void print_result(const struct source *s)
{
    double wall = s->until - s->from;
    printf("{\"mode\": \"source\", \"bytes\": %llu, \"seconds\": %.6f, \"mb_s\": %.3f, "
           "\"cpu_s\": %.6f, \"haves\": %llu",
           (unsigned long long)s->served, wall, (double)s->served / wall / 1e6,
           s->own_until - s->own, (unsigned long long)s->haves);
    if (s->o->watched != 0)
        printf(", \"watched_cpu_s\": %.6f", s->theirs_until - s->theirs);
    printf("}\n");
}

void run_source(const struct options *o)
{
    struct bt_metainfo m = { 0 };
    struct source *s = must_alloc(1, sizeof *s);
    s->o = o;
    s->m = &m;
    torrent_read(o->torrent, &m);
    open_data(s);
    int listener = -1;
    if (o->is_listener) {
        listener = net_listen(o);
        add_conn(s, net_accept(listener, o));
    } else
        add_conn(s, net_connect(o));
    while (s->n_conns > 0 || !s->began || o->stays) /* a caller may try, go, and come again */
        turn(s, listener);
    print_result(s);
    free(s);
    bt_metainfo_release(&m);
}
