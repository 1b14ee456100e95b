/* codec/html: see the header. */
#include "codec/html.h"

#include "base/text.h"
#include "codec/url.h"

static void character(struct tarn_out *o, uint32_t cp)
{
    uint8_t utf8[4];
    if (cp == TARN_UTF8_BAD || cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
        cp = 0xfffd;
    switch (cp) {
    case '<':
        tarn_out_str(o, "&lt;");
        break;
    case '>':
        tarn_out_str(o, "&gt;");
        break;
    case '&':
        tarn_out_str(o, "&amp;");
        break;
    case '"':
        tarn_out_str(o, "&quot;");
        break;
    case '\'':
        tarn_out_str(o, "&#39;");
        break;
    default:
        tarn_out_put(o, tarn_bytes_of(utf8, tarn_utf8_put(cp, utf8)));
    }
}

void html_text(struct tarn_out *o, struct tarn_bytes text)
{
    while (text.len > 0)
        character(o, tarn_utf8_take(&text));
}

void html_path(struct tarn_out *o, struct tarn_bytes path)
{
    while (path.len > 0) {
        const uint8_t *slash = memchr(path.p, '/', path.len);
        size_t n = slash == NULL ? path.len : (size_t)(slash - path.p);
        url_escape(o, tarn_bytes_of(path.p, n));
        if (slash == NULL)
            return;
        tarn_out_u8(o, '/');
        path = tarn_bytes_of(slash + 1, path.len - n - 1);
    }
}
