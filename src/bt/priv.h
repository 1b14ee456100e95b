/* bt/priv: what the files of this room share. Above it stands bt/session.h; below, bt/core.
 *
 *   session   ports, the table of torrents, the tick
 *   torrent   one torrent's life: metadata, preparing, checking, running, paused
 *   progress  what of it is wanted, what is here, which files are whole
 *   pieces    blocks into pieces, pieces onto the disk
 *   judge     pieces that fail their hash, and who is to blame
 *   conn      one peer: its bytes and messages in
 *   greet     its handshake
 *   ask       what we ask of it
 *   theirs    the pieces it has
 *   learn     metadata and piece layers from it
 *   upload    what it asked of us
 *   choke     whom we let ask
 *   homeline  how much may leave before the line's queue grows
 *   opening   the files of what it asked for
 *   leaves    hashes that it asked for
 *   dial      whom to connect to
 *   stats     counters; memory for metadata
 *   damage    files that something else changed while they are shared
 *   evict     who makes room when all connections are taken
 *   known     who is connected already, who is banned
 *   announce  trackers
 *   webseed   web servers as sources
 *   resume    what is believed at a start, and notes for the next one; resume_files: where
 *   save      records for the next start
 *   recall    what a magnet link led to before
 *   work      one job at a time for a torrent, off the loop */
#ifndef BT_PRIV_H
#define BT_PRIV_H

#include "base/list.h"
#include "base/map.h"
#include "bt/core/bans.h"
#include "bt/core/blame.h"
#include "bt/core/choker.h"
#include "bt/core/fastset.h"
#include "bt/core/hashreq.h"
#include "bt/core/picker.h"
#include "bt/core/requests.h"
#include "bt/core/tracker.h"
#include "bt/core/uplink.h"
#include "bt/layout.h"
#include "bt/limit.h"
#include "bt/resume.h"
#include "bt/session.h"
#include "loop/pool.h"
#include "loop/resolve.h"
#include "loop/stream.h"
#include "store/places.h"
#include "store/scan.h"
#include "sys/thread.h"

#include <stdatomic.h>

struct bt_port {
    struct bt_session *session;
    struct loop_watch watch;
    struct sys_addr at;
};

/* What is counted of a torrent, and summed up over all. */
struct bt_totals {
    uint64_t downloaded, uploaded, wasted, corrupt, pieces_passed, pieces_failed;
};

/* The upload limit that follows the line's queue. It is for peers beyond the house alone. */
struct bt_homeline {
    struct bt_uplink uplink;
    struct bt_limit limit;
    struct loop_timer round;
    struct tarn_list uploading; /* connections that are sampled: bt_conn.homeline_node */
    struct tarn_list held;      /* may not send while uplink.is_held: bt_conn.up_line */
    bool is_on, is_timed;
};

struct bt_session {
    struct bt_session_settings set;
    struct loop *loop;
    struct bt_port *ports; /* owned */
    size_t n_ports;
    struct tarn_list torrents;
    size_t n_torrents;
    struct tarn_heap wakes;  /* torrents, by when each has something to do */
    struct tarn_map by_hash; /* 20 bytes -> struct bt_torrent * */
    struct tarn_map by_peer; /* struct bt_peer_key -> struct bt_conn * */
    struct bt_bans bans;
    struct tarn_list greeting; /* incoming connections whose torrent is not known yet */
    struct tarn_list dead;     /* closed connections, freed at the end of the turn */
    struct loop_idle bury, choke_soon, start_soon;
    struct tarn_list starting; /* torrents whose content is looked at next */
    unsigned n_starting;       /* ... and is looked at now */
    struct loop_timer tick;
    struct bt_limit up, down;
    struct bt_homeline homeline;
    struct store_budget budget; /* memory for what arrives, of all torrents */
    struct bt_choker choker;
    struct tarn_list rivals; /* connections that are interested in us, or unchoked */
    int64_t choked_at_us;    /* last full round */
    unsigned dials_left;     /* of this tick */
    bool is_deaf;            /* a port does not accept: out of descriptors */
    uint32_t max_peers, n_conns;
    uint32_t max_greeting, n_greeting;
    uint64_t metadata_max, metadata_used;
    struct tarn_list web_running, web_line; /* web seeds with a request; those that wait for one */
    struct loop_idle web_soon;
    uint32_t n_web_running, n_web_conns;
    struct bt_totals past; /* of torrents that have gone */
    uint64_t accepted, refused, dialled, banned;
    uint64_t refused_before; /* at the last tick */
    int64_t evicted_us;
    uint64_t chance; /* state of bt_session_chance */
    struct loop_timer goodbye;
    void (*on_goodbye)(void *arg);
    bool all_left; /* since on_goodbye was set: nobody is left to wait for */
    void *goodbye_arg;
};

