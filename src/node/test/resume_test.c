/* What bt/resume.h promises, of both that keep it: files in a folder, and the node's index. */
#include "base/test/test.h"
#include "bt/resume.h"
#include "node/resume_kv.h"
#include "sys/file.h"
#include "sys/thread.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct keeper {
    const struct bt_resume_ops *ops;
    void *arg;
    struct kv *kv; /* of the index */
    bool is_index;
};

static char folder[64];

static void keeper_open(struct keeper *k, bool is_index)
{
    static const char *const tables[] = { "other", "resume" };
    char path[96];
    struct tarn_err err = { 0 };
    *k = (struct keeper){ .is_index = is_index };
    snprintf(path, sizeof path, "%s/%s", folder, is_index ? "index" : "state");
    if (is_index) {
        struct kv_settings set = {
            .path = path, .kind = "test index", .tables = tables, .n_tables = 2, .schema = 1
        };
        k->kv = kv_open(&set, &err);
        assert_non_null(k->kv);
        k->arg = node_resume_kv_new(k->kv, 1, &err);
        k->ops = &node_resume_kv_ops;
    } else {
        k->arg = bt_resume_files_new(path, &err);
        k->ops = &bt_resume_files_ops;
    }
    if (k->arg == NULL)
        fail_msg("%s", err.msg);
}

static void keeper_close(struct keeper *k)
{
    if (k->is_index)
        node_resume_kv_free(k->arg);
    else
        bt_resume_files_free(k->arg);
    kv_close(k->kv);
}

