/* node/write: between the thread that writes the index and a loop. */
#include "node/write.h"

static bool run(struct kv_write *write, struct kv_txn *t, struct tarn_err *err)
{
    struct node_write *w = TARN_OUTER(write, struct node_write, write);
    return w->run(w, t, err);
}

static void written(struct kv_write *write, const struct tarn_err *err)
{
    struct node_write *w = TARN_OUTER(write, struct node_write, write);
    w->is_ok = err == NULL;
    if (err != NULL)
        w->err = *err;
    loop_post(w->loop, &w->msg);
}

static void on_loop(struct loop_msg *msg)
{
    struct node_write *w = TARN_OUTER(msg, struct node_write, msg);
    w->loop = NULL;
    w->done(w);
}

static bool run_nothing(struct kv_write *w, struct kv_txn *t, struct tarn_err *err)
{
    (void)w, (void)t, (void)err;
    return true;
}

void node_write_cancel(struct node_write *w)
{
    struct kv_write behind = { .run = run_nothing };
    struct tarn_err err;
    if (w->loop == NULL)
        return;
    bool is_written = kv_write_now(w->kv, &behind, &err);
    (void)is_written; /* it stood behind ours, which is over, well or not */
    loop_unpost(w->loop, &w->msg);
    w->loop = NULL;
}

void node_write(struct loop *l, struct kv *kv, struct node_write *w)
{
    w->loop = l;
    w->kv = kv;
    w->write = (struct kv_write){ .run = run, .done = written };
    w->msg = (struct loop_msg){ .on_loop = on_loop };
    kv_submit(kv, &w->write);
}
