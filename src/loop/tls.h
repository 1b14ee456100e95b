/* loop/tls: the server's certificate and key from their files. Streams that use them are made by
 * loop_stream_accept_tls (loop/stream.h). */
#ifndef LOOP_TLS_H
#define LOOP_TLS_H

#include "base/err.h"
#include "crypt/tls.h"

enum { LOOP_TLS_FILE_MAX = 1 << 20 };

/* Read both PEM files; they may be one and the same. A key that everybody on the machine may read
 * is refused. To reload call it again: on failure the old context is as good as before. NULL on
 * failure; err names the file. */
struct crypt_tls *loop_tls_load(const char *chain_path, const char *key_path, struct tarn_err *err)
    TARN_MUST;

#endif
