#include "base/text.h"

#include "base/test/test.h"

static void fill(uint64_t *seed, uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)test_rand(seed);
}

static void test_hex(void **state)
{
    (void)state;
    char text[9];
    assert_string_equal(tarn_hex(text, tarn_bytes_of("\x00\x9a\xbc\xff", 4)), "009abcff");
    assert_string_equal(tarn_hex(text, tarn_bytes_of(NULL, 0)), "");
    uint8_t back[4];
    assert_true(tarn_unhex(tarn_bytes_str("009aBCfF"), back, 4));
    assert_memory_equal(back, "\x00\x9a\xbc\xff", 4);
    assert_true(tarn_unhex(tarn_bytes_of(NULL, 0), back, 0));
}

static void test_unhex_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = { "",     "0",    "012",  "01234", "012g",
                                       "/123", "01:3", "@123", "0x12",  " 123" };
    for (size_t i = 0; i < TARN_COUNT_OF(bad); i++) {
        uint8_t dst[2] = { 7, 7 };
        assert_false(tarn_unhex(tarn_bytes_str(bad[i]), dst, 2));
        assert_memory_equal(dst, "\7\7", 2);
    }
}

static void test_hex_round_trip(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (size_t len = 0; len < 200; len++) {
        uint8_t from[200], back[200];
        char text[401];
        fill(&seed, from, len);
        tarn_hex(text, tarn_bytes_of(from, len));
        assert_true(tarn_unhex(tarn_bytes_str(text), back, len));
        assert_memory_equal(from, back, len);
    }
}

/* RFC 4648, section 10, without the padding. */
static void test_base32_vectors(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {
        { "", "" },
        { "MY", "f" },
        { "MZXQ", "fo" },
        { "MZXW6", "foo" },
        { "MZXW6YQ", "foob" },
        { "MZXW6YTB", "fooba" },
        { "MZXW6YTBOI", "foobar" },
        { "mzxw6ytboi", "foobar" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(vectors); i++) {
        uint8_t dst[6];
        size_t len = strlen(vectors[i][1]);
        assert_true(tarn_unbase32(tarn_bytes_str(vectors[i][0]), dst, len));
        assert_memory_equal(dst, vectors[i][1], len);
    }
}

static void test_unbase32_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {
        { "M", 1 },    { "MYA", 1 },   { "MY======", 1 },  { "MZ", 1 }, /* unused bits */
        { "MZXR", 2 }, { "MZXW7", 3 }, { "MZXW6YR", 4 },   { "M1", 1 }, { "M8", 1 }, { "M0", 1 },
        { "M ", 1 },   { "MY", 0 },    { "MY", SIZE_MAX }, { "", 1 },   { "@A", 1 }, { "[A", 1 },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(bad); i++) {
        uint8_t dst[4] = { 7, 7, 7, 7 };
        assert_false(tarn_unbase32(tarn_bytes_str(bad[i].text), dst, bad[i].len));
        assert_memory_equal(dst, "\7\7\7\7", 4);
    }
}

/* The plainest base32 there is, bit by bit. */
static size_t base32_slowly(char *dst, const uint8_t *p, size_t len)
{
    size_t n = 0;
    for (size_t bit = 0; bit < 8 * len; bit += 5) {
        unsigned digit = 0;
        for (size_t i = bit; i < bit + 5; i++)
            digit = digit << 1 | (i < 8 * len ? (unsigned)p[i / 8] >> (7 - i % 8) & 1 : 0);
        dst[n++] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[digit];
    }
    return n;
}

static void test_base32_round_trip(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (size_t len = 0; len < 100; len++) {
        uint8_t from[100], back[100];
        char text[200];
        fill(&seed, from, len);
        size_t n = base32_slowly(text, from, len);
        assert_true(tarn_unbase32(tarn_bytes_of(text, n), back, len));
        assert_memory_equal(from, back, len);
    }
}

/* RFC 4648, section 10. */
static void test_base64(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
        { "\xff\xef\xbe\xfb", "/++++w==" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(vectors); i++) {
        char dst[9];
        assert_string_equal(tarn_base64(dst, tarn_bytes_str(vectors[i][0])), vectors[i][1]);
    }
    char dst[1];
    assert_string_equal(tarn_base64(dst, tarn_bytes_of(NULL, 0)), "");
}

static void test_unbase64(void **state)
{
    static const struct {
        const char *text, *plain;
    } good[] = {
        { "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm9v", "foo" }, { "Zm9vYmFy", "foobar" }
    };
    static const char *const bad[] = { "Z",     "Zg",   "Zg=",  "Zg=a", "Zh==", "Zm9=", "Zg==Zg==",
                                       "Zm9\n", "Zm 9", "====", "=g==", "Z===", "Zm9-" };
    uint8_t dst[32];
    size_t len;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct tarn_bytes text = tarn_bytes_str(good[i].text);
        assert_true(tarn_unbase64(text, dst, strlen(good[i].plain), &len));
        assert_int_equal(len, strlen(good[i].plain));
        assert_memory_equal(dst, good[i].plain, len);
        assert_true(len == 0 || !tarn_unbase64(text, dst, len - 1, &len));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(tarn_unbase64(tarn_bytes_str(bad[i]), dst, sizeof dst, &len));
}

