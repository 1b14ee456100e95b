/* api/damage: from the states of pieces to ranges of files. Private to tarn_verify. */
#ifndef API_DAMAGE_H
#define API_DAMAGE_H

#include "api/leaves.h"
#include "bt/core/metainfo.h"
#include "store/scan.h"
#include "sys/thread.h"

#include <tarn/torrent.h>

enum api_piece {
    API_PIECE_NEW, /* not looked at */
    API_PIECE_GOOD,
    API_PIECE_BAD,    /* does not match */
    API_PIECE_BLOCKS, /* does not match, and the stretches say which blocks */
    API_PIECE_GONE,   /* bytes of it are missing */
    API_PIECE_UNREAD, /* could not be read: a stretch says which file, and why */
};

/* Something known about one piece. */
struct api_stretch {
    uint32_t file; /* of the layout */
    uint32_t piece;
    uint64_t off, len; /* in the file: bad blocks */
    char *why;         /* owned; of API_PIECE_UNREAD, may be NULL */
};

struct api_check {
    const struct tarn_verify *v;
    const struct bt_metainfo *meta;
    struct store_layout layout; /* same indices as meta->files */
    struct store_tree *tree;
    struct api_leaves leaves;
    bool has_leaves;
    uint8_t *pieces; /* enum api_piece of each: written by the worker that has it */

    struct sys_lock lock; /* of what follows, while workers run */
    struct api_stretch *stretches;
    size_t n_stretches, cap_stretches;
    bool is_split; /* v1 and v2 hashes disagree */
    uint32_t split_piece;
    bool failed;
    struct tarn_err err;

    uint32_t n_missing, n_with_bytes; /* files; set by api_damage_tell */
};

/* Count, and call on_damaged for what is damaged. */
void api_damage_tell(struct api_check *k, struct tarn_verified *r);

#endif
