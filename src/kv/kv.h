/* kv: ordered tables of bytes in one file, over LMDB. The node's index stands in it.
 *
 * A file holds named tables of records (key, value), each in the order of its keys' bytes. It is
 * mapped: nothing is loaded at open or saved at close, so both take the same time whatever it
 * holds, and a process that dies needs no repair. A write that was acknowledged is on the disk.
 *
 * Reading: begin a read (a snapshot of all tables), get and walk with cursors, end it. What a read
 * returns is borrowed from the map until the read ends. Any thread, any number at once; readers
 * never wait for the writer. A read keeps alive every page that was current when it began, so the
 * file grows while one stays open: end it with the request that it serves. For long walks there is
 * kv_scan. No thread opens a second read, or waits for a write, while it has one open: the map
 * grows only between reads, so both could wait for themselves (they fail after grow_wait_ms).
 *
 * Writing: one thread of the store runs what was submitted, all that wait in one transaction and
 * with one sync of the disk ("group commit"), each all or nothing. There is no other way to write.
 *
 * The file may be opened by several processes, by one process only once (LMDB's locks do not stand
 * a second time, so it is refused). Do not fork with an open one and use it in the child. It does
 * not belong on a network file system (NFS, SMB): neither the locks nor the map work there, and
 * what looks fine at first is lost later; copy it there by kv_copy instead. Beside NAME there is
 * NAME-lock, which means nothing when no process has NAME open.
 *
 * Errors: TARN_E_NO_SPACE the disk or max_size is full, TARN_E_POLICY no permission or a limit,
 * TARN_E_INTEGRITY the file is damaged, TARN_E_USAGE it is another program's or a newer version's.
 */
#ifndef KV_KV_H
#define KV_KV_H

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"

#include <stdint.h>

enum {
    KV_KEY_MAX = 511,            /* bytes: LMDB's, where pages are of 4 KiB; at least 1 */
    KV_VALUE_MAX = 16 << 20,     /* bytes. Ours: a value lies in one run of pages, which a file in
                                    use for long has no room for but at its end */
    KV_TABLES_MAX = 64,          /* each costs every transaction a little */
    KV_READERS_MAX = 1024,       /* reads open at once, in all processes */
    KV_GROUP_MAX = 1024,         /* writes in one commit */
    KV_SCAN_RECORDS = 1024,      /* kv_scan: in one read */
    KV_SCAN_MS = 20,             /* likewise */
    KV_GROW_WAIT_MS = 10 * 1000, /* grow_wait_ms when 0 */
};

struct kv;
struct kv_txn;
struct kv_stat;

/* --- opening --- */

/* From one schema to the next. All that are due run in one transaction with the new number: all or
 * nothing, and maybe more than once, so they change nothing but the tables. */
typedef bool kv_migration(struct kv_txn *t, void *arg, struct tarn_err *err);

struct kv_settings {
    const char *path;          /* of the file; its folder must be there */
    const char *kind;          /* what it holds, as a message may say it: "tarn index"; kept in the
                                  file, so that no other program's is taken for it */
    const char *const *tables; /* names; a table is called by its place in this list */
    size_t n_tables;
    unsigned schema; /* which version of the tables this program knows; at least 1 */
    /* schema - 1 of them: [i] leads from schema i + 1 to i + 2. NULL: none is needed for that. May
     * be NULL as a whole when no older file can exist. */
    kv_migration *const *migrations;
    void *arg; /* for them */
    /* Bytes. 0 is the usual: 1 TiB for max_size; 16 GiB (less where the system refuses) for the
     * first map_size. Only address space: the file has the size of what is in it. The map doubles
     * up to max_size when it is full. */
    uint64_t max_size, map_size;
    unsigned grow_wait_ms; /* how long a map that must grow waits for open reads */
    bool is_read_only;     /* the file must exist and have this schema */
};