/* One info-hash of a torrent and its trackers: a hybrid has two. */
struct bt_swarm {
    uint8_t hash[BT_HASH_LEN];
    struct bt_trackers trackers;
};

/* An address that we may connect to. */
struct bt_candidate {
    struct sys_addr addr;
    int64_t next_us; /* not before */
    bt_peer_no no;   /* the connection, or BT_NO_PEER */
    uint8_t fails;
    bool is_self;  /* we met ourselves there */
    bool is_given; /* by the user: tried again soon, and for ever */
};

enum bt_work_kind { BT_WORK_PREPARE, BT_WORK_CHECK, BT_WORK_FINISH, BT_WORK_LOOK };

struct bt_work;
struct bt_opening;
struct bt_keep;
struct bt_recall;
struct bt_webseed;

struct bt_torrent {
    struct tarn_list node;
    struct tarn_heap_node wake; /* in session->wakes, always */
    struct bt_session *session;
    struct bt_add add;
    struct bt_metainfo *meta; /* borrowed from add or `own`; NULL while not known */
    struct bt_metainfo own;
    struct bt_hashes hashes;
    enum bt_state state;
    struct bt_swarm swarms[2];
    unsigned n_swarms;
    uint8_t peer_id[BT_PEER_ID_LEN];
    uint32_t key;
    struct tarn_list announcing;
    char *tracker_error; /* owned; NULL: none */

    /* content; set while preparing */
    struct store_layout layout;
    struct store_tree *tree;
    struct store_places *places;
    struct tarn_bits have;
    struct bt_picker picker;
    bool has_picker;           /* until complete */
    uint8_t *wanted;           /* of each file: its priority */
    uint8_t *chosen;           /* owned: priorities that wait to be put in force; or NULL */
    struct tarn_bits finished; /* files that are, or will be, under their final names */
    uint32_t *file_left;       /* of each wanted file: pieces that are missing */
    uint32_t *to_finish;       /* files that are complete and not yet finished */
    size_t n_to_finish, cap_to_finish;
    bool is_complete_told;

    /* What the owner is told at the end of the turn, when nothing of ours is under way: it may
     * remove the torrent then. */
    struct loop_idle tell;
    bool tells_metadata, tells_complete, tells_failed;
    enum tarn_code failure_code;
    char *failure; /* owned; NULL when there was no memory for it */
    bool *gone;    /* on the stack of who tells: removed meanwhile */

    struct bt_work *work;     /* running now, or NULL */
    struct bt_keep *keep;     /* owned; made while preparing */
    struct bt_recall *recall; /* running now, or NULL */
    _Atomic uint64_t checked;

    /* metadata and layers from peers */
    struct bt_metadata metadata;
    struct bt_layers layers;
    bool has_layers_job;
    uint8_t *found_layers; /* hybrid without layers: piece nodes as pieces are verified */
    struct bt_hash_cache hash_cache;
    struct tarn_list openings;  /* files being opened for peers */
    struct tarn_list leaf_jobs; /* pieces being read for their leaf hashes */
    uint32_t n_leaf_jobs;

    /* bad pieces */
    struct bt_blame blame;
    struct tarn_list inquests; /* pieces whose leaves a peer was asked for */
    uint32_t n_inquests;

