/* The record and the journal: what is written is read, and nothing else is. */
#include "base/test/test.h"
#include "bt/core/journal.h"
#include "crypt/sha.h"

enum { FILES = 3, PIECES = 11 };

static struct bt_record example(struct bt_seen files[FILES])
{
    struct bt_record r = {
        .hashes = { .has_v1 = true, .has_v2 = true },
        .piece_len = 32768,
        .n_pieces = PIECES,
        .n_files = FILES,
        .total = 350000,
        .place = tarn_bytes_str("/some/where"),
        .boot = tarn_bytes_str("a-boot"),
        .generation = 7,
        .is_clean = true,
        .downloaded = 1234567,
        .uploaded = UINT64_MAX,
        .files = files,
    };
    memset(r.hashes.v1, 0x11, sizeof r.hashes.v1);
    memset(r.hashes.v2, 0x22, sizeof r.hashes.v2);
    files[0] = (struct bt_seen){ 50000, 77, -5, INT64_MAX, BT_AT_FINAL, false };
    files[1] = (struct bt_seen){ UINT64_MAX, UINT64_MAX, INT64_MIN, 0, BT_AT_PART, false };
    files[2] = (struct bt_seen){ 0 };
    assert_true(tarn_bits_init(&r.have, PIECES));
    tarn_bits_set(&r.have, 0);
    tarn_bits_set(&r.have, 10);
    return r;
}

static void write_example(struct tarn_out *o)
{
    struct bt_seen files[FILES];
    struct bt_record r = example(files);
    tarn_out_init(o, TARN_MIB);
    bt_record_write(&r, o);
    assert_true(tarn_out_ok(o));
    tarn_bits_release(&r.have);
}

/* With the checksum that belongs to it. */
static bool read_signed(struct bt_record *r, struct tarn_bytes dict, struct tarn_err *err)
{
    static uint8_t space[TARN_MIB];
    memcpy(space, dict.p, dict.len);
    crypt_hash(CRYPT_SHA256, dict, space + dict.len);
    return bt_record_read(r, tarn_bytes_of(space, dict.len + CRYPT_SHA256_LEN), err);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct tarn_out o, again;
    struct bt_record r;
    struct tarn_err err;
    write_example(&o);
    if (!bt_record_read(&r, tarn_out_bytes(&o), &err))
        fail_msg("%s", err.msg);
    struct bt_seen files[FILES];
    struct bt_record wanted = example(files);
    assert_memory_equal(&r.hashes, &wanted.hashes, sizeof r.hashes);
    assert_int_equal(r.piece_len, wanted.piece_len);
    assert_int_equal(r.n_files, FILES);
    assert_int_equal(r.total, wanted.total);
    assert_true(tarn_bytes_eq(r.place, wanted.place) && tarn_bytes_eq(r.boot, wanted.boot));
    assert_int_equal(r.generation, 7);
    assert_true(r.is_clean);
    assert_int_equal(r.downloaded, 1234567);
    assert_int_equal(r.uploaded, INT64_MAX);
    assert_int_equal(r.have.count, 2);
    assert_true(tarn_bits_has(&r.have, 10));
    for (int i = 0; i < FILES; i++) {
        assert_int_equal(r.files[i].where, files[i].where);
        assert_int_equal(bt_seen_same(&r.files[i], &files[i]), files[i].where != BT_NOWHERE);
    }
    tarn_out_init(&again, TARN_MIB);
    bt_record_write(&r, &again);
    assert_true(tarn_bytes_eq(tarn_out_bytes(&o), tarn_out_bytes(&again)));
    tarn_out_release(&again);
    tarn_out_release(&o);
    bt_record_release(&r);
    tarn_bits_release(&wanted.have);
}

