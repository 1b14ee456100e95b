/* cli/create: tarn create. */
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/stop.h"
#include "cli/verbs.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct creating {
    const struct cli_args *args;
    bool as_json;
    struct cli_progress progress;
    struct tarn_create create;
    const char **trackers, **web_seeds; /* owned */
    char *output;                       /* owned: where the torrent goes */
};

static bool on_progress(void *arg, const struct tarn_progress *p)
{
    struct creating *c = arg;
    cli_progress_show(&c->progress,
                      &(struct cli_progress_now){ "hashing", p->done, p->total, -1, "" });
    return !cli_stop_asked();
}

static void on_skipped(void *arg, const char *path, const char *why)
{
    struct creating *c = arg;
    if (c->as_json) {
        struct cli_line l;
        cli_line_begin(&l, "skipped");
        json_put_bytes(&l.json, "path", tarn_bytes_str(path));
        json_put_str(&l.json, "why", why);
        cli_line_end(&l, stdout);
        return;
    }
    cli_progress_clear(&c->progress);
    fputs("left out '", stderr);
    cli_put_text(stderr, path);
    fprintf(stderr, "': %s\n", why);
}

/* NAME.torrent, where NAME is the last element of the path, or of what "." stands for. */
static char *usual_output(const char *path)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    struct tarn_bytes last = tarn_bytes_of(path + start, end - start);
    char *real = NULL;
    if (last.len == 0 || tarn_bytes_eq_str(last, ".") || tarn_bytes_eq_str(last, "..")) {
        real = realpath(path, NULL);
        const char *slash = real == NULL ? NULL : strrchr(real, '/');
        last = tarn_bytes_str(slash == NULL ? "" : slash + 1);
    }
    struct tarn_out o;
    tarn_out_init(&o, 64 << 10);
    tarn_out_put(&o, last);
    tarn_out_str(&o, ".torrent");
    free(real); /* realpath's own */
    char *output = tarn_out_take_str(&o);
    tarn_out_release(&o);
    return output;
}

/* Hashing may take hours: what can be refused is refused before. */
static bool check_free(const struct creating *c, const char *path, struct tarn_err *err)
{
    struct tarn_quote q;
    tarn_quote_str(&q, path);
    if (strcmp(path, "-") == 0)
        return true;
    if (access(path, F_OK) == 0)
        return cli_has(c->args, CLI_FORCE) ||
               tarn_fail(err, TARN_E_USAGE, "'%s' exists; use --force to replace it", q.s);
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? tarn_strndup(".", 1)
                                 : tarn_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (folder == NULL)
        return tarn_fail_mem(err, "choosing the torrent's name");
    bool ok = access(folder, W_OK | X_OK) == 0 || tarn_fail_sys(err, "cannot write '%s'", q.s);
    tarn_free(folder);
    return ok;
}

static bool choose_output(struct creating *c, struct tarn_err *err)
{
    const char *output = cli_text(c->args, CLI_OUTPUT_FILE);
    c->output =
        output == NULL ? usual_output(c->create.path) : tarn_strndup(output, strlen(output));
    if (c->output == NULL)
        return tarn_fail_mem(err, "choosing the torrent's name");
    if (c->as_json && strcmp(c->output, "-") == 0)
        return tarn_fail(err, TARN_E_USAGE,
                         "--json and the torrent cannot both be standard "
                         "output");
    return check_free(c, c->output, err) &&
           (c->create.leaves == NULL || check_free(c, c->create.leaves, err));
}

static bool read_date(struct creating *c, struct tarn_err *err)
{
    const char *text = cli_text(c->args, CLI_DATE);
    uint64_t date = (uint64_t)time(NULL);
    c->create.has_date = cli_has(c->args, CLI_DATE);
    if (text != NULL && strcmp(text, "now") != 0 &&
        !cli_number(c->args, CLI_DATE, INT64_MAX, &date, err))
        return false;
    c->create.date = (int64_t)date;
    return true;
}

static bool read_settings(struct creating *c, struct tarn_err *err)
{
    const struct cli_args *args = c->args;
    const char *format = cli_text(args, CLI_FORMAT);
    uint64_t piece_length = 0, jobs = 0;
    struct tarn_create *t = &c->create;
    t->path = args->operands[0];
    if (format != NULL)
        t->format = strcmp(format, "v1") == 0   ? TARN_V1
                    : strcmp(format, "v2") == 0 ? TARN_V2
                                                : TARN_HYBRID;
    if (!cli_size(args, CLI_PIECE_LENGTH, UINT32_MAX, &piece_length, err) ||
        !cli_number(args, CLI_JOBS, 1024, &jobs, err) || !read_date(c, err) ||
        !cli_texts(args, CLI_TRACKER, &c->trackers, &t->n_trackers, err) ||
        !cli_texts(args, CLI_WEB_SEED, &c->web_seeds, &t->n_web_seeds, err))
        return false;
    if (piece_length == 0 && cli_has(args, CLI_PIECE_LENGTH))
        return tarn_fail(err, TARN_E_USAGE, "a piece has at least one byte");
    t->trackers = c->trackers;
    t->web_seeds = c->web_seeds;
    t->piece_length = (uint32_t)piece_length;
    t->jobs = (unsigned)jobs;
    t->source = cli_text(args, CLI_SOURCE);
    t->comment = cli_text(args, CLI_COMMENT);
    t->is_private = cli_has(args, CLI_PRIVATE);
    t->skip_bad_names = cli_has(args, CLI_SKIP_BAD_NAMES);
    t->leaves = cli_text(args, CLI_LEAVES_OUT);
    t->on_progress = on_progress;
    t->on_skipped = on_skipped;
    t->arg = c;
    return choose_output(c, err);
}

static void tell_created(const struct creating *c, const struct tarn_torrent *t)
{
    const struct tarn_torrent_info *info = tarn_torrent_info(t);
    struct tarn_size_text all, piece;
    struct cli_count files, pieces;
    char hex[65];
    if (strcmp(c->output, "-") == 0)
        return;
    if (c->as_json) {
        cli_line_torrent(t, c->output);
        return;
    }
    cli_put_text(stdout, c->output);
    printf(": %s, %s, %s of %s\n", cli_count(&files, info->n_files, "file"),
           tarn_size_text(&all, info->length), cli_count(&pieces, info->n_pieces, "piece"),
           tarn_size_text(&piece, info->piece_length));
    if (info->v1 != NULL)
        printf("v1 %s\n", tarn_hex(hex, tarn_bytes_of(info->v1, 20)));
    if (info->v2 != NULL)
        printf("v2 %s\n", tarn_hex(hex, tarn_bytes_of(info->v2, 32)));
}

static bool create(struct creating *c, struct tarn_err *err)
{
    if (!read_settings(c, err))
        return false;
    struct tarn_torrent *t = tarn_create(&c->create, err);
    cli_progress_clear(&c->progress);
    bool ok = t != NULL && tarn_torrent_save(t, c->output, err);
    if (ok)
        tell_created(c, t);
    tarn_torrent_free(t);
    return ok;
}

int cli_create(const struct cli_args *args)
{
    struct creating c = { .args = args, .as_json = cli_has(args, CLI_JSON) };
    struct tarn_err err;
    cli_progress_init(&c.progress, args);
    bool ok = create(&c, &err);
    tarn_free(c.trackers);
    tarn_free(c.web_seeds);
    tarn_free(c.output);
    return ok ? 0 : cli_fail(c.as_json, &err);
}
