/* crypt/tls: OpenSSL between two buffers of the caller's.
 *
 * A connection has two BIOs of ours. The one to read from takes bytes out of the cursor of the
 * present call and says "later" when that is empty, so OpenSSL always takes all there is: what is
 * kept between calls is at most an unfinished record, in OpenSSL's own buffer, which it frees with
 * each whole one (SSL_MODE_RELEASE_BUFFERS). The one to write to appends to the caller's out.
 *
 * Kernel TLS: the BIO to write to then is a filter in front of OpenSSL's BIO of the socket, through
 * which OpenSSL hands the keys to the kernel. What the handshake has left in out goes out just
 * before; where the socket does not take all of it, or the kernel refuses the keys, everything goes
 * on as without. Only sending is given away: what is received passes through us in any case. */
#include "crypt/tls.h"

#include "base/mem.h"
#include "base/num.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdatomic.h>

struct crypt_tls {
    atomic_uint refs;
    SSL_CTX *ctx;       /* owned */
    BIO_METHOD *method; /* owned: of our BIOs */
    int64_t ends_s;
};

struct crypt_tls_conn {
    struct crypt_tls *tls; /* counted */
    SSL *ssl;              /* owned, with both BIOs */
    struct tarn_cur *in;   /* of the present call; else NULL */
    struct tarn_out *out;  /* likewise */
    size_t hello;          /* bytes of the handshake so far */
    bool is_open, is_bad;
};

/* What OpenSSL complains of: the first fault in its queue is the cause of the others. */
static const char *reason(void)
{
    unsigned long number = ERR_peek_error();
    const char *text = ERR_GET_LIB(number) == ERR_LIB_SYS ? NULL : ERR_reason_error_string(number);
    if (number == 0)
        return "OpenSSL does not say why";
    return text != NULL ? text : "an unknown fault in OpenSSL";
}

static bool fail_ssl(struct tarn_err *err, const char *what)
{
    tarn_fail(err, TARN_E_FAILED, "%s: %s", what, reason());
    ERR_clear_error();
    return false;
}

/* The BIOs. */

static int bio_read(BIO *b, char *to, size_t len, size_t *got)
{
    struct crypt_tls_conn *c = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (c->in == NULL || tarn_cur_left(c->in) == 0) {
        BIO_set_retry_read(b);
        return 0;
    }
    struct tarn_bytes part = tarn_cur_take(c->in, tarn_min_size(len, tarn_cur_left(c->in)));
    assert(part.p != NULL); /* so much is left */
    memcpy(to, part.p, part.len);
    *got = part.len;
    return 1;
}

static int bio_write(BIO *b, const char *from, size_t len, size_t *done)
{
    struct crypt_tls_conn *c = BIO_get_data(b);
    BIO *kernel = BIO_next(b);
    BIO_clear_retry_flags(b);
    if (kernel != NULL && BIO_get_ktls_send(kernel)) /* tickets and alerts: it takes all or fails */
        return BIO_write_ex(kernel, from, len, done) && *done == len;
    if (c->out == NULL)
        return 0;
    tarn_out_put(c->out, tarn_bytes_of(from, len));
    *done = len;
    return tarn_out_ok(c->out);
}

/* Of what the handshake has left, to the socket: false when it does not take all. */
static bool push_out(struct crypt_tls_conn *c, BIO *kernel)
{
    size_t done = 0;
    if (c->out == NULL || c->out->len == 0)
        return true;
    if (!BIO_write_ex(kernel, c->out->p, c->out->len, &done))
        return false;
    tarn_out_drop(c->out, done);
    return c->out->len == 0;
}

static long bio_ctrl(BIO *b, int command, long number, void *p)
{
    BIO *kernel = BIO_next(b);
    switch (command) {
    case BIO_CTRL_FLUSH: /* the caller does that, when he has more of it */
        return 1;
    case BIO_CTRL_PUSH:
    case BIO_CTRL_POP:
        return 0;
    case BIO_CTRL_GET_KTLS_SEND:
        return kernel == NULL ? 0 : BIO_ctrl(kernel, command, number, p);
    default: /* the kernel gets its keys, among others */
        return kernel != NULL && push_out(BIO_get_data(b), kernel)
                   ? BIO_ctrl(kernel, command, number, p)
                   : 0;
    }
}

