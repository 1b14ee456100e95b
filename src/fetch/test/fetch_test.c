/* Fetching from a server that lives on the same loop and answers by path. */
#include "fetch/fetch.h"

#include "fetch/priv.h"
#include "loop/stream.h"
#include "loop/test/turns.h"
#include "sys/signals.h"

enum { MANY = 130, LARGE = 5000, BOMB = 32 << 20 };

/* --- the server --- */

struct visitor {
    struct loop_stream stream;
    struct tarn_list node;
};

static struct {
    struct loop *loop;
    struct loop_watch listener;
    struct sys_addr at;
    struct tarn_list visitors;
    int n, most, accepted;
    bool holds; /* answer nobody yet */
    struct tarn_out bomb;
    char agent[100];
} server;

struct bits {
    struct tarn_out *out;
    unsigned held, n;
};

/* Deflate: bits from the low end; Huffman codes with their high bit first. */
static void put_code(struct bits *b, unsigned code, unsigned len)
{
    for (unsigned i = len; i > 0; i--) {
        b->held |= (code >> (i - 1) & 1) << b->n;
        if (++b->n == 8) {
            tarn_out_u8(b->out, (uint8_t)b->held);
            b->held = b->n = 0;
        }
    }
}

static void put_le32(struct tarn_out *out, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        tarn_out_u8(out, (uint8_t)(v >> (8 * i)));
}

/* A gzip file of 1 + 258 n zeros, 13 bits for 258 of them. */
static void gzip_zeros(struct tarn_out *out, size_t n)
{
    static const uint8_t head[10] = { 0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255 };
    tarn_out_put(out, tarn_bytes_of(head, sizeof head));
    struct bits b = { .out = out };
    put_code(&b, 1, 1);    /* last block */
    put_code(&b, 2, 2);    /* fixed codes: 01, low bit first */
    put_code(&b, 0x30, 8); /* 0 */
    for (size_t i = 0; i < n; i++)
        put_code(&b, 0xC5, 8), put_code(&b, 0, 5); /* 258 more like the last */
    put_code(&b, 0, 7);                            /* end */
    while (b.n > 0)
        put_code(&b, 0, 1);
    uint32_t crc = UINT32_MAX, len = (uint32_t)(1 + 258 * n);
    for (uint32_t i = 0; i < len; i++)
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (0xEDB88320 & -(crc & 1));
    put_le32(out, ~crc);
    put_le32(out, len);
}

static void answer(struct tarn_out *o, const char *status, const char *headers, const char *body)
{
    tarn_out_fmt(o, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body), headers,
                 body);
}

static void redirect(struct tarn_out *o, const char *to)
{
    char header[300];
    snprintf(header, sizeof header, "Location: %s\r\n", to);
    answer(o, "302 Found", header, "moved");
}

static void url_here(char *url, size_t size, const char *host, const char *path)
{
    snprintf(url, size, "http://%s:%u%s", host, server.at.port, path);
}

