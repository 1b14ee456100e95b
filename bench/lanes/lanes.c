/* How fast one core hashes, by kernel and by the number of messages that wait, and from how many on
 * lanes pay: what src/crypt/lanes.c's thresholds come from. Then what callers see: leaves, nodes
 * and messages of unequal lengths, beside OpenSSL's EVP.
 *
 *   ./dev bench lanes
 *
 * OPENSSL_ia32cap=:~0x20000000 in the environment shows a processor without SHA instructions.
 * Data is hot in cache; times are CPU time, the median of many short runs. */
#include "crypt/priv.h"

#include "../cost.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LEAF = 16384, RUNS = 400, LEAVES = 64, UNEQUAL = 1000 };

/* All begin at the same place in a page, as the leaves of a piece do. */
static uint8_t memory[LEAVES][LEAF];
static uint8_t digests[UNEQUAL * CRYPT_SHA256_LEN];
static const char *const kind_names[] = { "SHA-1", "SHA-256" };

/* CPU time of this thread. */
static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* --- kernels --- */

struct work {
    enum crypt_kind kind;
    crypt_kernel *kernel; /* NULL: alone */
    const struct tarn_bytes *data;
    size_t n;
};

static void run_leaf_alone(const struct work *w)
{
    uint32_t h[SHA_WORDS] = { 0 };
    crypt_blocks(w->kind, h, memory[0], LEAF / CRYPT_SHA_BLOCK);
}

static void run_leaf_abreast(const struct work *w)
{
    _Alignas(64) uint32_t state[SHA_WORDS * CRYPT_LANES_MAX] = { 0 };
    const uint8_t *at[CRYPT_LANES_MAX];
    for (size_t i = 0; i < CRYPT_LANES_MAX; i++)
        at[i] = memory[i < w->n ? i : 0]; /* an empty lane follows a neighbour */
    w->kernel(state, at, LEAF / CRYPT_SHA_BLOCK);
}

static double median_s(void (*run)(const struct work *), const struct work *w)
{
    double taken[RUNS];
    for (int i = 0; i < RUNS; i++) {
        double from = now_s();
        run(w);
        taken[i] = now_s() - from;
    }
    return median(taken, RUNS);
}

static double mb_per_s(double bytes, double seconds)
{
    return bytes / seconds / 1e6;
}

static double cpu_s_per_gib(double bytes, double seconds)
{
    return seconds * (double)TARN_GIB / bytes;
}

/* A row of MB/s, a row of CPU-s/GiB, and the least number that pays. */
static void print_kernel(const char *name, enum crypt_kind kind, crypt_kernel *kernel, size_t lanes)
{
    double alone = median_s(run_leaf_alone, &(struct work){ kind, NULL, NULL, 1 });
    double taken[CRYPT_LANES_MAX + 1];
    size_t least = 0;
    printf("%-8s %-7s MB/s     ", kind_names[kind], name);
    for (size_t n = 1; n <= lanes; n++) {
        struct work w = { kind, kernel, NULL, n };
        taken[n] = kernel == NULL ? alone : median_s(run_leaf_abreast, &w);
        printf(" %6.0f", mb_per_s((double)(n * LEAF), taken[n]));
        if (least == 0 && taken[n] < (double)n * alone)
            least = n;
    }
    printf("\n%-8s %-7s CPU-s/GiB", "", "");
    for (size_t n = 1; n <= lanes; n++)
        printf(" %6.3f", cpu_s_per_gib((double)(n * LEAF), taken[n]));
    if (kernel != NULL && least > 0)
        printf("\n%-8s %-7s pays from %zu messages on", "", "", least);
    else if (kernel != NULL)
        printf("\n%-8s %-7s never pays: one message alone is faster", "", "");
    printf("\n");
}

