/* Contexts made of good and bad files, and connections between two buffers: byte by byte, tickets,
 * ALPN, the alert behind a failure. What a socket adds is in loop/test/tls_test.c. */
#include "crypt/test/certs.h"
#include "crypt/tls.h"

#include <openssl/err.h>
#include <time.h>

static void expect_refused(const struct certs_text *chain, const struct certs_text *key,
                           const char *message)
{
    struct crypt_pem a = certs_pem("chain.pem", chain), b = certs_pem("key.pem", key);
    struct tarn_err err;
    assert_null(crypt_tls_new(&a, &b, &err));
    assert_int_equal(ERR_peek_error(), 0); /* nothing is left for whoever asks next */
    if (strstr(err.msg, message) == NULL)
        fail_msg("'%s' is not in '%s'", message, err.msg);
}

static struct certs_text text_of(const char *s)
{
    struct certs_text t = { .len = strlen(s) };
    memcpy(t.s, s, t.len + 1);
    return t;
}

static void test_files_that_are_refused(void **state)
{
    (void)state;
    struct certs_text chain, key, other_chain, other_key, t;
    certs_pair(&chain, &key, "here", 30);
    certs_pair(&other_chain, &other_key, "there", 30);
    expect_refused(&chain, &other_key,
                   "the key in 'key.pem' is not that of the first certificate in 'chain.pem'");
    t = text_of("");
    expect_refused(&t, &key, "'chain.pem' holds no certificate in PEM form");
    expect_refused(&chain, &t, "'key.pem' holds no private key in PEM form");
    expect_refused(&key, &key, "'chain.pem' holds no certificate in PEM form");
    expect_refused(&chain, &chain, "'key.pem' holds no private key in PEM form");

    t = chain; /* a letter of the base64 is lost */
    memset(strstr(t.s, "MII"), '*', 3);
    expect_refused(&t, &key, "certificate 1 of 'chain.pem': ");
    t = key;
    memset(strchr(t.s, '\n') + 1, '*', 3);
    expect_refused(&chain, &t, "the private key in 'key.pem' is damaged");
    t = chain;
    memcpy(t.s + t.len, chain.s, chain.len + 1); /* the second one is damaged */
    t.len += chain.len;
    memset(strstr(t.s + chain.len, "MII"), '*', 3);
    expect_refused(&t, &key, "certificate 2 of 'chain.pem': ");

    EVP_PKEY *k = certs_key();
    t = (struct certs_text){ .len = 0 };
    certs_put_key(&t, k, "secret");
    expect_refused(&chain, &t, "the key in 'key.pem' has a passphrase");
    EVP_PKEY_free(k);

    EVP_PKEY *weak = EVP_RSA_gen(512);
    X509 *x = certs_make(weak, "weak", 1);
    struct certs_text weak_chain = { .len = 0 }, weak_key = { .len = 0 };
    certs_put_cert(&weak_chain, x);
    certs_put_key(&weak_key, weak, NULL);
    expect_refused(&weak_chain, &weak_key, "certificate 1 of 'chain.pem': ee key too small");
    X509_free(x);
    EVP_PKEY_free(weak);
}

static void test_files_that_are_taken(void **state)
{
    (void)state;
    struct certs_text chain, key, more, more_key;
    certs_pair(&chain, &key, "here", 30);
    certs_pair(&more, &more_key, "above", 30);
    memcpy(chain.s + chain.len, more.s, more.len + 1); /* a chain of two, then the key: one file */
    chain.len += more.len;
    memcpy(chain.s + chain.len, key.s, key.len + 1);
    chain.len += key.len;
    struct crypt_pem both = certs_pem("both.pem", &chain);
    struct tarn_err err;
    struct crypt_tls *t = crypt_tls_new(&both, &both, &err);
    assert_non_null(t);
    int64_t in_s = crypt_tls_ends_s(t) - (int64_t)time(NULL);
    assert_true(in_s > 29 * 86400 && in_s <= 30 * 86400);
    assert_ptr_equal(crypt_tls_ref(t), t);
    crypt_tls_unref(t);
    crypt_tls_unref(t);
    crypt_tls_unref(NULL);
    crypt_tls_free(NULL);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct certs_text chain, key;
    certs_pair(&chain, &key, "here", 30);
    struct crypt_pem a = certs_pem("chain.pem", &chain), b = certs_pem("key.pem", &key);
    struct tarn_err err;
    test_mem_fail_after(0);
    assert_null(crypt_tls_new(&a, &b, &err));
    test_mem_normal();
    assert_int_equal(err.code, TARN_E_NO_MEMORY);
    struct crypt_tls *t = crypt_tls_new(&a, &b, NULL);
    test_mem_fail_after(0);
    assert_null(crypt_tls_accept(t, -1, &err));
    test_mem_normal();
    assert_int_equal(err.code, TARN_E_NO_MEMORY);
    crypt_tls_unref(t);
}

