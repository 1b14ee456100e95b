/* What a session believes at its start, and what it reads and fetches again: sessions that are
 * dropped in the middle, files that were changed meanwhile, records that are wrong. */
#include "bt/core/resume.h"
#include "bt/test/world.h"
#include "sys/fake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

/* In place from beginning to end: it may not change while threads work. */
static struct sys_fake fake;

static const enum bt_format formats[] = { BT_V1, BT_V2, BT_HYBRID };

enum { SLOW = 256 * 1024 }; /* bytes a second: a fetch takes seconds, so that it can be cut off */

/* --- the state folder --- */

/* The one file there that ends so; false when there is none. */
static bool find_state(const struct world *w, const char *ending, char path[512])
{
    char folder[96];
    snprintf(folder, sizeof folder, "%s/state", w->folder);
    DIR *d = opendir(folder);
    bool found = false;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t len = strlen(e->d_name), end = strlen(ending);
        if (len < end || strcmp(e->d_name + len - end, ending) != 0)
            continue;
        assert_false(found);
        snprintf(path, 512, "%s/%s", folder, e->d_name);
        found = true;
    }
    closedir(d);
    return found;
}

static struct tarn_bytes_mut read_state(const struct world *w, const char *ending)
{
    char path[512];
    struct tarn_bytes_mut b = { NULL, 0 };
    assert_true(find_state(w, ending, path));
    assert_true(sys_read_whole(path, TARN_MIB, &b.p, &b.len, NULL));
    return b;
}

static void write_state(const struct world *w, const char *ending, struct tarn_bytes b)
{
    char path[512];
    assert_true(find_state(w, ending, path));
    assert_true(sys_write_whole(path, b, NULL));
}

/* As after a power cut: another boot, no clean stop, and the journal is gone. */
static void pretend_power_cut(const struct world *w)
{
    struct bt_record r;
    struct tarn_bytes_mut old = read_state(w, ".resume");
    struct tarn_out o;
    char path[512];
    assert_true(bt_record_read(&r, tarn_bytes_of(old.p, old.len), NULL));
    r.boot = tarn_bytes_str("another");
    r.is_clean = false;
    tarn_out_init(&o, TARN_MIB);
    bt_record_write(&r, &o);
    write_state(w, ".resume", tarn_out_bytes(&o));
    if (find_state(w, ".journal", path))
        assert_int_equal(unlink(path), 0);
    tarn_out_release(&o);
    bt_record_release(&r);
    tarn_free(old.p);
}

/* Nothing is saved, and no file is finished. While no job runs. */
static void fail_renames(bool fail)
{
    fake.calls[SYS_FAKE_RENAME] = 0;
    fake.fail[SYS_FAKE_RENAME] = (struct sys_fault){ .error = fail ? ENOSPC : 0, .forever = true };
}

/* --- sessions --- */

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

/* Until it fetches or seeds: everything that is there has been looked at. */
static struct bt_stats run_to_the_start(struct world *w, struct side *s)
{
    int64_t end = sys_now_us() + PATIENCE_US;
    while (stats_of(s).state < BT_FETCHING && sys_now_us() < end)
        assert_true(loop_turn(w->loop, 100000, NULL));
    return stats_of(s);
}

static void run_until_saved(struct world *w, struct side *s)
{
    int64_t end = sys_now_us() + PATIENCE_US;
    bt_torrent_save(s->torrent);
    while (bt_torrent_is_saving(s->torrent) && sys_now_us() < end)
        assert_true(loop_turn(w->loop, 100000, NULL));
    assert_false(bt_torrent_is_saving(s->torrent));
}

static void run_until_done(struct world *w, struct side *s, uint64_t bytes)
{
    int64_t end = sys_now_us() + PATIENCE_US;
    while (stats_of(s).done < bytes && sys_now_us() < end)
        assert_true(loop_turn(w->loop, 10000, NULL));
    assert_true(stats_of(s).done >= bytes);
}

/* A seed, and somebody who has fetched a part of it slowly and is dropped without a word. What was
 * received until `saved` is in the record, the rest in the journal alone. */
