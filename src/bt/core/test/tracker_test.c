#include "bt/core/tracker.h"

#include "base/test/test.h"

#include <string.h>

static void test_url(void **state)
{
    (void)state;
    struct bt_announce a = { .uploaded = 1,
                             .downloaded = 18000000000000000000u,
                             .left = 3,
                             .key = 0xBEEF,
                             .numwant = 200,
                             .port = 6881,
                             .event = BT_ANNOUNCE_STARTED };
    memcpy(a.hash,
           "\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23\x45\x67\x89\xab\xcd\xef\x12\x34\x56\x78\x9a", 20);
    memcpy(a.peer_id, "-TN0100-._~ &=%\0\1\2\3\4", 20);
    static const struct {
        const char *tracker, *start;
    } cases[] = {
        { "http://a.example/announce", "http://a.example/announce?info_hash=" },
        { "http://a.example/announce?pass=1", "http://a.example/announce?pass=1&info_hash=" },
        { "http://a.example/announce#x?y", "http://a.example/announce?info_hash=" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(cases); i++) {
        struct tarn_out o;
        tarn_out_init(&o, 4 * TARN_KIB);
        bt_announce_url(&o, cases[i].tracker, &a);
        char *url = tarn_out_take_str(&o);
        size_t n = strlen(cases[i].start);
        assert_memory_equal(url, cases[i].start, n);
        assert_string_equal(
            url + n, "%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A"
                     "&peer_id=-TN0100-._~%20%26%3D%25%00%01%02%03%04"
                     "&port=6881&uploaded=1&downloaded=18000000000000000000&left=3&key=0000BEEF"
                     "&numwant=200&event=started&compact=1&no_peer_id=1");
        tarn_free(url);
    }
    a.event = BT_ANNOUNCE_STOPPED;
    a.tracker_id = "x y";
    a.corrupt = 7;
    struct tarn_out o;
    tarn_out_init(&o, 4 * TARN_KIB);
    bt_announce_url(&o, "http://a/", &a);
    char *url = tarn_out_take_str(&o);
    assert_non_null(strstr(url, "&left=3&corrupt=7&key=0000BEEF&numwant=0&event=stopped&"));
    assert_non_null(strstr(url, "&trackerid=x%20y"));
    tarn_free(url);
}

static void test_answer(void **state)
{
    (void)state;
    static const char body[] = "d8:completei5e10:downloadedi9e11:external ip4:\1\2\3\4"
                               "10:incompletei6e8:intervali1800e12:min intervali60e"
                               "5:peers18:\1\2\3\4\x1A\xE1\5\6\7\x08\0\0\x09\x09\x09\x09\0\1"
                               "6:peers618:\x20\1\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\2"
                               "10:tracker id3:abc15:warning message5:hm\n\xFF!e";
    struct bt_answer a = { 0 };
    assert_true(bt_answer_parse(&a, tarn_bytes_of(body, sizeof body - 1), NULL));
    assert_false(a.failed);
    assert_int_equal(a.n_peers, 3); /* port 0 is left out */
    assert_memory_equal(a.peers[0].ip, "\1\2\3\4", 4);
    assert_int_equal(a.peers[0].port, 6881);
    assert_true(a.peers[2].is_v6 && a.peers[2].port == 2);
    assert_int_equal(a.interval_s, 1800);
    assert_int_equal(a.min_interval_s, 60);
    assert_int_equal(a.complete, 5);
    assert_int_equal(a.incomplete, 6);
    assert_int_equal(a.downloaded, 9);
    assert_int_equal(a.retry_s, -1);
    assert_int_equal(a.external_ip_len, 4);
    assert_string_equal(a.tracker_id, "abc");
    assert_string_equal(a.warning, "hm?\?!");
    bt_answer_release(&a);
}

static void test_peer_dictionaries(void **state)
{
    (void)state;
    static const char body[] = "d5:peersl"
                               "d2:ip7:1.2.3.47:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti1ee"
                               "d2:ip9:a.example4:porti2ee"
                               "d2:ip5:::1:24:porti3ee"
                               "d2:ip7:1.2.3.44:porti70000ee"
                               "d2:ip7:1.2.3.4e"
                               "i5e"
                               "ee";
    struct bt_answer a = { 0 };
    assert_true(bt_answer_parse(&a, tarn_bytes_of(body, sizeof body - 1), NULL));
    assert_int_equal(a.n_peers, 2);
    assert_int_equal(a.peers[0].port, 1);
    assert_true(a.peers[1].is_v6 && a.peers[1].port == 3);
    assert_int_equal(a.complete, -1);
    assert_int_equal(a.interval_s, 0);
    bt_answer_release(&a);
}

static void test_refused_and_odd_answers(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int64_t retry_s;
    } refused[] = {
        { "d14:failure reason4:no!\n5:peers1:xe", -1 },
        { "d14:failure reason4:no!\n8:retry ini5ee", 300 },
        { "d14:failure reason4:no!\n8:retry in1:7e", 420 },
        { "d14:failure reason4:no!\n8:retry in5:nevere", BT_RETRY_NEVER },
        { "d14:failure reason4:no!\n8:retry ini-5ee", -1 },
        { "d14:failure reason4:no!\n8:retry ini999999999999ee", BT_INTERVAL_MAX_S },
    };
    struct bt_answer a = { 0 };
    for (size_t i = 0; i < TARN_COUNT_OF(refused); i++) {
        assert_true(bt_answer_parse(&a, tarn_bytes_str(refused[i].body), NULL));
        assert_true(a.failed && a.n_peers == 0);
        assert_string_equal(a.failure, "no!?");
        assert_true(a.retry_s == refused[i].retry_s);
    }
    static const struct {
        const char *body, *why;
    } bad[] = {
        { "", "the tracker's answer" },
        { "<html>", "the tracker's answer: byte 0" },
        { "le", "not a dictionary" },
        { "d5:peers7:1234567e", "7 bytes, not a multiple of 6" },
        { "d6:peers617:12345678901234567e", "17 bytes, not a multiple of 18" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(bad); i++) {
        struct tarn_err err = { 0 };
        assert_false(bt_answer_parse(&a, tarn_bytes_str(bad[i].body), &err));
        if (strstr(err.msg, bad[i].why) == NULL)
            fail_msg("'%s' lacks '%s'", err.msg, bad[i].why);
    }
    /* as sent on stop: nothing but a number, and that absurd */
    assert_true(bt_answer_parse(&a, tarn_bytes_str("d8:intervali99999999999e5:peers0:e"), NULL));
    assert_int_equal(a.interval_s, BT_INTERVAL_MAX_S);
    bt_answer_release(&a);
}

enum { SECOND = 1000 * 1000 };

static const struct bt_tracker list[] = {
    { "http://a0/", 0 }, { "http://a1/", 0 }, { "http://a2/", 0 },
    { "http://b0/", 1 }, { "http://c0/", 2 },
};

static const struct bt_answer good = { .interval_s = 1000, .min_interval_s = 50, .retry_s = -1 };

static void start(struct bt_trackers *t, bool all_tiers, uint64_t seed)
{
    assert_true(bt_trackers_init(t, list, TARN_COUNT_OF(list), all_tiers, seed, NULL));
}

static struct bt_due due(struct bt_trackers *t, int64_t now_s)
{
    struct bt_due d;
    assert_true(bt_trackers_wake(t) <= now_s * SECOND);
    assert_true(bt_trackers_due(t, now_s * SECOND, &d));
    return d;
}

static void none(struct bt_trackers *t, int64_t now_s)
{
    struct bt_due d;
    assert_true(bt_trackers_wake(t) > now_s * SECOND);
    assert_false(bt_trackers_due(t, now_s * SECOND, &d));
}

static void test_shuffle_within_tiers(void **state)
{
    (void)state;
    unsigned first[3] = { 0 };
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct bt_trackers t;
        start(&t, false, seed);
        struct bt_due d = due(&t, 0);
        assert_true(d.id < 3);
        assert_string_equal(d.url, list[d.id].url);
        first[d.id]++;
        none(&t, 0);
        bt_trackers_release(&t);
    }
    for (size_t i = 0; i < 3; i++)
        assert_in_range(first[i], 60, 140);
}

