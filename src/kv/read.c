/* kv: reads. Beginning one afresh takes a place in the table of readers that all processes share;
 * so an ended one keeps its place and waits to be used again. */
#include "kv/priv.h"
#include "sys/clock.h"

enum { TRIES = 8 };

/* A transaction that has ended, or NULL. */
static MDB_txn *take_idle(struct kv *kv)
{
    sys_lock_take(&kv->lock);
    MDB_txn *txn = kv->n_idle > 0 ? kv->idle[--kv->n_idle] : NULL;
    sys_lock_give(&kv->lock);
    return txn;
}

/* The map is entered. */
static int begin(struct kv *kv, MDB_txn **to)
{
    int dead = 0;
    MDB_txn *txn = take_idle(kv);
    int rc = txn == NULL ? mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn) : mdb_txn_renew(txn);
    if (rc == MDB_READERS_FULL && mdb_reader_check(kv->env, &dead) == 0 && dead > 0)
        rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn); /* places of dead processes */
    else if (rc != 0 && txn != NULL)
        mdb_txn_abort(txn);
    *to = txn;
    return rc;
}

static void open_read(struct kv *kv, struct kv_read *r, MDB_txn *txn)
{
    *r = (struct kv_read){ .kv = kv, .txn = txn, .since_us = sys_now_us() };
    sys_lock_take(&kv->lock);
    tarn_list_push_back(&kv->reads, &r->node);
    kv->n_reads++;
    sys_lock_give(&kv->lock);
}

bool kv_read_begin(struct kv *kv, struct kv_read *r, struct tarn_err *err)
{
    MDB_txn *txn = NULL;
    int rc = MDB_MAP_RESIZED;
    for (int i = 0; i < TRIES && rc == MDB_MAP_RESIZED; i++) {
        if ((i > 0 && !kv_map_follow(kv, err)) || !kv_map_enter(kv, err))
            return false;
        rc = begin(kv, &txn);
        if (rc == 0) {
            open_read(kv, r, txn);
            return true;
        }
        kv_map_leave(kv);
    }
    return kv_fail(kv, rc, "reading", err);
}

void kv_read_end(struct kv_read *r)
{
    struct kv *kv = r->kv;
    MDB_txn *txn = r->txn;
    if (txn == NULL)
        return;
    mdb_txn_reset(txn);
    sys_lock_take(&kv->lock);
    tarn_list_remove(&r->node);
    kv->n_reads--;
    if (kv->n_idle < KV_IDLE_MAX) {
        kv->idle[kv->n_idle++] = txn;
        txn = NULL;
    }
    sys_lock_give(&kv->lock);
    if (txn != NULL)
        mdb_txn_abort(txn);
    kv_map_leave(kv);
    *r = (struct kv_read){ 0 };
}

uint64_t kv_read_seq(const struct kv_read *r)
{
    return mdb_txn_id(r->txn);
}

enum kv_got kv_get(const struct kv_read *r, unsigned table, struct tarn_bytes key,
                   struct tarn_bytes *value, struct tarn_err *err)
{
    if (key.len == 0 || key.len > KV_KEY_MAX)
        return KV_NONE;
    MDB_val k = kv_val(key), v;
    int rc = mdb_get(r->txn, r->kv->tables[table], &k, &v);
    if (rc == MDB_NOTFOUND)
        return KV_NONE;
    if (rc != 0) {
        kv_fail(r->kv, rc, "reading", err);
        return KV_FAILED;
    }
    *value = kv_bytes(v);
    return KV_FOUND;
}

bool kv_count(const struct kv_read *r, unsigned table, uint64_t *n, struct tarn_err *err)
{
    MDB_stat st;
    int rc = mdb_stat(r->txn, r->kv->tables[table], &st);
    if (rc != 0)
        return kv_fail(r->kv, rc, "reading", err);
    *n = st.ms_entries;
    return true;
}
