/* What a node gives out of files, without the node: for tests.
 *
 *     derive FOLDER WHAT KEY=VALUE...  < paths, each ended by a NUL, in the order of a torrent
 *
 * The files below FOLDER are read once (store/intake), their hashes go to a file of hashes
 * (catalog/leaves, here: "hashes"), and from that comes WHAT:
 *     torrent    format=v1|v2|hybrid name=N piece=LEN [single=1] [tracker=T]... [seed=S]...
 *                [comment=C] by=B; the magnet link goes to standard error
 *     meta4      url=U (in front of each path) torrent=T piece=LEN
 *     sha256
 *     proof      first=N count=N, of the only file
 */
#include "node/core/derive.h"
#include "base/mem.h"
#include "base/num.h"
#include "catalog/leaves.h"
#include "node/core/meta4.h"
#include "node/core/proof.h"
#include "store/intake.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MANY = 64, HASHES_MAX = 1 << 20 };

struct one {
    struct store_intake_file f;
    struct catalog_put leaves, pieces;
};

static struct {
    const char *name, *comment, *by, *url, *torrent;
    const char *trackers[MANY], *seeds[MANY];
    uint32_t n_trackers, n_seeds;
    enum bt_format format;
    uint32_t piece;
    uint64_t first, count;
    bool is_single;
} asked;

static struct catalog_leaves *hashes;
static struct one *files;
static size_t n_files, n_done;

static void die(const struct tarn_err *err)
{
    fprintf(stderr, "%s\n", err->msg);
    exit(err->code == TARN_OK ? 1 : (int)err->code);
}

static bool on_leaves(struct store_intake_file *f, uint64_t first, const uint8_t *h, size_t n,
                      struct tarn_err *err)
{
    struct one *o = TARN_OUTER(f, struct one, f);
    return (first > 0 ||
            catalog_leaves_begin(hashes, &o->leaves, CATALOG_LEAVES, f->n_leaves, err)) &&
           catalog_leaves_put(hashes, &o->leaves, h, n, err);
}

static bool on_pieces(struct store_intake_file *f, uint64_t first, const uint8_t *h, size_t n,
                      struct tarn_err *err)
{
    struct one *o = TARN_OUTER(f, struct one, f);
    return (first > 0 ||
            catalog_leaves_begin(hashes, &o->pieces, CATALOG_PIECES, f->n_pieces, err)) &&
           catalog_leaves_put(hashes, &o->pieces, h, n, err);
}

static void done(struct store_intake_file *f)
{
    struct one *o = TARN_OUTER(f, struct one, f);
    struct tarn_err err = { 0 };
    if (f->err.code != TARN_OK)
        die(&f->err);
    if ((o->leaves.run.len > 0 && !catalog_leaves_end(hashes, &o->leaves, NULL, &err)) ||
        (o->pieces.run.len > 0 && !catalog_leaves_end(hashes, &o->pieces, f->root, &err)))
        die(&err);
    n_done++;
}

static void read_names(void)
{
    size_t cap = 0, len;
    char *line = NULL;
    struct tarn_err err = { .msg = "no memory" };
    for (;;) {
        size_t size = 0;
        ssize_t got = getdelim(&line, &size, 0, stdin);
        if (got <= 0)
            break;
        if (!TARN_GROW(files, n_files, cap))
            die(&err);
        len = strlen(line) + 1;
        files[n_files] = (struct one){ .f = { .path = tarn_strndup(line, len),
                                              .piece_len = asked.piece,
                                              .on_leaves = on_leaves,
                                              .on_pieces = on_pieces,
                                              .done = done } };
        n_files++;
        free(line);
        line = NULL;
    }
    free(line);
}

static void read_files(const char *folder)
{
    struct tarn_err err = { 0 };
    struct loop_settings loop = { 0 };
    struct loop *l = loop_new(&loop, &err);
    if (l == NULL)
        die(&err);
    struct store_intake_settings set = { .loop = l };
    struct store_intake *in = store_intake_new(&set, &err);
    int dir = sys_open(folder, SYS_OPEN_FOLDER, &err);
    if (in == NULL || dir < 0)
        die(&err);
    for (size_t i = 0; i < n_files; i++) {
        files[i].f.dir = dir;
        store_intake_submit(in, &files[i].f);
    }
    while (n_done < n_files)
        if (!loop_turn(l, -1, &err))
            die(&err);
    store_intake_free(in);
    loop_free(l);
    sys_close(&dir);
    if (!catalog_leaves_sync(hashes, &err))
        die(&err);
}