struct pair {
    struct crypt_tls_conn *server;
    struct client client;
    struct tarn_out got; /* by the server */
    size_t slice;        /* bytes at a time; 0: all there is */
    int opened, ended;
    int refusal; /* the first reason that the client gave */
    struct tarn_err err;
    bool is_bad;
};

static void pair_begin(struct pair *p, struct crypt_tls *t, int version, SSL_SESSION *session)
{
    memset(p, 0, sizeof *p);
    p->server = crypt_tls_accept(t, -1, NULL);
    assert_non_null(p->server);
    tarn_out_init(&p->got, 1 << 20);
    client_begin(&p->client, version, session);
}

static void pair_end(struct pair *p)
{
    crypt_tls_free(p->server);
    tarn_out_release(&p->got);
    client_end(&p->client);
}

static void give_client(struct pair *p, struct tarn_out *out)
{
    if (out->len > 0)
        assert_int_equal(BIO_write(p->client.in, out->p, (int)out->len), (int)out->len);
    tarn_out_clear(out);
}

/* The server takes these bytes, to the last. */
static void give_server(struct pair *p, struct tarn_bytes b)
{
    uint8_t buf[1000];
    struct tarn_out out;
    tarn_out_init(&out, 1 << 20);
    struct tarn_cur in = tarn_cur_of(b);
    for (bool goes_on = true; goes_on && !p->is_bad;) {
        size_t got = 0;
        enum crypt_tls_step step =
            crypt_tls_read(p->server, &in, &out, buf, sizeof buf, &got, &p->err);
        tarn_out_put(&p->got, tarn_bytes_of(buf, got));
        p->opened += step == CRYPT_TLS_OPENED;
        p->ended += step == CRYPT_TLS_END;
        p->is_bad = step == CRYPT_TLS_BAD;
        goes_on = step == CRYPT_TLS_BYTES || step == CRYPT_TLS_OPENED;
        if (step == CRYPT_TLS_MORE)
            assert_int_equal(tarn_cur_left(&in), 0);
    }
    give_client(p, &out);
    tarn_out_release(&out);
}

/* Whatever the client has to say; false when it has nothing. */
static bool carry(struct pair *p)
{
    uint8_t buf[20000];
    size_t max = p->slice > 0 ? p->slice : sizeof buf;
    int n = BIO_read(p->client.out, buf, (int)max);
    if (n <= 0)
        return false;
    give_server(p, tarn_bytes_of(buf, (size_t)n));
    return true;
}

/* Until the client is content, or has failed. What it says of itself is returned. */
static int shake(struct pair *p)
{
    int done;
    bool moved;
    do {
        ERR_clear_error();
        done = SSL_do_handshake(p->client.ssl);
        if (p->refusal == 0)
            p->refusal = ERR_GET_REASON(ERR_peek_error());
        moved = false;
        while (carry(p))
            moved = true;
    } while (done != 1 && moved);
    return done;
}

static void expect_at_client(struct pair *p, const char *text)
{
    char buf[100] = "";
    assert_int_equal(SSL_read(p->client.ssl, buf, sizeof buf - 1), (int)strlen(text));
    assert_string_equal(buf, text);
}

static void talk(struct pair *p)
{
    assert_int_equal(shake(p), 1);
    assert_int_equal(p->opened, 1);
    assert_true(crypt_tls_is_open(p->server));
    assert_false(crypt_tls_is_kernel(p->server));
    assert_int_equal(SSL_write(p->client.ssl, "a question", 10), 10);
    while (carry(p))
        ;
    assert_int_equal(p->got.len, 10);
    assert_memory_equal(p->got.p, "a question", 10);
    struct tarn_out out;
    tarn_out_init(&out, 1 << 20);
    assert_true(crypt_tls_write(p->server, tarn_bytes_of("an answer", 9), &out, NULL));
    assert_true(out.len <= 9 + CRYPT_TLS_OVER);
    give_client(p, &out);
    expect_at_client(p, "an answer");
    crypt_tls_end(p->server, &out);
    give_client(p, &out);
    tarn_out_release(&out);
    char c;
    assert_int_equal(SSL_read(p->client.ssl, &c, 1), 0);
    assert_int_equal(SSL_get_error(p->client.ssl, 0), SSL_ERROR_ZERO_RETURN);
    assert_int_equal(p->ended, 0);
    assert_int_equal(SSL_shutdown(p->client.ssl), 1);
    while (carry(p))
        ;
    assert_int_equal(p->ended, 1);
}

