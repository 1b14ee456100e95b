/* tarn/session: many torrents at once: fetch and seed them from one port, under common limits.
 *
 * A session is a loop of its own: it does its work inside tarn_session_step, which the caller calls
 * again and again from one thread. Nothing is called back from anywhere else. Disk and hashing run
 * on worker threads; no call blocks on a disk or a peer but tarn_session_close and
 * tarn_item_remove, which wait for work on disk that runs. All calls of one session belong to one
 * thread; several sessions may run in several threads.
 *
 * An item is one torrent in a session: being fetched, seeded, or paused. Everything that a peer
 * sends is checked against the torrent's hashes before it is written; unfinished files are called
 * <name>.part; nothing is written outside the item's folder.
 *
 * Memory: payload that has arrived and is not yet on disk is bounded by `memory`, over all items;
 * what is kept about torrents and peers (metadata, piece hashes, who has what) by `metadata`. An
 * idle peer costs less than 2 KiB, an idle torrent a few, and neither costs time.
 *
 * A peer that has gone may raise SIGPIPE in the calling thread: programs ignore that signal, once,
 * at their start. libtarn changes no signals of its own accord. */
#ifndef TARN_SESSION_H
#define TARN_SESSION_H

#include <tarn/torrent.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tarn_session;
struct tarn_item;

enum tarn_transfer_state {
    TARN_GETTING_METADATA, /* a magnet link: asking peers what it is */
    TARN_PREPARING,        /* making room on disk */
    TARN_CHECKING,         /* hashing what is there */
    TARN_FETCHING,
    TARN_SEEDING,
    TARN_FAILED, /* cannot go on: tarn_item_error says why */
};

struct tarn_transfer_status {
    enum tarn_transfer_state state;
    bool is_paused;
    uint64_t done, total; /* verified bytes of what is wanted; while checking: bytes checked */
    uint64_t downloaded, uploaded;           /* payload bytes of this session */
    uint64_t ever_downloaded, ever_uploaded; /* of all sessions, as far as state was kept */
    uint64_t wasted;             /* of downloaded: duplicates and data that failed its hash */
    uint64_t rate_down, rate_up; /* bytes a second, over the last few seconds */
    uint64_t uplink;             /* upload limit by the line's queue, bytes a second; 0: none */
    uint32_t uplink_delay_us;    /* that queue as last seen, in time */
    uint32_t pieces_failed;      /* pieces that failed their hash */
    uint32_t peers;              /* connected now */
    uint32_t seeds;              /* of them complete */
    uint32_t known;              /* addresses that may be connected to */
    const char *tracker_error;   /* of the last announce, or NULL */
};

enum tarn_event {
    TARN_EVENT_LISTENING, /* text: the address and port */
    TARN_EVENT_METADATA,  /* the magnet's torrent is known; text: its name */
    TARN_EVENT_TRACKER,   /* text: what a tracker said or why it failed */
    TARN_EVENT_PEER,      /* text: a peer that was refused or banned, and why */
    TARN_EVENT_COMPLETE,  /* everything wanted is there and verified; text: its name */
    TARN_EVENT_STATE,     /* text: why saved state is not used or not kept */
    TARN_EVENT_FAILED,    /* the item cannot go on; text: why */
};

/* How files are sent and written. The choice changes what it costs, not what arrives. */
enum tarn_io {
    TARN_IO_AUTO,  /* what costs least on this machine */
    TARN_IO_MMAP,  /* through mappings of the files: they count as memory of the process */
    TARN_IO_PREAD, /* by reading and writing alone */
};

