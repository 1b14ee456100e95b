#include "bt/core/choker.h"

#include "base/test/test.h"

enum { SECOND = 1000 * 1000, N = 30 };

/* Interested peers of an incomplete torrent, choked since for ever. */
static void crowd(struct bt_choke_peer *peers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        peers[i] = (struct bt_choke_peer){ .is_interested = true,
                                           .changed_at_us = INT64_MIN,
                                           .piece_len = 1 << 20 };
}

static uint32_t run(struct bt_choker *c, struct bt_choke_peer *peers, size_t n)
{
    uint32_t count = 0;
    bt_choker_run(c, peers, n);
    for (size_t i = 0; i < n; i++)
        count += peers[i].unchoke;
    return count;
}

/* Do as was decided, as a session would. */
static void obey(const struct bt_choker *c, struct bt_choke_peer *peers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct bt_choke_peer *p = &peers[i];
        if (p->unchoke != p->is_unchoked) {
            p->changed_at_us = c->now_us;
            p->sent_turn = 0;
        }
        p->is_unchoked = p->unchoke;
        p->was_optimistic = p->optimistic;
    }
}

static void test_givers_first(void **state)
{
    (void)state;
    struct bt_choke_peer peers[N];
    struct bt_choker c = { .slots = 10, .random = 1, .now_us = 100 * SECOND };
    crowd(peers, N);
    for (size_t i = 0; i < 12; i++)
        peers[i * 2].got_round = 1000 + i;
    peers[1].got_round = 50000;
    peers[1].is_upload_only = true;
    peers[3].got_round = 50000;
    peers[3].is_interested = false;
    peers[5].got_before = 5000; /* a stall in the last round only */
    assert_int_equal(run(&c, peers, N), 10);
    assert_true(peers[5].unchoke && !peers[1].unchoke && !peers[3].unchoke);
    uint32_t optimistic = 0;
    for (size_t i = 0; i < N; i++) {
        optimistic += peers[i].optimistic;
        if (i % 2 == 0 && i < 24)
            assert_true(peers[i].optimistic || peers[i].unchoke == (i >= 10));
    }
    assert_int_equal(optimistic, 2);
}

static void test_few_peers_all_served(void **state)
{
    (void)state;
    struct bt_choke_peer peers[3];
    struct bt_choker c = { .slots = 8, .random = 1, .now_us = 100 * SECOND };
    crowd(peers, 3);
    assert_int_equal(run(&c, peers, 3), 3);
    assert_int_equal(run(&c, peers, 0), 0);
    c.slots = 1;
    assert_int_equal(run(&c, peers, 3), 1);
}

static void test_no_quick_changes(void **state)
{
    (void)state;
    struct bt_choke_peer peers[3];
    struct bt_choker c = { .slots = 2, .random = 1, .now_us = 100 * SECOND };
    crowd(peers, 3);
    peers[0].got_round = 10;
    assert_int_equal(run(&c, peers, 3), 2);
    obey(&c, peers, 3);
    assert_true(peers[0].is_unchoked);
    size_t out = peers[1].is_unchoked ? 2 : 1;
    peers[out].got_round = 10000;
    c.now_us += BT_CHOKE_STAY_US - 1;
    assert_int_equal(run(&c, peers, 3), 2); /* the slots are taken a little longer */
    assert_false(peers[out].unchoke);
    c.now_us += 1;
    assert_int_equal(run(&c, peers, 3), 2);
    assert_true(peers[out].unchoke);
    obey(&c, peers, 3);
    peers[out].is_interested = false; /* leaves its slot to another, but is not choked at once */
    c.now_us += 1;
    (void)run(&c, peers, 3);
    assert_true(peers[out].unchoke);
    c.now_us += BT_CHOKE_STAY_US;
    assert_int_equal(run(&c, peers, 3), 2);
    assert_false(peers[out].unchoke);
}

/* Over ten minutes everybody who never gives gets an optimistic slot once. */
static void test_optimistic_turns(void **state)
{
    (void)state;
    struct bt_choke_peer peers[N];
    bool served[N] = { false };
    struct bt_choker c = { .slots = 5, .random = 3, .now_us = 0 };
    crowd(peers, N);
    for (size_t i = 0; i < 4; i++)
        peers[i].got_round = peers[i].got_before = 100;
    uint32_t n_changes = 0;
    for (int round = 0; round < 90; round++) {
        c.now_us += BT_CHOKE_ROUND_US;
        uint32_t n = run(&c, peers, N);
        assert_int_equal(n, 5);
        for (size_t i = 0; i < N; i++) {
            served[i] = served[i] || peers[i].unchoke;
            n_changes += peers[i].optimistic && !peers[i].is_unchoked;
        }
        obey(&c, peers, N);
    }
    assert_in_range(n_changes, 26, 31); /* each stays for 30 s */
    for (size_t i = 0; i < N; i++)
        assert_true(served[i]);
}

