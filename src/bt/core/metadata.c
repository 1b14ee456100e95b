/* bt/core/metadata: see the header. Few peers and at most 2048 blocks: all searches are plain
 * loops. A peer that is gone stays a sender without a name, so that its number can be given again.
 */
#include "bt/core/metadata.h"

#include "base/mem.h"
#include "base/num.h"
#include "crypt/sha.h"

#include <assert.h>

struct block {
    uint8_t *data;       /* owned; NULL: not here */
    bt_peer_no from;     /* when here; BT_NO_PEER: somebody who is gone */
    bt_peer_no asked_of; /* when not; BT_NO_PEER: nobody */
    int64_t asked_at_us;
};

struct bt_meta_size {
    uint32_t size, n_blocks, n_here;
    bool is_solo;    /* one peer alone is asked: the last try mixed several and was wrong */
    bt_peer_no solo; /* that one; BT_NO_PEER: whoever comes first */
    uint8_t *joined; /* owned: all blocks in one run, once they are all here */
    struct block blocks[];
};

struct bt_meta_peer {
    int64_t rest_until_us;
    uint32_t n_sent, n_got; /* requests and their answers; data beyond them are not taken */
    bt_peer_no no;          /* BT_NO_PEER: this place is free */
    uint8_t size;           /* index in sizes */
    uint8_t n_asked;        /* under way */
    uint8_t n_missed;       /* in a row */
};

void bt_metadata_init(struct bt_metadata *md)
{
    *md = (struct bt_metadata){ 0 };
}

static uint32_t block_len(const struct bt_meta_size *s, uint32_t i)
{
    return (uint32_t)tarn_min_u64(BT_BLOCK, s->size - (uint64_t)i * BT_BLOCK);
}

static void drop_blocks(struct bt_metadata *md, struct bt_meta_size *s)
{
    for (uint32_t i = 0; i < s->n_blocks; i++) {
        if (s->blocks[i].data == NULL)
            continue;
        tarn_free(s->blocks[i].data);
        s->blocks[i].data = NULL;
        md->stored -= block_len(s, i);
    }
    tarn_free(s->joined);
    s->joined = NULL;
    s->n_here = 0;
}

static void free_size(struct bt_metadata *md, unsigned i)
{
    if (md->sizes[i] == NULL)
        return;
    drop_blocks(md, md->sizes[i]);
    tarn_free(md->sizes[i]);
    md->sizes[i] = NULL;
}

void bt_metadata_release(struct bt_metadata *md)
{
    for (unsigned i = 0; i < BT_META_SIZES; i++)
        free_size(md, i);
    tarn_free(md->peers);
    *md = (struct bt_metadata){ 0 };
}

static struct bt_meta_peer *find_peer(const struct bt_metadata *md, bt_peer_no no)
{
    for (unsigned i = 0; md->peers != NULL && i < BT_META_PEERS; i++)
        if (md->peers[i].no == no)
            return &md->peers[i];
    return NULL;
}

static bool is_told(const struct bt_metadata *md, unsigned size)
{
    for (unsigned i = 0; i < BT_META_PEERS; i++)
        if (md->peers[i].no != BT_NO_PEER && md->peers[i].size == size)
            return true;
    return false;
}

/* A place for another size: a free one, or one that no peer stands for any more. */
static int free_place(struct bt_metadata *md)
{
    for (int i = 0; i < BT_META_SIZES; i++)
        if (md->sizes[i] == NULL)
            return i;
    for (int i = 0; i < BT_META_SIZES; i++) {
        if (is_told(md, (unsigned)i))
            continue;
        free_size(md, (unsigned)i);
        return i;
    }
    return -1;
}

static int find_size(struct bt_metadata *md, uint32_t size, struct tarn_err *err)
{
    for (int i = 0; i < BT_META_SIZES; i++)
        if (md->sizes[i] != NULL && md->sizes[i]->size == size)
            return i;
    int place = free_place(md);
    if (place < 0) {
        tarn_fail(err, TARN_E_POLICY, "peers tell more than %d different sizes of the metadata",
                  BT_META_SIZES);
        return -1;
    }
    uint32_t n = (uint32_t)tarn_div_up_u64(size, BT_BLOCK);
    struct bt_meta_size *s = tarn_calloc(1, sizeof *s + (size_t)n * sizeof(struct block));
    if (s == NULL) {
        tarn_fail_mem(err, "fetching metadata");
        return -1;
    }
    *s = (struct bt_meta_size){ .size = size, .n_blocks = n, .solo = BT_NO_PEER };
    for (uint32_t i = 0; i < n; i++)
        s->blocks[i].asked_of = BT_NO_PEER;
    md->sizes[place] = s;
    return place;
}

static bool make_peers(struct bt_metadata *md, struct tarn_err *err)
{
    if (md->peers != NULL)
        return true;
    md->peers = tarn_calloc(BT_META_PEERS, sizeof *md->peers);
    if (md->peers == NULL)
        return tarn_fail_mem(err, "fetching metadata");
    for (unsigned i = 0; i < BT_META_PEERS; i++)
        md->peers[i].no = BT_NO_PEER;
    return true;
}

