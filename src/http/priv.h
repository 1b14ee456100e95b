/* http/priv: what the files of this room share.
 *
 *     server ── lists of connections, by what they wait for, the longest waiting first
 *       conn ── a socket. current: the exchange that is read or answered now
 *                         leaving: exchanges whose answers are queued, in order
 *
 * An exchange exists from a whole head until its answer has left. The answers of a connection stand
 * in its stream's queue, one behind the other; the next request is looked at when all of the one
 * before is queued.
 *
 * Who may free what: a connection is freed in calls that come from the loop (conn_free), never in
 * those that come from the owner of the server: these mark it (conn_doom) and wake the server at
 * the end of the turn. */
#ifndef HTTP_PRIV_H
#define HTTP_PRIV_H

#include "base/list.h"
#include "http/core/chunked.h"
#include "http/core/date.h"
#include "http/core/head.h"
#include "http/core/range.h"
#include "http/core/reply.h"
#include "http/exchange.h"
#include "http/log.h"
#include "http/server.h"
#include "loop/pool.h"
#include "loop/stream.h"

#include <stdatomic.h>

enum {
    HEAD_ROOM = 1 << 10,   /* heads up to here lie in their exchange */
    SPARES = 32,           /* exchanges kept for the next requests of a server */
    SMALL_BODY = 16 << 10, /* bodies of files up to here are read into the queue with their head */
    /* A connection that an idle timer looks at late by this much is no worse for it, and the timer
     * runs that much less often. */
    TICK_US = 50 * 1000,
    PAGE_MAX = 16 << 10, /* of an error */
    LOG_TEXT_MAX = 255,  /* of what http_log_as says */
};

/* What a connection waits for: the list it stands in. */
enum waits {
    WAITS_FIRST,  /* for its first byte */
    WAITS_IDLE,   /* for the next request */
    WAITS_HEAD,   /* for the rest of a head */
    WAITS_BODY,   /* for the rest of a body */
    WAITS_WRITE,  /* for the client to read */
    WAITS_LINGER, /* for the client to close */
    WAITS_OWNER,  /* for an answer: as long as it takes */
    WAITS_DOOM,   /* freed at the end of the turn */
    WAITS_COUNT,
};

struct conn {
    struct loop_stream stream;
    struct http_server *server; /* borrowed */
    struct tarn_list node;      /* of the server's list `waits` */
    struct tarn_list kick;      /* of the server's, when it is to be looked at this turn */
    struct exchange *current;   /* owned; NULL between requests */
    struct exchange *leaving, *leaving_last; /* owned */
    struct http_scan scan;
    int64_t since_us;                  /* in this list */
    uint64_t mark;                     /* at since_us: bytes sent, or of the body */
    uint64_t told_received, told_sent; /* bytes that are in the server's counters already */
    uint16_t ahead;                    /* answers queued since the queue was empty last */
    uint8_t waits;                     /* enum waits */
    bool is_tls;
    bool is_paused;  /* what the stream was told */
    bool is_closing; /* no more requests: it ends when the last answer has left */
    bool is_working; /* in conn_work: who answers need not wake it */
    bool has_asked;  /* at least one request has come */
    bool is_anew;    /* what it waits for has begun again: a full time to wait */
};

enum body_state {
    BODY_UNREAD,  /* nobody has asked yet */
    BODY_READING, /* for done */
    BODY_DROPPED, /* read and thrown away */
    BODY_OVER,    /* all of it was taken, or there is none */
};

enum answer_state {
    ANSWER_NONE,
    ANSWER_STREAM, /* begun; more follows */
    ANSWER_DONE,   /* all of it is queued */
};

struct exchange {
    struct http_exchange pub; /* first: the owner's pointer is ours */
    struct conn *conn;        /* borrowed */
    struct exchange *next;    /* of leaving */
    uint8_t *head;            /* head_room, or owned when longer */
    int64_t begun_us;
    uint64_t from, to;        /* of the answer: positions in what the stream sends */
    size_t mark;              /* where its head begins in the stream's buffer */
    struct tarn_list holding; /* of the server's, while held > 0 */
    uint64_t held; /* bytes of a long answer that were in memory when all of it was queued; 0 again
                      when they have left */

    uint8_t answer; /* enum answer_state */
    uint8_t body_state;
    bool
        is_internal; /* an answer of our own to what is no request: the owner knows nothing of it */
    bool is_silent;  /* no bytes of the body are sent */
    bool is_chunked;
    bool is_guarded;    /* runs of a file stand in the queue */
    bool keeps;         /* the connection, after this answer */
    bool is_body_there; /* bytes of the body came with the head: no 100 is needed */
    bool is_continued;  /* 100 was sent */
    uint16_t status;

    struct http_body body;
    struct tarn_out content; /* of the request; owned */
    size_t content_limit;
    void (*content_done)(struct http_exchange *x, struct tarn_bytes body);
    void (*on_drain)(struct http_exchange *x);

    struct loop_guard guard;
    struct sys_file *file; /* counted; NULL: none */
    bool (*is_same)(void *arg, struct sys_file *file);
    void *is_same_arg;
    int64_t asked_us; /* is_same said yes in the turn of this time, and nothing has left since */

    char *log_peer, *log_user, *log_target; /* owned; NULL: as they are */

    /* from here on not cleared for a new one */
    struct http_request req;
    uint8_t head_room[HEAD_ROOM];
    struct http_field fields[]; /* as many as the limits allow */
};

struct listener {
    struct loop_watch watch; /* fd is owned */
    struct http_server *server;
    struct crypt_tls *tls; /* counted; NULL: plain */
};

/* Counters are written by the loop's thread alone, and read by any. */
struct counts {
    atomic_uint_fast64_t connections, idle, accepted, tls_failed, requests[6], received, sent,
        refused, timed_out[4], evicted, cut, log_dropped;
};

