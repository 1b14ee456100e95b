/* Spans arrive as the same bytes by every path: copied or by sendfile, in any slices, cut at any
 * byte; and a file that shrinks is found out. */
#include "sys/test/wire.h"

#include "base/num.h"
#include "sys/signals.h"

#include <sys/socket.h>

enum { FILE_LEN = 300000, SPANS_MAX = 100 };

static uint8_t *contents;     /* of both files */
static struct sys_file *file; /* so many bytes long */

static void open_file(void)
{
    sys_ignore_sigpipe(); /* sendfile raises it */
    contents = room_pattern(FILE_LEN);
    room_put("file", contents, FILE_LEN);
    file = sys_file_new(sys_open("file", SYS_OPEN_WRITE, NULL));
    assert_non_null(file);
}

static void close_file(void)
{
    sys_file_unref(file);
    tarn_free(contents);
}

struct load {
    struct sys_span spans[SPANS_MAX];
    size_t n;
    uint8_t *all; /* what must arrive */
    size_t len;
};

static void add_span(struct load *l, bool is_file, size_t off, size_t len)
{
    l->spans[l->n++] = is_file ? (struct sys_span){ .file = file, .off = off, .len = len }
                               : (struct sys_span){ .p = contents + off, .len = len };
    l->all = tarn_realloc(l->all, l->len + len + 1, 1);
    assert_non_null(l->all);
    memcpy(l->all + l->len, contents + off, len);
    l->len += len;
}

/* Take what has arrived; true while more is to come. */
static void receive(int fd, uint8_t *to, size_t *have, size_t until)
{
    while (*have < until) {
        ssize_t n = recv(fd, to + *have, until - *have, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        assert_true(n > 0);
        *have += (size_t)n;
    }
}

/* Send all of it in calls of at most max bytes, receiving between them, and compare. */
static void carry(struct load *l, size_t max, size_t scratch_len)
{
    struct wire w = wire_open(false);
    struct sys_span rest[SPANS_MAX];
    memcpy(rest, l->spans, sizeof rest);
    uint8_t *scratch = tarn_calloc(scratch_len, 1), *got = tarn_calloc(l->len + 1, 1);
    assert_true(scratch != NULL && got != NULL);
    size_t first = 0, done = 0, have = 0;
    while (done < l->len) {
        size_t sent = SIZE_MAX;
        struct tarn_err err;
        enum sys_io io = sys_send_spans(w.a, rest + first, l->n - first, max,
                                        (struct sys_buf){ scratch, scratch_len }, &sent, &err);
        if (io == SYS_IO_FAIL)
            fail_msg("%s", err.msg);
        assert_true(io == SYS_IO_DONE || io == SYS_IO_AGAIN);
        assert_true(sent <= max);
        if (io == SYS_IO_DONE)
            assert_int_equal(sent, tarn_min_size(max, l->len - done));
        done += sent;
        while (sent > 0) {
            size_t pass = tarn_min_size(sent, rest[first].len);
            if (rest[first].file == NULL)
                rest[first].p += pass;
            rest[first].off += pass;
            rest[first].len -= pass;
            sent -= pass;
            first += rest[first].len == 0;
        }
        receive(w.b, got, &have, l->len);
        if (io == SYS_IO_AGAIN && sent == 0)
            wire_wait(w.a, POLLOUT);
    }
    while (have < l->len) {
        wire_wait(w.b, POLLIN);
        receive(w.b, got, &have, l->len);
    }
    assert_memory_equal(got, l->all, l->len);
    tarn_free(scratch);
    tarn_free(got);
    wire_close(&w);
}

static void every_path_carries_the_same(void **state)
{
    (void)state;
    open_file();
    uint64_t seed = test_seed();
    for (unsigned round = 0; round < 60; round++) {
        struct load l = { 0 };
        size_t spans = 1 + test_rand_below(&seed, SPANS_MAX - 1);
        for (size_t i = 0; i < spans; i++) {
            static const size_t lens[] = { 1, 13, 100, 4095, 4096, 16384, 40000 };
            size_t len = lens[test_rand_below(&seed, TARN_COUNT_OF(lens))];
            if (test_rand_below(&seed, 10) == 0)
                len = 0;
            add_span(&l, test_rand_below(&seed, 2) == 0, test_rand_below(&seed, FILE_LEN - len),
                     len);
        }
        static const size_t scratches[] = { 1000, 4096, 32768, 131072 };
        static const size_t maxes[] = { 777, 20000, 100000, SIZE_MAX };
        static const size_t slices[] = { 0, 0, 5000, 40000 };
        struct sys_fake f;
        size_t scratch = scratches[test_rand_below(&seed, TARN_COUNT_OF(scratches))];
        size_t max = maxes[test_rand_below(&seed, TARN_COUNT_OF(maxes))];
        sys_fake_install(&f, room_ops);
        f.short_io = slices[test_rand_below(&seed, TARN_COUNT_OF(slices))];
        if (round % 4 == 1) /* not from this file system */
            f.fail[SYS_FAKE_SENDFILE] = (struct sys_fault){ .error = EINVAL, .forever = true };
        if (round % 4 == 2) {
            f.fail[SYS_FAKE_SENDFILE] = (struct sys_fault){ .after = 1, .error = EINTR };
            f.fail[SYS_FAKE_SENDV] = (struct sys_fault){ .after = 2, .error = EINTR };
            f.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .after = 2, .error = EINTR };
        }
        carry(&l, max, scratch);
        sys_fake_remove(&f);
        tarn_free(l.all);
    }
    close_file();
}

