/* catalog/priv: the actor, and what its files share.
 *
 * Who does what: look.c compares folders with the index (a job), feed.c has files read (jobs of
 * store/intake) and records the results, settle.c forgets what is gone and makes versions (a job),
 * hear.c turns what the system tells into looks, actor.c decides when. All writes are made by jobs
 * or submitted by the actor; each re-reads the entries that it changes, so their order does not
 * matter. */
#ifndef CATALOG_PRIV_H
#define CATALOG_PRIV_H

#include "catalog/catalog.h"
#include "catalog/index.h"
#include "loop/pool.h"
#include "store/intake.h"
#include "sys/notify.h"
#include "sys/thread.h"

enum {
    LOOKS_MAX = 4096, /* folders and names to be looked at; of more, the collection is walked */
    LOOK_NAMES = 256, /* names compared in one slice of a look, and changes in one write */
    FEED_MAX = 256,   /* files with store/intake at a time, and recorded in one write */
    REPORTS_MAX =
        4096,      /* of doors and jobs, not looked at yet; pages that are not used cost nothing */
    LINES_MAX = 8, /* for the log, of one job */
    LINE_MAX = 400,
    GRAIN_MS = 100,    /* file times tick: every 1 to 10 ms on Linux */
    COARSE_MS = 2100,  /* ... where they have no parts of seconds: FAT writes every second one */
    SETTLE_ROWS = 512, /* entries forgotten in one write */
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
    uint32_t collection; /* of a walk; else 0 */
    uint64_t folder;     /* 0 in a walk until it begins */
    bool is_deep;        /* and all folders below; else only what is new or was replaced */
    bool is_walk; /* of the whole collection: counts what is skipped, and completes the first one */
    bool is_asked;  /* somebody wants it: what was refused is tried again */
    bool is_closed; /* its writer has closed it */
    /* Something wrote to it, or a door saw it changed: when it is gone now, it is not believed
     * elsewhere. */
    bool is_doubted;
    /* A deep one: where it stands in each folder on the way. stack[0] is `folder`. Owned. */
    struct look_level *stack;
    size_t depth, cap;
    const char **names; /* of the folder on top; owned; NULL: not listed yet */
    size_t n_names, at;
    uint64_t links, special, hidden;   /* skipped */
    char sample[CATALOG_NAME_MAX + 1]; /* the first of them */
    bool was_disturbed;                /* once more when it is over */
    size_t name_len;                   /* 0: the whole folder */
    char name[CATALOG_NAME_MAX + 1];
    /* folder and name: where the actor finds a look that is in line already */
    size_t key_len;
    uint8_t key[8 + CATALOG_NAME_MAX];
};
struct look_level {
    uint64_t folder;
    bool is_compared; /* all of its names; now the folders in it */
    bool has_folders;
    uint16_t len;
    uint8_t after[CATALOG_NAME_MAX]; /* the last name done */
};
struct look *look_new(uint64_t folder, struct tarn_bytes name);
void look_free(struct look *l);

/* A slice of a look: some 50 ms of it. */
struct look_job {
    struct loop_job job;
    struct catalog *c;
    struct look *look; /* borrowed */
    /* out */
    bool is_over, is_failed;
    bool is_away;              /* the collection's folder is not there */
    bool is_deaf;              /* no more folders can be watched */
    bool is_again;             /* something else changed meanwhile: compare this folder again */
    bool wants_walk;           /* the collection's folder is another one */
    uint32_t collection;       /* that it was in */
    struct row_entry replaced; /* a folder that is another one now; id 0: none */
    uint64_t deep[LOOK_NAMES]; /* folders that are new: each needs a look of its own */
    size_t n_deep;
    struct tarn_err err;
    struct lines lines;
    /* private; owned */
    bool saw_folder;
    bool is_fresh; /* the folder is compared from its first name on, with all below */
    struct row_entry *rows;
    size_t n_rows;
    struct look_op *ops;
    size_t n_ops;
};
bool look_job_init(struct look_job *j, struct catalog *c, struct tarn_err *err) TARN_MUST;
void look_job_release(struct look_job *j);
void look_job_run(struct loop_job *job); /* the function of the job; fill in look first */

struct catalog {
    struct loop *loop;
    struct kv *kv;
    unsigned base;
    struct catalog_leaves *leaves; /* owned */
    struct store_intake *intake;   /* owned */
    struct sys_notify *notify;     /* owned; NULL: the system does not tell */
    struct catalog_ops ops;
    void *arg;
    char *state_path;           /* owned; NULL: none */
    struct sys_stat state_stat; /* of it */
    bool has_state;
    int64_t quiet_ms, walk_every_us, walk_anyway_us, scrub_every_us;
    uint64_t scrub_rate_bps, journal_max, versions_max;
    _Atomic uint64_t seq;   /* of the journal, as committed */
    _Atomic bool is_deaf;   /* some folders are not watched */
    _Atomic bool is_ending; /* jobs stop soon */

