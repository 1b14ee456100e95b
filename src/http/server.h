/* http/server: an HTTP/1.1 server on one loop: listening sockets, connections, limits, timeouts.
 *
 * The owner is asked about each request (exchange.h says how it is answered) and told of nothing
 * else. A server and all that belongs to it live on the thread of its loop; several loops have a
 * server each and share the listening sockets (http_server_share).
 *
 * On one connection requests are answered one after the other, in the order they came. What
 * answers at once is gathered: sixteen requests that arrive together leave as one write. While a
 * connection is idle it keeps its own struct and nothing else.
 *
 * Times are ms, lengths bytes. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "http/core/head.h"
#include "loop/loop.h"
#include "sys/net.h"

struct crypt_tls;
struct http_exchange;
struct http_log;
struct http_server;

struct http_ops {
    /* A request's head is there. Answer now, or keep x and answer later, from the loop's thread. */
    void (*on_request)(void *arg, struct http_exchange *x);
    /* The answer has left, or the client has gone, or the server ends: x goes now. Called once for
     * each on_request, never from inside one of the owner's calls. May be NULL. */
    void (*on_over)(void *arg, struct http_exchange *x);
    /* Something that whoever runs the server should know: out of descriptors, the log cannot be
     * written. At most once in ten seconds for each subject. May be NULL. */
    void (*on_trouble)(void *arg, const struct tarn_err *err);
};

struct http_settings {
    const struct http_ops *ops; /* borrowed, as arg */
    void *arg;
    struct http_log *log; /* counted; NULL: no access log */
    const char *name;     /* the Server field; copied; NULL: none is sent */
    bool has_json_errors; /* for programs: http_answer_error, and refusals of our own, are JSON for
                             all, not only for who asks for it */
    /* Limits; 0 anywhere: the default of the same name below. */
    struct http_limits head; /* all zero: http_limits_default */
    uint32_t
        max_connections; /* when all are taken (or all descriptors) the next one takes the
                            place of one that is idle, or whose head comes slowly; else waits */
    uint32_t max_ahead;  /* answers that wait unsent on a connection; then reading stops */
    uint32_t max_ahead_bytes;
    uint64_t max_held; /* of long answers from memory that wait for their clients to read: of more,
                          those that wait the longest are cut */
    uint32_t
        max_unread;  /* of a body nobody asked for: read and dropped; more: the connection ends */
    int64_t head_ms; /* first byte to the end of the head: 408 */
    int64_t slow_head_ms; /* accepted, or first byte, to the end of the head, when all places are
                             taken: cut for another one */
    int64_t body_ms;      /* so often a body must have grown by min_body_rate * body_ms: else 408 */
    uint32_t min_body_rate; /* bytes a second */
    int64_t write_ms;       /* nothing taken by the client: closed */
    int64_t idle_ms;        /* between requests: closed */
    int64_t linger_ms;      /* after the last answer: for the client to read it and close */
    int64_t drain_ms;       /* http_server_drain: the longest that answers may take */
    int64_t drain_idle_ms;  /* ... and how long a kept connection may bring one more request, so
                               that none meets a connection that was closed under it */
};

enum {
    /* The digest of the HTTP documents, section 8. */
    HTTP_CONNECTIONS_DEFAULT = 10000,
    HTTP_AHEAD_DEFAULT = 16,
    HTTP_AHEAD_BYTES_DEFAULT = 64 << 10,
    HTTP_UNREAD_DEFAULT = 256 << 10,
    HTTP_HELD_DEFAULT = 256 << 20, /* ours: 32 of the longest, on each loop */
    HTTP_HEAD_MS = 10 * 1000,
    HTTP_SLOW_HEAD_MS = 1000, /* ours: a head comes in one packet, or a few round trips */
    HTTP_BODY_MS = 30 * 1000,
    HTTP_BODY_RATE = 1 << 10,
    HTTP_WRITE_MS = 60 * 1000,
    HTTP_IDLE_MS = 75 * 1000,
    HTTP_LINGER_MS = 2 * 1000,
    HTTP_DRAIN_MS = 30 * 1000,
    HTTP_DRAIN_IDLE_MS = 1000,
    HTTP_LISTENERS_MAX = 16,
};

struct http_server *http_server_new(struct loop *l, const struct http_settings *set,
                                    struct tarn_err *err) TARN_MUST;
/* Connections are cut, exchanges are over (on_over is called). Not from inside an op. Accepts NULL.
 */
void http_server_free(struct http_server *s);

/* Listen at a TCP address. tls: counted; NULL: plain. Port 0 lets the system choose. */
bool http_server_listen(struct http_server *s, const struct sys_addr *at, struct crypt_tls *tls,
                        struct tarn_err *err) TARN_MUST;
/* Listen on a Unix socket at path, which only we (mode 0600) or our group too (0660) may connect
 * to. A socket that nobody listens on any more is replaced. */
bool http_server_listen_unix(struct http_server *s, const char *path, unsigned mode,
                             struct tarn_err *err) TARN_MUST;
/* A socket that listens already, TCP or Unix (socket activation). Takes fd over, also on failure.
 */
bool http_server_adopt(struct http_server *s, int fd, struct crypt_tls *tls, struct tarn_err *err)
    TARN_MUST;
/* Listen on all that `with` listens on: before the loops run, and both listen on nothing more after
 * that. The one that has been idle the longest takes the next connection, or another one when it is
 * full; the rest are not woken (where the system can: SYS_EXCLUSIVE). */
bool http_server_share(struct http_server *s, struct http_server *with, struct tarn_err *err)
    TARN_MUST;
/* A connection that was accepted elsewhere. Takes fd over, also on failure. */
bool http_server_take(struct http_server *s, int fd, const struct sys_addr *peer,
                      struct crypt_tls *tls, struct tarn_err *err) TARN_MUST;

/* Where the i-th listening socket is; false: there are fewer, or it has no such address (Unix). */
bool http_server_addr(const struct http_server *s, size_t i, struct sys_addr *at) TARN_MUST;

/* From now on new connections get this one (a new certificate); on listeners that had one. */
void http_server_set_tls(struct http_server *s, struct crypt_tls *tls);

/* Take no more connections (those that wait already are taken), say `close` with each answer, close
 * kept connections. done(arg) is called later from the loop, when none is left or drain_ms is over:
 * then free the server. */
void http_server_drain(struct http_server *s, void (*done)(void *arg), void *arg);

/* Since the server began, but for the first two. Any thread may read them. */
struct http_counters {
    uint64_t connections; /* now */
    uint64_t idle;        /* of those: waiting for a request */
    uint64_t accepted;
    uint64_t tls_failed;     /* connections that ended in their handshake */
    uint64_t requests[6];    /* answered, by class of status: [2] is 2xx; [0]: cut, no answer */
    uint64_t received, sent; /* bytes, heads and TLS not apart */
    uint64_t refused;        /* requests that the limits or the syntax refused */
    uint64_t timed_out[4];   /* by enum http_timeout */
    uint64_t evicted;        /* connections closed for want of descriptors, places or memory */
    uint64_t cut;            /* answers cut because their file had changed or failed */
    uint64_t log_dropped;    /* lines of the access log that found no room */
};
enum http_timeout { HTTP_LATE_HEAD, HTTP_LATE_BODY, HTTP_LATE_WRITE, HTTP_LATE_IDLE };
void http_server_counters(const struct http_server *s, struct http_counters *counters);

#endif
