/* cli/control: the verbs that speak to a node: each is a request of docs/api.md, and its answer as
 * a table, or with --json as it came. */
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "codec/json.h"
#include "codec/url.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <tarn/node.h>
#include <unistd.h>

enum {
    TARGET_MAX = 64 << 10,
    BODY_MAX = 16 << 20,    /* the node takes no more */
    TORRENT_MAX = 11 << 20, /* so that its base64 fits */
};

struct asking {
    const struct cli_args *args;
    bool as_json;
    struct tarn_out target;
    struct tarn_err err;
    void (*on_object)(struct asking *a, json_t *object); /* for people */
    struct cli_table table;
    char kind[32]; /* the type of the last object */
};

/* ---- what objects say ---- */

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text == NULL ? "" : text;
}

static uint64_t number_of(const json_t *o, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(o, key));
    return n < 0 ? 0 : (uint64_t)n;
}

/* Of a magnet link that says no name, and is not known yet: its hash. */
static const char *name_of(const json_t *o)
{
    const char *name = text_of(o, "name"), *v2 = text_of(o, "v2");
    return *name != '\0' ? name : *v2 != '\0' ? v2 : text_of(o, "v1");
}

struct number {
    char s[32];
};
static const char *number_text(struct number *dst, const json_t *o, const char *key)
{
    snprintf(dst->s, sizeof dst->s, "%llu", (unsigned long long)number_of(o, key));
    return dst->s;
}

/* Rounded for people; exact where a program reads. */
static const char *size_cell(struct tarn_size_text *dst, const struct asking *a, uint64_t bytes)
{
    if (!a->table.is_plain)
        return tarn_size_text(dst, bytes);
    snprintf(dst->s, sizeof dst->s, "%llu", (unsigned long long)bytes);
    return dst->s;
}

/* ---- asking ---- */

static void begin(struct asking *a, const struct cli_args *args, const char *path)
{
    *a = (struct asking){ .args = args, .as_json = cli_has(args, CLI_JSON) };
    tarn_out_init(&a->target, TARGET_MAX);
    tarn_out_str(&a->target, path);
}

static bool is_path(const char *ref)
{
    return ref[0] == '/' || strcmp(ref, ".") == 0 || strcmp(ref, "..") == 0 ||
           strncmp(ref, "./", 2) == 0 || strncmp(ref, "../", 3) == 0;
}

/* A link to a file is a name of its own, which may be published as such. */
static bool is_linked_file(const char *path)
{
    struct stat itself, behind;
    return lstat(path, &itself) == 0 && S_ISLNK(itself.st_mode) && stat(path, &behind) == 0 &&
           !S_ISDIR(behind.st_mode);
}

/* "/path", "./path" and "../path" are made absolute; all else is for the node to understand. What
 * is not here stays as it is written: the node may remember it. */
static char *absolute(const char *ref, struct tarn_err *err)
{
    if (!is_path(ref))
        return strdup(ref);
    char *real = is_linked_file(ref) ? NULL : realpath(ref, NULL);
    if (real != NULL || ref[0] == '/')
        return real != NULL ? real : strdup(ref);
    char *here = getcwd(NULL, 0), *whole = NULL;
    if (here == NULL || asprintf(&whole, "%s/%s", here, ref) < 0) {
        tarn_fail_sys(err, "cannot tell what folder this is");
        whole = NULL;
    }
    free(here);
    return whole;
}

static bool add_ref(struct asking *a, const char *ref)
{
    char *whole = absolute(ref, &a->err);
    if (whole == NULL)
        return false;
    tarn_out_str(&a->target, "?ref=");
    url_escape(&a->target, tarn_bytes_str(whole));
    free(whole);
    return true;
}

static bool on_line(void *arg, const char *line, size_t len)
{
    struct asking *a = arg;
    if (a->as_json) {
        fwrite(line, 1, len, stdout);
        putchar('\n');
        fflush(stdout); /* its failure is found by cli_flush */
    }
    json_t *object = json_loadb(line, len, 0, NULL);
    snprintf(a->kind, sizeof a->kind, "%s", text_of(object, "type"));
    if (!a->as_json && a->on_object != NULL && json_is_object(object))
        a->on_object(a, object);
    json_decref(object);
    return !ferror(stdout);
}

