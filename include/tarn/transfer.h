/* tarn/transfer: fetch one torrent's data from peers, or seed it: the short way for programs that
 * do one thing. More of both, and at once: tarn/session.h.
 *
 * One call is one session in the calling thread: it listens, connects, and returns when the work is
 * done, when the caller's function says stop, or when it cannot go on. Disk and hashing run on
 * worker threads. tarn_transfer_stop may be called from any thread and from a signal handler.
 *
 * A peer that has gone may raise SIGPIPE in the calling thread: programs ignore that signal, once,
 * at their start. libtarn changes no signals of its own accord.
 *
 * Everything a peer sends is checked against the torrent's hashes before it is written under a
 * final name; unfinished files are called <name>.part. What is there already is checked and kept,
 * so a fetch that was stopped goes on where it was; with a `state` folder, files that have not
 * changed since are not even read. Nothing is written outside `path` and `state`. */
#ifndef TARN_TRANSFER_H
#define TARN_TRANSFER_H

#include <tarn/session.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tarn_transfer {
    const struct tarn_torrent *torrent; /* what to fetch or seed */
    const char *path; /* fetch: the folder to write below (made if missing); seed: the payload or
                         the folder that holds it */
    const char *const *listen; /* "addr:port"; none: 0.0.0.0 and [::], port 6881 to 6889 */
    size_t n_listen;
    const char *const *peers; /* "host:port" */
    size_t n_peers;
    const char *const *only; /* fetch: globs over paths; none: everything */
    size_t n_only;
    bool no_trackers;
    bool no_web_seeds;         /* web servers that the torrent names are not asked for content */
    bool trust;                /* seed: do not check the data first */
    bool stay;                 /* fetch: seed after completion until stopped */
    uint32_t seed_seconds;     /* fetch: seed that long after completion */
    uint32_t patience_seconds; /* fetch: give up after so long with nobody to ask; 0: 60 */
    bool sequential;
    uint64_t memory;             /* bytes of payload buffers; 0: 64 MiB */
    uint64_t metadata;           /* bytes of what is kept of torrents and peers; 0: 256 MiB */
    uint64_t rate_down, rate_up; /* bytes a second; 0: no limit */
    /* Else upload slows down when the home line's queue grows, so that others in the house are not
     * kept waiting. It is seen in the round trips of connections (on Linux alone), and costs
     * nothing where no queue grows. */
    bool uplink_off;
    enum tarn_io io;
    uint32_t max_requests; /* blocks asked of one peer at a time; 0: by its rate, to 2048 */
    uint32_t max_peers;    /* connections; 0: 500 */
    uint32_t slots;        /* peers that are sent to at once; 0: by their rates */
    /* Folder where is kept what is verified and what a magnet link led to, so that the next call
     * need not check or ask again; made when missing. NULL: nothing is kept, and everything is
     * checked. One that cannot be used is an event, not a failure. */
    const char *state;
    const char *save_torrent; /* fetch of a magnet link: write the .torrent there too, or NULL */
    /* About five times a second, once a second while it seeds and nobody asks for anything. False:
     * stop. May be NULL. */
    bool (*on_status)(void *arg, const struct tarn_transfer_status *s);
    void (*on_event)(void *arg, enum tarn_event e, const char *text); /* may be NULL */
    void *arg;
};

/* Fetch: true when everything wanted is there (and was seeded as asked). TARN_E_NETWORK when there
 * is nobody to ask (no tracker answers, no peer given can be reached) for patience_seconds;
 * TARN_E_CANCELED when stopped before completion. */
TARN_API bool tarn_fetch(const struct tarn_transfer *t, struct tarn_err *err);

/* Seed until stopped: true then. TARN_E_INTEGRITY when the data does not match the torrent. */
TARN_API bool tarn_seed(const struct tarn_transfer *t, struct tarn_err *err);

/* For programs, before a transfer with many peers: raise the system's limit on open files and
 * sockets of this process to `want`, as far as it may be. libtarn does not do this of its own
 * accord. Returns the limit as it is now. */
TARN_API uint64_t tarn_raise_open_files(uint64_t want);

/* Stop all transfers of this process, within a second: asynchronous-signal-safe. */
TARN_API void tarn_transfer_stop(void);

#ifdef __cplusplus
}
#endif
#endif
