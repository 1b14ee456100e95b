/* bt/core/resume: the record, and the table of the header as a function. */
#include "bt/core/resume.h"

#include "base/cur.h"
#include "base/mem.h"
#include "crypt/sha.h"

static const char FORMAT[] = "tarn resume 1";

enum {
    SEEN_LEN = 4 * 8 + 1, /* of one file in the record */
};

bool bt_seen_same(const struct bt_seen *a, const struct bt_seen *b)
{
    return a->where != BT_NOWHERE && a->where == b->where && a->size == b->size &&
           a->ino == b->ino && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

enum bt_belief bt_believe(const struct bt_evidence *e)
{
    if (!e->files_known)
        return BT_CHECK;
    if (e->in_record)
        return BT_GOOD;
    if (e->in_journal)
        return BT_CHECK;
    return e->same_boot || e->clean_stop ? BT_MISSING : BT_CHECK;
}

/* Writing. */

static void put_str(struct tarn_out *o, const char *key, struct tarn_bytes s)
{
    benc_put_key(o, key);
    benc_put_str(o, s);
}

/* Counters pass 2^63 in no life of a disk; what does is kept as that. */
static void put_u64(struct tarn_out *o, const char *key, uint64_t v)
{
    benc_put_key(o, key);
    benc_put_int(o, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

static void put_files(struct tarn_out *o, const struct bt_record *r)
{
    benc_put_key(o, "files");
    tarn_out_fmt(o, "%zu:", (size_t)r->n_files * SEEN_LEN);
    for (uint32_t i = 0; i < r->n_files; i++) {
        const struct bt_seen *s = &r->files[i];
        tarn_out_be64(o, s->size);
        tarn_out_be64(o, s->ino);
        tarn_out_be64(o, (uint64_t)s->mtime_ns);
        tarn_out_be64(o, (uint64_t)s->ctime_ns);
        tarn_out_u8(o, s->where);
    }
}

void bt_record_write(const struct bt_record *r, struct tarn_out *o)
{
    size_t start = o->len;
    uint8_t sum[CRYPT_SHA256_LEN];
    benc_open_dict(o);
    put_str(o, "boot", r->boot);
    put_u64(o, "clean", r->is_clean ? 1 : 0);
    put_u64(o, "downloaded", r->downloaded);
    put_files(o, r);
    put_str(o, "format", tarn_bytes_str(FORMAT));
    put_u64(o, "generation", r->generation);
    put_str(o, "have", tarn_bits_bytes(&r->have));
    put_u64(o, "piece length", r->piece_len);
    put_u64(o, "pieces", r->n_pieces);
    put_str(o, "place", r->place);
    put_u64(o, "total", r->total);
    put_u64(o, "uploaded", r->uploaded);
    if (r->hashes.has_v1)
        put_str(o, "v1", tarn_bytes_of(r->hashes.v1, sizeof r->hashes.v1));
    if (r->hashes.has_v2)
        put_str(o, "v2", tarn_bytes_of(r->hashes.v2, sizeof r->hashes.v2));
    benc_close(o);
    if (!tarn_out_ok(o))
        return;
    crypt_hash(CRYPT_SHA256, tarn_bytes_of(o->p + start, o->len - start), sum);
    tarn_out_put(o, tarn_bytes_of(sum, sizeof sum));
}

/* Reading. */

static bool fail_record(struct tarn_err *err, const char *why)
{
    return tarn_fail(err, TARN_E_INTEGRITY, "the saved state cannot be used: %s", why);
}

static bool get_u64(const struct benc *b, const char *key, uint64_t max, uint64_t *out)
{
    int64_t v;
    if (!benc_int(b, benc_get(b, BENC_ROOT, key), &v) || v < 0 || (uint64_t)v > max)
        return false;
    *out = (uint64_t)v;
    return true;
}

static bool get_u32(const struct benc *b, const char *key, uint64_t max, uint32_t *out)
{
    uint64_t v;
    if (!get_u64(b, key, max, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool get_str(const struct benc *b, const char *key, size_t max, struct tarn_bytes *out)
{
    benc_val v = benc_get_of(b, BENC_ROOT, key, BENC_STR);
    *out = benc_str(b, v);
    return v != BENC_NONE && out->len <= max;
}

/* Missing is fine: *has says. */
static bool get_hash(const struct benc *b, const char *key, uint8_t *hash, size_t len, bool *has)
{
    *has = benc_get(b, BENC_ROOT, key) != BENC_NONE;
    if (!*has)
        return true;
    struct tarn_bytes s = benc_str(b, benc_get(b, BENC_ROOT, key));
    if (s.len != len)
        return false;
    memcpy(hash, s.p, len);
    return true;
}

static bool read_numbers(struct bt_record *r, const struct benc *b)
{
    uint64_t clean;
    if (!get_u64(b, "clean", 1, &clean) || !get_u64(b, "downloaded", UINT64_MAX, &r->downloaded) ||
        !get_u64(b, "uploaded", UINT64_MAX, &r->uploaded) ||
        !get_u64(b, "generation", INT64_MAX / 2, &r->generation) ||
        !get_u64(b, "total", UINT64_MAX, &r->total) ||
        !get_u32(b, "piece length", BT_PIECE_LEN_MAX, &r->piece_len) ||
        !get_u32(b, "pieces", BT_PIECES_MAX, &r->n_pieces))
        return false;
    r->is_clean = clean == 1;
    return r->generation > 0;
}

static bool read_texts(struct bt_record *r, const struct benc *b)
{
    return get_str(b, "boot", BT_BOOT_MAX, &r->boot) &&
           get_str(b, "place", BT_PLACE_MAX, &r->place) && r->place.len > 0 &&
           get_hash(b, "v1", r->hashes.v1, sizeof r->hashes.v1, &r->hashes.has_v1) &&
           get_hash(b, "v2", r->hashes.v2, sizeof r->hashes.v2, &r->hashes.has_v2) &&
           (r->hashes.has_v1 || r->hashes.has_v2);
}

static bool read_files(struct bt_record *r, struct tarn_bytes packed, struct tarn_err *err)
{
    if (packed.len % SEEN_LEN != 0)
        return fail_record(err, "its list of files is cut short");
    r->n_files = (uint32_t)(packed.len / SEEN_LEN);
    r->files = tarn_calloc(r->n_files, sizeof *r->files);
    if (r->files == NULL)
        return tarn_fail_mem(err, "reading saved state");
    struct tarn_cur c = tarn_cur_of(packed);
    for (uint32_t i = 0; i < r->n_files; i++) {
        struct bt_seen *s = &r->files[i];
        s->size = tarn_cur_be64(&c);
        s->ino = tarn_cur_be64(&c);
        s->mtime_ns = (int64_t)tarn_cur_be64(&c);
        s->ctime_ns = (int64_t)tarn_cur_be64(&c);
        s->where = tarn_cur_u8(&c);
        if (s->where > BT_AT_PART)
            return fail_record(err, "a file stands under a name that there is not");
    }
    return true;
}

static bool read_lists(struct bt_record *r, const struct benc *b, struct tarn_err *err)
{
    struct tarn_bytes files, have;
    if (!get_str(b, "files", BT_RECORD_MAX, &files) || !get_str(b, "have", BT_RECORD_MAX, &have))
        return fail_record(err, "it lacks its lists");
    if (!read_files(r, files, err))
        return false;
    if (!tarn_bits_init(&r->have, r->n_pieces))
        return tarn_fail_mem(err, "reading saved state");
    return tarn_bits_load(&r->have, have) ||
           fail_record(err, "its list of pieces does not fit their number");
}

static bool read_dict(struct bt_record *r, const struct benc *b, struct tarn_err *err)
{
    if (!tarn_bytes_eq_str(benc_str(b, benc_get(b, BENC_ROOT, "format")), FORMAT))
        return fail_record(err, "it is of another format");
    if (!read_numbers(r, b) || !read_texts(r, b))
        return fail_record(err, "a field is missing or out of its bounds");
    return read_lists(r, b, err);
}

bool bt_record_read(struct bt_record *r, struct tarn_bytes in, struct tarn_err *err)
{
    static const struct benc_limits limits = { .depth = 2, .tokens = 100 };
    uint8_t sum[CRYPT_SHA256_LEN];
    struct benc b = { 0 };
    memset(r, 0, sizeof *r);
    if (in.len <= sizeof sum || in.len > BT_RECORD_MAX)
        return fail_record(err, "it is too short or too long");
    struct tarn_bytes dict = tarn_bytes_of(in.p, in.len - sizeof sum);
    crypt_hash(CRYPT_SHA256, dict, sum);
    if (memcmp(sum, dict.p + dict.len, sizeof sum) != 0)
        return fail_record(err, "its checksum does not match");
    if (!benc_parse(&b, dict, &limits, err))
        return tarn_fail_in(err, "the saved state cannot be used");
    bool ok = b.used == dict.len && b.toks[BENC_ROOT].soft == 0 ? read_dict(r, &b, err)
                                                                : fail_record(err, "it is untidy");
    benc_release(&b);
    if (!ok)
        bt_record_release(r);
    return ok;
}

void bt_record_release(struct bt_record *r)
{
    tarn_bits_release(&r->have);
    tarn_free(r->files);
    *r = (struct bt_record){ 0 };
}

static bool same_hash(bool has_a, const uint8_t *a, bool has_b, const uint8_t *b, size_t len)
{
    return has_a == has_b && (!has_a || memcmp(a, b, len) == 0);
}

bool bt_record_fits(const struct bt_record *r, const struct bt_metainfo *m, struct tarn_bytes place,
                    struct tarn_err *err)
{
    const struct bt_hashes *a = &r->hashes, *b = &m->hashes;
    if (!same_hash(a->has_v1, a->v1, b->has_v1, b->v1, sizeof a->v1) ||
        !same_hash(a->has_v2, a->v2, b->has_v2, b->v2, sizeof a->v2) ||
        r->piece_len != m->piece_len || r->n_pieces != m->n_pieces || r->n_files != m->n_files ||
        r->total != m->total)
        return fail_record(err, "it is of another torrent");
    struct tarn_quote q;
    return tarn_bytes_eq(r->place, place) ||
           tarn_fail(err, TARN_E_INTEGRITY, "the saved state is of '%s'", tarn_quote(&q, r->place));
}