    /* peers */
    struct bt_conn **conns; /* by number; NULL: free */
    struct sys_addr *addrs; /* owned; by number, of those who have left too */
    size_t n_numbers, cap_numbers, cap_addrs;
    uint32_t n_conns, n_seeds;
    struct tarn_list starting; /* in session's starting: waits for its turn to be prepared */
    bool is_starting;          /* it has its turn: prepared and checked now */
    struct tarn_list active;   /* connections on which something is under way: ticked each second */
    size_t sweep;              /* the others are ticked in turn: the next one's number */
    uint32_t max_peers;        /* 0: no limit of its own */
    struct bt_limit *limit_up, *limit_down; /* owned; NULL: none of its own */
    bool is_paused;
    bool forgets;          /* its saved state goes with it */
    bool is_suspect;       /* its files are to be looked at: bt/damage */
    bool is_told;          /* by its owner: without delay, and those in `told` are hashed anew */
    struct tarn_bits told; /* owned; no memory while nothing is told */
    int64_t looked_us;     /* when they were */
    uint64_t looked_uploaded;
    struct bt_candidate *candidates;
    size_t n_candidates, cap_candidates;
    struct loop_resolve *resolving; /* owned; one for each name that the user gave */
    size_t n_resolving, n_unresolved;

    struct bt_webseed *webseeds; /* owned; once has_webseeds */
    uint32_t n_webseeds, next_webseed;
    bool has_webseeds; /* they have been listed */

    uint64_t done, total; /* bytes of wanted files */
    struct bt_totals totals;
    struct bt_meter down, up;
    uint64_t fastest_bps; /* of its peers, at the last tick */
    uint64_t charged;     /* of the session's memory for metadata */
};

/* A request of a peer that waits to be served. */
struct bt_uploads {
    struct bt_request *queue; /* owned; a ring of cap */
    uint32_t first, n, cap;
};

/* A peer of a torrent: there is one connection to each. */
struct bt_peer_key {
    uint64_t torrent; /* its address */
    uint8_t peer_id[BT_PEER_ID_LEN];
};

struct bt_conn {
    struct loop_stream stream;
    struct tarn_list node;    /* in session's greeting or dead, or in its torrent's active */
    struct tarn_list rival;   /* in session's rivals */
    struct tarn_list up_line; /* waits for a limit */
    struct tarn_list down_line;
    struct bt_peer_key key; /* in session's by_peer when is_known */
    struct bt_session *session;
    struct bt_torrent *torrent; /* NULL until an incoming handshake names it */
    struct bt_webseed *web;     /* it is one, and has no stream: never is_open; else NULL */
    bt_peer_no no;
    uint32_t candidate; /* index, or UINT32_MAX */
    struct bt_handshake ours, theirs;
    struct bt_handshake_reader reader;
    struct bt_wire wire;
    struct bt_ext ext;
    struct bt_requests requests;
    struct tarn_bits has;  /* once the number of pieces is known */
    struct tarn_out early; /* before that: their bitfield and haves */
    uint32_t n_needed;     /* pieces they have that we want */
    bool is_outgoing, is_open, is_dead, is_counted, is_known, is_seed;
    bool is_waiting; /* a greeting for a torrent that may come: not read until it has */
    bool has_early_all;
    bool am_choking, am_interested, is_interested;
    bool was_optimistic, on_parole;
    uint8_t n_allowed, bad_hashes;
    uint8_t empty_turns;              /* in a row: it unchoked us, was asked, and sent nothing */
    uint64_t got_before_turn;         /* `got` when it unchoked us */
    int64_t ask_from_us;              /* not asked before, for that */
    uint32_t allowed[BT_FASTSET_MAX]; /* pieces that we may ask for while choked */
    uint32_t meta_answered;
    struct bt_opening *opening; /* what its next block waits for, or NULL */
    uint32_t n_leaf_jobs;
    uint8_t n_given; /* pieces that it may ask for while choked, and how much of each is left */
    uint32_t given[BT_FASTSET], given_left[BT_FASTSET];

    bool in_block, takes_block; /* a block is arriving; into block_at */
    struct bt_request block;
    uint32_t block_got;
    uint8_t *block_at;
    int64_t block_since_us, payload_us; /* its beginning, and the last bytes of it */

    /* Why nothing is read now: the rate limit; it does not read what we send; no place for the
     * block that has begun. */
    bool is_rate_paused, is_clogged, waits_room;

    struct bt_uploads uploads;
    struct tarn_list homeline_node; /* in session's homeline.uploading */
    struct bt_uplink_peer uplink;
    uint64_t got, sent; /* payload, all in all */
    uint32_t charged;   /* of the session's memory for metadata */
    uint64_t got_round, got_before, sent_round, sent_turn;
    int64_t parole_us; /* since when it has had to bring a piece of its own */
    int64_t moved_us;  /* data, in either direction */
    int64_t choke_changed_us, born_us, heard_us, spoke_us;
};

