/* Several threads, and several processes. */
#include "kv/test/room.h"
#include "sys/clock.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { KEYS = 50, WRITES = 300, READERS = 3, WRITERS = 2 };

static void key_of(struct kv_key *k, uint32_t n)
{
    *k = (struct kv_key){ 0 };
    kv_key_be32(k, n);
}

/* All keys get the same bytes, in one write: a reader that sees two kinds has seen half a write. */
struct stamp {
    struct kv_write w;
    uint8_t byte;
    size_t len;
};

static bool run_stamp(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    const struct stamp *s = TARN_OUTER(w, struct stamp, w);
    uint8_t value[8192];
    memset(value, s->byte, s->len);
    for (uint32_t i = 0; i < KEYS; i++) {
        struct kv_key k;
        key_of(&k, i);
        if (!kv_txn_put(t, NUMBERS, kv_key_bytes(&k), tarn_bytes_of(value, s->len), err))
            return false;
    }
    return true;
}

static bool put_stamp(struct kv *kv, uint8_t byte, size_t len)
{
    struct stamp s = { .w.run = run_stamp, .byte = byte, .len = len };
    return kv_write_now(kv, &s.w, NULL);
}

struct shared {
    struct kv *kv;
    char copy[128];
    atomic_bool is_over, is_bad;
    atomic_uint reads;
};

static void write_stamps(void *arg)
{
    struct shared *s = arg;
    for (unsigned i = 1; i <= WRITES; i++) /* longer and longer, so that the map grows */
        if (!put_stamp(s->kv, (uint8_t)(i % 250 + 1), 100 + i * 25))
            atomic_store(&s->is_bad, true);
}

static bool is_one_state(struct kv *kv)
{
    KV_AUTO_READ r = { 0 };
    KV_AUTO_CURSOR c = { 0 };
    if (!kv_read_begin(kv, &r, NULL) || !kv_cursor_open(&r, NUMBERS, &c, NULL))
        return false;
    struct tarn_bytes first = { 0 };
    uint32_t n = 0;
    while (kv_next(&c, NULL) == KV_FOUND) {
        if (n++ == 0)
            first = c.value;
        if (!tarn_bytes_eq(first, c.value))
            return false;
    }
    return n == KEYS;
}

static bool count_one(void *arg, struct tarn_bytes key, struct tarn_bytes value)
{
    (void)key;
    ++*(uint32_t *)arg;
    return value.len > 0;
}

static void read_states(void *arg)
{
    struct shared *s = arg;
    uint64_t seq = 0;
    while (!atomic_load(&s->is_over)) {
        uint32_t n = 0;
        struct kv_range range = { .table = NUMBERS };
        struct kv_stat st;
        uint64_t now = kv_seq(s->kv);
        if (!is_one_state(s->kv) || !kv_scan(s->kv, &range, count_one, &n, NULL) || n != KEYS ||
            !kv_stat(s->kv, &st, NULL) || now < seq)
            atomic_store(&s->is_bad, true);
        seq = now;
        atomic_fetch_add(&s->reads, 1);
    }
}

static void copy_on(void *arg)
{
    struct shared *s = arg;
    while (!atomic_load(&s->is_over))
        if (!kv_copy(s->kv, s->copy, NULL))
            atomic_store(&s->is_bad, true);
}

