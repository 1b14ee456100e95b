/* node/resume_kv: see the header. Writes are plain descriptions of what shall be there, so that
 * they may be run again. */
#include "node/resume_kv.h"

#include "base/cur.h"
#include "base/list.h"
#include "base/mem.h"
#include "bt/core/journal.h"
#include "bt/core/metainfo.h"
#include "kv/key.h"
#include "sys/thread.h"

#include <assert.h>
#include <stdio.h>

enum {
    NAME_MAX_LEN = 100,
    RUN_LEN = 256 << 10, /* of a record: the store has to find room for a run in one piece */
};

enum what { RECORD = 'r', NOTES = 'n', TORRENT = 't' };

struct node_resume_kv {
    struct kv *kv; /* borrowed */
    unsigned table;
    struct sys_lock busy; /* of the list */
    struct tarn_list slots;
};

struct slot {
    struct node_resume_kv *store; /* borrowed */
    struct tarn_list node;
    char name[NAME_MAX_LEN + 1];
};

struct node_resume_kv *node_resume_kv_new(struct kv *kv, unsigned table, struct tarn_err *err)
{
    struct node_resume_kv *r = tarn_calloc(1, sizeof *r);
    if (r == NULL) {
        tarn_fail_mem(err, "opening saved state");
        return NULL;
    }
    r->kv = kv;
    r->table = table;
    sys_lock_init(&r->busy);
    tarn_list_init(&r->slots);
    return r;
}

void node_resume_kv_free(struct node_resume_kv *r)
{
    if (r == NULL)
        return;
    assert(tarn_list_empty(&r->slots));
    sys_lock_release(&r->busy);
    tarn_free(r);
}

/* --- keys --- */

static struct kv_key prefix_of(enum what what, const char *name)
{
    struct kv_key k = { 0 };
    kv_key_u8(&k, (uint8_t)what);
    kv_key_put(&k, tarn_bytes_str(name));
    kv_key_u8(&k, 0); /* no name has it, so none begins another */
    return k;
}

static struct kv_key notes_of(const char *name, uint64_t generation)
{
    struct kv_key k = prefix_of(NOTES, name);
    kv_key_be64(&k, generation);
    return k;
}

/* --- reading --- */

/* The length of all values below prefix. */
static bool measure(const struct kv_read *r, unsigned table, struct tarn_bytes prefix,
                    uint64_t *len, struct tarn_err *err)
{
    KV_AUTO_CURSOR c = { 0 };
    *len = 0;
    if (!kv_cursor_open(r, table, &c, err))
        return false;
    enum kv_got got = kv_seek(&c, prefix, err);
    for (; got == KV_FOUND && kv_has_prefix(c.key, prefix); got = kv_next(&c, err))
        *len += c.value.len;
    return got != KV_FAILED;
}

static bool gather(const struct kv_read *r, unsigned table, struct tarn_bytes prefix, uint8_t *to,
                   struct tarn_err *err)
{
    KV_AUTO_CURSOR c = { 0 };
    if (!kv_cursor_open(r, table, &c, err))
        return false;
    enum kv_got got = kv_seek(&c, prefix, err);
    for (; got == KV_FOUND && kv_has_prefix(c.key, prefix); got = kv_next(&c, err)) {
        memcpy(to, c.value.p, c.value.len);
        to += c.value.len;
    }
    return got != KV_FAILED;
}

/* All values below prefix, one behind the other. */
static bool load_all(const struct node_resume_kv *s, const struct kv_key *prefix, uint64_t max,
                     uint8_t **data, size_t *len, struct tarn_err *err)
{
    KV_AUTO_READ r = { 0 };
    uint64_t total;
    *data = NULL;
    *len = 0;
    if (!kv_read_begin(s->kv, &r, err) || !measure(&r, s->table, kv_key_bytes(prefix), &total, err))
        return false;
    if (total == 0)
        return true;
    if (total > max)
        return tarn_fail(err, TARN_E_POLICY, "saved state is longer than it can be");
    uint8_t *p = tarn_calloc((size_t)total, 1);
    if (p == NULL)
        return tarn_fail_mem(err, "reading saved state");
    if (!gather(&r, s->table, kv_key_bytes(prefix), p, err)) {
        tarn_free(p);
        return false;
    }
    *data = p;
    *len = (size_t)total;
    return true;
}

/* --- writing --- */

struct change {
    struct kv_write w;
    const struct node_resume_kv *store;
    const char *name;
    enum what what;      /* to put; NOTES: one more */
    uint64_t generation; /* of notes */
    struct tarn_bytes data;
};

static const struct change *change_of(struct kv_write *w)
{
    return TARN_OUTER(w, struct change, w);
}

/* Replace what there is below prefix. */
static bool put_runs(struct kv_txn *t, unsigned table, const struct kv_key *prefix,
                     struct tarn_bytes data, struct tarn_err *err)
{
    if (!kv_txn_del_prefix(t, table, kv_key_bytes(prefix), err))
        return false;
    for (size_t at = 0; at < data.len; at += RUN_LEN) {
        size_t len = data.len - at < RUN_LEN ? data.len - at : RUN_LEN;
        struct kv_key k = *prefix;
        kv_key_be32(&k, (uint32_t)(at / RUN_LEN));
        if (!kv_txn_put(t, table, kv_key_bytes(&k), tarn_bytes_of(data.p + at, len), err))
            return false;
    }
    return true;
}

