/* sys/addr: addresses as people write them. */
#include "base/num.h"
#include "sys/net.h"
#include "sys/priv.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = { [10] = 0xFF, [11] = 0xFF };

static bool is_mapped(const struct sys_addr *a)
{
    return a->is_v6 && memcmp(a->ip, mapped_prefix, sizeof mapped_prefix) == 0;
}

/* A NUL behind it, in storage that is longer than any address. */
struct text {
    char s[64];
};
static bool copy_text(struct text *to, struct tarn_bytes from)
{
    if (from.len == 0 || from.len >= sizeof to->s || memchr(from.p, '\0', from.len) != NULL)
        return false;
    memcpy(to->s, from.p, from.len);
    to->s[from.len] = '\0';
    return true;
}

static bool parse_v4(struct tarn_bytes host, struct sys_addr *a)
{
    struct text t;
    return copy_text(&t, host) && inet_pton(AF_INET, t.s, a->ip) == 1;
}

/* "%eth0" or "%2", the sign included. */
static bool parse_scope(struct tarn_bytes text, uint32_t *scope)
{
    struct text t;
    uint64_t number;
    if (!copy_text(&t, tarn_bytes_of(text.p + 1, text.len - 1)))
        return false;
    *scope = tarn_parse_u64(tarn_bytes_str(t.s), UINT32_MAX, &number) ? (uint32_t)number
                                                                      : sys_scope_of(t.s);
    return *scope != 0;
}

static bool parse_v6(struct tarn_bytes host, struct sys_addr *a)
{
    struct text t;
    const uint8_t *percent = host.len == 0 ? NULL : memchr(host.p, '%', host.len);
    size_t len = percent == NULL ? host.len : (size_t)(percent - host.p);
    if (percent != NULL && !parse_scope(tarn_bytes_of(percent, host.len - len), &a->scope))
        return false;
    if (!copy_text(&t, tarn_bytes_of(host.p, len)) || inet_pton(AF_INET6, t.s, a->ip) != 1)
        return false;
    a->is_v6 = true;
    if (is_mapped(a)) {
        memmove(a->ip, a->ip + 12, 4);
        memset(a->ip + 4, 0, 12);
        a->is_v6 = false;
        a->scope = 0;
    }
    return true;
}

static bool parse_port(struct tarn_bytes text, uint16_t *port)
{
    uint64_t number;
    if (text.len > 5 || !tarn_parse_u64(text, UINT16_MAX, &number))
        return false;
    *port = (uint16_t)number;
    return true;
}

/* The part before the port, and whether IPv6 is in it, by its brackets or by its colons. */
static bool split(struct tarn_bytes text, uint16_t default_port, struct tarn_bytes *host,
                  bool *is_v6, uint16_t *port)
{
    const uint8_t *end = text.p + text.len;
    const uint8_t *colon; /* before the port, or end */
    *port = default_port;
    if (text.p[0] == '[') {
        const uint8_t *close = memchr(text.p, ']', text.len);
        if (close == NULL || (close + 1 != end && close[1] != ':'))
            return false;
        *host = tarn_bytes_of(text.p + 1, (size_t)(close - text.p) - 1);
        *is_v6 = true;
        colon = close + 1;
    } else {
        colon = memchr(text.p, ':', text.len);
        if (colon == NULL)
            colon = end;
        *is_v6 = colon != end && memchr(colon + 1, ':', (size_t)(end - colon) - 1) != NULL;
        if (*is_v6)
            colon = end;
        *host = tarn_bytes_of(text.p, (size_t)(colon - text.p));
    }
    if (colon == end)
        return default_port != 0;
    return parse_port(tarn_bytes_of(colon + 1, (size_t)(end - colon) - 1), port);
}

bool sys_addr_parse(struct tarn_bytes text, uint16_t default_port, struct sys_addr *addr)
{
    struct sys_addr a = { 0 };
    struct tarn_bytes host;
    bool is_v6;
    if (text.len == 0 || !split(text, default_port, &host, &is_v6, &a.port))
        return false;
    if (is_v6 ? !parse_v6(host, &a) : !parse_v4(host, &a))
        return false;
    *addr = a;
    return true;
}

const char *sys_addr_text(struct sys_addr_text *dst, const struct sys_addr *addr)
{
    if (addr->is_unix) {
        snprintf(dst->s, sizeof dst->s, "unix");
        return dst->s;
    }
    char ip[INET6_ADDRSTRLEN] = "?";
    char scope[16] = "";
    (void)inet_ntop(addr->is_v6 ? AF_INET6 : AF_INET, addr->ip, ip, sizeof ip); /* room enough */
    if (addr->is_v6 && addr->scope != 0)
        snprintf(scope, sizeof scope, "%%%u", (unsigned)addr->scope);
    /* at most 59 bytes: 39 for the longest address in hex, 11 for the scope, 9 for the rest */
    snprintf(dst->s, sizeof dst->s, addr->is_v6 ? "[%.39s%.11s]:%u" : "%.39s%.11s:%u", ip, scope,
             (unsigned)addr->port);
    return dst->s;
}

bool sys_addr_eq(const struct sys_addr *a, const struct sys_addr *b)
{
    return a->is_v6 == b->is_v6 && a->is_unix == b->is_unix && a->port == b->port &&
           memcmp(a->ip, b->ip, a->is_v6 ? 16 : 4) == 0 && (!a->is_v6 || a->scope == b->scope);
}

bool sys_addr_is_loopback(const struct sys_addr *a)
{
    static const uint8_t one[16] = { [15] = 1 };
    if (!a->is_v6)
        return a->ip[0] == 127;
    return memcmp(a->ip, one, sizeof one) == 0 || (is_mapped(a) && a->ip[12] == 127);
}

struct sys_addr sys_addr_any(bool is_v6, uint16_t port)
{
    return (struct sys_addr){ .port = port, .is_v6 = is_v6 };
}
