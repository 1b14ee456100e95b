/* Any bytes as each record of the index (a file may be damaged): what is taken can be put and taken
 * again, and is the same then; what names things is one of its names. The first byte chooses the
 * record. */
#include "base/mem.h"
#include "catalog/row.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tarn_err err;

static void head(struct tarn_bytes b, struct tarn_out *o)
{
    struct row_head h;
    if (row_take_head(b, &h, &err))
        row_put_head(o, &h);
}

static void collection(struct tarn_bytes b, struct tarn_out *o)
{
    struct row_collection *c = tarn_calloc(1, sizeof *c);
    if (c == NULL)
        abort();
    if (row_take_collection(b, 7, c, &err)) {
        if (c->c.policy > CATALOG_MINE || c->c.bt > CATALOG_BT_HYBRID ||
            c->c.origin > CATALOG_CONFIGURED || c->c.phase > CATALOG_AWAY || c->c.id != 7)
            abort();
        row_put_collection(o, c);
    }
    tarn_free(c);
}

static void entry(struct tarn_bytes b, struct tarn_out *o)
{
    struct row_entry e;
    struct catalog_entry view;
    struct tarn_bytes key = tarn_bytes_str("\1\2\3\4\5\6\7\10name");
    bool ok = row_take_entry(key, b, &e, &err);
    if (row_view_entry(key, b, &view, &err) != ok)
        abort();
    if (!ok)
        return;
    if (e.e.kind > CATALOG_FOLDER || e.e.state > CATALOG_DAMAGED ||
        !tarn_bytes_eq_str(e.e.name, "name") || !tarn_bytes_eq(e.e.reason, view.reason))
        abort();
    row_put_entry(o, &e);
}

static void known(struct tarn_bytes b, struct tarn_out *o)
{
    struct row_known k;
    if (row_take_known(b, &k, &err))
        row_put_known(o, &k);
}

static void v1(struct tarn_bytes b, struct tarn_out *o)
{
    struct catalog_known k = { 0 };
    if (row_take_v1(b, 16384, &k, &err))
        row_put_v1(o, &k);
}

static void change(struct tarn_bytes b, struct tarn_out *o)
{
    struct catalog_change c;
    if (!row_take_change(7, b, &c, &err))
        return;
    if (c.event > CATALOG_E_NOTE)
        abort();
    row_put_change(o, &c);
}

static void version(struct tarn_bytes b, struct tarn_out *o)
{
    struct catalog_version v;
    if (row_take_version(7, b, &v, &err))
        row_put_version(o, &v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const records[])(struct tarn_bytes, struct tarn_out *) = {
        head, collection, entry, known, change, version, v1,
    };
    if (size < 1)
        return 0;
    void (*again)(struct tarn_bytes, struct tarn_out *) = records[data[0] % TARN_COUNT_OF(records)];
    struct tarn_out first, second;
    tarn_out_init(&first, size + 10000);
    tarn_out_init(&second, size + 10000);
    again(tarn_bytes_of(data + 1, size - 1), &first);
    if (first.len > 0) {
        again(tarn_out_bytes(&first), &second);
        if (!tarn_bytes_eq(tarn_out_bytes(&first), tarn_out_bytes(&second)))
            abort();
    }
    tarn_out_release(&first);
    tarn_out_release(&second);
    return 0;
}