/* Open, making the file when it is missing. What settings point to is not needed afterwards. */
struct kv *kv_open(const struct kv_settings *set, struct tarn_err *err) TARN_MUST;
/* Waits for the writes that were submitted; no read may be open. Accepts NULL. */
void kv_close(struct kv *kv);

/* --- reading --- */

/* In the caller's storage, where it stays; zeroed before the first use. One thread at a time. */
struct kv_read {
    /* private */
    struct kv *kv;
    void *txn;
    struct tarn_list node; /* of all that are open, the oldest first */
    int64_t since_us;
};
bool kv_read_begin(struct kv *kv, struct kv_read *r, struct tarn_err *err) TARN_MUST;
void kv_read_end(struct kv_read *r); /* accepts one that did not begin, or has ended */
#define KV_AUTO_READ __attribute__((cleanup(kv_read_end))) struct kv_read

/* Whether there is such a record. (For a key longer than any may be there is none.) */
enum kv_got { KV_FAILED, KV_NONE, KV_FOUND };

enum kv_got kv_get(const struct kv_read *r, unsigned table, struct tarn_bytes key,
                   struct tarn_bytes *value, struct tarn_err *err) TARN_MUST;
bool kv_count(const struct kv_read *r, unsigned table, uint64_t *n, struct tarn_err *err) TARN_MUST;

/* The number of commits when the read began: equal numbers, equal contents. */
uint64_t kv_read_seq(const struct kv_read *r);
/* The same of the last commit by this process: what a cache compares. It goes on over restarts. Any
 * thread. */
uint64_t kv_seq(const struct kv *kv);

/* A place in one table, within a read or a write, at first before all records. Close it before that
 * ends. Its key and value are borrowed as kv_get's are. What is looked for and not there is
 * KV_NONE; the cursor then stands behind that end of the table, from where the other way leads
 * back. */
struct kv_cursor {
    struct tarn_bytes key, value; /* after KV_FOUND */
    /* private */
    const struct kv_read *read;
    void *at;
    enum kv_place { KV_AT_START, KV_AT_RECORD, KV_AT_END } place;
};
bool kv_cursor_open(const struct kv_read *r, unsigned table, struct kv_cursor *c,
                    struct tarn_err *err) TARN_MUST;
void kv_cursor_close(struct kv_cursor *c); /* accepts a zeroed or a closed one */
#define KV_AUTO_CURSOR __attribute__((cleanup(kv_cursor_close))) struct kv_cursor

enum kv_got kv_first(struct kv_cursor *c, struct tarn_err *err) TARN_MUST;
enum kv_got kv_last(struct kv_cursor *c, struct tarn_err *err) TARN_MUST;
/* The first record whose key is not less; an empty key is the first. */
enum kv_got kv_seek(struct kv_cursor *c, struct tarn_bytes key, struct tarn_err *err) TARN_MUST;
/* The last record whose key is less. */
enum kv_got kv_seek_before(struct kv_cursor *c, struct tarn_bytes key, struct tarn_err *err)
    TARN_MUST;
enum kv_got kv_next(struct kv_cursor *c, struct tarn_err *err) TARN_MUST;
enum kv_got kv_prev(struct kv_cursor *c, struct tarn_err *err) TARN_MUST;

static inline bool kv_has_prefix(struct tarn_bytes key, struct tarn_bytes prefix)
{
    return key.len >= prefix.len && (prefix.len == 0 || memcmp(key.p, prefix.p, prefix.len) == 0);
}

/* A long walk, forward: every record from key `from` on (empty: from the start) whose key begins
 * with prefix, until each() returns false. In reads of at most KV_SCAN_RECORDS or KV_SCAN_MS, each
 * going on behind the last key of the one before, so the walk sees each key at most once and in
 * order, but no single state: what others write meanwhile may be seen or not. each() may take as
 * long as it likes only when it does so rarely; it opens no read and waits for no write. */
struct kv_range {
    unsigned table;
    struct tarn_bytes from, prefix;
};
bool kv_scan(struct kv *kv, const struct kv_range *range,
             bool (*each)(void *arg, struct tarn_bytes key, struct tarn_bytes value), void *arg,
             struct tarn_err *err) TARN_MUST;

