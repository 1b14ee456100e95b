/* Order: whatever the slices in which requests come, the same answers come in the same order. */
#include "base/cur.h"
#include "http/test/site.h"

/* The dates go: they may differ. */
static void without_dates(struct tarn_out *o)
{
    for (size_t i = 0; i + 37 <= o->len; i++)
        if (memcmp(o->p + i, "\r\nDate: ", 8) == 0)
            memset(o->p + i + 8, '-', 29);
}

static const char script[] = GET("/hello") GET("/small") GET(
    "/late") "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nGET / HTTP/1"
             "HEAD /big HTTP/1.1\r\nHost: x\r\n\r\n"
             "GET /big HTTP/1.1\r\nHost: x\r\nRange: bytes=5-9,100-20000\r\n\r\n"
             "\r\n" GET(
                 "/nothing") "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "A;a=\"b\"\r\n0123456789\r\n00\r\nTrail: er\r\n\r\n"
                             "PUT /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nGET "
                             "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n" GET("/late")
                                 GET_CLOSE("/etag");
enum { ASKED = 12 };

/* Multipart answers have random boundaries: all of them become the same. */
static void without_boundaries(struct tarn_out *o)
{
    static const char mark[] = "boundary=";
    uint8_t *at = memmem(o->p, o->len, mark, strlen(mark));
    if (at == NULL)
        return;
    char boundary[32];
    memcpy(boundary, at + strlen(mark), sizeof boundary);
    while ((at = memmem(o->p, o->len, boundary, sizeof boundary)) != NULL)
        memset(at, 'B', sizeof boundary);
}

static void clean(struct tarn_out *o)
{
    without_dates(o);
    without_boundaries(o);
}

static struct tarn_out play(struct site *s, const size_t *cuts, size_t n)
{
    struct client c = client_open(s);
    size_t at = 0;
    for (size_t i = 0; i <= n; i++) {
        size_t to = i == n ? strlen(script) : cuts[i];
        client_send(&c, tarn_bytes_of(script + at, to - at));
        if (i < n)
            turns_settle(s->loop);
        at = to;
    }
    client_wait_end(&c);
    assert_false(c.was_reset);
    assert_int_equal(s->asked, ASKED);
    s->asked = s->over = 0;
    clean(&c.got);
    sys_close(&c.fd);
    return c.got;
}

static void check(struct site *s, const size_t *cuts, size_t n, const struct tarn_out *expected)
{
    struct tarn_out got = play(s, cuts, n);
    assert_int_equal(got.len, expected->len);
    assert_memory_equal(got.p, expected->p, got.len);
    tarn_out_release(&got);
}

static void answers_are_the_same_in_any_slices(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct tarn_out whole = play(s, NULL, 0);
    size_t cuts[sizeof script];
    for (size_t at = 1; at < strlen(script); at++) /* every two pieces */
        check(s, &at, 1, &whole);
    for (size_t len = 1; len < 40; len += len < 8 ? 1 : 7) { /* pieces of one length */
        size_t n = 0;
        for (size_t at = len; at < strlen(script); at += len)
            cuts[n++] = at;
        check(s, cuts, n, &whole);
    }
    uint64_t seed = test_seed();
    for (int round = 0; round < 50; round++) {
        size_t n = 0;
        for (size_t at = 0; (at += 1 + test_rand_below(&seed, 200)) < strlen(script);)
            cuts[n++] = at;
        check(s, cuts, n, &whole);
    }
    tarn_out_release(&whole);
    site_close(s);
}

/* And where every receive and send moves little. */
static void answers_are_the_same_through_narrow_calls(void **state)
{
    (void)state;
    static const size_t narrow[] = { 7, 100, 1000 };
    struct site *s = site_open(NULL);
    struct tarn_out whole = play(s, NULL, 0);
    for (size_t i = 0; i < TARN_COUNT_OF(narrow); i++) {
        s->fake.short_io = narrow[i];
        check(s, NULL, 0, &whole);
        s->fake.short_io = 0;
    }
    tarn_out_release(&whole);
    site_close(s);
}

