/* catalog/feed: files that are new or changed are read, each once, when they have been quiet.
 *
 * A job picks from what waits (T_WAITING) as many as store/intake has room for, skipping what is
 * not quiet yet and other names of an inode that is being read; a name whose bytes are known
 * already (a hard link, a move) gets its identity without being read. What intake has done is
 * recorded by another job, many files in one write: when all that were picked are done, or the
 * first of them has waited RECORD_US for a long one. One of each job is under way at a time. */
#include "base/cur.h"
#include "base/mem.h"
#include "base/num.h"
#include "catalog/look.h"
#include "sys/clock.h"

enum {
    PICK_IDS = 256, /* waiting entries considered in one job */
    GONE_MAX = 16,  /* names found gone in one */
    RECORD_US = 100 * 1000,
    AFTER_FAULT_US = 10 * 1000000 /* disk full, or an index that cannot be written */
};

/* A file that is being read, or about to be recorded. */
struct slot {
    struct store_intake_file in;
    struct feed *feed;
    bool is_used, is_ready; /* ready: to be recorded */
    bool is_ours;           /* the fault was ours, not the file's: it is tried again later */
    bool is_held;           /* it is read for hashes alone */
    bool has_match;
    struct disk_match match;
    uint64_t id;
    uint32_t collection;
    struct sys_stat st;    /* when it was picked */
    char *path;            /* owned */
    struct sys_file *root; /* counted: the collection's folder */
    struct catalog_put leaves, pieces;
    /* judged: by its reading; outcome: as recorded, where the entry may be another by then */
    enum { SLOT_AGAIN, SLOT_HELD, SLOT_REFUSED, SLOT_DAMAGED } judged, outcome;
};

struct gone {
    uint64_t folder;
    size_t len;
    uint8_t name[CATALOG_NAME_MAX];
};

struct feed {
    struct catalog *c;
    struct slot *slots; /* FEED_MAX */
    size_t n_used;
    struct slot *reading[FEED_MAX]; /* by intake, or read and not recorded: the loop's alone */
    size_t n_reading;
    struct loop_job pick, record, sweep;
    bool is_picking, is_recording, is_sweeping, wants_pick, wants_sweep, is_pausing;
    struct loop_timer timer, record_timer;
    bool is_timed, is_record_timed, is_record_due;

    /* of the pick under way */
    uint64_t after;  /* entries up to this one were considered in this pass */
    bool is_end;     /* the pass is over */
    bool is_blocked; /* in this pass something waited for another name of its inode */
    bool is_kicked;  /* something may wait that this pass has gone by */
    int64_t due_ms;  /* when the first of those that were not quiet will be; INT64_MAX: none */
    int64_t pass_due_ms;
    bool pick_failed;
    struct tarn_err pick_err;
    uint64_t ids[PICK_IDS];
    size_t n_ids;
    struct gone gone[GONE_MAX];
    size_t n_gone;
    uint64_t stale[PICK_IDS]; /* entries whose stat must be noted, to see whether it stays */
    struct sys_stat stale_st[PICK_IDS];
    size_t n_stale;
    struct sys_file *root; /* counted: the folder of the collection that was picked from last */
    uint32_t root_of;

    /* of the record under way */
    struct slot *ready[FEED_MAX];
    size_t n_ready;
    bool record_failed;
    bool has_hashes; /* of files that are held */
    struct tarn_err record_err;
    struct lines lines;

    /* of the sweep under way */
    bool sweep_failed;
    struct tarn_err sweep_err;
};

/* --- picking: a job --- */

/* How long until a file that looks so may be read; 0: now. *is_stale: note how it looks. */
static int64_t wait_ms(const struct catalog *c, const struct row_entry *row,
                       const struct sys_stat *st, int64_t now_ms, bool *is_stale)
{
    int64_t ctime_ms = st->ctime_ns / 1000000, mtime_ms = st->mtime_ns / 1000000, age;
    int64_t need = c->quiet_ms > GRAIN_MS ? c->quiet_ms : GRAIN_MS;
    bool is_same = catalog_stat_same(&row->e.stat, st);
    if (row->is_closed && is_same && mtime_ms <= now_ms)
        need = GRAIN_MS;
    if (need < COARSE_MS && st->ctime_ns % 1000000000 == 0 && st->mtime_ns % 1000000000 == 0)
        need = COARSE_MS;
    *is_stale = false;
    if (ctime_ms <= now_ms) {
        age = now_ms - ctime_ms;
    } else { /* another machine's clock: what counts is that it stays as it is */
        age = now_ms - row->seen_ms;
        *is_stale = !is_same || age < 0;
        if (*is_stale)
            age = 0;
    }
    return age >= need ? 0 : need - age;
}

