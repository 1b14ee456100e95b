/* node/parts: what a node is made of: for the files of this room alone. */
#ifndef NODE_PARTS_H
#define NODE_PARTS_H

#include "catalog/catalog.h"
#include "fetch/fetch.h"
#include "loop/loop.h"
#include "node/derived.h"
#include "node/doors.h"
#include "node/node.h"
#include "node/seeding.h"
#include "node/singles.h"
#include "node/sockets.h"
#include "node/torrents.h"

#include <stdatomic.h>

enum node_state { NODE_STARTING, NODE_RUNNING, NODE_STOPPING, NODE_STOPPED };

/* What is wrong just now, for people: shown by `tarn status` until it is cured. */
enum { NODE_FAULTS_MAX = 20 };
struct node_fault {
    char about[16]; /* the part, and what it may be cured by */
    char text[400];
    int64_t since_ms;
};

struct node {
    struct node_settings set; /* strings are borrowed, config is moved to the next line */
    struct node_config *config;
    struct node_home home;
    struct node_log *log;
    struct loop *loop;
    struct fetcher *fetcher;

    /* holdings.c */
    struct kv *kv;
    struct catalog *catalog;
    struct bt_resume_files *resume; /* these five NULL: BitTorrent is off */
    struct bt_session *bt;
    struct node_torrents *torrents;
    struct node_seeding *seeding;
    struct node_singles *singles;
    _Atomic bool is_seeding; /* seeding is there: for other threads */
    struct node_wants wants; /* of other threads: of singles */
    char agent[64];          /* what the session calls itself */
    size_t n_bt_addrs;
    int64_t bt_again_us;        /* it could not be opened: tried again from then on */
    uint64_t hash_rate, hashed; /* bytes a second that are read now; bytes at hashed_us */
    int64_t hashed_us;          /* 0: nothing was being read */
    struct derived_from from;   /* what torrents say of where we are: the same from start to end */
    char *public_base, **trackers; /* owned: of from */
    struct tarn_list asks;         /* of the catalog, under way: what is to be published */
    struct tarn_list left_calls;   /* admin.c: asked something, and their clients went */
    unsigned n_wanted;             /* of asks: those that a start fails without */
    struct tarn_err unpublished;   /* why one of them failed; code 0: none did */

    struct node_sockets sockets; /* until the doors have taken them */
    struct node_doors doors;
    enum node_state state;
    int64_t started_ms;          /* wall clock */
    char *public_url, *page_url; /* owned; NULL: none */
    struct node_fault faults[NODE_FAULTS_MAX];
    size_t n_faults;

    /* service.c */
    int signals; /* descriptor; -1: not caught */
    struct loop_watch signals_watch;
    struct loop_timer tick; /* status and watchdog */
    int64_t watchdog_us, told_us;
    bool is_told; /* there is somebody to tell how things are */
    char told[200];

    bool reloads_again; /* when it runs, or the last reload has reached all doors */

    /* stopping */
    unsigned parts_left; /* that have not finished yet */
    struct loop_timer last_moment;
};

/* ---- holdings.c: the index, the catalog, BitTorrent ---- */

/* Tables of the index. */
enum {
    NODE_TABLE_CATALOG,
    NODE_TABLE_TORRENT = CATALOG_TABLES,
    NODE_TABLE_SEEDING,
    NODE_TABLE_SINGLE,
    NODE_TABLES
};

bool node_holdings_open(struct node *n, struct tarn_err *err) TARN_MUST;
/* BitTorrent is opened when something is to be shared by it. */
bool node_bt_need(struct node *n, struct tarn_err *err) TARN_MUST;
void node_bt_look(struct node *n);
/* Any thread: a file's own torrent was handed out, so that somebody may ask for it. */
void node_want_single(struct node *n, const uint8_t hash[SINGLES_HASH]);
/* A new configuration: collections that are new, changed or gone in it. */
void node_holdings_reload(struct node *n);
/* Tell trackers, save state; then node_part_stopped. */
void node_holdings_stop(struct node *n);
void node_holdings_close(struct node *n);
/* When the loop has gone, in which answers to them may lie: asks that nobody answers any more. */
void node_holdings_forget(struct node *n);

/* ---- service.c: signals, and what the service manager hears ---- */

bool node_service_open(struct node *n, struct tarn_err *err) TARN_MUST;
void node_service_close(struct node *n);
/* "READY=1", "STOPPING=1" ...; with the status line behind it. */
void node_service_tell(struct node *n, const char *what);

/* ---- node.c ---- */

void node_fault_add(struct node *n, const char *about, const char *text);
void node_fault_cure(struct node *n, const char *about);
/* A part has finished stopping. */
void node_part_stopped(struct node *n);

#endif
