/* base/err: making errors. The type and its codes are public: include/tarn/err.h.
 *
 * Every maker accepts err == NULL and returns false, so that a caller writes
 *     return tarn_fail(err, TARN_E_POLICY, "...");
 * Arguments printed with %s that came from outside go through tarn_quote first. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/attr.h"
#include "base/bytes.h"
#include <stdbool.h>
#include <tarn/err.h>

/* A new error. */
bool tarn_fail(struct tarn_err *err, enum tarn_code code, const char *fmt, ...) TARN_PRINTF(3, 4);

/* Say what we were doing, in front of what refused: "<fmt>: <message so far>". */
bool tarn_fail_in(struct tarn_err *err, const char *fmt, ...) TARN_PRINTF(2, 3);

/* A new error from errno, read at entry: "<fmt>: No space left on device". The code follows from
 * errno: ENOSPC and EDQUOT are no space, ENOENT is not found, EACCES, EPERM and EROFS policy, the
 * connection errors are network, ENOMEM is memory. */
bool tarn_fail_sys(struct tarn_err *err, const char *fmt, ...) TARN_PRINTF(2, 3);

/* Out of memory while doing what. */
bool tarn_fail_mem(struct tarn_err *err, const char *what);

#ifdef __clang_analyzer__ /* which cannot see into err.c: they return false, always */
#define tarn_fail(...) ((void)tarn_fail(__VA_ARGS__), false)
#define tarn_fail_in(...) ((void)tarn_fail_in(__VA_ARGS__), false)
#define tarn_fail_sys(...) ((void)tarn_fail_sys(__VA_ARGS__), false)
#define tarn_fail_mem(...) ((void)tarn_fail_mem(__VA_ARGS__), false)
#endif

/* Bytes of unknown origin as printable UTF-8 in dst (cut with "..." to fit): for messages.
 * Returns dst. */
struct tarn_quote {
    char s[260];
};
const char *tarn_quote(struct tarn_quote *dst, struct tarn_bytes bytes);
const char *tarn_quote_str(struct tarn_quote *dst, const char *str);

#endif
