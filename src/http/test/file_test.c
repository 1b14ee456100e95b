/* Answers out of files: ranges, conditions, and files that change while they are served. */
#include "http/test/site.h"

static struct client ask(struct site *s, const char *request)
{
    struct client c = client_open(s);
    client_say(&c, request);
    client_wait_end(&c);
    tarn_out_u8(&c.got, 0); /* a text, up to the body */
    c.got.len--;
    return c;
}

static void check_body(struct client *c, const uint8_t *body, size_t len)
{
    size_t at = (size_t)(body_of((char *)c->got.p) - (char *)c->got.p);
    assert_int_equal(c->got.len - at, len);
    assert_memory_equal(c->got.p + at, body, len);
}

static void whole_files(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    for (int cold = 0; cold < 2; cold++) {
        s->fake.resident = cold ? 0 : -2;
        if (cold)
            s->fake.fail[SYS_FAKE_PREADV_NOW] =
                (struct sys_fault){ .error = EAGAIN, .forever = true };
        struct client c = ask(s, GET_CLOSE("/small"));
        begins((char *)c.got.p, "HTTP/1.1 200 OK\r\n");
        has((char *)c.got.p, "\r\nAccept-Ranges: bytes\r\n");
        has((char *)c.got.p, "\r\nETag: \"small\"\r\n");
        has((char *)c.got.p, "\r\nLast-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n");
        has((char *)c.got.p, "\r\nContent-Length: 1000\r\n");
        check_body(&c, s->bytes, SMALL);
        client_close(&c);
        c = ask(s, GET_CLOSE("/big"));
        check_body(&c, s->bytes, BIG);
        client_close(&c);
    }
    site_close(s);
}

static void ranges(void **state)
{
    (void)state;
    static const struct {
        const char *range;
        size_t at, len;
    } list[] = {
        { "0-0", 0, 1 },          { "5-", 5, BIG - 5 },
        { "-7", BIG - 7, 7 },     { "200000-400000", 200000, BIG - 200000 },
        { "-999999", 0, BIG },    { "10-20010", 10, 20001 },
        { "299999-", 299999, 1 },
    };
    struct site *s = site_open(NULL);
    for (size_t i = 0; i < TARN_COUNT_OF(list); i++) {
        char request[200], expected[100];
        snprintf(request, sizeof request,
                 "GET /big HTTP/1.1\r\nHost: x\r\nRange: bytes=%s\r\nConnection: close\r\n\r\n",
                 list[i].range);
        struct client c = ask(s, request);
        begins((char *)c.got.p, "HTTP/1.1 206 ");
        snprintf(expected, sizeof expected, "\r\nContent-Range: bytes %zu-%zu/%d\r\n", list[i].at,
                 list[i].at + list[i].len - 1, BIG);
        has((char *)c.got.p, expected);
        check_body(&c, s->bytes + list[i].at, list[i].len);
        client_close(&c);
    }
    struct client c = ask(s, "GET /big HTTP/1.1\r\nHost: x\r\nRange: bytes=300000-\r\n"
                             "Connection: close\r\n\r\n");
    begins((char *)c.got.p, "HTTP/1.1 416 ");
    has((char *)c.got.p, "\r\nContent-Range: bytes */300000\r\n");
    client_close(&c);
    site_close(s);
}

static void several_ranges(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client c = ask(s, "GET /big HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1,100-150000,-3\r\n"
                             "Connection: close\r\n\r\n");
    const char *head = (char *)c.got.p;
    begins(head, "HTTP/1.1 206 ");
    has_not(head, "\r\nContent-Range: bytes 0-1/300000\r\nETag");
    const char *boundary = strstr(head, "multipart/byteranges; boundary=");
    assert_non_null(boundary);
    boundary += strlen("multipart/byteranges; boundary=");
    struct tarn_out body;
    static const struct {
        size_t at, len;
    } parts[] = { { 0, 2 }, { 100, 149901 }, { BIG - 3, 3 } };
    tarn_out_init(&body, 1 << 20);
    for (size_t i = 0; i < 3; i++) {
        tarn_out_fmt(&body,
                     "%s--%.32s\r\nContent-Type: application/x-test\r\n"
                     "Content-Range: bytes %zu-%zu/%d\r\n\r\n",
                     i == 0 ? "" : "\r\n", boundary, parts[i].at, parts[i].at + parts[i].len - 1,
                     BIG);
        tarn_out_put(&body, tarn_bytes_of(s->bytes + parts[i].at, parts[i].len));
    }
    tarn_out_fmt(&body, "\r\n--%.32s--\r\n", boundary);
    check_body(&c, body.p, body.len);
    char length[50];
    snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", body.len);
    has(head, length);
    tarn_out_release(&body);
    client_close(&c);
    site_close(s);
}

static void conditions(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *status;
    } list[] = {
        { "If-None-Match: \"small\"", "304" },
        { "If-None-Match: \"other\"", "200" },
        { "If-Match: \"other\"", "412" },
        { "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT", "304" },
        { "If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT", "200" },
        { "If-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT", "412" },
        { "Range: bytes=0-4\r\nIf-Range: \"small\"", "206" },
        { "Range: bytes=0-4\r\nIf-Range: \"other\"", "200" },
        { "Range: bytes=0-4\r\nIf-Range: Sun, 09 Sep 2001 01:46:40 GMT", "206" },
    };
    struct site *s = site_open(NULL);
    for (size_t i = 0; i < TARN_COUNT_OF(list); i++) {
        char request[300], expected[20];
        snprintf(request, sizeof request,
                 "GET /small HTTP/1.1\r\nHost: x\r\n%s\r\nConnection: close\r\n\r\n",
                 list[i].fields);
        struct client c = ask(s, request);
        snprintf(expected, sizeof expected, "HTTP/1.1 %s ", list[i].status);
        begins((char *)c.got.p, expected);
        if (strcmp(list[i].status, "304") == 0) {
            has((char *)c.got.p, "\r\nETag: \"small\"\r\n");
            check_body(&c, NULL, 0);
        }
        client_close(&c);
    }
    site_close(s);
}

