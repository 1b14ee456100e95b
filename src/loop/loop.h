/* loop: one thread that waits for sockets, timers and messages from other threads.
 *
 * Everything here but loop_post belongs to the thread that runs the loop. Objects (watches, timers,
 * messages) are the caller's storage, inside the structs they serve, zeroed before their first use;
 * each must be taken out before that struct goes.
 *
 * Order of one turn: timers that are due, then ready sockets, then (without threads) a job of the
 * pool, then posted messages, then the idle functions (which gather what the turn has queued, so
 * that one wake-up makes one write). */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "sys/poller.h"

struct loop;
struct loop_pool;
struct loop_hashing;

struct loop_settings {
    unsigned threads; /* of the work pool; 0: as many as processors */
    size_t recv_len;  /* of the shared receive buffer; 0: 256 KiB */
    /* Start no threads: jobs run on the loop's own, one a turn, between the sockets and the
     * messages. For systems that have none, and for simulations, where the same input then gives
     * the same run. A slow disk or name server holds the whole loop up. */
    bool no_threads;
    /* With no_threads, for simulations: asked after each job has run; its done() follows so many us
     * later, as if a thread had been at it until then, and `threads` jobs (0: one) may be under way
     * at a time. NULL: at once. */
    int64_t (*job_took_us)(void *arg);
    void *arg;
};

struct loop *loop_new(const struct loop_settings *set, struct tarn_err *err) TARN_MUST;
/* Running jobs are waited for, those in line are dropped; nothing is called back. Accepts NULL. */
void loop_free(struct loop *l);

/* Until loop_stop (at once when that was called before). False when the poller fails. */
bool loop_run(struct loop *l, struct tarn_err *err) TARN_MUST;
/* One turn, waiting at most max_wait_us (-1: until something happens): for tests and for embedding.
 */
bool loop_turn(struct loop *l, int64_t max_wait_us, struct tarn_err *err) TARN_MUST;
void loop_stop(struct loop *l);

/* The time when this turn woke: monotonic us. */
int64_t loop_now_us(const struct loop *l);
/* When loop_turn next has something to do, sockets apart: now or earlier when something waits
 * already, INT64_MAX when nothing does. For who embeds the loop and waits for himself. */
int64_t loop_wakes_at_us(struct loop *l);
/* False with no_threads: long work had better be cut in short jobs. */
bool loop_has_threads(const struct loop *l);

struct loop_pool *loop_pool_of(struct loop *l);
struct loop_hashing *loop_hashing_of(struct loop *l);

/* Descriptors. */
struct loop_watch {
    void (*on_ready)(struct loop_watch *w, unsigned events); /* SYS_READABLE, SYS_WRITABLE */
    int fd;
    unsigned events; /* asked for now */
    bool is_in;
};
/* Begin, or change what is asked for. */
bool loop_watch_set(struct loop *l, struct loop_watch *w, unsigned events, struct tarn_err *err)
    TARN_MUST;
/* Stop; harmless when not in. Events of this turn that are still pending are dropped. */
void loop_watch_remove(struct loop *l, struct loop_watch *w);

/* Timers: one shot. Set one again to move it. */
struct loop_timer {
    struct tarn_heap_node node;
    void (*on_time)(struct loop_timer *t);
};
/* False when there is no memory for one more. */
bool loop_timer_set(struct loop *l, struct loop_timer *t, int64_t at_us) TARN_MUST;
void loop_timer_stop(struct loop *l, struct loop_timer *t);

/* Messages from any thread; run on the loop in the order posted. The struct must stay until then,
 * and must not be posted again before. */
struct loop_msg {
    void (*on_loop)(struct loop_msg *m);
    struct loop_msg *next;
};
void loop_post(struct loop *l, struct loop_msg *m);
/* Take a message back that has not run yet; harmless when it is not there. The loop's thread. */
void loop_unpost(struct loop *l, struct loop_msg *m);

/* Called once at the end of this turn (or of the next, when set while idle functions run). */
struct loop_idle {
    struct tarn_list node;
    void (*on_idle)(struct loop_idle *i);
};
void loop_idle_set(struct loop *l, struct loop_idle *i);
void loop_idle_stop(struct loop_idle *i);

#endif
