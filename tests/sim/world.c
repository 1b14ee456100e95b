/* sim/world: see the header. Events stand in one heap; the key is the time and, below it, a number
 * that grows, so that equal times keep their order. */
#include "world.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ORDER_BITS = 24, BROKEN_SHOWN = 20 };

static struct {
    struct tarn_heap events;
    int64_t now_us;
    uint64_t order, n_events;
    uint64_t chance;
    uint64_t hash;
    bool with_trace;
    unsigned n_broken;
} world;

bool sim_allocates;

static void *must(void *p)
{
    sim_allocates = false;
    if (p == NULL)
        abort();
    return p;
}

void *sim_alloc(size_t n, size_t size)
{
    sim_allocates = true;
    return must(tarn_calloc(n, size));
}

void *sim_grow(void *p, size_t n, size_t size)
{
    sim_allocates = true;
    return must(tarn_realloc(p, n, size));
}

void world_begin(uint64_t seed, bool with_trace)
{
    memset(&world, 0, sizeof world);
    world.now_us = 1000 * (int64_t)SIM_S; /* no clock of a machine that has started stands at 0 */
    world.chance = seed * 0x9E3779B97F4A7C15 + 1;
    world.hash = seed;
    world.with_trace = with_trace;
}

void world_end(void)
{
    tarn_heap_release(&world.events);
}

int64_t world_now_us(void)
{
    return world.now_us;
}

void world_at(struct sim_event *e, int64_t at_us)
{
    if (at_us < world.now_us)
        at_us = world.now_us;
    int64_t order = (int64_t)(world.order++ & ((1U << ORDER_BITS) - 1));
    sim_allocates = true;
    if (!tarn_heap_set(&world.events, &e->node, (at_us << ORDER_BITS) | order))
        abort();
    sim_allocates = false;
}

void world_stop(struct sim_event *e)
{
    tarn_heap_remove(&world.events, &e->node);
}

int64_t world_time_of(const struct sim_event *e)
{
    return e->node.key >> ORDER_BITS;
}

bool world_step(int64_t until_us)
{
    struct tarn_heap_node *first = tarn_heap_first(&world.events);
    if (first == NULL || first->key >> ORDER_BITS > until_us)
        return false;
    world.now_us = first->key >> ORDER_BITS;
    world.n_events++;
    tarn_heap_remove(&world.events, first);
    struct sim_event *e = TARN_OUTER(first, struct sim_event, node);
    e->run(e);
    return true;
}

void world_pass(int64_t until_us)
{
    while (world_step(until_us))
        ;
    world.now_us = until_us > world.now_us ? until_us : world.now_us;
}

uint64_t world_events(void)
{
    return world.n_events;
}

uint64_t chance_next(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

uint64_t chance_below(uint64_t *state, uint64_t bound)
{
    return bound == 0 ? 0 : chance_next(state) % bound;
}

bool chance_one_in(uint64_t *state, uint64_t n)
{
    return n != 0 && chance_below(state, n) == 0;
}

int64_t chance_between(uint64_t *state, int64_t a, int64_t b)
{
    return a + (int64_t)chance_below(state, (uint64_t)(b - a) + 1);
}

uint64_t *world_chance(void)
{
    return &world.chance;
}

void world_mix(uint64_t what, uint64_t a, uint64_t b)
{
    uint64_t h = world.hash ^ what * 0x9E3779B97F4A7C15;
    h = (h ^ (uint64_t)world.now_us) * 0xBF58476D1CE4E5B9;
    h = (h ^ h >> 29 ^ a) * 0x94D049BB133111EB;
    world.hash = (h ^ h >> 32 ^ b) * 0xD6E8FEB86659FD93;
}

static void mix_text(const char *text)
{
    uint64_t h = 14695981039346656037U; /* FNV-1a */
    for (const char *p = text; *p != 0; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211U;
    world_mix(h, 0, 0);
}

void world_trace(const char *fmt, ...)
{
    char text[1200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    mix_text(text);
    if (world.with_trace)
        printf("# %12.6f %s\n", (double)world.now_us / SIM_S, text);
}

uint64_t world_hash(void)
{
    return world.hash;
}

void world_broken(const char *fmt, ...)
{
    char text[1200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    mix_text(text);
    if (world.n_broken++ < BROKEN_SHOWN)
        printf("# BROKEN at %.6f: %s\n", (double)world.now_us / SIM_S, text);
}

unsigned world_n_broken(void)
{
    return world.n_broken;
}
