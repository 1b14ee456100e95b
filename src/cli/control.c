/* cli/control: the verbs that look at a node and steer it: each is a request of docs/api.md, and
 * its answer as a table, or with --json as it came. */
#include "base/num.h"
#include "base/text.h"
#include "cli/ask.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/verbs.h"

#include <string.h>

struct listing {
    struct cli_asking ask;
    struct cli_table table;
};

struct number {
    char s[32];
};
static const char *number_text(struct number *dst, const json_t *o, const char *key)
{
    snprintf(dst->s, sizeof dst->s, "%llu", (unsigned long long)cli_number_of(o, key));
    return dst->s;
}

/* Rounded for people; exact where a program reads. */
static const char *size_cell(struct tarn_size_text *dst, const struct listing *l, uint64_t bytes)
{
    if (!l->table.is_plain)
        return tarn_size_text(dst, bytes);
    snprintf(dst->s, sizeof dst->s, "%llu", (unsigned long long)bytes);
    return dst->s;
}

/* ---- ls ---- */

/* How far an item is, while it is on its way: "fetching 45%", "hashing 3%". */
static void state_text(char *to, size_t size, const json_t *o)
{
    bool is_torrent = strcmp(cli_text_of(o, "type"), "torrent") == 0;
    uint64_t total = cli_number_of(o, is_torrent ? "total" : "bytes");
    uint64_t left = is_torrent ? total - tarn_min_u64(total, cli_number_of(o, "done"))
                               : tarn_min_u64(total, cli_number_of(o, "hashing_bytes"));
    int n = snprintf(to, size, "%s", cli_text_of(o, "state"));
    bool is_on_its_way = is_torrent || strcmp(to, "hashing") == 0;
    if (left > 0 && is_on_its_way && n > 0 && (size_t)n < size)
        snprintf(to + n, size - (size_t)n, " %u%%",
                 (unsigned)((double)(total - left) * 100 / (double)total));
    else if (cli_is(o, "is_paused") && n > 0 && (size_t)n < size)
        snprintf(to + n, size - (size_t)n, ", paused");
}

static void item_row(struct cli_asking *a, json_t *o)
{
    struct listing *l = TARN_OUTER(a, struct listing, ask);
    struct number id, files, peers;
    struct tarn_size_text size;
    char state[64];
    bool is_torrent = strcmp(cli_text_of(o, "type"), "torrent") == 0;
    state_text(state, sizeof state, o);
    const char *cells[] = {
        number_text(&id, o, "id"),
        cli_name_of(o),
        state,
        number_text(&files, o, "files"),
        size_cell(&size, l, cli_number_of(o, is_torrent ? "total" : "bytes")),
        number_text(&peers, o, "peers"),
        cli_text_of(o, "path"),
    };
    if (strcmp(a->kind, "more") != 0)
        cli_table_row(&l->table, cells);
}

static void file_row(struct cli_asking *a, json_t *o)
{
    struct listing *l = TARN_OUTER(a, struct listing, ask);
    struct tarn_size_text size;
    const char *why = cli_text_of(o, "why");
    char state[200];
    snprintf(state, sizeof state, "%s%s%s", cli_text_of(o, "state"), *why == '\0' ? "" : ": ", why);
    const char *cells[] = {
        size_cell(&size, l, cli_number_of(o, "length")),
        state,
        cli_text_of(o, "path"),
        cli_text_of(o, "id"),
    };
    if (strcmp(a->kind, "more") != 0)
        cli_table_row(&l->table, cells);
}

static const char *const item_heads[] = {
    ">#", "NAME", "STATE", ">FILES", ">SIZE", ">PEERS", "PATH"
};
static const char *const file_heads[] = { ">SIZE", "STATE", "PATH", "IDENTITY" };

/* One request whose answer is a table. */
static bool list(struct listing *l, const char *path, const char *ref, const char *const *heads,
                 unsigned n)
{
    cli_table_init(&l->table, heads, n);
    l->ask.is_list = true;
    bool ok = cli_ask(&l->ask, "GET", path, ref, NULL);
    cli_table_end(&l->table);
    return ok;
}

