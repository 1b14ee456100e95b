#include "bt/core/metainfo.h"

#include "base/num.h"
#include "base/test/test.h"
#include "bt/core/test/invariants.h"
#include "crypt/merkle.h"
#include "crypt/sha.h"

#define SHA1 "hhhhhhhhhhhhhhhhhhhh"
#define ROOT "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
/* The end of a small v1 info, and of a v2 one. */
#define V1 "4:name1:n12:piece lengthi16384e6:pieces20:" SHA1 "e"
#define V2 "12:meta versioni2e4:name1:n12:piece lengthi16384ee"

static bool parse(struct bt_metainfo *m, const char *text, struct tarn_err *err)
{
    return bt_metainfo_parse(m, tarn_bytes_str(text), err);
}

/* Refusals that no vector shows. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } rows[] = {
        { "i1e", "not a torrent: a number instead of a dictionary" },
        { "de", "there is no info dictionary (info is missing)" },
        { "d4:infod6:lengthi1e" V1 "12:piece layersde12:piece layersdee",
          "piece layers stands twice: it is not clear which one is meant" },
        { "d4:infod5:filesi1e" V1 "e", "info.files is not a list" },
        { "d4:infod5:filesli1ee" V1 "e", "info.files[0] is not a dictionary" },
        { "d4:infod5:filesld4:pathl1:aeee" V1 "e", "info.files[0].length is missing, not a file "
                                                   "length (a number from 0 to 17592186028031)" },
        { "d4:infod5:filesld6:lengthi1e4:path1:aee" V1 "e",
          "info.files[0] has no path (a list of names)" },
        { "d4:infod5:filesld6:lengthi1e4:pathl1:aeed4:attr2:plee" V1 "e", /* found by fuzzing */
          "info.files[1] has no path (a list of names)" },
        { "d4:infod5:filesld4:attr1:p6:lengthi1eee" V1 "e", "info.files holds no files" },
        { "d4:infod6:lengthi1e4:name1:n12:piece lengthi16384e6:piecesle5:pieceee",
          "not a torrent, or a damaged one: byte 67: 'e' where the value of a dictionary's key "
          "should be" },
        { "d4:infod6:lengthi1e12:meta versioni2e9:file treede4:name1:n12:piece lengthi16384eee",
          "info is not canonical bencoding (keys are not sorted), which meta version 2 needs" },
        { "d4:infod9:file treed1:ai1ee" V2 "e", "info.file tree: 'n/a' is not a dictionary" },
        { "d4:infod9:file treed1:ad0:i1eee" V2 "e", "info.file tree: 'a' is not a dictionary" },
        { "d4:infod9:file treed1:ad0:deee" V2 "e",
          "info.file tree: a.length is missing, not a file length (a number from 0 to "
          "17592186028031)" },
        { "d4:infod9:file treed1:ad0:d6:lengthi0eeee" V2 "e",
          "all its files are empty: there is nothing to share" },
        { "d4:infod9:file treei1e" V2 "e", "info has no file tree, which meta version 2 needs" },
        { "d4:infod9:file treed1:ad0:d6:lengthi1e11:pieces root32:" ROOT "eee"
          "12:meta versioni2e4:name1:n12:piece lengthi16384e6:pieces20:" SHA1 "ee",
          "info has neither length nor files" },
        { "d4:infod9:file treed1:nd0:d6:lengthi1e11:pieces root32:" ROOT "eee"
          "6:lengthi1e12:meta versioni2e4:name1:n12:piece lengthi16384eee",
          "info has no pieces (a string of SHA-1 hashes)" },
        { "d4:infod9:file treed1:nd0:d6:lengthi1e11:pieces root32:" ROOT "ee"
          "1:od0:d6:lengthi1e11:pieces root32:" ROOT "eee"
          "6:lengthi1e12:meta versioni2e4:name1:n12:piece lengthi16384e6:pieces20:" SHA1 "ee",
          "the v1 and v2 files of this hybrid torrent differ: v1 has 'n' (1 bytes at 0) where v2 "
          "has "
          "'n/n' (1 bytes at 0)" },
        { "d4:infod9:file treed1:ad0:d6:lengthi1e11:pieces root32:" ROOT "ee"
          "1:bd0:d6:lengthi1e11:pieces root32:" ROOT "eee5:filesld6:lengthi1e4:pathl1:aeee"
          "12:meta versioni2e4:name1:n12:piece lengthi16384e6:pieces20:" SHA1 "ee",
          "the v1 and v2 files of this hybrid torrent differ: only v2 has 'n/b'" },
        { "d4:infod9:file treed1:ad0:d6:lengthi1e11:pieces root32:" ROOT "eee5:filesl"
          "d6:lengthi1e4:pathl1:aeed4:attr1:p6:lengthi16383eed6:lengthi1e4:pathl1:beee"
          "12:meta versioni2e4:name1:n12:piece lengthi16384e6:pieces40:" SHA1 SHA1 "ee",
          "the v1 and v2 files of this hybrid torrent differ: only v1 has 'n/b'" },
        { "d4:infod9:file treed1:ad0:d6:lengthi1e11:pieces root32:" ROOT "eee5:filesl"
          "d6:lengthi1e4:pathl1:aeed4:attr1:p6:lengthi5eee"
          "12:meta versioni2e4:name1:n12:piece lengthi16384e6:pieces20:" SHA1 "ee",
          "the v1 and v2 files of this hybrid torrent differ: v1 ends at 6, v2 at 1" },
        { "d4:infod9:file treed1:nd0:d6:lengthi1e11:pieces root32:" ROOT "eee" V2
          "12:piece layersd32:" ROOT "32:" ROOT "32:" ROOT "0:ee",
          "piece layers: the layer of root "
          "7272727272727272727272727272727272727272727272727272727272727272 stands twice" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++) {
        struct bt_metainfo m = { .n_files = 77 };
        struct tarn_err err = { .code = TARN_OK };
        if (parse(&m, rows[i].text, &err))
            fail_msg("row %zu was accepted", i);
        assert_int_equal(err.code, TARN_E_FAILED);
        assert_string_equal(err.msg, rows[i].msg);
        assert_int_equal(m.n_files, 77);
        assert_false(parse(&m, rows[i].text, NULL));
    }
}

