/* http/core/accept: see the header. An element that is malformed says nothing and is passed over;
 * the ones beside it count. */
#include "http/core/accept.h"

#include "http/core/priv.h"

/* How specific a range is that fits; each parameter adds one to BY_PARAMS. */
enum {
    BY_NOTHING, /* it does not fit */
    BY_ANY,     /* a star and a star */
    BY_TYPE,    /* a type and a star */
    BY_SUBTYPE, /* a type and a subtype */
};

/* Take an element from a list, up to a comma that is not inside quotes. */
static bool take_element(struct tarn_bytes *list, struct tarn_bytes *element)
{
    if (list->len == 0)
        return false;
    bool is_quoted = false;
    size_t n = 0;
    for (; n < list->len && (is_quoted || list->p[n] != ','); n++) {
        if (list->p[n] == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && list->p[n] == '\\' && n + 1 < list->len)
            n++;
    }
    *element = http_trim(tarn_bytes_of(list->p, n));
    *list = http_from(*list, n < list->len ? n + 1 : n);
    return true;
}

static struct tarn_bytes take_token(struct tarn_bytes *rest)
{
    size_t n = 0;
    while (n < rest->len && http_is_token_byte(rest->p[n]))
        n++;
    struct tarn_bytes token = tarn_bytes_of(rest->p, n);
    *rest = http_from(*rest, n);
    return token;
}

/* A value: a token, or what stands between quotes. False: neither. */
static bool take_value(struct tarn_bytes *rest, struct tarn_bytes *value)
{
    if (rest->len == 0 || rest->p[0] != '"') {
        *value = take_token(rest);
        return value->len > 0;
    }
    for (size_t n = 1; n < rest->len; n++) {
        if (rest->p[n] == '"') {
            *value = tarn_bytes_of(rest->p + 1, n - 1);
            *rest = http_from(*rest, n + 1);
            return true;
        }
        n += rest->p[n] == '\\';
    }
    return false;
}

enum param {
    PARAM_NONE, /* the element is over */
    PARAM_GOOD,
    PARAM_BAD,
};

/* Take ;name=value from the front. An element may end with a lone ';'. */
static enum param take_param(struct tarn_bytes *rest, struct tarn_bytes *name,
                             struct tarn_bytes *value)
{
    *rest = http_trim(*rest);
    while (rest->len > 0 && rest->p[0] == ';') {
        *rest = http_trim(http_from(*rest, 1));
        if (rest->len == 0 || rest->p[0] == ';')
            continue;
        *name = take_token(rest);
        *value = tarn_bytes_of(NULL, 0);
        if (name->len == 0)
            return PARAM_BAD;
        if (rest->len == 0 || rest->p[0] != '=')
            return PARAM_GOOD; /* an extension may have no value */
        *rest = http_from(*rest, 1);
        return take_value(rest, value) ? PARAM_GOOD : PARAM_BAD;
    }
    return rest->len == 0 ? PARAM_NONE : PARAM_BAD;
}

/* 0, 0.5, 1.000: in thousandths. More than three decimals are cut. */
static bool read_q(struct tarn_bytes text, unsigned *q)
{
    if (text.len == 0 || (text.p[0] != '0' && text.p[0] != '1') ||
        (text.len > 1 && text.p[1] != '.'))
        return false;
    unsigned value = text.p[0] == '1' ? HTTP_Q_MAX : 0;
    unsigned unit = HTTP_Q_MAX / 10;
    for (size_t i = 2; i < text.len; i++, unit /= 10) {
        if (!http_is_digit(text.p[i]))
            return false;
        value += unit * (unsigned)(text.p[i] - '0');
    }
    *q = value;
    return value <= HTTP_Q_MAX;
}

/* The q among the parameters of an element; those before it stay in *params. False: malformed. */
static bool find_q(struct tarn_bytes rest, struct tarn_bytes *params, unsigned *q)
{
    *q = HTTP_Q_MAX;
    *params = rest;
    bool has_q = false;
    struct tarn_bytes name, value;
    for (;;) {
        size_t before = rest.len;
        enum param param = take_param(&rest, &name, &value);
        if (param != PARAM_GOOD)
            return param == PARAM_NONE;
        if (!has_q && http_is(name, "q")) {
            has_q = true;
            params->len -= before;
            if (!read_q(value, q))
                return false;
        }
    }
}

static const char *const coding_names[HTTP_CODING_COUNT] = {
    [HTTP_IDENTITY] = "identity", [HTTP_GZIP] = "gzip",       [HTTP_BROTLI] = "br",
    [HTTP_ZSTD] = "zstd",         [HTTP_DEFLATE] = "deflate",
};

const char *http_coding_name(enum http_coding coding)
{
    return coding_names[coding];
}

/* HTTP_CODING_COUNT: another one. */
static enum http_coding find_coding(struct tarn_bytes name)
{
    for (unsigned c = 0; c < HTTP_CODING_COUNT; c++)
        if (http_is(name, coding_names[c]))
            return c;
    return http_is(name, "x-gzip") ? HTTP_GZIP : HTTP_CODING_COUNT;
}

enum { Q_UNSAID = UINT16_MAX };