struct tarn_session_settings {
    const char *const *listen; /* "addr:port"; none: 0.0.0.0 and [::], port 6881 to 6889 */
    size_t n_listen;
    uint64_t memory;             /* bytes of payload buffers; 0: 64 MiB */
    uint64_t metadata;           /* bytes of what is kept about torrents and peers; 0: 256 MiB */
    uint64_t rate_down, rate_up; /* bytes a second over all items; 0: no limit */
    /* Else upload slows down when the home line's queue grows, so that others in the house are not
     * kept waiting. It is seen in the round trips of connections (on Linux alone), and costs
     * nothing where no queue grows. */
    bool uplink_off;
    enum tarn_io io;
    uint32_t max_requests; /* blocks asked of one peer at a time; 0: by its rate, to 2048 */
    uint32_t max_peers;    /* connections over all items; 0: 500 */
    uint32_t slots;        /* peers that are sent to at once; 0: by their rates */
    unsigned threads;      /* for disk and hashing; 0: as many as processors */
    bool no_trackers;
    bool no_web_seeds; /* servers that torrents and magnet links name are not asked for content */
    /* Folder where is kept what is verified and what a magnet link led to, so that the next session
     * need not check or ask again; made when missing. NULL: nothing is kept, and everything is
     * checked. One that cannot be used is an event, not a failure. */
    const char *state;
    /* item NULL: of the session. May be NULL. Comes from tarn_session_step, and for the session
     * itself from tarn_session_open. It may call anything here but tarn_session_step and
     * tarn_session_close; also remove the item. Of many TARN_EVENT_PEER at once some are left out.
     */
    void (*on_event)(void *arg, struct tarn_item *item, enum tarn_event e, const char *text);
    void *arg;
};

/* Listens at once. TARN_E_USAGE when an address makes no sense or is taken. */
TARN_API struct tarn_session *tarn_session_open(const struct tarn_session_settings *set,
                                                struct tarn_err *err);
/* Drops all connections, removes all items, waits for work on disk. Accepts NULL. */
TARN_API void tarn_session_close(struct tarn_session *s);

/* Work: what is there to do now, or wait for something at most max_wait_ms (negative: for ever) and
 * do that. False when the session cannot go on. */
TARN_API bool tarn_session_step(struct tarn_session *s, int max_wait_ms, struct tarn_err *err);

/* Before closing: tell trackers that we stop. Step on until tarn_session_has_left, 5 s at most. */
TARN_API void tarn_session_leave(struct tarn_session *s);
TARN_API bool tarn_session_has_left(const struct tarn_session *s);

/* From now on; 0: no limit. */
TARN_API void tarn_session_set_rates(struct tarn_session *s, uint64_t rate_down, uint64_t rate_up);

/* Zeroed is the default of each. Nothing of it is needed after the call. */
struct tarn_item_settings {
    const struct tarn_torrent *torrent; /* what to fetch or seed */
    const char *path; /* fetch: the folder to write below (made if missing); seed: the payload or
                         the folder that holds it */
    bool seed;        /* serve what is there; write nothing */
    bool trust;       /* seed: do not check the data first */
    bool sequential;  /* fetch from the beginning to the end */
    bool paused;      /* until tarn_item_resume */
    bool no_trackers;
    bool no_web_seeds;
    const char *const *only; /* fetch: globs over paths; none: everything */
    size_t n_only;
    const char *const *peers; /* "host:port": connected to now, and again after failures */
    size_t n_peers;
    uint64_t rate_down, rate_up; /* of this item, beside the session's; 0: no limit */
    uint32_t max_peers;          /* of this item; 0: no limit but the session's */
    void *arg;                   /* the caller's own: tarn_item_arg */
};

/* Add and start. NULL: TARN_E_FAILED when it is here already, TARN_E_NOT_FOUND when `only` matches
 * nothing, TARN_E_POLICY when it does not fit the session's memory for metadata. The item belongs
 * to the session. */
TARN_API struct tarn_item *tarn_session_add(struct tarn_session *s,
                                            const struct tarn_item_settings *set,
                                            struct tarn_err *err);
/* Remove it; files stay as they are, and so does what was saved of its state: what came since is
 * checked when it is added again. Waits for what is being read or written of it just now. */
