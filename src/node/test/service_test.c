/* Signals, and what the service manager hears. */
#include "node/test/whole.h"

#include "sys/signals.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct test_home home;
static int ear = -1; /* $NOTIFY_SOCKET */

static const char conf[] = "[http]\nlisten = 127.0.0.1:0\nloops = 1\n[bt]\nlisten = off\n";

static void listen_to_notices(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof at.sun_path, "%s/notify", home.folder);
    ear = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(ear, (struct sockaddr *)&at, sizeof at), 0);
    setenv("NOTIFY_SOCKET", at.sun_path, 1);
}

/* What has come since the last time, all of it. */
static const char *heard(void)
{
    static char text[8192];
    size_t len = 0;
    ssize_t n;
    while ((n = recv(ear, text + len, sizeof text - 1 - len, 0)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    return text;
}

static struct node *begin(void)
{
    test_home_make(&home, conf);
    home.set = (struct node_settings){ .is_service = true, .catches_signals = true };
    listen_to_notices();
    return test_node(&home);
}

static void end(struct node *n)
{
    test_node_end(n);
    sys_close(&ear);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    test_home_remove(&home);
}

static void test_what_is_told(void **state)
{
    (void)state;
    struct tarn_err err;
    struct node *n = begin();
    const char *text = heard();
    assert_non_null(strstr(text, "READY=1\nSTATUS=running, at http://127.0.0.1:"));
    assert_null(strstr(text, "WATCHDOG"));
    assert_true(node_reload(n, &err));
    text = heard();
    assert_non_null(strstr(text, "RELOADING=1\nMONOTONIC_USEC="));
    assert_non_null(strstr(strstr(text, "RELOADING=1"), "READY=1"));
    test_write_conf(&home, "[http]\nlisten = nonsense\n");
    TEST_STEP_UNTIL(n, node_doors_can_reload(n));
    assert_false(node_reload(n, &err));
    text = heard();
    assert_non_null(strstr(text, "RELOADING=1")); /* and it is ready all the same */
    assert_non_null(strstr(strstr(text, "RELOADING=1"), "READY=1"));
    node_fault_add(n, "test", "a disk is on fire");
    node_service_tell(n, "X=1");
    text = heard();
    assert_non_null(strstr(text, "; something is wrong: see tarn status"));
    assert_null(strstr(text, "fire")); /* of what somebody may have named nothing is told */
    node_stop(n);
    assert_non_null(strstr(heard(), "STOPPING=1\nSTATUS=stopping"));
    end(n);
}

static void test_watchdog(void **state)
{
    (void)state;
    unsigned beats = 0;
    setenv("WATCHDOG_USEC", "20000", 1);
    unsetenv("WATCHDOG_PID");
    struct node *n = begin();
    assert_int_equal(n->watchdog_us, 20000);
    while (beats < 3) {
        assert_true(node_step(n, 60 * 1000 * 1000, NULL)); /* woken in time by itself */
        for (const char *at = heard(); (at = strstr(at, "WATCHDOG=1")) != NULL; at++)
            beats++;
    }
    end(n);
}

static void test_nobody_hears(void **state)
{
    (void)state;
    test_home_make(&home, conf);
    home.set = (struct node_settings){ .is_service = true };
    setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
    struct node *n = test_node(&home);
    assert_false(n->is_told); /* said once, and then no more */
    assert_true(test_said(&home, "cannot tell the service manager how things are"));
    home.said[0] = '\0';
    node_service_tell(n, "READY=1");
    assert_false(test_said(&home, "service manager"));
    test_node_end(n);
    unsetenv("NOTIFY_SOCKET");
    test_home_remove(&home);
}

static void test_signals(void **state)
{
    (void)state;
    struct node *n = begin();
    const struct node_config *first = n->config;
    raise(SIGUSR1);
    TEST_STEP_UNTIL(n, test_said(&home, "log files were opened anew"));
    raise(SIGHUP);
    TEST_STEP_UNTIL(n, test_said(&home, "the configuration was read anew"));
    assert_ptr_not_equal(n->config, first);
    test_write_conf(&home, "[http]\nlisten = nonsense\n");
    TEST_STEP_UNTIL(n, node_doors_can_reload(n));
    raise(SIGHUP);
    TEST_STEP_UNTIL(n, test_said(&home, "is not taken, the old one stays"));
    assert_int_equal(n->state, NODE_RUNNING);
    raise(SIGTERM);
    TEST_STEP_UNTIL(n, n->state != NODE_RUNNING);
    raise(SIGHUP); /* too late for that */
    TEST_STEP_UNTIL(n, node_has_stopped(n));
    end(n);
    struct sigaction now; /* and they are the program's again */
    assert_int_equal(sigaction(SIGTERM, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL);
}

static void test_second_signal(void **state)
{
    (void)state;
    struct node *n = begin();
    raise(SIGINT);
    TEST_STEP_UNTIL(n, n->state != NODE_RUNNING);
    raise(SIGINT);
    TEST_STEP_UNTIL(n, node_has_stopped(n));
    end(n);
}

TEST_MAIN(cmocka_unit_test(test_what_is_told), cmocka_unit_test(test_watchdog),
          cmocka_unit_test(test_nobody_hears), cmocka_unit_test(test_signals),
          cmocka_unit_test(test_second_signal))