/* BEP 12: through the tier, then to the next; the one that answers comes first from then on. */
static void test_tiers(void **state)
{
    (void)state;
    struct bt_trackers t;
    start(&t, false, 1);
    bool tried[3] = { false };
    for (int i = 0; i < 3; i++) {
        struct bt_due d = due(&t, 0);
        assert_int_equal(d.event, BT_ANNOUNCE_STARTED);
        assert_true(d.id < 3 && !tried[d.id]);
        tried[d.id] = true;
        assert_false(bt_trackers_all_failed(&t));
        bt_trackers_failed(&t, d.id, false, 0);
    }
    struct bt_due d = due(&t, 0);
    assert_int_equal(d.id, 3);
    none(&t, 0); /* nobody else while it is asked */
    bt_trackers_answered(&t, 3, &good, 0);
    none(&t, 1);
    /* the first tier is tried again when its delay is over */
    assert_int_equal(bt_trackers_wake(&t), 17 * SECOND);
    d = due(&t, 17);
    uint32_t kept = d.id;
    assert_true(kept < 3);
    bt_trackers_answered(&t, kept, &good, 17 * SECOND);
    none(&t, 1000); /* the second tier is not needed now */
    d = due(&t, 17 + 1100);
    assert_int_equal(d.id, kept);
    assert_int_equal(d.event, BT_ANNOUNCE_NONE);
    bt_trackers_answered(&t, kept, &good, 1117 * SECOND);
    /* on stop, both that know us hear it */
    bt_trackers_stop(&t);
    bool heard[5] = { false };
    for (int i = 0; i < 2; i++) {
        d = due(&t, 1118);
        assert_int_equal(d.event, BT_ANNOUNCE_STOPPED);
        heard[d.id] = true;
    }
    assert_true(heard[3] && heard[kept]);
    bt_trackers_failed(&t, 3, false, 1119 * SECOND);
    bt_trackers_answered(&t, kept, &good, 1119 * SECOND);
    assert_int_equal(bt_trackers_wake(&t), INT64_MAX);
    bt_trackers_release(&t);
}

