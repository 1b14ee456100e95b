/* api/leaves: the file of 16 KiB hashes that tarn_create can write and tarn_verify can use.
 *
 * A torrent of v2 says the hash of each piece; the leaves below it tell which 16 KiB of a piece are
 * bad. The file: 16 bytes that name it and its version, the number of leaves and a zero (8 bytes
 * each, big-endian), then the leaves, 32 bytes each, file by file in the order of the torrent. It
 * is trusted for nothing: leaves must hash to what the torrent says.
 *
 * Any thread may put and get. */
#ifndef API_LEAVES_H
#define API_LEAVES_H

#include "store/layout.h"

struct api_leaves {
    int fd;
    const struct store_layout *layout; /* borrowed */
    uint64_t *first;  /* owned: of each file of the layout the number of its first */
    uint64_t n;       /* in all */
    const char *path; /* borrowed */
    char *temp;       /* owned: written under this name; NULL when reading */
};

/* Where the leaves of a piece lie: those of its own file. */
struct api_leaves_run {
    uint64_t first; /* number of the first */
    uint32_t n;     /* 0: the piece is padding alone */
};
struct api_leaves_run api_leaves_of(const struct api_leaves *l, uint32_t piece);

bool api_leaves_create(struct api_leaves *l, const char *path, const struct store_layout *layout,
                       struct tarn_err *err) TARN_MUST;
bool api_leaves_put(const struct api_leaves *l, uint32_t piece, const uint8_t *leaves, uint32_t n,
                    struct tarn_err *err) TARN_MUST;
/* All are there: sync it and give it its name. */
bool api_leaves_finish(struct api_leaves *l, struct tarn_err *err) TARN_MUST;

/* False with TARN_E_FAILED when it is none, or has another number of leaves. */
bool api_leaves_open(struct api_leaves *l, const char *path, const struct store_layout *layout,
                     struct tarn_err *err) TARN_MUST;
/* into: 32 bytes for each leaf of the piece. */
bool api_leaves_get(const struct api_leaves *l, uint32_t piece, uint8_t *into, struct tarn_err *err)
    TARN_MUST;

/* Accepts a zeroed one. What was created and not finished is removed. */
void api_leaves_release(struct api_leaves *l);

#endif
