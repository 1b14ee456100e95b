/* Paths from outside: down and only down, over real folders, to regular files. */
#include "sys/file.h"

#include "sys/test/room.h"

#include <sys/stat.h>

static int root = -1;

static void expect_refused(const char *path, enum sys_open_how how, const char *why)
{
    struct tarn_err err = { 0 };
    size_t fds = test_open_fds();
    int fd = sys_open_beneath(root, path, how, &err);
    if (fd >= 0)
        fail_msg("opened: %s", path);
    assert_int_equal(test_open_fds(), fds);
    assert_int_equal(err.code, TARN_E_POLICY);
    if (strstr(err.msg, why) == NULL)
        fail_msg("'%s' does not say '%s'", err.msg, why);
}

static void open_root(void)
{
    assert_int_equal(mkdir("root", 0777), 0);
    root = sys_open("root", SYS_OPEN_FOLDER, NULL);
    assert_true(root >= 0);
}

static const enum sys_open_how all_hows[] = { SYS_OPEN_READ, SYS_OPEN_WRITE, SYS_OPEN_CREATE,
                                              SYS_OPEN_CREATE_NEW, SYS_OPEN_FOLDER };

static void unsafe_text(void **state)
{
    (void)state;
    open_root();
    static const char *const paths[] = { "",     "/",      "/etc/passwd", "..", "../x",
                                         "a/..", "a/../b", "a//b",        "a/", ".",
                                         "./a",  "a/.",    "a/./b" };
    for (size_t i = 0; i < TARN_COUNT_OF(paths); i++)
        for (size_t h = 0; h < TARN_COUNT_OF(all_hows); h++)
            expect_refused(paths[i], all_hows[h], "may lead out");
    /* the tables by themselves keep below too */
    assert_int_equal(mkdir("root/a", 0777), 0);
    assert_int_equal(sys_ops->open_beneath(root, "../root", O_RDONLY, 0), -1);
    assert_int_equal(errno, EXDEV);
    assert_int_equal(sys_ops->open_beneath(root, "a/../..", O_RDONLY, 0), -1);
    assert_int_equal(errno, EXDEV);
    assert_int_equal(sys_ops->open_beneath(root, "/tmp", O_RDONLY, 0), -1);
    assert_int_equal(errno, EXDEV);
    /* dots that mean nothing */
    int fd = sys_open_beneath(root, "...", SYS_OPEN_CREATE, NULL);
    assert_true(fd >= 0);
    sys_close(&fd);
    fd = sys_open_beneath(root, "..a/.b", SYS_OPEN_CREATE, NULL);
    assert_true(fd >= 0);
    sys_close(&fd);
    sys_close(&root);
}

static void links_in_every_place(void **state)
{
    (void)state;
    open_root();
    assert_true(sys_make_folders("outside/b/c", NULL));
    room_put("outside/b/c/file", "secret", 6);
    room_put("outside/file", "secret", 6);
    assert_true(sys_make_folders("root/a/b/c", NULL));
    /* to outside, to inside, to nowhere; first, in the middle, last */
    assert_true(sys_make_symlink(SYS_CWD, "root/out", "../outside", NULL));
    assert_true(sys_make_symlink(SYS_CWD, "root/in", "a", NULL));
    assert_true(sys_make_symlink(SYS_CWD, "root/a/out", "../../outside", NULL));
    assert_true(sys_make_symlink(SYS_CWD, "root/a/b/out", "/etc/passwd", NULL));
    assert_true(sys_make_symlink(SYS_CWD, "root/a/b/folder", "/etc", NULL));
    assert_true(sys_make_symlink(SYS_CWD, "root/a/b/new", "../../../outside/new", NULL));
    static const char *const paths[] = { "out/b/c/file", "in/b/c/file", "a/out/file", "a/b/out",
                                         "a/b/folder",   "a/b/new",     "out",        "in/new" };
    for (size_t i = 0; i < TARN_COUNT_OF(paths); i++)
        for (size_t h = 0; h < TARN_COUNT_OF(all_hows); h++) {
            /* "must not exist" is the answer for a link in the last place */
            bool is_last = strcmp(paths[i], "out") == 0 || strncmp(paths[i], "a/b/", 4) == 0;
            if (all_hows[h] == SYS_OPEN_CREATE_NEW && is_last) {
                assert_int_equal(sys_open_beneath(root, paths[i], all_hows[h], NULL), -1);
                continue;
            }
            expect_refused(paths[i], all_hows[h], "symbolic link");
        }
    assert_int_equal(access("outside/new", F_OK), -1);
    sys_close(&root);
}

