#include "store/intake.h"

#include "base/num.h"
#include "loop/test/turns.h"

#include <openssl/evp.h>
#include <sys/stat.h>

/* One file that is read, and what it must come to. */
struct one {
    struct store_intake_file f;
    char name[32];
    uint8_t *bytes; /* owned; NULL: a hole */
    size_t len;
    uint8_t *leaves, *pieces; /* owned; as they were handed over */
    uint64_t n_leaves, n_pieces;
    unsigned done;
    unsigned wrong; /* calls out of order, too many, ... */
    uint64_t fail_leaves_at;
    bool fail_pieces;
    void (*on_first)(struct one *o); /* before the first leaves are taken */
};

static struct one *one_of(struct store_intake_file *f)
{
    return TARN_OUTER(f, struct one, f);
}

static bool on_leaves(struct store_intake_file *f, uint64_t first, const uint8_t *hashes, size_t n,
                      struct tarn_err *err)
{
    struct one *o = one_of(f);
    if (first == 0 && o->on_first != NULL)
        o->on_first(o);
    if (o->fail_leaves_at > 0 && first + n >= o->fail_leaves_at)
        return tarn_fail(err, TARN_E_NO_SPACE, "no room for leaves");
    o->wrong += n == 0 || n > STORE_INTAKE_HASHES || first != o->n_leaves || f->n_leaves < 2 ||
                first + n > f->n_leaves;
    o->n_leaves += n;
    if (o->leaves != NULL)
        memcpy(o->leaves + first * MERKLE_HASH, hashes, n * MERKLE_HASH);
    return true;
}

static bool on_pieces(struct store_intake_file *f, uint64_t first, const uint8_t *hashes, size_t n,
                      struct tarn_err *err)
{
    struct one *o = one_of(f);
    if (o->fail_pieces)
        return tarn_fail(err, TARN_E_NO_SPACE, "no room for pieces");
    o->wrong += n == 0 || n > STORE_INTAKE_HASHES || first != o->n_pieces ||
                first + n > f->n_pieces || f->piece_len == 0;
    o->n_pieces += n;
    memcpy(o->pieces + first * CRYPT_SHA1_LEN, hashes, n * CRYPT_SHA1_LEN);
    return true;
}

static void done(struct store_intake_file *f)
{
    one_of(f)->done++;
}

static void put_file(const char *name, const uint8_t *bytes, size_t len)
{
    int fd = open(name, O_CREAT | O_RDWR | O_TRUNC, 0644);
    assert_true(fd >= 0);
    if (bytes != NULL)
        assert_int_equal(write(fd, bytes, len), len);
    else
        assert_int_equal(ftruncate(fd, (off_t)len), 0);
    close(fd);
}

static void one_init(struct one *o, unsigned number, size_t len, uint32_t piece_len, uint64_t *seed)
{
    *o = (struct one){ .len = len };
    snprintf(o->name, sizeof o->name, "f%u", number);
    if (seed != NULL) {
        o->bytes = tarn_calloc(len + 8, 1);
        for (size_t i = 0; i < len; i += 8) {
            uint64_t r = test_rand(seed);
            memcpy(o->bytes + i, &r, 8);
        }
    }
    o->leaves = tarn_calloc(len / MERKLE_BLOCK + 1, MERKLE_HASH);
    o->pieces = tarn_calloc(piece_len == 0 ? 1 : len / piece_len + 1, CRYPT_SHA1_LEN);
    o->f.dir = SYS_CWD;
    o->f.path = o->name;
    o->f.piece_len = piece_len;
    o->f.on_leaves = on_leaves;
    o->f.on_pieces = on_pieces;
    o->f.done = done;
    put_file(o->name, o->bytes, len);
}

static void one_release(struct one *o)
{
    tarn_free(o->bytes);
    tarn_free(o->leaves);
    tarn_free(o->pieces);
}

/* The naive model: one call of another implementation for each hash. */

static void digest(const EVP_MD *md, const uint8_t *p, size_t len, uint8_t *to)
{
    assert_int_equal(EVP_Digest(p, len, to, NULL, md, NULL), 1);
}

