/* The ways of moving blocks between files and sockets, each alone: what tarn's are measured by.
 *
 *   io_paths send    WAY FILE BLOCKS [block=BYTES] [n=N] [discard=1] [core=A] [other=B]
 *   io_paths receive WAY FILE BLOCKS ...
 *   io_paths cold    WAY FILE BLOCKS ...
 *
 * One JSON object: CPU-seconds a GiB of this side and of the other, MB/s, and for cold reads what
 * the disk read for each byte. */
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void die(const char *what)
{
    fprintf(stderr, "io_paths: %s: %s\n", what, strerror(errno));
    exit(1);
}

void *must_alloc(size_t len)
{
    void *p = NULL;
    if (posix_memalign(&p, 4096, len) != 0)
        die("memory");
    memset(p, 0, len);
    return p;
}

double wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double cpu_s(int who)
{
    struct rusage r;
    getrusage(who, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

void pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)(core < 0 ? 0 : core), &set);
    if (core >= 0 && sched_setaffinity(0, sizeof set, &set) != 0)
        die("pinning");
}

/* splitmix64 */
uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

void shuffle(uint32_t *p, size_t n)
{
    uint64_t state = 1;
    for (size_t i = 0; i < n; i++)
        p[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)(next_random(&state) % i);
        uint32_t t = p[i - 1];
        p[i - 1] = p[k];
        p[k] = t;
    }
}

int open_file(const char *path, int flags, uint64_t *len)
{
    struct stat st;
    int fd = open(path, flags, 0666);
    if (fd < 0 || fstat(fd, &st) != 0)
        die(path);
    *len = (uint64_t)st.st_size;
    return fd;
}

void drop_from_cache(int fd)
{
    if (fdatasync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        die("dropping the file from the page cache");
}

int main(int argc, char **argv)
{
    struct job j = { .block = 16384, .n = 1, .core = -1, .other_core = -1 };
    if (argc < 5) {
        fprintf(stderr, "io_paths: see the head of paths.c\n");
        return 2;
    }
    j.way = argv[2];
    j.path = argv[3];
    j.blocks = strtoull(argv[4], NULL, 10);
    for (int i = 5; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        long number = value == NULL ? 0 : strtol(value + 1, NULL, 10);
        if (strncmp(argv[i], "block=", 6) == 0)
            j.block = (size_t)number;
        else if (strncmp(argv[i], "n=", 2) == 0)
            j.n = (unsigned)number;
        else if (strncmp(argv[i], "discard=", 8) == 0)
            j.discards = number != 0;
        else if (strncmp(argv[i], "core=", 5) == 0)
            j.core = (int)number;
        else if (strncmp(argv[i], "other=", 6) == 0)
            j.other_core = (int)number;
    }
    if (strcmp(argv[1], "send") == 0)
        run_send(&j);
    else if (strcmp(argv[1], "receive") == 0)
        run_receive(&j);
    else
        run_cold(&j);
    return 0;
}
