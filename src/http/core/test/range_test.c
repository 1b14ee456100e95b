/* http/core/range: examples, a naive reference that marks bytes, and lengths of multipart bodies.
 */
#include "base/test/test.h"
#include "http/core/range.h"

#include "base/num.h"

#include <inttypes.h>

/* "whole", "none", or "at+len ..." */
static const char *shown(const char *value, uint64_t size)
{
    static char text[1000];
    struct http_ranges r;
    switch (http_range_parse(tarn_bytes_str(value), size, &r)) {
    case HTTP_RANGE_WHOLE:
        return "whole";
    case HTTP_RANGE_NONE:
        return "none";
    default:
        break;
    }
    size_t len = 0;
    for (unsigned i = 0; i < r.n; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%" PRIu64 "+%" PRIu64,
                                i == 0 ? "" : " ", r.r[i].at, r.r[i].len);
    return text;
}

#define TEN "0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18"

static void test_examples(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t size;
        const char *want;
    } rows[] = {
        { "bytes=0-9", 100, "0+10" },
        { "bytes=99-99", 100, "99+1" },
        { "bytes=0-", 100, "0+100" },
        { "bytes=90-200", 100, "90+10" },
        { "bytes=-10", 100, "90+10" },
        { "bytes=-1000", 100, "0+100" },
        { "BYTES=0-0", 100, "0+1" },
        { "bytes= 0-0 ,\t2-2", 100, "0+1 2+1" },
        { "bytes=0-0,,5-5,", 100, "0+1 5+1" },
        { "bytes=5-5,0-0", 100, "5+1 0+1" },
        { "bytes=0-18446744073709551615", 100, "0+100" },
        { "bytes=0-99999999999999999999999999", 100, "0+100" },
        { "bytes=-99999999999999999999999999", 100, "0+100" },
        { "bytes=9223372036854775807-9223372036854775807", UINT64_MAX, "9223372036854775807+1" },
        /* none inside */
        { "bytes=100-", 100, "none" },
        { "bytes=100-200", 100, "none" },
        { "bytes=-0", 100, "none" },
        { "bytes=100-,200-,-0", 100, "none" },
        { "bytes=99999999999999999999-99999999999999999999", 100, "none" },
        { "bytes=100-,0-1", 100, "0+2" },
        /* ignored */
        { "bytes=0-0", 0, "whole" },
        { "bytes=-1", 0, "whole" },
        { "bytes=", 100, "whole" },
        { "bytes=,", 100, "whole" },
        { "bytes", 100, "whole" },
        { "", 100, "whole" },
        { "items=0-1", 100, "whole" },
        { "bytes =0-1", 100, "whole" },
        { "bytes=a-b", 100, "whole" },
        { "bytes=0-1x", 100, "whole" },
        { "bytes=0x0-1", 100, "whole" },
        { "bytes=+0-1", 100, "whole" },
        { "bytes=0 -1", 100, "whole" },
        { "bytes=0- 1", 100, "whole" },
        { "bytes=0", 100, "whole" },
        { "bytes=-", 100, "whole" },
        { "bytes=--1", 100, "whole" },
        { "bytes=0-1-2", 100, "whole" },
        { "bytes=9-0", 100, "whole" },
        { "bytes=0-1,9-0", 100, "whole" },
        { "bytes=0-1;2-3", 100, "whole" },
        { "bytes=0-1,bytes=2-3", 100, "whole" },
        /* joined */
        { "bytes=0-4,5-9", 100, "0+10" },
        { "bytes=5-9,0-4", 100, "0+10" },
        { "bytes=0-5,20-29,4-9", 100, "0+10 20+10" },
        { "bytes=20-29,0-4,30-39", 100, "20+20 0+5" },
        { "bytes=0-9,20-29,10-19", 100, "0+30" },
        { "bytes=0-1,0-1", 100, "0+2" },
        { "bytes=0-,-1", 100, "0+100" },
        /* too much */
        { "bytes=0-1,1-2,2-3", 100, "whole" },
        { "bytes=0-1,0-1,0-1", 100, "whole" },
        { "bytes=0-,0-,0-", 100, "whole" },
        { "bytes=0-10,0-5,20-30,20-25", 100, "whole" },
        { "bytes=" TEN ",20-20,22-22,24-24,26-26,28-28,30-30", 100,
          "0+1 2+1 4+1 6+1 8+1 10+1 12+1 14+1 16+1 18+1 20+1 22+1 24+1 26+1 28+1 30+1" },
        { "bytes=" TEN ",20-20,22-22,24-24,26-26,28-28,30-30,32-32", 100, "whole" },
        { "bytes=" TEN ",200-,200-,200-,200-,200-,200-,200-", 100, "whole" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        const char *got = shown(rows[i].value, rows[i].size);
        if (strcmp(got, rows[i].want) != 0)
            fail_msg("%s of %" PRIu64 ": %s", rows[i].value, rows[i].size, got);
    }
}

enum { SIZE_MAX_HERE = 40 };