/* Cut anywhere, or with any bit turned, it is refused. */
static void test_damage_is_seen(void **state)
{
    (void)state;
    struct tarn_out o;
    struct bt_record r;
    struct tarn_err err;
    write_example(&o);
    for (size_t len = 0; len < o.len; len++)
        assert_false(bt_record_read(&r, tarn_bytes_of(o.p, len), &err));
    for (size_t bit = 0; bit < 8 * o.len; bit++) {
        o.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(bt_record_read(&r, tarn_out_bytes(&o), &err));
        o.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    tarn_out_release(&o);
}

/* With a good checksum, but wrong in a field: each has its sentence. */
static void test_fields_have_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *says;
    } changes[] = {
        { "tarn resume 1", "tarn resume 2", "another format" },
        { "6:piecesi11e", "6:piecesi12e", "" }, /* the same number of bytes of bits: fine */
        { "6:piecesi11e", "6:piecesi17e", "does not fit their number" },
        { "6:piecesi11e", "6:piecesi-1e", "out of its bounds" },
        { "6:piecesi11e", "6:pieces2:xx", "out of its bounds" },
        { "6:piecesi11e", "6:piecesi9999999e", "out of its bounds" },
        { "10:generationi7e", "10:generationi0e", "out of its bounds" },
        { "5:cleani1e", "5:cleani2e", "out of its bounds" },
        { "11:/some/where", "0:", "out of its bounds" },
        { "2:v120:\x11", "2:v119:", "out of its bounds" },
        { "5:files99:", "5:files98:", "" },
        { "4:boot6:a-boot", "4:boof6:a-boot", "out of its bounds" },
        { "4:boot6:a-boot", "4:boot6:a-boot4:boot6:b-boot", "untidy" },
    };
    struct tarn_out o, changed;
    struct tarn_err err;
    write_example(&o);
    tarn_out_init(&changed, TARN_MIB);
    struct tarn_bytes dict = tarn_bytes_of(o.p, o.len - CRYPT_SHA256_LEN);
    for (size_t i = 0; i < TARN_COUNT_OF(changes); i++) {
        struct bt_record r = { 0 };
        size_t len = strlen(changes[i].from);
        const uint8_t *at = memmem(dict.p, dict.len, changes[i].from, len);
        assert_non_null(at);
        tarn_out_clear(&changed);
        tarn_out_put(&changed, tarn_bytes_of(dict.p, (size_t)(at - dict.p)));
        tarn_out_str(&changed, changes[i].to);
        tarn_out_put(&changed, tarn_bytes_of(at + len, (size_t)(dict.p + dict.len - at) - len));
        bool ok = read_signed(&r, tarn_out_bytes(&changed), &err);
        if (i == 1) {
            assert_true(ok); /* that the torrent has 11 is bt_record_fits' to say */
            bt_record_release(&r);
            continue;
        }
        assert_false(ok);
        if (strstr(err.msg, changes[i].says) == NULL)
            fail_msg("%zu: %s", i, err.msg);
    }
    tarn_out_release(&changed);
    tarn_out_release(&o);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct tarn_out o;
    struct bt_record r;
    struct tarn_err err;
    bool ok = false;
    write_example(&o);
    for (size_t n = 0; !ok; n++) {
        test_mem_fail_after(n);
        ok = bt_record_read(&r, tarn_out_bytes(&o), &err);
        test_mem_normal();
        assert_true(ok || err.code == TARN_E_NO_MEMORY);
    }
    bt_record_release(&r);
    tarn_out_release(&o);
}

static void test_it_fits_one_torrent_and_place(void **state)
{
    (void)state;
    struct bt_seen files[FILES];
    struct bt_record r = example(files);
    struct bt_metainfo m = { .hashes = r.hashes, .piece_len = r.piece_len, .n_pieces = r.n_pieces };
    m.n_files = r.n_files;
    m.total = r.total;
    assert_true(bt_record_fits(&r, &m, tarn_bytes_str("/some/where"), NULL));
    assert_false(bt_record_fits(&r, &m, tarn_bytes_str("/some/where/else"), NULL));
    m.hashes.v2[31] ^= 1;
    assert_false(bt_record_fits(&r, &m, tarn_bytes_str("/some/where"), NULL));
    m.hashes.v2[31] ^= 1;
    m.hashes.has_v1 = false;
    assert_false(bt_record_fits(&r, &m, tarn_bytes_str("/some/where"), NULL));
    m.hashes.has_v1 = true;
    m.n_files++;
    assert_false(bt_record_fits(&r, &m, tarn_bytes_str("/some/where"), NULL));
    tarn_bits_release(&r.have);
}

