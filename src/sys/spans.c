/* sys/spans: sending memory and runs of files in order: what seeding spends its time in.
 *
 * Two ways. Little is read into scratch and goes out by one sendv; of much, each file run goes by
 * sendfile, which copies nothing, and what stands between is gathered, so that a header never goes
 * out alone.
 *
 * Neither way wins everywhere. sendfile pushes each run out by itself, and a peer that keeps up is
 * woken by each (loopback, 16 KiB blocks, us of CPU a block: 4 queued and awaited, 7.0 by sendfile
 * and 4.6 by copying). Behind a queue in the socket the push is nothing and the copy is the bill
 * (3.3 and 4.2). A peer that asks for a few blocks at a time is of the first kind. */
#include "base/num.h"
#include "sys/net.h"
#include "sys/ops.h"
#include "sys/priv.h"

#include <assert.h>
#include <errno.h>
#include <sys/uio.h>

enum {
    /* Of files, all that is asked for at once is at most this: read, and sent by one call. */
    LITTLE = 64 * 1024,
    /* Among much: what is shorter than this is copied, sendfile would cost more. */
    SHORT_RUN = 4 * 1024,
    RUNS_A_CALL = 64,
};

struct sending {
    int fd;
    struct sys_buf scratch; /* borrowed */
    size_t scratch_used;
    bool may_sendfile;
    struct iovec iov[RUNS_A_CALL]; /* gathered, not sent yet */
    int n;
    size_t gathered; /* bytes in iov */
    size_t sent;
    struct tarn_err *err; /* borrowed */
};

static enum sys_io fail_to_send(struct sending *s)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return SYS_IO_AGAIN;
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
    s->scratch_used = 0;
    return is_all ? SYS_IO_DONE : SYS_IO_AGAIN;
}

static void add(struct sending *s, const uint8_t *p, size_t len)
{
    /* sending does not change it, but struct iovec serves receiving too */
    s->iov[s->n++] = (struct iovec){ (void *)(uintptr_t)p, len };
    s->gathered += len;
}

static enum sys_io fail_shrunk(struct sending *s, uint64_t off)
{
    tarn_fail(
        s->err, TARN_E_INTEGRITY,
        "a file that is being sent has become shorter than %llu bytes (something else changed "
        "it: check the data again)",
        (unsigned long long)off + 1);
    return SYS_IO_FAIL;
}

static enum sys_io add_memory(struct sending *s, const uint8_t *p, size_t len)
{
    if (s->n == RUNS_A_CALL) {
        enum sys_io io = flush(s, true);
        if (io != SYS_IO_DONE)
            return io;
    }
    add(s, p, len);
    return SYS_IO_DONE;
}

/* A run of a file by way of scratch, in as many parts as that takes. */
static enum sys_io add_copy(struct sending *s, int file, uint64_t off, size_t len)
{
    while (len > 0) {
        if (s->n == RUNS_A_CALL || s->scratch_used == s->scratch.len) {
            enum sys_io io = flush(s, true);
            if (io != SYS_IO_DONE)
                return io;
        }
        uint8_t *p = s->scratch.p + s->scratch_used;
        size_t part = tarn_min_size(len, s->scratch.len - s->scratch_used);
        size_t got = 0;
        if (!sys_read_at(file, p, part, off, &got, s->err))
            return SYS_IO_FAIL;
        if (got < part)
            return fail_shrunk(s, off + got);
        s->scratch_used += part;
        add(s, p, part);
        off += part;
        len -= part;
    }
    return SYS_IO_DONE;
}

static enum sys_io send_from(struct sending *s, int file, uint64_t off, size_t len)
{
    enum sys_io io = flush(s, true);
    if (io != SYS_IO_DONE)
        return io;
    ssize_t done;
    do
        done = sys_ops->sendfile(s->fd, file, (int64_t)off, len);
    while (done < 0 && errno == EINTR);
    if (done < 0 && (errno == ENOSYS || errno == EINVAL || errno == EOPNOTSUPP)) {
        s->may_sendfile = false; /* not from this file system */
        return add_copy(s, file, off, len);
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
    /* Short: the socket is full, or the file has shrunk, which the next call will see. */
    return (size_t)done == len ? SYS_IO_DONE : SYS_IO_AGAIN;
}

static enum sys_io send_one(struct sending *s, const struct sys_span *span, size_t len)
{
    if (span->file == NULL)
        return add_memory(s, span->p, len);
    if (span->off > INT64_MAX || len > INT64_MAX - span->off)
        return fail_shrunk(s, span->off);
    if (s->may_sendfile && (len >= SHORT_RUN || len > s->scratch.len))
        return send_from(s, span->file->fd, span->off, len);
    return add_copy(s, span->file->fd, span->off, len);
}

/* Whether there is so little of files in all of it that copying wins. */
static bool is_little(const struct sys_span *spans, size_t n, size_t max, size_t room)
{
    size_t limit = tarn_min_size(LITTLE, room), of_files = 0;
    for (size_t i = 0; i < n && max > 0; i++) {
        size_t len = tarn_min_size(spans[i].len, max);
        max -= len;
        if (spans[i].file == NULL)
            continue;
        if (len > limit - of_files)
            return false;
        of_files += len;
    }
    return true;
}

enum sys_io sys_send_spans(int fd, const struct sys_span *spans, size_t n, size_t max,
                           struct sys_buf scratch, size_t *sent, struct tarn_err *err)
{
    assert(scratch.len > 0);
    struct sending s = { .fd = fd, .scratch = scratch, .err = err };
    s.may_sendfile = sys_ops->has_sendfile && !is_little(spans, n, max, scratch.len);
    enum sys_io io = SYS_IO_DONE;
    for (size_t i = 0; i < n && max > 0 && io == SYS_IO_DONE; i++) {
        size_t len = tarn_min_size(spans[i].len, max);
        max -= len;
        if (len > 0)
            io = send_one(&s, &spans[i], len);
    }
    if (io == SYS_IO_DONE)
        io = flush(&s, false);
    *sent = s.sent;
    return io;
}
