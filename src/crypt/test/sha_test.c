/* Every lane, every count of messages, every slicing: against OpenSSL's own interface. */
#include "crypt/sha.h"

#include "base/test/test.h"
#include "base/text.h"

#include <openssl/evp.h>
#include <pthread.h>

static void reference(enum crypt_kind kind, struct tarn_bytes data, uint8_t *digest)
{
    const EVP_MD *md = kind == CRYPT_SHA1 ? EVP_sha1() : EVP_sha256();
    unsigned len = 0;
    assert_int_equal(EVP_Digest(data.p, data.len, digest, &len, md, NULL), 1);
    assert_int_equal(len, crypt_digest_len(kind));
}

static void check_text(enum crypt_kind kind, const char *text, const char *want)
{
    uint8_t digest[CRYPT_SHA256_LEN];
    char hex[2 * CRYPT_SHA256_LEN + 1];
    crypt_hash(kind, tarn_bytes_str(text), digest);
    assert_string_equal(tarn_hex(hex, tarn_bytes_of(digest, crypt_digest_len(kind))), want);
}

static void published_examples(void **state)
{
    (void)state;
    check_text(CRYPT_SHA1, "", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    check_text(CRYPT_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
    check_text(CRYPT_SHA1, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
               "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    check_text(CRYPT_SHA256, "",
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_text(CRYPT_SHA256, "abc",
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_text(CRYPT_SHA256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static uint64_t chance;

enum { MESSAGES = 40, LONGEST = 2000 };

struct set {
    uint8_t bytes[MESSAGES][LONGEST];
    struct tarn_bytes data[MESSAGES];
    struct crypt_sha m[MESSAGES], *at[MESSAGES];
    uint8_t want[MESSAGES][CRYPT_SHA256_LEN];
};

static struct set *set_new(enum crypt_kind kind, size_t n)
{
    struct set *s = calloc(1, sizeof *s);
    assert_non_null(s);
    for (size_t i = 0; i < n; i++) {
        for (size_t b = 0; b < LONGEST; b++)
            s->bytes[i][b] = (uint8_t)test_rand(&chance);
        s->data[i] = tarn_bytes_of(s->bytes[i], (size_t)(test_rand(&chance) % (LONGEST + 1)));
        s->at[i] = &s->m[i];
        crypt_sha_init(&s->m[i], kind);
        reference(kind, s->data[i], s->want[i]);
    }
    return s;
}

static void compare(const struct set *s, enum crypt_kind kind, size_t n, const uint8_t *digests)
{
    size_t len = crypt_digest_len(kind);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(digests + i * len, s->want[i], len);
}

static void whole_messages(void **state)
{
    (void)state;
    chance = test_seed();
    for (int lanes = 0; lanes <= CRYPT_LANES_AVX512; lanes++) {
        crypt_lanes_use((enum crypt_lanes)lanes);
        for (int kind = CRYPT_SHA1; kind <= CRYPT_SHA256; kind++)
            for (size_t n = 1; n <= MESSAGES; n++) {
                uint8_t digests[MESSAGES * CRYPT_SHA256_LEN];
                struct set *s = set_new((enum crypt_kind)kind, n);
                crypt_hash_many((enum crypt_kind)kind, s->data, n, digests);
                compare(s, (enum crypt_kind)kind, n, digests);
                free(s);
            }
    }
}

/* Chunks of random lengths, and another set of lanes for each: the state is carried between them.
 */
static void sliced_messages(void **state)
{
    (void)state;
    chance = test_seed();
    for (int turn = 0; turn < 200; turn++) {
        enum crypt_kind kind = turn % 2 == 0 ? CRYPT_SHA1 : CRYPT_SHA256;
        size_t n = 1 + (size_t)(test_rand(&chance) % MESSAGES), left = 1;
        struct set *s = set_new(kind, n);
        struct tarn_bytes rest[MESSAGES], chunk[MESSAGES];
        memcpy(rest, s->data, sizeof rest);
        while (left > 0) {
            left = 0;
            crypt_lanes_use((enum crypt_lanes)(test_rand(&chance) % 3));
            for (size_t i = 0; i < n; i++) {
                size_t most = test_rand(&chance) % 3 == 0 ? 700 : 70;
                size_t len = (size_t)(test_rand(&chance) % most);
                len = len < rest[i].len ? len : rest[i].len;
                chunk[i] = tarn_bytes_of(rest[i].p, len);
                rest[i] = tarn_bytes_of(rest[i].p + len, rest[i].len - len);
                left += rest[i].len;
            }
            crypt_sha_update_many(s->at, chunk, n);
        }
        uint8_t digests[MESSAGES * CRYPT_SHA256_LEN];
        crypt_sha_final_many(s->at, n, digests);
        compare(s, kind, n, digests);
        free(s);
    }
}

static void padding_edges(void **state)
{
    (void)state;
    uint8_t data[200];
    memset(data, 'x', sizeof data);
    for (size_t len = 0; len <= sizeof data; len++)
        for (int kind = CRYPT_SHA1; kind <= CRYPT_SHA256; kind++) {
            uint8_t got[CRYPT_SHA256_LEN], want[CRYPT_SHA256_LEN];
            struct crypt_sha m;
            crypt_sha_init(&m, (enum crypt_kind)kind);
            for (size_t i = 0; i < len; i++)
                crypt_sha_update(&m, tarn_bytes_of(data + i, 1));
            crypt_sha_final(&m, got);
            reference((enum crypt_kind)kind, tarn_bytes_of(data, len), want);
            assert_memory_equal(got, want, crypt_digest_len((enum crypt_kind)kind));
        }
}

static void *hash_a_lot(void *arg)
{
    bool *ok = arg;
    uint8_t data[16][256], digests[16 * 20], want[20];
    struct tarn_bytes runs[16];
    for (size_t i = 0; i < 16; i++) {
        memset(data[i], (int)i, sizeof data[i]);
        runs[i] = tarn_bytes_of(data[i], sizeof data[i]);
    }
    crypt_hash(CRYPT_SHA1, runs[7], want);
    *ok = true;
    for (int turn = 0; turn < 500; turn++) {
        crypt_hash_many(CRYPT_SHA1, runs, 16, digests);
        *ok = *ok && memcmp(digests + 7 * 20, want, 20) == 0;
    }
    return NULL;
}

static void two_threads(void **state)
{
    (void)state;
    pthread_t threads[2];
    bool ok[2] = { false, false };
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_a_lot, &ok[i]), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(ok[0] && ok[1]);
}

TEST_MAIN(cmocka_unit_test(two_threads), cmocka_unit_test(published_examples),
          cmocka_unit_test(padding_edges), cmocka_unit_test(whole_messages),
          cmocka_unit_test(sliced_messages))
