/* sim/swarm: many complete sessions of the engine, each on a node of its own, sharing one content;
 * what they must hold to; and how they come and go. */
#ifndef SIM_SWARM_H
#define SIM_SWARM_H

#include "bt/session.h"
#include "content.h"

struct swarm;

/* What a peer is to do; zeroes are the usual thing. */
struct plan {
    bool is_seed; /* has the content from the start */
    bool trusts;  /* a seed that does not look at what it has */
    bool by_magnet, sequential;
    bool wants_half; /* only every other file */
    bool is_liar;    /* what it has on its disk, or reads from it, may be wrong: it may be banned */
    bool may_fail;   /* its disk may: it may stop with an error */
    uint64_t memory; /* of payload; 0: the engine's default */
    uint64_t rate_up; /* the session's own limit */
    uint32_t max_peers;
};

struct peer {
    struct node node;
    struct swarm *swarm;
    struct plan plan;
    bool runs, is_complete, has_failed;
    int64_t came_us, completed_us;
    enum node_end dies_by; /* when node.dies_after is used up, or its end comes */
    int64_t away_us;       /* so long until it is started again; negative: never */
    int64_t goes_again_us; /* at most so long after it was started again; 0: it stays */
    unsigned crashes_left; /* not 0: ends happen in the middle of disk work too, so many */
    unsigned starts;
    struct sim_event comes, goes, asks_tracker;

    /* while it runs */
    struct bt_session *session;
    struct bt_resume_files *state;
    struct bt_torrent *torrent;
    struct bt_metainfo meta;
    int64_t looked_us;
    bool is_new; /* since its start its check has not ended yet */

    /* instead of a session */
    void *script;
    void (*on_over)(struct peer *p);

    /* all its processes together */
    uint64_t downloaded, uploaded, wasted, pieces_failed;
    struct tarn_err why;
};

struct swarm {
    struct content content;
    struct peer *peers; /* owned */
    size_t n, cap;
    size_t n_missing;     /* peers that are to complete and have not */
    uint64_t most_queued; /* bytes, for any connection at any time */
    bool with_tracker;
    const char *folder; /* where peers fetch to */
};

void swarm_begin(struct swarm *s, size_t most_peers);
/* A peer of this plan, on a node with this line. It starts at its time. */
struct peer *swarm_add(struct swarm *s, const struct plan *plan, const struct node_line *line,
                       int64_t at_us);
/* A node with no session on it: what a scenario scripts itself. */
struct peer *swarm_add_bare(struct swarm *s, const struct node_line *line);
struct node *swarm_node(uint32_t ip);

/* Until every peer that is to complete has, or this long has passed. */
bool swarm_run(struct swarm *s, int64_t for_us);
/* This long, whatever happens. */
void swarm_pass(struct swarm *s, int64_t for_us);

/* End a peer's process now; it is started again after peer->away_us. */
void peer_end(struct peer *p, enum node_end how);
void peer_start(struct peer *p);
/* Its torrent is taken out of its session and put in again at once; its saved state may be dropped.
 */
void peer_add_again(struct peer *p, bool forgets);
void peer_goes_at(struct peer *p, int64_t at_us, enum node_end how, int64_t away_us);

void peer_tell(const struct peer *p); /* all about it, to the trace */
bool peer_wants_file(const struct peer *p, size_t file);
bool peer_bans(const struct peer *p, const struct peer *other);

/* The least time in which a fluid could do it: seconds, for peers that start now. */
double swarm_ideal_s(const struct swarm *s);

/* What must be so at the end; breaks the run if it is not. Ends everything. */
void swarm_end(struct swarm *s);

#endif
