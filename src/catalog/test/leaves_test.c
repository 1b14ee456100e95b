#include "catalog/leaves.h"

#include "base/num.h"
#include "loop/test/turns.h"
#include "sys/thread.h"

#include <sys/stat.h>

#define ON_NATIVE(test) \
    { \
#test, test, room_enter, room_leave, &room_native \
    }

enum { N_MAX = 1500 };

/* One run, and what it should hold. */
struct held {
    struct catalog_run run;
    enum catalog_hashes kind;
    uint64_t n;
    uint8_t *hashes; /* owned */
    uint8_t root[MERKLE_HASH];
};

static size_t len_of(enum catalog_hashes kind)
{
    return kind == CATALOG_LEAVES ? 32 : 20;
}

static struct catalog_leaves *open_leaves(void)
{
    struct tarn_err err = { 0 };
    struct catalog_leaves *l = catalog_leaves_open("hashes", false, &err);
    if (l == NULL)
        fail_msg("%s", err.msg);
    return l;
}

static void held_make(struct held *h, enum catalog_hashes kind, uint64_t n, uint64_t *seed)
{
    *h = (struct held){ .kind = kind, .n = n };
    h->hashes = tarn_calloc(n, len_of(kind));
    for (size_t i = 0; i < n * len_of(kind); i++)
        h->hashes[i] = (uint8_t)test_rand(seed);
    for (size_t i = 0; i < sizeof h->root; i++)
        h->root[i] = (uint8_t)test_rand(seed);
    if (kind == CATALOG_LEAVES) {
        uint8_t *work = tarn_calloc(n, 32);
        memcpy(work, h->hashes, n * 32);
        merkle_root(work, n, tarn_pow2_up_u64(n), 0, h->root);
        tarn_free(work);
    }
}

static bool held_put(struct held *h, struct catalog_leaves *l, uint64_t *seed, struct tarn_err *err)
{
    struct catalog_put p;
    if (!catalog_leaves_begin(l, &p, h->kind, h->n, err))
        return false;
    for (uint64_t at = 0, take; at < h->n; at += take) {
        take = tarn_min_u64(h->n - at, 1 + test_rand_below(seed, 300));
        if (!catalog_leaves_put(l, &p, h->hashes + at * len_of(h->kind), take, err)) {
            catalog_leaves_drop(l, &p);
            return false;
        }
    }
    if (!catalog_leaves_end(l, &p, h->root, err)) {
        catalog_leaves_drop(l, &p);
        return false;
    }
    h->run = p.run;
    assert_int_equal(h->run.len, catalog_run_len(h->kind, h->n));
    assert_int_equal(catalog_run_count(h->kind, h->run), h->n);
    return true;
}

struct walked {
    const struct held *h;
    uint64_t n;
};

static bool on_hashes(void *arg, uint64_t first, const uint8_t *hashes, size_t n,
                      struct tarn_err *err)
{
    struct walked *w = arg;
    (void)err;
    assert_int_equal(first, w->n);
    assert_memory_equal(hashes, w->h->hashes + first * len_of(w->h->kind), n * len_of(w->h->kind));
    w->n += n;
    return true;
}