static void print_kernels(void)
{
    printf("%26s", "messages:");
    for (size_t n = 1; n <= CRYPT_LANES_MAX; n++)
        printf(" %6zu", n);
    printf("\n");
    for (int kind = CRYPT_SHA1; kind <= CRYPT_SHA256; kind++) {
        print_kernel("alone", (enum crypt_kind)kind, NULL, 1);
#ifdef __x86_64__
        bool is_sha1 = kind == CRYPT_SHA1;
        if (crypt_lanes_can(CRYPT_LANES_AVX2))
            print_kernel("avx2", (enum crypt_kind)kind,
                         is_sha1 ? crypt_sha1_avx2 : crypt_sha256_avx2, 8);
        if (crypt_lanes_can(CRYPT_LANES_AVX512))
            print_kernel("avx512", (enum crypt_kind)kind,
                         is_sha1 ? crypt_sha1_avx512 : crypt_sha256_avx512, 16);
#endif
    }
}

/* --- what callers see --- */

static void run_many(const struct work *w)
{
    crypt_hash_many(w->kind, w->data, w->n, digests);
}

static void run_one_by_one(const struct work *w)
{
    for (size_t i = 0; i < w->n; i++)
        crypt_hash(w->kind, w->data[i], digests + i * crypt_digest_len(w->kind));
}

static EVP_MD_CTX *evp;
static EVP_MD *fetched[2]; /* once, as EVP wants it */

static void run_evp(const struct work *w)
{
    for (size_t i = 0; i < w->n; i++) {
        if (EVP_DigestInit_ex2(evp, fetched[w->kind], NULL) != 1 ||
            EVP_DigestUpdate(evp, w->data[i].p, w->data[i].len) != 1 ||
            EVP_DigestFinal_ex(evp, digests + i * crypt_digest_len(w->kind), NULL) != 1)
            return;
    }
}

static void print_messages(const char *what, const struct tarn_bytes *data, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += data[i].len;
    for (int kind = CRYPT_SHA1; kind <= CRYPT_SHA256; kind++) {
        struct work w = { (enum crypt_kind)kind, NULL, data, n };
        double evp_s = median_s(run_evp, &w);
        double one_s = median_s(run_one_by_one, &w);
        printf("%-26s %-8s EVP %6.0f  crypt_hash %6.0f ", what, kind_names[kind],
               mb_per_s((double)bytes, evp_s), mb_per_s((double)bytes, one_s));
        for (int lanes = CRYPT_LANES_OFF; lanes <= CRYPT_LANES_AVX512; lanes++) {
            if (!crypt_lanes_can((enum crypt_lanes)lanes))
                continue;
            crypt_lanes_use((enum crypt_lanes)lanes);
            double s = median_s(run_many, &w);
            printf(" %s %6.0f (%.0f ns each)", crypt_lanes_name((enum crypt_lanes)lanes),
                   mb_per_s((double)bytes, s), s * 1e9 / (double)n);
        }
        printf("\n");
    }
}

int main(void)
{
    static struct tarn_bytes leaves[LEAVES], nodes[LEAVES], unequal[UNEQUAL];
    fetched[CRYPT_SHA1] = EVP_MD_fetch(NULL, "SHA1", NULL);
    fetched[CRYPT_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
    evp = EVP_MD_CTX_new();
    if (fetched[0] == NULL || fetched[1] == NULL || evp == NULL)
        return 1;
    memset(memory, 'x', sizeof memory);
    for (size_t i = 0; i < LEAVES; i++) {
        leaves[i] = tarn_bytes_of(memory[i], LEAF);
        nodes[i] = tarn_bytes_of(memory[0] + i * 64, 64);
    }
    for (size_t i = 0; i < UNEQUAL; i++)
        unequal[i] = tarn_bytes_of(memory[i % LEAVES], i * 7919 % 4000);
    printf("Kernels, messages of 16 KiB\n");
    print_kernels();
    printf("\ncrypt_hash_many, MB/s\n");
    print_messages("16 leaves of 16 KiB", leaves, 16);
    print_messages("64 leaves of 16 KiB", leaves, LEAVES);
    print_messages("64 nodes of 64 bytes", nodes, LEAVES);
    print_messages("1000 of 0 to 4000 bytes", unequal, UNEQUAL);
    EVP_MD_CTX_free(evp);
    EVP_MD_free(fetched[CRYPT_SHA1]);
    EVP_MD_free(fetched[CRYPT_SHA256]);
    return 0;
}
