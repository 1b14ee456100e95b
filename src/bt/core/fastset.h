/* bt/core/fastset: the pieces that a peer may have while choked (BEP 6). Pure. */
#ifndef BT_CORE_FASTSET_H
#define BT_CORE_FASTSET_H

#include "bt/core/addr.h"
#include "bt/core/handshake.h"

enum {
    BT_FASTSET_MAX = 10, /* BEP 6's k: the most that we take from a peer, and make */
    BT_FASTSET = 5,      /* the most that we give, to peers that have fewer pieces than that */
};

/* Writes up to k piece numbers, all different; returns how many (all pieces when there are no more
 * than k). The IPv4 address is cut to /24 as in BEP 6; IPv6, which it does not cover, to /48. */
size_t bt_fastset(const struct bt_addr *peer, const uint8_t hash[BT_HASH_LEN], uint32_t n_pieces,
                  size_t k, uint32_t *out);

#endif
