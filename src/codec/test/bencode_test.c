#include "codec/bencode.h"

#include "base/test/test.h"
#include "codec/test/canon.h"

static bool parse(struct benc *b, const char *text, struct tarn_err *err)
{
    return benc_parse(b, tarn_bytes_str(text), &benc_limits_file, err);
}

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t used;
        uint32_t tokens;
        unsigned soft;
    } rows[] = {
        { "i0e", 3, 1, 0 },
        { "i-1e", 4, 1, 0 },
        { "i9223372036854775807e", 21, 1, 0 },
        { "i-9223372036854775808e", 22, 1, 0 },
        { "i00e", 4, 1, BENC_SOFT_NUMBER },
        { "i-0e", 4, 1, BENC_SOFT_NUMBER },
        { "i-01e", 5, 1, BENC_SOFT_NUMBER },
        { "i0000000000000000000000000000009e", 33, 1, BENC_SOFT_NUMBER },
        { "0:", 2, 1, 0 },
        { "00:", 3, 1, BENC_SOFT_NUMBER },
        { "3:abc", 5, 1, 0 },
        { "03:abc", 6, 1, BENC_SOFT_NUMBER },
        { "le", 2, 1, 0 },
        { "de", 2, 1, 0 },
        { "li1e1:alee", 10, 4, 0 },
        { "ll01:aee", 8, 3, BENC_SOFT_NUMBER },
        { "d1:ai1e1:bi2ee", 14, 5, 0 },
        { "d0:i1e1:ai2ee", 13, 5, 0 },
        { "d1:bi1e1:ai2ee", 14, 5, BENC_SOFT_ORDER },
        { "d2:aai1e1:ai2ee", 15, 5, BENC_SOFT_ORDER },
        { "d1:ai1e1:ai2ee", 14, 5, BENC_SOFT_TWICE },
        { "ld1:ai1e1:ai2eee", 16, 6, BENC_SOFT_TWICE },
        { "d1:ai1e1:bi1e1:ai2ee", 20, 7, BENC_SOFT_ORDER },
        { "i1ei2e", 3, 1, 0 },
        { "de\n", 2, 1, 0 },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct tarn_err err = { .code = TARN_OK };
        struct benc b;
        if (!parse(&b, rows[i].text, &err))
            fail_msg("'%s' was refused: %s", rows[i].text, err.msg);
        if (b.used != rows[i].used || b.n != rows[i].tokens || b.toks[0].soft != rows[i].soft)
            fail_msg("'%s': %zu bytes, %u tokens, faults %u", rows[i].text, b.used, b.n,
                     b.toks[0].soft);
        benc_release(&b);
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } rows[] = {
        { "", "byte 0: the data end in the middle of a value (truncated?)" },
        { "x", "byte 0: 'x' where a value should be" },
        { "e", "byte 0: 'e' where a value should be" },
        { "-1:a", "byte 0: '-' where a value should be" },
        { " i1e", "byte 0: ' ' where a value should be" },
        { "\x1b", "byte 0: '\\x1b' where a value should be" },
        { "i", "byte 1: the data end in the middle of a value (truncated?)" },
        { "ie", "byte 1: 'e' where a digit of an integer should be" },
        { "i-e", "byte 2: 'e' where a digit of an integer should be" },
        { "i--1e", "byte 2: '-' where a digit of an integer should be" },
        { "i+1e", "byte 1: '+' where a digit of an integer should be" },
        { "i 1e", "byte 1: ' ' where a digit of an integer should be" },
        { "i1 e", "byte 2: ' ' where a digit or the 'e' that ends an integer should be" },
        { "i1", "byte 2: the data end in the middle of a value (truncated?)" },
        { "i9223372036854775808e", "byte 0: an integer that needs more than 64 bits" },
        { "i-9223372036854775809e", "byte 0: an integer that needs more than 64 bits" },
        { "li99999999999999999999999e", "byte 1: an integer that needs more than 64 bits" },
        { "3", "byte 1: the data end in the middle of a value (truncated?)" },
        { "3abc", "byte 1: 'a' where a digit or the ':' of a string's length should be" },
        { "3:ab", "byte 0: a string of 3 bytes where only 2 are left (truncated?)" },
        { "2147483647:",
          "byte 0: a string of 2147483647 bytes where only 0 are left (truncated?)" },
        { "2147483648:", "byte 0: a string longer than 2147483647 bytes" },
        { "99999999999999999999:a", "byte 0: a string longer than 2147483647 bytes" },
        { "l", "byte 1: the data end in the middle of a value (truncated?)" },
        { "li1e", "byte 4: the data end in the middle of a value (truncated?)" },
        { "d", "byte 1: the data end in the middle of a value (truncated?)" },
        { "di1ei2ee", "byte 1: 'i' where a dictionary's key (a string) or its end should be" },
        { "dle", "byte 1: 'l' where a dictionary's key (a string) or its end should be" },
        { "d1:ae", "byte 4: 'e' where the value of a dictionary's key should be" },
        { "d1:ai1e1:be", "byte 10: 'e' where the value of a dictionary's key should be" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct tarn_err err = { .code = TARN_OK };
        struct benc b = { .n = 77 };
        if (parse(&b, rows[i].text, &err))
            fail_msg("'%s' was accepted", rows[i].text);
        assert_int_equal(b.n, 77); /* outputs are written only on success */
        assert_int_equal(err.code, TARN_E_FAILED);
        assert_string_equal(err.msg, rows[i].msg);
        assert_false(parse(&b, rows[i].text, NULL));
    }
}