/* Ranges written from numbers, and what bytes they name, marked one by one. */
static void test_reference(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (unsigned round = 0; round < 20000; round++) {
        unsigned size = 1 + (unsigned)test_rand_below(&seed, SIZE_MAX_HERE);
        unsigned n = 1 + (unsigned)test_rand_below(&seed, 5);
        uint8_t times[SIZE_MAX_HERE] = { 0 };
        char text[200] = "bytes=";
        size_t len = 6;
        bool is_any = false;
        for (unsigned i = 0; i < n; i++) {
            unsigned a = (unsigned)test_rand_below(&seed, size + 5), from, to; /* to: one past */
            unsigned b = a + (unsigned)test_rand_below(&seed, 8);
            const char *comma = i == 0 ? "" : ",";
            switch (test_rand_below(&seed, 4)) {
            case 0:
                len += (size_t)sprintf(text + len, "%s%u-", comma, a);
                from = a, to = size;
                break;
            case 1:
                len += (size_t)sprintf(text + len, "%s-%u", comma, a);
                from = a > size ? 0 : size - a, to = size;
                break;
            default:
                len += (size_t)sprintf(text + len, "%s%u-%u", comma, a, b);
                from = a, to = b + 1 < size ? b + 1 : size;
            }
            is_any |= from < to;
            for (unsigned k = from; k < to; k++)
                times[k]++;
        }
        struct http_ranges r;
        enum http_range_step step = http_range_parse(tarn_bytes_of(text, len), size, &r);
        if (!is_any) {
            assert_int_equal(step, HTTP_RANGE_NONE);
            continue;
        }
        unsigned most = 0;
        for (unsigned k = 0; k < size; k++)
            most = times[k] > most ? times[k] : most;
        if (step == HTTP_RANGE_WHOLE) { /* only when ranges overlap */
            assert_true(most > 1);
            continue;
        }
        assert_true(step == HTTP_RANGE_PARTS && most <= HTTP_RANGES_OVERLAPPING_MAX);
        for (unsigned i = 0; i < r.n; i++) {
            assert_true(r.r[i].len > 0 && r.r[i].at + r.r[i].len <= size);
            /* Nothing that was not asked for, no byte twice, and a gap between any two. */
            for (uint64_t k = r.r[i].at; k < r.r[i].at + r.r[i].len; k++) {
                assert_true(times[k] > 0);
                times[k] = 0;
            }
            for (unsigned k = 0; k < i; k++)
                assert_true(r.r[i].at + r.r[i].len < r.r[k].at ||
                            r.r[k].at + r.r[k].len < r.r[i].at);
        }
        for (unsigned k = 0; k < size; k++)
            assert_int_equal(times[k], 0);
    }
}

static void test_content_range(void **state)
{
    (void)state;
    char text[HTTP_CONTENT_RANGE_MAX];
    struct http_range r = { 0, 1 };
    assert_int_equal(http_content_range(text, &r, 1), strlen("bytes 0-0/1"));
    assert_string_equal(text, "bytes 0-0/1");
    r = (struct http_range){ UINT64_MAX - 2, 2 };
    http_content_range(text, &r, UINT64_MAX);
    assert_string_equal(text,
                        "bytes 18446744073709551613-18446744073709551614/18446744073709551615");
    assert_int_equal(http_content_range_none(text, 100), 11);
    assert_string_equal(text, "bytes */100");
}

static void test_multipart(void **state)
{
    (void)state;
    static const char want[] =
        "--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n"
        "ab\r\n--B\r\nContent-Type: text/plain\r\n"
        "Content-Range: bytes 8-9/10\r\n\r\nij\r\n--B--\r\n";
    char storage[1000];
    struct tarn_out o;
    tarn_out_fixed(&o, storage, sizeof storage);
    struct tarn_bytes b = tarn_bytes_str("B"), type = tarn_bytes_str("text/plain");
    struct http_ranges r = { 2, { { 0, 2 }, { 8, 2 } } };
    http_part_head(&o, b, type, &r.r[0], 10, true);
    tarn_out_str(&o, "ab");
    http_part_head(&o, b, type, &r.r[1], 10, false);
    tarn_out_str(&o, "ij");
    http_parts_end(&o, b);
    assert_true(tarn_bytes_eq_str(tarn_out_bytes(&o), want));
    uint64_t len;
    assert_true(http_parts_len(&r, b, type, 10, &len));
    assert_int_equal(len, strlen(want));
    r = (struct http_ranges){
        2, { { 0, (uint64_t)1 << 62 }, { (uint64_t)1 << 62, (uint64_t)1 << 62 } }
    };
    assert_false(http_parts_len(&r, b, type, UINT64_MAX, &len));
}

/* The length said in advance is the length written, whatever is written. */
static void test_lengths(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    static char storage[8000];
    for (unsigned round = 0; round < 2000; round++) {
        struct http_ranges r = { .n = 2 + (unsigned)test_rand_below(&seed, HTTP_RANGES_MAX - 1) };
        uint64_t size = test_rand(&seed) >> (1 + test_rand_below(&seed, 62)) | 1, content = 0, len;
        struct tarn_bytes b = tarn_bytes_of("abcdefghijklmnopqrstuvwxyz", 1 + round % 26);
        struct tarn_bytes type = tarn_bytes_of("application/octet-stream", round % 3 == 0 ? 0 : 24);
        struct tarn_out o;
        tarn_out_fixed(&o, storage, sizeof storage);
        for (unsigned i = 0; i < r.n; i++) {
            r.r[i].at = test_rand_below(&seed, size);
            r.r[i].len = 1 + test_rand_below(&seed, tarn_min_u64(size - r.r[i].at, 1 << 20));
            content += r.r[i].len;
            http_part_head(&o, b, type, &r.r[i], size, i == 0);
        }
        http_parts_end(&o, b);
        assert_true(tarn_out_ok(&o));
        assert_true(http_parts_len(&r, b, type, size, &len));
        assert_true(len == o.len + content);
    }
}

TEST_MAIN(cmocka_unit_test(test_examples), cmocka_unit_test(test_reference),
          cmocka_unit_test(test_content_range), cmocka_unit_test(test_multipart),
          cmocka_unit_test(test_lengths))