static void test_sizes(void **state)
{
    (void)state;
    struct bt_metainfo m;
    struct tarn_err err;
    /* neither is looked into */
    assert_false(bt_metainfo_parse(&m, tarn_bytes_of("", BT_TORRENT_MAX + 1), &err));
    assert_string_equal(err.msg, "a torrent of 67108865 bytes is larger than 67108864");
    assert_false(bt_metainfo_parse_info(&m, tarn_bytes_of("", BT_INFO_MAX + 1), &err));
    assert_string_equal(err.msg, "an info dictionary of 33554433 bytes is larger than 33554432");
}

static void test_info_alone(void **state)
{
    (void)state;
    static const char info[] = "d6:lengthi5e" V1;
    struct bt_metainfo m;
    struct tarn_err err;
    uint8_t sha1[20];
    assert_true(bt_metainfo_parse_info(&m, tarn_bytes_str(info), &err));
    crypt_hash(CRYPT_SHA1, tarn_bytes_str(info), sha1);
    assert_memory_equal(m.hashes.v1, sha1, 20);
    assert_true(m.is_single_file && m.has_all_layers && m.created_at == -1);
    bt_metainfo_release(&m);
    bt_metainfo_release(&m);
    assert_false(bt_metainfo_parse_info(&m, tarn_bytes_str("d6:lengthi5e" V1 "x"), &err));
    assert_string_equal(err.msg, "1 bytes follow the info dictionary");
    assert_false(bt_metainfo_parse_info(&m, tarn_bytes_str("le"), &err));
    assert_string_equal(err.msg, "not an info dictionary: a list");
    assert_false(bt_metainfo_parse_info(&m, tarn_bytes_str("d"), &err));
    assert_string_equal(err.msg, "not an info dictionary: byte 1: the data end in the middle of a "
                                 "value (truncated?)");
}

