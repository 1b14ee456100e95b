/* sim: scenarios, and what runs them. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "swarm.h"

/* What a run says about itself, for its line of the report. */
struct report {
    char text[256];
};

struct scenario {
    const char *name, *about;
    unsigned seeds; /* run by the tests */
    void (*run)(struct report *r);
};
extern const struct scenario scenarios[];
extern const size_t n_scenarios;

#endif