static int bio_create(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

static BIO_METHOD *new_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_FILTER, "tarn");
    if (m != NULL && BIO_meth_set_read_ex(m, bio_read) && BIO_meth_set_write_ex(m, bio_write) &&
        BIO_meth_set_ctrl(m, bio_ctrl) && BIO_meth_set_create(m, bio_create))
        return m;
    BIO_meth_free(m);
    return NULL;
}

/* The context. */

/* The only protocol we speak inside. RFC 7301, 3.2: with none in common the handshake fails. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *len,
                           const unsigned char *offered, unsigned offered_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *found;
    (void)ssl, (void)arg;
    if (SSL_select_next_proto(&found, len, ours, sizeof ours - 1, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

static bool set_rules(SSL_CTX *ctx)
{
    static const unsigned char name[] = "tarn"; /* sessions of others are not ours */
    char groups[] = "X25519:P-256:P-384";       /* OpenSSL's macro takes no constant one */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
    SSL_CTX_sess_set_cache_size(ctx, CRYPT_TLS_SESSIONS);
    SSL_CTX_set_timeout(ctx, CRYPT_TLS_SESSION_S);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) &&
           SSL_CTX_set_session_id_context(ctx, name, sizeof name - 1) &&
           /* 128 bits first: half the work, and enough */
           SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                         "TLS_CHACHA20_POLY1305_SHA256") &&
           SSL_CTX_set_cipher_list(ctx, "ECDHE+AES128GCM:ECDHE+AESGCM:ECDHE+CHACHA20") &&
           SSL_CTX_set1_groups_list(ctx, groups);
}

static BIO *open_pem(const struct crypt_pem *pem)
{
    return pem->text.len > INT32_MAX ? NULL : BIO_new_mem_buf(pem->text.p, (int)pem->text.len);
}

/* The end of the file, or something else that is no certificate. */
static bool is_end_of_pem(void)
{
    unsigned long number = ERR_peek_last_error();
    return ERR_GET_LIB(number) == ERR_LIB_PEM && ERR_GET_REASON(number) == PEM_R_NO_START_LINE;
}

static bool add_chain(SSL_CTX *ctx, BIO *bio, const char *name, struct tarn_err *err)
{
    char what[300];
    for (int i = 0;; i++) {
        X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (x == NULL && i > 0 && is_end_of_pem())
            break;
        if (x == NULL && is_end_of_pem()) {
            ERR_clear_error();
            return tarn_fail(err, TARN_E_USAGE,
                             "'%s' holds no certificate in PEM form (\"-----BEGIN CERTIFICATE\")",
                             name);
        }
        snprintf(what, sizeof what, "certificate %d of '%s'", i + 1, name);
        bool ok = x != NULL && (i == 0 ? SSL_CTX_use_certificate(ctx, x) == 1
                                       : SSL_CTX_add1_chain_cert(ctx, x) == 1);
        X509_free(x);
        if (!ok)
            return fail_ssl(err, what);
    }
    ERR_clear_error();
    return true;
}

/* OpenSSL would ask at the terminal. */
static int no_passphrase(char *to, int size, int is_writing, void *is_asked)
{
    (void)to, (void)size, (void)is_writing;
    *(bool *)is_asked = true;
    return -1;
}

static bool add_key(SSL_CTX *ctx, BIO *bio, struct tarn_bytes text, const char *name,
                    const char *chain_name, struct tarn_err *err)
{
    bool is_asked = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &is_asked);
    if (key == NULL) {
        static const char label[] = "PRIVATE KEY-----";
        bool is_absent = memmem(text.p, text.len, label, sizeof label - 1) == NULL;
        ERR_clear_error();
        if (is_asked)
            return tarn_fail(err, TARN_E_USAGE,
                             "the key in '%s' has a passphrase, and nobody is there to be asked "
                             "(write it without one: openssl pkey -in ... -out ...)",
                             name);
        return tarn_fail(err, TARN_E_USAGE,
                         is_absent ? "'%s' holds no private key in PEM form (\"-----BEGIN PRIVATE "
                                     "KEY\")"
                                   : "the private key in '%s' is damaged",
                         name);
    }
    bool is_ours = X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) == 1;
    if (!is_ours) {
        ERR_clear_error();
        EVP_PKEY_free(key);
        return tarn_fail(err, TARN_E_USAGE,
                         "the key in '%s' is not that of the first certificate in '%s' (are they "
                         "of different sites or renewals, or is the chain in another order?)",
                         name, chain_name);
    }
    bool ok = SSL_CTX_use_PrivateKey(ctx, key) == 1;
    EVP_PKEY_free(key);
    if (ok)
        return true;
    (void)fail_ssl(err, "the private key cannot be used");
    return tarn_fail_in(err, "'%s'", name);
}

