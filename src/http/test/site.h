/* For tests of this room: a server with a few doors, and clients that speak raw bytes, all on one
 * loop in one thread.
 *
 *     /hello    "Hello, world!\n"
 *     /echo     the request's body, at most 100,000 bytes
 *     /small    a file of 1,000 bytes; /big: one of 300,000
 *     /long     300,000 bytes from memory
 *     /future   the small one, changed in the year 2100
 *     /gone     the big file, which is_same says is another one from the n-th time on
 *     /stream   300,000 bytes, chunked
 *     /late     "late\n", in a later turn
 *     /never    no answer
 *     /etag     "tagged\n" with an etag
 *     /bad      an answer with a line break in a field
 *
 * A time to wait is let pass by the test double's clock. */
#ifndef HTTP_TEST_SITE_H
#define HTTP_TEST_SITE_H

#include "base/num.h"
#include "base/out.h"
#include "http/exchange.h"
#include "http/log.h"
#include "loop/test/turns.h"
#include "sys/test/wire.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { SMALL = 1000, BIG = 300000, ECHO_MAX = 100000, ASKED_MAX = 64 };

struct site {
    struct loop *loop;
    struct http_server *server;
    struct sys_addr at;
    struct sys_fake fake;
    struct sys_file *small, *big;
    uint8_t bytes[BIG]; /* of both: the small one has the first of them */
    unsigned asked, over;
    unsigned same_left; /* is_same says yes so often yet */
    unsigned same_asked, same_refused;
    struct http_exchange *never; /* the last that waits */
    struct tarn_err trouble;
    unsigned troubles;
    bool is_drained;
};

static struct site *site_now; /* one at a time */

struct late {
    struct loop_msg msg;
    struct http_exchange *x; /* NULL: gone */
};

static inline void site_text(struct http_exchange *x, const char *text, const char *etag)
{
    struct http_answer a = { .status = 200, .type = "text/plain", .etag = etag };
    http_answer_bytes(x, &a, tarn_bytes_str(text));
}

static inline void site_late(struct loop_msg *m)
{
    struct late *l = TARN_OUTER(m, struct late, msg);
    if (l->x != NULL) {
        l->x->arg = NULL;
        site_text(l->x, "late\n", NULL);
    }
    tarn_free(l);
}

static inline void site_defer(struct site *s, struct http_exchange *x)
{
    struct late *l = tarn_calloc(1, sizeof *l);
    if (l == NULL) {
        http_answer_error(x, 503, NULL, NULL, 0);
        return;
    }
    *l = (struct late){ .msg.on_loop = site_late, .x = x };
    x->arg = l;
    loop_post(s->loop, &l->msg);
}

static inline void site_go_on(struct http_exchange *x)
{
    struct site *s = site_now;
    uintptr_t at = (uintptr_t)x->arg;
    while (at < BIG && http_stream_waits(x) < HTTP_STREAM_HIGH) {
        size_t part = tarn_min_size(7777, BIG - at);
        http_stream_put(x, tarn_bytes_of(s->bytes + at, part));
        at += part;
    }
    x->arg = (void *)at;
    if (at == BIG)
        http_stream_end(x);
}

static inline void site_echo(struct http_exchange *x, struct tarn_bytes body)
{
    struct http_answer a = { .status = 200, .type = "application/octet-stream" };
    http_answer_bytes(x, &a, body);
}

static inline bool site_is_same(void *arg, struct sys_file *file)
{
    struct site *s = arg;
    assert_true(file == s->big || file == s->small);
    s->same_asked++;
    if (s->same_left == 0) {
        s->same_refused++;
        return false;
    }
    s->same_left--;
    return true;
}

static inline void site_long(struct site *s, struct http_exchange *x)
{
    struct http_answer a = { .status = 200, .type = "application/octet-stream" };
    http_answer_bytes(x, &a, tarn_bytes_of(s->bytes, BIG));
}

static inline void site_future(struct site *s, struct http_exchange *x)
{
    struct http_file f = { .file = s->small, .len = SMALL, .modified_s = 4102444800 };
    http_answer_file(x, &f);
}

static inline void site_file(struct site *s, struct http_exchange *x, bool is_big, bool is_asked)
{
    struct http_file f = { .file = is_big ? s->big : s->small,
                           .len = is_big ? BIG : SMALL,
                           .etag = is_big ? "\"big\"" : "\"small\"",
                           .modified_s = 1000000000,
                           .type = "application/x-test" };
    if (is_asked) {
        f.is_same = site_is_same;
        f.arg = s;
    }
    http_answer_file(x, &f);
}