static void read_codings(struct tarn_bytes list, uint16_t q[HTTP_CODING_COUNT], uint16_t *others)
{
    struct tarn_bytes element, params;
    while (take_element(&list, &element)) {
        struct tarn_bytes name = take_token(&element); /* '*' is a token */
        unsigned value;
        if (name.len == 0 || !find_q(element, &params, &value))
            continue;
        enum http_coding coding = find_coding(name);
        if (coding < HTTP_CODING_COUNT)
            q[coding] = (uint16_t)value;
        else if (http_is(name, "*"))
            *others = (uint16_t)value;
    }
}

void http_accept_codings(const struct http_request *req, uint16_t q[HTTP_CODING_COUNT])
{
    bool is_said = http_has(req, HTTP_ACCEPT_ENCODING);
    uint16_t others = is_said ? Q_UNSAID : HTTP_Q_MAX;
    for (unsigned c = 0; c < HTTP_CODING_COUNT; c++)
        q[c] = Q_UNSAID;
    struct http_values lines = http_values_of(req, HTTP_ACCEPT_ENCODING);
    struct tarn_bytes list;
    while (http_values_next(&lines, &list))
        read_codings(list, q, &others);
    for (unsigned c = 0; c < HTTP_CODING_COUNT; c++) {
        if (q[c] != Q_UNSAID)
            continue;
        /* Identity that is not named is welcome, but less than what is. */
        q[c] = others != Q_UNSAID ? others : c == HTTP_IDENTITY ? 1 : 0;
    }
}

enum http_coding http_accept_coding(const struct http_request *req, const enum http_coding *have,
                                    size_t n)
{
    uint16_t q[HTTP_CODING_COUNT];
    http_accept_codings(req, q);
    enum http_coding best = HTTP_IDENTITY;
    unsigned best_q = 0;
    for (size_t i = 0; i < n; i++) {
        if (q[have[i]] > best_q) {
            best = have[i];
            best_q = q[best];
        }
    }
    return q[HTTP_IDENTITY] > best_q ? HTTP_IDENTITY : best;
}

/* A media type, or a range of them. */
struct media {
    struct tarn_bytes type, subtype, params;
};

static bool read_media(struct tarn_bytes text, struct media *m)
{
    m->type = take_token(&text);
    if (m->type.len == 0 || text.len == 0 || text.p[0] != '/')
        return false;
    text = http_from(text, 1);
    m->subtype = take_token(&text);
    m->params = text;
    return m->subtype.len > 0;
}

static bool same(struct tarn_bytes a, struct tarn_bytes b)
{
    size_t i = 0;
    while (a.len == b.len && i < a.len && http_lower(a.p[i]) == http_lower(b.p[i]))
        i++;
    return a.len == b.len && i == a.len;
}

static bool has_param(const struct media *m, struct tarn_bytes name, struct tarn_bytes value)
{
    struct tarn_bytes rest = m->params, its_name, its_value;
    while (take_param(&rest, &its_name, &its_value) == PARAM_GOOD)
        if (same(name, its_name) && same(value, its_value))
            return true;
    return false;
}

/* How specifically a range (its params before q) fits a type. */
static unsigned fit(const struct media *range, const struct media *type)
{
    bool is_any = http_is(range->type, "*"), is_any_subtype = http_is(range->subtype, "*");
    if (is_any && is_any_subtype)
        return BY_ANY;
    if (!same(range->type, type->type))
        return BY_NOTHING;
    if (is_any_subtype)
        return BY_TYPE;
    if (!same(range->subtype, type->subtype))
        return BY_NOTHING;
    unsigned by = BY_SUBTYPE;
    struct tarn_bytes rest = range->params, name, value;
    while (take_param(&rest, &name, &value) == PARAM_GOOD) {
        if (!has_param(type, name, value))
            return BY_NOTHING;
        by++;
    }
    return by;
}

unsigned http_accept_q(const struct http_request *req, const char *type)
{
    struct media offered;
    if (!http_has(req, HTTP_ACCEPT))
        return HTTP_Q_MAX;
    if (!read_media(tarn_bytes_str(type), &offered))
        return 0;
    unsigned best = BY_NOTHING, best_q = 0;
    bool is_said = false;
    struct http_values lines = http_values_of(req, HTTP_ACCEPT);
    struct tarn_bytes list, element;
    while (http_values_next(&lines, &list)) {
        while (take_element(&list, &element)) {
            struct media range;
            unsigned q;
            is_said |= element.len > 0;
            if (!read_media(element, &range) || !find_q(range.params, &range.params, &q))
                continue;
            unsigned by = fit(&range, &offered);
            if (by > best || (by == best && by != BY_NOTHING && q > best_q)) {
                best = by;
                best_q = q;
            }
        }
    }
    return is_said ? best_q : HTTP_Q_MAX; /* an empty field says nothing */
}

int http_accept_type(const struct http_request *req, const char *const *types, size_t n)
{
    int best = -1;
    unsigned best_q = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned q = http_accept_q(req, types[i]);
        if (q > best_q) {
            best = (int)i;
            best_q = q;
        }
    }
    return best;
}
