#include "sys/fake.h"

#include "api/test/folder.h"

#include <errno.h>
#include <string.h>
#include <tarn/tarn.h>

enum { PIECE = 32768, TOLD_MAX = 16 };

struct told {
    struct tarn_damaged all[TOLD_MAX];
    char why[TOLD_MAX][128];
    unsigned n;
};

static void on_damaged(void *arg, const struct tarn_damaged *d)
{
    struct told *told = arg;
    assert_true(told->n < TOLD_MAX);
    snprintf(told->why[told->n], sizeof told->why[0], "%s", d->why == NULL ? "" : d->why);
    told->all[told->n++] = *d;
}

static struct tarn_torrent *create(const struct folder *f, enum tarn_format format,
                                   const char *leaves)
{
    struct tarn_err err;
    struct tarn_create c = {
        .path = f->tree, .piece_length = PIECE, .format = format, .leaves = leaves
    };
    struct tarn_torrent *t = tarn_create(&c, &err);
    assert_non_null(t);
    return t;
}

/* A read that fails is damage to the file, with the system's words. */
static void test_failing_reads(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    for (int format = TARN_HYBRID; format <= TARN_V2; format++) {
        struct tarn_torrent *t = create(&f, (enum tarn_format)format, NULL);
        struct told told = { .n = 0 };
        struct tarn_verify v = {
            .torrent = t, .path = f.tree, .jobs = 1, .on_damaged = on_damaged, .arg = &told
        };
        struct tarn_verified r;
        struct tarn_err err;
        struct sys_fake fake;
        sys_fake_install(&fake, &sys_ops_native);
        fake.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .error = EIO, .forever = true };
        assert_false(tarn_verify(&v, &r, &err));
        sys_fake_remove(&fake);
        assert_int_equal(err.code, TARN_E_INTEGRITY);
        assert_int_equal(r.pieces_good, 0);
        assert_true(told.n >= 2);
        assert_int_equal(told.all[0].kind, TARN_DAMAGE_UNREADABLE);
        assert_non_null(strstr(told.why[0], "Input/output error"));
        uint64_t sum = 0;
        for (unsigned i = 0; i < told.n; i++)
            sum += told.all[i].length;
        assert_int_equal(sum, 120000);
        tarn_torrent_free(t);
    }
    folder_remove(&f);
}

static void test_memory(void **state)
{
    (void)state;
    struct folder f;
    char leaves[128];
    folder_make(&f);
    snprintf(leaves, sizeof leaves, "%s/leaves", f.root);
    struct tarn_torrent *t = create(&f, TARN_HYBRID, leaves);
    assert_int_equal(truncate(f.file, 0), 0);
    assert_int_equal(truncate(f.file, 100000), 0);
    struct told told;
    struct tarn_verify v = { .torrent = t,
                             .path = f.root,
                             .jobs = 1,
                             .leaves = leaves,
                             .on_damaged = on_damaged,
                             .arg = &told };
    struct tarn_err err = { .code = TARN_E_NO_MEMORY };
    size_t n = 0;
    for (; err.code == TARN_E_NO_MEMORY; n++) {
        struct tarn_verified r;
        assert_true(n < 10000);
        err.code = TARN_OK;
        told.n = 0;
        test_mem_fail_after(n);
        assert_false(tarn_verify(&v, &r, &err));
        test_mem_normal();
    }
    if (err.code != TARN_E_INTEGRITY)
        fail_msg("allocation %zu: %s", n, err.msg);
    assert_true(n > 5);
    tarn_torrent_free(t);
    folder_remove(&f);
}

static bool say_no(void *arg, const struct tarn_progress *p)
{
    (void)arg;
    (void)p;
    return false;
}

static void test_canceled(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    struct tarn_torrent *t = create(&f, TARN_V1, NULL);
    struct tarn_verify v = { .torrent = t, .path = f.tree, .on_progress = say_no };
    struct tarn_verified r;
    struct tarn_err err;
    assert_false(tarn_verify(&v, &r, &err));
    assert_int_equal(err.code, TARN_E_CANCELED);
    assert_false(tarn_verify(&v, &r, NULL));
    v.on_progress = NULL;
    assert_true(tarn_verify(&v, &r, NULL));
    assert_int_equal(r.pieces_good, 4);
    tarn_torrent_free(t);
    folder_remove(&f);
}

TEST_MAIN(cmocka_unit_test(test_failing_reads), cmocka_unit_test(test_memory),
          cmocka_unit_test(test_canceled))