static void test_the_table(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 32; i++) {
        struct bt_evidence e = { (i & 1) != 0, (i & 2) != 0, (i & 4) != 0, (i & 8) != 0,
                                 (i & 16) != 0 };
        enum bt_belief b = bt_believe(&e);
        bool may_be_there = e.in_journal || (!e.same_boot && !e.clean_stop);
        enum bt_belief else_b = may_be_there ? BT_CHECK : BT_MISSING;
        if (!e.files_known)
            assert_int_equal(b, BT_CHECK);
        else
            assert_int_equal(b, e.in_record ? BT_GOOD : else_b);
    }
}

/* --- the journal --- */

struct reading {
    struct bt_seen now[FILES];
    uint8_t known[FILES];
    struct tarn_bits named;
    struct bt_journal j;
};

static void begin_reading(struct reading *r)
{
    memset(r, 0, sizeof *r);
    for (int i = 0; i < FILES; i++)
        r->now[i] = (struct bt_seen){ 100, (uint64_t)i, 5, 6, BT_AT_PART, false };
    assert_true(tarn_bits_init(&r->named, PIECES));
    r->j = (struct bt_journal){
        .now = r->now, .n_files = FILES, .known = r->known, .named = &r->named
    };
}

static void put_notes(struct tarn_out *o, const struct reading *r, uint64_t generation)
{
    struct bt_note_writer w;
    struct bt_seen older = r->now[1];
    older.mtime_ns--;
    tarn_out_init(o, TARN_MIB);
    bt_note_begin(&w, o);
    bt_note_piece(&w, 3);
    bt_note_end(&w, generation);
    bt_note_begin(&w, o);
    bt_note_piece(&w, 3);
    bt_note_file(&w, 0, &r->now[0]);
    bt_note_file(&w, 1, &older);
    bt_note_end(&w, generation);
    bt_note_begin(&w, o);
    bt_note_piece(&w, PIECES);           /* of no such piece */
    bt_note_file(&w, FILES, &r->now[0]); /* of no such file */
    bt_note_piece(&w, 10);
    bt_note_end(&w, generation);
}

static void test_notes_are_read(void **state)
{
    (void)state;
    struct reading r;
    struct tarn_out o;
    begin_reading(&r);
    put_notes(&o, &r, 9);
    assert_int_equal(bt_journal_read(&r.j, tarn_out_bytes(&o), 9), o.len);
    assert_true(r.known[0] == 1 && r.known[1] == 0 && r.known[2] == 0);
    assert_true(r.named.count == 2 && tarn_bits_has(&r.named, 3) && tarn_bits_has(&r.named, 10));
    tarn_bits_release(&r.named);
    begin_reading(&r);
    assert_int_equal(bt_journal_read(&r.j, tarn_out_bytes(&o), 8), 0); /* of another generation */
    assert_int_equal(r.named.count, 0);
    tarn_bits_release(&r.named);
    tarn_out_release(&o);
}

/* Torn anywhere, what stands before the tear counts and nothing else; a turned bit likewise. */
static void test_torn_notes(void **state)
{
    (void)state;
    struct reading r;
    struct tarn_out o;
    begin_reading(&r);
    put_notes(&o, &r, 1);
    size_t last = 0;
    for (size_t len = 0; len <= o.len; len++) {
        size_t good = bt_journal_read(&r.j, tarn_bytes_of(o.p, len), 1);
        assert_true(good <= len && good >= last);
        last = good;
    }
    assert_int_equal(last, o.len);
    tarn_bits_release(&r.named);
    for (size_t bit = 0; bit < 8 * o.len; bit++) {
        begin_reading(&r);
        o.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(bt_journal_read(&r.j, tarn_out_bytes(&o), 1) <= bit / 8);
        o.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        tarn_bits_release(&r.named);
    }
    tarn_out_release(&o);
}

TEST_MAIN(cmocka_unit_test(test_round_trip), cmocka_unit_test(test_damage_is_seen),
          cmocka_unit_test(test_fields_have_bounds), cmocka_unit_test(test_no_memory),
          cmocka_unit_test(test_it_fits_one_torrent_and_place), cmocka_unit_test(test_the_table),
          cmocka_unit_test(test_notes_are_read), cmocka_unit_test(test_torn_notes))
