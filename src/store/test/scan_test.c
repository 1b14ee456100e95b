#include "store/scan.h"

#include "store/test/room.h"
#include "sys/clock.h"
#include "sys/thread.h"

#include <stdatomic.h>

/* What a scan told, piece by piece. Pieces are told once each, so threads never meet. */
struct told {
    struct room *r;
    bool want_v1, want_v2;
    uint8_t *times;          /* each piece was told */
    enum store_found *found; /* of each piece */
    uint32_t *file;
    atomic_uint n;
    atomic_uint wrong;
    atomic_uint last_code;
    unsigned progress;
    uint64_t done, total;
    unsigned stop_after; /* progress calls; 0: never */
    atomic_bool is_slow;
};

static void expect_leaves(struct told *t, const struct store_scanned *s)
{
    const struct store_layout *l = &t->r->layout;
    uint32_t own;
    uint8_t hash[32];
    store_piece_own_file(l, s->piece, &own);
    t->wrong += s->n_leaves != tarn_div_up_u64(own, MERKLE_BLOCK);
    for (uint32_t i = 0; i < s->n_leaves; i++) {
        uint32_t at = i * MERKLE_BLOCK;
        crypt_hash(CRYPT_SHA256,
                   tarn_bytes_of(t->r->bytes + (uint64_t)s->piece * l->piece_len + at,
                                 tarn_min_size(MERKLE_BLOCK, own - at)),
                   hash);
        t->wrong += memcmp(hash, s->leaves + 32 * (size_t)i, 32) != 0;
        t->wrong += memcmp(hash, s->work + 32 * (size_t)i, 32) != 0;
        s->work[32 * i] ^= 1; /* ours to overwrite */
    }
}

static void on_piece(void *arg, const struct store_scanned *s)
{
    struct told *t = arg;
    const struct store_layout *l = &t->r->layout;
    t->n++;
    t->times[s->piece]++;
    t->found[s->piece] = s->found;
    t->file[s->piece] = s->file;
    if (atomic_load(&t->is_slow))
        usleep(2000);
    if (s->err != NULL)
        t->last_code = s->err->code;
    if (s->found != STORE_READ)
        return;
    t->wrong += t->want_v1 != (s->sha1 != NULL);
    if (t->want_v1 && s->sha1 != NULL) {
        uint8_t hash[20];
        crypt_hash(CRYPT_SHA1,
                   tarn_bytes_of(t->r->bytes + (uint64_t)s->piece * l->piece_len,
                                 store_piece_len(l, s->piece)),
                   hash);
        t->wrong += memcmp(hash, s->sha1, 20) != 0;
    }
    if (t->want_v2)
        expect_leaves(t, s);
}

static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct told *t = arg;
    t->progress++;
    t->wrong += done > total || done < t->done;
    t->done = done;
    t->total = total;
    return t->stop_after == 0 || t->progress < t->stop_after;
}

static void told_init(struct told *t, struct room *r, struct store_scan *s)
{
    uint32_t n = r->layout.n_pieces;
    *t = (struct told){ .r = r, .want_v1 = s->want_v1, .want_v2 = s->want_v2 };
    t->times = tarn_calloc(n, 1);
    t->found = tarn_calloc(n, sizeof *t->found);
    t->file = tarn_calloc(n, sizeof *t->file);
    s->layout = &r->layout;
    s->on_piece = on_piece;
    s->on_progress = on_progress;
    s->arg = t;
}

static void told_release(struct told *t)
{
    tarn_free(t->times);
    tarn_free(t->found);
    tarn_free(t->file);
}

/* Scan what is below "c" and compare with the model; every piece is as `found` says. */
static void expect_scan(struct room *r, struct store_scan *s, const enum store_found *found)
{
    struct told t;
    struct tarn_err err = { 0 };
    told_init(&t, r, s);
    s->tree = store_tree_open(&r->layout, ".", &err);
    assert_non_null(s->tree);
    assert_true(store_scan_run(s, &err));
    uint64_t total = 0;
    unsigned n = 0;
    for (uint32_t i = 0; i < r->layout.n_pieces; i++) {
        bool is_in = s->only == NULL || tarn_bits_has(s->only, i);
        assert_int_equal(t.times[i], is_in);
        n += is_in;
        total += is_in ? store_piece_len(&r->layout, i) : 0;
        if (is_in)
            assert_int_equal(t.found[i], found == NULL ? STORE_READ : found[i]);
    }
    assert_int_equal(t.n, n);
    assert_int_equal(t.wrong, 0);
    assert_true(t.progress > 0);
    assert_int_equal(t.total, total);
    assert_int_equal(t.done, total);
    store_tree_free(s->tree);
    told_release(&t);
}

