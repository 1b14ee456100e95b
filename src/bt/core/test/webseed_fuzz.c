/* Any bytes as a seed's URL (the first line) and as a torrent (the rest): URLs that are built hold
 * nothing that a request line may not, begin with the seed's own, and say no secret when shown. */
#include "bt/core/webseed.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(const char *base, const char *url)
{
    size_t own = strcspn(base, "#");
    if (strlen(url) >= BT_WEBSEED_URL_MAX || strncmp(url, base, own) != 0)
        abort();
    for (const char *p = url + own; *p != 0; p++)
        if ((uint8_t)*p <= 0x20 || (uint8_t)*p >= 0x7F || strchr("?#\\\"<>", *p) != NULL)
            abort();
}

static bool is_ascii(const char *s)
{
    while ((uint8_t)*s >= 0x20 && (uint8_t)*s < 0x7F)
        s++;
    return *s == 0;
}

/* What is no text is shown as '?'. */
static void check_shown(const char *url)
{
    char shown[BT_WEBSEED_SHOWN], host[BT_WEBSEED_SHOWN];
    if (strpbrk(bt_webseed_show(shown, url), is_ascii(url) ? "?#" : "#") != NULL ||
        strchr(bt_webseed_host(host, url), '/') != NULL)
        abort();
}

static void check_parts(const struct bt_metainfo *m)
{
    uint64_t at = 0;
    for (int i = 0; i < 1000 && at < m->total; i++) {
        struct bt_webseed_part part = bt_webseed_part(m, at, m->total);
        if (part.len == 0 || part.len > m->total - at ||
            (part.file != BT_WEBSEED_NO_FILE &&
             (m->files[part.file].is_pad || part.off + part.len > m->files[part.file].len)))
            abort();
        at += part.len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    char base[BT_WEBSEED_URL_MAX];
    struct bt_metainfo m;
    struct tarn_out url;
    if (end == NULL || (size_t)(end - data) >= sizeof base)
        return 0;
    memcpy(base, data, (size_t)(end - data));
    base[end - data] = 0;
    check_shown(base);
    size_t used = (size_t)(end - data) + 1;
    if (!bt_webseed_is_usable(base) ||
        !bt_metainfo_parse(&m, tarn_bytes_of(data + used, size - used), NULL))
        return 0;
    for (uint32_t i = 0; i < m.n_files && i < 200; i++) {
        if (!bt_webseed_url(&m, base, i, &url))
            continue;
        check_url(base, (const char *)url.p);
        check_shown((const char *)url.p);
        tarn_out_release(&url);
    }
    check_parts(&m);
    bt_metainfo_release(&m);
    return 0;
}
