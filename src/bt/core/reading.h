/* bt/core/reading: what the files that read a torrent share. Private.
 *
 * metainfo.c reads what is around info and decides which sides (v1, v2) there are; v1.c lists the
 * files of `files` or `length`, v2.c those of `file tree`; when both are there the tree is not kept
 * but compared with v1's list as it is walked (hybrid.c). layers.c has the piece layers, paths.c
 * the names. */
#ifndef BT_CORE_READING_H
#define BT_CORE_READING_H

#include "bt/core/metainfo.h"
#include "bt/core/paths.h"

/* libtorrent's max_file_size: a file has less than 2^30 - 1 blocks. */
#define BT_FILE_MAX ((uint64_t)INT32_MAX / 2 * BT_BLOCK)
/* libtorrent's limit of the piece space. */
#define BT_TOTAL_MAX (((uint64_t)1 << 48) - 1)

struct bt_reading {
    const struct benc *b;
    benc_val info;
    struct bt_metainfo *m;
    struct tarn_err *err;
    bool is_v1, is_v2;
    bool has_list;          /* v1's files are a list */
    struct tarn_bytes name; /* as found */
    uint8_t seed[16];       /* for hash tables */
    struct bt_path path;
    struct bt_file *files; /* owned, until they move to the arena */
    size_t n_files, cap_files;
    struct bt_link *links; /* owned */
    size_t n_links, cap_links;
    uint64_t end;      /* of the piece space so far */
    size_t next_in_v1; /* hybrid: the first of v1's files that the tree has not met */
};

/* One file, as v1 and v2 describe it alike. */
struct bt_entry {
    benc_val dict; /* what describes it */
    uint64_t len;
    bool is_pad, is_executable, is_hidden, is_symlink;
};

/* attr and length of a file's dictionary; `where` names it in a refusal. */
bool bt_read_entry(struct bt_reading *r, benc_val dict, const char *where, struct bt_entry *e)
    TARN_MUST;

/* A file at r->end, with the path that stands in r->path (padding gets another). Refuses when the
 * piece space becomes larger than a torrent may have. */
bool bt_add_file(struct bt_reading *r, const struct bt_entry *e) TARN_MUST;

bool bt_read_v1(struct bt_reading *r) TARN_MUST;
bool bt_read_v1_pieces(struct bt_reading *r) TARN_MUST; /* once m->n_pieces is known */
bool bt_read_v2(struct bt_reading *r) TARN_MUST;

/* The tree's next file, at tree_end in its piece space, against v1's list. */
bool bt_hybrid_match(struct bt_reading *r, const struct bt_entry *e, uint64_t tree_end,
                     const uint8_t *root) TARN_MUST;
bool bt_hybrid_finish(struct bt_reading *r, uint64_t tree_end) TARN_MUST;

/* What is around info. */
bool bt_read_outer(struct bt_reading *r) TARN_MUST;

/* `piece layers`, BENC_NONE when missing. */
bool bt_read_layers(struct bt_reading *r, benc_val layers) TARN_MUST;

/* A layer on its way out. */
struct bt_layer_ref {
    const uint8_t *root;
    struct tarn_bytes hashes;
};
/* Write the dictionary: sorts refs, equal roots once. */
void bt_put_layers(struct tarn_out *o, struct bt_layer_ref *refs, size_t n);

static inline uint64_t bt_pieces_of(uint64_t len, uint32_t piece_len)
{
    return len / piece_len + (len % piece_len != 0);
}

/* Where a token's bytes are in m->info, which outlives the input. */
const uint8_t *bt_kept(const struct bt_reading *r, struct tarn_bytes part);

/* What refused an arena: the memory, or its limit. */
bool bt_fail_arena(const struct tarn_arena *a, size_t wanted, struct tarn_err *err);

#endif
