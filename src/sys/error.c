/* sys/error: errno to a sentence, where the system's own text does not say what to try. */
#include "sys/descriptors.h"
#include "sys/priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

TARN_PRINTF(3, 0)
static void fail_with(struct tarn_err *err, int number, const char *fmt, va_list args)
{
    char what[800];
    if (vsnprintf(what, sizeof what, fmt, args) < 0)
        what[0] = '\0';
    errno = number;
    if (number == EMFILE)
        tarn_fail(err, TARN_E_POLICY,
                  "%s: this process has reached its limit of %llu open files (raise it with "
                  "`ulimit -n`, or allow fewer connections)",
                  what, (unsigned long long)sys_fd_limit());
    else if (number == ENFILE)
        tarn_fail(err, TARN_E_POLICY,
                  "%s: the whole system has reached its limit of open files (close other programs, "
                  "or raise fs.file-max; `ulimit -n` does not help)",
                  what);
    else
        tarn_fail_sys(err, "%s", what);
}

bool sys_fail(struct tarn_err *err, const char *fmt, ...)
{
    int number = errno;
    if (err == NULL)
        return false;
    va_list args;
    va_start(args, fmt);
    fail_with(err, number, fmt, args);
    va_end(args);
    return false;
}

bool sys_fail_net(struct tarn_err *err, const char *fmt, ...)
{
    int number = errno;
    if (err == NULL)
        return false;
    va_list args;
    va_start(args, fmt);
    fail_with(err, number, fmt, args);
    va_end(args);
    if (err->code == TARN_E_FAILED)
        err->code = TARN_E_NETWORK;
    return false;
}