/* False: close the connection. */
static bool serve_path(struct tarn_out *o, const char *path)
{
    static char large[LARGE + 1];
    memset(large, 'x', LARGE);
    char to[200];
    if (strcmp(path, "/ok") == 0) {
        answer(o, "200 OK", "", "hello");
    } else if (strncmp(path, "/hops/", 6) == 0) {
        snprintf(to, sizeof to, "/hops/%d", atoi(path + 6) - 1);
        redirect(o, atoi(path + 6) <= 1 ? "/ok" : to);
    } else if (strcmp(path, "/loop") == 0) {
        redirect(o, "/loop");
    } else if (strcmp(path, "/to-file") == 0) {
        redirect(o, "file:///etc/passwd");
    } else if (strcmp(path, "/to-local") == 0) {
        url_here(to, sizeof to, "127.0.0.1", "/ok");
        redirect(o, to);
    } else if (strcmp(path, "/to-public") == 0) {
        url_here(to, sizeof to, "127.0.0.2", "/ok");
        redirect(o, to);
    } else if (strcmp(path, "/to-public-and-back") == 0) {
        url_here(to, sizeof to, "127.0.0.2", "/to-local");
        redirect(o, to);
    } else if (strcmp(path, "/large") == 0) {
        answer(o, "200 OK", "", large);
    } else if (strcmp(path, "/endless") == 0) {
        tarn_out_fmt(o, "HTTP/1.1 200 OK\r\n\r\n%s", large);
    } else if (strcmp(path, "/slow") == 0) {
        tarn_out_str(o, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nwait");
    } else if (strcmp(path, "/headers") == 0) {
        tarn_out_str(o, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 100; i++)
            tarn_out_fmt(o, "X-%d: %s\r\n", i, large);
        tarn_out_str(o, "\r\n");
    } else if (strcmp(path, "/bomb") == 0 || strcmp(path, "/gzip") == 0) {
        struct tarn_out z;
        tarn_out_init(&z, 16 << 20);
        if (path[1] == 'g')
            gzip_zeros(&z, 10);
        const struct tarn_out *body = path[1] == 'g' ? &z : &server.bomb;
        tarn_out_fmt(o, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                     body->len);
        tarn_out_put(o, tarn_out_bytes(body));
        tarn_out_release(&z);
    } else if (strcmp(path, "/no-http") == 0) {
        tarn_out_str(o, "d8:intervali1800e5:peers0:e\r\n\r\n");
    } else if (strcmp(path, "/close") == 0) {
        return false;
    } else {
        answer(o, "404 Not Found", "", "d14:failure reason2:noe");
    }
    return true;
}

static void bid_farewell(struct visitor *v)
{
    loop_stream_release(&v->stream);
    tarn_list_remove(&v->node);
    tarn_free(v);
    server.n--;
}

static void on_bytes(struct loop_stream *s, size_t placed, struct tarn_cur *in)
{
    (void)placed;
    struct visitor *v = TARN_OUTER(s, struct visitor, stream);
    struct tarn_bytes b = tarn_cur_rest(in);
    const char *end = b.len == 0 ? NULL : memmem(b.p, b.len, "\r\n\r\n", 4);
    char request[4000], path[300];
    if (end == NULL || server.holds || b.len >= sizeof request)
        return;
    b = tarn_cur_take(in, (size_t)(end + 4 - (const char *)b.p));
    if (b.p != NULL)
        memcpy(request, b.p, b.len);
    request[b.len] = 0;
    assert_int_equal(sscanf(request, "GET %299s HTTP/1.1", path), 1);
    const char *agent = strstr(request, "User-Agent: ");
    if (agent != NULL)
        sscanf(agent, "User-Agent: %99[^\r]", server.agent);
    if (!serve_path(loop_stream_out(s), path))
        bid_farewell(v);
}

static void on_end(struct loop_stream *s, const struct tarn_err *err)
{
    (void)err;
    bid_farewell(TARN_OUTER(s, struct visitor, stream));
}

static const struct loop_stream_ops ops = { .on_bytes = on_bytes, .on_end = on_end };

static void on_visitor(struct loop_watch *w, unsigned events)
{
    (void)events;
    int fd;
    struct sys_addr from;
    while (sys_tcp_accept(w->fd, &fd, &from, NULL) == SYS_IO_DONE) {
        struct visitor *v = tarn_calloc(1, sizeof *v);
        assert_non_null(v);
        tarn_list_push_back(&server.visitors, &v->node);
        assert_true(loop_stream_accept(&v->stream, server.loop, &ops, fd, &from, NULL));
        server.accepted++;
        if (++server.n > server.most)
            server.most = server.n;
    }
}

static void server_begin(struct loop *l)
{
    memset(&server, 0, sizeof server);
    server.loop = l;
    tarn_list_init(&server.visitors);
    server.at = sys_addr_any(false, 0); /* all of 127/8 */
    server.listener.fd = sys_tcp_listen(&server.at, NULL);
    assert_true(server.listener.fd >= 0);
    assert_true(sys_local_addr(server.listener.fd, &server.at, NULL));
    server.listener.on_ready = on_visitor;
    assert_true(loop_watch_set(l, &server.listener, SYS_READABLE, NULL));
}

static void server_end(void)
{
    while (!tarn_list_empty(&server.visitors))
        bid_farewell(TARN_OUTER(server.visitors.next, struct visitor, node));
    loop_watch_remove(server.loop, &server.listener);
    sys_close(&server.listener.fd);
    tarn_out_release(&server.bomb);
}

/* --- the tests --- */

static struct loop *loop;
static struct fetcher *fetcher;

struct wish {
    struct fetch fetch;
    bool is_done;
    struct wish *victim;
};

static int n_done;

static void on_done(struct fetch *f)
{
    struct wish *w = TARN_OUTER(f, struct wish, fetch);
    assert_false(w->is_done);
    w->is_done = true;
    n_done++;
    if (w->victim != NULL)
        fetch_cancel(&w->victim->fetch);
}

static void wish_for(struct wish *w, const char *host, const char *path)
{
    char url[300];
    url_here(url, sizeof url, host, path);
    w->is_done = false;
    w->fetch.done = on_done;
    if (w->fetch.timeout_ms == 0)
        w->fetch.timeout_ms = 30000;
    if (w->fetch.max_body == 0)
        w->fetch.max_body = LARGE;
    fetch_start(fetcher, &w->fetch, url);
    assert_false(w->is_done);
}

/* In 127/8, 127.0.0.2 plays the public server. */
static bool is_local_here(const struct sys_addr *a)
{
    return a->ip[3] != 2;
}

static void get_from(struct wish *w, const char *host, const char *path)
{
    wish_for(w, host, path);
    TURN_UNTIL(loop, w->is_done);
}

static void expect(const char *host, const char *path, enum tarn_code code, const char *text)
{
    struct wish w = { 0 };
    get_from(&w, host, path);
    assert_false(w.fetch.ok);
    assert_int_equal(w.fetch.err.code, code);
    if (strstr(w.fetch.err.msg, text) == NULL)
        fail_msg("'%s' does not say '%s'", w.fetch.err.msg, text);
    tarn_out_release(&w.fetch.body);
}

static void expect_hello(const char *host, const char *path)
{
    struct wish w = { 0 };
    get_from(&w, host, path);
    if (!w.fetch.ok)
        fail_msg("%s", w.fetch.err.msg);
    assert_int_equal(w.fetch.status, 200);
    assert_true(tarn_bytes_eq_str(tarn_out_bytes(&w.fetch.body), "hello"));
    tarn_out_release(&w.fetch.body);
}

static void test_answers(void **state)
{
    (void)state;
    expect_hello("127.0.0.1", "/ok");
    assert_string_equal(server.agent, "tarn/test");
    expect_hello("localhost", "/ok");
    struct wish w = { 0 };
    get_from(&w, "127.0.0.1", "/no-such");
    assert_false(w.fetch.ok);
    assert_int_equal(w.fetch.status, 404);
    assert_int_equal(w.fetch.err.code, TARN_E_NOT_FOUND);
    assert_true(tarn_bytes_eq_str(tarn_out_bytes(&w.fetch.body), "d14:failure reason2:noe"));
    get_from(&w, "127.0.0.1", "/large"); /* exactly the limit; the struct is used again */
    assert_true(w.fetch.ok);
    assert_int_equal(w.fetch.body.len, LARGE);
    get_from(&w, "127.0.0.1", "/gzip");
    assert_true(w.fetch.ok);
    assert_int_equal(w.fetch.body.len, 1 + 258 * 10);
    tarn_out_release(&w.fetch.body);
    expect("127.0.0.1", "/no-http", TARN_E_NETWORK, "that is no HTTP");
}

static void test_limits(void **state)
{
    (void)state;
    struct wish w = { .fetch = { .max_body = LARGE - 1 } };
    static const char *const paths[] = { "/large", "/endless" };
    for (size_t i = 0; i < TARN_COUNT_OF(paths); i++) {
        get_from(&w, "127.0.0.1", paths[i]);
        assert_false(w.fetch.ok);
        assert_int_equal(w.fetch.status, 0);
        assert_int_equal(w.fetch.body.len, 0);
        assert_int_equal(w.fetch.err.code, TARN_E_POLICY);
        assert_non_null(strstr(w.fetch.err.msg, "is longer than 4999 bytes"));
    }
    tarn_out_init(&server.bomb, 16 << 20);
    gzip_zeros(&server.bomb, BOMB / 258);
    assert_true(server.bomb.len < BOMB / 100);
    w.fetch.max_body = BOMB / 2;
    get_from(&w, "127.0.0.1", "/bomb");
    assert_int_equal(w.fetch.err.code, TARN_E_POLICY);
    assert_int_equal(w.fetch.body.cap, 0);
    expect("127.0.0.1", "/headers", TARN_E_POLICY, "262144 bytes of headers");
}

static void test_redirects(void **state)
{
    (void)state;
    expect_hello("127.0.0.1", "/hops/5");
    expect("127.0.0.1", "/hops/6", TARN_E_POLICY, "redirects more than 5 times");
    expect("127.0.0.1", "/loop", TARN_E_POLICY, "redirects more than 5 times");
    expect("127.0.0.1", "/to-file", TARN_E_POLICY, "neither http nor https");
}

static void test_public_may_not_redirect_to_local(void **state)
{
    (void)state;
    fetcher_set_local(fetcher, is_local_here);
    expect("127.0.0.2", "/to-local", TARN_E_POLICY, "redirects to the local address 127.0.0.1");
    turns_settle(loop);
    assert_int_equal(server.accepted, 1); /* it has not even been connected to */
    for (int i = 0; i < 3; i++) { /* the later ones find connections that are open already */
        expect("127.0.0.2", "/to-local", TARN_E_POLICY, "redirects to the local address 127.0.0.1");
        expect("127.0.0.1", "/to-public-and-back", TARN_E_POLICY, "redirects to the local address");
        expect_hello("127.0.0.1", "/to-local");
        expect_hello("127.0.0.1", "/to-public");
        expect_hello("127.0.0.2", "/to-public");
        expect_hello("127.0.0.2", "/hops/3");
    }
}

static void test_time(void **state)
{
    (void)state;
    struct wish w = { .fetch = { .timeout_ms = 50 } };
    get_from(&w, "127.0.0.1", "/slow");
    assert_false(w.fetch.ok);
    assert_int_equal(w.fetch.err.code, TARN_E_NETWORK);
    assert_non_null(strstr(w.fetch.err.msg, "within 50 ms"));
    assert_int_equal(w.fetch.body.len, 0);
    tarn_out_release(&w.fetch.body);
}

static void test_no_connection(void **state)
{
    (void)state;
    expect("127.0.0.1", "/close", TARN_E_NETWORK, "cannot fetch from '127.0.0.1:");
    loop_watch_remove(loop, &server.listener);
    sys_close(&server.listener.fd);
    expect("127.0.0.1", "/ok", TARN_E_NETWORK, "cannot fetch from '127.0.0.1:");
}

static void test_bad_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum tarn_code code;
    } table[] = {
        { "", TARN_E_USAGE },
        { "http://", TARN_E_USAGE },
        { "http://a b/", TARN_E_USAGE },
        { "file:///etc/passwd", TARN_E_POLICY },
        { "ftp://127.0.0.1/", TARN_E_POLICY },
        { "udp://127.0.0.1:6969/announce", TARN_E_POLICY },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(table); i++) {
        struct wish w = { .fetch = { .max_body = 10, .timeout_ms = 10000, .done = on_done } };
        fetch_start(fetcher, &w.fetch, table[i].url);
        TURN_UNTIL(loop, w.is_done);
        assert_false(w.fetch.ok);
        if (w.fetch.err.code != table[i].code)
            fail_msg("%s: %s", table[i].url, w.fetch.err.msg);
        tarn_out_release(&w.fetch.body);
    }
    /* A secret in the URL is in no message. */
    struct wish w = { .fetch = { .max_body = 10, .timeout_ms = 10000, .done = on_done } };
    fetch_start(fetcher, &w.fetch, "http://me:pass@127.0.0.1:1/announce?passkey=abcd");
    TURN_UNTIL(loop, w.is_done);
    assert_null(strstr(w.fetch.err.msg, "pass"));
    assert_null(strstr(w.fetch.err.msg, "abcd"));
    tarn_out_release(&w.fetch.body);
}

