/* loop/stream: a TCP connection: bytes in through the loop's one receive buffer, spans out.
 *
 * Receiving: when the socket is readable, the owner is first asked where the next bytes should go
 * (places: the rest of a block); what does not belong there lands in the loop's own buffer, in the
 * same system call, and is handed over as a cursor. What the owner leaves unread (an unfinished
 * message) is kept by the stream and stands in front next time: an idle peer keeps nothing.
 *
 * Sending: the owner appends header bytes and runs of files; at the end of the turn all of it
 * leaves in as few calls as the socket takes. File runs that are not in memory are read by the pool
 * first; the loop never waits for a disk.
 *
 * Over TLS all of that is the same. Files are read into the loop's buffer, encrypted and written;
 * where the kernel encrypts they leave as over a plain stream. */
#ifndef LOOP_STREAM_H
#define LOOP_STREAM_H

#include "base/cur.h"
#include "base/out.h"
#include "crypt/tls.h"
#include "loop/loop.h"
#include "sys/net.h"

enum {
    LOOP_STREAM_PLACES = 8,         /* places asked for at once */
    LOOP_STREAM_REST_MAX = 2 << 20, /* the longest unfinished message that is kept */
    LOOP_STREAM_OUT_MAX = 16 << 20, /* header bytes that wait for a peer who does not read */
    /* Bytes received or sent for one stream in one turn: fairness. */
    LOOP_STREAM_TURN_MAX = 1 << 20,
    LOOP_STREAM_LOW = 64 << 10, /* on_drain when less than this waits */
    /* Ours: at most this much unsent in the kernel (sys_set_unsent_low); it wakes us when half of
     * that has left. A choke or a cancel waits behind it, so it begins low, and grows with what the
     * line takes: doubled when we are woken sooner than LOOP_STREAM_SOON_US after the last time,
     * halved when later than LOOP_STREAM_LATE_US. Seeding over loopback costs 0.31 CPU-s/GiB with
     * 128 KiB, 0.22 with 1 MiB. */
    LOOP_STREAM_UNSENT = 128 << 10,
    LOOP_STREAM_DOUBLED_MAX = 3,
    LOOP_STREAM_SOON_US = 1000,
    LOOP_STREAM_LATE_US = 16 * 1000,
    /* Of streams that never take back what they queue it grows sooner, and up to what Linux holds
     * by itself (tcp_wmem): 100 MiB to each of four connections cost a fifth less CPU so than with
     * 1 MiB. For who reads slowly it stays small: that he reads is then seen soon. */
    LOOP_STREAM_DOUBLED_BULK_MAX = 5,
    LOOP_STREAM_SOON_BULK_US = 4000,
};

struct loop_stream;

/* What all streams of a loop have done with files. Bytes, but for the first two. */
struct loop_io_stats {
    uint64_t asked;       /* questions whether a run is in memory */
    uint64_t cold_jobs;   /* jobs that read what was not */
    uint64_t cold_read;   /* in those jobs ... */
    uint64_t cold_unused; /* ... of it for streams that ended before it could be sent */
    uint64_t by_sendfile; /* sent so */
    uint64_t copied;      /* read into a buffer to be sent */
    uint64_t mapped;      /* given to the socket from a mapping */
};
void loop_io_stats(const struct loop *l, struct loop_io_stats *stats);

/* Called from the loop, never from inside a call of the owner's. Each may release the stream (and
 * free it), and must not touch it after that. */
struct loop_stream_ops {
    bool is_bulk; /* what is queued will never be taken back: see LOOP_STREAM_DOUBLED_BULK_MAX */
    /* Fill at most LOOP_STREAM_PLACES places for the bytes that come next; 0: none, use the buffer.
     * Asked again when nothing came, and not asked while an unfinished message is kept. May pause
     * the stream. May be NULL. */
    size_t (*places)(struct loop_stream *s, struct sys_buf *places);
    /* placed: how many bytes went into those places (before anything in `in`). Take whole messages
     * from `in`; what is left is kept, and stands in front of what comes next. After a pause it is
     * offered again by itself. */
    void (*on_bytes)(struct loop_stream *s, size_t placed, struct tarn_cur *in);
    /* Connected, or the TLS handshake is over. Not for streams that are accepted without TLS. */
    void (*on_open)(struct loop_stream *s);
    /* Something has left and less than LOOP_STREAM_LOW waits: queue more. May be NULL. */
    void (*on_drain)(struct loop_stream *s);
    /* The other side has said that it will send no more; what is queued can still be sent. True: go
     * on, nothing more is received. False: on_end follows. NULL: as false. */
    bool (*on_finish)(struct loop_stream *s);
    /* Ended from the other side (err->code is TARN_OK) or failed: called once. What was not sent
     * will not be. The owner then (or later) calls loop_stream_release. Over TLS an end without
     * close_notify is a failure (TARN_E_NETWORK): what came may have been cut by anybody. */
    void (*on_end)(struct loop_stream *s, const struct tarn_err *err);
};

