/* bt/core/bans: see the header. */
#include "bt/core/bans.h"

#include "base/mem.h"

#include <string.h>

struct bt_ban {
    uint8_t key[19]; /* family, address, port */
};

static struct bt_ban ban_of(const struct bt_addr *a, bool is_near)
{
    struct bt_ban ban = { { a->is_v6 } };
    memcpy(ban.key + 1, a->ip, !a->is_v6 ? 4 : is_near ? 16 : 8);
    if (is_near) {
        ban.key[17] = (uint8_t)(a->port >> 8);
        ban.key[18] = (uint8_t)a->port;
    }
    return ban;
}

static struct tarn_bytes key_of(const struct bt_ban *ban)
{
    return tarn_bytes_of(ban->key, sizeof ban->key);
}

void bt_bans_init(struct bt_bans *b, const uint8_t seed[16])
{
    *b = (struct bt_bans){ 0 };
    tarn_map_init(&b->by_addr, seed);
}

void bt_bans_release(struct bt_bans *b)
{
    tarn_map_release(&b->by_addr);
    tarn_free(b->at);
    *b = (struct bt_bans){ 0 };
}

void bt_bans_add(struct bt_bans *b, const struct bt_addr *a, bool is_near)
{
    if (bt_bans_has(b, a, is_near))
        return;
    if (b->at == NULL)
        b->at = tarn_calloc(BT_BANS_MAX, sizeof *b->at);
    if (b->at == NULL)
        return;
    struct bt_ban *ban = &b->at[b->next];
    if (b->n == BT_BANS_MAX) {
        tarn_map_remove(&b->by_addr, key_of(ban));
        b->n--;
    }
    *ban = ban_of(a, is_near);
    if (!tarn_map_put(&b->by_addr, key_of(ban), 0))
        return;
    b->n++;
    b->next = (b->next + 1) % BT_BANS_MAX;
}

bool bt_bans_has(const struct bt_bans *b, const struct bt_addr *a, bool is_near)
{
    struct bt_ban ban = ban_of(a, is_near);
    return b->n > 0 && tarn_map_get(&b->by_addr, key_of(&ban)) != NULL;
}