/* session */
void bt_note(struct bt_session *s, struct bt_torrent *t, const char *fmt, ...) TARN_PRINTF(3, 4);
uint64_t bt_session_chance(struct bt_session *s);
uint16_t bt_session_port(const struct bt_session *s);
bool bt_session_is_full(const struct bt_session *s);
bool bt_session_know(struct bt_session *s, struct bt_torrent *t, struct tarn_err *err) TARN_MUST;
void bt_session_forget(struct bt_session *s, struct bt_torrent *t);
void bt_session_forget_swarm(struct bt_session *s, struct bt_torrent *t, unsigned i);
struct bt_torrent *bt_session_find(struct bt_session *s, const uint8_t hash[BT_HASH_LEN]);
void bt_session_announce_ended(struct bt_session *s);
void bt_session_one_left(struct bt_session *s); /* a torrent has been removed */
/* Another torrent that is known by one of t's hashes, or NULL. */
struct bt_torrent *bt_session_same(struct bt_session *s, const struct bt_torrent *t);
/* A torrent has something to do now. */
void bt_session_rouse(struct bt_session *s, struct bt_torrent *t);
/* The tick comes within a second. */
void bt_session_tick_soon(struct bt_session *s);

/* torrent */
void bt_torrent_start_next(struct loop_idle *i);
void bt_torrent_tick(struct bt_torrent *t, int64_t now_us);
/* When it wants its next tick. */
int64_t bt_torrent_wake_at(const struct bt_torrent *t, int64_t now_us);
bool bt_torrent_is_running(const struct bt_torrent *t);
/* The metadata have arrived and match: go on with them. */
void bt_torrent_got_metadata(struct bt_torrent *t, struct tarn_bytes info);
void bt_torrent_work_done(struct bt_torrent *t, enum bt_work_kind kind, uint8_t *found,
                          const struct tarn_err *err);
/* Pieces are gone that were here. */
void bt_torrent_lost(struct bt_torrent *t);
/* Move what can move: finish files, tell completion. */
void bt_torrent_settle(struct bt_torrent *t);

/* Memory for metadata. False with TARN_E_POLICY when there is no more of it. */
bool bt_charge(struct bt_session *s, uint64_t bytes, struct tarn_err *err) TARN_MUST;
void bt_uncharge(struct bt_session *s, uint64_t bytes);

void bt_totals_add(struct bt_totals *sum, const struct bt_totals *more);

/* damage */
/* Something could not be read as it should: look at all files that are not being written. */
void bt_damage_suspect(struct bt_torrent *t);
void bt_damage_tick(struct bt_torrent *t, int64_t now_us); /* now and then while it is shared */
/* On the pool: which of these files have changed (those in `told` have), and what is
 * left of their pieces. */
bool bt_damage_look(struct bt_torrent *t, const uint32_t *files, size_t n,
                    const struct tarn_bits *told, struct tarn_bits *changed, struct tarn_err *err)
    TARN_MUST;
/* On the loop: pieces in `changed` that are not in found are lost. */
void bt_damage_found(struct bt_torrent *t, const struct tarn_bits *changed, const uint8_t *found);

/* progress */
bool bt_progress_init(struct bt_torrent *t, struct tarn_err *err) TARN_MUST;
void bt_progress_count(struct bt_torrent *t); /* all that is here already, from the start */
/* Put chosen priorities in force; true when there are files to make room for. */
bool bt_progress_choose(struct bt_torrent *t);
void bt_progress_release(struct bt_torrent *t);

/* work: runs on the pool; bt_torrent_work_done follows on the loop. */
bool bt_work_start(struct bt_torrent *t, enum bt_work_kind kind, struct tarn_err *err) TARN_MUST;
void bt_work_stop(struct bt_torrent *t); /* cancels and waits; nothing is called back */

/* resume. Made while preparing, on the pool; never NULL then, and without a slot when no state is
 * kept. NULL: no memory, or another process is writing the same files. */
