/* http_load: asks one server for one path over and over, and counts.
 *
 *     http_load PORT PATH --length N [--connections 64] [--depth 1] [--requests 100000] [--warm
 * 1000]
 *               [--watch PID] [--tls] [--discard] [--idle]
 *
 * One thread, epoll. Each connection sends `depth` requests in one call, takes all the answers,
 * sends the next ones. Every answer must have status 200 and a Content-Length of N, and the body is
 * counted to the last byte; anything else, and a connection that ends, ends the program with 1.
 * Heads are compared with the one before, and only read when they differ (once a second, when the
 * date does), so that this side is not the slower one.
 *
 * Counted is from the first answer after the warm ones to the last: seconds, bytes, CPU-seconds of
 * this process and of the one that --watch names. Printed as one line of JSON. --idle: each
 * connection asks once, then one line is printed and all of them are held until standard input
 * ends. --tls: TLS 1.3 with AES-128-GCM, no certificate is checked. --discard: bodies are not
 * copied here (MSG_TRUNC), so the other side meets a receiver that is faster. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 4096, BUF = 512 << 10, EVENTS = 256 };

struct conn {
    int fd;
    SSL *ssl;           /* NULL: plain */
    unsigned expected;  /* answers that have not begun, or not ended */
    uint64_t body_left; /* of the answer now coming */
    size_t rest;        /* bytes of an unfinished head, in ... */
    char *head;         /* ... allocated when there is one */
};

struct load {
    uint16_t port;
    const char *path;
    uint64_t length, requests, warm;
    unsigned n, depth;
    int watch;
    bool is_tls, discards, is_idle;

    struct conn *conns;
    char *batch;              /* depth requests, one behind the other */
    size_t batch_len;         /* of one */
    uint64_t asked, answered; /* requests */
    uint64_t body, heads;     /* bytes, of what is counted */
    bool is_counting;
    int64_t since_ns, own_ns, watched_ns;
    char known[HEAD_MAX]; /* the last head that was read and found good */
    size_t known_len;
};

static char buf[HEAD_MAX + BUF];

static void die(const char *what)
{
    fprintf(stderr, "http_load: %s%s%s\n", what, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    exit(1);
}

static void die_of(const char *what)
{
    errno = 0;
    die(what);
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0)
        die("a clock (has the server ended?)");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The CPU clock of another process: clock_getcpuclockid's number. */
static int64_t watched_ns(const struct load *l)
{
    return l->watch > 0 ? clock_ns((clockid_t)(~(unsigned)l->watch << 3 | 2)) : 0;
}

static void begin_counting(struct load *l)
{
    l->is_counting = true;
    l->body = l->heads = 0;
    l->watched_ns = watched_ns(l);
    l->own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    l->since_ns = clock_ns(CLOCK_MONOTONIC);
}

static void report(const struct load *l)
{
    double ns = 1e9;
    double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - l->since_ns) / ns;
    double watched = (double)(watched_ns(l) - l->watched_ns) / ns;
    double own = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - l->own_ns) / ns;
    printf("{\"requests\": %llu, \"body\": %llu, \"heads\": %llu, \"seconds\": %.6f, "
           "\"watched_cpu_s\": %.6f, \"cpu_s\": %.6f}\n",
           (unsigned long long)(l->answered - l->warm), (unsigned long long)l->body,
           (unsigned long long)l->heads, seconds, watched, own);
}

/* The requests. */

static void make_batch(struct load *l)
{
    char one[1024];
    int len = snprintf(one, sizeof one,
                       "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: http_load\r\n"
                       "Accept: */*\r\n\r\n",
                       l->path, (unsigned)l->port);
    if (len < 0 || (size_t)len >= sizeof one)
        die_of("the path is too long");
    l->batch_len = (size_t)len;
    l->batch = malloc(l->batch_len * l->depth);
    if (l->batch == NULL)
        die("the requests");
    for (unsigned i = 0; i < l->depth; i++)
        memcpy(l->batch + l->batch_len * i, one, l->batch_len);
}

static void push(struct conn *c, const char *p, size_t len)
{
    ssize_t done;
    if (c->ssl != NULL)
        done = SSL_write(c->ssl, p, (int)len);
    else
        done = send(c->fd, p, len, MSG_NOSIGNAL);
    if (done != (ssize_t)len) /* some KiB, and nothing before them is unread */
        die("a request was not taken at once");
}

static void ask(struct load *l, struct conn *c)
{
    uint64_t left = l->requests + l->warm - l->asked;
    unsigned n = left < l->depth ? (unsigned)left : l->depth;
    if (n == 0)
        return;
    push(c, l->batch, l->batch_len * n);
    c->expected = n;
    l->asked += n;
}

