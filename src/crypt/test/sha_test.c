/* Every way of hashing against published vectors and against OpenSSL's EVP, under every width of
 * lanes that this processor offers. */
#include "crypt/sha.h"

#include "crypt/priv.h"

#include "base/test/test.h"
#include "base/text.h"

#include <openssl/evp.h>

enum {
    LEN_MAX = 2000,
    COUNT_MAX = 40, /* more than twice the lanes: they are refilled at least once */
};

static EVP_MD *reference[2];
static EVP_MD_CTX *reference_ctx;

static void reference_hash(enum crypt_kind kind, struct tarn_bytes data, uint8_t *digest)
{
    assert_int_equal(EVP_DigestInit_ex2(reference_ctx, reference[kind], NULL), 1);
    assert_int_equal(EVP_DigestUpdate(reference_ctx, data.p, data.len), 1);
    assert_int_equal(EVP_DigestFinal_ex(reference_ctx, digest, NULL), 1);
}

/* Calls the test for each width and kind: as callers get it, and with lanes at any price, since on
 * some processors a kernel never pays. */
static void each_way(void (*test)(enum crypt_kind kind, uint64_t *seed))
{
    uint64_t seed = test_seed();
    for (int lanes = CRYPT_LANES_OFF; lanes <= CRYPT_LANES_AVX512; lanes++) {
        if (!crypt_lanes_can((enum crypt_lanes)lanes))
            continue;
        for (int always = 0; always <= 1; always++) {
            (always ? crypt_lanes_use_always : crypt_lanes_use)((enum crypt_lanes)lanes);
            printf("# lanes: %s%s\n", crypt_lanes_name(crypt_lanes_now()),
                   always ? ", always" : "");
            test(CRYPT_SHA1, &seed);
            test(CRYPT_SHA256, &seed);
        }
    }
}

static void check(enum crypt_kind kind, struct tarn_bytes data, const uint8_t *digest)
{
    uint8_t expected[CRYPT_SHA256_LEN];
    reference_hash(kind, data, expected);
    assert_memory_equal(digest, expected, crypt_digest_len(kind));
}

/* FIPS 180-4's examples (NIST, "Secure Hashing", SHA1.pdf and SHA256.pdf), and the empty message.
 */
static const struct {
    const char *text, *sha1, *sha256;
} vectors[] = {
    { "", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "abc", "a9993e364706816aba3e25717850c26c9cd0d89d",
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};

static const char *vector_of(enum crypt_kind kind, size_t i)
{
    return kind == CRYPT_SHA1 ? vectors[i].sha1 : vectors[i].sha256;
}

static void vectors_one_way(enum crypt_kind kind, uint64_t *seed)
{
    (void)seed;
    size_t size = crypt_digest_len(kind);
    for (size_t i = 0; i < TARN_COUNT_OF(vectors); i++) {
        struct tarn_bytes data[COUNT_MAX];
        uint8_t digests[COUNT_MAX * CRYPT_SHA256_LEN];
        char hex[2 * CRYPT_SHA256_LEN + 1];
        for (size_t k = 0; k < COUNT_MAX; k++)
            data[k] = tarn_bytes_str(vectors[i].text);
        crypt_hash(kind, data[0], digests);
        assert_string_equal(tarn_hex(hex, tarn_bytes_of(digests, size)), vector_of(kind, i));
        crypt_hash_many(kind, data, COUNT_MAX, digests);
        for (size_t k = 0; k < COUNT_MAX; k++)
            assert_string_equal(tarn_hex(hex, tarn_bytes_of(digests + k * size, size)),
                                vector_of(kind, i));
    }
}

static void test_vectors(void **state)
{
    (void)state;
    each_way(vectors_one_way);
}

/* A million times 'a', from the same source, in uneven chunks. */
static void test_million(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "34aa973cd4c4daa4f61eeb2bdbad27316534016f",
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
    };
    uint8_t run[1000];
    memset(run, 'a', sizeof run);
    for (int kind = CRYPT_SHA1; kind <= CRYPT_SHA256; kind++) {
        struct crypt_sha m;
        crypt_sha_init(&m, (enum crypt_kind)kind);
        for (size_t left = 1000000, n = 1; left > 0; left -= n, n = n % sizeof run + 1) {
            n = n < left ? n : left;
            crypt_sha_update(&m, tarn_bytes_of(run, n));
        }
        uint8_t digest[CRYPT_SHA256_LEN];
        char hex[2 * CRYPT_SHA256_LEN + 1];
        crypt_sha_final(&m, digest);
        tarn_hex(hex, tarn_bytes_of(digest, crypt_digest_len((enum crypt_kind)kind)));
        assert_string_equal(hex, expected[kind]);
    }
}

