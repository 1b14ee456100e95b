/* bt/core/texts: lists of distinct strings and text for people, in an arena. Private. */
#ifndef BT_CORE_TEXTS_H
#define BT_CORE_TEXTS_H

#include "base/arena.h"
#include "base/map.h"

/* At most max strings, each once, in the order they came. */
struct bt_texts {
    struct tarn_arena *arena; /* borrowed; the strings lie there */
    const char **items;       /* owned, until release */
    uint32_t n, max;
    size_t cap;
    struct tarn_map seen;
};
void bt_texts_init(struct bt_texts *s, struct tarn_arena *arena, uint32_t max,
                   const uint8_t seed[16]);
void bt_texts_release(struct bt_texts *s); /* not what lies in the arena */
/* The list as an array of the arena's own; NULL when it is empty. */
bool bt_texts_keep(const struct bt_texts *s, const char ***items, uint32_t *n) TARN_MUST;
/* False: no memory. What was there already, or one too many, is left out. */
bool bt_texts_add(struct bt_texts *s, struct tarn_bytes text) TARN_MUST;

/* The URL without white space around it, or empty: not a URL, or none of these schemes (ended by
 * NULL). */
struct tarn_bytes bt_url_clean(struct tarn_bytes text, const char *const *schemes);
extern const char *const bt_tracker_schemes[];
extern const char *const bt_web_seed_schemes[];

/* Bytes as text for people: valid UTF-8 without NULs, at most 64 KiB. NULL: no memory. */
const char *bt_text(struct tarn_arena *a, struct tarn_bytes b) TARN_MUST;

#endif
