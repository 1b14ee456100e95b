/* When another ctime is explained: the same inode by all that tells one, and a reason for it. */
#include "catalog/disk.h"

#include "base/test/test.h"

static const struct sys_stat then = { .kind = SYS_REGULAR,
                                      .ino = 11,
                                      .size = 100,
                                      .mtime_ns = 5,
                                      .ctime_ns = 6,
                                      .born_ns = 4,
                                      .links = 1,
                                      .mode = 0644 };

static void test_a_reason(void **state)
{
    (void)state;
    struct sys_stat now = then;
    now.ctime_ns = 9;
    assert_false(
        disk_is_explained(&then, &now)); /* somebody did something, and nothing says what */
    now.links = 2;
    assert_true(disk_is_explained(&then, &now));
    now = then;
    now.mode = 0600;
    assert_true(disk_is_explained(&then, &now));
    now = then;
    now.owner = 1;
    assert_true(disk_is_explained(&then, &now));
    now = then;
    now.group = 1;
    assert_true(disk_is_explained(&then, &now));
}

static void test_another_inode(void **state)
{
    (void)state;
    struct sys_stat like = then;
    like.links = 2;
    assert_true(disk_is_explained(&then, &like));
    struct sys_stat others[] = { like, like, like, like, like };
    others[0].ino++;
    others[1].size++;
    others[2].mtime_ns++;
    others[3].born_ns++;
    others[4].kind = SYS_FOLDER;
    for (size_t i = 0; i < TARN_COUNT_OF(others); i++)
        assert_false(disk_is_explained(&then, &others[i]));
    /* A file system that keeps no birth cannot tell an inode from the next with its number. */
    struct sys_stat unborn = then;
    unborn.born_ns = like.born_ns = 0;
    assert_false(disk_is_explained(&unborn, &like));
}

TEST_MAIN(cmocka_unit_test(test_a_reason), cmocka_unit_test(test_another_inode))