/* Seeding: everybody gets a turn of two minutes, or of 20 pieces when it is fast. */
static void test_seed_turns(void **state)
{
    (void)state;
    struct bt_choke_peer peers[20];
    uint32_t rounds[20] = { 0 };
    struct bt_choker c = { .slots = 5, .random = 3, .now_us = 0 };
    crowd(peers, 20);
    for (size_t i = 0; i < 20; i++)
        peers[i].is_seeding = true;
    for (int round = 0; round < 6 * 60; round++) {
        c.now_us += BT_CHOKE_ROUND_US;
        assert_int_equal(run(&c, peers, 20), 5);
        obey(&c, peers, 20);
        for (size_t i = 0; i < 20; i++) {
            rounds[i] += peers[i].is_unchoked;
            if (peers[i].is_unchoked && i < 10)
                peers[i].sent_turn += 5 << 20;
        }
    }
    for (size_t i = 0; i < 20; i++)
        assert_in_range(rounds[i], i < 10 ? 30 : 90, i < 10 ? 110 : 180);
}

static void test_slots_by_rate(void **state)
{
    (void)state;
    struct bt_choke_peer peers[N];
    crowd(peers, N);
    assert_int_equal(bt_choker_slots(peers, N), BT_SLOTS_MIN);
    for (size_t i = 0; i < 20; i++)
        peers[i].sent_round = 10 * 100000;
    assert_int_equal(bt_choker_slots(peers, N), 21);
    for (size_t i = 0; i < 20; i++)
        peers[i].sent_round = 10 * 10000; /* 1024 + 2048 k < 10000 for five of them */
    assert_int_equal(bt_choker_slots(peers, N), 6);
    for (size_t i = 0; i < N; i++)
        assert_false(peers[i].unchoke);
    assert_int_equal(bt_choker_slots(NULL, 0), BT_SLOTS_MIN);
}

/* Whatever the facts: never more than the slots and those that may not change yet, and nobody who
 * may not have one. */
static void test_bounds(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int round = 0; round < 3000; round++) {
        struct bt_choke_peer peers[N];
        struct bt_choker c = { .slots = 1 + (uint32_t)test_rand_below(&seed, 12),
                               .random = test_rand(&seed),
                               .now_us = 1000 * (int64_t)SECOND };
        uint32_t kept = 0, could = 0, n = (uint32_t)test_rand_below(&seed, N + 1);
        crowd(peers, N);
        for (size_t i = 0; i < n; i++) {
            struct bt_choke_peer *p = &peers[i];
            uint64_t bits = test_rand(&seed);
            p->got_round = bits & 1 ? test_rand_below(&seed, 1000) : 0;
            p->is_seeding = bits & 2;
            p->is_interested = bits & 12;
            p->is_upload_only = (bits & 0x70) == 0;
            p->is_unchoked = bits & 0x80;
            p->was_optimistic = p->is_unchoked && (bits & 0x100);
            p->changed_at_us = (int64_t)test_rand_below(&seed, 60 * SECOND) + 941 * (int64_t)SECOND;
            bool fresh = c.now_us - p->changed_at_us < BT_CHOKE_STAY_US;
            bool may = p->is_interested && !p->is_upload_only;
            kept += p->is_unchoked && fresh && !p->is_upload_only;
            could += may && (p->is_unchoked || !fresh);
        }
        uint32_t count = run(&c, peers, n);
        assert_true(count <= c.slots + kept);
        assert_true(count >= (could < c.slots ? could : c.slots));
        for (size_t i = 0; i < n; i++) {
            assert_false(peers[i].unchoke && peers[i].is_upload_only);
            assert_false(peers[i].optimistic && !peers[i].unchoke);
        }
    }
}

TEST_MAIN(cmocka_unit_test(test_givers_first), cmocka_unit_test(test_few_peers_all_served),
          cmocka_unit_test(test_no_quick_changes), cmocka_unit_test(test_optimistic_turns),
          cmocka_unit_test(test_seed_turns), cmocka_unit_test(test_slots_by_rate),
          cmocka_unit_test(test_bounds))
