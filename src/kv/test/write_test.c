/* Groups, room, and what stands in the way. */
#include "base/cur.h"
#include "kv/test/room.h"
#include "sys/file.h"

#include <sys/mount.h>

enum { MANY = 300 };

/* n records of this size from `first` on, then as told. */
struct job {
    struct kv_write w;
    uint32_t first, n;
    size_t len;
    bool fails, deletes, ignores;
    unsigned runs, dones;
    struct tarn_err err;
};

static uint8_t filler[KV_VALUE_MAX];

static bool run_job(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    struct job *j = TARN_OUTER(w, struct job, w);
    j->runs++;
    for (uint32_t i = 0; i < j->n; i++) {
        struct kv_key k = { 0 };
        kv_key_be32(&k, j->first + i);
        bool ok = j->deletes ? kv_txn_del(t, NUMBERS, kv_key_bytes(&k), err) != KV_FAILED
                             : kv_txn_put(t, NUMBERS, kv_key_bytes(&k),
                                          tarn_bytes_of(filler, j->len), err);
        if (!ok && !j->ignores)
            return false;
    }
    return !j->fails || tarn_fail(err, TARN_E_CANCELED, "as told");
}

static void job_done(struct kv_write *w, const struct tarn_err *err)
{
    struct job *j = TARN_OUTER(w, struct job, w);
    if (err != NULL)
        j->err = *err;
    j->dones++;
}

static struct job job_of(uint32_t first, uint32_t n, size_t len)
{
    return (struct job){
        .w = { .run = run_job, .done = job_done }, .first = first, .n = n, .len = len
    };
}

static bool do_job(struct kv *kv, struct job j, struct tarn_err *err)
{
    return kv_write_now(kv, &j.w, err);
}

/* Everything submitted so far is over. */
static void settle(struct kv *kv)
{
    struct job j = job_of(0, 0, 0);
    assert_true(kv_write_now(kv, &j.w, NULL));
}

/* They wait together, become one group, and are over. */
static void do_together(struct kv *kv, struct job *jobs, size_t n)
{
    struct room_gate gate;
    room_gate_shut(&gate, kv);
    for (size_t i = 0; i < n; i++)
        kv_submit(kv, &jobs[i].w);
    room_gate_open(&gate);
    settle(kv);
}

static void expect_as_told(const struct job *jobs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(jobs[i].dones, 1);
        assert_int_equal(jobs[i].err.code, jobs[i].fails ? TARN_E_CANCELED : TARN_OK);
    }
}

