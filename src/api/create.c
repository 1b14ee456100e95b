/* api/create: tarn_create: list the files, lay them out, read them once, write the torrent, and
 * read it back as everybody else will. */
#include "bt/core/create.h"
#include "api/gather.h"
#include "api/leaves.h"
#include "api/priv.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "codec/url.h"
#include "store/scan.h"
#include "sys/thread.h"

#include <stdio.h>

struct maker {
    const struct tarn_create *c;
    enum bt_format format;
    uint32_t piece_len;
    struct api_gathered from;
    struct store_layout layout; /* same indices as from.files; padding is gaps */
    struct store_tree *tree;
    uint8_t *sha1;  /* v1: of each piece */
    uint8_t *nodes; /* v2: of each piece; a file's are its layer */
    uint8_t *roots; /* v2: of each file */
    struct api_leaves leaves;
    struct sys_lock lock; /* of failed and err, while workers run */
    bool failed;
    struct tarn_err err;
};

/* What was asked for. */

static bool check_url(const char *text, const char *what, const char *const *schemes,
                      struct tarn_err *err)
{
    struct url u;
    struct tarn_quote q;
    tarn_quote_str(&q, text);
    if (!url_parse(tarn_bytes_str(text), &u, err))
        return tarn_fail(err, TARN_E_USAGE, "'%s' is no URL of a %s", q.s, what);
    for (; *schemes != NULL; schemes++)
        if (url_scheme_is(&u, *schemes) && u.host.len > 0)
            return true;
    return tarn_fail(err, TARN_E_USAGE, "'%s' is no URL of a %s", q.s, what);
}

static bool check_text(const char *text, const char *what, struct tarn_err *err)
{
    return text == NULL || tarn_utf8_valid(tarn_bytes_str(text)) ||
           tarn_fail(err, TARN_E_USAGE, "the %s is not UTF-8", what);
}

static bool check(const struct tarn_create *c, struct tarn_err *err)
{
    static const char *const tracker[] = { "http", "https", "udp", "ws", "wss", NULL };
    static const char *const seed[] = { "http", "https", "ftp", NULL };
    for (size_t i = 0; i < c->n_trackers; i++)
        if (!check_url(c->trackers[i], "tracker", tracker, err))
            return false;
    for (size_t i = 0; i < c->n_web_seeds; i++)
        if (!check_url(c->web_seeds[i], "web seed", seed, err))
            return false;
    if (c->n_trackers > BT_TRACKERS_MAX || c->n_web_seeds > BT_WEB_SEEDS_MAX)
        return tarn_fail(err, TARN_E_USAGE, "a torrent has at most %d trackers and %d web seeds",
                         BT_TRACKERS_MAX, BT_WEB_SEEDS_MAX);
    if (c->has_date && c->date < 0)
        return tarn_fail(err, TARN_E_USAGE, "a date before 1970 cannot be written");
    if (c->leaves != NULL && c->format == TARN_V1)
        return tarn_fail(err, TARN_E_USAGE, "a v1 torrent has no leaf hashes to write");
    return check_text(c->comment, "comment", err) && check_text(c->source, "source", err);
}

/* Laying out. */

static bool has_v2(const struct maker *m)
{
    return (m->format & BT_V2) != 0;
}

static uint64_t align_up(uint64_t at, uint32_t piece_len)
{
    return tarn_div_up_u64(at, piece_len) * piece_len;
}

