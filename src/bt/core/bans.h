/* bt/core/bans: peers that nobody deals with any more, for as long as the program runs.
 *
 * A ban is for an address, whatever its port: an IPv4 address, or the /64 of an IPv6 one, since a
 * host chooses the rest itself. Near addresses (a site's own, this machine's) are banned with their
 * port, because many hosts or programs share them. There are at most BT_BANS_MAX: the oldest goes
 * first. Pure; memory is taken with the first ban. */
#ifndef BT_CORE_BANS_H
#define BT_CORE_BANS_H

#include "base/map.h"
#include "bt/core/addr.h"

enum { BT_BANS_MAX = 4096 }; /* ours: 100 KiB, and more liars than a swarm has */

struct bt_ban;

struct bt_bans {
    struct bt_ban *at; /* owned; a ring */
    struct tarn_map by_addr;
    size_t n, next;
};

void bt_bans_init(struct bt_bans *b, const uint8_t seed[16]);
void bt_bans_release(struct bt_bans *b); /* accepts a zeroed one */
/* Without memory nobody is banned. */
void bt_bans_add(struct bt_bans *b, const struct bt_addr *a, bool is_near);
bool bt_bans_has(const struct bt_bans *b, const struct bt_addr *a, bool is_near);

#endif
