/* bt/core/tracker: HTTP trackers (BEP 3, 7, 23, 24, 31): the URL of an announce, its answer, and
 * when to ask which tracker (BEP 12).
 *
 * Pure: the caller fetches, has the clock and gives randomness. */
#ifndef BT_CORE_TRACKER_H
#define BT_CORE_TRACKER_H

#include "bt/core/addr.h"
#include "bt/core/handshake.h"

enum bt_announce_event {
    BT_ANNOUNCE_NONE,
    BT_ANNOUNCE_STARTED,
    BT_ANNOUNCE_COMPLETED,
    BT_ANNOUNCE_STOPPED,
};

enum {
    BT_ANSWER_MAX = 1 << 20,    /* bytes of an answer: libtorrent's limit */
    BT_ANSWER_PEERS_MAX = 2000, /* of each family; more are left out */
    BT_TRACKER_ID_MAX = 256,
    BT_NUMWANT = 200,
    BT_LEFT_UNKNOWN = 16384, /* `left` while the size is not known: what everyone sends */
    BT_INTERVAL_S = 1800,    /* when the tracker does not say */
    BT_INTERVAL_MIN_S = 300, /* floor of the regular interval */
    BT_INTERVAL_MAX_S = 24 * 3600,
    BT_MIN_INTERVAL_S = 30, /* between two announces, when the tracker does not say */
    BT_TRACKER_DELAY_S = 5, /* after n failures: 5 s + n * n * 12.5 s, at most an hour */
    BT_TRACKER_DELAY_MAX_S = 3600,
    BT_TRACKER_TIMEOUT_MS = 30 * 1000,
    BT_TRACKER_STOP_TIMEOUT_MS = 5 * 1000,
};

struct bt_announce {
    uint8_t hash[BT_HASH_LEN];
    uint8_t peer_id[BT_PEER_ID_LEN];
    uint64_t uploaded, downloaded, left; /* since started */
    uint64_t corrupt, redundant;         /* corrupt is sent when not 0 */
    uint32_t key;                        /* one for the session, the same for both families */
    uint32_t numwant;                    /* 0 is sent when stopped */
    uint16_t port;
    enum bt_announce_event event;
    const char *tracker_id; /* NULL: none */
};
void bt_announce_url(struct tarn_out *o, const char *tracker, const struct bt_announce *a);

struct bt_answer {
    struct bt_addr *peers; /* owned; usable ones only */
    size_t n_peers;
    uint32_t interval_s, min_interval_s;      /* 0: not said */
    int64_t retry_s;                          /* BEP 31: -1 not said, BT_RETRY_NEVER */
    int64_t complete, incomplete, downloaded; /* -1: not said */
    uint8_t external_ip[16];
    uint8_t external_ip_len; /* 0, 4 or 16 */
    bool failed;             /* the tracker refused: `failure` says why, only retry_s counts */
    char failure[256], warning[256];        /* printable; "" when none */
    char tracker_id[BT_TRACKER_ID_MAX + 1]; /* raw bytes; a longer one is left out */
};
#define BT_RETRY_NEVER INT64_MAX

/* False: it is no answer of a tracker. */
bool bt_answer_parse(struct bt_answer *a, struct tarn_bytes body, struct tarn_err *err) TARN_MUST;
void bt_answer_release(struct bt_answer *a); /* accepts a zeroed one */

/* Whom to announce to, and when. One machine for each info-hash and address family. The trackers of
 * a tier are tried in random order until one answers, which then comes first; a later tier is used
 * only while all before it fail, or always when all_tiers. Started is sent before anything else and
 * again until it was answered, completed once to each tracker that knows us, stopped to each that
 * knows us. */
struct bt_tracker_at;

struct bt_trackers {
    struct bt_tracker_at *at; /* owned; sorted by tier, the one to ask first in front */
    uint32_t n;
    bool all_tiers;
    bool is_stopped;
    bool wants_completed; /* the torrent became complete in this session */
    bool wants_peers;
    uint64_t random;
};

/* list is borrowed: the URLs must live as long. */
bool bt_trackers_init(struct bt_trackers *t, const struct bt_tracker *list, uint32_t n,
                      bool all_tiers, uint64_t seed, struct tarn_err *err) TARN_MUST;
void bt_trackers_release(struct bt_trackers *t); /* accepts a zeroed one */

struct bt_due {
    uint32_t id; /* of the tracker, for the answer; stays the same */
    const char *url;
    const char *tracker_id; /* NULL: none; valid until its answer */
    enum bt_announce_event event;
};
/* The next announce that is due; call until false. Each must be answered by one of the two below.
 */
bool bt_trackers_due(struct bt_trackers *t, int64_t now_us, struct bt_due *due) TARN_MUST;
/* The tracker answered; a->failed counts as failure. */
void bt_trackers_answered(struct bt_trackers *t, uint32_t id, const struct bt_answer *a,
                          int64_t now_us);
/* It did not. for_good: it never will (a scheme that we do not speak). */
void bt_trackers_failed(struct bt_trackers *t, uint32_t id, bool for_good, int64_t now_us);

/* When bt_trackers_due has something; INT64_MAX: not before an answer or one of the calls below. */
int64_t bt_trackers_wake(const struct bt_trackers *t);

void bt_trackers_completed(struct bt_trackers *t); /* the last wanted piece came */
void bt_trackers_hurry(struct bt_trackers *t);     /* we need peers: after the minimum interval */
void bt_trackers_stop(struct bt_trackers *t);      /* only stopped goes out from now on */
void bt_trackers_restart(struct bt_trackers *t);   /* those who heard stopped hear started again */

/* Nothing is under way, and the last try of every tracker failed. */
bool bt_trackers_all_failed(const struct bt_trackers *t);

#endif
