/* bt/core/tracker: the URL of an announce and its answer; when to ask whom is in tiers.c. Nothing
 * in an answer is taken at its word: numbers have ranges, texts lengths, lists ends. */
#include "bt/core/tracker.h"

#include "base/mem.h"
#include "base/num.h"
#include "bt/core/plain.h"
#include "codec/bencode.h"
#include "codec/url.h"

static const char *event_name(enum bt_announce_event event)
{
    switch (event) {
    case BT_ANNOUNCE_STARTED:
        return "started";
    case BT_ANNOUNCE_COMPLETED:
        return "completed";
    case BT_ANNOUNCE_STOPPED:
        return "stopped";
    default:
        return NULL;
    }
}

static void put_number(struct tarn_out *o, const char *name, uint64_t v)
{
    tarn_out_fmt(o, "&%s=%llu", name, (unsigned long long)v);
}

void bt_announce_url(struct tarn_out *o, const char *tracker, const struct bt_announce *a)
{
    const char *fragment = strchr(tracker, '#');
    struct tarn_bytes base =
        tarn_bytes_of(tracker, fragment == NULL ? strlen(tracker) : (size_t)(fragment - tracker));
    const char *event = event_name(a->event);
    tarn_out_put(o, base);
    tarn_out_str(o, memchr(base.p, '?', base.len) != NULL ? "&info_hash=" : "?info_hash=");
    url_escape(o, tarn_bytes_of(a->hash, sizeof a->hash));
    tarn_out_str(o, "&peer_id=");
    url_escape(o, tarn_bytes_of(a->peer_id, sizeof a->peer_id));
    put_number(o, "port", a->port);
    put_number(o, "uploaded", a->uploaded);
    put_number(o, "downloaded", a->downloaded);
    put_number(o, "left", a->left);
    if (a->corrupt > 0)
        put_number(o, "corrupt", a->corrupt);
    if (a->redundant > 0)
        put_number(o, "redundant", a->redundant);
    tarn_out_fmt(o, "&key=%08X", a->key);
    put_number(o, "numwant", a->event == BT_ANNOUNCE_STOPPED ? 0 : a->numwant);
    if (event != NULL)
        tarn_out_fmt(o, "&event=%s", event);
    tarn_out_str(o, "&compact=1&no_peer_id=1");
    if (a->tracker_id != NULL) {
        tarn_out_str(o, "&trackerid=");
        url_escape(o, tarn_bytes_str(a->tracker_id));
    }
}

static bool add_peer(struct bt_answer *a, size_t *cap, const struct bt_addr *peer)
{
    if (!bt_addr_is_usable(peer))
        return true;
    if (!TARN_GROW(a->peers, a->n_peers, *cap))
        return false;
    a->peers[a->n_peers++] = *peer;
    return true;
}

static bool read_compact(struct bt_answer *a, size_t *cap, struct tarn_bytes list, bool is_v6,
                         struct tarn_err *err)
{
    size_t size = is_v6 ? 18 : 6, n = list.len / size;
    if (list.len % size != 0)
        return tarn_fail(err, TARN_E_NETWORK,
                         "the tracker sent a list of peers of %zu bytes, not a multiple of %zu",
                         list.len, size);
    for (size_t i = 0; i < n && i < BT_ANSWER_PEERS_MAX; i++) {
        struct bt_addr peer = bt_addr_of_compact(list.p + i * size, is_v6);
        if (!add_peer(a, cap, &peer))
            return tarn_fail_mem(err, "reading a tracker's answer");
    }
    return true;
}

/* The old form: dictionaries. Host names are left out: to look up names that strangers tell would
 * let them send us anywhere. */
static bool read_dicts(struct bt_answer *a, size_t *cap, const struct benc *b, benc_val list,
                       struct tarn_err *err)
{
    size_t n = 0;
    for (benc_val v = benc_first(b, list); v != BENC_NONE && n < BT_ANSWER_PEERS_MAX;
         v = benc_next(b, list, v), n++) {
        struct bt_addr peer = { 0 };
        int64_t port;
        if (!benc_int(b, benc_get(b, v, "port"), &port) || port < 1 || port > UINT16_MAX ||
            !bt_addr_parse_ip(benc_str(b, benc_get(b, v, "ip")), &peer))
            continue;
        peer.port = (uint16_t)port;
        if (!add_peer(a, cap, &peer))
            return tarn_fail_mem(err, "reading a tracker's answer");
    }
    return true;
}