TARN_API void tarn_item_remove(struct tarn_item *i);
/* It goes for good: its saved state goes with it when it is removed (or the session closed). */
TARN_API void tarn_item_forget(struct tarn_item *i);
/* Save its state now, if there is anything new to say; step on while tarn_item_is_saving. Saved
 * anyway: every 30 s while it changes, at completion, at a pause and by tarn_session_leave. Nothing
 * happens where no state is kept. */
TARN_API void tarn_item_save(struct tarn_item *i);
TARN_API bool tarn_item_is_saving(const struct tarn_item *i);
TARN_API void *tarn_item_arg(const struct tarn_item *i);

/* No connections, no announces; resume goes on where it was. */
TARN_API void tarn_item_pause(struct tarn_item *i);
TARN_API void tarn_item_resume(struct tarn_item *i);
TARN_API bool tarn_item_set_limits(struct tarn_item *i, uint64_t rate_down, uint64_t rate_up,
                                   uint32_t max_peers, struct tarn_err *err);
/* The files' priorities, one each as tarn_torrent_file numbers them: 0 not wanted, 1 to 7, 4 is
 * usual. Known once the metadata are. What was fetched of an unwanted file stays. */
TARN_API bool tarn_item_set_priorities(struct tarn_item *i, const uint8_t *priorities, size_t n,
                                       struct tarn_err *err);
TARN_API void tarn_item_set_sequential(struct tarn_item *i, bool on);
/* One more to connect to: "1.2.3.4:6881". */
TARN_API bool tarn_item_add_peer(struct tarn_item *i, const char *addr_port, struct tarn_err *err);

TARN_API void tarn_item_status(const struct tarn_item *i, struct tarn_transfer_status *out);
/* Why it is TARN_FAILED. */
TARN_API void tarn_item_error(const struct tarn_item *i, struct tarn_err *out);
/* The name, or NULL while it is not known. */
TARN_API const char *tarn_item_name(const struct tarn_item *i);
/* Write its .torrent file, when the metadata are known: for magnet links. */
TARN_API bool tarn_item_save_torrent(const struct tarn_item *i, const char *path,
                                     struct tarn_err *err);

/* One connection. Strings live until the call returns. */
struct tarn_peer {
    const char *address; /* with port; of a web seed its URL's host */
    const char *agent;   /* what it calls itself; "" when it does not say */
    bool is_web_seed;    /* a web server that a torrent or a magnet link names */
    uint64_t downloaded, uploaded;
    uint32_t pieces;       /* that it has */
    uint32_t requests_out; /* ours that it has not answered */
    uint32_t requests_in;  /* its own that wait here */
    bool is_incoming, is_seed, is_snubbed, on_parole;
    bool am_interested, am_choking, is_interested, is_choking;
};
TARN_API void tarn_item_peers(const struct tarn_item *i,
                              void (*each)(void *arg, const struct tarn_peer *p), void *arg);

/* Counters of a session, from its beginning unless said otherwise. */
struct tarn_session_status {
    uint32_t items, peers;               /* now */
    uint32_t greeting;                   /* now: incoming ones that have not said what they want */
    uint32_t interested, unchoked;       /* now: peers interested in us; those we send to */
    uint64_t accepted, refused, dialled; /* connections */
    uint64_t banned;                     /* peers */
    uint64_t downloaded, uploaded, wasted, corrupt; /* payload bytes */
    uint64_t pieces_passed, pieces_failed;
    uint64_t memory, memory_used, memory_peak; /* payload buffers */
    uint64_t metadata, metadata_used;
    uint64_t uplink;          /* upload limit by the line's queue, bytes a second; 0: none now */
    uint32_t uplink_delay_us; /* that queue as last seen, in time */
};
TARN_API void tarn_session_status(const struct tarn_session *s, struct tarn_session_status *out);

#ifdef __cplusplus
}
#endif
#endif
