/* bt/recall: what a magnet link led to in an earlier run, so that no peer need be asked again. It
 * is believed no more than what peers send: its hash must be the link's. */
#include "base/mem.h"
#include "base/text.h"
#include "bt/priv.h"

struct bt_recall {
    struct loop_job job;
    struct bt_torrent *torrent;
    struct bt_metainfo meta;
    bool found;
};

const char *bt_recall_name(const struct bt_torrent *t, char name[BT_RECALL_NAME])
{
    const struct bt_hashes *h = &t->add.magnet->hashes;
    return tarn_hex(name, h->has_v1 ? tarn_bytes_of(h->v1, sizeof h->v1)
                                    : tarn_bytes_of(h->v2, sizeof h->v2));
}

static bool is_meant(const struct bt_hashes *wanted, const struct bt_hashes *found)
{
    bool v1 =
        !wanted->has_v1 || (found->has_v1 && memcmp(wanted->v1, found->v1, sizeof found->v1) == 0);
    bool v2 =
        !wanted->has_v2 || (found->has_v2 && memcmp(wanted->v2, found->v2, sizeof found->v2) == 0);
    return v1 && v2;
}

static void on_run(struct loop_job *j)
{
    struct bt_recall *r = TARN_OUTER(j, struct bt_recall, job);
    const struct bt_torrent *t = r->torrent;
    const struct bt_session_settings *set = &t->session->set;
    char name[BT_RECALL_NAME];
    uint8_t *torrent;
    size_t len;
    /* What cannot be read or used is as good as not there: peers are asked. */
    if (!set->resume->load_torrent(set->resume_arg, bt_recall_name(t, name), &torrent, &len, NULL))
        return;
    r->found = len > 0 && bt_metainfo_parse(&r->meta, tarn_bytes_of(torrent, len), NULL) &&
               is_meant(&t->add.magnet->hashes, &r->meta.hashes);
    tarn_free(torrent);
}

static void recall_free(struct bt_recall *r)
{
    bt_metainfo_release(&r->meta);
    tarn_free(r);
}

static void on_done(struct loop_job *j)
{
    struct bt_recall *r = TARN_OUTER(j, struct bt_recall, job);
    struct bt_torrent *t = r->torrent;
    t->recall = NULL;
    if (r->found && t->meta == NULL && t->state == BT_METADATA) {
        bt_torrent_recalled(t, &r->meta);
        r->meta = (struct bt_metainfo){ 0 }; /* it is the torrent's now */
    }
    recall_free(r);
}

void bt_recall_start(struct bt_torrent *t)
{
    if (t->session->set.resume == NULL || t->meta != NULL)
        return;
    struct bt_recall *r = tarn_calloc(1, sizeof *r);
    if (r == NULL)
        return; /* peers are asked */
    *r = (struct bt_recall){ .torrent = t, .job = { .run = on_run, .done = on_done } };
    t->recall = r;
    loop_pool_submit(t->session->loop, &r->job);
}

void bt_recall_stop(struct bt_torrent *t)
{
    if (t->recall == NULL)
        return;
    loop_pool_cancel(t->session->loop, &t->recall->job);
    recall_free(t->recall);
    t->recall = NULL;
}
