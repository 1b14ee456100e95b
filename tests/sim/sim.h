/* sim: scenarios, and what runs them. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "swarm.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

/* common: what scenarios share. */
extern const struct plan a_seed, a_leech;
struct node_line a_line(uint64_t up, uint64_t down, int64_t latency_ms);
/* Five files, one of them empty and one of a byte, of so many bytes together. */
void a_content(struct swarm *s, enum bt_format format, uint32_t piece_len, uint64_t total);
/* Breaks the run, and says what is missing, when it is not. */
void must_be_done(const struct swarm *s, bool done);
/* Every file of everybody who is no liar is there, under its name and right. */
bool all_are_right(const struct swarm *s);
double last_s(const struct swarm *s); /* from coming to completion, of the slowest */
uint64_t all_wasted(const struct swarm *s);

/* What a run says about itself, for its line of the report. */
struct report {
    char text[256];
};

struct scenario {
    const char *name, *about;
    unsigned seeds; /* run by the tests */
    void (*run)(struct report *r);
};
/* abuse: of the engine by its owner and its machine. */
void run_monkey(struct report *r);
void run_limits(struct report *r);
void run_memory(struct report *r);
void peer_meddle(struct peer *p, uint64_t *chance); /* one change of its owner's mind */
void peer_calm_down(struct peer *p);                /* all of them are taken back */

void run_chaos(struct report *r);

extern const struct scenario scenarios[];
extern const size_t n_scenarios;

#endif