static bool lay_out(struct maker *m, struct tarn_err *err)
{
    struct api_gathered *g = &m->from;
    struct store_file *files = tarn_calloc(g->n, sizeof *files);
    if (files == NULL)
        return tarn_fail_mem(err, "laying out files");
    uint64_t at = 0;
    for (size_t i = 0; i < g->n; i++) {
        uint64_t len = g->files[i].st.size;
        if (has_v2(m) && len > 0)
            at = align_up(at, m->piece_len);
        files[i] = (struct store_file){ .path = g->files[i].on_disk, .off = at, .len = len };
        at += len + bt_create_pad(m->format, len, m->piece_len, g->is_single_file);
    }
    m->layout = (struct store_layout){
        .files = files,
        .n_files = (uint32_t)g->n,
        .piece_len = m->piece_len,
        .n_pieces = (uint32_t)tarn_div_up_u64(at, m->piece_len),
        .total = at,
        .is_single_file = g->is_single_file,
        .name = ".",
    };
    return true;
}

static bool choose_piece_len(struct maker *m, struct tarn_err *err)
{
    static const enum bt_format formats[] = {
        [TARN_HYBRID] = BT_HYBRID, [TARN_V1] = BT_V1, [TARN_V2] = BT_V2
    };
    if ((size_t)m->c->format >= TARN_COUNT_OF(formats))
        return tarn_fail(err, TARN_E_USAGE, "there is no such format of torrents");
    m->format = formats[m->c->format];
    m->piece_len = m->c->piece_length;
    if (m->piece_len == 0)
        m->piece_len = bt_create_piece_len(m->from.total);
    if (!bt_create_piece_len_ok(m->format, m->piece_len, m->from.total, err))
        return false;
    /* Padding makes a space larger than the data. */
    uint64_t pieces = tarn_div_up_u64(m->from.total, m->piece_len);
    if (has_v2(m)) {
        pieces = 0;
        for (size_t i = 0; i < m->from.n; i++)
            pieces += tarn_div_up_u64(m->from.files[i].st.size, m->piece_len);
    }
    if (m->from.n > UINT32_MAX || pieces > BT_PIECES_MAX)
        return tarn_fail(err, TARN_E_POLICY,
                         "%llu pieces are more than the %d that a torrent can have: choose a "
                         "longer piece length",
                         (unsigned long long)pieces, BT_PIECES_MAX);
    return true;
}

static bool make_room(struct maker *m, struct tarn_err *err)
{
    if ((m->format & BT_V1) != 0) {
        m->sha1 = tarn_calloc(m->layout.n_pieces, CRYPT_SHA1_LEN);
        if (m->sha1 == NULL)
            return tarn_fail_mem(err, "making a torrent");
    }
    if (has_v2(m)) {
        m->nodes = tarn_calloc(m->layout.n_pieces, MERKLE_HASH);
        m->roots = tarn_calloc(m->layout.n_files, MERKLE_HASH);
        if (m->nodes == NULL || m->roots == NULL)
            return tarn_fail_mem(err, "making a torrent");
    }
    return m->c->leaves == NULL || api_leaves_create(&m->leaves, m->c->leaves, &m->layout, err);
}

/* Reading. */

static void fail_once(struct maker *m, const struct tarn_err *err)
{
    sys_lock_take(&m->lock);
    if (!m->failed) {
        m->failed = true;
        m->err = *err;
    }
    sys_lock_give(&m->lock);
}

static void say_fault(struct maker *m, const struct store_scanned *s)
{
    struct tarn_err err;
    struct tarn_quote q;
    api_source_quote(&m->from, s->file, &q);
    if (s->found == STORE_MISSING)
        tarn_fail(&err, TARN_E_FAILED, "'%s' has gone while it was to be read", q.s);
    else if (s->found == STORE_SHORT)
        tarn_fail(&err, TARN_E_FAILED, "'%s' became shorter while it was read", q.s);
    else
        err = *s->err;
    fail_once(m, &err);
}

/* The hash that stands for a piece: over a whole piece's leaves, or over the file's own when it is
 * not longer than a piece. */
static void fold_piece(struct maker *m, const struct store_scanned *s)
{
    uint32_t len;
    uint32_t file = store_piece_own_file(&m->layout, s->piece, &len);
    uint64_t width = m->piece_len / MERKLE_BLOCK;
    if (m->layout.files[file].len <= m->piece_len)
        width = tarn_pow2_up_u64(s->n_leaves);
    merkle_root(s->work, s->n_leaves, width, 0, m->nodes + (size_t)s->piece * MERKLE_HASH);
}

