/* Which lanes run, and how messages are kept in them.
 *
 * A kernel runs until the first of its messages has no whole block left; that message leaves and
 * the next one that waits takes its lane, so that lanes stay full however unequal the messages are.
 * Towards the end lanes run empty. An empty lane costs as much as a full one (it follows a
 * neighbour's data and its result is dropped), so when few are left each goes on alone. */
#include "crypt/priv.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

/* From how many waiting messages on lanes are the faster way. By bench/lanes on a Zen 5, gcc 12,
 * MB/s:
 *
 *            alone  eight of AVX2  sixteen of AVX-512
 *   SHA-1     2040           3900               10600   pays from 5 and 3
 *   SHA-256   1910           1700                5500   pays never and from 6
 *
 * An earlier kernel on a Xeon (2090 and 1870 alone, 8300 and 4300 in sixteen lanes) paid from 4 and
 * 7. Where they disagree we take what loses less on the other: the Xeon would lose 23 % on three
 * messages of SHA-1, the Zen 18 % on six of SHA-256.
 *
 * Without SHA instructions (the Zen 5 with OPENSSL_ia32cap=:~0x20000000) one message alone does
 * 1380 and 690: AVX2 pays from 3 and 4, AVX-512 from 2. */
struct least {
    uint8_t with_sha;
    uint8_t without_sha;
};

enum { NEVER = CRYPT_LANES_MAX + 1 }; /* more than there are lanes */

static const struct width {
    const char *name;
    crypt_kernel *kernel[2]; /* by kind */
    struct least least[2];
    uint8_t lanes;
} widths[] = {
    [CRYPT_LANES_OFF] = { "off", { NULL, NULL }, { { 0, 0 }, { 0, 0 } }, 0 },
#ifdef __x86_64__
    [CRYPT_LANES_AVX2] = { "avx2",
                           { crypt_sha1_avx2, crypt_sha256_avx2 },
                           { { 5, 3 }, { NEVER, 4 } },
                           8 },
    [CRYPT_LANES_AVX512] = { "avx512",
                             { crypt_sha1_avx512, crypt_sha256_avx512 },
                             { { 4, 2 }, { 6, 2 } },
                             16 },
#endif
};

#ifdef __x86_64__
#include <cpuid.h>

bool crypt_lanes_can(enum crypt_lanes lanes)
{
    switch (lanes) {
    case CRYPT_LANES_OFF:
        return true;
    case CRYPT_LANES_AVX2:
        return __builtin_cpu_supports("avx2") != 0;
    case CRYPT_LANES_AVX512:
        return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0;
    }
    return false;
}

/* gcc 12 and clang 14 have no name for it: leaf 7, EBX bit 29. */
static bool has_sha_instructions(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx >> 29 & 1) != 0;
}
#else
bool crypt_lanes_can(enum crypt_lanes lanes)
{
    return lanes == CRYPT_LANES_OFF;
}

static bool has_sha_instructions(void)
{
    return false;
}
#endif

/* What is in use: a width, whether one message alone is fast, and whether a test wants lanes at any
 * price. Chosen at the first use. Two threads may both choose; they choose the same. */
enum { NOT_CHOSEN = -1, LANES_MASK = 15, FAST_ALONE = 16, ALWAYS_ABREAST = 32 };
static atomic_int chosen = NOT_CHOSEN;

static int choice_of(enum crypt_lanes lanes)
{
    return (int)lanes | (has_sha_instructions() ? FAST_ALONE : 0);
}

static enum crypt_lanes widest(void)
{
    if (crypt_lanes_can(CRYPT_LANES_AVX512))
        return CRYPT_LANES_AVX512;
    return crypt_lanes_can(CRYPT_LANES_AVX2) ? CRYPT_LANES_AVX2 : CRYPT_LANES_OFF;
}

static enum crypt_lanes wanted(void)
{
    const char *name = getenv("TARN_LANES");
    for (size_t i = 0; name != NULL && i < TARN_COUNT_OF(widths); i++)
        if (strcmp(name, widths[i].name) == 0 && crypt_lanes_can((enum crypt_lanes)i))
            return (enum crypt_lanes)i;
    return widest();
}

static int choice(void)
{
    int c = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (c == NOT_CHOSEN) {
        c = choice_of(wanted());
        atomic_store_explicit(&chosen, c, memory_order_relaxed);
    }
    return c;
}

void crypt_lanes_use(enum crypt_lanes lanes)
{
    assert(crypt_lanes_can(lanes));
    atomic_store_explicit(&chosen, choice_of(lanes), memory_order_relaxed);
}

void crypt_lanes_use_always(enum crypt_lanes lanes)
{
    assert(crypt_lanes_can(lanes));
    atomic_store_explicit(&chosen, choice_of(lanes) | ALWAYS_ABREAST, memory_order_relaxed);
}

enum crypt_lanes crypt_lanes_now(void)
{
    return (enum crypt_lanes)(choice() & LANES_MASK);
}

const char *crypt_lanes_name(enum crypt_lanes lanes)
{
    return lanes == CRYPT_LANES_AVX512 ? "avx512" : lanes == CRYPT_LANES_AVX2 ? "avx2" : "off";
}

