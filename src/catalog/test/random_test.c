/* Random edits of a tree, while the catalog runs and while it does not: when it has settled it
 * equals what a naive program reads, and it has read no more than what was written. */
#include "catalog/test/world.h"

#include <sys/wait.h>

enum { FOLDERS = 6, NAMES = 8, ROUNDS = 24 };

static struct world w;
static uint64_t rng;
static uint64_t written; /* bytes of the files that were written to in this round */

static const char *some_folder(void)
{
    static const char *const folders[FOLDERS] = { "", "a/", "a/b/", "a/b/c/", "d/", "d/e/" };
    return folders[test_rand_below(&rng, FOLDERS)];
}

static void some_path(char *to, size_t size)
{
    int n = snprintf(to, size, "%s/%sf%u", w.tree, some_folder(),
                     (unsigned)test_rand_below(&rng, NAMES));
    assert_true(n < (int)size);
}

static void note_written(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
        written += (uint64_t)st.st_size;
}

static void write_some(const char *path, int flags)
{
    static uint8_t bytes[90000];
    size_t len = test_rand_below(&rng, 3) == 0 ? test_rand_below(&rng, sizeof bytes)
                                               : test_rand_below(&rng, 300);
    uint8_t kind = (uint8_t)test_rand_below(&rng, 5); /* few kinds: some files are equal */
    if (kind < 2)
        len = 1000 + (size_t)kind;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(kind < 2 ? i + kind : test_rand(&rng));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
    if (fd < 0)
        return; /* its folder is not there now */
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    close(fd);
    note_written(path);
}

static void edit(void)
{
    char path[512], other[600];
    some_path(path, sizeof path);
    switch (test_rand_below(&rng, 5)) {
    case 0:
        write_some(path, O_TRUNC);
        break;
    case 1:
        write_some(path, O_APPEND);
        break;
    case 2:
        write_some(path, 0);
        break; /* its beginning */
    case 3:    /* as most programs save */
        snprintf(other, sizeof other, "%s.new", path);
        write_some(other, O_TRUNC);
        (void)rename(other, path); /* not there: nothing happens */
        break;
    case 4:
        unlink(path);
        break;
    }
}

/* Inodes that were touched in this round. What happens twice may undo itself, and leaves a ctime
 * that nothing explains: such a file is read again, and rightly. */
static ino_t touched[256];
static size_t n_touched;

static bool may_touch(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return true;
    for (size_t i = 0; i < n_touched; i++)
        if (touched[i] == st.st_ino)
            return false;
    if (n_touched == TARN_COUNT_OF(touched))
        return false;
    touched[n_touched++] = st.st_ino;
    return true;
}

/* Not while it runs: it is heard of as a change, and a file that has moved since is then not
 * believed. */
static void change_mode(const char *path)
{
    struct stat st;
    if (w.loop == NULL && lstat(path, &st) == 0)
        (void)chmod(path, (st.st_mode & 0777) == 0600 ? 0644 : 0600);
}

/* What changes no bytes. */
static void shuffle(void)
{
    char path[512], other[512];
    some_path(path, sizeof path);
    some_path(other, sizeof other);
    if (!may_touch(path) || !may_touch(other))
        return;
    switch (test_rand_below(&rng, 8)) {
    case 0:
    case 1:
        (void)rename(path, other);
        break;
    case 2:
        (void)link(path, other);
        break;
    case 3:
        unlink(path);
        break;
    case 4:
        change_mode(path);
        break;
    case 5: { /* two change places */
        char between[600];
        snprintf(between, sizeof between, "%s/between", w.tree);
        if (rename(path, between) == 0) {
            (void)rename(other, path);
            (void)rename(between, other);
        }
        break;
    }
    case 6: { /* so do two folders */
        char a[200], b[200], c[200];
        snprintf(a, sizeof a, "%s/a/b", w.tree);
        snprintf(b, sizeof b, "%s/d", w.tree);
        snprintf(c, sizeof c, "%s/between", w.tree);
        if (rename(a, c) == 0) {
            (void)rename(b, a);
            (void)rename(c, b);
        }
        break;
    }
    case 7: { /* one is made again, empty */
        char a[200], b[200];
        snprintf(a, sizeof a, "%s/d/e", w.tree);
        snprintf(b, sizeof b, "%s/a/b/c", w.tree);
        (void)mkdir(a, 0755);
        (void)mkdir(b, 0755);
        (void)rename(a, b); /* only when b is empty */
        (void)mkdir(a, 0755);
        break;
    }
    }
}

static void turn_some(void)
{
    if (w.loop == NULL)
        return;
    for (uint64_t i = test_rand_below(&rng, 4); i > 0; i--)
        assert_true(loop_turn(w.loop, 1000, NULL));
}

static void round_of(unsigned number)
{
    bool is_off = test_rand_below(&rng, 3) == 0;
    unsigned kind = number % 3; /* edits, shuffles, both */
    uint64_t before = world_bytes_read(&w);
    written = 0;
    n_touched = 0;
    if (is_off) {
        world_close(&w);
        before = 0;
    }
    for (uint64_t i = 1 + test_rand_below(&rng, 30); i > 0; i--) {
        if (kind == 0 || (kind == 2 && test_rand_below(&rng, 2) == 0))
            edit();
        else
            shuffle();
        /* A folder that is on its way in the very moment may be taken for gone, and its files are
         * then read again: what is counted exactly is seen as a whole. */
        if (kind != 1)
            turn_some();
    }
    if (is_off)
        world_open(&w);
    world_agree(&w);
    uint64_t read = world_bytes_read(&w) - before;
    if ((kind == 0 && read > written) || (kind == 1 && read != 0))
        fail_msg("round %u (%s): %llu bytes read, %llu written", number, is_off ? "off" : "on",
                 (unsigned long long)read, (unsigned long long)written);
}

/* Files that moved alone while nobody looked are believed where the system tells the age of an
 * inode. */
static bool has_ages(void)
{
    struct sys_stat st;
    return sys_stat(SYS_CWD, w.tree, true, &st, NULL) && st.born_ns != 0;
}

static void test_random_edits(void **state)
{
    (void)state;
    rng = test_seed();
    world_begin(&w);
    if (!has_ages()) {
        test_left_out("the file system in /tmp does not tell when inodes were made");
        world_end(&w);
        return;
    }
    world_run("mkdir -p %s/a/b/c %s/d/e", w.tree, w.tree);
    world_publish(&w, CATALOG_BT_HYBRID);
    world_agree(&w);
    for (unsigned i = 0; i < ROUNDS; i++)
        round_of(i);
    /* Nothing has changed: nothing is read. */
    world_close(&w);
    world_open(&w);
    world_agree(&w);
    assert_int_equal(world_bytes_read(&w), 0);
    world_end(&w);
}

TEST_MAIN(cmocka_unit_test(test_random_edits))
