/* node/ref: what people call things by (docs/api.md, REF): a number, a hash, a path, a URL, a name.
 *
 * Numbers of items are given once: odd ones are collections, even ones torrents that were added. */
#ifndef NODE_REF_H
#define NODE_REF_H

#include "catalog/catalog.h"
#include "node/path.h"
#include "node/seeding.h"
#include "node/torrents.h"

static inline uint64_t node_id_of_collection(uint32_t collection)
{
    return 2 * (uint64_t)collection - 1;
}

static inline uint64_t node_id_of_torrent(uint32_t torrent)
{
    return 2 * (uint64_t)torrent;
}

enum node_ref_kind { NODE_REF_COLLECTION, NODE_REF_TORRENT, NODE_REF_ENTRY };

struct node_ref {
    enum node_ref_kind kind;
    struct catalog_collection collection; /* of NODE_REF_COLLECTION and NODE_REF_ENTRY */
    struct catalog_entry entry;           /* of NODE_REF_ENTRY */
    const struct node_torrent *torrent;   /* of NODE_REF_TORRENT */
};

/* Where to look. torrents and seeding are NULL where BitTorrent is not in use. */
struct node_ref_in {
    struct catalog_read *read;
    const struct node_torrents *torrents;
    const struct node_seeding *seeding;
    const char *public_url; /* where the public door is, with a '/' at its end; NULL: nowhere */
    struct node_path path;  /* what a ref that is a path leads to; borrowed; zeroed: not asked */
};

/* What is borrowed is so until the read ends. False: TARN_E_NOT_FOUND, or TARN_E_USAGE when several
 * are called so (the message has their numbers). */
bool node_ref_find(const struct node_ref_in *in, struct tarn_bytes ref, struct node_ref *out,
                   struct tarn_err *err) TARN_MUST;

#endif