static uint64_t cut_off(struct world *w, struct side *seed, enum bt_format format, uint64_t saved,
                        uint64_t more)
{
    struct side fetch;
    world_init(w, format);
    side_seed(seed, w, "seed", false);
    assert_true(run_until(w, &seed->is_complete));
    w->keeps = true; /* the other one only */
    bt_session_set_rates(seed->session, 0, SLOW);
    side_fetch(&fetch, w, "got", seed, false);
    run_until_done(w, &fetch, saved);
    run_until_saved(w, &fetch);
    run_until_done(w, &fetch, saved + more);
    uint64_t done = stats_of(&fetch).done;
    assert_false(fetch.is_complete);
    side_close(&fetch);
    bt_session_set_rates(seed->session, 0, 0);
    return done;
}

static void close_world(struct world *w, struct side *seed)
{
    side_close(seed);
    world_release(w);
}

static void edit(const struct world *w, const char *name, uint64_t at)
{
    char path[256];
    uint8_t byte;
    snprintf(path, sizeof path, "%s/%s", w->folder, name);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

/* Start again, and end with everything; what was read and fetched is told. */
struct again {
    uint64_t had, downloaded, read;
    char noted[512];
};
static struct again go_on(struct world *w, const struct side *seed)
{
    struct side fetch;
    struct again a;
    uint64_t before = atomic_load(&fake.bytes_read);
    side_fetch(&fetch, w, "got", seed, false);
    a.had = run_to_the_start(w, &fetch).done;
    a.read = atomic_load(&fake.bytes_read) - before;
    assert_true(run_until(w, &fetch.is_complete));
    assert_same_files(w, &fetch);
    a.downloaded = stats_of(&fetch).downloaded;
    assert_int_equal(stats_of(&fetch).pieces_failed, 0);
    snprintf(a.noted, sizeof a.noted, "%s", fetch.noted);
    leave(w, &fetch);
    return a;
}

/* --- tests --- */

static void an_unchanged_seed_is_not_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < TARN_COUNT_OF(formats); i++) {
        struct world w;
        struct side s;
        world_init(&w, formats[i]);
        w.keeps = true;
        for (int run = 0; run < 3; run++) {
            struct tarn_bytes_mut record = { NULL, 0 };
            if (run > 0)
                record = read_state(&w, ".resume");
            uint64_t before = atomic_load(&fake.bytes_read);
            side_seed(&s, &w, "seed", false);
            assert_true(run_until(&w, &s.is_complete));
            uint64_t payload = lengths[0] + lengths[2] + lengths[3];
            assert_int_equal(atomic_load(&fake.bytes_read) - before,
                             run == 0 ? payload : record.len);
            tarn_free(record.p);
            if (run == 1)
                side_close(&s); /* nothing new to say: without a word is as good */
            else
                leave(&w, &s);
        }
        world_release(&w);
    }
}

static void a_seed_that_changed_is_read_and_refused(void **state)
{
    (void)state;
    struct world w;
    struct side s;
    world_init(&w, BT_HYBRID);
    w.keeps = true;
    side_seed(&s, &w, "seed", false);
    assert_true(run_until(&w, &s.is_complete));
    edit(&w, "seed/pay/b/long", 200000); /* while it is seeded: the record must not bless it */
    leave(&w, &s);
    side_seed(&s, &w, "seed", false);
    int64_t end = sys_now_us() + PATIENCE_US;
    while (s.err.code == TARN_OK && sys_now_us() < end)
        assert_true(loop_turn(w.loop, 100000, NULL));
    assert_int_equal(s.err.code, TARN_E_INTEGRITY);
    side_close(&s);
    world_release(&w);
}

static void nothing_verified_is_fetched_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < TARN_COUNT_OF(formats); i++) {
        struct world w;
        struct side seed;
        uint64_t done = cut_off(&w, &seed, formats[i], 80000, 80000);
        struct again a = go_on(&w, &seed);
        assert_true(a.had >= done);
        assert_int_equal(a.downloaded, lengths[0] + lengths[2] + lengths[3] - a.had);
        assert_string_equal(a.noted, "");
        close_world(&w, &seed);
    }
}

/* Only what came after the record is hashed; the state itself is small. */
static void only_the_journalled_is_read(void **state)
{
    (void)state;
    struct world w;
    struct side seed;
    uint64_t done = cut_off(&w, &seed, BT_V1, 200000, 1);
    struct again a = go_on(&w, &seed);
    assert_true(a.had >= done);
    assert_true(a.read < 150000);
    close_world(&w, &seed);
}

