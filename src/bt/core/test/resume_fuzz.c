/* Any bytes as a record whose checksum is right, and as a journal; what was read can be written and
 * read again, and says the same. */
#include "base/mem.h"
#include "bt/core/journal.h"
#include "crypt/sha.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_record(struct tarn_bytes in)
{
    struct bt_record r, again;
    struct tarn_out o;
    struct tarn_err err;
    uint8_t *space = tarn_calloc(in.len + CRYPT_SHA256_LEN, 1);
    if (space == NULL)
        abort();
    if (in.len > 0)
        memcpy(space, in.p, in.len);
    crypt_hash(CRYPT_SHA256, in, space + in.len);
    if (bt_record_read(&r, tarn_bytes_of(space, in.len + CRYPT_SHA256_LEN), &err)) {
        if (r.n_pieces > BT_PIECES_MAX || r.have.n != r.n_pieces || r.place.len > BT_PLACE_MAX)
            abort();
        tarn_out_init(&o, BT_RECORD_MAX);
        bt_record_write(&r, &o);
        if (!bt_record_read(&again, tarn_out_bytes(&o), &err) || again.n_files != r.n_files ||
            !tarn_bytes_eq(again.place, r.place) || again.have.count != r.have.count)
            abort();
        bt_record_release(&again);
        bt_record_release(&r);
        tarn_out_release(&o);
    }
    tarn_free(space);
}

/* As it is, and with the frame of a note around it. */
static void as_journal(struct tarn_bytes in)
{
    struct bt_seen now[4] = { { 0 } };
    uint8_t known[4] = { 0 };
    struct tarn_bits named;
    struct tarn_out o;
    struct bt_note_writer w;
    if (!tarn_bits_init(&named, 100))
        abort();
    struct bt_journal j = { .now = now, .n_files = 4, .known = known, .named = &named };
    if (bt_journal_read(&j, in, 1) > in.len)
        abort();
    tarn_out_init(&o, BT_NOTE_MAX);
    bt_note_begin(&w, &o);
    tarn_out_put(&o, in);
    bt_note_end(&w, 1);
    if (tarn_out_ok(&o) && bt_journal_read(&j, tarn_out_bytes(&o), 1) > o.len)
        abort();
    for (int i = 0; i < 4; i++)
        if (known[i] != 0) /* nobody is nowhere */
            abort();
    tarn_out_release(&o);
    tarn_bits_release(&named);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_record(tarn_bytes_of(data, size));
    as_journal(tarn_bytes_of(data, size));
    return 0;
}
