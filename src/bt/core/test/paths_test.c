#include "bt/core/paths.h"

#include "base/test/test.h"
#include "base/text.h"

/* n times text. */
static struct tarn_bytes many(struct tarn_out *o, const char *text, size_t n, const char *end)
{
    tarn_out_clear(o);
    for (size_t i = 0; i < n; i++)
        tarn_out_str(o, text);
    tarn_out_str(o, end);
    return tarn_out_bytes(o);
}

static void test_elements(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } rows[] = {
        { "plain.txt", "plain.txt" },
        { "", "_" },
        { ".", "_" },
        { "..", "_" },
        { "...", "..." },
        { ".a", ".a" },
        { "/", "_" },
        { "../..", "...." },
        { "./", "_" },
        { "/etc/passwd", "etcpasswd" },
        { "a\\..\\b", "a..b" },
        { "a\x01\x1f\x7f", "a___" },
        { "a\xc2\x80\xc2\x9f\xc2\xa0", "a__\xc2\xa0" },
        { "x\xe2\x80\x8b\xe2\x80\xae\xe2\x81\xa0\xe2\x81\xa6\xef\xbb\xbf\xd8\x9cy", "xy" },
        { "\xe2\x80\x8f", "_" },
        { ".\xe2\x80\x8b.", "_" }, /* would be ".." once the unseen is gone */
        { "\xc0\xaf", "__" },
        { "\xed\xa0\x80x", "___x" },
        { "\xf4\x90\x80\x80", "____" },
        { "a\xe6\x97", "a_" },
        { "\xe6\x97\xa5\xf0\x9f\x8e\x89", "\xe6\x97\xa5\xf0\x9f\x8e\x89" },
        { "CON", "CON" }, /* only Windows minds */
        { "a:b ", "a:b " },
    };
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        tarn_out_clear(&o);
        tarn_out_str(&o, "before/"); /* which must stay */
        bt_safe_element(&o, tarn_bytes_str(rows[i].from));
        char want[64];
        snprintf(want, sizeof want, "before/%s", rows[i].to);
        if (!tarn_bytes_eq_str(tarn_out_bytes(&o), want))
            fail_msg("row %zu: '%.*s' instead of '%s'", i, (int)o.len, (const char *)o.p, want);
    }
    tarn_out_clear(&o);
    bt_safe_element(&o, tarn_bytes_of("a\0b", 3));
    assert_true(tarn_bytes_eq_str(tarn_out_bytes(&o), "a_b"));
    tarn_out_release(&o);
}

static void test_long_elements(void **state)
{
    (void)state;
    static const struct {
        const char *unit;
        size_t n;
        const char *end;
        size_t len; /* of the result */
        const char *result_end;
    } rows[] = {
        { "x", 240, "", 240, "x" },
        { "x", 241, "", 240, "x" },
        { "x", 1000, ".mkv", 244, "x.mkv" },
        { "x", 235, ".torrent", 243, "x.torrent" }, /* whole: the cut would be inside it */
        { "x", 1000, ".123456789", 250, "x.123456789" },
        { "x", 1000, ".1234567890", 240, "xx" }, /* too long for an extension */
        { "x", 1000, ".tar.gz", 243, "x.gz" },
        { "\xc3\xa9", 200, "", 240, "\xc3\xa9" },
        { "\xe6\x97\xa5", 200, "", 240, "\xe6\x97\xa5" },
        { "\xf0\x9f\x8e\x89", 61, "", 240, "\xf0\x9f\x8e\x89" },
        { "\xe6\x97\xa5", 79, "abcd\xe6\x97\xa5", 240, "abc" }, /* 237 + abc */
        { "xx\xc3\xa9", 100, "", 240, "\xc3\xa9" },
        { ".", 300, "", 241, "." },
        { "\xff", 300, "", 240, "_" },
    };
    struct tarn_out in, o;
    tarn_out_init(&in, TARN_MIB);
    tarn_out_init(&o, TARN_MIB);
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        tarn_out_clear(&o);
        bt_safe_element(&o, many(&in, rows[i].unit, rows[i].n, rows[i].end));
        size_t n_end = strlen(rows[i].result_end);
        if (o.len != rows[i].len || !tarn_utf8_valid(tarn_out_bytes(&o)) ||
            memcmp(o.p + o.len - n_end, rows[i].result_end, n_end) != 0)
            fail_msg("row %zu: %zu bytes, '%.*s'", i, o.len, (int)o.len, (const char *)o.p);
    }
    tarn_out_release(&in);
    tarn_out_release(&o);
}