struct kind {
    const char *request, *status;
    size_t body; /* bytes */
};
static const struct kind kinds[] = {
    { GET("/hello"), "200", 14 },
    { GET("/small"), "200", SMALL },
    { GET("/big"), "200", BIG },
    { GET("/late"), "200", 5 },
    { GET("/nothing"), "404", 40 },
    { "HEAD /big HTTP/1.1\r\nHost: x\r\n\r\n", "200", 0 },
    { "GET /big HTTP/1.1\r\nHost: x\r\nRange: bytes=100000-199999\r\n\r\n", "206", 100000 },
    { "GET /small HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"small\"\r\n\r\n", "304", 0 },
    { "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "200", 3 },
    { "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
      "200", 1 },
};

/* Take one answer off the front and compare. */
static void take_answer(struct tarn_cur *in, const struct kind *k)
{
    struct tarn_bytes rest = tarn_cur_rest(in);
    uint8_t *end = memmem(rest.p, rest.len, "\r\n\r\n", 4);
    assert_non_null(end);
    size_t head = (size_t)(end - rest.p) + 4;
    assert_memory_equal(rest.p, "HTTP/1.1 ", 9);
    assert_memory_equal(rest.p + 9, k->status, 3);
    (void)tarn_cur_take(in, head);
    (void)tarn_cur_take(in, k->body);
    assert_false(in->bad);
}

static void random_requests_in_random_slices(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct site *s = site_open(NULL);
    for (int round = 0; round < 30; round++) {
        struct client c = client_open(s);
        const struct kind *asked[40];
        struct tarn_out all;
        tarn_out_init(&all, 1 << 20);
        size_t n = 1 + test_rand_below(&seed, TARN_COUNT_OF(asked));
        for (size_t i = 0; i < n; i++) {
            asked[i] = &kinds[test_rand_below(&seed, TARN_COUNT_OF(kinds))];
            tarn_out_str(&all, asked[i]->request);
        }
        tarn_out_str(&all, GET_CLOSE("/hello"));
        for (size_t at = 0; at < all.len;) {
            size_t len = tarn_min_size(all.len - at, 1 + test_rand_below(&seed, 400));
            client_send(&c, tarn_bytes_of(all.p + at, len));
            at += len;
            if (test_rand_below(&seed, 2) == 0)
                assert_true(loop_turn(s->loop, 0, NULL));
        }
        client_wait_end(&c);
        struct tarn_cur in = tarn_cur_of(tarn_out_bytes(&c.got));
        for (size_t i = 0; i < n; i++)
            take_answer(&in, asked[i]);
        take_answer(&in, &kinds[0]);
        assert_true(tarn_cur_done(&in));
        tarn_out_release(&all);
        client_close(&c);
    }
    site_close(s);
}

/* Sixteen requests that come together leave as one send. */
static void pipelined_answers_are_gathered(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client c = client_open(s);
    client_say(&c, GET("/hello"));
    client_wait_for(&c, "Hello");
    struct tarn_out all;
    tarn_out_init(&all, 1 << 20);
    for (int i = 0; i < 16; i++)
        tarn_out_str(&all, GET("/hello"));
    unsigned before = atomic_load(&s->fake.calls[SYS_FAKE_SENDV]);
    size_t at = 0, one = client_got(&c);
    assert_true(client_put(&c, tarn_out_bytes(&all), &at));
    TURN_UNTIL(s->loop, client_got(&c) == 17 * one);
    assert_int_equal(atomic_load(&s->fake.calls[SYS_FAKE_SENDV]) - before, 1);
    tarn_out_release(&all);
    client_close(&c);
    site_close(s);
}

TEST_MAIN(ON_BOTH(answers_are_the_same_in_any_slices),
          ON_BOTH(answers_are_the_same_through_narrow_calls),
          ON_BOTH(random_requests_in_random_slices), ON_BOTH(pipelined_answers_are_gathered))
