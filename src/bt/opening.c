/* bt/opening: files that peers ask for, opened by the pool: the loop never waits for a disk.
 *
 * A connection whose next block lies in a file that is not open waits for one job, which opens that
 * one and those of the requests behind it; a block that lies in many files is read. The job
 * outlives its connection, but not its torrent. */
#include "bt/priv.h"

#include "base/mem.h"

enum { AHEAD = 16 }; /* files opened by one job; of a torrent of small files, as many blocks */

struct bt_opening {
    struct loop_job job;
    struct tarn_list node; /* in the torrent's openings */
    struct bt_torrent *torrent;
    struct bt_conn *conn; /* NULL: gone meanwhile */
    uint32_t indexes[AHEAD];
    struct sys_file *files[AHEAD]; /* counted: they stay open until the blocks are queued */
    size_t n;
    struct bt_request request; /* the block that is read, when buf is not NULL */
    uint8_t *buf;              /* owned */
    bool ok;
    struct tarn_err err;
};

static void opening_free(struct bt_opening *o)
{
    if (o->conn != NULL)
        o->conn->opening = NULL;
    for (size_t i = 0; i < o->n; i++)
        sys_file_unref(o->files[i]);
    tarn_list_remove(&o->node);
    tarn_free(o->buf);
    tarn_free(o);
}

static void on_run(struct loop_job *job)
{
    struct bt_opening *o = TARN_OUTER(job, struct bt_opening, job);
    o->ok = true;
    if (o->buf != NULL) {
        struct store_walk walk;
        uint64_t inside = bt_request_walk(o->torrent, &o->request, &walk);
        struct tarn_bytes_mut into = { o->buf, (size_t)inside };
        o->ok = store_tree_read(o->torrent->tree, walk.at, into, &o->err);
    }
    for (size_t i = 0; i < o->n && o->ok; i++) {
        o->files[i] = store_tree_file(o->torrent->tree, o->indexes[i], &o->err);
        o->ok = o->files[i] != NULL || i > 0; /* of later ones, their own turn tells */
    }
}

static void on_done(struct loop_job *job)
{
    struct bt_opening *o = TARN_OUTER(job, struct bt_opening, job);
    struct bt_conn *c = o->conn;
    if (c != NULL)
        c->opening = NULL;
    o->conn = NULL;
    if (c != NULL && !c->is_dead && !o->ok) {
        bt_upload_fail(c, &o->err);
    } else if (c != NULL && !c->is_dead) {
        if (o->buf != NULL)
            bt_upload_was_read(c, &o->request, tarn_bytes_of(o->buf, o->request.len));
        bt_upload_serve(c);
    }
    opening_free(o);
}

/* The files of one request that are not open yet. False: no room for more. */
static bool add_closed(struct bt_opening *o, const struct bt_request *r)
{
    struct bt_torrent *t = o->torrent;
    struct store_walk walk;
    struct store_part part;
    bt_request_walk(t, r, &walk);
    while (store_walk_next(&walk, &part)) {
        if (part.file == STORE_NO_FILE || (o->n > 0 && o->indexes[o->n - 1] == part.file))
            continue;
        struct sys_file *file = store_tree_file_open(t->tree, part.file);
        if (file != NULL) {
            sys_file_unref(file);
            continue;
        }
        if (o->n == AHEAD)
            return false;
        o->indexes[o->n++] = part.file;
    }
    return true;
}

bool bt_opening_start(struct bt_conn *c, bool reads, struct tarn_err *err)
{
    const struct bt_uploads *u = &c->uploads;
    struct bt_opening *o = tarn_calloc(1, sizeof *o);
    if (o == NULL)
        return tarn_fail_mem(err, "opening a file that a peer asks for");
    o->torrent = c->torrent;
    o->job.run = on_run;
    o->job.done = on_done;
    if (reads) {
        o->request = u->queue[u->first];
        o->buf = tarn_calloc(o->request.len, 1); /* zeros behind the content's end */
    }
    if (reads && o->buf == NULL) {
        tarn_free(o);
        return tarn_fail_mem(err, "reading a block that a peer asks for");
    }
    for (uint32_t i = 0; !reads && i < u->n && i < AHEAD; i++)
        if (!add_closed(o, &u->queue[(u->first + i) % u->cap]))
            break;
    o->conn = c;
    c->opening = o;
    tarn_list_push_back(&c->torrent->openings, &o->node);
    loop_pool_submit(c->session->loop, &o->job);
    return true;
}

void bt_opening_gone(struct bt_conn *c)
{
    if (c->opening != NULL)
        c->opening->conn = NULL;
    c->opening = NULL;
}

void bt_opening_release(struct bt_torrent *t)
{
    while (!tarn_list_empty(&t->openings)) {
        struct bt_opening *o = TARN_OUTER(t->openings.next, struct bt_opening, node);
        loop_pool_cancel(t->session->loop, &o->job);
        opening_free(o);
    }
}
