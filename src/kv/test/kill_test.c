/* Killed at any moment, a store has every record that was acknowledged, whole, and what was not
 * acknowledged is there as a whole write or not at all.
 *
 * A child writes from several threads and tells of each write on a pipe once it is done; it is
 * killed after a random number of acknowledgements. A write is four records of one number in two
 * tables, so that half of one would show. */
#include "kv/test/room.h"

#include <signal.h>
#include <sys/wait.h>

enum { ROUNDS = 25, THREADS = 3, PARTS = 4, ACKS_MOST = 400 };

struct quad {
    struct kv_write w;
    uint64_t number;
};

static struct kv_key key_of(uint64_t number, unsigned part)
{
    struct kv_key k = { 0 };
    kv_key_be64(&k, number * 0x9E3779B97F4A7C15ULL); /* all over the table */
    kv_key_be32(&k, part);
    return k;
}

static size_t value_of(uint64_t number, unsigned part, uint8_t *to)
{
    size_t len = 20 + (size_t)((number * 131 + part * 17) % 3000);
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(number * 7 + part + i);
    return len;
}

static bool run_quad(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    const struct quad *q = TARN_OUTER(w, struct quad, w);
    uint8_t value[4096];
    for (unsigned i = 0; i < PARTS; i++) {
        struct kv_key k = key_of(q->number, i);
        size_t len = value_of(q->number, i, value);
        if (!kv_txn_put(t, i % TABLES, kv_key_bytes(&k), tarn_bytes_of(value, len), err))
            return false;
    }
    return true;
}

struct worker {
    struct kv *kv;
    int pipe;
    uint64_t next; /* numbers of this worker: every THREADS-th */
};

static void work(void *arg)
{
    struct worker *k = arg;
    for (;; k->next += THREADS) {
        struct quad q = { .w.run = run_quad, .number = k->next };
        if (!kv_write_now(k->kv, &q.w, NULL) || write(k->pipe, &q.number, 8) != 8)
            _exit(1);
    }
}

static void be_killed(int pipe, uint64_t first)
{
    struct kv_settings set = room_settings();
    set.map_size = 256 * TARN_KIB; /* it also dies while it grows */
    struct kv *kv = kv_open(&set, NULL);
    struct worker workers[THREADS];
    struct sys_thread threads[THREADS];
    if (kv == NULL)
        _exit(1);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ kv, pipe, first + i };
        if (!sys_thread_start(&threads[i], "worker", work, &workers[i], NULL))
            _exit(1);
    }
    for (;;)
        pause();
}

/* How many of its parts are there, each with its bytes. */
static unsigned count_parts(const struct kv_read *r, uint64_t number)
{
    unsigned n = 0;
    for (unsigned i = 0; i < PARTS; i++) {
        struct kv_key k = key_of(number, i);
        struct tarn_bytes got;
        uint8_t value[4096];
        if (kv_get(r, i % TABLES, kv_key_bytes(&k), &got, NULL) != KV_FOUND)
            continue;
        assert_true(tarn_bytes_eq(got, tarn_bytes_of(value, value_of(number, i, value))));
        n++;
    }
    return n;
}

/* Run a child, kill it, and note in acked what it said. Returns the highest number it said. */
static uint64_t one_life(uint64_t first, uint64_t acks, uint8_t *acked, size_t most)
{
    int ends[2], status;
    uint64_t number, last = first;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        be_killed(ends[1], first);
    }
    close(ends[1]);
    for (uint64_t n = 0; read(ends[0], &number, 8) == 8; n++) {
        assert_true(number < most);
        acked[number] = 1;
        last = number > last ? number : last;
        if (n == acks)
            assert_int_equal(kill(child, SIGKILL), 0);
    }
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return last;
}

static void test_nothing_acknowledged_is_lost(void **state)
{
    (void)state;
    uint64_t chance = test_seed(), next = 0, n_acked = 0, n_more = 0;
    size_t most = (size_t)ROUNDS * (ACKS_MOST + 4 * KV_GROUP_MAX);
    uint8_t *acked = tarn_calloc(most, 1);
    for (int round = 0; round < ROUNDS; round++) {
        next = one_life(next, test_rand_below(&chance, ACKS_MOST), acked, most) + 2 * THREADS;
        struct kv *kv = room_open_usual();
        struct kv_read r = { 0 };
        assert_true(kv_read_begin(kv, &r, NULL));
        for (uint64_t i = 0; i < next + THREADS; i++) {
            unsigned parts = count_parts(&r, i);
            if (parts != PARTS && (parts != 0 || acked[i]))
                fail_msg("round %d: of %llu (%s) there are %u parts", round, (unsigned long long)i,
                         acked[i] ? "acknowledged" : "not acknowledged", parts);
            n_more += round == ROUNDS - 1 && parts == PARTS && !acked[i];
        }
        kv_read_end(&r);
        kv_close(kv);
    }
    for (size_t i = 0; i < most; i++)
        n_acked += acked[i];
    printf("# %llu acknowledged, all there; %llu done but not told of\n",
           (unsigned long long)n_acked, (unsigned long long)n_more);
    assert_true(n_acked > ROUNDS);
    tarn_free(acked);
}

TEST_MAIN(IN_ROOM(test_nothing_acknowledged_is_lost))
