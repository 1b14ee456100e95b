#include "store/tree.h"

#include "store/priv.h"
#include "store/test/room.h"

#include <fcntl.h>

static const struct room_file two_files[] = { { .path = "c/a", .len = 100 },
                                              { .path = "c/d/b", .len = 5000 } };

/* Reading. */

static void expect_content(struct room *r, const char *path)
{
    struct tarn_err err = { 0 };
    struct store_tree *t = store_tree_open(&r->layout, path, &err);
    assert_non_null(t);
    uint8_t *got = tarn_calloc(r->layout.total, 1);
    assert_true(
        store_tree_read(t, 0, (struct tarn_bytes_mut){ got, (size_t)r->layout.total }, &err));
    assert_memory_equal(got, r->bytes, r->layout.total);
    tarn_free(got);
    store_tree_free(t);
}

static void expect_no_tree(struct room *r, const char *path, enum tarn_code code)
{
    struct tarn_err err = { 0 };
    assert_null(store_tree_open(&r->layout, path, &err));
    assert_int_equal(err.code, code);
}

static void test_open_finds_the_payload(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, 64, two_files, 2);
    expect_no_tree(&r, ".", TARN_E_NOT_FOUND);
    expect_no_tree(&r, "nowhere", TARN_E_NOT_FOUND);
    room_put_all(&r);
    expect_content(&r, ".");
    expect_content(&r, "./");
    expect_content(&r, "c");
    expect_content(&r, "c/");
    expect_content(&r, test_folder_path);
    assert_int_equal(rename("c", "other"), 0);
    expect_content(&r, "other"); /* the files tell */
    expect_no_tree(&r, ".", TARN_E_NOT_FOUND);
    assert_int_equal(mkdir("c", 0777), 0);
    struct store_tree *t = store_tree_open(&r.layout, "c", NULL); /* the name tells */
    assert_non_null(t);
    char path[64];
    assert_string_equal(store_tree_path(t, 1, path, sizeof path), "c/d/b");
    store_tree_free(t);
    t = store_tree_open(&r.layout, ".", NULL);
    assert_non_null(t);
    assert_string_equal(store_tree_path(t, 1, path, sizeof path), "./c/d/b");
    store_tree_free(t);
    room_release(&r);
}

static void test_open_a_folder_in_a_folder_of_its_name(void **state)
{
    (void)state;
    struct room r;
    const struct room_file files[] = { { .path = "c/c/a", .len = 10 },
                                       { .path = "c/b", .len = 9 } };
    room_make(&r, 64, files, 2);
    room_put_all(&r);
    expect_content(&r, ".");
    expect_content(&r, "c");
    room_release(&r);
}

static void test_open_single_file(void **state)
{
    (void)state;
    struct room r;
    const struct room_file file = { .path = "one", .len = 77 };
    room_make(&r, 64, &file, 1);
    assert_int_equal(mkdir("in", 0777), 0);
    expect_no_tree(&r, "in", TARN_E_NOT_FOUND);
    room_put("in/one", r.bytes, 77);
    expect_content(&r, "in");
    expect_content(&r, "in/one");
    assert_int_equal(rename("in/one", "other"), 0);
    expect_content(&r, "other");
    room_release(&r);
}

static void test_reading_says_what_is_wrong(void **state)
{
    (void)state;
    struct room r;
    struct tarn_err err = { 0 };
    uint8_t got[200];
    struct sys_stat st;
    room_make(&r, 64, two_files, 2);
    room_put("c/a", r.bytes, 100);
    struct store_tree *t = store_tree_open(&r.layout, "c", &err);
    assert_true(store_tree_read(t, 10, (struct tarn_bytes_mut){ got, 90 }, &err));
    assert_false(store_tree_read(t, 10, (struct tarn_bytes_mut){ got, 91 }, &err));
    assert_int_equal(err.code, TARN_E_NOT_FOUND);
    assert_false(store_tree_stat(t, 1, &st, &err));
    assert_true(store_tree_stat(t, 0, &st, &err));
    assert_int_equal(st.size, 100);
    assert_int_equal(truncate("c/a", 50), 0);
    assert_false(store_tree_read(t, 10, (struct tarn_bytes_mut){ got, 41 }, &err));
    assert_int_equal(err.code, TARN_E_INTEGRITY);
    assert_non_null(strstr(err.msg, "'c/a' ends at byte 50"));
    assert_int_equal(mkdir("c/d", 0777), 0);
    assert_int_equal(mkdir("c/d/b", 0777), 0);
    assert_null(store_tree_file(t, 1, &err));
    assert_non_null(strstr(err.msg, "regular"));
    store_tree_free(t);
    room_release(&r);
}

