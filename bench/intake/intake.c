/* What it costs to read new files once for all their hashes (store/intake), beside simple ways.
 *
 *     store_intake_bench [FOLDER [MIB [RUNS]]]
 *
 * Writes MIB (512) MiB to FOLDER (/dev/shm), as one file, as sixteen and as many of 4 KiB, and
 * hashes them RUNS (5) times in each way, the ways in turns. `plain` is one thread, 64 KiB at a
 * time into three streams (SHA-256, leaves, SHA-1); `one thread` is intake with one group; `narrow`
 * the same without windows of several pieces; `all` is intake as it is. Median of CPU-seconds per
 * GiB (user and system, all threads) and of GiB/s; machines are shared, so believe the CPU-seconds
 * first, along a line. */
#include "store/intake.h"
#include "base/mem.h"
#include "base/num.h"
#include "sys/clock.h"

#include "../cost.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RUNS_MAX = 101, CHUNK = 64 << 10, AT_ONCE = 600 };

enum way { PLAIN, NARROW, ONE_THREAD, ALL, WAYS };
static const char *const way_names[] = { "plain", "narrow", "one thread", "all" };

struct figures {
    double rate[RUNS_MAX], cpu[RUNS_MAX];
};

/* The files of one set: f0, f1, ... of len bytes each. */
struct set {
    unsigned n;
    uint64_t len;
    uint32_t piece_len;
};

static void name_of(unsigned i, char name[32])
{
    snprintf(name, 32, "tarn-bench-%u", i);
}

static void make_files(const struct set *s)
{
    static uint8_t block[1 << 20];
    struct tarn_err err = { 0 };
    char name[32];
    if (!sys_random(block, sizeof block, &err))
        die("making files", &err);
    for (unsigned i = 0; i < s->n; i++) {
        name_of(i, name);
        int fd = sys_open(name, SYS_OPEN_CREATE, &err);
        if (fd < 0)
            die("making files", &err);
        for (uint64_t at = 0; at < s->len; at += sizeof block) {
            memcpy(block, &at, sizeof at);
            if (!sys_write_at(fd, tarn_bytes_of(block, tarn_min_size(sizeof block, s->len - at)),
                              at, &err))
                die("making files", &err);
        }
        sys_close(&fd);
    }
}

static void remove_files(const struct set *s)
{
    char name[32];
    for (unsigned i = 0; i < s->n; i++) {
        name_of(i, name);
        unlink(name);
    }
}

/* The simple way. */
static void read_plain(const char *name, uint32_t piece_len)
{
    static uint8_t buf[CHUNK];
    struct crypt_sha sha256, sha1;
    struct merkle_sum sum = { 0 };
    uint8_t hash[32];
    struct tarn_err err = { 0 };
    int fd = sys_open_beneath(SYS_CWD, name, SYS_OPEN_READ, &err);
    if (fd < 0)
        die("reading", &err);
    crypt_sha_init(&sha256, CRYPT_SHA256);
    crypt_sha_init(&sha1, CRYPT_SHA1);
    size_t got = CHUNK;
    for (uint64_t at = 0; got == CHUNK; at += got) {
        if (!sys_read_at(fd, buf, CHUNK, at, &got, &err))
            die("reading", &err);
        crypt_sha_update(&sha256, tarn_bytes_of(buf, got));
        for (size_t i = 0; i < got; i += MERKLE_BLOCK) {
            crypt_hash(CRYPT_SHA256, tarn_bytes_of(buf + i, tarn_min_size(MERKLE_BLOCK, got - i)),
                       hash);
            merkle_sum_add(&sum, hash, 1);
        }
        if (piece_len == 0)
            continue;
        crypt_sha_update(&sha1, tarn_bytes_of(buf, got));
        if ((at + got) % piece_len == 0) {
            crypt_sha_final(&sha1, hash);
            crypt_sha_init(&sha1, CRYPT_SHA1);
        }
    }
    crypt_sha_final(&sha256, hash);
    sys_close(&fd);
}

struct one {
    struct store_intake_file f;
    char name[32];
};

static struct {
    struct store_intake *in;
    const struct set *set;
    unsigned next, done;
} now;

