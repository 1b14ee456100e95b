/* bt/core/magnet: magnet links (BEP 9, 53; v2 hashes of BEP 52). Pure. */
#ifndef BT_CORE_MAGNET_H
#define BT_CORE_MAGNET_H

#include "bt/core/metainfo.h"

struct bt_range {
    uint32_t first, last; /* file numbers, both included */
};

struct bt_magnet {
    struct tarn_arena arena; /* owns everything below */
    struct bt_hashes hashes;
    const char *name; /* dn, made valid UTF-8; NULL when not said. Not a path: see bt_safe_name */
    const char **trackers;
    uint32_t n_trackers;
    const char **web_seeds;
    uint32_t n_web_seeds;
    const char **peers; /* x.pe: host:port as found; those that cannot be an address are left out */
    uint32_t n_peers;
    struct bt_range *only; /* so: files wanted; none means all */
    uint32_t n_only;
};

bool bt_is_magnet(struct tarn_bytes text); /* begins with "magnet:", any case */
bool bt_magnet_parse(struct bt_magnet *m, struct tarn_bytes uri, struct tarn_err *err) TARN_MUST;
void bt_magnet_release(struct bt_magnet *m); /* accepts a zeroed one */

/* The link of a torrent: hashes, name, trackers, web seeds. */
void bt_magnet_write(const struct bt_metainfo *m, struct tarn_out *o);

#endif