static void test_all_that_wait_share_one_commit(void **state)
{
    (void)state;
    struct kv *kv = room_open_usual();
    static struct job jobs[MANY];
    struct kv_stat before = room_stat(kv);
    for (uint32_t i = 0; i < MANY; i++)
        jobs[i] = job_of(i, 1, 100);
    do_together(kv, jobs, MANY);
    struct kv_stat after = room_stat(kv);
    assert_int_equal(after.commits - before.commits, 1); /* the gate changed nothing */
    assert_int_equal(after.seq - before.seq, 1);
    assert_int_equal(room_count(kv, NUMBERS), MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(jobs[i].runs, 1);
    expect_as_told(jobs, MANY);
    kv_close(kv);
}

/* Also one that had already changed something, and one that overlooked a refusal. */
static void test_one_that_fails_undoes_itself_alone(void **state)
{
    (void)state;
    struct kv *kv = room_open_usual();
    static struct job jobs[MANY];
    struct kv_stat before = room_stat(kv);
    for (uint32_t i = 0; i < MANY; i++) {
        jobs[i] = job_of(i * 10, 5, 100);
        jobs[i].fails = i % 3 == 1;
    }
    do_together(kv, jobs, MANY);
    struct kv_stat after = room_stat(kv);
    assert_int_equal(after.commits - before.commits, 1);
    assert_int_equal(room_count(kv, NUMBERS), 200 * 5);
    expect_as_told(jobs, MANY);
    kv_close(kv);
}

static void test_closing_waits_for_what_was_submitted(void **state)
{
    (void)state;
    struct kv *kv = room_open_usual();
    static struct job jobs[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        jobs[i] = job_of(i, 1, 2000);
        kv_submit(kv, &jobs[i].w);
    }
    kv_close(kv);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(jobs[i].dones, 1);
    kv = room_open_usual();
    assert_int_equal(room_count(kv, NUMBERS), MANY);
    kv_close(kv);
}

struct within {
    struct kv_write w;
    struct kv *kv;
    struct tarn_err err;
    bool was_refused;
};

static bool run_within(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    (void)t;
    (void)err;
    struct within *i = TARN_OUTER(w, struct within, w);
    struct job j = job_of(0, 1, 1);
    i->was_refused = !kv_write_now(i->kv, &j.w, &i->err);
    return true;
}

static void test_the_writers_thread_cannot_wait_for_itself(void **state)
{
    (void)state;
    struct kv *kv = room_open_usual();
    struct within i = { .w.run = run_within, .kv = kv };
    assert_true(kv_write_now(kv, &i.w, NULL));
    assert_true(i.was_refused);
    assert_non_null(strstr(i.err.msg, "writer's thread"));
    assert_int_equal(room_count(kv, NUMBERS), 0);
    kv_close(kv);
}

/* Room. */

static void test_the_map_grows_in_the_middle_of_a_group(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    set.map_size = 128 * TARN_KIB;
    struct kv *kv = room_open(&set);
    static struct job jobs[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        jobs[i] = job_of(i * 100, 10, 3000);
        jobs[i].fails = i % 5 == 2;
    }
    do_together(kv, jobs, MANY);
    struct kv_stat st = room_stat(kv);
    assert_true(st.grown >= 5);
    assert_true(st.map_len >= st.file_len);
    assert_int_equal(room_count(kv, NUMBERS), 240 * 10);
    expect_as_told(jobs, MANY);
    /* One write that needs the map to grow several times. */
    assert_true(do_job(kv, job_of(1000000, 8, KV_VALUE_MAX), NULL));
    kv_close(kv);
    kv = room_open(&set); /* the small map is too small now, and that is fine */
    assert_int_equal(room_count(kv, NUMBERS), 240 * 10 + 8);
    kv_close(kv);
}

static void test_a_read_that_stays_open_makes_an_error_of_growing(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    set.map_size = 128 * TARN_KIB;
    set.grow_wait_ms = 20;
    struct kv *kv = room_open(&set);
    struct tarn_err err = { 0 };
    struct kv_read r = { 0 };
    assert_true(kv_read_begin(kv, &r, NULL));
    assert_false(do_job(kv, job_of(0, 100, 5000), &err));
    assert_int_equal(err.code, TARN_E_FAILED);
    assert_non_null(strstr(err.msg, "1 transactions have stayed open for 20 ms"));
    kv_read_end(&r);
    assert_int_equal(room_count(kv, NUMBERS), 0);
    assert_true(do_job(kv, job_of(0, 100, 5000), &err));
    kv_close(kv);
}

/* Among others that fit, the one that does not fails alone. */
static void do_all_but_the_second(struct kv *kv, struct job jobs[3])
{
    do_together(kv, jobs, 3);
    assert_int_equal(jobs[0].err.code, TARN_OK);
    assert_int_equal(jobs[1].err.code, TARN_E_NO_SPACE);
    assert_int_equal(jobs[2].err.code, TARN_OK);
}

static void test_max_size_is_said_and_deleting_makes_room(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    set.map_size = 256 * TARN_KIB;
    set.max_size = 2 * TARN_MIB;
    struct kv *kv = room_open(&set);
    struct tarn_err err = { 0 };
    uint32_t n = 0;
    while (do_job(kv, job_of(n, 1, 10000), &err))
        n++;
    assert_int_equal(err.code, TARN_E_NO_SPACE);
    assert_non_null(strstr(err.msg, "max_size of 2097152 bytes"));
    assert_in_range(n, 100, 220);
    assert_int_equal(room_count(kv, NUMBERS), n);
    struct job away = job_of(0, n / 2, 0);
    away.deletes = true;
    assert_true(do_job(kv, away, &err));
    assert_int_equal(room_count(kv, NUMBERS), n - n / 2);
    static struct job jobs[3];
    jobs[0] = job_of(0, 1, 9000);
    jobs[1] = job_of(5000, 300, 10000);
    jobs[2] = job_of(1, 1, 9000);
    do_all_but_the_second(kv, jobs);
    for (uint32_t i = 0; i < n / 4; i++)
        assert_true(do_job(kv, job_of(i, 1, 10000), &err));
    kv_close(kv);
}

/* A run() that goes on after a put was refused is not believed. */
static void test_what_run_overlooks_is_an_error_all_the_same(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    set.map_size = set.max_size = TARN_MIB;
    struct kv *kv = room_open(&set);
    struct tarn_err err = { 0 };
    struct job j = job_of(0, 300, 10000);
    j.ignores = true;
    assert_false(do_job(kv, j, &err));
    assert_int_equal(err.code, TARN_E_NO_SPACE);
    assert_int_equal(room_count(kv, NUMBERS), 0);
    kv_close(kv);
}

static void test_a_full_disk(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        test_left_out("only root mounts");
        return;
    }
    if (mount("tmpfs", room_folder, "tmpfs", 0, "size=2m") != 0) {
        test_left_out("no mounting here");
        return;
    }
    struct kv *kv = room_open_usual();
    struct tarn_err err = { 0 };
    char path[128];
    uint32_t n = 0;
    while (do_job(kv, job_of(n, 1, 10000), &err))
        n++;
    if (err.code != TARN_E_NO_SPACE || strstr(err.msg, room_path) == NULL)
        fail_msg("%d: %s", (int)err.code, err.msg);
    assert_in_range(n, 50, 220);
    assert_int_equal(room_count(kv, NUMBERS), n);
    snprintf(path, sizeof path, "%s/copy", room_folder);
    assert_false(kv_copy(kv, path, &err));
    assert_int_equal(err.code, TARN_E_NO_SPACE);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof path, "%s/copy.new", room_folder);
    assert_int_equal(access(path, F_OK), -1); /* nothing lies about */
    kv_close(kv);
    kv = room_open_usual(); /* what was acknowledged is there, still on the full disk */
    assert_int_equal(room_count(kv, NUMBERS), n);
    /* With room again it goes on, and a group's others do not suffer from the one that is too big.
     */
    assert_int_equal(mount("tmpfs", room_folder, "tmpfs", MS_REMOUNT, "size=3m"), 0);
    static struct job jobs[3];
    jobs[0] = job_of(n, 1, 10000);
    jobs[1] = job_of(n + 100, 1, 4 << 20);
    jobs[2] = job_of(n + 1, 1, 10000);
    do_all_but_the_second(kv, jobs);
    assert_int_equal(room_count(kv, NUMBERS), n + 2);
    kv_close(kv);
    assert_int_equal(umount(room_folder), 0);
}