static int64_t end_of(const X509 *x)
{
    int days, seconds;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool is_known =
        epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(x)) == 1;
    ASN1_TIME_free(epoch);
    ERR_clear_error();
    return is_known ? (int64_t)days * 86400 + seconds : 0;
}

static bool fill(struct crypt_tls *t, const struct crypt_pem *chain, const struct crypt_pem *key,
                 struct tarn_err *err)
{
    struct tarn_quote q, q_key;
    tarn_quote_str(&q, chain->name);
    tarn_quote_str(&q_key, key->name);
    ERR_clear_error();
    t->method = new_method();
    t->ctx = SSL_CTX_new(TLS_server_method());
    if (t->method == NULL || t->ctx == NULL || !set_rules(t->ctx))
        return fail_ssl(err, "cannot set TLS up");
    BIO *bio = open_pem(chain), *key_bio = open_pem(key);
    bool ok = bio != NULL && key_bio != NULL
                  ? add_chain(t->ctx, bio, q.s, err) &&
                        add_key(t->ctx, key_bio, key->text, q_key.s, q.s, err)
                  : fail_ssl(err, "cannot read certificates");
    BIO_free(bio);
    BIO_free(key_bio);
    if (ok)
        t->ends_s = end_of(SSL_CTX_get0_certificate(t->ctx));
    return ok;
}

struct crypt_tls *crypt_tls_new(const struct crypt_pem *chain, const struct crypt_pem *key,
                                struct tarn_err *err)
{
    struct crypt_tls *t = tarn_calloc(1, sizeof *t);
    if (t == NULL) {
        (void)tarn_fail_mem(err, "setting TLS up");
        return NULL;
    }
    atomic_init(&t->refs, 1);
    if (fill(t, chain, key, err))
        return t;
    crypt_tls_unref(t);
    return NULL;
}

