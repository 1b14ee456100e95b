/* Any bytes as hash messages on a v2 connection, against a torrent that has its layers (requests
 * are answered, and full proofs must prove) and one that fetches them (nothing but the truth is
 * kept). */
#include "bt/core/hashreq.h"

#include "bt/core/test/tree.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES = 4, LEVEL = 1, PIECE = MERKLE_BLOCK << LEVEL };

static struct {
    bool is_made;
    struct tree trees[FILES];
    struct bt_file with[FILES], without[FILES];
    struct bt_metainfo whole, bare;
} world;

static void make_world(void)
{
    static const uint64_t n_leaves[FILES] = { 1, 9, 40, 3000 };
    uint64_t off = 0;
    for (uint32_t i = 0; i < FILES; i++) {
        tree_make(&world.trees[i], n_leaves[i], i);
        struct bt_file f = { .path = "f",
                             .len = n_leaves[i] * MERKLE_BLOCK,
                             .off = off,
                             .root = tree_root(&world.trees[i]) };
        world.without[i] = f;
        f.layer = tree_layer(&world.trees[i], LEVEL);
        world.with[i] = f;
        off += (f.len + PIECE - 1) / PIECE * PIECE;
    }
    world.bare = (struct bt_metainfo){ .hashes = { .has_v2 = true },
                                       .files = world.without,
                                       .n_files = FILES,
                                       .piece_len = PIECE,
                                       .n_pieces = (uint32_t)(off / PIECE),
                                       .total = off };
    world.whole = world.bare;
    world.whole.files = world.with;
    world.is_made = true;
}

static const struct tree *tree_of(const struct bt_hash_request *r)
{
    for (uint32_t i = 0; i < FILES; i++)
        if (memcmp(r->root, tree_root(&world.trees[i]), 32) == 0)
            return &world.trees[i];
    abort();
}

static void answer(struct bt_hash_cache *c, const struct bt_hash_request *r)
{
    static uint8_t work[BT_HASHES_COUNT_MAX * 32];
    uint32_t piece = 0, n_leaves = 0;
    const uint8_t *leaves = NULL;
    enum bt_hash_answer how = bt_hash_request_check(&world.whole, r, &piece);
    if (how == BT_HASH_REFUSE)
        return;
    const struct tree *t = tree_of(r);
    if (how == BT_HASH_FROM_LEAVES) {
        uint64_t first = (uint64_t)r->index << r->base >> LEVEL << LEVEL;
        leaves = t->levels[0] + first * 32;
        n_leaves = t->n_leaves - first < 1 << LEVEL ? 1 : 1 << LEVEL;
    }
    struct tarn_out o;
    tarn_out_init(&o, TARN_MIB);
    if (!bt_put_hashes(&o, &world.whole, c, r, leaves, n_leaves) || !tarn_out_ok(&o))
        abort();
    struct tarn_bytes hashes =
        tarn_bytes_of(o.p + BT_HASH_REQUEST_LEN, o.len - BT_HASH_REQUEST_LEN);
    if (r->base + r->proofs + 1 == t->height && !bt_hashes_lead_to(r, hashes, tree_root(t), work))
        abort();
    tarn_out_release(&o);
}

static void check_layers(struct bt_layers *l)
{
    uint32_t cursor = 0, file;
    const uint8_t *layer;
    while (bt_layers_next(l, &cursor, &file, &layer)) {
        uint64_t n = (world.trees[file].n_leaves + (1 << LEVEL) - 1) >> LEVEL;
        if (memcmp(layer, world.trees[file].levels[LEVEL], n * 32) != 0)
            abort();
    }
}

/* Requests name files by their first byte; a fuzzer does not guess roots. */
static void name_root(struct bt_hash_request *r)
{
    if (r->root[0] < FILES)
        memcpy(r->root, tree_root(&world.trees[r->root[0]]), 32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!world.is_made)
        make_world();
    struct bt_wire w;
    struct bt_event ev;
    struct bt_layers l;
    struct tarn_err err;
    struct bt_hash_cache cache = { 0 };
    bt_wire_init(&w, 0, true, world.bare.n_pieces);
    if (!bt_layers_init(&l, &world.bare, &err))
        abort();
    struct tarn_cur c = tarn_cur_of(tarn_bytes_of(data, size));
    int64_t now = 0;
    while (w.payload_left == 0 && bt_wire_next(&w, &c, &ev, NULL) == BT_EVENT) {
        struct bt_hash_request asked;
        now += BT_HASHES_TIMEOUT_US / 2;
        (void)bt_layers_wake(&l, now);
        bool is_asked = bt_layers_ask(&l, 1, NULL, now, &asked);
        name_root(&ev.hash);
        if (ev.kind == BT_EV_HASH_REQUEST) {
            answer(&cache, &ev.hash);
        } else if (ev.kind == BT_EV_HASH_REJECT) {
            bt_layers_rejected(&l, 1, is_asked ? &asked : &ev.hash);
        } else if (ev.kind == BT_EV_HASHES) {
            if (bt_layers_got(&l, 1, is_asked ? &asked : &ev.hash, ev.body) == BT_HASHES_LAYER)
                check_layers(&l);
        }
    }
    bt_hash_cache_release(&cache);
    bt_layers_release(&l);
    return 0;
}
