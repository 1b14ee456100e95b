/* Torrents and magnet links that others, or a script from a seed, made, each with the answer it
 * must give: bittorrent/ beside this file, and with TARN_VECTORS in the environment the larger set
 * below $TARN_VECTORS/bittorrent, which holds test data of other projects. One TAP point a row.
 *
 * Usage: vectors_test FOLDER, this file's. */
#include "base/arena.h"
#include "base/out.h"
#include "base/text.h"
#include "bt/core/create.h"
#include "bt/core/magnet.h"
#include "bt/core/metainfo.h"
#include "bt/core/test/invariants.h"
#include "codec/url.h"
#include "crypt/sha.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    COLUMNS_MAX = 20,
    FILE_MAX = 64 << 20, /* of a torrent written again */
};

static unsigned n_points, n_failed;

/* What is wrong with the row at hand; empty: nothing. */
static char fault[2048];

TARN_PRINTF(1, 2) static bool wrong(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(fault, sizeof fault, fmt, args);
    va_end(args);
    return false;
}

static void point(bool ok, const char *set, const char *name)
{
    printf("%sok %u - %s %s\n", ok ? "" : "not ", ++n_points, set, name);
    if (!ok) {
        n_failed++;
        for (char *p = fault; *p != '\0'; p++)
            if (*p == '\n')
                *p = ' ';
        printf("# %s\n", fault);
    }
}

/* A file's bytes with a NUL behind, to be freed; ends the program when it cannot be read: a test
 * without its table tests nothing. */
static char *slurp(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    long size = f == NULL || fseek(f, 0, SEEK_END) != 0 ? -1 : ftell(f);
    char *text = size < 0 ? NULL : malloc((size_t)size + 1);
    if (text == NULL) {
        printf("Bail out! cannot read %s\n", path);
        exit(1);
    }
    rewind(f);
    *len = fread(text, 1, (size_t)size, f);
    text[*len] = '\0';
    fclose(f);
    return text;
}

/* A table of lines and tabs, the first line naming the columns. Splits the text in place. */
struct table {
    char *text, *left;
    char *names[COLUMNS_MAX];
    char *row[COLUMNS_MAX];
    size_t n_columns;
};

static size_t split_line(char **left, char *cells[COLUMNS_MAX])
{
    size_t n = 0;
    char *line = strsep(left, "\n");
    while (line != NULL && n < COLUMNS_MAX)
        cells[n++] = strsep(&line, "\t");
    return n;
}

static void table_open(struct table *t, const char *folder, const char *name)
{
    char path[4096];
    size_t len;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    t->text = t->left = slurp(path, &len);
    t->n_columns = split_line(&t->left, t->names);
}

static bool table_next(struct table *t)
{
    while (t->left != NULL) {
        size_t n = split_line(&t->left, t->row);
        if (n == t->n_columns)
            return true;
        if (n > 1 || t->row[0][0] != '\0') {
            printf("Bail out! a row of %zu columns: %s\n", n, t->row[0]);
            exit(1);
        }
    }
    return false;
}

static const char *cell(const struct table *t, const char *name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (strcmp(t->names[i], name) == 0)
            return t->row[i];
    printf("Bail out! no column %s\n", name);
    exit(1);
}

