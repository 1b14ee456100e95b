/* What tests of whole sessions share: a payload of four files, its torrent, and one side of a
 * transfer. All on one loop, over loopback. */
#ifndef BT_TEST_WORLD_H
#define BT_TEST_WORLD_H

#include "base/mem.h"
#include "base/test/folder.h"
#include "bt/core/create.h"
#include "bt/session.h"
#include "crypt/merkle.h"
#include "crypt/sha.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 32768, FILES = 4, PATIENCE_US = 20 * 1000000 };

static const char *const names[FILES] = { "a", "b/empty", "b/long", "c" };
static const uint64_t lengths[FILES] = { 50000, 0, 300001, 32768 };

struct world {
    char folder[64];
    struct loop *loop;
    struct bt_metainfo meta;
    struct tarn_out torrent, magnet_text;
    struct bt_magnet magnet;
    uint8_t *bytes[FILES];
    bool keeps;                         /* state, in the folder `state` */
    const struct bt_resume_ops *resume; /* or there, when this is set */
    void *resume_arg;
};

/* --- a payload and its torrent --- */

static inline void write_file(const char *root, const char *name, struct tarn_bytes data)
{
    char path[256];
    snprintf(path, sizeof path, "%s/pay/%s", root, name);
    char *slash = strrchr(path, '/');
    *slash = 0;
    assert_true(sys_make_folders(path, NULL));
    *slash = '/';
    assert_true(sys_write_whole(path, data, NULL));
}

static inline void hash_v2(struct bt_new_file *f, struct tarn_bytes data, uint8_t *root,
                           uint8_t *layer)
{
    size_t n_leaves = (data.len + BT_BLOCK - 1) / BT_BLOCK, per_piece = PIECE / BT_BLOCK;
    uint8_t leaves[64 * MERKLE_HASH];
    if (n_leaves == 0)
        return;
    for (size_t i = 0; i < n_leaves; i++) {
        size_t at = i * BT_BLOCK, len = data.len - at < BT_BLOCK ? data.len - at : BT_BLOCK;
        crypt_hash(CRYPT_SHA256, tarn_bytes_of(data.p + at, len), leaves + i * MERKLE_HASH);
    }
    size_t n_pieces = (n_leaves + per_piece - 1) / per_piece;
    for (size_t p = 0; p < n_pieces; p++) {
        uint8_t work[2 * MERKLE_HASH];
        size_t n = n_leaves - p * per_piece < per_piece ? n_leaves - p * per_piece : per_piece;
        memcpy(work, leaves + p * per_piece * MERKLE_HASH, n * MERKLE_HASH);
        merkle_root(work, n, per_piece, 0, layer + p * MERKLE_HASH);
    }
    uint64_t width = 1;
    while (width < n_leaves)
        width *= 2;
    merkle_root(leaves, n_leaves, width, 0, root);
    f->root = root;
    f->layer = n_pieces > 1 ? layer : NULL;
}

static inline void make_torrent(struct world *w, enum bt_format format)
{
    static uint8_t roots[FILES][MERKLE_HASH], layers[FILES][32 * MERKLE_HASH], pieces[64 * 20];
    static uint8_t space[1 << 20];
    struct bt_new_file files[FILES];
    uint64_t total = 0;
    memset(space, 0, sizeof space);
    for (int i = 0; i < FILES; i++) {
        files[i] = (struct bt_new_file){ .path = tarn_bytes_str(names[i]), .len = lengths[i] };
        memcpy(space + total, w->bytes[i], lengths[i]);
        total += lengths[i] + bt_create_pad(format, lengths[i], PIECE, false);
        if (format != BT_V1)
            hash_v2(&files[i], tarn_bytes_of(w->bytes[i], lengths[i]), roots[i], layers[i]);
    }
    uint32_t n_pieces = (uint32_t)((total + PIECE - 1) / PIECE);
    for (uint32_t p = 0; p < n_pieces; p++) {
        uint64_t at = (uint64_t)p * PIECE;
        size_t len = total - at < PIECE ? (size_t)(total - at) : PIECE;
        crypt_hash(CRYPT_SHA1, tarn_bytes_of(space + at, len), pieces + 20 * p);
    }
    struct bt_new t = {
        .format = format,
        .name = tarn_bytes_str("pay"),
        .files = files,
        .n_files = FILES,
        .piece_len = PIECE,
        .pieces = format == BT_V2 ? NULL : pieces,
        .n_pieces = n_pieces,
        .created_at = -1,
    };
    tarn_out_init(&w->torrent, TARN_MIB);
    bt_create_write(&t, &w->torrent);
}