/* n opening letters and as many 'e'. */
static bool parse_nested(char letter, size_t n, const struct benc_limits *limits,
                         struct tarn_err *err)
{
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    for (size_t i = 0; i < n; i++)
        tarn_out_str(&o, letter == 'l' ? "l" : i + 1 < n ? "d1:a" : "d");
    for (size_t i = 0; i < n; i++)
        tarn_out_u8(&o, 'e');
    struct benc b = { .toks = NULL };
    bool ok = benc_parse(&b, tarn_out_bytes(&o), limits, err);
    benc_release(&b);
    tarn_out_release(&o);
    return ok;
}

static void test_limits(void **state)
{
    (void)state;
    struct tarn_err err;
    assert_true(parse_nested('l', 100, &benc_limits_file, &err));
    assert_true(parse_nested('d', 100, &benc_limits_file, &err));
    assert_false(parse_nested('l', 101, &benc_limits_file, &err));
    assert_string_equal(err.msg, "byte 100: nested deeper than 100 levels");
    assert_false(parse_nested('d', 101, &benc_limits_file, &err));
    assert_string_equal(err.msg, "byte 400: nested deeper than 100 levels");
    assert_false(parse_nested('l', 200000, &benc_limits_file, &err));
    assert_true(parse_nested('l', 32, &benc_limits_message, &err));
    assert_false(parse_nested('l', 33, &benc_limits_message, &err));
    struct benc_limits deep = { .depth = 100000, .tokens = 100000 };
    assert_false(parse_nested('l', 10000, &deep, &err)); /* the stack has an end all the same */

    struct benc_limits few = { .depth = 9, .tokens = 3 };
    struct benc b;
    assert_true(benc_parse(&b, tarn_bytes_str("li1ei2ee"), &few, &err));
    benc_release(&b);
    assert_false(benc_parse(&b, tarn_bytes_str("li1ei2ei3ee"), &few, &err));
    assert_string_equal(err.msg, "byte 7: more than 3 values");
    assert_false(benc_parse(&b, tarn_bytes_of("", (size_t)INT32_MAX + 1), &benc_limits_file, &err));
}

