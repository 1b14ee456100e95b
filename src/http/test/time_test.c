/* Times and limits: whoever is slow, greedy or silent costs little, and is told so where he can be.
 */
#include "http/test/site.h"

static void a_head_byte_by_byte(void **state)
{
    (void)state;
    static const char head[] = "GET /hello HTTP/1.1\r\nHost: x\r\nX-Slow: lo";
    struct site *s = site_open(NULL);
    struct client c = client_open(s);
    size_t n = 0;
    for (; n < strlen(head) && !client_has_ended(&c); n++) { /* a byte each second */
        client_send(&c, tarn_bytes_of(head + n, 1));
        site_pass_ms(s, 1000);
    }
    assert_in_range(n, 9, 12); /* ten seconds are the limit */
    client_wait_end(&c);
    assert_true(client_sees(&c, "HTTP/1.1 408 "));
    assert_true(client_sees(&c, "\r\nConnection: close\r\n"));
    assert_int_equal(site_counters(s).timed_out[HTTP_LATE_HEAD], 1);
    assert_int_equal(s->asked, 0);
    client_close(&c);
    site_close(s);
}

/* The clock of each head begins with its first byte, however long the connection is there. */
static void each_head_has_its_own_time(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client c = client_open(s);
    for (int i = 0; i < 5; i++) {
        client_say(&c, "GET /hello HTTP/1.1\r\nHo");
        site_pass_ms(s, 8000);
        client_say(&c, "st: x\r\n\r\nGET /hello HTTP/1.1\r\nHo");
        site_pass_ms(s, 8000);
        client_say(&c, "st: x\r\n\r\n");
        site_pass_ms(s, 60000);
        assert_false(client_has_ended(&c));
    }
    TURN_UNTIL(s->loop, s->over == 10);
    client_close(&c);
    site_close(s);
}

static void who_says_nothing_is_closed(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client silent = client_open(s), idle = client_open(s);
    client_say(&idle, GET("/hello"));
    client_wait_for(&idle, "Hello");
    site_pass_ms(s, 9000);
    assert_false(client_has_ended(&silent));
    site_pass_ms(s, 1100);
    client_wait_end(&silent);
    assert_int_equal(silent.got.len, 0);
    site_pass_ms(s, 64000);
    assert_false(client_has_ended(&idle));
    size_t before = idle.got.len;
    site_pass_ms(s, 2000);
    client_wait_end(&idle);
    assert_int_equal(idle.got.len, before);
    assert_int_equal(site_counters(s).timed_out[HTTP_LATE_IDLE], 2);
    client_close(&silent);
    client_close(&idle);
    site_close(s);
}

static void a_body_must_come_on(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client slow = client_open(s), steady = client_open(s);
    static const char head[] = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n";
    client_say(&slow, head);
    client_say(&steady, head);
    for (int i = 0; i < 2; i++) { /* 30,720 bytes in 30 s are enough, 1,000 are not */
        client_send(&steady, tarn_bytes_of(s->bytes, 31000));
        client_send(&slow, tarn_bytes_of(s->bytes, 1000));
        turns_settle(s->loop);
        site_pass_ms(s, 30100);
    }
    client_wait_end(&slow);
    assert_true(client_sees(&slow, "HTTP/1.1 408 "));
    assert_int_equal(s->over, 1);
    client_send(&steady, tarn_bytes_of(s->bytes, 28000));
    client_wait_for(&steady, "HTTP/1.1 200 ");
    assert_int_equal(site_counters(s).timed_out[HTTP_LATE_BODY], 1);
    client_close(&slow);
    client_close(&steady);
    site_close(s);
}

/* A client made slow on purpose: with so small a receive buffer (the product sets none)
 * its kernel takes little, and an answer waits at the server until the client reads. */
static struct client open_narrow(struct site *s)
{
    struct sys_addr at = s->at;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(at.port) };
    memcpy(&to.sin_addr, at.ip, 4);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), size = 4096;
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return client_of(s, fd);
}

static void ask_much(struct client *c, const char *request, int times)
{
    for (int i = 0; i < times; i++)
        (void)send(c->fd, request, strlen(request), MSG_DONTWAIT | MSG_NOSIGNAL);
    turns_settle(c->site->loop);
}

static bool has_read(struct client *c, size_t *left)
{
    uint8_t room[3000];
    ssize_t n = recv(c->fd, room, tarn_min_size(*left, sizeof room), MSG_DONTWAIT);
    if (n > 0)
        *left -= (size_t)n;
    return *left == 0;
}

