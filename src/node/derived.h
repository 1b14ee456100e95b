/* node/derived: what derives from the catalog's hashes: torrents, metalinks, checksums, proofs. No
 * byte of a published file is read. Blocks for the index and its file of hashes: jobs. */
#ifndef NODE_DERIVED_H
#define NODE_DERIVED_H

#include "bt/core/metainfo.h"
#include "catalog/catalog.h"
#include "node/core/proof.h"

/* Where the world reaches this node, and what is written into every torrent. Borrowed. */
struct derived_from {
    const char *public_url;      /* with a '/' at its end; "": not known, no web seeds */
    const char *const *trackers; /* URLs */
    uint32_t n_trackers;
    const char *version; /* of tarn */
};

/* A collection, whole: TARN_E_DAEMON when something of it is not held (yet), TARN_E_POLICY when it
 * is too large for a torrent. Files that cannot be read, or whose names no torrent can have (over
 * 240 bytes, not UTF-8), are left out: so many. */
bool derived_collection(struct catalog_read *r, const struct catalog_collection *c,
                        const struct derived_from *from, struct tarn_out *torrent,
                        uint64_t *left_out, struct tarn_err *err) TARN_MUST;
/* A held file of it by itself; path is below the collection. */
bool derived_file(struct catalog_read *r, const struct catalog_collection *c,
                  const struct catalog_entry *e, struct tarn_bytes path,
                  const struct derived_from *from, struct tarn_out *torrent,
                  struct bt_hashes *hashes, struct tarn_err *err) TARN_MUST; /* hashes: or NULL */

/* A metalink or a sha256sum file: of one file (e and path), or of all held files of a collection (e
 * NULL). What cannot be named in a metalink is left out. */
bool derived_meta4(struct catalog_read *r, const struct catalog_collection *c,
                   const struct catalog_entry *e, struct tarn_bytes path,
                   const struct derived_from *from, struct tarn_out *o, struct tarn_err *err)
    TARN_MUST;
bool derived_sha256(struct catalog_read *r, const struct catalog_collection *c,
                    const struct catalog_entry *e, struct tarn_bytes path, struct tarn_out *o,
                    struct tarn_err *err) TARN_MUST;

/* The uncles of bytes [off, off + len) of a file, and one that is held. */
bool derived_proof(struct catalog_read *r, const struct catalog_entry *e, uint64_t off,
                   uint64_t len, struct tarn_out *o, struct tarn_err *err) TARN_MUST;

/* <public_url>c/NAME/PATH, escaped. */
void derived_url(struct tarn_out *o, const char *public_url, struct tarn_bytes collection,
                 struct tarn_bytes path);

#endif
