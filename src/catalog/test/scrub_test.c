#include "catalog/scrub.h"

#include "base/num.h"
#include "loop/test/turns.h"

#include <sys/stat.h>

#define ON_NATIVE(test) \
    { \
#test, test, room_enter, room_leave, &room_native \
    }

enum { FILES_MAX = 12 };

/* What is held, what is bad in it, and what was told of it. */
struct held {
    char name[16];
    size_t len;
    uint8_t *bytes; /* owned */
    struct catalog_scrub_file file;
    bool *is_bad; /* owned: of each block */
    unsigned told;
    struct catalog_scrub_result r;
};

struct world {
    struct loop *l;
    struct catalog_leaves *leaves;
    struct catalog_scrub *s;
    struct held held[FILES_MAX];
    size_t n, next;
    unsigned over;
};

static size_t n_blocks(const struct held *h)
{
    return (h->len + MERKLE_BLOCK - 1) / MERKLE_BLOCK;
}

/* Stat it as if it had been hashed now: what is written before this is rot that nobody saw. */
static void take_stat(struct held *h)
{
    assert_true(sys_stat(SYS_CWD, h->name, false, &h->file.stat, NULL));
}

static void hold(struct world *w, size_t len, uint64_t *seed)
{
    struct held *h = &w->held[w->n];
    snprintf(h->name, sizeof h->name, "f%u", (unsigned)w->n++);
    h->len = len;
    h->bytes = tarn_calloc(len + 1, 1);
    h->is_bad = tarn_calloc(n_blocks(h) + 1, sizeof *h->is_bad);
    for (size_t i = 0; i < len; i++)
        h->bytes[i] = (uint8_t)test_rand(seed);
    room_put(h->name, h->bytes, len);
    h->file = (struct catalog_scrub_file){ .dir = SYS_CWD, .path = h->name, .tag = h };
    take_stat(h);
    size_t n = n_blocks(h);
    uint8_t *leaves = tarn_calloc(n + 1, 32);
    for (size_t i = 0; i < n; i++)
        crypt_hash(CRYPT_SHA256,
                   tarn_bytes_of(h->bytes + i * MERKLE_BLOCK,
                                 tarn_min_size(MERKLE_BLOCK, len - i * MERKLE_BLOCK)),
                   leaves + i * 32);
    if (n > 1) {
        struct catalog_put p;
        assert_true(catalog_leaves_begin(w->leaves, &p, CATALOG_LEAVES, n, NULL));
        assert_true(catalog_leaves_put(w->leaves, &p, leaves, n, NULL));
        assert_true(catalog_leaves_end(w->leaves, &p, NULL, NULL));
        h->file.leaves = p.run;
    }
    if (n > 0)
        merkle_root(leaves, n, tarn_pow2_up_u64(n), 0, h->file.root);
    tarn_free(leaves);
}

static void rot(struct held *h, size_t at)
{
    int fd = open(h->name, O_RDWR);
    uint8_t other = h->bytes[at] ^ 4;
    assert_int_equal(pwrite(fd, &other, 1, (off_t)at), 1);
    close(fd);
    h->is_bad[at / MERKLE_BLOCK] = true;
}

static bool next(void *arg, struct catalog_scrub_file *f)
{
    struct world *w = arg;
    if (w->next == w->n)
        return false;
    *f = w->held[w->next++].file;
    return true;
}

static void told(void *arg, const struct catalog_scrub_result *r)
{
    (void)arg;
    struct held *h = r->file->tag;
    h->told++;
    h->r = *r;
}

static void over(void *arg)
{
    ((struct world *)arg)->over++;
}

static struct world *world_new(unsigned threads, uint64_t rate_bps)
{
    struct world *w = tarn_calloc(1, sizeof *w);
    struct loop_settings set = { .threads = threads, .no_threads = threads == 0 };
    w->l = loop_new(&set, NULL);
    w->leaves = catalog_leaves_open("hashes", false, NULL);
    struct catalog_scrub_settings scrub = {
        .loop = w->l,
        .leaves = w->leaves,
        .rate_bps = rate_bps,
        .next = next,
        .told = told,
        .over = over,
        .arg = w,
    };
    w->s = catalog_scrub_new(&scrub, NULL);
    assert_non_null(w->s);
    return w;
}

