/* Idle peers: connections that shake hands, have nothing, and say no more. Each comes from an
 * address of its own in 127.0.0.0/8, so no limit of connections an address stands in the way.
 *
 * Prints a line when all have been answered or refused, then only reads (what the other side sends
 * must not pile up) until standard input ends. */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ABREAST = 64,  /* connections under way at a time */
    ANSWER_S = 20, /* an answer that takes longer is none */
    SPARE_FILES = 64,
    FIRST_FROM = 0x7F010001, /* 127.1.0.1 */
    EVENTS = 256,
};

struct idler {
    int fd;         /* -1: gone */
    bool answered;  /* a whole handshake came */
    uint32_t heard; /* bytes */
};

struct idle {
    const struct options *o;
    int poller;
    struct idler *peers;
    uint32_t n, open, answered, refused;
    struct tarn_out hello;
};

static void raise_file_limit(uint32_t peers)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        die_sys("asking for the limit of open files");
    rlim_t wanted = peers + SPARE_FILES;
    if (limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted;
    if (limit.rlim_max < wanted)
        limit.rlim_max = wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("%u peers need as many open files: raise the limit (ulimit -n)", peers);
}

static void drop(struct idle *s, struct idler *p)
{
    close(p->fd);
    p->fd = -1;
    s->open--;
    if (p->answered)
        s->answered--;
    else
        s->refused++;
}

static void start_one(struct idle *s, const struct bt_metainfo *m)
{
    struct idler *p = &s->peers[s->n];
    struct sockaddr_in from = { .sin_family = AF_INET };
    struct epoll_event watch = { .events = EPOLLIN, .data.u32 = s->n };
    from.sin_addr.s_addr = htonl(FIRST_FROM + s->n);
    p->fd = net_socket(s->o);
    if (bind(p->fd, (struct sockaddr *)&from, sizeof from) != 0)
        die_sys("binding to an address in 127.0.0.0/8");
    s->n++;
    s->open++;
    if (connect(p->fd, (const struct sockaddr *)&s->o->at, sizeof s->o->at) != 0) {
        if (errno != ECONNREFUSED && errno != ECONNRESET && errno != ETIMEDOUT)
            die_sys("connecting");
        drop(s, p);
        return;
    }
    tarn_out_clear(&s->hello);
    line_hello(&s->hello, m, false, s->n);
    if (epoll_ctl(s->poller, EPOLL_CTL_ADD, p->fd, &watch) != 0)
        die_sys("watching a connection");
    if (send(p->fd, s->hello.p, s->hello.len, MSG_NOSIGNAL) < 0)
        drop(s, p);
}

/* The first bytes of the answer say whether have none may follow: with the fast extension it must.
 * The bit is the last but two of the eighth reserved byte. */
static void hear(struct idle *s, struct idler *p)
{
    enum { FAST_BYTE = 27, FAST_BIT = 4 };
    static const uint8_t have_none[] = { 0, 0, 0, 1, BT_EV_HAVE_NONE };
    uint8_t buf[16384];
    ssize_t n = recv(p->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        drop(s, p);
        return;
    }
    uint32_t from = p->heard;
    p->heard += (uint32_t)n;
    if (from <= FAST_BYTE && p->heard > FAST_BYTE && (buf[FAST_BYTE - from] & FAST_BIT) != 0 &&
        send(p->fd, have_none, sizeof have_none, MSG_NOSIGNAL) < 0) {
        drop(s, p);
        return;
    }
    if (!p->answered && p->heard >= BT_HANDSHAKE_LEN) {
        p->answered = true;
        s->answered++;
    }
}

/* False: nothing happened in that time. */
static bool turn(struct idle *s, int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(s->poller, events, EVENTS, wait_ms);
    if (n < 0 && errno != EINTR)
        die_sys("epoll_wait");
    for (int i = 0; i < n; i++)
        if (s->peers[events[i].data.u32].fd >= 0)
            hear(s, &s->peers[events[i].data.u32]);
    return n > 0;
}

static void call_all(struct idle *s, const struct bt_metainfo *m)
{
    double news = wall_s();
    while (s->n < s->o->peers || s->answered < s->open) {
        while (s->n < s->o->peers && s->open - s->answered < ABREAST)
            start_one(s, m);
        if (turn(s, 100))
            news = wall_s();
        if (wall_s() - news > ANSWER_S) /* who has not answered by now will not */
            return;
    }
}

/* Until standard input ends; it says how many are left then. */
static void stay(struct idle *s)
{
    struct epoll_event watch = { .events = EPOLLIN, .data.u32 = 0 };
    int both = epoll_create1(0);
    struct epoll_event events[2];
    if (both < 0 || epoll_ctl(both, EPOLL_CTL_ADD, s->poller, &watch) != 0)
        die_sys("epoll");
    watch.data.u32 = 1;
    if (epoll_ctl(both, EPOLL_CTL_ADD, STDIN_FILENO, &watch) != 0)
        die_sys("watching standard input (it must be a pipe)");
    for (;;) {
        int n = epoll_wait(both, events, 2, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u32 == 1)
                return;
            turn(s, 0);
        }
    }
}

static void print_state(const struct idle *s, double seconds)
{
    printf("{\"mode\": \"idle\", \"called\": %u, \"answered\": %u, \"refused\": %u, "
           "\"seconds\": %.3f}\n",
           s->n, s->answered, s->refused, seconds);
    fflush(stdout);
}

void run_idle(const struct options *o)
{
    struct bt_metainfo m = { 0 };
    struct idle s = { .o = o, .peers = must_alloc(o->peers, sizeof *s.peers) };
    torrent_read(o->torrent, &m);
    raise_file_limit(o->peers);
    tarn_out_init(&s.hello, 256);
    s.poller = epoll_create1(0);
    if (s.poller < 0)
        die_sys("epoll");
    double from = wall_s();
    call_all(&s, &m);
    print_state(&s, wall_s() - from);
    stay(&s);
    print_state(&s, wall_s() - from);
    for (uint32_t i = 0; i < s.n; i++)
        if (s.peers[i].fd >= 0)
            close(s.peers[i].fd);
    tarn_out_release(&s.hello);
    free(s.peers);
    bt_metainfo_release(&m);
}
