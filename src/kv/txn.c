/* kv: what a write does. After LMDB has failed once in a transaction it wants no more of it; the
 * writer looks at `failed` and not only at what run() says. */
#include "kv/priv.h"

#include <inttypes.h>

void kv_txn_init(struct kv_txn *t, struct kv *kv, MDB_txn *txn)
{
    *t = (struct kv_txn){ .read = { .kv = kv, .txn = txn } };
}

static bool failed(struct kv_txn *t, int rc, const char *doing, struct tarn_err *err)
{
    if (t->failed == 0)
        t->failed = rc;
    return kv_fail(t->read.kv, rc, doing, err);
}

static bool value_fits(const struct kv *kv, struct tarn_bytes value, struct tarn_err *err)
{
    struct tarn_quote q;
    return value.len <= KV_VALUE_MAX ||
           tarn_fail(err, TARN_E_POLICY, "'%s': a value may have %d bytes, this one has %zu",
                     tarn_quote_str(&q, kv->path), KV_VALUE_MAX, value.len);
}

static bool put(struct kv_txn *t, unsigned table, struct tarn_bytes key, struct tarn_bytes value,
                unsigned flags, struct tarn_err *err)
{
    const struct kv *kv = t->read.kv;
    struct tarn_quote q;
    if (!kv_key_fits(kv, key, err) || !value_fits(kv, value, err))
        return false;
    MDB_val k = kv_val(key), v = kv_val(value);
    int rc = mdb_put(t->read.txn, kv->tables[table], &k, &v, flags);
    if (rc == MDB_KEYEXIST)
        return tarn_fail(err, TARN_E_USAGE, "'%s': the key to append is not behind the last one",
                         tarn_quote_str(&q, kv->path));
    if (rc != 0)
        return failed(t, rc, "writing to", err);
    t->n_changes++;
    t->n_puts++;
    t->len += key.len + value.len;
    return true;
}

bool kv_txn_put(struct kv_txn *t, unsigned table, struct tarn_bytes key, struct tarn_bytes value,
                struct tarn_err *err)
{
    return put(t, table, key, value, 0, err);
}

bool kv_txn_append(struct kv_txn *t, unsigned table, struct tarn_bytes key, struct tarn_bytes value,
                   struct tarn_err *err)
{
    return put(t, table, key, value, MDB_APPEND, err);
}

enum kv_got kv_txn_del(struct kv_txn *t, unsigned table, struct tarn_bytes key,
                       struct tarn_err *err)
{
    if (key.len == 0 || key.len > KV_KEY_MAX)
        return KV_NONE;
    MDB_val k = kv_val(key);
    int rc = mdb_del(t->read.txn, t->read.kv->tables[table], &k, NULL);
    if (rc == MDB_NOTFOUND)
        return KV_NONE;
    if (rc != 0) {
        failed(t, rc, "deleting from", err);
        return KV_FAILED;
    }
    t->n_changes++;
    return KV_FOUND;
}

bool kv_txn_del_at(struct kv_txn *t, struct kv_cursor *c, struct tarn_err *err)
{
    int rc = mdb_cursor_del(c->at, 0);
    if (rc != 0)
        return failed(t, rc, "deleting from", err);
    t->n_changes++;
    return true;
}

static bool empty_table(struct kv_txn *t, unsigned table, struct tarn_err *err)
{
    int rc = mdb_drop(t->read.txn, t->read.kv->tables[table], 0);
    if (rc != 0)
        return failed(t, rc, "deleting from", err);
    t->n_changes++;
    return true;
}

bool kv_txn_del_prefix(struct kv_txn *t, unsigned table, struct tarn_bytes prefix,
                       struct tarn_err *err)
{
    KV_AUTO_CURSOR c = { 0 };
    if (prefix.len == 0)
        return empty_table(t, table, err);
    if (!kv_cursor_open(&t->read, table, &c, err))
        return false;
    enum kv_got got = kv_seek(&c, prefix, err);
    for (; got == KV_FOUND && kv_has_prefix(c.key, prefix); got = kv_next(&c, err))
        if (!kv_txn_del_at(t, &c, err))
            return false;
    return got != KV_FAILED;
}
