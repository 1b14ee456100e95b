/* kv: the thread that writes. All that wait are run in one transaction, in their order, and synced
 * together; meanwhile the next group comes together.
 *
 * One that fails must not undo the others. A transaction of its own inside the group's gives that,
 * but costs each write some ten microseconds, so a group is first run without, in the hope that all
 * goes well; when it does not, what was done is undone and the group is run again, each write
 * nested. When the disk or the file is full, each is tried in a commit of its own: the small ones
 * may fit. */
#include "kv/priv.h"
#include "sys/file.h"

#include <errno.h>

enum { DISK_IS_FULL = 64 << 10 }; /* bytes left, or fewer */

struct group {
    struct tarn_list waiting; /* what has to be run, in order */
    struct tarn_list ran;     /* in the transaction that is open */
    size_t n_ran, len;        /* of them: how many, bytes put */
    bool is_nested, is_single, is_turned;
};

enum verdict {
    WELL,
    BAD,     /* it refused, or did something that cannot be; err says what */
    FULL,    /* there is no room in the map */
    SPOILED, /* BAD, and what it changed cannot be undone alone */
};

/* --- one write is over --- */

/* err NULL: it is on the disk. w is not touched afterwards. */
static void finish(struct kv *kv, struct kv_write *w, const struct tarn_err *err)
{
    if (w->state == KV_WRITE_POSTED) {
        w->done(w, err);
        return;
    }
    sys_lock_take(&kv->lock);
    if (err != NULL && w->why != NULL)
        *w->why = *err;
    w->state = err == NULL ? KV_WRITE_GOOD : KV_WRITE_BAD;
    sys_cond_signal(w->over); /* with the lock: it is on the stack of who waits */
    sys_lock_give(&kv->lock);
}

static void finish_all(struct kv *kv, struct tarn_list *list, const struct tarn_err *err)
{
    struct tarn_list *node;
    while ((node = tarn_list_pop_front(list)) != NULL)
        finish(kv, TARN_OUTER(node, struct kv_write, node), err);
}

/* --- running --- */

static struct kv_write *front(const struct group *g)
{
    return TARN_OUTER(g->waiting.next, struct kv_write, node);
}

/* run() in txn, and what came of it. */
static enum verdict call(struct kv *kv, struct kv_write *w, MDB_txn *txn, struct kv_txn *t,
                         struct tarn_err *err)
{
    kv_txn_init(t, kv, txn);
    bool ok = w->run(w, t, err);
    if (t->failed == MDB_MAP_FULL)
        return FULL;
    if (t->failed != 0 && ok)
        kv_fail(kv, t->failed, "writing to", err); /* that run() has overlooked */
    if (t->failed != 0)
        return SPOILED;
    if (!ok)
        return t->n_changes == 0 ? BAD : SPOILED;
    return WELL;
}

static enum verdict call_nested(struct kv *kv, struct kv_write *w, MDB_txn *txn, struct kv_txn *t,
                                struct tarn_err *err)
{
    MDB_txn *inner;
    kv_txn_init(t, kv, txn);
    int rc = mdb_txn_begin(kv->env, txn, 0, &inner);
    if (rc != 0) {
        kv_fail(kv, rc, "writing to", err);
        return BAD;
    }
    enum verdict v = call(kv, w, inner, t, err);
    if (v == WELL) {
        rc = mdb_txn_commit(inner);
        if (rc == 0)
            return WELL;
        kv_fail(kv, rc, "writing to", err);
        return rc == MDB_MAP_FULL ? FULL : BAD;
    }
    mdb_txn_abort(inner);
    return v == SPOILED ? BAD : v;
}

/* Put what ran back in front of what waits. */
static void put_back(struct group *g)
{
    struct tarn_list *first = g->ran.next, *last = g->ran.prev, *next = g->waiting.next;
    if (!tarn_list_empty(&g->ran)) {
        g->waiting.next = first;
        first->prev = &g->waiting;
        last->next = next;
        next->prev = last;
        tarn_list_init(&g->ran);
    }
    g->n_ran = g->len = 0;
}

/* Run from the front until the commit is large enough or something is in the way. FULL and SPOILED
 * are about the one in front: err says why, t what it had done. */
static enum verdict run_group(struct kv *kv, struct group *g, MDB_txn *txn, struct kv_txn *t,
                              struct tarn_err *err)
{
    size_t most = g->is_single ? 1 : KV_GROUP_MAX;
    while (!tarn_list_empty(&g->waiting) && g->n_ran < most && g->len < KV_GROUP_LEN) {
        struct kv_write *w = front(g);
        enum verdict v = g->is_nested ? call_nested(kv, w, txn, t, err) : call(kv, w, txn, t, err);
        if (v == FULL || v == SPOILED)
            return v;
        tarn_list_remove(&w->node);
        if (v == BAD) {
            finish(kv, w, err);
            continue;
        }
        tarn_list_push_back(&g->ran, &w->node);
        g->n_ran++;
        g->len += t->len;
    }
    return WELL;
}

