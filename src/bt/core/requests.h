/* bt/core/requests: what we have asked one peer for, and how much to ask at a time.
 *
 * Depth: enough requests under way to cover the round trip and a second of the peer's rate, doubled
 * each round trip at first, until the rate grows no more; when the rate falls to a quarter, the
 * newest requests are taken back. A peer that sends nothing for a while is
 * snubbed: it keeps one request, and its other blocks go back to the picker so that others can take
 * them; they still count as asked for when they come after all.
 *
 * Pure: time is an argument. An idle peer (nothing asked) owns no memory beside the struct; else 20
 * to 40 bytes a request, of which there are at most BT_DEPTH_MAX. One thread. */
#ifndef BT_CORE_REQUESTS_H
#define BT_CORE_REQUESTS_H

#include "bt/core/wire.h"

enum {
    BT_REQQ_SILENT = 250, /* what a peer queues that does not say: libtorrent's guess */
    BT_DEPTH_MIN = 8,
    BT_DEPTH_MAX = 2048,
    BT_DEPTH_SPARE = 4,               /* beyond what the rate asks for */
    BT_QUEUE_TARGET_US = 1000 * 1000, /* of data on its way beyond the round trip */
    BT_SNUB_US = 20 * 1000 * 1000,    /* libtorrent's piece_timeout */
    BT_SNUB_MIN_US = 5 * 1000 * 1000, /* for peers whose rate says that it takes long already */
    BT_LATE_US = 60 * 1000 * 1000,    /* a late or canceled request is forgotten */
    BT_UNASKED_MAX = 64,              /* blocks that nobody asked for, per connection */
    BT_REJECTS_MAX = 50,              /* while unchoked: libtorrent's max_rejects */
};

struct bt_asked;

struct bt_requests {
    struct bt_asked *asked; /* owned; NULL when there are none; oldest first */
    uint16_t first, n, cap; /* asked[first .. first + n) are in use */
    uint16_t n_open;        /* of them neither canceled, late nor lost: what depth counts */
    uint16_t n_lost;        /* of them still to be told by bt_requests_next_lost */
    uint16_t depth;         /* that the rule wants now */
    uint16_t reqq;          /* that the peer takes */
    uint16_t most;          /* that we ask for at a time, whatever the rule wants */
    uint16_t unasked, rejects;
    bool has_fast, is_choked, is_snubbed, is_starting, is_trimming;
    uint32_t min_rtt_us;   /* request to first byte; 0: not measured */
    uint32_t window_bytes; /* since window_at_us */
    uint64_t rate_bps;     /* bytes a second, smoothed */
    int64_t window_at_us, progress_at_us;
};

/* A new connection: choked. */
void bt_requests_init(struct bt_requests *q, bool has_fast);
void bt_requests_release(struct bt_requests *q); /* accepts a zeroed one */

/* The peer said how many it queues (its handshake's reqq; 0: not said). */
void bt_requests_set_reqq(struct bt_requests *q, uint16_t reqq);

/* Never ask for more than so many at a time; 0: BT_DEPTH_MAX. */
void bt_requests_set_most(struct bt_requests *q, uint32_t most);

/* How many more to ask for now: 0, or an eighth of the depth and more. Does not look at choking:
 * pieces allowed fast may be asked for. */
uint32_t bt_requests_room(const struct bt_requests *q);

/* A request goes out. False: no memory, and nothing was noted. */
bool bt_requests_add(struct bt_requests *q, const struct bt_request *r, int64_t now_us) TARN_MUST;

enum bt_arrival {
    BT_ASKED,    /* take it */
    BT_CANCELED, /* asked for and canceled: take it if still missing, else waste */
    BT_UNASKED,  /* nobody asked: waste, tolerated so far */
    BT_TOO_MANY, /* unasked, and too many of them: close */
};
/* A block begins to arrive. A request with the same place but another length is not it. */
enum bt_arrival bt_requests_arrive(struct bt_requests *q, const struct bt_request *r,
                                   int64_t now_us);

/* Some bytes of a block arrived: the peer is alive. */
void bt_requests_progress(struct bt_requests *q, uint32_t bytes, int64_t now_us);

enum bt_rejection {
    BT_REJECT_LOST,     /* the block goes back to the picker */
    BT_REJECT_CANCELED, /* it went back already */
    BT_REJECT_UNASKED,  /* never sent: ignore */
    BT_REJECT_TOO_MANY, /* close */
};
enum bt_rejection bt_requests_rejected(struct bt_requests *q, const struct bt_request *r);

/* The block came from elsewhere. True: send a cancel. */
bool bt_requests_cancel(struct bt_requests *q, const struct bt_request *r, int64_t now_us);

/* The peer has become much slower, and what was asked of it would take many seconds: the newest
 * request too many, canceled now. Send a cancel, and give the block back to the picker. Call until
 * false, now and then. */
bool bt_requests_next_surplus(struct bt_requests *q, int64_t now_us, struct bt_request *r);

void bt_requests_unchoked(struct bt_requests *q, int64_t now_us);
/* Without the fast extension everything asked is void: then call bt_requests_next_lost. */
void bt_requests_choked(struct bt_requests *q);
/* The peer lost a piece (lt_donthave); void without fast, else it rejects. As above. */
void bt_requests_drop_piece(struct bt_requests *q, uint32_t piece);
/* The connection closes: everything asked is lost. As above. */
void bt_requests_close(struct bt_requests *q);

/* He is too slow for what we need of him: as if he had sent nothing for long. As above. */
void bt_requests_snub(struct bt_requests *q, int64_t now_us);

/* The next request whose block should go back to the picker, because it is void or timed out; each
 * comes once. Call until false, after the calls above, at wake time, and now and then (with
 * keep-alives), when it forgets canceled ones that never came. */
bool bt_requests_next_lost(struct bt_requests *q, int64_t now_us, struct bt_request *r);
int64_t bt_requests_wake(const struct bt_requests *q); /* INT64_MAX: nothing is awaited */

#endif