static void test_both_versions(void **state)
{
    (void)state;
    struct crypt_tls *t = certs_tls("here");
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t slice = 0; slice < 8; slice++) {
            struct pair p;
            pair_begin(&p, t, version, NULL);
            p.slice = slice;
            talk(&p);
            client_expect_name(&p.client, "here");
            assert_string_equal(crypt_tls_version(p.server),
                                version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2");
            assert_non_null(strstr(crypt_tls_cipher(p.server), "AES"));
            assert_false(crypt_tls_is_resumed(p.server));
            pair_end(&p);
        }
    }
    crypt_tls_unref(t);
}

/* A session goes on with the same context, with a ticket or (TLS 1.2) an entry in the cache, and
 * begins anew with another. */
static void test_resumed(void **state)
{
    (void)state;
    struct crypt_tls *t = certs_tls("here"), *other = certs_tls("there");
    for (int how = 0; how < 3; how++) {
        int version = how == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
        struct pair p;
        pair_begin(&p, t, version, NULL);
        if (how == 2)
            SSL_set_options(p.client.ssl, SSL_OP_NO_TICKET);
        talk(&p);
        SSL_SESSION *session = SSL_get1_session(p.client.ssl);
        pair_end(&p);
        for (int i = 0; i < 2; i++) {
            pair_begin(&p, i == 0 ? t : other, version, session);
            if (how == 2)
                SSL_set_options(p.client.ssl, SSL_OP_NO_TICKET);
            talk(&p);
            assert_int_equal(crypt_tls_is_resumed(p.server), i == 0);
            pair_end(&p);
        }
        SSL_SESSION_free(session);
    }
    crypt_tls_unref(t);
    crypt_tls_unref(other);
}