static void test_outer(void **state)
{
    (void)state;
    struct bt_metainfo m;
    struct tarn_err err;
    static const char text[] =
        "d8:announce8:http://x13:announce-listl"
        "l10: udp://a:19:http://b\ne" /* white space is trimmed */
        "l6:ftp://e"                  /* nothing left: no tier */
        "l8:http://b8:http://ce"      /* http://b is known already */
        "8:http://d"                  /* a string where a list should be */
        "e7:comment3:old13:comment.utf-85:\xc3\xa9\xff\x00z10:created by1:B13:creation datei-5e"
        "8:encoding3:GBK9:httpseedsl8:http://ee4:infod6:lengthi5e"
        "4:name1:n12:piece lengthi16384e6:pieces20:" SHA1 "6:source1:Se5:nodesl"
        "l1:ai1eel3:::1i2eel1:ai0eel1:ai65536eel3:a/bi1eel1:aei5el1:ai1eee"
        "6:zigzagli1ee8:url-list8:http://f4:alsoi1ee";
    bool ok = bt_metainfo_parse(&m, tarn_bytes_of(text, sizeof text - 1), &err);
    if (!ok)
        fail_msg("%s", err.msg);
    static const struct bt_tracker trackers[] = {
        { "udp://a:1", 0 }, { "http://b", 0 }, { "http://c", 1 }, { "http://d", 2 }
    };
    assert_int_equal(m.n_trackers, TARN_COUNT_OF(trackers));
    for (size_t i = 0; i < m.n_trackers; i++) {
        assert_string_equal(m.trackers[i].url, trackers[i].url);
        assert_int_equal(m.trackers[i].tier, trackers[i].tier);
    }
    assert_string_equal(m.comment, "\xc3\xa9\xef\xbf\xbd\xef\xbf\xbdz");
    assert_string_equal(m.created_by, "B");
    assert_string_equal(m.source, "S");
    assert_true(m.created_at == -1);
    assert_int_equal(m.n_http_seeds, 1);
    assert_int_equal(m.n_web_seeds, 1);
    assert_string_equal(m.web_seeds[0], "http://f");
    assert_int_equal(m.n_nodes, 2);
    assert_string_equal(m.nodes[0], "a:1");
    assert_string_equal(m.nodes[1], "[::1]:2");
    assert_int_equal(m.n_extras, 3); /* also, encoding, zigzag */
    assert_true(tarn_bytes_eq_str(m.extras[0].key, "also"));
    assert_true(tarn_bytes_eq_str(m.extras[2].value, "li1ee"));

    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    bt_metainfo_write(&m, &o);
    static const char again[] =
        "d4:alsoi1e8:announce9:udp://a:113:announce-listll9:udp://a:18:http://bel8:http://cel8:"
        "http://dee7:comment9:\xc3\xa9\xef\xbf\xbd\xef\xbf\xbdz10:created by1:B8:encoding3:GBK9:"
        "httpseedsl8:http://ee4:infod6:lengthi5e4:name1:n12:piece lengthi16384e6:pieces20:" SHA1
        "6:source1:Se5:nodesll1:ai1eel3:::1i2eee8:url-listl8:http://fe6:zigzagli1eee";
    if (!tarn_bytes_eq_str(tarn_out_bytes(&o), again))
        fail_msg("%.*s", (int)o.len, (const char *)o.p);
    tarn_out_release(&o);
    bt_metainfo_release(&m);
}