/* The answers. */

static void check_head(struct load *l, const char *head, size_t len)
{
    static const char field[] = "\r\nContent-Length:";
    char text[HEAD_MAX + 1];
    memcpy(text, head, len);
    text[len] = '\0';
    if (len < 13 || memcmp(text, "HTTP/1.", 7) != 0 || memcmp(text + 8, " 200", 4) != 0) {
        fprintf(stderr, "http_load: an answer that is no 200:\n%s", text);
        exit(1);
    }
    const char *at = strcasestr(text, field);
    if (at == NULL || strtoull(at + sizeof field - 1, NULL, 10) != l->length) {
        fprintf(stderr, "http_load: an answer of another length than %llu:\n%s",
                (unsigned long long)l->length, text);
        exit(1);
    }
    memcpy(l->known, head, len);
    l->known_len = len;
}

/* Where the head at p ends: its length, or 0 when it has not. */
static size_t head_at(struct load *l, const char *p, size_t len)
{
    if (l->known_len > 0 && len >= l->known_len && memcmp(p, l->known, l->known_len) == 0)
        return l->known_len;
    const char *end = memmem(p, len, "\r\n\r\n", 4);
    if (end == NULL && len >= HEAD_MAX)
        die_of("an answer's head is longer than 4 KiB");
    if (end == NULL)
        return 0;
    size_t head = (size_t)(end - p) + 4;
    if (head > HEAD_MAX)
        die_of("an answer's head is longer than 4 KiB");
    check_head(l, p, head);
    return head;
}

static void answered(struct load *l, struct conn *c)
{
    c->expected--;
    l->answered++;
    if (!l->is_counting && l->answered == l->warm)
        begin_counting(l);
}

/* Take whole answers, heads and parts of bodies from p; what is left is of an unfinished head. */
static size_t take(struct load *l, struct conn *c, const char *p, size_t len)
{
    const char *from = p;
    while (len > 0) {
        if (c->expected == 0)
            die_of("more answers than requests");
        if (c->body_left == 0) {
            size_t head = head_at(l, p, len);
            if (head == 0)
                break;
            p += head;
            len -= head;
            l->heads += head;
            c->body_left = l->length;
        }
        size_t part = c->body_left < len ? (size_t)c->body_left : len;
        p += part;
        len -= part;
        l->body += part;
        c->body_left -= part;
        if (c->body_left == 0)
            answered(l, c);
    }
    return (size_t)(p - from);
}

static ssize_t pull(const struct load *l, struct conn *c, char *to, size_t len, bool *is_all)
{
    ssize_t n;
    if (c->ssl != NULL) {
        n = SSL_read(c->ssl, to, (int)len);
        int why = n > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, (int)n);
        if (why == SSL_ERROR_WANT_READ)
            return 0;
        *is_all = n > 0 && SSL_pending(c->ssl) == 0 && n < 16384;
    } else {
        bool is_body = l->discards && c->body_left > 0;
        if (is_body && len > c->body_left)
            len = (size_t)c->body_left;
        n = recv(c->fd, to, len, is_body ? MSG_TRUNC : 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        *is_all = n < (ssize_t)len;
    }
    if (n <= 0)
        die("a connection has ended");
    return n;
}

/* One receive's worth. *is_all: nothing more has come. */
static void receive(struct load *l, struct conn *c, bool *is_all)
{
    memcpy(buf + HEAD_MAX - c->rest, c->head != NULL ? c->head : buf, c->rest);
    char *p = buf + HEAD_MAX - c->rest;
    *is_all = true;
    ssize_t n = pull(l, c, buf + HEAD_MAX, BUF, is_all);
    if (n <= 0)
        return;
    size_t len = c->rest + (size_t)n, taken = take(l, c, p, len);
    c->rest = len - taken;
    if (c->rest > 0 && c->head == NULL && (c->head = malloc(HEAD_MAX)) == NULL)
        die("an answer's head");
    if (c->rest > 0)
        memcpy(c->head, p + taken, c->rest);
}

/* At most a megabyte of one connection before the others have their turn. */
static void serve(struct load *l, struct conn *c)
{
    bool is_all = false;
    for (int i = 0; i < (c->ssl != NULL ? 64 : 2) && !is_all; i++)
        receive(l, c, &is_all);
    if (c->expected == 0 && !l->is_idle)
        ask(l, c);
}

/* Connections. */

static SSL_CTX *make_tls(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256"))
        die_of("TLS");
    return ctx;
}

