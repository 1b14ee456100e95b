#include "bt/core/create.h"

#include "base/num.h"
#include "base/test/test.h"
#include "bt/core/test/invariants.h"
#include "crypt/merkle.h"

static void test_piece_len(void **state)
{
    (void)state;
    static const struct {
        uint64_t total;
        uint32_t len;
    } rows[] = {
        { 0, 16384 },
        { 2684354, 16384 },
        { 2684355, 32768 },
        { 10737418, 32768 },
        { 42949672, 65536 },
        { 43000000, 131072 },
        { 170000000, 131072 },
        { 680000000, 262144 },
        { (uint64_t)2700 * 1000 * 1000, 524288 },
        { (uint64_t)10 << 30, 1 << 20 },
        { (uint64_t)40 << 30, 2 << 20 },
        { (uint64_t)160 << 30, 4 << 20 },
        { (uint64_t)650 << 30, 8 << 20 },
        { (uint64_t)700 << 30, 16 << 20 },
        { UINT64_MAX, 16 << 20 },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++)
        assert_int_equal(bt_create_piece_len(rows[i].total), rows[i].len);
}

static void test_piece_len_ok(void **state)
{
    (void)state;
    static const struct {
        enum bt_format format;
        uint64_t len, total;
        const char *msg;
    } rows[] = {
        { BT_V1, 1, 1, NULL },
        { BT_V1, 100000, 1, NULL },
        { BT_V1, BT_PIECE_LEN_MAX, 1, NULL },
        { BT_V2, 16384, 1, NULL },
        { BT_HYBRID, 1 << 28, 1, NULL },
        { BT_V1, 16384, (uint64_t)16384 << 21, NULL },
        { BT_V1, 0, 1, "a piece length of 0 bytes is not from 1 to 536854528" },
        { BT_V1, (uint64_t)1 << 32, 1,
          "a piece length of 4294967296 bytes is not from 1 to 536854528" },
        { BT_V2, 8192, 1,
          "a piece length of 8192 bytes is not a power of two from 16 KiB, as v2 and hybrid "
          "torrents "
          "need" },
        { BT_HYBRID, 100000, 1,
          "a piece length of 100000 bytes is not a power of two from 16 KiB, as v2 and hybrid "
          "torrents need" },
        { BT_V1, 16384, ((uint64_t)16384 << 21) + 1,
          "32 GiB in pieces of 16384 bytes are more than 2097152 pieces: take longer ones" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct tarn_err err = { .code = TARN_OK };
        bool ok = bt_create_piece_len_ok(rows[i].format, rows[i].len, rows[i].total, &err);
        assert_int_equal(ok, rows[i].msg == NULL);
        if (!ok) {
            assert_int_equal(err.code, TARN_E_USAGE);
            assert_string_equal(err.msg, rows[i].msg);
        }
    }
}

static void test_order(void **state)
{
    (void)state;
    /* a tree is written element by element: "a/b" lies in "a", which stands before "a!" */
    static const char *const sorted[] = { "",   "A",   "a",  "a/b", "a/b/c",   "a/c",
                                          "a!", "a.b", "aa", "b/a", "\xc3\xa9" };
    for (size_t i = 0; i < TARN_COUNT_OF(sorted); i++)
        for (size_t k = 0; k < TARN_COUNT_OF(sorted); k++) {
            int order = bt_create_order(tarn_bytes_str(sorted[i]), tarn_bytes_str(sorted[k]));
            assert_int_equal(order, i < k ? -1 : i > k);
        }
}

static void test_pad(void **state)
{
    (void)state;
    assert_int_equal(bt_create_pad(BT_HYBRID, 1, 16384, false), 16383);
    assert_int_equal(bt_create_pad(BT_HYBRID, 16384, 16384, false), 0);
    assert_int_equal(bt_create_pad(BT_HYBRID, 0, 16384, false), 0);
    assert_int_equal(bt_create_pad(BT_HYBRID, 1, 16384, true), 0);
    assert_int_equal(bt_create_pad(BT_V1, 1, 16384, false), 0);
    assert_int_equal(bt_create_pad(BT_V2, 1, 16384, false), 0);
}

static void expect(const struct bt_new *t, const char *text)
{
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    bt_create_write(t, &o);
    if (!tarn_bytes_eq_str(tarn_out_bytes(&o), text))
        fail_msg("%.*s\ninstead of\n%s", (int)o.len, (const char *)o.p, text);
    tarn_out_release(&o);
}

#define ROOT "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
#define SHA1 "hhhhhhhhhhhhhhhhhhhh"

static void test_words(void **state)
{
    (void)state;
    const uint8_t *root = (const uint8_t *)ROOT, *sha1 = (const uint8_t *)SHA1;
    const char *trackers[] = { "http://t/", "udp://u:1" };
    const char *seeds[] = { "http://w/" };
    struct bt_new_file single = { .len = 5, .is_executable = true, .root = root };
    struct bt_new t = {
        .format = BT_V1,
        .name = tarn_bytes_str("n"),
        .is_single_file = true,
        .files = &single,
        .n_files = 1,
        .piece_len = 16384,
        .pieces = sha1,
        .n_pieces = 1,
        .created_at = -1,
    };
    expect(&t, "d4:infod4:attr1:x6:lengthi5e4:name1:n12:piece lengthi16384e6:pieces20:" SHA1 "ee");
    t.format = BT_V2;
    expect(&t, "d4:infod9:file treed1:nd0:d4:attr1:x6:lengthi5e11:pieces root32:" ROOT
               "eee12:meta versioni2e4:name1:n12:piece lengthi16384ee12:piece layersdee");
    t.format = BT_HYBRID;
    t.trackers = trackers;
    t.n_trackers = 2;
    t.web_seeds = seeds;
    t.n_web_seeds = 1;
    t.source = "S";
    t.comment = "C";
    t.created_by = "B";
    t.created_at = 7;
    t.is_private = true;
    single.is_executable = false;
    expect(
        &t,
        "d8:announce9:http://t/13:announce-listll9:http://t/el9:udp://u:1ee7:comment1:C10:created "
        "by1:B13:creation datei7e4:infod9:file treed1:nd0:d6:lengthi5e11:pieces root32:" ROOT
        "eee6:lengthi5e12:meta versioni2e4:name1:n12:piece lengthi16384e6:pieces20:" SHA1
        "7:privatei1e6:source1:Se12:piece layersde8:url-listl9:http://w/ee");

    struct bt_new_file many[] = {
        { .path = tarn_bytes_str("a/b/c"), .len = 1, .root = root },
        { .path = tarn_bytes_str("a/b/d"), .len = 0 },
        { .path = tarn_bytes_str("a/e"), .len = 16384, .root = root },
        { .path = tarn_bytes_str("x/y/z"), .len = 2, .root = root, .is_executable = true },
    };
    t = (struct bt_new){
        .format = BT_HYBRID,
        .name = tarn_bytes_str("n"),
        .files = many,
        .n_files = 4,
        .piece_len = 16384,
        .pieces = sha1,
        .n_pieces = 1,
        .created_at = -1,
    };
    expect(&t,
           "d4:infod9:file treed1:ad1:bd1:cd0:d6:lengthi1e11:pieces root32:" ROOT
           "ee1:dd0:d6:lengthi0eeee1:ed0:d6:lengthi16384e11:pieces root32:" ROOT
           "eee1:xd1:yd1:zd0:d4:attr1:x6:lengthi2e11:pieces root32:" ROOT
           "eeeee5:filesld6:lengthi1e4:pathl1:a1:b1:ceed4:attr1:p6:lengthi16383e4:pathl4:."
           "pad5:16383eed6:lengthi0e4:pathl1:a1:b1:deed6:lengthi16384e4:pathl1:a1:eeed4:attr1:"
           "x6:lengthi2e4:pathl1:x1:y1:zeed4:attr1:p6:lengthi16382e4:pathl4:.pad5:16382eee12:"
           "meta versioni2e4:name1:n12:piece lengthi16384e6:pieces20:" SHA1 "e12:piece layersdee");
}

enum { FILES_MAX = 40, LAYER_MAX = 40 };

/* Random files for a torrent: sorted, no path within another. */
struct random_torrent {
    char paths[FILES_MAX][64];
    struct bt_new_file files[FILES_MAX];
    uint8_t roots[FILES_MAX][MERKLE_HASH];
    uint8_t layers[FILES_MAX][LAYER_MAX * MERKLE_HASH];
    uint8_t pieces[FILES_MAX * (LAYER_MAX + 1) * 20];
    struct bt_new t;
};

static int by_order(const void *a, const void *b)
{
    return bt_create_order(tarn_bytes_str(a), tarn_bytes_str(b));
}

static uint32_t random_paths(struct random_torrent *r, uint64_t *seed)
{
    uint32_t n = 2 + (uint32_t)test_rand_below(seed, FILES_MAX - 1);
    for (uint32_t i = 0; i < n; i++) {
        int len = 0;
        for (uint64_t k = 1 + test_rand_below(seed, 4); k > 0; k--)
            len += snprintf(r->paths[i] + len, sizeof r->paths[i] - (size_t)len, "%s%c%llu",
                            len == 0 ? "" : "/", (int)('a' + test_rand_below(seed, 3)),
                            (unsigned long long)test_rand_below(seed, 3));
    }
    qsort(r->paths, n, sizeof r->paths[0], by_order);
    uint32_t kept = 1;
    for (uint32_t i = 1; i < n; i++) {
        size_t len = strlen(r->paths[kept - 1]);
        if (strncmp(r->paths[kept - 1], r->paths[i], len) == 0 &&
            (r->paths[i][len] == '\0' || r->paths[i][len] == '/'))
            continue;
        memmove(r->paths[kept++], r->paths[i], sizeof r->paths[i]);
    }
    return kept;
}

static void random_file(struct random_torrent *r, uint32_t i, uint64_t *seed)
{
    struct bt_new_file *f = &r->files[i];
    uint32_t piece_len = r->t.piece_len;
    *f = (struct bt_new_file){ .path = tarn_bytes_str(r->paths[i]) };
    f->len = test_rand_below(seed, 4) == 0 ? 0 : test_rand_below(seed, (uint64_t)piece_len * 30);
    if (test_rand_below(seed, 4) == 0)
        f->len = f->len / piece_len * piece_len;
    if (i == 0 && f->len == 0)
        f->len = 1;
    f->is_executable = test_rand_below(seed, 2) == 0;
    uint64_t n = tarn_div_up_u64(f->len, piece_len);
    for (size_t k = 0; k < n * MERKLE_HASH; k++)
        r->layers[i][k] = (uint8_t)test_rand(seed);
    uint8_t work[LAYER_MAX * MERKLE_HASH];
    memcpy(work, r->layers[i], sizeof work);
    if (f->len > piece_len) {
        merkle_root(work, n, tarn_pow2_up_u64(n), tarn_log2_u64(piece_len / BT_BLOCK), r->roots[i]);
        f->layer = r->layers[i];
    } else {
        memcpy(r->roots[i], work, MERKLE_HASH);
    }
    f->root = f->len > 0 ? r->roots[i] : NULL;
}

static void random_torrent(struct random_torrent *r, enum bt_format format, uint64_t *seed)
{
    r->t = (struct bt_new){
        .format = format,
        .name = tarn_bytes_str("top"),
        .files = r->files,
        .piece_len = (uint32_t)BT_BLOCK << test_rand_below(seed, 4),
        .pieces = r->pieces,
        .created_at = -1,
        .is_single_file = test_rand_below(seed, 4) == 0,
    };
    r->t.n_files = r->t.is_single_file ? 1 : random_paths(r, seed);
    uint64_t total = 0;
    for (uint32_t i = 0; i < r->t.n_files; i++) {
        random_file(r, i, seed);
        if (r->t.is_single_file)
            r->files[i].path = tarn_bytes_of(NULL, 0);
        uint64_t len = r->files[i].len;
        total += len + bt_create_pad(format, len, r->t.piece_len, r->t.is_single_file);
    }
    r->t.n_pieces = (uint32_t)tarn_div_up_u64(total, r->t.piece_len);
    for (size_t i = 0; i < (size_t)r->t.n_pieces * 20; i++)
        r->pieces[i] = (uint8_t)test_rand(seed);
}

static void check_file(const struct bt_new *t, const struct bt_new_file *want,
                       const struct bt_file *got)
{
    bool has_v2 = (t->format & BT_V2) != 0;
    assert_true(t->is_single_file ? strcmp(got->path, "top") == 0
                                  : tarn_bytes_eq_str(want->path, got->path + strlen("top/")));
    assert_int_equal(got->len, want->len);
    assert_int_equal(got->is_executable, want->is_executable);
    assert_int_equal(got->root != NULL, has_v2 && want->len > 0);
    if (got->root != NULL)
        assert_memory_equal(got->root, want->root, MERKLE_HASH);
    assert_int_equal(got->layer != NULL, has_v2 && want->len > t->piece_len);
    if (got->layer != NULL)
        assert_memory_equal(got->layer, want->layer,
                            tarn_div_up_u64(want->len, t->piece_len) * MERKLE_HASH);
}

/* What is created is what is read. */
static void test_random(void **state)
{
    (void)state;
    static struct random_torrent r;
    uint64_t seed = test_seed();
    struct tarn_out o, again;
    tarn_out_init(&o, TARN_MIB);
    tarn_out_init(&again, TARN_MIB);
    for (unsigned round = 0; round < 600; round++) {
        struct bt_metainfo m;
        struct tarn_err err;
        random_torrent(&r, (enum bt_format)(1 + round % 3), &seed);
        tarn_out_clear(&o);
        tarn_out_clear(&again);
        bt_create_write(&r.t, &o);
        if (!bt_metainfo_parse(&m, tarn_out_bytes(&o), &err))
            fail_msg("round %u: %s", round, err.msg);
        const char *broken = metainfo_fault(&m);
        if (broken != NULL)
            fail_msg("round %u: %s", round, broken);
        assert_int_equal(m.lax, 0);
        assert_int_equal(m.n_real_files, r.t.n_files);
        assert_int_equal(m.piece_len, r.t.piece_len);
        assert_true(m.hashes.has_v1 == ((r.t.format & BT_V1) != 0));
        assert_true(m.hashes.has_v2 == ((r.t.format & BT_V2) != 0));
        assert_true(m.hashes.has_v2 == false || m.has_all_layers);
        if (m.pieces != NULL)
            assert_memory_equal(m.pieces, r.pieces, (size_t)r.t.n_pieces * 20);
        for (uint32_t i = 0, k = 0; i < m.n_files; i++)
            if (!m.files[i].is_pad)
                check_file(&r.t, &r.files[k++], &m.files[i]);
        bt_metainfo_write(&m, &again);
        assert_true(tarn_bytes_eq(tarn_out_bytes(&o), tarn_out_bytes(&again)));
        bt_metainfo_release(&m);
    }
    tarn_out_release(&o);
    tarn_out_release(&again);
}

static void test_no_memory(void **state)
{
    (void)state;
    static struct random_torrent r;
    uint64_t seed = 3;
    random_torrent(&r, BT_HYBRID, &seed);
    struct tarn_out whole;
    tarn_out_init(&whole, TARN_MIB);
    bt_create_write(&r.t, &whole);
    bool done = false;
    for (size_t n = 0; !done; n++) {
        struct tarn_out o;
        tarn_out_init(&o, TARN_MIB);
        test_mem_fail_after(n);
        bt_create_write(&r.t, &o);
        test_mem_normal();
        done = tarn_out_ok(&o);
        assert_true(!done || tarn_bytes_eq(tarn_out_bytes(&o), tarn_out_bytes(&whole)));
        tarn_out_release(&o);
    }
    tarn_out_release(&whole);
}

TEST_MAIN(cmocka_unit_test(test_piece_len), cmocka_unit_test(test_piece_len_ok),
          cmocka_unit_test(test_order), cmocka_unit_test(test_pad), cmocka_unit_test(test_words),
          cmocka_unit_test(test_random), cmocka_unit_test(test_no_memory))