static void test_reading(void **state)
{
    (void)state;
    struct benc b;
    assert_true(parse(&b, "d1:ai-7e1:bl1:x0:d1:ki5eee1:cd1:d3:xyze1:ci9ee", NULL));
    int64_t n = 0;
    assert_true(benc_int(&b, benc_get(&b, BENC_ROOT, "a"), &n));
    assert_int_equal(n, -7);
    assert_false(benc_int(&b, benc_get(&b, BENC_ROOT, "b"), &n));
    assert_false(benc_int(&b, BENC_NONE, &n));
    assert_int_equal(n, -7);

    benc_val list = benc_get_of(&b, BENC_ROOT, "b", BENC_LIST);
    assert_true(list != BENC_NONE);
    assert_true(benc_get_of(&b, BENC_ROOT, "b", BENC_DICT) == BENC_NONE);
    benc_val v = benc_first(&b, list);
    assert_true(tarn_bytes_eq_str(benc_str(&b, v), "x"));
    assert_true(benc_value(&b, BENC_NONE) == BENC_NONE);
    v = benc_next(&b, list, v);
    assert_true(benc_is(&b, v, BENC_STR) && benc_str(&b, v).len == 0);
    v = benc_next(&b, list, v);
    assert_true(tarn_bytes_eq_str(benc_raw(&b, v), "d1:ki5ee"));
    assert_true(benc_next(&b, list, v) == BENC_NONE);

    /* the first of two equal keys */
    benc_val c = benc_get(&b, BENC_ROOT, "c");
    assert_true(benc_is(&b, c, BENC_DICT));
    assert_true(tarn_bytes_eq_str(benc_str(&b, benc_get(&b, c, "d")), "xyz"));
    size_t keys = 0;
    for (benc_val k = benc_first(&b, BENC_ROOT); k != BENC_NONE; k = benc_next(&b, BENC_ROOT, k))
        keys++;
    assert_int_equal(keys, 4);

    /* BENC_NONE and other types are no trouble to anyone */
    assert_true(benc_first(&b, BENC_NONE) == BENC_NONE && benc_first(&b, 1) == BENC_NONE);
    assert_true(benc_next(&b, BENC_NONE, BENC_NONE) == BENC_NONE);
    assert_true(benc_get(&b, BENC_NONE, "a") == BENC_NONE && benc_get(&b, list, "x") == BENC_NONE);
    assert_int_equal(benc_raw(&b, BENC_NONE).len, 0);
    assert_int_equal(benc_str(&b, list).len, 0);
    benc_release(&b);
    benc_release(&b);
}

static void test_unique(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } rows[] = {
        { "d1:ai1e1:bi2ee", NULL },
        { "d1:bi1e1:ai2ee", NULL },
        { "i1e", NULL },
        { "d1:ad1:bi1e1:ai1eee", NULL },
        { "d1:ai1e1:ai2ee", "byte 7: the key 'a' stands twice in one dictionary" },
        { "d1:bi1e1:ai2e1:bi3ee", "byte 13: the key 'b' stands twice in one dictionary" },
        { "ld1:ai1eed1:cd1:xle1:yleeee", NULL },
        { "lld2:\x01zi1e1:ai2e2:\x01zi3eeee",
          "byte 16: the key '\\x01z' stands twice in one dictionary" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct tarn_err err = { .code = TARN_OK };
        struct benc b;
        if (!parse(&b, rows[i].text, &err))
            fail_msg("'%s': %s", rows[i].text, err.msg);
        assert_int_equal(benc_unique(&b, BENC_ROOT, &err), rows[i].msg == NULL);
        if (rows[i].msg != NULL)
            assert_string_equal(err.msg, rows[i].msg);
        assert_true(benc_unique(&b, BENC_NONE, &err));
        benc_release(&b);
    }
}

/* Many unsorted keys in no more than the time of sorting them. */
static void test_unique_many(void **state)
{
    (void)state;
    struct tarn_out o;
    tarn_out_init(&o, 64 * TARN_MIB);
    benc_open_dict(&o);
    uint64_t seed = test_seed();
    for (uint32_t i = 0; i < 200000; i++) {
        uint64_t key = test_rand(&seed);
        benc_put_str(&o, tarn_bytes_of(&key, sizeof key));
        benc_put_int(&o, i);
    }
    benc_close(&o);
    struct benc b;
    struct tarn_err err;
    assert_true(benc_parse(&b, tarn_out_bytes(&o), &benc_limits_file, &err));
    assert_true(b.toks[0].soft & BENC_SOFT_ORDER);
    assert_true(benc_unique(&b, BENC_ROOT, &err));
    benc_release(&b);
    tarn_out_release(&o);
}