static void world_free(struct world *w)
{
    catalog_scrub_free(w->s);
    catalog_leaves_close(w->leaves);
    loop_free(w->l);
    for (size_t i = 0; i < w->n; i++) {
        tarn_free(w->held[i].bytes);
        tarn_free(w->held[i].is_bad);
    }
    tarn_free(w);
    assert_int_equal(unlink("hashes"), 0);
}

static void run(struct world *w)
{
    w->over = 0;
    w->next = 0;
    for (size_t i = 0; i < w->n; i++)
        w->held[i].told = 0;
    catalog_scrub_start(w->s);
    catalog_scrub_start(w->s); /* harmless */
    assert_int_equal(w->over, 0);
    TURN_UNTIL(w->l, w->over == 1);
    assert_null(catalog_scrub_now(w->s));
}

static void expect(const struct held *h, enum catalog_scrubbed what)
{
    assert_int_equal(h->told, 1);
    if (h->r.what != what)
        fail_msg("%s (%zu bytes): %d, %s", h->name, h->len, (int)h->r.what, h->r.err.msg);
    if (what != CATALOG_SCRUB_GOOD && what != CATALOG_SCRUB_DAMAGED)
        assert_non_null(strstr(h->r.err.msg, h->name));
}

/* Exactly the blocks that are bad, in ranges; the first 64 of them. */
static void expect_blocks(const struct held *h)
{
    size_t bad = 0, range = 0;
    for (size_t i = 0; i < n_blocks(h); i++) {
        if (!h->is_bad[i])
            continue;
        bad++;
        if (i > 0 && h->is_bad[i - 1])
            continue;
        size_t n = 1;
        while (i + n < n_blocks(h) && h->is_bad[i + n])
            n++;
        if (range < CATALOG_SCRUB_RANGES) {
            assert_int_equal(h->r.bad[range].first, i);
            assert_int_equal(h->r.bad[range].n, n);
        }
        range++;
    }
    assert_int_equal(h->r.bad_blocks, bad);
    assert_int_equal(h->r.n_bad, tarn_min_size(range, CATALOG_SCRUB_RANGES));
    expect(h, bad > 0 ? CATALOG_SCRUB_DAMAGED : CATALOG_SCRUB_GOOD);
    assert_int_equal(h->r.bytes_read, h->len);
}

static void test_blocks(void **state)
{
    (void)state;
    static const size_t lens[] = { 0,       1,       16384,       16385,   32768,   1048576,
                                   1048577, 1064960, 3 * 1048576, 5000000, 2097151, 70000 };
    uint64_t seed = test_seed();
    for (unsigned turn = 0; turn < 8; turn++) {
        struct world *w = world_new(turn % 3, 0);
        uint64_t total = 0;
        for (size_t i = 0; i < TARN_COUNT_OF(lens); i++) {
            hold(w, lens[i], &seed);
            struct held *h = &w->held[i];
            size_t n = turn == 0 || lens[i] == 0 ? 0 : test_rand_below(&seed, 8);
            for (size_t k = 0; k < n; k++)
                rot(h, test_rand_below(&seed, lens[i]));
            take_stat(h);
            total += lens[i];
        }
        run(w);
        for (size_t i = 0; i < w->n; i++)
            expect_blocks(&w->held[i]);
        assert_int_equal(catalog_scrub_bytes(w->s), total);
        world_free(w);
    }
}

static void test_many_ranges(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct world *w = world_new(1, 0);
    hold(w, 200 * MERKLE_BLOCK, &seed);
    for (size_t i = 0; i < 200; i += 2)
        rot(&w->held[0], i * MERKLE_BLOCK);
    take_stat(&w->held[0]);
    run(w);
    expect_blocks(&w->held[0]);
    assert_int_equal(w->held[0].r.bad_blocks, 100);
    world_free(w);
}

/* Written anew is not damaged, and neither is what has gone. */
static void test_changed(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct world *w = world_new(1, 0);
    for (size_t i = 0; i < 6; i++)
        hold(w, 100000, &seed);
    test_wait_tick();
    rot(&w->held[0], 5); /* and the stat tells of it */
    assert_int_equal(unlink("f1"), 0);
    assert_int_equal(truncate("f2", 99999), 0);
    assert_int_equal(rename("f3", "f4"), 0);
    run(w);
    for (size_t i = 0; i < 5; i++) {
        expect(&w->held[i], CATALOG_SCRUB_CHANGED);
        assert_int_equal(w->held[i].r.n_bad, 0);
        assert_int_equal(w->held[i].r.bytes_read, 0);
    }
    expect(&w->held[5], CATALOG_SCRUB_GOOD);
    assert_int_equal(w->held[2].r.stat.size, 99999);
    assert_int_equal(w->held[1].r.stat.ino, 0);
    assert_non_null(strstr(w->held[1].r.err.msg, "it is gone"));
    world_free(w);
}

