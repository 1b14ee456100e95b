#include "node/core/derive.h"

#include "base/num.h"
#include "base/test/test.h"
#include "bt/core/magnet.h"
#include "crypt/merkle.h"
#include "crypt/sha.h"

enum { FILES_MAX = 9 };

/* Files in memory, and what the catalog would know of them. */
struct made {
    char path[64];
    size_t len;
    uint8_t *bytes, *leaves, *pieces; /* owned */
    uint8_t root[32], tail[20], tail_padded[20];
};

static void make(struct made *m, const char *path, size_t len, uint32_t piece_len, uint64_t *seed)
{
    size_t n = (len + MERKLE_BLOCK - 1) / MERKLE_BLOCK;
    snprintf(m->path, sizeof m->path, "%s", path);
    m->len = len;
    m->bytes = tarn_calloc(len + piece_len, 1);
    m->leaves = tarn_calloc(n + 1, 32);
    m->pieces = tarn_calloc(len / piece_len + 1, 20);
    for (size_t i = 0; i < len; i++)
        m->bytes[i] = (uint8_t)test_rand(seed);
    for (size_t i = 0; i < n; i++)
        crypt_hash(CRYPT_SHA256,
                   tarn_bytes_of(m->bytes + i * MERKLE_BLOCK,
                                 tarn_min_size(MERKLE_BLOCK, len - i * MERKLE_BLOCK)),
                   m->leaves + i * 32);
    uint8_t *work = tarn_calloc(n + 1, 32);
    memcpy(work, m->leaves, n * 32);
    if (n > 0)
        merkle_root(work, n, tarn_pow2_up_u64(n), 0, m->root);
    tarn_free(work);
    for (size_t i = 0; i < len / piece_len; i++)
        crypt_hash(CRYPT_SHA1, tarn_bytes_of(m->bytes + i * piece_len, piece_len),
                   m->pieces + i * 20);
    size_t at = len / piece_len * piece_len;
    crypt_hash(CRYPT_SHA1, tarn_bytes_of(m->bytes + at, len - at), m->tail);
    crypt_hash(CRYPT_SHA1, tarn_bytes_of(m->bytes + at, piece_len), m->tail_padded);
}

static void made_release(struct made *m)
{
    tarn_free(m->bytes);
    tarn_free(m->leaves);
    tarn_free(m->pieces);
}

static bool begin(struct derive *d, const struct made *m, bool is_single, struct tarn_err *err)
{
    struct derive_file f = {
        .path = tarn_bytes_str(is_single ? "" : m->path),
        .len = m->len,
        .root = m->root,
        .tail = m->tail,
        .tail_padded = m->tail_padded,
    };
    return derive_begin(d, &f, err);
}

static bool feed(struct derive *d, const struct made *m, bool is_single, uint32_t piece_len,
                 uint64_t *seed, struct tarn_err *err)
{
    if (!begin(d, m, is_single, err))
        return false;
    size_t n = derive_wants_leaves(d, m->len) ? tarn_div_up_u64(m->len, MERKLE_BLOCK) : 0;
    for (size_t at = 0, take; at < n; at += take) {
        take = tarn_min_size(n - at, test_rand_below(seed, 9));
        if (!derive_leaves(d, m->leaves + at * 32, take, err))
            return false;
    }
    n = derive_wants_pieces(d, m->len) ? m->len / piece_len : 0;
    for (size_t at = 0, take; at < n; at += take) {
        take = tarn_min_size(n - at, test_rand_below(seed, 9));
        if (!derive_pieces(d, m->pieces + at * 20, take, err))
            return false;
    }
    return derive_end(d, err);
}

