/* http/exchange: one request and its answer.
 *
 *     static void on_request(void *arg, struct http_exchange *x)
 *     {
 *         if (http_refuse_method(x, HTTP_ALLOW(HTTP_GET) | HTTP_ALLOW(HTTP_HEAD)))
 *             return;
 *         struct http_answer a = { .status = 200, .type = "text/plain" };
 *         http_answer_bytes(x, &a, tarn_bytes_str("hello\n"));
 *     }
 *
 * An exchange lives from on_request until on_over. It is answered exactly once, by one of the
 * http_answer_* functions, at once or later, always on the loop's thread. Each of them takes HEAD,
 * 204 and 304 into account: give what GET would give. They do not fail: what cannot be sent ends
 * the connection, and on_over follows. After an answer x may be touched until on_over.
 *
 * An answer given before the request's body was asked for is right: the rest of the body is read
 * and dropped, or, when it is long, the connection ends after the answer. */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "base/out.h"
#include "http/server.h"
#include "sys/file.h"

struct http_exchange {
    struct http_server *server;         /* borrowed */
    const struct http_request *request; /* borrowed until on_over */
    const struct sys_addr *peer;        /* borrowed until on_over; is_unix: a Unix socket's */
    bool is_tls;
    bool is_answered; /* begun to be */
    void *arg;        /* the owner's, NULL at first */
};

/* A field more in an answer. What is not ours to set or would split the answer (CR, LF) is left out
 * and counts as an internal error: 500 goes out in its place. */
struct http_extra {
    const char *name;
    struct tarn_bytes value;
};

/* The head of an answer. All is borrowed during the call. */
struct http_answer {
    unsigned status;
    const char *type;  /* Content-Type; NULL: none */
    const char *cache; /* Cache-Control; NULL: none */
    const char *vary;  /* NULL: none */
    const char *etag;  /* with its quotes; NULL: none. Conditionals are answered by it: see below */
    const struct http_extra *extras;
    size_t n_extras;
    bool closes; /* end the connection after this */
};

/* A body from memory, copied; at most HTTP_BYTES_MAX (longer ones are streamed). With status 200
 * and an etag, If-Match and If-None-Match are answered by 412 and 304. */
enum { HTTP_BYTES_MAX = 16 << 20 }; /* the longest torrent that a node keeps */
void http_answer_bytes(struct http_exchange *x, const struct http_answer *a,
                       struct tarn_bytes body);

/* A page for people, or JSON (http_problem) for who asks for it: the status, its name, and detail
 * (plain text; NULL: none), "what was asked, what refused, what to try". For statuses from 300.
 * extras as above (Location, Retry-After, Allow). What never becomes an exchange (no request, one
 * that passes a limit or takes too long) is answered in the same shape. */
void http_answer_error(struct http_exchange *x, unsigned status, const char *detail,
                       const struct http_extra *extras, size_t n_extras);

/* How every error is written as JSON (RFC 9457): type, title, status, detail, and the name and exit
 * code of `code`. For answers of HTTP_PROBLEM_TYPE that are made elsewhere. */
#define HTTP_PROBLEM_TYPE "application/problem+json"
void http_problem(struct tarn_out *page, unsigned status, enum tarn_code code, const char *detail);

/* Answer 405 or 501 with Allow when the request's method is not among those (HTTP_ALLOW of head.h),
 * and OPTIONS, when it is among them, with 204 and Allow. True: answered, nothing is left to do. */
bool http_refuse_method(struct http_exchange *x, unsigned allowed);

/* A file, or a part of one that is a representation of its own. GET and HEAD only. Conditionals
 * (304, 412), ranges (206, multipart, 416) and If-Range are answered by its etag and time.
 *
 * is_same is asked before a 304, before the first byte is read, and again before each batch of them
 * leaves, the last one too; it must be quick (an fstat). When it says no before the head has left,
 * the answer is 503 with Retry-After; later the connection is cut, so that nobody takes the body
 * for whole. NULL: the file's size, times and inode are compared with those it had when it was
 * opened (file->at_open). A file that has become shorter, or cannot be read, cuts the connection
 * too. */
struct http_file {
    struct sys_file *file; /* the exchange takes a reference of its own */
    uint64_t off, len;     /* where in it the representation lies */
    /* What lies there, when the caller keeps it in memory (is_same vouches for it too): saves the
     * reading of short ones. Borrowed during the call; NULL: not kept. */
    const uint8_t *bytes;
    const char *etag;   /* strong, with its quotes; NULL: none, and If-Range never fits */
    int64_t modified_s; /* Last-Modified, since 1970; 0: none */
    const char *type;
    const char *cache;
    const char *vary;
    const char *encoding; /* Content-Encoding: a precompressed sibling; NULL: none */
    const struct http_extra *extras;
    size_t n_extras;
    bool (*is_same)(void *arg, struct sys_file *file);
    void *arg; /* lives until on_over */
};
void http_answer_file(struct http_exchange *x, const struct http_file *f);

/* A body whose length is not known: chunked, or until the connection closes for a client of 1.0.
 * http_stream_out is where to write; what was written leaves at the end of the turn. When more than
 * HTTP_STREAM_HIGH waits (http_stream_waits), stop and go on in on_drain. The memory of a client
 * who does not read is bounded by LOOP_STREAM_OUT_MAX, and write_ms ends him. */
enum { HTTP_STREAM_HIGH = 256 << 10 };
struct http_stream {
    /* Less than LOOP_STREAM_LOW waits: write more. From the loop, never from inside a call. May be
     * NULL. */
    void (*on_drain)(struct http_exchange *x);
};
void http_answer_stream(struct http_exchange *x, const struct http_answer *a,
                        const struct http_stream *st);
/* Bytes of the body. For HEAD they go nowhere. Harmless after the client has gone. */
void http_stream_put(struct http_exchange *x, struct tarn_bytes bytes);
size_t http_stream_waits(const struct http_exchange *x); /* bytes not sent yet */
void http_stream_end(struct http_exchange *x);
/* The body cannot be finished: the connection is cut, so that the client can tell. */
void http_stream_cut(struct http_exchange *x);

/* Read the whole of the request's body (a 100 is sent when the client waits for one), then call
 * done from the loop; the body is borrowed until on_over. A body longer than limit is answered by
 * 413, one that comes too slowly by 408, one that is no body by 400, and done is not called. A
 * request without a body: done with an empty one. At most once, before the answer, in on_request or
 * later. */
void http_body_read(struct http_exchange *x, size_t limit,
                    void (*done)(struct http_exchange *x, struct tarn_bytes body));

/* Who is at the other end of a Unix socket; false: not one, or the system cannot tell. */
bool http_peer_user(const struct http_exchange *x, unsigned *uid, unsigned *gid) TARN_MUST;

/* The log says this instead of the peer's address, the target or the user (a proxy in front that is
 * trusted, a token in a query). Cut at 255 bytes. */
void http_log_as(struct http_exchange *x, const char *peer, const char *user, const char *target);

#endif
