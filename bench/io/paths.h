/* What the files of io_paths share. */
#ifndef BENCH_IO_PATHS_H
#define BENCH_IO_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEAD = 13, PIECE = 1 << 20, BATCH_MAX = 64 };

struct job {
    const char *path; /* the file that is read, or made */
    const char *way;
    size_t block; /* bytes */
    unsigned n;   /* blocks a call, threads, or depth, as the way has it */
    uint64_t blocks;
    bool discards; /* the other side throws away without copying */
    int core, other_core;
};

void die(const char *what);   /* with errno */
void *must_alloc(size_t len); /* zeroed, on a page's boundary */
double wall_s(void);
double cpu_s(int who); /* RUSAGE_SELF or RUSAGE_CHILDREN */
void pin(int core);    /* -1: not */
uint64_t next_random(uint64_t *state);
void shuffle(uint32_t *p, size_t n); /* the same each time */
int open_file(const char *path, int flags, uint64_t *len);
void drop_from_cache(int fd);

void run_send(const struct job *j);
void run_receive(const struct job *j);
void run_cold(const struct job *j);
/* Reads of len bytes at offs[0..n), so many at a time. False where there is no io_uring. */
bool uring_read(int fd, const uint64_t *offs, uint64_t n, size_t len, unsigned depth);

#endif