/* Every code point goes out and comes back; the shortest form is the one written. */
static void test_utf8_all(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        if (cp >= 0xD800 && cp <= 0xDFFF)
            continue;
        uint8_t text[4];
        size_t len = tarn_utf8_put(cp, text);
        size_t want = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
        struct tarn_bytes rest = tarn_bytes_of(text, len);
        /* a plain if: cmocka's checks are too slow for a million turns under sanitizers */
        if (len != want || tarn_utf8_take(&rest) != cp || rest.len != 0)
            fail_msg("U+%04X", cp);
    }
}

/* What the bits of up to four bytes say, without any rule; the length by the first byte. */
static uint32_t utf8_naively(const uint8_t p[4], size_t *len)
{
    static const uint8_t lens[16] = { 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2, 2, 3, 4 };
    *len = p[0] >= 0xF8 ? 0 : lens[p[0] >> 4];
    uint32_t cp = *len == 1 ? p[0] : p[0] & (0x7FU >> *len);
    for (size_t i = 1; i < *len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            *len = 0;
        cp = cp << 6 | (p[i] & 0x3FU);
    }
    return cp;
}

/* Every first byte, then bytes that begin or end a row of sixteen, where all the limits lie: valid
 * exactly when the naive reading is a code point in its shortest form. */
static void test_utf8_all_starts(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1 << 24; i++) {
        if ((i & 0x0F0F) != 0 && (i & 0x0F0F) != 0x0F0F)
            continue;
        const uint8_t p[4] = { (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 0xBF };
        size_t len, shortest = 0;
        uint32_t cp = utf8_naively(p, &len);
        uint8_t again[4];
        if (len > 0 && cp <= 0x10FFFF && (cp < 0xD800 || cp > 0xDFFF))
            shortest = tarn_utf8_put(cp, again);
        bool want = len > 0 && shortest == len;
        struct tarn_bytes rest = tarn_bytes_of(p, 4);
        uint32_t got = tarn_utf8_take(&rest);
        if (want ? got != cp || rest.len != 4 - len : got != TARN_UTF8_BAD)
            fail_msg("%02x %02x %02x bf", p[0], p[1], p[2]);
    }
}

/* How faults are cut into sequences: the Unicode standard, chapter 3, tables 3-8 to 3-11. */
static void test_utf8_faults(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *taken; /* lengths, '!' before a fault */
    } cases[] = {
        { "\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "!1!1!1!1!1!1!1!11" },
        { "\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "!1!1!1!1!1!1!1!11" },
        { "\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", "!1!1!1!1!11!1!11" },
        { "\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "!2!1!3!21" },
        { "\xC3\xA9\xC3", "2!1" },
        { "\xF0\x9F\x90", "!3" },
        { "\xF8\x88\x80\x80\x80", "!1!1!1!1!1" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        char taken[40] = "";
        struct tarn_bytes rest = tarn_bytes_str(cases[i].text);
        while (rest.len > 0) {
            size_t before = rest.len;
            bool bad = tarn_utf8_take(&rest) == TARN_UTF8_BAD;
            size_t n = strlen(taken);
            snprintf(taken + n, sizeof taken - n, "%s%zu", bad ? "!" : "", before - rest.len);
        }
        assert_string_equal(taken, cases[i].taken);
        assert_false(tarn_utf8_valid(tarn_bytes_str(cases[i].text)));
    }
}

static void test_utf8_valid(void **state)
{
    (void)state;
    assert_true(tarn_utf8_valid(tarn_bytes_of(NULL, 0)));
    assert_true(tarn_utf8_valid(tarn_bytes_of("a\0b", 3)));
    assert_true(tarn_utf8_valid(tarn_bytes_str("d\u00e9j\u00e0 \u6f22 \U0001F409")));
    assert_false(tarn_utf8_valid(tarn_bytes_str("good, then \xff")));
}

TEST_MAIN(cmocka_unit_test(test_hex), cmocka_unit_test(test_unhex_refuses),
          cmocka_unit_test(test_hex_round_trip), cmocka_unit_test(test_base32_vectors),
          cmocka_unit_test(test_unbase32_refuses), cmocka_unit_test(test_base32_round_trip),
          cmocka_unit_test(test_base64), cmocka_unit_test(test_unbase64),
          cmocka_unit_test(test_utf8_all), cmocka_unit_test(test_utf8_all_starts),
          cmocka_unit_test(test_utf8_faults), cmocka_unit_test(test_utf8_valid))
