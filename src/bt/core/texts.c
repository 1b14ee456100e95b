/* bt/core/texts: see the header. */
#include "bt/core/texts.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "codec/url.h"

enum {
    TEXT_MAX = 64 * 1024, /* ours: a comment is for reading */
    REPLACEMENT = 0xFFFD,
};

const char *const bt_tracker_schemes[] = { "http", "https", "udp", NULL };
const char *const bt_web_seed_schemes[] = { "http", "https", "ftp", NULL };

void bt_texts_init(struct bt_texts *s, struct tarn_arena *arena, uint32_t max,
                   const uint8_t seed[16])
{
    *s = (struct bt_texts){ .arena = arena, .max = max };
    tarn_map_init(&s->seen, seed);
}

void bt_texts_release(struct bt_texts *s)
{
    tarn_map_release(&s->seen);
    tarn_free(s->items);
}

bool bt_texts_keep(const struct bt_texts *s, const char ***items, uint32_t *n)
{
    if (s->n == 0)
        return true;
    *items = tarn_arena_alloc(s->arena, s->n, sizeof **items);
    if (*items == NULL)
        return false;
    memcpy(*items, s->items, s->n * sizeof **items);
    *n = s->n;
    return true;
}

bool bt_texts_add(struct bt_texts *s, struct tarn_bytes text)
{
    if (s->n == s->max || tarn_map_get(&s->seen, text) != NULL)
        return true;
    if (!TARN_GROW(s->items, s->n, s->cap))
        return false;
    const char *copy = tarn_arena_strndup(s->arena, text);
    if (copy == NULL || !tarn_map_put(&s->seen, tarn_bytes_of(copy, text.len), s->n))
        return false;
    s->items[s->n++] = copy;
    return true;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct tarn_bytes bt_url_clean(struct tarn_bytes text, const char *const *schemes)
{
    while (text.len > 0 && is_space(text.p[0]))
        text = tarn_bytes_of(text.p + 1, text.len - 1);
    while (text.len > 0 && is_space(text.p[text.len - 1]))
        text.len--;
    struct url u;
    if (url_parse(text, &u, NULL))
        for (; *schemes != NULL; schemes++)
            if (url_scheme_is(&u, *schemes))
                return text;
    return tarn_bytes_of(NULL, 0);
}

/* Bytes of the cleaned text; written to dst unless that is NULL. */
static size_t clean_text(struct tarn_bytes b, uint8_t *dst)
{
    size_t len = 0;
    while (b.len > 0) {
        uint8_t utf8[4];
        uint32_t cp = tarn_utf8_take(&b);
        size_t n = tarn_utf8_put(cp == TARN_UTF8_BAD || cp == 0 ? REPLACEMENT : cp, utf8);
        if (n > TEXT_MAX - len)
            break;
        if (dst != NULL)
            memcpy(dst + len, utf8, n);
        len += n;
    }
    return len;
}

const char *bt_text(struct tarn_arena *a, struct tarn_bytes b)
{
    size_t len = clean_text(b, NULL);
    char *text = tarn_arena_alloc(a, len + 1, 1); /* zeroed */
    if (text != NULL)
        (void)clean_text(b, (uint8_t *)text);
    return text;
}
