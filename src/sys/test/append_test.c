/* Files by other ways: written at the end, read at once or not at all, read as a span. */
#include "sys/clock.h"
#include "sys/descriptors.h"
#include "sys/net.h"
#include "sys/test/wire.h"

#include <sys/resource.h>

static void appends(void **state)
{
    (void)state;
    static const size_t slices[] = { 1, 3, 0 };
    for (size_t i = 0; i < TARN_COUNT_OF(slices); i++) {
        struct sys_fake f;
        sys_fake_install(&f, room_ops);
        f.short_io = slices[i];
        f.fail[SYS_FAKE_PWRITEV] = (struct sys_fault){ .after = 1, .error = EINTR };
        room_put("log", "old ", 4);
        int one = sys_open("log", SYS_OPEN_APPEND, NULL);
        int two = sys_open("log", SYS_OPEN_APPEND, NULL);
        assert_true(one >= 0 && two >= 0);
        assert_true(sys_append(one, tarn_bytes_str("first "), NULL));
        assert_true(sys_append(two, tarn_bytes_str("second "), NULL));
        assert_true(sys_append(one, tarn_bytes_str(""), NULL));
        assert_true(sys_append(one, tarn_bytes_str("third"), NULL));
        room_expect("log", "old first second third", 22);
        sys_close(&one);
        sys_close(&two);
        sys_fake_remove(&f);
    }
}

static void appends_what_the_disk_takes(void **state)
{
    (void)state;
    struct sys_fake f;
    struct tarn_err err = { 0 };
    int fd = sys_open("log", SYS_OPEN_APPEND, NULL);
    sys_fake_install(&f, room_ops);
    f.short_io = 4;
    f.fail[SYS_FAKE_PWRITEV] = (struct sys_fault){ .after = 1, .error = ENOSPC };
    assert_false(sys_append(fd, tarn_bytes_str("123456789"), &err));
    assert_int_equal(err.code, TARN_E_NO_SPACE);
    assert_non_null(strstr(err.msg, "cannot write 5 bytes"));
    room_expect("log", "1234", 4);
    sys_fake_remove(&f);
    sys_close(&fd);
    int wire[2];
    assert_int_equal(pipe(wire), 0); /* where a descriptor stands: no file at all */
    assert_true(sys_append(wire[1], tarn_bytes_str("line\n"), NULL));
    char got[8];
    assert_int_equal(read(wire[0], got, sizeof got), 5);
    close(wire[0]);
    close(wire[1]);
    assert_false(sys_append(-1, tarn_bytes_str("x"), NULL));
}

/* Bytes of another file in memory: whether the system tells is its own matter, but what it gives
 * is right, and less than all is none. */
static void reads_now_or_not(void **state)
{
    (void)state;
    enum { LEN = 30000 };
    uint8_t *data = room_pattern(LEN), back[1000];
    room_put("file", data, LEN);
    int fd = sys_open("file", SYS_OPEN_READ, NULL);
    static const struct {
        uint64_t off;
        size_t len;
        bool may;
    } runs[] = { { 0, 1000, true },        { LEN - 10, 10, true },      { LEN - 10, 11, false },
                 { LEN, 1, false },        { UINT64_MAX, 1, false },    { INT64_MAX, 2, false },
                 { 1ULL << 40, 5, false }, { UINT64_MAX - 1, 2, false } };
    for (size_t i = 0; i < TARN_COUNT_OF(runs); i++) {
        bool was_read = sys_read_now(fd, back, runs[i].len, runs[i].off);
        assert_true(!was_read || runs[i].may);
        if (was_read)
            assert_memory_equal(back, data + runs[i].off, runs[i].len);
    }
    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    f.fail[SYS_FAKE_PREADV_NOW] = (struct sys_fault){ .error = EAGAIN };
    assert_false(sys_read_now(fd, back, 100, 0)); /* it would have to wait */
    f.calls[SYS_FAKE_PREADV_NOW] = 0;
    f.fail[SYS_FAKE_PREADV_NOW] = (struct sys_fault){ .error = EINTR };
    bool is = sys_read_now(fd, back, 100, 0);
    assert_true(!is || memcmp(back, data, 100) == 0);
    assert_true(f.calls[SYS_FAKE_PREADV_NOW] >= 2); /* a signal is no answer */
    sys_fake_remove(&f);
    sys_close(&fd);
    assert_false(sys_read_now(fd, back, 1, 0));
    tarn_free(data);
}

