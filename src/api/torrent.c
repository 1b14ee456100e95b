/* api/torrent: torrents and magnet links as callers see them: a flat description made once, over
 * what bt/core has read. */
#include "api/priv.h"

#include "base/err.h"
#include "base/mem.h"
#include "sys/file.h"

enum {
    LINK_MAX = 1 << 20,    /* bytes of a magnet link that is given */
    LINK_WRITTEN = 4 << 20 /* ... and of one that is made: names are escaped threefold */
};

static const uint8_t *if_has(bool has, const uint8_t *hash)
{
    return has ? hash : NULL;
}

static void describe_meta(struct tarn_torrent *t)
{
    const struct bt_metainfo *m = &t->meta;
    t->info = (struct tarn_torrent_info){
        .name = m->name,
        .v1 = if_has(m->hashes.has_v1, m->hashes.v1),
        .v2 = if_has(m->hashes.has_v2, m->hashes.v2),
        .is_private = m->is_private,
        .is_single_file = m->is_single_file,
        .has_layers = m->has_all_layers,
        .is_lax = m->lax != 0,
        .piece_length = m->piece_len,
        .n_pieces = m->n_pieces,
        .length = m->payload,
        .n_files = m->n_real_files,
        .n_trackers = m->n_trackers,
        .n_web_seeds = m->n_web_seeds,
        .n_nodes = m->n_nodes,
        .comment = m->comment,
        .created_by = m->created_by,
        .source = m->source,
        .created_at = m->created_at,
    };
}

static void describe_magnet(struct tarn_torrent *t)
{
    const struct bt_magnet *m = &t->magnet;
    t->info = (struct tarn_torrent_info){
        .name = m->name,
        .v1 = if_has(m->hashes.has_v1, m->hashes.v1),
        .v2 = if_has(m->hashes.has_v2, m->hashes.v2),
        .is_magnet = true,
        .n_trackers = m->n_trackers,
        .n_web_seeds = m->n_web_seeds,
        .created_at = -1,
    };
}

static bool number_files(struct tarn_torrent *t, struct tarn_err *err)
{
    t->real = tarn_calloc(t->meta.n_real_files, sizeof *t->real);
    if (t->real == NULL)
        return tarn_fail_mem(err, "reading a torrent");
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->meta.n_files; i++)
        if (!t->meta.files[i].is_pad)
            t->real[n++] = i;
    return true;
}

static bool write_link(struct tarn_torrent *t, struct tarn_err *err)
{
    struct tarn_out o;
    tarn_out_init(&o, LINK_WRITTEN);
    bt_magnet_write(&t->meta, &o);
    t->link = tarn_out_take_str(&o);
    tarn_out_release(&o);
    return t->link != NULL || tarn_fail_mem(err, "writing a magnet link");
}

struct tarn_torrent *api_torrent_take(uint8_t *bytes, size_t len, struct tarn_err *err)
{
    struct tarn_torrent *t = tarn_calloc(1, sizeof *t);
    if (t == NULL) {
        tarn_free(bytes);
        tarn_fail_mem(err, "reading a torrent");
        return NULL;
    }
    t->bytes = bytes;
    t->len = len;
    if (!bt_metainfo_parse(&t->meta, tarn_bytes_of(bytes, len), err) || !number_files(t, err) ||
        !write_link(t, err)) {
        tarn_torrent_free(t);
        return NULL;
    }
    describe_meta(t);
    return t;
}

static struct tarn_torrent *open_magnet(const char *text, struct tarn_err *err)
{
    size_t len = strlen(text);
    if (len > LINK_MAX) {
        tarn_fail(err, TARN_E_POLICY, "a magnet link of %zu bytes is longer than %d", len,
                  LINK_MAX);
        return NULL;
    }
    struct tarn_torrent *t = tarn_calloc(1, sizeof *t);
    char *link = tarn_strndup(text, len);
    if (t == NULL || link == NULL) {
        tarn_free(t);
        tarn_free(link);
        tarn_fail_mem(err, "reading a magnet link");
        return NULL;
    }
    t->link = link;
    if (!bt_magnet_parse(&t->magnet, tarn_bytes_of(text, len), err)) {
        tarn_torrent_free(t);
        return NULL;
    }
    describe_magnet(t);
    return t;
}

struct tarn_torrent *tarn_torrent_open(const char *path_or_magnet, struct tarn_err *err)
{
    if (bt_is_magnet(tarn_bytes_str(path_or_magnet)))
        return open_magnet(path_or_magnet, err);
    uint8_t *bytes;
    size_t len;
    if (!sys_read_whole(path_or_magnet, BT_TORRENT_MAX, &bytes, &len, err))
        return NULL;
    struct tarn_torrent *t = api_torrent_take(bytes, len, err);
    struct tarn_quote q;
    if (t == NULL)
        tarn_fail_in(err, "cannot read the torrent '%s'", tarn_quote_str(&q, path_or_magnet));
    return t;
}

struct tarn_torrent *tarn_torrent_parse(const void *bytes, size_t len, struct tarn_err *err)
{
    uint8_t *copy = (uint8_t *)tarn_strndup(bytes, len);
    if (copy == NULL) {
        tarn_fail_mem(err, "reading a torrent");
        return NULL;
    }
    return api_torrent_take(copy, len, err);
}

void tarn_torrent_free(struct tarn_torrent *t)
{
    if (t == NULL)
        return;
    bt_metainfo_release(&t->meta);
    bt_magnet_release(&t->magnet);
    tarn_free(t->bytes);
    tarn_free(t->link);
    tarn_free(t->real);
    tarn_free(t);
}

const struct tarn_torrent_info *tarn_torrent_info(const struct tarn_torrent *t)
{
    return &t->info;
}

void tarn_torrent_file(const struct tarn_torrent *t, uint32_t index, struct tarn_torrent_file *file)
{
    const struct bt_file *f = &t->meta.files[t->real[index]];
    *file = (struct tarn_torrent_file){
        .path = f->path,
        .length = f->len,
        .offset = f->off,
        .root = f->root,
        .is_executable = f->is_executable,
        .is_symlink = f->symlink_target != NULL,
    };
}

const char *tarn_torrent_tracker(const struct tarn_torrent *t, uint32_t index, unsigned *tier)
{
    *tier = t->info.is_magnet ? index : t->meta.trackers[index].tier;
    return t->info.is_magnet ? t->magnet.trackers[index] : t->meta.trackers[index].url;
}

const char *tarn_torrent_web_seed(const struct tarn_torrent *t, uint32_t index)
{
    return t->info.is_magnet ? t->magnet.web_seeds[index] : t->meta.web_seeds[index];
}

const char *tarn_torrent_node(const struct tarn_torrent *t, uint32_t index)
{
    return t->meta.nodes[index];
}

const void *tarn_torrent_bytes(const struct tarn_torrent *t, size_t *len)
{
    *len = t->len;
    return t->bytes;
}

const char *tarn_torrent_magnet(const struct tarn_torrent *t)
{
    return t->link;
}

bool tarn_torrent_save(const struct tarn_torrent *t, const char *path, struct tarn_err *err)
{
    if (t->bytes == NULL)
        return tarn_fail(err, TARN_E_USAGE,
                         "a magnet link is no torrent file yet: fetch it first (--save-torrent)");
    return sys_write_whole(path, tarn_bytes_of(t->bytes, t->len), err);
}