static bool take(struct store_intake_file *f, uint64_t first, const uint8_t *hashes, size_t n,
                 struct tarn_err *err)
{
    (void)f;
    (void)first;
    (void)hashes;
    (void)n;
    (void)err;
    return true;
}

static void submit(struct one *o)
{
    name_of(now.next++, o->name);
    store_intake_submit(now.in, &o->f);
}

static void done(struct store_intake_file *f)
{
    if (f->err.code != TARN_OK)
        die("reading", &f->err);
    now.done++;
    if (now.next < now.set->n)
        submit(TARN_OUTER(f, struct one, f));
}

static void read_intake(struct loop *l, const struct set *s, enum way way)
{
    static struct one all[AT_ONCE];
    struct tarn_err err = { 0 };
    struct store_intake_settings set = { .loop = l,
                                         .groups = way == ALL ? 0 : 1,
                                         .memory = way == NARROW ? 1 : 0 };
    now.in = store_intake_new(&set, &err);
    if (now.in == NULL)
        die("intake", &err);
    now.set = s;
    now.next = now.done = 0;
    for (unsigned i = 0; i < AT_ONCE && i < s->n; i++) {
        all[i].f = (struct store_intake_file){ .dir = SYS_CWD,
                                               .path = all[i].name,
                                               .piece_len = s->piece_len,
                                               .on_leaves = take,
                                               .on_pieces = take,
                                               .done = done };
        submit(&all[i]);
    }
    while (now.done < s->n)
        if (!loop_turn(l, -1, &err))
            die("loop", &err);
    store_intake_free(now.in);
}

static void measure(struct loop *l, const struct set *s, unsigned runs)
{
    static struct figures f[WAYS];
    double gib = (double)s->len * s->n / (double)TARN_GIB;
    for (unsigned i = 0; i < runs; i++)
        for (int way = 0; way < WAYS; way++) {
            int64_t from_us = sys_now_us();
            double cpu = cpu_seconds();
            char name[32];
            if (way != PLAIN)
                read_intake(l, s, (enum way)way);
            else
                for (unsigned k = 0; k < s->n; k++) {
                    name_of(k, name);
                    read_plain(name, s->piece_len);
                }
            f[way].cpu[i] = (cpu_seconds() - cpu) / gib;
            f[way].rate[i] = gib / ((double)(sys_now_us() - from_us) / 1e6);
        }
    printf("%6u x %8llu KiB, v1 %5u KiB", s->n, (unsigned long long)s->len >> 10,
           s->piece_len >> 10);
    for (int way = 0; way < WAYS; way++)
        printf("   %s %.3f (%.2f)", way_names[way], median(f[way].cpu, runs),
               median(f[way].rate, runs));
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const uint32_t pieces[] = { 0, 64 << 10, 1 << 20, 2 << 20, 4 << 20 };
    const char *folder = argc > 1 ? argv[1] : "/dev/shm";
    uint64_t total = strtoull(argc > 2 ? argv[2] : "512", NULL, 10) << 20;
    unsigned runs = (unsigned)strtoul(argc > 3 ? argv[3] : "5", NULL, 10);
    struct tarn_err err = { 0 };
    struct loop_settings set = { 0 };
    if (total < TARN_MIB || runs == 0 || runs > RUNS_MAX || chdir(folder) != 0)
        return 2;
    struct loop *l = loop_new(&set, &err);
    if (l == NULL)
        die("loop", &err);
    printf("CPU-s/GiB (GiB/s), lanes: %s\n", crypt_lanes_name(crypt_lanes_now()));
    const unsigned counts[] = { 1, 4, 16, (unsigned)(total / 8 / 4096) };
    for (size_t c = 0; c < TARN_COUNT_OF(counts); c++) {
        struct set s = { .n = counts[c], .len = counts[c] > 16 ? 4096 : total / counts[c] };
        make_files(&s);
        for (size_t i = 0; i < TARN_COUNT_OF(pieces) && (s.len > 4096 || i < 2); i++) {
            s.piece_len = pieces[i];
            measure(l, &s, runs);
        }
        remove_files(&s);
    }
    say_peak_memory();
    loop_free(l);
    return 0;
}