static void test_all_tiers(void **state)
{
    (void)state;
    struct bt_trackers t;
    start(&t, true, 1);
    bool asked[3] = { false };
    for (int i = 0; i < 3; i++) {
        struct bt_due d = due(&t, 0);
        asked[list[d.id].tier] = true;
    }
    none(&t, 0);
    assert_true(asked[0] && asked[1] && asked[2]);
    bt_trackers_release(&t);
}

static void test_events(void **state)
{
    (void)state;
    struct bt_trackers t;
    struct bt_tracker one[] = { { "http://a/", 0 } };
    assert_true(bt_trackers_init(&t, one, 1, false, 5, NULL));
    struct bt_due d = due(&t, 10);
    assert_int_equal(d.event, BT_ANNOUNCE_STARTED);
    bt_trackers_failed(&t, 0, false, 10 * SECOND);
    assert_true(bt_trackers_all_failed(&t));
    none(&t, 20);
    d = due(&t, 28);
    assert_int_equal(d.event, BT_ANNOUNCE_STARTED); /* again until it was answered */
    bt_trackers_completed(&t);                      /* while that is under way */
    struct bt_answer with_id = good;
    memcpy(with_id.tracker_id, "id1", 4);
    bt_trackers_answered(&t, 0, &with_id, 28 * SECOND);
    d = due(&t, 28);
    assert_int_equal(d.event, BT_ANNOUNCE_COMPLETED);
    assert_string_equal(d.tracker_id, "id1");
    bt_trackers_answered(&t, 0, &good, 29 * SECOND);
    bt_trackers_completed(&t);
    none(&t, 1000);
    d = due(&t, 29 + 1100);
    assert_int_equal(d.event, BT_ANNOUNCE_NONE); /* completed once only */
    assert_string_equal(d.tracker_id, "id1");
    bt_trackers_answered(&t, 0, &good, 1129 * SECOND);
    /* in need of peers: after the minimum interval */
    bt_trackers_hurry(&t);
    assert_int_equal(bt_trackers_wake(&t), 1179 * SECOND);
    d = due(&t, 1179);
    assert_int_equal(d.event, BT_ANNOUNCE_NONE);
    bt_trackers_stop(&t);
    none(&t, 1180); /* it is being asked */
    bt_trackers_answered(&t, 0, &good, 1180 * SECOND);
    d = due(&t, 1180);
    assert_int_equal(d.event, BT_ANNOUNCE_STOPPED);
    bt_trackers_answered(&t, 0, &good, 1181 * SECOND);
    none(&t, 100000);
    bt_trackers_release(&t);
    /* complete before the tracker knew us: nothing to tell */
    assert_true(bt_trackers_init(&t, one, 1, false, 5, NULL));
    bt_trackers_completed(&t);
    (void)due(&t, 0);
    bt_trackers_answered(&t, 0, &good, 0);
    none(&t, 1000);
    /* unknown to a tracker: no stopped */
    bt_trackers_release(&t);
    assert_true(bt_trackers_init(&t, one, 1, false, 5, NULL));
    bt_trackers_stop(&t);
    assert_int_equal(bt_trackers_wake(&t), INT64_MAX);
    bt_trackers_release(&t);
}