/* Long walks. */

enum { WALKED = 8 * KV_SCAN_RECORDS };

struct walk {
    struct kv *kv;
    struct sys_lock lock;
    struct sys_cond moved;
    struct job job;               /* what the other thread does each time */
    uint32_t seen, asked, worked; /* asked: how often it shall; worked: how often it has */
    bool is_over, has_failed;
};

/* Another thread than the one that scans: that one waits for no write. */
static void work_beside(void *arg)
{
    struct walk *w = arg;
    sys_lock_take(&w->lock);
    for (;;) {
        while (w->worked == w->asked && !w->is_over)
            sys_cond_wait(&w->moved, &w->lock);
        if (w->worked == w->asked)
            break;
        struct job job = w->job;
        sys_lock_give(&w->lock);
        bool ok = do_job(w->kv, job, NULL);
        sys_lock_take(&w->lock);
        w->has_failed |= !ok; /* only the test's own thread may assert */
        w->worked++;
        sys_cond_broadcast(&w->moved);
    }
    sys_lock_give(&w->lock);
}

/* It does its job, and has done it. */
static void have_worked(struct walk *w)
{
    sys_lock_take(&w->lock);
    w->asked++;
    sys_cond_broadcast(&w->moved);
    while (w->worked < w->asked)
        sys_cond_wait(&w->moved, &w->lock);
    sys_lock_give(&w->lock);
}

/* All records of the table, with a thread beside. */
static void walk(struct walk *w, struct kv *kv,
                 bool (*each)(void *arg, struct tarn_bytes key, struct tarn_bytes value))
{
    struct sys_thread thread;
    struct kv_range range = { .table = NUMBERS };
    *w = (struct walk){ .kv = kv, .job = job_of(0, WALKED, 200) };
    sys_lock_init(&w->lock);
    sys_cond_init(&w->moved);
    assert_true(sys_thread_start(&thread, "beside", work_beside, w, NULL));
    assert_true(kv_scan(kv, &range, each, w, NULL));
    sys_lock_take(&w->lock);
    w->is_over = true;
    sys_cond_broadcast(&w->moved);
    sys_lock_give(&w->lock);
    sys_thread_join(&thread);
    assert_false(w->has_failed);
    sys_cond_release(&w->moved);
    sys_lock_release(&w->lock);
}

