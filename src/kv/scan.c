/* kv: long walks in short reads. */
#include "base/mem.h"
#include "kv/priv.h"
#include "sys/clock.h"

enum { CLOCK_EVERY = 16 }; /* records: asking costs as much as some of them */

struct scan {
    const struct kv_range *range;
    bool (*each)(void *arg, struct tarn_bytes key, struct tarn_bytes value);
    void *arg;
    size_t last_len; /* of the last key seen; 0: none */
    uint8_t last[KV_KEY_MAX];
};

/* Where the next read goes on. */
static enum kv_got go_on(struct scan *s, struct kv_cursor *c, struct tarn_err *err)
{
    const struct kv_range *range = s->range;
    struct tarn_bytes last = tarn_bytes_of(s->last, s->last_len);
    if (last.len == 0)
        return kv_seek(
            c, tarn_bytes_cmp(range->from, range->prefix) < 0 ? range->prefix : range->from, err);
    enum kv_got got = kv_seek(c, last, err);
    if (got == KV_FOUND && tarn_bytes_eq(c->key, last))
        got = kv_next(c, err);
    return got;
}

/* One read. KV_FOUND: there may be more. */
static enum kv_got walk(struct kv *kv, struct scan *s, struct tarn_err *err)
{
    KV_AUTO_READ r = { 0 };
    KV_AUTO_CURSOR c = { 0 };
    if (!kv_read_begin(kv, &r, err) || !kv_cursor_open(&r, s->range->table, &c, err))
        return KV_FAILED;
    int64_t ends = sys_now_us() + (int64_t)KV_SCAN_MS * 1000;
    enum kv_got got = go_on(s, &c, err);
    for (size_t n = 1; got == KV_FOUND; n++) {
        if (!kv_has_prefix(c.key, s->range->prefix))
            return KV_NONE;
        memcpy(s->last, c.key.p, c.key.len);
        s->last_len = c.key.len;
        if (!s->each(s->arg, c.key, c.value))
            return KV_NONE;
        if (n == KV_SCAN_RECORDS || (n % CLOCK_EVERY == 0 && sys_now_us() >= ends))
            return KV_FOUND;
        got = kv_next(&c, err);
    }
    return got;
}

bool kv_scan(struct kv *kv, const struct kv_range *range,
             bool (*each)(void *arg, struct tarn_bytes key, struct tarn_bytes value), void *arg,
             struct tarn_err *err)
{
    struct scan s = { .range = range, .each = each, .arg = arg };
    enum kv_got got;
    do
        got = walk(kv, &s, err);
    while (got == KV_FOUND);
    return got == KV_NONE;
}