/* Never later than Date, and no validator that somebody could go on with. */
static void a_file_from_the_future(void **state)
{
    (void)state;
    static const char then[] = "Fri, 01 Jan 2100 00:00:00 GMT";
    struct site *s = site_open(NULL);
    struct client c = ask(s, GET_CLOSE("/future"));
    const char *date = strstr((char *)c.got.p, "\r\nDate: ");
    char expected[60];
    assert_non_null(date);
    snprintf(expected, sizeof expected, "\r\nLast-Modified: %.29s\r\n", date + 8);
    has((char *)c.got.p, expected);
    has_not((char *)c.got.p, then);
    client_close(&c);
    static const char *const fields[] = { "If-Modified-Since: ", "Range: bytes=0-4\r\nIf-Range: " };
    for (size_t i = 0; i < TARN_COUNT_OF(fields); i++) {
        char request[300];
        snprintf(request, sizeof request,
                 "GET /future HTTP/1.1\r\nHost: x\r\n%s%s\r\nConnection: close\r\n\r\n", fields[i],
                 then);
        c = ask(s, request);
        begins((char *)c.got.p, "HTTP/1.1 200 ");
        check_body(&c, s->bytes, SMALL);
        client_close(&c);
    }
    site_close(s);
}

/* Said before the head has left: 503. Later: the connection is cut, and the client can tell. */
static void files_that_change(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    struct client c = ask(s, GET_CLOSE("/gone"));
    begins((char *)c.got.p, "HTTP/1.1 503 ");
    has((char *)c.got.p, "\r\nRetry-After: ");
    client_close(&c);
    c = ask(s, GET_CLOSE("/little-gone"));
    begins((char *)c.got.p, "HTTP/1.1 503 ");
    client_close(&c);

    s->same_left = 2; /* once where it can be read at once */
    c = ask(s, GET_CLOSE("/little-gone"));
    begins((char *)c.got.p, "HTTP/1.1 200 ");
    check_body(&c, s->bytes, SMALL);
    client_close(&c);

    s->same_left = 1000;
    c = ask(s, GET_CLOSE("/gone"));
    check_body(&c, s->bytes, BIG);
    client_close(&c);
    site_close(s);
}

/* In the middle, and only just before the last bytes: with a small send each, is_same is asked
 * before each, and the last ones are not sent when it says no. */
static void a_file_that_changes_midway(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    s->fake.short_io = 10000;
    s->same_left = 1000;
    struct client c = ask(s, GET_CLOSE("/gone"));
    check_body(&c, s->bytes, BIG);
    client_close(&c);
    unsigned all = s->same_asked;
    assert_true(all >= BIG / 10000);
    for (unsigned left = 2; left < all; left += left + 4 < all ? 7 : 1) {
        s->same_left = left;
        s->same_refused = 0;
        c = ask(s, GET_CLOSE("/gone"));
        begins((char *)c.got.p, "HTTP/1.1 200 ");
        size_t got = c.got.len - (size_t)(body_of((char *)c.got.p) - (char *)c.got.p);
        /* how often it is asked depends on the socket */
        bool was_cut = got < BIG;
        assert_int_equal(was_cut, s->same_refused != 0);
        assert_memory_equal(body_of((char *)c.got.p), s->bytes, got);
        client_close(&c);
    }
    assert_true(site_counters(s).cut > 0);
    s->fake.short_io = 0;
    site_close(s);
}

static void a_file_that_shrinks(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    /* is_same knows no better: reading sees it */
    s->same_left = 1000;
    SYS_AUTO_FD fd = sys_open("big", SYS_OPEN_WRITE, NULL);
    assert_true(sys_truncate(fd, 200000, NULL));
    struct client c = ask(s, GET_CLOSE("/gone"));
    begins((char *)c.got.p, "HTTP/1.1 200 ");
    assert_true(c.got.len < BIG);
    assert_int_equal(site_counters(s).cut, 1);
    client_close(&c);
    /* without one of its own the file's stat is asked */
    c = ask(s, GET_CLOSE("/big"));
    begins((char *)c.got.p, "HTTP/1.1 503 ");
    client_close(&c);
    SYS_AUTO_FD small = sys_open("small", SYS_OPEN_WRITE, NULL);
    assert_true(sys_write_at(small, tarn_bytes_str("other"), 0, NULL));
    c = ask(s, GET_CLOSE("/small"));
    begins((char *)c.got.p, "HTTP/1.1 503 ");
    client_close(&c);
    site_close(s);
}

static void a_disk_that_fails(void **state)
{
    (void)state;
    struct site *s = site_open(NULL);
    s->fake.fail[SYS_FAKE_PREADV_NOW] = (struct sys_fault){ .error = EIO, .forever = true };
    s->fake.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .error = EIO, .forever = true };
    struct client c = client_open(s);
    client_say(&c, GET("/small"));
    client_wait_end(&c);
    assert_true(c.got.len < SMALL);
    client_close(&c);
    site_close(s);
}

TEST_MAIN(ON_BOTH(whole_files), ON_BOTH(ranges), ON_BOTH(several_ranges), ON_BOTH(conditions),
          ON_BOTH(a_file_from_the_future), ON_BOTH(files_that_change),
          ON_BOTH(a_file_that_changes_midway), ON_BOTH(a_file_that_shrinks),
          ON_BOTH(a_disk_that_fails))
