/* node/route: a few words, compared in order. */
#include "node/route.h"

#include "base/num.h"
#include "base/text.h"
#include "codec/url.h"

static const char *const words[] = { "", "torrent", "magnet", "meta4", "sha256" };

const char *node_sibling_word(enum node_sibling s)
{
    return words[s];
}

static bool begins(struct tarn_bytes b, const char *with)
{
    size_t n = strlen(with);
    return b.len >= n && memcmp(b.p, with, n) == 0;
}

static struct tarn_bytes behind(struct tarn_bytes b, size_t n)
{
    return tarn_bytes_of(b.p + n, b.len - n);
}

enum node_sibling node_sibling_of(struct tarn_bytes name, struct tarn_bytes *stem)
{
    for (enum node_sibling s = NODE_TORRENT; s <= NODE_SHA256; s++) {
        size_t n = strlen(words[s]);
        if (name.len <= n + 1 || name.p[name.len - n - 1] != '.' ||
            memcmp(name.p + name.len - n, words[s], n) != 0 || name.p[name.len - n - 2] == '/')
            continue;
        *stem = tarn_bytes_of(name.p, name.len - n - 1);
        return s;
    }
    return NODE_NO_SIBLING;
}

bool node_padding(struct tarn_bytes path, uint64_t *len)
{
    static const char folder[] = ".pad/";
    const size_t n = sizeof folder - 1;
    return begins(path, folder) && path.len > n && path.p[n] != '0' &&
           tarn_parse_u64(behind(path, n), INT64_MAX, len);
}

/* <64 hex>-<decimal length>, without a sign or leading zeros: one way to write each. */
static bool read_identity(struct node_route *r, struct tarn_bytes text)
{
    enum { HEX = 64 };
    if (text.len < HEX + 2 || text.p[HEX] != '-' ||
        !tarn_unhex(tarn_bytes_of(text.p, HEX), r->root, sizeof r->root))
        return false;
    struct tarn_bytes digits = behind(text, HEX + 1);
    if (digits.p[0] == '0')
        return false; /* an empty file has no root */
    return tarn_parse_u64(digits, INT64_MAX, &r->len);
}

static void read_below(struct node_route *r, struct tarn_bytes rest)
{
    const uint8_t *slash = memchr(rest.p, '/', rest.len);
    size_t n = slash == NULL ? rest.len : (size_t)(slash - rest.p);
    if (n == 0)
        return;
    r->collection = tarn_bytes_of(rest.p, n);
    r->kind = slash == NULL ? NODE_ROUTE_COLLECTION : NODE_ROUTE_PATH;
    if (slash == NULL)
        return;
    r->path = behind(rest, n + 1);
    r->is_folder = r->path.len == 0 || r->path.p[r->path.len - 1] == '/';
    if (r->path.len > 0 && r->is_folder)
        r->path.len--;
}

void node_route(struct node_route *r, struct tarn_bytes path)
{
    *r = (struct node_route){ .kind = NODE_ROUTE_NONE };
    if (tarn_bytes_eq_str(path, "/"))
        r->kind = NODE_ROUTE_INDEX;
    else if (tarn_bytes_eq_str(path, "/healthz"))
        r->kind = NODE_ROUTE_HEALTH;
    else if (begins(path, "/c/"))
        read_below(r, behind(path, 3));
    else if (begins(path, "/root/") && read_identity(r, behind(path, 6)))
        r->kind = NODE_ROUTE_ROOT;
}

static void read_as(struct node_query *q, struct tarn_bytes value)
{
    q->as = NODE_NO_SIBLING;
    q->as_json = tarn_bytes_eq_str(value, "json");
    q->as_list = tarn_bytes_eq_str(value, "list");
    for (enum node_sibling s = NODE_TORRENT; s <= NODE_SHA256; s++)
        if (tarn_bytes_eq_str(value, words[s]))
            q->as = s;
    q->is_bad = !q->as_json && !q->as_list && q->as == NODE_NO_SIBLING;
}

void node_query(struct node_query *q, struct tarn_bytes query)
{
    struct tarn_bytes key, value;
    *q = (struct node_query){ .as = NODE_NO_SIBLING, .is_plain = true };
    while (url_query_next(&query, &key, &value)) {
        bool is_ours = true;
        if (tarn_bytes_eq_str(key, "as"))
            read_as(q, value);
        else if (tarn_bytes_eq_str(key, "proof"))
            q->wants_proof = true;
        else if (tarn_bytes_eq_str(key, "after"))
            q->after = value;
        else
            is_ours = false;
        q->is_plain &= !is_ours;
    }
}