/* What a reader sees is the files, piece by piece. */
static void expect(const struct bt_metainfo *t, const struct made *files, size_t n,
                   enum bt_format format, const char *name)
{
    assert_string_equal(t->name, name);
    assert_int_equal(t->hashes.has_v1, (format & BT_V1) != 0);
    assert_int_equal(t->hashes.has_v2, (format & BT_V2) != 0);
    assert_int_equal(t->n_real_files, n);
    uint8_t *space = tarn_calloc(t->total + 1, 1), hash[32];
    size_t k = 0;
    for (uint32_t i = 0; i < t->n_files; i++) {
        const struct bt_file *f = &t->files[i];
        if (f->is_pad)
            continue;
        assert_int_equal(f->len, files[k].len);
        if (!t->is_single_file)
            assert_string_equal(f->path + strlen(name) + 1, files[k].path);
        if (f->len > 0)
            assert_int_equal(f->off % t->piece_len, 0);
        memcpy(space + f->off, files[k].bytes, files[k].len);
        if ((format & BT_V2) != 0 && f->len > 0)
            assert_memory_equal(f->root, files[k].root, 32);
        k++;
    }
    assert_int_equal(k, n);
    if ((format & BT_V2) != 0)
        assert_true(t->has_all_layers); /* and the reader has folded them to the roots */
    for (uint32_t i = 0; (format & BT_V1) != 0 && i < t->n_pieces; i++) {
        crypt_hash(CRYPT_SHA1,
                   tarn_bytes_of(space + (uint64_t)i * t->piece_len, bt_piece_len(t, i)), hash);
        assert_memory_equal(t->pieces + (size_t)i * 20, hash, 20);
    }
    tarn_free(space);
}

static void expect_magnet(const struct derive_settings *set, const struct bt_metainfo *t,
                          const struct bt_hashes *hashes)
{
    struct tarn_out ours, theirs;
    tarn_out_init(&ours, 1 << 16);
    tarn_out_init(&theirs, 1 << 16);
    derive_magnet(set, hashes, &ours);
    bt_magnet_write(t, &theirs);
    assert_true(tarn_bytes_eq(tarn_out_bytes(&ours), tarn_out_bytes(&theirs)));
    tarn_out_release(&ours);
    tarn_out_release(&theirs);
}

static void expect_fits(const struct derive_settings *set, const struct made *files, size_t n,
                        uint64_t seed)
{
    struct tarn_err err = { 0 };
    struct derive *d = derive_new(set, &err);
    assert_non_null(d);
    for (size_t i = 0; i < n; i++)
        if (!feed(d, &files[i], set->is_single_file, set->piece_len, &seed, &err))
            fail_msg("%s", err.msg);
    derive_free(d);
}

/* What becomes too long is refused at about the file with which it does. */
static void test_too_long(void **state)
{
    (void)state;
    enum { MOST = 100000, LEAST_EACH = 70, MOST_EACH = 140 };
    static const uint8_t hash[32] = { 1 };
    for (int format = BT_V1; format <= BT_HYBRID; format++) {
        struct derive_settings set = { .format = (enum bt_format)format,
                                       .name = tarn_bytes_str("n"),
                                       .piece_len = 16384,
                                       .most = MOST };
        struct tarn_err err = { 0 };
        struct derive *d = derive_new(&set, &err);
        char path[32];
        size_t n = 0;
        bool ok = true;
        for (; ok && n < MOST; n++) {
            snprintf(path, sizeof path, "a folder/%08zu", n);
            struct derive_file f = { .path = tarn_bytes_str(path),
                                     .len = 1,
                                     .root = hash,
                                     .tail = hash,
                                     .tail_padded = hash };
            ok = derive_begin(d, &f, &err) && derive_end(d, &err);
        }
        assert_int_equal(err.code, TARN_E_POLICY);
        assert_non_null(strstr(err.msg, "larger than"));
        assert_in_range(n, MOST / MOST_EACH / (format == BT_HYBRID ? 2 : 1),
                        MOST / LEAST_EACH * (format == BT_V1 ? 2 : 1));
        derive_free(d);
    }
}

