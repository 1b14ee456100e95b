/* bt/core/hashfetch: fetching the piece layers that are missing, in parts of 512 hashes, each with
 * its proof up to the root, so that every message can be checked alone. See hashreq.h. */
#include "bt/core/hashreq.h"

#include "base/mem.h"
#include "base/num.h"
#include "crypt/merkle.h"

#include <stdlib.h>

enum part_state { FREE, ASKED, HERE };

struct bt_layer_part {
    int64_t avoid_until_us;
    uint32_t job;
    uint32_t index; /* of its first hash in the layer */
    bt_peer_no avoid;
    uint8_t state;
};

struct bt_layer_job {
    struct bt_tree tree;
    uint32_t first_file, n_files; /* in files */
    uint32_t parts_left;
    uint8_t *hashes; /* owned: the layer, NULL until the first hashes come */
};

struct bt_layer_asked {
    int64_t at_us;
    uint32_t part;
    bt_peer_no peer;
};

struct missing {
    const uint8_t *root;
    uint32_t file;
};

static int by_root(const void *a, const void *b)
{
    const struct missing *x = a, *y = b;
    int order = memcmp(x->root, y->root, MERKLE_HASH);
    if (order != 0)
        return order;
    return x->file < y->file ? -1 : x->file > y->file;
}

static bool is_missing(const struct bt_metainfo *m, uint32_t file)
{
    struct bt_tree t;
    return m->files[file].layer == NULL && bt_tree_of(m, file, &t) && t.n_pieces > 1;
}

/* The files to fetch for, sorted by root. */
static bool list_missing(struct bt_layers *l)
{
    const struct bt_metainfo *m = l->m;
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n_files; i++)
        n += is_missing(m, i);
    struct missing *list = tarn_calloc(n, sizeof *list);
    l->files = tarn_calloc(n, sizeof *l->files);
    if (list == NULL || l->files == NULL) {
        tarn_free(list);
        return false;
    }
    for (uint32_t i = 0; i < m->n_files; i++)
        if (is_missing(m, i))
            list[l->n_files++] = (struct missing){ m->files[i].root, i };
    qsort(list, n, sizeof *list, by_root);
    for (uint32_t i = 0; i < n; i++)
        l->files[i] = list[i].file;
    tarn_free(list);
    return true;
}

static const uint8_t *root_of(const struct bt_layers *l, uint32_t i)
{
    return l->m->files[l->files[i]].root;
}

static bool begins_job(const struct bt_layers *l, uint32_t i)
{
    return i == 0 || memcmp(root_of(l, i), root_of(l, i - 1), MERKLE_HASH) != 0;
}

static bool list_jobs(struct bt_layers *l)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->n_files; i++)
        n += begins_job(l, i);
    l->jobs = tarn_calloc(n, sizeof *l->jobs);
    if (l->jobs == NULL)
        return false;
    for (uint32_t i = 0; i < l->n_files; i++) {
        if (begins_job(l, i)) {
            struct bt_layer_job *j = &l->jobs[l->n_jobs++];
            j->first_file = i;
            if (!bt_tree_of(l->m, l->files[i], &j->tree))
                continue; /* does not happen: is_missing asked the same */
            j->parts_left = (uint32_t)tarn_div_up_u64(j->tree.n_pieces, BT_HASHES_CHUNK);
            l->n_parts += j->parts_left;
        }
        l->jobs[l->n_jobs - 1].n_files++;
    }
    return true;
}

static bool list_parts(struct bt_layers *l)
{
    l->parts = tarn_calloc(l->n_parts, sizeof *l->parts);
    l->asked = tarn_calloc(BT_HASHES_ASKED, sizeof *l->asked);
    if (l->parts == NULL || l->asked == NULL)
        return false;
    struct bt_layer_part *part = l->parts;
    for (uint32_t i = 0; i < l->n_jobs; i++)
        for (uint32_t k = 0; k < l->jobs[i].parts_left; k++)
            *part++ = (struct bt_layer_part){ .job = i,
                                              .index = k * BT_HASHES_CHUNK,
                                              .avoid = BT_NO_PEER };
    return true;
}

