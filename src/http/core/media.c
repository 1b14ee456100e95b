/* http/core/media: see the header. The usual extensions, chosen by us, sorted so that halving finds
 * them; types as registered with IANA, or as browsers take them where nothing is. */
#include "http/core/media.h"

#include "base/attr.h"
#include "http/core/priv.h"

enum { EXTENSION_MAX = 11 };

static const struct media_type {
    const char *extension, *type;
} types[] = {
    { "7z", "application/x-7z-compressed" },
    { "aac", "audio/aac" },
    { "apk", "application/vnd.android.package-archive" },
    { "appimage", "application/x-executable" },
    { "asc", "text/plain; charset=utf-8" },
    { "atom", "application/atom+xml" },
    { "avi", "video/x-msvideo" },
    { "avif", "image/avif" },
    { "azw3", "application/vnd.amazon.ebook" },
    { "bmp", "image/bmp" },
    { "bz2", "application/x-bzip2" },
    { "c", "text/plain; charset=utf-8" },
    { "cbor", "application/cbor" },
    { "conf", "text/plain; charset=utf-8" },
    { "crt", "application/x-x509-ca-cert" },
    { "css", "text/css; charset=utf-8" },
    { "csv", "text/csv; charset=utf-8" },
    { "deb", "application/vnd.debian.binary-package" },
    { "diff", "text/plain; charset=utf-8" },
    { "djvu", "image/vnd.djvu" },
    { "doc", "application/msword" },
    { "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
    { "epub", "application/epub+zip" },
    { "flac", "audio/flac" },
    { "geojson", "application/geo+json" },
    { "gif", "image/gif" },
    { "gz", "application/gzip" },
    { "h", "text/plain; charset=utf-8" },
    { "heic", "image/heic" },
    { "htm", "text/html; charset=utf-8" },
    { "html", "text/html; charset=utf-8" },
    { "ico", "image/vnd.microsoft.icon" },
    { "ics", "text/calendar; charset=utf-8" },
    { "img", "application/octet-stream" },
    { "ini", "text/plain; charset=utf-8" },
    { "iso", "application/vnd.efi.iso" },
    { "jar", "application/java-archive" },
    { "jpeg", "image/jpeg" },
    { "jpg", "image/jpeg" },
    { "js", "text/javascript; charset=utf-8" },
    { "json", "application/json" },
    { "jsonl", "application/jsonl" },
    { "jsonld", "application/ld+json" },
    { "jxl", "image/jxl" },
    { "log", "text/plain; charset=utf-8" },
    { "lz4", "application/x-lz4" },
    { "m3u8", "application/vnd.apple.mpegurl" },
    { "m4a", "audio/mp4" },
    { "m4b", "audio/mp4" },
    { "m4v", "video/mp4" },
    { "magnet", "text/plain; charset=utf-8" },
    { "map", "application/json" },
    { "mbox", "application/mbox" },
    { "md", "text/markdown; charset=utf-8" },
    { "md5", "text/plain; charset=utf-8" },
    { "meta4", "application/metalink4+xml" },
    { "mid", "audio/midi" },
    { "mjs", "text/javascript; charset=utf-8" },
    { "mkv", "video/matroska" },
    { "mobi", "application/x-mobipocket-ebook" },
    { "mov", "video/quicktime" },
    { "mp3", "audio/mpeg" },
    { "mp4", "video/mp4" },
    { "mpd", "application/dash+xml" },
    { "mpeg", "video/mpeg" },
    { "mpg", "video/mpeg" },
    { "msi", "application/x-msi" },
    { "nfo", "text/plain" },
    { "odp", "application/vnd.oasis.opendocument.presentation" },
    { "ods", "application/vnd.oasis.opendocument.spreadsheet" },
    { "odt", "application/vnd.oasis.opendocument.text" },
    { "oga", "audio/ogg" },
    { "ogg", "audio/ogg" },
    { "ogv", "video/ogg" },
    { "opus", "audio/ogg" },
    { "otf", "font/otf" },
    { "parquet", "application/vnd.apache.parquet" },
    { "patch", "text/plain; charset=utf-8" },
    { "pdf", "application/pdf" },
    { "png", "image/png" },
    { "ppt", "application/vnd.ms-powerpoint" },
    { "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
    { "ps", "application/postscript" },
    { "py", "text/plain; charset=utf-8" },
    { "rar", "application/vnd.rar" },
    { "rpm", "application/x-rpm" },
    { "rss", "application/rss+xml" },
    { "rst", "text/plain; charset=utf-8" },
    { "rtf", "application/rtf" },
    { "sh", "text/plain; charset=utf-8" },
    { "sha1", "text/plain; charset=utf-8" },
    { "sha256", "text/plain; charset=utf-8" },
    { "sha512", "text/plain; charset=utf-8" },
    { "sig", "application/pgp-signature" },
    { "sqlite", "application/vnd.sqlite3" },
    { "srt", "text/plain; charset=utf-8" },
    { "svg", "image/svg+xml" },
    { "tar", "application/x-tar" },
    { "tgz", "application/gzip" },
    { "tif", "image/tiff" },
    { "tiff", "image/tiff" },
    { "toml", "application/toml" },
    { "torrent", "application/x-bittorrent" },
    { "ts", "video/mp2t" },
    { "tsv", "text/tab-separated-values; charset=utf-8" },
    { "ttf", "font/ttf" },
    { "txt", "text/plain; charset=utf-8" },
    { "vtt", "text/vtt; charset=utf-8" },
    { "wasm", "application/wasm" },
    { "wav", "audio/wav" },
    { "weba", "audio/webm" },
    { "webm", "video/webm" },
    { "webmanifest", "application/manifest+json" },
    { "webp", "image/webp" },
    { "wmv", "video/x-ms-wmv" },
    { "woff", "font/woff" },
    { "woff2", "font/woff2" },
    { "xhtml", "application/xhtml+xml" },
    { "xls", "application/vnd.ms-excel" },
    { "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
    { "xml", "application/xml" },
    { "xspf", "application/xspf+xml" },
    { "xz", "application/x-xz" },
    { "yaml", "application/yaml" },
    { "yml", "application/yaml" },
    { "zip", "application/zip" },
    { "zst", "application/zstd" },
};

/* The extension in lower case; empty when there is none, or none of ours could be as long. */
static struct tarn_bytes extension_of(struct tarn_bytes name, uint8_t lower[EXTENSION_MAX])
{
    size_t len = 0;
    while (len < name.len && len <= EXTENSION_MAX && name.p[name.len - 1 - len] != '.')
        len++;
    if (len == name.len || len > EXTENSION_MAX)
        return tarn_bytes_of(NULL, 0);
    for (size_t i = 0; i < len; i++)
        lower[i] = http_lower(name.p[name.len - len + i]);
    return tarn_bytes_of(lower, len);
}

const char *http_media_type(struct tarn_bytes file_name)
{
    uint8_t lower[EXTENSION_MAX];
    struct tarn_bytes extension = extension_of(file_name, lower);
    size_t low = 0, high = TARN_COUNT_OF(types);
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = tarn_bytes_cmp(extension, tarn_bytes_str(types[middle].extension));
        if (order == 0)
            return types[middle].type;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return "application/octet-stream";
}