bool bt_metadata_peer(struct bt_metadata *md, bt_peer_no peer, uint32_t size, struct tarn_err *err)
{
    if (size == 0 || size > BT_INFO_MAX)
        return tarn_fail(err, TARN_E_POLICY,
                         "the peer says that the metadata have %u bytes "
                         "(the limit is %d)",
                         size, BT_INFO_MAX);
    if (!make_peers(md, err))
        return false;
    struct bt_meta_peer *p = find_peer(md, peer);
    if (p != NULL && md->sizes[p->size]->size == size)
        return true;
    bt_metadata_gone(md, peer);
    p = find_peer(md, BT_NO_PEER);
    if (p == NULL)
        return tarn_fail(err, TARN_E_POLICY, "%d peers are asked for metadata already",
                         BT_META_PEERS);
    int place = find_size(md, size, err);
    if (place < 0)
        return false;
    *p = (struct bt_meta_peer){ .no = peer, .size = (uint8_t)place };
    return true;
}

static void end_solo(struct bt_metadata *md, struct bt_meta_size *s)
{
    s->solo = BT_NO_PEER;
    if (s->n_here < s->n_blocks)
        drop_blocks(md, s); /* so that the next one is alone too */
}

void bt_metadata_gone(struct bt_metadata *md, bt_peer_no peer)
{
    struct bt_meta_peer *p = find_peer(md, peer);
    if (p == NULL || peer == BT_NO_PEER)
        return;
    struct bt_meta_size *s = md->sizes[p->size];
    p->no = BT_NO_PEER;
    if (s->is_solo && s->solo == peer)
        end_solo(md, s);
    for (uint32_t i = 0; i < s->n_blocks; i++) {
        struct block *b = &s->blocks[i];
        if (b->asked_of == peer)
            b->asked_of = BT_NO_PEER;
        if (b->from == peer)
            b->from = BT_NO_PEER;
    }
}

/* A request under way ends: answered, refused or timed out. */
static void end_request(struct bt_metadata *md, struct block *b)
{
    struct bt_meta_peer *p = find_peer(md, b->asked_of);
    if (b->asked_of != BT_NO_PEER && p != NULL && p->n_asked > 0)
        p->n_asked--;
    b->asked_of = BT_NO_PEER;
}

static void end_late(struct bt_metadata *md, struct bt_meta_size *s, int64_t now_us)
{
    for (uint32_t i = 0; i < s->n_blocks; i++) {
        struct block *b = &s->blocks[i];
        if (b->asked_of == BT_NO_PEER || now_us - b->asked_at_us < BT_META_TIMEOUT_US)
            continue;
        struct bt_meta_peer *p = find_peer(md, b->asked_of);
        end_request(md, b);
        p->rest_until_us = now_us + BT_META_TIMEOUT_US;
        if (++p->n_missed >= BT_META_SOLO_MISSES && s->is_solo && s->solo == p->no)
            end_solo(md, s);
    }
}

bool bt_metadata_ask(struct bt_metadata *md, bt_peer_no peer, int64_t now_us, uint32_t *block)
{
    struct bt_meta_peer *p = find_peer(md, peer);
    if (p == NULL || peer == BT_NO_PEER)
        return false;
    struct bt_meta_size *s = md->sizes[p->size];
    end_late(md, s, now_us);
    if (p->n_asked >= BT_META_DEPTH || now_us < p->rest_until_us)
        return false;
    if (s->is_solo && s->solo != BT_NO_PEER && s->solo != peer)
        return false;
    for (uint32_t i = 0; i < s->n_blocks; i++) {
        struct block *b = &s->blocks[i];
        if (b->data != NULL || b->asked_of != BT_NO_PEER || s->joined != NULL)
            continue;
        if (s->is_solo)
            s->solo = peer;
        b->asked_of = peer;
        b->asked_at_us = now_us;
        p->n_asked++;
        p->n_sent++;
        *block = i;
        return true;
    }
    return false;
}

static enum bt_meta_got take(struct bt_metadata *md, struct bt_meta_size *s, struct bt_meta_peer *p,
                             const struct bt_meta_msg *msg)
{
    struct block *b = &s->blocks[msg->block];
    if (md->stored + msg->data.len > BT_META_MEMORY)
        return BT_META_IGNORED;
    uint8_t *data = tarn_calloc(msg->data.len, 1);
    if (data == NULL)
        return BT_META_IGNORED;
    memcpy(data, msg->data.p, msg->data.len);
    end_request(md, b);
    b->data = data;
    b->from = p->no;
    md->stored += msg->data.len;
    s->n_here++;
    return s->n_here == s->n_blocks ? BT_META_FULL : BT_META_TAKEN;
}