/* An item first, to know what it is; a file is all there is to say. */
static void put_item(struct cli_asking *a, json_t *o)
{
    static const char *const keys[] = { "url", "torrent_url", "magnet", "error" };
    struct listing *l = TARN_OUTER(a, struct listing, ask);
    bool is_file = strcmp(a->kind, "file") == 0 || strcmp(a->kind, "folder") == 0;
    if (is_file)
        return;
    cli_table_init(&l->table, item_heads, TARN_COUNT_OF(item_heads));
    item_row(a, o);
    cli_table_end(&l->table);
    for (size_t i = 0; i < TARN_COUNT_OF(keys); i++) {
        if (*cli_text_of(o, keys[i]) == '\0')
            continue;
        printf("%s\t", keys[i]);
        cli_put_text(stdout, cli_text_of(o, keys[i]));
        putchar('\n');
    }
}

static bool list_one(struct listing *l, const char *ref)
{
    l->ask.show = put_item;
    if (!cli_ask(&l->ask, "GET", "/v1/items", ref, NULL))
        return false;
    if (l->ask.as_json && strcmp(l->ask.kind, "file") == 0)
        return true; /* the same line again */
    l->ask.show = file_row;
    return list(l, "/v1/files", ref, file_heads, TARN_COUNT_OF(file_heads));
}

int cli_ls(const struct cli_args *args)
{
    struct listing l;
    cli_ask_begin(&l.ask, args);
    l.ask.show = item_row;
    bool ok = args->n_operands > 0
                  ? list_one(&l, args->operands[0])
                  : list(&l, "/v1/items", NULL, item_heads, TARN_COUNT_OF(item_heads));
    return cli_ask_end(&l.ask, ok);
}

/* ---- status ---- */

static void put_row(const char *name, const char *text)
{
    printf("%-12s ", name);
    cli_put_text(stdout, text);
    putchar('\n');
}

static void put_hashing(const json_t *catalog)
{
    char text[160];
    struct tarn_out o;
    const json_t *hashing = json_object_get(catalog, "hashing");
    struct tarn_size_text left, rate;
    struct cli_count files;
    uint64_t bytes = cli_number_of(hashing, "bytes_left"), bps = cli_number_of(hashing, "rate");
    if (cli_number_of(hashing, "files") == 0)
        return;
    tarn_out_fixed(&o, text, sizeof text - 1);
    tarn_out_fmt(&o, "%s, %s left", cli_count(&files, cli_number_of(hashing, "files"), "file"),
                 tarn_size_text(&left, bytes));
    if (bps > 0) {
        tarn_out_fmt(&o, " at %s/s", tarn_size_text(&rate, bps));
        cli_progress_put_time(&o, bytes / bps);
    }
    text[o.len] = '\0';
    put_row("hashing", text);
}

static void put_scrub(const json_t *scrub)
{
    char text[256];
    struct tarn_out o;
    if (strcmp(cli_text_of(scrub, "state"), "running") != 0)
        return;
    tarn_out_fixed(&o, text, sizeof text - 1);
    cli_put_scrub(&o, scrub);
    text[o.len] = '\0';
    put_row("scrub", text + strspn(text, " "));
}

static void put_catalog(const json_t *c)
{
    char text[256];
    struct tarn_size_text published, stored;
    struct cli_count collections, files;
    snprintf(text, sizeof text, "%s, %s: %s published, %s stored",
             cli_count(&collections, cli_number_of(c, "collections"), "collection"),
             cli_count(&files, cli_number_of(c, "files"), "file"),
             tarn_size_text(&published, cli_number_of(c, "bytes_published")),
             tarn_size_text(&stored, cli_number_of(c, "bytes_stored")));
    put_row("files", text);
    put_hashing(c);
}

static void put_web(const json_t *http)
{
    char text[256];
    struct tarn_size_text sent;
    struct cli_count conns, requests;
    const json_t *url;
    size_t i;
    snprintf(text, sizeof text, "%s, %s, %s sent",
             cli_count(&conns, cli_number_of(http, "connections"), "connection"),
             cli_count(&requests, cli_number_of(http, "requests"), "request"),
             tarn_size_text(&sent, cli_number_of(http, "bytes_sent")));
    put_row("web", text);
    json_array_foreach(json_object_get(http, "urls"), i, url)
        put_row("", json_string_value(url) == NULL ? "" : json_string_value(url));
}

