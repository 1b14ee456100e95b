#include "sys/service.h"

#include "base/test/test.h"
#include "sys/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void set_number(const char *name, uint64_t n)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    setenv(name, text, 1);
}

/* Descriptors 3 and 4 must be free for that: cmocka has none open. */
static void test_inherited(void **state)
{
    (void)state;
    struct sys_inherited got[SYS_INHERITED_MAX];
    struct tarn_err err;
    size_t n = 9;
    int ends[2];
    assert_true(sys_inherited(got, &n, &err) && n == 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(ends[0], 3);
    assert_int_equal(ends[1], 4);
    setenv("LISTEN_FDS", "2", 1);
    set_number("LISTEN_PID", sys_pid() + 1);
    assert_true(sys_inherited(got, &n, &err) && n == 0); /* of another process */
    set_number("LISTEN_PID", sys_pid());
    setenv("LISTEN_FDNAMES", "http:admin", 1);
    assert_true(sys_inherited(got, &n, &err));
    assert_int_equal(n, 2);
    assert_string_equal(got[0].name, "http");
    assert_string_equal(got[1].name, "admin");
    assert_int_equal(got[1].fd, 4);
    assert_true((fcntl(3, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(3, F_GETFL) & O_NONBLOCK) != 0);
    assert_true(sys_inherited(got, &n, &err) && n == 0); /* taken */
    set_number("LISTEN_PID", sys_pid());
    setenv("LISTEN_FDS", "2", 1);
    assert_true(sys_inherited(got, &n, &err));
    assert_string_equal(got[0].name, "unknown");
    close(3);
    close(4);
    set_number("LISTEN_PID", sys_pid());
    setenv("LISTEN_FDS", "1", 1);
    assert_false(sys_inherited(got, &n, &err));
    assert_string_equal(err.msg,
                        "LISTEN_FDS says that descriptor 3 is a socket for us, and it is not open");
    setenv("LISTEN_FDS", "33", 1);
    assert_false(sys_inherited(got, &n, &err));
    assert_string_equal(err.msg, "LISTEN_FDS wants a number from 0 to 32");
    unsetenv("LISTEN_FDS");
}

static void check_notify(const struct sockaddr_un *at, socklen_t len, const char *name)
{
    struct tarn_err err;
    char got[64] = { 0 };
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)at, len), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    assert_true(sys_notify("READY=1\nSTATUS=up", &err));
    assert_int_equal(recv(fd, got, sizeof got - 1, 0), 17);
    assert_string_equal(got, "READY=1\nSTATUS=up");
    close(fd);
    assert_false(sys_notify("READY=1", &err));
}

static void test_notify(void **state)
{
    (void)state;
    struct tarn_err err;
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    unsetenv("NOTIFY_SOCKET");
    assert_true(sys_notify("READY=1", &err));
    snprintf(at.sun_path, sizeof at.sun_path, "/tmp/tarn-notify-%d", getpid());
    check_notify(&at, sizeof at, at.sun_path);
    unlink(at.sun_path);
#ifdef __linux__
    int n = snprintf(at.sun_path, sizeof at.sun_path, "@tarn-notify-%d", getpid());
    char name[sizeof at.sun_path];
    memcpy(name, at.sun_path, sizeof name);
    at.sun_path[0] = 0;
    check_notify(&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n), name);
#endif
    setenv("NOTIFY_SOCKET", "nonsense", 1);
    assert_false(sys_notify("READY=1", &err));
    assert_string_equal(err.msg, "NOTIFY_SOCKET is no address of a Unix socket");
}

static void test_watchdog(void **state)
{
    (void)state;
    unsetenv("WATCHDOG_USEC");
    assert_int_equal(sys_watchdog_us(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_int_equal(sys_watchdog_us(), 30000000);
    set_number("WATCHDOG_PID", sys_pid());
    assert_int_equal(sys_watchdog_us(), 30000000);
    set_number("WATCHDOG_PID", sys_pid() + 1);
    assert_int_equal(sys_watchdog_us(), 0);
}

static void test_journal(void **state)
{
    (void)state;
    struct stat st;
    char is[64];
    unsetenv("JOURNAL_STREAM");
    assert_false(sys_is_journal(1));
    assert_int_equal(fstat(1, &st), 0);
    snprintf(is, sizeof is, "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", is, 1);
    assert_true(sys_is_journal(1));
    setenv("JOURNAL_STREAM", "8:1", 1);
    assert_false(sys_is_journal(1));
}

TEST_MAIN(cmocka_unit_test(test_inherited), cmocka_unit_test(test_notify),
          cmocka_unit_test(test_watchdog), cmocka_unit_test(test_journal))