static void a_byte_at_a_time(void **state)
{
    (void)state;
    open_file();
    struct load l = { 0 };
    add_span(&l, false, 0, 13);
    add_span(&l, true, 1000, 50);
    add_span(&l, false, 0, 13);
    add_span(&l, true, 2000, 50);
    struct sys_fake f;
    sys_fake_install(&f, room_ops);
    f.short_io = 1;
    carry(&l, SIZE_MAX, 1);
    carry(&l, 1, 100);
    sys_fake_remove(&f);
    tarn_free(l.all);
    close_file();
}

/* One call's worth: how many of which system calls. */
static void takes_the_cheaper_path(void **state)
{
    (void)state;
    open_file();
    static uint8_t scratch[65536];
    static const struct {
        size_t blocks, sendvs, sendfiles;
    } rows[] = { { 1, 1, 0 }, { 4, 1, 0 }, { 5, 5, 5 } };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct load l = { 0 };
        struct sys_fake f;
        struct wire w = wire_open(false);
        for (size_t b = 0; b < rows[i].blocks; b++) {
            add_span(&l, false, 0, 13);
            add_span(&l, true, b * 16384, 16384);
        }
        sys_fake_install(&f, room_ops);
        size_t sent;
        assert_int_equal(sys_send_spans(w.a, l.spans, l.n, SIZE_MAX,
                                        (struct sys_buf){ scratch, sizeof scratch }, &sent, NULL),
                         SYS_IO_DONE);
        assert_int_equal(sent, l.len);
        bool may = room_ops->has_sendfile;
        assert_int_equal(atomic_load(&f.calls[SYS_FAKE_SENDFILE]), may ? rows[i].sendfiles : 0);
        if (may)
            assert_int_equal(atomic_load(&f.calls[SYS_FAKE_SENDV]), rows[i].sendvs);
        sys_fake_remove(&f);
        wire_close(&w);
        tarn_free(l.all);
    }
    close_file();
}

static void nothing_to_send(void **state)
{
    (void)state;
    uint8_t c;
    size_t sent = 9;
    struct sys_span empty = { .p = NULL, .len = 0 };
    struct sys_buf scratch = { &c, 1 };
    assert_int_equal(sys_send_spans(-1, NULL, 0, SIZE_MAX, scratch, &sent, NULL), SYS_IO_DONE);
    assert_int_equal(sent, 0);
    assert_int_equal(sys_send_spans(-1, &empty, 1, SIZE_MAX, scratch, &sent, NULL), SYS_IO_DONE);
    assert_int_equal(sys_send_spans(-1, &empty, 1, 0, scratch, &sent, NULL), SYS_IO_DONE);
}

