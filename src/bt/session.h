/* bt/session: torrents and peers on one loop: listening ports, connections, trackers.
 *
 * A session owns the ports and every connection; a torrent owns its picker, its write-back places
 * and its trackers. An incoming connection finds its torrent by the info-hash of its handshake. A
 * torrent goes through: metadata (only from a magnet link), preparing (room on disk), checking
 * (hashing what is there), then running; preparing and checking are jobs, so other torrents are not
 * held up.
 *
 * All calls belong to the loop's thread. Callbacks come from the loop, never from inside a call,
 * and each may remove its torrent or free the session. */
#ifndef BT_SESSION_H
#define BT_SESSION_H

#include "bt/core/magnet.h"
#include "bt/core/metainfo.h"
#include "bt/resume.h"
#include "fetch/fetch.h"
#include "loop/stream.h"
#include "sys/net.h"

struct bt_session;
struct bt_torrent;

struct bt_session_settings {
    struct loop *loop;       /* borrowed */
    struct fetcher *fetcher; /* borrowed; NULL: no HTTP trackers, no web seeds */
    const struct sys_addr *listen;
    size_t n_listen;
    uint64_t memory;             /* arriving payload of all torrents; 0: STORE_BUDGET_DEFAULT */
    enum sys_file_way io;        /* how files are sent and written */
    uint64_t metadata;           /* what is kept about torrents and peers; 0: 256 MiB */
    uint64_t rate_down, rate_up; /* bytes a second over all peers; 0: no limit */
    bool uplink_off;             /* no upload limit by the line's queue (bt/core/uplink.h) */
    uint32_t max_requests;       /* blocks asked of one peer at a time; 0: by its rate */
    uint32_t max_peers;          /* connections; 0: 500 */
    uint32_t slots;              /* peers that are sent to at once; 0: by their rates */
    const struct bt_resume_ops *resume; /* where state is kept; NULL: none is. Borrowed */
    void *resume_arg;
    const char *agent; /* what we call ourselves to peers: "tarn 0.1.0". Borrowed */
    /* Somebody was refused, a tracker answered: for logs. May be NULL; comes from anywhere, and
     * must call nothing here. */
    void (*on_note)(void *arg, struct bt_torrent *t, const char *text);
    /* A peer came for an info-hash that is not here (of v2 its first 20 bytes). True: it may be
     * added soon; the peer is kept waiting, a minute at most. As on_note; may be NULL. */
    bool (*on_unknown)(void *arg, const uint8_t hash[20]);
    void *arg;
};

struct bt_session *bt_session_new(const struct bt_session_settings *set, struct tarn_err *err)
    TARN_MUST;
void bt_session_free(struct bt_session *s); /* drops connections at once; accepts NULL */
/* The i-th listening address with its true port. */
struct sys_addr bt_session_addr(const struct bt_session *s, size_t i);

enum bt_state {
    BT_METADATA,
    BT_PREPARING,
    BT_CHECKING,
    BT_FETCHING,
    BT_SEEDING,
    BT_STOPPED, /* failed: the error was told */
};

struct bt_stats {
    enum bt_state state;
    uint64_t done, total; /* verified bytes of what is wanted; while checking: bytes checked */
    bool is_paused;
    uint64_t downloaded, uploaded; /* payload bytes */
    uint64_t wasted;  /* of downloaded: what was here already, or nobody had asked for */
    uint64_t corrupt; /* of downloaded: of pieces that failed their hash */
    uint64_t ever_downloaded, ever_uploaded; /* by all runs, as far as state was kept */
    uint64_t rate_down, rate_up;
    /* of the session: the upload limit by the line's queue, bytes a second (0: none now), and how
     * long that queue was when last seen */
    uint64_t uplink_bps;
    uint32_t uplink_delay_us;
    uint32_t pieces_passed, pieces_failed;
    uint32_t peers, seeds;
    uint32_t known;            /* addresses to connect to */
    const char *tracker_error; /* or NULL; valid until the next turn */
};

struct bt_torrent_ops {
    void (*on_metadata)(void *arg, const struct bt_metainfo *m); /* known at last */
    void (*on_complete)(void *arg);                              /* everything wanted is on disk */
    void (*on_failed)(void *arg, const struct tarn_err *err);    /* cannot go on: disk, integrity */
};

struct bt_add {
    struct bt_metainfo *meta; /* borrowed until removed, or NULL; missing layers are filled in */
    const struct bt_magnet *magnet; /* borrowed until removed; used when meta is NULL */
    const char *path; /* seeding: payload or its folder; else the folder to write below */
    bool seed_only;   /* open for reading; missing data is TARN_E_INTEGRITY */
    bool trust;       /* seed_only: take the data as good without reading it */
    bool sequential;
    bool paused; /* until bt_torrent_resume */
    bool no_trackers;
    bool no_web_seeds;
    /* Which files are wanted (index into meta->files); NULL: all. Called once metadata is known. */
    bool (*wants)(void *arg, const struct bt_file *f);
    const char *const *peers; /* host:port, connected to at once and again after failures */
    size_t n_peers;
    const struct bt_torrent_ops *ops;
    void *arg;
};

