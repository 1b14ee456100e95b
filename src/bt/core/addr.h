/* bt/core/addr: addresses of peers as messages carry them. Pure: no sockets, no name look-up. */
#ifndef BT_CORE_ADDR_H
#define BT_CORE_ADDR_H

#include "base/attr.h"
#include "base/bytes.h"

struct bt_addr {
    uint8_t ip[16]; /* IPv4 in the first four bytes */
    uint16_t port;
    bool is_v6;
};

/* The address of an IP in text: dotted IPv4, or IPv6 without brackets (RFC 4291 forms). The port is
 * left alone. */
bool bt_addr_parse_ip(struct tarn_bytes text, struct bt_addr *a) TARN_MUST;

/* Compact form: 4 or 16 bytes and the port (BEP 23, 7). */
struct bt_addr bt_addr_of_compact(const uint8_t *p, bool is_v6);

bool bt_addr_eq(const struct bt_addr *a, const struct bt_addr *b);

/* May be connected to: the port is not 0 and the address belongs to one host. */
bool bt_addr_is_usable(const struct bt_addr *a);

#endif
