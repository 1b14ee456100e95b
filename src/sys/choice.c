/* sys/choice: see sys/net.h. Costs are averages over the last eight measures or so; one bad measure
 * (an interrupt, a page fault) moves them by an eighth. */
#include "sys/net.h"

enum {
    FIRST = 8,         /* measures to begin with, half of each */
    MEASURE_EVERY = 8, /* calls: of the one in use */
    TRY_EVERY = 128, /* calls: of the other one; costs at most a hundredth if it is twice as dear */
    ENOUGH = 32 << 10, /* bytes sent: fewer tell nothing */
    WEIGHT = 8,
};

static enum sys_send_way cheaper(const struct sys_choice *c)
{
    return c->cost[SYS_SEND_FILE] <= c->cost[SYS_SEND_COPY] ? SYS_SEND_FILE : SYS_SEND_COPY;
}

static enum sys_send_way other(enum sys_send_way way)
{
    return way == SYS_SEND_COPY ? SYS_SEND_FILE : SYS_SEND_COPY;
}

enum sys_send_way sys_choice_next(struct sys_choice *c, bool *is_measured)
{
    unsigned turn = c->turn++;
    enum sys_send_way way = cheaper(c);
    bool tries = turn >= FIRST && turn % TRY_EVERY == 0;
    *is_measured = turn < FIRST || tries || turn % MEASURE_EVERY == 1;
    if (turn < FIRST)
        return turn % 2 == 0 ? SYS_SEND_COPY : SYS_SEND_FILE;
    return tries ? other(way) : way;
}

void sys_choice_learn(struct sys_choice *c, enum sys_send_way way, size_t sent, int64_t ns)
{
    if (sent < ENOUGH || ns < 0)
        return;
    int64_t cost = (int64_t)((uint64_t)ns * 1024 / sent); /* ns a KiB */
    int64_t *average = &c->cost[way];
    *average = *average == 0 ? cost : *average + (cost - *average) / WEIGHT;
}