static void on_piece(void *arg, const struct store_scanned *s)
{
    struct maker *m = arg;
    struct tarn_err err;
    if (s->found != STORE_READ) {
        say_fault(m, s);
        return;
    }
    if (m->sha1 != NULL)
        memcpy(m->sha1 + (size_t)s->piece * CRYPT_SHA1_LEN, s->sha1, CRYPT_SHA1_LEN);
    if (m->nodes == NULL || s->n_leaves == 0)
        return;
    if (m->c->leaves != NULL && !api_leaves_put(&m->leaves, s->piece, s->leaves, s->n_leaves, &err))
        fail_once(m, &err);
    fold_piece(m, s);
}

static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct maker *m = arg;
    struct tarn_progress p = { done, total };
    sys_lock_take(&m->lock);
    bool failed = m->failed;
    sys_lock_give(&m->lock);
    return !failed && (m->c->on_progress == NULL || m->c->on_progress(m->c->arg, &p));
}

static bool read_all(struct maker *m, struct tarn_err *err)
{
    m->tree = store_tree_open(&m->layout, m->from.root, err);
    if (m->tree == NULL)
        return false;
    struct store_scan scan = {
        .tree = m->tree,
        .layout = &m->layout,
        .want_v1 = m->sha1 != NULL,
        .want_v2 = m->nodes != NULL,
        .jobs = m->c->jobs,
        .on_piece = on_piece,
        .on_progress = on_progress,
        .arg = m,
    };
    bool ok = store_scan_run(&scan, err);
    if (m->failed) {
        if (err != NULL)
            *err = m->err;
        return false;
    }
    return ok && api_gathered_same(&m->from, err);
}

/* Writing. */

static bool root_of(struct maker *m, uint32_t i, struct tarn_err *err)
{
    uint32_t first, last;
    uint8_t *root = m->roots + (size_t)i * MERKLE_HASH;
    if (!store_file_pieces(&m->layout, i, &first, &last))
        return true;
    const uint8_t *layer = m->nodes + (size_t)first * MERKLE_HASH;
    uint64_t n = last - first + 1;
    if (n == 1) {
        memcpy(root, layer, MERKLE_HASH);
        return true;
    }
    uint8_t *work = tarn_calloc(n, MERKLE_HASH);
    if (work == NULL)
        return tarn_fail_mem(err, "making a torrent");
    memcpy(work, layer, n * MERKLE_HASH);
    merkle_root(work, n, tarn_pow2_up_u64(n), tarn_log2_u64(m->piece_len / MERKLE_BLOCK), root);
    tarn_free(work);
    return true;
}

static struct bt_new_file *new_files(struct maker *m, struct tarn_err *err)
{
    struct bt_new_file *files = tarn_calloc(m->from.n, sizeof *files);
    if (files == NULL) {
        tarn_fail_mem(err, "making a torrent");
        return NULL;
    }
    for (uint32_t i = 0; i < m->layout.n_files; i++) {
        const struct api_source *s = &m->from.files[i];
        files[i] = (struct bt_new_file){
            .path = tarn_bytes_str(s->path),
            .len = s->st.size,
            .is_executable = s->st.is_executable,
        };
        if (!has_v2(m) || s->st.size == 0)
            continue;
        if (!root_of(m, i, err)) {
            tarn_free(files);
            return NULL;
        }
        files[i].root = m->roots + (size_t)i * MERKLE_HASH;
        if (s->st.size > m->piece_len)
            files[i].layer =
                m->nodes + (size_t)(m->layout.files[i].off / m->piece_len) * MERKLE_HASH;
    }
    return files;
}

