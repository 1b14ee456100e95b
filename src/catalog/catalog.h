/* catalog: what this node holds: collections (published folders), their files by identity, and a
 * journal of what changed.
 *
 * Two halves. The actor (struct catalog) lives on one loop: it walks the folders, listens to the
 * system (sys/notify), has new and changed files read once each (store/intake) and is the only one
 * that writes the catalog's tables. Reads (struct catalog_read) are snapshots of the index that any
 * thread may take at any time, without a lock; they see what was committed when they began, and
 * nothing of later.
 *
 * Identity is the pair (BitTorrent v2 file root, length); an empty file has root 0. Names and paths
 * are bytes; within a collection they are relative, parts joined by '/', and "" is the collection
 * itself.
 *
 * What a door may serve: the bytes of an entry in state CATALOG_HELD, opened by catalog_open (which
 * compares the file's stat with the one that the identity was read under), and only as long as a
 * stat after the body is the same. A door that sees another one calls catalog_report_changed. */
#ifndef CATALOG_CATALOG_H
#define CATALOG_CATALOG_H

#include "base/out.h"
#include "catalog/leaves.h"
#include "kv/kv.h"
#include "loop/loop.h"
#include "sys/file.h"

enum {
    CATALOG_NAME_MAX = 255,   /* of one part of a path, and of a collection's name */
    CATALOG_PATH_MAX = 4095,  /* of a whole path; PATH_MAX of Linux without its NUL */
    CATALOG_DEPTH_MAX = 128,  /* folders below one another; what lies deeper is refused */
    CATALOG_KEY_LEN = 32 + 8, /* of an identity as a key: root, be64 of the length */
};

/* ---- identity ---- */

struct catalog_identity {
    uint8_t root[32]; /* zeros for an empty file */
    uint64_t len;
};

/* What is known of an identity besides: the same for all files that have it. */
struct catalog_known {
    uint8_t sha256[32];
    struct catalog_run
        leaves;            /* catalog/leaves.h; none for a file of one leaf, which is its root */
    uint32_t v1_piece_len; /* 0: no v1 pieces (of the length asked for) are known; else of these: */
    struct catalog_run pieces; /* whole ones */
    bool has_tail;             /* there are bytes behind them; their hash, and with zeros behind: */
    uint8_t tail[20], tail_padded[20];
};

/* ---- collections ---- */

enum catalog_policy { CATALOG_PUBLIC, CATALOG_PARTNERS, CATALOG_MINE };
enum catalog_bt { CATALOG_BT_OFF, CATALOG_BT_V1, CATALOG_BT_V2, CATALOG_BT_HYBRID };
enum catalog_origin { CATALOG_COMMANDED, CATALOG_CONFIGURED };

/* Of a spec: what a folder that is published already keeps as it is, because nobody said it. */
enum catalog_keep {
    CATALOG_KEEP_NAME = 1 << 0, /* name is NULL */
    CATALOG_KEEP_POLICY = 1 << 1,
    CATALOG_KEEP_BT = 1 << 2,
    CATALOG_KEEP_HTTP = 1 << 3,
    CATALOG_KEEP_HIDDEN = 1 << 4,
    CATALOG_KEEP_LINKS = 1 << 5,
    CATALOG_KEEP_ALL = (1 << 6) - 1,
};

/* What somebody wants of a collection. Strings are borrowed for the call. */
struct catalog_spec {
    const char *path; /* a folder; made absolute and free of symlinks */
    const char *name; /* NULL: the folder's own name. UTF-8, one part of a path, no '.' in front */
    enum catalog_policy policy;
    enum catalog_bt bt;
    bool http;
    bool hidden; /* names that begin with '.' too; else they are skipped and counted */
    bool links;  /* symlinks to regular files inside the collection too */
    enum catalog_origin origin; /* what is configured cannot be changed or removed by command */
    uint32_t piece_len;         /* 0: chosen at the first complete listing; kept from then on */
    /* enum catalog_keep, or 0: all of it was said. Which folder is meant is known when the path has
     * been followed, so the catalog does this, not who asks. A new collection has what stands
     * above. */
    unsigned keep;
};

enum catalog_phase {
    CATALOG_LISTING,  /* the first walk is not over yet */
    CATALOG_READING,  /* listed; some files are being read or wait for it */
    CATALOG_COMPLETE, /* every file that is not refused is held */
    CATALOG_AWAY, /* the folder is not there (a disk not mounted?): entries are kept, none served */
};

