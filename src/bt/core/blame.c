/* bt/core/blame: see the header. Without memory nobody is remembered, and strikes are not counted:
 * bad pieces are then fetched again and again, until there is memory or the liar is alone. */
#include "bt/core/blame.h"

#include "base/mem.h"

struct bt_blame_sender {
    struct bt_addr addr;
    uint8_t strikes;
};

struct bt_blame_block {
    uint8_t digest[BT_BLAME_DIGEST];
    uint32_t piece, block;
    uint16_t sender; /* NONE: a hole */
};

enum { NONE = UINT16_MAX };

void bt_blame_release(struct bt_blame *b)
{
    tarn_free(b->senders);
    tarn_free(b->blocks);
    *b = (struct bt_blame){ 0 };
}

static uint16_t find(const struct bt_blame *b, const struct bt_addr *who)
{
    for (uint32_t i = 0; i < b->n_senders; i++)
        if (bt_addr_eq(&b->senders[i].addr, who))
            return (uint16_t)i;
    return NONE;
}

static void forget_sender(struct bt_blame *b, uint16_t sender)
{
    for (uint32_t i = 0; i < b->n_blocks; i++)
        if (b->blocks[i].sender == sender)
            b->blocks[i].sender = NONE;
}

/* Known, or new in the place of the oldest. NONE: no memory. */
static uint16_t sender_of(struct bt_blame *b, const struct bt_addr *who)
{
    uint16_t at = find(b, who);
    if (at != NONE)
        return at;
    if (b->senders == NULL) {
        b->senders = tarn_calloc(BT_BLAME_SENDERS, sizeof *b->senders);
        if (b->senders == NULL)
            return NONE;
    }
    at = (uint16_t)b->next_sender;
    b->next_sender = (b->next_sender + 1) % BT_BLAME_SENDERS;
    if (b->n_senders < BT_BLAME_SENDERS)
        b->n_senders++;
    else
        forget_sender(b, at);
    b->senders[at] = (struct bt_blame_sender){ .addr = *who };
    return at;
}

bool bt_blame_strike(struct bt_blame *b, const struct bt_addr *who)
{
    uint16_t at = sender_of(b, who);
    return at != NONE && ++b->senders[at].strikes >= BT_BLAME_STRIKES;
}

bool bt_blame_suspects(const struct bt_blame *b, const struct bt_addr *who)
{
    uint16_t at = find(b, who);
    return at != NONE && b->senders[at].strikes > 0;
}

void bt_blame_pardon(struct bt_blame *b, const struct bt_addr *who)
{
    uint16_t at = find(b, who);
    if (at != NONE && b->senders[at].strikes > 0)
        b->senders[at].strikes--;
}

bool bt_blame_remember(struct bt_blame *b, uint32_t piece, uint32_t block, const uint8_t *digest,
                       const struct bt_addr *who)
{
    uint16_t sender = sender_of(b, who);
    if (sender == NONE)
        return false;
    for (uint32_t i = 0; i < b->n_blocks; i++) {
        const struct bt_blame_block *k = &b->blocks[i];
        if (k->sender == sender && k->piece == piece && k->block == block)
            return memcmp(k->digest, digest, sizeof k->digest) != 0;
    }
    if (b->blocks == NULL) {
        b->blocks = tarn_calloc(BT_BLAME_BLOCKS, sizeof *b->blocks);
        if (b->blocks == NULL)
            return false;
    }
    struct bt_blame_block *k = &b->blocks[b->next_block];
    b->next_block = (b->next_block + 1) % BT_BLAME_BLOCKS;
    b->n_blocks += b->n_blocks < BT_BLAME_BLOCKS;
    *k = (struct bt_blame_block){ .piece = piece, .block = block, .sender = sender };
    memcpy(k->digest, digest, sizeof k->digest);
    return false;
}

bool bt_blame_knows(const struct bt_blame *b, uint32_t piece)
{
    for (uint32_t i = 0; i < b->n_blocks; i++)
        if (b->blocks[i].sender != NONE && b->blocks[i].piece == piece)
            return true;
    return false;
}

static bool is_among(const struct bt_addr *v, size_t n, const struct bt_addr *who)
{
    for (size_t i = 0; i < n; i++)
        if (bt_addr_eq(&v[i], who))
            return true;
    return false;
}

size_t bt_blame_compare(struct bt_blame *b, uint32_t piece, const uint8_t *digests, uint32_t n,
                        struct bt_addr *liars, size_t max)
{
    size_t found = 0;
    for (uint32_t i = 0; i < b->n_blocks; i++) {
        struct bt_blame_block *k = &b->blocks[i];
        if (k->sender == NONE || k->piece != piece)
            continue;
        const struct bt_addr *who = &b->senders[k->sender].addr;
        const uint8_t *good = digests + (size_t)k->block * BT_BLAME_DIGEST;
        bool lied = k->block < n && memcmp(k->digest, good, BT_BLAME_DIGEST) != 0;
        if (lied && found < max && !is_among(liars, found, who))
            liars[found++] = *who;
        k->sender = NONE;
    }
    return found;
}