static void naive_tree(const uint8_t *p, size_t len, size_t width, uint8_t *to)
{
    uint8_t pair[64] = { 0 };
    if (width == 1) {
        memset(to, 0, 32);
        if (len > 0)
            digest(EVP_sha256(), p, len, to);
        return;
    }
    size_t left = tarn_min_size(len, width / 2 * MERKLE_BLOCK);
    naive_tree(p, left, width / 2, pair);
    naive_tree(p + left, len - left, width / 2, pair + 32);
    digest(EVP_sha256(), pair, 64, to);
}

static void expect_v1(const struct one *o)
{
    uint8_t hash[32];
    size_t piece = o->f.piece_len;
    assert_int_equal(o->f.n_pieces, o->len / piece);
    assert_int_equal(o->n_pieces, o->f.n_pieces);
    for (size_t i = 0; i < o->n_pieces; i++) {
        digest(EVP_sha1(), o->bytes + i * piece, piece, hash);
        assert_memory_equal(hash, o->pieces + i * CRYPT_SHA1_LEN, CRYPT_SHA1_LEN);
    }
    size_t tail = o->len % piece;
    assert_int_equal(o->f.has_tail, tail != 0);
    if (tail == 0)
        return;
    uint8_t *padded = tarn_calloc(piece, 1);
    memcpy(padded, o->bytes + (o->len - tail), tail);
    digest(EVP_sha1(), padded, tail, hash);
    assert_memory_equal(hash, o->f.tail, CRYPT_SHA1_LEN);
    digest(EVP_sha1(), padded, piece, hash);
    assert_memory_equal(hash, o->f.tail_padded, CRYPT_SHA1_LEN);
    tarn_free(padded);
}

static void expect_one(const struct one *o)
{
    uint8_t hash[32];
    struct stat st;
    if (o->f.err.code != TARN_OK)
        fail_msg("%s (%zu bytes): %s", o->name, o->len, o->f.err.msg);
    assert_int_equal(o->done, 1);
    assert_int_equal(o->wrong, 0);
    assert_int_equal(o->f.len, o->len);
    assert_int_equal(o->f.bytes_read, o->len);
    assert_int_equal(stat(o->name, &st), 0);
    assert_int_equal(o->f.stat.ino, st.st_ino);
    assert_int_equal(o->f.stat.size, o->len);
    digest(EVP_sha256(), o->bytes, o->len, hash);
    assert_memory_equal(hash, o->f.sha256, 32);
    size_t n = (o->len + MERKLE_BLOCK - 1) / MERKLE_BLOCK;
    assert_int_equal(o->f.n_leaves, n);
    assert_int_equal(o->n_leaves, n < 2 ? 0 : n); /* one leaf is the root: not told */
    if (n == 0)
        return;
    naive_tree(o->bytes, o->len, tarn_pow2_up_u64(n), hash);
    assert_memory_equal(hash, o->f.root, 32);
    for (size_t i = 0; i < o->n_leaves; i++) {
        size_t at = i * MERKLE_BLOCK;
        digest(EVP_sha256(), o->bytes + at, tarn_min_size(MERKLE_BLOCK, o->len - at), hash);
        assert_memory_equal(hash, o->leaves + i * MERKLE_HASH, 32);
    }
    if (o->f.piece_len > 0)
        expect_v1(o);
}

static struct loop *loop_of(unsigned threads)
{
    struct loop_settings set = { .threads = threads, .no_threads = threads == 0 };
    struct loop *l = loop_new(&set, NULL);
    assert_non_null(l);
    return l;
}

static struct store_intake *intake_of(struct loop *l, size_t memory, unsigned groups)
{
    struct store_intake_settings set = { .loop = l, .memory = memory, .groups = groups };
    struct store_intake *in = store_intake_new(&set, NULL);
    assert_non_null(in);
    return in;
}

static size_t n_done(const struct one *all, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += all[i].done;
    return sum;
}

/* Read all of them at once, and count what was read. */
static void read_all(struct one *all, size_t n, unsigned threads, size_t memory, unsigned groups)
{
    struct sys_fake fake;
    struct loop *l = loop_of(threads);
    struct store_intake *in = intake_of(l, memory, groups);
    uint64_t total = 0;
    sys_fake_install(&fake, room_ops);
    for (size_t i = 0; i < n; i++) {
        total += all[i].len;
        store_intake_submit(in, &all[i].f);
    }
    TURN_UNTIL(l, n_done(all, n) == n);
    struct store_intake_counts c = store_intake_counts(in);
    assert_int_equal(c.waiting, 0);
    assert_int_equal(c.under_way, 0);
    assert_int_equal(c.files_done, n);
    assert_int_equal(c.bytes_read, total);
    assert_int_equal(fake.bytes_read, total); /* each byte once */
    sys_fake_remove(&fake);
    for (size_t i = 0; i < n; i++)
        expect_one(&all[i]);
    store_intake_free(in);
    loop_free(l);
}

