/* sys/spans: sending memory and runs of files in order: what seeding spends its time in.
 *
 * Short runs go by one of two ways, long ones by sendfile:
 *
 * - Copied: runs that follow each other in their file are read by one pread, up to what scratch
 *   holds, and leave by one sendv with what stands between them. Two calls move sixteen blocks.
 * - By sendfile, each with its header in front by MSG_MORE. Nothing is copied, but two calls and a
 *   push move one block.
 *
 * Which is cheaper is the machine's to say. CPU-seconds per GiB of blocks of 16 KiB in order, 256
 * requests outstanding over loopback, both ends on one core and apart:
 *
 *                                            sendfile      copied in 256 KiB    mapping, writev
 *     Zen 5, virtual, Linux 6.18             0.18, 0.42    0.12, 0.18           0.11, 0.18
 *     Xeon with AVX-512, virtual, 6.18       0.05, 0.16    not measured         0.10, 0.18
 *
 * So the cost of each is measured now and then (struct sys_choice), and the cheaper one is used.
 * Runs of 128 KiB and more are always sendfile's: half the cost of copying on either machine. All
 * that fits in LITTLE is always copied: a peer that asks for a few blocks at a time is woken by
 * each push (4 queued and awaited, us of CPU a block: 7.0 by sendfile, 4.6 by copying). Buffers
 * larger than 256 KiB fall out of the second cache and cost half more.
 *
 * A file whose way is SYS_FILE_MMAP leaves straight from its mapping. That saves a copy, costs page
 * faults, and comes to the same as copying in large runs. */
#include "base/num.h"
#include "sys/clock.h"
#include "sys/net.h"
#include "sys/ops.h"
#include "sys/priv.h"

#include <assert.h>
#include <errno.h>
#include <sys/uio.h>

enum {
    LITTLE = 64 * 1024,
    SHORT_RUN = 4 * 1024,  /* among much: what is shorter is copied, sendfile would cost more */
    LONG_RUN = 128 * 1024, /* from here on sendfile wins wherever there is one */
    RUNS_A_CALL = 64,
};

struct sending {
    int fd;
    struct sys_sender *by; /* borrowed */
    enum sys_send_way way; /* of short runs */
    bool may_sendfile;
    size_t used;  /* bytes at the front of scratch that were read and are in iov or sent */
    size_t ahead; /* behind them: bytes that were read and belong to runs still to come: */
    const struct sys_file *ahead_of;
    uint64_t ahead_off;
    struct iovec iov[RUNS_A_CALL]; /* gathered, not sent yet */
    int n;
    size_t gathered; /* bytes in iov */
    size_t sent;
    struct tarn_err *err; /* borrowed */
};

static bool say_shrunk(struct tarn_err *err, uint64_t off)
{
    return tarn_fail(
        err, TARN_E_INTEGRITY,
        "a file that is being sent has become shorter than %llu bytes (something else changed "
        "it: check the data again)",
        (unsigned long long)off + 1);
}

static enum sys_io fail_shrunk(struct sending *s, uint64_t off)
{
    (void)say_shrunk(s->err, off);
    return SYS_IO_FAIL;
}

static enum sys_io fail_to_send(struct sending *s)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return SYS_IO_AGAIN;
    if (errno == EFAULT) /* out of a mapping; our own memory is there */
        tarn_fail(s->err, TARN_E_INTEGRITY,
                  "a file that is being sent has become shorter, or its disk fails (something else "
                  "changed it: check the data again)");
    else
        sys_fail_net(s->err, "cannot send");
    return SYS_IO_FAIL;
}

/* Send what is gathered. more: something follows at once. */
static enum sys_io flush(struct sending *s, bool more)
{
    if (s->n == 0)
        return SYS_IO_DONE;
    ssize_t done;
    do
        done = sys_ops->sendv(s->fd, s->iov, s->n, more);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return fail_to_send(s);
    bool is_all = (size_t)done == s->gathered;
    s->sent += (size_t)done;
    s->n = 0;
    s->gathered = 0;
    if (s->ahead == 0)
        s->used = 0;
    return is_all ? SYS_IO_DONE : SYS_IO_AGAIN;
}