static void held_expect(const struct held *h, struct catalog_leaves *l, uint64_t *seed)
{
    struct walked w = { h, 0 };
    struct tarn_err err = { 0 };
    uint8_t some[64 * 32];
    if (!catalog_leaves_walk(l, h->run, h->kind, h->root, on_hashes, &w, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(w.n, h->n);
    uint64_t first = test_rand_below(seed, h->n + 1);
    uint64_t n = tarn_min_u64(h->n - first, test_rand_below(seed, 65));
    assert_true(catalog_leaves_read(l, h->run, h->kind, first, n, some, &err));
    assert_memory_equal(some, h->hashes + first * len_of(h->kind), n * len_of(h->kind));
}

static void held_release(struct held *h)
{
    tarn_free(h->hashes);
    *h = (struct held){ 0 };
}

static void expect_bad(const struct held *h, struct catalog_leaves *l)
{
    struct tarn_err err = { 0 };
    assert_false(catalog_leaves_walk(l, h->run, h->kind, h->root, NULL, NULL, &err));
    assert_int_equal(err.code, TARN_E_INTEGRITY);
    assert_non_null(strstr(err.msg, "in 'hashes' are not those of the file"));
}

static void sweep(struct catalog_leaves *l, const struct held *all, size_t n)
{
    struct catalog_sweep s = { 0 };
    struct tarn_err err = { 0 };
    for (size_t i = 0; i < n; i++)
        assert_true(catalog_sweep_used(&s, all[i].run));
    if (!catalog_sweep_end(&s, l, &err))
        fail_msg("%s", err.msg);
    catalog_sweep_release(&s);
}

/* Space in use and free space are all there is. */
static void expect_space(struct catalog_leaves *l, const struct held *all, size_t n, bool is_all)
{
    struct catalog_leaves_stat st = catalog_leaves_stat(l);
    uint64_t used = 64;
    for (size_t i = 0; i < n; i++)
        used += all[i].run.len;
    if (is_all)
        assert_int_equal(st.file, used + st.free);
    else
        assert_true(st.file >= used + st.free);
}

/* A long life: runs come and go, puts are given up, the file is closed with puts that nobody
 * referred to yet (a crash before the index committed), and swept. What is referred to is whole all
 * the time. */
static void test_life(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct held held[40];
    struct catalog_leaves *l = open_leaves();
    struct tarn_err err = { 0 };
    memset(held, 0, sizeof held);
    for (unsigned turn = 0; turn < 3000; turn++) {
        size_t at = test_rand_below(&seed, TARN_COUNT_OF(held));
        struct held *h = &held[at];
        if (h->hashes != NULL && test_rand_below(&seed, 3) > 0) {
            held_expect(h, l, &seed);
        } else if (h->hashes != NULL) {
            catalog_leaves_give(l, h->run);
            held_release(h);
        } else {
            uint64_t n = 1 + test_rand_below(&seed, turn % 7 == 0 ? N_MAX : 40);
            held_make(h, test_rand_below(&seed, 2) ? CATALOG_LEAVES : CATALOG_PIECES, n, &seed);
            if (!held_put(h, l, &seed, &err))
                fail_msg("%s", err.msg);
        }
        if (turn % 200 != 99) {
            expect_space(l, held, TARN_COUNT_OF(held), turn < 99);
            continue;
        }
        struct held lost;
        held_make(&lost, CATALOG_LEAVES, 50, &seed);
        assert_true(held_put(&lost, l, &seed, &err));
        assert_true(catalog_leaves_sync(l, &err));
        catalog_leaves_close(l);
        l = open_leaves();
        for (size_t i = 0; i < TARN_COUNT_OF(held); i++)
            if (held[i].hashes != NULL)
                held_expect(&held[i], l, &seed);
        assert_int_equal(catalog_leaves_stat(l).free, 0);
        if (turn % 400 == 99) {
            sweep(l, held, TARN_COUNT_OF(held));
            expect_space(l, held, TARN_COUNT_OF(held), true);
        }
        held_release(&lost);
    }
    sweep(l, held, TARN_COUNT_OF(held));
    struct catalog_sweep none = { 0 };
    assert_true(catalog_sweep_end(&none, l, NULL));
    assert_int_equal(catalog_leaves_stat(l).file, 64); /* all went back to the disk */
    struct stat st;
    assert_int_equal(stat("hashes", &st), 0);
    assert_int_equal(st.st_size, 64);
    for (size_t i = 0; i < TARN_COUNT_OF(held); i++)
        held_release(&held[i]);
    catalog_leaves_close(l);
}

/* Freed neighbours become one, and what fits is used again before the file grows. */
static void test_reuse(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct held h[6], big;
    struct catalog_leaves *l = open_leaves();
    for (size_t i = 0; i < 6; i++) {
        held_make(&h[i], CATALOG_LEAVES, 10, &seed);
        assert_true(held_put(&h[i], l, &seed, NULL));
    }
    uint64_t file = catalog_leaves_stat(l).file;
    catalog_leaves_give(l, h[1].run);
    catalog_leaves_give(l, h[3].run);
    assert_int_equal(catalog_leaves_stat(l).free_runs, 2);
    catalog_leaves_give(l, h[2].run);
    assert_int_equal(catalog_leaves_stat(l).free_runs, 1);
    assert_int_equal(catalog_leaves_stat(l).free, 960);
    catalog_leaves_give(l, h[2].run); /* again, beyond the end, in the head: nothing happens */
    catalog_leaves_give(l, (struct catalog_run){ file - 1, 2 });
    catalog_leaves_give(l, (struct catalog_run){ UINT64_MAX - 1, 7 });
    catalog_leaves_give(l, (struct catalog_run){ 0, 32 });
    assert_int_equal(catalog_leaves_stat(l).free, 960);
    held_make(&big, CATALOG_LEAVES, 30, &seed);
    assert_true(held_put(&big, l, &seed, NULL));
    assert_int_equal(big.run.off, h[1].run.off);
    assert_int_equal(catalog_leaves_stat(l).file, file);
    assert_int_equal(catalog_leaves_stat(l).free, 0);
    held_expect(&h[0], l, &seed);
    held_expect(&h[4], l, &seed);
    expect_bad(&h[1], l); /* one that still refers to it is told */
    catalog_leaves_give(l, h[5].run);
    catalog_leaves_give(l, h[4].run);
    assert_int_equal(catalog_leaves_stat(l).file, file - 640);
    expect_bad(&h[5], l);
    for (size_t i = 0; i < 6; i++)
        held_release(&h[i]);
    held_release(&big);
    catalog_leaves_close(l);
}

/* Any byte that is another, any byte that is missing, and the run of another file. */
static void test_damage(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int kind = CATALOG_LEAVES; kind <= CATALOG_PIECES; kind++) {
        struct held h[2];
        struct catalog_leaves *l = open_leaves();
        for (size_t i = 0; i < 2; i++) {
            held_make(&h[i], (enum catalog_hashes)kind, 7, &seed);
            assert_true(held_put(&h[i], l, &seed, NULL));
        }
        int fd = open("hashes", O_RDWR);
        for (uint64_t at = 0; at < h[0].run.len; at++) {
            uint8_t byte, other;
            off_t off = (off_t)(h[0].run.off + at);
            assert_int_equal(pread(fd, &byte, 1, off), 1);
            other = byte ^ (uint8_t)(1 << test_rand_below(&seed, 8));
            assert_int_equal(pwrite(fd, &other, 1, off), 1);
            expect_bad(&h[0], l);
            assert_int_equal(pwrite(fd, &byte, 1, off), 1);
        }
        held_expect(&h[0], l, &seed);
        struct catalog_run mine = h[0].run;
        h[0].run = h[1].run;
        expect_bad(&h[0], l);
        static const struct catalog_run wrong[] = {
            { 0, 0 }, { 64, 1 }, { 0, 224 }, { 64, 223 }, { UINT64_MAX - 10, 224 }, { 64, 1 << 20 },
        };
        for (size_t i = 0; i < TARN_COUNT_OF(wrong); i++) {
            h[0].run = wrong[i];
            expect_bad(&h[0], l);
        }
        h[0].run = mine;
        struct tarn_err err = { 0 };
        uint8_t some[64];
        assert_false(catalog_leaves_read(l, mine, (enum catalog_hashes)kind, 7, 1, some, &err));
        assert_int_equal(err.code, TARN_E_INTEGRITY);
        assert_int_equal(ftruncate(fd, (off_t)(h[1].run.off + h[1].run.len - 1)), 0);
        held_expect(&h[0], l, &seed);
        expect_bad(&h[1], l);
        close(fd);
        catalog_leaves_close(l);
        held_release(&h[0]);
        held_release(&h[1]);
        assert_int_equal(unlink("hashes"), 0);
    }
}

/* What two references share cannot be swept: the index is wrong, and nothing is freed. */
static void test_sweep_overlap(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct held h[2];
    struct catalog_leaves *l = open_leaves();
    for (size_t i = 0; i < 2; i++) {
        held_make(&h[i], CATALOG_LEAVES, 10, &seed);
        assert_true(held_put(&h[i], l, &seed, NULL));
    }
    static const struct catalog_run wrong[] = {
        { 100, 32 }, { 0, 32 }, { 64, 10 << 20 }, { 64 + 320 - 1, 32 }
    };
    for (size_t i = 0; i < TARN_COUNT_OF(wrong); i++) {
        struct catalog_sweep s = { 0 };
        struct tarn_err err = { 0 };
        assert_true(catalog_sweep_used(&s, h[0].run));
        assert_true(catalog_sweep_used(&s, wrong[i]));
        assert_false(catalog_sweep_end(&s, l, &err));
        assert_int_equal(err.code, TARN_E_INTEGRITY);
        catalog_sweep_release(&s);
    }
    assert_int_equal(catalog_leaves_stat(l).free, 0);
    assert_int_equal(catalog_leaves_stat(l).file, 64 + 640);
    held_release(&h[0]);
    held_release(&h[1]);
    catalog_leaves_close(l);
}

static void expect_not_opened(bool is_read_only, enum tarn_code code, const char *says)
{
    struct tarn_err err = { 0 };
    assert_null(catalog_leaves_open("hashes", is_read_only, &err));
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.msg, says));
}

