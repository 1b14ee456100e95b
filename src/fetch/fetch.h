/* fetch: URLs to bytes: libcurl's multi interface driven by our loop.
 *
 * One struct fetcher a loop. A request is the caller's storage until its done() was called or
 * fetch_cancel. HTTP and HTTPS only, redirects at most FETCH_REDIRECTS and never from a public
 * address to a local one, certificates verified, environment proxies obeyed. Errors name the host,
 * never the whole URL: it may hold a passkey. Where libcurl is not built in, fetcher_new refuses
 * with a sentence.
 *
 * Two ways: the whole body, unpacked, never longer than the limit given; or (on_part) a body of any
 * length in parts, as it came, with back-pressure: who does not take all of a part is asked again
 * after fetch_resume, and meanwhile nothing is read. Such a request may ask for a range; it speaks
 * HTTP/1.1, so that a pause holds the sender back, and connections are kept and used again. */
#ifndef FETCH_FETCH_H
#define FETCH_FETCH_H

#include "base/out.h"
#include "fetch/head.h"
#include "loop/loop.h"

enum {
    FETCH_REDIRECTS = 5, /* libtorrent and the discovery digest */
    FETCH_AT_ONCE = 50,  /* transfers at a time; more wait in line */
    FETCH_CONNECT_MS = 10000,
};
#define FETCH_STOP SIZE_MAX

struct fetcher;
struct fetch_transfer;

struct fetcher *fetcher_new(struct loop *l, const char *user_agent, struct tarn_err *err) TARN_MUST;
void fetcher_free(struct fetcher *f); /* cancels what is left; accepts NULL */

struct fetch {
    size_t max_body;    /* in: bytes; a longer answer fails. With on_part: of an error's answer */
    int64_t timeout_ms; /* in: for all of it; 0: no limit */
    int64_t stall_ms;   /* in: as long nothing may come while it is not paused; 0: no limit */
    void (*done)(struct fetch *f);

    /* in, for a body in parts; NULL: all of it goes to `body`. Both may cancel and start others,
     * not free this one. */
    /* The part's bytes that were taken; fewer: paused until fetch_resume. FETCH_STOP: it ends now,
     * with the `err` that was set here. Only of answers with status 200 or 206. */
    size_t (*on_part)(struct fetch *f, struct tarn_bytes part);
    /* Before the first part: status and head are set. False: it ends, with the `err` set here.
     * Not called for a body of no bytes. May be NULL. */
    bool (*on_head)(struct fetch *f);
    bool has_range; /* ask for `len` bytes from `from` on */
    uint64_t from, len;
    bool never_local;    /* not even the first address may be a local one: the URL came from a
                            public server's redirect */
    bool no_local_query; /* a URL with a query must not lead to a local address: strangers chose it
                          */

    struct tarn_out body;   /* out, also of an error's answer; released by the owner */
    int status;             /* out: HTTP status, 0 when there was no answer */
    struct fetch_head head; /* out: of the last answer */
    bool ok; /* out: 200 (with a range also 206) and the whole body, as long as it said */
    struct tarn_err err; /* out: when not ok */
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
/* What was not taken is offered again at the end of the turn. Harmless when not paused. */
void fetch_resume(struct fetch *f);

/* Within on_head and on_part: the URL that answered, after redirects, and whether any server on the
 * way was at a public address. */
const char *fetch_url(const struct fetch *f);
bool fetch_met_public(const struct fetch *f);

#endif