static bool drop_notes_before(struct kv_txn *t, const struct change *c, struct tarn_err *err)
{
    KV_AUTO_CURSOR at = { 0 };
    struct kv_key first = prefix_of(NOTES, c->name), end = notes_of(c->name, c->generation);
    if (!kv_cursor_open(&t->read, c->store->table, &at, err))
        return false;
    enum kv_got got = kv_seek(&at, kv_key_bytes(&first), err);
    for (; got == KV_FOUND && tarn_bytes_cmp(at.key, kv_key_bytes(&end)) < 0;
         got = kv_next(&at, err))
        if (!kv_txn_del_at(t, &at, err))
            return false;
    return got != KV_FAILED;
}

static bool run_save(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    const struct change *c = change_of(w);
    struct kv_key k = prefix_of(c->what, c->name);
    return put_runs(t, c->store->table, &k, c->data, err) &&
           (c->what != RECORD || drop_notes_before(t, c, err));
}

/* Behind the last of its generation. */
static bool run_note(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    const struct change *c = change_of(w);
    KV_AUTO_CURSOR at = { 0 };
    struct kv_key notes = notes_of(c->name, c->generation), end = notes;
    uint64_t place = 0;
    kv_key_be64(&end, UINT64_MAX);
    if (!kv_cursor_open(&t->read, c->store->table, &at, err))
        return false;
    enum kv_got got = kv_seek_before(&at, kv_key_bytes(&end), err);
    if (got == KV_FAILED)
        return false;
    if (got == KV_FOUND && kv_has_prefix(at.key, kv_key_bytes(&notes))) {
        struct tarn_cur cur = tarn_cur_of(at.key);
        (void)tarn_cur_take(&cur, notes.len);
        place = tarn_cur_be64(&cur) + 1;
    }
    kv_key_be64(&notes, place);
    return kv_txn_put(t, c->store->table, kv_key_bytes(&notes), c->data, err);
}

static bool run_forget(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    const struct change *c = change_of(w);
    struct kv_key record = prefix_of(RECORD, c->name), notes = prefix_of(NOTES, c->name);
    return kv_txn_del_prefix(t, c->store->table, kv_key_bytes(&record), err) &&
           kv_txn_del_prefix(t, c->store->table, kv_key_bytes(&notes), err);
}

/* --- the interface --- */

static bool is_taken(const struct node_resume_kv *s, const char *name)
{
    for (struct tarn_list *n = s->slots.next; n != &s->slots; n = n->next)
        if (strcmp(TARN_OUTER(n, struct slot, node)->name, name) == 0)
            return true;
    return false;
}

static void *open_slot(void *arg, const char *name, struct tarn_err *err)
{
    struct node_resume_kv *s = arg;
    struct slot *slot = tarn_calloc(1, sizeof *slot);
    if (slot == NULL) {
        tarn_fail_mem(err, "opening saved state");
        return NULL;
    }
    slot->store = s;
    snprintf(slot->name, sizeof slot->name, "%s", name);
    sys_lock_take(&s->busy);
    bool taken = is_taken(s, slot->name);
    if (!taken)
        tarn_list_push_back(&s->slots, &slot->node);
    sys_lock_give(&s->busy);
    if (!taken)
        return slot;
    tarn_free(slot);
    tarn_fail(err, TARN_E_POLICY, "another torrent of this node holds it");
    return NULL;
}

static void close_slot(void *slot)
{
    struct slot *s = slot;
    sys_lock_take(&s->store->busy);
    tarn_list_remove(&s->node);
    sys_lock_give(&s->store->busy);
    tarn_free(s);
}

static bool load(void *slot, uint8_t **record, size_t *len, struct tarn_err *err)
{
    const struct slot *s = slot;
    struct kv_key k = prefix_of(RECORD, s->name);
    return load_all(s->store, &k, BT_RECORD_MAX, record, len, err);
}

static bool load_notes(void *slot, uint64_t generation, uint8_t **notes, size_t *len,
                       struct tarn_err *err)
{
    const struct slot *s = slot;
    struct kv_key k = notes_of(s->name, generation);
    return load_all(s->store, &k, BT_JOURNAL_MAX, notes, len, err);
}

static bool note(void *slot, uint64_t generation, struct tarn_bytes data, struct tarn_err *err)
{
    const struct slot *s = slot;
    struct change c = { .w.run = run_note,
                        .store = s->store,
                        .name = s->name,
                        .what = NOTES,
                        .generation = generation,
                        .data = data };
    return kv_write_now(s->store->kv, &c.w, err);
}

static bool save(void *slot, uint64_t generation, struct tarn_bytes record, struct tarn_err *err)
{
    const struct slot *s = slot;
    struct change c = { .w.run = run_save,
                        .store = s->store,
                        .name = s->name,
                        .what = RECORD,
                        .generation = generation,
                        .data = record };
    return kv_write_now(s->store->kv, &c.w, err);
}

static void forget(void *slot)
{
    const struct slot *s = slot;
    struct change c = { .w.run = run_forget, .store = s->store, .name = s->name };
    (void)!kv_write_now(s->store->kv, &c.w,
                        NULL); /* what stays is looked at before it is believed */
}

static bool load_torrent(void *arg, const char *name, uint8_t **torrent, size_t *len,
                         struct tarn_err *err)
{
    struct kv_key k = prefix_of(TORRENT, name);
    return load_all(arg, &k, BT_TORRENT_MAX, torrent, len, err);
}

static bool save_torrent(void *arg, const char *name, struct tarn_bytes torrent,
                         struct tarn_err *err)
{
    const struct node_resume_kv *s = arg;
    struct change c = {
        .w.run = run_save, .store = s, .name = name, .what = TORRENT, .data = torrent
    };
    return kv_write_now(s->kv, &c.w, err);
}

const struct bt_resume_ops node_resume_kv_ops = {
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