static void print(struct tarn_out *o)
{
    if (!tarn_out_ok(o))
        exit(1);
    fwrite(o->p, 1, o->len, stdout);
    tarn_out_release(o);
}

/* Torrents. */

static bool give_leaves(void *arg, uint64_t first, const uint8_t *h, size_t n, struct tarn_err *err)
{
    (void)first;
    return derive_leaves(arg, h, n, err);
}

static bool give_pieces(void *arg, uint64_t first, const uint8_t *h, size_t n, struct tarn_err *err)
{
    (void)first;
    return derive_pieces(arg, h, n, err);
}

static bool derive_one(struct derive *d, const struct one *o, struct tarn_err *err)
{
    struct derive_file f = {
        .path = tarn_bytes_str(asked.is_single ? "" : o->f.path),
        .len = o->f.len,
        .is_executable = o->f.stat.is_executable,
        .root = o->f.root,
        .tail = o->f.has_tail ? o->f.tail : NULL,
        .tail_padded = o->f.tail_padded,
    };
    return derive_begin(d, &f, err) &&
           (!derive_wants_leaves(d, f.len) ||
            catalog_leaves_walk(hashes, o->leaves.run, CATALOG_LEAVES, f.root, give_leaves, d,
                                err)) &&
           (!derive_wants_pieces(d, f.len) ||
            catalog_leaves_walk(hashes, o->pieces.run, CATALOG_PIECES, f.root, give_pieces, d,
                                err)) &&
           derive_end(d, err);
}

static void torrent(void)
{
    struct tarn_err err = { 0 };
    struct bt_hashes info;
    struct tarn_out o, magnet;
    struct derive_settings set = {
        .format = asked.format,
        .name = tarn_bytes_str(asked.name),
        .is_single_file = asked.is_single,
        .piece_len = asked.piece,
        .trackers = asked.trackers,
        .n_trackers = asked.n_trackers,
        .web_seeds = asked.seeds,
        .n_web_seeds = asked.n_seeds,
        .comment = asked.comment,
        .created_by = asked.by,
    };
    struct derive *d = derive_new(&set, &err);
    if (d == NULL)
        die(&err);
    for (size_t i = 0; i < n_files; i++)
        if (!derive_one(d, &files[i], &err))
            die(&err);
    tarn_out_init(&o, BT_TORRENT_MAX);
    tarn_out_init(&magnet, BT_TORRENT_MAX);
    if (!derive_torrent(d, &o, &info, &err))
        die(&err);
    derive_magnet(&set, &info, &magnet);
    fwrite(magnet.p, 1, magnet.len, stderr);
    tarn_out_release(&magnet);
    print(&o);
    derive_free(d);
}

/* Metalinks and lines of sums. */

static bool put_pieces(void *arg, uint64_t first, const uint8_t *h, size_t n, struct tarn_err *err)
{
    (void)first;
    (void)err;
    meta4_pieces(arg, h, n);
    return true;
}

static void meta4(void)
{
    struct tarn_err err = { 0 };
    struct tarn_out o;
    tarn_out_init(&o, BT_TORRENT_MAX);
    meta4_begin(&o, "tarn");
    for (size_t i = 0; i < n_files; i++) {
        const struct one *one = &files[i];
        char url[4096];
        const char *urls[] = { url };
        snprintf(url, sizeof url, "%s%s", asked.url, one->f.path);
        struct meta4_file f = {
            .path = tarn_bytes_str(one->f.path),
            .len = one->f.len,
            .sha256 = one->f.sha256,
            .piece_len = asked.piece,
            .urls = urls,
            .n_urls = 1,
            .torrent = asked.torrent,
            .torrent_path = tarn_bytes_str(one->f.path),
        };
        meta4_file_begin(&o, &f);
        if (meta4_wants_pieces(&f)) {
            if (one->pieces.run.len > 0 &&
                !catalog_leaves_walk(hashes, one->pieces.run, CATALOG_PIECES, one->f.root,
                                     put_pieces, &o, &err))
                die(&err);
            if (one->f.has_tail)
                meta4_pieces(&o, one->f.tail, 1);
        }
        meta4_file_end(&o, &f);
    }
    meta4_end(&o);
    print(&o);
}