/* Messages of random bytes; each in memory of its own, so that ASan sees a read past its end. */
struct batch {
    size_t n;
    struct tarn_bytes data[COUNT_MAX];
    uint8_t *memory[COUNT_MAX];
};

static void batch_init(struct batch *b, size_t n, size_t len_max, uint64_t *seed)
{
    b->n = n;
    for (size_t i = 0; i < n; i++) {
        size_t len = (size_t)test_rand_below(seed, len_max + 1);
        b->memory[i] = tarn_calloc(len, 1);
        assert_non_null(b->memory[i]);
        for (size_t k = 0; k < len; k++)
            b->memory[i][k] = (uint8_t)test_rand(seed);
        b->data[i] = tarn_bytes_of(len == 0 ? NULL : b->memory[i], len);
    }
}

static void batch_release(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        tarn_free(b->memory[i]);
}

static void check_batch(const struct batch *b, enum crypt_kind kind, const uint8_t *digests)
{
    for (size_t i = 0; i < b->n; i++)
        check(kind, b->data[i], digests + i * crypt_digest_len(kind));
}

static void counts_one_way(enum crypt_kind kind, uint64_t *seed)
{
    for (size_t n = 1; n <= COUNT_MAX; n++)
        for (size_t len_max = LEN_MAX; len_max >= 2; len_max /= 10) {
            struct batch b;
            uint8_t digests[COUNT_MAX * CRYPT_SHA256_LEN];
            batch_init(&b, n, len_max, seed);
            crypt_hash_many(kind, b.data, n, digests);
            check_batch(&b, kind, digests);
            batch_release(&b);
        }
}

static void test_whole_messages(void **state)
{
    (void)state;
    each_way(counts_one_way);
}

/* All lengths around the ends of blocks, equal in all lanes: leaves, nodes, and their padding. */
static void equal_one_way(enum crypt_kind kind, uint64_t *seed)
{
    uint8_t bytes[COUNT_MAX + 3 * CRYPT_SHA_BLOCK];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)test_rand(seed);
    for (size_t len = 0; len <= 3 * CRYPT_SHA_BLOCK; len++)
        for (size_t n = 1; n <= COUNT_MAX; n += 3) {
            struct tarn_bytes data[COUNT_MAX];
            uint8_t digests[COUNT_MAX * CRYPT_SHA256_LEN];
            for (size_t i = 0; i < n; i++)
                data[i] = tarn_bytes_of(bytes + i, len);
            crypt_hash_many(kind, data, n, digests);
            for (size_t i = 0; i < n; i++)
                check(kind, data[i], digests + i * crypt_digest_len(kind));
        }
}

static void test_equal_lengths(void **state)
{
    (void)state;
    each_way(equal_one_way);
}

/* Some of the messages that have bytes left, each with some of its bytes, in any order. */
static size_t pick(const struct batch *b, size_t taken[], struct crypt_sha m[],
                   struct crypt_sha *some[], struct tarn_bytes chunk[], uint64_t *seed)
{
    size_t n = 0;
    size_t first = (size_t)test_rand_below(seed, b->n);
    for (size_t k = 0; k < b->n; k++) {
        size_t i = (first + k) % b->n;
        size_t left = b->data[i].len - taken[i];
        if (left == 0 || test_rand_below(seed, 4) == 0)
            continue;
        size_t most = left < 300 ? left : 300;
        size_t len = (size_t)test_rand_below(seed, most + 1);
        some[n] = &m[i];
        chunk[n++] = tarn_bytes_of(len == 0 ? NULL : b->data[i].p + taken[i], len);
        taken[i] += len;
    }
    return n;
}

static void random_lanes(uint64_t *seed)
{
    enum crypt_lanes lanes = (enum crypt_lanes)test_rand_below(seed, CRYPT_LANES_AVX512 + 1);
    if (crypt_lanes_can(lanes))
        (test_rand_below(seed, 2) == 0 ? crypt_lanes_use : crypt_lanes_use_always)(lanes);
}