static bool is_inode_busy(const struct feed *f, const struct sys_stat *st)
{
    for (size_t i = 0; i < FEED_MAX; i++)
        if (f->slots[i].is_used && f->slots[i].st.ino == st->ino && f->slots[i].st.dev == st->dev)
            return true;
    return false;
}

static bool is_busy(const struct feed *f, uint64_t id)
{
    for (size_t i = 0; i < FEED_MAX; i++)
        if (f->slots[i].is_used && f->slots[i].id == id)
            return true;
    return false;
}

static struct slot *free_slot(struct feed *f)
{
    for (size_t i = 0; i < FEED_MAX; i++)
        if (!f->slots[i].is_used)
            return &f->slots[i];
    return NULL;
}

static void release_slot(struct feed *f, struct slot *s)
{
    sys_file_unref(s->root);
    tarn_free(s->path);
    *s = (struct slot){ .feed = f };
    f->n_used--;
}

/* The collection's folder, for all of one pick. Borrowed; NULL: it is away, as a walk will say. */
static struct sys_file *root_of(struct feed *f, const struct disk_place *at)
{
    if (f->root != NULL && f->root_of == at->col.c.id)
        return f->root;
    sys_file_unref(f->root);
    int fd = sys_open(at->col.path, SYS_OPEN_FOLDER, NULL);
    f->root = fd < 0 ? NULL : sys_file_new(fd);
    f->root_of = at->col.c.id;
    return f->root;
}

/* How the file looks. NULL: not now. */
static char *look_up(const struct sys_file *root, const struct disk_place *at,
                     const struct row_entry *row, struct sys_stat *st, bool *is_gone)
{
    struct tarn_err err;
    bool is_there = sys_stat(root->fd, at->path, row->e.is_link, st, &err);
    *is_gone = is_there ? st->kind != SYS_REGULAR : err.code == TARN_E_NOT_FOUND;
    if (!is_there || *is_gone)
        return NULL;
    return row->e.is_link ? disk_resolve(at->col.path, at->path, &err)
                          : tarn_strndup(at->path, strlen(at->path));
}

static void note_gone(struct feed *f, const struct row_entry *row)
{
    if (f->n_gone == GONE_MAX)
        return;
    struct gone *l = &f->gone[f->n_gone++];
    l->folder = row->e.parent;
    l->len = row->e.name.len;
    memcpy(l->name, row->e.name.p, l->len);
}

static void consider(struct feed *f, const struct row_entry *row, const struct disk_place *at,
                     int64_t now_ms)
{
    struct sys_stat st;
    bool is_gone = false, is_stale;
    if (!at->col.is_listed || at->col.c.phase == CATALOG_AWAY || is_busy(f, row->e.id))
        return;
    struct sys_file *root = root_of(f, at);
    char *path = root == NULL ? NULL : look_up(root, at, row, &st, &is_gone);
    if (path == NULL) {
        if (is_gone)
            note_gone(f, row);
        return;
    }
    int64_t wait = wait_ms(f->c, row, &st, now_ms, &is_stale);
    if (is_stale) {
        f->stale[f->n_stale] = row->e.id;
        f->stale_st[f->n_stale++] = st;
    }
    bool is_blocked = wait == 0 && is_inode_busy(f, &st);
    struct slot *s = wait > 0 || is_blocked ? NULL : free_slot(f);
    f->is_blocked |= is_blocked;
    if (s == NULL) {
        if (wait > 0 && now_ms + wait < f->due_ms)
            f->due_ms = now_ms + wait;
        tarn_free(path);
        return;
    }
    *s = (struct slot){ .feed = f,
                        .is_used = true,
                        .id = row->e.id,
                        .collection = row->e.collection,
                        .st = st,
                        .path = path,
                        .root = sys_file_ref(root) };
    s->in.dir = root->fd;
    s->in.path = path;
    s->in.piece_len = disk_v1_len(&at->col);
    f->n_used++;
    s->is_held = row->e.state == CATALOG_HELD;
    /* Where hashes are lost, another name of the inode has lost the same. */
    s->has_match = s->is_ready =
        !row->has_lost && disk_find_match(f->c, &st, at->col.path, at->path, row->e.is_link,
                                          row->e.id, s->in.piece_len, &s->match);
}

