/* bt/core/choker: whom to upload to.
 *
 * Called every BT_CHOKE_ROUND_US with the facts about every connected peer of all torrents, and at
 * once when a slot is free and a peer becomes interested. Peers of torrents that we still fetch are
 * ranked by what they sent us over the last two rounds; peers of torrents that we seed take turns.
 * A fifth of the slots goes to whoever waits longest. Pure; nothing is allocated. */
#ifndef BT_CORE_CHOKER_H
#define BT_CORE_CHOKER_H

#include "base/attr.h"
#include "base/bytes.h"

enum {
    BT_CHOKE_ROUND_US = 10 * 1000 * 1000,      /* BEP 3, Transmission, aria2 */
    BT_CHOKE_STAY_US = 10 * 1000 * 1000,       /* least time between two changes of a peer */
    BT_CHOKE_OPTIMISTIC_US = 30 * 1000 * 1000, /* BEP 3: an optimistic slot lasts so long */
    BT_CHOKE_TURN_US = 120 * 1000 * 1000,      /* seeding: a turn ends after this, or ... */
    BT_CHOKE_TURN_PIECES = 20,                 /* ... after so many pieces: libtorrent's quota */
    BT_SLOTS_MIN = 4,
};

struct bt_choke_peer {
    /* in */
    uint64_t got_round, got_before; /* bytes from it in the last round and in the one before */
    uint64_t sent_round;            /* bytes to it in the last round */
    uint64_t sent_turn;             /* bytes to it since it was unchoked */
    int64_t changed_at_us;          /* last choke or unchoke; INT64_MIN: never */
    uint32_t piece_len;
    bool is_seeding;     /* we have all that we want of this torrent */
    bool is_interested;  /* it is, in us */
    bool is_upload_only; /* or a seed: never unchoked */
    bool is_unchoked;    /* by us, now */
    bool was_optimistic; /* its present slot is an optimistic one */
    /* out */
    bool unchoke;
    bool optimistic; /* this slot is an optimistic one */
};

struct bt_choker {
    uint32_t slots;  /* 0: by rate, see bt_choker_slots */
    uint64_t random; /* state, breaks ties */
    int64_t now_us;
};

/* Decide for all. Interested peers that were never unchoked count as waiting longest. */
void bt_choker_run(struct bt_choker *c, struct bt_choke_peer *peers, size_t n);

/* How many slots the rates of the last round call for: peers in order of what they got, as long as
 * each got more than 1024 bytes a second and 2048 more for each before it; plus one; at least
 * BT_SLOTS_MIN. (libtorrent's rate based choker.) Marks `unchoke` as working space. */
uint32_t bt_choker_slots(struct bt_choke_peer *peers, size_t n);

#endif
