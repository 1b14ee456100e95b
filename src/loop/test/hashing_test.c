#include "loop/hashing.h"

#include "crypt/merkle.h"
#include "loop/pool.h"
#include "loop/test/turns.h"

enum {
    REQUESTS = 400,
    LEN_MAX = 40 * MERKLE_BLOCK,
    LEAVES_MAX = 40,
};

struct asked {
    struct loop_hash hash;
    struct crypt_sha message;
    uint8_t digest[CRYPT_SHA256_LEN];
    uint8_t leaves[LEAVES_MAX * CRYPT_SHA256_LEN];
    bool is_done;
    struct loop *loop;
    struct asked *victim;
};

static int n_done;
static uint8_t *data;

static void on_done(struct loop_hash *h)
{
    struct asked *a = TARN_OUTER(h, struct asked, hash);
    assert_false(a->is_done);
    a->is_done = true;
    n_done++;
    if (a->victim != NULL)
        loop_hash_cancel(a->loop, &a->victim->hash);
}

static struct asked *ask_new(struct loop *l, size_t n)
{
    struct asked *a = tarn_calloc(n, sizeof *a);
    assert_non_null(a);
    n_done = 0;
    for (size_t i = 0; i < n; i++) {
        a[i].loop = l;
        a[i].hash.done = on_done;
    }
    return a;
}

static void ask_message(struct asked *a, enum crypt_kind kind, size_t off, size_t len)
{
    crypt_sha_init(&a->message, kind);
    a->hash.message = &a->message;
    a->hash.digest = a->digest;
    a->hash.data = tarn_bytes_of(data + off, len);
    loop_hash_submit(a->loop, &a->hash);
}

static void ask_leaves(struct asked *a, size_t off, size_t len)
{
    a->hash.leaves = a->leaves;
    a->hash.data = tarn_bytes_of(data + off, len);
    loop_hash_submit(a->loop, &a->hash);
}

static void check(const struct asked *a)
{
    uint8_t digest[CRYPT_SHA256_LEN];
    struct tarn_bytes d = a->hash.data;
    assert_true(a->is_done);
    if (a->hash.message != NULL) {
        crypt_hash(a->message.kind, d, digest);
        assert_memory_equal(a->digest, digest, crypt_digest_len(a->message.kind));
        return;
    }
    for (size_t off = 0, i = 0; off < d.len; off += MERKLE_BLOCK, i++) {
        size_t left = d.len - off;
        crypt_hash(CRYPT_SHA256,
                   tarn_bytes_of(d.p + off, left < MERKLE_BLOCK ? left : MERKLE_BLOCK), digest);
        assert_memory_equal(a->leaves + i * CRYPT_SHA256_LEN, digest, CRYPT_SHA256_LEN);
    }
}

static void ask_something(struct asked *a, uint64_t *seed)
{
    bool is_long = test_rand_below(seed, 4) == 0;
    size_t len = (size_t)test_rand_below(seed, is_long ? LEN_MAX : 3 * MERKLE_BLOCK);
    size_t off = (size_t)test_rand_below(seed, LEN_MAX - len + 1);
    switch (test_rand_below(seed, 3)) {
    case 0:
        ask_message(a, CRYPT_SHA1, off, len);
        break;
    case 1:
        ask_message(a, CRYPT_SHA256, off, len);
        break;
    default:
        ask_leaves(a, off, len);
    }
}

/* As one stream would: many kinds and lengths, over several turns, with every width of lanes. */
static void test_same_as_one_stream(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    enum crypt_lanes usual = crypt_lanes_now();
    for (enum crypt_lanes lanes = CRYPT_LANES_OFF; lanes <= CRYPT_LANES_AVX512; lanes++) {
        if (!crypt_lanes_can(lanes))
            continue;
        crypt_lanes_use(lanes);
        struct loop *l = turns_loop(2);
        struct asked *a = ask_new(l, REQUESTS);
        for (int i = 0; i < REQUESTS; i++) {
            ask_something(&a[i], &seed);
            if (test_rand_below(&seed, 10) == 0)
                assert_true(loop_turn(l, 0, NULL));
            if (test_rand_below(&seed, 30) == 0)
                loop_hash_flush(l);
        }
        TURN_UNTIL(l, n_done == REQUESTS);
        for (int i = 0; i < REQUESTS; i++)
            check(&a[i]);
        tarn_free(a);
        loop_free(l);
    }
    crypt_lanes_use(usual);
}

/* A message goes on over several requests, the digest with the last. */
static void test_message_in_chunks(void **state)
{
    (void)state;
    enum { CHUNKS = 5, CHUNK = 50000, PIECES = 20 };
    struct loop *l = turns_loop(2);
    struct asked *a = ask_new(l, PIECES);
    for (int i = 0; i < PIECES; i++)
        crypt_sha_init(&a[i].message, CRYPT_SHA1);
    for (int c = 0; c < CHUNKS; c++) {
        n_done = 0;
        for (int i = 0; i < PIECES; i++) {
            a[i].is_done = false;
            a[i].hash.message = &a[i].message;
            a[i].hash.data = tarn_bytes_of(data + i + c * CHUNK, CHUNK);
            a[i].hash.digest = c == CHUNKS - 1 ? a[i].digest : NULL;
            loop_hash_submit(l, &a[i].hash);
        }
        TURN_UNTIL(l, n_done == PIECES);
    }
    for (int i = 0; i < PIECES; i++) {
        uint8_t digest[CRYPT_SHA1_LEN];
        crypt_hash(CRYPT_SHA1, tarn_bytes_of(data + i, CHUNKS * CHUNK), digest);
        assert_memory_equal(a[i].digest, digest, sizeof digest);
    }
    tarn_free(a);
    loop_free(l);
}

