/* kv: copies, and figures. */
#include "base/mem.h"
#include "kv/priv.h"
#include "sys/clock.h"
#include "sys/file.h"

/* The new file's name until it is whole: beside the one that it will be. */
static char *temp_name(const char *path)
{
    static const char ending[] = ".new";
    size_t len = strlen(path);
    char *name = tarn_calloc(len + sizeof ending, 1);
    if (name == NULL)
        return NULL;
    memcpy(name, path, len);
    memcpy(name + len, ending, sizeof ending);
    return name;
}

static bool is_itself(const struct kv *kv, const char *path)
{
    struct sys_stat st;
    return sys_stat(SYS_CWD, path, true, &st, NULL) && st.dev == kv->dev && st.ino == kv->ino;
}

static bool write_copy(struct kv *kv, const char *temp, struct tarn_err *err)
{
    SYS_AUTO_FD fd = sys_open(temp, SYS_OPEN_CREATE, err);
    if (fd < 0 || !sys_truncate(fd, 0, err) || !kv_map_enter(kv, err))
        return false;
    int rc = mdb_env_copyfd2(kv->env, fd, MDB_CP_COMPACT);
    kv_map_leave(kv);
    return rc == 0 ? sys_sync(fd, err) : kv_fail(kv, rc, "copying", err);
}

bool kv_copy(struct kv *kv, const char *path, struct tarn_err *err)
{
    struct tarn_quote q;
    if (is_itself(kv, path))
        return tarn_fail(err, TARN_E_USAGE, "'%s' cannot be copied onto itself",
                         tarn_quote_str(&q, path));
    char *temp = temp_name(path);
    if (temp == NULL)
        return tarn_fail_mem(err, "copying a store");
    SYS_AUTO_FD folder = kv_open_folder_of(path, err);
    bool ok = folder >= 0 && write_copy(kv, temp, err);
    if (ok)
        ok = sys_rename(SYS_CWD, temp, SYS_CWD, path, err) && sys_sync_folder(folder, err);
    else
        (void)!sys_remove(SYS_CWD, temp, NULL); /* it may not even have been made */
    tarn_free(temp);
    return ok || tarn_fail_in(err, "no copy to '%s'", tarn_quote_str(&q, path));
}

static int64_t oldest_ms(const struct kv *kv)
{
    if (tarn_list_empty(&kv->reads))
        return 0;
    const struct kv_read *r = TARN_OUTER(kv->reads.next, struct kv_read, node);
    return (sys_now_us() - r->since_us) / 1000;
}

/* Pages that are listed as free: each record of the list begins with their number. */
static int count_free(MDB_txn *txn, uint64_t *pages)
{
    MDB_cursor *c;
    MDB_val key, value;
    size_t n;
    *pages = 0;
    int rc = mdb_cursor_open(txn, 0, &c); /* LMDB's own first table */
    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get(c, &key, &value, MDB_NEXT)) == 0)
        if (value.mv_size >= sizeof n) {
            memcpy(&n, value.mv_data, sizeof n);
            *pages += n;
        }
    mdb_cursor_close(c);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool measure(struct kv *kv, struct kv_stat *to, struct tarn_err *err)
{
    KV_AUTO_READ r = { 0 };
    MDB_stat st;
    MDB_envinfo info;
    struct sys_stat file;
    mdb_filehandle_t fd;
    uint64_t n_free;
    if (!kv_read_begin(kv, &r, err))
        return false;
    int rc = mdb_env_stat(kv->env, &st);
    if (rc == 0)
        rc = mdb_env_info(kv->env, &info);
    if (rc == 0)
        rc = mdb_env_get_fd(kv->env, &fd);
    if (rc == 0)
        rc = count_free(r.txn, &n_free);
    if (rc != 0)
        return kv_fail(kv, rc, "reading", err);
    if (!sys_stat_fd(fd, &file, err))
        return false;
    to->file_len = file.size;
    to->used_len = (info.me_last_pgno + 1 - n_free) * st.ms_psize;
    to->map_len = info.me_mapsize;
    return true;
}

bool kv_stat(struct kv *kv, struct kv_stat *to, struct tarn_err *err)
{
    struct kv_stat s = { .max_size = kv->max_size };
    sys_lock_take(&kv->lock);
    s.reads = kv->n_reads;
    s.oldest_read_ms = oldest_ms(kv);
    s.grown = kv->grown;
    sys_lock_give(&kv->lock);
    if (!measure(kv, &s, err))
        return false;
    s.seq = atomic_load(&kv->seq);
    s.commits = atomic_load(&kv->commits);
    s.writes = atomic_load(&kv->writes);
    *to = s;
    return true;
}
