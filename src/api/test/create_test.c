#include "sys/fake.h"

#include "api/test/folder.h"

#include <errno.h>
#include <string.h>
#include <tarn/tarn.h>

enum { PIECE = 32768 };

static struct tarn_create how(const struct folder *f)
{
    return (struct tarn_create){ .path = f->tree, .piece_length = PIECE, .jobs = 2 };
}

static void test_all_formats(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    for (int format = TARN_HYBRID; format <= TARN_V2; format++) {
        struct tarn_err err = { 0 };
        struct tarn_create c = how(&f);
        c.format = (enum tarn_format)format;
        struct tarn_torrent *t = tarn_create(&c, &err);
        if (t == NULL)
            fail_msg("%s", err.msg);
        const struct tarn_torrent_info *info = tarn_torrent_info(t);
        assert_string_equal(info->name, "tree");
        assert_int_equal(info->length, 120000);
        assert_int_equal(info->n_files, 3);
        assert_int_equal(info->v1 != NULL, format != TARN_V2);
        assert_int_equal(info->v2 != NULL, format != TARN_V1);
        assert_int_equal(info->n_pieces, format == TARN_V1 ? 4 : 5);
        assert_false(info->is_lax);

        size_t len;
        const void *bytes = tarn_torrent_bytes(t, &len);
        struct tarn_torrent *again = tarn_torrent_parse(bytes, len, &err);
        assert_non_null(again);
        assert_string_equal(tarn_torrent_magnet(again), tarn_torrent_magnet(t));
        struct tarn_torrent *magnet = tarn_torrent_open(tarn_torrent_magnet(t), &err);
        assert_non_null(magnet);
        assert_true(tarn_torrent_info(magnet)->is_magnet);
        assert_null(tarn_torrent_bytes(magnet, &len));
        assert_false(tarn_torrent_save(magnet, "/nonsense", &err));
        assert_int_equal(err.code, TARN_E_USAGE);
        tarn_torrent_free(magnet);
        tarn_torrent_free(again);
        tarn_torrent_free(t);
    }
    tarn_torrent_free(NULL);
    folder_remove(&f);
}

static bool say_no(void *arg, const struct tarn_progress *p)
{
    (void)arg;
    assert_true(p->done <= p->total);
    return false;
}

static void test_canceled(void **state)
{
    (void)state;
    struct folder f;
    struct tarn_err err;
    folder_make(&f);
    struct tarn_create c = how(&f);
    c.on_progress = say_no;
    assert_null(tarn_create(&c, &err));
    assert_int_equal(err.code, TARN_E_CANCELED);
    assert_null(tarn_create(&c, NULL));
    folder_remove(&f);
}

/* The nth allocation fails, for every n: an error, nothing leaks, nothing stays on disk. */
static void test_memory(void **state)
{
    (void)state;
    struct folder f;
    char leaves[128];
    folder_make(&f);
    snprintf(leaves, sizeof leaves, "%s/leaves", f.root);
    struct tarn_create c = how(&f);
    c.leaves = leaves;
    c.jobs = 1;
    struct tarn_torrent *t = NULL;
    size_t n = 0;
    for (; t == NULL; n++) {
        struct tarn_err err = { 0 };
        assert_true(n < 10000);
        test_mem_fail_after(n);
        t = tarn_create(&c, &err);
        test_mem_normal();
        assert_int_equal(folder_count(f.root), t == NULL ? 1 : 2);
        if (t == NULL && err.code != TARN_E_NO_MEMORY && err.code != TARN_E_POLICY)
            fail_msg("allocation %zu: %s", n, err.msg);
    }
    assert_true(n > 10);
    tarn_torrent_free(t);
    folder_remove(&f);
}

static void test_failing_disk(void **state)
{
    (void)state;
    static const struct {
        enum sys_fake_call call;
        int error;
        enum tarn_code code;
        const char *words;
    } cases[] = {
        { SYS_FAKE_PREADV, EIO, TARN_E_FAILED, "Input/output error" },
        { SYS_FAKE_PWRITEV, ENOSPC, TARN_E_NO_SPACE, "No space left" },
        { SYS_FAKE_RESERVE, ENOSPC, TARN_E_NO_SPACE, "No space left" },
        { SYS_FAKE_SYNC, EIO, TARN_E_FAILED, "Input/output error" },
        { SYS_FAKE_RENAME, EACCES, TARN_E_POLICY, "Permission denied" },
        { SYS_FAKE_OPEN, EMFILE, TARN_E_POLICY, "limit of" },
    };
    struct folder f;
    char leaves[128];
    folder_make(&f);
    snprintf(leaves, sizeof leaves, "%s/leaves", f.root);
    struct tarn_create c = how(&f);
    c.leaves = leaves;
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++)
        for (unsigned after = 0; after < 2; after++) {
            struct sys_fake fake;
            struct tarn_err err = { 0 };
            sys_fake_install(&fake, &sys_ops_native);
            fake.fail[cases[i].call] = (struct sys_fault){ after, cases[i].error, true };
            struct tarn_torrent *t = tarn_create(&c, &err);
            bool was_called = atomic_load(&fake.calls[cases[i].call]) > after;
            sys_fake_remove(&fake);
            assert_true((t == NULL) == was_called);
            if (t == NULL) {
                if (err.code != cases[i].code || strstr(err.msg, cases[i].words) == NULL)
                    fail_msg("case %zu after %u: %s", i, after, err.msg);
                assert_int_equal(folder_count(f.root), 1);
            } else {
                assert_int_equal(remove(leaves), 0);
            }
            tarn_torrent_free(t);
        }
    folder_remove(&f);
}

TEST_MAIN(cmocka_unit_test(test_all_formats), cmocka_unit_test(test_canceled),
          cmocka_unit_test(test_memory), cmocka_unit_test(test_failing_disk))
