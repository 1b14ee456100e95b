/* api/priv: what the files of libtarn share. */
#ifndef API_PRIV_H
#define API_PRIV_H

#include "bt/core/magnet.h"
#include "bt/core/metainfo.h"

#include <tarn/tarn.h>

struct tarn_torrent {
    struct bt_metainfo meta; /* of a torrent file */
    struct bt_magnet magnet; /* of a magnet link */
    struct tarn_torrent_info info;
    uint8_t *bytes; /* owned: the torrent file; NULL for a magnet link */
    size_t len;
    char *link;     /* owned: the magnet link */
    uint32_t *real; /* owned: for each file without padding its index in meta.files */
};

/* Nobody to ask for now: peers and trackers all failed. */
bool api_item_is_alone(const struct tarn_item *i);

/* Takes bytes over, also when it fails. NULL then. */
struct tarn_torrent *api_torrent_take(uint8_t *bytes, size_t len, struct tarn_err *err);

#endif
