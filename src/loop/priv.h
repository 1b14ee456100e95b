/* loop/priv: what the files of this room share. */
#ifndef LOOP_PRIV_H
#define LOOP_PRIV_H

#include "loop/pool.h"
#include "loop/stream.h"
#include "sys/thread.h"

/* Threads and the jobs that wait for them. The lock guards what is above it; a loop's own lock may
 * be taken while it is held, never the other way round. Without threads the loop's turns do the
 * jobs, and `lasting` holds those that are taken to last longer than their run() did. */
struct loop_pool {
    struct loop_job *first, *last;
    bool is_closing;
    bool is_awaited; /* the loop's thread waits in `ran` */
    struct sys_lock lock;
    struct sys_cond work, ran;
    struct loop *loop;
    bool is_started;
    struct sys_thread *threads; /* owned; NULL without threads */
    unsigned n;
    struct loop_job *lasting; /* without threads: run() is over, done() has its time */
    unsigned n_lasting;
    struct loop_timer lasts;
    size_t pending; /* the loop's thread only */
};

bool loop_pool_start(struct loop_pool *p, struct loop *l, const char *name, unsigned n,
                     struct tarn_err *err) TARN_MUST;
void loop_pool_stop(struct loop_pool *p); /* accepts a zeroed one */
void loop_pool_give(struct loop_pool *p, struct loop_job *j);
/* Without threads: one job, and whether there is one for the next turn. Else nothing. */
void loop_pool_turn(struct loop_pool *p);
bool loop_pool_has_turn(const struct loop_pool *p);
/* When this returns, run() of j is over; a job still in line is run here. done() follows later. */
void loop_pool_settle(struct loop_job *j);

struct loop_hashing *loop_hashing_new(struct loop *l, struct tarn_err *err) TARN_MUST;
void loop_hashing_free(struct loop_hashing *h); /* after the pool; accepts NULL */

enum {
    LOOP_READY_MAX = 256,      /* taken from the poller at once */
    LOOP_REST_SMALL = 4 << 10, /* a rest so short is copied in front of what is received */
    LOOP_SCRATCH = 256 << 10,  /* for sys_send_spans */
    LOOP_NAME_THREADS = 2,
    LOOP_COLD_THREADS = 4,
};

struct loop {
    struct sys_poller *poller;
    struct tarn_heap timers;
    struct tarn_list idle;
    int64_t now_us;
    bool is_stopped;

    struct sys_ready ready[LOOP_READY_MAX]; /* of this turn, from i_ready on not yet served */
    size_t i_ready, n_ready;

    struct sys_lock lock; /* guards the next three */
    struct loop_msg *first, *last;
    bool is_waiting;      /* in the poller, and nobody has woken it */
    struct loop_msg *due; /* taken from the line, being run */

    struct loop_pool pool;
    struct loop_pool names, cold; /* started with the first job */
    bool no_threads;
    int64_t (*job_took_us)(void *arg);
    void *job_took_arg;
    struct loop_hashing *hashing;
    struct tarn_list lookups, colds; /* under way; freed with the loop */

    /* One for all streams: LOOP_REST_SMALL bytes for a rest, then recv_len. */
    uint8_t *recv;
    size_t recv_len;
    struct sys_sender sender; /* its scratch is owned */
    struct loop_io_stats io;
    struct tarn_out nowhere; /* for those who write while there is no memory */
};

void loop_resolve_free_all(struct loop *l);

/* The send queue of a stream. */
bool loop_send_some(struct loop_stream *s, struct tarn_err *err) TARN_MUST;
void loop_send_count(struct loop_stream *s); /* brings s->queued up to date */
void loop_send_woken(struct loop_stream *s); /* the socket takes more: judge how soon */
void loop_send_drop(struct loop_stream *s);
void loop_send_free_colds(struct loop *l);

/* TLS of a stream (tls.c). */
struct loop_tls {
    struct crypt_tls_conn *conn; /* owned */
    /* What the handshake has to say, and encrypted bytes that the socket did not take: goes before
     * all else. Owns memory only while something waits. */
    struct tarn_out pending;
    uint64_t flushed; /* bytes that have left pending */
    bool is_bad;      /* failed or cut: no close_notify */
    bool is_over;     /* the other side has ended, and the owner not been told yet */
    bool finishes;    /* close_notify is pending or gone; then shut down */
};
enum {
    LOOP_TLS_BATCH = 7 * CRYPT_TLS_RECORD, /* encrypted at once: with its twin fits into scratch */
    LOOP_TLS_PENDING_MAX = 256 << 10,
    LOOP_TLS_RECV_MIN = 64 << 10, /* the least loop_settings.recv_len */
    LOOP_TLS_TOGETHER = 4 << 10,  /* pending: up to here it waits for what is encrypted next */
};
bool loop_tls_begin(struct loop_stream *s, struct crypt_tls *tls, struct tarn_err *err) TARN_MUST;
void loop_tls_release(struct loop_stream *s); /* says goodbye where that is true */
void loop_tls_finish(struct loop_stream *s);  /* says goodbye, and that nothing follows */
/* Nothing encrypts but the kernel, or nothing at all. */
bool loop_tls_is_plain(const struct loop_stream *s);
bool loop_tls_is_open(const struct loop_stream *s); /* plain ones are */
/* Receive up to max bytes into the loop's scratch. */
enum sys_io loop_tls_recv(struct loop_stream *s, size_t max, struct tarn_cur *in,
                          struct tarn_err *err);
/* Decrypt what is in `in` into the buffers, in order; *got: bytes of them that were filled. */
enum crypt_tls_step loop_tls_read(struct loop_stream *s, struct tarn_cur *in,
                                  const struct sys_buf *bufs, size_t n, size_t *got,
                                  struct tarn_err *err) TARN_MUST;
/* Send what is pending. */
enum sys_io loop_tls_flush(struct loop_stream *s, struct tarn_err *err);
/* Encrypt the spans, or as much of them as makes a batch, and send that behind what is pending.
 * *sent: bytes of spans that need not be given again. */
enum sys_io loop_tls_send(struct loop_stream *s, const struct sys_span *spans, size_t n,
                          size_t *sent, struct tarn_err *err);

/* For the send queue: end a stream from the loop. The stream may be gone after this. */
void loop_stream_end(struct loop_stream *s, const struct tarn_err *err);

#endif
