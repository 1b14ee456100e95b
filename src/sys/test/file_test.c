/* Files and folders over both tables: bytes, sizes, names, counts; and each call failing. */
#include "sys/file.h"

#ifdef __linux__
#include "sys/linux/priv.h"
#endif
#include "sys/clock.h"
#include "sys/test/room.h"

#include <sys/mman.h>
#include <sys/stat.h>

static void reads_and_writes_in_any_slices(void **state)
{
    (void)state;
    enum { LEN = 5000 };
    uint8_t *data = room_pattern(LEN);
    static const size_t slices[] = { 1, 7, 4096, 0 };
    for (size_t i = 0; i < TARN_COUNT_OF(slices); i++) {
        struct sys_fake f;
        sys_fake_install(&f, room_ops);
        f.short_io = slices[i];
        f.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .after = 1, .error = EINTR };
        f.fail[SYS_FAKE_PWRITEV] = (struct sys_fault){ .after = 1, .error = EINTR };
        int fd = sys_open("file", SYS_OPEN_CREATE, NULL);
        assert_true(fd >= 0);
        assert_true(sys_write_at(fd, tarn_bytes_of(data, LEN), 100, NULL));
        uint8_t back[LEN + 200];
        size_t got = 0;
        assert_true(sys_read_at(fd, back, LEN + 50, 100, &got, NULL));
        assert_int_equal(got, LEN);
        assert_memory_equal(back, data, LEN);
        assert_true(sys_read_at(fd, back, 10, LEN + 100, &got, NULL));
        assert_int_equal(got, 0);
        assert_true(sys_read_at(fd, back, 0, 0, &got, NULL));
        assert_int_equal(got, 0);
        assert_int_equal(atomic_load(&f.bytes_written), LEN);
        assert_int_equal(atomic_load(&f.bytes_read), LEN);
        sys_close(&fd);
        assert_int_equal(fd, -1);
        sys_close(&fd);
        sys_fake_remove(&f);
        assert_int_equal(unlink("file"), 0);
    }
    tarn_free(data);
}

static void writes_many_runs(void **state)
{
    (void)state;
    enum { RUNS = 300, LEN = 200 * RUNS };
    uint8_t *data = room_pattern(LEN);
    struct tarn_bytes runs[RUNS];
    size_t at = 0;
    for (size_t i = 0; i < RUNS; i++) { /* of 0 to 199 bytes */
        runs[i] = tarn_bytes_of(data + at, i * 67 % 200);
        at += runs[i].len;
    }
    static const size_t slices[] = { 1, 333, 0 };
    for (size_t i = 0; i < TARN_COUNT_OF(slices); i++) {
        struct sys_fake f;
        sys_fake_install(&f, room_ops);
        f.short_io = slices[i];
        int fd = sys_open("file", SYS_OPEN_CREATE, NULL);
        assert_true(sys_write_runs_at(fd, runs, RUNS, 0, NULL));
        sys_close(&fd);
        room_expect("file", data, at);
        if (slices[i] == 0)
            assert_true(atomic_load(&f.calls[SYS_FAKE_PWRITEV]) < 10);
        sys_fake_remove(&f);
        assert_int_equal(unlink("file"), 0);
    }
    int fd = sys_open("file", SYS_OPEN_CREATE, NULL);
    assert_true(sys_write_runs_at(fd, NULL, 0, 0, NULL));
    assert_true(sys_write_at(fd, tarn_bytes_of(NULL, 0), 0, NULL));
    sys_close(&fd);
    tarn_free(data);
}