/* What a refusal of each class must say. */
static const char *class_says(const char *class)
{
    static const char *const says[][2] = {
        { "bad-file-length", "not a file length" },
        { "bad-piece-length", "info.piece length" },
        { "bad-pieces-length", "info.pieces has" },
        { "bencode:bad-int", "where a digit of an integer should be" },
        { "bencode:depth-limit", "nested deeper than 100 levels" },
        { "bencode:int-overflow", "an integer that needs more than 64 bits" },
        { "bencode:string-length-overflow", "a string longer than 2147483647 bytes" },
        { "bencode:string-past-end", "are left (truncated?)" },
        { "bencode:truncated", "the data end in the middle of a value" },
        { "bencode:unexpected-byte", " should be" },
        { "duplicate-key-in-info", "stands twice in one dictionary" },
        { "duplicate-top-level-info", "info stands twice" },
        { "file-tree-empty-name", "an empty name" },
        { "file-tree-node-not-dict", "is not a dictionary" },
        { "file-tree-without-meta-version", "info has a file tree, but its meta version is not 2" },
        { "hybrid-mismatch", "the v1 and v2 files of this hybrid torrent differ" },
        { "missing-file-tree", "info has no file tree" },
        { "missing-name", "info.name is" },
        { "missing-path", "has no path" },
        { "missing-pieces", "info has no pieces" },
        { "missing-pieces-root", "has no pieces root" },
        { "no-files", "holds no files" },
        { "no-info", "there is no info dictionary" },
        { "no-length-no-files", "info has neither length nor files" },
        { "noncanonical-bencoding-v2", "info is not canonical bencoding" },
        { "pad-file-in-file-tree", "is a padding file" },
        { "path-element-not-string", "is not a string" },
        { "path-too-deep", "is deeper than 100 elements" },
        { "piece-layer-bad-size", "has a wrong size" },
        { "piece-layer-hash-mismatch", "does not hash to that root" },
        { "piece-layer-unknown-root", "is of no file larger than a piece" },
        { "piece-layers-not-dict", "piece layers is not a dictionary" },
        { "root-not-dict", "not a torrent: " },
        { "too-many-duplicate-paths", "more than 100 files have a path that another" },
        { "too-many-pieces", "more than 2097152 pieces" },
        { "unknown-meta-version", "a newer format than this program reads" },
        { "zero-size", "all its files are empty" },
    };
    for (size_t i = 0; i < TARN_COUNT_OF(says); i++)
        if (strcmp(says[i][0], class) == 0)
            return says[i][1];
    return "a class that vectors_test.c does not know";
}

static bool check_refusal(const struct table *t, const struct tarn_err *err)
{
    const char *says = class_says(cell(t, "reason"));
    if (err->code != TARN_E_FAILED)
        return wrong("refused with code %s: %s", tarn_code_name(err->code), err->msg);
    if (strstr(err->msg, says) == NULL)
        return wrong("refused with \"%s\", which does not say \"%s\"", err->msg, says);
    return true;
}

static bool check_hash(const char *which, const char *want, bool has, const uint8_t *hash,
                       size_t len)
{
    char hex[65] = "-";
    if (has)
        tarn_hex(hex, tarn_bytes_of(hash, len));
    return strcmp(hex, want) == 0 || wrong("%s hash %s instead of %s", which, hex, want);
}

static bool check_number(const struct table *t, const char *column, uint64_t found)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, found);
    return strcmp(text, cell(t, column)) == 0 ||
           wrong("%s is %s instead of %s", column, text, cell(t, column));
}

/* "none needed": no file is larger than a piece, so the table may say "present" (an empty
 * dictionary) or "absent" (no key). */
static const char *layers_of(const struct bt_metainfo *m)
{
    bool any = false;
    for (uint32_t i = 0; i < m->n_files; i++)
        any |= m->files[i].layer != NULL;
    if (!m->hashes.has_v2)
        return "-";
    if (m->has_all_layers)
        return any ? "present" : "none needed";
    return any ? "partial" : "absent";
}

/* The table also tells duplicate keys, which we refuse. */
static const char *lax_of(const struct bt_metainfo *m)
{
    if (m->lax == BENC_SOFT_ORDER)
        return "unsorted key";
    return m->lax == BENC_SOFT_NUMBER ? "noncanonical int" : m->lax == 0 ? "-" : "several";
}

/* Written again and read again it is the same. */
static bool check_rewrite(const struct bt_metainfo *m)
{
    struct tarn_out o;
    struct bt_metainfo again;
    struct tarn_err err;
    tarn_out_init(&o, FILE_MAX);
    bt_metainfo_write(m, &o);
    bool ok = bt_metainfo_parse(&again, tarn_out_bytes(&o), &err);
    if (!ok) {
        wrong("written again it is refused: %s", err.msg);
    } else {
        const char *what = differs(m, &again);
        if (what != NULL)
            ok = wrong("written again it differs in %s", what);
        bt_metainfo_release(&again);
    }
    tarn_out_release(&o);
    return ok;
}

