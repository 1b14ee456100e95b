/* cli/verify: tarn verify. */
#include "base/num.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/stop.h"
#include "cli/verbs.h"

struct verifying {
    struct tarn_torrent *torrent;
    bool as_json;
    struct cli_progress progress;
};

static bool on_progress(void *arg, const struct tarn_progress *p)
{
    struct verifying *v = arg;
    cli_progress_show(&v->progress,
                      &(struct cli_progress_now){ "checking", p->done, p->total, -1, "" });
    return !cli_stop_asked();
}

static const char *const kinds[] = {
    [TARN_DAMAGE_MISSING] = "missing", [TARN_DAMAGE_SHORT] = "short",
    [TARN_DAMAGE_LONG] = "long",       [TARN_DAMAGE_UNREADABLE] = "unreadable",
    [TARN_DAMAGE_BAD] = "bad",         [TARN_DAMAGE_UNSURE] = "unsure",
};

static void damaged_json(const char *path, const struct tarn_damaged *d)
{
    struct cli_line l;
    cli_line_begin(&l, "damage");
    json_put_u64(&l.json, "file", d->file);
    json_put_str(&l.json, "path", path);
    json_put_str(&l.json, "kind", kinds[d->kind]);
    json_put_u64(&l.json, "offset", d->offset);
    json_put_u64(&l.json, "length", d->length);
    if (d->kind == TARN_DAMAGE_BAD || d->kind == TARN_DAMAGE_UNSURE)
        json_put_u64(&l.json, "piece", d->piece);
    json_put_bool(&l.json, "exact", d->is_exact);
    if (d->why != NULL)
        json_put_str(&l.json, "why", d->why);
    cli_line_end(&l, stdout);
}

static void damaged_text(const char *path, const struct tarn_damaged *d)
{
    unsigned long long from = d->offset, to = d->offset + d->length;
    cli_put_text(stdout, path);
    switch (d->kind) {
    case TARN_DAMAGE_MISSING:
        puts(": missing");
        break;
    case TARN_DAMAGE_SHORT:
        printf(": ends at byte %llu of %llu\n", from, to);
        break;
    case TARN_DAMAGE_LONG:
        printf(": goes on after its end at byte %llu, to %llu\n", from, to);
        break;
    case TARN_DAMAGE_UNREADABLE:
        printf(": bytes %llu to %llu cannot be read: %s\n", from, to, d->why);
        break;
    case TARN_DAMAGE_BAD:
        printf(": bytes %llu to %llu %s (piece %u)\n", from, to,
               d->is_exact ? "are bad" : "hold bad ones", d->piece);
        break;
    case TARN_DAMAGE_UNSURE:
        printf(": bytes %llu to %llu share a piece with damage and cannot be judged (piece %u)\n",
               from, to, d->piece);
        break;
    }
}

static void on_damaged(void *arg, const struct tarn_damaged *d)
{
    struct verifying *v = arg;
    struct tarn_torrent_file f;
    tarn_torrent_file(v->torrent, d->file, &f);
    cli_progress_clear(&v->progress);
    if (v->as_json)
        damaged_json(f.path, d);
    else
        damaged_text(f.path, d);
}

static void on_extra(void *arg, const char *path)
{
    struct verifying *v = arg;
    cli_progress_clear(&v->progress);
    if (v->as_json) {
        struct cli_line l;
        cli_line_begin(&l, "extra");
        json_put_bytes(&l.json, "path", tarn_bytes_str(path));
        cli_line_end(&l, stdout);
        return;
    }
    cli_put_text(stdout, path);
    puts(": not in the torrent");
}

static void tell_result(const struct verifying *v, const struct tarn_verified *r, bool is_good)
{
    struct cli_count files, pieces;
    struct tarn_size_text size;
    if (v->as_json) {
        struct cli_line l;
        cli_line_begin(&l, "verified");
        json_put_bool(&l.json, "good", is_good);
        json_put_u64(&l.json, "pieces_good", r->pieces_good);
        json_put_u64(&l.json, "pieces_bad", r->pieces_bad);
        json_put_u64(&l.json, "files_good", r->files_good);
        json_put_u64(&l.json, "files_bad", r->files_bad);
        json_put_u64(&l.json, "bytes_good", r->bytes_good);
        cli_line_end(&l, stdout);
    } else if (is_good) {
        cli_put_text(stdout, tarn_torrent_info(v->torrent)->name);
        printf(": good: %s, %s, %s\n", cli_count(&files, r->files_good, "file"),
               tarn_size_text(&size, r->bytes_good), cli_count(&pieces, r->pieces_good, "piece"));
    }
}

static bool verify(struct verifying *v, const struct cli_args *args, struct tarn_err *err)
{
    uint64_t jobs = 0;
    if (!cli_number(args, CLI_JOBS, 1024, &jobs, err))
        return false;
    v->torrent = tarn_torrent_open(args->operands[0], err);
    if (v->torrent == NULL)
        return false;
    struct tarn_verified r = { 0 };
    struct tarn_verify how = {
        .torrent = v->torrent,
        .path = args->operands[1],
        .leaves = cli_text(args, CLI_LEAVES_IN),
        .jobs = (unsigned)jobs,
        .on_progress = on_progress,
        .on_damaged = on_damaged,
        .on_extra = cli_has(args, CLI_EXTRA) ? on_extra : NULL,
        .arg = v,
    };
    bool ok = tarn_verify(&how, &r, err);
    cli_progress_clear(&v->progress);
    if (ok || err->code == TARN_E_INTEGRITY || err->code == TARN_E_NOT_FOUND)
        tell_result(v, &r, ok);
    return ok;
}

int cli_verify(const struct cli_args *args)
{
    struct verifying v = { .as_json = cli_has(args, CLI_JSON) };
    struct tarn_err err;
    cli_progress_init(&v.progress, args);
    bool ok = verify(&v, args, &err);
    tarn_torrent_free(v.torrent);
    return ok ? 0 : cli_fail(v.as_json, &err);
}
