/* bt/core/webseed: see the header. */
#include "bt/core/webseed.h"

#include "base/num.h"
#include "bt/core/paths.h"
#include "bt/core/plain.h"
#include "codec/url.h"

#include <stdio.h>

static bool parse(const char *text, struct url *u)
{
    return url_parse(tarn_bytes_str(text), u, NULL) &&
           (url_scheme_is(u, "http") || url_scheme_is(u, "https")) && u->host.len > 0;
}

bool bt_webseed_is_usable(const char *base)
{
    struct url u;
    return strlen(base) < BT_WEBSEED_URL_MAX / 2 && parse(base, &u);
}

bool bt_webseed_url(const struct bt_metainfo *m, const char *base, uint32_t file,
                    struct tarn_out *o)
{
    const struct bt_file *f = &m->files[file];
    size_t len = strcspn(base, "#");
    bool is_folder = len > 0 && base[len - 1] == '/';
    if (f->web_path != NULL && f->web_path[0] == 0)
        return false;
    tarn_out_init(o, BT_WEBSEED_URL_MAX);
    tarn_out_put(o, tarn_bytes_of(base, len));
    if (!m->is_single_file && !is_folder)
        tarn_out_u8(o, '/');
    if (!m->is_single_file || is_folder) {
        if (f->web_path != NULL)
            tarn_out_str(o, f->web_path);
        else
            bt_path_escape(o, tarn_bytes_str(f->path));
    }
    tarn_out_u8(o, 0);
    if (tarn_out_ok(o))
        return true;
    tarn_out_release(o);
    return false;
}

static void put_host(struct tarn_out *o, const struct url *u)
{
    bool is_v6 = memchr(u->host.p, ':', u->host.len) != NULL;
    if (is_v6)
        tarn_out_u8(o, '[');
    tarn_out_put(o, u->host);
    if (is_v6)
        tarn_out_u8(o, ']');
    bool is_usual = u->port == 0 || u->port == (url_scheme_is(u, "https") ? 443 : 80);
    if (!is_usual)
        tarn_out_fmt(o, ":%u", u->port);
}

static const char *keep_text(char text[BT_WEBSEED_SHOWN], struct tarn_out *o)
{
    if (tarn_out_ok(o))
        bt_plain_text(text, BT_WEBSEED_SHOWN, tarn_out_bytes(o));
    else
        text[0] = 0;
    tarn_out_release(o);
    return text;
}

const char *bt_webseed_show(char shown[BT_WEBSEED_SHOWN], const char *url)
{
    struct url u;
    struct tarn_out o;
    tarn_out_init(&o, strlen(url) + 32);
    if (parse(url, &u)) {
        tarn_out_str(&o, url_scheme_is(&u, "https") ? "https://" : "http://");
        put_host(&o, &u);
        tarn_out_put(&o, u.path);
    } else {
        tarn_out_str(&o, "(no URL)");
    }
    return keep_text(shown, &o);
}

const char *bt_webseed_host(char host[BT_WEBSEED_SHOWN], const char *url)
{
    struct url u;
    struct tarn_out o;
    tarn_out_init(&o, strlen(url) + 32);
    if (parse(url, &u))
        put_host(&o, &u);
    return keep_text(host, &o);
}

/* The last entry that begins at or before `at`; those without bytes are passed over. */
static uint32_t entry_at(const struct bt_metainfo *m, uint64_t at)
{
    uint32_t n = bt_files_until(m, at);
    while (n > 0 && m->files[n - 1].len == 0)
        n--;
    return n == 0 ? BT_WEBSEED_NO_FILE : n - 1;
}

/* Where padding that begins at `at` ends. */
static uint64_t next_start(const struct bt_metainfo *m, uint64_t at, uint64_t end)
{
    uint32_t i = entry_at(m, at);
    for (i = i == BT_WEBSEED_NO_FILE ? 0 : i; i < m->n_files && m->files[i].off < end; i++)
        if (m->files[i].off > at && m->files[i].len > 0 && !m->files[i].is_pad)
            return m->files[i].off;
    return end;
}

