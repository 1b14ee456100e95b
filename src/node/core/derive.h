/* node/core/derive: torrents and magnet links from what the catalog knows of files. No byte of a
 * file is read.
 *
 * A derivation is made file by file, in the order of bt_create_order; of a file that is longer than
 * a piece its leaves (v2) and the v1 hashes of its whole pieces are fed in any portions, as they
 * are read from the file of hashes. The result has the same bytes as `tarn create` gives for the
 * same files with the same options. Only a v1 torrent of several files is another: every file
 * begins with a piece (padding files, BEP 47), because hashes of single files know no other layout.
 * And a folder that holds one file alone has no v2 torrent: BEP 52 writes it as that file.
 *
 * Memory: the paths, 32 bytes for each piece of v2 and 20 for each of v1, and the torrent itself;
 * so at most four times BT_TORRENT_MAX, and what would be larger than that is refused while it is
 * fed, not at the end.
 *
 * Pure. One thread at a time. */
#ifndef NODE_CORE_DERIVE_H
#define NODE_CORE_DERIVE_H

#include "bt/core/create.h"

/* Everything is borrowed until derive_free. */
struct derive_settings {
    enum bt_format format;
    struct tarn_bytes name;
    bool is_single_file; /* one file, whose path is empty: the name is its */
    uint32_t piece_len;  /* a power of two from 16 KiB, for v1 too */
    const char *const *trackers;
    uint32_t n_trackers;
    /* Of a collection: the folder above it, as "<public_url>/c/" (BEP 19: readers append the name
     * and the path); of a single file: its URL. */
    const char *const *web_seeds;
    uint32_t n_web_seeds;
    const char *comment, *created_by; /* NULL: none */
    size_t most;                      /* bytes that it may have; 0: BT_TORRENT_MAX */
};

/* A file; borrowed for the call. */
struct derive_file {
    struct tarn_bytes path; /* below the name, '/' between elements */
    uint64_t len;
    bool is_executable;
    const uint8_t *root; /* v2, and len > 0 */
    /* v1, and bytes behind the last whole piece: their hash, alone and filled up with zeros */
    const uint8_t *tail, *tail_padded;
};

struct derive;

/* Elements of a path: a file tree of v2 nests as deep, and readers, ours too, take 100 levels. */
enum { DERIVE_DEPTH_MAX = 90 };

/* Can a torrent have this path (or this name)? Else its readers would call the file otherwise. */
bool derive_can_name(struct tarn_bytes path);

struct derive *derive_new(const struct derive_settings *set, struct tarn_err *err) TARN_MUST;
void derive_free(struct derive *d); /* accepts NULL */

/* What has to be fed for a file of len bytes between derive_begin and derive_end. */
bool derive_wants_leaves(const struct derive *d, uint64_t len);
bool derive_wants_pieces(const struct derive *d, uint64_t len);

/* TARN_E_POLICY: a name that cannot be, too many pieces, too large a torrent (at the file with
 * which it is, not at the end). */
bool derive_begin(struct derive *d, const struct derive_file *f, struct tarn_err *err) TARN_MUST;
/* The next n of 32 bytes. TARN_E_INTEGRITY when they are too many. */
bool derive_leaves(struct derive *d, const uint8_t *leaves, size_t n, struct tarn_err *err)
    TARN_MUST;
/* The next n of 20 bytes. */
bool derive_pieces(struct derive *d, const uint8_t *hashes, size_t n, struct tarn_err *err)
    TARN_MUST;
/* TARN_E_INTEGRITY when some are missing, or the leaves are not those of the root. */
bool derive_end(struct derive *d, struct tarn_err *err) TARN_MUST;

/* All files are there (at least one): the torrent, appended to o (whose limit is its own), and its
 * info-hashes. */
bool derive_torrent(struct derive *d, struct tarn_out *o, struct bt_hashes *hashes,
                    struct tarn_err *err) TARN_MUST;
/* The link that stands for that torrent: hashes, name, trackers, web seeds. */
void derive_magnet(const struct derive_settings *set, const struct bt_hashes *hashes,
                   struct tarn_out *o);

#endif
