/* bt/core/turnover: whom to let go when all connections are taken and others ask for one.
 *
 * Who is useful stays: whoever the user named, who came just now, who sent or got data lately. Of
 * the others those go first with whom no data moved for longest, and those in whom nobody has an
 * interest, in either direction, before all others. So thousands of silent callers cannot keep a
 * swarm out. Pure. */
#ifndef BT_CORE_TURNOVER_H
#define BT_CORE_TURNOVER_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    BT_TENURE_US = 60 * 1000 * 1000, /* ours: time to show that one is of use; then without data */
    BT_TURNOVER_MAX = 30,            /* a second: as many as are dialled */
};

struct bt_tenure {
    int64_t age_us;    /* since it was opened */
    int64_t idle_us;   /* since data moved, in either direction, or since it was opened */
    bool has_interest; /* of one side at least */
    bool is_given;     /* named by the user */
};

/* 0: stays. Else the greater goes first. */
uint64_t bt_turnover_score(const struct bt_tenure *t);

/* Of n scores offered one by one: the worst few. */
struct bt_turnover {
    struct {
        uint64_t score;
        void *who;
    } worst[BT_TURNOVER_MAX]; /* the greatest score first */
    unsigned n, most;
};
void bt_turnover_begin(struct bt_turnover *t, uint64_t most); /* at most BT_TURNOVER_MAX */
void bt_turnover_offer(struct bt_turnover *t, void *who, uint64_t score);

#endif