static void a_complete_fetch_is_not_read(void **state)
{
    (void)state;
    struct world w;
    struct side seed;
    (void)cut_off(&w, &seed, BT_HYBRID, 40000, 1);
    (void)go_on(&w, &seed);
    struct tarn_bytes_mut record = read_state(&w, ".resume");
    struct again a = go_on(&w, &seed);
    assert_int_equal(a.downloaded, 0);
    assert_int_equal(a.read, record.len);
    tarn_free(record.p);
    close_world(&w, &seed);
}

/* The offset of the first byte that was received of a file; false when there is none. */
static bool first_received(const struct world *w, const char *name, uint64_t *at)
{
    char path[256];
    uint8_t *got;
    size_t len;
    snprintf(path, sizeof path, "%s/%s", w->folder, name);
    if (!sys_read_whole(path, TARN_MIB, &got, &len, NULL))
        return false;
    for (*at = 0; *at < len && got[*at] == 0;)
        ++*at;
    tarn_free(got);
    return *at < len;
}

/* The name of a file of which something was received. */
static void find_received(const struct world *w, char name[64], uint64_t *at)
{
    for (int i = 0; i < FILES; i++)
        for (int part = 0; part < 2; part++) {
            snprintf(name, 64, "got/pay/%s%s", names[i], part != 0 ? ".part" : "");
            if (first_received(w, name, at))
                return;
        }
    fail_msg("nothing was received");
}

static void an_edit_is_not_believed(void **state)
{
    (void)state;
    for (size_t i = 0; i < TARN_COUNT_OF(formats); i++) {
        struct world w;
        struct side seed;
        char name[64];
        uint64_t at;
        uint64_t done = cut_off(&w, &seed, formats[i], 120000, 1);
        find_received(&w, name, &at);
        edit(&w, name, at);
        struct again a = go_on(&w, &seed); /* compares all files in the end */
        assert_true(a.had < done);
        close_world(&w, &seed);
    }
}

/* The edit is found at the next start, which is cut off in its turn, before it could save: what it
 * wrote to the edited file must not make the old record good again. */
static void an_edit_is_not_believed_later(void **state)
{
    (void)state;
    struct world w;
    struct side seed, fetch;
    char name[64];
    uint64_t at;
    (void)cut_off(&w, &seed, BT_V1, 160000, 1); /* some of it lies in the longest file */
    snprintf(name, sizeof name, "got/pay/b/long.part");
    assert_true(first_received(&w, name, &at));
    edit(&w, name, at);
    fail_renames(true);
    bt_session_set_rates(seed.session, 0, SLOW);
    side_fetch(&fetch, &w, "got", &seed, false);
    /* One piece more: seldom the one that was edited, mostly of the same file. */
    run_until_done(&w, &fetch, run_to_the_start(&w, &fetch).done + 1);
    assert_non_null(strstr(fetch.noted, "could not be saved"));
    side_close(&fetch);
    fail_renames(false);
    (void)go_on(&w, &seed);
    close_world(&w, &seed);
}

/* Only its times are new: it is read, and nothing fetched again. */
static void a_touched_file_is_read(void **state)
{
    (void)state;
    struct world w;
    struct side seed;
    char name[64], path[256];
    uint64_t at;
    uint64_t done = cut_off(&w, &seed, BT_HYBRID, 120000, 1);
    find_received(&w, name, &at);
    snprintf(path, sizeof path, "%s/%s", w.folder, name);
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
    struct again a = go_on(&w, &seed);
    assert_true(a.had >= done);
    assert_true(a.read > 0);
    close_world(&w, &seed);
}

static void after_a_power_cut_the_record_holds(void **state)
{
    (void)state;
    struct world w;
    struct side seed;
    uint64_t done = cut_off(&w, &seed, BT_HYBRID, 120000, 60000);
    pretend_power_cut(&w);
    struct again a = go_on(&w, &seed);
    assert_true(a.had >= done); /* they were found by hashing */
    assert_int_equal(a.downloaded, lengths[0] + lengths[2] + lengths[3] - a.had);
    close_world(&w, &seed);
}

