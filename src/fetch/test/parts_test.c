/* Ranges, and bodies that come in parts: what is told before the first byte, pausing, stopping,
 * canceling from inside, connections that are kept; from a server that lives on the same loop. */
#include "fetch/fetch.h"

#include "base/num.h"
#include "fetch/test/room.h"

enum { LEN = 3000000, FIRST = 70000, WANTED = 2500000 };

/* --- what the server answers --- */

static uint8_t byte_at(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8));
}

static void put_bytes(struct tarn_out *o, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++)
        tarn_out_u8(o, byte_at(i));
}

static bool serve(struct webserver *s, struct tarn_out *o, const char *path)
{
    uint64_t first = 0, last = LEN - 1;
    (void)webserver_range(s, &first, &last);
    unsigned long long from = first, to = last, n = last - first + 1;
    if (strcmp(path, "/good") == 0 || strcmp(path, "/good?query") == 0) {
        tarn_out_fmt(o,
                     "HTTP/1.1 206 Partial Content\r\nserver:  t/1\x01 \r\n"
                     "Content-Length: %llu\r\ncontent-RANGE: bytes %llu-%llu/%d\r\n\r\n",
                     n, from, to, LEN);
        put_bytes(o, first, last);
    } else if (strcmp(path, "/whole") == 0) {
        tarn_out_fmt(o, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LEN);
        put_bytes(o, 0, LEN - 1);
    } else if (strcmp(path, "/stalls") == 0) {
        tarn_out_fmt(o,
                     "HTTP/1.1 206 Partial Content\r\nContent-Length: %llu\r\n"
                     "Content-Range: bytes %llu-%llu/*\r\n\r\n",
                     n, from, to);
        put_bytes(o, first, first + 999);
    } else if (strcmp(path, "/coded") == 0) {
        webserver_answer(o, "206 Partial Content",
                         "Content-Encoding: gzip\r\nContent-Range: bytes x\r\n", "abc");
    } else if (strcmp(path, "/busy") == 0) {
        webserver_answer(o, "503 Service Unavailable", "Retry-After: 42\r\n", "later");
    } else if (strcmp(path, "/wordy") == 0) {
        tarn_out_fmt(o, "HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n", LEN);
        put_bytes(o, 0, LEN - 1);
    } else if (strcmp(path, "/to-good") == 0) {
        webserver_redirect_here(s, o, "127.0.0.1", "/good");
    } else if (strcmp(path, "/to-public") == 0) {
        webserver_redirect_here(s, o, "127.0.0.2", "/good");
    } else {
        webserver_answer(o, "404 Not Found", "", "no");
    }
    return true;
}

/* --- who asks --- */

struct wish {
    struct fetch fetch;
    uint64_t got;
    size_t most;   /* bytes taken of one part */
    uint64_t stop; /* FETCH_STOP after so many; 0: never */
    bool is_done, pauses, refuses_head, cancels;
    unsigned heads, pauses_seen;
    char url[300];
    bool met_public;
};

static void on_done(struct fetch *f)
{
    struct wish *w = TARN_OUTER(f, struct wish, fetch);
    assert_false(w->is_done);
    w->is_done = true;
}

static bool on_head(struct fetch *f)
{
    struct wish *w = TARN_OUTER(f, struct wish, fetch);
    w->heads++;
    snprintf(w->url, sizeof w->url, "%s", fetch_url(f));
    w->met_public = fetch_met_public(f);
    if (w->refuses_head)
        (void)tarn_fail(&f->err, TARN_E_POLICY, "not this one");
    return !w->refuses_head;
}

static size_t on_part(struct fetch *f, struct tarn_bytes part)
{
    struct wish *w = TARN_OUTER(f, struct wish, fetch);
    assert_true(part.len > 0);
    assert_int_equal(w->heads, 1);
    if (w->cancels) {
        fetch_cancel(f);
        return part.len;
    }
    if (w->stop != 0 && w->got >= w->stop) {
        (void)tarn_fail(&f->err, TARN_E_CANCELED, "enough");
        return FETCH_STOP;
    }
    size_t n = w->pauses ? tarn_min_size(part.len, w->most) : part.len;
    for (size_t i = 0; i < n; i++)
        if (part.p[i] != byte_at(f->from + w->got + i))
            fail_msg("byte %llu is wrong", (unsigned long long)(w->got + i));
    w->got += n;
    w->pauses_seen += n < part.len;
    return n;
}

static void wish_for(struct wish *w, const char *host, const char *path)
{
    char url[300];
    webserver_url(&server, url, sizeof url, host, path);
    w->fetch.done = on_done;
    w->fetch.on_part = on_part;
    w->fetch.on_head = on_head;
    w->fetch.max_body = 1000;
    w->fetch.has_range = true;
    if (w->fetch.len == 0) {
        w->fetch.from = FIRST;
        w->fetch.len = WANTED;
    }
    fetch_start(fetcher, &w->fetch, url);
}

static void get(struct wish *w, const char *path)
{
    wish_for(w, "127.0.0.1", path);
    TURN_UNTIL(loop, w->is_done);
}

