/* catalog/priv: the actor, and what its files share.
 *
 * Who does what: look.c compares folders with the index (a job), feed.c has files read (jobs of
 * store/intake) and records the results, settle.c forgets what is gone and makes versions (a job),
 * hear.c turns what the system tells into looks, actor.c decides when. All writes are made by jobs or
 * submitted by the actor; each re-reads the entries that it changes, so their order does not matter. */
#ifndef CATALOG_PRIV_H
#define CATALOG_PRIV_H

#include "catalog/catalog.h"
#include "catalog/index.h"
#include "loop/pool.h"
#include "store/intake.h"
#include "sys/notify.h"
#include "sys/thread.h"

enum {
    LOOKS_MAX = 4096,      /* folders and names to be looked at; of more, the collection is walked */
    LOOK_NAMES = 512,      /* names compared in one slice of a look, and changes in one write */
    FEED_MAX = 64,         /* files with store/intake at a time: four for each of its lanes */
    REPORTS_MAX = 1024,    /* of doors, not looked at yet */
    LINES_MAX = 8,         /* for the log, of one job */
    LINE_MAX = 400,
    GRAIN_MS = 100,        /* file times tick: every 1 to 10 ms on Linux */
    COARSE_MS = 2100,      /* ... where they have no parts of seconds: FAT writes every second one */
    SETTLE_ROWS = 512,     /* entries forgotten in one write */
};

/* Lines that a job has for the log. */
struct lines {
    char text[LINES_MAX][LINE_MAX];
    bool is_warning[LINES_MAX];
    unsigned n, more;
};
void lines_add(struct lines *l, bool is_warning, const char *fmt, ...) TARN_PRINTF(3, 4);

/* A folder to be compared with the index, or one name in it. */
struct look {
    struct tarn_list node;
    uint32_t collection;
    uint64_t folder;
    bool is_deep;   /* and all folders below; else only what is new or was replaced */
    bool is_walk;   /* of the whole collection: counts what is skipped, and completes the first one */
    bool is_closed; /* its writer has closed it */
    bool is_doubted; /* something wrote to it, or a door saw it changed: a file that is gone now is not
                        believed elsewhere */
    /* The walk: where it stands in each folder above. stack[0] is `folder`. */
    struct look_level *stack;
    size_t depth, cap;
    uint64_t links, special, hidden; /* skipped */
    char sample[CATALOG_NAME_MAX + 1]; /* the first of them */
    size_t name_len; /* 0: the whole folder */
    char name[CATALOG_NAME_MAX + 1];
};
struct look_level {
    uint64_t folder;
    bool is_listed;  /* all of its names were compared; now the folders in it */
    uint16_t len;
    char after[CATALOG_NAME_MAX]; /* the last name done */
};

struct catalog {
    struct loop *loop;
    struct kv *kv;
    unsigned base;
    struct catalog_leaves *leaves; /* owned */
    struct store_intake *intake;   /* owned */
    struct sys_notify *notify;     /* owned; NULL: the system does not tell */
    struct catalog_ops ops;
    void *arg;
    char *state_path; /* owned; NULL: none */
    struct sys_stat state_stat; /* of it */
    bool has_state;
    int64_t quiet_ms, walk_every_us, walk_anyway_us, scrub_every_us;
    uint64_t scrub_rate_bps, journal_max, versions_max;
    _Atomic uint64_t seq;      /* of the journal, as committed */
    _Atomic bool is_ending;    /* jobs stop soon */

    /* the loop's thread */
    struct actor *actor; /* owned: actor.c */
    struct feed *feed;   /* owned: feed.c */
    uint64_t told_seq;
    struct loop_idle tell;

    /* any thread */
    struct sys_lock lock; /* of reports */
    uint64_t reports[REPORTS_MAX];
    size_t n_reports;
    bool too_many_reports, is_report_posted;
    struct loop_msg report_msg;
};

/* Where a collection lies on disk, and an entry. */
bool disk_root(const struct kv_read *r, unsigned base, uint32_t collection,
               struct row_collection *col, struct tarn_err *err) TARN_MUST;

/* Write and wait. fill is the caller's change; called again with a fresh index when the write is run
 * again. Frees what the write gave back in the sidecar once it is committed. A job's thread. */
typedef bool index_change(struct index_write *w, void *arg, struct tarn_err *err);
bool catalog_write(struct catalog *c, index_change *change, void *arg, struct tarn_err *err) TARN_MUST;

bool is_beyond_belief(const struct sys_stat *now, const struct sys_stat *then);

#endif