static void test_delays(void **state)
{
    (void)state;
    struct bt_trackers t;
    struct bt_tracker one[] = { { "http://a/", 0 } };
    assert_true(bt_trackers_init(&t, one, 1, false, 5, NULL));
    int64_t now = 0;
    static const int64_t delays[] = { 17, 55, 117, 205, 317, 455, 617, 805 };
    for (size_t i = 0; i < TARN_COUNT_OF(delays); i++) {
        (void)due(&t, now);
        bt_trackers_failed(&t, 0, false, now * SECOND);
        assert_int_equal(bt_trackers_wake(&t), (now + delays[i]) * SECOND);
        now += delays[i];
    }
    for (int i = 0; i < 20; i++) {
        (void)due(&t, now);
        bt_trackers_failed(&t, 0, false, now * SECOND);
        now = bt_trackers_wake(&t) / SECOND;
    }
    (void)due(&t, now);
    bt_trackers_failed(&t, 0, false, now * SECOND);
    assert_int_equal(bt_trackers_wake(&t), (now + BT_TRACKER_DELAY_MAX_S) * SECOND);
    now += BT_TRACKER_DELAY_MAX_S;
    /* what the tracker wishes counts */
    (void)due(&t, now);
    struct bt_answer no = { .failed = true, .retry_s = 77 };
    bt_trackers_answered(&t, 0, &no, now * SECOND);
    assert_int_equal(bt_trackers_wake(&t), (now + 77) * SECOND);
    (void)due(&t, now + 77);
    no.retry_s = BT_RETRY_NEVER;
    bt_trackers_answered(&t, 0, &no, now * SECOND);
    assert_int_equal(bt_trackers_wake(&t), INT64_MAX);
    assert_true(bt_trackers_all_failed(&t));
    bt_trackers_release(&t);
    /* intervals have a floor, and 10 % more at most */
    for (uint64_t seed = 0; seed < 50; seed++) {
        assert_true(bt_trackers_init(&t, one, 1, false, seed, NULL));
        (void)due(&t, 0);
        struct bt_answer a = { .interval_s = 1, .retry_s = -1 };
        bt_trackers_answered(&t, 0, &a, 0);
        int64_t wake = bt_trackers_wake(&t);
        assert_true(wake >= 300 * SECOND && wake <= 330 * SECOND);
        bt_trackers_release(&t);
    }
}

/* Whatever answers come, something is always due in time, and no tracker is asked twice at once. */
static void test_always_goes_on(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int round = 0; round < 200; round++) {
        struct bt_trackers t;
        start(&t, round % 2 == 0, test_rand(&seed));
        bool busy[5] = { false };
        int64_t now = 0;
        for (int step = 0; step < 200; step++) {
            struct bt_due d;
            while (bt_trackers_due(&t, now, &d)) {
                assert_false(busy[d.id]);
                busy[d.id] = true;
            }
            uint32_t n_busy = 0;
            for (uint32_t i = 0; i < 5; i++)
                n_busy += busy[i];
            int64_t wake = bt_trackers_wake(&t);
            assert_true(wake > now && (wake < INT64_MAX || n_busy > 0));
            uint32_t i = (uint32_t)test_rand_below(&seed, 5);
            if (n_busy == 0) {
                now = wake;
            } else if (busy[i]) {
                busy[i] = false;
                if (test_rand(&seed) & 1)
                    bt_trackers_answered(&t, i, &good, now);
                else
                    bt_trackers_failed(&t, i, false, now);
            }
            if (test_rand_below(&seed, 50) == 0)
                bt_trackers_completed(&t);
            if (test_rand_below(&seed, 10) == 0)
                bt_trackers_hurry(&t);
        }
        bt_trackers_release(&t);
    }
}

TEST_MAIN(cmocka_unit_test(test_url), cmocka_unit_test(test_answer),
          cmocka_unit_test(test_peer_dictionaries), cmocka_unit_test(test_refused_and_odd_answers),
          cmocka_unit_test(test_shuffle_within_tiers), cmocka_unit_test(test_tiers),
          cmocka_unit_test(test_all_tiers), cmocka_unit_test(test_events),
          cmocka_unit_test(test_delays), cmocka_unit_test(test_always_goes_on))