static void put_random(struct tarn_out *o, uint64_t *seed, unsigned depth, bool sloppy)
{
    unsigned kinds = depth == 0 ? 2 : 4;
    uint64_t bits;
    switch (test_rand_below(seed, kinds)) {
    case 0:
        bits = test_rand(seed) >> test_rand_below(seed, 64);
        if (sloppy && test_rand_below(seed, 4) == 0)
            tarn_out_fmt(o, "i0%llde", (long long)(bits >> 1));
        else
            benc_put_int(o, (int64_t)bits);
        break;
    case 1:
        bits = test_rand(seed);
        benc_put_str(o, tarn_bytes_of(&bits, test_rand_below(seed, sizeof bits + 1)));
        break;
    case 2:
        benc_open_list(o);
        for (uint64_t n = test_rand_below(seed, 5); n > 0; n--)
            put_random(o, seed, depth - 1, sloppy);
        benc_close(o);
        break;
    default:
        benc_open_dict(o);
        for (uint64_t n = test_rand_below(seed, 5), i = 0; i < n; i++) {
            char key[3] = { (char)('a' + i), (char)('a' + test_rand_below(seed, 26)), '\0' };
            if (sloppy && test_rand_below(seed, 4) == 0)
                key[0] = 'a';
            benc_put_key(o, key);
            put_random(o, seed, depth - 1, sloppy);
        }
        benc_close(o);
    }
}

/* encode(decode(x)) == x, exactly when nothing soft was found and nothing trails; and what begins
 * well but ends too soon is refused. */
static void test_random_trees(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct tarn_out o, again;
    tarn_out_init(&o, TARN_MIB);
    tarn_out_init(&again, TARN_MIB);
    unsigned soft = 0;
    for (unsigned round = 0; round < 3000; round++) {
        tarn_out_clear(&o);
        tarn_out_clear(&again);
        put_random(&o, &seed, 5, round % 2 == 1);
        bool trails = round % 10 == 9;
        if (trails)
            tarn_out_str(&o, "x");
        struct benc b;
        struct tarn_err err;
        if (!benc_parse(&b, tarn_out_bytes(&o), &benc_limits_file, &err))
            fail_msg("round %u: %s", round, err.msg);
        canon_put(&b, BENC_ROOT, &again);
        bool same = tarn_bytes_eq(tarn_out_bytes(&o), tarn_out_bytes(&again));
        assert_int_equal(same, b.toks[0].soft == 0 && !trails);
        soft += b.toks[0].soft != 0;
        size_t whole = b.used;
        benc_release(&b);
        for (size_t len = 0; len < whole; len++) {
            /* in a block of its own, so that ASan sees a read past its end */
            uint8_t *part = test_malloc(len + 1);
            memcpy(part, o.p, len);
            assert_false(benc_parse(&b, tarn_bytes_of(part, len), &benc_limits_file, &err));
            test_free(part);
            len += len / 64; /* all short ones, a sample of long ones */
        }
    }
    assert_true(soft > 100);
    tarn_out_release(&o);
    tarn_out_release(&again);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    benc_open_dict(&o);
    for (int i = 999; i > 0; i--) {
        char key[8];
        snprintf(key, sizeof key, "%d", i);
        benc_put_key(&o, key);
        benc_put_int(&o, i);
    }
    benc_close(&o);
    bool done = false;
    for (size_t n = 0; !done; n++) {
        struct tarn_err err = { .code = TARN_OK };
        struct benc b = { .toks = NULL };
        test_mem_fail_after(n);
        done = benc_parse(&b, tarn_out_bytes(&o), &benc_limits_file, &err) &&
               benc_unique(&b, BENC_ROOT, &err);
        test_mem_normal();
        assert_int_equal(err.code, done ? TARN_OK : TARN_E_NO_MEMORY);
        benc_release(&b);
    }
    tarn_out_release(&o);
}

TEST_MAIN(cmocka_unit_test(test_good), cmocka_unit_test(test_bad), cmocka_unit_test(test_limits),
          cmocka_unit_test(test_reading), cmocka_unit_test(test_unique),
          cmocka_unit_test(test_unique_many), cmocka_unit_test(test_random_trees),
          cmocka_unit_test(test_no_memory))