static void test_torrents(void **state)
{
    (void)state;
    static const char *const paths[FILES_MAX] = { "a",     "a b/c", "b",   "b.d/e", "c/d/d",
                                                  "c/d/f", "c/e",   "d.d", "z" };
    static const char *const trackers[] = { "http://t/announce", "udp://t:1" };
    static const char *const seeds[] = { "http://h/c/" };
    uint64_t seed = test_seed();
    for (unsigned turn = 0; turn < 120; turn++) {
        struct made files[FILES_MAX];
        bool is_single = turn % 4 == 0;
        size_t n = is_single ? 1 : 1 + test_rand_below(&seed, FILES_MAX);
        uint32_t piece_len = 16384U << test_rand_below(&seed, 4);
        enum bt_format format = (enum bt_format)(1 + turn % 3);
        struct derive_settings set = {
            .format = format,
            .name = tarn_bytes_str("a name"),
            .is_single_file = is_single,
            .piece_len = piece_len,
            .trackers = trackers,
            .n_trackers = turn % 3,
            .web_seeds = seeds,
            .n_web_seeds = turn % 2,
            .comment = turn % 5 == 0 ? "hello" : NULL,
        };
        struct tarn_err err = { 0 };
        struct derive *d = derive_new(&set, &err);
        assert_non_null(d);
        uint64_t total = 0, fed = seed;
        for (size_t i = 0; i < n; i++) {
            size_t len = test_rand_below(&seed, 5) == 0 ? piece_len * test_rand_below(&seed, 4)
                                                        : test_rand_below(&seed, 300000);
            total += len;
            make(&files[i], paths[i], len, piece_len, &seed);
            if (!feed(d, &files[i], is_single, piece_len, &seed, &err))
                fail_msg("%s", err.msg);
        }
        struct tarn_out o;
        struct bt_hashes hashes;
        struct bt_metainfo t;
        tarn_out_init(&o, BT_TORRENT_MAX);
        tarn_out_str(&o, "before");
        bool ok = derive_torrent(d, &o, &hashes, &err);
        assert_int_equal(ok, format != BT_V2 || is_single || n > 1);
        if (!ok) {
            assert_int_equal(err.code, TARN_E_POLICY);
        } else if (!bt_metainfo_parse(&t, tarn_bytes_of(o.p + 6, o.len - 6), &err)) {
            assert_int_equal(total, 0); /* nobody takes a torrent of nothing */
        } else {
            assert_memory_equal(&t.hashes, &hashes, sizeof hashes);
            expect(&t, files, n, format, "a name");
            expect_magnet(&set, &t, &hashes);
            bt_metainfo_release(&t);
            set.most = o.len - 6; /* as long as it is, it may be */
            expect_fits(&set, files, n, fed);
        }
        tarn_out_release(&o);
        derive_free(d);
        for (size_t i = 0; i < n; i++)
            made_release(&files[i]);
    }
}

/* Hashes that are not the file's never get into a torrent. */
static void test_wrong_hashes(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct made m;
    make(&m, "f", 200000, 32768, &seed);
    struct derive_settings set = { .format = BT_HYBRID,
                                   .name = tarn_bytes_str("n"),
                                   .piece_len = 32768 };
    for (unsigned wrong = 0; wrong < 7; wrong++) {
        struct tarn_err err = { 0 };
        struct derive *d = derive_new(&set, &err);
        assert_true(begin(d, &m, false, &err));
        bool ok = true;
        if (wrong == 0)
            m.leaves[5 * 32] ^= 1;
        ok = derive_leaves(d, m.leaves, wrong == 1 ? 12 : 13, &err) && ok;
        if (wrong == 0)
            m.leaves[5 * 32] ^= 1;
        if (wrong == 2)
            ok = derive_leaves(d, m.leaves, 1, &err) && ok;
        if (wrong == 2)
            assert_false(ok);
        ok = derive_pieces(d, m.pieces, wrong == 3 ? 5 : 6, &err) && ok;
        if (wrong == 4)
            ok = derive_pieces(d, m.pieces, 1, &err) && ok;
        ok = derive_end(d, &err) && ok;
        assert_int_equal(ok, wrong >= 5);
        if (!ok) {
            assert_int_equal(err.code, TARN_E_INTEGRITY);
            assert_string_equal(err.msg, "the hashes of 'f' are not those of the file");
        }
        derive_free(d);
    }
    struct tarn_err err = { 0 };
    struct derive *d = derive_new(&set, &err);
    struct derive_file no_tail = { .path = tarn_bytes_str("f"), .len = 5, .root = m.root };
    assert_true(derive_begin(d, &no_tail, &err));
    assert_false(derive_end(d, &err));
    assert_int_equal(err.code, TARN_E_INTEGRITY);
    derive_free(d);
    made_release(&m);
}

