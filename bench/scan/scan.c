/* How fast store/scan hashes content that is in the page cache: v1, v2 and both, with one worker
 * and two, with each width of lanes that the processor has.
 *
 *     store_scan_bench [FOLDER [MIB [PIECE_KIB [RUNS]]]]
 *
 * Writes one file of MIB (1024) MiB to FOLDER (/var/tmp), and scans it, in the page cache,
 * RUNS (5) times for each line. TARN_LANES in the environment asks for one width only. Median and
 * best of GiB/s and of CPU-seconds per GiB (user and system, all threads); machines are shared, so
 * believe the CPU-seconds first. */
#include "store/scan.h"
#include "base/mem.h"
#include "base/num.h"
#include "sys/clock.h"

#include "../cost.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RUNS_MAX = 101 };

struct figures {
    double rate[RUNS_MAX], cpu[RUNS_MAX];
};

static void on_piece(void *arg, const struct store_scanned *s)
{
    uint8_t root[MERKLE_HASH];
    (void)arg;
    if (s->found != STORE_READ)
        exit(2);
    if (s->n_leaves > 0) /* what verify does with them */
        merkle_root(s->work, s->n_leaves, tarn_pow2_up_u64(s->n_leaves), 0, root);
}

static void line(const struct store_layout *l, struct store_tree *tree, unsigned kind,
                 unsigned jobs, unsigned runs)
{
    static const char *const names[] = { "", "v1", "v2", "hybrid" };
    static struct figures f;
    struct tarn_err err = { 0 };
    for (unsigned i = 0; i < runs; i++) {
        struct store_scan s = { .tree = tree,
                                .layout = l,
                                .want_v1 = (kind & 1) != 0,
                                .want_v2 = (kind & 2) != 0,
                                .jobs = jobs,
                                .on_piece = on_piece };
        int64_t from_us = sys_now_us();
        double cpu = cpu_seconds();
        if (!store_scan_run(&s, &err))
            die("scan", &err);
        double gib = (double)l->total / (double)TARN_GIB;
        f.cpu[i] = (cpu_seconds() - cpu) / gib;
        f.rate[i] = gib / ((double)(sys_now_us() - from_us) / 1e6);
    }
    double rate = median(f.rate, runs), cpu = median(f.cpu, runs); /* sorts */
    printf("%-7s %-7s %4u %8.2f %8.2f %10.3f %8.3f\n", crypt_lanes_name(crypt_lanes_now()),
           names[kind], jobs, rate, f.rate[runs - 1], cpu, f.cpu[0]);
    fflush(stdout);
}

static void make_file(const char *path, uint64_t len)
{
    static uint8_t block[1 << 20];
    struct tarn_err err = { 0 };
    int fd = sys_open(path, SYS_OPEN_CREATE, &err);
    if (fd < 0 || !sys_random(block, sizeof block, &err))
        die("making the file", &err);
    for (uint64_t at = 0; at < len; at += sizeof block) {
        memcpy(block, &at, sizeof at); /* no two pieces alike */
        if (!sys_write_at(fd, tarn_bytes_of(block, tarn_min_size(sizeof block, len - at)), at,
                          &err))
            die("making the file", &err);
    }
    sys_close(&fd);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : "/var/tmp";
    uint64_t len = strtoull(argc > 2 ? argv[2] : "1024", NULL, 10) << 20;
    uint32_t piece_len = (uint32_t)strtoul(argc > 3 ? argv[3] : "1024", NULL, 10) << 10;
    unsigned runs = (unsigned)strtoul(argc > 4 ? argv[4] : "5", NULL, 10);
    char path[4096];
    struct tarn_err err = { 0 };
    if (len == 0 || piece_len == 0 || runs == 0 || runs > RUNS_MAX)
        return 2;
    snprintf(path, sizeof path, "%s/tarn-scan-bench", folder);
    struct store_file file = { .path = "tarn-scan-bench", .len = len };
    struct store_layout l = { .files = &file,
                              .n_files = 1,
                              .piece_len = piece_len,
                              .n_pieces = (uint32_t)tarn_div_up_u64(len, piece_len),
                              .total = len,
                              .is_single_file = true,
                              .name = "tarn-scan-bench" };
    make_file(path, len);
    struct store_tree *tree = store_tree_open(&l, path, &err);
    if (tree == NULL)
        die("opening the file", &err);
    enum crypt_lanes asked = crypt_lanes_now();
    printf("lanes   kind    jobs    GiB/s     best  CPU-s/GiB    least   (%u MiB in pieces of %u "
           "KiB)\n",
           (unsigned)(len >> 20), piece_len >> 10);
    for (int lanes = CRYPT_LANES_AVX512; lanes >= CRYPT_LANES_OFF; lanes--) {
        if (!crypt_lanes_can((enum crypt_lanes)lanes) ||
            (getenv("TARN_LANES") != NULL && (enum crypt_lanes)lanes != asked))
            continue;
        crypt_lanes_use((enum crypt_lanes)lanes);
        for (unsigned kind = 1; kind <= 3; kind++)
            for (unsigned jobs = 1; jobs <= 2; jobs++)
                line(&l, tree, kind, jobs, runs);
    }
    say_peak_memory();
    store_tree_free(tree);
    unlink(path);
    return 0;
}