/* Symlinks of the user's own are followed. */
static void test_reading_follows_symlinks(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, 64, two_files, 2);
    room_put_all(&r);
    assert_int_equal(rename("c/d", "elsewhere"), 0);
    assert_int_equal(symlink("../elsewhere", "c/d"), 0);
    expect_content(&r, "c");
    room_release(&r);
}

static size_t count_descriptors(void)
{
    size_t n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Who seeds 100,000 torrents has no descriptor for each. */
static void test_a_resting_tree_holds_no_descriptor(void **state)
{
    (void)state;
    struct room r;
    bool had;
    room_make(&r, 64, two_files, 2);
    size_t before = count_descriptors();
    struct store_tree *t = store_tree_create(&r.layout, ".", NULL);
    assert_non_null(t);
    assert_true(store_tree_prepare(t, 1, &had, NULL));
    const struct tarn_bytes run = tarn_bytes_of(r.bytes + 100, 5000);
    assert_true(store_tree_write(t, 100, &run, 1, NULL));
    assert_true(count_descriptors() > before);
    store_tree_rest(t);
    assert_int_equal(count_descriptors(), before);
    uint8_t got[5000]; /* and it is there again when it is needed */
    assert_true(store_tree_read(t, 100, (struct tarn_bytes_mut){ got, sizeof got }, NULL));
    assert_memory_equal(got, r.bytes + 100, sizeof got);
    assert_true(count_descriptors() > before);
    store_tree_free(t);
    assert_int_equal(count_descriptors(), before);
    room_release(&r);
}

/* More files than may stay open. */
static void test_many_files(void **state)
{
    (void)state;
    enum { N = STORE_OPEN_FILES + 100 };
    static struct room_file files[N];
    struct room r;
    for (size_t i = 0; i < N; i++)
        files[i].len = i % 7 + 1;
    room_make(&r, 64, files, N);
    room_put_all(&r);
    size_t before = test_open_fds();
    struct store_tree *t = store_tree_open(&r.layout, "c", NULL);
    uint8_t got[1];
    struct sys_file *held = store_tree_file(t, 0, NULL);
    for (uint32_t i = 0; i < N; i++) {
        assert_true(
            store_tree_read(t, r.layout.files[i].off, (struct tarn_bytes_mut){ got, 1 }, NULL));
        assert_int_equal(got[0], r.bytes[r.layout.files[i].off]);
    }
    assert_int_equal(test_open_fds(), before + STORE_OPEN_FILES + 1); /* and held */
    size_t n = 0;
    assert_true(sys_read_at(held->fd, got, 1, 0, &n, NULL));
    assert_int_equal(got[0], r.bytes[0]);
    sys_file_unref(held);
    store_tree_free(t);
    room_release(&r);
}

/* Writing. */

static struct store_tree *create(struct room *r, const char *dir)
{
    struct tarn_err err = { 0 };
    struct store_tree *t = store_tree_create(&r->layout, dir, &err);
    assert_non_null(t);
    return t;
}

static bool write_run(struct store_tree *t, const struct room *r, uint64_t off, uint64_t len,
                      struct tarn_err *err)
{
    struct tarn_bytes run = tarn_bytes_of(r->bytes + off, (size_t)len);
    return store_tree_write(t, off, &run, 1, err);
}

static void finish_all(struct store_tree *t)
{
    for (uint32_t i = 0; i < t->layout->n_files; i++)
        assert_true(finish(t, i, NULL));
}

/* Many small files: everything is synced before any has its name, each folder once afterwards, and
 * the disk is asked far less often than there are files. */
static void test_finish_many(void **state)
{
    (void)state;
    enum { MANY = 300 };
    static char names[MANY][32];
    static struct room_file files[MANY];
    static uint32_t all[MANY];
    static struct sys_fake fake;
    struct room r;
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "c/d%u/e/f%03u", i / 100, i);
        files[i] = (struct room_file){ .path = names[i], .len = i % 7 };
        all[i] = i;
    }
    room_make(&r, 64, files, MANY);
    struct store_tree *t = create(&r, ".");
    bool had;
    for (uint32_t i = 0; i < MANY; i++)
        assert_true(store_tree_prepare(t, i, &had, NULL));
    assert_true(write_run(t, &r, 0, r.layout.total, NULL));
    sys_fake_install(&fake, &sys_ops_native);
    fake.fail[SYS_FAKE_SYNC] = (struct sys_fault){ .error = EIO };
    assert_false(store_tree_finish(t, all, MANY, NULL));
    for (uint32_t i = 0; i < MANY; i++)
        assert_true(files[i].len == 0 || !room_has(names[i]));
    fake.fail[SYS_FAKE_SYNC] = (struct sys_fault){ 0 };
    fake.calls[SYS_FAKE_SYNC] = 0;
    assert_true(store_tree_finish(t, all, MANY, NULL));
    /* three batches at most, and eight folders: ".", c, c/d0 to c/d2, and an e in each */
    assert_in_range(atomic_load(&fake.calls[SYS_FAKE_SYNC]), 9, 11);
    sys_fake_remove(&fake);
    room_expect_all(&r);
    assert_true(store_tree_finish(t, all, MANY, NULL)); /* harmless */
    store_tree_free(t);
    room_release(&r);
}