static void expect_refused(const struct derive_settings *set, const char *path, uint64_t len,
                           enum tarn_code code, const char *says)
{
    static const uint8_t hash[32];
    struct tarn_err err = { 0 };
    struct derive *d = derive_new(set, &err);
    assert_non_null(d);
    struct derive_file f = {
        .path = tarn_bytes_str(path), .len = len, .root = hash, .tail = hash, .tail_padded = hash
    };
    assert_false(derive_begin(d, &f, &err));
    assert_int_equal(err.code, code);
    if (strstr(err.msg, says) == NULL)
        fail_msg("%s", err.msg);
    derive_free(d);
}

/* What may be named can be read again. */
static void test_deepest(void **state)
{
    (void)state;
    static const uint8_t hash[32] = { 1 };
    char deep[2 * DERIVE_DEPTH_MAX];
    struct bt_hashes hashes;
    struct bt_metainfo m;
    struct tarn_err err = { 0 };
    struct tarn_out o;
    for (size_t i = 0; i < sizeof deep; i++)
        deep[i] = i % 2 == 0 ? 'a' : '/';
    const struct derive_file f = { .path = tarn_bytes_of(deep, sizeof deep - 1),
                                   .len = 1,
                                   .root = hash,
                                   .tail = hash,
                                   .tail_padded = hash };
    const struct derive_settings set = { .format = BT_HYBRID,
                                         .name = tarn_bytes_str("n"),
                                         .piece_len = 16384 };
    struct derive *d = derive_new(&set, NULL);
    assert_non_null(d);
    assert_true(derive_begin(d, &f, NULL));
    assert_true(derive_end(d, NULL));
    tarn_out_init(&o, 1 << 20);
    assert_true(derive_torrent(d, &o, &hashes, NULL));
    if (!bt_metainfo_parse(&m, tarn_out_bytes(&o), &err))
        fail_msg("%s", err.msg);
    bt_metainfo_release(&m);
    tarn_out_release(&o);
    derive_free(d);
}

