/* kv: what LMDB answers, in words that say what to do. Its numbers below zero are its own, those
 * above are errno's. */
#include "kv/priv.h"

#include <errno.h>
#include <inttypes.h>

#ifdef __clang_analyzer__ /* the header's word for other files */
#undef kv_fail
#endif

static enum tarn_code code_of(int rc)
{
    switch (rc) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        return TARN_E_INTEGRITY;
    case MDB_VERSION_MISMATCH:
        return TARN_E_USAGE;
    case MDB_MAP_FULL:
        return TARN_E_NO_SPACE;
    case MDB_READERS_FULL:
    case MDB_TXN_FULL:
    case MDB_BAD_VALSIZE:
        return TARN_E_POLICY;
    default:
        return TARN_E_FAILED;
    }
}

static const char *words_of(int rc)
{
    switch (rc) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
        return "the file is damaged (put a copy in its place, or move it away)";
    case MDB_VERSION_MISMATCH:
        return "the file is of another version of LMDB";
    case MDB_PANIC:
        return "an earlier write failed half-way (nothing acknowledged is lost: start again)";
    case MDB_READERS_FULL:
        return "too many reads are open at once";
    case MDB_TXN_FULL:
        return "one write changes too much at once (do it in several)";
    default:
        return mdb_strerror(rc);
    }
}

bool kv_fail(const struct kv *kv, int rc, const char *doing, struct tarn_err *err)
{
    struct tarn_quote q;
    const char *path = tarn_quote_str(&q, kv->path);
    if (rc == MDB_MAP_FULL)
        return tarn_fail(err, TARN_E_NO_SPACE,
                         "%s '%s': it has reached its max_size of %" PRIu64 " bytes", doing, path,
                         kv->max_size);
    if (rc == MDB_READERS_FULL)
        return tarn_fail(err, TARN_E_POLICY, "%s '%s': %s (the limit is %d)", doing, path,
                         words_of(rc), KV_READERS_MAX);
    if (rc < 0)
        return tarn_fail(err, code_of(rc), "%s '%s': %s", doing, path, words_of(rc));
    errno = rc;
    return tarn_fail_sys(err, "%s '%s'", doing, path);
}

bool kv_key_fits(const struct kv *kv, struct tarn_bytes key, struct tarn_err *err)
{
    struct tarn_quote q;
    if (key.len > 0 && key.len <= KV_KEY_MAX)
        return true;
    if (key.len == 0)
        return tarn_fail(err, TARN_E_POLICY, "'%s': a key must not be empty",
                         tarn_quote_str(&q, kv->path));
    return tarn_fail(err, TARN_E_POLICY, "'%s': a key may have %d bytes, this one has more",
                     tarn_quote_str(&q, kv->path), KV_KEY_MAX);
}
