/* store/layout: how a run of content lies over many files.
 *
 * The content is one address space (BitTorrent's piece space): files one after the other, padding
 * between them. Padding is zeros and lies in no file: either an entry of its own (is_pad) or a gap
 * between one file's end and the next one's start. Pure; the layout is made once and never changes,
 * so any thread may read it. */
#ifndef STORE_LAYOUT_H
#define STORE_LAYOUT_H

#include "base/err.h"

struct store_file {
    const char *path;           /* borrowed; safe and relative, '/' between elements */
    const char *symlink_target; /* borrowed; relative to the root; NULL when no symlink: such an
                                   entry has no bytes and is never made on disk */
    uint64_t off;               /* of its first byte in the address space */
    uint64_t len;
    bool is_pad;
    bool is_executable;
};

struct store_layout {
    struct store_file *files; /* owned; sorted by off */
    uint32_t n_files;
    uint32_t piece_len;
    uint32_t n_pieces;
    uint64_t total;      /* bytes of the address space */
    bool is_single_file; /* the only file's path has one element: the name itself */
    const char *name;    /* borrowed: first element of every path */
};

enum { STORE_NO_FILE = UINT32_MAX };

/* One part of a run: bytes of a file, or zeros when file is STORE_NO_FILE. */
struct store_part {
    uint32_t file;
    uint64_t off; /* in the file */
    uint64_t len;
};

/* Walks the parts of [off, off + len), which must lie inside total. */
struct store_walk {
    const struct store_layout *layout;
    uint64_t at, end;
    uint32_t file;
};
void store_walk_begin(struct store_walk *w, const struct store_layout *l, uint64_t off,
                      uint64_t len);
bool store_walk_next(struct store_walk *w, struct store_part *part); /* false: no more */

static inline uint32_t store_piece_len(const struct store_layout *l, uint32_t piece)
{
    uint64_t at = (uint64_t)piece * l->piece_len;
    return l->total - at < l->piece_len ? (uint32_t)(l->total - at) : l->piece_len;
}

/* v2, where every file starts at a piece: the file that has the first byte of the piece, and in
 * *len how many bytes of the piece are its own (the rest is padding). STORE_NO_FILE and 0 when the
 * piece begins with padding. */
uint32_t store_piece_own_file(const struct store_layout *l, uint32_t piece, uint32_t *len);

/* The pieces that hold bytes of a file, both included; false for an empty file. */
bool store_file_pieces(const struct store_layout *l, uint32_t file, uint32_t *first,
                       uint32_t *last);

void store_layout_release(struct store_layout *l); /* accepts a zeroed one */

#endif