static bool note_stale(struct index_write *w, void *arg, struct tarn_err *err)
{
    struct feed *f = arg;
    for (size_t i = 0; i < f->n_stale; i++) {
        struct row_entry row, fresh;
        enum catalog_found found = index_get(w, f->stale[i], &row, err);
        if (found == CATALOG_FAILED)
            return false;
        if (found == CATALOG_NOT_THERE ||
            (row.e.state != CATALOG_WAITING && row.e.state != CATALOG_CHANGED))
            continue;
        if (index_collection(w, row.e.collection, err) != CATALOG_FOUND)
            return false;
        row_copy_entry(&fresh, &row);
        fresh.e.stat = f->stale_st[i];
        fresh.is_closed = false;
        fresh.seen_ms = w->now_ms;
        if (!index_put(w, &row, &fresh, NULL, err))
            return false;
    }
    return true;
}

static bool take_ids(struct feed *f)
{
    KV_AUTO_READ r = { 0 };
    KV_AUTO_CURSOR cur = { 0 };
    struct kv_key k = { 0 };
    kv_key_be64(&k, f->after + 1);
    f->n_ids = 0;
    if (!kv_read_begin(f->c->kv, &r, &f->pick_err) ||
        !kv_cursor_open(&r, f->c->base + T_WAITING, &cur, &f->pick_err))
        return false;
    enum kv_got got = kv_seek(&cur, kv_key_bytes(&k), &f->pick_err);
    for (; got == KV_FOUND && f->n_ids < PICK_IDS; got = kv_next(&cur, &f->pick_err)) {
        struct tarn_cur id = tarn_cur_of(cur.key);
        f->ids[f->n_ids++] = tarn_cur_be64(&id);
    }
    kv_cursor_close(&cur); /* before its read */
    return got != KV_FAILED;
}

static bool load(struct feed *f, uint64_t id, struct row_entry *row, struct disk_place *at)
{
    struct kv_read r = { 0 };
    bool ok = kv_read_begin(f->c->kv, &r, NULL) &&
              index_entry(&r, f->c->base, id, row, NULL) == CATALOG_FOUND &&
              disk_place(&r, f->c->base, &row->e, at, NULL);
    kv_read_end(&r);
    return ok;
}

static void pick_run(struct loop_job *job)
{
    struct feed *f = TARN_OUTER(job, struct feed, pick);
    int64_t now_ms = sys_wall_ms();
    f->due_ms = INT64_MAX;
    f->n_gone = f->n_stale = 0;
    f->pick_failed = !take_ids(f);
    f->is_end = !f->pick_failed && f->n_ids < PICK_IDS;
    for (size_t i = 0; i < f->n_ids && !f->pick_failed; i++) {
        struct row_entry row;
        struct disk_place at;
        if (f->n_used == FEED_MAX || atomic_load(&f->c->is_ending)) {
            f->is_end = false;
            break;
        }
        f->after = f->ids[i];
        if (load(f, f->ids[i], &row, &at))
            consider(f, &row, &at, now_ms);
    }
    sys_file_unref(f->root);
    f->root = NULL;
    if (f->n_stale > 0 && !f->pick_failed)
        f->pick_failed = !catalog_write(f->c, note_stale, f, &f->pick_err);
}

/* --- reading --- */

static bool put_hashes(struct slot *s, struct catalog_put *p, enum catalog_hashes kind,
                       uint64_t first, uint64_t total, const uint8_t *hashes, size_t n,
                       struct tarn_err *err)
{
    struct catalog_leaves *l = s->feed->c->leaves;
    s->is_ours = (first == 0 && !catalog_leaves_begin(l, p, kind, total, err)) ||
                 !catalog_leaves_put(l, p, hashes, n, err);
    return !s->is_ours;
}

static bool on_leaves(struct store_intake_file *in, uint64_t first, const uint8_t *hashes, size_t n,
                      struct tarn_err *err)
{
    struct slot *s = TARN_OUTER(in, struct slot, in);
    return put_hashes(s, &s->leaves, CATALOG_LEAVES, first, in->n_leaves, hashes, n, err);
}