static void test_refused(void **state)
{
    (void)state;
    static const uint8_t hash[32];
    struct tarn_err err = { 0 };
    struct derive_settings set = { .format = BT_V2,
                                   .name = tarn_bytes_str("n"),
                                   .piece_len = 16384 };
    static const char *const bad[] = { "",     "/a",    "a/",     "a//b", ".",           "a/../b",
                                       "a\nb", "a\xff", "a/\x01", "..",   "\xe2\x80\xae" };
    for (size_t i = 0; i < TARN_COUNT_OF(bad); i++) {
        assert_false(derive_can_name(tarn_bytes_str(bad[i])));
        expect_refused(&set, bad[i], 1, TARN_E_POLICY, "cannot be in a torrent");
        set.name = tarn_bytes_str(bad[i]);
        assert_null(derive_new(&set, &err));
        assert_int_equal(err.code, TARN_E_POLICY);
        set.name = tarn_bytes_str("n");
    }
    char deep[2 * DERIVE_DEPTH_MAX + 8];
    for (size_t i = 0; i < sizeof deep; i++)
        deep[i] = i % 2 == 0 ? 'a' : '/';
    assert_true(derive_can_name(tarn_bytes_of(deep, 2 * DERIVE_DEPTH_MAX - 1)));
    assert_false(derive_can_name(tarn_bytes_of(deep, 2 * DERIVE_DEPTH_MAX + 1)));
    char longest[300];
    memset(longest, 'x', sizeof longest);
    assert_true(derive_can_name(tarn_bytes_of(longest, 240)));
    assert_false(derive_can_name(tarn_bytes_of(longest, 241)));

    expect_refused(&set, "a", (uint64_t)BT_PIECES_MAX * 16384 + 1, TARN_E_POLICY,
                   "gets longer pieces");
    expect_refused(&set, "a", UINT64_MAX, TARN_E_POLICY, "gets longer pieces");
    set.format = BT_HYBRID; /* 52 bytes a piece */
    expect_refused(&set, "a", (uint64_t)1400000 * 16384, TARN_E_POLICY, "larger than 64 MiB");
    set.piece_len = 20000;
    assert_null(derive_new(&set, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    set.piece_len = 16384;
    set.n_trackers = BT_TRACKERS_MAX + 1;
    assert_null(derive_new(&set, &err));
    assert_int_equal(err.code, TARN_E_USAGE);
    set.n_trackers = 0;

    struct derive *d = derive_new(&set, &err);
    struct derive_file f = { .path = tarn_bytes_str("b"), .len = 0 };
    struct tarn_out o;
    struct bt_hashes hashes;
    tarn_out_init(&o, 100);
    assert_false(derive_torrent(d, &o, &hashes, &err)); /* no file */
    assert_int_equal(err.code, TARN_E_USAGE);
    assert_true(derive_begin(d, &f, &err) && derive_end(d, &err));
    assert_false(derive_begin(d, &f, &err)); /* the same again */
    f.path = tarn_bytes_str("a");
    assert_false(derive_begin(d, &f, &err)); /* out of order */
    assert_int_equal(err.code, TARN_E_USAGE);
    f = (struct derive_file){
        .path = tarn_bytes_str("c"), .len = 1, .root = hash, .tail = hash, .tail_padded = hash
    };
    assert_true(derive_begin(d, &f, &err) && derive_end(d, &err));
    assert_false(derive_torrent(d, &o, &hashes, &err)); /* more than o takes */
    assert_int_equal(err.code, TARN_E_POLICY);
    tarn_out_release(&o);
    derive_free(d);
}

/* What is asked for at a file of just a piece, one byte less and one more. */
static void test_wants(void **state)
{
    (void)state;
    struct derive_settings set = { .format = BT_HYBRID,
                                   .name = tarn_bytes_str("n"),
                                   .piece_len = 32768 };
    struct derive *d = derive_new(&set, NULL);
    assert_non_null(d);
    assert_false(derive_wants_leaves(d, 32768)); /* its root is its only piece's */
    assert_true(derive_wants_leaves(d, 32769));
    assert_false(derive_wants_pieces(d, 32767)); /* its tail is all of it */
    assert_true(derive_wants_pieces(d, 32768));
    derive_free(d);
}

/* The limits are for all files together; and no file has more hashes than its length. */
static void test_too_many(void **state)
{
    (void)state;
    static const uint8_t hashes[3 * 20];
    struct tarn_err err = { 0 };
    struct derive_settings set = { .format = BT_V1,
                                   .name = tarn_bytes_str("n"),
                                   .piece_len = 16384 };
    struct derive *d = derive_new(&set, &err);
    assert_non_null(d);
    struct derive_file f = { .path = tarn_bytes_str("a"), .len = 2 * 16384, .root = hashes };
    assert_true(derive_begin(d, &f, &err));
    assert_true(derive_pieces(d, hashes, 2, &err));
    assert_false(derive_pieces(d, hashes, 1, &err));
    assert_int_equal(err.code, TARN_E_INTEGRITY);
    assert_true(derive_end(d, &err));
    f.path = tarn_bytes_str("b");
    f.len = (uint64_t)(BT_PIECES_MAX - 1) * 16384;
    assert_false(derive_begin(d, &f, &err));
    assert_int_equal(err.code, TARN_E_POLICY);
    assert_non_null(strstr(err.msg, "these pieces are more than"));
    derive_free(d);
}

static void test_no_memory(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct made m;
    make(&m, "f", 200000, 32768, &seed);
    struct derive_settings set = { .format = BT_HYBRID,
                                   .name = tarn_bytes_str("n"),
                                   .piece_len = 32768 };
    bool ok = false;
    for (size_t n = 0; !ok; n++) {
        struct tarn_err err = { 0 };
        struct tarn_out o;
        struct bt_hashes hashes;
        tarn_out_init(&o, BT_TORRENT_MAX);
        test_mem_fail_after(n);
        struct derive *d = derive_new(&set, &err);
        ok = d != NULL && feed(d, &m, false, 32768, &seed, &err) &&
             derive_torrent(d, &o, &hashes, &err);
        test_mem_normal();
        assert_true(ok || err.code == TARN_E_NO_MEMORY);
        derive_free(d);
        tarn_out_release(&o);
        assert_true(n < 100);
    }
    made_release(&m);
}

TEST_MAIN(cmocka_unit_test(test_too_long), cmocka_unit_test(test_torrents),
          cmocka_unit_test(test_wrong_hashes), cmocka_unit_test(test_deepest),
          cmocka_unit_test(test_refused), cmocka_unit_test(test_wants),
          cmocka_unit_test(test_too_many), cmocka_unit_test(test_no_memory))
