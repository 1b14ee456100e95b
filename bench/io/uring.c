/* The least of io_uring, by its system calls: reads, a fixed number under way. */
#include "paths.h"

#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ring {
    int fd;
    _Atomic uint32_t *sq_tail, *cq_head, *cq_tail;
    uint32_t sq_mask, cq_mask, *sq_array;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
};

static uint8_t *map_ring(int fd, size_t len, uint64_t off)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)off);
    if (p == MAP_FAILED)
        die("mapping a ring");
    return p;
}

static bool ring_open(struct ring *r, unsigned depth)
{
    struct io_uring_params p = { 0 };
    r->fd = (int)syscall(SYS_io_uring_setup, depth, &p);
    if (r->fd < 0)
        return false;
    uint8_t *sq =
        map_ring(r->fd, p.sq_off.array + p.sq_entries * sizeof(uint32_t), IORING_OFF_SQ_RING);
    uint8_t *cq = map_ring(r->fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
                           IORING_OFF_CQ_RING);
    r->sqes = (struct io_uring_sqe *)(void *)map_ring(
        r->fd, p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    r->sq_tail = (_Atomic uint32_t *)(void *)(sq + p.sq_off.tail);
    r->sq_mask = *(uint32_t *)(void *)(sq + p.sq_off.ring_mask);
    r->sq_array = (uint32_t *)(void *)(sq + p.sq_off.array);
    r->cq_head = (_Atomic uint32_t *)(void *)(cq + p.cq_off.head);
    r->cq_tail = (_Atomic uint32_t *)(void *)(cq + p.cq_off.tail);
    r->cq_mask = *(uint32_t *)(void *)(cq + p.cq_off.ring_mask);
    r->cqes = (struct io_uring_cqe *)(void *)(cq + p.cq_off.cqes);
    return true;
}

static void put_read(struct ring *r, int fd, void *buf, size_t len, uint64_t off, uint64_t slot)
{
    uint32_t tail = atomic_load_explicit(r->sq_tail, memory_order_relaxed), i = tail & r->sq_mask;
    r->sqes[i] = (struct io_uring_sqe){ .opcode = IORING_OP_READ,
                                        .fd = fd,
                                        .addr = (uint64_t)(uintptr_t)buf,
                                        .len = (uint32_t)len,
                                        .off = off,
                                        .user_data = slot };
    r->sq_array[i] = i;
    atomic_store_explicit(r->sq_tail, tail + 1, memory_order_release);
}

bool uring_read(int fd, const uint64_t *offs, uint64_t n, size_t len, unsigned depth)
{
    struct ring r;
    if (!ring_open(&r, depth))
        return false;
    uint8_t *bufs = must_alloc(depth * len);
    uint64_t given = 0, got = 0;
    unsigned fresh = 0;
    for (; given < n && given < depth; given++, fresh++)
        put_read(&r, fd, bufs + given * len, len, offs[given], given);
    while (got < n) {
        if (syscall(SYS_io_uring_enter, r.fd, fresh, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
            die("io_uring_enter");
        fresh = 0;
        uint32_t head = atomic_load_explicit(r.cq_head, memory_order_relaxed);
        uint32_t tail = atomic_load_explicit(r.cq_tail, memory_order_acquire);
        for (; head != tail; head++, got++) {
            const struct io_uring_cqe *e = &r.cqes[head & r.cq_mask];
            if (e->res != (int)len)
                die("a read by io_uring");
            if (given < n) {
                put_read(&r, fd, bufs + e->user_data * len, len, offs[given++], e->user_data);
                fresh++;
            }
        }
        atomic_store_explicit(r.cq_head, head, memory_order_release);
    }
    free(bufs);
    close(r.fd);
    return true;
}
