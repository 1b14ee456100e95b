#include "base/list.h"

#include "base/test/test.h"

struct item {
    int number;
    struct tarn_list node;
};

static int pop(struct tarn_list *head)
{
    struct tarn_list *node = tarn_list_pop_front(head);
    return node == NULL ? -1 : TARN_OUTER(node, struct item, node)->number;
}

static void test_first_in_first_out(void **state)
{
    (void)state;
    struct tarn_list head;
    struct item items[3] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };
    tarn_list_init(&head);
    assert_true(tarn_list_empty(&head));
    for (int i = 0; i < 3; i++)
        tarn_list_push_back(&head, &items[i].node);
    assert_false(tarn_list_empty(&head));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pop(&head), i);
    assert_int_equal(pop(&head), -1);
}

static void test_remove(void **state)
{
    (void)state;
    struct tarn_list head;
    struct item items[3] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };
    tarn_list_init(&head);
    assert_false(tarn_list_is_in(&items[1].node));
    tarn_list_remove(&items[1].node);
    for (int i = 0; i < 3; i++)
        tarn_list_push_back(&head, &items[i].node);
    assert_true(tarn_list_is_in(&items[1].node));
    tarn_list_remove(&items[1].node);
    tarn_list_remove(&items[1].node);
    assert_false(tarn_list_is_in(&items[1].node));
    assert_int_equal(pop(&head), 0);
    tarn_list_push_back(&head, &items[1].node);
    assert_int_equal(pop(&head), 2);
    assert_int_equal(pop(&head), 1);
    assert_false(tarn_list_is_in(&items[1].node));
    assert_true(tarn_list_empty(&head));
}

struct group {
    struct tarn_list waiting, ran;
};

/* What gcc 12.2 gets wrong at -O2 under strict aliasing: it reads ran.prev once, before the loop.
 */
static __attribute__((noinline)) int put_back(struct group *g, struct item *items, int n_items)
{
    int turns = 0;
    for (int i = 0; i < n_items; i++)
        tarn_list_push_back(&g->ran, &items[i].node);
    while (!tarn_list_empty(&g->ran) && turns <= n_items) {
        struct tarn_list *last = g->ran.prev;
        last->next->prev = last->prev;
        last->prev->next = last->next;
        last->prev = &g->waiting;
        last->next = g->waiting.next;
        g->waiting.next->prev = last;
        g->waiting.next = last;
        turns++;
    }
    return turns;
}

static void test_emptied_from_its_end(void **state)
{
    (void)state;
    struct group g;
    struct item items[3] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };
    tarn_list_init(&g.waiting);
    tarn_list_init(&g.ran);
    assert_int_equal(put_back(&g, items, 3), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pop(&g.waiting), i);
    assert_int_equal(pop(&g.waiting), -1);
}

TEST_MAIN(cmocka_unit_test(test_first_in_first_out), cmocka_unit_test(test_remove),
          cmocka_unit_test(test_emptied_from_its_end))
