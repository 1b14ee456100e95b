/* bt/core/ext: see the header. */
#include "bt/core/ext.h"

#include "bt/core/plain.h"
#include "codec/bencode.h"

enum {
    HANDSHAKE_MAX = 512, /* bytes of ours */
    REQQ_MAX = 2048,
};

static const struct {
    const char *name;
    enum bt_ext_kind kind;
} names[] = {
    { "lt_donthave", BT_EXT_DONTHAVE },
    { "upload_only", BT_EXT_UPLOAD_ONLY },
    { "ut_holepunch", BT_EXT_HOLEPUNCH },
    { "ut_metadata", BT_EXT_METADATA },
    { "ut_pex", BT_EXT_PEX },
};

/* An integer of a dictionary that lies in its range; false: it is not there, or is nonsense. */
static bool get_int(const struct benc *b, benc_val dict, const char *key, int64_t min, int64_t max,
                    int64_t *out)
{
    int64_t v;
    if (!benc_int(b, benc_get(b, dict, key), &v) || v < min || v > max)
        return false;
    *out = v;
    return true;
}

static void read_handshake(struct bt_ext *x, const struct benc *b)
{
    int64_t v;
    benc_val m = benc_get_of(b, BENC_ROOT, "m", BENC_DICT);
    for (size_t i = 0; i < TARN_COUNT_OF(names); i++)
        if (get_int(b, m, names[i].name, 0, UINT8_MAX, &v))
            x->ids[names[i].kind] = (uint8_t)v;
    if (get_int(b, BENC_ROOT, "metadata_size", 1, UINT32_MAX, &v))
        x->metadata_size = (uint32_t)v;
    if (get_int(b, BENC_ROOT, "p", 1, UINT16_MAX, &v))
        x->port = (uint16_t)v;
    if (get_int(b, BENC_ROOT, "reqq", 1, INT64_MAX, &v))
        x->reqq = (uint16_t)(v < REQQ_MAX ? v : REQQ_MAX);
    if (get_int(b, BENC_ROOT, "upload_only", INT64_MIN, INT64_MAX, &v))
        x->upload_only = v != 0;
    struct tarn_bytes ip = benc_str(b, benc_get(b, BENC_ROOT, "yourip"));
    if (ip.len == 4 || ip.len == 16) {
        memcpy(x->my_ip, ip.p, ip.len);
        x->my_ip_len = (uint8_t)ip.len;
    }
    struct tarn_bytes agent = benc_str(b, benc_get(b, BENC_ROOT, "v"));
    if (agent.len > 0)
        bt_plain_text(x->agent, sizeof x->agent, agent);
    x->is_here = true;
}

bool bt_ext_read(struct bt_ext *x, struct tarn_bytes body, struct tarn_err *err)
{
    struct benc b;
    if (!benc_parse(&b, body, &benc_limits_message, err))
        return tarn_fail_in(err, "the peer's extension handshake");
    bool ok = benc_is(&b, BENC_ROOT, BENC_DICT);
    if (ok)
        read_handshake(x, &b);
    benc_release(&b);
    return ok ||
           tarn_fail(err, TARN_E_NETWORK, "the peer's extension handshake is not a dictionary");
}

static void put_int(struct tarn_out *o, const char *key, int64_t v)
{
    benc_put_key(o, key);
    benc_put_int(o, v);
}

static void put_handshake(struct tarn_out *o, const struct bt_ext_ours *x)
{
    benc_open_dict(o);
    benc_put_key(o, "m");
    benc_open_dict(o);
    put_int(o, "lt_donthave", BT_EXT_DONTHAVE);
    put_int(o, "upload_only", BT_EXT_UPLOAD_ONLY);
    if (x->has_metadata_exchange)
        put_int(o, "ut_metadata", BT_EXT_METADATA);
    benc_close(o);
    if (x->has_metadata_exchange && x->metadata_size > 0)
        put_int(o, "metadata_size", x->metadata_size);
    if (x->port != 0)
        put_int(o, "p", x->port);
    put_int(o, "reqq", BT_EXT_REQQ);
    if (x->upload_only)
        put_int(o, "upload_only", 1);
    if (x->agent != NULL) {
        char agent[BT_EXT_AGENT + 1];
        bt_plain_text(agent, sizeof agent, tarn_bytes_str(x->agent));
        benc_put_key(o, "v");
        benc_put_str(o, tarn_bytes_str(agent));
    }
    if (x->your_ip.len == 4 || x->your_ip.len == 16) {
        benc_put_key(o, "yourip");
        benc_put_str(o, x->your_ip);
    }
    benc_close(o);
}

