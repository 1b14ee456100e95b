/* cli/work: what a node is given to do: publish, add, scrub; and with --wait the waiting for its
 * end, with progress. The node goes on whether somebody waits or not. */
#include "base/mem.h"
#include "base/text.h"
#include "cli/ask.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/stop.h"
#include "cli/verbs.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <tarn/tarn.h>
#include <time.h>

enum {
    BODY_MAX = 16 << 20,    /* the node takes no more */
    TORRENT_MAX = 11 << 20, /* so that its base64 fits */
    LOOK_MS = 400,          /* how often it is asked how far it is; at first sooner: */
    LOOK_FIRST_MS = 25,
};

/* ---- what is sent ---- */

struct body {
    struct tarn_out out;
    struct json json;
};

static void body_begin(struct body *b)
{
    tarn_out_init(&b->out, BODY_MAX);
    json_init(&b->json, &b->out);
    json_open_object(&b->json);
}

/* Sends it, and releases. */
static bool body_post(struct body *b, struct cli_asking *a, const char *path)
{
    json_close_object(&b->json);
    tarn_out_u8(&b->out, 0);
    bool ok = tarn_out_ok(&b->out)
                  ? cli_ask(a, "POST", path, NULL, (const char *)b->out.p)
                  : tarn_fail(&a->err, TARN_E_USAGE, "that is too much for one request (16 MiB)");
    tarn_out_release(&b->out);
    return ok;
}

static void put_option(struct body *b, const struct cli_args *args, enum cli_opt opt,
                       const char *key)
{
    const char *text = cli_text(args, opt);
    if (text != NULL)
        json_put_str(&b->json, key, text);
}

/* ---- waiting ---- */

struct waiting {
    struct cli_asking ask;
    struct cli_progress progress;
    const char *done; /* the word for what was asked */
    char ref[32];     /* the item's number */
    char state[32];   /* what is waited for, as it was when last looked at */
    char trouble[400];
    bool is_over, is_failed;
    uint64_t refused, damaged, seq;
};

static void begin(struct waiting *w, const struct cli_args *args, const char *done,
                  void (*look)(struct cli_asking *a, json_t *o))
{
    *w = (struct waiting){ .done = done };
    cli_ask_begin(&w->ask, args);
    cli_progress_init(&w->progress, args);
    w->ask.look = look;
}

/* False: somebody has had enough of waiting. */
static bool rest(struct waiting *w, unsigned turn)
{
    long ms = turn < 4 ? (long)LOOK_FIRST_MS << turn : LOOK_MS;
    struct timespec t = { .tv_nsec = ms * 1000000 };
    if (!cli_stop_asked())
        nanosleep(&t, NULL); /* a signal ends it early */
    return !cli_stop_asked() ||
           tarn_fail(&w->ask.err, TARN_E_CANCELED,
                     "stopped waiting; the node goes on: see 'tarn status' and 'tarn ls'");
}

/* Ask again and again until look says that it is over. */
static bool wait_for(struct waiting *w, const char *path, const char *ref,
                     void (*look)(struct cli_asking *a, json_t *o))
{
    bool ok = true;
    w->ask.is_quiet = true;
    w->ask.look = look;
    for (unsigned turn = 0; ok && !w->is_over; turn++)
        ok = rest(w, turn) && cli_ask(&w->ask, "GET", path, ref, NULL);
    cli_progress_clear(&w->progress);
    w->ask.is_quiet = false;
    return ok;
}

static void show(struct waiting *w, uint64_t done, uint64_t total, uint64_t rate, const char *more)
{
    double per_s = rate == 0 ? -1 : (double)rate; /* below 0: it is measured here */
    if (!w->is_over)
        cli_progress_show(&w->progress,
                          &(struct cli_progress_now){ w->state, done, total, per_s, more });
}

static void take_text(char *to, size_t size, const json_t *o, const char *key)
{
    snprintf(to, size, "%s", cli_text_of(o, key));
}

/* The answer to what was asked: which item it is about. */
static void take_item(struct cli_asking *a, json_t *o)
{
    struct waiting *w = TARN_OUTER(a, struct waiting, ask);
    snprintf(w->ref, sizeof w->ref, "%llu", (unsigned long long)cli_number_of(o, "id"));
    if (!a->as_json)
        cli_put_done(w->done, o);
}

/* The item once more, as it is now. */
static bool tell_end(struct waiting *w)
{
    w->done = "done";
    w->ask.look = take_item;
    return cli_ask(&w->ask, "GET", "/v1/items", w->ref, NULL);
}

/* ---- publish ---- */

static void look_at_collection(struct cli_asking *a, json_t *o)
{
    struct waiting *w = TARN_OUTER(a, struct waiting, ask);
    uint64_t bytes = cli_number_of(o, "bytes"), left = cli_number_of(o, "hashing_bytes");
    take_text(w->state, sizeof w->state, o, "state");
    w->refused = cli_number_of(o, "refused");
    w->is_failed = strcmp(w->state, "missing") == 0;
    w->is_over = w->is_failed || strcmp(w->state, "ok") == 0;
    show(w, bytes - (left < bytes ? left : bytes), bytes, 0, "");
}