/* Cut and written to between two steps: the rate stops the scrub there. */
static void test_changed_under_way(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (unsigned how = 0; how < 3; how++) {
        struct sys_fake fake;
        struct world *w = world_new(1, 1000);
        hold(w, 3 << 20, &seed);
        sys_fake_install(&fake, room_ops);
        catalog_scrub_start(w->s);
        TURN_UNTIL(w->l, catalog_scrub_bytes(w->s) == 1 << 20);
        test_wait_tick();
        if (how == 0)
            assert_int_equal(truncate("f0", 2 << 20), 0);
        else if (how == 1)
            rot(&w->held[0], (3 << 20) - 1);
        else
            assert_int_equal(unlink("f0"), 0);
        catalog_scrub_set_rate(w->s, 0);
        atomic_store(&fake.clock_offset_us, (int64_t)2000 * 1000 * 1000);
        TURN_UNTIL(w->l, w->over == 1);
        sys_fake_remove(&fake);
        expect(&w->held[0], CATALOG_SCRUB_CHANGED);
        world_free(w);
    }
}

/* No step before its time: at 1000 bytes a second a step of 1 MiB is followed by one 1049 s later.
 */
static void test_rate(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct sys_fake fake;
    struct world *w = world_new(2, 1000);
    hold(w, (4 << 20) + 7, &seed);
    sys_fake_install(&fake, room_ops);
    catalog_scrub_start(w->s);
    for (unsigned i = 1; i <= 4; i++) {
        TURN_UNTIL(w->l, catalog_scrub_bytes(w->s) == i << 20);
        for (unsigned turn = 0; turn < 50; turn++)
            assert_true(loop_turn(w->l, 100, NULL));
        assert_int_equal(catalog_scrub_bytes(w->s), i << 20);
        assert_int_equal(catalog_scrub_place(w->s), i * 64);
        atomic_fetch_add(&fake.clock_offset_us, (int64_t)1050 * 1000 * 1000);
    }
    TURN_UNTIL(w->l, w->over == 1);
    sys_fake_remove(&fake);
    expect_blocks(&w->held[0]);
    world_free(w);
}

/* Stopped anywhere and taken up at the place that was stored: every block is read, and what was bad
 * is told. */
static void test_places(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (unsigned bad = 0; bad < 4; bad++) {
        struct world *w = world_new(1, 1000);
        struct sys_fake fake;
        hold(w, (5 << 20) + 1, &seed);
        struct held *h = &w->held[0];
        if (bad > 0)
            rot(h, (size_t)(bad * 3 / 2) << 20);
        take_stat(h);
        sys_fake_install(&fake, room_ops);
        for (unsigned steps = 1; steps < 5; steps++) {
            w->next = 0;
            catalog_scrub_start(w->s);
            TURN_UNTIL(w->l, catalog_scrub_now(w->s) != NULL &&
                                 catalog_scrub_place(w->s) > h->file.place);
            assert_ptr_equal(catalog_scrub_now(w->s)->tag, h);
            uint64_t place = catalog_scrub_place(w->s);
            for (uint64_t b = 0; b < place; b++)
                assert_false(h->is_bad[b]);
            catalog_scrub_stop(w->s);
            assert_null(catalog_scrub_now(w->s));
            h->file.place = place;
            if (bad > 0 && (place + 64) * MERKLE_BLOCK > (bad * 3 / 2) << 20)
                break; /* it would stay there */
            atomic_fetch_add(&fake.clock_offset_us, (int64_t)1050 * 1000 * 1000);
        }
        assert_int_equal(h->told, 0);
        assert_true(h->file.place > 0);
        catalog_scrub_set_rate(w->s, 0);
        atomic_fetch_add(&fake.clock_offset_us, (int64_t)10000 * 1000 * 1000);
        run(w);
        sys_fake_remove(&fake);
        assert_int_equal(h->r.bytes_read, h->len - h->file.place * MERKLE_BLOCK);
        assert_int_equal(h->r.bad_blocks, bad > 0);
        expect(h, bad > 0 ? CATALOG_SCRUB_DAMAGED : CATALOG_SCRUB_GOOD);
        world_free(w);
    }
}