struct bt_keep *bt_keep_open(struct bt_torrent *t, struct store_tree *tree, struct tarn_err *err)
    TARN_MUST;
void bt_keep_free(struct bt_keep *k); /* waits for a save that runs; accepts NULL */
/* On the pool: */
bool bt_keep_takes(struct bt_keep *k, uint32_t file);              /* it need not be prepared */
void bt_keep_prepared(struct bt_keep *k, uint32_t file, bool had); /* it was, and had content */
/* found: 1 for each piece to be believed; check (to be released): those to be hashed. */
bool bt_keep_plan(struct bt_keep *k, uint8_t *found, struct tarn_bits *check, struct tarn_err *err)
    TARN_MUST;
void bt_keep_checked(struct bt_keep *k, const struct tarn_bits *checked);
void bt_keep_before_write(struct bt_keep *k, uint32_t piece);
void bt_keep_after_write(struct bt_keep *k, uint32_t piece);
void bt_keep_finished(struct bt_keep *k, const uint32_t *files, size_t n);
/* On the loop: */
void bt_keep_begin(struct bt_torrent *t); /* everything was checked */
void bt_keep_tick(struct bt_torrent *t, int64_t now_us);
int64_t bt_keep_wake(const struct bt_torrent *t);      /* when it wants a tick; INT64_MAX: never */
void bt_keep_save(struct bt_torrent *t, bool is_last); /* unless nothing has changed */
bool bt_keep_is_busy(const struct bt_torrent *t);
uint64_t bt_keep_ever(const struct bt_torrent *t, bool is_down); /* bytes of all runs */

/* recall: asks the saved state what a magnet link is; bt_torrent_recalled follows if it knows. */
enum { BT_RECALL_NAME = 65 };
const char *bt_recall_name(const struct bt_torrent *t, char name[BT_RECALL_NAME]);
void bt_recall_start(struct bt_torrent *t);
void bt_recall_stop(struct bt_torrent *t);
void bt_torrent_recalled(struct bt_torrent *t, const struct bt_metainfo *m); /* m is taken */

/* pieces */
extern const struct store_places_ops bt_places_ops;
/* A block begins to arrive: where to. False: into nothing. */
bool bt_piece_place(struct bt_conn *c, const struct bt_request *r);
void bt_piece_block(struct bt_conn *c, const struct bt_request *r); /* it is here */
void bt_piece_abandon(struct bt_conn *c);                           /* it will not come */
/* How many pieces may be begun, for the picker; and what has been begun, for the budget: before and
 * after each pick. The latter also whenever pieces have ended. */
void bt_pieces_before_pick(struct bt_torrent *t);
void bt_pieces_after_pick(struct bt_torrent *t);
/* A pick gave less than was asked for: if that was for want of room, be told when there is some. */
void bt_pieces_await(struct bt_torrent *t);
void bt_piece_had(struct bt_torrent *t, uint32_t piece); /* verified and on disk */

/* judge */
void bt_judge_meet(struct bt_conn *c); /* its handshake is done */
void bt_judge_gone(struct bt_conn *c);
void bt_judge_parole(struct bt_conn *c);
/* A hashed piece: what follows is told to the store. */
void bt_judge_bad(struct bt_torrent *t, uint32_t piece, const struct store_hashes *h);
void bt_judge_good(struct bt_torrent *t, uint32_t piece, const struct store_hashes *h);
void bt_judge_leaves(struct bt_torrent *t, uint32_t piece, bool is_good, const uint8_t *leaves,
                     uint32_t n);
void bt_judge_written(struct bt_torrent *t, uint32_t piece);
/* Answers to what we asked; the first says whether it was that. */
bool bt_judge_hashes(struct bt_conn *c, const struct bt_event *ev);
void bt_judge_rejected(struct bt_conn *c, const struct bt_hash_request *r);
void bt_judge_tick(struct bt_torrent *t, int64_t now_us);
void bt_judge_tick_conn(struct bt_conn *c, int64_t now_us);
void bt_judge_release(struct bt_torrent *t);

