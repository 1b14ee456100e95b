/* fetch: URLs to bytes: libcurl's multi interface driven by our loop.
 *
 * One struct fetcher a loop. A request is the caller's storage until its done() was called or
 * fetch_cancel. HTTP and HTTPS only, redirects at most FETCH_REDIRECTS and never from a public
 * address to a local one, certificates verified, environment proxies obeyed, the body (unpacked)
 * never longer than the limit given. Errors name the host, never the whole URL: it may hold a
 * passkey. Where libcurl is not built in, fetcher_new refuses with a sentence. */
#ifndef FETCH_FETCH_H
#define FETCH_FETCH_H

#include "base/out.h"
#include "loop/loop.h"

enum {
    FETCH_REDIRECTS = 5, /* libtorrent and the discovery digest */
    FETCH_AT_ONCE = 50,  /* transfers at a time; more wait in line */
    FETCH_CONNECT_MS = 10000,
};

struct fetcher;
struct fetch_transfer;

struct fetcher *fetcher_new(struct loop *l, const char *user_agent, struct tarn_err *err) TARN_MUST;
void fetcher_free(struct fetcher *f); /* cancels what is left; accepts NULL */

struct fetch {
    size_t max_body;    /* in: bytes; a longer answer fails */
    int64_t timeout_ms; /* in: for all of it */
    void (*done)(struct fetch *f);
    struct tarn_out body; /* out, also of an error's answer; released by the owner */
    int status;           /* out: HTTP status, 0 when there was no answer */
    bool ok;              /* out: 200 and the whole body */
    struct tarn_err err;  /* out: when not ok */
    /* private */
    struct fetcher *fetcher; /* NULL when not under way */
    struct fetch_transfer *transfer;
    struct tarn_list node;
    struct loop_timer timer;
};

/* GET. done() is always called later, from the loop, also when starting fails; it may free f, start
 * and cancel others. The outs are set anew; a body that is still there is released. */
void fetch_start(struct fetcher *fr, struct fetch *f, const char *url);
void fetch_cancel(struct fetch *f); /* done() is not called; harmless when not running */

#endif