enum bt_meta_got bt_metadata_got(struct bt_metadata *md, bt_peer_no peer,
                                 const struct bt_meta_msg *msg, int64_t now_us)
{
    struct bt_meta_peer *p = find_peer(md, peer);
    if (p == NULL || peer == BT_NO_PEER || p->n_got >= p->n_sent)
        return BT_META_IGNORED;
    struct bt_meta_size *s = md->sizes[p->size];
    if (msg->block >= s->n_blocks)
        return BT_META_WRONG;
    struct block *b = &s->blocks[msg->block];
    if (msg->kind == BT_META_REJECT) {
        if (b->asked_of == peer)
            end_request(md, b);
        p->n_got++;
        p->rest_until_us = now_us + BT_META_REST_US;
        if (s->is_solo && s->solo == peer)
            end_solo(md, s);
        return BT_META_IGNORED;
    }
    if (msg->kind != BT_META_DATA)
        return BT_META_IGNORED;
    if (msg->total != s->size || msg->data.len != block_len(s, msg->block))
        return BT_META_WRONG;
    p->n_got++;
    p->n_missed = 0;
    if (b->data != NULL || s->joined != NULL || (s->is_solo && s->solo != peer))
        return BT_META_IGNORED;
    return take(md, s, p, msg);
}

int64_t bt_metadata_wake(const struct bt_metadata *md, int64_t now_us)
{
    int64_t wake = INT64_MAX;
    for (unsigned i = 0; md->peers != NULL && i < BT_META_PEERS; i++) {
        const struct bt_meta_peer *p = &md->peers[i];
        if (p->no != BT_NO_PEER && p->rest_until_us > now_us && p->rest_until_us < wake)
            wake = p->rest_until_us;
    }
    for (unsigned i = 0; i < BT_META_SIZES; i++) {
        const struct bt_meta_size *s = md->sizes[i];
        for (uint32_t k = 0; s != NULL && k < s->n_blocks; k++) {
            int64_t late = s->blocks[k].asked_at_us + BT_META_TIMEOUT_US;
            if (s->blocks[k].asked_of != BT_NO_PEER && late < wake)
                wake = late;
        }
    }
    return wake;
}

struct tarn_bytes bt_metadata_join(struct bt_metadata *md, bt_peer_no peer)
{
    struct bt_meta_peer *p = find_peer(md, peer);
    struct bt_meta_size *s = p == NULL || peer == BT_NO_PEER ? NULL : md->sizes[p->size];
    if (s == NULL || s->n_here < s->n_blocks)
        return tarn_bytes_of(NULL, 0);
    if (s->joined == NULL)
        s->joined = tarn_calloc(s->size, 1);
    if (s->joined == NULL)
        return tarn_bytes_of(NULL, 0);
    for (uint32_t i = 0; i < s->n_blocks; i++)
        memcpy(s->joined + (size_t)i * BT_BLOCK, s->blocks[i].data, block_len(s, i));
    return tarn_bytes_of(s->joined, s->size);
}

bt_peer_no bt_metadata_failed(struct bt_metadata *md, bt_peer_no peer)
{
    struct bt_meta_peer *p = find_peer(md, peer);
    if (p == NULL || peer == BT_NO_PEER)
        return BT_NO_PEER;
    struct bt_meta_size *s = md->sizes[p->size];
    bt_peer_no blamed = s->n_here > 0 ? s->blocks[0].from : BT_NO_PEER;
    for (uint32_t i = 0; i < s->n_blocks; i++)
        if (s->blocks[i].data != NULL && s->blocks[i].from != blamed)
            blamed = BT_NO_PEER;
    drop_blocks(md, s);
    s->is_solo = true;
    s->solo = BT_NO_PEER;
    return blamed;
}

bool bt_hashes_match(const struct bt_hashes *h, struct tarn_bytes info)
{
    uint8_t v1[CRYPT_SHA1_LEN], v2[CRYPT_SHA256_LEN];
    if (h->has_v1) {
        crypt_hash(CRYPT_SHA1, info, v1);
        if (memcmp(v1, h->v1, sizeof v1) != 0)
            return false;
    }
    if (h->has_v2) {
        crypt_hash(CRYPT_SHA256, info, v2);
        if (memcmp(v2, h->v2, sizeof v2) != 0)
            return false;
    }
    return h->has_v1 || h->has_v2;
}

enum bt_meta_answer bt_metadata_answer(uint32_t size, uint32_t block, uint32_t *n_answered)
{
    uint64_t n_blocks = tarn_div_up_u64(size, BT_BLOCK);
    uint64_t most = tarn_max_u64(n_blocks, 1) * BT_META_FLOOD;
    if (*n_answered >= 2 * most)
        return BT_META_SILENT;
    ++*n_answered;
    return block < n_blocks && *n_answered <= most ? BT_META_SEND : BT_META_REFUSE;
}

struct tarn_bytes bt_metadata_block(struct tarn_bytes info, uint32_t block)
{
    uint64_t at = (uint64_t)block * BT_BLOCK;
    if (at >= info.len)
        return tarn_bytes_of(NULL, 0);
    return tarn_bytes_of(info.p + at, tarn_min_size(BT_BLOCK, info.len - (size_t)at));
}
