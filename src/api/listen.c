/* api/listen: see the header. A port is tried by listening at it for a moment; whoever takes it
 * between that and the session's own try gets the session's sentence. */
#include "api/listen.h"

#include "base/mem.h"

static bool can_listen(const struct sys_addr *at, struct tarn_err *err)
{
    int fd = sys_tcp_listen(at, err);
    bool can = fd >= 0;
    sys_close(&fd);
    return can;
}

static bool choose_named(struct api_listen *l, const char *const *named, size_t n,
                         struct tarn_err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct tarn_quote q;
        struct tarn_err why;
        tarn_quote_str(&q, named[i]);
        if (!sys_addr_parse(tarn_bytes_str(named[i]), API_PORT_FIRST, &l->addrs[i]))
            return tarn_fail(err, TARN_E_USAGE,
                             "'%s' is no address to listen at: write it like 0.0.0.0:6881 or "
                             "[::]:6881",
                             q.s);
        if (!can_listen(&l->addrs[i], &why))
            return tarn_fail(err, TARN_E_USAGE, "%s: is another program using the port?", why.msg);
        l->n++;
    }
    return true;
}

/* The families that this system has. */
static size_t families(bool v6[2])
{
    size_t n = 0;
    for (int i = 0; i < 2; i++) {
        struct sys_addr any = sys_addr_any(i == 1, 0);
        if (can_listen(&any, NULL))
            v6[n++] = i == 1;
    }
    return n;
}

static bool choose_usual(struct api_listen *l, struct tarn_err *err)
{
    bool v6[2];
    size_t n = families(v6);
    if (n == 0)
        return tarn_fail(err, TARN_E_NETWORK, "this system can listen at neither IPv4 nor IPv6");
    for (uint16_t port = API_PORT_FIRST; port <= API_PORT_LAST && l->n < n; port++) {
        l->n = 0;
        for (size_t i = 0; i < n; i++) {
            struct sys_addr any = sys_addr_any(v6[i], port);
            if (can_listen(&any, NULL))
                l->addrs[l->n++] = any;
        }
    }
    if (l->n < n)
        for (l->n = 0; l->n < n; l->n++)
            l->addrs[l->n] = sys_addr_any(v6[l->n], 0);
    return true;
}

bool api_listen_choose(struct api_listen *l, const char *const *named, size_t n,
                       struct tarn_err *err)
{
    *l = (struct api_listen){ 0 };
    l->addrs = tarn_calloc(n > 2 ? n : 2, sizeof *l->addrs);
    if (l->addrs == NULL)
        return tarn_fail_mem(err, "choosing a port");
    return n > 0 ? choose_named(l, named, n, err) : choose_usual(l, err);
}

void api_listen_release(struct api_listen *l)
{
    tarn_free(l->addrs);
    *l = (struct api_listen){ 0 };
}