static inline void world_init(struct world *w, enum bt_format format)
{
    struct tarn_err err;
    memset(w, 0, sizeof *w);
    snprintf(w->folder, sizeof w->folder, "/tmp/tarn-session-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    uint64_t chance = test_seed();
    for (int i = 0; i < FILES; i++) {
        char root[96];
        w->bytes[i] = tarn_calloc(lengths[i] + 1, 1);
        for (uint64_t b = 0; b < lengths[i]; b++)
            w->bytes[i][b] = (uint8_t)test_rand(&chance);
        snprintf(root, sizeof root, "%s/seed", w->folder);
        write_file(root, names[i], tarn_bytes_of(w->bytes[i], lengths[i]));
    }
    make_torrent(w, format);
    if (!bt_metainfo_parse(&w->meta, tarn_out_bytes(&w->torrent), &err))
        fail_msg("%s", err.msg);
    tarn_out_init(&w->magnet_text, TARN_MIB);
    bt_magnet_write(&w->meta, &w->magnet_text);
    if (!bt_magnet_parse(&w->magnet, tarn_out_bytes(&w->magnet_text), &err))
        fail_msg("%s", err.msg);
    w->loop = loop_new(&(struct loop_settings){ .threads = 2 }, &err);
    assert_non_null(w->loop);
}

static inline void world_release(struct world *w)
{
    loop_free(w->loop);
    bt_metainfo_release(&w->meta);
    bt_magnet_release(&w->magnet);
    tarn_out_release(&w->torrent);
    tarn_out_release(&w->magnet_text);
    for (int i = 0; i < FILES; i++)
        tarn_free(w->bytes[i]);
    test_folder_remove(w->folder);
}

/* --- one side of a transfer --- */

struct side {
    struct bt_session *session;
    struct bt_torrent *torrent;
    struct bt_resume_files *state;
    struct bt_metainfo meta; /* a copy of its own: what it learns it writes there */
    char path[96], peer[64];
    const char *peers[1];
    bool is_complete, has_metadata, has_gone;
    char noted[512]; /* the last note about state */
    struct tarn_err err;
};

static inline void on_metadata(void *arg, const struct bt_metainfo *m)
{
    struct side *s = arg;
    assert_non_null(m->name);
    s->has_metadata = true;
}

static inline void on_complete(void *arg)
{
    ((struct side *)arg)->is_complete = true;
}

static inline void on_failed(void *arg, const struct tarn_err *err)
{
    ((struct side *)arg)->err = *err;
}

static const struct bt_torrent_ops ops = { on_metadata, on_complete, on_failed };

static inline void note(void *arg, struct bt_torrent *t, const char *text)
{
    (void)t;
    struct side *s = arg;
    printf("# %s: %s\n", s->path, text);
    if (strncmp(text, "state: ", 7) == 0)
        snprintf(s->noted, sizeof s->noted, "%s", text);
}

static inline void side_open(struct side *s, struct world *w, const char *folder)
{
    struct tarn_err err;
    struct sys_addr at;
    memset(s, 0, sizeof *s);
    assert_true(sys_addr_parse(tarn_bytes_str("127.0.0.1:0"), 1, &at));
    snprintf(s->path, sizeof s->path, "%s/%s", w->folder, folder);
    if (w->keeps) {
        char folder_of_state[96];
        snprintf(folder_of_state, sizeof folder_of_state, "%s/state", w->folder);
        s->state = bt_resume_files_new(folder_of_state, &err);
        if (s->state == NULL)
            fail_msg("%s", err.msg);
    }
    struct bt_session_settings set = {
        .loop = w->loop,
        .listen = &at,
        .n_listen = 1,
        .resume = w->keeps ? &bt_resume_files_ops : w->resume,
        .resume_arg = w->keeps ? s->state : w->resume_arg,
        .agent = "test",
        .on_note = note,
        .arg = s,
    };
    s->session = bt_session_new(&set, &err);
    if (s->session == NULL)
        fail_msg("%s", err.msg);
    if (!bt_metainfo_parse(&s->meta, tarn_out_bytes(&w->torrent), &err))
        fail_msg("%s", err.msg);
}

static inline void side_close(struct side *s)
{
    bt_session_free(s->session);
    bt_resume_files_free(s->state);
    bt_metainfo_release(&s->meta);
}

static inline void side_seed(struct side *s, struct world *w, const char *folder, bool trust)
{
    struct tarn_err err;
    side_open(s, w, folder);
    struct bt_add add = {
        .meta = &s->meta, .path = s->path, .seed_only = true, .trust = trust, .ops = &ops, .arg = s
    };
    s->torrent = bt_session_add(s->session, &add, &err);
    assert_non_null(s->torrent);
}

static inline void side_fetch(struct side *s, struct world *w, const char *folder,
                              const struct side *from, bool by_magnet)
{
    struct tarn_err err;
    struct sys_addr_text text;
    struct sys_addr at = bt_session_addr(from->session, 0);
    side_open(s, w, folder);
    snprintf(s->peer, sizeof s->peer, "%s", sys_addr_text(&text, &at));
    s->peers[0] = s->peer;
    struct bt_add add = { .meta = by_magnet ? NULL : &s->meta,
                          .magnet = by_magnet ? &w->magnet : NULL,
                          .path = s->path,
                          .peers = s->peers,
                          .n_peers = 1,
                          .ops = &ops,
                          .arg = s };
    s->torrent = bt_session_add(s->session, &add, &err);
    if (s->torrent == NULL)
        fail_msg("%s", err.msg);
}

static inline bool run_until(struct world *w, const bool *flag)
{
    int64_t end = sys_now_us() + PATIENCE_US;
    while (!*flag && sys_now_us() < end)
        assert_true(loop_turn(w->loop, 100000, NULL));
    return *flag;
}

static inline void assert_same_files(const struct world *w, const struct side *s)
{
    for (int i = 0; i < FILES; i++) {
        char path[256];
        uint8_t *got;
        size_t len;
        snprintf(path, sizeof path, "%s/pay/%s", s->path, names[i]);
        assert_true(sys_read_whole(path, TARN_MIB, &got, &len, NULL));
        assert_int_equal(len, lengths[i]);
        assert_memory_equal(got, w->bytes[i], len);
        tarn_free(got);
    }
}

#endif