static void sha256(void)
{
    struct tarn_out o;
    tarn_out_init(&o, BT_TORRENT_MAX);
    for (size_t i = 0; i < n_files; i++)
        sha256_line(&o, tarn_bytes_str(files[i].f.path), files[i].f.sha256);
    print(&o);
}

/* Proofs. */

static bool take_leaves(void *arg, uint64_t first, const uint8_t *h, size_t n, struct tarn_err *err)
{
    (void)first;
    (void)err;
    proof_leaves(arg, h, n);
    return true;
}

static void proof(void)
{
    struct tarn_err err = { 0 };
    struct tarn_out o;
    struct proof p;
    const struct one *one = &files[0];
    if (!proof_begin(&p, one->f.len, asked.first, asked.count, &err))
        die(&err);
    if (one->f.n_leaves == 1)
        proof_leaves(&p, one->f.root, 1);
    else if (!catalog_leaves_walk(hashes, one->leaves.run, CATALOG_LEAVES, one->f.root, take_leaves,
                                  &p, &err))
        die(&err);
    if (!proof_end(&p, one->f.root, &err))
        die(&err);
    tarn_out_init(&o, HASHES_MAX);
    proof_write(&p, one->f.root, &o);
    print(&o);
}

static void take_word(const char *word)
{
    const char *value = strchr(word, '=');
    size_t len = value == NULL ? 0 : (size_t)(value++ - word);
    struct tarn_bytes key = tarn_bytes_of(word, len);
    if (tarn_bytes_eq_str(key, "format"))
        asked.format = strcmp(value, "v1") == 0   ? BT_V1
                       : strcmp(value, "v2") == 0 ? BT_V2
                                                  : BT_HYBRID;
    else if (tarn_bytes_eq_str(key, "name"))
        asked.name = value;
    else if (tarn_bytes_eq_str(key, "comment"))
        asked.comment = value;
    else if (tarn_bytes_eq_str(key, "by"))
        asked.by = value;
    else if (tarn_bytes_eq_str(key, "url"))
        asked.url = value;
    else if (tarn_bytes_eq_str(key, "torrent"))
        asked.torrent = value;
    else if (tarn_bytes_eq_str(key, "tracker") && asked.n_trackers < MANY)
        asked.trackers[asked.n_trackers++] = value;
    else if (tarn_bytes_eq_str(key, "seed") && asked.n_seeds < MANY)
        asked.seeds[asked.n_seeds++] = value;
    else if (tarn_bytes_eq_str(key, "piece"))
        asked.piece = (uint32_t)strtoul(value, NULL, 10);
    else if (tarn_bytes_eq_str(key, "first"))
        asked.first = strtoull(value, NULL, 10);
    else if (tarn_bytes_eq_str(key, "count"))
        asked.count = strtoull(value, NULL, 10);
    else if (tarn_bytes_eq_str(key, "single"))
        asked.is_single = true;
    else
        exit(2);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*make)(void);
    } whats[] = {
        { "torrent", torrent }, { "meta4", meta4 }, { "sha256", sha256 }, { "proof", proof }
    };
    struct tarn_err err = { 0 };
    for (int i = 3; i < argc; i++)
        take_word(argv[i]);
    if (argc < 3)
        return 2;
    hashes = catalog_leaves_open("hashes", false, &err);
    if (hashes == NULL)
        die(&err);
    read_names();
    read_files(argv[1]);
    for (size_t i = 0; i < TARN_COUNT_OF(whats); i++)
        if (strcmp(argv[2], whats[i].name) == 0)
            whats[i].make();
    for (size_t i = 0; i < n_files; i++)
        tarn_free((void *)(uintptr_t)files[i].f.path);
    tarn_free(files);
    catalog_leaves_close(hashes);
    return 0;
}
