/* sim/node: one simulated machine: its clock, its line, its disk, and the one process on it.
 *
 * A process is an event loop of the engine (src/loop) in its mode without threads; the node wakes
 * it when its sockets or timers have something for it, as a kernel does. The table of system calls
 * (os.h) asks node_now() on whose behalf a call is made. */
#ifndef SIM_NODE_H
#define SIM_NODE_H

#include "base/list.h"
#include "world.h"

struct loop;
struct fs;
struct sim_poller;

/* Of a node's line, in bytes a second; 0: no limit. */
struct node_line {
    uint64_t up, down;
    int64_t latency_us;   /* to the middle of the net, one way; a path has that of both its ends */
    int64_t jitter_us;    /* at most so much more, for each segment */
    uint32_t lost_one_in; /* segments; each costs a retransmission */
};

struct node_disk {
    int64_t access_us;     /* for each sync and each read that is not in memory */
    uint64_t bps;          /* of writes and cold reads; 0: no limit */
    uint64_t size;         /* bytes that fit; 0: no limit */
    uint32_t fails_one_in; /* reads and writes that end in EIO */
    bool forgets;          /* nothing stays in memory but what was read just now */
};

enum node_end { NODE_EXITS, NODE_KILLED, NODE_POWER_CUT };

struct node {
    unsigned no;
    uint32_t ip; /* host order */
    uint64_t chance;
    struct node_line line;
    struct node_disk disk;

    /* clocks */
    int64_t slept_us; /* the monotonic clock has missed so much */
    int64_t wall_ms;  /* wall clock minus the world's */
    bool is_suspended, is_off;
    unsigned boots;  /* starts of the machine */
    unsigned island; /* nodes of different islands do not reach each other */

    /* what its disk's jobs have cost since the last one ended, and when the disk is free */
    int64_t job_us, disk_free_us;
    struct fs *fs; /* owned */

    /* its line's sending side: flows with something to send take turns */
    struct tarn_list sending;
    struct sim_event sent;
    struct flow *sending_now; /* on the line until `sent` */
    uint64_t sending_len;
    int64_t down_free_us;
    uint64_t n_up, n_down; /* bytes */

    /* the process */
    struct loop *loop; /* NULL: none runs; borrowed from who started it */
    struct sim_poller *poller;
    struct tarn_list descrs;
    struct tarn_list listeners;
    unsigned n_descrs, descr_limit;
    uint16_t next_port;
    struct sim_event wake;
    int64_t turned_us;
    bool is_dying;         /* calls have no effect any more */
    int64_t dies_after;    /* so many calls that change the disk; -1: does not */
    uint32_t lies_one_in;  /* reads of files have a byte changed */
    uint64_t stalls_after; /* bytes sent on a connection that it opened or took; 0: never */
    void (*after_turn)(struct node *n); /* for who started the process; may end it */
    void *owner;
};

/* Addresses that may be anybody's, each in another network: BEP 6 gives the pieces that a beginner
 * may have by network, and bans are for addresses. */
static inline uint32_t node_ip(unsigned no)
{
    return 0x2D000001 + (no << 8); /* 45.0.0.1, 45.0.1.1, ... */
}
static inline unsigned node_no(uint32_t ip)
{
    return (ip - node_ip(0)) >> 8;
}

void node_init(struct node *n, unsigned no);
void node_release(struct node *n); /* no process may run on it any more */

/* On whose behalf the engine's calls are made now; NULL outside of turns. */
struct node *node_now(void);
/* For calls into the engine from outside of a turn; returns who it was before. */
struct node *node_enter(struct node *n);
void node_leave(struct node *before);

/* Its process has something to do, at the soonest now. */
void node_wake(struct node *n);
/* The loop is made, or was called from outside of its turns. */
void node_reckon(struct node *n);

int64_t node_now_us(const struct node *n);
int64_t node_wall_ms(const struct node *n);

/* Its machine sleeps from now on, and wakes as long after; its clock of CLOCK_MONOTONIC stands. */
void node_suspend(struct node *n);
void node_resume(struct node *n);

#endif