static _Atomic int64_t stopped_us;

static int64_t stopped_clock(void)
{
    return stopped_us;
}

static void test_leaves_by_count_time_and_flush(void **state)
{
    (void)state;
    struct sys_ops ops = *room_ops;
    ops.now_us = stopped_clock;
    stopped_us = sys_now_us();
    sys_ops = &ops;
    struct loop *l = turns_loop(2);
    struct asked *a = ask_new(l, 3 * LOOP_HASH_BATCH);
    size_t n = 0;

    for (; n < LOOP_HASH_BATCH + 3; n++) /* by count: sixteen go, three wait */
        ask_message(&a[n], CRYPT_SHA1, n, 1000);
    assert_true(loop_pool_pending(l) > 0);
    TURN_UNTIL(l, loop_pool_pending(l) == 0);
    turns_settle(l);
    assert_int_equal(loop_pool_pending(l), 0);
    assert_int_equal(n_done, LOOP_HASH_BATCH);

    stopped_us += LOOP_HASH_WAIT_US; /* by time */
    TURN_UNTIL(l, n_done == LOOP_HASH_BATCH + 3);

    ask_leaves(&a[n++], 0, 3 * MERKLE_BLOCK); /* by flush */
    ask_message(&a[n++], CRYPT_SHA256, 5, 77);
    assert_int_equal(loop_pool_pending(l), 0);
    loop_hash_flush(l);
    assert_int_equal(loop_pool_pending(l), 2); /* one of each kind */
    TURN_UNTIL(l, n_done == (int)n);

    ask_leaves(&a[n++], 0, LOOP_HASH_BATCH * MERKLE_BLOCK); /* enough blocks of one request */
    assert_true(loop_pool_pending(l) > 0);
    TURN_UNTIL(l, n_done == (int)n);
    for (size_t i = 0; i < n; i++)
        check(&a[i]);
    tarn_free(a);
    loop_free(l);
    sys_ops = room_ops;
}

static void test_large_request_uses_both_threads(void **state)
{
    (void)state;
    if (crypt_lanes_now() == CRYPT_LANES_AVX512) {
        struct loop *l = turns_loop(2);
        struct asked *a = ask_new(l, 1);
        ask_leaves(a, 1, LEAVES_MAX * MERKLE_BLOCK - 100);
        assert_int_equal(loop_pool_pending(l), 2);
        TURN_UNTIL(l, n_done == 1);
        check(a);
        tarn_free(a);
        loop_free(l);
    }
}

/* Taken back while gathering, while a thread is at it, and by another's done(). */
static void test_cancel(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    for (int turn = 0; turn < 60; turn++) {
        struct loop *l = turns_loop(2);
        struct asked *a = ask_new(l, 40);
        for (int i = 0; i < 40; i++) {
            ask_something(&a[i], &seed);
            if (i % 8 == 7)
                a[i].victim = &a[test_rand_below(&seed, 40)];
        }
        int gone = 0;
        for (int i = 0; i < 40; i += 3) {
            loop_hash_cancel(l, &a[i].hash);
            loop_hash_cancel(l, &a[i].hash);
            memset(&a[i].message, 0xEE, sizeof a[i].message); /* ours again */
            gone++;
            if (test_rand_below(&seed, 3) == 0)
                assert_true(loop_turn(l, 0, NULL));
            gone -= a[i].is_done; /* it was too late */
        }
        loop_hash_flush(l);
        TURN_UNTIL(l, loop_pool_pending(l) == 0);
        turns_settle(l);
        for (int i = 0; i < 40; i++)
            if (a[i].is_done && i % 3 != 0)
                check(&a[i]);
        assert_true(n_done <= 40 - gone);
        tarn_free(a);
        loop_free(l);
    }
}

static void test_free_with_requests_out(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct loop *l = turns_loop(2);
    struct asked *a = ask_new(l, 100);
    for (int i = 0; i < 100; i++)
        ask_something(&a[i], &seed);
    loop_free(l);
    assert_int_equal(n_done, 0);
    tarn_free(a);
}

static int enter(void **state)
{
    uint64_t seed = 7;
    data = tarn_calloc(LEN_MAX, 1);
    for (size_t i = 0; data != NULL && i < LEN_MAX; i++)
        data[i] = (uint8_t)test_rand(&seed);
    return data == NULL ? -1 : room_enter(state);
}

static int leave(void **state)
{
    tarn_free(data);
    return room_leave(state);
}

#define HERE(test, table) \
    { \
#test, test, enter, leave, &room_##table \
    }

TEST_MAIN(HERE(test_same_as_one_stream, native), HERE(test_message_in_chunks, native),
          HERE(test_leaves_by_count_time_and_flush, native),
          HERE(test_leaves_by_count_time_and_flush, plain),
          HERE(test_large_request_uses_both_threads, native), HERE(test_cancel, native),
          HERE(test_free_with_requests_out, native))