static void a_client_that_does_not_read_is_closed(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client still = open_narrow(s), slow = open_narrow(s);
    ask_much(&still, GET("/big"), 30);
    ask_much(&slow, GET("/big"), 30);
    for (int i = 0; i < 8; i++) {
        site_pass_ms(s, 20000);
        size_t left = 300000;
        TURN_WHILE_DOING(s->loop, has_read(&slow, &left));
    }
    TURN_UNTIL(s->loop, site_counters(s).connections == 1);
    assert_int_equal(site_counters(s).timed_out[HTTP_LATE_WRITE], 1);
    client_close(&still);
    client_close(&slow);
    site_close(s);
}

/* Long answers that nobody reads have so much memory and no more: the oldest makes room. */
static void who_does_not_read_makes_room(void **state)
{
    (void)state;
    enum { N = 10, KEPT = 3 };
    struct site *s = site_open(&(struct http_settings){ .max_held = KEPT * (BIG + 1000) });
    struct client c[N];
    for (int i = 0; i < N; i++) {
        c[i] = open_narrow(s);
        ask_much(&c[i], GET("/long"), 1);
        TURN_UNTIL(s->loop, s->asked == (unsigned)i + 1);
        turns_settle(s->loop);
        assert_true(site_counters(s).connections <= KEPT);
    }
    assert_int_equal(site_counters(s).evicted, N - KEPT);
    for (int i = 0; i < N; i++) {
        if (i < N - KEPT)
            client_wait_end(&c[i]);
        else
            TURN_WHILE_DOING(s->loop, client_got(&c[i]) > BIG);
        assert_int_equal(client_got(&c[i]) > BIG, i >= N - KEPT);
    }
    assert_true(s->asked == N && s->over == N); /* what was read makes room too */
    for (int i = 0; i < N; i++) {
        ask_much(&c[N - 1], GET("/long"), 1);
        TURN_WHILE_DOING(s->loop, client_got(&c[N - 1]) > (size_t)(i + 2) * BIG);
    }
    assert_int_equal(site_counters(s).evicted, N - KEPT);
    for (int i = 0; i < N; i++)
        client_close(&c[i]);
    site_close(s);
}

static bool has_all(struct client *c)
{
    static const char end[] = "\r\n\r\n";
    client_read(c);
    const uint8_t *at = c->got.len == 0 ? NULL : memmem(c->got.p, c->got.len, end, strlen(end));
    return at != NULL && c->got.len - (size_t)(at - c->got.p) == strlen(end) + BIG;
}