/* --- committing --- */

/* A file whose last pages were given back before they were ever written is shorter than its header
 * says. Such a one could not be told from one that was cut, so it is given its length: in a
 * transaction, so that no other process writes there meanwhile. A failure is no loss: the next open
 * looks through the whole file instead. */
static void cover(struct kv *kv)
{
    MDB_envinfo info;
    MDB_stat st;
    struct sys_stat file;
    mdb_filehandle_t fd;
    MDB_txn *txn;
    if (mdb_env_info(kv->env, &info) != 0 || mdb_env_stat(kv->env, &st) != 0)
        return;
    uint64_t want = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize;
    if (want <= kv->covered || mdb_env_get_fd(kv->env, &fd) != 0 || !sys_stat_fd(fd, &file, NULL))
        return;
    kv->covered = file.size;
    if (want <= file.size || mdb_txn_begin(kv->env, NULL, 0, &txn) != 0)
        return;
    if (sys_stat_fd(fd, &file, NULL) && file.size < want && sys_truncate(fd, want, NULL))
        kv->covered = want;
    mdb_txn_abort(txn);
}

static void note_commit(struct kv *kv, uint64_t id, size_t n_writes)
{
    int dead;
    uint64_t commits = atomic_fetch_add(&kv->commits, 1) + 1;
    atomic_fetch_add(&kv->writes, n_writes);
    atomic_store(&kv->seq, id);
    if (commits % KV_CHECK_READERS_EVERY == 0)
        (void)mdb_reader_check(kv->env, &dead); /* what it cannot clear only keeps pages */
}

/* The map is entered, and left here. Returns what LMDB says. */
static int commit(struct kv *kv, struct group *g, MDB_txn *txn)
{
    MDB_envinfo info;
    uint64_t id = mdb_txn_id(txn);
    int rc = mdb_txn_commit(txn);
    if (rc == 0 && mdb_env_info(kv->env, &info) == 0 && info.me_last_txnid >= id) {
        note_commit(kv, id, g->n_ran); /* else nothing was changed */
        cover(kv);
    }
    kv_map_leave(kv);
    return rc;
}

/* What a commit frees can be used from the second commit on after it, so a file that is full stays
 * full after a deletion, for want of a page to make the next commit with. That one is made here, in
 * the room that is kept for deletions. Whether it was. */
static bool turn_over(struct kv *kv)
{
    static const char key[] = "turned";
    for (int tries = 0; tries < 2; tries++) {
        MDB_txn *txn = kv_map_begin_write(kv, NULL);
        if (txn == NULL)
            return false;
        uint64_t id = mdb_txn_id(txn);
        MDB_val k = kv_val(tarn_bytes_str(key)), v = kv_val(tarn_bytes_of(&id, sizeof id));
        int rc = mdb_put(txn, kv->own, &k, &v, 0);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
        kv_map_leave(kv);
        if (rc != MDB_MAP_FULL)
            return rc == 0;
        if (kv_map_grow(kv, true, NULL) != KV_GREW)
            return false;
    }
    return false;
}

/* There was no room for the one in front, or for all of the group at its commit. */
static void make_room(struct kv *kv, struct group *g, const struct kv_txn *t, struct tarn_err *err)
{
    bool only_deletes = g->is_single && t->n_puts == 0 && t->n_changes > 0;
    switch (kv_map_grow(kv, only_deletes, err)) {
    case KV_GREW:
        return;
    case KV_GREW_FULL:
        if (!g->is_single) {
            g->is_single = true; /* the small ones may fit */
            return;
        }
        if (!g->is_turned) {
            g->is_turned = true;
            if (turn_over(kv))
                return;
        }
        struct kv_write *w = front(g);
        tarn_list_remove(&w->node);
        finish(kv, w, err);
        return;
    case KV_GREW_STUCK:
        finish_all(kv, &g->waiting, err);
        return;
    }
}

/* When the disk takes only some of what it is given, LMDB calls that EIO. */
static bool is_disk_full(const struct kv *kv)
{
    mdb_filehandle_t fd;
    uint64_t left;
    return mdb_env_get_fd(kv->env, &fd) == 0 && sys_free_space(fd, &left, NULL) &&
           left < DISK_IS_FULL;
}

/* The commit failed with rc; all are waiting again. */
static void judge(struct kv *kv, struct group *g, const struct kv_txn *t, int rc, size_t n,
                  struct tarn_err *err)
{
    if (rc == MDB_MAP_FULL) {
        make_room(kv, g, t, err);
        return;
    }
    if (rc == EIO && is_disk_full(kv))
        rc = ENOSPC;
    kv_fail(kv, rc, "writing to", err);
    if (n > 1) {
        g->is_single = true;
        return;
    }
    struct kv_write *w = front(g);
    tarn_list_remove(&w->node);
    finish(kv, w, err);
}