static void test_announce_alone(void **state)
{
    (void)state;
    struct bt_metainfo m;
    assert_true(
        parse(&m, "d8:announce8:http://x13:announce-listl0:le1:xe4:infod6:lengthi5e" V1 "e", NULL));
    assert_int_equal(m.n_trackers, 1);
    assert_string_equal(m.trackers[0].url, "http://x");
    bt_metainfo_release(&m);
    assert_true(parse(&m, "d8:announce4:what4:infod6:lengthi5e" V1 "e", NULL));
    assert_int_equal(m.n_trackers, 0);
    bt_metainfo_release(&m);
}

static void test_private(void **state)
{
    (void)state;
    struct bt_metainfo m;
    assert_true(parse(&m,
                      "d4:infod6:lengthi5e4:name1:n12:piece lengthi16384e6:pieces20:" SHA1
                      "7:privatei1ee5:nodesll1:ai1eeee",
                      NULL));
    assert_true(m.is_private);
    assert_int_equal(m.n_nodes, 0);
    bt_metainfo_release(&m);
    assert_true(parse(
        &m, "d4:infod6:lengthi5e4:name1:n12:piece lengthi16384e6:pieces20:" SHA1 "7:private1:1ee",
        NULL));
    assert_false(m.is_private); /* not a number */
    bt_metainfo_release(&m);
}

static void test_attributes(void **state)
{
    (void)state;
    struct bt_metainfo m;
    struct tarn_err err;
    /* a pad is one by attribute or by BitComet's name; unknown letters mean nothing */
    if (!parse(&m,
               "d4:infod5:filesl"
               "d4:attr3:xhz6:lengthi1e4:pathl1:aee"
               "d4:attr1:p6:lengthi2ee"
               "d6:lengthi3e4:pathl23:_____padding_file_0_b__ee"
               "d4:attr1:l6:lengthi99e4:pathl1:le12:symlink pathl1:aee"
               "d4:attr1:l4:pathl1:kee"
               "e" V1 "e",
               &err))
        fail_msg("%s", err.msg);
    assert_int_equal(m.n_files, 5);
    assert_int_equal(m.n_real_files, 3);
    assert_int_equal(m.payload, 1);
    assert_int_equal(m.total, 6);
    assert_true(m.files[0].is_executable && m.files[0].is_hidden && !m.files[0].is_pad);
    assert_true(m.files[1].is_pad && m.files[2].is_pad);
    assert_string_equal(m.files[2].path, "n/.pad/3");
    assert_true(m.files[3].is_symlink && m.files[3].len == 0);
    assert_string_equal(m.files[3].symlink_target, "n/a");
    assert_true(m.files[4].is_symlink && m.files[4].symlink_target == NULL);
    bt_metainfo_release(&m);

    assert_true(parse(&m, "d4:infod4:attr3:plx6:lengthi1e" V1 "e", &err)); /* a single file */
    assert_true(m.files[0].is_executable && !m.files[0].is_pad && !m.files[0].is_symlink);
    bt_metainfo_release(&m);
}

static void test_warnings(void **state)
{
    (void)state;
    struct bt_metainfo m;
    assert_true(parse(&m, "d4:infod6:lengthi05e" V1 "ejunk", NULL));
    assert_true(m.has_trailing);
    assert_int_equal(m.lax, BENC_SOFT_NUMBER);
    bt_metainfo_release(&m);
    assert_true(parse(&m, "d4:infod6:lengthi5e" V1 "e", NULL));
    assert_false(m.has_trailing);
    assert_int_equal(m.lax, 0);
    bt_metainfo_release(&m);
}

/* A hybrid of two files, one of 100 pieces with a layer, one of half a piece; with everything that
 * takes memory. The layer's place in the text is returned. */
