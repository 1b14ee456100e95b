/* fetch/head: see the header. */
#include "fetch/head.h"

#include "base/num.h"

#include <string.h>
#include <strings.h>

static struct tarn_bytes trim(struct tarn_bytes b)
{
    while (b.len > 0 && strchr(" \t\r\n", b.p[b.len - 1]) != NULL && b.p[b.len - 1] != 0)
        b.len--;
    while (b.len > 0 && (b.p[0] == ' ' || b.p[0] == '\t')) {
        b.p++;
        b.len--;
    }
    return b;
}

static bool eq_no_case(struct tarn_bytes b, const char *s)
{
    return b.len == strlen(s) && strncasecmp((const char *)b.p, s, b.len) == 0;
}

/* The number in front of the character `until`, which is taken too; "" as `until`: all of it. */
static bool take_number(struct tarn_bytes *b, char until, uint64_t *out)
{
    const uint8_t *at = until == 0 ? b->p + b->len : memchr(b->p, until, b->len);
    if (at == NULL || !tarn_parse_u64(tarn_bytes_of(b->p, (size_t)(at - b->p)), INT64_MAX, out))
        return false;
    size_t used = (size_t)(at - b->p) + (until != 0);
    *b = tarn_bytes_of(b->p + used, b->len - used);
    return true;
}

static bool read_range(struct fetch_head *h, struct tarn_bytes v)
{
    if (v.len < 6 || strncasecmp((const char *)v.p, "bytes ", 6) != 0)
        return false;
    v = trim(tarn_bytes_of(v.p + 6, v.len - 6));
    if (!take_number(&v, '-', &h->first) || !take_number(&v, '/', &h->last))
        return false;
    h->has_total = !(v.len == 1 && v.p[0] == '*');
    if (h->has_total && !take_number(&v, 0, &h->total))
        return false;
    return h->first <= h->last && (!h->has_total || h->last < h->total);
}

static void on_range(struct fetch_head *h, struct tarn_bytes v)
{
    struct fetch_head before = *h;
    bool is_good = read_range(h, v);
    bool differs = before.has_range &&
                   (before.first != h->first || before.last != h->last || before.total != h->total);
    h->is_range_bad = before.is_range_bad || !is_good || differs;
    h->has_range = !h->is_range_bad;
}

static void on_server(struct fetch_head *h, struct tarn_bytes v)
{
    size_t n = tarn_min_size(v.len, sizeof h->server - 1);
    for (size_t i = 0; i < n; i++)
        h->server[i] = (char)(v.p[i] >= 0x20 && v.p[i] < 0x7F ? v.p[i] : '?');
    h->server[n] = 0;
}

void fetch_head_line(struct fetch_head *h, struct tarn_bytes line)
{
    if (line.len >= 5 && memcmp(line.p, "HTTP/", 5) == 0) {
        *h = (struct fetch_head){ 0 };
        return;
    }
    const uint8_t *colon = line.len == 0 ? NULL : memchr(line.p, ':', line.len);
    if (colon == NULL)
        return;
    struct tarn_bytes name = tarn_bytes_of(line.p, (size_t)(colon - line.p));
    struct tarn_bytes value = trim(tarn_bytes_of(colon + 1, line.len - name.len - 1));
    if (eq_no_case(name, "content-range"))
        on_range(h, value);
    else if (eq_no_case(name, "content-encoding"))
        h->is_coded = h->is_coded || !eq_no_case(value, "identity");
    else if (eq_no_case(name, "server"))
        on_server(h, value);
}
