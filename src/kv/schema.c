/* kv: what the file is. A table of our own (its name begins with a dot, so no other has it) says
 * whose file it is and which version of the tables it has. */
#include "base/cur.h"
#include "kv/key.h"
#include "kv/priv.h"

#include <assert.h>

static const char own_name[] = ".tarn";
static const char kind_key[] = "kind", schema_key[] = "schema";

enum due {
    DUE_FAILED,
    DUE_AGAIN, /* the map was full and has grown */
    DUE_DONE,
};

/* Nobody has made a table or a record yet. */
static bool is_empty(MDB_txn *txn)
{
    MDB_dbi names;
    MDB_stat st;
    return mdb_dbi_open(txn, NULL, 0, &names) == 0 && mdb_stat(txn, names, &st) == 0 &&
           st.ms_entries == 0;
}

static bool open_tables(struct kv *kv, MDB_txn *txn, const struct kv_settings *set,
                        struct tarn_err *err)
{
    struct tarn_quote a, b;
    unsigned flags = kv->is_read_only ? 0 : MDB_CREATE;
    int rc = mdb_dbi_open(txn, own_name, 0, &kv->own);
    if (rc == MDB_NOTFOUND && flags != 0 && is_empty(txn))
        rc = mdb_dbi_open(txn, own_name, flags, &kv->own);
    if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)
        return tarn_fail(err, TARN_E_USAGE, "'%s' is not a %s", tarn_quote_str(&a, kv->path),
                         tarn_quote_str(&b, kv->kind));
    for (size_t i = 0; rc == 0 && i < set->n_tables; i++) {
        assert(set->tables[i][0] != '.' && set->tables[i][0] != 0);
        rc = mdb_dbi_open(txn, set->tables[i], flags, &kv->tables[i]);
        if (rc == MDB_NOTFOUND)
            return tarn_fail(err, TARN_E_USAGE, "'%s' has no table '%s'",
                             tarn_quote_str(&a, kv->path), tarn_quote_str(&b, set->tables[i]));
    }
    return rc == 0 || kv_fail(kv, rc, "opening", err);
}

/* What our own table says; empty when nothing. */
static bool get_own(struct kv *kv, MDB_txn *txn, const char *key, struct tarn_bytes *value,
                    struct tarn_err *err)
{
    MDB_val k = kv_val(tarn_bytes_str(key)), v = { 0 };
    int rc = mdb_get(txn, kv->own, &k, &v);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return kv_fail(kv, rc, "opening", err);
    *value = rc == 0 ? kv_bytes(v) : tarn_bytes_of(NULL, 0);
    return true;
}

static int put_own(struct kv *kv, MDB_txn *txn, const char *key, struct tarn_bytes value)
{
    MDB_val k = kv_val(tarn_bytes_str(key)), v = kv_val(value);
    return mdb_put(txn, kv->own, &k, &v, 0);
}

/* The schema of a file that is ours; 0 when nothing was ever written to it. */
static bool read_schema(struct kv *kv, MDB_txn *txn, unsigned *schema, struct tarn_err *err)
{
    struct tarn_quote path, ours, theirs;
    struct tarn_bytes kind, number;
    if (!get_own(kv, txn, kind_key, &kind, err) || !get_own(kv, txn, schema_key, &number, err))
        return false;
    struct tarn_cur c = tarn_cur_of(number);
    *schema = tarn_cur_be32(&c);
    if (kind.len == 0 && number.len == 0) {
        *schema = 0;
        return true;
    }
    if (!tarn_bytes_eq_str(kind, kv->kind))
        return tarn_fail(err, TARN_E_USAGE, "'%s' is not a %s but a %s",
                         tarn_quote_str(&path, kv->path), tarn_quote_str(&ours, kv->kind),
                         tarn_quote(&theirs, kind));
    if (!tarn_cur_done(&c) || *schema == 0)
        return kv_fail(kv, MDB_CORRUPTED, "opening", err);
    return true;
}

