/* bt/core/magnet: see the header. A parameter that says which torrent is meant (xt) must be right;
 * every other one is a hint, and what is wrong in it is left out. */
#include "bt/core/magnet.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "bt/core/texts.h"
#include "codec/url.h"
#include "crypt/sha.h"

#include <strings.h>

enum {
    MAGNET_MAX = 1 << 20, /* bytes of a link; ours: no shell or browser passes on so many */
    PEERS_MAX = 200,      /* ours */
    /* Ours: an info dictionary within our limit of tokens cannot list more files than this. */
    FILE_NUMBER_MAX = 999999,
};

struct parsing {
    struct bt_magnet *m;
    struct bt_texts trackers, web_seeds, peers;
    struct bt_range *only; /* owned, until it moves to the arena */
    size_t n_only, cap_only;
    struct tarn_out text; /* the value at hand, unescaped */
    struct tarn_err *err;
};

static bool begins(struct tarn_bytes b, const char *text)
{
    size_t n = strlen(text);
    return b.len >= n && strncasecmp((const char *)b.p, text, n) == 0;
}

static bool is(struct tarn_bytes b, const char *text)
{
    return b.len == strlen(text) && begins(b, text);
}

static struct tarn_bytes after(struct tarn_bytes b, size_t n)
{
    return tarn_bytes_of(b.p + n, b.len - n);
}

bool bt_is_magnet(struct tarn_bytes text)
{
    return begins(text, "magnet:");
}

static bool fail_xt(struct parsing *p, struct tarn_bytes xt, const char *why)
{
    struct tarn_quote q;
    return tarn_fail(p->err, TARN_E_FAILED, "'%s' in the magnet link %s", tarn_quote(&q, xt), why);
}

/* One of the two hashes. The same one again is no harm, another one is. */
static bool set_hash(struct parsing *p, struct tarn_bytes xt, const uint8_t *hash, uint8_t *to,
                     size_t len, bool *has)
{
    if (*has && memcmp(hash, to, len) != 0)
        return fail_xt(p, xt, "is not the only torrent that it names");
    memcpy(to, hash, len);
    *has = true;
    return true;
}

static bool read_xt(struct parsing *p, struct tarn_bytes xt)
{
    static const char v1[] = "urn:btih:", v2[] = "urn:btmh:";
    struct bt_hashes *h = &p->m->hashes;
    uint8_t hash[2 + CRYPT_SHA256_LEN];
    if (begins(xt, v1)) {
        struct tarn_bytes digits = after(xt, sizeof v1 - 1);
        if (!tarn_unhex(digits, hash, sizeof h->v1) && !tarn_unbase32(digits, hash, sizeof h->v1))
            return fail_xt(p, xt, "is not an info-hash of 40 hex or 32 base32 digits");
        return set_hash(p, xt, hash, h->v1, sizeof h->v1, &h->has_v1);
    }
    if (begins(xt, v2)) { /* a multihash: 0x12 is SHA-256, 0x20 its length */
        if (!tarn_unhex(after(xt, sizeof v2 - 1), hash, sizeof hash) || hash[0] != 0x12 ||
            hash[1] != 0x20)
            return fail_xt(p, xt, "is not a SHA-256 multihash (1220 and 64 hex digits)");
        return set_hash(p, xt, hash + 2, h->v2, sizeof h->v2, &h->has_v2);
    }
    return true; /* another network's name for it */
}

/* host:port, v4:port or [v6]:port; whether there is such a host shows when it is looked up. */
static bool is_peer(struct tarn_bytes text)
{
    size_t colon = text.len;
    while (colon > 0 && text.p[colon - 1] != ':')
        colon--;
    uint64_t port;
    if (colon < 2 || !tarn_parse_u64(after(text, colon), UINT16_MAX, &port) || port == 0)
        return false;
    struct tarn_bytes host = tarn_bytes_of(text.p, colon - 1);
    bool is_v6 = host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']';
    if (is_v6)
        host = tarn_bytes_of(host.p + 1, host.len - 2);
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.p[i];
        bool is_digit = c >= '0' && c <= '9';
        bool is_hex = is_digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        bool is_name =
            is_digit || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
        if (c != '.' && !(is_v6 ? is_hex || c == ':' : is_name))
            return false;
    }
    return host.len <= 253; /* the longest DNS name */
}

