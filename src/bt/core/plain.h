/* bt/core/plain: what peers and trackers say about themselves, as text for people. Private. */
#ifndef BT_CORE_PLAIN_H
#define BT_CORE_PLAIN_H

#include "base/attr.h"
#include "base/bytes.h"

/* Any bytes as UTF-8 without control characters, which become '?', and a NUL: at most size bytes,
 * cut at a character. */
void bt_plain_text(char *dst, size_t size, struct tarn_bytes from);

#endif