/* Add and start. NULL when its hash is there already or there is no memory. */
struct bt_torrent *bt_session_add(struct bt_session *s, const struct bt_add *add,
                                  struct tarn_err *err) TARN_MUST;
/* What was saved of it stays as it is after bt_torrent_save; else the next start checks what came
 * since. */
void bt_session_remove(struct bt_session *s, struct bt_torrent *t);
/* Save its state now, if there is anything new to say; it is done when bt_torrent_is_saving is
 * false. Saved anyway: every 30 s while it changes, at completion and by bt_session_goodbye. */
void bt_torrent_save(struct bt_torrent *t);
bool bt_torrent_is_saving(const struct bt_torrent *t);
/* It goes for good: its saved state goes with it when it is removed. */
void bt_torrent_forget(struct bt_torrent *t);

/* Something outside edited its files, or may have: this one (index into meta->files), or all of
 * them. What is settled of them is hashed anew as soon as no other job of the torrent runs, also
 * when the data was taken on trust; pieces that are not what they were are served no more, peers
 * are told, and a torrent that may write fetches them again. Harmless before anything is here. */
enum { BT_ALL_FILES = UINT32_MAX };
void bt_torrent_suspect(struct bt_torrent *t, uint32_t file);

/* A paused torrent has no connections and asks no tracker; what is here stays, and is checked when
 * it was to be. Both are harmless when it is so already. */
void bt_torrent_pause(struct bt_torrent *t);
void bt_torrent_resume(struct bt_torrent *t);

/* It cannot go on, for a reason of ours or the owner's: on_failed follows, once. */
void bt_torrent_fail(struct bt_torrent *t, const struct tarn_err *err);

/* Limits of one torrent, beside the session's: the lesser counts. */
struct bt_torrent_limits {
    uint64_t rate_down, rate_up; /* bytes a second; 0: none */
    uint32_t max_peers;          /* 0: none; those above it stay until they leave */
};
bool bt_torrent_set_limits(struct bt_torrent *t, const struct bt_torrent_limits *l,
                           struct tarn_err *err) TARN_MUST;
/* The session's own, from now on. */
void bt_session_set_rates(struct bt_session *s, uint64_t rate_down, uint64_t rate_up);

/* Of each of meta->files: 0 to 7, BT_PRIORITY_SKIP and so on (bt/core/picker.h). Room for files
 * that are wanted from now on is made first; on_complete comes again when they are here. Copied. */
bool bt_torrent_set_priorities(struct bt_torrent *t, const uint8_t *priorities,
                               struct tarn_err *err) TARN_MUST;
void bt_torrent_set_sequential(struct bt_torrent *t, bool on);

/* An address to connect to, learnt elsewhere. */
void bt_torrent_add_peer(struct bt_torrent *t, const struct sys_addr *addr);

void bt_torrent_stats(const struct bt_torrent *t, struct bt_stats *out);
void *bt_torrent_arg(const struct bt_torrent *t); /* of bt_add */
/* The metainfo in use, or NULL while it is not known. */
const struct bt_metainfo *bt_torrent_meta(const struct bt_torrent *t);
/* Peers and trackers all failed and nothing is under way: nobody to ask for now. */
bool bt_torrent_is_alone(const struct bt_torrent *t);

/* Counters of all torrents, those that have gone too; what is now stands first. */
struct bt_session_stats {
    uint32_t torrents, conns, greeting, interested, unchoked;
    uint64_t memory, memory_used, memory_peak, metadata, metadata_used;
    uint64_t accepted, refused, dialled, banned;
    uint64_t uplink_bps;      /* the upload limit by the line's queue; 0: none now */
    uint32_t uplink_delay_us; /* that queue as last seen */
    uint64_t downloaded, uploaded, wasted, corrupt, pieces_passed, pieces_failed;
    struct loop_io_stats io; /* of the loop: what sending has done with files */
};
void bt_session_stats(const struct bt_session *s, struct bt_session_stats *out);

/* One connection, for people. Pointers are borrowed until the call returns. */
struct bt_peer {
    struct sys_addr addr; /* of a web seed one that says nothing */
    const char *host;     /* of a web seed: its URL's host, with the port if it is odd; else NULL */
    const char *agent;    /* "" when it did not say; of a web seed its Server field or "web seed" */
    uint64_t downloaded, uploaded;
    uint32_t pieces, requests_out, requests_in;
    bool is_incoming, is_seed, is_snubbed, on_parole;
    bool am_interested, am_choking, is_interested, is_choking;
};
void bt_torrent_peers(const struct bt_torrent *t, void (*each)(void *arg, const struct bt_peer *p),
                      void *arg);

/* Tell trackers that we stop, save all state, and call done when all have answered or after 5 s. */
void bt_session_goodbye(struct bt_session *s, void (*done)(void *arg), void *arg);

#endif