void bt_put_ext_handshake(struct tarn_out *o, const struct bt_ext_ours *x)
{
    uint8_t storage[HANDSHAKE_MAX];
    struct tarn_out body;
    tarn_out_fixed(&body, storage, sizeof storage);
    put_handshake(&body, x);
    bt_put_extended_head(o, BT_EXT_HANDSHAKE, body.len);
    tarn_out_put(o, tarn_out_bytes(&body));
}

static bool read_meta(struct bt_meta_msg *m, const struct benc *b, struct tarn_bytes behind)
{
    int64_t kind, block, total = 0;
    *m = (struct bt_meta_msg){ .kind = BT_META_UNKNOWN };
    if (!benc_int(b, benc_get(b, BENC_ROOT, "msg_type"), &kind))
        return false;
    if (kind < BT_META_REQUEST || kind > BT_META_REJECT)
        return true;
    if (!get_int(b, BENC_ROOT, "piece", 0, UINT32_MAX, &block))
        return false;
    m->block = (uint32_t)block;
    if (kind == BT_META_DATA) {
        if (!get_int(b, BENC_ROOT, "total_size", 1, BT_INFO_MAX, &total) || behind.len == 0 ||
            behind.len > BT_BLOCK)
            return false;
        m->data = behind;
        m->total = (uint32_t)total;
    }
    m->kind = (enum bt_meta_kind)kind;
    return true;
}

bool bt_meta_read(struct bt_meta_msg *m, struct tarn_bytes body, struct tarn_err *err)
{
    struct benc b;
    if (!benc_parse(&b, body, &benc_limits_message, err))
        return tarn_fail_in(err, "a ut_metadata message");
    struct bt_meta_msg got;
    bool ok = read_meta(&got, &b, tarn_bytes_of(body.p + b.used, body.len - b.used));
    benc_release(&b);
    if (!ok)
        return tarn_fail(err, TARN_E_NETWORK, "the peer sent a ut_metadata message without sense");
    *m = got;
    return true;
}

void bt_put_meta(struct tarn_out *o, uint8_t id, const struct bt_meta_msg *m)
{
    uint8_t storage[128];
    struct tarn_out head;
    tarn_out_fixed(&head, storage, sizeof storage);
    benc_open_dict(&head);
    put_int(&head, "msg_type", m->kind);
    put_int(&head, "piece", m->block);
    if (m->kind == BT_META_DATA)
        put_int(&head, "total_size", m->total);
    benc_close(&head);
    struct tarn_bytes data = m->kind == BT_META_DATA ? m->data : tarn_bytes_of(NULL, 0);
    bt_put_extended_head(o, id, head.len + data.len);
    tarn_out_put(o, tarn_out_bytes(&head));
    tarn_out_put(o, data);
}

void bt_put_upload_only(struct tarn_out *o, uint8_t id, bool upload_only)
{
    bt_put_extended_head(o, id, 1);
    tarn_out_u8(o, upload_only);
}

void bt_put_donthave(struct tarn_out *o, uint8_t id, uint32_t piece)
{
    bt_put_extended_head(o, id, 4);
    tarn_out_be32(o, piece);
}

bool bt_upload_only_read(struct tarn_bytes body, bool *upload_only)
{
    if (body.len != 1)
        return false;
    *upload_only = body.p[0] != 0;
    return true;
}

bool bt_donthave_read(struct tarn_bytes body, uint32_t n_pieces, uint32_t *piece)
{
    if (body.len != 4 || tarn_be32(body.p) >= n_pieces)
        return false;
    *piece = tarn_be32(body.p);
    return true;
}
