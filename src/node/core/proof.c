/* node/core/proof: see the header. The uncles are subtrees that lie beside each other and beside
 * the range, so one sum at a time is under way as the leaves go by. */
#include "node/core/proof.h"

#include "base/num.h"
#include "base/text.h"
#include "codec/json.h"

#include <assert.h>

void proof_blocks(uint64_t off, uint64_t len, uint64_t *first, uint64_t *count)
{
    *first = off / MERKLE_BLOCK;
    *count = (off + len - 1) / MERKLE_BLOCK - *first + 1;
}

static uint64_t leaves_of(const struct proof *p)
{
    return tarn_div_up_u64(p->len, MERKLE_BLOCK);
}

static void add_node(struct proof *p, uint64_t index, unsigned level)
{
    assert(p->n < PROOF_UNCLES_MAX);
    p->nodes[p->n++] = (struct proof_node){ index << level, level };
}

static void sort_by_place(struct proof *p)
{
    for (size_t i = 0; i < p->n; i++) {
        size_t k = i;
        for (; k > 0 && p->nodes[p->by_place[k - 1]].first > p->nodes[i].first; k--)
            p->by_place[k] = p->by_place[k - 1];
        p->by_place[k] = (uint8_t)i;
    }
}

bool proof_begin(struct proof *p, uint64_t len, uint64_t first, uint64_t count,
                 struct tarn_err *err)
{
    uint64_t n = tarn_div_up_u64(len, MERKLE_BLOCK);
    if (count == 0 || first >= n || count > n - first)
        return tarn_fail(
            err, TARN_E_USAGE, "blocks %llu and %llu more are not inside a file of %llu blocks",
            (unsigned long long)first, (unsigned long long)count, (unsigned long long)n);
    if (n > (uint64_t)1 << (MERKLE_LEVELS - 1))
        return tarn_fail(err, TARN_E_POLICY, "files have at most 8 PiB");
    *p = (struct proof){ .len = len, .first = first, .count = count };
    uint64_t left = first, right = first + count - 1;
    for (unsigned level = 0; level < merkle_levels(n); level++, left /= 2, right /= 2) {
        if (left % 2 == 1)
            add_node(p, left - 1, level);
        if (right % 2 == 0 && (right + 1) << level < n)
            add_node(p, right + 1, level);
    }
    sort_by_place(p);
    return true;
}

/* How many of the next leaves belong together: to the node under way, or to none. */
static uint64_t run(const struct proof *p, bool *is_in)
{
    uint64_t n = leaves_of(p);
    *is_in = false;
    if (p->at == p->n)
        return n - p->done;
    const struct proof_node *node = &p->nodes[p->by_place[p->at]];
    if (p->done < node->first)
        return node->first - p->done;
    *is_in = true;
    return tarn_min_u64(node->first + ((uint64_t)1 << node->level), n) - p->done;
}

void proof_leaves(struct proof *p, const uint8_t *leaves, size_t n)
{
    n = (size_t)tarn_min_u64(n, leaves_of(p) - p->done);
    merkle_sum_add(&p->all, leaves, n);
    while (n > 0) {
        bool is_in;
        uint64_t left = run(p, &is_in);
        size_t take = (size_t)tarn_min_u64(n, left);
        if (is_in)
            merkle_sum_add(&p->sum, leaves, take);
        p->done += take;
        leaves += take * MERKLE_HASH;
        n -= take;
        if (is_in && take == left) {
            size_t i = p->by_place[p->at++];
            merkle_sum_root(&p->sum, 0, p->nodes[i].level, p->uncles[i]);
            p->sum.n = 0;
        }
    }
}

bool proof_end(struct proof *p, const uint8_t root[MERKLE_HASH], struct tarn_err *err)
{
    uint8_t is[MERKLE_HASH];
    if (p->done == leaves_of(p)) {
        merkle_sum_root(&p->all, 0, merkle_levels(p->done), is);
        if (memcmp(is, root, MERKLE_HASH) == 0)
            return true;
    }
    return tarn_fail(err, TARN_E_INTEGRITY, "the leaf hashes are not those of the file");
}

void proof_write(const struct proof *p, const uint8_t root[MERKLE_HASH], struct tarn_out *o)
{
    struct json j;
    json_init(&j, o);
    json_open_object(&j);
    json_put_u64(&j, "v", 1);
    json_put_hex(&j, "root", tarn_bytes_of(root, MERKLE_HASH));
    json_put_u64(&j, "length", p->len);
    json_put_u64(&j, "first", p->first);
    json_put_u64(&j, "count", p->count);
    json_key(&j, "uncles");
    json_open_array(&j);
    for (size_t i = 0; i < p->n; i++) {
        char hex[2 * MERKLE_HASH + 1];
        json_str(&j, tarn_bytes_str(tarn_hex(hex, tarn_bytes_of(p->uncles[i], MERKLE_HASH))));
    }
    json_close_array(&j);
    json_close_object(&j);
    tarn_out_str(o, "\n");
}