static void test_write_and_finish(void **state)
{
    (void)state;
    struct room r;
    const struct room_file files[] = { { .path = "c/a", .len = 100, .how = ROOM_EXEC },
                                       { .path = "c/pad", .len = 28, .how = ROOM_PAD },
                                       { .path = "c/empty/e", .len = 0, .how = ROOM_EXEC },
                                       { .path = "c/d/b", .len = 5000 } };
    room_make(&r, 64, files, 4);
    struct store_tree *t = create(&r, "new/folder");
    assert_false(room_has("new/folder/c"));
    bool had = true;
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(store_tree_prepare(t, i, &had, NULL));
        assert_false(had);
    }
    struct stat st;
    assert_int_equal(stat("new/folder/c/d/b.part", &st), 0);
    assert_int_equal(st.st_size, 5000);
    assert_false(room_has("new/folder/c/pad.part"));
    assert_false(room_has("new/folder/c/empty"));
    assert_true(write_run(t, &r, 0, r.layout.total, NULL));
    assert_false(room_has("new/folder/c/d/b"));
    struct sys_stat seen;
    assert_true(store_tree_stat(t, 0, &seen, NULL)); /* under whichever name */
    assert_int_equal(seen.size, 100);
    assert_true(store_tree_sync(t, NULL));
    finish_all(t);
    finish_all(t); /* again is fine */
    assert_true(store_tree_stat(t, 0, &seen, NULL));
    assert_true(seen.is_executable);
    assert_true(store_tree_stat(t, 2, &seen, NULL));
    assert_true(seen.is_executable);
    assert_true(store_tree_stat(t, 3, &seen, NULL));
    assert_false(seen.is_executable);
    store_tree_free(t);
    assert_int_equal(chdir("new/folder"), 0);
    room_expect_all(&r);
    assert_false(room_has("c/a.part"));
    assert_int_equal(chdir("../.."), 0);
    room_release(&r);
}

