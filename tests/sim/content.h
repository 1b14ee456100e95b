/* sim/content: what a swarm shares: bytes, the torrent of them, and what is right on a disk. */
#ifndef SIM_CONTENT_H
#define SIM_CONTENT_H

#include "bt/core/create.h"
#include "bt/core/magnet.h"
#include "disk.h"

enum { CONTENT_FILES = 8 };

struct content {
    enum bt_format format;
    uint32_t piece_len;
    size_t n_files;
    char names[CONTENT_FILES][16];
    uint64_t lens[CONTENT_FILES], offs[CONTENT_FILES]; /* offs: in bytes, without padding */
    uint64_t total;
    uint8_t *bytes; /* owned */
    struct tarn_out torrent, magnet_text;
    struct bt_magnet magnet;
    struct bt_metainfo meta; /* for the checks; peers have their own */
};

/* Random bytes in files of these lengths (at most CONTENT_FILES). */
void content_make(struct content *c, enum bt_format format, uint32_t piece_len,
                  const uint64_t *lens, size_t n, uint64_t *chance);
void content_release(struct content *c);

/* The payload is in /seed of a node's disk. */
void content_put(const struct content *c, struct node *n);

/* Is file i in this folder of the node, under its own name, and every byte of it right? */
bool content_file_is_right(const struct content *c, struct node *n, const char *folder, size_t i);
/* Which of the files a path of a torrent means, or CONTENT_FILES. */
size_t content_file_of(const struct content *c, const char *path);
bool content_is_right(const struct content *c, const struct inode *i, size_t file);
/* Are the bytes of a piece on the disk, under either name? */
bool content_has_piece(const struct content *c, struct node *n, const char *folder, uint32_t piece);

#endif
