/* Random blocks that are not in the page cache, each once: what a seed with a large archive serves.
 */
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

enum { HINTED = 8, THREADS_MAX = 64 };

struct cold {
    const struct job *j;
    int fd;
    const uint64_t *offs;
    _Atomic uint64_t next;
};

static void read_one(const struct cold *c, uint8_t *buf, uint64_t off)
{
    if (pread(c->fd, buf, c->j->block, (off_t)off) != (ssize_t)c->j->block)
        die("pread");
}

/* Without waiting first, as one would who asks whether it is there; then waiting. */
static void read_nowait(const struct cold *c, uint8_t *buf, uint64_t off)
{
    struct iovec iov = { buf, c->j->block };
    if (preadv2(c->fd, &iov, 1, (off_t)off, RWF_NOWAIT) != (ssize_t)c->j->block)
        read_one(c, buf, off);
}

/* Threads that take a block, or eight and tell the kernel of them first. */
static void *work(void *arg)
{
    struct cold *c = arg;
    uint8_t *buf = must_alloc(c->j->block);
    unsigned step = strcmp(c->j->way, "hinted") == 0 ? HINTED : 1;
    for (uint64_t at; (at = atomic_fetch_add(&c->next, step)) < c->j->blocks;) {
        uint64_t end = at + step < c->j->blocks ? at + step : c->j->blocks;
        for (uint64_t i = at; i < end && step > 1; i++)
            (void)posix_fadvise(c->fd, (off_t)c->offs[i], (off_t)c->j->block, POSIX_FADV_WILLNEED);
        for (uint64_t i = at; i < end; i++)
            read_one(c, buf, c->offs[i]);
    }
    free(buf);
    return NULL;
}

static void read_by_threads(struct cold *c)
{
    pthread_t threads[THREADS_MAX];
    unsigned n = c->j->n < THREADS_MAX ? c->j->n : THREADS_MAX;
    for (unsigned i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, work, c) != 0)
            die("a thread");
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

static void read_mapped(const struct cold *c, uint64_t len, int advice)
{
    volatile uint8_t sum = 0;
    uint8_t *map = mmap(NULL, (size_t)len, PROT_READ, MAP_SHARED, c->fd, 0);
    if (map == MAP_FAILED || madvise(map, (size_t)len, advice) != 0)
        die("mmap");
    for (uint64_t i = 0; i < c->j->blocks; i++)
        for (size_t at = 0; at < c->j->block; at += 4096)
            sum = (uint8_t)(sum + map[c->offs[i] + at]);
    munmap(map, (size_t)len);
}

static uint64_t disk_bytes(void)
{
    unsigned long long n = 0;
    char line[128];
    FILE *f = fopen("/proc/self/io", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "read_bytes: %llu", &n) == 1)
            break;
    if (f != NULL)
        fclose(f);
    return n;
}

static bool read_all(struct cold *c, uint64_t len)
{
    const char *way = c->j->way;
    uint8_t *buf = must_alloc(c->j->block);
    bool ok = true;
    if (strcmp(way, "pool") == 0 || strcmp(way, "hinted") == 0)
        read_by_threads(c);
    else if (strcmp(way, "map") == 0)
        read_mapped(c, len, MADV_NORMAL);
    else if (strcmp(way, "map-random") == 0)
        read_mapped(c, len, MADV_RANDOM);
    else if (strcmp(way, "uring") == 0)
        ok = uring_read(c->fd, c->offs, c->j->blocks, c->j->block, c->j->n);
    else
        for (uint64_t i = 0; i < c->j->blocks; i++)
            (strcmp(way, "nowait") == 0 ? read_nowait : read_one)(c, buf, c->offs[i]);
    free(buf);
    return ok;
}

void run_cold(const struct job *j)
{
    uint64_t len;
    int fd = open_file(j->path, O_RDONLY, &len);
    uint64_t n = len / j->block;
    uint32_t *order = must_alloc((size_t)n * sizeof *order);
    uint64_t *offs = must_alloc((size_t)n * sizeof *offs);
    shuffle(order, (size_t)n);
    for (uint64_t i = 0; i < n; i++)
        offs[i] = (uint64_t)order[i] * j->block;
    struct job some = *j;
    some.blocks = j->blocks < n ? j->blocks : n;
    struct cold c = { .j = &some, .fd = fd, .offs = offs };
    pin(j->core);
    drop_from_cache(fd);
    uint64_t disk = disk_bytes();
    double since = wall_s(), cpu = cpu_s(RUSAGE_SELF);
    if (!read_all(&c, len)) {
        printf("{}\n");
        return;
    }
    double wall = wall_s() - since, own = cpu_s(RUSAGE_SELF) - cpu;
    double bytes = (double)some.blocks * (double)some.block;
    printf("{\"cpu\":%.4f,\"mb_s\":%.1f,\"amplification\":%.2f,\"block_us\":%.2f}\n",
           own * (1 << 30) / bytes, bytes / wall / 1e6, (double)(disk_bytes() - disk) / bytes,
           own / (double)some.blocks * 1e6);
}
