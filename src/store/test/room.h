/* What the tests of this room share: a folder of its own for each test, layouts made up from lists
 * or at random, and the content that belongs to them as one run of bytes: the naive model. */
#ifndef STORE_TEST_ROOM_H
#define STORE_TEST_ROOM_H

#include "base/num.h"
#include "base/test/folder.h"
#include "store/tree.h"
#include "sys/fake.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IN_ROOM(test) \
    { \
#test, test, room_enter, room_leave, NULL \
    }

static inline bool finish(struct store_tree *t, uint32_t file, struct tarn_err *err)
{
    return store_tree_finish(t, &file, 1, err);
}

static inline int room_enter(void **state)
{
    (void)state;
    return test_folder_enter();
}

static inline int room_leave(void **state)
{
    (void)state;
    test_mem_normal();
    sys_ops = &sys_ops_native;
    test_folder_leave();
    return 0;
}

/* A layout, and what its address space holds. */
struct room {
    struct store_layout layout;
    uint8_t *bytes; /* layout.total of them */
    char (*paths)[64];
};

enum { ROOM_PAD = 1, ROOM_GAP = 2, ROOM_EXEC = 4 };

struct room_file {
    const char *path; /* NULL: "c/f<index>" */
    uint64_t len;
    unsigned how; /* ROOM_PAD: an entry of padding; ROOM_GAP: len bytes of no entry */
};

static inline void room_make(struct room *r, uint32_t piece_len, const struct room_file *files,
                             size_t n)
{
    uint64_t total = 0;
    *r = (struct room){ .layout = { .piece_len = piece_len, .name = "c" } };
    struct store_layout *l = &r->layout;
    l->files = tarn_calloc(n, sizeof *l->files);
    r->paths = tarn_calloc(n, sizeof *r->paths);
    for (size_t i = 0; i < n; i++) {
        uint32_t at = l->n_files;
        snprintf(r->paths[at], sizeof *r->paths, "c/f%u", at);
        if ((files[i].how & ROOM_GAP) == 0)
            l->files[l->n_files++] = (struct store_file){
                .path = files[i].path != NULL ? files[i].path : r->paths[at],
                .off = total,
                .len = files[i].len,
                .is_pad = (files[i].how & ROOM_PAD) != 0,
                .is_executable = (files[i].how & ROOM_EXEC) != 0,
            };
        total += files[i].len;
    }
    l->total = total;
    l->n_pieces = (uint32_t)tarn_div_up_u64(total, piece_len);
    l->is_single_file = n == 1 && strchr(l->files[0].path, '/') == NULL;
    if (l->is_single_file)
        l->name = l->files[0].path;
    r->bytes = tarn_calloc(total, 1);
    uint64_t seed = total * 31 + n;
    for (uint32_t i = 0; i < l->n_files; i++)
        for (uint64_t k = 0; k < l->files[i].len && !l->files[i].is_pad; k++)
            r->bytes[l->files[i].off + k] = (uint8_t)test_rand(&seed);
}

static inline void room_release(struct room *r)
{
    store_layout_release(&r->layout);
    tarn_free(r->bytes);
    tarn_free(r->paths);
}

/* Files of odd lengths, empty ones, padding of both kinds. is_aligned: every file starts at a
 * piece, as v2 wants it. */
static inline void room_random(struct room *r, uint64_t *seed, uint32_t piece_len, bool is_aligned)
{
    struct room_file files[48] = { 0 };
    size_t n = 0, count = test_rand_below(seed, 20) + 1;
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t max = test_rand_below(seed, 3) == 0 ? (uint64_t)piece_len * 5 : piece_len / 2 + 1;
        files[n].len = test_rand_below(seed, 5) == 0 ? 0 : test_rand_below(seed, max + 1);
        at += files[n++].len;
        uint64_t pad = 0;
        if (is_aligned)
            pad = (piece_len - at % piece_len) % piece_len;
        else if (test_rand_below(seed, 3) == 0)
            pad = test_rand_below(seed, piece_len);
        if (pad == 0 || i + 1 == count)
            continue;
        files[n].len = pad;
        files[n++].how = test_rand_below(seed, 2) == 0 ? ROOM_PAD : ROOM_GAP;
        at += pad;
    }
    if (at == 0)
        files[n++].len = 1;
    room_make(r, piece_len, files, n);
}

static inline void room_put(const char *path, const void *p, size_t len)
{
    char folder[64];
    for (size_t i = 1; path[i] != '\0'; i++)
        if (path[i] == '/') {
            snprintf(folder, sizeof folder, "%.*s", (int)i, path);
            (void)mkdir(folder, 0777);
        }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, len), (ssize_t)len);
    close(fd);
}

/* All files of the layout, in the current folder. */
static inline void room_put_all(const struct room *r)
{
    for (uint32_t i = 0; i < r->layout.n_files; i++) {
        const struct store_file *f = &r->layout.files[i];
        if (!f->is_pad)
            room_put(f->path, r->bytes + f->off, (size_t)f->len);
    }
}

static inline bool room_has(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
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

static inline void room_expect_all(const struct room *r)
{
    for (uint32_t i = 0; i < r->layout.n_files; i++) {
        const struct store_file *f = &r->layout.files[i];
        if (!f->is_pad)
            room_expect(f->path, r->bytes + f->off, (size_t)f->len);
    }
}

#endif