static struct client ask_owing(struct site *s)
{
    struct client c = open_narrow(s);
    unsigned before = s->asked;
    ask_much(&c, "GET /long HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 1);
    TURN_UNTIL(s->loop, s->asked == before + 1);
    turns_settle(s->loop);
    return c;
}

/* The same for who owes a body besides: the answer lies in memory, whatever the connection waits
 * for. */
static void who_owes_a_body_makes_room(void **state)
{
    (void)state;
    enum { N = 10, KEPT = 3 };
    struct site *s = site_open(&(struct http_settings){ .max_held = KEPT * (BIG + 1000) });
    struct client c[N], more[KEPT];
    for (int i = 0; i < N; i++) {
        c[i] = ask_owing(s);
        assert_true(site_counters(s).connections <= KEPT);
    }
    assert_int_equal(site_counters(s).evicted, N - KEPT);
    assert_int_equal(s->over, N - KEPT);
    for (int i = 0; i < N - KEPT; i++)
        client_wait_end(&c[i]);
    for (int i = N - KEPT; i < N; i++)
        TURN_WHILE_DOING(s->loop, has_all(&c[i]));
    for (int i = 0; i < KEPT; i++) /* who has read holds nothing, though the body is owed still */
        more[i] = ask_owing(s);
    assert_int_equal(site_counters(s).evicted, N - KEPT);
    assert_int_equal(site_counters(s).connections, 2 * KEPT);
    assert_int_equal(s->over, N - KEPT);
    client_send(&c[N - 1], tarn_bytes_of(s->bytes, 1000));
    TURN_UNTIL(s->loop, s->over == N - KEPT + 1); /* nothing is left to be sent */
    client_say(&c[N - 1], GET("/hello"));
    client_wait_for(&c[N - 1], "Hello");
    client_send(&more[0], tarn_bytes_of(s->bytes, 1000));
    TURN_WHILE_DOING(s->loop, has_all(&more[0]));
    TURN_UNTIL(s->loop, s->over == N - KEPT + 3);
    assert_int_equal(site_counters(s).evicted, N - KEPT);
    for (int i = 0; i < N; i++)
        client_close(&c[i]);
    for (int i = 0; i < KEPT; i++)
        client_close(&more[i]);
    site_close(s);
}

/* 16 answers, or 64 KiB of them: then no more requests are looked at until some have left. */
static void nobody_gets_far_ahead(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client c = open_narrow(s);
    ask_much(&c, GET("/big"), 1000);
    assert_true(s->asked < 100); /* the kernel's buffers hold a few */
    for (int i = 0; i < 20; i++)
        turns_settle(s->loop);
    unsigned before = s->asked;
    turns_settle(s->loop);
    assert_int_equal(s->asked, before);
    client_close(&c);
    site_close(s);
}

static void a_stream_waits_for_its_reader(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client c = open_narrow(s);
    ask_much(&c, GET("/never"), 1);
    TURN_UNTIL(s->loop, s->never != NULL);
    struct http_answer a = { .status = 200 };
    struct http_stream st = { 0 };
    http_answer_stream(s->never, &a, &st);
    while (http_stream_waits(s->never) < HTTP_STREAM_HIGH) {
        http_stream_put(s->never, tarn_bytes_of(s->bytes, 50000));
        turns_settle(s->loop);
    }
    site_pass_ms(s, 61000);
    TURN_UNTIL(s->loop, s->over == 1);
    client_close(&c);
    site_close(s);
}

static const char *refusal_of(struct site *s, struct tarn_out *request)
{
    static char status[16];
    struct client c = client_open(s);
    client_send(&c, tarn_out_bytes(request));
    client_wait_end(&c);
    assert_false(c.was_reset); /* the answer arrives though much was not read */
    assert_true(c.got.len > 16);
    memcpy(status, c.got.p, 12);
    status[12] = '\0';
    tarn_out_clear(request);
    client_close(&c);
    return status;
}

static void fill(struct tarn_out *o, size_t n)
{
    uint8_t *p = tarn_out_room(o, n);
    assert_non_null(p);
    memset(p, 'a', n);
}

static void limits_have_answers(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct tarn_out o;
    tarn_out_init(&o, 16 << 20);
    tarn_out_str(&o, "GET /");
    fill(&o, 9000);
    tarn_out_str(&o, " HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(refusal_of(s, &o), "HTTP/1.1 414");
    tarn_out_str(&o, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
    fill(&o, 40000);
    tarn_out_str(&o, "\r\n\r\n");
    assert_string_equal(refusal_of(s, &o), "HTTP/1.1 431");
    tarn_out_str(&o, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 100; i++)
        tarn_out_str(&o, "X: y\r\n");
    tarn_out_str(&o, "\r\n");
    assert_string_equal(refusal_of(s, &o), "HTTP/1.1 431");
    tarn_out_str(&o, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n");
    fill(&o, 4000000);
    assert_string_equal(refusal_of(s, &o), "HTTP/1.1 413");
    tarn_out_str(&o, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++) {
        tarn_out_str(&o, "10000\r\n");
        fill(&o, 65536);
        tarn_out_str(&o, "\r\n");
    }
    assert_string_equal(refusal_of(s, &o), "HTTP/1.1 413");
    /* a body that nobody asked for: it is not waited for */
    tarn_out_str(&o, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n");
    fill(&o, 4000000);
    assert_string_equal(refusal_of(s, &o), "HTTP/1.1 200");
    tarn_out_str(&o, "POST /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++) {
        tarn_out_str(&o, "10000\r\n");
        fill(&o, 65536);
        tarn_out_str(&o, "\r\n");
    }
    assert_string_equal(refusal_of(s, &o), "HTTP/1.1 200");
    tarn_out_release(&o);
    site_close(s);
}

/* Who lingers does not do so for long. */
static void lingering_ends(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client c = client_open(s);
    client_say(&c, GET_CLOSE("/hello"));
    client_wait_end(&c); /* their side; ours stays open */
    assert_int_equal(site_counters(s).connections, 1);
    client_say(&c, GET("/hello"));
    site_pass_ms(s, 2100);
    TURN_UNTIL(s->loop, site_counters(s).connections == 0);
    assert_int_equal(s->asked, 1);
    client_close(&c);
    site_close(s);
}

static void the_oldest_idle_connection_makes_room(void **state)
{
    (void)state;
    struct http_settings set = { .max_connections = 3 };
    struct site *s = site_open(&set);
    struct client busy = client_open(s), old, young, more;
    client_say(&busy, GET("/never"));
    TURN_UNTIL(s->loop, s->never != NULL);
    old = client_open(s);
    client_say(&old, GET("/hello"));
    client_wait_for(&old, "Hello");
    young = client_open(s);
    client_say(&young, GET("/hello"));
    client_wait_for(&young, "Hello");
    more = client_open(s);
    client_say(&more, GET("/never"));
    TURN_UNTIL(s->loop, s->asked == 4);
    client_wait_end(&old);
    assert_false(client_has_ended(&young));
    struct client last = client_open(s);
    client_say(&last, GET("/never"));
    TURN_UNTIL(s->loop, s->asked == 5);
    client_wait_end(&young);
    /* all are busy now: the next waits until one goes */
    struct client waits = client_open(s);
    client_say(&waits, GET("/hello"));
    turns_settle(s->loop);
    assert_int_equal(client_got(&waits), 0);
    assert_int_equal(s->troubles, 1);
    assert_non_null(strstr(s->trouble.msg, "3 connections are busy"));
    http_answer_error(s->never, 404, NULL, NULL, 0);
    client_wait_for(&last, "404");
    site_pass_ms(s, 200);
    client_wait_for(&waits, "Hello");
    client_wait_end(&last);
    assert_int_equal(site_counters(s).evicted, 3);
    client_close(&last);
    client_close(&busy);
    client_close(&old);
    client_close(&young);
    client_close(&more);
    client_close(&waits);
    site_close(s);
}

/* Heads that never end, or never begin, keep nobody out, however many: the oldest give way, and not
 * who comes new. */
static void slow_heads_give_way(void **state)
{
    (void)state;
    enum { N = 4, NEW = 3, SLOW_MS = 100 * 1000 };
    struct http_settings set = { .max_connections = N,
                                 .head_ms = 2 * SLOW_MS,
                                 .idle_ms = 2 * SLOW_MS,
                                 .slow_head_ms = SLOW_MS };
    struct site *s = site_open(&set);
    struct client slow[N], new[NEW];
    for (unsigned i = 0; i < N; i++) {
        slow[i] = client_open(s);
        if (i > 0)
            client_say(&slow[i], "GET /hello HTTP/1.1\r\nHost: ");
        site_pass_ms(s, 1);
    }
    for (unsigned i = 0; i < NEW; i++)
        new[i] = client_open(s);
    turns_settle(s->loop);
    assert_int_equal(site_counters(s).evicted, 0); /* theirs may come yet */
    site_pass_ms(s, SLOW_MS);
    TURN_UNTIL(s->loop, site_counters(s).evicted == NEW);
    for (unsigned i = 0; i < NEW; i++) {
        client_say(&new[i], GET("/hello"));
        client_wait_for(&new[i], "Hello");
        client_wait_end(&slow[i]);
    }
    client_say(&slow[NEW], "x\r\n\r\n");
    client_wait_for(&slow[NEW], "Hello");
    assert_int_equal(site_counters(s).evicted, NEW);
    for (unsigned i = 0; i < NEW; i++)
        client_close(&new[i]);
    for (unsigned i = 0; i < N; i++)
        client_close(&slow[i]);
    site_close(s);
}

static void descriptors_run_out(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client idle = client_open(s);
    client_say(&idle, GET("/hello"));
    client_wait_for(&idle, "Hello");
    s->fake.calls[SYS_FAKE_ACCEPT] = 0;
    s->fake.fail[SYS_FAKE_ACCEPT] = (struct sys_fault){ .error = EMFILE };
    struct client next = client_open(s);
    client_say(&next, GET("/hello"));
    client_wait_for(&next, "Hello"); /* in place of the idle one */
    client_wait_end(&idle);
    assert_int_equal(s->troubles, 1);
    assert_int_equal(s->trouble.code, TARN_E_POLICY);

    /* nobody is idle: accepting rests, and goes on by itself */
    client_say(&next, GET("/never"));
    TURN_UNTIL(s->loop, s->never != NULL);
    s->fake.calls[SYS_FAKE_ACCEPT] = 0;
    s->fake.fail[SYS_FAKE_ACCEPT] = (struct sys_fault){ .error = EMFILE };
    struct client third = client_open(s);
    turns_settle(s->loop);
    unsigned tried = s->fake.calls[SYS_FAKE_ACCEPT];
    turns_settle(s->loop);
    assert_int_equal(s->fake.calls[SYS_FAKE_ACCEPT], tried); /* at rest: no busy loop */
    site_pass_ms(s, 200);
    client_say(&third, GET("/hello"));
    client_wait_for(&third, "Hello");
    client_close(&idle);
    client_close(&next);
    client_close(&third);
    site_close(s);
}

TEST_MAIN(ON_BOTH(a_head_byte_by_byte), ON_BOTH(each_head_has_its_own_time),
          ON_BOTH(who_says_nothing_is_closed), ON_BOTH(a_body_must_come_on),
          ON_BOTH(a_client_that_does_not_read_is_closed), ON_BOTH(who_does_not_read_makes_room),
          ON_BOTH(who_owes_a_body_makes_room), ON_BOTH(nobody_gets_far_ahead),
          ON_BOTH(a_stream_waits_for_its_reader), ON_BOTH(limits_have_answers),
          ON_BOTH(lingering_ends), ON_BOTH(the_oldest_idle_connection_makes_room),
          ON_BOTH(slow_heads_give_way), ON_BOTH(descriptors_run_out))
