#include "loop/resolve.h"

#include "loop/test/turns.h"

static int n_done;

static void on_done(struct loop_resolve *r)
{
    n_done++;
    *(bool *)r->arg = true;
}

static void test_numbers_and_localhost(void **state)
{
    (void)state;
    struct loop *l = turns_loop(1);
    bool done = false;
    struct loop_resolve r = { .done = on_done, .arg = &done };
    loop_resolve_start(l, &r, tarn_bytes_str("127.0.0.7"), 80);
    assert_false(done);
    TURN_UNTIL(l, done);
    assert_true(r.ok);
    assert_int_equal(r.n, 1);
    struct sys_addr_text text;
    assert_string_equal(sys_addr_text(&text, &r.addrs[0]), "127.0.0.7:80");
    loop_resolve_cancel(l, &r);

    done = false;
    loop_resolve_start(l, &r, tarn_bytes_str("::1"), 81);
    TURN_UNTIL(l, done);
    assert_true(r.ok);
    assert_string_equal(sys_addr_text(&text, &r.addrs[0]), "[::1]:81");
    loop_free(l);
}

static void test_refused_later(void **state)
{
    (void)state;
    struct loop *l = turns_loop(1);
    bool done = false;
    struct loop_resolve r = { .done = on_done, .arg = &done };
    char name[300];
    memset(name, 'a', sizeof name);
    size_t lens[] = { 0, 256, sizeof name };
    for (size_t i = 0; i < TARN_COUNT_OF(lens); i++) {
        done = false;
        loop_resolve_start(l, &r, tarn_bytes_of(name, lens[i]), 80);
        assert_false(done);
        TURN_UNTIL(l, done);
        assert_false(r.ok);
        assert_int_equal(r.err.code, TARN_E_USAGE);
    }
    loop_resolve_start(l, &r, tarn_bytes_of(name, 256), 80);
    loop_resolve_cancel(l, &r);
    done = false;
    turns_settle(l);
    assert_false(done);
    loop_free(l);
}

static void test_cancel(void **state)
{
    (void)state;
    struct loop *l = turns_loop(1);
    n_done = 0;
    bool done = false;
    struct loop_resolve r[8] = { 0 };
    for (size_t i = 0; i < 8; i++) {
        r[i].done = on_done;
        r[i].arg = &done;
        loop_resolve_start(l, &r[i], tarn_bytes_str("127.0.0.1"), 80);
    }
    for (size_t i = 0; i < 7; i++)
        loop_resolve_cancel(l, &r[i]);
    memset(r, 0xEE, 7 * sizeof r[0]);
    TURN_UNTIL(l, done);
    assert_int_equal(n_done, 1);
    for (size_t i = 0; i < 7; i++) { /* left for loop_free */
        memset(&r[i], 0, sizeof r[i]);
        r[i].done = on_done;
        loop_resolve_start(l, &r[i], tarn_bytes_str("127.0.0.1"), 80);
    }
    loop_free(l);
    assert_int_equal(n_done, 1);
}

TEST_MAIN(ON_BOTH(test_numbers_and_localhost), ON_BOTH(test_refused_later), ON_BOTH(test_cancel))
