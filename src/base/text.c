/* base/text: see the header. The decoders look at the whole text before they write anything. */
#include "base/text.h"

enum {
    NO_DIGIT = 0xFF,
};

char *tarn_hex(char *dst, struct tarn_bytes b)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < b.len; i++) {
        dst[2 * i] = digits[b.p[i] >> 4];
        dst[2 * i + 1] = digits[b.p[i] & 15];
    }
    dst[2 * b.len] = '\0';
    return dst;
}

static uint8_t hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return (uint8_t)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (uint8_t)(c - 'a' + 10);
    if (c >= 'A' && c <= 'F')
        return (uint8_t)(c - 'A' + 10);
    return NO_DIGIT;
}

static uint8_t base32_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint8_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint8_t)(c - 'a');
    if (c >= '2' && c <= '7')
        return (uint8_t)(c - '2' + 26);
    return NO_DIGIT;
}

static bool all_digits(struct tarn_bytes text, uint8_t (*digit)(uint8_t c))
{
    for (size_t i = 0; i < text.len; i++)
        if (digit(text.p[i]) == NO_DIGIT)
            return false;
    return true;
}

bool tarn_unhex(struct tarn_bytes text, uint8_t *dst, size_t len)
{
    if (text.len % 2 != 0 || text.len / 2 != len || !all_digits(text, hex_digit))
        return false;
    for (size_t i = 0; i < len; i++)
        dst[i] = (uint8_t)(hex_digit(text.p[2 * i]) << 4 | hex_digit(text.p[2 * i + 1]));
    return true;
}

/* How many digits len bytes take: 8 for each 5 bytes, and what the rest needs. */
static size_t base32_len(size_t len)
{
    return len / 5 * 8 + (len % 5 * 8 + 4) / 5;
}

bool tarn_unbase32(struct tarn_bytes text, uint8_t *dst, size_t len)
{
    if (len > SIZE_MAX / 2 || text.len != base32_len(len) || !all_digits(text, base32_digit))
        return false;
    unsigned unused = (unsigned)((text.len % 8 * 5) % 8);
    if (unused != 0 && (base32_digit(text.p[text.len - 1]) & ((1U << unused) - 1)) != 0)
        return false;
    uint32_t held = 0; /* only the lowest held_bits matter; older ones fall off the top */
    unsigned held_bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        held = held << 5 | base32_digit(text.p[i]);
        held_bits += 5;
        if (held_bits >= 8) {
            held_bits -= 8;
            *dst++ = (uint8_t)(held >> held_bits);
        }
    }
    return true;
}

/* One to three bytes as four characters. */
static void base64_group(char dst[4], const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t v = (uint32_t)p[0] << 16;
    if (n > 1)
        v |= (uint32_t)p[1] << 8;
    if (n > 2)
        v |= p[2];
    dst[0] = digits[v >> 18];
    dst[1] = digits[v >> 12 & 63];
    dst[2] = '=';
    dst[3] = '=';
    if (n > 1)
        dst[2] = digits[v >> 6 & 63];
    if (n > 2)
        dst[3] = digits[v & 63];
}

char *tarn_base64(char *dst, struct tarn_bytes b)
{
    char *to = dst;
    for (size_t i = 0; i < b.len; i += 3, to += 4)
        base64_group(to, b.p + i, b.len - i);
    *to = '\0';
    return dst;
}

/* 0 to 63; 64: none of the alphabet. */
static unsigned base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26U;
    if (c >= '0' && c <= '9')
        return c - '0' + 52U;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* A group of four characters, `pads` of them padding, to 3 - pads bytes. */
static bool unbase64_group(const uint8_t *from, unsigned pads, uint8_t *to)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned digit = i < 4 - pads ? base64_value(from[i]) : 0;
        if (digit == 64 || (i >= 4 - pads && from[i] != '='))
            return false;
        v = v << 6 | digit;
    }
    for (unsigned i = 0; i < 3 - pads; i++)
        to[i] = (uint8_t)(v >> (16 - 8 * i));
    return (v & ((1U << (8 * pads)) - 1)) == 0;
}

bool tarn_unbase64(struct tarn_bytes text, uint8_t *dst, size_t room, size_t *len)
{
    size_t n = 0;
    if (text.len % 4 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 4) {
        bool is_last = i + 4 == text.len;
        unsigned pads = !is_last || text.p[i + 3] != '=' ? 0 : text.p[i + 2] == '=' ? 2 : 1;
        if (room - n < 3 - pads || !unbase64_group(text.p + i, pads, dst + n))
            return false;
        n += 3 - pads;
    }
    *len = n;
    return true;
}

/* What may follow a first byte: Table 3-7 of the Unicode standard. Only the second byte has limits
 * of its own, and they are what keeps overlong forms, surrogates and too great values out. */
struct tail {
    unsigned len; /* bytes that follow; 0: not a first byte */
    uint8_t low, high;
};

static struct tail tail_of(uint8_t lead)
{
    if (lead < 0xC2 || lead > 0xF4)
        return (struct tail){ 0, 0, 0 };
    if (lead < 0xE0)
        return (struct tail){ 1, 0x80, 0xBF };
    if (lead < 0xF0)
        return (struct tail){ 2, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF };
    return (struct tail){ 3, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF };
}

static void advance(struct tarn_bytes *b)
{
    b->p++;
    b->len--;
}

uint32_t tarn_utf8_take(struct tarn_bytes *rest)
{
    uint8_t lead = rest->p[0];
    advance(rest);
    if (lead < 0x80)
        return lead;
    struct tail t = tail_of(lead);
    if (t.len == 0)
        return TARN_UTF8_BAD;
    uint32_t cp = lead & (0x3FU >> t.len);
    for (; t.len > 0; t.len--) {
        if (rest->len == 0 || rest->p[0] < t.low || rest->p[0] > t.high)
            return TARN_UTF8_BAD;
        cp = cp << 6 | (rest->p[0] & 0x3FU);
        advance(rest);
        t.low = 0x80;
        t.high = 0xBF;
    }
    return cp;
}

size_t tarn_utf8_put(uint32_t cp, uint8_t dst[4])
{
    if (cp < 0x80) {
        dst[0] = (uint8_t)cp;
        return 1;
    }
    size_t len = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, cp >>= 6)
        dst[i] = (uint8_t)(0x80 | (cp & 0x3F));
    dst[0] = (uint8_t)(0xF00 >> len | cp); /* as many ones on top as there are bytes */
    return len;
}

bool tarn_utf8_valid(struct tarn_bytes b)
{
    while (b.len > 0)
        if (tarn_utf8_take(&b) == TARN_UTF8_BAD)
            return false;
    return true;
}
