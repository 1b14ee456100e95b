/* What the tests of this room share: a folder of its own for each test, a store with two tables,
 * and writes in a line each. */
#ifndef KV_TEST_ROOM_H
#define KV_TEST_ROOM_H

#include "base/test/folder.h"
#include "kv/key.h"
#include "kv/kv.h"

#include "sys/thread.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORDS, NUMBERS, TABLES };

static const char *const room_tables[TABLES] = { "words", "numbers" };
static char room_folder[64], room_path[96];

static inline struct kv_settings room_settings(void)
{
    return (struct kv_settings){
        .path = room_path,
        .kind = "test index",
        .tables = room_tables,
        .n_tables = TABLES,
        .schema = 1,
    };
}

static inline int room_enter(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(room_folder, sizeof room_folder, "%s/tarn-kv-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    if (mkdtemp(room_folder) == NULL)
        return -1;
    snprintf(room_path, sizeof room_path, "%s/index", room_folder);
    return 0;
}

static inline int room_leave(void **state)
{
    (void)state;
    test_folder_remove(room_folder);
    return 0;
}

#define IN_ROOM(test) cmocka_unit_test_setup_teardown(test, room_enter, room_leave)

static inline struct kv *room_open(const struct kv_settings *set)
{
    struct tarn_err err = { 0 };
    struct kv *kv = kv_open(set, &err);
    if (kv == NULL)
        fail_msg("%s", err.msg);
    return kv;
}

static inline struct kv *room_open_usual(void)
{
    struct kv_settings set = room_settings();
    return room_open(&set);
}

/* It is refused, with this code and these words. */
static inline void room_refuse(const struct kv_settings *set, enum tarn_code code,
                               const char *words)
{
    struct tarn_err err = { 0 };
    struct kv *kv = kv_open(set, &err);
    assert_null(kv);
    if (err.code != code || strstr(err.msg, words) == NULL)
        fail_msg("%d: %s (wanted %d: %s)", (int)err.code, err.msg, (int)code, words);
}

/* One record; value NULL deletes it. */
struct room_put {
    struct kv_write w;
    unsigned table;
    struct tarn_bytes key, value;
    bool is_append;
};

static inline bool room_run_put(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    const struct room_put *p = TARN_OUTER(w, struct room_put, w);
    if (p->value.p == NULL)
        return kv_txn_del(t, p->table, p->key, err) != KV_FAILED;
    if (p->is_append)
        return kv_txn_append(t, p->table, p->key, p->value, err);
    return kv_txn_put(t, p->table, p->key, p->value, err);
}

static inline bool room_try_put(struct kv *kv, unsigned table, struct tarn_bytes key,
                                struct tarn_bytes value, struct tarn_err *err)
{
    struct room_put p = { .w.run = room_run_put, .table = table, .key = key, .value = value };
    return kv_write_now(kv, &p.w, err);
}

static inline void room_put(struct kv *kv, unsigned table, const char *key, const char *value)
{
    struct tarn_err err = { 0 };
    struct tarn_bytes v = value == NULL ? tarn_bytes_of(NULL, 0) : tarn_bytes_str(value);
    if (!room_try_put(kv, table, tarn_bytes_str(key), v, &err))
        fail_msg("%s", err.msg);
}

/* value NULL: there is none. */
static inline void room_expect(struct kv *kv, unsigned table, const char *key, const char *value)
{
    struct tarn_err err = { 0 };
    struct tarn_bytes got;
    KV_AUTO_READ r = { 0 };
    assert_true(kv_read_begin(kv, &r, &err));
    enum kv_got found = kv_get(&r, table, tarn_bytes_str(key), &got, &err);
    assert_int_equal(found, value == NULL ? KV_NONE : KV_FOUND);
    if (value != NULL)
        assert_true(tarn_bytes_eq_str(got, value));
}

/* A gate in front of the writer: what is submitted while it is shut comes together in one group. */
struct room_gate {
    struct kv_write w;
    struct sys_lock lock;
    struct sys_cond moved;
    bool is_reached, is_open, is_over, is_good;
};

static inline bool room_run_gate(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    (void)t;
    (void)err;
    struct room_gate *g = TARN_OUTER(w, struct room_gate, w);
    sys_lock_take(&g->lock);
    g->is_reached = true;
    sys_cond_broadcast(&g->moved);
    while (!g->is_open)
        sys_cond_wait(&g->moved, &g->lock);
    sys_lock_give(&g->lock);
    return true;
}

static inline void room_gate_over(struct kv_write *w, const struct tarn_err *err)
{
    struct room_gate *g = TARN_OUTER(w, struct room_gate, w);
    sys_lock_take(&g->lock);
    g->is_good =
        err == NULL; /* not asserted here: an assertion jumps, and this is another thread */
    g->is_over = true;
    sys_cond_broadcast(&g->moved);
    sys_lock_give(&g->lock);
}

static inline void room_gate_shut(struct room_gate *g, struct kv *kv)
{
    *g = (struct room_gate){ .w = { .run = room_run_gate, .done = room_gate_over } };
    sys_lock_init(&g->lock);
    sys_cond_init(&g->moved);
    kv_submit(kv, &g->w);
    sys_lock_take(&g->lock);
    while (!g->is_reached)
        sys_cond_wait(&g->moved, &g->lock);
    sys_lock_give(&g->lock);
}

static inline void room_gate_open(struct room_gate *g)
{
    sys_lock_take(&g->lock);
    g->is_open = true;
    sys_cond_broadcast(&g->moved);
    while (!g->is_over)
        sys_cond_wait(&g->moved, &g->lock);
    sys_lock_give(&g->lock);
    assert_true(g->is_good);
    sys_cond_release(&g->moved);
    sys_lock_release(&g->lock);
}

static inline uint64_t room_count(struct kv *kv, unsigned table)
{
    uint64_t n = 0;
    KV_AUTO_READ r = { 0 };
    assert_true(kv_read_begin(kv, &r, NULL));
    assert_true(kv_count(&r, table, &n, NULL));
    return n;
}

static inline struct kv_stat room_stat(struct kv *kv)
{
    struct kv_stat st = { 0 };
    assert_true(kv_stat(kv, &st, NULL));
    return st;
}

#endif