static void test_random_elements(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    for (int round = 0; round < 20000; round++) {
        uint8_t in[600];
        size_t n = test_rand_below(&seed, sizeof in);
        bool ascii = round % 2 == 0;
        for (size_t i = 0; i < n; i++)
            in[i] = (uint8_t)(test_rand(&seed) & (ascii ? 0x7F : 0xFF));
        tarn_out_clear(&o);
        bt_safe_element(&o, tarn_bytes_of(in, n));
        struct tarn_bytes safe = tarn_out_bytes(&o);
        assert_true(safe.len >= 1 && safe.len <= BT_ELEMENT_MAX && tarn_utf8_valid(safe));
        assert_null(memchr(safe.p, '/', safe.len));
        assert_false(tarn_bytes_eq_str(safe, ".") || tarn_bytes_eq_str(safe, ".."));
        uint8_t copy[BT_ELEMENT_MAX]; /* safe once is safe for good */
        memcpy(copy, safe.p, safe.len);
        size_t len = safe.len;
        tarn_out_clear(&o);
        bt_safe_element(&o, tarn_bytes_of(copy, len));
        if (len <= BT_ELEMENT_CUT)
            assert_true(tarn_bytes_eq(tarn_bytes_of(copy, len), tarn_out_bytes(&o)));
    }
    tarn_out_release(&o);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const hopeless[] = { "", ".", "..", "/", "\\/", "\xe2\x80\x8b", "/./" };
    struct bt_hashes hashes = { .has_v1 = true, .has_v2 = true };
    struct tarn_arena a;
    tarn_arena_init(&a, TARN_MIB);
    memset(hashes.v1, 0xAB, sizeof hashes.v1);
    memset(hashes.v2, 0xCD, sizeof hashes.v2);
    for (size_t i = 0; i < TARN_COUNT_OF(hopeless); i++)
        assert_string_equal(bt_safe_name(&a, tarn_bytes_str(hopeless[i]), &hashes),
                            "abababababababababababababababababababab");
    hashes.has_v1 = false;
    assert_string_equal(bt_safe_name(&a, tarn_bytes_str(".."), &hashes),
                        "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd");
    assert_string_equal(bt_safe_name(&a, tarn_bytes_str("a/b\x01"), &hashes), "ab_");
    tarn_arena_release(&a);
}

static void test_path(void **state)
{
    (void)state;
    struct bt_path p;
    bt_path_init(&p);
    bt_path_root(&p, "top");
    assert_true(bt_path_push(&p, tarn_bytes_str("a/b")));
    assert_true(bt_path_push(&p, tarn_bytes_str("..")));
    assert_true(tarn_bytes_eq_str(tarn_out_bytes(&p.text), "top/ab/_"));
    bt_path_pop(&p);
    assert_true(bt_path_push(&p, tarn_bytes_str("c")));
    assert_true(tarn_bytes_eq_str(tarn_out_bytes(&p.text), "top/ab/c"));
    bt_path_root(&p, "");
    for (int i = 0; i < BT_PATH_DEPTH_MAX; i++)
        assert_true(bt_path_push(&p, tarn_bytes_str("d")));
    assert_false(bt_path_push(&p, tarn_bytes_str("d")));
    assert_int_equal(p.text.len, 2 * BT_PATH_DEPTH_MAX - 1);
    bt_path_release(&p);
    bt_path_release(&p);
}

/* A torrent with these files, each "path" or "path>target" for a symlink; what their paths and
 * targets become, joined by spaces. */
static void settle(const char *const *files, char *result, size_t size)
{
    struct tarn_out o;
    struct bt_metainfo m;
    struct tarn_err err;
    tarn_out_init(&o, TARN_MIB);
    tarn_out_str(&o, "d4:infod5:filesl");
    for (; *files != NULL; files++) {
        const char *arrow = strchr(*files, '>');
        struct tarn_bytes path =
            tarn_bytes_of(*files, arrow != NULL ? (size_t)(arrow - *files) : strlen(*files));
        tarn_out_fmt(&o, "d4:attr%s6:lengthi1e", arrow != NULL ? "1:l" : "0:");
        for (int side = 0; side < 2; side++) {
            if (side == 1 && arrow == NULL)
                break;
            benc_put_key(&o, side == 0 ? "path" : "symlink path");
            benc_open_list(&o);
            const char *at = side == 0 ? *files : arrow + 1;
            const char *end = side == 0 ? *files + path.len : at + strlen(at);
            while (at < end) {
                size_t n = strcspn(at, "/>");
                benc_put_str(&o, tarn_bytes_of(at, n));
                at += n + 1;
            }
            benc_close(&o);
        }
        benc_close(&o);
    }
    tarn_out_str(&o, "d6:lengthi1e4:pathl4:lasteee4:name1:t12:piece lengthi16384e6:pieces20:"
                     "hhhhhhhhhhhhhhhhhhhhee");
    if (!bt_metainfo_parse(&m, tarn_out_bytes(&o), &err))
        fail_msg("%s", err.msg);
    size_t len = 0;
    result[0] = '\0';
    for (uint32_t i = 0; i + 1 < m.n_files; i++) {
        const struct bt_file *f = &m.files[i];
        len += (size_t)snprintf(result + len, size - len, "%s%s", i == 0 ? "" : " ", f->path + 2);
        if (f->is_symlink)
            len += (size_t)snprintf(result + len, size - len, ">%s",
                                    f->symlink_target == NULL ? "-" : f->symlink_target + 2);
    }
    bt_metainfo_release(&m);
    tarn_out_release(&o);
}