static bool on_pieces(struct store_intake_file *in, uint64_t first, const uint8_t *hashes, size_t n,
                      struct tarn_err *err)
{
    struct slot *s = TARN_OUTER(in, struct slot, in);
    return put_hashes(s, &s->pieces, CATALOG_PIECES, first, in->n_pieces, hashes, n, err);
}

/* --- recording: a job --- */

static bool is_waiting(const struct row_entry *row)
{
    return row->e.state == CATALOG_WAITING || row->e.state == CATALOG_CHANGED ||
           (row->e.state == CATALOG_HELD && (row->wants_v1 || row->has_lost));
}

/* Why it could not be read: because it changes (then it is tried again), or for good? */
static void judge_failure(struct slot *s)
{
    struct sys_stat now;
    struct tarn_err err;
    s->judged = SLOT_AGAIN;
    s->is_ours |= s->in.err.code == TARN_E_NO_MEMORY;
    if (s->is_ours || s->in.err.code == TARN_E_CANCELED || s->in.err.code == TARN_E_NOT_FOUND)
        return;
    if (sys_stat(s->root->fd, s->path, false, &now, &err) && catalog_stat_same(&now, &s->st))
        s->judged = SLOT_REFUSED;
}

static void finish_hashes(struct feed *f, struct slot *s)
{
    struct catalog_leaves *l = f->c->leaves;
    struct tarn_err err;
    if (s->has_match) {
        s->judged = SLOT_HELD;
        return;
    }
    if (s->in.err.code != TARN_OK) {
        judge_failure(s);
        return;
    }
    bool ok = (s->leaves.run.len == 0 || catalog_leaves_end(l, &s->leaves, NULL, &err)) &&
              (s->pieces.run.len == 0 || catalog_leaves_end(l, &s->pieces, s->in.root, &err));
    if (!ok) {
        s->is_ours = true;
        s->in.err = err;
    }
    s->judged = ok && catalog_stat_same(&s->in.stat, &s->st) ? SLOT_HELD : SLOT_AGAIN;
}

static struct catalog_known known_of(const struct slot *s)
{
    const struct store_intake_file *in = &s->in;
    struct catalog_known k = { .leaves = s->leaves.run,
                               .v1_piece_len = in->piece_len,
                               .pieces = s->pieces.run,
                               .has_tail = in->has_tail };
    memcpy(k.sha256, in->sha256, sizeof k.sha256);
    memcpy(k.tail, in->tail, sizeof k.tail);
    memcpy(k.tail_padded, in->tail_padded, sizeof k.tail_padded);
    return k;
}

/* A held file that was read again, only for its hashes, has other bytes under the same stat: as a
 * scrub would have found it. */
static bool record_damaged(struct index_write *w, struct slot *s, const struct row_entry *row,
                           struct tarn_err *err)
{
    struct row_entry fresh;
    s->outcome = SLOT_DAMAGED;
    row_copy_entry(&fresh, row);
    fresh.wants_v1 = fresh.has_lost = false;
    fresh.e.state = CATALOG_DAMAGED;
    fresh.e.reason =
        index_reason(fresh.reason, "its bytes are others than they were, under the same times");
    return index_put(w, row, &fresh, NULL, err) &&
           index_note(w, CATALOG_E_DAMAGED, &fresh, fresh.e.reason, 0, err);
}

static bool record_held(struct index_write *w, struct slot *s, const struct row_entry *row,
                        struct tarn_err *err)
{
    struct row_entry fresh;
    row_copy_entry(&fresh, row);
    fresh.e.stat = s->has_match ? s->st : s->in.stat;
    fresh.is_closed = fresh.wants_v1 = fresh.has_lost = false;
    if (s->has_match) {
        bool is_done;
        if (!index_take_over(w, row, &fresh, &s->match, &is_done, err))
            return false;
        s->outcome = is_done ? SLOT_HELD : SLOT_AGAIN;
        return true;
    }
    struct catalog_known known = known_of(s);
    fresh.e.state = CATALOG_HELD;
    fresh.e.has_identity = true;
    fresh.e.identity.len = s->in.len;
    if (s->in.n_leaves > 0)
        memcpy(fresh.e.identity.root, s->in.root, sizeof fresh.e.identity.root);
    else
        memset(fresh.e.identity.root, 0, sizeof fresh.e.identity.root);
    bool is_same = row_same_identity(&row->e.identity, &fresh.e.identity);
    if (row->e.state == CATALOG_HELD && is_same)
        return index_put(w, row, &fresh, &known, err); /* only hashes are new */
    if (row->e.state == CATALOG_HELD && catalog_stat_same(&row->e.stat, &s->in.stat))
        return record_damaged(w, s, row, err);
    return index_put(w, row, &fresh, &known, err) &&
           index_note(w, row->e.has_identity ? CATALOG_E_REPLACED : CATALOG_E_ADDED, &fresh,
                      tarn_bytes_of(NULL, 0), 0, err);
}

