/* kv: opening and closing.
 *
 * One process must not have a file open twice: closing one of them would take away the locks of
 * both. So all that are open are in one list, the only state of this room that is not in a struct
 * kv; it is held while one is opened, because a file that is not there yet has no name that two
 * paths would share. */
#include "base/mem.h"
#include "kv/priv.h"
#include "sys/file.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>

enum { FILE_MODE = 0600 }; /* what a node knows is its user's business */

static const uint64_t max_size_usual = (uint64_t)TARN_GIB * 1024;
static const uint64_t map_size_usual = (uint64_t)TARN_GIB * 16;
static const uint64_t map_size_least = (uint64_t)TARN_MIB;

static pthread_mutex_t opened_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tarn_list opened = { &opened, &opened };

/* --- what is open --- */

static bool is_open(uint64_t dev, uint64_t ino)
{
    for (struct tarn_list *n = opened.next; n != &opened; n = n->next) {
        const struct kv *kv = TARN_OUTER(n, struct kv, opened);
        if (kv->dev == dev && kv->ino == ino)
            return true;
    }
    return false;
}

/* Whether the file is there, and may be opened. */
static bool look(const char *path, bool is_read_only, bool *is_there, struct tarn_err *err)
{
    struct tarn_quote q;
    struct tarn_err why;
    struct sys_stat st;
    *is_there = sys_stat(SYS_CWD, path, true, &st, &why);
    if (!*is_there) {
        if (why.code == TARN_E_NOT_FOUND && !is_read_only)
            return true;
        if (err != NULL)
            *err = why;
        return false;
    }
    if (st.kind != SYS_REGULAR)
        return tarn_fail(err, TARN_E_USAGE, "'%s' is not a file", tarn_quote_str(&q, path));
    if (is_open(st.dev, st.ino))
        return tarn_fail(err, TARN_E_POLICY, "'%s' is open already in this process",
                         tarn_quote_str(&q, path));
    return kv_check_file(path, err);
}

/* --- the environment --- */

static int open_env(struct kv *kv)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | (kv->is_read_only ? MDB_RDONLY : 0);
    int rc = mdb_env_create(&kv->env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(kv->env, KV_TABLES_MAX + 1);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(kv->env, KV_READERS_MAX);
    if (rc == 0)
        rc = mdb_env_set_mapsize(kv->env, (size_t)kv->map_len);
    if (rc == 0)
        rc = mdb_env_open(kv->env, kv->path, flags, FILE_MODE);
    if (rc != 0) {
        mdb_env_close(kv->env);
        kv->env = NULL;
    }
    return rc;
}

/* With as large a map as the system grants. */
static bool open_map(struct kv *kv, struct tarn_err *err)
{
    MDB_envinfo info;
    int rc = open_env(kv);
    while (rc == ENOMEM && kv->map_len > map_size_least) {
        kv->map_len /= 2;
        rc = open_env(kv);
    }
    if (rc != 0)
        return kv_fail(kv, rc, kv->is_read_only ? "opening" : "opening for writing", err);
    rc = mdb_env_info(kv->env, &info);
    if (rc != 0)
        return kv_fail(kv, rc, "opening", err);
    kv->map_len = info.me_mapsize;
    assert(mdb_env_get_maxkeysize(kv->env) == KV_KEY_MAX);
    return true;
}

int kv_open_folder_of(const char *path, struct tarn_err *err)
{
    const char *slash = strrchr(path, '/');
    char *folder =
        slash == NULL ? tarn_strndup(".", 1) : tarn_strndup(path, (size_t)(slash - path) + 1);
    if (folder == NULL) {
        tarn_fail_mem(err, "opening a folder");
        return -1;
    }
    int fd = sys_open(folder, SYS_OPEN_FOLDER, err);
    tarn_free(folder);
    return fd;
}

/* Which file it is; and when it is new, that its name is on the disk. */
static bool settle(struct kv *kv, bool is_new, struct tarn_err *err)
{
    struct sys_stat st;
    mdb_filehandle_t fd;
    int rc = mdb_env_get_fd(kv->env, &fd);
    if (rc != 0)
        return kv_fail(kv, rc, "opening", err);
    if (!sys_stat_fd(fd, &st, err))
        return false;
    kv->dev = st.dev;
    kv->ino = st.ino;
    kv->covered = st.size;
    if (!is_new)
        return true;
    SYS_AUTO_FD at = kv_open_folder_of(kv->path, err);
    return at >= 0 && sys_sync_folder(at, err);
}

