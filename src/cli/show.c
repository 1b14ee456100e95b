/* cli/show: tarn show. On a terminal files are a tree; elsewhere a line each, for other programs.
 */
#include "base/num.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/verbs.h"

#include <string.h>
#include <time.h>

static void put_row(const char *label, const char *value)
{
    if (value == NULL)
        return;
    printf("%s%-12s%s ", cli_bold(stdout), label, cli_plain(stdout));
    cli_put_text(stdout, value);
    putchar('\n');
}

static void put_date(int64_t at)
{
    char text[64];
    time_t seconds = (time_t)at;
    struct tm utc;
    if (at < 0)
        return;
    if (gmtime_r(&seconds, &utc) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc) == 0)
        snprintf(text, sizeof text, "%lld", (long long)at);
    put_row("made on", text);
}

static void put_content(const struct tarn_torrent_info *info)
{
    struct tarn_size_text all, piece;
    struct cli_count files, pieces, bytes;
    printf("%s%-12s%s %s, %s (%s), %s of %s\n", cli_bold(stdout), "content", cli_plain(stdout),
           cli_count(&files, info->n_files, "file"), tarn_size_text(&all, info->length),
           cli_count(&bytes, info->length, "byte"), cli_count(&pieces, info->n_pieces, "piece"),
           tarn_size_text(&piece, info->piece_length));
}

static const char *kind_of(const struct tarn_torrent_info *info)
{
    if (info->v1 != NULL && info->v2 != NULL)
        return info->is_magnet ? "magnet link, v1 and v2" : "torrent, hybrid (v1 and v2)";
    if (info->v2 != NULL)
        return info->is_magnet ? "magnet link, v2" : "torrent, v2";
    return info->is_magnet ? "magnet link, v1" : "torrent, v1";
}

static void put_trackers(const struct tarn_torrent *t)
{
    const struct tarn_torrent_info *info = tarn_torrent_info(t);
    for (uint32_t i = 0; i < info->n_trackers; i++) {
        unsigned tier;
        char label[32];
        const char *url = tarn_torrent_tracker(t, i, &tier);
        snprintf(label, sizeof label, "tracker %u", tier + 1);
        put_row(label, url);
    }
    for (uint32_t i = 0; i < info->n_web_seeds; i++)
        put_row("web seed", tarn_torrent_web_seed(t, i));
    for (uint32_t i = 0; i < info->n_nodes; i++)
        put_row("node", tarn_torrent_node(t, i));
}

static void put_head(const struct tarn_torrent *t)
{
    const struct tarn_torrent_info *info = tarn_torrent_info(t);
    char hex[65];
    put_row("name", info->name);
    put_row("kind", kind_of(info));
    if (!info->is_magnet)
        put_content(info);
    if (info->v1 != NULL)
        put_row("v1", tarn_hex(hex, tarn_bytes_of(info->v1, 20)));
    if (info->v2 != NULL)
        put_row("v2", tarn_hex(hex, tarn_bytes_of(info->v2, 32)));
    if (info->is_private)
        put_row("private", "yes: peers come from the trackers alone");
    if (info->is_lax)
        put_row("note", "not canonically encoded; some programs may refuse it");
    if (!info->is_magnet && info->v2 != NULL && !info->has_layers)
        put_row("note", "piece layers are missing; peers have them");
    put_row("comment", info->comment);
    put_row("source", info->source);
    put_row("made by", info->created_by);
    put_date(info->created_at);
    put_trackers(t);
    put_row("magnet", tarn_torrent_magnet(t));
}

/* Bytes of the folders that two paths share, slashes included. */
static size_t shared_folders(const char *a, const char *b)
{
    size_t shared = 0;
    for (size_t i = 0; a[i] != '\0' && a[i] == b[i]; i++)
        if (a[i] == '/')
            shared = i + 1;
    return shared;
}

static void put_tree_line(const char *size, unsigned depth, struct tarn_bytes name, const char *end)
{
    char text[1024];
    snprintf(text, sizeof text, "%.*s", (int)tarn_min_size(name.len, sizeof text - 1),
             (const char *)name.p);
    printf("%12s  %*s", size, (int)(2 * depth), "");
    cli_put_text(stdout, text);
    puts(end);
}

/* A file, after lines for the folders that the file before it was not in. */
static void put_in_tree(const struct tarn_torrent_file *f, const char *before)
{
    size_t at = 0, shared = shared_folders(before, f->path);
    struct tarn_size_text size;
    unsigned depth = 0;
    for (const char *slash; (slash = strchr(f->path + at, '/')) != NULL; depth++) {
        size_t len = (size_t)(slash - f->path) - at;
        if (at + len + 1 > shared)
            put_tree_line("", depth, tarn_bytes_of(f->path + at, len), "/");
        at += len + 1;
    }
    put_tree_line(f->is_symlink ? "link" : tarn_size_text(&size, f->length), depth,
                  tarn_bytes_str(f->path + at), f->is_executable ? "*" : "");
}

static void put_files(const struct tarn_torrent *t)
{
    const char *before = "";
    bool as_tree = cli_is_terminal(stdout);
    putchar('\n');
    for (uint32_t i = 0; i < tarn_torrent_info(t)->n_files; i++) {
        struct tarn_torrent_file f;
        tarn_torrent_file(t, i, &f);
        if (as_tree) {
            put_in_tree(&f, before);
            before = f.path;
            continue;
        }
        printf("%llu\t", (unsigned long long)f.length);
        cli_put_text(stdout, f.path);
        putchar('\n');
    }
}

static void put_json_files(const struct tarn_torrent *t)
{
    for (uint32_t i = 0; i < tarn_torrent_info(t)->n_files; i++) {
        struct tarn_torrent_file f;
        struct cli_line l;
        tarn_torrent_file(t, i, &f);
        cli_line_begin(&l, "file");
        json_put_u64(&l.json, "file", i);
        json_put_str(&l.json, "path", f.path);
        json_put_u64(&l.json, "length", f.length);
        json_put_u64(&l.json, "offset", f.offset);
        if (f.root != NULL)
            json_put_hex(&l.json, "root", tarn_bytes_of(f.root, 32));
        json_put_bool(&l.json, "executable", f.is_executable);
        json_put_bool(&l.json, "symlink", f.is_symlink);
        cli_line_end(&l, stdout);
    }
}

int cli_show(const struct cli_args *args)
{
    bool as_json = cli_has(args, CLI_JSON);
    struct tarn_err err;
    struct tarn_torrent *t = tarn_torrent_open(args->operands[0], &err);
    if (t == NULL)
        return cli_fail(as_json, &err);
    if (as_json) {
        cli_line_torrent(t, NULL);
        put_json_files(t);
    } else {
        put_head(t);
        if (!tarn_torrent_info(t)->is_magnet)
            put_files(t);
    }
    tarn_torrent_free(t);
    return 0;
}