static void test_many_wait_in_line(void **state)
{
    (void)state;
    struct wish *w = tarn_calloc(MANY, sizeof *w);
    assert_non_null(w);
    n_done = 0;
    server.holds = true;
    for (int i = 0; i < MANY; i++)
        wish_for(&w[i], "127.0.0.1", "/ok");
    TURN_UNTIL(loop, server.n == FETCH_AT_ONCE);
    turns_settle(loop);
    assert_int_equal(server.most, FETCH_AT_ONCE);
    assert_int_equal(n_done, 0);
    fetch_cancel(&w[0].fetch);        /* running */
    fetch_cancel(&w[MANY - 1].fetch); /* waiting */
    fetch_cancel(&w[MANY - 1].fetch);
    w[1].victim = &w[2];
    server.holds = false;
    struct tarn_list *node = server.visitors.next;
    for (; node != &server.visitors; node = node->next) { /* offered again */
        struct visitor *v = TARN_OUTER(node, struct visitor, node);
        v->stream.has_unread = true;
        loop_stream_resume(&v->stream);
    }
    TURN_UNTIL(loop, n_done >= MANY - 3 && w[1].is_done);
    turns_settle(loop);
    assert_true(n_done == MANY - 2 - !w[2].is_done);
    for (int i = 0; i < MANY; i++)
        tarn_out_release(&w[i].fetch.body);
    tarn_free(w);
}

