/* Fetching from a server that lives on the same loop and answers by path. */
#include "fetch/fetch.h"

#include "fetch/test/room.h"

enum { MANY = 130, LARGE = 5000, BOMB = 32 << 20 };

/* --- what the server answers --- */

static struct tarn_out bomb;

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

static bool serve(struct webserver *s, struct tarn_out *o, const char *path)
{
    static char large[LARGE + 1];
    memset(large, 'x', LARGE);
    char to[200];
    if (strcmp(path, "/ok") == 0) {
        webserver_answer(o, "200 OK", "", "hello");
    } else if (strncmp(path, "/hops/", 6) == 0) {
        snprintf(to, sizeof to, "/hops/%d", atoi(path + 6) - 1);
        webserver_redirect(o, atoi(path + 6) <= 1 ? "/ok" : to);
    } else if (strcmp(path, "/loop") == 0) {
        webserver_redirect(o, "/loop");
    } else if (strcmp(path, "/to-file") == 0) {
        webserver_redirect(o, "file:///etc/passwd");
    } else if (strcmp(path, "/to-local") == 0) {
        webserver_redirect_here(s, o, "127.0.0.1", "/ok");
    } else if (strcmp(path, "/to-public") == 0) {
        webserver_redirect_here(s, o, "127.0.0.2", "/ok");
    } else if (strcmp(path, "/to-public-and-back") == 0) {
        webserver_redirect_here(s, o, "127.0.0.2", "/to-local");
    } else if (strcmp(path, "/large") == 0) {
        webserver_answer(o, "200 OK", "", large);
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
        const struct tarn_out *body = path[1] == 'g' ? &z : &bomb;
        tarn_out_fmt(o, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                     body->len);
        tarn_out_put(o, tarn_out_bytes(body));
        tarn_out_release(&z);
    } else if (strcmp(path, "/no-http") == 0) {
        tarn_out_str(o, "d8:intervali1800e5:peers0:e\r\n\r\n");
    } else if (strcmp(path, "/close") == 0) {
        return false;
    } else {
        webserver_answer(o, "404 Not Found", "", "d14:failure reason2:noe");
    }
    return true;
}

/* --- the tests --- */

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
    webserver_url(&server, url, sizeof url, host, path);
    w->is_done = false;
    w->fetch.done = on_done;
    if (w->fetch.timeout_ms == 0)
        w->fetch.timeout_ms = 30000;
    if (w->fetch.max_body == 0)
        w->fetch.max_body = LARGE;
    fetch_start(fetcher, &w->fetch, url);
    assert_false(w->is_done);
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
    assert_non_null(strstr(server.request, "\r\nUser-Agent: tarn/test\r\n"));
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
    tarn_out_init(&bomb, 16 << 20);
    gzip_zeros(&bomb, BOMB / 258);
    assert_true(bomb.len < BOMB / 100);
    w.fetch.max_body = BOMB / 2;
    get_from(&w, "127.0.0.1", "/bomb");
    assert_int_equal(w.fetch.err.code, TARN_E_POLICY);
    assert_int_equal(w.fetch.body.cap, 0);
    expect("127.0.0.1", "/headers", TARN_E_POLICY, "262144 bytes of headers");
    tarn_out_release(&bomb);
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
    webserver_stop_listening(&server);
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
    TURN_UNTIL(loop, server.now == FETCH_AT_ONCE);
    turns_settle(loop);
    assert_int_equal(server.most, FETCH_AT_ONCE);
    assert_int_equal(n_done, 0);
    fetch_cancel(&w[0].fetch);        /* running */
    fetch_cancel(&w[MANY - 1].fetch); /* waiting */
    fetch_cancel(&w[MANY - 1].fetch);
    w[1].victim = &w[2];
    webserver_go_on(&server);
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

TEST_MAIN(HERE(test_answers), HERE(test_limits), HERE(test_redirects),
          HERE(test_public_may_not_redirect_to_local), HERE(test_time), HERE(test_no_connection),
          HERE(test_bad_urls), HERE(test_many_wait_in_line), HERE(test_late_in_line))
