/* Signals, and what the service manager hears. */
#include "node/test/whole.h"

#include "sys/signals.h"
#include "sys/thread.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

/* ---- a disk that hangs, while the node starts ---- */

static const struct sys_ops *usual;
static struct sys_ops hanging; /* whatever is asked of a path that ends in /hung waits */
static struct {
    struct sys_lock lock;
    struct sys_cond cond;
    bool is_back;
    _Atomic bool is_caught;   /* signals, by the node */
    int signals[3];           /* raised once, when it hangs, in this order; 0: no more */
    const char *until;        /* it is back when the log says so; NULL: when is_back */
    bool hurries;             /* time flies while it hangs */
    _Atomic int64_t later_us; /* added to the clock */
} disk;

/* The node asks for the time as soon as it catches signals, and begins to wait for the folder. */
static int64_t later(void)
{
    struct sigaction now;
    if (!disk.is_caught && sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler != SIG_DFL) {
        sys_lock_take(&disk.lock);
        disk.is_caught = true;
        sys_cond_broadcast(&disk.cond);
        sys_lock_give(&disk.lock);
    }
    return usual->now_us() + disk.later_us;
}

static void await_catching(void)
{
    sys_lock_take(&disk.lock);
    while (!disk.is_caught)
        sys_cond_wait(&disk.cond, &disk.lock);
    sys_lock_give(&disk.lock);
}

static void await_back(void)
{
    if (disk.until != NULL)
        test_await_said(&home, disk.until);
    sys_lock_take(&disk.lock);
    while (disk.until == NULL && !disk.is_back) {
        if (disk.hurries) {
            disk.later_us += 10 * 1000 * 1000;
            kill(getpid(), SIGUSR1); /* who waits looks at the clock again */
        }
        (void)sys_cond_wait_for(&disk.cond, &disk.lock, 10 * 1000);
    }
    sys_lock_give(&disk.lock);
}

static int hang(const char *path, char *to, size_t size)
{
    const char *name = strrchr(path, '/');
    if (name != NULL && strcmp(name, "/hung") == 0) {
        await_catching();
        for (size_t i = 0; i < TARN_COUNT_OF(disk.signals) && disk.signals[i] != 0; i++) {
            kill(getpid(), disk.signals[i]); /* this thread takes none itself */
            disk.signals[i] = 0;
        }
        await_back();
    }
    return usual->real_path(path, to, size);
}

static void disk_hangs(void)
{
    usual = sys_ops;
    hanging = *sys_ops;
    hanging.real_path = hang;
    hanging.now_us = later;
    sys_lock_init(&disk.lock);
    sys_cond_init(&disk.cond);
    disk.is_back = disk.hurries = disk.is_caught = false;
    disk.until = NULL;
    disk.later_us = 0;
    memset(disk.signals, 0, sizeof disk.signals);
    sys_ops = &hanging;
}

static void disk_is_back(void)
{
    sys_lock_take(&disk.lock);
    disk.is_back = true;
    sys_cond_broadcast(&disk.cond);
    sys_lock_give(&disk.lock);
}

static void disk_gone(void)
{
    sys_ops = usual;
    sys_cond_release(&disk.cond);
    sys_lock_release(&disk.lock);
}

/* A node with a folder `hung`, of the configuration or of who starts it. */
static struct node *begin_hung(bool is_configured)
{
    static char path[96];
    static const char *publish[] = { path };
    char text[256];
    test_home_make(&home, conf);
    snprintf(path, sizeof path, "%s/hung", home.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(text, sizeof text, "%s[collection far]\npath = %s\n", conf, path);
    if (is_configured)
        test_write_conf(&home, text);
    home.set = (struct node_settings){ .is_service = true,
                                       .catches_signals = true,
                                       .publish = publish,
                                       .n_publish = is_configured ? 0 : 1 };
    listen_to_notices();
    return test_node(&home);
}

static void end_hung(struct node *n)
{
    end(n);
    disk_gone();
}

static bool has_collection(struct node *n)
{
    struct catalog_read r;
    struct catalog_collection c;
    assert_true(catalog_read_begin(n->catalog, &r, NULL));
    bool is = catalog_collection_next(&r, 0, &c, NULL) == CATALOG_FOUND;
    catalog_read_end(&r);
    return is;
}

static void test_hung_disk(void **state)
{
    (void)state;
    disk_hangs();
    disk.hurries = true;
    struct node *n = begin_hung(true);
    assert_int_equal(n->state, NODE_RUNNING);
    assert_false(tarn_list_empty(&n->asks));
    assert_non_null(strstr(heard(), "READY=1\nSTATUS=running"));
    assert_true(test_said(&home, "does not answer: starting without it"));
    disk_is_back();
    TEST_STEP_UNTIL(n, tarn_list_empty(&n->asks));
    assert_int_equal(n->n_faults, 0);
    assert_true(has_collection(n));
    end_hung(n);
}

static void test_hup_while_starting(void **state)
{
    (void)state;
    disk_hangs();
    disk.signals[0] = SIGHUP;
    disk.signals[1] = SIGUSR1;
    disk.until = "log files were opened anew";
    struct node *n = begin_hung(false);
    assert_int_equal(n->state, NODE_RUNNING);
    assert_true(has_collection(n)); /* what it does not start without was waited for */
    assert_true(test_said(&home, "the configuration was read anew"));
    const char *text = heard(), *ready = strstr(text, "READY=1\nSTATUS=running");
    assert_non_null(ready);
    assert_true(strstr(text, "RELOADING=1") > ready);
    end_hung(n);
}

static void test_term_while_starting(void **state)
{
    (void)state;
    disk_hangs();
    disk.signals[0] = SIGHUP;
    disk.signals[1] = SIGTERM;
    struct node *n = begin_hung(false); /* though the folder has not answered */
    assert_true(node_has_stopped(n));
    assert_true(test_said(&home, "stopping before it runs"));
    assert_false(test_said(&home, " runs, pid "));
    assert_false(test_said(&home, "read anew"));
    assert_null(strstr(heard(), "READY=1"));
    disk_is_back();
    end_hung(n);
}

TEST_MAIN(cmocka_unit_test(test_hung_disk), cmocka_unit_test(test_hup_while_starting),
          cmocka_unit_test(test_term_while_starting), cmocka_unit_test(test_what_is_told),
          cmocka_unit_test(test_watchdog), cmocka_unit_test(test_nobody_hears),
          cmocka_unit_test(test_signals), cmocka_unit_test(test_second_signal))