static inline void site_on_request(void *arg, struct http_exchange *x)
{
    struct site *s = arg;
    struct tarn_bytes path = http_text(x->request, x->request->path);
    s->asked++;
    if (tarn_bytes_eq_str(path, "/hello"))
        site_text(x, "Hello, world!\n", NULL);
    else if (tarn_bytes_eq_str(path, "/echo"))
        http_body_read(x, ECHO_MAX, site_echo);
    else if (tarn_bytes_eq_str(path, "/small") || tarn_bytes_eq_str(path, "/big"))
        site_file(s, x, path.len == 4, false);
    else if (tarn_bytes_eq_str(path, "/long"))
        site_long(s, x);
    else if (tarn_bytes_eq_str(path, "/future"))
        site_future(s, x);
    else if (tarn_bytes_eq_str(path, "/gone"))
        site_file(s, x, true, true);
    else if (tarn_bytes_eq_str(path, "/little-gone"))
        site_file(s, x, false, true);
    else if (tarn_bytes_eq_str(path, "/late"))
        site_defer(s, x);
    else if (tarn_bytes_eq_str(path, "/never"))
        s->never = x;
    else if (tarn_bytes_eq_str(path, "/etag"))
        site_text(x, "tagged\n", "\"t\"");
    else if (tarn_bytes_eq_str(path, "/bad")) {
        struct http_extra extra = { "X-Split", tarn_bytes_str("a\r\nSet-Cookie: b") };
        struct http_answer a = { .status = 200, .extras = &extra, .n_extras = 1 };
        http_answer_bytes(x, &a, tarn_bytes_str("x"));
    } else if (tarn_bytes_eq_str(path, "/stream")) {
        struct http_answer a = { .status = 200, .type = "application/octet-stream" };
        struct http_stream st = { .on_drain = site_go_on };
        http_answer_stream(x, &a, &st);
        site_go_on(x);
    } else if (!http_refuse_method(x, HTTP_ALLOW(HTTP_GET) | HTTP_ALLOW(HTTP_HEAD) |
                                          HTTP_ALLOW(HTTP_OPTIONS)))
        http_answer_error(x, 404, "There is no <such> thing.", NULL, 0);
}

static inline void site_on_over(void *arg, struct http_exchange *x)
{
    struct site *s = arg;
    s->over++;
    if (x == s->never)
        s->never = NULL;
    if (tarn_bytes_eq_str(http_text(x->request, x->request->path), "/late") && x->arg != NULL)
        ((struct late *)x->arg)->x = NULL;
}

static inline void site_on_trouble(void *arg, const struct tarn_err *err)
{
    struct site *s = arg;
    s->trouble = *err;
    s->troubles++;
}

static const struct http_ops site_ops = { site_on_request, site_on_over, site_on_trouble };

static inline struct sys_file *site_make_file(const char *name, const uint8_t *p, size_t len)
{
    SYS_AUTO_FD fd = sys_open(name, SYS_OPEN_CREATE, NULL);
    assert_true(fd >= 0);
    assert_true(sys_write_at(fd, tarn_bytes_of(p, len), 0, NULL));
    struct sys_file *f = sys_file_new(sys_take_fd(&fd));
    assert_non_null(f);
    return f;
}

/* set: NULL for the defaults; its ops and arg are filled in. */
static inline struct site *site_open(const struct http_settings *set)
{
    struct site *s = tarn_calloc(1, sizeof *s);
    struct http_settings all = set == NULL ? (struct http_settings){ 0 } : *set;
    uint64_t seed = 7;
    assert_non_null(s);
    site_now = s;
    sys_fake_install(&s->fake, room_ops);
    for (size_t i = 0; i < BIG; i++)
        s->bytes[i] = (uint8_t)test_rand(&seed);
    s->small = site_make_file("small", s->bytes, SMALL);
    s->big = site_make_file("big", s->bytes, BIG);
    s->loop = turns_loop(2);
    all.ops = &site_ops;
    all.arg = s;
    s->server = http_server_new(s->loop, &all, NULL);
    assert_non_null(s->server);
    s->at = sys_addr_any(false, 0);
    s->at.ip[0] = 127;
    s->at.ip[3] = 1;
    assert_true(http_server_listen(s->server, &s->at, NULL, NULL));
    assert_true(http_server_addr(s->server, 0, &s->at));
    return s;
}

