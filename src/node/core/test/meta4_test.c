#include "node/core/meta4.h"

#include "base/test/test.h"

static const uint8_t digest[32] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                    0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
                                    0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad };

static void expect(struct tarn_out *o, const char *text)
{
    tarn_out_u8(o, 0);
    assert_true(tarn_out_ok(o));
    assert_string_equal((char *)o->p, text);
    tarn_out_release(o);
}

static void test_metalink(void **state)
{
    (void)state;
    static const char *const urls[] = { "http://a/b%20c?x=1&y=2", "http://mirror/b" };
    uint8_t pieces[40] = { 1, 2, 3 };
    struct meta4_file f = {
        .path = tarn_bytes_str("d/a <\"b\"> & 'c'\xc3\xa9"),
        .len = 20000,
        .sha256 = digest,
        .piece_len = 16384,
        .urls = urls,
        .n_urls = 2,
        .torrent = "http://a/c/x.torrent",
        .torrent_path = tarn_bytes_str("d/b"),
    };
    struct meta4_file plain = {
        .path = tarn_bytes_str("e"), .sha256 = digest, .piece_len = 16384, .urls = urls, .n_urls = 1
    };
    struct tarn_out o;
    tarn_out_init(&o, 1 << 20);
    meta4_begin(&o, "tarn/1 & more");
    meta4_file_begin(&o, &f);
    assert_true(meta4_wants_pieces(&f));
    meta4_pieces(&o, pieces, 1);
    meta4_pieces(&o, pieces + 20, 1);
    meta4_file_end(&o, &f);
    assert_false(meta4_wants_pieces(&plain)); /* an empty file has none */
    meta4_file_begin(&o, &plain);
    meta4_file_end(&o, &plain);
    meta4_end(&o);
    expect(&o, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
               "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n"
               "  <generator>tarn/1 &amp; more</generator>\n"
               "  <file name=\"d/a &lt;&quot;b&quot;&gt; &amp; 'c'\xc3\xa9\">\n"
               "    <size>20000</size>\n"
               "    <hash type=\"sha-256\">"
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad</hash>\n"
               "    <pieces length=\"16384\" type=\"sha-1\">\n"
               "      <hash>0102030000000000000000000000000000000000</hash>\n"
               "      <hash>0000000000000000000000000000000000000000</hash>\n"
               "    </pieces>\n"
               "    <url priority=\"1\">http://a/b%20c?x=1&amp;y=2</url>\n"
               "    <url priority=\"2\">http://mirror/b</url>\n"
               "    <metaurl mediatype=\"torrent\" priority=\"1\" name=\"d/b\">"
               "http://a/c/x.torrent</metaurl>\n"
               "  </file>\n"
               "  <file name=\"e\">\n"
               "    <size>0</size>\n"
               "    <hash type=\"sha-256\">"
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad</hash>\n"
               "    <url priority=\"1\">http://a/b%20c?x=1&amp;y=2</url>\n"
               "  </file>\n"
               "</metalink>\n");
}

static void test_limits(void **state)
{
    (void)state;
    struct meta4_file f = { .len = (uint64_t)META4_PIECES_MAX << 14, .piece_len = 16384 };
    assert_true(meta4_wants_pieces(&f));
    f.len++;
    assert_false(meta4_wants_pieces(&f));
    f.piece_len = 0;
    assert_false(meta4_wants_pieces(&f));
}

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = { "a", "a/b", "...", "a..", " ", "\xc3\xa9", "\xef\xbf\xbd" };
    static const char *const bad[] = { "",      "/a",   "a/",           "a//b",
                                       ".",     "..",   "a/..",         "../b",
                                       "a/./b", "a\nb", "a\x1f",        "\xff",
                                       "\xc3",  "a\tb", "\xef\xbf\xbf", "x\xef\xbf\xbe" };
    for (size_t i = 0; i < TARN_COUNT_OF(good); i++)
        assert_true(meta4_can_name(tarn_bytes_str(good[i])));
    for (size_t i = 0; i < TARN_COUNT_OF(bad); i++)
        assert_false(meta4_can_name(tarn_bytes_str(bad[i])));
}

static void test_sha256_lines(void **state)
{
    (void)state;
    struct tarn_out o;
    tarn_out_init(&o, 4096);
    sha256_line(&o, tarn_bytes_str("a b/c"), digest);
    sha256_line(&o, tarn_bytes_str("new\nline\\\xff"), digest);
    expect(&o, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a b/c\n"
               "\\ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  "
               "new\\nline\\\\\xff\n");
}

TEST_MAIN(cmocka_unit_test(test_metalink), cmocka_unit_test(test_limits),
          cmocka_unit_test(test_names), cmocka_unit_test(test_sha256_lines))