static bool record_refused(struct index_write *w, const struct slot *s, const struct row_entry *row,
                           struct tarn_err *err)
{
    struct row_entry fresh;
    row_copy_entry(&fresh, row);
    fresh.e.stat = s->st;
    fresh.e.state = CATALOG_REFUSED;
    fresh.e.has_identity = false;
    fresh.e.reason = index_reason(fresh.reason, s->in.err.msg);
    return index_put(w, row, &fresh, NULL, err) &&
           index_note(w, CATALOG_E_REFUSED, &fresh, fresh.e.reason, 0, err);
}

static bool record_all(struct index_write *w, void *arg, struct tarn_err *err)
{
    struct feed *f = arg;
    for (size_t i = 0; i < f->n_ready; i++) {
        struct slot *s = f->ready[i];
        struct row_entry row;
        s->outcome = s->judged;
        if (s->outcome == SLOT_AGAIN)
            continue;
        enum catalog_found found = index_get(w, s->id, &row, err);
        if (found == CATALOG_FOUND)
            found = index_collection(w, row.e.collection, err);
        if (found == CATALOG_FAILED)
            return false;
        if (found == CATALOG_NOT_THERE || !is_waiting(&row)) {
            s->outcome = SLOT_AGAIN; /* it went away, or is known by now */
            continue;
        }
        if (!(s->outcome == SLOT_HELD ? record_held(w, s, &row, err)
                                      : record_refused(w, s, &row, err)))
            return false;
    }
    return true;
}

static void after_record(struct feed *f, struct slot *s)
{
    struct tarn_quote q;
    if (s->outcome == SLOT_HELD) {
        if (s->has_match)
            disk_report_moved(f->c, &s->match);
        f->has_hashes |= s->is_held;
        return;
    }
    catalog_leaves_drop(f->c->leaves, &s->leaves);
    catalog_leaves_drop(f->c->leaves, &s->pieces);
    if (s->outcome == SLOT_DAMAGED)
        lines_add(&f->lines, true, "'%s' is damaged: its bytes are not those that it had",
                  tarn_quote_str(&q, s->path));
}

static void record_run(struct loop_job *job)
{
    struct feed *f = TARN_OUTER(job, struct feed, record);
    bool has_runs = false, has_news = false;
    f->lines.n = f->lines.more = 0;
    f->record_failed = f->has_hashes = false;
    for (size_t i = 0; i < f->n_ready; i++) {
        struct slot *s = f->ready[i];
        finish_hashes(f, s);
        has_runs |= s->leaves.run.len + s->pieces.run.len > 0;
        has_news |= s->judged != SLOT_AGAIN;
        if (s->judged == SLOT_REFUSED)
            lines_add(&f->lines, true, "%s", s->in.err.msg);
        if (s->is_ours) {
            f->record_failed = true;
            f->record_err = s->in.err;
        }
    }
    if (has_news && ((has_runs && !catalog_leaves_sync(f->c->leaves, &f->record_err)) ||
                     !catalog_write(f->c, record_all, f, &f->record_err))) {
        f->record_failed = true;
        for (size_t i = 0; i < f->n_ready; i++)
            f->ready[i]->outcome = SLOT_AGAIN;
    }
    for (size_t i = 0; i < f->n_ready; i++)
        after_record(f, f->ready[i]);
}

/* --- the loop's thread --- */

static void go_on(struct feed *f);

static void pause_feed(struct feed *f, const struct tarn_err *why)
{
    actor_fault(f->c, "hashing goes on in 10 seconds", why);
    f->is_pausing = f->is_timed =
        loop_timer_set(f->c->loop, &f->timer, loop_now_us(f->c->loop) + AFTER_FAULT_US);
}

