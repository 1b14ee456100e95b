/* loop/tls: reading a certificate and its key. */
#include "loop/tls.h"

#include "base/mem.h"
#include "sys/file.h"

enum { READ_BY_ALL = 0004 };

static bool read_pem(const char *path, const char *what, struct crypt_pem *pem,
                     struct tarn_err *err)
{
    uint8_t *data;
    size_t len;
    if (!sys_read_whole(path, LOOP_TLS_FILE_MAX, &data, &len, err))
        return tarn_fail_in(err, "the TLS %s", what);
    *pem = (struct crypt_pem){ path, tarn_bytes_of(data, len) };
    return true;
}

static void forget(struct crypt_pem *pem)
{
    uint8_t *p = (uint8_t *)(uintptr_t)pem->text.p; /* ours: read_pem's */
    if (p != NULL)
        explicit_bzero(p, pem->text.len);
    tarn_free(p);
}

static bool is_private(const char *path, struct tarn_err *err)
{
    struct sys_stat st;
    SYS_AUTO_FD fd = sys_open(path, SYS_OPEN_READ, err);
    if (fd < 0 || !sys_stat_fd(fd, &st, err))
        return tarn_fail_in(err, "the TLS key");
    struct tarn_quote q;
    return (st.mode & READ_BY_ALL) == 0 ||
           tarn_fail(err, TARN_E_POLICY,
                     "the TLS key '%s' can be read by everybody on this machine, so it is no "
                     "secret (chmod o-r; if others may have read it, get a new one)",
                     tarn_quote_str(&q, path));
}

struct crypt_tls *loop_tls_load(const char *chain_path, const char *key_path, struct tarn_err *err)
{
    struct crypt_pem chain = { 0 }, key = { 0 };
    struct crypt_tls *t = NULL;
    if (read_pem(chain_path, "certificate", &chain, err) && is_private(key_path, err) &&
        read_pem(key_path, "key", &key, err))
        t = crypt_tls_new(&chain, &key, err);
    forget(&chain);
    forget(&key);
    return t;
}
