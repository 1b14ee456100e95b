/* base/text: hex, base32, base64 and UTF-8. Pure. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/attr.h"
#include "base/bytes.h"

/* Lower-case hex of b with a NUL behind: dst has 2 * b.len + 1 bytes. Returns dst. */
char *tarn_hex(char *dst, struct tarn_bytes b);

/* Exactly 2 * len digits of either case. dst is untouched on failure. */
bool tarn_unhex(struct tarn_bytes text, uint8_t *dst, size_t len) TARN_MUST;

/* RFC 4648 base32 without padding, either case: text must be exactly the length that len bytes
 * take, and unused bits must be 0. */
bool tarn_unbase32(struct tarn_bytes text, uint8_t *dst, size_t len) TARN_MUST;

/* RFC 4648 base64 with padding, and a NUL: dst has 4 * ceil(b.len / 3) + 1 bytes. Returns dst. */
char *tarn_base64(char *dst, struct tarn_bytes b);

/* The other way, strict: padding where it belongs, nothing else between, unused bits 0. *len bytes
 * into dst, which has room for `room` of them. dst is undefined on failure. */
bool tarn_unbase64(struct tarn_bytes text, uint8_t *dst, size_t room, size_t *len) TARN_MUST;

/* Take one code point from the front of *rest. Strict: overlong forms, surrogates and values above
 * U+10FFFF are faults. On a fault returns TARN_UTF8_BAD and takes the bytes of that faulty
 * sequence (at least one), as the Unicode standard advises for replacement. rest must not be
 * empty. */
enum { TARN_UTF8_BAD = 0x110000 };
uint32_t tarn_utf8_take(struct tarn_bytes *rest);

/* Write one code point; returns the bytes used, 1 to 4. cp must be a valid one. */
size_t tarn_utf8_put(uint32_t cp, uint8_t dst[4]);

bool tarn_utf8_valid(struct tarn_bytes b);

#endif
