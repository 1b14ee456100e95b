/* A certificate and its key from files: what is loaded, and what is refused with which words. */
#include "loop/tls.h"

#include "crypt/test/certs.h"
#include "sys/test/room.h"

#include <sys/stat.h>

static void put_text(const char *path, const struct certs_text *t, unsigned mode)
{
    room_put(path, t->s, t->len);
    assert_int_equal(chmod(path, mode), 0);
}

static void expect_refused(const char *chain, const char *key, const char *message)
{
    struct tarn_err err;
    assert_null(loop_tls_load(chain, key, &err));
    if (strstr(err.msg, message) == NULL)
        fail_msg("'%s' is not in '%s'", message, err.msg);
}

static void test_load(void **state)
{
    (void)state;
    struct certs_text chain, key, other, other_key;
    certs_pair(&chain, &key, "here", 30);
    certs_pair(&other, &other_key, "there", 30);
    put_text("chain.pem", &chain, 0644);
    put_text("key.pem", &key, 0640);
    put_text("open.pem", &key, 0644);
    put_text("other.pem", &other_key, 0600);
    struct crypt_tls *t = loop_tls_load("chain.pem", "key.pem", NULL);
    assert_non_null(t);
    crypt_tls_unref(t);
    expect_refused("chain.pem", "open.pem",
                   "the TLS key 'open.pem' can be read by everybody on this machine");
    expect_refused("chain.pem", "other.pem", "the key in 'other.pem' is not that of");
    expect_refused("nothing.pem", "key.pem", "the TLS certificate: ");
    expect_refused("nothing.pem", "key.pem", "'nothing.pem'");
    expect_refused("chain.pem", "nothing.pem", "the TLS key: ");
    expect_refused("key.pem", "chain.pem", "the TLS key 'chain.pem' can be read by everybody");
    expect_refused("key.pem", "key.pem", "'key.pem' holds no certificate");
    assert_int_equal(truncate("key.pem", LOOP_TLS_FILE_MAX + 1), 0);
    expect_refused("chain.pem", "key.pem", "the TLS key: ");
    if (geteuid() != 0) { /* who is root may read all */
        assert_int_equal(chmod("chain.pem", 0), 0);
        expect_refused("chain.pem", "key.pem", "Permission denied");
    }
}

TEST_MAIN(ON_BOTH(test_load))