/* conn */
void bt_conn_incoming(struct bt_session *s, int fd, const struct sys_addr *from);
bool bt_conn_outgoing(struct bt_torrent *t, uint32_t candidate);
void bt_conn_close(struct bt_conn *c, const char *fmt, ...) TARN_PRINTF(2, 3);
void bt_conn_free(struct bt_conn *c);
void bt_conn_tick(struct bt_conn *c, int64_t now_us);
/* The torrent has begun to run, or has learnt its metadata: catch up. */
void bt_conn_learn_pieces(struct bt_conn *c);
void bt_conn_go(struct bt_conn *c);
void bt_conn_go_on(struct tarn_list *down_line); /* the limit lets it read again */
void bt_conn_rouse(struct bt_conn *c); /* something is under way on it: it needs the tick */
void bt_conn_ask_metadata(struct bt_conn *c);
void bt_conn_ask_layers(struct bt_conn *c);
/* What we want has changed: how much of it does it have? */
void bt_conn_count_needed(struct bt_conn *c);
/* The block that arrives is not wanted of this peer any more: its rest goes nowhere. */
void bt_conn_drop_block(struct bt_conn *c);
void bt_conn_read_on(struct bt_conn *c); /* unless there is a reason not to */
bool bt_conn_has_all(const struct bt_conn *c);
static inline struct tarn_out *bt_conn_out(struct bt_conn *c)
{
    return loop_stream_out(&c->stream);
}

/* A connection for a web seed, which is known to judge by this address. NULL: no memory. */
struct bt_conn *bt_conn_web(struct bt_torrent *t, struct bt_webseed *w,
                            const struct sys_addr *addr);
/* Payload counts against the limits; may set is_rate_paused. */
void bt_conn_count_received(struct bt_conn *c, size_t n);

/* Memory for metadata that goes with the connection. */
bool bt_conn_charge(struct bt_conn *c, uint32_t bytes) TARN_MUST;
/* Sets the size of what is kept about its pieces. False: no memory. */
bool bt_conn_init_pieces(struct bt_conn *c) TARN_MUST;
/* It is one of this torrent's from now on. False: no memory for one more. */
bool bt_conn_attach(struct bt_conn *c, struct bt_torrent *t) TARN_MUST;

/* greet */
void bt_greet_first(struct bt_conn *c); /* ours goes first: we have connected */
/* Takes of the handshake what has come. True when messages may follow. */
bool bt_greet_read(struct bt_conn *c, struct tarn_cur *in) TARN_MUST;
void bt_greet_tick(struct tarn_list *greeting, int64_t now_us);

/* ask */
void bt_conn_update_interest(struct bt_conn *c);
void bt_conn_fill(struct bt_conn *c); /* ask for as much as is good */
/* Requests that are void or too late: their blocks go back to the picker. */
void bt_conn_give_back(struct bt_conn *c, int64_t now_us);
void bt_ask_less(struct bt_conn *c, int64_t now_us); /* what is too much for its speed */
/* As it told us: */
void bt_ask_choked(struct bt_conn *c);
void bt_ask_unchoked(struct bt_conn *c);
void bt_ask_allowed(struct bt_conn *c, uint32_t piece); /* also while choked */
void bt_ask_rejected(struct bt_conn *c, const struct bt_request *r);

/* theirs: as it told us */
void bt_theirs_have(struct bt_conn *c, uint32_t piece);
void bt_theirs_have_all(struct bt_conn *c);
void bt_theirs_bitfield(struct bt_conn *c, struct tarn_bytes body);
void bt_theirs_lost(struct bt_conn *c, uint32_t piece);

/* learn */
void bt_learn_metadata(struct bt_conn *c, struct tarn_bytes body);
void bt_learn_hashes(struct bt_conn *c, const struct bt_event *ev);

/* upload */
void bt_upload_request(struct bt_conn *c, const struct bt_request *r);
void bt_upload_cancel(struct bt_conn *c, const struct bt_request *r);
void bt_upload_serve(struct bt_conn *c);
void bt_upload_drop_all(struct bt_conn *c, bool with_rejects);
void bt_upload_go_on(struct tarn_list *up_line);
/* It has said which pieces it has: a beginner may have some while choked, of those that another
 * peer has too. */
void bt_upload_allow(struct bt_conn *c);