static void test_range(void **state)
{
    (void)state;
    struct wish w = { 0 };
    get(&w, "/good");
    assert_true(w.fetch.ok);
    assert_int_equal(w.fetch.status, 206);
    assert_int_equal(w.got, WANTED);
    const struct fetch_head *h = &w.fetch.head;
    assert_true(h->has_range && !h->is_range_bad && h->has_total && h->has_length && !h->is_coded);
    assert_int_equal(h->first, FIRST);
    assert_int_equal(h->last, FIRST + WANTED - 1);
    assert_int_equal(h->total, LEN);
    assert_int_equal(h->length, WANTED);
    assert_string_equal(h->server, "t/1?");
    assert_int_equal(w.fetch.body.len, 0);
    assert_non_null(strstr(server.request, "\r\nAccept-Encoding: identity\r\n"));
    assert_null(strstr(server.request, "gzip"));
}

static void test_last_byte(void **state)
{
    (void)state;
    struct wish w = { .fetch = { .from = LEN - 1, .len = 1 } };
    get(&w, "/good");
    assert_true(w.fetch.ok);
    assert_int_equal(w.got, 1);
}

static void test_connections_are_kept(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct wish w = { .fetch = { .from = i * 1000, .len = 1000 } };
        get(&w, i % 2 == 0 ? "/good" : "/busy");
        assert_int_equal(w.got, i % 2 == 0 ? 1000 : 0);
    }
    assert_int_equal(server.accepted, 1);
}

/* Who takes a little of each part, and goes on now and then: every byte comes, once, in order. */
static void test_pauses(void **state)
{
    (void)state;
    static const size_t most[] = { 10000, 16383, 1 };
    for (size_t i = 0; i < TARN_COUNT_OF(most); i++) {
        struct wish w = { .most = most[i], .pauses = true };
        w.fetch.len = most[i] == 1 ? 40000 : WANTED;
        wish_for(&w, "127.0.0.1", "/good");
        for (int n = 0; !w.is_done && n < 200000; n++) {
            assert_true(loop_turn(loop, 1000, NULL));
            fetch_resume(&w.fetch);
        }
        assert_true(w.is_done && w.fetch.ok);
        assert_int_equal(w.got, w.fetch.len);
        assert_true(w.pauses_seen > 0);
    }
}

/* While it is paused nothing comes, however long, and no time is counted. */
static void test_a_pause_holds_the_sender(void **state)
{
    (void)state;
    struct wish w = { .most = 100, .pauses = true, .fetch = { .stall_ms = 2000 } };
    wish_for(&w, "127.0.0.1", "/good");
    TURN_UNTIL(loop, w.pauses_seen == 1);
    int64_t long_enough = sys_now_us() + 2500 * 1000;
    TURN_UNTIL(loop, sys_now_us() > long_enough);
    assert_int_equal(w.pauses_seen, 1);
    assert_false(w.is_done);
    w.pauses = false;
    fetch_resume(&w.fetch);
    TURN_UNTIL(loop, w.is_done);
    assert_true(w.fetch.ok);
    assert_int_equal(w.got, WANTED);
}

static void test_stops(void **state)
{
    (void)state;
    struct wish w = { .stop = 100000, .fetch = { .from = 0, .len = WANTED } };
    get(&w, "/whole"); /* more than was asked for */
    assert_false(w.fetch.ok);
    assert_int_equal(w.fetch.status, 200);
    assert_int_equal(w.fetch.err.code, TARN_E_CANCELED);
    assert_string_equal(w.fetch.err.msg, "enough");
    struct wish r = { .refuses_head = true };
    get(&r, "/good");
    assert_false(r.fetch.ok);
    assert_int_equal(r.got, 0);
    assert_string_equal(r.fetch.err.msg, "not this one");
}

static void test_canceled_from_inside(void **state)
{
    (void)state;
    struct wish w = { .cancels = true }, other = { 0 };
    wish_for(&w, "127.0.0.1", "/good");
    wish_for(&other, "127.0.0.1", "/good");
    TURN_UNTIL(loop, other.is_done);
    turns_settle(loop);
    assert_false(w.is_done);
    assert_int_equal(w.got, 0);
    assert_true(other.fetch.ok);
    memset(&w, 0xAB, sizeof w); /* nothing looks at it any more */
    struct wish third = { 0 };
    get(&third, "/good");
    assert_true(third.fetch.ok);
}

static void test_stalls(void **state)
{
    (void)state;
    struct wish w = { .fetch = { .stall_ms = 50 } };
    get(&w, "/stalls");
    assert_false(w.fetch.ok);
    assert_int_equal(w.fetch.err.code, TARN_E_NETWORK);
    assert_non_null(strstr(w.fetch.err.msg, "for 50 ms"));
    assert_int_equal(w.got, 1000); /* what came was given */
    assert_true(w.fetch.head.has_range && !w.fetch.head.has_total);
}

