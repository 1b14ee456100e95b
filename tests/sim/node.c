/* sim/node: see the header. */
#include "node.h"

#include "disk.h"
#include "loop/loop.h"
#include "net.h"
#include "os.h"

enum {
    /* Ours: a turn takes a machine some time, in which more arrives for the next one. */
    TURN_US = 200,
    DESCR_LIMIT = 4096,
    FIRST_PORT = 32768,
};

static struct node *now_in;

static void turn(struct sim_event *e)
{
    struct node *n = TARN_OUTER(e, struct node, wake);
    if (n->loop == NULL || n->is_suspended)
        return;
    struct node *before = node_enter(n);
    n->turned_us = world_now_us();
    if (!loop_turn(n->loop, 0, NULL))
        world_broken("node %u: a turn of its loop failed", n->no);
    if (n->after_turn != NULL)
        n->after_turn(n);
    node_leave(before);
    node_reckon(n);
}

void node_init(struct node *n, unsigned no)
{
    *n = (struct node){
        .no = no,
        .ip = node_ip(no),
        .wall_ms = 1700000000000,
        .descr_limit = DESCR_LIMIT,
        .dies_after = -1,
        .next_port = FIRST_PORT,
    };
    n->chance = chance_next(world_chance());
    n->wake.run = turn;
    tarn_list_init(&n->sending);
    tarn_list_init(&n->descrs);
    tarn_list_init(&n->listeners);
    net_init_line(n);
    n->fs = fs_new(n);
}

void node_release(struct node *n)
{
    world_stop(&n->wake);
    world_stop(&n->sent);
    fs_free(n->fs);
}

struct node *node_now(void)
{
    return now_in;
}

struct node *node_enter(struct node *n)
{
    struct node *before = now_in;
    now_in = n;
    return before;
}

void node_leave(struct node *before)
{
    now_in = before;
}

static void wake_at(struct node *n, int64_t at_us)
{
    if (at_us < n->turned_us + TURN_US)
        at_us = n->turned_us + TURN_US;
    if (!world_is_set(&n->wake) || at_us < world_time_of(&n->wake))
        world_at(&n->wake, at_us);
}

void node_wake(struct node *n)
{
    if (n->loop != NULL && !n->is_suspended)
        wake_at(n, world_now_us());
}

void node_reckon(struct node *n)
{
    if (n->loop == NULL || n->is_suspended)
        return;
    int64_t at_us = os_poller_has(n->poller) ? 0 : loop_wakes_at_us(n->loop);
    if (at_us != INT64_MAX)
        wake_at(n, at_us == 0 ? world_now_us() : at_us + n->slept_us);
}

int64_t node_now_us(const struct node *n)
{
    return world_now_us() - n->slept_us;
}

int64_t node_wall_ms(const struct node *n)
{
    return world_now_us() / 1000 + n->wall_ms;
}

void node_suspend(struct node *n)
{
    world_trace("node %u is suspended", n->no);
    n->is_suspended = true;
    world_stop(&n->wake);
    n->slept_us -= world_now_us();
}

void node_resume(struct node *n)
{
    world_trace("node %u goes on", n->no);
    n->slept_us += world_now_us();
    n->is_suspended = false;
    n->disk_free_us = 0;
    node_wake(n);
}
