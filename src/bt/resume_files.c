/* bt/resume_files: saved state as files of one folder. Everything goes by names below the folder's
 * descriptor, so that the folder may be moved while we run. */
#include "bt/resume.h"

#include "base/cur.h"
#include "base/mem.h"
#include "bt/core/journal.h"
#include "crypt/sha.h"
#include "sys/file.h"
#include "sys/thread.h"

#include <inttypes.h>
#include <stdio.h>

enum { NAME_MAX_LEN = 100 };

struct bt_resume_files {
    int dir;
    int locks; /* one byte for each slot: no descriptor each */
    bool holds_all;
};

struct slot {
    struct bt_resume_files *files; /* borrowed */
    char name[NAME_MAX_LEN + 1];
    uint64_t lock;        /* its byte */
    struct sys_lock busy; /* of what follows: notes come while a record is saved */
    int journal;          /* open for notes of `generation`; -1: none */
    uint64_t generation;
    uint64_t journal_end;
};

/* A file of a slot. */
struct file_name {
    char s[NAME_MAX_LEN + 40];
};

static const char *file_of(struct file_name *f, const char *name, const char *ending)
{
    snprintf(f->s, sizeof f->s, "%s.%s", name, ending);
    return f->s;
}

static const char *journal_of(struct file_name *f, const char *name, uint64_t generation)
{
    snprintf(f->s, sizeof f->s, "%s.%" PRIu64 ".journal", name, generation);
    return f->s;
}

struct bt_resume_files *bt_resume_files_new(const char *folder, struct tarn_err *err)
{
    struct bt_resume_files *f = tarn_calloc(1, sizeof *f);
    if (f == NULL) {
        tarn_fail_mem(err, "opening the state folder");
        return NULL;
    }
    f->dir = f->locks = -1;
    if (sys_make_private_folder(folder, err))
        f->dir = sys_open(folder, SYS_OPEN_FOLDER, err);
    if (f->dir >= 0)
        f->locks = sys_open_beneath(f->dir, "locks", SYS_OPEN_CREATE, err);
    if (f->locks < 0) {
        bt_resume_files_free(f);
        return NULL;
    }
    return f;
}

bool bt_resume_files_hold_all(struct bt_resume_files *f)
{
    f->holds_all = sys_lock_all(f->locks, NULL);
    return f->holds_all;
}

void bt_resume_files_free(struct bt_resume_files *f)
{
    if (f == NULL)
        return;
    sys_close(&f->locks);
    sys_close(&f->dir);
    tarn_free(f);
}

/* The whole of a file, empty when there is none. One that is too long is as good as none: what it
 * says cannot be used. */
static bool read_file(int dir, const char *name, size_t max, uint8_t **data, size_t *len,
                      struct tarn_err *err)
{
    struct tarn_err why;
    struct sys_stat st;
    *data = NULL;
    *len = 0;
    SYS_AUTO_FD fd = sys_open_beneath(dir, name, SYS_OPEN_READ, &why);
    if (fd < 0 && why.code == TARN_E_NOT_FOUND)
        return true;
    if (fd < 0) {
        if (err != NULL)
            *err = why;
        return false;
    }
    if (!sys_stat_fd(fd, &st, err))
        return false;
    if (st.size > max)
        return tarn_fail(err, TARN_E_POLICY, "'%s' is longer than saved state can be", name);
    uint8_t *p = tarn_calloc((size_t)st.size + 1, 1);
    if (p == NULL)
        return tarn_fail_mem(err, "reading saved state");
    if (!sys_read_at(fd, p, (size_t)st.size, 0, len, err)) {
        tarn_free(p);
        return false;
    }
    *data = p;
    return true;
}

/* New file, sync, rename, sync of the folder. The temporary name is always the same, so that a blow
 * in the middle leaves one file, which the next time uses again. */
static bool replace_file(int dir, const char *name, struct tarn_bytes data, struct tarn_err *err)
{
    struct file_name temp;
    SYS_AUTO_FD fd = sys_open_beneath(dir, file_of(&temp, name, "new"), SYS_OPEN_CREATE, err);
    return fd >= 0 && sys_truncate(fd, 0, err) && sys_write_at(fd, data, 0, err) &&
           sys_sync(fd, err) && sys_rename(dir, temp.s, dir, name, err) &&
           sys_sync_folder(dir, err);
}

/* Slots. */

static void close_slot(void *slot)
{
    struct slot *s = slot;
    sys_close(&s->journal);
    if (!s->files->holds_all)
        sys_unlock_at(s->files->locks, s->lock);
    sys_lock_release(&s->busy);
    tarn_free(s);
}

/* Two names that share a byte would only keep each other out. */
static uint64_t lock_of(const char *name)
{
    uint8_t digest[CRYPT_SHA256_LEN];
    crypt_hash(CRYPT_SHA256, tarn_bytes_str(name), digest);
    return ((uint64_t)tarn_be32(digest) << 32 | tarn_be32(digest + 4)) >> 2;
}

