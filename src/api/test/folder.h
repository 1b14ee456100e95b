/* A folder of small files for the tests of this room, gone when the test is. */
#ifndef API_TEST_FOLDER_H
#define API_TEST_FOLDER_H

#include "base/test/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
    char root[64];
    char tree[96];  /* root/tree: the payload */
    char file[128]; /* root/tree/b/long: 100000 bytes */
};

static inline void folder_put(const char *path, size_t len)
{
    uint64_t state = len;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)test_rand(&state);
        assert_int_equal(write(fd, &byte, 1), 1);
    }
    assert_int_equal(close(fd), 0);
}

static inline void folder_make(struct folder *f)
{
    char path[128];
    strcpy(f->root, "/tmp/tarn-api-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    snprintf(f->tree, sizeof f->tree, "%s/tree", f->root);
    assert_int_equal(mkdir(f->tree, 0755), 0);
    snprintf(path, sizeof path, "%s/b", f->tree);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/a", f->tree);
    folder_put(path, 20000);
    snprintf(f->file, sizeof f->file, "%s/b/long", f->tree);
    folder_put(f->file, 100000);
    snprintf(path, sizeof path, "%s/empty", f->tree);
    folder_put(path, 0);
}

static inline void folder_remove(struct folder *f)
{
    test_folder_remove(f->root);
}

static inline unsigned folder_count(const char *path)
{
    unsigned n = 0;
    char text[256];
    snprintf(text, sizeof text, "ls -A '%s' | wc -l", path);
    FILE *list = popen(text, "r");
    assert_non_null(list);
    assert_int_equal(fscanf(list, "%u", &n), 1);
    pclose(list);
    return n;
}

#endif