struct catalog_collection {
    uint32_t id;
    uint64_t folder; /* the entry of the collection's own folder: parent of its first level */
    struct tarn_bytes name, path; /* borrowed from the read; path is absolute */
    enum catalog_policy policy;
    enum catalog_bt bt;
    bool http, hidden, links;
    enum catalog_origin origin;
    enum catalog_phase phase;
    uint32_t piece_len;    /* of its torrents; 0 before the first complete listing */
    uint64_t version;      /* the newest complete one; 0: never complete so far */
    uint64_t files, bytes; /* that are listed */
    uint64_t held_files, held_bytes;
    uint64_t refused; /* files that cannot be read, and names that cannot be taken */
    uint64_t skipped_links, skipped_special, skipped_hidden;
    int64_t added_ms;   /* wall clock */
    uint8_t digest[32]; /* of the version: SHA-256 over all (path, identity) in order */
};

/* ---- entries ---- */

enum catalog_kind { CATALOG_FILE, CATALOG_FOLDER };

enum catalog_state {
    CATALOG_HELD,    /* the bytes are those of the identity */
    CATALOG_WAITING, /* new: being read, or waiting until it has been quiet */
    CATALOG_CHANGED, /* was held, differs now: waits to be read; identity is the old one */
    CATALOG_MISSING, /* gone a moment ago; forgotten soon, unless it turns up elsewhere */
    CATALOG_REFUSED, /* cannot be read: reason says why. Tried again when it changes, and at each
                        walk */
    CATALOG_DAMAGED, /* scrub: other bytes under the same stat. Not served until it changes */
};

struct catalog_entry {
    uint64_t id, parent; /* numbers that are never used again */
    uint32_t collection;
    enum catalog_kind kind;
    enum catalog_state state; /* of a file; folders are held */
    struct tarn_bytes name;   /* borrowed from the read */
    bool has_identity; /* valid for HELD and, as the last known one, CHANGED, MISSING, DAMAGED */
    struct catalog_identity identity;
    struct sys_stat stat;     /* of the bytes that have the identity; else as last seen */
    struct tarn_bytes reason; /* REFUSED, DAMAGED: a sentence; borrowed from the read */
    bool is_link;             /* reached by a symlink */
};

/* ---- reading: any thread ---- */

struct catalog;

struct catalog_read {
    struct catalog *c;
    struct kv_read kv;
};

/* A snapshot. Short: one request, one page of a listing; never across a wait. */
bool catalog_read_begin(struct catalog *c, struct catalog_read *r, struct tarn_err *err) TARN_MUST;
void catalog_read_end(struct catalog_read *r);

enum catalog_found { CATALOG_NOT_THERE, CATALOG_FOUND, CATALOG_FAILED };

enum catalog_found catalog_collection_get(struct catalog_read *r, uint32_t id,
                                          struct catalog_collection *out, struct tarn_err *err)
    TARN_MUST;
enum catalog_found catalog_collection_named(struct catalog_read *r, struct tarn_bytes name,
                                            struct catalog_collection *out, struct tarn_err *err)
    TARN_MUST;
/* The one with the smallest number above after: start with 0. */
enum catalog_found catalog_collection_next(struct catalog_read *r, uint32_t after,
                                           struct catalog_collection *out, struct tarn_err *err)
    TARN_MUST;

/* By path below the collection; "" is its folder. Empty parts, "." and ".." are not there. */
enum catalog_found catalog_find(struct catalog_read *r, const struct catalog_collection *in,
                                struct tarn_bytes path, struct catalog_entry *out,
                                struct tarn_err *err) TARN_MUST;
enum catalog_found catalog_get(struct catalog_read *r, uint64_t id, struct catalog_entry *out,
                               struct tarn_err *err) TARN_MUST;
/* What lies in a folder, in order of names as bytes: the first name behind after ("": from the
 * start). */
enum catalog_found catalog_next(struct catalog_read *r, uint64_t folder, struct tarn_bytes after,
                                struct catalog_entry *out, struct tarn_err *err) TARN_MUST;
/* All files below a collection, in the order of its torrents (folder by folder, names as bytes, a
 * file tree walked depth first). Zero the walk, set collection, and call until it says
 * CATALOG_NOT_THERE. path is of the file. The walk may go on in a later read: it remembers names,
 * not places. */
struct catalog_walk {
    uint32_t collection;
    struct tarn_bytes path; /* out; points into text */
    /* private */
    char text[CATALOG_PATH_MAX + 1];
    size_t len;
    unsigned depth;
    struct {
        uint64_t folder;
        uint16_t at; /* where its names begin in text */
    } stack[CATALOG_DEPTH_MAX + 1];
    bool is_begun;
};
enum catalog_found catalog_walk_next(struct catalog_read *r, struct catalog_walk *w,
                                     struct catalog_entry *out, struct tarn_err *err) TARN_MUST;
