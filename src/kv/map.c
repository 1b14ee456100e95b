/* kv: the map, which nobody may be using while its size changes. So every transaction enters and
 * leaves; who wants to change it keeps others from entering and waits for those within, up to
 * grow_wait_ms: a thread that has a read open and waits for a write, or for a second read, would
 * else wait for itself.
 *
 * The map is large from the start (address space costs nothing), so that this is rare. */
#include "kv/priv.h"
#include "sys/clock.h"
#include "sys/ops.h"

#include <inttypes.h>

enum { FOLLOW_TRIES = 8 }; /* another process may grow it again while we follow */

/* With the lock. */
static bool wait_while_changing(struct kv *kv, struct tarn_err *err)
{
    struct tarn_quote q;
    while (kv->is_changing)
        sys_cond_wait(&kv->map_is_free, &kv->lock);
    if (!kv->is_lost)
        return true;
    return tarn_fail(err, TARN_E_NO_MEMORY,
                     "'%s' is mapped no more: there was no address space for a larger map "
                     "(start again; is there a limit: `ulimit -v`?)",
                     tarn_quote_str(&q, kv->path));
}

bool kv_map_enter(struct kv *kv, struct tarn_err *err)
{
    sys_lock_take(&kv->lock);
    bool ok = wait_while_changing(kv, err);
    if (ok)
        kv->n_users++;
    sys_lock_give(&kv->lock);
    return ok;
}

/* With the lock. */
static void leave(struct kv *kv)
{
    kv->n_users--;
    if (kv->n_users == 0 && kv->is_changing)
        sys_cond_broadcast(&kv->map_is_free);
}

void kv_map_leave(struct kv *kv)
{
    sys_lock_take(&kv->lock);
    leave(kv);
    sys_lock_give(&kv->lock);
}

/* With the lock, is_changing set by us. */
static bool wait_for_users(struct kv *kv, struct tarn_err *err)
{
    struct tarn_quote q;
    int64_t ends = sys_now_us() + (int64_t)kv->grow_wait_ms * 1000;
    while (kv->n_users > 0) {
        int64_t left = ends - sys_now_us();
        if (left <= 0)
            return tarn_fail(err, TARN_E_FAILED,
                             "'%s' must be mapped anew, and %zu transactions have stayed open for "
                             "%u ms (a read must end with the request that it serves)",
                             tarn_quote_str(&q, kv->path), kv->n_users, kv->grow_wait_ms);
        (void)sys_cond_wait_for(&kv->map_is_free, &kv->lock, left); /* the loop asks the clock */
    }
    return true;
}

/* LMDB gives the old map away before it asks for the new one, and is lost without any. So whether
 * there is room for another is asked first. */
static bool has_room_for(struct kv *kv, size_t len)
{
    mdb_filehandle_t fd;
    if (mdb_env_get_fd(kv->env, &fd) != 0)
        return false;
    void *p = sys_ops->map(fd, len);
    if (p == NULL)
        return false;
    sys_ops->unmap(p, len);
    return true;
}

/* With the lock, and nobody within. len 0: what the file says. */
static bool set_size(struct kv *kv, uint64_t len, struct tarn_err *err)
{
    MDB_envinfo info;
    if (len > 0 && !has_room_for(kv, (size_t)len))
        return tarn_fail(err, TARN_E_NO_MEMORY,
                         "no address space for %" PRIu64 " bytes (is there a limit: `ulimit -v`?)",
                         len);
    int rc = mdb_env_set_mapsize(kv->env, (size_t)len);
    kv->is_lost = rc != 0;
    if (rc != 0)
        return kv_fail(kv, rc, "mapping", err);
    rc = mdb_env_info(kv->env, &info);
    if (rc != 0)
        return kv_fail(kv, rc, "mapping", err);
    kv->map_len = info.me_mapsize;
    return true;
}

/* Nobody but us uses the map; false when they did not leave. With the lock. */
static bool take_alone(struct kv *kv, struct tarn_err *err)
{
    if (!wait_while_changing(kv, err))
        return false;
    kv->is_changing = true;
    if (wait_for_users(kv, err))
        return true;
    kv->is_changing = false;
    sys_cond_broadcast(&kv->map_is_free);
    return false;
}

static void give_back(struct kv *kv)
{
    kv->is_changing = false;
    sys_cond_broadcast(&kv->map_is_free);
}

bool kv_map_follow(struct kv *kv, struct tarn_err *err)
{
    sys_lock_take(&kv->lock);
    bool ok = take_alone(kv, err);
    if (ok) {
        ok = set_size(kv, 0, err);
        give_back(kv);
    }
    sys_lock_give(&kv->lock);
    return ok;
}

/* A sixteenth, for those who only delete: that also takes pages before it gives any. */
static uint64_t limit_of(const struct kv *kv, bool may_pass_max)
{
    return may_pass_max ? kv->max_size + kv->max_size / 16 + TARN_MIB : kv->max_size;
}

enum kv_grew kv_map_grow(struct kv *kv, bool may_pass_max, struct tarn_err *err)
{
    enum kv_grew result = KV_GREW_STUCK;
    sys_lock_take(&kv->lock);
    uint64_t limit = limit_of(kv, may_pass_max);
    if (kv->map_len >= limit) {
        kv_fail(kv, MDB_MAP_FULL, "writing to", err);
        result = KV_GREW_FULL;
    } else if (take_alone(kv, err)) {
        uint64_t want = kv->map_len > limit / 2 ? limit : kv->map_len * 2;
        if (set_size(kv, want, err)) {
            result = KV_GREW;
            kv->grown++;
        }
        give_back(kv);
    }
    sys_lock_give(&kv->lock);
    return result;
}

MDB_txn *kv_map_begin_write(struct kv *kv, struct tarn_err *err)
{
    MDB_txn *txn;
    int rc = MDB_MAP_RESIZED;
    for (int i = 0; i < FOLLOW_TRIES && rc == MDB_MAP_RESIZED; i++) {
        if (i > 0 && !kv_map_follow(kv, err))
            return NULL;
        if (!kv_map_enter(kv, err))
            return NULL;
        rc = mdb_txn_begin(kv->env, NULL, 0, &txn);
        if (rc == 0)
            return txn;
        kv_map_leave(kv);
    }
    kv_fail(kv, rc, "beginning to write to", err);
    return NULL;
}
