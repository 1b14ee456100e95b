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

TEST_MAIN(cmocka_unit_test(test_first_in_first_out), cmocka_unit_test(test_remove))
