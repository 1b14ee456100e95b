#include "bt/core/addr.h"

#include "base/test/test.h"

static void test_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *ip; /* NULL: refused */
        bool is_v6;
    } cases[] = {
        { "1.2.3.4", "\1\2\3\4\0\0\0\0\0\0\0\0\0\0\0", false },
        { "255.255.255.255", "\xFF\xFF\xFF\xFF\0\0\0\0\0\0\0\0\0\0\0", false },
        { "1.2.3.256", NULL, false },
        { "1.2.3", NULL, false },
        { "1.2.3.4.5", NULL, false },
        { "1.2.3.", NULL, false },
        { "0001.2.3.4", NULL, false },
        { " 1.2.3.4", NULL, false },
        { "a.example", NULL, false },
        { "", NULL, false },
        { "::", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", true },
        { "::1", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", true },
        { "2001:db8::FF00:42", "\x20\1\x0D\xB8\0\0\0\0\0\0\0\0\xFF\0\0\x42", true },
        { "1:2:3:4:5:6:7:8", "\0\1\0\2\0\3\0\4\0\5\0\6\0\7\0\x08", true },
        { "1:2:3:4:5:6:7::", "\0\1\0\2\0\3\0\4\0\5\0\6\0\7\0\0", true },
        { "::ffff:1.2.3.4", "\0\0\0\0\0\0\0\0\0\0\xFF\xFF\1\2\3\4", true },
        { "1:2:3:4:5:6:1.2.3.4", "\0\1\0\2\0\3\0\4\0\5\0\6\1\2\3\4", true },
        { "1:2:3:4:5:6:7:1.2.3.4", NULL, true },
        { "1:2:3:4:5:6:7", NULL, true },
        { "1:2:3:4:5:6:7:8:9", NULL, true },
        { "1:2:3:4:5:6:7:8::", NULL, true },
        { "1::2::3", NULL, true },
        { ":::", NULL, true },
        { ":1", NULL, true },
        { "1:", NULL, true },
        { "12345::", NULL, true },
        { "::1.2.3", NULL, true },
        { "fe80::1%eth0", NULL, true },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        struct bt_addr a = { .port = 7 };
        bool ok = bt_addr_parse_ip(tarn_bytes_str(cases[i].text), &a);
        if (ok != (cases[i].ip != NULL))
            fail_msg("'%s'", cases[i].text);
        if (!ok)
            continue;
        assert_memory_equal(a.ip, cases[i].ip, sizeof a.ip);
        assert_int_equal(a.is_v6, cases[i].is_v6);
        assert_int_equal(a.port, 7);
    }
}

static void test_compact(void **state)
{
    (void)state;
    struct bt_addr a = bt_addr_of_compact((const uint8_t *)"\1\2\3\4\x1A\xE1", false);
    assert_memory_equal(a.ip, "\1\2\3\4", 4);
    assert_int_equal(a.port, 6881);
    assert_true(bt_addr_is_usable(&a));
    a.ip[0] = 224;
    assert_false(bt_addr_is_usable(&a));
    a.ip[0] = 0;
    assert_false(bt_addr_is_usable(&a));
    a = bt_addr_of_compact((const uint8_t *)"\x20\1\2\3\4\5\6\7\1\1\1\1\1\1\1\1\0\1", true);
    assert_true(a.is_v6 && a.port == 1 && bt_addr_is_usable(&a));
    a.port = 0;
    assert_false(bt_addr_is_usable(&a));
    a = bt_addr_of_compact((const uint8_t *)"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", true);
    assert_false(bt_addr_is_usable(&a));
}

TEST_MAIN(cmocka_unit_test(test_text), cmocka_unit_test(test_compact))