static bool check_schema(const struct kv *kv, const struct kv_settings *set, unsigned schema,
                         struct tarn_err *err)
{
    struct tarn_quote q;
    const char *path = tarn_quote_str(&q, kv->path);
    if (schema > set->schema)
        return tarn_fail(err, TARN_E_USAGE,
                         "'%s' has schema %u and this program knows up to %u: it was written by a "
                         "newer version, which is needed to open it",
                         path, schema, set->schema);
    if (schema < set->schema && kv->is_read_only)
        return tarn_fail(err, TARN_E_USAGE,
                         "'%s' has schema %u and this program reads %u: it has to be opened for "
                         "writing once",
                         path, schema, set->schema);
    if (schema > 0 && schema < set->schema && set->migrations == NULL)
        return tarn_fail(
            err, TARN_E_USAGE,
            "'%s' has schema %u, and this program has no way from there to its own, %u", path,
            schema, set->schema);
    return true;
}

static enum due write_schema(struct kv *kv, MDB_txn *txn, const struct kv_settings *set,
                             struct tarn_err *err)
{
    struct kv_key number = { 0 };
    kv_key_be32(&number, set->schema);
    int rc = put_own(kv, txn, kind_key, tarn_bytes_str(kv->kind));
    if (rc == 0)
        rc = put_own(kv, txn, schema_key, kv_key_bytes(&number));
    if (rc == MDB_MAP_FULL)
        return DUE_AGAIN;
    if (rc != 0)
        kv_fail(kv, rc, "opening", err);
    return rc == 0 ? DUE_DONE : DUE_FAILED;
}

static enum due migrate(struct kv *kv, MDB_txn *txn, const struct kv_settings *set, unsigned from,
                        struct tarn_err *err)
{
    struct tarn_quote q;
    for (unsigned i = from; from > 0 && i < set->schema; i++) {
        struct kv_txn t;
        kv_txn_init(&t, kv, txn);
        if (set->migrations[i - 1] == NULL)
            continue;
        bool ok = set->migrations[i - 1](&t, set->arg, err);
        if (t.failed == MDB_MAP_FULL)
            return DUE_AGAIN;
        if (ok && t.failed != 0)
            ok = kv_fail(kv, t.failed, "writing to", err);
        if (!ok) {
            tarn_fail_in(err, "bringing '%s' from schema %u to %u", tarn_quote_str(&q, kv->path), i,
                         i + 1);
            return DUE_FAILED;
        }
    }
    return write_schema(kv, txn, set, err);
}

static enum due bring_up(struct kv *kv, MDB_txn *txn, const struct kv_settings *set,
                         struct tarn_err *err)
{
    unsigned schema;
    if (!open_tables(kv, txn, set, err) || !read_schema(kv, txn, &schema, err) ||
        !check_schema(kv, set, schema, err))
        return DUE_FAILED;
    return schema == set->schema ? DUE_DONE : migrate(kv, txn, set, schema, err);
}

static MDB_txn *begin(struct kv *kv, struct tarn_err *err)
{
    MDB_txn *txn;
    if (!kv->is_read_only)
        return kv_map_begin_write(kv, err);
    if (!kv_map_enter(kv, err))
        return NULL;
    int rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        return txn;
    kv_map_leave(kv);
    kv_fail(kv, rc, "opening", err);
    return NULL;
}

bool kv_schema_open(struct kv *kv, const struct kv_settings *set, struct tarn_err *err)
{
    for (;;) {
        MDB_txn *txn = begin(kv, err);
        if (txn == NULL)
            return false;
        enum due due = bring_up(kv, txn, set, err);
        int rc = 0;
        if (due == DUE_DONE)
            rc = mdb_txn_commit(txn); /* of a read too: the handles of its tables stay */
        else
            mdb_txn_abort(txn);
        kv_map_leave(kv);
        if (due == DUE_DONE && rc == 0)
            return true;
        if (due == DUE_FAILED)
            return false;
        if (rc != 0 && rc != MDB_MAP_FULL)
            return kv_fail(kv, rc, "opening", err);
        if (kv_map_grow(kv, false, err) != KV_GREW)
            return false;
    }
}
