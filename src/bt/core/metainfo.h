/* bt/core/metainfo: what a torrent says: v1 (BEP 3), v2 and hybrid (BEP 52), padding and
 * attributes (47), trackers (12), private (27), web seeds (19, 17 kept), DHT nodes (5).
 *
 * Pure: bytes in, an immutable description out, which owns copies of all it needs in one arena.
 * Paths are made safe here, once (`path` below); nothing above ever joins a name from a torrent to
 * a path in another way. After bt_metainfo_parse every number has been checked: sums do not
 * overflow, pieces fit, v2 piece layers that are there hash to their roots. */
#ifndef BT_CORE_METAINFO_H
#define BT_CORE_METAINFO_H

#include "base/arena.h"
#include "base/err.h"
#include "codec/bencode.h"

enum {
    BT_BLOCK = 16384,             /* what peers ask for: by custom since BEP 3, v2's leaf */
    BT_PIECES_MAX = 0x200000,     /* libtorrent's max_piece_count */
    BT_PIECE_LEN_MAX = 536854528, /* 32767 * 16 KiB: libtorrent's max_piece_size */
    BT_PATH_DEPTH_MAX = 100,      /* elements below the name */
    BT_RENAMES_MAX = 100,         /* files renamed because their path was taken */
    BT_TRACKERS_MAX = 1000,
    BT_WEB_SEEDS_MAX = 500,
    BT_NODES_MAX = 200,
    BT_TORRENT_MAX = 64 << 20, /* bytes of a .torrent file */
    BT_INFO_MAX = 32 << 20,    /* bytes of metadata from peers */
};

/* The 20 bytes by which swarms know a torrent, v2's cut to fit, and the whole. */
struct bt_hashes {
    uint8_t v1[20];
    uint8_t v2[32];
    bool has_v1, has_v2;
};

struct bt_file {
    const char *path; /* safe, relative, '/' between elements, torrent name first; NUL-ended */
    /* What web seeds call it, where `path` had to differ from what the torrent says;
     * percent-encoded.
     * "": no URL can name it. NULL: `path`. */
    const char *web_path;
    const char *symlink_target; /* safe, relative to the same root, leads (perhaps through other
                                   links) to a file or folder of this torrent; NULL when no symlink,
                                   or one that led elsewhere: then is_symlink, and not to be made */
    const uint8_t *root;        /* v2 pieces root; NULL in v1 and for empty files */
    const uint8_t *layer; /* v2: piece hashes, ceil(len / piece length) of 32 bytes; NULL when the
                             file fits one piece or the layer is not known yet */
    uint64_t len;
    uint64_t off; /* of its first byte in the piece space */
    bool is_pad;  /* zeros: never on disk, never asked for, but hashed */
    bool is_executable, is_hidden;
    bool is_symlink; /* len is 0 */
};

struct bt_tracker {
    const char *url; /* http, https or udp; others are left out */
    uint16_t tier;
};

/* An outer key that we do not know: kept, never acted on. */
struct bt_extra {
    struct tarn_bytes key, value; /* value: bencoded, as found */
};

struct bt_metainfo {
    struct tarn_arena arena; /* owns everything below */
    struct bt_hashes hashes;
    const char *name;      /* safe; of a single v2 file what its tree says */
    struct bt_file *files; /* in the order of the piece space */
    uint32_t n_files;      /* pads included */
    uint32_t n_real_files; /* without pads */
    uint32_t piece_len;
    uint32_t n_pieces;
    uint64_t total;        /* length of the piece space, pads included */
    uint64_t payload;      /* without pads */
    const uint8_t *pieces; /* v1: n_v1_pieces of 20 bytes, or NULL */
    bool is_single_file;   /* path is the name alone */
    bool is_private;
    bool has_all_layers;      /* v2: nothing to fetch by hash requests */
    uint32_t n_layers_wanted; /* v2: files larger than a piece whose layer is not known yet */
    uint8_t lax;              /* enum benc_soft found in info */
    bool has_trailing;        /* bytes after the root dictionary: a warning */

    /* from the outer dictionary; not known to metadata that came from peers */
    struct bt_tracker *trackers;
    uint32_t n_trackers;
    const char **web_seeds; /* BEP 19: http, https, ftp */
    uint32_t n_web_seeds;
    const char **http_seeds; /* BEP 17: kept, not used */
    uint32_t n_http_seeds;
    const char **nodes; /* host:port, [v6]:port; none when private */
    uint32_t n_nodes;
    struct bt_extra *extras; /* sorted by key */
    uint32_t n_extras;
    const char *comment, *created_by, *source; /* UTF-8 made valid, or NULL; source is from info */
    int64_t created_at;                        /* seconds since 1970; negative: not said */

    struct tarn_bytes info; /* the info dictionary as found */
};

/* Read a torrent file. The refusal's sentence says what and where. */
bool bt_metainfo_parse(struct bt_metainfo *m, struct tarn_bytes torrent, struct tarn_err *err)
    TARN_MUST;

/* Read an info dictionary that came from peers; the caller has checked its hash. There are no
 * layers and no trackers. */
bool bt_metainfo_parse_info(struct bt_metainfo *m, struct tarn_bytes info, struct tarn_err *err)
    TARN_MUST;

void bt_metainfo_release(struct bt_metainfo *m); /* accepts a zeroed one */

/* Give a file its piece layer, fetched from peers and checked against the root here.
 * False with TARN_E_INTEGRITY when it does not hash to the root. */
bool bt_metainfo_set_layer(struct bt_metainfo *m, uint32_t file, const uint8_t *layer,
                           struct tarn_err *err) TARN_MUST;

/* The whole torrent file again: info as found, what we know around it, and the extras. To keep what
 * a magnet link brought. */
void bt_metainfo_write(const struct bt_metainfo *m, struct tarn_out *o);

/* A name from outside as one element of a path: what cannot stand in a path is replaced or dropped,
 * and when nothing is left it is the info-hash in hex (v1's if there is one). NULL: no memory. */
const char *bt_safe_name(struct tarn_arena *a, struct tarn_bytes name,
                         const struct bt_hashes *hashes) TARN_MUST;

/* How many files begin at or before this place in the piece space: the last of them is the one that
 * lies there, but for files of no length. */
uint32_t bt_files_until(const struct bt_metainfo *m, uint64_t at);

/* Bytes of piece i in the piece space (the last may be short). */
static inline uint32_t bt_piece_len(const struct bt_metainfo *m, uint32_t i)
{
    uint64_t at = (uint64_t)i * m->piece_len;
    return m->total - at < m->piece_len ? (uint32_t)(m->total - at) : m->piece_len;
}

/* v2: which file piece i belongs to, and how many of the piece's bytes are that file's (the rest is
 * padding). NULL when the torrent has no v2 side. */
const struct bt_file *bt_piece_file(const struct bt_metainfo *m, uint32_t i, uint32_t *len);

/* What a peer would have to send to prove piece i by v2: the expected root of the piece's subtree
 * and the number of leaves it is taken over (a power of two). False when it is not known yet. */
bool bt_piece_v2(const struct bt_metainfo *m, uint32_t i, const uint8_t **root, uint32_t *width)
    TARN_MUST;

#endif