/* How many commits it has seen, the tables and migrations of this opening among them. */
static bool read_seq(struct kv *kv, struct tarn_err *err)
{
    MDB_envinfo info;
    int rc = mdb_env_info(kv->env, &info);
    kv->seq = rc == 0 ? info.me_last_txnid : 0;
    return rc == 0 || kv_fail(kv, rc, "opening", err);
}

/* --- the struct --- */

static uint64_t usual(uint64_t given, uint64_t usually)
{
    uint64_t most = SIZE_MAX / 4; /* 1 GiB where addresses have 32 bits */
    uint64_t size = given == 0 ? usually : given;
    return size < most ? size : most;
}

static struct kv *make(const struct kv_settings *set, struct tarn_err *err)
{
    struct kv *kv = tarn_calloc(1, sizeof *kv);
    if (kv == NULL) {
        tarn_fail_mem(err, "opening a store");
        return NULL;
    }
    sys_lock_init(&kv->lock);
    sys_cond_init(&kv->map_is_free);
    sys_cond_init(&kv->work);
    tarn_list_init(&kv->reads);
    tarn_list_init(&kv->queue);
    kv->is_read_only = set->is_read_only;
    kv->max_size = usual(set->max_size, max_size_usual);
    kv->map_len = usual(set->map_size, map_size_usual);
    if (kv->map_len > kv->max_size)
        kv->map_len = kv->max_size;
    kv->grow_wait_ms = set->grow_wait_ms == 0 ? KV_GROW_WAIT_MS : set->grow_wait_ms;
    kv->n_tables = set->n_tables;
    kv->tables = tarn_calloc(set->n_tables, sizeof *kv->tables);
    kv->path = tarn_strndup(set->path, strlen(set->path));
    kv->kind = tarn_strndup(set->kind, strlen(set->kind));
    if (kv->tables != NULL && kv->path != NULL && kv->kind != NULL)
        return kv;
    kv_close(kv);
    tarn_fail_mem(err, "opening a store");
    return NULL;
}

static bool start(struct kv *kv, const struct kv_settings *set, struct tarn_err *err)
{
    bool is_there;
    if (!look(kv->path, kv->is_read_only, &is_there, err) || !open_map(kv, err) ||
        !settle(kv, !is_there, err) || !kv_schema_open(kv, set, err) || !read_seq(kv, err) ||
        (!kv->is_read_only && !kv_writer_start(kv, err)))
        return false;
    tarn_list_push_back(&opened, &kv->opened);
    return true;
}

struct kv *kv_open(const struct kv_settings *set, struct tarn_err *err)
{
    assert(set->schema > 0 && set->n_tables <= KV_TABLES_MAX);
    struct kv *kv = make(set, err);
    if (kv == NULL)
        return NULL;
    pthread_mutex_lock(&opened_lock);
    bool ok = start(kv, set, err);
    pthread_mutex_unlock(&opened_lock);
    if (ok)
        return kv;
    kv_close(kv);
    return NULL;
}

void kv_close(struct kv *kv)
{
    if (kv == NULL)
        return;
    if (kv->writer.is_running)
        kv_writer_stop(kv);
    assert(kv->n_reads == 0);
    while (kv->n_idle > 0)
        mdb_txn_abort(kv->idle[--kv->n_idle]);
    pthread_mutex_lock(&opened_lock);
    if (kv->env != NULL)
        mdb_env_close(kv->env);
    tarn_list_remove(&kv->opened);
    pthread_mutex_unlock(&opened_lock);
    sys_cond_release(&kv->work);
    sys_cond_release(&kv->map_is_free);
    sys_lock_release(&kv->lock);
    tarn_free(kv->tables);
    tarn_free(kv->path);
    tarn_free(kv->kind);
    tarn_free(kv);
}

uint64_t kv_seq(const struct kv *kv)
{
    return atomic_load(&kv->seq);
}