static enum sys_io add(struct sending *s, const uint8_t *p, size_t len)
{
    if (s->n == RUNS_A_CALL) {
        enum sys_io io = flush(s, true);
        if (io != SYS_IO_DONE)
            return io;
    }
    /* sending does not change it, but struct iovec serves receiving too */
    s->iov[s->n++] = (struct iovec){ (void *)(uintptr_t)p, len };
    s->gathered += len;
    return SYS_IO_DONE;
}

/* The first max bytes of some spans. */
struct spans {
    const struct sys_span *p;
    size_t n, max;
};

static bool is_short(size_t len)
{
    return len < LONG_RUN;
}

/* How much can be read together with the file run that s begins with: the short runs that continue
 * it in the file, whatever memory stands between. */
static size_t together(const struct spans *s, bool alone)
{
    const struct sys_span *first = s->p;
    size_t sum = 0, max = s->max, n = alone ? 1 : s->n;
    for (size_t i = 0; i < n && max > 0; i++) {
        const struct sys_span *span = &s->p[i];
        size_t len = tarn_min_size(span->len, max);
        max -= len;
        if (span->file == NULL)
            continue;
        if (span->file != first->file || span->off - first->off != sum || (i > 0 && !is_short(len)))
            break;
        sum += len;
    }
    return sum;
}

/* Read into scratch behind what is used. */
static enum sys_io read_ahead(struct sending *s, const struct spans *rest)
{
    const struct sys_span *span = rest->p;
    const struct sys_buf *scratch = &s->by->scratch;
    if (s->used == scratch->len) {
        enum sys_io io = flush(s, true);
        if (io != SYS_IO_DONE)
            return io;
    }
    size_t len = together(rest, s->way == SYS_SEND_FILE), got = 0;
    len = tarn_min_size(len, scratch->len - s->used);
    if (!sys_read_at(span->file->fd, scratch->p + s->used, len, span->off, &got, s->err))
        return SYS_IO_FAIL;
    if (got < tarn_min_size(len, span->len))
        return fail_shrunk(s, span->off + got);
    s->ahead = got;
    s->ahead_of = span->file;
    s->ahead_off = span->off;
    s->by->copied += got;
    return SYS_IO_DONE;
}

/* What was read ahead is used up, or turned out to be for nobody. */
static bool has_read(struct sending *s, const struct sys_span *span)
{
    if (s->ahead > 0 && (s->ahead_of != span->file || s->ahead_off != span->off)) {
        s->used += s->ahead;
        s->ahead = 0;
    }
    return s->ahead > 0;
}

/* The file run that rest begins with, by way of scratch. */
static enum sys_io send_copy(struct sending *s, const struct spans *rest, size_t len)
{
    struct sys_span span = *rest->p;
    struct spans left = *rest;
    while (len > 0) {
        enum sys_io io = has_read(s, &span) ? SYS_IO_DONE : read_ahead(s, &left);
        size_t part = tarn_min_size(len, s->ahead);
        if (io == SYS_IO_DONE)
            io = add(s, s->by->scratch.p + s->used, part);
        if (io != SYS_IO_DONE)
            return io;
        s->used += part;
        s->ahead -= part;
        s->ahead_off += part;
        span.off += part;
        len -= part;
        span.len = len;
        left = (struct spans){ &span, 1, len }; /* its rest is read alone */
    }
    return SYS_IO_DONE;
}

static enum sys_io send_file(struct sending *s, const struct spans *rest, size_t len)
{
    uint64_t off = rest->p->off;
    enum sys_io io = flush(s, true);
    if (io != SYS_IO_DONE)
        return io;
    ssize_t done;
    do
        done = sys_ops->sendfile(s->fd, rest->p->file->fd, (int64_t)off, len);
    while (done < 0 && errno == EINTR);
    if (done < 0 && (errno == ENOSYS || errno == EINVAL || errno == EOPNOTSUPP)) {
        s->may_sendfile = false; /* not from this file system */
        return send_copy(s, rest, len);
    }
    if (done < 0 && errno == EIO) {
        tarn_fail_sys(s->err, "cannot read %zu bytes at %llu of a file that is being sent", len,
                      (unsigned long long)off);
        return SYS_IO_FAIL;
    }
    if (done < 0)
        return fail_to_send(s);
    if (done == 0)
        return fail_shrunk(s, off);
    s->sent += (size_t)done;
    s->by->by_sendfile += (size_t)done;
    /* Short: the socket is full, or the file has shrunk, which the next call will see. */
    return (size_t)done == len ? SYS_IO_DONE : SYS_IO_AGAIN;
}