static void open_conn(const struct load *l, struct conn *c, SSL_CTX *tls)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(l->port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&to, sizeof to) != 0)
        die("cannot connect");
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (tls == NULL)
        return;
    c->ssl = SSL_new(tls);
    if (c->ssl == NULL || !SSL_set_fd(c->ssl, c->fd) || SSL_connect(c->ssl) != 1)
        die_of("the TLS handshake");
}

static void not_block(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        die("a socket");
}

static void open_all(struct load *l, int poller)
{
    SSL_CTX *tls = l->is_tls ? make_tls() : NULL;
    l->conns = calloc(l->n, sizeof *l->conns);
    if (l->conns == NULL)
        die("the connections");
    for (unsigned i = 0; i < l->n; i++) {
        struct conn *c = &l->conns[i];
        struct epoll_event e = { .events = EPOLLIN, .data = { .ptr = c } };
        open_conn(l, c, tls);
        not_block(c->fd);
        if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e) != 0)
            die("epoll");
    }
    SSL_CTX_free(tls);
}

static void run(struct load *l, int poller)
{
    struct epoll_event ready[EVENTS];
    if (l->warm == 0)
        begin_counting(l);
    for (unsigned i = 0; i < l->n; i++)
        ask(l, &l->conns[i]);
    while (l->answered < l->requests + l->warm) {
        int n = epoll_wait(poller, ready, EVENTS, 30000);
        if (n < 0 && errno != EINTR)
            die("epoll");
        if (n == 0)
            die_of("no answer within 30 s");
        for (int i = 0; i < n; i++)
            serve(l, ready[i].data.ptr);
    }
    report(l);
}

static void hold(void)
{
    char c;
    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
}

static bool number(const char *text, uint64_t max, uint64_t *to)
{
    char *end;
    errno = 0;
    *to = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *to <= max;
}

static struct load options(int argc, char **argv)
{
    struct load l = { .requests = 100000, .warm = 1000, .n = 64, .depth = 1 };
    enum { LENGTH = 1, CONNECTIONS, DEPTH, REQUESTS, WARM, WATCH, TLS, DISCARD, IDLE };
    static const struct option known[] = {
        { "length", required_argument, NULL, LENGTH },
        { "connections", required_argument, NULL, CONNECTIONS },
        { "depth", required_argument, NULL, DEPTH },
        { "requests", required_argument, NULL, REQUESTS },
        { "warm", required_argument, NULL, WARM },
        { "watch", required_argument, NULL, WATCH },
        { "tls", no_argument, NULL, TLS },
        { "discard", no_argument, NULL, DISCARD },
        { "idle", no_argument, NULL, IDLE },
        { 0 },
    };
    bool ok = true, has_length = false;
    uint64_t v = 0;
    for (int o; (o = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        ok = ok && o != '?' && (optarg == NULL || number(optarg, UINT64_MAX / 4, &v));
        switch (o) {
        case LENGTH:
            l.length = v, has_length = true;
            break;
        case CONNECTIONS:
            ok = ok && v >= 1 && v <= 100000, l.n = (unsigned)v;
            break;
        case DEPTH:
            ok = ok && v >= 1 && v <= 64, l.depth = (unsigned)v;
            break;
        case REQUESTS:
            ok = ok && v >= 1, l.requests = v;
            break;
        case WARM:
            l.warm = v;
            break;
        case WATCH:
            ok = ok && v >= 1 && v <= INT32_MAX, l.watch = (int)v;
            break;
        case TLS:
            l.is_tls = true;
            break;
        case DISCARD:
            l.discards = true;
            break;
        case IDLE:
            l.is_idle = true;
            break;
        default:
            ok = false;
        }
    }
    ok = ok && has_length && argc - optind == 2 && number(argv[optind], UINT16_MAX, &v);
    if (!ok) {
        fprintf(stderr,
                "http_load: PORT PATH --length N [--connections N] [--depth N (at most 64)] "
                "[--requests N] [--warm N] [--watch PID] [--tls] [--discard] [--idle]\n");
        exit(2);
    }
    l.port = (uint16_t)v;
    l.path = argv[optind + 1];
    if (l.is_idle) {
        l.requests = l.n;
        l.warm = 0;
        l.depth = 1;
    }
    return l;
}

static void close_all(struct load *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        SSL_free(l->conns[i].ssl);
        free(l->conns[i].head);
        close(l->conns[i].fd);
    }
    free(l->conns);
    free(l->batch);
}

int main(int argc, char **argv)
{
    struct load l = options(argc, argv);
    int poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll");
    make_batch(&l);
    open_all(&l, poller);
    run(&l, poller);
    if (l.is_idle)
        hold();
    close_all(&l);
    return 0;
}
