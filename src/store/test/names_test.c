#include "store/priv.h"
#include "store/test/room.h"

#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X240 X100 X100 X10 X10 X10 X10
#define X5 "xxxxx"

static const char *part_of(const struct store_names *n, const struct store_layout *l, uint32_t file)
{
    static struct store_path path;
    return store_names_part(n, l, file, &path) ? path.s : NULL;
}

static void check(const char *const *paths, const char *const *expected, uint32_t n_paths)
{
    struct store_file files[8] = { 0 };
    for (uint32_t i = 0; i < n_paths; i++)
        files[i] = (struct store_file){ .path = paths[i], .len = 1, .off = i };
    struct store_layout l = { .files = files, .n_files = n_paths, .total = n_paths };
    struct store_names n;
    assert_true(store_names_init(&n, &l, NULL));
    for (uint32_t i = 0; i < n_paths; i++)
        assert_string_equal(part_of(&n, &l, i), expected[i]);
    store_names_release(&n);
}

static void test_usual(void **state)
{
    (void)state;
    static const char *const paths[] = { "c/a", "c/b/a", "c/.part", "c/" X240 X10 };
    static const char *const expected[] = { "c/a.part", "c/b/a.part", "c/.part.part",
                                            "c/" X240 X10 ".part" };
    check(paths, expected, 4);
}

static void test_name_of_another_file(void **state)
{
    (void)state;
    static const char *const paths[] = { "c/a", "c/a.part", "c/a.part.part", "d/a" };
    static const char *const expected[] = { "c/a.0-1.part", "c/a.part.1-1.part",
                                            "c/a.part.part.part", "d/a.part" };
    check(paths, expected, 4);
}

static void test_name_of_a_folder(void **state)
{
    (void)state;
    static const char *const paths[] = { "c/a", "c/a.part/b", "c/a.part/b.part/c" };
    static const char *const expected[] = { "c/a.0-1.part", "c/a.part/b.1-1.part",
                                            "c/a.part/b.part/c.part" };
    check(paths, expected, 3);
}

/* The second choice is taken too, as a file and as the temporary name of a file. */
static void test_second_choice_taken(void **state)
{
    (void)state;
    static const char *const paths[] = { "c/a", "c/a.part", "c/a.0-1.part", "c/a.0-2" };
    static const char *const expected[] = { "c/a.0-3.part", "c/a.part.part", "c/a.0-1.part.part",
                                            "c/a.0-2.part" };
    check(paths, expected, 4);
}

/* 251 bytes are one more than ".part" leaves. Cut to fit, never inside a character. */
static void test_too_long(void **state)
{
    (void)state;
    static const char *const paths[] = { "c/" X240 X10 "x", "c/" X240 "xxxx\xe2\x82\xac" X5 };
    static const char *const expected[] = { "c/" X240 "xxxxxx.0-1.part",
                                            "c/" X240 "xxxx.1-1.part" };
    assert_int_equal(strlen(expected[0]), 2 + 255);
    check(paths, expected, 2);
}

static void test_longer_than_a_path(void **state)
{
    (void)state;
    char *path = tarn_calloc(5001, 1);
    for (int i = 0; i < 5000; i++)
        path[i] = i % 100 == 99 ? '/' : 'a';
    path[4999] = 'a';
    struct store_file f = { .path = path, .len = 1 };
    struct store_layout l = { .files = &f, .n_files = 1, .total = 1 };
    struct store_names n;
    assert_true(store_names_init(&n, &l, NULL));
    assert_null(part_of(&n, &l, 0));
    store_names_release(&n);
    tarn_free(path);
}

/* Names made of few characters, many of them ending in .part: all names differ, whoever they are
 * for. */
static void test_all_differ(void **state)
{
    (void)state;
    static const char *const elements[] = { "a",     "b",           "a.part",     "b.part",
                                            "a.0-1", "a.part.part", "a.1-1.part", "b.2-1" };
    uint64_t seed = test_seed();
    for (int turn = 0; turn < 300; turn++) {
        char paths[12][64];
        struct store_file files[12] = { 0 };
        struct store_layout l = { .files = files, .total = 12 };
        while (l.n_files < 12) {
            char *path = paths[l.n_files];
            const char *a = elements[test_rand_below(&seed, 8)],
                       *b = elements[test_rand_below(&seed, 8)];
            snprintf(path, 64, test_rand_below(&seed, 3) == 0 ? "%s/%s" : "%s", a, b);
            bool is_new = true;
            for (uint32_t i = 0; i < l.n_files; i++)
                is_new &= strcmp(paths[i], path) != 0;
            if (!is_new && test_rand_below(&seed, 4) == 0)
                break;
            if (is_new)
                files[l.n_files++] = (struct store_file){ .path = path, .len = 1 };
        }
        struct store_names n;
        assert_true(store_names_init(&n, &l, NULL));
        for (uint32_t i = 0; i < l.n_files; i++) {
            struct store_path mine, other;
            assert_true(store_names_part(&n, &l, i, &mine));
            for (uint32_t k = 0; k < l.n_files; k++) {
                assert_string_not_equal(mine.s, files[k].path);
                size_t len = strlen(mine.s);
                assert_false(strncmp(files[k].path, mine.s, len) == 0 && files[k].path[len] == '/');
                if (k == i)
                    continue;
                assert_true(store_names_part(&n, &l, k, &other));
                assert_string_not_equal(mine.s, other.s);
            }
        }
        store_names_release(&n);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    struct store_file files[] = { { .path = "c/a", .len = 1 }, { .path = "c/a.part", .len = 1 } };
    struct store_layout l = { .files = files, .n_files = 2, .total = 2 };
    bool ok = false;
    for (size_t n = 0; !ok; n++) {
        struct tarn_err err = { 0 };
        struct store_names names;
        test_mem_fail_after(n);
        ok = store_names_init(&names, &l, &err);
        test_mem_normal();
        assert_true(ok || err.code == TARN_E_NO_MEMORY);
        store_names_release(&names);
    }
}

TEST_MAIN(cmocka_unit_test(test_usual), cmocka_unit_test(test_name_of_another_file),
          cmocka_unit_test(test_name_of_a_folder), cmocka_unit_test(test_second_choice_taken),
          cmocka_unit_test(test_too_long), cmocka_unit_test(test_longer_than_a_path),
          cmocka_unit_test(test_all_differ), cmocka_unit_test(test_no_memory))
