/* node/value: see the header. */
#include "node/value.h"

#include "base/num.h"
#include "base/text.h"
#include "codec/url.h"

#include <stdio.h>

enum { PATH_LEN_MAX = 4095, URL_LEN_MAX = 2000 };

bool node_switch_parse(struct tarn_bytes text, bool *on)
{
    static const char *const yes[] = { "on", "yes", "true", "1" };
    static const char *const no[] = { "off", "no", "false", "0" };
    for (size_t i = 0; i < TARN_COUNT_OF(yes); i++)
        if (tarn_bytes_eq_str(text, yes[i]) || tarn_bytes_eq_str(text, no[i])) {
            *on = tarn_bytes_eq_str(text, yes[i]);
            return true;
        }
    return false;
}

bool node_word_parse(const char *words, struct tarn_bytes text, uint64_t *at)
{
    uint64_t i = 0;
    for (const char *w = words; *w != '\0'; w += strcspn(w, " "), w += *w == ' ', i++)
        if (tarn_bytes_eq(text, tarn_bytes_of(w, strcspn(w, " ")))) {
            *at = i;
            return true;
        }
    return false;
}

bool node_text_ok(struct tarn_bytes text, const char **why)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] < 0x20 || text.p[i] == 0x7F) {
            *why = "without control characters";
            return false;
        }
    return true;
}

bool node_path_ok(struct tarn_bytes text, const char **why)
{
    if (!node_text_ok(text, why))
        return false;
    *why = text.len == 0 || text.p[0] != '/' ? "that begins with /" : "of at most 4095 bytes";
    if (text.len == 0 || text.p[0] != '/' || text.len > PATH_LEN_MAX)
        return false;
    for (size_t i = 0; i + 2 < text.len; i++)
        if (memcmp(text.p + i, "/..", 3) == 0 && (i + 3 == text.len || text.p[i + 3] == '/')) {
            *why = "without ..";
            return false;
        }
    return true;
}

/* The end of each complaint: what was there. */
static bool refuse(enum node_key key, struct tarn_bytes text, struct tarn_err *err,
                   const char *like)
{
    struct node_key_text name;
    struct tarn_quote q;
    return tarn_fail(err, TARN_E_USAGE, "%s wants %s, not '%s'", node_key_text(&name, key), like,
                     tarn_quote(&q, text));
}

static bool parse_number(enum node_key key, struct tarn_bytes text, uint64_t *n,
                         struct tarn_err *err)
{
    static const char *const likes[] = {
        [NODE_COUNT] = "a number",
        [NODE_SIZE] = "a size like 1000, 256K or 4M",
        [NODE_RATE] = "a size a second like 256K or 4M",
        [NODE_DURATION] = "a time like 90, 30m, 2h or 7d",
    };
    const struct node_key_info *k = &node_keys[key];
    char like[128];
    bool ok = k->kind == NODE_COUNT      ? tarn_parse_u64(text, UINT64_MAX, n)
              : k->kind == NODE_DURATION ? tarn_parse_seconds(text, n)
                                         : tarn_parse_size(text, n);
    if (k->words != NULL && tarn_bytes_eq_str(text, k->words)) {
        *n = 0;
        return true;
    }
    snprintf(like, sizeof like, "%s from %llu to %llu%s%s", likes[k->kind],
             (unsigned long long)(k->min), (unsigned long long)k->max,
             k->words == NULL ? "" : ", or ", k->words == NULL ? "" : k->words);
    return (ok && *n >= k->min && *n <= k->max) || refuse(key, text, err, like);
}

static bool is_gap(uint8_t c)
{
    return c == ' ' || c == '\t' || c == ',';
}

static bool parse_addrs(enum node_key key, struct tarn_bytes text, struct node_value *v,
                        struct tarn_err *err)
{
    char like[96];
    v->n_addrs = 0;
    if (tarn_bytes_eq_str(text, "off"))
        return true;
    snprintf(like, sizeof like, "addresses like 127.0.0.1:%u or [::1]:%u, or off",
             node_keys[key].port, node_keys[key].port);
    for (size_t i = 0; i < text.len;) {
        size_t from = i;
        while (i < text.len && !is_gap(text.p[i]))
            i++;
        struct tarn_bytes one = tarn_bytes_of(text.p + from, i - from);
        while (i < text.len && is_gap(text.p[i]))
            i++;
        if (one.len == 0)
            continue;
        if (v->n_addrs == NODE_CONFIG_ADDRS_MAX)
            return refuse(key, text, err, "at most 16 addresses");
        if (!sys_addr_parse(one, node_keys[key].port, &v->addrs[v->n_addrs]))
            return refuse(key, one, err, like);
        for (size_t j = 0; j < v->n_addrs; j++)
            if (sys_addr_eq(&v->addrs[j], &v->addrs[v->n_addrs]) && v->addrs[j].port != 0)
                return refuse(key, one, err, "each address once");
        v->n_addrs++;
    }
    return v->n_addrs > 0 || refuse(key, text, err, like);
}

static bool parse_url(enum node_key key, struct tarn_bytes text, struct tarn_err *err)
{
    struct url u;
    bool ok = text.len <= URL_LEN_MAX && url_parse(text, &u, NULL) && !u.has_query &&
              (url_scheme_is(&u, "http") || url_scheme_is(&u, "https")) &&
              memchr(text.p, '#', text.len) == NULL && memchr(text.p, '@', text.len) == NULL;
    return ok || refuse(key, text, err, "a URL like https://files.example");
}

static bool parse_text(enum node_key key, struct tarn_bytes text, struct tarn_err *err)
{
    const char *why = "";
    char like[64];
    bool is_path = node_keys[key].kind == NODE_PATH;
    if (is_path ? node_path_ok(text, &why) : node_text_ok(text, &why))
        return true;
    snprintf(like, sizeof like, "%s %s", is_path ? "a path" : "words", why);
    return refuse(key, text, err, like);
}

static bool parse_word(enum node_key key, struct tarn_bytes text, uint64_t *n, struct tarn_err *err)
{
    char like[128];
    snprintf(like, sizeof like, "one of: %s", node_keys[key].words);
    return node_word_parse(node_keys[key].words, text, n) || refuse(key, text, err, like);
}

bool node_value_parse(enum node_key key, struct tarn_bytes text, struct node_value *v,
                      struct tarn_err *err)
{
    const struct node_key_info *k = &node_keys[key];
    struct node_value new = { 0 };
    bool on = false, ok = false;
    if (text.len == 0 && *k->usual == '\0') {
        *v = new;
        return true;
    }
    switch (k->kind) {
    case NODE_BOOL:
        ok = node_switch_parse(text, &on) || refuse(key, text, err, "on or off");
        new.n = on;
        break;
    case NODE_COUNT:
    case NODE_SIZE:
    case NODE_RATE:
    case NODE_DURATION:
        ok = parse_number(key, text, &new.n, err);
        break;
    case NODE_WORD:
        ok = parse_word(key, text, &new.n, err);
        break;
    case NODE_ADDRS:
        ok = parse_addrs(key, text, &new, err);
        break;
    case NODE_URL:
        ok = parse_url(key, text, err);
        break;
    case NODE_PATH:
    case NODE_TEXT:
        ok = parse_text(key, text, err);
        break;
    }
    if (ok)
        *v = new;
    return ok;
}
