/* bt/known: who is connected already, and who is banned.
 *
 * A peer is known by its peer id: the second connection of one torrent to it is closed. Hosts that
 * are not near may have one connection of a torrent each, whatever ids they show. */
#include "bt/priv.h"

static struct bt_addr addr_of(const struct sys_addr *from)
{
    struct bt_addr a = { .port = from->port, .is_v6 = from->is_v6 };
    memcpy(a.ip, from->ip, sizeof a.ip);
    return a;
}

static struct bt_conn *find(const struct bt_session *s, const struct bt_peer_key *key)
{
    uint64_t *there = tarn_map_get(&s->by_peer, tarn_bytes_of(key, sizeof *key));
    return there == NULL ? NULL : (struct bt_conn *)(uintptr_t)*there;
}

bool bt_known_add(struct bt_conn *c, struct bt_conn **other)
{
    c->key = (struct bt_peer_key){ .torrent = (uint64_t)(uintptr_t)c->torrent };
    memcpy(c->key.peer_id, c->theirs.peer_id, BT_PEER_ID_LEN);
    *other = find(c->session, &c->key);
    if (*other == NULL)
        c->is_known = tarn_map_put(&c->session->by_peer, tarn_bytes_of(&c->key, sizeof c->key),
                                   (uint64_t)(uintptr_t)c);
    return c->is_known;
}

void bt_known_remove(struct bt_conn *c)
{
    if (c->is_known)
        tarn_map_remove(&c->session->by_peer, tarn_bytes_of(&c->key, sizeof c->key));
    c->is_known = false;
}

void bt_ban(struct bt_session *s, const struct sys_addr *addr)
{
    struct bt_addr a = addr_of(addr);
    s->banned++;
    bt_bans_add(&s->bans, &a, sys_addr_is_local(addr));
}

bool bt_is_banned(const struct bt_session *s, const struct sys_addr *addr)
{
    struct bt_addr a = addr_of(addr);
    return bt_bans_has(&s->bans, &a, sys_addr_is_local(addr));
}