static void put_bt(const json_t *bt)
{
    char text[256];
    struct tarn_size_text down, up;
    struct cli_count peers;
    if (!json_is_object(bt))
        return;
    snprintf(text, sizeof text, "%s, %s received, %s sent",
             cli_count(&peers, cli_number_of(bt, "peers"), "peer"),
             tarn_size_text(&down, cli_number_of(bt, "downloaded")),
             tarn_size_text(&up, cli_number_of(bt, "uploaded")));
    put_row("bittorrent", text);
}

static void put_status(struct cli_asking *a, json_t *o)
{
    char text[256];
    const json_t *fault;
    size_t i;
    (void)a;
    snprintf(text, sizeof text, "tarn %s, pid %llu, %s", cli_text_of(o, "version"),
             (unsigned long long)cli_number_of(o, "pid"), cli_text_of(o, "state"));
    put_row("node", text);
    put_catalog(json_object_get(o, "catalog"));
    put_scrub(json_object_get(o, "scrub"));
    put_web(json_object_get(o, "http"));
    put_bt(json_object_get(o, "bt"));
    json_array_foreach(json_object_get(o, "faults"), i, fault)
        put_row("fault", cli_text_of(fault, "message"));
}

int cli_status(const struct cli_args *args)
{
    struct cli_asking a;
    cli_ask_begin(&a, args);
    a.show = put_status;
    return cli_ask_end(&a, cli_ask(&a, "GET", "/v1/status", NULL, NULL));
}

/* ---- peers ---- */

static void peer_row(struct cli_asking *a, json_t *o)
{
    struct listing *l = TARN_OUTER(a, struct listing, ask);
    struct tarn_size_text down, up;
    char flags[8];
    snprintf(flags, sizeof flags, "%s%s%s", cli_is(o, "is_incoming") ? "i" : "o",
             cli_is(o, "is_seed") ? "s" : "", cli_is(o, "am_choking") ? "c" : "");
    const char *cells[] = {
        cli_text_of(o, "address"),
        flags,
        size_cell(&down, l, cli_number_of(o, "downloaded")),
        size_cell(&up, l, cli_number_of(o, "uploaded")),
        cli_text_of(o, "agent"),
    };
    cli_table_row(&l->table, cells);
}

int cli_peers(const struct cli_args *args)
{
    static const char *const heads[] = { "ADDRESS", "FLAGS", ">DOWN", ">UP", "CLIENT" };
    struct listing l;
    cli_ask_begin(&l.ask, args);
    l.ask.show = peer_row;
    return cli_ask_end(&l.ask,
                       list(&l, "/v1/peers", args->operands[0], heads, TARN_COUNT_OF(heads)));
}

/* ---- pause, resume, rm ---- */

static void put_paused(struct cli_asking *a, json_t *o)
{
    (void)a;
    cli_put_done("paused", o);
}

static void put_resumed(struct cli_asking *a, json_t *o)
{
    (void)a;
    cli_put_done("resumed", o);
}

static void put_removed(struct cli_asking *a, json_t *o)
{
    (void)a;
    cli_put_done("removed", o);
}

static int act(const struct cli_args *args, const char *method, const char *path,
               void (*told)(struct cli_asking *a, json_t *o))
{
    struct cli_asking a;
    cli_ask_begin(&a, args);
    a.show = told;
    return cli_ask_end(&a, cli_ask(&a, method, path, args->operands[0], NULL));
}

int cli_pause(const struct cli_args *args)
{
    return act(args, "POST", "/v1/pause", put_paused);
}

int cli_resume(const struct cli_args *args)
{
    return act(args, "POST", "/v1/resume", put_resumed);
}

int cli_rm(const struct cli_args *args)
{
    return act(args, "DELETE", "/v1/items", put_removed);
}