static void test_random_layouts(void **state)
{
    (void)state;
    static const uint32_t lens[] = { 1, 63, 1000, 16384, 20000, 65536, 65537, 200000, 262144 };
    uint64_t seed = test_seed();
    for (unsigned turn = 0; turn < 60; turn++) {
        struct room r;
        unsigned kind = turn % 3 + 1; /* v1, v2, both */
        uint32_t piece_len = kind == 1 ? lens[test_rand_below(&seed, TARN_COUNT_OF(lens))]
                                       : 16384U << test_rand_below(&seed, 5);
        room_random(&r, &seed, piece_len, kind != 1);
        room_put_all(&r);
        if (!room_has("c"))
            mkdir("c", 0777);
        struct sys_fake fake;
        sys_fake_install(&fake, &sys_ops_native);
        fake.short_io = turn % 7 == 0 ? 5000 : 0;
        fake.resident = turn % 5 == 0 ? 0 : -2; /* as if it were cold */
        struct store_scan s = { .want_v1 = (kind & 1) != 0,
                                .want_v2 = (kind & 2) != 0,
                                .jobs = (unsigned)test_rand_below(&seed, 4) };
        expect_scan(&r, &s, NULL);
        struct tarn_bits only;
        assert_true(tarn_bits_init(&only, r.layout.n_pieces));
        for (uint32_t i = 0; i < only.n; i++)
            if (test_rand_below(&seed, 3) == 0)
                tarn_bits_set(&only, i);
        s.only = &only;
        expect_scan(&r, &s, NULL);
        tarn_bits_release(&only);
        sys_fake_remove(&fake);
        test_folder_empty(AT_FDCWD);
        room_release(&r);
    }
}

/* Of all pieces, those that touch a bad file are as it is, and the others are read. */
static void test_bad_files(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (unsigned turn = 0; turn < 40; turn++) {
        struct room r;
        unsigned kind = turn % 3 + 1;
        room_random(&r, &seed, 16384U << test_rand_below(&seed, 4), kind != 1);
        room_put_all(&r);
        if (!room_has("c"))
            mkdir("c", 0777);
        const struct store_layout *l = &r.layout;
        enum store_found *found = tarn_calloc(l->n_pieces, sizeof *found);
        for (uint32_t i = 0; i < l->n_files; i++) {
            const struct store_file *f = &l->files[i];
            if (f->is_pad || f->len == 0 || test_rand_below(&seed, 4) != 0)
                continue;
            enum store_found how = test_rand_below(&seed, 2) == 0 ? STORE_MISSING : STORE_SHORT;
            uint64_t kept = how == STORE_SHORT ? test_rand_below(&seed, f->len) : 0;
            if (how == STORE_MISSING)
                assert_int_equal(unlink(f->path), 0);
            else
                assert_int_equal(truncate(f->path, (off_t)kept), 0);
            uint32_t first = (uint32_t)((f->off + kept) / l->piece_len), last;
            uint32_t unused;
            assert_true(store_file_pieces(l, i, &unused, &last));
            for (uint32_t p = first; p <= last; p++)
                if (found[p] == STORE_READ) /* the first bad file is told */
                    found[p] = how;
        }
        struct store_scan s = { .want_v1 = (kind & 1) != 0, .want_v2 = (kind & 2) != 0, .jobs = 2 };
        expect_scan(&r, &s, found);
        tarn_free(found);
        test_folder_empty(AT_FDCWD);
        room_release(&r);
    }
}

static void test_unreadable(void **state)
{
    (void)state;
    for (unsigned kind = 1; kind <= 3; kind++) {
        struct room r;
        struct told t;
        struct tarn_err err = { 0 };
        struct sys_fake fake;
        const struct room_file files[] = { { .len = 1 << 20 }, { .len = 1 << 20 } };
        room_make(&r, 1 << 17, files, 2);
        room_put_all(&r);
        struct store_scan s = { .want_v1 = (kind & 1) != 0, .want_v2 = (kind & 2) != 0, .jobs = 2 };
        told_init(&t, &r, &s);
        s.tree = store_tree_open(&r.layout, "c", NULL);
        sys_fake_install(&fake, &sys_ops_native);
        fake.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .after = 5, .error = EIO };
        assert_true(store_scan_run(&s, &err));
        unsigned failed = 0;
        for (uint32_t i = 0; i < r.layout.n_pieces; i++)
            failed += t.found[i] == STORE_FAILED;
        assert_int_equal(failed, 1);
        assert_int_equal(t.last_code, TARN_E_FAILED);
        assert_int_equal(t.n, 16);
        assert_int_equal(t.wrong, 0);
        assert_int_equal(t.done, 2 << 20);
        sys_fake_remove(&fake);
        store_tree_free(s.tree);
        told_release(&t);
        room_release(&r);
    }
}

/* A file is cut while it is scanned: its later pieces are short, nothing worse. */
struct cut {
    struct told told;
    atomic_bool is_cut;
};

static void on_piece_cut(void *arg, const struct store_scanned *s)
{
    struct cut *c = arg;
    if (!atomic_exchange(&c->is_cut, true))
        assert_int_equal(truncate("c/f0", 1 << 19), 0);
    on_piece(&c->told, s);
}