static void test_write_without_prepare(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, 64, two_files, 2);
    struct store_tree *t = create(&r, ".");
    assert_true(write_run(t, &r, 90, 20, NULL));
    struct stat st;
    assert_int_equal(stat("c/d/b.part", &st), 0);
    assert_int_equal(st.st_size, 10);
    struct tarn_err err = { 0 };
    assert_false(finish(t, 1, &err)); /* not all there */
    assert_int_equal(err.code, TARN_E_POLICY);
    uint8_t got[20];
    assert_true(store_tree_read(t, 90, (struct tarn_bytes_mut){ got, 20 }, NULL));
    assert_memory_equal(got, r.bytes + 90, 20);
    store_tree_free(t);
    room_release(&r);
}

/* Any cut of the content into runs, written in any order, gives the files. */
static void test_any_runs(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int turn = 0; turn < 60; turn++) {
        struct room r;
        room_random(&r, &seed, (uint32_t)test_rand_below(&seed, 300) + 1, turn % 2 == 0);
        uint64_t total = r.layout.total, cuts[40] = { 0 };
        size_t n = 1;
        while (n < 39 && cuts[n - 1] < total) {
            uint64_t step = test_rand_below(&seed, total / 10 + 2) + 1;
            cuts[n] = tarn_min_u64(total, cuts[n - 1] + step);
            n++;
        }
        if (cuts[n - 1] < total)
            cuts[n++] = total;
        struct sys_fake fake;
        sys_fake_install(&fake, &sys_ops_native);
        fake.short_io = turn % 3 == 0 ? 7 : 0;
        struct store_tree *t = create(&r, ".");
        bool done[40] = { false };
        for (size_t left = n - 1; left > 0;) {
            size_t i = test_rand_below(&seed, n - 1);
            if (done[i])
                continue;
            done[i] = true;
            left--;
            /* in runs of memory of any lengths, empty ones too */
            struct tarn_bytes runs[80];
            size_t n_runs = 0;
            for (uint64_t at = cuts[i]; at < cuts[i + 1];) {
                uint64_t rest = cuts[i + 1] - at;
                uint64_t len = n_runs == 79 ? rest : test_rand_below(&seed, rest + 1);
                runs[n_runs++] = tarn_bytes_of(r.bytes + at, (size_t)len);
                at += len;
            }
            assert_true(store_tree_write(t, cuts[i], runs, n_runs, NULL));
        }
        uint8_t *got = tarn_calloc(total, 1);
        assert_true(store_tree_read(t, 0, (struct tarn_bytes_mut){ got, (size_t)total }, NULL));
        assert_memory_equal(got, r.bytes, total);
        tarn_free(got);
        finish_all(t);
        store_tree_free(t);
        sys_fake_remove(&fake);
        room_expect_all(&r);
        test_folder_empty(AT_FDCWD);
        room_release(&r);
    }
}

static void test_prepare_keeps_what_is_there(void **state)
{
    (void)state;
    struct room r;
    bool had = false;
    const struct room_file files[] = { { .path = "c/whole", .len = 100 },
                                       { .path = "c/short", .len = 100 },
                                       { .path = "c/part", .len = 100 },
                                       { .path = "c/long-part", .len = 100 } };
    uint8_t longer[200] = { 1 };
    room_make(&r, 64, files, 4);
    room_put("c/whole", r.bytes, 100);
    room_put("c/short", r.bytes + 100, 60);
    room_put("c/part.part", r.bytes + 200, 30);
    memcpy(longer, r.bytes + 300, 100);
    room_put("c/long-part.part", longer, 200);
    struct store_tree *t = create(&r, ".");
    uint8_t got[60];
    assert_true(
        store_tree_read(t, 200, (struct tarn_bytes_mut){ got, 30 }, NULL)); /* before, too */
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(store_tree_prepare(t, i, &had, NULL));
        assert_true(had);
    }
    assert_true(room_has("c/whole") && !room_has("c/whole.part"));
    assert_true(!room_has("c/short") && room_has("c/short.part"));
    assert_true(store_tree_read(t, 100, (struct tarn_bytes_mut){ got, 60 }, NULL));
    assert_memory_equal(got, r.bytes + 100, 60);
    assert_true(write_run(t, &r, 50, 20, NULL)); /* in place */
    assert_true(write_run(t, &r, 160, 40, NULL));
    assert_true(write_run(t, &r, 230, 70, NULL));
    finish_all(t);
    store_tree_free(t);
    room_expect_all(&r);
    room_release(&r);
}

