/* cli/output: see the header. */
#include "cli/output.h"

#include "base/num.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { COLUMNS_USUAL = 80, COLUMNS_MIN = 20, COLUMNS_MAX = 500, LINE_MAX_BYTES = 16 << 20 };

bool cli_is_terminal(FILE *to)
{
    return isatty(fileno(to)) == 1;
}

unsigned cli_columns(FILE *to)
{
    uint64_t columns = 0;
    struct winsize size;
    const char *set = getenv("COLUMNS");
    if ((set == NULL || !tarn_parse_u64(tarn_bytes_str(set), UINT64_MAX, &columns) ||
         columns == 0) &&
        ioctl(fileno(to), TIOCGWINSZ, &size) == 0)
        columns = size.ws_col;
    if (columns == 0)
        return COLUMNS_USUAL;
    return (unsigned)tarn_min_u64(tarn_max_u64(columns, COLUMNS_MIN), COLUMNS_MAX);
}

/* In pieces that a struct tarn_quote holds even when every byte becomes four. */
void cli_put_text(FILE *to, const char *text)
{
    enum { PIECE = 60 };
    struct tarn_bytes rest = tarn_bytes_str(text);
    while (rest.len > 0) {
        size_t n = rest.len < PIECE ? rest.len : PIECE;
        while (n > 1 && n < rest.len && (rest.p[n] & 0xC0) == 0x80) /* between characters */
            n--;
        struct tarn_quote q;
        fputs(tarn_quote(&q, tarn_bytes_of(rest.p, n)), to);
        rest = tarn_bytes_of(rest.p + n, rest.len - n);
    }
}

static bool has_color(FILE *to)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return (no == NULL || *no == '\0') && cli_is_terminal(to) &&
           !(term != NULL && strcmp(term, "dumb") == 0);
}

const char *cli_bold(FILE *to)
{
    return has_color(to) ? "\033[1m" : "";
}

const char *cli_plain(FILE *to)
{
    return has_color(to) ? "\033[0m" : "";
}

void cli_line_begin(struct cli_line *l, const char *type)
{
    tarn_out_init(&l->out, LINE_MAX_BYTES);
    json_init(&l->json, &l->out);
    json_open_object(&l->json);
    json_put_u64(&l->json, "v", 1);
    json_put_str(&l->json, "type", type);
}

void cli_line_end(struct cli_line *l, FILE *to)
{
    json_close_object(&l->json);
    tarn_out_u8(&l->out, '\n');
    if (tarn_out_ok(&l->out))
        fwrite(l->out.p, 1, l->out.len, to);
    else
        fputs("{\"v\":1,\"type\":\"error\",\"error\":{\"code\":\"no-memory\",\"message\":\"out of "
              "memory while writing a line\"}}\n",
              to);
    fflush(to); /* its failure is found by cli_flush */
    tarn_out_release(&l->out);
}

int cli_exit_of(enum tarn_code code)
{
    return code == TARN_E_CANCELED ? tarn_code_exit(TARN_E_PARTIAL) : tarn_code_exit(code);
}

int cli_fail(bool as_json, const struct tarn_err *err)
{
    if (as_json) {
        struct cli_line l;
        cli_line_begin(&l, "error");
        json_key(&l.json, "error");
        json_open_object(&l.json);
        json_put_str(&l.json, "code", tarn_code_name(err->code));
        json_put_str(&l.json, "message", err->msg);
        json_close_object(&l.json);
        cli_line_end(&l, stdout);
    } else {
        fflush(stdout);
        fprintf(stderr, "%starn:%s %s\n", cli_bold(stderr), cli_plain(stderr), err->msg);
    }
    return cli_exit_of(err->code);
}

bool cli_flush(bool as_json)
{
    struct tarn_err err;
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return true;
    tarn_fail_sys(&err, "cannot write to standard output");
    if (!as_json)
        cli_fail(false, &err);
    return false;
}

const char *cli_count(struct cli_count *dst, uint64_t n, const char *noun)
{
    snprintf(dst->s, sizeof dst->s, "%llu %s%s", (unsigned long long)n, noun, n == 1 ? "" : "s");
    return dst->s;
}

static void put_list(struct json *j, const char *key, const struct tarn_torrent *t, uint32_t n,
                     const char *(*get)(const struct tarn_torrent *t, uint32_t index))
{
    json_key(j, key);
    json_open_array(j);
    for (uint32_t i = 0; i < n; i++)
        json_str(j, tarn_bytes_str(get(t, i)));
    json_close_array(j);
}

static void put_trackers(struct json *j, const struct tarn_torrent *t)
{
    json_key(j, "trackers");
    json_open_array(j);
    for (uint32_t i = 0; i < tarn_torrent_info(t)->n_trackers; i++) {
        unsigned tier;
        const char *url = tarn_torrent_tracker(t, i, &tier);
        json_open_object(j);
        json_put_str(j, "url", url);
        json_put_u64(j, "tier", tier);
        json_close_object(j);
    }
    json_close_array(j);
}

static void put_if(struct json *j, const char *key, const char *text)
{
    if (text != NULL)
        json_put_str(j, key, text);
}

static void put_content(struct json *j, const struct tarn_torrent_info *info)
{
    json_put_u64(j, "length", info->length);
    json_put_u64(j, "files", info->n_files);
    json_put_u64(j, "piece_length", info->piece_length);
    json_put_u64(j, "pieces", info->n_pieces);
    json_put_bool(j, "single_file", info->is_single_file);
    json_put_bool(j, "private", info->is_private);
    json_put_bool(j, "lax", info->is_lax);
    if (info->v2 != NULL)
        json_put_bool(j, "has_layers", info->has_layers);
    put_if(j, "comment", info->comment);
    put_if(j, "created_by", info->created_by);
    put_if(j, "source", info->source);
    if (info->created_at >= 0)
        json_put_u64(j, "created_at", (uint64_t)info->created_at);
}

void cli_line_torrent(const struct tarn_torrent *t, const char *path)
{
    const struct tarn_torrent_info *info = tarn_torrent_info(t);
    struct cli_line l;
    cli_line_begin(&l, info->is_magnet ? "magnet" : "torrent");
    put_if(&l.json, "path", path);
    put_if(&l.json, "name", info->name);
    if (info->v1 != NULL)
        json_put_hex(&l.json, "v1", tarn_bytes_of(info->v1, 20));
    if (info->v2 != NULL)
        json_put_hex(&l.json, "v2", tarn_bytes_of(info->v2, 32));
    if (!info->is_magnet)
        put_content(&l.json, info);
    put_trackers(&l.json, t);
    put_list(&l.json, "web_seeds", t, info->n_web_seeds, tarn_torrent_web_seed);
    put_list(&l.json, "nodes", t, info->n_nodes, tarn_torrent_node);
    json_put_str(&l.json, "magnet", tarn_torrent_magnet(t));
    cli_line_end(&l, stdout);
}
