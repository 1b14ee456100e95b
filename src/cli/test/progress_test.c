#include "cli/progress.h"

#include "base/test/test.h"

#include <string.h>

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        struct cli_progress_now now;
        unsigned columns;
        const char *is;
    } cases[] = {
        { { "hashing", 0, 0, -1, "" }, 79, "hashing  0 B" },
        { { "hashing", 1 << 20, 4 << 20, -1, "" },
          79,
          "hashing  [#######.......................]  25%  1 MiB of 4 MiB" },
        { { "hashing", 1 << 20, 4 << 20, 1 << 20, "" },
          79,
          "hashing  [######.....................]  25%  1 MiB of 4 MiB  1 MiB/s  0:03 left" },
        { { "hashing", 1 << 20, 4 << 20, 1 << 20, "" },
          60,
          "hashing  [##......]  25%  1 MiB of 4 MiB  1 MiB/s  0:03 left" },
        { { "fetching", 0, 4000000, 1000, "2 peers" },
          70,
          "fetching  0%  0 B of 3.8 MiB  1000 B/s  1:06:40 left  2 peers" },
        { { "fetching", 0, 4000000, 1000, "2 peers" }, 20, "fetching  0%  0 B of" },
        { { "checking", 10, 10, 5, "" },
          79,
          "checking  [##############################]  100%  10 B of 10 B  5 B/s" },
        { { "checking", 0, UINT64_MAX, 1, "" },
          79,
          "checking  [..............................]  0%  0 B of 15.9 EiB  1 B/s" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        char text[512];
        struct tarn_out o;
        tarn_out_fixed(&o, text, sizeof text);
        cli_progress_line(&o, &cases[i].now, cases[i].columns);
        assert_true(tarn_out_ok(&o));
        assert_true(o.len <= cases[i].columns);
        tarn_out_u8(&o, '\0');
        assert_string_equal(text, cases[i].is);
    }
}

/* What others put into lines of their own. */
static void test_parts(void **state)
{
    (void)state;
    static const struct {
        uint64_t seconds;
        const char *is;
    } times[] = { { 0, "  0:00 left" },           { 3599, "  59:59 left" },
                  { 3600, "  1:00:00 left" },     { 48 * 3600 - 1, "  47:59:59 left" },
                  { 48 * 3600, "  2 days left" }, { 99 * 24 * 3600, "  99 days left" },
                  { 99 * 24 * 3600 + 1, "" },     { UINT64_MAX, "" } };
    char text[128];
    struct tarn_out o;
    for (size_t i = 0; i < TARN_COUNT_OF(times); i++) {
        tarn_out_fixed(&o, text, sizeof text);
        cli_progress_put_time(&o, times[i].seconds);
        tarn_out_u8(&o, '\0');
        assert_string_equal(text, times[i].is);
    }
    tarn_out_fixed(&o, text, sizeof text);
    cli_progress_amounts(&o, &(struct cli_progress_now){
                                 .done = 1 << 20, .total = 4 << 20, .rate = 1, .more = "more" });
    tarn_out_u8(&o, '\0');
    assert_string_equal(text, "  25%  1 MiB of 4 MiB  1 B/s  36 days left  more");
}

TEST_MAIN(cmocka_unit_test(test_lines), cmocka_unit_test(test_parts))
