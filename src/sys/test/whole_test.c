/* Files read and replaced as a whole: all or nothing, whatever fails. */
#include "sys/file.h"

#include "sys/test/room.h"

#include <sys/stat.h>

static void reads(void **state)
{
    (void)state;
    enum { LEN = 200000 };
    struct tarn_err err;
    uint8_t *data = room_pattern(LEN), *got;
    size_t len;
    room_put("file", data, LEN);
    static const size_t slices[] = { 999, 0 };
    for (size_t i = 0; i < TARN_COUNT_OF(slices); i++) {
        struct sys_fake f;
        sys_fake_install(&f, room_ops);
        f.short_io = slices[i];
        f.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .after = 1, .error = EINTR };
        assert_true(sys_read_whole("file", LEN, &got, &len, NULL));
        assert_int_equal(len, LEN);
        assert_memory_equal(got, data, LEN);
        tarn_free(got);
        assert_true(sys_read_whole("file", SIZE_MAX, &got, &len, NULL));
        assert_int_equal(len, LEN);
        tarn_free(got);
        sys_fake_remove(&f);
    }
    assert_false(sys_read_whole("file", 102400, &got, &len, &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    assert_string_equal(err.msg, "cannot read 'file': it is larger than the 100 KiB allowed here");
    assert_false(sys_read_whole("file", LEN - 1, &got, &len, &err));
    assert_false(sys_read_whole("file", 0, &got, &len, &err));
    assert_true(sys_read_whole("/dev/null", 0, &got, &len, NULL));
    assert_int_equal(len, 0);
    tarn_free(got);
    assert_false(sys_read_whole("/dev/zero", 1000, &got, &len, &err));
    assert_false(sys_read_whole(".", 1000, &got, &len, &err));
    assert_string_equal(err.msg, "cannot read '.': reading failed after 0 bytes: Is a directory");
    assert_false(sys_read_whole("nothing", 1000, &got, &len, &err));
    assert_int_equal(err.code, TARN_E_NOT_FOUND);
    for (size_t left = 0; left < 1; left++) {
        test_mem_fail_after(left);
        assert_false(sys_read_whole("file", LEN, &got, &len, &err));
        test_mem_normal();
        assert_int_equal(err.code, TARN_E_NO_MEMORY);
    }
    tarn_free(data);
}

/* Standard input and output put aside, and a pipe or file in their place. */
static void standard_streams(void **state)
{
    (void)state;
    int in = dup(0), out = dup(1);
    uint8_t *got;
    size_t len;
    room_put("in", "hello", 5);
    fflush(stdout);
    int from = open("in", O_RDONLY), to = open("out", O_WRONLY | O_CREAT, 0666);
    dup2(from, 0);
    dup2(to, 1);
    bool did_read = sys_read_whole("-", 100, &got, &len, NULL);
    bool did_write = sys_write_whole("-", tarn_bytes_str("good "), NULL) &&
                     sys_write_whole("-", tarn_bytes_str("bye"), NULL);
    dup2(in, 0);
    dup2(out, 1);
    close(in);
    close(out);
    close(from);
    close(to);
    assert_true(did_read && did_write);
    assert_int_equal(len, 5);
    assert_memory_equal(got, "hello", 5);
    tarn_free(got);
    room_expect("out", "good bye", 8);
}

static void writes(void **state)
{
    (void)state;
    struct tarn_err err;
    assert_true(sys_write_whole("file", tarn_bytes_str("one"), NULL));
    room_expect("file", "one", 3);
    assert_int_equal(chmod("file", 0640), 0);
    assert_true(sys_write_whole("file", tarn_bytes_str("second"), NULL));
    room_expect("file", "second", 6);
    struct stat st;
    assert_int_equal(stat("file", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_true(sys_write_whole("file", tarn_bytes_of(NULL, 0), NULL));
    room_expect("file", "", 0);
    char longest[256]; /* no longer name for the one beside it */
    memset(longest, 'n', 255);
    longest[255] = '\0';
    assert_true(sys_write_whole(longest, tarn_bytes_str("x"), NULL));
    assert_int_equal(room_count_names(), 2);
    assert_true(sys_write_whole("/dev/null", tarn_bytes_str("x"), NULL));
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    /* a link is replaced, what it points to left alone */
    room_put("target", "old", 3);
    assert_int_equal(symlink("target", "link"), 0);
    assert_true(sys_write_whole("link", tarn_bytes_str("new"), NULL));
    room_expect("target", "old", 3);
    room_expect("link", "new", 3);
    assert_false(sys_write_whole("no/file", tarn_bytes_str("x"), &err));
    assert_string_equal(err.msg, "cannot write 'no/file': cannot open the folder 'no': No such "
                                 "file or directory");
    assert_int_equal(mkdir("folder", 0777), 0);
    assert_false(sys_write_whole("folder", tarn_bytes_str("x"), &err));
    assert_int_equal(room_count_names(), 5);
}

static void whole_or_not_at_all(void **state)
{
    (void)state;
    static const enum sys_fake_call calls[] = { SYS_FAKE_OPEN, SYS_FAKE_PWRITEV, SYS_FAKE_SYNC,
                                                SYS_FAKE_RENAME, SYS_FAKE_RANDOM };
    enum { LEN = 5000 };
    uint8_t *data = room_pattern(LEN);
    unsigned failures = 0;
    for (size_t c = 0; c < TARN_COUNT_OF(calls); c++) {
        bool is_reached = true;
        for (unsigned after = 0; is_reached; after++) {
            room_put("file", "old", 3);
            struct sys_fake f;
            sys_fake_install(&f, room_ops);
            f.short_io = 1000;
            f.fail[calls[c]] =
                (struct sys_fault){ .after = after, .error = ENOSPC, .forever = true };
            size_t fds = test_open_fds();
            struct tarn_err err = { 0 };
            bool ok = sys_write_whole("file", tarn_bytes_of(data, LEN), &err);
            is_reached = atomic_load(&f.calls[calls[c]]) > after;
            sys_fake_remove(&f);
            assert_int_equal(ok, !is_reached);
            assert_int_equal(test_open_fds(), fds);
            assert_int_equal(room_count_names(), 1);
            /* the last sync, that of the folder, is the one failure that comes after */
            bool is_in_place = ok || (calls[c] == SYS_FAKE_SYNC && after == 1);
            room_expect("file", is_in_place ? (const void *)data : "old", is_in_place ? LEN : 3);
            if (!ok) {
                failures++;
                assert_memory_equal(err.msg, "cannot write 'file': ", 21);
                assert_int_equal(err.code, TARN_E_NO_SPACE);
            }
        }
    }
    assert_int_equal(failures, 2 + 5 + 2 + 1 + 1);
    /* interrupted is not failed, and a folder that cannot be synced is not an error */
    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    f.fail[SYS_FAKE_OPEN] = (struct sys_fault){ .after = 1, .error = EEXIST };
    f.fail[SYS_FAKE_PWRITEV] = (struct sys_fault){ .error = EINTR };
    f.fail[SYS_FAKE_SYNC] = (struct sys_fault){ .after = 1, .error = EINVAL };
    assert_true(sys_write_whole("file", tarn_bytes_of(data, LEN), NULL));
    sys_fake_remove(&f);
    room_expect("file", data, LEN);
    tarn_free(data);
}

TEST_MAIN(ON_BOTH(reads), ON_BOTH(standard_streams), ON_BOTH(writes), ON_BOTH(whole_or_not_at_all))