static void a_file_that_shrank(void **state)
{
    (void)state;
    open_file();
    static uint8_t scratch[65536];
    static const size_t cuts[] = { 0, 1, 5000, 16384, 100000 };
    for (size_t i = 0; i < TARN_COUNT_OF(cuts); i++) {
        static const size_t lens[] = { 1, 16384, 200000 };
        for (size_t k = 0; k < TARN_COUNT_OF(lens); k++) {
            struct load l = { 0 };
            add_span(&l, false, 0, 13);
            add_span(&l, true, cuts[i] + 1 > lens[k] ? cuts[i] + 1 - lens[k] : 0, lens[k]);
            if (l.spans[1].off + lens[k] <= cuts[i]) {
                tarn_free(l.all);
                continue;
            }
            assert_true(sys_truncate(file->fd, cuts[i], NULL));
            struct wire w = wire_open(false);
            struct tarn_err err = { 0 };
            enum sys_io io;
            size_t total = 0;
            do { /* a short answer first, then the truth */
                size_t sent = 0;
                struct sys_span rest[2] = { l.spans[0], l.spans[1] };
                size_t of_head = tarn_min_size(total, 13);
                rest[0].p += of_head;
                rest[0].len -= of_head;
                rest[1].off += total - of_head;
                rest[1].len -= total - of_head;
                io = sys_send_spans(w.a, rest, 2, SIZE_MAX,
                                    (struct sys_buf){ scratch, sizeof scratch }, &sent, &err);
                total += sent;
                static uint8_t sink[FILE_LEN + 13];
                size_t have = 0;
                receive(w.b, sink, &have, sizeof sink);
            } while (io == SYS_IO_AGAIN);
            assert_int_equal(io, SYS_IO_FAIL);
            assert_int_equal(err.code, TARN_E_INTEGRITY);
            assert_true(total <= 13 + cuts[i] - tarn_min_size(l.spans[1].off, cuts[i]));
            wire_close(&w);
            tarn_free(l.all);
            assert_true(sys_write_at(file->fd, tarn_bytes_of(contents, FILE_LEN), 0, NULL));
        }
    }
    struct sys_span beyond = { .file = file, .off = UINT64_MAX - 5, .len = 3 };
    size_t sent;
    struct tarn_err err;
    assert_int_equal(sys_send_spans(-1, &beyond, 1, SIZE_MAX,
                                    (struct sys_buf){ scratch, sizeof scratch }, &sent, &err),
                     SYS_IO_FAIL);
    assert_int_equal(err.code, TARN_E_INTEGRITY);
    close_file();
}

static void each_call_fails(void **state)
{
    (void)state;
    open_file();
    static uint8_t scratch[65536];
    static const enum sys_fake_call calls[] = { SYS_FAKE_PREADV, SYS_FAKE_SENDV,
                                                SYS_FAKE_SENDFILE };
    static const struct {
        int error;
        enum sys_io answer;
        enum tarn_code code;
    } rows[] = { { EIO, SYS_IO_FAIL, TARN_E_FAILED },
                 { EPIPE, SYS_IO_FAIL, TARN_E_NETWORK },
                 { ECONNRESET, SYS_IO_FAIL, TARN_E_NETWORK },
                 { EAGAIN, SYS_IO_AGAIN, TARN_OK } };
    for (size_t c = 0; c < TARN_COUNT_OF(calls); c++)
        for (size_t r = 0; r < TARN_COUNT_OF(rows); r++) {
            struct load l = { 0 };
            for (size_t b = 0; b < 5; b++) {
                add_span(&l, false, 0, 13);
                add_span(&l, true, b * 16384, 16384);
                add_span(&l, true, b * 16384, 100);
            }
            struct wire w = wire_open(false);
            struct sys_fake f;
            sys_fake_install(&f, room_ops);
            f.fail[calls[c]] = (struct sys_fault){ .after = 0, .error = rows[r].error };
            struct tarn_err err = { 0 };
            size_t sent = SIZE_MAX;
            enum sys_io io =
                sys_send_spans(w.a, l.spans, l.n, SIZE_MAX,
                               (struct sys_buf){ scratch, sizeof scratch }, &sent, &err);
            bool was_called = atomic_load(&f.calls[calls[c]]) > 0;
            sys_fake_remove(&f);
            assert_true(sent <= l.len);
            if (!was_called)
                assert_int_equal(io, SYS_IO_DONE);
            else if (calls[c] == SYS_FAKE_PREADV)
                assert_int_equal(io, SYS_IO_FAIL);
            else
                assert_int_equal(io, rows[r].answer);
            if (was_called && calls[c] == SYS_FAKE_SENDFILE)
                assert_int_equal(err.code, rows[r].code);
            wire_close(&w);
            tarn_free(l.all);
        }
    close_file();
}

TEST_MAIN(ON_BOTH(every_path_carries_the_same), ON_BOTH(a_byte_at_a_time),
          ON_BOTH(takes_the_cheaper_path), ON_BOTH(nothing_to_send), ON_BOTH(a_file_that_shrank),
          ON_BOTH(each_call_fails))