/* --- writing --- */

/* A write under way; given to run(). Reading from &t->read sees what t has changed; what that
 * returns is borrowed until t changes something. */
struct kv_txn {
    struct kv_read read;
    /* private */
    size_t n_changes, n_puts, len; /* bytes put */
    int failed;                    /* what LMDB said first; nothing counts any more then */
};

/* A copy of key and value is kept. */
bool kv_txn_put(struct kv_txn *t, unsigned table, struct tarn_bytes key, struct tarn_bytes value,
                struct tarn_err *err) TARN_MUST;
/* The same for a key that is greater than all in the table: faster, and pages are filled whole.
 * TARN_E_USAGE when it is not. */
bool kv_txn_append(struct kv_txn *t, unsigned table, struct tarn_bytes key, struct tarn_bytes value,
                   struct tarn_err *err) TARN_MUST;
/* Whether it was there. */
enum kv_got kv_txn_del(struct kv_txn *t, unsigned table, struct tarn_bytes key,
                       struct tarn_err *err) TARN_MUST;
/* All records whose key begins with prefix; an empty prefix empties the table. */
bool kv_txn_del_prefix(struct kv_txn *t, unsigned table, struct tarn_bytes prefix,
                       struct tarn_err *err) TARN_MUST;
/* The record that the cursor has found; kv_next then finds the one behind it. c is of t. */
bool kv_txn_del_at(struct kv_txn *t, struct kv_cursor *c, struct tarn_err *err) TARN_MUST;

/* A write, in the caller's storage, the store's from kv_submit until done(). */
struct kv_write {
    /* On the writer's thread. False (err says why) undoes all that it did, and nothing else. May be
     * called again after it returned, with what it did undone: when the map had to grow, or another
     * write of the group failed. So it takes what it needs from the struct around it and leaves
     * that as it is, or sets all of it anew. It submits nothing, and waits for nothing. */
    bool (*run)(struct kv_write *w, struct kv_txn *t, struct tarn_err *err);
    /* On the writer's thread, once; w is the caller's again. err is NULL when the write is on the
     * disk and visible, else says why nothing of it is. Post to your loop; the next group waits. */
    void (*done)(struct kv_write *w, const struct tarn_err *err);
    /* private */
    struct tarn_list node;
    struct tarn_err *why; /* borrowed, like the next: of one that is waited for */
    void *over;
    enum { KV_WRITE_POSTED, KV_WRITE_AWAITED, KV_WRITE_GOOD, KV_WRITE_BAD } state;
};

/* Any thread. They are run in the order in which they were submitted. The queue needs no memory and
 * has no bound of its own: who submits has as many under way as it has kv_writes, so bound those.
 */
void kv_submit(struct kv *kv, struct kv_write *w);
/* Submit and wait until it is done; done is not called. Not on the writer's thread (refused), and
 * not while this thread has a read open. */
bool kv_write_now(struct kv *kv, struct kv_write *w, struct tarn_err *err) TARN_MUST;

/* --- the rest --- */

/* A copy of what is committed, without free pages, while all goes on: beside path, synced, then
 * renamed to it. A file that is there is replaced, only never the store itself. It is one long
 * read: the store's file may grow meanwhile. */
bool kv_copy(struct kv *kv, const char *path, struct tarn_err *err) TARN_MUST;

struct kv_stat {
    uint64_t file_len; /* bytes */
    uint64_t used_len; /* of them, what tables and the list of free pages need */
    uint64_t map_len, max_size;
    uint64_t seq;
    uint64_t commits, writes; /* since open: transactions that changed something; acknowledged
                                 writes in them */
    uint64_t grown;           /* times that the map grew since open */
    unsigned reads;           /* open in this process */
    int64_t oldest_read_ms;   /* age; 0 when none is open */
};
bool kv_stat(struct kv *kv, struct kv_stat *to, struct tarn_err *err) TARN_MUST;

#endif
