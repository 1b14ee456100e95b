/* codec/json: see the header. A comma is written by the value that follows it: the writer only has
 * to know whether its level has an item already. */
#include "codec/json.h"

#include "base/text.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

void json_init(struct json *j, struct tarn_out *out)
{
    *j = (struct json){ .out = out };
}

/* What stands between two items of a level. */
static void separate(struct json *j)
{
    if (j->after_key) {
        j->after_key = false;
        return;
    }
    uint64_t bit = (uint64_t)1 << j->depth;
    if (j->depth > 0 && (j->has_items & bit) != 0)
        tarn_out_u8(j->out, ',');
    j->has_items |= bit;
}

static void open_level(struct json *j, char c)
{
    separate(j);
    tarn_out_u8(j->out, (uint8_t)c);
    assert(j->depth < 63);
    j->depth++;
    j->has_items &= ~((uint64_t)1 << j->depth);
}

static void close_level(struct json *j, char c)
{
    assert(j->depth > 0 && !j->after_key);
    j->depth--;
    tarn_out_u8(j->out, (uint8_t)c);
}

void json_open_object(struct json *j)
{
    open_level(j, '{');
}

void json_close_object(struct json *j)
{
    close_level(j, '}');
}

void json_open_array(struct json *j)
{
    open_level(j, '[');
}

void json_close_array(struct json *j)
{
    close_level(j, ']');
}

static void put_char(struct tarn_out *o, uint32_t cp)
{
    static const char named[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    uint8_t utf8[4];
    for (size_t i = 0; i + 1 < sizeof named; i += 2)
        if (cp == (uint8_t)named[i]) {
            tarn_out_u8(o, '\\');
            tarn_out_u8(o, (uint8_t)named[i + 1]);
            return;
        }
    if (cp < 0x20 || cp == 0x7F)
        tarn_out_fmt(o, "\\u%04x", (unsigned)cp);
    else
        tarn_out_put(o,
                     tarn_bytes_of(utf8, tarn_utf8_put(cp == TARN_UTF8_BAD ? 0xFFFD : cp, utf8)));
}

static void put_text(struct tarn_out *o, struct tarn_bytes s)
{
    while (s.len > 0)
        put_char(o, tarn_utf8_take(&s));
}

static void put_quoted(struct tarn_out *o, struct tarn_bytes s)
{
    tarn_out_u8(o, '"');
    put_text(o, s);
    tarn_out_u8(o, '"');
}

void json_key(struct json *j, const char *key)
{
    assert(!j->after_key);
    separate(j);
    put_quoted(j->out, tarn_bytes_str(key));
    tarn_out_u8(j->out, ':');
    j->after_key = true;
}

void json_str(struct json *j, struct tarn_bytes s)
{
    separate(j);
    put_quoted(j->out, s);
}

static void put_word(struct json *j, const char *word)
{
    separate(j);
    tarn_out_str(j->out, word);
}

void json_u64(struct json *j, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    put_word(j, text);
}

void json_i64(struct json *j, int64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)v);
    put_word(j, text);
}

/* Past this doubles have no digits after the point that mean anything, and %f writes hundreds. */
static const double plain_max = 1e15;

void json_double(struct json *j, double v)
{
    if (!isfinite(v)) {
        json_none(j);
        return;
    }
    char text[48];
    if (fabs(v) >= plain_max) {
        snprintf(text, sizeof text, "%.16e", v);
    } else {
        int n = snprintf(text, sizeof text, "%.6f", v);
        while (n > 0 && text[n - 1] == '0')
            n--;
        if (n > 0 && text[n - 1] != '-' && (text[n - 1] < '0' || text[n - 1] > '9'))
            n--; /* the point itself */
        text[n] = '\0';
    }
    for (char *p = text; *p != '\0'; p++) /* the program around us may have set a locale */
        if ((*p < '0' || *p > '9') && *p != '-' && *p != '+' && *p != 'e')
            *p = '.';
    put_word(j, strcmp(text, "-0") == 0 ? "0" : text);
}

void json_bool(struct json *j, bool v)
{
    put_word(j, v ? "true" : "false");
}

void json_none(struct json *j)
{
    put_word(j, "null");
}

void json_put_str(struct json *j, const char *key, const char *s)
{
    json_key(j, key);
    if (s == NULL)
        json_none(j);
    else
        json_str(j, tarn_bytes_str(s));
}

/* Room for n characters, of which a text function fills n and adds a NUL that is not kept. */
static char *text_room(struct tarn_out *o, size_t n)
{
    char *room = (char *)tarn_out_room(o, n + 1);
    if (room != NULL)
        o->len--;
    return room;
}

void json_put_bytes(struct json *j, const char *key, struct tarn_bytes b)
{
    json_key(j, key);
    json_str(j, b);
    if (tarn_utf8_valid(b))
        return;
    struct tarn_out *o = j->out;
    tarn_out_str(o, ",\"");
    put_text(o, tarn_bytes_str(key));
    tarn_out_str(o, "_b64\":\"");
    char *room = text_room(o, (b.len + 2) / 3 * 4);
    if (room != NULL)
        (void)tarn_base64(room, b);
    tarn_out_u8(o, '"');
}

void json_put_hex(struct json *j, const char *key, struct tarn_bytes b)
{
    json_key(j, key);
    separate(j);
    tarn_out_u8(j->out, '"');
    char *room = text_room(j->out, 2 * b.len);
    if (room != NULL)
        (void)tarn_hex(room, b);
    tarn_out_u8(j->out, '"');
}

void json_put_u64(struct json *j, const char *key, uint64_t v)
{
    json_key(j, key);
    json_u64(j, v);
}

void json_put_bool(struct json *j, const char *key, bool v)
{
    json_key(j, key);
    json_bool(j, v);
}
