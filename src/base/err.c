/* base/err: see the header. Sentences are built beside the error and copied in at the end, because
 * an argument may be the message that is being replaced. */
#include "base/err.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __clang_analyzer__ /* the header's words for other files */
#undef tarn_fail
#undef tarn_fail_in
#undef tarn_fail_sys
#undef tarn_fail_mem
#endif

enum {
    MSG_SIZE = sizeof((struct tarn_err *)0)->msg,
};

static const char dots[] = "...";

int tarn_code_exit(enum tarn_code code)
{
    return (unsigned)code <= TARN_E_POLICY ? (int)code : TARN_E_FAILED;
}

const char *tarn_code_name(enum tarn_code code)
{
    static const char *const names[] = {
        [TARN_OK] = "ok",
        [TARN_E_FAILED] = "failed",
        [TARN_E_USAGE] = "usage",
        [TARN_E_PARTIAL] = "partial",
        [TARN_E_INTEGRITY] = "integrity",
        [TARN_E_NOT_FOUND] = "not-found",
        [TARN_E_NETWORK] = "network",
        [TARN_E_NO_SPACE] = "no-space",
        [TARN_E_DAEMON] = "daemon",
        [TARN_E_POLICY] = "policy",
        [TARN_E_NO_MEMORY] = "no-memory",
        [TARN_E_CANCELED] = "canceled",
    };
    return (size_t)code < TARN_COUNT_OF(names) ? names[code] : names[TARN_E_FAILED];
}

/* Room for two messages and what joins them, so that cutting happens once, in set_msg. */
struct sentence {
    char s[2 * MSG_SIZE + 2];
};

TARN_PRINTF(2, 0) static void say(struct sentence *to, const char *fmt, va_list args)
{
    if (vsnprintf(to->s, MSG_SIZE + 1, fmt, args) < 0)
        to->s[0] = '\0';
}

/* "<said>: <reason>" */
static void say_because(struct sentence *to, const char *reason)
{
    size_t len = strlen(to->s);
    snprintf(to->s + len, sizeof to->s - len, ": %s", reason);
}

/* Cut at the last character that leaves room for the dots. */
static void set_msg(struct tarn_err *err, const struct sentence *from)
{
    size_t len = strlen(from->s);
    if (len < MSG_SIZE) {
        memcpy(err->msg, from->s, len + 1);
        return;
    }
    len = MSG_SIZE - sizeof dots;
    while (len > 0 && ((uint8_t)from->s[len] & 0xC0) == 0x80)
        len--;
    memcpy(err->msg, from->s, len);
    memcpy(err->msg + len, dots, sizeof dots);
}

bool tarn_fail(struct tarn_err *err, enum tarn_code code, const char *fmt, ...)
{
    if (err == NULL)
        return false;
    struct sentence said;
    va_list args;
    va_start(args, fmt);
    say(&said, fmt, args);
    va_end(args);
    err->code = code;
    set_msg(err, &said);
    return false;
}

bool tarn_fail_in(struct tarn_err *err, const char *fmt, ...)
{
    if (err == NULL)
        return false;
    struct sentence said;
    va_list args;
    va_start(args, fmt);
    say(&said, fmt, args);
    va_end(args);
    say_because(&said, err->msg);
    set_msg(err, &said);
    return false;
}

static enum tarn_code code_of(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return TARN_E_NO_SPACE;
    case ENOENT:
        return TARN_E_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return TARN_E_POLICY;
    case ECONNABORTED:
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ENOTCONN:
    case ETIMEDOUT:
        return TARN_E_NETWORK;
    case ENOMEM:
        return TARN_E_NO_MEMORY;
    default:
        return TARN_E_FAILED;
    }
}

bool tarn_fail_sys(struct tarn_err *err, const char *fmt, ...)
{
    int number = errno; /* before anything else can change it */
    if (err == NULL)
        return false;
    struct sentence said;
    va_list args;
    va_start(args, fmt);
    say(&said, fmt, args);
    va_end(args);
    char text[128];
    say_because(&said, strerror_r(number, text, sizeof text)); /* GNU's, which returns the text */
    err->code = code_of(number);
    set_msg(err, &said);
    return false;
}

bool tarn_fail_mem(struct tarn_err *err, const char *what)
{
    return tarn_fail(err, TARN_E_NO_MEMORY, "out of memory while %s", what);
}

/* A terminal would obey it, or a reader would be deceived by it. */
static bool is_unsafe(uint32_t cp)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        { 0x00, 0x1F },     /* control characters */
        { 0x7F, 0x9F },     /* DEL and the second set of controls */
        { 0x61C, 0x61C },   /* Arabic letter mark: changes direction */
        { 0x200B, 0x200F }, /* no width; direction marks */
        { 0x2028, 0x202E }, /* line separators; direction overrides */
        { 0x2060, 0x2064 }, /* no width */
        { 0x2066, 0x2069 }, /* direction isolates */
        { 0xFEFF, 0xFEFF }, /* no width; byte order mark */
        { TARN_UTF8_BAD, TARN_UTF8_BAD },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(ranges); i++)
        if (cp >= ranges[i].first && cp <= ranges[i].last)
            return true;
    return false;
}

/* One character from the front of *rest as it shall be seen. Returns its length: at most 16, for
 * four bytes as \xNN. */
static size_t quote_one(char dst[17], struct tarn_bytes *rest)
{
    const uint8_t *p = rest->p;
    bool unsafe = is_unsafe(tarn_utf8_take(rest));
    size_t n = (size_t)(rest->p - p);
    if (!unsafe) {
        memcpy(dst, p, n);
        return n;
    }
    for (size_t i = 0; i < n; i++)
        snprintf(dst + 4 * i, 5, "\\x%02x", p[i]);
    return 4 * n;
}

const char *tarn_quote(struct tarn_quote *dst, struct tarn_bytes bytes)
{
    size_t len = 0;
    size_t cut = 0; /* the last place where the dots would fit */
    while (bytes.len > 0) {
        char one[17];
        size_t n = quote_one(one, &bytes);
        if (len + n >= sizeof dst->s) {
            memcpy(dst->s + cut, dots, sizeof dots);
            return dst->s;
        }
        memcpy(dst->s + len, one, n);
        len += n;
        if (len + sizeof dots <= sizeof dst->s)
            cut = len;
    }
    dst->s[len] = '\0';
    return dst->s;
}

const char *tarn_quote_str(struct tarn_quote *dst, const char *str)
{
    return tarn_quote(dst, tarn_bytes_str(str));
}
