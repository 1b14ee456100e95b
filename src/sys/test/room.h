/* What the tests of this room share: a folder of its own for each test, run over both tables, and
 * no descriptor left open behind it. */
#ifndef SYS_TEST_ROOM_H
#define SYS_TEST_ROOM_H

#include "base/test/folder.h"
#include "sys/fake.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct room_table {
    const struct sys_ops *ops;
};
static struct room_table room_native = { &sys_ops_native };
static struct room_table room_plain = { &sys_ops_plain };

#define ON_BOTH(test) \
    { #test " (native)", test, room_enter, room_leave, &room_native }, \
    { \
#test " (plain)", test, room_enter, room_leave, &room_plain \
    }

static const struct sys_ops *room_ops; /* the table that this test runs over */

static inline int room_enter(void **state)
{
    struct room_table *table = *state;
    sys_ops = room_ops = table->ops;
    return test_folder_enter();
}

static inline int room_leave(void **state)
{
    (void)state;
    sys_ops = room_ops;
    test_folder_leave();
    sys_ops = &sys_ops_native;
    return 0;
}

/* A file with these bytes. */
static inline void room_put(const char *path, const void *p, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, len), (ssize_t)len);
    close(fd);
}

static inline void room_expect(const char *path, const void *p, size_t len)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    uint8_t *got = tarn_calloc(len + 1, 1);
    assert_int_equal(read(fd, got, len + 1), (ssize_t)len);
    assert_memory_equal(got, p, len);
    tarn_free(got);
    close(fd);
}

static inline size_t room_count_names(void)
{
    const char **names;
    size_t n;
    assert_true(sys_list_folder(SYS_CWD, &names, &n, NULL));
    tarn_free(names);
    return n;
}

/* Bytes that tell where they stand. */
static inline uint8_t *room_pattern(size_t len)
{
    uint8_t *p = tarn_calloc(len, 1);
    assert_non_null(p);
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
    return p;
}

#endif