/* Between two jobs, when the slots may be looked at. */
static void note_reading(struct feed *f)
{
    f->n_reading = 0;
    for (size_t i = 0; i < FEED_MAX; i++)
        if (f->slots[i].is_used && f->slots[i].in.done != NULL)
            f->reading[f->n_reading++] = &f->slots[i];
}

uint64_t catalog_read_so_far(const struct catalog *c, uint32_t collection)
{
    const struct feed *f = c->feed;
    uint64_t bytes = 0;
    for (size_t i = 0; i < f->n_reading; i++)
        if (collection == 0 || f->reading[i]->collection == collection)
            bytes += tarn_min_u64(f->reading[i]->in.bytes_read, f->reading[i]->st.size);
    return bytes;
}

static void record_done(struct loop_job *job)
{
    struct feed *f = TARN_OUTER(job, struct feed, record);
    f->is_recording = false;
    for (size_t i = 0; i < f->n_ready; i++)
        release_slot(f, f->ready[i]);
    f->n_ready = 0;
    note_reading(f);
    f->wants_pick = true;
    actor_say(f->c, &f->lines);
    if (f->record_failed)
        pause_feed(f, &f->record_err);
    if (f->has_hashes && f->c->ops.on_hashes != NULL)
        f->c->ops.on_hashes(f->c->arg);
    actor_settle(f->c);
    go_on(f);
    actor_kick(f->c);
}

static void intake_done(struct store_intake_file *in)
{
    struct slot *s = TARN_OUTER(in, struct slot, in);
    s->is_ready = true;
    go_on(s->feed);
}

/* A file is read when it is its turn; one whose bytes are known is only recorded. */
static void submit(struct feed *f)
{
    for (size_t i = 0; i < FEED_MAX; i++) {
        struct slot *s = &f->slots[i];
        if (!s->is_used || s->is_ready || s->in.done != NULL)
            continue;
        s->in.on_leaves = on_leaves;
        s->in.on_pieces = on_pieces;
        s->in.done = intake_done;
        store_intake_submit(f->c->intake, &s->in);
    }
    note_reading(f);
}

static void set_due(struct feed *f)
{
    if (f->pass_due_ms == INT64_MAX)
        return;
    int64_t wait_ms_left = f->pass_due_ms - sys_wall_ms();
    int64_t at = loop_now_us(f->c->loop) + (wait_ms_left > 0 ? wait_ms_left : 0) * 1000 + 1000;
    f->is_timed = loop_timer_set(f->c->loop, &f->timer, at);
}

/* Once more at once when that may help; else when a file is recorded, or has been quiet. */
static void end_pass(struct feed *f)
{
    if (f->is_kicked || (f->is_blocked && f->n_used == 0))
        f->wants_pick = true;
    else
        set_due(f);
    f->after = 0;
    f->is_kicked = f->is_blocked = false;
    f->pass_due_ms = INT64_MAX;
}

static void pick_done(struct loop_job *job)
{
    struct feed *f = TARN_OUTER(job, struct feed, pick);
    f->is_picking = false;
    if (f->pick_failed) {
        submit(f); /* what was picked before: its slots are free again when it has been read */
        pause_feed(f, &f->pick_err);
        return;
    }
    if (f->due_ms < f->pass_due_ms)
        f->pass_due_ms = f->due_ms;
    for (size_t i = 0; i < f->n_gone; i++)
        actor_look_name(f->c, f->gone[i].folder, tarn_bytes_of(f->gone[i].name, f->gone[i].len),
                        false, true);
    submit(f);
    if (f->is_end)
        end_pass(f);
    else
        f->wants_pick = true;
    go_on(f);
    actor_kick(f->c);
}

static void on_record_time(struct loop_timer *t)
{
    struct feed *f = TARN_OUTER(t, struct feed, record_timer);
    f->is_record_timed = false;
    f->is_record_due = true;
    go_on(f);
}

/* A write costs a sync, and pages of the index by the hundred: many files share one. */
static bool may_wait(struct feed *f)
{
    if (f->n_ready == f->n_used || f->is_record_due)
        return false;
    if (!f->is_record_timed)
        f->is_record_timed =
            loop_timer_set(f->c->loop, &f->record_timer, loop_now_us(f->c->loop) + RECORD_US);
    return f->is_record_timed;
}