static int enter(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/tarn-resume-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static bool files = false, indexed = true;
#define ON_BOTH(test) \
    { #test " (files)", test, enter, leave, &files }, \
    { \
#test " (index)", test, enter, leave, &indexed \
    }
static bool is_index(void **state)
{
    return *(const bool *)*state;
}

static void expect(bool ok, uint8_t *got, size_t len, const char *text)
{
    assert_true(ok);
    assert_int_equal(len, strlen(text));
    if (len > 0)
        assert_memory_equal(got, text, len);
    tarn_free(got);
}

static void expect_record(const struct keeper *k, void *slot, const char *text)
{
    uint8_t *got;
    size_t len;
    bool ok = k->ops->load(slot, &got, &len, NULL);
    expect(ok, got, len, text);
}

static void expect_notes(const struct keeper *k, void *slot, uint64_t generation, const char *text)
{
    uint8_t *got;
    size_t len;
    bool ok = k->ops->load_notes(slot, generation, &got, &len, NULL);
    expect(ok, got, len, text);
}

static void expect_torrent(const struct keeper *k, const char *name, const char *text)
{
    uint8_t *got;
    size_t len;
    bool ok = k->ops->load_torrent(k->arg, name, &got, &len, NULL);
    expect(ok, got, len, text);
}

static bool note(const struct keeper *k, void *slot, uint64_t generation, const char *text)
{
    return k->ops->note(slot, generation, tarn_bytes_str(text), NULL);
}

static bool save(const struct keeper *k, void *slot, uint64_t generation, const char *text)
{
    return k->ops->save(slot, generation, tarn_bytes_str(text), NULL);
}

static void test_what_was_kept_is_there_again(void **state)
{
    struct keeper k;
    keeper_open(&k, is_index(state));
    void *a = k.ops->open(k.arg, "a-1", NULL), *b = k.ops->open(k.arg, "a-1.x", NULL);
    assert_non_null(a);
    assert_non_null(b); /* one name begins the other */
    expect_record(&k, a, "");
    expect_notes(&k, a, 1, "");
    expect_torrent(&k, "a", "");
    assert_true(note(&k, a, 5, "one,") && note(&k, a, 5, "two,") && note(&k, b, 5, "other,"));
    assert_true(save(&k, a, 5, "record of a"));
    assert_true(note(&k, a, 5, "three,"));
    assert_true(k.ops->save_torrent(k.arg, "a", tarn_bytes_str("torrent"), NULL));
    assert_true(k.ops->save_torrent(k.arg, "a", tarn_bytes_str("other"), NULL));
    k.ops->close(a);
    k.ops->close(b);
    keeper_close(&k);
    keeper_open(&k, is_index(state));
    a = k.ops->open(k.arg, "a-1", NULL);
    b = k.ops->open(k.arg, "a-1.x", NULL);
    expect_record(&k, a, "record of a");
    expect_record(&k, b, "");
    expect_notes(&k, a, 5, "one,two,three,"); /* in their order */
    expect_notes(&k, a, 4, "");
    expect_notes(&k, b, 5, "other,");
    expect_torrent(&k, "a", "other");
    assert_true(note(&k, a, 5, "four,"));
    expect_notes(&k, a, 5, "one,two,three,four,");
    k.ops->close(a);
    k.ops->close(b);
    keeper_close(&k);
}

static void test_a_record_ends_older_notes(void **state)
{
    struct keeper k;
    keeper_open(&k, is_index(state));
    void *s = k.ops->open(k.arg, "s", NULL);
    for (uint64_t g = 250; g <= 260; g++) /* across a byte of the number */
        assert_true(note(&k, s, g, "note"));
    assert_true(save(&k, s, 256, "a long record"));
    for (uint64_t g = 256 - BT_RESUME_GENERATIONS; g < 256; g++)
        expect_notes(&k, s, g, "");
    for (uint64_t g = 256; g <= 260; g++)
        expect_notes(&k, s, g, "note");
    assert_true(save(&k, s, 257, "short")); /* nothing of the longer one is left */
    expect_record(&k, s, "short");
    k.ops->close(s);
    keeper_close(&k);
}

static void test_forgetting_leaves_an_empty_open_slot(void **state)
{
    struct keeper k;
    keeper_open(&k, is_index(state));
    void *s = k.ops->open(k.arg, "s", NULL), *other = k.ops->open(k.arg, "s2", NULL);
    assert_true(note(&k, s, 9, "note") && note(&k, other, 9, "note"));
    assert_true(save(&k, other, 9, "record"));
    k.ops->forget(s);
    expect_record(&k, s, "");
    expect_notes(&k, s, 9, "");
    expect_record(&k, other, "record");
    expect_notes(&k, other, 9, "note");
    assert_true(note(&k, s, 20, "again"));
    expect_notes(&k, s, 20, "again");
    k.ops->close(s);
    k.ops->close(other);
    keeper_close(&k);
}

/* Of any length, from nothing to many runs. */
static void test_long_records_come_back_whole(void **state)
{
    static const size_t lengths[] = { 0, 1, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 3000000 };
    struct keeper k;
    uint64_t chance = test_seed();
    uint8_t *bytes = tarn_calloc(3000000, 1);
    keeper_open(&k, is_index(state));
    void *s = k.ops->open(k.arg, "s", NULL);
    for (size_t i = 0; i < 3000000; i++)
        bytes[i] = (uint8_t)test_rand(&chance);
    for (size_t i = TARN_COUNT_OF(lengths); i-- > 0;) {
        uint8_t *got;
        size_t len;
        assert_true(k.ops->save(s, 1, tarn_bytes_of(bytes, lengths[i]), NULL));
        assert_true(k.ops->load(s, &got, &len, NULL));
        assert_int_equal(len, lengths[i]);
        if (len > 0)
            assert_memory_equal(got, bytes, len);
        tarn_free(got);
    }
    k.ops->close(s);
    keeper_close(&k);
    tarn_free(bytes);
}

/* Notes come while a record is saved, and from many slots at once. */
enum { SLOTS = 4, NOTES = 100 };

struct noter {
    const struct keeper *k;
    void *slot;
    bool is_good;
};

static void note_on(void *arg)
{
    struct noter *n = arg;
    n->is_good = true;
    for (int i = 0; i < NOTES; i++)
        n->is_good = note(n->k, n->slot, 7, "x") && n->is_good;
}

static void test_many_slots_at_once(void **state)
{
    struct keeper k;
    struct noter noters[SLOTS];
    struct sys_thread threads[SLOTS];
    keeper_open(&k, is_index(state));
    for (int i = 0; i < SLOTS; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%d", i);
        noters[i] = (struct noter){ .k = &k, .slot = k.ops->open(k.arg, name, NULL) };
        assert_non_null(noters[i].slot);
        assert_true(sys_thread_start(&threads[i], "notes", note_on, &noters[i], NULL));
    }
    for (int i = 0; i < 20; i++)
        assert_true(save(&k, noters[i % SLOTS].slot, 7, "record"));
    for (int i = 0; i < SLOTS; i++)
        sys_thread_join(&threads[i]);
    for (int i = 0; i < SLOTS; i++) {
        uint8_t *got;
        size_t len;
        assert_true(noters[i].is_good);
        assert_true(k.ops->load_notes(noters[i].slot, 7, &got, &len, NULL));
        assert_int_equal(len, NOTES);
        tarn_free(got);
        expect_record(&k, noters[i].slot, "record");
        k.ops->close(noters[i].slot);
    }
    keeper_close(&k);
}

/* A note whose call has returned outlives the process, however that ends. */
static void test_notes_outlive_a_killed_process(void **state)
{
    for (int round = 0; round < 5; round++) {
        int ends[2], status;
        uint64_t n = 0, told;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct keeper k;
            keeper_open(&k, is_index(state));
            void *s = k.ops->open(k.arg, "s", NULL);
            for (uint64_t i = 0; s != NULL && note(&k, s, (uint64_t)round + 1, "x"); i++)
                if (write(ends[1], &i, 8) != 8)
                    break;
            _exit(1);
        }
        close(ends[1]);
        for (; read(ends[0], &told, 8) == 8; n = told + 1)
            if (told == (uint64_t)(round * 40))
                assert_int_equal(kill(child, SIGKILL), 0);
        close(ends[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        struct keeper k;
        uint8_t *got;
        size_t len;
        keeper_open(&k, is_index(state));
        void *s = k.ops->open(k.arg, "s", NULL);
        assert_non_null(s); /* the dead process holds it no more */
        assert_true(k.ops->load_notes(s, (uint64_t)round + 1, &got, &len, NULL));
        assert_in_range(len, n, n + 1);
        tarn_free(got);
        k.ops->close(s);
        keeper_close(&k);
    }
}

static void test_a_slot_is_open_once(void **state)
{
    (void)state;
    struct keeper k;
    struct tarn_err err = { 0 };
    keeper_open(&k, true);
    void *s = k.ops->open(k.arg, "s", &err);
    assert_non_null(s);
    assert_null(k.ops->open(k.arg, "s", &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    k.ops->close(s);
    s = k.ops->open(k.arg, "s", &err);
    assert_non_null(s);
    k.ops->close(s);
    keeper_close(&k);
}

static void test_without_memory(void **state)
{
    struct keeper k;
    keeper_open(&k, is_index(state));
    void *s = k.ops->open(k.arg, "s", NULL);
    assert_true(save(&k, s, 1, "record") && note(&k, s, 1, "note"));
    test_mem_fail_after(0);
    struct tarn_err err = { 0 };
    uint8_t *got = NULL;
    size_t len;
    assert_null(k.ops->open(k.arg, "other", &err));
    assert_int_equal(err.code, TARN_E_NO_MEMORY);
    assert_false(k.ops->load(s, &got, &len, &err));
    assert_false(k.ops->load_notes(s, 1, &got, &len, &err));
    test_mem_normal();
    expect_record(&k, s, "record");
    k.ops->close(s);
    keeper_close(&k);
}

TEST_MAIN(ON_BOTH(test_what_was_kept_is_there_again), ON_BOTH(test_a_record_ends_older_notes),
          ON_BOTH(test_forgetting_leaves_an_empty_open_slot),
          ON_BOTH(test_long_records_come_back_whole), ON_BOTH(test_many_slots_at_once),
          ON_BOTH(test_notes_outlive_a_killed_process),
          cmocka_unit_test_setup_teardown(test_a_slot_is_open_once, enter, leave),
          ON_BOTH(test_without_memory))