static bool check_info(const struct bt_metainfo *m)
{
    struct bt_metainfo inner;
    struct tarn_err err;
    if (!bt_metainfo_parse_info(&inner, m->info, &err))
        return wrong("its info alone is refused: %s", err.msg);
    bool same = memcmp(&inner.hashes, &m->hashes, sizeof inner.hashes) == 0 &&
                inner.n_files == m->n_files && inner.total == m->total;
    bt_metainfo_release(&inner);
    return same || wrong("its info alone is read differently");
}

static bool check_accepted(const struct table *t, const struct bt_metainfo *m)
{
    const struct bt_hashes *h = &m->hashes;
    const char *kind = h->has_v1 && h->has_v2 ? "hybrid" : h->has_v2 ? "v2" : "v1";
    const char *broken = metainfo_fault(m);
    if (broken != NULL)
        return wrong("%s", broken);
    if (strcmp(kind, cell(t, "kind")) != 0)
        return wrong("%s instead of %s", kind, cell(t, "kind"));
    bool needs_none = m->hashes.has_v2 && layers_of(m)[0] == 'n';
    if (needs_none ? cell(t, "layers")[0] == '-' : strcmp(layers_of(m), cell(t, "layers")) != 0)
        return wrong("layers are %s instead of %s", layers_of(m), cell(t, "layers"));
    if (strcmp(lax_of(m), cell(t, "lax")) != 0)
        return wrong("lax is %s instead of %s", lax_of(m), cell(t, "lax"));
    return check_hash("v1", cell(t, "v1"), h->has_v1, h->v1, sizeof h->v1) &&
           check_hash("v2", cell(t, "v2"), h->has_v2, h->v2, sizeof h->v2) &&
           check_number(t, "files", m->n_real_files) && check_number(t, "payload", m->payload) &&
           check_number(t, "piece_length", m->piece_len) &&
           check_number(t, "pieces", m->n_pieces) && check_number(t, "private", m->is_private) &&
           check_rewrite(m) && check_info(m);
}

static bool check_torrent(const struct table *t, struct tarn_bytes torrent)
{
    struct bt_metainfo m;
    struct tarn_err err = { .code = TARN_OK };
    uint8_t sha[CRYPT_SHA256_LEN];
    crypt_hash(CRYPT_SHA256, torrent, sha);
    if (!check_hash("file's", cell(t, "sha256"), true, sha, sizeof sha))
        return false;
    bool accepts = strcmp(cell(t, "expect"), "accept") == 0;
    if (!bt_metainfo_parse(&m, torrent, &err))
        return accepts ? wrong("refused: %s", err.msg) : check_refusal(t, &err);
    bool ok = accepts ? check_accepted(t, &m) : wrong("accepted");
    bt_metainfo_release(&m);
    return ok;
}

static void run_manifest(const char *folder, const char *set)
{
    struct table t;
    table_open(&t, folder, "MANIFEST.tsv");
    while (table_next(&t)) {
        char path[4096];
        size_t len;
        snprintf(path, sizeof path, "%s/%s", folder, cell(&t, "file"));
        char *text = slurp(path, &len);
        point(check_torrent(&t, tarn_bytes_of(text, len)), set, cell(&t, "file"));
        free(text);
    }
    free(t.text);
}

/* Our own refusals, to the word. */
static void run_refusals(const char *folder)
{
    struct table t;
    table_open(&t, folder, "refusals.tsv");
    while (table_next(&t)) {
        char path[4096];
        size_t len;
        struct bt_metainfo m;
        struct tarn_err err = { .code = TARN_OK };
        snprintf(path, sizeof path, "%s/bittorrent/%s", folder, cell(&t, "file"));
        char *text = slurp(path, &len);
        bool ok = false;
        if (bt_metainfo_parse(&m, tarn_bytes_of(text, len), &err)) {
            wrong("accepted");
            bt_metainfo_release(&m);
        } else {
            ok = strstr(err.msg, cell(&t, "says")) != NULL;
            if (!ok)
                wrong("\"%s\" instead of \"%s\"", err.msg, cell(&t, "says"));
        }
        point(ok, "refusal", cell(&t, "file"));
        free(text);
    }
    free(t.text);
}

/* One torrent's lines of PATHS.tsv, from the row at hand to the last of it; *more: another follows.
 */