/* One transaction. Some of the group are over afterwards, or the next try is of another kind. */
static void try_group(struct kv *kv, struct group *g)
{
    struct tarn_err err = { 0 };
    struct kv_txn t = { 0 };
    MDB_txn *txn = kv_map_begin_write(kv, &err);
    if (txn == NULL) {
        finish_all(kv, &g->waiting, &err);
        return;
    }
    enum verdict v = run_group(kv, g, txn, &t, &err);
    size_t n = g->n_ran;
    bool is_whole = v == WELL || g->is_nested; /* what ran may be kept */
    if (is_whole && n > 0) {
        int rc = commit(kv, g, txn);
        if (rc == 0) {
            finish_all(kv, &g->ran, NULL);
            put_back(g);
        } else {
            put_back(g);
            judge(kv, g, &t, rc, n, &err);
            return;
        }
    } else {
        mdb_txn_abort(txn);
        kv_map_leave(kv);
        put_back(g);
    }
    if (v == FULL && (is_whole || n == 0)) {
        make_room(kv, g, &t, &err);
    } else if (v == FULL) {
        struct tarn_err why;
        if (kv_map_grow(kv, false, &why) != KV_GREW)
            g->is_nested = true; /* which finds out for whom there is no room */
    } else if (v == SPOILED && n == 0) {
        struct kv_write *w = front(g);
        tarn_list_remove(&w->node);
        finish(kv, w, &err);
    } else if (v == SPOILED) {
        g->is_nested = true;
    }
}

/* --- the thread --- */

/* Takes what waits, up to a commit's worth; false when there is no more and will be none. */
static bool take_group(struct kv *kv, struct group *g)
{
    struct tarn_list *node;
    sys_lock_take(&kv->lock);
    while (tarn_list_empty(&kv->queue) && !kv->is_closing)
        sys_cond_wait(&kv->work, &kv->lock);
    for (int n = 0; n < KV_GROUP_MAX && (node = tarn_list_pop_front(&kv->queue)) != NULL; n++)
        tarn_list_push_back(&g->waiting, node);
    sys_lock_give(&kv->lock);
    return !tarn_list_empty(&g->waiting);
}

static void write_on(void *arg)
{
    struct kv *kv = arg;
    for (;;) {
        struct group g = { 0 };
        tarn_list_init(&g.waiting);
        tarn_list_init(&g.ran);
        if (!take_group(kv, &g))
            return;
        while (!tarn_list_empty(&g.waiting))
            try_group(kv, &g);
    }
}

bool kv_writer_start(struct kv *kv, struct tarn_err *err)
{
    return sys_thread_start(&kv->writer, "kv", write_on, kv, err);
}

void kv_writer_stop(struct kv *kv)
{
    sys_lock_take(&kv->lock);
    kv->is_closing = true;
    sys_cond_broadcast(&kv->work);
    sys_lock_give(&kv->lock);
    sys_thread_join(&kv->writer);
}

/* --- submitting --- */

static bool may_write(const struct kv *kv, struct tarn_err *err)
{
    struct tarn_quote q;
    return !kv->is_read_only || tarn_fail(err, TARN_E_POLICY, "'%s' was opened for reading only",
                                          tarn_quote_str(&q, kv->path));
}

static void enqueue(struct kv *kv, struct kv_write *w)
{
    sys_lock_take(&kv->lock);
    tarn_list_push_back(&kv->queue, &w->node);
    sys_cond_signal(&kv->work);
    sys_lock_give(&kv->lock);
}

void kv_submit(struct kv *kv, struct kv_write *w)
{
    struct tarn_err err;
    w->state = KV_WRITE_POSTED;
    if (may_write(kv, &err))
        enqueue(kv, w);
    else
        w->done(w, &err);
}

bool kv_write_now(struct kv *kv, struct kv_write *w, struct tarn_err *err)
{
    if (!may_write(kv, err))
        return false;
    if (pthread_equal(pthread_self(), kv->writer.id))
        return tarn_fail(err, TARN_E_FAILED,
                         "a write waits for another one on the writer's thread");
    struct sys_cond over; /* its own, so that nobody is woken for others */
    sys_cond_init(&over);
    w->state = KV_WRITE_AWAITED;
    w->why = err;
    w->over = &over;
    enqueue(kv, w);
    sys_lock_take(&kv->lock);
    while (w->state == KV_WRITE_AWAITED)
        sys_cond_wait(&over, &kv->lock);
    bool ok = w->state == KV_WRITE_GOOD;
    sys_lock_give(&kv->lock);
    sys_cond_release(&over);
    return ok;
}
