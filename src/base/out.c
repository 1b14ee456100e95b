/* base/out: see the header. A growing buffer has one byte more than cap says, so that there is
 * always a place for the NUL of tarn_out_fmt and tarn_out_take_str. */
#include "base/out.h"

#include "base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    CAP_MIN = 64,
};

void tarn_out_init(struct tarn_out *o, size_t limit)
{
    *o = (struct tarn_out){ .limit = limit };
}

void tarn_out_fixed(struct tarn_out *o, void *storage, size_t size)
{
    *o = (struct tarn_out){ .p = storage, .cap = size, .limit = size, .is_fixed = true };
}

void tarn_out_release(struct tarn_out *o)
{
    if (!o->is_fixed)
        tarn_free(o->p);
    *o = (struct tarn_out){ 0 };
}

void tarn_out_clear(struct tarn_out *o)
{
    o->len = 0;
    o->failed = false;
    o->is_full = false;
}

/* At least double, at most the limit. */
static size_t next_cap(const struct tarn_out *o, size_t need)
{
    size_t cap = o->cap > o->limit / 2 ? o->limit : o->cap * 2;
    if (cap < CAP_MIN && CAP_MIN <= o->limit)
        cap = CAP_MIN;
    return cap < need ? need : cap;
}

static bool grow(struct tarn_out *o, size_t n)
{
    o->is_full = n > o->limit - o->len;
    if (o->is_fixed || o->is_full || o->len + n >= PTRDIFF_MAX)
        return false;
    size_t cap = next_cap(o, o->len + n);
    uint8_t *p = cap < PTRDIFF_MAX ? tarn_realloc(o->p, cap + 1, 1) : NULL;
    if (p == NULL)
        return false;
    o->p = p;
    o->cap = cap;
    return true;
}

/* Also allocates when n is 0 and there is nothing yet: NULL must mean failure alone. */
uint8_t *tarn_out_room(struct tarn_out *o, size_t n)
{
    if (o->failed)
        return NULL;
    if ((o->p == NULL || n > o->cap - o->len) && !grow(o, n)) {
        o->failed = true;
        return NULL;
    }
    uint8_t *room = o->p + o->len;
    o->len += n;
    return room;
}

void tarn_out_put(struct tarn_out *o, struct tarn_bytes b)
{
    if (b.len == 0)
        return;
    uint8_t *room = tarn_out_room(o, b.len);
    if (room != NULL)
        memcpy(room, b.p, b.len);
}

void tarn_out_str(struct tarn_out *o, const char *s)
{
    tarn_out_put(o, tarn_bytes_str(s));
}

static void put_be(struct tarn_out *o, uint64_t v, unsigned len)
{
    uint8_t *room = tarn_out_room(o, len);
    if (room == NULL)
        return;
    for (unsigned i = 0; i < len; i++)
        room[i] = (uint8_t)(v >> (8 * (len - 1 - i)));
}

void tarn_out_u8(struct tarn_out *o, uint8_t v)
{
    put_be(o, v, 1);
}

void tarn_out_be16(struct tarn_out *o, uint16_t v)
{
    put_be(o, v, 2);
}

void tarn_out_be32(struct tarn_out *o, uint32_t v)
{
    put_be(o, v, 4);
}

void tarn_out_be64(struct tarn_out *o, uint64_t v)
{
    put_be(o, v, 8);
}

/* Room for a text and the NUL that vsnprintf writes behind it, which does not count as written. */
static uint8_t *text_room(struct tarn_out *o, int len)
{
    if (len < 0 || (o->is_fixed && (size_t)len >= o->cap - o->len)) {
        o->failed = true;
        return NULL;
    }
    return tarn_out_room(o, (size_t)len);
}

void tarn_out_fmt(struct tarn_out *o, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);

    char *room = (char *)text_room(o, len);
    if (room == NULL)
        return;
    va_start(args, fmt);
    vsnprintf(room, (size_t)len + 1, fmt, args);
    va_end(args);
}

void tarn_out_drop(struct tarn_out *o, size_t n)
{
    assert(n <= o->len);
    if (n == 0)
        return;
    memmove(o->p, o->p + n, o->len - n);
    o->len -= n;
}

char *tarn_out_take_str(struct tarn_out *o)
{
    assert(!o->is_fixed);
    char *text = NULL;
    if (tarn_out_room(o, 0) != NULL) {
        o->p[o->len] = '\0';
        text = (char *)o->p;
        o->p = NULL;
    }
    tarn_free(o->p);
    tarn_out_init(o, o->limit);
    return text;
}