/* Any length, any piece length, any company. */
static void test_lengths(void **state)
{
    (void)state;
    static const size_t borders[] = { 0,      1,      55,     64,      16384,   32768,
                                      65536,  98304,  131072, 262144,  1048576, 1064960,
                                      524288, 147456, 49152,  2097152, 3145728, 81920 };
    uint64_t seed = test_seed();
    for (unsigned turn = 0; turn < 24; turn++) {
        struct one all[40];
        size_t n = 1 + test_rand_below(&seed, TARN_COUNT_OF(all));
        for (unsigned i = 0; i < n; i++) {
            size_t len = borders[test_rand_below(&seed, TARN_COUNT_OF(borders))];
            len += test_rand_below(&seed, 3);
            len -= len > 0 ? test_rand_below(&seed, 2) : 0;
            uint32_t piece = 0;
            if (test_rand_below(&seed, 3) != 0)
                piece = 16384U << test_rand_below(&seed, 8);
            one_init(&all[i], i, len, piece, &seed);
        }
        read_all(all, n, turn % 3, 0, 1 + turn % 2);
        for (size_t i = 0; i < n; i++)
            one_release(&all[i]);
    }
}

/* Files so long that they get banks: alone on two threads and on one, two, and with short pieces.
 */
static void test_long_files(void **state)
{
    (void)state;
    static const struct {
        unsigned threads, groups, files;
        uint32_t piece_len;
        size_t memory;
    } cases[] = {
        { 2, 2, 1, 0, 0 },       { 2, 2, 1, 1 << 20, 0 },      { 2, 2, 1, 1 << 20, 8 << 20 },
        { 2, 2, 1, 16384, 0 },   { 2, 2, 1, 65536, 0 },        { 1, 1, 1, 1 << 20, 0 },
        { 0, 0, 1, 524288, 0 },  { 2, 2, 2, 1 << 20, 0 },      { 2, 2, 3, 262144, 0 },
        { 2, 2, 6, 131072, 0 },  { 2, 2, 1, 16 << 20, 1 },     { 2, 2, 1, 4 << 20, 0 },
        { 3, 3, 2, 0, 3 << 20 }, { 2, 4, 1, 131072, 2 << 20 }, { 4, 4, 17, 65536, 0 },
    };
    uint64_t seed = test_seed();
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        struct one all[17];
        for (unsigned k = 0; k < cases[i].files; k++)
            one_init(&all[k], k,
                     (cases[i].files > 6 ? 2U << 20 : 20U << 20) / (k % 3 + 1) +
                         test_rand_below(&seed, 3 << 20),
                     cases[i].piece_len, &seed);
        read_all(all, cases[i].files, cases[i].threads, cases[i].memory, cases[i].groups);
        for (unsigned k = 0; k < cases[i].files; k++)
            one_release(&all[k]);
    }
}

static void test_many_small(void **state)
{
    (void)state;
    enum { N = 1500 };
    uint64_t seed = test_seed();
    struct one *all = tarn_calloc(N, sizeof *all);
    for (unsigned i = 0; i < N; i++)
        one_init(&all[i], i, test_rand_below(&seed, 900), i % 2 == 0 ? 0 : 16384, &seed);
    read_all(all, N, 2, 0, 2);
    for (unsigned i = 0; i < N; i++)
        one_release(&all[i]);
    tarn_free(all);
}

/* Content that the fake says is on the disk alone, in portions that reads return cut. */
static void test_cold(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct sys_fake fake;
    struct one o[2];
    struct loop *l = loop_of(2);
    struct store_intake *in = intake_of(l, 0, 2);
    one_init(&o[0], 0, 11 << 20, 1 << 20, &seed);
    one_init(&o[1], 1, 300001, 1 << 20, &seed);
    sys_fake_install(&fake, room_ops);
    fake.resident = 0;
    fake.short_io = 50001;
    for (size_t i = 0; i < 2; i++)
        store_intake_submit(in, &o[i].f);
    TURN_UNTIL(l, n_done(o, 2) == 2);
    assert_int_equal(fake.bytes_read, o[0].len + o[1].len);
    sys_fake_remove(&fake);
    for (size_t i = 0; i < 2; i++) {
        expect_one(&o[i]);
        one_release(&o[i]);
    }
    store_intake_free(in);
    loop_free(l);
}