static void reads_a_span(void **state)
{
    (void)state;
    enum { LEN = 5000 };
    uint8_t *data = room_pattern(LEN), back[LEN];
    struct tarn_err err = { 0 };
    room_put("file", data, LEN);
    struct sys_file *file = sys_file_new(sys_open("file", SYS_OPEN_READ, NULL));
    assert_non_null(file);
    struct sys_span span = { .file = file, .off = 100, .len = 4900 };
    assert_true(sys_read_span(&span, back, NULL));
    assert_memory_equal(back, data + 100, 4900);
    span.len++;
    assert_false(sys_read_span(&span, back, &err));
    assert_int_equal(err.code, TARN_E_INTEGRITY);
    span = (struct sys_span){ .file = file, .off = (uint64_t)INT64_MAX + 1, .len = 1 };
    assert_false(sys_read_span(&span, back, &err));
    assert_int_equal(err.code, TARN_E_INTEGRITY);
    span = (struct sys_span){ .file = file, .off = INT64_MAX, .len = 1 };
    assert_false(sys_read_span(&span, back, NULL));
    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    f.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .error = EIO };
    span = (struct sys_span){ .file = file, .off = 0, .len = 10 };
    assert_false(sys_read_span(&span, back, &err));
    assert_int_not_equal(err.code, TARN_E_INTEGRITY); /* the disk's fault, not the file's */
    sys_fake_remove(&f);
    sys_file_unref(file);
    tarn_free(data);
}

static void limit_of_descriptors(void **state)
{
    (void)state;
    struct rlimit was, now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    struct rlimit low = { .rlim_cur = 64, .rlim_max = was.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(sys_fd_limit(), 64);
    assert_int_equal(sys_fd_limit_raise(10), 64); /* never lowered */
    assert_int_equal(sys_fd_limit_raise(64), 64);
    assert_int_equal(sys_fd_limit_raise(100), 100);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(now.rlim_cur, 100);
    uint64_t most = sys_fd_limit_raise(UINT64_MAX); /* what the administrator allows */
    assert_true(most >= 100 && most <= was.rlim_max && most == sys_fd_limit());
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

/* What a thread has used: its own, not the time that has passed. */
static void time_of_a_thread(void **state)
{
    (void)state;
    int64_t from = sys_thread_ns(), last = from;
    assert_true(from > 0);
    while (last - from < 2000000) { /* asking is work */
        int64_t now = sys_thread_ns();
        assert_true(now >= last);
        last = now;
    }
    struct pollfd none = { .fd = -1 };
    int64_t wall = sys_now_us();
    from = sys_thread_ns();
    assert_int_equal(poll(&none, 1, 50), 0);
    assert_true(sys_now_us() - wall >= 49000);
    assert_true(sys_thread_ns() - from < 45000000); /* it slept */
}

static void offloads_where_it_can(void **state)
{
    (void)state;
    struct wire w = wire_open(false);
    char got[4] = { 0 };
    (void)sys_offload_tls(w.a); /* whatever the kernel says: without keys nothing is different */
    assert_int_equal(write(w.a, "abc", 3), 3);
    wire_wait(w.b, POLLIN);
    assert_int_equal(read(w.b, got, 3), 3);
    assert_string_equal(got, "abc");
    wire_close(&w);
    assert_false(sys_offload_tls(-1));
    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    f.offers_tls = true;
    assert_true(sys_offload_tls(0));
    f.offers_tls = false;
    f.fail[SYS_FAKE_OFFLOAD_TLS] = (struct sys_fault){ .error = ENOENT, .forever = true };
    assert_false(sys_offload_tls(0));
    sys_fake_remove(&f);
}

TEST_MAIN(ON_BOTH(appends), ON_BOTH(appends_what_the_disk_takes), ON_BOTH(reads_now_or_not),
          ON_BOTH(reads_a_span), ON_BOTH(limit_of_descriptors), ON_BOTH(time_of_a_thread),
          ON_BOTH(offloads_where_it_can))
