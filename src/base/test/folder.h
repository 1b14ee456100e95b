/* Folders of tests: one that a test runs in, with no descriptor left open behind it; and away with
 * any of them. */
#ifndef BASE_TEST_FOLDER_H
#define BASE_TEST_FOLDER_H

#include "base/test/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* All that is in it. */
static inline void test_folder_empty(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = fd < 0 ? NULL : fdopendir(fd);
    assert_non_null(names);
    for (struct dirent *e; (e = readdir(names)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            unlinkat(fd, e->d_name, 0) == 0)
            continue;
        int below = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        assert_true(below >= 0);
        test_folder_empty(below);
        close(below);
        assert_int_equal(unlinkat(fd, e->d_name, AT_REMOVEDIR), 0);
    }
    closedir(names);
}

static inline void test_folder_remove(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    test_folder_empty(fd);
    close(fd);
    assert_int_equal(rmdir(path), 0);
}

static char test_folder_path[64];
static int test_folder_home = -1;
static size_t test_folder_fds;

static inline size_t test_open_fds(void)
{
    size_t n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Into a new folder. */
static inline int test_folder_enter(void)
{
    const char *tmp = getenv("TMPDIR");
    test_folder_fds = test_open_fds();
    snprintf(test_folder_path, sizeof test_folder_path, "%s/tarn-test-XXXXXX",
             tmp == NULL ? "/tmp" : tmp);
    test_folder_home = open(".", O_RDONLY | O_DIRECTORY);
    return mkdtemp(test_folder_path) != NULL && chdir(test_folder_path) == 0 ? 0 : -1;
}

/* Back, and it goes with all that is in it. */
static inline void test_folder_leave(void)
{
    assert_int_equal(fchdir(test_folder_home), 0);
    close(test_folder_home);
    test_folder_remove(test_folder_path);
    assert_int_equal(test_open_fds(), test_folder_fds);
}

#endif
