/* http/core/cond: see the header. */
#include "http/core/cond.h"

#include "http/core/date.h"
#include "http/core/priv.h"

/* A tag without W/. */
static struct tarn_bytes opaque(struct tarn_bytes etag, bool *is_weak)
{
    *is_weak = etag.len >= 2 && etag.p[0] == 'W' && etag.p[1] == '/';
    return *is_weak ? http_from(etag, 2) : etag;
}

static bool etags_equal(struct tarn_bytes a, struct tarn_bytes b, bool is_strong)
{
    bool is_weak_a, is_weak_b;
    a = opaque(a, &is_weak_a);
    b = opaque(b, &is_weak_b);
    if (is_strong && (is_weak_a || is_weak_b))
        return false;
    return a.len > 0 && tarn_bytes_eq(a, b);
}

/* Take a tag, [W/]"...", from the front. False: there is none. */
static bool take_etag(struct tarn_bytes *rest, struct tarn_bytes *etag)
{
    bool is_weak;
    struct tarn_bytes text = opaque(*rest, &is_weak);
    if (text.len < 2 || text.p[0] != '"')
        return false;
    size_t n = 1;
    while (n < text.len && text.p[n] != '"' && text.p[n] > 0x20 && text.p[n] != 0x7F)
        n++;
    if (n == text.len || text.p[n] != '"')
        return false;
    n += is_weak ? 3 : 1;
    *etag = tarn_bytes_of(rest->p, n);
    *rest = http_from(*rest, n);
    return true;
}

bool http_etag_in(struct tarn_bytes list, struct tarn_bytes etag, bool is_strong)
{
    list = http_trim(list);
    if (tarn_bytes_eq_str(list, "*"))
        return true;
    while (list.len > 0) {
        struct tarn_bytes one;
        if (list.p[0] != ',') {
            if (!take_etag(&list, &one))
                return false;
            if (etags_equal(one, etag, is_strong))
                return true;
            list = http_trim(list);
            if (list.len > 0 && list.p[0] != ',')
                return false;
        }
        list = http_trim(list.len > 0 ? http_from(list, 1) : list);
    }
    return false;
}

static bool matches(const struct http_request *req, enum http_known known,
                    const struct http_validators *v, bool is_strong)
{
    struct http_values lines = http_values_of(req, known);
    struct tarn_bytes list;
    while (http_values_next(&lines, &list))
        if (v->exists && http_etag_in(list, v->etag, is_strong))
            return true;
    return false;
}

/* The date of a field, when it has a good one and what it is compared with is known. */
static bool date_of(const struct http_request *req, enum http_known known,
                    const struct http_validators *v, int64_t now_s, int64_t *s)
{
    return http_has(req, known) && v->exists && v->modified_s != HTTP_NO_TIME &&
           http_date_parse(http_value(req, known), now_s, s);
}

enum http_cond http_cond_check(const struct http_request *req, const struct http_validators *v,
                               int64_t now_s)
{
    int64_t s;
    if (http_has(req, HTTP_IF_MATCH)) {
        if (!matches(req, HTTP_IF_MATCH, v, true))
            return HTTP_COND_FAILED;
    } else if (date_of(req, HTTP_IF_UNMODIFIED_SINCE, v, now_s, &s) && v->modified_s > s) {
        return HTTP_COND_FAILED;
    }
    bool is_read = req->method == HTTP_GET || req->method == HTTP_HEAD;
    if (http_has(req, HTTP_IF_NONE_MATCH)) {
        if (matches(req, HTTP_IF_NONE_MATCH, v, false))
            return is_read ? HTTP_COND_UNCHANGED : HTTP_COND_FAILED;
    } else if (is_read && date_of(req, HTTP_IF_MODIFIED_SINCE, v, now_s, &s) && s <= now_s &&
               v->modified_s <= s) {
        return HTTP_COND_UNCHANGED;
    }
    return HTTP_COND_GO;
}

bool http_cond_range(const struct http_request *req, const struct http_validators *v, int64_t now_s)
{
    if (req->method != HTTP_GET || !http_has(req, HTTP_RANGE) || !v->exists)
        return false;
    if (!http_has(req, HTTP_IF_RANGE))
        return true;
    struct tarn_bytes value = http_value(req, HTTP_IF_RANGE), rest = value, etag;
    if (take_etag(&rest, &etag))
        return rest.len == 0 && etags_equal(etag, v->etag, true);
    int64_t s;
    return v->is_modified_strong && date_of(req, HTTP_IF_RANGE, v, now_s, &s) && s == v->modified_s;
}
