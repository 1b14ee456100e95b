#include "base/test/test.h"
#include "sys/net.h"

static void test_local(void **state)
{
    (void)state;
    static const struct {
        const char *addr;
        bool is_local;
    } table[] = {
        { "127.0.0.1:80", true },
        { "127.255.255.255:80", true },
        { "0.0.0.0:80", true },
        { "10.1.2.3:80", true },
        { "100.63.255.255:80", false },
        { "100.64.0.1:80", true },
        { "100.127.255.255:80", true },
        { "100.128.0.1:80", false },
        { "169.254.169.254:80", true },
        { "172.15.0.1:80", false },
        { "172.16.0.1:80", true },
        { "172.31.255.255:80", true },
        { "172.32.0.1:80", false },
        { "192.0.0.8:80", true },
        { "192.0.1.8:80", false },
        { "192.168.1.1:80", true },
        { "192.169.1.1:80", false },
        { "198.17.1.1:80", false },
        { "198.18.1.1:80", true },
        { "198.19.1.1:80", true },
        { "198.20.1.1:80", false },
        { "223.255.255.255:80", false },
        { "224.0.0.1:80", true },
        { "255.255.255.255:80", true },
        { "1.1.1.1:80", false },
        { "11.0.0.1:80", false },
        { "[::]:80", true },
        { "[::1]:80", true },
        { "[::2]:80", true }, /* as IPv4 it is 0.0.0.2 */
        { "[::808:808]:80", false },
        { "[::a00:1]:80", true },
        { "[fc00::1]:80", true },
        { "[fdff::1]:80", true },
        { "[fe00::1]:80", false },
        { "[fe80::1]:80", true },
        { "[fec0::1]:80", true },
        { "[ff02::1]:80", true },
        { "[2606:4700::1111]:80", false },
        { "[64:ff9b::808:808]:80", false },
        { "[64:ff9b::7f00:1]:80", true },
        { "[64:ff9b:1::808:808]:80", true },
        { "[2002:808:808::1]:80", false },
        { "[2002:c0a8:101::1]:80", true },
        { "[100::1]:80", true },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(table); i++) {
        struct sys_addr a;
        assert_true(sys_addr_parse(tarn_bytes_str(table[i].addr), 0, &a));
        if (sys_addr_is_local(&a) != table[i].is_local)
            fail_msg("%s", table[i].addr);
    }
    struct sys_addr mapped = { .is_v6 = true, .ip = { [10] = 0xFF, [11] = 0xFF, [12] = 10 } };
    assert_true(sys_addr_is_local(&mapped));
    mapped.ip[12] = 8;
    assert_false(sys_addr_is_local(&mapped));
}

TEST_MAIN(cmocka_unit_test(test_local))