struct log_writer;
struct http_share;

struct http_server {
    struct loop *loop; /* borrowed */
    const struct http_ops *ops;
    void *arg;
    struct http_limits limits;
    struct http_settings set; /* with the defaults filled in */
    char *server_field;       /* owned: "Server: name\r\n", or NULL */
    struct log_writer *log;   /* owned: of the access log; NULL: none */

    struct listener listeners[HTTP_LISTENERS_MAX];
    size_t n_listeners;
    bool is_accepting; /* the listeners are watched */
    int64_t accept_again_us;
    struct http_share *share; /* of all that listen on these sockets; NULL: we alone */
    struct tarn_list sharing; /* of its members; under its lock, as is_look_out */
    struct loop_msg look;
    bool is_look_out; /* look has been posted */

    struct tarn_list lists[WAITS_COUNT];
    struct tarn_list kicked;
    struct tarn_list holding; /* exchanges whose long answers wait in memory, the oldest first */
    uint64_t held;
    size_t n_conns;
    struct loop_idle idle;
    struct loop_timer timer;
    int64_t timer_at_us; /* INT64_MAX: not set */
    int64_t ticked_us;

    struct exchange *spare; /* owned; linked by next */
    size_t n_spare;

    int64_t date_until_us; /* of the loop's clock: date is right until then */
    int64_t wall_s;
    char date[HTTP_DATE_LEN + 1];

    bool is_draining;
    int64_t drain_until_us;
    void (*drained)(void *arg);
    void *drained_arg;
    int64_t troubled_us[2]; /* when each subject was told of last */

    struct counts n;
};

enum trouble { TROUBLE_ACCEPT, TROUBLE_LOG };

static inline void count(atomic_uint_fast64_t *n, uint64_t by)
{
    uint64_t now = atomic_load_explicit(n, memory_order_relaxed);
    atomic_store_explicit(n, now + by, memory_order_relaxed);
}

static inline struct exchange *exchange_of(struct http_exchange *x)
{
    return (struct exchange *)(void *)x;
}

/* server.c */
void server_trouble(struct http_server *s, enum trouble subject, const struct tarn_err *err);
const char *server_date(struct http_server *s);
int64_t server_wall_s(struct http_server *s);
void server_wake_at(struct http_server *s, int64_t at_us);
void server_conn_gone(struct http_server *s);
void server_accept(struct http_server *s); /* who waits */
/* All of this answer, from memory, is queued, and it is long: cuts others when it is too much. */
void server_hold(struct http_server *s, struct exchange *x);
void server_let_go(struct http_server *s, struct exchange *x);

/* share.c: before the loops run. */
bool share_join(struct http_server *s, struct http_server *with, struct tarn_err *err) TARN_MUST;
/* Tells the others that somebody waits whom we cannot take now. */
void share_pass_on(struct http_server *s);
void share_leave(struct http_server *s);

/* conn.c */
bool conn_new(struct http_server *s, int fd, const struct sys_addr *peer, struct crypt_tls *tls,
              struct tarn_err *err) TARN_MUST;
void conn_free(struct conn *c);
void conn_doom(struct conn *c); /* freed at the end of the turn */
void conn_kick(struct conn *c); /* looked at at the end of the turn */
/* Brings the counters of the server up to date: now and then while a long answer leaves. */
void conn_count(struct conn *c);
void conn_look(struct conn *c);
void conn_late(struct conn *c); /* it has waited too long */
int64_t conn_patience_us(const struct http_server *s, enum waits waits);

/* exchange.c */
/* The one the next head is read into; NULL: no memory. */
struct exchange *exchange_spare(struct http_server *s);
/* The spare one becomes a connection's current one: its head, of len bytes at head, is kept. */
struct exchange *exchange_begin(struct conn *c, const uint8_t *head, size_t len);
void exchange_over(struct exchange *x); /* tells the owner, and frees it */
/* All of its answer is queued, and short and in memory: it counts as sent, and nothing of the
 * exchange is needed until it has left. */
bool exchange_is_short(const struct exchange *x);

/* answer.c */
struct tarn_out *answer_begin(struct exchange *x, unsigned status);
/* False: one cannot be sent. */
bool answer_fields(struct tarn_out *o, const struct http_answer *a) TARN_MUST;
/* The end of the head: length, framing, and whether the connection is kept. */
void answer_end_head(struct exchange *x, struct tarn_out *o, bool is_len_known, uint64_t len,
                     bool closes);
void answer_done(struct exchange *x); /* all of it is queued */
/* What is written of this answer goes; an error takes its place. */
void answer_instead(struct exchange *x, struct tarn_out *o, unsigned status, const char *detail);
void answer_error(struct exchange *x, unsigned status, const char *detail,
                  const struct http_extra *extras, size_t n_extras, bool closes);
/* The fields of this answer could not be sent: our mistake. */
void answer_broken(struct exchange *x, struct tarn_out *o);

/* body.c */
/* Take of the body what is there. */
void body_take(struct exchange *x, struct tarn_cur *in);
/* Is more of it to be received? */
bool body_wants(const struct exchange *x);
/* Is what was not read short enough to be read and dropped? */
bool body_can_be_dropped(const struct exchange *x);

/* pages.c: is_json: whatever Accept says. */
void page_error(const struct http_request *req, bool is_json, unsigned status, const char *detail,
                struct tarn_out *page, const char **type);

/* log.c */
struct log_writer *log_writer_new(struct http_server *s, struct http_log *log, struct tarn_err *err)
    TARN_MUST;
void log_writer_free(struct log_writer *w); /* writes what is left; accepts NULL */
void log_writer_add(struct log_writer *w, const struct exchange *x, uint64_t sent);

#endif
