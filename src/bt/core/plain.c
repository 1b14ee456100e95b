#include "bt/core/plain.h"

#include "base/text.h"

void bt_plain_text(char *dst, size_t size, struct tarn_bytes from)
{
    size_t n = 0;
    while (from.len > 0) {
        uint8_t utf8[4];
        uint32_t cp = tarn_utf8_take(&from);
        if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == TARN_UTF8_BAD)
            cp = '?';
        size_t len = tarn_utf8_put(cp, utf8);
        if (n + len >= size)
            break;
        memcpy(dst + n, utf8, len);
        n += len;
    }
    dst[n] = '\0';
}