/* What can go wrong with one file, while others beside it are read as ever. */

static void cut(struct one *o)
{
    assert_int_equal(truncate(o->name, 4 << 20), 0);
}

static void grow(struct one *o)
{
    assert_int_equal(truncate(o->name, (off_t)o->len + 1), 0);
}

static void touch(struct one *o)
{
    int fd = open(o->name, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    close(fd);
}

static void set_old_times(struct one *o)
{
    struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };
    assert_int_equal(utimensat(AT_FDCWD, o->name, times, 0), 0);
}

static void replace(struct one *o)
{
    put_file("other", o->bytes, o->len);
    assert_int_equal(rename("other", o->name), 0);
}

static void take_away(struct one *o)
{
    assert_int_equal(unlink(o->name), 0);
}

static void test_changed(void **state)
{
    (void)state;
    static const struct {
        void (*how)(struct one *o);
        const char *says;
    } cases[] = {
        { cut, "it became shorter" },
        { grow, "its length is another" },
        { touch, "it was written to" },
        { set_old_times, "its times were set" },
        { replace, "another file has its name" },
        { take_away, "its name is gone" },
    };
    uint64_t seed = test_seed();
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++)
        for (unsigned company = 0; company < 2; company++) {
            struct one all[12];
            size_t n = company == 0 ? 1 : TARN_COUNT_OF(all);
            struct loop *l = loop_of(2);
            struct store_intake *in = intake_of(l, 0, 2);
            for (unsigned k = 0; k < n; k++)
                one_init(&all[k], k, k == 0 ? 12 << 20 : 400000 + k, 262144, &seed);
            all[0].on_first = cases[i].how;
            test_wait_tick();
            for (unsigned k = 0; k < n; k++)
                store_intake_submit(in, &all[k].f);
            TURN_UNTIL(l, n_done(all, n) == n);
            assert_int_equal(all[0].f.err.code, TARN_E_FAILED);
            assert_non_null(strstr(all[0].f.err.msg, "'f0' changed while it was read: "));
            assert_non_null(strstr(all[0].f.err.msg, cases[i].says));
            assert_non_null(strstr(all[0].f.err.msg, "; try again when nothing writes to it"));
            /* The same file again, now that it is quiet. */
            if (cases[i].how == replace) {
                all[0].on_first = NULL;
                all[0].done = 0;
                all[0].n_leaves = all[0].n_pieces = 0;
                store_intake_submit(in, &all[0].f);
                TURN_UNTIL(l, all[0].done == 1);
                expect_one(&all[0]);
            }
            for (unsigned k = 1; k < n; k++)
                expect_one(&all[k]);
            for (unsigned k = 0; k < n; k++)
                one_release(&all[k]);
            store_intake_free(in);
            loop_free(l);
        }
}

static void test_not_files(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum tarn_code code;
    } cases[] = {
        { "gone", TARN_E_NOT_FOUND }, { "folder", TARN_E_POLICY }, { "link", TARN_E_POLICY },
        { "pipe", TARN_E_POLICY },    { "../f0", TARN_E_POLICY },  { "linked/x", TARN_E_POLICY },
        { "folder/x", TARN_OK },
    };
    struct loop *l = loop_of(1);
    struct store_intake *in = intake_of(l, 0, 1);
    put_file("real", (const uint8_t *)"x", 1);
    assert_int_equal(mkdir("folder", 0755), 0);
    put_file("folder/x", (const uint8_t *)"x", 1);
    assert_int_equal(symlink("real", "link"), 0);
    assert_int_equal(symlink("folder", "linked"), 0);
    assert_int_equal(mkfifo("pipe", 0644), 0);
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        struct one o = { .f = { .dir = SYS_CWD, .path = cases[i].path, .done = done } };
        store_intake_submit(in, &o.f);
        assert_int_equal(o.done, 0); /* never from within the call */
        TURN_UNTIL(l, o.done == 1);
        if (o.f.err.code != cases[i].code)
            fail_msg("%s: %d, %s", cases[i].path, (int)o.f.err.code, o.f.err.msg);
        if (o.f.err.code != TARN_OK)
            assert_true(o.f.err.msg[0] != 0);
    }
    store_intake_free(in);
    loop_free(l);
}