static void *open_slot(void *arg, const char *name, struct tarn_err *err)
{
    struct bt_resume_files *f = arg;
    if (!f->holds_all && !sys_lock_at(f->locks, lock_of(name), err))
        return NULL;
    struct slot *s = tarn_calloc(1, sizeof *s);
    if (s == NULL) {
        if (!f->holds_all)
            sys_unlock_at(f->locks, lock_of(name));
        tarn_fail_mem(err, "opening saved state");
        return NULL;
    }
    s->files = f;
    s->lock = lock_of(name);
    s->journal = -1;
    sys_lock_init(&s->busy);
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

static bool load(void *slot, uint8_t **record, size_t *len, struct tarn_err *err)
{
    const struct slot *s = slot;
    struct file_name name;
    return read_file(s->files->dir, file_of(&name, s->name, "resume"), BT_RECORD_MAX, record, len,
                     err);
}

static bool load_notes(void *slot, uint64_t generation, uint8_t **notes, size_t *len,
                       struct tarn_err *err)
{
    const struct slot *s = slot;
    struct file_name name;
    return read_file(s->files->dir, journal_of(&name, s->name, generation), BT_JOURNAL_MAX, notes,
                     len, err);
}

static bool open_journal(struct slot *s, uint64_t generation, struct tarn_err *err)
{
    struct file_name name;
    struct sys_stat st;
    sys_close(&s->journal);
    s->journal = sys_open_beneath(s->files->dir, journal_of(&name, s->name, generation),
                                  SYS_OPEN_CREATE, err);
    if (s->journal < 0 || !sys_stat_fd(s->journal, &st, err)) {
        sys_close(&s->journal);
        return false;
    }
    s->generation = generation;
    s->journal_end = st.size;
    return true;
}

static bool append(struct slot *s, uint64_t generation, struct tarn_bytes data,
                   struct tarn_err *err)
{
    if ((s->journal < 0 || s->generation != generation) && !open_journal(s, generation, err))
        return false;
    if (!sys_write_at(s->journal, data, s->journal_end, err))
        return false; /* what is there of it is overwritten by the next one */
    s->journal_end += data.len;
    return true;
}

static bool note(void *slot, uint64_t generation, struct tarn_bytes data, struct tarn_err *err)
{
    struct slot *s = slot;
    sys_lock_take(&s->busy);
    bool ok = append(s, generation, data, err);
    sys_lock_give(&s->busy);
    return ok;
}

/* A journal may be missing where nothing was written, so a few generations are looked through. */
static void drop_older(struct slot *s, uint64_t generation)
{
    struct file_name name;
    sys_lock_take(&s->busy);
    if (s->generation < generation)
        sys_close(&s->journal);
    sys_lock_give(&s->busy);
    for (uint64_t i = 1; i <= BT_RESUME_GENERATIONS && i <= generation; i++)
        (void)!sys_remove(s->files->dir, journal_of(&name, s->name, generation - i), NULL);
}

static bool save(void *slot, uint64_t generation, struct tarn_bytes record, struct tarn_err *err)
{
    struct slot *s = slot;
    struct file_name name;
    if (!replace_file(s->files->dir, file_of(&name, s->name, "resume"), record, err))
        return false;
    drop_older(s, generation);
    return true;
}

static void forget(void *slot)
{
    struct slot *s = slot;
    struct file_name name;
    uint8_t *data;
    size_t len;
    struct bt_record r;
    if (s->generation > 0)
        drop_older(s, s->generation + 1);
    if (load(s, &data, &len, NULL) && bt_record_read(&r, tarn_bytes_of(data, len), NULL)) {
        drop_older(s, r.generation + 1);
        drop_older(s, r.generation + 1 + BT_RESUME_GENERATIONS);
        bt_record_release(&r);
    }
    tarn_free(data);
    (void)!sys_remove(s->files->dir, file_of(&name, s->name, "resume"), NULL);
}

/* Torrents. */

static bool load_torrent(void *arg, const char *name, uint8_t **torrent, size_t *len,
                         struct tarn_err *err)
{
    const struct bt_resume_files *f = arg;
    struct file_name file;
    return read_file(f->dir, file_of(&file, name, "torrent"), BT_TORRENT_MAX, torrent, len, err);
}

static bool save_torrent(void *arg, const char *name, struct tarn_bytes torrent,
                         struct tarn_err *err)
{
    const struct bt_resume_files *f = arg;
    struct file_name file;
    return replace_file(f->dir, file_of(&file, name, "torrent"), torrent, err);
}

const struct bt_resume_ops bt_resume_files_ops = {
    .open = open_slot,
    .close = close_slot,
    .load = load,
    .load_notes = load_notes,
    .note = note,
    .save = save,
    .forget = forget,
    .load_torrent = load_torrent,
    .save_torrent = save_torrent,
};
