#include "base/num.h"

#include "base/test/test.h"

static void test_checked(void **state)
{
    (void)state;
    uint64_t out = 42;
    assert_false(tarn_add_u64(UINT64_MAX, 1, &out));
    assert_false(tarn_mul_u64((uint64_t)1 << 32, (uint64_t)1 << 32, &out));
    assert_int_equal(out, 42);
    assert_true(tarn_add_u64(UINT64_MAX, 0, &out) && out == UINT64_MAX);
    assert_true(tarn_mul_u64(UINT32_MAX, (uint64_t)UINT32_MAX + 2, &out) && out == UINT64_MAX);
    assert_true(tarn_mul_u64(UINT64_MAX, 0, &out) && out == 0);
}

static void test_small_helpers(void **state)
{
    (void)state;
    assert_int_equal(tarn_min_u64(1, 2), 1);
    assert_int_equal(tarn_max_u64(1, 2), 2);
    assert_int_equal(tarn_min_size(2, 1), 1);
    assert_int_equal(tarn_div_up_u64(0, 5), 0);
    assert_int_equal(tarn_div_up_u64(10, 5), 2);
    assert_int_equal(tarn_div_up_u64(11, 5), 3);
    assert_true(tarn_div_up_u64(UINT64_MAX, 1) == UINT64_MAX);
    assert_true(tarn_div_up_u64(UINT64_MAX, 2) == (uint64_t)1 << 63);
}

static void test_powers_of_two(void **state)
{
    (void)state;
    assert_false(tarn_is_pow2_u64(0));
    assert_int_equal(tarn_pow2_up_u64(1), 1);
    for (unsigned i = 0; i < 64; i++) {
        uint64_t v = (uint64_t)1 << i;
        assert_true(tarn_is_pow2_u64(v));
        assert_int_equal(tarn_log2_u64(v), i);
        assert_true(tarn_pow2_up_u64(v) == v);
        if (i < 2)
            continue;
        assert_false(tarn_is_pow2_u64(v - 1));
        assert_int_equal(tarn_log2_u64(v - 1), i - 1);
        assert_true(tarn_pow2_up_u64(v - 1) == v);
    }
}

static void test_parse_u64(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
        uint64_t value;
    } cases[] = {
        { "0", 0, true, 0 },
        { "007", 10, true, 7 },
        { "65535", 65535, true, 65535 },
        { "65536", 65535, false, 0 },
        { "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
        { "18446744073709551616", UINT64_MAX, false, 0 },
        { "99999999999999999999999999999", UINT64_MAX, false, 0 },
        { "00000000000000000000000000001", UINT64_MAX, true, 1 },
        { "", UINT64_MAX, false, 0 },
        { "+1", UINT64_MAX, false, 0 },
        { "-1", UINT64_MAX, false, 0 },
        { " 1", UINT64_MAX, false, 0 },
        { "1 ", UINT64_MAX, false, 0 },
        { "1x", UINT64_MAX, false, 0 },
        { "0x10", UINT64_MAX, false, 0 },
        { "1/", UINT64_MAX, false, 0 },
        { "1:", UINT64_MAX, false, 0 },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        uint64_t out = 4711;
        assert_true(tarn_parse_u64(tarn_bytes_str(cases[i].text), cases[i].max, &out) ==
                    cases[i].ok);
        assert_true(out == (cases[i].ok ? cases[i].value : 4711));
    }
    uint64_t out = 4711;
    assert_false(tarn_parse_u64(tarn_bytes_of(NULL, 0), 1, &out));
    assert_false(tarn_parse_u64(tarn_bytes_of("1\0", 2), 1, &out));
}

struct unit_case {
    const char *text;
    bool ok;
    uint64_t value;
};

static void check_units(const struct unit_case *cases, size_t count,
                        bool (*parse)(struct tarn_bytes text, uint64_t *out))
{
    for (size_t i = 0; i < count; i++) {
        uint64_t out = 4711;
        assert_true(parse(tarn_bytes_str(cases[i].text), &out) == cases[i].ok);
        assert_true(out == (cases[i].ok ? cases[i].value : 4711));
    }
    uint64_t out;
    assert_false(parse(tarn_bytes_of(NULL, 0), &out));
}

static void test_parse_size(void **state)
{
    (void)state;
    static const struct unit_case cases[] = {
        { "0", true, 0 },
        { "1000", true, 1000 },
        { "16K", true, 16384 },
        { "16KiB", true, 16384 },
        { "3M", true, 3 << 20 },
        { "3MiB", true, 3 << 20 },
        { "2G", true, (uint64_t)2 << 30 },
        { "2GiB", true, (uint64_t)2 << 30 },
        { "5T", true, (uint64_t)5 << 40 },
        { "5TiB", true, (uint64_t)5 << 40 },
        { "16777215T", true, UINT64_MAX - (((uint64_t)1 << 40) - 1) },
        { "16777216T", false, 0 },
        { "18446744073709551615", true, UINT64_MAX },
        { "18446744073709551616", false, 0 },
        { "", false, 0 },
        { "K", false, 0 },
        { "1 K", false, 0 },
        { "1KB", false, 0 },
        { "1Ki", false, 0 },
        { "1KiBs", false, 0 },
        { "1.5K", false, 0 },
        { "-1K", false, 0 },
    };
    check_units(cases, TARN_COUNT_OF(cases), tarn_parse_size);
}

static void test_parse_seconds(void **state)
{
    (void)state;
    static const struct unit_case cases[] = {
        { "0", true, 0 },
        { "90", true, 90 },
        { "90s", true, 90 },
        { "5m", true, 300 },
        { "2h", true, 7200 },
        { "7d", true, 604800 },
        { "213503982334601d", true, (uint64_t)213503982334601 * 86400 },
        { "213503982334602d", false, 0 },
        { "", false, 0 },
        { "s", false, 0 },
        { "5M", false, 0 },
        { "5ms", false, 0 },
        { "1h30m", false, 0 },
    };
    check_units(cases, TARN_COUNT_OF(cases), tarn_parse_seconds);
}

static void test_size_text(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        { 0, "0 B" },
        { 1, "1 B" },
        { 1023, "1023 B" },
        { 1024, "1 KiB" },
        { 1536, "1.5 KiB" },
        { 2047, "1.9 KiB" },
        { 16384, "16 KiB" },
        { 1023 * 1024 + 1023, "1023 KiB" },
        { 999 * 1024 + 1023, "999.9 KiB" },
        { 1 << 20, "1 MiB" },
        { (uint64_t)700 << 30, "700 GiB" },
        { (uint64_t)5 << 40, "5 TiB" },
        { (uint64_t)5 << 50, "5 PiB" },
        { UINT64_MAX, "15.9 EiB" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        struct tarn_size_text t;
        assert_string_equal(tarn_size_text(&t, cases[i].bytes), cases[i].text);
    }
}

TEST_MAIN(cmocka_unit_test(test_checked), cmocka_unit_test(test_small_helpers),
          cmocka_unit_test(test_powers_of_two), cmocka_unit_test(test_parse_u64),
          cmocka_unit_test(test_parse_size), cmocka_unit_test(test_parse_seconds),
          cmocka_unit_test(test_size_text))
