/* What the benches of one process share: what a run has cost, the median of several runs, and
 * giving up with the reason. */
#ifndef BENCH_COST_H
#define BENCH_COST_H

#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static inline _Noreturn void die(const char *what, const struct tarn_err *err)
{
    fprintf(stderr, "%s: %s\n", what, err->msg);
    exit(1);
}

/* User and system, of all threads. */
static inline double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static inline void say_peak_memory(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("peak memory %ld MiB\n", u.ru_maxrss / 1024);
}

static inline int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Sorts them. */
static inline double median(double *of, unsigned n)
{
    qsort(of, n, sizeof *of, by_value);
    return of[n / 2];
}

#endif