static const uint8_t *put_hybrid(struct tarn_out *o, bool with_layer, uint8_t layer[100 * 32])
{
    uint8_t root[32], work[100 * 32];
    for (size_t i = 0; i < sizeof work; i++)
        work[i] = layer[i] = (uint8_t)(i * 7 + i / 32);
    merkle_root(work, 100, 128, 1, root);
    tarn_out_str(o, "d8:announce8:http://a13:announce-listll8:http://bee7:comment1:c10:created "
                    "by1:b4:infod9:file treed3:bigd0:d6:lengthi3276800e11:pieces root32:");
    tarn_out_put(o, tarn_bytes_of(root, 32));
    tarn_out_str(o, "ee5:smalld0:d6:lengthi20000e11:pieces root32:" ROOT "eee5:filesl"
                    "d6:lengthi3276800e4:pathl3:bigeed6:lengthi20000e4:pathl5:smallee"
                    "d6:lengthi0e4:pathl3:bigee" /* taken */
                    "d4:attr1:l4:pathl4:linke12:symlink pathl3:bigee"
                    "d4:attr1:p6:lengthi12768eee12:meta versioni2e4:name1:n"
                    "12:piece lengthi32768e6:pieces2020:");
    for (int i = 0; i < 101; i++)
        tarn_out_str(o, SHA1);
    tarn_out_str(o, "6:source1:Se5:nodesll1:ai1eee");
    size_t at = 0;
    if (with_layer) {
        tarn_out_str(o, "12:piece layersd32:");
        tarn_out_put(o, tarn_bytes_of(root, 32));
        tarn_out_str(o, "3200:");
        at = o->len;
        tarn_out_put(o, tarn_bytes_of(layer, 3200));
        tarn_out_str(o, "e");
    }
    tarn_out_str(o, "8:url-listl8:http://we1:zi1ee");
    return o->p + at;
}

static void test_layers(void **state)
{
    (void)state;
    uint8_t layer[100 * 32];
    struct tarn_out o, written;
    struct bt_metainfo m;
    struct tarn_err err;
    const uint8_t *root;
    uint32_t width, len;
    tarn_out_init(&o, TARN_MIB);
    tarn_out_init(&written, TARN_MIB);
    (void)put_hybrid(&o, false, layer);
    if (!bt_metainfo_parse(&m, tarn_out_bytes(&o), &err))
        fail_msg("%s", err.msg);
    assert_null(metainfo_fault(&m));
    assert_false(m.has_all_layers);
    assert_int_equal(m.n_layers_wanted, 1);
    assert_false(bt_piece_v2(&m, 0, &root, &width));
    assert_true(bt_piece_v2(&m, 100, &root, &width)); /* the small file needs none */
    assert_memory_equal(root, ROOT, 32);
    assert_int_equal(width, 2);
    assert_ptr_equal(bt_piece_file(&m, 100, &len), &m.files[1]);
    assert_int_equal(len, 20000);
    assert_int_equal(bt_piece_len(&m, 100), 32768); /* with its padding */
    assert_false(bt_piece_v2(&m, 101, &root, &width));
    bt_metainfo_write(&m, &written);
    assert_null(memmem(written.p, written.len, "piece layers", 12));

    layer[5] ^= 1;
    assert_false(bt_metainfo_set_layer(&m, 0, layer, &err));
    assert_int_equal(err.code, TARN_E_INTEGRITY);
    assert_string_equal(err.msg, "the piece layer of 'n/big' does not hash to its root");
    layer[5] ^= 1;
    assert_false(bt_metainfo_set_layer(&m, 1, layer, &err));
    assert_string_equal(err.msg, "'n/small' has no piece layer");
    assert_true(bt_metainfo_set_layer(&m, 0, layer, &err));
    assert_true(bt_metainfo_set_layer(&m, 0, layer, &err)); /* twice is no harm */
    assert_true(m.has_all_layers);
    assert_true(bt_piece_v2(&m, 99, &root, &width));
    assert_memory_equal(root, layer + 99 * 32, 32);
    assert_int_equal(width, 2);

    tarn_out_clear(&written);
    bt_metainfo_write(&m, &written);
    bt_metainfo_release(&m);
    assert_true(bt_metainfo_parse(&m, tarn_out_bytes(&written), &err));
    assert_true(m.has_all_layers);
    bt_metainfo_release(&m);
    tarn_out_release(&o);
    tarn_out_release(&written);
}