static void test_threads_read_and_write_while_the_map_grows(void **state)
{
    (void)state;
    struct kv_settings set = room_settings();
    set.map_size = 128 * TARN_KIB;
    struct shared s = { .kv = room_open(&set) };
    struct sys_thread readers[READERS], writers[WRITERS], copier;
    snprintf(s.copy, sizeof s.copy, "%s/copy", room_folder);
    assert_true(put_stamp(s.kv, 1, 10));
    for (size_t i = 0; i < READERS; i++)
        assert_true(sys_thread_start(&readers[i], "reader", read_states, &s, NULL));
    for (size_t i = 0; i < WRITERS; i++)
        assert_true(sys_thread_start(&writers[i], "submits", write_stamps, &s, NULL));
    assert_true(sys_thread_start(&copier, "copies", copy_on, &s, NULL));
    for (size_t i = 0; i < WRITERS; i++)
        sys_thread_join(&writers[i]);
    atomic_store(&s.is_over, true);
    for (size_t i = 0; i < READERS; i++)
        sys_thread_join(&readers[i]);
    sys_thread_join(&copier);
    assert_false(atomic_load(&s.is_bad));
    struct kv_stat st = room_stat(s.kv);
    assert_true(st.grown > 0);
    assert_int_equal(st.reads, 0);
    assert_int_equal(st.oldest_read_ms, 0);
    printf("# %u reads, the map grew %llu times\n", atomic_load(&s.reads),
           (unsigned long long)st.grown);
    kv_close(s.kv);
    set.path = s.copy;
    s.kv = room_open(&set);
    assert_true(is_one_state(s.kv));
    kv_close(s.kv);
}

/* Processes. The child is made before the store is opened. */

struct child {
    pid_t pid;
    int to, from; /* pipes */
};

static struct child make_child(void (*be)(int in, int out))
{
    int in[2], out[2];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(in[1]);
        close(out[0]);
        be(in[0], out[1]);
        _exit(0);
    }
    close(in[0]);
    close(out[1]);
    return (struct child){ pid, in[1], out[0] };
}

static void say(int fd)
{
    if (write(fd, "x", 1) != 1)
        _exit(1);
}

static void hear(int fd)
{
    char c;
    if (read(fd, &c, 1) != 1)
        _exit(1);
}

static void child_over(struct child *c)
{
    int status;
    close(c->to);
    close(c->from);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
}

static struct kv *open_in_child(void)
{
    struct kv_settings set = room_settings();
    struct kv *kv = kv_open(&set, NULL);
    if (kv == NULL)
        _exit(1);
    return kv;
}

static void be_another_writer(int in, int out)
{
    hear(in);
    struct kv *kv = open_in_child();
    if (!put_stamp(kv, 9, 8000))
        _exit(1);
    say(out);
    hear(in); /* it stays open */
    kv_close(kv);
}

static void test_another_process_has_made_the_file_longer(void **state)
{
    (void)state;
    struct child c = make_child(be_another_writer);
    struct kv_settings set = room_settings();
    set.map_size = 128 * TARN_KIB;
    struct kv *kv = room_open(&set);
    assert_true(put_stamp(kv, 1, 10));
    assert_true(is_one_state(kv));
    say(c.to);
    hear(c.from);
    assert_true(is_one_state(kv)); /* a read follows */
    struct kv_stat st = room_stat(kv);
    assert_true(st.map_len >= st.file_len);
    assert_true(put_stamp(kv, 2, 8000)); /* and a write */
    assert_true(is_one_state(kv));
    kv_close(kv);
    say(c.to);
    child_over(&c);
}

static void be_a_reader_that_dies(int in, int out)
{
    hear(in);
    struct kv *kv = open_in_child();
    struct kv_read r = { 0 };
    if (!kv_read_begin(kv, &r, NULL))
        _exit(1);
    say(out);
    for (;;)
        pause();
}

static void test_a_dead_readers_pages_come_free(void **state)
{
    (void)state;
    struct child c = make_child(be_a_reader_that_dies);
    struct kv *kv = room_open_usual();
    assert_true(put_stamp(kv, 1, 2000));
    say(c.to);
    hear(c.from);
    assert_int_equal(kill(c.pid, SIGKILL), 0);
    child_over(&c);
    uint64_t before = room_stat(kv).file_len;
    for (int i = 0; i < 1000; i++)
        assert_true(put_stamp(kv, (uint8_t)(i % 250), 2000));
    /* Kept for ever, each commit would have added a table: a thousand. */
    uint64_t after = room_stat(kv).file_len;
    printf("# %llu times the table\n", (unsigned long long)(after / before));
    assert_true(after < 150 * before);
    kv_close(kv);
}

TEST_MAIN(IN_ROOM(test_threads_read_and_write_while_the_map_grows),
          IN_ROOM(test_another_process_has_made_the_file_longer),
          IN_ROOM(test_a_dead_readers_pages_come_free))