/* Begin, or go on, behind this path, which need not be there any more. CATALOG_NOT_THERE: no such
 * collection. */
enum catalog_found catalog_walk_behind(struct catalog_read *r, struct catalog_walk *w,
                                       struct tarn_bytes path, struct tarn_err *err) TARN_MUST;

/* Some held file with this identity in a collection of at most this policy (CATALOG_PUBLIC: public
 * ones only; CATALOG_MINE: any). */
enum catalog_found catalog_find_identity(struct catalog_read *r, const struct catalog_identity *id,
                                         enum catalog_policy most, struct catalog_entry *out,
                                         struct tarn_err *err) TARN_MUST;
/* All entries with an identity, in order of their numbers: the next above after. */
enum catalog_found catalog_place_next(struct catalog_read *r, const struct catalog_identity *id,
                                      uint64_t after, struct catalog_entry *out,
                                      struct tarn_err *err) TARN_MUST;
/* With v1 pieces of the length that was known first. */
enum catalog_found catalog_known(struct catalog_read *r, const struct catalog_identity *id,
                                 struct catalog_known *out, struct tarn_err *err) TARN_MUST;
/* With v1 pieces of this length, or none: collections that share a file may have other lengths. */
enum catalog_found catalog_known_v1(struct catalog_read *r, const struct catalog_identity *id,
                                    uint32_t piece_len, struct catalog_known *out,
                                    struct tarn_err *err) TARN_MUST;

/* The file of hashes that catalog_known's runs are in. */
struct catalog_leaves *catalog_hashes(struct catalog *c);

/* The path of an entry below its collection, into o (appended). */
bool catalog_path(struct catalog_read *r, const struct catalog_entry *e, struct tarn_out *o,
                  struct tarn_err *err) TARN_MUST;
/* The path on disk, with a NUL: tarn_free. NULL on failure. */
char *catalog_disk_path(struct catalog_read *r, const struct catalog_entry *e, struct tarn_err *err)
    TARN_MUST;

/* Open a held file. May wait for a disk (a job, or a door that knows the folder is warm).
 * CATALOG_FOUND *out has at_open equal to e->stat; CATALOG_NOT_THERE it is gone or has changed
 * (already reported); CATALOG_FAILED err says why. */
enum catalog_found catalog_open(struct catalog_read *r, const struct catalog_entry *e,
                                struct sys_file **out, struct tarn_err *err) TARN_MUST;
/* Still the bytes that were opened? Compares size, times and inode (not the device: a number that
 * changes from boot to boot). */
bool catalog_stat_same(const struct sys_stat *a, const struct sys_stat *b);

/* ---- the journal ---- */

enum catalog_event {
    CATALOG_E_ADDED,    /* a file is held that was not (identity) */
    CATALOG_E_REPLACED, /* a changed file is held again (identity: the new one) */
    CATALOG_E_CHANGED,  /* a held file differs: its identity is not served any more (identity: the
                           old) */
    CATALOG_E_MOVED,    /* path is the new one; other the old; identity unchanged */
    CATALOG_E_REMOVED,  /* gone (identity: what it had) */
    CATALOG_E_REFUSED,  /* cannot be read: other is the reason */
    CATALOG_E_DAMAGED,  /* scrub found other bytes: other says where */
    CATALOG_E_COLLECTION_ADDED,
    CATALOG_E_COLLECTION_CHANGED, /* policy, bt, http, name */
    CATALOG_E_COLLECTION_REMOVED,
    CATALOG_E_COLLECTION_COMPLETE, /* number is the version */
    CATALOG_E_COLLECTION_AWAY,
    CATALOG_E_COLLECTION_BACK,
    CATALOG_E_NOTE, /* of the owner (catalog_note): number, name; path is its word, other the rest
                     */
};

struct catalog_change {
    uint64_t seq;  /* 1, 2, 3, ... without gaps */
    int64_t at_ms; /* wall clock */
    enum catalog_event event;
    uint32_t collection;
    uint64_t entry; /* 0 for events of collections */
    bool has_identity;
    struct catalog_identity identity;
    uint64_t number;
    struct tarn_bytes name; /* of the collection; all borrowed from the read */
    struct tarn_bytes path; /* below the collection */
    struct tarn_bytes other;
};

/* The first change after since. CATALOG_NOT_THERE: none yet. CATALOG_FAILED with TARN_E_NOT_FOUND:
 * those numbers were dropped (err says from where on they are kept: list again, then go on from
 * catalog_seq), or since is beyond the newest (another index?). */
