/* Those who wait for a limit are served in turn, and a limit can be changed while they wait. */
#include "bt/limit.h"

#include "base/test/test.h"
#include "sys/fake.h"

enum { WAITERS = 5, BLOCK = 16384, RATE = 1 << 20 };

struct waiter {
    struct tarn_list node;
    struct bt_limit *limit;
    uint64_t sent, wants;
};

static void take(struct waiter *w)
{
    while (w->wants > 0 && bt_limit_may(w->limit, &w->node)) {
        bt_limit_take(w->limit, BLOCK);
        w->sent += BLOCK;
        w->wants -= BLOCK;
    }
}

static void on_turn(struct tarn_list *node)
{
    take(TARN_OUTER(node, struct waiter, node));
}

struct queue {
    struct sys_fake fake;
    struct loop *loop;
    struct bt_limit limit;
    struct waiter v[WAITERS];
};

static void begin(struct queue *q)
{
    sys_fake_install(&q->fake, &sys_ops_native);
    q->loop = loop_new(&(struct loop_settings){ .threads = 1 }, NULL);
    assert_non_null(q->loop);
    bt_limit_init(&q->limit, q->loop, RATE, on_turn);
    for (size_t i = 0; i < WAITERS; i++)
        q->v[i] = (struct waiter){ .limit = &q->limit, .wants = UINT32_MAX / BLOCK * BLOCK };
}

static void end(struct queue *q)
{
    for (size_t i = 0; i < WAITERS; i++)
        tarn_list_remove(&q->v[i].node);
    bt_limit_release(&q->limit);
    loop_free(q->loop);
    sys_fake_remove(&q->fake);
}

/* The fake clock goes on; the true one does so too, a little. */
static void pass(struct queue *q, int64_t us)
{
    q->fake.clock_offset_us += us;
    assert_true(loop_turn(q->loop, 0, NULL));
}

static uint64_t sent(const struct queue *q)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < WAITERS; i++)
        sum += q->v[i].sent;
    return sum;
}

static void each_has_its_turn(void **state)
{
    (void)state;
    struct queue q;
    begin(&q);
    for (size_t i = 0; i < WAITERS; i++)
        take(&q.v[i]);
    for (int i = 0; i < 2000; i++)
        pass(&q, 5000); /* not a third of a block each */
    for (size_t i = 0; i < WAITERS; i++)
        assert_in_range(q.v[i].sent, sent(&q) / WAITERS - 2 * BLOCK,
                        sent(&q) / WAITERS + 2 * BLOCK);
    assert_true(sent(&q) >= 10 * (uint64_t)RATE - BLOCK);
    end(&q);
}

/* One uses it up and wants no more: the next is called all the same. */
static void nobody_is_forgotten(void **state)
{
    (void)state;
    struct queue q;
    begin(&q);
    for (size_t i = 0; i < WAITERS; i++) {
        q.v[i].wants = BLOCK;
        take(&q.v[i]);
    }
    for (int i = 0; i < 200; i++)
        pass(&q, 5000);
    assert_int_equal(sent(&q), WAITERS * BLOCK);
    end(&q);
}

static void changes_while_they_wait(void **state)
{
    (void)state;
    struct queue q;
    begin(&q);
    for (size_t i = 0; i < WAITERS; i++)
        take(&q.v[i]);
    for (int i = 0; i < 1000; i++) { /* changing is no way to have more */
        pass(&q, 1000);
        bt_limit_set(&q.limit, RATE + (uint64_t)(i % 2));
    }
    assert_in_range(sent(&q), RATE - BLOCK, RATE * 11 / 10 + 2 * BLOCK);
    for (size_t i = 0; i < WAITERS; i++)
        q.v[i].wants = 100 * BLOCK;
    bt_limit_set(&q.limit, 0);
    for (size_t i = 0; i < WAITERS; i++)
        assert_int_equal(q.v[i].wants, 0);
    end(&q);
}

TEST_MAIN(cmocka_unit_test(each_has_its_turn), cmocka_unit_test(nobody_is_forgotten),
          cmocka_unit_test(changes_while_they_wait))