    /* the loop's thread */
    struct actor *actor;         /* owned: actor.c */
    struct feed *feed;           /* owned: feed.c */
    struct check *check;         /* owned: check.c */
    struct lost *lost;           /* owned: lost.c */
    struct tarn_list asks;       /* publish.c */
    struct tarn_list configures; /* configure.c */
    uint64_t configures_asked;   /* and how many of them there were so far */
    uint64_t configured;         /* the newest that was written: the writer's thread */
    struct tarn_list notes;      /* note.c: on their way into the index */

    /* any thread */
    struct sys_lock lock; /* of reports, and of those in lost.c */
    struct report {
        uint64_t entry; /* or, when name_len is not 0, the folder */
        bool is_doubted;
        uint8_t name_len;
        uint8_t name[CATALOG_NAME_MAX];
    } reports[REPORTS_MAX];
    size_t n_reports;
    bool too_many_reports;
    struct loop_msg report_msg;
    bool is_report_out; /* posted, and not taken yet */
};

/* Write and wait. The change starts from a fresh index when the write is run again. What it gave
 * back in the sidecar is free once it is committed. A job's thread. */
typedef bool index_change(struct index_write *w, void *arg, struct tarn_err *err);
bool catalog_write(struct catalog *c, index_change *change, void *arg, struct tarn_err *err)
    TARN_MUST;

/* The journal is committed up to this number. Any thread. */
void catalog_raise_seq(struct catalog *c, uint64_t seq);
void note_cancel(struct catalog *c); /* those under way are written, and nobody is told */

/* --- actor.c: the loop's thread --- */

/* Something was written, or a job has ended: see what is next. */
void actor_kick(struct catalog *c);
void actor_say(struct catalog *c, const struct lines *l);
/* Nothing can be recorded (a full disk): said once, until the index takes something again. */
void actor_fault(struct catalog *c, const char *what, const struct tarn_err *why);
void actor_look_name(struct catalog *c, uint64_t folder, struct tarn_bytes name, bool is_closed,
                     bool is_doubted);
void actor_look_deep(struct catalog *c, uint64_t folder);
/* asked: by somebody, who wants what was refused to be tried again. */
void actor_walk(struct catalog *c, uint32_t collection, bool is_asked);
void actor_walk_all(struct catalog *c, bool is_asked);
void actor_settle(struct catalog *c); /* something is gone, or a collection may be complete */
void actor_forget(struct catalog *c, uint32_t collection);
struct actor *actor_new(struct catalog *c, struct tarn_err *err) TARN_MUST;
void actor_free(struct actor *a);      /* accepts NULL */
void actor_reports(struct catalog *c); /* what doors have reported is looked at */
void actor_drop(struct catalog *c);    /* entries of collections that are no more */

/* --- feed.c: the loop's thread --- */

struct feed *feed_new(struct catalog *c, struct tarn_err *err) TARN_MUST;
void feed_free(struct feed *f); /* accepts NULL; after the intake is gone */
void feed_kick(struct feed *f); /* something may wait */
bool feed_is_idle(const struct feed *f);
/* Look for space of the sidecar that nothing refers to, as soon as no file is being read. */
void feed_sweep(struct feed *f);

/* --- sweep.c --- */

/* What is free in the sidecar is all that no record refers to. A job's thread; nobody may put
 * anything into the sidecar meanwhile. */
bool sweep_run(struct catalog *c, struct tarn_err *err) TARN_MUST;

/* --- check.c: the loop's thread --- */

struct check *check_new(struct catalog *c, struct tarn_err *err) TARN_MUST;
void check_free(struct check *k); /* accepts NULL */
bool check_is_running(const struct check *k);

/* --- lost.c: the loop's thread --- */

struct lost *lost_new(struct catalog *c, struct tarn_err *err) TARN_MUST;
void lost_free(struct lost *l); /* accepts NULL; after all who may report */
bool lost_is_idle(struct lost *l);

/* --- settle.c --- */

struct settle_job {
    struct loop_job job;
    struct catalog *c;
    /* out */
    bool is_failed;
    struct tarn_err err;
    struct lines lines;
    uint64_t names[64]; /* where folders were forgotten: something else may have their names */
    size_t n_names;
    /* private */
    uint64_t ids[SETTLE_ROWS], folders[SETTLE_ROWS]; /* considered; folders forgotten */
    size_t n_folders;
    size_t n_ids, n_forgotten;
};
void settle_run(struct loop_job *job);

/* --- publish.c --- */

/* Entries of collections that are no more, some at a time; is_over when there are none left. */
struct drop_job {
    struct loop_job job;
    struct catalog *c;
    bool is_over, is_failed;
    struct tarn_err err;
};
void drop_run(struct loop_job *job);
/* Somebody should look at this entry again. Any thread. */
void report(struct catalog *c, uint64_t entry, bool is_doubted);
void report_name(struct catalog *c, uint64_t folder, struct tarn_bytes name);
void publish_cancel(struct catalog *c); /* asks under way are forgotten */

/* --- configure.c --- */

void configure_cancel(struct catalog *c); /* likewise */

#endif
