/* Folders as pages and as JSON: names of any bytes, links that lead where they say. */
#include "base/test/test.h"

#include "node/html.h"
#include "node/listing.h"

#include <string.h>

static const uint8_t root[32] = { 0xab };

static char *listing(bool as_json, const struct node_listing_head *head,
                     const struct node_row *rows, size_t n, const char *next)
{
    struct tarn_out o;
    struct node_listing l;
    tarn_out_init(&o, 1 << 20);
    node_listing_begin(&l, &o, as_json, head);
    for (size_t i = 0; i < n; i++)
        node_listing_row(&l, &rows[i]);
    node_listing_end(&l, tarn_bytes_str(next));
    char *text = tarn_out_take_str(&o);
    assert_non_null(text);
    return text;
}

#define assert_has(text, part) assert_non_null(strstr(text, part))

static void page(void **state)
{
    (void)state;
    const struct node_listing_head head = { .collection = tarn_bytes_str("www"),
                                            .path = tarn_bytes_str("a/b"),
                                            .has_torrent = true };
    const struct node_row rows[] = {
        { .kind = NODE_ROW_FOLDER, .name = tarn_bytes_str("sub folder") },
        { .kind = NODE_ROW_FILE,
          .name = tarn_bytes_str("<b>&\"x\".iso"),
          .size = 1536,
          .mtime_ns = 784111777000000000,
          .root = root,
          .has_torrent = true },
        { .kind = NODE_ROW_FILE, .name = tarn_bytes_str("new"), .state = "hashing" },
    };
    char *text = listing(false, &head, rows, 3, "new");
    assert_has(
        text,
        "<a href=\"../../../../\">/</a> <a href=\"../../\">www</a> / <a href=\"../\">a</a> / b");
    assert_has(text, "<a href=\"./sub%20folder/\">sub folder/</a>");
    assert_has(text, "&lt;b&gt;&amp;&quot;x&quot;.iso</a>");
    assert_has(text, "<a href=\"./%3Cb%3E%26%22x%22.iso?as=torrent\" rel=\"nofollow\">torrent</a>");
    assert_has(text, "?as=magnet\" rel=\"nofollow\">magnet</a>");
    assert_has(text, "1.50 KiB");
    assert_has(text, "06 Nov 1994 08:49");
    assert_has(text, "<em>hashing</em>");
    assert_has(text, "after=new\">more");
    assert_null(strstr(text, "<b>"));
    tarn_free(text);
}

static void top_of_collection(void **state)
{
    (void)state;
    const struct node_listing_head head = { .collection = tarn_bytes_str("www"),
                                            .has_torrent = true };
    char *text = listing(false, &head, NULL, 0, "");
    assert_has(text, "<h1><a href=\"../../\">/</a> www</h1>");
    assert_has(text, "<a href=\"../www?as=torrent\">");
    assert_null(strstr(text, "more"));
    tarn_free(text);
}

static void json_of_folder(void **state)
{
    (void)state;
    const struct node_listing_head head = { .collection = tarn_bytes_str("www"),
                                            .path = tarn_bytes_str("a") };
    const struct node_row rows[] = {
        { .kind = NODE_ROW_FILE, .name = tarn_bytes_str("x"), .size = 5, .root = root },
        { .kind = NODE_ROW_FILE, .name = tarn_bytes_str("bad\xff"), .state = "hashing" },
    };
    char *text = listing(true, &head, rows, 2, "x");
    assert_has(text, "\"id\":\"ab000000000000000000000000000000000000000000000000000000000000"
                     "00-5\"");
    assert_has(text, "\"name_b64\":\"YmFk/w==\"");
    assert_has(text, "\"state\":\"hashing\"");
    assert_has(text, "\"next\":\"x\"");
    tarn_free(text);
}

static void collections(void **state)
{
    (void)state;
    const struct node_listing_head head = { 0 };
    const struct node_row row = { .kind = NODE_ROW_COLLECTION,
                                  .name = tarn_bytes_str("a b"),
                                  .size = 3 << 20,
                                  .files = 7,
                                  .has_torrent = true };
    char *text = listing(false, &head, &row, 1, "");
    assert_has(text, "<a href=\"c/a%20b/\">a b/</a>");
    assert_has(text, "<a href=\"c/a%20b?as=magnet\">");
    assert_has(text, "<td class=\"n\">7<");
    tarn_free(text);
    text = listing(true, &head, &row, 1, "");
    assert_string_equal(text, "{\"v\":1,\"collections\":[{\"kind\":\"collection\",\"name\":\"a b\","
                              "\"size\":3145728,\"files\":7}]}\n");
    tarn_free(text);
}

static void sizes(void **state)
{
    static const struct {
        uint64_t n;
        const char *text;
    } cases[] = {
        { 0, "0 B" },
        { 1023, "1023 B" },
        { 1024, "1.00 KiB" },
        { 10240, "10.0 KiB" },
        { 1048575, "1.00 MiB" },
        { 1 << 20, "1.00 MiB" },
        { 1000 << 20, "1000 MiB" },
        { UINT64_MAX, "16.0 EiB" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32] = "";
        struct tarn_out o;
        tarn_out_fixed(&o, text, sizeof text - 1);
        html_size(&o, cases[i].n);
        text[o.len] = '\0';
        assert_string_equal(text, cases[i].text);
    }
}

TEST_MAIN(cmocka_unit_test(page), cmocka_unit_test(top_of_collection),
          cmocka_unit_test(json_of_folder), cmocka_unit_test(collections), cmocka_unit_test(sizes))