static bool take_number(struct tarn_bytes *text, uint64_t *v)
{
    size_t n = 0;
    while (n < text->len && text->p[n] >= '0' && text->p[n] <= '9')
        n++;
    bool ok = tarn_parse_u64(tarn_bytes_of(text->p, n), FILE_NUMBER_MAX, v);
    *text = after(*text, n);
    return ok;
}

/* "4" or "4-7"; false: neither, or past the limit. */
static bool parse_range(struct tarn_bytes item, struct bt_range *range)
{
    uint64_t first, last;
    if (!take_number(&item, &first))
        return false;
    last = first;
    if (item.len > 0 && item.p[0] == '-') {
        item = after(item, 1);
        if (!take_number(&item, &last))
            return false;
    }
    *range = (struct bt_range){ (uint32_t)first, (uint32_t)last };
    return item.len == 0 && first <= last;
}

/* BEP 53. A character that does not belong there voids it all, a range that is none only itself. */
static bool read_only(struct parsing *p, struct tarn_bytes so)
{
    for (size_t i = 0; i < so.len; i++)
        if ((so.p[i] < '0' || so.p[i] > '9') && so.p[i] != ',' && so.p[i] != '-')
            return true;
    while (so.len > 0) {
        const uint8_t *comma = memchr(so.p, ',', so.len);
        size_t n = comma == NULL ? so.len : (size_t)(comma - so.p);
        struct bt_range range;
        if (parse_range(tarn_bytes_of(so.p, n), &range)) {
            if (!TARN_GROW(p->only, p->n_only, p->cap_only))
                return tarn_fail_mem(p->err, "reading a magnet link");
            p->only[p->n_only++] = range;
        }
        so = after(so, comma == NULL ? n : n + 1);
    }
    return true;
}

static bool add_url(struct parsing *p, struct bt_texts *to, struct tarn_bytes url,
                    const char *const *schemes)
{
    url = bt_url_clean(url, schemes);
    return url.len == 0 || bt_texts_add(to, url) || tarn_fail_mem(p->err, "reading a magnet link");
}

/* "tr.1" is one of several "tr". */
static struct tarn_bytes without_number(struct tarn_bytes key)
{
    size_t n = key.len;
    while (n > 0 && key.p[n - 1] >= '0' && key.p[n - 1] <= '9')
        n--;
    return n > 1 && n < key.len && key.p[n - 1] == '.' ? tarn_bytes_of(key.p, n - 1) : key;
}

static bool read_parameter(struct parsing *p, struct tarn_bytes key, struct tarn_bytes value)
{
    struct bt_magnet *m = p->m;
    bool is_name = is(key, "dn");
    tarn_out_clear(&p->text);
    /* elsewhere a '+' is more likely an address's own than somebody's space */
    url_unescape(&p->text, value, is_name);
    if (!tarn_out_ok(&p->text))
        return tarn_fail_mem(p->err, "reading a magnet link");
    struct tarn_bytes text = tarn_out_bytes(&p->text);
    if (is(key, "xt"))
        return read_xt(p, text);
    if (is(key, "tr"))
        return add_url(p, &p->trackers, text, bt_tracker_schemes);
    if (is(key, "ws"))
        return add_url(p, &p->web_seeds, text, bt_web_seed_schemes);
    if (is(key, "so"))
        return read_only(p, text);
    if (is(key, "x.pe") && is_peer(text))
        return bt_texts_add(&p->peers, text) || tarn_fail_mem(p->err, "reading a magnet link");
    if (is_name && m->name == NULL && text.len > 0)
        return (m->name = bt_text(&m->arena, text)) != NULL ||
               tarn_fail_mem(p->err, "reading a magnet link");
    return true;
}