/* The mapping's last page is filled up with zeros behind the end of a file that was cut short in
 * it: nobody would be told. So the length is asked for, once for the runs of one file. */
static enum sys_io send_mapped(struct sending *s, const struct spans *rest, const uint8_t *p,
                               size_t len, const struct sys_file **asked, uint64_t *size)
{
    const struct sys_span *span = rest->p;
    struct sys_stat st;
    if (*asked != span->file) {
        if (!sys_stat_fd(span->file->fd, &st, s->err))
            return SYS_IO_FAIL;
        *asked = span->file;
        *size = st.size;
    }
    if (span->off + len > *size)
        return fail_shrunk(s, *size);
    s->by->mapped += len;
    return add(s, p, len);
}

static bool goes_by_sendfile(const struct sending *s, const struct sys_file *file, size_t len)
{
    if (!s->may_sendfile || file->way != SYS_FILE_AUTO)
        return false;
    return !is_short(len) || (s->way == SYS_SEND_FILE && len >= SHORT_RUN);
}

static enum sys_io send_all(struct sending *s, struct spans rest)
{
    const struct sys_file *asked = NULL;
    uint64_t size = 0;
    enum sys_io io = SYS_IO_DONE;
    for (; rest.n > 0 && rest.max > 0 && io == SYS_IO_DONE; rest.n--, rest.p++) {
        const struct sys_span *span = rest.p;
        size_t len = tarn_min_size(span->len, rest.max);
        const uint8_t *mapped;
        if (len == 0)
            continue;
        if (span->file == NULL)
            io = add(s, span->p, len);
        else if (span->off > INT64_MAX || len > INT64_MAX - span->off)
            io = fail_shrunk(s, span->off);
        else if (goes_by_sendfile(s, span->file, len))
            io = send_file(s, &rest, len);
        else if (span->file->way == SYS_FILE_MMAP &&
                 (mapped = sys_file_mapped(span->file, span->off, len)) != NULL)
            io = send_mapped(s, &rest, mapped, len, &asked, &size);
        else
            io = send_copy(s, &rest, len);
        rest.max -= len;
    }
    return io == SYS_IO_DONE ? flush(s, false) : io;
}

/* What of all of it is in short runs of files, and may go either way. */
static size_t in_short_runs(const struct spans *s)
{
    size_t sum = 0, max = s->max;
    for (size_t i = 0; i < s->n && max > 0; i++) {
        size_t len = tarn_min_size(s->p[i].len, max);
        max -= len;
        if (s->p[i].file != NULL && s->p[i].file->way == SYS_FILE_AUTO && is_short(len))
            sum += len;
    }
    return sum;
}

enum sys_io sys_send_spans(int fd, const struct sys_span *spans, size_t n, size_t max,
                           struct sys_sender *by, size_t *sent, struct tarn_err *err)
{
    assert(by->scratch.len > 0);
    struct spans all = { spans, n, max };
    struct sending s = { .fd = fd, .by = by, .err = err, .way = SYS_SEND_COPY };
    size_t of_files = in_short_runs(&all);
    s.may_sendfile = sys_ops->has_sendfile;
    bool is_little = of_files <= tarn_min_size(LITTLE, by->scratch.len);
    bool is_measured = false;
    int64_t since_ns = 0;
    if (s.may_sendfile && !is_little)
        s.way = sys_choice_next(&by->choice, &is_measured);
    if (is_measured)
        since_ns = sys_thread_ns();
    enum sys_io io = send_all(&s, all);
    if (is_measured)
        sys_choice_learn(&by->choice, s.way, s.sent, sys_thread_ns() - since_ns);
    *sent = s.sent;
    return io;
}

bool sys_read_span(const struct sys_span *span, uint8_t *to, struct tarn_err *err)
{
    size_t got = 0;
    if (span->off > INT64_MAX || span->len > INT64_MAX - span->off)
        return say_shrunk(err, span->off);
    if (!sys_read_at(span->file->fd, to, span->len, span->off, &got, err))
        return false;
    return got == span->len || say_shrunk(err, span->off + got);
}