static void test_truncated(void **state)
{
    (void)state;
    uint8_t layer[100 * 32];
    struct tarn_out o;
    struct bt_metainfo m;
    struct tarn_err err;
    tarn_out_init(&o, TARN_MIB);
    (void)put_hybrid(&o, true, layer);
    assert_true(bt_metainfo_parse(&m, tarn_out_bytes(&o), &err));
    bt_metainfo_release(&m);
    for (size_t len = 0; len < o.len; len++) {
        assert_false(bt_metainfo_parse(&m, tarn_bytes_of(o.p, len), &err));
        assert_non_null(strstr(err.msg, "truncated?"));
    }
    tarn_out_release(&o);
}

static void test_no_memory(void **state)
{
    (void)state;
    uint8_t layer[100 * 32];
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    (void)put_hybrid(&o, true, layer);
    bool done = false;
    size_t n = 0;
    for (; !done; n++) {
        struct bt_metainfo m = { .n_files = 0 };
        struct tarn_err err = { .code = TARN_OK };
        test_mem_fail_after(n);
        done = bt_metainfo_parse(&m, tarn_out_bytes(&o), &err);
        test_mem_normal();
        assert_int_equal(err.code, done ? TARN_OK : TARN_E_NO_MEMORY);
        bt_metainfo_release(&m);
    }
    assert_true(n > 20);
    tarn_out_release(&o);
}

/* What v1's info needs after its files. */
static void end_v1(struct tarn_out *o, uint64_t total)
{
    uint64_t n = tarn_div_up_u64(total, 16384);
    tarn_out_str(o, "e4:name1:n12:piece lengthi16384e6:pieces");
    tarn_out_fmt(o, "%llu:", (unsigned long long)n * 20);
    uint8_t *room = tarn_out_room(o, n * 20);
    assert_non_null(room);
    memset(room, 'h', n * 20);
    tarn_out_str(o, "ee");
}

/* Torrents made to be slow or large are read, or refused, in about the time that honest ones of
 * their size take. */
static void test_hostile_lists(void **state)
{
    (void)state;
    enum { N = 60000 };
    struct tarn_out o;
    struct bt_metainfo m;
    struct tarn_err err;
    tarn_out_init(&o, BT_TORRENT_MAX);

    /* the counters that a renamed file would get are all taken */
    tarn_out_str(&o, "d4:infod5:filesl");
    for (int i = 0; i < N; i++)
        tarn_out_fmt(&o, "d6:lengthi1e4:pathl%zu:a.%dee", (size_t)snprintf(NULL, 0, "a.%d", i), i);
    for (int i = 0; i < 101; i++)
        tarn_out_str(&o, "d6:lengthi1e4:pathl1:aee");
    end_v1(&o, N + 101);
    if (!bt_metainfo_parse(&m, tarn_out_bytes(&o), &err))
        fail_msg("%s", err.msg);
    assert_string_equal(m.files[N + 100].path, "n/a.60099");
    assert_null(metainfo_fault(&m));
    bt_metainfo_release(&m);

    /* two deep folders in turns, so that no file shares one with the file before */
    tarn_out_clear(&o);
    tarn_out_str(&o, "d4:infod5:filesl");
    for (int i = 0; i < N / 10; i++) {
        tarn_out_str(&o, "d6:lengthi1e4:pathl");
        for (int k = 0; k < BT_PATH_DEPTH_MAX - 1; k++)
            tarn_out_str(&o, i % 2 == 0 ? "1:a" : "1:b");
        tarn_out_fmt(&o, "%zu:%dee", (size_t)snprintf(NULL, 0, "%d", i), i);
    }
    end_v1(&o, N / 10);
    if (!bt_metainfo_parse(&m, tarn_out_bytes(&o), &err))
        fail_msg("%s", err.msg);
    assert_null(metainfo_fault(&m));
    bt_metainfo_release(&m);

    /* a chain of links, each to the next */
    tarn_out_clear(&o);
    tarn_out_str(&o, "d4:infod5:filesld6:lengthi1e4:pathl1:xee");
    for (int i = 0; i < N; i++) {
        char name[16], target[16];
        snprintf(name, sizeof name, "%d", i);
        snprintf(target, sizeof target, i + 1 < N ? "%d" : "x", i + 1);
        tarn_out_fmt(&o, "d4:attr1:l4:pathl%zu:%se12:symlink pathl%zu:%see", strlen(name), name,
                     strlen(target), target);
    }
    end_v1(&o, 1);
    if (!bt_metainfo_parse(&m, tarn_out_bytes(&o), &err))
        fail_msg("%s", err.msg);
    assert_null(metainfo_fault(&m));
    bt_metainfo_release(&m);
    tarn_out_release(&o);
}