/* Whatever of the state is damaged: everything is checked, and nothing fetched again. */
static void damaged_state_is_not_believed(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        struct world w;
        struct side seed;
        uint64_t done = cut_off(&w, &seed, BT_HYBRID, 120000, 40000);
        struct tarn_bytes_mut b = read_state(&w, way == 3 ? ".journal" : ".resume");
        if (way == 0)
            b.p[b.len / 2] ^= 4;
        struct tarn_bytes written = tarn_bytes_of(b.p, way == 1   ? b.len - 1
                                                       : way == 2 ? 0
                                                       : way == 3 ? b.len / 2
                                                                  : b.len);
        write_state(&w, way == 3 ? ".journal" : ".resume", written);
        tarn_free(b.p);
        struct again a = go_on(&w, &seed);
        assert_true(a.had >= done);
        if (way < 2)
            assert_non_null(strstr(a.noted, "everything is checked"));
        close_world(&w, &seed);
    }
}

static void a_moved_folder_has_no_state(void **state)
{
    (void)state;
    struct world w;
    struct side seed, fetch;
    char from[96], to[96];
    uint64_t done = cut_off(&w, &seed, BT_V2, 120000, 1);
    snprintf(from, sizeof from, "%s/got", w.folder);
    snprintf(to, sizeof to, "%s/moved", w.folder);
    assert_int_equal(rename(from, to), 0);
    side_fetch(&fetch, &w, "moved", &seed, false);
    assert_true(run_to_the_start(&w, &fetch).done >= done);
    assert_true(run_until(&w, &fetch.is_complete));
    assert_same_files(&w, &fetch);
    side_close(&fetch);
    close_world(&w, &seed);
}

static void two_at_once(void **state)
{
    (void)state;
    struct world w;
    struct side seed, first, second, reader;
    world_init(&w, BT_HYBRID);
    w.keeps = true;
    side_seed(&seed, &w, "seed", false);
    assert_true(run_until(&w, &seed.is_complete));
    bt_session_set_rates(seed.session, 0, SLOW);
    side_fetch(&first, &w, "got", &seed, false);
    run_until_done(&w, &first, 40000);
    side_fetch(&second, &w, "got", &seed, false);
    int64_t end = sys_now_us() + PATIENCE_US;
    while (second.err.code == TARN_OK && sys_now_us() < end)
        assert_true(loop_turn(w.loop, 100000, NULL));
    assert_int_equal(second.err.code, TARN_E_POLICY);
    assert_non_null(strstr(second.err.msg, "another process is at this torrent"));
    side_close(&second);
    bt_session_set_rates(seed.session, 0, 0);
    assert_true(run_until(&w, &first.is_complete));
    assert_same_files(&w, &first);
    side_seed(&reader, &w, "got", false); /* reading harms nobody: it only keeps no state */
    assert_true(run_until(&w, &reader.is_complete));
    assert_non_null(strstr(reader.noted, "none is kept"));
    side_close(&reader);
    leave(&w, &first);
    struct again a = go_on(&w, &seed);
    assert_int_equal(a.downloaded, 0);
    assert_true(a.read < 2000);
    close_world(&w, &seed);
}

static void a_magnet_needs_no_peer_the_second_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < TARN_COUNT_OF(formats); i++) {
        struct world w;
        struct side seed, fetch;
        world_init(&w, formats[i]);
        w.keeps = true;
        side_seed(&seed, &w, "seed", false);
        assert_true(run_until(&w, &seed.is_complete));
        side_fetch(&fetch, &w, "got", &seed, true);
        assert_true(run_until(&w, &fetch.is_complete));
        leave(&w, &fetch);
        struct sys_addr nobody = bt_session_addr(seed.session, 0);
        side_close(&seed);
        side_open(&fetch, &w, "got");
        struct bt_add add = { .magnet = &w.magnet, .path = fetch.path, .ops = &ops, .arg = &fetch };
        assert_true(nobody.port != 0);
        fetch.torrent = bt_session_add(fetch.session, &add, NULL);
        assert_non_null(fetch.torrent);
        assert_true(run_until(&w, &fetch.is_complete));
        assert_true(fetch.has_metadata);
        assert_true(bt_torrent_meta(fetch.torrent)->has_all_layers || formats[i] == BT_V1);
        assert_int_equal(stats_of(&fetch).ever_downloaded, stats_of(&fetch).total);
        side_close(&fetch);
        world_release(&w);
    }
}

