#include "base/map.h"

#include "base/test/test.h"

static const uint8_t fixed_seed[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static void test_put_get_remove(void **state)
{
    (void)state;
    struct tarn_map m;
    tarn_map_init(&m, fixed_seed);
    struct tarn_bytes empty = tarn_bytes_of(NULL, 0);
    assert_null(tarn_map_get(&m, empty));
    assert_false(tarn_map_remove(&m, empty));
    assert_true(tarn_map_put(&m, empty, 1));
    assert_true(tarn_map_put(&m, tarn_bytes_str("key"), 2));
    assert_int_equal(*tarn_map_get(&m, tarn_bytes_str("")), 1);
    *tarn_map_get(&m, tarn_bytes_str("key")) = 3;
    assert_int_equal(*tarn_map_get(&m, tarn_bytes_str("key")), 3);
    assert_null(tarn_map_get(&m, tarn_bytes_str("ke")));
    assert_true(tarn_map_remove(&m, empty));
    assert_false(tarn_map_remove(&m, empty));
    assert_int_equal(m.n, 1);
    tarn_map_release(&m);
    assert_null(tarn_map_get(&m, tarn_bytes_str("key")));
    tarn_map_release(&m);
}

/* After a replacement the earlier key's memory is no longer looked at. */
static void test_replace_takes_the_new_key(void **state)
{
    (void)state;
    struct tarn_map m;
    tarn_map_init(&m, fixed_seed);
    char first[] = "key", second[] = "key";
    assert_true(tarn_map_put(&m, tarn_bytes_str(first), 1));
    assert_true(tarn_map_put(&m, tarn_bytes_str(second), 2));
    first[0] = 'x';
    assert_int_equal(m.n, 1);
    assert_int_equal(*tarn_map_get(&m, tarn_bytes_str("key")), 2);
    tarn_map_release(&m);
}

/* SipHash-1-3 of the first bytes of 0, 1, 2 ... under the key 0, 1, 2 ... 15, made with OpenSSL 3:
 * openssl mac -macopt hexkey:... -macopt size:8 -macopt c-rounds:1 -macopt d-rounds:3 SIPHASH */
static void test_hash_vectors(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint32_t low; /* the lower half, which the table keeps */
    } vectors[] = {
        { 0, 0x050fc4dc },  { 1, 0x7d57ca93 },  { 7, 0x9bb11140 },  { 8, 0x8d299a8e },
        { 15, 0x2a519956 }, { 16, 0x7d908b66 }, { 63, 0xb7bbb3a8 },
    };
    uint8_t text[64];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)i;
    for (size_t i = 0; i < TARN_COUNT_OF(vectors); i++) {
        struct tarn_map m;
        tarn_map_init(&m, fixed_seed);
        assert_true(tarn_map_put(&m, tarn_bytes_of(text, vectors[i].len), 0));
        assert_int_equal(m.slots[vectors[i].low & (m.cap - 1)].hash, vectors[i].low);
        tarn_map_release(&m);
    }
}

static void test_many(void **state)
{
    (void)state;
    enum {
        MANY = 10000,
    };
    static uint32_t keys[MANY];
    struct tarn_map m;
    tarn_map_init(&m, fixed_seed);
    for (uint32_t i = 0; i < MANY; i++) {
        keys[i] = i;
        assert_true(tarn_map_put(&m, tarn_bytes_of(&keys[i], sizeof keys[i]), i));
    }
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(*tarn_map_get(&m, tarn_bytes_of(&i, sizeof i)), i);
    assert_true(m.cap <= 2 * 16384);
    tarn_map_release(&m);
}

/* Keys that come and go leave marks; the marks must not make the table grow, or searches endless.
 */
static void test_coming_and_going(void **state)
{
    (void)state;
    struct tarn_map m;
    tarn_map_init(&m, fixed_seed);
    for (uint32_t i = 0; i < 10000; i++) {
        struct tarn_bytes key = tarn_bytes_of(&i, sizeof i);
        assert_true(tarn_map_put(&m, key, i));
        assert_true(tarn_map_remove(&m, key));
        assert_true(m.filled < m.cap);
    }
    assert_int_equal(m.cap, 16);
    tarn_map_release(&m);
}

/* Against the plainest table there is: an array with a place for each key. */
static void test_like_a_plain_table(void **state)
{
    (void)state;
    enum {
        KEYS = 200,
    };
    uint64_t seed = test_seed();
    uint8_t keys[KEYS];
    bool has[KEYS] = { false };
    uint64_t value[KEYS] = { 0 };
    size_t n = 0;
    struct tarn_map m;
    tarn_map_init(&m, fixed_seed);
    for (size_t turn = 0; turn < 100000; turn++) {
        size_t i = test_rand_below(&seed, KEYS);
        keys[i] = (uint8_t)i;
        struct tarn_bytes key = tarn_bytes_of(&keys[i], 1);
        bool is_filling = turn / 1000 % 2 == 0; /* so that the table often grows and shrinks */
        if (test_rand_below(&seed, 4) < (is_filling ? 3 : 1)) {
            value[i] = test_rand(&seed);
            assert_true(tarn_map_put(&m, key, value[i]));
            n += !has[i];
            has[i] = true;
        } else {
            assert_true(tarn_map_remove(&m, key) == has[i]);
            n -= has[i];
            has[i] = false;
        }
        assert_int_equal(m.n, n);
        uint8_t other = (uint8_t)test_rand_below(&seed, KEYS);
        const uint64_t *found = tarn_map_get(&m, tarn_bytes_of(&other, 1));
        assert_true((found != NULL) == has[other]);
        assert_true(found == NULL || *found == value[other]);
    }
    tarn_map_release(&m);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char keys[] = "abcdefghijklmnopqrstuvwxyz";
    struct tarn_map m;
    tarn_map_init(&m, fixed_seed);
    test_mem_fail_after(0);
    assert_false(tarn_map_put(&m, tarn_bytes_of(keys, 1), 0));
    test_mem_fail_after(1);
    size_t n = 0;
    while (tarn_map_put(&m, tarn_bytes_of(keys + n, 1), n))
        n++;
    assert_int_equal(m.n, n);
    assert_true(tarn_map_put(&m, tarn_bytes_of(keys, 1), 100)); /* replacing needs none */
    test_mem_normal();
    assert_null(tarn_map_get(&m, tarn_bytes_of(keys + n, 1)));
    assert_true(tarn_map_put(&m, tarn_bytes_of(keys + n, 1), n));
    assert_int_equal(*tarn_map_get(&m, tarn_bytes_of(keys, 1)), 100);
    for (size_t i = 1; i <= n; i++)
        assert_int_equal(*tarn_map_get(&m, tarn_bytes_of(keys + i, 1)), i);
    tarn_map_release(&m);
}

static void test_release_accepts_zeroed(void **state)
{
    (void)state;
    struct tarn_map m = { 0 };
    tarn_map_release(&m);
}

TEST_MAIN(cmocka_unit_test(test_put_get_remove), cmocka_unit_test(test_replace_takes_the_new_key),
          cmocka_unit_test(test_hash_vectors), cmocka_unit_test(test_many),
          cmocka_unit_test(test_coming_and_going), cmocka_unit_test(test_like_a_plain_table),
          cmocka_unit_test(test_no_memory), cmocka_unit_test(test_release_accepts_zeroed))