static void test_refusals(void **state)
{
    (void)state;
    struct wish w = { 0 };
    get(&w, "/busy");
    assert_false(w.fetch.ok);
    assert_int_equal(w.fetch.status, 503);
    assert_int_equal(w.fetch.head.retry_after_s, 42);
    assert_int_equal(w.heads, 0);
    struct wish wordy = { 0 }; /* it is not read to its end */
    get(&wordy, "/wordy");
    assert_int_equal(wordy.fetch.status, 404);
    assert_int_equal(wordy.fetch.err.code, TARN_E_NOT_FOUND);
    assert_int_equal(wordy.got, 0);
    struct wish coded = { .refuses_head = true };
    get(&coded, "/coded");
    assert_true(coded.fetch.head.is_coded && coded.fetch.head.is_range_bad);
}

static void test_where_it_led(void **state)
{
    (void)state;
    fetcher_set_local(fetcher, is_local_here);
    struct wish w = { 0 };
    get(&w, "/to-good");
    assert_true(w.fetch.ok);
    assert_non_null(strstr(w.url, "127.0.0.1"));
    assert_non_null(strstr(w.url, "/good"));
    assert_false(w.met_public);
    struct wish p = { 0 };
    get(&p, "/to-public");
    assert_true(p.fetch.ok);
    assert_non_null(strstr(p.url, "127.0.0.2"));
    assert_true(p.met_public);
    /* What a public server once led to may not be a local address the next time. */
    struct wish l = { .fetch = { .never_local = true } };
    get(&l, "/good");
    assert_int_equal(l.fetch.err.code, TARN_E_POLICY);
    assert_int_equal(l.heads, 0);
    struct wish q = { .fetch = { .no_local_query = true } };
    get(&q, "/good?query");
    assert_int_equal(q.fetch.err.code, TARN_E_POLICY);
    assert_non_null(strstr(q.fetch.err.msg, "must not lead to the local address"));
    struct wish r = { .fetch = { .no_local_query = true } };
    get(&r, "/good");
    assert_true(r.fetch.ok);
    struct wish s = { .fetch = { .no_local_query = true } };
    wish_for(&s, "127.0.0.2", "/good?query");
    TURN_UNTIL(loop, s.is_done);
    assert_true(s.fetch.ok);
}

/* --- heads, line by line --- */

static void test_heads(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool has, has_total;
        uint64_t first, last, total;
    } table[] = {
        { "bytes 0-0/1", true, true, 0, 0, 1 },
        { "Bytes 5-9/10", true, true, 5, 9, 10 },
        { "bytes 5-9/*", true, false, 5, 9, 0 },
        { "bytes 5-9/9", false, false, 0, 0, 0 },
        { "bytes 9-5/10", false, false, 0, 0, 0 },
        { "bytes */10", false, false, 0, 0, 0 },
        { "bytes 5-9", false, false, 0, 0, 0 },
        { "bytes 5-/10", false, false, 0, 0, 0 },
        { "bytes -5/10", false, false, 0, 0, 0 },
        { "bytes +5-9/10", false, false, 0, 0, 0 },
        { "bytes 5-18446744073709551616/*", false, false, 0, 0, 0 },
        { "items 5-9/10", false, false, 0, 0, 0 },
        { "bytes", false, false, 0, 0, 0 },
        { "", false, false, 0, 0, 0 },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(table); i++) {
        struct fetch_head h = { 0 };
        char line[100];
        snprintf(line, sizeof line, "Content-Range: %s\r\n", table[i].value);
        fetch_head_line(&h, tarn_bytes_str(line));
        if (h.has_range != table[i].has || h.is_range_bad == table[i].has)
            fail_msg("'%s'", table[i].value);
        if (h.has_range)
            assert_true(h.has_total == table[i].has_total && h.first == table[i].first &&
                        h.last == table[i].last && h.total == table[i].total);
        fetch_head_line(&h, tarn_bytes_str("Content-Range: bytes 1-2/3\r\n")); /* another one */
        assert_true(h.is_range_bad);
        fetch_head_line(&h, tarn_bytes_str("HTTP/1.1 200 OK\r\n"));
        assert_false(h.is_range_bad);
    }
    struct fetch_head h = { 0 };
    fetch_head_line(&h, tarn_bytes_str("content-encoding:identity"));
    fetch_head_line(&h, tarn_bytes_str("nothing"));
    fetch_head_line(&h, tarn_bytes_str(":"));
    fetch_head_line(&h, tarn_bytes_of(NULL, 0));
    assert_false(h.is_coded);
    char longest[400] = "Server: ";
    memset(longest + 8, 'x', sizeof longest - 9);
    fetch_head_line(&h, tarn_bytes_str(longest));
    assert_int_equal(strlen(h.server), FETCH_SERVER_MAX - 1);
}

TEST_MAIN(HERE(test_range), HERE(test_last_byte), HERE(test_connections_are_kept),
          HERE(test_pauses), HERE(test_a_pause_holds_the_sender), HERE(test_stops),
          HERE(test_canceled_from_inside), HERE(test_stalls), HERE(test_refusals),
          HERE(test_where_it_led), cmocka_unit_test(test_heads))