struct crypt_tls *crypt_tls_ref(struct crypt_tls *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void crypt_tls_unref(struct crypt_tls *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(t->ctx);
    BIO_meth_free(t->method);
    tarn_free(t);
}

int64_t crypt_tls_ends_s(const struct crypt_tls *t)
{
    return t->ends_s;
}

/* Connections. */

static BIO *new_bio(struct crypt_tls_conn *c)
{
    BIO *b = BIO_new(c->tls->method);
    if (b != NULL)
        BIO_set_data(b, c);
    return b;
}

static bool attach(struct crypt_tls_conn *c, int kernel_fd)
{
    BIO *in = new_bio(c), *out = new_bio(c);
    BIO *kernel = kernel_fd < 0 ? NULL : BIO_new_socket(kernel_fd, BIO_NOCLOSE);
    if (in == NULL || out == NULL || (kernel_fd >= 0 && kernel == NULL)) {
        BIO_free(in);
        BIO_free(out);
        BIO_free(kernel);
        return false;
    }
    if (kernel != NULL) {
        BIO_push(out, kernel);
        SSL_set_options(c->ssl, SSL_OP_ENABLE_KTLS);
    }
    SSL_set0_rbio(c->ssl, in);
    SSL_set0_wbio(c->ssl, out);
    SSL_set_accept_state(c->ssl);
    return true;
}

struct crypt_tls_conn *crypt_tls_accept(struct crypt_tls *t, int kernel_fd, struct tarn_err *err)
{
    struct crypt_tls_conn *c = tarn_calloc(1, sizeof *c);
    if (c == NULL) {
        (void)tarn_fail_mem(err, "beginning a TLS connection");
        return NULL;
    }
    c->tls = crypt_tls_ref(t);
    c->ssl = SSL_new(t->ctx);
    if (c->ssl != NULL && attach(c, kernel_fd))
        return c;
    (void)fail_ssl(err, "cannot begin a TLS connection");
    crypt_tls_free(c);
    return NULL;
}

void crypt_tls_free(struct crypt_tls_conn *c)
{
    if (c == NULL)
        return;
    SSL_free(c->ssl);
    crypt_tls_unref(c->tls);
    tarn_free(c);
}

/* What went wrong, for people. */
static enum crypt_tls_step fail_step(struct crypt_tls_conn *c, struct tarn_err *err)
{
    unsigned long number = ERR_peek_error();
    int what = ERR_GET_LIB(number) == ERR_LIB_SSL ? ERR_GET_REASON(number) : 0;
    c->is_bad = true;
    if (c->out != NULL && !tarn_out_ok(c->out))
        (void)tarn_fail_mem(err, "answering over TLS");
    else if (what == SSL_R_HTTP_REQUEST || what == SSL_R_HTTPS_PROXY_REQUEST)
        tarn_fail(err, TARN_E_NETWORK,
                  "a plain HTTP request where TLS is spoken (the address begins with https://)");
    else if (!c->is_open && what == SSL_R_WRONG_VERSION_NUMBER)
        tarn_fail(err, TARN_E_NETWORK, "what came is no TLS, or older than TLS 1.2");
    else
        tarn_fail(err, TARN_E_NETWORK, "the TLS %s failed: %s",
                  c->is_open ? "connection" : "handshake", reason());
    ERR_clear_error();
    return CRYPT_TLS_BAD;
}

static enum crypt_tls_step shake(struct crypt_tls_conn *c, struct tarn_err *err)
{
    size_t before = tarn_cur_left(c->in);
    int done = SSL_do_handshake(c->ssl);
    c->hello += before - tarn_cur_left(c->in);
    if (done == 1) {
        c->is_open = true;
        return CRYPT_TLS_OPENED;
    }
    if (SSL_get_error(c->ssl, done) != SSL_ERROR_WANT_READ)
        return fail_step(c, err);
    if (c->hello <= CRYPT_TLS_HELLO_MAX)
        return CRYPT_TLS_MORE;
    c->is_bad = true;
    tarn_fail(err, TARN_E_POLICY, "a TLS handshake of more than %d bytes, the most we take",
              CRYPT_TLS_HELLO_MAX);
    return CRYPT_TLS_BAD;
}

static enum crypt_tls_step read_some(struct crypt_tls_conn *c, void *buf, size_t len, size_t *got,
                                     struct tarn_err *err)
{
    size_t n;
    int done = SSL_read_ex(c->ssl, buf, len, &n);
    if (done == 1) {
        *got = n;
        return CRYPT_TLS_BYTES;
    }
    switch (SSL_get_error(c->ssl, done)) {
    case SSL_ERROR_WANT_READ:
        return CRYPT_TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return CRYPT_TLS_END;
    default:
        return fail_step(c, err);
    }
}

enum crypt_tls_step crypt_tls_read(struct crypt_tls_conn *c, struct tarn_cur *in,
                                   struct tarn_out *out, void *buf, size_t len, size_t *got,
                                   struct tarn_err *err)
{
    assert(len > 0);
    if (c->is_bad) {
        tarn_fail(err, TARN_E_NETWORK, "the TLS connection has failed before");
        return CRYPT_TLS_BAD;
    }
    c->in = in;
    c->out = out;
    ERR_clear_error();
    enum crypt_tls_step step = c->is_open ? read_some(c, buf, len, got, err) : shake(c, err);
    c->in = NULL;
    c->out = NULL;
    return step;
}

bool crypt_tls_write(struct crypt_tls_conn *c, struct tarn_bytes plain, struct tarn_out *out,
                     struct tarn_err *err)
{
    assert(c->is_open && !crypt_tls_is_kernel(c));
    if (plain.len == 0)
        return true;
    size_t done = 0;
    c->out = out;
    ERR_clear_error();
    bool ok = !c->is_bad && SSL_write_ex(c->ssl, plain.p, plain.len, &done) == 1;
    if (!ok)
        (void)fail_step(c, err);
    c->out = NULL;
    return ok;
}

void crypt_tls_end(struct crypt_tls_conn *c, struct tarn_out *out)
{
    if (!c->is_open || c->is_bad)
        return;
    c->out = out;
    (void)SSL_shutdown(c->ssl); /* what cannot be told now, closing the socket tells */
    ERR_clear_error();
    c->out = NULL;
}

bool crypt_tls_is_open(const struct crypt_tls_conn *c)
{
    return c->is_open;
}

bool crypt_tls_is_resumed(const struct crypt_tls_conn *c)
{
    return SSL_session_reused(c->ssl) == 1;
}

bool crypt_tls_is_kernel(const struct crypt_tls_conn *c)
{
    BIO *kernel = BIO_next(SSL_get_wbio(c->ssl));
    return kernel != NULL && BIO_get_ktls_send(kernel);
}

const char *crypt_tls_version(const struct crypt_tls_conn *c)
{
    return SSL_get_version(c->ssl);
}

const char *crypt_tls_cipher(const struct crypt_tls_conn *c)
{
    return SSL_get_cipher_name(c->ssl);
}