static bool wait_published(struct waiting *w)
{
    struct cli_count files;
    if (!wait_for(w, "/v1/items", w->ref, look_at_collection))
        return false;
    if (w->is_failed)
        return tarn_fail(&w->ask.err, TARN_E_NOT_FOUND,
                         "the folder went away while it was read: see 'tarn ls %s'", w->ref);
    return tell_end(w) &&
           (w->refused == 0 ||
            tarn_fail(&w->ask.err, TARN_E_PARTIAL,
                      "all is served but %s that cannot be read: 'tarn ls %s' says why",
                      cli_count(&files, w->refused, "file"), w->ref));
}

/* Its path goes as JSON, so it must be text. */
static char *folder_of(const char *given, const char *what, struct tarn_err *err)
{
    struct tarn_quote q;
    char *path = realpath(given, NULL);
    if (path == NULL)
        tarn_fail_sys(err, "cannot %s '%s'", what, tarn_quote_str(&q, given));
    else if (!tarn_utf8_valid(tarn_bytes_str(path))) {
        tarn_fail(err, TARN_E_USAGE,
                  "cannot %s '%s': its path is not UTF-8, and requests are; rename it, or name it "
                  "in the configuration",
                  what, tarn_quote_str(&q, path));
        free(path);
        path = NULL;
    }
    return path;
}

int cli_publish(const struct cli_args *args)
{
    struct waiting w;
    struct body b;
    const char *http = cli_text(args, CLI_HTTP);
    begin(&w, args, "published", take_item);
    char *path = folder_of(args->operands[0], "publish", &w.ask.err);
    if (path == NULL)
        return cli_ask_end(&w.ask, false);
    body_begin(&b);
    json_put_str(&b.json, "path", path);
    free(path);
    put_option(&b, args, CLI_AS, "name");
    put_option(&b, args, CLI_BT, "bt");
    put_option(&b, args, CLI_POLICY, "policy");
    if (http != NULL)
        json_put_bool(&b.json, "http", strcmp(http, "on") == 0);
    bool ok = body_post(&b, &w.ask, "/v1/collections");
    return cli_ask_end(&w.ask, ok && (!cli_has(args, CLI_WAIT) || wait_published(&w)));
}

/* ---- add ---- */

static void look_at_torrent(struct cli_asking *a, json_t *o)
{
    struct waiting *w = TARN_OUTER(a, struct waiting, ask);
    char peers[64];
    struct cli_count n;
    take_text(w->state, sizeof w->state, o, "state");
    take_text(w->trouble, sizeof w->trouble, o, "error");
    w->is_failed = strcmp(w->state, "failed") == 0;
    w->is_over = w->is_failed || strcmp(w->state, "seeding") == 0;
    snprintf(peers, sizeof peers, "%s%s", cli_count(&n, cli_number_of(o, "peers"), "peer"),
             cli_is(o, "is_paused") ? ", paused" : "");
    show(w, cli_number_of(o, "done"), cli_number_of(o, "total"), cli_number_of(o, "rate_down"),
         peers);
}

static bool wait_added(struct waiting *w)
{
    struct tarn_quote q;
    if (!wait_for(w, "/v1/items", w->ref, look_at_torrent))
        return false;
    if (w->is_failed)
        return tarn_fail(&w->ask.err, TARN_E_FAILED, "the node cannot fetch it: %s",
                         tarn_quote_str(&q, w->trouble));
    return tell_end(w);
}

/* The whole of a torrent file, which must be one: the node's own words would come too late. */
static bool put_torrent(struct body *b, const char *path, struct tarn_err *err)
{
    struct tarn_quote q;
    tarn_quote_str(&q, path);
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (f == NULL)
        return tarn_fail_sys(err, "cannot read the torrent '%s'", q.s);
    uint8_t *data = tarn_calloc(TORRENT_MAX + 1, 1);
    char *text = tarn_calloc(4 * (TORRENT_MAX / 3 + 1) + 1, 1);
    size_t len = data == NULL || text == NULL ? 0 : fread(data, 1, TORRENT_MAX + 1, f);
    bool ok = data != NULL && text != NULL ? true : tarn_fail_mem(err, "reading the torrent");
    if (ok && ferror(f))
        ok = tarn_fail_sys(err, "cannot read the torrent '%s'", q.s);
    if (f != stdin)
        fclose(f);
    if (ok && len > TORRENT_MAX)
        ok = tarn_fail(err, TARN_E_POLICY, "the torrent '%s' has more than %d MiB", q.s,
                       TORRENT_MAX >> 20);
    struct tarn_torrent *t = ok ? tarn_torrent_parse(data, len, err) : NULL;
    if (t != NULL)
        json_put_str(&b->json, "torrent_b64", tarn_base64(text, tarn_bytes_of(data, len)));
    tarn_torrent_free(t);
    tarn_free(data);
    tarn_free(text);
    return t != NULL;
}