/* One request; false: a->err says why. */
static bool ask(struct asking *a, const char *method, const char *body)
{
    tarn_out_u8(&a->target, 0);
    if (!tarn_out_ok(&a->target))
        return tarn_fail(&a->err, TARN_E_USAGE, "that is too long for a request");
    struct tarn_call call = {
        .method = method,
        .target = (const char *)a->target.p,
        .body = body,
        .on_line = on_line,
        .arg = a,
    };
    bool ok = tarn_call(&call, &a->err);
    tarn_out_clear(&a->target);
    return ok;
}

static int end(struct asking *a, bool ok)
{
    tarn_out_release(&a->target);
    return ok ? 0 : cli_fail(a->as_json, &a->err);
}

/* ---- ls ---- */

static void item_row(struct asking *a, json_t *o)
{
    struct number id, files, peers;
    struct tarn_size_text size;
    char state[64];
    bool is_torrent = strcmp(text_of(o, "type"), "torrent") == 0;
    uint64_t total = number_of(o, is_torrent ? "total" : "bytes"), done = number_of(o, "done");
    bool is_paused = json_is_true(json_object_get(o, "is_paused"));
    if (is_torrent && done < total)
        snprintf(state, sizeof state, "%s %u%%", text_of(o, "state"),
                 (unsigned)((double)done * 100 / (double)total));
    else
        snprintf(state, sizeof state, "%s%s", text_of(o, "state"), is_paused ? ", paused" : "");
    const char *cells[] = {
        number_text(&id, o, "id"),
        name_of(o),
        state,
        number_text(&files, o, "files"),
        size_cell(&size, a, total),
        number_text(&peers, o, "peers"),
        text_of(o, "path"),
    };
    if (strcmp(a->kind, "more") != 0)
        cli_table_row(&a->table, cells);
}

static void file_row(struct asking *a, json_t *o)
{
    struct tarn_size_text size;
    const char *why = text_of(o, "why");
    char state[200];
    snprintf(state, sizeof state, "%s%s%s", text_of(o, "state"), *why == '\0' ? "" : ": ", why);
    const char *cells[] = {
        size_cell(&size, a, number_of(o, "length")),
        state,
        text_of(o, "path"),
        text_of(o, "id"),
    };
    if (strcmp(a->kind, "more") != 0)
        cli_table_row(&a->table, cells);
}

static const char *const item_heads[] = {
    ">#", "NAME", "STATE", ">FILES", ">SIZE", ">PEERS", "PATH"
};
static const char *const file_heads[] = { ">SIZE", "STATE", "PATH", "IDENTITY" };

static bool list_files(struct asking *a, const char *ref)
{
    tarn_out_str(&a->target, "/v1/files");
    a->on_object = file_row;
    cli_table_init(&a->table, file_heads, TARN_COUNT_OF(file_heads));
    bool ok = add_ref(a, ref) && ask(a, "GET", NULL);
    cli_table_end(&a->table);
    return ok;
}

/* An item first, to know what it is; a file is all there is to say. */
static void put_item(struct asking *a, json_t *o)
{
    static const char *const keys[] = { "url", "torrent_url", "magnet", "error" };
    bool is_file = strcmp(a->kind, "file") == 0 || strcmp(a->kind, "folder") == 0;
    if (is_file)
        return;
    cli_table_init(&a->table, item_heads, TARN_COUNT_OF(item_heads));
    item_row(a, o);
    cli_table_end(&a->table);
    for (size_t i = 0; i < TARN_COUNT_OF(keys); i++) {
        if (*text_of(o, keys[i]) == '\0')
            continue;
        printf("%s\t", keys[i]);
        cli_put_text(stdout, text_of(o, keys[i]));
        putchar('\n');
    }
}