enum catalog_found catalog_change_next(struct catalog_read *r, uint64_t since,
                                       struct catalog_change *out, struct tarn_err *err) TARN_MUST;
/* Number of the newest committed change; 0: none. Any thread, no read needed. */
uint64_t catalog_seq(const struct catalog *c);
/* The newest in this snapshot, and the oldest that is kept. */
bool catalog_journal_span(struct catalog_read *r, uint64_t *oldest, uint64_t *newest,
                          struct tarn_err *err) TARN_MUST;

/* ---- versions ---- */

struct catalog_version {
    uint64_t number; /* 1, 2, ... of this collection */
    int64_t at_ms;
    uint64_t files, bytes;
    uint64_t added, removed, replaced, moved; /* files, since the version before */
    uint8_t digest[32];
};
/* The newest below before (UINT64_MAX: the newest of all). */
enum catalog_found catalog_version_before(struct catalog_read *r, uint32_t collection,
                                          uint64_t before, struct catalog_version *out,
                                          struct tarn_err *err) TARN_MUST;

/* ---- totals ---- */

struct catalog_totals {
    uint64_t collections;
    uint64_t files;           /* held, each name counted */
    uint64_t bytes_published; /* of held files, each name counted */
    uint64_t identities;      /* different contents among them */
    uint64_t bytes_stored; /* each content counted once for each different file on disk (inode) */
    uint64_t waiting;      /* files that are to be read */
    uint64_t waiting_bytes;
};
bool catalog_totals(struct catalog_read *r, struct catalog_totals *out, struct tarn_err *err)
    TARN_MUST;

/* ---- the actor: the loop's thread ---- */

struct catalog_progress {
    uint64_t files_done, bytes_done;       /* hashed since the start */
    uint64_t files_waiting, bytes_waiting; /* as far as they are known */
    bool is_walking, is_scrubbing;
    bool hears_changes; /* false: no notification here; folders are walked every walk_every_ms */
};

/* All on the loop's thread. NULL: not wanted. */
struct catalog_ops {
    /* The journal has grown, up to seq: read it. Gathered: one call a turn. */
    void (*on_changes)(void *arg, uint64_t seq);
    void (*on_progress)(void *arg, const struct catalog_progress *p); /* at most 5 a second */
    /* Hashes of held files are there that were lost (catalog_report_lost) or not known before (v1
     * pieces): of some files, not of all perhaps. A collection may have become complete by that,
     * without a new version. Worth trying again what failed, or waited, for want of them. */
    void (*on_hashes)(void *arg);
    /* What is found cannot be recorded: one sentence, told once. NULL: it can again. */
    void (*on_fault)(void *arg, const char *sentence);
    /* A line for the log: one sentence that a person can act on. */
    void (*on_line)(void *arg, bool is_warning, const char *line);
};

/* How far the reading again of held files (a scrub, catalog_check) has come. A round goes on where
 * it was after a restart, and its figures with it. */
struct catalog_check_progress {
    bool is_running;     /* false: none is under way (nor paused); only ended_ms is set */
    uint32_t collection; /* the round is of this one; 0: of all */
    /* Of bytes and files held; every name counts. What is to be checked is counted anew as files
     * come and go, never below what was checked, so only the end of a round says that all was. */
    uint64_t files_done, files;
    uint64_t bytes_done, bytes;
    uint64_t bad;       /* files that were not what they should be, so far */
    uint64_t rate;      /* bytes a second since it began, or went on after a start; 0: not known */
    int64_t started_ms; /* wall clock: when the round began */
    int64_t ended_ms;   /* the last round of all that came to its end; 0: none yet */
    /* The file under way; path NULL: between two files. */
    const char *path;         /* below its collection, behind links; until the loop's next turn */
    uint32_t path_collection; /* that it is in */
    uint64_t entry;           /* its number */
    uint64_t file_done, file_bytes;
};

struct catalog_settings {
    struct loop *loop;
    struct kv *kv;        /* opened with catalog_tables among its tables, schema CATALOG_SCHEMA */
    unsigned first_table; /* where they begin in its list */
    const char *leaves_path; /* the sidecar file; beside the index */
    const char
        *state_path;  /* the node's own folder: skipped where it lies in a collection; or NULL */
    int64_t quiet_ms; /* hash a file that has not changed for so long; 0: 3 s */
    int64_t walk_every_ms; /* where nothing is heard of changes; 0: 60 s */
    int64_t
        walk_anyway_ms; /* where it is: a walk all the same, for what goes by unheard; 0: a day */
    int64_t scrub_every_ms;  /* 0: never by itself */
    uint64_t scrub_rate_bps; /* bytes a second; 0: 32 MiB */
    uint64_t journal_max;    /* changes kept; 0: 100,000 */
    uint64_t versions_max;   /* versions kept of each collection; 0: 1000 */
    struct catalog_ops ops;
    void *arg;
};