static bool check_paths(struct table *t, const struct bt_metainfo *m, const char *torrent,
                        bool *more)
{
    bool ok = true;
    uint32_t i = 0;
    do {
        char want[8192];
        struct tarn_out o;
        tarn_out_fixed(&o, want, sizeof want - 1);
        url_unescape(&o, tarn_bytes_str(cell(t, "path")), false);
        want[o.len] = '\0';
        while (i < m->n_files && m->files[i].is_pad)
            i++;
        if (ok && i == m->n_files)
            ok = wrong("it has no file '%s'", want);
        else if (ok && strcmp(m->files[i].path, want) != 0)
            ok = wrong("'%s' instead of '%s'", m->files[i].path, want);
        else if (ok)
            ok = check_number(t, "size", m->files[i].len);
        i += i < m->n_files;
        *more = table_next(t);
    } while (*more && strcmp(cell(t, "torrent"), torrent) == 0);
    while (i < m->n_files && m->files[i].is_pad)
        i++;
    return ok && (i == m->n_files || wrong("it also has '%s'", m->files[i].path));
}

static void run_paths(const char *folder)
{
    struct table t;
    table_open(&t, folder, "PATHS.tsv");
    bool more = table_next(&t);
    while (more) {
        char path[4096], torrent[256];
        size_t len;
        struct bt_metainfo m = { .n_files = 0 };
        struct tarn_err err;
        snprintf(torrent, sizeof torrent, "%s", cell(&t, "torrent"));
        snprintf(path, sizeof path, "%s/%s", folder, torrent);
        char *text = slurp(path, &len);
        if (!bt_metainfo_parse(&m, tarn_bytes_of(text, len), &err))
            wrong("refused: %s", err.msg);
        point(check_paths(&t, &m, torrent, &more), "paths of", torrent);
        bt_metainfo_release(&m);
        free(text);
    }
    free(t.text);
}

static bool check_list(const char *what, const char *want, const char *const *items, uint32_t n)
{
    char found[4096] = "";
    size_t len = 0;
    for (uint32_t i = 0; i < n; i++)
        len +=
            (size_t)snprintf(found + len, sizeof found - len, "%s%s", i == 0 ? "" : " ", items[i]);
    return strcmp(n == 0 ? "-" : found, want) == 0 ||
           wrong("%s are \"%s\" instead of \"%s\"", what, found, want);
}

static bool check_only(const char *want, const struct bt_magnet *m)
{
    char found[4096] = "-";
    size_t len = 0;
    for (uint32_t i = 0; i < m->n_only; i++)
        for (uint32_t n = m->only[i].first; n <= m->only[i].last && len < 4000; n++)
            len +=
                (size_t)snprintf(found + len, sizeof found - len, "%s%u", len == 0 ? "" : ",", n);
    return strcmp(found, want) == 0 || wrong("files are %s instead of %s", found, want);
}

static bool check_magnet(const struct table *t)
{
    struct bt_magnet m;
    struct tarn_err err = { .code = TARN_OK };
    bool accepts = strcmp(cell(t, "expect"), "accept") == 0;
    if (!bt_magnet_parse(&m, tarn_bytes_str(cell(t, "uri")), &err))
        return !accepts ? err.msg[0] != '\0' || wrong("refused without a word")
                        : wrong("refused: %s", err.msg);
    const struct bt_hashes *h = &m.hashes;
    bool ok = accepts || wrong("accepted");
    ok = ok && check_hash("v1", cell(t, "v1"), h->has_v1, h->v1, sizeof h->v1) &&
         check_hash("v2", cell(t, "v2"), h->has_v2, h->v2, sizeof h->v2) &&
         check_list("trackers", cell(t, "trackers"), m.trackers, m.n_trackers) &&
         check_list("web seeds", cell(t, "webseeds"), m.web_seeds, m.n_web_seeds) &&
         check_list("peers", cell(t, "peers"), m.peers, m.n_peers) && check_only(cell(t, "so"), &m);
    const char *name = m.name == NULL ? "-" : m.name;
    ok = ok && (strcmp(name, cell(t, "dn")) == 0 || wrong("the name is %s", name));
    bt_magnet_release(&m);
    return ok;
}