int cli_ls(const struct cli_args *args)
{
    struct asking a;
    bool ok;
    begin(&a, args, "/v1/items");
    if (args->n_operands > 0) {
        a.on_object = put_item;
        ok = add_ref(&a, args->operands[0]) && ask(&a, "GET", NULL) &&
             ((a.as_json && strcmp(a.kind, "file") == 0) || list_files(&a, args->operands[0]));
        return end(&a, ok);
    }
    a.on_object = item_row;
    cli_table_init(&a.table, item_heads, TARN_COUNT_OF(item_heads));
    ok = ask(&a, "GET", NULL);
    cli_table_end(&a.table);
    return end(&a, ok);
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
    char text[128];
    struct tarn_size_text left;
    const json_t *hashing = json_object_get(catalog, "hashing");
    struct cli_count files;
    if (number_of(hashing, "files") == 0)
        return;
    snprintf(text, sizeof text, "%s, %s left",
             cli_count(&files, number_of(hashing, "files"), "file"),
             tarn_size_text(&left, number_of(hashing, "bytes_left")));
    put_row("hashing", text);
}

static void put_catalog(const json_t *c)
{
    char text[256];
    struct tarn_size_text published, stored;
    struct cli_count collections, files;
    snprintf(text, sizeof text, "%s, %s: %s published, %s stored",
             cli_count(&collections, number_of(c, "collections"), "collection"),
             cli_count(&files, number_of(c, "files"), "file"),
             tarn_size_text(&published, number_of(c, "bytes_published")),
             tarn_size_text(&stored, number_of(c, "bytes_stored")));
    put_row("files", text);
    put_hashing(c);
}

static void put_doors(const json_t *o)
{
    char text[256];
    struct tarn_size_text sent, down, up;
    struct cli_count conns, requests, peers;
    const json_t *http = json_object_get(o, "http"), *bt = json_object_get(o, "bt"), *url;
    size_t i;
    snprintf(text, sizeof text, "%s, %s, %s sent",
             cli_count(&conns, number_of(http, "connections"), "connection"),
             cli_count(&requests, number_of(http, "requests"), "request"),
             tarn_size_text(&sent, number_of(http, "bytes_sent")));
    put_row("web", text);
    json_array_foreach(json_object_get(http, "urls"), i, url)
        put_row("", json_string_value(url) == NULL ? "" : json_string_value(url));
    if (!json_is_object(bt))
        return;
    snprintf(text, sizeof text, "%s, %s received, %s sent",
             cli_count(&peers, number_of(bt, "peers"), "peer"),
             tarn_size_text(&down, number_of(bt, "downloaded")),
             tarn_size_text(&up, number_of(bt, "uploaded")));
    put_row("bittorrent", text);
}

static void put_status(struct asking *a, json_t *o)
{
    char text[256];
    const json_t *fault;
    size_t i;
    (void)a;
    snprintf(text, sizeof text, "tarn %s, pid %llu, %s", text_of(o, "version"),
             (unsigned long long)number_of(o, "pid"), text_of(o, "state"));
    put_row("node", text);
    put_catalog(json_object_get(o, "catalog"));
    put_doors(o);
    json_array_foreach(json_object_get(o, "faults"), i, fault)
        put_row("fault", text_of(fault, "message"));
}

int cli_status(const struct cli_args *args)
{
    struct asking a;
    begin(&a, args, "/v1/status");
    a.on_object = put_status;
    return end(&a, ask(&a, "GET", NULL));
}

/* ---- peers ---- */

static void peer_row(struct asking *a, json_t *o)
{
    struct tarn_size_text down, up;
    char flags[8];
    snprintf(flags, sizeof flags, "%s%s%s",
             json_is_true(json_object_get(o, "is_incoming")) ? "i" : "o",
             json_is_true(json_object_get(o, "is_seed")) ? "s" : "",
             json_is_true(json_object_get(o, "am_choking")) ? "c" : "");
    const char *cells[] = {
        text_of(o, "address"),
        flags,
        size_cell(&down, a, number_of(o, "downloaded")),
        size_cell(&up, a, number_of(o, "uploaded")),
        text_of(o, "agent"),
    };
    cli_table_row(&a->table, cells);
}

int cli_peers(const struct cli_args *args)
{
    static const char *const heads[] = { "ADDRESS", "FLAGS", ">DOWN", ">UP", "CLIENT" };
    struct asking a;
    begin(&a, args, "/v1/peers");
    a.on_object = peer_row;
    cli_table_init(&a.table, heads, TARN_COUNT_OF(heads));
    bool ok = add_ref(&a, args->operands[0]) && ask(&a, "GET", NULL);
    cli_table_end(&a.table);
    return end(&a, ok);
}

