/* How fast each kernel hashes, hot in cache, with 1 to 16 messages waiting: one thread, 16 KiB
 * messages, user CPU time. Prints MB/s; from it follow the thresholds in src/crypt. */
#include "crypt/sha.h"

#include <stdio.h>
#include <sys/resource.h>

enum { LEN = 16384, TARGET = 200000000 };

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6;
}

static double rate(enum crypt_kind kind, size_t n)
{
    static uint8_t data[CRYPT_LANES_MAX][LEN], digests[CRYPT_LANES_MAX * CRYPT_SHA256_LEN];
    struct tarn_bytes runs[CRYPT_LANES_MAX];
    for (size_t i = 0; i < n; i++)
        runs[i] = tarn_bytes_of(data[i], LEN);
    double from = cpu_seconds();
    size_t turns = TARGET / (n * LEN);
    for (size_t i = 0; i < turns; i++)
        crypt_hash_many(kind, runs, n, digests);
    return (double)(turns * n * LEN) / (cpu_seconds() - from) / 1e6;
}

int main(void)
{
    printf("lanes   kind    ");
    for (size_t n = 1; n <= CRYPT_LANES_MAX; n++)
        printf("%7zu", n);
    printf("  waiting messages; MB/s\n");
    for (int lanes = CRYPT_LANES_OFF; lanes <= CRYPT_LANES_AVX512; lanes++) {
        if (!crypt_lanes_can((enum crypt_lanes)lanes))
            continue;
        crypt_lanes_use((enum crypt_lanes)lanes);
        for (int kind = CRYPT_SHA1; kind <= CRYPT_SHA256; kind++) {
            printf("%-7s %-8s", crypt_lanes_name((enum crypt_lanes)lanes),
                   kind == CRYPT_SHA1 ? "SHA-1" : "SHA-256");
            for (size_t n = 1; n <= CRYPT_LANES_MAX; n++)
                printf("%7.0f", rate((enum crypt_kind)kind, n));
            printf("\n");
        }
    }
    return 0;
}
