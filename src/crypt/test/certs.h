/* For tests: certificates made on the spot, and a TLS client between two buffers. */
#ifndef CRYPT_TEST_CERTS_H
#define CRYPT_TEST_CERTS_H

#include "base/test/test.h"
#include "crypt/tls.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>

struct certs_text {
    char s[16 << 10];
    size_t len;
};

static inline void certs_take(struct certs_text *to, BIO *bio)
{
    int n = BIO_read(bio, to->s + to->len, (int)(sizeof to->s - to->len - 1));
    assert_true(n > 0);
    to->len += (size_t)n;
    to->s[to->len] = '\0';
    BIO_free(bio);
}

static inline EVP_PKEY *certs_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    assert_non_null(key);
    return key;
}

/* A certificate for `name`, signed by itself, good from a minute ago for so many days. */
static inline X509 *certs_make(EVP_PKEY *key, const char *name, int days)
{
    X509 *x = X509_new();
    assert_non_null(x);
    assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), (long)days * 86400);
    X509_NAME *n = X509_get_subject_name(x);
    assert_int_equal(
        X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0), 1);
    assert_int_equal(X509_set_issuer_name(x, n), 1);
    assert_int_equal(X509_set_pubkey(x, key), 1);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    return x;
}

static inline void certs_put_cert(struct certs_text *to, X509 *x)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, x), 1);
    certs_take(to, bio);
}

/* passphrase NULL: none */
static inline void certs_put_key(struct certs_text *to, EVP_PKEY *key, const char *passphrase)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, passphrase ? EVP_aes_128_cbc() : NULL,
                                              (const uint8_t *)passphrase,
                                              passphrase ? (int)strlen(passphrase) : 0, NULL, NULL),
                     1);
    certs_take(to, bio);
}

/* A certificate and its key. */
static inline void certs_pair(struct certs_text *chain, struct certs_text *key, const char *name,
                              int days)
{
    *chain = *key = (struct certs_text){ .len = 0 };
    EVP_PKEY *k = certs_key();
    X509 *x = certs_make(k, name, days);
    certs_put_cert(chain, x);
    certs_put_key(key, k, NULL);
    X509_free(x);
    EVP_PKEY_free(k);
}

static inline struct crypt_pem certs_pem(const char *name, const struct certs_text *t)
{
    return (struct crypt_pem){ name, tarn_bytes_of(t->s, t->len) };
}

static inline struct crypt_tls *certs_tls(const char *name)
{
    struct certs_text chain, key;
    certs_pair(&chain, &key, name, 30);
    struct crypt_pem a = certs_pem("chain.pem", &chain), b = certs_pem("key.pem", &key);
    struct crypt_tls *t = crypt_tls_new(&a, &b, NULL);
    assert_non_null(t);
    return t;
}

/* The client: what the server sent goes into `in`, what it shall get is taken from `out`. */
struct client {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out; /* the ssl's */
};

static inline void client_begin(struct client *c, int version, SSL_SESSION *session)
{
    c->ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(c->ctx);
    SSL_CTX_set_security_level(c->ctx, 0); /* old versions too: the server is to refuse them */
    SSL_CTX_set_min_proto_version(c->ctx, version);
    SSL_CTX_set_max_proto_version(c->ctx, version);
    c->ssl = SSL_new(c->ctx);
    c->in = BIO_new(BIO_s_mem());
    c->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(c->in, -1);
    SSL_set_bio(c->ssl, c->in, c->out);
    SSL_set_connect_state(c->ssl);
    if (session != NULL)
        assert_int_equal(SSL_set_session(c->ssl, session), 1);
}

static inline void client_end(struct client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    ERR_clear_error();
}

/* The name in the certificate that the server showed. */
static inline void client_expect_name(struct client *c, const char *name)
{
    char text[64] = "";
    X509 *x = SSL_get1_peer_certificate(c->ssl);
    assert_non_null(x);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, text, sizeof text);
    assert_string_equal(text, name);
    X509_free(x);
}

#endif
