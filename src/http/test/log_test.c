/* The access log: its lines, opening it anew, and a disk that does not take them. */
#include "http/test/site.h"

static char *lines(const char *path)
{
    uint8_t *data = NULL;
    size_t len = 0;
    if (!sys_read_whole(path, 64 << 20, &data, &len, NULL))
        return NULL;
    char *text = tarn_strndup(data, len);
    tarn_free(data);
    return text;
}

static bool has_line(const char *path, const char *part)
{
    char *text = lines(path);
    bool is = text != NULL && strstr(text, part) != NULL;
    tarn_free(text);
    return is;
}

static struct site *open_with(struct http_log *log)
{
    struct http_settings set = { .log = log };
    struct site *s = site_open(&set);
    http_log_unref(log); /* the server holds it */
    return s;
}

static void written(struct site *s, const char *path, const char *part)
{
    site_pass_ms(s, 300);
    TURN_UNTIL(s->loop, has_line(path, part));
}

static void combined_lines(void **state)
{
    (void)state;
    struct http_log *log = http_log_open("access", HTTP_LOG_COMBINED, NULL);
    assert_non_null(log);
    struct site *s = open_with(log);
    (void)site_ask(s, "GET /hello?a=\"b\" HTTP/1.1\r\nHost: x\r\nUser-Agent: it's \"me\"\\\r\n"
                      "Referer: http://r/\r\nConnection: close\r\n\r\n");
    (void)site_ask(s, "GET /no\x01thing HTTP/1.1\r\nHost: x\r\n\r\n");
    (void)site_ask(s, GET_CLOSE("/big"));
    written(s, "access", "/big");
    char *text = lines("access");
    assert_non_null(text);
    begins(text, "127.0.0.1 - - [");
    has(text, " +0000] \"GET /hello?a=\\x22b\\x22 HTTP/1.1\" 200 1");
    has(text, " \"http://r/\" \"it's \\x22me\\x22\\x5C\" 0.");
    has(text, "\" 400 ");
    has(text, "\"GET /big HTTP/1.1\" 200 300");
    tarn_free(text);
    site_close(s);
}

static void json_lines(void **state)
{
    (void)state;
    struct http_log *log = http_log_open("access", HTTP_LOG_JSON, NULL);
    struct site *s = open_with(log);
    struct client c = client_open(s);
    client_say(&c, GET("/never"));
    TURN_UNTIL(s->loop, s->never != NULL);
    http_log_as(s->never, "192.0.2.7", "me", "/other?token=...");
    http_answer_error(s->never, 404, NULL, NULL, 0);
    client_wait_for(&c, "404");
    written(s, "access", "}\n");
    char *text = lines("access");
    begins(text, "{\"time\":\"20");
    has(text,
        "\"peer\":\"192.0.2.7\",\"user\":\"me\",\"request\":\"GET /other?token=... HTTP/1.1\"");
    has(text, "\"status\":404,\"bytes\":");
    tarn_free(text);
    client_close(&c);
    site_close(s);
}

static void who_went_is_logged(void **state)
{
    (void)state;
    struct http_log *log = http_log_open("access", HTTP_LOG_COMBINED, NULL);
    struct site *s = open_with(log);
    struct client c = client_open(s);
    client_say(&c, GET("/never"));
    TURN_UNTIL(s->loop, s->never != NULL);
    site_close(s); /* writes what is left */
    char *text = lines("access");
    has(text, "\"GET /never HTTP/1.1\" 499 0 ");
    tarn_free(text);
    client_close(&c);
}

static void a_log_is_opened_anew(void **state)
{
    (void)state;
    struct http_log *log = http_log_open("access", HTTP_LOG_COMBINED, NULL);
    struct site *s = open_with(log);
    (void)site_ask(s, GET_CLOSE("/hello"));
    written(s, "access", "/hello");
    assert_int_equal(rename("access", "access.1"), 0);
    (void)site_ask(s, GET_CLOSE("/small"));
    written(s, "access.1", "/small");
    http_log_reopen(log);
    (void)site_ask(s, GET_CLOSE("/big"));
    written(s, "access", "/big");
    assert_false(has_line("access.1", "/big"));
    site_close(s);
    assert_null(http_log_open("no/such/folder", HTTP_LOG_COMBINED, NULL));
}

/* The disk is full: nobody waits for it, and it is said. */
static void a_full_disk_holds_nobody_up(void **state)
{
    (void)state;
    struct http_log *log = http_log_open("access", HTTP_LOG_COMBINED, NULL);
    struct site *s = open_with(log);
    s->fake.fail[SYS_FAKE_PWRITEV] = (struct sys_fault){ .error = ENOSPC, .forever = true };
    for (int i = 0; i < 20; i++)
        assert_string_equal(body_of(site_ask(s, GET_CLOSE("/hello"))), "Hello, world!\n");
    site_pass_ms(s, 300);
    TURN_UNTIL(s->loop, s->troubles > 0);
    assert_int_equal(s->trouble.code, TARN_E_NO_SPACE);
    assert_non_null(strstr(s->trouble.msg, "access log"));
    s->fake.fail[SYS_FAKE_PWRITEV].error = 0;
    (void)site_ask(s, GET_CLOSE("/big"));
    written(s, "access", "/big");
    site_close(s);
}

static void a_slow_disk_drops_lines(void **state)
{
    (void)state;
    struct http_log *log = http_log_open("access", HTTP_LOG_COMBINED, NULL);
    struct site *s = open_with(log);
    struct client c = client_open(s);
    struct tarn_out many;
    tarn_out_init(&many, 1 << 20);
    for (int i = 0; i < 16; i++) {
        tarn_out_str(&many, "GET /hello HTTP/1.1\r\nHost: x\r\nUser-Agent: ");
        for (int k = 0; k < 2000; k++)
            tarn_out_u8(&many, 'a');
        tarn_out_str(&many, "\r\n\r\n");
    }
    /* No turn in which the job could be told to be done: 400 KiB of records come at once. */
    for (int i = 0; i < 40 && site_counters(s).log_dropped == 0; i++) {
        size_t at = 0;
        TURN_WHILE_DOING(s->loop, client_put(&c, tarn_out_bytes(&many), &at));
    }
    TURN_UNTIL(s->loop, client_got(&c) > 0);
    turns_settle(s->loop);
    struct http_counters n = site_counters(s);
    site_close(s);
    /* each line is there, or was counted as dropped */
    char *text = lines("access");
    size_t found = 0;
    for (const char *at = text; at != NULL && (at = strchr(at, '\n')) != NULL; at++)
        found++;
    assert_int_equal(found + n.log_dropped, n.requests[2]);
    tarn_free(text);
    tarn_out_release(&many);
    client_close(&c);
}

TEST_MAIN(ON_BOTH(combined_lines), ON_BOTH(json_lines), ON_BOTH(who_went_is_logged),
          ON_BOTH(a_log_is_opened_anew), ON_BOTH(a_full_disk_holds_nobody_up),
          ON_BOTH(a_slow_disk_drops_lines))