static void test_withdraw(void **state)
{
    (void)state;
    struct room r;
    bool had = false;
    room_make(&r, 64, two_files, 2);
    room_put_all(&r);
    struct store_tree *t = create(&r, ".");
    assert_true(store_tree_prepare(t, 0, &had, NULL));
    assert_true(store_tree_withdraw(t, 0, NULL));
    assert_true(store_tree_withdraw(t, 0, NULL));
    assert_true(!room_has("c/a") && room_has("c/a.part"));
    assert_true(write_run(t, &r, 0, 10, NULL));
    assert_true(finish(t, 0, NULL));
    room_expect("c/a", r.bytes, 100);
    store_tree_free(t);
    room_release(&r);
}

/* What is somebody else's is not touched. */
static void test_refusals(void **state)
{
    (void)state;
    struct room r;
    struct tarn_err err = { 0 };
    bool had = false;
    uint8_t other[200] = { 7 };
    const struct room_file files[] = {
        { .path = "c/long", .len = 100 },   { .path = "c/both", .len = 100 },
        { .path = "c/folder", .len = 100 }, { .path = "c/fifo", .len = 100 },
        { .path = "c/linked", .len = 100 }, { .path = "c/under/a", .len = 100 },
        { .path = "c/nonempty", .len = 0 }, { .path = "c/partlink", .len = 100 },
    };
    room_make(&r, 64, files, 8);
    room_put("c/long", other, 200);
    room_put("c/both", other, 50);
    room_put("c/both.part", other, 60);
    assert_int_equal(mkdir("c/folder", 0777), 0);
    assert_int_equal(mkfifo("c/fifo", 0666), 0);
    room_put("outside/target", other, 100);
    assert_int_equal(symlink("../outside/target", "c/linked"), 0);
    assert_int_equal(symlink("../outside", "c/under"), 0);
    assert_int_equal(symlink("../outside/new", "c/partlink.part"), 0);
    room_put("c/nonempty", other, 3);
    struct store_tree *t = create(&r, ".");
    for (uint32_t i = 0; i < 8; i++) {
        err = (struct tarn_err){ 0 };
        if (i != 6)
            assert_false(store_tree_prepare(t, i, &had, &err));
        else
            assert_false(finish(t, i, &err));
        assert_int_equal(err.code, TARN_E_POLICY);
        if (i != 6)
            assert_false(write_run(t, &r, r.layout.files[i].off, 10, &err));
        assert_int_equal(err.code, TARN_E_POLICY);
    }
    store_tree_free(t);
    room_expect("c/long", other, 200);
    room_expect("c/both", other, 50);
    room_expect("c/both.part", other, 60);
    room_expect("outside/target", other, 100);
    room_expect("c/nonempty", other, 3);
    assert_false(room_has("outside/new") || room_has("outside/a") || room_has("outside/a.part"));
    room_release(&r);
}