/* The catalog's tables: names for kv_open, in this order. */
enum { CATALOG_TABLES = 14, CATALOG_SCHEMA = 1 };
extern const char *const catalog_tables[CATALOG_TABLES];

struct catalog *catalog_new(const struct catalog_settings *set, struct tarn_err *err) TARN_MUST;
/* Jobs under way are cancelled and waited for. Nothing is called back. Accepts NULL. */
void catalog_free(struct catalog *c);

/* What is asked of the actor. The caller's storage until done, which comes on the loop's thread,
 * never from within the call. */
struct catalog_ask {
    void (*done)(struct catalog_ask *a);
    bool is_ok;
    struct tarn_err err;
    uint32_t collection;   /* the number of the collection */
    struct loop_msg later; /* private */
};

/* Publish a folder, or change what is wanted of the collection of that name (same path): policy,
 * bt, http, hidden, links, but for what spec->keep leaves as it is. Refused: a folder inside
 * another collection or around one (TARN_E_USAGE), a name that is taken by another path, a path
 * that is no folder. The answer comes when it is recorded; the walk begins then. */
void catalog_publish(struct catalog *c, const struct catalog_spec *spec, struct catalog_ask *ask);
/* Forget a collection. Files stay where they are. by: CATALOG_COMMANDED may not remove what is
 * configured (TARN_E_POLICY). */
void catalog_unpublish(struct catalog *c, uint32_t collection, enum catalog_origin by,
                       struct catalog_ask *ask);

/* All that a configuration wants published (origin CATALOG_CONFIGURED), in one write. A collection
 * is the same as before when its folder is: it takes another name, and nothing is read again; those
 * that were configured and are not any more are forgotten. So their order does not matter, and
 * names may be exchanged. Where a folder cannot be found, what was configured under that name or
 * path stays as it was, and so does what is CATALOG_AWAY. */
struct catalog_configure_ask {
    /* Before done: what is not published, and why. */
    void (*refused)(struct catalog_configure_ask *a, const struct tarn_err *why);
    void (*done)(struct catalog_configure_ask *a);
    struct loop_msg later; /* private */
};
/* The newest counts: one that is overtaken does nothing. */
void catalog_configure(struct catalog *c, const struct catalog_spec *specs, size_t n,
                       struct catalog_configure_ask *ask);

/* Walk it now (0: all); reads nothing that has not changed. */
void catalog_look(struct catalog *c, uint32_t collection);
/* Read held files again and compare them with their leaves: of one collection, or of all (0). While
 * such a check is under way: another one after it (of all, when several are asked for). One that
 * could not record what it found, and waits, goes on. */
void catalog_check(struct catalog *c, uint32_t collection);

/* Something that the owner has to tell, of what is none of the catalog's, in the same sequence: a
 * record of the journal like the others. name, word and other are cut to 255, 32 and 240 bytes.
 * Without memory, or when the index refuses, it is lost. */
void catalog_note(struct catalog *c, uint64_t number, struct tarn_bytes name, const char *word,
                  struct tarn_bytes other);

/* A door saw another stat than the entry's, or a read error: what it holds is not served any more,
 * and looked at again. Any thread. */
void catalog_report_changed(struct catalog *c, uint64_t entry);
/* Its hashes are not those of its root any more (TARN_E_INTEGRITY from catalog/leaves.h), or v1
 * pieces of the collection's length are not known. When that is so, the file is read again for
 * them, by itself and over restarts, and is held meanwhile (CATALOG_DAMAGED when the reading finds
 * other bytes). on_hashes is told in either case when all hashes are there. Of more than 4096 at
 * once some are forgotten: report them again then. Any thread. */
void catalog_report_lost(struct catalog *c, uint64_t entry);

void catalog_progress(const struct catalog *c, struct catalog_progress *out);
/* Of files that wait, and of one collection (0: of all): bytes that are read already of those under
 * way. */
uint64_t catalog_read_so_far(const struct catalog *c, uint32_t collection);
/* At any time: it reads no disk and no index. */
void catalog_check_progress(const struct catalog *c, struct catalog_check_progress *out);
/* Nothing is under way and nothing waits (but for timers of walks and scrubs): for tests and for
 * `tarn up`, which says when all is served. */
bool catalog_is_settled(struct catalog *c);

#endif