static void test_cut_during_scan(void **state)
{
    (void)state;
    for (unsigned kind = 1; kind <= 3; kind++) {
        struct room r;
        struct cut c = { .is_cut = false };
        const struct room_file files[] = { { .len = 8 << 20 } };
        room_make(&r, 1 << 17, files, 1);
        room_put_all(&r);
        struct store_scan s = { .want_v1 = (kind & 1) != 0, .want_v2 = (kind & 2) != 0, .jobs = 1 };
        told_init(&c.told, &r, &s);
        s.tree = store_tree_open(&r.layout, "c", NULL);
        s.on_piece = on_piece_cut;
        s.on_progress = NULL;
        s.arg = &c;
        assert_true(store_scan_run(&s, NULL));
        assert_int_equal(c.told.found[0], STORE_READ);
        assert_int_equal(c.told.found[63], STORE_SHORT);
        assert_int_equal(c.told.file[63], 0);
        assert_int_equal(c.told.n, 64);
        assert_int_equal(c.told.wrong, 0);
        store_tree_free(s.tree);
        told_release(&c.told);
        room_release(&r);
    }
}

static void test_cancel(void **state)
{
    (void)state;
    for (unsigned kind = 1; kind <= 3; kind++) {
        struct room r;
        struct told t;
        struct tarn_err err = { 0 };
        const struct room_file files[] = { { .len = 16 << 20 } };
        room_make(&r, 1 << 14, files, 1);
        room_put_all(&r);
        struct store_scan s = { .want_v1 = (kind & 1) != 0, .want_v2 = (kind & 2) != 0, .jobs = 2 };
        told_init(&t, &r, &s);
        t.is_slow = true;
        t.stop_after = 2;
        s.tree = store_tree_open(&r.layout, "c", NULL);
        assert_false(store_scan_run(&s, &err));
        assert_int_equal(err.code, TARN_E_CANCELED);
        assert_int_equal(t.progress, 2);
        assert_true(t.n < r.layout.n_pieces);
        assert_int_equal(t.wrong, 0);
        store_tree_free(s.tree);
        told_release(&t);
        room_release(&r);
    }
}

/* Each file is opened about once, however many there are. */
static void test_many_small_files(void **state)
{
    (void)state;
    enum { N = 5000 };
    static struct room_file files[N];
    struct room r;
    for (size_t i = 0; i < N; i++)
        files[i].len = i % 301 + 1;
    room_make(&r, 1 << 14, files, N);
    room_put_all(&r);
    for (unsigned jobs = 1; jobs <= 2; jobs++) {
        struct sys_fake fake;
        struct store_scan s = { .want_v1 = true, .jobs = jobs };
        sys_fake_install(&fake, &sys_ops_native);
        expect_scan(&r, &s, NULL);
        assert_in_range(fake.calls[SYS_FAKE_OPEN], N, N + N / 10);
        assert_int_equal(s.bytes_read, r.layout.total);
        sys_fake_remove(&fake);
    }
    room_release(&r);
}

static void test_nothing_to_scan(void **state)
{
    (void)state;
    struct room r;
    const struct room_file files[] = { { .len = 0 } };
    room_make(&r, 1 << 14, files, 1);
    room_put_all(&r);
    struct store_scan s = { .want_v1 = true };
    expect_scan(&r, &s, NULL);
    room_release(&r);
}

/* Pieces so long that fewer go abreast, with holes for content. */
static void test_long_pieces(void **state)
{
    (void)state;
    struct room r;
    const struct room_file files[] = { { .len = (65 << 20) + 5 } };
    room_make(&r, 32 << 20, files, 1);
    room_put_all(&r);
    for (unsigned kind = 1; kind <= 3; kind++) {
        struct store_scan s = { .want_v1 = (kind & 1) != 0, .want_v2 = (kind & 2) != 0 };
        expect_scan(&r, &s, NULL);
    }
    room_release(&r);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct room r;
    const struct room_file files[] = { { .len = 100000 }, { .len = 100000 } };
    room_make(&r, 16384, files, 2);
    room_put_all(&r);
    for (unsigned kind = 1; kind <= 2; kind++) {
        bool ok = false;
        for (size_t n = 0; !ok; n++) {
            struct told t;
            struct tarn_err err = { 0 };
            struct store_scan s = { .want_v1 = (kind & 1) != 0,
                                    .want_v2 = (kind & 2) != 0,
                                    .jobs = 1 };
            told_init(&t, &r, &s);
            s.tree = store_tree_open(&r.layout, "c", NULL);
            test_mem_fail_after(n);
            ok = store_scan_run(&s, &err);
            test_mem_normal();
            assert_true(ok || err.code == TARN_E_NO_MEMORY);
            assert_int_equal(t.n, ok ? r.layout.n_pieces : 0);
            if (ok) /* a file that could not be opened for want of memory is told with its piece */
                for (uint32_t i = 0; i < r.layout.n_pieces; i++)
                    ok &= t.found[i] == STORE_READ;
            store_tree_free(s.tree);
            told_release(&t);
        }
    }
    room_release(&r);
}

TEST_MAIN(IN_ROOM(test_random_layouts), IN_ROOM(test_bad_files), IN_ROOM(test_unreadable),
          IN_ROOM(test_cut_during_scan), IN_ROOM(test_cancel), IN_ROOM(test_many_small_files),
          IN_ROOM(test_nothing_to_scan), IN_ROOM(test_long_pieces), IN_ROOM(test_no_memory))