bool bt_layers_init(struct bt_layers *l, const struct bt_metainfo *m, struct tarn_err *err)
{
    *l = (struct bt_layers){ .m = m };
    if (list_missing(l) && list_jobs(l) && list_parts(l))
        return true;
    bt_layers_release(l);
    return tarn_fail_mem(err, "fetching piece hashes");
}

void bt_layers_release(struct bt_layers *l)
{
    for (uint32_t i = 0; i < l->n_jobs; i++)
        tarn_free(l->jobs[i].hashes);
    tarn_free(l->files);
    tarn_free(l->jobs);
    tarn_free(l->parts);
    tarn_free(l->asked);
    *l = (struct bt_layers){ 0 };
}

static struct bt_hash_request request_of(const struct bt_layers *l,
                                         const struct bt_layer_part *part)
{
    const struct bt_layer_job *j = &l->jobs[part->job];
    uint64_t rest = tarn_pow2_up_u64(j->tree.n_pieces - part->index);
    struct bt_hash_request r = {
        .base = j->tree.level,
        .index = part->index,
        .count = (uint32_t)tarn_min_u64(BT_HASHES_CHUNK, tarn_max_u64(rest, 2)),
        .proofs = (uint32_t)(j->tree.height - j->tree.level - 1),
    };
    memcpy(r.root, root_of(l, j->first_file), sizeof r.root);
    return r;
}

/* Has the peer one of the pieces that a part is about, in any file of that content? */
static bool peer_fits(const struct bt_layers *l, const struct bt_layer_part *part,
                      const struct tarn_bits *has)
{
    const struct bt_layer_job *j = &l->jobs[part->job];
    uint32_t n = (uint32_t)tarn_min_u64(BT_HASHES_CHUNK, j->tree.n_pieces - part->index);
    for (uint32_t f = 0; has != NULL && f < j->n_files; f++) {
        uint64_t off = l->m->files[l->files[j->first_file + f]].off;
        uint32_t first = (uint32_t)(off / l->m->piece_len) + part->index;
        for (uint32_t i = first; i < first + n; i++)
            if (tarn_bits_has(has, i))
                return true;
    }
    return has == NULL;
}

/* A request ends without hashes: that peer is not asked for the same for a while. */
static void give_up(struct bt_layers *l, uint32_t i, int64_t rest_us)
{
    struct bt_layer_asked *a = &l->asked[i];
    struct bt_layer_part *part = &l->parts[a->part];
    part->state = FREE;
    part->avoid = a->peer;
    part->avoid_until_us = a->at_us + rest_us;
    *a = l->asked[--l->n_asked];
}

bool bt_layers_ask(struct bt_layers *l, bt_peer_no peer, const struct tarn_bits *has,
                   int64_t now_us, struct bt_hash_request *r)
{
    uint32_t n_of_peer = 0;
    for (uint32_t i = l->n_asked; i-- > 0;)
        if (now_us - l->asked[i].at_us >= BT_HASHES_TIMEOUT_US)
            give_up(l, i, 2 * (int64_t)BT_HASHES_TIMEOUT_US);
    for (uint32_t i = 0; i < l->n_asked; i++)
        n_of_peer += l->asked[i].peer == peer;
    if (n_of_peer >= BT_HASHES_DEPTH || l->n_asked == BT_HASHES_ASKED)
        return false;
    while (l->first < l->n_parts && l->parts[l->first].state == HERE)
        l->first++;
    for (uint32_t i = l->first; i < l->n_parts; i++) {
        struct bt_layer_part *part = &l->parts[i];
        bool avoid = part->avoid == peer && now_us < part->avoid_until_us;
        if (part->state != FREE || avoid || !peer_fits(l, part, has))
            continue;
        part->state = ASKED;
        l->asked[l->n_asked++] = (struct bt_layer_asked){ now_us, i, peer };
        *r = request_of(l, part);
        return true;
    }
    return false;
}