static inline void site_close(struct site *s)
{
    http_server_free(s->server);
    assert_int_equal(s->asked, s->over);
    turns_settle(s->loop); /* messages of those that answer late */
    loop_free(s->loop);
    sys_file_unref(s->small);
    sys_file_unref(s->big);
    sys_fake_remove(&s->fake);
    tarn_free(s);
}

static inline struct http_counters site_counters(const struct site *s)
{
    struct http_counters n;
    http_server_counters(s->server, &n);
    return n;
}

/* Let so much time pass, and what is due happen. */
static inline void site_pass_ms(struct site *s, int64_t ms)
{
    turns_settle(s->loop);
    atomic_fetch_add(&s->fake.clock_offset_us, ms * 1000);
    turns_settle(s->loop);
}

/* Clients. */

struct client {
    struct site *site;
    int fd;
    struct tarn_out got; /* all that came */
    bool has_ended;
    bool was_reset;
};

static inline struct client client_of(struct site *s, int fd)
{
    struct client c = { .site = s, .fd = fd };
    tarn_out_init(&c.got, 64 << 20);
    return c;
}

static inline struct client client_open(struct site *s)
{
    int fd = sys_tcp_connect(&s->at, NULL);
    assert_true(fd >= 0);
    wire_wait(fd, POLLOUT);
    assert_true(sys_connect_done(fd, NULL));
    return client_of(s, fd);
}

static inline void client_close(struct client *c)
{
    sys_close(&c->fd);
    tarn_out_release(&c->got);
}

/* What is there now. */
static inline void client_read(struct client *c)
{
    uint8_t room[65536];
    for (;;) {
        ssize_t n = recv(c->fd, room, sizeof room, MSG_DONTWAIT);
        if (n < 0 && errno == ECONNRESET)
            c->was_reset = true;
        if (n < 0 && errno != ECONNRESET)
            return;
        if (n <= 0) {
            c->has_ended = true;
            return;
        }
        tarn_out_put(&c->got, tarn_bytes_of(room, (size_t)n));
    }
}

static inline bool client_has_ended(struct client *c)
{
    client_read(c);
    return c->has_ended;
}

static inline size_t client_got(struct client *c)
{
    client_read(c);
    return c->got.len;
}

static inline bool client_sees(struct client *c, const char *text)
{
    client_read(c);
    return c->got.len > 0 && memmem(c->got.p, c->got.len, text, strlen(text)) != NULL;
}

static inline bool client_put(struct client *c, struct tarn_bytes bytes, size_t *at)
{
    ssize_t n = send(c->fd, bytes.p + *at, bytes.len - *at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        *at += (size_t)n;
    client_read(c);
    return *at == bytes.len || c->has_ended || (n < 0 && errno == EPIPE);
}

/* All of it, while the server turns and what it answers is read. */
static inline void client_send(struct client *c, struct tarn_bytes bytes)
{
    size_t at = 0;
    TURN_WHILE_DOING(c->site->loop, client_put(c, bytes, &at));
}

static inline void client_say(struct client *c, const char *text)
{
    client_send(c, tarn_bytes_str(text));
}

static inline void client_wait_end(struct client *c)
{
    TURN_WHILE_DOING(c->site->loop, client_has_ended(c));
}

static inline void client_wait_for(struct client *c, const char *text)
{
    TURN_WHILE_DOING(c->site->loop, client_sees(c, text));
}

/* Say it, wait until the server ends the connection, and return all that came as a string, until
 * the next call. */
static inline const char *site_ask(struct site *s, const char *request)
{
    static char answer[1 << 20];
    struct client c = client_open(s);
    client_say(&c, request);
    client_wait_end(&c);
    assert_false(c.was_reset);
    assert_true(c.got.len < sizeof answer);
    if (c.got.len > 0)
        memcpy(answer, c.got.p, c.got.len);
    answer[c.got.len] = '\0';
    client_close(&c);
    return answer;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"
#define GET_CLOSE(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static inline void has(const char *answer, const char *part)
{
    answer = answer == NULL ? "nothing" : answer;
    if (strstr(answer, part) == NULL)
        fail_msg("'%s' is not in: %.2000s", part, answer);
}

static inline void has_not(const char *answer, const char *part)
{
    answer = answer == NULL ? "nothing" : answer;
    if (strstr(answer, part) != NULL)
        fail_msg("'%s' is in: %.2000s", part, answer);
}

static inline void begins(const char *answer, const char *with)
{
    answer = answer == NULL ? "nothing" : answer;
    if (strncmp(answer, with, strlen(with)) != 0)
        fail_msg("does not begin with '%.100s': %.2000s", with, answer);
}

/* The body of a single answer. */
static inline const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

#endif
