/* kv: places in tables. LMDB's cursor does not say whether it stands behind an end, and goes on
 * from the last record but one after it met the end; so ours remembers. */
#include "kv/priv.h"

bool kv_cursor_open(const struct kv_read *r, unsigned table, struct kv_cursor *c,
                    struct tarn_err *err)
{
    MDB_cursor *at;
    int rc = mdb_cursor_open(r->txn, r->kv->tables[table], &at);
    if (rc != 0)
        return kv_fail(r->kv, rc, "reading", err);
    *c = (struct kv_cursor){ .read = r, .at = at };
    return true;
}

void kv_cursor_close(struct kv_cursor *c)
{
    if (c->at != NULL)
        mdb_cursor_close(c->at);
    *c = (struct kv_cursor){ 0 };
}

/* Move; when there is nothing, the cursor stands behind that end. */
static enum kv_got go(struct kv_cursor *c, MDB_val key, MDB_cursor_op op, enum kv_place end,
                      struct tarn_err *err)
{
    MDB_val value;
    int rc = mdb_cursor_get(c->at, &key, &value, op);
    if (rc == 0) {
        c->key = kv_bytes(key);
        c->value = kv_bytes(value);
        c->place = KV_AT_RECORD;
        return KV_FOUND;
    }
    c->key = c->value = tarn_bytes_of(NULL, 0);
    if (rc == MDB_NOTFOUND) {
        c->place = end;
        return KV_NONE;
    }
    kv_fail(c->read->kv, rc, "reading", err);
    return KV_FAILED;
}

enum kv_got kv_first(struct kv_cursor *c, struct tarn_err *err)
{
    return go(c, (MDB_val){ 0 }, MDB_FIRST, KV_AT_END, err);
}

enum kv_got kv_last(struct kv_cursor *c, struct tarn_err *err)
{
    return go(c, (MDB_val){ 0 }, MDB_LAST, KV_AT_START, err);
}

enum kv_got kv_seek(struct kv_cursor *c, struct tarn_bytes key, struct tarn_err *err)
{
    if (key.len == 0)
        return kv_first(c, err);
    return go(c, kv_val(key), MDB_SET_RANGE, KV_AT_END, err);
}

enum kv_got kv_seek_before(struct kv_cursor *c, struct tarn_bytes key, struct tarn_err *err)
{
    enum kv_got got = kv_seek(c, key, err);
    return got == KV_FAILED ? got : kv_prev(c, err);
}

enum kv_got kv_next(struct kv_cursor *c, struct tarn_err *err)
{
    if (c->place == KV_AT_END)
        return KV_NONE;
    if (c->place == KV_AT_START)
        return kv_first(c, err);
    return go(c, (MDB_val){ 0 }, MDB_NEXT, KV_AT_END, err);
}

enum kv_got kv_prev(struct kv_cursor *c, struct tarn_err *err)
{
    if (c->place == KV_AT_START)
        return KV_NONE;
    if (c->place == KV_AT_END)
        return kv_last(c, err);
    return go(c, (MDB_val){ 0 }, MDB_PREV, KV_AT_START, err);
}
