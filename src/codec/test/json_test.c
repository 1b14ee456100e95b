#include "codec/json.h"

#include "base/test/test.h"

#include <locale.h>
#include <math.h>

static struct tarn_out out;

static void expect(const char *text)
{
    assert_true(tarn_out_ok(&out));
    if (!tarn_bytes_eq_str(tarn_out_bytes(&out), text))
        fail_msg("%.*s instead of %s", (int)out.len, (const char *)out.p, text);
    tarn_out_release(&out);
}

static struct json begin(void)
{
    struct json j;
    tarn_out_init(&out, TARN_MIB);
    json_init(&j, &out);
    return j;
}

static void test_nesting(void **state)
{
    (void)state;
    struct json j = begin();
    json_open_object(&j);
    json_put_u64(&j, "a", UINT64_MAX);
    json_key(&j, "b");
    json_open_array(&j);
    json_i64(&j, INT64_MIN);
    json_open_object(&j);
    json_close_object(&j);
    json_open_array(&j);
    json_close_array(&j);
    json_bool(&j, true);
    json_none(&j);
    json_close_array(&j);
    json_put_str(&j, "c", "x");
    json_put_str(&j, "none", NULL);
    json_key(&j, "d");
    json_open_object(&j);
    json_put_bool(&j, "e", false);
    json_close_object(&j);
    json_close_object(&j);
    expect("{\"a\":18446744073709551615,\"b\":[-9223372036854775808,{},[],true,null],\"c\":\"x\","
           "\"none\":null,\"d\":{\"e\":false}}");
}

static void test_strings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *json;
    } rows[] = {
        { "", "\"\"" },
        { "a\"b\\c/d", "\"a\\\"b\\\\c/d\"" },
        { "\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\"" },
        { "\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\"" },
        { "\xc3\xa9\xe6\x97\xa5\xf0\x9f\x8e\x89", "\"\xc3\xa9\xe6\x97\xa5\xf0\x9f\x8e\x89\"" },
        { "a\xff"
          "b\xc0\xaf",
          "\"a\xef\xbf\xbd"
          "b\xef\xbf\xbd\xef\xbf\xbd\"" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct json j = begin();
        json_str(&j, tarn_bytes_str(rows[i].text));
        expect(rows[i].json);
    }
    struct json j = begin();
    json_str(&j, tarn_bytes_of("a\0b", 3));
    expect("\"a\\u0000b\"");
}

static void test_bytes(void **state)
{
    (void)state;
    struct json j = begin();
    json_open_object(&j);
    json_put_bytes(&j, "fine", tarn_bytes_str("name"));
    json_put_bytes(&j, "k\"", tarn_bytes_str("\xff\xfe"));
    json_put_hex(&j, "hash", tarn_bytes_of("\x01\xab", 2));
    json_put_hex(&j, "empty", tarn_bytes_of(NULL, 0));
    json_close_object(&j);
    expect("{\"fine\":\"name\",\"k\\\"\":\"\xef\xbf\xbd\xef\xbf\xbd\",\"k\\\"_b64\":\"//4=\","
           "\"hash\":\"01ab\",\"empty\":\"\"}");
}

static void test_doubles(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *json;
    } rows[] = {
        { 0, "0" },
        { -0.0, "0" },
        { 1, "1" },
        { -1.5, "-1.5" },
        { 0.1, "0.1" },
        { 1.0 / 3, "0.333333" },
        { -0.0000001, "0" },
        { 100, "100" },
        { 123456789012345.0, "123456789012345" },
        { 1e15, "1.0000000000000000e+15" },
        { -1e300, "-1.0000000000000001e+300" },
        { INFINITY, "null" },
        { NAN, "null" },
    };
    /* decimal commas, where the machine has such a locale */
    bool has_commas = setlocale(LC_NUMERIC, "de_DE.UTF-8") != NULL;
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct json j = begin();
        json_double(&j, rows[i].v);
        expect(rows[i].json);
    }
    if (has_commas)
        setlocale(LC_NUMERIC, "C");
}

static void test_deep(void **state)
{
    (void)state;
    struct json j = begin();
    for (int i = 0; i < 63; i++)
        json_open_array(&j);
    json_u64(&j, 1);
    json_u64(&j, 2);
    for (int i = 0; i < 63; i++)
        json_close_array(&j);
    assert_int_equal(j.depth, 0);
    assert_int_equal(out.len, 63 + 3 + 63);
    tarn_out_release(&out);
}

static void test_full(void **state)
{
    (void)state;
    struct json j;
    char small[8];
    tarn_out_fixed(&out, small, sizeof small);
    json_init(&j, &out);
    json_open_object(&j);
    json_put_bytes(&j, "a", tarn_bytes_str("\xff"));
    json_put_hex(&j, "b", tarn_bytes_str("xyz"));
    json_close_object(&j);
    assert_false(tarn_out_ok(&out));
}

TEST_MAIN(cmocka_unit_test(test_nesting), cmocka_unit_test(test_strings),
          cmocka_unit_test(test_bytes), cmocka_unit_test(test_doubles), cmocka_unit_test(test_deep),
          cmocka_unit_test(test_full))