/* Feed a batch in random slices, a random part of the messages each time. */
static void feed_in_slices(enum crypt_kind kind, size_t n, bool is_mixed, uint64_t *seed)
{
    struct batch b;
    struct crypt_sha m[COUNT_MAX], *all[COUNT_MAX], *some[COUNT_MAX];
    struct tarn_bytes chunk[COUNT_MAX];
    size_t taken[COUNT_MAX] = { 0 }, left = 0;
    uint8_t digests[COUNT_MAX * CRYPT_SHA256_LEN];
    batch_init(&b, n, LEN_MAX, seed);
    for (size_t i = 0; i < n; i++) {
        crypt_sha_init(&m[i], kind);
        all[i] = &m[i];
        left += b.data[i].len;
    }
    while (left > 0) {
        if (is_mixed)
            random_lanes(seed);
        size_t picked = pick(&b, taken, m, some, chunk, seed);
        for (size_t i = 0; i < picked; i++)
            left -= chunk[i].len;
        crypt_sha_update_many(some, chunk, picked);
    }
    crypt_sha_final_many(all, n, digests);
    check_batch(&b, kind, digests);
    batch_release(&b);
}

static void slices_one_way(enum crypt_kind kind, uint64_t *seed)
{
    for (size_t n = 1; n <= COUNT_MAX; n++)
        feed_in_slices(kind, n, false, seed);
}

static void test_slices(void **state)
{
    (void)state;
    each_way(slices_one_way);
}

/* A message may begin alone, go on in sixteen lanes and end in eight. */
static void test_mixed_lanes(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    enum crypt_lanes before = crypt_lanes_now();
    for (size_t n = 1; n <= COUNT_MAX; n++) {
        feed_in_slices(CRYPT_SHA1, n, true, &seed);
        feed_in_slices(CRYPT_SHA256, n, true, &seed);
    }
    crypt_lanes_use(before);
}

/* Exactly one lane differs from its neighbours, each in turn. */
static void lane_one_way(enum crypt_kind kind, uint64_t *seed)
{
    (void)seed;
    uint8_t same[CRYPT_SHA_BLOCK] = { 0 }, other[CRYPT_SHA_BLOCK] = { 1 };
    for (size_t lane = 0; lane < CRYPT_LANES_MAX; lane++) {
        struct tarn_bytes data[CRYPT_LANES_MAX];
        uint8_t digests[CRYPT_LANES_MAX * CRYPT_SHA256_LEN];
        for (size_t i = 0; i < CRYPT_LANES_MAX; i++)
            data[i] = tarn_bytes_of(i == lane ? other : same, CRYPT_SHA_BLOCK);
        crypt_hash_many(kind, data, CRYPT_LANES_MAX, digests);
        for (size_t i = 0; i < CRYPT_LANES_MAX; i++)
            check(kind, data[i], digests + i * crypt_digest_len(kind));
    }
}

static void test_each_lane(void **state)
{
    (void)state;
    each_way(lane_one_way);
}

static void test_nothing(void **state)
{
    (void)state;
    crypt_hash_many(CRYPT_SHA1, NULL, 0, NULL);
    crypt_sha_update_many(NULL, NULL, 0);
    crypt_sha_final_many(NULL, 0, NULL);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(crypt_lanes_name(CRYPT_LANES_OFF), "off");
    assert_string_equal(crypt_lanes_name(CRYPT_LANES_AVX2), "avx2");
    assert_string_equal(crypt_lanes_name(CRYPT_LANES_AVX512), "avx512");
    assert_true(crypt_lanes_can(CRYPT_LANES_OFF));
}

static int setup(void **state)
{
    (void)state;
    reference[CRYPT_SHA1] = EVP_MD_fetch(NULL, "SHA1", NULL);
    reference[CRYPT_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
    reference_ctx = EVP_MD_CTX_new();
    return reference[0] == NULL || reference[1] == NULL || reference_ctx == NULL;
}

static int teardown(void **state)
{
    (void)state;
    EVP_MD_CTX_free(reference_ctx);
    EVP_MD_free(reference[CRYPT_SHA1]);
    EVP_MD_free(reference[CRYPT_SHA256]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),       cmocka_unit_test(test_million),
        cmocka_unit_test(test_each_lane),     cmocka_unit_test(test_whole_messages),
        cmocka_unit_test(test_equal_lengths), cmocka_unit_test(test_slices),
        cmocka_unit_test(test_mixed_lanes),   cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_names),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, teardown);
}
