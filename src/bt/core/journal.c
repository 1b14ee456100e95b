/* bt/core/journal: a note is a length, items and a checksum:
 *
 *     be32 length of the items
 *     items: 'p' be32 piece
 *            'f' be32 file, u8 where, be64 size, inode, mtime, ctime
 *     8 bytes: the first of SHA-256 over be64 generation and the items */
#include "bt/core/journal.h"

#include "base/cur.h"
#include "crypt/sha.h"

enum { LENGTH_LEN = 4, CHECK_LEN = 8, ITEM_PIECE = 'p', ITEM_FILE = 'f' };

static void put_check(uint8_t check[CHECK_LEN], uint64_t generation, struct tarn_bytes items)
{
    struct crypt_sha sha;
    uint8_t first[8], digest[CRYPT_SHA256_LEN];
    for (int i = 0; i < 8; i++)
        first[i] = (uint8_t)(generation >> (56 - 8 * i));
    crypt_sha_init(&sha, CRYPT_SHA256);
    crypt_sha_update(&sha, tarn_bytes_of(first, sizeof first));
    crypt_sha_update(&sha, items);
    crypt_sha_final(&sha, digest);
    memcpy(check, digest, CHECK_LEN);
}

void bt_note_begin(struct bt_note_writer *w, struct tarn_out *o)
{
    *w = (struct bt_note_writer){ .o = o, .start = o->len };
    tarn_out_be32(o, 0); /* the length, once it is known */
}

void bt_note_piece(struct bt_note_writer *w, uint32_t piece)
{
    tarn_out_u8(w->o, ITEM_PIECE);
    tarn_out_be32(w->o, piece);
}

void bt_note_file(struct bt_note_writer *w, uint32_t file, const struct bt_seen *seen)
{
    tarn_out_u8(w->o, ITEM_FILE);
    tarn_out_be32(w->o, file);
    tarn_out_u8(w->o, seen->where);
    tarn_out_be64(w->o, seen->size);
    tarn_out_be64(w->o, seen->ino);
    tarn_out_be64(w->o, (uint64_t)seen->mtime_ns);
    tarn_out_be64(w->o, (uint64_t)seen->ctime_ns);
}

void bt_note_end(struct bt_note_writer *w, uint64_t generation)
{
    uint8_t check[CHECK_LEN];
    if (!tarn_out_ok(w->o))
        return;
    uint8_t *head = w->o->p + w->start;
    size_t len = w->o->len - w->start - LENGTH_LEN;
    for (int i = 0; i < LENGTH_LEN; i++)
        head[i] = (uint8_t)(len >> (24 - 8 * i));
    put_check(check, generation, tarn_bytes_of(head + LENGTH_LEN, len));
    tarn_out_put(w->o, tarn_bytes_of(check, sizeof check));
}

static void take_file(struct bt_journal *j, uint32_t file, const struct bt_seen *seen)
{
    if (file < j->n_files && bt_seen_same(seen, &j->now[file]))
        j->known[file] = 1;
}

/* False: they are not ours, however well their checksum fits. */
static bool take_items(struct bt_journal *j, struct tarn_bytes items)
{
    struct tarn_cur c = tarn_cur_of(items);
    while (tarn_cur_left(&c) > 0 && !c.bad) {
        uint8_t kind = tarn_cur_u8(&c);
        uint32_t index = tarn_cur_be32(&c);
        if (kind == ITEM_PIECE) {
            if (!c.bad && index < j->named->n)
                tarn_bits_set(j->named, index);
            continue;
        }
        if (kind != ITEM_FILE)
            return false;
        struct bt_seen seen = { .where = tarn_cur_u8(&c) };
        seen.size = tarn_cur_be64(&c);
        seen.ino = tarn_cur_be64(&c);
        seen.mtime_ns = (int64_t)tarn_cur_be64(&c);
        seen.ctime_ns = (int64_t)tarn_cur_be64(&c);
        if (!c.bad)
            take_file(j, index, &seen);
    }
    return tarn_cur_done(&c);
}

size_t bt_journal_read(struct bt_journal *j, struct tarn_bytes in, uint64_t generation)
{
    struct tarn_cur c = tarn_cur_of(in);
    size_t good = 0;
    for (;;) {
        uint8_t check[CHECK_LEN];
        uint32_t len = tarn_cur_be32(&c);
        if (c.bad || len == 0 || len > BT_NOTE_MAX)
            return good;
        struct tarn_bytes items = tarn_cur_take(&c, len);
        struct tarn_bytes there = tarn_cur_take(&c, CHECK_LEN);
        if (c.bad)
            return good;
        put_check(check, generation, items);
        if (memcmp(check, there.p, CHECK_LEN) != 0 || !take_items(j, items))
            return good;
        good = in.len - tarn_cur_left(&c);
    }
}
