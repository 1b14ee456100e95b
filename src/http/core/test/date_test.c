/* http/core/date: the three forms, round trips, and what is no date. */
#include "base/test/test.h"
#include "http/core/date.h"

#define NOW ((int64_t)1700000000) /* 2023-11-14 */

static bool parse(const char *text, int64_t *s)
{
    return http_date_parse(tarn_bytes_str(text), NOW, s);
}

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t s;
    } rows[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 }, /* RFC 9110 */
        { "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
        { "Sun Nov  6 08:49:37 1994", 784111777 },
        { "Wed Nov 16 08:49:37 1994", 784975777 },
        { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
        { "Wed, 31 Dec 1969 23:59:59 GMT", -1 },
        { "Tue, 29 Feb 2000 12:00:00 GMT", 951825600 },
        { "Thu, 29 Feb 2024 23:59:60 GMT", 1709251200 },  /* a leap second */
        { "Mon, 06 Nov 1994 08:49:37 GMT", 784111777 },   /* another day's name */
        { "Tuesday, 01-Jan-74 00:00:00 GMT", 126230400 }, /* 2074 is more than 50 years away */
        { "Sunday, 01-Jan-73 00:00:00 GMT", 3250454400 }, /* 2073 is not */
        { "Friday, 31-Dec-99 23:59:59 GMT", 946684799 },
        { "Saturday, 01-Jan-00 00:00:00 GMT", 946684800 },
        { "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        int64_t s;
        if (!parse(rows[i].text, &s) || s != rows[i].s)
            fail_msg("%s", rows[i].text);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "0",
        "1994-11-06T08:49:37Z",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun,06 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 2023 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06 Nov 1994 -8:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday 06-Nov-94 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun Nov  6 08:49:37 94",
        "Sunday Nov  6 08:49:37 1994",
        "Sun",
        "Sun, ",
        "Sunday, ",
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        int64_t s;
        if (parse(rows[i], &s))
            fail_msg("%s", rows[i]);
    }
}

static void test_edges(void **state)
{
    (void)state;
    char text[HTTP_DATE_LEN + 1];
    assert_string_equal(http_date(text, 784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_string_equal(http_date(text, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_string_equal(http_date(text, -1), "Wed, 31 Dec 1969 23:59:59 GMT");
    assert_string_equal(http_date(text, 1709210096), "Thu, 29 Feb 2024 12:34:56 GMT");
    assert_string_equal(http_date(text, INT64_MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_string_equal(http_date(text, INT64_MIN), "Sat, 01 Jan 0000 00:00:00 GMT");
}

static void test_round_trip(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (unsigned i = 0; i < 100000; i++) {
        int64_t s = (int64_t)test_rand_below(&seed, 253402300800);
        char text[HTTP_DATE_LEN + 1];
        int64_t back;
        if (!parse(http_date(text, s), &back) || back != s)
            fail_msg("%lld: %s", (long long)s, text);
    }
}

/* Each day of four centuries, against counting. */
static void test_days(void **state)
{
    (void)state;
    static const int lengths[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    static const char *const days[7] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" };
    static const char *const months[12] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    int64_t n = 0;
    for (int year = 1970; year < 2370; year++) {
        bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for (int m = 0; m < 12; m++) {
            for (int d = 1; d <= lengths[m] + (m == 1 && is_leap); d++, n++) {
                char want[64], got[HTTP_DATE_LEN + 1];
                snprintf(want, sizeof want, "%s, %02d %s %04d 00:00:00 GMT", days[n % 7], d,
                         months[m], year);
                assert_string_equal(http_date(got, n * 86400), want);
            }
        }
    }
}

TEST_MAIN(cmocka_unit_test(test_forms), cmocka_unit_test(test_refused),
          cmocka_unit_test(test_edges), cmocka_unit_test(test_round_trip),
          cmocka_unit_test(test_days))
