/* sys/posix: addresses in the system's form, the options of sockets, and name look-up. */
#include "sys/posix/priv.h"
#include "sys/priv.h"

#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

void sys_to_sockaddr(struct sys_sockaddr *to, const struct sys_addr *from)
{
    *to = (struct sys_sockaddr){ 0 };
    if (from->is_v6) {
        struct sockaddr_in6 *a = (struct sockaddr_in6 *)&to->s;
        a->sin6_family = AF_INET6;
        a->sin6_port = htons(from->port);
        a->sin6_scope_id = from->scope;
        memcpy(&a->sin6_addr, from->ip, 16);
        to->len = sizeof *a;
    } else {
        struct sockaddr_in *a = (struct sockaddr_in *)&to->s;
        a->sin_family = AF_INET;
        a->sin_port = htons(from->port);
        memcpy(&a->sin_addr, from->ip, 4);
        to->len = sizeof *a;
    }
}

bool sys_from_sockaddr(struct sys_addr *to, const struct sys_sockaddr *from)
{
    if (from->s.ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&from->s;
        *to = (struct sys_addr){ .port = ntohs(a->sin6_port),
                                 .scope = a->sin6_scope_id,
                                 .is_v6 = true };
        memcpy(to->ip, &a->sin6_addr, 16);
        return true;
    }
    if (from->s.ss_family == AF_INET) {
        const struct sockaddr_in *a = (const struct sockaddr_in *)&from->s;
        *to = (struct sys_addr){ .port = ntohs(a->sin_port) };
        memcpy(to->ip, &a->sin_addr, 4);
        return true;
    }
    if (from->s.ss_family == AF_UNIX) {
        *to = (struct sys_addr){ .is_unix = true };
        return true;
    }
    return false;
}

uint32_t sys_scope_of(const char *interface)
{
    return if_nametoindex(interface);
}

void posix_set_option(int fd, int level, int name, int value)
{
    (void)setsockopt(fd, level, name, &value, sizeof value); /* what is refused, we do without */
}

int posix_socket_error(int fd)
{
    int number = 0;
    socklen_t len = sizeof number;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len) == 0 ? number : errno;
}

int posix_local_addr(int fd, struct sockaddr *addr, unsigned *len)
{
    socklen_t got = (socklen_t)*len;
    int rc = getsockname(fd, addr, &got);
    *len = (unsigned)got;
    return rc;
}

void sys_tune_tcp(int fd)
{
    sys_ops->set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

void sys_tune_listener(int fd, bool is_v6)
{
    sys_ops->set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1); /* else old connections are in the way */
    if (is_v6)
        sys_ops->set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
}

void sys_set_unsent_low(int fd, uint32_t bytes)
{
#ifdef TCP_NOTSENT_LOWAT
    sys_ops->set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT,
                        bytes > INT32_MAX ? INT32_MAX : (int)bytes);
#else
    (void)fd, (void)bytes;
#endif
}

bool sys_resolve(const char *host, uint16_t port, struct sys_addr *addrs, size_t max, size_t *n,
                 struct tarn_err *err)
{
    struct addrinfo want = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    struct tarn_quote q;
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    int rc = getaddrinfo(host, service, &want, &found);
    if (rc == EAI_SYSTEM) {
        int number = errno;
        tarn_quote_str(&q, host);
        errno = number;
        return sys_fail_net(err, "cannot look up the host '%s'", q.s);
    }
    if (rc != 0)
        return tarn_fail(err, TARN_E_NETWORK, "cannot look up the host '%s': %s",
                         tarn_quote_str(&q, host), gai_strerror(rc));
    size_t count = 0;
    for (struct addrinfo *a = found; a != NULL && count < max; a = a->ai_next) {
        struct sys_sockaddr raw = { 0 };
        if (a->ai_addrlen > sizeof raw.s)
            continue;
        memcpy(&raw.s, a->ai_addr, a->ai_addrlen);
        if (sys_from_sockaddr(&addrs[count], &raw))
            count++;
    }
    freeaddrinfo(found);
    if (count == 0)
        return tarn_fail(err, TARN_E_NETWORK, "the host '%s' has no IPv4 or IPv6 address",
                         tarn_quote_str(&q, host));
    *n = count;
    return true;
}
