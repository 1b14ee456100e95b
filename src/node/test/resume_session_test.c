/* Whole sessions that remember in the node's index: the first things that bt's own test asks of
 * files (src/bt/test/resume_test.c). */
#include "bt/test/world.h"
#include "node/resume_kv.h"
#include "sys/fake.h"

enum { SLOW = 256 * 1024 }; /* bytes a second: a fetch takes seconds, so that it can be cut off */

/* In place from beginning to end: it may not change while threads work. */
static struct sys_fake fake;

struct index {
    struct kv *kv;
    struct node_resume_kv *resume;
};

/* The index is closed and opened between any two sessions, as between two runs of a node. */
static void open_index(struct index *x, struct world *w)
{
    static const char *const tables[] = { "resume" };
    char path[96];
    struct tarn_err err = { 0 };
    snprintf(path, sizeof path, "%s/index", w->folder);
    struct kv_settings set = {
        .path = path, .kind = "test index", .tables = tables, .n_tables = 1, .schema = 1
    };
    x->kv = kv_open(&set, &err);
    if (x->kv == NULL)
        fail_msg("%s", err.msg);
    x->resume = node_resume_kv_new(x->kv, 0, &err);
    assert_non_null(x->resume);
    w->resume = &node_resume_kv_ops;
    w->resume_arg = x->resume;
}

static void close_index(struct index *x, struct world *w)
{
    node_resume_kv_free(x->resume);
    kv_close(x->kv);
    w->resume = NULL;
}

static void gone(void *arg)
{
    ((struct side *)arg)->has_gone = true;
}

static void leave(struct world *w, struct side *s)
{
    bt_session_goodbye(s->session, gone, s);
    assert_true(run_until(w, &s->has_gone));
    side_close(s);
}

static struct bt_stats stats_of(const struct side *s)
{
    struct bt_stats stats;
    bt_torrent_stats(s->torrent, &stats);
    return stats;
}

static void run_until_done(struct world *w, struct side *s, uint64_t bytes)
{
    int64_t end = sys_now_us() + PATIENCE_US;
    while (stats_of(s).done < bytes && sys_now_us() < end)
        assert_true(loop_turn(w->loop, 10000, NULL));
    assert_true(stats_of(s).done >= bytes);
}

static void test_an_unchanged_seed_is_not_read(void **state)
{
    (void)state;
    struct world w;
    struct side s;
    struct index x;
    world_init(&w, BT_HYBRID);
    for (int run = 0; run < 3; run++) {
        open_index(&x, &w);
        uint64_t before = atomic_load(&fake.bytes_read);
        side_seed(&s, &w, "seed", false);
        assert_true(run_until(&w, &s.is_complete));
        uint64_t read = atomic_load(&fake.bytes_read) - before;
        assert_int_equal(read, run == 0 ? lengths[0] + lengths[2] + lengths[3] : 0);
        leave(&w, &s);
        close_index(&x, &w);
    }
    world_release(&w);
}

static void test_nothing_verified_is_fetched_again(void **state)
{
    (void)state;
    struct world w;
    struct side seed, fetch;
    struct index x;
    world_init(&w, BT_V2);
    side_seed(&seed, &w, "seed", false);
    assert_true(run_until(&w, &seed.is_complete));
    bt_session_set_rates(seed.session, 0, SLOW);
    open_index(&x, &w);
    side_fetch(&fetch, &w, "got", &seed, false);
    run_until_done(&w, &fetch, 150000);
    uint64_t done = stats_of(&fetch).done;
    assert_false(fetch.is_complete);
    side_close(&fetch); /* dropped without a word: only its notes tell */
    close_index(&x, &w);
    bt_session_set_rates(seed.session, 0, 0);
    open_index(&x, &w);
    side_fetch(&fetch, &w, "got", &seed, false);
    assert_true(run_until(&w, &fetch.is_complete));
    assert_same_files(&w, &fetch);
    uint64_t payload = lengths[0] + lengths[2] + lengths[3];
    assert_true(stats_of(&fetch).downloaded <= payload - done);
    assert_int_equal(stats_of(&fetch).pieces_failed, 0);
    leave(&w, &fetch);
    close_index(&x, &w);
    side_close(&seed);
    world_release(&w);
}

/* A magnet link's torrent is in the index the next time: no peer is asked. */
static void test_a_magnet_links_torrent_is_remembered(void **state)
{
    (void)state;
    struct world w;
    struct side seed, fetch;
    struct index x;
    world_init(&w, BT_HYBRID);
    side_seed(&seed, &w, "seed", false);
    assert_true(run_until(&w, &seed.is_complete));
    open_index(&x, &w);
    side_fetch(&fetch, &w, "got", &seed, true);
    assert_true(run_until(&w, &fetch.is_complete));
    leave(&w, &fetch);
    close_index(&x, &w);
    bt_torrent_pause(seed.torrent);
    open_index(&x, &w);
    side_fetch(&fetch, &w, "got", &seed, true);
    assert_true(run_until(&w, &fetch.is_complete));
    assert_int_equal(stats_of(&fetch).downloaded, 0);
    leave(&w, &fetch);
    close_index(&x, &w);
    side_close(&seed);
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_unchanged_seed_is_not_read),
        cmocka_unit_test(test_nothing_verified_is_fetched_again),
        cmocka_unit_test(test_a_magnet_links_torrent_is_remembered),
    };
    sys_fake_install(&fake, &sys_ops_native);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
