/* Any bytes as the body of each extended message that we read. What was understood is written and
 * read again, and must be the same. */
#include "bt/core/ext.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_meta(const struct bt_meta_msg *m)
{
    struct tarn_out o;
    tarn_out_init(&o, 2 * BT_BLOCK);
    bt_put_meta(&o, 1, m);
    struct bt_meta_msg again;
    struct tarn_err err;
    if (!tarn_out_ok(&o) || !bt_meta_read(&again, tarn_bytes_of(o.p + 6, o.len - 6), &err) ||
        again.kind != m->kind || again.block != m->block || again.total != m->total ||
        !tarn_bytes_eq(again.data, m->data))
        abort();
    tarn_out_release(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tarn_bytes body = tarn_bytes_of(data, size);
    struct tarn_err err;
    struct bt_ext x = { 0 }, again = { 0 };
    if (bt_ext_read(&x, body, &err)) {
        if (x.reqq > 2048 || strlen(x.agent) > BT_EXT_AGENT)
            abort();
        if (!bt_ext_read(&again, body, &err) || memcmp(&x, &again, sizeof x) != 0)
            abort();
    }
    struct bt_meta_msg m;
    if (bt_meta_read(&m, body, &err) && m.kind != BT_META_UNKNOWN)
        check_meta(&m);
    bool on;
    uint32_t piece;
    (void)bt_upload_only_read(body, &on);
    if (bt_donthave_read(body, 1000, &piece) && piece >= 1000)
        abort();
    return 0;
}