static void test_opening(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct held h;
    expect_not_opened(true, TARN_E_NOT_FOUND, "'hashes'");
    struct catalog_leaves *l = open_leaves();
    held_make(&h, CATALOG_PIECES, 3, &seed);
    assert_true(held_put(&h, l, &seed, NULL));
    catalog_leaves_close(l);
    l = catalog_leaves_open("hashes", true, NULL);
    assert_non_null(l);
    held_expect(&h, l, &seed);
    struct tarn_err err = { 0 };
    assert_false(held_put(&h, l, &seed, &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    catalog_leaves_close(l);
    held_release(&h);

    for (off_t len = 0; len < 64; len++) { /* its making was cut short */
        assert_int_equal(truncate("hashes", len), 0);
        l = open_leaves();
        catalog_leaves_close(l);
    }
    assert_int_equal(truncate("hashes", 20), 0);
    expect_not_opened(true, TARN_E_USAGE, "no file of hashes");
    room_put("hashes", "tarn hashes 2\r\n", 15);
    expect_not_opened(false, TARN_E_USAGE, "no file of hashes");
    assert_int_equal(truncate("hashes", 64), 0);
    expect_not_opened(false, TARN_E_USAGE, "newer tarn");
    room_put("hashes", "something else", 14);
    expect_not_opened(false, TARN_E_USAGE, "it is in the way");
    assert_int_equal(unlink("hashes"), 0);
    assert_int_equal(mkdir("hashes", 0755), 0);
    assert_null(catalog_leaves_open("hashes", false, &err));
    assert_null(catalog_leaves_open("no/such/folder", false, &err));
    assert_int_equal(err.code, TARN_E_NOT_FOUND);
}

/* A full disk, and every write, sync and allocation failing in turn. */
static void test_faults(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct held good, h;
    struct sys_fake fake;
    struct tarn_err err = { 0 };
    struct catalog_leaves *l = open_leaves();
    held_make(&good, CATALOG_PIECES, 100, &seed);
    held_make(&h, CATALOG_PIECES, 1000, &seed);
    assert_true(held_put(&good, l, &seed, NULL));
    uint64_t file = catalog_leaves_stat(l).file;
    bool was_hit = true;
    for (unsigned after = 0; was_hit; after++) {
        sys_fake_install(&fake, room_ops);
        fake.fail[SYS_FAKE_PWRITEV] = (struct sys_fault){ .after = after, .error = ENOSPC };
        bool ok = held_put(&h, l, &seed, &err);
        was_hit = fake.calls[SYS_FAKE_PWRITEV] > after;
        sys_fake_remove(&fake);
        assert_int_equal(ok, !was_hit);
        if (was_hit) {
            assert_int_equal(err.code, TARN_E_NO_SPACE);
            assert_non_null(strstr(err.msg, "writing hashes to 'hashes'"));
            assert_int_equal(catalog_leaves_stat(l).file, file);
        }
    }
    held_expect(&good, l, &seed);
    held_expect(&h, l, &seed);
    sys_fake_install(&fake, room_ops);
    fake.fail[SYS_FAKE_SYNC] = (struct sys_fault){ .error = EIO };
    assert_false(catalog_leaves_sync(l, &err));
    fake.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .error = EIO };
    assert_false(catalog_leaves_walk(l, h.run, h.kind, h.root, NULL, NULL, &err));
    assert_int_equal(err.code, TARN_E_FAILED);
    sys_fake_remove(&fake);
    catalog_leaves_close(l);
    for (size_t n = 0; n < 2; n++) {
        test_mem_fail_after(n);
        assert_null(catalog_leaves_open("hashes", false, &err));
        test_mem_normal();
        assert_int_equal(err.code, TARN_E_NO_MEMORY);
    }
    l = open_leaves();
    test_mem_fail_after(0); /* what is given cannot be remembered: lost until the next sweep */
    catalog_leaves_give(l, good.run);
    test_mem_normal();
    assert_int_equal(catalog_leaves_stat(l).free, 0);
    sweep(l, &h, 1);
    assert_int_equal(catalog_leaves_stat(l).free, good.run.len);
    catalog_leaves_close(l);
    held_release(&good);
    held_release(&h);
}

/* One thread reads what is there while another puts and gives. */
struct reader {
    struct catalog_leaves *l;
    const struct held *h;
    atomic_bool stop;
    atomic_uint bad, walks;
};

static void read_on(void *arg)
{
    struct reader *r = arg;
    do {
        atomic_fetch_add(&r->bad, !catalog_leaves_walk(r->l, r->h->run, r->h->kind, r->h->root,
                                                       NULL, NULL, NULL));
        (void)catalog_leaves_stat(r->l);
        atomic_fetch_add(&r->walks, 1);
    } while (!atomic_load(&r->stop));
}

static void test_threads(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct held fixed, h;
    struct catalog_leaves *l = open_leaves();
    held_make(&fixed, CATALOG_LEAVES, 600, &seed);
    assert_true(held_put(&fixed, l, &seed, NULL));
    struct reader r = { .l = l, .h = &fixed };
    struct sys_thread t;
    assert_true(sys_thread_start(&t, "reader", read_on, &r, NULL));
    for (unsigned i = 0; i < 300; i++) {
        held_make(&h, i % 2 ? CATALOG_LEAVES : CATALOG_PIECES, 1 + i, &seed);
        assert_true(held_put(&h, l, &seed, NULL));
        held_expect(&h, l, &seed);
        catalog_leaves_give(l, h.run);
        held_release(&h);
    }
    atomic_store(&r.stop, true);
    sys_thread_join(&t);
    assert_int_equal(r.bad, 0);
    assert_true(r.walks > 0);
    held_release(&fixed);
    catalog_leaves_close(l);
}

TEST_MAIN(ON_BOTH(test_life), ON_NATIVE(test_reuse), ON_NATIVE(test_damage),
          ON_NATIVE(test_sweep_overlap), ON_NATIVE(test_opening), ON_NATIVE(test_faults),
          ON_NATIVE(test_threads))
