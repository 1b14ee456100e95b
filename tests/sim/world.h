/* sim/world: one simulated world in one thread: its clock, its events in order, its chance, and the
 * trace of all that happens.
 *
 * Everything that happens is an event at a virtual time. Events at the same time run in the order
 * in which they were set. All chance comes from the world's seed, so the same seed gives the same
 * events; the trace's hash says whether two runs were the same. There is one world at a time: the
 * table of system calls that the engine uses (sys/ops.h) has no argument for another. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "base/attr.h"
#include "base/bytes.h"
#include "base/heap.h"

enum { SIM_MS = 1000, SIM_S = 1000 * 1000 }; /* in us, as all times here */

/* Zeroed before its first use; run() may set it again. */
struct sim_event {
    struct tarn_heap_node node;
    void (*run)(struct sim_event *e);
};

void world_begin(uint64_t seed, bool with_trace);
void world_end(void); /* every event must have been stopped or be the world's own */

int64_t world_now_us(void);
void world_at(struct sim_event *e, int64_t at_us); /* sets or moves it */
void world_stop(struct sim_event *e);
int64_t world_time_of(const struct sim_event *e); /* when it is set for */
static inline bool world_is_set(const struct sim_event *e)
{
    return e->node.place != 0;
}
/* The next event; false when there is none, or it is later than until_us. */
bool world_step(int64_t until_us);
/* All that happens until then; it is then afterwards. */
void world_pass(int64_t until_us);
uint64_t world_events(void); /* so far */

/* Chance: of the world, or of a stream of its own (a node's, so that one node more changes little).
 */
uint64_t chance_next(uint64_t *state);
uint64_t chance_below(uint64_t *state, uint64_t bound);        /* 0 when bound is 0 */
bool chance_one_in(uint64_t *state, uint64_t n);               /* never when n is 0 */
int64_t chance_between(uint64_t *state, int64_t a, int64_t b); /* both included */
uint64_t *world_chance(void);

/* A line of the trace: hashed always, printed when asked for. The numbers must not depend on
 * addresses of memory. */
void world_trace(const char *fmt, ...) TARN_PRINTF(1, 2);
/* As cheap as can be, for what happens a million times: never printed. */
void world_mix(uint64_t what, uint64_t a, uint64_t b);
uint64_t world_hash(void);

/* A broken invariant, with the time; the run goes on, and fails at its end. */
void world_broken(const char *fmt, ...) TARN_PRINTF(1, 2);
unsigned world_n_broken(void);

/* Memory for the world itself: a simulation without memory has nothing to say. Scenarios in which
 * allocations fail (tarn_mem_may) must let these go through: sim_allocates. */
extern bool sim_allocates;
void *sim_alloc(size_t n, size_t size);
void *sim_grow(void *p, size_t n, size_t size);

#endif