/* Leaves that rotted accuse no file. */
static void test_bad_leaves(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct world *w = world_new(1, 0);
    for (size_t i = 0; i < 4; i++)
        hold(w, 3 << 20, &seed);
    w->held[1].file.place = 100;
    w->held[3].file.leaves.off += 32;
    int fd = open("hashes", O_RDWR);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pwrite(fd, "x", 1, (off_t)w->held[i].file.leaves.off + 32 * 50), 1);
    close(fd);
    run(w);
    for (size_t i = 0; i < 4; i++) {
        expect(&w->held[i], i == 2 ? CATALOG_SCRUB_GOOD : CATALOG_SCRUB_LEAVES);
        assert_int_equal(w->held[i].r.bad_blocks, 0);
    }
    assert_int_equal(truncate("hashes", (off_t)w->held[2].file.leaves.off + 100), 0);
    run(w);
    expect(&w->held[2], CATALOG_SCRUB_LEAVES);
    world_free(w);
}

static void test_unreadable(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct sys_fake fake;
    struct world *w = world_new(1, 0);
    hold(w, 100000, &seed);
    hold(w, 10000, &seed);
    sys_fake_install(&fake, room_ops);
    fake.fail[SYS_FAKE_OPEN] = (struct sys_fault){ .error = EACCES };
    run(w);
    expect(&w->held[0], CATALOG_SCRUB_UNREADABLE);
    expect(&w->held[1], CATALOG_SCRUB_GOOD);

    /* Once: what was read again is good. */
    sys_fake_remove(&fake);
    sys_fake_install(&fake, room_ops);
    fake.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .after = 1, .error = EIO };
    run(w);
    expect_blocks(&w->held[0]);

    /* Again and again: from the third block on. */
    sys_fake_remove(&fake);
    sys_fake_install(&fake, room_ops);
    w->n = 1;
    for (unsigned good = 0; good < 2; good++) {
        fake.calls[SYS_FAKE_PREADV] = 0;
        fake.fail[SYS_FAKE_PREADV] =
            (struct sys_fault){ .after = 1, .error = EIO, .forever = true };
        run(w);
        expect(&w->held[0], CATALOG_SCRUB_DAMAGED);
        assert_int_equal(w->held[0].r.bad_blocks, 7);
        assert_int_equal(w->held[0].r.n_bad, 1);
        assert_non_null(strstr(w->held[0].r.err.msg, strerror(EIO)));
    }
    sys_fake_remove(&fake);
    w->n = 2;
    world_free(w);
}

/* What comes from the disk does not stay in memory; what was there does. */
static void test_page_cache(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int resident = 0; resident < 2; resident++) {
        struct sys_fake fake;
        struct world *w = world_new(1, 0);
        hold(w, (2 << 20) + 5, &seed);
        sys_fake_install(&fake, room_ops);
        fake.resident = resident;
        run(w);
        assert_int_equal(fake.bytes_unneeded, resident == 0 ? w->held[0].len : 0);
        sys_fake_remove(&fake);
        expect_blocks(&w->held[0]);
        world_free(w);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct tarn_err err = { 0 };
    struct world *w = world_new(1, 0);
    struct catalog_scrub_settings set = { .loop = w->l, .leaves = w->leaves };
    for (size_t n = 0; n < 2; n++) {
        test_mem_fail_after(n);
        assert_null(catalog_scrub_new(&set, &err));
        test_mem_normal();
        assert_int_equal(err.code, TARN_E_NO_MEMORY);
    }
    hold(w, 3 << 20, &seed);
    test_mem_fail_after(0); /* it needs none more */
    run(w);
    test_mem_normal();
    expect_blocks(&w->held[0]);
    world_free(w);
}

TEST_MAIN(ON_BOTH(test_blocks), ON_NATIVE(test_many_ranges), ON_BOTH(test_changed),
          ON_NATIVE(test_changed_under_way), ON_NATIVE(test_rate), ON_NATIVE(test_places),
          ON_NATIVE(test_bad_leaves), ON_NATIVE(test_unreadable), ON_NATIVE(test_page_cache),
          ON_NATIVE(test_no_memory))
