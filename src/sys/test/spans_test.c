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

static struct sys_choice choice; /* what senders of these tests begin with */

/* Send all of it in calls of at most max bytes, receiving between them, and compare. */
static void carry(struct load *l, size_t max, size_t scratch_len)
{
    struct wire w = wire_open(false);
    struct sys_span rest[SPANS_MAX];
    memcpy(rest, l->spans, sizeof rest);
    uint8_t *scratch = tarn_calloc(scratch_len, 1), *got = tarn_calloc(l->len + 1, 1);
    assert_true(scratch != NULL && got != NULL);
    struct sys_sender by = { .scratch = { scratch, scratch_len }, .choice = choice };
    size_t first = 0, done = 0, have = 0;
    while (done < l->len) {
        size_t sent = SIZE_MAX;
        struct tarn_err err;
        enum sys_io io = sys_send_spans(w.a, rest + first, l->n - first, max, &by, &sent, &err);
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
    for (unsigned round = 0; round < 120; round++) {
        struct load l = { 0 };
        size_t spans = 1 + test_rand_below(&seed, SPANS_MAX - 1), next = 0;
        for (size_t i = 0; i < spans; i++) {
            static const size_t lens[] = { 1, 13, 100, 4095, 4096, 16384, 40000 };
            size_t len = lens[test_rand_below(&seed, TARN_COUNT_OF(lens))];
            if (test_rand_below(&seed, 10) == 0)
                len = 0;
            size_t off = test_rand_below(&seed, FILE_LEN - len);
            if (test_rand_below(&seed, 2) == 0 && next + len <= FILE_LEN)
                off = next; /* as it continues */
            bool is_file = test_rand_below(&seed, 2) == 0;
            next = is_file ? off + len : next;
            add_span(&l, is_file, off, len);
        }
        file->way = (enum sys_file_way)(round / 4 % 3);
        choice = (struct sys_choice){ .turn = 1000, .cost = { round % 2 == 0 ? 1 : 9, 5 } };
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
    static uint8_t scratch[256 << 10];
    static const struct {
        size_t blocks, step, len;
        enum sys_file_way way;
        int64_t copy_cost, file_cost;
        size_t reads, sendvs, sendfiles;
    } rows[] = {
        /* little: read at once when it hangs together */
        { 1, 16384, 16384, SYS_FILE_AUTO, 9, 1, 1, 1, 0 },
        { 4, 16384, 16384, SYS_FILE_AUTO, 9, 1, 1, 1, 0 },
        { 4, 32768, 16384, SYS_FILE_AUTO, 9, 1, 4, 1, 0 },
        /* much: as it costs */
        { 5, 16384, 16384, SYS_FILE_AUTO, 9, 1, 0, 5, 5 },
        { 5, 16384, 16384, SYS_FILE_AUTO, 1, 9, 1, 1, 0 },
        { 16, 16384, 16384, SYS_FILE_AUTO, 1, 9, 1, 1, 0 },
        { 18, 16384, 16384, SYS_FILE_AUTO, 1, 9, 2, 2, 0 },
        { 10, 16384, 16384, SYS_FILE_PREAD, 9, 1, 1, 1, 0 },
        { 18, 16384, 16384, SYS_FILE_MMAP, 9, 1, 0, 1, 0 },
        /* long runs */
        { 1, 0, 200000, SYS_FILE_AUTO, 1, 9, 0, 1, 1 },
        { 1, 0, 200000, SYS_FILE_PREAD, 1, 9, 1, 1, 0 },
        { 1, 0, 200000, SYS_FILE_MMAP, 1, 9, 0, 1, 0 },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct load l = { 0 };
        struct sys_fake f;
        struct wire w = wire_open(false);
        file->way = rows[i].way;
        for (size_t b = 0; b < rows[i].blocks; b++) {
            add_span(&l, false, 0, 13);
            add_span(&l, true, b * rows[i].step, rows[i].len);
        }
        struct sys_sender by = {
            .scratch = { scratch, sizeof scratch },
            .choice = { .turn = 1000, .cost = { rows[i].copy_cost, rows[i].file_cost } },
        };
        sys_fake_install(&f, room_ops);
        size_t sent;
        assert_int_equal(sys_send_spans(w.a, l.spans, l.n, SIZE_MAX, &by, &sent, NULL),
                         SYS_IO_DONE);
        assert_int_equal(sent, l.len);
        if (room_ops->has_sendfile) {
            assert_int_equal(atomic_load(&f.calls[SYS_FAKE_SENDFILE]), rows[i].sendfiles);
            assert_int_equal(atomic_load(&f.calls[SYS_FAKE_PREADV]), rows[i].reads);
            assert_int_equal(atomic_load(&f.calls[SYS_FAKE_SENDV]), rows[i].sendvs);
            size_t of_files = rows[i].blocks * rows[i].len;
            assert_int_equal(by.by_sendfile, rows[i].sendfiles > 0 ? of_files : 0);
            assert_int_equal(by.copied, rows[i].reads > 0 ? of_files : 0);
            assert_int_equal(by.mapped, rows[i].way == SYS_FILE_MMAP ? of_files : 0);
        } else {
            assert_int_equal(atomic_load(&f.calls[SYS_FAKE_SENDFILE]), 0);
        }
        sys_fake_remove(&f);
        wire_close(&w);
        tarn_free(l.all);
    }
    file->way = SYS_FILE_AUTO;
    close_file();
}

/* The way in use, how often the other is tried, and what is learned. */
static void the_choice(void **state)
{
    (void)state;
    struct sys_choice c = { 0 };
    bool is_measured;
    unsigned of[2] = { 0, 0 }, measured[2] = { 0, 0 };
    for (int i = 0; i < 8; i++) {
        enum sys_send_way way = sys_choice_next(&c, &is_measured);
        assert_true(is_measured);
        of[way]++;
        sys_choice_learn(&c, way, 1 << 20, way == SYS_SEND_COPY ? 200000 : 100000);
    }
    assert_int_equal(of[SYS_SEND_COPY], 4);
    for (int i = 0; i < 1280; i++) {
        enum sys_send_way way = sys_choice_next(&c, &is_measured);
        of[way]++;
        measured[way] += is_measured;
    }
    assert_in_range(of[SYS_SEND_COPY], 4 + 8, 4 + 12);
    assert_in_range(measured[SYS_SEND_COPY], 8, 12);
    assert_in_range(measured[SYS_SEND_FILE], 140, 180);
    /* what a few bytes cost tells nothing, nor does a clock that goes back */
    sys_choice_learn(&c, SYS_SEND_COPY, 1000, 1);
    sys_choice_learn(&c, SYS_SEND_COPY, 1 << 20, -1);
    assert_int_equal(c.cost[SYS_SEND_COPY], 195);
    /* the machine has changed its mind */
    for (int i = 0; i < 50; i++)
        sys_choice_learn(&c, SYS_SEND_COPY, 1 << 20, 10000);
    unsigned copies = 0;
    for (int i = 0; i < 128; i++)
        copies += sys_choice_next(&c, &is_measured) == SYS_SEND_COPY;
    assert_true(copies >= 126);
}

/* Left to itself, a sender finds the cheaper one: here a clock that says that both cost the same
 * time, of which sendfile moves less in a call. */
static void a_sender_measures(void **state)
{
    (void)state;
    open_file();
    static uint8_t scratch[65536];
    struct sys_fake f;
    struct sys_sender by = { .scratch = { scratch, sizeof scratch } };
    sys_fake_install(&f, room_ops);
    f.thread_step_ns = 1000;
    for (int i = 0; i < 20; i++) {
        struct load l = { 0 };
        for (size_t b = 0; b < 10; b++)
            add_span(&l, true, b * 16384, 16384);
        struct wire w = wire_open(false);
        size_t sent;
        enum sys_io io = sys_send_spans(w.a, l.spans, l.n, SIZE_MAX, &by, &sent, NULL);
        assert_true(io == SYS_IO_DONE || io == SYS_IO_AGAIN);
        wire_close(&w);
        tarn_free(l.all);
    }
    sys_fake_remove(&f);
    bool may = room_ops->has_sendfile;
    assert_int_equal(by.choice.turn, may ? 20 : 0);
    assert_int_equal(by.choice.cost[SYS_SEND_COPY] > 0, may);
    assert_int_equal(by.choice.cost[SYS_SEND_FILE] > 0, may);
    close_file();
}

static void nothing_to_send(void **state)
{
    (void)state;
    uint8_t c;
    size_t sent = 9;
    struct sys_span empty = { .p = NULL, .len = 0 };
    struct sys_sender by = { .scratch = { &c, 1 } };
    assert_int_equal(sys_send_spans(-1, NULL, 0, SIZE_MAX, &by, &sent, NULL), SYS_IO_DONE);
    assert_int_equal(sent, 0);
    assert_int_equal(sys_send_spans(-1, &empty, 1, SIZE_MAX, &by, &sent, NULL), SYS_IO_DONE);
    assert_int_equal(sys_send_spans(-1, &empty, 1, 0, &by, &sent, NULL), SYS_IO_DONE);
}

static void shrinks(enum sys_file_way way)
{
    open_file();
    file->way = way;
    static uint8_t scratch[65536];
    struct sys_sender by = { .scratch = { scratch, sizeof scratch } };
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
                io = sys_send_spans(w.a, rest, 2, SIZE_MAX, &by, &sent, &err);
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
    assert_int_equal(sys_send_spans(-1, &beyond, 1, SIZE_MAX, &by, &sent, &err), SYS_IO_FAIL);
    assert_int_equal(err.code, TARN_E_INTEGRITY);
    close_file();
}

static void a_file_that_shrank(void **state)
{
    (void)state;
    for (enum sys_file_way way = SYS_FILE_AUTO; way <= SYS_FILE_PREAD; way++)
        shrinks(way);
}

/* Nobody asks how long it is between the question and the send: a system call's EFAULT tells. */
static void a_mapped_file_that_shrinks_now(void **state)
{
    (void)state;
    open_file();
    struct wire w = wire_open(false);
    const uint8_t *p = sys_file_mapped(file, 0, FILE_LEN);
    assert_true(sys_truncate(file->fd, 0, NULL));
    struct sys_span span = { .p = p, .len = FILE_LEN };
    uint8_t c;
    struct sys_sender by = { .scratch = { &c, 1 } };
    size_t sent;
    struct tarn_err err;
    assert_int_equal(sys_send_spans(w.a, &span, 1, SIZE_MAX, &by, &sent, &err), SYS_IO_FAIL);
    assert_int_equal(err.code, TARN_E_INTEGRITY);
    wire_close(&w);
    close_file();
}

static void each_call_fails(void **state)
{
    (void)state;
    open_file();
    static uint8_t scratch[65536];
    struct sys_sender by = { .scratch = { scratch, sizeof scratch } };
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
            by.choice = (struct sys_choice){ .turn = 1000, .cost = { 9, 1 } };
            struct wire w = wire_open(false);
            struct sys_fake f;
            sys_fake_install(&f, room_ops);
            f.fail[calls[c]] = (struct sys_fault){ .after = 0, .error = rows[r].error };
            struct tarn_err err = { 0 };
            size_t sent = SIZE_MAX;
            enum sys_io io = sys_send_spans(w.a, l.spans, l.n, SIZE_MAX, &by, &sent, &err);
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
          ON_BOTH(takes_the_cheaper_path), cmocka_unit_test(the_choice), ON_BOTH(a_sender_measures),
          ON_BOTH(nothing_to_send), ON_BOTH(a_file_that_shrank),
          ON_BOTH(a_mapped_file_that_shrinks_now), ON_BOTH(each_call_fails))
