#include "store/layout.h"

#include "store/test/room.h"

/* "file:off+len" for each part of the run, "-" for padding. */
static const char *parts(const struct store_layout *l, uint64_t off, uint64_t len)
{
    static char text[256];
    struct store_walk w;
    struct store_part p;
    text[0] = '\0';
    store_walk_begin(&w, l, off, len);
    while (store_walk_next(&w, &p)) {
        size_t n = strlen(text);
        if (p.file == STORE_NO_FILE)
            snprintf(text + n, sizeof text - n, "-+%d ", (int)p.len);
        else
            snprintf(text + n, sizeof text - n, "%d:%d+%d ", (int)p.file, (int)p.off, (int)p.len);
    }
    return text;
}

static void test_walks(void **state)
{
    (void)state;
    struct room r;
    const struct room_file files[] = {
        { .len = 0 },
        { .len = 10 },
        { .len = 0 },
        { .len = 6, .how = ROOM_PAD },
        { .len = 20 },
        { .len = 4, .how = ROOM_GAP },
        { .len = 1 },
        { .len = 0 },
        { .len = 9, .how = ROOM_GAP },
    };
    room_make(&r, 16, files, TARN_COUNT_OF(files));
    const struct store_layout *l = &r.layout;
    assert_int_equal(l->total, 50);
    assert_string_equal(parts(l, 0, 50), "1:0+10 -+6 4:0+20 -+4 5:0+1 -+9 ");
    assert_string_equal(parts(l, 9, 1), "1:9+1 ");
    assert_string_equal(parts(l, 9, 2), "1:9+1 -+1 ");
    assert_string_equal(parts(l, 10, 6), "-+6 ");
    assert_string_equal(parts(l, 16, 1), "4:0+1 ");
    assert_string_equal(parts(l, 35, 3), "4:19+1 -+2 ");
    assert_string_equal(parts(l, 38, 3), "-+2 5:0+1 ");
    assert_string_equal(parts(l, 41, 9), "-+9 ");
    assert_string_equal(parts(l, 50, 0), "");
    assert_string_equal(parts(l, 0, 0), "");

    uint32_t first = 7, last = 7, len = 7;
    assert_false(store_file_pieces(l, 0, &first, &last));
    assert_int_equal(first, 7);
    assert_true(store_file_pieces(l, 1, &first, &last));
    assert_true(first == 0 && last == 0);
    assert_true(store_file_pieces(l, 4, &first, &last));
    assert_true(first == 1 && last == 2);
    assert_int_equal(store_piece_len(l, 2), 16);
    assert_int_equal(store_piece_len(l, 3), 2);

    assert_int_equal(store_piece_own_file(l, 0, &len), 1);
    assert_int_equal(len, 10);
    assert_int_equal(store_piece_own_file(l, 1, &len), 4);
    assert_int_equal(len, 16);
    assert_int_equal(store_piece_own_file(l, 2, &len), 4);
    assert_int_equal(len, 4);
    assert_int_equal(store_piece_own_file(l, 3, &len), STORE_NO_FILE);
    assert_int_equal(len, 0);
    room_release(&r);
}

static void test_no_files(void **state)
{
    (void)state;
    struct store_layout l = { .piece_len = 4, .n_pieces = 2, .total = 8 };
    assert_string_equal(parts(&l, 1, 6), "-+6 ");
    store_layout_release(&l);
    store_layout_release(&l);
}

/* Walking any run says of each byte what looking at every file says. */
static void test_against_looking(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int turn = 0; turn < 300; turn++) {
        struct room r;
        room_random(&r, &seed, (uint32_t)test_rand_below(&seed, 60) + 1, turn % 2 == 0);
        uint64_t off = test_rand_below(&seed, r.layout.total);
        uint64_t len = test_rand_below(&seed, r.layout.total - off + 1), at = off;
        struct store_walk w;
        struct store_part p;
        store_walk_begin(&w, &r.layout, off, len);
        while (store_walk_next(&w, &p)) {
            assert_true(p.len > 0 && p.len <= off + len - at);
            for (uint64_t k = 0; k < p.len; k++, at++) {
                uint32_t file = STORE_NO_FILE;
                for (uint32_t i = 0; i < r.layout.n_files; i++)
                    if (!r.layout.files[i].is_pad && at >= r.layout.files[i].off &&
                        at - r.layout.files[i].off < r.layout.files[i].len)
                        file = i;
                assert_int_equal(p.file, file);
                if (file != STORE_NO_FILE)
                    assert_int_equal(p.off + k, at - r.layout.files[file].off);
            }
        }
        assert_int_equal(at, off + len);
        room_release(&r);
    }
}

TEST_MAIN(cmocka_unit_test(test_walks), cmocka_unit_test(test_no_files),
          cmocka_unit_test(test_against_looking))