/* Before every hundredth record all are written anew: each time as many pages as the table has
 * are free again, unless a read keeps them. */
static bool walk_on(void *arg, struct tarn_bytes key, struct tarn_bytes value)
{
    struct walk *w = arg;
    (void)key;
    if (value.len != 200)
        return false;
    if (++w->seen % 100 == 0)
        have_worked(w);
    return true;
}

static void test_a_long_scan_keeps_no_old_pages(void **state)
{
    (void)state;
    struct kv *kv = room_open_usual();
    struct walk w;
    assert_true(do_job(kv, job_of(0, WALKED, 200), NULL));
    uint64_t table = room_stat(kv).file_len;
    walk(&w, kv, walk_on);
    assert_int_equal(w.seen, WALKED);
    assert_true(w.worked >= 80);
    /* One read for the whole walk would have kept all of them: 80 times the table. Within one of
     * the scan's reads there are at most 11 overwritings. */
    struct kv_stat st = room_stat(kv);
    printf("# %llu times the table\n", (unsigned long long)(st.file_len / table));
    assert_true(st.file_len < 20 * table);
    kv_close(kv);
}

/* Reads end behind a multiple of sixteen records: with each such record gone meanwhile, the next
 * read begins with the one behind it and passes none over. */
static bool walk_and_delete(void *arg, struct tarn_bytes key, struct tarn_bytes value)
{
    struct walk *w = arg;
    struct tarn_cur c = tarn_cur_of(key);
    (void)value;
    assert_int_equal(tarn_cur_be32(&c), w->seen);
    if (++w->seen % 16 == 0) {
        w->job = job_of(w->seen - 1, 1, 0);
        w->job.deletes = true;
        have_worked(w);
    }
    return true;
}

static void test_a_scan_goes_on_where_its_last_record_was(void **state)
{
    (void)state;
    enum { N = KV_SCAN_RECORDS + 64 };
    struct kv *kv = room_open_usual();
    struct walk w;
    assert_true(do_job(kv, job_of(0, N, 10), NULL));
    walk(&w, kv, walk_and_delete);
    assert_int_equal(w.seen, N);
    assert_int_equal(room_count(kv, NUMBERS), N - N / 16);
    kv_close(kv);
}

/* More bytes wait than one commit takes: the rest has the next. */
static void test_a_long_group_takes_several_commits(void **state)
{
    (void)state;
    enum { N = 10 };
    struct kv *kv = room_open_usual();
    static struct job jobs[N];
    struct kv_stat before = room_stat(kv);
    for (uint32_t i = 0; i < N; i++)
        jobs[i] = job_of(i, 1, KV_VALUE_MAX / 4); /* a commit takes about KV_VALUE_MAX */
    do_together(kv, jobs, N);
    expect_as_told(jobs, N);
    assert_int_equal(room_stat(kv).commits - before.commits, 3);
    assert_int_equal(room_count(kv, NUMBERS), N);
    kv_close(kv);
}

TEST_MAIN(IN_ROOM(test_all_that_wait_share_one_commit),
          IN_ROOM(test_one_that_fails_undoes_itself_alone),
          IN_ROOM(test_closing_waits_for_what_was_submitted),
          IN_ROOM(test_the_writers_thread_cannot_wait_for_itself),
          IN_ROOM(test_the_map_grows_in_the_middle_of_a_group),
          IN_ROOM(test_a_read_that_stays_open_makes_an_error_of_growing),
          IN_ROOM(test_max_size_is_said_and_deleting_makes_room),
          IN_ROOM(test_what_run_overlooks_is_an_error_all_the_same), IN_ROOM(test_a_full_disk),
          IN_ROOM(test_a_long_scan_keeps_no_old_pages),
          IN_ROOM(test_a_scan_goes_on_where_its_last_record_was),
          IN_ROOM(test_a_long_group_takes_several_commits))