struct bt_webseed_part bt_webseed_part(const struct bt_metainfo *m, uint64_t at, uint64_t end)
{
    uint32_t i = entry_at(m, at);
    if (i != BT_WEBSEED_NO_FILE) {
        const struct bt_file *f = &m->files[i];
        uint64_t file_end = f->off + f->len;
        if (!f->is_pad && at < file_end)
            return (struct bt_webseed_part){ i, at - f->off, tarn_min_u64(end, file_end) - at };
    }
    return (struct bt_webseed_part){ BT_WEBSEED_NO_FILE, 0,
                                     tarn_min_u64(end, next_start(m, at, end)) - at };
}

bool bt_webseed_pieces(const struct bt_metainfo *m, uint32_t file, uint32_t *first, uint32_t *last)
{
    const struct bt_file *f = &m->files[file];
    if (f->len == 0)
        return false;
    *first = (uint32_t)(f->off / m->piece_len);
    *last = (uint32_t)((f->off + f->len - 1) / m->piece_len);
    return true;
}

/* Answers. */

static enum bt_webseed_verdict judge_partial(const struct bt_webseed_answer *a, uint64_t off,
                                             uint64_t len, uint64_t file_len, uint64_t *take,
                                             struct tarn_err *err)
{
    if (!a->has_range || a->is_range_bad) {
        (void)tarn_fail(err, TARN_E_NETWORK,
                        "it sends a part without saying which (Content-Range)");
        return BT_WEBSEED_LIES;
    }
    if (a->has_total && a->total != file_len) {
        (void)tarn_fail(err, TARN_E_INTEGRITY,
                        "its file has %llu bytes, the torrent's has %llu: it is another one",
                        (unsigned long long)a->total, (unsigned long long)file_len);
        return BT_WEBSEED_GONE;
    }
    if (a->first != off || a->last < a->first || a->last - a->first >= len) {
        (void)tarn_fail(err, TARN_E_NETWORK, "it sends bytes %llu to %llu instead of %llu to %llu",
                        (unsigned long long)a->first, (unsigned long long)a->last,
                        (unsigned long long)off, (unsigned long long)(off + len - 1));
        return BT_WEBSEED_LIES;
    }
    uint64_t told = a->last - a->first + 1;
    if (a->has_length && a->length != told) {
        (void)tarn_fail(err, TARN_E_NETWORK,
                        "it sends %llu bytes and calls them bytes %llu to %llu",
                        (unsigned long long)a->length, (unsigned long long)a->first,
                        (unsigned long long)a->last);
        return BT_WEBSEED_LIES;
    }
    *take = told;
    return BT_WEBSEED_TAKE;
}

static enum bt_webseed_verdict judge_whole(const struct bt_webseed_answer *a, uint64_t off,
                                           uint64_t len, uint64_t file_len, uint64_t *take,
                                           struct tarn_err *err)
{
    if (a->has_length && a->length != file_len) {
        (void)tarn_fail(err, TARN_E_INTEGRITY,
                        "its file has %llu bytes, the torrent's has %llu: it is another one",
                        (unsigned long long)a->length, (unsigned long long)file_len);
        return BT_WEBSEED_GONE;
    }
    if (off > 0) {
        (void)tarn_fail(err, TARN_E_NETWORK,
                        "it sends whole files (status 200) where a part was asked for");
        return BT_WEBSEED_USELESS;
    }
    *take = len;
    return BT_WEBSEED_TAKE;
}

