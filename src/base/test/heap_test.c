#include "base/heap.h"

#include "base/mem.h"
#include "base/test/test.h"

enum {
    NODES = 64,
};

static void test_first_is_least(void **state)
{
    (void)state;
    struct tarn_heap h = { 0 };
    struct tarn_heap_node a = { 0 }, b = { 0 }, c = { 0 };
    assert_null(tarn_heap_first(&h));
    assert_true(tarn_heap_set(&h, &a, 5));
    assert_true(tarn_heap_set(&h, &b, INT64_MIN));
    assert_true(tarn_heap_set(&h, &c, INT64_MAX));
    assert_ptr_equal(tarn_heap_first(&h), &b);
    assert_true(tarn_heap_set(&h, &b, 6)); /* moved, not put in twice */
    assert_int_equal(h.n, 3);
    assert_ptr_equal(tarn_heap_first(&h), &a);
    tarn_heap_remove(&h, &a);
    tarn_heap_remove(&h, &a);
    assert_int_equal(a.place, 0);
    assert_ptr_equal(tarn_heap_first(&h), &b);
    tarn_heap_release(&h);
}

static int compare_keys(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void test_comes_out_sorted(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int turn = 0; turn < 300; turn++) {
        struct tarn_heap h = { 0 };
        struct tarn_heap_node nodes[NODES] = { 0 };
        int64_t keys[NODES];
        size_t n = test_rand_below(&seed, NODES) + 1;
        for (size_t i = 0; i < n; i++) {
            keys[i] = (int64_t)test_rand_below(&seed, 50) - 25;
            assert_true(tarn_heap_set(&h, &nodes[i], keys[i]));
        }
        qsort(keys, n, sizeof keys[0], compare_keys);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(tarn_heap_first(&h)->key, keys[i]);
            tarn_heap_remove(&h, tarn_heap_first(&h));
        }
        assert_null(tarn_heap_first(&h));
        tarn_heap_release(&h);
    }
}

/* Nodes know their places, no child comes before its parent, and those are all that are in. */
static void assert_sound(const struct tarn_heap *h, const struct tarn_heap_node *nodes)
{
    size_t in = 0;
    for (size_t i = 0; i < NODES; i++)
        in += nodes[i].place != 0;
    assert_int_equal(in, h->n);
    for (size_t i = 0; i < h->n; i++) {
        assert_int_equal(h->nodes[i]->place, i + 1);
        assert_true(h->nodes[(i - (i > 0)) / 2]->key <= h->nodes[i]->key);
    }
}

static void test_moves_and_removals(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct tarn_heap h = { 0 };
    struct tarn_heap_node nodes[NODES] = { 0 };
    for (int turn = 0; turn < 20000; turn++) {
        struct tarn_heap_node *node = &nodes[test_rand_below(&seed, NODES)];
        if (test_rand_below(&seed, 3) == 0)
            tarn_heap_remove(&h, node);
        else
            assert_true(tarn_heap_set(&h, node, (int64_t)test_rand_below(&seed, 100)));
        assert_sound(&h, nodes);
    }
    tarn_heap_release(&h);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct tarn_heap h = { 0 };
    struct tarn_heap_node nodes[NODES] = { 0 };
    size_t n = 0;
    test_mem_fail_after(1);
    while (tarn_heap_set(&h, &nodes[n], -(int64_t)n))
        n++;
    assert_int_equal(h.n, n);
    assert_int_equal(nodes[n].place, 0);
    assert_true(tarn_heap_set(&h, &nodes[0], -100)); /* in already: always moves */
    assert_ptr_equal(tarn_heap_first(&h), &nodes[0]);
    test_mem_normal();
    assert_true(tarn_heap_set(&h, &nodes[n], -101));
    assert_sound(&h, nodes);
    tarn_heap_release(&h);
}

TEST_MAIN(cmocka_unit_test(test_first_is_least), cmocka_unit_test(test_comes_out_sorted),
          cmocka_unit_test(test_moves_and_removals), cmocka_unit_test(test_no_memory))
