/* bt/leaves: leaf hashes for peers: they are stored nowhere, so the piece is read and hashed again,
 * on the pool.
 *
 * A job outlives its connection, which it then has no answer for, but not its torrent. */
#include "bt/priv.h"

#include "base/mem.h"
#include "base/num.h"
#include "crypt/merkle.h"
#include "crypt/sha.h"

enum {
    OF_PEER_MAX = 4,
    OF_TORRENT_MAX = 32,
    READ_LEN = 256 << 10,
    READ_BLOCKS = READ_LEN / MERKLE_BLOCK,
};

struct leaves_job {
    struct loop_job job;
    struct tarn_list node; /* in the torrent's reading */
    struct bt_torrent *torrent;
    struct bt_conn *conn; /* NULL: gone meanwhile */
    struct bt_hash_request request;
    uint32_t piece, n_leaves;
    struct store_tree *tree; /* borrowed from the torrent */
    uint64_t off;
    uint32_t len;
    uint8_t *leaves; /* owned */
    atomic_bool is_canceled;
    bool ok;
    struct tarn_err err;
};

static void job_free(struct leaves_job *j)
{
    if (j->conn != NULL)
        j->conn->n_leaf_jobs--;
    j->torrent->n_leaf_jobs--;
    tarn_list_remove(&j->node);
    tarn_free(j->leaves);
    tarn_free(j);
}

static void on_run(struct loop_job *job)
{
    struct leaves_job *j = TARN_OUTER(job, struct leaves_job, job);
    uint8_t *buf = tarn_realloc(NULL, READ_LEN, 1);
    j->ok = buf != NULL || tarn_fail_mem(&j->err, "reading a piece");
    for (uint32_t at = 0; at < j->len && j->ok && !atomic_load(&j->is_canceled); at += READ_LEN) {
        struct tarn_bytes blocks[READ_BLOCKS];
        size_t n = 0, len = tarn_min_size(READ_LEN, j->len - at);
        j->ok = store_tree_read(j->tree, j->off + at, (struct tarn_bytes_mut){ buf, len }, &j->err);
        for (size_t i = 0; i < len && j->ok; i += MERKLE_BLOCK)
            blocks[n++] = tarn_bytes_of(buf + i, tarn_min_size(MERKLE_BLOCK, len - i));
        if (n > 0)
            crypt_hash_many(CRYPT_SHA256, blocks, n,
                            j->leaves + (size_t)at / MERKLE_BLOCK * MERKLE_HASH);
    }
    tarn_free(buf);
}

/* What is on disk may have changed since it was verified: no peer should get hashes of that. */
static bool is_true(const struct leaves_job *j)
{
    uint8_t *work = tarn_calloc(j->n_leaves, MERKLE_HASH);
    if (work == NULL)
        return false;
    memcpy(work, j->leaves, (size_t)j->n_leaves * MERKLE_HASH);
    bool ok = bt_piece_match(j->torrent->meta, j->piece, NULL, work, j->n_leaves) == BT_MATCH;
    tarn_free(work);
    return ok;
}

static void on_done(struct loop_job *job)
{
    struct leaves_job *j = TARN_OUTER(job, struct leaves_job, job);
    struct bt_torrent *t = j->torrent;
    struct bt_conn *c = j->conn;
    if (c != NULL && !j->ok)
        bt_note(t->session, t, "%s", j->err.msg);
    if (c != NULL && !(j->ok && is_true(j) &&
                       bt_put_hashes(bt_conn_out(c), t->meta, &t->hash_cache, &j->request,
                                     j->leaves, j->n_leaves)))
        bt_put_hash_request(bt_conn_out(c), BT_EV_HASH_REJECT, &j->request);
    job_free(j);
}

static bool start(struct bt_conn *c, const struct bt_hash_request *r, uint32_t piece)
{
    struct bt_torrent *t = c->torrent;
    if (!bt_torrent_is_running(t) || !tarn_bits_has(&t->have, piece) ||
        c->n_leaf_jobs >= OF_PEER_MAX || t->n_leaf_jobs >= OF_TORRENT_MAX)
        return false;
    struct leaves_job *j = tarn_calloc(1, sizeof *j);
    if (j == NULL)
        return false;
    *j = (struct leaves_job){ .job = { .run = on_run, .done = on_done },
                              .torrent = t,
                              .request = *r,
                              .piece = piece,
                              .tree = t->tree,
                              .off = (uint64_t)piece * t->layout.piece_len };
    (void)bt_piece_file(t->meta, piece, &j->len);
    j->n_leaves = (uint32_t)tarn_div_up_u64(j->len, MERKLE_BLOCK);
    j->leaves = tarn_calloc(j->n_leaves, MERKLE_HASH);
    if (j->leaves == NULL) {
        tarn_free(j);
        return false;
    }
    j->conn = c;
    c->n_leaf_jobs++;
    t->n_leaf_jobs++;
    tarn_list_push_back(&t->leaf_jobs, &j->node);
    loop_pool_submit(t->session->loop, &j->job);
    return true;
}

void bt_hash_request_answer(struct bt_conn *c, const struct bt_hash_request *r)
{
    struct bt_torrent *t = c->torrent;
    uint32_t piece;
    bool ok = false;
    switch (t->meta == NULL ? BT_HASH_REFUSE : bt_hash_request_check(t->meta, r, &piece)) {
    case BT_HASH_REFUSE:
        break;
    case BT_HASH_FROM_LAYER:
        ok = bt_put_hashes(bt_conn_out(c), t->meta, &t->hash_cache, r, NULL, 0);
        break;
    case BT_HASH_FROM_LEAVES:
        ok = start(c, r, piece);
        break;
    }
    if (!ok)
        bt_put_hash_request(bt_conn_out(c), BT_EV_HASH_REJECT, r);
}

void bt_leaves_gone(struct bt_conn *c)
{
    struct tarn_list *all = &c->torrent->leaf_jobs;
    for (struct tarn_list *n = all->next; n != all; n = n->next) {
        struct leaves_job *j = TARN_OUTER(n, struct leaves_job, node);
        if (j->conn == c)
            j->conn = NULL;
    }
    c->n_leaf_jobs = 0;
}

void bt_leaves_release(struct bt_torrent *t)
{
    while (!tarn_list_empty(&t->leaf_jobs)) {
        struct leaves_job *j = TARN_OUTER(t->leaf_jobs.next, struct leaves_job, node);
        atomic_store(&j->is_canceled, true);
        loop_pool_cancel(t->session->loop, &j->job);
        job_free(j);
    }
}
