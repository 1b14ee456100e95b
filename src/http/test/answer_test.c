/* Answers as a client sees them: heads, framing, methods, errors, bodies of requests. */
#include "http/test/site.h"

static void a_constant_answer(void **state)
{
    (void)state;
    struct http_settings set = { .name = "tarn/0" };
    struct site *s = site_open(&set);
    const char *a = site_ask(s, GET_CLOSE("/hello"));
    begins(a, "HTTP/1.1 200 OK\r\nDate: ");
    has(a, "\r\nServer: tarn/0\r\n");
    has(a, "\r\nContent-Type: text/plain\r\n");
    has(a, "\r\nContent-Length: 14\r\n");
    has(a, "\r\nConnection: close\r\n");
    assert_string_equal(body_of(a), "Hello, world!\n");
    site_close(s);
}

static void heads_have_no_bodies(void **state)
{
    (void)state;
    static const char *const paths[] = { "/hello", "/small", "/big", "/stream", "/nothing" };
    struct site *s = site_open(NULL);
    for (size_t i = 0; i < TARN_COUNT_OF(paths); i++) {
        char request[200];
        snprintf(request, sizeof request,
                 "HEAD %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", paths[i]);
        assert_string_equal(body_of(site_ask(s, request)), "");
    }
    has(site_ask(s, "HEAD /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        "\r\nContent-Length: 300000\r\n");
    site_close(s);
}

static void connections_are_kept(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    /* 1.1 unless told, 1.0 only when asked */
    const char *a = site_ask(s, GET("/hello") GET("/etag") GET_CLOSE("/hello") GET("/hello"));
    has(a, "tagged\n");
    assert_int_equal(s->asked, 3); /* nothing behind `close` is looked at */
    a = site_ask(s, "GET /hello HTTP/1.0\r\n\r\n");
    begins(a, "HTTP/1.1 200 OK\r\n");
    has_not(a, "keep-alive");
    a = site_ask(s, "GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
                    "GET /hello HTTP/1.0\r\n\r\n");
    has(a, "keep-alive");
    assert_int_equal(s->asked, 6);
    site_close(s);
}

static void errors_are_for_people(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    const char *a = site_ask(s, GET_CLOSE("/nothing"));
    begins(a, "HTTP/1.1 404 Not Found\r\n");
    assert_string_equal(body_of(a), "404 Not Found\nThere is no <such> thing.\n");
    a = site_ask(s, "GET /nothing HTTP/1.1\r\nHost: x\r\nAccept: text/html,*/*;q=0.8\r\n"
                    "Connection: close\r\n\r\n");
    has(a, "Content-Type: text/html");
    has(a, "There is no &lt;such&gt; thing.");
    a = site_ask(s, "GET /nothing HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n"
                    "Connection: close\r\n\r\n");
    has(a, "\r\nContent-Type: application/problem+json\r\n");
    has(a, "\r\nVary: Accept\r\n");
    assert_string_equal(body_of(a),
                        "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
                        "\"detail\":\"There is no <such> thing.\",\"code\":\"not-found\","
                        "\"exit\":5}\n");
    a = site_ask(s, "GET /nothing HTTP/1.1\r\nHost: x\r\nAccept: application/problem+json\r\n"
                    "Connection: close\r\n\r\n");
    has(a, "\r\nContent-Type: application/problem+json\r\n");
    site_close(s);
}

/* A server for programs: whoever sends what is no request gets JSON too. */
static void errors_of_a_server_for_programs(void **state)
{
    (void)state;
    static const struct {
        const char *request, *status, *told;
    } cases[] = {
        { "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404",
          "\"code\":\"not-found\",\"exit\":5}" },
        { "nonsense\r\n\r\n", "400", "\"code\":\"usage\",\"exit\":2}" },
        { "GET / HTTP/2.0\r\n\r\n", "505", "\"code\":\"usage\",\"exit\":2}" },
        { "BREW /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "501",
          "\"code\":\"usage\",\"exit\":2}" },
        { "GET /0123456789012345678901234567890123456789 HTTP/1.1\r\n\r\n", "414",
          "\"code\":\"usage\",\"exit\":2}" },
        { "GET / HTTP/1.1\r\nHost: 0123456789012345678901234567890123456789\r\n\r\n", "431",
          "\"code\":\"usage\",\"exit\":2}" },
        { "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n", "413",
          "\"code\":\"usage\",\"exit\":2}" },
        { "GET /etag HTTP/1.1\r\nIf-Match: \"x\"\r\nHost: x\r\nConnection: close\r\n\r\n", "412",
          "\"code\":\"policy\",\"exit\":9}" },
        { "GET /bad HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "500",
          "\"code\":\"failed\",\"exit\":1}" },
    };
    struct site *s = site_open(&(struct http_settings){
        .has_json_errors = true, .head = { .line = 50, .block = 47, .fields = 9 } });
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        const char *a = site_ask(s, cases[i].request);
        char status[40];
        snprintf(status, sizeof status, "\"status\":%s,\"detail\":\"", cases[i].status);
        has(a, "\r\nContent-Type: application/problem+json\r\n");
        has_not(a, "\r\nVary: ");
        has(body_of(a), "{\"type\":\"about:blank\",\"title\":\"");
        has(body_of(a), status);
        has(body_of(a), cases[i].told);
    }
    struct client slow = client_open(s);
    client_say(&slow, "GET /hello HTTP/1.1\r\n");
    site_pass_ms(s, 11000);
    client_wait_end(&slow);
    assert_true(client_sees(&slow, "HTTP/1.1 408 "));
    assert_true(client_sees(&slow, "\"code\":\"network\",\"exit\":6}\n"));
    client_close(&slow);
    site_close(s);
}

static void methods(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    const char *a = site_ask(s, "DELETE /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    begins(a, "HTTP/1.1 405 ");
    has(a, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
    a = site_ask(s, "BREW /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    begins(a, "HTTP/1.1 501 ");
    a = site_ask(s, "OPTIONS /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    begins(a, "HTTP/1.1 204 ");
    has(a, "\r\nAllow: GET, HEAD, OPTIONS\r\n");
    has_not(a, "Content-Length");
    assert_string_equal(body_of(a), "");
    site_close(s);
}

static void an_etag_answers_conditions(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    const char *a = site_ask(s, "GET /etag HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"t\"\r\n"
                                "Connection: close\r\n\r\n");
    begins(a, "HTTP/1.1 304 ");
    has(a, "\r\nETag: \"t\"\r\n");
    assert_string_equal(body_of(a), "");
    a = site_ask(s, "GET /etag HTTP/1.1\r\nHost: x\r\nIf-Match: \"u\"\r\n"
                    "Connection: close\r\n\r\n");
    begins(a, "HTTP/1.1 412 ");
    site_close(s);
}

static void no_answer_is_split(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    const char *a = site_ask(s, GET_CLOSE("/bad"));
    begins(a, "HTTP/1.1 500 ");
    has_not(a, "Set-Cookie");
    site_close(s);
}

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    const char *a = site_ask(s, "GET /hello HTTP/1.1\r\nHost : x\r\n\r\n" GET("/hello"));
    begins(a, "HTTP/1.1 400 ");
    has(a, "\r\nConnection: close\r\n");
    a = site_ask(s, "GET /hello HTTP/1.1\r\n\r\n");
    begins(a, "HTTP/1.1 400 ");
    a = site_ask(s, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET("/hello"));
    begins(a, "HTTP/1.1 400 ");
    a = site_ask(s, "GET /hello HTTP/2.0\r\nHost: x\r\n\r\n");
    begins(a, "HTTP/1.1 505 ");
    a = site_ask(s, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "zz\r\n" GET("/hello"));
    begins(a, "HTTP/1.1 400 ");
    assert_int_equal(s->asked, 1); /* the last: its head was good */
    assert_int_equal(site_counters(s).refused, 5);
    site_close(s);
}

static void bodies(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    const char *a =
        site_ask(s, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"
                    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nfgh\r\n2;x=y\r\nij\r\n0\r\nA: b\r\n\r\n" GET_CLOSE("/echo"));
    has(a, "\r\n\r\nabcdeHTTP/1.1 200 OK");
    has(a, "\r\n\r\nfghijHTTP/1.1 200 OK");
    assert_int_equal(s->asked, 3);
    /* not read by who answers: dropped, and the connection goes on */
    a = site_ask(s, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nGET /"
                    "POST /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "5\r\nGET /\r\n0\r\n\r\n" GET_CLOSE("/etag"));
    has(a, "tagged\n");
    assert_int_equal(s->asked, 6);
    site_close(s);
}

static void a_client_that_waits_for_100(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client c = client_open(s);
    client_say(&c, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                   "Expect: 100-continue\r\nConnection: close\r\n\r\n");
    client_wait_for(&c, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(c.got.len, strlen("HTTP/1.1 100 Continue\r\n\r\n"));
    client_say(&c, "abcde");
    client_wait_for(&c, "\r\n\r\nabcde");
    client_close(&c);
    /* the body came by itself: no 100 */
    const char *a = site_ask(s, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                                "Expect: 100-continue\r\nConnection: close\r\n\r\nabcde");
    begins(a, "HTTP/1.1 200 OK\r\n");
    /* who is refused does not send it: the connection cannot go on */
    a = site_ask(s, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n"
                    "Expect: 100-continue\r\n\r\n");
    begins(a, "HTTP/1.1 413 ");
    has(a, "\r\nConnection: close\r\n");
    has_not(a, "100 Continue");
    a = site_ask(s, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                    "Expect: 100-continue\r\n\r\n");
    begins(a, "HTTP/1.1 200 OK\r\n");
    has(a, "\r\nConnection: close\r\n");
    site_close(s);
}

/* The content of a chunked body, in place. */
static size_t unchunk(uint8_t *p, size_t len)
{
    size_t to = 0, at = 0;
    for (;;) {
        char *end;
        assert_true(at < len);
        size_t n = strtoul((char *)p + at, &end, 16);
        at = (size_t)(end - (char *)p) + 2;
        assert_memory_equal(end, "\r\n", 2);
        assert_true(at + n + 2 <= len);
        memmove(p + to, p + at, n);
        to += n;
        at += n;
        assert_memory_equal(p + at, "\r\n", 2);
        at += 2;
        if (n == 0) {
            assert_int_equal(at, len);
            return to;
        }
    }
}

static void bodies_of_no_known_length(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client c = client_open(s);
    client_say(&c, GET_CLOSE("/stream"));
    client_wait_end(&c);
    tarn_out_u8(&c.got, 0);
    assert_non_null(strstr((char *)c.got.p, "\r\nTransfer-Encoding: chunked\r\n"));
    uint8_t *body = c.got.p + (body_of((char *)c.got.p) - (char *)c.got.p);
    size_t len = unchunk(body, c.got.len - 1 - (size_t)(body - c.got.p));
    assert_int_equal(len, BIG);
    assert_memory_equal(body, s->bytes, BIG);
    client_close(&c);

    c = client_open(s);
    client_say(&c, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client_wait_end(&c);
    tarn_out_u8(&c.got, 0);
    assert_null(strstr((char *)c.got.p, "chunked"));
    body = c.got.p + (body_of((char *)c.got.p) - (char *)c.got.p);
    assert_int_equal(c.got.p + c.got.len - 1 - body, BIG);
    assert_memory_equal(body, s->bytes, BIG);
    client_close(&c);
    site_close(s);
}

static void the_owner_may_cut_a_stream(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client c = client_open(s);
    client_say(&c, GET("/never"));
    TURN_UNTIL(s->loop, s->never != NULL);
    struct http_answer a = { .status = 200 };
    struct http_stream st = { 0 };
    http_answer_stream(s->never, &a, &st);
    http_stream_put(s->never, tarn_bytes_str("some"));
    client_wait_for(&c, "some\r\n");
    http_stream_cut(s->never);
    client_wait_end(&c);
    assert_false(client_sees(&c, "\r\n0\r\n"));
    assert_int_equal(s->over, 1);
    client_close(&c);
    site_close(s);
}

/* A client that shuts its side down still reads its answers. */
static void half_closed_clients_are_answered(void **state)
{
    (void)state;
    static const char *const paths[] = { "/hello", "/late", "/big", "/stream" };
    struct site *s = site_open(NULL);
    for (size_t i = 0; i < TARN_COUNT_OF(paths); i++) {
        char request[200];
        snprintf(request, sizeof request,
                 "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
                 "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
                 paths[i]);
        struct client c = client_open(s);
        size_t at = 0;
        assert_true(client_put(&c, tarn_bytes_str(request), &at));
        assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
        client_wait_end(&c);
        assert_false(c.was_reset);
        assert_true(c.got.len > (i >= 2 ? BIG : 200));
        client_close(&c);
    }
    assert_int_equal(s->over, 8);
    site_close(s);
}

/* The n-th allocation fails, for every n: connections may end, and nothing else. */
static void memory_runs_out(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    for (size_t n = 0; n < 40; n++) {
        struct client c = client_open(s);
        test_mem_fail_after(n);
        size_t at = 0;
        struct tarn_bytes all =
            tarn_bytes_str(GET("/hello") GET("/big") GET("/late")
                               GET("/stream") "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: "
                                              "5\r\n\r\nabcde" GET("/nothing"));
        (void)client_put(&c, all, &at);
        turns_settle(s->loop);
        test_mem_normal();
        client_close(&c);
        TURN_UNTIL(s->loop, site_counters(s).connections == 0);
    }
    assert_string_equal(body_of(site_ask(s, GET_CLOSE("/hello"))), "Hello, world!\n");
    site_close(s);
}

TEST_MAIN(ON_BOTH(a_constant_answer), ON_BOTH(heads_have_no_bodies), ON_BOTH(connections_are_kept),
          ON_BOTH(errors_are_for_people), ON_BOTH(errors_of_a_server_for_programs),
          ON_BOTH(methods), ON_BOTH(an_etag_answers_conditions), ON_BOTH(no_answer_is_split),
          ON_BOTH(what_is_no_request_is_refused), ON_BOTH(bodies),
          ON_BOTH(a_client_that_waits_for_100), ON_BOTH(bodies_of_no_known_length),
          ON_BOTH(the_owner_may_cut_a_stream), ON_BOTH(half_closed_clients_are_answered),
          ON_BOTH(memory_runs_out))
