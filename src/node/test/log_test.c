#include "node/log.h"

#include "base/out.h"
#include "base/test/test.h"

#include <string.h>
#include <unistd.h>

static void check(enum node_log_format format, bool is_journal, const char *text, int64_t ms,
                  const char *line)
{
    struct tarn_out o;
    tarn_out_init(&o, 1 << 16);
    node_log_line(&o, format, is_journal, NODE_WARNING, "http", text, ms);
    char *got = tarn_out_take_str(&o);
    assert_string_equal(got, line);
    tarn_free(got);
}

static void test_lines(void **state)
{
    (void)state;
    const int64_t ms = INT64_C(1700000000123);
    check(NODE_LOG_TEXT, false, "a\033[31m\nb", ms,
          "2023-11-14T22:13:20.123Z warning http: a\\x1b[31m\\x0ab\n");
    check(NODE_LOG_TEXT, true, "plain", ms, "<4>http: plain\n");
    check(NODE_LOG_TEXT, false, "plain", -1, "warning http: plain\n");
    check(NODE_LOG_JSON, false, "a\n\"b\"", ms,
          "{\"v\":1,\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warning\",\"about\":\"http\","
          "\"message\":\"a\\n\\\"b\\\"\"}\n");
    check(NODE_LOG_JSON, true, "x", -1,
          "<4>{\"v\":1,\"level\":\"warning\",\"about\":\"http\",\"message\":\"x\"}\n");
}

static unsigned told;
static void also(void *arg, enum node_level level, const char *text)
{
    (void)arg, (void)level, (void)text;
    told++;
}

static void test_levels(void **state)
{
    (void)state;
    struct node_log l;
    int ends[2];
    char got[2000];
    assert_int_equal(pipe(ends), 0);
    node_log_init(&l, ends[1], NODE_LOG_TEXT, NODE_NOTICE);
    l.also = also;
    node_log(&l, NODE_INFO, "x", "not written");
    node_log(&l, NODE_NOTICE, "x", "written %d", 1);
    assert_int_equal(told, 1);
    ssize_t n = read(ends[0], got, sizeof got - 1);
    assert_true(n > 0);
    got[n] = 0;
    assert_non_null(strstr(got, " notice x: written 1\n"));
    assert_ptr_equal(strchr(got, '\n'), got + n - 1);
    char longest[3000]; /* cut, and it fits when each byte becomes four */
    memset(longest, 1, sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    node_log(&l, NODE_ERROR, "x", "%s", longest);
    char whole[9000];
    n = read(ends[0], whole, sizeof whole);
    assert_true(n > 4 * 1400 && whole[n - 1] == '\n');
    node_log(NULL, NODE_ERROR, "x", "nobody listens");
    close(ends[0]);
    close(ends[1]);
}

TEST_MAIN(cmocka_unit_test(test_lines), cmocka_unit_test(test_levels))
