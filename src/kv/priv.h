/* kv: what its files share. LMDB's own header is included here and nowhere above. */
#ifndef KV_PRIV_H
#define KV_PRIV_H

#include "kv/kv.h"
#include "sys/thread.h"

#include <lmdb.h>
#include <stdatomic.h>

enum {
    KV_IDLE_MAX = 64,            /* ended reads that wait to be used again */
    KV_GROUP_LEN = 16 << 20,     /* bytes put in one commit, about: what it keeps in memory */
    KV_CHECK_READERS_EVERY = 64, /* commits: dead processes' reads are looked for */
};

struct kv {
    MDB_env *env;    /* owned */
    MDB_dbi *tables; /* owned; as the settings list them */
    size_t n_tables;
    MDB_dbi own;       /* the table that says what this file is */
    char *path, *kind; /* owned */
    bool is_read_only;
    uint64_t dev, ino; /* of the file: that it is not opened twice */
    struct tarn_list opened;

    /* The map (map.c): who uses it, and who wants to change it. */
    struct sys_lock lock; /* of all that follows, but for atomics */
    struct sys_cond map_is_free;
    uint64_t map_len, max_size, grown;
    unsigned grow_wait_ms;
    size_t n_users; /* reads and the write under way */
    bool is_changing;
    bool is_lost; /* there is no map any more */

    /* Reads (read.c). */
    struct tarn_list reads; /* open, the oldest first */
    unsigned n_reads;
    MDB_txn *idle[KV_IDLE_MAX]; /* owned */
    unsigned n_idle;

    /* Writes (writer.c). */
    struct sys_thread writer;
    struct sys_cond work;
    struct tarn_list queue;
    bool is_closing;
    _Atomic(uint64_t) seq;
    _Atomic(uint64_t) commits, writes;
    uint64_t covered; /* bytes that the file is known to have; the writer's */
};

/* error.c: what LMDB answered, as an error: "<doing> '<path>': <why>". Returns false. */
bool kv_fail(const struct kv *kv, int rc, const char *doing, struct tarn_err *err);
#ifdef __clang_analyzer__ /* which cannot see into error.c */
#define kv_fail(...) ((void)kv_fail(__VA_ARGS__), false)
#endif

/* check.c: is it a file of LMDB's that has all its pages? Before LMDB maps it, because a page that
 * is not there is SIGBUS. Fine when there is none, or an empty one. */
bool kv_check_file(const char *path, struct tarn_err *err) TARN_MUST;

/* open.c: the folder that path lies in; -1 on failure. */
int kv_open_folder_of(const char *path, struct tarn_err *err) TARN_MUST;

/* map.c. Every transaction is within enter and leave. */
bool kv_map_enter(struct kv *kv, struct tarn_err *err) TARN_MUST;
void kv_map_leave(struct kv *kv);
/* To be called outside of them. FULL: max_size does not allow more. STUCK: reads stayed open. */
enum kv_grew { KV_GREW, KV_GREW_FULL, KV_GREW_STUCK };
enum kv_grew kv_map_grow(struct kv *kv, bool may_pass_max, struct tarn_err *err) TARN_MUST;
/* Another process has made the file longer than our map. */
bool kv_map_follow(struct kv *kv, struct tarn_err *err) TARN_MUST;
/* A transaction that writes, the map entered; NULL on failure. */
MDB_txn *kv_map_begin_write(struct kv *kv, struct tarn_err *err) TARN_MUST;

/* writer.c */
bool kv_writer_start(struct kv *kv, struct tarn_err *err) TARN_MUST;
void kv_writer_stop(struct kv *kv); /* after all that was submitted */
void kv_txn_init(struct kv_txn *t, struct kv *kv, MDB_txn *txn);

/* schema.c: open the tables, check what the file is, run migrations. */
bool kv_schema_open(struct kv *kv, const struct kv_settings *set, struct tarn_err *err) TARN_MUST;

static inline MDB_val kv_val(struct tarn_bytes b)
{
    union {
        const void *in;
        void *out;
    } p = { b.p }; /* LMDB does not write there */
    return (MDB_val){ b.len, p.out };
}

static inline struct tarn_bytes kv_bytes(MDB_val v)
{
    return tarn_bytes_of(v.mv_data, v.mv_size);
}

bool kv_key_fits(const struct kv *kv, struct tarn_bytes key, struct tarn_err *err);

#endif