static void test_settled(void **state)
{
    (void)state;
    static const struct {
        const char *files[8], *result;
    } rows[] = {
        { { "a", "b/c" }, "a b/c" },
        /* taken paths */
        { { "a", "a", "a" }, "a a.1 a.2" },
        { { "a.x", "a.x", "a.1.x" }, "a.x a.1.x a.1.1.x" },
        { { "a.1.x", "a.x", "a.x" }, "a.1.x a.x a.2.x" },
        { { "d.e/a", "d.e/a" }, "d.e/a d.e/a.1" },
        { { ".rc", ".rc" }, ".rc .rc.1" },
        { { "a.", "a." }, "a. a.1." },
        { { "a", "a/b", "a/b/c" }, "a.1 a/b.1 a/b/c" },
        { { "a/b", "a", "a.1/x" }, "a/b a.2 a.1/x" },
        { { "a/x", "b/x", "a/y", "a" }, "a/x b/x a/y a.1" },
        { { "\xff", "_", "\xfe" }, "_ _.1 _.2" },
        { { "A", "a" }, "A a" },
        /* symlinks */
        { { "a", "l>a" }, "a l>a" },
        { { "l>d/a", "d/a" }, "l>d/a d/a" },
        { { "l>d", "d/a" }, "l>d d/a" },
        { { "l>last" }, "l>last" },
        { { "l>nothing" }, "l>-" },
        { { "l>" }, "l>-" },
        { { "l>l" }, "l>-" },
        { { "l>m", "m>l" }, "l>- m>-" },
        { { "l>m", "m>n", "n>last" }, "l>m m>n n>last" },
        { { "l>../last" }, "l>-" },
        { { "d/l>../last" }, "d/l>-" },
        { { "l>d/../last", "d/x" }, "l>- d/x" },
        { { "l>./last" }, "l>-" },
        { { "l>/last" }, "l>-" },
        { { "l>last/x" }, "l>-" },
        /* through a link to a folder */
        { { "Cur>V/A", "H>Cur/H", "V/A/H/f" }, "Cur>V/A H>Cur/H V/A/H/f" },
        { { "H>Cur/H", "Cur>V/A", "V/A/f" }, "H>- Cur>V/A V/A/f" },
        { { "x>y/f", "y>z", "z>d", "d/f" }, "x>y/f y>z z>d d/f" },
        { { "x>y/f", "y>last" }, "x>- y>last" },
        { { "d/up>d", "x>d/up/up/up/f", "d/f" }, "d/up>d x>d/up/up/up/f d/f" },
        { { "d/l>d/l/x", "d/x" }, "d/l>- d/x" },
        /* a link where a folder has to be */
        { { "d>..", "d/evil" }, "d.1>- d/evil" },
        { { "d>last", "d/f", "x>d/f" }, "d.1>last d/f x>d/f" },
        { { "l>last", "l>last" }, "l>last l.1>last" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        const char *files[9] = { NULL };
        char result[1024];
        memcpy(files, rows[i].files, sizeof rows[i].files);
        settle(files, result, sizeof result);
        if (strcmp(result, rows[i].result) != 0)
            fail_msg("row %zu: %s instead of %s", i, result, rows[i].result);
    }
}

/* Names that leave no room for a counter lose their end. */
static void test_renamed_long(void **state)
{
    (void)state;
    struct tarn_out name;
    char result[4096];
    tarn_out_init(&name, TARN_MIB);
    (void)many(&name, "x", 240, ".123456789");
    char *text = tarn_out_take_str(&name);
    const char *files[3] = { text, text, NULL };
    settle(files, result, sizeof result);
    char *second = strchr(result, ' ') + 1;
    assert_int_equal(second - result, 251);
    assert_int_equal(strlen(second), 252);
    assert_string_equal(second + 238, "xx.1.123456789");
    tarn_free(text);

    (void)many(&name, "\xc3\xa9", 120, ".abcdefgh");
    text = tarn_out_take_str(&name);
    const char *more[] = { text, text, text, text, text, text, text,
                           text, text, text, text, text, NULL };
    settle(more, result, sizeof result);
    second = strrchr(result, ' ') + 1;
    assert_string_equal(second + strlen(second) - 14, "\xc3\xa9.11.abcdefgh");
    assert_true(strlen(second) <= 255 && tarn_utf8_valid(tarn_bytes_str(second)));
    tarn_free(text);
}

TEST_MAIN(cmocka_unit_test(test_elements), cmocka_unit_test(test_long_elements),
          cmocka_unit_test(test_random_elements), cmocka_unit_test(test_names),
          cmocka_unit_test(test_path), cmocka_unit_test(test_settled),
          cmocka_unit_test(test_renamed_long))
