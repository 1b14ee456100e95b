/* http/core/media: known and unknown extensions. */
#include "base/test/test.h"
#include "http/core/media.h"

#include "base/attr.h"

static void test_types(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type;
    } rows[] = {
        { "index.html", "text/html; charset=utf-8" },
        { "INDEX.HTML", "text/html; charset=utf-8" },
        { "a.b.zst", "application/zstd" },         /* the last of the table */
        { "a.7z", "application/x-7z-compressed" }, /* the first */
        { "a.tar.gz", "application/gzip" },
        { "manifest.webmanifest", "application/manifest+json" },
        { "x.torrent", "application/x-bittorrent" },
        { ".html", "text/html; charset=utf-8" },
        { "html", "application/octet-stream" },
        { "", "application/octet-stream" },
        { "a.", "application/octet-stream" },
        { ".", "application/octet-stream" },
        { "a.htmlx", "application/octet-stream" },
        { "a.webmanifestx", "application/octet-stream" },
        { "a.htm\xff", "application/octet-stream" },
        { "a.html/b", "application/octet-stream" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(rows); i++)
        assert_string_equal(http_media_type(tarn_bytes_str(rows[i].name)), rows[i].type);
}

TEST_MAIN(cmocka_unit_test(test_types))