/* ---- pause, resume, rm, scrub ---- */

static void put_done(struct asking *a, json_t *o)
{
    static const struct {
        const char *verb, *done;
    } words[] = { { "pause", "paused" },
                  { "resume", "resumed" },
                  { "rm", "removed" },
                  { "publish", "published" },
                  { "add", "added" } };
    const char *done = a->args->verb->name, *url = text_of(o, "url");
    for (size_t i = 0; i < TARN_COUNT_OF(words); i++)
        if (strcmp(done, words[i].verb) == 0)
            done = words[i].done;
    printf("%s %llu ", done, (unsigned long long)number_of(o, "id"));
    cli_put_text(stdout, name_of(o));
    if (*url != '\0') {
        fputs(" at ", stdout);
        cli_put_text(stdout, url);
    }
    putchar('\n');
}

static int act(const struct cli_args *args, const char *method, const char *path)
{
    struct asking a;
    begin(&a, args, path);
    a.on_object = put_done;
    return end(&a, add_ref(&a, args->operands[0]) && ask(&a, method, NULL));
}

int cli_pause(const struct cli_args *args)
{
    return act(args, "POST", "/v1/pause");
}

int cli_resume(const struct cli_args *args)
{
    return act(args, "POST", "/v1/resume");
}

int cli_rm(const struct cli_args *args)
{
    return act(args, "DELETE", "/v1/items");
}

static void put_scrub(struct asking *a, json_t *o)
{
    (void)a, (void)o;
    puts("checking all that is held; damage will be in tarn ls, the log and /v1/changes");
}

int cli_scrub(const struct cli_args *args)
{
    struct asking a;
    begin(&a, args, "/v1/scrub");
    a.on_object = put_scrub;
    bool ok = (args->n_operands == 0 || add_ref(&a, args->operands[0])) && ask(&a, "POST", NULL);
    return end(&a, ok);
}

/* ---- publish, add ---- */

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
static bool body_post(struct body *b, struct asking *a)
{
    json_close_object(&b->json);
    tarn_out_u8(&b->out, 0);
    bool ok = tarn_out_ok(&b->out)
                  ? ask(a, "POST", (const char *)b->out.p)
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

int cli_publish(const struct cli_args *args)
{
    struct asking a;
    struct body b;
    struct tarn_quote q;
    const char *http = cli_text(args, CLI_HTTP);
    begin(&a, args, "/v1/collections");
    a.on_object = put_done;
    char *path = realpath(args->operands[0], NULL);
    if (path == NULL) {
        tarn_fail_sys(&a.err, "cannot publish '%s'", tarn_quote_str(&q, args->operands[0]));
        return end(&a, false);
    }
    body_begin(&b);
    json_put_bytes(&b.json, "path", tarn_bytes_str(path));
    free(path);
    put_option(&b, args, CLI_AS, "name");
    put_option(&b, args, CLI_BT, "bt");
    put_option(&b, args, CLI_POLICY, "policy");
    if (http != NULL)
        json_put_bool(&b.json, "http", strcmp(http, "on") == 0);
    return end(&a, body_post(&b, &a));
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
    struct tarn_quote q;
    char *path = folder == NULL ? NULL : realpath(folder, NULL);
    if (folder != NULL && path == NULL)
        return tarn_fail_sys(err, "cannot use the folder '%s'", tarn_quote_str(&q, folder));
    if (path != NULL)
        json_put_bytes(&b->json, "folder", tarn_bytes_str(path));
    free(path);
    return true;
}

int cli_add(const struct cli_args *args)
{
    struct asking a;
    struct body b;
    begin(&a, args, "/v1/torrents");
    a.on_object = put_done;
    body_begin(&b);
    if (!put_source(&b, args->operands[0], &a.err) ||
        !put_folder(&b, cli_text(args, CLI_OUTPUT_FOLDER), &a.err)) {
        tarn_out_release(&b.out);
        return end(&a, false);
    }
    if (cli_has(args, CLI_PAUSED))
        json_put_bool(&b.json, "paused", true);
    return end(&a, body_post(&b, &a));
}