/* Between our calls somebody puts something else under the name. */
static void test_replaced_meanwhile(void **state)
{
    (void)state;
    struct room r;
    struct tarn_err err = { 0 };
    bool had = false;
    uint8_t other[100] = { 9 };
    room_make(&r, 64, two_files, 2);
    room_put("target", other, 100);
    struct store_tree *t = create(&r, ".");
    assert_true(store_tree_prepare(t, 0, &had, NULL));
    assert_int_equal(unlink("c/a.part"), 0);
    assert_int_equal(symlink("../target", "c/a.part"), 0);
    /* Our open file is written, which nobody sees; but not named. */
    assert_true(write_run(t, &r, 0, 100, NULL));
    assert_false(finish(t, 0, &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    store_table_drop(&t->table, 0); /* as if it had been the longest unused */
    assert_false(write_run(t, &r, 0, 100, &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    assert_false(finish(t, 0, &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    room_expect("target", other, 100);
    assert_false(room_has("c/a"));

    /* A regular file of the right size, but not ours. */
    assert_int_equal(unlink("c/a.part"), 0);
    assert_true(store_tree_prepare(t, 0, &had, NULL));
    assert_int_equal(rename("target", "c/a.part"), 0);
    assert_false(finish(t, 0, &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    room_expect("c/a.part", other, 100);

    /* The final name is taken. */
    store_table_drop(&t->table, 0);
    room_put("c/a", other, 10);
    assert_false(finish(t, 0, &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    room_expect("c/a", other, 10);

    /* Gone. */
    assert_int_equal(unlink("c/a"), 0);
    assert_int_equal(unlink("c/a.part"), 0);
    store_table_drop(&t->table, 0);
    assert_false(finish(t, 0, &err));
    assert_int_equal(err.code, TARN_E_NOT_FOUND);
    assert_false(room_has("c/a.part"));
    store_tree_free(t);
    room_release(&r);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct room r;
    struct tarn_err err = { 0 };
    struct sys_fake fake;
    bool had = false;
    const struct room_file files[] = { { .path = "c/a", .len = 1 << 20 },
                                       { .path = "c/b", .len = 1 << 20 } };
    room_make(&r, 1 << 16, files, 2);
    struct store_tree *t = create(&r, ".");
    sys_fake_install(&fake, &sys_ops_native);
    fake.disk_limit = 3 << 19;
    assert_true(store_tree_prepare(t, 0, &had, NULL));
    assert_false(store_tree_prepare(t, 1, &had, &err));
    assert_int_equal(err.code, TARN_E_NO_SPACE);
    assert_non_null(strstr(err.msg, "'c/b': 1 MiB (1048576 bytes) asked, "));
    assert_non_null(strstr(err.msg, " free "));
    assert_false(room_has("c/b.part"));
    assert_true(write_run(t, &r, 0, 1 << 20, NULL)); /* what was reserved is safe */
    assert_false(write_run(t, &r, 1 << 20, 1 << 20, &err));
    assert_int_equal(err.code, TARN_E_NO_SPACE);
    assert_non_null(strstr(err.msg, " asked, "));
    fake.disk_limit = 0;
    assert_true(store_tree_prepare(t, 1, &had, NULL));
    assert_true(write_run(t, &r, 1 << 20, 1 << 20, NULL));
    finish_all(t);
    store_tree_free(t);
    sys_fake_remove(&fake);
    room_expect_all(&r);
    room_release(&r);
}

static void test_read_only_folder(void **state)
{
    (void)state;
    struct room r;
    struct tarn_err err = { 0 };
    bool had = false;
    if (geteuid() == 0) /* root writes where it likes: let the calls fail */
        return;
    room_make(&r, 64, two_files, 2);
    assert_int_equal(mkdir("c", 0555), 0);
    struct store_tree *t = create(&r, ".");
    assert_false(store_tree_prepare(t, 0, &had, &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    store_tree_free(t);
    room_release(&r);
}

static bool whole_life(struct room *r, struct tarn_err *err)
{
    bool had;
    struct store_tree *t = store_tree_create(&r->layout, ".", err);
    bool ok = t != NULL;
    for (uint32_t i = 0; ok && i < r->layout.n_files; i++)
        ok = store_tree_prepare(t, i, &had, err);
    ok = ok && write_run(t, r, 0, r->layout.total, err) && store_tree_sync(t, err);
    for (uint32_t i = 0; ok && i < r->layout.n_files; i++)
        ok = finish(t, i, err);
    store_tree_free(t);
    return ok;
}

/* The nth call of each kind fails: an error that says so, no file under its final name that is not
 * whole, nothing left open, and the next attempt succeeds. */
static void test_nth_call_fails(void **state)
{
    (void)state;
    static const struct {
        enum sys_fake_call call;
        int error;
        enum tarn_code code;
    } faults[] = {
        { SYS_FAKE_OPEN, EACCES, TARN_E_POLICY },      { SYS_FAKE_OPEN, EROFS, TARN_E_POLICY },
        { SYS_FAKE_PWRITEV, ENOSPC, TARN_E_NO_SPACE }, { SYS_FAKE_PWRITEV, EIO, TARN_E_FAILED },
        { SYS_FAKE_RESERVE, EDQUOT, TARN_E_NO_SPACE }, { SYS_FAKE_SYNC, EIO, TARN_E_FAILED },
        { SYS_FAKE_RENAME, EACCES, TARN_E_POLICY },    { SYS_FAKE_MKDIR, EACCES, TARN_E_POLICY },
        { SYS_FAKE_RANDOM, EIO, TARN_E_FAILED },
    };
    struct room r;
    const struct room_file files[] = { { .path = "c/a", .len = 100 },
                                       { .path = "c/e", .len = 0 },
                                       { .path = "c/d/b", .len = 5000 } };
    room_make(&r, 64, files, 3);
    size_t before = test_open_fds();
    for (size_t i = 0; i < TARN_COUNT_OF(faults); i++) {
        bool ok = false;
        for (unsigned n = 0; !ok; n++) {
            struct sys_fake fake;
            struct tarn_err err = { 0 };
            sys_fake_install(&fake, &sys_ops_native);
            fake.fail[faults[i].call] =
                (struct sys_fault){ .after = n,
                                    .error = faults[i].error,
                                    /* one is for ".", which is there already: no harm done */
                                    .forever = faults[i].call == SYS_FAKE_MKDIR };
            ok = whole_life(&r, &err);
            sys_fake_remove(&fake);
            assert_true(n > 0 || !ok);
            if (!ok)
                assert_int_equal(err.code, faults[i].code);
            assert_int_equal(test_open_fds(), before);
            for (uint32_t k = 0; k < 3; k++)
                if (room_has(files[k].path))
                    room_expect(files[k].path, r.bytes + r.layout.files[k].off,
                                (size_t)files[k].len);
            assert_true(whole_life(&r, NULL));
            room_expect_all(&r);
            test_folder_empty(AT_FDCWD);
        }
    }
    room_release(&r);
}

static void test_nth_allocation_fails(void **state)
{
    (void)state;
    struct room r;
    room_make(&r, 64, two_files, 2);
    bool ok = false;
    for (size_t n = 0; !ok; n++) {
        struct tarn_err err = { 0 };
        test_mem_fail_after(n);
        ok = whole_life(&r, &err);
        test_mem_normal();
        assert_true(ok || err.code == TARN_E_NO_MEMORY);
        if (!ok)
            assert_true(whole_life(&r, NULL));
        room_expect_all(&r);
        test_folder_empty(AT_FDCWD);
    }
    room_release(&r);
}

/* Content that has both `a` and `a.part`. */
static void test_own_part_name_in_layout(void **state)
{
    (void)state;
    struct room r;
    const struct room_file files[] = { { .path = "c/a", .len = 100 },
                                       { .path = "c/a.part", .len = 200 } };
    room_make(&r, 64, files, 2);
    assert_true(whole_life(&r, NULL));
    room_expect_all(&r);
    room_release(&r);
}

TEST_MAIN(IN_ROOM(test_open_finds_the_payload), IN_ROOM(test_open_a_folder_in_a_folder_of_its_name),
          IN_ROOM(test_open_single_file), IN_ROOM(test_reading_says_what_is_wrong),
          IN_ROOM(test_reading_follows_symlinks), IN_ROOM(test_a_resting_tree_holds_no_descriptor),
          IN_ROOM(test_many_files), IN_ROOM(test_write_and_finish), IN_ROOM(test_finish_many),
          IN_ROOM(test_write_without_prepare), IN_ROOM(test_any_runs),
          IN_ROOM(test_prepare_keeps_what_is_there), IN_ROOM(test_withdraw), IN_ROOM(test_refusals),
          IN_ROOM(test_replaced_meanwhile), IN_ROOM(test_full_disk), IN_ROOM(test_read_only_folder),
          IN_ROOM(test_nth_call_fails), IN_ROOM(test_nth_allocation_fails),
          IN_ROOM(test_own_part_name_in_layout))