static bool keep(struct parsing *p)
{
    struct bt_magnet *m = p->m;
    m->n_only = (uint32_t)p->n_only;
    m->only = tarn_arena_alloc(&m->arena, p->n_only, sizeof *m->only);
    if (m->only == NULL || !bt_texts_keep(&p->trackers, &m->trackers, &m->n_trackers) ||
        !bt_texts_keep(&p->web_seeds, &m->web_seeds, &m->n_web_seeds) ||
        !bt_texts_keep(&p->peers, &m->peers, &m->n_peers))
        return tarn_fail_mem(p->err, "reading a magnet link");
    if (p->n_only > 0)
        memcpy(m->only, p->only, p->n_only * sizeof *m->only);
    return true;
}

static bool read_link(struct parsing *p, struct tarn_bytes uri)
{
    struct tarn_bytes query = after(uri, strlen("magnet:")), key, value;
    if (query.len == 0 || query.p[0] != '?')
        return tarn_fail(p->err, TARN_E_FAILED, "the magnet link has no '?' after 'magnet:'");
    query = after(query, 1);
    while (url_query_next(&query, &key, &value))
        if (!read_parameter(p, without_number(key), value))
            return false;
    if (!p->m->hashes.has_v1 && !p->m->hashes.has_v2)
        return tarn_fail(p->err, TARN_E_FAILED,
                         "the magnet link names no torrent (no xt=urn:btih: or urn:btmh:)");
    return keep(p);
}

bool bt_magnet_parse(struct bt_magnet *m, struct tarn_bytes uri, struct tarn_err *err)
{
    struct tarn_quote q;
    uint8_t seed[CRYPT_SHA256_LEN];
    if (!bt_is_magnet(uri))
        return tarn_fail(err, TARN_E_FAILED, "'%s' is not a magnet link", tarn_quote(&q, uri));
    if (uri.len > MAGNET_MAX)
        return tarn_fail(err, TARN_E_FAILED, "a magnet link of %zu bytes is longer than %d",
                         uri.len, MAGNET_MAX);
    struct bt_magnet made = { .n_only = 0 };
    struct parsing p = { .m = &made, .err = err };
    tarn_arena_init(&made.arena, TARN_MIB + 8 * uri.len);
    tarn_out_init(&p.text, uri.len + 1);
    crypt_hash(CRYPT_SHA256, uri, seed); /* as in metainfo.c */
    bt_texts_init(&p.trackers, &made.arena, BT_TRACKERS_MAX, seed);
    bt_texts_init(&p.web_seeds, &made.arena, BT_WEB_SEEDS_MAX, seed);
    bt_texts_init(&p.peers, &made.arena, PEERS_MAX, seed);
    bool ok = read_link(&p, uri);
    bt_texts_release(&p.trackers);
    bt_texts_release(&p.web_seeds);
    bt_texts_release(&p.peers);
    tarn_out_release(&p.text);
    tarn_free(p.only);
    if (ok)
        *m = made;
    else
        tarn_arena_release(&made.arena);
    return ok;
}

void bt_magnet_release(struct bt_magnet *m)
{
    tarn_arena_release(&m->arena);
    *m = (struct bt_magnet){ .n_only = 0 };
}

static void put_hash(struct tarn_out *o, const char *before, const uint8_t *hash, size_t len)
{
    char hex[2 * CRYPT_SHA256_LEN + 1];
    tarn_out_str(o, before);
    tarn_out_str(o, tarn_hex(hex, tarn_bytes_of(hash, len)));
}

static void put_escaped(struct tarn_out *o, const char *before, const char *text)
{
    tarn_out_str(o, before);
    url_escape(o, tarn_bytes_str(text));
}

void bt_magnet_write(const struct bt_metainfo *m, struct tarn_out *o)
{
    const struct bt_hashes *h = &m->hashes;
    tarn_out_str(o, "magnet:?");
    if (h->has_v1)
        put_hash(o, "xt=urn:btih:", h->v1, sizeof h->v1);
    if (h->has_v2)
        put_hash(o, h->has_v1 ? "&xt=urn:btmh:1220" : "xt=urn:btmh:1220", h->v2, sizeof h->v2);
    put_escaped(o, "&dn=", m->name);
    for (uint32_t i = 0; i < m->n_trackers; i++)
        put_escaped(o, "&tr=", m->trackers[i].url);
    for (uint32_t i = 0; i < m->n_web_seeds; i++)
        put_escaped(o, "&ws=", m->web_seeds[i]);
}