static void start_record(struct feed *f)
{
    f->n_ready = 0;
    for (size_t i = 0; i < FEED_MAX; i++)
        if (f->slots[i].is_used && f->slots[i].is_ready)
            f->ready[f->n_ready++] = &f->slots[i];
    if (f->n_ready == 0 || may_wait(f)) {
        f->n_ready = 0;
        return;
    }
    loop_timer_stop(f->c->loop, &f->record_timer);
    f->is_record_timed = f->is_record_due = false;
    f->is_recording = true;
    loop_pool_submit(f->c->loop, &f->record);
}

static void go_on(struct feed *f)
{
    /* One at a time: picking fills slots, recording empties them, sweeping wants them empty. */
    if (f->is_picking || f->is_recording || f->is_sweeping)
        return;
    start_record(f);
    if (f->wants_sweep && f->n_used == 0) {
        f->wants_sweep = false;
        f->is_sweeping = true;
        loop_pool_submit(f->c->loop, &f->sweep);
        return;
    }
    if (f->is_recording || f->is_pausing || !f->wants_pick || f->n_used == FEED_MAX)
        return;
    f->wants_pick = false;
    f->is_picking = true;
    loop_pool_submit(f->c->loop, &f->pick);
}

/* --- sweeping: a job --- */

static void sweep(struct loop_job *job)
{
    struct feed *f = TARN_OUTER(job, struct feed, sweep);
    f->sweep_failed = !sweep_run(f->c, &f->sweep_err);
}

static void sweep_done(struct loop_job *job)
{
    struct feed *f = TARN_OUTER(job, struct feed, sweep);
    struct lines l = { 0 };
    f->is_sweeping = false;
    if (f->sweep_failed)
        lines_add(&l, true, "the file of hashes was not searched for free space: %s",
                  f->sweep_err.msg);
    actor_say(f->c, &l);
    go_on(f);
    actor_kick(f->c);
}

void feed_sweep(struct feed *f)
{
    f->wants_sweep = true;
    go_on(f);
}

static void on_time(struct loop_timer *t)
{
    struct feed *f = TARN_OUTER(t, struct feed, timer);
    f->is_timed = f->is_pausing = false;
    feed_kick(f);
}

void feed_kick(struct feed *f)
{
    f->wants_pick = f->is_kicked = true;
    go_on(f);
}

bool feed_is_idle(const struct feed *f)
{
    return !f->is_picking && !f->is_recording && !f->is_sweeping && !f->wants_pick &&
           !f->wants_sweep && !f->is_timed && f->n_used == 0;
}

struct feed *feed_new(struct catalog *c, struct tarn_err *err)
{
    struct feed *f = tarn_calloc(1, sizeof *f);
    if (f != NULL)
        f->slots = tarn_calloc(FEED_MAX, sizeof *f->slots);
    if (f == NULL || f->slots == NULL) {
        tarn_free(f);
        tarn_fail_mem(err, "making room for files to be hashed");
        return NULL;
    }
    f->c = c;
    f->pick.run = pick_run;
    f->pick.done = pick_done;
    f->record.run = record_run;
    f->record.done = record_done;
    f->sweep.run = sweep;
    f->sweep.done = sweep_done;
    f->timer.on_time = on_time;
    f->record_timer.on_time = on_record_time;
    f->pass_due_ms = INT64_MAX;
    for (size_t i = 0; i < FEED_MAX; i++)
        f->slots[i] = (struct slot){ .feed = f };
    return f;
}

void feed_free(struct feed *f)
{
    if (f == NULL)
        return;
    loop_pool_cancel(f->c->loop, &f->pick);
    loop_pool_cancel(f->c->loop, &f->record);
    loop_pool_cancel(f->c->loop, &f->sweep);
    loop_timer_stop(f->c->loop, &f->timer);
    loop_timer_stop(f->c->loop, &f->record_timer);
    for (size_t i = 0; i < FEED_MAX; i++)
        if (f->slots[i].is_used) {
            catalog_leaves_drop(f->c->leaves, &f->slots[i].leaves);
            catalog_leaves_drop(f->c->leaves, &f->slots[i].pieces);
            release_slot(f, &f->slots[i]);
        }
    tarn_free(f->slots);
    tarn_free(f);
}
