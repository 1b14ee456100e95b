#include "sys/notify.h"

#include "base/test/test.h"
#include "sys/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sys_notify *n;
static char folder[] = "/tmp/tarn-notify-XXXXXX";

/* What is told of a name in all; 0 when nothing more comes within the time that any machine needs.
 */
static unsigned told(uint64_t tag, const char *name, unsigned until)
{
    struct sys_notify_event e[16];
    struct tarn_err err;
    unsigned what = 0;
    for (int i = 0; i < 600 && (what & until) != until; i++) {
        struct pollfd p = { .fd = sys_notify_fd(n), .events = POLLIN };
        poll(&p, 1, 100);
        size_t got;
        while ((got = sys_notify_read(n, e, 16, &err)) > 0)
            for (size_t k = 0; k < got; k++)
                if (e[k].tag == tag && tarn_bytes_eq_str(e[k].name, name))
                    what |= e[k].what;
        assert_int_equal(err.code, TARN_OK);
    }
    assert_int_equal(what & until, until);
    return what;
}

static void test_changes_are_told_by_tag(void **state)
{
    (void)state;
    struct tarn_err err;
    n = sys_notify_new(&err);
    if (n == NULL) {
        assert_int_equal(err.code, TARN_E_POLICY);
        test_left_out(err.msg);
        return;
    }
    assert_non_null(mkdtemp(folder));
    int dir = sys_open(folder, SYS_OPEN_FOLDER, NULL);
    assert_true(sys_notify_watch(n, dir, 7, NULL));
    int fd = openat(dir, "f", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    told(7, "f", SYS_NOTIFY_NAME | SYS_NOTIFY_CONTENT | SYS_NOTIFY_CLOSED);
    assert_true(sys_notify_watch(n, dir, 8, NULL)); /* the same folder by another tag */
    assert_int_equal(sys_notify_watches(n), 1);
    assert_int_equal(renameat(dir, "f", dir, "g"), 0);
    told(8, "g", SYS_NOTIFY_NAME);
    assert_int_equal(mkdirat(dir, "sub", 0755), 0);
    assert_true((told(8, "sub", SYS_NOTIFY_NAME) & SYS_NOTIFY_FOLDER) != 0);
    sys_notify_forget(n, 7); /* nobody has it */
    int sub = openat(dir, "sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(sys_notify_watch(n, sub, 9, NULL));
    assert_int_equal(sys_notify_watches(n), 2);
    close(sub);
    assert_int_equal(unlinkat(dir, "sub", AT_REMOVEDIR), 0);
    assert_true((told(9, "", SYS_NOTIFY_SELF) & SYS_NOTIFY_SELF) != 0);
    assert_int_equal(unlinkat(dir, "g", 0), 0);
    sys_notify_forget(n, 8);
    close(dir);
    rmdir(folder);
    sys_notify_free(n);
    sys_notify_free(NULL);
}

TEST_MAIN(cmocka_unit_test(test_changes_are_told_by_tag))
