/* node/core/meta4: what other programs take to fetch and to check: metalinks (.meta4, RFC 5854) and
 * lines for `sha256sum -c` (.sha256).
 *
 * Both are written file by file, so a collection of any size can leave as a stream: drain o between
 * files. Of one file at most META4_PIECES_MAX hashes of pieces are written (43 bytes each).
 *
 * Pure. */
#ifndef NODE_CORE_META4_H
#define NODE_CORE_META4_H

#include "base/attr.h"
#include "base/out.h"

enum {
    /* Ours: 1.8 MiB of a metalink; of files with more pieces it has none, and SHA-256 checks the
     * whole. */
    META4_PIECES_MAX = 40000,
};

struct meta4_file {
    struct tarn_bytes path; /* where it is to be put: relative, '/' between elements */
    uint64_t len;
    const uint8_t *sha256; /* 32 bytes */
    /* SHA-1 of each piece, the last of what is left: what the v1 pieces of a file are. piece_len 0:
     * none are written, nor when they are more than META4_PIECES_MAX. Fed by meta4_pieces. */
    uint32_t piece_len;
    const char *const *urls; /* of the file, the best first */
    size_t n_urls;
    const char *torrent;            /* URL of a torrent that has it; NULL: none */
    struct tarn_bytes torrent_path; /* what it is called in there; empty: it is all there is */
};

/* Can a metalink name it? Else leave the file out: no control character fits XML, and a name that
 * climbs out of its folder is refused by every reader. */
bool meta4_can_name(struct tarn_bytes path);

void meta4_begin(struct tarn_out *o, const char *generator);
/* begin, then the pieces (n of 20 bytes each in any portions, the last piece's as well), then end.
 * meta4_wants_pieces: whether any are to be fed. */
void meta4_file_begin(struct tarn_out *o, const struct meta4_file *f);
bool meta4_wants_pieces(const struct meta4_file *f);
void meta4_pieces(struct tarn_out *o, const uint8_t *hashes, size_t n);
void meta4_file_end(struct tarn_out *o, const struct meta4_file *f);
void meta4_end(struct tarn_out *o);

/* One line of a .sha256 file; names are quoted as sha256sum does it. */
void sha256_line(struct tarn_out *o, struct tarn_bytes path, const uint8_t sha256[32]);

#endif
