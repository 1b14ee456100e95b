/* Rows of entries: as long as they may be, and a byte longer. */
#include "catalog/row.h"

#include "base/test/test.h"

/* An entry whose name and reason have these lengths, written and read again. */
static bool survives(size_t name_len, size_t reason_len)
{
    static uint8_t name[CATALOG_NAME_MAX + 1];
    static char reason[ROW_REASON_MAX + 1];
    struct row_entry from = { .seen_ms = 7 }, to;
    struct tarn_err err = { 0 };
    struct tarn_out o;
    struct kv_key key = { 0 };
    memset(name, 'n', sizeof name);
    memset(reason, 'r', sizeof reason);
    from.e = (struct catalog_entry){ .id = 5, .parent = 9, .state = CATALOG_REFUSED };
    from.e.reason = tarn_bytes_of(reason, reason_len);
    row_key_entry(&key, from.e.parent, tarn_bytes_of(name, name_len));
    tarn_out_init(&o, 4096);
    row_put_entry(&o, &from);
    bool ok = row_take_entry(kv_key_bytes(&key), tarn_out_bytes(&o), &to, &err);
    tarn_out_release(&o);
    if (!ok) {
        assert_int_equal(err.code, TARN_E_INTEGRITY);
        return false;
    }
    assert_int_equal(to.e.id, 5);
    assert_int_equal(to.e.parent, 9);
    assert_int_equal(to.seen_ms, 7);
    assert_true(tarn_bytes_eq(to.e.name, tarn_bytes_of(name, name_len)));
    assert_true(tarn_bytes_eq(to.e.reason, tarn_bytes_of(reason, reason_len)));
    return true;
}

static void test_entries_have_limits(void **state)
{
    (void)state;
    assert_true(survives(0, 0));
    assert_true(survives(CATALOG_NAME_MAX, ROW_REASON_MAX));
    assert_false(survives(CATALOG_NAME_MAX + 1, 0));
    assert_false(survives(1, ROW_REASON_MAX + 1));
}

TEST_MAIN(cmocka_unit_test(test_entries_have_limits))
