/* Two threads hash at the same time, from the first call in the process on: the choice of lanes and
 * the pads of the trees are made under their hands. For TSan. */
#include "crypt/merkle.h"
#include "crypt/sha.h"

#include "base/test/test.h"

#include <pthread.h>

enum { COUNT = 20, LEN = 1000 };

struct work {
    uint8_t fill;
    uint8_t digests[2][COUNT][CRYPT_SHA256_LEN];
    uint8_t root[MERKLE_HASH];
};

static void *run(void *arg)
{
    struct work *work = arg;
    uint8_t bytes[LEN];
    struct tarn_bytes data[COUNT];
    memset(bytes, work->fill, sizeof bytes);
    for (size_t i = 0; i < COUNT; i++)
        data[i] = tarn_bytes_of(bytes, LEN - i);
    for (int turn = 0; turn < 50; turn++) {
        crypt_hash_many(CRYPT_SHA1, data, COUNT, work->digests[CRYPT_SHA1][0]);
        crypt_hash_many(CRYPT_SHA256, data, COUNT, work->digests[CRYPT_SHA256][0]);
        merkle_root(bytes, 3, 64, 2, work->root);
        memset(bytes, work->fill, sizeof bytes);
    }
    return NULL;
}

static void test_two_threads(void **state)
{
    (void)state;
    static struct work work[3] = { { .fill = 1 }, { .fill = 2 }, { .fill = 1 } };
    pthread_t thread[2];
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run, &work[i]), 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    run(&work[2]);
    assert_memory_equal(&work[0], &work[2], sizeof work[0]);
    assert_memory_not_equal(work[0].root, work[1].root, MERKLE_HASH);
}

/* What TARN_LANES said before the first call is what runs, where the processor can; else the
 * widest. */
static void test_environment(void **state)
{
    (void)state;
    const char *name = getenv("TARN_LANES");
    enum crypt_lanes expected = CRYPT_LANES_OFF;
    bool is_named = false;
    for (int i = CRYPT_LANES_OFF; i <= CRYPT_LANES_AVX512; i++) {
        enum crypt_lanes lanes = (enum crypt_lanes)i;
        if (!crypt_lanes_can(lanes) || is_named)
            continue;
        expected = lanes;
        is_named = name != NULL && strcmp(name, crypt_lanes_name(lanes)) == 0;
    }
    assert_int_equal(crypt_lanes_now(), expected);
}

TEST_MAIN(cmocka_unit_test(test_two_threads), cmocka_unit_test(test_environment))