/* Its place in asked, or n_asked. */
static uint32_t find_asked(const struct bt_layers *l, bt_peer_no peer,
                           const struct bt_hash_request *r)
{
    for (uint32_t i = 0; i < l->n_asked; i++) {
        if (l->asked[i].peer != peer)
            continue;
        struct bt_hash_request asked = request_of(l, &l->parts[l->asked[i].part]);
        if (bt_hash_request_eq(&asked, r))
            return i;
    }
    return l->n_asked;
}

static void keep(struct bt_layer_job *j, const struct bt_layer_part *part, struct tarn_bytes hashes)
{
    uint64_t n = tarn_min_u64(BT_HASHES_CHUNK, j->tree.n_pieces - part->index);
    memcpy(j->hashes + (size_t)part->index * MERKLE_HASH, hashes.p, (size_t)n * MERKLE_HASH);
}

enum bt_hash_got bt_layers_got(struct bt_layers *l, bt_peer_no peer,
                               const struct bt_hash_request *r, struct tarn_bytes hashes)
{
    uint8_t work[BT_HASHES_CHUNK * MERKLE_HASH];
    uint32_t i = find_asked(l, peer, r);
    if (i == l->n_asked)
        return BT_HASHES_IGNORED;
    struct bt_layer_part *part = &l->parts[l->asked[i].part];
    struct bt_layer_job *j = &l->jobs[part->job];
    if (!bt_hashes_lead_to(r, hashes, r->root, work)) {
        give_up(l, i, BT_HASHES_REST_US);
        return BT_HASHES_WRONG;
    }
    if (j->hashes == NULL)
        j->hashes = tarn_calloc(j->tree.n_pieces, MERKLE_HASH);
    if (j->hashes == NULL) {
        give_up(l, i, BT_HASHES_TIMEOUT_US);
        return BT_HASHES_NO_MEMORY;
    }
    keep(j, part, hashes);
    part->state = HERE;
    l->asked[i] = l->asked[--l->n_asked];
    l->n_done++;
    if (--j->parts_left > 0)
        return BT_HASHES_TAKEN;
    l->last_job = part->job;
    return BT_HASHES_LAYER;
}

void bt_layers_rejected(struct bt_layers *l, bt_peer_no peer, const struct bt_hash_request *r)
{
    uint32_t i = find_asked(l, peer, r);
    if (i < l->n_asked)
        give_up(l, i, BT_HASHES_REST_US);
}

void bt_layers_gone(struct bt_layers *l, bt_peer_no peer)
{
    for (uint32_t i = l->n_asked; i-- > 0;)
        if (l->asked[i].peer == peer)
            give_up(l, i, 0);
}

int64_t bt_layers_wake(const struct bt_layers *l, int64_t now_us)
{
    int64_t wake = INT64_MAX;
    for (uint32_t i = 0; i < l->n_asked; i++) {
        int64_t late = l->asked[i].at_us + BT_HASHES_TIMEOUT_US;
        wake = late < wake ? late : wake;
    }
    for (uint32_t i = l->first; i < l->n_parts; i++) {
        const struct bt_layer_part *part = &l->parts[i];
        if (part->state == FREE && part->avoid_until_us > now_us && part->avoid_until_us < wake)
            wake = part->avoid_until_us;
    }
    return wake;
}

bool bt_layers_next(struct bt_layers *l, uint32_t *cursor, uint32_t *file, const uint8_t **layer)
{
    const struct bt_layer_job *j = &l->jobs[l->last_job];
    if (l->n_jobs == 0 || j->parts_left > 0 || *cursor >= j->n_files)
        return false;
    *file = l->files[j->first_file + (*cursor)++];
    *layer = j->hashes;
    return true;
}