static bool read_peers(struct bt_answer *a, const struct benc *b, struct tarn_err *err)
{
    size_t cap = 0;
    benc_val peers = benc_get(b, BENC_ROOT, "peers");
    benc_val peers6 = benc_get(b, BENC_ROOT, "peers6");
    if (benc_is(b, peers, BENC_LIST) ? !read_dicts(a, &cap, b, peers, err)
                                     : !read_compact(a, &cap, benc_str(b, peers), false, err))
        return false;
    return read_compact(a, &cap, benc_str(b, peers6), true, err);
}

/* A number that is not negative; `otherwise` when it is not there. */
static int64_t number_or(const struct benc *b, const char *key, int64_t otherwise)
{
    int64_t v;
    return benc_int(b, benc_get(b, BENC_ROOT, key), &v) && v >= 0 ? v : otherwise;
}

static uint32_t seconds(const struct benc *b, const char *key)
{
    return (uint32_t)tarn_min_u64((uint64_t)number_or(b, key, 0), BT_INTERVAL_MAX_S);
}

/* Minutes as a number or in digits, or "never". */
static int64_t read_retry(const struct benc *b)
{
    benc_val v = benc_get(b, BENC_ROOT, "retry in");
    struct tarn_bytes text = benc_str(b, v);
    uint64_t minutes;
    int64_t number;
    if (tarn_bytes_eq_str(text, "never"))
        return BT_RETRY_NEVER;
    if (benc_int(b, v, &number) && number >= 0)
        minutes = (uint64_t)number;
    else if (!tarn_parse_u64(text, INT32_MAX, &minutes))
        return -1;
    return (int64_t)tarn_min_u64(minutes, BT_INTERVAL_MAX_S / 60) * 60;
}

static void read_id(struct bt_answer *a, struct tarn_bytes id)
{
    if (id.len == 0 || id.len > BT_TRACKER_ID_MAX || memchr(id.p, 0, id.len) != NULL)
        return;
    memcpy(a->tracker_id, id.p, id.len);
    a->tracker_id[id.len] = '\0';
}

static bool read_answer(struct bt_answer *a, const struct benc *b, struct tarn_err *err)
{
    *a = (struct bt_answer){ .retry_s = read_retry(b) };
    benc_val failure = benc_get(b, BENC_ROOT, "failure reason");
    if (failure != BENC_NONE) {
        a->failed = true;
        bt_plain_text(a->failure, sizeof a->failure, benc_str(b, failure));
        return true;
    }
    bt_plain_text(a->warning, sizeof a->warning,
                  benc_str(b, benc_get(b, BENC_ROOT, "warning message")));
    a->interval_s = seconds(b, "interval");
    a->min_interval_s = seconds(b, "min interval");
    a->complete = number_or(b, "complete", -1);
    a->incomplete = number_or(b, "incomplete", -1);
    a->downloaded = number_or(b, "downloaded", -1);
    read_id(a, benc_str(b, benc_get(b, BENC_ROOT, "tracker id")));
    struct tarn_bytes ip = benc_str(b, benc_get(b, BENC_ROOT, "external ip"));
    if (ip.len == 4 || ip.len == 16) {
        memcpy(a->external_ip, ip.p, ip.len);
        a->external_ip_len = (uint8_t)ip.len;
    }
    return read_peers(a, b, err);
}

bool bt_answer_parse(struct bt_answer *a, struct tarn_bytes body, struct tarn_err *err)
{
    static const struct benc_limits limits = { .depth = 8, .tokens = 40000 };
    struct benc b;
    if (body.len > BT_ANSWER_MAX)
        return tarn_fail(err, TARN_E_NETWORK, "the tracker sent %zu bytes (the limit is %d)",
                         body.len, BT_ANSWER_MAX);
    if (!benc_parse(&b, body, &limits, err))
        return tarn_fail_in(err, "the tracker's answer");
    struct bt_answer got = { 0 };
    bool ok = benc_is(&b, BENC_ROOT, BENC_DICT);
    if (!ok)
        tarn_fail(err, TARN_E_NETWORK, "the tracker's answer is not a dictionary");
    ok = ok && read_answer(&got, &b, err);
    benc_release(&b);
    if (!ok) {
        bt_answer_release(&got);
        return false;
    }
    *a = got;
    return true;
}

void bt_answer_release(struct bt_answer *a)
{
    tarn_free(a->peers);
    *a = (struct bt_answer){ 0 };
}
