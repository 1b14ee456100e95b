/* fetch/call: one request to a node on its Unix socket, and its answer as it comes. Blocks; any
 * thread. No proxy, no redirects, HTTP/1.1 without TLS. */
#ifndef FETCH_CALL_H
#define FETCH_CALL_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    FETCH_CALL_CONNECT_MS = 5000,
    FETCH_CALL_SILENCE_S = 60,        /* silence_s when 0 */
    FETCH_CALL_TARGET_MAX = 64 << 10, /* bytes: a path of 4095 with every byte escaped fits */
};

struct fetch_call {
    const char *socket; /* path */
    const char *agent;
    const char *method, *target; /* "GET", "/v1/status": escaped already */
    struct tarn_bytes body;      /* JSON; len 0: none */
    unsigned silence_s;          /* the node says nothing for so long: failed */
    /* A part of the body. status is set. False stops, and that is success. */
    bool (*on_bytes)(void *arg, const struct fetch_call *c, struct tarn_bytes part);
    /* Asked about once a second, and more often while something comes: false ends it with
     * TARN_E_CANCELED. NULL: as true. */
    bool (*goes_on)(void *arg);
    void *arg;
    int status;       /* out: of HTTP */
    bool is_problem;  /* out: application/problem+json */
    bool has_stopped; /* out: on_bytes said so */
};

/* TARN_E_DAEMON: nobody answers at that socket, or it is no node's. What the answer says, a 404 for
 * instance, is in status: that is success here. */
bool fetch_call(struct fetch_call *c, struct tarn_err *err) TARN_MUST;

#endif
