/* api/listen: which addresses a transfer listens at. */
#ifndef API_LISTEN_H
#define API_LISTEN_H

#include "sys/net.h"

enum { API_PORT_FIRST = 6881, API_PORT_LAST = 6889 }; /* the custom since BEP 3 */

struct api_listen {
    struct sys_addr *addrs; /* owned */
    size_t n;
};

/* Those that the caller named (TARN_E_USAGE when one is taken or makes no sense), else the first
 * free port of the usual ones, for IPv4 and, where the system has it, IPv6. When all of them are
 * taken the system chooses. */
bool api_listen_choose(struct api_listen *l, const char *const *named, size_t n,
                       struct tarn_err *err) TARN_MUST;
void api_listen_release(struct api_listen *l); /* accepts a zeroed one */

#endif
