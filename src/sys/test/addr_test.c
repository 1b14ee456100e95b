/* Addresses as text: what is taken, what it reads as, what is refused. */
#include "sys/net.h"

#include "base/test/test.h"

#include <string.h>

static void taken(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint16_t default_port;
        const char *reads;
    } rows[] = {
        { "1.2.3.4:80", 0, "1.2.3.4:80" },
        { "1.2.3.4", 6881, "1.2.3.4:6881" },
        { "1.2.3.4:0", 6881, "1.2.3.4:0" },
        { "255.255.255.255:65535", 0, "255.255.255.255:65535" },
        { "1.2.3.4:00080", 0, "1.2.3.4:80" },
        { "[::1]:80", 0, "[::1]:80" },
        { "[::1]", 6881, "[::1]:6881" },
        { "::1", 6881, "[::1]:6881" },
        { "::", 1, "[::]:1" },
        { "2001:db8::1:2", 6881, "[2001:db8::1:2]:6881" },
        { "[2001:DB8:0:0:0:0:0:1]:1", 0, "[2001:db8::1]:1" },
        { "[fe80::1%7]:80", 0, "[fe80::1%7]:80" },
        { "[fe80::1%lo]:80", 0, "[fe80::1%1]:80" },
        { "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535", 0,
          "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535" },
        { "[::ffff:1.2.3.4]:80", 0, "1.2.3.4:80" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct sys_addr a;
        struct sys_addr_text text;
        if (!sys_addr_parse(tarn_bytes_str(rows[i].text), rows[i].default_port, &a))
            fail_msg("refused: %s", rows[i].text);
        assert_string_equal(sys_addr_text(&text, &a), rows[i].reads);
        struct sys_addr again;
        assert_true(sys_addr_parse(tarn_bytes_str(text.s), 0, &again));
        assert_true(sys_addr_eq(&a, &again));
    }
}

static void refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        ":",
        ":80",
        "1.2.3.4",
        "1.2.3.4:",
        "1.2.3.4:65536",
        "1.2.3.4:-1",
        "1.2.3.4:+1",
        "1.2.3.4: 80",
        " 1.2.3.4:80",
        "1.2.3.4:80 ",
        "1.2.3.4:000080",
        "1.2.3:80",
        "1.2.3.256:80",
        "1.2.3.4.5:80",
        "0x1.2.3.4:80",
        "example.org:80",
        "::1",
        "[::1]",
        "[::1]:",
        "[::1]80",
        "[::1",
        "::1]:80",
        "[]:80",
        "[1.2.3.4]:80",
        "[:::1]:80",
        "[::1%]:80",
        "[::1%0]:80",
        "[fe80::1%no-such-interface]:80",
        "[fe80::1%4294967296]:80",
        "[::1]:80:80",
        "[1:2:3:4:5:6:7:8:9]:80",
        "[00000000000000000000000000000000000000000000000000000000000000000001]:80",
        "1111111111111111111111111111111111111111111111111111111111111111.2.3.4:80",
    };
    struct sys_addr a = { .port = 7 };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++)
        if (sys_addr_parse(tarn_bytes_str(rows[i]), 0, &a))
            fail_msg("taken: %s", rows[i]);
    assert_false(sys_addr_parse(tarn_bytes_of("1.2.3.4\0:80", 11), 0, &a));
    assert_false(sys_addr_parse(tarn_bytes_of("1.2.3.4\0", 8), 80, &a));
    assert_false(sys_addr_parse(tarn_bytes_of(NULL, 0), 80, &a));
    assert_false(sys_addr_parse(tarn_bytes_str("[::1]x"), 80, &a));
    assert_int_equal(a.port, 7); /* an output is written only on success */
}

static void loopback(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is;
    } rows[] = {
        { "127.0.0.1", true },
        { "127.255.0.9", true },
        { "128.0.0.1", false },
        { "0.0.0.0", false },
        { "::1", true },
        { "::2", false },
        { "::", false },
        { "::ffff:127.0.0.1", true },
        { "::ffff:1.0.0.1", false },
        { "fe80::1%1", false },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct sys_addr a;
        assert_true(sys_addr_parse(tarn_bytes_str(rows[i].text), 1, &a));
        assert_int_equal(sys_addr_is_loopback(&a), rows[i].is);
    }
    struct sys_addr mapped = { .is_v6 = true };
    memcpy(mapped.ip + 10, "\xFF\xFF\x7F\x00\x00\x01", 6);
    assert_true(sys_addr_is_loopback(&mapped));
}

static void equality(void **state)
{
    (void)state;
    struct sys_addr a = sys_addr_any(false, 80), b = sys_addr_any(false, 80);
    b.ip[15] = 1; /* no part of an IPv4 address */
    b.scope = 9;
    assert_true(sys_addr_eq(&a, &b));
    b.port = 81;
    assert_false(sys_addr_eq(&a, &b));
    a = sys_addr_any(true, 80);
    b = sys_addr_any(false, 80);
    assert_false(sys_addr_eq(&a, &b));
    b = a;
    b.scope = 2;
    assert_false(sys_addr_eq(&a, &b));
}

TEST_MAIN(cmocka_unit_test(taken), cmocka_unit_test(refused), cmocka_unit_test(loopback),
          cmocka_unit_test(equality))