static void test_protocols(void **state)
{
    (void)state;
    struct crypt_tls *t = certs_tls("here");
    static const char *const offers[] = { "\x08http/1.1", "\x02h2\x08http/1.1", "\x02h2",
                                          "\012acme-tls/1" };
    char host[] = "any.example"; /* OpenSSL's macro takes no constant one */
    for (size_t i = 0; i < 4; i++) {
        struct pair p;
        pair_begin(&p, t, TLS1_3_VERSION, NULL);
        assert_int_equal(SSL_set_alpn_protos(p.client.ssl, (const uint8_t *)offers[i],
                                             (unsigned)strlen(offers[i])),
                         0);
        SSL_set_tlsext_host_name(p.client.ssl, host);
        bool is_taken = i < 2;
        assert_int_equal(shake(&p) == 1, is_taken);
        if (is_taken) {
            const unsigned char *chosen;
            unsigned len;
            SSL_get0_alpn_selected(p.client.ssl, &chosen, &len);
            assert_int_equal(len, 8);
            assert_memory_equal(chosen, "http/1.1", 8);
        } else {
            assert_true(p.is_bad);
            assert_int_equal(p.err.code, TARN_E_NETWORK);
            assert_int_equal(p.refusal, SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
        }
        pair_end(&p);
    }
    crypt_tls_unref(t);
}

static void test_old_versions(void **state)
{
    (void)state;
    struct crypt_tls *t = certs_tls("here");
    for (int version = TLS1_VERSION; version <= TLS1_1_VERSION; version++) {
        struct pair p;
        pair_begin(&p, t, version, NULL);
        assert_int_not_equal(shake(&p), 1);
        assert_true(p.is_bad);
        assert_string_equal(p.err.msg, "the TLS handshake failed: unsupported protocol");
        assert_int_equal(p.refusal, SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
        struct tarn_err err; /* it stays so */
        struct tarn_cur in = tarn_cur_of(tarn_bytes_of(NULL, 0));
        uint8_t c;
        size_t got;
        assert_int_equal(crypt_tls_read(p.server, &in, &p.got, &c, 1, &got, &err), CRYPT_TLS_BAD);
        pair_end(&p);
    }
    crypt_tls_unref(t);
}

static void expect_bad(struct crypt_tls *t, const char *bytes, size_t len, const char *message)
{
    for (size_t slice = 1; slice <= len; slice += len - 1) {
        struct pair p;
        pair_begin(&p, t, TLS1_3_VERSION, NULL);
        for (size_t at = 0; at < len && !p.is_bad; at += slice)
            give_server(&p, tarn_bytes_of(bytes + at, slice));
        assert_true(p.is_bad);
        assert_string_equal(p.err.msg, message);
        pair_end(&p);
    }
}

static void test_no_tls_at_all(void **state)
{
    (void)state;
    struct crypt_tls *t = certs_tls("here");
#define BAD(bytes, message) expect_bad(t, bytes, sizeof(bytes) - 1, message)
    BAD("GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        "a plain HTTP request where TLS is spoken (the address begins with https://)");
    BAD("CONNECT here:443 HTTP/1.1\r\n\r\n",
        "a plain HTTP request where TLS is spoken (the address begins with https://)");
    BAD("\x13"
        "BitTorrent protocol, and so on and so on",
        "what came is no TLS, or older than TLS 1.2");
    BAD("SSH-2.0-OpenSSH_9.2p1\r\n", "what came is no TLS, or older than TLS 1.2");
    crypt_tls_unref(t);
}

/* A ClientHello that says it is of 128 KiB, and comes in records of 16. */
static void test_endless_hello(void **state)
{
    (void)state;
    struct crypt_tls *t = certs_tls("here");
    struct pair p;
    pair_begin(&p, t, TLS1_3_VERSION, NULL);
    static uint8_t record[5 + 16384] = { 22, 3, 1, 64, 0, 1, 2, 0, 0, 3, 3 };
    size_t n = 0;
    for (; n < 8 && !p.is_bad; n++) {
        give_server(&p, tarn_bytes_of(record, sizeof record));
        memset(record + 5, 0, 16);
    }
    assert_true(p.is_bad);
    assert_int_equal(p.err.code, TARN_E_POLICY);
    assert_string_equal(p.err.msg, "a TLS handshake of more than 65536 bytes, the most we take");
    assert_int_equal(n, 4);
    pair_end(&p);
    crypt_tls_unref(t);
}

/* TLS 1.2 knows renegotiation; the client is told no and gives up, the server has not moved. */
static void test_no_renegotiation(void **state)
{
    (void)state;
    struct crypt_tls *t = certs_tls("here");
    struct pair p;
    pair_begin(&p, t, TLS1_2_VERSION, NULL);
    assert_int_equal(shake(&p), 1);
    assert_int_equal(SSL_renegotiate(p.client.ssl), 1);
    assert_int_not_equal(shake(&p), 1);
    assert_int_equal(p.refusal, SSL_R_NO_RENEGOTIATION);
    assert_int_equal(p.opened, 1);
    pair_end(&p);
    crypt_tls_unref(t);
}

/* TLS 1.3 has new keys in place of it, when either asks. */
static void test_new_keys(void **state)
{
    (void)state;
    struct crypt_tls *t = certs_tls("here");
    struct pair p;
    pair_begin(&p, t, TLS1_3_VERSION, NULL);
    assert_int_equal(shake(&p), 1);
    assert_int_equal(SSL_key_update(p.client.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    talk(&p);
    pair_end(&p);
    crypt_tls_unref(t);
}

static void test_damaged_record(void **state)
{
    (void)state;
    struct crypt_tls *t = certs_tls("here");
    struct pair p;
    pair_begin(&p, t, TLS1_3_VERSION, NULL);
    assert_int_equal(shake(&p), 1);
    assert_int_equal(SSL_write(p.client.ssl, "a question", 10), 10);
    uint8_t buf[100];
    int n = BIO_read(p.client.out, buf, sizeof buf);
    buf[n - 1] ^= 1;
    give_server(&p, tarn_bytes_of(buf, (size_t)n));
    assert_true(p.is_bad);
    assert_int_equal(p.got.len, 0);
    assert_string_equal(p.err.msg,
                        "the TLS connection failed: decryption failed or bad record mac");
    pair_end(&p);
    crypt_tls_unref(t);
}

/* The caller's buffer is too small: said, and not taken for sent. */
static void test_no_room(void **state)
{
    (void)state;
    struct crypt_tls *t = certs_tls("here");
    struct pair p;
    pair_begin(&p, t, TLS1_3_VERSION, NULL);
    assert_int_equal(shake(&p), 1);
    uint8_t little[20];
    struct tarn_out out;
    struct tarn_err err;
    tarn_out_fixed(&out, little, sizeof little);
    assert_false(crypt_tls_write(p.server, tarn_bytes_of("an answer", 9), &out, &err));
    assert_int_equal(err.code, TARN_E_NO_MEMORY);
    pair_end(&p);
    crypt_tls_unref(t);
}

TEST_MAIN(cmocka_unit_test(test_files_that_are_refused),
          cmocka_unit_test(test_files_that_are_taken), cmocka_unit_test(test_no_memory),
          cmocka_unit_test(test_both_versions), cmocka_unit_test(test_resumed),
          cmocka_unit_test(test_protocols), cmocka_unit_test(test_old_versions),
          cmocka_unit_test(test_no_tls_at_all), cmocka_unit_test(test_endless_hello),
          cmocka_unit_test(test_no_renegotiation), cmocka_unit_test(test_new_keys),
          cmocka_unit_test(test_damaged_record), cmocka_unit_test(test_no_room))