static void run_magnets(const char *folder)
{
    struct table t;
    table_open(&t, folder, "MAGNETS.tsv");
    while (table_next(&t))
        point(check_magnet(&t), "magnet:", cell(&t, "note"));
    free(t.text);
}

/* The same torrent from its description, as if its files had just been hashed. */
static void create_again(const struct bt_metainfo *m, struct bt_new_file *files, struct tarn_out *o)
{
    const char *trackers[8];
    struct bt_new t = {
        .format = (enum bt_format)((m->hashes.has_v1 ? BT_V1 : 0) | (m->hashes.has_v2 ? BT_V2 : 0)),
        .name = tarn_bytes_str(m->name),
        .is_single_file = m->is_single_file,
        .files = files,
        .piece_len = m->piece_len,
        .pieces = m->pieces,
        .n_pieces = m->n_pieces,
        .trackers = trackers,
        .source = m->source,
        .comment = m->comment,
        .created_by = m->created_by,
        .created_at = m->created_at,
        .is_private = m->is_private,
    };
    for (; t.n_trackers < m->n_trackers && t.n_trackers < TARN_COUNT_OF(trackers); t.n_trackers++)
        trackers[t.n_trackers] = m->trackers[t.n_trackers].url;
    for (uint32_t i = 0; i < m->n_files; i++) {
        const struct bt_file *f = &m->files[i];
        if (f->is_pad)
            continue;
        struct bt_new_file *to = &files[t.n_files++];
        *to = (struct bt_new_file){ .len = f->len, .root = f->root, .layer = f->layer };
        to->is_executable = f->is_executable;
        if (!m->is_single_file)
            to->path = tarn_bytes_str(f->path + strlen(m->name) + 1);
    }
    bt_create_write(&t, o);
}

/* Torrents of others' making that are written as we write them, to the byte. */
static void run_created(const char *folder)
{
    static const char *const torrents[] = {
        "good-hybrid-single",       "good-hybrid-tail-pad", "good-v1-exact-pieces",
        "good-v1-huge-length",      "good-v1-many-files",   "good-v1-multi-empty-files",
        "good-v1-odd-piece-length", "good-v1-one-byte",     "good-v1-small-piece-length",
        "good-v2-tree-shared-root",
    };
    for (size_t i = 0; i < TARN_COUNT_OF(torrents); i++) {
        char path[4096];
        size_t len;
        struct bt_metainfo m;
        struct tarn_err err;
        struct tarn_out o;
        snprintf(path, sizeof path, "%s/tarn/%s.torrent", folder, torrents[i]);
        char *text = slurp(path, &len);
        tarn_out_init(&o, FILE_MAX);
        bool ok = bt_metainfo_parse(&m, tarn_bytes_of(text, len), &err);
        if (!ok) {
            wrong("refused: %s", err.msg);
        } else {
            struct bt_new_file *files = calloc(m.n_files, sizeof *files);
            if (files == NULL)
                abort();
            create_again(&m, files, &o);
            ok = tarn_bytes_eq(tarn_out_bytes(&o), tarn_bytes_of(text, len)) ||
                 wrong("it is written differently");
            free(files);
            bt_metainfo_release(&m);
        }
        point(ok, "created", torrents[i]);
        tarn_out_release(&o);
        free(text);
    }
}

int main(int argc, char **argv)
{
    char folder[2048];
    const char *others = getenv("TARN_VECTORS");
    if (argc != 2) {
        fprintf(stderr, "usage: vectors_test FOLDER\n");
        return 2;
    }
    snprintf(folder, sizeof folder, "%s/bittorrent", argv[1]);
    run_manifest(folder, "own");
    run_refusals(argv[1]);
    run_paths(folder);
    run_magnets(folder);
    run_created(folder);
    if (others == NULL || others[0] == '\0') {
        printf("# TARN_VECTORS is not set: the vectors of other projects were not there\n");
    } else {
        snprintf(folder, sizeof folder, "%s/bittorrent", others);
        run_manifest(folder, "all");
        run_magnets(folder);
    }
    printf("1..%u\n", n_points);
    return n_failed > 0;
}