/* Every read of a file in turn fails: it fails, the others do not, and nothing stays open. */
static void test_read_errors(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    bool was_hit = true;
    for (unsigned after = 0; was_hit; after += after < 20 ? 1 : 7) {
        struct sys_fake fake;
        struct one o[3];
        struct loop *l = loop_of(after % 3);
        struct store_intake *in = intake_of(l, 0, 2);
        for (unsigned k = 0; k < 3; k++)
            one_init(&o[k], k, k == 0 ? 9 << 20 : 70000, 131072, &seed);
        sys_fake_install(&fake, room_ops);
        fake.fail[SYS_FAKE_PREADV] = (struct sys_fault){ .after = after, .error = EIO };
        for (unsigned k = 0; k < 3; k++)
            store_intake_submit(in, &o[k].f);
        TURN_UNTIL(l, n_done(o, 3) == 3);
        was_hit = fake.calls[SYS_FAKE_PREADV] > after;
        sys_fake_remove(&fake);
        unsigned bad = 0;
        for (unsigned k = 0; k < 3; k++) {
            if (o[k].f.err.code == TARN_OK) {
                expect_one(&o[k]);
            } else {
                bad++;
                assert_int_equal(o[k].f.err.code, TARN_E_FAILED);
                assert_non_null(strstr(o[k].f.err.msg, o[k].name));
                assert_non_null(strstr(o[k].f.err.msg, strerror(EIO)));
            }
            one_release(&o[k]);
        }
        assert_int_equal(bad, was_hit);
        store_intake_free(in);
        loop_free(l);
    }
}

/* The caller cannot keep the leaves. */
static void test_sink_fails(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (uint64_t at = 1; at < 1000; at += 200) {
        struct one o[2];
        struct loop *l = loop_of(2);
        struct store_intake *in = intake_of(l, 0, 2);
        one_init(&o[0], 0, 12 << 20, 0, &seed);
        one_init(&o[1], 1, 80000, 16384, &seed);
        o[0].fail_leaves_at = at;
        store_intake_submit(in, &o[0].f);
        store_intake_submit(in, &o[1].f);
        TURN_UNTIL(l, n_done(o, 2) == 2);
        if (at <= (12 << 20) / MERKLE_BLOCK) {
            assert_int_equal(o[0].f.err.code, TARN_E_NO_SPACE);
            assert_string_equal(o[0].f.err.msg, "no room for leaves");
        } else {
            expect_one(&o[0]);
        }
        expect_one(&o[1]);
        o[1].fail_pieces = true;
        o[1].n_leaves = o[1].done = 0;
        store_intake_submit(in, &o[1].f);
        TURN_UNTIL(l, o[1].done == 1);
        assert_int_equal(o[1].f.err.code, TARN_E_NO_SPACE);
        assert_string_equal(o[1].f.err.msg, "no room for pieces");
        store_intake_free(in);
        loop_free(l);
        one_release(&o[0]);
        one_release(&o[1]);
    }
}

/* Canceled where it waits, in the middle of a big file (from the thread that reads it there is news
 * once it has begun), and all of it given up while jobs run. */
static atomic_bool has_begun;

static void say_begun(struct one *o)
{
    (void)o;
    atomic_store(&has_begun, true);
}