struct crypt_way crypt_way_of(enum crypt_kind kind)
{
    int c = choice();
    const struct width *w = &widths[c & LANES_MASK];
    size_t least = (c & FAST_ALONE) != 0 ? w->least[kind].with_sha : w->least[kind].without_sha;
    return (struct crypt_way){ w->kernel[kind], w->lanes, (c & ALWAYS_ABREAST) != 0 ? 1 : least };
}

/* The lanes of one call of crypt_run_all. */
struct lanes {
    _Alignas(64) uint32_t state[SHA_WORDS * CRYPT_LANES_MAX];
    const uint8_t *at[CRYPT_LANES_MAX]; /* the next block */
    size_t left[CRYPT_LANES_MAX];       /* blocks of the run at hand */
    bool is_second[CRYPT_LANES_MAX];    /* that run is run[1] */
    bool is_busy[CRYPT_LANES_MAX];      /* the lane has a job with blocks left */
    struct crypt_job job[CRYPT_LANES_MAX];
    struct crypt_way way;
    struct crypt_source *source;
};

/* The next run of the lane's job that has blocks; false when there is none. */
static bool next_run(struct lanes *s, size_t lane)
{
    if (s->left[lane] == 0 && !s->is_second[lane]) {
        s->is_second[lane] = true;
        s->at[lane] = s->job[lane].run[1].p;
        s->left[lane] = s->job[lane].run[1].blocks;
    }
    return s->left[lane] > 0;
}

/* Give an idle lane a job that has blocks, if one waits. */
static void take_job(struct lanes *s, size_t lane)
{
    struct crypt_job *job = &s->job[lane];
    s->is_busy[lane] = false;
    while (s->source->next(s->source, job)) {
        s->at[lane] = job->run[0].p;
        s->left[lane] = job->run[0].blocks;
        s->is_second[lane] = false;
        if (next_run(s, lane)) {
            for (size_t w = 0; w < SHA_WORDS; w++)
                s->state[w * s->way.lanes + lane] = job->h[w];
            s->is_busy[lane] = true;
            return;
        }
        s->source->done(s->source, job);
    }
}

static void store_state(struct lanes *s, size_t lane)
{
    for (size_t w = 0; w < SHA_WORDS; w++)
        s->job[lane].h[w] = s->state[w * s->way.lanes + lane];
}

/* Run the kernel as far as the shortest run goes. */
static void run_kernel(struct lanes *s)
{
    size_t shortest = CRYPT_LANES_MAX;
    for (size_t l = 0; l < s->way.lanes; l++)
        if (s->is_busy[l] && (shortest == CRYPT_LANES_MAX || s->left[l] < s->left[shortest]))
            shortest = l;
    size_t blocks = s->left[shortest];
    for (size_t l = 0; l < s->way.lanes; l++)
        if (!s->is_busy[l])
            s->at[l] = s->at[shortest];
    s->way.kernel(s->state, s->at, blocks);
    for (size_t l = 0; l < s->way.lanes; l++)
        if (s->is_busy[l]) {
            s->at[l] += blocks * CRYPT_SHA_BLOCK;
            s->left[l] -= blocks;
        }
}

static size_t count_busy(const struct lanes *s)
{
    size_t n = 0;
    for (size_t l = 0; l < s->way.lanes; l++)
        n += s->is_busy[l];
    return n;
}

static void finish_alone(struct lanes *s, size_t lane)
{
    struct crypt_job *job = &s->job[lane];
    store_state(s, lane);
    crypt_blocks(s->source->kind, job->h, s->at[lane], s->left[lane]);
    if (!s->is_second[lane])
        crypt_blocks(s->source->kind, job->h, job->run[1].p, job->run[1].blocks);
    s->source->done(s->source, job);
}

/* least <= lanes, so that when fewer are busy than that, none waits. */
static void run_abreast(struct lanes *s)
{
    for (size_t l = 0; l < s->way.lanes; l++)
        take_job(s, l);
    while (count_busy(s) >= s->way.least) {
        run_kernel(s);
        for (size_t l = 0; l < s->way.lanes; l++)
            if (s->is_busy[l] && !next_run(s, l)) {
                store_state(s, l);
                s->source->done(s->source, &s->job[l]);
                take_job(s, l);
            }
    }
    for (size_t l = 0; l < s->way.lanes; l++)
        if (s->is_busy[l])
            finish_alone(s, l);
}

static void run_each(struct crypt_source *source)
{
    struct crypt_job job;
    while (source->next(source, &job)) {
        for (size_t i = 0; i < TARN_COUNT_OF(job.run); i++)
            crypt_blocks(source->kind, job.h, job.run[i].p, job.run[i].blocks);
        source->done(source, &job);
    }
}

void crypt_run_all(struct crypt_source *source)
{
    struct crypt_way way = crypt_way_of(source->kind);
    if (way.kernel == NULL || way.least > way.lanes || source->n < way.least) {
        run_each(source);
        return;
    }
    struct lanes s;
    memset(s.state, 0, sizeof s.state); /* lanes that stay empty run too */
    s.way = way;
    s.source = source;
    run_abreast(&s);
}