static void write_torrent(const struct maker *m, const struct bt_new_file *files,
                          struct tarn_out *o)
{
    const struct tarn_create *c = m->c;
    char by[64];
    snprintf(by, sizeof by, "tarn %s", tarn_version());
    bt_create_write(
        &(struct bt_new){
            .format = m->format,
            .name = tarn_bytes_str(m->from.name),
            .is_single_file = m->from.is_single_file,
            .files = files,
            .n_files = m->layout.n_files,
            .piece_len = m->piece_len,
            .pieces = m->sha1,
            .n_pieces = m->layout.n_pieces,
            .trackers = c->trackers,
            .n_trackers = (uint32_t)c->n_trackers,
            .web_seeds = c->web_seeds,
            .n_web_seeds = (uint32_t)c->n_web_seeds,
            .source = c->source,
            .comment = c->comment,
            .created_by = by,
            .created_at = c->has_date ? c->date : -1,
            .is_private = c->is_private,
        },
        o);
}

/* What everybody will read is what was hashed: the same files under the same names. */
static bool reads_back(const struct maker *m, const struct tarn_torrent *t, struct tarn_err *err)
{
    size_t name_len = strlen(m->from.name);
    bool same = t->info.n_files == m->from.n && strcmp(t->info.name, m->from.name) == 0;
    for (uint32_t i = 0; same && i < t->info.n_files; i++) {
        const struct bt_file *f = &t->meta.files[t->real[i]];
        const struct api_source *s = &m->from.files[i];
        const char *below = m->from.is_single_file ? "" : f->path + name_len + 1;
        struct tarn_quote q;
        if (f->len != s->st.size || strncmp(f->path, m->from.name, name_len) != 0 ||
            strcmp(below, s->path) != 0)
            return tarn_fail(err, TARN_E_FAILED,
                             "'%s' would have another name in the torrent; rename it",
                             api_source_quote(&m->from, i, &q));
    }
    return same || tarn_fail(err, TARN_E_FAILED, "the torrent would not hold the same files");
}

static struct tarn_torrent *finish(struct maker *m, struct tarn_err *err)
{
    struct bt_new_file *files = new_files(m, err);
    if (files == NULL)
        return NULL;
    struct tarn_out o;
    struct tarn_quote q;
    tarn_out_init(&o, BT_TORRENT_MAX);
    write_torrent(m, files, &o);
    tarn_free(files);
    size_t len = o.len;
    uint8_t *bytes = (uint8_t *)tarn_out_take_str(&o);
    tarn_out_release(&o);
    if (bytes == NULL) {
        tarn_fail(err, TARN_E_POLICY,
                  "the torrent would be larger than %d MiB: choose a longer "
                  "piece length, or make several of fewer files",
                  BT_TORRENT_MAX >> 20);
        return NULL;
    }
    struct tarn_torrent *t = api_torrent_take(bytes, len, err);
    if (t == NULL)
        tarn_fail_in(err, "the torrent of '%s' cannot be read back",
                     tarn_quote_str(&q, m->from.root));
    if (t != NULL && reads_back(m, t, err) &&
        (m->c->leaves == NULL || api_leaves_finish(&m->leaves, err)))
        return t;
    tarn_torrent_free(t);
    return NULL;
}

struct tarn_torrent *tarn_create(const struct tarn_create *c, struct tarn_err *err)
{
    struct maker m = { .c = c };
    struct tarn_torrent *t = NULL;
    sys_lock_init(&m.lock);
    if (check(c, err) && api_gather(&m.from, c, err) && choose_piece_len(&m, err) &&
        lay_out(&m, err) && make_room(&m, err) && read_all(&m, err))
        t = finish(&m, err);
    sys_lock_release(&m.lock);
    api_leaves_release(&m.leaves);
    store_tree_free(m.tree);
    store_layout_release(&m.layout);
    api_gathered_release(&m.from);
    tarn_free(m.sha1);
    tarn_free(m.nodes);
    tarn_free(m.roots);
    return t;
}
