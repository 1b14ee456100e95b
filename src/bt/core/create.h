/* bt/core/create: writing a torrent from files whose hashes are known (BEP 3, 52, 47). Pure.
 *
 * The same input gives the same bytes. */
#ifndef BT_CORE_CREATE_H
#define BT_CORE_CREATE_H

#include "bt/core/metainfo.h"

enum bt_format { BT_V1 = 1, BT_V2 = 2, BT_HYBRID = 3 }; /* bits: v1, v2 */

struct bt_new_file {
    struct tarn_bytes path; /* below the name, '/' between elements; empty for the single file */
    uint64_t len;
    bool is_executable;
    const uint8_t *root;  /* v2, and len > 0 */
    const uint8_t *layer; /* v2, and len > piece_len */
};

struct bt_new {
    enum bt_format format;
    struct tarn_bytes name;
    bool is_single_file;
    const struct bt_new_file *files; /* in the order of bt_create_order */
    uint32_t n_files;
    uint32_t piece_len;
    const uint8_t *pieces; /* v1: hashes over the piece space that bt_create_pads describes */
    uint32_t n_pieces;
    const char *const *trackers; /* each its own tier */
    uint32_t n_trackers;
    const char *const *web_seeds;
    uint32_t n_web_seeds;
    const char *source, *comment, *created_by; /* NULL: not written */
    int64_t created_at;                        /* negative: not written */
    bool is_private;
    bool is_padded; /* v1: each file aligned to a piece, as hybrid is */
};

/* The piece length for so many bytes: a hash list of about 2 * sqrt(total) bytes, a power of two
 * from 16 KiB to 16 MiB (the digest's table). */
uint32_t bt_create_piece_len(uint64_t total);

/* A piece length a user may ask for: v1 1 to BT_PIECE_LEN_MAX, v2 and hybrid a power of two from
 * 16 KiB; and no more than BT_PIECES_MAX pieces for total. */
bool bt_create_piece_len_ok(enum bt_format format, uint64_t piece_len, uint64_t total,
                            struct tarn_err *err) TARN_MUST;

/* Sort order of files: that of the v2 tree, element by element as raw bytes; v1 uses it too. */
int bt_create_order(struct tarn_bytes a, struct tarn_bytes b);

/* Bytes of padding after a file of len bytes: hybrid aligns each file to a piece (the last one too,
 * as libtorrent 2 does: the layout all readers take), v1 has none. */
uint64_t bt_create_pad(enum bt_format format, uint64_t len, uint32_t piece_len,
                       bool is_single_file);

void bt_create_write(const struct bt_new *t, struct tarn_out *o);
/* The same, and where in o the info dictionary is: what the info-hashes are made of. */
void bt_create_write_at(const struct bt_new *t, struct tarn_out *o, size_t *info, size_t *info_len);

#endif