/* Waiting in line counts: the timeout is for all of it. */
static void test_late_in_line(void **state)
{
    (void)state;
    struct wish *w = tarn_calloc(MANY, sizeof *w);
    assert_non_null(w);
    n_done = 0;
    server.holds = true;
    for (int i = 0; i < MANY; i++) {
        w[i].fetch.timeout_ms = i == MANY - 1 ? 50 : 30000;
        wish_for(&w[i], "127.0.0.1", "/ok");
    }
    TURN_UNTIL(loop, w[MANY - 1].is_done);
    assert_int_equal(n_done, 1);
    assert_non_null(strstr(w[MANY - 1].fetch.err.msg, "within 50 ms"));
    fetcher_free(fetcher); /* cancels the others */
    fetcher = NULL;
    turns_settle(loop);
    assert_int_equal(n_done, 1);
    for (int i = 0; i < MANY; i++) {
        fetch_cancel(&w[i].fetch);
        tarn_out_release(&w[i].fetch.body);
    }
    tarn_free(w);
}

static int enter(void **state)
{
    sys_ignore_sigpipe();
    setenv("no_proxy", "*", 1);
    if (room_enter(state) != 0)
        return -1;
    loop = turns_loop(1);
    fetcher = fetcher_new(loop, "tarn/test", NULL);
    assert_non_null(fetcher);
    server_begin(loop);
    return 0;
}

static int leave(void **state)
{
    fetcher_free(fetcher);
    server_end();
    loop_free(loop);
    return room_leave(state);
}

#define HERE(test) \
    { #test " (native)", test, enter, leave, &room_native }, \
    { \
#test " (plain)", test, enter, leave, &room_plain \
    }

TEST_MAIN(HERE(test_answers), HERE(test_limits), HERE(test_redirects),
          HERE(test_public_may_not_redirect_to_local), HERE(test_time), HERE(test_no_connection),
          HERE(test_bad_urls), HERE(test_many_wait_in_line), HERE(test_late_in_line))
