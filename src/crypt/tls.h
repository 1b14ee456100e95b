/* crypt/tls: the server's side of TLS 1.2 and 1.3 (OpenSSL), without sockets.
 *
 * Bytes that were received go in, bytes to read and bytes to send come out. A context (struct
 * crypt_tls) is made of one certificate chain and its key, is counted, and serves any number of
 * connections of any threads. To change the certificate make a new one: connections hold the one
 * they began with. A connection belongs to one thread at a time.
 *
 * What is offered: TLS 1.3 and 1.2 with ephemeral keys and authenticated ciphers; ALPN http/1.1
 * (a client that offers only others is refused, RFC 7301); any server name. Sessions are resumed by
 * tickets, which we need not remember; of TLS 1.2 clients without them at most
 * CRYPT_TLS_SESSIONS are remembered. Keys of tickets live as long as the context. There is no
 * renegotiation, no compression, no early data. Time limits are the owner's. */
#ifndef CRYPT_TLS_H
#define CRYPT_TLS_H

#include "base/cur.h"
#include "base/err.h"
#include "base/out.h"

enum {
    CRYPT_TLS_SESSIONS = 1024,         /* ours: about 1 KiB each */
    CRYPT_TLS_SESSION_S = 2 * 60 * 60, /* a session can be resumed for so long */
    CRYPT_TLS_HELLO_MAX = 64 << 10,    /* ours: received before the handshake is over */
    CRYPT_TLS_RECORD = 16 << 10,       /* RFC 8446: the most that one record carries ... */
    CRYPT_TLS_OVER = 64, /* ... and no more than this on top (TLS 1.2: 29, TLS 1.3: 22) */
};

struct crypt_tls;

/* The text of a PEM file, and its name for messages. Borrowed for the call. */
struct crypt_pem {
    const char *name;
    struct tarn_bytes text;
};

/* The server's certificate first, then those that lead to a root. Messages name the file and what
 * is wrong with it: no PEM, a passphrase, a key of another certificate. NULL on failure. */
struct crypt_tls *crypt_tls_new(const struct crypt_pem *chain, const struct crypt_pem *key,
                                struct tarn_err *err) TARN_MUST;
struct crypt_tls *crypt_tls_ref(struct crypt_tls *t); /* returns t; any thread */
void crypt_tls_unref(struct crypt_tls *t);            /* any thread; accepts NULL */
/* When the server's certificate ends, in s since 1970; 0 when it does not say. */
int64_t crypt_tls_ends_s(const struct crypt_tls *t);

struct crypt_tls_conn;

/* A new connection, counted in t. kernel_fd: a socket whose kernel can encrypt what is sent
 * (sys_offload_tls), or -1. NULL on failure. */
struct crypt_tls_conn *crypt_tls_accept(struct crypt_tls *t, int kernel_fd, struct tarn_err *err)
    TARN_MUST;
void crypt_tls_free(struct crypt_tls_conn *c); /* accepts NULL */

enum crypt_tls_step {
    CRYPT_TLS_MORE,   /* all of in is taken: receive more */
    CRYPT_TLS_OPENED, /* the handshake is over (told once): call again */
    CRYPT_TLS_BYTES,  /* *got bytes to read: call again */
    CRYPT_TLS_END,    /* the other side has said that nothing follows (close_notify) */
    CRYPT_TLS_BAD,    /* err says why; send what is in out (an alert), and close */
};

/* Take received bytes, and decrypt at most len (not 0) of them into buf. Whatever the step, out may
 * have grown: send it, before anything that is written later. */
enum crypt_tls_step crypt_tls_read(struct crypt_tls_conn *c, struct tarn_cur *in,
                                   struct tarn_out *out, void *buf, size_t len, size_t *got,
                                   struct tarn_err *err) TARN_MUST;

/* Encrypt into out, in as few records as can be. Only when open, and not in the kernel. */
bool crypt_tls_write(struct crypt_tls_conn *c, struct tarn_bytes plain, struct tarn_out *out,
                     struct tarn_err *err) TARN_MUST;

/* Say that nothing follows: only after all of an answer, so that one that was cut is seen to be. */
void crypt_tls_end(struct crypt_tls_conn *c, struct tarn_out *out);

bool crypt_tls_is_open(const struct crypt_tls_conn *c);
bool crypt_tls_is_resumed(const struct crypt_tls_conn *c);
/* The kernel encrypts: from now on what is written to the socket is plain, and sendfile works. */
bool crypt_tls_is_kernel(const struct crypt_tls_conn *c);
/* For logs: "TLSv1.3", and the cipher's name. Static strings. */
const char *crypt_tls_version(const struct crypt_tls_conn *c);
const char *crypt_tls_cipher(const struct crypt_tls_conn *c);

#endif