static void offsets_no_file_has(void **state)
{
    (void)state;
    struct tarn_err err;
    size_t got;
    char c = 'x';
    int fd = sys_open("file", SYS_OPEN_CREATE, NULL);
    assert_false(sys_read_at(fd, &c, 1, UINT64_MAX, &got, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    assert_false(sys_write_at(fd, tarn_bytes_of(&c, 1), INT64_MAX, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    assert_false(sys_reserve(fd, UINT64_MAX, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    assert_false(sys_truncate(fd, UINT64_MAX, &err));
    assert_int_equal(sys_resident(fd, UINT64_MAX, 1), SYS_COLD);
    sys_close(&fd);
}

static void errors_say_what(void **state)
{
    (void)state;
    struct tarn_err err;
    assert_int_equal(sys_open("no\nsuch", SYS_OPEN_READ, &err), -1);
    assert_int_equal(err.code, TARN_E_NOT_FOUND);
    assert_string_equal(err.msg, "cannot open 'no\\x0asuch': No such file or directory");
    assert_int_equal(sys_open("a/b", SYS_OPEN_CREATE, &err), -1);
    assert_string_equal(err.msg, "cannot create 'a/b': No such file or directory");
    room_put("file", "x", 1);
    assert_int_equal(sys_open("file", SYS_OPEN_CREATE_NEW, &err), -1);
    assert_string_equal(err.msg, "cannot create 'file': File exists");
    assert_int_equal(sys_open("file", SYS_OPEN_FOLDER, &err), -1);
    assert_string_equal(err.msg, "cannot open the folder 'file': Not a directory");

    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    f.fail[SYS_FAKE_OPEN] = (struct sys_fault){ .error = EMFILE };
    assert_int_equal(sys_open("file", SYS_OPEN_READ, &err), -1);
    assert_int_equal(err.code, TARN_E_POLICY);
    assert_non_null(strstr(err.msg, "`ulimit -n`"));
    f.fail[SYS_FAKE_OPEN] = (struct sys_fault){ .after = 1, .error = ENFILE };
    assert_int_equal(sys_open("file", SYS_OPEN_READ, &err), -1);
    assert_int_equal(err.code, TARN_E_POLICY);
    f.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .error = EIO };
    int fd = sys_open("file", SYS_OPEN_WRITE, NULL);
    size_t got;
    char c;
    assert_false(sys_read_at(fd, &c, 1, 5, &got, &err));
    assert_string_equal(err.msg, "cannot read 1 bytes at 5 of a file: Input/output error");
    f.fail[SYS_FAKE_PWRITEV] = (struct sys_fault){ .error = ENOSPC };
    assert_false(sys_write_at(fd, tarn_bytes_of("ab", 2), 5, &err));
    assert_int_equal(err.code, TARN_E_NO_SPACE);
    assert_string_equal(err.msg, "cannot write 2 bytes at 5 of a file: No space left on device");
    f.fail[SYS_FAKE_SYNC] = (struct sys_fault){ .error = EIO };
    assert_false(sys_sync(fd, &err));
    f.fail[SYS_FAKE_SYNC] = (struct sys_fault){ .after = 1, .error = EINTR };
    assert_true(sys_sync(fd, NULL));
    sys_close(&fd);
    sys_fake_remove(&f);
}

static void many_are_synced_at_once(void **state)
{
    (void)state;
    struct tarn_err err;
    struct sys_fake f;
    enum { FILES = 20 };
    int fds[FILES];
    sys_fake_install(&f, room_ops);
    for (int i = 0; i < FILES; i++) {
        char name[16];
        snprintf(name, sizeof name, "many%d", i);
        fds[i] = sys_open(name, SYS_OPEN_CREATE, NULL);
        assert_true(fds[i] >= 0 && sys_write_at(fds[i], tarn_bytes_of("ab", 2), 0, NULL));
    }
    assert_true(sys_sync_many(fds, 0, NULL));
    assert_int_equal(atomic_load(&f.calls[SYS_FAKE_SYNC]), 0);
    assert_true(sys_sync_many(fds, 2, NULL));
    assert_int_equal(atomic_load(&f.calls[SYS_FAKE_SYNC]), 2);
    f.calls[SYS_FAKE_SYNC] = 0;
    f.fail[SYS_FAKE_SYNC] = (struct sys_fault){ .error = EINTR };
    assert_true(sys_sync_many(fds, FILES, NULL));
    f.calls[SYS_FAKE_SYNC] = 0;
    f.fail[SYS_FAKE_SYNC] = (struct sys_fault){ .error = ENOSYS }; /* one by one then */
    assert_true(sys_sync_many(fds, FILES, NULL));
    assert_int_equal(atomic_load(&f.calls[SYS_FAKE_SYNC]), 1 + FILES);
    f.calls[SYS_FAKE_SYNC] = 0;
    f.fail[SYS_FAKE_SYNC] = (struct sys_fault){ .error = EIO, .forever = true };
    assert_false(sys_sync_many(fds, FILES, &err));
    assert_false(sys_sync_many(fds, 1, &err));
    for (int i = 0; i < FILES; i++)
        sys_close(&fds[i]);
    sys_fake_remove(&f);
}

static void locks_keep_others_out(void **state)
{
    (void)state;
    struct tarn_err err;
    int a = sys_open("locks", SYS_OPEN_CREATE, NULL), b = sys_open("locks", SYS_OPEN_WRITE, NULL);
    assert_true(sys_lock_at(a, 7, NULL));
    assert_false(sys_lock_at(b, 7, &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    assert_true(sys_lock_at(b, 8, NULL));
    sys_unlock_at(a, 7);
    assert_true(sys_lock_at(b, 7, NULL));
    assert_false(sys_lock_at(a, 7, NULL));
    assert_false(sys_lock_all(a, &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    sys_close(&b);
    assert_true(sys_lock_at(a, 7, NULL));
    assert_true(sys_lock_all(a, NULL));
    b = sys_open("locks", SYS_OPEN_WRITE, NULL);
    assert_false(sys_lock_at(b, 1U << 30, NULL));
    sys_close(&b);
    sys_close(&a);
}

static void paths_and_folders(void **state)
{
    (void)state;
    struct stat st;
    struct tarn_err err;
    assert_true(sys_make_private_folder("above/mine/", NULL));
    assert_true(sys_make_private_folder("above/mine", NULL));
    assert_int_equal(stat("above/mine", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat("above", &st), 0);
    assert_int_not_equal(st.st_mode & 07777, 0700);
    room_put("file", "x", 1);
    assert_false(sys_make_private_folder("file/below", &err));
    assert_true(sys_make_symlink(SYS_CWD, "link", "above/mine", NULL));
    char *straight = sys_real_path("above/mine", NULL), *through = sys_real_path("link/", NULL);
    assert_non_null(straight);
    assert_non_null(through);
    assert_int_equal(straight[0], '/');
    assert_string_equal(straight, through);
    tarn_free(straight);
    tarn_free(through);
    assert_null(sys_real_path("nothing", &err));
    assert_int_equal(err.code, TARN_E_NOT_FOUND);
    int fd = sys_open("above", SYS_OPEN_FOLDER, NULL);
    assert_true(sys_sync_folder(fd, NULL));
    sys_close(&fd);
}

static void a_boot_has_one_name(void **state)
{
    (void)state;
    struct sys_boot a, b;
    assert_string_equal(sys_boot_id(&a), sys_boot_id(&b));
    for (const char *p = a.s; *p != '\0'; p++)
        assert_true(*p > ' ');
}

static void reserves_and_truncates(void **state)
{
    (void)state;
    struct tarn_err err;
    struct sys_stat st;
    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    int fd = sys_open("file", SYS_OPEN_CREATE, NULL);
    f.fail[SYS_FAKE_RESERVE] = (struct sys_fault){ .error = EINTR };
    assert_true(sys_reserve(fd, 0, NULL));
    assert_true(sys_reserve(fd, 1 << 20, NULL));
    assert_true(sys_stat_fd(fd, &st, NULL));
    assert_int_equal(st.size, 1 << 20);
    if (room_ops == &sys_ops_native) {
        struct stat raw;
        assert_int_equal(fstat(fd, &raw), 0);
        assert_true(raw.st_blocks * 512 >= 1 << 20);
    }
    assert_true(sys_reserve(fd, 1000, NULL)); /* never cuts */
    assert_true(sys_stat_fd(fd, &st, NULL));
    assert_int_equal(st.size, 1 << 20);
    assert_true(sys_truncate(fd, 77, NULL));
    assert_true(sys_stat_fd(fd, &st, NULL));
    assert_int_equal(st.size, 77);
    f.fail[SYS_FAKE_RESERVE] = (struct sys_fault){ .after = 0, .error = ENOSPC, .forever = true };
    assert_false(sys_reserve(fd, 3 << 20, &err));
    assert_int_equal(err.code, TARN_E_NO_SPACE);
    assert_string_equal(err.msg,
                        "cannot reserve disk space: the file needs 3 MiB: No space left on device");
    sys_close(&fd);
    sys_fake_remove(&f);
}

static void a_full_disk(void **state)
{
    (void)state;
    struct tarn_err err;
    struct sys_fake f;
    static const char zeros[3000];
    sys_fake_install(&f, room_ops);
    f.disk_limit = 10000;
    int fd = sys_open("file", SYS_OPEN_CREATE, NULL);
    assert_true(sys_reserve(fd, 4000, NULL));
    assert_true(sys_write_at(fd, tarn_bytes_of(zeros, 3000), 1000, NULL)); /* reserved: free */
    assert_int_equal(atomic_load(&f.disk_used), 4000);
    assert_true(sys_write_at(fd, tarn_bytes_of(zeros, 3000), 3000, NULL));
    assert_int_equal(atomic_load(&f.disk_used), 6000);
    assert_false(sys_reserve(fd, 10001, &err));
    assert_int_equal(err.code, TARN_E_NO_SPACE);
    assert_true(sys_write_at(fd, tarn_bytes_of(zeros, 3000), 6000, NULL));
    assert_false(sys_write_at(fd, tarn_bytes_of(zeros, 3000), 9000, &err)); /* 1000 fit */
    assert_int_equal(err.code, TARN_E_NO_SPACE);
    struct sys_stat st;
    assert_true(sys_stat_fd(fd, &st, NULL));
    assert_int_equal(st.size, 10000);
    assert_true(sys_write_at(fd, tarn_bytes_of(zeros, 3000), 7000, NULL));
    sys_close(&fd);
    sys_fake_remove(&f);
}

static void tells_states_apart(void **state)
{
    (void)state;
    struct sys_stat a, b;
    room_put("file", "one", 3);
    assert_true(sys_stat(SYS_CWD, "file", true, &a, NULL));
    assert_true(sys_stat(SYS_CWD, "file", false, &b, NULL));
    assert_true(sys_stat_same(&a, &b));
    assert_int_equal(a.kind, SYS_REGULAR);
    assert_int_equal(a.size, 3);
    assert_false(a.is_executable);
    assert_int_equal(chmod("file", 0700), 0);
    assert_true(sys_stat(SYS_CWD, "file", true, &b, NULL));
    assert_true(b.is_executable);
    assert_int_equal(chmod("file", 0640), 0);
    int fd = sys_open("file", SYS_OPEN_READ, NULL);
    assert_true(sys_make_executable(fd, NULL));
    sys_close(&fd);
    struct stat raw;
    assert_int_equal(stat("file", &raw), 0);
    assert_int_equal(raw.st_mode & 07777, 0750);
    assert_false(sys_make_executable(-1, NULL));
    room_put("file", "more", 4);
    assert_true(sys_stat(SYS_CWD, "file", true, &b, NULL));
    assert_false(sys_stat_same(&a, &b));
    assert_true(sys_make_symlink(SYS_CWD, "link", "file", NULL));
    assert_true(sys_stat(SYS_CWD, "link", false, &a, NULL));
    assert_int_equal(a.kind, SYS_SYMLINK);
    assert_true(sys_stat(SYS_CWD, "link", true, &a, NULL));
    assert_true(sys_stat_same(&a, &b));
    assert_true(sys_stat(SYS_CWD, ".", true, &a, NULL));
    assert_int_equal(a.kind, SYS_FOLDER);
    assert_true(sys_stat(SYS_CWD, "/dev/null", true, &a, NULL));
    assert_int_equal(a.kind, SYS_OTHER);
    struct tarn_err err;
    assert_false(sys_stat(SYS_CWD, "nothing", true, &a, &err));
    assert_int_equal(err.code, TARN_E_NOT_FOUND);
    assert_false(sys_make_symlink(SYS_CWD, "link", "file", &err));
    assert_string_equal(err.msg, "cannot make the symbolic link 'link': File exists");
}

static void folders_and_names(void **state)
{
    (void)state;
    struct tarn_err err;
    const char **names;
    size_t n;
    assert_true(sys_list_folder(SYS_CWD, &names, &n, NULL));
    assert_int_equal(n, 0);
    tarn_free(names);
    assert_true(sys_make_folders("a//b/c/", NULL));
    assert_true(sys_make_folders("a/b/c", NULL));
    char whole[128];
    snprintf(whole, sizeof whole, "%s/x/y", test_folder_path);
    assert_true(sys_make_folders(whole, NULL));
    room_put("B", "", 0);
    room_put("\xC3\xA4", "", 0);
    assert_false(sys_make_folders("B/c", &err));
    assert_string_equal(err.msg, "cannot make the folder 'B': Not a directory");
    assert_true(sys_list_folder(SYS_CWD, &names, &n, NULL));
    assert_int_equal(n, 4);
    assert_string_equal(names[0], "B");
    assert_string_equal(names[1], "a");
    assert_string_equal(names[2], "x");
    assert_string_equal(names[3], "\xC3\xA4");
    tarn_free(names);
    int dir = sys_open("a/b", SYS_OPEN_FOLDER, NULL);
    assert_true(sys_list_folder(dir, &names, &n, NULL));
    assert_int_equal(n, 1);
    assert_string_equal(names[0], "c");
    tarn_free(names);
    assert_true(sys_rename(dir, "c", SYS_CWD, "moved", NULL));
    assert_false(sys_rename(dir, "c", SYS_CWD, "moved", &err));
    assert_string_equal(err.msg, "cannot rename 'c' to 'moved': No such file or directory");
    assert_true(sys_remove(SYS_CWD, "moved", NULL));
    assert_false(sys_remove(SYS_CWD, "a", &err));
    assert_string_equal(err.msg, "cannot remove 'a': Directory not empty");
    assert_true(sys_remove(SYS_CWD, "B", NULL));
    assert_false(sys_remove(SYS_CWD, "B", &err));
    assert_int_equal(err.code, TARN_E_NOT_FOUND);
    sys_close(&dir);
    assert_false(sys_list_folder(-1, &names, &n, &err));
}

static void no_memory_for_names(void **state)
{
    (void)state;
    const char **names;
    size_t n;
    struct tarn_err err;
    room_put("a", "", 0);
    bool done = false;
    for (size_t left = 0; !done; left++) {
        test_mem_fail_after(left);
        done = sys_list_folder(SYS_CWD, &names, &n, &err);
        test_mem_normal();
        if (!done)
            assert_int_equal(err.code, TARN_E_NO_MEMORY);
        assert_true(left < 10);
    }
    tarn_free(names);
}

static void residency(void **state)
{
    (void)state;
    static uint8_t data[1 << 20];
    memset(data, 7, sizeof data);
    room_put("file", data, sizeof data);
    int fd = sys_open("file", SYS_OPEN_WRITE, NULL);
    assert_true(sys_sync(fd, NULL));
    sys_will_need(fd, 0, sizeof data);
    sys_wont_need(fd, 0, sizeof data);
    sys_read_in_order(fd);
    size_t got;
    assert_true(sys_read_at(fd, data, sizeof data, 0, &got, NULL));
    bool knows = room_ops == &sys_ops_native;
    static const struct {
        uint64_t off;
        size_t len;
    } rows[] = { { 0, 16384 }, { 5, 10 }, { 0, sizeof data }, { 4095, 2 }, { 777, 300000 } };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++)
        assert_int_equal(sys_resident(fd, rows[i].off, rows[i].len),
                         knows ? SYS_RESIDENT : SYS_UNKNOWN);
    assert_int_equal(sys_resident(fd, 0, 0), SYS_RESIDENT);
    if (knows) /* what is not in the file is not in memory */
        assert_int_equal(sys_resident(fd, sizeof data - 100, 16384), SYS_COLD);
#ifdef __linux__
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++)
        assert_int_equal(linux_resident_by_reading(fd, (int64_t)rows[i].off, rows[i].len), 1);
    assert_int_equal(linux_resident_by_reading(fd, sizeof data - 100, 16384), 0);
    assert_int_equal(linux_resident_by_reading(fd, sizeof data - 100, sizeof data), 0);
    int ends[2];
    assert_int_equal(pipe(ends), 0); /* cannot be asked */
    assert_int_equal(linux_resident_by_reading(ends[0], 0, 1), -1);
    assert_int_equal(errno, ENOSYS);
    close(ends[0]);
    close(ends[1]);
#endif
    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    f.resident = 0;
    assert_int_equal(sys_resident(fd, 0, 10), SYS_COLD);
    f.resident = 1;
    assert_int_equal(sys_resident(fd, 0, 10), SYS_RESIDENT);
    f.resident = -1;
    assert_int_equal(sys_resident(fd, 0, 10), SYS_UNKNOWN);
    sys_fake_remove(&f);
    sys_close(&fd);
}

static void maps(void **state)
{
    (void)state;
    enum { LEN = 20000 };
    uint8_t *data = room_pattern(LEN);
    room_put("file", data, LEN);
    struct sys_file *f = sys_file_new(sys_open("file", SYS_OPEN_READ, NULL));
    static const size_t offs[] = { 0, 1, 4096, 4095, LEN - 1 };
    for (size_t i = 0; i < TARN_COUNT_OF(offs); i++) {
        const uint8_t *p = sys_file_mapped(f, offs[i], LEN - offs[i]);
        assert_non_null(p);
        assert_memory_equal(p, data + offs[i], LEN - offs[i]);
    }
    assert_null(sys_file_mapped(f, 1, LEN));
    assert_null(sys_file_mapped(f, UINT64_MAX, 1));
    assert_null(sys_file_mapped(f, 0, 0));
    sys_file_unref(f);

    struct sys_fake fake;
    sys_fake_install(&fake, room_ops);
    fake.fail[SYS_FAKE_MAP] = (struct sys_fault){ .error = ENOMEM };
    f = sys_file_new(sys_open("file", SYS_OPEN_READ, NULL));
    assert_null(sys_file_mapped(f, 0, LEN));
    assert_non_null(sys_file_mapped(f, 0, LEN)); /* there is memory again */
    sys_file_unref(f);
    sys_fake_remove(&fake);
    tarn_free(data);
}

/* Runs that follow each other at an odd place, and back. */
static void write_and_compare(struct sys_file *f, const uint8_t *data, size_t len)
{
    struct tarn_bytes runs[3] = { tarn_bytes_of(data + 7, 5000), tarn_bytes_of(data + 5007, 0),
                                  tarn_bytes_of(data + 5007, len - 5007) };
    struct tarn_err err;
    if (!sys_file_write(f, runs, TARN_COUNT_OF(runs), 7, &err))
        fail_msg("%s", err.msg);
    uint8_t *got = tarn_calloc(len, 1);
    size_t n;
    assert_true(sys_read_at(f->fd, got, len, 0, &n, NULL));
    assert_int_equal(n, len);
    assert_memory_equal(got + 7, data + 7, len - 7);
    tarn_free(got);
}

static void writes_in_each_way(void **state)
{
    (void)state;
    enum { LEN = 50000 };
    uint8_t *data = room_pattern(LEN);
    static const int faults[] = { 0, EFAULT, EPERM, EINTR, ENOSYS };
    for (enum sys_file_way way = SYS_FILE_AUTO; way <= SYS_FILE_PREAD; way++)
        for (size_t i = 0; i < TARN_COUNT_OF(faults); i++) {
            struct sys_fake fake;
            sys_fake_install(&fake, room_ops);
            fake.short_io = i == 1 ? 3000 : 0;
            fake.fail[SYS_FAKE_COPY_INTO] =
                (struct sys_fault){ .after = (unsigned)i, .error = faults[i] };
            SYS_AUTO_FD fd = sys_open("file", SYS_OPEN_CREATE, NULL);
            assert_true(sys_truncate(fd, 0, NULL));
            assert_true(sys_reserve(fd, LEN, NULL));
            struct sys_file *f = sys_file_new(sys_take_fd(&fd));
            f->way = way;
            write_and_compare(f, data, LEN);
            if (way != SYS_FILE_MMAP)
                assert_int_equal(atomic_load(&fake.calls[SYS_FAKE_COPY_INTO]), 0);
            else if (room_ops == &sys_ops_native && faults[i] == 0)
                assert_int_equal(atomic_load(&fake.calls[SYS_FAKE_PWRITEV]), 0);
            sys_file_unref(f);
            sys_fake_remove(&fake);
        }
    tarn_free(data);
}

/* A mapping over bytes that the file does not have any more: not a signal, and no byte lost. */
static void writes_where_the_file_was_cut(void **state)
{
    (void)state;
    enum { LEN = 50000 };
    uint8_t *data = room_pattern(LEN);
    SYS_AUTO_FD fd = sys_open("file", SYS_OPEN_CREATE, NULL);
    assert_true(sys_reserve(fd, LEN, NULL));
    struct sys_file *f = sys_file_new(sys_take_fd(&fd));
    f->way = SYS_FILE_MMAP;
    assert_non_null(sys_file_mapped(f, 0, LEN));
    assert_true(sys_truncate(f->fd, 10000, NULL));
    write_and_compare(f, data, LEN);

    /* and when the disk is full, that is what is told */
    struct sys_fake fake;
    struct tarn_err err;
    struct tarn_bytes run = tarn_bytes_of(data, LEN);
    sys_fake_install(&fake, room_ops);
    fake.fail[SYS_FAKE_COPY_INTO] = (struct sys_fault){ .error = EFAULT, .forever = true };
    fake.fail[SYS_FAKE_PWRITEV] = (struct sys_fault){ .error = ENOSPC, .forever = true };
    assert_false(sys_file_write(f, &run, 1, 0, &err));
    assert_int_equal(err.code, TARN_E_NO_SPACE);
    sys_fake_remove(&fake);
    sys_file_unref(f);
    tarn_free(data);
}

static void brings_in(void **state)
{
    (void)state;
    enum { LEN = 300000 };
    uint8_t *data = room_pattern(LEN);
    room_put("file", data, LEN);
    struct sys_fake fake;
    struct tarn_err err;
    size_t got;
    sys_fake_install(&fake, room_ops);
    int fd = sys_open("file", SYS_OPEN_READ, NULL);
    assert_true(sys_bring_in(fd, 0, LEN, &got, NULL));
    assert_int_equal(got, LEN);
    assert_int_equal(atomic_load(&fake.bytes_read), LEN);
    assert_true(sys_bring_in(fd, LEN - 10, 20, &got, NULL));
    assert_int_equal(got, 10);
    assert_true(sys_bring_in(fd, LEN, 20, &got, NULL));
    assert_int_equal(got, 0);
    assert_false(sys_bring_in(fd, UINT64_MAX - 5, 20, &got, &err));
    fake.short_io = 5000;
    fake.calls[SYS_FAKE_PREADV] = 0;
    fake.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .after = 1, .error = EINTR };
    assert_true(sys_bring_in(fd, 1, LEN - 1, &got, NULL));
    assert_int_equal(got, LEN - 1);
    fake.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .error = EIO, .forever = true };
    assert_false(sys_bring_in(fd, 0, LEN, &got, &err));
    sys_close(&fd);
    sys_fake_remove(&fake);
    tarn_free(data);
}

static void free_space(void **state)
{
    (void)state;
    uint64_t room = 0;
    int fd = sys_open(".", SYS_OPEN_FOLDER, NULL);
    assert_true(sys_free_space(fd, &room, NULL));
    assert_true(room > 0);
    sys_close(&fd);
    assert_false(sys_free_space(-1, &room, NULL));
}

static void counted_files(void **state)
{
    (void)state;
    room_put("file", "abc", 3);
    struct sys_file *f = sys_file_new(sys_open("file", SYS_OPEN_READ, NULL));
    assert_non_null(f);
    assert_int_equal(f->at_open.size, 3);
    assert_ptr_equal(sys_file_ref(f), f);
    int fd = f->fd;
    sys_file_unref(f);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    sys_file_unref(f);
    assert_true(fcntl(fd, F_GETFD) < 0);
    sys_file_unref(NULL);
    test_mem_fail_after(0);
    assert_null(sys_file_new(sys_open("file", SYS_OPEN_READ, NULL)));
    test_mem_normal();
    assert_null(sys_file_new(-1));
    int taken = sys_open("file", SYS_OPEN_READ, NULL);
    fd = sys_take_fd(&taken);
    assert_int_equal(taken, -1);
    sys_close(&fd);
}

TEST_MAIN(ON_BOTH(reads_and_writes_in_any_slices), ON_BOTH(writes_many_runs),
          ON_BOTH(offsets_no_file_has), ON_BOTH(errors_say_what), ON_BOTH(reserves_and_truncates),
          ON_BOTH(many_are_synced_at_once), ON_BOTH(locks_keep_others_out),
          ON_BOTH(paths_and_folders), ON_BOTH(a_boot_has_one_name), ON_BOTH(a_full_disk),
          ON_BOTH(tells_states_apart), ON_BOTH(folders_and_names), ON_BOTH(no_memory_for_names),
          ON_BOTH(residency), ON_BOTH(maps), ON_BOTH(writes_in_each_way),
          ON_BOTH(writes_where_the_file_was_cut), ON_BOTH(brings_in), ON_BOTH(free_space),
          ON_BOTH(counted_files))