/* A tree whose few bytes stand for very many bytes of paths. */
static void test_hostile_tree(void **state)
{
    (void)state;
    struct tarn_out o;
    struct bt_metainfo m;
    struct tarn_err err;
    tarn_out_init(&o, BT_TORRENT_MAX);
    tarn_out_str(&o, "d4:infod9:file treed");
    for (int i = 0; i < 90; i++) {
        tarn_out_str(&o, "240:");
        memset(tarn_out_room(&o, 240), 'x', 240);
        tarn_out_str(&o, "d");
    }
    for (int i = 10000; i < 30000; i++)
        tarn_out_fmt(&o, "5:%dd0:d6:lengthi0eee", i);
    for (int i = 0; i < 91; i++)
        tarn_out_str(&o, "e");
    tarn_out_str(&o, V2 "e");
    assert_false(bt_metainfo_parse(&m, tarn_out_bytes(&o), &err));
    assert_int_equal(err.code, TARN_E_FAILED);
    assert_non_null(strstr(err.msg, "its files and paths need more than"));
    tarn_out_release(&o);
}

static void test_many_files(void **state)
{
    (void)state;
    enum { N = 200000 };
    struct tarn_out o;
    struct bt_metainfo m;
    struct tarn_err err;
    tarn_out_init(&o, BT_TORRENT_MAX);
    tarn_out_str(&o, "d4:infod5:filesl");
    for (int i = 0; i < N; i++)
        tarn_out_fmt(&o, "d6:lengthi5000e4:pathl4:%04d4:%04dee", i / 100, i % 100);
    end_v1(&o, (uint64_t)N * 5000);
    if (!bt_metainfo_parse(&m, tarn_out_bytes(&o), &err))
        fail_msg("%s", err.msg);
    assert_int_equal(m.n_real_files, N);
    assert_true(m.arena.used < 4 * o.len);
    assert_string_equal(m.files[N - 1].path, "n/1999/0099");
    bt_metainfo_release(&m);
    tarn_out_release(&o);
}

TEST_MAIN(cmocka_unit_test(test_refused), cmocka_unit_test(test_sizes),
          cmocka_unit_test(test_info_alone), cmocka_unit_test(test_outer),
          cmocka_unit_test(test_announce_alone), cmocka_unit_test(test_private),
          cmocka_unit_test(test_attributes), cmocka_unit_test(test_warnings),
          cmocka_unit_test(test_layers), cmocka_unit_test(test_truncated),
          cmocka_unit_test(test_no_memory), cmocka_unit_test(test_hostile_lists),
          cmocka_unit_test(test_hostile_tree), cmocka_unit_test(test_many_files))