/* The state folder fills up or breaks: the transfer does not care, and nothing false is kept. */
static void failing_saves_are_told(void **state)
{
    (void)state;
    struct world w;
    struct side seed, fetch;
    (void)cut_off(&w, &seed, BT_HYBRID, 80000, 1);
    fail_renames(true);
    side_fetch(&fetch, &w, "got", &seed, false);
    (void)run_to_the_start(&w, &fetch);
    run_until_saved(&w, &fetch);
    (void)run_until(&w,
                    &fetch.is_complete); /* it may fail to give files their names, and says so */
    leave(&w, &fetch);
    fail_renames(false);
    struct again a = go_on(&w, &seed);
    assert_true(a.had >= 80000);
    close_world(&w, &seed);
}

static void forgotten_is_forgotten(void **state)
{
    (void)state;
    struct world w;
    struct side seed, fetch;
    char path[512];
    (void)cut_off(&w, &seed, BT_V1, 80000, 40000);
    assert_true(find_state(&w, ".resume", path));
    assert_true(find_state(&w, ".journal", path));
    side_fetch(&fetch, &w, "got", &seed, false);
    (void)run_to_the_start(&w, &fetch);
    bt_torrent_forget(fetch.torrent);
    side_close(&fetch);
    assert_false(find_state(&w, ".resume", path));
    assert_false(find_state(&w, ".journal", path));
    close_world(&w, &seed);
}

/* Dropped again and again at any moment, it arrives in the end with the right bytes, and no start
 * knows less than was verified before. */
static void dropped_at_any_moment(void **state)
{
    (void)state;
    uint64_t chance = test_seed();
    for (size_t i = 0; i < TARN_COUNT_OF(formats); i++) {
        struct world w;
        struct side seed, fetch;
        uint64_t done = 0, fetched = 0;
        bool complete = false;
        world_init(&w, formats[i]);
        w.keeps = true;
        side_seed(&seed, &w, "seed", true);
        assert_true(run_until(&w, &seed.is_complete));
        for (int drops = 0; !complete && drops < 400; drops++) {
            side_fetch(&fetch, &w, "got", &seed, false);
            uint64_t turns = test_rand_below(&chance, 60);
            for (uint64_t k = 0; k < turns && !fetch.is_complete; k++) {
                assert_true(loop_turn(w.loop, 1000, NULL));
                if (test_rand_below(&chance, 12) == 0)
                    bt_torrent_save(fetch.torrent);
            }
            struct bt_stats now = stats_of(&fetch);
            if (now.state >= BT_FETCHING) {
                assert_true(now.done >= done);
                done = now.done;
            }
            assert_int_equal(now.pieces_failed, 0);
            fetched += now.downloaded;
            complete = fetch.is_complete;
            if (complete)
                assert_same_files(&w, &fetch);
            side_close(&fetch);
        }
        struct again a = go_on(&w, &seed);
        printf("# %llu bytes fetched of %llu\n", (unsigned long long)fetched + a.downloaded,
               (unsigned long long)lengths[0] + lengths[2] + lengths[3]);
        close_world(&w, &seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(an_unchanged_seed_is_not_read),
                                        cmocka_unit_test(a_seed_that_changed_is_read_and_refused),
                                        cmocka_unit_test(nothing_verified_is_fetched_again),
                                        cmocka_unit_test(only_the_journalled_is_read),
                                        cmocka_unit_test(a_complete_fetch_is_not_read),
                                        cmocka_unit_test(an_edit_is_not_believed),
                                        cmocka_unit_test(an_edit_is_not_believed_later),
                                        cmocka_unit_test(a_touched_file_is_read),
                                        cmocka_unit_test(after_a_power_cut_the_record_holds),
                                        cmocka_unit_test(damaged_state_is_not_believed),
                                        cmocka_unit_test(a_moved_folder_has_no_state),
                                        cmocka_unit_test(two_at_once),
                                        cmocka_unit_test(a_magnet_needs_no_peer_the_second_time),
                                        cmocka_unit_test(failing_saves_are_told),
                                        cmocka_unit_test(forgotten_is_forgotten),
                                        cmocka_unit_test(dropped_at_any_moment) };
    sys_fake_install(&fake, &sys_ops_native);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