static void test_cancel(void **state)
{
    (void)state;
    enum { WAITING = 300 };
    struct one big;
    struct one *waiting = tarn_calloc(WAITING, sizeof *waiting);
    struct loop *l = loop_of(2);
    struct store_intake *in = intake_of(l, 0, 2);
    one_init(&big, 1000, (size_t)3 << 30, 0, NULL); /* a hole */
    big.on_first = say_begun;
    atomic_store(&has_begun, false);
    store_intake_submit(in, &big.f);
    TURN_UNTIL(l, atomic_load(&has_begun));
    assert_int_equal(store_intake_counts(in).under_way, 1);
    store_intake_cancel(in, &big.f);
    assert_int_equal(big.done, 0);
    TURN_UNTIL(l, big.done == 1);
    assert_int_equal(big.f.err.code, TARN_E_CANCELED);
    assert_true(big.f.bytes_read > 0 && big.f.bytes_read < big.len);
    store_intake_cancel(in, &big.f); /* harmless */

    for (unsigned i = 0; i < WAITING; i++) {
        waiting[i].f = (struct store_intake_file){ .dir = SYS_CWD, .path = "small", .done = done };
        store_intake_submit(in, &waiting[i].f);
    }
    put_file("small", (const uint8_t *)"x", 1);
    for (unsigned i = 0; i < WAITING; i += 2)
        store_intake_cancel(in, &waiting[i].f);
    assert_int_equal(n_done(waiting, WAITING), 0);
    TURN_UNTIL(l, n_done(waiting, WAITING) == WAITING);
    for (unsigned i = 0; i < WAITING; i++)
        assert_int_equal(waiting[i].f.err.code, i % 2 == 0 ? TARN_E_CANCELED : TARN_OK);

    big.done = 0;
    big.n_leaves = 0;
    atomic_store(&has_begun, false);
    store_intake_submit(in, &big.f);
    for (unsigned i = 0; i < WAITING; i++)
        store_intake_submit(in, &waiting[i].f);
    TURN_UNTIL(l, atomic_load(&has_begun));
    store_intake_free(in);
    assert_int_equal(big.done, 0); /* nothing is called back */
    turns_settle(l);
    assert_int_equal(big.done, 0);
    loop_free(l);
    one_release(&big);
    tarn_free(waiting);
}

/* Memory: everything that is asked for while a file is read, however long it is. */
static size_t asked;

static bool count_memory(size_t bytes)
{
    asked += bytes;
    return true;
}

static size_t memory_for(size_t len, uint32_t piece_len)
{
    struct one o;
    struct loop *l = loop_of(2);
    struct store_intake *in = intake_of(l, 8 << 20, 2);
    one_init(&o, 0, len, piece_len, NULL);
    asked = 0;
    tarn_mem_may = count_memory;
    store_intake_submit(in, &o.f);
    TURN_UNTIL(l, o.done == 1);
    test_mem_normal();
    assert_int_equal(o.f.err.code, TARN_OK);
    store_intake_free(in);
    loop_free(l);
    one_release(&o);
    return asked;
}

static void test_memory(void **state)
{
    (void)state;
    size_t some = memory_for(40 << 20, 1 << 20);
    assert_int_equal(memory_for(400 << 20, 1 << 20), some);
    assert_true(some <= (8 << 20) + (3 << 19));
}

static void test_no_memory(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    unsigned ok = 0;
    for (size_t n = 0; ok < 2; n++) {
        struct one o[2];
        struct loop *l = loop_of(1);
        one_init(&o[0], 0, 9 << 20, 65536, &seed);
        one_init(&o[1], 1, 20000, 65536, &seed);
        test_mem_fail_after(n);
        struct store_intake_settings set = { .loop = l, .groups = 2 };
        struct tarn_err err = { 0 };
        struct store_intake *in = store_intake_new(&set, &err);
        if (in != NULL) {
            store_intake_submit(in, &o[0].f);
            store_intake_submit(in, &o[1].f);
            TURN_UNTIL(l, n_done(o, 2) == 2);
        }
        test_mem_normal();
        assert_int_equal(in == NULL, err.code == TARN_E_NO_MEMORY);
        for (unsigned k = 0; k < 2; k++) {
            if (in != NULL && o[k].f.err.code == TARN_OK) {
                expect_one(&o[k]);
                ok += n > 6 || k == 1; /* and once more with all the memory it wants */
            } else if (in != NULL) {
                assert_int_equal(o[k].f.err.code, TARN_E_NO_MEMORY);
            }
            one_release(&o[k]);
        }
        store_intake_free(in);
        loop_free(l);
        assert_true(n < 100);
    }
}

#define ON_NATIVE(test) \
    { \
#test, test, room_enter, room_leave, &room_native \
    }

TEST_MAIN(ON_BOTH(test_lengths), ON_NATIVE(test_long_files), ON_NATIVE(test_many_small),
          ON_NATIVE(test_cold), ON_BOTH(test_changed), ON_BOTH(test_not_files),
          ON_NATIVE(test_read_errors), ON_NATIVE(test_sink_fails), ON_NATIVE(test_cancel),
          ON_NATIVE(test_memory), ON_NATIVE(test_no_memory))
