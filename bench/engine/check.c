/* Whether what arrived is what the torrent says. Slow: it is for tests, that the bench cannot lie.
 */
#include "crypt/merkle.h"
#include "crypt/sha.h"
#include "peer.h"

#include <stdlib.h>

enum { CHECK_MAX_MIB = 2048 };

void check_init(struct check *c, const struct bt_metainfo *m)
{
    if (m->total > (uint64_t)CHECK_MAX_MIB << 20)
        die("--check holds the whole torrent in memory, and takes at most %d MiB", CHECK_MAX_MIB);
    *c = (struct check){ .m = m };
    c->data = must_alloc(m->total, 1);
    c->missing = must_alloc(m->n_pieces, sizeof *c->missing);
    for (uint32_t i = 0; i < m->n_pieces; i++)
        c->missing[i] = bt_piece_len(m, i);
}

void check_take(struct check *c, const struct bt_request *r, uint32_t at, struct tarn_bytes part)
{
    memcpy(c->data + (uint64_t)r->piece * c->m->piece_len + r->begin + at, part.p, part.len);
}

static bool v1_is_good(const struct bt_metainfo *m, uint32_t piece, struct tarn_bytes data)
{
    uint8_t digest[CRYPT_SHA256_LEN]; /* of either kind: gcc, inlining, cannot tell which */
    crypt_hash(CRYPT_SHA1, data, digest);
    return memcmp(digest, m->pieces + (size_t)piece * CRYPT_SHA1_LEN, CRYPT_SHA1_LEN) == 0;
}

static bool v2_is_good(const struct bt_metainfo *m, uint32_t piece, struct tarn_bytes data)
{
    const uint8_t *wanted;
    uint32_t width, len;
    uint8_t root[MERKLE_HASH];
    if (bt_piece_file(m, piece, &len) == NULL || !bt_piece_v2(m, piece, &wanted, &width))
        die("the torrent lacks the hashes of piece %u", piece);
    uint32_t n = (len + MERKLE_BLOCK - 1) / MERKLE_BLOCK;
    uint8_t *leaves = must_alloc(n, MERKLE_HASH);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i * MERKLE_BLOCK, left = len - at;
        crypt_hash(CRYPT_SHA256,
                   tarn_bytes_of(data.p + at, left < MERKLE_BLOCK ? left : MERKLE_BLOCK),
                   leaves + (size_t)i * MERKLE_HASH);
    }
    merkle_root(leaves, n, width, 0, root);
    free(leaves);
    return memcmp(root, wanted, sizeof root) == 0;
}

void check_block(struct check *c, const struct bt_request *r)
{
    const struct bt_metainfo *m = c->m;
    c->missing[r->piece] -= r->len;
    if (c->missing[r->piece] > 0)
        return;
    uint32_t len = bt_piece_len(m, r->piece);
    struct tarn_bytes data = tarn_bytes_of(c->data + (uint64_t)r->piece * m->piece_len, len);
    if ((m->pieces != NULL && !v1_is_good(m, r->piece, data)) ||
        (m->hashes.has_v2 && !v2_is_good(m, r->piece, data)))
        die("piece %u is not what the torrent says", r->piece);
    c->pieces_good++;
    c->missing[r->piece] = len; /* the next round over the torrent */
    memset(c->data + (uint64_t)r->piece * m->piece_len, 0, len);
}

void check_release(struct check *c)
{
    free(c->data);
    free(c->missing);
    *c = (struct check){ 0 };
}