static void makes_folders_and_files(void **state)
{
    (void)state;
    open_root();
    struct tarn_err err;
    assert_int_equal(sys_open_beneath(root, "x/y/file", SYS_OPEN_READ, &err), -1);
    assert_int_equal(err.code, TARN_E_NOT_FOUND);
    assert_int_equal(sys_open_beneath(root, "x/y/file", SYS_OPEN_WRITE, &err), -1);
    assert_int_equal(sys_open_beneath(root, "x/y", SYS_OPEN_FOLDER, &err), -1);
    assert_int_equal(access("root/x", F_OK), -1);
    int fd = sys_open_beneath(root, "x/y/file", SYS_OPEN_CREATE, NULL);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true(sys_write_at(fd, tarn_bytes_str("hello"), 0, NULL));
    sys_close(&fd);
    room_expect("root/x/y/file", "hello", 5);
    fd = sys_open_beneath(root, "x/y/file", SYS_OPEN_CREATE, NULL);
    assert_true(fd >= 0);
    sys_close(&fd);
    room_expect("root/x/y/file", "hello", 5);
    assert_int_equal(sys_open_beneath(root, "x/y/file", SYS_OPEN_CREATE_NEW, &err), -1);
    assert_string_equal(err.msg, "cannot create 'x/y/file': File exists");
    fd = sys_open_beneath(root, "x/y/other", SYS_OPEN_CREATE_NEW, NULL);
    assert_true(fd >= 0);
    sys_close(&fd);
    fd = sys_open_beneath(root, "x/y", SYS_OPEN_FOLDER, NULL);
    assert_true(fd >= 0);
    sys_close(&fd);
    /* a file where a folder should be */
    assert_int_equal(sys_open_beneath(root, "x/y/file/z", SYS_OPEN_CREATE, &err), -1);
    assert_string_equal(err.msg, "cannot create 'x/y/file/z': Not a directory");
    assert_int_equal(sys_open_beneath(root, "x/y", SYS_OPEN_CREATE, &err), -1);
    assert_string_equal(err.msg, "cannot create 'x/y': Is a directory");
    expect_refused("x/y", SYS_OPEN_READ, "not a regular file");
    sys_close(&root);
}

static void pipes_do_not_hang(void **state)
{
    (void)state;
    open_root();
    assert_int_equal(mkfifo("root/pipe", 0666), 0);
    expect_refused("pipe", SYS_OPEN_READ, "not a regular file");
    expect_refused("pipe", SYS_OPEN_WRITE, "not a regular file");
    sys_close(&root);
}

static void long_names(void **state)
{
    (void)state;
    open_root();
    char name[400];
    memset(name, 'n', sizeof name);
    name[300] = '\0';
    struct tarn_err err;
    assert_int_equal(sys_open_beneath(root, name, SYS_OPEN_CREATE, &err), -1);
    assert_non_null(strstr(err.msg, "File name too long"));
    name[255] = '\0';
    int fd = sys_open_beneath(root, name, SYS_OPEN_CREATE, NULL);
    assert_true(fd >= 0);
    sys_close(&fd);
    sys_close(&root);
}

static void each_call_fails_once(void **state)
{
    (void)state;
    static const enum sys_fake_call calls[] = { SYS_FAKE_OPEN, SYS_FAKE_MKDIR };
    open_root();
    int fd;
    for (size_t c = 0; c < TARN_COUNT_OF(calls); c++) {
        unsigned after = 0;
        for (bool is_reached = true; is_reached; after++) {
            struct sys_fake f;
            char path[32];
            snprintf(path, sizeof path, "%zu-%u/b/c/file", c, after);
            sys_fake_install(&f, room_ops);
            f.fail[calls[c]] = (struct sys_fault){ .after = after, .error = EACCES };
            size_t fds = test_open_fds();
            struct tarn_err err;
            fd = sys_open_beneath(root, path, SYS_OPEN_CREATE, &err);
            is_reached = atomic_load(&f.calls[calls[c]]) > after;
            sys_fake_remove(&f);
            if (is_reached) {
                assert_int_equal(fd, -1);
                assert_int_equal(err.code, TARN_E_POLICY);
            } else {
                assert_true(fd >= 0);
            }
            sys_close(&fd);
            assert_int_equal(test_open_fds(), fds);
        }
        assert_true(after > 3);
    }
    for (size_t left = 0; left < 3; left++) { /* three names are copied */
        char path[32];
        snprintf(path, sizeof path, "mem-%zu/b/c/file", left);
        test_mem_fail_after(left);
        struct tarn_err err;
        fd = sys_open_beneath(root, path, SYS_OPEN_CREATE, &err);
        test_mem_normal();
        assert_int_equal(fd, -1);
        assert_int_equal(err.code, TARN_E_NO_MEMORY);
    }
    sys_close(&root);
}

TEST_MAIN(ON_BOTH(unsafe_text), ON_BOTH(links_in_every_place), ON_BOTH(makes_folders_and_files),
          ON_BOTH(pipes_do_not_hang), ON_BOTH(long_names), ON_BOTH(each_call_fails_once))