struct loop_stream {
    const struct loop_stream_ops *ops;
    struct loop *loop;
    struct sys_addr peer;
    uint64_t received, sent; /* bytes, all in all; over TLS of what is inside */
    size_t queued; /* bytes that wait to be sent; those written to loop_stream_out count from the
                      next call here, or the end of the turn */
    /* private */
    struct loop_watch watch;
    struct loop_idle idle;
    struct tarn_out rest;   /* an unfinished message; owns memory only while there is one */
    struct loop_send *send; /* owned; NULL when nothing waits */
    struct loop_tls *tls;   /* owned; NULL: plain */
    bool *gone; /* on the stack of the turn that serves this stream: released meanwhile */
    bool is_connecting, is_paused, wants_write, is_ended;
    bool has_finished; /* the other side */
    bool has_unread;   /* rest may hold whole messages: the owner paused */
    bool is_starving;  /* no memory for what the owner wanted to send */
    uint8_t doubled;   /* how often LOOP_STREAM_UNSENT is */
};

/* Take a connected socket over; it is closed when this fails. */
bool loop_stream_accept(struct loop_stream *s, struct loop *l, const struct loop_stream_ops *ops,
                        int fd, const struct sys_addr *peer, struct tarn_err *err) TARN_MUST;
/* The same for the server's side of TLS: on_open follows when the handshake is over, or on_end; how
 * long it may take is the owner's to say. What is queued before goes out then. Not to be paused
 * before. tls is counted; it stays this connection's though the server has a newer one. */
bool loop_stream_accept_tls(struct loop_stream *s, struct loop *l,
                            const struct loop_stream_ops *ops, int fd, const struct sys_addr *peer,
                            struct crypt_tls *tls, struct tarn_err *err) TARN_MUST;
/* For logs; NULL when it is a plain one. */
const struct crypt_tls_conn *loop_stream_tls(const struct loop_stream *s);
/* Begin to connect; on_open or on_end follows. There is no timeout: the owner has a timer. */
bool loop_stream_connect(struct loop_stream *s, struct loop *l, const struct loop_stream_ops *ops,
                         const struct sys_addr *to, struct tarn_err *err) TARN_MUST;
/* Close and drop everything queued; accepts a zeroed one. on_end is not called. Over TLS
 * close_notify goes first when nothing was queued any more: without it the other side knows that
 * it has not got all. */
void loop_stream_release(struct loop_stream *s);

/* Stop and start reading: how a full budget pushes back on the sender. */
void loop_stream_pause(struct loop_stream *s);
void loop_stream_resume(struct loop_stream *s);

/* Where to append header bytes: they are in order with the files appended. Ask again for each
 * message. Never NULL: what does not fit in memory, or in LOOP_STREAM_OUT_MAX, ends the stream. */
struct tarn_out *loop_stream_out(struct loop_stream *s);
/* Append a run of a file; takes a reference of its own. False when there is no memory. */
bool loop_stream_send_file(struct loop_stream *s, struct sys_file *file, uint64_t off, size_t len)
    TARN_MUST;

/* The same for a file that may change meanwhile: may_leave is asked each time before bytes of the
 * run leave, at most once for all the neighbouring runs that leave together; when it says no the
 * stream ends with its err, and none of them leave. Quick, and it does nothing to the stream. */
struct loop_guard {
    bool (*may_leave)(struct loop_guard *g, struct tarn_err *err);
};
bool loop_stream_send_guarded(struct loop_stream *s, struct sys_file *file, uint64_t off,
                              size_t len, struct loop_guard *guard) TARN_MUST; /* guard: borrowed */

/* s->queued, up to date. */
size_t loop_stream_queued(struct loop_stream *s);

/* When all that was queued has left: tell the other side that nothing follows. It may still send.
 */
void loop_stream_finish(struct loop_stream *s);

#endif