static bool put_source(struct body *b, const char *what, struct tarn_err *err)
{
    if (strncasecmp(what, "magnet:", 7) == 0)
        json_put_str(&b->json, "magnet", what);
    else if (strncasecmp(what, "http://", 7) == 0 || strncasecmp(what, "https://", 8) == 0)
        json_put_str(&b->json, "url", what);
    else
        return put_torrent(b, what, err);
    return true;
}

static bool put_folder(struct body *b, const char *folder, struct tarn_err *err)
{
    char *path = folder == NULL ? NULL : folder_of(folder, "use the folder", err);
    if (path != NULL)
        json_put_str(&b->json, "folder", path);
    bool ok = folder == NULL || path != NULL;
    free(path);
    return ok;
}

int cli_add(const struct cli_args *args)
{
    struct waiting w;
    struct body b;
    begin(&w, args, "added", take_item);
    if (cli_has(args, CLI_PAUSED) && cli_has(args, CLI_WAIT))
        return cli_ask_end(&w.ask, tarn_fail(&w.ask.err, TARN_E_USAGE,
                                             "--paused and --wait: it would wait for ever"));
    body_begin(&b);
    if (!put_source(&b, args->operands[0], &w.ask.err) ||
        !put_folder(&b, cli_text(args, CLI_OUTPUT_FOLDER), &w.ask.err)) {
        tarn_out_release(&b.out);
        return cli_ask_end(&w.ask, false);
    }
    if (cli_has(args, CLI_PAUSED))
        json_put_bool(&b.json, "paused", true);
    bool ok = body_post(&b, &w.ask, "/v1/torrents");
    return cli_ask_end(&w.ask, ok && (!cli_has(args, CLI_WAIT) || wait_added(&w)));
}

/* ---- scrub ---- */

static void look_at_scrub(struct cli_asking *a, json_t *o)
{
    struct waiting *w = TARN_OUTER(a, struct waiting, ask);
    const char *path = cli_text_of(json_object_get(o, "file"), "path");
    struct tarn_quote q;
    w->is_over = strcmp(cli_text_of(o, "state"), "idle") == 0;
    snprintf(w->state, sizeof w->state, "checking");
    if (!w->is_over)
        show(w, cli_number_of(o, "bytes_done"), cli_number_of(o, "bytes"), cli_number_of(o, "rate"),
             tarn_quote_str(&q, path));
}

static void take_seq(struct cli_asking *a, json_t *o)
{
    TARN_OUTER(a, struct waiting, ask)->seq = cli_number_of(o, "seq");
}

static void take_change(struct cli_asking *a, json_t *o)
{
    struct waiting *w = TARN_OUTER(a, struct waiting, ask);
    if (strcmp(a->kind, "file-damaged") != 0)
        return;
    w->damaged++;
    if (a->as_json) {
        char *line = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
        puts(line == NULL ? "" : line);
        free(line);
        return;
    }
    cli_put_text(stdout, cli_text_of(o, "name"));
    putchar('/');
    cli_put_text(stdout, cli_text_of(o, "path"));
    fputs(": ", stdout);
    cli_put_text(stdout, cli_text_of(o, "why"));
    putchar('\n');
}

/* What the journal has noted since it began. A gap hides older ones: then the listing has them. */
static bool tell_damage(struct waiting *w)
{
    char path[64];
    struct cli_count files;
    snprintf(path, sizeof path, "/v1/changes?since=%llu", (unsigned long long)w->seq);
    w->ask.is_quiet = true;
    w->ask.is_list = true;
    w->ask.look = take_change;
    bool ok = cli_ask(&w->ask, "GET", path, NULL, NULL);
    if (!ok || w->damaged == 0)
        return ok;
    return tarn_fail(&w->ask.err, TARN_E_INTEGRITY, "%s not what was published",
                     cli_count(&files, w->damaged, "file"));
}

static void tell_good(const struct waiting *w)
{
    struct cli_line l;
    if (!w->ask.as_json) {
        puts("checked: all is what was published");
        return;
    }
    cli_line_begin(&l, "scrubbed");
    json_put_u64(&l.json, "damaged", w->damaged);
    cli_line_end(&l, stdout);
}

static bool scrub(struct waiting *w, const char *ref, bool waits)
{
    w->ask.is_quiet = true;
    w->ask.look = take_seq;
    if (!cli_ask(&w->ask, "GET", "/v1/status", NULL, NULL))
        return false;
    w->ask.is_quiet = false;
    w->ask.look = NULL;
    if (!cli_ask(&w->ask, "POST", "/v1/scrub", ref, NULL))
        return false;
    if (!waits && !w->ask.as_json)
        puts("checking what is held: 'tarn status' says how far it is; damage will be in tarn ls, "
             "the log and /v1/changes");
    if (!waits)
        return true;
    bool ok = wait_for(w, "/v1/scrub", NULL, look_at_scrub) && tell_damage(w);
    if (ok)
        tell_good(w);
    return ok;
}

int cli_scrub(const struct cli_args *args)
{
    struct waiting w;
    begin(&w, args, "", NULL);
    return cli_ask_end(&w.ask, scrub(&w, args->operands[0], cli_has(args, CLI_WAIT)));
}