static enum bt_webseed_verdict judge_refusal(const struct bt_webseed_answer *a,
                                             struct tarn_err *err)
{
    static const int for_now[] = { 408, 425, 429 };
    bool waits = a->status >= 500;
    for (size_t i = 0; i < TARN_COUNT_OF(for_now); i++)
        waits = waits || a->status == for_now[i];
    bool is_gone = a->status >= 400 && !waits;
    (void)tarn_fail(err, is_gone ? TARN_E_NOT_FOUND : TARN_E_NETWORK,
                    "it answers with HTTP status %d%s", a->status,
                    a->status == 416 ? ": its file is shorter than the torrent's" : "");
    return waits ? BT_WEBSEED_WAIT : is_gone ? BT_WEBSEED_GONE : BT_WEBSEED_LIES;
}

enum bt_webseed_verdict bt_webseed_judge(const struct bt_webseed_answer *a, uint64_t off,
                                         uint64_t len, uint64_t file_len, uint64_t *take,
                                         struct tarn_err *err)
{
    *take = 0;
    if (a->status != 200 && a->status != 206)
        return judge_refusal(a, err);
    if (a->is_coded) {
        (void)tarn_fail(err, TARN_E_NETWORK,
                        "it packs what it sends (Content-Encoding), which was not asked for");
        return BT_WEBSEED_LIES;
    }
    return (a->status == 206 ? judge_partial : judge_whole)(a, off, len, file_len, take, err);
}

/* The record. */

void bt_webseed_went_well(struct bt_webseed_record *r, uint64_t bytes, int64_t took_us)
{
    enum { MEASURED = 64 << 10 }; /* less says more about the round trip */
    r->fails = r->gone = 0;
    if (bytes < MEASURED)
        return;
    uint64_t us = took_us < 1000 ? 1000 : (uint64_t)took_us;
    uint64_t bps = bytes > UINT64_MAX / 1000000 ? UINT64_MAX / us : bytes * 1000000 / us;
    r->rate_bps = r->rate_bps == 0 ? bps : r->rate_bps / 2 + bps / 2;
}

static void wait(struct bt_webseed_record *r, uint32_t retry_after_s, int64_t now_us)
{
    uint64_t wait_s = (uint64_t)BT_WEBSEED_WAIT_S << tarn_min_u64(r->fails, 20);
    wait_s = tarn_min_u64(wait_s, BT_WEBSEED_WAIT_MAX_S);
    wait_s = tarn_max_u64(wait_s, tarn_min_u64(retry_after_s, BT_WEBSEED_RETRY_MAX_S));
    r->next_us = now_us + (int64_t)wait_s * 1000000;
    if (r->fails < UINT8_MAX)
        r->fails++;
}

void bt_webseed_failed(struct bt_webseed_record *r, enum bt_webseed_verdict v,
                       uint32_t retry_after_s, int64_t now_us)
{
    switch (v) {
    case BT_WEBSEED_TAKE:
        break;
    case BT_WEBSEED_GONE:
        if (++r->gone < BT_WEBSEED_GONE_MAX)
            break;
        r->gone = 0;
        wait(r, 0, now_us);
        break;
    case BT_WEBSEED_LIES:
        bt_webseed_sent_bad(r);
        wait(r, 0, now_us);
        break;
    case BT_WEBSEED_WAIT:
        wait(r, retry_after_s, now_us);
        break;
    case BT_WEBSEED_USELESS:
        r->is_dropped = true;
        break;
    }
}

void bt_webseed_sent_bad(struct bt_webseed_record *r)
{
    if (r->bad < BT_WEBSEED_BAD_MAX)
        r->bad++;
    r->is_dropped = r->is_dropped || r->bad >= BT_WEBSEED_BAD_MAX;
}

uint64_t bt_webseed_run(const struct bt_webseed_record *r)
{
    uint64_t wanted =
        r->rate_bps > BT_WEBSEED_RUN_MAX ? BT_WEBSEED_RUN_MAX : r->rate_bps * BT_WEBSEED_RUN_S;
    return tarn_max_u64(BT_WEBSEED_RUN_MIN, tarn_min_u64(wanted, BT_WEBSEED_RUN_MAX));
}