/* homeline */
void bt_homeline_init(struct bt_homeline *h, struct loop *loop, bool is_on);
void bt_homeline_release(struct bt_homeline *h);
/* How much may be queued for a connection, of `most`. */
size_t bt_homeline_ahead(const struct bt_conn *c, size_t most);
bool bt_homeline_may(struct bt_conn *c); /* as bt_limit_may */
void bt_homeline_take(struct bt_conn *c, uint64_t bytes);

/* choke */
void bt_choke_tick(struct bt_session *s, int64_t now_us);
void bt_choke_soon(struct bt_session *s); /* a slot may be free, or somebody wants one */
void bt_choke_run_soon(struct loop_idle *i);
void bt_choke_interest(struct bt_conn *c, bool is_interested); /* it told us */

/* What of a request's bytes is inside the content, and a walk over them. */
uint64_t bt_request_walk(const struct bt_torrent *t, const struct bt_request *r,
                         struct store_walk *walk);
/* The first request's block, read elsewhere. */
void bt_upload_was_read(struct bt_conn *c, const struct bt_request *r, struct tarn_bytes bytes);
void bt_upload_fail(struct bt_conn *c, const struct tarn_err *err); /* no block of it can be read */

/* opening */
/* The first request has to wait: for its file to be opened, or (reads) for its block. */
bool bt_opening_start(struct bt_conn *c, bool reads, struct tarn_err *err) TARN_MUST;
void bt_opening_gone(struct bt_conn *c);
void bt_opening_release(struct bt_torrent *t);

/* leaves */
void bt_hash_request_answer(struct bt_conn *c, const struct bt_hash_request *r);
void bt_leaves_gone(struct bt_conn *c);
void bt_leaves_release(struct bt_torrent *t);

/* dial */
void bt_dial_add(struct bt_torrent *t, const struct sys_addr *addr, bool is_given);
void bt_dial_given(struct bt_torrent *t); /* resolve and add what the user gave */
void bt_dial_tick(struct bt_torrent *t, int64_t now_us);
void bt_dial_release(struct bt_torrent *t);
void bt_dial_closed(struct bt_conn *c, int64_t now_us);
int64_t bt_dial_wake(const struct bt_torrent *t); /* INT64_MAX: nobody to dial */
bool bt_dial_is_hopeless(const struct bt_torrent *t);

/* evict */
void bt_evict_tick(struct bt_session *s, int64_t now_us);

/* known */
/* The handshake is done: note the peer. The connection that we have to it already (other), or NULL.
 */
bool bt_known_add(struct bt_conn *c, struct bt_conn **other) TARN_MUST;
void bt_known_remove(struct bt_conn *c);
void bt_ban(struct bt_session *s, const struct sys_addr *addr);
bool bt_is_banned(const struct bt_session *s, const struct sys_addr *addr);

/* webseed */
void bt_webseeds_tick(struct bt_torrent *t, int64_t now_us);
int64_t bt_webseeds_wake(const struct bt_torrent *t); /* INT64_MAX: nobody to ask */
bool bt_webseeds_are_hopeless(const struct bt_torrent *t);
void bt_webseeds_release(struct bt_torrent *t); /* its connections have gone */
void bt_webseeds_go_on(struct loop_idle *i);
void bt_webseed_fill(struct bt_webseed *w);
void bt_webseed_read_on(struct bt_webseed *w);
void bt_webseed_tick(struct bt_webseed *w, int64_t now_us);
void bt_webseed_left(struct bt_webseed *w);           /* its connection goes */
uint64_t bt_webseed_rate(const struct bt_webseed *w); /* bytes a second; 0: not known */
const char *bt_webseed_url_of(const struct bt_webseed *w);
void bt_webseed_peer(const struct bt_webseed *w, struct bt_peer *p);
/* False: the sender of this bad piece is no web seed. */
bool bt_webseed_blame(struct bt_torrent *t, const struct sys_addr *sender, uint32_t piece);

/* announce */
/* Of the swarms from this one on. */
bool bt_announce_init(struct bt_torrent *t, unsigned from, struct tarn_err *err) TARN_MUST;
void bt_announce_tick(struct bt_torrent *t, int64_t now_us);
void bt_announce_stop(struct bt_torrent *t);
void bt_announce_restart(struct bt_torrent *t); /* after a stop */
bool bt_announce_is_busy(const struct bt_torrent *t);
void bt_announce_release(struct bt_torrent *t);

#endif
