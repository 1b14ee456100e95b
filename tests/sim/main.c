/* sim: runs scenarios with seeds, each twice when asked, and says how to repeat one that fails.
 *
 *     sim [--scenario NAME] [--seed N] [--seeds N] [--twice] [--trace] [--list]
 *
 * Prints TAP. SIM_SEEDS in the environment is --seeds. */
#include "base/num.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct options {
    const char *scenario;
    uint64_t first, n; /* seeds; n 0: as the scenario says */
    bool with_trace, twice;
};

static bool take_number(const char *text, uint64_t *n)
{
    return text != NULL && tarn_parse_u64(tarn_bytes_str(text), UINT64_MAX, n);
}

static bool take_options(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        bool takes_next = true, ok = next != NULL;
        if (strcmp(argv[i], "--scenario") == 0)
            o->scenario = next;
        else if (strcmp(argv[i], "--seed") == 0)
            ok = take_number(next, &o->first) && (o->n = 1) != 0;
        else if (strcmp(argv[i], "--seeds") == 0)
            ok = take_number(next, &o->n);
        else
            takes_next = false;
        if (takes_next && !ok)
            return false;
        i += takes_next;
        if (takes_next)
            continue;
        if (strcmp(argv[i], "--trace") == 0)
            o->with_trace = true;
        else if (strcmp(argv[i], "--twice") == 0)
            o->twice = true;
        else
            return false;
    }
    return true;
}

static uint64_t run(const struct scenario *s, uint64_t seed, bool with_trace, struct report *r,
                    unsigned *broken)
{
    *r = (struct report){ 0 };
    world_begin(seed, with_trace);
    s->run(r);
    uint64_t hash = world_hash();
    *broken += world_n_broken();
    world_end();
    return hash;
}

static bool one(const struct scenario *s, uint64_t seed, const struct options *o, unsigned no)
{
    struct report r;
    unsigned broken = 0;
    clock_t begin = clock();
    uint64_t hash = run(s, seed, o->with_trace, &r, &broken), events = world_events();
    bool same = !o->twice || run(s, seed, false, &r, &broken) == hash;
    if (!same)
        printf("# BROKEN: two runs of this seed differ\n");
    bool ok = same && broken == 0;
    printf("%sok %u - %s, seed %llu: %s\n", ok ? "" : "not ", no, s->name, (unsigned long long)seed,
           r.text);
    printf("# %llu events, %.1f CPU-s, hash %016llx\n", (unsigned long long)events,
           (double)(clock() - begin) / CLOCKS_PER_SEC, (unsigned long long)hash);
    if (!ok)
        printf("# again: sim --scenario %s --seed %llu --trace\n", s->name,
               (unsigned long long)seed);
    fflush(stdout);
    return ok;
}

int main(int argc, char **argv)
{
    struct options o = { .first = 1 };
    const char *seeds = getenv("SIM_SEEDS");
    if (seeds != NULL)
        (void)take_number(seeds, &o.n);
    if (!take_options(&o, argc, argv)) {
        fprintf(stderr, "sim [--scenario NAME] [--seed N] [--seeds N] [--twice] [--trace]\n");
        for (size_t i = 0; i < n_scenarios; i++)
            fprintf(stderr, "    %-10s %s\n", scenarios[i].name, scenarios[i].about);
        return 2;
    }
    unsigned no = 0, failed = 0;
    for (size_t i = 0; i < n_scenarios; i++) {
        if (o.scenario != NULL && strcmp(o.scenario, scenarios[i].name) != 0)
            continue;
        uint64_t n = o.n == 0 ? scenarios[i].seeds : o.n;
        for (uint64_t k = 0; k < n; k++)
            failed += !one(&scenarios[i], o.first + k, &o, ++no);
    }
    printf("1..%u\n", no);
    return failed > 0 || no == 0;
}
