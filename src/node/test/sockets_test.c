/* What the doors listen on: configured, usual, or handed over by systemd. */
#include "node/sockets.h"

#include "base/test/test.h"
#include "sys/file.h"
#include "sys/net.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct node_config *config(const char *text)
{
    struct tarn_err err = { 0 };
    struct node_config *c = node_config_parse(tarn_bytes_str(text), "x.conf", NULL, &err);
    if (c == NULL)
        fail_msg("%s", err.msg);
    return c;
}

static void assert_opens(struct node_sockets *s, const char *text, bool takes_inherited,
                         const struct sys_addr *admin_usual)
{
    struct tarn_err err = { 0 };
    struct node_config *c = config(text);
    if (!node_sockets_open(s, c, takes_inherited, admin_usual, &err))
        fail_msg("%s: %s", text, err.msg);
    node_config_free(c);
}

static size_t count(const struct node_sockets *s, enum node_door door)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += s->all[i].door == door;
    return n;
}

static uint16_t port_of(int fd)
{
    struct sys_addr at;
    assert_true(sys_local_addr(fd, &at, NULL));
    return at.port;
}

static void test_configured(void **state)
{
    (void)state;
    struct node_sockets s;
    struct sys_addr usual;
    assert_true(sys_addr_parse(tarn_bytes_str("127.0.0.1:0"), 0, &usual));
    assert_opens(&s, "[http]\nlisten = 127.0.0.1:0, 127.0.0.2:0\n[admin]\nlisten = 127.0.0.1:0\n",
                 false, NULL);
    assert_int_equal(count(&s, NODE_DOOR_HTTP), 2);
    assert_int_equal(count(&s, NODE_DOOR_ADMIN), 1);
    assert_int_equal(s.n, 3);
    for (size_t i = 0; i < s.n; i++) {
        assert_false(s.all[i].is_inherited);
        assert_true(port_of(s.all[i].fd) > 0);
    }
    node_sockets_release(&s);
    assert_int_equal(s.n, 0);
    node_sockets_release(&s);
    assert_opens(&s, "[http]\nlisten = off\n", false, NULL);
    assert_int_equal(s.n, 0);
    /* the usual place of the page is for who has said nothing else */
    assert_opens(&s, "[http]\nlisten = off\n", false, &usual);
    assert_int_equal(count(&s, NODE_DOOR_ADMIN), 1);
    node_sockets_release(&s);
    assert_opens(&s, "[http]\nlisten = off\n[admin]\nlisten = off\n", false, &usual);
    assert_int_equal(s.n, 0);
}

static void test_port_taken(void **state)
{
    (void)state;
    struct node_sockets first, second;
    struct tarn_err err;
    char text[120], words[80];
    assert_opens(&first, "[http]\nlisten = 127.0.0.1:0\n", false, NULL);
    unsigned port = port_of(first.all[0].fd);
    snprintf(text, sizeof text,
             "[http]\nlisten = 127.0.0.1:0\n[admin]\nlisten = 127.0.0.2:0 127.0.0.1:%u\n", port);
    struct node_config *c = config(text);
    assert_false(node_sockets_open(&second, c, false, NULL, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    assert_non_null(strstr(err.msg, "(admin.listen, x.conf:4)"));
    snprintf(words, sizeof words, "'ss -ltnp sport = :%u' says who listens at 127.0.0.1:%u", port,
             port);
    assert_non_null(strstr(err.msg, words));
    assert_int_equal(second.n, 0); /* those that were free are free again */
    assert_false(node_sockets_open(&second, c, false, NULL, NULL));
    node_config_free(c);
    node_sockets_release(&first);
}

/* n sockets that listen, as systemd puts them: from descriptor 3 on. */
static void hand_over(unsigned n, const char *names)
{
    char text[32];
    for (unsigned i = 0; i < n; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(listen(fd, 5), 0);
        assert_int_equal(fd, 3 + i);
    }
    snprintf(text, sizeof text, "%u", n);
    setenv("LISTEN_FDS", text, 1);
    snprintf(text, sizeof text, "%llu", (unsigned long long)sys_pid());
    setenv("LISTEN_PID", text, 1);
    if (names == NULL)
        unsetenv("LISTEN_FDNAMES");
    else
        setenv("LISTEN_FDNAMES", names, 1);
}

static void test_handed_over(void **state)
{
    (void)state;
    struct node_sockets s;
    static const char text[] = "[http]\nlisten = 127.0.0.1:0\n[admin]\nlisten = 127.0.0.1:0\n";
    hand_over(4, "control:http:admin:tarn.socket"); /* the last: a unit's own name */
    assert_opens(&s, text, true, NULL);
    assert_int_equal(s.n, 4); /* and none that is configured */
    static const enum node_door doors[] = { NODE_DOOR_CONTROL, NODE_DOOR_HTTP, NODE_DOOR_ADMIN,
                                            NODE_DOOR_HTTP };
    for (size_t i = 0; i < s.n; i++) {
        assert_true(s.all[i].is_inherited);
        assert_int_equal(s.all[i].door, doors[i]);
        assert_int_equal(s.all[i].fd, 3 + i);
    }
    node_sockets_release(&s);
    hand_over(1, "admin"); /* a door of which there is none is made as configured */
    assert_opens(&s, text, true, NULL);
    assert_int_equal(count(&s, NODE_DOOR_ADMIN), 1);
    assert_int_equal(count(&s, NODE_DOOR_HTTP), 1);
    assert_true(s.all[0].is_inherited && !s.all[1].is_inherited);
    node_sockets_release(&s);
    hand_over(1, NULL); /* systemd gives no names when nobody set them */
    assert_opens(&s, "[http]\nlisten = off\n", true, NULL);
    assert_int_equal(count(&s, NODE_DOOR_HTTP), 1);
    node_sockets_release(&s);
    hand_over(1, "http"); /* a program that is no service does not look */
    assert_opens(&s, "[http]\nlisten = off\n", false, NULL);
    assert_int_equal(s.n, 0);
    close(3);
}

static void test_handed_over_nonsense(void **state)
{
    (void)state;
    struct node_sockets s;
    struct tarn_err err;
    struct node_config *c = config("[http]\nlisten = 127.0.0.1:0\n");
    hand_over(1, "http");
    close(3);
    assert_false(node_sockets_open(&s, c, true, NULL, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    assert_int_equal(s.n, 0);
    node_config_free(c);
}

TEST_MAIN(cmocka_unit_test(test_configured), cmocka_unit_test(test_port_taken),
          cmocka_unit_test(test_handed_over), cmocka_unit_test(test_handed_over_nonsense))
